"""The vocabulary of plans that needs nothing else: kinds of arrays, activations, losses by tables.

Whoever treats one activation differently from another reads `ACTIVATIONS`.  The numbers, which activations
work row by row, and which have no slope of their output, stand in `_core/types.pxd` as well; `runtime.py`
compares them at import.  This file must not know graphs, plans or arrays.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

__all__ = [
    "ACTIVATIONS",
    "ALPHAS",
    "BY_NAME",
    "POINTWISE",
    "REAL",
    "ROWWISE",
    "Activation",
    "Argument",
    "Doors",
    "Kind",
    "LossTraits",
    "Numbers",
    "Pointwise",
    "Rowwise",
    "Traits",
    "Values",
    "alphas",
    "name_of",
]


class Numbers(enum.Enum):
    """What the numbers of an array of the caller stand for."""

    REAL = "real numbers"
    LABEL = "labels"  # of classes
    INDEX = "indices"  # of the rows of a table


@dataclass(frozen=True, slots=True)
class Kind:
    """What an array of the caller may hold.  The border checks it, and kernels then trust it.

    Attributes
    ----------
    numbers : Numbers
    limit : int
        Real numbers have none, 0; others are whole numbers from 0 to ``limit - 1``.

    Examples
    --------
    >>> Kind(Numbers.LABEL, 10).is_whole, Kind().is_whole
    (True, False)
    """

    numbers: Numbers = Numbers.REAL
    limit: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether it holds whole numbers, by which kernels find places in memory."""
        return self.numbers is not Numbers.REAL

    def serves(self, wanted: Kind) -> bool:
        """Return whether all that it may hold is what an op takes: the same, with no higher limit."""
        return self.numbers is wanted.numbers and self.limit <= wanted.limit

    def __str__(self) -> str:
        return f"{self.numbers.value} below {self.limit}" if self.is_whole else self.numbers.value


REAL = Kind()


class Activation(enum.IntEnum):
    """Activation functions by the number that kernels know them by."""

    LINEAR = 0
    SIGMOID = 1
    TANH = 2
    RELU = 3
    SOFTMAX = 4
    LEAKY_RELU = 5
    ELU = 6
    EXPONENTIAL = 7
    RECIPROCAL = 8
    LOG = 9
    SOFTPLUS = 10
    SOFTSIGN = 11


class Values(enum.Enum):
    """What an activation makes of the sums of a dense layer."""

    SCORES = "scores"  # without limit
    BOUNDED = "bounded scores"  # which a sum or a product may turn into probabilities
    PROBABILITIES = "probabilities"
    OTHER = "other"  # parts of formulas, such as the exponentials of a softmax


@dataclass(frozen=True, slots=True)
class Doors:
    """What users read of an activation's functions in `fastnn.kernels`.

    Attributes
    ----------
    value : str
        What the forward function returns, given `z`.
    slope : str
        What the backward function returns, given `dy` and the output `y`.
    value_example, slope_example : tuple of (str, str, str)
        Arguments, what is done with the result, and how that prints.
    option : str
        What is said of the slope or scale, if it has one.

    Examples
    --------
    >>> ACTIVATIONS[Activation.TANH].doors.slope
    "``dy * (1 - y**2)`` from the forward's output `y`"
    """

    value: str
    slope: str
    value_example: tuple[str, str, str]
    slope_example: tuple[str, str, str]
    option: str = ""


@dataclass(frozen=True, slots=True)
class Traits:
    """What is true of an activation.

    Attributes
    ----------
    values : Values
    row_wise : bool
        Whether an element depends on all of its row; else only on the element itself.
    slope : Activation or None
        The activation that is its derivative, as a function of x; None where the derivative follows from y.
    alpha : float or None
        The slope or scale that it has by its name, as in Keras; None if it has none.
    layer : tuple of (str, str) or None
        The layer that gives another slope or scale, and that argument's name.
    finite_at_zero : bool
    doors : Doors or None
        What its functions in `fastnn.kernels` say; None if it has none there.

    Examples
    --------
    >>> ACTIVATIONS[Activation.ELU].alpha, ACTIVATIONS[Activation.LOG].fills_vectors
    (1.0, False)
    """

    values: Values
    row_wise: bool = False
    slope: Activation | None = None
    alpha: float | None = None
    layer: tuple[str, str] | None = None
    finite_at_zero: bool = True
    doors: Doors | None = None

    @property
    def fills_vectors(self) -> bool:
        """Whether it may run with the batch as the fast axis, whose vectors are filled up with zeros."""
        return self.finite_at_zero and not self.row_wise


ACTIVATIONS: dict[Activation, Traits] = {
    Activation.LINEAR: Traits(Values.SCORES),
    Activation.SIGMOID: Traits(
        Values.PROBABILITIES,
        doors=Doors(
            "``1 / (1 + exp(-z))``",
            "``dy * y * (1 - y)`` from the forward's output `y`",
            ("np.array([[-5.0, 5.0, 2.0]])", ".round(3)", "array([[0.007, 0.993, 0.881]])"),
            ("np.ones((1, 1)), np.full((1, 1), 0.5)", "", "array([[0.25]])"),
        ),
    ),
    Activation.TANH: Traits(
        Values.BOUNDED,
        doors=Doors(
            "the hyperbolic tangent",
            "``dy * (1 - y**2)`` from the forward's output `y`",
            ("np.array([[0.0, 1.0]])", ".round(4)", "array([[0.    , 0.7616]])"),
            ("np.ones((1, 1)), np.full((1, 1), 0.5)", "", "array([[0.75]])"),
        ),
    ),
    Activation.RELU: Traits(
        Values.SCORES,
        doors=Doors(
            "``max(z, 0)``, NaN for NaN",
            "`dy` where the forward's output `y` is positive, else 0",
            ("np.array([[-1.0, 2.0]])", "", "array([[0., 2.]])"),
            ("np.array([[3.0, 4.0]]), np.array([[0.0, 2.0]])", "", "array([[0., 4.]])"),
        ),
    ),
    Activation.SOFTMAX: Traits(
        Values.PROBABILITIES,
        row_wise=True,
        doors=Doors(
            "``exp(z) / sum(exp(z))`` over the last axis, shifted by its maximum",
            "``y * (dy - sum(dy * y))`` over the last axis, from the output `y`",
            ("np.zeros((1, 4))", "", "array([[0.25, 0.25, 0.25, 0.25]])"),
            ("np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])", "", "array([[ 0.25, -0.25]])"),
        ),
    ),
    Activation.LEAKY_RELU: Traits(
        Values.SCORES,
        alpha=0.2,
        layer=("LeakyReLU", "negative_slope"),
        doors=Doors(
            "``z`` where it is positive, else ``negative_slope * z``",
            "``dy`` times 1 where the output `y` is positive, else `negative_slope`",
            ("np.array([[-1.0, 2.0]]), negative_slope=0.1", "", "array([[-0.1,  2. ]])"),
            (
                "np.array([[3.0, 4.0]]), np.array([[-1.0, 2.0]]), negative_slope=0.5",
                "",
                "array([[1.5, 4. ]])",
            ),
            "At least 0; default 0.2, as by name.  The layer `LeakyReLU` has 0.3.",
        ),
    ),
    Activation.ELU: Traits(
        Values.SCORES,
        alpha=1.0,
        layer=("ELU", "alpha"),
        doors=Doors(
            "``z`` where it is positive, else ``alpha * (exp(z) - 1)``",
            "`dy` where the forward's output `y` is positive, else ``dy * (y + alpha)``",
            ("np.array([[-1.0, 2.0]])", ".round(4)", "array([[-0.6321,  2.    ]])"),
            ("np.ones((1, 2)), np.array([[-0.5, 2.0]])", "", "array([[0.5, 1. ]])"),
            "At least 0.",
        ),
    ),
    Activation.EXPONENTIAL: Traits(Values.OTHER),
    Activation.RECIPROCAL: Traits(Values.OTHER, finite_at_zero=False),
    Activation.LOG: Traits(Values.OTHER, slope=Activation.RECIPROCAL, finite_at_zero=False),
    Activation.SOFTPLUS: Traits(
        Values.SCORES,
        doors=Doors(
            "``log(1 + exp(z))``, a smooth ReLU",
            "``dy * (1 - exp(-y))`` from the forward's output `y`",
            ("np.array([-100.0, 0.0, 100.0])", ".round(4)", "array([  0.    ,   0.6931, 100.    ])"),
            ("np.ones((1, 1)), np.log([[2.0]])", "", "array([[0.5]])"),
        ),
    ),
    Activation.SOFTSIGN: Traits(
        Values.BOUNDED,
        doors=Doors(
            "``z / (1 + abs(z))``",
            "``dy * (1 - abs(y))^2`` from the forward's output `y`",
            ("np.array([-1.0, 0.0, 3.0])", "", "array([-0.5 ,  0.  ,  0.75])"),
            ("np.ones((1, 1)), np.array([[0.5]])", "", "array([[0.25]])"),
        ),
    ),
}

# The slope or scale of those that have one; kernels get them by `alphas`.
ALPHAS = {activation: traits.alpha for activation, traits in ACTIVATIONS.items() if traits.alpha is not None}


def name_of(activation: Activation) -> str:
    """Return an activation's name as users write it.

    Examples
    --------
    >>> name_of(Activation.SOFTMAX)
    'softmax'
    """
    return activation.name.lower()


def alphas() -> dict[str, float]:
    """Return the slope or scale of the activations that have one, by name.

    Examples
    --------
    >>> alphas()
    {'leaky_relu': 0.2, 'elu': 1.0}
    """
    return {name_of(activation): alpha for activation, alpha in ALPHAS.items()}


BY_NAME = {name_of(activation): activation for activation in Activation}


class Pointwise(enum.IntEnum):
    """Losses of one output and its target each, by the number that kernels know them by."""

    ABSOLUTE_ERROR = 0
    HUBER = 1
    PERCENTAGE_ERROR = 2
    LOGARITHMIC_ERROR = 3
    LOG_COSH = 4
    POISSON = 5
    HINGE = 6
    SQUARED_HINGE = 7
    QUANTILE = 8
    GAMMA = 9
    TWEEDIE = 10
    KL_DIVERGENCE = 11
    BINARY_FOCAL = 12
    QUANTILES = 13


class Rowwise(enum.IntEnum):
    """Losses of a row of outputs and its targets, by the number that kernels know them by."""

    COSINE_SIMILARITY = 0
    CATEGORICAL_HINGE = 1
    CATEGORICAL_FOCAL = 2
    GAUSSIAN = 3


@dataclass(frozen=True, slots=True)
class Argument:
    """A number that a loss depends on besides outputs and targets.

    Attributes
    ----------
    name : str
        As the loss calls it.
    least, most : float
        Between which it lies.
    closed : bool
        Whether these two are allowed themselves.

    Examples
    --------
    >>> Argument("delta").takes(1.0), Argument("delta").takes(0.0)
    (True, False)
    """

    name: str
    least: float = 0.0
    most: float = math.inf
    closed: bool = False

    def takes(self, value: float) -> bool:
        """Return whether a value is allowed."""
        return self.least < value < self.most or (self.closed and value in (self.least, self.most))


@dataclass(frozen=True, slots=True)
class LossTraits:
    """What is true of a point-wise or row-wise loss.

    Attributes
    ----------
    arguments : tuple of Argument
        The numbers that follow it in an op's constants.
    summed : bool
        Of a point-wise loss, whether a row's value is the sum over its outputs, not the mean.
    by_output : bool
        Whether each output has the one argument for itself.
    heads : int
        Of a row-wise loss, the outputs for each target.

    Examples
    --------
    >>> POINTWISE[Pointwise.QUANTILES].takes((0.1, 0.9), 2), POINTWISE[Pointwise.HUBER].takes((0.0,), 2)
    (True, False)
    """

    arguments: tuple[Argument, ...] = ()
    summed: bool = False
    by_output: bool = False
    heads: int = 1

    def takes(self, values: tuple[float, ...], outputs: int) -> bool:
        """Return whether these are arguments for so many outputs."""
        arguments = self.arguments * outputs if self.by_output else self.arguments
        return len(values) == len(arguments) and all(
            argument.takes(value) for argument, value in zip(arguments, values, strict=True)
        )


_GAMMA = Argument("gamma", closed=True)
_ALPHA = Argument("alpha", closed=True)
_QUANTILE = Argument("quantiles", most=1.0)

POINTWISE: dict[Pointwise, LossTraits] = {
    Pointwise.ABSOLUTE_ERROR: LossTraits(),
    Pointwise.HUBER: LossTraits((Argument("delta"),)),
    Pointwise.PERCENTAGE_ERROR: LossTraits(),
    Pointwise.LOGARITHMIC_ERROR: LossTraits(),
    Pointwise.LOG_COSH: LossTraits(),
    Pointwise.POISSON: LossTraits(),
    Pointwise.HINGE: LossTraits(),
    Pointwise.SQUARED_HINGE: LossTraits(),
    Pointwise.QUANTILE: LossTraits((_QUANTILE,)),
    Pointwise.GAMMA: LossTraits(),
    Pointwise.TWEEDIE: LossTraits((Argument("power", 1.0, 2.0),)),
    Pointwise.KL_DIVERGENCE: LossTraits(summed=True),
    Pointwise.BINARY_FOCAL: LossTraits((_GAMMA, _ALPHA, Argument("apply_class_balancing", 0.0, 1.0, True))),
    Pointwise.QUANTILES: LossTraits((_QUANTILE,), by_output=True),
}
ROWWISE: dict[Rowwise, LossTraits] = {
    Rowwise.COSINE_SIMILARITY: LossTraits(),
    Rowwise.CATEGORICAL_HINGE: LossTraits(),
    Rowwise.CATEGORICAL_FOCAL: LossTraits((_GAMMA, _ALPHA)),
    Rowwise.GAUSSIAN: LossTraits((Argument("eps", closed=True), Argument("full", 0.0, 1.0, True)), heads=2),
}
