"""Weights of rows that depend on their batch: of losses that divide by the sum of weights, or ignore rows.

A plan that has such a loss reads, beside the sample weights, an array of what each row counts.  It is made
here, for batches of known rows.  This file must not know epochs or programs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastnn.graph.graph import ROW_WEIGHTS, Tensor, array_name
from fastnn.losses import Loss

__all__ = ["KEPT", "depend_on_batches", "row_weights"]

KEPT = "row_kept"  # the array of 1 where a row is not ignored, else 0
Arrays = dict[str, np.ndarray]


def depend_on_batches(losses: Sequence[Loss], arrays: Arrays) -> bool:
    """Return whether a row counts more or less with other rows in its batch.

    Parameters
    ----------
    losses : sequence of Loss
    arrays : dict of str to numpy.ndarray
        By the names that plans know them by.

    Returns
    -------
    bool
    """
    return any(loss.weighs_by_batch("sample_weight" in arrays) for loss in losses)


def row_weights(
    outputs: Sequence[Tensor],
    losses: Sequence[Loss],
    arrays: Arrays,
    batch: int,
    order: np.ndarray | None = None,
) -> Arrays:
    """Return what each row counts in the losses that weigh rows by their batch.

    With a mean, a row's weight over the mean weight of its batch, or, where rows are ignored, over the share
    of those that are not; as Keras does with its masks.  A batch whose weights have the sum 0 counts as 0.

    Parameters
    ----------
    outputs : sequence of Tensor
    losses : sequence of Loss
        One for each output.
    arrays : dict of str to numpy.ndarray
        By the names that plans know them by; all have the same rows.
    batch : int
        Rows of a batch; the last one may have fewer.
    order : numpy.ndarray of int, optional
        The rows of one batch after the other; by default as they are.

    Returns
    -------
    dict of str to numpy.ndarray, (rows, 1)
    """
    made: Arrays = {}
    weight = arrays.get("sample_weight")
    for tensor, loss in zip(outputs, losses, strict=True):
        if not loss.weighs_by_batch(weight is not None):
            continue
        kept = arrays.get(array_name(KEPT, tensor, outputs))
        parts = [part.astype(np.float64) for part in (kept, weight) if part is not None]
        counted = np.prod(parts, axis=0)
        if loss.mean:
            by_weight = kept is None or loss.reduction == "mean_with_sample_weight"
            counted *= _factors(counted if by_weight else parts[0], batch, order)
        name = array_name(ROW_WEIGHTS, tensor, outputs)
        made[name] = np.ascontiguousarray(counted, arrays[array_name("y", tensor, outputs)].dtype)
    return made


def _factors(divisor: np.ndarray, batch: int, order: np.ndarray | None) -> np.ndarray:
    """Return for each row the rows of its batch over the sum that its batch divides by; 0 where that is 0."""
    rows = len(divisor)
    starts = np.arange(0, rows, batch)
    ordered = divisor[:, 0] if order is None else divisor[order, 0]
    sums, counts = np.add.reduceat(ordered, starts), np.diff([*starts, rows])
    factors = np.repeat(np.divide(counts, sums, out=np.zeros(len(starts)), where=sums != 0), counts)
    if order is not None:
        factors[order] = factors.copy()
    return factors[:, None]
