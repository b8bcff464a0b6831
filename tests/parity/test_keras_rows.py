"""Layers that work row by row, in Keras 3 (on PyTorch) and here: outputs, and weights after ten steps."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from cases import pairwise

import fastnn
from fastnn.errors import ConfigurationError, ShapeError

# Keras hands its variables to NumPy in a way that NumPy 2 warns about; that is not ours to fix.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RNG = np.random.default_rng(41)
X, Y = RNG.normal(1.0, 2.0, (40, 4)), RNG.standard_normal((40, 2))
# Keras on PyTorch normalises rows in float32, whatever the model's dtype; PyTorch itself does not.
OUTPUTS = {"float32": 1e-6, "float64": 1e-6}
TRAINED = {"float32": 1e-5, "float64": 1e-5}

CHAINS: dict[str, Callable[[Any], list[Any]]] = {
    "layer": lambda k: [
        k.layers.LayerNormalization(gamma_regularizer=k.regularizers.L2(0.01)),
        k.layers.Dense(8, activation="tanh"),
        k.layers.LayerNormalization(scale=False, epsilon=0.01),
        k.layers.Dense(6),
        k.layers.LayerNormalization(center=False),
    ],
    "rms": lambda k: [k.layers.RMSNormalization(), k.layers.Dense(7), k.layers.RMSNormalization(epsilon=0.1)],
    "unit": lambda k: [
        k.layers.UnitNormalization(),
        k.layers.Dense(7, activation="tanh"),
        k.layers.UnitNormalization(),
    ],
}


CHAINS["slopes"] = lambda k: [
    k.layers.Normalization(mean=[0.5, 1.0, -1.0, 2.0], variance=[4.0, 1.0, 0.25, 2.0]),
    k.layers.Dense(8),
    k.layers.PReLU(alpha_regularizer=k.regularizers.L2(0.01)),
    k.layers.Flatten(),
    k.layers.Rescaling(0.5, offset=1.0),
]


def in_keras(keras: Any, dtype: str, run: Callable[[], Any]) -> Any:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        return run()
    finally:
        keras.config.set_dtype_policy(before)


@pytest.mark.parametrize(("name", "dtype"), pairwise(CHAINS, OUTPUTS))
def test_chains(peer: Callable[[str], ModuleType], name: str, dtype: str) -> None:
    keras: Any = peer("keras")

    def made(k: Any, **options: Any) -> Any:
        model = k.Sequential([k.Input((4,)), *CHAINS[name](k), k.layers.Dense(2)], **options)
        model.compile(optimizer=k.optimizers.SGD(learning_rate=0.05), loss="mse")
        return model

    ours, theirs = made(fastnn, dtype=dtype, seed=3), in_keras(keras, dtype, lambda: made(keras))
    rng = np.random.default_rng(5)
    given = 2 * (name == "slopes")  # statistics that were given are no weights in Keras
    weights = ours.get_weights()
    ours.set_weights([*weights[:given], *(rng.uniform(-1.0, 1.0, w.shape) for w in weights[given:])])
    theirs.set_weights(ours.get_weights()[given:])

    def compare(near: float) -> None:
        for found, expected in (
            (ours.predict(X, verbose=0), theirs.predict(X, verbose=0)),
            *zip(ours.get_weights()[given:], theirs.get_weights(), strict=True),
        ):
            assert expected.dtype == dtype
            np.testing.assert_allclose(found, expected, rtol=near, atol=near * np.abs(expected).max())

    compare(OUTPUTS[dtype])
    for model in (ours, theirs):
        model.fit(X, Y, batch_size=20, epochs=5, shuffle=False, verbose=0)
    compare(TRAINED[dtype])


@pytest.mark.parametrize("name", ["layer_norm", "rms_norm", "normalize"])
def test_float64_in_pytorch(peer: Callable[[str], ModuleType], name: str) -> None:
    torch: Any = peer("torch")
    layer, arguments = {
        "layer_norm": (fastnn.layers.LayerNormalization(), ((4,), None, None, 1e-3)),
        "rms_norm": (fastnn.layers.RMSNormalization(), ((4,), None, 1e-6)),
        "normalize": (fastnn.layers.UnitNormalization(), ()),
    }[name]
    model = fastnn.Sequential([fastnn.Input((4,)), layer], dtype="float64")
    x, upstream = torch.tensor(X, requires_grad=True), RNG.standard_normal(X.shape)
    y = getattr(torch.nn.functional, name)(x, *arguments)
    y.backward(torch.tensor(upstream))
    np.testing.assert_allclose(model.predict(X), y.detach().numpy(), rtol=1e-13, atol=1e-14)
    found = model.input_gradients(X, upstream)
    np.testing.assert_allclose(found, x.grad.numpy(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("normalize", [False, True])
def test_dot(normalize: bool, peer: Callable[[str], ModuleType]) -> None:
    keras: Any = peer("keras")

    def made(k: Any, **options: Any) -> Any:
        x = k.Input((4,))
        h = k.layers.Dot(axes=1, normalize=normalize)([k.layers.Dense(3)(x), k.layers.Dense(3)(x)])
        model = k.Model(x, k.layers.Dense(2)(h), **options)
        model.compile(optimizer=k.optimizers.SGD(learning_rate=0.001), loss="mse")
        return model

    ours, theirs = made(fastnn, seed=3), made(keras)
    theirs.set_weights(ours.get_weights())
    for model in (ours, theirs):
        model.fit(X, Y, batch_size=20, epochs=5, shuffle=False, verbose=0)
    expected = theirs.predict(X, verbose=0)
    np.testing.assert_allclose(ours.predict(X), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    with pytest.raises(ShapeError, match=r"tensors of one width, got widths \[4, 3\]"):
        fastnn.layers.dot([fastnn.Input((4,)), fastnn.Input((3,))])
    with pytest.raises(ConfigurationError, match=r"axes must be 1, .* got 2"):
        fastnn.layers.Dot(2)
