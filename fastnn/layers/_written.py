"""Layers as plain values, and back, by the functions of Keras's names.

This file must not know models, plans or arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    from fastnn import layers

    if not isinstance(config, Mapping):
        raise DTypeError(f"deserialize needs what serialize returns, got {shown(config)}")
    known = [one for name in layers.__all__ if isinstance(one := getattr(layers, name), type)]
    with own_classes(custom_objects):
        return rebuilt(config, known, "layer")
