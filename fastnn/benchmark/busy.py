"""The busy part: training beside another process that computes without pause on one core.

What is compared: fastnn with all threads against fastnn with one thread, both beside the same busy
process, in turns, by the time of the same round. A ratio of 1 says that the second thread is worth
nothing there, below 1 that it does harm: that is what happens to a static split of the work, which
waits for the slow core. Nobody is pinned to a core; the operating system places all three threads. This
file must not know how threads share work.
"""

from __future__ import annotations

import contextlib
import functools
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from fastnn.benchmark.parts import Item, LeftOut, Row, Settings, timing
from fastnn.benchmark.race import take_turns
from fastnn.benchmark.report import count_threads
from fastnn.benchmark.rivals.fastnn_ import FastnnRival
from fastnn.benchmark.runner import batch_count
from fastnn.benchmark.workloads import Workload, make_data, make_weights

__all__ = ["WORKLOADS", "busy_process", "items"]

WORKLOADS = ("smallmlp", "twenty", "tabular", "mnist", "wide")
"""Those in which more than one thread is worth having."""

# It ends with its parent even if that is killed: its own parent is then another.
_SPIN = """
import os
parent = os.getppid()
print("spinning", flush=True)
while os.getppid() == parent:
    for _ in range(100_000):
        pass
"""


def items(settings: Settings) -> list[Item]:
    """Return the workloads of `WORKLOADS` that are among those chosen.

    Parameters
    ----------
    settings : Settings
        Workloads, effort and cores.

    Returns
    -------
    list of Item
        Their rows hold ``workload``, ``net``, ``agree`` and two ``timings``, one thread and all.
    """
    return [
        Item(workload.name, functools.partial(_measure, settings, workload))
        for workload in settings.workloads
        if workload.name in WORKLOADS
    ]


@contextlib.contextmanager
def busy_process() -> Iterator[subprocess.Popen[str]]:
    """Keep one core busy with a Python loop in another process for the time of the context.

    Yields
    ------
    subprocess.Popen
        The process, already spinning; it is killed at the end.
    """
    command = [sys.executable, "-I", "-S", "-c", _SPIN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process
        finally:
            process.kill()


class _Epochs:
    """fastnn with a given number of threads as an entrant of a race, an epoch a repeat."""

    def __init__(self, contender: FastnnRival, n_threads: int) -> None:
        self.run, self._n_threads = contender.run_epochs, n_threads

    def thread_counts(self, n_cores: int) -> tuple[int, ...]:
        """Return the one number of threads."""
        return (self._n_threads,)

    def threads(self, n_threads: int) -> AbstractContextManager[Any]:
        """Return fastnn's context."""
        return FastnnRival.threads(n_threads)


def _measure(settings: Settings, workload: Workload) -> Row:
    if settings.n_cores < 2:
        raise LeftOut("this process may use a single core only")
    n_batches = batch_count(workload)
    x, y = make_data(workload, n_batches)
    counts = (1, settings.n_cores)
    contenders = [FastnnRival(workload, make_weights(workload), x, y) for _ in counts]
    with busy_process():
        entrants = [_Epochs(contender, n) for contender, n in zip(contenders, counts, strict=True)]
        turns = take_turns(entrants, settings.effort, settings.n_cores)
    names = [count_threads(n) for n in counts]
    return {
        "workload": workload.name,
        "net": workload.net,
        "batch": workload.batch,
        "agree": True,
        "refusals": {},
        "timings": [timing(name, turn, n_batches) for name, turn in zip(names, turns, strict=True)],
    }
