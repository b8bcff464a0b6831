"""Penalties on outputs of layers: values, gradients, plans, files, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import DTYPES

import fastnn
from fastnn import layers, regularizers
from fastnn.compiler import lowering
from fastnn.compiler.plan import Accumulator, Axis, External, Op, OpCode, Operand, Phase, Plan, Slot, Task
from fastnn.compiler.verify import verify_plan
from fastnn.errors import ConfigurationError, DTypeError, PlanError
from fastnn.run.program import Program
from fastnn.run.reference import ReferenceProgram

RNG = np.random.default_rng(3)
X, Y = RNG.normal(0, 1, (11, 3)), RNG.normal(0, 1, (11, 2))
PENALTY = OpCode.ACTIVITY_PENALTY


def net(*between: Any, dtype: str = "float64", loss: Any = "mse", **options: Any) -> fastnn.Sequential:
    given: dict[str, Any] = {"activity_regularizer": regularizers.L1L2(0.3, 0.2)} | options
    parts = [fastnn.Input((3,)), *between, layers.Dense(4, "tanh", **given), layers.Dense(2)]
    model = fastnn.Sequential(parts, dtype=dtype, seed=1)
    model.compile("sgd", loss)
    return model


def penalties(plan: Plan) -> list[Op]:
    return [op for op in plan.ops if op.code is PENALTY]


def alone(columns: int, l1: float, l2: float, gradient: bool = True) -> Plan:
    """Return a plan that writes nothing but a penalty, and its gradient into memory."""
    x = Operand("x", Slot.EXTERNAL, -1, columns, 0)
    dy, back = Operand("dy", Slot.LOCAL, -1, columns, 0), Operand("back", Slot.EXTERNAL + 1, -1, columns, 0)
    ops = [Op(PENALTY, "a", (dy if gradient else None, x), constants=(l1, l2), accumulator=0)]
    externals = [External("x", columns)]
    if gradient:
        ops.append(Op(OpCode.AFFINE, "a", (back, dy), constants=(1.0, 0.0)))
        externals.append(External("back", columns, True))
    plan = Plan(
        tuple(ops),
        (Phase(Axis.ROWS, (Task(0, len(ops)),), 5),),
        (0, 0, 0, 0, 5 * columns),
        tuple(externals),
        (Accumulator("penalty of a", share=1.0),),
        0,
        "evaluate",
    )
    verify_plan(plan)
    return plan


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [1, 15, 16, 33])
@pytest.mark.parametrize("factors", [(0.3, 0.0), (0.0, 0.7), (0.3, 0.7)])
def test_the_kernel_agrees_with_the_reference(
    factors: tuple[float, float], columns: int, dtype: str, simd_level: str
) -> None:
    plan = alone(columns, *factors)
    for rows in (1, 5, 17):
        x = RNG.normal(0, 1, (rows, columns)).astype(dtype)
        x[0, 0] = 0.0
        found = []
        for kind, given in ((Program, dtype), (ReferenceProgram, "float64")):
            arrays = {"x": x.astype(given), "back": np.zeros((rows, columns), given)}
            made = kind(plan, np.dtype(given), np.zeros(0, given))
            found.append((made.run(arrays, rows, rows).sums, arrays["back"]))
        near = 1e-6 if dtype == "float32" else 1e-14
        np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-6 if dtype == "float32" else 1e-14)
        np.testing.assert_allclose(found[0][1], found[1][1], rtol=near, atol=near)
        assert found[0][1][0, 0] == 0.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_shows(bad: float) -> None:
    x = np.ones((3, 2))
    x[1, 1] = bad
    back = np.zeros((3, 2))
    sums = (
        Program(alone(2, 0.5, 0.5), np.dtype("float64"), np.zeros(0)).run({"x": x, "back": back}, 3, 3).sums
    )
    assert not np.isfinite(sums).any()
    assert np.isfinite(back).sum() == 5


def test_a_penalty_is_a_mean_over_rows() -> None:
    """Whatever the batches, and whatever rows weigh."""
    model, free = net(), net(activity_regularizer=None)
    free.set_weights(model.get_weights())
    hidden = np.tanh(X @ model.get_weights()[0] + model.get_weights()[1])
    expected = (0.3 * np.abs(hidden).sum() + 0.2 * (hidden**2).sum()) / len(X)
    for batch_size in (1, 4, 11, 32):
        both = [m.evaluate(X, Y, batch_size=batch_size, verbose=0) for m in (model, free)]
        assert both[0] - both[1] == pytest.approx(expected, rel=1e-12)
    weights = np.linspace(0.0, 3.0, 11)
    both = [m.evaluate(X, Y, sample_weight=weights, verbose=0) for m in (model, free)]
    assert both[0] - both[1] == pytest.approx(expected, rel=1e-12)
    assert model.evaluate(X, Y, verbose=0, return_dict=True).keys() == {"loss"}
    np.testing.assert_array_equal(model.predict(X), free.predict(X))


@pytest.mark.parametrize("loss", ["mse", "mae", fastnn.losses.MeanSquaredError("sum")])
@pytest.mark.parametrize(
    "between",
    [
        (),
        (layers.ActivityRegularization(0.5, 0.1),),
        (layers.Dense(4, activity_regularizer="l1"), layers.BatchNormalization()),
        (layers.Dense(4), layers.ActivityRegularization(l1=0.2), layers.LayerNormalization()),
    ],
    ids=["plain", "inputs", "moments", "rows"],
)
def test_gradients_agree_with_finite_differences(between: tuple[Any, ...], loss: Any) -> None:
    made = [type(layer).from_config(layer.get_config()) for layer in between]
    report = fastnn.gradcheck(net(*made, loss=loss), X[:5], Y[:5])
    assert report.largest <= 1e-6, str(report)


def test_a_forgotten_gradient_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        lowering.Lowering, "add_part", lambda self, x, part: self.gradients.setdefault(x.name, part)
    )
    report = fastnn.gradcheck(net(), X[:5], Y[:5])
    assert max(report.values()) > 1e-3


def test_plans_have_the_gradient_where_it_leads_to_weights() -> None:
    model = net(layers.ActivityRegularization(l1=1.0))
    ops = penalties(model.plan(batch_size=4))
    assert [op.operand("dy") is None for op in ops] == [True, False]
    assert "activity_penalty dense: d(dense/y)[m, 4]" in str(model.plan(batch_size=4))
    assert "(l1=0.3 l2=0.2)" in str(model.plan(batch_size=4))
    ops = penalties(model.plan(4, "evaluate"))
    assert [op.operand("dy") for op in ops] == [None, None]
    assert penalties(model.plan(4, "predict")) == []
    frozen = net(trainable=False)
    assert [op.operand("dy") for op in penalties(frozen.plan(batch_size=4))] == [None]


def test_factors_of_nothing_cost_nothing() -> None:
    plain, zero = net(activity_regularizer=None), net(activity_regularizer=regularizers.L1L2())
    assert plain.plan(batch_size=4).ops == zero.plan(batch_size=4).ops


def test_the_batch_is_no_fast_axis_where_outputs_pay() -> None:
    parts = [fastnn.Input((2,)), layers.Dense(2, "tanh", activity_regularizer="l2"), layers.Dense(1)]
    model = fastnn.Sequential(parts, seed=0)
    model.compile("sgd", "mse")
    assert all(op.path.name != "COLUMNS" for op in model.plan(batch_size=400).ops)
    model.fit(X[:, :2], Y[:, :1], batch_size=400, epochs=2, verbose=0)


@pytest.mark.parametrize("constants", [(np.nan, 0.0), (0.5,), (0.5, 0.5, 0.5)])
def test_plans_with_impossible_factors_are_refused(constants: tuple[float, ...]) -> None:
    plan = alone(3, 0.1, 0.1)
    with pytest.raises(PlanError, match=r"ACTIVITY_PENALTY of 'a'.* has constants"):
        verify_plan(replace(plan, ops=(replace(plan.ops[0], constants=constants), plan.ops[1])))


def test_plans_whose_shapes_disagree_are_refused() -> None:
    plan = alone(3, 0.1, 0.1)
    dy = Operand("dy", Slot.LOCAL, -1, 2, 0)
    with pytest.raises(PlanError, match="operands of widths 2 and 3"):
        verify_plan(
            replace(plan, ops=(replace(plan.ops[0], operands=(dy, plan.ops[0].operands[1])), plan.ops[1]))
        )


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_number_of_threads_gives_the_same_bits(dtype: str) -> None:
    rows, found = RNG.normal(0, 1, (300, 60)), []
    for n_threads in (1, 2, 4):
        hidden = [layers.Dense(200, "tanh", activity_regularizer="l1_l2") for _ in range(2)]
        model = fastnn.Sequential([fastnn.Input((60,)), *hidden, layers.Dense(2)], dtype=dtype, seed=1)
        model.compile("adam", "mse")
        assert model.plan(128).phases[0].tile_rows < 128
        past = model.fit(rows, rows[:, :2], batch_size=128, epochs=2, verbose=0, n_threads=n_threads)
        found.append(b"".join(w.tobytes() for w in model.get_weights()) + repr(past.history).encode())
    assert len(set(found)) == 1


def test_penalties_that_are_not_finite_end_training() -> None:
    """Though the loss itself is finite, as a sigmoid is of anything."""
    parts = [fastnn.Input((1,)), layers.Dense(1, activity_regularizer="l2"), layers.Activation("sigmoid")]
    model = fastnn.Sequential(parts, dtype="float32", seed=0)
    model.compile("sgd", "mse")
    model.set_weights([[[1e20]], [0.0]])
    with pytest.warns(fastnn.errors.NonFiniteWarning):
        model.fit([[1e20]], [[1.0]], verbose=0)
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_models_are_saved_with_what_they_pay(tmp_path: Path) -> None:
    model = net(layers.ActivityRegularization(l1=0.5))
    model.fit(X, Y, epochs=2, verbose=0)
    model.save(tmp_path / "a.safetensors")
    again = fastnn.load_model(tmp_path / "a.safetensors")
    assert again.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)
    for one in (model, again):
        one.fit(X, Y, epochs=2, verbose=0)
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        assert one.tobytes() == other.tobytes()
    lines: list[str] = []
    again.summary(print_fn=lines.append)
    assert "activity_regularization" in "\n".join(lines)


def test_layers_say_what_they_pay() -> None:
    layer = layers.Dense(3, activity_regularizer="l2")
    assert layer.activity_regularizer == regularizers.L2()
    assert layers.ActivityRegularization(0.5).l1 == 0.5
    # As in Keras, behind the regularizers of weights.
    assert (
        layers.Dense(3, None, True, "ones", "zeros", None, None, "l1").activity_regularizer
        == regularizers.L1()
    )


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: layers.ActivityRegularization(-1.0),
            ConfigurationError,
            "l1 must be a finite number of at least 0",
        ),
        (lambda: layers.ActivityRegularization(l2=float("inf")), ConfigurationError, "l2"),
        (lambda: layers.ActivityRegularization(l1="much"), DTypeError, "l1"),
        (lambda: layers.Dense(2, activity_regularizer="l3"), ConfigurationError, "regularizer 'l3'"),
        (lambda: layers.Embedding(2, 2, activity_regularizer=0.1), DTypeError, "a regularizer is"),
    ],
)
def test_bad_input_is_refused(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_no_metric_is_called_as_penalties_are() -> None:
    model = net()
    with pytest.raises(ConfigurationError, match="two metrics are named"):
        model.compile("sgd", "mse", metrics=[fastnn.metrics.MeanSquaredError("penalty of dense/y")])
