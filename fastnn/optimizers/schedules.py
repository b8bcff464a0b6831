"""Learning rates as functions of the number of steps made, with the formulas of Keras 3.

Where an optimizer is given a schedule instead of a number, each step of an epoch has a rate of its own.
"""
# This file must not know optimizers, layers or kernels.

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnn.absent import attribute_error
from fastnn.checks import check_count, check_flag, check_number, shown
from fastnn.described import Described, own_classes, rebuilt, written
from fastnn.errors import ConfigurationError, DTypeError

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "OneCycle",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "deserialize",
    "serialize",
]


def __dir__() -> list[str]:
    return __all__


class LearningRateSchedule(Described):
    """Base of the schedules; a class of your own defines `__call__`, and `get_config` to be saved.

    It is asked once for each step, in Python, some steps ahead: for those of one call of the executor,
    which takes about a tenth of a second, and at most an epoch if there are callbacks.  So it should
    depend on the step alone.

    Examples
    --------
    >>> class Halved(LearningRateSchedule):
    ...     def __call__(self, step):
    ...         return 0.1 / 2 ** (step // 1000)
    >>> Halved().rates(first=999, count=2)
    array([0.1 , 0.05])
    """

    def __call__(self, step: int) -> float:
        """Return the rate of the step after `step` others."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(self, step)")

    def rates(self, first: int, count: int) -> np.ndarray:
        """Return the rates of `count` steps after `first` others.

        Parameters
        ----------
        first, count : int

        Returns
        -------
        numpy.ndarray, (count,), float64

        Raises
        ------
        ConfigurationError
            If one of them is negative or not finite.
        """
        found = np.asarray([float(self(step)) for step in range(first, first + count)])
        good = (found >= 0.0) & (found < math.inf)
        if not good.all():
            step = int(good.argmin())
            raise ConfigurationError(
                f"{type(self).__name__} gives the learning rate {found[step]} for step {first + step}; it "
                "must be a finite number, at least 0"
            )
        return found


@dataclass(frozen=True)
class OfFunction(LearningRateSchedule):
    """A function without arguments that is asked for each step, as in Keras; optimizers take it as it is.

    Examples
    --------
    >>> OfFunction(lambda: 0.1).rates(first=0, count=2)
    array([0.1, 0.1])
    """

    function: Callable[[], float]

    def __post_init__(self) -> None:
        try:
            inspect.signature(self.function).bind()
        except TypeError:
            raise DTypeError(
                "learning_rate must be a number, a LearningRateSchedule, which is called with a step, or a "
                f"function without arguments, got {shown(self.function)}"
            ) from None
        except ValueError:  # some functions written in C do not tell
            pass

    @property
    def function_name(self) -> str:
        """What it is called in files."""
        return str(getattr(self.function, "__name__", type(self.function).__name__))

    def __call__(self, step: int) -> float:
        """Return what the function does."""
        return float(self.function())


@dataclass(frozen=True)
class _Formula(LearningRateSchedule, ABC):
    """A schedule whose formula takes all steps at once."""

    @abstractmethod
    def _at(self, steps: np.ndarray) -> np.ndarray:
        """Return the rates of these steps."""

    def __call__(self, step: int) -> float:
        """Return the rate of the step after `step` others."""
        return float(self._at(np.asarray([step], np.float64))[0])

    def rates(self, first: int, count: int) -> np.ndarray:
        """Return the rates of `count` steps after `first` others."""
        return self._at(np.arange(first, first + count, dtype=np.float64))

    def _check(self, field: str, low: float = 0.0, high: float = math.inf, open_low: bool = False) -> None:
        value = check_number(getattr(self, field), field, low, high, open_minimum=open_low)
        object.__setattr__(self, field, value)


@dataclass(frozen=True)
class ExponentialDecay(_Formula):
    """``initial_learning_rate * decay_rate^(step / decay_steps)``.

    Parameters
    ----------
    initial_learning_rate : float
        At least 0.
    decay_steps : float
        Steps in which the rate falls by the factor `decay_rate`; more than 0.
    decay_rate : float
        More than 0.
    staircase : bool
        Whether the rate falls every `decay_steps` steps at once, as the exponent is an integer.
    name : str
        As in Keras; nothing reads it.

    Raises
    ------
    ConfigurationError
        If a number is out of range.

    Examples
    --------
    >>> ExponentialDecay(0.1, decay_steps=1000, decay_rate=0.5)(2000)
    0.025
    """

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float
    staircase: bool = False
    name: str = field(default="ExponentialDecay", repr=False)

    def __post_init__(self) -> None:
        self._check("initial_learning_rate")
        self._check("decay_steps", open_low=True)
        self._check("decay_rate", open_low=True)
        object.__setattr__(self, "staircase", check_flag(self.staircase, "staircase"))

    def _at(self, steps: np.ndarray) -> np.ndarray:
        times = steps / self.decay_steps
        return self.initial_learning_rate * self.decay_rate ** (np.floor(times) if self.staircase else times)


@dataclass(frozen=True)
class InverseTimeDecay(_Formula):
    """``initial_learning_rate / (1 + decay_rate * step / decay_steps)``.

    Parameters
    ----------
    initial_learning_rate : float
        At least 0.
    decay_steps : float
        More than 0.
    decay_rate : float
        At least 0.
    staircase : bool
        Whether ``step / decay_steps`` is rounded down.
    name : str
        As in Keras; nothing reads it.

    Raises
    ------
    ConfigurationError
        If a number is out of range.

    Examples
    --------
    >>> InverseTimeDecay(0.1, decay_steps=100, decay_rate=1.0)(300)
    0.025
    """

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float
    staircase: bool = False
    name: str = field(default="InverseTimeDecay", repr=False)

    def __post_init__(self) -> None:
        self._check("initial_learning_rate")
        self._check("decay_steps", open_low=True)
        self._check("decay_rate")
        object.__setattr__(self, "staircase", check_flag(self.staircase, "staircase"))

    def _at(self, steps: np.ndarray) -> np.ndarray:
        times = steps / self.decay_steps
        return self.initial_learning_rate / (
            1.0 + self.decay_rate * (np.floor(times) if self.staircase else times)
        )


@dataclass(frozen=True)
class PolynomialDecay(_Formula):
    """``(initial_learning_rate - end_learning_rate) * (1 - step / decay_steps)^power + end_learning_rate``.

    Parameters
    ----------
    initial_learning_rate : float
        At least 0.
    decay_steps : float
        After which the rate stays what it is; more than 0.
    end_learning_rate : float
        At least 0.
    power : float
        At least 0; 1 is a straight line.
    cycle : bool
        Whether, instead of staying, the rate begins again, each time with `decay_steps` steps more.
    name : str
        As in Keras; nothing reads it.

    Raises
    ------
    ConfigurationError
        If a number is out of range.

    Examples
    --------
    >>> PolynomialDecay(0.1, decay_steps=100, end_learning_rate=0.0)(75)
    0.025
    """

    initial_learning_rate: float
    decay_steps: float
    end_learning_rate: float = 0.0001
    power: float = 1.0
    cycle: bool = False
    name: str = field(default="PolynomialDecay", repr=False)

    def __post_init__(self) -> None:
        for number in ("initial_learning_rate", "end_learning_rate", "power"):
            self._check(number)
        self._check("decay_steps", open_low=True)
        object.__setattr__(self, "cycle", check_flag(self.cycle, "cycle"))

    def _at(self, steps: np.ndarray) -> np.ndarray:
        period = self.decay_steps * np.maximum(np.ceil(steps / self.decay_steps), 1.0)
        done = steps / period if self.cycle else np.minimum(steps / self.decay_steps, 1.0)
        above = self.initial_learning_rate - self.end_learning_rate
        return above * (1.0 - done) ** self.power + self.end_learning_rate


@dataclass(frozen=True)
class PiecewiseConstantDecay(_Formula):
    """A rate for each piece of training: ``values[0]`` up to step ``boundaries[0]``, and so on.

    Parameters
    ----------
    boundaries : sequence of int
        Ascending numbers of steps; a piece ends with the step of its boundary.
    values : sequence of float
        One more than there are boundaries, each at least 0.
    name : str
        As in Keras; nothing reads it.

    Raises
    ------
    ConfigurationError
        If the numbers do not fit together or are out of range.

    Examples
    --------
    >>> PiecewiseConstantDecay([1000, 2000], [0.1, 0.05, 0.01])(1500)
    0.05
    """

    boundaries: Sequence[float]
    values: Sequence[float]
    name: str = field(default="PiecewiseConstant", repr=False)

    def __post_init__(self) -> None:
        for name in ("boundaries", "values"):
            given = getattr(self, name)
            if isinstance(given, str) or not isinstance(given, Sequence | np.ndarray):
                raise DTypeError(f"{name} must be a list of numbers, got {given!r}")
            numbers = tuple(check_number(one, f"a number in {name}", 0.0) for one in given)
            object.__setattr__(self, name, numbers)
        if not self.boundaries or sorted(set(self.boundaries)) != list(self.boundaries):
            raise ConfigurationError(f"boundaries must be numbers that ascend, got {list(self.boundaries)}")
        if len(self.values) != len(self.boundaries) + 1:
            raise ConfigurationError(
                f"values must be one more than boundaries, got {len(self.values)} and {len(self.boundaries)}"
            )

    def _at(self, steps: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.asarray(self.values)[np.searchsorted(self.boundaries, steps)]
        return found


@dataclass(frozen=True)
class CosineDecay(_Formula):
    """Half a wave of a cosine from the initial rate to `alpha` times it, after a warm-up if asked for.

    Loshchilov and Hutter 2017, without restarts.

    Parameters
    ----------
    initial_learning_rate : float
        At least 0; where the warm-up begins if there is one.
    decay_steps : float
        Steps of the decay; more than 0.
    alpha : float
        In [0, 1]: the part of the rate that is left in the end.
    name : str
        As in Keras; nothing reads it.
    warmup_target : float, optional
        Where a straight line leads in `warmup_steps` steps before the decay; at least 0.
    warmup_steps : int

    Raises
    ------
    ConfigurationError
        If a number is out of range.

    Examples
    --------
    >>> rate = CosineDecay(0.0, decay_steps=1000, warmup_target=0.1, warmup_steps=100)
    >>> rate(50), rate(100), round(rate(600), 6)
    (0.05, 0.1, 0.05)
    """

    initial_learning_rate: float
    decay_steps: float
    alpha: float = 0.0
    name: str = field(default="CosineDecay", repr=False)
    warmup_target: float | None = None
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        self._check("initial_learning_rate")
        self._check("decay_steps", open_low=True)
        self._check("alpha", 0.0, 1.0)
        object.__setattr__(self, "warmup_steps", check_count(self.warmup_steps, "warmup_steps", 0))
        if self.warmup_target is not None:
            self._check("warmup_target")

    def _at(self, steps: np.ndarray) -> np.ndarray:
        top, before = self.initial_learning_rate, 0
        if self.warmup_target is not None:
            top, before = self.warmup_target, self.warmup_steps
        done = np.clip((steps - before) / self.decay_steps, 0.0, 1.0)
        rates: np.ndarray = top * ((1.0 - self.alpha) * 0.5 * (1.0 + np.cos(np.pi * done)) + self.alpha)
        if before:
            line = (
                self.initial_learning_rate
                + (top - self.initial_learning_rate) * np.minimum(steps, before) / before
            )
            rates = np.where(steps < before, line, rates)
        return rates


@dataclass(frozen=True)
class CosineDecayRestarts(_Formula):
    """Halves of waves of a cosine, one behind the other (Loshchilov and Hutter 2017).

    Parameters
    ----------
    initial_learning_rate : float
        At least 0.
    first_decay_steps : float
        Steps of the first half wave; more than 0.
    t_mul, m_mul : float
        How many times as long as the one before, more than 0, and as high, at least 0, each of them is.
    alpha : float
        In [0, 1]: the part of the first rate that is left at the end of each.
    name : str
        As in Keras; nothing reads it.

    Raises
    ------
    ConfigurationError
        If a number is out of range.

    Examples
    --------
    >>> rate = CosineDecayRestarts(0.1, first_decay_steps=100)
    >>> round(rate(50), 6), rate(100), round(rate(200), 6)
    (0.05, 0.1, 0.05)
    """

    initial_learning_rate: float
    first_decay_steps: float
    t_mul: float = 2.0
    m_mul: float = 1.0
    alpha: float = 0.0
    name: str = field(default="SGDRDecay", repr=False)

    def __post_init__(self) -> None:
        self._check("initial_learning_rate")
        self._check("first_decay_steps", open_low=True)
        self._check("t_mul", open_low=True)
        self._check("m_mul")
        self._check("alpha", 0.0, 1.0)

    def _at(self, steps: np.ndarray) -> np.ndarray:
        done, t = steps / self.first_decay_steps, self.t_mul
        if t == 1.0:
            restarts = np.floor(done)
            done = done - restarts
        else:
            # Waves that become shorter and shorter come to an end, where the rate stays.
            grown = np.maximum(1.0 - done * (1.0 - t), np.finfo(np.float64).tiny)
            restarts = np.floor(np.log(grown) / np.log(t))
            restarts += grown >= t ** (restarts + 1.0) if t > 1.0 else grown <= t ** (restarts + 1.0)
            done = np.clip((done - (1.0 - t**restarts) / (1.0 - t)) / t**restarts, 0.0, 1.0)
        waves = 0.5 * self.m_mul**restarts * (1.0 + np.cos(np.pi * done))
        rates: np.ndarray = self.initial_learning_rate * ((1.0 - self.alpha) * waves + self.alpha)
        return rates


@dataclass(frozen=True)
class OneCycle(_Formula):
    """Up to a large rate, and down to a tiny one, once in all steps (Smith and Topin 2018).

    The numbers are those of PyTorch's ``OneCycleLR``; Keras has nothing like it.

    Parameters
    ----------
    max_learning_rate : float
        At least 0.
    total_steps : int
        Steps of the training, at least 2; the rate stays what it is after them.
    warmup_fraction : float
        The part of the steps in which the rate goes up, in (0, 1).
    division : float
        Of the largest rate, for the first one; more than 0.
    final_division : float
        Of the first rate, for the last one; more than 0.
    linear : bool
        Whether lines lead up and down instead of halves of waves of a cosine.

    Raises
    ------
    ConfigurationError
        If a number is out of range.

    Examples
    --------
    >>> rate = OneCycle(0.1, total_steps=100)
    >>> rate(0), rate(29), f"{rate(99):.0e}"
    (0.004, 0.1, '4e-07')
    """

    max_learning_rate: float
    total_steps: int
    warmup_fraction: float = 0.3
    division: float = 25.0
    final_division: float = 1e4
    linear: bool = False

    def __post_init__(self) -> None:
        self._check("max_learning_rate")
        object.__setattr__(self, "total_steps", check_count(self.total_steps, "total_steps", 2))
        fraction = check_number(self.warmup_fraction, "warmup_fraction", 0.0, 1.0, open_minimum=True)
        if fraction * self.total_steps - 1.0 <= 0.0 or fraction >= 1.0:
            raise ConfigurationError(
                f"warmup_fraction={fraction:g} of total_steps={self.total_steps} must be more than a step, "
                "and leave some"
            )
        object.__setattr__(self, "warmup_fraction", fraction)
        self._check("division", open_low=True)
        self._check("final_division", open_low=True)
        object.__setattr__(self, "linear", check_flag(self.linear, "linear"))

    def _at(self, steps: np.ndarray) -> np.ndarray:
        top = self.max_learning_rate
        first = top / self.division
        turn, last = self.warmup_fraction * self.total_steps - 1.0, self.total_steps - 1.0
        up = self._between(first, top, np.minimum(steps / turn, 1.0))
        down = self._between(
            top, first / self.final_division, np.clip((steps - turn) / (last - turn), 0.0, 1.0)
        )
        return np.where(steps <= turn, up, down)

    def _between(self, start: float, end: float, done: np.ndarray) -> np.ndarray:
        return start + (end - start) * (done if self.linear else 0.5 * (1.0 - np.cos(np.pi * done)))


def serialize(learning_rate_schedule: LearningRateSchedule) -> dict[str, Any]:
    """Return a schedule as the name of its class and its arguments.

    Parameters
    ----------
    learning_rate_schedule : LearningRateSchedule

    Returns
    -------
    dict
        ``{"class_name": ..., "config": {...}}``.

    Raises
    ------
    DTypeError
        If it is none.

    Examples
    --------
    >>> serialize(ExponentialDecay(0.1, 10, 0.5))["class_name"]
    'ExponentialDecay'
    """
    if not isinstance(learning_rate_schedule, LearningRateSchedule):
        raise DTypeError(f"a LearningRateSchedule is needed, got {shown(learning_rate_schedule)}")
    return written(learning_rate_schedule)


def deserialize(
    config: Mapping[str, Any], custom_objects: Mapping[str, Callable[..., Any]] | None = None
) -> LearningRateSchedule:
    """Return the schedule that a dict of its class's name and its arguments describes.

    Parameters
    ----------
    config : dict
        ``{"class_name": ..., "config": {...}}``, as in an optimizer's `get_config`.
    custom_objects : dict of str to class or function, optional
        Classes of your own, by their names.

    Returns
    -------
    LearningRateSchedule

    Raises
    ------
    ConfigurationError, DTypeError
        If there is no such schedule.

    Examples
    --------
    >>> arguments = {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5}
    >>> deserialize({"class_name": "ExponentialDecay", "config": arguments})(10)
    0.05
    """
    if not isinstance(config, Mapping):
        raise DTypeError(f"config must be a dict, as `serialize` returns it, got {shown(config)}")
    with own_classes(custom_objects):
        found = rebuilt(config, _CLASSES, "learning rate schedule")
    return found if isinstance(found, LearningRateSchedule) else OfFunction(found)


_CLASSES = (
    ExponentialDecay,
    InverseTimeDecay,
    PolynomialDecay,
    PiecewiseConstantDecay,
    CosineDecay,
    CosineDecayRestarts,
    OneCycle,
)


def __getattr__(name: str) -> Any:
    raise attribute_error(__name__, name, __all__)
