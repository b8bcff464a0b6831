"""Metrics made of sums by class or by output: F scores, the coefficient of determination, confusion.

This file must not know layers or kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from fastnn import confusion
from fastnn.checks import check_count, check_flag, check_number
from fastnn.errors import unknown_name
from fastnn.metrics._base import Metric
from fastnn.opcodes import OpCode

__all__ = ["ConfusionMatrix", "F1Score", "FBetaScore", "R2Score"]

_AVERAGES = ("micro", "macro", "weighted")
_AGGREGATIONS = ("uniform_average", "variance_weighted_average")


@dataclass(frozen=True)
class _FScore(Metric):
    """Base of the F scores."""

    name: str = field(default="", kw_only=True)
    average: str | None = None

    code: ClassVar[OpCode] = OpCode.CLASS_HITS
    counts: ClassVar[bool] = True
    larger_is_better: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.average is not None and self.average not in _AVERAGES:
            raise unknown_name("average", str(self.average), _AVERAGES)
        if (threshold := self._threshold) is not None:
            self._set("threshold", check_number(threshold, "threshold", 0.0, 1.0, open_minimum=True))

    @property
    def _threshold(self) -> float | None:
        return vars(self)["threshold"]

    def width(self, outputs: int) -> int:
        """Return how many sums there are: of each class what is rightly found, is found, and there is."""
        return 3 * outputs

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return the op's constants."""
        return (0.0, 1.0) if self._threshold is None else (self._threshold, 0.0)

    def of_sums(self, sums: Sequence[Any]) -> Any:
        """Return the score, or that of each class."""
        return confusion.f_scores(sums, getattr(self, "beta", 1.0), self.average)


@dataclass(frozen=True)
class FBetaScore(_FScore):
    """F score: the harmonic mean of precision and recall, which counts `beta` times as much.

    ``(1 + beta^2) precision recall / (beta^2 precision + recall)`` of each class, where 1e-7 is added to
    denominators, as in Keras.  Targets are 0 and 1, one for each class.

    Parameters
    ----------
    average : {"micro", "macro", "weighted"}, optional
        The score of all classes as if they were one, the mean of the classes', or the mean by how often they
        occur; by default the metric is an array with the score of each class.
    beta : float
        Above 0.
    threshold : float, optional
        A class is found if its output is above it; from 0, without it, to 1.  By default the class with the
        largest output of a row is found, and several if they are equal, but none with an output of 0.
    name : str, optional

    Raises
    ------
    ConfigurationError, DTypeError
        If an argument is unknown or out of range.

    Examples
    --------
    >>> score = FBetaScore(beta=2.0, threshold=0.5)
    >>> score([[1, 1], [1, 0], [1, 1]], [[0.2, 0.6], [0.2, 0.6], [0.6, 0.8]]).round(3)
    array([0.385, 0.909])
    """

    beta: float = 1.0
    threshold: float | None = None

    default_name: ClassVar[str] = "fbeta_score"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("beta", check_number(self.beta, "beta", 0.0, open_minimum=True))


@dataclass(frozen=True)
class F1Score(_FScore):
    """F score: the harmonic mean of precision and recall, ``2 precision recall / (precision + recall)``.

    Parameters
    ----------
    average : {"micro", "macro", "weighted"}, optional
        As that of `FBetaScore`; by default the metric is an array with the score of each class.
    threshold : float, optional
        As that of `FBetaScore`; by default the class with the largest output is found.
    name : str, optional

    Raises
    ------
    ConfigurationError, DTypeError
        If an argument is unknown or out of range.

    Examples
    --------
    >>> F1Score(threshold=0.5)([[1, 1], [1, 0], [1, 1]], [[0.2, 0.6], [0.2, 0.6], [0.6, 0.8]]).round(4)
    array([0.5, 0.8])
    """

    threshold: float | None = None

    default_name: ClassVar[str] = "f1_score"


@dataclass(frozen=True)
class R2Score(Metric):
    """Coefficient of determination, R squared: 1 less the squared errors over those of the targets' mean.

    1 is the best; 0 is what the mean of the targets would have; worse outputs have less.

    Parameters
    ----------
    class_aggregation : {"uniform_average", "variance_weighted_average"} or None
        The mean of the outputs' scores, or that by how much their targets vary; None for an array of them.
    num_regressors : int
        For the adjusted coefficient: how many features the outputs are made of.  Where there are no more
        targets than that, the plain one stays.
    name : str, optional

    Raises
    ------
    ConfigurationError, DTypeError
        If an argument is unknown or out of range.

    Examples
    --------
    >>> round(R2Score()([[1.0], [4.0], [3.0]], [[2.0], [4.0], [4.0]]), 4)
    0.5714
    """

    name: str = field(default="", kw_only=True)
    class_aggregation: str | None = "uniform_average"
    num_regressors: int = 0

    default_name: ClassVar[str] = "r2_score"
    code: ClassVar[OpCode] = OpCode.TARGET_MOMENTS
    counts: ClassVar[bool] = True
    larger_is_better: ClassVar[bool] = True
    weighs: ClassVar[str] = "columns"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.class_aggregation is not None and self.class_aggregation not in _AGGREGATIONS:
            raise unknown_name("class_aggregation", str(self.class_aggregation), _AGGREGATIONS)
        self._set("num_regressors", check_count(self.num_regressors, "num_regressors", 0))

    def width(self, outputs: int) -> int:
        """Return how many sums there are: four of each output, and the number of targets."""
        return 4 * outputs + 1

    def joined(self, parts: Sequence[list[float]]) -> list[float]:
        """Return the sums of several outputs, from those of each alone."""
        return [*(part[place] for place in range(4) for part in parts), sum(part[4] for part in parts)]

    def of_sums(self, sums: Sequence[Any]) -> Any:
        """Return the coefficient, or that of each output."""
        return confusion.determination(sums, self.class_aggregation, self.num_regressors)


@dataclass(frozen=True)
class ConfusionMatrix(Metric):
    """How often which class is taken for which: an array, a row for each true class, a column for each found.

    The class that is found has the largest output of a row; the true one is a label or, of targets with one
    number for each class, the largest.  One output stands for two classes: the second one is found above the
    threshold, and is true where the target is not 0.  With sample weights, it holds their sums.

    Parameters
    ----------
    threshold : float
        For one output.
    labels : bool, optional
        Whether targets are labels.  By default the model's loss says so; without a model they are not.
    name : str, optional

    Raises
    ------
    DTypeError
        If an argument is of another type.

    Examples
    --------
    >>> ConfusionMatrix()([0, 0, 1, 1], [0.2, 0.6, 0.7, 0.8])
    array([[1., 1.],
           [0., 2.]])
    >>> ConfusionMatrix(labels=True)([1, 0], [[0.2, 0.8], [0.3, 0.7]])
    array([[0., 1.],
           [0., 1.]])
    """

    name: str = field(default="", kw_only=True)
    threshold: float = 0.5
    labels: bool | None = None

    default_name: ClassVar[str] = "confusion_matrix"
    code: ClassVar[OpCode] = OpCode.CONFUSION
    counts: ClassVar[bool] = True
    larger_is_better: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("threshold", check_number(self.threshold, "threshold"))
        if self.labels is not None:
            self._set("labels", check_flag(self.labels, "labels"))
        self._set("sparse", bool(self.labels))

    def width(self, outputs: int) -> int:
        """Return how many sums there are: the square of the number of classes."""
        return max(outputs, 2) ** 2

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return the op's constants."""
        return float(self.sparse), self.threshold

    def of_sums(self, sums: Sequence[Any]) -> Any:
        """Return the table."""
        return confusion.table(sums)
