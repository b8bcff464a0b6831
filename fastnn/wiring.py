"""Randomly wired networks: random graphs made acyclic, whose nodes are dense layers.

After Xie, Kirillov, Girshick and He 2019 (arXiv 1904.01569; lecture A.6).  networkx draws the graphs and is
imported on first use.  This file must not know plans or kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastnn import layers
from fastnn.checks import check_count, check_number
from fastnn.errors import ConfigurationError, unknown_name
from fastnn.graph.symbolic import SymbolicTensor, as_list

__all__ = ["Wiring", "random_wiring"]

_TRIES = 1000  # graphs drawn until one is connected


@dataclass(frozen=True)
class Wiring:
    """A drawn graph; called on a symbolic tensor, it builds the network.

    Attributes
    ----------
    nodes : int
    width : int
        Units of each node.
    edges : tuple of (int, int)
        From the smaller to the larger number, so there is no cycle.
    """

    nodes: int
    width: int
    edges: tuple[tuple[int, int], ...]

    def __call__(self, x: SymbolicTensor) -> SymbolicTensor:
        """Return the average of the nodes that no other node reads.

        A node is ``relu(dense(weighted sum of its inputs))``; nodes without one read `x`.

        Parameters
        ----------
        x : SymbolicTensor

        Returns
        -------
        SymbolicTensor, (None, width)
        """
        (first,) = as_list(x, "the input of a wiring")
        sources: dict[int, list[int]] = {node: [] for node in range(self.nodes)}
        for begin, end in self.edges:
            sources[end].append(begin)
        outputs: list[SymbolicTensor] = []
        for node in range(self.nodes):
            inputs = [outputs[source] for source in sources[node]]
            joined = layers.WeightedSum()(inputs) if inputs else first
            outputs.append(layers.Dense(self.width, "relu")(joined))
        read = {begin for begin, _ in self.edges}
        last = [outputs[node] for node in range(self.nodes) if node not in read]
        return layers.Average()(last) if len(last) > 1 else last[0]


def random_wiring(
    kind: str,
    nodes: int,
    width: int,
    seed: int,
    *,
    probability: float | None = None,
    neighbours: int | None = None,
) -> Wiring:
    """Draw a random graph and direct its edges from smaller to larger node numbers.

    Parameters
    ----------
    kind : {"er", "ba", "ws"}
        Erdos and Renyi: each edge is there with a probability.  Barabasi and Albert: each new node joins
        `neighbours` others, well connected ones more likely.  Watts and Strogatz: a ring of `neighbours`
        each, edges rewired with a probability.
    nodes : int
    width : int
        Units of each node.
    seed : int
    probability : float, optional
        For ``"er"`` (default 0.2) and ``"ws"`` (default 0.75).
    neighbours : int, optional
        For ``"ba"`` (default 5) and ``"ws"`` (default 4, even).

    Returns
    -------
    Wiring

    Raises
    ------
    ConfigurationError
        For an unknown kind, or numbers that no connected graph has.
    ImportError
        Without networkx.

    Examples
    --------
    >>> import fastnn
    >>> x = fastnn.Input((4,))
    >>> y = fastnn.layers.Dense(1)(random_wiring("ws", 8, 16, seed=1)(x))
    >>> fastnn.Model(x, y, seed=0).built
    True
    """
    drawers: dict[str, Callable[[Any, int], Any]] = {
        "er": lambda nx, s: nx.erdos_renyi_graph(nodes, chance, seed=s),
        "ba": lambda nx, s: nx.barabasi_albert_graph(nodes, close, seed=s),
        "ws": lambda nx, s: nx.watts_strogatz_graph(nodes, close, chance, seed=s),
    }
    if kind not in drawers:
        raise unknown_name("kind of random graph", str(kind), drawers)
    check_count(nodes, "nodes", 2)
    check_count(width, "width")
    check_count(seed, "seed", 0)
    default = {"er": 0.2, "ba": 0.0, "ws": 0.75}[kind]
    chance = check_number(default if probability is None else probability, "probability", 0.0, 1.0)
    wanted = {"er": 1, "ba": 5, "ws": 4}[kind] if neighbours is None else neighbours
    close = check_count(wanted, "neighbours", 2 if kind == "ws" else 1, nodes - 1)
    try:
        import networkx
    except ImportError as error:
        raise ImportError("random wiring needs networkx: pip install networkx") from error
    for attempt in range(_TRIES):
        graph = drawers[kind](networkx, seed + attempt * 2**31)
        if networkx.is_connected(graph):
            edges = sorted((min(edge), max(edge)) for edge in graph.edges)
            return Wiring(nodes, width, tuple((int(begin), int(end)) for begin, end in edges))
    raise ConfigurationError(
        f"of {_TRIES} graphs none was connected; raise probability ({chance:g}) or neighbours ({close})"
    )
