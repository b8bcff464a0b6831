"""What users bring as an array of real numbers, or what it is instead and how it becomes numbers.

Shapes, ranges and dtypes of models are the business of `data.py`.  This file must not know models,
plans or kernels, and recognises decimals and the types of other libraries by their names: importing
them takes time.
"""

from __future__ import annotations

import datetime
import numbers
from collections.abc import Iterable, Mapping, Set

import numpy as np

from fastnn.checks import shown
from fastnn.errors import DataError, DTypeError, FastnnError, ShapeError

__all__ = ["as_numbers"]

_DATES = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)
_DATES_OF_PANDAS = ("NaTType", "Period")
_SINCE = (
    "make real numbers of it that float32 can hold, such as days since the first: "
    "({0} - {0}.min()) / np.timedelta64(1, 'D')"
)
_REAL_PARTS = "expected real numbers, such as {0}.real, {0}.imag or np.abs({0})"


def as_numbers(value: object, name: str, *, target: bool = False) -> np.ndarray:
    """Return array-like data as an array of real numbers, or say why that cannot be.

    Parameters
    ----------
    value : array_like
    name : str
        For messages.
    target : bool
        Whether text may be meant as labels.

    Returns
    -------
    numpy.ndarray
        Of any real dtype; `value` itself if it is one.

    Raises
    ------
    DTypeError, ShapeError
        If these are not numbers, or not an array of them.
    DataError
        If numbers are missing, or too large for float64.

    Examples
    --------
    >>> as_numbers([1, 2], "x")
    array([1, 2])
    """
    if type(value) is np.ndarray and value.dtype.kind in "fiub":
        return value
    if value is None:
        raise DTypeError(f"{name} is None; give an array")
    if hasattr(value, "toarray") and hasattr(value, "nnz"):
        raise DTypeError(f"{name} is a sparse matrix; fastnn needs a dense array: {name}.toarray()")
    if isinstance(value, np.ndarray) and hasattr(value, "filled"):  # `np.ma` itself may not be loaded
        raise DTypeError(f"{name} is a masked array; fill it first: {name}.filled(...)")
    try:
        array = np.asarray(value)
    except ValueError as error:
        hint = "; rows must be of one length" if "inhomogeneous" in str(error) else ""
        raise ShapeError(f"{name} cannot become an array: {str(error).rstrip('.')}{hint}") from None
    except (TypeError, RuntimeError) as error:  # tensors that live elsewhere, or want gradients
        raise DTypeError(f"{name} cannot become an array: {error}") from None
    if array.dtype == object:
        array = _of_objects(array, name, target)
    if array.dtype.kind not in "fiub":
        raise _wrong_dtype(array, name, target)
    return array


def _wrong_dtype(array: np.ndarray, name: str, target: bool) -> DTypeError:
    """Return the error for an array whose dtype is not that of real numbers."""
    if array.dtype.names is not None:
        return DTypeError(
            f"{name} has the fields {', '.join(array.dtype.names)}; make columns of real numbers of them, as "
            f"by np.column_stack([{name}[field] for field in {name}.dtype.names])"
        )
    what, advice = {
        "M": ("dates", _SINCE),
        "m": ("durations", "make real numbers of them: {0} / np.timedelta64(1, 's')"),
        "c": ("complex numbers", _REAL_PARTS),
        "U": ("text", _of_text(target)),
        "S": ("text", _of_text(target)),
        "T": ("text", _of_text(target)),
    }.get(array.dtype.kind, ("", "expected real numbers"))
    kind = f"dtype {array.dtype}" + (f", {what}" if what else "")
    return DTypeError(f"{name} has {kind}; {advice.format(name)}")


def _of_text(target: bool) -> str:
    labels = ", labels by: np.unique({0}, return_inverse=True)[1]" if target else ""
    return (
        "real numbers written as text are numbers after np.asarray({0}).astype(float); "
        f"encode categories as numbers first{labels}"
    )


def _of_objects(array: np.ndarray, name: str, target: bool) -> np.ndarray:
    """Return an array of dtype object as numbers, if each of its elements is one."""
    # None, as a missing value in a table, becomes NaN and is reported as such.
    fit = {kind for kind in set(map(type, array.flat)) if _is_number(kind)}
    others = [value for value in array.flat if type(value) not in fit]
    for value in others:
        if type(value).__name__ != "NAType":
            raise _no_number(value, array, name, target)
    if others:
        where = next(index for index, value in np.ndenumerate(array) if type(value) not in fit)
        raise DataError(
            f"{name} has {len(others)} missing values ({others[0]}), the first at index {where}; "
            f"fill or drop them first, as by {name}.fillna(0) or {name}.dropna()"
        )
    try:
        return array.astype(np.float64)
    except OverflowError:
        raise DataError(f"{name} has integers too large for float64; scale them first") from None


def _is_number(kind: type) -> bool:
    return issubclass(kind, numbers.Real | np.bool_ | type(None))


def _no_number(value: object, array: np.ndarray, name: str, target: bool) -> FastnnError:
    """Return the error for an array of dtype object that holds something else than numbers."""
    kind = type(value).__name__
    if isinstance(value, np.ndarray | list | tuple):
        size = f"of shape {value.shape}" if isinstance(value, np.ndarray) else f"of length {len(value)}"
        return ShapeError(
            f"{name} holds arrays or lists, the first {size}; "
            f"make one array of them, as by np.stack(list({name})) if all have one shape"
        )
    if kind == "Decimal":
        what, advice = "a decimal number", "convert to real numbers: np.asarray({0}).astype(float)"
    elif isinstance(value, numbers.Complex):
        what, advice = "a complex number", _REAL_PARTS
    elif isinstance(value, _DATES) or kind in _DATES_OF_PANDAS:
        what, advice = "a date or a time", _SINCE
    elif isinstance(value, str | bytes):
        what, advice = "text", _of_text(target)
    elif array.ndim == 0:
        return DTypeError(f"{name} is {_article(kind)} {kind}{_instead(value).format(name)}")
    else:
        what, advice = f"of type {kind}", "expected real numbers"
    return DTypeError(f"{name} holds {shown(value)}, {what}; {advice.format(name)}")


def _article(noun: str) -> str:
    return "an" if noun[:1].lower() in "aeiou" else "a"


def _instead(value: object) -> str:
    """Return how what is no array at all becomes one."""
    if isinstance(value, Set):
        return ", which has no order; give an array of numbers, such as np.array(list({0}))"
    if isinstance(value, Mapping):
        return "; expected an array of numbers, such as np.column_stack(list({0}.values()))"
    if isinstance(value, Iterable):
        return (
            "; expected an array of numbers: put its batches together by np.concatenate(list({0})), "
            "its rows by np.stack(list({0}))"
        )
    return "; expected an array of numbers"
