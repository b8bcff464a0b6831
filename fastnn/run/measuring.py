"""Metrics on arrays, without a model: what `fastnn/__init__.py` hands down to `fastnn.metrics.Metric`.

Targets and outputs pass the border as those of a model do, and the kernels add up the same sums.  This file
must not know models.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.border import data
from fastnn.border.numeric import as_numbers
from fastnn.cache import Latest
from fastnn.compiler.pipeline import compile_metric
from fastnn.compiler.plan import WEIGHTS, Plan
from fastnn.errors import ShapeError
from fastnn.losses import Loss, MeanSquaredError, SparseCategoricalCrossentropy
from fastnn.metrics import Metric
from fastnn.run.program import Program

__all__ = ["measure"]

_plans: Latest[Plan] = Latest(1_000, lambda plan: len(plan.ops))
_OF_NUMBERS: Loss = MeanSquaredError()
_OF_LABELS: Loss = SparseCategoricalCrossentropy()


def measure(
    metric: Metric, y_true: object, y_pred: object, sample_weight: object
) -> tuple[list[float], float]:
    """Return the sums of a metric, and the rows, or their weights.

    Parameters
    ----------
    metric : Metric
    y_true, y_pred, sample_weight
        As in `fastnn.metrics.Metric.update_state`.

    Raises
    ------
    ShapeError, DataError, DTypeError
        If they do not fit each other.

    Examples
    --------
    >>> from fastnn.metrics import Accuracy
    >>> measure(Accuracy(), [1, 2, 2], [1, 2, 3], None)
    ([2.0], 3.0)
    """
    given = as_numbers(y_pred, "y_pred")
    if given.ndim not in (1, 2):
        raise ShapeError(
            f"y_pred has shape {given.shape}; it must be (rows, outputs), or (rows,) for one output"
        )
    dtype = np.dtype(np.float64 if getattr(y_pred, "dtype", None) == np.float64 else np.float32)
    rows, columns = given.shape[0], 1 if given.ndim == 1 else given.shape[1]
    y = data.as_features(given, columns, dtype, name="y_pred", empty=True)
    wanted: Any = y_true
    _check_shapes(np.shape(wanted), given.shape, metric)
    counts: Any = sample_weight
    if counts is not None and np.shape(counts)[:1] != (rows,):
        raise ShapeError(
            f"sample_weight has shape {np.shape(counts)}, and y_pred has {rows} rows; give each one"
        )
    loss = _OF_LABELS if metric.sparse else _OF_NUMBERS
    arrays = {"x": y, "y": data.as_targets(y_true, rows, columns, loss, dtype, name="y_true")}
    if sample_weight is not None:
        arrays[WEIGHTS] = data.as_sample_weight(sample_weight, rows, dtype)
    weighted = sample_weight is not None
    plan = _plans.get((metric, columns, weighted), lambda: compile_metric(metric, columns, weighted))
    if not rows:
        return [0.0] * metric.width(columns), 0.0
    result = Program(plan, dtype, np.empty(0, dtype)).run(arrays, rows, rows)
    if result.exception is not None:
        raise result.exception
    sums = result.sums[0].tolist()
    return (sums[1:], sums[0]) if weighted else (sums, float(rows))


def _check_shapes(of_true: tuple[int, ...], of_pred: tuple[int, ...], metric: Metric) -> None:
    """Raise if targets and outputs of these shapes do not fit each other."""
    if of_true[:1] != of_pred[:1]:
        raise ShapeError(f"y_true has shape {of_true} and y_pred has {of_pred}; they must have as many rows")
    width, wanted = of_true[1:] or (1,), (1,) if metric.sparse else of_pred[1:] or (1,)
    if width != wanted:
        takes = "a label a row" if metric.sparse else "a target for each output"
        raise ShapeError(
            f"y_true has shape {of_true} and y_pred has {of_pred}; {type(metric).__name__} takes {takes}"
        )
