"""Optimisers: frozen descriptions of an update rule, and schedules of its learning rate; L-BFGS on all rows.

The learning rate lives in the compiled model, where it can change between epochs, unless a schedule sets it.
"""
# This file must not know layers or kernels.

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from typing import Any

from fastnn.absent import attribute_error
from fastnn.described import rebuilt
from fastnn.errors import DTypeError, unknown_name
from fastnn.optimizers import schedules
from fastnn.optimizers._adaptive import Adadelta, Adamax, Ftrl, Lamb, Lion, Nadam
from fastnn.optimizers._base import Optimizer
from fastnn.optimizers._lbfgs import minimize_lbfgs
from fastnn.optimizers._muon import Muon
from fastnn.optimizers._rules import SGD, Adagrad, Adam, AdamW, RMSprop

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "Muon",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "get",
    "minimize_lbfgs",
    "schedules",
]


def __dir__() -> list[str]:
    return __all__


_CLASSES = (SGD, Adadelta, Adagrad, Adam, AdamW, Adamax, Ftrl, Lamb, Lion, Muon, Nadam, RMSprop)
_BY_NAME: dict[str, type[Optimizer]] = {cls.name: cls for cls in _CLASSES}


@functools.cache
def _usual(name: str) -> Optimizer:
    """Return the optimiser of a known name, to be copied."""
    return _BY_NAME[name]()


def get(identifier: str | Optimizer | type[Optimizer] | Mapping[str, object]) -> Optimizer:
    """Return the optimiser that a name, a class or an instance stands for.

    Parameters
    ----------
    identifier : str, Optimizer, subclass or dict
        Names are case-insensitive.  A dict has the ``"class_name"`` and the ``"config"`` of an optimizer.

    Returns
    -------
    Optimizer

    Raises
    ------
    ConfigurationError
        If the name is unknown.
    DTypeError
        If it is neither a name nor an optimiser.

    Examples
    --------
    >>> get("adam").learning_rate
    0.001
    """
    if isinstance(identifier, str) and identifier.lower() in _BY_NAME:
        return copy.copy(_usual(identifier.lower()))  # as `exclude_from_weight_decay` changes it
    if isinstance(identifier, Optimizer):
        _ = identifier.code  # a class that has none says so
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Optimizer):
        return get(identifier())
    if isinstance(identifier, Mapping):
        return get(rebuilt(identifier, _BY_NAME.values(), "optimizer"))
    if isinstance(identifier, str):
        raise unknown_name("optimizer", identifier, _BY_NAME)
    raise DTypeError(f"an optimizer is a name or an Optimizer, got {identifier!r}")


def __getattr__(name: str) -> Any:
    raise attribute_error(__name__, name, __all__)
