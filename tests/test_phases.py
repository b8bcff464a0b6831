"""Phases say what they do: updates come last, and before them rows and parameters follow as they need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fastnn import Input, Sequential, layers, losses, optimizers
from fastnn.compiler import compile_plan
from fastnn.encoding import encode
from fastnn.errors import PlanError
from fastnn.plan import KEPT_SLOTS, PURPOSES, Axis, OpCode, Phase, Plan, Slot, Task
from fastnn.program import Program

RNG = np.random.default_rng(5)


def plan_of(purpose: str) -> Plan:
    chained = [layers.Dense(7, "tanh", kernel_regularizer="l2"), layers.Dense(3)]
    return compile_plan(
        Sequential([Input((5,)), *chained], seed=0).graph,
        purpose,
        capacity=8 if purpose in ("train", "gradients", "backward") else 0,
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
    assert n_updates == (1 if purpose == "train" else 0)
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
        made.verify()
        gradients = np.zeros(plan.sizes[Slot.GRADIENTS])
        Program(made, np.dtype(np.float64), weights.copy(), gradients).run(arrays, 8, 8)
        found.append(gradients)
    assert len(between().phases) == 4
    assert found[0].any()
    np.testing.assert_array_equal(found[0], found[1])


TRAIN = plan_of("train")
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
    "perhaps": (lambda: with_phases(TRAIN, updates=1), "phase 0 updates: 1, needs True or False"),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_phases_that_say_something_else_are_refused(defect: str) -> None:
    corrupt, message = DEFECTS[defect]
    with pytest.raises(PlanError, match=message):
        corrupt().verify()
