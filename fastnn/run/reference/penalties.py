"""The reference's definitions of penalties on what layers put out.

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


OPS: dict[OpCode, Callable[[Any, Op], None]] = {
    OpCode.ACTIVITY_PENALTY: _activity_penalty,
}
