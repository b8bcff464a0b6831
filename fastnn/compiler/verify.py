"""Verification: a proof, op by op, that the executor may run a plan unchecked.

What the caller brings is not part of it: as many rows as the run has, in the plan's dtype, in a permutation
the numbers of rows that there are, and in each array what its kind says; `data.py` sees to that.  This file
must not know arrays or kernels.
"""

from __future__ import annotations

import bisect

from fastnn.compiler.plan import LANES, ROWS, UPDATING, Axis, Op, OpCode, Operand, Path, Plan, Slot
from fastnn.compiler.verify_forms import USES, check_op, check_plan, describe
from fastnn.compiler.verify_phases import check_concurrency, check_phases
from fastnn.errors import PlanError
from fastnn.ops import ACTIVATIONS, REAL, ROWWISE, Kind, Numbers, Rowwise

__all__ = ["verify_plan"]

# The place among their constants of the flag that targets are labels; hinge losses have no others.
_SPARSE = {OpCode.CROSSENTROPY: 2, OpCode.SOFTMAX_CROSSENTROPY: 2, OpCode.CATEGORICAL_ACCURACY: 0}
_SPARSE |= {OpCode.TOP_K_ACCURACY: 0, OpCode.CONFUSION: 0}
# What changes a parameter beside its update.
_AGAIN = frozenset(
    {OpCode.MOVING_AVERAGE, OpCode.AVERAGE_WEIGHTS, OpCode.CONSTRAIN_SIGNS, OpCode.CONSTRAIN_NORMS}
)
# The operand whose rows the indices of an op name.
_TABLES = {OpCode.EMBEDDING: "w", OpCode.EMBEDDING_GRADIENT: "dw"}


def verify_plan(plan: Plan) -> None:
    """Prove that the executor can run a plan without any further check.

    Raises
    ------
    PlanError
        If an operand leaves its slot, an op reads what nothing wrote, operands overlap
        where the op does not allow it, tiles do not cover all of it once, a size does not fit a
        BLAS integer, or anything is not of its type or unknown to the core.
    """
    check_plan(plan)
    for index in range(len(plan.ops)):
        check_op(plan, index)
    heights = check_phases(plan)
    starts = {task.first for phase in plan.phases for task in phase.tasks}
    memories: dict[int, _Memory] = {slot: _Memory() for slot in (Slot.WORKSPACE, Slot.LOCAL, Slot.GRADIENTS)}
    kinds = _Kinds(plan)
    padded = plan.padded_capacity
    given = plan.purpose == "update"  # whether the caller brings gradients
    if given:
        _check_update(plan)
    brought: set[str] = set()
    for index, op in enumerate(plan.ops):
        where = describe(index, op)
        if index in starts:  # memory of a tile is gone with the tile
            memories[Slot.LOCAL] = _Memory()
        sizes = [
            0 if operand is None else _elements(operand, heights[index], padded) for operand in op.operands
        ]
        _check_bounds(plan, op, sizes, where)
        for use, operand, size in zip(USES[op.code], op.operands, sizes, strict=True):
            if operand is None or not use.reads or operand.slot not in memories:
                continue
            if given and operand.slot == Slot.GRADIENTS and operand.name not in brought:
                brought.add(operand.name)
                memories[Slot.GRADIENTS].take(operand, size)
            if not memories[operand.slot].holds(operand):
                raise PlanError(f"{where} reads {operand.name!r}, which nothing wrote or another overwrote")
        _check_overlaps(op, sizes, where)
        kinds.check(op, where)
        for use, operand, size in zip(USES[op.code], op.operands, sizes, strict=True):
            if operand is not None and use.writes and operand.slot in memories:
                gone = memories[operand.slot].take(operand, size)
                for other in gone if operand.slot == Slot.WORKSPACE else ():
                    if other.offset != operand.offset or _shape(other) != _shape(operand):
                        raise PlanError(
                            f"{where}: {operand.name!r} crosses rows of {other.name!r} in shared memory"
                        )
    _check_layout(plan)
    _check_fixed_places(_named(plan))
    check_concurrency(plan)
    _check_externals(plan)
    _check_purpose(plan)
    if plan.capacity == 0:
        _check_any_rows(plan)


def _check_update(plan: Plan) -> None:
    """Prove that a plan reads nothing but gradients that the caller brings, and what the model keeps."""
    for index, op in enumerate(plan.ops):
        if op.signature.axis is not Axis.PARAMETER or op.reads_batch():
            raise PlanError(f"{describe(index, op)} reads a batch, which a plan for 'update' has not")
    if plan.externals:
        raise PlanError(f"a plan for 'update' takes the array {plan.externals[0].name!r}, needs none")


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
        return there is not None and (there[0] is operand or there[0] == operand)

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


class _Kinds:
    """What the numbers of operands are: those of the caller's arrays by their kinds, all others real.

    Only what is gathered from an array keeps its kind.
    """

    def __init__(self, plan: Plan) -> None:
        self._externals = plan.externals
        self._gathered: dict[str, Kind] = {}  # rows of whole numbers, by name
        self._real = all(external.kind == REAL for external in plan.externals)

    def of(self, operand: Operand) -> Kind:
        """Return the kind of an operand."""
        if operand.slot >= Slot.EXTERNAL:
            return self._externals[operand.slot - Slot.EXTERNAL].kind
        return self._gathered.get(operand.name, REAL)

    def check(self, op: Op, where: str) -> None:
        """Prove that an op reads numbers of the kinds that it takes; follow what it writes."""
        needed = _needed(op)
        if self._real and not needed:
            return
        gathers = op.code is OpCode.GATHER
        for use, operand in zip(USES[op.code], op.operands, strict=True):
            if operand is None or not use.reads or gathers:
                continue
            kind, wanted = self.of(operand), needed.get(use.name, REAL)
            if not kind.serves(wanted):
                raise PlanError(
                    f"{where}, operand {use.name!r} takes {wanted}, but {operand.name!r} holds {kind}"
                )
        for operand in op.outputs():
            self._gathered.pop(operand.name, None)
        if gathers and self.of(op.need("x")) != REAL:
            self._gathered[op.need("y").name] = self.of(op.need("x"))


def _needed(op: Op) -> dict[str, Kind]:
    """Return the kinds of those operands of an op that hold no real numbers."""
    place = _SPARSE.get(op.code, -1)
    labels = op.code is OpCode.ROWWISE_LOSS and ROWWISE[Rowwise(int(op.constants[2]))].labels
    if labels or op.code is OpCode.MULTICLASS_HINGE or (place >= 0 and op.constants[place]):
        return {"t": Kind(Numbers.LABEL, op.need("y").columns)}
    if op.code is OpCode.ENCODE_CATEGORIES:
        width, parts = op.need("y").columns, op.need("x").columns if op.constants[0] == 1 else 1
        return {"x": Kind(Numbers.INDEX, width // parts)}
    table = _TABLES.get(op.code)
    return {} if table is None else {"x": Kind(Numbers.INDEX, op.need(table).rows)}


def _named(plan: Plan) -> dict[str, Operand]:
    operands: dict[str, Operand] = {}
    for op in plan.ops:
        for operand in op.operands:
            if operand is not None:
                known = operands.setdefault(operand.name, operand)
                if known is not operand and known != operand:
                    raise PlanError(f"two operands are named {operand.name!r}")
    return operands


def _shape(operand: Operand) -> tuple[int, int]:
    return operand.rows, operand.columns


def _elements(operand: Operand, height: int, padded_capacity: int) -> int:
    """Return the elements of an operand: of a tile so high, or for a batch of so many rows."""
    if operand.slot == Slot.LOCAL:
        return height * operand.columns
    return (padded_capacity if operand.rows == ROWS else operand.rows) * operand.columns


def _check_bounds(plan: Plan, op: Op, sizes: list[int], where: str) -> None:
    """Prove that operands lie inside of their slots, and are arrays of the caller as these are."""
    for use, operand, size in zip(USES[op.code], op.operands, sizes, strict=True):
        if operand is None:
            continue
        if operand.slot >= Slot.EXTERNAL:
            external = plan.externals[operand.slot - Slot.EXTERNAL]
            if external.columns != operand.columns or operand.offset != 0:
                raise PlanError(
                    f"{where}, operand {use.name!r} does not match the external array {external.name!r}"
                )
            if external.written != use.writes:
                raise PlanError(
                    f"{where}, operand {use.name!r} uses the external array {external.name!r} in the wrong "
                    "direction"
                )
            continue
        if operand.slot == Slot.WORKSPACE and plan.capacity == 0:
            raise PlanError(f"{where}, operand {use.name!r} lies in the workspace of a plan without capacity")
        if operand.offset < 0 or operand.offset + size > plan.sizes[operand.slot]:
            raise PlanError(f"{where}, operand {use.name!r} leaves its slot {plan.slot_name(operand.slot)}")


def _check_overlaps(op: Op, sizes: list[int], where: str) -> None:
    """Prove that an op's results meet its other operands only where that is allowed, element for element."""
    uses = USES[op.code]
    for i, out in enumerate(op.operands):
        if out is None or not uses[i].writes:
            continue
        for j, other in enumerate(op.operands):
            if other is None or i == j or other.slot != out.slot:
                continue
            apart = out.offset + sizes[i] <= other.offset or other.offset + sizes[j] <= out.offset
            if apart and out.slot < Slot.EXTERNAL:
                continue
            names, aliases = (uses[i].name, uses[j].name), op.signature.aliases
            same = (out.offset, sizes[i], out.columns) == (other.offset, sizes[j], other.columns)
            if not same or not (names in aliases or names[::-1] in aliases):
                raise PlanError(f"{where}: {out.name!r} and {other.name!r} overlap")


def _check_fixed_places(operands: dict[str, Operand]) -> None:
    """Prove that parameters, gradients and state have places of their own."""
    for slot in (Slot.PARAMETERS, Slot.GRADIENTS, Slot.STATE):
        end, before = 0, ""
        for operand in sorted((o for o in operands.values() if o.slot == slot), key=lambda o: o.offset):
            if operand.offset < end:
                raise PlanError(f"{operand.name!r} and {before!r} overlap in slot {slot.name}")
            end, before = operand.offset + operand.rows * operand.columns, operand.name


def _check_layout(plan: Plan) -> None:
    """Prove that all ops agree on how the tensors of the batch lie, and can work on them so."""
    if all(op.path is not Path.COLUMNS for op in plan.ops):
        return
    for index, op in enumerate(plan.ops):
        if op.path is Path.COLUMNS:
            _check_columns(op, describe(index, op))
        elif op.reads_batch():
            raise PlanError(f"{describe(index, op)} reads rows where others write columns")
    # What is read whole is found by the height of the first phase's tiles.
    for phase in plan.phases:
        if phase.axis is Axis.FEATURES or (phase.axis is Axis.ROWS and phase.tile_rows % LANES):
            raise PlanError(f"tiles of {phase.tile_rows} rows do not begin at whole vectors of {LANES}")
        if phase.axis is Axis.ROWS and phase.tile_rows != plan.phases[0].tile_rows:
            raise PlanError(f"columns lie in tiles of {plan.phases[0].tile_rows} and {phase.tile_rows} rows")
    if plan.capacity == 0:
        raise PlanError("columns need a capacity, as their tiles do not change with the rows of a batch")


def _check_columns(op: Op, where: str) -> None:
    """Prove that the kernel of an op on the path COLUMNS can do it."""
    operands = [
        (use, operand)
        for use, operand in zip(USES[op.code], op.operands, strict=True)
        if operand is not None and use.batch
    ]
    widest = max(operand.columns for _, operand in operands)
    known = op.signature.runs_along_columns(widest)
    if op.code is OpCode.SQUARED_ERROR and op.operand("dy") is None:
        known = widest == 1
    if not known or not ACTIVATIONS[op.activation].fills_vectors:
        raise PlanError(f"{where} has no kernel for columns")
    turns = op.code in (OpCode.GATHER, OpCode.TRANSPOSE)
    for use, operand in operands:
        # Arrays of the caller end with their last row, not with a whole vector of rows.
        rows = use.name == "x" if turns else use.name in ("t", "weight") and operand.columns == 1
        if operand.slot >= Slot.EXTERNAL:
            if not rows:
                raise PlanError(f"{where} takes {operand.name!r} for columns")
        elif turns and rows:
            raise PlanError(f"{where} takes {operand.name!r} for rows")
        elif operand.offset % LANES:
            raise PlanError(f"{where}: {operand.name!r} does not begin at a whole vector of {LANES}")


def _check_externals(plan: Plan) -> None:
    """Prove that arrays of the caller are written if they shall be, and read by one order of rows."""
    gathers = any(op.code is OpCode.GATHER for op in plan.ops)
    written = set()
    for index, op in enumerate(plan.ops):
        for use, operand in zip(USES[op.code], op.operands, strict=True):
            if operand is None or operand.slot < Slot.EXTERNAL:
                continue
            if use.writes:
                written.add(operand.slot)
            elif gathers and op.code is not OpCode.GATHER:
                where = describe(index, op)
                raise PlanError(
                    f"{where} reads {operand.name!r} as it lies, while rows of others are gathered"
                )
    for slot, external in enumerate(plan.externals, Slot.EXTERNAL):
        if external.written and slot not in written:
            raise PlanError(f"nothing writes the external array {external.name!r}")


def _check_purpose(plan: Plan) -> None:
    """Prove what `Program` relies on for a purpose; parameters are changed by updates only, and once.

    Or twice, if they decay first.
    """
    changed: set[str] = set()
    decayed: set[str] = set()
    sums: list[int] = []
    squares = {clip.accumulator for clip in plan.clips}
    unmade = set(squares)
    for index, op in enumerate(plan.ops):
        if plan.is_loss(op):
            sums.append(op.accumulator)
        if op.code is OpCode.GRADIENT_SQUARES:
            unmade.discard(op.accumulator)
        elif op.accumulator in squares:
            raise PlanError(
                f"{describe(index, op)} adds to {plan.accumulators[op.accumulator].name!r}, of which a "
                "factor of gradients is made"
            )
        for operand in op.outputs():
            if operand.slot != Slot.PARAMETERS:
                continue
            moved = plan.purpose == "training_outputs" and op.code is OpCode.MOVING_AVERAGE
            if plan.purpose not in UPDATING and not moved:
                raise PlanError(
                    f"{describe(index, op)} changes {operand.name!r} in a plan for {plan.purpose!r}"
                )
            decays = op.code is OpCode.WEIGHT_DECAY
            # Once for each use of a layer; after the update.
            moves = op.code in _AGAIN
            if (operand.name in changed and not moves) or (decays and operand.name in decayed):
                raise PlanError(f"{describe(index, op)} changes {operand.name!r} a second time")
            (decayed if decays else changed).add(operand.name)
    if unmade:
        raise PlanError(f"nothing adds to {plan.accumulators[min(unmade)].name!r}, of which a factor is made")
    if sorted(sums) != list(range(len(sums))):
        raise PlanError(f"losses add to the accumulators {sums}, need the first ones, each its own")
    if plan.purpose == "predict":
        written = {external.name: external.written for external in plan.externals}
        if plan.capacity or len(plan.phases) > 1 or plan.accumulators:
            raise PlanError("a plan for 'predict' has a capacity, several phases or accumulators")
        if any(op.code is OpCode.GATHER for op in plan.ops):
            raise PlanError("a plan for 'predict' gathers rows, and has no permutation")
        if written.get("x", False) or not written.get("output", True):
            raise PlanError("a plan for 'predict' writes 'x' or reads 'output'")


def _check_any_rows(plan: Plan) -> None:
    """Prove that a plan without capacity can have any number of rows."""
    for phase in plan.phases[1:]:
        if phase.axis is not Axis.PARAMETER:
            raise PlanError("a plan without capacity has a second phase along the batch")
    if plan.phases[0].axis is not Axis.ROWS:
        raise PlanError("a plan without capacity does not begin with a phase along rows")
    for index, op in enumerate(plan.ops):
        for use, operand in zip(USES[op.code], op.operands, strict=True):
            if operand is not None and use.batch and use.whole:
                raise PlanError(
                    f"{describe(index, op)} reads {operand.name!r} whole, whose rows have no limit"
                )
