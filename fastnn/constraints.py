"""Constraints: frozen descriptions of what a parameter becomes after each update, as in Keras.

They can be called on arrays.
"""
# This file must not know layers, plans or kernels.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from fastnn.absent import attribute_error
from fastnn.checks import check_number, shown
from fastnn.described import Described, deserialized, handed_down, rebuilt, serialized
from fastnn.errors import ConfigurationError, DTypeError, unknown_name

__all__ = [
    "Constraint",
    "MaxNorm",
    "MinMaxNorm",
    "NonNeg",
    "UnitNorm",
    "deserialize",
    "get",
    "max_norm",
    "min_max_norm",
    "non_neg",
    "serialize",
    "unit_norm",
]


def __dir__() -> list[str]:
    return __all__


@dataclass(frozen=True)
class Constraint(Described):
    """Base of the constraints, which are those of this module: kernels know no others."""

    name: ClassVar[str] = ""

    def limits(self, shape: tuple[int, ...]) -> tuple[float, ...]:
        """Return the limits of norms, the part of the way to them, and the axis of a matrix; or nothing.

        Parameters
        ----------
        shape : tuple of int
            Of the parameter.

        Returns
        -------
        tuple of float
            Empty if it is signs that are limited.  The axis is 2 where all numbers have one norm.

        Raises
        ------
        ConfigurationError
            If the parameter has no such axis.

        Examples
        --------
        >>> MaxNorm(3).limits((4, 2)), NonNeg().limits((4, 2))
        ((0.0, 3.0, 1.0, 0.0), ())
        """
        return ()

    def __call__(self, w: object) -> Any:
        """Return what becomes of an array, which stays as it is.

        Parameters
        ----------
        w : array_like, of any shape

        Returns
        -------
        numpy.ndarray
            float64 if `w` is an array of that, else float32.

        Raises
        ------
        ConfigurationError
            If the array has no such axis.
        DTypeError, ShapeError
            If these are not numbers, or not an array of them.

        Examples
        --------
        >>> import fastnn
        >>> fastnn.constraints.NonNeg()([[1.0, -1.0]])
        array([[1., 0.]], dtype=float32)
        """
        return handed_down("constrained")(self, w)

    def _check(self, name: str, most: float = float("inf")) -> None:
        object.__setattr__(self, name, check_number(getattr(self, name), name, 0.0, most))

    def _check_axis(self) -> None:
        axis = getattr(self, "axis")  # noqa: B009
        several = tuple(axis) if isinstance(axis, Sequence) and not isinstance(axis, str) else (axis,)
        if not several or not all(isinstance(one, int) and not isinstance(one, bool) for one in several):
            raise DTypeError(f"axis must be a whole number or a list of them, got {axis!r}")
        object.__setattr__(self, "axis", several if len(several) > 1 else several[0])

    def _axis_of_matrix(self, shape: tuple[int, ...]) -> float:
        axis = getattr(self, "axis")  # noqa: B009
        several = axis if isinstance(axis, tuple) else (axis,)
        if not all(-len(shape) <= one < len(shape) for one in several):
            raise ConfigurationError(
                f"{self!r} is for axis {axis}, and a parameter of shape {shape} has {len(shape)}; for a bias "
                "it is axis 0"
            )
        found = {one % len(shape) for one in several}
        if len(found) == len(shape):
            return 2.0
        return float(found.pop())


@dataclass(frozen=True)
class NonNeg(Constraint):
    """No number below 0: what is becomes 0.

    Examples
    --------
    >>> NonNeg()
    NonNeg()
    """

    name: ClassVar[str] = "non_neg"


@dataclass(frozen=True)
class MaxNorm(Constraint):
    """Norms of at most `max_value`: ``w * min(norm, max_value) / (norm + 1e-7)``.

    Parameters
    ----------
    max_value : float
        At least 0.
    axis : int or sequence of int
        Along which squares are summed; with 0, the weights that lead to one unit have a norm.

    Raises
    ------
    ConfigurationError, DTypeError
        If a number is out of range.

    Examples
    --------
    >>> MaxNorm(3)
    MaxNorm(max_value=3.0, axis=0)
    """

    max_value: float = 2.0
    axis: int | Sequence[int] = 0

    name: ClassVar[str] = "max_norm"

    def __post_init__(self) -> None:
        self._check("max_value")
        self._check_axis()

    def limits(self, shape: tuple[int, ...]) -> tuple[float, ...]:
        """Return the limits of norms; see `Constraint.limits`."""
        return (0.0, self.max_value, 1.0, self._axis_of_matrix(shape))


@dataclass(frozen=True)
class MinMaxNorm(Constraint):
    """Norms between two limits, or nearer to them by a part of the way.

    ``w * (rate * clip(norm, min_value, max_value) + (1 - rate) * norm) / (norm + 1e-7)``.

    Parameters
    ----------
    min_value, max_value : float
        At least 0, in this order.
    rate : float
        In [0, 1].
    axis : int or sequence of int
        As in `MaxNorm`.

    Raises
    ------
    ConfigurationError, DTypeError
        If a number is out of range.

    Examples
    --------
    >>> MinMaxNorm(0.5, 2)
    MinMaxNorm(min_value=0.5, max_value=2.0, rate=1.0, axis=0)
    """

    min_value: float = 0.0
    max_value: float = 1.0
    rate: float = 1.0
    axis: int | Sequence[int] = 0

    name: ClassVar[str] = "min_max_norm"

    def __post_init__(self) -> None:
        self._check("max_value")
        self._check("min_value", self.max_value)
        self._check("rate", 1.0)
        self._check_axis()

    def limits(self, shape: tuple[int, ...]) -> tuple[float, ...]:
        """Return the limits of norms; see `Constraint.limits`."""
        return (self.min_value, self.max_value, self.rate, self._axis_of_matrix(shape))


@dataclass(frozen=True)
class UnitNorm(Constraint):
    """Norms of 1: ``w / (norm + 1e-7)``.

    Parameters
    ----------
    axis : int or sequence of int
        As in `MaxNorm`.

    Raises
    ------
    DTypeError
        If it is no whole number.

    Examples
    --------
    >>> UnitNorm()
    UnitNorm(axis=0)
    """

    axis: int | Sequence[int] = 0

    name: ClassVar[str] = "unit_norm"

    def __post_init__(self) -> None:
        self._check_axis()

    def limits(self, shape: tuple[int, ...]) -> tuple[float, ...]:
        """Return the limits of norms; see `Constraint.limits`."""
        return (1.0, 1.0, 1.0, self._axis_of_matrix(shape))


max_norm, min_max_norm, non_neg, unit_norm = MaxNorm, MinMaxNorm, NonNeg, UnitNorm  # as in Keras

_CLASSES: tuple[type[Constraint], ...] = (MaxNorm, MinMaxNorm, NonNeg, UnitNorm)
_BY_NAME: dict[str, type[Constraint]] = {cls.name: cls for cls in _CLASSES}
_BY_NAME |= {cls.__name__: cls for cls in _CLASSES}


def get(
    identifier: str | Constraint | type[Constraint] | Mapping[str, object] | None,
) -> Constraint | None:
    """Return the constraint that a name, a class or an instance stands for; None stays None.

    Parameters
    ----------
    identifier : str, Constraint, subclass, dict or None
        A dict has the ``"class_name"`` and the ``"config"`` of one.

    Returns
    -------
    Constraint or None

    Raises
    ------
    ConfigurationError
        If the name is unknown.
    DTypeError
        If it is neither a name nor a constraint.

    Examples
    --------
    >>> get("non_neg")
    NonNeg()
    """
    if identifier is None or isinstance(identifier, _CLASSES):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, _CLASSES):
        return identifier()
    if isinstance(identifier, Mapping):
        return get(rebuilt(identifier, _BY_NAME, "constraint"))
    if isinstance(identifier, str):
        if identifier not in _BY_NAME:
            raise unknown_name("constraint", identifier, [cls.name for cls in _CLASSES])
        return _BY_NAME[identifier]()
    own = isinstance(identifier, type) or callable(identifier)
    hint = "; kernels know no others: change weights by layer.set_weights in a callback" if own else ""
    raise DTypeError(
        f"a constraint is a name, one of fastnn.constraints or None, got {shown(identifier)}{hint}"
    )


def serialize(constraint: Any) -> dict[str, Any]:
    """Return a constraint as the name of its class and its arguments.

    Parameters
    ----------
    constraint
        As `get` takes it, but None.

    Returns
    -------
    dict
        ``{"class_name": ..., "config": {...}}``.

    Raises
    ------
    ConfigurationError, DTypeError
        As `get` does.

    Examples
    --------
    >>> serialize(UnitNorm())
    {'class_name': 'UnitNorm', 'config': {'axis': 0}}
    """
    return serialized(get(constraint), "constraint")


def deserialize(
    config: Mapping[str, Any] | str, custom_objects: Mapping[str, type] | None = None
) -> Constraint:
    """Return the constraint that `serialize` was called on.

    Parameters
    ----------
    config : dict or str
    custom_objects : dict of str to class, optional
        As in Keras; kernels know no classes but those of this module.

    Returns
    -------
    Constraint

    Raises
    ------
    ConfigurationError, DTypeError
        If there is no such constraint.

    Examples
    --------
    >>> deserialize({"class_name": "UnitNorm", "config": {"axis": 0}})
    UnitNorm(axis=0)
    """
    return deserialized(config, get, custom_objects)


def __getattr__(name: str) -> Any:
    raise attribute_error(__name__, name, __all__)
