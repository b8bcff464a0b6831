"""The reference's definitions of what limits gradients.  This file must not call kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.compiler.plan import Op, OpCode

__all__ = ["OPS"]


def _gradient_squares(m: Any, op: Op) -> None:
    m.add(op, float((m(op, "dw") ** 2).sum()))


def _scale_gradient(m: Any, op: Op) -> None:
    m.put(op, "dw", m.factor(op) * m(op, "dw"))


def _clip_gradient(m: Any, op: Op) -> None:
    limit = op.constants[0]
    m.put(op, "dw", np.clip(m(op, "dw"), -limit, limit))


OPS: dict[OpCode, Callable[[Any, Op], None]] = {
    OpCode.GRADIENT_SQUARES: _gradient_squares,
    OpCode.SCALE_GRADIENT: _scale_gradient,
    OpCode.CLIP_GRADIENT: _clip_gradient,
}
