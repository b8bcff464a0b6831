"""A model's loss as a function of its trained weights, for methods that search for a minimum on all rows.

This file must not know how they search.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.errors import BusyError, ConfigurationError
from fastnn.model.batch import Batch, batch_of
from fastnn.model.beside import gradients_of
from fastnn.model.structure import Structure, Structured
from fastnn.run.program import aligned_array
from fastnn.run.runtime import blas_single_threaded

__all__ = ["Search", "Searchable"]


class Search:
    """The loss, and its gradient, at vectors of trained weights; it remembers the best.

    Parameters
    ----------
    now : Structure
        Of a model that nobody else trains meanwhile.
    given : Batch
    seed : int
        Of layers that draw random numbers, which are the same at each vector.

    Attributes
    ----------
    first : numpy.ndarray, (size,), float64
        The weights as they are.
    evaluations : int
    best_loss : float
        Infinity as long as there is none.
    """

    def __init__(self, now: Structure, given: Batch, seed: int) -> None:
        self._now, self._given, self._seed = now, given, seed
        self._step = now.need_optimizer().iterations
        self._places = [now.places[p.name] for p in now.graph.parameters if p.is_trained]
        self.evaluations, self.best_loss = 0, math.inf
        self.first = self._vector_of(now.store.array)
        self._best = self._there = self.first

    def __call__(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the loss, penalties included, and its gradient; the model has these weights from now on.

        Parameters
        ----------
        vector : numpy.ndarray, (size,), float64

        Returns
        -------
        float
            Infinity where it, or a weight, is too large for the model's dtype.
        numpy.ndarray, (size,), float64
        """
        now, given = self._now, self._given
        limit = float(np.finfo(now.store.dtype).max)
        if not (np.abs(vector) <= limit).all():
            return math.inf, np.full_like(vector, math.nan)
        self._move_to(vector)
        flat = aligned_array(now.store.size, now.store.dtype)
        loss = gradients_of(now, given, self._seed, self._step, flat)
        self.evaluations += 1
        if not abs(loss) <= limit:  # sums are float64; as in training
            loss = math.inf
        if loss < self.best_loss:
            self.best_loss, self._best = loss, self._there
        return loss, self._vector_of(flat)

    def finish(self) -> None:
        """Give the model the best weights; those of the beginning if no loss was finite."""
        if self._there is not self._best:
            self._move_to(self._best)

    def _vector_of(self, flat: np.ndarray) -> np.ndarray:
        parts = [flat[place.offset : place.offset + place.size] for place in self._places]
        return np.concatenate(parts, dtype=np.float64)

    def _move_to(self, vector: np.ndarray) -> None:
        store, parts, end = self._now.store, [], 0
        values = vector.astype(store.dtype)
        for place in self._places:
            begin, end = end, end + place.size
            parts.append((place.offset * store.dtype.itemsize, values[begin:end]))
        if not store.parameters.replace(store.exclusion, aligned_array(store.size, store.dtype), parts):
            raise BusyError("the weights cannot be searched for in the midst of a training step")
        self._there = vector.copy()


class Searchable(Structured):
    """What lets a method search for the best weights; a part of `Model`."""

    def _searched(self, x: object, y: object, sample_weight: object, search: Callable[[Search], Any]) -> Any:
        """Return what `search` does, after which the model has the best weights that it saw.

        Meanwhile nobody else can train the model, and BLAS has one thread.
        """
        self._now.need_loss()

        def check(now: Structure) -> Batch:
            return batch_of(now, x, y, sample_weight)

        def run() -> Any:
            now = self._now
            trained = [parameter for parameter in now.graph.parameters if parameter.is_trained]
            if not trained:
                raise ConfigurationError(
                    "the model has no weights that are trained; unfreeze a layer, and compile"
                )
            for parameter in trained:
                if parameter.constraint is not None:
                    raise ConfigurationError(
                        f"{parameter.name!r} has a constraint, which only optimizers keep; leave it out, or "
                        "use fit"
                    )
            state = Search(now, check(now), self.seed)
            try:
                with blas_single_threaded():
                    return search(state)
            finally:
                state.finish()

        if self._now.drawing is None:
            self._ready(x, check)
        return self._binder.exclusively(run)
