"""Verification: a proof, op by op, that the executor may run a plan unchecked.

This file must not know arrays or kernels.
"""

from __future__ import annotations

from fastnn.checks import MAXIMUM_SIZE
from fastnn.errors import PlanError
from fastnn.plan import ROWS, Axis, Op, OpCode, Operand, Plan, Role, Slot

__all__ = ["verify_plan"]


def verify_plan(plan: Plan) -> None:
    """Raise `PlanError` unless the plan is safe to run; see `Plan.verify`."""
    heights = _heights(plan)
    written: set[tuple[int, str]] = set()
    owner: dict[tuple[int, int], str] = {}  # (slot, offset) of workspace -> the tensor there now
    for index, op in enumerate(plan.ops):
        where = f"op {index} ({op.code.name} of {op.layer!r})"
        signature = op.signature
        if len(op.operands) != len(signature.names):
            raise PlanError(f"{where} has {len(op.operands)} operands, needs {len(signature.names)}")
        if len(op.constants) != len(signature.constants):
            raise PlanError(f"{where} has constants {op.constants}, needs {signature.constants}")
        if op.accumulator >= len(plan.accumulators):
            raise PlanError(f"{where} adds to accumulator {op.accumulator}, which does not exist")
        _check_shapes(op, where)
        for name, operand, role in zip(signature.names, op.operands, signature.roles, strict=True):
            if operand is None:
                if not role & Role.OPTIONAL:
                    raise PlanError(f"{where} lacks its operand {name!r}")
                continue
            _check_bounds(plan, operand, heights[index], f"{where}, operand {name!r}")
        for operand in op.inputs():
            if operand.slot not in (Slot.WORKSPACE, Slot.LOCAL, Slot.GRADIENTS):
                continue
            key = (operand.slot, operand.offset)
            if (operand.slot, operand.name) not in written or owner.get(key) != operand.name:
                raise PlanError(f"{where} reads {operand.name!r}, which nothing wrote or another overwrote")
        _check_overlaps(plan, op, heights[index], where)
        for operand in op.outputs():
            written.add((operand.slot, operand.name))
            _take(plan, owner, operand, heights[index], index, where)
    _check_phases(plan)


def _heights(plan: Plan) -> list[int]:
    heights = [0] * len(plan.ops)
    for phase in plan.phases:
        for task in phase.tasks:
            rows = phase.tile_rows if phase.axis is Axis.ROWS else task.end - task.begin
            for index in range(task.first, task.last):
                heights[index] = max(heights[index], rows)
    return heights


def _elements(plan: Plan, operand: Operand, height: int) -> int:
    if operand.slot == Slot.LOCAL:
        return height * operand.columns
    return (plan.capacity if operand.rows == ROWS else operand.rows) * operand.columns


def _check_bounds(plan: Plan, operand: Operand, height: int, where: str) -> None:
    if operand.columns < 1 or operand.columns > MAXIMUM_SIZE or operand.rows > MAXIMUM_SIZE:
        raise PlanError(f"{where} is {operand.rows} x {operand.columns}; no BLAS integer holds that")
    if operand.slot >= Slot.EXTERNAL:
        external = plan.externals[operand.slot - Slot.EXTERNAL]
        if external.columns != operand.columns or operand.offset != 0:
            raise PlanError(f"{where} does not match the external array {external.name!r}")
        return
    if operand.slot == Slot.WORKSPACE and plan.capacity == 0:
        raise PlanError(f"{where} lies in the workspace of a plan without capacity")
    if operand.offset < 0 or operand.offset + _elements(plan, operand, height) > plan.sizes[operand.slot]:
        raise PlanError(f"{where} leaves its slot {plan.slot_name(operand.slot)}")


def _check_overlaps(plan: Plan, op: Op, height: int, where: str) -> None:
    names = op.signature.names
    for i, (out, role) in enumerate(zip(op.operands, op.signature.roles, strict=True)):
        if out is None or not role & Role.OUT:
            continue
        for j, other in enumerate(op.operands):
            if other is None or i == j or other.slot != out.slot:
                continue
            first = (out.offset, out.offset + _elements(plan, out, height))
            second = (other.offset, other.offset + _elements(plan, other, height))
            if first[1] <= second[0] or second[1] <= first[0]:
                continue
            allowed = (names[i], names[j]) in op.signature.aliases or (
                names[j],
                names[i],
            ) in op.signature.aliases
            if not (allowed and first == second and out.columns == other.columns):
                raise PlanError(f"{where}: {out.name!r} and {other.name!r} overlap")


def _take(
    plan: Plan, owner: dict[tuple[int, int], str], operand: Operand, height: int, index: int, where: str
) -> None:
    """Make `operand` the owner of its memory; what it overlaps is gone and may not be read again."""
    if operand.slot not in (Slot.WORKSPACE, Slot.LOCAL, Slot.GRADIENTS):
        return
    begin, end = operand.offset, operand.offset + _elements(plan, operand, height)
    for (slot, offset), name in list(owner.items()):
        if slot != operand.slot or name == operand.name:
            continue
        other = _find(plan, name)
        other_end = offset + _elements(plan, other, height)
        if begin < other_end and offset < end:
            if slot == Slot.WORKSPACE and (offset != begin or other.columns != operand.columns):
                raise PlanError(f"{where}: {operand.name!r} crosses rows of {name!r} in shared memory")
            del owner[slot, offset]
    owner[operand.slot, operand.offset] = operand.name


def _find(plan: Plan, name: str) -> Operand:
    for op in plan.ops:
        for operand in op.operands:
            if operand is not None and operand.name == name:
                return operand
    raise PlanError(f"no operand is named {name!r}")


def _check_phases(plan: Plan) -> None:
    """Prove that tiles cover everything once and that phases keep the order of the ops."""
    covered = 0
    for phase in plan.phases:
        spans = sorted({(task.first, task.last) for task in phase.tasks})
        for first, last in spans:
            if first != covered:
                raise PlanError(f"phases skip or repeat op {covered}")
            covered = last
            for op in plan.ops[first:last]:
                if op.signature.axis is not phase.axis:
                    raise PlanError(f"{op.code.name} of {op.layer!r} is in a phase along another axis")
            if phase.axis is Axis.PARAMETER:
                tiles = sorted((t.begin, t.end) for t in phase.tasks if (t.first, t.last) == (first, last))
                edges = [begin for begin, _ in tiles[1:]] + [_parameter_rows(plan.ops[first])]
                if tiles[0][0] != 0 or edges != [end for _, end in tiles]:
                    raise PlanError(f"tiles of {plan.ops[first].layer!r} do not cover it once")
        if phase.axis is Axis.ROWS and phase.tile_rows < 1:
            raise PlanError("a phase along rows has no tile height")
    if covered != len(plan.ops):
        raise PlanError(f"phases end at op {covered} of {len(plan.ops)}")


def _parameter_rows(op: Op) -> int:
    operand = op.operands[0]
    return operand.rows if operand is not None else 0


def _check_shapes(op: Op, where: str) -> None:
    """Check that the operands' sizes agree, op by op."""

    def columns(name: str) -> int:
        return op.need(name).columns

    agree: list[tuple[int, int]] = []
    match op.code:
        case OpCode.DENSE:
            w = op.need("w")
            agree = [(columns("x"), w.rows), (columns("y"), w.columns)]
            if op.operand("b") is not None:
                agree.append((columns("b"), w.columns))
        case OpCode.DENSE_BACKWARD:
            w = op.need("w")
            agree = [(columns("dx"), w.rows), (columns("dy"), w.columns)]
            if op.operand("y") is not None:
                agree.append((columns("y"), w.rows))
        case OpCode.WEIGHT_GRADIENT | OpCode.SGD_DENSE:
            w = op.need(op.signature.names[0])
            agree = [(columns("x"), w.rows), (columns("dy"), w.columns)]
        case OpCode.CROSSENTROPY | OpCode.SOFTMAX_CROSSENTROPY:
            agree = [(columns("t"), 1 if op.constants[1] else columns("y"))]
        case OpCode.CATEGORICAL_ACCURACY:
            agree = [(columns("t"), 1 if op.constants[0] else columns("y"))]
        case _:
            widths = [
                operand.columns
                for name, operand in zip(op.signature.names, op.operands, strict=True)
                if operand is not None and name != "weight"
            ]
            agree = [(widths[0], width) for width in widths[1:]]
    for left, right in agree:
        if left != right:
            raise PlanError(f"{where} has operands of widths {left} and {right} that must agree")
