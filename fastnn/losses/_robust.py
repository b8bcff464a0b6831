"""Losses that bear wrong labels.

This file must not know layers or kernels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from fastnn.losses._base import Loss, as_in_keras
from fastnn.opcodes import OpCode
from fastnn.ops import Pointwise, Rowwise

__all__ = ["CategoricalGeneralizedCrossEntropy", "categorical_generalized_cross_entropy"]


@as_in_keras
@dataclass(frozen=True)
class CategoricalGeneralizedCrossEntropy(Loss):
    """Cross-entropy that bears wrong labels, ``(1 - p^q) / q`` of the output p of the labelled class.

    Near q = 0 it is the cross-entropy, with q = 1 it would be the absolute error.  Outputs are taken as they
    are, as in Keras: the last layer is a softmax.  Gradient ``-p^(q - 1)``, where a p of less than 1e-7 is
    taken for that.  After Zhang and Sabuncu 2018.

    Parameters
    ----------
    q : float
        Between 0 and 1.
    reduction : str or None

    Raises
    ------
    ConfigurationError
        If q is not between 0 and 1.
    DTypeError
        If it is not a number.

    Examples
    --------
    >>> round(CategoricalGeneralizedCrossEntropy(q=0.5)([1], [[0.75, 0.25]]), 4)
    1.0
    """

    q: float = 0.5

    default_name: ClassVar[str] = "categorical_generalized_cross_entropy"
    code: ClassVar[OpCode] = OpCode.ROWWISE_LOSS
    function: ClassVar[Pointwise | Rowwise | None] = Rowwise.GENERALIZED_CROSSENTROPY
    sparse: ClassVar[bool] = True
    classes: ClassVar[bool] = True


def categorical_generalized_cross_entropy(y_true: object, y_pred: object, q: float) -> Any:
    """Cross-entropy that bears wrong labels.

    Parameters
    ----------
    y_true : array_like of int, (...) or (..., 1)
    y_pred : array_like, (..., outputs)
    q : float
        As of `CategoricalGeneralizedCrossEntropy`.

    Returns
    -------
    numpy.ndarray, (...)
        `CategoricalGeneralizedCrossEntropy` of each row.

    Raises
    ------
    ShapeError, DataError, DTypeError, ConfigurationError
        As the message says.

    Examples
    --------
    >>> categorical_generalized_cross_entropy([1, 0], [[0.75, 0.25], [0.36, 0.64]], 0.5).round(3)
    array([1. , 0.8], dtype=float32)
    """
    return CategoricalGeneralizedCrossEntropy(q, reduction=None)(y_true, y_pred)
