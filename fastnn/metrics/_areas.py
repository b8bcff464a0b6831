"""Areas under curves, made of how many outputs lie between thresholds.

This file must not know layers or kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from fastnn import confusion
from fastnn.checks import check_count
from fastnn.errors import unknown_name
from fastnn.metrics._counts import MOST_THRESHOLDS, Counts, distinct, evenly_spread, levels_of

__all__ = ["AUC"]

_CURVES = ("ROC", "PR")
_METHODS = ("interpolation", "minoring", "majoring")


@dataclass(frozen=True)
class AUC(Counts):
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
            levels = sorted(levels_of(self.thresholds))
            self._set("thresholds", tuple(levels))
            self._set("num_thresholds", len(levels) + 2)
            self._set("_listed", [] if evenly_spread((0.0, *levels, 1.0)) else distinct(levels))
        count = check_count(self.num_thresholds, "num_thresholds", 2, MOST_THRESHOLDS)
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
