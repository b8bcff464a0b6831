"""The reference's definitions of normalisation, by the moments of features and by those of rows.

This file must not call kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.compiler.plan import Op, OpCode

__all__ = ["OPS"]


def _batch_moments(m: Any, op: Op) -> None:
    x = m(op, "x")
    m.put(op, "mean", x.mean(0, keepdims=True))
    m.put(op, "variance", x.var(0, keepdims=True))


def _deviation(m: Any, op: Op) -> np.ndarray:
    deviation: np.ndarray = np.sqrt(m(op, "variance") + op.constants[0])
    return deviation


def _normalize(m: Any, op: Op) -> None:
    y = (m(op, "x") - m(op, "mean")) / _deviation(m, op)
    gamma, beta = m.get(op, "gamma"), m.get(op, "beta")
    y = y if gamma is None else y * gamma
    m.put(op, "y", y if beta is None else y + beta)


def _moment_gradients(m: Any, op: Op) -> None:
    dy = m(op, "dy")
    normalized = (m(op, "x") - m(op, "mean")) / _deviation(m, op)
    m.put(op, "dgamma", (dy * normalized).sum(0, keepdims=True))
    m.put(op, "dbeta", dy.sum(0, keepdims=True))


def _normalize_backward(m: Any, op: Op) -> None:
    dx, deviation = m(op, "dy"), _deviation(m, op)
    dgamma, dbeta, gamma = m.get(op, "dgamma"), m.get(op, "dbeta"), m.get(op, "gamma")
    if dgamma is not None:  # mean and variance follow x
        normalized = (m(op, "x") - m(op, "mean")) / deviation
        dx = dx - (dbeta + normalized * dgamma) / m.rows
    m.put(op, "dx", dx / deviation * (1.0 if gamma is None else gamma))


def _moving_average(m: Any, op: Op) -> None:
    momentum = op.constants[0]
    m.put(op, "w", momentum * m(op, "w") + (1.0 - momentum) * m(op, "moment"))


def _row_normalize(m: Any, op: Op) -> None:
    epsilon, centered, averaged = op.constants
    x = m(op, "x")
    mean = x.mean(1, keepdims=True) if centered else np.zeros((len(x), 1))
    squares = ((x - mean) ** 2).sum(1, keepdims=True)
    deviation = np.sqrt(squares / x.shape[1] + epsilon) if averaged else np.maximum(np.sqrt(squares), epsilon)
    y = (x - mean) / deviation
    gamma, beta = m.get(op, "gamma"), m.get(op, "beta")
    y = y if gamma is None else y * gamma
    m.put(op, "y", y if beta is None else y + beta)
    m.put(op, "moments", np.hstack([mean, 1.0 / deviation]))


def _rows_normalized(m: Any, op: Op) -> tuple[np.ndarray, np.ndarray]:
    """Return x normalised, and what it was multiplied by."""
    mean, scale = np.hsplit(m(op, "moments"), 2)
    return (m(op, "x") - mean) * scale, scale


def _row_normalize_backward(m: Any, op: Op) -> None:
    epsilon, centered, averaged = op.constants
    z, scale = _rows_normalized(m, op)
    gamma = m.get(op, "gamma")
    dz = m(op, "dy") * (1.0 if gamma is None else gamma)
    share = 1.0 / z.shape[1] if averaged else np.where(scale < 1.0 / epsilon, 1.0, 0.0)
    dx = dz - z * (dz * z).sum(1, keepdims=True) * share
    m.put(op, "dx", scale * (dx - dz.mean(1, keepdims=True) if centered else dx))


def _row_normalize_gradient(m: Any, op: Op) -> None:
    m.put(op, "dw", (m(op, "dy") * _rows_normalized(m, op)[0]).sum(0, keepdims=True))


OPS: dict[OpCode, Callable[[Any, Op], None]] = {
    OpCode.BATCH_MOMENTS: _batch_moments,
    OpCode.NORMALIZE: _normalize,
    OpCode.MOMENT_GRADIENTS: _moment_gradients,
    OpCode.NORMALIZE_BACKWARD: _normalize_backward,
    OpCode.MOVING_AVERAGE: _moving_average,
    OpCode.ROW_NORMALIZE: _row_normalize,
    OpCode.ROW_NORMALIZE_BACKWARD: _row_normalize_backward,
    OpCode.ROW_NORMALIZE_GRADIENT: _row_normalize_gradient,
}
