"""Losses and metrics that are functions, against Keras's own, which differentiates what returns values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RNG = np.random.default_rng(5)
X = RNG.standard_normal((50, 4)).astype(np.float32)
Y = RNG.standard_normal((50, 2)).astype(np.float32)
WEIGHTS = RNG.uniform(0, 2, 50).astype(np.float32)
SHAPES = ((4, 6), (6,), (6, 2), (2,))
START = [RNG.normal(0, 0.5, shape).astype(np.float32) for shape in SHAPES]


def softened(y_true: np.ndarray, y_pred: np.ndarray) -> Any:
    error = y_pred - y_true
    root = np.sqrt(1 + error**2)
    return root.sum(axis=1) - 2, error / root


def worst(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    return abs(y_true - y_pred).max(axis=1)


def each(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    return (y_true - y_pred) ** 3


def total(y_true: np.ndarray, y_pred: np.ndarray) -> Any:
    return ((y_true - y_pred) ** 2).sum()


def theirs_of(keras: Any) -> dict[str, Any]:
    ops = keras.ops

    def softened(y_true: Any, y_pred: Any) -> Any:
        return ops.sum(ops.sqrt(1 + (y_pred - y_true) ** 2), axis=-1) - 2

    def worst(y_true: Any, y_pred: Any) -> Any:
        return ops.max(ops.abs(y_true - y_pred), axis=-1)

    def each(y_true: Any, y_pred: Any) -> Any:
        return (y_true - y_pred) ** 3

    def total(y_true: Any, y_pred: Any) -> Any:
        return ops.sum((y_true - y_pred) ** 2)

    return {"loss": softened, "metrics": [worst, each, total], "weighted_metrics": [each]}


@pytest.fixture
def models(keras: Any, request: pytest.FixtureRequest) -> list[Any]:
    made = []
    for k in (keras, fastnn):
        model = k.Sequential([k.Input((4,)), k.layers.Dense(6, activation="tanh"), k.layers.Dense(2)])
        model.set_weights(START)
        made.append(model)
    ours = {"loss": softened, "metrics": [worst, each, total], "weighted_metrics": [each]}
    for k, model, options in zip((keras, fastnn), made, (theirs_of(keras), ours), strict=True):
        model.compile(optimizer=getattr(k.optimizers, request.param)(0.02), **options)
    return made


def assert_same(found: dict[str, Any], wanted: dict[str, Any], tolerance: float = 1e-5) -> None:
    assert set(found) == set(wanted)
    for name, values in wanted.items():
        np.testing.assert_allclose(
            found[name], np.asarray(values), rtol=tolerance, atol=tolerance, err_msg=name
        )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("models", ["SGD", "Adam"], indirect=True)
def test_they_train_and_measure_as_in_keras(models: list[Any], weighted: bool) -> None:
    theirs, ours = models
    weights = {"sample_weight": WEIGHTS} if weighted else {}
    options = {"batch_size": 16, "verbose": 0, **weights}
    assert_same(*(model.evaluate(X, Y, return_dict=True, **options) for model in (ours, theirs)), 1e-6)
    for _ in range(3):
        given = {"epochs": 1, "shuffle": False, "validation_data": (X[:20], Y[:20])}
        assert_same(ours.fit(X, Y, **given, **options).history, theirs.fit(X, Y, **given, **options).history)
    evaluated = [model.evaluate(X, Y, return_dict=True, **options) for model in (ours, theirs)]
    assert_same(*evaluated)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_outputs_are_called_by_their_keys(keras: Any) -> None:
    found = []
    y = {"mean": Y, "size": X[:, :1]}
    for k in (keras, fastnn):
        x = k.Input((4,))
        h = k.layers.Dense(6, activation="tanh")(x)
        ends = {"mean": k.layers.Dense(2, name="first")(h), "size": k.layers.Dense(1, name="second")(h)}
        model = k.Model(x, ends)
        model.set_weights([*START, START[2][:, :1], START[3][:1]])
        shares = {"mean": 0.5, "size": 2.0}
        loss, metrics = {"mean": "mse", "size": "mae"}, {"mean": ["mae"], "size": ["mse"]}
        model.compile(k.optimizers.SGD(0.1), loss, loss_weights=shares, metrics=metrics)
        history = model.fit(X, y, batch_size=16, epochs=3, shuffle=False, verbose=0).history
        found.append(
            (history, model.evaluate(X, y, verbose=0, return_dict=True), model.predict(X, verbose=0))
        )
    for theirs, ours in zip(*found, strict=True):
        assert_same(ours, theirs)
