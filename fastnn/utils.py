"""Seeds for the whole process, small changes of arrays, and data sets that give batches, as in Keras."""
# This file must not know models.

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastnn._core.guards import load
from fastnn.absent import attribute_error
from fastnn.checks import check_count, check_flag
from fastnn.errors import ConfigurationError, DTypeError

__all__ = ["PyDataset", "Sequence", "next_seed", "normalize", "set_random_seed", "to_categorical"]


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


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """Return rows with a 1 at the place of each label, and 0 elsewhere.

    Parameters
    ----------
    x : array_like of int, shape (...,)
        Labels from 0 on; a last axis of length 1 is dropped, as in Keras.
    num_classes : int, optional
        How long rows are; by default the largest label plus 1.

    Returns
    -------
    ndarray of float64, shape (..., num_classes)

    Raises
    ------
    DTypeError
        If labels are no whole numbers.
    ConfigurationError
        If a label is negative, or not below `num_classes`.

    Examples
    --------
    >>> to_categorical([0, 2])
    array([[1., 0., 0.],
           [0., 0., 1.]])
    """
    labels = np.asarray(x)
    if not (np.issubdtype(labels.dtype, np.number) or labels.dtype == bool) or np.iscomplexobj(labels):
        raise DTypeError(
            f"labels of dtype {labels.dtype} are no whole numbers; number them, "
            "np.unique(labels, return_inverse=True)[1]"
        )
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    whole = labels.astype(np.int64) if np.isfinite(labels).all() else None
    if whole is None or (whole != labels).any():
        raise DTypeError(
            "labels need to be whole numbers; round them, or cut them into classes by np.digitize"
        )
    most = int(whole.max(initial=-1)) + 1
    classes = most if num_classes is None else check_count(num_classes, "num_classes")
    if whole.min(initial=0) < 0 or most > classes:
        raise ConfigurationError(
            f"labels reach from {whole.min(initial=0)} to {most - 1}, and {classes} classes are numbered "
            f"from 0 to {classes - 1}; use np.unique(labels, return_inverse=True)[1], or a larger num_classes"
        )
    rows = np.zeros((whole.size, classes))
    rows[np.arange(whole.size), whole.ravel()] = 1.0
    return rows.reshape(*whole.shape, classes)


def normalize(x: Any, axis: int = -1, order: float = 2) -> np.ndarray:
    """Return an array whose vectors along an axis have the norm 1; those of zeros stay zeros.

    Parameters
    ----------
    x : array_like of numbers
    axis : int
    order : float
        Of the norm, as in ``numpy.linalg.norm``.

    Returns
    -------
    ndarray, like `x`

    Examples
    --------
    >>> normalize([[3.0, 4.0]])
    array([[0.6, 0.8]])
    """
    array = np.atleast_1d(x)
    norms = np.linalg.norm(array, order, axis, keepdims=True)
    return array / np.where(norms == 0, 1, norms)


class PyDataset:
    """Base of data sets that give batches by their numbers, for `fit`, `evaluate` and `predict`.

    Derive from it, and define ``__getitem__(index)``, which returns the batch ``(x,)``, ``(x, y)`` or
    ``(x, y, sample_weight)``, and ``__len__()`` or `num_batches`.

    Parameters
    ----------
    workers : int
    use_multiprocessing : bool
    max_queue_size : int
        For Keras's sake, and kept as attributes: batches are made one by one, in the thread that trains.

    Raises
    ------
    DTypeError, ConfigurationError
        If they are none of these.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> class Lines(PyDataset):
    ...     def __len__(self):
    ...         return 3
    ...     def __getitem__(self, index):
    ...         x = np.full((8, 1), index)
    ...         return x, 2 * x
    >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)], seed=0)
    >>> model.compile("adam", "mse")
    >>> history = model.fit(Lines(), epochs=2, verbose=0)
    >>> model.predict(Lines()).shape
    (24, 1)
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers = check_count(workers, "workers", 0)
        self.use_multiprocessing = check_flag(use_multiprocessing, "use_multiprocessing")
        self.max_queue_size = check_count(max_queue_size, "max_queue_size")

    def __getitem__(self, index: int) -> Any:
        """Return a batch."""
        raise NotImplementedError(f"{type(self).__name__} needs a method __getitem__(index)")

    def __iter__(self) -> Iterator[Any]:
        """Yield the batches by their numbers."""
        length = self.num_batches
        return (self[index] for index in (itertools.count() if length is None else range(length)))

    @property
    def num_batches(self) -> int | None:
        """How many batches there are, by default ``len``; None if there is no end."""
        if not hasattr(self, "__len__"):
            raise NotImplementedError(f"{type(self).__name__} needs a method __len__, or num_batches")
        length: int = len(self)
        return length

    def on_epoch_begin(self) -> None:
        """Run before each epoch, and each evaluation."""

    def on_epoch_end(self) -> None:
        """Run after each of them; as in Keras, before the first one too."""


Sequence = PyDataset


def __getattr__(name: str) -> Any:
    raise attribute_error(__name__, name, __all__)
