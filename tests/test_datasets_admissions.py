"""Tests of the embedded admissions: content, features and split."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastnn.datasets import load_admissions


def test_admissions_have_the_documented_shapes_and_dtypes() -> None:
    (x_train, y_train), (x_test, y_test) = load_admissions()
    assert (x_train.shape, y_train.shape) == ((360, 6), (360, 1))
    assert (x_test.shape, y_test.shape) == ((40, 6), (40, 1))
    for array in (x_train, y_train, x_test, y_test):
        assert array.dtype == np.float32
        assert array.flags.c_contiguous


def test_admissions_raw_is_the_published_table(published: Callable[[str], dict[str, list[str]]]) -> None:
    columns = published("admissions/student_data.csv")
    table = load_admissions(raw=True)
    assert table.dtype.names == tuple(columns)
    for name, values in columns.items():
        assert table[name].tolist() == [float(value) for value in values], name


def test_admissions_raw_has_the_documented_fields() -> None:
    table = load_admissions(raw=True)
    assert table.dtype == [("admit", "i8"), ("gre", "i8"), ("gpa", "f8"), ("rank", "i8")]
    assert table.shape == (400,)
    assert table["admit"].sum() == 127
    assert np.bincount(table["rank"]).tolist() == [0, 61, 151, 121, 67]
    assert (table["gre"].min(), table["gre"].max()) == (220, 800)
    assert (table["gpa"].min(), table["gpa"].max()) == (2.26, 4.0)


def expected_rows() -> list[tuple[float, ...]]:
    """Return features and target of each row of the raw table, computed value by value."""
    table = load_admissions(raw=True)
    rows = []
    for admit, gre, gpa, rank in table.tolist():
        scores = [(gre - table["gre"].mean()) / table["gre"].std()]
        scores += [(gpa - table["gpa"].mean()) / table["gpa"].std()]
        rows.append((*scores, *(float(rank == k) for k in (1, 2, 3, 4)), float(admit)))
    return rows


@pytest.mark.parametrize("seed", [0, 42, 2**32 - 1])
def test_admissions_features_are_those_of_the_table_each_row_once(seed: int) -> None:
    parts = load_admissions(seed=seed)
    given = np.concatenate([np.column_stack(part) for part in parts])
    wanted = np.array(expected_rows(), dtype=np.float32)
    np.testing.assert_array_equal(given[np.lexsort(given.T)], wanted[np.lexsort(wanted.T)])


def test_admissions_features_are_standardised_over_the_whole_table() -> None:
    (x_train, _), (x_test, _) = load_admissions()
    x = np.concatenate([x_train, x_test]).astype(np.float64)
    np.testing.assert_allclose(x[:, :2].mean(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(x[:, :2].std(axis=0), 1.0, atol=1e-6)
    assert x[:, 2:].sum(axis=0).tolist() == [61, 151, 121, 67]
    assert set(x[:, 2:].sum(axis=1)) == {1.0}


def test_admissions_test_rows_are_in_the_order_of_the_table() -> None:
    wanted = np.array(expected_rows(), dtype=np.float32).tolist()
    _, (x_test, y_test) = load_admissions()
    place = -1
    for row in np.column_stack([x_test, y_test]).tolist():
        place = wanted.index(row, place + 1)  # ValueError if it does not come later in the table


def test_admissions_split_depends_on_the_seed_alone() -> None:
    (x_train, y_train), (x_test, y_test) = load_admissions(seed=3)
    again = load_admissions(seed=3)
    for given, wanted in zip((x_train, y_train, x_test, y_test), (*again[0], *again[1]), strict=True):
        np.testing.assert_array_equal(given, wanted)
    other = load_admissions(seed=4)
    assert not np.array_equal(other[0][0], x_train)
    assert not np.array_equal(other[1][0], x_test)


def test_admissions_split_of_the_default_seed_does_not_change() -> None:
    (x_train, y_train), (_, y_test) = load_admissions()
    np.testing.assert_array_equal(load_admissions(seed=42)[0][0], x_train)
    assert (y_train.sum(), y_test.sum()) == (117, 10)
    assert (x_train[:5, 2:].argmax(axis=1) + 1).tolist() == [2, 2, 3, 4, 2]
    assert y_test[:10, 0].tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 0, 0]


def test_admissions_arrays_are_the_callers_own() -> None:
    load_admissions()[0][0][:] = -9
    load_admissions(raw=True)["gre"] = 0
    assert load_admissions()[0][0].min() > -9
    assert load_admissions(raw=True)["gre"].min() == 220


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_admissions_refuse_a_seed_out_of_range(seed: int) -> None:
    with pytest.raises(ValueError, match="seed must be"):
        load_admissions(seed=seed)


@pytest.mark.parametrize(
    "arguments", [{"raw": "yes"}, {"raw": 1}, {"raw": None}, {"seed": None}, {"seed": 0.5}]
)
def test_admissions_refuse_other_types(arguments: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=f"{next(iter(arguments))} must be"):
        load_admissions(**arguments)
