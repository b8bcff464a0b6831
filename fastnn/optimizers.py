"""Optimisers: frozen descriptions of an update rule, with the formulas of Keras 3.

A description says which update op it becomes, how many state arrays it keeps per parameter
and the op's constants.  The learning rate lives in the compiled model, where it can change
between epochs.
"""
# This file must not know layers or kernels.

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from fastnn.absent import attribute_error
from fastnn.checks import check_flag, check_number
from fastnn.described import Described, rebuilt
from fastnn.errors import ConfigurationError, DTypeError, unknown_name
from fastnn.plan import OpCode

__all__ = ["SGD", "Adam", "Optimizer", "RMSprop", "get"]


def __dir__() -> list[str]:
    return __all__


@dataclass(frozen=True)
class Optimizer(Described):
    """Base of the optimisers.

    Parameters
    ----------
    learning_rate : float
        Step size, at least 0.
    """

    learning_rate: float = 0.01

    name: ClassVar[str] = ""

    def __post_init__(self) -> None:
        if type(self) is Optimizer:
            raise ConfigurationError("Optimizer is a base class; use SGD, Adam or RMSprop")
        self._check("learning_rate", 0.0, float("inf"))

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
            "SGD, Adam and RMSprop"
        )

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the arrays kept per parameter."""
        return ()

    def constants(self) -> tuple[float, ...]:
        """Return the op's constants after the regulariser's."""
        return ()


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent, with momentum and Nesterov's variant.

    Without momentum ``w <- w - rate * g``.  With it ``v <- momentum * v - rate * g`` and
    ``w <- w + v``, or, with `nesterov`, ``w <- w + momentum * v - rate * g`` (Keras's form).

    Parameters
    ----------
    learning_rate : float
        Default 0.01.
    momentum : float
        In [0, 1).
    nesterov : bool

    Raises
    ------
    ConfigurationError
        If a number is out of range.

    Examples
    --------
    >>> SGD(0.1, momentum=0.9)
    SGD(learning_rate=0.1, momentum=0.9, nesterov=False)
    """

    learning_rate: float = 0.01
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


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma and Ba 2015) in Keras's form, with epsilon outside the bias correction.

    ``m <- m + (1 - beta_1) (g - m)``, ``v <- v + (1 - beta_2) (g^2 - v)``,
    ``w <- w - rate * sqrt(1 - beta_2^t) / (1 - beta_1^t) * m / (sqrt(v) + epsilon)``.

    Parameters
    ----------
    learning_rate : float
        Default 0.001.
    beta_1, beta_2 : float
        Decay of the moments, in [0, 1).
    epsilon : float
        Greater than 0; default 1e-7.

    Raises
    ------
    ConfigurationError
        If a number is out of range.

    Examples
    --------
    >>> Adam(beta_2=0.99)
    Adam(learning_rate=0.001, beta_1=0.9, beta_2=0.99, epsilon=1e-07)
    """

    learning_rate: float = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    name: ClassVar[str] = "adam"

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


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton 2012) in Keras's form, neither centred nor with momentum.

    ``v <- rho * v + (1 - rho) g^2``, ``w <- w - rate * g / sqrt(v + epsilon)``.

    Parameters
    ----------
    learning_rate : float
        Default 0.001.
    rho : float
        Decay, in [0, 1).
    epsilon : float
        Greater than 0; default 1e-7.

    Raises
    ------
    ConfigurationError
        If a number is out of range.

    Examples
    --------
    >>> RMSprop().rho
    0.9
    """

    learning_rate: float = 0.001
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


_BY_NAME: dict[str, type[Optimizer]] = {cls.name: cls for cls in (SGD, Adam, RMSprop)}


def get(identifier: str | Optimizer | type[Optimizer] | Mapping[str, object]) -> Optimizer:
    """Return the optimiser that a name, a class or an instance stands for.

    Parameters
    ----------
    identifier : str, Optimizer, subclass or dict
        Names are case-insensitive.  A dict has the ``"class_name"`` and the ``"config"`` of an optimizer.

    Returns
    -------
    Optimizer

    Raises
    ------
    ConfigurationError
        If the name is unknown.
    DTypeError
        If it is neither a name nor an optimiser.

    Examples
    --------
    >>> get("adam").learning_rate
    0.001
    """
    if isinstance(identifier, Optimizer):
        _ = identifier.code  # a class that has none says so
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Optimizer):
        return get(identifier())
    if isinstance(identifier, Mapping):
        return get(rebuilt(identifier, _BY_NAME.values(), "optimizer"))
    if isinstance(identifier, str):
        if identifier.lower() not in _BY_NAME:
            raise unknown_name("optimizer", identifier, _BY_NAME)
        return _BY_NAME[identifier.lower()]()
    raise DTypeError(f"an optimizer is a name or an Optimizer, got {identifier!r}")


def __getattr__(name: str) -> Any:
    raise attribute_error(__name__, name, __all__)
