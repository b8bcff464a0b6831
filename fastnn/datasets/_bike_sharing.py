"""Bike sharing by the hour: the table inside the package, its features, and a split by date.

This module must not know the network, the user's folders or the cache.
"""

from __future__ import annotations

from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from fastnn.checks import check_flag
from fastnn.datasets._columns import as_table, one_hot, standardised
from fastnn.datasets._embedded import read_embedded

_N_TEST_ROWS = 21 * 24
_N_VALID_ROWS = 60 * 24
_CATEGORIES = {
    "season": range(1, 5),
    "weathersit": range(1, 5),
    "mnth": range(1, 13),
    "hr": range(24),
    "weekday": range(7),
}

Part = tuple[NDArray[np.float32], NDArray[np.float32]]


@overload
def load_bike_sharing(*, raw: Literal[False] = False) -> tuple[Part, Part, Part]: ...
@overload
def load_bike_sharing(*, raw: Literal[True]) -> NDArray[np.void]: ...
def load_bike_sharing(*, raw: bool = False) -> tuple[Part, Part, Part] | NDArray[np.void]:
    """Return how many bikes were rented in each of 17379 hours, with calendar and weather.

    The last 504 rows (21 days) are the test part, the 1440 before them (60 days) the validation
    part; the rows of each part are in the order of time.

    Parameters
    ----------
    raw : bool, default False
        Whether to return the table as it was published instead of features and targets.

    Returns
    -------
    (x_train, y_train), (x_valid, y_valid), (x_test, y_test) : tuple of tuple of ndarray
        Features as float32 of shape (15435, 56), (1440, 56) and (504, 56): ``yr`` and ``holiday``;
        ``temp``, ``hum`` and ``windspeed``, standardised; the one-hot codes of ``season`` (4 columns),
        ``weathersit`` (4), ``mnth`` (12), ``hr`` (24) and ``weekday`` (7). Targets as float32 of shape
        (rows, 1): ``cnt``, standardised.
    table : ndarray of shape (17379,), structured
        If `raw`, the fields ``instant`` (number of the row, from 1), ``dteday`` (datetime64[D]),
        ``season`` (1 is winter), ``yr`` (0 is 2011), ``mnth`` (from 1), ``hr`` (0 to 23), ``holiday``
        (0 or 1), ``weekday`` (0 is Sunday), ``workingday`` (0 or 1), ``weathersit`` (1 clear to 4 heavy
        rain), ``temp``, ``atemp`` (felt), ``hum`` and ``windspeed`` (all scaled to at most 1), ``casual``,
        ``registered`` and their sum ``cnt`` (bikes rented). These four of the weather are float64, all
        other numbers int64.

    Raises
    ------
    DTypeError
        If `raw` is not a boolean.

    Notes
    -----
    As in the course that made this data set an exercise, columns are standardised over the whole
    table, before the split. The standard deviation divides by the number of rows, so a prediction `y`
    means ``y * table["cnt"].std() + table["cnt"].mean()`` bikes. The rows of the test part are
    ``table[-504:]``, with their dates and hours.

    165 hours of the two years are not in the table. Two of them fall into its last weeks, so the test
    part begins on 10 December 2012 at 22 h. It contains Christmas.

    References
    ----------
    H. Fanaee-T and J. Gama, "Event labeling combining ensemble detectors and background knowledge",
    Progress in Artificial Intelligence 2, 2014 (online 2013), doi 10.1007/s13748-013-0040-3. The data
    are ``hour.csv`` of "Bike Sharing", UCI Machine Learning Repository, licence CC BY 4.0; they are
    stored here in columns of small integers, no value changed.

    Examples
    --------
    >>> from fastnn.datasets import load_bike_sharing
    >>> (x_train, y_train), (x_valid, y_valid), (x_test, y_test) = load_bike_sharing()
    >>> x_train.shape, x_valid.shape, x_test.shape
    ((15435, 56), (1440, 56), (504, 56))

    The targets of the last three hours, in bikes:

    >>> table = load_bike_sharing(raw=True)
    >>> bikes = y_test[-3:, 0] * table["cnt"].std() + table["cnt"].mean()
    >>> bikes.round().tolist(), table["cnt"][-3:].tolist(), str(table["dteday"][-1])
    ([90.0, 61.0, 49.0], [90, 61, 49], '2012-12-31')
    """
    raw = check_flag(raw, "raw")
    table = _read_table()
    if raw:
        return table
    features: list[NDArray[Any]] = [table["yr"], table["holiday"]]
    features += [standardised(table[name]) for name in ("temp", "hum", "windspeed")]
    features += [one_hot(table[name], categories) for name, categories in _CATEGORIES.items()]
    x = np.column_stack(features).astype(np.float32)
    y = standardised(table["cnt"]).astype(np.float32)[:, np.newaxis]
    test = len(table) - _N_TEST_ROWS
    valid = test - _N_VALID_ROWS
    # Copies, so that who keeps the test part alone does not keep the training part in memory.
    train_part, valid_part, test_part = (
        (x[rows].copy(), y[rows].copy())
        for rows in (slice(valid), slice(valid, test), slice(test, len(table)))
    )
    return train_part, valid_part, test_part


def _read_table() -> NDArray[np.void]:
    """Return the embedded table.

    The file has ``temp`` and ``hum`` in hundredths, ``atemp`` and ``windspeed`` in ten-thousandths,
    all as integers, and neither the row numbers nor the sum of rentals.
    """
    columns = read_embedded("bike_sharing.npz")
    for name, unit in {"temp": 100, "hum": 100, "atemp": 10000, "windspeed": 10000}.items():
        columns[name] = columns[name] / unit
    columns["dteday"] = np.datetime64("2011-01-01") + columns["dteday"]
    columns["cnt"] = columns["casual"] + columns["registered"]
    columns["instant"] = np.arange(1, len(columns["cnt"]) + 1)
    order = (
        *("instant", "dteday", "season", "yr", "mnth", "hr", "holiday", "weekday", "workingday"),
        *("weathersit", "temp", "atemp", "hum", "windspeed", "casual", "registered", "cnt"),
    )
    return as_table({name: columns[name] for name in order})
