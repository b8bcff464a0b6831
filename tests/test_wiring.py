"""Randomly wired networks: their graphs, and that they train like any other model (lecture A.6)."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.errors import ConfigurationError, DTypeError
from fastnn.wiring import random_wiring

networkx = pytest.importorskip("networkx", reason="networkx, the extra 'graph', is not installed")
KINDS = ["er", "ba", "ws"]


def wired(kind: str, nodes: int = 10, width: int = 8, seed: int = 3, dtype: str = "float32") -> fastnn.Model:
    x = fastnn.Input((2,))
    return fastnn.Model(x, layers.Dense(1, "sigmoid")(random_wiring(kind, nodes, width, seed)(x)), dtype, 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("nodes", [6, 17, 32])
def test_a_wiring_is_connected_acyclic_and_that_of_its_seed(kind: str, nodes: int) -> None:
    wiring = random_wiring(kind, nodes, 4, 7)
    assert all(0 <= begin < end < nodes for begin, end in wiring.edges)
    assert len(set(wiring.edges)) == len(wiring.edges)
    assert networkx.is_connected(networkx.Graph(wiring.edges))
    assert set(networkx.Graph(wiring.edges)) == set(range(nodes))
    assert random_wiring(kind, nodes, 4, 7) == wiring
    assert nodes == 6 or random_wiring(kind, nodes, 4, 8) != wiring  # there are few of 6 nodes


def test_edges_are_those_of_the_models_that_the_paper_names() -> None:
    ring = random_wiring("ws", 12, 4, 0, probability=0.0, neighbours=4).edges
    circle = networkx.watts_strogatz_graph(12, 4, 0.0)
    assert set(ring) == {(min(edge), max(edge)) for edge in circle.edges}
    assert len(random_wiring("ba", 20, 4, 0, neighbours=3).edges) == 3 * (20 - 3)
    assert len(random_wiring("er", 9, 4, 0, probability=1.0).edges) == 9 * 8 // 2


@pytest.mark.parametrize("kind", KINDS)
def test_every_node_joins_its_inputs_with_learned_positive_weights(kind: str) -> None:
    wiring = random_wiring(kind, 10, 8, 3)
    model = wired(kind)
    sums = [layer for layer in model.layers if isinstance(layer, layers.WeightedSum)]
    assert sum(len(layer.get_weights()) for layer in sums) == len(wiring.edges)
    assert sum(isinstance(layer, layers.Dense) for layer in model.layers) == wiring.nodes + 1
    x = np.random.default_rng(0).uniform(-1, 1, (50, 2))
    expected: dict[int, np.ndarray] = {}
    drawn = [model.get_layer(node.layer) for node in model.graph.nodes]
    dense = [layer for layer in drawn if isinstance(layer, layers.Dense)]
    for node, layer in zip(range(wiring.nodes), dense, strict=False):
        sources = [begin for begin, end in wiring.edges if end == node]
        joined = sum(0.5 * expected[source] for source in sources) if sources else x
        expected[node] = np.maximum(joined @ layer.kernel + layer.bias, 0)
    last = [node for node in expected if node not in {begin for begin, _ in wiring.edges}]
    h = np.mean([expected[node] for node in last], axis=0)
    y = 1 / (1 + np.exp(-(h @ dense[-1].kernel + dense[-1].bias)))
    np.testing.assert_allclose(model.predict(x), y, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_agree_with_finite_differences(kind: str, tolerances: dict[str, float]) -> None:
    model = wired(kind, nodes=7)
    model.compile("sgd", "binary_crossentropy")
    rng = np.random.default_rng(1)
    report = fastnn.gradcheck(model, rng.uniform(-1, 1, (9, 2)), rng.integers(0, 2, (9, 1)))
    assert report.largest <= tolerances["finite difference"]
    assert any("weighted_sum" in name for name in report)


@pytest.mark.parametrize("kind", KINDS)
def test_a_randomly_wired_network_learns_what_no_line_separates(kind: str) -> None:
    x, y = fastnn.datasets.make_quadrants(1000, 0)
    fresh = fastnn.datasets.make_quadrants(2000, 1)
    model = wired(kind)
    model.compile(fastnn.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=50, epochs=60, verbose=0)
    assert model.evaluate(*fresh, return_dict=True)["accuracy"] >= 0.97


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("xx", 8, 4, 0), "unknown kind of random graph 'xx'"),
        (("ws", 1, 4, 0), "nodes must be at least 2"),
        (("ws", 8, 0, 0), "width must be at least 1"),
        (("ws", 4, 4, 0), "neighbours must be at most 3, got 4"),
        (("ba", 5, 4, 0), "neighbours must be at most 4, got 5"),
        (("ws", 8, 4, -1), "seed must be at least 0"),
    ],
)
def test_impossible_wirings_are_refused(arguments: tuple[str, int, int, int], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        random_wiring(*arguments)


def test_a_wiring_that_cannot_be_connected_says_what_to_raise() -> None:
    with pytest.raises(ConfigurationError, match=r"none was connected; raise probability \(0\)"):
        random_wiring("er", 5, 4, 0, probability=0.0)
    with pytest.raises(ConfigurationError, match="probability must be a finite number"):
        random_wiring("er", 5, 4, 0, probability=1.5)
    with pytest.raises(DTypeError, match="symbolic tensors"):
        random_wiring("er", 5, 4, 0, probability=1.0)(np.zeros((2, 2)))  # type: ignore[arg-type]
