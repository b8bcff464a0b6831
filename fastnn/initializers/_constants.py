"""Initialisers that draw nothing."""
# This file must not know layers, plans or kernels.

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from fastnn.checks import check_number, shown
from fastnn.errors import ConfigurationError, DTypeError
from fastnn.initializers._base import Initializer, check_matrix

__all__ = ["Constant", "Given", "Identity", "Ones", "Zeros"]


@dataclass(frozen=True)
class Zeros(Initializer):
    """All zeros.

    Examples
    --------
    >>> Zeros()((2,))
    array([0., 0.], dtype=float32)
    """

    name: ClassVar[str] = "zeros"
    _is_random: ClassVar[bool] = False

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
    _is_random: ClassVar[bool] = False

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Return ones; see `Initializer.draw`."""
        return np.ones(shape)


@dataclass(frozen=True, eq=False, repr=False)
class Constant(Initializer):
    """All equal to a number, or the numbers of an array, as of an embedding that was learned elsewhere.

    Parameters
    ----------
    value : float or array_like
        An array has the parameter's shape, or one that is repeated to fill it.  It is kept as float64.

    Raises
    ------
    ConfigurationError, DTypeError
        If it holds anything but finite numbers; of `draw`, if it does not fit.

    Examples
    --------
    >>> Constant(0.5)((2,))
    array([0.5, 0.5], dtype=float32)
    >>> Constant([[1.0], [2.0]])((2, 2))
    array([[1., 1.],
           [2., 2.]], dtype=float32)
    """

    value: Any = 0.0
    name: ClassVar[str] = "constant"
    _is_random: ClassVar[bool] = False

    def __post_init__(self) -> None:
        several = isinstance(self.value, np.ndarray) and self.value.ndim
        if not several and not isinstance(self.value, list | tuple):
            scalar = self.value[()] if isinstance(self.value, np.ndarray) else self.value
            object.__setattr__(self, "value", scalar)
            check_number(scalar, "value")
            return
        try:
            values = np.array(self.value)
        except ValueError:  # lists of several lengths
            values = np.array(None)
        if values.dtype.kind not in "iuf":
            raise DTypeError(f"value must be a number or an array of numbers, got {shown(self.value)}")
        values = values.astype(np.float64)
        if not np.isfinite(values).all():
            raise ConfigurationError("value has numbers that are not finite")
        values.setflags(write=False)
        object.__setattr__(self, "value", values)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and np.array_equal(self.value, other.value)

    def __hash__(self) -> int:
        array = isinstance(self.value, np.ndarray)
        return hash((type(self), self.value.tobytes() if array else self.value))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(value={shown(self.value)})"

    def get_config(self) -> dict[str, Any]:
        """Return the argument, an array as lists."""
        value = self.value.tolist() if isinstance(self.value, np.ndarray | np.generic) else self.value
        return {"value": value}

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Return a constant array; see `Initializer.draw`."""
        try:
            return np.array(np.broadcast_to(self.value, shape), np.float64)
        except ValueError:
            raise ConfigurationError(
                f"{type(self).__name__} has values of shape {np.shape(self.value)}, and a parameter has the "
                f"shape {shape}; give it values of that"
            ) from None


class Given(Constant):
    """The numbers of an array, for parameters of its very shape: what an array stands for.

    Examples
    --------
    >>> Given([[1.0, 2.0]])((1, 2))
    array([[1., 2.]], dtype=float32)
    """

    name: ClassVar[str] = ""

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Return a copy of the array; see `Initializer.draw`."""
        if shape != np.shape(self.value):
            raise ConfigurationError(
                f"the initializer is an array of shape {np.shape(self.value)}, and a parameter has the shape "
                f"{shape}; give an array of that"
            )
        return np.array(self.value, np.float64)


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
    _is_random: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_number(self.gain, "gain")

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Return a diagonal matrix; see `Initializer.draw`."""
        check_matrix(self, shape)
        return self.gain * np.eye(shape[0], shape[1])
