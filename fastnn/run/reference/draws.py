"""The random numbers of training, in NumPy: functions of a seed and of where they are used.

The core has the same (`_core/random.pxd`), bit for bit.  This file must not know plans, models or kernels.
"""

from __future__ import annotations

import numpy as np

__all__ = ["bits_of", "key_of_step", "normals_of", "permutation_of", "stream"]

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def _mixed(x: int) -> int:
    """Return the output of splitmix64 (Steele, Lea and Flood 2014)."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)


def stream(key: int, number: int) -> int:
    """Return a key that is random number `number` of another.

    Examples
    --------
    >>> stream(0, 0) == stream(0, 1)
    False
    """
    return _mixed((key + (number + 1) * _GOLDEN) & _MASK)


def key_of_step(seed: int, step: int) -> int:
    """Return the key of what layers draw in a step, counted from 1."""
    return stream(stream(seed, 1), step)


def permutation_of(size: int, seed: int, epoch: int) -> np.ndarray:
    """Return the order of `size` rows in an epoch.

    Fisher and Yates, from the last row to the second: row i changes places with row j of 0 to i,
    where ``j = floor(u_i (i + 1))`` and u_i is random number i of (seed, epoch).

    Parameters
    ----------
    size, seed, epoch : int

    Returns
    -------
    numpy.ndarray of int32, (size,)

    Examples
    --------
    >>> sorted(permutation_of(4, seed=1, epoch=0).tolist())
    [0, 1, 2, 3]
    """
    key = _mixed((stream(seed, 0) + epoch) & _MASK)
    order = np.arange(size, dtype=np.int32)
    for i in range(size - 1, 0, -1):
        j = int((_mixed((key + i * _GOLDEN) & _MASK) >> 11) * 2.0**-53 * (i + 1))
        order[i], order[j] = order[j], order[i]
    return order


def bits_of(key: int, rows: int, columns: int) -> np.ndarray:
    """Return the random numbers of the elements of a batch, 32 bits each.

    Parameters
    ----------
    key : int
        Of an op in a step.
    rows, columns : int

    Returns
    -------
    numpy.ndarray of uint32, (rows, columns)

    Examples
    --------
    >>> bits_of(1, 2, 3).shape
    (2, 3)
    """
    keys = np.asarray([stream(key, row) for row in range(rows)], np.uint64)[:, None]
    low, high = (keys & np.uint64(0xFFFFFFFF)).astype(np.uint32), (keys >> np.uint64(32)).astype(np.uint32)
    column = np.arange(columns, dtype=np.uint32) * np.uint32(_GOLDEN >> 32)
    return _scrambled(_scrambled(column + low) ^ high)


def _scrambled(x: np.ndarray) -> np.ndarray:
    """Return one of 2^32 numbers for each of as many ("lowbias32", Wellons 2018)."""
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def normals_of(bits: np.ndarray) -> np.ndarray:
    """Return standard normal numbers: the quantiles of ``(bits + 1/2) / 2^32``.

    Examples
    --------
    >>> normals_of(np.asarray([2**31 - 1, 2**31], np.uint32)).round(6)
    array([-0.,  0.])
    """
    from scipy.special import ndtri

    below = bits < 2**31
    quantiles = ndtri((np.where(below, bits, ~bits) + 0.5) * 2.0**-32)
    normals: np.ndarray = np.where(below, quantiles, -quantiles)
    return normals
