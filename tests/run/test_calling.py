"""Descriptions that are called on arrays: losses, initializers, regularizers, constraints."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases import pairwise
from formulas import LOSSES

import fastnn
from fastnn import constraints, initializers, losses, regularizers
from fastnn.errors import ConfigurationError, DataError, DTypeError, ShapeError

RNG = np.random.default_rng(5)


@pytest.mark.parametrize(
    ("name", "rows", "dtype"), pairwise(LOSSES, [1, 2, 37, 3000], ["float32", "float64"])
)
def test_losses_of_rows_are_those_of_the_formulas(name: str, rows: int, dtype: str) -> None:
    formula = LOSSES[name]
    y, t = formula.outputs(RNG, rows, 4).astype(dtype), formula.targets(RNG, rows, 4)
    t = t.astype(dtype) if t.dtype.kind == "f" else t
    expected = formula.value(y.astype("float64"), t.astype("float64") if t.dtype.kind == "f" else t)
    found = getattr(losses, name)(reduction=None, **formula.arguments)(t, y)
    assert (found.dtype, found.shape) == (dtype, (rows,))
    limit = 3e-6 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(found, expected, rtol=limit, atol=limit)
    total = getattr(losses, name)(reduction="sum", **formula.arguments)(t.tolist(), y)
    assert total == pytest.approx(expected.sum(), rel=limit, abs=limit * rows)


def test_losses_take_what_converts_and_change_nothing() -> None:
    y, t, weights = RNG.normal(size=(3, 2)), RNG.normal(size=(3, 2)), [1.0, 0.0, 2.0]
    loss = losses.MeanSquaredError()
    expected = (((y - t) ** 2).mean(1) * weights).mean()
    before = y.copy(), t.copy()
    assert loss(t, y, weights) == pytest.approx(expected, rel=1e-12)
    assert loss(t.tolist(), y.tolist(), weights) == pytest.approx(expected, rel=1e-6)
    np.testing.assert_array_equal(before, (y, t))
    # The last axis is the outputs'; a last axis of 1 may be left out on one side.
    assert losses.mean_squared_error([1.0, 2.0], [1.0, 4.0]) == 2.0
    np.testing.assert_array_equal(losses.mean_squared_error([1.0, 2.0], [[1.0], [4.0]]), [0.0, 4.0])
    assert losses.mean_squared_error(np.zeros((0, 3)), np.zeros((0, 3))).shape == (0,)
    assert loss(np.zeros((0, 3)), np.zeros((0, 3))) == 0.0
    assert losses.MeanSquaredError()([[0.0]], [[3e38]]) > 1e38  # more than float32 can hold


@pytest.mark.parametrize(
    ("loss", "arguments", "error", "message"),
    [
        ("mse", ([[1.0]], [[1.0, 2.0]]), ShapeError, r"y_true has shape \(1, 1\) and y_pred has \(1, 2\)"),
        ("mse", ([[1.0]] * 2, [[1.0]]), ShapeError, "takes a target for each output"),
        ("mse", (1.0, 2.0), ShapeError, "its last axis must hold the outputs of a row"),
        ("mse", (np.zeros((2, 0)), np.zeros((2, 0))), ShapeError, "its last axis must hold the outputs"),
        ("mse", ([["a"]], [[1.0]]), DTypeError, "y_true has dtype <U1, text"),
        ("mse", (None, [[1.0]]), DTypeError, "y_true is None"),
        ("mse", ([[1.0]], [[np.nan]]), DataError, "y_pred has"),
        ("mse", ([[1.0]] * 2, [[1.0]] * 2, [1.0] * 3), ShapeError, r"sample_weight has shape \(3,\)"),
        ("mse", ([1.0] * 2, [1.0] * 2, [1.0] * 2), ShapeError, r"give several the shape \(rows, 1\)"),
        ("mse", ([[1.0]], [[1.0]], [np.inf]), DataError, "sample_weight has"),
        ("sparse_categorical_crossentropy", ([2], [[0.5, 0.5]]), DataError, "labels in y_true must lie in"),
        ("sparse_categorical_crossentropy", ([[0, 1]], [[0.5, 0.5]]), ShapeError, "takes a label a row"),
        ("categorical_crossentropy", ([[1.0]], [[1.0]]), ShapeError, "needs at least 2 outputs"),
        (losses.GaussianNLL(), ([[1.0] * 2], [[1.0] * 2]), ShapeError, "takes a target for 2 outputs"),
        (losses.CosineSimilarity(axis=3), (np.ones((2, 2, 2)),) * 2, ShapeError, "not the axis 3"),
    ],
)
def test_what_fits_no_loss_is_refused(loss: Any, arguments: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        losses.get(loss)(*arguments)


def test_a_loss_of_ones_own_cannot_be_called() -> None:
    class Mine(losses.Loss):
        pass

    with pytest.raises(ConfigurationError, match="Mine cannot run"):
        Mine()([[1.0]], [[1.0]])
    with pytest.raises(DTypeError, match="a loss is a name, a Loss or a function, got 3"):
        losses.get(3)


def test_models_are_compiled_with_functions_of_losses() -> None:
    model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(2)], seed=1, dtype="float64")
    x, y = RNG.normal(size=(2, 5, 2))
    model.compile("sgd", losses.mean_absolute_error)
    assert model.evaluate(x, y, verbose=0) == pytest.approx(np.abs(model.predict(x) - y).mean())
    assert losses.MeanAbsoluteError()(y, model.predict(x)) == model.evaluate(x, y, verbose=0)


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
