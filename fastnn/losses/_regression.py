"""Losses of numbers: errors of several kinds, of quantiles, of directions.

This file must not know layers or kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from fastnn.checks import check_axis, check_number
from fastnn.errors import ConfigurationError, DTypeError, unknown_name
from fastnn.losses._base import Loss, as_in_keras
from fastnn.opcodes import MOST_CONSTANTS, OpCode
from fastnn.ops import Pointwise, Rowwise

__all__ = [
    "CosineSimilarity",
    "Huber",
    "LogCosh",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Quantile",
    "SquaredError",
]

_MOST_QUANTILES = MOST_CONSTANTS - 4  # what an op has room for


@as_in_keras
@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """Squared error, ``mean((y - t)^2)`` over the outputs of a row.

    Gradient ``2 (y - t) / outputs``, times the reduction's factor.

    Parameters
    ----------
    reduction : str or None

    Examples
    --------
    >>> MeanSquaredError().name
    'mean_squared_error'
    """

    reduction: str | None = "sum_over_batch_size"

    default_name: ClassVar[str] = "mean_squared_error"
    code: ClassVar[OpCode] = OpCode.SQUARED_ERROR

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return the factor of a row's sum of squares."""
        return (1.0 / outputs,)


_SCALES = ("mean", "half_mean", "sum", "half_sum")


@as_in_keras
@dataclass(frozen=True)
class SquaredError(Loss):
    """Squared error with the factor that a text at hand gives it.

    With e = y - t, a row's loss is ``mean(e^2)``, ``mean(e^2) / 2``, ``sum(e^2)`` or ``sum(e^2) / 2``
    over its outputs; the reduction over rows comes on top.  Lectures E.3 and E.4 use ``"half_mean"``
    (one output, divided by twice the number of rows), lecture B.6 ``"sum"`` with reduction ``"sum"``.

    Parameters
    ----------
    scale : {"mean", "half_mean", "sum", "half_sum"}
    reduction : str or None

    Raises
    ------
    ConfigurationError
        If the scale or the reduction is unknown.

    Examples
    --------
    >>> SquaredError("half_mean").constants(4)
    (0.125,)
    """

    scale: str = "mean"

    default_name: ClassVar[str] = "squared_error"
    code: ClassVar[OpCode] = OpCode.SQUARED_ERROR

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scale not in _SCALES:
            raise unknown_name("scale", str(self.scale), _SCALES)

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return the factor of a row's sum of squares."""
        factor = 0.5 if self.scale.startswith("half") else 1.0
        return (factor / outputs if self.scale.endswith("mean") else factor,)


@as_in_keras
@dataclass(frozen=True)
class MeanAbsoluteError(Loss):
    """Absolute error, ``mean(|y - t|)`` over the outputs of a row.

    Gradient ``sign(y - t) / outputs``, 0 where ``y = t``, times the reduction's factor.  Outliers count less
    than in `MeanSquaredError`: the best constant is the median of the targets, not their mean.

    Parameters
    ----------
    reduction : str or None

    Examples
    --------
    >>> MeanAbsoluteError("sum")
    MeanAbsoluteError(reduction='sum')
    """

    reduction: str | None = "sum_over_batch_size"

    default_name: ClassVar[str] = "mean_absolute_error"
    code: ClassVar[OpCode] = OpCode.POINTWISE_LOSS
    function: ClassVar[Pointwise | Rowwise | None] = Pointwise.ABSOLUTE_ERROR


@as_in_keras
@dataclass(frozen=True)
class MeanAbsolutePercentageError(Loss):
    """Error in per cent of the target, ``100 mean(|y - t| / |t|)`` over the outputs of a row.

    Targets of less than 1e-7 count as 1e-7: one of 0 outweighs all others.  Gradient
    ``100 sign(y - t) / |t| / outputs``, times the reduction's factor.

    Parameters
    ----------
    reduction : str or None

    Examples
    --------
    >>> MeanAbsolutePercentageError().name
    'mean_absolute_percentage_error'
    """

    reduction: str | None = "sum_over_batch_size"

    default_name: ClassVar[str] = "mean_absolute_percentage_error"
    code: ClassVar[OpCode] = OpCode.POINTWISE_LOSS
    function: ClassVar[Pointwise | Rowwise | None] = Pointwise.PERCENTAGE_ERROR


@as_in_keras
@dataclass(frozen=True)
class MeanSquaredLogarithmicError(Loss):
    """Squared error of logarithms, ``mean((log(1 + y) - log(1 + t))^2)`` over the outputs of a row.

    Outputs and targets of less than 1e-7 count as 1e-7, and such outputs have no gradient: the last layer
    needs an activation without negative values, such as softplus.

    Parameters
    ----------
    reduction : str or None

    Examples
    --------
    >>> MeanSquaredLogarithmicError().name
    'mean_squared_logarithmic_error'
    """

    reduction: str | None = "sum_over_batch_size"

    default_name: ClassVar[str] = "mean_squared_logarithmic_error"
    code: ClassVar[OpCode] = OpCode.POINTWISE_LOSS
    function: ClassVar[Pointwise | Rowwise | None] = Pointwise.LOGARITHMIC_ERROR


@as_in_keras
@dataclass(frozen=True)
class Huber(Loss):
    """Huber's loss: half the squared error where it is small, and a line beyond.

    With e = y - t, the mean over the outputs of a row of ``e^2 / 2`` where ``|e| <= delta``, else of
    ``delta |e| - delta^2 / 2``.  Gradient e, kept within -delta and delta, over the outputs, times the
    reduction's factor.  After Huber 1964.

    Parameters
    ----------
    delta : float
        Above 0.
    reduction : str or None

    Raises
    ------
    ConfigurationError
        If delta is not above 0 and finite.
    DTypeError
        If it is not a number.

    Examples
    --------
    >>> Huber(2.0).delta
    2.0
    """

    delta: float = 1.0

    default_name: ClassVar[str] = "huber"
    code: ClassVar[OpCode] = OpCode.POINTWISE_LOSS
    function: ClassVar[Pointwise | Rowwise | None] = Pointwise.HUBER


@as_in_keras
@dataclass(frozen=True)
class LogCosh(Loss):
    """Mean of ``log(cosh(y - t))`` over the outputs of a row.

    About half the squared error where that is small, and the absolute error less log 2 beyond.  Gradient
    ``tanh(y - t) / outputs``, times the reduction's factor.

    Parameters
    ----------
    reduction : str or None

    Examples
    --------
    >>> LogCosh().name
    'log_cosh'
    """

    reduction: str | None = "sum_over_batch_size"

    default_name: ClassVar[str] = "log_cosh"
    code: ClassVar[OpCode] = OpCode.POINTWISE_LOSS
    function: ClassVar[Pointwise | Rowwise | None] = Pointwise.LOG_COSH


@as_in_keras
@dataclass(frozen=True)
class Quantile(Loss):
    """Loss of quantiles, the mean over a row's outputs of ``max(q (t - y), (1 - q) (y - t))``.

    Its minimum is where a share q of the targets lies below y.  With one quantile each output has a target.
    With several there is one output for each, in their order, and a row has one target for all of them,
    ``(rows,)``, or as many.  After Koenker and Bassett 1978, as scikit-learn's ``mean_pinball_loss``.

    Parameters
    ----------
    quantiles : float, or sequence of float
        In (0, 1); at most 12.
    reduction : str or None

    Raises
    ------
    ConfigurationError
        If a quantile is not in (0, 1), or there are none or too many.
    DTypeError
        If one is not a number.

    Examples
    --------
    >>> Quantile([0.1, 0.5, 0.9]).quantiles
    (0.1, 0.5, 0.9)
    """

    quantiles: float | Sequence[float] = 0.5

    default_name: ClassVar[str] = "quantile"
    code: ClassVar[OpCode] = OpCode.POINTWISE_LOSS
    function: ClassVar[Pointwise | Rowwise | None] = Pointwise.QUANTILE
    repeats: ClassVar[bool] = True

    def _check_arguments(self) -> None:
        given = self.quantiles
        if isinstance(given, str | bytes):
            raise DTypeError(f"quantiles must be a number or a sequence of numbers, got {given!r}")
        several = list(given) if hasattr(given, "__iter__") else [given]
        if not 1 <= len(several) <= _MOST_QUANTILES:
            raise ConfigurationError(f"quantiles must be 1 to {_MOST_QUANTILES}, got {len(several)}")
        checked = tuple(
            check_number(one, "a quantile", 0.0, 1.0, open_minimum=True, open_maximum=True) for one in several
        )
        object.__setattr__(self, "quantiles", checked)

    def check_outputs(self, outputs: int) -> None:
        """Raise unless there is an output for each of several quantiles."""
        n_quantiles = len(self.arguments(outputs))
        if n_quantiles not in (1, outputs):
            raise ConfigurationError(
                f"quantile needs an output for each of its {n_quantiles} quantiles, and the model has "
                f"{outputs}"
            )

    def arguments(self, outputs: int) -> tuple[float, ...]:
        """Return the quantiles."""
        assert isinstance(self.quantiles, tuple)
        return self.quantiles

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return the constants of the loss op that follow its reduction and its share."""
        quantiles = self.arguments(outputs)
        function = Pointwise.QUANTILE if len(quantiles) == 1 else Pointwise.QUANTILES
        return float(function), float(outputs), *quantiles


@as_in_keras
@dataclass(frozen=True)
class CosineSimilarity(Loss):
    """Minus the cosine between the outputs of a row and its targets: -1 if they point the same way.

    Rows of outputs or targets that are shorter than 1e-7 count as that long; such outputs have the gradient
    of a product with the target.

    Parameters
    ----------
    axis : int
        Of the outputs; in a model -1, or 1.
    reduction : str or None

    Raises
    ------
    DTypeError
        If the axis is no integer.

    Examples
    --------
    >>> CosineSimilarity().axis
    -1
    """

    axis: int = -1

    default_name: ClassVar[str] = "cosine_similarity"
    code: ClassVar[OpCode] = OpCode.ROWWISE_LOSS
    function: ClassVar[Pointwise | Rowwise | None] = Rowwise.COSINE_SIMILARITY

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "axis", check_axis(self.axis))
