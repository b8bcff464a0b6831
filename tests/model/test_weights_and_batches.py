"""Weights one by one, single batches, outputs by name, and layers that are taken away: as in Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.errors import ConfigurationError, DTypeError, ShapeError

X = np.linspace(-1, 1, 24).reshape(8, 3).astype(np.float32)


def chain() -> fastnn.Sequential:
    norm = layers.BatchNormalization(name="norm")
    return fastnn.Sequential(
        [fastnn.Input((3,)), layers.Dense(4, name="first"), norm, layers.Dense(2)], seed=0
    )


def named() -> fastnn.Model:
    x = fastnn.Input((3,), name="x")
    left, right = layers.Dense(1, name="left")(x), layers.Dense(2, name="right")(x)
    return fastnn.Model({"x": x}, {"right": right, "left": left}, seed=0)


def test_weights_are_those_of_get_weights_and_can_be_set() -> None:
    model = chain()
    assert [weight.path for weight in model.weights][:3] == ["first/kernel", "first/bias", "norm/gamma"]
    for weight, array in zip(model.weights, model.get_weights(), strict=True):
        assert np.array_equal(weight, array)
        assert (weight.shape, weight.dtype, weight.ndim, weight.size, len(weight)) == (
            *(array.shape, array.dtype, array.ndim, array.size, len(array)),
        )
    model.weights[0].assign(np.ones((3, 4)))
    assert (model.layers[0].kernel == 1).all()
    assert (model.layers[0].weights[0][1:, 0] == 1).all()
    with pytest.raises(ShapeError, match="first/kernel"):
        model.weights[0].assign(np.ones((4, 3)))
    assert (model.layers[0].kernel == 1).all()


def test_statistics_and_frozen_layers_are_not_trained() -> None:
    model = chain()
    assert [weight.name for weight in model.non_trainable_weights] == ["moving_mean", "moving_variance"]
    model.layers[0].trainable = False
    assert [weight.path for weight in model.trainable_weights][:2] == ["norm/gamma", "norm/beta"]
    assert len(model.trainable_variables) + len(model.non_trainable_variables) == len(model.variables) == 8
    assert fastnn.Sequential([layers.Dense(2)]).weights == layers.Dense(2).weights == []
    assert model.layers[0].count_params() == 16
    with pytest.raises(ConfigurationError, match="no weights yet"):
        layers.Dense(2).count_params()


def test_shapes_are_those_of_keras() -> None:
    assert (chain().input_shape, chain().output_shape) == ((None, 3), (None, 2))
    assert named().output_shape == [(None, 1), (None, 2)]


def test_a_layer_is_taken_away_and_another_put_in_its_place() -> None:
    model = chain()
    kept, last = model.get_weights()[:-2], model.layers[-1]
    assert model.pop() is last
    model.add(layers.Dense(5))
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), kept, strict=False))
    assert model.predict(X).shape == (8, 5)
    unbuilt = fastnn.Sequential([layers.Dense(2), layers.Dense(3)])
    unbuilt.pop()
    with pytest.raises(ConfigurationError, match="make a new Sequential"):
        unbuilt.pop()
    model.compile("sgd", "mse")
    with pytest.raises(ConfigurationError, match="after compile"):
        model.pop()
    assert len(model.layers) == 3


def test_outputs_by_name(tmp_path: Path) -> None:
    model = named()
    found = model.predict({"x": X})
    assert list(found) == ["right", "left"]
    assert found["left"].shape == (8, 1)
    assert np.array_equal(model(X[:1])["right"], model.predict_on_batch(X[:1])["right"])
    model.compile("sgd", {"left": "mse", "right": "mae"})
    model.fit(X, {"left": X[:, :1], "right": X[:, 1:]}, verbose=0)
    model.save(tmp_path / "model.keras")
    again = fastnn.load_model(tmp_path / "model.keras")
    assert np.array_equal(again.predict(X)["right"], model.predict(X)["right"])
    config: dict[str, Any] = model.get_config()
    about = config["parts"][-1]["config"]
    about["nests"] = [None, {"list": [0, 1]}]
    with pytest.raises(DTypeError, match="a nest is a list, a tuple or a dict"):
        fastnn.Model.from_config(config)
    del about["nests"]
    about["output_keys"] = ["left", "left"]
    with pytest.raises(ConfigurationError, match="their keys"):
        fastnn.Model.from_config(config)


def test_a_batch_is_tested_as_evaluate_does() -> None:
    model, weights = chain(), np.arange(8.0)
    model.compile("sgd", "mse", metrics=["mae"])
    before = model.get_weights()
    found = model.test_on_batch(X, X[:, :2], weights, return_dict=True)
    assert found == model.evaluate(X, X[:, :2], sample_weight=weights, return_dict=True)
    assert model.test_on_batch(X, X[:, :2]) == model.evaluate(X, X[:, :2])
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    with pytest.raises(ShapeError):
        model.test_on_batch(X, X[:3, :2])


def test_without_layers_that_differ_a_call_in_training_is_a_prediction() -> None:
    assert not np.array_equal(chain()(X, training=True), chain()(X))
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(2)])
    assert np.array_equal(model(X, training=True), model(X))
    assert np.array_equal(model(X, training=None), model(X))


def test_a_summary_goes_where_it_is_told() -> None:
    lines: list[str] = []
    chain().summary(print_fn=lines.append, line_length=80, show_trainable=True)
    assert "norm" in "".join(lines)
    with pytest.raises(TypeError):
        chain().summary(print_function=print)


def test_the_rows_of_a_batch_may_be_said_to_input() -> None:
    assert fastnn.Input(shape=(3,), batch_size=4).columns == 3
    with pytest.raises(DTypeError, match="batch_shape"):
        fastnn.Input((3,), batch_shape=(4, 3))
