"""The callback that saves models while they are trained.

This file must not know plans or kernels, nor what a file of a model looks like.
"""

from __future__ import annotations

import os
from typing import Any

from fastnn.callbacks.base import Logs
from fastnn.callbacks.monitor import Monitor, say
from fastnn.checks import check_count, check_flag, check_number, shown
from fastnn.errors import ConfigurationError, DTypeError

__all__ = ["ModelCheckpoint"]


class ModelCheckpoint(Monitor):
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

    def on_train_begin(self, logs: Logs = None) -> None:
        """Settle which way is better; the best value stays."""
        if self.save_best_only and self.mode == "auto":
            self._larger_is_better = self._direction()

    def get_state(self) -> dict[str, Any]:
        """Return the best value, and how many batches there were since the last file."""
        return {**super().get_state(), "batches": self._batches}

    def set_state(self, state: dict[str, Any]) -> None:
        """Remember that."""
        super().set_state(state)
        self._batches = state["batches"]

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Remember the epoch's number."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Save after so many batches."""
        self._batches += 1
        if self._batches == self.save_freq:
            self._batches = 0
            self._keep({"epoch": self._epoch + 1, "batch": batch + 1, **(logs or {})})

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
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
                    say(f"{epoch}: {self.monitor} does not improve on {self.best:.5f}")
                return
            self.best = current
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        model = self._need_model()
        (model.save_weights if self.save_weights_only else model.save)(path)
        if self.verbose:
            say(f"{epoch}: saved as {path}")
