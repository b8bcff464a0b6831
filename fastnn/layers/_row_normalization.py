"""Normalisation of each row by itself: the layers, their configurations, and what they become in a plan.

Nothing is taken from other rows, so training and prediction do the same.  This file must not know arrays of
the caller, or kernels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from fastnn import constraints, initializers, regularizers
from fastnn.checks import check_flag, check_number, with_arguments_of_keras
from fastnn.compiler.builder import Builder
from fastnn.compiler.rules import BACKWARD, FORWARD
from fastnn.described import Described, written
from fastnn.errors import ConfigurationError
from fastnn.graph.graph import Config, Node, Parameter
from fastnn.initializers import Initializer, Ones
from fastnn.layers._base import Layer
from fastnn.opcodes import Op, OpCode, Operand
from fastnn.regularizers import Regularizer

__all__ = ["LayerNormalization", "RMSNormalization", "UnitNormalization"]


@dataclass(frozen=True)
class LayerNormalizationConfig(Config):
    """The fields are the arguments of `LayerNormalization`."""

    # Whether the mean is taken off, and whether squares are averaged, not added up.
    moments: ClassVar[tuple[float, float]] = (1.0, 1.0)

    epsilon: float
    center: bool
    scale: bool
    beta_initializer: Initializer
    gamma_initializer: Initializer
    beta_regularizer: Regularizer | None
    gamma_regularizer: Regularizer | None
    beta_constraint: constraints.Constraint | None = None
    gamma_constraint: constraints.Constraint | None = None

    def parameters(self, layer: str, widths: tuple[int, ...], trainable: bool) -> tuple[Parameter, ...]:
        """Return the layer's parameters in Keras's order: gamma, then beta."""
        shape, found = (widths[0],), []
        if self.scale:
            gamma = self.gamma_initializer, self.gamma_regularizer
            found.append(
                Parameter(f"{layer}/gamma", shape, *gamma, trainable, constraint=self.gamma_constraint)
            )
        if self.center:
            beta = self.beta_initializer, self.beta_regularizer
            found.append(Parameter(f"{layer}/beta", shape, *beta, trainable, constraint=self.beta_constraint))
        return tuple(found)


@dataclass(frozen=True)
class RMSNormalizationConfig(Config):
    """The field is an argument of `RMSNormalization`."""

    moments: ClassVar[tuple[float, float]] = (0.0, 1.0)

    epsilon: float

    def parameters(self, layer: str, widths: tuple[int, ...], trainable: bool) -> tuple[Parameter, ...]:
        """Return the factors."""
        return (Parameter(f"{layer}/scale", (widths[0],), Ones(), None, trainable),)


@dataclass(frozen=True)
class UnitNormalizationConfig(Config):
    """Rows of length 1."""

    moments: ClassVar[tuple[float, float]] = (0.0, 0.0)
    epsilon: ClassVar[float] = 1e-12  # the least length that a row is taken to have


def _check_axis(axis: object) -> None:
    several = isinstance(axis, list | tuple) and len(axis) == 1
    found = axis[0] if several else axis  # type: ignore[index]
    if isinstance(found, bool) or found not in (-1, 1):
        raise ConfigurationError(f"axis must be -1, as tensors are (rows, features), got {axis!r}")


class LayerNormalization(Layer):
    """Rows scaled to mean 0 and variance 1, then by learned numbers (Ba, Kiros and Hinton 2016).

    ``gamma * (x - mean) / sqrt(variance + epsilon) + beta``, with mean and variance of each row over its
    features, the variance divided by their number.  It is the same in training and in prediction.

    Parameters
    ----------
    axis : int
        Of the features: -1, or 1, which is the same.
    epsilon : float
        Added to variances, above 0.
    center, scale : bool
        Whether there are beta and gamma, one number each for each feature.
    beta_initializer, gamma_initializer : str or Initializer
    beta_regularizer, gamma_regularizer : str, Regularizer or None
    beta_constraint, gamma_constraint : str, Constraint or None
    name : str, optional
    trainable : bool

    Raises
    ------
    ConfigurationError
        For numbers out of range, another axis, or an unknown name.
    DTypeError
        For arguments of the wrong type.

    Examples
    --------
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.LayerNormalization(epsilon=1e-9)])
    >>> model.predict([[1.0, 3.0], [-5.0, 5.0]])
    array([[-1.,  1.],
           [-1.,  1.]], dtype=float32)
    """

    config: LayerNormalizationConfig

    @with_arguments_of_keras("LayerNormalization", "BatchNormalization")
    def __init__(
        self,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: str | Initializer = "zeros",
        gamma_initializer: str | Initializer = "ones",
        beta_regularizer: str | Regularizer | None = None,
        gamma_regularizer: str | Regularizer | None = None,
        beta_constraint: str | constraints.Constraint | None = None,
        gamma_constraint: str | constraints.Constraint | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name, trainable)
        _check_axis(axis)
        self.config = LayerNormalizationConfig(
            check_number(epsilon, "epsilon", 0.0, open_minimum=True),
            check_flag(center, "center"),
            check_flag(scale, "scale"),
            initializers.settled(beta_initializer),
            initializers.settled(gamma_initializer),
            regularizers.get(beta_regularizer),
            regularizers.get(gamma_regularizer),
            constraints.get(beta_constraint),
            constraints.get(gamma_constraint),
        )

    @property
    def gamma(self) -> np.ndarray | None:
        """A copy of the factors, (features,), or None."""
        return self._weight("gamma")

    @property
    def beta(self) -> np.ndarray | None:
        """A copy of the shifts, (features,), or None."""
        return self._weight("beta")

    def _arguments(self) -> dict[str, Any]:
        found: dict[str, Any] = {"axis": -1}
        for field in fields(self.config):
            value = getattr(self.config, field.name)
            found[field.name] = written(value) if isinstance(value, Described) else value
        return found

    def _code(self) -> Iterator[str]:
        usual = LayerNormalization().config
        for field in fields(self.config):
            value = getattr(self.config, field.name)
            if value != getattr(usual, field.name):
                yield f"{field.name}={value!r}"


class RMSNormalization(Layer):
    """Rows divided by the root of their mean square, then times learned numbers (Zhang and Sennrich 2019).

    ``scale * x / sqrt(mean(x**2) + epsilon)``, with the mean of each row over its features.

    Parameters
    ----------
    axis : int
        Of the features: -1, or 1, which is the same.
    epsilon : float
        Added to mean squares, above 0.
    name : str, optional
    trainable : bool

    Raises
    ------
    ConfigurationError
        For another axis, or an `epsilon` out of range.
    DTypeError
        For arguments of the wrong type.

    Examples
    --------
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.RMSNormalization()])
    >>> model.predict([[3.0, 3.0], [-1.0, 7.0]]).round(4)
    array([[ 1. ,  1. ],
           [-0.2,  1.4]], dtype=float32)
    """

    config: RMSNormalizationConfig

    @with_arguments_of_keras("RMSNormalization", "BatchNormalization")
    def __init__(
        self, axis: int = -1, epsilon: float = 1e-6, *, name: str | None = None, trainable: bool = True
    ) -> None:
        super().__init__(name, trainable)
        _check_axis(axis)
        self.config = RMSNormalizationConfig(check_number(epsilon, "epsilon", 0.0, open_minimum=True))

    @property
    def scale(self) -> np.ndarray:
        """A copy of the factors, (features,)."""
        return self.get_weights()[0]

    def _arguments(self) -> dict[str, Any]:
        return {"axis": -1, "epsilon": self.config.epsilon}

    def _code(self) -> Iterator[str]:
        if self.config != RMSNormalization().config:
            yield f"epsilon={self.config.epsilon!r}"


class UnitNormalization(Layer):
    """Rows divided by their lengths, so that the sum of a row's squares is 1.

    A row of zeros stays that: no length counts as less than 1e-12.

    Parameters
    ----------
    axis : int
        Of the features: -1, or 1, which is the same.
    name : str, optional

    Raises
    ------
    ConfigurationError
        For another axis.

    Examples
    --------
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.UnitNormalization()])
    >>> model.predict([[3.0, 4.0], [0.0, 0.0]])
    array([[0.6, 0.8],
           [0. , 0. ]], dtype=float32)
    """

    config: UnitNormalizationConfig

    @with_arguments_of_keras("UnitNormalization", "BatchNormalization")
    def __init__(self, axis: int = -1, *, name: str | None = None) -> None:
        super().__init__(name)
        _check_axis(axis)
        self.config = UnitNormalizationConfig()

    def _arguments(self) -> dict[str, Any]:
        return {"axis": -1}


def _normalize(builder: Builder, node: Node, inputs: tuple[Operand, ...], y: Operand) -> list[Op]:
    config = node.config
    assert isinstance(config, LayerNormalizationConfig | RMSNormalizationConfig | UnitNormalizationConfig)
    of_layer = {parameter.role: builder.parameter(parameter) for parameter in node.parameters}
    gamma = of_layer.get("gamma", of_layer.get("scale"))
    operands = (y, builder.inside(node, "moments", 2), inputs[0], gamma, of_layer.get("beta"))
    return [Op(OpCode.ROW_NORMALIZE, node.layer, operands, constants=(config.epsilon, *config.moments))]


def _normalize_backward(builder: Builder, op: Op, dy: Operand) -> None:
    x, moments, gamma, beta = op.need("x"), op.need("moments"), op.operand("gamma"), op.operand("beta")
    if gamma is not None:
        builder.add_parameter_gradient(OpCode.ROW_NORMALIZE_GRADIENT, gamma, dy, x, moments)
    if beta is not None:
        builder.add_parameter_gradient(OpCode.BIAS_GRADIENT, beta, dy)
    sources = (dy, x, moments, gamma)
    builder.pass_on(op.layer, x, OpCode.ROW_NORMALIZE_BACKWARD, *sources, constants=op.constants)


for _config in (LayerNormalizationConfig, RMSNormalizationConfig, UnitNormalizationConfig):
    FORWARD[_config] = _normalize
BACKWARD[OpCode.ROW_NORMALIZE] = _normalize_backward
