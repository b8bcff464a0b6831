"""Layers that prepare features: what they make of them, what they adapt to, and that files keep it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from cases import pairwise

import fastnn
from fastnn import layers
from fastnn.errors import ConfigurationError, DataError, DTypeError, ShapeError

# Keras hands its variables to NumPy in a way that NumPy 2 warns about; that is not ours to fix.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RNG = np.random.default_rng(5)
X = RNG.normal(2.0, 3.0, (40, 4))
X[:, 2] = 7.0


def chain(*chained: Any, dtype: str = "float64", inputs: int = 4) -> Any:
    model = fastnn.Sequential([fastnn.Input((inputs,)), *chained], dtype=dtype, seed=2)
    model.compile("sgd", "mse")
    return model


# -- Normalization


def adapted(data: np.ndarray, **options: Any) -> layers.Normalization:
    layer = layers.Normalization(**options)
    layer.adapt(data)
    return layer


@pytest.mark.parametrize(
    ("width", "invert", "dtype"), pairwise([1, 4, 130], [False, True], ["float32", "float64"])
)
def test_features_are_scaled_by_statistics(width: int, invert: bool, dtype: str, simd_level: str) -> None:
    x = RNG.normal(2.0, 3.0, (30, width)).astype(dtype)
    model = chain(adapted(x, invert=invert), dtype=dtype, inputs=width)
    mean, deviation = x.mean(0, dtype="f8"), x.std(0, dtype="f8")
    expected = mean + x * deviation if invert else (x - mean) / deviation
    near = {"rtol": 2e-6, "atol": 2e-6} if dtype == "float32" else {"rtol": 1e-12, "atol": 1e-12}
    np.testing.assert_allclose(model.predict(x), expected, **near)
    slope = model.input_gradients(x, np.ones_like(x))
    np.testing.assert_allclose(
        slope, np.broadcast_to(deviation if invert else 1 / deviation, x.shape), **near
    )


def test_it_is_adapted_before_and_after_it_has_a_model(tmp_path: Path) -> None:
    before = chain(adapted(X), layers.Dense(2))
    after = chain(layers.Normalization(), layers.Dense(2))
    after.layers[0].adapt(X)
    np.testing.assert_array_equal(before.predict(X), after.predict(X))
    assert np.isfinite(before.predict(X)).all()  # a feature that is always the same becomes 0
    np.testing.assert_allclose(after.layers[0].mean, X.mean(0))
    np.testing.assert_allclose(after.layers[0].variance, X.var(0))
    statistics = [w.tobytes() for w in after.layers[0].get_weights()]
    after.fit(X, X[:, :2], verbose=0)
    assert [w.tobytes() for w in after.layers[0].get_weights()] == statistics
    after.save(tmp_path / "model")
    np.testing.assert_array_equal(fastnn.load_model(tmp_path / "model").predict(X), after.predict(X))
    assert fastnn.gradcheck(after, X, X[:, :2]).largest < 1e-6


def test_given_statistics_and_those_of_all_numbers() -> None:
    scalar = chain(layers.Normalization(mean=3.0, variance=4.0))
    np.testing.assert_array_equal(scalar.predict(X), (X - 3.0) / 2.0)
    given = chain(layers.Normalization(mean=np.arange(4), variance=[1.0, 4.0, 9.0, 0.0]))
    expected = (X - np.arange(4)) / np.array([1.0, 2.0, 3.0, 1e-7])
    np.testing.assert_allclose(given.predict(X), expected, rtol=1e-14)
    whole = chain(adapted(X, axis=None))
    np.testing.assert_allclose(whole.predict(X), (X - X.mean()) / X.std(), rtol=1e-12)


@pytest.mark.parametrize("options", [{}, {"invert": True}, {"axis": None}])
def test_it_adapts_as_keras_does(options: dict[str, Any], peer: Callable[[str], ModuleType]) -> None:
    theirs = peer("keras").layers.Normalization(**options)
    x = X.astype("f4")
    theirs.adapt(x)
    expected = theirs(x).detach().numpy()
    found = chain(adapted(x, **options), dtype="float32").predict(x)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


# -- Discretization and CategoryEncoding

BOUNDS = [-1.0, 0.5, 0.5, 3.0]


def encoded(categories: np.ndarray, depth: int, mode: str) -> np.ndarray:
    parts = np.eye(depth)[categories]
    return {
        "int": lambda: categories,
        "one_hot": lambda: parts.reshape(len(parts), -1),
        "multi_hot": lambda: parts.max(1),
        "count": lambda: parts.sum(1),
    }[mode]()


@pytest.mark.parametrize(
    ("mode", "width", "dtype"),
    pairwise(["int", "one_hot", "multi_hot", "count"], [1, 4, 9], ["float32", "float64"]),
)
def test_bins_and_categories(mode: str, width: int, dtype: str, simd_level: str) -> None:
    x = RNG.normal(0.0, 2.0, (30, width)).astype(dtype)
    x[:4, 0] = [-1.0, 0.5, 3.0, np.nextafter(3.0, 0.0, dtype=dtype)]  # a bound belongs to the bin above it
    bins = np.digitize(x, BOUNDS)
    model = chain(layers.Discretization(BOUNDS, output_mode=mode), dtype=dtype, inputs=width)
    np.testing.assert_array_equal(model.predict(x), encoded(bins, 5, mode))
    np.testing.assert_array_equal(model.input_gradients(x), np.zeros_like(x))
    if mode != "int":
        model = chain(layers.CategoryEncoding(5, output_mode=mode), dtype=dtype, inputs=width)
        np.testing.assert_array_equal(model.predict(bins), encoded(bins, 5, mode))
        with pytest.raises(DataError, match="CategoryEncoding 'category_encoding'"):
            model.predict(bins + 1)


@pytest.mark.parametrize("mode", ["int", "one_hot", "multi_hot", "count"])
def test_categories_as_in_keras(mode: str, peer: Callable[[str], ModuleType]) -> None:
    keras: Any = peer("keras")
    x = RNG.normal(0.0, 2.0, (60, 3)).astype("f4")
    for bins, epsilon in ((5, 0.01), (7, 0.1), (100, 0.01)):
        options = {"num_bins": bins, "epsilon": epsilon, "output_mode": mode}
        ours, theirs = layers.Discretization(**options), keras.layers.Discretization(**options)
        ours.adapt(x)
        theirs.update_state(x)  # what its adapt does, which needs TensorFlow
        theirs.finalize_state()
        np.testing.assert_allclose(ours.bin_boundaries, theirs.bin_boundaries, rtol=1e-6)
        expected = np.asarray(theirs(x)).reshape(len(x), -1)
        np.testing.assert_array_equal(chain(ours, dtype="float32", inputs=3).predict(x), expected)
    if mode != "int":
        categories = RNG.integers(0, 6, (20, 3))
        theirs = keras.layers.CategoryEncoding(6, output_mode=mode)
        expected = np.asarray(theirs(categories)).reshape(20, -1)
        ours = layers.CategoryEncoding(6, output_mode=mode)
        np.testing.assert_array_equal(chain(ours, inputs=3).predict(categories), expected)


def test_files_keep_bins_and_categories(tmp_path: Path) -> None:
    layer = layers.Discretization(num_bins=4, output_mode="one_hot")
    layer.adapt(X)
    number, category = fastnn.Input((4,), name="number"), fastnn.Input((2,), name="category")
    h = layers.Concatenate()([layer(number), layers.CategoryEncoding(3)(category)])
    model = fastnn.Model([number, category], layers.Dense(1)(h), seed=1)
    model.compile("sgd", "mse")
    rows = [X, RNG.integers(0, 3, (40, 2))]
    model.fit(rows, X[:, :1], verbose=0)
    assert layer.get_weights()[0].tolist() == np.float32(layer.bin_boundaries).tolist()
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(fastnn.load_model(tmp_path / "model").predict(rows), model.predict(rows))
    with pytest.raises(ConfigurationError, match="belongs to a model; adapt it before it is called"):
        layer.adapt(X)


# -- arguments


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: layers.Normalization(axis=0), ConfigurationError, "axis must be -1, .* or None, got 0"),
        (lambda: layers.Normalization(mean=1.0), ConfigurationError, "give both mean and variance"),
        (lambda: layers.Normalization(mean=[1.0], variance=[-1.0]), ConfigurationError, "not be negative"),
        (lambda: layers.Normalization(mean=[[1.0]], variance=1.0), ShapeError, "mean must be a number, or"),
        (lambda: layers.Normalization(mean="a", variance=1.0), DTypeError, "mean"),
        (lambda: layers.Normalization(mean=np.nan, variance=1.0), DataError, "mean has values that are NaN"),
        (lambda: layers.Normalization(invert=1), DTypeError, "invert must be True or False"),
        (lambda: adapted(X[0]), ShapeError, r"data must be \(rows, features\)"),
        (lambda: adapted(X * np.inf), DataError, "data has values that are NaN"),
        (lambda: adapted(X, mean=0.0, variance=1.0), ConfigurationError, "leave them out to adapt"),
        (lambda: chain(adapted(X[:, :3])), ShapeError, "a mean of 3 features, and its input has 4"),
        (lambda: layers.Discretization(), ConfigurationError, "give bin_boundaries, or num_bins"),
        (lambda: layers.Discretization([1.0], num_bins=2), ConfigurationError, "give bin_boundaries, or"),
        (lambda: layers.Discretization([1.0, 0.0]), ConfigurationError, "bin_boundaries must rise"),
        (lambda: layers.Discretization([]), ShapeError, "bin_boundaries must be a list of numbers"),
        (lambda: layers.Discretization([np.inf]), DataError, "bin_boundaries has values that are NaN"),
        (lambda: layers.Discretization(num_bins=1), ConfigurationError, "num_bins must be at least 2"),
        (lambda: layers.Discretization([1.0]).adapt(X), ConfigurationError, "use num_bins to adapt it"),
        (lambda: chain(layers.Discretization(num_bins=3)), ConfigurationError, "call adapt.data. first"),
        (lambda: layers.Discretization([1.0], output_mode="set"), ConfigurationError, "output_mode of Disc"),
        (lambda: layers.CategoryEncoding(3, output_mode="int"), ConfigurationError, "output_mode of Cat"),
        (lambda: layers.CategoryEncoding(3, sparse=True), ConfigurationError, "leave sparse out"),
        (lambda: layers.CategoryEncoding(0), ConfigurationError, "num_tokens must be at least 1"),
        (lambda: chain(layers.Normalization()).layers[0].adapt(X[:, :3]), ShapeError, "must have shape"),
    ],
)
def test_bad_arguments_are_refused(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
