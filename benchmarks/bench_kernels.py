"""Single kernels against NumPy under pytest-benchmark: for histories and comparisons of two versions.

The cases are those of `fastnn.benchmark.kernels`; results are compared with double precision before
anything is timed. This file must not know how kernels work.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

from fastnn.benchmark.kernels import ACTIVATIONS, INPUTS, SHAPES, Case, activation_case, check, dense_case
from fastnn.benchmark.machine import settle
from fastnn.benchmark.rivals.fastnn_ import FastnnRival
from fastnn.benchmark.rivals.numpy_ import NumpyRival
from fastnn.run.runtime import available_cpus

CONTENDERS = ("numpy", "fastnn")
THREADS = tuple(sorted({1, available_cpus()}))


def check_and_time(benchmark: Any, case: Case, contender: str, group: str) -> None:
    """Compare one contender's results with double precision, then time it."""
    check(case, contender)
    benchmark.group = group
    settle()
    benchmark(getattr(case, contender))


def shape_name(shape: tuple[int, int]) -> str:
    """Return for example ``"200x500"``."""
    return "x".join(map(str, shape))


@pytest.mark.parametrize("contender", CONTENDERS)
@pytest.mark.parametrize("shape", SHAPES, ids=shape_name)
@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_activation(
    benchmark: Any, name: str, direction: str, shape: tuple[int, int], contender: str
) -> None:
    """Time an element-wise kernel; NumPy uses one thread for these."""
    group = f"{name} {direction} {shape_name(shape)}"
    check_and_time(benchmark, activation_case(name, direction, shape), contender, group)


@pytest.mark.parametrize("contender", CONTENDERS)
@pytest.mark.parametrize("n_threads", THREADS)
@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("shape", SHAPES, ids=shape_name)
def test_dense(
    benchmark: Any, shape: tuple[int, int], direction: str, n_threads: int, contender: str
) -> None:
    """Time a dense layer with ReLU; BLAS has the given number of threads on both sides."""
    case = dense_case(direction, shape)
    group = f"dense {direction} {shape_name(shape)}, inputs {INPUTS[shape]}, threads {n_threads}"
    with ExitStack() as stack:
        for rival in (NumpyRival, FastnnRival):
            stack.enter_context(rival.threads(n_threads))
        check_and_time(benchmark, case, contender, group)
