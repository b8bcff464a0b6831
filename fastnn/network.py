"""What a model is made of: its layers, its graph and its parameters.

The base of `Model`, which adds what is done with them.  This file must not know losses or plans, nor
how a model runs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import data
from fastnn.errors import ConfigurationError, DTypeError
from fastnn.graph import Graph, Parameter
from fastnn.layers import Layer
from fastnn.memory import Layout
from fastnn.store import Exclusive, ParameterStore, Place, house
from fastnn.symbolic import Drawing

if TYPE_CHECKING:
    from fastnn.compiled import Compiled

__all__ = ["Network", "check_dtype"]

_DTYPES: dict[str, np.dtype] = {"float32": np.dtype(np.float32), "float64": np.dtype(np.float64)}


def check_dtype(dtype: object) -> np.dtype:
    """Return the NumPy dtype of a model, float32 (also for None) or float64.

    Examples
    --------
    >>> check_dtype("float64")
    dtype('float64')
    """
    if dtype is None:
        return _DTYPES["float32"]
    try:
        name = np.dtype(dtype).name  # type: ignore[call-overload]
    except TypeError:
        name = ""
    if name not in _DTYPES:
        raise ConfigurationError(f"dtype must be 'float32' or 'float64', got {dtype!r}")
    return _DTYPES[name]


class Network:
    """Layers, graph and parameters; the base of `Model`.

    Attributes
    ----------
    dtype : numpy.dtype
        Of the parameters.
    seed : int
        That initial values are drawn from.
    """

    dtype: np.dtype
    seed: int
    _drawing: Drawing | None
    _store: ParameterStore
    _places: dict[str, Place]  # by the names of the graph's parameters
    _compiled: Compiled | None
    _programs: MutableMapping[Any, Any]  # compiled for this graph and this store

    def _exclusive(self) -> Exclusive:
        """Return a context in which no other thread trains the model."""
        return self._store.exclusive()

    # -- structure

    @property
    def layers(self) -> list[Any]:
        """The model's layers, and models used as layers."""
        if self._drawing is None:
            return []
        graph = self._drawing.graph
        inputs = {tensor.name for tensor in graph.inputs}
        return [member for name, member in self._drawing.members.items() if name not in inputs]

    @property
    def graph(self) -> Graph:
        """The frozen graph that plans are compiled from."""
        if self._drawing is None:
            raise ConfigurationError(
                "the model's input width is not known yet; begin with fastnn.Input((features,)), "
                "or call fit, or build((None, features))"
            )
        return self._drawing.graph

    @property
    def built(self) -> bool:
        """Whether the model has its parameters."""
        return self._drawing is not None

    @property
    def trainable(self) -> bool:
        """Whether training changes all layers; setting it sets every layer's, from the next `compile` on."""
        return all(layer.trainable for layer in self.layers)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        if not isinstance(value, bool):
            raise DTypeError(f"trainable must be True or False, got {value!r}")
        for layer in self.layers:
            layer.trainable = value

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs, in their order: the keys of `x` as a dict."""
        return [tensor.label for tensor in self.graph.inputs]

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, in their order: the keys of `y` as a dict."""
        return [tensor.label for tensor in self.graph.outputs]

    def get_layer(self, name: str | None = None, index: int | None = None) -> Any:
        """Return a layer by its name or its index.

        Parameters
        ----------
        name : str, optional
        index : int, optional

        Returns
        -------
        Layer, or the model that is used as one

        Raises
        ------
        ConfigurationError
            If there is no such layer.
        """
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ConfigurationError(f"no layer {index}; there are {len(layers)}")
            return layers[index]
        members = self._drawing.members if self._drawing is not None else {}
        for layer in layers:  # what this graph calls them: a shared one may have another name elsewhere
            if members.get(name or "") is layer:
                return layer
        for layer in layers:
            if layer.name == name:
                return layer
        raise ConfigurationError(f"no layer is named {name!r}; there are {[la.name for la in layers]}")

    def count_params(self) -> int:
        """Return the number of weights and biases."""
        return sum(p.rows * p.columns for p in self.graph.parameters)

    def _install(self, drawing: Drawing) -> None:
        """Take a graph, and give its parameters a place; those that are new draw initial values."""
        owners = {p.name: drawing.layers[node.layer] for node in drawing.graph.nodes for p in node.parameters}
        entries = [(owners[p.name], _role(p), p) for p in drawing.graph.parameters]
        store = house(self, entries, self.seed)
        self._drawing = drawing
        for name, member in drawing.members.items():
            if isinstance(member, Layer) and member.name is None:
                member.name = name
        self._move(store)

    def _move(self, store: ParameterStore) -> None:
        """Use another store, which has all parameters of this model."""
        drawing = self._drawing
        assert drawing is not None
        before, places = self._store, self._places
        for layer in drawing.layers.values():
            layer._store = store
        owners = {p.name: drawing.layers[node.layer] for node in drawing.graph.nodes for p in node.parameters}
        self._store = store
        self._places = {p.name: store.places[owners[p.name]][_role(p)] for p in drawing.graph.parameters}
        if self._compiled is not None and self._compiled.attached and store is not before:
            self._compiled.move(places, before.array.size, self._places, store.array.size)
        self._programs.clear()

    @property
    def _layout(self) -> Layout:
        offsets = {name: place.offset for name, place in self._places.items()}
        return Layout(offsets, self._store.array.size)

    @property
    def _parameters(self) -> np.ndarray:
        return self._store.array

    @contextlib.contextmanager
    def _built_for(self, x: object) -> Iterator[None]:
        """Build from the width of `x` if it was not known; undo that if the block raises."""
        if self._drawing is not None:
            yield
            return
        names = [(layer, layer.name, layer._store is None) for layer in self._unbuilt()]
        try:
            self._build(data.width_of(x, self.dtype))
            yield
        except BaseException:
            self._store.models.discard(self)
            self._drawing, self._store, self._places = None, ParameterStore(self.dtype), {}
            self._programs.clear()
            for layer, name, new in names:
                layer.name = name
                if new:  # others belong to another model too
                    layer._store = None
            if self._compiled is not None:
                self._compiled.detach()
            raise

    def _build(self, columns: int) -> None:
        raise ConfigurationError("this model cannot be built from a width")

    def _unbuilt(self) -> list[Layer]:
        """Return the layers of a model whose input width is not known yet."""
        return []

    # -- weights

    def _view(self, parameter: Parameter, flat: np.ndarray) -> np.ndarray:
        return self._places[parameter.name].view(flat)

    def get_weights(self) -> list[np.ndarray]:
        """Return copies of all parameters: kernel, bias of the first layer, of the second, ...

        Returns
        -------
        list of numpy.ndarray

        Raises
        ------
        ConfigurationError
            If the model is not built.
        """
        return [self._view(p, self._parameters).copy() for p in self.graph.parameters]

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Replace all parameters.

        Parameters
        ----------
        weights : sequence of array_like
            In the order and of the shapes of `get_weights`.

        Raises
        ------
        ShapeError
            If their number or shapes differ.
        DataError
            If a value is not finite.
        BusyError
            If another thread trains the model.
        """
        self._store.assign({p.name: self._places[p.name] for p in self.graph.parameters}, weights)


def _role(parameter: Parameter) -> str:
    return parameter.name.rpartition("/")[2]
