"""Update rules: frozen descriptions, with the formulas of Keras 3.

A description says which update op it becomes, how many state arrays it keeps per parameter, the op's
constants, and which scalars its ops need in each step.
"""
# This file must not know layers or kernels.

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import ClassVar, TypeVar

import numpy as np

from fastnn.checks import check_flag, check_number, with_arguments_of_keras
from fastnn.described import Described
from fastnn.errors import ConfigurationError
from fastnn.opcodes import OpCode
from fastnn.optimizers import schedules
from fastnn.optimizers.schedules import LearningRateSchedule

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop"]

_Rule = TypeVar("_Rule", bound="Optimizer")
_CLIPS = ("clipnorm", "clipvalue", "global_clipnorm")


@dataclass(frozen=True, repr=False)
class Optimizer(Described):
    """Base of the optimisers.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        Step size, at least 0.
    weight_decay : float, optional
        At least 0: before each update, a parameter ``w`` becomes ``w - rate * weight_decay * w``.
    clipnorm, clipvalue, global_clipnorm : float, optional
        At most one of them, above 0.  Gradients ``g``, those of regularisers included, are limited before
        they are used: each parameter's to the norm `clipnorm`, ``g * min(1, clipnorm / norm(g))``; each
        number to `clipvalue`; all together to the norm `global_clipnorm`.  Where a norm is not finite, they
        become NaN.
    """

    learning_rate: float | LearningRateSchedule = 0.01
    weight_decay: float | None = field(default=None, kw_only=True)
    clipnorm: float | None = field(default=None, kw_only=True)
    clipvalue: float | None = field(default=None, kw_only=True)
    global_clipnorm: float | None = field(default=None, kw_only=True)

    name: ClassVar[str] = ""
    rate_scalar: ClassVar[str] = "rate"  # which of the plan's scalars the update op reads

    def __post_init__(self) -> None:
        if type(self) is Optimizer:
            raise ConfigurationError("Optimizer is a base class; use SGD, Adagrad, Adam, AdamW or RMSprop")
        if isinstance(self.learning_rate, Mapping):  # as `get_config` writes it
            object.__setattr__(self, "learning_rate", schedules.deserialize(self.learning_rate))
        if not isinstance(self.learning_rate, LearningRateSchedule):
            self._check("learning_rate", 0.0, float("inf"))
        if self.weight_decay is not None:
            self._check("weight_decay", 0.0, float("inf"))
        given = [name for name in _CLIPS if getattr(self, name) is not None]
        for name in given:
            self._check(name, 0.0, float("inf"), open_low=True)
        if len(given) > 1:
            raise ConfigurationError(
                f"{type(self).__name__} clips gradients in one way only: keep {given[0]}, and drop "
                f"{' and '.join(given[1:])}, or the other way round"
            )

    def __repr__(self) -> str:
        given = ((one.name, getattr(self, one.name)) for one in fields(self))
        arguments = ", ".join(f"{name}={value!r}" for name, value in given if value is not None)
        return f"{type(self).__name__}({arguments})"

    def _check(self, field: str, low: float, high: float, *, open_low: bool = False) -> None:
        value = check_number(
            getattr(self, field), field, low, high, open_minimum=open_low, open_maximum=high == 1.0
        )
        object.__setattr__(self, field, value)

    @property
    def code(self) -> OpCode:
        """The update op."""
        raise ConfigurationError(
            f"{type(self).__name__} cannot run: optimizers are those of fastnn.optimizers, "
            "SGD, Adagrad, Adam, AdamW and RMSprop"
        )

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the arrays kept per parameter."""
        return ()

    @property
    def first_states(self) -> tuple[float, ...]:
        """The number that each of these arrays is filled with at the beginning."""
        return (0.0,) * len(self.states)

    def constants(self) -> tuple[float, ...]:
        """Return the op's constants after the regulariser's."""
        return ()

    @property
    def clips_norms(self) -> bool:
        """Whether gradients are limited by a norm, so that no update may begin before they all are known."""
        return self.clipnorm is not None or self.global_clipnorm is not None

    @property
    def scalar_names(self) -> tuple[str, ...]:
        """The scalars that the ops of an update read, in the order of the columns of `scalars`."""
        return tuple(dict.fromkeys(("rate", self.rate_scalar))) if self.weight_decay else (self.rate_scalar,)

    def scalars(self, learning_rate: float, first: int, count: int) -> np.ndarray:
        """Return the scalars of each of `count` steps after `first` others.

        Parameters
        ----------
        learning_rate : float
            Which holds where no schedule does.
        first, count : int

        Returns
        -------
        numpy.ndarray, (count, scalars) or (1, scalars), float64
            One row if all steps have the same.

        Examples
        --------
        >>> SGD().scalars(0.5, first=0, count=100)
        array([[0.5]])
        """
        rates = np.array([learning_rate], np.float64)
        if isinstance(self.learning_rate, LearningRateSchedule):
            rates = np.asarray(self.learning_rate.rates(first, count), np.float64)
        columns = [
            rates * self.corrections(first, count) if name == "corrected_rate" else rates
            for name in self.scalar_names
        ]
        if len(columns) == 1:
            return columns[0].reshape(-1, 1)
        table = np.empty((max(map(len, columns)), len(columns)))
        for position, column in enumerate(columns):
            table[:, position] = column
        return table

    def corrections(self, first: int, count: int) -> np.ndarray:
        """Return the factors by which an update rule changes the rates of `count` steps, or of all."""
        return np.ones(1)


def _with_advice(cls: type[_Rule]) -> type[_Rule]:
    """Let an optimizer's constructor say what there is instead of arguments that it does not have."""
    cls.__init__ = with_arguments_of_keras(cls.__name__, "optimizers")(cls.__init__)  # type: ignore[method-assign]
    return cls


@_with_advice
@dataclass(frozen=True, repr=False)
class SGD(Optimizer):
    """Stochastic gradient descent, with momentum and Nesterov's variant.

    Without momentum ``w <- w - rate * g``.  With it ``v <- momentum * v - rate * g`` and
    ``w <- w + v``, or, with `nesterov`, ``w <- w + momentum * v - rate * g`` (Keras's form).

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        Default 0.01.
    momentum : float
        In [0, 1).
    nesterov : bool
    weight_decay : float, optional
        As in `AdamW`.
    clipnorm, clipvalue, global_clipnorm : float, optional
        Limits of gradients, see `Optimizer`.

    Raises
    ------
    ConfigurationError
        If a number is out of range.

    Examples
    --------
    >>> SGD(0.1, momentum=0.9)
    SGD(learning_rate=0.1, momentum=0.9, nesterov=False)
    """

    learning_rate: float | LearningRateSchedule = 0.01
    momentum: float = 0.0
    nesterov: bool = False

    name: ClassVar[str] = "sgd"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("momentum", 0.0, 1.0)
        object.__setattr__(self, "nesterov", check_flag(self.nesterov, "nesterov"))

    @property
    def code(self) -> OpCode:
        """The update op."""
        return OpCode.MOMENTUM if self.momentum else OpCode.SGD

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the arrays kept per parameter."""
        return ("velocity",) if self.momentum else ()

    def constants(self) -> tuple[float, ...]:
        """Return the op's constants after the regulariser's."""
        return (self.momentum, float(self.nesterov)) if self.momentum else ()


# Many nets that are trained alike ask for the same ones.
@functools.lru_cache(maxsize=4)
def _bias_corrections(beta_1: float, beta_2: float, first: int, count: int) -> np.ndarray:
    corrections = np.ones(1)
    if beta_1 or beta_2:
        t = np.arange(first + 1.0, first + count + 1.0)
        corrections = np.sqrt(1.0 - beta_2**t) / (1.0 - beta_1**t)
    corrections.setflags(write=False)
    return corrections


@_with_advice
@dataclass(frozen=True, repr=False)
class Adam(Optimizer):
    """Adam (Kingma and Ba 2015) in Keras's form, with epsilon outside the bias correction.

    ``m <- m + (1 - beta_1) (g - m)``, ``v <- v + (1 - beta_2) (g^2 - v)``,
    ``w <- w - rate * sqrt(1 - beta_2^t) / (1 - beta_1^t) * m / (sqrt(v) + epsilon)``.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        Default 0.001.
    beta_1, beta_2 : float
        Decay of the moments, in [0, 1).
    epsilon : float
        Greater than 0; default 1e-7.
    weight_decay : float, optional
        As in `AdamW`.
    clipnorm, clipvalue, global_clipnorm : float, optional
        Limits of gradients, see `Optimizer`.

    Raises
    ------
    ConfigurationError
        If a number is out of range.

    Examples
    --------
    >>> Adam(beta_2=0.99).beta_2
    0.99
    """

    learning_rate: float | LearningRateSchedule = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    name: ClassVar[str] = "adam"
    rate_scalar: ClassVar[str] = "corrected_rate"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("beta_1", 0.0, 1.0)
        self._check("beta_2", 0.0, 1.0)
        self._check("epsilon", 0.0, float("inf"), open_low=True)

    @property
    def code(self) -> OpCode:
        """The update op."""
        return OpCode.ADAM

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the arrays kept per parameter."""
        return ("momentum", "velocity")

    def constants(self) -> tuple[float, ...]:
        """Return the op's constants after the regulariser's."""
        return (self.beta_1, self.beta_2, self.epsilon)

    def corrections(self, first: int, count: int) -> np.ndarray:
        """Return the bias corrections ``sqrt(1 - beta_2^t) / (1 - beta_1^t)`` of `count` steps, read-only."""
        return _bias_corrections(self.beta_1, self.beta_2, first, count)


@_with_advice
@dataclass(frozen=True, repr=False)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019), in Keras's form.

    Before each update of `Adam`, every trained parameter, biases too, becomes
    ``w - rate * weight_decay * w``.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        Default 0.001.
    weight_decay : float
        At least 0; default 0.004.
    beta_1, beta_2 : float
        Decay of the moments, in [0, 1).
    epsilon : float
        Greater than 0; default 1e-7.
    clipnorm, clipvalue, global_clipnorm : float, optional
        Limits of gradients, see `Optimizer`.

    Raises
    ------
    ConfigurationError
        If a number is out of range.

    Examples
    --------
    >>> AdamW(weight_decay=0.01).weight_decay
    0.01
    """

    name: ClassVar[str] = "adamw"
    weight_decay: float | None = 0.004


@_with_advice
@dataclass(frozen=True, repr=False)
class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton 2012) in Keras's form, neither centred nor with momentum.

    ``v <- rho * v + (1 - rho) g^2``, ``w <- w - rate * g / sqrt(v + epsilon)``.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        Default 0.001.
    rho : float
        Decay, in [0, 1).
    epsilon : float
        Greater than 0; default 1e-7.
    weight_decay : float, optional
        As in `AdamW`.
    clipnorm, clipvalue, global_clipnorm : float, optional
        Limits of gradients, see `Optimizer`.

    Raises
    ------
    ConfigurationError
        If a number is out of range.

    Examples
    --------
    >>> RMSprop().rho
    0.9
    """

    learning_rate: float | LearningRateSchedule = 0.001
    rho: float = 0.9
    epsilon: float = field(default=1e-7, kw_only=True)  # Keras has momentum before it

    name: ClassVar[str] = "rmsprop"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("rho", 0.0, 1.0)
        self._check("epsilon", 0.0, float("inf"), open_low=True)

    @property
    def code(self) -> OpCode:
        """The update op."""
        return OpCode.RMSPROP

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the arrays kept per parameter."""
        return ("velocity",)

    def constants(self) -> tuple[float, ...]:
        """Return the op's constants after the regulariser's."""
        return (self.rho, self.epsilon)


@_with_advice
@dataclass(frozen=True, repr=False)
class Adagrad(Optimizer):
    """Adagrad (Duchi et al. 2011) in Keras's form.

    ``a <- a + g^2``, ``w <- w - rate * g / sqrt(a + epsilon)``.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        Default 0.001.
    initial_accumulator_value : float
        What `a` begins with, at least 0; default 0.1.
    epsilon : float
        Greater than 0; default 1e-7.
    weight_decay : float, optional
        As in `AdamW`.
    clipnorm, clipvalue, global_clipnorm : float, optional
        Limits of gradients, see `Optimizer`.

    Raises
    ------
    ConfigurationError
        If a number is out of range.

    Examples
    --------
    >>> Adagrad(0.1).first_states
    (0.1,)
    """

    learning_rate: float | LearningRateSchedule = 0.001
    initial_accumulator_value: float = 0.1
    epsilon: float = 1e-7

    name: ClassVar[str] = "adagrad"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("initial_accumulator_value", 0.0, float("inf"))
        self._check("epsilon", 0.0, float("inf"), open_low=True)

    @property
    def code(self) -> OpCode:
        """The update op."""
        return OpCode.ADAGRAD

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the arrays kept per parameter."""
        return ("accumulator",)

    @property
    def first_states(self) -> tuple[float, ...]:
        """The number that each of these arrays is filled with at the beginning."""
        return (self.initial_accumulator_value,)

    def constants(self) -> tuple[float, ...]:
        """Return the op's constants after the regulariser's."""
        return (self.epsilon,)
