"""scikit-learn's multilayer perceptron as a contender, through ``partial_fit``, an epoch a call.

``MLPRegressor`` and ``MLPClassifier`` without regularisation, without shuffling and in float32, which
they keep if the data have it. This file must not know how contenders are timed. scikit-learn is
imported when a contender is built, not before.

scikit-learn's squared error is half the mean over rows of the sum over outputs as far as gradients go,
and half the mean over outputs too as far as the reported number goes. Ours is the mean over both, hence:
the learning rate is multiplied by ``2 / outputs`` for descent; Adam, which does not depend on the scale
of gradients, gets its epsilon multiplied by ``outputs / 2`` instead; the reported loss is doubled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastnn.benchmark.rivals._library import OptionalLibrary, check_epochs, quietly
from fastnn.benchmark.workloads import Workload, check_weights

__all__ = ["SklearnPredictor", "SklearnRival"]

_EPSILON = 1e-7
_ACTIVATIONS = {"sigmoid": "logistic", "tanh": "tanh", "relu": "relu"}


class _Sklearn(OptionalLibrary):
    """What training and inference share; its BLAS is NumPy's and SciPy's, and so are its threads."""

    name: ClassVar[str] = "scikit-learn"
    module: ClassVar[str] = "sklearn.neural_network"
    distribution: ClassVar[str] = "scikit-learn"
    requires: ClassVar[str] = "scikit-learn"

    @classmethod
    def refuses(cls, workload: Workload) -> str | None:
        """Return why this contender cannot train a workload, or None: it can.

        The output layer is linear with the squared error, softmax with the cross-entropy of three and
        more classes (two have a single logistic output).
        """
        if workload.loss == "sparse_categorical_crossentropy":
            return None if workload.widths[-1] > 2 else "two classes have one output in scikit-learn"
        if workload.activations[-1] != "linear":
            return f"no squared error after a {workload.activations[-1]} output in scikit-learn"
        return None


def _model(workload: Workload, weights: Sequence[NDArray[np.float32]], x: Any, y: Any) -> Any:
    """Return an estimator with the given weights, its optimizer fresh."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    check_weights(workload, weights)
    if (reason := _Sklearn.refuses(workload)) is not None:
        raise ValueError(f"workload {workload.name!r}: {reason}")
    classify = workload.loss == "sparse_categorical_crossentropy"
    factor = 1.0 if classify else 2 / workload.widths[-1]
    model = (MLPClassifier if classify else MLPRegressor)(
        hidden_layer_sizes=workload.widths[1:-1],
        activation=_ACTIVATIONS[workload.activation],
        solver=workload.optimizer,
        alpha=0.0,
        batch_size=workload.batch,
        learning_rate_init=workload.learning_rate * (factor if workload.optimizer == "sgd" else 1.0),
        momentum=0.0,
        nesterovs_momentum=False,
        shuffle=False,
        epsilon=_EPSILON / factor,
        random_state=0,
    )
    # The layers are made by the first call; the weights and the optimizer of that step are replaced.
    options = {"classes": np.arange(workload.widths[-1])} if classify else {}
    model.partial_fit(x[: workload.batch], y[: workload.batch], **options)
    for own, given in zip(model.coefs_ + model.intercepts_, [*weights[0::2], *weights[1::2]], strict=True):
        assert own.dtype == np.float32
        own[...] = given
    del model._optimizer
    return model


class SklearnRival(_Sklearn):
    """Minibatch training by scikit-learn, float32.

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
        If the shapes do not fit the workload, or scikit-learn has no such network.
    """

    def __init__(
        self,
        workload: Workload,
        weights: Sequence[NDArray[np.float32]],
        x: NDArray[np.float32],
        y: NDArray[Any],
    ) -> None:
        workload.steps_per_epoch(len(x))
        squared = workload.loss == "mse"
        self._x = x
        self._y = y.ravel() if squared and workload.widths[-1] == 1 else y
        self._loss_factor = 2.0 if squared else 1.0
        with quietly():
            self._model = _model(workload, weights, self._x, self._y)

    def get_weights(self) -> list[NDArray[np.float32]]:
        """Return copies of the kernels and biases."""
        pairs = zip(self._model.coefs_, self._model.intercepts_, strict=True)
        return [np.array(weight) for pair in pairs for weight in pair]

    def run_epochs(self, n_epochs: int) -> float:
        """Train for `n_epochs` more epochs, a call of ``partial_fit`` each.

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
        with quietly():
            for _ in range(n_epochs):
                self._model.partial_fit(self._x, self._y)
        return float(self._model.loss_) * self._loss_factor


class SklearnPredictor(_Sklearn):
    """The outputs of a network for NumPy rows, by ``predict`` or ``predict_proba``.

    Parameters
    ----------
    workload : Workload
        The network.
    weights : sequence of ndarray
        Its kernels and biases.
    """

    def __init__(self, workload: Workload, weights: Sequence[NDArray[np.float32]]) -> None:
        classify = workload.loss == "sparse_categorical_crossentropy"
        inputs, outputs = workload.widths[0], workload.widths[-1]
        x = np.zeros((workload.batch, inputs), np.float32)
        y = np.zeros((workload.batch, outputs), np.float32)
        with quietly():
            model = _model(workload, weights, x, y[:, 0].astype(np.int64) if classify else y)
        predict: Callable[[Any], NDArray[np.float32]] = model.predict_proba if classify else model.predict
        # A single output comes without its axis.
        self._predict = predict if outputs > 1 else lambda x: predict(x).reshape(-1, 1)

    def function(self, n_threads: int) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
        """Return the function from rows to outputs; the context `threads` says with how many threads."""
        return self._predict
