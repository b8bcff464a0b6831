"""Models of one shape share a graph; what its names stand for is each model's own."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import initializers, layers
from fastnn.graph import shared_graphs
from fastnn.graph.drawing import draw


@pytest.fixture
def draws(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return, for each graph that is drawn from now on, the number of its outputs."""
    found: list[int] = []

    def note(inputs: Any, outputs: Any, keys: Any) -> Any:
        found.append(len(outputs))
        return draw(inputs, outputs, keys)

    monkeypatch.setattr(shared_graphs, "draw", note)
    monkeypatch.setattr(
        shared_graphs, "_kept", type(shared_graphs._kept)(1000, lambda pattern: pattern.weight)
    )
    return found


def chain(units: int = 16, activation: str = "relu", name: str | None = None, **options: Any) -> Any:
    hidden = layers.Dense(units, activation, name=name, **options)
    return fastnn.Sequential([fastnn.Input((4,)), hidden, layers.Dense(1)], seed=3)


def branched() -> fastnn.Model:
    a, b = fastnn.Input((3,), name="a"), fastnn.Input((2,))
    shared = layers.Dense(4, "tanh")
    h = shared(layers.Dense(2)(a))
    return fastnn.Model([a, b], [layers.Add()([h, shared(b)]), h], seed=3)


def test_nets_of_one_shape_are_drawn_once(draws: list[int]) -> None:
    models = [chain() for _ in range(5)]
    assert draws == [1]
    assert all(model.graph is models[0].graph for model in models)
    assert len({id(layer) for model in models for layer in model.layers}) == 10
    for model in models:
        assert [layer.name for layer in model.layers] == ["dense", "dense_1"]
        assert model.get_layer("dense") is model.layers[0]
        assert model.layers[0].kernel.shape == (4, 16)


def test_graphs_with_branches_and_shared_layers_too(draws: list[int]) -> None:
    one, two = branched(), branched()
    assert draws == [2]
    assert one.graph is two.graph
    assert one.input_names == two.input_names
    assert [layer.name for layer in one.layers] == [layer.name for layer in two.layers]
    assert not set(map(id, one.layers)) & set(map(id, two.layers))
    drawing = two._now.need_drawing()
    fresh = draw(two.inputs, two.outputs)
    assert drawing.graph == fresh.graph
    assert (drawing.layers, drawing.members, drawing.tensors) == (fresh.layers, fresh.members, fresh.tensors)
    assert list(drawing.members) == list(fresh.members)
    assert list(drawing.layers) == list(fresh.layers)


@pytest.mark.parametrize(
    "other",
    [
        {"units": 17},
        {"activation": "tanh"},
        {"name": "hidden"},
        {"use_bias": False},
        {"trainable": False},
        {"kernel_regularizer": "l2"},
        {"kernel_initializer": "he_normal"},
        {"kernel_initializer": initializers.GlorotUniform(seed=1)},
    ],
    ids=str,
)
def test_what_differs_is_drawn_anew(other: dict[str, Any], draws: list[int]) -> None:
    one, two = chain(), chain(**other)
    assert draws == [1, 1]
    assert one.graph != two.graph


def test_inputs_and_connections_count(draws: list[int]) -> None:
    for name in (None, "x"):
        x = fastnn.Input((4,), name=name)
        h = layers.Dense(4)(x)
        fastnn.Model(x, layers.Add()([x, h]))
        fastnn.Model(x, layers.Add()([h, layers.Dense(4)(h)]))
        fastnn.Model(x, layers.Dense(4)(h))
    assert len(draws) == 6


class Shifted(initializers.Initializer):
    """Equal to every other of its class, and yet not the same."""

    def __init__(self, value: float) -> None:
        object.__setattr__(self, "value", value)

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        return np.full(shape, self.value)  # type: ignore[attr-defined]


def test_initialisers_of_ones_own_are_not_mixed_up() -> None:
    found = [chain(kernel_initializer=Shifted(value)).get_weights()[0][0, 0] for value in (1.0, 2.0)]
    assert found == [1.0, 2.0]


def test_models_within_models_are_drawn_each_time(draws: list[int]) -> None:
    for _ in range(2):
        fastnn.Sequential([fastnn.Input((4,)), chain(), layers.Dense(2)])
    assert draws.count(1) == 3  # the inner ones once


def test_a_pickled_graph_is_found_in_another_process() -> None:
    """Hashes of names differ there."""
    graph = chain().graph
    hash(graph)
    script = (
        "import pickle, sys, fastnn; from fastnn import layers\n"
        "graph = pickle.loads(sys.stdin.buffer.read())\n"
        "hidden = layers.Dense(16, 'relu')\n"
        "own = fastnn.Sequential([fastnn.Input((4,)), hidden, layers.Dense(1)], seed=3).graph\n"
        "assert graph == own and hash(graph) == hash(own)"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", script], input=pickle.dumps(graph), check=True, env=environment)
