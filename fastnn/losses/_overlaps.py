"""Losses of how far outputs and targets overlap, as sets of which each is more or less a part.

This file must not know layers or kernels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from fastnn.checks import check_axis
from fastnn.losses._base import Loss, as_in_keras
from fastnn.opcodes import OpCode
from fastnn.ops import Rowwise

__all__ = ["Dice", "Tversky", "dice", "tversky"]

_EPSILON = 1e-7  # what denominators have added, as in Keras


@dataclass(frozen=True)
class _Overlap(Loss):
    """Base of both; its axis is what a sum is over."""

    code: ClassVar[OpCode] = OpCode.ROWWISE_LOSS
    function: ClassVar[Rowwise] = Rowwise.TVERSKY
    epsilon: ClassVar[float] = _EPSILON

    def __post_init__(self) -> None:
        super().__post_init__()
        axis: Any = vars(self)["axis"]
        if isinstance(axis, tuple | list):
            several = tuple(check_axis(one) for one in axis)
            axis = several[0] if len(several) == 1 else several
        elif axis is not None:
            axis = check_axis(axis)
        object.__setattr__(self, "axis", axis)


@as_in_keras
@dataclass(frozen=True)
class Dice(_Overlap):
    """Dice's loss, ``1 - 2 sum(t y) / (sum(t) + sum(y) + 1e-7)``.

    The sums are over all that is given, as in Keras, or over an axis; a model needs ``axis=-1``, by which
    each row has a loss of its own.  For targets of 0 and 1, of which a row has several, and outputs between.

    Parameters
    ----------
    axis : int or tuple of int, optional
        What the sums are over; by default, all.
    reduction : str or None

    Raises
    ------
    DTypeError
        If the axis is no integer.

    Examples
    --------
    >>> round(Dice(axis=-1)([[1.0, 0.0, 1.0]], [[0.5, 0.0, 1.0]]), 4)
    0.1429
    """

    axis: int | tuple[int, ...] | None = None

    default_name: ClassVar[str] = "dice"

    def _check_arguments(self) -> None:
        """Check nothing: they are constants."""

    def arguments(self, outputs: int) -> tuple[float, ...]:
        """Return the coefficients of what is missing, and of what is too much, and what is added."""
        return 0.5, 0.5, _EPSILON / 2


@as_in_keras
@dataclass(frozen=True)
class Tversky(_Overlap):
    """Tversky's loss, ``1 - c / (c + alpha (sum(t) - c) + beta (sum(y) - c) + 1e-7)`` with ``c = sum(t y)``.

    With 0.5 for both it is `Dice`; axes are as there.  After Salehi et al. 2017, with Keras's order of the
    coefficients.

    Parameters
    ----------
    alpha : float
        Coefficient of targets that are not found, at least 0.
    beta : float
        Coefficient of outputs that are no targets, at least 0.
    axis : int or tuple of int, optional
        What the sums are over; by default, all.  A model needs -1.
    reduction : str or None

    Raises
    ------
    ConfigurationError
        If a coefficient is out of range.
    DTypeError
        If an argument is not of its type.

    Examples
    --------
    >>> round(Tversky(0.2, 0.8, axis=-1)([[1.0, 0.0, 1.0]], [[0.5, 0.0, 1.0]]), 4)
    0.0625
    """

    alpha: float = 0.5
    beta: float = 0.5
    axis: int | tuple[int, ...] | None = None

    default_name: ClassVar[str] = "tversky"


def dice(y_true: object, y_pred: object, axis: int | tuple[int, ...] | None = None) -> Any:
    """Dice's loss of all, or over an axis.

    Parameters
    ----------
    y_true, y_pred : array_like, of one shape
    axis : int or tuple of int, optional
        As of `Dice`.

    Returns
    -------
    numpy.float32 or numpy.float64, or numpy.ndarray of the other axes

    Raises
    ------
    ShapeError, DataError, DTypeError
        As the message says.

    Examples
    --------
    >>> dice([[1.0, 0.0], [1.0, 1.0]], [[0.5, 0.5], [0.5, 1.0]], axis=-1).round(3)
    array([0.5  , 0.143], dtype=float32)
    """
    return Dice(axis, reduction=None)(y_true, y_pred)


def tversky(
    y_true: object,
    y_pred: object,
    alpha: float = 0.5,
    beta: float = 0.5,
    axis: int | tuple[int, ...] | None = None,
) -> Any:
    """Tversky's loss of all, or over an axis.

    Parameters
    ----------
    y_true, y_pred : array_like, of one shape
    alpha, beta : float
        As of `Tversky`.
    axis : int or tuple of int, optional
        As of `Tversky`.

    Returns
    -------
    numpy.float32 or numpy.float64, or numpy.ndarray of the other axes

    Raises
    ------
    ShapeError, DataError, DTypeError, ConfigurationError
        As the message says.

    Examples
    --------
    >>> tversky([[1.0, 0.0], [1.0, 1.0]], [[0.5, 0.5], [0.5, 1.0]], 0.2, 0.8, axis=-1).round(3)
    array([0.5  , 0.063], dtype=float32)
    """
    return Tversky(alpha, beta, axis, reduction=None)(y_true, y_pred)
