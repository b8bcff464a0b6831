"""Models whose prediction can be exported, and rows for them: every layer, every activation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import fastnn
from fastnn import activations, layers
from fastnn.graph.nests import leaves

Made = tuple[Any, list[np.ndarray]]

ACTIVATIONS: dict[str, Any] = {
    **{name: name for name in ("linear", "sigmoid", "tanh", "relu", "relu6", "leaky_relu", "elu", "selu")},
    **{name: name for name in ("softplus", "softsign", "gelu", "silu", "mish", "celu", "hard_sigmoid")},
    **{name: name for name in ("hard_silu", "hard_tanh", "exponential", "softmax", "log_softmax")},
    **{name: name for name in ("log_sigmoid", "squareplus", "tanh_shrink", "soft_shrink", "hard_shrink")},
    **{name: name for name in ("sparse_plus", "sparse_sigmoid")},
    "gelu near": partial(activations.gelu, approximate=True),
    "threshold": partial(activations.threshold, threshold=0.3, default_value=0.1),
    "celu wide": partial(activations.celu, alpha=2.5),
}
LAYERS: dict[str, Callable[[], layers.Layer]] = {
    "batch": lambda: layers.BatchNormalization(),
    "batch, bare": lambda: layers.BatchNormalization(center=False, scale=False),
    "rows": lambda: layers.LayerNormalization(),
    "rms": lambda: layers.RMSNormalization(),
    "unit": lambda: layers.UnitNormalization(),
    "prelu": lambda: layers.PReLU(alpha_initializer="ones"),
    "feature scale": lambda: layers.FeatureScale("he_normal"),
    "maxout": lambda: layers.Maxout(3, 2),
    "relu": lambda: layers.ReLU(3.0, 0.1, 0.2),
    "rescaling": lambda: layers.Rescaling(2.0, 1.0),
    "normalization": lambda: layers.Normalization(mean=np.arange(6.0), variance=np.arange(6.0)),
    "undone": lambda: layers.Normalization(mean=np.arange(6.0), variance=np.arange(1.0, 7.0), invert=True),
    "square": lambda: layers.Square(),
    "sum": lambda: layers.Sum(),
    "negate": lambda: layers.Negate(),
    "softmax": lambda: layers.Softmax(),
    "exp": lambda: layers.Exp(),
    "activation": lambda: layers.Activation("tanh"),
    "identity": lambda: layers.Identity(),
    "reshape": lambda: layers.Reshape((6,)),
    "lambda": lambda: layers.Lambda(lambda x: 2.0 * x + 1.0),
    "activity": lambda: layers.ActivityRegularization(0.1),
    "dropped": lambda: layers.Dropout(0.1),
    "gaussian": lambda: layers.GaussianDropout(0.1),
    "scale": lambda: layers.Scale(3.0),
    "shift": lambda: layers.Shift(3.0),
    "leaky": lambda: layers.LeakyReLU(0.1),
    "elu": lambda: layers.ELU(0.5),
    "noise": lambda: layers.GaussianNoise(0.1),
    "dropout": lambda: layers.AlphaDropout(0.1),
    **{
        f"bins, {mode}": partial(layers.Discretization, bin_boundaries=[-1.0, 0.0, 0.5], output_mode=mode)
        for mode in ("int", "one_hot", "multi_hot", "count")
    },
}


def _with_activation(name: str, dtype: str) -> Made:
    model = fastnn.Sequential(
        [fastnn.Input((5,)), layers.Dense(9, ACTIVATIONS[name]), layers.Dense(4)], dtype=dtype, seed=1
    )
    return model, [2.0 * np.random.default_rng(0).standard_normal((20, 5))]


def _with_layer(name: str, dtype: str) -> Made:
    model = fastnn.Sequential(
        [fastnn.Input((5,)), layers.Dense(6), LAYERS[name](), layers.Dense(2)], dtype=dtype, seed=1
    )
    return model, [2.0 * np.random.default_rng(0).standard_normal((20, 5))]


def _categories(mode: str, dtype: str) -> Made:
    model = fastnn.Sequential(
        [fastnn.Input((3,)), layers.CategoryEncoding(5, output_mode=mode), layers.Dense(2)],
        dtype=dtype,
        seed=1,
    )
    return model, [np.random.default_rng(0).integers(0, 5, (20, 3))]


def _graph(dtype: str) -> Made:
    """Two inputs, one of indices, and outputs that are also read inside."""
    x, e = fastnn.Input((4,), name="a"), fastnn.Input((2,), name="b")
    h = layers.Dense(8, "relu")(x)
    z = layers.Concatenate()([h, layers.Flatten()(layers.Embedding(5, 3)(e))])
    ends = [layers.Dense(3, "softmax", name="p")(z), layers.Dropout(0.2)(h), h]
    ends.append(layers.Minimum()([h, layers.Dense(8)(x)]))
    rng = np.random.default_rng(0)
    model = fastnn.Model([x, e], ends, dtype=dtype, seed=1)
    return model, [rng.standard_normal((7, 4)), rng.integers(0, 5, (7, 2))]


def _merges(dtype: str) -> Made:
    a = fastnn.Input((6,))
    b = layers.Dense(6)(a)
    kinds = (layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum)
    ends = [kind()([a, b]) for kind in (*kinds, layers.WeightedSum)] + [layers.Dot(1)([a, b])]
    model = fastnn.Model(a, ends, dtype=dtype, seed=1)
    return model, [np.random.default_rng(0).standard_normal((7, 6))]


def _logarithm(dtype: str) -> Made:
    x = fastnn.Input((5,))
    positive = layers.Shift(1.0)(layers.Square()(layers.Dense(4)(x)))
    model = fastnn.Model(x, [layers.Log()(positive), layers.Reciprocal()(positive)], dtype=dtype, seed=1)
    return model, [np.random.default_rng(0).standard_normal((7, 5))]


def _nested(dtype: str) -> Made:
    """Inputs and outputs in dicts, with keys that are no names of layers."""
    a, b = fastnn.Input((3,), name="first"), fastnn.Input((2,), name="second")
    h = layers.Concatenate()([a, b])
    ends = {"y": layers.Dense(2)(h), "more": [layers.Dense(1)(h), layers.Softmax()(h)]}
    rng = np.random.default_rng(0)
    model = fastnn.Model({"u": a, "v": b}, ends, dtype=dtype, seed=1)
    return model, [rng.standard_normal((7, 3)), rng.standard_normal((7, 2))]


def _shared(dtype: str) -> Made:
    """A layer that is called twice, and a model that is a layer."""
    inner = fastnn.Sequential(
        [fastnn.Input((4,)), layers.Dense(4, "tanh"), layers.BatchNormalization()], dtype=dtype
    )
    x = fastnn.Input((4,))
    model = fastnn.Model(x, layers.Dense(2)(inner(inner(x))), dtype=dtype, seed=1)
    return model, [np.random.default_rng(0).standard_normal((7, 4))]


MODELS: dict[str, Callable[[str], Made]] = {
    **{f"activation {name}": partial(_with_activation, name) for name in ACTIVATIONS},
    **{f"layer {name}": partial(_with_layer, name) for name in LAYERS},
    **{f"categories, {mode}": partial(_categories, mode) for mode in ("one_hot", "multi_hot", "count")},
    "graph": _graph,
    "merges": _merges,
    "logarithm": _logarithm,
    "nested": _nested,
    "shared": _shared,
}


def trained(made: Made) -> Made:
    """Return the model with weights, and moving statistics, that are all different."""
    model, x = made
    rng = np.random.default_rng(1)
    model.set_weights(
        [
            np.abs(weight) + rng.uniform(0.5, 1.0, weight.shape)
            if path.endswith("variance")
            else weight + 0.1 * rng.standard_normal(weight.shape)
            for path, weight in ((w.path, w.numpy()) for w in model.weights)
        ]
    )
    return model, x


def predicted(made: Made) -> list[np.ndarray]:
    """Return what the model predicts, one array an output."""
    model, x = made
    given = dict(zip(model.input_names, x, strict=True)) if len(x) > 1 else x[0]
    return leaves(model.predict(given, verbose=0))
