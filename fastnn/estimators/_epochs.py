"""Epochs over checked arrays, with the penalties and weights of scikit-learn: in one call, or batch by batch.

Batches that all have one divisor of the penalty run in one call of the executor, those of a shorter last one
in another.  Sparse rows become dense batch by batch, and where rows have weights each batch has a divisor of
its own: the gradients of the data are then made first, and what is added to them before the update is the
penalty's.  This file must not know scikit-learn or estimators.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from fastnn.estimators._network import Network, parts_of_loss
from fastnn.model.programs import Key, capacity_for
from fastnn.run.program import Result, aligned_array

__all__ = ["Epoch", "Epochs", "Rows"]


class Rows(NamedTuple):
    """Checked rows.

    Attributes
    ----------
    x : numpy.ndarray or sparse matrix, (rows, features)
    y : numpy.ndarray, (rows, targets)
        As the loss takes them.
    weights : numpy.ndarray or None, (rows,)
    constant : numpy.ndarray or None, (rows,), float64
        What is added to the loss of each row, on which no weight of the net depends.
    """

    x: Any
    y: np.ndarray
    weights: np.ndarray | None = None
    constant: np.ndarray | None = None

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return int(self.x.shape[0])


class Epoch(NamedTuple):
    """What an epoch was.

    Attributes
    ----------
    data, penalty : float
        Means over the rows; NaN if one of them was not finite, and the weights are those before.
    """

    data: float
    penalty: float

    @property
    def finite(self) -> bool:
        """Whether both are."""
        return math.isfinite(self.data + self.penalty)


_FAILED = Epoch(math.nan, math.nan)


class Epochs:
    """Epochs of a net over rows.

    Parameters
    ----------
    network : Network
        With an optimizer.
    rows : Rows
    batch : int
        At most as many as there are rows.
    alpha : float
        The penalty of a batch is ``alpha / 2 * sum(w ** 2) / d``, ``d`` being its rows or the sum of their
        weights.
    n_threads : int, optional
    """

    def __init__(
        self, network: Network, rows: Rows, batch: int, alpha: float, n_threads: int | None = None
    ) -> None:
        self._network, self._rows, self._batch, self._alpha = network, rows, batch, alpha
        self._n_threads = n_threads
        self._restorable = False
        sparse = not isinstance(rows.x, np.ndarray)
        # Layers with statistics learn those in training only, so the penalty is that of the mean weight.
        exact = rows.weights is not None and alpha > 0.0 and not network.has_statistics
        self._by_batch = sparse or exact
        self._exact = exact
        self._mean_weight = 1.0 if rows.weights is None else float(rows.weights.mean())
        self._x = rows.x if sparse else np.ascontiguousarray(rows.x, network.dtype)
        self._y = np.ascontiguousarray(rows.y, network.dtype)
        self._gradients = aligned_array(network.flat.size, network.dtype) if exact else None

    def run(self, order: np.ndarray | None) -> Epoch:
        """Run an epoch over the rows in an order, which may leave some out, or as they are."""
        factors = self._factors(order)
        if factors is None and self._rows.weights is not None:
            raise ZeroDivisionError(
                "the sample weights of a batch sum to zero; leave out rows without a weight, or make "
                "batch_size larger"
            )
        epoch = self._batches(order, factors) if self._by_batch else self._whole(order, factors)
        if self._rows.constant is not None and epoch.finite:
            constant = self._rows.constant if factors is None else self._rows.constant * factors
            epoch = epoch._replace(data=epoch.data + float(constant.mean()))
        return epoch

    def _factors(self, order: np.ndarray | None) -> np.ndarray | None:
        """Return for each row its weight over the mean weight of its batch; None without, or if one is 0."""
        weights = self._rows.weights
        if weights is None:
            return None
        ordered = np.asarray(weights if order is None else weights[order], np.float64)
        n = len(ordered)
        starts = np.arange(0, n, self._batch)
        sums, counts = np.add.reduceat(ordered, starts), np.diff([*starts, n])
        if not sums.all():
            return None
        self._sums = sums
        factors = ordered * np.repeat(counts / sums, counts)
        if order is not None:
            placed = np.zeros(len(weights))
            placed[order] = factors
            factors = placed
        return factors

    def _decay(self, rows: int) -> float:
        """Return the factor of the squares of the weights for a batch of so many rows."""
        return self._alpha / (2.0 * rows * self._mean_weight)

    def _arrays(self, factors: np.ndarray | None) -> dict[str, np.ndarray]:
        arrays = {"x": self._x, "y": self._y}
        if factors is not None:
            arrays["sample_weight"] = np.ascontiguousarray(factors[:, None], self._network.dtype)
        return arrays

    # -- in one call

    def _whole(self, order: np.ndarray | None, factors: np.ndarray | None) -> Epoch:
        n, batch = self._rows.n_rows if order is None else len(order), self._batch
        last = n % batch if self._alpha else 0
        arrays = self._arrays(factors)
        data = penalty = 0.0
        for begin, end in ((0, n - last), (n - last, n)):
            rows = end - begin
            if not rows:
                continue
            size = min(batch, rows)
            gather = order is not None and size < self._rows.n_rows
            key = Key("train", size, gather=gather, weighted=factors is not None)
            program = self._network.program(self._decay(size), key)
            part = None if order is None or not gather else order[begin:end]
            given = arrays if part is not None else {name: a[begin:end] for name, a in arrays.items()}
            result = self._train(program, given, rows, size, part)
            if not result.finite:
                return _FAILED
            found = parts_of_loss(program.plan, result.sums[0])
            data, penalty = data + found[0], penalty + found[1]
        return Epoch(data / n, penalty / n)

    def _train(
        self,
        program: Any,
        arrays: dict[str, np.ndarray],
        rows: int,
        batch: int,
        order: np.ndarray | None = None,
    ) -> Result:
        optimizer = self._network.need_optimizer()
        result: Result = program.run(
            arrays,
            rows,
            batch,
            n_threads=self._n_threads,
            permutation=order,
            seed=self._network.seed,
            scalars=optimizer.scalars,
            progress=optimizer.progress,
            restore=True,
            restorable=self._restorable,
        )
        if result.exception is not None:
            raise result.exception
        return result

    # -- batch by batch

    def _batches(self, order: np.ndarray | None, factors: np.ndarray | None) -> Epoch:
        n, batch = self._rows.n_rows if order is None else len(order), self._batch
        data = penalty = 0.0
        for number, begin in enumerate(range(0, n, batch)):
            rows: Any = slice(begin, min(begin + batch, n)) if order is None else order[begin : begin + batch]
            x = self._x[rows]
            if not isinstance(x, np.ndarray):
                x = np.ascontiguousarray(x.toarray(), self._network.dtype)
            arrays = {"x": x, "y": self._y[rows]}
            if factors is not None:
                arrays["sample_weight"] = np.ascontiguousarray(factors[rows, None], self._network.dtype)
            if self._exact:
                found = self._step(arrays, len(x), float(self._sums[number]))
            else:
                key = Key("train", len(x), weighted=factors is not None)
                program = self._network.program(self._decay(len(x)), key)
                result = self._train(program, arrays, len(x), len(x))
                found = parts_of_loss(program.plan, result.sums[0]) if result.finite else _FAILED
            if not math.isfinite(found[0] + found[1]):
                return _FAILED
            data, penalty = data + found[0], penalty + found[1]
        return Epoch(data / n, penalty / n)

    def _step(self, arrays: dict[str, np.ndarray], rows: int, divisor: float) -> tuple[float, float]:
        """Make a step with the penalty over a divisor; return what the loss and the penalty add up to."""
        network, flat = self._network, self._gradients
        assert flat is not None
        optimizer = network.need_optimizer()
        programs = network.programs(0.0)
        plan, result = programs.run(
            Key("gradients", capacity_for(rows), weighted=True),
            arrays,
            rows,
            gradients=flat,
            seed=network.seed,
            step=optimizer.progress.steps,
            n_threads=self._n_threads,
        )
        if result.exception is not None:
            raise result.exception
        squares = 0.0
        for kernel, gradient in zip(network.kernels, network.kernels_of(flat), strict=True):
            gradient += (self._alpha / divisor) * kernel
            squares += float(np.vdot(kernel, kernel))
        data, _ = parts_of_loss(plan, result.sums[0])
        penalty = self._alpha / (2.0 * divisor) * squares * rows
        if not math.isfinite(data + penalty):
            return _FAILED
        result = network.program(0.0, Key("update")).run(
            {},
            1,
            1,
            scalars=optimizer.scalars,
            progress=optimizer.progress,
            gradients=flat,
            restore=True,
            n_threads=self._n_threads,
        )
        if result.exception is not None:
            raise result.exception
        return (data, penalty) if result.finite else _FAILED
