"""Clipped gradients in Keras 3 (on PyTorch) and here: 50 steps from the same weights on the same rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn

# Keras hands its variables to NumPy in a way that NumPy 2 warns about; that is not ours to fix.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

# Keras's losses are float32 with any policy; a large epsilon keeps Adam from enlarging what that rounds.
CLIPS = {"global_clipnorm": 0.4, "clipnorm": 0.25, "clipvalue": 0.05}
OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {"weight_decay": 0.1}),
    "momentum": ("SGD", {"momentum": 0.9}),
    "nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "adam": ("Adam", {"epsilon": 0.05}),
    "adamw": ("AdamW", {"epsilon": 0.05, "weight_decay": 0.1}),
    "rmsprop": ("RMSprop", {"epsilon": 0.05}),
    "adagrad": ("Adagrad", {}),
}
RNG = np.random.default_rng(3)
X = RNG.normal(0, 1, (38, 4))
Y = [np.sin(X.sum(1, keepdims=True)), RNG.normal(0, 3, (38, 2))]


def chain(k: Any, **options: Any) -> Any:
    return k.Sequential(
        [
            k.Input((4,)),
            k.layers.Dense(6, activation="tanh", kernel_regularizer=k.regularizers.L2(0.05)),
            k.layers.Dense(1),
        ],
        **options,
    )


def graph(k: Any, **options: Any) -> Any:
    """Return a net of two outputs that uses a layer twice, normalises, and has a frozen layer."""
    x = k.Input((4,))
    shared = k.layers.Dense(4, activation="tanh", kernel_regularizer=k.regularizers.L2(0.05))
    h = shared(
        k.layers.BatchNormalization(momentum=0.9, gamma_regularizer=k.regularizers.L2(0.02))(shared(x))
    )
    h = k.layers.Dense(3, trainable=False)(h)
    return k.Model(x, [k.layers.Dense(1, name="a")(h), k.layers.Dense(2, name="b")(h)], **options)


def trained(k: Any, model: Any, cls: str, rate: Any, y: Any, **arguments: Any) -> list[Any]:
    optimizer = getattr(k.optimizers, cls)(rate, **arguments)
    model.compile(optimizer=optimizer, loss="mse" if not isinstance(y, list) else ["mse", "mse"])
    found = model.fit(X, y, batch_size=8, epochs=10, shuffle=False, verbose=0)
    return [found.history["loss"], *model.get_weights()]


def assert_same(keras: Any, make: Any, cls: str, y: Any, schedule: bool, **arguments: Any) -> None:
    def rate(k: Any) -> Any:
        return k.optimizers.schedules.ExponentialDecay(0.05, 7, 0.5) if schedule else 0.05

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        ours, theirs = make(fastnn, dtype="float64", seed=0), make(keras)
        theirs.set_weights(ours.get_weights())
        free = make(fastnn, dtype="float64", seed=0)
        found = trained(fastnn, ours, cls, rate(fastnn), y, **arguments)
        exact = trained(keras, theirs, cls, rate(keras), y, **arguments)
    finally:
        keras.config.set_dtype_policy(before)
    for one, other in zip(found, exact, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)
    unclipped = {name: value for name, value in arguments.items() if name not in CLIPS}
    without = trained(fastnn, free, cls, rate(fastnn), y, **unclipped)
    assert max(np.abs(a - b).max() for a, b in zip(without[1:], found[1:], strict=True)) > 1e-3


@pytest.mark.parametrize("schedule", [False, True])
@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_chains(keras: Any, name: str, clip: str, schedule: bool) -> None:
    cls, arguments = OPTIMIZERS[name]
    assert_same(keras, chain, cls, Y[0], schedule, **arguments, **{clip: CLIPS[clip]})


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("name", ["sgd", "nesterov", "adam"])
def test_graphs(keras: Any, name: str, clip: str) -> None:
    cls, arguments = OPTIMIZERS[name]
    assert_same(keras, graph, cls, Y, False, **arguments, **{clip: CLIPS[clip]})


def test_keras_too_has_no_number_left_by_a_norm_that_is_not_finite(keras: Any) -> None:
    theirs = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    weights = theirs.trainable_variables
    optimizer = keras.optimizers.SGD(0.1, global_clipnorm=1.0)
    bad = [keras.ops.convert_to_tensor(g) for g in (np.float32([[np.inf], [1.0]]), np.float32([1.0]))]
    optimizer.apply(bad, weights)
    assert all(np.isnan(keras.ops.convert_to_numpy(w)).all() for w in weights)


def test_configurations_of_keras_are_read(keras: Any) -> None:
    for cls in ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad"):
        config = getattr(keras.optimizers, cls)(0.25, global_clipnorm=2.0).get_config()
        made = getattr(fastnn.optimizers, cls).from_config(config)
        assert (made.learning_rate, made.global_clipnorm) == (0.25, 2.0)
