"""Layers for categories without weights: numbers become bins, and bins or categories columns.

They run inside the plan, and no gradient goes through them.  This file must not know kernels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from fastnn.border.numeric import as_numbers
from fastnn.checks import check_count, check_flag, check_number, shown, with_arguments_of_keras
from fastnn.compiler.builder import Builder
from fastnn.compiler.rules import FORWARD
from fastnn.errors import ConfigurationError, DataError, ShapeError
from fastnn.graph.graph import Config, Node, Parameter
from fastnn.layers._base import Layer
from fastnn.layers._preprocessing import Given, as_rows
from fastnn.opcodes import Op, OpCode, Operand
from fastnn.ops import Kind, Numbers

__all__ = ["CategoryEncoding", "Discretization"]

_MODES = ("int", "one_hot", "multi_hot", "count")


def _checked_mode(mode: object, known: tuple[str, ...], layer: str, sparse: object) -> int:
    """Return the number of an output mode; `sparse` must be False."""
    if check_flag(sparse, "sparse"):
        raise ConfigurationError(f"{layer} makes dense arrays; leave sparse out")
    if mode not in known:
        raise ConfigurationError(f"output_mode of {layer} must be one of {known}, got {shown(mode)}")
    return _MODES.index(str(mode))


def _width(mode: int, inputs: int, depth: int) -> int:
    return {0: inputs, 1: inputs * depth}.get(mode, depth)


@dataclass(frozen=True)
class CategoryEncodingConfig(Config):
    """How many categories, and the number of the output mode."""

    num_tokens: int
    mode: int

    @property
    def takes(self) -> Kind:
        """Numbers of categories."""
        return Kind(Numbers.INDEX, self.num_tokens)

    def columns(self, layer: str, widths: tuple[int, ...]) -> int:
        """Return the output's width."""
        return _width(self.mode, widths[0], self.num_tokens)


class CategoryEncoding(Layer):
    """Categories, whole numbers from 0 to ``num_tokens - 1``, as columns of 0 and 1, or of counts.

    It stands directly on an `Input`, as `Embedding` does.

    Parameters
    ----------
    num_tokens : int
        Categories.
    output_mode : {"multi_hot", "one_hot", "count"}
        Of an input (rows, columns): (rows, num_tokens) with 1 for each category that a row has, or with how
        often it has it; with ``"one_hot"`` (rows, columns * num_tokens), the columns' parts one after the
        other, which is what `Flatten` makes of Keras's.
    sparse : bool
        Must be False.
    name : str, optional

    Raises
    ------
    ConfigurationError
        For an impossible number or another mode; when it is called on anything but an `Input`.

    Examples
    --------
    >>> import fastnn
    >>> layer = fastnn.layers.CategoryEncoding(3, output_mode="count")
    >>> fastnn.Sequential([fastnn.Input((2,)), layer]).predict([[0, 2], [1, 1]])
    array([[1., 0., 1.],
           [0., 2., 0.]], dtype=float32)
    """

    config: CategoryEncodingConfig

    @with_arguments_of_keras("CategoryEncoding", "Layer")
    def __init__(
        self,
        num_tokens: int,
        output_mode: str = "multi_hot",
        sparse: bool = False,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        mode = _checked_mode(output_mode, ("multi_hot", "one_hot", "count"), "CategoryEncoding", sparse)
        self.config = CategoryEncodingConfig(check_count(num_tokens, "num_tokens"), mode)

    def _arguments(self) -> dict[str, Any]:
        return {"num_tokens": self.config.num_tokens, "output_mode": _MODES[self.config.mode]}

    def _code(self) -> Iterator[str]:
        yield str(self.config.num_tokens)
        yield f"output_mode={_MODES[self.config.mode]!r}"


@dataclass(frozen=True)
class DiscretizationConfig(Config):
    """The bounds, if they are known, and the number of the output mode."""

    bounds: Given | None
    mode: int

    def _known(self, layer: str) -> Given:
        if self.bounds is None:
            raise ConfigurationError(
                f"layer {layer!r} has no bounds yet; call adapt(data) first, or give it bin_boundaries"
            )
        return self.bounds

    def parameters(self, layer: str, widths: tuple[int, ...], trainable: bool) -> tuple[Parameter, ...]:
        """Return the bounds."""
        bounds = self._known(layer)
        shape, name = (len(bounds.values),), f"{layer}/bin_boundaries"
        return (Parameter(name, shape, bounds, None, trainable, statistic=True),)

    def columns(self, layer: str, widths: tuple[int, ...]) -> int:
        """Return the output's width."""
        return _width(self.mode, widths[0], len(self._known(layer).values) + 1)


class Discretization(Layer):
    """Numbers by the bins that they lie in: ``np.digitize(x, bin_boundaries)``.

    Bin 0 lies below the first bound, and a bound belongs to the bin above it.  All features have the same
    bins.  Bounds are saved with a model; no gradient goes through the layer.

    Parameters
    ----------
    bin_boundaries : sequence of float, optional
        The bounds, rising.
    num_bins : int, optional
        Instead of them: how many bins `adapt` makes of data, about equally full; at least 2.
    epsilon : float
        How far from equal, as a share of the data, they may be; as in Keras.
    output_mode : {"int", "one_hot", "multi_hot", "count"}
        Of an input (rows, features): the numbers of the bins, of the same shape; or columns of 0 and 1 or of
        counts, as of `CategoryEncoding`.
    sparse : bool
        Must be False.
    name : str, optional

    Raises
    ------
    ConfigurationError
        If both or none of `bin_boundaries` and `num_bins` are given, bounds do not rise, for another mode, or
        when it is called before it has bounds.
    ShapeError, DataError, DTypeError
        If the bounds are no such array.

    Examples
    --------
    >>> import fastnn
    >>> layer = fastnn.layers.Discretization([0.0, 1.0])
    >>> fastnn.Sequential([fastnn.Input((3,)), layer]).predict([[-0.5, 0.0, 3.0]])
    array([[0., 1., 2.]], dtype=float32)
    """

    config: DiscretizationConfig

    @with_arguments_of_keras("Discretization", "Layer")
    def __init__(
        self,
        bin_boundaries: object = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        sparse: bool = False,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        if (bin_boundaries is None) == (num_bins is None):
            raise ConfigurationError("give bin_boundaries, or num_bins and call adapt(data)")
        self._num_bins = None if num_bins is None else check_count(num_bins, "num_bins", 2)
        self._epsilon = check_number(epsilon, "epsilon", 0.0, 1.0, open_minimum=True)
        mode = _checked_mode(output_mode, _MODES, "Discretization", sparse)
        bounds = None if bin_boundaries is None else _checked_bounds(bin_boundaries)
        self.config = DiscretizationConfig(bounds, mode)

    @property
    def bin_boundaries(self) -> list[float] | None:
        """The bounds, or None before `adapt`."""
        return None if self.config.bounds is None else list(self.config.bounds.values)

    def adapt(self, data: object) -> None:
        """Take bounds from data, so that bins are about equally full; before the layer is called.

        Parameters
        ----------
        data : array_like, (rows, features)

        Raises
        ------
        ConfigurationError
            If bounds were given, or the layer belongs to a model.
        ShapeError, DataError, DTypeError
            If the data are no such array.

        Examples
        --------
        >>> layer = Discretization(num_bins=2)
        >>> layer.adapt([[1.0], [2.0], [3.0], [4.0]])
        >>> layer.bin_boundaries
        [2.0]
        """
        if self._num_bins is None:
            raise ConfigurationError("the layer was given bin_boundaries; use num_bins to adapt it to data")
        if self._store is not None:
            raise ConfigurationError("the layer belongs to a model; adapt it before it is called")
        # As in Keras: some of the sorted numbers, then what lies between them.
        numbers = np.sort(as_rows(data).astype(np.float32), axis=None)
        step = max(numbers.size * self._epsilon, 1.0)
        some = numbers[int(step - 1) :: int(step)]
        weights = np.full(len(some), step, np.float32)
        for share in (self._epsilon, 1.0 / self._num_bins):
            if len(some) * share >= 1:
                percents = share + np.arange(0.0, 1.0, share)
                total = weights.cumsum()
                reached = np.interp(percents, total / total[-1], total)
                some = np.interp(percents, total / total[-1], some).astype(np.float32)
                weights = np.diff(reached, prepend=0.0).astype(np.float32)
        self.config = replace(self.config, bounds=_checked_bounds(some[:-1]))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return a layer like the one that `get_config` was called on, with the bounds that it has.

        Parameters
        ----------
        config : dict

        Raises
        ------
        ConfigurationError, DTypeError, ShapeError, DataError
            If it does not suit the class.

        Examples
        --------
        >>> Discretization.from_config(Discretization([0.5]).get_config())
        Discretization([0.5])
        """
        if not isinstance(config, Mapping) or None in (config.get("num_bins"), config.get("bin_boundaries")):
            return super().from_config(config)
        layer = super().from_config({**config, "bin_boundaries": None})
        layer.config = replace(layer.config, bounds=_checked_bounds(config["bin_boundaries"]))
        return layer

    def _arguments(self) -> dict[str, Any]:
        mode = _MODES[self.config.mode]
        return {
            "bin_boundaries": self.bin_boundaries,
            "num_bins": self._num_bins,
            "epsilon": self._epsilon,
            "output_mode": mode,
        }

    def _code(self) -> Iterator[str]:
        yield f"num_bins={self._num_bins}" if self._num_bins is not None else str(self.bin_boundaries)
        if self.config.mode:
            yield f"output_mode={_MODES[self.config.mode]!r}"


def _checked_bounds(bounds: object) -> Given:
    array = as_numbers(bounds, "bin_boundaries")
    if array.ndim != 1 or not array.size:
        raise ShapeError(f"bin_boundaries must be a list of numbers, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise DataError("bin_boundaries has values that are NaN or infinite")
    if (np.diff(array) < 0).any():
        raise ConfigurationError("bin_boundaries must rise; sort them")
    return Given(tuple(float(bound) for bound in array))


def _encode(builder: Builder, node: Node, inputs: tuple[Operand, ...], y: Operand) -> list[Op]:
    assert isinstance(node.config, CategoryEncodingConfig)
    return [Op(OpCode.ENCODE_CATEGORIES, node.layer, (y, inputs[0]), constants=(float(node.config.mode),))]


def _discretize(builder: Builder, node: Node, inputs: tuple[Operand, ...], y: Operand) -> list[Op]:
    assert isinstance(node.config, DiscretizationConfig)
    operands = (y, inputs[0], builder.parameter(node.parameters[0]))
    return [Op(OpCode.DISCRETIZE, node.layer, operands, constants=(float(node.config.mode),))]


FORWARD[CategoryEncodingConfig] = _encode
FORWARD[DiscretizationConfig] = _discretize
