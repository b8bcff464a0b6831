"""The graph of a model: frozen nodes in topological order, and their parameters.

A graph is what lowering sees of layers.  It holds names, widths and configurations: no arrays, no
arithmetic.  Of `ops.py` it knows activations and kinds of arrays.  It must not know models or kernels.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from fastnn.constraints import Constraint
from fastnn.errors import ConfigurationError, ShapeError
from fastnn.initializers import Initializer, Zeros
from fastnn.ops import ACTIVATIONS, REAL, Activation, Kind, name_of
from fastnn.regularizers import Regularizer

__all__ = [
    "PENALTY_OF",
    "ROW_WEIGHTS",
    "ActivationConfig",
    "AffineConfig",
    "AlphaDropoutConfig",
    "Config",
    "DenseConfig",
    "DropoutConfig",
    "GaussianDropoutConfig",
    "GaussianNoiseConfig",
    "Graph",
    "MaxoutConfig",
    "Merge",
    "MergeConfig",
    "Node",
    "Parameter",
    "SquareConfig",
    "SumConfig",
    "Tensor",
    "WeightedSumConfig",
    "array_name",
    "by_depth",
    "kept_rows_name",
    "metric_name",
    "walk",
]

_Node = TypeVar("_Node")
_Owner = TypeVar("_Owner")


@dataclass(frozen=True)
class Tensor:
    """A named matrix with one row per row of the batch.

    Attributes
    ----------
    name : str
    columns : int
    kind : Kind
        What it holds: of an input, what the layers take that read it; all others hold real numbers.
    key : str
        Of an input or an output, under which key users give or get it, if that is not its label.
    """

    name: str
    columns: int
    kind: Kind = REAL
    key: str = ""

    @property
    def title(self) -> str:
        """What users call an input or an output: its key, or its label."""
        return self.key or self.label

    @property
    def label(self) -> str:
        """What users call it: ``"dense"`` for ``"dense/y"``, the output of the layer's first use."""
        name, _, use = self.name.rpartition("/y")
        return (name + use.replace("_", ":")) if name else self.name


PENALTY_OF = "penalty of "  # begins the names of what outputs of layers pay, which are no metrics
ROW_WEIGHTS = "row_weight"  # the array of what rows count in a loss that weighs them by their batch


def array_name(kind: str, tensor: Tensor, among: Sequence[Tensor]) -> str:
    """Return what plans, and those who run them, call the array of an input or an output.

    Examples
    --------
    >>> a, b = Tensor("a", 2), Tensor("b", 3)
    >>> array_name("x", a, [a]), array_name("x", a, [a, b])
    ('x', 'x:a')
    """
    return kind if len(among) == 1 else f"{kind}:{tensor.label}"


def kept_rows_name(ignored: int) -> str:
    """Return the kind of array that is 1 for rows whose label is not the ignored one of a metric, else 0.

    Examples
    --------
    >>> kept_rows_name(3)
    'label_is_not_3'
    """
    return f"label_is_not_{ignored}"


def metric_name(metric: str, tensor: Tensor, among: Sequence[Tensor]) -> str:
    """Return the key of an output's metric in a `History`, as in Keras.

    Examples
    --------
    >>> a, b = Tensor("a/y", 2), Tensor("b/y", 3)
    >>> metric_name("mse", a, [a]), metric_name("mse", a, [a, b])
    ('mse', 'a_mse')
    """
    return metric if len(among) == 1 else f"{tensor.title}_{metric}"


@dataclass(frozen=True)
class Parameter:
    """A weight, or a statistic of the data.

    Attributes
    ----------
    name : str
        ``"<layer>/kernel"``, ``"<layer>/bias"``, ...
    shape : tuple of int
        ``(inputs, units)`` or ``(units,)``.
    initializer : Initializer
    regularizer : Regularizer or None
    trainable : bool
        Whether training may change it: the flag of its layer.
    statistic : bool
        Whether it follows the data by a rule of its layer, not its gradient.
    constraint : Constraint or None
        What it becomes after each update.

    Examples
    --------
    >>> Parameter("norm/moving_mean", (3,), Zeros(), statistic=True).is_trained
    False
    """

    name: str
    shape: tuple[int, ...]
    initializer: Initializer
    regularizer: Regularizer | None = None
    trainable: bool = True
    statistic: bool = False
    constraint: Constraint | None = None

    def __post_init__(self) -> None:
        if self.regularizer is not None:
            self.regularizer.check_shape(self.shape, f"the parameter {self.name!r}")

    @property
    def is_trained(self) -> bool:
        """Whether an optimizer changes it, by its gradient."""
        return self.trainable and not self.statistic

    @property
    def role(self) -> str:
        """What it is to its layer: ``"kernel"``, ``"bias"`` or, of a weighted sum, ``"weight_<number>"``."""
        return self.name.rpartition("/")[2]

    @property
    def rows(self) -> int:
        """Rows as a matrix; a bias is one row."""
        return self.shape[0] if len(self.shape) == 2 else 1

    @property
    def columns(self) -> int:
        """Columns as a matrix."""
        return self.shape[-1]


@dataclass(frozen=True)
class Config:
    """What lowering sees of a layer; the base of all configurations."""

    least_inputs: ClassVar[int] = 1
    most_inputs: ClassVar[int | None] = 1
    training_only: ClassVar[bool] = False  # whether, but in training, the output is the input
    hands_through: ClassVar[bool] = False  # whether it always is

    def parameters(self, layer: str, widths: tuple[int, ...], trainable: bool) -> tuple[Parameter, ...]:
        """Return the parameters of a layer of this name with inputs of these widths; by default none."""
        return ()

    def columns(self, layer: str, widths: tuple[int, ...]) -> int:
        """Return the output's width; by default that of the input."""
        return widths[0]

    @property
    def takes(self) -> Kind:
        """What its inputs must hold; other than real numbers an input of the model alone may."""
        return REAL

    @property
    def output_penalty(self) -> tuple[float, float]:
        """What its outputs pay, call by call: the factors of their absolute values and of their squares."""
        return (0.0, 0.0)

    @property
    def function(self) -> str:
        """Its activation as users read it, such as ``"relu"`` or ``"elu(0.5)"``; empty if it has none."""
        return ""


def _function(activation: Activation, numbers: tuple[float, ...]) -> str:
    options = ACTIVATIONS[activation].options
    shown = (option.shown(number) for option, number in zip(options, numbers, strict=True))
    given = ", ".join(f"{value:g}" if type(value) is float else str(value) for value in shown)
    return name_of(activation) + (f"({given})" if any(numbers) else "")


@dataclass(frozen=True)
class DenseConfig(Config):
    """A dense layer; the fields are those of `fastnn.layers.Dense`, and the activation's number."""

    units: int
    activation: Activation
    numbers: tuple[float, ...]
    use_bias: bool
    kernel_initializer: Initializer
    bias_initializer: Initializer
    kernel_regularizer: Regularizer | None
    bias_regularizer: Regularizer | None
    kernel_constraint: Constraint | None = None
    bias_constraint: Constraint | None = None
    activity_regularizer: Regularizer | None = None

    def parameters(self, layer: str, widths: tuple[int, ...], trainable: bool) -> tuple[Parameter, ...]:
        """Return the layer's parameters, kernel first."""
        return self._parameters(layer, widths[0], self.units, trainable)

    def _parameters(self, layer: str, inputs: int, units: int, trainable: bool) -> tuple[Parameter, ...]:
        kernel = Parameter(
            f"{layer}/kernel",
            (inputs, units),
            self.kernel_initializer,
            self.kernel_regularizer,
            trainable,
            constraint=self.kernel_constraint,
        )
        if not self.use_bias:
            return (kernel,)
        bias = Parameter(
            f"{layer}/bias",
            (units,),
            self.bias_initializer,
            self.bias_regularizer,
            trainable,
            constraint=self.bias_constraint,
        )
        return (kernel, bias)

    def columns(self, layer: str, widths: tuple[int, ...]) -> int:
        """Return the output's width."""
        return self.units

    @property
    def output_penalty(self) -> tuple[float, float]:
        """What its outputs pay, call by call: the factors of their absolute values and of their squares."""
        return (0.0, 0.0) if self.activity_regularizer is None else self.activity_regularizer.factors()

    @property
    def function(self) -> str:
        """Its activation as users read it."""
        return _function(self.activation, self.numbers)


@dataclass(frozen=True)
class MaxoutConfig(DenseConfig):
    """The largest of several dense layers, unit by unit; piece p of unit j is column p * units + j."""

    pieces: int = 2

    def parameters(self, layer: str, widths: tuple[int, ...], trainable: bool) -> tuple[Parameter, ...]:
        """Return the parameters of all pieces, side by side."""
        return self._parameters(layer, widths[0], self.units * self.pieces, trainable)

    @property
    def function(self) -> str:
        """Empty: it is the maximum."""
        return ""


@dataclass(frozen=True)
class ActivationConfig(Config):
    """A function of every element; `numbers` are those of its options."""

    activation: Activation
    numbers: tuple[float, ...] = ()

    @property
    def function(self) -> str:
        """Its name as users read it, with its numbers."""
        return _function(self.activation, self.numbers)


@dataclass(frozen=True)
class AffineConfig(Config):
    """``scale * x + shift``."""

    scale: float
    shift: float


@dataclass(frozen=True)
class SquareConfig(Config):
    """``x * x``, element by element."""


@dataclass(frozen=True)
class _DrawingConfig(Config):
    """What draws random numbers in training, of a seed of its own if it has one, and else does nothing."""

    training_only: ClassVar[bool] = True

    seed: int | None

    def draw(self, number: int) -> float:
        """Return what tells the draws of a step apart, for draw `number` of a model."""
        return 2.0 * number if self.seed is None else 2.0 * self.seed + 1.0


@dataclass(frozen=True)
class DropoutConfig(_DrawingConfig):
    """``x / (1 - rate)`` or, with probability `rate`, 0, element by element."""

    rate: float


@dataclass(frozen=True)
class GaussianNoiseConfig(_DrawingConfig):
    """``x`` plus a normal number with the standard deviation `stddev`, element by element."""

    stddev: float


@dataclass(frozen=True)
class GaussianDropoutConfig(_DrawingConfig):
    """``x`` times a normal number with mean 1 and the variance ``rate / (1 - rate)``, element by element."""

    rate: float


@dataclass(frozen=True)
class AlphaDropoutConfig(_DrawingConfig):
    """``x`` or, with probability `rate`, SELU's least value, so scaled that mean 0 and variance 1 stay."""

    rate: float


@dataclass(frozen=True)
class SumConfig(Config):
    """The sum over a row's features."""

    def columns(self, layer: str, widths: tuple[int, ...]) -> int:
        """Return 1."""
        return 1


class Merge(enum.Enum):
    """How several tensors become one."""

    ADD = "add"
    SUBTRACT = "subtract"
    MULTIPLY = "multiply"
    AVERAGE = "average"
    MAXIMUM = "maximum"
    MINIMUM = "minimum"
    CONCATENATE = "concatenate"


@dataclass(frozen=True)
class MergeConfig(Config):
    """Several tensors become one, element by element or side by side."""

    merge: Merge

    least_inputs: ClassVar[int] = 2
    most_inputs: ClassVar[int | None] = None

    def columns(self, layer: str, widths: tuple[int, ...]) -> int:
        """Return the output's width; unless side by side, all inputs must have it."""
        if self.merge is Merge.CONCATENATE:
            return sum(widths)
        if len(set(widths)) > 1:
            raise ShapeError(
                f"layer {layer!r} merges tensors of one width, got widths {list(widths)}; "
                "bring them to one width with Dense layers, or use Concatenate"
            )
        if self.merge is Merge.SUBTRACT and len(widths) != 2:
            raise ShapeError(f"layer {layer!r} subtracts one tensor from another, got {len(widths)} tensors")
        return widths[0]


@dataclass(frozen=True)
class WeightedSumConfig(MergeConfig):
    """``sum of sigmoid(w_i) x_i``, one learned number for each input."""

    merge: Merge = Merge.ADD
    initializer: Initializer = field(default_factory=Zeros)

    least_inputs: ClassVar[int] = 1

    def parameters(self, layer: str, widths: tuple[int, ...], trainable: bool) -> tuple[Parameter, ...]:
        """Return one parameter for each input."""
        return tuple(
            Parameter(f"{layer}/weight_{number}", (1,), self.initializer, None, trainable)
            for number in range(len(widths))
        )


@dataclass(frozen=True)
class Node:
    """One layer applied to its inputs.

    Attributes
    ----------
    layer : str
        Nodes of a layer that is used several times share its name and its parameters.
    config : Config
    inputs : tuple of Tensor
    output : Tensor
    parameters : tuple of Parameter
    """

    layer: str
    config: Config
    inputs: tuple[Tensor, ...]
    output: Tensor
    parameters: tuple[Parameter, ...]


@dataclass(frozen=True)
class Graph:
    """Nodes in topological order from inputs to outputs.

    Attributes
    ----------
    inputs, outputs : tuple of Tensor
    nodes : tuple of Node
    parameters : tuple of Parameter
        Each once, in the order of the nodes; `Model.get_weights` has an order of its own.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    nodes: tuple[Node, ...]
    parameters: tuple[Parameter, ...] = field(init=False)

    def __post_init__(self) -> None:
        known = {tensor.name for tensor in self.inputs}
        parameters: dict[str, Parameter] = {}
        for node in self.nodes:
            for tensor in node.inputs:
                if tensor.name not in known:
                    raise ConfigurationError(f"layer {node.layer!r} reads {tensor.name!r} before it exists")
            if node.output.name in known:
                raise ConfigurationError(f"two tensors are named {node.output.name!r}")
            known.add(node.output.name)
            for parameter in node.parameters:
                if parameters.setdefault(parameter.name, parameter) != parameter:
                    raise ConfigurationError(f"two layers are named {node.layer!r}; give one another name=")
        for tensor in self.outputs:
            if tensor.name not in known:
                raise ConfigurationError(f"no layer makes the output {tensor.name!r}")
        object.__setattr__(self, "parameters", tuple(parameters.values()))

    def __hash__(self) -> int:
        found: int | None = self.__dict__.get("_hash")
        if found is None:
            found = hash((self.inputs, self.outputs, self.nodes))
            object.__setattr__(self, "_hash", found)
        return found

    @property
    def totals(self) -> tuple[int, int]:
        """The weights that a row meets, those of shared layers once a use, and the columns of all nodes."""
        found: tuple[int, int] | None = self.__dict__.get("_totals")
        if found is None:
            weights = sum(
                # A row looks up as many as it makes.
                node.output.columns
                if node.config.takes.is_whole
                else sum(p.rows * p.columns for p in node.parameters)
                for node in self.nodes
            )
            found = weights, sum(node.output.columns for node in self.nodes)
            object.__setattr__(self, "_totals", found)
        return found

    def __getstate__(self) -> dict[str, Any]:
        # Hashes of strings differ from process to process.
        return {name: value for name, value in self.__dict__.items() if name != "_hash"}

    @property
    def is_chain(self) -> bool:
        """Whether every node reads the output of the one before, and the last makes the only output."""
        before = self.inputs[0]
        for node in self.nodes:
            if node.inputs != (before,):
                return False
            before = node.output
        return len(self.inputs) == 1 and self.outputs == (before,)


def walk(
    ends: Sequence[_Node], sources: Callable[[_Node], Sequence[_Node]]
) -> tuple[list[_Node], list[_Node]]:
    """Go from `ends` to all that they are made of, depth first.

    Parameters
    ----------
    ends : sequence of hashable
    sources : callable
        Node to what it is made of, in its order; without cycles.

    Returns
    -------
    entered : list
        Each node when it is met first, so before what it is made of.
    left : list
        Each node after all that it is made of.

    Examples
    --------
    >>> made_of = {"y": ["b", "a"], "a": ["x"], "b": ["x"], "x": []}
    >>> walk(["y"], made_of.__getitem__)
    (['y', 'b', 'x', 'a'], ['x', 'b', 'a', 'y'])
    """
    entered: dict[_Node, None] = {}
    left: list[_Node] = []
    stack = [(end, False) for end in reversed(ends)]
    while stack:
        node, finished = stack.pop()
        if finished:
            left.append(node)
        elif node not in entered:
            entered[node] = None
            stack.append((node, True))
            stack += [(source, False) for source in reversed(sources(node))]
    return list(entered), left


def by_depth(
    ends: Sequence[_Node],
    sources: Callable[[_Node], Sequence[_Node]],
    owner: Callable[[_Node], _Owner],
    step: Callable[[_Node], float] = lambda node: 1.0,
) -> dict[_Owner, list[_Node]]:
    """Return who owns the nodes that lead to `ends`, in Keras's order: farthest from the ends first.

    The depth of a node is the longest way from it to an end; that of an owner is the largest of its nodes,
    and a node counts with what its owner had from nodes that are nearer to the ends.  Of one depth, who is
    met first on the way back from the ends comes first.  So does `keras.Model.layers` of Keras 3 sort
    layers (`map_graph` in keras/src/ops/function.py), whatever the order in which a graph was drawn.

    Parameters
    ----------
    ends : sequence of hashable
        Nodes.
    sources : callable
        Node to the nodes that it is made of, in its order; without cycles.
    owner : callable
        Node to its owner, hashable; nodes of a shared layer have one owner.
    step : callable, optional
        Node to how much deeper than it lies what it is made of; default 1.

    Returns
    -------
    dict
        Owner to its nodes, in the order in which these are met.

    Examples
    --------
    Two branches, the second of which is longer:

    >>> made_of = {"y": ["a", "c"], "a": ["x"], "b": ["x"], "c": ["b"], "x": []}
    >>> list(by_depth(["y"], made_of.__getitem__, str.upper))
    ['X', 'B', 'A', 'C', 'Y']
    """
    entered, left = walk(ends, sources)
    nodes: dict[_Owner, list[_Node]] = {}
    for node in entered:
        nodes.setdefault(owner(node), []).append(node)
    depths: dict[_Node, float] = {}
    deepest: dict[_Owner, float] = {}
    for node in reversed(left):
        depth = deepest[owner(node)] = max(depths.get(node, 0.0), deepest.get(owner(node), 0.0))
        for source in sources(node):
            depths[source] = max(depths.get(source, 0.0), depth + step(node))
    return {known: nodes[known] for known in sorted(nodes, key=lambda known: -deepest[known])}
