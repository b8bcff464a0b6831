"""Lambda: its function draws layers, once, and all else is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.errors import ConfigurationError, DTypeError

X = np.random.default_rng(3).standard_normal((20, 4))


def squashed(x: Any, factor: float = 1.0) -> Any:
    return factor * x * x + layers.Activation("tanh")(x) - 1.0


def test_a_chain_runs_what_the_function_draws() -> None:
    calls = []

    def function(x: Any) -> Any:
        calls.append(x)
        return squashed(x, factor=2.0)

    model = fastnn.Sequential(
        [fastnn.Input((4,)), layers.Lambda(function), layers.Dense(3), layers.Lambda(lambda x: -x)],
        dtype="float64",
        seed=1,
    )
    model.compile("sgd", "mse")
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(model.predict(X), -((2 * X * X + np.tanh(X) - 1) @ kernel + bias), rtol=1e-12)
    assert fastnn.gradcheck(model, X, X[:, :3]).largest < 1e-6
    model.fit(X, X[:, :3], epochs=2, verbose=0)
    assert len(calls) == 1
    model.summary()
    assert "Lambda(function)" in repr(model.layers[0])
    with pytest.raises(ConfigurationError, match="a Lambda cannot be written down"):
        model.get_config()


def test_a_graph_with_one_is_saved(tmp_path: Path) -> None:
    x, z = fastnn.Input((4,)), fastnn.Input((4,))
    h = layers.Lambda(lambda tensors: tensors[0] * tensors[1])([x, z])
    h = layers.Lambda(squashed, arguments={"factor": 0.5}, output_shape=(4,))(h)
    model = fastnn.Model([x, z], layers.Dense(1)(h), seed=1)
    model.save(tmp_path / "model")
    again = fastnn.load_model(tmp_path / "model")
    np.testing.assert_array_equal(again.predict([X, 1 - X]), model.predict([X, 1 - X]))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (np.exp, "called once, with symbolic tensors, which have no numbers"),
        (lambda x: x.mean(), "use operators and fastnn.layers in it, not NumPy"),
        (lambda x: 3.0, "must return a symbolic tensor, got float"),
        (layers.Dense(3), "calls layer 'dense', which has weights"),
    ],
)
def test_what_draws_no_such_layers_is_refused(function: Callable[..., Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        layers.Lambda(function)(fastnn.Input((4,)))


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(DTypeError, match="function must be a function of symbolic tensors, got 3"):
        layers.Lambda(3)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="mask must be None"):
        layers.Lambda(squashed, mask=1)  # type: ignore[arg-type]
    with pytest.raises(DTypeError, match="arguments must be a dict"):
        layers.Lambda(squashed, arguments=[1])  # type: ignore[arg-type]
