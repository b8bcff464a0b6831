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
    "from sorted labels": (
        lambda k: k.SparseTopKCategoricalAccuracy(k=2, from_sorted_ids=True), LABELS, (-SHARES).argsort(1)
    ),
    "labels without one": (
        lambda k: k.SparseCategoricalCrossentropy(ignore_class=2), LABELS, SHARES
    ),
    "labels without a far one": (
        lambda k: k.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1),
        np.where(LABELS == 3, -1, LABELS),
        SCORES,
    ),
    "correlation": (lambda k: k.PearsonCorrelation(), NUMBERS, SCORES),
    "concordance": (lambda k: k.ConcordanceCorrelation(), NUMBERS, SCORES),
    **{
        f"areas, {curve}, {method}, {options}": (
            lambda k, curve=curve, method=method, options=options: k.AUC(30, curve, method, **options),
            MANY,
            STEPS,
        )
        for curve in ("ROC", "PR", "PRGAIN")
        for method in ("interpolation", "minoring", "majoring")
        for options in (
            {},
            {"multi_label": True},
            {"multi_label": True, "num_labels": 4, "label_weights": [0.5, 0.0, 2.0, 1.0]},
            {"label_weights": [0.5, 0.0, 2.0, 1.0], "thresholds": [0.2, 0.5]},
        )
    },
    "areas of scores": (lambda k: k.AUC(50, multi_label=True, from_logits=True), MANY, SCORES),
    "area of scores": (lambda k: k.AUC(50, from_logits=True), MANY, SCORES),
    "overlap": (
        lambda k: k.IoU(4, [0, 2], ignore_class=1, dtype="float32"), LABELS, SHARES.argmax(1)
    ),
    "overlaps": (lambda k: k.MeanIoU(3, dtype="float32"), LABELS, SHARES.argmax(1)),
    "overlaps of shares": (
        lambda k: k.MeanIoU(4, sparse_y_pred=False, dtype="float32"), LABELS, SHARES
    ),
    "overlaps of one-hot": (lambda k: k.OneHotMeanIoU(4, dtype="float32"), ONE_HOT, SHARES),
    "overlap of one-hot": (lambda k: k.OneHotIoU(4, [3], dtype="float32"), ONE_HOT, SHARES),
    "overlap of two": (lambda k: k.BinaryIoU(threshold=0.25, dtype="float32"), MANY[:, 0], STEPS[:, 0]),
    "overlap of ones": (lambda k: k.BinaryIoU([1], 0.25, dtype="float32"), MANY[:, 0], STEPS[:, 0]),
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


OF_OUTPUTS: dict[str, Made] = {
    "exact": lambda k: k.Accuracy(),
    "binary": lambda k: k.BinaryAccuracy(threshold=0.3),
    "positives": lambda k: k.TruePositives([0.2, 0.4]),
    "precision": lambda k: k.Precision(),
    "largest": lambda k: k.Precision(top_k=2),
    "largest above": lambda k: k.Recall(0.3, top_k=2),
    "one class": lambda k: k.Recall(0.3, class_id=1),
    "best": lambda k: k.PrecisionAtRecall(0.6, 9),
    "area": lambda k: k.AUC(20),
    "R2": lambda k: k.R2Score(None),
    "R2 of many": lambda k: k.R2Score("variance_weighted_average", 2),
}


@pytest.mark.parametrize("case", OF_OUTPUTS)
def test_weights_of_single_outputs_are_those_of_keras(keras: Any, case: str) -> None:
    make = OF_OUTPUTS[case]
    t, y = MANY, STEPS.round() if case == "exact" else SHARES if case == "largest" else STEPS
    every = RNG.uniform(0, 2, t.shape).astype(np.float32)
    columns = np.array([[1.0, 0.0, 2.0, 0.5]], np.float32)
    given: list[Any] = [every, WEIGHTS[:, None], 2.0]
    given += [columns] * (not case.startswith("one"))
    for weights in given:
        # Keras takes no number for R2; of means, each call then counts alike, not each row.
        if np.ndim(weights) == 0 and case[:2] in ("R2", "ex", "bi"):
            continue
        theirs, ours = make(keras.metrics), make(fastnn.metrics)
        for part in (slice(0, 30), slice(30, ROWS)):
            own = weights[part] if np.shape(weights)[:1] == (ROWS,) else weights
            if case.startswith("one") and np.shape(own)[1:] == (4,):  # there Keras takes those of the class
                found = ours(t[part], y[part], own), theirs(t[part], y[part], own[:, [1]])
            else:
                found = ours(t[part], y[part], own), theirs(t[part], y[part], own)
            np.testing.assert_allclose(found[0], np.asarray(found[1]), rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["MeanSquaredError", "BinaryAccuracy", "AUC", "CategoricalAccuracy"])
def test_arrays_of_more_axes_are_those_of_keras(keras: Any, name: str) -> None:
    draw = np.random.default_rng(4)
    t, y = (draw.random((3, 5, 4)) < 0.4).astype("float32"), draw.random((3, 5, 4)).astype("float32")
    for weights in (None, draw.random((3, 5)).astype("float32")):
        if name == "AUC" and weights is not None:
            weights = draw.random((3, 5, 4)).astype("float32")
        theirs, ours = (getattr(k.metrics, name)() for k in (keras, fastnn))
        assert ours(t, y, weights) == pytest.approx(float(theirs(t, y, weights)), rel=2e-5)
    labels, theirs, ours = y.argmin(-1), *(k.metrics.SparseCategoricalAccuracy() for k in (keras, fastnn))
    assert ours(labels, y) == ours(labels[..., None], y) == pytest.approx(float(theirs(labels, y)), rel=2e-5)


@pytest.mark.parametrize("name", ["PearsonCorrelation", "ConcordanceCorrelation", "CosineSimilarity"])
def test_other_axes_are_those_of_keras(keras: Any, name: str) -> None:
    draw = np.random.default_rng(5)
    for shape, axis in (((7, 4), 0), ((3, 5, 4), 1), ((3, 5, 4), -3)):
        t, y = (draw.normal(size=shape).astype("float32") for _ in range(2))
        theirs, ours = (getattr(k.metrics, name)(axis=axis) for k in (keras, fastnn))
        assert ours(t, y) == pytest.approx(float(theirs(t, y)), rel=2e-5)


def test_the_largest_of_one_axis_are_those_of_keras(keras: Any) -> None:
    t, y = np.array([0, 1, 1, 0, 0]), np.array([0.2, 0.1, 0.5, 0.0, 0.2])
    for weights in (None, [1.0, 4.0, 2.0, 3.0, 5.0], [[1.0, 4.0, 2.0, 3.0, 5.0]]):
        for name in ("Precision", "Recall"):
            theirs, ours = (getattr(k.metrics, name)(top_k=3) for k in (keras, fastnn))
            given = (t[None], y[None], weights) if np.ndim(weights) == 2 else (t, y, weights)
            assert ours(*given) == pytest.approx(float(theirs(*given)), rel=1e-6)


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
        if cls.__name__ not in ("Metric", "MeanMetricWrapper"):
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


FUNCTIONS: dict[str, tuple[np.ndarray, np.ndarray, dict[str, Any]]] = {
    "binary_accuracy": (MANY, STEPS, {"threshold": 0.3}),
    "categorical_accuracy": (ONE_HOT, SHARES, {}),
    "sparse_categorical_accuracy": (LABELS, SHARES, {}),
    "top_k_categorical_accuracy": (ONE_HOT, SHARES, {"k": 2}),
    "sparse_top_k_categorical_accuracy": (LABELS, SHARES, {"k": 2}),
    "pearson_correlation": (NUMBERS, SCORES, {}),
    "concordance_correlation": (NUMBERS, SCORES, {"axis": 0}),
    "mean_squared_error": (NUMBERS, SCORES, {}),
    "kl_divergence": (SHARES, SHARES[::-1], {}),
    "huber": (NUMBERS, SCORES, {}),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_metrics_are_those_of_keras(keras: Any, name: str) -> None:
    t, y, arguments = FUNCTIONS[name]
    for targets in (t, t[:, None]) if t.ndim == 1 else (t,):
        found = getattr(fastnn.metrics, name)(targets, y, **arguments)
        expected = np.asarray(getattr(keras.metrics, name)(targets, y, **arguments))
        assert (found.shape, found.dtype) == (expected.shape, np.float32)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_every_function_and_class_of_keras_is_there(keras: Any) -> None:
    missing = {name for name in dir(keras.metrics) if not name.startswith("_")} - set(fastnn.metrics.__all__)
    assert missing == {
        *("KLD", "MAE", "MAPE", "MSE", "MSLE", "kullback_leibler_divergence", "mae", "mape", "mse", "msle"),
    } & set(dir(keras.metrics))
