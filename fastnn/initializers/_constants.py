"""Initialisers that draw nothing."""
# This file must not know layers, plans or kernels.

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fastnn.checks import check_number
from fastnn.initializers._base import Initializer, check_matrix

__all__ = ["Constant", "Identity", "Ones", "Zeros"]


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
        check_matrix(self, shape)
        return self.gain * np.eye(shape[0], shape[1])
