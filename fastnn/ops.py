"""The vocabulary of plans that needs nothing else: kinds of arrays, activations, point-wise losses.

Whoever treats one activation differently from another reads `ACTIVATIONS`, which stands in `traits.py`.
The numbers stand in `_core/types.pxd` as well; `runtime.py` compares them at import.  This file must not know
graphs, plans or arrays.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from fastnn.traits import (
    ACTIVATIONS,
    ALIASES,
    BY_NAME,
    Activation,
    Doors,
    Option,
    Traits,
    Values,
    by_names,
    name_of,
)

__all__ = [
    "ACTIVATIONS",
    "ALIASES",
    "BY_NAME",
    "POINTWISE",
    "REAL",
    "Activation",
    "Argument",
    "Doors",
    "Kind",
    "Numbers",
    "Option",
    "Pointwise",
    "Traits",
    "Values",
    "by_names",
    "name_of",
]


class Numbers(enum.Enum):
    """What the numbers of an array of the caller stand for."""

    REAL = "real numbers"
    LABEL = "labels"  # of classes
    INDEX = "indices"  # of the rows of a table


@dataclass(frozen=True, slots=True)
class Kind:
    """What an array of the caller may hold.  The border checks it, and kernels then trust it.

    Attributes
    ----------
    numbers : Numbers
    limit : int
        Real numbers have none, 0; others are whole numbers from 0 to ``limit - 1``.

    Examples
    --------
    >>> Kind(Numbers.LABEL, 10).is_whole, Kind().is_whole
    (True, False)
    """

    numbers: Numbers = Numbers.REAL
    limit: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether it holds whole numbers, by which kernels find places in memory."""
        return self.numbers is not Numbers.REAL

    def serves(self, wanted: Kind) -> bool:
        """Return whether all that it may hold is what an op takes: the same, with no higher limit."""
        return self.numbers is wanted.numbers and self.limit <= wanted.limit

    def __str__(self) -> str:
        return f"{self.numbers.value} below {self.limit}" if self.is_whole else self.numbers.value


REAL = Kind()


class Pointwise(enum.IntEnum):
    """Losses of one output and its target each, by the number that kernels know them by."""

    ABSOLUTE_ERROR = 0
    HUBER = 1


@dataclass(frozen=True, slots=True)
class Argument:
    """The one number that a point-wise loss depends on besides output and target.

    Attributes
    ----------
    name : str
        As the loss calls it.
    least, most : float
        Between which it lies.

    Examples
    --------
    >>> Argument("delta").takes(1.0), Argument("delta").takes(0.0)
    (True, False)
    """

    name: str
    least: float = 0.0
    most: float = math.inf

    def takes(self, value: float) -> bool:
        """Return whether a value is allowed."""
        return self.least < value < self.most


POINTWISE: dict[Pointwise, Argument | None] = {
    Pointwise.ABSOLUTE_ERROR: None,
    Pointwise.HUBER: Argument("delta"),
}
