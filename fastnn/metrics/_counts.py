"""Metrics made of how many outputs lie between thresholds, true ones and others apart.

This file must not know layers or kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from fastnn import confusion
from fastnn.checks import check_count, check_number, shown
from fastnn.errors import ConfigurationError, DTypeError, unknown_name
from fastnn.metrics._base import Metric
from fastnn.opcodes import MOST_LISTED, OpCode

__all__ = [
    "AUC",
    "FalseNegatives",
    "FalsePositives",
    "Precision",
    "PrecisionAtRecall",
    "Recall",
    "RecallAtPrecision",
    "SensitivityAtSpecificity",
    "SpecificityAtSensitivity",
    "TrueNegatives",
    "TruePositives",
]

_CURVES = ("ROC", "PR")
_METHODS = ("interpolation", "minoring", "majoring")
_MOST_THRESHOLDS = 10_000
_BELOW_ALL = -1e10  # the threshold for the k largest outputs, where others count as this number
_CLOSE = 1e-5  # how far thresholds may be from equal distances, of which Keras makes the same


def _levels(thresholds: Any) -> tuple[float, ...]:
    if isinstance(thresholds, str) or not hasattr(thresholds, "__iter__"):
        raise DTypeError(f"thresholds must be a list of numbers from 0 to 1, got {shown(thresholds)}")
    return tuple(check_number(level, "thresholds", 0.0, 1.0) for level in thresholds)


def _evenly_spread(levels: Sequence[float]) -> bool:
    """Return whether thresholds are at equal distances from 0 to 1."""
    last = len(levels) - 1
    return last > 1 and all(abs(at - i / last) <= _CLOSE * i / last + 1e-7 for i, at in enumerate(levels))


def _distinct(levels: Sequence[float]) -> list[float]:
    """Return thresholds, each once, and in order."""
    listed = sorted(set(levels))
    if len(listed) > MOST_LISTED:
        raise ConfigurationError(
            f"thresholds are {len(listed)} different numbers, the most is {MOST_LISTED}; more may be at "
            "equal distances from 0 to 1, as np.linspace(0, 1, 101)"
        )
    return listed


@dataclass(frozen=True)
class _Counts(Metric):
    """Base of all of them."""

    name: str = field(default="", kw_only=True)

    code: ClassVar[OpCode] = OpCode.THRESHOLD_COUNTS
    counts: ClassVar[bool] = True
    larger_is_better: ClassVar[bool] = True

    def _constants(
        self,
        outputs: int,
        buckets: int,
        shift: float,
        scale: float,
        first: float,
        column: int | None = None,
        top_k: int | None = None,
        listed: Sequence[float] = (),
    ) -> tuple[float, ...]:
        """Return the op's constants, which `_core/counts.pxi` explains."""
        if column is not None and column >= outputs:
            raise ConfigurationError(
                f"{self.name!r} has class_id={column}, but there are {outputs} outputs; they count from 0"
            )
        place = -1.0 if column is None else float(column)
        return float(buckets), shift, scale, first, place, float(top_k or 0), *listed

    def _between(
        self, outputs: int, listed: list[float], column: int | None = None, top_k: int | None = None
    ) -> tuple[float, ...]:
        """Return the constants for buckets below, between and above different thresholds."""
        if len(listed) > 1:
            return self._constants(outputs, len(listed) + 1, 0.0, 0.0, 0.0, column, top_k, listed)
        return self._constants(outputs, 2, listed[0], 1.0, 0.0, column, top_k)

    def _check_count(self, name: str, least: int) -> None:
        """Check an argument that is a whole number, or None."""
        if (value := getattr(self, name)) is not None:
            self._set(name, check_count(value, name, least))


@dataclass(frozen=True)
class AUC(_Counts):
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
    thresholds : list of float, optional
        Others between 0 and 1: up to 10 different ones, or more at equal distances.
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

    num_thresholds: int = 200
    curve: str = "ROC"
    summation_method: str = "interpolation"
    thresholds: Sequence[float] | None = field(default=None, kw_only=True)

    default_name: ClassVar[str] = "auc"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("_listed", [])
        if self.thresholds is not None:
            levels = sorted(_levels(self.thresholds))
            self._set("thresholds", tuple(levels))
            self._set("num_thresholds", len(levels) + 2)
            self._set("_listed", [] if _evenly_spread((0.0, *levels, 1.0)) else _distinct(levels))
        count = check_count(self.num_thresholds, "num_thresholds", 2, _MOST_THRESHOLDS)
        self._set("num_thresholds", count)
        if self.curve not in _CURVES:
            raise unknown_name("curve", str(self.curve), _CURVES)
        if self.summation_method not in _METHODS:
            raise unknown_name("summation_method", str(self.summation_method), _METHODS)

    def width(self, outputs: int) -> int:
        """Return how many sums there are: of positives between two thresholds each, then of negatives."""
        return 2 * self._buckets

    @property
    def _buckets(self) -> int:
        return len(vars(self)["_listed"]) + 1 if vars(self)["_listed"] else self.num_thresholds - 1

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return the op's constants."""
        if listed := vars(self)["_listed"]:
            return self._between(outputs, listed)
        return self._constants(outputs, self.num_thresholds - 1, 0.0, self.num_thresholds - 1.0, 1.0)

    def of_sums(self, sums: Sequence[Any]) -> Any:
        """Return the area."""
        return confusion.area(sums, self._buckets, self.curve, self.summation_method)


@dataclass(frozen=True)
class _Above(_Counts):
    """Base of what is made of the counts above each of some thresholds, and of others."""

    thresholds: float | Sequence[float] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        given = self.thresholds
        several = not isinstance(given, str) and hasattr(given, "__iter__")
        levels = _levels(given if several else () if given is None else (given,))
        if several and not levels:
            raise ConfigurationError(
                "thresholds must be a number from 0 to 1, or a list of some; it is empty"
            )
        self._set("thresholds", levels if several else levels[0] if levels else None)
        even = _evenly_spread(levels)
        if even and len(levels) > _MOST_THRESHOLDS:
            raise ConfigurationError(f"thresholds are {len(levels)} numbers, the most is {_MOST_THRESHOLDS}")
        self._set("_levels", (levels, even, sorted(set(levels)) if even else _distinct(levels)))

    @property
    def _buckets(self) -> int:
        levels, even, listed = vars(self)["_levels"]
        return len(levels) if even else max(len(listed), 1) + 1

    def width(self, outputs: int) -> int:
        """Return how many sums there are: of positives between two thresholds each, then of negatives."""
        return 2 * self._buckets

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return the op's constants."""
        levels, even, listed = vars(self)["_levels"]
        chosen = getattr(self, "class_id", None), getattr(self, "top_k", None)
        if even:
            return self._constants(outputs, len(levels), 0.0, len(levels) - 1.0, 0.0, *chosen)
        return self._between(outputs, listed or [_BELOW_ALL if chosen[1] is not None else 0.5], *chosen)

    def of_sums(self, sums: Sequence[Any]) -> Any:
        """Return a number, or one for each threshold."""
        levels, even, listed = vars(self)["_levels"]
        places = range(1, len(levels) + 1) if even else [1 + listed.index(level) for level in levels] or [1]
        return confusion.one_or_all(self._of_counts(*confusion.by_thresholds(sums, places)))

    def _of_counts(self, found: Any, wrong: Any, right: Any, missed: Any) -> Any:
        """Return what is made of true and false positives, and true and false negatives."""
        raise NotImplementedError


@dataclass(frozen=True)
class TruePositives(_Above):
    """How many outputs are above a threshold, and have a target that is not 0; or the sum of their weights.

    Parameters
    ----------
    thresholds : float or list of float, optional
        Numbers from 0 to 1; the default is 0.5.  Of a list, the metric is an array.  Up to 10 different
        ones, or more at equal distances from 0 to 1.
    name : str, optional

    Raises
    ------
    ConfigurationError, DTypeError
        If the thresholds are no such numbers.

    Examples
    --------
    >>> TruePositives()([0, 1, 1, 1], [0.1, 0.9, 0.2, 0.8])
    2.0
    """

    default_name: ClassVar[str] = "true_positives"
    larger_is_better: ClassVar[bool] = True

    def _of_counts(self, found: Any, wrong: Any, right: Any, missed: Any) -> Any:
        return found


@dataclass(frozen=True)
class TrueNegatives(_Above):
    """How many outputs are not above a threshold, and have the target 0; or the sum of their weights.

    Parameters
    ----------
    thresholds : float or list of float, optional
        As those of `TruePositives`.
    name : str, optional

    Raises
    ------
    ConfigurationError, DTypeError
        If the thresholds are no such numbers.

    Examples
    --------
    >>> TrueNegatives()([0, 0, 0, 1], [0.1, 0.9, 0.2, 0.8])
    2.0
    """

    default_name: ClassVar[str] = "true_negatives"

    def _of_counts(self, found: Any, wrong: Any, right: Any, missed: Any) -> Any:
        return right


@dataclass(frozen=True)
class FalsePositives(_Above):
    """How many outputs are above a threshold, and have the target 0; or the sum of their weights.

    Parameters
    ----------
    thresholds : float or list of float, optional
        As those of `TruePositives`.
    name : str, optional

    Raises
    ------
    ConfigurationError, DTypeError
        If the thresholds are no such numbers.

    Examples
    --------
    >>> FalsePositives(thresholds=[0.5, 0.85])([0, 0, 0, 1], [0.1, 0.9, 0.7, 0.8])
    array([2., 1.])
    """

    default_name: ClassVar[str] = "false_positives"
    larger_is_better: ClassVar[bool] = False

    def _of_counts(self, found: Any, wrong: Any, right: Any, missed: Any) -> Any:
        return wrong


@dataclass(frozen=True)
class FalseNegatives(_Above):
    """How many outputs are not above a threshold, and have no target of 0; or the sum of their weights.

    Parameters
    ----------
    thresholds : float or list of float, optional
        As those of `TruePositives`.
    name : str, optional

    Raises
    ------
    ConfigurationError, DTypeError
        If the thresholds are no such numbers.

    Examples
    --------
    >>> FalseNegatives()([0, 1, 1, 1], [0.1, 0.9, 0.2, 0.8])
    1.0
    """

    default_name: ClassVar[str] = "false_negatives"
    larger_is_better: ClassVar[bool] = False

    def _of_counts(self, found: Any, wrong: Any, right: Any, missed: Any) -> Any:
        return missed


@dataclass(frozen=True)
class _OfClasses(_Above):
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
class _Best(_Counts):
    """Base of the largest share, over thresholds, where another share is at least a given one."""

    least: ClassVar[str]  # the first argument: at least what the other share is

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("num_thresholds", check_count(self._count, "num_thresholds", 1, _MOST_THRESHOLDS))
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

    def _shares(self, found: Any, wrong: Any, right: Any, missed: Any) -> tuple[Any, Any]:
        """Return the share that must be large enough, and the one that is the metric, by threshold."""
        raise NotImplementedError


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
