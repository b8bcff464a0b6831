"""The solvers' optimizers, by the parameters of an estimator, and their learning rates from epoch to epoch.

This file must not know nets or data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastnn.estimators._extras import custom_optimizer
from fastnn.optimizers import SGD, Adam, Optimizer

__all__ = ["end_epoch", "is_adaptive", "optimizer_of", "unused"]


@dataclass(frozen=True, repr=False)
class _SGD(SGD):
    """SGD whose momentum may be 1, as scikit-learn's."""

    def _check(self, field: str, low: float, high: float, *, open_low: bool = False) -> None:
        if field != "momentum" or self.momentum != 1.0:
            super()._check(field, low, high, open_low=open_low)


def optimizer_of(estimator: Any) -> Optimizer:
    """Return the optimizer that an estimator's parameters describe."""
    custom = custom_optimizer(estimator)
    if custom is not None:
        return custom
    rate = float(estimator.learning_rate_init)
    if estimator.solver == "sgd":
        return _SGD(rate, float(estimator.momentum), bool(estimator.nesterovs_momentum))
    return Adam(rate, float(estimator.beta_1), float(estimator.beta_2), float(estimator.epsilon))


def unused() -> Optimizer:
    """Return an optimizer for a net that none trains."""
    return SGD()


def is_adaptive(estimator: Any) -> bool:
    """Return whether the learning rate is lowered where others stop."""
    return bool(estimator.solver == "sgd" and estimator.learning_rate == "adaptive")


def end_epoch(estimator: Any, state: Any) -> None:
    """Set the learning rate of the next epoch, where it follows the rows that were seen."""
    if estimator.solver == "sgd" and estimator.learning_rate == "invscaling":
        state.learning_rate = estimator.learning_rate_init / (estimator.t_ + 1) ** estimator.power_t
