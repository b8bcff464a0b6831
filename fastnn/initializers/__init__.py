"""Initialisers: frozen descriptions that fill a parameter from a random generator.

Names, arguments and distributions are those of Keras 3; the random streams are NumPy's.  Without a model,
they can be called for an array.  Layers take functions and arrays as well.
"""
# This file must not know layers, plans or kernels.

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastnn.absent import attribute_error
from fastnn.described import own_classes, rebuilt, written
from fastnn.errors import DTypeError, unknown_name
from fastnn.initializers._base import Initializer, OfFunction
from fastnn.initializers._constants import Constant, Given, Identity, Ones, Zeros
from fastnn.initializers._random import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    Orthogonal,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
)

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "IdentityInitializer",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "OrthogonalInitializer",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "constant",
    "deserialize",
    "get",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "lecun_normal",
    "lecun_uniform",
    "ones",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "serialize",
    "truncated_normal",
    "variance_scaling",
    "zeros",
]


def __dir__() -> list[str]:
    return __all__


# As in Keras.
constant, identity, ones, orthogonal, zeros = Constant, Identity, Ones, Orthogonal, Zeros
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
glorot_normal, glorot_uniform, he_normal, he_uniform = GlorotNormal, GlorotUniform, HeNormal, HeUniform
lecun_normal, lecun_uniform, variance_scaling = LecunNormal, LecunUniform, VarianceScaling
IdentityInitializer, OrthogonalInitializer = Identity, Orthogonal

_CLASSES: tuple[type[Initializer], ...] = (
    Zeros,
    Ones,
    Constant,
    Identity,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    Orthogonal,
    VarianceScaling,
    GlorotUniform,
    GlorotNormal,
    HeUniform,
    HeNormal,
    LecunUniform,
    LecunNormal,
)
_WRITTEN = frozenset((*_CLASSES, Given))  # what stands in configurations
_BY_NAME = {cls.name: cls for cls in _CLASSES} | {cls.__name__: cls for cls in _CLASSES}
_BY_NAME |= {"uniform": RandomUniform, "normal": RandomNormal, "zero": Zeros, "one": Ones}  # as in Keras
_BY_NAME |= {"IdentityInitializer": Identity, "OrthogonalInitializer": Orthogonal}


def is_known(initializer: Initializer) -> bool:
    """Return whether it is one of this folder, which are values; of a user's, nobody knows what it draws.

    Examples
    --------
    >>> is_known(Zeros()), is_known(settled(np.ones))
    (True, False)
    """
    return type(initializer) in _WRITTEN


@functools.cache
def _usual(name: str) -> Initializer:
    """Return the initialiser of a known name: a value, and so the same for all, as long as none calls it."""
    return _BY_NAME[name]()


def settled(identifier: Any) -> Initializer:
    """Return the initialiser that layers make of an argument; None is ``"glorot_uniform"``, as in Keras.

    Parameters
    ----------
    identifier
        As `get` takes it.

    Returns
    -------
    Initializer

    Raises
    ------
    ConfigurationError, DTypeError
        As `get` does.

    Examples
    --------
    >>> settled(None).name
    'glorot_uniform'
    """
    if identifier is None:
        return _usual("glorot_uniform")
    if isinstance(identifier, str) and identifier in _BY_NAME:
        return _usual(identifier)
    found = get(identifier)
    return found if isinstance(found, Initializer) else OfFunction(found)


def get(identifier: Any) -> Any:
    """Return the initialiser that a name, a class or an instance stands for.

    Parameters
    ----------
    identifier : str, Initializer, subclass, dict, array, function or None
        A dict has the ``"class_name"`` and the ``"config"`` of an initialiser.  An array is what a
        parameter of its shape begins with.  A function, or an object of any class, is called with a shape
        and a dtype, ``f((2, 3), dtype="float32")``, and returns an array; None stays None.

    Returns
    -------
    Initializer, function or None
        Functions as they are.

    Raises
    ------
    ConfigurationError
        If the name is unknown.
    DTypeError
        If it is none of these.

    Examples
    --------
    >>> get("zeros")
    Zeros()
    >>> get(np.eye(2))((2, 2))
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    >>> get(np.ones) is np.ones
    True
    """
    if isinstance(identifier, str) and identifier in _BY_NAME:
        return copy.copy(_usual(identifier))  # as those without a seed have numbers of their own
    if identifier is None or isinstance(identifier, Initializer):
        return identifier
    if isinstance(identifier, Mapping):
        return get(rebuilt(identifier, _BY_NAME | {Given.__name__: Given}, "initializer"))
    if isinstance(identifier, str):
        raise unknown_name("initializer", identifier, [cls.name for cls in _CLASSES])
    if isinstance(identifier, type):
        return get(identifier())
    if hasattr(identifier, "__array__"):
        return Given(np.asarray(identifier))
    if isinstance(identifier, Callable):  # type: ignore[arg-type]
        return OfFunction(identifier).function  # checked
    raise DTypeError(f"an initializer is a name, an Initializer, an array or a function, got {identifier!r}")


def serialize(initializer: Any) -> dict[str, Any]:
    """Return an initialiser as the name of its class and its arguments.

    Parameters
    ----------
    initializer
        As `get` takes it.

    Returns
    -------
    dict
        ``{"class_name": ..., "config": {...}}``; of a function, its name.

    Raises
    ------
    ConfigurationError, DTypeError
        As `get` does.

    Examples
    --------
    >>> serialize(Constant(0.5))
    {'class_name': 'Constant', 'config': {'value': 0.5}}
    """
    return written(settled(initializer))


def deserialize(
    config: Mapping[str, Any] | str, custom_objects: Mapping[str, Callable[..., Any]] | None = None
) -> Any:
    """Return the initialiser that `serialize` was called on.

    Parameters
    ----------
    config : dict or str
    custom_objects : dict of str to class or function, optional
        Classes and functions of your own that may be in it, by their names.

    Returns
    -------
    Initializer or function

    Raises
    ------
    ConfigurationError, DTypeError
        If there is no such initialiser.

    Examples
    --------
    >>> deserialize({"class_name": "Constant", "config": {"value": 0.5}})
    Constant(value=0.5)
    """
    with own_classes(custom_objects):
        return get(config)


def __getattr__(name: str) -> Any:
    raise attribute_error(__name__, name, __all__)
