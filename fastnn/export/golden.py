"""What exported code has to return: a prediction computed op by op, by the reference's definitions.

With `int8`, dense layers do what their exported form does.  This file must not know formats.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.compiler.plan import Op, OpCode
from fastnn.export.c import quantized
from fastnn.export.forward import Forward, parameter
from fastnn.run.reference.formulas import activate
from fastnn.run.reference.interpreter import OPS

__all__ = ["evaluate"]


class _Sheet:
    """Arrays by the names of operands, as the reference's ops want them."""

    def __init__(self, forward: Forward, rows: int) -> None:
        self.rows = rows
        self.arrays: dict[str, NDArray[Any]] = dict(forward.parameters)

    def __call__(self, op: Op, role: str) -> NDArray[Any]:
        return self.arrays[op.need(role).name]

    def get(self, op: Op, role: str) -> NDArray[Any] | None:
        return self(op, role) if op.operand(role) is not None else None

    def put(self, op: Op, role: str, value: NDArray[Any]) -> None:
        operand = op.operand(role)
        if operand is not None:
            assert not parameter(operand)
            self.arrays[operand.name] = value


def evaluate(forward: Forward, inputs: Sequence[NDArray[Any]], int8: bool) -> list[NDArray[Any]]:
    """Return the outputs of given rows.

    Parameters
    ----------
    forward : Forward
    inputs : sequence of ndarray, (rows, columns) each
    int8 : bool
        Whether dense layers multiply whole numbers.

    Returns
    -------
    list of ndarray, (rows, columns) each
    """
    sheet = _Sheet(forward, len(inputs[0]))
    for (_, external), array in zip(forward.inputs, inputs, strict=True):
        sheet.arrays[external.name] = array
    for op in forward.ops:
        if int8 and op.code is OpCode.DENSE:
            _dense_int8(sheet, op)
        else:
            OPS[op.code](sheet, op)  # type: ignore[arg-type]  # it knows no more of a machine than a sheet has
    return [sheet.arrays[external.name] for _, external in forward.outputs]


def _dense_int8(sheet: _Sheet, op: Op) -> None:
    x, bias = sheet(op, "x"), sheet.get(op, "b")
    whole, scale = quantized(sheet(op, "w"))
    most = np.abs(x).max(1, keepdims=True)
    unit = np.where(most > 0, most / x.dtype.type(127), x.dtype.type(1))
    sums = np.rint(x / unit).astype(np.int32) @ whole.T.astype(np.int32)
    z = sums.astype(x.dtype) * (unit * scale)
    sheet.put(op, "y", activate(op.activation, z if bias is None else z + bias, op.constants))
