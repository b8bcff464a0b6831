"""Single kernels as NumPy functions: arrays in, arrays out, `out=`.

Names and argument order are fixed.  Activations of large arrays use as many threads as `fastnn.threads`
says; so do large products with AVX-512, elsewhere they use those of BLAS.  Exceptions are
those of `fastnn.errors`.
"""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import checks, errors
from fastnn._core.api import (
    activate as activate,
)
from fastnn._core.api import (
    count_threads_by,
    dense_backward,
    dense_forward,
    derive,
    equip,
    make_doors,
)
from fastnn.absent import attribute_error
from fastnn.border.numeric import as_numbers
from fastnn.ops import ACTIVATIONS, Activation, Doors, Option, Traits, by_names, name_of
from fastnn.run.runtime import default_threads

if TYPE_CHECKING:  # the types of what is made from the table of activations
    from fastnn._core.api import (  # noqa: I001 - one import
        elu_backward as elu_backward,
        elu_forward as elu_forward,
        leaky_relu_backward as leaky_relu_backward,
        leaky_relu_forward as leaky_relu_forward,
        relu_backward as relu_backward,
        relu_forward as relu_forward,
        sigmoid_backward as sigmoid_backward,
        sigmoid_forward as sigmoid_forward,
        softmax_backward as softmax_backward,
        softmax_forward as softmax_forward,
        softplus_backward as softplus_backward,
        softplus_forward as softplus_forward,
        tanh_backward as tanh_backward,
        tanh_forward as tanh_forward,
    )

__all__ = ["dense_backward", "dense_forward"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise attribute_error(__name__, name, __all__)


# The core imports nothing from above, so what it needs from there is handed down.
equip(errors, checks, as_numbers, by_names())
count_threads_by(default_threads)


_TEXT = """Return {returns}; `out` may be `{first}`.

Parameters
----------
{arrays}
out : numpy.ndarray of {first}'s shape and dtype, optional{option}

Returns
-------
numpy.ndarray

Raises
------
{errors}
    For {unfit} that cannot be used.

Examples
--------
>>> import numpy as np
>>> {name}({arguments}){rest}
{result}
"""


def _door(
    call: Callable[..., np.ndarray], code: int, arrays: tuple[str, ...], options: tuple[Option, ...]
) -> Callable[..., np.ndarray]:
    """Return a door with options of the table; those of the core take less time."""
    parameter = inspect.Parameter
    parameters = [parameter(name, parameter.POSITIONAL_OR_KEYWORD) for name in arrays]
    parameters.append(parameter("out", parameter.POSITIONAL_OR_KEYWORD, default=None))
    for option in options:
        if option.default is None:
            parameters.append(parameter(option.name, parameter.KEYWORD_ONLY))
        else:
            default = option.shown(option.default)
            parameters.append(parameter(option.name, parameter.POSITIONAL_OR_KEYWORD, default=default))
    signature = inspect.Signature(parameters)

    def door(*given: Any, **named: Any) -> np.ndarray:
        bound = signature.bind(*given, **named)
        bound.apply_defaults()
        values = bound.arguments
        numbers = tuple(checks.check_option(values[option.name], option) for option in options)
        return call(code, numbers, *(values[name] for name in arrays), values["out"])

    door.__signature__ = signature  # type: ignore[attr-defined]
    return door


def _enter(activation: Activation, traits: Traits, texts: Doors) -> None:
    """Make the doors to an activation and to its derivative, if it has any, with their names and texts."""
    option = next((option.name for option in traits.options), None)
    source = "z" if traits.from_input else "y"
    doors: tuple[Callable[..., np.ndarray], ...]
    if traits.from_input or (traits.options and not traits.layer):
        doors = (
            _door(activate, activation, ("z",), traits.options),
            _door(derive, activation, ("dy", source), traits.options),
        )
    else:
        doors = make_doors(activation, option, *traits.defaults or ())
    alone = "z : array_like of any shape, float32 or float64"
    if traits.row_wise:
        alone += "\n    A number alone is a row of one."
    both = f"dy, {source} : array_like of one shape, float32 or float64"
    for door, way, first, arrays, returns, example in (
        (doors[0], "forward", "z", alone, texts.value, texts.value_example),
        (doors[1], "backward", "dy", both, texts.slope, texts.slope_example),
    ):
        name = f"{name_of(activation)}_{way}"
        unfit = "a dtype, a shape" if first == "z" else "dtypes, shapes"
        kind = "slope" if option == "negative_slope" else f"`{option}`"
        door.__name__ = door.__qualname__ = name
        door.__module__ = __name__
        door.__doc__ = _TEXT.format(
            name=name,
            returns=returns,
            first=first,
            arrays=arrays,
            option="".join(
                f"\n{option.name} : {'bool' if option.flag else 'float'}\n    {option.text}"
                for option in traits.options
            ),
            errors="DTypeError, ShapeError, DataError" + (", ConfigurationError" if option else ""),
            unfit=f"{unfit}, an `out` or a {kind}" if option else f"{unfit}, or an `out`,",
            arguments=example[0],
            rest=example[1],
            result=example[2],
        )
        globals()[name] = door
        __all__.append(name)


for _activation, _traits in ACTIVATIONS.items():
    if _traits.doors is not None:
        _enter(_activation, _traits, _traits.doors)
__all__.sort()
