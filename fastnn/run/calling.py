"""Regularizers and constraints on arrays, without a model: what `fastnn/__init__.py` hands down.

This file must not know models.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.border.numeric import as_numbers
from fastnn.constraints import Constraint, NonNeg
from fastnn.regularizers import Regularizer

__all__ = ["constrained", "penalty"]

_EPSILON = 1e-7  # what a norm has added to it, as in Keras and in the kernels


def _reals(value: Any, name: str) -> tuple[np.ndarray, np.dtype]:
    """Return numbers, and the dtype to compute in: float64 for an array of that, else float32."""
    array = as_numbers(value, name)
    doubles = hasattr(value, "dtype") and array.dtype == np.float64
    return array, np.dtype(np.float64 if doubles else np.float32)


def penalty(regularizer: Regularizer, x: object) -> float:
    """Return what a regularizer adds to the loss for an array of any shape.

    Examples
    --------
    >>> from fastnn.regularizers import L2
    >>> penalty(L2(0.5), [3.0, 4.0])
    12.5
    """
    array = as_numbers(x, "x").astype(np.float64)
    l1, l2 = regularizer.factors()
    total = l1 * np.abs(array).sum() if l1 else 0.0
    return float(total + l2 * np.square(array).sum() if l2 else total)


def constrained(constraint: Constraint, w: object) -> np.ndarray:
    """Return what a constraint makes of an array of any shape; float64 stays that, else it is float32.

    Raises
    ------
    ConfigurationError
        If the array has no such axis.

    Examples
    --------
    >>> from fastnn.constraints import MaxNorm
    >>> constrained(MaxNorm(1.0), [[3.0], [4.0]]).round(2)
    array([[0.6],
           [0.8]], dtype=float32)
    """
    given, dtype = _reals(w, "w")
    array = given.astype(dtype)
    limits = constraint.limits(array.shape)
    if not limits:
        return np.maximum(array, 0) if constraint.name == NonNeg.name else array
    least, most, rate = (dtype.type(limit) for limit in limits[:3])
    axis: Any = getattr(constraint, "axis")  # noqa: B009
    several = axis if isinstance(axis, tuple) else (axis,)
    axes = tuple({one % array.ndim for one in several})
    norms = np.sqrt(np.square(array).sum(axes, keepdims=True))
    desired = rate * norms.clip(least, most) + (1 - rate) * norms
    return np.asarray(array * (desired / (norms + dtype.type(_EPSILON))))
