"""Activation functions as layers of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastnn import activations
from fastnn.checks import check_count, check_number
from fastnn.errors import ConfigurationError
from fastnn.graph.graph import ActivationConfig
from fastnn.layers._base import Layer
from fastnn.ops import ACTIVATIONS, name_of
from fastnn.ops import Activation as Function

__all__ = ["ELU", "Activation", "LeakyReLU", "ReLU", "Softmax", "as_code"]


def as_code(activation: Function, numbers: tuple[float, ...]) -> str:
    """Return an activation as code: its name, or, with numbers of one's own, a layer or a function with them.

    Examples
    --------
    >>> as_code(Function.ELU, (1.0,)), as_code(Function.ELU, (0.5,)), as_code(Function.CELU, (0.5,))
    ("'elu'", 'ELU(0.5)', 'partial(celu, alpha=0.5)')
    """
    traits = ACTIVATIONS[activation]
    if numbers == traits.defaults:
        return repr(name_of(activation))
    if len(numbers) == 1 and traits.layer:
        return f"{traits.layer}({numbers[0]})"
    given = _named(activations.arguments(ActivationConfig(activation, numbers)))
    return f"{traits.layer}({given})" if traits.layer else f"partial({name_of(activation)}, {given})"


def _named(arguments: dict[str, object]) -> str:
    """Return arguments as code, those left out that are 0 or None."""
    return ", ".join(f"{name}={value}" for name, value in arguments.items() if value)


class Activation(Layer):
    """An activation function as a layer of its own.

    Parameters
    ----------
    activation : str or function of `fastnn.activations`
        With its usual numbers, or with others by `functools.partial`: the slope of ``"leaky_relu"`` is 0.2,
        not 0.3 as of the layer `LeakyReLU`.
    name : str, optional

    Raises
    ------
    ConfigurationError
        For an unknown name.

    Examples
    --------
    >>> Activation("tanh")
    Activation('tanh')
    """

    config: ActivationConfig

    def __init__(self, activation: str | Callable[..., np.ndarray], *, name: str | None = None) -> None:
        super().__init__(name)
        self.config = activations.config_of(activation)

    def _arguments(self) -> dict[str, Any]:
        return {"activation": activations.written(self.config)}

    def _code(self) -> Iterator[str]:
        yield as_code(self.config.activation, self.config.numbers)


class ReLU(Layer):
    """``max(x, 0)``; or with a maximum, a slope for what is below a threshold, or such a threshold.

    ``max_value`` where x is larger than that, ``x`` where it is larger than `threshold`, else
    ``negative_slope * (x - threshold)``.

    Parameters
    ----------
    max_value : float, optional
        At least 0; by default there is no maximum.
    negative_slope : float
        At least 0.
    threshold : float
        At least 0.
    name : str, optional

    Raises
    ------
    ConfigurationError, DTypeError
        For other numbers.

    Examples
    --------
    >>> ReLU().config.activation.name
    'RELU'
    >>> ReLU(max_value=6.0, negative_slope=0.1)
    ReLU(max_value=6.0, negative_slope=0.1)
    """

    config: ActivationConfig

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.config = activations.rectifier(negative_slope, max_value, threshold)

    def _arguments(self) -> dict[str, Any]:
        given: dict[str, Any] = {"max_value": None, "negative_slope": 0.0, "threshold": 0.0}
        if self.config.activation is Function.RELU6:
            return given | {"max_value": 6.0}
        return given | activations.arguments(self.config)

    def _code(self) -> Iterator[str]:
        for name, value in self._arguments().items():
            if value is not None and (value or name == "max_value"):
                yield f"{name}={value}"


class LeakyReLU(Layer):
    """``x`` where it is positive, else ``negative_slope * x`` (lecture A.1 has a slope of 0.1).

    Parameters
    ----------
    negative_slope : float
        At least 0; default 0.3.  By its name, ``"leaky_relu"``, the function has a slope of 0.2.  Both are
        so in Keras.
    name : str, optional

    Examples
    --------
    >>> LeakyReLU(0.1).config.numbers
    (0.1,)
    """

    config: ActivationConfig

    def __init__(self, negative_slope: float = 0.3, *, name: str | None = None) -> None:
        super().__init__(name)
        self.config = ActivationConfig(
            Function.LEAKY_RELU, (check_number(negative_slope, "negative_slope", 0.0),)
        )

    def _arguments(self) -> dict[str, Any]:
        return {"negative_slope": self.config.numbers[0]}

    def _code(self) -> Iterator[str]:
        yield str(self.config.numbers[0])


class ELU(Layer):
    """``x`` where it is positive, else ``alpha * (exp(x) - 1)`` (Clevert et al. 2015; lecture A.1).

    Parameters
    ----------
    alpha : float
        At least 0.
    name : str, optional

    Examples
    --------
    >>> ELU().config.numbers
    (1.0,)
    """

    config: ActivationConfig

    def __init__(self, alpha: float = 1.0, *, name: str | None = None) -> None:
        super().__init__(name)
        self.config = ActivationConfig(Function.ELU, (check_number(alpha, "alpha", 0.0),))

    def _arguments(self) -> dict[str, Any]:
        return {"alpha": self.config.numbers[0]}

    def _code(self) -> Iterator[str]:
        yield str(self.config.numbers[0])


class Softmax(Layer):
    """``exp(x) / sum(exp(x))`` over a row.

    Parameters
    ----------
    axis : int
        -1, or 1, which is the same: tensors are (rows, features).
    name : str, optional

    Raises
    ------
    ConfigurationError
        For another axis.

    Examples
    --------
    >>> Softmax().config.activation.name
    'SOFTMAX'
    """

    def __init__(self, axis: int = -1, *, name: str | None = None) -> None:
        super().__init__(name)
        if check_count(axis, "axis", -(2**31)) not in (-1, 1):
            raise ConfigurationError(f"axis must be -1, as tensors are (rows, features), got {axis}")
        self.config = ActivationConfig(Function.SOFTMAX)
