"""What the benchmark runs on: processor, BLAS libraries, and the speed of their matrix product.

The best product is the ceiling; `SquareProduct` races beside the contenders, so that a share of what the
machine gives at that moment is known too; `settle` gives everyone a quiet start. This file must not know
workloads, contenders or how results are printed.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from time import perf_counter, process_time, sleep
from typing import Any

import numpy as np

__all__ = ["SquareProduct", "blas_libraries", "processor_name", "settle", "sgemm_peak"]

_NAP = 0.01  # seconds between two looks at this process's CPU time


def processor_name() -> str:
    """Return the processor's name as the operating system gives it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine() or "unknown processor"


def blas_libraries() -> list[str]:
    """Return one line for each BLAS library loaded into this process, for example NumPy's and SciPy's.

    Libraries that threadpoolctl does not know, such as Accelerate, are not listed.
    """
    from threadpoolctl import threadpool_info

    infos: list[dict[str, Any]] = threadpool_info()
    lines = []
    for info in infos:
        if info.get("user_api") == "blas":
            parts = (info["internal_api"], info.get("version"), info.get("architecture"))
            folder = Path(info["filepath"]).parent.name  # numpy.libs, scipy.libs, lib
            lines.append(" ".join(str(part) for part in parts if part) + f" ({folder})")
    return lines


def settle(limit: float = 1.0) -> None:
    """Wait until no thread of this process computes any more.

    The idle threads of a BLAS pool go on spinning after a product, OpenBLAS's for about 0.1 s, and take
    a core from whoever comes next: a contender that was measured right after NumPy had used two threads
    took twice as long on a machine of two cores.

    Parameters
    ----------
    limit : float
        Seconds after which to stop waiting.
    """
    deadline = perf_counter() + limit
    while (begin := perf_counter()) < deadline:
        busy = process_time()
        sleep(_NAP)
        if process_time() - busy < 0.1 * (perf_counter() - begin):
            return


class SquareProduct:
    """A large single-precision matrix product in NumPy, as an entrant of a race.

    Parameters
    ----------
    size : int
        Order of the matrices.

    Attributes
    ----------
    flops : int
        Floating-point operations of a product.
    """

    def __init__(self, size: int = 2048) -> None:
        rng = np.random.default_rng(0)
        self._a, self._b = (rng.standard_normal((size, size), dtype=np.float32) for _ in range(2))
        self._product = np.zeros_like(self._a)
        self.flops = 2 * size**3

    def thread_counts(self, n_cores: int) -> tuple[int, ...]:
        """Return ``(n_cores,)``: the yardstick is the whole machine."""
        return (n_cores,)

    def threads(self, n_threads: int) -> AbstractContextManager[Any]:
        """Return a context in which BLAS uses `n_threads` threads."""
        from threadpoolctl import threadpool_limits

        limits: AbstractContextManager[Any] = threadpool_limits(limits=n_threads, user_api="blas")
        return limits

    def run(self, n_repeats: int) -> None:
        """Multiply `n_repeats` times."""
        for _ in range(n_repeats):
            np.matmul(self._a, self._b, out=self._product)


def sgemm_peak(n_threads: int, sizes: Sequence[int] = (1024, 1536, 2048), repeats: int = 4) -> float:
    """Measure the best speed of a large single-precision matrix product in NumPy.

    Parameters
    ----------
    n_threads : int
        Threads that BLAS may use.
    sizes : sequence of int
        Orders of the square matrices to try.
    repeats : int
        Products per size; the fastest counts.

    Returns
    -------
    float
        Floating-point operations per second.
    """
    from threadpoolctl import threadpool_limits

    best = 0.0
    with threadpool_limits(limits=n_threads, user_api="blas"):
        for size in sizes:
            rng = np.random.default_rng(0)
            a, b = (rng.standard_normal((size, size), dtype=np.float32) for _ in range(2))
            product = np.empty_like(a)
            np.matmul(a, b, out=product)  # touches the memory and wakes the threads
            for _ in range(repeats):
                begin = perf_counter()
                np.matmul(a, b, out=product)
                best = max(best, 2 * size**3 / (perf_counter() - begin))
    return best
