"""Losses as functions of arrays, with Keras's names: one number a row.

Each is the loss of that name with no reduction.  This file must not know layers or kernels.
"""

from __future__ import annotations

from typing import Any

from fastnn.losses._margins import CategoricalHinge, Hinge, SquaredHinge
from fastnn.losses._probabilities import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    KLDivergence,
    Poisson,
    SparseCategoricalCrossentropy,
)
from fastnn.losses._regression import (
    CosineSimilarity,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
)

__all__ = [
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "cosine_similarity",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "sparse_categorical_crossentropy",
    "squared_hinge",
]


def _rows(loss: type[Any], y_true: object, y_pred: object, **arguments: Any) -> Any:
    return loss(reduction=None, **arguments)(y_true, y_pred)


def binary_crossentropy(
    y_true: object, y_pred: object, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Any:
    """Cross-entropy of independent outputs.

    Parameters
    ----------
    y_true, y_pred : array_like, (..., outputs)
    from_logits : bool
        Whether outputs are scores before the sigmoid.
    label_smoothing : float
        As of `BinaryCrossentropy`.
    axis : int
        That of the outputs, the last one.

    Returns
    -------
    numpy.ndarray, (...)
        `BinaryCrossentropy` of each row.

    Raises
    ------
    ShapeError, DataError, DTypeError, ConfigurationError
        As the message says.

    Examples
    --------
    >>> binary_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).round(3)
    array([0.693], dtype=float32)
    """
    return _rows(
        BinaryCrossentropy,
        y_true,
        y_pred,
        from_logits=from_logits,
        label_smoothing=label_smoothing,
        axis=axis,
    )


def binary_focal_crossentropy(
    y_true: object,
    y_pred: object,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """Binary cross-entropy with less of rows that are right already.

    Parameters
    ----------
    y_true, y_pred : array_like, (..., outputs)
    apply_class_balancing : bool
        As of `BinaryFocalCrossentropy`, as are the following ones.
    alpha : float
    gamma : float
    from_logits : bool
    label_smoothing : float
    axis : int
        That of the outputs, the last one.

    Returns
    -------
    numpy.ndarray, (...)
        `BinaryFocalCrossentropy` of each row.

    Raises
    ------
    ShapeError, DataError, DTypeError, ConfigurationError
        As the message says.

    Examples
    --------
    >>> binary_focal_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).round(3)
    array([0.173], dtype=float32)
    """
    return _rows(
        BinaryFocalCrossentropy,
        y_true,
        y_pred,
        apply_class_balancing=apply_class_balancing,
        alpha=alpha,
        gamma=gamma,
        from_logits=from_logits,
        label_smoothing=label_smoothing,
        axis=axis,
    )


def categorical_crossentropy(
    y_true: object, y_pred: object, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Any:
    """Cross-entropy of one-hot targets, or distributions.

    Parameters
    ----------
    y_true, y_pred : array_like, (..., outputs)
    from_logits : bool
        Whether outputs are scores before the softmax.
    label_smoothing : float
        As of `CategoricalCrossentropy`.
    axis : int
        That of the outputs, the last one.

    Returns
    -------
    numpy.ndarray, (...)
        `CategoricalCrossentropy` of each row.

    Raises
    ------
    ShapeError, DataError, DTypeError, ConfigurationError
        As the message says.

    Examples
    --------
    >>> categorical_crossentropy([[0, 1]], [[0.75, 0.25]]).round(3)
    array([1.386], dtype=float32)
    """
    return _rows(
        CategoricalCrossentropy,
        y_true,
        y_pred,
        from_logits=from_logits,
        label_smoothing=label_smoothing,
        axis=axis,
    )


def categorical_focal_crossentropy(
    y_true: object,
    y_pred: object,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """Cross-entropy with less of rows that are right already.

    Parameters
    ----------
    y_true, y_pred : array_like, (..., outputs)
    alpha : float
        As of `CategoricalFocalCrossentropy`, as are the following ones.
    gamma : float
    from_logits : bool
    label_smoothing : float
    axis : int
        That of the outputs, the last one.

    Returns
    -------
    numpy.ndarray, (...)
        `CategoricalFocalCrossentropy` of each row.

    Raises
    ------
    ShapeError, DataError, DTypeError, ConfigurationError
        As the message says.

    Examples
    --------
    >>> categorical_focal_crossentropy([[0, 1]], [[0.75, 0.25]]).round(3)
    array([0.195], dtype=float32)
    """
    return _rows(
        CategoricalFocalCrossentropy,
        y_true,
        y_pred,
        alpha=alpha,
        gamma=gamma,
        from_logits=from_logits,
        label_smoothing=label_smoothing,
        axis=axis,
    )


def categorical_hinge(y_true: object, y_pred: object) -> Any:
    """Margin of the largest wrong score.

    Parameters
    ----------
    y_true, y_pred : array_like, (..., outputs)

    Returns
    -------
    numpy.ndarray, (...)
        `CategoricalHinge` of each row.

    Raises
    ------
    ShapeError, DataError, DTypeError, ConfigurationError
        As the message says.

    Examples
    --------
    >>> categorical_hinge([[0, 1]], [[0.5, 1.0]])
    array([0.5], dtype=float32)
    """
    return _rows(CategoricalHinge, y_true, y_pred)


def cosine_similarity(y_true: object, y_pred: object, axis: int = -1) -> Any:
    """Minus the cosine of the angle between targets and outputs.

    Parameters
    ----------
    y_true, y_pred : array_like, (..., outputs)
    axis : int
        That of the outputs, the last one.

    Returns
    -------
    numpy.ndarray, (...)
        `CosineSimilarity` of each row.

    Raises
    ------
    ShapeError, DataError, DTypeError, ConfigurationError
        As the message says.

    Examples
    --------
    >>> cosine_similarity([[0.0, 1.0]], [[3.0, 4.0]])
    array([-0.8], dtype=float32)
    """
    return _rows(CosineSimilarity, y_true, y_pred, axis=axis)


def hinge(y_true: object, y_pred: object) -> Any:
    """Mean of ``max(0, 1 - t y)``; targets are -1 and 1, or 0 and 1.

    Parameters
    ----------
    y_true, y_pred : array_like, (..., outputs)

    Returns
    -------
    numpy.ndarray, (...)
        `Hinge` of each row.

    Raises
    ------
    ShapeError, DataError, DTypeError, ConfigurationError
        As the message says.

    Examples
    --------
    >>> hinge([[-1, 1]], [[0.5, 0.5]])
    array([1.], dtype=float32)
    """
    return _rows(Hinge, y_true, y_pred)


def huber(y_true: object, y_pred: object, delta: float = 1.0) -> Any:
    """Squared error near 0, absolute error further out.

    Parameters
    ----------
    y_true, y_pred : array_like, (..., outputs)
    delta : float
        Where the one becomes the other.

    Returns
    -------
    numpy.ndarray, (...)
        `Huber` of each row.

    Raises
    ------
    ShapeError, DataError, DTypeError, ConfigurationError
        As the message says.

    Examples
    --------
    >>> huber([[0.0, 0.0]], [[1.0, 3.0]])
    array([1.5], dtype=float32)
    """
    return _rows(Huber, y_true, y_pred, delta=delta)


def kl_divergence(y_true: object, y_pred: object) -> Any:
    """Kullback-Leibler divergence of distributions.

    Parameters
    ----------
    y_true, y_pred : array_like, (..., outputs)

    Returns
    -------
    numpy.ndarray, (...)
        `KLDivergence` of each row.

    Raises
    ------
    ShapeError, DataError, DTypeError, ConfigurationError
        As the message says.

    Examples
    --------
    >>> kl_divergence([[0.5, 0.5]], [[0.75, 0.25]]).round(3)
    array([0.144], dtype=float32)
    """
    return _rows(KLDivergence, y_true, y_pred)


def log_cosh(y_true: object, y_pred: object) -> Any:
    """Mean of ``log(cosh(y - t))``.

    Parameters
    ----------
    y_true, y_pred : array_like, (..., outputs)

    Returns
    -------
    numpy.ndarray, (...)
        `LogCosh` of each row.

    Raises
    ------
    ShapeError, DataError, DTypeError, ConfigurationError
        As the message says.

    Examples
    --------
    >>> log_cosh([[0.0, 0.0]], [[1.0, 3.0]]).round(3)
    array([1.372], dtype=float32)
    """
    return _rows(LogCosh, y_true, y_pred)


def mean_absolute_error(y_true: object, y_pred: object) -> Any:
    """Mean of absolute errors.

    Parameters
    ----------
    y_true, y_pred : array_like, (..., outputs)

    Returns
    -------
    numpy.ndarray, (...)
        `MeanAbsoluteError` of each row.

    Raises
    ------
    ShapeError, DataError, DTypeError, ConfigurationError
        As the message says.

    Examples
    --------
    >>> mean_absolute_error([[0.0, 0.0]], [[1.0, 3.0]])
    array([2.], dtype=float32)
    """
    return _rows(MeanAbsoluteError, y_true, y_pred)


def mean_absolute_percentage_error(y_true: object, y_pred: object) -> Any:
    """Mean of absolute errors, in percent of targets.

    Parameters
    ----------
    y_true, y_pred : array_like, (..., outputs)

    Returns
    -------
    numpy.ndarray, (...)
        `MeanAbsolutePercentageError` of each row.

    Raises
    ------
    ShapeError, DataError, DTypeError, ConfigurationError
        As the message says.

    Examples
    --------
    >>> mean_absolute_percentage_error([[1.0, 2.0]], [[1.5, 3.0]])
    array([50.], dtype=float32)
    """
    return _rows(MeanAbsolutePercentageError, y_true, y_pred)


def mean_squared_error(y_true: object, y_pred: object) -> Any:
    """Mean of squared errors.

    Parameters
    ----------
    y_true, y_pred : array_like, (..., outputs)

    Returns
    -------
    numpy.ndarray, (...)
        `MeanSquaredError` of each row.

    Raises
    ------
    ShapeError, DataError, DTypeError, ConfigurationError
        As the message says.

    Examples
    --------
    >>> mean_squared_error([[0.0, 0.0], [1.0, 1.0]], [[1.0, 3.0], [1.0, 1.0]])
    array([5., 0.], dtype=float32)
    """
    return _rows(MeanSquaredError, y_true, y_pred)


def mean_squared_logarithmic_error(y_true: object, y_pred: object) -> Any:
    """Mean of squared differences of ``log(1 + value)``.

    Parameters
    ----------
    y_true, y_pred : array_like, (..., outputs)

    Returns
    -------
    numpy.ndarray, (...)
        `MeanSquaredLogarithmicError` of each row.

    Raises
    ------
    ShapeError, DataError, DTypeError, ConfigurationError
        As the message says.

    Examples
    --------
    >>> mean_squared_logarithmic_error([[0.0, 1.0]], [[1.0, 1.0]]).round(3)
    array([0.24], dtype=float32)
    """
    return _rows(MeanSquaredLogarithmicError, y_true, y_pred)


def poisson(y_true: object, y_pred: object) -> Any:
    """Mean of ``y - t log(y)``.

    Parameters
    ----------
    y_true, y_pred : array_like, (..., outputs)

    Returns
    -------
    numpy.ndarray, (...)
        `Poisson` of each row.

    Raises
    ------
    ShapeError, DataError, DTypeError, ConfigurationError
        As the message says.

    Examples
    --------
    >>> poisson([[1.0, 2.0]], [[1.0, 1.0]]).round(3)
    array([1.], dtype=float32)
    """
    return _rows(Poisson, y_true, y_pred)


def sparse_categorical_crossentropy(
    y_true: object, y_pred: object, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> Any:
    """Cross-entropy of integer labels.

    Parameters
    ----------
    y_true : array_like of int, (...) or (..., 1)
    y_pred : array_like, (..., classes)
    from_logits : bool
        Whether outputs are scores before the softmax.
    ignore_class : int, optional
        A label whose rows have the loss 0.
    axis : int
        That of the outputs, the last one.

    Returns
    -------
    numpy.ndarray, (...)
        `SparseCategoricalCrossentropy` of each row.

    Raises
    ------
    ShapeError, DataError, DTypeError, ConfigurationError
        As the message says.

    Examples
    --------
    >>> sparse_categorical_crossentropy([1, 0], [[0.75, 0.25], [0.5, 0.5]]).round(3)
    array([1.386, 0.693], dtype=float32)
    """
    return _rows(
        SparseCategoricalCrossentropy,
        y_true,
        y_pred,
        from_logits=from_logits,
        ignore_class=ignore_class,
        axis=axis,
    )


def squared_hinge(y_true: object, y_pred: object) -> Any:
    """Mean of ``max(0, 1 - t y)^2``; targets are -1 and 1, or 0 and 1.

    Parameters
    ----------
    y_true, y_pred : array_like, (..., outputs)

    Returns
    -------
    numpy.ndarray, (...)
        `SquaredHinge` of each row.

    Raises
    ------
    ShapeError, DataError, DTypeError, ConfigurationError
        As the message says.

    Examples
    --------
    >>> squared_hinge([[-1, 1]], [[0.5, 0.5]])
    array([1.25], dtype=float32)
    """
    return _rows(SquaredHinge, y_true, y_pred)
