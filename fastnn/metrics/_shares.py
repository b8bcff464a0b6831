"""Shares of outputs above thresholds: precision, recall, and the best of one where another is large enough.

This file must not know layers or kernels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from fastnn import confusion
from fastnn.checks import check_count, check_number
from fastnn.metrics._counts import MOST_THRESHOLDS, Above, Counts

__all__ = [
    "Precision",
    "PrecisionAtRecall",
    "Recall",
    "RecallAtPrecision",
    "SensitivityAtSpecificity",
    "SpecificityAtSensitivity",
]


@dataclass(frozen=True)
class _OfClasses(Above):
    """Base of those that may look at one class, or at the largest outputs of a row."""

    top_k: int | None = None
    class_id: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_count("top_k", 1)
        self._check_count("class_id", 0)


@dataclass(frozen=True)
class Precision(_OfClasses):
    """Share of the outputs above a threshold whose target is 1; 0 if there is none.

    Parameters
    ----------
    thresholds : float or list of float, optional
        As those of `TruePositives`; with `top_k` the default is below all outputs.
    top_k : int, optional
        Outputs are above a threshold only if they are among so many largest of their row, too.
    class_id : int, optional
        The only output that counts.
    name : str, optional

    Raises
    ------
    ConfigurationError, DTypeError
        If an argument is no such number.

    Examples
    --------
    >>> Precision().result([1.0, 3.0, 4.0, 1.0])  # positives below and above, negatives
    0.75
    >>> Precision(top_k=2)([[0, 0, 1, 1]], [[0.1, 0.2, 0.3, 0.05]])
    0.5
    """

    default_name: ClassVar[str] = "precision"

    def _of_counts(self, found: Any, wrong: Any, right: Any, missed: Any) -> Any:
        return confusion.share(found, wrong)


@dataclass(frozen=True)
class Recall(_OfClasses):
    """Share of the outputs whose target is 1 that are above a threshold; 0 if there is none.

    Parameters
    ----------
    thresholds : float or list of float, optional
        As those of `TruePositives`; with `top_k` the default is below all outputs.
    top_k : int, optional
        Outputs are above a threshold only if they are among so many largest of their row, too.
    class_id : int, optional
        The only output that counts.
    name : str, optional

    Raises
    ------
    ConfigurationError, DTypeError
        If an argument is no such number.

    Examples
    --------
    >>> Recall().result([1.0, 3.0, 4.0, 1.0])  # positives below and above, negatives
    0.75
    """

    default_name: ClassVar[str] = "recall"

    def _of_counts(self, found: Any, wrong: Any, right: Any, missed: Any) -> Any:
        return confusion.share(found, missed)


@dataclass(frozen=True)
class _Best(Counts, ABC):
    """Base of the largest share, over thresholds, where another share is at least a given one."""

    least: ClassVar[str]  # the first argument: at least what the other share is

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("num_thresholds", check_count(self._count, "num_thresholds", 1, MOST_THRESHOLDS))
        self._set(self.least, check_number(getattr(self, self.least), self.least, 0.0, 1.0))
        self._check_count("class_id", 0)

    def width(self, outputs: int) -> int:
        """Return how many sums there are: of positives between two thresholds each, then of negatives."""
        return 2 * max(self._count, 2)

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return the op's constants."""
        column = vars(self)["class_id"]
        if self._count == 1:
            return self._constants(outputs, 2, 0.5, 1.0, 0.0, column)
        return self._constants(outputs, self._count, 0.0, self._count - 1.0, 0.0, column)

    def of_sums(self, sums: Sequence[Any]) -> Any:
        """Return the share."""
        counts = confusion.by_thresholds(sums, range(1, self._count + 1))
        return confusion.best_under(*self._shares(*counts), getattr(self, self.least))

    @property
    def _count(self) -> Any:
        return vars(self)["num_thresholds"]

    @abstractmethod
    def _shares(self, found: Any, wrong: Any, right: Any, missed: Any) -> tuple[Any, Any]:
        """Return the share that must be large enough, and the one that is the metric, by threshold."""


@dataclass(frozen=True)
class PrecisionAtRecall(_Best):
    """Best precision of all thresholds at which recall is at least `recall`.

    Parameters
    ----------
    recall : float
        From 0 to 1.
    num_thresholds : int
        From 1 to 10000: 0, 1 and others at equal distances between them; 0.5 if it is only one.
    class_id : int, optional
        The only output that counts.
    name : str, optional

    Raises
    ------
    ConfigurationError, DTypeError
        If an argument is no such number.

    Examples
    --------
    >>> PrecisionAtRecall(0.5)([0, 0, 0, 1, 1], [0.1, 0.3, 0.8, 0.3, 0.9])
    1.0
    """

    recall: float
    num_thresholds: int = 200
    class_id: int | None = None

    default_name: ClassVar[str] = "precision_at_recall"
    least: ClassVar[str] = "recall"

    def _shares(self, found: Any, wrong: Any, right: Any, missed: Any) -> tuple[Any, Any]:
        return confusion.share(found, missed), confusion.share(found, wrong)


@dataclass(frozen=True)
class RecallAtPrecision(_Best):
    """Best recall of all thresholds at which precision is at least `precision`.

    Parameters
    ----------
    precision : float
        From 0 to 1.
    num_thresholds : int
        As that of `PrecisionAtRecall`.
    class_id : int, optional
        The only output that counts.
    name : str, optional

    Raises
    ------
    ConfigurationError, DTypeError
        If an argument is no such number.

    Examples
    --------
    >>> RecallAtPrecision(0.8)([0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9])
    0.5
    """

    precision: float
    num_thresholds: int = 200
    class_id: int | None = None

    default_name: ClassVar[str] = "recall_at_precision"
    least: ClassVar[str] = "precision"

    def _shares(self, found: Any, wrong: Any, right: Any, missed: Any) -> tuple[Any, Any]:
        return confusion.share(found, wrong), confusion.share(found, missed)


@dataclass(frozen=True)
class SensitivityAtSpecificity(_Best):
    """Best sensitivity, which is recall, of all thresholds at which specificity is at least `specificity`.

    Specificity is the share of outputs with the target 0 that are not above the threshold.

    Parameters
    ----------
    specificity : float
        From 0 to 1.
    num_thresholds : int
        As that of `PrecisionAtRecall`.
    class_id : int, optional
        The only output that counts.
    name : str, optional

    Raises
    ------
    ConfigurationError, DTypeError
        If an argument is no such number.

    Examples
    --------
    >>> SensitivityAtSpecificity(0.5)([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8])
    0.5
    """

    specificity: float
    num_thresholds: int = 200
    class_id: int | None = None

    default_name: ClassVar[str] = "sensitivity_at_specificity"
    least: ClassVar[str] = "specificity"

    def _shares(self, found: Any, wrong: Any, right: Any, missed: Any) -> tuple[Any, Any]:
        return confusion.share(right, wrong), confusion.share(found, missed)


@dataclass(frozen=True)
class SpecificityAtSensitivity(_Best):
    """Best specificity of all thresholds at which sensitivity, which is recall, is at least `sensitivity`.

    Specificity is the share of outputs with the target 0 that are not above the threshold.

    Parameters
    ----------
    sensitivity : float
        From 0 to 1.
    num_thresholds : int
        As that of `PrecisionAtRecall`.
    class_id : int, optional
        The only output that counts.
    name : str, optional

    Raises
    ------
    ConfigurationError, DTypeError
        If an argument is no such number.

    Examples
    --------
    >>> round(SpecificityAtSensitivity(0.5)([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8]), 4)
    0.6667
    """

    sensitivity: float
    num_thresholds: int = 200
    class_id: int | None = None

    default_name: ClassVar[str] = "specificity_at_sensitivity"
    least: ClassVar[str] = "sensitivity"

    def _shares(self, found: Any, wrong: Any, right: Any, missed: Any) -> tuple[Any, Any]:
        return confusion.share(found, missed), confusion.share(right, wrong)
