"""Tests of the embedded digits: content and split."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastnn.datasets import load_digits


def test_digits_have_the_documented_shapes_and_ranges() -> None:
    (x_train, y_train), (x_test, y_test) = load_digits()
    assert x_train.shape == (1438, 64)
    assert x_test.shape == (359, 64)
    assert y_train.shape == (1438,)
    assert y_test.shape == (359,)
    for x, y in ((x_train, y_train), (x_test, y_test)):
        assert x.dtype == np.float32
        assert x.flags.c_contiguous
        assert (x.min(), x.max()) == (0.0, 1.0)
        assert y.dtype == np.int64
        assert set(y.tolist()) == set(range(10))


def test_digits_are_those_of_scikit_learn(peer: Callable[[str], Any]) -> None:
    original = peer("sklearn.datasets").load_digits()
    wanted = np.column_stack([original.data, original.target])
    (x_train, y_train), (x_test, y_test) = load_digits()
    given = np.column_stack([np.concatenate([x_train, x_test]) * 16, np.concatenate([y_train, y_test])])
    np.testing.assert_array_equal(given[np.lexsort(given.T)], wanted[np.lexsort(wanted.T)])


@pytest.mark.parametrize("test_fraction", [0.1, 0.2, 1 / 3, 0.5, 0.9])
def test_digits_split_is_stratified(test_fraction: float) -> None:
    (_, y_train), (_, y_test) = load_digits(test_fraction=test_fraction)
    assert len(y_test) == round(1797 * test_fraction)
    assert len(y_train) + len(y_test) == 1797
    in_test = np.bincount(y_test, minlength=10)
    in_both = in_test + np.bincount(y_train, minlength=10)
    assert np.abs(in_test - in_both * test_fraction).max() <= 1


def test_digits_split_depends_on_the_seed_alone() -> None:
    (x_train, y_train), (x_test, y_test) = load_digits(seed=3)
    again = load_digits(seed=3)
    for given, wanted in zip((x_train, y_train, x_test, y_test), (*again[0], *again[1]), strict=True):
        np.testing.assert_array_equal(given, wanted)
    assert not np.array_equal(load_digits(seed=4)[1][0], x_test)


def test_digits_split_of_seed_zero_does_not_change() -> None:
    (_, y_train), (_, y_test) = load_digits()
    assert y_train[:10].tolist() == [2, 4, 3, 1, 5, 4, 6, 4, 4, 7]
    assert y_test[:10].tolist() == [4, 1, 4, 4, 7, 6, 8, 1, 4, 0]


def test_digits_arrays_are_the_callers_own() -> None:
    (x_train, _), _ = load_digits()
    x_train[:] = -1
    assert load_digits()[0][0].min() == 0


@pytest.mark.parametrize("test_fraction", [0, 1, -0.5, 1.5, float("nan"), float("inf"), 1e-6, 1 - 1e-6])
def test_digits_refuse_a_fraction_that_leaves_a_part_empty(test_fraction: float) -> None:
    with pytest.raises(ValueError, match="test_fraction"):
        load_digits(test_fraction=test_fraction)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_digits_refuse_a_seed_out_of_range(seed: int) -> None:
    with pytest.raises(ValueError, match="seed must be"):
        load_digits(seed=seed)


@pytest.mark.parametrize("arguments", [{"test_fraction": "0.2"}, {"seed": None}, {"seed": 0.5}])
def test_digits_refuse_other_types(arguments: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=next(iter(arguments))):
        load_digits(**arguments)
