"""Batch normalisation: the layer, its configuration, and what it becomes in a plan.

A training step takes mean and variance of its batch, which a phase along features makes of all rows, and
moves the statistics of the layer towards them when the step's updates are made.  Everything else takes these.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from fastnn import constraints, initializers, regularizers
from fastnn.checks import check_flag, check_number, with_arguments_of_keras
from fastnn.compiler.builder import Builder
from fastnn.compiler.rules import BACKWARD, FORWARD
from fastnn.described import Described, written
from fastnn.errors import ConfigurationError
from fastnn.graph.graph import Config, Node, Parameter
from fastnn.initializers import Initializer
from fastnn.layers._base import Layer
from fastnn.opcodes import Op, OpCode, Operand, Slot
from fastnn.regularizers import Regularizer

__all__ = ["BatchNormalization"]


@dataclass(frozen=True)
class BatchNormalizationConfig(Config):
    """The fields are the arguments of `BatchNormalization`."""

    momentum: float
    epsilon: float
    center: bool
    scale: bool
    beta_initializer: Initializer
    gamma_initializer: Initializer
    moving_mean_initializer: Initializer
    moving_variance_initializer: Initializer
    beta_regularizer: Regularizer | None
    gamma_regularizer: Regularizer | None
    beta_constraint: constraints.Constraint | None = None
    gamma_constraint: constraints.Constraint | None = None

    def parameters(self, layer: str, widths: tuple[int, ...], trainable: bool) -> tuple[Parameter, ...]:
        """Return the layer's parameters in Keras's order: gamma, beta, then the statistics."""
        shape = (widths[0],)
        found = []
        if self.scale:
            gamma = self.gamma_initializer, self.gamma_regularizer
            found.append(
                Parameter(f"{layer}/gamma", shape, *gamma, trainable, constraint=self.gamma_constraint)
            )
        if self.center:
            beta = self.beta_initializer, self.beta_regularizer
            found.append(Parameter(f"{layer}/beta", shape, *beta, trainable, constraint=self.beta_constraint))
        mean, variance = self.moving_mean_initializer, self.moving_variance_initializer
        found.append(Parameter(f"{layer}/moving_mean", shape, mean, None, trainable, statistic=True))
        found.append(Parameter(f"{layer}/moving_variance", shape, variance, None, trainable, statistic=True))
        return tuple(found)


class BatchNormalization(Layer):
    """Features scaled to mean 0 and variance 1 over the batch, then by learned numbers (Ioffe, Szegedy 2015).

    ``gamma * (x - mean) / sqrt(variance + epsilon) + beta``, feature by feature.  In `fit`, `train_on_batch`
    and `loss_and_gradients` mean and variance are those of the batch, the variance divided by its number of
    rows; every training step moves the statistics of the layer towards them, ``moving = momentum * moving +
    (1 - momentum) * of the batch``.  In `evaluate`, `predict`, `forward`, `backward` and `input_gradients`
    these take their place, and also in training if the layer is frozen, ``trainable=False``, as in Keras.

    Parameters
    ----------
    axis : int
        Of the features: -1, or 1, which is the same.
    momentum : float
        Share of the statistics that a step keeps, 0 to 1.
    epsilon : float
        Added to variances, above 0.
    center, scale : bool
        Whether there are beta and gamma.
    beta_initializer, gamma_initializer : str or Initializer
    moving_mean_initializer, moving_variance_initializer : str or Initializer
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
    >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.BatchNormalization(momentum=0.5)])
    >>> model.compile("sgd", "mse")
    >>> _ = model.train_on_batch([[1.0, 0.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]])
    >>> model.layers[0].moving_mean, model.layers[0].moving_variance
    (array([1., 1.], dtype=float32), array([1. , 2.5], dtype=float32))
    """

    config: BatchNormalizationConfig

    @with_arguments_of_keras("BatchNormalization")
    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: str | Initializer = "zeros",
        gamma_initializer: str | Initializer = "ones",
        moving_mean_initializer: str | Initializer = "zeros",
        moving_variance_initializer: str | Initializer = "ones",
        beta_regularizer: str | Regularizer | None = None,
        gamma_regularizer: str | Regularizer | None = None,
        beta_constraint: str | constraints.Constraint | None = None,
        gamma_constraint: str | constraints.Constraint | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name, trainable)
        if isinstance(axis, bool) or axis not in (-1, 1):
            raise ConfigurationError(f"axis must be -1, as tensors are (rows, features), got {axis!r}")
        self.config = BatchNormalizationConfig(
            check_number(momentum, "momentum", 0.0, 1.0),
            check_number(epsilon, "epsilon", 0.0, open_minimum=True),
            check_flag(center, "center"),
            check_flag(scale, "scale"),
            initializers.settled(beta_initializer),
            initializers.settled(gamma_initializer),
            initializers.settled(moving_mean_initializer),
            initializers.settled(moving_variance_initializer),
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

    @property
    def moving_mean(self) -> np.ndarray:
        """A copy of the means that predictions take, (features,)."""
        return self.get_weights()[-2]

    @property
    def moving_variance(self) -> np.ndarray:
        """A copy of the variances that predictions take, (features,)."""
        return self.get_weights()[-1]

    def _arguments(self) -> dict[str, Any]:
        found: dict[str, Any] = {"axis": -1}
        for field in fields(self.config):
            value = getattr(self.config, field.name)
            found[field.name] = written(value) if isinstance(value, Described) else value
        return found

    def _code(self) -> Iterator[str]:
        usual = BatchNormalization().config
        for field in fields(self.config):
            value = getattr(self.config, field.name)
            if value != getattr(usual, field.name):
                yield f"{field.name}={value!r}"


def _normalize(builder: Builder, node: Node, inputs: tuple[Operand, ...], y: Operand) -> list[Op]:
    config = node.config
    assert isinstance(config, BatchNormalizationConfig)
    (x,) = inputs
    of_layer = {parameter.role: builder.parameter(parameter) for parameter in node.parameters}
    mean, variance = moving = of_layer["moving_mean"], of_layer["moving_variance"]
    ops: list[Op] = []
    if builder.training and node.parameters[-1].trainable:
        names = (builder.inside(node, name, x.columns).name for name in ("mean", "variance"))
        mean, variance = (builder.one_row(name, x.columns) for name in names)
        ops.append(Op(OpCode.BATCH_MOMENTS, node.layer, (mean, variance, x)))
        if builder.purpose in ("train", "training_outputs"):
            for w, moment in zip(moving, (mean, variance), strict=True):
                ops.append(Op(OpCode.MOVING_AVERAGE, w.name, (w, moment), constants=(config.momentum,)))
    operands = (y, x, mean, variance, of_layer.get("gamma"), of_layer.get("beta"))
    return [*ops, Op(OpCode.NORMALIZE, node.layer, operands, constants=(config.epsilon,))]


def _normalize_backward(builder: Builder, op: Op, dy: Operand) -> None:
    x, mean, variance, constants = op.need("x"), op.need("mean"), op.need("variance"), op.constants
    gamma, beta = op.operand("gamma"), op.operand("beta")
    trained = [w for w in (gamma, beta) if builder.is_trained(w)]
    of_batch = mean.slot != Slot.PARAMETERS
    sums: list[Operand | None] = [None, None]
    if trained or (of_batch and x.name in builder.wanted):
        made = [
            builder.row_gradient(w)
            if w is not None and w in trained
            else builder.one_row(f"{op.need('y').name}/{role}", x.columns)
            for role, w in (("dgamma", gamma), ("dbeta", beta))
        ]
        operands = (*made, dy, x, mean, variance)
        builder.ops.append(Op(OpCode.MOMENT_GRADIENTS, op.layer, operands, constants=constants))
        for w, part in zip((gamma, beta), made, strict=True):
            if w is not None and w in trained:
                builder.add_row_gradient(w, part)
        if of_batch:
            sums = [*made]
    sources = (dy, x, mean, variance, gamma, *sums)
    builder.pass_on(op.layer, x, OpCode.NORMALIZE_BACKWARD, *sources, constants=constants)


FORWARD[BatchNormalizationConfig] = _normalize
BACKWARD[OpCode.NORMALIZE] = _normalize_backward
