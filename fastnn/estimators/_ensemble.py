"""Ensembles: further nets that differ from the first in what they draw, and the mean of all of them.

This file must not know nets or data.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import clone

__all__ = ["fit_others", "outputs_of_all"]


def fit_others(estimator: Any, X: Any, y: Any, goes_on: bool, method: str, **options: Any) -> None:
    """Train the members beside the first one, which is trained.

    Parameters
    ----------
    estimator : BasePerceptron
        The first member, which keeps the others in `ensemble_`.
    X, y : array_like
    goes_on : bool
        Whether members that are there are trained further.
    method : {"fit", "partial_fit"}
    **options
        Of the method.
    """
    count = estimator.n_ensemble - 1
    if not count:
        estimator.__dict__.pop("ensemble_", None)
        return
    others: list[Any] = getattr(estimator, "ensemble_", [])[:count] if goes_on else []
    # Of a number follow seeds that do not depend on the rows, nor on what the first one has drawn.
    seed = estimator.random_state
    source = np.random.RandomState(int(seed)) if isinstance(seed, Integral) else estimator._random_state
    for drawn in source.randint(2**31 - 1, size=count)[len(others) :]:
        others.append(clone(estimator).set_params(random_state=int(drawn)))
    settings = estimator.get_params(deep=False)
    del settings["random_state"]
    for other in others:
        # Callbacks and bars are told of the first one only.
        other.set_params(**settings | {"n_ensemble": 1, "callbacks": None, "progress_bar": False})
        getattr(other, method)(X, y, **options)
    estimator.ensemble_ = others


def outputs_of_all(estimator: Any, X: Any) -> np.ndarray:
    """Return the outputs of all members, (members, rows, outputs)."""
    return np.stack([estimator._outputs_of_first(X), *(one._outputs(X) for one in estimator.ensemble_)])
