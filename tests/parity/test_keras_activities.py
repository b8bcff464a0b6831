"""Penalties on outputs of layers, step by step the same as Keras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn

# Keras hands its variables to NumPy in a way that NumPy 2 warns about; that is not ours to fix.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RNG = np.random.default_rng(5)
X, Z = RNG.normal(0, 1, (26, 3)), RNG.integers(0, 4, (26, 2))
Y = RNG.normal(0, 1, (26, 2))
CLASSES = np.eye(2)[RNG.integers(0, 2, 26)]
WEIGHTS = RNG.uniform(0, 3, 26)


def chain(k: Any) -> tuple[Any, Any]:
    """Return a net that pays for everything: inputs, hidden units by both norms, and outputs."""
    x, r = k.Input((3,)), k.regularizers
    h = k.layers.ActivityRegularization(l1=0.3, l2=0.1)(x)
    h = k.layers.Dense(5, "tanh", activity_regularizer=r.L1L2(0.03, 0.05), kernel_regularizer=r.L2(0.01))(h)
    h = k.layers.ActivityRegularization(l1=0.02)(k.layers.Dense(4, "relu", activity_regularizer="l1")(h))
    return x, k.layers.Dense(2, activity_regularizer=r.L2(0.1))(h)


def shared(k: Any, **options: Any) -> tuple[Any, Any]:
    """Return a net with a term for each call of a layer, in a model that is a layer as well."""
    x = k.Input((3,))
    layer = k.layers.Dense(3, "tanh", activity_regularizer=k.regularizers.L1(0.05))
    a = k.Input((3,))
    inner = k.Model(a, k.layers.ActivityRegularization(l2=0.2)(layer(layer(a))), **options)
    return x, k.layers.Dense(2)(k.layers.Add()([inner(x), inner(layer(x))]))


def frozen(k: Any) -> tuple[Any, Any]:
    """Return a net whose lower layer is not trained, and pays nevertheless."""
    x = k.Input((3,))
    below = k.layers.Dense(4, "tanh", activity_regularizer="l2", trainable=False)
    above = k.layers.Dense(4, "tanh", activity_regularizer="l2")
    return x, k.layers.Dense(2, trainable=False, activity_regularizer="l2")(above(below(x)))


def scaled(k: Any) -> tuple[Any, Any]:
    """Return a net where batch normalisation and dropout, of nothing, stand beside tensors that pay."""
    x = k.Input((3,))
    h = k.layers.Dense(5, activity_regularizer=k.regularizers.L1L2(0.01, 0.02))(x)
    h = k.layers.ActivityRegularization(0.1, 0.1)(k.layers.BatchNormalization(momentum=0.9)(h))
    h = k.layers.ActivityRegularization(0.1)(k.layers.Dropout(0.0)(h))
    return x, k.layers.Dense(2)(k.layers.LayerNormalization()(h))


def vectors(k: Any) -> tuple[Any, Any]:
    z = k.Input((2,), dtype="int32")
    h = k.layers.Embedding(4, 3, activity_regularizer=k.regularizers.L1L2(0.1, 0.2))(z)
    return z, k.layers.Dense(2)(k.layers.Flatten()(h))


def classes(k: Any) -> tuple[Any, Any]:
    """Return a net whose probabilities pay."""
    x = k.Input((3,))
    h = k.layers.Dense(4, "sigmoid", activity_regularizer="l2")(x)
    return x, k.layers.Dense(2, "softmax", activity_regularizer=k.regularizers.L2(0.3))(h)


def two(k: Any) -> tuple[Any, Any]:
    """Return a net with two outputs, one of which the other is made of."""
    x = k.Input((3,))
    first = k.layers.Dense(2, "tanh", activity_regularizer="l2", name="first")(x)
    return x, [first, k.layers.Dense(2, activity_regularizer="l1", name="second")(first)]


NETS: dict[str, tuple[Callable[..., Any], Any, Any, dict[str, Any]]] = {
    "chain": (chain, X, Y, {"loss": "mse", "metrics": ["mae"]}),
    "summed": (chain, X, Y, {"loss": ("MeanSquaredError", "sum")}),
    "shared": (shared, X, Y, {"loss": "mse"}),
    "frozen": (frozen, X, Y, {"loss": "mse"}),
    "scaled": (scaled, X, Y, {"loss": "mse"}),
    "vectors": (vectors, Z, Y, {"loss": "mse"}),
    "classes": (classes, X, CLASSES, {"loss": "categorical_crossentropy", "metrics": ["accuracy"]}),
    "two": (two, X, [Y, Y], {"loss": ["mse", "mae"], "loss_weights": [0.5, 2.0]}),
}


def trained(k: Any, name: str, weights: Any, optimizer: Any, **options: Any) -> tuple[Any, Any]:
    """Return the weights before, and all that training and evaluation say, of 12 steps."""
    make, x, y, given = NETS[name]
    kind = {"dtype": options["dtype"]} if make is shared and options else {}
    model = k.Model(*make(k, **kind), **options)
    if weights is not None:
        model.set_weights(weights)
    first = [w.copy() for w in model.get_weights()]
    given = dict(given)
    if isinstance(given["loss"], tuple):
        cls, reduction = given["loss"]
        given["loss"] = getattr(k.losses, cls)(reduction=reduction)
    model.compile(optimizer=optimizer(k), **given)
    several = isinstance(y, list)
    data = (x[:9], [part[:9] for part in y] if several else y[:9])
    past = model.fit(
        x, y, batch_size=8, epochs=3, shuffle=False, verbose=0, validation_data=data,
        **({} if several else {"sample_weight": WEIGHTS}),
    )  # fmt: skip
    found = {key: np.asarray(value) for key, value in past.history.items()}
    found |= {f"weight {i}": w for i, w in enumerate(model.get_weights())}
    found["evaluate"] = np.asarray(model.evaluate(x, y, batch_size=7, verbose=0))
    found["batch"] = np.asarray(model.test_on_batch(x, y))
    found["step"] = np.asarray(model.train_on_batch(x[:5], [part[:5] for part in y] if several else y[:5]))
    return first, found


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NETS)
def test_activities_are_those_of_keras(keras: Any, name: str, dtype: str) -> None:
    def optimizer(k: Any) -> Any:
        return k.optimizers.SGD(0.02, momentum=0.5) if name == "summed" else k.optimizers.Adam(epsilon=1e-3)

    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        weights, ours = trained(fastnn, name, None, optimizer, dtype=dtype, seed=2)
        _, theirs = trained(keras, name, weights, optimizer)
    finally:
        keras.config.set_dtype_policy(policy)
    assert ours.keys() == theirs.keys()
    tolerance = 1e-5 if dtype == "float32" else 1e-6
    for key, value in theirs.items():
        np.testing.assert_allclose(ours[key], value, rtol=tolerance, atol=tolerance, err_msg=key)
