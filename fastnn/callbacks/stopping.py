"""The callbacks that end training early: a number no longer improves, or is none, or time is up.

This file must not know plans or kernels.
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from fastnn.callbacks.base import Callback, Logs
from fastnn.callbacks.monitor import Monitor, say, verbosity
from fastnn.checks import check_count, check_flag, check_number

__all__ = ["EarlyStopping", "TerminateOnNaN", "TimeLimit"]


class EarlyStopping(Monitor):
    """Stops training when a number no longer improves.

    With ``monitor="loss"`` and ``patience=0`` training stops when the loss rises, or stays.  With
    validation data see Prechelt 1998, "Early stopping - but when?".

    Parameters
    ----------
    monitor : str
        A key of the history: ``"loss"``, a metric, or one of these with ``val_`` in front.
    min_delta : float
        Smaller changes are no improvement; its sign is ignored.
    patience : int
        Stop after so many epochs without improvement; 0 and 1 both stop at the first.
    verbose : int
        Whether to print where training stopped and which weights are restored.
    mode : {"auto", "min", "max"}
        Which way is better; "auto" asks the model's metrics.
    baseline : float, optional
        Values no better than this one use up patience even if they are the best so far.
    restore_best_weights : bool
        Whether to end with the weights of the end of the best epoch, also if training was not
        stopped.  The optimizer's state stays.  Beware: ``"loss"`` is measured before each step, so
        that the best epoch by it may still end with a bad step; ``"val_loss"`` is measured after all.
    start_from_epoch : int
        The first epoch to look at.

    Attributes
    ----------
    stopped_epoch : int
        The epoch, from 0, after which training was stopped; else 0.
    best_epoch : int
        The best epoch, from 0.
    best : float or None
        Its value.
    best_weights : list of numpy.ndarray or None
        The weights at its end, if they are to be restored.
    wait : int
        Epochs since.

    Raises
    ------
    DTypeError, ConfigurationError
        For bad arguments; in `fit`, if "auto" cannot tell which way is better.

    Warns
    -----
    UserWarning
        In `fit`, after every epoch without the monitored number.

    Examples
    --------
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)], seed=0)
    >>> model.compile(fastnn.optimizers.SGD(0.0), "mse")  # learns nothing
    >>> stop = EarlyStopping(monitor="loss", patience=3)
    >>> model.fit([[1.0]], [[9.0]], epochs=50, callbacks=[stop], verbose=0).epoch
    [0, 1, 2, 3]
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta, patience, verbose)
        self.baseline = None if baseline is None else check_number(baseline, "baseline")
        self.restore_best_weights = check_flag(restore_best_weights, "restore_best_weights")
        self.start_from_epoch = check_count(start_from_epoch, "start_from_epoch", 0)
        self.stopped_epoch = self.best_epoch = 0
        self.best_weights: list[np.ndarray] | None = None

    def on_train_begin(self, logs: Logs = None) -> None:
        """Forget an earlier run, and settle which way is better."""
        super().on_train_begin(logs)
        self.stopped_epoch = self.best_epoch = 0
        self.best_weights = None

    def get_state(self) -> dict[str, Any]:
        """Return the best value, its epoch and weights, how long ago it was, and where training stopped."""
        return {
            **super().get_state(),
            "stopped_epoch": self.stopped_epoch,
            "best_epoch": self.best_epoch,
            "best_weights": self.best_weights,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Remember that; training that was stopped stays so."""
        super().set_state(state)
        self.stopped_epoch, self.best_epoch = state["stopped_epoch"], state["best_epoch"]
        self.best_weights = state["best_weights"]
        if self.stopped_epoch:
            self._need_model().stop_training = True

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Compare with the best epoch, and stop if patience has run out."""
        current = self._current(logs or {})
        if current is None or epoch < self.start_from_epoch:
            return
        self.wait += 1
        if self._improves(current, self.best):
            self.best, self.best_epoch = current, epoch
            if self.restore_best_weights:
                self.best_weights = self._need_model().get_weights()
            if self._improves(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience:
            self.stopped_epoch = epoch
            self._need_model().stop_training = True

    def on_train_end(self, logs: Logs = None) -> None:
        """Restore the best weights."""
        if self.stopped_epoch and self.verbose:
            say(f"Epoch {self.stopped_epoch + 1}: stopped early, {self.monitor} no longer improves")
        if self.best_weights is not None:
            if self.verbose:
                say(f"The weights of the end of epoch {self.best_epoch + 1} are restored")
            self._need_model().set_weights(self.best_weights)


class TerminateOnNaN(Callback):
    """Stops training if the loss is not finite; here for scripts written for Keras.

    `fit` needs no help with this: it stops at the first batch whose loss is not finite, restores the
    latest snapshot of the weights and issues a `NonFiniteWarning`, with or without this callback, which
    sets ``model.stop_training`` besides.

    Parameters
    ----------
    raise_error : bool
        Whether to raise a `RuntimeError` instead; no callback then hears that training ended.

    Raises
    ------
    DTypeError
        If it is no bool.

    Examples
    --------
    >>> TerminateOnNaN().wants_batches
    False
    """

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = check_flag(raise_error, "raise_error")

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Stop if the loss in `logs` is not finite."""
        loss = (logs or {}).get("loss", 0.0)
        if math.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(f"the loss was {loss} in epoch {epoch + 1}; lower the learning rate")
        self._need_model().stop_training = True


class TimeLimit(Callback):
    """Ends training when it has taken so many seconds; what was learned is kept.

    Training ends as when a callback sets ``model.stop_training``: after the epoch or, of an epoch that
    takes longer than about a tenth of a second, within it, after some batch.  That epoch still has its
    validation and its place in the history, and `EarlyStopping` restores the best weights.  No
    validation is cut short.  Training is as fast as with any callback that does not listen to batches.

    Parameters
    ----------
    seconds : float
        From the beginning of each call of `fit`, of wall-clock time.
    verbose : int
        Whether to print where training ended.

    Attributes
    ----------
    stopped_epoch : int or None
        The epoch, from 0, in or after which time was up.

    Raises
    ------
    DTypeError, ConfigurationError
        If `seconds` is no finite number, or negative.

    Examples
    --------
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)], seed=0)
    >>> model.compile("sgd", "mse")
    >>> limit = TimeLimit(seconds=0.0)
    >>> model.fit([[1.0]], [[9.0]], epochs=1000, callbacks=[limit], verbose=0).epoch
    [0]
    """

    def __init__(self, seconds: float, verbose: int = 0) -> None:
        super().__init__()
        self.seconds = check_number(seconds, "seconds", 0.0)
        self.verbose = verbosity(verbose)
        self.stopped_epoch: int | None = None
        self._end, self._epoch = math.inf, 0

    @property
    def wants_batches(self) -> bool:
        """Never: it hears of the parts of an epoch that run in one call, which is often enough."""
        return False

    def on_train_begin(self, logs: Logs = None) -> None:
        """Look at the clock."""
        self._end, self.stopped_epoch = time.monotonic() + self.seconds, None

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Remember the epoch's number."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Stop if time is up."""
        if self.stopped_epoch is None and time.monotonic() >= self._end:
            self.stopped_epoch = self._epoch
            self._need_model().stop_training = True

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Stop if time is up."""
        self.on_train_batch_end(0)

    def on_train_end(self, logs: Logs = None) -> None:
        """Say where training ended."""
        if self.verbose and self.stopped_epoch is not None:
            say(f"Epoch {self.stopped_epoch + 1}: stopped, {self.seconds:g} seconds are over")
