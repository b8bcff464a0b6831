"""Metrics: frozen descriptions, with the formulas of Keras 3.

A metric is given to `Model.compile`, by its name or as an object, and measured while the model runs; or it
measures arrays itself, by `Metric.update_state`.
"""
# This file must not know layers or kernels.

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from types import FunctionType
from typing import Any

from fastnn.absent import attribute_error
from fastnn.checks import shown
from fastnn.described import own_classes, rebuilt, snake_case, written
from fastnn.errors import ConfigurationError, DTypeError, unknown_name
from fastnn.losses import (
    Loss,
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    cosine_similarity,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from fastnn.metrics._accuracies import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
)
from fastnn.metrics._areas import AUC
from fastnn.metrics._base import Metric
from fastnn.metrics._correlations import ConcordanceCorrelation, PearsonCorrelation
from fastnn.metrics._counts import FalseNegatives, FalsePositives, TrueNegatives, TruePositives
from fastnn.metrics._functions import (
    binary_accuracy,
    categorical_accuracy,
    concordance_correlation,
    pearson_correlation,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from fastnn.metrics._means import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    MeanAbsoluteError,
    MeanSquaredError,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
)
from fastnn.metrics._more_means import (
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsolutePercentageError,
    MeanSquaredLogarithmicError,
    Poisson,
    SquaredHinge,
)
from fastnn.metrics._overlaps import BinaryIoU, IoU, MeanIoU, OneHotIoU, OneHotMeanIoU
from fastnn.metrics._own import FunctionMetric
from fastnn.metrics._scores import ConfusionMatrix, F1Score, FBetaScore, R2Score
from fastnn.metrics._shares import (
    Precision,
    PrecisionAtRecall,
    Recall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
)
from fastnn.metrics._standalone import Mean, MeanMetricWrapper, Sum

__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "BinaryIoU",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "ConcordanceCorrelation",
    "ConfusionMatrix",
    "CosineSimilarity",
    "F1Score",
    "FBetaScore",
    "FalseNegatives",
    "FalsePositives",
    "Hinge",
    "IoU",
    "KLDivergence",
    "LogCoshError",
    "Mean",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanIoU",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "OneHotIoU",
    "OneHotMeanIoU",
    "PearsonCorrelation",
    "Poisson",
    "Precision",
    "PrecisionAtRecall",
    "R2Score",
    "Recall",
    "RecallAtPrecision",
    "RootMeanSquaredError",
    "SensitivityAtSpecificity",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SpecificityAtSensitivity",
    "SquaredHinge",
    "Sum",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "binary_accuracy",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_accuracy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "concordance_correlation",
    "deserialize",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "pearson_correlation",
    "poisson",
    "serialize",
    "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy",
    "squared_hinge",
    "top_k_categorical_accuracy",
]


def __dir__() -> list[str]:
    return __all__


_CLASSES: tuple[type[Metric], ...] = (
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    TopKCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    Accuracy,
    MeanSquaredError,
    RootMeanSquaredError,
    MeanAbsoluteError,
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsolutePercentageError,
    MeanSquaredLogarithmicError,
    Poisson,
    SquaredHinge,
    AUC,
    Precision,
    Recall,
    TruePositives,
    TrueNegatives,
    FalsePositives,
    FalseNegatives,
    PrecisionAtRecall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
    F1Score,
    FBetaScore,
    R2Score,
    ConfusionMatrix,
    PearsonCorrelation,
    ConcordanceCorrelation,
    IoU,
    BinaryIoU,
    MeanIoU,
    OneHotIoU,
    OneHotMeanIoU,
    Mean,
    Sum,
)
# As in Keras: by the class's name, also in small letters with words apart.
_BY_NAME = {cls.default_name: cls for cls in _CLASSES} | {cls.__name__: cls for cls in _CLASSES}
_BY_NAME |= {snake_case(cls.__name__): cls for cls in _CLASSES}
_BY_NAME |= {"mse": MeanSquaredError, "MSE": MeanSquaredError}
_BY_NAME |= {"mae": MeanAbsoluteError, "MAE": MeanAbsoluteError}
_BY_NAME |= {"mape": MeanAbsolutePercentageError, "MAPE": MeanAbsolutePercentageError}
_BY_NAME |= {"msle": MeanSquaredLogarithmicError, "MSLE": MeanSquaredLogarithmicError}
_BY_NAME |= {"bce": BinaryCrossentropy, "BCE": BinaryCrossentropy}
# Functions stand for the metrics of their names.
_FUNCTIONS: dict[object, str] = {
    globals()[name]: name for name in _BY_NAME if isinstance(globals().get(name), FunctionType)
}
_FUNCTIONS |= {cosine_similarity: "cosine_similarity", log_cosh: "log_cosh_error"}


def get(identifier: object, loss: Loss | None = None, outputs: int | None = None) -> Metric:
    """Return the metric that a name, a class or an instance stands for.

    Parameters
    ----------
    identifier : str, Metric, subclass, function or dict
        A function of yours returns one value a row, or a number.  A dict has the ``"class_name"`` and the
        ``"config"`` of a metric.
        ``"accuracy"`` (or ``"acc"``) becomes the accuracy that suits the targets of a loss, as in Keras;
        without a loss it is `Accuracy`.
    loss : Loss, optional
        A model's loss, which says what targets it takes, for a metric of a model.
    outputs : int, optional
        Width of the model's output.

    Returns
    -------
    Metric

    Raises
    ------
    ConfigurationError
        If the name is unknown.
    DTypeError
        If it is neither a name nor a metric.

    Examples
    --------
    >>> get("mse").name
    'mean_squared_error'
    >>> from fastnn import losses
    >>> get("accuracy", losses.BinaryCrossentropy(), outputs=1)
    BinaryAccuracy(name='accuracy', threshold=0.5)
    """
    if isinstance(identifier, Metric):
        if loss is None:
            return identifier
        if isinstance(identifier, Mean):
            raise ConfigurationError(
                f"{type(identifier).__name__} is no metric of a model, as it takes values, not targets and "
                "outputs; call its update_state(values)"
            )
        identifier.check_runs()
        if isinstance(identifier, ConfusionMatrix) and identifier.labels is None:
            return replace(identifier, labels=loss.sparse)
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Metric):
        return get(_made(identifier), loss, outputs)
    if isinstance(identifier, Mapping):
        return get(rebuilt(identifier, _CLASSES, "metric"), loss, outputs)
    if isinstance(identifier, FunctionType) and identifier in _FUNCTIONS:
        return get(_made(_BY_NAME[_FUNCTIONS[identifier]], name=identifier.__name__), loss, outputs)
    if callable(identifier) and not isinstance(identifier, type):
        return FunctionMetric(source=identifier)
    if not isinstance(identifier, str):
        raise DTypeError(f"a metric is a name, a Metric or a function, got {shown(identifier)}")
    if identifier in ("accuracy", "acc") and loss is not None:
        if loss.sparse:
            return SparseCategoricalAccuracy(identifier)
        return BinaryAccuracy(identifier) if outputs == 1 else CategoricalAccuracy(identifier)
    if identifier not in _BY_NAME:
        raise unknown_name("metric", identifier, ["accuracy", *(cls.default_name for cls in _CLASSES)])
    if loss is None:
        return _made(_BY_NAME[identifier])
    return get(_made(_BY_NAME[identifier], name=identifier), loss, outputs)


def serialize(metric: object) -> dict[str, Any]:
    """Return a metric as plain values, which `deserialize` and `get` take.

    Parameters
    ----------
    metric : Metric, or what `get` takes for one

    Returns
    -------
    dict
        Of ``"class_name"`` and ``"config"``.

    Raises
    ------
    ConfigurationError, DTypeError
        If it is no metric, or cannot be written down.

    Examples
    --------
    >>> serialize(TopKCategoricalAccuracy(k=3))["config"]["k"]
    3
    """
    return written(get(metric))


def deserialize(config: object, custom_objects: Mapping[str, type] | None = None) -> Metric:
    """Return the metric that `serialize` was called on, or that a name stands for.

    Parameters
    ----------
    config : dict or str
    custom_objects : dict of str to type, optional
        Classes besides those of fastnn, by their names.

    Returns
    -------
    Metric

    Raises
    ------
    ConfigurationError, DTypeError
        If it is no metric.

    Examples
    --------
    >>> deserialize({"class_name": "TopKCategoricalAccuracy", "config": {"k": 3}}).k
    3
    """
    with own_classes(custom_objects):
        return get(config)


def _made(cls: type[Metric], **options: str) -> Metric:
    """Return a metric of a class, with all its arguments' defaults."""
    for argument in fields(cls):
        if argument.default is MISSING:
            raise ConfigurationError(
                f"{cls.__name__} needs its argument {argument.name}; give "
                f"metrics.{cls.__name__}({argument.name}=0.5) instead of the name or class"
            )
    return cls(**options)


def __getattr__(name: str) -> Any:
    raise attribute_error(__name__, name, __all__)
