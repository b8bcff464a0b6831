"""A learned factor for each feature: the layer, its configuration, and what it becomes in a plan.

This file must not know arrays of the caller, or kernels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn import constraints, initializers, regularizers
from fastnn.compiler.builder import Builder
from fastnn.compiler.rules import BACKWARD, FORWARD
from fastnn.described import written
from fastnn.graph.graph import Config, Node, Parameter
from fastnn.initializers import Initializer, Ones
from fastnn.layers._base import Layer
from fastnn.opcodes import Op, OpCode, Operand
from fastnn.regularizers import Regularizer

__all__ = ["FeatureScale"]


@dataclass(frozen=True)
class FeatureScaleConfig(Config):
    """The fields are the arguments of `FeatureScale`."""

    scale_initializer: Initializer
    scale_regularizer: Regularizer | None
    scale_constraint: constraints.Constraint | None = None

    def parameters(self, layer: str, widths: tuple[int, ...], trainable: bool) -> tuple[Parameter, ...]:
        """Return the factors."""
        how = self.scale_initializer, self.scale_regularizer, trainable
        return (Parameter(f"{layer}/scale", (widths[0],), *how, constraint=self.scale_constraint),)


class FeatureScale(Layer):
    """``x * scale``, with a learned factor for each feature.

    As the first layer of a net, it lets training say how much each column of a table counts (Holzmüller,
    Grinsztajn and Steinwart 2024); its learning rate is then larger, by `learning_rate_multipliers` of the
    optimizer.  Keras has nothing like it.

    Parameters
    ----------
    scale_initializer : str or Initializer
        Default ones.
    scale_regularizer : str, Regularizer or None
    scale_constraint : str, Constraint or None
    name : str, optional
    trainable : bool

    Raises
    ------
    ConfigurationError
        For an unknown name.
    DTypeError
        For arguments of the wrong type.

    Examples
    --------
    >>> import fastnn
    >>> factors = fastnn.initializers.Constant(0.5)
    >>> model = fastnn.Sequential([fastnn.Input((2,)), FeatureScale(factors)])
    >>> model.predict([[-1.0, 2.0]])
    array([[-0.5,  1. ]], dtype=float32)
    """

    config: FeatureScaleConfig

    def __init__(
        self,
        scale_initializer: str | Initializer = "ones",
        scale_regularizer: str | Regularizer | None = None,
        scale_constraint: str | constraints.Constraint | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name, trainable)
        self.config = FeatureScaleConfig(
            initializers.settled(scale_initializer),
            regularizers.get(scale_regularizer),
            constraints.get(scale_constraint),
        )

    @property
    def scale(self) -> np.ndarray:
        """A copy of the factors, (features,)."""
        return self.get_weights()[0]

    def _arguments(self) -> dict[str, Any]:
        penalty, limit = self.config.scale_regularizer, self.config.scale_constraint
        return {
            "scale_initializer": written(self.config.scale_initializer),
            "scale_regularizer": None if penalty is None else written(penalty),
            "scale_constraint": None if limit is None else written(limit),
        }

    def _code(self) -> Iterator[str]:
        if self.config.scale_initializer != Ones():
            yield f"scale_initializer={self.config.scale_initializer!r}"
        if self.config.scale_regularizer is not None:
            yield f"scale_regularizer={self.config.scale_regularizer!r}"
        if self.config.scale_constraint is not None:
            yield f"scale_constraint={self.config.scale_constraint!r}"


def _scale(builder: Builder, node: Node, inputs: tuple[Operand, ...], y: Operand) -> list[Op]:
    return [Op(OpCode.SCALE_FEATURES, node.layer, (y, inputs[0], builder.parameter(node.parameters[0])))]


def _scale_backward(builder: Builder, op: Op, dy: Operand) -> None:
    x, w = op.need("x"), op.need("w")
    builder.add_parameter_gradient(OpCode.SCALE_FEATURES_GRADIENT, w, x, dy)
    builder.pass_on(op.layer, x, OpCode.SCALE_FEATURES, dy, w)


FORWARD[FeatureScaleConfig] = _scale
BACKWARD[OpCode.SCALE_FEATURES] = _scale_backward
