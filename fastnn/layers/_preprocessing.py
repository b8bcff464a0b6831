"""Layers that bring features to a scale: `Rescaling`, and `Normalization` by statistics of data.

They run inside the plan, in training and in prediction alike, and no training changes them.  This file must
not know kernels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastnn.border.numeric import as_numbers
from fastnn.checks import check_flag, check_number, with_arguments_of_keras
from fastnn.compiler.builder import Builder
from fastnn.compiler.rules import BACKWARD, FORWARD
from fastnn.errors import ConfigurationError, DataError, ShapeError
from fastnn.graph.graph import AffineConfig, Config, Node, Parameter
from fastnn.initializers import Initializer
from fastnn.layers._base import Layer
from fastnn.opcodes import Op, OpCode, Operand

__all__ = ["Given", "Normalization", "Rescaling", "as_rows"]

_LEAST_DEVIATION = 1e-7  # of Keras's backend


def as_rows(data: object) -> np.ndarray:
    """Return data that a layer adapts to, checked: float64, (rows, features)."""
    array = as_numbers(data, "data")
    if array.ndim != 2 or not array.size:
        raise ShapeError(f"data must be (rows, features) with at least one row, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise DataError("data has values that are NaN or infinite; remove or replace them first")
    return array.astype(np.float64)


class Rescaling(Layer):
    """``scale * x + offset``, as of pixels from 0 to 255: ``Rescaling(1 / 255)``.

    Parameters
    ----------
    scale, offset : float
        Of all features; `Normalization` has numbers for each.
    name : str, optional

    Raises
    ------
    DTypeError
        If they are no numbers.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.Sequential([fastnn.Input((2,)), Rescaling(1 / 255)]).predict([[0, 255]])
    array([[0., 1.]], dtype=float32)
    """

    config: AffineConfig

    @with_arguments_of_keras("Rescaling", "Layer")
    def __init__(self, scale: float, offset: float = 0.0, *, name: str | None = None) -> None:
        super().__init__(name)
        self.config = AffineConfig(check_number(scale, "scale"), check_number(offset, "offset"))

    def _arguments(self) -> dict[str, Any]:
        return {"scale": self.config.scale, "offset": self.config.shift}

    def _code(self) -> Iterator[str]:
        yield str(self.config.scale)
        if self.config.shift:
            yield f"offset={self.config.shift}"


@dataclass(frozen=True)
class Given(Initializer):
    """Given numbers: one for each feature, or one for all."""

    values: tuple[float, ...]

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Return the numbers."""
        return np.broadcast_to(self.values, shape).astype(np.float64)


@dataclass(frozen=True)
class NormalizationConfig(Config):
    """Statistics, as they are at first, and whether to undo the scaling."""

    mean: Given
    variance: Given
    invert: bool

    def parameters(self, layer: str, widths: tuple[int, ...], trainable: bool) -> tuple[Parameter, ...]:
        """Return the statistics."""
        found = []
        for name, given in (("mean", self.mean), ("variance", self.variance)):
            if len(given.values) not in (1, widths[0]):
                raise ShapeError(
                    f"layer {layer!r} has a {name} of {len(given.values)} features, and its input has "
                    f"{widths[0]}; give it, or adapt it to, data of this width"
                )
            found.append(Parameter(f"{layer}/{name}", (widths[0],), given, None, trainable, statistic=True))
        return tuple(found)


class Normalization(Layer):
    """Features scaled by the mean and the variance of data: ``(x - mean) / sqrt(variance)``.

    The statistics are given, or taken from data by `adapt`, best those of training.  They are saved with a
    model, and no training changes them.  A deviation below 1e-7 counts as that, so a feature that is always
    the same becomes 0.

    Parameters
    ----------
    axis : int or None
        Of the features: -1, or 1, which is the same; with None `adapt` takes one mean and one variance of all
        numbers.
    mean, variance : array_like, (features,), or float, optional
        Both or none.
    invert : bool
        Whether to undo it: ``x * sqrt(variance) + mean``.
    name : str, optional

    Raises
    ------
    ConfigurationError
        If only one of `mean` and `variance` is given, a variance is negative, or for another axis.
    ShapeError, DataError, DTypeError
        If they are no such arrays.

    Notes
    -----
    `get_weights` has the mean and the variance, also where they were given; Keras has a count of rows
    besides, and nothing where they were given.

    Examples
    --------
    >>> import fastnn
    >>> layer = fastnn.layers.Normalization()
    >>> layer.adapt([[0.0, 5.0], [2.0, 5.0]])
    >>> fastnn.Sequential([fastnn.Input((2,)), layer]).predict([[3.0, 5.0]])
    array([[2., 0.]], dtype=float32)
    """

    config: NormalizationConfig

    @with_arguments_of_keras("Normalization", "Layer")
    def __init__(
        self,
        axis: int | None = -1,
        mean: object = None,
        variance: object = None,
        invert: bool = False,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        if axis is not None and (isinstance(axis, bool) or axis not in (-1, 1)):
            raise ConfigurationError(
                f"axis must be -1, as tensors are (rows, features), or None, got {axis!r}"
            )
        if (mean is None) != (variance is None):
            raise ConfigurationError("give both mean and variance, or none of them and call adapt(data)")
        self._whole = axis is None
        self._is_given = mean is not None
        given = (0.0, 1.0) if mean is None else (mean, variance)
        self.config = NormalizationConfig(*self._statistics(*given), check_flag(invert, "invert"))

    @staticmethod
    def _statistics(mean: object, variance: object) -> tuple[Given, Given]:
        found = []
        for name, value in (("mean", mean), ("variance", variance)):
            array = as_numbers(value, name)
            if array.ndim > 1 or not array.size:
                raise ShapeError(f"{name} must be a number, or one for each feature, got shape {array.shape}")
            if not np.isfinite(array).all():
                raise DataError(f"{name} has values that are NaN or infinite")
            found.append(Given(tuple(float(number) for number in array.reshape(-1))))
        if min(found[1].values) < 0.0:
            raise ConfigurationError(f"variance must not be negative, got {min(found[1].values)}")
        return found[0], found[1]

    @property
    def mean(self) -> np.ndarray:
        """A copy of the means, (features,)."""
        return self.get_weights()[0]

    @property
    def variance(self) -> np.ndarray:
        """A copy of the variances, (features,)."""
        return self.get_weights()[1]

    def adapt(self, data: object) -> None:
        """Take mean and variance of data, in place of those that the layer has.

        Parameters
        ----------
        data : array_like, (rows, features)

        Raises
        ------
        ConfigurationError
            If mean and variance were given to the layer.
        ShapeError, DataError, DTypeError
            If the data are no such array, or of another width than the layer's model.
        BusyError
            If another thread trains that model.

        Examples
        --------
        >>> layer = Normalization(axis=None)
        >>> layer.adapt([[1.0, 3.0], [5.0, 7.0]])
        >>> layer.config.mean.values, layer.config.variance.values
        ((4.0, 4.0), (5.0, 5.0))
        """
        if self._is_given:
            raise ConfigurationError(
                "the layer was given mean and variance; leave them out to adapt it to data"
            )
        rows = as_rows(data)
        axis = None if self._whole else 0
        found = [np.broadcast_to(part, rows.shape[1:]) for part in (rows.mean(axis), rows.var(axis))]
        if self._store is not None:
            self._owner().set_layer(self, found)
        mean, variance = self._statistics(*found)
        self.config = replace(self.config, mean=mean, variance=variance)

    def _arguments(self) -> dict[str, Any]:
        found: dict[str, Any] = {"axis": None if self._whole else -1, "mean": None, "variance": None}
        if self._is_given:
            found |= {"mean": list(self.config.mean.values), "variance": list(self.config.variance.values)}
        return {**found, "invert": self.config.invert}

    def _code(self) -> Iterator[str]:
        if self._whole:
            yield "axis=None"
        if self._is_given:
            yield f"mean={list(self.config.mean.values)}"
            yield f"variance={list(self.config.variance.values)}"
        if self.config.invert:
            yield "invert=True"


def _standardize(builder: Builder, node: Node, inputs: tuple[Operand, ...], y: Operand) -> list[Op]:
    assert isinstance(node.config, NormalizationConfig)
    mean, variance = (builder.parameter(parameter) for parameter in node.parameters)
    constants = (_LEAST_DEVIATION, float(node.config.invert))
    return [Op(OpCode.STANDARDIZE, node.layer, (y, inputs[0], mean, variance), constants=constants)]


def _standardize_backward(builder: Builder, op: Op, dy: Operand) -> None:
    sources = (dy, None, op.need("variance"))
    builder.pass_on(op.layer, op.need("x"), OpCode.STANDARDIZE, *sources, constants=op.constants)


FORWARD[NormalizationConfig] = _standardize
BACKWARD[OpCode.STANDARDIZE] = _standardize_backward
