"""The loss of all rows as a function of the weights, whose minimum SciPy searches for.

This file must not know estimators.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnn.estimators._epochs import Rows
from fastnn.estimators._network import Network, parts_of_loss
from fastnn.model.programs import Key, capacity_for
from fastnn.run.program import aligned_array

__all__ = ["LossOfAll", "packed"]

_SPARSE_ROWS = 1024  # of a sparse matrix that become dense at a time


def packed(kernels: list[np.ndarray], biases: list[np.ndarray]) -> np.ndarray:
    """Return weights as one vector, kernels first, as scikit-learn does."""
    return np.concatenate([part.ravel() for part in (*kernels, *biases)], dtype=np.float64)


class LossOfAll:
    """Loss and gradient at vectors of weights, on all rows.

    Parameters
    ----------
    network : Network
        With an optimizer, which takes no part.
    rows : Rows
    alpha : float
    scale : float
        What the value, not the gradient, of the data's loss is multiplied by.
    n_threads : int, optional
    """

    def __init__(
        self, network: Network, rows: Rows, alpha: float, scale: float, n_threads: int | None = None
    ) -> None:
        self._n_threads = n_threads
        self._network, self._alpha, self._scale = network, alpha, scale
        self._sparse = not isinstance(rows.x, np.ndarray)
        self._x = rows.x if self._sparse else np.ascontiguousarray(rows.x, network.dtype)
        self._y = np.ascontiguousarray(rows.y, network.dtype)
        n = rows.n_rows
        self._weights: np.ndarray | None = None
        self._divisor, self._constant = float(n), 0.0
        if rows.weights is not None:
            self._divisor = float(rows.weights.sum())
            if not self._divisor:
                raise ZeroDivisionError("the sample weights sum to zero")
            # The mean over the rows is then that over their weights.
            self._weights = np.ascontiguousarray((rows.weights * (n / self._divisor))[:, None], network.dtype)
        if rows.constant is not None:
            self._constant = float(np.average(rows.constant, weights=rows.weights))
        self._flat = aligned_array(network.flat.size, network.dtype)

    def __call__(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        """Return both; the net has these weights from now on.

        Parameters
        ----------
        vector : numpy.ndarray, (size,)
            As `packed` returns it.
        """
        network = self._network
        begin = 0
        for own in (*network.kernels, *network.biases):
            own[...] = vector[begin : begin + own.size].reshape(own.shape)
            begin += own.size
        n = int(self._x.shape[0])
        step = _SPARSE_ROWS if self._sparse else n
        data, gradient = 0.0, np.zeros(vector.size)
        for first in range(0, n, step):
            rows = slice(first, min(first + step, n))
            count = rows.stop - first
            x: Any = self._x[rows]
            if self._sparse:
                x = np.ascontiguousarray(x.toarray(), network.dtype)
            arrays = {"x": x, "y": self._y[rows]}
            if self._weights is not None:
                arrays["sample_weight"] = self._weights[rows]
            key = Key("gradients", capacity_for(count), weighted=self._weights is not None)
            plan, result = network.programs(0.0).run(
                key,
                arrays,
                count,
                gradients=self._flat,
                seed=network.seed,
                n_threads=self._n_threads,
            )
            if result.exception is not None:
                raise result.exception
            data += parts_of_loss(plan, result.sums[0])[0] / n
            parts = packed(network.kernels_of(self._flat), network.biases_of(self._flat))
            gradient += parts * (count / n)
        squares = sum(float(np.vdot(kernel, kernel)) for kernel in network.kernels)
        size = sum(kernel.size for kernel in network.kernels)
        gradient[:size] += (self._alpha / self._divisor) * vector[:size]
        loss = data * self._scale + self._constant + 0.5 * self._alpha * squares / self._divisor
        return (loss if not math.isnan(loss) else math.inf), gradient
