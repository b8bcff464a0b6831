"""The contenders of the training benchmark: what one must offer, one file for each.

To add one, write a file here with a class that satisfies `Rival` and name it in `RIVALS`. A library
that may be absent is imported inside `available`, the constructor and `threads`, never at the top.
This file must not know how contenders are timed, and imports none of them before it is asked to.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from fastnn.benchmark.workloads import Workload

__all__ = ["RIVALS", "Contender", "Rival", "load_rivals"]

# Module and class of every contender, fastnn last: the others are compared with it.
RIVALS: tuple[tuple[str, str], ...] = (("numpy_", "NumpyRival"), ("fastnn_", "FastnnRival"))


class Contender(Protocol):
    """Who competes: a name, a version, and control over its threads.

    An inference benchmark can extend this as `Rival` does, with a ``predict`` in place of the training.
    """

    name: ClassVar[str]
    """What the tables call it."""

    @classmethod
    def available(cls) -> bool:
        """Say whether the library is installed."""
        ...

    @classmethod
    def version(cls) -> str:
        """Return the library's version."""
        ...

    @classmethod
    def thread_counts(cls, n_cores: int) -> tuple[int, ...]:
        """Return the thread counts to try on a machine of `n_cores` cores; the best one is reported."""
        ...

    @classmethod
    def threads(cls, n_threads: int) -> AbstractContextManager[Any]:
        """Return a context in which the library computes with `n_threads` threads."""
        ...


class Rival(Contender, Protocol):
    """A contender that trains: built from a workload, initial weights and data, it keeps its own state.

    Rows are used in the order given, in whole batches, without shuffling. Weights are copied, so the
    caller's arrays never change; `x` and `y` may be used in place but are never written to.
    """

    def __init__(
        self,
        workload: Workload,
        weights: Sequence[NDArray[np.float32]],
        x: NDArray[np.float32],
        y: NDArray[Any],
    ) -> None: ...

    def run_epochs(self, n_epochs: int) -> float:
        """Train for `n_epochs` more epochs; return the mean of the batch losses of the last one.

        The loss of a batch is the one before its update, as in Keras's History.
        """
        ...

    def get_weights(self) -> list[NDArray[np.float32]]:
        """Return copies of the kernels and biases, in the order in which they were given."""
        ...


def load_rivals() -> tuple[type[Rival], ...]:
    """Import the contenders and return those whose library is installed.

    Returns
    -------
    tuple of type
        Classes that satisfy `Rival`, fastnn last.
    """
    rivals = (getattr(importlib.import_module(f"{__name__}.{module}"), name) for module, name in RIVALS)
    return tuple(rival for rival in rivals if rival.available())
