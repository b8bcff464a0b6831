"""Update rules on states at the edges of the number range, against float64."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from fastnn import Input, Sequential, layers, losses, optimizers, regularizers
from fastnn.compiler import paths
from fastnn.compiler.pipeline import compile_plan
from fastnn.compiler.plan import OpCode, Slot
from fastnn.run.program import Program
from fastnn.run.reference import ReferenceProgram

# Second moments: whole vectors of normal numbers, of ones that are not, and mixtures; a tail of 5.
SQUARES = np.concatenate(
    [
        np.logspace(-37, 37, 32),
        np.zeros(16),
        np.full(16, 1e-41),
        [0, 1e-45, 1.17e-38, 1.1754944e-38, 1e-30, 1, 3e38, 3.3e38, 2, 3, 4, 5, 6, 7, 8, 9],
        [0.0, 1e-40, 1.0, 4.0, 2e38],
    ]
)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("batch", "inputs", "outputs"),
    # one block of 8 x 32 and less, rims of it, several rows packed at once, one and more groups of panels
    [(1, 1, 1), (5, 8, 32), (64, 7, 31), (65, 9, 33), (100, 300, 17), (130, 20, 300), (256, 530, 161),
     (512, 300, 40), (3, 20, 1003)],
)  # fmt: skip
def test_adam_inside_a_product_agrees_with_float64(
    batch: int, inputs: int, outputs: int, dtype: str, simd_level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LEAST_JOINED_ROWS", "LEAST_JOINED_COLUMNS", "LEAST_JOINED_WEIGHTS"):
        monkeypatch.setattr(paths, name, 1)
    monkeypatch.setattr(paths, "MOST_JOINED_ROWS", 512)
    dense = layers.Dense(outputs, "tanh", kernel_regularizer=regularizers.L2(0.1))
    graph = Sequential([Input((inputs,)), dense], seed=0).graph
    loss, optimizer = losses.MeanSquaredError(), optimizers.Adam(epsilon=1e-3)
    plan = compile_plan(
        graph, "train", capacity=batch, losses=(loss,), optimizer=optimizer, simd="v4", fused=True
    )
    assert [op.layer for op in plan.ops if op.code is OpCode.ADAM_DENSE] == ["dense/kernel"]
    rng = np.random.default_rng(3)
    rows = 2 * batch + (batch + 1) // 2  # the last batch is half as large
    x, y = rng.standard_normal((rows, inputs)), rng.standard_normal((rows, outputs))
    start = rng.standard_normal(plan.sizes[Slot.PARAMETERS]) / np.sqrt(inputs)

    def trained(kind: type[Program] | type[ReferenceProgram], real: str) -> tuple[np.ndarray, np.ndarray]:
        parameters, state = start.astype(real), np.zeros(plan.sizes[Slot.STATE], real)
        made = kind(plan, parameters.dtype, parameters, np.zeros(plan.sizes[Slot.GRADIENTS], real), state)
        arrays = {"x": x.astype(real), "y": y.astype(real)}
        made.run(arrays, rows, batch, scalars=partial(optimizers.Adam().scalars, 0.01))
        return parameters, state

    tolerance = 2e-5 if dtype == "float32" else 1e-12
    for found, exact in zip(trained(Program, dtype), trained(ReferenceProgram, "float64"), strict=True):
        np.testing.assert_allclose(found, exact, rtol=tolerance, atol=tolerance * np.abs(exact).max())
    assert np.abs(trained(Program, dtype)[0] - start).max() > 0.01


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("gradient", [0.0, 0.5])
def test_adam_agrees_with_float64_whatever_its_state(gradient: float, dtype: str, simd_level: str) -> None:
    size = SQUARES.size
    graph = Sequential([Input((size,)), layers.Dense(1, use_bias=False)], seed=0).graph
    plan = compile_plan(
        graph,
        "train",
        capacity=1,
        losses=(losses.MeanSquaredError(),),
        optimizer=optimizers.Adam(epsilon=1e-7),
    )
    assert any(op.code is OpCode.ADAM for op in plan.ops)
    offset = plan.sizes[Slot.PARAMETERS]

    def trained(kind: type[Program] | type[ReferenceProgram], real: str) -> tuple[np.ndarray, np.ndarray]:
        parameters, state = np.zeros(offset, real), np.zeros(plan.sizes[Slot.STATE], real)
        state[:size] = np.where(SQUARES < 1e-30, 1e-12, np.sqrt(SQUARES)) / 3
        state[offset : offset + size] = SQUARES.astype(np.float32)
        arrays = {"x": np.full((1, size), gradient, real), "y": np.full((1, 1), -1, real)}
        made = kind(plan, parameters.dtype, parameters, np.zeros(plan.sizes[Slot.GRADIENTS], real), state)
        made.run(arrays, 1, 1, scalars=partial(optimizers.Adam().scalars, 0.1))
        return parameters[:size], state

    found, state = trained(Program, dtype)
    exact, wanted = trained(ReferenceProgram, "float64")
    tolerance = 2e-6 if dtype == "float32" else 1e-14
    np.testing.assert_allclose(found, exact, rtol=tolerance)
    # What is subnormal becomes 0.
    np.testing.assert_allclose(state, wanted, rtol=tolerance, atol=np.finfo(dtype).tiny)
    assert np.count_nonzero(found) == size


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "optimizer",
    [
        optimizers.Adam(beta_1=0.9, beta_2=0.9),
        optimizers.SGD(momentum=0.9),
        optimizers.SGD(momentum=0.9, nesterov=True),
        optimizers.RMSprop(rho=0.9),
    ],
    ids=["adam", "momentum", "nesterov", "rmsprop"],
)
def test_state_without_gradients_does_not_stay_subnormal(
    optimizer: optimizers.Optimizer, dtype: str, simd_level: str
) -> None:
    """Rounding to nearest would keep the last few subnormal numbers, which are slow, for ever."""
    size = 37
    graph = Sequential([Input((size,)), layers.Dense(1, use_bias=False)], seed=0).graph
    plan = compile_plan(
        graph, "train", capacity=1, losses=(losses.MeanSquaredError(),), optimizer=optimizer, simd=simd_level
    )
    tiny = np.finfo(dtype).tiny
    parameters = np.zeros(plan.sizes[Slot.PARAMETERS], dtype)
    state = np.full(plan.sizes[Slot.STATE], 50 * tiny, dtype)
    made = Program(
        plan, parameters.dtype, parameters, np.zeros(max(plan.sizes[Slot.GRADIENTS], 1), dtype), state
    )
    arrays = {"x": np.zeros((1, size), dtype), "y": np.zeros((1, 1), dtype)}
    # 0.9^n of 50 tiny: normal after 30 steps, below after 40.
    made.run(arrays, 1, 1, epochs=30, scalars=partial(optimizer.scalars, 0.1))
    kept = [o for op in plan.ops for o in op.outputs() if o.slot == Slot.STATE]
    assert kept
    for operand in kept:
        assert (np.abs(state[operand.offset : operand.offset + size]) >= tiny).all()
    made.run(arrays, 1, 1, epochs=10, scalars=partial(optimizer.scalars, 0.1))
    for operand in kept:
        np.testing.assert_array_equal(state[operand.offset : operand.offset + size], 0)


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_adam_keeps_what_is_not_finite_to_its_place(bad: float, simd_level: str) -> None:
    model = Sequential([Input((40,)), layers.Dense(1, use_bias=False)], seed=0)
    graph = model.graph
    plan = compile_plan(
        graph, "train", capacity=1, losses=(losses.MeanSquaredError(),), optimizer=optimizers.Adam()
    )
    parameters, offset = np.ones(plan.sizes[Slot.PARAMETERS], np.float32), plan.sizes[Slot.PARAMETERS]
    state = np.ones(plan.sizes[Slot.STATE], np.float32)
    state[offset + 3] = bad
    program = Program(plan, parameters.dtype, parameters, np.zeros(offset, np.float32), state)
    program.run(
        {"x": np.full((1, 40), 0.5, np.float32), "y": np.zeros((1, 1), np.float32)},
        1,
        1,
        scalars=partial(optimizers.Adam().scalars, 0.1),
    )
    assert np.isfinite(np.delete(parameters[:40], 3)).all()
    assert np.isnan(parameters[3])  # infinity too: v + (1 - beta) (g^2 - v)
