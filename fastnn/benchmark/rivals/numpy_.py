"""Training in NumPy as an expert writes it by hand: the rival that is always installed.

Single precision throughout, no allocation in the loop (but for a batch's label scores), matrix products
into buffers, everything element-wise in place, one flat vector for all parameters and one for all
gradients. This file must not know fastnn's kernels or models, nor how it is timed; that its results are
right is shown by the tests against double precision and finite differences.

Choices that were measured (``timeit``, best of 7, NumPy 2.4, Zen 4, one thread; microseconds):

- ``np.dot(a, b, out)`` instead of ``np.matmul``: 0.47 against 0.92 at (4, 2) x (2, 2), equal when large.
- Column sums as ``ones @ dy``: 0.6 against 6.5 for ``add.reduce`` at (400, 2).
- Constants as 0-d arrays: 0.33 against 0.63 a call for Python floats.
- Sigmoid as ``0.5 * tanh(0.5 z) + 0.5``: 52 against 67 for ``1 / (1 + exp(-z))`` at (200, 500).
- ReLU's derivative as a product with a boolean mask: 29, by ``sign`` 50, by assignment 360, at (200, 500).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastnn.benchmark.rivals._library import OptionalLibrary, check_epochs
from fastnn.benchmark.workloads import Float32Array, Workload, check_weights

__all__ = ["ACTIVATIONS", "NumpyRival"]

_ZERO, _HALF, _ONE = (np.array(value, np.float32) for value in (0, 0.5, 1))

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7
# Adam makes about ten passes over five vectors; pieces of this many numbers stay in a core's cache.
_PIECE = 65_536


def _sigmoid_forward(z: Float32Array) -> None:
    np.multiply(z, _HALF, z)
    np.tanh(z, z)
    np.multiply(z, _HALF, z)
    np.add(z, _HALF, z)


def _sigmoid_backward(dy: Float32Array, y: Float32Array, scratch: Float32Array) -> None:
    np.subtract(_ONE, y, scratch)
    np.multiply(scratch, y, scratch)
    np.multiply(dy, scratch, dy)


def _tanh_forward(z: Float32Array) -> None:
    np.tanh(z, z)


def _tanh_backward(dy: Float32Array, y: Float32Array, scratch: Float32Array) -> None:
    np.multiply(y, y, scratch)
    np.subtract(_ONE, scratch, scratch)
    np.multiply(dy, scratch, dy)


def _relu_forward(z: Float32Array) -> None:
    np.maximum(z, _ZERO, out=z)


def _relu_backward(dy: Float32Array, y: Float32Array, mask: NDArray[np.bool_]) -> None:
    np.greater(y, _ZERO, mask)
    np.multiply(dy, mask, dy)


# Forward in place on z; backward in place on dy, given the forward's output and scratch space.
_Forward = Callable[[Float32Array], None]
_Backward = Callable[[Float32Array, Float32Array, Any], None]
ACTIVATIONS: dict[str, tuple[_Forward | None, _Backward | None, type[Any]]] = {
    "linear": (None, None, np.float32),
    "softmax": (None, None, np.float32),  # computed together with the cross-entropy
    "sigmoid": (_sigmoid_forward, _sigmoid_backward, np.float32),
    "tanh": (_tanh_forward, _tanh_backward, np.float32),
    "relu": (_relu_forward, _relu_backward, np.bool_),
}


class NumpyRival(OptionalLibrary):
    """Minibatch training of a multilayer perceptron in NumPy, float32.

    Gradients are kept without their constant factor, ``2 / (batch * outputs)`` for the squared error and
    ``1 / batch`` for the cross-entropy: descent multiplies the small output error by it and by the
    learning rate, Adam, which does not depend on the scale of the gradients, moves it into epsilon.

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

    Examples
    --------
    >>> from fastnn.benchmark.workloads import WORKLOADS, make_data, make_weights
    >>> workload = WORKLOADS[0]
    >>> rival = NumpyRival(workload, make_weights(workload), *make_data(workload, n_batches=8))
    >>> rival.run_epochs(100) < rival.run_epochs(1) * 2
    True
    """

    name: ClassVar[str] = "NumPy"
    module: ClassVar[str] = "numpy"
    distribution: ClassVar[str] = "numpy"
    requires: ClassVar[str] = "numpy"

    def __init__(
        self,
        workload: Workload,
        weights: Sequence[NDArray[np.float32]],
        x: NDArray[np.float32],
        y: NDArray[Any],
    ) -> None:
        check_weights(workload, weights)
        self._n_batches = workload.steps_per_epoch(len(x))
        m, outputs = workload.batch, workload.widths[-1]

        self._parameters = np.concatenate([np.ravel(weight) for weight in weights]).astype(np.float32)
        self._gradients = np.zeros_like(self._parameters)
        shapes = [np.shape(weight) for weight in weights]
        self._weights = _views(self._parameters, shapes)
        gradients = _views(self._gradients, shapes)

        # One tuple per layer and direction: what the loop would otherwise look up at every step.
        ys = [np.empty((m, units), np.float32) for units in workload.widths[1:]]
        dys = [np.empty_like(y) for y in ys]
        activations = [ACTIVATIONS[activation] for activation in workload.activations]
        scratches = [np.empty(y.shape, dtype) for y, (_, _, dtype) in zip(ys, activations, strict=True)]
        kernels, biases = self._weights[0::2], self._weights[1::2]
        dkernels, dbiases = gradients[0::2], gradients[1::2]
        self._forward = [
            (kernel, bias, y, forward)
            for kernel, bias, y, (forward, _, _) in zip(kernels, biases, ys, activations, strict=True)
        ]
        self._backward = [  # of every layer but the first, whose inputs are the batch
            (
                ys[below].T,
                dys[layer],
                dkernels[layer],
                dbiases[layer],
                kernels[layer].T,
                dys[below],
                activations[below][1],
                ys[below],
                scratches[below],
            )
            for below, layer in reversed(list(pairwise(range(len(ys)))))
        ]
        self._first = (dys[0], dkernels[0], dbiases[0])
        self._ones = np.ones(m, np.float32)

        # The output error: its buffer doubles as the loss's workspace.
        self._error = dys[-1]
        self._output = (ys[-1], activations[-1][1], scratches[-1])
        self._classify = workload.loss == "sparse_categorical_crossentropy"
        factor = 1 / m if self._classify else 2 / (m * outputs)
        self._loss_factor = 1 / m if self._classify else 1 / (m * outputs)
        self._class_ones = np.ones(outputs, np.float32)
        self._row = np.empty((m, 1), np.float32)

        targets: NDArray[Any]
        if self._classify:
            first = np.arange(m, dtype=np.intp) * outputs
            # The position of each row's label among the scores of its batch.
            targets = (np.reshape(y, (-1, m)) + first).reshape(-1)
        else:
            targets = np.reshape(y, (len(x), outputs))
        rows = [slice(start, start + m) for start in range(0, len(x), m)]
        self._batches = [(x[cut], x[cut].T, targets[cut]) for cut in rows]

        self._adam = workload.optimizer == "adam"
        self._descent = np.array(-workload.learning_rate * factor, np.float32)
        if self._adam:
            self._prepare_adam(workload.learning_rate, factor)

    def get_weights(self) -> list[NDArray[np.float32]]:
        """Return copies of the kernels and biases."""
        return [weight.copy() for weight in self._weights]

    def run_epochs(self, n_epochs: int) -> float:
        """Train for `n_epochs` more epochs, batch after batch in the order of the rows.

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
        total = 0.0
        step = self._step
        for _ in range(n_epochs):
            total = 0.0
            for x, x_transposed, target in self._batches:
                total += step(x, x_transposed, target)
        return total * self._loss_factor / self._n_batches

    def _step(self, x: Float32Array, x_transposed: Float32Array, target: NDArray[Any]) -> float:
        """Make one training step and return the loss, summed over rows and outputs."""
        dot, add = np.dot, np.add
        for kernel, bias, y, forward in self._forward:
            dot(x, kernel, y)
            add(y, bias, y)
            if forward is not None:
                forward(y)
            x = y

        loss = self._cross_entropy(x, target) if self._classify else self._squared_error(x, target)

        ones = self._ones
        for layer in self._backward:
            inputs_transposed, dy, dkernel, dbias, kernel_transposed, dx, backward, inputs, scratch = layer
            dot(inputs_transposed, dy, dkernel)
            dot(ones, dy, dbias)
            dot(dy, kernel_transposed, dx)
            if backward is not None:
                backward(dx, inputs, scratch)
        dy, dkernel, dbias = self._first
        dot(x_transposed, dy, dkernel)
        dot(ones, dy, dbias)

        if self._adam:
            self._update_adam()
        else:  # the learning rate is already in the output error
            add(self._parameters, self._gradients, self._parameters)
        return loss

    def _squared_error(self, y: Float32Array, target: Float32Array) -> float:
        """Leave the gradient with respect to the output layer's z in the output error."""
        error = self._error
        np.subtract(y, target, error)
        flat = error.reshape(-1)
        loss = float(np.dot(flat, flat))
        if not self._adam:
            np.multiply(error, self._descent, error)
        _, backward, scratch = self._output
        if backward is not None:
            backward(error, y, scratch)
        return loss

    def _cross_entropy(self, z: Float32Array, label_positions: NDArray[np.intp]) -> float:
        """Leave softmax minus one-hot in the output error: ``log(sum(exp(z - max))) - (z - max)[label]``."""
        error, row = self._error, self._row
        np.maximum.reduce(z, axis=1, out=row, keepdims=True)
        np.subtract(z, row, error)
        flat, sums = error.reshape(-1), row.reshape(-1)
        scores = flat.take(label_positions)
        np.exp(error, error)
        np.dot(error, self._class_ones, sums)
        np.divide(error, row, error)
        flat[label_positions] -= _ONE
        np.log(sums, sums)
        loss = float(np.dot(self._ones, sums)) - float(np.dot(self._ones, scores))
        if not self._adam:
            np.multiply(error, self._descent, error)
        return loss

    def _prepare_adam(self, learning_rate: float, factor: float) -> None:
        """Allocate Adam's state and work out the constants that come from scaling it.

        With ``g = factor * G``, the state ``M = m / ((1 - beta_1) factor)`` and ``V = v / ((1 - beta_2)
        factor**2)`` obeys ``M = beta_1 M + G`` and ``V = beta_2 V + G**2``, and Keras's step becomes
        ``alpha m / (sqrt(v) + epsilon) = alpha ratio M / (sqrt(V) + epsilon / (factor sqrt(1 - beta_2)))``
        with ``ratio = (1 - beta_1) / sqrt(1 - beta_2)``: three passes over the parameters fewer.
        """
        self._n_updates = 0
        self._base_step = learning_rate * (1 - _BETA_1) / (1 - _BETA_2) ** 0.5
        self._alpha = np.zeros((), np.float32)
        epsilon = _EPSILON / (factor * (1 - _BETA_2) ** 0.5)
        self._constants = [np.array(value, np.float32) for value in (_BETA_1, _BETA_2, epsilon)]
        m, v = np.zeros_like(self._parameters), np.zeros_like(self._parameters)
        vectors = (self._parameters, self._gradients, m, v)
        self._pieces = [
            tuple(vector[start : start + _PIECE] for vector in vectors)
            for start in range(0, len(self._parameters), _PIECE)
        ]

    def _update_adam(self) -> None:
        self._n_updates += 1
        t = self._n_updates
        self._alpha[()] = self._base_step * (1 - _BETA_2**t) ** 0.5 / (1 - _BETA_1**t)
        alpha, (beta_1, beta_2, epsilon) = self._alpha, self._constants
        multiply, add = np.multiply, np.add
        for parameters, gradients, m, v in self._pieces:
            multiply(m, beta_1, m)
            add(m, gradients, m)
            multiply(v, beta_2, v)
            multiply(gradients, gradients, gradients)
            add(v, gradients, v)
            np.sqrt(v, gradients)
            add(gradients, epsilon, gradients)
            np.divide(m, gradients, gradients)
            multiply(gradients, alpha, gradients)
            np.subtract(parameters, gradients, parameters)


def _views(vector: Float32Array, shapes: Sequence[tuple[int, ...]]) -> list[Float32Array]:
    """Cut a flat vector into arrays of the given shapes that share its memory."""
    ends = np.cumsum([0, *(int(np.prod(shape)) for shape in shapes)])
    cuts = zip(pairwise(ends), shapes, strict=True)
    return [vector[start:end].reshape(shape) for (start, end), shape in cuts]
