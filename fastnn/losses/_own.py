"""Losses that no kernel computes: functions of the user's own, and none at all.

What they return is computed with in `fastnn.model.beside`.  This file must not know arrays, layers or
kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastnn.described import name_of_function
from fastnn.losses._base import Loss

__all__ = ["FunctionLoss", "GivenGradient", "NoLoss"]


@dataclass(frozen=True, eq=False)
class FunctionLoss(Loss):
    """A function that returns ``(value, gradient)``; its name is that of the loss.

    Parameters
    ----------
    source : callable

    Examples
    --------
    >>> def cubes(y_true, y_pred):
    ...     return abs((y_pred - y_true) ** 3).mean(), 3 * (y_pred - y_true) ** 2 / len(y_pred)
    >>> FunctionLoss(cubes).name
    'cubes'
    """

    source: Callable[[Any, Any], Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", name_of_function(self.source))
        super().__post_init__()

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return what the function does."""
        return self.source(y_true, y_pred)


@dataclass(frozen=True)
class NoLoss(Loss):
    """That there is no loss of an output, which has targets for metrics alone.

    Examples
    --------
    >>> NoLoss().missing
    True
    """

    @property
    def missing(self) -> bool:
        """True."""
        return True


@dataclass(frozen=True)
class GivenGradient(Loss):
    """What plans see of a loss that is computed in Python: the caller brings the gradient of an output.

    Examples
    --------
    >>> GivenGradient().planned
    False
    """
