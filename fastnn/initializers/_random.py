"""Initialisers that draw from a random generator, with the distributions of Keras 3."""
# This file must not know layers, plans or kernels.

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from fastnn.checks import check_count, check_number, shown
from fastnn.errors import ConfigurationError, DTypeError
from fastnn.initializers._base import Random, check_matrix

__all__ = [
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "LecunNormal",
    "LecunUniform",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
]


def _truncated(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return standard normal values; those beyond two deviations are drawn again."""
    values = generator.standard_normal(shape)
    outside = np.abs(values) > 2.0
    while outside.any():
        values[outside] = generator.standard_normal(int(outside.sum()))
        outside = np.abs(values) > 2.0
    return values


@dataclass(frozen=True)
class RandomNormal(Random):
    """Normal with the given mean and standard deviation.

    Examples
    --------
    >>> RandomNormal()((2, 4)).shape
    (2, 4)
    """

    mean: float = 0.0
    stddev: float = 0.05
    name: ClassVar[str] = "random_normal"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self.mean, "mean")
        check_number(self.stddev, "stddev", 0.0)

    def values(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Return normal values."""
        return generator.normal(self.mean, self.stddev, shape)


@dataclass(frozen=True)
class TruncatedNormal(RandomNormal):
    """`RandomNormal` without values beyond two standard deviations, which are drawn again.

    The values' own deviation is 0.88 of `stddev`.

    Examples
    --------
    >>> TruncatedNormal()((2, 4)).shape
    (2, 4)
    """

    name: ClassVar[str] = "truncated_normal"

    def values(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Return truncated normal values."""
        return self.mean + self.stddev * _truncated(generator, shape)


@dataclass(frozen=True)
class Orthogonal(Random):
    """Orthonormal rows or columns, whichever are fewer, times `gain` (Saxe et al. 2014).

    All such matrices are equally likely.

    Raises
    ------
    ConfigurationError
        If the gain is not finite; of `draw`, if the parameter is no matrix.

    Examples
    --------
    >>> import numpy as np
    >>> q = Orthogonal().draw((4, 2), np.random.default_rng(0))
    >>> bool(np.allclose(q.T @ q, np.eye(2)))
    True
    """

    gain: float = 1.0
    name: ClassVar[str] = "orthogonal"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self.gain, "gain")

    def values(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Return an orthogonal matrix, or a part of one."""
        check_matrix(self, shape)
        q, r = np.linalg.qr(generator.standard_normal((max(shape), min(shape))))
        q = q * np.where(np.diag(r) < 0.0, -1.0, 1.0)
        return self.gain * (q if shape[0] >= shape[1] else q.T)


@dataclass(frozen=True)
class RandomUniform(Random):
    """Uniform in ``[minval, maxval)``.

    Examples
    --------
    >>> RandomUniform()((2, 4)).shape
    (2, 4)
    """

    minval: float = -0.05
    maxval: float = 0.05
    name: ClassVar[str] = "random_uniform"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self.maxval, "maxval", check_number(self.minval, "minval"))

    def values(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Return uniform values."""
        return generator.uniform(self.minval, self.maxval, shape)


@dataclass(frozen=True)
class _Scaled(Random):
    """Zero mean and variance ``scale / fan``: uniform, or normal truncated at two deviations."""

    scale: ClassVar[float] = 1.0
    fan: ClassVar[str] = "average"
    normal: ClassVar[bool] = False

    def values(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Return scaled values."""
        inputs, outputs = fans(shape)
        fan = inputs if self.fan == "in" else (inputs + outputs) / 2
        return _spread(shape, generator, self.scale / max(1.0, fan), "normal" if self.normal else "uniform")


def _spread(
    shape: tuple[int, ...], generator: np.random.Generator, variance: float, distribution: str
) -> np.ndarray:
    """Return values of mean 0 and the given variance."""
    if distribution == "uniform":
        limit = math.sqrt(3.0 * variance)
        return generator.uniform(-limit, limit, shape)
    if distribution == "untruncated_normal":
        return math.sqrt(variance) * generator.standard_normal(shape)
    # A normal cut at +-2 deviations keeps 0.8796 of its deviation; Keras divides that out.
    return _truncated(generator, shape) * (math.sqrt(variance) / 0.87962566103423978)


def fans(
    shape: tuple[int, ...], input_axes: Sequence[int] | None = None, output_axes: Sequence[int] | None = None
) -> tuple[int, int]:
    """Return the number of inputs and of outputs of a parameter.

    Examples
    --------
    >>> fans((3, 2)), fans((4,)), fans((5, 3, 2)), fans((5, 3, 2), [0], [1, 2])
    ((3, 2), (4, 4), (15, 10), (5, 6))
    """
    for axis in (*(input_axes or ()), *(output_axes or ())):
        if not -len(shape) <= axis < len(shape):
            raise ConfigurationError(f"a parameter of shape {shape} has no axis {axis}")
    before = math.prod(shape[:-2])
    first, last = (1, 1, *shape, *shape)[-2:] if len(shape) < 2 else shape[-2:]
    inputs = before * first if input_axes is None else math.prod(shape[axis] for axis in input_axes)
    outputs = before * last if output_axes is None else math.prod(shape[axis] for axis in output_axes)
    return inputs, outputs


_MODES = ("fan_in", "fan_out", "fan_avg")
_DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")


@dataclass(frozen=True)
class VarianceScaling(Random):
    """Mean 0 and variance ``scale / n``, whatever the shape; the others with a fan are cases of it.

    Parameters
    ----------
    scale : float
        Above 0.
    mode : {"fan_in", "fan_out", "fan_avg"}
        Whether ``n`` is the number of inputs, of outputs, or their mean.
    distribution : {"truncated_normal", "untruncated_normal", "uniform"}
        ``"normal"`` is the first of them.
    input_axes, output_axes : sequence of int, optional
        The axes whose lengths are multiplied for the number of inputs, and of outputs; by default the last
        but one and the last, each times those before.

    Raises
    ------
    ConfigurationError
        If an argument is none of these.

    Examples
    --------
    >>> VarianceScaling(2.0, "fan_out", "uniform")((2, 4)).shape
    (2, 4)
    """

    scale: float = 1.0
    mode: str = "fan_in"
    distribution: str = "truncated_normal"
    input_axes: Sequence[int] | None = field(default=None, kw_only=True)
    output_axes: Sequence[int] | None = field(default=None, kw_only=True)
    name: ClassVar[str] = "variance_scaling"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self.scale, "scale", 0.0, open_minimum=True)
        if self.mode not in _MODES:
            raise ConfigurationError(f"mode must be one of {', '.join(_MODES)}, got {self.mode!r}")
        given = self.distribution.lower() if isinstance(self.distribution, str) else self.distribution
        object.__setattr__(self, "distribution", "truncated_normal" if given == "normal" else given)
        if self.distribution not in _DISTRIBUTIONS:
            raise ConfigurationError(
                f"distribution must be one of {', '.join(_DISTRIBUTIONS)}, got {self.distribution!r}"
            )
        for name in ("input_axes", "output_axes"):
            axes = getattr(self, name)
            if axes is not None:
                if isinstance(axes, str) or not isinstance(axes, Sequence):
                    raise DTypeError(f"{name} must be a list of whole numbers, got {shown(axes)}")
                checked = tuple(check_count(axis, f"a number in {name}", -32, 31) for axis in axes)
                object.__setattr__(self, name, checked)

    def values(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Return scaled values."""
        inputs, outputs = fans(shape, self.input_axes, self.output_axes)
        fan = {"fan_in": inputs, "fan_out": outputs, "fan_avg": (inputs + outputs) / 2}[self.mode]
        return _spread(shape, generator, self.scale / max(1.0, fan), self.distribution)


@dataclass(frozen=True)
class GlorotUniform(_Scaled):
    """Uniform with limit ``sqrt(6 / (fan_in + fan_out))`` (Glorot and Bengio 2010).

    Examples
    --------
    >>> GlorotUniform()((2, 4)).shape
    (2, 4)
    """

    name: ClassVar[str] = "glorot_uniform"


@dataclass(frozen=True)
class GlorotNormal(_Scaled):
    """Truncated normal with variance ``2 / (fan_in + fan_out)`` (Glorot and Bengio 2010).

    Examples
    --------
    >>> GlorotNormal()((2, 4)).shape
    (2, 4)
    """

    normal: ClassVar[bool] = True
    name: ClassVar[str] = "glorot_normal"


@dataclass(frozen=True)
class HeUniform(_Scaled):
    """Uniform with limit ``sqrt(6 / fan_in)`` (He et al. 2015).

    Examples
    --------
    >>> HeUniform()((2, 4)).shape
    (2, 4)
    """

    scale: ClassVar[float] = 2.0
    fan: ClassVar[str] = "in"
    name: ClassVar[str] = "he_uniform"


@dataclass(frozen=True)
class HeNormal(_Scaled):
    """Truncated normal with variance ``2 / fan_in`` (He et al. 2015).

    Examples
    --------
    >>> HeNormal()((2, 4)).shape
    (2, 4)
    """

    scale: ClassVar[float] = 2.0
    fan: ClassVar[str] = "in"
    normal: ClassVar[bool] = True
    name: ClassVar[str] = "he_normal"


@dataclass(frozen=True)
class LecunUniform(_Scaled):
    """Uniform with limit ``sqrt(3 / fan_in)`` (LeCun et al. 1998).

    Examples
    --------
    >>> LecunUniform()((2, 4)).shape
    (2, 4)
    """

    fan: ClassVar[str] = "in"
    name: ClassVar[str] = "lecun_uniform"


@dataclass(frozen=True)
class LecunNormal(_Scaled):
    """Truncated normal with variance ``1 / fan_in`` (LeCun et al. 1998).

    Examples
    --------
    >>> LecunNormal()((2, 4)).shape
    (2, 4)
    """

    fan: ClassVar[str] = "in"
    normal: ClassVar[bool] = True
    name: ClassVar[str] = "lecun_normal"
