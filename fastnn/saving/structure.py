"""Graphs of layers as plain values, and back.

A model is written as a list of parts: its layers, the models that it uses as layers after theirs, and itself
at the end.  Parts that several models share stand once.  A chain names its parts; any other graph has steps,
in the order in which it was drawn: an input, or a part that is called on tensors, which are numbered.
This file must not know files or arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from fastnn import layers
from fastnn.checks import check_flag, check_number, shown
from fastnn.described import rebuilt, written
from fastnn.errors import ConfigurationError, DTypeError
from fastnn.graph.drawing import Drawing, draw
from fastnn.graph.nests import packed, plain, read
from fastnn.graph.symbolic import Maker, SymbolicTensor, as_list
from fastnn.layers import Input, Layer
from fastnn.model.ends import drawing_of
from fastnn.model.model import Model
from fastnn.model.sequential import Sequential

__all__ = ["build", "structure_of"]

_MOST_DRAWN = 50_000  # calls of layers, also of those in models that are called
_LONGEST_NAME = 1000  # characters, as names stand in those of arrays, many times
_LAYERS = [
    cls
    for name in layers.__all__
    if isinstance(cls := getattr(layers, name), type) and cls is not layers.InputLayer
]


def structure_of(model: Model) -> dict[str, Any]:
    """Return what a model is made of, as plain values.

    Raises
    ------
    ConfigurationError
        If a model was changed after it was used as a layer, a layer's class is not one of fastnn's, there are
        more than 50 000 layers, or a name has more than 1000 characters.
    """
    parts: list[dict[str, Any]] = []
    _write_model(model, parts, {})
    _check_extent(parts)
    return {"parts": parts}


def _write_part(part: Maker | Model, parts: list[dict[str, Any]], numbers: dict[int, int]) -> int:
    """Append a part, unless it is there, and return its number."""
    if id(part) not in numbers:
        if isinstance(part, Model):
            _write_model(part, parts, numbers)
        elif type(part) not in _LAYERS:
            raise ConfigurationError(
                f"layer {part.name!r} is of the class {type(part).__name__}, which could not be made "
                "anew; only layers of fastnn.layers can be written down"
            )
        else:
            drawn_by = {"operator": True} if part.is_operator else {}
            parts.append({**written(part), "named": part.named, **drawn_by})
        numbers[id(part)] = len(parts) - 1
    return numbers[id(part)]


def _write_model(model: Model, parts: list[dict[str, Any]], numbers: dict[int, int]) -> None:
    about = {"name": model.name, "dtype": model.dtype.name, "seed": model.seed}
    if isinstance(model, Sequential):
        chain = [_write_part(part, parts, numbers) for part in model.layers]
        first = model._input or next(iter(model._ends[0]), None)
        start = None if first is None else _written_input(first)
        parts.append({"class_name": "Sequential", "config": {**about, "input": start, "chain": chain}})
    else:
        steps, tensors = _written_steps(model, parts, numbers)
        ends: dict[str, list[Any]] = {
            "inputs": [tensors[tensor] for tensor in model.inputs],
            "outputs": [tensors[tensor] for tensor in model.outputs],
        }
        nests = model._now.need_drawing().nests
        if any(nest is not None for nest in nests):
            ends["nests"] = [
                None if nest is None else plain(packed(nest, range(len(tensors))))
                for nest, tensors in zip(nests, model._ends, strict=True)
            ]
        parts.append({"class_name": "Model", "config": {**about, "steps": steps, **ends}})


def _written_input(tensor: SymbolicTensor) -> dict[str, Any]:
    integers = {} if tensor.dtype is None else {"dtype": tensor.dtype}
    rows = {} if tensor.rows is None else {"batch_size": tensor.rows}
    return {"columns": tensor.columns, "name": tensor.name, **integers, **rows}


def _written_steps(
    model: Model, parts: list[dict[str, Any]], numbers: dict[int, int]
) -> tuple[list[dict[str, Any]], dict[SymbolicTensor, int]]:
    """Return the steps of a graph, and its tensors with their numbers."""
    given = set(model.inputs)
    found: dict[SymbolicTensor, tuple[SymbolicTensor, ...]] = {}
    stack = [*model.inputs, *model.outputs]
    while stack:
        tensor = stack.pop()
        if tensor not in found:
            call = None if tensor in given else tensor.call
            if call is not None and (
                tensor.port is None or call.drawing.order is not call.model._now.drawing.order
            ):
                raise ConfigurationError(
                    f"model {call.model.name!r} was changed after it was used as a layer in {model.name!r}; "
                    "build the outer model anew"
                )
            found[tensor] = () if tensor in given else tensor.inputs if call is None else call.inputs
            stack += found[tensor]
    tensors: dict[SymbolicTensor, int] = {}
    steps: list[dict[str, Any]] = []
    first_of: dict[int, int] = {}  # the number of a call's first output
    count = 0
    for tensor in sorted(found, key=lambda tensor: tensor.number):
        sources = [tensors[source] for source in found[tensor]]
        call = None if tensor in given else tensor.call
        if call is not None:
            assert tensor.port is not None
            if id(call) not in first_of:
                first_of[id(call)] = count
                count += len(call.model.outputs)
                steps.append({"part": _write_part(call.model, parts, numbers), "of": sources})
            tensors[tensor] = first_of[id(call)] + tensor.port
            continue
        if tensor in given:
            steps.append({"input": _written_input(tensor)})
        else:
            assert tensor.layer is not None
            step = {"part": _write_part(tensor.layer, parts, numbers), "of": sources}
            steps.append(step if tensor.step == 1.0 else {**step, "depth": tensor.step})
        tensors[tensor] = count
        count += 1
    return steps, tensors


# -- and back


def build(structure: object, admit: Callable[[Drawing, str], None] | None = None) -> Model:
    """Return the model that `structure_of` was called on, with weights of its own.

    Parameters
    ----------
    structure : dict
    admit : callable, optional
        Called with the drawing and the dtype of each model before it has parameters, to raise if they are
        not wanted.  All parameters are 0 then, else they are drawn from the models' seeds.

    Raises
    ------
    ConfigurationError, DTypeError, ShapeError
        If the structure is not one.
    """
    parts = _get(structure, "parts", list, "the structure")
    _check_extent(parts)
    made: list[Maker | Model] = []
    for entry in parts:
        if not isinstance(entry, Mapping):
            raise DTypeError(f"a part must be a dict, got {shown(entry)}")
        if entry.get("class_name") in ("Sequential", "Model"):
            config = _get(entry, "config", dict, "a model")
            make = _chain if entry["class_name"] == "Sequential" else _graph
            made.append(make(config, made, admit))
        else:
            layer: Layer = rebuilt(entry, _LAYERS, "layer")
            layer.named = check_flag(entry.get("named", True), "named")
            layer.is_operator = check_flag(entry.get("operator", False), "operator")
            made.append(layer)
    if not made or not isinstance(made[-1], Model):
        raise ConfigurationError("the last part of a structure must be a model")
    model = made[-1]
    for part in made:
        if isinstance(part, Model):
            part._binder.initializes = True
    return model


def _check_extent(parts: Sequence[object]) -> None:
    """Raise if too much would be drawn: each model that calls another one twice doubles it; or named."""
    drawn: list[int] = []
    total = 0
    for entry in parts:
        config = entry.get("config") if isinstance(entry, Mapping) else None
        told: Mapping[str, Any] = config if isinstance(config, Mapping) else {}
        numbers, steps = told.get("chain"), told.get("steps")
        called = list(numbers) if isinstance(numbers, list) else []
        names = [told.get("name"), _name_in(told, "input")]
        for step in steps if isinstance(steps, list) else ():
            if isinstance(step, Mapping):
                called.append(step.get("part"))
                names.append(_name_in(step, "input"))
        for name in names:
            if isinstance(name, str) and len(name) > _LONGEST_NAME:
                raise ConfigurationError(
                    f"a name of {len(name)} characters, {shown(name)}, cannot be written down; it may have "
                    f"{_LONGEST_NAME}"
                )
        # What is no number of a part is found out where it is called.
        known = (number for number in called if type(number) is int and 0 <= number < len(drawn))
        drawn.append(sum(drawn[number] for number in known) or 1)
        total += drawn[-1]
        if total > _MOST_DRAWN:
            raise ConfigurationError(
                f"it has more than {_MOST_DRAWN} layers, counted wherever they are called, also in models "
                "within models; no more can be written down"
            )


def _name_in(config: Mapping[str, Any], key: str) -> object:
    inner = config.get(key)
    return inner.get("name") if isinstance(inner, Mapping) else None


def _get(config: object, key: str, kind: type, what: str) -> Any:
    if not isinstance(config, Mapping) or not isinstance(config.get(key), kind):
        raise DTypeError(f"{what} needs a {kind.__name__} {key!r}, got {shown(config)}")
    return config[key]


def _blank(cls: type[Model], config: Mapping[str, Any], blank: bool) -> Any:
    model = cls.__new__(cls)
    model._begin(config.get("dtype"), config.get("seed"), config.get("name"))
    if blank:
        model._binder.initializes = False
    return model


def _numbered(number: object, things: Sequence[Any], what: str) -> Any:
    if type(number) is not int or not 0 <= number < len(things):
        raise ConfigurationError(f"{what} {shown(number)} does not exist; there are {len(things)} before it")
    return things[number]


def _input(config: object) -> SymbolicTensor:
    columns = _get(config, "columns", int, "an input")
    assert isinstance(config, Mapping)
    rows = config.get("batch_size")
    return Input(columns, config.get("name"), dtype=config.get("dtype"), batch_size=rows)


def _chain(
    config: Mapping[str, Any], made: Sequence[Maker | Model], admit: Callable[[Drawing, str], None] | None
) -> Model:
    model: Sequential = _blank(Sequential, config, admit is not None)
    members = [_numbered(number, made, "part") for number in _get(config, "chain", list, "a chain")]
    start = config.get("input")
    if start is not None:
        model._chain, model._input = model._with(_input(start))
    for member in members:
        model._chain, model._input = model._with(member)
    if model._input is not None and members:
        if admit is not None:
            tensor: Any = model._input
            for member in members:
                tensor = member(tensor)
            admit(draw([model._input], as_list(tensor, "the output of a chain")), model.dtype.name)
        model._build(model._input.columns)
    return model


def _graph(
    config: Mapping[str, Any], made: Sequence[Maker | Model], admit: Callable[[Drawing, str], None] | None
) -> Model:
    tensors: list[SymbolicTensor] = []
    for step in _get(config, "steps", list, "a graph"):
        if isinstance(step, Mapping) and "input" in step:
            tensors.append(_input(step["input"]))
            continue
        part = _numbered(_get(step, "part", int, "a step"), made, "part")
        sources = [_numbered(number, tensors, "tensor") for number in _get(step, "of", list, "a step")]
        found = part(sources if len(sources) != 1 else sources[0])
        tensors += found if isinstance(found, list) else [found]
        tensors[-1].step = check_number(step.get("depth", 1.0), "depth", 0.0, 1.0)
    ends = [
        [_numbered(number, tensors, "tensor") for number in _get(config, key, list, "a graph")]
        for key in ("inputs", "outputs")
    ]
    model: Model = _blank(Model, config, admit is not None)
    nests = _nests(config, ends)
    if admit is not None:
        admit(drawing_of(nests[0], nests[1], kept=False)[0], model.dtype.name)
    model._bind_ends(*nests)
    return model


def _nests(config: Mapping[str, Any], ends: list[list[SymbolicTensor]]) -> list[Any]:
    """Return inputs and outputs as they were nested."""
    if "output_keys" in config:  # of files that knew nothing else
        keys = _get(config, "output_keys", list, "a graph")
        if len(set(map(str, keys))) != len(ends[1]):
            raise ConfigurationError(f"there are {len(ends[1])} outputs, and their keys are {shown(keys)}")
        return [ends[0], dict(zip(map(str, keys), ends[1], strict=True))]
    written = _get(config, "nests", list, "a graph") if "nests" in config else [None, None]
    if len(written) != 2:
        raise ConfigurationError(f"a graph nests inputs and outputs, got {shown(written)}")
    return [
        tensors if nest is None else read(nest, partial(_numbered, things=tensors, what="end"))
        for nest, tensors in zip(written, ends, strict=True)
    ]
