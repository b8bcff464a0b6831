"""Seeds for the whole process, as in Keras."""
# This file must not know models.

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator
from typing import Any

from fastnn._core.guards import load
from fastnn.absent import attribute_error
from fastnn.checks import check_count

__all__ = ["next_seed", "set_random_seed"]


def __dir__() -> list[str]:
    return __all__


# The seed that was set, and the numbers of the models to come.  No lock guards it: a signal handler may ask
# for a seed while the main thread makes one, and a forked child while a thread that it has not got does.
_seeds: tuple[int, Iterator[int]] | None = None


def set_random_seed(seed: int) -> None:
    """Make random numbers of the process reproducible: fastnn's, Python's and NumPy's.

    Models built afterwards without a `seed` of their own have the same ones each time.  As Keras's
    function of this name does, it also calls ``random.seed(seed)`` and ``numpy.random.seed(seed)``.

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
    >>> import random
    >>> set_random_seed(1)
    >>> random.random()
    0.13436424411240122
    """
    global _seeds
    first = check_count(seed, "seed", 0, 2**32 - 1)
    _seeds = first, itertools.count()
    random.seed(first)
    load("numpy.random").seed(first)


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
    seeds = _seeds
    if seeds is None:
        return int.from_bytes(os.urandom(4), "little")
    return int(load("numpy.random").SeedSequence([seeds[0], next(seeds[1])]).generate_state(1)[0])


def __getattr__(name: str) -> Any:
    raise attribute_error(__name__, name, __all__)
