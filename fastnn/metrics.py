"""Metrics: frozen descriptions, with the formulas of Keras 3.

A description says which op, without a gradient, adds up its sums while a plan runs, what these are divided
by, and what number is made of them at the end.
"""
# This file must not know layers or kernels.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from fastnn.absent import attribute_error
from fastnn.checks import check_count, check_number
from fastnn.confusion import area, share
from fastnn.described import Described, rebuilt
from fastnn.errors import ConfigurationError, DTypeError, unknown_name
from fastnn.losses import Loss
from fastnn.opcodes import OpCode
from fastnn.ops import Pointwise

__all__ = [
    "AUC",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "Precision",
    "Recall",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "get",
]


def __dir__() -> list[str]:
    return __all__


_AS_IT_IS = (0.0, 1.0)  # constants of a loss's op: it is not divided by the rows, and its share is 1


@dataclass(frozen=True)
class Metric(Described):
    """Base of the metrics.

    Parameters
    ----------
    name : str, optional
        The key in a `History`; the default is the metric's own name.
    """

    name: str = ""

    default_name: ClassVar[str] = ""
    code: ClassVar[OpCode]
    function: ClassVar[Pointwise | None] = None  # of point-wise metrics
    sparse: ClassVar[bool] = False
    counts: ClassVar[bool] = False  # whether the sums are not divided: by the rows, or by their weights
    larger_is_better: ClassVar[bool] = False  # which way callbacks with mode="auto" look

    def __post_init__(self) -> None:
        if type(self) is Metric:
            raise ConfigurationError("Metric is a base class; use one of its subclasses")
        if not self.name:
            object.__setattr__(self, "name", self.default_name)

    @property
    def width(self) -> int:
        """How many sums there are."""
        return 1

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return the op's constants."""
        return _AS_IT_IS if self.function is None else (*_AS_IT_IS, float(self.function), float(outputs))

    def result(self, sums: Sequence[Any]) -> Any:
        """Return the metric.

        Parameters
        ----------
        sums : sequence of float, or of numpy.ndarray
            Divided by the rows, or by their weights, unless `counts`; arrays have a number for each epoch.

        Returns
        -------
        float or numpy.ndarray
        """
        return sums[0]


@dataclass(frozen=True)
class BinaryAccuracy(Metric):
    """Share of outputs on the right side of `threshold`.

    Parameters
    ----------
    name : str, optional
    threshold : float
        An output above it counts as 1.

    Examples
    --------
    >>> BinaryAccuracy().name
    'binary_accuracy'
    """

    threshold: float = 0.5

    default_name: ClassVar[str] = "binary_accuracy"
    code: ClassVar[OpCode] = OpCode.BINARY_ACCURACY
    larger_is_better: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "threshold", check_number(self.threshold, "threshold"))

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return the op's constants."""
        return (self.threshold,)


@dataclass(frozen=True)
class CategoricalAccuracy(Metric):
    """Share of rows whose largest output stands where the largest target stands.

    Examples
    --------
    >>> CategoricalAccuracy().name
    'categorical_accuracy'
    """

    default_name: ClassVar[str] = "categorical_accuracy"
    code: ClassVar[OpCode] = OpCode.CATEGORICAL_ACCURACY
    larger_is_better: ClassVar[bool] = True

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return the op's constants."""
        return (0.0,)


@dataclass(frozen=True)
class SparseCategoricalAccuracy(Metric):
    """Share of rows whose largest output is the labelled one.

    Examples
    --------
    >>> SparseCategoricalAccuracy().name
    'sparse_categorical_accuracy'
    """

    default_name: ClassVar[str] = "sparse_categorical_accuracy"
    code: ClassVar[OpCode] = OpCode.CATEGORICAL_ACCURACY
    sparse: ClassVar[bool] = True
    larger_is_better: ClassVar[bool] = True

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return the op's constants."""
        return (1.0,)


@dataclass(frozen=True)
class MeanSquaredError(Metric):
    """Mean over rows and outputs of ``(y - t)^2``.

    Examples
    --------
    >>> MeanSquaredError().name
    'mean_squared_error'
    """

    default_name: ClassVar[str] = "mean_squared_error"
    code: ClassVar[OpCode] = OpCode.SQUARED_ERROR

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return the op's constants."""
        return (*_AS_IT_IS, 1.0 / outputs)


@dataclass(frozen=True)
class RootMeanSquaredError(MeanSquaredError):
    """Root of the mean over rows and outputs of ``(y - t)^2``.

    Examples
    --------
    >>> RootMeanSquaredError().result([4.0])
    2.0
    """

    default_name: ClassVar[str] = "root_mean_squared_error"

    def result(self, sums: Sequence[Any]) -> Any:
        """Return the root of the mean."""
        return sums[0] ** 0.5


@dataclass(frozen=True)
class MeanAbsoluteError(Metric):
    """Mean over rows and outputs of ``|y - t|``.

    Examples
    --------
    >>> MeanAbsoluteError().name
    'mean_absolute_error'
    """

    default_name: ClassVar[str] = "mean_absolute_error"
    code: ClassVar[OpCode] = OpCode.POINTWISE_LOSS
    function: ClassVar[Pointwise | None] = Pointwise.ABSOLUTE_ERROR


_CURVES = ("ROC", "PR")
_METHODS = ("interpolation", "minoring", "majoring")
_MOST_THRESHOLDS = 10_000


@dataclass(frozen=True)
class AUC(Metric):
    """Area under the curve of a binary classifier, from counts between thresholds.

    Outputs lie between 0 and 1; targets are 0 or 1; several outputs count as if they were more rows.  The
    thresholds are 0, 1 and others at equal distances between them.

    Parameters
    ----------
    num_thresholds : int
        From 2 to 10000.
    curve : {"ROC", "PR"}
        Recall over the rate of false positives, or precision over recall.
    summation_method : {"interpolation", "minoring", "majoring"}
        Between two thresholds: the trapezoid of an ROC, and the formula of Davis and Goadrich 2006 for a PR
        curve, or the lower, or the higher, of both.
    name : str, optional

    Raises
    ------
    ConfigurationError
        If an argument is unknown or out of range.

    Examples
    --------
    >>> area = AUC(num_thresholds=3).result([1.0, 2.0, 2.0, 1.0])  # positives up to 0.5 and above, negatives
    >>> round(area, 3)
    0.667
    """

    name: str = field(default="", kw_only=True)
    num_thresholds: int = 200
    curve: str = "ROC"
    summation_method: str = "interpolation"

    default_name: ClassVar[str] = "auc"
    code: ClassVar[OpCode] = OpCode.THRESHOLD_COUNTS
    counts: ClassVar[bool] = True
    larger_is_better: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        count = check_count(self.num_thresholds, "num_thresholds", 2, _MOST_THRESHOLDS)
        object.__setattr__(self, "num_thresholds", count)
        if self.curve not in _CURVES:
            raise unknown_name("curve", str(self.curve), _CURVES)
        if self.summation_method not in _METHODS:
            raise unknown_name("summation_method", str(self.summation_method), _METHODS)

    @property
    def width(self) -> int:
        """How many sums there are: of positives between two thresholds each, then of negatives."""
        return 2 * (self.num_thresholds - 1)

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return the op's constants."""
        buckets = float(self.num_thresholds - 1)
        return buckets, 0.0, buckets, 1.0

    def result(self, sums: Sequence[Any]) -> Any:
        """Return the area."""
        return area(sums, self.num_thresholds - 1, self.curve, self.summation_method)


@dataclass(frozen=True)
class _Above(Metric):
    """Base of what is made of the counts of outputs above a threshold, and of others."""

    name: str = field(default="", kw_only=True)
    thresholds: float = 0.5

    code: ClassVar[OpCode] = OpCode.THRESHOLD_COUNTS
    counts: ClassVar[bool] = True
    larger_is_better: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "thresholds", check_number(self.thresholds, "thresholds", 0.0, 1.0))

    @property
    def width(self) -> int:
        """How many sums there are: positives below and above, then negatives."""
        return 4

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return the op's constants."""
        return 2.0, self.thresholds, 1.0, 0.0


@dataclass(frozen=True)
class Precision(_Above):
    """Share of the outputs above a threshold whose target is 1; 0 if there is none.

    Parameters
    ----------
    thresholds : float
        One number from 0 to 1, not a list.
    name : str, optional

    Raises
    ------
    ConfigurationError, DTypeError
        If the threshold is no such number.

    Examples
    --------
    >>> Precision().result([1.0, 3.0, 4.0, 1.0])  # positives below and above, negatives
    0.75
    """

    default_name: ClassVar[str] = "precision"

    def result(self, sums: Sequence[Any]) -> Any:
        """Return the share."""
        _, right, _, wrong = sums
        return share(right, wrong)


@dataclass(frozen=True)
class Recall(_Above):
    """Share of the outputs whose target is 1 that are above a threshold; 0 if there is none.

    Parameters
    ----------
    thresholds : float
        One number from 0 to 1, not a list.
    name : str, optional

    Raises
    ------
    ConfigurationError, DTypeError
        If the threshold is no such number.

    Examples
    --------
    >>> Recall().result([1.0, 3.0, 4.0, 1.0])  # positives below and above, negatives
    0.75
    """

    default_name: ClassVar[str] = "recall"

    def result(self, sums: Sequence[Any]) -> Any:
        """Return the share."""
        missed, right, _, _ = sums
        return share(right, missed)


_CLASSES: tuple[type[Metric], ...] = (
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    MeanSquaredError,
    RootMeanSquaredError,
    MeanAbsoluteError,
    AUC,
    Precision,
    Recall,
)
_BY_NAME = {cls.default_name: cls for cls in _CLASSES} | {cls.__name__: cls for cls in _CLASSES}
_BY_NAME |= {"mse": MeanSquaredError, "MSE": MeanSquaredError}
_BY_NAME |= {"mae": MeanAbsoluteError, "MAE": MeanAbsoluteError}


def get(identifier: str | Metric | type[Metric] | Mapping[str, object], loss: Loss, outputs: int) -> Metric:
    """Return the metric that a name, a class or an instance stands for.

    Parameters
    ----------
    identifier : str, Metric, subclass or dict
        A dict has the ``"class_name"`` and the ``"config"`` of a metric.
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
        if not hasattr(identifier, "code"):
            raise ConfigurationError(
                f"{type(identifier).__name__} cannot run: metrics are those of fastnn.metrics"
            )
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Metric):
        return get(identifier(), loss, outputs)
    if isinstance(identifier, Mapping):
        return get(rebuilt(identifier, _CLASSES, "metric"), loss, outputs)
    if not isinstance(identifier, str):
        raise DTypeError(f"a metric is a name or a Metric, got {identifier!r}")
    if identifier in ("accuracy", "acc"):
        if loss.sparse:
            return SparseCategoricalAccuracy(identifier)
        return BinaryAccuracy(identifier) if outputs == 1 else CategoricalAccuracy(identifier)
    if identifier not in _BY_NAME:
        raise unknown_name("metric", identifier, ["accuracy", *(cls.default_name for cls in _CLASSES)])
    return _BY_NAME[identifier](name=identifier)


def __getattr__(name: str) -> Any:
    raise attribute_error(__name__, name, __all__)
