"""Nets, objectives and data for the tests of the executor, and how two runs are compared."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import formulas
import numpy as np

from fastnn import (
    Input,
    Model,
    Sequential,
    activations,
    constraints,
    layers,
    losses,
    metrics,
    optimizers,
    regularizers,
)
from fastnn.compiler.pipeline import compile_plan
from fastnn.compiler.plan import STEPWISE, Plan, Slot
from fastnn.graph.graph import Graph
from fastnn.graph.symbolic import SymbolicTensor
from fastnn.losses import Loss
from fastnn.metrics import Metric
from fastnn.model.optimizer_state import OptimizerState
from fastnn.run.program import Program, Result
from fastnn.run.reference import ReferenceProgram

Array = np.ndarray
WHOLE = "FASTNN_WHOLE" in os.environ  # then tests that choose from many cases, for their time, take all
DTYPES = ["float32", "float64"]
ACTIVATIONS = ["linear", "sigmoid", "tanh", "relu", "softmax", "leaky_relu", "elu", "softplus", "softsign"]
# The others, by what a layer takes for them.
MORE_ACTIVATIONS: dict[str, Any] = {name: name for name in formulas.NAMED if name not in ACTIVATIONS}
MORE_ACTIVATIONS |= {
    "threshold": partial(activations.threshold, threshold=1.0, default_value=2.0),
    "rectifier": layers.ReLU(3.0, 0.25, 0.5),
}
OPTIMIZERS = {
    "sgd": optimizers.SGD(0.1),
    "momentum": optimizers.SGD(0.05, momentum=0.9),
    "nesterov": optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    # A large epsilon: with a small one, Adam makes a full step of the rounding error of a zero gradient.
    "adam": optimizers.Adam(0.01, epsilon=1e-2),
    "rmsprop": optimizers.RMSprop(0.01, epsilon=1e-2),
    "adagrad": optimizers.Adagrad(0.05),
    "adamw": optimizers.AdamW(0.01, 0.1, epsilon=1e-2),
    "clipped": optimizers.SGD(0.1, global_clipnorm=0.05),
    "clipped adamw": optimizers.AdamW(0.01, 0.1, epsilon=1e-2, clipnorm=0.05),
    "clipped numbers": optimizers.SGD(0.1, momentum=0.9, clipvalue=0.02),
    "sgd decay": optimizers.SGD(optimizers.schedules.ExponentialDecay(0.1, 3, 0.5), weight_decay=0.1),
}
# name -> loss, output activation, accuracy
LOSSES: dict[str, tuple[Loss, str | None, Metric]] = {
    "mse": (losses.MeanSquaredError(), None, metrics.MeanSquaredError()),
    "mse sum": (losses.MeanSquaredError(reduction="sum"), "sigmoid", metrics.BinaryAccuracy()),
    "categorical": (losses.CategoricalCrossentropy(), "softmax", metrics.CategoricalAccuracy()),
    "categorical plain": (losses.CategoricalCrossentropy(), "sigmoid", metrics.CategoricalAccuracy()),
    "categorical logits": (
        losses.CategoricalCrossentropy(from_logits=True, reduction="sum"), None, metrics.CategoricalAccuracy()
    ),
    "sparse": (losses.SparseCategoricalCrossentropy(), "softmax", metrics.SparseCategoricalAccuracy()),
    "sparse plain": (losses.SparseCategoricalCrossentropy(), "sigmoid", metrics.SparseCategoricalAccuracy()),
    "sparse logits": (
        losses.SparseCategoricalCrossentropy(from_logits=True), None, metrics.SparseCategoricalAccuracy()
    ),
    "half squares": (losses.SquaredError("half_mean"), None, metrics.MeanSquaredError()),
    "absolute": (losses.MeanAbsoluteError(), None, metrics.MeanSquaredError()),
    "huber": (losses.Huber(0.3), None, metrics.MeanSquaredError()),
    "cosine": (losses.CosineSimilarity(), None, metrics.MeanSquaredError()),
    "focal": (
        losses.CategoricalFocalCrossentropy(label_smoothing=0.1), "softmax", metrics.CategoricalAccuracy()
    ),
    "focal logits": (
        losses.BinaryFocalCrossentropy(gamma=1.5, from_logits=True), None, metrics.BinaryAccuracy()
    ),
    "quantiles": (losses.Quantile([0.1, 0.4, 0.6, 0.9]), None, metrics.MeanSquaredError()),
    "exact": (losses.MeanSquaredError(), None, metrics.Accuracy()),
    "top": (losses.CategoricalCrossentropy(), "softmax", metrics.TopKCategoricalAccuracy(2)),
    "hits": (losses.CategoricalCrossentropy(), "softmax", metrics.F1Score()),
    "moments": (losses.MeanSquaredError(), None, metrics.R2Score()),
    "correlation": (losses.MeanSquaredError(), None, metrics.PearsonCorrelation()),
    "confusion": (losses.CategoricalCrossentropy(), "softmax", metrics.ConfusionMatrix()),
    "hinge": (losses.MulticlassHinge(0.5), None, metrics.SparseCategoricalAccuracy()),
    "binary": (losses.BinaryCrossentropy(), "sigmoid", metrics.BinaryAccuracy()),
    "binary curve": (losses.BinaryCrossentropy(), "sigmoid", metrics.AUC(7)),
    "binary plain": (losses.BinaryCrossentropy(reduction="sum"), "softmax", metrics.MeanSquaredError()),
    "binary logits": (losses.BinaryCrossentropy(from_logits=True), None, metrics.BinaryAccuracy("b", 0.1)),
}  # fmt: skip


def pairwise(*axes: Iterable[Any]) -> list[tuple[Any, ...]]:
    """Return combinations of one value an axis: each two values of different axes occur in one of them.

    All combinations if FASTNN_WHOLE is set.
    """
    rows = list(itertools.product(*(list(axis) for axis in axes)))
    if WHOLE:
        return rows
    pairs = [set(itertools.combinations(enumerate(row), 2)) for row in rows]
    missing, chosen = set().union(*pairs), []
    for least in range(len(pairs[0]), 0, -1):  # first those that bring the most
        for row, brought in zip(rows, pairs, strict=True):
            if len(brought & missing) >= least:
                missing -= brought
                chosen.append(row)
    return chosen


def gates(x: SymbolicTensor, outputs: int) -> SymbolicTensor:
    """Return a net in which every gate occurs, fed with numbers that suit it."""
    a, b = layers.Dense(6, "sigmoid")(x), layers.Dense(6, layers.ELU(0.5))(x)
    joined = [layers.Add()([a, b, a]), layers.Subtract()([a, b]), layers.Multiply()([a, b, b])]
    joined += [layers.Average()([a, b, a]), layers.Maximum()([a, b, joined[0]]), layers.Minimum()([b, a])]
    joined += [layers.Exp()(b), layers.Log()(layers.Shift(0.5)(a)), layers.Reciprocal()(layers.Shift(1.5)(a))]
    joined += [layers.Scale(0.5)(layers.Negate()(b)), layers.Square()(b), layers.LeakyReLU(0.1)(b)]
    joined += [layers.WeightedSum()([a, b, joined[0]]), layers.WeightedSum()([b])]
    joined += [layers.Dot(1)([a, b]), layers.Dot(1, normalize=True)([a, b])]
    joined += [layers.Sum()(b), layers.Sum()(layers.Square()(a))]
    joined.append(layers.Maxout(4, pieces=3, kernel_regularizer="l2")(b))
    return layers.Dense(outputs)(layers.Concatenate()(joined))


def shared(x: SymbolicTensor, outputs: int) -> SymbolicTensor:
    """Return a net that uses one layer three times, and one tensor in several places."""
    layer = layers.Dense(5, "tanh", kernel_regularizer="l2")
    h = layer(layer(layer(x)))
    return layers.Dense(outputs)(layers.Add()([h, x, layers.Multiply()([h, x])]))


def residual(x: SymbolicTensor, outputs: int) -> SymbolicTensor:
    """Return a net of residual blocks."""
    for _ in range(4):
        x = layers.Add()([x, layers.Dense(5)(layers.Dense(7, "relu")(x))])
    return layers.Dense(outputs)(x)


def noise(x: SymbolicTensor, outputs: int) -> SymbolicTensor:
    """Return a net that draws random numbers, before and behind what reads them twice."""
    h = layers.Dense(6, "tanh")(layers.GaussianNoise(0.1)(x))
    dropped = layers.Dropout(0.3)(h)
    h = layers.Dropout(0.2, seed=1)(layers.Add()([dropped, h]))
    return layers.Dense(outputs)(layers.AlphaDropout(0.3)(layers.GaussianDropout(0.2)(h)))


def normalized(x: SymbolicTensor, outputs: int) -> SymbolicTensor:
    """Return a net that scales inputs and features, some of them twice by one layer, some without gamma."""
    norm = layers.BatchNormalization(momentum=0.5, epsilon=0.1, gamma_regularizer="l2")
    h = layers.Dense(6, "tanh")(layers.BatchNormalization(center=False)(x))
    h = layers.Add()([norm(h), norm(layers.Dense(6)(h))])
    return layers.Dense(outputs)(layers.BatchNormalization(scale=False, beta_regularizer="l2")(h))


def scaled_rows(x: SymbolicTensor, outputs: int) -> SymbolicTensor:
    """Return a net that scales rows by their own moments, some of them twice by one layer."""
    norm = layers.LayerNormalization(epsilon=0.1, gamma_regularizer="l2")
    h = layers.Normalization(mean=0.5, variance=2.0)(layers.LayerNormalization(center=False)(x))
    bins = [layers.Discretization([-0.1, 0.5], output_mode=mode)(x) for mode in ("int", "one_hot", "count")]
    h = layers.Concatenate()([h, *bins])
    h = layers.FeatureScale("he_normal")(h)
    h = layers.PReLU("he_normal", alpha_regularizer="l2")(layers.Dense(6)(h))
    h = layers.FeatureScale(scale_regularizer="l2")(h)
    h = layers.Add()([norm(h), norm(layers.Dense(6)(h)), layers.RMSNormalization()(h)])
    h = layers.LayerNormalization(scale=False)(layers.Dense(7)(h))
    h = layers.Normalization(invert=True)(layers.UnitNormalization()(h))
    return layers.Dense(outputs)(h)


def embedded(x: SymbolicTensor, outputs: int) -> SymbolicTensor:
    """Return a net of two tables, one of which is looked up twice."""
    table = layers.Embedding(7, 3, embeddings_regularizer="l2")
    h = layers.Multiply()([table(x), table(x)])
    encoded = [layers.CategoryEncoding(7, mode)(x) for mode in ("multi_hot", "one_hot", "count")]
    return layers.Dense(outputs)(layers.Concatenate()([h, layers.Embedding(30, 2)(x), *encoded]))


def limited(x: SymbolicTensor, outputs: int) -> SymbolicTensor:
    """Return a net whose parameters pay penalties of all kinds, and are constrained."""
    wide = layers.Dense(37, "tanh", kernel_regularizer="l1_l2", kernel_constraint=constraints.MaxNorm(0.5))
    h = layers.Dense(6, "tanh", kernel_constraint="non_neg", bias_constraint=constraints.UnitNorm())(wide(x))
    h = layers.Dense(5, bias_regularizer="l1", kernel_constraint=constraints.MinMaxNorm(0.3, 0.6, 0.5, 1))(h)
    apart = regularizers.OrthogonalRegularizer(0.1, "columns")
    limit = constraints.MaxNorm(1.0, axis=[0, 1])
    return layers.Dense(outputs, kernel_constraint=limit, kernel_regularizer=apart)(h)


def paid(x: SymbolicTensor, outputs: int) -> SymbolicTensor:
    """Return a net whose tensors pay: an input, twice a shared layer's, of pieces, and what is put out."""
    shared = layers.Dense(5, "tanh", activity_regularizer="l1_l2")
    h = layers.Add()([shared(layers.ActivityRegularization(l1=0.1)(x)), shared(layers.Dense(5)(x))])
    h = layers.ActivityRegularization(l2=0.2)(layers.Maxout(6, pieces=2, activity_regularizer="l1")(h))
    h = layers.Dropout(0.3)(layers.Dense(7, "relu", activity_regularizer="l2")(h))
    return layers.Dense(outputs, activity_regularizer="l2")(h)


NETS: dict[str, Callable[[SymbolicTensor, int], SymbolicTensor]] = {
    "gates": gates,
    "shared": shared,
    "residual": residual,
    "noise": noise,
    "normalized": normalized,
    "scaled rows": scaled_rows,
    "embedded": embedded,
    "limited": limited,
    "paid": paid,
}


@dataclass
class Case:
    """A net, its objective and its data."""

    loss: str = "mse"
    optimizer: str = "sgd"
    activation: Any = "tanh"
    dtype: str = "float64"
    rows: int = 23
    batch: int = 7
    epochs: int = 2
    gather: bool = True
    weighted: bool = False
    fused: bool = True
    purpose: str = "train"
    widths: tuple[int, ...] = (5, 9, 4)
    measured: bool = True
    net: str = ""
    simd: str = "base"

    @property
    def graph(self) -> Graph:
        if self.net:
            x = Input((self.widths[0],))
            return Model(x, NETS[self.net](x, self.widths[-1])).graph
        *hidden, outputs = self.widths[1:]
        chained: list[Any] = [Input((self.widths[0],))]
        for units in hidden:
            chained.append(layers.Dense(units, self.activation, kernel_regularizer="l2"))
        chained.append(layers.Dense(outputs, LOSSES[self.loss][1], bias_regularizer="l2"))
        return Sequential(chained, seed=0).graph

    @property
    def plan(self) -> Plan:
        loss, _, metric = LOSSES[self.loss]
        stepwise = self.purpose in STEPWISE
        return compile_plan(
            self.graph,
            self.purpose,
            capacity=max(self.batch, self.rows if self.purpose != "train" else 0) if stepwise else 0,
            losses=(loss,),
            metrics=((metric,) if self.measured and self.purpose != "gradients" else (),),
            weighted_metrics=((replace(metric, name="weighted"),) if self.measured else (),),
            optimizer=OPTIMIZERS[self.optimizer],
            gather=self.gather and self.purpose == "train",
            weighted=self.weighted,
            fused=self.fused,
            simd=self.simd,
        )

    def data(self) -> dict[str, Array]:
        """Return externals that any plan of this net may ask for, in the case's dtype."""
        rng = np.random.default_rng(7)
        loss, outputs = LOSSES[self.loss][0], self.widths[-1]
        t = rng.uniform(0, 1, (self.rows, outputs))
        if loss.sparse:
            t = rng.integers(0, outputs, (self.rows, 1)).astype(float)
        elif loss.fuses is not None:
            t = np.eye(outputs)[rng.integers(0, outputs, self.rows)]
        x = rng.normal(0, 1, (self.rows, self.widths[0]))
        kind = self.graph.inputs[0].kind
        if kind.is_whole:
            x = rng.integers(0, kind.limit, x.shape).astype(float)
        arrays = {
            "x": x,
            "y": t,
            "sample_weight": rng.uniform(0, 2, (self.rows, 1)),
            "upstream": rng.normal(0, 1, (self.rows, outputs)),
            "output": np.zeros((self.rows, outputs)),
            "gradient": np.zeros((self.rows, self.widths[0])),
        }
        # Rounded once to the case's dtype, so that both interpreters start from the same numbers.
        return {name: np.ascontiguousarray(a, self.dtype) for name, a in arrays.items()}

    def run(
        self, kind: type[Program] | type[ReferenceProgram], plan: Plan | None = None, **arguments: Any
    ) -> tuple[Result, dict[str, Array]]:
        """Run a plan, and return its result with all that it wrote."""
        plan = plan or self.plan
        dtype = np.dtype(self.dtype)
        rng = np.random.default_rng(3)
        flat = {"parameters": rng.normal(0, 0.5, plan.sizes[Slot.PARAMETERS]).astype(dtype)}
        for o in {o for op in plan.ops for o in op.inputs() if o.slot == Slot.PARAMETERS}:
            values = flat["parameters"][o.offset : o.offset + o.columns]
            if o.name.endswith("variance"):
                values **= 2
            elif o.name.endswith("/bin_boundaries"):
                values.sort()
        flat["gradients"] = np.zeros(plan.sizes[Slot.GRADIENTS], dtype)
        flat["state"] = np.zeros(plan.sizes[Slot.STATE], dtype)
        arrays = self.data()
        if kind is ReferenceProgram:
            dtype = np.dtype(np.float64)
            flat = {name: a.astype(dtype) for name, a in flat.items()}
            arrays = {name: a.astype(dtype) for name, a in arrays.items()}
        optimizer = OPTIMIZERS[self.optimizer]
        options: dict[str, Any] = {
            "epochs": self.epochs if self.purpose == "train" else 1,
            "shuffle": self.gather,
            "seed": 5,
            "scalars": OptimizerState(optimizer, "mse", None, None, None, False).scalars,
        }
        if self.gather:
            options["permutation"] = np.arange(self.rows, dtype=np.int32)
        made = kind(plan, dtype, flat["parameters"], flat["gradients"], flat["state"])
        names = {external.name for external in plan.externals}
        wanted = {name: a for name, a in arrays.items() if name in names}
        batch = self.batch if self.purpose == "train" else self.rows
        result = made.run(wanted, self.rows, batch, **(options | arguments))
        assert result.finite
        written = {e.name: arrays[e.name] for e in plan.externals if e.written}
        return result, {**flat, **written, "sums": result.sums}


def agree(given: dict[str, Array], exact: dict[str, Array], tolerance: float) -> None:
    for name, array in exact.items():
        scale = max(1.0, float(np.abs(array).max(initial=0)))
        np.testing.assert_allclose(
            given[name].astype(np.float64), array, rtol=tolerance, atol=tolerance * scale, err_msg=name
        )


def same_bits(left: dict[str, Array], right: dict[str, Array]) -> None:
    assert left.keys() == right.keys()
    for name, array in left.items():
        assert array.tobytes() == right[name].tobytes(), f"{name} differs"
