"""What a model is made of: its layers, its graph and the one flat array of its parameters.

The base of `Model`, which adds what is done with them.  This file must not know losses or plans, nor
how a model runs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import data
from fastnn.errors import ConfigurationError, ShapeError
from fastnn.graph import Graph, Parameter
from fastnn.memory import parameter_layout
from fastnn.program import aligned_array

if TYPE_CHECKING:
    from fastnn.layers import Layer
    from fastnn.training import Compiled, Exclusive

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
    _layers: list[Layer]
    _graph: Graph | None
    _parameters: np.ndarray
    _offsets: dict[str, int]  # of each parameter in the flat array
    _compiled: Compiled | None
    _programs: MutableMapping[Any, Any]  # compiled for this graph and this array

    def _exclusive(self) -> Exclusive:
        """Return a context in which no other thread trains the model."""
        raise NotImplementedError

    # -- structure

    @property
    def layers(self) -> list[Layer]:
        """The model's layers, a copy of the list."""
        return list(self._layers)

    @property
    def graph(self) -> Graph:
        """The frozen graph that plans are compiled from."""
        if self._graph is None:
            raise ConfigurationError(
                "the model's input width is not known yet; begin with fastnn.Input((features,)), "
                "or call fit, or build((None, features))"
            )
        return self._graph

    @property
    def built(self) -> bool:
        """Whether the model has its parameters."""
        return self._graph is not None

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return a layer by its name or its index.

        Parameters
        ----------
        name : str, optional
        index : int, optional

        Returns
        -------
        Layer

        Raises
        ------
        ConfigurationError
            If there is no such layer.
        """
        if index is not None:
            if not -len(self._layers) <= index < len(self._layers):
                raise ConfigurationError(f"no layer {index}; there are {len(self._layers)}")
            return self._layers[index]
        for layer in self._layers:
            if layer.name == name:
                return layer
        raise ConfigurationError(f"no layer is named {name!r}; there are {[la.name for la in self._layers]}")

    def count_params(self) -> int:
        """Return the number of weights and biases."""
        return sum(p.rows * p.columns for p in self.graph.parameters)

    def _install(self, graph: Graph) -> None:
        """Take a graph, and draw initial values for the parameters that are new."""
        offsets, size = parameter_layout(graph.parameters)
        parameters = aligned_array(size, self.dtype)
        streams = np.random.SeedSequence(self.seed).spawn(len(graph.parameters))
        known = {p.name: p for p in self._graph.parameters} if self._graph is not None else {}
        for parameter, stream in zip(graph.parameters, streams, strict=True):
            before = known.get(parameter.name)
            if before is not None and before.shape == parameter.shape:
                value = self._view(before, self._parameters)
            else:
                value = parameter.initializer.draw(parameter.shape, np.random.default_rng(stream))
            begin = offsets[parameter.name]
            parameters[begin : begin + value.size] = value.ravel()
        self._graph, self._parameters, self._offsets = graph, parameters, offsets
        self._programs.clear()
        for layer in self._layers:
            layer._model = self

    @contextlib.contextmanager
    def _built_for(self, x: object) -> Iterator[None]:
        """Build from the width of `x` if it was not known; undo that if the block raises."""
        if self._graph is not None:
            yield
            return
        names = [layer.name for layer in self._layers]
        try:
            self._build(data.width_of(x, self.dtype))
            yield
        except BaseException:
            self._graph, self._parameters, self._offsets = None, np.empty(0, self.dtype), {}
            self._programs.clear()
            for layer, name in zip(self._layers, names, strict=True):
                layer._model, layer.name = None, name
            if self._compiled is not None:
                self._compiled.detach()
            raise

    def _build(self, columns: int) -> None:
        raise ConfigurationError("this model cannot be built from a width")

    # -- weights

    def _view(self, parameter: Parameter, flat: np.ndarray) -> np.ndarray:
        begin = self._offsets[parameter.name]
        return flat[begin : begin + parameter.rows * parameter.columns].reshape(parameter.shape)

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
        self._assign(self.graph.parameters, weights)

    def _assign(self, parameters: Sequence[Parameter], weights: Sequence[np.ndarray]) -> None:
        if len(weights) != len(parameters):
            raise ShapeError(
                f"expected {len(parameters)} arrays ({', '.join(p.name for p in parameters)}), "
                f"got {len(weights)}"
            )
        checked = [
            data.as_weights(w, p.shape, self.dtype, p.name) for w, p in zip(weights, parameters, strict=True)
        ]
        with self._exclusive():
            for parameter, value in zip(parameters, checked, strict=True):
                self._view(parameter, self._parameters)[...] = value

    def _of_layer(self, layer: Layer) -> tuple[Parameter, ...]:
        return tuple(p for node in self.graph.nodes if node.layer == layer.name for p in node.parameters)

    def _layer_weights(self, layer: Layer) -> list[np.ndarray]:
        return [self._view(p, self._parameters).copy() for p in self._of_layer(layer)]

    def _set_layer_weights(self, layer: Layer, weights: Sequence[np.ndarray]) -> None:
        self._assign(self._of_layer(layer), weights)
