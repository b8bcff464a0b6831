"""Further update rules whose steps adapt to the gradients: formulas of Keras 3."""
# This file must not know layers or kernels.

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fastnn.checks import check_number
from fastnn.opcodes import OpCode
from fastnn.optimizers._base import Optimizer, with_advice
from fastnn.optimizers.schedules import LearningRateSchedule

__all__ = ["Adadelta", "Adamax", "Ftrl", "Lamb", "Lion", "Nadam"]

_DECAY = 0.96  # of Nadam's momentum, towards which it grows
_SETTLED = 1024  # steps after which that has grown, in float64


@with_advice
@dataclass(frozen=True, repr=False)
class Adadelta(Optimizer):
    """Adadelta (Zeiler 2012) in Keras's form.

    ``v <- rho * v + (1 - rho) g^2``, ``d = g * sqrt(u + epsilon) / sqrt(v + epsilon)``,
    ``u <- rho * u + (1 - rho) d^2``, ``w <- w - rate * d``.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        Default 0.001; 1 is the paper's.
    rho : float
        Decay, in [0, 1).
    epsilon : float
        Greater than 0; default 1e-7.
    **options
        See `Optimizer`.

    Raises
    ------
    ConfigurationError
        If a number is out of range.

    Examples
    --------
    >>> Adadelta(1.0).rho
    0.95
    """

    learning_rate: float | LearningRateSchedule = 0.001
    rho: float = 0.95
    epsilon: float = 1e-7

    name: ClassVar[str] = "adadelta"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("rho", 0.0, 1.0)
        self._check("epsilon", 0.0, float("inf"), open_low=True)

    @property
    def code(self) -> OpCode:
        """The update op."""
        return OpCode.ADADELTA

    @property
    def op_states(self) -> tuple[str | None, ...]:
        """What the update op takes: the arrays by their names."""
        return ("accumulated_grad", "accumulated_delta_var")

    def constants(self) -> tuple[float, ...]:
        """Return the op's constants after the regulariser's."""
        return (self.rho, self.epsilon)


@dataclass(frozen=True, repr=False)
class _Moments(Optimizer):
    """Base of the rules with the two moments of Adam."""

    learning_rate: float | LearningRateSchedule = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("beta_1", 0.0, 1.0)
        self._check("beta_2", 0.0, 1.0)
        self._check("epsilon", 0.0, float("inf"), open_low=True)

    @property
    def op_states(self) -> tuple[str | None, ...]:
        """What the update op takes: the arrays by their names."""
        return ("momentum", "velocity")

    def constants(self) -> tuple[float, ...]:
        """Return the op's constants after the regulariser's."""
        return (self.beta_1, self.beta_2, self.epsilon)

    def step_numbers(self, name: str, first: int, count: int) -> np.ndarray:
        """Return a scalar for `count` updates after `first` others; see `Optimizer`."""
        t = np.arange(first + 1.0, first + count + 1.0)
        if name in ("corrected_rate", "moment_correction"):
            return np.asarray(1.0 / (1.0 - self.beta_1**t))
        if name == "square_correction":
            return np.asarray(1.0 / (1.0 - self.beta_2**t))
        return super().step_numbers(name, first, count)


@with_advice
@dataclass(frozen=True, repr=False)
class Adamax(_Moments):
    """Adamax (Kingma and Ba 2015), Adam with the largest gradients, in Keras's form.

    ``m <- m + (1 - beta_1) (g - m)``, ``u <- max(beta_2 * u, |g|)``,
    ``w <- w - rate / (1 - beta_1^t) * m / (u + epsilon)``.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        Default 0.001.
    beta_1, beta_2 : float
        Decay of the moment and of the largest gradient, in [0, 1).
    epsilon : float
        Greater than 0; default 1e-7.
    **options
        See `Optimizer`.

    Raises
    ------
    ConfigurationError
        If a number is out of range.

    Examples
    --------
    >>> Adamax().states
    ('momentum', 'norm')
    """

    name: ClassVar[str] = "adamax"
    update_scalars: ClassVar[tuple[str, ...]] = ("corrected_rate",)

    @property
    def code(self) -> OpCode:
        """The update op."""
        return OpCode.ADAMAX

    @property
    def op_states(self) -> tuple[str | None, ...]:
        """What the update op takes: the arrays by their names."""
        return ("momentum", "norm")


@with_advice
@dataclass(frozen=True, repr=False)
class Nadam(_Moments):
    """Adam with Nesterov's momentum (Dozat 2016) in Keras's form.

    With ``u_t = beta_1 (1 - 0.96^t / 2)``, ``p_t`` the product of ``u_1`` to ``u_t``, and the moments ``m``
    and ``v`` of `Adam`, ``d = u_{t+1} m / (1 - p_{t+1}) + (1 - u_t) g / (1 - p_t)`` and
    ``w <- w - rate * d / (sqrt(v / (1 - beta_2^t)) + epsilon)``.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        Default 0.001.
    beta_1, beta_2 : float
        Decay of the moments, in [0, 1).
    epsilon : float
        Greater than 0; default 1e-7.
    **options
        See `Optimizer`.

    Raises
    ------
    ConfigurationError
        If a number is out of range.

    Examples
    --------
    >>> Nadam(0.01).beta_1
    0.9
    """

    name: ClassVar[str] = "nadam"
    update_scalars: ClassVar[tuple[str, ...]] = ("moment_rate", "gradient_rate", "square_correction")

    @property
    def code(self) -> OpCode:
        """The update op."""
        return OpCode.NADAM

    def step_numbers(self, name: str, first: int, count: int) -> np.ndarray:
        """Return a scalar for `count` updates after `first` others; see `Optimizer`."""
        if name not in ("moment_rate", "gradient_rate"):
            return super().step_numbers(name, first, count)
        t = np.arange(first + 1.0, first + count + 2.0)
        u = self.beta_1 * (1.0 - 0.5 * _DECAY**t)
        grown = np.cumprod(1.0 - 0.5 * _DECAY ** np.arange(1.0, _SETTLED))  # and then changes no more
        products = self.beta_1**t * grown[np.minimum(t.astype(np.int64), _SETTLED - 1) - 1]
        if name == "moment_rate":
            return np.asarray(u[1:] / (1.0 - products[1:]))
        return np.asarray((1.0 - u[:-1]) / (1.0 - products[:-1]))


@with_advice
@dataclass(frozen=True, repr=False)
class Lamb(_Moments):
    """Lamb (You et al. 2020) in Keras's form: Adam's step, as long as the parameter itself.

    With the moments ``m`` and ``v`` of `Adam`,
    ``d = m / (1 - beta_1^t) / (sqrt(v / (1 - beta_2^t)) + epsilon)``,
    ``w <- w - rate * norm(w) / norm(d) * d``, for each parameter; a norm of 0 leaves its quotient out.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        Default 0.001.
    beta_1, beta_2 : float
        Decay of the moments, in [0, 1).
    epsilon : float
        Greater than 0; default 1e-7.
    **options
        See `Optimizer`.

    Raises
    ------
    ConfigurationError
        If a number is out of range.

    Examples
    --------
    >>> Lamb(0.01).beta_2
    0.999
    """

    name: ClassVar[str] = "lamb"
    update_scalars: ClassVar[tuple[str, ...]] = ("rate", "moment_correction", "square_correction")

    @property
    def code(self) -> OpCode:
        """The update op."""
        return OpCode.LAMB


@with_advice
@dataclass(frozen=True, repr=False)
class Lion(Optimizer):
    """Lion (Chen et al. 2023) in Keras's form: steps of one size, by signs.

    ``w <- w - rate * sign(beta_1 * m + (1 - beta_1) g)``, ``m <- beta_2 * m + (1 - beta_2) g``.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        Default 0.001.
    beta_1 : float
        The moment's part in a step, in (0, 1].
    beta_2 : float
        Decay of the moment, in [0, 1].
    **options
        See `Optimizer`.

    Raises
    ------
    ConfigurationError
        If a number is out of range.

    Examples
    --------
    >>> Lion(1e-4).beta_2
    0.99
    """

    learning_rate: float | LearningRateSchedule = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.99

    name: ClassVar[str] = "lion"

    def __post_init__(self) -> None:
        super().__post_init__()
        beta_1 = check_number(self.beta_1, "beta_1", 0.0, 1.0, open_minimum=True)
        object.__setattr__(self, "beta_1", beta_1)
        object.__setattr__(self, "beta_2", check_number(self.beta_2, "beta_2", 0.0, 1.0))

    @property
    def code(self) -> OpCode:
        """The update op."""
        return OpCode.LION

    @property
    def op_states(self) -> tuple[str | None, ...]:
        """What the update op takes: the arrays by their names."""
        return ("momentum",)

    def constants(self) -> tuple[float, ...]:
        """Return the op's constants after the regulariser's."""
        return (self.beta_1, self.beta_2)


@with_advice
@dataclass(frozen=True, repr=False)
class Ftrl(Optimizer):
    """Follow the regularised leader (McMahan et al. 2013) in Keras's form.

    With ``p`` for -`learning_rate_power` and ``h`` for ``g + 2 * l2_shrinkage * w``: ``b = a + g^2``,
    ``z <- z + h - (b^p - a^p) / rate * w``, ``a <- b``, and ``w <- (clip(z, -l1, l1) - z) / (a^p / rate + 2 *
    l2 + beta / rate)``.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        Default 0.001.  It is divided by; where it is 0, nothing changes.
    learning_rate_power : float
        At most 0; default -0.5.
    initial_accumulator_value : float
        What ``a`` begins with, at least 0; default 0.1.
    l1_regularization_strength, l2_regularization_strength : float
        ``l1`` and ``l2``, at least 0.
    l2_shrinkage_regularization_strength : float
        At least 0.
    beta : float
        At least 0.
    **options
        See `Optimizer`.

    Raises
    ------
    ConfigurationError
        If a number is out of range.

    Examples
    --------
    >>> Ftrl(0.1, l1_regularization_strength=0.01).states
    ('accumulator', 'linear')
    """

    learning_rate: float | LearningRateSchedule = 0.001
    learning_rate_power: float = -0.5
    initial_accumulator_value: float = 0.1
    l1_regularization_strength: float = 0.0
    l2_regularization_strength: float = 0.0
    l2_shrinkage_regularization_strength: float = 0.0
    beta: float = 0.0

    name: ClassVar[str] = "ftrl"

    def __post_init__(self) -> None:
        super().__post_init__()
        power = check_number(self.learning_rate_power, "learning_rate_power", -float("inf"), 0.0)
        object.__setattr__(self, "learning_rate_power", power)
        for name in (
            "initial_accumulator_value",
            "l1_regularization_strength",
            "l2_regularization_strength",
            "l2_shrinkage_regularization_strength",
            "beta",
        ):
            self._check(name, 0.0, float("inf"))

    @property
    def code(self) -> OpCode:
        """The update op."""
        return OpCode.FTRL

    @property
    def op_states(self) -> tuple[str | None, ...]:
        """What the update op takes: the arrays by their names."""
        return ("accumulator", "linear")

    @property
    def first_op_states(self) -> tuple[float, ...]:
        """The number that each of them is filled with at the beginning."""
        return (self.initial_accumulator_value, 0.0)

    def constants(self) -> tuple[float, ...]:
        """Return the op's constants after the regulariser's."""
        return (
            -self.learning_rate_power,
            self.l1_regularization_strength,
            self.l2_regularization_strength,
            self.l2_shrinkage_regularization_strength,
            self.beta,
        )
