"""`get_config` and `from_config` of everything that models are described by."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import activations, constraints, initializers, layers, losses, metrics, optimizers, regularizers
from fastnn.errors import ConfigurationError, DTypeError, FastnnError

DESCRIPTIONS = [
    losses.MeanSquaredError(reduction="sum"),
    losses.SquaredError("half_mean"),
    losses.MulticlassHinge(margin=np.float32(2)),
    losses.Huber(np.float32(0.5)),
    losses.MeanAbsoluteError("sum"),
    losses.Quantile([0.1, np.float32(0.5)]),
    losses.Tweedie(1.25, reduction="mean"),
    losses.GaussianNLL(True, eps=1e-3),
    losses.BinaryFocalCrossentropy(True, label_smoothing=0.5),
    losses.CosineSimilarity(),
    losses.SparseCategoricalCrossentropy(ignore_class=-1, reduction=None),
    losses.CategoricalCrossentropy(from_logits=True),
    losses.SparseCategoricalCrossentropy(),
    losses.BinaryCrossentropy(from_logits=np.True_),
    metrics.BinaryAccuracy("hits", threshold=0.25),
    metrics.CategoricalAccuracy(),
    metrics.SparseCategoricalAccuracy("acc"),
    metrics.MeanSquaredError(),
    metrics.RootMeanSquaredError(),
    metrics.AUC(np.int64(30), "PR", "minoring", name="area"),
    metrics.Precision(np.float32(0.25)),
    metrics.Recall(name="found"),
    metrics.MeanAbsoluteError("m"),
    metrics.Precision([0.5, 0.25], top_k=np.int64(2), class_id=1),
    metrics.SpecificityAtSensitivity(0.5, 20, name="s"),
    metrics.FBetaScore("micro", beta=2.0, threshold=0.25),
    metrics.R2Score(None, num_regressors=2),
    metrics.SparseTopKCategoricalAccuracy(k=3),
    metrics.CategoricalCrossentropy(from_logits=True),
    metrics.ConfusionMatrix(labels=True),
    *(cls() for cls in (metrics.Accuracy, metrics.F1Score, metrics.TopKCategoricalAccuracy)),
    *(cls() for cls in (metrics.BinaryCrossentropy, metrics.SparseCategoricalCrossentropy)),
    *(cls(0.25) for cls in (metrics.TruePositives, metrics.TrueNegatives)),
    *(cls(0.25) for cls in (metrics.FalsePositives, metrics.FalseNegatives)),
    *(cls(0.25) for cls in (metrics.PrecisionAtRecall, metrics.RecallAtPrecision)),
    *(cls() for cls in (metrics.CategoricalHinge, metrics.CosineSimilarity, metrics.Hinge)),
    *(cls() for cls in (metrics.KLDivergence, metrics.LogCoshError, metrics.Poisson, metrics.SquaredHinge)),
    *(metrics.MeanAbsolutePercentageError(), metrics.MeanSquaredLogarithmicError()),
    *(metrics.SensitivityAtSpecificity(0.25), metrics.Mean("m"), metrics.Sum("m")),
    *(losses.Dice((0, np.int64(1))), losses.Tversky(0.25, 0.5, -1), losses.Dice(name="d", dtype=np.float32)),
    losses.CategoricalGeneralizedCrossEntropy(np.float32(0.25), name="robust", reduction="sum"),
    metrics.AUC(multi_label=True, num_labels=2, label_weights=[0.5, np.float32(2)], from_logits=True),
    metrics.AUC(thresholds=[0.25, 0.5], dtype="float64"),
    *(metrics.PearsonCorrelation(axis=np.int64(1)), metrics.ConcordanceCorrelation(name="c")),
    *(metrics.IoU(3, [0, 2], ignore_class=-1, sparse_y_pred=False), metrics.MeanIoU(3, axis=0)),
    *(metrics.OneHotIoU(3, (1,)), metrics.OneHotMeanIoU(3), metrics.BinaryIoU([0], 0.25)),
    metrics.SparseTopKCategoricalAccuracy(k=3, from_sorted_ids=True),
    metrics.SparseCategoricalCrossentropy(ignore_class=-1),
    optimizers.SGD(0.5, 0.9, True),
    optimizers.Adam(epsilon=1e-5),
    optimizers.RMSprop(rho=0.5),
    optimizers.Adagrad(initial_accumulator_value=0.5),
    optimizers.Adagrad(global_clipnorm=0.5),
    optimizers.SGD(clipnorm=1),
    optimizers.RMSprop(clipvalue=0.25),
    optimizers.AdamW(optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)),
    optimizers.SGD(optimizers.schedules.PiecewiseConstantDecay([3], [0.1, 0.2]), weight_decay=0.1),
    optimizers.schedules.CosineDecay(0.1, 10, warmup_target=0.2, warmup_steps=3),
    regularizers.L2(0.25),
    *(cls() for cls in losses._CLASSES),
    regularizers.L1(0.25),
    regularizers.L1L2(0.25, np.float32(0.5)),
    regularizers.OrthogonalRegularizer(0.25, "columns"),
    constraints.MaxNorm(3, axis=1),
    constraints.MinMaxNorm(0.5, 2, 0.25, [0, 1]),
    constraints.NonNeg(),
    constraints.UnitNorm(),
    optimizers.Adam(amsgrad=True, use_ema=True, ema_momentum=np.float32(0.5), ema_overwrite_frequency=7),
    optimizers.RMSprop(0.5, 0.8, 0.25, 1e-3, centered=True, gradient_accumulation_steps=4),
    optimizers.SGD(learning_rate_multipliers={"a": 0.5, "b/bias": np.float64(2)}, undecayed=["c"]),
    optimizers.AdamW(undecayed_patterns=["bias", "^beta$"]),
    optimizers.Ftrl(0.5, beta=0.25),
    *(optimizers._BY_NAME[name]() for name in ("adadelta", "adamax", "nadam", "lion", "lamb", "muon")),
    optimizers.Muon(
        0.1, weight_decay=None, exclude_layers=["out", "a.b"], rms_rate=None, ns_steps=np.int64(3)
    ),
    optimizers.schedules.CosineDecayRestarts(0.1, 10, 1.5, 0.5, 0.125),
    optimizers.schedules.OneCycle(0.5, 20, 0.25, linear=True),
    initializers.VarianceScaling(2.0, "fan_out", "uniform", seed=3),
    *(cls() for cls in initializers._CLASSES),
    initializers.Constant(np.float64(3)),
    initializers.RandomNormal(0.5, 2.0, seed=7),
    initializers.RandomUniform(-1.0, 2.0, seed=np.int64(3)),
]
LAYERS = [
    layers.Dense(
        3, "relu", False, "he_normal", "ones", "l2", regularizers.L2(0.5), name="d", trainable=False
    ),
    layers.Dense(2, layers.ELU(2.0), input_dim=4),
    layers.Dense(2, "leaky_relu"),
    layers.Maxout(3, 4, bias_regularizer="l2", kernel_constraint="max_norm"),
    layers.Dense(2, kernel_constraint=constraints.MinMaxNorm(0.5), bias_constraint="non_neg"),
    layers.Embedding(3, 2, embeddings_constraint="unit_norm"),
    layers.Embedding(3, 2, activity_regularizer="l1"),
    layers.Dense(3, activity_regularizer=regularizers.L1L2(0.1, 0.2)),
    layers.Maxout(3, 2, activity_regularizer="l2"),
    layers.ActivityRegularization(0.1, l2=np.float32(0.5)),
    layers.BatchNormalization(gamma_constraint="non_neg", beta_constraint=constraints.MaxNorm(1.0)),
    layers.Activation("tanh"),
    layers.Activation(layers.LeakyReLU(0.1)),
    layers.ReLU(),
    layers.ReLU(negative_slope=0.25),
    layers.ReLU(3, 0.25, 0.5),
    layers.Dense(2, layers.ReLU(0.0)),
    layers.Dense(2, partial(activations.gelu, approximate=True)),
    layers.Activation(partial(activations.threshold, threshold=1, default_value=0)),
    layers.LeakyReLU(),
    layers.ELU(0.5),
    layers.Concatenate(axis=1),
    layers.Scale(np.float32(2.5)),
    layers.Shift(-1),
    layers.WeightedSum(trainable=False),
    layers.Dropout(0.5),
    layers.Dropout(0.1, seed=3),
    layers.GaussianNoise(0.25, seed=0),
    layers.BatchNormalization(
        1, 0.5, 0.25, False, gamma_initializer="he_normal", gamma_regularizer="l2", name="n", trainable=False
    ),
    layers.BatchNormalization(scale=False, moving_mean_initializer=initializers.Constant(2.0)),
    layers.LayerNormalization(
        1, 0.5, False, gamma_initializer="he_normal", gamma_regularizer="l2", name="n", trainable=False
    ),
    layers.RMSNormalization(epsilon=0.5, trainable=False),
    layers.Normalization(mean=[1.0, 2.0], variance=(0.5, 0.25), invert=True, name="n"),
    layers.Normalization(axis=None),
    layers.Discretization([1.0, 2.5], output_mode="count"),
    layers.Discretization(num_bins=3, epsilon=0.1),
    layers.CategoryEncoding(3, "one_hot"),
    layers.PReLU("he_normal", "l2", trainable=False),
    layers.FeatureScale("he_normal", "l2", "non_neg", trainable=False),
    layers.GaussianDropout(0.5, seed=3),
    layers.AlphaDropout(0.5, seed=3),
    layers.Dot(1),
    layers.Dot((-1, 1), normalize=True),
    layers.Reshape((3,)),
    layers.Reshape([-1]),
    layers.Rescaling(1 / 255, offset=-1),
    layers.Embedding(7, 2),
    layers.Embedding(7, 2, "he_normal", "l2", name="e", trainable=False),
]
PLAIN = [
    cls()
    for name in layers.__all__
    if isinstance(cls := getattr(layers, name), type)
    and cls not in (layers.Layer, layers.Lambda, layers.InputLayer, *(type(layer) for layer in LAYERS))
]


def through_json(config: dict[str, Any]) -> Any:
    return json.loads(json.dumps(config, allow_nan=False))


@pytest.mark.parametrize("thing", DESCRIPTIONS, ids=repr)
def test_descriptions(thing: Any) -> None:
    config = through_json(thing.get_config())
    assert type(thing).from_config(config) == thing
    assert config == thing.get_config()


def test_all_classes_are_here() -> None:
    here = {type(thing) for thing in DESCRIPTIONS}
    for module, base in (
        (losses, losses.Loss),
        (metrics, metrics.Metric),
        (optimizers, optimizers.Optimizer),
        (initializers, initializers.Initializer),
    ):
        found = {getattr(module, name) for name in module.__all__}
        described = {cls for cls in found if isinstance(cls, type) and issubclass(cls, base)}
        assert described - {base, metrics.MeanMetricWrapper} <= here  # which is of a function


@pytest.mark.parametrize("layer", [*LAYERS, *PLAIN], ids=lambda layer: type(layer).__name__)
def test_layers(layer: layers.Layer) -> None:
    config = through_json(layer.get_config())
    again = type(layer).from_config(config)
    assert again.config == layer.config
    assert (again.name, again.trainable) == (layer.name, layer.trainable)
    assert again.get_config() == layer.get_config()
    assert getattr(again, "input_columns", None) == getattr(layer, "input_columns", None)


@pytest.mark.parametrize(
    ("get", "thing"),
    [
        (losses.get, losses.MulticlassHinge(2.0)),
        (optimizers.get, optimizers.Adam(0.5)),
        (initializers.get, initializers.HeNormal(seed=1)),
        (regularizers.get, regularizers.L2(0.5)),
        (
            lambda entry: metrics.get(entry, losses.MeanSquaredError(), 1),
            metrics.BinaryAccuracy(threshold=0.1),
        ),
    ],
)
def test_get_takes_what_is_written_down(get: Any, thing: Any) -> None:
    entry = {
        "class_name": type(thing).__name__,
        "config": thing.get_config(),
        "module": "x",
        "registered_name": None,
    }
    assert get(entry) == thing
    for bad in ({}, {"class_name": 5, "config": {}}, {"class_name": type(thing).__name__, "config": 5}):
        with pytest.raises(DTypeError, match="is written as"):
            get(bad)
    with pytest.raises(ConfigurationError, match="unknown"):
        get({"class_name": "Nothing", "config": {}})
    with pytest.raises(ConfigurationError, match="does not suit it"):
        get({"class_name": type(thing).__name__, "config": {"what": 1}})


@pytest.mark.parametrize(
    "config", [None, 5, [], {1: 2}, {"units": 3, "unit": 3}, {"units": 0}, {"activation": "relu"}]
)
def test_configurations_that_are_none(config: Any) -> None:
    with pytest.raises((FastnnError, AttributeError)) as caught:
        layers.Dense.from_config(config)
    assert isinstance(caught.value, FastnnError), "a plain error"


def test_a_model_of_a_configuration_has_new_weights() -> None:
    x = fastnn.Input((3,))
    model = fastnn.Model(x, [layers.Dense(2)(x), layers.Dense(1)(x)], dtype="float64", seed=5, name="two")
    again = fastnn.Model.from_config(through_json(model.get_config()))
    assert (again.name, again.dtype, again.seed) == ("two", np.float64, 5)
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)  # of the same seed
    again.layers[1].set_weights([w + 1 for w in again.layers[1].get_weights()])
    assert (model.layers[1].kernel != again.layers[1].kernel).all()


def test_a_chain_without_a_width() -> None:
    model = fastnn.Sequential([layers.Dense(2, "relu"), layers.Dense(1)], seed=5)
    again = fastnn.Sequential.from_config(through_json(model.get_config()))
    assert isinstance(again, fastnn.Sequential)
    assert not again.built
    x = np.ones((4, 3))
    np.testing.assert_array_equal(model.predict(x), again.predict(x))
    assert fastnn.Sequential.from_config(fastnn.Sequential(seed=1).get_config()).layers == []


@pytest.mark.parametrize(
    "config", [None, {}, {"parts": 5}, {"parts": [{"class_name": "Model", "config": {}}]}]
)
def test_configurations_of_models_that_are_none(config: Any) -> None:
    with pytest.raises(FastnnError):
        fastnn.Model.from_config(config)
