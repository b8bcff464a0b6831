"""The plan: a list of ops over slots, cut into phases and tiles.  A value; pure Python.

A plan is what `lowering.py` and `memory.py` make of a graph, and what both interpreters
run: the Cython executor and `reference.py`.  It can be printed, compared, pickled and
verified.  It holds sizes and names only: no arrays, no pointers, no dtype.  What its ops are
made of stands in `opcodes.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from fastnn.opcodes import (
    ADDING,
    KEPT_SLOTS,
    LANES,
    LOSSES,
    MOST_ADAM_ROWS,
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
from fastnn.ops import Activation

__all__ = [
    "ADDING",
    "DENOMINATORS",
    "KEPT_SLOTS",
    "LOSSES",
    "MOST_ADAM_ROWS",
    "MOST_EXTERNALS",
    "MOST_INPUTS",
    "MOST_OUTPUTS",
    "PRODUCTS",
    "PURPOSES",
    "LANES",
    "ROWS",
    "WEIGHTS",
    "WEIGHT_PRODUCTS",
    "Accumulator",
    "Activation",
    "Axis",
    "External",
    "Op",
    "OpCode",
    "Operand",
    "Path",
    "Phase",
    "Plan",
    "Role",
    "SIGNATURES",
    "Signature",
    "Slot",
    "Task",
    "whole_vectors",
]

PURPOSES = ("train", "gradients", "evaluate", "predict", "input_gradients", "backward")
WEIGHTS = "sample_weight"  # the accumulator of the sum of all sample weights
DENOMINATORS = ("rows", "weights", "nothing")
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
    """

    name: str
    columns: int
    written: bool = False


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
    per : {"rows", "weights", "nothing"}
        What they are divided by: the rows, the sum of the sample weights, which the accumulator named
        `WEIGHTS` is, or nothing.
    """

    name: str
    times_rows: bool = False
    share: float | None = None
    width: int = 1
    per: str = "rows"


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
        step are finite.
    """

    axis: Axis
    tasks: tuple[Task, ...]
    tile_rows: int = 0
    updates: bool = False


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
    """

    ops: tuple[Op, ...]
    phases: tuple[Phase, ...]
    sizes: tuple[int, ...]
    externals: tuple[External, ...]
    accumulators: tuple[Accumulator, ...]
    capacity: int
    purpose: str
    scalars: tuple[str, ...] = ()

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
        return self.accumulators[op.accumulator].share is not None or any(True for _ in op.outputs())

    def flops(self, rows: int) -> int:
        """Return the floating-point operations of one step on `rows` rows."""
        return sum(op.flops(rows) for op in self.ops)

    def slot_name(self, slot: int) -> str:
        """Return a slot's name as it is printed."""
        if slot < Slot.EXTERNAL:
            return Slot(slot).name.lower()
        return self.externals[slot - Slot.EXTERNAL].name

    def verify(self) -> None:
        """Prove that the executor can run this plan without any further check.

        Raises
        ------
        PlanError
            If an operand leaves its slot, an op reads what nothing wrote, operands overlap
            where the op does not allow it, tiles do not cover all of it once, a size does not fit a
            BLAS integer, or anything is not of its type or unknown to the core.
        """
        from fastnn.verify import verify_plan

        verify_plan(self)

    def __repr__(self) -> str:
        rows = f"{self.capacity} rows" if self.capacity else "any number of rows"
        return f"<Plan {self.purpose!r}: {len(self.ops)} ops, {len(self.phases)} phases, {rows}>"

    def __str__(self) -> str:
        from fastnn.printing import format_plan

        return format_plan(self)
