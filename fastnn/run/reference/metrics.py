"""The reference's definitions of what metrics alone are made of.  This file must not call kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.compiler.plan import LISTED, Op, OpCode

__all__ = ["OPS"]

_LOWEST = -1e10  # what outputs count as that are not among the largest, as in Keras


def _weights(m: Any, op: Op) -> np.ndarray:
    """Return the sample weights as a column."""
    weight = m.get(op, "weight")
    return np.ones((m.rows, 1)) if weight is None else weight


def _labels(m: Any, op: Op) -> np.ndarray:
    """Return the classes of the targets, which are labels if the first constant says so."""
    t = m(op, "t")
    return t[:, 0].astype(int) if op.constants[0] else t.argmax(1)


def _threshold_counts(m: Any, op: Op) -> None:
    buckets, shift, scale, first, column, top_k = op.constants[:LISTED]
    y, t = m(op, "y"), m(op, "t")
    if top_k:
        order = np.argsort(np.argsort(-y, 1, kind="stable"), 1)
        y = np.where(order < top_k, y, _LOWEST)
    if column >= 0:
        y, t = y[:, [int(column)]], t[:, [int(column)]]
    if scale:
        place = np.clip(np.ceil((y - shift) * scale) - first, 0, buckets - 1).astype(int)
    else:
        place = np.searchsorted(op.constants[LISTED : LISTED + int(buckets) - 1], y)
    place = np.where(t != 0, place, place + int(buckets))
    sums = 2 * int(buckets)
    if column == -2:
        place = place + sums * np.arange(y.shape[1])
        sums *= y.shape[1]
    weights = np.broadcast_to(_weights(m, op), place.shape)
    m.add(op, np.bincount(place.ravel(), weights.ravel(), sums))


def _exact_accuracy(m: Any, op: Op) -> None:
    m.add(op, float((_weights(m, op) * (m(op, "y") == m(op, "t")).mean(1, keepdims=True)).sum()))


def _top_k_accuracy(m: Any, op: Op) -> None:
    y = m(op, "y")
    own = np.take_along_axis(y, _labels(m, op)[:, None], 1)
    m.add(op, float(_weights(m, op)[(~(y <= own)).sum(1) < op.constants[1]].sum()))


def _class_hits(m: Any, op: Op) -> None:
    threshold, largest = op.constants
    y, t, weight = m(op, "y"), m(op, "t"), _weights(m, op)
    found = (y >= y.max(1, keepdims=True)) & (np.abs(y) > 1e-9) if largest else y > threshold
    parts = (weight * t * found, weight * found, weight * t)
    m.add(op, np.concatenate([part.sum(0) for part in parts]))


def _target_moments(m: Any, op: Op) -> None:
    y, t, weight = m(op, "y"), m(op, "t"), _weights(m, op)
    parts = (weight * t, weight * t**2, weight * (t - y) ** 2, weight * np.ones_like(t))
    m.add(op, np.concatenate([*(part.sum(0) for part in parts), [t.size]]))


def _confusion(m: Any, op: Op) -> None:
    y = m(op, "y")
    if y.shape[1] == 1:
        classes, wanted, found = 2, (m(op, "t")[:, 0] != 0), y[:, 0] > op.constants[1]
    else:
        classes, wanted, found = y.shape[1], _labels(m, op), y.argmax(1)
    places = classes * wanted.astype(int) + found
    m.add(op, np.bincount(places, _weights(m, op)[:, 0], classes**2))


def _row_correlation(m: Any, op: Op) -> None:
    y, t = m(op, "y"), m(op, "t")
    mean_y, mean_t = y.mean(1), t.mean(1)
    both = ((y - mean_y[:, None]) * (t - mean_t[:, None])).mean(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        if op.constants[0]:
            found = 2.0 * both / (y.var(1) + t.var(1) + (mean_y - mean_t) ** 2 + 1e-7)
        else:
            found = both / (y.std(1) * t.std(1))
    m.add(op, float(_weights(m, op)[:, 0] @ found))


OPS: dict[OpCode, Callable[[Any, Op], None]] = {
    OpCode.THRESHOLD_COUNTS: _threshold_counts,
    OpCode.EXACT_ACCURACY: _exact_accuracy,
    OpCode.TOP_K_ACCURACY: _top_k_accuracy,
    OpCode.CLASS_HITS: _class_hits,
    OpCode.TARGET_MOMENTS: _target_moments,
    OpCode.CONFUSION: _confusion,
    OpCode.ROW_CORRELATION: _row_correlation,
}
