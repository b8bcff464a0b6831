"""What the tests of pictures draw: points, models, estimators.  Without matplotlib they are skipped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
matplotlib.use("agg")
pyplot = pytest.importorskip("matplotlib.pyplot", reason="matplotlib is not installed")
Figure = pyplot.Figure


POINTS = np.random.default_rng(0).normal(size=(60, 2))
SIDES = (POINTS[:, 0] > 0.25).astype(int)
THIRDS = np.where(SIDES, 2, (POINTS[:, 1] > 0).astype(int))


def model_of(kernel: Any, bias: Any, activation: str, **options: Any) -> fastnn.Sequential:
    """Return a model of one layer with given weights."""
    kernel = np.array(kernel, dtype=float)
    dense = layers.Dense(kernel.shape[1], activation, name="only")
    model = fastnn.Sequential([fastnn.Input((len(kernel),)), dense], seed=0, **options)
    model.set_weights([kernel, np.array(bias, dtype=float)])
    return model


def sigmoid() -> fastnn.Sequential:
    return model_of([[8.0], [0.0]], [-2.0], "sigmoid")


def softmax() -> fastnn.Sequential:
    return model_of([[-2.0, -2.0, 4.0], [-3.0, 3.0, 0.0]], [0.0, 0.0, -1.0], "softmax")


def linear() -> fastnn.Sequential:
    model = model_of([[2.0], [0.0]], [1.0], "linear")
    model.compile("sgd", "mse")
    return model


def classifier(y: Any, x: Any = POINTS, **options: Any) -> Any:
    """Return a fitted estimator of fastnn."""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    found = fastnn.MLPClassifier((8,), solver="lbfgs", random_state=0, max_iter=200, **options)
    return found.fit(x, y)


def regressor() -> Any:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    found = fastnn.MLPRegressor(hidden_layer_sizes=(8,), solver="lbfgs", random_state=0, max_iter=300)
    return found.fit(POINTS, POINTS[:, 0] * 2 + 1)


def texts(legend: Any) -> list[str]:
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]
