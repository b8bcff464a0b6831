"""Losses: frozen descriptions with the formulas and reductions of Keras 3, and functions of arrays.

A description says which loss op it becomes, with which activation that op fuses, and what
targets it takes.  The kernels compute the value and the gradient.
"""
# This file must not know layers or kernels.

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import FunctionType
from typing import Any

from fastnn.absent import attribute_error
from fastnn.described import rebuilt
from fastnn.errors import DTypeError, unknown_name
from fastnn.losses import _functions
from fastnn.losses._base import FORM, Loss
from fastnn.losses._functions import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    cosine_similarity,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from fastnn.losses._margins import CategoricalHinge, Hinge, MulticlassHinge, SquaredHinge
from fastnn.losses._own import FunctionLoss
from fastnn.losses._probabilities import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    Gamma,
    GaussianNLL,
    KLDivergence,
    Poisson,
    SparseCategoricalCrossentropy,
    Tweedie,
)
from fastnn.losses._regression import (
    CosineSimilarity,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Quantile,
    SquaredError,
)

__all__ = [
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "Gamma",
    "GaussianNLL",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "MulticlassHinge",
    "Poisson",
    "Quantile",
    "SparseCategoricalCrossentropy",
    "SquaredError",
    "SquaredHinge",
    "Tweedie",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "cosine_similarity",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "sparse_categorical_crossentropy",
    "squared_hinge",
]


def __dir__() -> list[str]:
    return __all__


_CLASSES: tuple[type[Loss], ...] = (
    MeanSquaredError,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    Gamma,
    GaussianNLL,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredLogarithmicError,
    MulticlassHinge,
    Poisson,
    Quantile,
    SquaredError,
    SquaredHinge,
    Tweedie,
)
_BY_NAME = {cls.name: cls for cls in _CLASSES} | {cls.__name__: cls for cls in _CLASSES}
_SHORT: dict[str, type[Loss]] = {
    "bce": BinaryCrossentropy,
    "kld": KLDivergence,
    "mae": MeanAbsoluteError,
    "mape": MeanAbsolutePercentageError,
    "mse": MeanSquaredError,
    "msle": MeanSquaredLogarithmicError,
}
# Functions stand for the losses of their names.
_FUNCTIONS: dict[object, str] = {globals()[name]: name for name in _functions.__all__}
_BY_NAME |= _SHORT | {name.upper(): cls for name, cls in _SHORT.items()}


@functools.cache
def _usual(name: str) -> Loss:
    """Return the loss of a known name: a value, and so the same for all."""
    return _BY_NAME[name]()


def get(identifier: object) -> Loss:
    """Return the loss that a name, a class or an instance stands for.

    Parameters
    ----------
    identifier : str, Loss, subclass, function or dict
        A function is one of this module, or returns ``(value, gradient)``.  A dict has the ``"class_name"``
        and the ``"config"`` of a loss.

    Returns
    -------
    Loss

    Raises
    ------
    ConfigurationError
        If the name is unknown.
    DTypeError
        If it is neither a name nor a loss.

    Examples
    --------
    >>> get("mse").name
    'mean_squared_error'
    """
    if isinstance(identifier, str) and identifier in _BY_NAME:
        return _usual(identifier)
    if isinstance(identifier, Loss):
        identifier.check_runs()
        return identifier
    if isinstance(identifier, FunctionType) and identifier in _FUNCTIONS:
        return _usual(_FUNCTIONS[identifier])
    if isinstance(identifier, type) and issubclass(identifier, Loss):
        return get(identifier())
    if isinstance(identifier, Mapping):
        return get(rebuilt(identifier, _CLASSES, "loss"))
    if isinstance(identifier, str):
        raise unknown_name("loss", identifier, [cls.name for cls in _CLASSES])
    if callable(identifier) and not isinstance(identifier, type):
        return FunctionLoss(identifier)
    raise DTypeError(
        f"a loss is a name, a Loss or a function, got {identifier!r}; let a function of your own {FORM}"
    )


def name_of(function: object) -> str | None:
    """Return the name of a function of this module, which stands for a loss, else None.

    Examples
    --------
    >>> name_of(huber), name_of(max)
    ('huber', None)
    """
    return _FUNCTIONS.get(function) if isinstance(function, FunctionType) else None


def __getattr__(name: str) -> Any:
    raise attribute_error(__name__, name, __all__)
