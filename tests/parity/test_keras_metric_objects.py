"""Metrics without a model, and all at once in one, as in Keras: in parts, weighted or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn

RNG = np.random.default_rng(31)
ROWS = 53
SCORES = RNG.normal(size=(ROWS, 4)).astype(np.float32)
SHARES = (np.exp(SCORES) / np.exp(SCORES).sum(1, keepdims=True)).astype(np.float32)
LABELS = (SCORES + RNG.normal(size=SCORES.shape)).argmax(1)
ONE_HOT = np.eye(4, dtype=np.float32)[LABELS]
MANY = (RNG.random((ROWS, 4)) < 0.4).astype(np.float32)
NUMBERS = (SCORES + 0.5 * RNG.normal(size=SCORES.shape)).astype(np.float32)
WEIGHTS = RNG.uniform(0, 2, ROWS).astype(np.float32)
STEPS = (SHARES * 20).round() / 20  # with equal ones, and some on thresholds
EVEN = [0.0, 0.25, 0.5, 0.75, 1.0]
COUNTS = ("TruePositives", "TrueNegatives", "FalsePositives", "FalseNegatives")
BEST = ("PrecisionAtRecall", "RecallAtPrecision", "SensitivityAtSpecificity", "SpecificityAtSensitivity")

# what -> a metric of a module, targets, outputs
Made = Callable[[Any], Any]
CASES: dict[str, tuple[Made, np.ndarray, np.ndarray]] = {
    "exact": (lambda k: k.Accuracy(), LABELS, SHARES.argmax(1)),
    "exact columns": (lambda k: k.Accuracy(), MANY, STEPS.round()),
    "top 5": (lambda k: k.TopKCategoricalAccuracy(4), ONE_HOT, STEPS),
    "top 2": (lambda k: k.TopKCategoricalAccuracy(k=2), ONE_HOT, STEPS),
    "labels among 3": (lambda k: k.SparseTopKCategoricalAccuracy(k=3), LABELS, STEPS),
    **{
        f"{name}, {thresholds}": (
            lambda k, name=name, thresholds=thresholds: getattr(k, name)(thresholds=thresholds), MANY, STEPS
        )
        for name in (*COUNTS, "Precision", "Recall")
        for thresholds in (None, 0.3, [0.6, 0.2, 0.2], EVEN)
    },
    "one class": (lambda k: k.Precision([0.1, 0.4], class_id=2), MANY, STEPS),
    "largest": (lambda k: k.Recall(top_k=2), MANY, SHARES),
    "largest of a class": (lambda k: k.Precision(top_k=2, class_id=1), MANY, SHARES),
    "largest above": (lambda k: k.Precision(0.3, top_k=2), MANY, SHARES),
    **{
        f"{name}, {options}": (
            lambda k, name=name, options=options: getattr(k, name)(0.6, **options), MANY, STEPS
        )
        for name in BEST
        for options in (
            {}, {"num_thresholds": 1}, {"num_thresholds": 2}, {"num_thresholds": 9, "class_id": 3}
        )
    },
    **{
        f"F of {average}, {threshold}": (
            lambda k, average=average, threshold=threshold: k.FBetaScore(average, 2.0, threshold), MANY, STEPS
        )
        for average in (None, "micro", "macro", "weighted")
        for threshold in (None, 0.25)
    },
    "F1": (lambda k: k.F1Score("macro"), ONE_HOT, SHARES),
    **{
        f"R2, {aggregation}, {regressors}": (
            lambda k, a=aggregation, r=regressors: k.R2Score(a, r), NUMBERS, SCORES
        )
        for aggregation in ("uniform_average", "variance_weighted_average", None)
        for regressors in (0, 3)
    },
    "R2 of constants": (lambda k: k.R2Score(), np.zeros_like(SCORES), SCORES),
    **{
        name: (lambda k, name=name: getattr(k, name)(), SHARES, STEPS)
        for name in ("MeanAbsolutePercentageError", "MeanSquaredLogarithmicError", "LogCoshError", "Poisson")
    },
    "divergence": (lambda k: k.KLDivergence(), SHARES, SHARES[::-1]),
    "cosine": (lambda k: k.CosineSimilarity(), NUMBERS, SCORES),
    "margins": (lambda k: k.Hinge(), 2 * MANY - 1, SCORES),
    "margins of 0 and 1": (lambda k: k.SquaredHinge(), MANY, SCORES),
    "margins of classes": (lambda k: k.CategoricalHinge(), ONE_HOT, SCORES),
    "smoothed": (lambda k: k.BinaryCrossentropy(label_smoothing=0.2), MANY, SHARES),
    "smoothed logits": (
        lambda k: k.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2), ONE_HOT, SCORES
    ),
    "binary": (lambda k: k.BinaryCrossentropy(), MANY, SHARES),
    "binary logits": (lambda k: k.BinaryCrossentropy(from_logits=True), MANY, 20 * SCORES),
    "categorical": (lambda k: k.CategoricalCrossentropy(), ONE_HOT, SHARES),
    "categorical logits": (lambda k: k.CategoricalCrossentropy(from_logits=True), ONE_HOT, 20 * SCORES),
    "sparse": (lambda k: k.SparseCategoricalCrossentropy(), LABELS, SHARES),
    "sparse logits": (lambda k: k.SparseCategoricalCrossentropy(from_logits=True), LABELS, SCORES),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_metrics_of_arrays_are_those_of_keras(keras: Any, case: str) -> None:
    make, t, y = CASES[case]
    theirs, ours = make(keras.metrics), make(fastnn.metrics)
    assert ours.name == theirs.name.rstrip("_0123456789") or ours.name == theirs.name
    assert (
        ours.larger_is_better == (getattr(theirs, "_direction", "up") != "down")
        or "Pos" in case
        or "Neg" in case
    )
    for weights in (None, WEIGHTS):
        for part in (slice(0, 30), slice(30, ROWS)):
            own = None if weights is None else weights[part]
            found = ours(t[part], y[part], own), theirs(t[part], y[part], own)
            np.testing.assert_allclose(found[0], np.asarray(found[1]), rtol=2e-5, atol=1e-5)
            assert np.shape(found[0]) == np.shape(np.asarray(found[1]))
        assert fastnn.metrics.get(fastnn.described.written(ours), fastnn.losses.get("mse"), 4) == ours
        ours.reset_state()
        theirs.reset_state()


@pytest.mark.parametrize("name", ["Mean", "Sum"])
def test_means_and_sums_are_those_of_keras(keras: Any, name: str) -> None:
    theirs, ours = (getattr(k.metrics, name)() for k in (keras, fastnn))
    assert ours.result() == float(theirs.result()) == 0.0
    for values, weights in (
        (3.0, None),
        (3.0, 2.0),
        ([1.0, 2.0], None),
        ([1.0, 2.0], [0.5, 2.0]),
        ([1.0, 2.0], [[0.5], [2.0]]),
        ([[1.0, 2.0], [3.0, 5.0]], None),
        ([[1.0, 2.0], [3.0, 5.0]], [0.5, 2.0]),
        ([[1.0, 2.0], [3.0, 5.0]], [[0.5, 1.0], [2.0, 0.0]]),
        ([[1.0, 2.0], [3.0, 5.0]], [[0.5], [2.0]]),
    ):
        theirs.update_state(values, weights)
        ours.update_state(values, weights)
        assert ours.result() == pytest.approx(float(theirs.result()), rel=1e-6), (values, weights)


def test_names_that_stand_for_metrics_are_those_of_keras(keras: Any) -> None:
    names = keras.src.metrics.ALL_OBJECTS_DICT
    known = fastnn.metrics._BY_NAME
    for name, cls in names.items():
        if cls.__name__ in fastnn.metrics.__all__ and cls is not keras.metrics.Metric:
            assert known[name].__name__ == cls.__name__, name


def model_of(k: Any) -> Any:
    """Return a model with outputs of numbers and of classes, and metrics of each."""
    x = k.Input((4,))
    outputs = [
        k.layers.Dense(4, activation="sigmoid", name="many")(x),
        k.layers.Dense(4, activation="softmax", name="classes")(x),
    ]
    model, draw = k.Model(x, outputs), np.random.default_rng(3)
    model.set_weights([draw.normal(0, 0.5, shape).astype(np.float32) for shape in 2 * [(4, 4), (4,)]])
    m = k.metrics

    def many(prefix: str) -> list[Any]:
        return [
            *(m.Precision([0.3, 0.6], name=f"{prefix}p"), m.F1Score(name=f"{prefix}f"), "bce"),
            *(m.RecallAtPrecision(0.5, name=f"{prefix}r"), m.R2Score(name=f"{prefix}d"), "TruePositives"),
        ]

    def classes() -> list[Any]:
        return [m.SparseTopKCategoricalAccuracy(2, name="top"), "sparse_categorical_crossentropy", "acc"]

    model.compile(
        optimizer=k.optimizers.SGD(0.05),
        loss=["mse", "sparse_categorical_crossentropy"],
        metrics=[many("a"), classes()],
        weighted_metrics=[many("b"), None],
    )
    return model


def test_models_with_many_metrics_are_those_of_keras(keras: Any) -> None:
    theirs, ours = model_of(keras), model_of(fastnn)
    targets, same = [MANY, LABELS], {"batch_size": 16, "verbose": 0}
    found = [
        model.fit(
            SCORES,
            targets,
            epochs=2,
            shuffle=False,
            sample_weight=WEIGHTS if model is ours else [WEIGHTS, WEIGHTS],
            **same,
        ).history
        for model in (ours, theirs)
    ]
    assert found[0].keys() == found[1].keys()
    for name, values in found[1].items():
        # Keras shows losses of outputs, and of batches, as it does; they are compared elsewhere.
        if not name.endswith("loss"):
            for one, other in zip(found[0][name], values, strict=True):
                np.testing.assert_allclose(one, np.asarray(other), rtol=1e-4, atol=1e-5, err_msg=name)
    lists = [model.evaluate(SCORES, targets, **same) for model in (ours, theirs)]
    assert len(lists[0]) == len(lists[1])
    for one, other in zip(*lists, strict=True):
        np.testing.assert_allclose(one, np.asarray(other), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("curve", ["PR", "ROC"])
def test_the_area_of_negative_weights_is_that_of_keras(keras: Any, curve: str) -> None:
    given = LABELS % 2, SHARES[:, 0], -WEIGHTS
    theirs, ours = (k.metrics.AUC(7, curve)(*given) for k in (keras, fastnn))
    np.testing.assert_allclose(ours, np.asarray(theirs), rtol=1e-5, atol=1e-6)
