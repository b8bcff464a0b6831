"""The reference's definitions of batch normalisation.  This file must not call kernels."""

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


OPS: dict[OpCode, Callable[[Any, Op], None]] = {
    OpCode.BATCH_MOMENTS: _batch_moments,
    OpCode.NORMALIZE: _normalize,
    OpCode.MOMENT_GRADIENTS: _moment_gradients,
    OpCode.NORMALIZE_BACKWARD: _normalize_backward,
    OpCode.MOVING_AVERAGE: _moving_average,
}
