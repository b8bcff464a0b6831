"""Metrics that are means over rows of further losses: relative and logarithmic errors, margins, divergences.

This file must not know layers or kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from fastnn import losses
from fastnn.metrics._means import MeanOfLoss

__all__ = [
    "CategoricalHinge",
    "CosineSimilarity",
    "Hinge",
    "KLDivergence",
    "LogCoshError",
    "MeanAbsolutePercentageError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SquaredHinge",
]


@dataclass(frozen=True)
class MeanAbsolutePercentageError(MeanOfLoss):
    """Mean over rows and outputs of `fastnn.losses.MeanAbsolutePercentageError`, in percent.

    Examples
    --------
    >>> round(MeanAbsolutePercentageError()([[2.0], [4.0]], [[1.0], [4.0]]), 4)
    25.0
    """

    default_name: ClassVar[str] = "mean_absolute_percentage_error"
    loss: ClassVar[type[losses.Loss]] = losses.MeanAbsolutePercentageError


@dataclass(frozen=True)
class MeanSquaredLogarithmicError(MeanOfLoss):
    """Mean over rows and outputs of `fastnn.losses.MeanSquaredLogarithmicError`.

    Examples
    --------
    >>> round(MeanSquaredLogarithmicError()([[0.0], [1.0]], [[1.0], [1.0]]), 4)
    0.2402
    """

    default_name: ClassVar[str] = "mean_squared_logarithmic_error"
    loss: ClassVar[type[losses.Loss]] = losses.MeanSquaredLogarithmicError


@dataclass(frozen=True)
class LogCoshError(MeanOfLoss):
    """Mean over rows and outputs of `fastnn.losses.LogCosh`.

    Examples
    --------
    >>> round(LogCoshError()([[0.0], [1.0]], [[1.0], [1.0]]), 4)
    0.2169
    """

    default_name: ClassVar[str] = "logcosh"
    loss: ClassVar[type[losses.Loss]] = losses.LogCosh


@dataclass(frozen=True)
class Poisson(MeanOfLoss):
    """Mean over rows and outputs of `fastnn.losses.Poisson`.

    Examples
    --------
    >>> round(Poisson()([[0.0], [0.0]], [[1.0], [2.0]]), 4)
    1.5
    """

    default_name: ClassVar[str] = "poisson"
    loss: ClassVar[type[losses.Loss]] = losses.Poisson


@dataclass(frozen=True)
class KLDivergence(MeanOfLoss):
    """Mean over rows of `fastnn.losses.KLDivergence`.

    Examples
    --------
    >>> round(KLDivergence()([[0.0, 1.0]], [[0.5, 0.5]]), 4)
    0.6931
    """

    default_name: ClassVar[str] = "kl_divergence"
    loss: ClassVar[type[losses.Loss]] = losses.KLDivergence


@dataclass(frozen=True)
class Hinge(MeanOfLoss):
    """Mean over rows and outputs of `fastnn.losses.Hinge`.

    Examples
    --------
    >>> Hinge()([[1.0], [-1.0]], [[0.5], [0.0]])
    0.75
    """

    default_name: ClassVar[str] = "hinge"
    loss: ClassVar[type[losses.Loss]] = losses.Hinge


@dataclass(frozen=True)
class SquaredHinge(MeanOfLoss):
    """Mean over rows and outputs of `fastnn.losses.SquaredHinge`.

    Examples
    --------
    >>> SquaredHinge()([[1.0], [-1.0]], [[0.5], [0.0]])
    0.625
    """

    default_name: ClassVar[str] = "squared_hinge"
    loss: ClassVar[type[losses.Loss]] = losses.SquaredHinge


@dataclass(frozen=True)
class CategoricalHinge(MeanOfLoss):
    """Mean over rows of `fastnn.losses.CategoricalHinge`.

    Examples
    --------
    >>> CategoricalHinge()([[0.0, 1.0]], [[0.5, 0.75]])
    0.75
    """

    default_name: ClassVar[str] = "categorical_hinge"
    loss: ClassVar[type[losses.Loss]] = losses.CategoricalHinge


@dataclass(frozen=True)
class CosineSimilarity(MeanOfLoss):
    """Mean over rows of the cosine between outputs and targets: 1 if they point the same way.

    It is minus `fastnn.losses.CosineSimilarity`, as in Keras.

    Parameters
    ----------
    name : str, optional
    axis : int
        Of the outputs; in a model -1, or 1.

    Examples
    --------
    >>> round(CosineSimilarity()([[0.0, 1.0], [1.0, 1.0]], [[1.0, 0.0], [1.0, 1.0]]), 4)
    0.5
    """

    axis: int = field(default=-1, kw_only=True)

    default_name: ClassVar[str] = "cosine_similarity"
    loss: ClassVar[type[losses.Loss]] = losses.CosineSimilarity
    larger_is_better: ClassVar[bool] = True

    def of_sums(self, sums: Sequence[Any]) -> Any:
        """Return the cosine."""
        return -sums[0]
