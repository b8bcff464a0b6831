"""Metrics, with and without sample weights, as in Keras: in fit, evaluate and steps of one batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn

RNG = np.random.default_rng(77)
X = RNG.standard_normal((90, 5)).astype(np.float32)
SCORES = (X @ RNG.standard_normal((5, 3)) + RNG.standard_normal((90, 3))).astype(np.float32)
LABELS = SCORES.argmax(1)
MANY = (SCORES > 0).astype(np.float32)
WEIGHTS = (RNG.random(90) * 2).astype(np.float32)
CLOSE = {"rtol": 1e-5, "atol": 1e-6}
ACCURACY, RMSE = ["accuracy"], lambda k: k.metrics.RootMeanSquaredError()
# units, activation, loss, metrics of a module, targets
CASES: dict[str, tuple[int, str | None, str, Callable[[Any], Any], np.ndarray]] = {
    "regression": (3, None, "mae", lambda k: ["mse", "mae", RMSE(k)], SCORES),
    "one of each": (1, "sigmoid", "binary_crossentropy", lambda k: ["accuracy", "mse"], MANY[:, :1]),
    "several": (3, "sigmoid", "binary_crossentropy", lambda k: ["binary_accuracy", "accuracy"], MANY),
    "classes": (3, "softmax", "sparse_categorical_crossentropy", lambda k: ACCURACY, LABELS),
    "one hot": (3, "softmax", "categorical_crossentropy", lambda k: ["acc", "mae"], np.eye(3)[LABELS]),
}


def pair(keras: Any, case: str, **options: Any) -> list[Any]:
    """Return the two models, compiled, with the same weights; values of `options` are made by a module."""
    units, activation, loss, *_ = CASES[case]
    made, draw = [], np.random.default_rng(5)
    weights = [
        draw.normal(0, 0.5, shape).astype(np.float32) for shape in ((5, 7), (7,), (7, units), (units,))
    ]
    for k in (keras, fastnn):
        model = k.Sequential(
            [
                k.Input((5,)),
                k.layers.Dense(7, activation="tanh"),
                k.layers.Dense(units, activation=activation),
            ]
        )
        model.set_weights(weights)
        model.compile(
            optimizer=k.optimizers.SGD(0.05), loss=loss, **{name: make(k) for name, make in options.items()}
        )
        made.append(model)
    return made


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], np.asarray(values), err_msg=name, **CLOSE)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_weighted_metrics_are_those_of_keras(keras: Any, case: str, weighted: bool) -> None:
    *_, make, y = CASES[case]
    theirs, ours = pair(keras, case, metrics=make, weighted_metrics=make)
    weights = WEIGHTS if weighted else None
    evaluated = [
        model.evaluate(X, y, sample_weight=weights, batch_size=16, verbose=0, return_dict=True)
        for model in (ours, theirs)
    ]
    assert_same(*evaluated)
    if weighted:
        first = evaluated[0]
        differ = [
            abs(first[name] - first[f"weighted_{name}"]) for name in first if f"weighted_{name}" in first
        ]
        assert differ
        assert max(differ) > 1e-3
    options = {"sample_weight": weights, "batch_size": 20, "epochs": 3, "verbose": 0, "shuffle": False}
    for held_out in ((X[:40], y[:40]), (X[:40], y[:40], WEIGHTS[40:80])):
        ours_, theirs_ = (
            model.fit(X, y, validation_data=held_out, **options).history for model in (ours, theirs)
        )
        assert_same(ours_, theirs_)
    theirs.reset_metrics()  # else it goes on with those of fit
    results = [
        model.train_on_batch(X, y, sample_weight=weights, return_dict=True) for model in (ours, theirs)
    ]
    assert_same(*results)


def test_weights_of_classes_count(keras: Any) -> None:
    made = pair(keras, "classes", weighted_metrics=lambda k: ACCURACY)
    options = {"class_weight": {0: 0.2, 1: 3.0, 2: 1.0}, "batch_size": 32, "epochs": 2, "verbose": 0}
    theirs, ours = (model.fit(X, LABELS, shuffle=False, **options).history for model in made)
    assert_same(ours, theirs)


@pytest.mark.parametrize("shape", ["list", "nested", "dict"])
def test_weighted_metrics_of_several_outputs(keras: Any, shape: str) -> None:
    given = {
        "list": ["mae", None],
        "nested": [["mae", "mse"], ["accuracy"]],
        "dict": {"classes": ["accuracy"], "scores": "mae"},
    }[shape]
    results = []
    for k in (keras, fastnn):
        x = k.Input((5,))
        outputs = [
            k.layers.Dense(3, name="scores")(x),
            k.layers.Dense(3, activation="softmax", name="classes")(x),
        ]
        model = k.Model(x, outputs)
        model.set_weights(
            [
                np.random.default_rng(s).normal(0, 0.5, n).astype(np.float32)
                for s, n in enumerate([(5, 3), 3, (5, 3), 3])
            ]
        )
        model.compile(
            optimizer="sgd",
            loss=["mse", "sparse_categorical_crossentropy"],
            metrics=[["mae"], ["accuracy"]],
            weighted_metrics=given,
        )
        weights = WEIGHTS if k is fastnn else [WEIGHTS, WEIGHTS]
        results.append(
            model.evaluate(
                X, [SCORES, LABELS], sample_weight=weights, batch_size=90, verbose=0, return_dict=True
            )
        )
    theirs, ours = results
    assert_same(ours, theirs)


BINARY: dict[str, Callable[[Any], Any]] = {
    **{
        f"{curve}, {method}, {count}": lambda k, curve=curve, method=method, count=count: k.metrics.AUC(
            count, curve, method, name="m"
        )
        for curve in ("ROC", "PR")
        for method in ("interpolation", "minoring", "majoring")
        for count in (2, 7, 200)
    },
    **{
        f"{curve} of thresholds {given}": lambda k, curve=curve, given=given: k.metrics.AUC(
            curve=curve, thresholds=given, name="m"
        )
        for curve, given in (("ROC", [0.5]), ("PR", [0.7, 0.2, 0.2]), ("ROC", [0.25, 0.5, 0.75]), ("PR", []))
    },
    "by name": lambda k: "AUC",
    "precision": lambda k: k.metrics.Precision(name="m"),
    "precision of few": lambda k: k.metrics.Precision(0.6, name="m"),
    "recall": lambda k: k.metrics.Recall(name="m"),
    "recall of most": lambda k: k.metrics.Recall(thresholds=0.2, name="m"),
}


@pytest.mark.parametrize("case", ["one of each", "several"])
@pytest.mark.parametrize("metric", BINARY)
def test_metrics_made_of_counts_are_those_of_keras(keras: Any, metric: str, case: str) -> None:
    make, y = BINARY[metric], CASES[case][-1]
    made = pair(keras, case, metrics=lambda k: [make(k)], weighted_metrics=lambda k: [make(k)])
    options = {"sample_weight": WEIGHTS, "batch_size": 32, "verbose": 0}
    theirs, ours = (model.evaluate(X, y, return_dict=True, **options) for model in made)
    one, other = (value for name, value in ours.items() if name != "loss")
    assert one != other or metric.endswith(" 2")
    assert_same(ours, theirs)
    theirs, ours = (
        model.fit(X, y, epochs=2, validation_data=(X, y), shuffle=False, **options).history for model in made
    )
    assert_same(ours, theirs)
