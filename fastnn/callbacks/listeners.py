"""The callbacks of one call of `fit`, `evaluate` or `predict`: who hears what, in which order, as in Keras 3.

This file must not know data, plans or kernels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fastnn.callbacks.base import Callback, Trained
from fastnn.errors import DTypeError

__all__ = ["Listeners", "checked"]


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
    found = [] if callbacks is None else list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]
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
        self._callbacks = callbacks
        for callback in callbacks:
            callback.set_model(model)
        for callback in callbacks:
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
        for callback in self._callbacks:
            getattr(callback, hook)(*index_and_logs)

    def tell_of_batch(self, hook: str, number: int, logs: dict[str, Any]) -> None:
        """Call a hook around a batch: these get `logs` by name."""
        for callback in self._callbacks:
            getattr(callback, hook)(number, logs=logs)
