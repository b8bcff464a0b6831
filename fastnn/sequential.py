"""Chains of layers.

A chain is a graph like any other; this file only turns the one into the other.  It must not
know plans or kernels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fastnn.checks import check_count
from fastnn.errors import ConfigurationError, DTypeError, ShapeError
from fastnn.graph import Graph, Node, Tensor
from fastnn.layers import Dense, InputSpec, Layer
from fastnn.model import Model

__all__ = ["Sequential"]


class Sequential(Model):
    """A chain of layers.

    Parameters
    ----------
    layers : sequence, optional
        An `Input`, then layers; without an `Input` the width is taken from the first data, or
        from the first layer's `input_dim`.
    dtype : {"float32", "float64"}
    seed : int, optional
        For initial weights and the order of rows.
    name : str, optional

    Raises
    ------
    ConfigurationError
        For layers that cannot form a chain.

    Examples
    --------
    >>> import fastnn
    >>> model = fastnn.Sequential(
    ...     [fastnn.Input((784,)), fastnn.layers.Dense(500), fastnn.layers.Dense(10)], seed=0
    ... )
    >>> model.count_params()
    397510
    """

    def __init__(
        self,
        layers: Sequence[Layer | InputSpec] | None = None,
        dtype: object = "float32",
        seed: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(dtype, seed, name)
        self._input: InputSpec | None = None
        if layers is not None and not isinstance(layers, Iterable):
            raise DTypeError(f"layers must be a list of layers, got {layers!r}")
        for layer in layers or ():
            self._append(layer)
        self._rebuild()

    def add(self, layer: Layer | InputSpec) -> None:
        """Append a layer.

        Parameters
        ----------
        layer : Layer or InputSpec

        Raises
        ------
        ConfigurationError
            If it cannot stand there, or the model was built from data or trained already.
        """
        if self._compiled is not None:
            raise ConfigurationError("layers cannot be added after compile; build the whole chain first")
        before = list(self._layers), self._input
        self._append(layer)
        try:
            self._rebuild()
        except BaseException:
            self._layers, self._input = before
            if isinstance(layer, Layer):
                layer._model = None
            raise

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Give the model its input width, and so its parameters.

        Parameters
        ----------
        input_shape : (None, features)

        Raises
        ------
        ShapeError
            If it is not of that form.
        """
        if len(tuple(input_shape)) != 2 or tuple(input_shape)[1] is None:
            raise ShapeError(f"input_shape must be (None, features), got {tuple(input_shape)}")
        if self._graph is None:
            self._build(check_count(tuple(input_shape)[1], "features"))

    def _append(self, layer: object) -> None:
        if isinstance(layer, InputSpec):
            if self._layers or self._input is not None:
                raise ConfigurationError("Input must be the first entry, once")
            self._input = layer
            return
        if not isinstance(layer, Layer):
            raise DTypeError(
                f"expected a layer such as fastnn.layers.Dense(10), got {layer!r}"
                + (" (a class; call it)" if isinstance(layer, type) else "")
            )
        if layer._model is not None or any(layer is other for other in self._layers):
            raise ConfigurationError(
                f"layer {layer.name!r} belongs to a model already; sharing layers is not supported yet, "
                "so create a new layer"
            )
        if layer.name is not None and any(layer.name == other.name for other in self._layers):
            raise ConfigurationError(f"two layers are named {layer.name!r}; give one another name=")
        if isinstance(layer, Dense) and layer.input_columns is not None and not self._layers:
            if self._input is not None and self._input.columns != layer.input_columns:
                raise ConfigurationError(
                    f"Input has {self._input.columns} features, the first layer says {layer.input_columns}"
                )
            self._input = self._input or InputSpec(layer.input_columns)
        self._layers.append(layer)

    def _rebuild(self) -> None:
        if self._input is not None and self._layers:
            self._build(self._input.columns)

    def _name_layers(self) -> None:
        taken = {layer.name for layer in self._layers}
        for layer in self._layers:
            if layer.name is None:
                stem = name = type(layer).__name__.lower()
                number = 0
                while name in taken:
                    number += 1
                    name = f"{stem}_{number}"
                layer.name = name
                taken.add(name)

    def _chain(self, columns: int) -> Graph:
        first = tensor = Tensor("x", columns)
        nodes = []
        for layer in self._layers:
            assert layer.name is not None
            output = Tensor(f"{layer.name}/y", layer.config.columns(tensor.columns))
            parameters = layer.config.parameters(layer.name, tensor.columns, layer.trainable)
            nodes.append(Node(layer.name, layer.config, tensor, output, parameters))
            tensor = output
        return Graph(first, tensor, tuple(nodes))

    def _build(self, columns: int) -> None:
        if not self._layers:
            raise ConfigurationError("the model has no layers; add some")
        self._name_layers()
        self._install(self._chain(columns))

    def _install_trainable(self) -> None:
        self._graph = self._chain(self.graph.input.columns)
