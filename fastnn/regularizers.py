"""Regularisers: frozen descriptions of a penalty on a parameter, as in Keras.

They can be called on arrays.
"""
# This file must not know layers, plans or kernels.

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from fastnn.absent import attribute_error
from fastnn.checks import check_number
from fastnn.described import Described, deserialized, handed_down, rebuilt, serialized
from fastnn.errors import ConfigurationError, DTypeError, ShapeError, unknown_name

__all__ = [
    "L1",
    "L1L2",
    "L2",
    "OrthogonalRegularizer",
    "Regularizer",
    "deserialize",
    "get",
    "l1",
    "l1_l2",
    "l2",
    "orthogonal_regularizer",
    "serialize",
]


def __dir__() -> list[str]:
    return __all__


class Regularizer(Described):
    """Base of the regularisers, which are those of this module: kernels know no others."""

    def factors(self) -> tuple[float, float]:
        """Return the factors of the sums of absolute values and of squares.

        Examples
        --------
        >>> L1L2(l1=0.1).factors()
        (0.1, 0.0)
        """
        return getattr(self, "l1", 0.0), getattr(self, "l2", 0.0)

    def pairs(self) -> tuple[float, str]:
        """Return the factor of the mean over pairs of rows, or columns, and which of them; by default 0.

        Examples
        --------
        >>> OrthogonalRegularizer(0.1, "columns").pairs(), L2(0.1).pairs()
        ((0.1, 'columns'), (0.0, 'rows'))
        """
        return (0.0, "rows")

    def check_shape(self, shape: tuple[int, ...], what: str) -> None:
        """Raise unless an array of such a shape can have the penalty; by default any can.

        Parameters
        ----------
        shape : tuple of int
        what : str
            What has it, for the message.

        Raises
        ------
        ShapeError
        """

    def __call__(self, x: object) -> float:
        """Return the penalty of an array.

        Parameters
        ----------
        x : array_like, of any shape that the regulariser takes

        Raises
        ------
        DTypeError, ShapeError
            If these are not numbers, or not an array of them.

        Examples
        --------
        >>> import fastnn
        >>> fastnn.regularizers.L1L2(l1=0.5, l2=0.25)([[1.0, -1.0], [2.0, 0.0]])
        3.5
        """
        result: float = handed_down("penalty")(self, x)
        return result

    def _check(self, name: str) -> None:
        object.__setattr__(self, name, check_number(getattr(self, name), name, 0.0))


@dataclass(frozen=True)
class L1(Regularizer):
    """The penalty ``l1 * sum(abs(w))``, with gradient ``l1 * sign(w)``, which is 0 where ``w`` is.

    Parameters
    ----------
    l1 : float
        Factor, at least 0.

    Raises
    ------
    ConfigurationError
        If the factor is negative or not finite.

    Examples
    --------
    >>> L1(1e-4)
    L1(l1=0.0001)
    """

    l1: float = 0.01

    def __post_init__(self) -> None:
        self._check("l1")


@dataclass(frozen=True)
class L2(Regularizer):
    """The penalty ``l2 * sum(w ** 2)``, with gradient ``2 * l2 * w``.

    Parameters
    ----------
    l2 : float
        Factor, at least 0.

    Raises
    ------
    ConfigurationError
        If the factor is negative or not finite.

    Examples
    --------
    >>> L2(1e-4)
    L2(l2=0.0001)
    """

    l2: float = 0.01

    def __post_init__(self) -> None:
        self._check("l2")


@dataclass(frozen=True)
class L1L2(Regularizer):
    """The sum of both penalties, ``l1 * sum(abs(w)) + l2 * sum(w ** 2)``.

    Parameters
    ----------
    l1, l2 : float
        Factors, at least 0.

    Raises
    ------
    ConfigurationError
        If a factor is negative or not finite.

    Examples
    --------
    >>> L1L2(l2=0.5)
    L1L2(l1=0.0, l2=0.5)
    """

    l1: float = 0.0
    l2: float = 0.0

    def __post_init__(self) -> None:
        self._check("l1")
        self._check("l2")


@dataclass(frozen=True)
class OrthogonalRegularizer(Regularizer):
    """The penalty on rows, or columns, of a matrix that are not orthogonal to each other.

    It is `factor` times the mean of ``abs(x_i @ x_j)`` over all pairs of different rows, where
    ``x_i = w_i / norm(w_i)``, the length at least 1e-7; as in Keras.  Where a product is 0, it has no
    gradient.

    Parameters
    ----------
    factor : float
        At least 0.
    mode : {"rows", "columns"}
        What is compared.

    Raises
    ------
    ConfigurationError
        If the factor is negative or not finite, or the mode is unknown.
    ShapeError
        When it is called on, or given to, what is no matrix or has one row, or column, only.

    Notes
    -----
    All of a kernel is one task of one thread then, its gradient included.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.regularizers.OrthogonalRegularizer(0.75)([[3.0, 0.0], [0.0, 2.0], [5.0, 0.0]])
    0.25
    """

    factor: float = 0.01
    mode: str = "rows"

    def __post_init__(self) -> None:
        self._check("factor")
        if self.mode not in ("rows", "columns"):
            raise ConfigurationError(
                f"the mode of OrthogonalRegularizer is 'rows' or 'columns', got {self.mode!r}"
            )

    def pairs(self) -> tuple[float, str]:
        """Return factor and mode; see `Regularizer`."""
        return (self.factor, self.mode)

    def check_shape(self, shape: tuple[int, ...], what: str) -> None:
        """Raise unless there are two rows, or columns, to compare; see `Regularizer`."""
        if len(shape) != 2 or shape[self.mode == "columns"] < 2:
            raise ShapeError(
                f"{what} has shape {shape}, and OrthogonalRegularizer compares {self.mode} of a matrix, of "
                "which there must be two; give it to the kernels of wider layers, and others L1 or L2"
            )


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer  # as in Keras

_CLASSES: tuple[type[Regularizer], ...] = (L1, L2, L1L2, OrthogonalRegularizer)
_USUAL = {
    "l1": L1(),
    "l2": L2(),
    "l1_l2": L1L2(0.01, 0.01),
    "orthogonal_regularizer": OrthogonalRegularizer(),
}
_BY_NAME = _USUAL | {"L1": L1(), "L2": L2(), "L1L2": L1L2(0.01, 0.01), "l1l2": L1L2(0.01, 0.01)}
_BY_NAME |= {"OrthogonalRegularizer": OrthogonalRegularizer()}


def get(
    identifier: str | Regularizer | type[Regularizer] | Mapping[str, object] | None,
) -> Regularizer | None:
    """Return the regulariser that a name or an instance stands for; None stays None.

    Parameters
    ----------
    identifier : str, Regularizer, subclass, dict or None
        ``"l1"``, ``"l2"``, ``"l1_l2"`` and ``"orthogonal_regularizer"`` have the factor 0.01; a dict has the
        ``"class_name"`` and the ``"config"`` of one.

    Returns
    -------
    Regularizer or None

    Raises
    ------
    ConfigurationError
        If the name is unknown.
    DTypeError
        If it is neither a name nor a regulariser, or a regulariser of your own.

    Examples
    --------
    >>> get("l2")
    L2(l2=0.01)
    """
    if identifier is None or type(identifier) in _CLASSES:
        return identifier  # type: ignore[return-value]
    if isinstance(identifier, type) and identifier in _CLASSES:
        return identifier()
    if isinstance(identifier, Mapping):
        if identifier.get("class_name") in _USUAL:  # as Keras takes it
            identifier = {**identifier, "class_name": type(_USUAL[str(identifier["class_name"])]).__name__}
        return get(rebuilt(identifier, _CLASSES, "regularizer"))
    if isinstance(identifier, str):
        if identifier not in _BY_NAME:
            raise unknown_name("regularizer", identifier, _USUAL)
        return _BY_NAME[identifier]
    own = isinstance(identifier, type) and issubclass(identifier, Regularizer)
    if own or isinstance(identifier, Regularizer | FunctionType):
        name = identifier.__name__ if isinstance(identifier, type) else type(identifier).__name__
        raise DTypeError(
            f"{name} is a regularizer of your own, and kernels know those of fastnn.regularizers only: L1, "
            "L2, L1L2 and OrthogonalRegularizer; add the gradient of another one in a loop of your own, by "
            "model.loss_and_gradients and model.apply_gradients"
        )
    raise DTypeError(f"a regularizer is a name, one of fastnn.regularizers or None, got {identifier!r}")


def serialize(regularizer: Any) -> dict[str, Any]:
    """Return a regularizer as the name of its class and its arguments.

    Parameters
    ----------
    regularizer
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
    >>> serialize(L2(0.5))
    {'class_name': 'L2', 'config': {'l2': 0.5}}
    """
    return serialized(get(regularizer), "regularizer")


def deserialize(
    config: Mapping[str, Any] | str, custom_objects: Mapping[str, type] | None = None
) -> Regularizer:
    """Return the regularizer that `serialize` was called on.

    Parameters
    ----------
    config : dict or str
    custom_objects : dict of str to class, optional
        As in Keras; kernels know no classes but those of this module.

    Returns
    -------
    Regularizer

    Raises
    ------
    ConfigurationError, DTypeError
        If there is no such regularizer.

    Examples
    --------
    >>> deserialize({"class_name": "L2", "config": {"l2": 0.5}})
    L2(l2=0.5)
    """
    return deserialized(config, get, custom_objects)


def of_outputs(
    identifier: str | Regularizer | type[Regularizer] | Mapping[str, object] | None,
) -> Regularizer | None:
    """Return the regulariser of what a layer puts out.

    Raises
    ------
    ConfigurationError, DTypeError
        As `get` does, or if it compares rows, which those of a batch are not there for.

    Examples
    --------
    >>> of_outputs("l2")
    L2(l2=0.01)
    """
    found = get(identifier)
    if isinstance(found, OrthogonalRegularizer):
        raise ConfigurationError(
            "activity_regularizer takes L1, L2 and L1L2; OrthogonalRegularizer would compare the rows of a "
            "batch: give it to kernel_regularizer"
        )
    return found


def __getattr__(name: str) -> Any:
    raise attribute_error(__name__, name, __all__)
