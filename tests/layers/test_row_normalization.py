"""Normalisation of rows: what it computes at every SIMD level, its gradients, threads, files, arguments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import pairwise
from formulas import ROW_SCALINGS

import fastnn
from fastnn import layers, optimizers
from fastnn.errors import ConfigurationError, DTypeError

RNG = np.random.default_rng(17)
X, Y = RNG.normal(2.0, 3.0, (50, 5)), RNG.standard_normal((50, 2))
EPSILONS = {"LayerNormalization": 1e-3, "RMSNormalization": 1e-6, "UnitNormalization": 1e-12}


def chain(*chained: Any, dtype: str = "float64", inputs: int = 5) -> Any:
    """Return a compiled chain, whose factors and shifts are drawn at random."""
    model = fastnn.Sequential([fastnn.Input((inputs,)), *chained], dtype=dtype, seed=2)
    model.compile(optimizers.SGD(0.05), "mse")
    rng = np.random.default_rng(1)
    for layer in model.layers:
        if type(layer).__name__ in EPSILONS:
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    return model


def scaled(name: str, x: np.ndarray, weights: list[np.ndarray]) -> np.ndarray:
    gamma, beta = [*weights, *[None] * (2 - len(weights))]
    y = ROW_SCALINGS[name](x.astype(np.float64), EPSILONS[name])
    return (y if gamma is None else y * gamma) + (0.0 if beta is None else beta)


@pytest.mark.parametrize(
    ("name", "width", "rows", "dtype"),
    pairwise(EPSILONS, [1, 2, 5, 130, 1000], [1, 3, 50], ["float32", "float64"]),
)
def test_rows_are_scaled_by_their_own_moments(
    name: str, width: int, rows: int, dtype: str, simd_level: str
) -> None:
    x = RNG.normal(2.0, 3.0, (rows, width)).astype(dtype)
    model = chain(getattr(layers, name)(), dtype=dtype, inputs=width)
    expected = scaled(name, x, model.get_weights())
    near = {"rtol": 2e-6, "atol": 2e-6} if dtype == "float32" else {"rtol": 1e-13, "atol": 1e-13}
    np.testing.assert_allclose(model.predict(x), expected, **near)
    np.testing.assert_allclose(model.forward(x), expected, **near)
    assert model.evaluate(x, 0 * x, verbose=0) == pytest.approx((expected**2).mean(), rel=1e-5)


def test_moments_of_long_rows_are_right_in_float32() -> None:
    x = np.full((2, 400_000), 1000.1, np.float32)
    x[:, ::2] += np.float32(0.5)
    found = chain(layers.LayerNormalization(scale=False, center=False), dtype="float32", inputs=400_000)
    expected = ROW_SCALINGS["LayerNormalization"](x.astype(np.float64), 1e-3)
    np.testing.assert_allclose(found.predict(x), expected, rtol=1e-3)  # x itself has 7 digits
    ones = np.ones((2, 400_000), np.float32)
    root = chain(layers.UnitNormalization(), dtype="float32", inputs=400_000).predict(ones)
    np.testing.assert_allclose(root, 400_000**-0.5, rtol=1e-7)


@pytest.mark.parametrize("name", EPSILONS)
def test_what_is_not_finite_stays_in_its_row(name: str) -> None:
    x = np.abs(X)
    model = chain(layers.Log(), getattr(layers, name)())
    before = model.predict(x)
    x[3, 1], x[7, 0] = -1.0, 0.0  # NaN, and minus infinity
    found = model.predict(x)
    assert np.isnan(found[3]).all()
    assert np.isnan(found[7, 0])
    np.testing.assert_array_equal(np.delete(found, (3, 7), 0), np.delete(before, (3, 7), 0))


NETS: dict[str, Callable[[], Any]] = {
    "layer": lambda: chain(
        layers.LayerNormalization(gamma_regularizer="l2"), layers.Dense(4), layers.LayerNormalization()
    ),
    "parts": lambda: chain(
        layers.Dense(7),
        layers.LayerNormalization(scale=False),
        layers.Dense(4, "tanh"),
        layers.LayerNormalization(center=False),
    ),
    "rms": lambda: chain(layers.RMSNormalization(), layers.Dense(7, "tanh"), layers.RMSNormalization()),
    "unit": lambda: chain(layers.UnitNormalization(), layers.Dense(7, "tanh"), layers.UnitNormalization()),
    "frozen": lambda: chain(layers.Dense(3), layers.LayerNormalization(trainable=False), layers.Dense(2)),
}


@pytest.mark.parametrize("net", NETS)
def test_gradients_agree_with_finite_differences(net: str) -> None:
    model = NETS[net]()
    width = model.outputs[0].columns
    y = RNG.standard_normal((9, width))
    report = fastnn.gradcheck(model, X[:9], y, RNG.uniform(0.5, 1.5, 9))
    assert report.largest < 1e-6
    assert set(report) == {p.name for p in model.graph.parameters if p.is_trained}
    upstream = RNG.standard_normal((9, width))
    for axis in range(5):
        shift = 1e-6 * np.eye(5)[axis]
        slope = ((model.predict(X[:9] + shift) - model.predict(X[:9] - shift)) * upstream).sum(1) / 2e-6
        found = model.input_gradients(X[:9], upstream)[:, axis]
        np.testing.assert_allclose(found, slope, rtol=1e-5, atol=1e-7)


def test_a_row_of_zeros_has_no_direction() -> None:
    model = chain(layers.UnitNormalization())
    upstream = np.ones((1, 5))
    np.testing.assert_array_equal(model.predict(np.zeros((1, 5))), np.zeros((1, 5)))
    np.testing.assert_allclose(model.input_gradients(np.zeros((1, 5)), upstream), 1e12 * upstream)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_threads_change_no_bit(dtype: str) -> None:
    x = RNG.standard_normal((600, 250))
    found = []
    for n_threads in (1, 2, 4):
        model = chain(
            layers.LayerNormalization(), layers.Dense(90), layers.RMSNormalization(), layers.Dense(2),
            dtype=dtype, inputs=250,
        )  # fmt: skip
        model.fit(x, x[:, :2], batch_size=300, epochs=2, verbose=0, n_threads=n_threads)
        found.append([w.tobytes() for w in model.get_weights()])
    assert found[0] == found[1] == found[2]


def test_files_keep_the_layers(tmp_path: Path) -> None:
    model = NETS["parts"]()
    model.fit(X, Y[:, :1] * np.ones(4), verbose=0)
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(fastnn.load_model(tmp_path / "model").predict(X), model.predict(X))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: layers.LayerNormalization(axis=0), ConfigurationError, r"axis must be -1, .* got 0"),
        (lambda: layers.RMSNormalization(axis=(1, 2)), ConfigurationError, "axis must be -1"),
        (lambda: layers.UnitNormalization(axis=True), ConfigurationError, "axis must be -1"),
        (lambda: layers.LayerNormalization(epsilon=0.0), ConfigurationError, "epsilon must be a finite"),
        (lambda: layers.LayerNormalization(center=1), DTypeError, "center must be True or False"),
        (lambda: layers.LayerNormalization(rms_scaling=True), DTypeError, "use RMSNormalization"),
        (lambda: layers.LayerNormalization(gamma_constraint="a"), ConfigurationError, "unknown constraint"),
    ],
)
def test_bad_arguments_are_refused(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_arguments_of_keras_that_change_nothing_pass() -> None:
    usual = layers.LayerNormalization()
    assert layers.LayerNormalization([-1], beta_constraint=None, dtype=None).config == usual.config
    model = fastnn.Sequential([fastnn.Input((3,)), usual, layers.RMSNormalization()])
    for found, expected in zip(
        (usual.gamma, usual.beta, model.layers[1].scale), (np.ones(3), np.zeros(3), np.ones(3)), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
