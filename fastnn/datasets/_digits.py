"""The optical digits that come with the package, and their split into training and test rows.

This module reads one embedded file. It must not know the network, the user's folders or the cache.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastnn.checks import check_count, check_number
from fastnn.datasets._embedded import read_embedded
from fastnn.errors import ConfigurationError

_LARGEST_PIXEL = 16
_LARGEST_SEED = 2**32 - 1


def load_digits(
    *, test_fraction: float = 0.2, seed: int = 0
) -> tuple[
    tuple[NDArray[np.float32], NDArray[np.int64]],
    tuple[NDArray[np.float32], NDArray[np.int64]],
]:
    """Return the 1797 optical digits of 8 x 8 pixels, split into training and test rows.

    The split is stratified: every digit gives the same share of its images to the test part, to
    within one image. The rows of both parts are in random order. The same seed gives the same
    split with every version of NumPy.

    Parameters
    ----------
    test_fraction : float, default 0.2
        Share of the rows in the test part, between 0 and 1; the number of rows is rounded.
    seed : int, default 0
        Seed of the split, from 0 to 2**32 - 1.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuple of tuple of ndarray
        Images as float32 of shape (rows, 64) from 0 to 1, labels as int64 of shape (rows,) from 0 to 9.

    Raises
    ------
    DTypeError
        If `test_fraction` is not a real number or `seed` not an integer.
    ConfigurationError
        If `test_fraction` leaves one of the parts without rows, or `seed` is out of range.

    Notes
    -----
    The images are the test part (``optdigits.tes``) of the UCI data set, written by 13 people:
    counts, 0 to 16, of the set pixels in the 4 x 4 blocks of 32 x 32 bitmaps. The embedded file was
    made from the copy in scikit-learn (``sklearn.datasets.load_digits``), stored as uint8 without
    other changes; here the counts are divided by 16.

    References
    ----------
    E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
    Repository, 1998, doi 10.24432/C50P49, licence CC BY 4.0.

    Examples
    --------
    >>> from fastnn.datasets import load_digits
    >>> (x_train, y_train), (x_test, y_test) = load_digits()
    >>> x_train.shape, x_test.shape
    ((1438, 64), (359, 64))
    """
    test_fraction = check_number(
        test_fraction, "test_fraction", 0.0, 1.0, open_minimum=True, open_maximum=True
    )
    seed = check_count(seed, "seed", minimum=0, maximum=_LARGEST_SEED)
    arrays = read_embedded("digits.npz")
    images, labels = arrays["images"], arrays["labels"]
    train, test = _stratified_split(labels, test_fraction, seed)
    x = np.divide(images, np.float32(_LARGEST_PIXEL), dtype=np.float32)
    y = labels.astype(np.int64)
    return (x[train], y[train]), (x[test], y[test])


def _stratified_split(
    labels: NDArray[np.uint8], test_fraction: float, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the row numbers of the training and of the test part, each in random order."""
    n_test = round(len(labels) * test_fraction)
    if not 0 < n_test < len(labels):
        raise ConfigurationError(
            f"test_fraction={test_fraction!r} puts {n_test} of the {len(labels)} rows into the test part; "
            "choose it so that both parts have rows"
        )
    # Each class gives the whole part of its share; the rows still wanted come from the classes
    # with the largest remainders.
    exact = np.bincount(labels) * (n_test / len(labels))
    n_per_class = np.floor(exact).astype(np.intp)
    by_remainder = np.argsort(n_per_class - exact, kind="stable")
    n_per_class[by_remainder[: n_test - int(n_per_class.sum())]] += 1

    # RandomState, because NumPy guarantees its stream across versions and that of Generator not.
    random = np.random.RandomState(seed)
    is_test = np.zeros(len(labels), dtype=bool)
    for label, n_rows in enumerate(n_per_class):
        is_test[random.permutation(np.flatnonzero(labels == label))[:n_rows]] = True
    return random.permutation(np.flatnonzero(~is_test)), random.permutation(np.flatnonzero(is_test))
