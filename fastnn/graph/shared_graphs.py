"""Drawings of one shape, made once: models of equal layers, connected alike, share one graph.

A graph is a value and names no tensors and no layers, so it can be kept for models to come; what its names
stand for is entered for each.  This file must not know models, plans or arrays.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from fastnn.cache import Latest
from fastnn.graph.drawing import Drawing, draw, in_order
from fastnn.graph.graph import Graph
from fastnn.graph.symbolic import Maker, SymbolicTensor, stem_of
from fastnn.initializers import is_known

__all__ = ["drawn"]

_KEPT_NODES = 10_000  # of all graphs that are kept


@dataclass(frozen=True)
class _Pattern:
    """A drawing without its tensors and layers, which have numbers instead."""

    graph: Graph
    tensors: tuple[str, ...]
    layers: tuple[tuple[str, int], ...]
    members: tuple[tuple[str, int], ...]  # inputs, and layers, whose numbers begin behind those of inputs
    weight: int

    def of(self, order: list[SymbolicTensor], layers: Sequence[Maker]) -> Drawing:
        """Return the drawing of these tensors and layers."""
        owners = [*order[: len(self.graph.inputs)], *layers]
        return Drawing(
            self.graph,
            {name: layers[number] for name, number in self.layers},
            {name: owners[number] for name, number in self.members},
            dict(zip(order, self.tensors, strict=True)),
            order,
            [],
        )


_kept: Latest[_Pattern] = Latest(_KEPT_NODES, lambda pattern: pattern.weight)


def drawn(
    inputs: list[SymbolicTensor],
    outputs: list[SymbolicTensor],
    keys: Mapping[SymbolicTensor, str] | None = None,
) -> Drawing:
    """Return what `draw` returns, with the graph of an earlier drawing if there was an equal one.

    Drawings in which models are used as layers are made anew.

    Parameters
    ----------
    inputs, outputs : list of SymbolicTensor
    keys : mapping of SymbolicTensor to str, optional
        As of `draw`.

    Raises
    ------
    ConfigurationError, ShapeError
        As `draw` does.

    Examples
    --------
    >>> import fastnn
    >>> one, two = (fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)]) for _ in range(2))
    >>> one.graph is two.graph
    True
    """
    order = in_order(inputs, outputs)
    made = order[len(inputs) :]
    layers = list(dict.fromkeys(tensor.layer for tensor in made if tensor.layer is not None))
    if any(tensor.call is not None for tensor in made):
        return draw(inputs, outputs, keys)
    shape = (_shape(order, layers, inputs, outputs), tuple(map((keys or {}).get, order)))
    return _kept.get(shape, lambda: _pattern(draw(inputs, outputs, keys), layers)).of(order, layers)


def _shape(
    order: list[SymbolicTensor],
    layers: list[Maker],
    inputs: list[SymbolicTensor],
    outputs: list[SymbolicTensor],
) -> Hashable:
    """Return all that a drawing depends on."""
    places = {tensor: place for place, tensor in enumerate(order)}
    numbers: dict[Maker | None, int] = {layer: number for number, layer in enumerate(layers)}
    return (
        tuple((tensor.columns, tensor.name if tensor.layer is None else None) for tensor in inputs),
        tuple((stem_of(layer), layer.name, layer.named, layer.trainable, layer.config) for layer in layers),
        tuple(
            (numbers.get(tensor.layer), tensor.columns, tensor.step, *map(places.get, tensor.inputs))
            for tensor in order[len(inputs) :]
        ),
        tuple(places[tensor] for tensor in outputs),
    )


def _pattern(drawing: Drawing, layers: list[Maker]) -> _Pattern:
    """Return what stays of a drawing for others."""
    graph = drawing.graph
    numbers = {layer: number for number, layer in enumerate(layers)}
    owners = [*drawing.order[: len(graph.inputs)], *layers]
    places = {owner: place for place, owner in enumerate(owners)}
    # Whether equal initialisers of a user's class draw the same, nobody knows.
    own = all(is_known(p.initializer) for p in graph.parameters)
    return _Pattern(
        graph,
        tuple(drawing.tensors[tensor] for tensor in drawing.order),
        tuple((name, numbers[layer]) for name, layer in drawing.layers.items()),
        tuple((name, places[member]) for name, member in drawing.members.items()),
        len(graph.nodes) if own else _KEPT_NODES + 1,
    )
