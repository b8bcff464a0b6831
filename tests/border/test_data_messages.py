"""What users bring instead of numbers: the message says what it is, and how it becomes numbers."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.errors import ConfigurationError, DataError, DTypeError, ShapeError, TrainingWarning

ROWS, COLUMNS, CLASSES = 6, 3, 4
X = np.random.default_rng(0).integers(-3, 4, (ROWS, COLUMNS)).astype(np.float32)
LABELS = np.array([0, 1, 2, 3, 1, 0])
DAY = datetime.datetime(2011, 1, 1, 5)


def model(loss: str = "sparse_categorical_crossentropy", units: int = CLASSES) -> fastnn.Sequential:
    activation = {"mse": None, "binary_crossentropy": "sigmoid"}.get(loss, "softmax")
    made = fastnn.Sequential([fastnn.Input((COLUMNS,)), layers.Dense(units, activation)], seed=3)
    made.compile("sgd", loss)
    return made


def holding(thing: object, *, at: tuple[int, int] = (2, 1)) -> np.ndarray:
    """Return X as objects, with another one at a place."""
    array = X.astype(object)
    array[at] = thing
    return array


class Loader:
    """Gives batches, as loaders of other libraries do."""

    def __iter__(self) -> Any:
        return iter([X])


class OnAGraph:
    """Refuses to become an array, as tensors of other libraries do."""

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy()")


# --- what is no number -----------------------------------------------------------------------------------

STRUCTURED = np.zeros(ROWS, [("a", float), ("b", float), ("c", float)])
NOT_NUMBERS: dict[str, tuple[Any, type[Exception], str]] = {
    "a decimal": (
        holding(decimal.Decimal("1.5")),
        DTypeError,
        r"x holds Decimal\('1.5'\), a decimal number; .*: np.asarray\(x\).astype\(float\)",
    ),
    "a complex number": (holding(1 + 2j), DTypeError, r"x holds \(1\+2j\), a complex number; .*np.abs"),
    "a datetime": (holding(DAY), DTypeError, "holds datetime.*, a date or a time; .*days since"),
    "a date": (holding(DAY.date()), DTypeError, "a date or a time; .*days since"),
    "a time": (holding(DAY.time()), DTypeError, "a date or a time; .*days since"),
    "a time delta": (holding(DAY - DAY), DTypeError, "a date or a time; .*days since"),
    "a NumPy date": (holding(np.datetime64("2011-01-01")), DTypeError, "a date or a time; .*days since"),
    "dates": (X.astype("M8[s]"), DTypeError, "x has dtype datetime64.*, dates; .*days since"),
    "durations": (X.astype("m8[s]"), DTypeError, r"x has dtype timedelta64.*; .*np.timedelta64\(1, 's'\)"),
    "complex numbers": (X.astype(complex), DTypeError, "x has dtype complex128, complex numbers; .*np.abs"),
    "bytes": (X.astype(bytes), DTypeError, r"x has dtype \|S.*, text; .*astype\(float\)"),
    "text": (X.astype(str), DTypeError, r"x has dtype <U.*, text; .*astype\(float\).*categories"),
    "text among numbers": (holding("red"), DTypeError, "x holds 'red', text; .*encode categories"),
    "a file's name": ("train.csv", DTypeError, "x has dtype <U9, text"),
    "a record array": (STRUCTURED, DTypeError, r"x has the fields a, b, c; .*np.column_stack"),
    "arrays of several lengths": (
        np.array([[X[0], X[0, :2]], [X[0], X[0]], [X[0], X[0]]], object),
        ShapeError,
        r"x holds arrays or lists, the first of shape \(3,\); .*np.stack",
    ),
    "an array of arrays": (
        np.array([X, 1, None], object)[:2],
        ShapeError,
        r"x holds arrays or lists, the first of shape \(6, 3\); .*np.stack",
    ),
    "lists of several lengths": (
        np.array([[[1], [2, 3]], [1]], object),
        ShapeError,
        "x holds arrays or lists, the first of length 2; .*np.stack",
    ),
    "a set": ({1.0, 2.0}, DTypeError, r"x is a set, which has no order; .*np.array\(list\(x\)\)"),
    "a function": (len, DTypeError, "x is a builtin_function_or_method; expected an array of numbers"),
    "an object": (object(), DTypeError, "x is an object; expected an array of numbers"),
    "an object inside": (holding(object()), DTypeError, "x holds <object.*>, of type object; expected real"),
    "an array that refuses": (OnAGraph(), DTypeError, r"x cannot become an array: .*detach\(\)"),
    "a symbolic tensor": (fastnn.Input((3,)), DTypeError, "x cannot become an array: a symbolic tensor has"),
}


# What `fit` takes as batches.
ITERABLES = {
    "a generator": ((row for row in X), DTypeError, r"x is a generator; .*np.concatenate\(list\(x\)\)"),
    "an iterator": (iter(X), DTypeError, r"x is an iterator; .*np.concatenate\(list\(x\)\)"),
    "a map": (map(float, range(3)), DTypeError, r"x is a map; .*np.concatenate\(list\(x\)\)"),
    "a loader": (Loader(), DTypeError, r"x is a Loader; .*np.concatenate\(list\(x\)\)"),
}


@pytest.mark.parametrize("case", ITERABLES)
def test_what_is_no_array_is_named_with_the_way_out(case: str, refused: Any) -> None:
    value, error, message = ITERABLES[case]
    classifier = model()
    with refused(classifier, error, match=message):
        classifier.train_on_batch(value, LABELS)
    with refused(
        classifier, ConfigurationError, match="x gives batches, so leave y out: .*; if it gives rows"
    ):
        classifier.fit(value, LABELS, verbose=0)


@pytest.mark.parametrize("case", NOT_NUMBERS)
def test_what_is_no_number_is_named_with_the_way_out(case: str, refused: Any) -> None:
    value, error, message = NOT_NUMBERS[case]
    classifier = model()
    for call in (
        lambda: classifier.fit(value, LABELS, verbose=0),
        lambda: classifier.predict(value),
        lambda: classifier.train_on_batch(value, LABELS),
    ):
        with refused(classifier, error, match=message):
            call()


def test_targets_and_weights_are_explained_alike(refused: Any) -> None:
    regression = model("mse", 2)
    y = np.full((ROWS, 2), decimal.Decimal(1))
    with refused(regression, DTypeError, match=r"y holds Decimal.*np.asarray\(y\).astype\(float\)"):
        regression.fit(X, y, verbose=0)
    with refused(regression, DTypeError, match="sample_weight has dtype datetime64"):
        regression.fit(X, np.ones((ROWS, 2)), sample_weight=np.zeros(ROWS, "M8[D]"), verbose=0)
    with refused(regression, DTypeError, match="dense/kernel holds Decimal"):
        regression.set_weights([np.full((3, 2), decimal.Decimal(1)), [0, 0]])


def test_what_the_messages_advise_is_taken() -> None:
    classifier = model()
    hours = np.datetime64(DAY) + np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS) * np.timedelta64(1, "h")
    for x in (
        np.asarray(np.full((ROWS, COLUMNS), decimal.Decimal("1.5"))).astype(float),
        np.asarray(X.astype(str)).astype(float),
        (hours - hours.min()) / np.timedelta64(1, "D"),
        np.column_stack([STRUCTURED[name] for name in STRUCTURED.dtype.names]),
        np.concatenate(list(row for row in [X[:2], X[2:]])),  # noqa: C400 - as the message has it
    ):
        classifier.fit(x, np.unique(LABELS.astype(str), return_inverse=True)[1], verbose=0)


# --- tables ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pandas() -> Any:
    return pytest.importorskip("pandas", reason="pandas is not installed")


def test_missing_values_of_pandas_are_named(pandas: Any, refused: Any) -> None:
    regression = model("mse", 2)
    frame = pandas.DataFrame(X, columns=["a", "b", "c"]).astype("Int64")
    regression.predict(frame)  # a nullable column without holes is numbers
    frame.iloc[4, 1] = frame.iloc[2, 0] = pandas.NA
    for x in (frame, frame.to_numpy(), frame.to_numpy().tolist()):
        with refused(
            regression,
            DataError,
            match=r"x has 2 missing values \(<NA>\), the first at index \(2, 0\); fill or drop them first, "
            r"as by x.fillna\(0\) or x.dropna\(\)",
        ):
            regression.predict(x)
    weight = pandas.Series([1, 2, pandas.NA, 1, 1, 1], dtype=object)
    with refused(regression, DataError, match=r"sample_weight has 1 missing values .* index \(2,\)"):
        regression.train_on_batch(X, np.ones((ROWS, 2)), weight)


def test_dates_of_pandas_are_dates(pandas: Any, refused: Any) -> None:
    regression = model("mse", 2)
    frame = pandas.DataFrame({"a": pandas.date_range("2011-01-01", periods=ROWS), "b": 1, "c": 2.0})
    for x in (frame, frame.assign(a=[pandas.NaT] * ROWS), frame.assign(a=frame["a"] - frame["a"].min())):
        with refused(regression, DTypeError, match="a date or a time; .*days since"):
            regression.predict(x)
    frame["a"] = (frame["a"] - frame["a"].min()) / np.timedelta64(1, "D")
    regression.predict(frame)


def test_categories_and_periods_of_pandas(pandas: Any, refused: Any) -> None:
    regression = model("mse", 2)
    colours = pandas.DataFrame({"a": pandas.Categorical(["red", "blue"] * 3), "b": 1, "c": 2.0})
    for x in (colours, colours.astype({"a": "string"}), colours.astype({"a": object})):
        with refused(regression, DTypeError, match="x holds 'red', text; .*encode categories"):
            regression.predict(x)
    months = colours.assign(a=pandas.period_range("2011-01", periods=ROWS, freq="M"))
    with refused(regression, DTypeError, match=r"x holds Period\(.*\), a date or a time"):
        regression.predict(months)


# --- labels ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS + 1, r"got 1 to 4; labels begin at 0, so subtract 1: y - 1$"),
        ((LABELS + 1).reshape(-1, 1).tolist(), "subtract 1: y - 1$"),
        ((LABELS + 1).astype(float), "subtract 1: y - 1$"),
        ([4, 4, 3, 3, 4, 4], "got 3 to 4; labels begin at 0, so subtract 1: y - 1$"),
        ([10, 20, 30, 10, 20, 30], r"got 10 to 30; .*np.unique\(y, return_inverse=True\)\[1\]$"),
        ([-1, 1, 1, 1, -1, -1], r"got -1 to 1; .*np.unique\(y, return_inverse=True\)\[1\]$"),
        ([0, 1, 2, 3, 4, 5], "got 0 to 5; the last layer needs one output for each class, here 6$"),
        ([1, 2, 3, 4, 5, 6], "got 1 to 6; the last layer needs one output for each class"),
    ],
)
def test_labels_out_of_range_say_what_would_bring_them_in(labels: Any, message: str, refused: Any) -> None:
    classifier = model()
    for call in (classifier.train_on_batch, classifier.evaluate, classifier.loss_and_gradients):
        with refused(classifier, DataError, match=message):
            call(X, labels)


@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "categorical_crossentropy"])
@pytest.mark.parametrize("kind", [str, bytes, object])
def test_text_as_labels_tells_how_labels_are_made(loss: str, kind: Any, refused: Any) -> None:
    labels = np.array(["red", "blue", "red", "red", "blue", "green"]).astype(kind)
    classifier = model(loss)
    for y in (labels, labels.tolist(), labels.reshape(-1, 1)):
        with refused(classifier, DTypeError, match=r"text; .*: np.unique\(y, return_inverse=True\)\[1\]"):
            classifier.fit(X, y, verbose=0)


@pytest.mark.parametrize("column", [False, True])
def test_labels_for_one_hot_rows_name_the_sparse_loss(column: bool, refused: Any) -> None:
    classifier = model("categorical_crossentropy")
    labels = LABELS.reshape(-1, 1) if column else LABELS
    for y in (labels, labels.astype(float), labels.tolist()):
        with refused(
            classifier, ShapeError, match="takes one-hot rows .*; for integer labels use sparse_categorical_"
        ):
            classifier.train_on_batch(X, y)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (LABELS % 2 + 1, "got values from 1 to 2; labels begin at 0, so subtract 1: y - 1$"),
        (LABELS % 2 * 2 - 1, r"got values from -1 to 1; .*\(y \+ 1\) / 2$"),
        (LABELS, "got values from 0 to 3; for more than two classes use sparse_categorical_crossentropy"),
        ([0, 0.5, 1, 1.5, 1, 0], r"got values from 0 to 1.5$"),
    ],
)
def test_targets_of_binary_crossentropy_say_what_would_bring_them_in(y: Any, message: str) -> None:
    classifier = model("binary_crossentropy", 1)
    with pytest.warns(TrainingWarning, match=message):
        classifier.fit(X, y, verbose=0)


@pytest.mark.parametrize("make", [list, tuple])
def test_rows_of_different_lengths_are_named(make: Callable[..., Any], refused: Any) -> None:
    classifier = model()
    with refused(classifier, ShapeError, match="x cannot become an array: .*; rows must be of one length"):
        classifier.predict(make([[1, 2, 3], [1, 2]]))
