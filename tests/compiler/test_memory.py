"""Memory planning: who lies where, checked by a second, simpler account of who lives when."""

from __future__ import annotations

import random

import pytest

from fastnn import Input, Sequential, layers, losses, optimizers
from fastnn.compiler import memory
from fastnn.compiler.memory import ALIGNMENT, Layout, aligned, parameter_layout
from fastnn.compiler.pipeline import compile_plan
from fastnn.compiler.plan import ROWS, Op, OpCode, Operand, Plan, Slot
from fastnn.graph.graph import Graph, Parameter
from fastnn.initializers import Zeros

MSE = losses.MeanSquaredError()
ACTIVATIONS = [None, "relu", "tanh", "sigmoid", "softmax"]


def chain(*chained: layers.Layer, inputs: int = 3) -> Graph:
    return Sequential([Input((inputs,)), *chained], seed=0).graph


def random_plan(seed: int, purpose: str) -> Plan:
    choose = random.Random(seed)
    chained: list[layers.Layer] = []
    for _ in range(choose.randint(1, 6)):
        activation = choose.choice(ACTIVATIONS)
        trainable = choose.random() < 0.7
        regularizer = "l2" if choose.random() < 0.3 else None
        chained.append(
            layers.Dense(
                choose.choice([1, 3, 16, 17, 40]),
                activation,
                choose.random() < 0.7,
                kernel_regularizer=regularizer,
                trainable=trainable,
            )
        )
        if choose.random() < 0.3:
            chained.append(layers.Activation(choose.choice(["relu", "tanh"])))
    chained.append(layers.Dense(2))
    return compile_plan(
        chain(*chained),
        purpose,
        capacity=choose.choice([1, 7, 64, 300]) if purpose in ("train", "gradients") else 0,
        losses=(choose.choice([MSE, losses.CategoricalCrossentropy(from_logits=True)]),),
        optimizer=choose.choice([optimizers.SGD(), optimizers.Adam()]),
        gather=choose.random() < 0.5 and purpose in ("train", "gradients"),
        weighted=choose.random() < 0.5,
        fused=choose.random() < 0.5,
    )


PLANS = [(seed, purpose) for seed in range(30) for purpose in ("train", "gradients")]


def heights(plan: Plan) -> dict[int, int]:
    """Return how many rows of LOCAL memory a tile of each op takes at most."""
    result = {}
    for phase in plan.phases:
        for task in phase.tasks:
            for index in range(task.first, task.last):
                result[index] = max(result.get(index, 0), phase.tile_rows or task.end - task.begin)
    return result


def groups(plan: Plan) -> list[range]:
    """Return the ops that one task runs, task by task."""
    spans = {(task.first, task.last) for phase in plan.phases for task in phase.tasks}
    return [range(first, last) for first, last in sorted(spans)]


def extents(plan: Plan, slot: Slot, ops: range) -> dict[str, tuple[int, int, int, int, Operand]]:
    """Return, for each operand of a slot: begin and end of its memory, first and last op, operand."""
    height = heights(plan)
    found: dict[str, tuple[int, int, int, int, Operand]] = {}
    for index in ops:
        for operand in plan.ops[index].operands:
            if operand is None or operand.slot != slot:
                continue
            of_batch = plan.capacity if operand.rows == ROWS else operand.rows
            rows = height[index] if slot == Slot.LOCAL else of_batch
            end = operand.offset + rows * operand.columns
            first = found[operand.name][2] if operand.name in found else index
            found[operand.name] = (operand.offset, end, first, index, operand)
    return found


def may_alias(op: Op, written: str, read: str) -> bool:
    return any(
        (out := op.operand(o)) is not None
        and out.name == written
        and (source := op.operand(i)) is not None
        and source.name == read
        for o, i in op.signature.aliases
    )


def check_sharing(plan: Plan) -> None:
    spaces = [(Slot.WORKSPACE, range(len(plan.ops)))] + [(Slot.LOCAL, group) for group in groups(plan)]
    for slot, ops in spaces:
        found = extents(plan, slot, ops)
        for name, (begin, end, first, last, operand) in found.items():
            assert 0 <= begin <= end <= plan.sizes[slot]
            assert begin % ALIGNMENT == 0
            for other, (begin_2, end_2, first_2, _, operand_2) in found.items():
                if other == name or end <= begin_2 or end_2 <= begin or first_2 < first:
                    continue
                # They share memory, and `other` was written later: `name` is dead by then.
                assert first_2 > last or (
                    first_2 == last and may_alias(plan.ops[last], other, name) and begin == begin_2
                )
                if slot == Slot.WORKSPACE:
                    assert (begin, operand.columns) == (begin_2, operand_2.columns)
                    assert operand.rows == operand_2.rows


@pytest.mark.parametrize(("seed", "purpose"), PLANS)
def test_no_two_living_operands_of_a_step_share_memory(seed: int, purpose: str) -> None:
    check_sharing(random_plan(seed, purpose))


@pytest.mark.parametrize("capacity", [1, 7, 300])
@pytest.mark.parametrize("purpose", ["train", "gradients", "backward"])
def test_what_there_is_one_row_of_shares_memory_with_its_like(purpose: str, capacity: int) -> None:
    chained: list[layers.Layer] = []
    for width in (5, 5, 16, 5):
        chained += [layers.Dense(width, "relu"), layers.BatchNormalization(scale=width > 5)]
    plan = compile_plan(
        chain(*chained), purpose, capacity=capacity, losses=(MSE,), optimizer=optimizers.Adam()
    )
    check_sharing(plan)
    single = {o for op in plan.ops for o in op.operands if o and (o.rows, o.slot) == (1, Slot.WORKSPACE)}
    assert len({o.name for o in single}) > len({o.offset for o in single}) or purpose == "backward"


@pytest.mark.parametrize("purpose", ["evaluate", "predict", "input_gradients"])
def test_no_two_living_operands_of_a_tile_share_memory(purpose: str) -> None:
    for seed in range(30):
        check_sharing(random_plan(seed, purpose))


def test_scores_wider_than_the_last_hidden_layer_can_be_evaluated() -> None:
    loss = losses.CategoricalCrossentropy(from_logits=True)
    check_sharing(compile_plan(chain(layers.Dense(5, "relu"), layers.Dense(10)), "evaluate", losses=(loss,)))


@pytest.mark.parametrize(("seed", "purpose"), PLANS)
def test_parameters_gradients_and_state_follow_one_layout(seed: int, purpose: str) -> None:
    plan = random_plan(seed, purpose)
    total = plan.sizes[Slot.PARAMETERS]
    offsets: dict[str, int] = {}
    for op in plan.ops:
        for operand in op.operands:
            if operand is not None and operand.slot == Slot.PARAMETERS:
                assert offsets.setdefault(operand.name, operand.offset) == operand.offset
    trains = any(op.code in (OpCode.ADAM, OpCode.SGD, OpCode.SGD_DENSE) for op in plan.ops)
    for op in plan.ops:
        for operand in op.operands:
            if operand is not None and operand.slot == Slot.GRADIENTS:
                assert purpose == "gradients"
                assert operand.offset == offsets.get(operand.name[2:-1], operand.offset)
            if operand is not None and operand.slot == Slot.STATE:
                name, _, state = operand.name.rpartition("/")
                assert operand.offset == offsets[name] + total * ["momentum", "velocity"].index(state)
    assert plan.sizes[Slot.GRADIENTS] in (0, total)
    adam = any(op.code is OpCode.ADAM for op in plan.ops)
    assert plan.sizes[Slot.STATE] == 2 * total or not adam
    assert trains <= (purpose == "train")


def test_sizes_are_rounded_up_to_cache_lines() -> None:
    assert [aligned(n) for n in (0, 1, 15, 16, 17, 32)] == [0, 16, 16, 16, 32, 32]
    shapes = {"a": (3, 5), "b": (5,), "c": (16, 2), "d": (1, 1)}
    parameters = [Parameter(name, shape, Zeros()) for name, shape in shapes.items()]
    assert parameter_layout(parameters) == Layout({"a": 0, "b": 16, "c": 32, "d": 64}, 80)
    assert parameter_layout([]) == Layout({}, 0)


def test_a_deep_chain_predicts_in_two_buffers() -> None:
    graph = chain(*[layers.Dense(40, "relu") for _ in range(10)], layers.Dense(1), inputs=40)
    for fused in (True, False):
        plan = compile_plan(graph, "predict", fused=fused)
        assert plan.sizes[Slot.LOCAL] == 2 * aligned(plan.phases[0].tile_rows * 40)
        assert plan.sizes[Slot.WORKSPACE] == 0
        deep = compile_plan(
            chain(*[layers.Dense(40, "relu") for _ in range(30)], layers.Dense(1), inputs=40), "predict"
        )
        assert deep.sizes[Slot.LOCAL] == 2 * aligned(deep.phases[0].tile_rows * 40)


def test_element_wise_ops_run_in_place() -> None:
    plan = compile_plan(
        chain(layers.Dense(5, "tanh"), layers.Dense(3, "softmax")),
        "train",
        capacity=10,
        losses=(losses.CategoricalCrossentropy(),),
        optimizer=optimizers.SGD(),
        fused=False,
    )
    for op in plan.ops:
        if op.code in (OpCode.ADD_BIAS, OpCode.ACTIVATION):
            assert op.need("y").offset == op.need("x").offset
        if op.code is OpCode.ACTIVATION_BACKWARD:
            assert op.need("dx").offset == op.need("dy").offset


def test_what_is_read_again_is_not_overwritten() -> None:
    # The tanh layer's input is the relu layer's output, which the backward pass reads once more.
    graph = chain(layers.Dense(5, "relu"), layers.Activation("tanh"), layers.Dense(2))
    plan = compile_plan(graph, "train", capacity=4, losses=(MSE,), optimizer=optimizers.SGD())
    op = next(op for op in plan.ops if op.code is OpCode.ACTIVATION)
    assert op.need("y").offset != op.need("x").offset


def test_frozen_layers_give_their_memory_back() -> None:
    def workspace(trainable: bool) -> int:
        hidden = [layers.Dense(64, "relu", trainable=trainable) for _ in range(8)]
        graph = chain(*hidden, layers.Dense(1), inputs=64)
        return compile_plan(graph, "train", capacity=100, losses=(MSE,), optimizer=optimizers.SGD()).sizes[
            Slot.WORKSPACE
        ]

    assert workspace(False) < workspace(True) / 4


def test_the_workspace_grows_with_the_batch_and_without_one_there_is_none() -> None:
    graph = chain(layers.Dense(16, "relu"), layers.Dense(16))
    sizes = [
        compile_plan(graph, "gradients", capacity=n, losses=(MSE,)).sizes[Slot.WORKSPACE]
        for n in (16, 32, 64)
    ]
    assert sizes[1] == 2 * sizes[0]
    assert sizes[2] == 4 * sizes[0]
    assert compile_plan(graph, "evaluate", losses=(MSE,)).sizes[Slot.WORKSPACE] == 0


def test_local_memory_starts_anew_with_every_task() -> None:
    graph = chain(layers.Dense(4), layers.Dense(4), layers.Dense(4), inputs=4)
    plan = compile_plan(graph, "train", capacity=4, losses=(MSE,), optimizer=optimizers.Adam())
    gradients = [op.need("dw") for op in plan.ops if op.code is OpCode.WEIGHT_GRADIENT]
    assert [(g.slot, g.offset) for g in gradients] == [(Slot.LOCAL, 0)] * 3
    assert plan.sizes[Slot.LOCAL] == 16


def test_placing_leaves_everything_but_offsets_as_it_was() -> None:
    graph = chain(layers.Dense(5, "relu"), layers.Dense(17))
    plan = compile_plan(graph, "train", capacity=6, losses=(MSE,), optimizer=optimizers.SGD())
    again, sizes = memory.place(plan.ops, plan.phases, parameter_layout(graph.parameters), (), 6)
    assert again == plan.ops
    assert sizes == plan.sizes
    assert all(o is None or o.offset >= 0 for op in again for o in op.operands)
    assert {o.rows for op in again for o in op.operands if o is not None} >= {ROWS, 1, 3, 5}


FIRST = [layers.Activation("relu"), layers.Dense(2)], "predict"
LAST = [layers.Dense(2, "sigmoid")], "input_gradients"


@pytest.mark.parametrize(("chained", "purpose"), [FIRST, LAST], ids=["first", "last"])
def test_element_wise_ops_may_read_an_external_array(chained: list[layers.Layer], purpose: str) -> None:
    plan = compile_plan(chain(*chained), purpose)
    op = next(op for op in plan.ops if op.code in (OpCode.ACTIVATION, OpCode.ACTIVATION_BACKWARD))
    written, read = op.need(op.signature.aliases[0][0]), op.need(op.signature.aliases[0][1])
    assert written.slot == Slot.LOCAL
    assert read.slot >= Slot.EXTERNAL
