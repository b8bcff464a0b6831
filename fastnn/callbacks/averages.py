"""The callback that lets models be measured, and saved, with the moving averages of their weights.

This file must not know plans or kernels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.callbacks.base import Callback, Logs
from fastnn.checks import check_flag
from fastnn.errors import ConfigurationError

__all__ = ["SwapEMAWeights"]


class SwapEMAWeights(Callback):
    """Gives the model the averages of its weights while it is evaluated, or predicts, and its own ones back.

    It needs an optimizer with ``use_ema=True``.  Before the first step, the weights stay what they are.

    Parameters
    ----------
    swap_on_epoch : bool
        Whether the model has the averages also from the end of each epoch to the beginning of the next one,
        for callbacks that stand behind this one, such as `ModelCheckpoint`.

    Raises
    ------
    DTypeError
        If it is no bool.
    ConfigurationError
        In `fit`, `evaluate` and `predict`, if the optimizer keeps no averages.

    Examples
    --------
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)], seed=0)
    >>> model.compile(fastnn.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), "mse")
    >>> data, swap = ([[1.0]], [[9.0]]), SwapEMAWeights()
    >>> history = model.fit(*data, epochs=3, validation_data=data, callbacks=[swap], verbose=0)
    >>> model.evaluate(*data, verbose=0) == history.history["val_loss"][-1]  # fit ends with the averages
    True
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch = check_flag(swap_on_epoch, "swap_on_epoch")
        self._own: dict[str, np.ndarray] | None = None  # weights, while the model has the averages

    def get_state(self) -> dict[str, Any]:
        """Return the model's own weights, while it has the averages."""
        return {"own": self._own}

    def set_state(self, state: dict[str, Any]) -> None:
        """Remember them."""
        self._own = state["own"]

    def _swap(self) -> None:
        now = self._need_model()._now
        optimizer = now.need_optimizer()
        if not optimizer.description.use_ema:
            raise ConfigurationError(
                "SwapEMAWeights needs averages of weights: compile with an optimizer that has use_ema=True"
            )
        averages = optimizer.averages(now.places, now.graph)
        if self._own is None and averages:
            self._own = {name: now.places[name].view(now.store.array).copy() for name in averages}
            now.store.assign({name: now.places[name] for name in averages}, list(averages.values()))

    def _swap_back(self) -> None:
        if self._own is not None:
            now, own = self._need_model()._now, self._own
            now.store.assign({name: now.places[name] for name in own}, list(own.values()))
            self._own = None

    def on_train_begin(self, logs: Logs = None) -> None:
        """Forget an earlier run."""
        self._own = None

    def on_train_end(self, logs: Logs = None) -> None:
        """Leave the averages to the model, which `fit` has given it."""
        self._own = None

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Give the model its own weights."""
        self._swap_back()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Give it the averages, if that is wanted."""
        if self.swap_on_epoch:
            self._swap()

    def on_test_begin(self, logs: Logs = None) -> None:
        """Give it the averages."""
        self._swap()

    def on_test_end(self, logs: Logs = None) -> None:
        """Give it its own weights."""
        self._swap_back()

    def on_predict_begin(self, logs: Logs = None) -> None:
        """Give it the averages."""
        self._swap()

    def on_predict_end(self, logs: Logs = None) -> None:
        """Give it its own weights."""
        self._swap_back()
