"""Verification: a proof, op by op, that the executor may run a plan unchecked.

This file must not know arrays or kernels.
"""

from __future__ import annotations

import bisect

from fastnn.checks import MAXIMUM_SIZE
from fastnn.errors import PlanError
from fastnn.plan import (
    ADDING,
    LANES,
    MOST_ADAM_ROWS,
    ROWS,
    Activation,
    Axis,
    Op,
    OpCode,
    Operand,
    Path,
    Plan,
    Role,
    Slot,
)

__all__ = ["verify_plan"]

_ACTIVATIONS = frozenset(Activation)


def verify_plan(plan: Plan) -> None:
    """Raise `PlanError` unless the plan is safe to run; see `Plan.verify`."""
    if plan.capacity < 0:
        raise PlanError(f"the capacity is {plan.capacity}")
    for kind, named in (("arrays of the caller", plan.externals), ("accumulators", plan.accumulators)):
        names = [one.name for one in named]
        if len(set(names)) < len(names):
            raise PlanError(f"two {kind} have one name, among {names}")
    heights = _heights(plan)
    starts = {task.first for phase in plan.phases for task in phase.tasks}
    memories: dict[int, _Memory] = {slot: _Memory() for slot in (Slot.WORKSPACE, Slot.LOCAL, Slot.GRADIENTS)}
    for index, op in enumerate(plan.ops):
        where = f"op {index} ({op.code.name} of {op.layer!r})"
        if index in starts:  # memory of a tile is gone with the tile
            memories[Slot.LOCAL] = _Memory()
        _check_form(plan, op, where)
        _check_shapes(op, where, plan.capacity)
        for name, operand, role in zip(op.signature.names, op.operands, op.signature.roles, strict=True):
            if operand is None and not role & Role.OPTIONAL:
                raise PlanError(f"{where} lacks its operand {name!r}")
            if operand is not None:
                _check_bounds(plan, operand, role, heights[index], f"{where}, operand {name!r}")
        for operand in op.inputs():
            if operand.slot in memories and not memories[operand.slot].holds(operand):
                raise PlanError(f"{where} reads {operand.name!r}, which nothing wrote or another overwrote")
        _check_overlaps(plan, op, heights[index], where)
        for operand in op.outputs():
            if operand.slot in memories:
                gone = memories[operand.slot].take(operand, _elements(plan, operand, heights[index]))
                for other in gone if operand.slot == Slot.WORKSPACE else ():
                    if other.offset != operand.offset or other.columns != operand.columns:
                        raise PlanError(
                            f"{where}: {operand.name!r} crosses rows of {other.name!r} in shared memory"
                        )
    _check_layout(plan)
    _check_fixed_places(_named(plan))
    _check_phases(plan)


class _Memory:
    """What lies in a slot at one moment of the plan: operands that were written and not overwritten.

    They never overlap, so those that a new one touches are neighbours in the order of their offsets.
    """

    def __init__(self) -> None:
        self._begins: list[int] = []  # sorted
        self._there: dict[int, tuple[Operand, int]] = {}  # by its beginning: an operand and its end

    def holds(self, operand: Operand) -> bool:
        """Return whether what lies where `operand` begins is that operand, in that shape."""
        there = self._there.get(operand.offset)
        return there is not None and there[0] == operand

    def take(self, operand: Operand, size: int) -> list[Operand]:
        """Write `operand`; return those that it overwrites, which may not be read again."""
        begin, end = operand.offset, operand.offset + size
        first = bisect.bisect_left(self._begins, begin)
        if first and self._there[self._begins[first - 1]][1] > begin:
            first -= 1
        last = max(first, bisect.bisect_left(self._begins, end))
        gone = [self._there.pop(other)[0] for other in self._begins[first:last]]
        self._begins[first:last] = [begin]
        self._there[begin] = (operand, end)
        return [other for other in gone if other != operand]


def _named(plan: Plan) -> dict[str, Operand]:
    operands: dict[str, Operand] = {}
    for op in plan.ops:
        for operand in op.operands:
            if operand is not None and operands.setdefault(operand.name, operand) != operand:
                raise PlanError(f"two operands are named {operand.name!r}")
    return operands


def _check_form(plan: Plan, op: Op, where: str) -> None:
    """Check what can be seen of an op by itself."""
    signature = op.signature
    if len(op.operands) != len(signature.names):
        raise PlanError(f"{where} has {len(op.operands)} operands, needs {len(signature.names)}")
    if len(op.constants) != len(signature.constants):
        raise PlanError(f"{where} has constants {op.constants}, needs {signature.constants}")
    if op.activation not in _ACTIVATIONS:
        raise PlanError(f"{where} has the activation {op.activation}, which does not exist")
    if op.accumulator >= len(plan.accumulators) or (op.code in ADDING) != (op.accumulator >= 0):
        raise PlanError(f"{where} adds to accumulator {op.accumulator}, which does not exist")


def _check_layout(plan: Plan) -> None:
    """Prove that all ops agree on how the tensors of the batch lie."""
    reading = [op for op in plan.ops if op.reads_batch()]
    if all(op.path is not Path.COLUMNS for op in reading):
        return
    for op in reading:
        if op.path is not Path.COLUMNS:
            raise PlanError(f"{op.code.name} of {op.layer!r} reads rows where others write columns")
        if op.code in (OpCode.GATHER, OpCode.TRANSPOSE):
            continue
        for operand in op.operands:
            # Arrays of the caller end with their last row, not with a whole vector of rows.
            outside = operand is not None and operand.slot >= Slot.EXTERNAL
            if operand is not None and outside and (op.accumulator < 0 or operand.columns > 1):
                raise PlanError(f"{op.code.name} of {op.layer!r} takes {operand.name!r} for columns")
    for phase in plan.phases:
        if phase.axis is Axis.ROWS and phase.tile_rows % LANES:
            raise PlanError(f"tiles of {phase.tile_rows} rows do not begin at whole vectors of {LANES}")


def _check_fixed_places(operands: dict[str, Operand]) -> None:
    """Prove that parameters, gradients and state have places of their own."""
    for slot in (Slot.PARAMETERS, Slot.GRADIENTS, Slot.STATE):
        end, before = 0, ""
        for operand in sorted((o for o in operands.values() if o.slot == slot), key=lambda o: o.offset):
            if operand.offset < end:
                raise PlanError(f"{operand.name!r} and {before!r} overlap in slot {slot.name}")
            end, before = operand.offset + operand.rows * operand.columns, operand.name


def _heights(plan: Plan) -> list[int]:
    heights = [0] * len(plan.ops)
    for phase in plan.phases:
        for task in phase.tasks:
            rows = phase.tile_rows if phase.axis is Axis.ROWS else task.end - task.begin
            if phase.axis is Axis.FEATURES:
                rows = plan.capacity
            for index in range(task.first, task.last):
                heights[index] = max(heights[index], rows)
    return heights


def _elements(plan: Plan, operand: Operand, height: int) -> int:
    if operand.slot == Slot.LOCAL:
        return height * operand.columns
    return (plan.padded_capacity if operand.rows == ROWS else operand.rows) * operand.columns


def _check_bounds(plan: Plan, operand: Operand, role: Role, height: int, where: str) -> None:
    if not 0 <= operand.slot < Slot.EXTERNAL + len(plan.externals):
        raise PlanError(f"{where} lies in slot {operand.slot}, which does not exist")
    fits = operand.rows == ROWS or 1 <= operand.rows <= MAXIMUM_SIZE
    if not fits or not 1 <= operand.columns <= MAXIMUM_SIZE:
        raise PlanError(f"{where} is {operand.rows} x {operand.columns}; no BLAS integer holds that")
    if operand.slot >= Slot.EXTERNAL:
        external = plan.externals[operand.slot - Slot.EXTERNAL]
        if external.columns != operand.columns or operand.offset != 0:
            raise PlanError(f"{where} does not match the external array {external.name!r}")
        if external.written != bool(role & Role.OUT):
            raise PlanError(f"{where} uses the external array {external.name!r} in the wrong direction")
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


def _check_phases(plan: Plan) -> None:
    """Prove that tiles cover everything once and that phases keep the order of the ops."""
    covered = 0
    along = [phase.axis for phase in plan.phases]
    # The executor ends a step whose loss is not finite before the first of them.
    if Axis.PARAMETER in along and set(along[along.index(Axis.PARAMETER) :]) != {Axis.PARAMETER}:
        raise PlanError("a phase along the batch comes after one along parameters")
    for phase in plan.phases:
        tiles: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for task in phase.tasks:
            tiles.setdefault((task.first, task.last), []).append((task.begin, task.end))
        if phase.axis is Axis.ROWS and len(phase.tasks) != 1:
            raise PlanError(f"a phase along rows has {len(phase.tasks)} tasks, needs one")
        for first, last in sorted(tiles):
            if first != covered:
                raise PlanError(f"phases skip or repeat op {covered}")
            covered = last
            for op in plan.ops[first:last]:
                if phase.axis is Axis.FEATURES:
                    _check_feature_cut(op, first, last)
                elif op.signature.axis is not phase.axis:
                    raise PlanError(f"{op.code.name} of {op.layer!r} is in a phase along another axis")
            if phase.axis is not Axis.ROWS:
                cuts = sorted(tiles[first, last])
                operand = plan.ops[first].operands[0]
                size = 0 if operand is None else operand.rows
                if phase.axis is Axis.FEATURES and operand is not None:
                    size = operand.columns
                edges = [begin for begin, _ in cuts[1:]] + [size]
                if cuts[0][0] != 0 or edges != [end for _, end in cuts]:
                    raise PlanError(f"tiles of {plan.ops[first].layer!r} do not cover it once")
        if phase.axis is Axis.ROWS and phase.tile_rows < 1:
            raise PlanError("a phase along rows has no tile height")
    if covered != len(plan.ops):
        raise PlanError(f"phases end at op {covered} of {len(plan.ops)}")


def _check_feature_cut(op: Op, first: int, last: int) -> None:
    """Prove that parts of an op's columns can be computed apart."""
    cut = op.code in (OpCode.DENSE, OpCode.DENSE_BACKWARD) and op.activation is not Activation.SOFTMAX
    if not cut or op.path is Path.COLUMNS or last - first != 1:
        raise PlanError(f"{op.code.name} of {op.layer!r} cannot be cut along features")


def _check_shapes(op: Op, where: str, capacity: int) -> None:
    """Check that the operands' sizes agree, op by op."""

    def columns(name: str) -> int:
        return op.need(name).columns

    agree: list[tuple[int, int]] = []
    match op.code:
        case OpCode.DENSE:
            w = op.need("w")
            agree = [(columns("x"), w.rows), (columns("y"), w.columns)]
            if op.operand("b") is not None:
                agree += [(columns("b"), w.columns), (op.need("b").rows, 1)]
        case OpCode.DENSE_BACKWARD:
            w = op.need("w")
            agree = [(columns("dx"), w.rows), (columns("dy"), w.columns)]
            if op.operand("y") is not None:
                agree.append((columns("y"), w.rows))
        case OpCode.WEIGHT_GRADIENT | OpCode.SGD_DENSE | OpCode.ADAM_DENSE:
            w = op.need(op.signature.names[0])
            agree = [(columns("x"), w.rows), (columns("dy"), w.columns)]
            if op.code is OpCode.ADAM_DENSE:
                agree += [(op.need(state).rows, w.rows) for state in ("m", "v")]
                agree += [(columns(state), w.columns) for state in ("m", "v")]
                if not 0 < capacity <= MOST_ADAM_ROWS:
                    raise PlanError(f"{where} is for 1 to {MOST_ADAM_ROWS} rows of a batch, not {capacity}")
        case OpCode.CROSSENTROPY | OpCode.SOFTMAX_CROSSENTROPY:
            agree = [(columns("t"), 1 if op.constants[2] else columns("y"))]
            agree += [(operand.columns, columns("y")) for operand in op.outputs()]
            if op.code is OpCode.SOFTMAX_CROSSENTROPY:
                agree.append((columns("x"), columns("y")))
        case OpCode.CATEGORICAL_ACCURACY:
            agree = [(columns("t"), 1 if op.constants[0] else columns("y"))]
        case OpCode.MULTICLASS_HINGE:
            agree = [(columns("t"), 1), *((operand.columns, columns("y")) for operand in op.outputs())]
        case OpCode.GATED_ADD:
            agree = [(columns("w"), 1), (op.need("w").rows, 1), (columns("x"), columns("y"))]
            if op.operand("a") is not None:
                agree.append((columns("a"), columns("y")))
        case OpCode.GATE_GRADIENT:
            agree = [(columns("w"), 1), (columns("dw"), 1), (columns("x"), columns("dy"))]
        case OpCode.CONCATENATE:
            agree = [(columns("y"), sum(operand.columns for operand in op.inputs()))]
        case OpCode.SLICE:
            first = int(op.constants[0])
            agree = [(max(first, 0), first), (max(columns("x"), first + columns("y")), columns("x"))]
        case OpCode.ROW_SUM:
            agree = [(columns("y"), 1)]
        case OpCode.BROADCAST:
            agree = [(columns("x"), 1)]
        case OpCode.MAXOUT:
            agree = [(columns("x") % columns("y"), 0)]
        case OpCode.MAXOUT_BACKWARD:
            agree = [(columns("dx"), columns("x")), (columns("x") % columns("dy"), 0)]
        case _:
            widths = [
                operand.columns
                for name, operand in zip(op.signature.names, op.operands, strict=True)
                if operand is not None and name != "weight"
            ]
            agree = [(widths[0], width) for width in widths[1:]]
            if op.signature.axis is Axis.PARAMETER and op.code not in (OpCode.BIAS_GRADIENT, OpCode.SGD_BIAS):
                rows = [operand.rows for operand in op.operands if operand is not None]
                agree += [(rows[0], count) for count in rows[1:]]
    if "weight" in op.signature.names and op.operand("weight") is not None:
        agree.append((columns("weight"), 1))
    for left, right in agree:
        if left != right:
            raise PlanError(f"{where} has operands of widths {left} and {right} that must agree")
