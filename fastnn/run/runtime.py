"""What the process runs on: SIMD level, BLAS and its threads, the number of our own threads.

This file must not know models; of `opcodes.py` it knows the enums, which must be those of the core.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import os
import sys
import threading
import time

from fastnn._core import executor as _executor
from fastnn._core import guards as _guards
from fastnn._core import pool as _pool
from fastnn._core import table as _table
from fastnn.checks import check_count, shown
from fastnn.errors import ConfigurationError
from fastnn.opcodes import SIGNATURES, Axis, OpCode, Path
from fastnn.ops import ACTIVATIONS, Activation, Pointwise, Rowwise
from fastnn.version import __version__

__all__ = [
    "blas_single_threaded",
    "build_info",
    "chosen_threads",
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
        (_executor.POINTWISE, Pointwise),
        (_executor.ROWWISE, Rowwise),
        (_executor.PATHS, Path),
        (_executor.AXES, Axis),
    )
) or (_executor.ROW_WISE, _executor.FROM_INPUT) != (
    {member.name for member, traits in ACTIVATIONS.items() if traits.row_wise},
    {member.name for member, traits in ACTIVATIONS.items() if traits.from_input},
):
    raise ImportError("fastnn's compiled core does not match its Python part; build it again")

# Kernels are loaded later, and compared then.
_table.expect((int(path), int(code)) for code, signature in SIGNATURES.items() for path in signature.paths)

if hasattr(os, "register_at_fork"):  # what is registered last comes first before a fork
    os.register_at_fork(before=_guards.hold_products, after_in_parent=_guards.release_products)
    os.register_at_fork(before=_guards.finish_loading, after_in_child=_guards.forget)
    os.register_at_fork(before=_pool.retire, after_in_child=_pool.forget)
atexit.register(_pool.retire)

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
    # Another encoding than UTF-8 would be imported: a module that the child of a fork may find locked.
    with contextlib.suppress(OSError, ValueError):
        with open("/sys/fs/cgroup/cpu.max", encoding="utf-8") as file:
            quota, period = file.read().split()
        if quota != "max":
            return max(1, int(quota) // int(period))
    with contextlib.suppress(OSError, ValueError):
        with open("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", encoding="utf-8") as file:
            limit = int(file.read())
        with open("/sys/fs/cgroup/cpu/cpu.cfs_period_us", encoding="utf-8") as file:
            if limit > 0:
                return max(1, limit // int(file.read()))
    return count


def chosen_threads() -> int | None:
    """Return what the block of `threads` around a call says; None without one."""
    chosen: int | None = getattr(_chosen, "count", None)
    return chosen


def default_threads() -> int:
    """Return the number of threads used unless a call or `threads` says otherwise.

    It is the least of the CPUs this process may use and of the environment's
    ``FASTNN_NUM_THREADS`` and ``OMP_NUM_THREADS``.  Of the latter, which others read too, the first number
    of a list counts, and what is no positive number is ignored.

    Returns
    -------
    int

    Raises
    ------
    ConfigurationError
        If ``FASTNN_NUM_THREADS`` is set, and is not a whole number of at least 1.

    Examples
    --------
    >>> default_threads() >= 1
    True
    """
    chosen = chosen_threads()
    if chosen is not None:
        return chosen
    environment = _pool.environment
    limit = _limit(environment(b"FASTNN_NUM_THREADS"), environment(b"OMP_NUM_THREADS"))
    return 1 if limit == 1 else min(available_cpus(), limit)


# Short calls ask every time: what variables mean is found out when they have changed.
@functools.lru_cache(maxsize=1)
def _limit(ours: bytes | None, openmp: bytes | None) -> int:
    """Return the most threads that two variables of the environment allow."""
    limit = MAXIMUM_THREADS
    if ours:
        number = _whole_number(ours)
        if number < 1:
            raise ConfigurationError(
                "FASTNN_NUM_THREADS must be a whole number of at least 1, got "
                f"{shown(os.fsdecode(ours))}; without it all CPUs are used"
            )
        limit = min(limit, number)
    number = _whole_number(openmp.split(b",")[0]) if openmp else 0
    return min(limit, number) if number > 0 else limit


def _whole_number(text: bytes) -> int:
    """Return the number that a text is, or 0."""
    with contextlib.suppress(ValueError):
        return int(text)
    return 0


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
        If it is less than 1, or as `default_threads` does.
    """
    if n_threads is None:
        return default_threads()
    count = check_count(n_threads, "n_threads")
    return 1 if count == 1 else min(count, available_cpus(), MAXIMUM_THREADS)


class threads(_guards.Setting, contextlib.ContextDecorator):
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

    def __init__(self, n: int) -> None:
        super().__init__(_chosen, "count", resolve_threads(n))


# The functions of BLAS libraries by the names that threadpoolctl gives these: how many threads, and set them.
_BLAS_FUNCTIONS = {
    "openblas": [
        (f"{prefix}openblas_get_num_threads{suffix}", f"{prefix}openblas_set_num_threads{suffix}")
        for prefix in ("", "scipy_")
        for suffix in ("", "64_", "_64")
    ],
    "mkl": [("MKL_Get_Max_Threads", "MKL_Set_Num_Threads")],
    "blis": [("bli_thread_get_num_threads", "bli_thread_set_num_threads")],
}


def find_blas() -> None:
    """Find out how to set the numbers of threads of the BLAS libraries that are loaded, at the first call.

    Not at import: that has deadlocked other libraries.
    """
    if _guards.knows_blas():
        return
    _guards.load("scipy.linalg.cython_blas")  # its BLAS must be loaded to be seen
    found: list[tuple[int, int]] = []
    for library in _guards.load("threadpoolctl").ThreadpoolController().lib_controllers:
        for names in _BLAS_FUNCTIONS.get(library.internal_api, ()):
            if all(hasattr(library.dynlib, name) for name in names):
                functions = (getattr(library.dynlib, name) for name in names)
                get, set_ = (ctypes.cast(function, ctypes.c_void_p).value or 0 for function in functions)
                found.append((get, set_))
                break
    _guards.know_blas(found)


def blas_single_threaded() -> _guards.SingleThreadedBlas:
    """Return a context manager that keeps BLAS at one thread while anyone is inside one.

    BLAS's thread counts belong to the whole process, so who leaves last restores them.
    """
    find_blas()
    return _guards.SingleThreadedBlas()


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

    return {
        "version": __version__,
        "simd": simd_level(),
        "blas": _blas_name(),
        "threads": default_threads(),
        "cpus": available_cpus(),
        "python": sys.version.split()[0],
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
    }
