"""Batch normalisation in Keras 3 (on PyTorch) and here: 50 steps from the same weights on the same rows."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import fastnn

# Keras hands its variables to NumPy in a way that NumPy 2 warns about; that is not ours to fix.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RNG = np.random.default_rng(41)
X, Y = RNG.normal(1.0, 2.0, (70, 4)), RNG.standard_normal((70, 2))
NEAR = {"float32": 1e-5, "float64": 1e-6}


def chain(k: Any) -> Any:
    return [
        k.Input((4,)),
        k.layers.Dense(8, activation="tanh"),
        k.layers.BatchNormalization(momentum=0.9, gamma_regularizer=k.regularizers.L2(0.01)),
        k.layers.Dense(6),
        k.layers.BatchNormalization(scale=False, epsilon=0.01),
        k.layers.Activation("tanh"),
        k.layers.Dense(2),
    ]


def first_and_frozen(k: Any) -> Any:
    return [
        k.Input((4,)),
        k.layers.BatchNormalization(center=False),
        k.layers.Dense(5),
        k.layers.BatchNormalization(trainable=False),
        k.layers.Dense(2),
        k.layers.BatchNormalization(momentum=0.5),
    ]


CHAINS: dict[str, Callable[[Any], Any]] = {"chain": chain, "first and frozen": first_and_frozen}


def residual(k: Any, **options: Any) -> Any:
    x = k.Input((4,))
    shared = k.layers.BatchNormalization(momentum=0.8)
    a, b = shared(k.layers.Dense(6)(x)), shared(k.layers.Dense(6, activation="tanh")(x))
    return k.Model(x, k.layers.Dense(2)(k.layers.Add()([a, b])), **options)


def trained(k: Any, make: Callable[[], Any], weights: list[np.ndarray] | None, optimizer: Any) -> Any:
    model = make()
    if weights is not None:
        model.set_weights(weights)
    model.compile(optimizer=optimizer(k), loss="mse")
    first = [w.copy() for w in model.get_weights()]
    history = model.fit(X, Y, batch_size=32, epochs=17, shuffle=False, verbose=0).history["loss"]
    assert len(history) == 17  # 51 steps, every third of them of 6 rows
    outputs = model.predict(X, verbose=0)
    return first, history, model.get_weights(), outputs, model.evaluate(X, Y, verbose=0)


def assert_same(
    peer: Callable[[str], ModuleType], make: Callable[[Any], Any], dtype: str, optimizer: Any
) -> None:
    keras: Any = peer("keras")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        weights, *ours = trained(fastnn, lambda: make(fastnn), None, optimizer)
        _, *theirs = trained(keras, lambda: make(keras), weights, optimizer)
    finally:
        keras.config.set_dtype_policy(before)
    near = NEAR[dtype]
    np.testing.assert_allclose(ours[0], theirs[0], rtol=near)
    largest = max(float(np.abs(w).max()) for w in theirs[1])  # gradients of biases before the layer are 0
    for found, expected in zip(ours[1], theirs[1], strict=True):
        assert expected.dtype == dtype
        np.testing.assert_allclose(found, expected, rtol=near, atol=near * largest)
    np.testing.assert_allclose(ours[2], theirs[2], rtol=near, atol=near * np.abs(theirs[2]).max())
    assert ours[3] == pytest.approx(theirs[3], rel=near)


@pytest.mark.parametrize("dtype", NEAR)
@pytest.mark.parametrize("name", CHAINS)
def test_chains(peer: Callable[[str], ModuleType], name: str, dtype: str) -> None:
    def make(k: Any) -> Any:
        options = {"dtype": dtype, "seed": 3} if k is fastnn else {}
        return k.Sequential(CHAINS[name](k), **options)

    assert_same(peer, make, dtype, lambda k: k.optimizers.SGD(learning_rate=0.05))


def test_a_layer_that_is_used_twice(peer: Callable[[str], ModuleType]) -> None:
    def make(k: Any) -> Any:
        return residual(k, dtype="float64", seed=3) if k is fastnn else residual(k)

    assert_same(peer, make, "float64", lambda k: k.optimizers.SGD(learning_rate=0.02, momentum=0.9))
