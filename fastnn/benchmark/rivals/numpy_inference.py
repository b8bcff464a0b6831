"""The outputs of a network in NumPy: a product, a bias and an activation per layer, in place.

This file must not know how contenders are timed. The element-wise functions are those of the training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fastnn.benchmark.rivals._library import OptionalLibrary
from fastnn.benchmark.rivals.numpy_ import ACTIVATIONS
from fastnn.benchmark.workloads import Workload, check_weights

__all__ = ["NumpyPredictor"]


class NumpyPredictor(OptionalLibrary):
    """The outputs of a network for NumPy rows.

    Parameters
    ----------
    workload : Workload
        The network.
    weights : sequence of ndarray
        Its kernels and biases.
    """

    name: ClassVar[str] = "NumPy"
    module: ClassVar[str] = "numpy"
    distribution: ClassVar[str] = "numpy"
    requires: ClassVar[str] = "numpy"

    def __init__(self, workload: Workload, weights: Sequence[NDArray[np.float32]]) -> None:
        check_weights(workload, weights)
        functions = [ACTIVATIONS[activation][0] for activation in workload.activations]
        kept = [np.array(weight) for weight in weights]
        self._layers = list(zip(kept[0::2], kept[1::2], functions, strict=True))
        self._softmax = workload.activations[-1] == "softmax"

    def function(self, n_threads: int) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
        """Return the function from rows to outputs; the context `threads` says with how many threads."""
        return self._predict

    def _predict(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        for kernel, bias, activate in self._layers:
            x = np.dot(x, kernel)
            np.add(x, bias, x)
            if activate is not None:
                activate(x)
        if self._softmax:
            np.subtract(x, np.maximum.reduce(x, axis=1, keepdims=True), x)
            np.exp(x, x)
            np.divide(x, np.add.reduce(x, axis=1, keepdims=True), x)
        return x
