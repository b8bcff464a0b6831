"""Drawing: what leads from inputs to outputs, as symbolic tensors remember it, becomes a graph of nodes.

This file must not know models, plans or arrays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastnn.errors import ConfigurationError, ShapeError
from fastnn.graph.graph import Graph, Node, Parameter, Tensor, by_depth
from fastnn.graph.symbolic import (
    Call,
    Maker,
    SymbolicTensor,
    check_taken,
    is_input,
    maker_of,
    origin_of,
    stem_of,
    title,
)
from fastnn.ops import REAL, Kind

__all__ = ["Drawing", "draw", "followed", "in_order"]


def _kinds(
    inputs: Sequence[SymbolicTensor], made: Sequence[SymbolicTensor], outputs: Sequence[SymbolicTensor]
) -> dict[SymbolicTensor, Kind]:
    """Return what inputs hold of which others than real numbers are taken.

    Raises
    ------
    ConfigurationError
        If an input would have to hold both, or it is no input that has to.
    """
    given = set(inputs)
    kinds: dict[SymbolicTensor, Kind] = {}
    readers: dict[SymbolicTensor, str] = {origin_of(t, given): "the model's outputs" for t in outputs}
    for tensor in made:
        if tensor.layer is None:
            continue
        takes, name = tensor.layer.config.takes, title(tensor.layer)
        for source in (origin_of(source, given) for source in tensor.inputs):
            check_taken(name, tensor.layer.config, source)
            if takes.is_whole:
                kinds[source] = min(kinds.get(source, takes), takes, key=lambda kind: kind.limit)
            else:
                readers[source] = f"layer {name!r}"
    for tensor in kinds:
        if tensor in readers:
            raise ConfigurationError(
                f"input {tensor.name or 'without a name'!r} leads to a layer that takes integers and to "
                f"{readers[tensor]}, where real numbers are; give each an Input of its own"
            )
    return kinds


def in_order(inputs: list[SymbolicTensor], outputs: list[SymbolicTensor]) -> list[SymbolicTensor]:
    """Return inputs, and all that leads from them to the outputs, in the order in which it was drawn.

    Raises
    ------
    ConfigurationError
        If an output depends on an input that is not given, an input leads nowhere, an input or an output
        stands twice, or there is a cycle.
    """
    chain = _chain(inputs, outputs)
    if chain is not None:
        return chain
    given, used = set(inputs), set()
    for ends, what in ((inputs, "inputs"), ([origin_of(tensor, given) for tensor in outputs], "outputs")):
        if len(set(ends)) < len(ends):
            twice = next(tensor for tensor in ends if ends.count(tensor) > 1)
            raise ConfigurationError(f"{twice!r} stands twice among the {what}; name it once")
    found: dict[SymbolicTensor, None] = {}
    stack = list(outputs)
    while stack:
        tensor = stack.pop()
        if tensor in given:
            used.add(tensor)
        elif is_input(tensor):
            raise ConfigurationError(
                f"an output depends on the input {tensor.name or 'without a name'!r}, which is not among "
                "the model's inputs; add it to inputs="
            )
        elif tensor not in found:
            found[tensor] = None
            stack += tensor.inputs
            if any(source.number >= tensor.number for source in tensor.inputs):
                raise ConfigurationError(
                    f"the graph has a cycle through layer {maker_of(tensor)!r}; only graphs without "
                    "cycles can be trained"
                )
    for position, tensor in enumerate(inputs):
        if tensor not in used:
            raise ConfigurationError(
                f"input {tensor.name or position!r} leads to no output; connect it, or leave it out"
            )
    return [*inputs, *sorted(found, key=lambda tensor: tensor.number)]


def _chain(inputs: list[SymbolicTensor], outputs: list[SymbolicTensor]) -> list[SymbolicTensor] | None:
    """Return what leads from the only input to the only output, if each is made by a layer of one before."""
    if not len(inputs) == len(outputs) == 1:
        return None
    found: list[SymbolicTensor] = []
    tensor = outputs[0]
    while tensor is not inputs[0]:
        if tensor.layer is None or len(tensor.inputs) != 1 or tensor.inputs[0].number >= tensor.number:
            return None
        found.append(tensor)
        tensor = tensor.inputs[0]
    return [tensor, *reversed(found)]


def _by_depth(
    inputs: Sequence[SymbolicTensor], made: Sequence[SymbolicTensor], outputs: Sequence[SymbolicTensor]
) -> dict[Any, list[SymbolicTensor | Call]]:
    """Return inputs, layers, and models used as layers, with their uses, in the order of `by_depth`.

    Also layers that only lead to inputs of calls on which the outputs, which are `made`, do not depend.
    """
    given = set(inputs)

    def nodes(tensors: Sequence[SymbolicTensor]) -> list[SymbolicTensor | Call]:
        return [
            tensor if tensor in given else tensor.call or tensor
            for tensor in tensors
            if tensor in given or not is_input(tensor)
        ]

    def sources(node: SymbolicTensor | Call) -> list[SymbolicTensor | Call]:
        return [] if node in given else nodes(node.inputs)

    def owner(node: SymbolicTensor | Call) -> Any:
        return node if node in given else node.model if isinstance(node, Call) else node.layer

    order = by_depth(nodes(outputs), sources, owner, lambda node: node.step)
    met = [source for uses in order.values() for node in uses if node not in given for source in node.inputs]
    if any(is_input(source) and source not in given for source in met):
        # Something that no output depends on begins elsewhere.  Keras has no such models.
        needed = given | {owner(node) for node in nodes(made)}
        order = {known: uses for known, uses in order.items() if known in needed}
    return order


@dataclass(eq=False)
class Drawing:
    """A graph, and what its names stand for.

    Attributes
    ----------
    graph : Graph
    layers : dict of str to Layer
        By the names of nodes, in Keras's order: those of a model used as a layer stand together.
    members : dict of str to object
        Inputs, layers and models used as layers in Keras's order, by their names in this graph.
    tensors : dict of SymbolicTensor to str
        Names of the graph's tensors.
    order : list of SymbolicTensor
    idle : list of (Layer, Parameter)
        Parameters that no output depends on, but which Keras counts: of models used as layers, some of whose
        outputs nobody reads.
    nests : (object, object)
        How inputs and outputs are nested, lists, tuples and dicts whose leaves do not count; None of those
        that are in a list, or alone.
    """

    graph: Graph
    layers: dict[str, Maker]
    members: dict[str, Any]
    tensors: dict[SymbolicTensor, str]
    order: list[SymbolicTensor]
    idle: list[tuple[Maker, Parameter]]
    nests: tuple[Any, Any] = (None, None)

    def entries(self) -> list[tuple[Maker, Parameter]]:
        """Return all parameters, each with its layer, in the order of the nodes; idle ones come last."""
        found = {p.name: (self.layers[node.layer], p) for node in self.graph.nodes for p in node.parameters}
        return [*found.values(), *self.idle]

    def _flags_differ(self) -> bool:
        """Return whether a layer's `trainable` flag is not what its parameters have."""
        for node in self.graph.nodes:
            if node.parameters:
                flag = self.layers[node.layer].trainable
                for parameter in node.parameters:
                    if parameter.trainable != flag:
                        return True
        return False

    def with_flags(self) -> Drawing:
        """Return the drawing with the layers' `trainable` flags as they are now."""
        if not self._flags_differ():
            return self
        nodes = tuple(
            replace(
                node,
                parameters=tuple(
                    replace(p, trainable=self.layers[node.layer].trainable) for p in node.parameters
                ),
            )
            for node in self.graph.nodes
        )
        return replace(self, graph=Graph(self.graph.inputs, self.graph.outputs, nodes))


def draw(
    inputs: list[SymbolicTensor],
    outputs: list[SymbolicTensor],
    keys: Mapping[SymbolicTensor, str] | None = None,
) -> Drawing:
    """Return the graph that leads from inputs to outputs.

    Parameters
    ----------
    inputs, outputs : list of SymbolicTensor
    keys : mapping of SymbolicTensor to str, optional
        Under which keys users give or get those of them that have one; behind a ``/`` at its end comes the
        tensor's label.

    Raises
    ------
    ConfigurationError
        For what `in_order` finds, and for two layers, or two inputs, of one name.
    ShapeError
        If a layer is used on tensors of different widths.
    """
    order = in_order(inputs, outputs)
    names = _Names()
    tensors: dict[SymbolicTensor, Tensor] = {}
    made = order[len(inputs) :]
    kinds = _kinds(inputs, made, outputs)
    given = set(inputs)
    known_as = {origin_of(tensor, given): key for tensor, key in (keys or {}).items()}
    for tensor in inputs:
        known = tensor.name if tensor.layer is None else None
        kind = kinds.get(tensor, REAL)
        tensors[tensor] = _named(names.of((), tensor, known, "input"), tensor, known_as, kind)
    paths: dict[Maker, tuple[str, ...]] = {}  # the shortest, where one is used in several models
    for tensor in made:
        path: tuple[str, ...] = ()
        for model in tensor.scope:
            path = (*path, names.of(path, model, None, model.name))
        if tensor.layer is not None and (tensor.layer not in paths or len(path) < len(paths[tensor.layer])):
            paths[tensor.layer] = path
    for layer, path in paths.items():
        if layer.named:  # names that users chose come first
            names.of(path, layer, layer.name, "")
    nodes: list[Node] = []
    called: dict[Maker, str] = {}
    uses: dict[str, int] = {}
    by_layer: dict[str, Node] = {}
    for tensor in made:
        if tensor.layer is None:
            tensors[tensor] = tensors[tensor.inputs[0]]
            continue
        layer, path = tensor.layer, paths[tensor.layer]
        name = "/".join((*path, names.of(path, layer, layer.name, stem_of(layer), layer.named)))
        use = uses[name] = uses.get(name, -1) + 1
        output = _named(f"{name}/y" if not use else f"{name}/y_{use}", tensor, known_as)
        widths = tuple(source.columns for source in tensor.inputs)
        parameters = layer.config.parameters(name, widths, layer.trainable)
        node = Node(name, layer.config, tuple(tensors[s] for s in tensor.inputs), output, parameters)
        first = by_layer.setdefault(name, node)
        if first.parameters != parameters:
            before = [source.columns for source in first.inputs]
            raise ShapeError(
                f"layer {name!r} is used on widths {before} and {list(widths)}, but has one kernel; "
                "use one layer for each width"
            )
        called[layer] = name
        tensors[tensor] = output
        nodes.append(node)
    graph = Graph(tuple(tensors[t] for t in inputs), tuple(tensors[t] for t in outputs), tuple(nodes))
    named = {tensor: found.name for tensor, found in tensors.items()}
    drawing = Drawing(graph, {}, {}, named, order, [])
    _enter_layers(drawing, _by_depth(inputs, made, outputs), called, names)
    return drawing


def _named(
    name: str, tensor: SymbolicTensor, keys: Mapping[SymbolicTensor, str], kind: Kind = REAL
) -> Tensor:
    """Return the graph's tensor of this name, with its key if that is not its label."""
    found = Tensor(name, tensor.columns, kind)
    key = keys.get(tensor, "")
    if key.endswith("/"):
        key += found.label
    return found if key in ("", found.label) else replace(found, key=key)


def followed(drawing: Drawing, tensor: SymbolicTensor) -> Drawing | None:
    """Return a drawing with one more layer behind its only output, or None if all has to be drawn anew.

    Parameters
    ----------
    drawing : Drawing
    tensor : SymbolicTensor
        What a layer that belongs to no model makes of that output.
    """
    layer, graph = tensor.layer, drawing.graph
    if layer is None or layer._store is not None or tensor.call is not None or len(graph.outputs) != 1:
        return None
    if [drawing.tensors.get(source) for source in tensor.inputs] != [graph.outputs[0].name]:
        return None
    name = layer.name or stem_of(layer)
    if layer.name is None:
        number = 0
        while name in drawing.members:
            number += 1
            name = f"{stem_of(layer)}_{number}"
    elif not layer.named or name in drawing.members:
        return None
    output = Tensor(f"{name}/y", tensor.columns)
    parameters = layer.config.parameters(name, (graph.outputs[0].columns,), layer.trainable)
    node = Node(name, layer.config, graph.outputs, output, parameters)
    return Drawing(
        Graph(graph.inputs, (output,), (*graph.nodes, node)),
        drawing.layers | {name: layer},
        drawing.members | {name: layer},
        drawing.tensors | {tensor: output.name},
        [*drawing.order, tensor],
        drawing.idle,
    )


def _enter_layers(
    drawing: Drawing,
    order: dict[Any, list[SymbolicTensor | Call]],
    called: dict[Maker, str],
    names: _Names,
) -> None:
    """Enter layers, and models used as layers, into a drawing; `called` knows the names of the nodes."""

    def enter(path: tuple[str, ...], layer: Maker, parameters: Iterable[Parameter]) -> None:
        if layer not in called:  # no output depends on it
            name = called[layer] = "/".join((*path, names.of(path, layer, layer.name, stem_of(layer), False)))
            drawing.idle.extend((layer, replace(p, name=f"{name}/{p.role}")) for p in parameters)
        drawing.layers.setdefault(called[layer], layer)

    for owner, uses in order.items():
        if isinstance(owner, SymbolicTensor):
            drawing.members[drawing.tensors[owner]] = owner
            continue
        if isinstance(uses[0], SymbolicTensor):
            widths = tuple(source.columns for source in uses[0].inputs)
            enter((), owner, owner.config.parameters("", widths, owner.trainable))
        top = names.of((), owner, None, title(owner))
        drawing.members[top] = owner
        for inner in dict.fromkeys(use.drawing for use in uses if isinstance(use, Call)):
            entries = inner.entries()
            for name, layer in inner.layers.items():
                path = (top, *name.split("/")[:-1])
                enter(path, layer, (p for other, p in entries if other is layer))


class _Names:
    """Gives names that are unique within a model, or within a model used as a layer."""

    def __init__(self) -> None:
        self._names: dict[tuple[tuple[str, ...], int], str] = {}
        self._taken: dict[tuple[str, ...], dict[str, Any]] = {}
        self._numbers: dict[tuple[tuple[str, ...], str], int] = {}  # the latest, by path and stem

    def of(self, path: tuple[str, ...], what: Any, name: str | None, stem: str, chosen: bool = True) -> str:
        """Return the name of `what`; `chosen` says that `name` is its user's and must not be changed."""
        key = (path, id(what))
        if key in self._names:
            return self._names[key]
        taken = self._taken.setdefault(path, {})
        if name is not None and name in taken:
            if chosen:
                raise ConfigurationError(
                    f"two layers, or an input and a layer, are named {name!r}; give one another name="
                )
            name = None
        if name is None:
            name = stem
            while name in taken:
                number = self._numbers[path, stem] = self._numbers.get((path, stem), 0) + 1
                name = f"{stem}_{number}"
        taken[name] = what
        self._names[key] = name
        return name
