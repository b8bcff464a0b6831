"""Metrics: frozen descriptions, with the formulas of Keras 3.

A metric is given to `Model.compile`, by its name or as an object, and measured while the model runs; or it
measures arrays itself, by `Metric.update_state`.
"""
# This file must not know layers or kernels.

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from typing import Any

from fastnn import losses
from fastnn.absent import attribute_error
from fastnn.checks import shown
from fastnn.described import rebuilt, snake_case
from fastnn.errors import ConfigurationError, DTypeError, unknown_name
from fastnn.losses import Loss
from fastnn.metrics._accuracies import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
)
from fastnn.metrics._base import Metric
from fastnn.metrics._counts import (
    AUC,
    FalseNegatives,
    FalsePositives,
    Precision,
    PrecisionAtRecall,
    Recall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
    TrueNegatives,
    TruePositives,
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
from fastnn.metrics._own import FunctionMetric
from fastnn.metrics._scores import ConfusionMatrix, F1Score, FBetaScore, R2Score
from fastnn.metrics._standalone import Mean, Sum

__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "ConfusionMatrix",
    "CosineSimilarity",
    "F1Score",
    "FBetaScore",
    "FalseNegatives",
    "FalsePositives",
    "Hinge",
    "KLDivergence",
    "LogCoshError",
    "Mean",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
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
    "get",
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


def get(identifier: object, loss: Loss, outputs: int) -> Metric:
    """Return the metric that a name, a class or an instance stands for.

    Parameters
    ----------
    identifier : str, Metric, subclass, function or dict
        A function returns one value a row, or a number.  A dict has the ``"class_name"`` and the
        ``"config"`` of a metric.
        ``"accuracy"`` (or ``"acc"``) becomes the accuracy that suits the targets, as in Keras.
    loss : Loss
        The model's loss, which says what targets it takes.
    outputs : int
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
    >>> from fastnn.losses import BinaryCrossentropy
    >>> get("accuracy", BinaryCrossentropy(), outputs=1)
    BinaryAccuracy(name='accuracy', threshold=0.5)
    """
    if isinstance(identifier, Metric):
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
    if callable(identifier) and not isinstance(identifier, type):
        name = losses.name_of(identifier)
        return get(name, loss, outputs) if name in _BY_NAME else FunctionMetric(source=identifier)
    if not isinstance(identifier, str):
        raise DTypeError(f"a metric is a name, a Metric or a function, got {shown(identifier)}")
    if identifier in ("accuracy", "acc"):
        if loss.sparse:
            return SparseCategoricalAccuracy(identifier)
        return BinaryAccuracy(identifier) if outputs == 1 else CategoricalAccuracy(identifier)
    if identifier not in _BY_NAME:
        raise unknown_name("metric", identifier, ["accuracy", *(cls.default_name for cls in _CLASSES)])
    return get(_made(_BY_NAME[identifier], name=identifier), loss, outputs)


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
