"""The reference's definitions of penalties on what layers put out, and on pairs of rows.

This file must not call kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.compiler.plan import Op, OpCode

__all__ = ["OPS"]


def _activity_penalty(m: Any, op: Op) -> None:
    l1, l2 = op.constants
    y = m(op, "y")
    m.add(op, l1 * float(np.abs(y).sum()) + l2 * float((y**2).sum()))
    m.put(op, "dy", (l1 * np.sign(y) + 2.0 * l2 * y) / m.rows)


def _orthogonal_penalty(m: Any, op: Op) -> None:
    factor, by_columns = op.constants
    w = m(op, "w").T if by_columns else m(op, "w")
    lengths = np.sqrt((w**2).sum(1, keepdims=True))
    kept = np.maximum(lengths, 1e-7)
    x = w / kept
    products = x @ x.T
    np.fill_diagonal(products, 0.0)
    scale = factor / (len(w) * (len(w) - 1))
    m.add(op, scale * float(np.abs(products).sum()))
    if op.operand("dw") is not None:
        dx = 2.0 * scale * np.sign(products) @ x
        along = np.where(lengths > 1e-7, (dx * x).sum(1, keepdims=True), 0.0)
        gradient = (dx - along * x) / kept
        m.put(op, "dw", m(op, "dw") + (gradient.T if by_columns else gradient))


OPS: dict[OpCode, Callable[[Any, Op], None]] = {
    OpCode.ACTIVITY_PENALTY: _activity_penalty,
    OpCode.ORTHOGONAL_PENALTY: _orthogonal_penalty,
}
