"""Plans as the executor reads them, and what programs ask of them, worked out once for each plan.

This file must not know arrays or memory.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

from fastnn._core.executor import ADDRESSINGS
from fastnn.errors import PlanError
from fastnn.latest import Latest
from fastnn.plan import ROWS, Axis, Op, OpCode, Operand, Plan, Role, Slot

__all__ = ["Encoded", "encode"]

_Operand = tuple[int, int, int, int]
_Op = tuple[int, int, float, int, int, list[_Operand | None], tuple[float, ...], tuple[int, ...]]
_KEPT_OPS = 10_000  # of all plans whose code is kept


@dataclass(frozen=True)
class Encoded:
    """A plan as tuples, and its numbers.

    Attributes
    ----------
    plan : Plan
    ops, phases : list of tuple
        As `Executor` takes them.
    """

    plan: Plan
    ops: list[_Op]
    phases: list[tuple[int, int, list[tuple[int, int, int, int]]]]

    @cached_property
    def times_rows(self) -> list[int]:
        """For each sum whether that of a batch is multiplied by its rows."""
        return [int(a.times_rows) for a in self.plan.accumulators for _ in range(a.width)]

    @cached_property
    def n_losses(self) -> int:
        """The number of losses of a training step."""
        return sum(map(self.plan.is_loss, self.plan.ops)) if self.plan.purpose == "train" else 0

    @cached_property
    def flops_per_row(self) -> int:
        """Floating-point operations of a row, at least 1."""
        return max(self.plan.flops(1), 1)

    @cached_property
    def writes_parameters(self) -> bool:
        """Whether an op changes parameters."""
        return any(operand.slot == Slot.PARAMETERS for op in self.plan.ops for operand in op.outputs())

    @cached_property
    def first_update(self) -> int:
        """The number of the first phase that updates; that of phases if none does."""
        flags = [phase.updates for phase in self.plan.phases]
        return flags.index(True) if True in flags else len(flags)

    @cached_property
    def clips(self) -> list[tuple[int, float]]:
        """The sum that each clip is made of, and its limit."""
        first_sums = _first_sums(self.plan)
        return [(first_sums[clip.accumulator], clip.limit) for clip in self.plan.clips]

    @cached_property
    def gathers(self) -> bool:
        """Whether rows are picked by a permutation."""
        return any(op.code is OpCode.GATHER for op in self.plan.ops)

    @cached_property
    def row_tiles(self) -> list[int]:
        """The heights of tiles of the phases over rows."""
        return [phase.tile_rows for phase in self.plan.phases if phase.axis is Axis.ROWS]

    @cached_property
    def parameter_tiles(self) -> int:
        """The most tiles of a phase over parameters."""
        return self._most_tasks(Axis.PARAMETER)

    @cached_property
    def feature_tiles(self) -> int:
        """The most tiles of a phase over features."""
        return self._most_tasks(Axis.FEATURES)

    def _most_tasks(self, axis: Axis) -> int:
        return max((len(phase.tasks) for phase in self.plan.phases if phase.axis is axis), default=0)

    @cached_property
    def parameter_elements(self) -> int:
        """The numbers that gradients and updates of a step read and write."""
        ops = (op for op in self.plan.ops if op.signature.axis is Axis.PARAMETER)
        return sum(op.bytes(self.plan.capacity, itemsize=1) for op in ops)


def encode(plan: Plan) -> Encoded:
    """Return a plan as the executor reads it; of the latest plans, the same object again.

    Raises
    ------
    PlanError
        If an op over rows has an operand without any.
    """
    return _encoded.get(id(plan), lambda: _encode(plan))  # which keeps the plan, and so its id


def _encode(plan: Plan) -> Encoded:
    phases = [
        (
            int(phase.axis),
            phase.tile_rows,
            [(task.first, task.last, task.begin, task.end) for task in phase.tasks],
        )
        for phase in plan.phases
    ]
    first_sums = _first_sums(plan)
    ops = [_encode_op(op, first_sums[op.accumulator] if op.accumulator >= 0 else -1) for op in plan.ops]
    return Encoded(plan, ops, phases)


def _first_sums(plan: Plan) -> list[int]:
    """Return the number of the first sum of each accumulator."""
    return [*itertools.accumulate((a.width for a in plan.accumulators), initial=0)]


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
        op.alpha,
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
