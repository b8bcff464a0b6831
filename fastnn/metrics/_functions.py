"""Metrics as functions of arrays, with Keras's names: one number a row, or an output.

Those that losses are too are functions of `fastnn.losses`.  This file must not know layers or kernels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.checks import check_axis, check_count, check_flag, check_number
from fastnn.described import handed_down
from fastnn.errors import ShapeError

__all__ = [
    "binary_accuracy",
    "categorical_accuracy",
    "concordance_correlation",
    "pearson_correlation",
    "sparse_categorical_accuracy",
    "sparse_top_k_categorical_accuracy",
    "top_k_categorical_accuracy",
]

_EPSILON = 1e-7  # what denominators have added, as in Keras


def _numbers(value: object, name: str) -> Any:
    return handed_down("as_numbers")(value, name)


def _pair(y_true: object, y_pred: object) -> tuple[Any, Any]:
    """Return targets and outputs of one shape; a last axis of length 1 may be left out on one side."""
    t, y = _numbers(y_true, "y_true"), _numbers(y_pred, "y_pred")
    if t.ndim == y.ndim + 1 and t.shape[-1] == 1:
        t, y = (t, y[:, None]) if y.ndim == 1 else (t[..., 0], y)
    elif y.ndim == t.ndim + 1 and y.shape[-1] == 1:
        t, y = (t[:, None], y) if t.ndim == 1 else (t, y[..., 0])
    if t.shape != y.shape:
        raise ShapeError(
            f"y_true has shape {t.shape} and y_pred has {y.shape}; there must be a target for each output"
        )
    return t, y


def _labelled(y_true: object, y_pred: object) -> tuple[Any, Any]:
    """Return labels and outputs, one axis more."""
    t, y = _numbers(y_true, "y_true"), _numbers(y_pred, "y_pred")
    if y.ndim and t.shape == (*y.shape[:-1], 1):
        t = t[..., 0]
    if not y.ndim or t.shape != y.shape[:-1]:
        raise ShapeError(
            f"y_true has shape {t.shape} and y_pred has {y.shape}; there must be a label for each row"
        )
    return t, y


def _dtype_of(y_pred: object) -> Any:
    """Return what is computed in: float64 for an array of that, else float32."""
    return np.float64 if getattr(y_pred, "dtype", None) == np.float64 else np.float32


def binary_accuracy(y_true: object, y_pred: object, threshold: float = 0.5) -> Any:
    """Whether outputs are on the right side of a threshold, as 1 or 0.

    Parameters
    ----------
    y_true, y_pred : array_like, (...)
        Targets are 0 and 1.
    threshold : float

    Returns
    -------
    numpy.ndarray of float32, (...)

    Raises
    ------
    ShapeError, DTypeError, ConfigurationError
        As the message says.

    Examples
    --------
    >>> binary_accuracy([[1, 0, 0]], [[0.9, 0.2, 0.7]])
    array([[1., 1., 0.]], dtype=float32)
    """
    t, y = _pair(y_true, y_pred)
    dtype = _dtype_of(y_pred)
    above = y.astype(dtype) > dtype(check_number(threshold, "threshold"))
    return (above == t).astype(np.float32)


def categorical_accuracy(y_true: object, y_pred: object) -> Any:
    """Whether the largest output of a row stands where its largest target stands, as 1 or 0.

    Parameters
    ----------
    y_true, y_pred : array_like, (..., outputs)

    Returns
    -------
    numpy.ndarray of float32, (...)

    Raises
    ------
    ShapeError, DTypeError
        As the message says.

    Examples
    --------
    >>> categorical_accuracy([[0, 1], [1, 0]], [[0.2, 0.8], [0.4, 0.6]])
    array([1., 0.], dtype=float32)
    """
    t, y = _pair(y_true, y_pred)
    return (t.argmax(-1) == y.argmax(-1)).astype(np.float32)


def sparse_categorical_accuracy(y_true: object, y_pred: object) -> Any:
    """Whether the largest output of a row is the labelled one, as 1 or 0.

    Parameters
    ----------
    y_true : array_like of int, (...) or (..., 1)
    y_pred : array_like, (..., outputs)

    Returns
    -------
    numpy.ndarray of float32, (...)

    Raises
    ------
    ShapeError, DTypeError
        As the message says.

    Examples
    --------
    >>> sparse_categorical_accuracy([1, 0], [[0.2, 0.8], [0.4, 0.6]])
    array([1., 0.], dtype=float32)
    """
    t, y = _labelled(y_true, y_pred)
    return (t == y.argmax(-1)).astype(np.float32)


def _among_largest(labels: Any, y: Any, k: int) -> Any:
    """Return whether fewer than k outputs of a row are larger than the labelled one."""
    rows, columns = labels.reshape(-1).astype(np.intp), y.reshape(-1, y.shape[-1])
    there = (rows >= 0) & (rows < columns.shape[1])
    own = np.take_along_axis(columns, np.where(there, rows, 0)[:, None], 1)
    return (there & ((columns > own).sum(1) < check_count(k, "k"))).astype(np.float32)


def top_k_categorical_accuracy(y_true: object, y_pred: object, k: int = 5) -> Any:
    """Whether the output of the target's class is among the k largest of its row, as 1 or 0.

    Parameters
    ----------
    y_true, y_pred : array_like, (..., outputs)
    k : int

    Returns
    -------
    numpy.ndarray of float32, (...)

    Raises
    ------
    ShapeError, DTypeError, ConfigurationError
        As the message says.

    Examples
    --------
    >>> top_k_categorical_accuracy([[0, 0, 1], [0, 1, 0]], [[0.1, 0.7, 0.2], [0.5, 0.1, 0.4]], k=2)
    array([1., 0.], dtype=float32)
    """
    t, y = _pair(y_true, y_pred)
    return _among_largest(t.argmax(-1), y, k).reshape(y.shape[:-1])


def sparse_top_k_categorical_accuracy(
    y_true: object, y_pred: object, k: int = 5, from_sorted_ids: bool = False
) -> Any:
    """Whether the labelled output is among the k largest of its row, as 1 or 0.

    Parameters
    ----------
    y_true : array_like of int, (...) or (..., 1)
    y_pred : array_like, (..., outputs)
    k : int
    from_sorted_ids : bool
        Whether a row of `y_pred` has labels, the best first.

    Returns
    -------
    numpy.ndarray of float32
        Of the shape of `y_true`, as in Keras.

    Raises
    ------
    ShapeError, DTypeError, ConfigurationError
        As the message says.

    Examples
    --------
    >>> sparse_top_k_categorical_accuracy([2, 1], [[0.1, 0.7, 0.2], [0.5, 0.1, 0.4]], k=2)
    array([1., 0.], dtype=float32)
    """
    t, y = _labelled(y_true, y_pred)
    shape = np.shape(_numbers(y_true, "y_true"))
    if check_flag(from_sorted_ids, "from_sorted_ids"):
        hits = (y[..., : check_count(k, "k")] == t[..., None]).any(-1)
        return hits.astype(np.float32).reshape(shape)
    return _among_largest(t, y, k).reshape(shape)


def pearson_correlation(y_true: object, y_pred: object, axis: int = -1) -> Any:
    """Pearson's correlation of outputs and targets along an axis.

    Parameters
    ----------
    y_true, y_pred : array_like, of one shape
    axis : int

    Returns
    -------
    numpy.ndarray of the other axes
        NaN where outputs, or targets, are all alike.

    Raises
    ------
    ShapeError, DTypeError
        As the message says.

    Examples
    --------
    >>> pearson_correlation([[0, 1, 0.5], [1, 1, 0.2]], [[0.1, 0.9, 0.5], [1, 0.9, 0.2]]).round(3)
    array([1.   , 0.993], dtype=float32)
    """
    dt, dy, _ = _centred(y_true, y_pred, axis)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (dt * dy).mean(axis) / np.sqrt(np.square(dt).mean(axis) * np.square(dy).mean(axis))
    return found.astype(_dtype_of(y_pred))[()]


def concordance_correlation(y_true: object, y_pred: object, axis: int = -1) -> Any:
    """Lin's concordance of outputs and targets along an axis.

    Parameters
    ----------
    y_true, y_pred : array_like, of one shape
    axis : int

    Returns
    -------
    numpy.ndarray of the other axes

    Raises
    ------
    ShapeError, DTypeError
        As the message says.

    Examples
    --------
    >>> concordance_correlation([[0, 1, 0.5], [1, 1, 0.2]], [[0.1, 0.9, 0.5], [1, 0.9, 0.2]]).round(3)
    array([0.976, 0.988], dtype=float32)
    """
    dt, dy, apart = _centred(y_true, y_pred, axis)
    spread = np.square(dt).mean(axis) + np.square(dy).mean(axis) + np.square(apart)
    found = 2 * (dt * dy).mean(axis) / (spread + _EPSILON)
    return found.astype(_dtype_of(y_pred))[()]


def _centred(y_true: object, y_pred: object, axis: int) -> tuple[Any, Any, Any]:
    """Return targets and outputs less their means along an axis, and how far these are apart."""
    t, y = (part.astype(np.float64) for part in _pair(y_true, y_pred))
    if not -y.ndim <= check_axis(axis) < y.ndim:
        raise ShapeError(f"y_pred has shape {y.shape}, and no axis {axis}")
    means = [part.mean(axis, keepdims=True) for part in (t, y)]
    return t - means[0], y - means[1], (means[0] - means[1]).squeeze(axis)
