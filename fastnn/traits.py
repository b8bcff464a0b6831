"""What is true of each activation: one row of a table, which all that treat them differently read.

The numbers, which activations work row by row, and which have a derivative that is made of their input, stand
in `_core/types.pxd` as well; `runtime.py` compares them at import.  `ops.py` hands all of this on.  This file
must not know graphs, plans or arrays.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

__all__ = [
    "ACTIVATIONS",
    "ALIASES",
    "BY_NAME",
    "Activation",
    "Doors",
    "Option",
    "Traits",
    "Values",
    "by_names",
    "name_of",
]


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
    RELU6 = 12
    SELU = 13
    GELU = 14
    SILU = 15
    MISH = 16
    CELU = 17
    HARD_SIGMOID = 18
    HARD_SILU = 19
    HARD_TANH = 20
    LOG_SOFTMAX = 21
    LOG_SIGMOID = 22
    SQUAREPLUS = 23
    TANH_SHRINK = 24
    SOFT_SHRINK = 25
    HARD_SHRINK = 26
    THRESHOLD = 27
    RECTIFIER = 28  # ReLU with a slope, a maximum, a threshold
    SPARSE_PLUS = 29
    SPARSE_SIGMOID = 30


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
    flag : bool
        Whether it is True or False, which are 1 and 0 here.
    optional : bool
        Whether it may be None, which is -1 here.

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
    flag: bool = False
    optional: bool = False

    def shown(self, number: float) -> float | None:
        """Return a number as users write it.

        Examples
        --------
        >>> ACTIVATIONS[Activation.GELU].options[0].shown(1.0)
        True
        """
        return bool(number) if self.flag else None if self.optional and number < 0 else number


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
    name : str
        As users write it, if that is the name of another activation, of which this one has more options.
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
    name: str = ""
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
    Activation.RELU6: Traits(
        Values.BOUNDED,
        doors=Doors(
            "``min(max(z, 0), 6)``",
            "`dy` where the forward's output `y` lies between 0 and 6, else 0",
            ("np.array([-1.0, 2.0, 7.0])", "", "array([0., 2., 6.])"),
            ("np.ones(3), np.array([0.0, 2.0, 6.0])", "", "array([0., 1., 0.])"),
        ),
    ),
    Activation.SELU: Traits(
        Values.SCORES,
        doors=Doors(
            "``1.0507 * elu(z, 1.6733)``, which keeps means and variances (Klambauer et al. 2017)",
            "`dy` times 1.0507 where the forward's output `y` is positive, else times ``y + 1.7581``",
            ("np.array([-1.0, 1.0])", ".round(4)", "array([-1.1113,  1.0507])"),
            ("np.ones(2), np.array([-1.0, 1.0])", ".round(4)", "array([0.7581, 1.0507])"),
        ),
    ),
    Activation.GELU: Traits(
        Values.SCORES,
        from_input=True,
        options=(
            Option(
                "approximate",
                0.0,
                text="Whether to take ``sigmoid(1.5958 * (z + 0.044715 * z**3))`` for that share.",
                flag=True,
            ),
        ),
        doors=Doors(
            "`z` times the share of a standard normal distribution below it (Hendrycks and Gimpel 2016)",
            "`dy` times the derivative at `z`",
            ("np.array([-1.0, 0.0, 1.0])", ".round(4)", "array([-0.1587,  0.    ,  0.8413])"),
            ("np.ones(2), np.array([-1.0, 1.0])", ".round(4)", "array([-0.0833,  1.0833])"),
        ),
    ),
    Activation.SILU: Traits(
        Values.SCORES,
        from_input=True,
        doors=Doors(
            "``z * sigmoid(z)``, also called swish (Ramachandran et al. 2017)",
            "`dy` times the derivative at `z`",
            ("np.array([-1.0, 0.0, 1.0])", ".round(4)", "array([-0.2689,  0.    ,  0.7311])"),
            ("np.ones(2), np.array([-1.0, 1.0])", ".round(4)", "array([0.0723, 0.9277])"),
        ),
    ),
    Activation.MISH: Traits(
        Values.SCORES,
        from_input=True,
        doors=Doors(
            "``z * tanh(softplus(z))`` (Misra 2019)",
            "`dy` times the derivative at `z`",
            ("np.array([-1.0, 0.0, 1.0])", ".round(4)", "array([-0.3034,  0.    ,  0.8651])"),
            ("np.ones(2), np.array([-1.0, 1.0])", ".round(4)", "array([0.0592, 1.049 ])"),
        ),
    ),
    Activation.CELU: Traits(
        Values.SCORES,
        options=(Option("alpha", 1.0, 0.0, above=True, text="Larger than 0."),),
        doors=Doors(
            "``z`` where it is positive, else ``alpha * (exp(z / alpha) - 1)`` (Barron 2017)",
            "`dy` where the forward's output `y` is positive, else ``dy * (y / alpha + 1)``",
            ("np.array([-1.0, 2.0]), alpha=0.5", ".round(4)", "array([-0.4323,  2.    ])"),
            ("np.ones(2), np.array([-0.4, 2.0]), alpha=0.5", ".round(4)", "array([0.2, 1. ])"),
        ),
    ),
    Activation.HARD_SIGMOID: Traits(
        Values.PROBABILITIES,
        doors=Doors(
            "``z / 6 + 0.5``, but at least 0 and at most 1",
            "``dy / 6`` where the forward's output `y` lies between 0 and 1, else 0",
            ("np.array([-4.0, 0.0, 1.5])", "", "array([0.  , 0.5 , 0.75])"),
            ("np.full(2, 6.0), np.array([0.0, 0.5])", "", "array([0., 1.])"),
        ),
    ),
    Activation.HARD_SILU: Traits(
        Values.SCORES,
        from_input=True,
        doors=Doors(
            "``z * hard_sigmoid(z)``, also called hard swish (Howard et al. 2019)",
            "`dy` times the derivative at `z`",
            ("np.array([-1.5, 0.0, 4.0])", "", "array([-0.375,  0.   ,  4.   ])"),
            ("np.ones(3), np.array([-4.0, 0.0, 4.0])", "", "array([0. , 0.5, 1. ])"),
        ),
    ),
    Activation.HARD_TANH: Traits(
        Values.BOUNDED,
        doors=Doors(
            "`z`, but at least -1 and at most 1",
            "`dy` where the forward's output `y` lies between -1 and 1, else 0",
            ("np.array([-2.0, 0.5, 3.0])", "", "array([-1. ,  0.5,  1. ])"),
            ("np.ones(3), np.array([-1.0, 0.5, 1.0])", "", "array([0., 1., 0.])"),
        ),
    ),
    Activation.LOG_SOFTMAX: Traits(
        Values.SCORES,
        row_wise=True,
        doors=Doors(
            "the logarithm of `softmax_forward`, ``z - log(sum(exp(z)))`` over the last axis",
            "``dy - exp(y) * sum(dy)`` over the last axis, from the output `y`",
            ("np.zeros((1, 2))", ".round(4)", "array([[-0.6931, -0.6931]])"),
            ("np.array([[1.0, 0.0]]), np.log([[0.5, 0.5]])", "", "array([[ 0.5, -0.5]])"),
        ),
    ),
    Activation.LOG_SIGMOID: Traits(
        Values.SCORES,
        doors=Doors(
            "the logarithm of `sigmoid_forward`, ``-log(1 + exp(-z))``",
            "``dy * (1 - exp(y))`` from the forward's output `y`",
            ("np.array([-100.0, 0.0])", ".round(4)", "array([-100.    ,   -0.6931])"),
            ("np.ones(1), np.log([0.5])", "", "array([0.5])"),
        ),
    ),
    Activation.SQUAREPLUS: Traits(
        Values.SCORES,
        options=(Option("b", 4.0, 0.0, text="How smooth it is; at least 0."),),
        doors=Doors(
            "``(z + sqrt(z**2 + b)) / 2`` (Barron 2021)",
            "``dy * y**2 / (y**2 + b / 4)`` from the forward's output `y`",
            ("np.array([-1.5, 0.0, 1.5])", "", "array([0.5, 1. , 2. ])"),
            ("np.ones(2), np.array([0.5, 1.0])", "", "array([0.2, 0.5])"),
        ),
    ),
    Activation.TANH_SHRINK: Traits(
        Values.SCORES,
        from_input=True,
        doors=Doors(
            "``z - tanh(z)``",
            "``dy * tanh(z)**2``",
            ("np.array([0.0, 1.0])", ".round(4)", "array([0.    , 0.2384])"),
            ("np.ones(2), np.array([0.0, 1.0])", ".round(4)", "array([0.  , 0.58])"),
        ),
    ),
    Activation.SOFT_SHRINK: Traits(
        Values.SCORES,
        options=(Option("threshold", 0.5, 0.0, text="At least 0."),),
        doors=Doors(
            "`z` moved towards 0 by `threshold`, and 0 where it is nearer to that",
            "`dy` where the forward's output `y` is not 0, else 0",
            ("np.array([-2.0, 0.25, 1.0])", "", "array([-1.5,  0. ,  0.5])"),
            ("np.ones(2), np.array([-1.5, 0.0])", "", "array([1., 0.])"),
        ),
    ),
    Activation.HARD_SHRINK: Traits(
        Values.SCORES,
        options=(Option("threshold", 0.5, 0.0, text="At least 0."),),
        doors=Doors(
            "`z` where ``abs(z) > threshold``, else 0",
            "`dy` where the forward's output `y` is not 0, else 0",
            ("np.array([-2.0, 0.25, 1.0])", "", "array([-2.,  0.,  1.])"),
            ("np.ones(2), np.array([-2.0, 0.0])", "", "array([1., 0.])"),
        ),
    ),
    Activation.THRESHOLD: Traits(
        Values.OTHER,
        from_input=True,
        options=(
            Option("threshold", text="Up to which `z` is replaced."),
            Option("default_value", text="What takes its place."),
        ),
        doors=Doors(
            "`z` where it is larger than `threshold`, else `default_value`",
            "`dy` where `z` is larger than `threshold`, else 0",
            ("np.array([0.5, 2.0]), threshold=1.0, default_value=-1.0", "", "array([-1.,  2.])"),
            ("np.ones(2), np.array([0.5, 2.0]), threshold=1.0, default_value=-1.0", "", "array([0., 1.])"),
        ),
    ),
    Activation.RECTIFIER: Traits(
        Values.SCORES,
        from_input=True,
        options=(
            Option("negative_slope", least=0.0),
            Option("max_value", least=0.0, optional=True),
            Option("threshold", least=0.0),
        ),
        layer="ReLU",
        name="relu",
    ),
    Activation.SPARSE_PLUS: Traits(
        Values.SCORES,
        doors=Doors(
            "``(z + 1)**2 / 4`` between -1 and 1, 0 below, `z` above, the smooth kind of ReLU of sparsemax",
            "``dy * sqrt(y)`` where the forward's output `y` is less than 1, else `dy`",
            ("np.array([-2.0, 0.0, 3.0])", "", "array([0.  , 0.25, 3.  ])"),
            ("np.ones(3), np.array([0.0, 0.25, 3.0])", "", "array([0. , 0.5, 1. ])"),
        ),
    ),
    Activation.SPARSE_SIGMOID: Traits(
        Values.PROBABILITIES,
        doors=Doors(
            "``(z + 1) / 2``, but at least 0 and at most 1",
            "``dy / 2`` where the forward's output `y` lies between 0 and 1, else 0",
            ("np.array([-2.0, 0.0, 0.5])", "", "array([0.  , 0.5 , 0.75])"),
            ("np.full(2, 2.0), np.array([0.0, 0.5])", "", "array([0., 1.])"),
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
    return ACTIVATIONS[activation].name or activation.name.lower()


ALIASES = {"swish": Activation.SILU, "hard_swish": Activation.HARD_SILU}
# Those that have a name of their own in the table have that of another activation.
BY_NAME = {name_of(activation): activation for activation in Activation if not ACTIVATIONS[activation].name}
BY_NAME |= ALIASES


def by_names() -> dict[str, tuple[int, tuple[float, ...]]]:
    """Return the codes and numbers of activations by the names that stand for them alone.

    Examples
    --------
    >>> by_names()["leaky_relu"]
    (5, (0.2,))
    """
    defaults = {name: ACTIVATIONS[activation].defaults for name, activation in BY_NAME.items()}
    return {name: (int(BY_NAME[name]), numbers) for name, numbers in defaults.items() if numbers is not None}
