"""PReLU: values and gradients, slopes as weights, threads, files, arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import pairwise

import fastnn
from fastnn import layers, optimizers
from fastnn.errors import ConfigurationError

RNG = np.random.default_rng(17)
X, Y = RNG.standard_normal((60, 5)), RNG.standard_normal((60, 2))


def chain(*chained: Any, dtype: str = "float64", inputs: int = 5) -> Any:
    model = fastnn.Sequential([fastnn.Input((inputs,)), *chained], dtype=dtype, seed=2)
    model.compile(optimizers.SGD(0.05), "mse")
    return model


@pytest.mark.parametrize(
    ("width", "rows", "dtype"), pairwise([1, 5, 130, 300], [1, 7, 60], ["float32", "float64"])
)
def test_values_and_gradients(width: int, rows: int, dtype: str, simd_level: str) -> None:
    x, upstream = (RNG.standard_normal((rows, width)).astype(dtype) for _ in range(2))
    x[0, 0] = 0.0
    model = chain(layers.PReLU("he_normal"), dtype=dtype, inputs=width)
    slopes = model.layers[0].alpha
    np.testing.assert_array_equal(model.predict(x), np.where(x > 0, x, slopes * x))
    model.forward(x)
    found = model.backward(upstream)
    factor = np.where(x > 0, 1.0, np.where(x < 0, slopes, 0.0))
    near = {"rtol": 1e-5 if dtype == "float32" else 1e-12, "atol": 1e-6 if dtype == "float32" else 1e-13}
    np.testing.assert_allclose(found["input"], upstream * factor, **near)
    summed = np.where(x < 0, x * upstream.astype("f8"), 0.0).sum(0)
    np.testing.assert_allclose(found["p_re_lu/alpha"], summed, **near)


def test_gradients_agree_with_finite_differences() -> None:
    shared = layers.PReLU("glorot_normal", alpha_regularizer="l2")
    x = fastnn.Input((5,))
    h = layers.Add()([shared(layers.Dense(4)(x)), shared(layers.Dense(4)(x))])
    model = fastnn.Model(x, layers.Dense(2)(h), dtype="float64", seed=1)
    model.compile("sgd", "mse")
    assert fastnn.gradcheck(model, X, Y).largest < 1e-6


def test_threads_change_no_bit_and_files_keep_the_slopes(tmp_path: Path) -> None:
    found = []
    for n_threads in (1, 2, 4):
        model = chain(layers.Dense(70), layers.PReLU(), layers.Dense(2), dtype="float32")
        model.fit(X, Y, batch_size=48, epochs=3, verbose=0, n_threads=n_threads)
        found.append([w.tobytes() for w in model.get_weights()])
    assert found[0] == found[1] == found[2]
    assert np.abs(model.layers[1].alpha).max() > 0
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(fastnn.load_model(tmp_path / "model").predict(X), model.predict(X))


def test_what_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="shared_axes must be None"):
        layers.PReLU(shared_axes=[1])  # type: ignore[arg-type]
