"""Optimisers: frozen descriptions of an update rule, and schedules of its learning rate; L-BFGS on all rows.

The learning rate lives in the compiled model, where it can change between epochs, unless a schedule sets it.
"""
# This file must not know layers or kernels.

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping
from typing import Any, overload

from fastnn.absent import attribute_error
from fastnn.described import deserialized, rebuilt, serialized
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
    "deserialize",
    "get",
    "minimize_lbfgs",
    "schedules",
    "serialize",
]


def __dir__() -> list[str]:
    return __all__


_CLASSES = (SGD, Adadelta, Adagrad, Adam, AdamW, Adamax, Ftrl, Lamb, Lion, Muon, Nadam, RMSprop)
_BY_NAME: dict[str, type[Optimizer]] = {cls.name: cls for cls in _CLASSES}


@functools.cache
def _usual(name: str) -> Optimizer:
    """Return the optimiser of a known name, to be copied."""
    return _BY_NAME[name]()


@overload
def get(identifier: None) -> None: ...
@overload
def get(identifier: object) -> Optimizer: ...
def get(identifier: object) -> Optimizer | None:
    """Return the optimiser that a name, a class or an instance stands for.

    Parameters
    ----------
    identifier : str, Optimizer, subclass, dict or None
        Names are case-insensitive.  A dict has the ``"class_name"`` and the ``"config"`` of an optimizer;
        None stays None.

    Returns
    -------
    Optimizer or None

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
    if identifier is None:
        return None
    if isinstance(identifier, str) and identifier.lower() in _BY_NAME:
        return copy.copy(_usual(identifier.lower()))  # as `exclude_from_weight_decay` changes it
    if isinstance(identifier, Optimizer):
        _ = identifier.code  # a class that has none says so
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Optimizer):
        return get(identifier())
    if isinstance(identifier, Mapping):
        name = identifier.get("class_name")
        known = {cls.__name__: cls for cls in _CLASSES}
        if isinstance(name, str) and name.lower() in _BY_NAME:  # as Keras takes it
            identifier = {**identifier, "class_name": _BY_NAME[name.lower()].__name__}
        return get(rebuilt(identifier, known, "optimizer"))
    if isinstance(identifier, str):
        raise unknown_name("optimizer", identifier, _BY_NAME)
    raise DTypeError(f"an optimizer is a name or an Optimizer, got {identifier!r}")


def serialize(optimizer: object) -> dict[str, Any]:
    """Return an optimiser as the name of its class and its arguments.

    Parameters
    ----------
    optimizer
        As `get` takes it, but None; or ``model.optimizer``.

    Returns
    -------
    dict
        ``{"class_name": ..., "config": {...}}``.

    Raises
    ------
    ConfigurationError, DTypeError
        As `get` does.

    Examples
    --------
    >>> serialize(SGD(0.5))["config"]["learning_rate"]
    0.5
    """
    at_work = getattr(optimizer, "now", None)  # of a model, with the learning rate as it is now
    return serialized(get(at_work() if callable(at_work) else optimizer), "optimizer")


def deserialize(
    config: Mapping[str, Any] | str, custom_objects: Mapping[str, Callable[..., Any]] | None = None
) -> Optimizer:
    """Return the optimiser that `serialize` was called on; it begins anew.

    Parameters
    ----------
    config : dict or str
    custom_objects : dict of str to class or function, optional
        Schedules of your own that may be in it, by their names.

    Returns
    -------
    Optimizer

    Raises
    ------
    ConfigurationError, DTypeError
        If there is no such optimiser.

    Examples
    --------
    >>> deserialize({"class_name": "adam", "config": {"learning_rate": 0.5}}).learning_rate
    0.5
    """
    return deserialized(config, get, custom_objects)


def __getattr__(name: str) -> Any:
    raise attribute_error(__name__, name, __all__)
