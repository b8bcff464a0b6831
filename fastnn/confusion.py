"""What is made of counts between thresholds: shares, and areas under curves.

Counts are floats, or arrays with a number for each epoch.  This file must not know metrics or plans.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["area", "share"]


def share(part: Any, rest: Any) -> Any:
    """Return part / (part + rest), 0 where both are, as in Keras.

    Examples
    --------
    >>> share(3.0, 1.0), share(0.0, 0.0)
    (0.75, 0.0)
    """
    return _plain(_ratio(part, np.add(part, rest)))


def area(sums: Sequence[Any], buckets: int, curve: str, method: str) -> Any:
    """Return the area under a curve.

    Parameters
    ----------
    sums : sequence of float, or of numpy.ndarray
        The counts of positives in each bucket, the lowest first, then those of negatives.
    buckets : int
    curve : {"ROC", "PR"}
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
    x, y = (_ratio(false, false[0]), recall) if curve == "ROC" else (recall, _ratio(true, true + false))
    match method:
        case "interpolation":
            heights = (y[:-1] + y[1:]) / 2
        case "minoring":
            heights = np.minimum(y[:-1], y[1:])
        case _:
            heights = np.maximum(y[:-1], y[1:])
    return _plain(((x[:-1] - x[1:]) * heights).sum(0))


def _interpolated_precision(true: np.ndarray, false: np.ndarray) -> np.ndarray:
    """Return the area under precision over recall, both counts being linear between thresholds."""
    found = true + false
    gained = true[:-1] - true[1:]
    slope = _ratio(gained, found[:-1] - found[1:])
    intercept = true[1:] - slope * found[1:]
    both = (found[:-1] > 0) & (found[1:] > 0)
    growth = np.where(both, _ratio(found[:-1], found[1:]), 1.0)
    return _ratio((slope * (gained + intercept * np.log(growth))).sum(0), true[0])


def _ratio(part: Any, whole: Any) -> np.ndarray:
    """Return part / whole, 0 where the whole is 0."""
    part, whole = np.asarray(part, dtype=float), np.asarray(whole)
    return np.divide(part, whole, out=np.zeros_like(part), where=whole != 0)


def _plain(value: np.ndarray) -> Any:
    """Return an array of several epochs as it is, one number as a float."""
    return value if value.ndim else float(value)
