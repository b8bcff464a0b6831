"""Metrics made of how many outputs lie between thresholds, true ones and others apart.

This file must not know layers or kernels.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from fastnn import confusion
from fastnn.checks import check_count, check_number, shown
from fastnn.errors import ConfigurationError, DTypeError
from fastnn.metrics._base import Metric
from fastnn.opcodes import MOST_LISTED, OpCode

__all__ = [
    "EACH",
    "MOST_THRESHOLDS",
    "Above",
    "Counts",
    "FalseNegatives",
    "FalsePositives",
    "TrueNegatives",
    "TruePositives",
    "distinct",
    "evenly_spread",
    "levels_of",
]

MOST_THRESHOLDS = 10_000
EACH = -2  # in the place of a column: each output has counts of its own
_BELOW_ALL = -1e10  # the threshold for the k largest outputs, where others count as this number
_CLOSE = 1e-5  # how far thresholds may be from equal distances, of which Keras makes the same


def levels_of(thresholds: Any) -> tuple[float, ...]:
    if isinstance(thresholds, str) or not hasattr(thresholds, "__iter__"):
        raise DTypeError(f"thresholds must be a list of numbers from 0 to 1, got {shown(thresholds)}")
    return tuple(check_number(level, "thresholds", 0.0, 1.0) for level in thresholds)


def evenly_spread(levels: Sequence[float]) -> bool:
    """Return whether thresholds are at equal distances from 0 to 1."""
    last = len(levels) - 1
    return last > 1 and all(abs(at - i / last) <= _CLOSE * i / last + 1e-7 for i, at in enumerate(levels))


def distinct(levels: Sequence[float]) -> list[float]:
    """Return thresholds, each once, and in order."""
    listed = sorted(set(levels))
    if len(listed) > MOST_LISTED:
        raise ConfigurationError(
            f"thresholds are {len(listed)} different numbers, the most is {MOST_LISTED}; more may be at "
            "equal distances from 0 to 1, as np.linspace(0, 1, 101)"
        )
    return listed


@dataclass(frozen=True)
class Counts(Metric):
    """Base of all of them."""

    name: str = field(default="", kw_only=True)

    code: ClassVar[OpCode] = OpCode.THRESHOLD_COUNTS
    counts: ClassVar[bool] = True
    larger_is_better: ClassVar[bool] = True
    weighs: ClassVar[str] = "outputs"

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

    def of_one_output(self) -> Self:
        """Return the metric of a single output, which is the chosen one."""
        return self._changed(class_id=None) if getattr(self, "class_id", None) is not None else self

    def _changed(self, **values: object) -> Self:
        """Return a copy with other values, which are not checked, and without sums of its own."""
        other = copy.copy(self)
        for name, value in values.items():
            other._set(name, value)
        return other

    def _check_count(self, name: str, least: int) -> None:
        """Check an argument that is a whole number, or None."""
        if (value := getattr(self, name)) is not None:
            self._set(name, check_count(value, name, least))


@dataclass(frozen=True)
class Above(Counts, ABC):
    """Base of what is made of the counts above each of some thresholds, and of others."""

    thresholds: float | Sequence[float] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        given = self.thresholds
        several = not isinstance(given, str) and hasattr(given, "__iter__")
        levels = levels_of(given if several else () if given is None else (given,))
        if several and not levels:
            raise ConfigurationError(
                "thresholds must be a number from 0 to 1, or a list of some; it is empty"
            )
        self._set("thresholds", levels if several else levels[0] if levels else None)
        even = evenly_spread(levels)
        if even and len(levels) > MOST_THRESHOLDS:
            raise ConfigurationError(f"thresholds are {len(levels)} numbers, the most is {MOST_THRESHOLDS}")
        self._set("_levels", (levels, even, sorted(set(levels)) if even else distinct(levels)))

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

    def of_one_output(self) -> Self:
        """Return the metric of a single output, the chosen one, which is far below all if it is not large."""
        if getattr(self, "top_k", None) is None:
            return super().of_one_output()
        changes: dict[str, object] = {"top_k": None, "class_id": None}
        if self.thresholds is None:
            changes |= {"thresholds": _BELOW_ALL, "_levels": ((_BELOW_ALL,), False, [_BELOW_ALL])}
        return self._changed(**changes)

    @abstractmethod
    def _of_counts(self, found: Any, wrong: Any, right: Any, missed: Any) -> Any:
        """Return what is made of true and false positives, and true and false negatives."""


@dataclass(frozen=True)
class TruePositives(Above):
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
class TrueNegatives(Above):
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
class FalsePositives(Above):
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
class FalseNegatives(Above):
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
