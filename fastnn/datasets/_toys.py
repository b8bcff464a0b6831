"""Points in the plane in two classes that no straight line separates.

Each function draws points uniformly from a square and says which are of class 1. This module
must not know files.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastnn.checks import check_count

_LARGEST_SEED = 2**32 - 1
_ISLAND_CENTRES = ((-1.0, -0.9), (1.0, -0.9), (0.0, 1.0))
_ISLAND_RADIUS = 0.8

Points = tuple[NDArray[np.float32], NDArray[np.int32]]


def make_quadrants(n: int, seed: int) -> Points:
    """Return points of the square [-1, 1] x [-1, 1]; class 1 is where ``x1 * x2 > 0``.

    Each class has about half of the points.

    Parameters
    ----------
    n : int
        Number of points, at least 1.
    seed : int
        Seed of the points, from 0 to 2**32 - 1. The same seed gives the same points with the same
        version of NumPy.

    Returns
    -------
    x : ndarray of float32 of shape (n, 2)
        The points.
    y : ndarray of int32 of shape (n,)
        Their classes, 0 or 1.

    Raises
    ------
    DTypeError
        If `n` or `seed` is not an integer.
    ConfigurationError
        If one of them is out of range.

    Notes
    -----
    The exclusive or of the two signs, the classic of M. Minsky and S. Papert, "Perceptrons", 1969.

    Examples
    --------
    >>> from fastnn.datasets import make_quadrants
    >>> x, y = make_quadrants(1000, seed=0)
    >>> x.shape, bool(((x[:, 0] * x[:, 1] > 0) == y).all())
    ((1000, 2), True)
    """
    x = _points_in_square(n, seed, half_side=1.0)
    # Signs instead of a product, which would be 0 for two tiny numbers.
    return x, (np.sign(x[:, 0]) * np.sign(x[:, 1]) > 0).astype(np.int32)


def make_ring(n: int, seed: int) -> Points:
    """Return points of the square [-2.5, 2.5] x [-2.5, 2.5]; class 1 is the ring ``1 <= ||x|| < 2``.

    The ring has ``3 pi / 25``, about 38% of the points; the rest lies in its hole (13%) and outside.

    Parameters
    ----------
    n : int
        Number of points, at least 1.
    seed : int
        Seed of the points, from 0 to 2**32 - 1. The same seed gives the same points with the same
        version of NumPy.

    Returns
    -------
    x : ndarray of float32 of shape (n, 2)
        The points.
    y : ndarray of int32 of shape (n,)
        Their classes, 0 or 1.

    Raises
    ------
    DTypeError
        If `n` or `seed` is not an integer.
    ConfigurationError
        If one of them is out of range.

    Examples
    --------
    >>> from fastnn.datasets import make_ring
    >>> x, y = make_ring(1000, seed=0)
    >>> x.shape, bool(0.3 < y.mean() < 0.45)
    ((1000, 2), True)
    """
    x = _points_in_square(n, seed, half_side=2.5)
    square = _squared_distance(x, (0.0, 0.0))
    return x, ((square >= 1) & (square < 4)).astype(np.int32)


def make_islands(n: int, seed: int) -> Points:
    """Return points of the square [-2, 2] x [-2, 2]; class 1 is three discs that do not touch.

    The discs have the centres (-1, -0.9), (1, -0.9) and (0, 1) and the radius 0.8, edge included.
    Together they have ``1.92 pi / 16``, about 38% of the points.

    Parameters
    ----------
    n : int
        Number of points, at least 1.
    seed : int
        Seed of the points, from 0 to 2**32 - 1. The same seed gives the same points with the same
        version of NumPy.

    Returns
    -------
    x : ndarray of float32 of shape (n, 2)
        The points.
    y : ndarray of int32 of shape (n,)
        Their classes: 1 on an island, 0 in the sea.

    Raises
    ------
    DTypeError
        If `n` or `seed` is not an integer.
    ConfigurationError
        If one of them is out of range.

    Examples
    --------
    >>> from fastnn.datasets import make_islands
    >>> x, y = make_islands(1000, seed=0)
    >>> x.shape, bool(0.3 < y.mean() < 0.45)
    ((1000, 2), True)
    """
    x = _points_in_square(n, seed, half_side=2.0)
    on_island = np.zeros(len(x), dtype=bool)
    for centre in _ISLAND_CENTRES:
        on_island |= _squared_distance(x, centre) <= _ISLAND_RADIUS**2
    return x, on_island.astype(np.int32)


def _points_in_square(n: int, seed: int, half_side: float) -> NDArray[np.float32]:
    """Return `n` points, uniform in a square around the origin, after checking the arguments."""
    n = check_count(n, "n")
    seed = check_count(seed, "seed", minimum=0, maximum=_LARGEST_SEED)
    return np.random.default_rng(seed).uniform(-half_side, half_side, size=(n, 2)).astype(np.float32)


def _squared_distance(x: NDArray[np.float32], centre: tuple[float, float]) -> NDArray[np.float64]:
    """Return the squared distances, in float64 so that points at an edge fall on their side of it."""
    return np.square(x - np.asarray(centre, dtype=np.float64)).sum(axis=1)
