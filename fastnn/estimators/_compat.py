"""What differs between scikit-learn 1.4 and later, and what of it is no part of its public interface.

The only file that imports what scikit-learn may move.  It must not know training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call as is_first_partial_fit
from sklearn.utils.optimize import _check_optimize_result as checked_result
from sklearn.utils.validation import _check_sample_weight as checked_weights

try:  # from 1.6 on
    from sklearn.utils.validation import validate_data
except ImportError:  # pragma: no cover - older ones

    def validate_data(estimator: Any, *arrays: Any, **options: Any) -> Any:
        """Return arrays, checked."""
        return estimator._validate_data(*arrays, **options)


_Method = TypeVar("_Method", bound=Callable[..., Any])


__all__ = [
    "Interval",
    "Options",
    "StrOptions",
    "checked_parameters",
    "checked_result",
    "checked_weights",
    "if_stochastic",
    "is_first_partial_fit",
    "validate_data",
]


def checked_parameters(method: _Method) -> _Method:
    """Let a method check the parameters of its estimator first."""
    found: _Method = _fit_context(prefer_skip_nested_validation=True)(method)
    return found


def if_stochastic(method: _Method) -> _Method:
    """Let a method be there for solvers that make steps on batches only."""
    found: _Method = available_if(lambda estimator: estimator._check_solver())(method)
    return found
