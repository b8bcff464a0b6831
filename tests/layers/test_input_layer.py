"""Inputs as layers, and the forms in which Keras takes their shapes."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import Input, Model, Sequential, layers
from fastnn.errors import ConfigurationError, DTypeError, NotBuiltError, ShapeError

X = np.random.default_rng(0).standard_normal((6, 4)).astype("float32")


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        ({"shape": (4,)}, (None, 4)),
        ({"shape": 4, "batch_size": 2}, (2, 4)),
        ({"batch_shape": (2, 4)}, (2, 4)),
        ({"batch_shape": [None, 4]}, (None, 4)),
    ],
)
def test_forms_of_shapes(given: dict[str, Any], shape: tuple[Any, int], tmp_path: Path) -> None:
    x = Input(**given)
    assert x.shape == shape
    model = Model(x, layers.Dense(3)(x) + 1.0, seed=0)
    rows = shape[0]
    assert (model.input_shape, model.output_shape) == (shape, (rows, 3))
    assert model(Input((4,), batch_size=5)).shape == (5, 3)
    assert model.predict(X).shape == (6, 3)  # any number of rows
    model.save(tmp_path / "model")
    assert fastnn.load_model(tmp_path / "model").input_shape == shape
    assert layers.InputLayer(**given).output.shape == shape


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({}, DTypeError, "needs a shape"),
        ({"shape": (4,), "batch_shape": (2, 4)}, DTypeError, "leave one out"),
        ({"batch_shape": 4}, DTypeError, "batch_shape must be"),
        ({"batch_shape": ()}, DTypeError, "batch_shape must be"),
        ({"batch_shape": (2, 3, 4)}, ShapeError, "one number of features"),
        ({"shape": (4,), "batch_size": 0}, ConfigurationError, "batch_size must be at least 1"),
        ({"shape": (None,)}, DTypeError, "Input shape must be an integer"),
        ({"shape": (4,), "optional": True}, DTypeError, "every input is needed"),
    ],
)
def test_bad_shapes(given: dict[str, Any], error: type[Exception], message: str) -> None:
    for kind in (Input, layers.InputLayer):
        with pytest.raises(error, match=message):
            kind(**given)


def test_inputs_stand_among_the_layers_of_a_graph() -> None:
    a, b = Input((4,), name="a"), Input((4,))
    model = Model([a, b], layers.Dense(2)(layers.Dense(4)(a) + b), seed=0)
    assert [layer.name for layer in model.layers] == ["a", "dense", "input", "dense_1"]
    first = model.layers[0]
    assert isinstance(first, layers.InputLayer)
    assert first is model.get_layer("a") is model.get_layer(index=0)
    assert first.output is a
    assert (first.get_weights(), first.weights, first.count_params(), first.bias) == ([], [], 0, None)
    assert not hasattr(first, "kernel")
    first.set_weights([])
    with pytest.raises(ShapeError, match="'a' is an input and has no weights, got 1"):
        first.set_weights([X])
    with pytest.raises(ConfigurationError, match="is not called"):
        first(a)


def test_a_model_that_begins_in_the_middle_has_an_input_there() -> None:
    x = Input((4,), name="x")
    h = layers.Dense(3, name="h")(x)
    model = Model(h, layers.Dense(2, name="y")(h))
    assert [type(layer).__name__ for layer in model.layers] == ["InputLayer", "Dense"]
    assert model.layers[0].output is h


def test_weights_go_from_layer_to_layer() -> None:
    def net() -> Model:
        x = Input((4,))
        return Model(x, layers.Dense(2)(layers.Dropout(0.5)(layers.Dense(3, "relu")(x))))

    one, two = net(), net()
    for source, target in zip(one.layers, two.layers, strict=True):
        target.set_weights(source.get_weights())
    np.testing.assert_array_equal(one.predict(X), two.predict(X))


def test_a_chain_begins_with_an_input_layer() -> None:
    model = Sequential([layers.InputLayer(input_shape=(4,), name="table"), layers.Dense(2)], seed=0)
    assert model.input_names == ["table"]
    assert [type(layer).__name__ for layer in model.layers] == ["Dense"]
    added = Sequential(seed=0)
    added.add(layers.InputLayer(batch_input_shape=(None, 4)))
    added.add(layers.Dense(2))
    np.testing.assert_array_equal(added.predict(X), model.predict(X))
    with pytest.raises(ConfigurationError, match="Input must be the first entry, once"):
        added.add(layers.InputLayer((4,)))


def test_input_layers_are_written_down() -> None:
    layer = layers.InputLayer((4,), "a", batch_size=2, dtype="int32")
    config = layer.get_config()
    assert config == {"name": "a", "batch_shape": [2, 4], "dtype": "int32"}
    again = layers.InputLayer.from_config(config)
    assert (again.name, again.output.shape, again.output.dtype) == ("a", (2, 4), "int32")
    assert repr(again) == "InputLayer(batch_shape=(2, 4), name='a')"


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))])
def test_copies_of_input_layers(duplicate: Any) -> None:
    x = Input((4,), name="a")
    model = Model(x, layers.Dense(2)(x), seed=0)
    kept = model.layers[0]
    assert duplicate(kept).output.name == "a"
    twin = duplicate(model)
    assert twin.layers[0].output is twin.inputs[0]
    assert twin.layers[0] is not kept


def test_a_model_that_was_looked_at_is_freed() -> None:
    x = Input((4,))
    model = Model(x, layers.Dense(2)(x))
    gone = weakref.ref(model.layers[0])
    assert gone() is not None
    del model, x
    gc.collect()
    assert gone() is None


def test_what_operators_draw_is_no_layer(tmp_path: Path) -> None:
    x = Input((4,))
    model = Model(x, 2 - layers.Dense(4, name="d")(x) * x + layers.Add(name="sum")([x, x]), seed=0)
    names = ["input", "d", "sum"]
    assert sorted(layer.name for layer in model.layers) == sorted(names)
    model.save(tmp_path / "model")
    again = fastnn.load_model(tmp_path / "model")
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
    assert model.get_layer("multiply").output is not None


def test_what_is_not_built_has_no_shapes() -> None:
    model = Sequential([layers.Dense(2)])
    for name in ("input_shape", "output_shape"):
        assert not hasattr(model, name)
    assert not hasattr(layers.Dense(2), "kernel")
    with pytest.raises(NotBuiltError, match="input width is not known yet"):
        _ = model.input_shape
    model.build((None, 4))
    assert (model.input_shape, model.output_shape) == ((None, 4), (None, 2))
