"""The vocabulary of plans that needs nothing else: kinds of arrays, activations, losses by tables.

Whoever treats one activation differently from another reads `ACTIVATIONS`, which stands in `traits.py`.
The numbers stand in `_core/types.pxd` as well; `runtime.py` compares them at import.  This file must not know
graphs, plans or arrays.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import Any

from fastnn.absent import attribute_error
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
    "ROWWISE",
    "Activation",
    "Argument",
    "Doors",
    "Kind",
    "LossTraits",
    "Numbers",
    "Option",
    "Pointwise",
    "Rowwise",
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
    PERCENTAGE_ERROR = 2
    LOGARITHMIC_ERROR = 3
    LOG_COSH = 4
    POISSON = 5
    HINGE = 6
    SQUARED_HINGE = 7
    QUANTILE = 8
    GAMMA = 9
    TWEEDIE = 10
    KL_DIVERGENCE = 11
    BINARY_FOCAL = 12
    QUANTILES = 13


class Rowwise(enum.IntEnum):
    """Losses of a row of outputs and its targets, by the number that kernels know them by."""

    COSINE_SIMILARITY = 0
    CATEGORICAL_HINGE = 1
    CATEGORICAL_FOCAL = 2
    GAUSSIAN = 3
    TVERSKY = 4
    GENERALIZED_CROSSENTROPY = 5


@dataclass(frozen=True, slots=True)
class Argument:
    """A number that a loss depends on besides outputs and targets.

    Attributes
    ----------
    name : str
        As the loss calls it.
    least, most : float
        Between which it lies.
    closed : bool
        Whether these two are allowed themselves.

    Examples
    --------
    >>> Argument("delta").takes(1.0), Argument("delta").takes(0.0)
    (True, False)
    """

    name: str
    least: float = 0.0
    most: float = math.inf
    closed: bool = False

    def takes(self, value: float) -> bool:
        """Return whether a value is allowed."""
        return self.least < value < self.most or (self.closed and value in (self.least, self.most))


@dataclass(frozen=True, slots=True)
class LossTraits:
    """What is true of a point-wise or row-wise loss.

    Attributes
    ----------
    arguments : tuple of Argument
        The numbers that follow it in an op's constants.
    summed : bool
        Of a point-wise loss, whether a row's value is the sum over its outputs, not the mean.
    by_output : bool
        Whether each output has the one argument for itself.
    heads : int
        Of a row-wise loss, the outputs for each target.
    labels : bool
        Of a row-wise loss, whether its target is the label of an output.

    Examples
    --------
    >>> POINTWISE[Pointwise.QUANTILES].takes((0.1, 0.9), 2), POINTWISE[Pointwise.HUBER].takes((0.0,), 2)
    (True, False)
    """

    arguments: tuple[Argument, ...] = ()
    summed: bool = False
    by_output: bool = False
    heads: int = 1
    labels: bool = False

    def takes(self, values: tuple[float, ...], outputs: int) -> bool:
        """Return whether these are arguments for so many outputs."""
        arguments = self.arguments * outputs if self.by_output else self.arguments
        return len(values) == len(arguments) and all(
            argument.takes(value) for argument, value in zip(arguments, values, strict=True)
        )


_GAMMA = Argument("gamma", closed=True)
_ALPHA = Argument("alpha", closed=True)
_QUANTILE = Argument("quantiles", most=1.0)

POINTWISE: dict[Pointwise, LossTraits] = {
    Pointwise.ABSOLUTE_ERROR: LossTraits(),
    Pointwise.HUBER: LossTraits((Argument("delta"),)),
    Pointwise.PERCENTAGE_ERROR: LossTraits(),
    Pointwise.LOGARITHMIC_ERROR: LossTraits(),
    Pointwise.LOG_COSH: LossTraits(),
    Pointwise.POISSON: LossTraits(),
    Pointwise.HINGE: LossTraits(),
    Pointwise.SQUARED_HINGE: LossTraits(),
    Pointwise.QUANTILE: LossTraits((_QUANTILE,)),
    Pointwise.GAMMA: LossTraits(),
    Pointwise.TWEEDIE: LossTraits((Argument("power", 1.0, 2.0),)),
    Pointwise.KL_DIVERGENCE: LossTraits(summed=True),
    Pointwise.BINARY_FOCAL: LossTraits((_GAMMA, _ALPHA, Argument("apply_class_balancing", 0.0, 1.0, True))),
    Pointwise.QUANTILES: LossTraits((_QUANTILE,), by_output=True),
}
ROWWISE: dict[Rowwise, LossTraits] = {
    Rowwise.COSINE_SIMILARITY: LossTraits(),
    Rowwise.CATEGORICAL_HINGE: LossTraits(),
    Rowwise.CATEGORICAL_FOCAL: LossTraits((_GAMMA, _ALPHA)),
    Rowwise.GAUSSIAN: LossTraits((Argument("eps", closed=True), Argument("full", 0.0, 1.0, True)), heads=2),
    Rowwise.TVERSKY: LossTraits((_ALPHA, Argument("beta", closed=True), Argument("epsilon"))),
    Rowwise.GENERALIZED_CROSSENTROPY: LossTraits((Argument("q", most=1.0),), labels=True),
}


def __getattr__(name: str) -> Any:
    raise attribute_error(__name__, name, __all__)
