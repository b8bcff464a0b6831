"""Callbacks that hear together: those of one call of `fit`, `evaluate` or `predict`, and lists of one's own.

Who hears what, in which order, is as in Keras 3.  This file must not know data, plans or kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from fastnn.callbacks.base import Callback, History, Keeper, Logs, Position, Trained
from fastnn.callbacks.progress import ProgbarLogger
from fastnn.checks import check_flag
from fastnn.errors import ConfigurationError, DTypeError

__all__ = ["CallbackList", "Listeners", "checked"]


class CallbackList(Callback):
    """Callbacks that are called as one: each hook calls that of all of them, in their order.

    It is for training loops of your own; `fit`, `evaluate` and `predict` take lists as they are, and
    this too.

    Parameters
    ----------
    callbacks : sequence of Callback, optional
    add_history : bool
        Whether to add a `History`, unless there is one.
    add_progbar : bool
        Whether to add a `ProgbarLogger`, unless there is one.
    model : Model, optional
    **params
        What the callbacks receive as ``params``.

    Attributes
    ----------
    callbacks : list of Callback

    Raises
    ------
    DTypeError, ConfigurationError
        If one is no callback; where training begins, if there is a
        `BackupAndRestore`, which only `fit` can tell where training stands.

    Examples
    --------
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)], seed=0)
    >>> model.compile(fastnn.optimizers.SGD(0.0), "mse")
    >>> model.set_weights([[[1.0]], [0.0]])
    >>> told = CallbackList([fastnn.callbacks.EarlyStopping("loss")], add_history=True, model=model)
    >>> told.on_train_begin()
    >>> for epoch in range(9):
    ...     told.on_epoch_begin(epoch)
    ...     told.on_epoch_end(epoch, model.train_on_batch([[1.0]], [[3.0]], return_dict=True))
    ...     if model.stop_training:
    ...         break
    >>> told.on_train_end()
    >>> model.history.history
    {'loss': [4.0, 4.0]}
    """

    def __init__(
        self,
        callbacks: Sequence[Callback] | None = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        super().__init__()
        self.callbacks = checked(callbacks)
        bars = [callback for callback in self.callbacks if isinstance(callback, ProgbarLogger)]
        if check_flag(add_progbar, "add_progbar") and not bars:
            self.callbacks.append(ProgbarLogger())
        histories = [callback for callback in self.callbacks if isinstance(callback, History)]
        if check_flag(add_history, "add_history") and not histories:
            histories = [History()]
            self.callbacks += histories
        self._history = histories[-1] if histories else None
        if model is not None:
            self.set_model(model)
        self.set_params(params)

    def set_model(self, model: Any) -> None:
        """Give all of them the model, and the model the history."""
        super().set_model(model)
        if self._history is not None:
            model.history = self._history
        for callback in self.callbacks:
            callback.set_model(model)

    def set_params(self, params: dict[str, Any]) -> None:
        """Give all of them `params`."""
        super().set_params(params)
        for callback in self.callbacks:
            callback.set_params(params)

    def on_train_begin(self, logs: Logs = None) -> None:
        """Call that of all of them."""
        for callback in self.callbacks:
            if isinstance(callback, Keeper):
                raise ConfigurationError(
                    f"{type(callback).__name__} needs to know where training stands; use it in fit"
                )
        _tell(self.callbacks, "on_train_begin", {} if logs is None else logs)


def _tell(callbacks: Iterable[Callback], hook: str, *index_and_logs: Any) -> None:
    """Call a hook of several callbacks: all get the same `logs`, and may add to them."""
    for callback in callbacks:
        getattr(callback, hook)(*index_and_logs)


def _tell_of_batch(callbacks: Iterable[Callback], hook: str, number: int, logs: dict[str, Any]) -> None:
    """Call a hook around a batch: these get `logs` by name."""
    for callback in callbacks:
        getattr(callback, hook)(number, logs=logs)


def _of_all(hook: str) -> Callable[..., None]:
    """Return a hook that calls the one of its name of all callbacks of a list."""

    def around(self: CallbackList, logs: Logs = None) -> None:
        _tell(self.callbacks, hook, {} if logs is None else logs)

    def around_epoch(self: CallbackList, epoch: int, logs: Logs = None) -> None:
        _tell(self.callbacks, hook, epoch, {} if logs is None else logs)

    def around_batch(self: CallbackList, batch: int, logs: Logs = None) -> None:
        _tell_of_batch(self.callbacks, hook, batch, {} if logs is None else logs)

    found = around_batch if "batch" in hook else around_epoch if "epoch" in hook else around
    found.__name__, found.__doc__ = hook, "Call that of all of them."
    return found


for _name in vars(Callback):
    if _name.startswith("on_") and _name not in vars(CallbackList):
        setattr(CallbackList, _name, _of_all(_name))


def checked(callbacks: Sequence[Callback] | None) -> list[Callback]:
    """Return an argument ``callbacks`` as a list.

    Parameters
    ----------
    callbacks : sequence of Callback, Callback or None

    Returns
    -------
    list of Callback

    Raises
    ------
    DTypeError
        If one is no callback.

    Examples
    --------
    >>> checked(None)
    []
    """
    given = [] if callbacks is None else list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]
    found: list[Callback] = []
    for callback in given:
        found += callback.callbacks if isinstance(callback, CallbackList) else [callback]
    for callback in found:
        if not isinstance(callback, Callback):
            raise DTypeError(f"callbacks must be instances of fastnn.callbacks.Callback, got {callback!r}")
    return found


class Listeners:
    """Callbacks that are told together.

    Parameters
    ----------
    callbacks : sequence of Callback
        Each hears everything before the next one does.
    model : Trained
    **params
        What the callbacks receive as ``params``.

    Examples
    --------
    >>> from fastnn.callbacks.base import LambdaCallback
    >>> listeners = Listeners([LambdaCallback(on_test_batch_end=print)], None, verbose=0)
    >>> listeners.want_test_batches, listeners.want_batches
    (True, False)
    """

    def __init__(self, callbacks: Sequence[Callback], model: Trained, **params: object) -> None:
        # What they show themselves, `fit` and the others draw no second time.
        callbacks = [callback for callback in callbacks if not isinstance(callback, ProgbarLogger)]
        self._keepers = [callback for callback in callbacks if isinstance(callback, Keeper)]
        # They hear of the end when the others are through.
        self._callbacks = [*(c for c in callbacks if not isinstance(c, Keeper)), *self._keepers]
        for callback in self._callbacks:
            callback.set_model(model)
        for callback in self._callbacks:
            callback.set_params(params)

    def __bool__(self) -> bool:
        return bool(self._callbacks)

    @property
    def want_batches(self) -> bool:
        """Whether one of them listens between training batches."""
        return any(callback.wants_batches for callback in self._callbacks)

    @property
    def want_test_batches(self) -> bool:
        """Whether one of them listens between batches of an evaluation."""
        return any(callback.wants_test_batches for callback in self._callbacks)

    @property
    def want_predict_batches(self) -> bool:
        """Whether one of them listens between batches of a prediction."""
        return any(callback.wants_predict_batches for callback in self._callbacks)

    def tell(self, hook: str, *index_and_logs: Any) -> None:
        """Call a hook around everything, or around an epoch; all get the same `logs`, and may add to them."""
        _tell(self._callbacks, hook, *index_and_logs)

    def tell_of_batch(self, hook: str, number: int, logs: dict[str, Any]) -> None:
        """Call a hook around a batch: these get `logs` by name."""
        _tell_of_batch(self._callbacks, hook, number, logs)

    def keep(self, epoch: int, batch: int = 0, sums: Iterable[float] = ()) -> None:
        """Tell who keeps it how far training has come; see `Position`."""
        if self._keepers:
            position = Position(epoch, batch, tuple(map(float, sums)))
            for keeper in self._keepers:
                keeper.keep(position, self._callbacks)

    def take_up(self) -> Position | None:
        """Return where training goes on, if somebody kept that."""
        found = None
        for keeper in self._keepers:
            found = keeper.take_up(self._callbacks) or found
        return found
