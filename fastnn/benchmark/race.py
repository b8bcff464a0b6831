"""Timing in turns: the thread count of each entrant, how often it runs, and who runs when.

First everyone tries its thread counts and keeps the best; then come rounds in which every entrant runs
once, after the threads of the one before have come to rest, so that a disturbance of the machine meets
all of them, and ratios are of times of the same round. This file must not know what an entrant computes,
nor whether it is right: that is checked before anyone comes here.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

from fastnn.benchmark.machine import settle

__all__ = ["FULL", "QUICK", "Effort", "Entrant", "Turns", "median_ratio", "share_of", "take_turns"]

_MIN_ROUNDS = 3
_TRAINING_LONGER = 4


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Parameters
    ----------
    rounds : int
        How often every entrant is timed.
    seconds : float
        Shortest time of one measurement; the number of repeats is chosen to reach it.
    peak_sizes : tuple of int
        Orders of the matrices with which the ceiling is measured.
    limit : float
        Seconds after which no further round begins once there are three.
    """

    rounds: int = 15
    seconds: float = 0.05
    peak_sizes: tuple[int, ...] = (1024, 1536, 2048)
    limit: float = math.inf

    @property
    def training(self) -> Effort:
        """The same with longer measurements, for calls that train.

        What such a call costs only once, checking data and starting threads, should count as little as in
        training to the end: 16 MB of MNIST take 1.4 ms to check, an epoch of them 18 ms.
        """
        return dataclasses.replace(self, seconds=_TRAINING_LONGER * self.seconds)


FULL = Effort()
QUICK = Effort(rounds=5, seconds=0.005, peak_sizes=(1024,), limit=5.0)


class Entrant(Protocol):
    """Who takes part in a race: something that can be repeated, with some number of threads."""

    def thread_counts(self, n_cores: int) -> tuple[int, ...]:
        """Return the thread counts to try on a machine of `n_cores` cores."""
        ...

    def threads(self, n_threads: int) -> AbstractContextManager[Any]:
        """Return a context in which `run` uses `n_threads` threads."""
        ...

    def run(self, n_repeats: int) -> object:
        """Do the work `n_repeats` times; what it returns is not looked at."""
        ...


@dataclass(frozen=True)
class Turns:
    """The times of one entrant.

    Parameters
    ----------
    n_threads : int
        Threads with which it was fastest.
    seconds : tuple of float
        Seconds per repeat, one number for each round.
    """

    n_threads: int
    seconds: tuple[float, ...]


def take_turns(entrants: Sequence[Entrant], effort: Effort, n_cores: int) -> tuple[Turns, ...]:
    """Time entrants in turns, each with the better of its thread counts.

    Parameters
    ----------
    entrants : sequence of Entrant
        Who takes part.
    effort : Effort
        How long to measure.
    n_cores : int
        Cores to use.

    Returns
    -------
    tuple of Turns
        One for each entrant.
    """
    begin = perf_counter()
    chosen = [_best_thread_count(entrant, n_cores, effort.seconds) for entrant in entrants]
    seconds: list[list[float]] = [[] for _ in entrants]
    for n_done in range(effort.rounds):
        if n_done >= _MIN_ROUNDS and perf_counter() - begin > effort.limit:
            break
        for entrant, (n_threads, n_repeats), times in zip(entrants, chosen, seconds, strict=True):
            settle()
            with entrant.threads(n_threads):
                entrant.run(math.ceil(n_repeats / 4))  # wakes its threads and warms the caches
                times.append(_time(entrant, n_repeats) / n_repeats)
    pairs = zip(chosen, seconds, strict=True)
    return tuple(Turns(n_threads, tuple(times)) for (n_threads, _), times in pairs)


def median_ratio(others: Sequence[Sequence[float]], ours: Sequence[float]) -> float | None:
    """Return how many times longer the fastest of the others takes, or None if there is none.

    Parameters
    ----------
    others : sequence of sequence of float
        The others' times, a number for each round; those without times do not count.
    ours : sequence of float
        The times that theirs are compared with, round by round.

    Returns
    -------
    float or None
        The median over the rounds of the ratio of the other with the smallest median.

    Examples
    --------
    >>> median_ratio([[9.0, 9.0, 9.0], [2.0, 10.0, 3.0]], [1.0, 5.0, 1.0])
    2.0
    """
    timed = [times for times in others if times]
    if not timed or not ours:
        return None
    fastest = min(timed, key=statistics.median)
    return statistics.median(their / our for their, our in zip(fastest, ours, strict=True))


def share_of(flops: float, seconds: Sequence[float], speeds: Sequence[float]) -> float | None:
    """Return a speed as a part of another one, or None if one of the two was not measured.

    Parameters
    ----------
    flops : float
        Floating-point operations of what was timed.
    seconds : sequence of float
        Its times, a number for each round.
    speeds : sequence of float
        What it is compared with, in floating-point operations per second, round by round.

    Returns
    -------
    float or None
        The median over the rounds.

    Examples
    --------
    >>> share_of(6.0, [1.0, 2.0, 3.0], [12.0, 6.0, 2.0])
    0.5
    """
    if not seconds or not speeds:
        return None
    return statistics.median(flops / time / speed for time, speed in zip(seconds, speeds, strict=True))


def _time(entrant: Entrant, n_repeats: int) -> float:
    begin = perf_counter()
    entrant.run(n_repeats)
    return perf_counter() - begin


def _best_thread_count(entrant: Entrant, n_cores: int, seconds: float) -> tuple[int, int]:
    """Return the thread count with which an entrant is fastest, and the repeats of one measurement."""
    trials = []
    for n_threads in entrant.thread_counts(n_cores):
        settle()
        with entrant.threads(n_threads):
            entrant.run(1)  # some compile anew for another number of threads
            n_repeats = _calibrate(entrant, seconds)
            trials.append(
                (min(_time(entrant, n_repeats) for _ in range(3)) / n_repeats, n_threads, n_repeats)
            )
    _, n_threads, n_repeats = min(trials)
    return n_threads, n_repeats


def _calibrate(entrant: Entrant, seconds: float) -> int:
    """Return a number of repeats that takes at least about the given time."""
    n_repeats = 1
    while (elapsed := _time(entrant, n_repeats)) < seconds:
        n_repeats = math.ceil(n_repeats * min(10.0, max(1.5, 1.1 * seconds / max(elapsed, 1e-9))))
    return n_repeats
