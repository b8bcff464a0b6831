"""The callbacks that steer training or keep what it gave, and the door to all others.

Names, arguments, defaults and decisions are those of Keras 3, except that numbers are compared in
float64, not in float32.
"""
# This file must not know plans or kernels.

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.absent import attribute_error
from fastnn.callbacks.base import Callback, History, LambdaCallback, TerminateOnNaN
from fastnn.checks import check_count, check_flag, check_number, shown
from fastnn.errors import ConfigurationError, DTypeError, warn

__all__ = [
    "Callback",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]


def __dir__() -> list[str]:
    return __all__


def _verbosity(value: object) -> int:
    return check_count(int(value) if isinstance(value, bool | np.bool_) else value, "verbose", 0)


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
        self.verbose = _verbosity(verbose)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Set the rate that the schedule returns."""
        optimizer = self._need_model().optimizer
        arguments = (epoch, optimizer.learning_rate) if self._takes_rate else (epoch,)
        rate = self.schedule(*arguments)
        what = f"the result of schedule({', '.join(map(str, arguments))})"
        if not isinstance(rate, float | np.floating):
            raise DTypeError(f"{what} must be a float, got {rate!r} ({type(rate).__name__})")
        optimizer.learning_rate = check_number(float(rate), what, 0.0)
        if self.verbose:
            print(f"Epoch {epoch + 1}: the learning rate is set to {float(rate):g}")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Add the rate to `logs`."""
        if logs is not None:
            logs["learning_rate"] = self._need_model().optimizer.learning_rate


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


class _Monitor(Callback):
    """Base of the callbacks that watch one number of every epoch for improvement.

    Parameters
    ----------
    monitor : str
        A key of `logs`.
    mode : {"auto", "min", "max"}
        Which way is better; "auto" asks the model's metrics.
    min_delta : float
        Smaller changes are no improvement; its sign is ignored.
    patience : int
        Epochs without improvement to wait for.
    verbose : int
        Whether to say what is done.

    Attributes
    ----------
    best : float or None
        The best value of this run of `fit`.
    wait : int
        Epochs since.
    """

    _does_without = "does nothing"  # the monitored number

    def __init__(self, monitor: str, mode: str, min_delta: float, patience: int, verbose: int) -> None:
        super().__init__()
        if not isinstance(monitor, str):
            raise DTypeError(f"monitor must be a name such as 'val_loss', got {monitor!r}")
        if mode not in ("auto", "min", "max"):
            raise ConfigurationError(f"mode must be 'auto', 'min' or 'max', got {mode!r}")
        self.monitor, self.mode = monitor, mode
        self.min_delta = abs(check_number(min_delta, "min_delta"))
        self.patience = check_count(patience, "patience", 0)
        self.verbose = _verbosity(verbose)
        self.best: float | None = None
        self.wait = 0
        self._larger_is_better = mode == "max"

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Forget an earlier run, and settle which way is better."""
        self.best, self.wait = None, 0
        if self.mode == "auto":
            self._larger_is_better = self._direction()

    def _direction(self) -> bool:
        name = self.monitor.removeprefix("val_")
        if name == "loss":
            return False
        measured = self._need_model()._now.need_objective().measured
        if name in measured:
            return measured[name].larger_is_better
        known = ", ".join(["loss", *measured])
        raise ConfigurationError(
            f"{type(self).__name__} cannot tell whether {self.monitor!r} should fall or rise; "
            f"pass mode='min' or mode='max', or monitor one of {known}, or these with 'val_' in front"
        )

    def _current(self, logs: dict[str, float]) -> float | None:
        current = logs.get(self.monitor)
        if getattr(current, "ndim", 0):
            raise ConfigurationError(
                f"{type(self).__name__} needs one number, and {self.monitor!r} is an array; monitor another "
                "metric, or give that one an average, or one threshold"
            )
        if current is not None:
            return current
        warn(
            f"{type(self).__name__} {self._does_without}: {self.monitor!r} is not available; "
            f"available are: {', '.join(logs)}",
        )
        return None

    def _improves(self, value: float, best: float | None) -> bool:
        if best is None:
            return True
        return value - self.min_delta > best if self._larger_is_better else value + self.min_delta < best


class EarlyStopping(_Monitor):
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

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Forget an earlier run, and settle which way is better."""
        super().on_train_begin(logs)
        self.stopped_epoch = self.best_epoch = 0
        self.best_weights = None

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
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

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Restore the best weights."""
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: stopped early, {self.monitor} no longer improves")
        if self.best_weights is not None:
            if self.verbose:
                print(f"The weights of the end of epoch {self.best_epoch + 1} are restored")
            self._need_model().set_weights(self.best_weights)


class ModelCheckpoint(_Monitor):
    """Saves the model, or its weights, after every epoch, every so many batches, or whenever it is better.

    Parameters
    ----------
    filepath : str or path-like
        May name ``{epoch}``, from 1, ``{batch}``, from 1, and what is in the logs, as in
        ``"{epoch:03d}-{val_loss:.4f}.safetensors"``.  Folders are made.
    monitor : str
        A key of the history: ``"loss"``, a metric, or one of these with ``val_`` in front.
    verbose : int
        Whether to say what is saved.
    save_best_only : bool
        Whether to save only when the monitored number improves.
    save_weights_only : bool
        Whether to save by `Model.save_weights`, not by `Model.save`.
    mode : {"auto", "min", "max"}
        Which way is better; "auto" asks the model's metrics.
    save_freq : "epoch" or int
        A number of batches, which are counted on from epoch to epoch.
    initial_value_threshold : float, optional
        What the first number must improve on.

    Attributes
    ----------
    best : float or None
        The best value yet, that of earlier runs of `fit` included.

    Raises
    ------
    DTypeError, ConfigurationError
        For bad arguments; in `fit`, if "auto" cannot tell which way is better, or a name in `filepath` is
        not in the logs.
    OSError
        In `fit`, if a file cannot be written.

    Warns
    -----
    UserWarning
        In `fit`, if the monitored number is missing; the model is saved.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)], seed=0)
    >>> model.compile(fastnn.optimizers.SGD(0.1), "mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     keep = ModelCheckpoint(os.path.join(folder, "{epoch}.safetensors"))
    ...     _ = model.fit([[1.0]], [[2.0]], epochs=2, callbacks=[keep], verbose=0)
    ...     sorted(os.listdir(folder))
    ['1.safetensors', '2.safetensors']
    """

    _does_without = "saves whether it is better or not"

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, 0.0, 0, verbose)
        if not isinstance(filepath, str | os.PathLike):
            raise DTypeError(f"filepath must be a string or a path, got {shown(filepath)}")
        self.filepath = os.fspath(filepath)
        self.save_best_only = check_flag(save_best_only, "save_best_only")
        self.save_weights_only = check_flag(save_weights_only, "save_weights_only")
        if isinstance(save_freq, str) and save_freq != "epoch":
            raise ConfigurationError(f"save_freq must be 'epoch' or a number of batches, got {save_freq!r}")
        self.save_freq = save_freq if isinstance(save_freq, str) else check_count(save_freq, "save_freq")
        if initial_value_threshold is not None:
            self.best = check_number(initial_value_threshold, "initial_value_threshold")
        self._batches = self._epoch = 0

    @property
    def wants_batches(self) -> bool:
        """Whether it saves after batches; else epochs are as fast as without it."""
        return self.save_freq != "epoch"

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Settle which way is better; the best value stays."""
        if self.save_best_only and self.mode == "auto":
            self._larger_is_better = self._direction()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Remember the epoch's number."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Save after so many batches."""
        self._batches += 1
        if self._batches == self.save_freq:
            self._batches = 0
            self._keep({"epoch": self._epoch + 1, "batch": batch + 1, **(logs or {})})

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Save after the epoch."""
        if self.save_freq == "epoch":
            self._keep({"epoch": epoch + 1, **(logs or {})})

    def _keep(self, logs: dict[str, float]) -> None:
        try:
            path = self.filepath.format(**logs)
        except (KeyError, IndexError, ValueError) as error:
            raise ConfigurationError(
                f"filepath {self.filepath!r} cannot be filled in ({error}); there are {', '.join(logs)}"
            ) from error
        epoch = f"Epoch {int(logs['epoch'])}"
        current = self._current(logs) if self.save_best_only else None
        if current is not None:
            if not self._improves(current, self.best):
                if self.verbose:
                    print(f"{epoch}: {self.monitor} does not improve on {self.best:.5f}")
                return
            self.best = current
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        model = self._need_model()
        (model.save_weights if self.save_weights_only else model.save)(path)
        if self.verbose:
            print(f"{epoch}: saved as {path}")


class ReduceLROnPlateau(_Monitor):
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

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Forget an earlier run, and settle which way is better; the learning rate stays."""
        super().on_train_begin(logs)
        self.cooldown_counter = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Add the rate to `logs`, and lower it if patience has run out."""
        logs = {} if logs is None else logs
        logs["learning_rate"] = self._need_model().optimizer.learning_rate
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

    def _reduce(self, epoch: int) -> bool:
        """Lower the rate; return whether it was above the minimum."""
        optimizer = self._need_model().optimizer
        rate = optimizer.learning_rate
        # In float32, as in Keras: 0.1 * 0.1 is a hair above 0.01, which is no step to make.
        if np.float32(rate) <= np.float32(self.min_lr):
            return False
        optimizer.learning_rate = max(rate * self.factor, self.min_lr)
        if self.verbose:
            print(f"Epoch {epoch + 1}: the learning rate is lowered to {optimizer.learning_rate:g}")
        return True


def __getattr__(name: str) -> Any:
    raise attribute_error(__name__, name, __all__)
