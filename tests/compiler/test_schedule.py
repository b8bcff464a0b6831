"""Scheduling: the order of the ops, and their cut into tiles by sizes alone."""

from __future__ import annotations

import inspect
import random

import pytest

from fastnn import Input, Sequential, layers, losses, optimizers
from fastnn.compiler import schedule
from fastnn.compiler.lowering import lower
from fastnn.compiler.pipeline import compile_plan
from fastnn.compiler.plan import ROWS, Axis, Op, OpCode, Plan, Slot

ADAM, SGD = optimizers.Adam(), optimizers.SGD()


def plan_of(
    widths: list[int],
    capacity: int,
    purpose: str = "train",
    optimizer: optimizers.Optimizer = SGD,
    loss: losses.Loss | None = None,
) -> Plan:
    hidden = [layers.Dense(units, "relu") for units in widths[1:-1]]
    graph = Sequential([Input((widths[0],)), *hidden, layers.Dense(widths[-1])], seed=0).graph
    loss = loss or losses.MeanSquaredError()
    return compile_plan(graph, purpose, capacity=capacity, losses=(loss,), optimizer=optimizer)


def random_plans(n: int) -> list[Plan]:
    choose = random.Random(11)
    return [
        plan_of(
            [choose.choice([1, 3, 16, 100, 500, 1000]) for _ in range(choose.randint(2, 5))],
            choose.choice([1, 2, 63, 64, 65, 200, 257, 1000, 5000]),
            choose.choice(["train", "gradients"]),
            choose.choice([SGD, ADAM]),
        )
        for _ in range(n)
    ]


def make_tiles_small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in vars(schedule):
        if name.startswith(("MINIMUM_", "PREFERRED_")):
            monkeypatch.setattr(schedule, name, 1)


def batch_end(plan: Plan) -> int:
    """Return the number of ops before those along parameters."""
    return min(task.first for task in plan.phases[-1].tasks)


def test_the_batch_comes_first_and_parameters_in_one_phase_at_the_end() -> None:
    for plan in random_plans(40):
        *batch, parameters = plan.phases
        assert parameters.axis is Axis.PARAMETER
        assert {phase.axis for phase in batch} <= {Axis.ROWS, Axis.FEATURES}
        end = batch_end(plan)
        assert [op.signature.axis for op in plan.ops] == [Axis.ROWS] * end + [Axis.PARAMETER] * (
            len(plan.ops) - end
        )
    small = plan_of([3, 8, 2], 64)
    assert [phase.axis for phase in small.phases] == [Axis.ROWS, Axis.PARAMETER]
    assert [phase.axis for phase in plan_of([3, 2], 0, "predict").phases] == [Axis.ROWS]


def test_tiles_that_copy_much_are_high() -> None:
    """512 rows where each tile copies a large kernel, or what a large kernel's tiles share; else fewer."""
    large, small = plan_of([1000, 1000, 10], 4096), plan_of([100, 1000, 10], 4096)
    assert [phase.tile_rows for phase in large.phases if phase.axis is Axis.ROWS] == [512]
    assert [phase.tile_rows for phase in small.phases if phase.axis is Axis.ROWS] == [256]

    def heights(plan: Plan, layer: str) -> set[int]:
        tasks = plan.phases[-1].tasks
        return {task.end - task.begin for task in tasks if plan.ops[task.first].layer == layer}

    wide, few = plan_of([2048, 1024, 1024], 257), plan_of([2048, 1024, 1024], 256)
    assert heights(wide, "dense/kernel") == {512}
    assert heights(wide, "dense_1/kernel") == heights(few, "dense/kernel") == {256}


def test_products_with_large_kernels_are_cut_along_features() -> None:
    plan = plan_of([784, 500, 10], 200)
    assert [phase.axis for phase in plan.phases] == [
        Axis.FEATURES,
        Axis.ROWS,
        Axis.PARAMETER,
    ]
    cut = plan.phases[0]
    assert [plan.ops[task.first].layer for task in cut.tasks] == ["dense"] * len(cut.tasks)
    assert [(task.begin, task.end) for task in cut.tasks] == [(0, 256), (256, 500)]
    wide = plan_of([2048, 2048, 16], 1)
    assert sum(phase.axis is Axis.FEATURES for phase in wide.phases) == 1  # nobody wants the input's gradient
    deep = plan_of([1024, 1024, 1024, 1], 64)
    assert sum(phase.axis is Axis.FEATURES for phase in deep.phases) == 3


def test_nothing_else_is_cut_along_features() -> None:
    few = plan_of([100, 100, 100], 64)  # a small kernel
    many = plan_of([1000, 1000, 10], 10 * schedule.MOST_ROWS)  # rows enough for tiles of their own
    predictions = plan_of([1000, 1000, 10], 0, "predict")
    for plan in (few, many, predictions):
        assert all(phase.axis is not Axis.FEATURES for phase in plan.phases)
    graph = Sequential([Input((1000,)), layers.Dense(1000, "softmax"), layers.Dense(1000)], seed=0).graph
    mse = (losses.MeanSquaredError(),)
    softmax = compile_plan(graph, "train", capacity=64, losses=mse, optimizer=SGD)
    cut = {
        softmax.ops[task.first].layer
        for phase in softmax.phases
        if phase.axis is Axis.FEATURES
        for task in phase.tasks
    }
    assert cut == {"dense_1"}  # a softmax needs its rows whole


def test_parts_of_features_cover_them_in_whole_blocks() -> None:
    seen = 0
    for plan in random_plans(80):
        for phase in plan.phases:
            if phase.axis is not Axis.FEATURES:
                continue
            seen += 1
            edges = sorted((task.begin, task.end) for task in phase.tasks)
            (width,) = {next(plan.ops[task.first].outputs()).columns for task in phase.tasks}
            assert [i for begin, end in edges for i in range(begin, end)] == list(range(width))
            assert 2 <= len(edges) <= schedule.MAXIMUM_TILES
            assert all(begin % schedule.BLOCK_COLUMNS == 0 for begin, _ in edges)
    assert seen > 20


def test_ops_keep_their_order_along_rows_and_within_a_parameter() -> None:
    graph = Sequential(
        [Input((4,)), layers.Dense(3, "tanh", kernel_regularizer="l2"), layers.Dense(2, "softmax")], seed=0
    ).graph
    lowered = lower(graph, "train", (losses.CategoricalCrossentropy(),), optimizer=ADAM, fused=False).ops
    ops, _ = schedule.schedule(lowered, 50)
    assert sorted(map(repr, ops)) == sorted(map(repr, lowered))
    by_rows = [op for op in lowered if op.signature.axis is Axis.ROWS]
    assert list(ops[: len(by_rows)]) == by_rows
    for name in {op.layer for op in lowered if op.signature.axis is Axis.PARAMETER}:
        group = [op for op in lowered if op.layer == name]
        begin = ops.index(group[0])
        assert list(ops[begin : begin + len(group)]) == group


def covered(plan: Plan) -> None:
    """Check that every row of every parameter that an op runs along lies in one tile of it."""
    spans = {(task.first, task.last) for task in plan.phases[-1].tasks}
    assert sorted(i for first, last in spans for i in range(first, last)) == list(
        range(batch_end(plan), len(plan.ops))
    )
    for first, last in spans:
        tiles = sorted((t.begin, t.end) for t in plan.phases[-1].tasks if (t.first, t.last) == (first, last))
        operand = plan.ops[first].operands[0]
        assert operand is not None
        assert [i for begin, end in tiles for i in range(begin, end)] == list(range(operand.rows))


@pytest.mark.parametrize("small", [False, True])
def test_tiles_cover_every_parameter_once(small: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if small:
        make_tiles_small(monkeypatch)
    for plan in random_plans(40):
        covered(plan)


def products(plan: Plan) -> dict[str, int]:
    """Return the number of tiles of each parameter that a product of matrices runs along."""
    return {
        plan.ops[task.first].layer: sum((t.first, t.last) == (task.first, task.last) for t in tasks)
        for tasks in [plan.phases[-1].tasks]
        for task in tasks
        if any(
            op.code in (OpCode.SGD_DENSE, OpCode.WEIGHT_GRADIENT) for op in plan.ops[task.first : task.last]
        )
    }


def test_tiles_are_never_too_small_nor_too_many() -> None:
    for plan in random_plans(80):
        for phase in plan.phases:
            if phase.axis is Axis.ROWS:
                row_tiles = -(-plan.capacity // phase.tile_rows)
                assert 1 <= row_tiles <= schedule.MAXIMUM_TILES
                if row_tiles > 1:
                    assert phase.tile_rows >= schedule.MINIMUM_ROWS
        for name, tiles in products(plan).items():
            assert 1 <= tiles <= schedule.MAXIMUM_TILES
            heights = [t.end - t.begin for t in plan.phases[-1].tasks if plan.ops[t.first].layer == name]
            if tiles > 1:
                assert max(heights) >= schedule.MINIMUM_PARAMETER_ROWS
            if not halved(plan, name):
                assert max(heights) - min(heights) < tiles


def test_only_products_are_cut_and_only_when_there_is_much_to_do() -> None:
    tiny = plan_of([4, 20, 2], 64)
    assert tiny.phases[0].tile_rows == 64
    assert set(products(tiny).values()) == {1}
    large = plan_of([2048, 2048, 16], 1024)
    assert large.phases[0].tile_rows < 1024
    assert products(large)["dense/kernel"] > 1
    biases = [t for t in large.phases[-1].tasks if large.ops[t.first].code is OpCode.SGD_BIAS]
    assert len(biases) == 2
    assert all((t.begin, t.end) == (0, 1) for t in biases)


def test_small_minimums_give_many_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    make_tiles_small(monkeypatch)
    plan = plan_of([40, 30, 2], 256)
    assert -(-256 // plan.phases[0].tile_rows) == schedule.MAXIMUM_TILES
    assert products(plan)["dense/kernel"] > 4


def halved(plan: Plan, parameter: str) -> bool:
    """Return whether threads are set out of step by half a tile of a parameter at the beginning."""
    first, *_, last = plan.phases[-1].tasks
    apart = (first.first, first.last) == (last.first, last.last) and first.end == last.begin
    return apart and plan.ops[first.first].layer == parameter


def test_half_a_tile_sets_threads_out_of_step_where_they_wait_for_memory() -> None:
    wide = plan_of([1024, 1024, 16], 64, optimizer=ADAM)
    assert halved(wide, "dense/kernel")
    heights = [t.end - t.begin for t in wide.phases[-1].tasks if wide.ops[t.first].layer == "dense/kernel"]
    assert heights == [128, 256, 256, 256, 128]
    for other in (
        plan_of([1024, 1024, 16], 64),  # plain SGD updates as it multiplies
        plan_of([512, 512, 16], 64, optimizer=ADAM),  # two tiles
        plan_of([30, 20, 4], 64, optimizer=ADAM),
        plan_of([1024, 1024, 16], 2 * schedule.MOST_ROWS, optimizer=ADAM),
    ):
        assert not any(halved(other, name) for name in products(other))


def test_long_tasks_come_first() -> None:
    seen = 0
    for plan in (*random_plans(40), plan_of([1024, 1024, 16], 64, optimizer=ADAM)):
        costs = [schedule._task_flops(t, list(plan.ops), plan.capacity) for t in plan.phases[-1].tasks]
        half = halved(plan, plan.ops[plan.phases[-1].tasks[0].first].layer)
        seen += half
        rest = costs[1:-1] if half else costs
        assert rest == sorted(rest, reverse=True)
        assert not half or costs[0] <= rest[0] < 2.5 * costs[0]
        total = sum(op.flops(plan.capacity) for op in plan.ops[batch_end(plan) :])
        assert sum(costs) == pytest.approx(total)
    assert seen


@pytest.mark.parametrize("purpose", ["predict", "evaluate", "input_gradients"])
def test_without_capacity_a_tiles_buffers_fit_the_cache(purpose: str) -> None:
    wide = [1024, 2048, 2048, 1000]
    for widths in ([3, 2], [10, 64, 64, 2], [784, 500, 10], wide, [5000, 1], [40_000, 10, 1]):
        plan = plan_of(widths, 0, purpose)
        assert plan.capacity == 0
        tile = plan.phases[0].tile_rows
        assert schedule.MINIMUM_ROWS <= tile <= 1024
        assert all(o is None or o.slot != Slot.WORKSPACE for op in plan.ops for o in op.operands)
        if tile > schedule.COPYING_ROWS:
            assert plan.sizes[Slot.LOCAL] <= schedule.CACHE_ELEMENTS
        elif tile > schedule.MINIMUM_ROWS:
            assert plan.sizes[Slot.LOCAL] <= schedule.MAXIMUM_ELEMENTS
        assert (tile == schedule.COPYING_ROWS) == (widths in ([784, 500, 10], wide, [5000, 1]))
        assert tile % 16 == 0


def test_a_plan_for_one_row_has_one_tile() -> None:
    plan = plan_of([78, 50, 10], 1)
    assert plan.phases[0].tile_rows == 1


def test_what_is_read_whole_was_written_in_an_earlier_phase() -> None:
    def whole(op: Op, first_phase: set[str]) -> None:
        for name in ("x", "dy"):
            if name in op.signature.names:
                operand = op.need(name)
                assert operand.rows == ROWS
                assert operand.slot >= Slot.EXTERNAL or operand.name in first_phase

    for plan in random_plans(40):
        end = batch_end(plan)
        written = {o.name for op in plan.ops[:end] for o in op.outputs()}
        for op in plan.ops[end:]:
            whole(op, written)


def test_nothing_asks_for_a_number_of_threads() -> None:
    assert list(inspect.signature(schedule.schedule).parameters) == ["ops", "capacity", "multiple"]
