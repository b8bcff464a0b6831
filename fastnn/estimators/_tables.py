"""Tables as users bring them, DataFrames, arrays and lists, become columns of numbers and of categories.

What a column is, is found here; what is made of it for a net, in `_encoder.py`.  DataFrames of pandas, polars
and pyarrow are read by narwhals, which is imported when the first one comes.  This file must not know nets.
"""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from numbers import Real
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from scipy.sparse import issparse

from fastnn.checks import shown
from fastnn.errors import DataError, DTypeError, ShapeError

__all__ = ["RawTable", "Values", "as_categories", "as_numbers", "kind_of", "read_table", "titled"]

# Numbers or booleans as an array; else Python's objects, with None for what is missing.
Values: TypeAlias = "np.ndarray | list[Any]"

_DATES = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)
_WRITTEN_DATE = re.compile(r"\s*\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}.*)?\s*")
_MISSING_TYPES = ("NAType", "NaTType")  # of pandas, which need not be there
_LOOKED_AT = 1000  # texts of a column, to see whether they are dates


class RawTable(NamedTuple):
    """A table whose columns are not looked at yet.

    Attributes
    ----------
    names : list of str, or None
        Where all columns have names that are strings.
    columns : list
        Arrays of numbers or booleans, or lists of objects.
    n_rows : int
    forced : set of int
        Columns that are categories by their dtype.
    """

    names: list[str] | None
    columns: list[Values]
    n_rows: int
    forced: set[int]


def titled(name: str | int) -> str:
    """Return how errors speak of a column.

    Examples
    --------
    >>> titled("age"), titled(3)
    ("column 'age'", 'column 3')
    """
    return f"column {name!r}"


def read_table(X: Any, estimator: str) -> RawTable:
    """Return the columns of a table.

    Parameters
    ----------
    X : DataFrame, array_like or list of rows
    estimator : str
        Its name, for errors.

    Raises
    ------
    DTypeError, ShapeError, DataError
        If it is none.
    """
    if issparse(X):
        raise DTypeError(f"{estimator} takes no sparse matrix; give X.toarray(), or use an MLP estimator")
    table = _read_frame(X) if _is_frame(X) else _read_array(X)
    n_columns = len(table.columns)
    if not n_columns:
        raise ShapeError(
            f"X has 0 feature(s) (shape=({table.n_rows}, 0)) while a minimum of 1 is required by {estimator}."
        )
    if not table.n_rows:
        raise ShapeError(
            f"X has 0 sample(s) (shape=(0, {n_columns})) while a minimum of 1 is required by {estimator}."
        )
    return table


# -- DataFrames


def _is_frame(X: Any) -> bool:
    """Return whether X is a DataFrame, of any library, without importing one."""
    if isinstance(X, np.ndarray | list | tuple):
        return False
    kind = type(X)  # as columns of lazy frames cost something
    return any(hasattr(kind, name) for name in ("columns", "__dataframe__", "__narwhals_dataframe__"))


def _read_frame(X: Any) -> RawTable:
    try:
        import narwhals
        from narwhals.exceptions import DuplicateError
    except ImportError as error:
        raise ImportError("DataFrames need narwhals: `pip install narwhals`; or give an array") from error
    if hasattr(type(X), "collect"):
        raise DTypeError(f"X is a {type(X).__name__}, whose rows are not there yet; collect it first")
    _check_doubled(list(X.column_names if hasattr(X, "column_names") else X.columns))
    try:
        frame: Any = narwhals.from_native(X, eager_only=True)
        columns = list(frame.columns)
    except DuplicateError as error:
        raise ShapeError(f"X has two columns of one name: {error}; rename one") from error
    except TypeError as error:
        raise DTypeError(f"X is {shown(X)}, which is no table that narwhals knows") from error
    forced: set[int] = set()
    found: list[Values] = []
    for number, (name, series) in enumerate(zip(columns, frame.iter_columns(), strict=True)):
        if series.dtype in (narwhals.Categorical, narwhals.Enum):
            forced.add(number)
        found.append(_values_of(series, narwhals, name))
    names = [str(name) for name in columns] if all(isinstance(name, str) for name in columns) else None
    return RawTable(names, found, len(frame), forced)


def _check_doubled(names: Sequence[Any]) -> None:
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise ShapeError(
            f"X has {titled(doubled[0])} {names.count(doubled[0])} times; names of columns must be unique: "
            "rename or drop one of them"
        )


def _values_of(series: Any, narwhals: Any, name: Any) -> Values:
    dtype = series.dtype
    if dtype.is_temporal():
        _refuse_date(name)
    if dtype.is_nested() or dtype == narwhals.Binary:
        raise DTypeError(f"{titled(name)} is of dtype {dtype}; numbers, booleans and texts can be used")
    if dtype.is_numeric() and not dtype.is_decimal():
        array = series.to_numpy()
        if array.dtype.kind in "iuf":
            return np.asarray(array)
    if dtype == narwhals.Boolean and not series.null_count():
        return np.asarray(series.to_numpy(), bool)
    return _objects(series.to_list())


# -- arrays


def _read_array(X: Any) -> RawTable:
    try:
        array = np.asarray(X)
    except ValueError as error:
        raise ShapeError(f"the rows of X are not of one length: {error}") from error
    if array.dtype.kind in "US" and not isinstance(X, np.ndarray):
        array = np.asarray(X, object)  # numbers among texts stay numbers
    if array.dtype.kind == "c":
        raise DataError("Complex data not supported: X has complex numbers; give real and imaginary parts")
    if array.dtype.kind in "mM":
        _refuse_date(0)
    if array.dtype.kind not in "biufUSO":
        raise DTypeError(f"X is of dtype {array.dtype}; numbers, booleans and texts can be used")
    if array.ndim != 2:
        advice = "Reshape your data: X.reshape(-1, 1) for one column, X.reshape(1, -1) for one row."
        raise ShapeError(f"Expected 2D array, got {array.ndim}D array instead: shape {array.shape}. {advice}")
    if array.dtype.kind in "biuf":
        columns: list[Values] = list(array.T)
    else:
        columns = [_objects(column.tolist()) for column in array.T]
        if array.dtype.kind in "US":  # all became text for the sake of one column
            columns = [_numbers_if_all_are(column.tolist()) for column in array.T]
    return RawTable(None, columns, len(array), set())


def _objects(values: list[Any]) -> list[Any]:
    """Return values with None for all that means a missing one."""
    return [None if _is_missing(value) else value for value in values]


def _is_missing(value: Any) -> bool:
    if value is None:
        return True
    if isinstance(value, float | np.floating):
        return bool(value != value)
    return type(value).__name__ in _MISSING_TYPES


def _numbers_if_all_are(values: list[Any]) -> Values:
    numbers = [_number(value) for value in values]
    return values if any(number is None for number in numbers) else np.array(numbers, np.float64)


def _number(text: Any) -> float | None:
    """Return the number that a text is, or None."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


# -- what a column is


def kind_of(values: Values, name: str | int, notes: list[str]) -> str:
    """Return what a column is: "number" or "category".

    Parameters
    ----------
    values : array or list
    name : str or int
    notes : list of str
        Gets a sentence where the column might have been meant otherwise.

    Raises
    ------
    DTypeError, DataError
        For dates, for numbers and text in one column, and for objects of other kinds.
    """
    if isinstance(values, np.ndarray):
        return "category" if values.dtype.kind == "b" else "number"
    present = [value for value in values if value is not None]
    kinds = {_kind_of_object(value) for value in present}
    if "date" in kinds or (kinds == {"text"} and _are_dates(present)):
        _refuse_date(name)
    for value in present:
        if _kind_of_object(value) == "other":
            raise DTypeError(
                f"{titled(name)} has {shown(value)} in row {values.index(value)}, counted from 0; each entry "
                "must be a string or a number, a boolean, or missing"
            )
    if not present or kinds <= {"number"}:
        return "number"
    if kinds == {"boolean"}:
        return "category"
    if "text" in kinds:
        numbers = sum(_number(value) is not None for value in present)
        if numbers == len(present):
            notes.append(
                f"{titled(name)} has numbers that are written as text, and is taken for numbers; name it in "
                "cat_features if they are categories"
            )
            return "number"
        if numbers > len(present) / 2 or "number" in kinds:
            _refuse_text(values, name)
    return "category"


def _kind_of_object(value: Any) -> str:
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool | np.bool_):
        return "boolean"
    if isinstance(value, Real | Decimal):
        return "number"
    return "date" if isinstance(value, _DATES) else "other"


def _are_dates(texts: list[Any]) -> bool:
    return all(_WRITTEN_DATE.fullmatch(text) for text in texts[:_LOOKED_AT])


def _refuse_date(name: Any) -> None:
    raise DTypeError(
        f"{titled(name)} has dates or times, which mean nothing to a net as they are; derive numbers or "
        "categories, such as year, month, weekday, hour, or days since a day of yours, and drop the column"
    )


def _refuse_text(values: Values, name: str | int) -> None:
    row, value = next((row, v) for row, v in enumerate(values) if v is not None and _number(v) is None)
    raise DataError(
        f"{titled(name)} has numbers, and in row {row}, counted from 0, {shown(value)}; replace that by a "
        "number, or by NaN if it is missing, or name the column in cat_features"
    )


# -- columns of a kind


def as_numbers(values: Values, name: str | int) -> np.ndarray:
    """Return a column as float64, with NaN for what is missing.

    Raises
    ------
    DataError
        For text that is no number, and for infinite values; with the row.
    """
    if isinstance(values, np.ndarray):
        found = values.astype(np.float64)
    else:
        numbers = [np.nan if value is None else _number(value) for value in values]
        if None in numbers:
            if any(isinstance(value, _DATES) for value in values):
                _refuse_date(name)
            _refuse_text(values, name)
        found = np.array(numbers, np.float64)
    infinite = np.isinf(found)
    if infinite.any():
        row = int(infinite.argmax())
        raise DataError(
            f"{titled(name)} has an infinite value, {found[row]}, in row {row}, counted from 0; replace it "
            "by a number, or by NaN if it is not known"
        )
    return found


def as_categories(values: Values, name: str | int) -> list[Any]:
    """Return a column as plain strings, numbers and booleans, with None for what is missing.

    Raises
    ------
    DTypeError
        For objects of other kinds; with the row.
    """
    plain = _objects(values.tolist()) if isinstance(values, np.ndarray) else values
    found: list[Any] = []
    for row, value in enumerate(plain):
        if value is None or type(value) in (str, bool, int, float):
            found.append(value)
        elif isinstance(value, np.generic) and type(value.item()) in (str, bool, int, float):
            found.append(value.item())
        elif isinstance(value, str):
            found.append(str(value))
        elif isinstance(value, Real | Decimal):
            found.append(float(value))
        elif isinstance(value, _DATES):
            _refuse_date(name)
        else:
            raise DTypeError(
                f"{titled(name)} has {shown(value)} in row {row}, counted from 0; categories must be "
                "strings, numbers or booleans, or missing"
            )
    return found
