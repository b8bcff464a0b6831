"""Symbolic tensors: layers called on them draw a graph, which `drawing.py` turns into nodes.

A tensor remembers the layer that makes it and that layer's inputs; nothing else is recorded, so a
graph exists when outputs do.  This file must not know models, plans or arrays.
"""

from __future__ import annotations

import functools
import itertools
import numbers
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from fastnn.errors import ConfigurationError, DTypeError, ShapeError
from fastnn.graph.graph import Config, walk

__all__ = [
    "Call",
    "OPERATORS",
    "Maker",
    "SymbolicTensor",
    "ancestry",
    "apply",
    "as_list",
    "check_taken",
    "config_of",
    "is_input",
    "maker_of",
    "origin_of",
    "replay",
    "stem_of",
    "title",
]


_NUMBERS = itertools.count()


class Maker(Protocol):
    """A layer, as far as a graph knows it: what makes tensors."""

    config: Config
    name: str | None
    named: bool
    trainable: bool
    is_operator: bool  # whether an operator such as + drew it
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
    rows : int or None
        Of a batch, if an input that it is made of says so; data may have others.
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
        *("call", "columns", "dtype", "inputs", "layer", "name", "number", "port", "rows", "scope", "step"),
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
        self.rows: int | None = None
        for tensor in inputs:
            if tensor.number >= self.number:
                self.number = tensor.number + 1
            if tensor.rows is not None:
                self.rows = tensor.rows

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__ if name != "__weakref__"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)

    @property
    def shape(self) -> tuple[int | None, int]:
        """``(None, columns)``, or ``(rows, columns)``, as in Keras."""
        return (self.rows, self.columns)

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
        what = f"input {self.name!r}" if is_input(self) else f"output of {maker_of(self)!r}"
        return f"<SymbolicTensor {self.shape}, {what}>"


def _gate(merge: str, affine: str, tensor: SymbolicTensor, other: object) -> SymbolicTensor:
    """Return what an operator makes of a tensor and another one, or a number."""
    if not isinstance(other, SymbolicTensor | numbers.Real):
        return NotImplemented
    joins = isinstance(other, SymbolicTensor)
    made = OPERATORS[merge]()([tensor, other]) if joins else OPERATORS[affine](other)(tensor)
    assert made.layer is not None
    made.layer.is_operator = True
    return made


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


def is_input(tensor: SymbolicTensor) -> bool:
    """Return whether nothing makes a tensor."""
    return tensor.layer is None and tensor.call is None


def maker_of(tensor: SymbolicTensor) -> str:
    """Return what messages call the layer that makes a tensor, or the model that hands it through."""
    if tensor.layer is not None:
        return title(tensor.layer)
    return str(tensor.call.model.name) if tensor.call is not None else ""


def origin_of(tensor: SymbolicTensor, given: set[SymbolicTensor]) -> SymbolicTensor:
    """Return what models hand through as `tensor`, at most back to one of the given tensors."""
    while tensor not in given and tensor.layer is None and tensor.call is not None:
        (tensor,) = tensor.inputs
    return tensor


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
        check_taken(name, config, origin_of(tensor, set()))
    columns = config.columns(name, tuple(tensor.columns for tensor in tensors))
    return SymbolicTensor(columns, None, layer, tuple(tensors))


def check_taken(name: str, config: Config, tensor: SymbolicTensor) -> None:
    """Check that a tensor may hold what a layer takes."""
    if config.takes.is_whole and not is_input(tensor):
        raise ConfigurationError(
            f"layer {name!r} takes integers, and {maker_of(tensor)!r} makes real numbers; call it on an "
            "Input of its own, and put what it makes beside others with Concatenate"
        )
    if tensor.dtype is not None and not config.takes.is_whole:
        raise ConfigurationError(
            f"layer {name!r} takes real numbers, and input {tensor.name or 'without a name'!r} has dtype "
            f"{tensor.dtype}; put an Embedding between them, or leave the input's dtype out"
        )


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
    drawing: Any
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
