"""Products of matrices by our own kernel (`_core/matmul.pxi`), forced upon ops of every shape."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fastnn import Input, Sequential, layers, losses, optimizers, regularizers
from fastnn.compiler.paths import batch_is_fast_axis
from fastnn.compiler.pipeline import compile_plan
from fastnn.compiler.plan import MOST_OUTPUTS, PRODUCTS, WEIGHT_PRODUCTS, Op, Path, Plan, Slot
from fastnn.run.program import Program
from fastnn.run.reference import ReferenceProgram

DTYPES = ["float32", "float64"]
# rows, inputs, hidden units, outputs: below, at and beyond the kernel's blocks of 8 x 32, its panels of
# 256 x 128, what it packs of a transpose, and the few rows that wide layers take another way with
SHAPES = [
    (1, 1, 17, 1),
    (2, 3, 20, 2),
    (7, 16, 15, 17),
    (8, 16, 32, 16),
    (9, 17, 33, 31),
    (16, 33, 48, 1),
    (25, 1, 100, 3),
    (3, 1030, 17, 2),
    (1040, 5, 18, 1),
    (64, 1024, 16, 1025),
    (40, 300, 150, 300),
    (260, 300, 140, 33),
    (21, 1003, 1037, 5),  # copies are foreseen: forward and backward,
    (520, 21, 1003, 3),  # and for weights
    (3, 7, 1003, 1001),
    (13, 5, 903, 905),
]


def forced(plan: Plan, path: Path) -> Plan:
    ops = [replace(op, path=path) if op.code in PRODUCTS else op for op in plan.ops]
    assert any(op.code in PRODUCTS for op in ops)
    return replace(plan, ops=tuple(ops))


def of_few_outputs(op: Op) -> bool:
    kernel = op.operands[0] if op.code in WEIGHT_PRODUCTS else op.need("w")
    assert kernel is not None
    return kernel.columns <= MOST_OUTPUTS


def results(
    kind: type[Program] | type[ReferenceProgram], plan: Plan, dtype: str, rows: int, widths: tuple[int, ...]
) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(6)
    x = rng.normal(0, 1, (rows, widths[0])).astype(dtype)
    y = rng.normal(0, 1, (rows, widths[-1])).astype(dtype)
    parameters = (rng.normal(0, 1, plan.sizes[Slot.PARAMETERS]) / np.sqrt(max(widths))).astype(dtype)
    if kind is ReferenceProgram:
        x, y, parameters = (a.astype(np.float64) for a in (x, y, parameters))
    gradients = np.full(plan.sizes[Slot.GRADIENTS], 0, parameters.dtype)
    state = np.zeros(plan.sizes[Slot.STATE], parameters.dtype)
    output = np.full((rows, widths[-1]), np.nan, parameters.dtype)
    arrays = {"x": x, "y": y, "output": output}
    rates = np.full((1, len(plan.scalars)), 0.1)
    options: dict[str, Any] = {"scalars": lambda *_: rates, "epochs": 2 if plan.purpose == "train" else 1}
    made = kind(plan, parameters.dtype, parameters, gradients, state)
    run = made.run({e.name: arrays[e.name] for e in plan.externals}, rows, rows, **options)
    found = {"parameters": parameters, "gradients": gradients, "sums": run.sums}
    return found | ({"output": output} if plan.purpose == "predict" else {})


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_shape_agrees_with_the_reference(
    shape: tuple[int, ...], dtype: str, simd_level: str, tolerances: dict[str, float]
) -> None:
    rows, *widths = shape
    # The penalty makes updates inside a product scale the weights that they add to.
    penalty = regularizers.L2(0.5)
    hidden = layers.Dense(widths[1], "relu", kernel_regularizer=penalty)
    last = layers.Dense(widths[2], use_bias=False, kernel_regularizer=penalty)
    graph = Sequential([Input((widths[0],)), hidden, last], seed=0).graph
    purposes = [
        ("predict", optimizers.SGD()),
        ("gradients", optimizers.SGD()),
        ("train", optimizers.SGD()),  # the update is inside the product
        ("train", optimizers.SGD(momentum=0.9)),
    ]
    tolerance = tolerances["trained float64" if dtype == "float64" else "gradient float32"]
    for purpose, optimizer in purposes:
        capacity = rows if purpose != "predict" else 0
        loss = losses.MeanSquaredError()
        plan = compile_plan(graph, purpose, capacity=capacity, losses=(loss,), optimizer=optimizer)
        given = results(Program, forced(plan, Path.DIRECT), dtype, rows, tuple(widths))
        exact = results(ReferenceProgram, plan, dtype, rows, tuple(widths))
        for name, array in exact.items():
            scale = max(1.0, float(np.abs(array).max(initial=0)))
            np.testing.assert_allclose(
                given[name], array, rtol=tolerance, atol=tolerance * scale, err_msg=f"{purpose} {name}"
            )


@pytest.mark.parametrize("activation", ["linear", "relu", "sigmoid", "tanh", "elu", "softplus"])
@pytest.mark.parametrize("outputs", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("rows", "hidden"), [(1, 1), (3, 16), (6, 25), (17, 64), (33, 70), (40, 1024), (600, 19)]
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_few_outputs_agree_with_the_reference(
    dtype: str,
    rows: int,
    hidden: int,
    outputs: int,
    activation: str,
    simd_level: str,
    tolerances: dict[str, float],
) -> None:
    """`_core/few_outputs.h`: groups of rows, vectors of inputs and their rests, each derivative."""
    penalty = regularizers.L2(0.5)
    chained = [layers.Dense(hidden, activation), layers.Dense(outputs, kernel_regularizer=penalty)]
    graph = Sequential([Input((5,)), *chained], seed=0).graph
    tolerance = tolerances["trained float64" if dtype == "float64" else "gradient float32"]
    for purpose in ("gradients", "train"):
        loss = losses.MeanSquaredError()
        plan = compile_plan(graph, purpose, capacity=rows, losses=(loss,), optimizer=optimizers.SGD())
        few = [
            replace(op, path=Path.FEW_OUTPUTS) if op.code in PRODUCTS and of_few_outputs(op) else op
            for op in plan.ops
        ]
        given = results(Program, replace(plan, ops=tuple(few)), dtype, rows, (5, hidden, outputs))
        exact = results(ReferenceProgram, plan, dtype, rows, (5, hidden, outputs))
        for name, array in exact.items():
            scale = max(1.0, float(np.abs(array).max(initial=0)))
            np.testing.assert_allclose(
                given[name], array, rtol=tolerance, atol=tolerance * scale, err_msg=name
            )


@pytest.mark.parametrize("path", [Path.BLAS, Path.DIRECT])
@pytest.mark.parametrize("activation", ["linear", "relu"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_not_a_number_comes_out_where_it_went_in(
    dtype: str, activation: str, path: Path, simd_level: str
) -> None:
    graph = Sequential([Input((40,)), layers.Dense(39, activation)], seed=0).graph
    plan = forced(compile_plan(graph, "predict"), path)
    x = np.ones((20, 40), dtype)
    x[3, 7], x[19, 39] = np.nan, np.inf
    parameters, output = np.ones(plan.sizes[Slot.PARAMETERS], dtype), np.full((20, 39), np.nan, dtype)
    Program(plan, np.dtype(dtype), parameters).run({"x": x, "output": output}, 20, 20)
    assert np.isnan(output[3]).all()
    assert np.isposinf(output[19]).all()
    others = np.delete(output, [3, 19], axis=0)
    np.testing.assert_array_equal(others, np.full_like(others, 41))


def test_paths_are_chosen_by_size_and_level() -> None:
    def paths(widths: tuple[int, ...], rows: int, simd: str) -> set[Path]:
        chained = [layers.Dense(units) for units in widths[1:]]
        graph = Sequential([Input((widths[0],)), *chained], seed=0).graph
        loss = losses.MeanSquaredError()
        plan = compile_plan(
            graph, "train", capacity=rows, losses=(loss,), optimizer=optimizers.SGD(), simd=simd
        )
        assert all(op.path is Path.BLAS for op in plan.ops if op.code not in PRODUCTS)
        return {op.path for op in plan.ops if op.code in PRODUCTS}

    assert paths((784, 500), 96, "v4") == {Path.DIRECT}
    assert paths((784, 500), 96, "base") == {Path.BLAS}
    assert paths((20, 8), 96, "v4") == {Path.BLAS}
    assert paths((4096, 4096), 256, "v4") == {Path.DIRECT}
    assert paths((4096, 4096), 256, "v3") == {Path.BLAS}


def gradient_of(units: int, inputs: int = 56) -> str:
    """Return how a plan prints the weight gradient of a layer, 200 rows a batch."""
    graph = Sequential([Input((inputs,)), layers.Dense(units)], seed=0).graph
    loss, optimizer = losses.MeanSquaredError(), optimizers.SGD()
    plan = compile_plan(graph, "train", capacity=200, losses=(loss,), optimizer=optimizer, simd="v4")
    return next(line for line in str(plan).splitlines() if "sgd_dense" in line)


def test_weight_gradients_are_our_own_where_blas_takes_several_steps_for_the_last_columns() -> None:
    own = {units for units in range(16, 65) if "[direct]" in gradient_of(units)}
    assert own == {*range(25, 32), *range(41, 48), *range(57, 64)}


def test_plans_say_why() -> None:
    graph = Sequential([Input((784,)), layers.Dense(500, "relu"), layers.Dense(10)], seed=0).graph
    loss, optimizer = losses.MeanSquaredError(), optimizers.SGD()
    plan = compile_plan(graph, "train", capacity=200, losses=(loss,), optimizer=optimizer, simd="v4")
    assert all(op.because for op in plan.ops if op.code in PRODUCTS)
    printed = str(plan)
    assert "[direct] dense" in printed
    assert "because 78,400,000 multiplications are many" in printed
    assert "because 10 columns of depth 200 are too thin for blocks" in printed
    assert "because 64,000 multiplications are few" in gradient_of(20, 16)
    thin = Sequential([Input((3,)), layers.Dense(2)], seed=0).graph
    plan = compile_plan(thin, "train", capacity=16, losses=(loss,), optimizer=optimizer, simd="v4")
    assert "[columns] dense" in str(plan)
    assert "because no tensor has more than 3 features; vectors along 16 rows" in str(plan)


def test_the_batch_is_the_fast_axis_of_thin_nets_where_that_pays() -> None:
    def columns(features: int, rows: int, simd: str, itemsize: int) -> bool:
        graph = Sequential([Input((features,)), layers.Dense(2)], seed=0).graph
        return batch_is_fast_axis(graph, (losses.MeanSquaredError(),), ((),), rows, simd, itemsize)

    for simd, itemsize in (("v3", 4), ("v4", 8)):
        assert columns(6, 1, simd, itemsize)
        assert not columns(8, 7, simd, itemsize)
        assert columns(8, 8, simd, itemsize)
        assert not columns(9, 4096, simd, itemsize)
    for simd, itemsize in (("base", 4), ("v3", 8)):
        assert not columns(3, 1, simd, itemsize)
        assert columns(3, 2, simd, itemsize)
        assert not columns(8, 7, simd, itemsize)
        assert columns(8, 8, simd, itemsize)
        assert not columns(9, 4096, simd, itemsize)
    assert columns(3, 9, "base", 8)
    assert not columns(3, 8, "base", 8)
    assert columns(6, 1, "v4", 4)
    assert not columns(8, 1, "v4", 4)
    assert columns(8, 2, "v4", 4)
    assert columns(12, 64, "v4", 4)
    assert not columns(16, 4096, "v4", 4)
