"""Dot: the layer, its configuration, and what it becomes in a plan: ops that other layers have.

This file must not know arrays or kernels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from fastnn.checks import check_flag, with_arguments_of_keras
from fastnn.compiler.builder import Builder
from fastnn.compiler.rules import FORWARD
from fastnn.errors import ConfigurationError, ShapeError
from fastnn.graph.graph import Config, Node
from fastnn.layers._base import Layer
from fastnn.opcodes import Op, OpCode, Operand

__all__ = ["Dot"]

_LEAST_LENGTH = 1e-7  # of a row that is divided by its length; that of Keras's backend


@dataclass(frozen=True)
class DotConfig(Config):
    """Whether rows are divided by their lengths first."""

    least_inputs: ClassVar[int] = 2
    most_inputs: ClassVar[int | None] = 2

    normalize: bool

    def columns(self, layer: str, widths: tuple[int, ...]) -> int:
        """Return 1; both inputs must have one width."""
        if widths[0] != widths[1]:
            raise ShapeError(
                f"layer {layer!r} multiplies tensors of one width, got widths {list(widths)}; bring them to "
                "one width with Dense layers"
            )
        return 1


class Dot(Layer):
    """The inner product of two tensors, row by row: a tensor of width 1.

    Parameters
    ----------
    axes : int or tuple of two int
        Of the features: 1 or -1.
    normalize : bool
        Whether rows are divided by their lengths first, which makes it the cosine of their angle.
    name : str, optional

    Raises
    ------
    ConfigurationError
        For other axes.
    ShapeError
        When it is called on tensors of different widths.

    Examples
    --------
    >>> from fastnn import Input
    >>> Dot(axes=1)([Input((3,)), Input((3,))]).shape
    (None, 1)
    """

    config: DotConfig

    @with_arguments_of_keras("Dot", "Layer")
    def __init__(
        self, axes: int | tuple[int, int], normalize: bool = False, *, name: str | None = None
    ) -> None:
        super().__init__(name)
        both = tuple(axes) if isinstance(axes, tuple | list) else (axes, axes)
        if len(both) != 2 or any(isinstance(axis, bool) or axis not in (-1, 1) for axis in both):
            raise ConfigurationError(f"axes must be 1, as tensors are (rows, features), got {axes!r}")
        self.config = DotConfig(check_flag(normalize, "normalize"))

    def _arguments(self) -> dict[str, Any]:
        return {"axes": 1, "normalize": self.config.normalize}

    def _code(self) -> Iterator[str]:
        yield "1"
        if self.config.normalize:
            yield "normalize=True"


def _dot(builder: Builder, node: Node, inputs: tuple[Operand, ...], y: Operand) -> list[Op]:
    assert isinstance(node.config, DotConfig)
    ops, factors = [], list(inputs)
    if node.config.normalize:
        for position, x in enumerate(inputs):
            factors[position] = builder.inside(node, f"unit_{position}", x.columns)
            moments = builder.inside(node, f"moments_{position}", 2)
            operands = (factors[position], moments, x, None, None)
            ops.append(Op(OpCode.ROW_NORMALIZE, node.layer, operands, constants=(_LEAST_LENGTH, 0.0, 0.0)))
    products = builder.inside(node, "products", inputs[0].columns)
    ops.append(Op(OpCode.MULTIPLY, node.layer, (products, *factors)))
    return [*ops, Op(OpCode.ROW_SUM, node.layer, (y, products))]


FORWARD[DotConfig] = _dot
