"""Metrics that are functions of the user's own.

What they return is computed with in `fastnn.model.beside`.  This file must not know arrays, layers or
kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fastnn.described import name_of_function
from fastnn.metrics._base import Metric

__all__ = ["FunctionMetric"]


@dataclass(frozen=True)
class FunctionMetric(Metric):
    """The mean over rows of what a function returns; its name is that of the metric.

    Parameters
    ----------
    name : str, optional
    source : callable

    Examples
    --------
    >>> FunctionMetric(source=max).name
    'max'
    """

    source: Callable[[Any, Any], Any] = field(kw_only=True)

    def __post_init__(self) -> None:
        if not self.name:
            self._set("name", name_of_function(self.source))
        super().__post_init__()

    def check_runs(self) -> None:
        """Pass."""
