"""Lowering and fusion: which ops a graph becomes, and the whole plans of a few nets as text.

The texts are in `tests/compiler/snapshots`; `FASTNN_UPDATE_SNAPSHOTS=1` writes them anew.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fastnn import Input, Model, Sequential, constraints, layers, losses, metrics, optimizers, regularizers
from fastnn.compiler.fusion import fuse
from fastnn.compiler.lowering import lower
from fastnn.compiler.paths import batch_is_fast_axis
from fastnn.compiler.pipeline import compile_plan
from fastnn.compiler.plan import ROWS, Activation, Axis, Op, OpCode, Operand, Plan, Slot
from fastnn.errors import PlanError
from fastnn.graph.graph import Graph
from fastnn.losses import Loss
from fastnn.optimizers import Optimizer

SNAPSHOTS = Path(__file__).parent / "snapshots"
MSE, SGD = losses.MeanSquaredError(), optimizers.SGD()


def chain(*chained: layers.Layer, inputs: int = 3) -> Graph:
    return Sequential([Input((inputs,)), *chained], seed=0).graph


def small(output: str | None = None) -> Graph:
    return chain(layers.Dense(4, "tanh"), layers.Dense(2, output))


def codes(ops: tuple[Op, ...] | list[Op]) -> list[str]:
    return [op.code.name for op in ops]


def mnist() -> Plan:
    graph = chain(layers.Dense(500, "relu"), layers.Dense(10, "softmax"), inputs=784)
    loss = losses.SparseCategoricalCrossentropy()
    accuracy = (metrics.SparseCategoricalAccuracy("accuracy"),)
    return compile_plan(
        graph, "train", capacity=200, losses=(loss,), metrics=(accuracy,), optimizer=SGD, gather=True
    )


def regularized(fused: bool) -> Plan:
    graph = chain(
        layers.Dense(5, "tanh", kernel_regularizer=regularizers.L2(0.25)),
        layers.Activation("relu"),
        layers.Dense(1, "sigmoid"),
    )
    return compile_plan(
        graph,
        "train",
        capacity=8,
        losses=(losses.BinaryCrossentropy(),),
        metrics=((metrics.BinaryAccuracy(), metrics.MeanSquaredError()),),
        weighted_metrics=(
            (metrics.BinaryAccuracy("weighted"), metrics.RootMeanSquaredError(), metrics.Recall()),
        ),
        optimizer=optimizers.Adam(),
        weighted=True,
        fused=fused,
    )


def gates() -> Plan:
    """Return a plan in which every gate occurs, forward and backward."""
    x, z = Input((4,), name="x"), Input((4,), name="z")
    shared = layers.Dense(4, "sigmoid", kernel_regularizer="l2")
    a, b = shared(x), shared(z)
    joined = [layers.Multiply()([a, b]), layers.Maximum()([a, b]), layers.Average()([a, b, x])]
    joined += [layers.Maxout(3)(a), layers.Sum()(b), layers.Log()(layers.Shift(1.0)(a))]
    joined.append(layers.WeightedSum()([a, b]))
    h = layers.Concatenate()(joined)
    outputs = [layers.Dense(3, name="scores")(h), layers.Dense(1, layers.LeakyReLU(0.1), name="size")(h)]
    return compile_plan(
        Model([x, z], outputs, seed=0).graph,
        "train",
        capacity=6,
        losses=(losses.MulticlassHinge(), losses.SquaredError("half_mean")),
        metrics=((metrics.SparseCategoricalAccuracy(),), ()),
        optimizer=optimizers.SGD(momentum=0.9),
        shares=(1.0, 0.5),
    )


def normalized() -> Plan:
    graph = chain(
        layers.BatchNormalization(momentum=0.9),
        layers.Dense(5, "tanh"),
        layers.BatchNormalization(scale=False),
        layers.Dense(2),
    )
    return compile_plan(graph, "train", capacity=64, losses=(MSE,), optimizer=SGD)


def two_layers(
    loss: Loss, metric: metrics.Metric, units: int, optimizer: Optimizer, fused: bool = True
) -> Plan:
    graph = chain(layers.Dense(units, "relu"), layers.Dense(units, kernel_regularizer="l2"))
    return compile_plan(
        graph, "train", capacity=64, losses=(loss,), metrics=((metric,),), optimizer=optimizer, fused=fused
    )


def wide() -> Plan:
    """Return a plan with updates inside of products."""
    graph = chain(layers.Dense(400, "relu"), layers.Dense(300, kernel_regularizer="l2"), inputs=300)
    return compile_plan(graph, "train", capacity=100, losses=(MSE,), optimizer=optimizers.Adam(), simd="v4")


def limited() -> Plan:
    """Return a plan that sums gradients, clips and averages, with penalties and constraints of both kinds."""
    graph = chain(
        layers.Dense(4, "tanh", kernel_regularizer="l1_l2", kernel_constraint=constraints.MaxNorm(2.0)),
        layers.Dense(1, kernel_constraint="non_neg"),
    )
    rule = optimizers.Lamb(
        0.01, weight_decay=0.1, global_clipnorm=1.0, use_ema=True, gradient_accumulation_steps=4
    )
    return compile_plan(graph, "train", capacity=8, losses=(MSE,), optimizer=rule)


def paid() -> Plan:
    """Return a plan whose input, hidden units and output pay."""
    graph = chain(
        layers.ActivityRegularization(l1=0.1),
        layers.Dense(4, "tanh", activity_regularizer="l1_l2", kernel_regularizer="l2"),
        layers.Dense(1, activity_regularizer="l2"),
    )
    return compile_plan(graph, "train", capacity=8, losses=(MSE,), optimizer=SGD)


def ruled(rule: Optimizer) -> Callable[[], Plan]:
    """Return what makes the plan of a tiny net with an update rule."""
    return lambda: compile_plan(chain(layers.Dense(2)), "train", capacity=4, losses=(MSE,), optimizer=rule)


RULES: dict[str, Optimizer] = {
    "amsgrad": optimizers.Adam(amsgrad=True),
    "rmsprop": optimizers.RMSprop(momentum=0.5),
    "adadelta": optimizers.Adadelta(),
    "adamax": optimizers.Adamax(),
    "nadam": optimizers.Nadam(learning_rate_multipliers={"dense/bias": 2.0}),
    "ftrl": optimizers.Ftrl(),
    "lion": optimizers.Lion(),
    "muon": optimizers.Muon(),
}
PLANS: dict[str, Callable[[], Plan]] = {
    "limited_lamb": limited,
    "paid_train": paid,
    "orthogonal_train": lambda: compile_plan(
        chain(layers.Dense(3, kernel_regularizer=regularizers.OrthogonalRegularizer(0.1, "columns"))),
        "train",
        capacity=8,
        losses=(MSE,),
        optimizer=SGD,
    ),
    **{f"rule_{name}": ruled(rule) for name, rule in RULES.items()},
    "gates_train": gates,
    "columns_train": lambda: two_layers(MSE, metrics.MeanSquaredError(), 1, SGD),
    "plain_unfused": lambda: two_layers(MSE, metrics.MeanSquaredError(), 2, SGD, fused=False),
    "pointwise_train": lambda: two_layers(
        losses.MeanAbsoluteError("sum"), metrics.MeanSquaredError(), 2, SGD
    ),
    "distributions_train": lambda: two_layers(
        losses.CategoricalCrossentropy(), metrics.CategoricalAccuracy(), 3, optimizers.RMSprop(), False
    ),
    "mnist_train": mnist,
    "regularized_adam_fused": lambda: regularized(True),
    "regularized_adam_unfused": lambda: regularized(False),
    "wide_adam": wide,
    "adagrad_train": lambda: compile_plan(
        small(), "train", capacity=4, losses=(MSE,), optimizer=optimizers.Adagrad()
    ),
    "noise_adamw": lambda: compile_plan(
        chain(layers.GaussianNoise(0.5), layers.Dense(4, "relu"), layers.Dropout(0.25), layers.Dense(1)),
        "train",
        capacity=8,
        losses=(MSE,),
        optimizer=optimizers.AdamW(),
    ),
    "normalized_train": normalized,
    "scaled_rows_train": lambda: compile_plan(
        chain(
            layers.Normalization(),
            layers.LayerNormalization(),
            layers.Dense(4),
            layers.PReLU(),
            layers.FeatureScale(),
            layers.GaussianDropout(0.25),
            layers.RMSNormalization(),
            layers.AlphaDropout(0.25),
            layers.Dense(2),
        ),
        "train",
        capacity=8,
        losses=(MSE,),
        optimizer=SGD,
    ),
    "embedded_train": lambda: compile_plan(
        chain(layers.Embedding(9, 4), layers.Dense(2)), "train", capacity=8, losses=(MSE,), optimizer=SGD
    ),
    "categories_predict": lambda: compile_plan(
        chain(layers.CategoryEncoding(9), layers.Discretization([0.5]), layers.Dense(2)), "predict"
    ),
    "clipped_sgd": lambda: compile_plan(
        small(), "train", capacity=4, losses=(MSE,), optimizer=optimizers.SGD(0.1, global_clipnorm=1.0)
    ),
    "clipped_numbers": lambda: compile_plan(
        small(), "train", capacity=4, losses=(MSE,), optimizer=optimizers.SGD(0.1, clipvalue=1.0)
    ),
    "scores_evaluate": lambda: compile_plan(
        small(),
        "evaluate",
        losses=(MSE,),
        metrics=((metrics.Accuracy(), metrics.Precision([0.3, 0.5, 0.9], class_id=1)),),
        weighted_metrics=(
            (
                *(metrics.TopKCategoricalAccuracy(2), metrics.F1Score(), metrics.R2Score()),
                *(metrics.ConfusionMatrix(), metrics.CategoricalCrossentropy(from_logits=True)),
                *(metrics.PearsonCorrelation(), metrics.AUC(4, multi_label=True, from_logits=True)),
            ),
        ),
        weighted=True,
    ),
    "ignored_evaluate": lambda: compile_plan(
        small(),
        "evaluate",
        losses=(losses.SparseCategoricalCrossentropy(from_logits=True),),
        weighted_metrics=((metrics.SparseCategoricalCrossentropy(from_logits=True, ignore_class=1),),),
        weighted=True,
    ),
    "focal_train": lambda: two_layers(
        losses.CategoricalFocalCrossentropy(label_smoothing=0.25, from_logits=True),
        metrics.CategoricalAccuracy(),
        3,
        SGD,
        False,
    ),
    "small_predict": lambda: compile_plan(small(), "predict"),
    "small_input_gradients": lambda: compile_plan(small(), "input_gradients"),
}


def test_snapshots_show_every_opcode() -> None:
    assert {op.code for make in PLANS.values() for op in make().ops} == set(OpCode)


@pytest.mark.parametrize("name", PLANS)
def test_plans_have_not_changed(name: str) -> None:
    path, text = SNAPSHOTS / f"{name}.txt", f"{PLANS[name]()}\n"
    if os.environ.get("FASTNN_UPDATE_SNAPSHOTS"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PLANS)
def test_plans_are_values(name: str) -> None:
    plan = PLANS[name]()
    assert plan == PLANS[name]()
    assert pickle.loads(pickle.dumps(plan)) == plan
    assert replace(plan, capacity=plan.capacity + 1) != plan


def test_a_plan_depends_on_no_weights_and_on_a_dtype_only_for_what_a_vector_holds() -> None:
    def plan(dtype: str, seed: int, rows: int) -> Plan:
        model = Sequential([Input((3,)), layers.Dense(4, "tanh"), layers.Dense(1)], dtype=dtype, seed=seed)
        model.compile("adam", "mse")
        return model.plan(rows)

    assert plan("float32", 1, 64) == plan("float64", 2, 64)
    assert plan("float32", 1, 1) == plan("float32", 2, 1)
    for simd, least in (("base", (8, 36)), ("v3", (1, 8)), ("v4", (1, 1))):
        for itemsize, rows in zip((4, 8), least, strict=True):
            graph = Sequential([Input((3,)), layers.Dense(4, "tanh"), layers.Dense(1)]).graph
            pays = [batch_is_fast_axis(graph, (MSE,), ((),), r, simd, itemsize) for r in range(1, 64)]
            assert pays == [r >= rows for r in range(1, 64)]


def test_forward_is_one_op_a_step_and_fusion_makes_it_one_a_layer() -> None:
    unfused = lower(small("sigmoid"), "predict", fused=False)
    assert codes(unfused.ops) == ["DENSE", "ADD_BIAS", "ACTIVATION"] * 2
    fused = lower(small("sigmoid"), "predict")
    assert codes(fused.ops) == ["DENSE", "DENSE"]
    assert [op.activation for op in fused.ops] == [Activation.TANH, Activation.SIGMOID]
    assert all(op.operand("b") is not None for op in fused.ops)
    assert fused.externals == unfused.externals
    assert [(e.name, e.columns, e.written) for e in fused.externals] == [
        ("x", 3, False),
        ("output", 2, True),
    ]


def test_backward_is_forward_reversed() -> None:
    ops = lower(small(), "train", (MSE,), optimizer=SGD, fused=False).ops
    assert codes(ops) == [
        *["DENSE", "ADD_BIAS", "ACTIVATION", "DENSE", "ADD_BIAS", "SQUARED_ERROR"],
        *["BIAS_GRADIENT", "WEIGHT_GRADIENT", "DENSE_BACKWARD", "ACTIVATION_BACKWARD"],
        *["BIAS_GRADIENT", "WEIGHT_GRADIENT"],  # nobody wants the gradient of the input
        *["SGD"] * 4,
    ]


def test_fusion_of_a_training_step() -> None:
    ops = lower(small(), "train", (MSE,), optimizer=SGD).ops
    assert sorted(codes(ops)) == sorted(
        ["DENSE", "DENSE", "SQUARED_ERROR", "DENSE_BACKWARD"] + ["SGD_DENSE", "SGD_BIAS"] * 2
    )
    backward = next(op for op in ops if op.code is OpCode.DENSE_BACKWARD)
    assert backward.activation is Activation.TANH
    assert backward.need("y").name == "dense/y"


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", optimizers.SGD(momentum=0.5)])
def test_only_plain_sgd_updates_inside_the_product(optimizer: str | Optimizer) -> None:
    ops = lower(small(), "train", (MSE,), optimizer=optimizers.get(optimizer)).ops
    assert codes(ops).count("WEIGHT_GRADIENT") == 2
    assert "SGD_DENSE" not in codes(ops)


def test_penalties_are_fused_into_updates() -> None:
    graph = chain(layers.Dense(2, kernel_regularizer=regularizers.L2(0.25)))
    for optimizer in ("sgd", "adam", "rmsprop", optimizers.SGD(momentum=0.5)):
        unfused = lower(graph, "train", (MSE,), optimizer=optimizers.get(optimizer), fused=False).ops
        assert codes(unfused).count("L2_GRADIENT") == 1
        fused = lower(graph, "train", (MSE,), optimizer=optimizers.get(optimizer)).ops
        assert "L2_GRADIENT" not in codes(fused)
        kernel, bias = (
            op for op in fused if op.signature.constants[:1] == ("l2",) and op.code is not OpCode.L2_PENALTY
        )
        assert {kernel.layer: kernel.constants[0], bias.layer: bias.constants[0]} == {
            "dense/kernel": 0.25,
            "dense/bias": 0.0,
        }
    # Gradients that the caller sees contain the penalty's part.
    gradients = lower(graph, "gradients", (MSE,))
    assert codes(gradients.ops).count("L2_GRADIENT") == 1
    assert [(a.name, a.times_rows) for a in gradients.accumulators] == [("loss", False), ("penalty", True)]
    assert codes(lower(graph, "evaluate", (MSE,)).ops)[-1] == "L2_PENALTY"


CROSSENTROPIES = [
    (losses.CategoricalCrossentropy(), "softmax", "SOFTMAX_CROSSENTROPY"),
    (losses.CategoricalCrossentropy(), "sigmoid", "CROSSENTROPY"),
    (losses.CategoricalCrossentropy(from_logits=True), None, "SOFTMAX_CROSSENTROPY"),
    (losses.SparseCategoricalCrossentropy(), "softmax", "SOFTMAX_CROSSENTROPY"),
    (losses.BinaryCrossentropy(), "sigmoid", "SIGMOID_CROSSENTROPY"),
    (losses.BinaryCrossentropy(), "softmax", "BINARY_CROSSENTROPY"),
    (losses.BinaryCrossentropy(from_logits=True), None, "SIGMOID_CROSSENTROPY"),
    (losses.MeanSquaredError(), "softmax", "SQUARED_ERROR"),
]


@pytest.mark.parametrize(("loss", "output", "code"), CROSSENTROPIES, ids=str)
def test_which_losses_fuse_with_which_output(loss: Loss, output: str | None, code: str) -> None:
    for purpose in ("train", "evaluate"):
        lowered = lower(small(output), purpose, (loss,), optimizer=SGD)
        op = next(op for op in lowered.ops if op.layer == loss.name)
        assert op.code.name == code
        assert op.accumulator == 0
        gradient = op.operand("dx" if "dx" in op.signature.names else "dy")
        assert (gradient is None) == (purpose == "evaluate")
        target = op.need("t")
        assert target.columns == (1 if loss.sparse else 2)
    # Metrics see the model's output: probabilities where it ends in an activation, scores where not.
    metric = lower(small(output), "evaluate", (loss,), ((metrics.MeanSquaredError("m"),),)).ops[-1]
    assert metric.need("y").name == "dense_1/y"


def test_reductions_decide_constants_and_sums() -> None:
    for reduction, mean in (("sum_over_batch_size", 1.0), ("sum", 0.0)):
        lowered = lower(small(), "gradients", (losses.MeanSquaredError(reduction=reduction),))
        op = next(op for op in lowered.ops if op.code is OpCode.SQUARED_ERROR)
        assert op.constants == (mean, 1.0, 0.5)
        assert lowered.accumulators[0].times_rows == (reduction == "sum")


def test_gathering_looks_up_every_input_of_the_batch() -> None:
    lowered = lower(small(), "train", (MSE,), optimizer=SGD, gather=True, weighted=True)
    gathers = [op for op in lowered.ops if op.code is OpCode.GATHER]
    assert [op.layer for op in gathers] == ["x", "y", "sample_weight"]
    assert [e.name for e in lowered.externals] == ["x", "y", "sample_weight"]
    externals = {o.name for op in lowered.ops if op.code is not OpCode.GATHER for o in op.inputs()}
    assert externals.isdisjoint({"x", "y", "sample_weight"})


def test_frozen_layers_cost_no_gradients() -> None:
    frozen, free = layers.Dense(4, "tanh", name="frozen", trainable=False), layers.Dense(2, name="free")
    ops = lower(chain(frozen, free), "train", (MSE,), optimizer=SGD).ops
    wanted = ["DENSE", "DENSE", "SQUARED_ERROR", "SGD_DENSE", "SGD_BIAS"]
    assert sorted(codes(ops)) == sorted(wanted)
    assert all(not op.layer.startswith("frozen/") for op in ops)
    # Below a free layer, a frozen one passes the gradient on.
    first = layers.Dense(4, "tanh", name="first")
    last = layers.Dense(2, name="last", trainable=False)
    ops = lower(chain(first, last), "train", (MSE,), optimizer=SGD).ops
    assert [op.layer for op in ops if op.code is OpCode.DENSE_BACKWARD] == ["last"]
    assert {op.layer for op in ops if op.code is OpCode.SGD_DENSE} == {"first/kernel"}


def test_statistics_have_no_gradients() -> None:
    graph = chain(layers.Dense(3, bias_regularizer="l2"), layers.Dense(2))
    nodes = tuple(
        replace(node, parameters=(node.parameters[0], replace(node.parameters[1], statistic=True)))
        for node in graph.nodes
    )
    changed = Graph(graph.inputs, graph.outputs, nodes)
    plan = compile_plan(changed, "train", capacity=8, losses=(MSE,), optimizer=SGD)
    weights = {op.layer for op in plan.ops if op.signature.axis is Axis.PARAMETER}
    assert weights == {"dense/kernel", "dense_1/kernel"}
    assert [p.is_trained for p in changed.parameters] == [True, False, True, False]
    assert not replace(changed.parameters[0], trainable=False).is_trained


def test_input_gradients_end_in_an_external_array() -> None:
    lowered = lower(small("softmax"), "input_gradients")
    assert [(e.name, e.columns, e.written) for e in lowered.externals] == [
        ("x", 3, False),
        ("upstream", 2, False),
        ("gradient", 3, True),
    ]
    writers = [op for op in lowered.ops for o in op.outputs() if o.name == "gradient"]
    assert [op.code for op in writers] == [OpCode.DENSE_BACKWARD]
    assert all(op.code not in (OpCode.WEIGHT_GRADIENT, OpCode.BIAS_GRADIENT) for op in lowered.ops)


def test_activations_live_beyond_their_tile_only_for_weight_gradients() -> None:
    for purpose, slot in (("train", Slot.WORKSPACE), ("gradients", Slot.WORKSPACE), ("evaluate", Slot.LOCAL)):
        ops = lower(small(), purpose, (MSE,), optimizer=SGD).ops
        slots = {o.slot for op in ops for o in op.outputs() if o.rows == ROWS}
        assert slots == {slot}
    gradients = lower(small(), "gradients", (MSE,)).ops
    assert {o.slot for op in gradients for o in op.outputs() if o.rows != ROWS} == {Slot.GRADIENTS}


def test_fusion_is_a_pure_function_and_has_nothing_left_to_do() -> None:
    for graph in (small("softmax"), chain(layers.Activation("relu"), layers.Dense(2, use_bias=False))):
        ops = list(lower(graph, "train", (MSE,), optimizer=SGD, gather=True, fused=False).ops)
        copy = list(ops)
        once = fuse(ops)
        assert ops == copy
        assert fuse(once) == once
        assert len(once) < len(ops)


def test_fusion_leaves_alone_what_is_read_twice() -> None:
    x = Operand("x", Slot.EXTERNAL, ROWS, 2)
    w = Operand("w", Slot.PARAMETERS, 2, 2)
    z, y, other = (Operand(name, Slot.WORKSPACE, ROWS, 2) for name in ("z", "y", "other"))
    dense = Op(OpCode.DENSE, "d", (z, x, w, None))
    ops = [dense, Op(OpCode.ACTIVATION, "a", (y, z), Activation.RELU)]
    assert codes(fuse(ops)) == ["DENSE"]
    ops.append(Op(OpCode.ACTIVATION, "b", (other, z), Activation.TANH))
    assert fuse(ops) == ops
    # Nor what the caller reads.
    written = replace(z, slot=Slot.EXTERNAL + 1)
    ops = [replace(dense, operands=(written, x, w, None)), Op(OpCode.ACTIVATION, "a", (y, written))]
    assert fuse(ops) == ops


def test_lowering_says_what_it_lacks() -> None:
    with pytest.raises(PlanError, match="lowering for 'evaluate' needs a loss"):
        lower(small(), "evaluate")
    with pytest.raises(PlanError, match="lowering for 'train' needs an optimizer"):
        lower(small(), "train", (MSE,))
    with pytest.raises(PlanError, match="unknown purpose 'trian'; known: train, gradients"):
        lower(small(), "trian")
    op = lower(small(), "predict", fused=False).ops[0]
    with pytest.raises(PlanError, match="DENSE of 'dense' lacks its operand 'b'"):
        op.need("b")


def adam_plan(rows: int, units: int, simd: str, optimizer: Optimizer, shared: bool = False) -> list[str]:
    """Return the opcodes of a net with a kernel of 400 x `units`, maybe used twice."""
    x = Input((400,))
    dense = layers.Dense(units)
    y = layers.Add()([dense(x), dense(layers.Shift(1.0)(x))]) if shared else dense(x)
    plan = compile_plan(
        Model(x, y, seed=0).graph, "train", capacity=rows, losses=(MSE,), optimizer=optimizer, simd=simd
    )
    return codes(plan.ops)


def test_adam_is_joined_to_large_products_only() -> None:
    adam = optimizers.Adam()
    for rows in (64, 256):
        joined = adam_plan(rows, 300, "v4", adam)
        assert joined.count("ADAM_DENSE") == 1
        assert "WEIGHT_GRADIENT" not in joined
        assert joined.count("ADAM") == 1  # that of the bias
    apart = [(63, 300, "v4"), (257, 300, "v4"), (100, 300, "v3"), (100, 120, "v4"), (100, 249, "v4")]
    for rows, units, simd in apart:
        assert "ADAM_DENSE" not in adam_plan(rows, units, simd, adam)
    assert "ADAM_DENSE" not in adam_plan(100, 300, "v4", optimizers.RMSprop())
    # Parts of a gradient are added up before the update.
    twice = adam_plan(100, 300, "v4", adam, shared=True)
    assert "ADAM_DENSE" not in twice
    assert twice.count("WEIGHT_GRADIENT") == 2
