"""The exceptions and warnings of fastnn, and the sentences that several modules share.

Every exception derives from `FastnnError` and from the built-in class that a user would
catch (`ValueError`, `TypeError`, ...).  A message says what was expected, what was given,
where, and what to do.
"""
# This file must not know models, plans or arrays.

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable

from fastnn.absent import instead, near

__all__ = [
    "BusyError",
    "ConfigurationError",
    "DTypeError",
    "DataError",
    "FileFormatError",
    "FastnnError",
    "NonFiniteWarning",
    "NotBuiltError",
    "PlanError",
    "ShapeError",
    "TrainingWarning",
    "unknown_name",
    "warn",
]


def __dir__() -> list[str]:
    return __all__


_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


class FastnnError(Exception):
    """Base class of every exception that fastnn raises on purpose."""


class ShapeError(FastnnError, ValueError):
    """An array or a layer has the wrong shape."""


class DataError(FastnnError, ValueError):
    """An array cannot be used as it is: not finite, labels out of range, empty, read-only."""


class DTypeError(FastnnError, TypeError):
    """An argument has a type, or an array a dtype, that cannot be used."""


class ConfigurationError(FastnnError, ValueError):
    """An argument or a setting is impossible, or a model is used before it was compiled or built."""


class NotBuiltError(ConfigurationError, AttributeError):
    """A model or a layer was asked for what it has as soon as its input width is known."""


class FileFormatError(FastnnError, ValueError):
    """A file was not written by fastnn, is damaged, or describes another model."""


class BusyError(FastnnError, RuntimeError):
    """A second thread would change a model that trains in another one; reading it is allowed."""


class PlanError(FastnnError, RuntimeError):
    """A plan failed its verification or its execution: a defect of fastnn itself."""


class NonFiniteWarning(UserWarning):
    """A loss was not finite: training stopped, or a step was not made, and the weights are finite ones."""


class TrainingWarning(UserWarning):
    """What is to be trained is allowed, but hardly meant so: layers, loss or data do not suit each other."""


def unknown_name(kind: str, given: object, known: Iterable[str]) -> ConfigurationError:
    """Return the error for an unknown name, with what there is instead, or the known one that was meant.

    Parameters
    ----------
    kind : str
        What the name was meant to name, for example ``"activation"``.
    given : object
        What the caller gave.
    known : iterable of str
        The names that exist.

    Returns
    -------
    ConfigurationError
        The exception, to be raised by the caller.

    Examples
    --------
    >>> str(unknown_name("activation", "rellu", ["relu", "tanh"]))
    "unknown activation 'rellu'; did you mean 'relu'? Known: relu, tanh"
    """
    names = sorted(known)
    sentence, nearest = instead(kind, str(given)), near(str(given), names)
    hint = f": {sentence}." if sentence else f"; did you mean {nearest!r}?" if nearest else "."
    return ConfigurationError(f"unknown {kind} {given!r}{hint} Known: {', '.join(names)}")


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Issue a warning that names the line outside of fastnn from which all this was called.

    Parameters
    ----------
    message : str
    category : subclass of Warning, optional

    Examples
    --------
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn("look out", NonFiniteWarning)
    >>> str(caught[0].message)
    'look out'
    """
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
