"""What all update rules share: rates, decay, limits of gradients, averages of weights, sums of gradients.

A rule is a frozen description.  It says which update op it becomes, how many state arrays it keeps per
parameter, the op's constants, and which scalars its ops need in each step.
"""
# This file must not know single rules, layers or kernels.

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np

from fastnn.checks import check_count, check_flag, check_number, shown, with_arguments_of_keras
from fastnn.described import Described
from fastnn.errors import ConfigurationError, DTypeError
from fastnn.opcodes import DUE, OpCode
from fastnn.optimizers import schedules
from fastnn.optimizers._at_work import AtWork
from fastnn.optimizers.schedules import LearningRateSchedule, OfFunction

__all__ = ["Optimizer", "Update", "patterns", "with_advice"]

_Rule = TypeVar("_Rule", bound="Optimizer")
_CLIPS = ("clipnorm", "clipvalue", "global_clipnorm")
_KNOWN = "one of those in fastnn.optimizers, such as SGD, Adam or RMSprop"


class Update(NamedTuple):
    """How a parameter is updated.

    Attributes
    ----------
    code : OpCode
    states : tuple of (str or None)
        What the op takes: the arrays by their names, None for those that it does without.
    constants : tuple of float
        Those after the regulariser's.
    decay : float
        Of its weights; 0 if they do not decay.
    """

    code: OpCode
    states: tuple[str | None, ...]
    constants: tuple[float, ...]
    decay: float


@dataclass(frozen=True, repr=False)
class Optimizer(Described, AtWork):
    """Base of the optimisers.

    `learning_rate` may be set; a model that was compiled with the optimizer follows.

    Parameters
    ----------
    learning_rate : float, LearningRateSchedule or callable
        Step size, at least 0.  A function without arguments is asked for each step, some steps ahead: for
        those of one call of the executor, which are at most those of an epoch if there are callbacks.
    weight_decay : float, optional
        At least 0: before each update, a parameter ``w`` becomes ``w - rate * weight_decay * w``, unless
        `exclude_from_weight_decay` names it.
    clipnorm, clipvalue, global_clipnorm : float, optional
        At most one of them, above 0.  Gradients ``g``, those of regularisers included, are limited before
        they are used: each parameter's to the norm `clipnorm`, ``g * min(1, clipnorm / norm(g))``; each
        number to `clipvalue`; all together to the norm `global_clipnorm`.  Where a norm is not finite, they
        become NaN.
    use_ema : bool
        Whether to keep a moving average ``a`` of each trained parameter: after each step
        ``a <- ema_momentum * a + (1 - ema_momentum) * w``, and after the first one ``a <- w``.  At the end of
        `fit` the parameters become their averages, as in Keras.
    ema_momentum : float
        In [0, 1].
    ema_overwrite_frequency : int, optional
        After how many steps, again and again, the parameters become their averages.
    gradient_accumulation_steps : int, optional
        At least 2: so many batches make one update, with the mean of their gradients.  Schedules count
        batches, and ``iterations`` updates, as in Keras.
    learning_rate_multipliers : dict of str to float, optional
        Factors of the learning rate, at least 0, for layers by their names, ``"dense"``, or for single
        parameters, ``"dense/kernel"``, which come first.  They count for the decay of weights as well.
        Keras has nothing like it.
    undecayed, undecayed_patterns : sequence of str
        What `exclude_from_weight_decay` was given: layers or parameters; parts of the names of parameters
        inside of their layers.
    """

    learning_rate: float | LearningRateSchedule = 0.01
    weight_decay: float | None = field(default=None, kw_only=True)
    clipnorm: float | None = field(default=None, kw_only=True)
    clipvalue: float | None = field(default=None, kw_only=True)
    global_clipnorm: float | None = field(default=None, kw_only=True)
    use_ema: bool = field(default=False, kw_only=True)
    ema_momentum: float = field(default=0.99, kw_only=True)
    ema_overwrite_frequency: int | None = field(default=None, kw_only=True)
    gradient_accumulation_steps: int | None = field(default=None, kw_only=True)
    learning_rate_multipliers: Mapping[str, float] | Sequence[tuple[str, float]] | None = field(
        default=None, kw_only=True
    )
    undecayed: Sequence[str] = field(default=(), kw_only=True)
    undecayed_patterns: Sequence[str] = field(default=(), kw_only=True)

    name: ClassVar[str] = ""
    update_scalars: ClassVar[tuple[str, ...]] = ("rate",)  # that the update op reads, beside the decay's

    def __post_init__(self) -> None:
        if type(self) is Optimizer:
            raise ConfigurationError(f"Optimizer is a base class; use {_KNOWN}")
        if isinstance(self.learning_rate, Mapping):  # as `get_config` writes it
            object.__setattr__(self, "learning_rate", schedules.deserialize(self.learning_rate))
        rate: Any = self.learning_rate
        if callable(rate) and not isinstance(rate, LearningRateSchedule):
            object.__setattr__(self, "learning_rate", OfFunction(rate))
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
        object.__setattr__(self, "use_ema", check_flag(self.use_ema, "use_ema"))
        object.__setattr__(self, "ema_momentum", check_number(self.ema_momentum, "ema_momentum", 0.0, 1.0))
        self._check_count("ema_overwrite_frequency", 1)
        if self.ema_overwrite_frequency is not None and not self.use_ema:
            raise ConfigurationError("ema_overwrite_frequency needs averages: give use_ema=True as well")
        self._check_count("gradient_accumulation_steps", 2)
        object.__setattr__(self, "learning_rate_multipliers", _multipliers(self.learning_rate_multipliers))
        object.__setattr__(self, "undecayed", _strings(self.undecayed, "undecayed"))
        words = patterns(self.undecayed_patterns, "undecayed_patterns")
        object.__setattr__(self, "undecayed_patterns", words)

    def __repr__(self) -> str:
        usual = {one.name: one.default for one in fields(Optimizer)} | {"weight_decay": None}
        default = {one.name: one.default for one in fields(self)}
        given = ((one.name, getattr(self, one.name)) for one in fields(self))
        shown_ = ", ".join(
            f"{name}={value!r}"
            for name, value in given
            if (
                name == "learning_rate" or name not in usual or value != usual[name] or value != default[name]
            )
            and not (value is None and default[name] is None)
        )
        return f"{type(self).__name__}({shown_})"

    def _check(self, field: str, low: float, high: float, *, open_low: bool = False) -> None:
        value = check_number(
            getattr(self, field), field, low, high, open_minimum=open_low, open_maximum=high == 1.0
        )
        object.__setattr__(self, field, value)

    def _check_count(self, field: str, least: int) -> None:
        if getattr(self, field) is not None:
            object.__setattr__(self, field, check_count(getattr(self, field), field, least))

    def exclude_from_weight_decay(
        self, var_list: Iterable[object] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Let parameters out of the decay of weights, as in Keras.

        To be called before `compile`; models that were compiled with this optimizer go on as they are.  What
        an earlier call said is replaced.

        Parameters
        ----------
        var_list : sequence of str, Layer or Weight, optional
            Layers, their names, weights as in ``model.weights``, or their paths, ``"dense/kernel"``.
        var_names : sequence of str, optional
            Regular expressions that are searched for in ``"kernel"``, ``"bias"`` and so on.

        Raises
        ------
        DTypeError
            If they are no such lists.
        ConfigurationError
            If one is no regular expression.

        Examples
        --------
        >>> from fastnn.optimizers import AdamW
        >>> optimizer = AdamW(weight_decay=0.01)
        >>> optimizer.exclude_from_weight_decay(var_names=["bias"])
        >>> optimizer.decays("dense/bias"), optimizer.decays("dense/kernel")
        (False, True)
        """
        given = var_list or ()
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise DTypeError(f"var_list must be a list of layers or names, got {shown(given)}")
        # Weights have paths, with the names of their layers.
        names = _strings([getattr(one, "path", getattr(one, "name", one)) for one in given], "var_list")
        words = patterns(var_names or (), "var_names")
        object.__setattr__(self, "undecayed", names)
        object.__setattr__(self, "undecayed_patterns", words)

    def decays(self, parameter: str) -> bool:
        """Return whether weight decay changes a parameter, by its name such as ``"dense/kernel"``."""
        return bool(self.decay_of(parameter, self.weight_decay))

    def decay_of(self, parameter: str, decay: float | None) -> float:
        """Return a decay, or 0 if it is left out of that."""
        layer, _, role = parameter.rpartition("/")
        left_out = {parameter, layer} & set(self.undecayed) or any(
            re.search(pattern, role) for pattern in self.undecayed_patterns
        )
        return 0.0 if left_out or decay is None else decay

    def update_of(self, parameter: str, axes: int) -> Update:
        """Return how a parameter is updated.

        Parameters
        ----------
        parameter : str
            Its name, such as ``"dense/kernel"``.
        axes : int
            2 for kernels and tables, else 1.

        Returns
        -------
        Update

        Examples
        --------
        >>> from fastnn.optimizers import SGD
        >>> SGD(momentum=0.9).update_of("dense/kernel", 2).states
        ('velocity',)
        """
        decay = self.decay_of(parameter, self.weight_decay)
        return Update(self.code, self.op_states, self.constants(), decay)

    def multiplier(self, parameter: str) -> float:
        """Return the factor of the learning rate for a parameter, by its name such as ``"dense/kernel"``."""
        factors = self._factors
        return factors.get(parameter, factors.get(parameter.rpartition("/")[0], 1.0))

    @property
    def _factors(self) -> dict[str, float]:
        return dict(self.learning_rate_multipliers or ())

    def place_of(self, scalar: str, parameter: str) -> int:
        """Return the column of `scalars` that an op of a parameter reads as a scalar."""
        return self.scalar_names.index(_scaled(scalar, self.multiplier(parameter)))

    def check_names(self, parameters: Sequence[str]) -> None:
        """Raise if a layer or parameter that the optimizer names is not there.

        Parameters
        ----------
        parameters : sequence of str
            The names of all parameters.

        Raises
        ------
        ConfigurationError
        """
        known = {*parameters, *(name.rpartition("/")[0] for name in parameters)}
        for what, names in (
            ("learning_rate_multipliers", list(self._factors)),
            ("exclude_from_weight_decay", self.undecayed),
        ):
            for name in names:
                if name not in known:
                    raise ConfigurationError(
                        f"{what} names {name!r}, which the model does not have; it has "
                        f"{', '.join(parameters)}"
                    )

    @property
    def code(self) -> OpCode:
        """The update op."""
        raise ConfigurationError(f"{type(self).__name__} cannot run: use {_KNOWN}")

    @property
    def op_states(self) -> tuple[str | None, ...]:
        """What the update op takes: the arrays by their names, None for those that it does without."""
        return ()

    @property
    def first_op_states(self) -> tuple[float, ...]:
        """The number that each of them is filled with at the beginning, if not with 0."""
        return ()

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the arrays kept per parameter."""
        own = (name for name in self.op_states if name is not None)
        sums = ("accumulated_gradient",) if self.gradient_accumulation_steps else ()
        return (*own, *sums, *(("average",) if self.use_ema else ()))

    @property
    def first_states(self) -> tuple[float, ...]:
        """The number that each of these arrays is filled with at the beginning."""
        return self.first_op_states + (0.0,) * (len(self.states) - len(self.first_op_states))

    def constants(self) -> tuple[float, ...]:
        """Return the op's constants after the regulariser's."""
        return ()

    @property
    def clips_norms(self) -> bool:
        """Whether gradients are limited by a norm, so that no update may begin before they all are known."""
        return self.clipnorm is not None or self.global_clipnorm is not None

    @property
    def scalar_names(self) -> tuple[str, ...]:
        """The scalars that the ops of an update read, in the order of the columns of `scalars`.

        Rates are there once more for each factor of a layer, as ``"rate * 0.5"``.
        """
        names = [*(("rate",) if self.weight_decay else ()), *self.update_scalars]
        factors = set(self._factors.values()) - {1.0}
        names += [_scaled(name, factor) for factor in sorted(factors) for name in names if _is_rate(name)]
        if self.gradient_accumulation_steps:
            names.append(DUE)
        if self.use_ema:
            names += ["ema_momentum", "overwrite"]
        return tuple(dict.fromkeys(names))

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
        >>> from fastnn.optimizers import SGD
        >>> SGD().scalars(0.5, first=0, count=100)
        array([[0.5]])
        """
        rates = np.array([learning_rate], np.float64)
        if isinstance(self.learning_rate, LearningRateSchedule):
            rates = np.asarray(self.learning_rate.rates(first, count), np.float64)
        names = self.scalar_names
        if names == ("rate",):
            return rates.reshape(-1, 1)
        columns = [self._column(name, rates, first, count) for name in names]
        table = np.empty((max(map(len, columns)), len(columns)))
        for position, column in enumerate(columns):
            table[:, position] = column
        return table

    def _column(self, name: str, rates: np.ndarray, first: int, count: int) -> np.ndarray:
        """Return the values of one scalar for all steps, or one for all of them."""
        name, _, factor = name.partition(" * ")
        steps = self.gradient_accumulation_steps or 1
        if name == DUE:
            return np.asarray(np.arange(first + 1, first + count + 1) % steps == 0, np.float64)
        if name == "overwrite" and self.ema_overwrite_frequency is None:
            return np.zeros(1)
        if steps == 1:
            found = self.step_numbers(name, first, count)
        else:
            made = np.arange(first, first + count) // steps  # updates
            found = self.step_numbers(name, int(made[0]), int(made[-1] - made[0]) + 1)
            found = found[made - made[0]] if len(found) > 1 else found
        if _is_rate(name):
            found = rates * found * float(factor or 1.0)
        return found

    def step_numbers(self, name: str, first: int, count: int) -> np.ndarray:
        """Return a scalar for `count` updates after `first` others, or one for all; of rates, the factor.

        Parameters
        ----------
        name : str
            One of `scalar_names`.
        first, count : int

        Returns
        -------
        numpy.ndarray, (count,) or (1,), float64
        """
        if name == "ema_momentum":
            return np.where(np.arange(first, first + count) == 0, 0.0, self.ema_momentum)
        if name == "overwrite":
            due = np.arange(first + 1, first + count + 1) % (self.ema_overwrite_frequency or 1) == 0
            return np.asarray(due, np.float64)
        return np.ones(1)


def _is_rate(scalar: str) -> bool:
    """Return whether a scalar is multiplied by the learning rate."""
    return scalar.endswith("rate")


def _scaled(scalar: str, factor: float) -> str:
    """Return the name of a scalar of parameters whose learning rate has a factor."""
    return f"{scalar} * {factor!r}" if factor != 1.0 and _is_rate(scalar) else scalar


def _strings(given: object, name: str) -> tuple[str, ...]:
    """Return a checked sequence of strings."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise DTypeError(f"{name} must be a list of strings, got {shown(given)}")
    found = tuple(given)
    for one in found:
        if not isinstance(one, str):
            raise DTypeError(f"{name} must be a list of strings, got {shown(one)} in it")
    return found


def patterns(given: object, name: str) -> tuple[str, ...]:
    """Return a checked sequence of regular expressions."""
    found = _strings(given, name)
    for one in found:
        try:
            re.compile(one)
        except re.error as error:
            raise ConfigurationError(f"{name} has {one!r}, which is no regular expression: {error}") from None
    return found


def _multipliers(given: object) -> tuple[tuple[str, float], ...] | None:
    """Return factors by name as a value; a list of pairs is what `get_config` writes."""
    if given is None:
        return None
    pairs = list(given.items()) if isinstance(given, Mapping) else given
    if not isinstance(pairs, list | tuple) or not all(
        isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str) for pair in pairs
    ):
        raise DTypeError(f"learning_rate_multipliers must be a dict of names and numbers, got {shown(given)}")
    return tuple(
        (name, check_number(factor, f"the factor of {name!r} in learning_rate_multipliers", 0.0))
        for name, factor in pairs
    )


def _set_rate(rule: Optimizer, value: Any) -> None:
    """Set the learning rate, of the model as well that was compiled with the optimizer."""
    checked = replace(rule, learning_rate=value).learning_rate
    worker = rule._work()
    if worker is not None:
        worker.learning_rate = checked
    object.__setattr__(rule, "learning_rate", checked)


def with_advice(cls: type[_Rule]) -> type[_Rule]:
    """Let an optimizer's constructor say what there is instead of arguments that it does not have.

    And let its learning rate be set; the rest is frozen.
    """
    cls.__init__ = with_arguments_of_keras(cls.__name__, "optimizers")(cls.__init__)  # type: ignore[method-assign]
    frozen: Callable[[Any, str, Any], None] = cls.__setattr__

    def assign(self: Any, name: str, value: Any) -> None:
        if name == "learning_rate":
            _set_rate(self, value)
        else:
            frozen(self, name, value)

    cls.__setattr__ = assign  # type: ignore[method-assign]
    return cls
