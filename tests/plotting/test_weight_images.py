"""Weights as images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from drawn import SIDES, classifier, model_of, pyplot, sigmoid

import fastnn
from fastnn import layers
from fastnn.errors import ConfigurationError, DTypeError, ShapeError
from fastnn.plotting import WeightImagesDisplay


def test_images_are_the_columns_of_the_kernel(ax: Any) -> None:
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(6, 5))
    model = model_of(kernel, np.zeros(5), "relu", dtype="float64")
    made = WeightImagesDisplay.from_estimator(model, shape=(2, 3), ax=ax)
    whole = made.im_.get_array()
    across = (whole.shape[1] + 1) // 4
    for unit in range(5):
        row, column = divmod(unit, across)
        part = whole[row * 3 : row * 3 + 2, column * 4 : column * 4 + 3]
        np.testing.assert_array_equal(part, kernel[:, unit].reshape(2, 3))
    assert np.ma.count(whole) == 30
    low, high = made.im_.get_clim()
    assert -low == high == np.abs(kernel).max()
    assert ax.get_title() == "weights of only, 5 units of 2 x 3"


def test_layers_units_and_scales_are_chosen(ax: Any) -> None:
    model = fastnn.Sequential([fastnn.Input((784,)), layers.Dense(120), layers.Dense(4, name="last")], seed=0)
    made = WeightImagesDisplay.from_estimator(model)
    assert (made.shape, len(made.units)) == ((28, 28), 100)
    np.testing.assert_array_equal(made.kernel, model.layers[0].kernel)
    last = WeightImagesDisplay.from_estimator(model, layer="last", shape=(10, 12), units=[3, 1], each=True)
    np.testing.assert_array_equal(last.kernel, model.layers[1].kernel)
    assert last.units.tolist() == [3, 1]
    assert np.abs(last.im_.get_array()).max() == 1
    assert np.ma.count(last.im_.get_array()) == 240


def test_weights_of_estimators_are_coefs(ax: Any) -> None:
    net = classifier(SIDES)
    made = WeightImagesDisplay.from_estimator(net, shape=(1, 2), units=3, ax=ax)
    np.testing.assert_array_equal(made.kernel, net.coefs_[0])
    np.testing.assert_array_equal(
        made.im_.get_array(), net.coefs_[0][:, :3].T.reshape(made.im_.get_array().shape)
    )


@pytest.mark.parametrize(("shape", "drawn"), [((1, 2), (8, 2)), ((2, 1), (2, 8))])
def test_images_of_one_line_are_a_matrix(shape: tuple[int, int], drawn: tuple[int, int], ax: Any) -> None:
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(2, 8))
    made = WeightImagesDisplay.from_estimator(
        model_of(kernel, np.zeros(8), "relu", dtype="float64"), shape=shape, ax=ax
    )
    np.testing.assert_array_equal(made.im_.get_array(), kernel.T if shape == (1, 2) else kernel)
    assert made.im_.get_array().shape == drawn
    names = (ax.get_ylabel(), ax.get_xlabel())
    assert names == (("unit", "input") if shape == (1, 2) else ("input", "unit"))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ShapeError, r"2 inputs make no square; .* shape=\(1, 2\)"),
        ({"shape": (2, 2)}, ShapeError, "shape is 2 x 2, 4 numbers, and there are 2 inputs"),
        ({"shape": (2,)}, ShapeError, "shape must be 2 numbers"),
        ({"shape": (1, 2), "layer": "first"}, ConfigurationError, r"named 'first'; there are \['only'\]"),
        ({"shape": (1, 2), "units": [7]}, ConfigurationError, "units must lie in 0 to 0"),
        ({"shape": (1, 2), "units": [0.5]}, DTypeError, "units must be a number or whole numbers"),
    ],
)
def test_weights_that_cannot_be_drawn(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        WeightImagesDisplay.from_estimator(sigmoid(), **options)
    assert pyplot.get_fignums() == []
