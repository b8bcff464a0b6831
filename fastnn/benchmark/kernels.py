"""The kernels part: dense, sigmoid, tanh and ReLU, forward and backward, against NumPy, float32.

Both sides get the same arrays, and results are compared with double precision before anything is timed.
NumPy writes into buffers made beforehand everywhere. ``fastnn.kernels.dense_backward`` has no ``out=``
and allocates its results within the time. This file must not know how kernels work.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import kernels
from fastnn.benchmark.parts import Item, Row, Settings, timing
from fastnn.benchmark.race import take_turns
from fastnn.benchmark.rivals.fastnn_ import FastnnRival
from fastnn.benchmark.rivals.numpy_ import NumpyRival

__all__ = ["ACTIVATIONS", "INPUTS", "SHAPES", "Case", "activation_case", "check", "dense_case", "items"]

Array = NDArray[Any]
Call = Callable[[], Any]

SHAPES = ((64, 64), (200, 500), (4096, 1024))
INPUTS = {(64, 64): 64, (200, 500): 784, (4096, 1024): 1024}  # of a dense layer with outputs of that shape

_HALF, _ONE, _ZERO = (np.array(value, np.float32) for value in (0.5, 1, 0))


class Case(NamedTuple):
    """One kernel on one set of arrays: two ways to call it, and what must come out."""

    numpy: Call
    fastnn: Call
    expected: tuple[Array, ...]


def _numpy_sigmoid_forward(z: Array, out: Array) -> Array:
    """Return the logistic function by way of tanh, the fastest form in NumPy."""
    np.multiply(z, _HALF, out)
    np.tanh(out, out)
    np.multiply(out, _HALF, out)
    return np.add(out, _HALF, out)


def _numpy_sigmoid_backward(dy: Array, y: Array, out: Array) -> Array:
    """Return ``dy * y * (1 - y)``."""
    np.subtract(_ONE, y, out)
    np.multiply(out, y, out)
    return np.multiply(out, dy, out)


def _numpy_tanh_forward(z: Array, out: Array) -> Array:
    """Return the hyperbolic tangent."""
    return np.tanh(z, out)


def _numpy_tanh_backward(dy: Array, y: Array, out: Array) -> Array:
    """Return ``dy * (1 - y**2)``."""
    np.multiply(y, y, out)
    np.subtract(_ONE, out, out)
    return np.multiply(out, dy, out)


def _numpy_relu_forward(z: Array, out: Array) -> Array:
    """Return ``max(z, 0)``."""
    return np.maximum(z, _ZERO, out=out)


def _numpy_relu_backward(dy: Array, y: Array, out: Array, mask: Array | None = None) -> Array:
    """Return `dy` where `y` is positive."""
    return np.multiply(dy, np.greater(y, _ZERO, mask), out)


_NUMPY: dict[str, tuple[Callable[..., Array], Callable[..., Array]]] = {
    "sigmoid": (_numpy_sigmoid_forward, _numpy_sigmoid_backward),
    "tanh": (_numpy_tanh_forward, _numpy_tanh_backward),
    "relu": (_numpy_relu_forward, _numpy_relu_backward),
}
ACTIVATIONS = tuple(_NUMPY)

_DEFINITIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array, Array], Array]]] = {
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda dy, y: dy * y * (1 - y)),
    "tanh": (np.tanh, lambda dy, y: dy * (1 - y**2)),
    "relu": (lambda z: np.where(z > 0, z, 0), lambda dy, y: np.where(y > 0, dy, 0)),
}


@functools.lru_cache(maxsize=1)
def activation_case(name: str, direction: str, shape: tuple[int, int]) -> Case:
    """Return an element-wise kernel on normal numbers."""
    rng = np.random.default_rng(0)
    z, dy = (rng.standard_normal(shape, dtype=np.float32) for _ in range(2))
    outs = [np.empty_like(z) for _ in range(2)]
    kernel = getattr(kernels, f"{name}_{direction}")
    by_hand = _NUMPY[name][direction == "backward"]
    define_forward, define_backward = _DEFINITIONS[name]
    if direction == "forward":
        inputs: tuple[Array, ...] = (z,)
        expected = define_forward(z.astype(np.float64))
    else:
        y = define_forward(z.astype(np.float64)).astype(np.float32)
        inputs = (dy, y)
        expected = define_backward(dy.astype(np.float64), y.astype(np.float64))
        if name == "relu":
            by_hand = functools.partial(_numpy_relu_backward, mask=np.empty(shape, np.bool_))
    return Case(
        functools.partial(by_hand, *inputs, outs[0]),
        functools.partial(kernel, *inputs, out=outs[1]),
        (expected,),
    )


@functools.lru_cache(maxsize=1)
def _dense_arrays(shape: tuple[int, int]) -> tuple[Array, ...]:
    """Return x, w, b, dy and the double-precision output of a ReLU layer with outputs of that shape."""
    rng = np.random.default_rng(0)
    (m, n), k = shape, INPUTS[shape]
    x, b, dy = (rng.standard_normal(size, dtype=np.float32) for size in ((m, k), n, (m, n)))
    w = rng.standard_normal((k, n), dtype=np.float32) * np.float32(k**-0.5)
    return x, w, b, dy, np.maximum(x.astype(np.float64) @ w.astype(np.float64) + b, 0)


@functools.lru_cache(maxsize=1)
def _dense_forward_case(shape: tuple[int, int]) -> Case:
    """Return ``relu(x @ w + b)``."""
    x, w, b, _, expected = _dense_arrays(shape)
    outs = [np.empty(shape, np.float32) for _ in range(2)]

    def by_hand() -> Array:
        y = np.dot(x, w, outs[0])
        np.add(y, b, y)
        return np.maximum(y, _ZERO, out=y)

    ours = functools.partial(kernels.dense_forward, x, w, b, activation="relu", out=outs[1])
    return Case(by_hand, ours, (expected,))


@functools.lru_cache(maxsize=1)
def _dense_backward_case(shape: tuple[int, int]) -> Case:
    """Return the gradients of ``relu(x @ w + b)`` with respect to x, w and b."""
    x, w, b, dy, exact_y = _dense_arrays(shape)
    y = exact_y.astype(np.float32)
    dz, dx, dw, db, mask = (np.empty_like(array) for array in (dy, x, w, b, y > 0))
    ones = np.ones(len(x), np.float32)

    def by_hand() -> tuple[Array, ...]:
        _numpy_relu_backward(dy, y, dz, mask)
        return np.dot(dz, w.T, dx), np.dot(x.T, dz, dw), np.dot(ones, dz, db)

    exact_dz = np.where(y > 0, dy.astype(np.float64), 0)
    expected = (exact_dz @ w.T.astype(np.float64), x.T.astype(np.float64) @ exact_dz, exact_dz.sum(axis=0))
    return Case(by_hand, functools.partial(kernels.dense_backward, dy, x, w, y, "relu"), expected)


def dense_case(direction: str, shape: tuple[int, int]) -> Case:
    """Return a dense layer with ReLU, forward or backward, with outputs of a shape."""
    return _dense_forward_case(shape) if direction == "forward" else _dense_backward_case(shape)


def check(case: Case, contender: str) -> None:
    """Compare one contender's results with double precision.

    Parameters
    ----------
    case : Case
        The kernel and its arrays.
    contender : {"numpy", "fastnn"}
        Whose results.

    Raises
    ------
    AssertionError
        If they differ by more than 1e-5 of the largest element.
    """
    results = getattr(case, contender)()
    results = results if isinstance(results, tuple) else (results,)
    for result, expected in zip(results, case.expected, strict=True):
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def items(settings: Settings) -> list[Item]:
    """Return the cases: every kernel, direction and shape.

    Parameters
    ----------
    settings : Settings
        Effort and cores; the contenders are always NumPy and fastnn.

    Returns
    -------
    list of Item
        Their rows hold ``kernel``, ``shape``, ``agree`` and ``timings``.
    """
    cases: list[tuple[str, tuple[int, int], Callable[[], Case]]] = []
    for shape in SHAPES:
        for direction in ("forward", "backward"):
            cases.append((f"dense {direction}", shape, functools.partial(dense_case, direction, shape)))
            cases += [
                (f"{name} {direction}", shape, functools.partial(activation_case, name, direction, shape))
                for name in ACTIVATIONS
            ]
    return [
        Item(f"{name} {shape[0]}x{shape[1]}", functools.partial(_measure, settings, name, shape, make))
        for name, shape, make in cases
    ]


class _Calls:
    """A kernel as an entrant of a race, a call a repeat."""

    def __init__(self, call: Call, rival: type[NumpyRival | FastnnRival], single: bool) -> None:
        self._call, self._rival, self._single = call, rival, single

    def thread_counts(self, n_cores: int) -> tuple[int, ...]:
        """Return one thread, and all where a matrix product can use them."""
        return (1,) if self._single else self._rival.thread_counts(n_cores)

    def threads(self, n_threads: int) -> AbstractContextManager[Any]:
        """Return the context of the contender."""
        return self._rival.threads(n_threads)

    def run(self, n_repeats: int) -> None:
        """Call the kernel some times."""
        call = self._call
        for _ in range(n_repeats):
            call()


def _measure(settings: Settings, name: str, shape: tuple[int, int], make: Callable[[], Case]) -> Row:
    case = make()
    row: Row = {"kernel": name, "shape": list(shape), "agree": True, "refusals": {}}
    try:
        for contender in ("numpy", "fastnn"):
            check(case, contender)
    except AssertionError:
        return {**row, "agree": False, "timings": [timing(n, None) for n in ("NumPy", "fastnn")]}
    single = not name.startswith("dense")
    entrants = [_Calls(case.numpy, NumpyRival, single), _Calls(case.fastnn, FastnnRival, False)]
    turns = take_turns(entrants, settings.effort, settings.n_cores)
    return {**row, "timings": [timing(n, t) for n, t in zip(("NumPy", "fastnn"), turns, strict=True)]}
