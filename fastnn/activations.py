"""Activation functions: their names, and NumPy functions of the same names.

By its name, leaky ReLU has a slope of 0.2 and ELU a scale of 1; the layer `LeakyReLU` has a slope of 0.3.
Both are so in Keras.  A layer takes other numbers by a layer, such as ``LeakyReLU(0.1)``, or by
`functools.partial`, as in ``Dense(8, partial(activations.gelu, approximate=True))``.
"""
# This file must not know layers, nor of plans more than their activations.

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from fastnn.absent import attribute_error
from fastnn.border.numeric import as_numbers
from fastnn.checks import check_option, shown
from fastnn.errors import ConfigurationError, DTypeError, unknown_name
from fastnn.graph.graph import ActivationConfig
from fastnn.ops import ACTIVATIONS, ALIASES, BY_NAME, Activation, Doors, by_names, name_of

__all__ = [
    "celu",
    "deserialize",
    "elu",
    "exponential",
    "gelu",
    "get",
    "hard_shrink",
    "leaky_relu",
    "linear",
    "log",
    "log_softmax",
    "name_of",
    "reciprocal",
    "relu",
    "serialize",
    "sigmoid",
    "soft_shrink",
    "softmax",
    "squareplus",
    "tanh",
    "threshold",
]


def __dir__() -> list[str]:
    return __all__


def _apply(name: str, x: np.ndarray, **options: float) -> np.ndarray:
    from fastnn import kernels

    result: np.ndarray = getattr(kernels, f"{name}_forward")(_floats(x), **options)
    return result


def _apply_along(name: str, x: np.ndarray, axis: int) -> np.ndarray:
    """Return an activation of the rows that an array has along an axis."""
    array = _floats(x)
    if axis == -1 or array.ndim < 2:
        return _apply(name, array)
    if not -array.ndim <= axis < array.ndim:
        raise ConfigurationError(f"axis must be one of the {array.ndim} of x, got {shown(axis)}")
    return np.moveaxis(_apply(name, np.moveaxis(array, axis, -1)), -1, axis)


def _floats(x: object) -> np.ndarray:
    """Return numbers as float64 if that is what they are, else as float32."""
    array = as_numbers(x, "x")
    return array if array.dtype == np.float64 else array.astype(np.float32, copy=False)


def linear(x: np.ndarray) -> np.ndarray:
    """Return `x` itself.

    Examples
    --------
    >>> linear(3.0)
    3.0
    """
    return x


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Return ``1 / (1 + exp(-x))`` (lecture A.1); any shape, float32 unless x is float64.

    Examples
    --------
    >>> float(sigmoid(np.zeros(1))[0])
    0.5
    """
    return _apply("sigmoid", x)


def tanh(x: np.ndarray) -> np.ndarray:
    """Return the hyperbolic tangent (lecture A.1); any shape, float32 unless x is float64.

    Examples
    --------
    >>> float(tanh(np.zeros(1))[0])
    0.0
    """
    return _apply("tanh", x)


def relu(
    x: np.ndarray, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> np.ndarray:
    """Return ``max(x, 0)`` (lecture A.1); any shape, float32 unless x is float64.

    With other numbers, all at least 0, what is larger than `threshold` stays, up to `max_value` if that is
    not None; the rest becomes ``negative_slope * (x - threshold)``.

    Examples
    --------
    >>> relu(np.array([-1.0, 2.0]))
    array([0., 2.])
    >>> relu(np.array([-1.0, 2.0, 9.0]), negative_slope=0.5, max_value=6.0)
    array([-0.5,  2. ,  6. ])
    """
    config = rectifier(negative_slope, max_value, threshold)
    if config.activation is Activation.RELU:
        return _apply("relu", x)
    from fastnn import kernels

    return kernels.activate(config.activation, config.numbers, _floats(x))


def leaky_relu(x: np.ndarray, negative_slope: float = 0.2) -> np.ndarray:
    """Return ``x`` where it is positive, else ``negative_slope * x`` (lecture A.1); any shape.

    The slope is 0.2 unless told otherwise, as by the name ``"leaky_relu"``; that of the layer `LeakyReLU`
    is 0.3.  Both are so in Keras.

    Examples
    --------
    >>> leaky_relu(np.array([-1.0, 2.0]), 0.1)
    array([-0.1,  2. ])
    """
    return _apply("leaky_relu", x, negative_slope=negative_slope)


def elu(x: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    """Return ``x`` where it is positive, else ``alpha * (exp(x) - 1)`` (lecture A.1); any shape.

    Examples
    --------
    >>> elu(np.array([-1.0, 2.0])).round(4)
    array([-0.6321,  2.    ])
    """
    return _apply("elu", x, alpha=alpha)


def gelu(x: np.ndarray, approximate: bool = False) -> np.ndarray:
    """Return `x` times the share of a standard normal distribution below it; any shape.

    Where `approximate`, that share is taken for ``sigmoid(1.5958 * (x + 0.044715 * x**3))``, as in Keras.

    Examples
    --------
    >>> gelu(np.array([-1.0, 1.0])).round(4)
    array([-0.1587,  0.8413])
    """
    return _apply("gelu", x, approximate=approximate)


def celu(x: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    """Return ``x`` where it is positive, else ``alpha * (exp(x / alpha) - 1)``; any shape.

    Examples
    --------
    >>> celu(np.array([-1.0, 2.0]), 0.5).round(4)
    array([-0.4323,  2.    ])
    """
    return _apply("celu", x, alpha=alpha)


def squareplus(x: np.ndarray, b: float = 4.0) -> np.ndarray:
    """Return ``(x + sqrt(x**2 + b)) / 2``, for b at least 0; any shape.

    Examples
    --------
    >>> squareplus(np.array([-1.5, 0.0]))
    array([0.5, 1. ])
    """
    return _apply("squareplus", x, b=b)


def soft_shrink(x: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    """Return `x` moved towards 0 by `threshold`, and 0 where it is nearer to that; any shape.

    Examples
    --------
    >>> soft_shrink(np.array([-2.0, 0.25]))
    array([-1.5,  0. ])
    """
    return _apply("soft_shrink", x, threshold=threshold)


def hard_shrink(x: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    """Return `x` where ``abs(x) > threshold``, else 0; any shape.

    Examples
    --------
    >>> hard_shrink(np.array([-2.0, 0.25]))
    array([-2.,  0.])
    """
    return _apply("hard_shrink", x, threshold=threshold)


def threshold(x: np.ndarray, threshold: float, default_value: float) -> np.ndarray:
    """Return `x` where it is larger than `threshold`, else `default_value`; any shape.

    Layers take it with its numbers, ``partial(threshold, threshold=1.0, default_value=0.0)``.

    Examples
    --------
    >>> threshold(np.array([0.5, 2.0]), 1.0, -1.0)
    array([-1.,  2.])
    """
    return _apply("threshold", x, threshold=threshold, default_value=default_value)


def exponential(x: np.ndarray) -> np.ndarray:
    """Return ``exp(x)``; any shape, float32 unless x is float64.

    Examples
    --------
    >>> exponential(np.zeros(1))
    array([1.])
    """
    return np.asarray(np.exp(_floats(x)))


def log(x: np.ndarray) -> np.ndarray:
    """Return the natural logarithm of `x`; any shape, float32 unless x is float64.

    Examples
    --------
    >>> log(np.ones(1))
    array([0.])
    """
    return np.asarray(np.log(_floats(x)))


def reciprocal(x: np.ndarray) -> np.ndarray:
    """Return ``1 / x``; any shape, float32 unless x is float64.

    Examples
    --------
    >>> reciprocal(np.array([4.0]))
    array([0.25])
    """
    return np.asarray(np.reciprocal(_floats(x)))


def softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return ``exp(x) / sum(exp(x))`` over an axis, in layers the last; float32 unless x is float64.

    Examples
    --------
    >>> softmax(np.zeros((1, 2)))
    array([[0.5, 0.5]])
    """
    return _apply_along("softmax", x, axis)


def log_softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return the logarithm of `softmax` over an axis, in layers the last; float32 unless x is float64.

    Examples
    --------
    >>> log_softmax(np.zeros((1, 2))).round(4)
    array([[-0.6931, -0.6931]])
    """
    return _apply_along("log_softmax", x, axis)


_TEXT = """Return {value}; any shape, float32 unless x is float64.

Examples
--------
>>> import numpy as np
>>> {name}({arguments}){rest}
{result}
"""


def _make(name: str, texts: Doors) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function of an activation without slope or scale, with a text of the table's words."""

    def function(x: np.ndarray) -> np.ndarray:
        return _apply(name, x)

    value = re.sub(r"\bz\b", "x", texts.value)
    arguments, rest, result = texts.value_example
    function.__name__ = function.__qualname__ = name
    function.__doc__ = _TEXT.format(value=value, name=name, arguments=arguments, rest=rest, result=result)
    return function


# Functions that are not written out above are made; type checkers know those that stand here.
softplus: Callable[[np.ndarray], np.ndarray]
for _name, _activation in BY_NAME.items():
    _texts = ACTIVATIONS[_activation].doors
    if _name in ALIASES:
        globals()[_name] = globals()[name_of(_activation)]
        __all__.append(_name)
    elif _name not in globals() and _texts is not None:
        globals()[_name] = _make(_name, _texts)
        __all__.append(_name)
__all__.sort()
_FUNCTIONS = tuple(globals()[_name] for _name in BY_NAME)


_NAMED = {name: ActivationConfig(Activation(code), numbers) for name, (code, numbers) in by_names().items()}


def get(identifier: object) -> Callable[..., np.ndarray]:
    """Return the function that a name, a function of this module or an activation layer stands for.

    Parameters
    ----------
    identifier : str, function, partial, layer, dict or None
        As what layers take for an activation.  None is ``"linear"``; a dict is what `serialize` returns.

    Returns
    -------
    callable
        A function of this module, or a `functools.partial` of one that has numbers of its own.

    Raises
    ------
    ConfigurationError
        If the name is unknown, or does not stand for an activation without numbers.
    DTypeError
        If it is none of these.

    Examples
    --------
    >>> get("relu") is relu, get(relu) is relu
    (True, True)
    >>> from fastnn.layers import LeakyReLU
    >>> get(LeakyReLU(0.1))(np.array([-1.0]))
    array([-0.1])
    """
    config = config_of(identifier)
    if isinstance(identifier, partial) or identifier in _FUNCTIONS:
        return identifier  # type: ignore[return-value]
    return function_of(config)


def serialize(activation: object) -> str | dict[str, object]:
    """Return what `get` and layers take for an activation, as plain values.

    Parameters
    ----------
    activation : str, function, partial, layer, dict or None

    Returns
    -------
    str or dict
        The name or, where there are numbers of its own, ``{"class_name": ..., "config": numbers}``.

    Raises
    ------
    ConfigurationError, DTypeError
        As `get` does.

    Examples
    --------
    >>> serialize(relu)
    'relu'
    >>> serialize(partial(elu, alpha=0.5))
    {'class_name': 'ELU', 'config': {'alpha': 0.5}}
    """
    return written(config_of(activation))


def deserialize(config: str | Mapping[str, object]) -> Callable[..., np.ndarray]:
    """Return the function that `serialize` was called on.

    Parameters
    ----------
    config : str or dict

    Raises
    ------
    ConfigurationError, DTypeError
        If there is no such activation.

    Examples
    --------
    >>> deserialize("relu") is relu
    True
    """
    if not isinstance(config, str | Mapping):
        raise DTypeError(f"config must be a name or a dict, as `serialize` returns it, got {shown(config)}")
    return get(config)


def config_of(identifier: object) -> ActivationConfig:
    """Return the activation that a name, a function of this module or an activation layer stands for.

    A function may have numbers of its own by `functools.partial`.

    Parameters
    ----------
    identifier : str, function, partial, layer, dict or None
        None is ``"linear"``; a dict has the ``"class_name"`` and the ``"config"`` of `LeakyReLU`, `ELU` or
        `ReLU`, or the name and the arguments of a function.

    Returns
    -------
    fastnn.graph.graph.ActivationConfig

    Raises
    ------
    ConfigurationError
        If the name is unknown, or does not stand for an activation without numbers.
    DTypeError
        If it is none of these.

    Examples
    --------
    >>> name_of(config_of("relu").activation)
    'relu'
    """
    if identifier is None:
        return _NAMED["linear"]
    if isinstance(identifier, str) and identifier in _NAMED:
        return _NAMED[identifier]
    config = getattr(identifier, "config", None)
    if isinstance(config, ActivationConfig):
        return config
    if isinstance(identifier, Mapping):
        return _from_description(identifier)
    if isinstance(identifier, partial) and identifier.func in _FUNCTIONS:
        return _with_arguments(identifier)
    if identifier in _FUNCTIONS:
        identifier = str(getattr(identifier, "__name__", ""))
    if not isinstance(identifier, str):
        raise DTypeError(
            f"an activation is a name or a function of fastnn.activations, got {identifier!r}; "
            "other Python functions cannot run inside the kernels"
        )
    if identifier in BY_NAME and identifier not in _NAMED:
        names = ", ".join(f"{option.name}=..." for option in ACTIVATIONS[BY_NAME[identifier]].options)
        raise ConfigurationError(
            f"activation {identifier!r} has numbers that must be given; give "
            f"functools.partial(fastnn.activations.{identifier}, {names})"
        )
    if identifier not in _NAMED:
        raise unknown_name("activation", identifier, BY_NAME)
    return _NAMED[identifier]


def written(config: ActivationConfig) -> str | dict[str, object]:
    """Return what `config_of` takes for an activation: its name or, with numbers of its own, a description.

    Examples
    --------
    >>> written(config_of("leaky_relu"))
    'leaky_relu'
    """
    traits = ACTIVATIONS[config.activation]
    if config.numbers == traits.defaults:
        return name_of(config.activation)
    return {"class_name": traits.layer or name_of(config.activation), "config": arguments(config)}


def arguments(config: ActivationConfig) -> dict[str, object]:
    """Return the numbers of an activation as users write them, by name.

    Examples
    --------
    >>> arguments(rectifier(0.5, None, 1.0))
    {'negative_slope': 0.5, 'max_value': None, 'threshold': 1.0}
    """
    options = ACTIVATIONS[config.activation].options
    return {o.name: o.shown(number) for o, number in zip(options, config.numbers, strict=True)}


def function_of(config: ActivationConfig) -> Callable[..., np.ndarray]:
    """Return the function of an activation, a `functools.partial` if it has numbers of its own.

    Examples
    --------
    >>> function_of(config_of("relu")) is relu
    True
    """
    rectified = config.activation is Activation.RECTIFIER
    function: Callable[..., np.ndarray] = globals()["relu" if rectified else name_of(config.activation)]
    if config.numbers == ACTIVATIONS[config.activation].defaults:
        return function
    return partial(function, **arguments(config))


def rectifier(negative_slope: object, max_value: object, threshold: object) -> ActivationConfig:
    """Return a ReLU with these numbers, as the activation that takes the least time.

    Examples
    --------
    >>> rectifier(0.0, 6, 0.0).activation.name
    'RELU6'
    """
    options = ACTIVATIONS[Activation.RECTIFIER].options
    given = (negative_slope, max_value, threshold)
    slope, top, least = (check_option(value, option) for value, option in zip(given, options, strict=True))
    if least == 0 and top < 0:
        return ActivationConfig(Activation.LEAKY_RELU, (slope,)) if slope else _NAMED["relu"]
    if least == 0 and top == 6 and slope == 0:
        return _NAMED["relu6"]
    return ActivationConfig(Activation.RECTIFIER, (slope, top, least))


def _with_arguments(given: partial[Any]) -> ActivationConfig:
    """Return the activation that a function of this module with some arguments stands for."""
    name = str(given.func.__name__)
    known = list(inspect.signature(given.func).parameters)[1:]
    if given.args or not set(given.keywords) <= set(known):
        said = f"by name: {', '.join(known)}" if known else "no arguments"
        raise ConfigurationError(f"partial({name}, ...) as an activation takes {said}; got {shown(given)}")
    if name == "relu":
        return rectifier(*(given.keywords.get(key, default) for key, default in _RELU.items()))
    axis = given.keywords.get("axis", -1)
    if axis not in (-1, 1):
        raise ConfigurationError(f"axis must be -1, as layers take (rows, features), got {shown(axis)}")
    return _configured(BY_NAME[name], given.keywords)


_RELU: dict[str, float | None] = {"negative_slope": 0.0, "max_value": None, "threshold": 0.0}


def _configured(activation: Activation, given: Mapping[str, object]) -> ActivationConfig:
    """Return an activation with these numbers, the others by default."""
    numbers = []
    for option in ACTIVATIONS[activation].options:
        if option.name not in given and option.default is None:
            raise ConfigurationError(f"activation {name_of(activation)!r} needs {option.name}=...")
        default = None if option.default is None else option.shown(option.default)
        numbers.append(check_option(given.get(option.name, default), option))
    return ActivationConfig(activation, tuple(numbers))


def _from_description(entry: Mapping[str, object]) -> ActivationConfig:
    """Return what the description of an activation layer, or of a function with numbers, stands for."""
    given = entry.get("config")
    if entry.get("class_name") == "function" and isinstance(given, str):  # as Keras writes one
        return config_of(given)
    for activation, traits in ACTIVATIONS.items():
        named = entry.get("class_name") == (traits.layer or name_of(activation))
        if not (traits.options and named and isinstance(given, Mapping)):
            continue
        if all(option.name in given for option in traits.options):
            if activation is Activation.RECTIFIER:
                return rectifier(*(given[key] for key in _RELU))
            return _configured(activation, given)
    names = " or ".join(traits.layer for traits in ACTIVATIONS.values() if traits.layer)
    raise DTypeError(f"an activation given as a dict describes a layer {names}, got {shown(dict(entry))}")


def __getattr__(name: str) -> Any:
    raise attribute_error(__name__, name, __all__)
