"""What scripts for Keras do with layers, files, metrics and losses, with fastnn in its place.

As in `test_training.py` each function is a script.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import fastnn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(96, 8)).astype("float32")
W = RNG.normal(size=(8, 3))
LABELS = (X @ W).argmax(axis=1)
YES = (X[:, 0] > 0).astype("float32")
NUMBERS = (X @ W[:, :1] + 0.5).astype("float32")


def net(keras: Any, outputs: int = 3, last: str | None = "softmax") -> Any:
    layers = keras.layers
    return keras.Sequential(
        [keras.Input(shape=(8,)), layers.Dense(16, activation="relu"), layers.Dense(outputs, activation=last)]
    )


# -- layers and their arguments


def test_regularizers(keras: Any) -> None:
    layers, regularizers = keras.layers, keras.regularizers
    model = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(4, kernel_regularizer=regularizers.L2(0.01), bias_regularizer=regularizers.L1(0.01)),
            layers.Dense(4, kernel_regularizer=regularizers.L1L2(l1=1e-5, l2=1e-4)),
            layers.Dense(1, kernel_regularizer="l2"),
        ]
    )
    model.compile("sgd", "mse")
    assert model.evaluate(X, NUMBERS, verbose=0) > np.mean((model.predict(X, verbose=0) - NUMBERS) ** 2)


def test_constraints(keras: Any) -> None:
    model = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(4, kernel_constraint=keras.constraints.MaxNorm(0.5))]
    )
    model.compile(keras.optimizers.SGD(1.0), "mse")
    model.fit(X, X[:, :4], epochs=1, verbose=0)
    assert np.linalg.norm(model.get_weights()[0], axis=0).max() < 0.5 + 1e-5


def test_initializers(keras: Any) -> None:
    initializers = keras.initializers
    for initializer in (
        "glorot_uniform",
        "he_normal",
        "zeros",
        "ones",
        "orthogonal",
        "lecun_normal",
        "truncated_normal",
    ):
        keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, kernel_initializer=initializer)])
    layer = keras.layers.Dense(
        4,
        kernel_initializer=initializers.RandomNormal(mean=0.0, stddev=0.05, seed=1),
        bias_initializer=initializers.Constant(0.1),
    )
    model = keras.Sequential([keras.Input((8,)), layer])
    assert np.allclose(model.get_weights()[1], 0.1)


def test_activations_by_name_by_function_and_as_layers(keras: Any) -> None:
    layers, activations = keras.layers, keras.activations
    names = (
        "relu",
        "elu",
        "selu",
        "gelu",
        "silu",
        "swish",
        "mish",
        "softplus",
        "softsign",
        "tanh",
        "hard_sigmoid",
        "exponential",
    )
    model = keras.Sequential(
        [
            keras.Input((8,)),
            *(layers.Dense(4, activation=name) for name in names),
            layers.Dense(4, activation=activations.relu),
            layers.Dense(4),
            layers.LeakyReLU(negative_slope=0.1),
            layers.Dense(4, use_bias=False),
            layers.PReLU(),
            layers.ELU(alpha=0.5),
            layers.ReLU(max_value=6.0),
            layers.Activation("tanh"),
            layers.Softmax(),
        ]
    )
    assert np.allclose(model.predict(X, verbose=0).sum(axis=1), 1, atol=1e-5)


def test_normalization_of_a_table(keras: Any) -> None:
    normalizer = keras.layers.Normalization(axis=-1)
    normalizer.adapt(X * 3 + 2)
    model = keras.Sequential([keras.Input((8,)), normalizer, keras.layers.Dense(1)])
    model.compile("adam", "mae")
    model.fit(X * 3 + 2, NUMBERS, epochs=1, verbose=0)
    first = keras.Model(model.inputs, model.layers[0].output).predict(X * 3 + 2, verbose=0)
    assert np.allclose(first.mean(axis=0), 0, atol=1e-5)


def test_a_net_with_normalisation_and_dropout(keras: Any) -> None:
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input(shape=(8,)),
            layers.Dense(16, use_bias=False),
            layers.BatchNormalization(momentum=0.9),
            layers.Activation("relu"),
            layers.Dropout(rate=0.5, seed=1),
            layers.GaussianNoise(0.1),
            layers.LayerNormalization(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(X, LABELS, epochs=2, verbose=0)
    assert np.array_equal(model.predict(X, verbose=0), model.predict(X, verbose=0))


def test_images_are_flattened_and_rescaled(keras: Any) -> None:
    images = RNG.integers(0, 256, (32, 4, 4)).astype("float32")
    model = keras.Sequential(
        [
            keras.Input(shape=(16,)),
            keras.layers.Rescaling(1.0 / 255),
            keras.layers.Dense(4, activation="relu"),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    assert model.predict(images.reshape(-1, 16), verbose=0).shape == (32, 3)


def test_embeddings_of_users_and_films(keras: Any) -> None:
    user, film = keras.Input((1,), dtype="int32", name="user"), keras.Input((1,), dtype="int32", name="film")
    u = keras.layers.Flatten()(keras.layers.Embedding(10, 4, embeddings_initializer="he_normal")(user))
    f = keras.layers.Flatten()(keras.layers.Embedding(20, 4)(film))
    score = keras.layers.Dot(axes=1)([u, f])
    model = keras.Model([user, film], keras.layers.Activation("sigmoid")(score))
    model.compile(loss=keras.losses.BinaryCrossentropy(), optimizer=keras.optimizers.Adam(0.001))
    pairs = [RNG.integers(0, 10, (96, 1)), RNG.integers(0, 20, (96, 1))]
    model.fit(pairs, YES, batch_size=16, epochs=2, verbose=0)
    assert model.predict(pairs, verbose=0).shape == (96, 1)


def test_a_loss_of_ones_own_is_a_class(keras: Any) -> None:
    """Functions of tensors are a backend's; here a loss that exists is configured."""
    loss = keras.losses.Huber(delta=0.5, reduction="sum", name="mine")
    model = net(keras, 1, None)
    model.compile(keras.optimizers.SGD(1e-4), loss)
    assert np.isfinite(model.fit(X, NUMBERS, verbose=0).history["loss"][0])


# -- saving


def test_a_model_is_saved_and_loaded(keras: Any) -> None:
    model = net(keras)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(X, LABELS, verbose=0)
    model.save("my_model.keras")
    again = keras.models.load_model("my_model.keras")
    assert np.allclose(model.predict(X, verbose=0), again.predict(X, verbose=0))
    again.fit(X, LABELS, verbose=0)
    keras.saving.save_model(again, "other.keras")
    assert keras.saving.load_model("other.keras").count_params() == 195


def test_weights_are_saved_and_loaded(keras: Any) -> None:
    model, other = net(keras), net(keras)
    model.save_weights("mine.weights.h5" if keras is not fastnn else "mine.weights.safetensors")
    other.load_weights("mine.weights.h5" if keras is not fastnn else "mine.weights.safetensors")
    assert np.array_equal(model.predict(X, verbose=0), other.predict(X, verbose=0))


def test_a_model_is_copied(keras: Any) -> None:
    model = net(keras)
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    assert np.array_equal(model.predict(X, verbose=0), copy.predict(X, verbose=0))
    again = keras.models.model_from_json(model.to_json())
    assert again.count_params() == model.count_params()
    assert isinstance(json.loads(model.to_json()), dict)
    assert keras.Sequential.from_config(model.get_config()).count_params() == 195


def test_layers_are_written_down(keras: Any) -> None:
    layer = keras.layers.Dense(3, activation="selu", kernel_regularizer="l2")
    again = keras.layers.Dense.from_config(layer.get_config())
    assert again.units == 3
    optimizer = keras.optimizers.Adam(0.01)
    assert float(keras.optimizers.Adam.from_config(optimizer.get_config()).learning_rate) == pytest.approx(
        0.01
    )


def test_weights_of_a_layer_are_exchanged(keras: Any) -> None:
    model = net(keras)
    kernel, bias = model.layers[0].get_weights()
    model.layers[0].set_weights([kernel * 2, bias + 1])
    assert np.allclose(model.layers[0].get_weights()[0], kernel * 2)
    assert model.layers[0].count_params() == 144


# -- metrics by themselves


def test_a_metric_without_a_model(keras: Any) -> None:
    metric = keras.metrics.BinaryAccuracy(threshold=0.5)
    metric.update_state([1, 0, 1, 1], [0.9, 0.2, 0.3, 0.8])
    assert float(metric.result()) == pytest.approx(0.75)
    metric.reset_state()
    mean = keras.metrics.Mean()
    for value in (1.0, 3.0):
        mean.update_state(value)
    assert float(mean.result()) == 2.0


def test_a_loss_without_a_model(keras: Any) -> None:
    loss = keras.losses.MeanSquaredError()
    assert float(loss(np.array([[0.0, 1.0]]), np.array([[1.0, 1.0]]))) == pytest.approx(0.5)
