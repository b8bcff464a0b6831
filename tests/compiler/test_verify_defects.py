"""Verification as a proof: what would crash the executor, or run as something else, is refused by name.

All defects here but one once passed, or were met by an exception that is none of ours; `test_verify.py` has
others.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from loaded import load

from fastnn import Input, Model, Sequential, layers, losses, metrics, optimizers
from fastnn.compiler.pipeline import compile_plan
from fastnn.compiler.plan import (
    MOST_EXTERNALS,
    ROWS,
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

helpers, mutants = load("compiler", "test_verify.py"), load("stress", "plan_mutants.py")
find, with_op, with_operand = helpers.find, helpers.with_op, helpers.with_operand
renamed, with_phase, tasks_of = helpers.renamed, helpers.with_phase, helpers.tasks_of
operand = helpers.operand
renumbered = mutants.renumbered
MSE = losses.MeanSquaredError()


def trained(*chained: layers.Layer, inputs: int = 5, **options: Any) -> Plan:
    given: dict[str, Any] = {"capacity": 8, "losses": (MSE,), "optimizer": optimizers.SGD()} | options
    return compile_plan(Sequential([Input((inputs,)), *chained], seed=0).graph, "train", **given)


def gates(purpose: str = "train") -> Plan:
    """Return a plan with two inputs side by side, and two losses."""
    x, z = Input((4,), name="x"), Input((4,), name="z")
    h = layers.Concatenate()([layers.Dense(2, "log")(x), layers.Dense(3)(z)])
    outputs = [layers.Dense(3, name="scores")(h), layers.Dense(1, name="size")(layers.Maxout(2)(h))]
    return compile_plan(
        Model([x, z], outputs, seed=0).graph,
        purpose,
        capacity=6 if purpose == "train" else 0,
        losses=(losses.MulticlassHinge(), MSE),
        metrics=((metrics.SparseCategoricalAccuracy(),), ()),
        optimizer=optimizers.SGD(),
    )


P = helpers.good()  # gathers, weights, Adam
T = trained(layers.Dense(7, "relu"), layers.Dense(3))
EVALUATE, PREDICT, GATES = helpers.good("evaluate"), helpers.good("predict"), gates()
ABSOLUTE = trained(layers.Dense(3), losses=(losses.MeanAbsoluteError(),))
COSINE = trained(layers.Dense(3), losses=(losses.CosineSimilarity(),))
COLUMNS = trained(
    layers.Dense(2, "tanh"), layers.Dense(1, "tanh"), inputs=2, capacity=33, optimizer=optimizers.Adam()
)
ALONG_ROWS = replace(
    EVALUATE, phases=EVALUATE.phases[:1], ops=EVALUATE.ops[: EVALUATE.phases[0].tasks[0].last]
)
ONE = compile_plan(Sequential([Input((5,)), layers.Dense(3)], seed=0).graph, "predict")
PLAIN = compile_plan(  # bias and activation are ops of their own
    Sequential([Input((5,)), layers.Dense(3, "relu")], seed=0).graph, "evaluate", losses=(MSE,), fused=False
)
DENSE, LOSS, ADAM, L2 = OpCode.DENSE, OpCode.SOFTMAX_CROSSENTROPY, OpCode.ADAM, OpCode.L2_PENALTY
X = Slot.EXTERNAL + 0


def last(plan: Plan, code: OpCode) -> int:
    return max(index for index, op in enumerate(plan.ops) if op.code is code)


def roomy(plan: Plan) -> Plan:
    """Return the plan with larger slots."""
    return replace(plan, sizes=tuple(size + 9999 for size in plan.sizes))


def kernel_and_bias_in_one_task() -> Plan:
    groups = sorted({(t.first, t.last) for t in P.phases[1].tasks})
    (first, _), (_, end), *others = groups
    tasks = [Task(first, end, 0, 5), *(t for t in P.phases[1].tasks if (t.first, t.last) in others)]
    return roomy(with_phase(P, 1, tasks=tuple(tasks)))


def one_parameter_in_two_tasks() -> Plan:
    """The second bias's gradient updates the first bias, while that is updated."""
    plan = trained(layers.Dense(3, "relu"), layers.Dense(3), optimizer=optimizers.Adam())
    biases = [i for i, op in enumerate(plan.ops) if op.code is ADAM and op.need("w").rows == 1]
    (*place, _), (*_, gradient) = (plan.ops[index].operands for index in biases)
    return with_op(plan, biases[1], operands=(*place, gradient))


def updated_twice() -> Plan:
    """A second update of a bias follows the first one in its task."""
    index = last(T, OpCode.SGD_BIAS)
    ops = (*T.ops[: index + 1], T.ops[index], *T.ops[index + 1 :])
    return replace(T, ops=ops, phases=renumbered(T, index, 1))


def second_phase_along_rows() -> Plan:
    """Two nets side by side, one after the other, the second in tiles of one row."""
    x, z = Input((4,), name="x"), Input((4,), name="z")
    graph = Model([x, z], [layers.Dense(2, name="a")(x), layers.Dense(2, name="b")(z)], seed=0).graph
    plan = compile_plan(graph, "evaluate", losses=(MSE, MSE))
    first, second, *others = plan.ops
    ops, (rows,) = (first, others[0], second, others[1]), plan.phases
    return replace(
        plan, ops=ops, phases=(replace(rows, tasks=(Task(0, 2),)), Phase(Axis.ROWS, (Task(2, 4),), 1))
    )


def gathered_from_the_workspace() -> Plan:
    index = last(P, OpCode.GATHER) - 1  # of the targets; the last one is of weights
    assert P.ops[index].layer == "y"
    return with_op(P, index, operands=(P.ops[index].operands[0], operand(P, LOSS, "x")))


def labels_of_the_net() -> Plan:
    """Labels are the outputs of the first layer, which are numbers of any kind."""
    loss = losses.SparseCategoricalCrossentropy()
    plan = trained(layers.Dense(1), layers.Dense(3, "softmax"), losses=(loss,))
    return with_operand(plan, LOSS, "t", **fields_of(operand(plan, DENSE, "y")))


def labels_of_two_sizes() -> Plan:
    index = last(GATES, OpCode.DENSE)
    assert GATES.ops[index].layer == "size"
    metric = find(GATES, OpCode.CATEGORICAL_ACCURACY)
    return with_op(
        GATES, metric, operands=(operand(GATES, OpCode.SQUARED_ERROR, "y"), *GATES.ops[metric].operands[1:])
    )


def fields_of(given: Operand) -> dict[str, Any]:
    return {name: getattr(given, name) for name in ("name", "slot", "rows", "columns", "offset")}


def two_results_in_one_array() -> Plan:
    """Probabilities and gradients of a loss go to the same array of the caller."""
    graph, loss = (
        Sequential([Input((5,)), layers.Dense(3, "softmax")], seed=0).graph,
        losses.CategoricalCrossentropy(),
    )
    plan = with_more(compile_plan(graph, "evaluate", losses=(loss,)), 3, written=True)
    op, result = plan.ops[find(plan, LOSS)], Operand("more", X + len(plan.externals) - 1, ROWS, 3, 0)
    return with_op(plan, find(plan, LOSS), operands=(result, result, *op.operands[2:]))


def gradient_in_an_array_of_the_caller() -> Plan:
    """A loss writes the gradient, up to whole vectors of rows, where the caller has none."""
    end = find(COLUMNS, OpCode.SQUARED_ERROR) + 1
    plan = with_more(replace(COLUMNS, ops=COLUMNS.ops[:end], phases=COLUMNS.phases[:1]), 1, written=True)
    plan = tasks_of(plan, 0, lambda task: [replace(task, last=end)])
    return with_operand(
        plan, OpCode.SQUARED_ERROR, "dy", name="more", slot=X + len(plan.externals) - 1, offset=0
    )


def with_more(plan: Plan, columns: Any, written: Any = False) -> Plan:
    """Return the plan with another array of the caller."""
    return replace(plan, externals=(*plan.externals, External("more", columns, written)))


def two_heights_of_columns() -> Plan:
    rows, *others = COLUMNS.phases
    middle = rows.tasks[0].last - 1
    first = replace(rows, tasks=(replace(rows.tasks[0], last=middle),), tile_rows=16)
    second = replace(rows, tasks=(replace(rows.tasks[0], first=middle),), tile_rows=32)
    return replace(COLUMNS, phases=(first, second, *others))


def transposed_and_gathered() -> Plan:
    plan = trained(layers.Dense(2), inputs=2, capacity=33, gather=True)
    return with_op(plan, last(plan, OpCode.GATHER), code=OpCode.TRANSPOSE)


def features_of_any_rows() -> Plan:
    """The first layer of a plan without capacity is cut along features."""
    return replace(ONE, phases=(Phase(Axis.FEATURES, (Task(0, 1, 0, 3),)),))


def weights_of_any_rows() -> Plan:
    """A sum over a batch without end: gradients by arrays of the caller."""
    graph = Sequential([Input((5,)), layers.Dense(3)], seed=0).graph
    plan = compile_plan(graph, "backward", capacity=8)
    assert plan.ops[0].code is DENSE  # whose result nothing reads
    phases = [
        replace(
            phase, tasks=tuple(replace(t, first=max(t.first - 1, 0), last=t.last - 1) for t in phase.tasks)
        )
        for phase in plan.phases
    ]
    return replace(plan, ops=plan.ops[1:], phases=tuple(phases), capacity=0)


def no_rows_first() -> Plan:
    index = find(EVALUATE, L2)
    tasks = EVALUATE.phases[1].tasks
    moved = tuple(replace(task, first=task.first - index, last=task.last - index) for task in tasks)
    return replace(EVALUATE, ops=EVALUATE.ops[index:], phases=(replace(EVALUATE.phases[1], tasks=moved),))


def with_accumulator(plan: Plan, **changes: Any) -> Plan:
    return replace(plan, accumulators=(replace(plan.accumulators[0], **changes), *plan.accumulators[1:]))


def with_buckets(buckets: float, width: int) -> Plan:
    plan = trained(layers.Dense(1, "sigmoid"), metrics=((metrics.Recall(),),))
    first, second = plan.accumulators
    plan = replace(plan, accumulators=(first, replace(second, width=width)))
    found = find(plan, OpCode.THRESHOLD_COUNTS)
    return with_op(plan, found, constants=(buckets, *plan.ops[found].constants[1:]))


def with_constant(place: int, value: float) -> Plan:
    plan = trained(layers.Dense(1, "sigmoid"), metrics=((metrics.Recall(),),))
    found = find(plan, OpCode.THRESHOLD_COUNTS)
    constants = [*plan.ops[found].constants]
    constants[place] = value
    return with_op(plan, found, constants=tuple(constants))


def with_metric_per(per: str) -> Plan:
    plan = trained(layers.Dense(1, "sigmoid"), metrics=((metrics.BinaryAccuracy(),),))
    first, second = plan.accumulators
    return replace(plan, accumulators=(first, replace(second, per=per)))


def one_sum(plan: Plan, code: OpCode) -> Plan:
    return with_op(plan, find(plan, code), accumulator=0)


def columns_of_any_rows() -> Plan:
    """An input is turned around in memory of a tile."""
    x, turned = operand(ONE, DENSE, "x"), Operand("turned", Slot.LOCAL, ROWS, 5, 0)
    op = Op(OpCode.TRANSPOSE, "x", (turned, x), path=Path.COLUMNS)
    return replace(roomy(ONE), ops=(op,), externals=ONE.externals[:1], purpose="evaluate")


def columns_turned_around() -> Plan:
    """What was turned around once is turned around again, as if it were rows."""
    first = COLUMNS.ops[0]
    (columns, _), place = first.operands, COLUMNS.sizes[Slot.WORKSPACE]
    second = replace(first, operands=(replace(columns, name="more", offset=place), columns))
    ops = (first, second, *COLUMNS.ops[1:])
    return replace(roomy(COLUMNS), ops=ops, phases=renumbered(COLUMNS, 0, 1))


def columns_of_a_sum() -> Plan:
    """A sum works along rows."""
    index = find(COLUMNS, OpCode.ACTIVATION_BACKWARD)
    return with_op(COLUMNS, index, code=OpCode.ADD, activation=Activation.LINEAR, constants=(1.0, 1.0))


def swapped_sums(plan: Plan) -> Plan:
    """The loss adds to the metric's sum, which may be anything."""
    plan = with_op(plan, find(plan, OpCode.CATEGORICAL_ACCURACY), accumulator=0)
    return with_op(plan, find(plan, LOSS), accumulator=1)


SLICE = OpCode.SLICE
DEFECTS: dict[str, tuple[Callable[[], Plan], str]] = {
    # Rows: of the batch, or of a parameter.
    "whole batch with rows of its own": (
        lambda: with_operand(T, OpCode.SGD_DENSE, "x", name="other", rows=80, slot=X, columns=5, offset=0),
        "operand 'x' has 80 rows, needs one for each row of the batch",
    ),
    "parameter with the rows of the batch": (
        lambda: renamed(PLAIN, "dense/bias", rows=ROWS, offset=PLAIN.sizes[0]),
        r"op 1 \(ADD_BIAS of 'dense'\), operand 'b' has the rows of the batch, needs a number",
    ),
    "array of the caller for a parameter": (
        lambda: with_operand(
            with_more(EVALUATE, 7), L2, "w", name="more", slot=X + len(EVALUATE.externals), offset=0
        ),
        r"L2_PENALTY of .*operand 'w' lies in slot more, where 'more' may not be",
    ),
    "parameter for state": (
        lambda: with_operand(roomy(P), ADAM, "m", name="more", slot=Slot.PARAMETERS, offset=P.sizes[0]),
        "operand 'm' lies in slot parameters, where 'more' may not be",
    ),
    # Codes that the core does not know, or takes for others.
    "code": (lambda: with_op(P, 1, code=99), r"op 1 \(of 'dense'\) has the code 99, which does not exist"),
    "number for a code": (lambda: with_op(P, 1, code=3), "has the code 3, which does not exist"),
    "no code": (lambda: with_op(P, 1, code=None), "has the code None, which does not exist"),
    "path": (lambda: with_op(P, 1, path=9), r"op 1 \(DENSE of 'dense'\) has the path 9, which does not"),
    "path of others": (
        lambda: with_op(P, 5, path=Path.DIRECT),
        r"op 5 \(SOFTMAX_CROSSENTROPY of 'categorical_crossentropy'\) has no kernel for direct",
    ),
    "path of few outputs": (
        lambda: with_op(P, find(P, DENSE), path=Path.FEW_OUTPUTS),
        r"\(DENSE of 'dense'\) has no kernel for \d+ inputs and \d+ outputs",
    ),
    "number for a path": (lambda: with_op(P, 1, path=2), "has the path 2, which does not exist"),
    "number for an activation": (lambda: with_op(P, 1, activation=4), "has the activation 4, which does not"),
    "activation of an update": (
        lambda: with_op(P, find(P, ADAM), activation=Activation.RELU),
        r"ADAM of .* RELU, and takes none",
    ),
    "activation without its number": (
        lambda: with_op(P, find(P, OpCode.DENSE_BACKWARD), activation=Activation.ELU),
        r"has constants \(\), needs \('alpha',\)",
    ),
    "number without an activation": (
        lambda: with_op(P, find(P, DENSE), activation=Activation.LINEAR, constants=(0.5,)),
        r"has constants \(0.5,\), needs \(\)",
    ),
    "derivative of nothing": (
        lambda: with_operand(P, OpCode.DENSE_BACKWARD, "y"),
        "the activation RELU, and lacks its operand 'y'",
    ),
    "turned around among rows": (
        lambda: with_op(P, find(P, OpCode.GATHER), code=OpCode.TRANSPOSE),
        r"\(TRANSPOSE of .*\) has no kernel for blas",
    ),
    # Sums.
    "accumulator -2": (lambda: with_op(P, 1, accumulator=-2), r"DENSE of 'dense'\) adds to accumulator -2"),
    "accumulator 0.0": (lambda: with_op(P, find(P, LOSS), accumulator=0.0), "adds to accumulator 0.0"),
    "two losses for one sum": (
        lambda: replace(
            one_sum(one_sum(GATES, OpCode.SQUARED_ERROR), OpCode.CATEGORICAL_ACCURACY),
            accumulators=GATES.accumulators[:1],
        ),
        r"losses add to the accumulators \[0, 0\], need the first ones",
    ),
    "loss behind a metric": (
        lambda: swapped_sums(P),
        r"losses add to the accumulators \[1\], need the first",
    ),
    "sums of a prediction": (
        lambda: replace(ALONG_ROWS, purpose="predict"),
        "a plan for 'predict' has a capacity, several phases or accumulators",
    ),
    "second phase without capacity": (second_phase_along_rows, "has a second phase along the batch"),
    # Constants that become places in memory.
    "columns from nowhere": (
        lambda: with_op(GATES, find(GATES, SLICE), constants=(math.nan,)),
        "finite numbers",
    ),
    "columns from infinity": (
        lambda: with_op(GATES, find(GATES, SLICE), constants=(-math.inf,)),
        "finite numbers",
    ),
    "columns from between": (
        lambda: with_op(GATES, find(GATES, SLICE), constants=(0.5,)),
        "from number 0.5 on",
    ),
    "function": (
        lambda: with_op(ABSOLUTE, find(ABSOLUTE, OpCode.POINTWISE_LOSS), constants=(1.0, 1.0, 99.0, 3.0)),
        "has the function 99.0, which does not exist",
    ),
    "half a function": (
        lambda: with_op(ABSOLUTE, find(ABSOLUTE, OpCode.POINTWISE_LOSS), constants=(1.0, 1.0, 0.5, 3.0)),
        "has the function 0.5, which does not exist",
    ),
    "parameter 0": (
        lambda: with_op(ABSOLUTE, find(ABSOLUTE, OpCode.POINTWISE_LOSS), constants=(1.0, 1.0, 1.0, 3.0, 0.0)),
        r"has the arguments \(0.0,\), which its function does not take",
    ),
    "parameter of none": (
        lambda: with_op(ABSOLUTE, find(ABSOLUTE, OpCode.POINTWISE_LOSS), constants=(1.0, 1.0, 0.0, 3.0, 2.0)),
        r"has the arguments \(2.0,\), which its function does not take",
    ),
    "divisor": (
        lambda: with_op(ABSOLUTE, find(ABSOLUTE, OpCode.POINTWISE_LOSS), constants=(1.0, 1.0, 0.0, 2.0)),
        "divides by 2.0, which its function does not",
    ),
    "too many constants": (
        lambda: with_op(
            ABSOLUTE, find(ABSOLUTE, OpCode.POINTWISE_LOSS), constants=(1.0, 1.0, 0.0, *[3.0] * 14)
        ),
        "has constants",
    ),
    "row-wise function": (
        lambda: with_op(COSINE, find(COSINE, OpCode.ROWWISE_LOSS), constants=(1.0, 1.0, 7.0)),
        "has the function 7.0, which does not exist",
    ),
    "two heads": (
        lambda: with_op(COSINE, find(COSINE, OpCode.ROWWISE_LOSS), constants=(1.0, 1.0, 3.0, 0.0, 0.0)),
        "operands of widths 6 and 3 that must agree",
    ),
    "constant None": (lambda: with_op(P, find(P, LOSS), constants=(1.0, 1.0, None)), "needs finite numbers"),
    "constant beyond": (
        lambda: with_op(P, find(P, ADAM), constants=(10**400, 0.9, 0.9, 1e-7)),
        "needs finite",
    ),
    "slope that is no number": (
        lambda: with_op(P, find(P, DENSE), activation=Activation.LEAKY_RELU, constants=("x",)),
        r"has constants \('x',\), needs finite numbers",
    ),
    "labels of the net": (labels_of_the_net, "takes labels below 3, but 'dense.*/y' holds real numbers"),
    "labels of two sizes": (labels_of_two_sizes, "takes labels below 1, but '.*' holds labels below 3"),
    "no pieces": (lambda: with_operand(GATES, OpCode.MAXOUT, "y", columns=0), "no BLAS integer holds that"),
    # Tiles and tasks.
    "kernel and bias in one task": (
        kernel_and_bias_in_one_task,
        r"\(BIAS_GRADIENT of 'dense.*/bias'\), operand 'db' has 1 rows, cut into \[\(0, 5\)\]",
    ),
    "higher than the batch": (
        lambda: roomy(with_phase(P, 0, tile_rows=9)),
        "tiles of 9 rows are higher than a",
    ),
    "endless tiles": (
        lambda: with_phase(ONE, 0, tile_rows=2**31),
        "tiles of 2147483648 rows are higher than",
    ),
    "tiles of 1.5 rows": (lambda: with_phase(P, 0, tile_rows=1.5), "tiles of 1.5 rows, needs an integer"),
    "rows of parameters": (lambda: with_phase(P, 1, tile_rows=4), "PARAMETER has tiles of 4 rows, needs 0"),
    "empty task": (
        lambda: with_phase(P, 1, tasks=(*P.phases[1].tasks, Task(len(P.ops), len(P.ops), 0, 1))),
        "which has no op",
    ),
    "empty tile": (
        lambda: tasks_of(P, 1, lambda t: [t, replace(t, begin=t.end)] if t.end > 1 else [t]),
        "cover it once",
    ),
    "tile of a phase along rows": (lambda: tasks_of(P, 0, lambda t: [replace(t, end=9)]), "needs none"),
    "phase without tasks": (
        lambda: replace(P, phases=(*P.phases, Phase(Axis.PARAMETER, ()))),
        "phase 2 has the",
    ),
    "beyond the last op": (
        lambda: tasks_of(EVALUATE, 1, lambda t: [replace(t, last=t.last + 1)]),
        r"phases end at op \d+ of \d+",
    ),
    "no ops": (lambda: replace(P, ops=(), phases=()), "there are no ops"),
    "two tasks change one parameter": (
        one_parameter_in_two_tasks,
        "a task with op .* writes at the same time",
    ),
    "changed twice": (updated_twice, r"SGD_BIAS of .* changes 'dense.*/bias' a second time"),
    "changed outside of training": (
        lambda: replace(T, purpose="gradients"),
        "changes '.*' in a plan for 'gradi",
    ),
    # Slots.
    "four sizes": (lambda: replace(P, sizes=P.sizes[:4]), "there are 4 sizes of 5 slots"),
    "negative size": (
        lambda: replace(P, sizes=(*P.sizes[:1], -5, *P.sizes[2:])),
        "gradients has -5 elements",
    ),
    "no memory is so large": (
        lambda: replace(P, sizes=(*P.sizes[:4], 2**60)),
        "slot local has 1152921504606846976",
    ),
    "two results in one array": (two_results_in_one_array, "'more' and 'more' overlap"),
    "124 arrays": (
        lambda: replace(
            P, externals=(*P.externals, *(External(f"more {n}", 1) for n in range(MOST_EXTERNALS)))
        ),
        "there are 126 arrays of the caller, the most is 123",
    ),
    "array without columns": (lambda: with_more(P, None), "external array 'more' has None columns"),
    "array that nothing writes": (
        lambda: with_more(P, 1, written=True),
        "nothing writes the external array 'more'",
    ),
    "array without a name": (
        lambda: replace(P, externals=(replace(P.externals[0], name=[]), *P.externals[1:])),
        "need to be strings",
    ),
    "array that may be written": (lambda: with_more(P, 1, None), "external array 'more' is None, written or"),
    "sum without a name": (lambda: with_accumulator(P, name=None), "need to be strings"),
    "sums of none": (lambda: with_accumulator(P, width=0), "has 0 sums, needs 1 to"),
    "sums without end": (lambda: with_accumulator(P, width=10**9), "has 1000000000 sums, needs 1 to"),
    "sums of half": (lambda: with_accumulator(P, width=1.5), "has 1.5 sums"),
    "more sums than the op adds": (lambda: with_accumulator(P, width=2), "adds 1 sums to 2"),
    "buckets of half a number": (lambda: with_buckets(1.5, 3), "has 1.5 buckets, needs 1 to"),
    "no buckets": (lambda: with_buckets(0.0, 1), "has 0.0 buckets, needs 1 to"),
    "buckets without end": (lambda: with_buckets(1e300, 2), "has 1e\\+300 buckets, needs 1 to"),
    "a list without thresholds": (lambda: with_constant(2, 0.0), "and a scale or a list"),
    "a column before all": (lambda: with_constant(4, -3.0), "counts column -3.0"),
    "no sum of kept weights": (
        lambda: with_metric_per("kept"),
        "the sum of kept weights, which is not there",
    ),
    "a column that is not there": (lambda: with_constant(4, 1.0), "counts column 1.0"),
    "half a column": (lambda: with_constant(4, 0.5), "counts column 0.5"),
    "fewer than none": (lambda: with_constant(5, -1.0), "the largest -1.0, of 1"),
    "more buckets than sums": (lambda: with_buckets(3.0, 4), "adds 6 sums to 4"),
    "sum over what": (lambda: with_accumulator(P, per="columns"), "divided by 'columns', needs one of rows"),
    "sum over nobody's weights": (
        lambda: with_accumulator(P, per="weights"),
        "the sum of the weights, which is not there",
    ),
    "sum of what": (lambda: with_accumulator(P, times_rows=None, share="1"), "times_rows=None and share='1'"),
    # Rows that are looked up.
    "transposed and gathered": (transposed_and_gathered, r"reads 'y' as it lies, while rows of others are"),
    "gathered from the workspace": (
        gathered_from_the_workspace,
        r"operand 'x' lies in slot workspace, where",
    ),
    "predictions into the input": (
        lambda: replace(
            PREDICT,
            externals=tuple(
                replace(e, name=name) for e, name in zip(PREDICT.externals, ("output", "x"), strict=True)
            ),
        ),
        "writes 'x' or reads 'output'",
    ),
    "gathered predictions": (
        lambda: compile_plan(
            Sequential([Input((2,)), layers.Dense(1)], seed=0).graph, "predict", gather=True
        ),
        "gathers rows, and has no permutation",
    ),
    # Capacity.
    "capacity None": (lambda: replace(P, capacity=None), "the capacity is None"),
    "capacity of 2**31": (lambda: replace(PREDICT, capacity=2**31), "the capacity is 2147483648"),
    "capacity of predictions": (
        lambda: replace(PREDICT, capacity=2000),
        "a plan for 'predict' has a capacity",
    ),
    "features of any rows": (features_of_any_rows, "does not begin with a phase along rows"),
    "weights of any rows": (
        weights_of_any_rows,
        "'upstream' whole, whose rows have no limit|'x' whole, whose",
    ),
    "no rows first": (no_rows_first, "does not begin with a phase along rows"),
    # The batch as the fast axis.
    "gradient in an array of the caller": (gradient_in_an_array_of_the_caller, "for columns"),
    "columns out of line": (
        lambda: roomy(renamed(COLUMNS, "dense/y", offset=COLUMNS.sizes[Slot.WORKSPACE] + 8)),
        "'dense/y' does not begin at a whole vector of 16",
    ),
    "columns of a softmax": (
        lambda: with_op(COLUMNS, find(COLUMNS, DENSE), activation=Activation.SOFTMAX),
        "has no kernel for columns",
    ),
    "columns of a sum": (
        columns_of_a_sum,
        r"\(ADD of .*\) has no kernel for columns",
    ),
    "columns of a parameter": (
        lambda: with_op(COLUMNS, find(COLUMNS, ADAM), path=Path.COLUMNS),
        r"\(ADAM of 'dense_1/bias'\) has no kernel for columns",
    ),
    "columns in short tiles": (
        lambda: with_phase(COLUMNS, 0, tile_rows=24),
        "tiles of 24 rows do not begin at whole vectors of 16",
    ),
    "columns of any rows": (columns_of_any_rows, "columns need a capacity"),
    "columns turned around": (columns_turned_around, r"\(TRANSPOSE of .*\) takes 'x\[columns\]' for rows"),
    "columns of two heights": (two_heights_of_columns, "columns lie in tiles of 16 and 32 rows"),
    # Types.
    "purpose": (lambda: replace(P, purpose="test"), "the purpose is 'test', needs to be one of"),
    "no purpose": (lambda: replace(P, purpose=[]), r"the purpose is \[\], needs to be one of"),
    "list of ops": (lambda: replace(P, ops=list(P.ops)), "need to be a tuple"),
    "op None": (lambda: replace(P, ops=(None, *P.ops[1:])), "op 0 is None, which is no Op"),
    "layer None": (lambda: with_op(P, 1, layer=None), "the layer need to be strings"),
    "operands None": (lambda: with_op(P, 1, operands=None), "has None operands, needs 4"),
    "operand 3": (
        lambda: with_op(P, 1, operands=(3, *P.ops[1].operands[1:])),
        "'y' is 3, which is no Operand",
    ),
    "offset 1.5": (lambda: renamed(P, "dense/kernel", offset=1.5), "operand 'w' is Operand.*integers for"),
    "columns True": (
        lambda: renamed(P, "sample_weight[rows]", columns=True),
        "operand 'y' is Operand.*integers for",
    ),
    "slot 0.0": (lambda: renamed(P, "dense/kernel", slot=0.0), "operand 'w' is Operand.*integers for"),
    "name None": (lambda: with_operand(ONE, DENSE, "x", name=None), "operand 'x' is Operand.*needs a name"),
    "rows None": (lambda: renamed(ONE, "x", rows=None), "operand 'x' is Operand.*integers for"),
    "phase None": (lambda: replace(P, phases=(None, *P.phases)), "phase 0 is None, needs to be a Phase"),
    "task None": (lambda: with_phase(P, 1, tasks=(None,)), "phase 1 has the task None"),
    "task of 1.5": (lambda: tasks_of(P, 0, lambda t: [replace(t, end=1.5)]), "needs a Task of integers"),
    "accumulators None": (lambda: replace(P, accumulators=None), "need to be a tuple of Accumulator"),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_what_once_passed_is_refused(defect: str) -> None:
    corrupt, message = DEFECTS[defect]
    with pytest.raises(PlanError, match=message):
        verify_plan(corrupt())


def test_the_plans_that_defects_are_seeded_in_pass() -> None:
    for plan in (
        P,
        T,
        EVALUATE,
        PREDICT,
        ALONG_ROWS,
        GATES,
        COLUMNS,
        PLAIN,
        ONE,
        roomy(P),
        gates("evaluate"),
    ):
        verify_plan(plan)
    assert COLUMNS.ops[0].path is Path.COLUMNS
