"""Phases say what they do: updates come last, and before them rows and parameters follow as they need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fastnn import Input, Sequential, layers, losses, optimizers
from fastnn.compiler.pipeline import compile_plan
from fastnn.compiler.plan import (
    KEPT_SLOTS,
    PURPOSES,
    STEPWISE,
    UPDATING,
    Axis,
    Op,
    OpCode,
    Phase,
    Plan,
    Slot,
    Task,
)
from fastnn.compiler.verify import verify_plan
from fastnn.errors import PlanError
from fastnn.run.encoding import encode
from fastnn.run.program import Program

RNG = np.random.default_rng(5)


def plan_of(purpose: str) -> Plan:
    chained = [layers.Dense(7, "tanh", kernel_regularizer="l2"), layers.Dense(3)]
    return compile_plan(
        Sequential([Input((5,)), *chained], seed=0).graph,
        purpose,
        capacity=8 if purpose in STEPWISE else 0,
        losses=(losses.MeanSquaredError(),),
        optimizer=optimizers.Adam(),
    )


def with_phases(plan: Plan, **changes: Any) -> Plan:
    """Return the plan with the same fields of all phases changed."""
    return replace(plan, phases=tuple(replace(phase, **changes) for phase in plan.phases))


@pytest.mark.parametrize("purpose", PURPOSES)
def test_what_changes_more_than_the_step_is_said_to_update(purpose: str) -> None:
    plan = plan_of(purpose)
    for phase in plan.phases:
        ops = {index for task in phase.tasks for index in range(task.first, task.last)}
        written = {operand.slot for index in ops for operand in plan.ops[index].outputs()}
        assert phase.updates is bool(written & KEPT_SLOTS)
    n_updates = sum(phase.updates for phase in plan.phases)
    assert n_updates == (1 if purpose in UPDATING else 0)
    assert encode(plan).first_update == len(plan.phases) - n_updates
    assert str(plan).count(", updates\n") == n_updates


def between() -> Plan:
    """Return a plan in which gradients of the last layer are known before those of the first one begin."""
    plan = plan_of("gradients")
    rows, parameters = plan.phases
    back = next(i for i, op in enumerate(plan.ops) if op.code is OpCode.DENSE_BACKWARD)
    first = sorted({(t.first, t.last) for t in parameters.tasks if plan.ops[t.first].layer == "dense_1/bias"})
    ((begin, end),) = first
    moved = (*plan.ops[:back], *plan.ops[begin:end], *plan.ops[back:begin], *plan.ops[end:])
    n_moved, last = end - begin, rows.tasks[0].last

    def place(index: int) -> int:
        return index + n_moved if index < begin else index

    others = tuple(
        replace(task, first=place(task.first), last=place(task.last - 1) + 1)
        for task in parameters.tasks
        if task.first != begin
    )
    phases = (
        replace(rows, tasks=(Task(0, back),)),
        Phase(Axis.PARAMETER, (Task(back, back + n_moved, 0, 1),)),
        replace(rows, tasks=(Task(back + n_moved, last + n_moved),)),
        replace(parameters, tasks=others),
    )
    return replace(plan, ops=moved, phases=phases)


def test_rows_may_follow_parameters() -> None:
    plan = plan_of("gradients")
    arrays = {"x": RNG.standard_normal((8, 5)), "y": RNG.standard_normal((8, 3))}
    weights = RNG.standard_normal(plan.sizes[Slot.PARAMETERS])
    found = []
    for made in (plan, between()):
        verify_plan(made)
        gradients = np.zeros(plan.sizes[Slot.GRADIENTS])
        Program(made, np.dtype(np.float64), weights.copy(), gradients).run(arrays, 8, 8)
        found.append(gradients)
    assert len(between().phases) == 4
    assert found[0].any()
    np.testing.assert_array_equal(found[0], found[1])


TRAIN = plan_of("train")


def normalized(purpose: str = "train") -> Plan:
    """Return a plan that goes from rows to features and back, four times."""
    chained = [
        layers.Dense(7, "tanh"),
        layers.BatchNormalization(gamma_regularizer="l2"),
        layers.Dense(6),
        layers.BatchNormalization(),
        layers.Dense(3),
    ]
    return compile_plan(
        Sequential([Input((5,)), *chained], seed=0).graph,
        purpose,
        capacity=8 if purpose in STEPWISE else 0,
        losses=(losses.MeanSquaredError(),),
        optimizer=optimizers.Adam(),
        gather=purpose == "train",
    )


NORM = normalized()
MOMENTS, NORMALIZE, MOVING = OpCode.BATCH_MOMENTS, OpCode.NORMALIZE, OpCode.MOVING_AVERAGE
BACK = OpCode.NORMALIZE_BACKWARD


def find(code: OpCode, layer: str = "") -> int:
    return next(i for i, op in enumerate(NORM.ops) if op.code is code and op.layer.endswith(layer))


def with_op(index: int, **changes: Any) -> Plan:
    return replace(NORM, ops=(*NORM.ops[:index], replace(NORM.ops[index], **changes), *NORM.ops[index + 1 :]))


def with_operand(code: OpCode, role: str, layer: str = "", **changes: Any) -> Plan:
    """Return the plan with one operand of an op changed, or left out."""
    index = find(code, layer)
    op = NORM.ops[index]
    place = op.signature.names.index(role)
    new = replace(op.need(role), **changes) if changes else None
    return with_op(index, operands=(*op.operands[:place], new, *op.operands[place + 1 :]))


def everywhere(name: str, **changes: Any) -> Plan:
    """Return the plan with an operand changed wherever it stands."""

    def change(op: Op) -> Op:
        operands = (replace(o, **changes) if o is not None and o.name == name else o for o in op.operands)
        return replace(op, operands=tuple(operands))

    return replace(NORM, ops=tuple(map(change, NORM.ops)), sizes=tuple(size + 99 for size in NORM.sizes))


def with_moments(**changes: Any) -> Plan:
    """Return the plan with the first phase along features changed."""
    number = next(i for i, phase in enumerate(NORM.phases) if phase.axis is Axis.FEATURES)
    phases = list(NORM.phases)
    phases[number] = replace(phases[number], **changes)
    return replace(NORM, phases=tuple(phases))


def tile(*cuts: tuple[int, int]) -> tuple[Task, ...]:
    first = find(MOMENTS)
    return tuple(Task(first, first + 1, *cut) for cut in cuts)


def two_at_once() -> Plan:
    tasks = [phase.tasks for phase in NORM.phases if phase.axis is Axis.FEATURES]
    return with_moments(tasks=(*tasks[0], *tasks[1]))


def exchanged(code: OpCode, to: str, place: int, by: int) -> Plan:
    """Return the plan with an operand of the op of one parameter taken from that of another."""
    index = find(code, to)
    operands = list(NORM.ops[index].operands)
    operands[place] = NORM.ops[by].operands[place]
    return with_op(index, operands=tuple(operands))


FIRST = "batch_normalization"
GRADIENT_OF_GAMMA = f"d({FIRST}/gamma)"


def gradient_that_another_task_changes() -> Plan:
    """The penalty of gamma is added to its gradient while beta is updated by it."""
    return exchanged(OpCode.ADAM, f"{FIRST}/beta", 3, find(OpCode.ADAM, f"{FIRST}/gamma"))


def one_statistic_in_two_tasks() -> Plan:
    return exchanged(MOVING, f"{FIRST}/moving_mean", 0, find(MOVING, f"{FIRST}/moving_variance"))


def offset_of(name: str) -> int:
    return next(o.offset for op in NORM.ops for o in op.operands if o is not None and o.name == name)


DEFECTS: dict[str, tuple[Callable[[], Plan], str]] = {
    "rows after updates": (
        lambda: replace(TRAIN, phases=TRAIN.phases[::-1]),
        "a phase that updates nothing comes after one that updates",
    ),
    "updates before losses are known": (
        lambda: with_phases(TRAIN, updates=True),
        r"\(SQUARED_ERROR of .*\) is in a phase that updates",
    ),
    "secret updates": (
        lambda: with_phases(TRAIN, updates=False),
        r"\(ADAM of .*\) changes '.*' in a phase that updates nothing",
    ),
    "moments of some": (lambda: with_moments(tasks=tile((0, 6))), f"tiles of '{FIRST}' do not cover it"),
    "moments twice": (lambda: with_moments(tasks=tile((0, 4), (3, 7))), f"tiles of '{FIRST}' do not cover"),
    "moments of rows": (
        lambda: with_moments(axis=Axis.ROWS, tasks=tile((0, 0)), tile_rows=4),
        "BATCH_MOMENTS of .* is in a phase along another axis",
    ),
    "moments of a parameter": (
        lambda: with_moments(axis=Axis.PARAMETER, tasks=tile((0, 1))),
        "BATCH_MOMENTS of .* is in a phase along another axis",
    ),
    "two reductions at once": (two_at_once, "a phase along features has 2 ops, needs one"),
    "moments of two rows": (lambda: everywhere(f"{FIRST}/mean", rows=2), "widths 2 and 1 that must agree"),
    "moments of others": (lambda: with_operand(NORMALIZE, "mean", columns=6), "7 and 6 that must agree"),
    "moments that nobody made": (
        lambda: with_operand(NORMALIZE, "mean", name="lost"),
        "reads 'lost', which nothing wrote",
    ),
    "moments in a parameter": (
        lambda: everywhere(f"{FIRST}/mean", slot=Slot.PARAMETERS, offset=NORM.sizes[0]),
        r"\(BATCH_MOMENTS of .*operand 'mean' lies in slot parameters, where",
    ),
    "moments in memory of a tile": (
        lambda: everywhere(f"{FIRST}/mean", slot=Slot.LOCAL, offset=0),
        "operand 'mean' lies in slot local, where",
    ),
    "moments over rows": (
        lambda: everywhere(f"{FIRST}/mean", offset=offset_of("x[rows]")),
        r"crosses rows of 'x\[rows\]' in shared memory",
    ),
    "moments over moments": (
        lambda: everywhere(f"{FIRST}/mean", offset=offset_of(f"{FIRST}/variance")),
        f"'{FIRST}/mean' and '{FIRST}/variance' overlap",
    ),
    "half of the sums": (lambda: with_operand(BACK, "dgamma"), "widths True and False that must agree"),
    "no epsilon": (
        lambda: with_op(find(NORMALIZE), constants=(0.0,)),
        "has the epsilon 0.0, needs one above",
    ),
    "kernel's gradient for all": (
        lambda: with_operand(
            OpCode.WEIGHT_GRADIENT, "dw", slot=Slot.WORKSPACE, offset=NORM.sizes[Slot.WORKSPACE]
        ),
        "operand 'dw' lies in slot workspace, where",
    ),
    "gradient that another task changes": (
        gradient_that_another_task_changes,
        "meets 'd.*gamma.*', which a task with op .* writes at the same time",
    ),
    "one statistic in two tasks": (one_statistic_in_two_tasks, "which a task with op .* writes at the same"),
    "secret statistics": (
        lambda: replace(NORM, phases=(*NORM.phases[:-1], replace(NORM.phases[-1], updates=False))),
        r"\(MOVING_AVERAGE of .*\) changes '.*' in a phase that updates nothing",
    ),
    "statistics of a look": (
        lambda: replace(NORM, purpose="gradients"),
        r"MOVING_AVERAGE of .* changes '.*' in a plan for 'gradien",
    ),
    "perhaps": (lambda: with_phases(TRAIN, updates=1), "phase 0 updates: 1, needs True or False"),
}


@pytest.mark.parametrize("purpose", PURPOSES)
def test_phases_of_features_stand_where_sums_over_the_batch_are_needed(purpose: str) -> None:
    plan = normalized(purpose)
    verify_plan(plan)
    found = [phase.axis for phase in plan.phases].count(Axis.FEATURES)
    # Where statistics take the place of moments, only gradients of gamma and beta are sums.
    assert found == {"train": 4, "gradients": 4, "backward": 2, "outputs": 2, "training_outputs": 2}.get(
        purpose, 0
    )


def test_a_reduction_may_be_cut_anywhere() -> None:
    verify_plan(with_moments(tasks=tile((0, 1), (5, 7), (1, 5))))


@pytest.mark.parametrize("defect", DEFECTS)
def test_phases_that_say_something_else_are_refused(defect: str) -> None:
    corrupt, message = DEFECTS[defect]
    with pytest.raises(PlanError, match=message):
        verify_plan(corrupt())
