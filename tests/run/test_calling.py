"""Descriptions that are called on arrays: initializers, regularizers, constraints."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import constraints, initializers, regularizers
from fastnn.errors import ConfigurationError, DTypeError

DRAWN = [name for name in initializers.__all__ if name[0].isupper() and name != "Initializer"]


@pytest.mark.parametrize("name", DRAWN)
def test_initializers_give_arrays(name: str) -> None:
    cls = getattr(initializers, name)
    seeded = "seed" in cls.__dataclass_fields__
    one, shape = (cls(seed=3) if seeded else cls()), [6, 4]
    found = one(shape)
    assert (found.shape, found.dtype) == ((6, 4), np.float32)
    twice = one(shape=(6, 4), dtype="float64")
    np.testing.assert_array_equal(twice, one.draw((6, 4), np.random.default_rng(0)))
    np.testing.assert_array_equal(found, twice.astype("float32"))
    if not seeded:
        return
    assert (cls()(shape) != cls()(shape)).any()
    again = []
    for _ in range(2):
        fastnn.utils.set_random_seed(8)
        again.append(cls()(shape))
    np.testing.assert_array_equal(*again)


@pytest.mark.parametrize(
    ("shape", "dtype", "error", "message"),
    [
        (3, None, DTypeError, "shape must be a tuple of integers"),
        ((2, 2.5), None, DTypeError, "each part of shape must be an integer"),
        ((2, -1), None, ConfigurationError, "each part of shape must be"),
        ((2,), "int32", DTypeError, "dtype must be 'float32' or 'float64'"),
        ((2,), "real", DTypeError, "dtype must be 'float32' or 'float64'"),
    ],
)
def test_arrays_that_no_initializer_gives(shape: Any, dtype: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        initializers.Ones()(shape, dtype)


def test_names_of_functions_are_those_of_classes() -> None:
    for module, names in (
        (initializers, DRAWN),
        (regularizers, ["L1", "L2", "L1L2"]),
        (constraints, ["MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"]),
    ):
        for name in names:
            cls = getattr(module, name)
            lower = {"L1": "l1", "L2": "l2", "L1L2": "l1_l2"}.get(name) or cls.name
            assert getattr(module, lower) is cls


def test_bad_arrays_of_regularizers_and_constraints() -> None:
    assert regularizers.L2(0.5)([[3, 4]]) == 12.5
    np.testing.assert_array_equal(constraints.NonNeg()([[-1, 2]]), [[0, 2]])
    with pytest.raises(DTypeError, match="x has dtype <U1, text"):
        regularizers.L1()(["a"])
    with pytest.raises(DTypeError, match="w is None"):
        constraints.UnitNorm()(None)
    with pytest.raises(ConfigurationError, match=r"a parameter of shape \(3,\) has 1"):
        constraints.UnitNorm(axis=1)(np.ones(3))
