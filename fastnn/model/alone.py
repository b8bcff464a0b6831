"""Layers by themselves: called on arrays, and given their weights by `build`, as in Keras.

A layer holds no arrays; a model of it alone does the work, and has a place for its parameters until a larger
model takes them over.  `fastnn/__init__.py` hands this down to layers.  This file must not know plans.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.border.numeric import as_numbers
from fastnn.errors import ShapeError
from fastnn.graph.symbolic import config_of, title
from fastnn.layers import Input, Layer
from fastnn.layers._shapes import shapes_in
from fastnn.model.model import Model

__all__ = ["build", "call", "shape_of"]


def _model_of(layer: Layer, widths: Sequence[int]) -> Model:
    """Return the model of a layer alone, on inputs of these widths."""
    store = layer._store
    dtype = "float32" if store is None else store.dtype
    known: Model | None = layer._alone
    if (
        known is None
        or known.dtype != dtype
        or [tensor.columns for tensor in known.inputs] != list(widths)
        or known._now.store is not store
    ):
        first = layer._first
        integers = "int32" if config_of(layer).takes.is_whole else None
        inputs = [Input(width, dtype=integers) for width in widths]
        known = Model(inputs, layer(inputs if len(inputs) > 1 else inputs[0]), dtype=dtype)
        layer._first = first  # what it was called on by its user
        layer._alone = known
    return known


def build(layer: Layer, input_shape: Any) -> None:
    """Give a layer its weights; see `Layer.build`."""
    _model_of(layer, [columns for _, columns in _shapes(layer, input_shape)])


def _shapes(layer: Layer, input_shape: Any) -> list[tuple[int | None, int]]:
    return shapes_in(input_shape, f"layer {title(layer)!r}")


def shape_of(layer: Layer, input_shape: Any) -> tuple[int | None, int]:
    """Return the shape that a layer makes of others; see `Layer.compute_output_shape`."""
    shapes, first = _shapes(layer, input_shape), layer._first
    inputs = [Input(columns) for _, columns in shapes]
    columns = layer(inputs if len(inputs) > 1 else inputs[0]).columns
    layer._first = first
    return shapes[0][0], columns


def call(layer: Layer, inputs: Any, training: bool | None) -> np.ndarray:
    """Return what a layer makes of arrays; see `Layer.__call__`."""
    several = isinstance(inputs, list | tuple) and any(hasattr(one, "shape") for one in inputs)
    arrays = []
    for number, one in enumerate(inputs if several else [inputs]):
        said = (f"input {number}" if several else "the input") + f" of layer {title(layer)!r}"
        array = as_numbers(one, said)
        if array.ndim != 2:
            hint = "; one row is x[None]" if array.ndim == 1 else "; flatten it, x.reshape(len(x), -1)"
            raise ShapeError(f"{said} must be (rows, features), got shape {array.shape}{hint}")
        arrays.append(array)
    model = _model_of(layer, [array.shape[1] for array in arrays])
    made: np.ndarray = model(arrays if len(arrays) > 1 else arrays[0], training=training)
    return made
