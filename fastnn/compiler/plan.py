"""The plan: a list of ops over slots, cut into phases and tiles.  A value; pure Python.

A plan is what `lowering.py` and `memory.py` make of a graph, and what both interpreters
run: the Cython executor and `run/reference/`.  It can be printed, compared and pickled, and is
verified by `verify.py`.  It holds sizes and names only: no arrays, no pointers, no dtype.  What its ops are
made of stands in `opcodes.py`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from fastnn.opcodes import (
    ADDING,
    CLIP_FACTOR,
    DUE,
    KEPT_SLOTS,
    LANES,
    LISTED,
    LOSSES,
    MOST_ADAM_ROWS,
    MOST_CONSTANTS,
    MOST_INPUTS,
    MOST_OUTPUTS,
    PRODUCTS,
    ROWS,
    SIGNATURES,
    WEIGHT_PRODUCTS,
    Axis,
    Op,
    OpCode,
    Operand,
    Path,
    Role,
    Signature,
    Slot,
    whole_vectors,
)
from fastnn.ops import REAL, Activation, Kind, name_of

__all__ = [
    "ADDING",
    "CLIP_FACTOR",
    "DUE",
    "DENOMINATORS",
    "KEPT_SLOTS",
    "KEPT_WEIGHTS",
    "LOSSES",
    "MOST_ADAM_ROWS",
    "MOST_CONSTANTS",
    "MOST_EXTERNALS",
    "MOST_INPUTS",
    "MOST_OUTPUTS",
    "PRODUCTS",
    "PURPOSES",
    "LANES",
    "LISTED",
    "ROWS",
    "WEIGHTS",
    "WEIGHT_PRODUCTS",
    "Accumulator",
    "Activation",
    "Axis",
    "Clip",
    "External",
    "Op",
    "OpCode",
    "Operand",
    "Path",
    "Phase",
    "Plan",
    "Role",
    "SIGNATURES",
    "STEPWISE",
    "Signature",
    "Slot",
    "Task",
    "UPDATING",
    "describe_op",
    "whole_vectors",
]

PURPOSES = (
    *("train", "gradients", "evaluate", "predict", "outputs", "training_outputs"),
    *("input_gradients", "backward", "update"),
)
# Those whose plans are for so many rows at the most; others take any number.
STEPWISE = ("train", "gradients", "outputs", "training_outputs", "backward")
UPDATING = ("train", "update")  # purposes whose plans have an optimizer
WEIGHTS = "sample_weight"  # the accumulator of the sum of all sample weights
KEPT_WEIGHTS = "kept_weight of "  # and a metric: that of the weights of rows that it does not ignore
DENOMINATORS = ("rows", "weights", "kept", "nothing")
MOST_EXTERNALS = 123  # arrays of the caller that a plan can name


@dataclass(frozen=True, slots=True)
class External:
    """An array that the caller brings: an input, a target, sample weights or an output.

    Attributes
    ----------
    name : str
    columns : int
        Elements per row.
    written : bool
        Whether the plan writes it.
    kind : Kind
        What it holds; what is written are real numbers.
    """

    name: str
    columns: int
    written: bool = False
    kind: Kind = REAL


@dataclass(frozen=True, slots=True)
class Accumulator:
    """Float64 sums that ops add to, one partial sum per tile, added up in tile order.

    Attributes
    ----------
    name : str
    times_rows : bool
        Whether a batch's sum is multiplied by its rows before it enters the epoch's sum
        (for what is one number a batch, such as a penalty), so that the epoch's sum divided
        by its rows is the mean over rows in every case.
    share : float or None
        The factor with which it enters the loss that is minimised; None for a metric.
    width : int
        How many sums they are.
    per : {"rows", "weights", "kept", "nothing"}
        What they are divided by: the rows; the sum of the sample weights, which the accumulator named
        `WEIGHTS` is; that of some rows, which the one before, named by `KEPT_WEIGHTS`, is; or nothing.
    """

    name: str
    times_rows: bool = False
    share: float | None = None
    width: int = 1
    per: str = "rows"


@dataclass(frozen=True, slots=True)
class Clip:
    """A scalar that each step makes before its first update, a factor of gradients.

    It is ``min(1, limit / norm)``, where the norm is the root of a sum of squares; NaN if the norm is not
    finite.

    Attributes
    ----------
    accumulator : int
        Of the sum of squares, which nothing else is added to, and which is no metric.
    limit : float
        Above 0.
    """

    accumulator: int
    limit: float


@dataclass(frozen=True, slots=True)
class Task:
    """Consecutive ops that one thread runs on one tile.

    Attributes
    ----------
    first, last : int
        Ops ``first`` to ``last - 1``.
    begin, end : int
        The tile: rows of a parameter, or columns of what the op writes; unused in a phase over the rows of
        the batch.
    """

    first: int
    last: int
    begin: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class Phase:
    """Tasks that may run at the same time; the next phase starts when all are done.

    Attributes
    ----------
    axis : Axis
        With `Axis.ROWS` there is one task, repeated for every `tile_rows` rows of the batch; with
        `Axis.FEATURES` all tasks are parts of one op.
    tasks : tuple of Task
    tile_rows : int
        Rows per tile, 0 for other axes than rows.
    updates : bool
        Whether it changes parameters or state.  Such phases come last, and run only if the losses of the
        step are finite.  Between the others and the first of them all gradients are known: there the plan's
        clips are made.
    due : int
        The scalar of the plan that is 0 in steps that leave the phase out, as those that only add up
        gradients; -1 if none does.
    """

    axis: Axis
    tasks: tuple[Task, ...]
    tile_rows: int = 0
    updates: bool = False
    due: int = -1


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled list of ops with its memory and its cut into tiles.

    Attributes
    ----------
    ops : tuple of Op
    phases : tuple of Phase
    sizes : tuple of int
        Elements in each of the slots before `Slot.EXTERNAL`.
    externals : tuple of External
    accumulators : tuple of Accumulator
    capacity : int
        The largest number of rows a step may have; 0 means any (nothing in the workspace
        then grows with the batch).
    purpose : str
        One of `PURPOSES`.
    scalars : tuple of str
        Numbers that a run brings for each of its steps, such as ``"rate"``, the learning rate.
    clips : tuple of Clip
        Numbers that each step makes itself, counted on from those.
    """

    ops: tuple[Op, ...]
    phases: tuple[Phase, ...]
    sizes: tuple[int, ...]
    externals: tuple[External, ...]
    accumulators: tuple[Accumulator, ...]
    capacity: int
    purpose: str
    scalars: tuple[str, ...] = ()
    clips: tuple[Clip, ...] = ()

    @property
    def padded_capacity(self) -> int:
        """The rows that the workspace has room for: whole vectors of them where they are the fast axis."""
        if self.ops and self.ops[0].path is Path.COLUMNS:
            return whole_vectors(self.capacity)
        return self.capacity

    @property
    def n_sums(self) -> int:
        """The number of float64 sums of all accumulators."""
        return sum(accumulator.width for accumulator in self.accumulators)

    def is_loss(self, op: Op) -> bool:
        """Return whether an op adds to a loss, which must stay finite; others of its code add to a metric."""
        if op.code not in LOSSES:
            return False
        if self.accumulators[op.accumulator].share is not None:
            return True
        return any(name in ("dy", "dx") and op.operand(name) is not None for name in op.signature.names)

    def flops(self, rows: int) -> int:
        """Return the floating-point operations of one step on `rows` rows."""
        return sum(op.flops(rows) for op in self.ops)

    def slot_name(self, slot: int) -> str:
        """Return a slot's name as it is printed."""
        if slot < Slot.EXTERNAL:
            return Slot(slot).name.lower()
        return self.externals[slot - Slot.EXTERNAL].name

    def __repr__(self) -> str:
        rows = f"{self.capacity} rows" if self.capacity else "any number of rows"
        return f"<Plan {self.purpose!r}: {len(self.ops)} ops, {len(self.phases)} phases, {rows}>"

    def __str__(self) -> str:
        return _text(self)


# -- how plans are printed


def describe_op(plan: Plan, op: Op) -> str:
    """Return an op as a line: ``y[w, 500] @workspace+0 <- x[...] ...``."""
    outputs = ", ".join(_operand(plan, operand) for operand in op.outputs())
    written = {operand.name for operand in op.outputs()}
    inputs = ", ".join(_operand(plan, o) for o in op.inputs() if o.name not in written)
    extra = "" if op.activation is Activation.LINEAR else f" {name_of(op.activation)}"
    named = op.constant_names
    constants = " ".join(f"{name}={value:g}" for name, value in zip(named, op.constants, strict=False))
    constants += "".join(f" {value:g}" for value in op.constants[len(named) :])
    arrow = f"{outputs} <- {inputs}" if outputs and inputs else outputs or inputs
    path = f" [{op.path.name.lower()}]" if _is_chosen(op) else ""
    return f"{op.code.name.lower()}{extra}{path} {op.layer}: {arrow}" + (
        f"  ({constants})" if constants else ""
    )


def _is_chosen(op: Op) -> bool:
    """Return whether an op's path says something: ops that multiply no matrices are on BLAS without one."""
    return op.code in PRODUCTS or op.path is not Path.BLAS


def _reason(op: Op) -> str:
    return f"  because {op.because}" if op.because else ""


def _operand(plan: Plan, operand: Operand) -> str:
    rows = "m" if operand.rows == ROWS else str(operand.rows)
    place = plan.slot_name(operand.slot)
    if operand.slot < Slot.EXTERNAL:
        place += f"+{operand.offset}"
    return f"{operand.name}[{rows}, {operand.columns}] @{place}"


def _text(plan: Plan) -> str:
    """Return the plan as text: phases, ops with operands, flops and bytes of a full batch.

    Rows are written ``m``; flops and bytes are those of one step with `capacity` rows (of one
    row where any number runs through), bytes in float32.
    """
    rows = plan.capacity or 1
    sizes = ", ".join(f"{Slot(i).name.lower()} {size}" for i, size in enumerate(plan.sizes) if size)
    lines = [
        f"plan: {plan.purpose}, rows: {plan.capacity or 'any'}, {len(plan.ops)} ops, "
        f"{plan.flops(rows):,} flops a step",
        f"elements: {sizes}",
    ]
    for number, phase in enumerate(plan.phases):
        if phase.updates and not (number and plan.phases[number - 1].updates):
            lines += [
                f"then min(1, {clip.limit:g} / norm) of {plan.accumulators[clip.accumulator].name}"
                for clip in plan.clips
            ]
        if phase.axis is Axis.ROWS:
            lines.append(f"phase along rows, tiles of {phase.tile_rows} rows")
        elif phase.axis is Axis.FEATURES:
            lines.append(f"phase along features, {len(phase.tasks)} tiles")
        else:
            lines.append(f"phase along parameters, {len(phase.tasks)} tiles")
        if phase.updates:
            lines[-1] += ", updates" + (" when due" if phase.due >= 0 else "")
        groups = Counter((task.first, task.last) for task in sorted(phase.tasks, key=_first))
        for (first, last), tiles in groups.items():
            for index in range(first, last):
                op = plan.ops[index]
                cost = f"{op.flops(rows):>14,} flops {op.bytes(rows):>12,} bytes"
                cut = f"  [{tiles} tiles]" if tiles > 1 else ""
                lines.append(f"  {index:3d} {cost}  {describe_op(plan, op)}{cut}{_reason(op)}")
    return "\n".join(lines)


def _first(task: Task) -> int:
    return task.first
