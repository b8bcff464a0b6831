"""Models copied layer by layer, with functions of the user that say how.

This file must not know files, losses or arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnn.checks import shown
from fastnn.errors import ConfigurationError, DTypeError
from fastnn.graph.nests import leaves, matched, packed
from fastnn.graph.symbolic import Maker, SymbolicTensor, as_list
from fastnn.layers import Input, Layer
from fastnn.model.model import Model
from fastnn.model.sequential import Sequential

__all__ = ["cloned"]


def cloned(
    model: Model,
    input_tensors: Any = None,
    clone_function: Callable[[Any], Any] | None = None,
    call_function: Callable[..., Any] | None = None,
    recursive: bool = False,
) -> Any:
    """Return a copy of a model that is not compiled; see `fastnn.models.clone_model`."""
    for function, name in ((clone_function, "clone_function"), (call_function, "call_function")):
        if function is not None and not callable(function):
            raise DTypeError(f"{name} must be a function, got {shown(function)}")
    clones: dict[int, Any] = {}

    def clone(part: Any) -> Any:
        """Return the copy of a layer, or of a model used as one; of a shared one there is one copy."""
        if id(part) not in clones:
            if isinstance(part, Model) and recursive:
                found = cloned(part, None, clone_function, call_function, recursive)
            elif clone_function is None or getattr(part, "is_operator", False):
                found = type(part).from_config(part.get_config())
            else:
                found = clone_function(part)
            if not isinstance(found, Layer | Model):
                raise DTypeError(f"clone_function must return a layer, got {shown(found)}")
            if isinstance(found, Layer):
                found.is_operator = getattr(part, "is_operator", False)
            clones[id(part)] = found
        return clones[id(part)]

    about: dict[str, Any] = {"dtype": model.dtype, "seed": model.seed, "name": model.name}
    if isinstance(model, Sequential):
        if call_function is not None:
            raise ConfigurationError("call_function is for graphs; change the layers of a Sequential by add")
        begin = model._input if input_tensors is None else _only(input_tensors)
        if begin is not None and (input_tensors is None or begin.layer is not None):
            begin = _like(begin)
        chain = [clone(part) for part in model.layers]
        return Sequential([*([] if begin is None else [begin]), *chain], **about)
    inputs = model._nests()[0]
    inputs = [None] * len(model.inputs) if inputs is None else inputs
    if input_tensors is None:
        given = [_like(tensor) for tensor in model.inputs]
    else:
        found = (
            leaves(input_tensors)
            if len(model.inputs) == 1
            else matched(input_tensors, inputs, "input_tensors")
        )
        given = as_list(found, "input_tensors")
    if [one.columns for one in given] != [one.columns for one in model.inputs]:
        raise ConfigurationError(
            f"input_tensors have the widths {[one.columns for one in given]}, and the inputs of the model "
            f"{[one.columns for one in model.inputs]}"
        )
    ends = _drawn_again(model, dict(zip(model.inputs, given, strict=True)), clone, call_function)
    outputs = model._nests()[1]
    return Model(packed(inputs, given), ends if outputs is None else packed(outputs, ends), **about)


def _only(tensors: Any) -> SymbolicTensor:
    found = as_list(leaves(tensors), "input_tensors")
    if len(found) > 1:
        raise ConfigurationError(f"a Sequential has one input, got {len(found)} input_tensors")
    return found[0]


def _like(tensor: SymbolicTensor) -> SymbolicTensor:
    """Return an input like a tensor."""
    name = tensor.name if tensor.layer is None else None
    return Input((tensor.columns,), name, batch_size=tensor.rows, dtype=tensor.dtype)


def _drawn_again(
    model: Model,
    known: dict[SymbolicTensor, SymbolicTensor],
    clone: Callable[[Any], Any],
    call_function: Callable[..., Any] | None,
) -> list[SymbolicTensor]:
    """Return the outputs of a graph that copies of its layers draw; `known` begins with its inputs."""
    needed: dict[SymbolicTensor, None] = {}
    stack = list(model.outputs)
    while stack:
        tensor = stack.pop()
        if tensor not in known and tensor not in needed:
            needed[tensor] = None
            stack += tensor.call.inputs if tensor.call is not None else tensor.inputs
    made: dict[int, list[Any]] = {}  # what a call of a model made
    for tensor in sorted(needed, key=lambda tensor: tensor.number):
        call, layer = tensor.call, tensor.layer
        part: Maker | Model = layer if call is None else call.model  # type: ignore[assignment]
        sources = [known[source] for source in (tensor.inputs if call is None else call.inputs)]
        if call is not None and id(call) in made:
            known[tensor] = made[id(call)][tensor.port or 0]
            continue
        copy = clone(part)
        given = sources if len(sources) > 1 else sources[0]
        found = copy(given) if call_function is None else call_function(copy, given)
        several = as_list(leaves(found), f"what call_function returns for {part.name!r}")
        if call is not None:
            made[id(call)] = several
        known[tensor] = several[(tensor.port or 0) if call is not None else 0]
        known[tensor].step = tensor.step
    return [known[tensor] for tensor in model.outputs]
