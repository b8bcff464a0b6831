"""Verification of phases: tiles cover everything once, and tasks of one phase do not meet.

What is relied on here: `verify_forms.py` has checked all ops.  This file must not know arrays or kernels.
"""

from __future__ import annotations

from fastnn.checks import MAXIMUM_SIZE
from fastnn.compiler.plan import DUE, KEPT_SLOTS, LOSSES, Axis, OpCode, Path, Phase, Plan, Slot, Task
from fastnn.compiler.verify_forms import USES, describe, is_integer
from fastnn.errors import PlanError
from fastnn.ops import ACTIVATIONS

__all__ = ["check_concurrency", "check_phases"]

_Groups = dict[tuple[int, int], list[tuple[int, int]]]  # the tiles of tasks, by their first and last op
_CUT_ALONG_FEATURES = (OpCode.DENSE, OpCode.DENSE_BACKWARD)


def check_phases(plan: Plan) -> list[int]:
    """Prove that tiles cover everything once and that phases keep the order of the ops.

    Parameters
    ----------
    plan : Plan

    Returns
    -------
    list of int
        The most rows that a tile of each op has.

    Raises
    ------
    PlanError
    """
    for number, phase in enumerate(plan.phases):
        if not isinstance(phase, Phase) or not isinstance(phase.axis, Axis):
            raise PlanError(f"phase {number} is {phase!r}, needs to be a Phase along an Axis")
        if not isinstance(phase.tasks, tuple) or not phase.tasks:
            raise PlanError(f"phase {number} has the tasks {phase.tasks!r}, needs a tuple that is not empty")
        if not isinstance(phase.updates, bool):
            raise PlanError(f"phase {number} updates: {phase.updates!r}, needs True or False")
        due = phase.due
        if not is_integer(due) or not -1 <= due < len(plan.scalars):
            raise PlanError(f"phase {number} is due by scalar {due!r}; the plan has {plan.scalars}")
        if due >= 0 and (not phase.updates or plan.scalars[due] != DUE):
            raise PlanError(f"phase {number} is due by {plan.scalars[due]!r}, or updates nothing")
    # The executor ends a step whose loss is not finite before the first of them.
    if sorted(phase.updates for phase in plan.phases) != [phase.updates for phase in plan.phases]:
        raise PlanError("a phase that updates nothing comes after one that updates")
    covered = 0
    heights = [0] * len(plan.ops)
    for number, phase in enumerate(plan.phases):
        groups = _groups(plan, phase, number)
        if phase.axis is Axis.ROWS and len(phase.tasks) != 1:
            raise PlanError(f"a phase along rows has {len(phase.tasks)} tasks, needs one")
        if phase.axis is Axis.FEATURES and len(groups) != 1:
            raise PlanError(f"a phase along features has {len(groups)} ops, needs one")
        _check_tile_rows(plan, phase)
        for first, last in sorted(groups):
            if first != covered:
                raise PlanError(f"phases skip or repeat op {covered}")
            covered = last
            cuts = sorted(groups[first, last])
            for op in plan.ops[first:last] if phase.axis is not Axis.FEATURES else ():
                if op.signature.axis is not phase.axis:
                    raise PlanError(f"{op.code.name} of {op.layer!r} is in a phase along another axis")
            if phase.axis is Axis.ROWS:
                rows = phase.tile_rows
                if cuts != [(0, 0)]:
                    raise PlanError(f"the task of a phase along rows has the tile {cuts[0]}, needs none")
            elif phase.axis is Axis.FEATURES:
                rows = plan.capacity
                _check_feature_cut(plan, first, last, cuts)
            else:
                rows = max(end - begin for begin, end in cuts)
                _check_parameter_cut(plan, first, last, cuts)
            _check_updates(plan, phase, first, last)
            heights[first:last] = [rows] * (last - first)
    if covered != len(plan.ops):
        raise PlanError(f"phases end at op {covered} of {len(plan.ops)}")
    return heights


def _groups(plan: Plan, phase: Phase, number: int) -> _Groups:
    """Return the tiles by the ops that go through them, after a look at each task."""
    groups: _Groups = {}
    for task in phase.tasks:
        if not isinstance(task, Task) or not all(
            map(is_integer, (task.first, task.last, task.begin, task.end))
        ):
            raise PlanError(f"phase {number} has the task {task!r}, needs a Task of integers")
        if not 0 <= task.first < task.last:
            raise PlanError(f"phase {number} has the task {task}, which has no op")
        if task.last > len(plan.ops):
            raise PlanError(f"phases end at op {task.last} of {len(plan.ops)}")
        groups.setdefault((task.first, task.last), []).append((task.begin, task.end))
    return groups


def _check_tile_rows(plan: Plan, phase: Phase) -> None:
    rows = phase.tile_rows
    if not is_integer(rows):
        raise PlanError(f"a phase along {phase.axis.name} has tiles of {rows!r} rows, needs an integer")
    if phase.axis is not Axis.ROWS:
        if rows:
            raise PlanError(f"a phase along {phase.axis.name} has tiles of {rows} rows, needs 0")
    elif rows < 1:
        raise PlanError("a phase along rows has no tile height")
    elif rows > (plan.padded_capacity or MAXIMUM_SIZE):
        raise PlanError(f"tiles of {rows} rows are higher than a batch of {plan.capacity or MAXIMUM_SIZE}")


def _check_updates(plan: Plan, phase: Phase, first: int, last: int) -> None:
    """Prove that a step's losses are known before anything that outlives the step is changed.

    And that clips are made, between the two, of sums that are complete.
    """
    for index in range(first, last):
        op = plan.ops[index]
        if phase.updates:
            if op.code in LOSSES or op.code is OpCode.GRADIENT_SQUARES:
                raise PlanError(f"{describe(index, op)} is in a phase that updates")
            continue
        for number in op.scalars:
            if number >= len(plan.scalars):
                operand = op.operands[0]
                raise PlanError(
                    f"{describe(index, op)} reads the factor of {operand.name if operand else ''!r}, scalar "
                    f"{number}, in a phase that updates nothing, before that is made"
                )
        for operand in op.outputs():
            if operand.slot in KEPT_SLOTS:
                raise PlanError(
                    f"{describe(index, op)} changes {operand.name!r} in a phase that updates nothing"
                )


def _cover(cuts: list[tuple[int, int]], size: int) -> bool:
    """Return whether tiles, in their order, are the numbers from 0 up to `size`, and none is empty."""
    at = 0
    for begin, end in cuts:
        if begin != at or end <= begin:
            return False
        at = end
    return at == size


def _check_parameter_cut(plan: Plan, first: int, last: int, cuts: list[tuple[int, int]]) -> None:
    """Prove that tiles cover all that is cut, of each op of a task, once."""
    for index in range(first, last):
        op = plan.ops[index]
        if op.signature.uncut and len(cuts) != 1:
            raise PlanError(f"{describe(index, op)} needs all of {op.layer!r}, which is cut into {cuts}")
        for use, operand in zip(USES[op.code], op.operands, strict=True):
            if operand is not None and not use.whole and not _cover(cuts, operand.rows):
                raise PlanError(
                    f"tiles of {op.layer!r} do not cover it once: {describe(index, op)}, operand "
                    f"{use.name!r} has {operand.rows} rows, cut into {cuts}"
                )


def _check_feature_cut(plan: Plan, first: int, last: int, cuts: list[tuple[int, int]]) -> None:
    """Prove that parts of an op's columns can be computed apart, and that tiles cover them once."""
    op = plan.ops[first]
    product = op.code in _CUT_ALONG_FEATURES and not ACTIVATIONS[op.activation].row_wise
    cut = product or op.signature.axis is Axis.FEATURES
    if not cut or op.path in (Path.COLUMNS, Path.FEW_OUTPUTS) or last - first != 1:
        raise PlanError(f"{op.code.name} of {op.layer!r} cannot be cut along features")
    result = op.operands[0]
    if result is None or not _cover(cuts, result.columns):
        raise PlanError(f"tiles of {op.layer!r} do not cover it once")


def check_concurrency(plan: Plan) -> None:
    """Prove that tasks with different ops of a phase do not meet in memory.

    Tiles of the same ops do not, as each has its own rows or columns; along rows and features all tasks have
    the same ops.

    Parameters
    ----------
    plan : Plan
        In which parameters, gradients and state have places of their own.

    Raises
    ------
    PlanError
    """
    for phase in plan.phases:
        groups = {(task.first, task.last) for task in phase.tasks}
        if len(groups) < 2:
            continue
        writers: dict[str, int] = {}
        for writing in (True, False):  # first who writes, then who reads that
            for first, last in sorted(groups):
                for index in range(first, last):
                    op = plan.ops[index]
                    for use, operand in zip(USES[op.code], op.operands, strict=True):
                        if operand is None or use.whole or operand.slot == Slot.LOCAL:
                            continue
                        writer = writers.get(operand.name, first)
                        if writer != first:
                            raise PlanError(
                                f"{describe(index, op)} meets {operand.name!r}, which a task with op "
                                f"{writer} writes at the same time"
                            )
                        if writing and use.writes:
                            writers[operand.name] = first
