"""Verification: good plans pass, and every kind of seeded defect is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fastnn import Input, Sequential, layers, losses, metrics, optimizers
from fastnn.checks import MAXIMUM_SIZE
from fastnn.compiler import paths
from fastnn.compiler.pipeline import compile_plan
from fastnn.compiler.plan import (
    PURPOSES,
    ROWS,
    STEPWISE,
    Activation,
    Axis,
    External,
    Op,
    OpCode,
    Operand,
    Path,
    Phase,
    Plan,
    Slot,
    Task,
)
from fastnn.compiler.verify import verify_plan
from fastnn.errors import PlanError

ROWS_OF_BATCH = 8


def good(purpose: str = "train", last: str | None = "softmax") -> Plan:
    chained = [layers.Dense(7, "relu", kernel_regularizer="l2"), layers.Dense(3, last)]
    return compile_plan(
        Sequential([Input((5,)), *chained], seed=0).graph,
        purpose,
        capacity=ROWS_OF_BATCH if purpose in STEPWISE else 0,
        losses=(losses.CategoricalCrossentropy(),),
        metrics=((metrics.CategoricalAccuracy(),),),
        optimizer=optimizers.Adam(),
        gather=purpose == "train",
        weighted=purpose == "train",
    )


def wide(rows: int = 64) -> Plan:
    """Return a plan with an update inside of a product."""
    graph = Sequential([Input((400,)), layers.Dense(300)], seed=0).graph
    loss, optimizer = losses.MeanSquaredError(), optimizers.Adam()
    return compile_plan(graph, "train", capacity=rows, losses=(loss,), optimizer=optimizer, simd="v4")


def find(plan: Plan, code: OpCode) -> int:
    return next(index for index, op in enumerate(plan.ops) if op.code is code)


def with_op(plan: Plan, index: int, **changes: Any) -> Plan:
    ops = list(plan.ops)
    ops[index] = replace(ops[index], **changes)
    return replace(plan, ops=tuple(ops))


def with_operand(plan: Plan, code: OpCode, role: str, **changes: Any) -> Plan:
    """Return the plan with one operand of the first op of a code changed, or left out."""
    index = find(plan, code)
    op = plan.ops[index]
    operands = list(op.operands)
    position = op.signature.names.index(role)
    operands[position] = replace(op.need(role), **changes) if changes else None
    return with_op(plan, index, operands=tuple(operands))


def renamed(plan: Plan, name: str, **changes: Any) -> Plan:
    """Return the plan with one operand changed wherever it occurs."""

    def change(op: Op) -> Op:
        operands = (replace(o, **changes) if o is not None and o.name == name else o for o in op.operands)
        return replace(op, operands=tuple(operands))

    return replace(plan, ops=tuple(change(op) for op in plan.ops))


def with_phase(plan: Plan, number: int, **changes: Any) -> Plan:
    phases = list(plan.phases)
    phases[number] = replace(phases[number], **changes)
    return replace(plan, phases=tuple(phases))


def tasks_of(plan: Plan, number: int, change: Callable[[Task], list[Task]]) -> Plan:
    tasks = plan.phases[number].tasks
    return with_phase(plan, number, tasks=tuple(new for task in tasks for new in change(task)))


def operand(plan: Plan, code: OpCode, name: str) -> Operand:
    return plan.ops[find(plan, code)].need(name)


def two_layers_swapped(plan: Plan) -> Plan:
    ops = list(plan.ops)
    first, second = (i for i, op in enumerate(ops) if op.code is OpCode.DENSE)
    ops[first], ops[second] = ops[second], ops[first]
    return replace(plan, ops=tuple(ops))


def cut_along_features(plan: Plan, code: OpCode, tiles: tuple[tuple[int, int], ...], n_ops: int = 1) -> Plan:
    """Return the plan with the first ops of a code, so many, in a phase along features of their own."""
    index, (rows, *others) = find(plan, code), plan.phases
    last, end = index + n_ops, rows.tasks[0].last
    before, after = Task(0, index), Task(last, end)
    cut = Phase(Axis.FEATURES, tuple(Task(index, last, *tile) for tile in tiles))
    phases = [replace(rows, tasks=(before,)), cut, replace(rows, tasks=(after,)), *others]
    return replace(plan, phases=tuple(p for p in phases if p.tasks[0].first < p.tasks[0].last))


def few_outputs() -> Plan:
    """Return a plan whose first layer has a kernel for few outputs."""
    graph = Sequential([Input((20,)), layers.Dense(4)], seed=0).graph
    plan = compile_plan(graph, "evaluate", losses=(losses.CategoricalCrossentropy(),))
    assert plan.ops[0].path is Path.FEW_OUTPUTS
    return plan


P, W = good(), wide()
DENSE, LOSS, ADAM, JOINED = OpCode.DENSE, OpCode.SOFTMAX_CROSSENTROPY, OpCode.ADAM, OpCode.ADAM_DENSE
DEFECTS: dict[str, tuple[Callable[[], Plan], str]] = {
    "operands": (
        lambda: with_op(P, find(P, DENSE), operands=P.ops[find(P, DENSE)].operands[:3]),
        r"op \d+ \(DENSE of 'dense'\) has 3 operands, needs 4",
    ),
    "constants": (lambda: with_op(P, find(P, LOSS), constants=(1.0,)), r"has constants \(1.0,\), needs"),
    "accumulator": (lambda: with_op(P, find(P, LOSS), accumulator=9), "accumulator 9, which does not"),
    "missing": (lambda: with_operand(P, DENSE, "x"), r"DENSE of 'dense'\) lacks its operand 'x'"),
    "missing state": (lambda: with_operand(P, ADAM, "v"), r"ADAM of .*\) lacks its operand 'v'"),
    "missing target": (lambda: with_operand(P, LOSS, "t"), "lacks its operand 't'"),
    "width": (lambda: with_operand(P, DENSE, "b", columns=6), "widths 6 and 7 that must agree"),
    "inner width": (lambda: with_operand(P, DENSE, "w", rows=4), "widths 5 and 4 that must agree"),
    "update width": (lambda: with_operand(P, ADAM, "m", columns=2), r"widths \d and 2 that must"),
    "label width": (lambda: with_op(P, find(P, LOSS), constants=(1.0, 1.0, 1.0)), "widths 3 and 1 that must"),
    "gradient width": (lambda: with_operand(P, OpCode.DENSE_BACKWARD, "y", columns=6), "widths 6 and 7"),
    "metric width": (
        lambda: with_operand(P, OpCode.CATEGORICAL_ACCURACY, "t", columns=2),
        "widths 2 and 3 that must agree",
    ),
    "behind the slot": (
        lambda: with_operand(P, DENSE, "w", offset=P.sizes[0]),
        "operand 'w' leaves its slot parameters",
    ),
    "before the slot": (lambda: with_operand(P, DENSE, "y", offset=-1), "leaves its slot workspace"),
    "local": (
        lambda: with_operand(P, OpCode.WEIGHT_GRADIENT, "dw", offset=P.sizes[Slot.LOCAL]),
        "operand 'dw' leaves its slot local",
    ),
    "state": (lambda: replace(P, sizes=(*P.sizes[:2], 0, *P.sizes[3:])), "leaves its slot state"),
    "adam width": (lambda: with_operand(W, JOINED, "m", columns=7), "widths 7 and 300 that must agree"),
    "adam height": (lambda: with_operand(W, JOINED, "v", rows=9), "widths 9 and 400 that must agree"),
    "capacity": (lambda: replace(P, capacity=99), "operand 'y' leaves its slot workspace"),
    "no capacity": (lambda: replace(P, capacity=0), "lies in the workspace of a plan without capacity"),
    "no columns": (lambda: with_operand(P, OpCode.GATHER, "y", columns=0), "is -1 x 0; no BLAS int"),
    "no bias columns": (lambda: with_operand(P, OpCode.L2_PENALTY, "w", columns=0), "is 5 x 0; no BLAS int"),
    "BLAS integer": (
        lambda: with_operand(P, OpCode.L2_PENALTY, "w", rows=MAXIMUM_SIZE + 1),
        "no BLAS integer holds that",
    ),
    "external": (lambda: with_operand(P, OpCode.GATHER, "x", offset=3), "not match the external array 'x'"),
    "never written": (
        lambda: with_operand(P, LOSS, "x", name="other"),
        "reads 'other', which nothing wrote or another overwrote",
    ),
    "wrong order": (lambda: two_layers_swapped(P), "which nothing wrote or another overwrote"),
    "overwritten": (
        lambda: renamed(P, "y[rows]", offset=operand(P, LOSS, "x").offset),
        "reads 'dense_1/z', which nothing wrote or another overwrote",
    ),
    "product in place": (
        lambda: renamed(P, "dense_1/z", offset=operand(P, DENSE, "y").offset),
        "'dense_1/z' and 'dense/y' overlap",
    ),
    "half in place": (
        lambda: renamed(P, "dense_1/y", offset=operand(P, LOSS, "x").offset + 1),
        "'dense_1/y' and 'dense_1/z' overlap",
    ),
    "crossing rows": (
        lambda: renamed(P, "y[rows]", offset=operand(P, DENSE, "y").offset),
        "crosses rows of 'dense/y' in shared memory",
    ),
    "tiles too short": (
        lambda: tasks_of(P, 1, lambda t: [replace(t, end=t.end - 1)] if t.end > 1 else [t]),
        "tiles of '.*' do not cover it once",
    ),
    "tiles begin late": (
        lambda: tasks_of(P, 1, lambda t: [replace(t, begin=1)] if t.end > 1 else [t]),
        "do not cover it once",
    ),
    "tiles twice": (lambda: tasks_of(P, 1, lambda t: [t, t]), "do not cover it once"),
    "tiles overlap": (
        lambda: tasks_of(
            P, 1, lambda t: [replace(t, end=3), replace(t, begin=2)] if t.end > 3 else [t]
        ),
        "do not cover it once",
    ),
    "skipped op": (
        lambda: tasks_of(P, 0, lambda t: [replace(t, last=t.last - 1)]),
        "phases skip or repeat op",
    ),
    "repeated op": (lambda: replace(P, phases=(P.phases[0], *P.phases)), "phases skip or repeat op"),
    "phases end early": (lambda: replace(P, phases=P.phases[:1]), r"phases end at op \d+ of \d+"),
    "no phases": (lambda: replace(P, phases=()), "phases end at op 0"),
    "wrong axis": (
        lambda: replace(
            P, sizes=(*P.sizes[:4], 999), phases=(Phase(Axis.ROWS, (Task(0, len(P.ops)),), 8),)
        ),
        "is in a phase along another axis",
    ),
    "features too few": (
        lambda: cut_along_features(P, DENSE, ((0, 4), (4, 6))), "tiles of 'dense' do not cover it once"
    ),
    "features twice": (
        lambda: cut_along_features(P, DENSE, ((0, 4), (3, 7))), "tiles of 'dense' do not cover it once"
    ),
    "features of two ops": (
        lambda: cut_along_features(P, DENSE, ((0, 7),), 2), "DENSE of 'dense' cannot be cut along features"
    ),
    "features of few outputs": (
        lambda: cut_along_features(few_outputs(), DENSE, ((0, 2), (2, 4))),
        "DENSE of 'dense' cannot be cut along features",
    ),
    "features of a loss": (
        lambda: cut_along_features(P, LOSS, ((0, 3),)), "SOFTMAX_.* of .* cannot be cut along features"
    ),
    "features of a softmax": (
        lambda: with_op(
            cut_along_features(P, DENSE, ((0, 4), (4, 7))), find(P, DENSE), activation=Activation.SOFTMAX
        ),
        "DENSE of 'dense' cannot be cut along features",
    ),
    "features in memory of a tile": (
        lambda: replace(
            cut_along_features(renamed(P, "dense/y", slot=Slot.LOCAL, offset=0), DENSE, ((0, 4), (4, 7))),
            sizes=(*P.sizes[:4], 999),
        ),
        "operand 'x' lies in slot local, where 'dense/y' may not be",
    ),
    "rows after parameters": (
        lambda: replace(P, phases=(P.phases[1], P.phases[0])), "updates nothing comes after one that updates"
    ),
    "no tile height": (lambda: with_phase(P, 0, tile_rows=0), "a phase along rows has no tile height"),
    # Defects with which the executor would write or read where it must not, or leave out work.
    "loss without a sum": (lambda: with_op(P, find(P, LOSS), accumulator=-1), "adds to accumulator -1"),
    "sum without reason": (lambda: with_op(P, find(P, DENSE), accumulator=0), r"DENSE of .* accumulator 0"),
    "unknown activation": (lambda: with_op(P, find(P, DENSE), activation=99), "activation 99, which"),
    "narrow gradient": (lambda: with_operand(P, LOSS, "dx", columns=1), "widths 1 and 3 that must agree"),
    "state too short": (lambda: with_operand(P, ADAM, "m", rows=1), "that must agree"),
    "high bias": (lambda: with_operand(P, DENSE, "b", rows=3, offset=0), "that must agree"),
    "slot 99": (lambda: with_operand(P, LOSS, "weight", slot=99), "lies in slot 99, which does not exist"),
    "slot -2": (lambda: with_operand(P, LOSS, "weight", slot=-2), "lies in slot -2, which does not exist"),
    "two tasks along rows": (
        lambda: tasks_of(P, 0, lambda t: [replace(t, last=3), replace(t, first=3)]),
        "a phase along rows has 2 tasks, needs one",
    ),
    "local memory of another task": (
        lambda: tasks_of(P, 1, lambda t: [replace(t, last=t.last - 1), replace(t, first=t.last - 1)]),
        r"reads 'd\(.*\)', which nothing wrote or another overwrote",
    ),
    "read-only output": (
        lambda: replace(
            good("predict"), externals=tuple(replace(e, written=False) for e in good("predict").externals)
        ),
        "uses the external array 'output' in the wrong direction",
    ),
    "negative capacity": (lambda: replace(P, capacity=-1), "the capacity is -1"),
    "two operands of one name": (
        lambda: with_operand(P, DENSE, "b", name="dense/kernel"),
        "two operands are named 'dense/kernel'",
    ),
    "an update of a batch": (lambda: replace(P, purpose="update"), r"op 0 \(GATHER of 'x'\) reads a batch"),
    "an update with an array": (
        lambda: replace(good("update"), externals=(External("x", 1),)), "takes the array 'x', needs none"
    ),
    "two parameters in one place": (lambda: renamed(P, "dense/bias", offset=0), "overlap in slot PARAMETERS"),
}  # fmt: skip


@pytest.mark.parametrize("purpose", PURPOSES)
def test_good_plans_pass(purpose: str) -> None:
    plan = good(purpose, last=None if purpose == "input_gradients" else "softmax")
    verify_plan(plan)
    assert P.ops  # the plan that the defects are seeded in is one of them
    assert P == good("train")


def test_updates_inside_of_products_have_room_for_so_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "MOST_JOINED_ROWS", 2000)
    assert find(wide(512), JOINED) > 0
    with pytest.raises(PlanError, match="is for 1 to 512 rows of a batch, not 513"):
        wide(513)


@pytest.mark.parametrize("defect", DEFECTS)
def test_seeded_defects_are_found(defect: str) -> None:
    corrupt, message = DEFECTS[defect]
    plan = corrupt()
    assert plan != P
    with pytest.raises(PlanError, match=message):
        verify_plan(plan)


def test_a_cut_along_features_is_sound_if_it_covers_them() -> None:
    verify_plan(cut_along_features(P, DENSE, ((0, 4), (4, 7))))
    verify_plan(cut_along_features(P, OpCode.DENSE_BACKWARD, ((0, 1), (6, 7), (1, 6))))


def test_every_operand_is_bounds_checked() -> None:
    for purpose in PURPOSES:
        plan = good(purpose, last=None)
        for index, op in enumerate(plan.ops):
            for position, old in enumerate(op.operands):
                if old is None:
                    continue
                for offset in (-1, 10**9):
                    operands = list(op.operands)
                    operands[position] = replace(old, offset=offset)
                    with pytest.raises(PlanError, match=rf"op {index} "):
                        verify_plan(with_op(plan, index, operands=tuple(operands)))


def test_every_operand_that_is_read_must_have_been_written() -> None:
    for purpose in PURPOSES:
        plan = good(purpose, last=None)
        for index, op in enumerate(plan.ops):
            for written in op.outputs():
                if written.slot not in (Slot.WORKSPACE, Slot.LOCAL, Slot.GRADIENTS):
                    continue
                read = any(written in later.inputs() for later in plan.ops[index + 1 :])
                operands = tuple(replace(o, name="lost") if o == written else o for o in op.operands)
                corrupt = with_op(plan, index, operands=operands)
                if read:
                    with pytest.raises(PlanError, match="which nothing wrote or another overwrote"):
                        verify_plan(corrupt)


def test_a_plan_says_which_operand_is_absent() -> None:
    op = P.ops[find(P, DENSE)]
    assert op.operand("b") == op.need("b")
    with pytest.raises(PlanError, match=r"SOFTMAX_CROSSENTROPY of .* lacks its operand 'dx'"):
        good("evaluate").ops[find(good("evaluate"), LOSS)].need("dx")
    assert {o.name for o in op.outputs()} == {"dense/y"}
    assert ROWS not in {o.rows for o in op.inputs() if o.slot == Slot.PARAMETERS}
