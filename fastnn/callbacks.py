"""Callbacks: what runs between epochs or batches of `fit`, as in Keras 3.

This file must not know plans or kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastnn.model import Model

__all__ = ["Callback", "History"]


class Callback:
    """Base of the callbacks; override what is needed.

    Attributes
    ----------
    model : Model
        Set by `fit`.  Setting ``model.stop_training = True`` ends training after the epoch.
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
        self.model: Model | None = None
        self.params: dict[str, Any] = {}

    def set_model(self, model: Model) -> None:
        """Receive the model before training."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Receive `params` before training."""
        self.params = params

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Run before the first epoch."""

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Run after the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Run before each epoch, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Run after each epoch with its loss and metrics."""

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Run before each batch, counted from 0 in every epoch; training is slower for it."""

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Run after each batch with the epoch's loss and metrics so far; training is slower for it."""

    @property
    def wants_batches(self) -> bool:
        """Whether one of the methods around batches is overridden."""
        mine, base = type(self), Callback
        return (
            mine.on_train_batch_begin is not base.on_train_batch_begin
            or mine.on_train_batch_end is not base.on_train_batch_end
        )


class History(Callback):
    """Records losses and metrics of every epoch; what `fit` returns.

    Attributes
    ----------
    history : dict of str to list of float
        ``loss``, the metrics, and the same with ``val_`` in front; one number per epoch.
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

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Record an epoch."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
