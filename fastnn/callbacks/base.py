"""The base of the callbacks, and those that decide nothing: when each hook runs, as in Keras 3.

Hooks get `logs` as Keras gives them: empty at the beginning of something, one dict for all
callbacks at its end, to which each may add for those after it.  The callbacks that steer training
are in the files beside this one, a family each.  This file must not know plans or kernels.
"""

from __future__ import annotations

import inspect
import itertools
import math
import numbers
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from fastnn.checks import shown
from fastnn.errors import ConfigurationError, DTypeError
from fastnn.html import table

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Callback", "History", "Keeper", "LambdaCallback", "Logs", "Position", "Record", "Trained"]

Logs = dict[str, Any] | None
_MOST_SHOWN = 6  # numbers of an epoch in a history's line


class Trained(Protocol):
    """A model, as far as fastnn's own callbacks know it."""

    stop_training: bool

    @property
    def _now(self) -> Any: ...

    @property
    def optimizer(self) -> Any:
        """What `compile` made, with a `learning_rate` that may be set."""

    def get_weights(self) -> list[np.ndarray]:
        """Return copies of all parameters."""

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Replace all parameters."""

    def save(self, filepath: str) -> None:
        """Write the model to a file."""

    def save_weights(self, filepath: str) -> None:
        """Write the weights alone to a file."""

    def _save_training(self, filepath: str, notes: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Write all that training goes on from to a file, with notes and arrays of others."""

    def _load_training(
        self, filepath: str, check: Callable[[str], None]
    ) -> tuple[str, dict[str, np.ndarray]]:
        """Become what was written to a file, if the notes pass; return them and the arrays of others."""


class Callback:
    """Base of the callbacks; override what is needed.

    Attributes
    ----------
    model : Model
        Set by `fit`, `evaluate` and `predict`.  Setting ``model.stop_training = True`` ends training
        after the batch at hand or the one to come, with the validation and the hooks at an epoch's end;
        there, at once.  ``model.stop_evaluating`` and ``model.stop_predicting`` end evaluation and
        prediction after a batch.
    params : dict
        ``epochs``, ``steps``, ``verbose``.

    Examples
    --------
    >>> class StopBelow(Callback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         self.model.stop_training = logs["loss"] < 0.1
    >>> StopBelow().wants_batches
    False
    """

    def __init__(self) -> None:
        self.model: Any = None
        self.params: dict[str, Any] = {}

    def __repr__(self) -> str:
        words = [f"{name}={_as_code(value)}" for name, value in self._settings().items()]
        return f"{type(self).__name__}({', '.join(words)})"

    def _settings(self) -> dict[str, object]:
        """Return the attributes that have an argument's name and not its default."""
        parameters = inspect.signature(type(self).__init__).parameters
        own = vars(self)
        return {
            name: own[name]
            for name, parameter in parameters.items()
            if name in own
            and parameter.kind is not parameter.VAR_KEYWORD
            and not _is_same(own[name], parameter.default)
        }

    def set_model(self, model: Any) -> None:
        """Receive the model before training, evaluation or prediction."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Receive `params` before training, evaluation or prediction."""
        self.params = params

    def get_state(self) -> dict[str, Any]:
        """Return what the callback remembers of training, for `BackupAndRestore`.

        Returns
        -------
        dict
            Of names to numbers, strings, None, NumPy arrays, and lists and dicts of them; empty unless
            overridden.
        """
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Remember again what `get_state` returned before training was interrupted.

        It runs after `on_train_begin`.  To set ``model.stop_training`` here says that training had ended.

        Parameters
        ----------
        state : dict
            Lists for tuples; what was added to the class since is not in it.
        """

    def _need_model(self) -> Trained:
        if self.model is None:
            raise ConfigurationError(
                f"{type(self).__name__} has no model; pass it to fit(callbacks=[...]) or call set_model first"
            )
        model: Trained = self.model
        return model

    def on_train_begin(self, logs: Logs = None) -> None:
        """Run before the first epoch."""

    def on_train_end(self, logs: Logs = None) -> None:
        """Run after the last epoch, with that epoch's loss and metrics."""

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Run before each epoch, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Run after each epoch with its loss and metrics."""

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Run before each batch, counted from 0 in every epoch; training is slower for it."""
        self.on_batch_begin(batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Run after each batch with the epoch's loss and metrics so far; training is slower for it."""
        self.on_batch_end(batch, logs=logs)

    def on_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Run as `on_train_batch_begin`, unless that one is overridden: an older name."""

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Run as `on_train_batch_end`, unless that one is overridden: an older name."""

    def on_test_begin(self, logs: Logs = None) -> None:
        """Run before `evaluate`, and before each validation in `fit`."""

    def on_test_end(self, logs: Logs = None) -> None:
        """Run after it, with the loss and metrics."""

    def on_test_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Run before each batch of an evaluation, which is slower for it."""

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Run after it, with the loss and metrics so far."""

    def on_predict_begin(self, logs: Logs = None) -> None:
        """Run before `predict`."""

    def on_predict_end(self, logs: Logs = None) -> None:
        """Run after it."""

    def on_predict_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Run before each batch of a prediction, which is slower for it."""

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Run after it, with what the batch gave: ``logs["outputs"]``."""

    @property
    def wants_batches(self) -> bool:
        """Whether a method around training batches is overridden, in a class or on the instance."""
        return self._overrides("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")

    @property
    def wants_test_batches(self) -> bool:
        """Whether a method around batches of evaluations is."""
        return self._overrides("on_test_batch_begin", "on_test_batch_end")

    @property
    def wants_predict_batches(self) -> bool:
        """Whether a method around batches of predictions is."""
        return self._overrides("on_predict_batch_begin", "on_predict_batch_end")

    def _overrides(self, *names: str) -> bool:
        own, cls = vars(self), type(self)
        return any(name in own or getattr(cls, name) is not getattr(Callback, name) for name in names)


class Position(NamedTuple):
    """How far a call of `fit` has come.

    Attributes
    ----------
    epoch : int
        The epoch that is trained next, or now, from 0.
    batch : int
        Batches of it that were made.
    sums : tuple of float
        What these added up to, for the epoch's loss and metrics.
    over : bool
        Whether training had ended there.
    """

    epoch: int
    batch: int = 0
    sums: tuple[float, ...] = ()
    over: bool = False


class Keeper(Callback):
    """Base of what is told how far training has come, when all callbacks have heard of it."""

    def keep(self, position: Position, callbacks: Sequence[Callback]) -> None:
        """Run after a batch or an epoch, with all callbacks that are told of it."""

    def take_up(self, callbacks: Sequence[Callback]) -> Position | None:
        """Run after `on_train_begin` of all; return where training goes on, if not where `fit` says."""


def _is_same(value: object, default: object) -> bool:
    """Return whether a value is an argument's default; only plain values are compared, not arrays."""
    return value is default or (isinstance(value, str | numbers.Real) and value == default)


def _as_code(value: object) -> str:
    """Return a function's name, or what messages show of anything else."""
    return str(getattr(value, "__name__", "")) or shown(value)


class History(Callback):
    """Records losses and metrics of every epoch; what `fit` returns.

    Attributes
    ----------
    history : dict of str to list of float
        ``loss``, the metrics, the same with ``val_`` in front, and what callbacks add to `logs`,
        such as ``learning_rate``; one number per epoch, or an array of metrics that are arrays.
    epoch : list of int
        The epochs' numbers.

    Examples
    --------
    >>> history = History()
    >>> history.on_epoch_end(0, {"loss": 0.5})
    >>> history.history
    {'loss': [0.5]}
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    def __repr__(self) -> str:
        words = [f"{len(self.epoch)} epoch{'' if len(self.epoch) == 1 else 's'}"]
        last: dict[str, object] = {name: values[-1] for name, values in self.history.items() if values}
        for name, value in itertools.islice(last.items(), _MOST_SHOWN):
            words.append(f"{name} {f'{value:.4g}' if isinstance(value, numbers.Real) else shown(value)}")
        if len(last) > _MOST_SHOWN:
            words.append(f"and {len(last) - _MOST_SHOWN} more")
        return f"<History: {', '.join(words)}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: a table of losses and metrics."""
        rows = [[name, *_ends(values)] for name, values in self.history.items() if values]
        count = len(self.epoch)
        epochs = "1 epoch" if count == 1 else f"{count} epochs"
        head = ["", "first", "smallest", "largest", "last"]
        return (
            table(f"History of {epochs}", head, rows, numbers=range(1, 5)) if rows else f"History of {epochs}"
        )

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Record an epoch."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)

    def extend(self, first: int, columns: Mapping[str, Sequence[float]]) -> None:
        """Record several epochs from number `first` on, with a list of equally many values by each name.

        Examples
        --------
        >>> history = History()
        >>> history.extend(3, {"loss": [0.5, 0.25]})
        >>> history.epoch, history.history
        ([3, 4], {'loss': [0.5, 0.25]})
        """
        for name, values in columns.items():
            self.history.setdefault(name, []).extend(values)
        self.epoch.extend(range(first, first + len(columns["loss"])))


def _ends(values: Sequence[Any]) -> list[str]:
    """Return the first, smallest, largest and last of some numbers, as text; of arrays the last."""
    if not all(isinstance(value, numbers.Real) for value in values):
        return ["", "", "", shown(values[-1])]
    finite = [value for value in values if math.isfinite(value)] or [math.nan]
    return [f"{float(value):.4g}" for value in (values[0], min(finite), max(finite), values[-1])]


class Record:
    """What a model keeps of a history: all but the history itself, which has the model.

    So models are freed at once when nobody has them any more, with all their memory.

    Parameters
    ----------
    history : History
    """

    def __init__(self, history: History) -> None:
        self._history: Callable[[], History | None] = weakref.ref(history)
        self._class = type(history)
        self._kept = {name: value for name, value in vars(history).items() if name != "model"}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_history": type(None)}

    def of(self, model: Trained) -> History:
        """Return the history of a model: the same one, or, if nobody has that any more, an equal one."""
        history = self._history()
        if history is None:
            history = self._class.__new__(self._class)
            vars(history).update(self._kept, model=model)
            self._history = weakref.ref(history)
        return history


class LambdaCallback(Callback):
    """Runs given functions as hooks.

    Training, evaluation and prediction keep their speed unless a function for their batches is given.

    Parameters
    ----------
    on_epoch_begin, on_epoch_end : callable, optional
        Called as ``f(epoch, logs)``.
    on_train_begin, on_train_end : callable, optional
        Called as ``f(logs)``.
    on_train_batch_begin, on_train_batch_end : callable, optional
        Called as ``f(batch, logs=logs)``.
    **others : callable, optional
        Functions for other methods of `Callback`, called with what those take.  What has a name that no
        callback knows, and does not begin with ``on_``, becomes an attribute.

    Raises
    ------
    DTypeError
        If one of them cannot be called, or there is no such hook.

    Examples
    --------
    >>> losses = []
    >>> watch = LambdaCallback(on_epoch_end=lambda epoch, logs: losses.append(logs["loss"]))
    >>> watch.on_epoch_end(0, {"loss": 0.5})
    >>> losses, watch.wants_batches
    ([0.5], False)
    >>> LambdaCallback(on_test_begin=print).on_test_begin({})
    {}
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., object] | None = None,
        on_epoch_end: Callable[..., object] | None = None,
        on_train_begin: Callable[..., object] | None = None,
        on_train_end: Callable[..., object] | None = None,
        on_train_batch_begin: Callable[..., object] | None = None,
        on_train_batch_end: Callable[..., object] | None = None,
        **others: Any,
    ) -> None:
        super().__init__()
        given = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **others,
        }
        for name, function in given.items():
            if name not in _METHODS and (name.startswith(("on_", "_")) or hasattr(self, name)):
                raise DTypeError(f"there is no hook {name!r}; there are {', '.join(_METHODS)}")
            if function is None:
                continue
            if not callable(function) and name in _METHODS:
                raise DTypeError(f"{name} must be a function, got {function!r}")
            setattr(self, name, function)

    def _settings(self) -> dict[str, object]:
        return {name: vars(self)[name] for name in _METHODS if name in vars(self)}


_METHODS = tuple(
    name for name, method in vars(Callback).items() if callable(method) and not name.startswith("_")
)
