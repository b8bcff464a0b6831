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
    assert named().output_shape == [(None, 2), (None, 1)]


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
    config["parts"][-1]["config"]["output_keys"] = ["left", "left"]
    with pytest.raises(ConfigurationError, match="their keys"):
        fastnn.Model.from_config(config)
    x = fastnn.Input((3,))
    with pytest.raises(ConfigurationError, match="a name must be a non-empty string"):
        fastnn.Model(x, {1: layers.Dense(1, name="out")(x)})


def dict_of_two(loss: Any, **options: Any) -> fastnn.Model:
    x = fastnn.Input((3,))
    ends = {"mean": layers.Dense(2, name="first")(x), "scale": layers.Dense(2, name="second")(x)}
    model = fastnn.Model(x, ends, seed=0)
    model.compile("sgd", loss, **options)
    return model


def test_keys_of_outputs_are_their_names(tmp_path: Path) -> None:
    model = dict_of_two(
        {"mean": "mse", "scale": "mae"}, metrics={"scale": ["mse"]}, loss_weights={"mean": 1, "scale": 2}
    )
    assert model.output_names == ["mean", "scale"]
    assert list(model.predict(X)) == ["mean", "scale"]
    y = {"mean": X[:, :2], "scale": X[:, 1:]}
    found = model.fit(X, y, epochs=2, verbose=0, validation_data=(X, y)).history
    names = ["loss", "mean_loss", "scale_loss", "scale_mse"]
    assert list(found) == [*names, *(f"val_{name}" for name in names)]
    model.save(tmp_path / "model")
    again = fastnn.load_model(tmp_path / "model")
    for other in (again, fastnn.models.clone_model(model)):
        assert other.output_names == ["mean", "scale"]
        other.set_weights(model.get_weights())
        assert other.evaluate(X, y, return_dict=True) == model.evaluate(X, y, return_dict=True)
    assert np.array_equal(again.predict(X)["scale"], model.predict(X)["scale"])
    with pytest.raises(ShapeError, match=r"loss must have the keys \['mean', 'scale'\]"):
        model.compile("sgd", {"first": "mse", "second": "mse"})
    x = fastnn.Input((3,))
    h = layers.Dense(2, name="h")(x)
    assert fastnn.Model(x, {"a": h, "h": h}).output_names == ["a", "h"]
    with pytest.raises(ConfigurationError, match="are named 'h'"):
        fastnn.Model(x, {"h": layers.Dense(2, name="other")(h)})


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


def test_what_is_other_in_training_is_not_run_by_a_call() -> None:
    with pytest.raises(ConfigurationError, match=r"training=True\) does not run layer 'norm'"):
        chain()(X, training=True)
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
