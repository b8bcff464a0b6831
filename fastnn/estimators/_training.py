"""Training in epochs: what a solver is given, who hears of each epoch, and when it is over.

What is drawn, counted, printed and warned is as in scikit-learn; validation rows of the caller's, callbacks
and a time limit come on top.  This file must not know classes, numbers or layers.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from fastnn.callbacks.listeners import Listeners, checked
from fastnn.callbacks.progress import Bar
from fastnn.estimators import _solvers, _stopping
from fastnn.estimators._epochs import Epochs, Rows
from fastnn.estimators._network import Network
from fastnn.estimators._threads import threads_for

__all__ = ["NON_FINITE", "Given", "train"]

NON_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be"
    " preprocessed."
)
_HERE = 10  # frames from a warning to who called fit


class Given(NamedTuple):
    """Checked rows.

    Attributes
    ----------
    x : numpy.ndarray or sparse matrix, (rows, features)
    y : numpy.ndarray, (rows, outputs)
    weights : numpy.ndarray or None, (rows,)
        What the rows count in scores.
    training : numpy.ndarray or None, (rows,)
        What they count in the loss: their classes count as well.
    """

    x: Any
    y: np.ndarray
    weights: np.ndarray | None
    training: np.ndarray | None


def train(
    estimator: Any,
    network: Network,
    given: Given,
    incremental: bool,
    score: Callable[[], float] | None,
    begin: Callable[[], None],
) -> None:
    """Train the net of an estimator by steps on batches.

    Parameters
    ----------
    estimator : BasePerceptron
    network : Network
    given : Given
    incremental : bool
        Whether for one epoch, by the optimizer that is there.
    score : callable, optional
        Returns the score on rows of the caller's.
    begin : callable
        Called once nothing is refused any more.
    """
    told = checked(estimator.callbacks)
    if any(callback.wants_batches for callback in told):
        raise ValueError(
            "callbacks of estimators hear of epochs only, and one of them has a hook for batches; train a "
            "fastnn.Sequential with it"
        )
    optimizer = _solvers.optimizer_of(estimator)
    stopping = estimator.early_stopping
    if stopping and incremental:
        raise ValueError("partial_fit does not support early_stopping=True")
    if stopping and score is None:
        given, score = _held_out(estimator, given)
    n = given.x.shape[0]
    batch = min(200, n) if estimator.batch_size == "auto" else _clipped(estimator.batch_size, n)
    rows = Rows(given.x, estimator._targets(given.y), given.training, estimator._constant(given.y))
    epochs = Epochs(network, rows, batch, float(estimator.alpha), threads_for(estimator.n_threads))
    begin()
    if not incremental or network.optimizer is None or not hasattr(estimator, "_optimizer"):
        network.begin(optimizer)
        estimator._optimizer = network.need_optimizer()
    _stopping.begin_records(estimator, score is not None)
    listeners = Listeners(told, network.model, epochs=estimator.max_iter, steps=-(-n // batch), verbose=0)
    bar = Bar(0, estimator.max_iter) if estimator.progress_bar else None
    best = network.flat.copy()
    network.model.stop_training = False
    listeners.tell("on_train_begin", {})
    logs: dict[str, float] = {}
    order = np.arange(n)
    began = time.perf_counter()
    try:
        estimator.n_iter_ = 0
        for number in range(estimator.max_iter):
            listeners.tell("on_epoch_begin", number, {})
            if estimator.shuffle:
                indices = np.arange(n)
                estimator._random_state.shuffle(indices)
                order = order[indices]
            epoch = epochs.run(order.astype(np.int32) if estimator.shuffle else None)
            estimator.n_iter_ += 1
            estimator.loss_ = epoch.data * estimator._value_scale() + epoch.penalty
            estimator.t_ += n
            estimator.loss_curve_.append(estimator.loss_)
            if estimator.verbose:
                print(f"Iteration {estimator.n_iter_}, loss = {estimator.loss_:.8f}")
            if not epoch.finite:
                _diverged(estimator)
                break
            found = None if score is None else score()
            improved = _stopping.count_improvement(estimator, found, stopping)
            if stopping and improved:
                best = network.flat.copy()
            _solvers.end_epoch(estimator, network.need_optimizer())
            logs = {"loss": estimator.loss_} | ({} if found is None else {"val_score": found})
            listeners.tell("on_epoch_end", number, logs)
            if bar is not None:
                bar.end(1, logs)
            if _stopping.stop(estimator, network.need_optimizer(), _solvers.is_adaptive(estimator)):
                break
            if incremental or network.model.stop_training:
                break
            if _is_late(estimator, began):
                break
            if estimator.n_iter_ == estimator.max_iter:
                warnings.warn(
                    f"Stochastic Optimizer: Maximum iterations ({estimator.max_iter}) reached and the "
                    "optimization hasn't converged yet.",
                    ConvergenceWarning,
                    stacklevel=_HERE,
                )
    except KeyboardInterrupt:
        warnings.warn("Training interrupted by user.", stacklevel=_HERE)
    finally:
        if bar is not None:
            bar.close()
    network.finish()
    listeners.tell("on_train_end", logs)
    if stopping and score is not None:
        network.flat[...] = best


def _clipped(batch_size: int, n: int) -> int:
    """Return how many rows a batch has, at most all."""
    if batch_size > n:
        warnings.warn(
            "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped",
            stacklevel=_HERE + 1,
        )
    return int(np.clip(batch_size, 1, n))


def _is_late(estimator: Any, began: float) -> bool:
    """Return whether the time limit is over, and warn if so."""
    limit = estimator.time_limit
    if limit is None or time.perf_counter() - began < limit:
        return False
    warnings.warn(
        f"The time limit of {limit:g} s ended training after {estimator.n_iter_} iterations.",
        ConvergenceWarning,
        stacklevel=_HERE + 1,
    )
    return True


def _diverged(estimator: Any) -> None:
    """End training whose loss is not finite: with an error, or, with best weights, a warning."""
    if not estimator.early_stopping:
        raise ValueError(NON_FINITE)
    estimator.validation_scores_.append(float("nan"))
    warnings.warn(
        f"The loss was not finite in iteration {estimator.n_iter_}; training stopped, and the weights with "
        "the best validation score are kept. Lower learning_rate_init, or scale the data.",
        ConvergenceWarning,
        stacklevel=_HERE + 1,
    )


def _held_out(estimator: Any, given: Given) -> tuple[Given, Callable[[], float]]:
    """Return what is trained on, and a function that scores the net on the rest."""
    there = [part for part in given if part is not None]
    found = train_test_split(
        *there,
        random_state=estimator._random_state,
        test_size=estimator.validation_fraction,
        stratify=given.y if estimator._stratifies() else None,
    )
    halves = iter(found)
    pairs: list[tuple[Any, Any]] = [
        (None, None) if part is None else (next(halves), next(halves)) for part in given
    ]
    rest = Given(*(pair[0] for pair in pairs))
    held = Given(*(pair[1] for pair in pairs))
    if held.x.shape[0] < 2:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
        )
    return rest, estimator._score_function(held.x, held.y, held.weights)
