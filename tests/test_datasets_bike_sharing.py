"""Tests of the embedded bike sharing: content, features and split."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastnn.datasets import load_bike_sharing

INTEGERS = ("season", "yr", "mnth", "hr", "holiday", "weekday", "workingday", "weathersit")
WEATHER = ("temp", "atemp", "hum", "windspeed")
# First column and categories of each one-hot code, in the order of the columns.
CODES = {
    "season": (5, range(1, 5)),
    "weathersit": (9, range(1, 5)),
    "mnth": (13, range(1, 13)),
    "hr": (25, range(24)),
    "weekday": (49, range(7)),
}


@pytest.fixture(scope="module")
def table() -> np.ndarray:
    return load_bike_sharing(raw=True)


@pytest.fixture(scope="module")
def joined() -> tuple[np.ndarray, np.ndarray]:
    """Return features and targets of all parts, one after the other."""
    parts = load_bike_sharing()
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


def test_bike_sharing_has_the_documented_shapes_and_dtypes() -> None:
    parts = load_bike_sharing()
    assert [x.shape for x, _ in parts] == [(15435, 56), (1440, 56), (504, 56)]
    assert [y.shape for _, y in parts] == [(15435, 1), (1440, 1), (504, 1)]
    for array in (array for part in parts for array in part):
        assert array.dtype == np.float32
        assert array.flags.c_contiguous
        assert array.flags.owndata


def test_bike_sharing_raw_is_the_published_table(
    table: np.ndarray, published: Callable[[str], dict[str, list[str]]]
) -> None:
    columns = published("bike_sharing/hour.csv")
    assert table.dtype.names == tuple(columns)
    assert table["dteday"].astype(str).tolist() == columns.pop("dteday")
    for name, values in columns.items():
        assert table[name].tolist() == [float(value) for value in values], name


def test_bike_sharing_raw_has_the_documented_fields(table: np.ndarray) -> None:
    assert table.shape == (17379,)
    assert table.dtype["dteday"] == np.dtype("M8[D]")
    assert {str(table.dtype[name]) for name in (*INTEGERS, "instant", "casual", "registered", "cnt")} == {
        "int64"
    }
    assert {str(table.dtype[name]) for name in WEATHER} == {"float64"}
    assert table["cnt"].sum() == 3292679
    assert table["casual"].sum() == 620017
    assert all(table[name].min() >= 0 and table[name].max() <= 1 for name in WEATHER)
    assert (table["instant"][0], table["instant"][-1]) == (1, 17379)
    moments = table["dteday"] + table["hr"].astype("m8[h]")
    assert (np.diff(moments) > np.timedelta64(0, "h")).all()


def test_bike_sharing_calendar_agrees_with_the_dates(table: np.ndarray) -> None:
    days, months = table["dteday"].astype(int), table["dteday"].astype("M8[M]").astype(int)
    np.testing.assert_array_equal(table["weekday"], (days + 4) % 7)  # day 0, 1 January 1970, was a Thursday
    np.testing.assert_array_equal(table["mnth"], months % 12 + 1)
    np.testing.assert_array_equal(table["yr"], months // 12 - 41)


def test_bike_sharing_features_are_those_of_the_table(
    table: np.ndarray, joined: tuple[np.ndarray, np.ndarray]
) -> None:
    x, y = joined
    np.testing.assert_array_equal(x[:, 0], table["yr"])
    np.testing.assert_array_equal(x[:, 1], table["holiday"])
    for given, name in ((x[:, 2], "temp"), (x[:, 3], "hum"), (x[:, 4], "windspeed"), (y[:, 0], "cnt")):
        wanted = (table[name] - np.mean(table[name])) / np.sqrt(np.var(table[name]))
        np.testing.assert_allclose(given, wanted, rtol=1e-6, atol=1e-7, err_msg=name)
        assert given.mean(dtype=np.float64) == pytest.approx(0, abs=1e-6)
        assert given.std(dtype=np.float64) == pytest.approx(1, abs=1e-6)
    for name, (first, categories) in CODES.items():
        code = x[:, first : first + len(categories)]
        assert set(code.sum(axis=1)) == {1.0}
        np.testing.assert_array_equal(np.array(categories)[code.argmax(axis=1)], table[name], err_msg=name)


def test_bike_sharing_is_split_by_time(table: np.ndarray, joined: tuple[np.ndarray, np.ndarray]) -> None:
    # The parts put together are the table in its order, so no row is in two of them.
    bikes = joined[1][:, 0] * table["cnt"].std() + table["cnt"].mean()
    np.testing.assert_array_equal(np.rint(bikes), table["cnt"])
    hours = [(str(table["dteday"][row]), int(table["hr"][row])) for row in (-504 - 1440, -504, -1)]
    # Not 60 days before: the table lacks 38 hours of that time, most of them of a hurricane.
    assert hours == [("2012-10-10", 8), ("2012-12-10", 22), ("2012-12-31", 23)]


def test_bike_sharing_arrays_are_the_callers_own() -> None:
    load_bike_sharing()[0][0][:] = -9
    load_bike_sharing(raw=True)["cnt"] = 0
    assert load_bike_sharing()[0][0].min() > -9
    assert load_bike_sharing(raw=True)["cnt"].min() == 1


@pytest.mark.parametrize("raw", ["yes", 1, None])
def test_bike_sharing_refuses_other_types(raw: Any) -> None:
    with pytest.raises(TypeError, match="raw must be True or False"):
        load_bike_sharing(raw=raw)
