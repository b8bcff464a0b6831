"""What contenders built on an optional library share: is it there, which version, without its chatter.

This file must not know any library by name, nor what a contender does with it.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import logging
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from fastnn.benchmark.workloads import Workload

__all__ = ["OptionalLibrary", "check_epochs", "quietly"]


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep a library's warnings and log lines out of the tables: they are not news of the race."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


class OptionalLibrary:
    """The part of the protocol `Contender` that does not depend on what is raced."""

    module: ClassVar[str]
    """What is imported first; the part before the first dot must be installed."""

    distribution: ClassVar[str]
    """The installed package whose version is reported."""

    requires: ClassVar[str]
    """What has to be installed, in words."""

    slow_start: ClassVar[bool] = False

    @classmethod
    def available(cls) -> bool:
        """Say whether the library is installed."""
        return importlib.util.find_spec(cls.module.partition(".")[0]) is not None

    @classmethod
    def version(cls) -> str:
        """Return the library's version."""
        return importlib.metadata.version(cls.distribution)

    @classmethod
    def refuses(cls, workload: Workload) -> str | None:
        """Return why this contender cannot train a workload, or None: it can."""
        return None

    @classmethod
    def thread_counts(cls, n_cores: int) -> tuple[int, ...]:
        """Return one thread and all."""
        return tuple(sorted({1, n_cores}))

    @classmethod
    def threads(cls, n_threads: int) -> AbstractContextManager[Any]:
        """Return a context in which BLAS uses `n_threads` threads."""
        from threadpoolctl import threadpool_limits

        context: AbstractContextManager[Any] = threadpool_limits(limits=n_threads, user_api="blas")
        return context


def check_epochs(n_epochs: int) -> None:
    """Raise unless there is at least one epoch to train.

    Parameters
    ----------
    n_epochs : int
        Passes over the data.

    Raises
    ------
    ValueError
        If `n_epochs` is less than 1.
    """
    if n_epochs < 1:
        raise ValueError(f"expected at least 1 epoch, got {n_epochs}")
