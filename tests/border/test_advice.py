"""What is allowed but hardly meant is named once, with what to do; what may be meant is not."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers, losses, metrics, optimizers
from fastnn.border import data
from fastnn.errors import ConfigurationError, DTypeError, NonFiniteWarning, TrainingWarning
from fastnn.graph.symbolic import SymbolicTensor

RNG = np.random.default_rng(5)
X = RNG.standard_normal((60, 3)).astype(np.float32)
LABELS = np.arange(60) % 3
ONE = (X.sum(axis=1, keepdims=True) > 0).astype(np.float32)

SPARSE, BINARY = losses.SparseCategoricalCrossentropy, losses.BinaryCrossentropy
LABELLED = "sparse_categorical_crossentropy"
End = Callable[[SymbolicTensor], SymbolicTensor]


def dense(units: int, activation: str | None = None) -> layers.Dense:
    return layers.Dense(units, activation, name="end" if activation != "tanh" else "squashed")


def half_of_tanh(x: SymbolicTensor) -> SymbolicTensor:
    return layers.Shift(0.5)(layers.Scale(0.5)(layers.Dense(1, "tanh")(x)))


def mean_of(activation: str | None) -> End:
    return lambda x: layers.Average()([layers.Dense(3, activation)(x), layers.Dense(3, activation)(x)])


def gated(x: SymbolicTensor) -> SymbolicTensor:
    return layers.Multiply()([layers.Dense(3)(x), layers.Dense(3, "sigmoid")(x)])


def scaled(x: SymbolicTensor) -> SymbolicTensor:
    return layers.Scale(2.0)(layers.Dense(3)(x))


def graph(end: End) -> fastnn.Model:
    x = fastnn.Input((3,))
    return fastnn.Model(x, end(x), seed=0)


def told(caught: Any) -> list[str]:
    assert {w.filename for w in caught} <= {__file__}
    return [str(w.message) for w in caught if issubclass(w.category, TrainingWarning)]


# -- outputs and losses, at compile time

NONSENSE: dict[str, tuple[End, Any, str]] = {
    "softmax as scores": (dense(3, "softmax"), SPARSE(from_logits=True), "softmax already; leave out"),
    "sigmoid as scores": (dense(1, "sigmoid"), BINARY(from_logits=True), "sigmoid already; leave out"),
    "mean of softmaxes as scores": (mean_of("softmax"), SPARSE(from_logits=True), "probabilities already"),
    "scores": (dense(3), LABELLED, "'end' has no activation; .*'softmax'.*from_logits=True"),
    "one score": (dense(1), "binary_crossentropy", "'end' has no activation; .*activation='sigmoid'"),
    "relu": (dense(1, "relu"), "binary_crossentropy", "'end' has activation 'relu'"),
    "softplus": (dense(1, "softplus"), "binary_crossentropy", "'end' has activation 'softplus'"),
    "tanh": (dense(1, "tanh"), "binary_crossentropy", "'squashed' has activation 'tanh'"),
    "a mean of scores": (mean_of(None), LABELLED, "takes probabilities, but"),
    "scaled scores": (scaled, LABELLED, "takes probabilities, but"),
    "one softmax unit": (dense(1, "softmax"), "binary_crossentropy", "one unit, which is always 1; .*'sigm"),
    "one softmax unit, squares": (dense(1, "softmax"), "mse", "one unit, which is always 1"),
    "softmax, binary": (dense(3, "softmax"), "binary_crossentropy", "sum to 1; use categorical_crossentropy"),
}
SENSE: dict[str, tuple[End, Any]] = {
    "scores": (dense(3), SPARSE(from_logits=True)),
    "tanh as scores": (dense(3, "tanh"), SPARSE(from_logits=True)),
    "softmax": (dense(3, "softmax"), LABELLED),
    "softmax apart": (lambda x: layers.Softmax()(layers.Dense(3)(x)), LABELLED),
    "sigmoid": (dense(1, "sigmoid"), "binary_crossentropy"),
    "sigmoids": (dense(3, "sigmoid"), "binary_crossentropy"),
    "sigmoids of classes": (dense(3, "sigmoid"), LABELLED),
    "exponentials, divided by their sum": (dense(3, "exponential"), LABELLED),
    "a mean of softmaxes": (mean_of("softmax"), LABELLED),
    "a product": (gated, LABELLED),
    "tanh, scaled": (half_of_tanh, "binary_crossentropy"),
    "regression": (dense(3), "mse"),
    "softmax, squares": (dense(3, "softmax"), "mse"),
    "hinge": (dense(3), "multiclass_hinge"),
    "the input itself": (lambda x: layers.Scale(0.1)(x), LABELLED),
}


@pytest.mark.parametrize("case", NONSENSE)
def test_outputs_that_do_not_suit_the_loss_are_named_when_compiled(case: str) -> None:
    end, loss, message = NONSENSE[case]
    model = graph(end)
    with pytest.warns(TrainingWarning, match=message) as caught:
        model.compile("sgd", loss)
    assert len(told(caught)) == 1
    y = np.zeros((60, model.output.columns)) if "mse" in str(loss) or model.output.columns == 1 else LABELS  # type: ignore[union-attr]
    if case != "softmax, binary":
        model.fit(X, y, verbose=0)  # once is enough
        pickle.loads(pickle.dumps(copy.copy(model))).train_on_batch(X, y)


@pytest.mark.parametrize("case", SENSE)
def test_outputs_that_suit_the_loss_are_not(case: str) -> None:
    end, loss = SENSE[case]
    graph(end).compile("sgd", loss)


def test_a_model_without_a_width_is_judged_when_it_gets_one() -> None:
    for begin in (lambda m: m.fit(X, LABELS, epochs=2, verbose=0), lambda m: m.build((None, 3))):
        model = fastnn.Sequential([layers.Dense(4, "relu"), layers.Dense(3)], seed=0)
        model.compile("sgd", LABELLED)
        with pytest.warns(TrainingWarning, match="takes probabilities, but") as caught:
            begin(model)
        assert len(told(caught)) == 1
        model.fit(X, LABELS, verbose=0)


def test_each_output_is_judged_by_its_own_loss() -> None:
    x = fastnn.Input((3,))
    model = fastnn.Model(x, [layers.Dense(1, name="a")(x), layers.Dense(1, name="b")(x)], seed=0)
    with pytest.warns(TrainingWarning, match="output 'b' has no activation") as caught:
        model.compile("sgd", {"a": "mse", "b": "binary_crossentropy"})
    assert len(told(caught)) == 1


# -- data, in fit


def classifier() -> fastnn.Sequential:
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(3, "softmax")], seed=0)
    model.compile("sgd", LABELLED)
    return model


def regression(columns: int = 3, rate: float = 0.01, **options: Any) -> fastnn.Sequential:
    model = fastnn.Sequential([fastnn.Input((columns,)), layers.Dense(1)], seed=0, **options)
    model.compile(optimizers.SGD(rate), "mse")
    return model


def test_class_weights_for_labels_that_no_row_has() -> None:
    model = classifier()
    with pytest.warns(TrainingWarning, match="no training row has: 7, -?8.*the rows have 0, 1, 2") as caught:
        model.fit(X, LABELS, class_weight={1: 2.0, 7: 3.0, 8: 1.0}, verbose=0)
    assert len(told(caught)) == 1
    model.train_on_batch(X[:2], LABELS[:2], class_weight={2: 2.0})  # a batch need not have every class
    model.evaluate(X, LABELS)


@pytest.mark.parametrize("kind", [float, np.float64, np.int64, np.float32, np.uint8])
def test_class_weights_of_tables_have_labels_of_any_number_type(kind: Any) -> None:
    plain, typed = classifier(), classifier()
    wanted = plain.fit(X, LABELS, class_weight={1: 3.0}, verbose=0).history
    assert typed.fit(X, LABELS, class_weight={kind(1): 3.0}, verbose=0).history == wanted


@pytest.mark.parametrize("label", [0.5, np.nan, np.inf, "1", True, None])
def test_class_weights_of_what_is_no_label_are_refused(label: Any) -> None:
    with pytest.raises((DTypeError, ConfigurationError), match="a class_weight label must be"):
        classifier().fit(X, LABELS, class_weight={label: 3.0}, verbose=0)
    with pytest.raises(ConfigurationError, match="a class_weight label must be at least 0"):
        classifier().fit(X, LABELS, class_weight={-1.0: 3.0}, verbose=0)


def test_accuracy_of_a_regression() -> None:
    for metric in ("accuracy", metrics.BinaryAccuracy()):
        model = regression()
        model.compile("sgd", "mse", metrics=[metric])
        with pytest.warns(TrainingWarning, match="compares classes.*for a regression leave it out") as caught:
            model.fit(X, X[:, :1], verbose=0, epochs=2)
        assert len(told(caught)) == 1
        model.fit(X, ONE, verbose=0)  # classes, by least squares
    several = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(3)], seed=0)
    several.compile("sgd", "mse", metrics=["accuracy"])
    several.fit(X, np.eye(3)[LABELS], verbose=0)
    several.fit(X, 2 * np.eye(3)[LABELS] - 1, verbose=0)
    with pytest.warns(TrainingWarning, match="compares classes"):
        several.fit(X, X, verbose=0)


START = 1_700_000_000
TIMES = np.stack([START + np.arange(360.0) * 6, RNG.standard_normal(360)], axis=1)


@pytest.mark.parametrize(
    "times",
    [
        TIMES,
        TIMES.astype(np.int64),
        TIMES.astype(np.float32),
        TIMES[:, :1],
        TIMES[:, 0],
        TIMES.tolist(),
        np.array([[20230000 + 100 * month + day] for month in range(1, 13) for day in range(1, 29)]),
        np.stack([np.full(5000, START), START + np.arange(5000.0) % 50], axis=1),
    ],
    ids=["float64", "int64", "float32", "column", "vector", "list", "dates", "long"],
)
def test_columns_that_float32_cannot_tell_apart(times: Any) -> None:
    model = regression(1 if np.ndim(times) == 1 else np.shape(times)[1], rate=1e-30)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(times, np.zeros(len(times)), verbose=0)
    found = [text for text in told(caught) if "float32" in text]
    assert len(found) == 1
    assert "of x apart" in found[0]
    assert "x - x.min(axis=0)" in found[0]
    assert "dtype='float64'" in found[0]


@pytest.mark.parametrize(
    "x",
    [
        TIMES - TIMES.min(axis=0),
        np.arange(2000)[:, None] % 30 + 1990,  # years
        RNG.standard_normal((5000, 2)) + 100,
        np.arange(16_000_000, 16_000_360)[:, None].astype(np.float32),
        np.full((50, 2), 1e9),
        np.where(np.arange(50) % 2, 0.0, 1e9)[:, None],
        np.zeros((50, 2)),
        np.arange(60, dtype=np.uint8)[:, None],
    ],
    ids=["shifted", "years", "usual", "exact", "constant", "two", "zeros", "bytes"],
)
def test_columns_that_it_can(x: np.ndarray) -> None:
    regression(x.shape[1], rate=0.0).fit(x / 1, np.zeros(len(x)), verbose=0)


@pytest.mark.parametrize("step", [1, 3, 50])
def test_narrow_columns_are_those_of_numpy(step: int) -> None:
    x = np.random.default_rng(1).normal(0, 1, (40, 60)) * 10.0 ** np.arange(-30, 30)
    x = (x + 1000.0 * np.random.default_rng(2).choice([-10, -1, 0, 1, 10], 60)).astype(np.float32)
    low, high = (part.astype(np.float64) for part in (x[::step].min(axis=0), x[::step].max(axis=0)))
    wanted = np.flatnonzero(high - low < 2.0**-10 * np.maximum(abs(low), abs(high))).tolist()
    assert data.narrow_columns(x, step, 2.0**-10) == wanted
    assert 0 < len(wanted) < 60 or step == 50


def test_columns_that_are_nearly_wide_are_narrow() -> None:
    spread = np.linspace(0.5, 1.5, 41)  # of what is just wide
    rising = (1000.0 + np.linspace(0.0, 1.0, 60)[:, None] * spread * 1000.0 * 2.0**-10).astype(np.float32)
    ends_first = rising[np.argsort(-np.abs(np.arange(60) - 29.5), kind="stable")]
    for x in (rising, ends_first):
        assert data.narrow_columns(x, 1, 2.0**-10) == np.flatnonzero(spread <= 1.0).tolist()


def test_float64_models_and_predictions_are_not_judged_by_float32() -> None:
    regression(2, rate=0.0, dtype="float64").fit(TIMES, np.zeros(360), verbose=0)
    model = regression(2)
    model.predict(TIMES)
    model.evaluate(TIMES, np.zeros(360))


# -- losses


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X, np.full(60, 1e9), "begins at 1e.18; scale the targets, which reach 1e.09$"),
        (X * 1e9, ONE, "begins at .*; scale the inputs, which reach .*e.09$"),
        (
            X * 1e9,
            np.full(60, 1e9),
            "; scale the inputs, which reach .*e.09 and the targets, which reach 1e.09$",
        ),
    ],
)
def test_a_loss_that_begins_large(x: np.ndarray, y: np.ndarray, message: str) -> None:
    with pytest.warns(TrainingWarning, match=message) as caught:
        regression(rate=1e-30).fit(x, y, epochs=5, verbose=0)
    assert len(told(caught)) == 1


def saturated(scale: float, epochs: int = 6, rate: float = 0.1, **options: Any) -> list[str]:
    inner = layers.Dense(4, "relu", bias_initializer=fastnn.initializers.Constant(-1e6))
    model = fastnn.Sequential([fastnn.Input((3,)), inner, layers.Dense(1, use_bias=False)], seed=0)
    model.trainable = options.pop("trainable", True)
    model.compile(optimizers.SGD(rate), "mse")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X * scale, ONE, epochs=epochs, batch_size=16, verbose=0, **options)
    return told(caught)


def test_a_loss_that_does_not_move() -> None:
    for options in (
        {},
        {"callbacks": [fastnn.callbacks.LambdaCallback(on_train_batch_end=lambda *_, **__: None)]},
    ):
        (said,) = saturated(1.0, **options)
        assert "has not moved from" in said
        assert "in 3 epochs; no gradient reaches the weights" in said
    (said,) = saturated(1e4)
    assert "epochs; scale the inputs, which reach" in said
    assert saturated(1.0, epochs=2) == []  # too early to say
    assert saturated(1.0, rate=0.0) == []
    assert saturated(1.0, trainable=False) == []


def test_a_model_that_was_trained_before_may_stand_still() -> None:
    model = regression(rate=0.3)
    y = X @ [[1.0], [2.0], [3.0]] + 1
    model.fit(X, y, epochs=400, batch_size=60, verbose=0)
    model.fit(X, y, epochs=10, batch_size=60, verbose=0)


@pytest.mark.parametrize(
    ("x", "y", "advice"),
    [
        (X, np.full(60, 1e21), "scale the targets, which reach 1e.21$"),
        (X * 1e21, ONE, "scale the inputs, which reach .*e.21$"),
        (X * 255, np.full(60, 1e21), "scale the targets, which reach 1e.21$"),
        (X * 1e21, np.full(60, 1e20), "scale the inputs, .*e.21 and the targets, which reach 1e.20$"),
    ],
)
def test_a_loss_that_is_not_finite_is_blamed_on_what_is_large(
    x: np.ndarray, y: np.ndarray, advice: str
) -> None:
    with pytest.warns(NonFiniteWarning, match=f"or {advice}"):
        regression().fit(x, y, verbose=0, epochs=3)
    with pytest.warns(NonFiniteWarning, match=f"not made; {advice}"):
        regression().train_on_batch(x, y)


def test_where_nothing_is_large_the_learning_rate_is_to_blame() -> None:
    with pytest.warns(NonFiniteWarning, match=r"Lower the learning rate \(1e\+30\)$"):
        regression(rate=1e30).fit(X, ONE, verbose=0, epochs=9)
