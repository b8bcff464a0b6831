"""Plans as the executor reads them, and what programs ask of them, worked out once for each plan.

This file must not know arrays or memory.
"""

from __future__ import annotations

import itertools
import math

from fastnn._core.executor import ADDRESSINGS
from fastnn.cache import Latest
from fastnn.compiler.plan import PRODUCTS, ROWS, Axis, Op, OpCode, Operand, Path, Plan, Role, Slot
from fastnn.compiler.tuning import BLAS_THREADS_FROM
from fastnn.errors import PlanError

__all__ = ["Encoded", "encode"]

_Operand = tuple[int, int, int, int]
_Op = tuple[int, int, int, int, list[_Operand | None], tuple[float, ...], tuple[int, ...]]
_KEPT_OPS = 10_000  # of all plans whose code is kept


class Encoded:
    """A plan as tuples, and its numbers, all of them made at once: no lock, and so no fork, comes in between.

    Parameters
    ----------
    plan : Plan

    Attributes
    ----------
    ops, phases : list of tuple
        As `Executor` takes them.
    times_rows : list of int
        For each sum whether that of a batch is multiplied by its rows.
    n_sums, n_losses : int
        The number of sums of all accumulators, and that of the losses of a training step.
    externals : dict of str to (int, int, bool)
        Slot, columns and whether the plan writes it, of each external array by its name.
    gathers, writes_parameters : bool
        Whether rows are picked by a permutation; whether an op changes parameters.
    clips : list of (int, float)
        The sum that each clip is made of, and its limit.
    due : list of int
        For each phase the scalar that is 0 in steps that leave it out; -1 if none does.
    first_update : int
        The number of the first phase that updates; that of phases if none does.
    row_tiles : list of int
        The heights of tiles of the phases over rows.
    parameter_tiles, feature_tiles : int
        The most tiles of a phase over parameters, or over features.
    parameter_elements : int
        The numbers that gradients and updates of a step read and write.
    flops_per_row : int
        Floating-point operations of a row, at least 1.
    first_guarded : float
        The rows from which on some product is large enough for BLAS to start threads of its own.

    Raises
    ------
    PlanError
        If an op over rows has an operand without any.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        sums = [*itertools.accumulate((a.width for a in plan.accumulators), initial=0)]
        self.ops = [_encode_op(op, sums[op.accumulator] if op.accumulator >= 0 else -1) for op in plan.ops]
        self.phases = [
            (
                int(phase.axis),
                phase.tile_rows,
                [(task.first, task.last, task.begin, task.end) for task in phase.tasks],
            )
            for phase in plan.phases
        ]
        self.times_rows = [int(a.times_rows) for a in plan.accumulators for _ in range(a.width)]
        self.n_sums = plan.n_sums
        self.n_losses = sum(map(plan.is_loss, plan.ops)) if plan.purpose == "train" else 0
        self.externals = {
            external.name: (Slot.EXTERNAL + index, external.columns, external.written)
            for index, external in enumerate(plan.externals)
        }
        self.gathers = any(op.code is OpCode.GATHER for op in plan.ops)
        self.writes_parameters = any(
            operand.slot == Slot.PARAMETERS for op in plan.ops for operand in op.outputs()
        )
        self.clips = [(sums[clip.accumulator], clip.limit) for clip in plan.clips]
        self.due = [phase.due for phase in plan.phases]
        flags = [phase.updates for phase in plan.phases]
        self.first_update = flags.index(True) if True in flags else len(flags)
        self.row_tiles = [phase.tile_rows for phase in plan.phases if phase.axis is Axis.ROWS]
        self.parameter_tiles, self.feature_tiles = (
            max((len(phase.tasks) for phase in plan.phases if phase.axis is axis), default=0)
            for axis in (Axis.PARAMETER, Axis.FEATURES)
        )
        self.parameter_elements = sum(
            op.bytes(plan.capacity, itemsize=1) for op in plan.ops if op.signature.axis is Axis.PARAMETER
        )
        self.flops_per_row = max(plan.flops(1), 1)
        self._most_rows = max(plan.capacity, 2)
        self._most_flops = plan.flops(self._most_rows)
        per_row = max(map(_blas_flops, plan.ops), default=0.0)
        self.first_guarded = math.ceil(BLAS_THREADS_FROM / per_row) if per_row else math.inf
        if max(map(_product_of_parameter, plan.ops), default=0) >= BLAS_THREADS_FROM:
            self.first_guarded = 0

    def flops(self, rows: int) -> int:
        """Return the floating-point operations of a step.

        They are exact for one row, for the plan's capacity, and if that is 0 for any number of rows; between
        them too large by less than what ops on parameters do.
        """
        rise = self._most_flops - self.flops_per_row
        return self.flops_per_row + (rows - 1) * rise // (self._most_rows - 1)


def _blas_flops(op: Op) -> float:
    """Return the floating-point operations of an op, for each row, that BLAS does."""
    if op.code not in PRODUCTS or op.code is OpCode.ADAM_DENSE or op.path in (Path.COLUMNS, Path.FEW_OUTPUTS):
        return 0.0
    if op.path is Path.BLAS:
        return op.flops(1)
    columns = next(op.outputs()).columns
    # Columns left over by blocks of 16, see `_core/dense.pxi`.
    return op.flops(1) * (columns % 16) / columns if columns % 16 <= 12 else 0.0


def _product_of_parameter(op: Op) -> int:
    """Return the floating-point operations of the largest product that an op makes of a whole parameter."""
    if op.code not in (OpCode.MUON, OpCode.ORTHOGONAL_PENALTY):
        return 0
    w = op.need("w")
    pairs = op.code is OpCode.ORTHOGONAL_PENALTY and op.constants[1] == (w.columns > w.rows)
    side = max(w.rows, w.columns) if pairs else min(w.rows, w.columns)
    return 2 * side * w.rows * w.columns


def encode(plan: Plan) -> Encoded:
    """Return a plan as the executor reads it; of the latest plans, the same object again.

    Raises
    ------
    PlanError
        If an op over rows has an operand without any.
    """
    return _encoded.get(id(plan), lambda: Encoded(plan))  # which keeps the plan, and so its id


_encoded: Latest[Encoded] = Latest(_KEPT_OPS, lambda encoded: len(encoded.ops))


def _encode_op(op: Op, first_sum: int) -> _Op:
    """Return an op as the tuple that the executor reads."""
    operands: list[_Operand | None] = []
    for operand, role in zip(op.operands, op.signature.roles, strict=True):
        if operand is None:
            operands.append(None)
        else:
            addressing = ADDRESSINGS[_addressing(op, operand, role)]
            operands.append((int(operand.slot), addressing, operand.offset, operand.columns))
    return (
        int(op.code),
        int(op.activation),
        int(op.path),
        first_sum,
        operands,
        op.constants,
        op.scalars,
    )


def _addressing(op: Op, operand: Operand, role: Role) -> str:
    """Return from where the rows of an operand are counted; see `_core/types.pxd`."""
    if role & Role.INDEXED or operand.slot == Slot.LOCAL:
        return "FIXED"
    if operand.slot >= Slot.EXTERNAL:
        return "STREAM" if role & Role.WHOLE else "STREAM_TILE"
    if role & Role.WHOLE:
        return "FIXED"
    if op.signature.axis is Axis.ROWS and operand.rows != ROWS:
        raise PlanError(f"{operand.name!r} of {op.layer!r} has no rows to cut")
    return "TILE"
