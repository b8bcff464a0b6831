"""Initialisers: frozen descriptions that fill a parameter from a random generator.

Names, arguments and distributions are those of Keras 3; the random streams are NumPy's.  Without a model,
they can be called for an array.
"""
# This file must not know layers, plans or kernels.

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from fastnn.absent import attribute_error
from fastnn.described import rebuilt
from fastnn.errors import DTypeError, unknown_name
from fastnn.initializers._base import Initializer
from fastnn.initializers._constants import Constant, Identity, Ones, Zeros
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
_BY_NAME = {cls.name: cls for cls in _CLASSES} | {cls.__name__: cls for cls in _CLASSES}
_BY_NAME |= {"uniform": RandomUniform, "normal": RandomNormal, "zero": Zeros, "one": Ones}  # as in Keras
_BY_NAME |= {"IdentityInitializer": Identity, "OrthogonalInitializer": Orthogonal}


@functools.cache
def _usual(name: str) -> Initializer:
    """Return the initialiser of a known name: a value, and so the same for all."""
    return _BY_NAME[name]()


def get(identifier: str | Initializer | type[Initializer] | Mapping[str, object]) -> Initializer:
    """Return the initialiser that a name, a class or an instance stands for.

    Parameters
    ----------
    identifier : str, Initializer, subclass or dict
        A dict has the ``"class_name"`` and the ``"config"`` of an initialiser.

    Returns
    -------
    Initializer

    Raises
    ------
    ConfigurationError
        If the name is unknown.
    DTypeError
        If it is neither a name nor an initialiser.

    Examples
    --------
    >>> get("zeros")
    Zeros()
    """
    if isinstance(identifier, str) and identifier in _BY_NAME:
        return _usual(identifier)
    if isinstance(identifier, Initializer):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Initializer):
        return identifier()
    if isinstance(identifier, Mapping):
        return get(rebuilt(identifier, _CLASSES, "initializer"))
    if isinstance(identifier, str):
        raise unknown_name("initializer", identifier, [cls.name for cls in _CLASSES])
    raise DTypeError(f"an initializer is a name or an Initializer, got {identifier!r}")


def __getattr__(name: str) -> Any:
    raise attribute_error(__name__, name, __all__)
