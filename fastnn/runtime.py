"""What the process runs on: SIMD level, BLAS and its threads, the number of our own threads.

This file must not know models or plans.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from fastnn._core import executor as _executor
from fastnn._core import helpers as _helpers
from fastnn._core import table as _table
from fastnn.checks import check_count
from fastnn.plan import Activation, Axis, OpCode, Path

__all__ = [
    "blas_single_threaded",
    "build_info",
    "default_threads",
    "resolve_threads",
    "simd_level",
    "threads",
]

if any(
    known != {member.name: int(member) for member in enum}
    for known, enum in (
        (_executor.OPCODES, OpCode),
        (_executor.ACTIVATIONS, Activation),
        (_executor.PATHS, Path),
        (_executor.AXES, Axis),
    )
):
    raise ImportError("fastnn's compiled core does not match its Python part; build it again")

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_helpers.retire, after_in_child=_helpers.forget)
atexit.register(_helpers.retire)

MAXIMUM_THREADS = 256
_chosen = threading.local()


def available_cpus() -> int:
    """Return how many CPUs this process may use: affinity, then the cgroup's quota."""
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    # Reading files takes 40 us, more than a small prediction: once a second is enough.
    return max(1, min(count, _cgroup_quota(count, int(time.monotonic()))))


@functools.lru_cache(maxsize=1)
def _cgroup_quota(count: int, second: int) -> int:
    with contextlib.suppress(OSError, ValueError):
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:
            quota, period = file.read().split()
        if quota != "max":
            return max(1, int(quota) // int(period))
    with contextlib.suppress(OSError, ValueError):
        with open("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", encoding="ascii") as file:
            limit = int(file.read())
        with open("/sys/fs/cgroup/cpu/cpu.cfs_period_us", encoding="ascii") as file:
            if limit > 0:
                return max(1, limit // int(file.read()))
    return count


def default_threads() -> int:
    """Return the number of threads used unless a call or `threads` says otherwise.

    It is the least of the CPUs this process may use and of the environment's
    ``FASTNN_NUM_THREADS`` and ``OMP_NUM_THREADS``; what is not a positive number is ignored.

    Returns
    -------
    int

    Examples
    --------
    >>> default_threads() >= 1
    True
    """
    chosen: int | None = getattr(_chosen, "count", None)
    if chosen is not None:
        return chosen
    count = available_cpus()
    for name in (b"FASTNN_NUM_THREADS", b"OMP_NUM_THREADS"):
        given = _helpers.environment(name)
        if given:
            with contextlib.suppress(ValueError):
                value = int(given.split(b",")[0])
                if value > 0:
                    count = min(count, value)
    return min(count, MAXIMUM_THREADS)


def resolve_threads(n_threads: int | None) -> int:
    """Return the number of threads that an argument ``n_threads`` stands for.

    Parameters
    ----------
    n_threads : int or None
        None is the default; more than there are CPUs is cut to that.

    Returns
    -------
    int

    Raises
    ------
    DTypeError
        If it is not an integer.
    ConfigurationError
        If it is less than 1.
    """
    if n_threads is None:
        return default_threads()
    return min(check_count(n_threads, "n_threads"), available_cpus(), MAXIMUM_THREADS)


@contextlib.contextmanager
def threads(n: int) -> Iterator[None]:
    """Set the number of threads for what this Python thread calls inside the block.

    Parameters
    ----------
    n : int
        At least 1; more than there are CPUs is cut to that.

    Raises
    ------
    DTypeError
        If it is not an integer.
    ConfigurationError
        If it is less than 1.

    Examples
    --------
    >>> with threads(1):
    ...     default_threads()
    1
    """
    before = getattr(_chosen, "count", None)
    _chosen.count = resolve_threads(n)
    try:
        yield
    finally:
        _chosen.count = before


class _BlasGuard:
    """Keeps BLAS at one thread while anyone is inside; restores it when the last one leaves.

    BLAS thread counts belong to the whole process, so the guard counts who is inside.  The
    controller is built at first use: building one at import has deadlocked other libraries.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._controller: Any = None
        self._limits: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                if self._controller is None:
                    from threadpoolctl import ThreadpoolController

                    self._controller = ThreadpoolController()
                self._take_control()
                self._limits = self._controller.limit(limits=1, user_api="blas")
            self._inside += 1

    def __exit__(self, *details: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                limits, self._limits = self._limits, None
                self._take_control()  # whoever leaves last may be another thread
                limits.restore_original_limits()

    def _take_control(self) -> None:
        """Let this thread set limits: threadpoolctl, from 3.8 on, ignores all but the first to do so."""
        for library in self._controller.lib_controllers:
            if hasattr(library, "clear_controlling_thread"):
                library.clear_controlling_thread(force=True)


blas_single_threaded = _BlasGuard()


def _blas_name() -> str:
    import scipy.linalg.cython_blas  # noqa: F401 - its BLAS must be loaded to be seen
    from threadpoolctl import ThreadpoolController

    found = []
    for library in ThreadpoolController().info():
        if library.get("user_api") == "blas" and "scipy.libs" in str(library.get("filepath", "")):
            found.append(
                f"{library.get('internal_api')} {library.get('version')} ({library.get('architecture')})"
            )
    return ", ".join(found) or ("Accelerate" if sys.platform == "darwin" else "unknown")


def simd_level() -> str:
    """Return the SIMD level of the kernels in use: ``"base"``, ``"v3"`` or ``"v4"``.

    Examples
    --------
    >>> simd_level() in ("base", "v3", "v4")
    True
    """
    return _table.level()


def build_info() -> dict[str, str | int]:
    """Return what this installation runs on.

    Returns
    -------
    dict
        ``version``, ``simd`` (level of the kernels), ``blas``, ``threads`` (default number),
        ``cpus`` (that this process may use), ``python``, ``numpy``, ``scipy``.

    Examples
    --------
    >>> sorted(build_info())
    ['blas', 'cpus', 'numpy', 'python', 'scipy', 'simd', 'threads', 'version']
    """
    import numpy
    import scipy

    import fastnn

    return {
        "version": fastnn.__version__,
        "simd": simd_level(),
        "blas": _blas_name(),
        "threads": default_threads(),
        "cpus": available_cpus(),
        "python": sys.version.split()[0],
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
    }
