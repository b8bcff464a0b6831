"""Losses of probabilities, and of means of counts and amounts: likelihoods and deviances.

This file must not know layers or kernels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fastnn.checks import check_count
from fastnn.losses._base import Loss, as_in_keras
from fastnn.opcodes import OpCode
from fastnn.ops import Activation, Pointwise, Rowwise

__all__ = [
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "Gamma",
    "GaussianNLL",
    "KLDivergence",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "Tweedie",
]


@as_in_keras
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
    label_smoothing : float
        Between 0 and 1: targets t become ``(1 - label_smoothing) t + label_smoothing / classes``.
    reduction : str or None

    Examples
    --------
    >>> CategoricalCrossentropy(from_logits=True).logits
    True
    """

    from_logits: bool = False
    label_smoothing: float = 0.0

    default_name: ClassVar[str] = "categorical_crossentropy"
    code: ClassVar[OpCode] = OpCode.CROSSENTROPY
    fused_code: ClassVar[OpCode | None] = OpCode.SOFTMAX_CROSSENTROPY
    fuses: ClassVar[Activation | None] = Activation.SOFTMAX
    classes: ClassVar[bool] = True
    probabilities: ClassVar[bool] = True

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return that targets are not labels."""
        return (0.0,)


@as_in_keras
@dataclass(frozen=True)
class SparseCategoricalCrossentropy(Loss):
    """Cross-entropy ``-log(y[label])`` for integer labels 0 to classes - 1.

    Computed as in `CategoricalCrossentropy`, without building one-hot targets.  Rows with the label
    `ignore_class` do not count, nor are they counted: the mean is that of the batch's other rows, as in
    Keras.

    Parameters
    ----------
    from_logits : bool
        Whether the model's outputs are scores before the softmax.
    ignore_class : int, optional
        A label, which need not be one of the classes, such as -1.
    reduction : str or None

    Raises
    ------
    DTypeError
        If `ignore_class` is not an integer.

    Examples
    --------
    >>> SparseCategoricalCrossentropy().sparse
    True
    """

    from_logits: bool = False
    ignore_class: int | None = None

    default_name: ClassVar[str] = "sparse_categorical_crossentropy"
    code: ClassVar[OpCode] = OpCode.CROSSENTROPY
    fused_code: ClassVar[OpCode | None] = OpCode.SOFTMAX_CROSSENTROPY
    fuses: ClassVar[Activation | None] = Activation.SOFTMAX
    sparse: ClassVar[bool] = True
    classes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ignore_class is not None:
            value = check_count(self.ignore_class, "ignore_class", -(2**31))
            object.__setattr__(self, "ignore_class", value)

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return that targets are labels."""
        return (1.0,)


@as_in_keras
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
    label_smoothing : float
        Between 0 and 1: targets t become ``(1 - label_smoothing) t + label_smoothing / 2``.
    reduction : str or None

    Examples
    --------
    >>> BinaryCrossentropy().mean
    True
    """

    from_logits: bool = False
    label_smoothing: float = 0.0

    default_name: ClassVar[str] = "binary_crossentropy"
    code: ClassVar[OpCode] = OpCode.BINARY_CROSSENTROPY
    fused_code: ClassVar[OpCode | None] = OpCode.SIGMOID_CROSSENTROPY
    fuses: ClassVar[Activation | None] = Activation.SIGMOID
    probabilities: ClassVar[bool] = True


@as_in_keras
@dataclass(frozen=True)
class BinaryFocalCrossentropy(Loss):
    """Binary cross-entropy of which rows that are right already have little: times ``(1 - p)^gamma``.

    p is the probability of what is true, ``t y + (1 - t) (1 - y)``.  The mean over a row's outputs.  With
    `from_logits` the sigmoid is applied first, as in Keras, and clipping is that of `BinaryCrossentropy`
    after anything but a sigmoid.  After Lin et al. 2018.

    Parameters
    ----------
    apply_class_balancing : bool
        Whether ones are weighed by alpha, and zeros by ``1 - alpha``.
    alpha : float
        At least 0.
    gamma : float
        At least 0; with 0 it is the cross-entropy.
    from_logits : bool
        Whether the model's outputs are scores before the sigmoid.
    label_smoothing : float
        Between 0 and 1: targets t become ``(1 - label_smoothing) t + label_smoothing / 2``.
    reduction : str or None

    Raises
    ------
    ConfigurationError
        If a number is out of range.
    DTypeError
        If an argument is not of its type.

    Examples
    --------
    >>> BinaryFocalCrossentropy(gamma=3.0).gamma
    3.0
    """

    apply_class_balancing: bool = False
    alpha: float = 0.25
    gamma: float = 2.0
    from_logits: bool = False
    label_smoothing: float = 0.0

    default_name: ClassVar[str] = "binary_focal_crossentropy"
    code: ClassVar[OpCode] = OpCode.POINTWISE_LOSS
    function: ClassVar[Pointwise | Rowwise | None] = Pointwise.BINARY_FOCAL
    fuses: ClassVar[Activation | None] = Activation.SIGMOID
    probabilities: ClassVar[bool] = True


@as_in_keras
@dataclass(frozen=True)
class CategoricalFocalCrossentropy(Loss):
    """Cross-entropy of which rows that are right already have little: ``-alpha sum(t (1 - p)^gamma log(p))``.

    p are the outputs of a row over their sum, clipped as in `CategoricalCrossentropy` after anything but a
    softmax; `t` is one-hot or a distribution.  With `from_logits` the softmax is applied first, as in Keras.
    After Lin et al. 2018.

    Parameters
    ----------
    alpha : float
        Factor of all classes, at least 0.
    gamma : float
        At least 0; with 0 it is the cross-entropy times alpha.
    from_logits : bool
        Whether the model's outputs are scores before the softmax.
    label_smoothing : float
        Between 0 and 1: targets t become ``(1 - label_smoothing) t + label_smoothing / classes``.
    reduction : str or None

    Raises
    ------
    ConfigurationError
        If a number is out of range.
    DTypeError
        If an argument is not of its type.

    Examples
    --------
    >>> CategoricalFocalCrossentropy(gamma=3.0).alpha
    0.25
    """

    alpha: float = 0.25
    gamma: float = 2.0
    from_logits: bool = False
    label_smoothing: float = 0.0

    default_name: ClassVar[str] = "categorical_focal_crossentropy"
    code: ClassVar[OpCode] = OpCode.ROWWISE_LOSS
    function: ClassVar[Pointwise | Rowwise | None] = Rowwise.CATEGORICAL_FOCAL
    fuses: ClassVar[Activation | None] = Activation.SOFTMAX
    classes: ClassVar[bool] = True
    probabilities: ClassVar[bool] = True


@as_in_keras
@dataclass(frozen=True)
class KLDivergence(Loss):
    """Kullback-Leibler divergence ``sum(t log(t / y))`` over the outputs of a row; `t` is a distribution.

    Outputs and targets are kept within 1e-7 and 1; outputs outside of that have no gradient.  They are not
    divided by their sum: the last layer is a softmax.

    Parameters
    ----------
    reduction : str or None

    Examples
    --------
    >>> KLDivergence().name
    'kl_divergence'
    """

    reduction: str | None = "sum_over_batch_size"

    default_name: ClassVar[str] = "kl_divergence"
    code: ClassVar[OpCode] = OpCode.POINTWISE_LOSS
    function: ClassVar[Pointwise | Rowwise | None] = Pointwise.KL_DIVERGENCE


@as_in_keras
@dataclass(frozen=True)
class Poisson(Loss):
    """Negative log-likelihood of counts, ``mean(y - t log(y + 1e-7))`` over the outputs of a row.

    The outputs y are the means, and must not be negative: the last layer has an activation such as
    ``"exponential"`` or ``"softplus"``.  What does not depend on y is left out, so that it may be negative.

    Parameters
    ----------
    reduction : str or None

    Examples
    --------
    >>> Poisson().name
    'poisson'
    """

    reduction: str | None = "sum_over_batch_size"

    default_name: ClassVar[str] = "poisson"
    code: ClassVar[OpCode] = OpCode.POINTWISE_LOSS
    function: ClassVar[Pointwise | Rowwise | None] = Pointwise.POISSON
    positive: ClassVar[bool] = True


@as_in_keras
@dataclass(frozen=True)
class Gamma(Loss):
    """Deviance of the gamma distribution, ``2 mean(log(y / t) + t / y - 1)`` over the outputs of a row.

    For amounts whose spread grows with their mean, such as costs and durations: an error counts in
    proportion.  The outputs y are the means, and must be above 0, as after ``"exponential"`` or
    ``"softplus"``; targets are above 0.  As scikit-learn's ``mean_gamma_deviance``.

    Parameters
    ----------
    reduction : str or None

    Examples
    --------
    >>> Gamma().name
    'gamma'
    """

    reduction: str | None = "sum_over_batch_size"

    default_name: ClassVar[str] = "gamma"
    code: ClassVar[OpCode] = OpCode.POINTWISE_LOSS
    function: ClassVar[Pointwise | Rowwise | None] = Pointwise.GAMMA
    positive: ClassVar[bool] = True
    above: ClassVar[float | None] = 0.0


@as_in_keras
@dataclass(frozen=True)
class Tweedie(Loss):
    """Deviance of a Tweedie distribution: amounts of which some are exactly 0, such as claims and rainfall.

    With the power p, the mean over a row's outputs of
    ``2 (t^(2 - p) / ((1 - p) (2 - p)) - t y^(1 - p) / (1 - p) + y^(2 - p) / (2 - p))``.  The outputs y are
    the means, and must be above 0, as after ``"exponential"`` or ``"softplus"``; targets are at least 0.  As
    scikit-learn's ``mean_tweedie_deviance``.

    Parameters
    ----------
    power : float
        Between 1, where it would be that of `Poisson`, and 2, where it would be `Gamma`.
    reduction : str or None

    Raises
    ------
    ConfigurationError
        If the power is not above 1 and below 2.
    DTypeError
        If it is not a number.

    Examples
    --------
    >>> Tweedie(1.2).power
    1.2
    """

    power: float = 1.5

    default_name: ClassVar[str] = "tweedie"
    code: ClassVar[OpCode] = OpCode.POINTWISE_LOSS
    function: ClassVar[Pointwise | Rowwise | None] = Pointwise.TWEEDIE
    positive: ClassVar[bool] = True
    least: ClassVar[float | None] = 0.0


@as_in_keras
@dataclass(frozen=True)
class GaussianNLL(Loss):
    """Negative log-likelihood of normal distributions, of which the model predicts mean and variance.

    The model has two outputs for each of k targets, of a linear last layer: first the k means y, then k
    numbers s of which the variances ``v = eps + exp(s)`` are made.  The mean over the targets of a row of
    ``(log(v) + (y - t)^2 / v) / 2``.  As torch.nn.GaussianNLLLoss for the variances v, where eps is a bound.

    Parameters
    ----------
    full : bool
        Whether to add the constant ``log(2 pi) / 2``.
    eps : float
        The least variance, at least 0.
    reduction : str or None

    Raises
    ------
    ConfigurationError
        If a number is out of range.
    DTypeError
        If an argument is not of its type.

    Examples
    --------
    >>> GaussianNLL().n_targets(4)
    2
    """

    full: bool = False
    eps: float = 1e-6

    default_name: ClassVar[str] = "gaussian_nll"
    code: ClassVar[OpCode] = OpCode.ROWWISE_LOSS
    function: ClassVar[Pointwise | Rowwise | None] = Rowwise.GAUSSIAN
