"""Layers without arithmetic: `Identity`, and those of Keras that change shapes, as far as rows keep theirs.

Tensors are (rows, features), so all that these layers can do is to hand their input through, which costs
nothing in a plan.  This file must not know plans, kernels or arrays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar

from fastnn.checks import check_count, with_arguments_of_keras
from fastnn.errors import DTypeError, ShapeError
from fastnn.graph.graph import Config
from fastnn.layers._base import Layer

__all__ = ["Flatten", "Identity", "Reshape"]


def shapes_in(given: Any, what: str) -> list[tuple[int | None, int]]:
    """Return a shape, or those in a list, as a list of (rows or None, features).

    Examples
    --------
    >>> shapes_in((None, 3), "layer 'a'"), shapes_in([(2, 3), (2, 4)], "layer 'a'")
    ([(None, 3)], [(2, 3), (2, 4)])
    """
    several = given if isinstance(given, list | tuple) else [given]
    found = []
    for shape in several if several and isinstance(several[0], list | tuple) else [several]:
        if len(shape) != 2 or not isinstance(shape[1], Integral):
            raise ShapeError(
                f"input_shape of {what} must be (None, features), or a list of such, got {given!r}; tensors "
                "are (rows, features)"
            )
        found.append((shape[0], int(shape[1])))
    return found


@dataclass(frozen=True)
class IdentityConfig(Config):
    """The input itself, of any width or of one that is given."""

    hands_through: ClassVar[bool] = True

    features: int | None = None

    def columns(self, layer: str, widths: tuple[int, ...]) -> int:
        """Return the input's width, which must be the one that is given."""
        if self.features not in (None, widths[0]):
            raise ShapeError(
                f"layer {layer!r} makes rows of {self.features} numbers of rows of {widths[0]}; a row keeps "
                f"its numbers, so give it target_shape=({widths[0]},), or change the width with a Dense"
            )
        return widths[0]


class Identity(Layer):
    """The input as it is; it costs nothing.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> from fastnn import Input
    >>> Identity()(Input((3,))).shape
    (None, 3)
    """

    config: IdentityConfig

    @with_arguments_of_keras("Identity", "Layer")
    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(name)
        self.config = IdentityConfig()


class Flatten(Layer):
    """The input as it is: tensors are (rows, features), behind an `Embedding` as well; it costs nothing.

    Parameters
    ----------
    data_format : str, optional
        As in Keras, where it is about images; it changes nothing.
    name : str, optional

    Examples
    --------
    >>> from fastnn import Input
    >>> from fastnn.layers import Embedding
    >>> Flatten()(Embedding(9, 4)(Input((3,)))).shape
    (None, 12)
    """

    config: IdentityConfig

    @with_arguments_of_keras("Flatten", "Layer")
    def __init__(self, data_format: str | None = None, *, name: str | None = None) -> None:
        super().__init__(name)
        if data_format not in (None, "channels_last", "channels_first"):
            raise DTypeError(
                f"data_format must be 'channels_last', 'channels_first' or None, got {data_format!r}"
            )
        self.config = IdentityConfig()


class Reshape(Layer):
    """The input as it is, whose width must be `target_shape`; it costs nothing.

    Parameters
    ----------
    target_shape : tuple of one int
        The width, or -1 for any: tensors are (rows, features).
    name : str, optional

    Raises
    ------
    ShapeError
        If it has another number of dimensions, or, when the layer is called, if it is not the input's width.
    DTypeError, ConfigurationError
        If it holds anything but such an integer.

    Examples
    --------
    >>> from fastnn import Input
    >>> Reshape((3,))(Input((3,))).shape
    (None, 3)
    """

    config: IdentityConfig

    @with_arguments_of_keras("Reshape", "Layer")
    def __init__(self, target_shape: Sequence[int], *, name: str | None = None) -> None:
        super().__init__(name)
        if not isinstance(target_shape, tuple | list):
            raise DTypeError(f"target_shape must be a tuple of one int, got {target_shape!r}")
        if len(target_shape) != 1:
            raise ShapeError(
                "target_shape must be one width, as tensors are (rows, features), got "
                f"{tuple(target_shape)!r}; leave the layer out, and reshape arrays: x.reshape(len(x), -1) "
                "before fit, or what predict returns"
            )
        any_width = target_shape[0] == -1
        self.config = IdentityConfig(None if any_width else check_count(target_shape[0], "target_shape"))

    def _arguments(self) -> dict[str, Any]:
        return {"target_shape": [self.config.features or -1]}

    def _code(self) -> Iterator[str]:
        yield f"({self.config.features or -1},)"
