"""fastnn as a contender, through its public Keras-like interface.

The model that a user would write, nothing private and no tuning. This file must not know plans,
kernels or the executor. fastnn is imported when a model is built, not before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastnn.benchmark.rivals._library import OptionalLibrary, check_epochs
from fastnn.benchmark.workloads import Workload

__all__ = ["FastnnPredictor", "FastnnRival"]


class _Fastnn(OptionalLibrary):
    """What training and inference share: the name, the version, and control over the threads."""

    name: ClassVar[str] = "fastnn"
    module: ClassVar[str] = "fastnn"
    requires: ClassVar[str] = "fastnn"

    @classmethod
    def available(cls) -> bool:
        """Say that fastnn is installed: this is part of it."""
        return True

    @classmethod
    def version(cls) -> str:
        """Return fastnn's version."""
        import fastnn

        return str(fastnn.__version__)

    @classmethod
    def threads(cls, n_threads: int) -> AbstractContextManager[Any]:
        """Return a context in which models train with `n_threads` threads."""
        import fastnn

        context: AbstractContextManager[Any] = fastnn.threads(n_threads)
        return context


def _model(workload: Workload) -> Any:
    """Return the model of a workload, not compiled, with weights of its own."""
    import fastnn

    dense = [
        fastnn.layers.Dense(units, activation=activation)
        for units, activation in zip(workload.widths[1:], workload.activations, strict=True)
    ]
    return fastnn.Sequential([fastnn.Input((workload.widths[0],)), *dense])


class FastnnRival(_Fastnn):
    """Minibatch training of a multilayer perceptron by ``Sequential.fit``, float32.

    Parameters
    ----------
    workload : Workload
        The network, its loss and its optimizer.
    weights : sequence of ndarray
        Initial kernels and biases; copied.
    x : ndarray of float32, shape (n_rows, inputs)
        Inputs, a whole number of batches.
    y : ndarray, shape (n_rows, outputs) or (n_rows,)
        Targets (float32), or integer labels for the cross-entropy.

    Raises
    ------
    ValueError
        If the shapes do not fit the workload.
    """

    def __init__(
        self,
        workload: Workload,
        weights: Sequence[NDArray[np.float32]],
        x: NDArray[np.float32],
        y: NDArray[Any],
    ) -> None:
        import fastnn

        workload.steps_per_epoch(len(x))  # raises unless the batches are whole
        optimizers = {"sgd": fastnn.optimizers.SGD, "adam": fastnn.optimizers.Adam}
        self._model = _model(workload)
        optimizer = optimizers[workload.optimizer](workload.learning_rate)
        self._model.compile(optimizer=optimizer, loss=workload.loss)
        self._model.set_weights(list(weights))
        self._batch = workload.batch
        self._x, self._y = x, y

    def get_weights(self) -> list[NDArray[np.float32]]:
        """Return copies of the kernels and biases."""
        return [np.array(weight) for weight in self._model.get_weights()]

    def run_epochs(self, n_epochs: int) -> float:
        """Train for `n_epochs` more epochs in one call of ``fit``.

        Parameters
        ----------
        n_epochs : int
            Passes over the data, at least 1.

        Returns
        -------
        float
            The mean of the batch losses of the last epoch, each taken before its update.

        Raises
        ------
        ValueError
            If `n_epochs` is less than 1.
        """
        check_epochs(n_epochs)
        history = self._model.fit(
            self._x, self._y, batch_size=self._batch, epochs=n_epochs, shuffle=False, verbose=0
        )
        return float(history.history["loss"][-1])


class FastnnPredictor(_Fastnn):
    """The outputs of a model for NumPy rows, by calling it.

    Parameters
    ----------
    workload : Workload
        The network.
    weights : sequence of ndarray
        Its kernels and biases.
    """

    def __init__(self, workload: Workload, weights: Sequence[NDArray[np.float32]]) -> None:
        self._model = _model(workload)
        self._model.set_weights(list(weights))

    def function(self, n_threads: int) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
        """Return the model itself; the context `threads` says with how many threads it runs."""
        model: Callable[[NDArray[np.float32]], NDArray[np.float32]] = self._model
        return model
