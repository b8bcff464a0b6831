"""When training ends: losses or scores that do not improve any more, as scikit-learn counts them.

This file must not know nets or data.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

__all__ = ["Rate", "begin_records", "count_improvement", "stop"]


class Rate(Protocol):
    """What has a learning rate that may be set."""

    learning_rate: float


_SMALLEST_RATE = 1e-6


def begin_records(estimator: Any, scored: bool) -> None:
    """Begin the records that training needs and that are not there, as its parameters may have changed.

    Parameters
    ----------
    estimator : estimator
    scored : bool
        Whether there are validation rows.
    """
    usual = {"loss_curve_": [], "t_": 0, "_no_improvement_count": 0}
    usual |= dict.fromkeys(("best_loss_", "validation_scores_", "best_validation_score_"))
    for name, value in usual.items():
        if not hasattr(estimator, name):
            setattr(estimator, name, value)
    if not estimator.early_stopping and estimator.best_loss_ is None:
        estimator.best_loss_ = math.inf
    if scored and estimator.validation_scores_ is None:
        estimator.validation_scores_, estimator.best_validation_score_ = [], -math.inf


def count_improvement(estimator: Any, score: float | None, by_score: bool) -> bool:
    """Count an epoch that brought no improvement; return whether it brought the best score so far.

    Parameters
    ----------
    estimator : estimator
        With its latest loss in `loss_curve_`.
    score : float or None
        Of the validation rows, if there are any; greater is better.
    by_score : bool
        Whether it is the score that has to improve, and not the loss.
    """
    if score is not None:
        estimator.validation_scores_.append(score)
        if estimator.verbose:
            print(f"Validation score: {score:f}")
    if not by_score or score is None:
        loss = estimator.loss_curve_[-1]
        behind = loss > estimator.best_loss_ - estimator.tol
        best = loss < estimator.best_loss_
        if best:
            estimator.best_loss_ = loss
        if score is not None and score > estimator.best_validation_score_:
            estimator.best_validation_score_ = score
    else:
        behind = score < estimator.best_validation_score_ + estimator.tol
        best = score > estimator.best_validation_score_
        if best:
            estimator.best_validation_score_ = score
    estimator._no_improvement_count = estimator._no_improvement_count + 1 if behind else 0
    return bool(best)


def stop(estimator: Any, rate: Rate, adaptive: bool) -> bool:
    """Return whether training is over as nothing improved for long; an adaptive rate is lowered first."""
    if estimator._no_improvement_count <= estimator.n_iter_no_change:
        return False
    what = "Validation score" if estimator.early_stopping else "Training loss"
    said = f"{what} did not improve more than tol={estimator.tol:f} for "
    said += f"{estimator.n_iter_no_change} consecutive epochs."
    end = " Stopping."
    over = True
    if adaptive and rate.learning_rate <= _SMALLEST_RATE:
        end = " Learning rate too small. Stopping."
    elif adaptive:
        rate.learning_rate /= 5.0
        end = f" Setting learning rate to {rate.learning_rate:f}"
        over = False
    if estimator.verbose:
        print(said + end)
    if not over:
        estimator._no_improvement_count = 0
    return over
