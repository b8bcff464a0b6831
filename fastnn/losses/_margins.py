"""Losses with margins: support vector machines and the like.

This file must not know layers or kernels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fastnn.checks import check_number
from fastnn.losses._base import Loss, as_in_keras
from fastnn.opcodes import OpCode
from fastnn.ops import Pointwise, Rowwise

__all__ = ["CategoricalHinge", "Hinge", "MulticlassHinge", "SquaredHinge"]


@as_in_keras
@dataclass(frozen=True)
class Hinge(Loss):
    """Mean of ``max(0, 1 - t y)`` over the outputs of a row; targets are -1 and 1, or 0 and 1.

    The outputs y are scores, of a linear last layer.  Where a term is exactly 0 its gradient is 0.

    Parameters
    ----------
    reduction : str or None

    Examples
    --------
    >>> Hinge().name
    'hinge'
    """

    reduction: str | None = "sum_over_batch_size"

    default_name: ClassVar[str] = "hinge"
    code: ClassVar[OpCode] = OpCode.POINTWISE_LOSS
    function: ClassVar[Pointwise | Rowwise | None] = Pointwise.HINGE
    signs: ClassVar[bool] = True


@as_in_keras
@dataclass(frozen=True)
class SquaredHinge(Loss):
    """Mean of ``max(0, 1 - t y)^2`` over the outputs of a row; targets are -1 and 1, or 0 and 1.

    The outputs y are scores, of a linear last layer.

    Parameters
    ----------
    reduction : str or None

    Examples
    --------
    >>> SquaredHinge().name
    'squared_hinge'
    """

    reduction: str | None = "sum_over_batch_size"

    default_name: ClassVar[str] = "squared_hinge"
    code: ClassVar[OpCode] = OpCode.POINTWISE_LOSS
    function: ClassVar[Pointwise | Rowwise | None] = Pointwise.SQUARED_HINGE
    signs: ClassVar[bool] = True


@as_in_keras
@dataclass(frozen=True)
class CategoricalHinge(Loss):
    """The margin of a row's largest wrong score, ``max(0, max((1 - t) y) - sum(t y) + 1)``; `t` is one-hot.

    The outputs y are scores, of a linear last layer.  Of several largest scores the first has the gradient.

    Parameters
    ----------
    reduction : str or None

    Examples
    --------
    >>> CategoricalHinge().name
    'categorical_hinge'
    """

    reduction: str | None = "sum_over_batch_size"

    default_name: ClassVar[str] = "categorical_hinge"
    code: ClassVar[OpCode] = OpCode.ROWWISE_LOSS
    function: ClassVar[Pointwise | Rowwise | None] = Rowwise.CATEGORICAL_HINGE
    classes: ClassVar[bool] = True


@as_in_keras
@dataclass(frozen=True)
class MulticlassHinge(Loss):
    """Multiclass SVM loss ``sum over j != label of max(0, s_j - s_label + margin)`` (lecture A.9).

    After Weston and Watkins 1999.  The scores s are the model's outputs, with a linear last layer; labels
    are integers 0 to classes - 1.  Where a term is exactly 0 its gradient is 0.

    Parameters
    ----------
    margin : float
        At least 0.
    reduction : str or None

    Raises
    ------
    ConfigurationError
        If the margin is negative or not finite.
    DTypeError
        If it is not a number.

    Examples
    --------
    >>> MulticlassHinge().margin
    1.0
    """

    margin: float = 1.0

    default_name: ClassVar[str] = "multiclass_hinge"
    code: ClassVar[OpCode] = OpCode.MULTICLASS_HINGE
    sparse: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self.margin, "margin", 0.0)

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return the margin."""
        return (float(self.margin),)
