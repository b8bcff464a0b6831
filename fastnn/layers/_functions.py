"""Merge layers as functions, under Keras's names: ``add([x, y])`` is ``Add()([x, y])``."""

from __future__ import annotations

from collections.abc import Sequence

from fastnn.graph.symbolic import SymbolicTensor
from fastnn.layers import _dot, _gates

__all__ = ["add", "average", "concatenate", "dot", "maximum", "minimum", "multiply", "subtract"]

Tensors = Sequence[SymbolicTensor]


def add(inputs: Tensors, *, name: str | None = None) -> SymbolicTensor:
    """Return their sum; see `Add`.

    Parameters
    ----------
    inputs : sequence of SymbolicTensor
    name : str, optional

    Returns
    -------
    SymbolicTensor

    Examples
    --------
    >>> from fastnn import Input
    >>> add([Input((3,)), Input((3,))]).shape
    (None, 3)
    """
    return _gates.Add(name=name)(inputs)


def subtract(inputs: Tensors, *, name: str | None = None) -> SymbolicTensor:
    """Return the first minus the second; see `Subtract`.

    Parameters
    ----------
    inputs : sequence of SymbolicTensor
    name : str, optional

    Returns
    -------
    SymbolicTensor

    Examples
    --------
    >>> from fastnn import Input
    >>> subtract([Input((3,)), Input((3,))]).shape
    (None, 3)
    """
    return _gates.Subtract(name=name)(inputs)


def multiply(inputs: Tensors, *, name: str | None = None) -> SymbolicTensor:
    """Return their product; see `Multiply`.

    Parameters
    ----------
    inputs : sequence of SymbolicTensor
    name : str, optional

    Returns
    -------
    SymbolicTensor

    Examples
    --------
    >>> from fastnn import Input
    >>> multiply([Input((3,)), Input((3,))]).shape
    (None, 3)
    """
    return _gates.Multiply(name=name)(inputs)


def average(inputs: Tensors, *, name: str | None = None) -> SymbolicTensor:
    """Return their mean; see `Average`.

    Parameters
    ----------
    inputs : sequence of SymbolicTensor
    name : str, optional

    Returns
    -------
    SymbolicTensor

    Examples
    --------
    >>> from fastnn import Input
    >>> average([Input((3,)), Input((3,))]).shape
    (None, 3)
    """
    return _gates.Average(name=name)(inputs)


def maximum(inputs: Tensors, *, name: str | None = None) -> SymbolicTensor:
    """Return the largest of them; see `Maximum`.

    Parameters
    ----------
    inputs : sequence of SymbolicTensor
    name : str, optional

    Returns
    -------
    SymbolicTensor

    Examples
    --------
    >>> from fastnn import Input
    >>> maximum([Input((3,)), Input((3,))]).shape
    (None, 3)
    """
    return _gates.Maximum(name=name)(inputs)


def minimum(inputs: Tensors, *, name: str | None = None) -> SymbolicTensor:
    """Return the smallest of them; see `Minimum`.

    Parameters
    ----------
    inputs : sequence of SymbolicTensor
    name : str, optional

    Returns
    -------
    SymbolicTensor

    Examples
    --------
    >>> from fastnn import Input
    >>> minimum([Input((3,)), Input((3,))]).shape
    (None, 3)
    """
    return _gates.Minimum(name=name)(inputs)


def concatenate(inputs: Tensors, axis: int = -1, *, name: str | None = None) -> SymbolicTensor:
    """Return tensors side by side; see `Concatenate`.

    Parameters
    ----------
    inputs : sequence of SymbolicTensor
    axis : {-1, 1}
    name : str, optional

    Returns
    -------
    SymbolicTensor

    Examples
    --------
    >>> from fastnn import Input
    >>> concatenate([Input((3,)), Input((2,))]).shape
    (None, 5)
    """
    return _gates.Concatenate(axis, name=name)(inputs)


def dot(
    inputs: Tensors, axes: int = -1, *, normalize: bool = False, name: str | None = None
) -> SymbolicTensor:
    """Return the inner products of their rows; see `Dot`.

    Parameters
    ----------
    inputs : sequence of SymbolicTensor
    axes : int or tuple of two int
    normalize : bool
    name : str, optional

    Returns
    -------
    SymbolicTensor

    Examples
    --------
    >>> from fastnn import Input
    >>> dot([Input((3,)), Input((3,))]).shape
    (None, 1)
    """
    return _dot.Dot(axes, normalize, name=name)(inputs)
