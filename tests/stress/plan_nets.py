"""Valid plans: small nets of all kinds, for all purposes, that `plan_mutants.py` changes."""

from __future__ import annotations

import contextlib
import functools
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

from fastnn import Input, Model, layers, losses, metrics, optimizers, regularizers
from fastnn.compiler import paths, schedule
from fastnn.compiler.pipeline import compile_plan
from fastnn.compiler.plan import PURPOSES, STEPWISE, Plan
from fastnn.graph.graph import Graph

OPTIMIZERS = (
    optimizers.SGD(0.01),
    optimizers.SGD(0.01, momentum=0.9),
    optimizers.SGD(0.01, momentum=0.9, nesterov=True),
    optimizers.Adam(0.01),
    optimizers.RMSprop(0.01),
    optimizers.Adam(0.01, global_clipnorm=0.1),
    optimizers.SGD(0.01, clipnorm=0.1, weight_decay=0.1),
    optimizers.SGD(0.01, clipvalue=0.1),
    optimizers.Muon(0.01, exclude_layers=["dense_1"]),
)
# A loss, the activation of the output that it goes with, and a metric.
OBJECTIVES: tuple[tuple[losses.Loss, str | None, metrics.Metric], ...] = (
    (losses.MeanSquaredError(), None, metrics.MeanSquaredError()),
    (losses.SquaredError("half_sum", reduction="sum"), "tanh", metrics.BinaryAccuracy()),
    (losses.CategoricalCrossentropy(), "softmax", metrics.CategoricalAccuracy()),
    (losses.CategoricalCrossentropy(from_logits=True), None, metrics.CategoricalAccuracy()),
    (losses.CategoricalCrossentropy(), "sigmoid", metrics.CategoricalAccuracy()),
    (losses.SparseCategoricalCrossentropy(), "softmax", metrics.SparseCategoricalAccuracy()),
    (losses.SparseCategoricalCrossentropy(), "sigmoid", metrics.SparseCategoricalAccuracy()),
    (losses.BinaryCrossentropy(), "sigmoid", metrics.BinaryAccuracy()),
    (losses.BinaryCrossentropy(from_logits=True), None, metrics.BinaryAccuracy()),
    (losses.BinaryCrossentropy(), "sigmoid", metrics.AUC(5)),
    (losses.BinaryCrossentropy(), "tanh", metrics.MeanSquaredError()),
    (losses.MeanAbsoluteError(), None, metrics.MeanSquaredError()),
    (losses.Huber(0.5), None, metrics.MeanSquaredError()),
    (losses.Tweedie(), "exponential", metrics.MeanSquaredError()),
    (losses.CategoricalFocalCrossentropy(label_smoothing=0.1), "softmax", metrics.CategoricalAccuracy()),
    (losses.CosineSimilarity(), None, metrics.MeanSquaredError()),
    (losses.MulticlassHinge(), None, metrics.SparseCategoricalAccuracy()),
)
WIDTHS = ((5, 7, 3), (3, 4, 2), (2, 2, 1), (1, 1), (6, 2, 1), (4, 20, 4), (17, 33, 5), (2, 3, 3, 2), (8, 4))
ACTIVATIONS = (None, "relu", "sigmoid", "tanh", "elu", "softmax", "leaky_relu", "exponential")
Drawing = Callable[[Any, Any], Any]
GATES: tuple[Drawing, ...] = (
    lambda a, b: layers.Add()([a, b, a]),
    lambda a, b: layers.Subtract()([a, b]),
    lambda a, b: layers.Multiply()([a, b]),
    lambda a, b: layers.Average()([a, b]),
    lambda a, b: layers.Maximum()([a, b]),
    lambda a, b: layers.Minimum()([a, b]),
    lambda a, b: layers.Concatenate()([a, b, layers.Dense(2)(b)]),
    lambda a, b: layers.Concatenate()([a, b, a, b, a, b]),
    lambda a, b: layers.WeightedSum()([a, b]),
    lambda a, b: layers.Maxout(3, pieces=2, kernel_regularizer="l2")(layers.Add()([a, b])),
    lambda a, b: layers.Multiply()([layers.Sum()(a), layers.Sum()(layers.Square()(b))]),
    lambda a, b: layers.Subtract()([layers.Exp()(a), layers.Log()(layers.Shift(1.5)(layers.ReLU()(b)))]),
    lambda a, b: layers.Multiply()([layers.Reciprocal()(layers.Shift(2.0)(a)), layers.Negate()(b)]),
    lambda a, b: layers.Add()([layers.Scale(0.5)(layers.LeakyReLU(0.1)(a)), layers.Softmax()(b)]),
    lambda a, b: layers.Add()([layers.LayerNormalization(gamma_regularizer="l2")(a), b]),
    lambda a, b: layers.Add()([layers.RMSNormalization()(a), layers.UnitNormalization()(b)]),
    lambda a, b: layers.Dense(3, kernel_regularizer=regularizers.OrthogonalRegularizer(0.1))(
        layers.Dense(3, kernel_regularizer=regularizers.OrthogonalRegularizer(0.1, "columns"))(
            layers.Multiply()([a, b])
        )
    ),
    lambda a, b: layers.Add()([layers.ActivityRegularization(0.1, 0.2)(a), b]),
    lambda a, b: layers.Dense(3, "tanh", activity_regularizer="l2")(layers.Multiply()([a, b])),
    lambda a, b: layers.Multiply()([layers.FeatureScale()(a), b]),
    lambda a, b: layers.Add()([layers.PReLU()(a), layers.Normalization()(layers.GaussianDropout(0.1)(b))]),
)


def chain(widths: tuple[int, ...], activation: str | None, last: str | None, *, plain: bool = False) -> Graph:
    x = h = Input((widths[0],))
    for number, width in enumerate(widths[1:], 2):
        h = layers.Dense(
            width,
            last if number == len(widths) else activation,
            kernel_regularizer=None if plain else regularizers.L2(0.1),
            use_bias=number < 4,
        )(h)
    return Model(x, h, seed=0).graph


def gated(draw: Drawing) -> Graph:
    x = Input((3,))
    return Model(x, layers.Dense(2)(draw(layers.Dense(4, "tanh")(x), layers.Dense(4)(x))), seed=0).graph


def joined() -> Graph:
    """Return a net of two inputs and two outputs, which uses a layer twice."""
    x, z = Input((4,), name="x"), Input((4,), name="z")
    shared = layers.Dense(4, "sigmoid", kernel_regularizer="l2", name="shared")
    h = layers.Concatenate()([shared(x), shared(z), z])
    return Model([x, z], [layers.Dense(3, name="scores")(h), layers.Dense(1, name="size")(h)], seed=0).graph


def normalized() -> Graph:
    """Return a net that scales its input, and two tensors by one layer."""
    x, shared = Input((5,)), layers.BatchNormalization(momentum=0.5, gamma_regularizer="l2")
    h = layers.Dense(6, "tanh")(layers.BatchNormalization(scale=False)(x))
    h = layers.Add()([shared(h), shared(layers.Dense(6)(h))])
    return Model(x, layers.Dense(2)(h), seed=0).graph


def embedded() -> Graph:
    """Return a net of categories and numbers, one of whose tables is looked up twice."""
    a, b, z = Input((2,), name="a"), Input((1,), name="b"), Input((3,), name="z")
    table = layers.Embedding(9, 2, embeddings_regularizer=regularizers.L2(0.1))
    bins = layers.Discretization([-0.5, 0.0, 1.0], output_mode="one_hot")(z)
    parts = [layers.CategoryEncoding(5, mode)(a) for mode in ("one_hot", "count")]
    h = layers.Concatenate()([table(a), table(b), layers.Embedding(5, 3)(a), z, bins, *parts])
    return Model([a, b, z], layers.Dense(2, name="out")(h), seed=0).graph


@contextlib.contextmanager
def small_work_is_cut() -> Iterator[None]:
    """Let nets of any size be cut into many tiles, along features too, and their updates join products."""
    changed = {name: 2 for name in vars(schedule) if name.startswith(("MINIMUM_", "PREFERRED_"))}
    changed |= {"LARGE_KERNEL": 60, "BLOCK_COLUMNS": 2, "LARGE_PARAMETER_ROWS": 2, "LARGE_ROWS": 4}
    changed["TABLE_ELEMENTS"] = 8
    joining = {"LEAST_JOINED_WEIGHTS": 12, "LEAST_JOINED_COLUMNS": 2, "LEAST_JOINED_ROWS": 2}
    with mock.patch.multiple(schedule, **changed), mock.patch.multiple(paths, **joining):
        yield


def options(rng: random.Random, purpose: str) -> dict[str, Any]:
    train = purpose == "train"
    return {
        "capacity": rng.choice((1, 2, 8, 13, 33)) if purpose in STEPWISE else 0,
        "optimizer": rng.choice(OPTIMIZERS),
        "gather": train and rng.random() < 0.5,
        "weighted": rng.random() < 0.3,
        "fused": rng.random() < 0.7,
        "simd": rng.choice(("base", "v3", "v4")),
        "itemsize": rng.choice((4, 8)),
    }


@functools.cache
def valid_plans() -> tuple[Plan, ...]:
    """Return plans of nets of all kinds, for all purposes."""
    rng = random.Random(0)
    plans: list[Plan] = []
    for purpose, (loss, last, metric) in itertools.product(PURPOSES, OBJECTIVES):
        for _ in range(4 if purpose == "train" else 2 if purpose == "gradients" else 1):
            widths = rng.choice(WIDTHS)
            graph = chain(widths, rng.choice(ACTIVATIONS), last if purpose != "input_gradients" else None)
            measured = (metric,) if purpose != "gradients" and rng.random() < 0.6 else ()
            chosen = options(rng, purpose)
            with small_work_is_cut() if rng.random() < 0.4 else contextlib.nullcontext():
                weighed = tuple(replace(metric, name=f"weighted {metric.name}") for metric in measured)
                chosen |= {"metrics": (measured,), "weighted_metrics": (weighed,)}
                plans.append(compile_plan(graph, purpose, losses=(loss,), **chosen))
    for draw in GATES:
        for purpose in ("train", rng.choice(PURPOSES)):
            loss, _, metric = OBJECTIVES[rng.choice((0, 3, 10))]
            with small_work_is_cut() if rng.random() < 0.3 else contextlib.nullcontext():
                plans.append(
                    compile_plan(
                        gated(draw), purpose, losses=(loss,), metrics=((metric,),), **options(rng, purpose)
                    )
                )
    for purpose in PURPOSES:
        plans.append(
            compile_plan(
                joined(),
                purpose,
                losses=(losses.MulticlassHinge(), losses.SquaredError("half_mean")),
                metrics=((metrics.SparseCategoricalAccuracy(),), ()),
                shares=(1.0, 0.5),
                wrt=("shared/y",) if purpose in ("backward", "input_gradients") else (),
                **options(rng, purpose),
            )
        )
    for widths, capacity in (((13, 6, 3), 8), ((17, 33, 5), 33)):  # updates inside of products
        chosen = {"capacity": capacity, "optimizer": optimizers.Adam(), "simd": "v4", "gather": True}
        with small_work_is_cut():
            graph = chain(widths, "relu", None)
            plans.append(compile_plan(graph, "train", losses=(losses.MeanSquaredError(),), **chosen))
    for purpose in (*PURPOSES, "train", "train", "gradients"):  # reductions over the batch
        with small_work_is_cut() if rng.random() < 0.6 else contextlib.nullcontext():
            plans.append(
                compile_plan(
                    normalized(), purpose, losses=(losses.MeanSquaredError(),), **options(rng, purpose)
                )
            )
    for purpose in (*PURPOSES, "train", "train", "gradients"):  # tables that indices look up
        with small_work_is_cut() if rng.random() < 0.6 else contextlib.nullcontext():
            loss, chosen = losses.MeanSquaredError(), options(rng, purpose)
            plans.append(compile_plan(embedded(), purpose, losses=(loss,), **chosen))
    # Nets of few features, whose batch is the fast axis, some of which registers hold.
    for widths, optimizer in itertools.product(((1, 1), (2, 2, 1), (2, 2, 2), (3, 3)), OPTIMIZERS):
        chosen = options(rng, "train") | {"optimizer": optimizer, "fused": True, "capacity": 33}
        with small_work_is_cut() if rng.random() < 0.4 else contextlib.nullcontext():
            plans.append(
                compile_plan(
                    chain(widths, rng.choice(("tanh", "relu", None)), None, plain=rng.random() < 0.5),
                    "train",
                    losses=(losses.MeanSquaredError(),),
                    **chosen,
                )
            )
    return tuple(plans)
