"""Fitted scalers of scikit-learn as numbers: ``(x - mean) * factor`` for each feature, then limits.

This file must not know formats.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.errors import ConfigurationError

__all__ = ["SCALERS", "Scaling", "is_of", "one_after_another", "scaling_of", "standard_mean"]

SCALERS = ("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler")


@dataclass(frozen=True)
class Scaling:
    """What a scaler does to a row.

    Attributes
    ----------
    mean, factor : ndarray, (features,)
        Of float64.
    limits : (float, float) or None
        What results are clipped to.
    """

    mean: NDArray[np.float64]
    factor: NDArray[np.float64]
    limits: tuple[float, float] | None = None


def is_of(library: str, step: Any, *names: str) -> bool:
    """Return whether an object is of a class of a library that has one of these names."""
    kind = type(step)
    return kind.__module__.partition(".")[0] == library and kind.__name__ in names


def scaling_of(step: Any, name: str, dtype: np.dtype[Any]) -> Scaling:
    """Return what a fitted scaler does.

    Parameters
    ----------
    step : object
    name : str
        How messages speak of it.
    dtype : numpy.dtype
        Of the rows.

    Returns
    -------
    Scaling

    Raises
    ------
    ConfigurationError
        If it is no scaler, or not fitted.
    """
    if not is_of("sklearn", step, *SCALERS):
        raise ConfigurationError(
            f"the step {name} has no counterpart here; of what stands before a network, {', '.join(SCALERS)} "
            "have one: do the rest before, on the rows"
        )
    if not hasattr(step, "n_features_in_"):
        raise ConfigurationError(f"the step {name} is not fitted; fit the Pipeline, then export it")
    ones = np.ones(step.n_features_in_)
    limits = tuple(map(float, getattr(step, "feature_range", (-1, 1)))) if _clips(step) else None
    if type(step).__name__ == "MinMaxScaler":
        return Scaling(-step.min_ / step.scale_, step.scale_ * ones, limits)  # type: ignore[arg-type]
    mean = getattr(step, "center_", None)
    if getattr(step, "with_mean", False):  # else it is computed all the same
        mean = standard_mean(step, dtype)
    scale = ones if step.scale_ is None else np.asarray(step.scale_, np.float64)
    mean = 0.0 * ones if mean is None else np.asarray(mean, np.float64)
    return Scaling(mean, 1.0 / scale, limits)  # type: ignore[arg-type]


def standard_mean(step: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return what a fitted `StandardScaler` takes off rows of a dtype.

    Some versions of scikit-learn round the means to the dtype first, others do not: its means show it.
    """
    exact = np.asarray(step.mean_, np.float64)
    rounded = exact.astype(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that columns have no names
        rest = np.asarray(step.transform(rounded.reshape(1, -1).copy()))
    return exact if rest.any() else rounded


def _clips(step: Any) -> bool:
    return bool(getattr(step, "clip", False))


def one_after_another(scalings: Sequence[Scaling]) -> list[Scaling]:
    """Return as few scalings that do the same.

    Examples
    --------
    >>> twice = Scaling(np.array([1.0]), np.array([2.0]))
    >>> one_after_another([twice, twice])
    [Scaling(mean=array([1.5]), factor=array([4.]), limits=None)]
    """
    found: list[Scaling] = []
    for one in scalings:
        if found and found[-1].limits is None:
            first = found.pop()
            one = Scaling(first.mean + one.mean / first.factor, first.factor * one.factor, one.limits)
        found.append(one)
    return found
