"""What `fit` shows while it trains: a bar on standard error, a line an epoch, or nothing; a callback for it.

This file must not know models.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from fastnn._core.guards import load
from fastnn.callbacks.base import Callback, Logs
from fastnn.errors import ConfigurationError

__all__ = ["BAR_SECONDS", "Bar", "ProgbarLogger", "numbers_in", "print_epoch", "verbosity"]

BAR_SECONDS = 0.1  # between two updates of the progress bar


def verbosity(verbose: str | int) -> int:
    """Return 0, 1 or 2 for an argument ``verbose``.

    Parameters
    ----------
    verbose : {"auto", 0, 1, 2}
        "auto" is 1 where somebody looks on: if standard error is a terminal or a notebook's; else 0.

    Returns
    -------
    int

    Raises
    ------
    ConfigurationError
        For anything else.

    Examples
    --------
    >>> verbosity(2)
    2
    """
    if verbose == "auto":
        return int(_is_watched(sys.stderr))
    if verbose not in (0, 1, 2):
        raise ConfigurationError(f"verbose must be 'auto', 0, 1 or 2, got {verbose!r}")
    return int(verbose)


def _is_watched(stream: Any) -> bool:
    """Return whether text of a stream is shown at once."""
    # A notebook's stream says that it is no terminal, and shows bars all the same.
    if any(base.__module__.partition(".")[0] == "ipykernel" for base in type(stream).__mro__):
        return True
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # None, or an object with a method write only; closed
        return False


class Bar:
    """A bar on standard error, if there is one: of all epochs, or of each epoch where these take long.

    Parameters
    ----------
    first, last : int
        The epochs, counted from 0, that are to be made: from `first` to before `last`.
    steps : int, optional
        Batches of an epoch, if each is to have a line of its own, with a bar of its batches; it stays.  0 if
        nobody knows how many.

    Examples
    --------
    >>> import contextlib, io
    >>> with contextlib.redirect_stderr(io.StringIO()) as shown:
    ...     bar = Bar(0, 2)
    ...     bar.begin(0)
    ...     bar.end(2, {"loss": 0.25})
    ...     bar.close()
    >>> "2/2" in shown.getvalue(), "loss=0.25" in shown.getvalue()
    (True, True)
    """

    def __init__(self, first: int, last: int, steps: int | None = None) -> None:
        self._last, self._steps = last, steps
        self._bar: Any = None
        if steps is None:
            self._open(total=last, initial=first, unit="epoch")

    def _open(self, **options: Any) -> None:
        tqdm = load("tqdm").tqdm
        if sys.stderr is not None:
            self._bar = tqdm(file=sys.stderr, mininterval=BAR_SECONDS, **options)

    def begin(self, epoch: int, batches: int = 0) -> None:
        """Begin an epoch, counted from 0, of which so many batches are made already."""
        if self._steps is not None:
            total = self._steps or None
            self._open(desc=f"Epoch {epoch + 1}/{self._last}", total=total, initial=batches, unit="batch")

    def batches(self, count: int, values: Mapping[str, float]) -> None:
        """Go on by so many batches of an epoch, with its loss and metrics so far."""
        if self._steps is not None:
            self._go_on(count, values)

    def end(self, epochs: int, values: Mapping[str, float]) -> None:
        """Go on by so many epochs, with the loss and metrics of the last one."""
        if self._steps is None:
            self._go_on(epochs, values)
        else:
            self._go_on(0, values)
            self.close()

    def _go_on(self, count: int, values: Mapping[str, float]) -> None:
        if self._bar is not None:
            shown = {name: f"{value:.4g}" for name, value in numbers_in(values).items()}
            self._bar.set_postfix(shown, refresh=False)
            self._bar.update(count)

    def close(self) -> None:
        """Leave what is shown as it is."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class ProgbarLogger(Callback):
    """Draws a bar of the batches of each epoch on standard error, in training loops of your own.

    `fit`, `evaluate` and `predict` leave it aside: they show what their argument ``verbose`` says.  It reads
    ``epochs``, ``steps`` and ``verbose`` of the callback's ``params``, where 0 draws nothing, and shows the
    numbers of the logs.

    Examples
    --------
    >>> import contextlib, io
    >>> from fastnn.callbacks import CallbackList
    >>> with contextlib.redirect_stderr(io.StringIO()) as shown:
    ...     told = CallbackList(add_progbar=True, epochs=1, steps=2)
    ...     told.on_epoch_begin(0)
    ...     for batch in range(2):
    ...         told.on_train_batch_begin(batch)
    ...         told.on_train_batch_end(batch, {"loss": 0.25})
    ...     told.on_epoch_end(0, {"loss": 0.25})
    >>> "Epoch 1/1" in shown.getvalue(), "2/2" in shown.getvalue(), "loss=0.25" in shown.getvalue()
    (True, True, True)
    """

    def __init__(self) -> None:
        super().__init__()
        self._bar: Bar | None = None

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Begin a bar."""
        self._close()
        if verbosity(self.params.get("verbose", 1)) == 1:
            self._bar = Bar(0, self.params.get("epochs", epoch + 1), self.params.get("steps") or 0)
            self._bar.begin(epoch)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Go on by a batch."""
        if self._bar is not None:
            self._bar.batches(1, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Show the epoch's numbers, and leave the bar."""
        if self._bar is not None:
            self._bar.end(1, logs or {})
        self._close()

    def on_train_end(self, logs: Logs = None) -> None:
        """Leave a bar that an epoch left over."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar = None


def numbers_in(values: Mapping[str, Any]) -> dict[str, float]:
    """Return what fits into a line: metrics that are one number; those that are arrays stand in a `History`.

    Examples
    --------
    >>> numbers_in({"loss": 0.5, "f1_score": [0.5, 0.25]})
    {'loss': 0.5}
    """
    return {name: value for name, value in values.items() if isinstance(value, float | int)}


def print_epoch(epoch: int, last: int, seconds: float, values: Mapping[str, float]) -> None:
    """Print the line of an epoch, counted from 0, of `last`."""
    # A learning rate of 1e-5 is not 0.0000.
    text = " - ".join(
        f"{name}: {value:.4f}" if abs(value) > 1e-3 or not value else f"{name}: {value:.4e}"
        for name, value in numbers_in(values).items()
    )
    print(f"Epoch {epoch + 1}/{last} - {seconds:.2f}s - {text}")
