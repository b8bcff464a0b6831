"""The base of the callbacks that watch one number of every epoch, and decide whether it improves.

Also how these, and others, say what they do.

This file must not know plans or kernels.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from fastnn.callbacks.base import Callback, Logs
from fastnn.checks import check_count, check_number
from fastnn.errors import ConfigurationError, DTypeError, warn

__all__ = ["Monitor", "say", "verbosity"]


def say(line: str) -> None:
    """Print a line, above a progress bar if one is shown."""
    shown = sys.modules.get("tqdm")
    if shown is None:
        print(line)
    else:
        shown.tqdm.write(line)


def verbosity(value: object) -> int:
    """Return an argument ``verbose`` of a callback after checking it."""
    return check_count(int(value) if isinstance(value, bool | np.bool_) else value, "verbose", 0)


class Monitor(Callback):
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
        self.verbose = verbosity(verbose)
        self.best: float | None = None
        self.wait = 0
        self._larger_is_better = mode == "max"

    def on_train_begin(self, logs: Logs = None) -> None:
        """Forget an earlier run, and settle which way is better."""
        self.best, self.wait = None, 0
        if self.mode == "auto":
            self._larger_is_better = self._direction()

    def get_state(self) -> dict[str, Any]:
        """Return the best value, and how long ago it was."""
        return {"best": self.best, "wait": self.wait}

    def set_state(self, state: dict[str, Any]) -> None:
        """Remember that."""
        self.best, self.wait = state["best"], state["wait"]

    def _direction(self) -> bool:
        name = self.monitor.removeprefix("val_")
        if name == "loss":
            return False
        measured = self._need_model()._now.need_objective().measured
        if name in measured and measured[name].has_direction:
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
