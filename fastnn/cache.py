"""A cache of what was made last, bounded by its weight.  This file must not know what it keeps."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["Latest"]

T = TypeVar("T")


class Latest(Generic[T]):
    """Things by what they were made of; the oldest go when all together weigh too much.

    Threads may come at the same time: a thing may then be made twice, and either is right.

    Parameters
    ----------
    most : int
        The weight of all that is kept.
    weigh : callable
        Returns the weight of a thing.

    Examples
    --------
    >>> squares = Latest(10, lambda square: square)
    >>> [squares.get(n, lambda: n * n) for n in (1, 2, 3, 4)], len(squares)
    ([1, 4, 9, 16], 1)
    """

    def __init__(self, most: int, weigh: Callable[[T], int]) -> None:
        self._most, self._weigh = most, weigh
        self._kept: dict[Hashable, T] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def clear(self) -> None:
        """Forget all."""
        self._kept = {}

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what is kept for a key, or what `make` returns, which is kept from now on.

        Parameters
        ----------
        key : object
            What the thing depends on.  If it is not hashable, nothing is kept.
        make : callable
        """
        try:
            found = self._kept.get(key)
        except TypeError:
            return make()
        if found is None:
            found = make()
            self._keep(key, found)
        return found

    def _keep(self, key: Hashable, thing: T) -> None:
        if self._weigh(thing) > self._most:
            return
        kept = dict(self._kept)
        kept[key] = thing
        weight = sum(map(self._weigh, kept.values()))
        for oldest in list(kept):
            if weight <= self._most:
                break
            weight -= self._weigh(kept.pop(oldest))
        self._kept = kept  # all at once: other threads see what was kept before, or this
