"""Looking inside: the gradient check, right on all combinations and red on wrong gradients; plan, profile."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import formulas
import numpy as np
import pytest
from cases import ACTIVATIONS, pairwise

import fastnn
from fastnn import layers, losses, regularizers
from fastnn.compiler import lowering
from fastnn.compiler.plan import OpCode
from fastnn.errors import ConfigurationError, DTypeError, ShapeError
from fastnn.model import inspection
from fastnn.run.reference import ReferenceProgram

PASS = 1e-6  # findings.md, and "finite difference" of the table in conftest.py
RNG = np.random.default_rng(35)  # no unit of `network` stands near its kink
X = RNG.standard_normal((5, 3))
LABELS = np.array([0, 2, 1, 2, 0])
SOFT = RNG.dirichlet(np.ones(3), 5)
WEIGHTS = np.array([0.0, 0.5, 1.0, 2.0, 3.0])
LOSSES: dict[str, tuple[Any, np.ndarray]] = {
    "mse": (losses.MeanSquaredError(), SOFT),
    "mae": (losses.MeanAbsoluteError(), SOFT),
    "ce": (losses.CategoricalCrossentropy(), SOFT),
    "ce logits": (losses.CategoricalCrossentropy(from_logits=True), SOFT),
    "sparse ce": (losses.SparseCategoricalCrossentropy(), LABELS),
    "sparse ce logits": (losses.SparseCategoricalCrossentropy(from_logits=True), LABELS),
    "bce": (losses.BinaryCrossentropy(), SOFT),
    "bce logits": (losses.BinaryCrossentropy(from_logits=True), SOFT),
    "bce sum": (losses.BinaryCrossentropy(reduction="sum"), SOFT),
}


def network(
    hidden: str,
    output: str | None,
    loss: Any,
    l2: float = 0.0,
    *,
    apart: bool = False,
    dtype: str = "float64",
) -> fastnn.Sequential:
    """Return 3-4-3 whose outputs lie inside (0, 1), where every loss has a slope.

    Parameters
    ----------
    apart : bool
        Whether activations are layers of their own.
    """
    penalty = regularizers.L2(l2) if l2 else None
    options: dict[str, Any] = {"kernel_regularizer": penalty, "bias_regularizer": penalty}
    chain: list[Any] = [fastnn.Input((3,))]
    for units, activation in ((4, hidden), (3, output)):
        if apart:
            chain += [layers.Dense(units, **options), layers.Activation(activation)]
        else:
            chain.append(layers.Dense(units, activation, **options))
    model = fastnn.Sequential(chain, dtype=dtype, seed=0)
    draw = np.random.default_rng(23)
    model.set_weights(
        [
            draw.normal(0, 0.4, (3, 4)),
            draw.normal(0, 0.4, 4),
            draw.normal(0, 0.1, (4, 3)),
            draw.uniform(0.4, 0.6, 3) - (output == "softplus"),
        ]
    )
    model.compile("sgd", loss)
    return model


@pytest.mark.filterwarnings("ignore::fastnn.errors.TrainingWarning")  # combinations, whether sensible or not
@pytest.mark.parametrize(("hidden", "output", "loss"), pairwise(ACTIVATIONS, ACTIVATIONS, LOSSES))
def test_every_gradient_agrees_with_finite_differences(hidden: str, output: str, loss: str) -> None:
    objective, targets = LOSSES[loss]
    for l2 in (0.0, 0.05):
        for weights in (None, WEIGHTS):
            for apart in (False, True):
                model = network(hidden, output, objective, l2, apart=apart)
                report = fastnn.gradcheck(model, X, targets, weights)
                assert len(report) == 4
                assert report.largest <= PASS, f"l2={l2}, weights={weights}, apart={apart}\n{report}"
                # A check that skips everything would pass, too.
                skipped = sum(report.skipped.values())
                assert skipped <= (4 if "relu" in (hidden, output) else 0), str(report)
                assert sum(report.checked.values()) + skipped == model.count_params()


@pytest.mark.filterwarnings("ignore::fastnn.errors.TrainingWarning")
@pytest.mark.parametrize("name", formulas.LOSSES)
def test_gradients_of_every_loss(name: str) -> None:
    formula = formulas.LOSSES[name]
    y = formula.targets(np.random.default_rng(2), 5, 4)
    for weights in (None, WEIGHTS - 0.5):
        model = fastnn.Sequential(
            [fastnn.Input((3,)), layers.Dense(3, "tanh"), layers.Dense(4, formula.activation or "sigmoid")],
            seed=3,
        )
        model.compile("sgd", getattr(losses, name)(**formula.arguments))
        report = fastnn.gradcheck(model, X, y, weights)
        assert report.largest <= PASS, str(report)
        assert sum(report.skipped.values()) <= 4, str(report)


@pytest.mark.parametrize("output", ACTIVATIONS)
@pytest.mark.parametrize("hidden", ACTIVATIONS)
def test_input_gradients_agree_with_finite_differences(hidden: str, output: str) -> None:
    model = network(hidden, output, "mse")
    upstream, h = RNG.standard_normal((5, 3)), 1e-4
    expected = np.empty_like(X)
    for column in range(3):
        step = h * np.eye(3)[column]
        slope = (model.predict(X + step) - model.predict(X - step)) / (2 * h)
        expected[:, column] = (upstream * slope).sum(1)
    np.testing.assert_allclose(model.input_gradients(X, upstream), expected, rtol=1e-6, atol=1e-8)


def test_one_layer_and_many_layers() -> None:
    for depth in (0, 1, 5):
        chain = [layers.Dense(4, "tanh") for _ in range(depth)]
        model = fastnn.Sequential([fastnn.Input((3,)), *chain, layers.Dense(1, "sigmoid")], seed=1)
        model.compile("sgd", "binary_crossentropy")
        report = fastnn.gradcheck(model, X, LABELS > 0)
        assert len(report) == 2 * (depth + 1)
        assert report.largest <= PASS, str(report)


# --- what a gradient check is for ------------------------------------------------------------------------


def scaled(factor: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda gradient: factor * gradient


def one_entry_dropped(gradient: np.ndarray) -> np.ndarray:
    gradient.reshape(-1)[np.abs(gradient).argmax()] = 0.0
    return gradient


WRONG: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "factor 2": scaled(2.0),
    "no sign": scaled(-1.0),
    "a thousandth off": scaled(1.001),
    "five millionths off": scaled(1 + 5e-6),
    "nothing": scaled(0.0),
    "one entry dropped": one_entry_dropped,
    "reversed": lambda gradient: np.ascontiguousarray(gradient[::-1]),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("parameter", ["dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"])
def test_a_wrong_gradient_is_caught_and_named(
    parameter: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = inspection._Double.gradients

    def corrupted(double: Any) -> dict[str, np.ndarray]:
        gradients = right(double)
        gradients[parameter] = WRONG[wrong](gradients[parameter])
        return gradients

    monkeypatch.setattr(inspection._Double, "gradients", corrupted)
    report = fastnn.gradcheck(network("tanh", "sigmoid", "mse"), X, SOFT)
    assert report[parameter] > PASS
    assert max(error for name, error in report.items() if name != parameter) <= PASS


def test_a_backward_rule_without_the_derivative_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def lazy(state: Any, op: Any, dy: Any) -> None:
        state.gradients[op.need("x").name] = dy

    monkeypatch.setitem(lowering.BACKWARD, OpCode.ACTIVATION, lazy)
    report = fastnn.gradcheck(network("tanh", "linear", "mse"), X, SOFT)
    assert report["dense_1/kernel"] <= PASS
    assert report["dense/kernel"] > 1e-2
    assert report["dense/bias"] > 1e-2


@pytest.mark.parametrize("penalty", [regularizers.L1(0.3), regularizers.L1L2(0.2, 0.1)], ids=repr)
def test_penalties_of_absolute_values_agree_with_finite_differences(penalty: Any) -> None:
    options: dict[str, Any] = {"kernel_regularizer": penalty, "bias_regularizer": penalty}
    hidden = layers.Dense(4, "tanh", bias_initializer="ones", **options)
    model = fastnn.Sequential([fastnn.Input((3,)), hidden, layers.Dense(3)], dtype="float64", seed=3)
    model.compile("sgd", "mse")
    report = fastnn.gradcheck(model, X, SOFT)
    assert report.largest <= PASS, str(report)
    assert not sum(report.skipped.values())
    hidden.set_weights([np.zeros((3, 4)), np.zeros(4)])  # where it has no slope, it pulls nowhere
    free = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(3)], dtype="float64")
    free.set_weights(model.get_weights())
    free.compile("sgd", "mse")
    with_it, without = (one.loss_and_gradients(X, SOFT)[1] for one in (model, free))
    np.testing.assert_array_equal(with_it["dense/kernel"], without["dense/kernel"])


def test_a_forgotten_penalty_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lowering.Lowering, "regularize", lambda lowering: None)
    report = fastnn.gradcheck(network("tanh", "linear", "mse", l2=0.05), X, SOFT)
    assert min(report.values()) > 1e-3


def test_kinks_are_skipped_and_counted() -> None:
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(2, "relu")], dtype="float64", seed=0)
    model.compile("sgd", "mse")
    report = fastnn.gradcheck(model, np.zeros((2, 3)), -np.ones((2, 2)))  # z = 0: the bias is at the kink
    assert report.skipped["dense/bias"] == 2
    assert report.checked == {"dense/kernel": 6, "dense/bias": 0}
    assert report.largest <= PASS


def test_the_check_leaves_the_model_alone_and_can_be_sampled(refused: Any) -> None:
    model = network("tanh", "softmax", "categorical_crossentropy", dtype="float32")
    before = [w.tobytes() for w in model.get_weights()]
    report = fastnn.gradcheck(model, X, SOFT, max_entries=2, seed=1)
    assert [w.tobytes() for w in model.get_weights()] == before
    assert model.optimizer.iterations == 0
    assert set(report.checked.values()) == {2}
    assert report.largest <= PASS  # float64 inside, whatever the model's dtype
    head, *lines = str(report).splitlines()
    assert re.fullmatch(r"parameter\s+relative error\s+checked\s+skipped", head)
    assert [line.split()[0] for line in lines] == list(report)
    with pytest.raises(DTypeError, match="gradcheck needs a model"):
        fastnn.gradcheck("model", X, SOFT)
    with refused(model, ConfigurationError, match="max_entries must be at least 1"):
        fastnn.gradcheck(model, X, SOFT, max_entries=0)
    with refused(model, ShapeError, match="y has 4 rows"):
        fastnn.gradcheck(model, X, SOFT[:4])


def test_frozen_parameters_are_not_checked() -> None:
    model = network("tanh", "sigmoid", "mse")
    model.layers[0].trainable = False
    model.compile("sgd", "mse")
    report = fastnn.gradcheck(model, X, SOFT)
    assert list(report) == ["dense_1/kernel", "dense_1/bias"]
    assert report.largest <= PASS


# --- plan, profile, summary ------------------------------------------------------------------------------


def test_a_plan_prints_its_ops_with_sizes() -> None:
    model = fastnn.Sequential(
        [fastnn.Input((784,)), layers.Dense(500, "relu"), layers.Dense(10, "softmax")], seed=0
    )
    assert str(model.plan()).startswith("plan: predict, rows: any, 2 ops")
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    plan = model.plan(batch_size=200)
    text = str(plan)
    assert text.startswith(f"plan: train, rows: 200, {len(plan.ops)} ops, {plan.flops(200):,} flops a step")
    products = 2 * 200 * (784 * 500 * 2 + 500 * 10 * 3)  # the first layer needs no input gradient
    assert products <= plan.flops(200) <= 1.02 * products
    assert re.search(r"dense relu.* dense: dense/y\[m, 500\] @workspace", text)
    assert "softmax_crossentropy sparse_categorical_crossentropy" in text
    assert "dense/kernel[784, 500] @parameters+0" in text
    with pytest.raises(ConfigurationError, match=r"unknown purpose 'training'.*train"):
        model.plan(purpose="training")
    with pytest.raises(ConfigurationError, match="batch_size must be at least 1"):
        model.plan(batch_size=0)


@pytest.mark.parametrize("output", [None, "softmax"])
@pytest.mark.parametrize(
    "purpose", ["train", "gradients", "evaluate", "outputs", "predict", "input_gradients"]
)
def test_every_purpose_has_a_plan_with_a_line_per_op(purpose: str, output: str | None) -> None:
    model = network("tanh", output, losses.CategoricalCrossentropy(from_logits=output is None), l2=0.01)
    plan = model.plan(batch_size=8, purpose=purpose)
    assert plan.purpose == purpose
    assert str(plan).splitlines()[0].startswith(f"plan: {purpose}, rows: ")
    assert len(re.findall(r"^ +\d+ +[\d,]+ flops +[\d,]+ bytes", str(plan), re.M)) == len(plan.ops) > 0


def test_a_profile_has_an_entry_per_op_and_changes_nothing() -> None:
    model = network("tanh", "softmax", "categorical_crossentropy", l2=0.01)
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    model.fit(X, SOFT, epochs=2, verbose=0)
    before = [w.tobytes() for w in model.get_weights()], model.optimizer.iterations
    state = model.optimizer.state.tobytes()
    profile = model.profile(np.tile(X, (40, 1)), np.tile(SOFT, (40, 1)), batch_size=50)
    assert ([w.tobytes() for w in model.get_weights()], model.optimizer.iterations) == before
    assert model.optimizer.state.tobytes() == state
    plan = model.plan(batch_size=50)
    assert len(profile.rows) == len(plan.ops)
    assert [flops for _, _, flops in profile.rows] == [op.flops(50) for op in plan.ops]
    assert all(microseconds > 0 for _, microseconds, _ in profile.rows)
    assert profile.microseconds == pytest.approx(sum(row[1] for row in profile.rows))
    assert profile.peak > 0
    assert profile.steps % 4 == 0  # whole epochs of 200 rows
    text = str(profile)
    for description, _, _ in profile.rows:
        assert description in text
    assert re.search(
        r"us/step +share +GFLOP/s +of peak +op +\(one thread, \d+ steps, peak \d+ GFLOP/s\)", text
    )


def test_a_summary_lists_layers_shapes_and_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    model = fastnn.Sequential(
        [
            fastnn.Input((784,)),
            layers.Dense(500, "relu", name="hidden", trainable=False),
            layers.Dense(10),
            layers.Activation("softmax"),
        ],
        name="digits",
    )
    assert model.summary() is None
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["model", "'digits',", "float32"]
    assert lines[1] == ["layer", "kind", "activation", "output", "shape", "parameters"]
    assert lines[3:] == [
        ["input", "Input", "(None,", "784)", "0"],
        ["hidden", "Dense", "relu", "(None,", "500)", "392,500"],
        ["dense", "Dense", "linear", "(None,", "10)", "5,010"],
        ["activation", "Activation", "softmax", "(None,", "10)", "0"],
        ["parameters:", "397,510,", "trainable:", "5,010,", "non-trainable:", "392,500"],
    ]
    fastnn.Sequential([layers.Dense(3)]).summary()
    assert capsys.readouterr().out.splitlines()[3].split() == ["-", "Dense", "linear", "?", "?"]


def test_the_reference_interpreter_does_not_mind_what_its_output_memory_held() -> None:
    """Fresh memory may hold a signalling NaN, at whose conversion to float64 NumPy warns."""
    model = network("tanh", "sigmoid", "mse", dtype="float32")
    rows = X.astype(np.float32)
    output = np.full((5, 3), 0x7FA00000, np.uint32).view(np.float32)
    program = ReferenceProgram(model.plan(purpose="predict"), model.dtype, model._now.store.array)
    program.run({"x": rows, "output": output}, 5, 5)
    np.testing.assert_allclose(output, model.predict(rows), rtol=1e-5)
