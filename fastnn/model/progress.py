"""What `fit` shows while it trains: a bar on standard error, a line an epoch, or nothing.

This file must not know models.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from fastnn._core.guards import load
from fastnn.errors import ConfigurationError

__all__ = ["BAR_SECONDS", "bar", "numbers_in", "print_epoch", "verbosity"]

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


def bar(first: int, last: int) -> Any:
    """Return a progress bar for epochs from number `first` to `last`; None if there is no standard error."""
    tqdm = load("tqdm").tqdm
    if sys.stderr is None:
        return None
    return tqdm(total=last, initial=first, unit="epoch", file=sys.stderr, mininterval=BAR_SECONDS)


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
