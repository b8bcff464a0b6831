"""Sums of very many numbers in float32: over the rows of a long batch, and over very many columns.

Equal numbers are the worst case, as each addition then rounds the same way; so errors are measured with
them, and with numbers at random.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from fastnn import Input, Model, Sequential, kernels, layers, losses, optimizers, regularizers
from fastnn.compiler.pipeline import compile_plan
from fastnn.compiler.plan import PRODUCTS, Path, Plan, Slot
from fastnn.optimizers import Optimizer
from fastnn.run.program import Program
from fastnn.run.reference import ReferenceProgram

Array = np.ndarray
SINGLE = np.dtype(np.float32)
LENGTHS = (1, 1000, 4097, 10_000, 100_000, 1_000_000)
# (inputs, outputs) by path; what a thin net trains with is columns anyway
NETS = [
    (Path.COLUMNS, 1, 1),
    (Path.COLUMNS, 6, 5),
    (Path.COLUMNS, 2, 6),
    (Path.BLAS, 13, 1),
    (Path.BLAS, 20, 17),
    (Path.DIRECT, 70, 3),
    (Path.FEW_OUTPUTS, 20, 1),
    (Path.FEW_OUTPUTS, 70, 3),
    (Path.FEW_OUTPUTS, 20, 4),
    (Path.DIRECT, 20, 17),
    (Path.BLOCKS, 20, 17),
]
# what a step leaves of a gradient: where, and how many times
WAYS = {
    "gradients": ("gradients", optimizers.SGD(), Slot.GRADIENTS, 1.0),
    "sgd": ("train", optimizers.SGD(), Slot.PARAMETERS, -1.0),
    "momentum": ("train", optimizers.SGD(momentum=0.9), Slot.STATE, -1.0),
    "adam": ("train", optimizers.Adam(), Slot.STATE, 0.1),
}


def named(value: object) -> str:
    return value.name if isinstance(value, Path) else str(value)


def lengths_of(columns: int, kind: str) -> Iterator[int]:
    """Yield the lengths at which a batch of so many columns is soon made."""
    most = 21_000_000 if kind == "equal" else 3_000_000
    yield from (length for length in LENGTHS if length * columns <= most)


def rows_of(length: int, columns: int, kind: str, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    if kind == "equal":
        rows = np.empty((length, columns), np.float32)
        rows[...] = rng.uniform(0.5, 1, columns)
        return rows
    return rng.standard_normal((length, columns), np.float32)


def assert_sums(given: Array, exact: Array, scale: Array, tolerance: float, what: object = "") -> None:
    """Compare sums, relative to the sums of absolute values."""
    worst = (np.abs(given - exact) / scale).max()
    assert worst <= tolerance, f"{what}: relative error {worst:.1e}"


def plan_of(inputs: int, outputs: int, rows: int, purpose: str, simd: str, optimizer: Optimizer) -> Plan:
    graph = Sequential([Input((inputs,)), layers.Dense(outputs)], seed=0).graph
    loss = losses.MeanSquaredError()
    return compile_plan(graph, purpose, capacity=rows, losses=(loss,), optimizer=optimizer, simd=simd)


def forced(plan: Plan, path: Path) -> Plan:
    """Return a plan whose products take a path; that of columns is not forced, but must be there."""
    if path is Path.COLUMNS:
        assert {op.path for op in plan.ops if op.code in PRODUCTS} == {path}
        return plan
    return replace(plan, ops=tuple(replace(op, path=path) if op.code in PRODUCTS else op for op in plan.ops))


def step(plan: Plan, x: Array, y: Array, n_threads: int = 1) -> dict[Slot, Array]:
    """Make one step from weights of 0 with a learning rate of 1; return what it left in each slot."""
    slots = (Slot.PARAMETERS, Slot.GRADIENTS, Slot.STATE)
    arrays = {slot: np.zeros(plan.sizes[slot], np.float32) for slot in slots}
    program = Program(plan, SINGLE, *arrays.values())
    rates = np.ones((1, len(plan.scalars)))
    program.run({"x": x, "y": y}, len(x), len(x), scalars=lambda *_: rates, n_threads=n_threads)
    return arrays


def split(flat: Array, factor: float, inputs: int, outputs: int) -> tuple[Array, Array]:
    """Return the gradients of kernel and bias, of which `flat` begins with the `factor`-fold."""
    first = -(-inputs * outputs // 16) * 16  # parameters begin at cache lines
    given = flat[: first + outputs].astype(np.float64) / factor
    return given[: inputs * outputs].reshape(inputs, outputs), given[first:]


@pytest.mark.parametrize("kind", ["equal", "random"])
@pytest.mark.parametrize(("path", "inputs", "outputs"), NETS, ids=named)
def test_gradients_of_long_batches(
    path: Path, inputs: int, outputs: int, kind: str, simd_level: str, tolerances: dict[str, float]
) -> None:
    for rows in lengths_of(inputs + outputs, kind):
        x, y = rows_of(rows, inputs, kind, 1), rows_of(rows, outputs, kind, 2)
        # With weights of 0 the gradient of the outputs is y times this.
        factor = -2 / (rows * outputs)
        some = 1 if kind == "equal" else rows
        x64, dy = x[:some].astype(np.float64), y[:some] * (factor * rows / some)
        exact = x64.T @ dy, dy.sum(0)
        scales = np.abs(x64).T @ np.abs(dy), np.abs(dy).sum(0)
        for name, (purpose, optimizer, slot, share) in WAYS.items():
            if path is Path.COLUMNS and (purpose == "gradients" or rows < 64):
                continue
            if rows == LENGTHS[-1] and name not in ("gradients", "sgd"):  # others have these gradients
                continue
            plan = forced(plan_of(inputs, outputs, rows, purpose, simd_level, optimizer), path)
            given = split(step(plan, x, y)[slot], share, inputs, outputs)
            for found, sums, scale in zip(given, exact, scales, strict=True):
                assert_sums(found, sums, scale, tolerances["long sum"], (name, rows, sums.shape))


@pytest.mark.parametrize("path", [Path.BLAS, Path.DIRECT], ids=named)
def test_parts_of_large_kernels_come_together(
    path: Path, simd_level: str, tolerances: dict[str, float]
) -> None:
    """Kernels of which several parts are summed up, one after the other, by any number of threads."""
    rows, inputs, outputs = 66_000, 130, 131
    x, y = rows_of(rows, inputs, "equal", 1), rows_of(rows, outputs, "equal", 2)
    plan = forced(plan_of(inputs, outputs, rows, "train", simd_level, optimizers.SGD()), path)
    first = step(plan, x, y)[Slot.PARAMETERS]
    found = split(first, 2 / outputs, inputs, outputs)
    exact = np.outer(x[0].astype(np.float64), y[0].astype(np.float64)), y[0].astype(np.float64)
    for given, sums in zip(found, exact, strict=True):
        assert_sums(given, sums, sums, tolerances["long sum"])
    for n_threads in (2, 4):
        assert step(plan, x, y, n_threads)[Slot.PARAMETERS].tobytes() == first.tobytes()


@pytest.mark.parametrize(("path", "inputs", "outputs"), NETS, ids=named)
def test_updates_of_long_batches_scale_the_weights(
    path: Path, inputs: int, outputs: int, simd_level: str, tolerances: dict[str, float]
) -> None:
    """The penalty makes updates inside a product scale the weights that they add to, once."""
    rows = 70_001
    penalty = regularizers.L2(0.25)
    layer = layers.Dense(outputs, kernel_regularizer=penalty, bias_regularizer=penalty)
    graph = Sequential([Input((inputs,)), layer], seed=0).graph
    loss, optimizer = losses.MeanSquaredError(), optimizers.SGD()
    plan = compile_plan(graph, "train", capacity=rows, losses=(loss,), optimizer=optimizer, simd=simd_level)
    x, y = rows_of(rows, inputs, "random", 1), rows_of(rows, outputs, "random", 2)
    given = rows_of(1, plan.sizes[Slot.PARAMETERS], "random", 3).reshape(-1)
    exact = given.astype(np.float64)
    for kind, made, parameters in ((Program, forced(plan, path), given), (ReferenceProgram, plan, exact)):
        program = kind(made, parameters.dtype, parameters)
        program.run({"x": x, "y": y}, rows, rows, scalars=partial(optimizer.scalars, 0.5))
    np.testing.assert_allclose(given, exact, rtol=0, atol=tolerances["long sum"] * np.abs(exact).max())


@pytest.mark.parametrize("activation", [None, "tanh"])
@pytest.mark.parametrize("kind", ["equal", "random"])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (3, 2), (20, 17)])
def test_the_door_takes_long_batches(
    inputs: int,
    outputs: int,
    kind: str,
    activation: str | None,
    simd_level: str,
    tolerances: dict[str, float],
) -> None:
    w = np.zeros((inputs, outputs), np.float32)
    for rows in lengths_of(inputs + 2 * outputs, kind):
        x, dy = rows_of(rows, inputs, kind, 1), rows_of(rows, outputs, kind, 2)
        y = np.zeros_like(dy) if activation else None  # where the slope of tanh is 1
        _, dw, db = kernels.dense_backward(dy, x, w, y, activation, need_dx=False)
        some = 1 if kind == "equal" else rows
        x64, dy64 = x[:some].astype(np.float64), dy[:some] * np.float64(rows / some)
        tolerance = tolerances["long sum"]
        assert_sums(dw, x64.T @ dy64, np.abs(x64).T @ np.abs(dy64), tolerance, ("dw", rows))
        assert_sums(db, dy64.sum(0), np.abs(dy64).sum(0), tolerance, ("db", rows))


@pytest.mark.parametrize("outputs", [1, 2])
def test_biases_of_six_million_rows(outputs: int, simd_level: str, tolerances: dict[str, float]) -> None:
    rows = 6_000_000
    dy, empty = rows_of(rows, outputs, "equal", 2), np.empty((rows, 0), np.float32)
    db = kernels.dense_backward(dy, empty, np.empty((0, outputs), np.float32), need_dx=False)[2]
    exact = dy[0].astype(np.float64) * rows
    assert_sums(db, exact, exact, tolerances["long sum"], "door")
    # A plan by rows, and one with the batch as fast axis.
    for purpose, slot, sign in (("gradients", Slot.GRADIENTS, -1), ("train", Slot.PARAMETERS, 1)):
        plan = plan_of(1, outputs, rows, purpose, simd_level, optimizers.SGD())
        found = split(step(plan, np.ones((rows, 1), np.float32), dy)[slot], sign * 2 / outputs, 1, outputs)
        for given in found:
            assert_sums(given, exact / rows, exact / rows, tolerances["long sum"], purpose)


# -- sums over very many columns

MILLION = 1_000_000


@pytest.mark.parametrize(("rows", "units"), [(1, 1), (1, 5), (3, 3), (10, 1), (10, 3), (2, 300), (20, 70)])
def test_products_over_very_many_columns(
    rows: int, units: int, simd_level: str, tolerances: dict[str, float]
) -> None:
    columns = MILLION if rows * units <= 30 else MILLION // 10
    x, w = rows_of(columns, rows, "equal", 1), rows_of(columns, units, "equal", 2)
    exact = np.outer(x[0].astype(np.float64), w[0].astype(np.float64)) * columns
    x = np.ascontiguousarray(x.T)
    assert_sums(kernels.dense_forward(x, w), exact, exact, tolerances["long sum"], "forward")
    w = np.ascontiguousarray(w.T)
    dx, _, _ = kernels.dense_backward(x, np.zeros((rows, units), np.float32), w)
    assert_sums(dx, exact, exact, tolerances["long sum"], "backward")


def test_sums_of_very_long_rows(simd_level: str, tolerances: dict[str, float]) -> None:
    tolerance = tolerances["long sum"]
    for value in (0.1, 0.7, 1 / 3):
        row = np.full((1, MILLION), value, np.float32)
        given = Input((MILLION,))
        exact = np.float64(row[0, 0]) * MILLION
        assert_sums(Model(given, layers.Sum()(given)).predict(row), exact, exact, tolerance, "sum")
        y = kernels.softmax_forward(row)
        assert_sums(y, np.float64(1 / MILLION), np.float64(1 / MILLION), tolerance, "softmax")
        y = np.full((1, MILLION), 1 / MILLION, np.float32)
        dx = kernels.softmax_backward(row, y)
        inner = exact * np.float64(y[0, 0])
        scale = np.float64(y[0, 0]) * inner
        assert_sums(dx, np.float64(y[0, 0]) * (np.float64(row[0, 0]) - inner), scale, tolerance, "backward")
