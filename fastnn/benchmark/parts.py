"""What a part of the benchmark suite is: a list of items, each measured in one go.

A part is a module with a function ``items(settings)``. An item's result is a dictionary of numbers,
strings and lists, ready for JSON; a race's holds under ``"timings"`` what `timing` returns, fastnn
last. This file must not know any part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastnn.benchmark.race import Effort, Turns
from fastnn.benchmark.rivals import Predictor, Rival
from fastnn.benchmark.workloads import Workload

__all__ = ["Item", "LeftOut", "Row", "Settings", "timing"]

Row = dict[str, Any]


class LeftOut(Exception):
    """An item cannot be measured here; the message is the reason."""


@dataclass(frozen=True)
class Item:
    """Something to measure.

    Parameters
    ----------
    label : str
        What the reports call it.
    measure : callable
        Returns the result, or raises `LeftOut`.
    """

    label: str
    measure: Callable[[], Row]


@dataclass(frozen=True)
class Settings:
    """What all parts are told.

    Parameters
    ----------
    workloads : tuple of Workload
        What is trained.
    rivals : tuple of type
        Installed contenders that train, fastnn last.
    predictors : tuple of type
        Installed contenders that compute outputs, fastnn last.
    effort : Effort
        How long to measure.
    n_cores : int
        Cores to use.
    quick : bool
        Whether a rough answer is wanted: fewer items too.
    data : Path or None
        Where to look for the MNIST files.
    """

    workloads: tuple[Workload, ...]
    rivals: tuple[type[Rival], ...]
    predictors: tuple[type[Predictor], ...]
    effort: Effort
    n_cores: int
    quick: bool = False
    data: Path | None = None


def timing(name: str, turns: Turns | None, repeats: int = 1, **more: float) -> Row:
    """Return a contender's times as a part of a row.

    Parameters
    ----------
    name : str
        The contender.
    turns : Turns or None
        Its times; None if it was not timed.
    repeats : int
        Steps in what was timed as one; seconds are divided by it.
    more : float
        Further numbers, such as its loss.

    Returns
    -------
    dict
        ``name``, ``n_threads`` (0 if not timed), ``seconds`` and `more`.

    Examples
    --------
    >>> timing("NumPy", Turns(2, (3.0, 4.0)), repeats=2, loss=0.5)
    {'name': 'NumPy', 'n_threads': 2, 'seconds': [1.5, 2.0], 'loss': 0.5}
    """
    if turns is None:
        return {"name": name, "n_threads": 0, "seconds": [], **more}
    seconds = [time / repeats for time in turns.seconds]
    return {"name": name, "n_threads": turns.n_threads, "seconds": seconds, **more}
