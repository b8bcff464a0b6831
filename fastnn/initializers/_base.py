"""What all initialisers share: they fill a parameter for a model, or an array without one.

This file must not know single initialisers, layers, plans or kernels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from fastnn.checks import check_count
from fastnn.described import Described, handed_down
from fastnn.errors import ConfigurationError, DTypeError

__all__ = ["Initializer", "Random", "check_matrix"]


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
class Random(Initializer):
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


def check_matrix(initializer: Initializer, shape: tuple[int, ...]) -> None:
    """Raise unless a shape is that of a matrix."""
    if len(shape) != 2:
        raise ConfigurationError(
            f"{type(initializer).__name__} is for matrices, such as kernels, and a parameter has the "
            f"shape {shape}"
        )
