"""Where a model begins and ends, given as dicts: their keys become names.

This file must not know graphs or parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastnn.checks import shown
from fastnn.errors import ConfigurationError
from fastnn.graph.symbolic import SymbolicTensor
from fastnn.layers import Identity

__all__ = ["named_inputs", "named_outputs"]


def named_inputs(ends: object) -> object:
    """Return the tensors of a dict of them; other inputs as they are."""
    if not isinstance(ends, Mapping):
        return ends
    for key, tensor in ends.items():
        if isinstance(tensor, SymbolicTensor) and _name_of(tensor) != key:
            raise ConfigurationError(
                f"inputs has the key {shown(key)} for what is named {_name_of(tensor)!r}; give both one "
                "name: Input has an argument name"
            )
    return list(ends.values())


def named_outputs(ends: object) -> tuple[object, list[str] | None]:
    """Return the tensors of a dict of them, with its keys as their names; other outputs as they are."""
    if not isinstance(ends, Mapping):
        return ends, None
    named = [
        Identity(name=key)(tensor)
        if isinstance(tensor, SymbolicTensor) and _name_of(tensor) != key
        else tensor
        for key, tensor in ends.items()
    ]
    return named, list(ends)


def _name_of(tensor: SymbolicTensor) -> str | None:
    """Return what users call a tensor: as the layer, or the model, that makes it."""
    maker: Any = tensor.layer if tensor.call is None else tensor.call.model
    return tensor.name if maker is None else maker.name
