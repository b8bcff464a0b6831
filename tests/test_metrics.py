"""Metrics over several batches, with and without sample weights, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers, losses, metrics
from fastnn.callbacks import EarlyStopping, LambdaCallback
from fastnn.errors import ConfigurationError, DTypeError, FastnnError

RNG = np.random.default_rng(6)
X = RNG.standard_normal((70, 3))
Y = RNG.standard_normal((70, 2))
WEIGHTS = RNG.uniform(0, 2, 70)


def net(
    loss: Any = "mse", units: int = 2, activation: str | None = None, **options: Any
) -> fastnn.Sequential:
    chain = [fastnn.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(units, activation)]
    model = fastnn.Sequential(chain, seed=3, dtype="float64")
    model.compile(fastnn.optimizers.SGD(0.0), loss, **options)
    return model


@pytest.mark.parametrize("reference", [False, True])
def test_a_root_is_taken_once_for_all_rows(reference: bool) -> None:
    metric = metrics.RootMeanSquaredError("root")
    model = net(metrics=[metric], weighted_metrics=[metric], reference=reference)
    error = (model.predict(X) - Y) ** 2
    expected = {
        "root": error.mean() ** 0.5,
        "weighted_root": ((WEIGHTS @ error.mean(1)) / WEIGHTS.sum()) ** 0.5,
    }
    history = model.fit(X, Y, sample_weight=WEIGHTS, batch_size=16, epochs=2, verbose=0).history
    seen: list[dict[str, float]] = []
    watch = LambdaCallback(on_test_batch_end=lambda batch, logs: seen.append(dict(logs)))
    found = model.evaluate(
        X, Y, sample_weight=WEIGHTS, batch_size=16, callbacks=[watch], verbose=0, return_dict=True
    )
    for name, value in expected.items():
        np.testing.assert_allclose(history[name], [value, value], rtol=1e-12)
        assert found[name] == seen[-1][name] == pytest.approx(value, rel=1e-12)
        assert type(found[name]) is float
    part = slice(0, 16)
    assert seen[0]["root"] == pytest.approx(error[part].mean() ** 0.5, rel=1e-12)
    assert len(seen) == 5


def test_weights_that_are_all_0_make_0() -> None:
    model = net(weighted_metrics=["mae"])
    assert model.evaluate(X, Y, sample_weight=np.zeros(70), verbose=0) == [0.0, 0.0]
    history = model.fit(X, Y, sample_weight=np.zeros(70), epochs=2, verbose=0).history
    assert history["mae"] == [0.0, 0.0]


def test_without_weights_all_rows_count_alike() -> None:
    one, other = net(metrics=["mae", "mse"]), net(weighted_metrics=["mae", "mse"])
    assert one.evaluate(X, Y, verbose=0) == other.evaluate(X, Y, verbose=0)


@pytest.mark.parametrize("n_threads", [2, 4])
def test_every_number_of_threads_gives_the_same_sums(n_threads: int) -> None:
    x, weights = RNG.standard_normal((900, 3)), RNG.uniform(0, 2, 900)
    wide = [fastnn.Input((3,)), layers.Dense(300, "tanh"), layers.Dense(2, "sigmoid")]
    model = fastnn.Sequential(wide, seed=3)
    names = ["mae", metrics.BinaryAccuracy(), metrics.RootMeanSquaredError()]
    model.compile("sgd", "mse", weighted_metrics=names)
    y = (x[:, :2] > 0).astype(float)
    one = model.evaluate(x, y, sample_weight=weights, verbose=0, n_threads=1)
    assert model.evaluate(x, y, sample_weight=weights, verbose=0, n_threads=n_threads) == one


def test_callbacks_know_weighted_metrics() -> None:
    model = net(metrics=["accuracy"], weighted_metrics=["accuracy"])
    assert model._now.need_objective().measured["weighted_accuracy"].larger_is_better


def test_weighted_metrics_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="unknown metric 'mea'"):
        net(weighted_metrics=["mea"])
    with pytest.raises(ConfigurationError, match="weighted_metrics has the key 'b'"):
        net(weighted_metrics={"b": ["mae"]})
    with pytest.raises(ConfigurationError, match="does not suit"):
        net(weighted_metrics=[metrics.SparseCategoricalAccuracy()])
    with pytest.raises(ConfigurationError, match="two metrics are named 'sample_weight'"):
        net(metrics=[metrics.MeanSquaredError("sample_weight")])


def area_by_pairs(y: np.ndarray, t: np.ndarray, weights: np.ndarray) -> float:
    """Return the share of pairs of a positive and a negative that stand in the right order."""
    order = (y[t == 1][:, None] > y[t == 0]) + 0.5 * (y[t == 1][:, None] == y[t == 0])
    both = weights[t == 1][:, None] * weights[t == 0]
    return float((order * both).sum() / both.sum())


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("units", [1, 3])
def test_the_area_is_that_of_pairs(units: int, reference: bool) -> None:
    """With many thresholds; of several outputs all are compared with each other."""
    given = [metrics.AUC(9_000, name="area")]
    model = net(
        "binary_crossentropy", units, "sigmoid", metrics=given, weighted_metrics=given, reference=reference
    )
    t = (RNG.random((70, units)) < 0.4).astype(float)
    y = model.predict(X)
    found = model.evaluate(X, t, sample_weight=WEIGHTS, verbose=0, return_dict=True)
    ones, repeated = np.ones(70 * units), np.repeat(WEIGHTS, units)
    assert found["area"] == pytest.approx(area_by_pairs(y.ravel(), t.ravel(), ones), abs=2e-3)
    assert found["weighted_area"] == pytest.approx(area_by_pairs(y.ravel(), t.ravel(), repeated), abs=2e-3)
    history = model.fit(X, t, sample_weight=WEIGHTS, batch_size=8, epochs=2, verbose=0).history
    for name in ("area", "weighted_area"):
        np.testing.assert_allclose(history[name], [found[name]] * 2, rtol=1e-9)


def test_what_lies_on_a_threshold_is_not_above_it() -> None:
    model = fastnn.Sequential([fastnn.Input((1,)), layers.Dense(1, use_bias=False)])
    model.compile(
        "sgd", "mse", metrics=[metrics.Precision(), metrics.Recall(), metrics.Precision(0.3, name="low")]
    )
    model.set_weights([np.ones((1, 1))])
    x = np.array([0.5, 0.25, 0.75, 1.0, 0.0, -7.0, 9.0, 0.3], np.float32)[:, None]
    t = np.array([1, 0, 1, 0, 0, 1, 1, 0.0])[:, None]
    found = model.evaluate(x, t, verbose=0, return_dict=True)
    assert found["precision"] == pytest.approx(2 / 3)
    assert found["recall"] == pytest.approx(2 / 4)
    assert found["low"] == pytest.approx(3 / 4)


def test_nothing_found_is_0() -> None:
    for metric, width in ((metrics.Precision(), 4), (metrics.Recall(), 4), (metrics.AUC(4), 6)):
        assert metric.width(1) == width
        assert metric.result([0.0] * width) == 0.0
        np.testing.assert_array_equal(metric.result([np.zeros(3)] * width), np.zeros(3))
    for method in ("interpolation", "minoring", "majoring"):
        assert metrics.AUC(4, "PR", method).result([0.0] * 6) == 0.0


def test_counts_are_the_same_for_every_number_of_threads() -> None:
    x, weights = RNG.standard_normal((3000, 3)), RNG.uniform(0, 2, 3000)
    wide = [fastnn.Input((3,)), layers.Dense(300, "tanh"), layers.Dense(1, "sigmoid")]
    model = fastnn.Sequential(wide, seed=3)
    model.compile("adam", "binary_crossentropy", weighted_metrics=[metrics.AUC(), metrics.Recall()])
    y, start = (x[:, :1] > 0).astype(float), model.get_weights()
    histories = []
    for n_threads in (1, 2, 4):
        model.set_weights(start)
        model.compile("adam", "binary_crossentropy", weighted_metrics=[metrics.AUC(), metrics.Recall()])
        options: dict[str, Any] = {"sample_weight": weights, "batch_size": 1000, "verbose": 0}
        history = model.fit(x, y, epochs=2, shuffle=False, n_threads=n_threads, **options).history
        histories.append(
            (history, model.evaluate(x, y, sample_weight=weights, verbose=0, n_threads=n_threads))
        )
    assert histories[0] == histories[1] == histories[2]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: metrics.AUC(1), "num_thresholds must be at least 2, got 1"),
        (lambda: metrics.AUC(10**6), "num_thresholds must be at most 10000"),
        (lambda: metrics.AUC(curve="AREA"), "unknown curve 'AREA'"),
        (lambda: metrics.AUC(summation_method="mean"), "unknown summation_method 'mean'"),
        (lambda: metrics.Precision(1.5), "thresholds must be a finite number in"),
        (lambda: net("sparse_categorical_crossentropy", 2, "softmax", metrics=["auc"]), "does not suit"),
    ],
)
def test_metrics_made_of_counts_that_cannot_be_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: metrics.Recall(["half"]), "thresholds must be a number"),
        (lambda: metrics.Recall("0.5"), "thresholds must be a number"),
        (lambda: metrics.AUC(thresholds=0.5), "thresholds must be a list of numbers"),
        (lambda: metrics.AUC(thresholds=[i**2 / 200 for i in range(11)]), "11 different numbers"),
        (lambda: metrics.Precision(top_k=1.5), "top_k must be an integer"),
        (lambda: metrics.Recall(thresholds=[]), "thresholds must be .* it is empty"),
        (lambda: metrics.Recall([i**2 / 200 for i in range(11)]), "11 different numbers, the most is 10"),
        (lambda: metrics.Precision(class_id=-1), "class_id must be at least 0"),
        (lambda: metrics.TopKCategoricalAccuracy(0), "k must be at least 1"),
        (lambda: metrics.PrecisionAtRecall(1.5), "recall must be a finite number"),
        (lambda: metrics.RecallAtPrecision(0.5, 0), "num_thresholds must be at least 1"),
        (lambda: metrics.F1Score("mean"), "unknown average 'mean'"),
        (lambda: metrics.F1Score(threshold=0.0), "threshold must be a finite number"),
        (lambda: metrics.FBetaScore(beta=0.0), "beta must be a finite number"),
        (lambda: metrics.R2Score("mean"), "unknown class_aggregation 'mean'"),
        (lambda: metrics.R2Score(num_regressors=-1), "num_regressors must be at least 0"),
        (lambda: net(metrics=[metrics.Recall(class_id=2)]), "class_id=2, but there are 2 outputs"),
        (lambda: net(metrics=["precision_at_recall"]), "PrecisionAtRecall needs its argument recall"),
        (lambda: net(metrics=[metrics.RecallAtPrecision]), "RecallAtPrecision needs its argument precision"),
        (lambda: net(metrics=["mean"]), "Mean is no metric of a model"),
        (lambda: metrics.AUC(num_labels=2), "num_labels is for multi_label=True"),
        (lambda: metrics.AUC(label_weights=2.0), "label_weights must be a list"),
        (lambda: metrics.AUC(label_weights=[]), "label_weights must have a number for each output, got 0"),
        (lambda: metrics.AUC(label_weights=[-1.0]), "label_weights must be a finite number"),
        (lambda: metrics.AUC(multi_label=1), "multi_label must be True or False"),
        (lambda: net(metrics=[metrics.AUC(multi_label=True, num_labels=3)]), "num_labels for 3 outputs, but"),
        (lambda: net(metrics=[metrics.AUC(label_weights=[1.0])]), "label_weights for 1 outputs, but there"),
        (
            lambda: net("mse", 60, metrics=[metrics.AUC(1000, multi_label=True)]),
            "take fewer, as by num_thresholds=833",
        ),
        (lambda: net("mse", 1, metrics=["pearson_correlation"]), "correlates the outputs of a row"),
        (lambda: net(metrics=[metrics.PearsonCorrelation(axis=0)]), "it must be -1 or 1"),
        (lambda: metrics.PearsonCorrelation(axis=0.5), "axis must be an integer"),
        (lambda: net(metrics=[metrics.MeanIoU(2)]), "give sparse_y_pred=False"),
        (lambda: net(metrics=[metrics.OneHotMeanIoU(3)]), "num_classes=3, but there are 2 outputs"),
        (lambda: metrics.MeanIoU(1), "num_classes must be at least 2"),
        (lambda: metrics.IoU(2, [2]), "target_class_ids must be at most 1"),
        (lambda: metrics.IoU(2, []), "target_class_ids is empty"),
        (lambda: metrics.IoU(2, 1), "target_class_ids must be a list"),
        (
            lambda: net(metrics=[metrics.SparseTopKCategoricalAccuracy(1, True)]),
            "leave from_sorted_ids out",
        ),
        (
            lambda: net(
                "sparse_categorical_crossentropy",
                metrics=[metrics.SparseCategoricalCrossentropy(ignore_class=-1)],
            ),
            "has ignore_class=-1, and labels of the model are 0 to 1; give the loss",
        ),
        (lambda: metrics.MeanSquaredError(dtype="int32"), "dtype must be 'float32' or 'float64'"),
        (lambda: metrics.MeanMetricWrapper("mse"), "fn must be a function"),
        (lambda: metrics.MeanMetricWrapper(np.subtract, name="f").get_config(), "is not written down"),
    ],
)
def test_arguments_that_cannot_be_are_refused(make: Any, message: str) -> None:
    with pytest.raises((ConfigurationError, DTypeError), match=message):
        make()


NUMBERS, MANY = metrics.R2Score(None), (Y > 0).astype(float)
# loss, activation, outputs, targets, metrics
MEASURED: dict[str, tuple[Any, str | None, int, np.ndarray, list[metrics.Metric]]] = {
    "numbers": (
        "mse",
        None,
        2,
        Y,
        [NUMBERS, metrics.R2Score(num_regressors=3, name="adjusted"), metrics.Accuracy()],
    ),
    "one": (
        "binary_crossentropy",
        "sigmoid",
        1,
        MANY[:, :1],
        [
            metrics.Precision([0.3, 0.5]),
            metrics.FalsePositives([0.0, 0.5, 1.0]),
            metrics.SensitivityAtSpecificity(0.5),
            metrics.BinaryCrossentropy(),
            metrics.F1Score(),
            metrics.ConfusionMatrix(),
            metrics.BinaryIoU(threshold=0.4),
            metrics.AUC(20, "PRGAIN"),
        ],
    ),
    "narrow": (
        "binary_crossentropy",
        "sigmoid",
        1,
        MANY[:, :1],
        [metrics.Precision([0.6, 0.3, 0.5]), metrics.TruePositives(0.4)],
    ),
    "scores": ("mse", None, 2, MANY, [metrics.BinaryCrossentropy(from_logits=True), metrics.Recall(0.1)]),
    "areas": (
        "mse",
        None,
        2,
        MANY,
        [
            metrics.AUC(30, multi_label=True, label_weights=[1.0, 3.0]),
            metrics.AUC(30, from_logits=True, name="area_of_scores"),
            metrics.AUC(label_weights=[1.0, 3.0], thresholds=[0.1, 0.2], from_logits=True, name="flat"),
            metrics.BinaryIoU([1]),
        ],
    ),
    "rows": (
        "mse",
        None,
        4,
        RNG.standard_normal((70, 4)),
        [metrics.PearsonCorrelation(), metrics.ConcordanceCorrelation(axis=1)],
    ),
    "ignored": (
        losses.SparseCategoricalCrossentropy(ignore_class=-1),
        "softmax",
        4,
        np.arange(70) % 5 - 1,
        [
            metrics.SparseCategoricalCrossentropy(ignore_class=-1),
            metrics.MeanIoU(4, ignore_class=-1, sparse_y_pred=False),
        ],
    ),
    "several": (
        "mse",
        "softmax",
        4,
        np.eye(4)[np.arange(70) % 4],
        [
            metrics.TopKCategoricalAccuracy(2),
            metrics.Precision(top_k=2, class_id=3),
            metrics.FBetaScore("macro", threshold=0.2),
            metrics.CategoricalCrossentropy(),
            metrics.ConfusionMatrix(),
            metrics.OneHotMeanIoU(4),
            metrics.OneHotIoU(4, [0, 2], ignore_class=1),
        ],
    ),
    "labels": (
        "sparse_categorical_crossentropy",
        "softmax",
        4,
        np.arange(70) % 4,
        [
            metrics.SparseTopKCategoricalAccuracy(2),
            metrics.SparseCategoricalCrossentropy(),
            metrics.ConfusionMatrix(labels=True),
            metrics.SparseCategoricalCrossentropy(ignore_class=1, name="but_1"),
            metrics.SparseCategoricalCrossentropy(ignore_class=2, name="but_2"),
            metrics.IoU(4, [0, 3], ignore_class=1, sparse_y_pred=False),
        ],
    ),
}


@pytest.mark.parametrize("case", MEASURED)
def test_models_and_arrays_are_measured_alike(case: str) -> None:
    """By the kernels and by the reference, in fit and in evaluate, in batches with a shorter last one."""
    loss, activation, units, t, given = MEASURED[case]
    options: dict[str, Any] = {"sample_weight": WEIGHTS, "verbose": 0}
    for reference in (False, True):
        model = net(loss, units, activation, metrics=given, weighted_metrics=given, reference=reference)
        y = model.predict(X)
        history = model.fit(X, t, batch_size=16, epochs=2, shuffle=False, **options).history
        found = model.evaluate(X, t, return_dict=True, **options)
        steps = model.train_on_batch(X, t, sample_weight=WEIGHTS, return_dict=True)
        for metric in given:
            for name, weights in ((metric.name, None), (f"weighted_{metric.name}", WEIGHTS)):
                metric.reset_state()
                expected = metric(t, y, weights)
                for value in (*history[name], found[name], steps[name]):
                    np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-9, err_msg=name)
                    assert np.shape(value) == np.shape(expected)
                assert isinstance(history[name][1], float if np.ndim(expected) == 0 else np.ndarray)


def test_sums_of_columns_are_the_same_for_every_number_of_threads() -> None:
    rng = np.random.default_rng(8)
    x, weights = rng.standard_normal((3000, 3)), rng.uniform(0, 2, 3000)
    wide = [fastnn.Input((3,)), layers.Dense(300, "tanh"), layers.Dense(3, "sigmoid")]
    model = fastnn.Sequential(wide, seed=3)
    given = [
        metrics.R2Score(None),
        metrics.F1Score(),
        metrics.ConfusionMatrix(),
        metrics.Precision([0.2, 0.4]),
    ]
    model.compile("sgd", "mse", weighted_metrics=given)
    found = [
        model.evaluate(x, (x > 0.5).astype(float), sample_weight=weights, verbose=0, n_threads=n)
        for n in (1, 2, 4)
    ]
    for one in found[1:]:
        for left, right in zip(one, found[0], strict=True):
            np.testing.assert_array_equal(left, right)


def test_what_is_found_is_counted_by_hand() -> None:
    """Each sum, from its definition in NumPy."""
    y, t = RNG.uniform(0, 1, (40, 3)), (RNG.random((40, 3)) < 0.5).astype(float)
    w = RNG.uniform(0, 2, 40)
    chosen = y >= np.sort(y, 1)[:, [1]]
    assert metrics.Recall(0.3, top_k=2)(t, y, w) == pytest.approx(
        (w @ (t * chosen * (y > 0.3))).sum() / (w @ t).sum()
    )
    table = np.zeros((3, 3))
    np.add.at(table, (t.argmax(1), y.argmax(1)), w)
    np.testing.assert_allclose(metrics.ConfusionMatrix()(t, y, w), table, rtol=1e-12)
    tp, found = (w @ (t * (y > 0.4))), w @ (y > 0.4)
    score = 2 * tp / (found + w @ t)
    np.testing.assert_allclose(metrics.F1Score(threshold=0.4)(t, y, w), score, atol=1e-6)
    residual, mean = w @ (t - y) ** 2, (w @ t) / w.sum()
    np.testing.assert_allclose(
        metrics.R2Score(None)(t, y, w), 1 - residual / (w @ (t - mean) ** 2), rtol=1e-12
    )


def test_states_are_apart_from_values() -> None:
    metric, other = metrics.MeanSquaredError(), metrics.MeanSquaredError()
    assert metric.result() == 0.0
    assert metric([[1.0], [3.0]], [[1.0], [1.0]], [1.0, 3.0]) == pytest.approx(3.0)
    assert metric([[0.0]], [[1.0]]) == pytest.approx(13 / 5)
    assert (metric, hash(metric)) == (other, hash(other))
    assert other.result() == 0.0
    model = net(metrics=[metric])
    model.evaluate(X, Y, verbose=0)
    assert metric.result() == pytest.approx(13 / 5)  # the model has sums of its own
    for arrays, message in (
        (([[1.0], [2.0]], [[1.0]]), r"y_true has shape \(2, 1\) and y_pred has \(1, 1\)"),
        (([[1.0, 2.0]], [[1.0]]), "MeanSquaredError takes a target for each output"),
        (([1.0], [1.0], [1.0, 2.0]), r"sample_weight has shape \(2,\), and y_pred has 1 rows"),
        ((1.0, 1.0), r"y_pred has shape \(\)"),
        (([1.0], [np.nan]), "y_pred has 1 values that are NaN"),
    ):
        with pytest.raises(FastnnError, match=message):
            metric(*arrays)
    with pytest.raises(FastnnError, match="takes a label a row"):
        metrics.SparseCategoricalAccuracy()([[1, 0]], [[1.0, 0.0]])
    assert metric.result() == pytest.approx(13 / 5)
    score = metrics.F1Score()
    score([[1.0, 0.0]], [[0.5, 0.2]])
    with pytest.raises(FastnnError, match=r"other numbers of outputs before; call its reset_state\(\)"):
        score([[1.0]], [[0.5]])
    assert score([[1.0, 1.0]], [[0.5, 0.5]]).shape == (2,)


def test_metrics_that_are_arrays_are_no_numbers_of_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    model = net("mse", 2, "sigmoid", metrics=[metrics.F1Score(), "mae"])
    history = model.fit(X, MANY, epochs=1, verbose=2)
    line = capsys.readouterr().out
    assert "mae: " in line
    assert "f1_score" not in line
    assert history.history["f1_score"][0].shape == (2,)
    model.fit(X, MANY, epochs=1, verbose=1)
    with pytest.raises(ConfigurationError, match="'f1_score' is an array"):
        model.fit(X, MANY, epochs=1, verbose=0, callbacks=[EarlyStopping("f1_score")])


def test_thresholds_are_compared_in_the_dtype_of_outputs() -> None:
    """Of 0.3 in float32, which is above 0.3, an output of the same is not above it."""
    y = np.array([[0.3], [0.7], [0.2]], np.float32)
    assert metrics.BinaryAccuracy(threshold=0.3)(np.ones((3, 1)), y) == pytest.approx(1 / 3)
    assert metrics.BinaryIoU([1], threshold=0.3)(np.ones((3, 1)), y) == pytest.approx(2 / 3)


def test_metrics_have_a_dtype() -> None:
    y = [[0.1 + 1e-9]]
    assert metrics.MeanSquaredError(dtype="float64")([[0.1]], y) == pytest.approx(1e-18, rel=1e-6)
    assert metrics.MeanSquaredError()([[0.1]], y) == 0.0
    assert "dtype" not in metrics.AUC().get_config()
    assert metrics.deserialize(metrics.serialize(metrics.Sum(dtype="float32"))).dtype == "float32"


def test_names_classes_functions_and_values_stand_for_metrics() -> None:
    for one in ("mse", metrics.MeanSquaredError, metrics.mean_squared_error, metrics.serialize("mse")):
        assert metrics.get(one) == metrics.MeanSquaredError()
    assert metrics.get("accuracy") == metrics.Accuracy()
    assert metrics.deserialize({"class_name": "AUC", "config": {"multi_label": True}}).multi_label
    model = net(metrics=[metrics.binary_accuracy, metrics.log_cosh])
    assert list(model.evaluate(X, MANY, verbose=0, return_dict=True)) == [
        "loss",
        "binary_accuracy",
        "log_cosh",
    ]
    with pytest.raises(ConfigurationError, match="unknown metric 'mea'"):
        metrics.get("mea")
    with pytest.raises(DTypeError, match="a metric is a name, a Metric or a function, got 3"):
        metrics.deserialize(3)


def test_functions_of_python_are_averaged() -> None:
    def power(y_true: np.ndarray, y_pred: np.ndarray, exponent: float = 1.0) -> np.ndarray:
        return np.abs(y_true - y_pred) ** exponent

    metric = metrics.MeanMetricWrapper(power, exponent=2.0)
    assert metric.name == "power"
    assert metric(Y, X[:, :2], WEIGHTS) == pytest.approx(
        (WEIGHTS @ ((Y - X[:, :2]) ** 2).mean(1)) / WEIGHTS.sum(), rel=1e-12
    )
    metric.reset_state()
    assert metric.result() == 0.0
    with pytest.raises(ConfigurationError, match="is no metric of a model"):
        net(metrics=[metric])


@pytest.mark.parametrize(
    ("metric", "arrays", "message"),
    [
        (metrics.MeanSquaredError(), ([[1.0, 2.0]], [[1.0, 2.0]], [[1.0, 2.0]]), "give each row a weight"),
        (metrics.Recall(), ([[1.0, 2.0]], [[1.0, 2.0]], [[1.0, 2.0, 3.0]]), "or each output a weight"),
        (metrics.Recall(class_id=2), ([[1.0, 0.0]], [[1.0, 0.0]], [[1.0, 2.0]]), "class_id=2"),
        (metrics.AUC(num_labels=3, multi_label=True), ([[1, 0]], [[1, 0]], [[1, 2]]), "for 3 outputs"),
        (metrics.MeanIoU(2), ([0, 1], [1]), "y_true has 2 labels and y_pred has 1"),
        (metrics.MeanIoU(2), ([0, 1], [1, 1], [1.0] * 3), "there are 2 labels; give each one"),
        (metrics.OneHotMeanIoU(2, axis=2), ([[0, 1]], [[0, 1]]), "no axis 2, that of classes"),
        (metrics.PearsonCorrelation(axis=2), ([[0, 1]], [[0, 1]]), "no axis 2"),
        (
            metrics.SparseTopKCategoricalAccuracy(1, from_sorted_ids=True),
            ([[0, 1]], [[0, 1]]),
            "labels in the order of their scores",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(metric: metrics.Metric, arrays: Any, message: str) -> None:
    with pytest.raises(FastnnError, match=message):
        metric(*arrays)
    assert "_state" not in vars(metric)


@pytest.mark.parametrize(
    "call",
    [
        lambda: metrics.binary_accuracy([1.0], [1.0, 2.0]),
        lambda: metrics.sparse_categorical_accuracy([[0, 1]], [[0.5, 0.5]]),
        lambda: metrics.top_k_categorical_accuracy([[0, 1]], [[0.5, 0.5]], k=0),
        lambda: metrics.pearson_correlation([[0, 1]], [[0.5, 0.5]], axis=2),
        lambda: metrics.binary_accuracy(["a"], [1.0]),
    ],
)
def test_functions_refuse_what_does_not_fit(call: Any) -> None:
    with pytest.raises(FastnnError, match=r"shape|axis|at least|text"):
        call()


@pytest.mark.parametrize("reference", [False, True])
def test_labels_that_the_loss_ignores_are_never_right(reference: bool) -> None:
    """As in Keras; what the loss ignores and is a label counts as that in metrics."""
    y = np.array([-1, -1, 0, 1] * 10)
    for ignored, targets, expected in ((-1, y, 0.25), (1, np.abs(y), 0.25)):
        loss = losses.SparseCategoricalCrossentropy(ignore_class=ignored)
        names = ["accuracy", metrics.SparseTopKCategoricalAccuracy(1), metrics.ConfusionMatrix()]
        model = net(loss, 3, "softmax", metrics=names, weighted_metrics=["acc"], reference=reference)
        model.set_weights([*model.get_weights()[:2], np.zeros((4, 3)), np.array([1.0, 0.0, 0.0])])
        weights = np.tile([1.0, 2.0, 3.0, 4.0], 10)
        found = model.evaluate(X[:40], targets, sample_weight=weights, verbose=0, return_dict=True)
        assert found["accuracy"] == found["sparse_top_k_categorical_accuracy"] == expected
        assert found["acc"] == pytest.approx(0.3)
        assert found["confusion_matrix"].sum() == (20 if ignored == -1 else 40)
        history = model.fit(X[:40], targets, epochs=1, batch_size=16, verbose=0).history
        assert history["accuracy"] == [expected]
