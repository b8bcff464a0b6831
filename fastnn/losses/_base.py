"""What all losses are: frozen descriptions of a value for each row, and a reduction over the batch.

A description says which loss op it becomes, with which activation that op fuses, and what targets it takes.
This file must not know single losses, layers or kernels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from fastnn.checks import check_dtype, check_flag, check_name, check_number, with_arguments_of_keras
from fastnn.described import Described, handed_down, snake_case
from fastnn.errors import ConfigurationError, unknown_name
from fastnn.opcodes import OpCode
from fastnn.ops import POINTWISE, REAL, ROWWISE, Activation, Kind, LossTraits, Numbers, Pointwise, Rowwise

__all__ = ["Loss", "as_in_keras"]

_Class = TypeVar("_Class", bound=type)
_MEANS = ("sum_over_batch_size", "mean", "mean_with_sample_weight")
_REDUCTIONS = (*_MEANS, "sum", "none")
FORM = (  # of what computes a loss in Python
    "return (value, gradient), as\n"
    "    def squared_error(y_true, y_pred):\n"
    "        return ((y_pred - y_true) ** 2).sum(axis=1), 2 * (y_pred - y_true)"
)


def as_in_keras(cls: _Class) -> _Class:
    """Let a loss's constructor say what there is instead of arguments of Keras that it does not have."""
    cls.__init__ = with_arguments_of_keras(cls.__name__, "losses")(cls.__init__)  # type: ignore[misc]
    return cls


@dataclass(frozen=True)
class Loss(Described):
    """Base of the losses: one value per row, then a reduction over the batch.

    Models are compiled with losses.  Without a model, a loss can be called on arrays.

    A class of your own has a method ``call(self, y_true, y_pred)``, which returns ``(value, gradient)``; see
    `fastnn.Model.compile` for what these are.  It is computed in Python, once a batch, and has what
    `get_config` returns besides ``name`` and ``reduction`` from a method of its own.

    Parameters
    ----------
    name : str, optional
        Of a class of your own; by default made of the class's name.
    reduction : {"sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None}
        The sum over the rows, each times its sample weight, is divided by the number of rows with
        ``"sum_over_batch_size"`` (the default) and ``"mean"``, which are the same; by the sum of the batch's
        sample weights with ``"mean_with_sample_weight"``; and by nothing with ``"sum"``.  None leaves one
        number a row, with which nothing can be trained.
    name : str, optional
        The default is the loss's own name.
    dtype : {"float32", "float64"}, optional
        Of arrays that it is called on; by default float64 for outputs of that, else float32.  A model
        computes it in its own.

    Raises
    ------
    ConfigurationError
        If the reduction is unknown.

    Examples
    --------
    >>> class Cubes(Loss):
    ...     def call(self, y_true, y_pred):
    ...         error = y_pred - y_true
    ...         return abs(error**3).sum(axis=1), 3 * error * abs(error)
    >>> Cubes().name, Cubes(reduction="sum")([[0.0], [1.0]], [[2.0], [0.0]])
    ('cubes', 9.0)
    """

    reduction: str | None = field(default="sum_over_batch_size", kw_only=True)
    name: str = field(default="", kw_only=True, repr=False)
    dtype: str | None = field(default=None, kw_only=True, repr=False)

    default_name: ClassVar[str] = ""
    code: ClassVar[OpCode]
    fused_code: ClassVar[OpCode | None] = None
    fuses: ClassVar[Activation | None] = None
    function: ClassVar[Pointwise | Rowwise | None] = None  # of point-wise and row-wise losses
    sparse: ClassVar[bool] = False
    probabilities: ClassVar[bool] = False  # whether targets are meant to lie in [0, 1]
    signs: ClassVar[bool] = False  # whether targets are -1 and 1, or 0 and 1
    classes: ClassVar[bool] = False  # whether the outputs of a row are one for each class
    repeats: ClassVar[bool] = False  # whether one target may stand for all outputs
    positive: ClassVar[bool] = False  # whether outputs must be above 0
    above: ClassVar[float | None] = None  # what targets must be above
    least: ClassVar[float | None] = None  # what they must be at least

    def __init__(self, name: str | None = None, reduction: str | None = "sum_over_batch_size") -> None:
        # Of classes that have no fields of their own, as those of users.
        if name is not None:
            object.__setattr__(self, "name", name)
        object.__setattr__(self, "reduction", reduction)
        self.__post_init__()

    def __post_init__(self) -> None:
        name = check_name(self.name or None) or self.default_name or snake_case(type(self).__name__)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "dtype", check_dtype(self.dtype))
        if self.reduction is not None and self.reduction not in _REDUCTIONS:
            raise unknown_name("reduction", str(self.reduction), _REDUCTIONS)
        if hasattr(self, "from_logits"):
            object.__setattr__(self, "from_logits", check_flag(self.logits, "from_logits"))
        if hasattr(self, "label_smoothing"):
            value = check_number(self.label_smoothing, "label_smoothing", 0.0, 1.0)
            object.__setattr__(self, "label_smoothing", value)
        self._check_arguments()
        if type(self) is Loss:
            raise ConfigurationError("Loss is a base class; use one of its subclasses")

    def _check_arguments(self) -> None:
        """Check the numbers that the loss depends on, and make them floats."""
        for argument in self.traits.arguments:
            if isinstance(getattr(type(self), argument.name, None), bool):  # as their defaults are
                value: object = check_flag(getattr(self, argument.name), argument.name)
            else:
                value = check_number(
                    getattr(self, argument.name),
                    argument.name,
                    argument.least,
                    argument.most,
                    open_minimum=not argument.closed,
                    open_maximum=not argument.closed,
                )
            object.__setattr__(self, argument.name, value)

    @property
    def traits(self) -> LossTraits:
        """What the tables of losses say."""
        if isinstance(self.function, Pointwise):
            return POINTWISE[self.function]
        return LossTraits() if self.function is None else ROWWISE[self.function]

    @property
    def in_python(self) -> bool:
        """Whether it is computed in Python, once a batch, and not by a kernel."""
        return not hasattr(self, "code") and hasattr(self, "call")

    @property
    def missing(self) -> bool:
        """Whether it stands for no loss at all."""
        return False

    @property
    def planned(self) -> bool:
        """Whether plans compute it."""
        return hasattr(self, "code")

    @property
    def logits(self) -> bool:
        """Whether the loss takes scores before the activation that it fuses with."""
        return getattr(self, "from_logits", False)

    @property
    def mean(self) -> bool:
        """Whether the reduction divides by the number of rows, or by their weights."""
        return self.reduction in _MEANS

    @property
    def ignored(self) -> int | None:
        """The label of rows that do not count, if there is one."""
        return getattr(self, "ignore_class", None)

    def unknown_label(self, outputs: int) -> int | None:
        """Return the label that is ignored, if it is not one of so many outputs."""
        return None if self.ignored is None or 0 <= self.ignored < outputs else self.ignored

    def weighs_by_batch(self, weighted: bool) -> bool:
        """Return whether a row's weight depends on the others of its batch, or on its label.

        Parameters
        ----------
        weighted : bool
            Whether there are sample weights.
        """
        if not self.planned:
            return False
        return self.ignored is not None or (weighted and self.reduction == "mean_with_sample_weight")

    def smoothing(self, outputs: int) -> tuple[float, float] | None:
        """Return what targets are multiplied by, and what is added to them then, or None."""
        part: float = getattr(self, "label_smoothing", 0.0)
        if not part:
            return None
        return 1.0 - part, part / (outputs if self.classes else 2)

    def apart(self, outputs: int) -> bool:
        """Return whether the loss needs ops besides its own: for smoothed labels, or for probabilities."""
        return self.smoothing(outputs) is not None or (self.logits and self.fused_code is None)

    def kind(self, outputs: int) -> Kind:
        """Return what targets for so many outputs are."""
        return Kind(Numbers.LABEL, outputs) if self.sparse else REAL

    def n_targets(self, outputs: int) -> int:
        """Return how many targets a row has."""
        return 1 if self.sparse else outputs // self.traits.heads

    def check_outputs(self, outputs: int) -> None:
        """Raise for a number of outputs that does not suit the loss.

        Raises
        ------
        ConfigurationError
        """
        if self.classes and outputs < 2:
            raise ConfigurationError(
                f"{self.name} needs at least 2 outputs, one per class, and the model has "
                f"{outputs}; for one output use binary_crossentropy"
            )
        heads = self.traits.heads
        if outputs % heads:
            raise ConfigurationError(
                f"{self.name} needs {heads} outputs for each target, and the model has {outputs}"
            )

    def arguments(self, outputs: int) -> tuple[float, ...]:
        """Return the numbers that the loss depends on."""
        return tuple(float(getattr(self, argument.name)) for argument in self.traits.arguments)

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return the constants of the loss op that follow its reduction and its share."""
        if self.function is None:
            return ()
        if isinstance(self.function, Rowwise):
            return float(self.function), *self.arguments(outputs)
        divisor = 1.0 if self.traits.summed else float(outputs)
        return float(self.function), divisor, *self.arguments(outputs)

    def check_runs(self) -> None:
        """Raise for a class without a kernel and without a method `call`.

        Raises
        ------
        ConfigurationError
        """
        if self.planned and hasattr(self, "call"):
            raise ConfigurationError(
                f"{type(self).__name__} has a method call, which a loss with a kernel does not use; derive "
                "it from Loss"
            )
        if not self.planned and not self.in_python:
            raise ConfigurationError(
                f"{type(self).__name__} cannot run: losses are those of fastnn.losses, or have a method "
                f"call(self, y_true, y_pred); let it {FORM}"
            )

    # -- what users call

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make such a loss, as plain values; `dtype` only if it was given.

        Returns
        -------
        dict
        """
        config: dict[str, Any] = super().get_config()
        if not self.planned and self.name == snake_case(type(self).__name__):
            config.pop("name", None)
        if self.dtype is None:
            config.pop("dtype", None)
        return config

    def __call__(self, y_true: object, y_pred: object, sample_weight: object = None) -> Any:
        """Return the loss of arrays.

        Parameters
        ----------
        y_true : array_like, (..., outputs), or (...) or (..., 1) for integer labels
        y_pred : array_like, (..., outputs)
            The last axis holds the outputs of a row, so that an array of one axis is one row, as in Keras.
            Computed with in float64 if it is an array of that, else in float32.
        sample_weight : array_like, (...) or (..., 1), optional
            A weight for each row, or a number for all.

        Returns
        -------
        float, or numpy.ndarray of shape (...) if the reduction is None

        Raises
        ------
        ShapeError, DataError, DTypeError
            If they do not fit each other.

        Examples
        --------
        >>> import fastnn
        >>> y_true, y_pred = [[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 3.0]]
        >>> fastnn.losses.MeanSquaredError()(y_true, y_pred, sample_weight=[1.0, 0.5])
        1.5
        >>> fastnn.losses.MeanSquaredError(reduction=None)(y_true, y_pred)
        array([0.5, 5. ], dtype=float32)
        """
        self.check_runs()
        return handed_down("loss_of")(self, y_true, y_pred, sample_weight)
