"""The penalty on rows or columns that are not orthogonal: kernel, gradient, plans, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import DTYPES

import fastnn
from fastnn import layers, optimizers, regularizers
from fastnn.compiler.plan import Op, OpCode, Plan, Slot
from fastnn.compiler.verify import verify_plan
from fastnn.errors import ConfigurationError, DTypeError, PlanError, ShapeError

RNG = np.random.default_rng(12)
ORTHOGONAL = OpCode.ORTHOGONAL_PENALTY
MODES = ("rows", "columns")


def net(mode: str, inputs: int = 5, units: int = 4, factor: float = 0.5, **options: Any) -> Any:
    given: dict[str, Any] = {"dtype": "float64", "optimizer": "sgd", "reference": False} | options
    penalty = regularizers.OrthogonalRegularizer(factor, mode)
    parts = [
        fastnn.Input((inputs,)),
        layers.Dense(units, "tanh", kernel_regularizer=penalty),
        layers.Dense(2),
    ]
    model = fastnn.Sequential(parts, dtype=given["dtype"], seed=2)
    model.compile(given["optimizer"], "mse", reference=given["reference"])
    return model


def data(inputs: int = 5, rows: int = 20) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(inputs)
    return rng.normal(0, 1, (rows, inputs)), rng.normal(0, 1, (rows, 2))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("inputs", "units"), [(2, 2), (5, 4), (4, 37), (70, 3), (33, 65)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_training_agrees_with_the_reference(
    mode: str, inputs: int, units: int, dtype: str, simd_level: str
) -> None:
    x, y = data(inputs)
    found = []
    for reference in (False, True):
        model = net(mode, inputs, units, dtype=dtype, reference=reference)
        kernel = model.get_weights()
        kernel[0][1] = 0.0  # a row without a direction
        model.set_weights(kernel)
        past = model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0).history["loss"]
        found.append([*model.get_weights(), np.array(past), np.array(model.evaluate(x, y, verbose=0))])
    near = 1e-12 if dtype == "float64" else 2e-4
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=near, atol=near)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("inputs", "units"), [(5, 4), (3, 6)])
def test_gradients_agree_with_finite_differences(mode: str, inputs: int, units: int) -> None:
    x, y = data(inputs, 4)
    report = fastnn.gradcheck(net(mode, inputs, units), x, y)
    assert report.largest <= 1e-6, str(report)


def test_a_forgotten_gradient_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastnn.compiler import penalties

    whole = penalties.Paying.compare
    monkeypatch.setattr(penalties.Paying, "compare", lambda self, p, gradient: whole(self, p, None))
    report = fastnn.gradcheck(net("rows"), *data(5, 4))
    assert report["dense/kernel"] > 1e-3


@pytest.mark.parametrize("mode", MODES)
def test_the_loss_has_the_penalty_in_it(mode: str) -> None:
    x, y = data()
    with_it, without = net(mode), net(mode, factor=0.0)
    penalty = regularizers.OrthogonalRegularizer(0.5, mode)(with_it.get_weights()[0])
    assert penalty > 0.01
    without.set_weights(with_it.get_weights())
    both = [model.evaluate(x, y, verbose=0) for model in (with_it, without)]
    assert both[0] - both[1] == pytest.approx(penalty, rel=1e-12)
    both = [model.train_on_batch(x, y) for model in (with_it, without)]
    assert both[0] - both[1] == pytest.approx(penalty, rel=1e-12)
    assert all(op.code is not ORTHOGONAL for op in without.plan(4).ops)


def test_training_makes_rows_orthogonal() -> None:
    model = net("columns", 8, 4, factor=5.0, optimizer=optimizers.Adam(0.003))
    kernel = model.get_weights()[0]
    model.fit(*data(8, 200), epochs=60, verbose=0)
    measure = regularizers.OrthogonalRegularizer(1.0, "columns")
    assert measure(model.get_weights()[0]) < 0.2 * measure(kernel)


def test_what_is_frozen_pays_nothing() -> None:
    penalty = regularizers.OrthogonalRegularizer(0.5)
    frozen = layers.Dense(4, kernel_regularizer=penalty, trainable=False)
    model = fastnn.Sequential([fastnn.Input((5,)), frozen, layers.Dense(2)], seed=0)
    model.compile("sgd", "mse")
    for plan in (model.plan(4), model.plan(4, "evaluate")):
        assert all(op.code is not ORTHOGONAL for op in plan.ops)


@pytest.mark.parametrize(
    "optimizer",
    [
        optimizers.SGD(0.1),
        optimizers.Adam(0.01, global_clipnorm=0.1, epsilon=1e-2),
        optimizers.SGD(0.1, gradient_accumulation_steps=2, momentum=0.9),
        optimizers.AdamW(0.01, epsilon=1e-2),
        optimizers.Muon(0.01, epsilon=1e-2),
        optimizers.Lamb(0.01, epsilon=1e-2, weight_decay=0.1),
    ],
    ids=lambda optimizer: optimizer.name,
)
def test_optimizers_wait_for_it(optimizer: Any) -> None:
    x, y = data()
    found = []
    for reference in (False, True):
        model = net("rows", optimizer=optimizer, reference=reference)
        model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0)
        found.append(model.get_weights())
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-11)


def test_every_number_of_threads_gives_the_same_bits() -> None:
    x, y = data(300, 64)
    found = []
    for n_threads in (1, 2, 4):
        model = net("columns", 300, 200, dtype="float32")
        model.fit(x, y, batch_size=32, epochs=2, verbose=0, n_threads=n_threads)
        found.append(b"".join(w.tobytes() for w in model.get_weights()))
    assert len(set(found)) == 1


def only(plan: Plan) -> tuple[int, Op]:
    return next((i, op) for i, op in enumerate(plan.ops) if op.code is ORTHOGONAL)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"constants": (-0.5, 0.0)}, "needs a factor, a flag"),
        ({"constants": (0.5, 2.0)}, "needs a factor, a flag"),
        ({"constants": (0.5, 1.0)}, "operands of widths"),
    ],
)
def test_plans_with_impossible_numbers_are_refused(changes: dict[str, Any], message: str) -> None:
    plan = net("rows").plan(8)
    index, op = only(plan)
    verify_plan(plan)
    with pytest.raises(PlanError, match=f"ORTHOGONAL_PENALTY of 'dense/kernel'.*{message}"):
        verify_plan(replace(plan, ops=(*plan.ops[:index], replace(op, **changes), *plan.ops[index + 1 :])))


def test_plans_that_cut_the_parameter_or_lack_memory_are_refused() -> None:
    plan = net("rows").plan(8)
    index, op = only(plan)
    small = replace(op.need("s"), columns=op.need("s").columns - 1)
    changed = replace(op, operands=(*op.operands[:2], small))
    with pytest.raises(PlanError, match="operands of widths"):
        verify_plan(replace(plan, ops=(*plan.ops[:index], changed, *plan.ops[index + 1 :])))
    with pytest.raises(PlanError, match="leaves its slot local"):
        verify_plan(replace(plan, sizes=(*plan.sizes[: Slot.LOCAL], op.need("s").offset)))
    number, phase = next(
        (n, p) for n, p in enumerate(plan.phases) if any(t.first <= index < t.last for t in p.tasks)
    )
    task = next(task for task in phase.tasks if task.first <= index < task.last)
    halves = (replace(task, end=2), replace(task, begin=2))
    tasks = (*(other for other in phase.tasks if other is not task), *halves)
    phases = (*plan.phases[:number], replace(phase, tasks=tasks), *plan.phases[number + 1 :])
    with pytest.raises(PlanError, match="needs all of 'dense/kernel'"):
        verify_plan(replace(plan, phases=phases))


def test_models_are_saved_with_it(tmp_path: Path) -> None:
    model, (x, y) = net("columns"), data()
    model.fit(x, y, epochs=2, verbose=0)
    model.save(tmp_path / "a.safetensors")
    again = fastnn.load_model(tmp_path / "a.safetensors")
    for one in (model, again):
        one.fit(x, y, epochs=2, verbose=0)
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        assert one.tobytes() == other.tobytes()


class Own(regularizers.Regularizer):
    """A regularizer of a user."""

    def __call__(self, x: object) -> float:
        return 0.5


class Derived(regularizers.L2):
    """Another one, that would pass for its base."""

    def __call__(self, x: object) -> float:
        return 0.5


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: regularizers.OrthogonalRegularizer(-1.0),
            ConfigurationError,
            "factor must be a finite number of at least 0",
        ),
        (
            lambda: regularizers.OrthogonalRegularizer(mode="row"),
            ConfigurationError,
            "'rows' or 'columns', got 'row'",
        ),
        (lambda: regularizers.OrthogonalRegularizer()([1.0, 2.0]), ShapeError, r"x has shape \(2,\)"),
        (lambda: regularizers.OrthogonalRegularizer()([[1.0, 2.0]]), ShapeError, "there must be two"),
        (lambda: net("columns", units=1), ShapeError, r"'dense/kernel' has shape \(5, 1\).*compares columns"),
        (lambda: net("rows", inputs=1), ShapeError, "compares rows"),
        (
            lambda: fastnn.Sequential(
                [fastnn.Input((3,)), layers.Dense(2, bias_regularizer="orthogonal_regularizer")]
            ),
            ShapeError,
            r"'dense/bias' has shape \(2,\)",
        ),
        (
            lambda: layers.Dense(2, activity_regularizer="orthogonal_regularizer"),
            ConfigurationError,
            "activity_regularizer takes L1, L2 and L1L2",
        ),
        (lambda: layers.Dense(2, kernel_regularizer=Own()), DTypeError, "Own is a regularizer of your own"),
        (lambda: layers.Dense(2, kernel_regularizer=Own), DTypeError, "Own is a regularizer of your own"),
        (
            lambda: layers.Dense(2, kernel_regularizer=Derived()),
            DTypeError,
            "Derived is a regularizer of your own",
        ),
        (
            lambda: layers.Dense(2, bias_regularizer=lambda w: 0.0),
            DTypeError,
            "function is a regularizer of your own",
        ),
    ],
)
def test_bad_input_is_refused(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_names_are_those_of_keras() -> None:
    assert regularizers.get("orthogonal_regularizer") == regularizers.OrthogonalRegularizer(0.01, "rows")
    assert regularizers.get(regularizers.orthogonal_regularizer) == regularizers.OrthogonalRegularizer()
    given = regularizers.OrthogonalRegularizer(0.5, "columns")
    assert regularizers.get({"class_name": "OrthogonalRegularizer", "config": given.get_config()}) == given
