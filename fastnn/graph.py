"""The graph of a model: frozen nodes in topological order, and their parameters.

A graph is what lowering sees of layers.  It holds names, widths and configurations: no
arrays, no arithmetic.  It must not know plans or kernels.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fastnn.errors import ConfigurationError
from fastnn.initializers import Initializer
from fastnn.plan import Activation
from fastnn.regularizers import L2

__all__ = ["ActivationConfig", "DenseConfig", "Graph", "Node", "Parameter", "Tensor"]


@dataclass(frozen=True)
class Tensor:
    """A named matrix with one row per row of the batch.

    Attributes
    ----------
    name : str
    columns : int
    """

    name: str
    columns: int


@dataclass(frozen=True)
class Parameter:
    """A kernel or a bias.

    Attributes
    ----------
    name : str
        ``"<layer>/kernel"`` or ``"<layer>/bias"``.
    shape : tuple of int
        ``(inputs, units)`` or ``(units,)``.
    initializer : Initializer
    regularizer : L2 or None
    trainable : bool
    """

    name: str
    shape: tuple[int, ...]
    initializer: Initializer
    regularizer: L2 | None = None
    trainable: bool = True

    @property
    def rows(self) -> int:
        """Rows as a matrix; a bias is one row."""
        return self.shape[0] if len(self.shape) == 2 else 1

    @property
    def columns(self) -> int:
        """Columns as a matrix."""
        return self.shape[-1]


@dataclass(frozen=True)
class DenseConfig:
    """What lowering sees of a dense layer; the fields are those of `fastnn.layers.Dense`."""

    units: int
    activation: Activation
    use_bias: bool
    kernel_initializer: Initializer
    bias_initializer: Initializer
    kernel_regularizer: L2 | None
    bias_regularizer: L2 | None

    def parameters(self, layer: str, inputs: int, trainable: bool) -> tuple[Parameter, ...]:
        """Return the layer's parameters, kernel first."""
        kernel = Parameter(
            f"{layer}/kernel",
            (inputs, self.units),
            self.kernel_initializer,
            self.kernel_regularizer,
            trainable,
        )
        if not self.use_bias:
            return (kernel,)
        bias = Parameter(
            f"{layer}/bias", (self.units,), self.bias_initializer, self.bias_regularizer, trainable
        )
        return (kernel, bias)

    def columns(self, inputs: int) -> int:
        """Return the output's width."""
        return self.units


@dataclass(frozen=True)
class ActivationConfig:
    """What lowering sees of an activation layer."""

    activation: Activation

    def parameters(self, layer: str, inputs: int, trainable: bool) -> tuple[Parameter, ...]:
        """Return no parameters."""
        return ()

    def columns(self, inputs: int) -> int:
        """Return the output's width, that of the input."""
        return inputs


@dataclass(frozen=True)
class Node:
    """One layer applied to one tensor.

    Attributes
    ----------
    layer : str
    config : DenseConfig or ActivationConfig
    input, output : Tensor
    parameters : tuple of Parameter
    """

    layer: str
    config: DenseConfig | ActivationConfig
    input: Tensor
    output: Tensor
    parameters: tuple[Parameter, ...]


@dataclass(frozen=True)
class Graph:
    """Nodes in topological order from one input to one output.

    Attributes
    ----------
    input, output : Tensor
    nodes : tuple of Node
    """

    input: Tensor
    output: Tensor
    nodes: tuple[Node, ...]
    parameters: tuple[Parameter, ...] = field(init=False)

    def __post_init__(self) -> None:
        known = {self.input.name}
        layers: set[str] = set()
        for node in self.nodes:
            if node.layer in layers:
                raise ConfigurationError(f"two layers are named {node.layer!r}; give one another name=")
            if node.input.name not in known:
                raise ConfigurationError(f"layer {node.layer!r} reads {node.input.name!r} before it exists")
            layers.add(node.layer)
            known.add(node.output.name)
        if self.output.name not in known:
            raise ConfigurationError(f"no layer makes the output {self.output.name!r}")
        object.__setattr__(self, "parameters", tuple(p for node in self.nodes for p in node.parameters))
