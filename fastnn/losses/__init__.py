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
from fastnn.described import own_classes, rebuilt, written
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
from fastnn.losses._overlaps import Dice, Tversky, dice, tversky
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
from fastnn.losses._robust import (
    CategoricalGeneralizedCrossEntropy,
    categorical_generalized_cross_entropy,
)

__all__ = [
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "Dice",
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
    "Tversky",
    "Tweedie",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy",
    "categorical_hinge",
    "cosine_similarity",
    "deserialize",
    "dice",
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
    "serialize",
    "sparse_categorical_crossentropy",
    "squared_hinge",
    "tversky",
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
    CategoricalGeneralizedCrossEntropy,
    CategoricalHinge,
    CosineSimilarity,
    Dice,
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
    Tversky,
    Tweedie,
)
_BY_NAME = {cls.default_name: cls for cls in _CLASSES} | {cls.__name__: cls for cls in _CLASSES}
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
_FUNCTIONS |= {one: one.__name__ for one in (categorical_generalized_cross_entropy, dice, tversky)}
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
        raise unknown_name("loss", identifier, [cls.default_name for cls in _CLASSES])
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


def serialize(loss: Loss | str | FunctionType) -> dict[str, Any]:
    """Return a loss as plain values, which `deserialize` and `get` take.

    Parameters
    ----------
    loss : Loss, or what `get` takes for one

    Returns
    -------
    dict
        Of ``"class_name"`` and ``"config"``.

    Raises
    ------
    ConfigurationError, DTypeError
        If it is no loss.

    Examples
    --------
    >>> serialize(Huber(2.0))["config"]["delta"]
    2.0
    """
    return written(get(loss))


def deserialize(name: object, custom_objects: Mapping[str, type] | None = None) -> Loss:
    """Return the loss that `serialize` was called on, or that a name stands for.

    Parameters
    ----------
    name : dict or str
    custom_objects : dict of str to type, optional
        Classes besides those of fastnn, by their names.

    Returns
    -------
    Loss

    Raises
    ------
    ConfigurationError, DTypeError
        If it is no loss.

    Examples
    --------
    >>> deserialize({"class_name": "Huber", "config": {"delta": 2.0}})
    Huber(reduction='sum_over_batch_size', delta=2.0)
    """
    with own_classes(custom_objects):
        return get(name)


def __getattr__(name: str) -> Any:
    raise attribute_error(__name__, name, __all__)
