"""Data that come in batches, one after the other: what is such a thing, and which batches make an epoch.

Which batches an epoch has, and when a data set hears of its ends, is as in Keras 3.  This file must not know
models; what is in a batch is checked where it is used.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Set, Sized, ValuesView
from typing import Any, NamedTuple

from fastnn.errors import ConfigurationError, DataError, ShapeError, TrainingWarning, warn

__all__ = ["Feed", "Passage", "is_feed", "unpacked"]

_END: Any = object()


class Passage(NamedTuple):
    """Where training stands in a pass through all rows, where epochs are a part of one.

    Attributes
    ----------
    number : int
        What the order of rows is drawn from, with the model's seed.
    done : int
        Batches of it that were trained.
    batch, rows : int
        Rows of a batch, and of all.
    """

    number: int
    done: int
    batch: int
    rows: int

    @property
    def steps(self) -> int:
        """Batches of the pass."""
        return -(-self.rows // self.batch)


def is_feed(x: object) -> bool:
    """Return whether `x` gives batches one by one, and is no array.

    Parameters
    ----------
    x : object

    Returns
    -------
    bool
        True for generators and other iterators, for data sets such as `fastnn.utils.PyDataset`, and for what
        can be iterated but has neither items nor the form of an array, such as a DataLoader of PyTorch.

    Examples
    --------
    >>> is_feed(row for row in [1]), is_feed([[1.0, 2.0]])
    (True, False)
    """
    if hasattr(x, "__next__") or _is_data_set(x):
        return True
    if hasattr(x, "__getitem__") or hasattr(x, "__array__") or hasattr(x, "__array_interface__"):
        return False
    return isinstance(x, Iterable) and not isinstance(x, Set | ValuesView)


def _is_data_set(x: object) -> bool:
    """Return whether batches are asked for by number: Keras's data sets, and fastnn's."""
    return all(hasattr(x, name) for name in ("__getitem__", "on_epoch_begin", "on_epoch_end"))


def unpacked(batch: object, where: str) -> tuple[Any, Any, Any]:
    """Return inputs, targets and sample weights of a batch; None for what it does not have.

    Parameters
    ----------
    batch : tuple or list of 1 to 3, or anything else
        What is no tuple or list is the inputs.
    where : str
        Which batch it is, for messages.

    Returns
    -------
    tuple of 3

    Raises
    ------
    ShapeError
        If there are too many, or none.

    Examples
    --------
    >>> unpacked(([[1.0]], [0]), "batch 1 of x")
    ([[1.0]], [0], None)
    """
    parts = tuple(batch) if isinstance(batch, tuple | list) else (batch,)
    if len(parts) not in (1, 2, 3):
        raise ShapeError(
            f"{where} has {len(parts)} parts; a batch is (x,), (x, y) or (x, y, sample_weight), with several "
            "inputs or outputs in a list or dict of their own"
        )
    return (*parts, None, None)[:3]


class Feed:
    """Batches that come one by one.

    An iterator is read once, each batch for one step.  What can be iterated again, and data sets, begin anew
    when they are through; with `steps` an epoch goes on where the one before ended, and is shorter, with a
    warning, where the data end within it.

    Parameters
    ----------
    source : iterable, or data set with ``__getitem__`` and a length
    steps : int, optional
        Batches of an epoch; by default all that there are.
    name : str
        For messages, as `steps_name`.
    order : callable, optional
        ``order(batches)`` returns the order of a data set's batches in the passage through it that begins; by
        default they come by their numbers.
    steps_name : str

    Attributes
    ----------
    steps : int or None
        Batches of an epoch, if that is known.
    name : str

    Raises
    ------
    ConfigurationError
        If a data set has no end, and there is no `steps`.

    Examples
    --------
    >>> feed = Feed(iter("abcde"), steps=2)
    >>> [list(feed.epoch()), list(feed.epoch())]
    [['a', 'b'], ['c', 'd']]
    """

    def __init__(
        self,
        source: Any,
        steps: int | None = None,
        name: str = "x",
        order: Callable[[int], Iterable[int]] | None = None,
        steps_name: str = "steps",
    ) -> None:
        self.name = name
        self._source, self._asked, self._order, self._steps_name = source, steps, order, steps_name
        self._data_set = _is_data_set(source)
        self._once = not self._data_set and hasattr(source, "__next__")
        self._length = self._length_of(source)
        if self._data_set and self._length is None and steps is None:
            raise ConfigurationError(f"{name} has no end; say how long an epoch is by {steps_name}")
        if self._length == 0:
            raise DataError(f"{name} has no batches")
        self._current: Iterator[Any] | None = None
        self._seen = 0  # batches of the passage
        self._waiting: tuple[list[Any], Iterator[Any]] | None = (
            None  # an epoch whose first batch was looked at
        )

    def _length_of(self, source: Any) -> int | None:
        if self._data_set and hasattr(source, "num_batches"):
            length: int | None = source.num_batches
            return length
        try:
            return len(source) if isinstance(source, Sized) else None
        except TypeError:  # it has a length only with some data
            return None

    @property
    def steps(self) -> int | None:
        """Batches of an epoch, if that is known."""
        return self._asked or self._length

    @property
    def once(self) -> bool:
        """Whether each batch comes once, and no second time."""
        return self._once

    def reset(self) -> None:
        """Begin anew, as `restart` does; a data set hears of an epoch's end, as in Keras."""
        self.restart()
        self._tell("on_epoch_end")

    def restart(self) -> None:
        """Begin anew, unless each batch comes once."""
        if not self._once:
            self._current = self._waiting = None

    def begin_at(self, done: int) -> None:
        """Go on in a passage, which the source begins where so many of its batches are over."""
        self.restart()
        self._current, self._seen = self._passage(), done

    def first(self) -> Any:
        """Return the first batch of the next epoch, which will have it all the same.

        Raises
        ------
        DataError
            If there is none.
        """
        if not self.has_more():
            raise DataError(f"{self.name} gives no batch; a generator that was used up must be made anew")
        assert self._waiting is not None
        return self._waiting[0][0]

    def has_more(self) -> bool:
        """Return whether there is a batch for one more epoch."""
        if self._waiting is None:
            epoch = self._epoch()
            batch = next(epoch, _END)
            if batch is not _END:
                self._waiting = [batch], epoch
        return self._waiting is not None

    def epoch(self) -> Iterator[Any]:
        """Yield the batches of an epoch."""
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            yield from self._epoch()
        else:
            yield waiting[0].pop()
            yield from waiting[1]

    def _epoch(self) -> Iterator[Any]:
        self._tell("on_epoch_begin")
        if self._current is None or self._asked is None:
            self._current, self._seen = self._passage(), 0
        wanted = self.steps
        for step in itertools.count() if wanted is None else range(wanted):
            if self._length is not None and self._seen >= self._length:
                batch = _END
            else:
                batch = next(self._current, _END)
            if batch is _END:
                if wanted is not None and (step or not self._once):
                    self._say_short(step, wanted)
                self._current = None
                break
            self._seen += 1
            yield batch
        if self._seen == self._length:
            self._current = None
        self._tell("on_epoch_end")

    def _passage(self) -> Iterator[Any]:
        """Return what iterates over all the data."""
        if not self._data_set:
            return iter(self._source)
        numbers: Iterable[int] = itertools.count() if self._length is None else range(self._length)
        if self._order is not None and self._length is not None:
            numbers = self._order(self._length)
        return (self._source[int(number)] for number in numbers)

    def _say_short(self, step: int, wanted: int) -> None:
        where = self._steps_name if self._asked else "the length"
        warn(
            f"{self.name} ran out of data after {step} of {wanted} batches of an epoch; give more batches, "
            f"or make {where} smaller",
            TrainingWarning,
        )

    def _tell(self, hook: str) -> None:
        if self._data_set:
            getattr(self._source, hook)()
