"""ActivityRegularization: a layer that hands its input through, and lets the loss pay for it.

What that becomes in a plan is for the compiler to say, as of all layers with such a penalty.
This file must not know plans, kernels or arrays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from fastnn.checks import with_arguments_of_keras
from fastnn.graph.graph import Config
from fastnn.layers._base import Layer
from fastnn.regularizers import L1L2

__all__ = ["ActivityRegularization"]


@dataclass(frozen=True)
class ActivityRegularizationConfig(Config):
    """The input itself, and what it pays."""

    hands_through: ClassVar[bool] = True

    penalty: L1L2

    @property
    def output_penalty(self) -> tuple[float, float]:
        """What its outputs pay, call by call: the factors of their absolute values and of their squares."""
        return self.penalty.factors()


class ActivityRegularization(Layer):
    """The input as it is; the loss has ``(l1 * sum(abs(x)) + l2 * sum(x ** 2)) / rows`` added to it.

    The sums go over the batch, and the rows are those of the batch, so that it is a mean over rows whatever
    their number.  Each call of the layer adds a term, in training and in evaluation; weights of rows and of
    outputs do not count.  All of this is as in Keras.

    Parameters
    ----------
    l1, l2 : float
        Factors, at least 0.
    name : str, optional

    Raises
    ------
    ConfigurationError
        If a factor is negative or not finite.
    DTypeError
        If a factor is no number.

    Examples
    --------
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((2,)), ActivityRegularization(l1=0.5)])
    >>> model.compile("sgd", "mse")
    >>> model.evaluate([[1.0, -1.0], [2.0, 0.0]], [[1.0, -1.0], [2.0, 0.0]], verbose=0)
    1.0
    """

    config: ActivityRegularizationConfig

    @with_arguments_of_keras("ActivityRegularization", "Layer")
    def __init__(self, l1: float = 0.0, l2: float = 0.0, *, name: str | None = None) -> None:
        super().__init__(name)
        self.config = ActivityRegularizationConfig(L1L2(l1, l2))

    def _arguments(self) -> dict[str, Any]:
        return {"l1": self.config.penalty.l1, "l2": self.config.penalty.l2}

    def _code(self) -> Iterator[str]:
        yield from (f"{name}={value!r}" for name, value in self._arguments().items() if value)
