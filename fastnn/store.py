"""Where parameters live: one flat array, which several models share if they share layers.

A model that uses layers of another one takes its store over, or brings the stores of all its layers
together in a new one; then all models over those layers move.  This file must not know plans,
losses or how a model runs.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import data
from fastnn.errors import BusyError, ConfigurationError, ShapeError
from fastnn.graph import Parameter
from fastnn.memory import aligned
from fastnn.program import aligned_array, aligned_copy

if TYPE_CHECKING:
    from types import TracebackType

    from fastnn.layers import Layer
    from fastnn.network import Network

__all__ = ["Exclusive", "ParameterStore", "Place"]


class Exclusive:
    """Keeps other threads from training, or changing the weights of, a model meanwhile."""

    def __init__(self, store: ParameterStore) -> None:
        self._store = store

    def __enter__(self) -> None:
        if not self._store.lock.acquire(blocking=False):
            raise BusyError("another thread is training this model; wait for it, or use a model of your own")
        self._store.depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._store.depth -= 1
        self._store.lock.release()


class Place:
    """Where a parameter begins in the flat array, and its shape."""

    __slots__ = ("offset", "shape")

    def __init__(self, offset: int, shape: tuple[int, ...]) -> None:
        self.offset, self.shape = offset, shape

    @property
    def size(self) -> int:
        """Number of elements."""
        size = 1
        for length in self.shape:
            size *= length
        return size

    def view(self, flat: np.ndarray) -> np.ndarray:
        """Return the parameter's part of an array that lies like the store's."""
        return flat[self.offset : self.offset + self.size].reshape(self.shape)


class ParameterStore:
    """The parameters of one or several models.

    Parameters
    ----------
    dtype : numpy.dtype

    Attributes
    ----------
    array : numpy.ndarray, (size,)
    places : WeakKeyDictionary of Layer to dict of str to Place
        By layer and by role, ``"kernel"`` or ``"bias"``.  Layers that nobody has any more are gone from it,
        and from the next store.
    lock : threading.RLock
        Held while weights may change.
    depth : int
        How often its thread holds it: a callback may change weights in the midst of training.
    models : WeakSet of Network
        Who uses it.
    """

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype = dtype
        self.array = np.empty(0, dtype)
        self.places: MutableMapping[Layer, dict[str, Place]] = weakref.WeakKeyDictionary()
        self._make_locks()

    def _make_locks(self) -> None:
        self.lock = threading.RLock()
        self.depth = 0
        self.models: weakref.WeakSet[Network] = weakref.WeakSet()

    def __getstate__(self) -> dict[str, Any]:
        kept = dict(self.__dict__)
        del kept["lock"], kept["models"], kept["depth"]
        kept["places"] = list(self.places.items())
        return kept

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.places = weakref.WeakKeyDictionary(state["places"])
        self.array = aligned_copy(self.array)
        self._make_locks()

    def exclusive(self) -> Exclusive:
        """Return a context in which no other thread changes the weights."""
        return Exclusive(self)

    def holds(self, layer: Layer, role: str, shape: tuple[int, ...]) -> bool:
        """Return whether a parameter of this shape is there."""
        place = self.places.get(layer, {}).get(role)
        return place is not None and place.shape == shape

    def of_layer(self, layer: Layer) -> list[np.ndarray]:
        """Return copies of a layer's parameters."""
        return [place.view(self.array).copy() for place in self.places.get(layer, {}).values()]

    def set_layer(self, layer: Layer, weights: Sequence[np.ndarray]) -> None:
        """Replace a layer's parameters."""
        roles = self.places.get(layer, {})
        self.assign({f"{layer.name}/{role}": place for role, place in roles.items()}, weights)

    def assign(self, places: Mapping[str, Place], weights: Sequence[np.ndarray]) -> None:
        """Replace parameters by checked arrays, all or none.

        Raises
        ------
        ShapeError, DataError, DTypeError
            If their number, shapes or values are wrong.
        BusyError
            If another thread trains a model over this store.
        """
        if len(weights) != len(places):
            raise ShapeError(f"expected {len(places)} arrays ({', '.join(places)}), got {len(weights)}")
        checked = [
            data.as_weights(value, place.shape, self.dtype, name)
            for (name, place), value in zip(places.items(), weights, strict=True)
        ]
        with self.exclusive():
            for place, value in zip(places.values(), checked, strict=True):
                place.view(self.array)[...] = value


def house(model: Network, entries: Sequence[tuple[Layer, str, Parameter]], seed: int) -> ParameterStore:
    """Return a store that holds all parameters of a model; other models over its layers move there.

    Parameters
    ----------
    model : Network
    entries : sequence of (Layer, str, Parameter)
        Layer, role and description of each parameter.
    seed : int
        That the values of new parameters are drawn from, each from a stream of its own.

    Returns
    -------
    ParameterStore

    Raises
    ------
    ConfigurationError
        If a layer belongs to a model of another dtype.
    ShapeError
        If a layer has weights of another shape.
    BusyError
        If a model that would have to move is being trained.
    """
    before: list[ParameterStore] = []
    for layer, role, parameter in entries:
        store = layer._store
        if store is None:
            continue
        if store.dtype != model.dtype:
            raise ConfigurationError(
                f"layer {layer.name!r} belongs to a model of dtype {store.dtype}, and this one has "
                f"{model.dtype}; use one dtype for both"
            )
        place = store.places.get(layer, {}).get(role)
        if place is not None and place.shape != parameter.shape:
            raise ShapeError(
                f"layer {layer.name!r} has a {role} of shape {place.shape} from another model and needs "
                f"{parameter.shape} here; use a new layer"
            )
        if store not in before:
            before.append(store)
    if len(before) == 1 and all(before[0].holds(la, role, p.shape) for la, role, p in entries):
        before[0].models.add(model)
        return before[0]
    new = ParameterStore(model.dtype)
    size = 0
    for layer, role, parameter in entries:
        new.places.setdefault(layer, {})[role] = Place(size, parameter.shape)
        size += aligned(parameter.rows * parameter.columns)
    for store in before:
        for layer, roles in store.places.items():
            for role, place in roles.items():
                if role not in new.places.setdefault(layer, {}):
                    new.places[layer][role] = Place(size, place.shape)
                    size += aligned(place.size)
    new.array = aligned_array(size, model.dtype)
    movers = {other for store in before for other in store.models if other is not model}
    locks = [store.exclusive() for store in before]
    entered: list[Exclusive] = []
    try:
        for store, lock in zip(before, locks, strict=True):
            lock.__enter__()
            entered.append(lock)
            if store.depth > 1:
                raise BusyError(
                    "a model over these layers is being trained; make the new model before or after that"
                )
        streams = np.random.SeedSequence(seed).spawn(len(entries))
        for (layer, role, parameter), stream in zip(entries, streams, strict=True):
            if layer._store is None or not layer._store.holds(layer, role, parameter.shape):
                drawn = parameter.initializer.draw(parameter.shape, np.random.default_rng(stream))
                new.places[layer][role].view(new.array)[...] = drawn
        for store in before:
            for layer, roles in store.places.items():
                for role, place in roles.items():
                    if new.holds(layer, role, place.shape):
                        new.places[layer][role].view(new.array)[...] = place.view(store.array)
        for layer in new.places:
            layer._store = new
        new.models.add(model)
        for other in movers:
            other._move(new)
            new.models.add(other)
    finally:
        for lock in entered:
            lock.__exit__(None, None, None)
    return new
