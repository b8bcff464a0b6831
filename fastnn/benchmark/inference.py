"""The inference part: outputs of two networks for one row and many, from NumPy to NumPy.

The outputs of all contenders must agree before a time is given. This file must not know any
contender's library.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.benchmark.parts import Item, Row, Settings, timing
from fastnn.benchmark.race import take_turns
from fastnn.benchmark.rivals import Predictor
from fastnn.benchmark.workloads import Workload, find_workloads, make_weights

__all__ = ["OUTPUT_TOLERANCE", "items"]

OUTPUT_TOLERANCE = 1e-4
"""Largest difference of two outputs that counts as agreement, relative to the largest output."""

_NETS = ("mnist", "policy1")
_ROWS = (1, 32, 1024)


def items(settings: Settings) -> list[Item]:
    """Return the cases: the mnist and the policy net at 1, 32 and 1024 rows.

    Parameters
    ----------
    settings : Settings
        Contenders and effort.

    Returns
    -------
    list of Item
        Their rows hold ``net``, ``rows``, ``agree`` and ``timings`` with each contender's
        ``difference`` from fastnn.
    """
    return [
        Item(
            f"{workload.net}, {n_rows} row{'s' if n_rows > 1 else ''}",
            functools.partial(_measure, settings, workload, n_rows),
        )
        for workload in find_workloads(_NETS)
        for n_rows in _ROWS
    ]


class _Calls:
    """A contender as an entrant of a race, a call a repeat."""

    def __init__(self, predictor: Predictor, x: NDArray[np.float32]) -> None:
        self._predictor, self._x = predictor, x
        self._function: Callable[[NDArray[np.float32]], NDArray[np.float32]] = predictor.function(1)
        self.thread_counts = predictor.thread_counts

    @contextmanager
    def threads(self, n_threads: int) -> Iterator[None]:
        """Take the function of that number of threads, and its context."""
        self._function = self._predictor.function(n_threads)
        with self._predictor.threads(n_threads):
            yield

    def run(self, n_repeats: int) -> None:
        """Compute the outputs some times."""
        function, x = self._function, self._x
        for _ in range(n_repeats):
            function(x)


def _measure(settings: Settings, workload: Workload, n_rows: int) -> Row:
    weights = make_weights(workload)
    x = np.random.default_rng(0).standard_normal((n_rows, workload.widths[0]), dtype=np.float32)
    refusals = {rival.name: rival.refuses(workload) for rival in settings.predictors}
    entered = [rival for rival in settings.predictors if refusals[rival.name] is None]
    predictors = [rival(workload, weights) for rival in entered]
    outputs = [np.array(predictor.function(1)(x)) for predictor in predictors]
    differences = [_difference(output, outputs[-1]) for output in outputs]
    agree = all(difference <= OUTPUT_TOLERANCE for difference in differences)
    row: dict[str, Any] = {
        "net": workload.net,
        "rows": n_rows,
        "agree": agree,
        "refusals": {name: reason for name, reason in refusals.items() if reason is not None},
    }
    turns = (
        take_turns([_Calls(predictor, x) for predictor in predictors], settings.effort, settings.n_cores)
        if agree
        else [None] * len(predictors)
    )
    triples = zip(entered, turns, differences, strict=True)
    row["timings"] = [timing(rival.name, turn, difference=value) for rival, turn, value in triples]
    return row


def _difference(output: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """Return the largest difference relative to the largest output; infinite if shapes differ."""
    if output.shape != reference.shape:
        return float("inf")
    difference = float(np.abs(output - reference).max()) / float(np.abs(reference).max())
    return difference if np.isfinite(difference) else float("inf")
