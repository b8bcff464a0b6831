"""JAX as a contender: all epochs in one compiled loop, and a compiled step called from Python.

The loop over epochs, batches and the update are one program (``fori_loop`` around ``scan``); weights
and optimizer state are donated, so that they are updated in place; data are arguments, not constants.
Compiling happens at the first call, before anything is timed. This file must not know how contenders
are timed. JAX is imported when a contender is built, not before.

XLA makes its thread pool when the process starts and cannot be given another number of threads later:
JAX always has all cores, and there is no single-threaded try.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastnn.benchmark.rivals._library import OptionalLibrary, check_epochs, quietly
from fastnn.benchmark.workloads import Workload, check_weights

__all__ = ["JaxScanRival", "JaxStepRival"]

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7

Step = Callable[[Any, tuple[Any, Any]], tuple[Any, Any]]


def _loss(workload: Workload) -> Callable[[Any, Any, Any], Any]:
    """Return the loss as a function of the weights and a batch."""
    import jax
    import jax.numpy as jnp

    functions = {"sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh, "relu": jax.nn.relu}
    activations = [functions.get(activation) for activation in workload.activations]
    classify = workload.loss == "sparse_categorical_crossentropy"

    def loss(weights: Any, x: Any, target: Any) -> Any:
        for kernel, bias, activation in zip(weights[0::2], weights[1::2], activations, strict=True):
            x = x @ kernel + bias
            if activation is not None:
                x = activation(x)
        if classify:
            scores = jnp.take_along_axis(x, target[:, None], axis=1)[:, 0]
            return jnp.mean(jax.nn.logsumexp(x, axis=1) - scores)
        return jnp.mean((x - target) ** 2)

    return loss


def _step(workload: Workload) -> Step:
    """Return a training step: state and batch in, state and loss out."""
    import jax
    import jax.numpy as jnp

    evaluate = jax.value_and_grad(_loss(workload))
    rate = workload.learning_rate

    def descend(weights: Any, batch: tuple[Any, Any]) -> tuple[Any, Any]:
        loss, gradients = evaluate(weights, *batch)
        return [w - rate * g for w, g in zip(weights, gradients, strict=True)], loss

    def adam(state: Any, batch: tuple[Any, Any]) -> tuple[Any, Any]:
        weights, ms, vs, t = state
        loss, gradients = evaluate(weights, *batch)
        t = t + 1
        # 1 - beta**t without the digits that the difference loses: the losses agree ten times better.
        first, second = (-jnp.expm1(t * math.log(beta)) for beta in (_BETA_1, _BETA_2))
        alpha = rate * jnp.sqrt(second) / first
        ms = [_BETA_1 * m + (1 - _BETA_1) * g for m, g in zip(ms, gradients, strict=True)]
        vs = [_BETA_2 * v + (1 - _BETA_2) * g * g for v, g in zip(vs, gradients, strict=True)]
        moved = [w - alpha * m / (jnp.sqrt(v) + _EPSILON) for w, m, v in zip(weights, ms, vs, strict=True)]
        return (moved, ms, vs, t), loss

    return adam if workload.optimizer == "adam" else descend


class JaxScanRival(OptionalLibrary):
    """Minibatch training of a multilayer perceptron in JAX, the whole loop compiled, float32.

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

    name: ClassVar[str] = "JAX scan"
    module: ClassVar[str] = "jax"
    distribution: ClassVar[str] = "jax"
    requires: ClassVar[str] = "jax and jaxlib"

    def __init__(
        self,
        workload: Workload,
        weights: Sequence[NDArray[np.float32]],
        x: NDArray[np.float32],
        y: NDArray[Any],
    ) -> None:
        check_weights(workload, weights)
        n_batches = workload.steps_per_epoch(len(x))
        with quietly():
            import jax.numpy as jnp

            kept = [jnp.array(weight) for weight in weights]
            self._adam = workload.optimizer == "adam"
            self._state: Any = kept
            if self._adam:
                zeros = [[jnp.zeros_like(weight) for weight in kept] for _ in range(2)]
                self._state = (kept, *zeros, jnp.zeros((), jnp.float32))
            targets = y.astype(np.int32) if workload.loss == "sparse_categorical_crossentropy" else y
            self._data = tuple(
                jnp.array(array).reshape(n_batches, workload.batch, *array.shape[1:])
                for array in (x, targets)
            )
            self._prepare(_step(workload))

    def _prepare(self, step: Step) -> None:
        """Make the compiled function that trains for some epochs."""
        import jax
        import jax.numpy as jnp

        def train(state: Any, data: Any, n_epochs: Any) -> tuple[Any, Any]:
            def epoch(_: Any, carried: tuple[Any, Any]) -> tuple[Any, Any]:
                state, losses = jax.lax.scan(step, carried[0], data)
                return state, jnp.mean(losses)

            return jax.lax.fori_loop(0, n_epochs, epoch, (state, jnp.zeros((), jnp.float32)))

        self._train = jax.jit(train, donate_argnums=0)

    @classmethod
    def thread_counts(cls, n_cores: int) -> tuple[int, ...]:
        """Return all cores: the only number of threads that JAX offers."""
        return (n_cores,)

    @classmethod
    def threads(cls, n_threads: int) -> AbstractContextManager[Any]:
        """Return a context that does nothing: XLA's threads cannot be changed."""
        return contextlib.nullcontext()

    def get_weights(self) -> list[NDArray[np.float32]]:
        """Return copies of the kernels and biases."""
        return [np.array(weight) for weight in (self._state[0] if self._adam else self._state)]

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
        with quietly():
            self._state, loss = self._train(self._state, self._data, n_epochs)
            return float(loss)


class JaxStepRival(JaxScanRival):
    """The same training with a compiled step that is called from Python for every batch."""

    name: ClassVar[str] = "JAX jit"

    def _prepare(self, step: Step) -> None:
        """Make the compiled step, and cut the data into batches."""
        import jax

        self._step = jax.jit(step, donate_argnums=0)
        self._batches = list(zip(*self._data, strict=True))

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
        step, state = self._step, self._state
        losses: list[Any] = []
        with quietly():
            for _ in range(n_epochs):
                losses = []
                for batch in self._batches:
                    state, loss = step(state, batch)
                    losses.append(loss)
            self._state = state
            return float(np.mean([float(loss) for loss in losses]))
