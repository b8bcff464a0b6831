"""Single kernels against NumPy: dense, sigmoid, tanh and ReLU, forward and backward, float32.

Both sides get the same arrays; results are compared with double precision before anything is timed.
NumPy writes into buffers made beforehand everywhere. ``fastnn.kernels.dense_backward`` has no ``out=``
and allocates its results within the time. This file must not know how kernels work.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from fastnn import kernels
from fastnn.benchmark.machine import settle
from fastnn.benchmark.rivals.fastnn_ import FastnnRival
from fastnn.benchmark.rivals.numpy_ import NumpyRival
from fastnn.runtime import available_cpus

Array = NDArray[Any]
Call = Callable[[], Any]

SHAPES = ((64, 64), (200, 500), (4096, 1024))
INPUTS = {(64, 64): 64, (200, 500): 784, (4096, 1024): 1024}  # of a dense layer with outputs of that shape
CONTENDERS = ("numpy", "fastnn")
THREADS = tuple(sorted({1, available_cpus()}))

HALF, ONE, ZERO = (np.array(value, np.float32) for value in (0.5, 1, 0))


class Case(NamedTuple):
    """One kernel on one set of arrays: two ways to call it, and what must come out."""

    numpy: Call
    fastnn: Call
    expected: tuple[Array, ...]


def numpy_sigmoid_forward(z: Array, out: Array) -> Array:
    """Return the logistic function by way of tanh, the fastest form in NumPy."""
    np.multiply(z, HALF, out)
    np.tanh(out, out)
    np.multiply(out, HALF, out)
    return np.add(out, HALF, out)


def numpy_sigmoid_backward(dy: Array, y: Array, out: Array) -> Array:
    """Return ``dy * y * (1 - y)``."""
    np.subtract(ONE, y, out)
    np.multiply(out, y, out)
    return np.multiply(out, dy, out)


def numpy_tanh_forward(z: Array, out: Array) -> Array:
    """Return the hyperbolic tangent."""
    return np.tanh(z, out)


def numpy_tanh_backward(dy: Array, y: Array, out: Array) -> Array:
    """Return ``dy * (1 - y**2)``."""
    np.multiply(y, y, out)
    np.subtract(ONE, out, out)
    return np.multiply(out, dy, out)


def numpy_relu_forward(z: Array, out: Array) -> Array:
    """Return ``max(z, 0)``."""
    return np.maximum(z, ZERO, out=out)


def numpy_relu_backward(dy: Array, y: Array, out: Array, mask: Array | None = None) -> Array:
    """Return `dy` where `y` is positive."""
    return np.multiply(dy, np.greater(y, ZERO, mask), out)


NUMPY: dict[str, tuple[Callable[..., Array], Callable[..., Array]]] = {
    "sigmoid": (numpy_sigmoid_forward, numpy_sigmoid_backward),
    "tanh": (numpy_tanh_forward, numpy_tanh_backward),
    "relu": (numpy_relu_forward, numpy_relu_backward),
}
DEFINITIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array, Array], Array]]] = {
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda dy, y: dy * y * (1 - y)),
    "tanh": (np.tanh, lambda dy, y: dy * (1 - y**2)),
    "relu": (lambda z: np.where(z > 0, z, 0), lambda dy, y: np.where(y > 0, dy, 0)),
}


@functools.lru_cache(maxsize=1)
def activation_case(name: str, direction: str, shape: tuple[int, int]) -> Case:
    """Return an element-wise kernel on normal numbers."""
    rng = np.random.default_rng(0)
    z, dy = (rng.standard_normal(shape, dtype=np.float32) for _ in range(2))
    outs = [np.empty_like(z) for _ in CONTENDERS]
    kernel = getattr(kernels, f"{name}_{direction}")
    by_hand = NUMPY[name][direction == "backward"]
    define_forward, define_backward = DEFINITIONS[name]
    if direction == "forward":
        inputs: tuple[Array, ...] = (z,)
        expected = define_forward(z.astype(np.float64))
    else:
        y = define_forward(z.astype(np.float64)).astype(np.float32)
        inputs = (dy, y)
        expected = define_backward(dy.astype(np.float64), y.astype(np.float64))
        if name == "relu":
            by_hand = functools.partial(numpy_relu_backward, mask=np.empty(shape, np.bool_))
    return Case(
        functools.partial(by_hand, *inputs, outs[0]),
        functools.partial(kernel, *inputs, out=outs[1]),
        (expected,),
    )


@functools.lru_cache(maxsize=1)
def dense_arrays(shape: tuple[int, int]) -> tuple[Array, ...]:
    """Return x, w, b, dy and the double-precision output of a ReLU layer with outputs of that shape."""
    rng = np.random.default_rng(0)
    (m, n), k = shape, INPUTS[shape]
    x, b, dy = (rng.standard_normal(size, dtype=np.float32) for size in ((m, k), n, (m, n)))
    w = rng.standard_normal((k, n), dtype=np.float32) * np.float32(k**-0.5)
    return x, w, b, dy, np.maximum(x.astype(np.float64) @ w.astype(np.float64) + b, 0)


@functools.lru_cache(maxsize=1)
def dense_forward_case(shape: tuple[int, int]) -> Case:
    """Return ``relu(x @ w + b)``."""
    x, w, b, _, expected = dense_arrays(shape)
    outs = [np.empty(shape, np.float32) for _ in CONTENDERS]

    def by_hand() -> Array:
        y = np.dot(x, w, outs[0])
        np.add(y, b, y)
        return np.maximum(y, ZERO, out=y)

    ours = functools.partial(kernels.dense_forward, x, w, b, activation="relu", out=outs[1])
    return Case(by_hand, ours, (expected,))


@functools.lru_cache(maxsize=1)
def dense_backward_case(shape: tuple[int, int]) -> Case:
    """Return the gradients of ``relu(x @ w + b)`` with respect to x, w and b."""
    x, w, b, dy, exact_y = dense_arrays(shape)
    y = exact_y.astype(np.float32)
    dz, dx, dw, db, mask = (np.empty_like(array) for array in (dy, x, w, b, y > 0))
    ones = np.ones(len(x), np.float32)

    def by_hand() -> tuple[Array, ...]:
        numpy_relu_backward(dy, y, dz, mask)
        return np.dot(dz, w.T, dx), np.dot(x.T, dz, dw), np.dot(ones, dz, db)

    exact_dz = np.where(y > 0, dy.astype(np.float64), 0)
    expected = (exact_dz @ w.T.astype(np.float64), x.T.astype(np.float64) @ exact_dz, exact_dz.sum(axis=0))
    return Case(by_hand, functools.partial(kernels.dense_backward, dy, x, w, y, "relu"), expected)


def check_and_time(benchmark: Any, case: Case, contender: str, group: str) -> None:
    """Compare one contender's results with double precision, then time it."""
    call: Call = getattr(case, contender)
    results = call()
    results = results if isinstance(results, tuple) else (results,)
    for result, expected in zip(results, case.expected, strict=True):
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    benchmark.group = group
    settle()
    benchmark(call)


def shape_name(shape: tuple[int, int]) -> str:
    """Return for example ``"200x500"``."""
    return "x".join(map(str, shape))


@pytest.mark.parametrize("contender", CONTENDERS)
@pytest.mark.parametrize("shape", SHAPES, ids=shape_name)
@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("name", sorted(NUMPY))
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
    case = dense_forward_case(shape) if direction == "forward" else dense_backward_case(shape)
    group = f"dense {direction} {shape_name(shape)}, inputs {INPUTS[shape]}, threads {n_threads}"
    with ExitStack() as stack:
        for rival in (NumpyRival, FastnnRival):
            stack.enter_context(rival.threads(n_threads))
        check_and_time(benchmark, case, contender, group)
