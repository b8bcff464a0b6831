"""Models that are copied with functions of the user, as `keras.models.clone_model` does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import Input, Model, Sequential, layers
from fastnn.errors import ConfigurationError, DTypeError, ShapeError
from fastnn.models import clone_model

X = np.random.default_rng(3).standard_normal((6, 4)).astype("float32")


def inner() -> Model:
    y = Input((4,), name="y")
    return Model(y, layers.Dense(4, name="deep")(layers.ReLU()(y)), name="inner", seed=4)


def graph() -> Model:
    x = Input((4,), name="x")
    shared = layers.Dense(4, "tanh", name="shared")
    h = shared(shared(x)) * 2 + x
    return Model(x, {"out": layers.Dense(2, name="out")(inner()(h)), "h": h}, seed=1, name="graph")


def renamed(layer: Any) -> Any:
    config = layer.get_config()
    return type(layer).from_config({**config, "name": f"{config['name']}_copy"})


def test_layers_are_made_by_a_function() -> None:
    model = graph()
    copy = clone_model(model, clone_function=lambda la: la if isinstance(la, Model) else renamed(la))
    assert [la.name for la in copy.layers] == ["x", "shared_copy", "inner", "out_copy"]
    assert copy.get_layer("inner") is model.get_layer("inner")
    assert copy.name == "graph"
    copy.set_weights(model.get_weights())
    for key in ("out", "h"):
        np.testing.assert_array_equal(copy.predict(X)[key], model.predict(X)[key])


def test_models_within_are_copied_layer_by_layer_if_asked() -> None:
    model = graph()
    copy = clone_model(model, clone_function=renamed, recursive=True)
    assert [la.name for la in copy.get_layer("inner").layers] == ["y", "re_lu_copy", "deep_copy"]
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy.predict(X)["out"], model.predict(X)["out"])


def test_calls_are_made_by_a_function() -> None:
    model = graph()

    def call(layer: Any, tensors: Any) -> Any:
        made = layer(tensors)
        return layers.Dropout(0.5)(made) if isinstance(layer, layers.Dense) else made

    copy = clone_model(model, clone_function=lambda layer: layer, call_function=call, recursive=True)
    kinds = [type(la).__name__ for la in copy.layers]
    assert kinds.count("Dropout") == 3
    assert [type(la).__name__ for la in copy.get_layer("inner").layers][-1] == "Dropout"
    np.testing.assert_array_equal(copy.predict(X)["out"], model.predict(X)["out"])  # the same layers


def test_chains() -> None:
    model = Sequential([Input((4,), name="x"), layers.Dense(3), Sequential([layers.Dense(2)])], seed=2)
    model.compile("adam", "mse")
    copy = clone_model(model, clone_function=renamed, recursive=True)
    assert [la.name for la in copy.layers] == ["dense_copy", "sequential"]
    assert copy.compiled
    assert isinstance(copy, Sequential)
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy.predict(X), model.predict(X))
    tensor = Input((4,), name="begin")
    assert clone_model(model, input_tensors=tensor).inputs == [tensor]
    unbuilt = clone_model(Sequential([layers.Dense(3)]), clone_function=lambda la: la)
    assert unbuilt.predict(X).shape == (6, 3)


def test_a_copy_begins_at_given_tensors() -> None:
    a, b = Input((4,)), Input((4,))
    model = Model({"a": a, "b": b}, layers.Dense(2)(a + b), seed=0)
    given = {"a": Input((4,)), "b": Input((4,))}
    copy = clone_model(model, input_tensors=given)
    assert copy.input == given
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy.predict({"a": X, "b": X}), model.predict({"a": X, "b": X}))
    with pytest.raises(ShapeError, match=r"input_tensors must be a dict with the keys \['a', 'b'\]"):
        clone_model(model, input_tensors=(a, b))
    with pytest.raises(ConfigurationError, match=r"input_tensors have the widths \[4, 3\]"):
        clone_model(model, input_tensors={"a": Input((4,)), "b": Input((3,))})


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no function": ({"clone_function": 3}, "clone_function must be a function, got 3"),
    "no layer": ({"clone_function": lambda layer: None}, "clone_function must return a layer, got None"),
    "no tensor": ({"call_function": lambda layer, x: 3}, "what call_function returns for 'shared' must be"),
    "no flag": ({"clone_function": renamed, "recursive": "yes"}, "recursive must be"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments(case: str) -> None:
    given, message = BAD[case]
    with pytest.raises(DTypeError, match=message):
        clone_model(graph(), **given)


def test_chains_have_no_calls_to_change() -> None:
    with pytest.raises(ConfigurationError, match="call_function is for graphs"):
        clone_model(Sequential([layers.Dense(2)]), call_function=lambda layer, x: layer(x))
    with pytest.raises(ConfigurationError, match="has one input, got 2"):
        clone_model(Sequential([layers.Dense(2)]), input_tensors=[Input((4,)), Input((4,))])
    assert fastnn.models.clone_model is clone_model
