"""Layers without weights: they join tensors, or apply an elementary function to one.

The gates of the lectures are these layers on inputs of width 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastnn.checks import check_number
from fastnn.errors import ConfigurationError
from fastnn.graph.graph import (
    ActivationConfig,
    AffineConfig,
    Merge,
    MergeConfig,
    SquareConfig,
    SumConfig,
    WeightedSumConfig,
)
from fastnn.graph.symbolic import OPERATORS
from fastnn.layers._base import Layer
from fastnn.ops import Activation as Function

__all__ = [
    "Add",
    "Average",
    "Concatenate",
    "Exp",
    "Log",
    "Maximum",
    "Minimum",
    "Multiply",
    "Negate",
    "Reciprocal",
    "Scale",
    "Shift",
    "Square",
    "Subtract",
    "Sum",
    "WeightedSum",
]


class _Merge(Layer):
    """Base of the layers that make one tensor of a list of them."""

    merge: Merge

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(name)
        self.config = MergeConfig(self.merge)


class Add(_Merge):
    """The sum of tensors of one width; each input has the whole upstream gradient.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> from fastnn import Input
    >>> Add()([Input((3,)), Input((3,))]).shape
    (None, 3)
    """

    merge = Merge.ADD


class Subtract(_Merge):
    """The first of two tensors minus the second.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> from fastnn import Input
    >>> Subtract()([Input((3,)), Input((3,))]).shape
    (None, 3)
    """

    merge = Merge.SUBTRACT


class Multiply(_Merge):
    """The product of tensors of one width, element by element; the gradient swaps the inputs.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> from fastnn import Input
    >>> Multiply()([Input((3,)), Input((3,))]).shape
    (None, 3)
    """

    merge = Merge.MULTIPLY


class Average(_Merge):
    """The mean of tensors of one width.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> from fastnn import Input
    >>> Average()([Input((3,)), Input((3,))]).shape
    (None, 3)
    """

    merge = Merge.AVERAGE


class Maximum(_Merge):
    """The largest of tensors of one width, element by element, which alone has the gradient.

    Where several are largest, the first of them has it.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> from fastnn import Input
    >>> Maximum()([Input((3,)), Input((3,))]).shape
    (None, 3)
    """

    merge = Merge.MAXIMUM


class Minimum(_Merge):
    """The smallest of tensors of one width; as `Maximum`.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> from fastnn import Input
    >>> Minimum()([Input((3,)), Input((3,))]).shape
    (None, 3)
    """

    merge = Merge.MINIMUM


class Concatenate(_Merge):
    """Tensors side by side, in their order.

    Parameters
    ----------
    axis : {-1, 1}
        Features; rows are not joined.
    name : str, optional

    Raises
    ------
    ConfigurationError
        For another axis.

    Examples
    --------
    >>> from fastnn import Input
    >>> Concatenate()([Input((3,)), Input((2,))]).shape
    (None, 5)
    """

    merge = Merge.CONCATENATE

    def __init__(self, axis: int = -1, *, name: str | None = None) -> None:
        if axis not in (-1, 1):
            raise ConfigurationError(f"axis must be -1 or 1, the features, got {axis!r}")
        super().__init__(name=name)

    def _arguments(self) -> dict[str, Any]:
        return {"axis": -1}


class WeightedSum(Layer):
    """``sum of sigmoid(w_i) x_i`` over tensors of one width, with one learned number w_i for each.

    How nodes of randomly wired networks join their inputs (Xie, Kirillov, Girshick and He 2019, arXiv
    1904.01569; lecture A.6): the weights are positive, and begin at 1/2.

    Parameters
    ----------
    name : str, optional
    trainable : bool

    Examples
    --------
    >>> from fastnn import Input
    >>> WeightedSum()([Input((3,)), Input((3,))]).shape
    (None, 3)
    """

    def __init__(self, *, name: str | None = None, trainable: bool = True) -> None:
        super().__init__(name, trainable)
        self.config = WeightedSumConfig()


class Exp(Layer):
    """The exponential function.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> from fastnn import Input
    >>> Exp()(Input((3,))).shape
    (None, 3)
    """

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(name)
        self.config = ActivationConfig(Function.EXPONENTIAL)


class Log(Layer):
    """The natural logarithm; of what is not positive it is minus infinity or NaN.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> from fastnn import Input
    >>> Log()(Input((3,))).shape
    (None, 3)
    """

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(name)
        self.config = ActivationConfig(Function.LOG)


class Reciprocal(Layer):
    """``1 / x``.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> from fastnn import Input
    >>> Reciprocal()(Input((3,))).shape
    (None, 3)
    """

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(name)
        self.config = ActivationConfig(Function.RECIPROCAL)


class Scale(Layer):
    """``factor * x``.

    Parameters
    ----------
    factor : float
    name : str, optional

    Examples
    --------
    >>> from fastnn import Input
    >>> Scale(2.0)(Input((3,))).shape
    (None, 3)
    """

    config: AffineConfig

    def __init__(self, factor: float, *, name: str | None = None) -> None:
        super().__init__(name)
        self.config = AffineConfig(check_number(factor, "factor"), 0.0)

    def _arguments(self) -> dict[str, Any]:
        return {"factor": self.config.scale}

    def _code(self) -> Iterator[str]:
        yield str(self.config.scale)


class Negate(Layer):
    """``-x``.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> from fastnn import Input
    >>> Negate()(Input((3,))).shape
    (None, 3)
    """

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(name)
        self.config = AffineConfig(-1.0, 0.0)


class Shift(Layer):
    """``x + amount``.

    Parameters
    ----------
    amount : float
    name : str, optional

    Examples
    --------
    >>> from fastnn import Input
    >>> Shift(1.0)(Input((3,))).shape
    (None, 3)
    """

    config: AffineConfig

    def __init__(self, amount: float, *, name: str | None = None) -> None:
        super().__init__(name)
        self.config = AffineConfig(1.0, check_number(amount, "amount"))

    def _arguments(self) -> dict[str, Any]:
        return {"amount": self.config.shift}

    def _code(self) -> Iterator[str]:
        yield str(self.config.shift)


class Square(Layer):
    """``x * x``, element by element.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> from fastnn import Input
    >>> Square()(Input((3,))).shape
    (None, 3)
    """

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(name)
        self.config = SquareConfig()


class Sum(Layer):
    """The sum of a row's features, a tensor of width 1.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> from fastnn import Input
    >>> Sum()(Input((3,))).shape
    (None, 1)
    """

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(name)
        self.config = SumConfig()


OPERATORS.update(Add=Add, Subtract=Subtract, Multiply=Multiply, Scale=Scale, Shift=Shift)
