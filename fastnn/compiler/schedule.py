"""Scheduling: ops are put into phases and cut into tiles.  Pure functions.

Ops that run along the rows of the batch come first, where they can as one phase of row tiles: a
tile goes through the whole net forward and backward before its data leave the cache.  Products
with large kernels interrupt that: each is a phase of its own, cut along the columns that it writes,
so that every part of a kernel is read and copied once a step, by one thread.  Reductions over the rows
of the batch do, too: each tile sees all rows of its own columns, and what follows may read the sums
whole.  Last come the ops that run along parameters, one group of tasks per parameter.  Mostly they are
one phase: a gradient, and at once its update.  Where updates need something of all gradients, as their
common norm, or a parameter's whole gradient, they are two phases: first gradients, and the sums that are
wanted of them; then updates.  Where gradients of several batches make one update, that phase is left out in
the other steps, and what is due in each step has phases before and behind it.
Between these two is the one place of a step where all gradients are known and nothing is changed yet.
There the executor makes what the updates read as scalars (`begin_updates` in `_core/run.pxd`), and there
belongs whatever else needs all gradients.

The cut depends on sizes only, never on a number of threads, so every thread count gives the same
bits.  This file must not know arrays, dtypes or kernels.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

from fastnn.compiler.plan import (
    CLIP_FACTOR,
    DUE,
    KEPT_SLOTS,
    MOST_INPUTS,
    MOST_OUTPUTS,
    PRODUCTS,
    ROWS,
    WEIGHT_PRODUCTS,
    Axis,
    Op,
    OpCode,
    Phase,
    Slot,
    Task,
)
from fastnn.compiler.tuning import (
    BLOCK_COLUMNS,
    BYTE_FLOPS,
    CACHE_ELEMENTS,
    COPYING_ROWS,
    LARGE_KERNEL,
    LARGE_PARAMETER_ROWS,
    LARGE_ROWS,
    MAXIMUM_ELEMENTS,
    MAXIMUM_TILES,
    MINIMUM_COLUMNS,
    MINIMUM_PARAMETER_ROWS,
    MINIMUM_ROWS,
    MINIMUM_TILE_FLOPS,
    MOST_ROWS,
    PREFERRED_COLUMNS,
    PREFERRED_PARAMETER_ROWS,
    PREFERRED_ROWS,
    ROW_STEP,
    TABLE_ELEMENTS,
)
from fastnn.ops import ACTIVATIONS

__all__ = ["schedule"]

AFTER_UPDATES = frozenset({OpCode.AVERAGE_WEIGHTS, OpCode.CONSTRAIN_SIGNS, OpCode.CONSTRAIN_NORMS})


def schedule(
    ops: tuple[Op, ...], capacity: int, multiple: int = 1
) -> tuple[tuple[Op, ...], tuple[Phase, ...]]:
    """Return the ops in their order of execution, and the phases that cut them.

    Parameters
    ----------
    ops : tuple of Op
        As lowered: each op after those whose results it reads.
    capacity : int
        Rows of a batch; 0 if any number of rows runs through, tile by tile.
    multiple : int
        What the height of a row tile must be a multiple of.

    Returns
    -------
    ops : tuple of Op
    phases : tuple of Phase
    """
    ordered: list[Op] = []
    phases: list[Phase] = []
    along_batch = (op for op in ops if op.signature.axis is not Axis.PARAMETER)
    for cut, alike in groupby(along_batch, key=lambda op: _feature_tiles(op, capacity)):
        for found in [[op] for op in alike] if cut else [list(alike)]:
            first, last = len(ordered), len(ordered) + len(found)
            if cut:
                phases.append(Phase(Axis.FEATURES, tuple(Task(first, last, *tile) for tile in cut)))
            else:
                tile_rows = _row_tile(found, capacity, multiple)
                phases.append(Phase(Axis.ROWS, (Task(first, last),), tile_rows))
            ordered += found
    parts = _parts([op for op in ops if op.signature.axis is Axis.PARAMETER])
    due = next((op.scalars[0] for op in ops if DUE in op.signature.scalars), -1)
    for number, part in parts:
        tasks: list[Task] = []
        for group in _by_parameter(part):
            first = len(ordered)
            ordered += group
            made = number == GRADIENTS and any(op.reads_batch() for op in group)
            tiles = _parameter_tiles(group, capacity) if made else _update_tiles(group)
            tasks += [Task(first, len(ordered), begin, end) for begin, end in tiles]
        # Long tasks first, so that the last ones to finish are short.
        tasks.sort(key=lambda task: -_task_flops(task, ordered, capacity))
        if number == GRADIENTS and any(map(_changes_kept, part)):
            tasks = _out_of_step(tasks, capacity)
        phases.append(
            Phase(
                Axis.PARAMETER,
                tuple(tasks),
                updates=any(map(_changes_kept, part)),
                due=due if number == UPDATES else -1,
            )
        )
    return tuple(ordered), tuple(phases)


# The parts of a step that run along parameters, in their order: gradients, and at once their updates where
# nothing forbids it; what is changed in every step, also where updates wait for further gradients; updates
# that need all gradients; what comes after updates, and must see a parameter whole or is due in every step.
GRADIENTS, KEPT, UPDATES, AFTER = range(4)


def _parts(ops: list[Op]) -> list[tuple[int, list[Op]]]:
    """Return ops along parameters in those parts that there are."""
    waits = any(_waits(op) for op in ops)
    accumulates = any(DUE in op.signature.scalars for op in ops)
    parts: tuple[list[Op], ...] = ([], [], [], [])
    for op in ops:
        number = GRADIENTS
        if op.code in AFTER_UPDATES and (accumulates or op.signature.uncut):
            number = AFTER
        elif accumulates and (DUE in op.signature.scalars or op.code is OpCode.MOVING_AVERAGE):
            number = KEPT
        elif _changes_kept(op) or CLIP_FACTOR in op.signature.scalars:
            number = UPDATES if waits or accumulates else GRADIENTS
        elif accumulates and op.code is OpCode.CLIP_GRADIENT:
            number = UPDATES
        parts[number].append(op)
    return [(number, part) for number, part in enumerate(parts) if part]


def _waits(op: Op) -> bool:
    """Return whether an op needs something of all gradients, or a whole one."""
    return CLIP_FACTOR in op.signature.scalars or (op.signature.uncut and _reads_gradient(op))


def _reads_gradient(op: Op) -> bool:
    return any(operand.slot == Slot.GRADIENTS for operand in op.inputs())


def _changes_kept(op: Op) -> bool:
    return any(operand.slot in KEPT_SLOTS for operand in op.outputs())


def _by_parameter(ops: list[Op]) -> list[list[Op]]:
    groups: dict[str, list[Op]] = {}
    for op in ops:
        groups.setdefault(op.layer, []).append(op)
    return list(groups.values())


def _out_of_step(tasks: list[Task], capacity: int) -> list[Task]:
    """Return the tasks with the first one halved, if it multiplies first and then waits for memory.

    Else threads that begin together would all multiply, then all wait, in turns: two threads, Adam, 64 rows
    through five layers of 1024, 6.60 to 6.27 ms.  Many rows are left alone, as each tile copies them.
    """
    task = tasks[0]
    middle = (task.begin + task.end) // (2 * ROW_STEP) * ROW_STEP
    alike = sum((other.first, other.last) == (task.first, task.last) for other in tasks)
    few = task.last - task.first < 2 or alike < 4 or capacity > MOST_ROWS
    if few or middle - task.begin < MINIMUM_PARAMETER_ROWS:
        return tasks
    return [replace(task, end=middle), *tasks[1:], replace(task, begin=middle)]


def _task_flops(task: Task, ops: list[Op], rows: int) -> float:
    group = ops[task.first : task.last]
    total = sum(op.flops(max(rows, 1)) for op in group)
    return total * (task.end - task.begin) / _height(group)


def _height(group: list[Op]) -> int:
    """Return the rows of the parameter that a group of ops runs along."""
    return next(operand.rows for operand in group[0].operands if operand is not None)


def _row_tile(ops: list[Op], capacity: int, multiple: int) -> int:
    if capacity == 0:
        widest = sum(
            operand.columns for op in ops for operand in op.outputs() if operand.slot == Slot.LOCAL
        ) + max((operand.columns for op in ops for operand in op.inputs() if operand.rows == ROWS), default=1)
        copying = min(COPYING_ROWS, MAXIMUM_ELEMENTS // max(widest, 1))
        rows = max(CACHE_ELEMENTS // max(widest, 1), copying)
        return max(MINIMUM_ROWS, min(1024, rows // 16 * 16))
    flops = sum(op.flops(capacity) if op.code in PRODUCTS else BYTE_FLOPS * op.bytes(capacity) for op in ops)
    preferred = LARGE_ROWS if any(_has_large_kernel(op) for op in ops) else PREFERRED_ROWS
    step = _ceiling(capacity, _tiles(capacity, flops, MINIMUM_ROWS, preferred))
    rows = min(capacity, _ceiling(step, ROW_STEP) * ROW_STEP)
    return _ceiling(rows, multiple) * multiple


def _has_large_kernel(op: Op) -> bool:
    """Return whether an op along rows copies a large kernel."""
    if op.code not in (OpCode.DENSE, OpCode.DENSE_BACKWARD):
        return False
    w = op.need("w")
    few_outputs = w.columns <= MOST_OUTPUTS and w.rows <= MOST_INPUTS  # whose kernels are not cut
    return w.rows * w.columns >= LARGE_KERNEL and not few_outputs


def _feature_tiles(op: Op, capacity: int) -> tuple[tuple[int, int], ...]:
    """Return the parts of the columns that an op along the batch writes; none if it is not cut along them."""
    if op.signature.axis is Axis.FEATURES:
        return _column_tiles(op, BYTE_FLOPS * op.bytes(capacity), MINIMUM_COLUMNS)
    if not _has_large_kernel(op) or not 0 < capacity <= MOST_ROWS:
        return ()
    inside = any(operand is not None and operand.slot == Slot.LOCAL for operand in op.operands)
    if inside or ACTIVATIONS[op.activation].row_wise:
        return ()
    cost = max(op.flops(capacity), BYTE_FLOPS * op.bytes(capacity))  # few rows wait for the kernel
    tiles = _column_tiles(op, cost, PREFERRED_COLUMNS)
    return tiles if len(tiles) > 1 else ()


def _column_tiles(op: Op, cost: int, preferred: int) -> tuple[tuple[int, int], ...]:
    width = next(op.outputs()).columns
    n_tiles = _tiles(width, cost, MINIMUM_COLUMNS, preferred)
    step = _ceiling(_ceiling(width, n_tiles), BLOCK_COLUMNS) * BLOCK_COLUMNS
    return tuple((begin, min(begin + step, width)) for begin in range(0, width, step))


def _update_tiles(group: list[Op]) -> list[tuple[int, int]]:
    """Return the rows of a parameter in parts that are worth a task of moving memory."""
    if any(op.signature.uncut for op in group):
        return [(0, _height(group))]
    height, cost = _height(group), sum(BYTE_FLOPS * op.bytes(0) for op in group)
    step = _ceiling(height, _tiles(height, cost, MINIMUM_PARAMETER_ROWS, PREFERRED_PARAMETER_ROWS))
    return [(begin, min(begin + step, height)) for begin in range(0, height, step)]


def _parameter_tiles(group: list[Op], capacity: int) -> list[tuple[int, int]]:
    height = _height(group)
    table = next((op.need("dw") for op in group if op.code is OpCode.EMBEDDING_GRADIENT), None)
    product = any(op.code in WEIGHT_PRODUCTS for op in group)
    if table is not None:
        step = max(TABLE_ELEMENTS // table.columns, MINIMUM_PARAMETER_ROWS)
        return [(begin, min(begin + step, height)) for begin in range(0, height, step)]
    if not product or any(op.signature.uncut for op in group):
        return [(0, height)]
    flops = sum(op.flops(max(capacity, 1)) for op in group)
    large = capacity > COPYING_ROWS and height >= 4 * LARGE_PARAMETER_ROWS
    preferred = LARGE_PARAMETER_ROWS if large else PREFERRED_PARAMETER_ROWS
    step = _ceiling(height, _tiles(height, flops, MINIMUM_PARAMETER_ROWS, preferred))
    return [(begin, min(begin + step, height)) for begin in range(0, height, step)]


def _tiles(rows: int, flops: int, minimum: int, preferred: int) -> int:
    """Return into how many tiles to cut: two as soon as it pays, more only while they stay large."""
    if rows < 2 * minimum or flops < 2 * MINIMUM_TILE_FLOPS:
        return 1
    return max(2, _power_of_two(min(rows // preferred, flops // MINIMUM_TILE_FLOPS, MAXIMUM_TILES)))


def _power_of_two(number: int) -> int:
    """Return the largest power of two up to `number`, at least 1."""
    return 1 << (max(number, 1).bit_length() - 1)


def _ceiling(total: int, parts: int) -> int:
    return -(-total // parts)
