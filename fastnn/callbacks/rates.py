"""The callbacks that set the learning rate: by a schedule, or when a number no longer improves.

This file must not know plans or kernels.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.callbacks.base import Callback, Logs
from fastnn.callbacks.monitor import Monitor, say, verbosity
from fastnn.checks import check_count, check_number
from fastnn.errors import DTypeError

__all__ = ["LearningRateScheduler", "ReduceLROnPlateau"]


class LearningRateScheduler(Callback):
    """Sets the learning rate at the beginning of every epoch; records it as ``learning_rate``.

    Parameters
    ----------
    schedule : callable
        ``schedule(epoch, learning_rate)`` or ``schedule(epoch)``, with the epoch's number from 0 and
        the current rate; returns the new rate, a finite float that is not negative.
    verbose : int
        Whether to print each rate.

    Raises
    ------
    DTypeError
        If `schedule` cannot be called with one or two arguments; in `fit`, if it returns no float.
    ConfigurationError
        In `fit`, if what it returns is negative or not finite.

    Examples
    --------
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)], seed=0)
    >>> model.compile(fastnn.optimizers.SGD(0.5), "mse")
    >>> halve = LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else rate)
    >>> model.fit([[0.0]], [[0.0]], epochs=3, callbacks=[halve], verbose=0).history["learning_rate"]
    [0.5, 0.25, 0.125]
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        self._takes_rate = _takes_rate(schedule)
        self.schedule = schedule
        self.verbose = verbosity(verbose)
        self._epoch = -1
        self._set: int | None = None  # the epoch in which training was interrupted: its rate is set

    def on_train_begin(self, logs: Logs = None) -> None:
        """Forget an earlier run."""
        self._set = None

    def get_state(self) -> dict[str, Any]:
        """Return the epoch that the rate was set for."""
        return {"epoch": self._epoch}

    def set_state(self, state: dict[str, Any]) -> None:
        """Remember that: the rate of this epoch is not set a second time."""
        self._set = state["epoch"]

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Set the rate that the schedule returns."""
        self._epoch = epoch
        if epoch == self._set:
            return
        optimizer = self._need_model().optimizer
        arguments = (epoch, float(optimizer.learning_rate)) if self._takes_rate else (epoch,)
        rate = self.schedule(*arguments)
        what = f"the result of schedule({', '.join(map(str, arguments))})"
        if not isinstance(rate, float | np.floating):
            raise DTypeError(f"{what} must be a float, got {rate!r} ({type(rate).__name__})")
        optimizer.learning_rate = check_number(float(rate), what, 0.0)
        if self.verbose:
            say(f"Epoch {epoch + 1}: the learning rate is set to {float(rate):g}")

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Add the rate to `logs`."""
        if logs is not None:
            logs["learning_rate"] = float(self._need_model().optimizer.learning_rate)


def _takes_rate(schedule: object) -> bool:
    """Return whether a schedule takes the learning rate too; raise if it takes neither one nor two."""
    if not callable(schedule):
        raise DTypeError(f"schedule must be callable with (epoch) or (epoch, rate), got {schedule!r}")
    try:
        signature = inspect.signature(schedule)
    except (TypeError, ValueError):  # some functions written in C do not tell
        return True
    for arguments in ((0, 0.0), (0,)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return len(arguments) == 2
    raise DTypeError(f"schedule must be callable with (epoch) or (epoch, rate), got one with {signature}")


class ReduceLROnPlateau(Monitor):
    """Lowers the learning rate when a number no longer improves; records it as ``learning_rate``.

    What is recorded is the rate that the epoch was trained with.

    Parameters
    ----------
    monitor : str
        A key of the history: ``"loss"``, a metric, or one of these with ``val_`` in front.
    factor : float
        In [0, 1): the new rate is ``learning_rate * factor``.
    patience : int
        Lower the rate after so many epochs without improvement.
    verbose : int
        Whether to print each new rate.
    mode : {"auto", "min", "max"}
        Which way is better; "auto" asks the model's metrics.
    min_delta : float
        Smaller changes are no improvement; its sign is ignored.
    cooldown : int
        Epochs after a reduction in which none counts as one without improvement.
    min_lr : float
        The rate is never set below this one.

    Attributes
    ----------
    best : float or None
        The best value of this run of `fit`.
    wait : int
        Epochs without improvement since then, or since the last reduction.
    cooldown_counter : int
        Epochs of cooldown left.

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
    >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1, trainable=False)], seed=0)
    >>> model.compile(fastnn.optimizers.SGD(0.5), "mse")  # nothing may improve
    >>> slower = ReduceLROnPlateau("loss", factor=0.5, patience=1, min_lr=0.2)
    >>> model.fit([[1.0]], [[9.0]], epochs=4, callbacks=[slower], verbose=0).history["learning_rate"]
    [0.5, 0.5, 0.25, 0.2]
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta, patience, verbose)
        self.factor = check_number(factor, "factor", 0.0, 1.0, open_maximum=True)
        self.cooldown = check_count(cooldown, "cooldown", 0)
        self.min_lr = check_number(min_lr, "min_lr", 0.0)
        self.cooldown_counter = 0

    def on_train_begin(self, logs: Logs = None) -> None:
        """Forget an earlier run, and settle which way is better; the learning rate stays."""
        super().on_train_begin(logs)
        self.cooldown_counter = 0

    def get_state(self) -> dict[str, Any]:
        """Return the best value, how long ago it was, and what is left of a cooldown."""
        return {**super().get_state(), "cooldown_counter": self.cooldown_counter}

    def set_state(self, state: dict[str, Any]) -> None:
        """Remember that."""
        super().set_state(state)
        self.cooldown_counter = state["cooldown_counter"]

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Add the rate to `logs`, and lower it if patience has run out."""
        logs = {} if logs is None else logs
        logs["learning_rate"] = float(self._need_model().optimizer.learning_rate)
        current = self._current(logs)
        if current is None:
            return
        if self.cooldown_counter:
            self.cooldown_counter -= 1
        if self._improves(current, self.best):
            self.best, self.wait = current, 0
        elif not self.cooldown_counter:
            self.wait += 1
            if self.wait >= self.patience and self._reduce(epoch):
                self.cooldown_counter, self.wait = self.cooldown, 0

    def in_cooldown(self) -> bool:
        """Return whether epochs of cooldown are left."""
        return self.cooldown_counter > 0

    def _reduce(self, epoch: int) -> bool:
        """Lower the rate; return whether it was above the minimum."""
        optimizer = self._need_model().optimizer
        rate = float(optimizer.learning_rate)
        # In float32, as in Keras: 0.1 * 0.1 is a hair above 0.01, which is no step to make.
        if np.float32(rate) <= np.float32(self.min_lr):
            return False
        optimizer.learning_rate = max(rate * self.factor, self.min_lr)
        if self.verbose:
            say(f"Epoch {epoch + 1}: the learning rate is lowered to {optimizer.learning_rate:g}")
        return True
