"""Batch normalisation: what it computes, its gradients, its statistics, and the phases that it needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers, optimizers
from fastnn.compiler import schedule
from fastnn.compiler.plan import Axis, OpCode
from fastnn.errors import ConfigurationError, DTypeError, NonFiniteWarning
from fastnn.model.summaries import summary
from fastnn.run import program, runtime

RNG = np.random.default_rng(17)
X = RNG.normal(2.0, 3.0, (50, 5))
Y = RNG.standard_normal((50, 2))
EPSILON = 1e-3
Norm = layers.BatchNormalization


def chain(*chained: layers.Layer, dtype: str = "float64", inputs: int = 5, **options: Any) -> Any:
    """Return a compiled chain with weights at random, and statistics of data at random."""
    model = fastnn.Sequential([fastnn.Input((inputs,)), *chained], dtype=dtype, seed=2)
    model.compile(**{"optimizer": optimizers.SGD(0.05), "loss": "mse", **options})
    rng = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, Norm):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    return model


def scaled(x: np.ndarray, mean: Any, variance: Any, gamma: Any = 1.0, beta: Any = 0.0) -> np.ndarray:
    return gamma * (x - mean) / np.sqrt(variance + EPSILON) + beta


# -- what it computes


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [1, 2, 50])
@pytest.mark.parametrize("width", [1, 5, 130])
def test_predictions_take_the_statistics(width: int, rows: int, dtype: str, simd_level: str) -> None:
    x = RNG.normal(2.0, 3.0, (rows, width))
    model = chain(Norm(), dtype=dtype, inputs=width)
    gamma, beta, mean, variance = model.get_weights()
    expected = scaled(x.astype(dtype), mean, variance, gamma, beta)
    near = {"rtol": 1e-5, "atol": 1e-5} if dtype == "float32" else {"rtol": 1e-13, "atol": 1e-13}
    np.testing.assert_allclose(model.predict(x), expected, **near)
    np.testing.assert_allclose(model(x), expected, **near)
    assert model.evaluate(x, 0 * x, verbose=0) == pytest.approx((expected**2).mean(), rel=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "options", [{}, {"scale": False}, {"center": False}, {"scale": False, "center": False}]
)
def test_training_takes_the_batch_and_moves_the_statistics(options: dict[str, bool], dtype: str) -> None:
    model = chain(Norm(momentum=0.75, **options), dtype=dtype)
    weights = dict(zip(_names(options), model.get_weights(), strict=True))
    x, target = X.astype(dtype), np.zeros_like(X)
    outputs = scaled(X, X.mean(0), X.var(0), weights.get("gamma", 1.0), weights.get("beta", 0.0))
    loss = model.train_on_batch(x, target)
    assert loss == pytest.approx((outputs**2).mean(), rel=1e-5)
    mean, variance = model.get_weights()[-2:]
    np.testing.assert_allclose(mean, 0.75 * weights["moving_mean"] + 0.25 * X.mean(0), rtol=1e-6)
    np.testing.assert_allclose(variance, 0.75 * weights["moving_variance"] + 0.25 * X.var(0), rtol=1e-6)


def _names(options: dict[str, bool]) -> list[str]:
    wanted = {"gamma": options.get("scale", True), "beta": options.get("center", True)}
    return [*(name for name, there in wanted.items() if there), "moving_mean", "moving_variance"]


def test_a_short_last_batch_has_moments_of_its_own() -> None:
    model = chain(Norm(momentum=0.0))
    model.fit(X, X, batch_size=48, shuffle=False, verbose=0)
    np.testing.assert_allclose(model.layers[0].moving_mean, X[48:].mean(0), rtol=1e-12)
    np.testing.assert_allclose(model.layers[0].moving_variance, X[48:].var(0), rtol=1e-12)
    model.train_on_batch(X[:1], X[:1])
    np.testing.assert_allclose(model.layers[0].moving_variance, 0.0)
    np.testing.assert_allclose(model.layers[0].moving_mean, X[0], rtol=1e-12)


def test_moments_of_many_rows_are_right_in_float32() -> None:
    """In float32 sums of so many numbers, one after the other, would be wrong by percents."""
    x = np.full((400_000, 3), 0.1, np.float32) + np.float32([0.0, 1.0, 1000.0])
    x[::2] += np.float32(0.5)
    model = chain(Norm(momentum=0.0), dtype="float32", inputs=3)
    model.train_on_batch(x, x)
    np.testing.assert_allclose(model.layers[0].moving_mean, x.mean(0, dtype=np.float64), rtol=1e-7)
    np.testing.assert_allclose(model.layers[0].moving_variance, x.var(0, dtype=np.float64), rtol=1e-6)


def test_layers_begin_as_in_keras() -> None:
    model = fastnn.Sequential([fastnn.Input((3,)), Norm(name="n")])
    ones, zeros = np.ones(3), np.zeros(3)
    for found, expected in zip(model.get_weights(), (ones, zeros, zeros, ones), strict=True):
        np.testing.assert_array_equal(found, expected)
    layer = model.layers[0]
    for found, expected in zip(
        (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance),
        (ones, zeros, zeros, ones),
        strict=True,
    ):
        np.testing.assert_array_equal(found, expected)
    bare = fastnn.Sequential([fastnn.Input((3,)), Norm(center=False, scale=False)]).layers[0]
    assert bare.gamma is bare.beta is None
    assert len(bare.get_weights()) == 2
    with pytest.raises(AttributeError, match="has no kernel"):
        _ = layer.kernel


# -- gradients


def graph(norm: Callable[..., layers.Layer]) -> fastnn.Model:
    """Return a net in which one layer scales two tensors, and another a sum that is read twice."""
    x = fastnn.Input((5,))
    shared = norm()
    a, b = shared(layers.Dense(4)(x)), shared(layers.Dense(4, "tanh")(x))
    h = norm(scale=False)(layers.Add()([a, b]))
    return fastnn.Model(
        x, layers.Dense(2)(layers.Multiply()([h, layers.Dense(4)(h)])), dtype="float64", seed=1
    )


NETS: dict[str, Callable[[], Any]] = {
    "first": lambda: chain(Norm(), layers.Dense(2)),
    "last": lambda: chain(layers.Dense(2), Norm(gamma_regularizer="l2", beta_regularizer="l2")),
    "between": lambda: chain(layers.Dense(7, "relu"), Norm(), layers.Dense(4), Norm(), layers.Dense(2)),
    "bare": lambda: chain(layers.Dense(7), Norm(scale=False, center=False), layers.Dense(2)),
    "activated": lambda: chain(
        layers.Dense(3), Norm(epsilon=0.1), layers.Activation("tanh"), layers.Dense(2)
    ),
    "frozen": lambda: chain(layers.Dense(3), Norm(trainable=False), layers.Dense(2)),
    "half frozen": lambda: chain(layers.Dense(3, trainable=False), Norm(), layers.Dense(2)),
    "graph": lambda: graph(Norm),
}


@pytest.mark.parametrize("rows", [1, 2, 50])
@pytest.mark.parametrize("net", NETS)
def test_gradients_agree_with_finite_differences(net: str, rows: int, tolerances: dict[str, float]) -> None:
    model = NETS[net]()
    model.compile("sgd", "mse")
    weights = RNG.uniform(0.5, 1.5, rows)
    report = fastnn.gradcheck(model, X[:rows], Y[:rows], weights)
    assert report.largest < tolerances["finite difference"]
    trainable = {name for name in report if "moving" not in name}
    assert set(report) == trainable
    assert sum(report.checked.values()) > 0
    assert set(report) == set(model.loss_and_gradients(X, Y)[1])


@pytest.mark.parametrize("net", NETS)
def test_the_chain_rule_runs_at_the_statistics(net: str) -> None:
    """Gradients of predictions, whose statistics do not depend on the rows."""
    model = NETS[net]()
    x, h = X[:6], 1e-6
    upstream = RNG.standard_normal((6, 2))
    for axis in range(5):
        shift = h * np.eye(5)[axis]
        slope = ((model.predict(x + shift) - model.predict(x - shift)) * upstream).sum(1) / (2 * h)
        np.testing.assert_allclose(model.input_gradients(x, upstream)[:, axis], slope, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(model.forward(x), model.predict(x))
    found = model.backward(upstream)
    np.testing.assert_allclose(found["input"], model.input_gradients(x, upstream), rtol=1e-12, atol=1e-14)
    names = list(model._now.weights())
    for name in (name for name in names if name.endswith(("gamma", "beta"))):
        if name not in found:
            continue
        weights = model.get_weights()
        number, values = names.index(name), []
        for sign in (1, -1):
            moved = [w.copy() for w in weights]
            moved[number][0] += sign * h
            model.set_weights(moved)
            values.append((model.predict(x) * upstream).sum())
        model.set_weights(weights)
        assert found[name][0] == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-5, abs=1e-7)


# -- statistics are no weights


def test_who_is_trained() -> None:
    model = chain(layers.Dense(3), Norm(name="n"), layers.Dense(2))
    assert model.count_params() == 18 + 12 + 8
    assert "parameters: 38, trainable: 32, non-trainable: 6" in summary(model)
    statistics = [p.name for p in model.graph.parameters if p.statistic]
    assert statistics == ["n/moving_mean", "n/moving_variance"]
    assert not any(p.is_trained for p in model.graph.parameters if p.statistic)
    written = {
        operand.name
        for op in model.plan(8).ops
        if op.code is not OpCode.MOVING_AVERAGE
        for operand in op.outputs()
    }
    assert not written & set(statistics)


def test_a_frozen_layer_scales_by_its_statistics_and_keeps_them() -> None:
    model = chain(layers.Dense(3), Norm(name="n"), layers.Dense(2))
    model.get_layer("n").trainable = False
    model.compile("sgd", "mse")
    before = model.get_layer("n").get_weights()
    loss = model.evaluate(X, Y, verbose=0)
    assert model.train_on_batch(X, Y) == pytest.approx(loss, rel=1e-12)
    for old, new in zip(before, model.get_layer("n").get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    model.get_layer("n").trainable = True
    model.compile("sgd", "mse")
    model.train_on_batch(X, Y)
    assert not any(map(np.array_equal, before, model.get_layer("n").get_weights()))


def test_who_looks_only_moves_no_statistics() -> None:
    model = chain(layers.Dense(3), Norm(), layers.Dense(2))
    before = [w.tobytes() for w in model.get_weights()]
    model.loss_and_gradients(X, Y)
    model.evaluate(X, Y, verbose=0)
    model.predict(X)
    model.forward(X)
    model.backward()
    fastnn.gradcheck(model, X, Y)
    assert [w.tobytes() for w in model.get_weights()] == before


def test_a_step_that_is_not_made_moves_no_statistics() -> None:
    model = chain(Norm(), layers.Dense(2), dtype="float32")
    before = [w.tobytes() for w in model.get_weights()]
    with pytest.warns(NonFiniteWarning):
        model.fit(X, Y * 1e30, verbose=0)
    assert [w.tobytes() for w in model.get_weights()] == before


# -- plans


def test_phases_go_from_rows_to_features_and_back() -> None:
    plan = chain(layers.Dense(3), Norm(), layers.Dense(2)).plan(16)
    rows, features = Axis.ROWS, Axis.FEATURES
    assert [phase.axis for phase in plan.phases] == [rows, features, rows, features, rows, Axis.PARAMETER]
    assert [phase.updates for phase in plan.phases] == [False] * 5 + [True]
    predict = chain(layers.Dense(3), Norm(), layers.Dense(2)).plan(purpose="predict")
    assert [phase.axis for phase in predict.phases] == [rows]


def test_a_net_of_few_features_keeps_to_rows() -> None:
    assert any(
        op.path.name == "COLUMNS" for op in chain(layers.Dense(2), inputs=2, dtype="float32").plan(64).ops
    )
    model = chain(Norm(), layers.Dense(2), inputs=2, dtype="float32")
    assert not any(op.path.name == "COLUMNS" for op in model.plan(64).ops)


def test_a_cut_along_features_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    def trained() -> tuple[list[bytes], int]:
        model = chain(layers.Dense(200, "relu"), Norm(), layers.Dense(2), dtype="float32")
        plan = model.plan(25)
        tiles = [len(phase.tasks) for phase in plan.phases if phase.axis is Axis.FEATURES]
        model.fit(X, Y, batch_size=25, epochs=2, verbose=0)
        return [w.tobytes() for w in model.get_weights()], max(tiles)

    whole, n_whole = trained()
    fastnn.compiler.shared_plans._plans.clear()
    monkeypatch.setattr(schedule, "MINIMUM_COLUMNS", 1)
    monkeypatch.setattr(schedule, "BYTE_FLOPS", 1_000_000)  # of products all tiles stay as they are
    cut, n_cut = trained()
    assert (n_whole, n_cut > 2) == (1, True)
    assert whole == cut


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_every_number_of_threads_trains_the_same_bits(
    shuffle: bool, dtype: str, team_sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "available_cpus", lambda: 4)
    for name in vars(schedule):
        if name.startswith(("MINIMUM_", "PREFERRED_")):
            monkeypatch.setattr(schedule, name, 2)
    monkeypatch.setattr(schedule, "BLOCK_COLUMNS", 4)
    monkeypatch.setattr(program.pool, "run_pays", lambda *_: True)
    x, y = RNG.standard_normal((300, 5)), RNG.standard_normal((300, 2))
    found = []
    for n_threads in (1, 2, 4):
        model = chain(
            Norm(), layers.Dense(40, "relu"), Norm(), layers.Dense(30), Norm(), layers.Dense(2), dtype=dtype
        )
        model.compile(optimizers.Adam(0.01), "mse")
        history = model.fit(x, y, batch_size=64, epochs=3, shuffle=shuffle, verbose=0, n_threads=n_threads)
        bits = [w.tobytes() for w in model.get_weights()], model.predict(x, n_threads=n_threads).tobytes()
        found.append((history.history, bits))
    assert found[0] == found[1] == found[2]
    assert max(team_sizes) == 4


@pytest.mark.parametrize("optimizer", ["sgd", optimizers.SGD(0.01, momentum=0.9), "adam", "rmsprop"])
def test_the_reference_trains_the_same_weights(optimizer: Any, tolerances: dict[str, float]) -> None:
    found = []
    for reference in (False, True):
        model = chain(
            Norm(), layers.Dense(7, "relu"), Norm(momentum=0.5, gamma_regularizer="l2"), layers.Dense(2)
        )
        model.compile(optimizer, "mse", reference=reference)
        history = model.fit(X, Y, batch_size=16, epochs=4, validation_split=0.2, verbose=0).history
        found.append((model.get_weights(), [history["loss"], history["val_loss"]]))
    for ours, theirs in zip(*(weights + losses for weights, losses in found), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerances["trained float64"], atol=1e-13)


def test_statistics_are_saved(tmp_path: Path) -> None:
    model = chain(layers.Dense(3), Norm(momentum=0.5, name="n"), layers.Dense(2))
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model")
    again = fastnn.load_model(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    np.testing.assert_array_equal(again.get_layer("n").moving_variance, model.get_layer("n").moving_variance)
    assert again.fit(X, Y, verbose=0).history == model.fit(X, Y, verbose=0).history


# -- arguments


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"axis": 0}, ConfigurationError, r"axis must be -1, as tensors are \(rows, features\), got 0"),
        ({"axis": True}, ConfigurationError, "axis must be -1"),
        ({"momentum": 1.5}, ConfigurationError, r"momentum must be a finite number in \[0, 1\]"),
        ({"momentum": "0.9"}, DTypeError, "momentum must be a number"),
        ({"epsilon": 0.0}, ConfigurationError, "epsilon must be a finite number"),
        ({"center": 1}, DTypeError, "center must be True or False"),
        ({"scale": None}, DTypeError, "scale must be True or False"),
        ({"gamma_initializer": "two"}, ConfigurationError, "unknown initializer 'two'"),
        ({"gamma_constraint": 2.0}, DTypeError, "a constraint is a name"),
        ({"synchronized": True}, DTypeError, "has no argument synchronized"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Norm(**options)


def test_arguments_of_keras_that_change_nothing_pass() -> None:
    assert Norm(axis=1, synchronized=False, beta_constraint=None, dtype=None).config == Norm().config
