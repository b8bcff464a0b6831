"""Seeds for the whole process, as in Keras.  This file must not know models."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import numpy as np

from fastnn.checks import check_count

__all__ = ["next_seed", "set_random_seed"]

_lock = threading.Lock()
_seeds: Iterator[int] | None = None


def set_random_seed(seed: int) -> None:
    """Make every model built afterwards without a `seed` of its own reproducible.

    Parameters
    ----------
    seed : int
        From 0 to 2**32 - 1.

    Raises
    ------
    DTypeError, ConfigurationError
        If it is not such an integer.

    Examples
    --------
    >>> set_random_seed(1)
    """
    global _seeds
    first = check_count(seed, "seed", 0, 2**32 - 1)
    with _lock:
        _seeds = (int(np.random.SeedSequence([first, i]).generate_state(1)[0]) for i in itertools.count())


def next_seed() -> int:
    """Return a seed for a model: of the sequence that `set_random_seed` began, else a random one.

    Returns
    -------
    int

    Examples
    --------
    >>> 0 <= next_seed() < 2**32
    True
    """
    with _lock:
        if _seeds is not None:
            return next(_seeds)
    return int(np.random.SeedSequence().generate_state(1)[0])
