"""Activation functions: their names, and NumPy functions of the same names.

This file must not know layers or plans' ops beyond the `Activation` enum.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastnn.errors import DTypeError, unknown_name
from fastnn.plan import Activation

__all__ = ["get", "linear", "name_of", "relu", "sigmoid", "softmax", "tanh"]

_NAMES = {activation.name.lower(): activation for activation in Activation}


def _apply(name: str, x: np.ndarray) -> np.ndarray:
    from fastnn import kernels

    x = np.asarray(x)
    if x.dtype not in (np.float32, np.float64):
        x = x.astype(np.float32)
    result: np.ndarray = getattr(kernels, f"{name}_forward")(x)
    return result


def linear(x: np.ndarray) -> np.ndarray:
    """Return `x` itself.

    Examples
    --------
    >>> linear(3.0)
    3.0
    """
    return x


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Return ``1 / (1 + exp(-x))`` (lecture A.1); any shape, float32 unless x is float64.

    Examples
    --------
    >>> float(sigmoid(np.zeros(1))[0])
    0.5
    """
    return _apply("sigmoid", x)


def tanh(x: np.ndarray) -> np.ndarray:
    """Return the hyperbolic tangent (lecture A.1); any shape, float32 unless x is float64.

    Examples
    --------
    >>> float(tanh(np.zeros(1))[0])
    0.0
    """
    return _apply("tanh", x)


def relu(x: np.ndarray) -> np.ndarray:
    """Return ``max(x, 0)`` (lecture A.1); any shape, float32 unless x is float64.

    Examples
    --------
    >>> relu(np.array([-1.0, 2.0]))
    array([0., 2.])
    """
    return _apply("relu", x)


def softmax(x: np.ndarray) -> np.ndarray:
    """Return ``exp(x) / sum(exp(x))`` over the last axis; float32 unless x is float64.

    Examples
    --------
    >>> softmax(np.zeros((1, 2)))
    array([[0.5, 0.5]])
    """
    return _apply("softmax", x)


def get(identifier: str | Callable[[np.ndarray], np.ndarray] | None) -> Activation:
    """Return the activation that a name or a function of this module stands for.

    Parameters
    ----------
    identifier : str, function or None
        None is ``"linear"``.

    Returns
    -------
    fastnn.plan.Activation

    Raises
    ------
    ConfigurationError
        If the name is unknown.
    DTypeError
        If it is neither a name nor one of these functions.

    Examples
    --------
    >>> name_of(get("relu"))
    'relu'
    """
    if identifier is None:
        return Activation.LINEAR
    if identifier in (linear, sigmoid, tanh, relu, softmax):
        identifier = str(getattr(identifier, "__name__", ""))
    if not isinstance(identifier, str):
        raise DTypeError(
            f"an activation is a name or a function of fastnn.activations, got {identifier!r}; "
            "other Python functions cannot run inside the kernels"
        )
    if identifier not in _NAMES:
        raise unknown_name("activation", identifier, _NAMES)
    return _NAMES[identifier]


def name_of(activation: Activation) -> str:
    """Return an activation's name as users write it.

    Examples
    --------
    >>> name_of(Activation.SOFTMAX)
    'softmax'
    """
    return activation.name.lower()
