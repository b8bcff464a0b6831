"""Chains of layers.

A chain is a graph like any other; this file only turns the one into the other.  It must not
know plans or kernels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fastnn.checks import check_count
from fastnn.errors import ConfigurationError, DTypeError, ShapeError
from fastnn.layers import Layer
from fastnn.model import Model
from fastnn.symbolic import SymbolicTensor, as_list, draw

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
        layers: Sequence[Layer | Model | SymbolicTensor] | None = None,
        dtype: object = "float32",
        seed: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(dtype=dtype, seed=seed, name=name)
        self._input: SymbolicTensor | None = None
        self._chain: list[Layer | Model] = []
        if layers is not None and not isinstance(layers, Iterable):
            raise DTypeError(f"layers must be a list of layers, got {layers!r}")
        for layer in layers or ():
            self._append(layer)
        self._rebuild()

    @property
    def layers(self) -> list[Any]:
        """The model's layers, a copy of the list."""
        return list(self._chain)

    def add(self, layer: Layer | Model | SymbolicTensor) -> None:
        """Append a layer.

        Parameters
        ----------
        layer : Layer, Model or SymbolicTensor
            A layer, a model used as one, or an `Input`.

        Raises
        ------
        ConfigurationError
            If it cannot stand there, or the model was built from data or trained already.
        """
        if self._compiled is not None:
            raise ConfigurationError("layers cannot be added after compile; build the whole chain first")
        before = list(self._chain), self._input
        self._append(layer)
        try:
            self._rebuild()
        except BaseException:
            self._chain, self._input = before
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
        if self._drawing is None:
            self._build(check_count(tuple(input_shape)[1], "features"))

    def _append(self, layer: object) -> None:
        if isinstance(layer, SymbolicTensor):
            if self._chain or self._input is not None:
                raise ConfigurationError("Input must be the first entry, once")
            if layer.layer is not None:
                raise ConfigurationError(
                    f"a Sequential begins with an Input, got {layer!r}; for graphs use fastnn.Model"
                )
            self._input = layer
            return
        if not isinstance(layer, Layer | Model):
            raise DTypeError(
                f"expected a layer such as fastnn.layers.Dense(10), got {layer!r}"
                + (" (a class; call it)" if isinstance(layer, type) else "")
            )
        if isinstance(layer, Layer):
            if layer.config.least_inputs > 1:
                raise ConfigurationError(
                    f"{type(layer).__name__} joins several tensors, which a chain does not have; "
                    "use fastnn.Model"
                )
            if layer.named and any(
                layer.name == other.name and layer is not other
                for other in self._chain
                if isinstance(other, Layer) and other.named
            ):
                raise ConfigurationError(f"two layers are named {layer.name!r}; give one another name=")
        elif not layer.built:
            raise ConfigurationError(f"model {layer.name!r} has no input width yet; begin it with an Input")
        columns = getattr(layer, "input_columns", None)
        if columns is not None and not self._chain:
            if self._input is not None and self._input.columns != columns:
                raise ConfigurationError(
                    f"Input has {self._input.columns} features, the first layer says {columns}"
                )
            self._input = self._input or SymbolicTensor(columns)
        self._chain.append(layer)

    def _rebuild(self) -> None:
        if self._input is not None and self._chain:
            self._build(self._input.columns)

    def _unbuilt(self) -> list[Layer]:
        return [layer for layer in self._chain if isinstance(layer, Layer)]

    def _build(self, columns: int) -> None:
        if not self._chain:
            raise ConfigurationError("the model has no layers; add some")
        first: Any = self._input or SymbolicTensor(columns)
        tensor = first
        for layer in self._chain:
            tensor = layer(tensor)
        ends = [first], as_list(tensor, "the output of a chain")
        self._install(draw(*ends))
        self._ends = ends
