"""Where a model begins and ends: inputs and outputs, how they are nested, and their shapes.

This file must not know data, losses or plans.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fastnn.errors import ConfigurationError, ShapeError
from fastnn.graph.drawing import Drawing, draw
from fastnn.graph.nests import keys_of, leaves, matched, nested, packed
from fastnn.graph.shared_graphs import drawn
from fastnn.graph.symbolic import Call, SymbolicTensor, as_list, replay
from fastnn.layers import Identity
from fastnn.layers._shapes import shapes_in
from fastnn.model.structure import Structured

__all__ = ["Ended", "drawing_of", "is_symbolic"]

_MOST_ENDS = 100  # arrays that a program takes, and gives


def is_symbolic(x: object) -> bool:
    """Return whether something is a symbolic tensor, or a nest of them.

    Examples
    --------
    >>> import fastnn
    >>> is_symbolic({"a": [fastnn.Input((2,))]}), is_symbolic([[1.0, 2.0]])
    (True, False)
    """
    while isinstance(x, list | tuple | dict) and x:
        x = next(iter(x.values() if isinstance(x, dict) else x))
    return isinstance(x, SymbolicTensor)


def _flat(ends: Any, what: str) -> tuple[list[SymbolicTensor], list[str], Any]:
    """Return the tensors in a nest, their keys, and the nest without them, None if it is a list."""
    found = as_list(leaves(ends, what), what)
    if not nested(ends):
        return found, [""] * len(found), None
    return found, keys_of(ends), packed(ends, [None] * len(found))


def drawing_of(
    inputs: Any, outputs: Any, kept: bool = True
) -> tuple[Drawing, tuple[list[SymbolicTensor], list[SymbolicTensor]]]:
    """Return the graph from inputs to outputs, and these in lists.

    Parameters
    ----------
    inputs, outputs : SymbolicTensor, or nest of them
    kept : bool
        Whether models to come may share the graph.
    """
    begin, in_keys, in_nest = _flat(inputs, "inputs")
    end, out_keys, out_nest = _flat(outputs, "outputs")
    if len(begin) + len(end) > _MOST_ENDS:
        raise ConfigurationError(f"a model has at most {_MOST_ENDS} inputs and outputs")
    seen = set(begin)
    for place, (tensor, key) in enumerate(zip(end, out_keys, strict=True)):
        if key and tensor in seen:  # a tensor has one key
            end[place] = Identity()(tensor)
        seen.add(tensor)
    pairs = zip((*begin, *end), (*in_keys, *out_keys), strict=True)
    keys = {tensor: key for tensor, key in pairs if key}
    found = (drawn if kept else draw)(begin, end, keys)
    for tensors, what in ((found.graph.inputs, "inputs"), (found.graph.outputs, "outputs")):
        titles = [tensor.title for tensor in tensors]
        if len(set(titles)) < len(titles):
            twice = next(title for title in titles if titles.count(title) > 1)
            raise ConfigurationError(f"two of the {what} are called {twice!r}; give one another key or name")
    if in_nest is not None or out_nest is not None:
        found = replace(found, nests=(in_nest, out_nest))
    return found, (begin, end)


class Ended(Structured):
    """Inputs and outputs of a graph; a part of `Model`."""

    def _bind_ends(self, inputs: Any, outputs: Any) -> None:
        """Become the graph that leads from inputs to outputs."""
        drawing, self._ends = drawing_of(inputs, outputs)
        self._binder.bind(drawing, self.seed)

    @property
    def inputs(self) -> list[SymbolicTensor]:
        """The symbolic tensors where the graph begins; none before the input width is known."""
        self._now.need_drawing()
        return list(self._ends[0])

    @property
    def outputs(self) -> list[SymbolicTensor]:
        """The symbolic tensors where the graph ends; none before the input width is known."""
        self._now.need_drawing()
        return list(self._ends[1])

    @property
    def input(self) -> Any:
        """The only input, the list of them, or as they are nested."""
        return _alone(self._ends[0], self._now.need_drawing().nests[0])

    @property
    def output(self) -> Any:
        """The only output, the list of them, or as they are nested."""
        return _alone(self._ends[1], self._now.need_drawing().nests[1])

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs, in their order: the keys of `x` as a dict."""
        return [tensor.title for tensor in self._now.graph.inputs]

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, in their order: the keys of `y` as a dict."""
        return [tensor.title for tensor in self._now.graph.outputs]

    @property
    def input_shape(self) -> Any:
        """``(None, features)`` of the only input, or the list of them."""
        self._now.need_drawing()
        return _alone([tensor.shape for tensor in self._ends[0]])

    @property
    def output_shape(self) -> Any:
        """``(None, features)`` of the only output, or the list of them."""
        self._now.need_drawing()
        return _alone([tensor.shape for tensor in self._ends[1]])

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the outputs for inputs of a shape.

        Parameters
        ----------
        input_shape : (rows or None, features), or a list of such

        Returns
        -------
        (rows or None, features), or a list of such, or as outputs are nested

        Raises
        ------
        ShapeError
            If it is not of that form, or does not suit the model.

        Examples
        --------
        >>> import fastnn
        >>> model = fastnn.Sequential([fastnn.layers.Dense(4), fastnn.layers.Dense(8)])
        >>> model.compute_output_shape((1, 2)), model.built
        ((1, 8), False)
        """
        shapes = shapes_in(input_shape, f"model {self.name!r}")
        rows = shapes[0][0]
        drawing = self._now.drawing
        if drawing is None:
            found: Any = shapes[0]
            for part in vars(self)["_chain"]:
                found = part.compute_output_shape(found)
            return found
        widths = [tensor.columns for tensor in self._ends[0]]
        if [columns for _, columns in shapes] != widths:
            raise ShapeError(f"model {self.name!r} takes inputs of widths {widths}, got {input_shape}")
        made = [(rows, tensor.columns) for tensor in self._ends[1]]
        return _alone(made, drawing.nests[1])

    def _draw_again(self, inputs: Any) -> Any:
        """Return the tensors that this model, used as a layer, makes of others."""
        what = f"the inputs of model {self.name!r}"
        drawing = self._now.drawing
        if drawing is None:
            given = as_list(inputs, what)
            self._build(given[0].columns)
            drawing = self._now.need_drawing()
        elif isinstance(inputs, dict) and not isinstance(drawing.nests[0], dict):
            names = self.input_names
            if not set(inputs) >= set(names):
                raise ShapeError(f"{what} must have the keys {names}, got {list(inputs)}")
            given = as_list([inputs[name] for name in names], what)
        elif drawing.nests[0] is not None and isinstance(inputs, list | tuple | dict):
            given = as_list(matched(inputs, drawing.nests[0], what), what)
        else:
            given = as_list(inputs, what)
        widths = [tensor.columns for tensor in self._ends[0]]
        if [tensor.columns for tensor in given] != widths:
            raise ShapeError(
                f"model {self.name!r} takes tensors of widths {widths}, got {[t.columns for t in given]}"
            )
        found = replay(Call(self, tuple(given), drawing), *self._ends)
        return self._keyed(found if len(found) > 1 else found[0])


def _alone(several: Sequence[Any], nest: Any = None) -> Any:
    if nest is not None:
        return packed(nest, several)
    return several[0] if len(several) == 1 else list(several)
