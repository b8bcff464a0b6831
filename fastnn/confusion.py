"""What is made of counts: shares, areas under curves, scores of classes, and tables.

Counts are floats, or arrays with a number for each epoch.  This file must not know metrics or plans.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = [
    "area",
    "best_under",
    "by_thresholds",
    "determination",
    "f_scores",
    "mean_by",
    "one_or_all",
    "overlap",
    "share",
    "table",
]

_LEAST = 1e-9  # counts of a class above which it is there, as in Keras
_EPSILON = 1e-7  # what Keras adds to denominators of F scores


def share(part: Any, rest: Any) -> Any:
    """Return part / (part + rest), 0 where both are, as in Keras.

    Examples
    --------
    >>> share(3.0, 1.0), share(0.0, 0.0)
    (0.75, 0.0)
    """
    return _plain(_ratio(part, np.add(part, rest)))


def by_thresholds(sums: Sequence[Any], places: Sequence[int]) -> tuple[np.ndarray, ...]:
    """Return true and false positives, and true and false negatives, by each of some thresholds.

    Parameters
    ----------
    sums : sequence of float, or of numpy.ndarray
        The counts of positives in each bucket, the lowest first, then those of negatives.
    places : sequence of int
        How many buckets are below each threshold.

    Returns
    -------
    tuple of numpy.ndarray, (thresholds,) or (thresholds, epochs)

    Examples
    --------
    >>> [float(one[0]) for one in by_thresholds([1.0, 3.0, 4.0, 2.0], [1])]
    [3.0, 2.0, 4.0, 1.0]
    """
    between = np.array(sums, dtype=float)
    between = between.reshape(2, -1, *between.shape[1:])
    none = np.zeros_like(between[:, :1])
    found, wrong = np.concatenate([between[:, ::-1].cumsum(1)[:, ::-1], none], 1)[:, places]
    missed, right = np.concatenate([none, between.cumsum(1)], 1)[:, places]
    return found, wrong, right, missed


def one_or_all(values: Any) -> Any:
    """Return the only one of several values, or all.

    Examples
    --------
    >>> one_or_all(np.array([0.5])), one_or_all(np.array([0.5, 1.0]))
    (0.5, array([0.5, 1. ]))
    """
    return _plain(values[0]) if len(values) == 1 else values


def best_under(constrained: Any, dependent: Any, least: float) -> Any:
    """Return the largest of the second values where the first are at least a number; 0 if none is.

    Examples
    --------
    >>> best_under(np.array([0.4, 0.6, 0.8]), np.array([0.9, 0.5, 0.3]), 0.5)
    0.5
    """
    # Keras compares in float32.
    feasible = np.asarray(constrained, np.float32) >= np.float32(least)
    return _plain(np.where(feasible, dependent, 0.0).max(0, initial=0.0))


def f_scores(sums: Sequence[Any], beta: float, average: str | None) -> Any:
    """Return the F score of each class, or of all.

    Parameters
    ----------
    sums : sequence of float, or of numpy.ndarray
        By class: what is rightly found, what is found, what there is.
    beta : float
    average : {"micro", "macro", "weighted"} or None

    Examples
    --------
    >>> f_scores([1.0, 1.0, 2.0, 1.0, 1.0, 2.0], 1.0, None).round(4)
    array([0.6667, 0.6667])
    """
    parts = np.array(sums, dtype=float)
    true, found, wanted = parts.reshape(3, -1, *parts.shape[1:])
    if average == "micro":
        true, found, wanted = (part.sum(0, keepdims=True) for part in (true, found, wanted))
    precision, recall = true / (found + _EPSILON), true / (wanted + _EPSILON)
    scores = (1 + beta**2) * precision * recall / (beta**2 * precision + recall + _EPSILON)
    if average is None:
        return scores
    if average == "weighted":
        return _plain((scores * wanted / (wanted.sum(0) + _EPSILON)).sum(0))
    return _plain(scores.mean(0))


def determination(sums: Sequence[Any], aggregation: str | None, regressors: int) -> Any:
    """Return the coefficient of determination, R squared, of each output, or of all.

    Parameters
    ----------
    sums : sequence of float, or of numpy.ndarray
        By output: targets, their squares, squared errors, weights; then the number of targets.
    aggregation : {"uniform_average", "variance_weighted_average"} or None
    regressors : int
        Of the adjusted coefficient; 0 for the plain one.

    Examples
    --------
    >>> determination([3.0, 5.0, 0.25, 2.0, 2.0], "uniform_average", 0)
    0.5
    """
    parts = np.array(sums, dtype=float)
    numbers = parts[-1]
    total, squares, errors, weight = parts[:-1].reshape(4, -1, *parts.shape[1:])
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = squares - total * (total / weight)
        scores = 1 - errors / spread
        scores = np.where(np.isinf(scores), 0.0, scores)
        if aggregation == "uniform_average":
            scores = scores.mean(0)
        elif aggregation is not None:
            scores = (spread * scores).sum(0) / spread.sum(0)
        if regressors:
            adjusted = 1 - (1 - scores) * (numbers - 1) / (numbers - regressors - 1)
            scores = np.where(regressors < numbers - 1, adjusted, scores)
    return scores if aggregation is None else _plain(scores)


def table(sums: Sequence[Any]) -> np.ndarray:
    """Return sums as a square, (n, n) or (n, n, epochs).

    Examples
    --------
    >>> table([1.0, 2.0, 3.0, 4.0])
    array([[1., 2.],
           [3., 4.]])
    """
    parts = np.array(sums, dtype=float)
    side = round(len(parts) ** 0.5)
    return parts.reshape(side, side, *parts.shape[1:])


def mean_by(values: Sequence[Any], weights: Sequence[float]) -> Any:
    """Return the mean of values by weights, 0 if these are.

    Examples
    --------
    >>> mean_by([0.5, 1.0], [1.0, 3.0])
    0.875
    """
    total = sum(weights)
    return sum(w * value for w, value in zip(weights, values, strict=False)) / total if total else 0.0


def overlap(sums: Sequence[Any], chosen: Sequence[int]) -> Any:
    """Return the mean, over some classes, of rows of a class that are found over those that are it or found.

    Classes that no row has, or is taken for, are left out; if all are, it is 0, as in Keras.

    Parameters
    ----------
    sums : sequence of float, or of numpy.ndarray
        A table of rows by class, then by the class that they are taken for.
    chosen : sequence of int

    Examples
    --------
    >>> overlap([1.0, 1.0, 0.0, 2.0], [1])
    0.6666666666666666
    """
    counts = table(sums)
    right = np.array([counts[place, place] for place in chosen])
    either = np.array([counts[place].sum(0) + counts[:, place].sum(0) for place in chosen]) - right
    there = either > _LEAST
    return _plain(_ratio(np.where(there, _ratio(right, either), 0.0).sum(0), there.sum(0)))


def area(sums: Sequence[Any], buckets: int, curve: str, method: str) -> Any:
    """Return the area under a curve.

    Parameters
    ----------
    sums : sequence of float, or of numpy.ndarray
        The counts of positives in each bucket, the lowest first, then those of negatives.
    buckets : int
    curve : {"ROC", "PR", "PRGAIN"}
    method : {"interpolation", "minoring", "majoring"}
        What `fastnn.metrics.AUC` calls `summation_method`.

    Examples
    --------
    >>> area([0.0, 1.0, 1.0, 0.0], 2, "ROC", "interpolation")
    1.0
    """
    between = np.array(sums, dtype=float)
    between = between.reshape(2, buckets, *between.shape[1:])
    above = np.zeros((2, buckets + 1, *between.shape[2:]))
    above[:, :-1] = between[:, ::-1].cumsum(1)[:, ::-1]
    true, false = above  # positives by each threshold
    if curve == "PR" and method == "interpolation":
        return _plain(_interpolated_precision(true, false))
    recall = _ratio(true, true[0])
    if curve == "PRGAIN":
        x, y = _gains(true, false)
    else:
        x, y = (_ratio(false, false[0]), recall) if curve == "ROC" else (recall, _ratio(true, true + false))
    match method:
        case "interpolation":
            heights = (y[:-1] + y[1:]) / 2
        case "minoring":
            heights = np.minimum(y[:-1], y[1:])
        case _:
            heights = np.maximum(y[:-1], y[1:])
    return _plain(((x[:-1] - x[1:]) * heights).sum(0))


def _gains(true: np.ndarray, false: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the gains of recall and precision; where nothing is found, 0 and 1, as in Keras."""
    odds = _ratio(true[0], false[0])
    recall = 1.0 - odds * _ratio(true[0] - true, true)
    precision = 1.0 - odds * _ratio(false, true)
    none = true == 0
    return np.maximum(np.where(none, 0.0, recall), 0.0), np.where(none, 1.0, precision)


def _interpolated_precision(true: np.ndarray, false: np.ndarray) -> np.ndarray:
    """Return the area under precision over recall, both counts being linear between thresholds."""
    found = true + false
    gained = true[:-1] - true[1:]
    slope = _ratio(gained, np.maximum(found[:-1] - found[1:], 0.0))
    intercept = true[1:] - slope * found[1:]
    both = (found[:-1] > 0) & (found[1:] > 0)
    growth = np.where(both, _ratio(found[:-1], found[1:]), 1.0)
    return _ratio((slope * (gained + intercept * np.log(growth))).sum(0), np.maximum(true[0], 0.0))


def _ratio(part: Any, whole: Any) -> np.ndarray:
    """Return part / whole, 0 where the whole is 0."""
    part, whole = np.asarray(part, dtype=float), np.asarray(whole)
    return np.divide(part, whole, out=np.zeros_like(part), where=whole != 0)


def _plain(value: np.ndarray) -> Any:
    """Return an array of several epochs as it is, one number as a float."""
    return value if value.ndim else float(value)
