"""Layers as plain values, and back, by the functions of Keras's names.

This file must not know models, plans or arrays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fastnn.checks import shown
from fastnn.described import own_classes, rebuilt, written
from fastnn.errors import DTypeError
from fastnn.layers._base import Layer

__all__ = ["deserialize", "serialize"]


def serialize(layer: Layer) -> dict[str, Any]:
    """Return the class and the configuration of a layer as plain values, without weights.

    Parameters
    ----------
    layer : Layer

    Returns
    -------
    dict
        For `deserialize`.

    Raises
    ------
    DTypeError
        If it is not a layer.

    Examples
    --------
    >>> from fastnn.layers import Shift
    >>> serialize(Shift(2.0, name="later"))["class_name"]
    'Shift'
    """
    if not isinstance(layer, Layer):
        raise DTypeError(f"serialize needs a layer, got {shown(layer)}; models have to_json and save")
    return written(layer)


def deserialize(config: Mapping[str, Any], custom_objects: Mapping[str, type] | None = None) -> Any:
    """Return the layer that `serialize` was called on, with weights of its own.

    Parameters
    ----------
    config : dict
    custom_objects : dict of str to type, optional
        Classes of your own that are in it, such as initializers, by their names.

    Returns
    -------
    Layer

    Raises
    ------
    ConfigurationError, DTypeError
        If it describes no layer.

    Examples
    --------
    >>> from fastnn.layers import Dense, serialize
    >>> deserialize(serialize(Dense(3, "relu")))
    Dense(3, activation='relu')
    """
    if not isinstance(config, Mapping):
        raise DTypeError(f"deserialize needs what serialize returns, got {shown(config)}")
    with own_classes(custom_objects):
        return rebuilt(config, _classes(Layer), "layer")


def _classes(base: type[Layer]) -> Iterator[type[Layer]]:
    """Yield the layers of this package that are derived from one, at whatever depth."""
    for cls in base.__subclasses__():
        if cls.__module__.startswith(f"{__package__}.") and not cls.__name__.startswith("_"):
            yield cls
        yield from _classes(cls)
