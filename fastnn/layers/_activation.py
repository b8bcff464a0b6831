"""Activation functions as layers of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastnn import activations
from fastnn.checks import check_number
from fastnn.graph.graph import ActivationConfig
from fastnn.layers._base import Layer
from fastnn.ops import ACTIVATIONS, name_of
from fastnn.ops import Activation as Function

__all__ = ["ELU", "Activation", "LeakyReLU", "ReLU", "Softmax", "as_code"]


def as_code(activation: Function, numbers: tuple[float, ...]) -> str:
    """Return an activation as code: its name, or, with numbers of one's own, a layer.

    Examples
    --------
    >>> as_code(Function.ELU, (1.0,)), as_code(Function.ELU, (0.5,))
    ("'elu'", 'ELU(0.5)')
    """
    traits = ACTIVATIONS[activation]
    if numbers == traits.defaults:
        return repr(name_of(activation))
    return f"{traits.layer}({', '.join(map(str, numbers))})"


class Activation(Layer):
    """An activation function as a layer of its own.

    Parameters
    ----------
    activation : str or function of `fastnn.activations`
        With its usual slope or scale: that of ``"leaky_relu"`` is 0.2, not 0.3 as of the layer `LeakyReLU`.
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
        self.config = activations.get(activation)

    def _arguments(self) -> dict[str, Any]:
        return {"activation": activations.written(self.config)}

    def _code(self) -> Iterator[str]:
        yield as_code(self.config.activation, self.config.numbers)


class ReLU(Layer):
    """``max(x, 0)``, with a slope of its own for negative inputs if asked for.

    Parameters
    ----------
    negative_slope : float
        At least 0.
    name : str, optional

    Examples
    --------
    >>> ReLU().config.activation.name
    'RELU'
    """

    config: ActivationConfig

    def __init__(self, negative_slope: float = 0.0, *, name: str | None = None) -> None:
        super().__init__(name)
        slope = check_number(negative_slope, "negative_slope", 0.0)
        self.config = (
            ActivationConfig(Function.LEAKY_RELU, (slope,)) if slope else ActivationConfig(Function.RELU)
        )

    def _arguments(self) -> dict[str, Any]:
        return {"negative_slope": self.config.numbers[0] if self.config.numbers else 0.0}

    def _code(self) -> Iterator[str]:
        yield from map(str, self.config.numbers)


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
    name : str, optional

    Examples
    --------
    >>> Softmax().config.activation.name
    'SOFTMAX'
    """

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(name)
        self.config = ActivationConfig(Function.SOFTMAX)
