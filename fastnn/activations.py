"""Activation functions: their names, and NumPy functions of the same names.

By its name, leaky ReLU has a slope of 0.2 and ELU a scale of 1; the layer `LeakyReLU` has a slope of 0.3.
Both are so in Keras.
"""
# This file must not know layers, nor of plans more than their activations.

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastnn.absent import attribute_error
from fastnn.border.numeric import as_numbers
from fastnn.checks import check_option, shown
from fastnn.errors import DTypeError, unknown_name
from fastnn.graph.graph import ActivationConfig
from fastnn.ops import ACTIVATIONS, BY_NAME, Activation, Doors, by_names, name_of

__all__ = [
    "elu",
    "exponential",
    "get",
    "leaky_relu",
    "linear",
    "log",
    "name_of",
    "reciprocal",
    "relu",
    "sigmoid",
    "softmax",
    "tanh",
]


def __dir__() -> list[str]:
    return __all__


def _apply(name: str, x: np.ndarray, *options: float) -> np.ndarray:
    from fastnn import kernels

    result: np.ndarray = getattr(kernels, f"{name}_forward")(_floats(x), None, *options)
    return result


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


def relu(x: np.ndarray) -> np.ndarray:
    """Return ``max(x, 0)`` (lecture A.1); any shape, float32 unless x is float64.

    Examples
    --------
    >>> relu(np.array([-1.0, 2.0]))
    array([0., 2.])
    """
    return _apply("relu", x)


def leaky_relu(x: np.ndarray, negative_slope: float = 0.2) -> np.ndarray:
    """Return ``x`` where it is positive, else ``negative_slope * x`` (lecture A.1); any shape.

    The slope is 0.2 unless told otherwise, as by the name ``"leaky_relu"``; that of the layer `LeakyReLU`
    is 0.3.  Both are so in Keras.

    Examples
    --------
    >>> leaky_relu(np.array([-1.0, 2.0]), 0.1)
    array([-0.1,  2. ])
    """
    return _apply("leaky_relu", x, negative_slope)


def elu(x: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    """Return ``x`` where it is positive, else ``alpha * (exp(x) - 1)`` (lecture A.1); any shape.

    Examples
    --------
    >>> elu(np.array([-1.0, 2.0])).round(4)
    array([-0.6321,  2.    ])
    """
    return _apply("elu", x, alpha)


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


def softmax(x: np.ndarray) -> np.ndarray:
    """Return ``exp(x) / sum(exp(x))`` over the last axis; float32 unless x is float64.

    Examples
    --------
    >>> softmax(np.zeros((1, 2)))
    array([[0.5, 0.5]])
    """
    return _apply("softmax", x)


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
    if _name not in globals() and _texts is not None:
        globals()[_name] = _make(_name, _texts)
        __all__.append(_name)
__all__.sort()
_FUNCTIONS = tuple(globals()[_name] for _name in BY_NAME)


_NAMED = {name: ActivationConfig(Activation(code), numbers) for name, (code, numbers) in by_names().items()}


def get(identifier: object) -> ActivationConfig:
    """Return the activation that a name, a function of this module or an activation layer stands for.

    Parameters
    ----------
    identifier : str, function, layer, dict or None
        None is ``"linear"``; a dict has the ``"class_name"`` and the ``"config"`` of `LeakyReLU` or `ELU`.

    Returns
    -------
    fastnn.graph.graph.ActivationConfig

    Raises
    ------
    ConfigurationError
        If the name is unknown.
    DTypeError
        If it is none of these.

    Examples
    --------
    >>> name_of(get("relu").activation)
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
        return _from_layer(identifier)
    if identifier in _FUNCTIONS:
        identifier = str(getattr(identifier, "__name__", ""))
    if not isinstance(identifier, str):
        raise DTypeError(
            f"an activation is a name or a function of fastnn.activations, got {identifier!r}; "
            "other Python functions cannot run inside the kernels"
        )
    if identifier not in _NAMED:
        raise unknown_name("activation", identifier, BY_NAME)
    return _NAMED[identifier]


def written(config: ActivationConfig) -> str | dict[str, object]:
    """Return what `get` takes for an activation: its name or, with numbers of its own, a layer's description.

    Examples
    --------
    >>> written(get("leaky_relu"))
    'leaky_relu'
    """
    traits = ACTIVATIONS[config.activation]
    if config.numbers == traits.defaults:
        return name_of(config.activation)
    given = {option.name: number for option, number in zip(traits.options, config.numbers, strict=True)}
    return {"class_name": traits.layer, "config": given}


def _from_layer(entry: Mapping[str, object]) -> ActivationConfig:
    """Return what the description of an activation layer stands for."""
    given = entry.get("config")
    for activation, traits in ACTIVATIONS.items():
        if traits.layer and entry.get("class_name") == traits.layer and isinstance(given, Mapping):
            if all(option.name in given for option in traits.options):
                numbers = (check_option(given[option.name], option) for option in traits.options)
                return ActivationConfig(activation, tuple(numbers))
    names = " or ".join(traits.layer for traits in ACTIVATIONS.values() if traits.layer)
    raise DTypeError(f"an activation given as a dict describes a layer {names}, got {shown(dict(entry))}")


def __getattr__(name: str) -> Any:
    raise attribute_error(__name__, name, __all__)
