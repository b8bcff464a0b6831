"""What losses and metrics of the user's own return: checked arrays, or an error that names the function.

They get arrays of the model's dtype that they cannot write to, and what they raise passes with a note of who
raised it.  This file must not know models, plans or kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastnn.border.numeric import as_numbers
from fastnn.errors import ConfigurationError, DTypeError, ShapeError
from fastnn.losses import Loss
from fastnn.losses._base import FORM

__all__ = ["Returned", "called", "loss_of_batch", "metric_of_batch", "read_only", "reduced"]


class Returned(NamedTuple):
    """A loss of a batch.

    Attributes
    ----------
    value : numpy.ndarray of float64, (rows,) or ()
        One for each row, or one number for all.
    gradient : numpy.ndarray of float64, (rows, outputs)
        The derivative of the sum of `value` with respect to the outputs.
    """

    value: np.ndarray
    gradient: np.ndarray

    @property
    def unfit(self) -> str:
        """What is not finite, and where first; empty if all is."""
        for name, array in (("value", self.value), ("gradient", self.gradient)):
            bad = np.argwhere(~np.isfinite(array))
            if len(bad):
                place = tuple(int(i) for i in bad[0])
                return f"{name} is {array[place]}" + (f" at index {place}" if place else "")
        return ""


def read_only(array: np.ndarray) -> np.ndarray:
    """Return a view that cannot be written to.

    Examples
    --------
    >>> read_only(np.zeros(2)).flags.writeable
    False
    """
    view = array.view()
    view.flags.writeable = False
    return view


def called(
    function: Callable[..., Any], said: str, y_true: np.ndarray, y_pred: np.ndarray, *more: Any
) -> Any:
    """Return what a function makes of arrays; what it raises gets a note that says who raised it.

    Examples
    --------
    >>> called(lambda t, y: t + y, "metric 'sum'", np.ones((1, 1)), np.ones((1, 1)))
    array([[2.]])
    """
    try:
        return function(read_only(y_true), read_only(y_pred), *more)
    except Exception as error:
        error.add_note(f"raised by {said}, given y_true of shape {y_true.shape} and y_pred of {y_pred.shape}")
        raise


def loss_of_batch(loss: Loss, y_true: np.ndarray, y_pred: np.ndarray) -> Returned:
    """Return what a loss in Python returns for a batch, checked; numbers that are not finite pass.

    Parameters
    ----------
    loss : Loss
    y_true : numpy.ndarray, (rows, targets)
    y_pred : numpy.ndarray, (rows, outputs)

    Returns
    -------
    Returned

    Raises
    ------
    ShapeError, DTypeError
        If it returns something else than a value and a gradient.

    Examples
    --------
    >>> from fastnn.losses import get
    >>> loss = get(lambda y_true, y_pred: ((y_pred - y_true).sum(axis=1), np.ones(y_pred.shape)))
    >>> loss_of_batch(loss, np.zeros((2, 1)), np.ones((2, 1))).value
    array([1., 1.])
    """
    said = f"loss {loss.name!r}"
    call: Any = getattr(loss, "call")  # noqa: B009
    found = called(call, said, y_true, y_pred)
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise DTypeError(f"{said} returned {_form_of(found)}, and its gradient is needed as well: {FORM}")
    rows = len(y_pred)
    value = as_numbers(found[0], f"the value that {said} returned")
    if value.shape not in ((), (rows,), (rows, 1)):
        raise ShapeError(
            f"the value that {said} returned has shape {value.shape}; it must be one number for each of the "
            f"{rows} rows, shape ({rows},), or one for all of them, the mean over the batch"
        )
    gradient = as_numbers(found[1], f"the gradient that {said} returned")
    if gradient.shape != y_pred.shape:
        raise ShapeError(
            f"the gradient that {said} returned has shape {gradient.shape}; it must be that of y_pred, "
            f"{y_pred.shape}: the derivative of value.sum() with respect to y_pred"
        )
    shape = value.shape[:1]
    return Returned(value.astype(np.float64).reshape(shape), gradient.astype(np.float64))


def reduced(loss: Loss, found: Returned, weight: np.ndarray | None) -> tuple[float, np.ndarray | float]:
    """Return the loss of a batch, and what each row of the gradient is multiplied by.

    Parameters
    ----------
    loss : Loss
        Its reduction counts if there is a value for each row; one for all is reduced already.
    found : Returned
    weight : numpy.ndarray, (rows, 1), optional

    Returns
    -------
    float
    numpy.ndarray of float64, (rows, 1), or float

    Raises
    ------
    ConfigurationError
        If there are weights of rows, and one value for all of them.

    Examples
    --------
    >>> from fastnn.losses import get
    >>> found = Returned(np.array([1.0, 3.0]), np.ones((2, 1)))
    >>> reduced(get(max), found, None)
    (2.0, 0.5)
    """
    if not found.value.ndim:
        if weight is not None:
            raise ConfigurationError(
                f"loss {loss.name!r} returned one number for all rows, and sample_weight or class_weight "
                "count each row by its own; let it return one value a row"
            )
        return float(found.value), 1.0
    divisor = float(len(found.value)) if loss.mean else 1.0
    if weight is None:
        return float(found.value.sum()) / divisor, 1.0 / divisor
    factors = weight.astype(np.float64)
    if loss.reduction == "mean_with_sample_weight":
        divisor = float(factors.sum())
    factors = factors / divisor if divisor else np.zeros_like(factors)
    return float(found.value @ factors[:, 0]), factors


def metric_of_batch(
    function: Callable[..., Any], name: str, y_true: np.ndarray, y_pred: np.ndarray
) -> np.ndarray:
    """Return what a metric that is a function returns for a batch: one value a row, or one number.

    Parameters
    ----------
    function : callable
    name : str
        Of the metric.
    y_true : numpy.ndarray, (rows, targets)
    y_pred : numpy.ndarray, (rows, outputs)

    Returns
    -------
    numpy.ndarray of float64, (rows,) or ()
        Of several values a row their mean, as in Keras.

    Raises
    ------
    ShapeError, DTypeError
        If it returns something else.

    Examples
    --------
    >>> metric_of_batch(lambda t, y: abs(t - y), "error", np.zeros((1, 2)), np.array([[1.0, 3.0]]))
    array([2.])
    """
    said = f"metric {name!r}"
    found = called(function, said, y_true, y_pred)
    if isinstance(found, tuple):
        raise DTypeError(f"{said} returned {_form_of(found)}; return one value a row, or one number")
    values = as_numbers(found, f"what {said} returned").astype(np.float64)
    rows = len(y_pred)
    if values.ndim and (values.shape[0] != rows or not values.size):
        raise ShapeError(
            f"what {said} returned has shape {values.shape}; it must be one value for each of the {rows} "
            f"rows, shape ({rows},), or one number"
        )
    return values.reshape(rows, -1).mean(axis=1) if values.ndim else values


def _form_of(found: object) -> str:
    """Return what a message says of something that was returned."""
    if isinstance(found, np.ndarray):
        return f"an array of shape {found.shape}"
    if isinstance(found, tuple | list):
        return f"a {type(found).__name__} of {len(found)}"
    return "a number" if isinstance(found, float | int) else f"{type(found).__name__}"
