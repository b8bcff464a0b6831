"""The losses of the reference interpreter.

They are functions of its memory, as those of `interpreter.py`.  This file must not call kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.compiler.plan import Activation, Op, OpCode
from fastnn.ops import Pointwise, Rowwise
from fastnn.run.reference.formulas import CLIP, activate, pointwise, rowwise

__all__ = ["OPS", "targets", "weights"]


def weights(m: Any, op: Op) -> np.ndarray:
    """Return the sample weights as a column."""
    weight: np.ndarray | None = m.get(op, "weight")
    return np.ones((m.rows, 1)) if weight is None else weight


def _row_weights(m: Any, op: Op) -> tuple[np.ndarray, float]:
    """Return the sample weights as a column, and the factor of a row's gradient."""
    return weights(m, op), op.constants[1] / m.rows if op.constants[0] else op.constants[1]


def targets(m: Any, op: Op, sparse: bool, classes: int) -> np.ndarray:
    """Return the targets, labels as one-hot rows."""
    t: np.ndarray = m(op, "t")
    return np.eye(classes)[t[:, 0].astype(int)] if sparse else t


def _squared_error(m: Any, op: Op) -> None:
    weight, factor = _row_weights(m, op)
    scale = op.constants[2]
    difference = m(op, "y") - m(op, "t")
    m.add(op, scale * (weight * difference**2).sum())
    m.put(op, "dy", weight * factor * scale * 2.0 * difference)


def _pointwise_loss(m: Any, op: Op) -> None:
    weight, factor = _row_weights(m, op)
    _, _, function, divisor, *arguments = op.constants
    value, slope = pointwise(Pointwise(int(function)), m(op, "y"), m(op, "t"), tuple(arguments))
    m.add(op, (weight * value).sum() / divisor)
    m.put(op, "dy", weight * factor * slope / divisor)


def _rowwise_loss(m: Any, op: Op) -> None:
    weight, factor = _row_weights(m, op)
    _, _, function, *arguments = op.constants
    value, slope = rowwise(Rowwise(int(function)), m(op, "y"), m(op, "t"), tuple(arguments))
    m.add(op, (weight * value).sum())
    m.put(op, "dy", weight * factor * slope)


def _multiclass_hinge(m: Any, op: Op) -> None:
    weight, factor = _row_weights(m, op)
    y = m(op, "y")
    t = targets(m, op, True, y.shape[1])
    terms = np.where(t == 1, 0.0, np.maximum(y - (y * t).sum(1, keepdims=True) + op.constants[2], 0.0))
    m.add(op, (weight * terms).sum())
    slope = (terms > 0).astype(float)
    m.put(op, "dy", weight * factor * (slope - t * slope.sum(1, keepdims=True)))


def _crossentropy(m: Any, op: Op) -> None:
    weight, factor = _row_weights(m, op)
    y = m(op, "y")
    t = targets(m, op, bool(op.constants[2]), y.shape[1])
    total = y.sum(1, keepdims=True)
    p = y / total
    m.add(op, -(weight * t * np.log(np.clip(p, CLIP, 1 - CLIP))).sum())
    active = np.where((p < CLIP) | (p > 1 - CLIP), 0.0, t)
    m.put(
        op, "dy", weight * factor * (active.sum(1, keepdims=True) - active / np.clip(p, CLIP, None)) / total
    )


def _softmax_crossentropy(m: Any, op: Op) -> None:
    weight, factor = _row_weights(m, op)
    x = m(op, "x")
    t = targets(m, op, bool(op.constants[2]), x.shape[1])
    shifted = x - x.max(1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    m.add(op, -(weight * np.where(t != 0, t * logs, 0.0)).sum())
    m.put(op, "dx", weight * factor * (np.exp(logs) * t.sum(1, keepdims=True) - t))
    m.put(op, "y", np.exp(logs))


def _binary_crossentropy(m: Any, op: Op) -> None:
    weight, factor = _row_weights(m, op)
    y, t = m(op, "y"), m(op, "t")
    p = np.clip(y, CLIP, 1 - CLIP)
    m.add(op, -(weight * (t * np.log(p) + (1 - t) * np.log1p(-p))).sum() / y.shape[1])
    slope = np.where((y < CLIP) | (y > 1 - CLIP), 0.0, (1 - t) / (1 - p) - t / p)
    m.put(op, "dy", weight * factor * slope / y.shape[1])


def _sigmoid_crossentropy(m: Any, op: Op) -> None:
    weight, factor = _row_weights(m, op)
    x, t = m(op, "x"), m(op, "t")
    m.add(op, (weight * (np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.abs(x))))).sum() / x.shape[1])
    y = activate(Activation.SIGMOID, x)
    m.put(op, "dx", weight * factor * (y - t) / x.shape[1])
    m.put(op, "y", y)


OPS: dict[OpCode, Callable[[Any, Op], None]] = {
    OpCode.SQUARED_ERROR: _squared_error,
    OpCode.POINTWISE_LOSS: _pointwise_loss,
    OpCode.ROWWISE_LOSS: _rowwise_loss,
    OpCode.MULTICLASS_HINGE: _multiclass_hinge,
    OpCode.CROSSENTROPY: _crossentropy,
    OpCode.SOFTMAX_CROSSENTROPY: _softmax_crossentropy,
    OpCode.BINARY_CROSSENTROPY: _binary_crossentropy,
    OpCode.SIGMOID_CROSSENTROPY: _sigmoid_crossentropy,
}
