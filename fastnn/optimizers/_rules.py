"""The usual update rules: SGD, Adam, AdamW, RMSprop, Adagrad, with the formulas of Keras 3."""
# This file must not know layers or kernels.

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fastnn.checks import check_flag, check_number
from fastnn.errors import ConfigurationError
from fastnn.opcodes import OpCode
from fastnn.optimizers._base import Optimizer, with_advice
from fastnn.optimizers.schedules import LearningRateSchedule

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "RMSprop"]


@with_advice
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
    **options
        See `Optimizer`.

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
    def op_states(self) -> tuple[str | None, ...]:
        """What the update op takes: the arrays by their names."""
        return ("velocity",) if self.momentum else ()

    def constants(self) -> tuple[float, ...]:
        """Return the op's constants after the regulariser's."""
        return (self.momentum, float(self.nesterov)) if self.momentum else ()


# Many nets that are trained alike ask for the same ones.
@functools.lru_cache(maxsize=4)
def bias_corrections(beta_1: float, beta_2: float, first: int, count: int) -> np.ndarray:
    corrections = np.ones(1)
    if beta_1 or beta_2:
        t = np.arange(first + 1.0, first + count + 1.0)
        corrections = np.sqrt(1.0 - beta_2**t) / (1.0 - beta_1**t)
    corrections.setflags(write=False)
    return corrections


@with_advice
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
    amsgrad : bool
        Whether the largest ``v`` so far takes its place in the last formula (Reddi et al. 2018).
    weight_decay : float, optional
        As in `AdamW`.
    **options
        See `Optimizer`.

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
    amsgrad: bool = False

    name: ClassVar[str] = "adam"
    update_scalars: ClassVar[tuple[str, ...]] = ("corrected_rate",)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("beta_1", 0.0, 1.0)
        self._check("beta_2", 0.0, 1.0)
        self._check("epsilon", 0.0, float("inf"), open_low=True)
        object.__setattr__(self, "amsgrad", check_flag(self.amsgrad, "amsgrad"))

    @property
    def code(self) -> OpCode:
        """The update op."""
        return OpCode.AMSGRAD if self.amsgrad else OpCode.ADAM

    @property
    def op_states(self) -> tuple[str | None, ...]:
        """What the update op takes: the arrays by their names."""
        return ("momentum", "velocity", *(("velocity_hat",) if self.amsgrad else ()))

    def constants(self) -> tuple[float, ...]:
        """Return the op's constants after the regulariser's."""
        return (self.beta_1, self.beta_2, self.epsilon)

    def step_numbers(self, name: str, first: int, count: int) -> np.ndarray:
        """Return a scalar; of the rate, its bias corrections ``sqrt(1 - beta_2^t) / (1 - beta_1^t)``."""
        if name == "corrected_rate":
            return bias_corrections(self.beta_1, self.beta_2, first, count)
        return super().step_numbers(name, first, count)


@with_advice
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
    amsgrad : bool
        As in `Adam`.
    **options
        See `Optimizer`.

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

    def __post_init__(self) -> None:
        if self.weight_decay is None:
            raise ConfigurationError(
                "AdamW needs a weight_decay, a number of at least 0, got None; or use Adam"
            )
        super().__post_init__()


@with_advice
@dataclass(frozen=True, repr=False)
class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton 2012) in Keras's form.

    ``v <- rho * v + (1 - rho) g^2``, ``w <- w - rate * g / sqrt(v + epsilon)``.  With `centered` also
    ``a <- rho * a + (1 - rho) g``, and ``v - a^2`` takes the place of ``v`` in the second formula; with
    momentum ``u <- momentum * u + rate * g / sqrt(v + epsilon)`` and ``w <- w - u``.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        Default 0.001.
    rho : float
        Decay, in [0, 1).
    momentum : float
        In [0, 1].
    epsilon : float
        Greater than 0; default 1e-7.
    centered : bool
        Whether gradients are divided by their deviation instead of their root mean square.
    weight_decay : float, optional
        As in `AdamW`.
    **options
        See `Optimizer`.

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
    momentum: float = 0.0
    epsilon: float = 1e-7
    centered: bool = False

    name: ClassVar[str] = "rmsprop"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("rho", 0.0, 1.0)
        object.__setattr__(self, "momentum", check_number(self.momentum, "momentum", 0.0, 1.0))
        self._check("epsilon", 0.0, float("inf"), open_low=True)
        object.__setattr__(self, "centered", check_flag(self.centered, "centered"))

    @property
    def code(self) -> OpCode:
        """The update op."""
        return OpCode.RMSPROP_WITH if self.centered or self.momentum else OpCode.RMSPROP

    @property
    def op_states(self) -> tuple[str | None, ...]:
        """What the update op takes: the arrays by their names, None for those that it does without."""
        if self.code is OpCode.RMSPROP:
            return ("velocity",)
        return (
            "velocity",
            "average_gradient" if self.centered else None,
            "momentum" if self.momentum else None,
        )

    def constants(self) -> tuple[float, ...]:
        """Return the op's constants after the regulariser's."""
        plain = (self.rho, self.epsilon)
        return plain if self.code is OpCode.RMSPROP else (*plain, self.momentum)


@with_advice
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
    **options
        See `Optimizer`.

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
    def op_states(self) -> tuple[str | None, ...]:
        """What the update op takes: the arrays by their names."""
        return ("accumulator",)

    @property
    def first_op_states(self) -> tuple[float, ...]:
        """The number that each of them is filled with at the beginning."""
        return (self.initial_accumulator_value,)

    def constants(self) -> tuple[float, ...]:
        """Return the op's constants after the regulariser's."""
        return (self.epsilon,)
