"""A learned factor for each feature: against a formula in float64, alone and in a net."""

from __future__ import annotations

import numpy as np
import pytest
from cases import pairwise

import fastnn
from fastnn import layers
from fastnn.errors import ConfigurationError

RNG = np.random.default_rng(4)
X = RNG.normal(size=(300, 131))  # more features than the kernel adds up at a time
Y = RNG.normal(size=(300, 1))


@pytest.mark.parametrize(
    ("width", "rows", "dtype"), pairwise([1, 5, 130, 300], [1, 7, 60], ["float32", "float64"])
)
def test_values_and_gradients(width: int, rows: int, dtype: str, simd_level: str) -> None:
    x, upstream = (RNG.standard_normal((rows, width)).astype(dtype) for _ in range(2))
    layer = layers.FeatureScale("random_normal")
    model = fastnn.Sequential([fastnn.Input((width,)), layer], dtype=dtype, seed=1)
    assert layer.scale.shape == (width,)
    np.testing.assert_array_equal(model.predict(x), x * layer.scale)
    model.compile("sgd", "mse")
    model.forward(x)
    found = model.backward(upstream)
    near = {"rtol": 1e-5 if dtype == "float32" else 1e-12, "atol": 1e-6 if dtype == "float32" else 1e-13}
    np.testing.assert_allclose(found["input"], upstream * layer.scale, **near)
    np.testing.assert_allclose(found["feature_scale/scale"], (x * upstream.astype("f8")).sum(0), **near)


def test_threads_change_no_bit() -> None:
    found = []
    for n_threads in (1, 2, 4):
        chain = [fastnn.Input((131,)), layers.FeatureScale(), layers.Dense(40, "tanh"), layers.Dense(1)]
        model = fastnn.Sequential(chain, seed=1)
        model.compile("adam", "mse")
        model.fit(X, Y, batch_size=48, epochs=3, verbose=0, n_threads=n_threads)
        found.append([w.tobytes() for w in model.get_weights()])
    assert found[0] == found[1] == found[2]
    assert np.ptp(model.layers[0].scale) > 0.0


def test_its_gradient_is_a_sum_over_rows_and_goes_on() -> None:
    first, second = layers.FeatureScale("random_normal"), layers.FeatureScale("random_normal")
    dense = layers.Dense(1)
    model = fastnn.Sequential([fastnn.Input((131,)), first, second, dense], dtype="float64", seed=1)
    model.compile("sgd", "mse")
    _, found = model.loss_and_gradients(X, Y)
    output = X * first.scale * second.scale @ dense.kernel + dense.bias
    below = 2.0 * (output - Y) / len(X) @ dense.kernel.T
    wanted = {
        f"{second.name}/scale": (below * X * first.scale).sum(0),
        f"{first.name}/scale": (below * second.scale * X).sum(0),
    }
    for name, gradient in wanted.items():
        np.testing.assert_allclose(found[name].ravel(), gradient, rtol=1e-11, atol=1e-13)
    assert fastnn.gradcheck(model, X[:20], Y[:20]).largest < 1e-6


def test_a_frozen_one_stays() -> None:
    layer = layers.FeatureScale(trainable=False)
    model = fastnn.Sequential([fastnn.Input((131,)), layer, layers.Dense(1)], seed=1)
    model.compile("sgd", "mse")
    model.fit(X, Y, epochs=1, verbose=0)
    np.testing.assert_array_equal(layer.scale, np.ones(131, np.float32))


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="unknown initializer 'once'"):
        layers.FeatureScale("once")
