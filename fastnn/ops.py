"""The vocabulary of plans that needs nothing else: kinds of arrays, activations, point-wise losses.

Whoever treats one activation differently from another reads `ACTIVATIONS`.  The numbers, which activations
work row by row, and which have a derivative that is made of their input, stand in `_core/types.pxd` as well;
`runtime.py` compares them at import.  This file must not know graphs, plans or arrays.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

__all__ = [
    "ACTIVATIONS",
    "BY_NAME",
    "POINTWISE",
    "REAL",
    "Activation",
    "Argument",
    "Doors",
    "Kind",
    "Numbers",
    "Option",
    "Pointwise",
    "Traits",
    "Values",
    "by_names",
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
        What the backward function returns, given `dy` and the output `y`, or the input `z`.
    value_example, slope_example : tuple of (str, str, str)
        Arguments, what is done with the result, and how that prints.

    Examples
    --------
    >>> ACTIVATIONS[Activation.TANH].doors.slope
    "``dy * (1 - y**2)`` from the forward's output `y`"
    """

    value: str
    slope: str
    value_example: tuple[str, str, str]
    slope_example: tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Option:
    """A number that an activation has besides its input.

    Attributes
    ----------
    name : str
        As in Keras.
    default : float or None
        What it is by the activation's name alone; None if it must be given.
    least : float
        Which it may not fall below.
    above : bool
        Whether it must be larger than `least`.
    text : str
        What is said of it in `fastnn.kernels`.

    Examples
    --------
    >>> ACTIVATIONS[Activation.ELU].options[0].name
    'alpha'
    """

    name: str
    default: float | None = None
    least: float = -math.inf
    above: bool = False
    text: str = ""


@dataclass(frozen=True, slots=True)
class Traits:
    """What is true of an activation.

    Attributes
    ----------
    values : Values
    row_wise : bool
        Whether an element depends on all of its row; else only on the element itself.
    from_input : bool
        Whether its derivative is made of its input, which then is kept for the backward pass; else of its
        output.
    options : tuple of Option
        The numbers that it has besides: the constants of its ops, in this order.
    layer : str
        The layer that gives them, if there is one.
    finite_at_zero : bool
    doors : Doors or None
        What its functions in `fastnn.kernels` say; None if it has none there.

    Examples
    --------
    >>> ACTIVATIONS[Activation.ELU].defaults, ACTIVATIONS[Activation.LOG].fills_vectors
    ((1.0,), False)
    """

    values: Values
    row_wise: bool = False
    from_input: bool = False
    options: tuple[Option, ...] = ()
    layer: str = ""
    finite_at_zero: bool = True
    doors: Doors | None = None

    @property
    def fills_vectors(self) -> bool:
        """Whether it may run with the batch as the fast axis, whose vectors are filled up with zeros."""
        return self.finite_at_zero and not self.row_wise

    @property
    def defaults(self) -> tuple[float, ...] | None:
        """Its numbers by its name alone; None if some must be given."""
        given = tuple(option.default for option in self.options if option.default is not None)
        return given if len(given) == len(self.options) else None


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
        options=(
            Option(
                "negative_slope",
                0.2,
                0.0,
                text="At least 0; default 0.2, as by name.  The layer `LeakyReLU` has 0.3.",
            ),
        ),
        layer="LeakyReLU",
        doors=Doors(
            "``z`` where it is positive, else ``negative_slope * z``",
            "``dy`` times 1 where the output `y` is positive, else `negative_slope`",
            ("np.array([[-1.0, 2.0]]), negative_slope=0.1", "", "array([[-0.1,  2. ]])"),
            (
                "np.array([[3.0, 4.0]]), np.array([[-1.0, 2.0]]), negative_slope=0.5",
                "",
                "array([[1.5, 4. ]])",
            ),
        ),
    ),
    Activation.ELU: Traits(
        Values.SCORES,
        options=(Option("alpha", 1.0, 0.0, text="At least 0."),),
        layer="ELU",
        doors=Doors(
            "``z`` where it is positive, else ``alpha * (exp(z) - 1)``",
            "`dy` where the forward's output `y` is positive, else ``dy * (y + alpha)``",
            ("np.array([[-1.0, 2.0]])", ".round(4)", "array([[-0.6321,  2.    ]])"),
            ("np.ones((1, 2)), np.array([[-0.5, 2.0]])", "", "array([[0.5, 1. ]])"),
        ),
    ),
    Activation.EXPONENTIAL: Traits(Values.OTHER),
    Activation.RECIPROCAL: Traits(Values.OTHER, finite_at_zero=False),
    Activation.LOG: Traits(Values.OTHER, from_input=True, finite_at_zero=False),
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


def name_of(activation: Activation) -> str:
    """Return an activation's name as users write it.

    Examples
    --------
    >>> name_of(Activation.SOFTMAX)
    'softmax'
    """
    return activation.name.lower()


BY_NAME = {name_of(activation): activation for activation in Activation}


def by_names() -> dict[str, tuple[int, tuple[float, ...]]]:
    """Return the codes and numbers of activations by the names that stand for them alone.

    Examples
    --------
    >>> by_names()["leaky_relu"]
    (5, (0.2,))
    """
    defaults = {name: ACTIVATIONS[activation].defaults for name, activation in BY_NAME.items()}
    return {
        name: (int(BY_NAME[name]), numbers) for name, numbers in defaults.items() if numbers is not None
    }


class Pointwise(enum.IntEnum):
    """Losses of one output and its target each, by the number that kernels know them by."""

    ABSOLUTE_ERROR = 0
    HUBER = 1


@dataclass(frozen=True, slots=True)
class Argument:
    """The one number that a point-wise loss depends on besides output and target.

    Attributes
    ----------
    name : str
        As the loss calls it.
    least, most : float
        Between which it lies.

    Examples
    --------
    >>> Argument("delta").takes(1.0), Argument("delta").takes(0.0)
    (True, False)
    """

    name: str
    least: float = 0.0
    most: float = math.inf

    def takes(self, value: float) -> bool:
        """Return whether a value is allowed."""
        return self.least < value < self.most


POINTWISE: dict[Pointwise, Argument | None] = {
    Pointwise.ABSOLUTE_ERROR: None,
    Pointwise.HUBER: Argument("delta"),
}
