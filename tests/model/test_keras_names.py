"""What Keras's models have besides training: names of metrics, shapes, summaries in part, weights in part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import Input, Model, Sequential, layers
from fastnn.errors import ConfigurationError, DTypeError, FileFormatError, NotBuiltError, ShapeError
from fastnn.errors import TrainingWarning as Warned

X = np.random.default_rng(1).standard_normal((12, 4)).astype("float32")
Y = X[:, :2] * 2


def chain(last: int = 2) -> Sequential:
    return Sequential([Input((4,)), layers.Dense(3, name="h"), layers.Dense(last, name="y")], seed=last)


def two() -> Model:
    x = Input((4,))
    return Model(x, [layers.Dense(2, name="u")(x), layers.Dense(2, name="a")(x)], seed=0)


def test_names_of_metrics_are_those_of_evaluate() -> None:
    model = chain()
    model.compile("sgd", "mse", metrics=["mae", "mape"], weighted_metrics=["mae"])
    assert model.metrics_names == ["loss", "mae", "mape", "weighted_mae"]
    found = model.evaluate(X, Y, return_dict=True)
    assert dict(zip(model.metrics_names, model.evaluate(X, Y), strict=True)) == found
    graph = two()
    graph.compile("sgd", "mse", metrics=[["mape"], ["mae"]])
    found = graph.evaluate(X, [Y, Y], return_dict=True)
    assert dict(zip(graph.metrics_names, graph.evaluate(X, [Y, Y]), strict=True)) == found
    assert graph.metrics_names == ["loss", "u_loss", "a_loss", "a_mae", "u_mape"]
    first = model.train_on_batch(X, Y)
    model.reset_metrics()
    assert model.train_on_batch(X, Y)[0] < first[0]
    assert chain().metrics_names == []


def test_shapes_that_a_model_makes() -> None:
    unbuilt = Sequential([layers.Dense(3), Sequential([layers.Dense(5)])])
    assert unbuilt.compute_output_shape((7, 2)) == (7, 5)
    assert not unbuilt.built
    assert chain().compute_output_shape((None, 4)) == (None, 2)
    assert two().compute_output_shape((6, 4)) == [(6, 2), (6, 2)]
    x = Input((4,))
    assert Model(x, {"k": layers.Dense(2)(x)}).compute_output_shape((None, 4)) == {"k": (None, 2)}
    with pytest.raises(ShapeError, match=r"model 'sequential' takes inputs of widths \[4\]"):
        chain().compute_output_shape((None, 3))
    with pytest.raises(ShapeError, match=r"input_shape of model 'sequential' must be \(None, features\)"):
        chain().compute_output_shape((3,))


@pytest.mark.parametrize("name", ["input", "output", "inputs", "outputs", "input_shape", "output_shape"])
def test_a_chain_without_a_width_has_no_ends(name: str) -> None:
    model = Sequential([layers.Dense(3)])
    assert not hasattr(model, name)
    with pytest.raises(NotBuiltError, match=r"begin with fastnn.Input"):
        getattr(model, name)


def printed(model: Model, **options: Any) -> list[str]:
    lines: list[str] = []
    model.summary(print_fn=lines.append, **options)
    return lines


def test_a_summary_says_what_is_trained() -> None:
    model = chain()
    model.layers[0].trainable = False
    lines = printed(model, show_trainable=True)
    assert "trained" in lines[1]
    assert [line.split()[-1] for line in lines if line.startswith(("h ", "y "))] == ["no", "yes"]
    assert "trained" not in printed(model)[1]


def test_a_summary_of_some_layers() -> None:
    model = Sequential([Input((4,)), *(layers.Dense(2, name=f"d{i}") for i in range(5))])
    names = [line.split()[0] for line in printed(model, layer_range=("d1", "d[23]"))[3:-1]]
    assert names == ["d1", "d2", "d3"]
    with pytest.raises(ConfigurationError, match="unknown layer 'e'"):
        printed(model, layer_range=("d1", "e"))
    with pytest.raises(ConfigurationError, match="layer_range must be two names"):
        printed(model, layer_range="d1")


def test_weights_that_fit_are_loaded(tmp_path: Path) -> None:
    old, new = chain(2), chain(5)
    old.save_weights(tmp_path / "w")
    before = new.get_weights()
    with pytest.raises(FileFormatError, match=r"y/kernel"):
        new.load_weights(tmp_path / "w")
    with pytest.warns(Warned, match="y/kernel, y/bias stay as they are"):
        new.load_weights(tmp_path / "w", skip_mismatch=True)
    after = new.get_weights()
    for a, b in zip(after, [*old.get_weights()[:2], *before[2:]], strict=True):
        np.testing.assert_array_equal(a, b)
    chain(2).load_weights(tmp_path / "w", skip_mismatch=True)  # all fit, so nothing is said
    other = Sequential([Input((4,)), layers.Dense(9, name="other")])
    with pytest.raises(FileFormatError, match=r"none of its weights .* fits one of the model"):
        other.load_weights(tmp_path / "w", skip_mismatch=True)
    with pytest.raises(DTypeError, match="skip_mismatch must be"):
        new.load_weights(tmp_path / "w", skip_mismatch="yes")  # type: ignore[arg-type]


def test_a_batch_size_beside_batches_changes_nothing() -> None:
    batches = [(X[:5], Y[:5]), (X[5:], Y[5:])]
    one, other = chain(), chain()
    for model, given in ((one, {"batch_size": 3}), (other, {})):
        model.compile("sgd", "mse")
        model.fit(iter(batches), verbose=0, **given)
        assert model.evaluate(iter(batches), **given) == pytest.approx(model.evaluate(X, Y), rel=1e-6)
        assert model.predict(iter(batches), **given).shape == (12, 2)
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("layer", [layers.Dense(3, "relu", name="d"), layers.InputLayer((3,), "x")])
def test_layers_are_written_down(layer: Any) -> None:
    again = layers.deserialize(layers.serialize(layer))
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()


def test_what_is_no_layer_is_not_written_down() -> None:
    with pytest.raises(DTypeError, match=r"serialize needs a layer, got .*models have to_json and save"):
        layers.serialize(chain())  # type: ignore[arg-type]
    with pytest.raises(DTypeError, match="deserialize needs what serialize returns, got 'Dense'"):
        layers.deserialize("Dense")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="unknown layer 'Dens'; did you mean 'Dense'"):
        layers.deserialize({"class_name": "Dens", "config": {}})
    assert fastnn.layers.serialize is layers.serialize
