"""Layers: thin handles with a name, a flag and a frozen configuration, as in Keras 3.

A layer becomes part of a model when the model is built; from then on `get_weights` and
`set_weights` go to the parameters of that model.  Layers hold no arrays and do no
arithmetic.  This file must not know plans or kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastnn import activations, initializers, regularizers
from fastnn.checks import check_count
from fastnn.errors import ConfigurationError, DTypeError, ShapeError
from fastnn.graph import ActivationConfig, DenseConfig

if TYPE_CHECKING:
    from fastnn.network import Network

__all__ = ["Activation", "Dense", "Input", "InputSpec", "Layer"]


@dataclass(frozen=True)
class InputSpec:
    """The width of a model's input, made by `Input`.

    Attributes
    ----------
    columns : int
    name : str or None
    """

    columns: int
    name: str | None = None


def _input_width(shape: object) -> int:
    if isinstance(shape, Sequence) and not isinstance(shape, str):
        if len(shape) != 1:
            raise ShapeError(
                f"Input shape must be one number of features, such as (784,), got {tuple(shape)!r}; "
                "flatten images to rows first"
            )
        shape = shape[0]
    return check_count(shape, "Input shape")


def Input(shape: int | Sequence[int], name: str | None = None) -> InputSpec:
    """Declare the width of a model's input.

    Parameters
    ----------
    shape : tuple of one int, or int
        Number of features, without the batch, as in Keras.
    name : str, optional

    Returns
    -------
    InputSpec

    Raises
    ------
    ShapeError
        If the shape has not exactly one dimension.
    ConfigurationError
        If it is less than 1.

    Examples
    --------
    >>> Input((784,)).columns
    784
    """
    return InputSpec(_input_width(shape), _check_name(name))


def _check_name(name: str | None) -> str | None:
    if name is not None and (not isinstance(name, str) or not name or "/" in name):
        raise ConfigurationError(f"a name must be a non-empty string without '/', got {name!r}")
    return name


class Layer:
    """Base of the layers.

    Parameters
    ----------
    name : str, optional
        Unique within a model; by default the model names it after its class.
    trainable : bool
        Whether training changes its parameters.  A change counts from the next `compile`.
    """

    config: DenseConfig | ActivationConfig

    def __init__(self, name: str | None, trainable: bool) -> None:
        if not isinstance(trainable, bool):
            raise DTypeError(f"trainable must be True or False, got {trainable!r}")
        self.name = _check_name(name)
        self.trainable = trainable
        self._model: Network | None = None

    def _owner(self) -> Network:
        if self._model is None:
            raise ConfigurationError(
                f"layer {self.name or type(self).__name__!r} has no weights yet; "
                "put it into a model with a known input width first"
            )
        return self._model

    def get_weights(self) -> list[np.ndarray]:
        """Return copies of the layer's parameters, kernel first.

        Returns
        -------
        list of numpy.ndarray
            ``[kernel (inputs, units), bias (units,)]`` of a dense layer; empty otherwise.

        Raises
        ------
        ConfigurationError
            If the layer is not yet part of a built model.
        """
        return self._owner()._layer_weights(self)

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Replace the layer's parameters.

        Parameters
        ----------
        weights : sequence of array_like
            In the order and of the shapes of `get_weights`.

        Raises
        ------
        ShapeError
            If their number or shapes differ.
        DataError
            If a value is not finite.
        """
        self._owner()._set_layer_weights(self, weights)

    @property
    def kernel(self) -> np.ndarray:
        """A copy of the kernel, (inputs, units)."""
        weights = self.get_weights()
        if not weights:
            raise AttributeError(f"layer {self.name!r} has no kernel")
        return weights[0]

    @property
    def bias(self) -> np.ndarray | None:
        """A copy of the bias, (units,), or None."""
        weights = self.get_weights()
        return weights[1] if len(weights) > 1 else None


class Dense(Layer):
    """A dense layer, ``activation(x @ kernel + bias)``.

    Parameters
    ----------
    units : int
        Width of the output.
    activation : str, function of `fastnn.activations` or None
        None is linear.
    use_bias : bool
    kernel_initializer, bias_initializer : str or Initializer
        Default Glorot uniform and zeros.
    kernel_regularizer, bias_regularizer : str, L2 or None
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

    def __init__(
        self,
        units: int,
        activation: str | Callable[[np.ndarray], np.ndarray] | None = None,
        use_bias: bool = True,
        kernel_initializer: str | initializers.Initializer = "glorot_uniform",
        bias_initializer: str | initializers.Initializer = "zeros",
        kernel_regularizer: str | regularizers.L2 | None = None,
        bias_regularizer: str | regularizers.L2 | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
        input_dim: int | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(name, trainable)
        if not isinstance(use_bias, bool):
            raise DTypeError(f"use_bias must be True or False, got {use_bias!r}")
        self.config = DenseConfig(
            check_count(units, "units"),
            activations.get(activation),
            use_bias,
            initializers.get(kernel_initializer),
            initializers.get(bias_initializer),
            regularizers.get(kernel_regularizer),
            regularizers.get(bias_regularizer),
        )
        self.input_columns: int | None = None
        if input_dim is not None:
            self.input_columns = _input_width(input_dim)
        elif input_shape is not None:
            self.input_columns = _input_width(input_shape)

    @property
    def units(self) -> int:
        """Width of the output."""
        return self.config.units

    def __repr__(self) -> str:
        name = activations.name_of(self.config.activation)
        return f"Dense({self.units}, activation={name!r}, name={self.name!r})"


class Activation(Layer):
    """An activation function as a layer of its own.

    Parameters
    ----------
    activation : str or function of `fastnn.activations`
    name : str, optional

    Raises
    ------
    ConfigurationError
        For an unknown name.

    Examples
    --------
    >>> Activation("tanh")
    Activation('tanh', name=None)
    """

    config: ActivationConfig

    def __init__(
        self, activation: str | Callable[[np.ndarray], np.ndarray], *, name: str | None = None
    ) -> None:
        super().__init__(name, trainable=True)
        self.config = ActivationConfig(activations.get(activation))

    def __repr__(self) -> str:
        return f"Activation({activations.name_of(self.config.activation)!r}, name={self.name!r})"
