"""Metrics that are functions of Python, or objects of a class of one's own, beside losses of any kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import callbacks, layers, losses, metrics
from fastnn.errors import ConfigurationError, DTypeError, ShapeError

RNG = np.random.default_rng(12)
X = RNG.normal(0, 1, (22, 3)).astype(np.float32)
Y = RNG.normal(0, 1, (22, 2)).astype(np.float32)
LABELS = RNG.integers(0, 3, 22)
WEIGHTS = RNG.uniform(0, 2, 22)
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def absolute(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    return abs(y_true - y_pred).mean(axis=1)


def squares(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    return (y_true - y_pred) ** 2  # several values a row


def mse(y_true: np.ndarray, y_pred: np.ndarray) -> Any:
    error = y_pred - y_true
    return (error**2).mean(axis=1), 2 * error / error.shape[1]


def crossentropy(y_true: np.ndarray, y_pred: np.ndarray) -> Any:
    """Take labels or one-hot rows."""
    t = np.eye(3)[y_true[:, 0].astype(int)] if y_true.shape[1] == 1 else y_true
    return -(t * np.log(y_pred)).sum(1), -t / y_pred


class Median(metrics.Metric):
    def __init__(self, name: str = "median") -> None:
        super().__init__(name=name)
        self.errors: list[float] = []
        self.calls: list[str] = []

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.errors += abs(y_true - y_pred).mean(axis=1).tolist()
        self.calls.append(f"{len(y_true)}{'' if sample_weight is None else ' weighted'}")

    def result(self, sums: Any = None) -> float:
        return float(np.median(self.errors))

    def reset_state(self) -> None:
        self.errors.clear()
        self.calls.append("reset")


def net(loss: Any, last: int = 2, activation: str | None = None, **options: Any) -> fastnn.Sequential:
    parts = [layers.Dense(6, "tanh"), layers.Dropout(0.25), layers.Dense(last, activation)]
    model = fastnn.Sequential([fastnn.Input((3,)), *parts], seed=2)
    model.compile(fastnn.optimizers.SGD(0.05), loss, **options)
    return model


@pytest.mark.parametrize("loss", ["mse", mse])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_function_is_the_mean_of_its_values(loss: Any, weighted: bool) -> None:
    weights = WEIGHTS if weighted else None
    ours = net(loss, metrics=[absolute, squares], weighted_metrics=[absolute])
    theirs = net("mse", metrics=["mae", "mse"], weighted_metrics=["mae"])
    names = ["loss", "absolute", "squares", "weighted_absolute"]
    for call in (
        lambda m: m.fit(X, Y, 8, 3, 0, sample_weight=weights, validation_split=0.3).history,
        lambda m: m.evaluate(X, Y, sample_weight=weights, return_dict=True),
        lambda m: m.test_on_batch(X, Y, weights, return_dict=True),
        lambda m: m.train_on_batch(X, Y, weights, return_dict=True),
    ):
        found, wanted = call(ours), call(theirs)
        assert list(found)[:4] == names
        np.testing.assert_allclose(list(found.values()), list(wanted.values()), **CLOSE)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, **CLOSE)


def test_a_number_counts_once_a_batch_as_in_keras() -> None:
    model = net("mse", metrics=[lambda t, y: float(len(t))])
    assert model.evaluate(X, Y, batch_size=8, return_dict=True)["lambda"] == (8 + 8 + 6) / 3
    assert model.fit(X, Y, 8, 1, 0).history["lambda"] == [(8 + 8 + 6) / 3]


def test_targets_are_as_they_were_given() -> None:
    seen: list[np.ndarray] = []

    def look(y_true: np.ndarray, y_pred: np.ndarray) -> float:
        seen.append(y_true.copy())
        return 0.0

    given = np.where(np.arange(22) % 4 == 0, -1, LABELS)
    loss = losses.SparseCategoricalCrossentropy(ignore_class=-1)
    net(loss, 3, "softmax", metrics=[look]).evaluate(X, given, batch_size=22)
    assert seen[0].shape == (22, 1)
    assert np.array_equal(seen[0].ravel(), given)


@pytest.mark.parametrize("one_hot", [False, True])
@pytest.mark.parametrize("loss", [crossentropy, None])
def test_accuracy_suits_targets_that_the_loss_says_nothing_of(one_hot: bool, loss: Any) -> None:
    y = np.eye(3)[LABELS] if one_hot else LABELS
    kind = "categorical_crossentropy" if one_hot else "sparse_categorical_crossentropy"
    ours, theirs = (
        net(one, 3, "softmax", metrics=["accuracy"], weighted_metrics=["acc"]) for one in (loss, kind)
    )
    found, wanted = (m.evaluate(X, y, sample_weight=WEIGHTS, return_dict=True) for m in (ours, theirs))
    assert found["accuracy"] == wanted["accuracy"]
    assert found["acc"] == pytest.approx(wanted["acc"])
    if loss is not None:
        assert found["loss"] == pytest.approx(wanted["loss"], rel=1e-5)
        fits = [m.fit(X, y, 8, 3, 0).history for m in (ours, theirs)]
        for name in fits[0]:
            np.testing.assert_allclose(fits[0][name], fits[1][name], err_msg=name, **CLOSE)


@pytest.mark.parametrize(
    "metric",
    [
        metrics.AUC(),
        metrics.Precision(),
        metrics.F1Score(average="macro"),
        metrics.R2Score(),
        metrics.RootMeanSquaredError(),
        metrics.ConfusionMatrix(),
    ],
    ids=lambda metric: metric.name,
)
def test_metrics_of_all_kinds_stand_beside_a_loss_in_python(metric: Any) -> None:
    y = np.eye(3)[LABELS]
    models = [net(one, 3, "softmax", metrics=[metric]) for one in (crossentropy, "categorical_crossentropy")]
    for call in (
        lambda m: m.evaluate(X, y, batch_size=5, return_dict=True)[metric.name],
        lambda m: m.fit(X, y, 8, 2, 0).history[metric.name],
    ):
        found, wanted = map(call, models)
        np.testing.assert_allclose(np.asarray(found), np.asarray(wanted), **CLOSE)


def test_an_object_of_a_class_of_ones_own() -> None:
    plain, counted = Median(), Median("counted")
    model = net("mse", metrics=[plain], weighted_metrics=[counted])
    history = model.fit(X, Y, 8, 2, 0, sample_weight=WEIGHTS, validation_data=(X, Y)).history
    assert plain.calls == ["reset", "8", "8", "6", "reset", *["8", "8", "6"]] * 2
    assert counted.calls == ["reset", *["8 weighted", "8 weighted", "6 weighted"], "reset", "8", "8", "6"] * 2
    wanted = np.median(abs(model.predict(X) - Y).mean(axis=1))
    assert history["val_median"][-1] == history["val_counted"][-1] == pytest.approx(wanted)
    assert len(history["median"]) == 2
    assert model.evaluate(X, Y) == [pytest.approx(history["val_loss"][-1]), *[pytest.approx(wanted)] * 2]


def test_names_and_directions() -> None:
    class Score(Median):
        larger_is_better = True

    model = net("mse", metrics=[absolute, Score("score"), losses.mean_absolute_error])
    assert list(model.fit(X, Y, verbose=0).history) == ["loss", "absolute", "score", "mean_absolute_error"]
    model.fit(X, Y, verbose=0, callbacks=[callbacks.EarlyStopping("score")])
    with pytest.raises(ConfigurationError, match="cannot tell whether 'absolute' should fall or rise"):
        model.fit(X, Y, verbose=0, callbacks=[callbacks.EarlyStopping("absolute")])
    # Those of one name are numbered, as in Keras, and measured apart.
    model = net(
        "mse", metrics=[absolute, absolute, lambda t, y: 0.0, lambda t, y: 1.0, Median("m"), Median("m")]
    )
    found = model.fit(X, Y, verbose=0).history
    assert list(found) == ["loss", "absolute", "absolute_1", "lambda", "lambda_1", "m", "m_1"]
    assert found["absolute"] == found["absolute_1"]
    assert (found["lambda"], found["lambda_1"]) == ([0.0], [1.0])
    assert found["m"] == found["m_1"]


def test_the_metrics_of_several_outputs() -> None:
    x = fastnn.Input((3,))
    model = fastnn.Model(x, [layers.Dense(2, name="a")(x), layers.Dense(1, name="b")(x)], seed=0)
    model.compile("sgd", ["mse", mse], metrics={"a": [absolute, "mse"], "b": ["mae", absolute]})
    found = model.fit(X, [Y, Y[:, :1]], 8, 2, 0).history
    assert list(found) == ["loss", "a_loss", "b_loss", "a_absolute", "a_mse", "b_mae", "b_absolute"]
    np.testing.assert_allclose(found["b_mae"], found["b_absolute"], **CLOSE)
    np.testing.assert_allclose(found["a_mse"], found["a_loss"], **CLOSE)
    shared = Median()
    with pytest.raises(ConfigurationError, match="is given twice; give each output an object of its own"):
        model.compile("sgd", "mse", metrics=[[shared], [shared]])


def test_what_it_returns_is_checked(refused: Any) -> None:
    def fails(y_true: np.ndarray, y_pred: np.ndarray) -> Any:
        raise RuntimeError("no")

    for function, error, message in (
        (
            lambda t, y: y[:3],
            ShapeError,
            r"what metric 'lambda' returned has shape \(3, 2\); it must be one value",
        ),
        (lambda t, y: mse(t, y), DTypeError, "metric 'lambda' returned a tuple of 2; return one value a row"),
        (lambda t, y: "good", DTypeError, "what metric 'lambda' returned"),
        (fails, RuntimeError, "raised by metric 'fails', given y_true of shape"),
    ):
        model = net("mse", metrics=[function])
        for call in (
            lambda model=model: model.fit(X, Y, verbose=0),
            lambda model=model: model.evaluate(X, Y),
            lambda model=model: model.train_on_batch(X, Y),
        ):
            with refused(model, error, match=message):
                call()
    model = net("mse", weighted_metrics=[lambda t, y: 1.0])
    with refused(model, ConfigurationError, match="metric 'lambda' returned one number for all rows"):
        model.fit(X, Y, verbose=0, sample_weight=WEIGHTS)
    assert model.evaluate(X, Y)[1] == 1.0


def test_classes_that_lack_a_method_are_refused() -> None:
    class Half(metrics.Metric):
        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            pass

    with pytest.raises(ConfigurationError, match=r"Half cannot run: .* it lacks result, reset_state"):
        net("mse", metrics=[Half()])
    with pytest.raises(DTypeError, match="a metric is a name, a Metric or a function, got <class 'int'>"):
        net("mse", metrics=[int])


def test_the_result_of_an_object_is_checked() -> None:
    class Text(Median):
        def result(self, sums: Any = None) -> Any:
            return "good"

    with pytest.raises(ValueError, match="raised by the result of metric 'text'"):
        net("mse", metrics=[Text("text")]).evaluate(X, Y)
