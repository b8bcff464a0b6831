"""What all initialisers share: they fill a parameter for a model, or an array without one.

A class or a function of a user's own may be one as well.  This file must not know single initialisers,
layers, plans or kernels.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from fastnn.checks import check_count
from fastnn.described import Described, handed_down
from fastnn.errors import ConfigurationError, DTypeError

__all__ = ["Initializer", "OfFunction", "Random", "check_matrix"]


@dataclass(frozen=True)
class Initializer(Described):
    """Base of the initialisers: a description with a method that draws an array.

    A class of your own has a method ``draw(shape, generator)`` or, as in Keras,
    ``__call__(shape, dtype=None)``; where it has arguments, also `get_config`.

    Examples
    --------
    >>> import fastnn
    >>> class Half(fastnn.initializers.Initializer):
    ...     def __call__(self, shape, dtype=None):
    ...         return np.full(shape, 0.5, dtype)
    >>> layer = fastnn.layers.Dense(2, kernel_initializer=Half())
    >>> fastnn.Sequential([fastnn.Input((1,)), layer]).get_weights()[0]
    array([[0.5, 0.5]], dtype=float32)
    """

    name: ClassVar[str] = ""
    _is_random: ClassVar[bool] = True  # whether it may ask for random numbers

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
        if type(self).__call__ is not Initializer.__call__:
            return np.asarray(self(shape, dtype="float64"))
        raise ConfigurationError(f"{type(self).__name__} does not say how to draw; override draw()")

    def filling(self, shape: tuple[int, ...], dtype: np.dtype, generator: np.random.Generator) -> Any:
        """Return what a parameter of a shape and dtype begins with, of a user's class as that returns it."""
        kind = type(self)
        if kind.draw is Initializer.draw and kind.__call__ is not Initializer.__call__:
            return self(shape, dtype=dtype.name)
        return self.draw(shape, generator)

    def clone(self) -> Self:
        """Return another one, as in Keras: made of the same arguments, it draws anew if it has no seed.

        Examples
        --------
        >>> from fastnn.initializers import RandomNormal
        >>> RandomNormal(stddev=0.5).clone()
        RandomNormal(seed=None, mean=0.0, stddev=0.5)
        """
        return type(self).from_config(self.get_config())

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
            The same each time, as in Keras.  Without a seed, each instance has numbers of its own, which
            follow from `fastnn.utils.set_random_seed`; and models do not ask for them, but draw from their
            own seeds, other numbers for each parameter.

        Raises
        ------
        ConfigurationError, DTypeError
            If the shape or the dtype is none, or not one that the initialiser can fill.

        Examples
        --------
        >>> import fastnn
        >>> fastnn.initializers.Constant(2.0)((1, 3), "float64")
        array([[2., 2., 2.]])
        >>> draw = fastnn.initializers.GlorotUniform()
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
        seed: Any = 0
        if self._is_random:  # not a field: it belongs to the instance, not to what it describes
            seed = vars(self).get("_seed_of_calls")
            if seed is None:
                seed = vars(self)["_seed_of_calls"] = handed_down("next_seed")()
        return self.draw(sizes, np.random.default_rng(seed)).astype(wanted)


@dataclass(frozen=True)
class Random(Initializer):
    """An initialiser that draws from the model's stream, or, with a seed, from one of its own."""

    seed: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        vars(self)["_seed_of_calls"] = self.seed
        if self.seed is not None:
            check_count(self.seed, "seed", 0, 2**63 - 1)

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Return random values; see `Initializer.draw`."""
        return self.values(shape, generator if self.seed is None else np.random.default_rng(self.seed))

    def values(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Return values drawn from `generator`."""
        raise ConfigurationError(f"{type(self).__name__} does not say how to draw; override values()")


@dataclass(frozen=True)
class OfFunction(Initializer):
    """A user's function of a shape and a dtype.

    Parameters
    ----------
    function : callable
        ``function(shape, dtype=...)`` returns an array of that shape.

    Raises
    ------
    DTypeError
        If it cannot be called so.

    Examples
    --------
    >>> OfFunction(np.ones)((2,))
    array([1., 1.], dtype=float32)
    """

    function: Callable[..., Any]

    def __post_init__(self) -> None:
        try:
            inspect.signature(self.function).bind((2, 3), dtype="float32")
        except TypeError as error:
            raise DTypeError(
                "an initializer is a name, an Initializer, an array, or a function that is called as "
                f"f((2, 3), dtype='float32'), got {self.function!r}: {error}"
            ) from None
        except ValueError:  # some functions written in C do not tell
            pass

    def get_config(self) -> dict[str, Any]:
        """Return nothing: a function is written down by its name; see `described.written`."""
        return {}

    @property
    def function_name(self) -> str:
        """What it is called in files."""
        return str(getattr(self.function, "__name__", type(self.function).__name__))

    def filling(self, shape: tuple[int, ...], dtype: np.dtype, generator: np.random.Generator) -> Any:
        """Return what the function does; see `Initializer.filling`."""
        return self.function(shape, dtype=dtype.name)

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Return what the function does, as an array."""
        return np.asarray(self.function(shape, dtype="float64"))


def check_matrix(initializer: Initializer, shape: tuple[int, ...]) -> None:
    """Raise unless a shape is that of a matrix."""
    if len(shape) != 2:
        raise ConfigurationError(
            f"{type(initializer).__name__} is for matrices, such as kernels, and a parameter has the "
            f"shape {shape}"
        )
