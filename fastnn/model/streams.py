"""Streams of random numbers that initial values are drawn from: those of NumPy's generators.

Making a generator takes longer than what it draws for a small layer: they are used again, and not needed for
uniform numbers, which most initial values are.  This file must not know models.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnn._core.guards import load
from fastnn._core.seeds import seed_words, uniform

__all__ = ["Stream", "begin_stream", "borrowed", "give_back"]

_MOST_IDLE = 16
_MULTIPLIER = 0x2360ED051FC65DA44385DF649FCCF645  # of PCG64 (O'Neill 2014)
_MASK = (1 << 128) - 1

# Whoever draws takes one out, so that no other thread, and no signal handler, draws from it meanwhile.
_idle: list[np.random.Generator] = []


def borrowed() -> np.random.Generator:
    """Return a generator that nobody else draws from, in any state.

    Returns
    -------
    numpy.random.Generator
        For `give_back`.
    """
    try:
        return _idle.pop()
    except IndexError:
        generator: np.random.Generator = load("numpy.random").default_rng(0)
        return generator


def give_back(generator: np.random.Generator) -> None:
    """Let others draw from a generator."""
    if len(_idle) < _MOST_IDLE:
        _idle.append(generator)


def begin_stream(generator: np.random.Generator, seed: int, number: int) -> None:
    """Bring a generator into the state in which ``default_rng(SeedSequence(seed, spawn_key=(number,)))`` is.

    Parameters
    ----------
    generator : numpy.random.Generator
        From `borrowed`.
    seed : int
        From 0 to 2**64 - 1.
    number : int

    Examples
    --------
    >>> import numpy as np
    >>> generator = borrowed()
    >>> begin_stream(generator, 5, 1)
    >>> found = generator.random()
    >>> give_back(generator)
    >>> found == np.random.default_rng(np.random.SeedSequence(5, spawn_key=(1,))).random()
    True
    """
    a, b, c, d, e, f, g, h = seed_words(seed, number, 8)
    begin = a << 64 | b << 96 | c | d << 32
    increment = (e << 65 | f << 97 | g << 1 | h << 33 | 1) & _MASK
    state = ((increment + begin) * _MULTIPLIER + increment) & _MASK
    generator.bit_generator.state = {
        "bit_generator": "PCG64",
        "state": {"state": state, "inc": increment},
        "has_uint32": 0,
        "uinteger": 0,
    }


class Stream:
    """A stream that has the methods of a generator, and mostly needs none: for one draw of uniform numbers.

    Parameters
    ----------
    seed, number : int
        As for `begin_stream`.

    Examples
    --------
    >>> import numpy as np
    >>> same = np.random.default_rng(np.random.SeedSequence(5, spawn_key=(1,)))
    >>> bool((Stream(5, 1).uniform(0.0, 2.0, (2, 3)) == same.uniform(0.0, 2.0, (2, 3))).all())
    True
    """

    def __init__(self, seed: int, number: int) -> None:
        self._seed, self._number, self._drawn = seed, number, 0
        self._generator: np.random.Generator | None = None

    def uniform(self, low: float, high: float, size: tuple[int, ...]) -> np.ndarray:
        """Return an array of float64 numbers in ``[low, high)``."""
        if self._drawn or self._generator is not None or not 0.0 <= high - low < math.inf:
            return self.generator().uniform(low, high, size)
        found = np.empty(math.prod(size))
        uniform(self._seed, self._number, low, high, found)
        self._drawn = found.size
        return found.reshape(size)

    def generator(self) -> np.random.Generator:
        """Return a generator that goes on with the stream, until `close`."""
        if self._generator is None:
            self._generator = borrowed()
            begin_stream(self._generator, self._seed, self._number)
            if self._drawn:
                bits: Any = self._generator.bit_generator
                bits.advance(self._drawn)
        return self._generator

    def __getattr__(self, name: str) -> Any:
        return getattr(self.generator(), name)

    def close(self) -> None:
        """Let others draw from the generator."""
        if self._generator is not None:
            generator, self._generator = self._generator, None
            give_back(generator)
