"""Fitted estimators and Pipelines that can be exported, and rows for them: every task, every step."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import fastnn

Made = tuple[Any, Any]  # an estimator, and rows
ROWS = 60
SETTINGS: dict[str, Any] = {"hidden_layer_sizes": (8, 6), "max_iter": 3, "random_state": 0}
LABELS: dict[str, list[Any]] = {
    "texts": ["no", "yes", 'per"haps\n\u00e4\u4e2d'],
    "integers": [-5, 0, 7_000_000_000],
    "floats": [-1.0, 2.0, 3.0],
    "two texts": ["b", "a"],
    "two integers": [3, 8],
    "booleans": [False, True],
}


def rows(dtype: Any = np.float64, features: int = 5) -> np.ndarray:
    return np.random.default_rng(0).normal(2.0, 3.0, (ROWS, features)).astype(dtype)


def fitted(estimator: Any, X: Any, y: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that few iterations did not converge
        return estimator.fit(X, y)


def _classes(labels: str, dtype: str, **options: Any) -> Made:
    X, names = rows(dtype), np.array(LABELS[labels])
    y = names[np.digitize(X[:, 0] - X[:, 1], [-1.0, 2.0]) % len(names)]
    return fitted(fastnn.MLPClassifier(**SETTINGS | options), X, y), X


def _several_labels(dtype: str, **options: Any) -> Made:
    X = rows(dtype)
    return fitted(fastnn.MLPClassifier(**SETTINGS | options), X, (X[:, :3] > 2).astype(int)), X


def _numbers(outputs: int, dtype: str, **options: Any) -> Made:
    X = rows(dtype)
    y = X[:, :outputs] ** 2 if outputs > 1 else X[:, 0] ** 2
    return fitted(fastnn.MLPRegressor(**SETTINGS | options), X, y.astype(dtype)), X


ESTIMATORS: dict[str, Callable[[str], Made]] = {
    **{f"classes, {labels}": partial(_classes, labels) for labels in LABELS},
    "several labels": _several_labels,
    "one number": partial(_numbers, 1),
    "several numbers": partial(_numbers, 3),
    "counts": partial(_numbers, 1, loss="poisson"),
    "a quantile": partial(_numbers, 1, loss="quantile"),
    "quantiles": partial(_numbers, 1, loss="quantile", quantiles=[0.1, 0.5, 0.9]),
    "ensemble, classes": partial(_classes, "texts", n_ensemble=3),
    "ensemble, two classes": partial(_classes, "booleans", n_ensemble=2),
    "ensemble, labels": partial(_several_labels, n_ensemble=2),
    "ensemble, numbers": partial(_numbers, 2, n_ensemble=3),
    "normalization, batch": partial(_classes, "texts", normalization="batch"),
    "normalization, layer": partial(_numbers, 1, normalization="layer"),
    "dropout": partial(_classes, "two texts", dropout=[0.1, 0.3]),
    "activations": partial(_classes, "integers", activation=["gelu", "logistic"]),
    "everything": partial(
        _classes, "texts", n_ensemble=2, normalization="batch", dropout=0.2, activation=["mish", "tanh"]
    ),
    "no hidden layer": partial(_classes, "texts", hidden_layer_sizes=()),
}


def _scaler(name: str, *arguments: Any, **options: Any) -> Any:
    from sklearn import preprocessing

    return getattr(preprocessing, name)(*arguments, **options)


def _chain() -> Any:
    from sklearn.pipeline import make_pipeline

    return make_pipeline(
        _scaler("MinMaxScaler", clip=True), "passthrough", _scaler("StandardScaler"), _scaler("RobustScaler")
    )


SCALERS: dict[str, Callable[[], Any]] = {
    "StandardScaler": partial(_scaler, "StandardScaler"),
    "StandardScaler, mean alone": partial(_scaler, "StandardScaler", with_std=False),
    "StandardScaler, deviation alone": partial(_scaler, "StandardScaler", with_mean=False),
    "StandardScaler, nothing": partial(_scaler, "StandardScaler", with_mean=False, with_std=False),
    "MinMaxScaler": partial(_scaler, "MinMaxScaler", (-2.0, 3.0)),
    "MinMaxScaler, clip": partial(_scaler, "MinMaxScaler", (0.5, 2.0), clip=True),
    "MaxAbsScaler": partial(_scaler, "MaxAbsScaler"),
    "RobustScaler": partial(_scaler, "RobustScaler"),
    "RobustScaler, scale alone": partial(_scaler, "RobustScaler", with_centering=False),
    "RobustScaler, center alone": partial(_scaler, "RobustScaler", with_scaling=False),
    "Pipeline": _chain,
}


def scaled(name: str, dtype: str, **options: Any) -> Made:
    """Return a Pipeline with a scaler; the last rows are beyond those it was fitted on."""
    from sklearn.pipeline import make_pipeline

    X = rows(dtype)
    y = np.array(LABELS["texts"])[np.digitize(X[:, 0] - X[:, 1], [-1.0, 2.0])]
    net = make_pipeline(SCALERS[name](), fastnn.MLPClassifier(**SETTINGS | options))
    return fitted(net, X[:50], y[:50]), X * 1.3
