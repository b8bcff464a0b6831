"""Initialisers: frozen descriptions that fill a parameter from a random generator.

Names, arguments and distributions are those of Keras 3; the random streams are NumPy's.  Without a model,
they can be called for an array.
"""
# This file must not know layers, plans or kernels.

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from fastnn.absent import attribute_error
from fastnn.checks import check_count, check_number
from fastnn.described import Described, handed_down, rebuilt
from fastnn.errors import ConfigurationError, DTypeError, unknown_name

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "IdentityInitializer",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "OrthogonalInitializer",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "constant",
    "get",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "lecun_normal",
    "lecun_uniform",
    "ones",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "truncated_normal",
    "variance_scaling",
    "zeros",
]


def __dir__() -> list[str]:
    return __all__


@dataclass(frozen=True)
class Initializer(Described):
    """Base of the initialisers: a description with a method that draws an array."""

    name: ClassVar[str] = ""

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Return float64 values of the given shape.

        Parameters
        ----------
        shape : tuple of int
            ``(inputs, units)`` for a kernel, ``(units,)`` for a bias.
        generator : numpy.random.Generator
            Source of randomness; advanced by the call, and not to be kept after it.

        Returns
        -------
        numpy.ndarray
            float64 array of shape `shape`.
        """
        raise ConfigurationError(f"{type(self).__name__} does not say how to draw; override draw()")

    def __call__(self, shape: tuple[int, ...] | list[int], dtype: Any = None) -> np.ndarray:
        """Return an array of a shape.

        Parameters
        ----------
        shape : tuple or list of int
            With the inputs first and the units last, as kernels have it.
        dtype : dtype, optional
            Of real numbers; by default float32.

        Returns
        -------
        numpy.ndarray of shape `shape`
            The same each time if there is a seed; else other numbers each time, which follow from
            `fastnn.utils.set_random_seed`.

        Raises
        ------
        ConfigurationError, DTypeError
            If the shape or the dtype is none, or not one that the initialiser can fill.

        Examples
        --------
        >>> import fastnn
        >>> fastnn.initializers.Constant(2.0)((1, 3), "float64")
        array([[2., 2., 2.]])
        >>> draw = fastnn.initializers.GlorotUniform(seed=1)
        >>> bool((draw((2, 3)) == draw((2, 3))).all())
        True
        """
        if not isinstance(shape, tuple | list):
            raise DTypeError(f"shape must be a tuple of integers, such as (2, 3), got {shape!r}")
        sizes = tuple(check_count(size, "each part of shape", 0) for size in shape)
        try:
            wanted = np.dtype(np.float32 if dtype is None else dtype)
        except TypeError:
            raise DTypeError(f"dtype must be 'float32' or 'float64', got {dtype!r}") from None
        if wanted.kind != "f":
            raise DTypeError(f"dtype must be 'float32' or 'float64', got {dtype!r}")
        return self.draw(sizes, np.random.default_rng(handed_down("next_seed")())).astype(wanted)


@dataclass(frozen=True)
class _Random(Initializer):
    """An initialiser that draws from the model's stream, or, with a seed, from one of its own."""

    seed: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.seed is not None:
            check_count(self.seed, "seed", 0, 2**63 - 1)

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Return random values; see `Initializer.draw`."""
        return self.values(shape, generator if self.seed is None else np.random.default_rng(self.seed))

    def values(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Return values drawn from `generator`."""
        raise ConfigurationError(f"{type(self).__name__} does not say how to draw; override values()")


@dataclass(frozen=True)
class Zeros(Initializer):
    """All zeros.

    Examples
    --------
    >>> Zeros()((2,))
    array([0., 0.], dtype=float32)
    """

    name: ClassVar[str] = "zeros"

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Return zeros; see `Initializer.draw`."""
        return np.zeros(shape)


@dataclass(frozen=True)
class Ones(Initializer):
    """All ones.

    Examples
    --------
    >>> Ones()((2,))
    array([1., 1.], dtype=float32)
    """

    name: ClassVar[str] = "ones"

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Return ones; see `Initializer.draw`."""
        return np.ones(shape)


@dataclass(frozen=True)
class Constant(Initializer):
    """All equal to `value`.

    Examples
    --------
    >>> Constant(0.5)((2,))
    array([0.5, 0.5], dtype=float32)
    """

    value: float = 0.0
    name: ClassVar[str] = "constant"

    def __post_init__(self) -> None:
        check_number(self.value, "value")

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Return a constant array; see `Initializer.draw`."""
        return np.full(shape, self.value)


@dataclass(frozen=True)
class Identity(Initializer):
    """`gain` on the diagonal of a matrix, square or not, and zeros elsewhere.

    Raises
    ------
    ConfigurationError
        If the gain is not finite; of `draw`, if the parameter is no matrix.

    Examples
    --------
    >>> Identity(2.0)((2, 3))
    array([[2., 0., 0.],
           [0., 2., 0.]], dtype=float32)
    """

    gain: float = 1.0
    name: ClassVar[str] = "identity"

    def __post_init__(self) -> None:
        check_number(self.gain, "gain")

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Return a diagonal matrix; see `Initializer.draw`."""
        _check_matrix(self, shape)
        return self.gain * np.eye(shape[0], shape[1])


def _check_matrix(initializer: Initializer, shape: tuple[int, ...]) -> None:
    if len(shape) != 2:
        raise ConfigurationError(
            f"{type(initializer).__name__} is for matrices, such as kernels, and a parameter has the "
            f"shape {shape}"
        )


def _truncated(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return standard normal values; those beyond two deviations are drawn again."""
    values = generator.standard_normal(shape)
    outside = np.abs(values) > 2.0
    while outside.any():
        values[outside] = generator.standard_normal(int(outside.sum()))
        outside = np.abs(values) > 2.0
    return values


@dataclass(frozen=True)
class RandomNormal(_Random):
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
class Orthogonal(_Random):
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
        _check_matrix(self, shape)
        q, r = np.linalg.qr(generator.standard_normal((max(shape), min(shape))))
        q = q * np.where(np.diag(r) < 0.0, -1.0, 1.0)
        return self.gain * (q if shape[0] >= shape[1] else q.T)


@dataclass(frozen=True)
class RandomUniform(_Random):
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
class _Scaled(_Random):
    """Zero mean and variance ``scale / fan``: uniform, or normal truncated at two deviations."""

    scale: ClassVar[float] = 1.0
    fan: ClassVar[str] = "average"
    normal: ClassVar[bool] = False

    def values(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Return scaled values."""
        fan = shape[0] if self.fan == "in" else (shape[0] + shape[-1]) / 2
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


_MODES = ("fan_in", "fan_out", "fan_avg")
_DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")


@dataclass(frozen=True)
class VarianceScaling(_Random):
    """Mean 0 and variance ``scale / n``, whatever the shape; the others with a fan are cases of it.

    Parameters
    ----------
    scale : float
        Above 0.
    mode : {"fan_in", "fan_out", "fan_avg"}
        Whether ``n`` is the number of inputs, of outputs, or their mean.
    distribution : {"truncated_normal", "untruncated_normal", "uniform"}
        ``"normal"`` is the first of them.

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

    def values(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Return scaled values."""
        fans = {"fan_in": shape[0], "fan_out": shape[-1], "fan_avg": (shape[0] + shape[-1]) / 2}
        return _spread(shape, generator, self.scale / max(1.0, fans[self.mode]), self.distribution)


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


# As in Keras.
constant, identity, ones, orthogonal, zeros = Constant, Identity, Ones, Orthogonal, Zeros
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
glorot_normal, glorot_uniform, he_normal, he_uniform = GlorotNormal, GlorotUniform, HeNormal, HeUniform
lecun_normal, lecun_uniform, variance_scaling = LecunNormal, LecunUniform, VarianceScaling
IdentityInitializer, OrthogonalInitializer = Identity, Orthogonal

_CLASSES: tuple[type[Initializer], ...] = (
    Zeros,
    Ones,
    Constant,
    Identity,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    Orthogonal,
    VarianceScaling,
    GlorotUniform,
    GlorotNormal,
    HeUniform,
    HeNormal,
    LecunUniform,
    LecunNormal,
)
_BY_NAME = {cls.name: cls for cls in _CLASSES} | {cls.__name__: cls for cls in _CLASSES}
_BY_NAME |= {"uniform": RandomUniform, "normal": RandomNormal, "zero": Zeros, "one": Ones}  # as in Keras
_BY_NAME |= {"IdentityInitializer": Identity, "OrthogonalInitializer": Orthogonal}


@functools.cache
def _usual(name: str) -> Initializer:
    """Return the initialiser of a known name: a value, and so the same for all."""
    return _BY_NAME[name]()


def get(identifier: str | Initializer | type[Initializer] | Mapping[str, object]) -> Initializer:
    """Return the initialiser that a name, a class or an instance stands for.

    Parameters
    ----------
    identifier : str, Initializer, subclass or dict
        A dict has the ``"class_name"`` and the ``"config"`` of an initialiser.

    Returns
    -------
    Initializer

    Raises
    ------
    ConfigurationError
        If the name is unknown.
    DTypeError
        If it is neither a name nor an initialiser.

    Examples
    --------
    >>> get("zeros")
    Zeros()
    """
    if isinstance(identifier, str) and identifier in _BY_NAME:
        return _usual(identifier)
    if isinstance(identifier, Initializer):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Initializer):
        return identifier()
    if isinstance(identifier, Mapping):
        return get(rebuilt(identifier, _CLASSES, "initializer"))
    if isinstance(identifier, str):
        raise unknown_name("initializer", identifier, [cls.name for cls in _CLASSES])
    raise DTypeError(f"an initializer is a name or an Initializer, got {identifier!r}")


def __getattr__(name: str) -> Any:
    raise attribute_error(__name__, name, __all__)
