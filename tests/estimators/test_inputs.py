"""Data as users bring them to the estimators: tables, tensors, sparse matrices, dtypes, orders."""

from __future__ import annotations

import importlib.util
import warnings
from typing import Any

import numpy as np
import pytest

import fastnn

if importlib.util.find_spec("sklearn") is None:  # an optional library
    pytest.skip("scikit-learn is not installed", allow_module_level=True)

import sklearn
from scipy import sparse
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

pytestmark = pytest.mark.filterwarnings("ignore:(?s).*converge")
RNG = np.random.RandomState(7)
X = RNG.randn(120, 4)
Y = X[:, 0] - 2 * X[:, 1]
TWO = np.array(["no", "yes"])[(Y > 0).astype(int)]
NAMES = list("abcd")


def classifier(**settings: Any) -> Any:
    return fastnn.MLPClassifier((5,), **({"max_iter": 10, "random_state": 0} | settings))


def regressor(**settings: Any) -> Any:
    return fastnn.MLPRegressor(hidden_layer_sizes=(5,), **({"max_iter": 10, "random_state": 0} | settings))


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # ten epochs are enough here
    PLAIN = regressor().fit(X, Y).predict(X)


@pytest.mark.parametrize(
    "form",
    [
        np.asfortranarray,
        lambda x: np.repeat(x, 2, axis=0)[::2],
        lambda x: np.ascontiguousarray(x[:, ::-1])[:, ::-1],
        np.ndarray.tolist,
        lambda x: x.astype(object),
        lambda x: x.astype(">f8"),
        lambda x: x.astype(np.longdouble),
        lambda x: [tuple(row) for row in x.tolist()],
        np.ma.masked_array,
    ],
    ids=[
        "columns first",
        "strided",
        "backwards",
        "lists",
        "objects",
        "big-endian",
        "long",
        "tuples",
        "masked",
    ],
)
def test_rows_count_as_numbers_whatever_they_come_in(form: Any) -> None:
    given = form(X)
    model = regressor().fit(given, Y.tolist())
    np.testing.assert_allclose(model.predict(given), PLAIN, rtol=1e-12)


def test_rows_that_may_not_be_written_are_not_written(tmp_path: Any) -> None:
    x, y = X.copy(), Y.copy()
    for array in (x, y):
        array.setflags(write=False)
    np.save(tmp_path / "x.npy", X)
    for rows in (x, np.load(tmp_path / "x.npy", mmap_mode="r")):
        np.testing.assert_array_equal(regressor().fit(rows, y, sample_weight=None).predict(rows), PLAIN)
    np.testing.assert_array_equal(x, X)


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint16, bool, np.float16])
def test_small_numbers_are_trained_in_float64(dtype: Any) -> None:
    rows = (np.abs(X) * 3).astype(dtype)
    model = regressor().fit(rows, Y)
    assert model.coefs_[0].dtype == np.float64
    np.testing.assert_allclose(model.predict(rows), model.predict(rows.astype(float)), rtol=1e-12)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_tables_are_read_by_name_in_their_order(library: str, peer: Any) -> None:
    frames = peer(library)
    table = frames.DataFrame({name: X[:, i] for i, name in enumerate(NAMES)})
    target, labels, weights = frames.Series(Y), frames.Series(TWO), frames.Series(np.ones(120))
    model = regressor().fit(table, target)
    assert list(model.feature_names_in_) == NAMES
    np.testing.assert_array_equal(model.predict(table), PLAIN)
    np.testing.assert_allclose(regressor().fit(table, target, sample_weight=weights).predict(table), PLAIN)
    found = classifier().fit(table, labels)
    assert list(found.classes_) == ["no", "yes"]
    np.testing.assert_array_equal(found.predict(table), classifier().fit(X, TWO).predict(X))
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(table[NAMES[::-1]])
    with pytest.raises(ValueError, match=r"in eval_set: .*feature names should match"):
        regressor().fit(table, target, eval_set=(table[NAMES[::-1]], target))
    with pytest.raises(ValueError, match="feature names should match"):
        model.partial_fit(table[NAMES[:3]], target)


def test_columns_of_a_table_keep_their_names_through_a_pipeline(peer: Any) -> None:
    table = peer("pandas").DataFrame(X, columns=NAMES)
    model = make_pipeline(StandardScaler(), regressor()).set_output(transform="pandas").fit(table, Y)
    assert list(model[-1].feature_names_in_) == NAMES
    assert list(model[:-1].get_feature_names_out()) == NAMES
    plain = make_pipeline(StandardScaler(), regressor()).fit(X, Y)
    np.testing.assert_allclose(model.predict(table), plain.predict(X), rtol=1e-12)


@pytest.mark.parametrize(
    ("columns", "dtype"),
    [
        ({"a": "float32", "b": "float32", "c": "float32", "d": "float32"}, np.float32),
        ({"a": "float32", "b": "float64"}, np.float64),
        ({"a": "Float64", "b": "Float64"}, np.float64),
    ],
)
def test_mixed_columns_have_one_dtype(columns: dict[str, str], dtype: Any, peer: Any) -> None:
    table = peer("pandas").DataFrame(X, columns=NAMES).astype(columns)
    model = regressor().fit(table, Y)
    assert model.coefs_[0].dtype == dtype
    np.testing.assert_allclose(model.predict(table), PLAIN, atol=1e-4)


@pytest.mark.parametrize("dtype", ["category", "string", "object"])
def test_labels_of_pandas_come_back_as_labels(dtype: str, peer: Any) -> None:
    found = classifier().fit(X, peer("pandas").Series(TWO).astype(dtype)).predict(X)
    np.testing.assert_array_equal(found, classifier().fit(X, TWO).predict(X))


def test_bad_tables_are_named(peer: Any) -> None:
    pandas = peer("pandas")
    table = pandas.DataFrame(X, columns=NAMES)
    holes = table.convert_dtypes().mask(table > 2)
    for frame, error, message in (
        (holes, ValueError, "Input X contains NaN"),
        (table.assign(a=TWO), ValueError, "could not convert string to float: '(no|yes)'"),
        (
            table.set_axis(["a", 1, "b", 2], axis=1),
            TypeError,
            "only supported if all input features have str",
        ),
    ):
        with pytest.raises(error, match=message):
            regressor().fit(frame, Y)
    with pytest.raises(ValueError, match="Input y contains NaN"):
        classifier().fit(X, pandas.Series([None] + [1] * 119, dtype="Int64"))


def test_tensors_on_a_cpu_count_as_arrays(peer: Any) -> None:
    torch = peer("torch")
    with sklearn.config_context(array_api_dispatch=False):
        model = regressor().fit(torch.tensor(X), torch.tensor(Y))
        np.testing.assert_array_equal(model.predict(torch.tensor(X)), PLAIN)


@pytest.mark.parametrize(
    "form",
    [
        sparse.coo_matrix,
        sparse.csc_array,
        lambda x: sparse.csr_matrix(x).astype(np.float32),
        lambda x: sparse.csr_array(x > 0.5),
        lambda x: sparse.csr_matrix((x > 0.5).astype(np.int64)),
        lambda x: sparse.csr_matrix(np.zeros_like(x)),
    ],
    ids=["coo", "csc", "float32", "bool", "int", "empty"],
)
def test_sparse_rows_of_all_kinds_are_those_of_the_dense_ones(form: Any) -> None:
    rows = form(X)
    dense = rows.toarray()
    for settings in ({}, {"early_stopping": True}):
        thin, full = (regressor(**settings).fit(given, Y) for given in (rows, dense))
        np.testing.assert_allclose(thin.predict(rows), full.predict(dense), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(thin.predict(rows.tocsr()[:1]), full.predict(dense[:1]), rtol=1e-4, atol=1e-4)


def test_sparse_rows_may_have_doubles_and_wide_indices() -> None:
    rows = np.tile(np.arange(120), 2)
    doubled = sparse.csr_matrix((X[:, :2].T.ravel(), (rows, np.zeros(240, int))), shape=(120, 4))
    wide = sparse.csr_matrix(X)
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    for given in (doubled, wide):
        model = regressor().fit(given, Y)
        np.testing.assert_allclose(
            model.predict(given), regressor().fit(given.toarray(), Y).predict(given.toarray()), rtol=1e-9
        )
    with pytest.raises(ValueError, match="contains NaN"):
        regressor().fit(sparse.csr_matrix(np.where(X > 2, np.nan, X)), Y)
