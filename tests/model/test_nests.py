"""Inputs and outputs in dicts, tuples and lists in one another, as Keras takes them."""

from __future__ import annotations

import copy
import warnings
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import Input, Model, Sequential, layers
from fastnn.errors import ConfigurationError, DTypeError, ShapeError, TrainingWarning

RNG = np.random.default_rng(5)
A, B, C = (RNG.standard_normal((12, width)).astype("float32") for width in (3, 2, 1))
Pair = namedtuple("Pair", ["first", "second"])


def net(k: Any, **options: Any) -> Any:
    """Return a model whose keys are not in the order of the alphabet, and are no names of layers."""
    a, b = k.Input((3,)), k.Input((2,), name="bee")
    h = k.layers.Concatenate()([k.layers.Dense(3, "tanh")(a), b])
    z, y, x = k.layers.Dense(2)(h), k.layers.Dense(1)(h), k.layers.Dense(1)(a)
    # Within a dict Keras on PyTorch, unlike on others, does not order the keys of another one.
    ends = {"z": z, "in": {"x": [x], "y": y}}
    return k.Model({"q": a, "p": [b]}, ends, **options)


X = {"q": A, "p": [B]}
Y = {"z": B, "in": {"x": [C + 1], "y": C}}


def test_predictions_are_nested_as_the_outputs() -> None:
    model = net(fastnn, seed=0)
    assert model.input_names == ["p/bee", "q"]
    assert model.output_names == ["in/x/dense_3", "in/y", "z"]
    for found in (model.predict(X), model(X), model.predict_on_batch(X)):
        assert list(found) == ["z", "in"]
        assert found["in"]["x"][0].shape == (12, 1)
        np.testing.assert_array_equal(found["z"], model.predict({"p": [B], "q": A})["z"])
    assert model.output["in"]["y"] is model.outputs[1]
    assert model.input["p"][0].name == "bee"
    part = Model(model.input["q"], model.output["in"]["x"], seed=0)
    np.testing.assert_array_equal(part.predict(A), model.predict(X)["in"]["x"][0])
    by_title = {"p/bee": B, "q": A}
    np.testing.assert_array_equal(model.predict(by_title)["z"], model.predict(X)["z"])


def test_ten_steps_are_those_of_keras(peer: Any) -> None:
    keras = peer("keras")
    ours = net(fastnn, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of keys that are no names
        theirs = net(keras)
    theirs.set_weights(ours.get_weights())
    losses = {"z": "mse", "in": {"x": ["mse"], "y": "mae"}}
    ours.compile("sgd", losses)
    theirs.compile("sgd", losses)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = theirs.fit(X, Y, epochs=10, batch_size=12, shuffle=False, verbose=0).history
        made = theirs(X)
        outputs = [one.detach().numpy() for one in (made["z"], made["in"]["x"][0])]
        weights = theirs.get_weights()
    found = ours.fit(X, Y, epochs=10, batch_size=12, shuffle=False, verbose=0).history
    for name in ("loss", "in/y_loss", "z_loss"):
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-5)
    assert set(found) >= {"in/x/dense_3_loss"}
    assert len(found) == len(wanted)
    mine = ours.predict(X)
    np.testing.assert_allclose(mine["z"], outputs[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(mine["in"]["x"][0], outputs[1], rtol=1e-5, atol=1e-5)
    for w, v in zip(ours.get_weights(), weights, strict=True):
        np.testing.assert_allclose(w, v, rtol=1e-5, atol=1e-6)


def test_everything_that_takes_arrays_takes_nests() -> None:
    model = net(fastnn, seed=0, dtype="float64")
    model.compile("sgd", "mse", metrics={"z": ["mae"]})
    history = model.fit(X, Y, verbose=0, validation_data=(X, Y)).history
    assert {"z_mae", "val_z_mae", "val_in/y_loss"} <= set(history)
    assert set(model.evaluate(X, Y, return_dict=True)) == {
        *("loss", "in/x/dense_3_loss", "in/y_loss", "z_loss", "z_mae")
    }
    assert np.isfinite(model.train_on_batch(X, Y)).all()
    loss, gradients = model.loss_and_gradients(X, Y)
    assert np.isfinite(loss)
    assert fastnn.gradcheck(model, X, Y).largest < 1e-6
    outputs = model.forward(X)
    assert set(outputs) == {"z", "in"}
    found = model.backward({"z": np.ones((12, 2)), "in": {"y": C, "x": [C]}})
    assert found.keys() >= gradients.keys()
    batches = [({"q": A[:6], "p": [B[:6]]}, {"z": B[:6], "in": {"y": C[:6], "x": [C[:6]]}})]
    assert model.fit(iter(batches), verbose=0).history["loss"][0] > 0


def test_a_nested_model_as_a_layer() -> None:
    block = net(fastnn, seed=0)
    q, p = Input((3,)), Input((2,))
    made = block({"q": q, "p": [p]})
    assert set(made) == {"z", "in"}
    assert made["in"]["x"][0].shape == (None, 1)
    model = Model([q, p], [made["z"], made["in"]["y"]], seed=0)
    np.testing.assert_array_equal(model.predict([A, B])[0], block.predict(X)["z"])
    flat = Model([q, p], layers.Add()([layers.Dense(1)(q), layers.Dense(1)(p)]), name="flat")
    assert flat({"input": Input((3,)), "input_1": Input((2,))}).shape == (None, 1)
    with pytest.raises(ShapeError, match=r"the inputs of model 'flat' must have the keys"):
        flat({"input": q})
    with pytest.raises(
        ShapeError, match=r"the inputs of model 'model' must be a dict with the keys \['q', 'p'\]"
    ):
        block({"q": q, "r": [p]})


@pytest.mark.parametrize("how", ["saved", "configuration", "json", "copy", "clone"])
def test_copies_are_nested_alike(how: str, tmp_path: Path) -> None:
    model = net(fastnn, seed=0)
    model.compile("sgd", {"z": "mse", "in/y": "mae", "in/x/dense_3": "mse"})
    if how == "saved":
        model.save(tmp_path / "model")
        again = fastnn.load_model(tmp_path / "model")
    else:
        again = {
            "configuration": lambda: Model.from_config(model.get_config()),
            "json": lambda: fastnn.models.model_from_json(model.to_json()),
            "copy": lambda: copy.deepcopy(model),
            "clone": lambda: fastnn.models.clone_model(model),
        }[how]()
    assert again.output_names == model.output_names
    assert again.input_names == model.input_names
    np.testing.assert_array_equal(again.predict(X)["in"]["y"], model.predict(X)["in"]["y"])


@pytest.mark.parametrize("kind", [tuple, list, Pair])
def test_lists_and_tuples(kind: Any) -> None:
    x = Input((3,))
    ends = [layers.Dense(1, name="u")(x), layers.Dense(2, name="v")(x)]
    model = Model(x, Pair(*ends) if kind is Pair else kind(ends), seed=0)
    assert type(model.predict(A)) is kind
    assert type(model(A[:1])) is kind
    assert type(model(Input((3,)))) is kind
    model.compile("sgd", "mse")
    model.fit(A, [C, B], verbose=0)
    model.fit(A, (C, B), verbose=0)
    model.fit(A, {"u": C, "v": B}, verbose=0)
    assert model.output_names == ["u", "v"]
    assert type(Model.from_config(model.get_config()).predict(A)) is (tuple if kind is Pair else kind)


def test_one_tensor_has_two_keys() -> None:
    x = Input((3,), name="x")
    y = layers.Dense(1, "sigmoid")(x)
    model = Model({"x": x}, {"a": y, "b": y, "same": x}, seed=0)
    found = model.predict(A)
    np.testing.assert_array_equal(found["a"], found["b"])
    np.testing.assert_array_equal(found["same"], A)
    model.compile("sgd", {"a": "mse", "b": "binary_crossentropy", "same": "mse"})
    history = model.fit(A, {"a": C, "b": (C > 0) * 1.0, "same": A}, verbose=0).history
    assert set(history) == {"loss", "a_loss", "b_loss", "same_loss"}


def test_keys_that_no_input_has_are_left_out() -> None:
    model = Sequential([Input((3,), name="a"), layers.Dense(1)], seed=0)
    with pytest.warns(TrainingWarning, match="x has keys that no input has, which are left out: b, c"):
        found = model.predict({"c": C, "a": A, "b": B})
    np.testing.assert_array_equal(found, model.predict(A))


BAD_ENDS = {
    "a key that is no string": (lambda x, y: ({1: x}, y), DTypeError, "the keys of inputs must be strings"),
    "an empty key": (lambda x, y: (x, {"": y}), DTypeError, "the keys of outputs must be strings"),
    "no tensor": (lambda x, y: ({"a": "x"}, y), DTypeError, "inputs must be symbolic tensors.*got 'x'"),
    "nothing": (lambda x, y: (x, {}), DTypeError, "outputs must be at least one symbolic tensor"),
    "keys that meet": (
        lambda x, y: (x, {"a/b": y, "a": {"b": layers.Dense(1)(x)}}),
        ConfigurationError,
        "two of the outputs are called 'a/b'",
    ),
}


@pytest.mark.parametrize("case", BAD_ENDS)
def test_bad_ends(case: str) -> None:
    make, error, message = BAD_ENDS[case]
    x = Input((3,))
    with pytest.raises(error, match=message):
        Model(*make(x, layers.Dense(1)(x)))


BAD_DATA = {
    "a list in the place of a dict": ([B, A], r"x must be a dict with the keys \['q', 'p'\].*got list"),
    "another key": ({"q": A, "r": [B]}, r"x must be a dict with the keys \['q', 'p'\], got \['q', 'r'\]"),
    "no list inside": ({"q": A, "p": {"b": B}}, r"x\['p'\] must be a list of 1, got dict"),
    "other rows": ({"q": A, "p": [B[:3]]}, r"x\['q'\] has 12 rows but the inputs before it have 3"),
    "another width": ({"q": A, "p": [A]}, r"x\['p/bee'\] must have shape \(rows, 2\)"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data(case: str) -> None:
    x, message = BAD_DATA[case]
    model = net(fastnn, seed=0)
    model(X)  # from now on few rows have a way of their own
    for call in (model.predict, model):
        with pytest.raises(ShapeError, match=message):
            call(x)


def test_layers_are_frozen_from_the_start() -> None:
    x = Input((3,))
    model = Model(x, layers.Dense(2)(x), trainable=False)
    assert model.trainable_weights == []
    assert not model.layers[-1].trainable


def test_chains_without_a_width_within_chains() -> None:
    encoder = Sequential([layers.Dense(2, "relu"), layers.Dense(1)], name="encoder", seed=1)
    decoder = Sequential([layers.Dense(2), layers.Dense(3)], name="decoder", seed=2)
    model = Sequential([encoder, decoder], seed=0)
    assert not model.built
    model.compile("sgd", "mse")
    model.fit(A, A, verbose=0)
    assert encoder.built
    assert decoder.input_shape == (None, 1)
    np.testing.assert_allclose(decoder.predict(encoder.predict(A)), model.predict(A), rtol=1e-6)
    again = Model.from_config(Sequential([Sequential([layers.Dense(2)])]).get_config())
    assert again.predict(A).shape == (12, 2)
    begun = Sequential([Sequential([Input((3,)), layers.Dense(2)]), layers.Dense(1)])
    assert begun.built
    x = Input((3,))
    assert Sequential([layers.Dense(4)])(x).shape == (None, 4)


def test_several_arrays_for_one_input_or_output() -> None:
    model = Sequential([Input((3,), name="a"), layers.Dense(1, name="b")], seed=0)
    model.compile("sgd", "mse")
    with pytest.raises(ShapeError, match="x holds 2 arrays, and the model has one input, 'a'"):
        model.predict([A, A])
    with pytest.raises(ShapeError, match="y holds 2 arrays, and the model has one output, 'b'"):
        model.fit(A, [C, C])
    with pytest.raises(ShapeError, match=r"x holds None, and needs an array"):
        model.fit([None], C)
