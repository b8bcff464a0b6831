"""Losses: frozen descriptions with the formulas and reductions of Keras 3.

A description says which loss op it becomes, with which activation that op fuses, and what
targets it takes.  The kernels compute the value and the gradient.
"""
# This file must not know layers or kernels.

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from fastnn.absent import attribute_error
from fastnn.checks import check_flag, check_number
from fastnn.described import Described, rebuilt
from fastnn.errors import ConfigurationError, DTypeError, unknown_name
from fastnn.opcodes import OpCode
from fastnn.ops import POINTWISE, REAL, Activation, Kind, Numbers, Pointwise

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "Huber",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "MulticlassHinge",
    "SparseCategoricalCrossentropy",
    "SquaredError",
    "get",
]


def __dir__() -> list[str]:
    return __all__


_REDUCTIONS = ("sum_over_batch_size", "sum")


@dataclass(frozen=True)
class Loss(Described):
    """Base of the losses: one value per row, then a reduction over the batch.

    Parameters
    ----------
    reduction : {"sum_over_batch_size", "sum"}
        ``"sum_over_batch_size"`` (the default) divides the sum over the rows, each times its
        sample weight, by the number of rows; ``"sum"`` does not.

    Raises
    ------
    ConfigurationError
        If the reduction is unknown.
    """

    reduction: str = field(default="sum_over_batch_size", kw_only=True)

    name: ClassVar[str] = ""
    code: ClassVar[OpCode]
    fused_code: ClassVar[OpCode | None] = None
    fuses: ClassVar[Activation | None] = None
    function: ClassVar[Pointwise | None] = None  # of point-wise losses
    sparse: ClassVar[bool] = False
    probabilities: ClassVar[bool] = False  # whether targets must lie in [0, 1]

    def __post_init__(self) -> None:
        if self.reduction not in _REDUCTIONS:
            raise unknown_name("reduction", self.reduction, _REDUCTIONS)
        if hasattr(self, "from_logits"):
            object.__setattr__(self, "from_logits", check_flag(self.logits, "from_logits"))
        argument = POINTWISE[self.function] if self.function is not None else None
        if argument is not None:
            value = check_number(
                getattr(self, argument.name),
                argument.name,
                argument.least,
                argument.most,
                open_minimum=True,
                open_maximum=True,
            )
            object.__setattr__(self, argument.name, value)
        if type(self) is Loss:
            raise ConfigurationError("Loss is a base class; use one of its subclasses")

    @property
    def logits(self) -> bool:
        """Whether the loss takes scores before the activation that it fuses with."""
        return getattr(self, "from_logits", False)

    @property
    def mean(self) -> bool:
        """Whether the reduction divides by the number of rows."""
        return self.reduction == "sum_over_batch_size"

    def kind(self, outputs: int) -> Kind:
        """Return what targets for so many outputs are."""
        return Kind(Numbers.LABEL, outputs) if self.sparse else REAL

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return the constants of the loss op that follow its reduction and its share."""
        if self.function is None:
            return ()
        argument = POINTWISE[self.function]
        return float(self.function), 0.0 if argument is None else getattr(self, argument.name)


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """Squared error, ``mean((y - t)^2)`` over the outputs of a row.

    Gradient ``2 (y - t) / outputs``, times the reduction's factor.

    Parameters
    ----------
    reduction : {"sum_over_batch_size", "sum"}

    Examples
    --------
    >>> MeanSquaredError().name
    'mean_squared_error'
    """

    reduction: str = "sum_over_batch_size"

    name: ClassVar[str] = "mean_squared_error"
    code: ClassVar[OpCode] = OpCode.SQUARED_ERROR

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return the factor of a row's sum of squares."""
        return (1.0 / outputs,)


_SCALES = ("mean", "half_mean", "sum", "half_sum")


@dataclass(frozen=True)
class SquaredError(Loss):
    """Squared error with the factor that a text at hand gives it.

    With e = y - t, a row's loss is ``mean(e^2)``, ``mean(e^2) / 2``, ``sum(e^2)`` or ``sum(e^2) / 2``
    over its outputs; the reduction over rows comes on top.  Lectures E.3 and E.4 use ``"half_mean"``
    (one output, divided by twice the number of rows), lecture B.6 ``"sum"`` with reduction ``"sum"``.

    Parameters
    ----------
    scale : {"mean", "half_mean", "sum", "half_sum"}
    reduction : {"sum_over_batch_size", "sum"}

    Raises
    ------
    ConfigurationError
        If the scale or the reduction is unknown.

    Examples
    --------
    >>> SquaredError("half_mean").constants(4)
    (0.125,)
    """

    scale: str = "mean"

    name: ClassVar[str] = "squared_error"
    code: ClassVar[OpCode] = OpCode.SQUARED_ERROR

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scale not in _SCALES:
            raise unknown_name("scale", str(self.scale), _SCALES)

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return the factor of a row's sum of squares."""
        factor = 0.5 if self.scale.startswith("half") else 1.0
        return (factor / outputs if self.scale.endswith("mean") else factor,)


@dataclass(frozen=True)
class MeanAbsoluteError(Loss):
    """Absolute error, ``mean(|y - t|)`` over the outputs of a row.

    Gradient ``sign(y - t) / outputs``, 0 where ``y = t``, times the reduction's factor.  Outliers count less
    than in `MeanSquaredError`: the best constant is the median of the targets, not their mean.

    Parameters
    ----------
    reduction : {"sum_over_batch_size", "sum"}

    Examples
    --------
    >>> get("mae")
    MeanAbsoluteError(reduction='sum_over_batch_size')
    """

    reduction: str = "sum_over_batch_size"

    name: ClassVar[str] = "mean_absolute_error"
    code: ClassVar[OpCode] = OpCode.POINTWISE_LOSS
    function: ClassVar[Pointwise | None] = Pointwise.ABSOLUTE_ERROR


@dataclass(frozen=True)
class Huber(Loss):
    """Huber's loss: half the squared error where it is small, and a line beyond.

    With e = y - t, the mean over the outputs of a row of ``e^2 / 2`` where ``|e| <= delta``, else of
    ``delta |e| - delta^2 / 2``.  Gradient e, kept within -delta and delta, over the outputs, times the
    reduction's factor.  After Huber 1964.

    Parameters
    ----------
    delta : float
        Above 0.
    reduction : {"sum_over_batch_size", "sum"}

    Raises
    ------
    ConfigurationError
        If delta is not above 0 and finite.
    DTypeError
        If it is not a number.

    Examples
    --------
    >>> Huber(2.0).delta
    2.0
    """

    delta: float = 1.0

    name: ClassVar[str] = "huber"
    code: ClassVar[OpCode] = OpCode.POINTWISE_LOSS
    function: ClassVar[Pointwise | None] = Pointwise.HUBER


@dataclass(frozen=True)
class MulticlassHinge(Loss):
    """Multiclass SVM loss ``sum over j != label of max(0, s_j - s_label + margin)`` (lecture A.9).

    After Weston and Watkins 1999.  The scores s are the model's outputs, with a linear last layer; labels
    are integers 0 to classes - 1.  Where a term is exactly 0 its gradient is 0.

    Parameters
    ----------
    margin : float
        At least 0.
    reduction : {"sum_over_batch_size", "sum"}

    Raises
    ------
    ConfigurationError
        If the margin is negative or not finite.
    DTypeError
        If it is not a number.

    Examples
    --------
    >>> MulticlassHinge().margin
    1.0
    """

    margin: float = 1.0

    name: ClassVar[str] = "multiclass_hinge"
    code: ClassVar[OpCode] = OpCode.MULTICLASS_HINGE
    sparse: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self.margin, "margin", 0.0)

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return the margin."""
        return (float(self.margin),)


@dataclass(frozen=True)
class CategoricalCrossentropy(Loss):
    """Cross-entropy ``-sum(t * log(y))`` over the classes of a row; `t` is one-hot or a distribution.

    After a softmax, or with `from_logits`, it is computed from the scores in its stable form,
    with gradient ``y * sum(t) - t``.  After anything else the outputs of a row are divided by
    their sum and clipped to [1e-7, 1 - 1e-7], numbers of the model's dtype, as in Keras: in float32
    no probability is above 0.99999988.

    Parameters
    ----------
    from_logits : bool
        Whether the model's outputs are scores before the softmax.
    reduction : {"sum_over_batch_size", "sum"}

    Examples
    --------
    >>> CategoricalCrossentropy(from_logits=True).logits
    True
    """

    from_logits: bool = False

    name: ClassVar[str] = "categorical_crossentropy"
    code: ClassVar[OpCode] = OpCode.CROSSENTROPY
    fused_code: ClassVar[OpCode | None] = OpCode.SOFTMAX_CROSSENTROPY
    fuses: ClassVar[Activation | None] = Activation.SOFTMAX
    probabilities: ClassVar[bool] = True

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return that targets are not labels."""
        return (0.0,)


@dataclass(frozen=True)
class SparseCategoricalCrossentropy(Loss):
    """Cross-entropy ``-log(y[label])`` for integer labels 0 to classes - 1.

    Computed as in `CategoricalCrossentropy`, without building one-hot targets.

    Parameters
    ----------
    from_logits : bool
        Whether the model's outputs are scores before the softmax.
    reduction : {"sum_over_batch_size", "sum"}

    Examples
    --------
    >>> SparseCategoricalCrossentropy().sparse
    True
    """

    from_logits: bool = False

    name: ClassVar[str] = "sparse_categorical_crossentropy"
    code: ClassVar[OpCode] = OpCode.CROSSENTROPY
    fused_code: ClassVar[OpCode | None] = OpCode.SOFTMAX_CROSSENTROPY
    fuses: ClassVar[Activation | None] = Activation.SOFTMAX
    sparse: ClassVar[bool] = True

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return that targets are labels."""
        return (1.0,)


@dataclass(frozen=True)
class BinaryCrossentropy(Loss):
    """Cross-entropy of independent outputs, ``mean(-t log(y) - (1 - t) log(1 - y))`` over a row's outputs.

    After a sigmoid, or with `from_logits`, it is computed from the scores in its stable form,
    with gradient ``(y - t) / outputs``.  After anything else the outputs are clipped to
    [1e-7, 1 - 1e-7], numbers of the model's dtype, as in Keras: in float32 the loss of a 1 where 0 was
    meant is 15.942, in float64 16.118.

    Parameters
    ----------
    from_logits : bool
        Whether the model's outputs are scores before the sigmoid.
    reduction : {"sum_over_batch_size", "sum"}

    Examples
    --------
    >>> BinaryCrossentropy().mean
    True
    """

    from_logits: bool = False

    name: ClassVar[str] = "binary_crossentropy"
    code: ClassVar[OpCode] = OpCode.BINARY_CROSSENTROPY
    fused_code: ClassVar[OpCode | None] = OpCode.SIGMOID_CROSSENTROPY
    fuses: ClassVar[Activation | None] = Activation.SIGMOID
    probabilities: ClassVar[bool] = True


_CLASSES: tuple[type[Loss], ...] = (
    MeanSquaredError,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
    BinaryCrossentropy,
    SquaredError,
    MulticlassHinge,
    MeanAbsoluteError,
    Huber,
)
_BY_NAME = {cls.name: cls for cls in _CLASSES} | {cls.__name__: cls for cls in _CLASSES}
_BY_NAME |= {"mse": MeanSquaredError, "MSE": MeanSquaredError}
_BY_NAME |= {"mae": MeanAbsoluteError, "MAE": MeanAbsoluteError}


@functools.cache
def _usual(name: str) -> Loss:
    """Return the loss of a known name: a value, and so the same for all."""
    return _BY_NAME[name]()


def get(identifier: object) -> Loss:
    """Return the loss that a name, a class or an instance stands for.

    Parameters
    ----------
    identifier : str, Loss, subclass or dict
        A dict has the ``"class_name"`` and the ``"config"`` of a loss.

    Returns
    -------
    Loss

    Raises
    ------
    ConfigurationError
        If the name is unknown.
    DTypeError
        If it is neither a name nor a loss.

    Examples
    --------
    >>> get("mse").name
    'mean_squared_error'
    """
    if isinstance(identifier, str) and identifier in _BY_NAME:
        return _usual(identifier)
    if isinstance(identifier, Loss):
        if not hasattr(identifier, "code"):
            raise ConfigurationError(
                f"{type(identifier).__name__} cannot run: losses are those of fastnn.losses"
            )
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Loss):
        return get(identifier())
    if isinstance(identifier, Mapping):
        return get(rebuilt(identifier, _CLASSES, "loss"))
    if isinstance(identifier, str):
        raise unknown_name("loss", identifier, [cls.name for cls in _CLASSES])
    raise DTypeError(f"a loss is a name or a Loss, got {identifier!r}")


def __getattr__(name: str) -> Any:
    raise attribute_error(__name__, name, __all__)
