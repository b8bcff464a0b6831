"""An estimator for C: scaling and nets as one forward, and the labels.

This file must not know how C is written.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.export.c_labels import Labels
from fastnn.export.estimators import fitted_of, joined, plain_labels, scaled, shown_step
from fastnn.export.scalers import one_after_another, scaling_of

__all__ = ["EstimatorForC"]


class EstimatorForC:
    """What a file of C has to do in the place of an estimator.

    Parameters
    ----------
    estimator : estimator or Pipeline
        Fitted.

    Attributes
    ----------
    forward : Forward
    labels : Labels or None
        None of a regressor.

    Raises
    ------
    ConfigurationError
        If it is not fitted, or has steps or labels without a counterpart.
    """

    def __init__(self, estimator: Any) -> None:
        fitted = fitted_of(estimator)
        net = joined(fitted.exported)
        self._estimator, task = estimator, fitted.exported.task
        scalings = [scaling_of(step, shown_step(name, step), net.dtype) for name, step in fitted.steps]
        self._scalings = one_after_another(scalings)
        self.forward = scaled(net, self._scalings)
        self.labels: Labels | None = None
        if task != "numbers":
            classes = fitted.exported.classes
            assert classes is not None
            self.labels = Labels(plain_labels(classes, "C"), task == "classes")

    def unscaled(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return rows which scaling makes of those."""
        for scaling in self._scalings[:1]:
            x = (x / scaling.factor + scaling.mean).astype(x.dtype)
        return x

    def predicted(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return what the estimator gives for rows, (rows, outputs)."""
        function = self._estimator.predict if self.labels is None else self._estimator.predict_proba
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that columns have no names
            found = function(x)
        return np.asarray(found).reshape(len(x), -1)
