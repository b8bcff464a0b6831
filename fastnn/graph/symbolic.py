"""Symbolic tensors: layers called on them draw a graph, which `draw` turns into nodes.

A tensor remembers the layer that makes it and that layer's inputs; nothing else is recorded, so a
graph exists when outputs do.  This file must not know models, plans or arrays.
"""

from __future__ import annotations

import functools
import itertools
import numbers
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

from fastnn.errors import ConfigurationError, DTypeError, ShapeError
from fastnn.graph.graph import Config, Graph, Node, Parameter, Tensor, by_depth, walk
from fastnn.ops import REAL, Kind

__all__ = [
    "Call",
    "OPERATORS",
    "Drawing",
    "Maker",
    "SymbolicTensor",
    "ancestry",
    "apply",
    "as_list",
    "config_of",
    "draw",
    "followed",
    "replay",
]


_NUMBERS = itertools.count()


class Maker(Protocol):
    """A layer, as far as a graph knows it: what makes tensors."""

    config: Config
    name: str | None
    named: bool
    trainable: bool
    output: SymbolicTensor | None  # the latest
    _store: Any  # where its parameters live

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make such a layer, as plain values."""


# The layers that operators stand for, by their names; they build on this file, and enter themselves.
OPERATORS: dict[str, Callable[..., Callable[..., SymbolicTensor]]] = {}


class SymbolicTensor:
    """A matrix without values, one row per row of the batch; made by `Input` and by calling layers.

    ``x + y``, ``x - y``, ``x * y`` and ``-x`` are the layers `Add`, `Subtract`, `Multiply` and `Scale`; with
    numbers `Shift` and `Scale`.

    Attributes
    ----------
    columns : int
    name : str or None
        Of an input.
    dtype : str or None
        That of integers, of an input that was declared to hold such.
    layer : Layer or None
        Who makes it; None for an input, and for what a model, used as a layer, hands through.
    inputs : tuple of SymbolicTensor
        What that layer reads, or what is handed through.
    scope : tuple
        The models that the layer was drawn in, where a model was used as a layer.
    call : Call or None
        The use of the outermost of these models.
    port : int or None
        Which output of that model it is, if it is one.
    step : float
        How much deeper than it lies what it is made of, see `by_depth`.
    number : int
        Larger than those of its inputs, and of what was drawn before.
    """

    __slots__ = (
        *("call", "columns", "dtype", "inputs", "layer", "name", "number", "port", "scope", "step"),
        "__weakref__",
    )
    __array_ufunc__ = None  # so that NumPy leaves ``np.float64(2) * x`` to this class

    def __init__(
        self,
        columns: int,
        name: str | None = None,
        layer: Maker | None = None,
        inputs: tuple[SymbolicTensor, ...] = (),
        scope: tuple[Any, ...] = (),
        call: Call | None = None,
    ) -> None:
        self.columns, self.name, self.layer, self.inputs, self.scope = columns, name, layer, inputs, scope
        self.call, self.step = call, 1.0
        self.port: int | None = None
        self.dtype: str | None = None
        self.number: int = next(_NUMBERS)
        for tensor in inputs:
            if tensor.number >= self.number:
                self.number = tensor.number + 1

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__ if name != "__weakref__"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)

    @property
    def shape(self) -> tuple[None, int]:
        """``(None, columns)``, as in Keras."""
        return (None, self.columns)

    def __add__(self, other: object) -> SymbolicTensor:
        return _gate("Add", "Shift", self, other)

    __radd__ = __add__

    def __mul__(self, other: object) -> SymbolicTensor:
        return _gate("Multiply", "Scale", self, other)

    __rmul__ = __mul__

    def __sub__(self, other: object) -> SymbolicTensor:
        if isinstance(other, SymbolicTensor):
            return _gate("Subtract", "Shift", self, other)
        return NotImplemented if not isinstance(other, numbers.Real) else self + -other

    def __rsub__(self, other: object) -> SymbolicTensor:
        negative = -self
        made = negative + other
        negative.step = made.step = 0.5  # two layers here, one operation in Keras
        return made

    def __neg__(self) -> SymbolicTensor:
        return _gate("", "Scale", self, -1.0)

    def __array__(self, *_: object, **__: object) -> Any:
        raise DTypeError(
            "a symbolic tensor has no values; build a model, fastnn.Model(inputs, outputs), and call predict"
        )

    def __repr__(self) -> str:
        what = f"input {self.name!r}" if _is_input(self) else f"output of {_maker(self)!r}"
        return f"<SymbolicTensor (None, {self.columns}), {what}>"


def _gate(merge: str, affine: str, tensor: SymbolicTensor, other: object) -> SymbolicTensor:
    """Return what an operator makes of a tensor and another one, or a number."""
    if isinstance(other, SymbolicTensor):
        return OPERATORS[merge]()([tensor, other])
    if isinstance(other, numbers.Real):
        return OPERATORS[affine](other)(tensor)
    return NotImplemented


def title(layer: Maker) -> str:
    """Return what messages call a layer."""
    return layer.name or stem_of(layer)


def stem_of(layer: Maker) -> str:
    """Return what a layer without a name is named after: its class, in Keras's spelling.

    Examples
    --------
    >>> from fastnn.layers import LeakyReLU
    >>> stem_of(LeakyReLU())
    'leaky_re_lu'
    """
    return _in_snake_case(type(layer).__name__)


@functools.lru_cache
def _in_snake_case(name: str) -> str:
    spaced = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", spaced).lower()


def _is_input(tensor: SymbolicTensor) -> bool:
    return tensor.layer is None and tensor.call is None


def _maker(tensor: SymbolicTensor) -> str:
    """Return what messages call the layer that makes a tensor, or the model that hands it through."""
    if tensor.layer is not None:
        return title(tensor.layer)
    return str(tensor.call.model.name) if tensor.call is not None else ""


def as_list(tensors: object, what: str) -> list[SymbolicTensor]:
    """Return one symbolic tensor, or a sequence of them, as a list.

    Raises
    ------
    DTypeError
        If there is anything else among them, or nothing.
    """
    if isinstance(tensors, SymbolicTensor):
        return [tensors]
    several = isinstance(tensors, Sequence) and not isinstance(tensors, str)
    found: list[Any] = list(tensors) if several else [tensors]  # type: ignore[call-overload]
    for tensor in found:
        if not isinstance(tensor, SymbolicTensor):
            shape = getattr(tensor, "shape", None)
            given = repr(tensor) if shape is None else f"an array of shape {shape}"
            raise DTypeError(
                f"{what} must be symbolic tensors, made by fastnn.Input and by calling layers, got {given}"
            )
    if not found:
        raise DTypeError(f"{what} must be at least one symbolic tensor, got none")
    return found


def config_of(layer: Maker) -> Config:
    """Return a layer's configuration.

    Raises
    ------
    ConfigurationError
        If it has none, being of a class that fastnn has no kernels for.
    """
    config: Config | None = getattr(layer, "config", None)
    if config is None:
        raise ConfigurationError(
            f"{type(layer).__name__} cannot run: layers are those of fastnn.layers, such as Dense; "
            "Python code cannot run inside the kernels"
        )
    return config


def apply(layer: Maker, inputs: object) -> SymbolicTensor:
    """Return the tensor that a layer makes of its inputs.

    Raises
    ------
    DTypeError
        If the inputs are not symbolic tensors.
    ShapeError
        If their number or their widths do not suit the layer.
    ConfigurationError
        If they hold integers and the layer takes real numbers, or the other way round.
    """
    name, config = title(layer), config_of(layer)
    tensors = as_list(inputs, f"the inputs of layer {name!r}")
    least, most = config.least_inputs, config.most_inputs
    if len(tensors) < least or (most is not None and len(tensors) > most):
        wanted = f"{least}" if most == least else f"at least {least}"
        raise ShapeError(
            f"layer {name!r} takes {wanted} tensor{'s' if wanted != '1' else ''}, got {len(tensors)}"
            + ("; call it on a list of them" if len(tensors) < least else "")
        )
    for tensor in tensors:
        _check_taken(name, config, _origin(tensor, set()))
    columns = config.columns(name, tuple(tensor.columns for tensor in tensors))
    return SymbolicTensor(columns, None, layer, tuple(tensors))


def _check_taken(name: str, config: Config, tensor: SymbolicTensor) -> None:
    """Check that a tensor may hold what a layer takes."""
    if config.takes.is_whole and not _is_input(tensor):
        raise ConfigurationError(
            f"layer {name!r} takes integers, and {_maker(tensor)!r} makes real numbers; call it on an Input "
            "of its own, and put what it makes beside others with Concatenate"
        )
    if tensor.dtype is not None and not config.takes.is_whole:
        raise ConfigurationError(
            f"layer {name!r} takes real numbers, and input {tensor.name or 'without a name'!r} has dtype "
            f"{tensor.dtype}; put an Embedding between them, or leave the input's dtype out"
        )


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
    readers: dict[SymbolicTensor, str] = {_origin(t, given): "the model's outputs" for t in outputs}
    for tensor in made:
        if tensor.layer is None:
            continue
        takes, name = tensor.layer.config.takes, title(tensor.layer)
        for source in (_origin(source, given) for source in tensor.inputs):
            _check_taken(name, tensor.layer.config, source)
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


@dataclass(frozen=True, eq=False, slots=True)
class Call:
    """A use of a model as a layer; where layers are put in order it counts as one, as in Keras.

    Attributes
    ----------
    model : Model
    inputs : tuple of SymbolicTensor
        What it is called on.
    drawing : Drawing
        Of the model, as it was then.
    """

    model: Any
    inputs: tuple[SymbolicTensor, ...]
    drawing: Drawing
    step: ClassVar[float] = 1.0


def replay(
    call: Call, inputs: Sequence[SymbolicTensor], outputs: Sequence[SymbolicTensor]
) -> list[SymbolicTensor]:
    """Draw again what leads from a model's inputs to its outputs, from those of the call."""
    mapped = dict(zip(inputs, call.inputs, strict=True))

    def again(tensor: SymbolicTensor, sources: tuple[SymbolicTensor, ...]) -> SymbolicTensor:
        return SymbolicTensor(tensor.columns, None, tensor.layer, sources, (call.model, *tensor.scope), call)

    for tensor in call.drawing.order:
        if tensor not in mapped:
            mapped[tensor] = again(tensor, tuple(mapped[source] for source in tensor.inputs))
    found = [
        mapped[tensor]
        if tensor not in inputs
        else SymbolicTensor(tensor.columns, None, None, (mapped[tensor],), (call.model,), call)
        for tensor in outputs
    ]
    for port, tensor in enumerate(found):
        tensor.port = port
    return found


def ancestry(tensors: Sequence[SymbolicTensor]) -> list[SymbolicTensor]:
    """Return all that tensors, and calls of models on the way, are made of, and they, each after that."""
    return walk(
        tensors, lambda tensor: (*tensor.inputs, *(tensor.call.inputs if tensor.call is not None else ()))
    )[1]


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
    for ends, what in ((inputs, "inputs"), ([_origin(tensor, given) for tensor in outputs], "outputs")):
        if len(set(ends)) < len(ends):
            twice = next(tensor for tensor in ends if ends.count(tensor) > 1)
            raise ConfigurationError(f"{twice!r} stands twice among the {what}; name it once")
    found: dict[SymbolicTensor, None] = {}
    stack = list(outputs)
    while stack:
        tensor = stack.pop()
        if tensor in given:
            used.add(tensor)
        elif _is_input(tensor):
            raise ConfigurationError(
                f"an output depends on the input {tensor.name or 'without a name'!r}, which is not among "
                "the model's inputs; add it to inputs="
            )
        elif tensor not in found:
            found[tensor] = None
            stack += tensor.inputs
            if any(source.number >= tensor.number for source in tensor.inputs):
                raise ConfigurationError(
                    f"the graph has a cycle through layer {_maker(tensor)!r}; only graphs without "
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


def _origin(tensor: SymbolicTensor, given: set[SymbolicTensor]) -> SymbolicTensor:
    """Return what models hand through as `tensor`, at most back to one of the given tensors."""
    while tensor not in given and tensor.layer is None and tensor.call is not None:
        (tensor,) = tensor.inputs
    return tensor


def _by_depth(
    inputs: Sequence[SymbolicTensor], made: Sequence[SymbolicTensor], outputs: Sequence[SymbolicTensor]
) -> dict[Any, list[SymbolicTensor | Call]]:
    """Return layers, and models used as layers, with their uses, in the order of `by_depth`.

    Also those that only lead to inputs of calls on which the outputs, which are `made`, do not depend.
    """
    given = set(inputs)

    def nodes(tensors: Sequence[SymbolicTensor]) -> list[SymbolicTensor | Call]:
        return [tensor.call or tensor for tensor in tensors if tensor not in given and not _is_input(tensor)]

    def owner(node: SymbolicTensor | Call) -> Any:
        return node.model if isinstance(node, Call) else node.layer

    order = by_depth(nodes(outputs), lambda node: nodes(node.inputs), owner, lambda node: node.step)
    met = [source for uses in order.values() for node in uses for source in node.inputs]
    if any(_is_input(source) and source not in given for source in met):
        # Something that no output depends on begins elsewhere.  Keras has no such models.
        needed = {owner(node) for node in nodes(made)}
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
        Inputs, then layers and models used as layers in Keras's order, by their names in this graph.
    tensors : dict of SymbolicTensor to str
        Names of the graph's tensors.
    order : list of SymbolicTensor
    idle : list of (Layer, Parameter)
        Parameters that no output depends on, but which Keras counts: of models used as layers, some of whose
        outputs nobody reads.
    """

    graph: Graph
    layers: dict[str, Maker]
    members: dict[str, Any]
    tensors: dict[SymbolicTensor, str]
    order: list[SymbolicTensor]
    idle: list[tuple[Maker, Parameter]]

    def entries(self) -> list[tuple[Maker, Parameter]]:
        """Return all parameters, each with its layer, in the order of the nodes; idle ones come last."""
        found = {p.name: (self.layers[node.layer], p) for node in self.graph.nodes for p in node.parameters}
        return [*found.values(), *self.idle]

    def with_flags(self) -> Drawing:
        """Return the drawing with the layers' `trainable` flags as they are now."""
        owners = ((node, self.layers[node.layer].trainable) for node in self.graph.nodes)
        if all(p.trainable == flag for node, flag in owners for p in node.parameters):
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


def draw(inputs: list[SymbolicTensor], outputs: list[SymbolicTensor]) -> Drawing:
    """Return the graph that leads from inputs to outputs.

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
    for tensor in inputs:
        known = tensor.name if tensor.layer is None else None
        kind = kinds.get(tensor, REAL)
        tensors[tensor] = Tensor(names.of((), tensor, known, "input"), tensor.columns, kind)
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
        output = Tensor(f"{name}/y" if not use else f"{name}/y_{use}", tensor.columns)
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
    drawing = Drawing(graph, {}, {names.of((), t, None, ""): t for t in inputs}, named, order, [])
    _enter_layers(drawing, _by_depth(inputs, made, outputs), called, names)
    return drawing


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
