"""`Sequential.add`, layer by layer: the same model as of a list, and no more work than that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.errors import ConfigurationError, ShapeError
from fastnn.graph import graph, symbolic


def added(chain: list[Any]) -> fastnn.Sequential:
    model = fastnn.Sequential(seed=7)
    for layer in chain:
        model.add(layer)
    return model


def same(one: fastnn.Sequential, two: fastnn.Sequential) -> None:
    """Check that two models are equal: names, graph, places and values of parameters."""
    drawings = one._now.need_drawing(), two._now.need_drawing()
    for name in ("graph", "idle"):
        assert getattr(drawings[0], name) == getattr(drawings[1], name)
    for name in ("layers", "members"):
        assert list(getattr(drawings[0], name)) == list(getattr(drawings[1], name))
    assert list(drawings[0].tensors.values()) == list(drawings[1].tensors.values())
    assert one._now.places == two._now.places
    assert [layer.name for layer in one.layers] == [layer.name for layer in two.layers]
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def inner() -> fastnn.Sequential:
    return fastnn.Sequential([fastnn.Input((3,)), layers.Dense(3, "tanh"), layers.Dense(3)], seed=1)


def twice() -> list[Any]:
    layer = layers.Dense(3, "tanh")
    return [fastnn.Input((3,)), layer, layers.Dense(3), layer]


CHAINS: dict[str, Callable[[], list[Any]]] = {
    "dense": lambda: [fastnn.Input((4,)), *(layers.Dense(3, "relu") for _ in range(4))],
    "names": lambda: [
        fastnn.Input((4,), name="x"),
        layers.Dense(3),
        layers.Dense(3, name="own"),
        layers.Dense(2, name="dense_2"),
        layers.Dense(2),
        layers.Dense(2),
        layers.Dense(2),
    ],
    "kinds": lambda: [
        fastnn.Input((4,)),
        layers.Dense(3, use_bias=False, kernel_regularizer="l2"),
        layers.BatchNormalization(),
        layers.Activation("relu"),
        layers.Dropout(0.5),
        layers.Dense(1, bias_initializer="ones"),
    ],
    "input_dim": lambda: [layers.Dense(3, input_dim=2), layers.Dense(1)],
    "within": lambda: [fastnn.Input((3,)), layers.Dense(3), inner(), layers.Dense(2), layers.Dense(2)],
    "twice": twice,
    "frozen": lambda: [fastnn.Input((3,)), layers.Dense(3, trainable=False), layers.Dense(1)],
}


@pytest.mark.parametrize("case", CHAINS)
def test_a_chain_that_grows_is_that_of_a_list(case: str) -> None:
    one, two = added(CHAINS[case]()), fastnn.Sequential(CHAINS[case](), seed=7)
    if case != "within":  # whose parameters lie behind those of the outer model, as they were there before
        same(one, two)
    x = np.random.default_rng(0).normal(size=(20, one.inputs[0].columns))
    for model in (one, two):
        model.compile("adam", "mse")
        model.fit(x, x[:, :1].repeat(one.outputs[0].columns, axis=1), epochs=2, verbose=0)
    np.testing.assert_array_equal(one.predict(x), two.predict(x))


def test_values_stay_as_layers_come() -> None:
    model = added([fastnn.Input((4,)), layers.Dense(3)])
    model.set_weights([np.full((4, 3), 2.0), np.ones(3)])
    model.add(layers.Dense(2))
    np.testing.assert_array_equal(model.layers[0].kernel, np.full((4, 3), 2.0, np.float32))
    assert model.layers[1].kernel.shape == (3, 2)
    assert model.predict(np.ones((1, 4))).shape == (1, 2)


def test_layers_that_others_have_too_keep_their_values() -> None:
    shared = layers.Dense(3, "tanh")
    other = fastnn.Sequential([fastnn.Input((3,)), shared], seed=1)
    wanted = other.get_weights()
    model = added([fastnn.Input((3,)), layers.Dense(3)])
    model.add(shared)
    model.add(layers.Dense(2))
    other.add(layers.Dense(1))
    for found in (other.get_weights()[:2], model.get_weights()[2:4]):
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(a, b)
    model.layers[1].set_weights([np.zeros((3, 3)), np.zeros(3)])
    assert not other.get_weights()[0].any()


def test_what_cannot_follow_changes_nothing() -> None:
    model = added([fastnn.Input((4,), name="x"), layers.Dense(3, name="a")])
    before = model.graph
    with pytest.raises(ConfigurationError, match="named 'a'"):
        model.add(layers.Dense(2, name="a"))
    with pytest.raises(ConfigurationError, match="named 'x'"):
        model.add(layers.Dense(2, name="x"))
    with pytest.raises(ShapeError, match="widths"):
        model.add(model.layers[0])
    assert model.graph is before
    assert len(model.layers) == 1
    model.add(layers.Dense(2))
    assert [layer.name for layer in model.layers] == ["a", "dense"]


def test_a_long_chain_is_not_drawn_anew_for_each_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    n_layers, made = 60, {"nodes": 0, "tensors": 0, "parameters": 0}

    def counted(kind: str, cls: Any) -> None:
        begin = cls.__init__

        def count(*arguments: Any, **options: Any) -> None:
            made[kind] += 1
            begin(*arguments, **options)

        monkeypatch.setattr(cls, "__init__", count)

    counted("nodes", graph.Node)
    counted("tensors", symbolic.SymbolicTensor)
    counted("parameters", graph.Parameter)
    added([fastnn.Input((4,)), *(layers.Dense(4, "relu") for _ in range(n_layers))])
    assert made["nodes"] <= 2 * n_layers
    assert made["tensors"] <= 2 * n_layers
    assert made["parameters"] <= 4 * n_layers
