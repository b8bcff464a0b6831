"""Tables of all kinds become the same numbers, by the rules of RealMLP-TD-S; what cannot is named."""

from __future__ import annotations

import datetime
import importlib.util
from typing import Any

import numpy as np
import pytest

from fastnn.errors import ConfigurationError, DataError, DTypeError, ShapeError

if importlib.util.find_spec("sklearn") is None:  # an optional library
    pytest.skip("scikit-learn is not installed", allow_module_level=True)

from fastnn.estimators._encoder import Encoder, weighted_quantiles
from fastnn.estimators._tables import read_table

RNG = np.random.default_rng(8)


def fitted(X: Any, most: int = 256, chosen: Any = None, weights: Any = None) -> tuple[Encoder, list[str]]:
    notes: list[str] = []
    raw = read_table(X, "Some")
    return Encoder.fit(Encoder.typed(raw, chosen, notes), raw.names, weights, most, notes), notes


def encoded(encoder: Encoder, X: Any) -> np.ndarray:
    return encoder.array(encoder.matched(read_table(X, "Some"), "Some"), np.dtype(np.float64))


def of(X: Any, **settings: Any) -> np.ndarray:
    return encoded(fitted(X, **settings)[0], X)


def clip(x: Any) -> Any:
    return x / np.sqrt(1.0 + (np.asarray(x) / 3.0) ** 2)


def test_numbers_are_scaled_by_their_quartiles_and_bent() -> None:
    x = np.array([0.0, 1.0, 2.0, 3.0, 100.0])
    wanted = clip((x - 2.0) / (3.0 - 1.0))
    np.testing.assert_allclose(of(x.reshape(-1, 1))[:, 0], wanted, rtol=1e-14)


def test_where_quartiles_are_equal_half_the_range_is_taken() -> None:
    x = np.array([5.0] * 8 + [1.0, 9.0, 3.0])
    np.testing.assert_allclose(of(x.reshape(-1, 1))[:, 0], clip((x - 5.0) / 4.0), rtol=1e-14)


def test_two_categories_become_one_column_and_more_one_each() -> None:
    X = [["a", "u"], ["b", "v"], ["a", "w"], ["b", "w"], [None, "w"]]
    found = of(X)
    # 1, -1, 1, -1, 0 has the median 0 and the quartiles -1 and 1.
    np.testing.assert_allclose(found[:, 0], clip(np.array([1, -1, 1, -1, 0]) / 2.0), rtol=1e-14)
    # The columns of u and v are 0 but for one row: half the range is 0.5; that of w has quartiles 0 and 1.
    np.testing.assert_allclose(found[:, 1], clip(np.array([2.0, 0, 0, 0, 0])), rtol=1e-14)
    np.testing.assert_allclose(found[:, 2], clip(np.array([0, 2.0, 0, 0, 0])), rtol=1e-14)
    np.testing.assert_allclose(found[:, 3], clip(np.array([-1.0, -1, 0, 0, 0])), rtol=1e-14)


def test_missing_and_unknown_categories_are_zero() -> None:
    encoder, _ = fitted([["a"], ["b"], ["c"], ["a"], ["b"], ["c"], [None], ["a"]])
    plain = encoded(encoder, [["x"], [None], ["a"]])
    np.testing.assert_array_equal(plain[0], plain[1])
    assert (plain[0] == 0.0).sum() == 3  # whose medians are 0
    assert (plain[2] != plain[0]).sum() == 1


def test_missing_numbers_are_the_median_and_told_apart() -> None:
    X = np.array([[1.0], [2.0], [np.nan], [3.0], [np.nan]])
    encoder, notes = fitted(X)
    assert (encoder.width, notes) == (2, [])
    found = encoded(encoder, X)
    np.testing.assert_array_equal(found[[2, 4], 0], 0.0)
    assert found[2, 1] == found[4, 1] != found[0, 1] == found[3, 1]
    complete, _ = fitted(X[[0, 1, 3]])
    assert complete.width == 1
    assert encoded(complete, [[np.nan]]).tolist() == [[0.0]]


def test_numbers_and_categories_are_told_apart(peer: Any) -> None:
    pandas, polars, arrow = peer("pandas"), peer("polars"), peer("pyarrow")
    data: dict[str, list[Any]] = {
        "age": [20, 31, None, 45, 60, 28],
        "color": ["red", "blue", "red", None, "green", "blue"],
        "member": [True, False, True, True, False, None],
        "size": [1.5, 2.5, 0.5, 4.0, 3.0, 2.0],
        "level": ["low", "high", "low", "low", "high", None],
    }
    frames = {
        "pandas": pandas.DataFrame(data),
        "nullable": pandas.DataFrame(data).convert_dtypes(),
        "categories": pandas.DataFrame(data).astype({"color": "category", "level": "category"}),
        "polars": polars.DataFrame(data),
        "polars categories": polars.DataFrame(data).with_columns(
            polars.col("level").cast(polars.Categorical)
        ),
        "arrow": arrow.table(data),
        "arrow dictionary": arrow.table(data | {"level": arrow.array(data["level"]).dictionary_encode()}),
        "list": [list(row) for row in zip(*data.values(), strict=True)],
        "object": np.array([list(row) for row in zip(*data.values(), strict=True)], object),
    }
    encoder, notes = fitted(frames["pandas"])
    assert notes == []
    assert encoder.kinds == ["number", "category", "category", "number", "category"]
    wanted = encoded(encoder, frames["pandas"])
    assert wanted.shape == (6, 2 + 3 + 1 + 1 + 1)
    for name, frame in frames.items():
        own, _ = fitted(frame)
        assert own.kinds == encoder.kinds, name
        np.testing.assert_array_equal(encoded(own, frame), wanted, err_msg=name)
        np.testing.assert_array_equal(encoded(encoder, frame), wanted, err_msg=name)


def test_columns_are_found_by_their_names(peer: Any) -> None:
    pandas = peer("pandas")
    frame = pandas.DataFrame(RNG.normal(size=(20, 3)), columns=["a", "b", "c"])
    encoder, _ = fitted(frame)
    other = frame[["c", "a", "b"]].assign(more=1)
    np.testing.assert_array_equal(encoded(encoder, other), encoded(encoder, frame))
    with pytest.raises(ShapeError, match=r"X lacks column 'b', there in fit; it has 'a', 'c'"):
        encoded(encoder, frame[["a", "c"]])
    with pytest.raises(ShapeError, match=r"X has column 'a' 2 times.*rename"):
        read_table(pandas.DataFrame([[1, 2, 3]], columns=["a", "b", "a"]), "Some")
    with pytest.raises(ShapeError, match="X has 2 features, but Some is expecting 3 features as input"):
        encoded(encoder, [[1, 2]])
    numbered = pandas.DataFrame([[1, 2], [3, 4], [5, 9]])
    np.testing.assert_array_equal(of(numbered), of(numbered.to_numpy()))


def test_what_says_nothing_is_dropped_with_a_note() -> None:
    n = 300
    X = np.empty((n, 7), object)
    X[:, 0] = 3
    X[:, 1] = [7.0 + 1e-12 * row for row in range(n)]
    X[:, 2] = [0] * (n - 1) + [1]
    X[:, 3] = None
    X[:, 4] = [f"id{row}" for row in range(n)]
    X[:, 5] = ["x"] * n
    X[:, 6] = range(n)
    encoder, notes = fitted(X)
    assert encoder.places == [6]
    assert notes == [
        "column 0 is dropped: it is always 3",
        "column 1 is dropped: it is always 7, but for rounding",
        "column 2 is dropped: it is 0 in all rows but one",
        "column 3 is dropped: all of it is missing",
        "column 4 is dropped: its 300 values are all different, as those of an identifier",
        "column 5 is dropped: it is always 'x'",
    ]
    changed = X.copy()
    changed[0, :6] = [1, 2, 3, "what", datetime.date(2020, 1, 1), 5]  # not looked at any more
    np.testing.assert_array_equal(encoded(encoder, changed), encoded(encoder, X))
    with pytest.raises(DataError, match=r"no column of X can be used; column 0 is dropped: it is always 1"):
        fitted([[1], [1]])


def test_many_categories_are_bounded_by_the_most_frequent_ones() -> None:
    million = np.array([f"c{code}" for code in range(1_000_000)] + ["c5"] * 3 + ["c7"] * 2, object).reshape(
        -1, 1
    )
    encoder, notes = fitted(million, most=2)
    assert encoder.fitted[0].categories == ["c5", "c7"]  # type: ignore[union-attr]
    assert notes == [
        "column 0 has 1000000 categories; the 2 most frequent ones are told apart, and others count as "
        "missing; set max_categories for more"
    ]
    assert encoder.width == 1


def test_a_user_says_what_categories_are(peer: Any) -> None:
    X = [[1, 5.0], [2, 6.0], [3, 7.0], [1, 8.0]]
    encoder, _ = fitted(X, chosen=[0])
    assert encoder.kinds == ["category", "number"]
    assert encoder.width == 4
    frame = peer("pandas").DataFrame(X, columns=["code", "size"])
    np.testing.assert_array_equal(of(frame, chosen=["code"]), of(X, chosen=[0]))
    np.testing.assert_array_equal(encoded(encoder, [[1.0, 5], [True, 5]])[0], encoded(encoder, X)[0])
    for wrong, said in (
        (["cod"], "has 'cod'.*it has code, size"),
        ([2], "has 2"),
        ("code", "must be a list"),
    ):
        with pytest.raises(ConfigurationError, match=f"cat_features {said}"):
            fitted(frame, chosen=wrong)


def test_categories_of_another_type_are_refused() -> None:
    encoder, _ = fitted([[1, 5.0], [2, 6.0], [3, 7.0], [1, 8.0]], chosen=[0])
    said = r"column 0 has no category that was there in fit: .* as '1', and in fit had such as 1.0; give"
    with pytest.raises(DataError, match=said):
        encoded(encoder, [["1", 5.0], [None, 6.0]])
    assert np.isfinite(encoded(encoder, [[7, 5.0], [None, 6.0]])).all()
    assert np.isfinite(encoded(encoder, [["1", 5.0], [1, 6.0]])).all()


@pytest.mark.parametrize(
    "dates",
    [
        np.array(["2020-01-01", "2021-01-01"], "datetime64[D]"),
        [datetime.date(2020, 1, 1), datetime.date(2021, 1, 1)],
        ["2020-01-01", "2021-01-01 10:30"],
        [datetime.timedelta(1), None],
    ],
)
def test_dates_are_refused_with_advice(dates: Any, peer: Any) -> None:
    said = r"column 'when' has dates or times.*year, month, weekday"
    with pytest.raises(DTypeError, match=said):
        fitted(peer("pandas").DataFrame({"n": [1, 2], "when": dates}))
    if isinstance(dates, list):
        with pytest.raises(DTypeError, match=r"column 1 has dates or times"):
            fitted([[1, dates[0]], [2, dates[1]]])
    encoder, _ = fitted(peer("pandas").DataFrame({"n": [1, 2], "when": [1.0, 2.0]}))
    with pytest.raises((DTypeError, DataError), match="column 'when' has"):
        encoded(encoder, peer("pandas").DataFrame({"n": [1, 2], "when": dates}).astype(object))


def test_text_in_numbers_and_infinite_values_are_named(peer: Any) -> None:
    pandas = peer("pandas")
    for ages in ([31, "unknown", 40], ["31", "unknown", "40"]):
        with pytest.raises(
            DataError, match=r"column 'age' has numbers, and in row 1.*'unknown'.*cat_features"
        ):
            fitted(pandas.DataFrame({"age": ages, "n": [1, 2, 3]}))
    _, notes = fitted(pandas.DataFrame({"age": ["31", "32", "40"]}))
    assert notes == [
        "column 'age' has numbers that are written as text, and is taken for numbers; name it in "
        "cat_features if they are categories"
    ]
    encoder, _ = fitted(pandas.DataFrame({"age": [31, 32, 40]}))
    np.testing.assert_array_equal(
        encoded(encoder, pandas.DataFrame({"age": ["31", "32"]})), encoded(encoder, [[31], [32]])
    )
    with pytest.raises(DataError, match=r"column 'age' .*in row 1, counted from 0, '\?'"):
        encoded(encoder, pandas.DataFrame({"age": [31, "?"]}))
    with pytest.raises(DataError, match=r"column 1 has an infinite value, inf, in row 2"):
        fitted([[1, 1.0], [2, 2.0], [3, np.inf]])
    with pytest.raises(DataError, match=r"column 'age' has an infinite value, -inf, in row 0"):
        encoded(encoder, [[-np.inf]])


@pytest.mark.parametrize(
    ("X", "said"),
    [
        ([[1, 2], [3]], "the rows of X are not of one length"),
        ([1, 2, 3], r"Expected 2D array, got 1D array instead: shape \(3,\).*Reshape your data"),
        (np.empty((0, 3)), r"X has 0 sample\(s\)"),
        (np.empty((3, 0)), r"X has 0 feature\(s\)"),
        (np.ones((2, 2)) * 1j, "Complex data not supported"),
        (np.array(["2020"], "datetime64[D]").reshape(1, 1), "column 0 has dates"),
        ([[1, {}], [2, {}]], r"column 1 has \{\} in row 0.*string or a number"),
        ([["a"], [object]], r"column 0 has <class 'object'> in row 1"),
    ],
)
def test_what_is_no_table_is_refused(X: Any, said: str) -> None:
    with pytest.raises((ShapeError, DTypeError, DataError), match=said):
        fitted(X)


def test_nested_columns_and_lazy_frames_are_refused(peer: Any) -> None:
    polars = peer("polars")
    with pytest.raises(DTypeError, match=r"column 'a' is of dtype List"):
        read_table(polars.DataFrame({"a": [[1], [2]]}), "Some")
    with pytest.raises(DTypeError, match="collect it first"):
        read_table(polars.LazyFrame({"a": [1]}), "Some")
    sparse = pytest.importorskip("scipy.sparse").csr_array(np.eye(3))
    with pytest.raises(DTypeError, match=r"no sparse matrix; give X.toarray\(\)"):
        read_table(sparse, "Some")


@pytest.mark.parametrize("n", [1, 2, 7, 50])
def test_weights_count_as_repeated_rows(n: int) -> None:
    x = RNG.normal(size=n)
    weights = RNG.integers(1, 4, size=n).astype(float)
    shares = (0.0, 0.25, 0.5, 0.75, 1.0)
    found = weighted_quantiles(x, shares, weights)
    np.testing.assert_allclose(found, np.quantile(np.repeat(x, weights.astype(int)), shares), rtol=1e-12)
    rows = [[value, "abc"[code]] for value, code in zip(x, RNG.integers(0, 3, size=n), strict=True)]
    if n == 50:
        repeated = [row for row, weight in zip(rows, weights, strict=True) for _ in range(int(weight))]
        same = encoded(fitted(repeated)[0], rows)
        np.testing.assert_allclose(of(rows, weights=weights), same, rtol=1e-12)
        assert np.isfinite(of(rows, weights=RNG.random(n))).all()
        np.testing.assert_allclose(of(rows, weights=np.full(n, 0.3)), of(rows), rtol=1e-12)


def test_numbers_far_outside_stay_finite() -> None:
    encoder, _ = fitted(RNG.normal(size=(30, 1)))
    found = encoded(encoder, [[1e300], [-1e300], [1e-300]])[:, 0]
    np.testing.assert_allclose(found[:2], [3.0, -3.0])
    tiny, _ = fitted([[0.0], [5e-324], [1e-323]])
    assert np.isfinite(encoded(tiny, [[1.0]])).all()
