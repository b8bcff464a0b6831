"""Graduate admissions: the table inside the package, its features, and a random tenth as test rows.

This module must not know the network, the user's folders or the cache.
"""

from __future__ import annotations

from typing import Literal, overload

import numpy as np
from numpy.typing import NDArray

from fastnn.checks import check_count, check_flag
from fastnn.datasets._columns import as_table, one_hot, standardised
from fastnn.datasets._embedded import read_embedded

_N_TEST_ROWS = 40
_RANKS = (1, 2, 3, 4)
_LARGEST_SEED = 2**32 - 1

Part = tuple[NDArray[np.float32], NDArray[np.float32]]


@overload
def load_admissions(*, raw: Literal[False] = False, seed: int = 42) -> tuple[Part, Part]: ...
@overload
def load_admissions(*, raw: Literal[True], seed: int = 42) -> NDArray[np.void]: ...
def load_admissions(*, raw: bool = False, seed: int = 42) -> tuple[Part, Part] | NDArray[np.void]:
    """Return 400 applications to a graduate school and whether they were accepted.

    A random tenth of the rows is the test part. The same seed gives the same split with every
    version of NumPy.

    Parameters
    ----------
    raw : bool, default False
        Whether to return the table as it was published instead of features and targets.
    seed : int, default 42
        Seed of the split, from 0 to 2**32 - 1; without effect on the raw table.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuple of tuple of ndarray
        Features as float32 of shape (360, 6) and (40, 6): ``gre`` and ``gpa`` standardised, then the
        one-hot code of ranks 1 to 4. Targets as float32 of shape (360, 1) and (40, 1): 1 if accepted.
        Training rows are in random order, test rows in that of the table.
    table : ndarray of shape (400,), structured
        If `raw`: the fields ``admit`` (int64, 0 or 1), ``gre`` (int64, points of the Graduate Record
        Exam, 220 to 800), ``gpa`` (float64, grade point average, up to 4) and ``rank`` (int64, of the
        applicant's college, 1 is best).

    Raises
    ------
    DTypeError
        If `raw` is not a boolean or `seed` not an integer.
    ConfigurationError
        If `seed` is out of range.

    Notes
    -----
    As in the course that made this data set an exercise, ``gre`` and ``gpa`` are standardised over
    the whole table, before the split: the test rows have their share in the mean and in the
    standard deviation. The latter divides by 400, as ``table["gre"].std()`` does.

    The data were made up for teaching, and little can be learnt from them: 127 of the 400 are accepted,
    so the answer "refused" is right in 68% of the cases, and logistic regression in 70% (test rows,
    mean over the seeds 0 to 599, with a standard deviation of 6% from split to split).

    References
    ----------
    UCLA Institute for Digital Research and Education, "Logit Regression, Data Analysis Examples",
    file ``binary.csv``.

    Examples
    --------
    >>> from fastnn.datasets import load_admissions
    >>> (x_train, y_train), (x_test, y_test) = load_admissions()
    >>> x_train.shape, y_train.shape, x_test.shape
    ((360, 6), (360, 1), (40, 6))
    >>> load_admissions(raw=True)[0].tolist()
    (0, 380, 3.61, 3)
    """
    raw = check_flag(raw, "raw")
    seed = check_count(seed, "seed", minimum=0, maximum=_LARGEST_SEED)
    table = _read_table()
    if raw:
        return table
    x = np.column_stack(
        [standardised(table["gre"]), standardised(table["gpa"]), one_hot(table["rank"], _RANKS)]
    ).astype(np.float32)
    y = table["admit"].astype(np.float32)[:, np.newaxis]
    # RandomState, because NumPy guarantees its stream across versions and that of Generator not.
    order = np.random.RandomState(seed).permutation(len(table))
    train, test = order[:-_N_TEST_ROWS], np.sort(order[-_N_TEST_ROWS:])
    return (x[train], y[train]), (x[test], y[test])


def _read_table() -> NDArray[np.void]:
    """Return the embedded table; the file has ``gpa`` in hundredths, as an integer."""
    columns = read_embedded("admissions.npz")
    columns["gpa"] = columns["gpa"] / 100
    return as_table({name: columns[name] for name in ("admit", "gre", "gpa", "rank")})
