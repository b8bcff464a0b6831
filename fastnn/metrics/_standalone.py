"""Means and sums of numbers that come one after another, without a model.

This file must not know layers or kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from fastnn.checks import shown
from fastnn.errors import ConfigurationError, DTypeError, ShapeError
from fastnn.metrics._base import Metric

__all__ = ["Mean", "MeanMetricWrapper", "Sum"]


@dataclass(frozen=True)
class Mean(Metric):
    """Mean of values, by their weights if these are given.

    It is no metric of a model, but for loops of one's own, as for the mean of a loss over batches.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> mean = Mean()
    >>> mean.update_state([1.0, 3.0, 5.0, 7.0])
    >>> mean.result()
    4.0
    >>> Mean()([1.0, 3.0, 5.0, 7.0], sample_weight=[1, 1, 0, 0])
    2.0
    """

    default_name: ClassVar[str] = "mean"
    counts: ClassVar[bool] = True

    def width(self, outputs: int) -> int:
        """Return how many sums there are: of the values, and of their weights."""
        return 2

    def of_sums(self, sums: Sequence[Any]) -> Any:
        """Return the mean; 0 of nothing."""
        total, weight = sums
        return total / weight if weight else 0.0

    def update_state(self, values: object, sample_weight: object = None) -> None:  # type: ignore[override]
        """Add values.

        Parameters
        ----------
        values : array_like
            Of several axes, rows with their mean, or for a sum their sum.
        sample_weight : array_like, optional
            Of one axis, a weight for each row; or a number for all; or of as many axes as the values.

        Raises
        ------
        ShapeError
            If the weights do not fit the values; nothing is added then.

        Examples
        --------
        >>> total = Sum()
        >>> total.update_state([[1.0, 2.0], [3.0, 4.0]], sample_weight=[1.0, 0.5])
        >>> total.result()
        6.5
        """
        given = np.asarray(values, np.float64)
        rows = self._by_rows(given)
        weights: Any = np.ones(rows.shape)
        if sample_weight is not None:
            weights = np.asarray(sample_weight, np.float64)
            try:
                if weights.ndim == given.ndim + 1 and weights.shape[-1] == 1:
                    weights = weights[..., 0]
                if weights.ndim > 1:  # a weight for each value
                    weights = np.broadcast_to(weights, given.shape)
                    rows, weights = self._by_rows(given * weights), self._by_rows(weights)
                else:
                    weights = np.broadcast_to(weights, rows.shape)
                    rows = rows * weights
            except ValueError:
                raise ShapeError(
                    f"sample_weight has shape {weights.shape} and the values have {given.shape}; give a "
                    "number, or a weight for each row"
                ) from None
        before = vars(self).get("_state", ([0.0, 0.0], 0.0))[0]
        self._set("_state", ([before[0] + float(rows.sum()), before[1] + float(weights.sum())], 0.0))

    def __call__(self, values: object, sample_weight: object = None) -> Any:  # type: ignore[override]
        """Add values, as `update_state` does, and return the metric of all so far."""
        self.update_state(values, sample_weight)
        return self.result()

    def _by_rows(self, values: Any) -> Any:
        """Return one number for each row of several."""
        return values.mean(tuple(range(1, values.ndim))) if values.ndim > 1 else values


@dataclass(frozen=True)
class Sum(Mean):
    """Sum of values, times their weights if these are given.

    It is no metric of a model, but for loops of one's own.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> Sum()([1.0, 3.0, 5.0, 7.0], sample_weight=[1, 1, 0, 0])
    4.0
    """

    default_name: ClassVar[str] = "sum"

    def of_sums(self, sums: Sequence[Any]) -> Any:
        """Return the sum."""
        return sums[0]

    def _by_rows(self, values: Any) -> Any:
        return values.sum(tuple(range(1, values.ndim))) if values.ndim > 1 else values


@dataclass(frozen=True, init=False)
class MeanMetricWrapper(Mean):
    """Mean of what a function makes of targets and outputs, by sample weights if these are given.

    It is no metric of a model, as functions of Python do not run inside the kernels, but for loops of one's
    own.

    Parameters
    ----------
    fn : callable
        Called with targets and outputs; its result has a number for each row, or more.
    name : str, optional
        The default is the function's name.
    dtype : {"float32", "float64"}, optional
    **kwargs
        Passed on to the function.

    Raises
    ------
    DTypeError
        If `fn` is no function.

    Examples
    --------
    >>> metric = MeanMetricWrapper(lambda t, y: (np.subtract(t, y)) ** 2, name="squares")
    >>> metric([[0.0, 1.0], [2.0, 3.0]], [[0.0, 3.0], [2.0, 3.0]], sample_weight=[1.0, 3.0])
    0.5
    """

    fn: Callable[..., Any]  # type: ignore[misc]
    arguments: tuple[tuple[str, Any], ...] = field(default=(), repr=False)

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, dtype: str | None = None, **kwargs: Any
    ) -> None:
        if not callable(fn) or isinstance(fn, type):
            raise DTypeError(f"fn must be a function of targets and outputs, got {shown(fn)}")
        self._set("name", name or getattr(fn, "__name__", "mean_metric_wrapper"))
        self._set("dtype", dtype)
        self._set("fn", fn)
        self._set("arguments", tuple(sorted(kwargs.items())))
        self.__post_init__()

    def get_config(self) -> dict[str, Any]:
        """Raise: a function is no plain value.

        Raises
        ------
        ConfigurationError
        """
        raise ConfigurationError(
            f"{self.name!r} is a function of Python, which is not written down; write its arguments, "
            "and make the metric anew"
        )

    def update_state(  # type: ignore[override]
        self, y_true: object, y_pred: object, sample_weight: object = None
    ) -> None:
        """Add what the function makes of targets and outputs.

        Parameters
        ----------
        y_true, y_pred : array_like
        sample_weight : array_like, optional
            As that of `Mean.update_state`, for what the function returns.

        Raises
        ------
        ShapeError
            If the weights do not fit what it returns; nothing is added then.
        """
        values = self.fn(np.asarray(y_true), np.asarray(y_pred), **dict(self.arguments))
        super().update_state(values, sample_weight)

    def __call__(  # type: ignore[override]
        self, y_true: object, y_pred: object, sample_weight: object = None
    ) -> Any:
        """Add targets and outputs, as `update_state` does, and return the metric of all so far."""
        self.update_state(y_true, y_pred, sample_weight)
        return self.result()
