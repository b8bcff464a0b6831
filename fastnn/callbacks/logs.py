"""The callback that writes losses and metrics to a table.

This file must not know plans or kernels.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from fastnn.callbacks.base import Callback, Logs
from fastnn.checks import check_flag, shown
from fastnn.errors import ConfigurationError, DTypeError

__all__ = ["CSVLogger"]


class CSVLogger(Callback):
    """Writes the losses and metrics of every epoch to a CSV file, a row an epoch.

    The columns are ``epoch``, from 0, and the logs of the first epoch in alphabetical order; without
    validation also these with ``val_`` in front, as in Keras.  What an epoch lacks is ``NA``.

    Each row is in the file when its epoch has ended.  A run that `BackupAndRestore` resumes goes on
    after the last row that the backup knows of.

    Parameters
    ----------
    filename : str or path-like
        In a folder that exists.
    separator : str
        A character, between columns.
    append : bool
        Whether to keep what is in the file; else it is written anew.

    Raises
    ------
    DTypeError, ConfigurationError
        For bad arguments.
    OSError
        In `fit`, if the file cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)], seed=0)
    >>> model.compile(fastnn.optimizers.SGD(0.0), "mse")
    >>> model.set_weights([[[1.0]], [0.0]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = CSVLogger(os.path.join(folder, "log.csv"))
    ...     _ = model.fit([[1.0]], [[3.0]], epochs=2, callbacks=[log], verbose=0)
    ...     with open(log.filename) as file:
    ...         print(*file)
    epoch,loss,val_loss
     0,4.0,NA
     1,4.0,NA
    <BLANKLINE>
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        super().__init__()
        if not isinstance(filename, str | os.PathLike):
            raise DTypeError(f"filename must be a string or a path, got {shown(filename)}")
        if not isinstance(separator, str) or len(separator) != 1:
            raise ConfigurationError(f"separator must be one character, got {shown(separator)}")
        self.filename = os.fspath(filename)
        self.separator = separator
        self.append = check_flag(append, "append")
        self.keys: list[str] | None = None
        self._kept: int | None = None  # of the file's bytes, as long as nothing was written; None: all

    def on_train_begin(self, logs: Logs = None) -> None:
        """Make the file, if there is none; what is in it stays until there is something else."""
        with open(self.filename, "a", encoding="utf-8"):
            pass
        self.keys = None
        self._kept = None if self.append else 0

    def get_state(self) -> dict[str, Any]:
        """Return the columns, and how long the file is."""
        return {"keys": self.keys, "size": 0 if self.keys is None else os.path.getsize(self.filename)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on after the rows that there were then."""
        if state["keys"] is not None:
            self.keys = state["keys"] if os.path.getsize(self.filename) else None
            self._kept = state["size"]

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Write a row."""
        logs = logs or {}
        header = False
        with open(self.filename, "r+", encoding="utf-8", newline="") as file:
            self._cut(file)
            if self.keys is None:
                self.keys = sorted(logs)
                if not any(key.startswith("val_") for key in self.keys):
                    self.keys += [f"val_{key}" for key in self.keys]
                header = not file.tell()
            writer = csv.writer(file, delimiter=self.separator)
            if header:
                writer.writerow(["epoch", *self.keys])
            writer.writerow([epoch, *(_cell(logs.get(key, "NA")) for key in self.keys)])

    def on_train_end(self, logs: Logs = None) -> None:
        """Empty the file if there were no epochs."""
        with open(self.filename, "r+", encoding="utf-8", newline="") as file:
            self._cut(file)

    def _cut(self, file: Any) -> None:
        """Go to the end of the file, or of what is to stay of it."""
        size = file.seek(0, os.SEEK_END)
        if self._kept is not None and self._kept < size:
            file.seek(self._kept)
            file.truncate()
        self._kept = None


def _cell(value: object) -> object:
    """Return what is written of a number, a text or several numbers."""
    if (
        isinstance(value, str)
        or not isinstance(value, Iterable)
        or (isinstance(value, np.ndarray) and not value.ndim)
    ):
        return value
    return f'"[{", ".join(map(str, value))}]"'
