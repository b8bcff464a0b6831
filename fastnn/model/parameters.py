"""Where parameters live: one flat array, which several models share if they share layers.

A model that uses layers of another one takes its store over, or brings the stores of all its layers
together in a new one; then all models over those layers move.  This file must not know plans
or losses; of `program.py` it knows how arrays are aligned.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, cast

import numpy as np

from fastnn._core.guards import Exclusion, Parameters
from fastnn.border import data
from fastnn.compiler.memory import aligned
from fastnn.errors import BusyError, ConfigurationError, ShapeError
from fastnn.graph.graph import Parameter
from fastnn.initializers import Zeros, is_known
from fastnn.model.streams import Stream
from fastnn.run.program import aligned_array, aligned_copy

__all__ = ["ParameterStore", "Place", "busy", "merged_store", "stores_of"]


def busy() -> BusyError:
    """Return the exception for a thread that wants a model that another one trains or rebuilds."""
    return BusyError(
        "another thread is training this model, or building one over its layers; wait for it, or use a model "
        "of your own"
    )


class Owner(Protocol):
    """A layer, as far as a store knows it."""

    name: str | None
    _store: ParameterStore | None


class Bound(Protocol):
    """What a model is at a moment, as far as a store knows it."""

    @property
    def store(self) -> ParameterStore:
        """Where its parameters are."""


_Entry: TypeAlias = tuple[Owner, str, Parameter]


class User(Protocol):
    """What holds a model's structure, as far as a store knows it."""

    @property
    def now(self) -> Bound:
        """The structure."""

    def moves_to(self, store: ParameterStore) -> list[tuple[object, str, object]]:
        """Return the assignments that let the model use another store."""


class Place(NamedTuple):
    """Where a parameter begins in the flat array, and its shape."""

    offset: int
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def view(self, flat: np.ndarray) -> np.ndarray:
        """Return the parameter's part of an array that lies like the store's."""
        return flat[self.offset : self.offset + self.size].reshape(self.shape)


class ParameterStore:
    """The parameters of one or several models.

    Parameters
    ----------
    dtype : numpy.dtype
    size : int
        Elements of the flat array.

    Attributes
    ----------
    parameters : Parameters
        Holds the flat array, (size,).
    places : WeakKeyDictionary of Owner to dict of str to Place
        By layer and by role, such as ``"kernel"``.  Layers that nobody has any more are gone from it,
        and from the next store.
    exclusion : Exclusion
        Held by the thread that trains, or rebuilds, a model over this store.
    models : tuple of weak references to User
        Who uses it, or did.
    """

    def __init__(self, dtype: np.dtype, size: int = 0) -> None:
        self.dtype = dtype
        self.parameters = Parameters(aligned_array(size, dtype))
        self.places: weakref.WeakKeyDictionary[Owner, dict[str, Place]] = weakref.WeakKeyDictionary()
        self.exclusion = Exclusion(busy)
        self.models: tuple[weakref.ref[User], ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        return {"dtype": self.dtype, "array": self.array, "places": list(self.places.items())}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.dtype = state["dtype"]
        self.parameters = Parameters(aligned_copy(state["array"]))
        self.places = weakref.WeakKeyDictionary(state["places"])
        self.exclusion = Exclusion(busy)
        self.models = ()

    @property
    def array(self) -> np.ndarray:
        """The flat array in use; only training changes it in place."""
        return self.parameters.array

    @property
    def size(self) -> int:
        """Elements of the flat array."""
        return self.array.size

    def owners(self) -> list[Owner]:
        """Return the layers that have parameters here."""
        found = (reference() for reference in self.places.keyrefs())
        return [layer for layer in found if layer is not None]

    def users(self) -> list[User]:
        """Return the models that use the store now."""
        found = (reference() for reference in self.models)
        return [model for model in found if model is not None and model.now.store is self]

    def with_model(self, model: User) -> tuple[weakref.ref[User], ...]:
        """Return what `models` becomes when another one uses the store, without those that are gone."""
        kept = [ref for ref in self.models if ref() is not None and ref() is not model]
        return (*kept, weakref.ref(model))

    def holds(self, layer: Owner, role: str, shape: tuple[int, ...]) -> bool:
        """Return whether a parameter of this shape is there."""
        place = self.places.get(layer, {}).get(role)
        return place is not None and place.shape == shape

    def of_layer(self, layer: Owner) -> list[np.ndarray]:
        """Return copies of a layer's parameters."""
        array = self.array
        return [place.view(array).copy() for place in self.places.get(layer, {}).values()]

    def weight(self, layer: Owner, role: str) -> np.ndarray | None:
        """Return a copy of one of a layer's parameters, or None."""
        place = self.places.get(layer, {}).get(role)
        return None if place is None else place.view(self.array).copy()

    def roles(self, layer: Owner) -> list[str]:
        """Return what a layer's parameters are to it."""
        return list(self.places.get(layer, {}))

    def set_weight(self, layer: Owner, role: str, value: np.ndarray) -> None:
        """Replace one of a layer's parameters."""
        self.assign({f"{layer.name}/{role}": self.places[layer][role]}, [value])

    def set_layer(self, layer: Owner, weights: Sequence[np.ndarray]) -> None:
        """Replace a layer's parameters."""
        roles = self.places.get(layer, {})
        self.assign({f"{layer.name}/{role}": place for role, place in roles.items()}, weights)

    def assign(self, places: Mapping[str, Place], weights: Sequence[np.ndarray]) -> None:
        """Replace parameters by checked arrays, all or none; who reads meanwhile sees the old or the new.

        Raises
        ------
        ShapeError, DataError, DTypeError
            If their number, shapes or values are wrong.
        BusyError
            If another thread trains a model over this store.
        """
        if len(weights) != len(places):
            raise ShapeError(f"expected {len(places)} arrays ({', '.join(places)}), got {len(weights)}")
        parts = [
            (
                place.offset * self.dtype.itemsize,
                data.as_weights(value, place.shape, self.dtype, name).reshape(-1),
            )
            for (name, place), value in zip(places.items(), weights, strict=True)
        ]
        if not self.parameters.replace(self.exclusion, aligned_array(self.size, self.dtype), parts):
            raise BusyError(
                "the weights cannot be replaced in the midst of a training step, as by a signal handler; set "
                "them between steps, in a callback"
            )


def stores_of(entries: Sequence[tuple[Owner, str, Parameter]], dtype: np.dtype) -> list[ParameterStore]:
    """Return the stores that the layers of a new model have their parameters in.

    Parameters
    ----------
    entries : sequence of (Owner, str, Parameter)
        Owner, role and description of each parameter.
    dtype : numpy.dtype
        The model's.

    Raises
    ------
    ConfigurationError
        If a layer belongs to a model of another dtype.
    ShapeError
        If a layer has weights of another shape.
    """
    found: list[ParameterStore] = []
    for layer, role, parameter in entries:
        store = layer._store
        if store is None:
            continue
        if store.dtype != dtype:
            raise ConfigurationError(
                f"layer {layer.name!r} belongs to a model of dtype {store.dtype}, and this one has "
                f"{dtype}; use one dtype for both"
            )
        place = store.places.get(layer, {}).get(role)
        if place is not None and place.shape != parameter.shape:
            raise ShapeError(
                f"layer {layer.name!r} has a {role} of shape {place.shape} from another model and needs "
                f"{parameter.shape} here; use a new layer"
            )
        if store not in found:
            found.append(store)
    return found


def merged_store(
    entries: Sequence[tuple[Owner, str, Parameter]],
    before: Sequence[ParameterStore],
    dtype: np.dtype,
    seed: int | None,
) -> ParameterStore:
    """Return a new store with the parameters of a model, and whatever else is in the stores of its layers.

    Parameters
    ----------
    entries : sequence of (Owner, str, Parameter)
    before : sequence of ParameterStore
        What `stores_of` found; nobody may be training models over them.
    dtype : numpy.dtype
    seed : int or None
        That the values of new parameters are drawn from, each from a stream of its own; None leaves them 0.
    """
    missing = [
        (number, entry)
        for number, entry in enumerate(entries)
        if entry[0]._store is None or not entry[0]._store.holds(entry[0], entry[1], entry[2].shape)
    ]
    added = [entry for _, entry in missing]
    if len(before) == 1 and _only_grows(before[0], entries, added):
        new = _grown(before[0], added)
    else:
        new = _merged(entries, before, dtype)
    if seed is not None:
        array = new.array
        for number, (layer, role, parameter) in missing:
            if type(parameter.initializer) is not Zeros:  # as the array is
                new.places[layer][role].view(array)[...] = _drawn(parameter, Stream(seed, number), dtype)
    return new


def _drawn(parameter: Parameter, stream: Stream, dtype: np.dtype) -> np.ndarray:
    """Return the initial values of a parameter."""
    initializer = parameter.initializer
    if is_known(initializer):
        drawn = initializer.draw(parameter.shape, cast(Any, stream))
    else:  # a user's class or function: it may do with a generator what no stream can, and return anything
        what = f"what {initializer!r} returned for {parameter.name!r}"
        try:
            given = initializer.filling(parameter.shape, dtype, stream.generator())
        except Exception as error:
            error.add_note(f"in {initializer!r}, which is the initializer of {parameter.name!r}")
            raise
        finally:
            stream.close()
        return data.as_weights(given, parameter.shape, dtype, what)
    stream.close()
    return drawn


def _only_grows(old: ParameterStore, entries: Sequence[_Entry], added: Sequence[_Entry]) -> bool:
    """Return whether a store, with what is added for new layers, is one of `entries` and no others."""
    new = {id(layer) for layer, _, _ in added}
    known = [(id(layer), parameter) for layer, _, parameter in entries if id(layer) not in new]
    # Layers that nobody has any more have no places, but their memory is still there.
    size = sum(aligned(parameter.rows * parameter.columns) for _, parameter in known)
    return (
        size == old.size
        and len({number for number, _ in known}) == len(old.places)
        and all(layer._store is None for layer, _, _ in added)
    )


def _grown(old: ParameterStore, added: Sequence[_Entry]) -> ParameterStore:
    """Return a store with what is in another one and, behind it, places for what is added."""
    places, size = _placed(added, old.size)
    new = ParameterStore(old.dtype, size)
    new.array[: old.size] = old.array
    new.places.update(old.places)
    new.places.update(places)
    return new


def _merged(entries: Sequence[_Entry], before: Sequence[ParameterStore], dtype: np.dtype) -> ParameterStore:
    """Return a store with places for `entries` and, behind them, for what else is in the stores before."""
    places, size = _placed(entries, 0)
    for store in before:
        for layer, roles in list(store.places.items()):
            for role, place in roles.items():
                if role not in places.setdefault(layer, {}):
                    places[layer][role] = Place(size, place.shape)
                    size += aligned(place.size)
    new = ParameterStore(dtype, size)
    array = new.array
    for store in before:
        flat = store.array
        for layer, roles in list(store.places.items()):
            for role, place in roles.items():
                if places[layer][role].shape == place.shape:
                    places[layer][role].view(array)[...] = place.view(flat)
    new.places.update(places)
    return new


def _placed(entries: Sequence[_Entry], first: int) -> tuple[dict[Owner, dict[str, Place]], int]:
    """Return places for parameters from an element on, and the element behind them."""
    places: dict[Owner, dict[str, Place]] = {}
    size = first
    for layer, role, parameter in entries:
        places.setdefault(layer, {})[role] = Place(size, parameter.shape)
        size += aligned(math.prod(parameter.shape))
    return places, size
