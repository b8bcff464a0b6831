"""What turns the columns of a table into features: one-hot code and standard scores.

This module must not know which data set a column belongs to.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def as_table(columns: dict[str, NDArray[Any]]) -> NDArray[np.void]:
    """Return named columns of equal length as one structured array.

    Parameters
    ----------
    columns : dict of str to ndarray of shape (rows,)
        Integers of every width become int64, so that sums and differences of them do not wrap
        around; other dtypes stay.

    Returns
    -------
    ndarray of shape (rows,), structured
        One field per column, in the order of `columns`.
    """
    wide = {
        name: column.astype(np.int64) if column.dtype.kind in "iu" else column
        for name, column in columns.items()
    }
    n_rows = len(next(iter(wide.values())))
    table = np.empty(n_rows, dtype=[(name, column.dtype) for name, column in wide.items()])
    for name, column in wide.items():
        table[name] = column
    return table


def one_hot(column: NDArray[Any], categories: ArrayLike) -> NDArray[np.float64]:
    """Return a column as one column per category: 1 where the row is of it, else 0.

    Parameters
    ----------
    column : ndarray of shape (rows,)
        Each value is one of `categories`.
    categories : array_like of shape (columns,)
        All values, each once, in the order of the columns to come.

    Returns
    -------
    ndarray of float64 of shape (rows, columns)
    """
    return np.equal.outer(column, categories).astype(np.float64)


def standardised(column: NDArray[Any]) -> NDArray[np.float64]:
    """Return ``(column - mean) / std``, with the standard deviation that divides by the number of rows.

    Parameters
    ----------
    column : ndarray of shape (rows,)
        Numbers, not all equal.

    Returns
    -------
    ndarray of float64 of shape (rows,)
    """
    return (column - column.mean()) / column.std()
