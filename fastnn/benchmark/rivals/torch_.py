"""PyTorch as a contender, eager and compiled, as an expert writes the loop for a CPU.

Functional layers on plain tensors instead of modules, batches cut beforehand, the fused optimizers,
gradients set to None, losses read once at the end of an epoch. This file must not know how contenders
are timed. PyTorch is imported when a contender is built, not before.

Keras adds Adam's epsilon before the correction of the second moment, PyTorch after it: epsilon is divided
by the correction before every step. That is exact, takes 0.2 us of a step of 300, and without it the
losses of a net with small gradients differ by 4e-5 after six steps.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastnn.benchmark.rivals._library import OptionalLibrary, check_epochs, quietly
from fastnn.benchmark.workloads import Workload, check_weights

__all__ = ["TorchCompiledRival", "TorchPredictor", "TorchRival"]

_BETA_2, _EPSILON = 0.999, 1e-7


class _Torch(OptionalLibrary):
    """What training and inference share: the name, and control over the threads."""

    name: ClassVar[str] = "PyTorch"
    module: ClassVar[str] = "torch"
    distribution: ClassVar[str] = "torch"
    requires: ClassVar[str] = "torch"

    @classmethod
    @contextlib.contextmanager
    def threads(cls, n_threads: int) -> Iterator[None]:
        """Let PyTorch compute with `n_threads` threads for the time of the context."""
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(n_threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def _forward(workload: Workload) -> Callable[[Any, Sequence[Any]], Any]:
    """Return the network as a function of rows and weights; a softmax is left to the loss."""
    import torch
    from torch.nn.functional import linear

    functions = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu}
    activations = [functions.get(activation) for activation in workload.activations]

    def forward(x: Any, weights: Sequence[Any]) -> Any:
        for kernel, bias, activation in zip(weights[0::2], weights[1::2], activations, strict=True):
            x = linear(x, kernel, bias)
            if activation is not None:
                x = activation(x)
        return x

    return forward


def _tensors(weights: Sequence[NDArray[np.float32]]) -> list[Any]:
    """Return kernels as PyTorch keeps them, (units, inputs), and biases."""
    import torch

    return [torch.from_numpy(np.array(weight.T, order="C")) for weight in weights]


class TorchRival(_Torch):
    """Minibatch training of a multilayer perceptron in eager PyTorch, float32.

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
        check_weights(workload, weights)
        workload.steps_per_epoch(len(x))
        with quietly():
            import torch

            self._weights = [tensor.requires_grad_() for tensor in _tensors(weights)]
            rate = workload.learning_rate
            self._optimizer: Any = (
                torch.optim.Adam(self._weights, lr=rate, betas=(0.9, _BETA_2), eps=_EPSILON, fused=True)
                if workload.optimizer == "adam"
                else torch.optim.SGD(self._weights, lr=rate, fused=True)
            )
            self._adam = self._optimizer.param_groups[0] if workload.optimizer == "adam" else None
            self._n_updates = 0
            m = workload.batch
            tensors: list[Any] = [torch.from_numpy(array) for array in (x, y)]
            self._batches = list(zip(*(tensor.split(m) for tensor in tensors), strict=True))
            self._loss = self._prepare(workload)

    def _prepare(self, workload: Workload) -> Callable[[Any, Any, Sequence[Any]], Any]:
        """Return the loss as a function of a batch and the weights."""
        from torch.nn.functional import cross_entropy, mse_loss

        forward = _forward(workload)
        compare: Callable[[Any, Any], Any] = (
            cross_entropy if workload.loss == "sparse_categorical_crossentropy" else mse_loss
        )

        def loss(x: Any, target: Any, weights: Sequence[Any]) -> Any:
            return compare(forward(x, weights), target)

        return loss

    def get_weights(self) -> list[NDArray[np.float32]]:
        """Return copies of the kernels and biases."""
        return [np.array(tensor.detach().numpy().T, order="C") for tensor in self._weights]

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
        compute, optimizer, weights = self._loss, self._optimizer, self._weights
        adam, t = self._adam, self._n_updates
        losses: list[Any] = []
        with quietly():
            for _ in range(n_epochs):
                losses = []
                for x, target in self._batches:
                    optimizer.zero_grad(set_to_none=True)
                    loss = compute(x, target, weights)
                    loss.backward()
                    if adam is not None:
                        t += 1
                        adam["eps"] = _EPSILON / (1 - _BETA_2**t) ** 0.5
                    optimizer.step()
                    losses.append(loss.detach())
        self._n_updates = t
        return float(np.mean([float(loss) for loss in losses]))


class TorchCompiledRival(TorchRival):
    """The same training with the network and its loss, forward and backward, through ``torch.compile``.

    The optimizer stays the fused one, which is a single call already. Compiling takes many seconds a net
    and happens before anything is timed, once for each number of threads.
    """

    name: ClassVar[str] = "PyTorch compiled"
    requires: ClassVar[str] = "torch and a C++ compiler"
    slow_start: ClassVar[bool] = True

    @classmethod
    def available(cls) -> bool:
        """Say whether PyTorch and a C++ compiler are installed."""
        compilers = (os.environ.get("CXX", ""), "g++", "clang++", "c++", "cl")
        return super().available() and any(name and shutil.which(name.split()[0]) for name in compilers)

    def _prepare(self, workload: Workload) -> Callable[[Any, Any, Sequence[Any]], Any]:
        """Return the compiled loss as a function of a batch and the weights."""
        import torch
        from torch._inductor import config

        config.compile_threads = 1  # no pool of helper processes that lives on beside the race
        torch._dynamo.reset()  # what was compiled for another net would count against the cache's limit
        compiled: Callable[[Any, Any, Sequence[Any]], Any] = torch.compile(
            super()._prepare(workload), fullgraph=True, dynamic=False
        )
        return compiled


class TorchPredictor(_Torch):
    """The outputs of a network for NumPy rows, by PyTorch in inference mode.

    Parameters
    ----------
    workload : Workload
        The network.
    weights : sequence of ndarray
        Its kernels and biases.
    """

    def __init__(self, workload: Workload, weights: Sequence[NDArray[np.float32]]) -> None:
        check_weights(workload, weights)
        with quietly():
            self._weights = _tensors(weights)
            self._forward = _forward(workload)
        self._softmax = workload.activations[-1] == "softmax"

    def function(self, n_threads: int) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
        """Return the function from rows to outputs; the context `threads` says with how many threads."""
        import torch

        forward, weights, softmax = self._forward, self._weights, self._softmax
        from_numpy, inference_mode = torch.from_numpy, torch.inference_mode

        def predict(x: NDArray[np.float32]) -> NDArray[np.float32]:
            with inference_mode():
                y = forward(from_numpy(x), weights)
                outputs: NDArray[np.float32] = (y.softmax(dim=1) if softmax else y).numpy()
            return outputs

        return predict
