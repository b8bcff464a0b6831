"""The input border: every layout gives the same bits, and what is wrong is refused with its reason.

"Refused" means the right exception, a message that names the argument, and a model whose weights,
optimizer state and counters are bit for bit what they were (the fixture `refused`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import fastnn
from fastnn import layers, losses
from fastnn.border import data
from fastnn.errors import DataError, DTypeError, ShapeError

ROWS, COLUMNS, CLASSES = 6, 3, 4
F32, F64 = np.dtype(np.float32), np.dtype(np.float64)
SPARSE = losses.SparseCategoricalCrossentropy()

# Small whole numbers are exact in every dtype that is tried.
X = np.random.default_rng(0).integers(-3, 4, (ROWS, COLUMNS)).astype(np.float32)
Y = np.random.default_rng(1).integers(-3, 4, (ROWS, 2)).astype(np.float32)
LABELS = np.array([0, 1, 2, 3, 1, 0])


def regression(dtype: str = "float32") -> fastnn.Sequential:
    """Return 3-4-2, squared error, with a few steps of Adam behind it."""
    model = fastnn.Sequential(
        [fastnn.Input((COLUMNS,)), layers.Dense(4, "tanh"), layers.Dense(2)], seed=3, dtype=dtype
    )
    model.compile("adam", "mse")
    model.fit(X, Y, batch_size=2, epochs=1, verbose=0)
    return model


def classifier(loss: str = "sparse_categorical_crossentropy", units: int = CLASSES) -> fastnn.Sequential:
    activation = "sigmoid" if loss == "binary_crossentropy" else "softmax"
    model = fastnn.Sequential([fastnn.Input((COLUMNS,)), layers.Dense(units, activation)], seed=3)
    model.compile("sgd", loss)
    return model


# --- layouts that must all give the same bits ----------------------------------------------------------


def unaligned(array: np.ndarray) -> np.ndarray:
    """Return an equal array whose data begin one byte off."""
    raw = np.empty(array.nbytes + 1, np.uint8)
    result = raw[1:].view(array.dtype).reshape(array.shape)
    result[...] = array
    assert not result.flags.aligned
    return result


def read_only(array: np.ndarray) -> np.ndarray:
    result = array.copy()
    result.flags.writeable = False
    return result


class Frame:
    """Stands for a DataFrame: no array, but becomes one."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.shape = array.shape

    def __array__(self, dtype: object = None, copy: bool | None = None) -> np.ndarray:
        return self.array


LAYOUTS: dict[str, Callable[[np.ndarray], Any]] = {
    "lists": lambda a: a.tolist(),
    "float16": lambda a: a.astype(np.float16),
    "float64": lambda a: a.astype(np.float64),
    "longdouble": lambda a: a.astype(np.longdouble),
    "int8": lambda a: a.astype(np.int8),
    "int64": lambda a: a.astype(np.int64),
    "big-endian": lambda a: a.astype(">f4"),
    "object": lambda a: a.astype(object),
    "Fortran": np.asfortranarray,
    "columns strided": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "rows strided": lambda a: np.repeat(a, 3, axis=0)[::3],
    "reversed": lambda a: np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1],
    "read-only": read_only,
    "unaligned": unaligned,
    "unaligned big-endian": lambda a: unaligned(a.astype(">f8")),
    "frame": Frame,
    "matrix": lambda a: a.view(type("Sub", (np.ndarray,), {})),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_x_and_y_trains_to_the_same_bits(layout: str) -> None:
    plain, other = regression(), regression()
    x, y = LAYOUTS[layout](X), LAYOUTS[layout](Y)
    before = np.array(x, dtype=np.float64), np.array(y, dtype=np.float64)
    checked = data.as_features(x, COLUMNS, F32)
    assert checked.flags.c_contiguous and checked.flags.aligned and checked.dtype.isnative  # noqa: PT018
    plain.fit(X, Y, batch_size=4, epochs=2, verbose=0)
    other.fit(x, y, batch_size=4, epochs=2, verbose=0)
    for expected, found in zip(plain.get_weights(), other.get_weights(), strict=True):
        assert expected.tobytes() == found.tobytes()
    assert plain.predict(X).tobytes() == other.predict(x).tobytes()
    assert plain.evaluate(X, Y, verbose=0) == other.evaluate(x, y, verbose=0)
    np.testing.assert_array_equal(np.array(x, dtype=np.float64), before[0])
    np.testing.assert_array_equal(np.array(y, dtype=np.float64), before[1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_read_only_data_of_the_right_kind_are_used_as_they_are(dtype: str) -> None:
    model = regression(dtype)
    x, y = read_only(X.astype(dtype)), read_only(Y.astype(dtype))
    model.fit(x, y, batch_size=2, epochs=2, verbose=0)
    np.testing.assert_array_equal(x, X)
    assert np.shares_memory(data.as_features(x, COLUMNS, np.dtype(dtype)), x)
    assert np.shares_memory(data.as_targets(y, ROWS, 2, losses.MeanSquaredError(), np.dtype(dtype)), y)


@pytest.mark.parametrize(
    "labels",
    [
        LABELS.tolist(),
        LABELS.astype(np.uint8),
        LABELS.astype(">i2"),
        LABELS.astype(np.float64),
        LABELS.astype(np.float16),
        LABELS.reshape(-1, 1),
        LABELS.astype(object),
        np.repeat(LABELS, 2)[::2],
        unaligned(LABELS),
        read_only(LABELS),
    ],
    ids=["list", "uint8", "big", "float", "half", "column", "object", "strided", "unaligned", "read-only"],
)
def test_every_kind_of_labels_gives_the_same_loss(labels: Any) -> None:
    model = classifier()
    assert model.evaluate(X, labels, verbose=0) == model.evaluate(X, LABELS, verbose=0)


def test_labels_may_be_booleans_for_two_classes() -> None:
    model = classifier(units=2)
    labels = LABELS > 1
    assert model.evaluate(X, labels, verbose=0) == model.evaluate(X, labels.astype(int), verbose=0)


def test_boolean_features_count_as_zero_and_one() -> None:
    model = regression()
    assert model.predict(X > 0).tobytes() == model.predict((X > 0).astype(np.float32)).tobytes()


def test_one_column_may_be_flat() -> None:
    model = fastnn.Sequential([fastnn.Input((1,)), layers.Dense(1)], seed=0)
    model.compile("sgd", "mse")
    flat, column = X[:, 0], X[:, :1]
    assert model.predict(flat).tobytes() == model.predict(column).tobytes()
    assert model.evaluate(flat, flat, verbose=0) == model.evaluate(column, column, verbose=0)


def test_a_data_frame_and_a_series() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    model = regression()
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    assert model.predict(frame).tobytes() == model.predict(X).tobytes()
    labels = pandas.Series(LABELS)
    assert classifier().evaluate(frame, labels, verbose=0) == classifier().evaluate(X, LABELS, verbose=0)
    with pytest.raises(DTypeError, match="encode categories"):
        model.predict(pandas.DataFrame({"a": ["u", "v"], "b": [1, 2], "c": [3, 4]}))


# --- x ---------------------------------------------------------------------------------------------------


def with_value(array: np.ndarray, value: float) -> np.ndarray:
    result = array.astype(np.float64)
    result[2, 1] = value
    return result


BAD_X: dict[str, tuple[Any, type[Exception], str]] = {
    "too narrow": (X[:, :2], ShapeError, r"x must have shape \(rows, 3\).*got \(6, 2\)"),
    "too wide": (np.hstack([X, X]), ShapeError, r"got \(6, 6\)$"),
    "one row flat": (X[0], ShapeError, r"a single row is x.reshape\(1, -1\)"),
    "three dimensions": (X[None], ShapeError, r"got \(1, 6, 3\); reshape it to \(rows, 3\)"),
    "scalar": (1.0, ShapeError, r"got \(\)"),
    "empty list": ([], ShapeError, r"got \(0,\)"),
    "no columns": (np.zeros((ROWS, 0)), ShapeError, r"got \(6, 0\)"),
    "ragged": ([[1, 2, 3], [4, 5]], ShapeError, "x cannot become an array"),
    "None": (None, DTypeError, "x is None"),
    "NaN": (with_value(X, np.nan), DataError, r"x has 1 values that are NaN.*index \(2, 1\)"),
    "infinity": (with_value(X, -np.inf), DataError, r"NaN or infinite, the first at index \(2, 1\)"),
    "too large": (with_value(X, 1e300), DataError, "too large for float32.*dtype='float64'"),
    "huge integers": ([[10**400, 1, 1]] * ROWS, DataError, "too large"),
    "strings": (X.astype(str), DTypeError, "x has dtype <U.*real numbers"),
    "complex": (X.astype(complex), DTypeError, "complex128.*real numbers"),
    "dates": (X.astype("M8[s]"), DTypeError, "real numbers"),
    "objects": (np.array([["a", 1, 2]] * ROWS, object), DTypeError, "encode categories"),
    "strings of digits": (np.array([["1", "2", "3"]] * ROWS, object), DTypeError, "encode categories"),
    "None inside": ([[None, 1, 2]] * ROWS, DataError, r"x has 6 values that are NaN.*index \(0, 0\)"),
    "sparse": (scipy.sparse.csr_matrix(X), DTypeError, r"sparse matrix.*x.toarray\(\)"),
    "sparse array": (scipy.sparse.coo_array(X), DTypeError, "sparse"),
    "masked": (np.ma.masked_array(X, X > 0), DTypeError, r"masked array.*filled"),
}


@pytest.mark.parametrize("case", BAD_X)
def test_bad_x_is_refused_by_every_method(case: str, refused: Any) -> None:
    value, error, message = BAD_X[case]
    model = regression()
    for call in (
        lambda: model.fit(value, Y, verbose=0),
        lambda: model.train_on_batch(value, Y),
        lambda: model.evaluate(value, Y, verbose=0),
        lambda: model.predict(value),
        lambda: model.loss_and_gradients(value, Y),
        lambda: model.input_gradients(value),
        lambda: model.profile(value, Y),
        lambda: fastnn.gradcheck(model, value, Y),
        lambda: model.fit(X, Y, validation_data=(value, Y), verbose=0),
    ):
        with refused(model, error, match=message):
            call()


@pytest.mark.parametrize("case", ["NaN", "strings", "no columns", "ragged"])
def test_bad_first_data_do_not_build_a_model(case: str, refused: Any) -> None:
    """A model without an Input takes its width from the first data: from good ones only."""
    value, error, _ = BAD_X[case]
    model = fastnn.Sequential([layers.Dense(2)], seed=0)
    model.compile("sgd", "mse")
    for call in (lambda: model.fit(value, Y, verbose=0), lambda: model.predict(value)):
        with refused(model, error, match=r"\bx\b"):
            call()
    with refused(model, ShapeError, match="y has 5 rows"):
        model.fit(np.hstack([X, X]), Y[:5], verbose=0)
    model.fit(X, Y, verbose=0)  # the width is still free
    assert model.layers[0].kernel.shape == (COLUMNS, 2)


def test_no_rows_are_refused_where_rows_are_needed(refused: Any) -> None:
    model = regression()
    nothing_x, nothing_y = np.zeros((0, COLUMNS)), np.zeros((0, 2))
    for call in (
        lambda: model.fit(nothing_x, nothing_y, verbose=0),
        lambda: model.train_on_batch(nothing_x, nothing_y),
        lambda: model.evaluate(nothing_x, nothing_y, verbose=0),
        lambda: model.loss_and_gradients(nothing_x, nothing_y),
        lambda: model.profile(nothing_x, nothing_y),
    ):
        with refused(model, DataError, match="x has no rows"):
            call()
    assert model.predict(nothing_x).shape == (0, 2)
    assert model.input_gradients(nothing_x).shape == (0, COLUMNS)


# --- y ---------------------------------------------------------------------------------------------------

BAD_Y: dict[str, tuple[Any, type[Exception], str]] = {
    "too narrow": (Y[:, :1], ShapeError, r"y must have shape \(rows, 2\) to match the model's output"),
    "flat": (Y[:, 0], ShapeError, r"y must have shape \(rows, 2\)"),
    "fewer rows": (Y[:5], ShapeError, "y has 5 rows but x has 6"),
    "more rows": (np.vstack([Y, Y]), ShapeError, "y has 12 rows but x has 6"),
    "no rows": (Y[:0], ShapeError, "y has 0 rows but x has 6"),
    "NaN": (with_value(Y, np.nan), DataError, "y has 1 values that are NaN"),
    "infinity": (with_value(Y, np.inf), DataError, "y has 1 values that are NaN or infinite"),
    "too large": (with_value(Y, 1e39), DataError, "y has 1 values too large"),
    "strings": (Y.astype(str), DTypeError, "y has dtype <U"),
    "complex": (Y.astype(complex), DTypeError, "y has dtype complex128"),
    "objects": (np.array([["a", 1]] * ROWS, object), DTypeError, "y holds 'a', text"),
    "sparse": (scipy.sparse.csr_matrix(Y), DTypeError, "y is a sparse matrix"),
    "masked": (np.ma.masked_array(Y, Y > 0), DTypeError, "y is a masked array"),
    "ragged": ([[1, 2], [3]], ShapeError, "y cannot become an array"),
    "None": (None, DTypeError, "y is None"),
}


@pytest.mark.parametrize("case", BAD_Y)
def test_bad_y_is_refused_by_every_method(case: str, refused: Any) -> None:
    value, error, message = BAD_Y[case]
    model = regression()
    for call in (
        lambda: model.fit(X, value, verbose=0),
        lambda: model.train_on_batch(X, value),
        lambda: model.evaluate(X, value, verbose=0),
        lambda: model.loss_and_gradients(X, value),
        lambda: model.profile(X, value),
        lambda: fastnn.gradcheck(model, X, value),
        lambda: model.fit(X, Y, validation_data=(X, value), verbose=0),
    ):
        with refused(model, error, match=message):
            call()


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ([0, 1, 2, 4, 1, 0], DataError, "0 to 3 for 4 outputs, got 0 to 4"),
        ([0, 1, 2, -1, 1, 0], DataError, "got -1 to 2"),
        ([0, 1, 2, 1.5, 1, 0], DataError, "not integers, such as.*1.5"),
        ([0, 1, 2, np.nan, 1, 0], DataError, "NaN or infinite"),
        ([0, 1, 2, np.inf, 1, 0], DataError, "NaN or infinite"),
        ([0, 1, 2, 2**62, 1, 0], DataError, "0 to 3"),
        (np.array([0, 1, 2, 2**64 - 1, 1, 0], np.uint64), DataError, "0 to 3"),
        ([0, 1, 2, 10**400, 1, 0], DataError, "0 to 3|too large"),
        (np.eye(4)[LABELS], ShapeError, "one label a row.*categorical_crossentropy"),
        (LABELS[:5], ShapeError, "y has 5 rows but x has 6"),
        (LABELS.astype(str), DTypeError, "y has dtype <U"),
        (LABELS.astype(complex), DTypeError, "complex"),
        (np.ma.masked_array(LABELS, LABELS > 0), DTypeError, "masked"),
    ],
)
def test_bad_labels_are_refused(labels: Any, error: type[Exception], message: str, refused: Any) -> None:
    model = classifier()
    for call in (model.train_on_batch, model.evaluate, model.loss_and_gradients):
        with refused(model, error, match=message):
            call(X, labels)


def test_labels_are_no_distributions(refused: Any) -> None:
    model = classifier("categorical_crossentropy")
    with refused(model, ShapeError, match="for integer labels use sparse_categorical_crossentropy"):
        model.train_on_batch(X, LABELS)


# --- sample weights, weights, the split ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weight", "error", "message"),
    [
        (np.ones(5), ShapeError, "sample_weight has 5 rows but x has 6"),
        (np.ones((ROWS, 2)), ShapeError, r"sample_weight must have shape \(rows, 1\)"),
        (1.0, ShapeError, "sample_weight"),
        ([1, 1, 1, np.nan, 1, 1], DataError, "sample_weight has 1 values that are NaN"),
        ([1, 1, 1, np.inf, 1, 1], DataError, "sample_weight has 1 values that are NaN or infinite"),
        ([1, 1, 1, 1e39, 1, 1], DataError, "too large"),
        (["a"] * ROWS, DTypeError, "sample_weight has dtype <U1"),
        (np.ones(ROWS, complex), DTypeError, "complex"),
        (np.ma.masked_array(np.ones(ROWS), [0, 0, 0, 1, 0, 0]), DTypeError, "masked"),
    ],
)
def test_bad_sample_weights_are_refused(
    weight: Any, error: type[Exception], message: str, refused: Any
) -> None:
    model = regression()
    for call in (
        lambda: model.fit(X, Y, sample_weight=weight, verbose=0),
        lambda: model.train_on_batch(X, Y, weight),
        lambda: model.evaluate(X, Y, sample_weight=weight, verbose=0),
        lambda: model.loss_and_gradients(X, Y, weight),
        lambda: fastnn.gradcheck(model, X, Y, weight),
        lambda: model.fit(X, Y, validation_data=(X, Y, weight), verbose=0),
    ):
        with refused(model, error, match=message):
            call()


@pytest.mark.parametrize("layout", ["lists", "float16", "big-endian", "object", "unaligned", "read-only"])
def test_every_layout_of_sample_weights_gives_the_same_loss(layout: str) -> None:
    model = regression()
    weight = np.array([0, 1, 2, 3, 1, 0.5], np.float32)
    expected = model.evaluate(X, Y, sample_weight=weight, verbose=0)
    given = LAYOUTS[layout](weight)
    assert model.evaluate(X, Y, sample_weight=given, verbose=0) == expected
    column = np.asarray(given).reshape(-1, 1)
    assert model.evaluate(X, Y, sample_weight=column, verbose=0) == expected


def test_labels_beyond_what_the_dtype_counts_exactly_are_refused() -> None:
    with pytest.raises(DataError, match="float32 cannot count 16777216 classes exactly"):
        data.as_targets([0], 1, 2**24, SPARSE, F32)
    assert data.as_targets([2**24 - 1], 1, 2**24, SPARSE, F64)[0, 0] == 2**24 - 1


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5, 0.9])
def test_the_split_takes_the_last_rows_and_copies_nothing(fraction: float) -> None:
    rows = np.arange(40.0).reshape(20, 2)
    training, apart = data.split_validation({"x": rows}, len(rows), fraction)
    train, held_out = training["x"], apart["x"]
    np.testing.assert_array_equal(np.vstack([train, held_out]), rows)
    assert len(train) == int(20 * (1 - fraction))
    assert np.shares_memory(train, rows)
    assert np.shares_memory(held_out, rows)


@pytest.mark.parametrize(("rows", "fraction"), [(1, 0.5), (3, 0.99), (0, 0.5)])
def test_a_split_that_leaves_a_part_empty_is_refused(rows: int, fraction: float) -> None:
    with pytest.raises(DataError, match=f"of {rows} rows leaves one part empty"):
        data.split_validation({"x": np.zeros((rows, 1))}, rows, fraction)
