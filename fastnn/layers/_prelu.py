"""PReLU: the layer, its configuration, and what it becomes in a plan.

This file must not know arrays of the caller, or kernels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn import constraints, initializers, regularizers
from fastnn.checks import with_arguments_of_keras
from fastnn.compiler.builder import Builder
from fastnn.compiler.rules import BACKWARD, FORWARD
from fastnn.described import written
from fastnn.errors import ConfigurationError
from fastnn.graph.graph import Config, Node, Parameter
from fastnn.initializers import Initializer, Zeros
from fastnn.layers._base import Layer
from fastnn.opcodes import Op, OpCode, Operand
from fastnn.regularizers import Regularizer

__all__ = ["PReLU"]


@dataclass(frozen=True)
class PReLUConfig(Config):
    """The fields are the arguments of `PReLU`."""

    alpha_initializer: Initializer
    alpha_regularizer: Regularizer | None
    alpha_constraint: constraints.Constraint | None = None

    def parameters(self, layer: str, widths: tuple[int, ...], trainable: bool) -> tuple[Parameter, ...]:
        """Return the slopes."""
        how = self.alpha_initializer, self.alpha_regularizer, trainable
        return (Parameter(f"{layer}/alpha", (widths[0],), *how, constraint=self.alpha_constraint),)


class PReLU(Layer):
    """``x`` where it is positive, else ``alpha * x``, with a learned slope for each feature (He et al. 2015).

    At 0 the gradient is 0, as in Keras.

    Parameters
    ----------
    alpha_initializer : str or Initializer
        Default zeros, which makes it a ReLU at first.
    alpha_regularizer : str, Regularizer or None
    alpha_constraint : str, Constraint or None
    shared_axes : None
        In Keras, axes that share slopes, as of images.
    name : str, optional
    trainable : bool

    Raises
    ------
    ConfigurationError
        For an unknown name, or if `shared_axes` is given.
    DTypeError
        For arguments of the wrong type.

    Examples
    --------
    >>> import fastnn
    >>> slopes = fastnn.initializers.Constant(0.5)
    >>> model = fastnn.Sequential([fastnn.Input((2,)), PReLU(alpha_initializer=slopes)])
    >>> model.predict([[-1.0, 2.0]])
    array([[-0.5,  2. ]], dtype=float32)
    """

    config: PReLUConfig

    @with_arguments_of_keras("PReLU", "Layer")
    def __init__(
        self,
        alpha_initializer: str | Initializer = "zeros",
        alpha_regularizer: str | Regularizer | None = None,
        alpha_constraint: str | constraints.Constraint | None = None,
        shared_axes: None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name, trainable)
        if shared_axes is not None:
            raise ConfigurationError(
                "shared_axes must be None, as tensors are (rows, features), and each feature has its slope"
            )
        self.config = PReLUConfig(
            initializers.settled(alpha_initializer),
            regularizers.get(alpha_regularizer),
            constraints.get(alpha_constraint),
        )

    @property
    def alpha(self) -> np.ndarray:
        """A copy of the slopes, (features,)."""
        return self.get_weights()[0]

    def _arguments(self) -> dict[str, Any]:
        penalty, limit = self.config.alpha_regularizer, self.config.alpha_constraint
        return {
            "alpha_initializer": written(self.config.alpha_initializer),
            "alpha_regularizer": None if penalty is None else written(penalty),
            "alpha_constraint": None if limit is None else written(limit),
        }

    def _code(self) -> Iterator[str]:
        if self.config.alpha_initializer != Zeros():
            yield f"alpha_initializer={self.config.alpha_initializer!r}"
        if self.config.alpha_regularizer is not None:
            yield f"alpha_regularizer={self.config.alpha_regularizer!r}"
        if self.config.alpha_constraint is not None:
            yield f"alpha_constraint={self.config.alpha_constraint!r}"


def _prelu(builder: Builder, node: Node, inputs: tuple[Operand, ...], y: Operand) -> list[Op]:
    return [Op(OpCode.PRELU, node.layer, (y, inputs[0], builder.parameter(node.parameters[0]), None))]


def _prelu_backward(builder: Builder, op: Op, dy: Operand) -> None:
    x, w = op.need("x"), op.need("w")
    builder.add_parameter_gradient(OpCode.PRELU_GRADIENT, w, x, dy)
    builder.pass_on(op.layer, x, OpCode.PRELU, dy, w, x)


FORWARD[PReLUConfig] = _prelu
BACKWARD[OpCode.PRELU] = _prelu_backward
