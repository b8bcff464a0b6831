"""Metrics on arrays, without a model: what `fastnn/__init__.py` hands down to `fastnn.metrics.Metric`.

Targets and outputs pass the border as those of a model do, and the kernels add up the same sums.  Axes before
the last one are flattened into rows.  Where sample weights are for single outputs, these become rows, or each
column is measured alone.  What is given as labels that were found is counted here.  This file must not know
models.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnn.border import data
from fastnn.border.numeric import as_numbers
from fastnn.cache import Latest
from fastnn.compiler.pipeline import compile_metric
from fastnn.compiler.plan import WEIGHTS, Plan
from fastnn.errors import ShapeError
from fastnn.losses import Loss, MeanSquaredError, SparseCategoricalCrossentropy
from fastnn.metrics import Metric
from fastnn.run.program import Program

__all__ = ["measure"]

_plans: Latest[Plan] = Latest(1_000, lambda plan: len(plan.ops))
_OF_NUMBERS: Loss = MeanSquaredError()
_OF_LABELS: Loss = SparseCategoricalCrossentropy()
_LOWEST = -1e10  # what outputs count as that are not among the largest, as in the kernels


def measure(
    metric: Metric, y_true: object, y_pred: object, sample_weight: object
) -> tuple[list[float], float]:
    """Return the sums of a metric, and the rows, or their weights.

    Parameters
    ----------
    metric : Metric
    y_true, y_pred, sample_weight
        As in `fastnn.metrics.Metric.update_state`.

    Raises
    ------
    ShapeError, DataError, DTypeError
        If they do not fit each other.

    Examples
    --------
    >>> from fastnn.metrics import Accuracy
    >>> measure(Accuracy(), [1, 2, 2], [1, 2, 3], None)
    ([2.0], 3.0)
    """
    given = as_numbers(y_pred, "y_pred")
    doubles = getattr(y_pred, "dtype", None) == np.float64
    dtype = np.dtype(metric.dtype or (np.float64 if doubles else np.float32))
    if metric.of_labels:
        return _of_labels(metric, as_numbers(y_true, "y_true", target=True), given, sample_weight)
    if not given.ndim:
        raise ShapeError(
            f"y_pred has shape {given.shape}; it must be (rows, outputs), or (rows,) for one output"
        )
    one_row = given.ndim == 1 and getattr(metric, "top_k", None) is not None  # as in Keras
    targets = as_numbers(y_true, "y_true", target=True)
    if not metric.sparse and targets.ndim == given.ndim + 1 == 2 and targets.shape[1] == 1:
        given = given[:, None]
    elif not metric.sparse and given.ndim == targets.ndim + 1 > 2 and given.shape[-1] == 1:
        targets = targets[..., None]
    _check_shapes(targets.shape, given.shape, metric)
    if (axis := getattr(metric, "axis", -1)) != -1 and given.ndim > 1:
        if not -given.ndim <= axis < given.ndim:
            raise ShapeError(f"y_pred has shape {given.shape}, and no axis {axis}")
        targets, given = (np.moveaxis(part, axis, -1) for part in (targets, given))
    shape = (1, *given.shape) if one_row else given.shape if given.ndim > 1 else (*given.shape, 1)
    rows, columns = math.prod(shape[:-1]), shape[-1]
    y = data.as_features(given.reshape(rows, columns), columns, dtype, name="y_pred", empty=True)
    flat = targets.reshape((rows,) if metric.sparse else (rows, columns))
    kept = None if metric.ignored is None else data.kept_rows(flat, metric.ignored, dtype)
    if kept is not None:
        flat = np.where(kept[:, 0] != 0, flat, 0)
    loss = _OF_LABELS if metric.sparse else _OF_NUMBERS
    t = data.as_targets(flat, rows, columns, loss, dtype, name="y_true")
    weights = None if sample_weight is None else _weights(sample_weight, shape, metric, one_row)
    if weights is not None:
        flat_weights = data.as_sample_weight(weights.reshape(-1), weights.size, dtype)
        if weights.shape == shape and columns > 1:
            return _by_outputs(metric, y, t, flat_weights.reshape(rows, columns))
        weights = flat_weights
    if kept is None:
        return _run(metric, y, t, weights)
    if weights is not None:
        return _run(metric, y, t, kept * weights)
    return _run(metric, y, t, kept)[0], float(rows)  # those that are ignored count, as in Keras


def _run(
    metric: Metric, y: np.ndarray, t: np.ndarray, weights: np.ndarray | None
) -> tuple[list[float], float]:
    """Return the sums of checked rows, and their number, or the sum of their weights, by the kernels."""
    (rows, columns), weighted = y.shape, weights is not None
    plan = _plans.get((metric, columns, weighted), lambda: compile_metric(metric, columns, weighted))
    if not rows:
        return [0.0] * metric.width(columns), 0.0
    arrays = {"x": y, "y": t} | ({WEIGHTS: weights} if weights is not None else {})
    result = Program(plan, y.dtype, np.empty(0, y.dtype)).run(arrays, rows, rows)
    if result.exception is not None:
        raise result.exception
    sums = result.sums[0].tolist()
    return (sums[1:], sums[0]) if weighted else (sums, float(rows))


def _by_outputs(
    metric: Metric, y: np.ndarray, t: np.ndarray, weights: np.ndarray
) -> tuple[list[float], float]:
    """Return the sums of rows whose outputs have weights of their own, and the rows' weights."""
    columns = y.shape[1]
    if (top_k := getattr(metric, "top_k", None)) is not None:
        order = np.argsort(np.argsort(-y, axis=1, kind="stable"), axis=1)
        y = np.where(order < top_k, y, y.dtype.type(_LOWEST))
    if (chosen := getattr(metric, "class_id", None)) is not None:
        metric.constants(columns)  # which says if there is no such output
        y, t, weights = (part[:, [chosen]] for part in (y, t, weights))
    if metric.weighs == "outputs":
        sums, count = _run(metric.of_one_output(), *(_column(part) for part in (y, t, weights)))
        share = 1.0 if metric.counts else 1.0 / columns  # of a row, each output's
        return [share * total for total in sums], share * count
    metric.constants(columns)
    one = metric.of_one_output()
    parts = [_run(one, *(_column(part[:, j]) for part in (y, t, weights)))[0] for j in range(columns)]
    return metric.joined(parts), float(weights.sum(dtype=np.float64)) / columns


def _column(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1, 1)


def _weights(value: object, shape: tuple[int, ...], metric: Metric, one_row: bool) -> np.ndarray:
    """Return sample weights of the shape of the outputs, or of the rows."""
    array = as_numbers(value, "sample_weight")
    given = array.shape
    if one_row and array.ndim == 1:
        array = array[None]
    of_outputs = array.ndim == len(shape) and array.shape[-1] != 1
    if of_outputs and metric.weighs == "rows":
        raise ShapeError(
            f"sample_weight has shape {array.shape}, and {type(metric).__name__} is one number of all "
            f"outputs of a row; give each row a weight, of shape {shape[:-1]}"
        )
    wanted = shape if of_outputs else shape[:-1]
    if not of_outputs and array.ndim == len(shape):
        array = array[..., 0]
    elif array.ndim:
        array = array.reshape(array.shape + (1,) * (len(wanted) - array.ndim))
    if not all(a in (1, b) for a, b in zip(array.shape, wanted, strict=False)) or array.ndim > len(wanted):
        each = ", or each output" if metric.weighs != "rows" else ""
        raise ShapeError(
            f"sample_weight has shape {given}, and y_pred has {math.prod(shape[:-1])} rows; give "
            f"each one{each} a weight, or one for all"
        )
    return np.broadcast_to(array, wanted)


def _check_shapes(of_true: tuple[int, ...], of_pred: tuple[int, ...], metric: Metric) -> None:
    """Raise if targets and outputs of these shapes do not fit each other."""
    if of_true[:1] != of_pred[:1]:
        raise ShapeError(f"y_true has shape {of_true} and y_pred has {of_pred}; they must have as many rows")
    before = of_pred[:-1] or of_pred
    fit = {before, (*before, 1)} if metric.sparse else {of_pred}
    if not metric.sparse and (len(of_pred) == 1 or of_pred[-1] == 1):
        fit |= {before, (*before, 1)}
    if of_true not in fit:
        takes = "a label a row" if metric.sparse else "a target for each output"
        raise ShapeError(
            f"y_true has shape {of_true} and y_pred has {of_pred}; {type(metric).__name__} takes {takes}"
        )


def _of_labels(metric: Any, t: np.ndarray, y: np.ndarray, sample_weight: object) -> tuple[list[float], float]:
    """Return the sums of a metric of labels that were found, and the rows' weights."""
    if hasattr(metric, "from_sorted_ids"):
        return _of_sorted_labels(metric, t, y, sample_weight)
    for dense, name in ((not metric.sparse_y_true, "y_true"), (not metric.sparse_y_pred, "y_pred")):
        array = t if name == "y_true" else y
        if dense and not -array.ndim <= metric.axis < array.ndim:
            raise ShapeError(f"{name} has shape {array.shape}, and no axis {metric.axis}, that of classes")
    t = t if metric.sparse_y_true else t.argmax(metric.axis)
    y = y if metric.sparse_y_pred else y.argmax(metric.axis)
    if t.size != y.size:
        raise ShapeError(
            f"y_true has {t.size} labels and y_pred has {y.size}; each must have one of the other"
        )
    weights = _of_each(sample_weight, t)
    wanted, found = (np.trunc(part.reshape(-1)) for part in (t, y))
    classes = metric.num_classes
    there = (wanted >= 0) & (wanted < classes) & (found >= 0) & (found < classes)
    if metric.ignored is not None:
        there &= wanted != metric.ignored
    places = classes * wanted[there].astype(np.intp) + found[there].astype(np.intp)
    sums = np.bincount(places, weights[there], classes**2)
    return sums.tolist(), float(weights.sum())


def _of_sorted_labels(
    metric: Any, t: np.ndarray, y: np.ndarray, sample_weight: object
) -> tuple[list[float], float]:
    """Return how many rows have the target among their first labels, and the rows' weights."""
    if y.ndim < 2 or t.shape not in (y.shape[:-1], (*y.shape[:-1], 1)):
        raise ShapeError(
            f"y_true has shape {t.shape} and y_pred has {y.shape}; with from_sorted_ids y_pred has labels in "
            "the order of their scores, (rows, labels), and y_true one label a row"
        )
    t = t.reshape(y.shape[:-1])
    hits = (y[..., : metric.k] == t[..., None]).any(-1).reshape(-1)
    weights = _of_each(sample_weight, t)
    return [float(weights @ hits)], float(weights.sum())


def _of_each(sample_weight: object, labels: np.ndarray) -> np.ndarray:
    """Return a weight for each label, (labels,)."""
    if sample_weight is None:
        return np.ones(labels.size)
    array = as_numbers(sample_weight, "sample_weight")
    if array.size not in (1, labels.size):
        raise ShapeError(
            f"sample_weight has shape {array.shape}, and there are {labels.size} labels; give each "
            "one, or one for all"
        )
    every = np.broadcast_to(array.reshape(-1), (labels.size,))
    return data.as_sample_weight(every, labels.size, np.dtype(np.float64))[:, 0]
