"""Embeddings in Keras 3 (on PyTorch), flattened, and here: 20 steps from the same weights."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import fastnn

# Keras hands its variables to NumPy in a way that NumPy 2 warns about; that is not ours to fix.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RNG = np.random.default_rng(43)
PLACES, KINDS, NUMBERS = (
    RNG.integers(0, 9, (70, 3)),
    RNG.integers(0, 4, (70, 1)),
    RNG.standard_normal((70, 2)),
)
Y = RNG.standard_normal((70, 2))
NEAR = {"float32": 1e-5, "float64": 1e-6}
OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "sgd": lambda k: k.optimizers.SGD(learning_rate=0.05),
    "momentum": lambda k: k.optimizers.SGD(learning_rate=0.05, momentum=0.9),
    "adam": lambda k: k.optimizers.Adam(learning_rate=0.01, epsilon=1e-2),
    "rmsprop": lambda k: k.optimizers.RMSprop(learning_rate=0.01, epsilon=1e-2),
}


def vectors(k: Any, x: Any, *size: int, **options: Any) -> Any:
    """Return the vectors of an input, one after the other."""
    h = k.layers.Embedding(*size, **options)(x)
    return h if k is fastnn else k.layers.Flatten()(h)


def one(k: Any) -> tuple[Any, Any]:
    x = k.Input((3,), dtype="int32")
    penalty = k.regularizers.L2(0.01)
    h = vectors(k, x, 9, 4, embeddings_regularizer=penalty)
    return x, k.layers.Dense(2)(k.layers.Dense(6, activation="tanh")(h))


def two(k: Any) -> tuple[Any, Any]:
    """Return a net of categories and numbers, whose first input has two tables."""
    a, b, z = k.Input((3,), dtype="int32"), k.Input((1,), dtype="int32"), k.Input((2,))
    parts = [vectors(k, a, 9, 2), vectors(k, a, 12, 1), vectors(k, b, 4, 5), z]
    return [a, b, z], k.layers.Dense(2)(k.layers.Concatenate()(parts))


MODELS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "one": (one, PLACES),
    "two": (two, [PLACES, KINDS, NUMBERS]),
}


def trained(k: Any, name: str, weights: list[np.ndarray] | None, optimizer: Any, **options: Any) -> Any:
    make, x = MODELS[name]
    model = k.Model(*make(k), **options)
    if weights is not None:
        model.set_weights(weights)
    model.compile(optimizer=optimizer(k), loss="mse")
    first = [w.copy() for w in model.get_weights()]
    history = model.fit(x, Y, batch_size=16, epochs=4, shuffle=False, verbose=0).history["loss"]
    assert len(history) == 4  # 20 steps, every fifth of them of 6 rows
    return first, history, model.get_weights(), model.predict(x, verbose=0), model.evaluate(x, Y, verbose=0)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("dtype", NEAR)
@pytest.mark.parametrize("name", MODELS)
def test_embeddings(peer: Callable[[str], ModuleType], name: str, dtype: str, optimizer: str) -> None:
    keras: Any = peer("keras")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        weights, *ours = trained(fastnn, name, None, OPTIMIZERS[optimizer], dtype=dtype, seed=3)
        _, *theirs = trained(keras, name, weights, OPTIMIZERS[optimizer])
    finally:
        keras.config.set_dtype_policy(before)
    near = NEAR[dtype]
    np.testing.assert_allclose(ours[0], theirs[0], rtol=near)
    for found, expected in zip(ours[1], theirs[1], strict=True):
        assert expected.dtype == dtype
        np.testing.assert_allclose(found, expected, rtol=near, atol=near * float(np.abs(expected).max()))
    np.testing.assert_allclose(ours[2], theirs[2], rtol=near, atol=near * np.abs(theirs[2]).max())
    assert ours[3] == pytest.approx(theirs[3], rel=near)
    assert any("embeddings" in p.name for p in fastnn.Model(*MODELS[name][0](fastnn)).graph.parameters)


def test_initial_values_are_alike(peer: Callable[[str], ModuleType]) -> None:
    keras: Any = peer("keras")
    layer = keras.layers.Embedding(500, 40)
    layer.build((None, 1))
    (theirs,) = layer.get_weights()
    ours = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Embedding(500, 40)], seed=0).get_weights()[0]
    assert ours.shape == theirs.shape
    assert np.abs(ours).max() <= 0.05
    assert ours.std() == pytest.approx(theirs.std(), rel=0.02)
