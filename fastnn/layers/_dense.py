"""Layers with weights: `Dense`, and `Maxout`, which chooses among several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from fastnn import activations, constraints, initializers, regularizers
from fastnn.checks import check_count, check_flag, with_arguments_of_keras
from fastnn.described import written
from fastnn.graph.graph import ActivationConfig, DenseConfig, MaxoutConfig
from fastnn.layers._activation import as_code
from fastnn.layers._base import Layer
from fastnn.layers._input import input_width
from fastnn.ops import Activation

__all__ = ["Dense", "Maxout"]


def _parameters(config: DenseConfig | MaxoutConfig) -> dict[str, Any]:
    """Return the arguments that say what the parameters of a layer are."""
    names = "kernel_regularizer", "bias_regularizer", "kernel_constraint", "bias_constraint"
    given = {name: getattr(config, name) for name in (*names, "activity_regularizer")}
    return {
        "use_bias": config.use_bias,
        "kernel_initializer": written(config.kernel_initializer),
        "bias_initializer": written(config.bias_initializer),
        **{name: None if one is None else written(one) for name, one in given.items()},
    }


class Dense(Layer):
    """A dense layer, ``activation(x @ kernel + bias)``.

    Parameters
    ----------
    units : int
        Width of the output.
    activation : str, function of `fastnn.activations`, activation layer or None
        None is linear.  For a slope of one's own give a layer, such as ``LeakyReLU(0.1)``: the slope of
        ``"leaky_relu"`` is 0.2, that of `LeakyReLU` is 0.3 by default.
    use_bias : bool
    kernel_initializer, bias_initializer : str or Initializer
        Default Glorot uniform and zeros.
    kernel_regularizer, bias_regularizer : str, Regularizer or None
    activity_regularizer : str, Regularizer or None
        Penalty on the output, its sum divided by the rows of the batch, once for each call of the layer; it
        adds to the loss in training and evaluation.
    kernel_constraint, bias_constraint : str, Constraint or None
    name : str, optional
    trainable : bool
    input_dim : int, optional
        Width of the input, for a first layer without an `Input`.
    input_shape : tuple of one int, optional
        The same, in the other spelling.

    Raises
    ------
    ConfigurationError
        For an impossible size or an unknown name.
    DTypeError
        For arguments of the wrong type.

    Examples
    --------
    >>> Dense(64, activation="relu").units
    64
    """

    config: DenseConfig

    @with_arguments_of_keras("Dense")
    def __init__(
        self,
        units: int,
        activation: str | Callable[..., np.ndarray] | Layer | None = None,
        use_bias: bool = True,
        kernel_initializer: str | initializers.Initializer = "glorot_uniform",
        bias_initializer: str | initializers.Initializer = "zeros",
        kernel_regularizer: str | regularizers.Regularizer | None = None,
        bias_regularizer: str | regularizers.Regularizer | None = None,
        activity_regularizer: str | regularizers.Regularizer | None = None,
        *,
        kernel_constraint: str | constraints.Constraint | None = None,
        bias_constraint: str | constraints.Constraint | None = None,
        name: str | None = None,
        trainable: bool = True,
        input_dim: int | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(name, trainable)
        function = activations.config_of(activation)
        self.config = DenseConfig(
            check_count(units, "units"),
            function.activation,
            function.numbers,
            check_flag(use_bias, "use_bias"),
            initializers.settled(kernel_initializer),
            initializers.settled(bias_initializer),
            regularizers.get(kernel_regularizer),
            regularizers.get(bias_regularizer),
            constraints.get(kernel_constraint),
            constraints.get(bias_constraint),
            regularizers.of_outputs(activity_regularizer),
        )
        self.input_columns: int | None = None
        if input_dim is not None:
            self.input_columns = input_width(input_dim)
        elif input_shape is not None:
            self.input_columns = input_width(input_shape)

    @property
    def units(self) -> int:
        """Width of the output."""
        return self.config.units

    def _arguments(self) -> dict[str, Any]:
        function = activations.written(ActivationConfig(self.config.activation, self.config.numbers))
        width = {} if self.input_columns is None else {"input_dim": self.input_columns}
        return {"units": self.units, "activation": function, **_parameters(self.config), **width}

    def _code(self) -> Iterator[str]:
        yield from _code(self.config)
        if self.input_columns is not None:
            yield f"input_dim={self.input_columns}"


class Maxout(Layer):
    """The largest of several dense layers, unit by unit (Goodfellow et al. 2013; lecture A.1).

    Parameters
    ----------
    units : int
        Width of the output.
    pieces : int
        Dense layers to choose from.  Piece p of unit j is column ``p * units + j`` of the kernel.
    use_bias : bool
    kernel_initializer, bias_initializer : str or Initializer
    kernel_regularizer, bias_regularizer : str, Regularizer or None
    activity_regularizer : str, Regularizer or None
        Penalty on the output, its sum divided by the rows of the batch, once for each call of the layer; it
        adds to the loss in training and evaluation.
    kernel_constraint, bias_constraint : str, Constraint or None
    name : str, optional
    trainable : bool

    Raises
    ------
    ConfigurationError
        For an impossible size or an unknown name.
    DTypeError
        For arguments of the wrong type.

    Examples
    --------
    >>> Maxout(8, pieces=3).units
    8
    """

    config: MaxoutConfig

    def __init__(
        self,
        units: int,
        pieces: int = 2,
        use_bias: bool = True,
        kernel_initializer: str | initializers.Initializer = "glorot_uniform",
        bias_initializer: str | initializers.Initializer = "zeros",
        kernel_regularizer: str | regularizers.Regularizer | None = None,
        bias_regularizer: str | regularizers.Regularizer | None = None,
        activity_regularizer: str | regularizers.Regularizer | None = None,
        *,
        kernel_constraint: str | constraints.Constraint | None = None,
        bias_constraint: str | constraints.Constraint | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name, trainable)
        self.config = MaxoutConfig(
            check_count(units, "units"),
            Activation.LINEAR,
            (),
            check_flag(use_bias, "use_bias"),
            initializers.settled(kernel_initializer),
            initializers.settled(bias_initializer),
            regularizers.get(kernel_regularizer),
            regularizers.get(bias_regularizer),
            constraints.get(kernel_constraint),
            constraints.get(bias_constraint),
            regularizers.of_outputs(activity_regularizer),
            check_count(pieces, "pieces", 2),
        )

    @property
    def units(self) -> int:
        """Width of the output."""
        return self.config.units

    def _arguments(self) -> dict[str, Any]:
        return {"units": self.units, "pieces": self.config.pieces, **_parameters(self.config)}

    def _code(self) -> Iterator[str]:
        yield from _code(self.config)


def _code(config: DenseConfig) -> Iterator[str]:
    """Yield the arguments that both layers have, those that are as usual left out."""
    yield str(config.units)
    if isinstance(config, MaxoutConfig):
        yield f"pieces={config.pieces}"
    if config.activation is not Activation.LINEAR:
        yield f"activation={as_code(config.activation, config.numbers)}"
    if not config.use_bias:
        yield "use_bias=False"
    usual = {
        "kernel_initializer": initializers.settled("glorot_uniform"),
        "bias_initializer": initializers.settled("zeros"),
        "kernel_regularizer": None,
        "bias_regularizer": None,
        "activity_regularizer": None,
        "kernel_constraint": None,
        "bias_constraint": None,
    }
    for name, value in usual.items():
        if getattr(config, name) != value:
            yield f"{name}={getattr(config, name)!r}"
