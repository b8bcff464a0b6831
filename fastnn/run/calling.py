"""Losses, regularizers and constraints on arrays, without a model: what `fastnn/__init__.py` hands down.

Targets and outputs of losses pass the border as those of a model do, and the kernels compute each row.  Axes
before the last one are flattened into rows.  This file must not know models.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnn.border import data
from fastnn.border.numeric import as_numbers
from fastnn.border.returned import loss_of_batch, reduced
from fastnn.cache import Latest
from fastnn.compiler.pipeline import compile_loss
from fastnn.compiler.plan import Plan
from fastnn.constraints import Constraint, NonNeg
from fastnn.errors import ConfigurationError, ShapeError
from fastnn.losses import Loss
from fastnn.regularizers import Regularizer
from fastnn.run.program import Program

__all__ = ["constrained", "loss_of", "penalty"]

_plans: Latest[Plan] = Latest(1_000, lambda plan: len(plan.ops))
_EPSILON = 1e-7  # what a norm has added to it, as in Keras and in the kernels


def loss_of(loss: Loss, y_true: object, y_pred: object, sample_weight: object) -> Any:
    """Return a loss of arrays, reduced as it says.

    Parameters
    ----------
    loss : Loss
    y_true, y_pred, sample_weight
        As in `fastnn.losses.Loss.__call__`.

    Returns
    -------
    float or numpy.ndarray

    Raises
    ------
    ShapeError, DataError, DTypeError
        If they do not fit each other.

    Examples
    --------
    >>> from fastnn.losses import MeanSquaredError
    >>> loss_of(MeanSquaredError("sum"), [[1, 2], [3, 4]], [[1, 4], [3, 4]], None)
    2.0
    """
    y, dtype = _reals(y_pred, "y_pred")
    dtype = np.dtype(loss.dtype or dtype)
    t = as_numbers(y_true, "y_true", target=True)
    t, y = _same_axes(t, y)
    if not y.ndim or not y.shape[-1]:
        raise ShapeError(f"y_pred has shape {y.shape}; its last axis must hold the outputs of a row")
    t, y = _outputs_last(loss, t, y)
    before, columns = y.shape[:-1], y.shape[-1]
    rows = math.prod(before)
    if loss.in_python:
        return _in_python(loss, t, y, dtype, sample_weight)
    try:
        loss.check_outputs(columns)
    except ConfigurationError as error:
        raise ShapeError(f"y_pred has shape {y.shape}, as outputs of a model: {error}") from None
    _check_targets(loss, t.shape, y.shape)
    flat = t.reshape((rows,) if loss.sparse else (rows, t.size // rows if rows else columns))
    arrays = {
        "x": data.as_features(y.reshape(rows, columns), columns, dtype, name="y_pred", empty=True),
        "y": data.as_targets(flat, rows, columns, loss, dtype, name="y_true"),
    }
    kept = None if loss.ignored is None else data.kept_rows(flat, loss.ignored, np.dtype(np.float64))[:, 0]
    weights, given = _weights(sample_weight, before)
    values = np.empty(0)
    if rows:
        plan = _plans.get((loss, columns), lambda: compile_loss(loss, columns))
        values = Program(plan, dtype, np.empty(0, dtype)).sums_of_rows(arrays, rows)
    if kept is not None:
        weights = kept if weights is None else weights * kept
        given = float(weights.sum())
    if weights is not None:
        values = values * weights
    if loss.reduction in (None, "none"):
        with np.errstate(over="ignore"):
            return values.astype(dtype).reshape(before)[()]
    divisor = 1.0  # also of one row without an axis: as in Keras, that is its loss, times its weight
    if before and loss.reduction == "mean_with_sample_weight":
        divisor = rows if weights is None else given
    elif before and loss.mean:
        divisor = rows if kept is None else float(kept.sum())
    return float(values.sum()) / divisor if divisor else 0.0


def _in_python(loss: Loss, t: np.ndarray, y: np.ndarray, dtype: np.dtype, sample_weight: object) -> Any:
    """Return a loss of the user's own, which rows of all axes before the last one are a batch for."""
    before, columns = y.shape[:-1], y.shape[-1]
    rows = math.prod(before)
    if before not in (t.shape, t.shape[:-1]):
        raise ShapeError(f"y_true has shape {t.shape} and y_pred has {y.shape}; they must have the same rows")
    flat = t.reshape(rows, -1) if rows else np.zeros((0, columns))
    outputs = data.as_features(y.reshape(rows, columns), columns, dtype, name="y_pred", empty=True)
    found = loss_of_batch(loss, flat.astype(dtype), outputs)
    weights, _ = _weights(sample_weight, before)
    if loss.reduction in (None, "none"):
        values = found.value if weights is None else found.value * weights
        return values.astype(dtype).reshape(before if found.value.ndim else ())[()]
    weight = None if weights is None else weights[:, None]
    return reduced(loss, found, weight)[0] if rows else 0.0


def _reals(value: Any, name: str) -> tuple[np.ndarray, np.dtype]:
    """Return numbers, and the dtype to compute in: float64 for an array of that, else float32."""
    array = as_numbers(value, name)
    doubles = hasattr(value, "dtype") and array.dtype == np.float64
    return array, np.dtype(np.float64 if doubles else np.float32)


def _same_axes(t: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both with as many axes, as Keras does, if one has a last axis of length 1 more."""
    if t.ndim == y.ndim + 1 and t.shape[-1] == 1:
        return (t, y[:, None]) if y.ndim == 1 else (t[..., 0], y)
    if y.ndim == t.ndim + 1 and y.shape[-1] == 1:
        return (t[:, None], y) if t.ndim == 1 else (t, y[..., 0])
    return t, y


def _outputs_last(loss: Loss, t: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both with the axes of the outputs as the last one."""
    axis = getattr(loss, "axis", -1)
    if axis == -1:
        return t, y
    axes = tuple(range(y.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    if not all(-y.ndim <= one < y.ndim for one in axes) or len({one % y.ndim for one in axes}) < len(axes):
        raise ShapeError(f"y_pred has shape {y.shape}, and not the axis {axis}, which {loss.name} sums over")
    if t.shape != y.shape:
        return t, y  # which is refused
    kept = [one for one in range(y.ndim) if one not in {other % y.ndim for other in axes}]
    order = (*kept, *(one % y.ndim for one in axes))
    shape = (*(y.shape[one] for one in kept), math.prod(y.shape[one] for one in axes))
    return t.transpose(order).reshape(shape), y.transpose(order).reshape(shape)


def _check_targets(loss: Loss, of_true: tuple[int, ...], of_pred: tuple[int, ...]) -> None:
    """Raise unless there are the targets that a loss takes for such outputs."""
    before, columns = of_pred[:-1], of_pred[-1]
    fit = {(*before, loss.n_targets(columns))}
    if loss.sparse:
        fit.add(before)
    if loss.repeats:
        fit.add((*before, 1))
    if of_true not in fit:
        takes = "a label a row" if loss.sparse else "a target for each output: they must have the same shape"
        if loss.traits.heads > 1:
            takes = f"a target for {loss.traits.heads} outputs"
        raise ShapeError(f"y_true has shape {of_true} and y_pred has {of_pred}; {loss.name} takes {takes}")


def _weights(value: object, shape: tuple[int, ...]) -> tuple[np.ndarray | None, float]:
    """Return a weight for each row, and the sum of those that were given."""
    if value is None:
        return None, 0.0
    array = as_numbers(value, "sample_weight")
    if array.ndim == len(shape) + 1 and array.shape[-1] == 1:
        array = array[..., 0]
    fits = array.ndim in (0, len(shape)) and all(
        one in (1, wanted) for one, wanted in zip(array.shape, shape, strict=False)
    )
    if not fits:
        hint = "" if shape else "; one axis is one row: give several the shape (rows, 1)"
        raise ShapeError(
            f"sample_weight has shape {array.shape}, and there is a loss for each of {shape} rows; give each "
            f"a weight, or one for all{hint}"
        )
    every = np.broadcast_to(array, shape).reshape(-1)
    return data.as_sample_weight(every, every.size, np.dtype(np.float64))[:, 0], float(array.sum())


def penalty(regularizer: Regularizer, x: object) -> float:
    """Return what a regularizer adds to the loss for an array of any shape that it takes.

    Raises
    ------
    ShapeError
        If it takes no such shape.

    Examples
    --------
    >>> from fastnn.regularizers import L2
    >>> penalty(L2(0.5), [3.0, 4.0])
    12.5
    """
    array = as_numbers(x, "x").astype(np.float64)
    regularizer.check_shape(array.shape, "x")
    factor, mode = regularizer.pairs()
    if factor:
        rows = array if mode == "rows" else array.T
        lengths = np.sqrt(np.square(rows).sum(1, keepdims=True))
        rows = rows / np.maximum(lengths, _EPSILON)
        pairs = np.abs(rows @ rows.T)[np.triu_indices(len(rows), 1)]
        return float(factor * pairs.mean())
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
