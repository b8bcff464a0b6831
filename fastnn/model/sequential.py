"""Chains of layers.

A chain is a graph like any other; this file only turns the one into the other.  It must not
know plans or kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from fastnn._core.guards import exchange
from fastnn.checks import check_count, shown, with_arguments_of_keras
from fastnn.errors import ConfigurationError, DTypeError, ShapeError
from fastnn.graph.drawing import followed
from fastnn.graph.shared_graphs import drawn
from fastnn.graph.symbolic import SymbolicTensor, as_list, config_of
from fastnn.layers import InputLayer, Layer
from fastnn.model.model import Model
from fastnn.model.structure import Structure

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

    _input: SymbolicTensor | None
    _chain: list[Layer | Model]

    @with_arguments_of_keras("Model")
    def __init__(
        self,
        layers: Sequence[Layer | Model | SymbolicTensor] | None = None,
        dtype: object = "float32",
        seed: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(dtype=dtype, seed=seed, name=name)
        if layers is not None and not isinstance(layers, Iterable):
            raise DTypeError(f"layers must be a list of layers, got {layers!r}")
        for layer in layers or ():
            self._chain, self._input = self._with(layer)
        if self._input is not None and self._chain:
            self._build(self._input.columns)

    def _begin(self, dtype: object, seed: int | None, name: str | None) -> None:
        super()._begin(dtype, seed, name)
        self._input = None
        self._chain = []

    @property
    def layers(self) -> list[Layer | Any]:
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
            If it cannot stand there, or the model was compiled, or built from its first data, already.
        """
        if self._now.optimizer is not None:
            raise ConfigurationError("layers cannot be added after compile; build the whole chain first")
        if self.built and self._input is None:
            raise ConfigurationError(
                "the model was built from its first data; add layers before, or begin with fastnn.Input"
            )
        chain, first = self._with(layer)
        changes: list[tuple[object, str, object]] = [(self, "_chain", chain), (self, "_input", first)]
        if first is None or not chain:
            exchange([], changes)
        elif not self.built:
            self._bind_chain(chain, first, None, changes)
        else:
            ends = [first], as_list(chain[-1](self.output), "the output of a chain")
            drawing = followed(self._now.need_drawing(), ends[1][0]) or drawn(*ends)
            self._binder.bind(drawing, self.seed, None, [*changes, (self, "_ends", ends)])

    def pop(self) -> Layer | Any:
        """Take the last layer away.

        Returns
        -------
        Layer, or the model that was used as one

        Raises
        ------
        ConfigurationError
            If the model was compiled already, or no layer would be left.

        Examples
        --------
        >>> import fastnn
        >>> layers = [fastnn.layers.Dense(3), fastnn.layers.Dense(2)]
        >>> model = fastnn.Sequential([fastnn.Input((4,)), *layers], seed=0)
        >>> model.pop() is layers[1], model.output_shape
        (True, (None, 3))
        """
        if self._now.optimizer is not None:
            raise ConfigurationError(
                "layers cannot be taken away after compile; make a Sequential of model.layers[:-1], which "
                "keep their weights"
            )
        if len(self._chain) < 2:
            raise ConfigurationError("a model needs a layer; make a new Sequential")
        chain, last = self._chain[:-1], self._chain[-1]
        if self._input is not None and self.built:
            self._bind_chain(chain, self._input, None, [(self, "_chain", chain)])
        else:
            exchange([], [(self, "_chain", chain)])
        return last

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Give the model its input width, and so its parameters.

        Parameters
        ----------
        input_shape : (None, features)

        Raises
        ------
        ShapeError
            If it is not of that form, or the model has another width already.
        DTypeError
            If it is neither a tuple nor a list, or holds no integer.

        Examples
        --------
        >>> import fastnn
        >>> model = fastnn.Sequential([fastnn.layers.Dense(2)], seed=0)
        >>> model.build((None, 3))
        >>> model.layers[0].kernel.shape
        (3, 2)
        """
        wanted = "input_shape must be (None, features), got"
        if not isinstance(input_shape, tuple | list):
            raise DTypeError(f"{wanted} {shown(input_shape)}")
        if len(input_shape) != 2 or input_shape[1] is None:
            raise ShapeError(f"{wanted} {tuple(input_shape)}")
        columns = check_count(input_shape[1], "features")
        if not self.built:
            first = SymbolicTensor(columns)
            self._bind_chain(self._chain, first, None, [(self, "_input", first)])
        elif columns != self.graph.inputs[0].columns:
            raise ShapeError(f"the model has {self.graph.inputs[0].columns} features already, got {columns}")

    def _with(self, layer: object) -> tuple[list[Layer | Model], SymbolicTensor | None]:
        """Return the chain with one more layer, and its input if that is known."""
        if isinstance(layer, InputLayer):
            layer = layer.output
        if isinstance(layer, SymbolicTensor):
            if self._chain or self._input is not None:
                raise ConfigurationError("Input must be the first entry, once")
            if layer.layer is not None:
                raise ConfigurationError(
                    f"a Sequential begins with an Input, got {layer!r}; for graphs use fastnn.Model"
                )
            return [], layer
        if not isinstance(layer, Layer | Model):
            raise DTypeError(
                f"expected a layer such as fastnn.layers.Dense(10), got {layer!r}"
                + (" (a class; call it)" if isinstance(layer, type) else "")
            )
        if isinstance(layer, Layer):
            if config_of(layer).least_inputs > 1:
                raise ConfigurationError(
                    f"{type(layer).__name__} joins several tensors, which a chain does not have; "
                    "use fastnn.Model"
                )
            if config_of(layer).takes.is_whole and self._chain:
                raise ConfigurationError(
                    f"{type(layer).__name__} takes integers, which only the input of a chain holds; let it "
                    "come first, or use fastnn.Model with an Input for it"
                )
            if layer.named and any(
                layer.name == other.name and layer is not other
                for other in self._chain
                if isinstance(other, Layer) and other.named
            ):
                raise ConfigurationError(f"two layers are named {layer.name!r}; give one another name=")
        first = self._input
        if isinstance(layer, Model) and layer.built and first is None and not self._chain:
            first = SymbolicTensor(layer.inputs[0].columns)
            first.dtype = layer.inputs[0].dtype
        columns = getattr(layer, "input_columns", None)
        if columns is not None and not self._chain:
            if first is not None and first.columns != columns:
                raise ConfigurationError(
                    f"Input has {first.columns} features, the first layer says {columns}"
                )
            first = first or SymbolicTensor(columns)
        return [*self._chain, layer], first

    def _build(self, columns: int, check: Callable[[Structure], Any] | None = None) -> Any:
        return self._bind_chain(self._chain, self._input or SymbolicTensor(columns), check, [])

    def _bind_chain(
        self,
        chain: Sequence[Layer | Model],
        first: SymbolicTensor,
        check: Callable[[Structure], Any] | None,
        changes: Sequence[tuple[object, str, object]],
    ) -> Any:
        if not chain:
            raise ConfigurationError("the model has no layers; add some")
        tensor: Any = first
        for layer in chain:
            tensor = layer(tensor)
        ends = [first], as_list(tensor, "the output of a chain")
        return self._binder.bind(drawn(*ends), self.seed, check, [*changes, (self, "_ends", ends)])
