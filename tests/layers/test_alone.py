"""Layers by themselves: called on arrays, built for a width, asked for shapes, as in Keras."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import Input, Model, Sequential, layers
from fastnn.errors import ConfigurationError, DTypeError, ShapeError

RNG = np.random.default_rng(7)
X, Z = (RNG.standard_normal((6, 4)).astype("float32") for _ in range(2))
WHOLE = RNG.integers(0, 5, (6, 2))


def adapted(k: Any) -> Any:
    layer = k.layers.Normalization()
    layer.adapt(X)
    return layer


CASES: dict[str, tuple[Any, Any]] = {
    "Dense": (lambda k: k.layers.Dense(3, "tanh"), X),
    "Activation": (lambda k: k.layers.Activation("gelu"), X),
    "ReLU": (lambda k: k.layers.ReLU(max_value=0.5), X),
    "Softmax": (lambda k: k.layers.Softmax(), X),
    "PReLU": (lambda k: k.layers.PReLU(), X),
    "Normalization": (adapted, X),
    "BatchNormalization": (lambda k: k.layers.BatchNormalization(), X),
    "LayerNormalization": (lambda k: k.layers.LayerNormalization(), X),
    "Dropout": (lambda k: k.layers.Dropout(0.5), X),
    "Rescaling": (lambda k: k.layers.Rescaling(0.5, 1.0), X),
    "CategoryEncoding": (lambda k: k.layers.CategoryEncoding(5, output_mode="multi_hot"), WHOLE),
    "Discretization": (lambda k: k.layers.Discretization([-0.5, 0.5], output_mode="one_hot"), X[:, :1]),
    "Add": (lambda k: k.layers.Add(), [X, Z]),
    "Concatenate": (lambda k: k.layers.Concatenate(), [X, Z]),
    "Dot": (lambda k: k.layers.Dot(1), [X, Z]),
    "Lambda": (lambda k: k.layers.Lambda(lambda x: x * 2 + 1), X),
}


@pytest.mark.parametrize("name", CASES)
def test_numbers_are_those_of_keras(name: str, peer: Any) -> None:
    keras = peer("keras")
    make, given = CASES[name]
    ours, theirs = make(fastnn), make(keras)
    theirs(given)
    found = ours(given)
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.float32
    if name not in ("Normalization", "Discretization"):  # whose statistics both have from the data
        theirs.set_weights([w.numpy() for w in ours.weights])
    np.testing.assert_allclose(found, theirs(given).detach().numpy(), rtol=1e-5, atol=1e-6)
    shapes = [one.shape for one in given] if isinstance(given, list) else given.shape
    assert ours.compute_output_shape(shapes) == found.shape
    assert len(ours.trainable_weights) == len(theirs.trainable_weights)
    assert ours.built or name == "Lambda"  # what it draws is built


def test_weights_stay_when_a_layer_comes_into_a_model() -> None:
    layer = layers.Dense(3)
    before = layer(X)
    assert layer.output is None  # no tensor was drawn by its user
    model = Sequential([Input((4,)), layer, layers.Dense(1)], seed=0)
    np.testing.assert_array_equal(layer(X), before)
    model.compile("sgd", "mse")
    model.fit(X, Z[:, :1], verbose=0)
    assert (layer(X) != before).any()
    np.testing.assert_array_equal(layer(X), Model(model.input, layer.output).predict(X))
    assert layer.input is model.input
    doubles = layers.Dense(2)
    Sequential([Input((4,)), doubles], dtype="float64")
    assert doubles(X).dtype == np.float64


def test_weights_come_by_build() -> None:
    layer = layers.BatchNormalization()
    assert not layer.built
    assert layer.trainable_weights == []
    layer.build((None, 3))
    assert [w.name for w in layer.trainable_weights] == ["gamma", "beta"]
    assert [w.name for w in layer.non_trainable_weights] == ["moving_mean", "moving_variance"]
    layer.trainable = False
    assert len(layer.non_trainable_weights) == 4
    assert layer.count_params() == 12
    layer.set_weights([w + 1 for w in layer.get_weights()])
    np.testing.assert_array_equal(layer.beta, np.ones(3))
    joined = layers.Concatenate()
    joined.build([(None, 2), (None, 3)])
    assert joined.compute_output_shape([(5, 2), (5, 3)]) == (5, 5)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))])
def test_copies_have_weights_of_their_own(duplicate: Any) -> None:
    layer = layers.Dense(3)
    before = layer(X)
    twin = duplicate(layer)
    np.testing.assert_array_equal(twin(X), before)
    layer.set_weights([w * 2 for w in layer.get_weights()])
    np.testing.assert_array_equal(twin(X), before)


def test_a_layer_that_was_called_is_freed() -> None:
    layer = layers.Dense(3)
    layer(X)
    gone = weakref.ref(layer)
    del layer
    gc.collect()
    assert gone() is None


BAD: dict[str, tuple[Any, type[Exception], str]] = {
    "one axis": (
        lambda: layers.Dense(3)(X[0]),
        ShapeError,
        r"the input of layer 'dense' must be \(rows",
    ),
    "three axes": (lambda: layers.Dense(3)(X[None]), ShapeError, r"got shape \(1, 6, 4\); flatten it"),
    "another width": (
        lambda: [(layer := layers.Dense(3, name="d"))(X), layer(X[:, :2])],
        ShapeError,
        r"layer 'd' has a kernel of shape \(4, 3\)",
    ),
    "text": (lambda: layers.Dense(3)(np.array([["a"]])), DTypeError, "the input of layer 'dense'"),
    "a word": (lambda: layers.Dense(3)("x"), DTypeError, "must be symbolic tensors.*got 'x'"),
    "one of two": (lambda: layers.Add()([X]), ShapeError, "takes at least 2 tensors, got 1"),
    "two for one": (lambda: layers.Dense(2)([X, Z]), ShapeError, "takes 1 tensor, got 2"),
    "other rows": (
        lambda: layers.Add()([X, Z[:3]]),
        ShapeError,
        "has 3 rows but the inputs before",
    ),
    "tensors and arrays": (lambda: layers.Add()([Input((4,)), X]), DTypeError, "got an array of shape"),
    "no shape": (
        lambda: layers.Dense(3).build(4),
        ShapeError,
        r"input_shape of layer 'dense' must be",
    ),
    "no width": (lambda: layers.Dense(3).build((None, None)), ShapeError, r"must be \(None, features\)"),
    "rank 3": (lambda: layers.Dense(3).compute_output_shape((1, 2, 3)), ShapeError, r"got \[?\(1, 2, 3\)"),
    "no config": (lambda: type("Own", (layers.Layer,), {})()(X), ConfigurationError, "Own cannot run"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_calls(case: str) -> None:
    call, error, message = BAD[case]
    with pytest.raises(error, match=message):
        call()
