"""Regularisers: frozen descriptions of a penalty on a parameter, as in Keras."""
# This file must not know layers, plans or kernels.

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastnn.absent import attribute_error
from fastnn.checks import check_number
from fastnn.described import Described, rebuilt
from fastnn.errors import DTypeError, unknown_name

__all__ = ["L2", "get"]


def __dir__() -> list[str]:
    return __all__


@dataclass(frozen=True)
class L2(Described):
    """The penalty ``l2 * sum(w ** 2)``, with gradient ``2 * l2 * w``.

    Parameters
    ----------
    l2 : float
        Factor, at least 0.

    Raises
    ------
    ConfigurationError
        If the factor is negative or not finite.

    Examples
    --------
    >>> L2(1e-4)
    L2(l2=0.0001)
    """

    l2: float = 0.01

    def __post_init__(self) -> None:
        object.__setattr__(self, "l2", check_number(self.l2, "l2", 0.0))


def get(identifier: str | L2 | Mapping[str, object] | None) -> L2 | None:
    """Return the regulariser that a name or an instance stands for; None stays None.

    Parameters
    ----------
    identifier : str, L2, dict or None
        ``"l2"`` is `L2` with its default factor; a dict has the ``"class_name"`` and the ``"config"`` of one.

    Returns
    -------
    L2 or None

    Raises
    ------
    ConfigurationError
        If the name is unknown.
    DTypeError
        If it is neither a name nor a regulariser.

    Examples
    --------
    >>> get("l2")
    L2(l2=0.01)
    """
    if identifier is None or isinstance(identifier, L2):
        return identifier
    if isinstance(identifier, Mapping):
        return get(rebuilt(identifier, [L2], "regularizer"))
    if isinstance(identifier, str):
        if identifier not in ("l2", "L2"):
            raise unknown_name("regularizer", identifier, ["l2"])
        return L2()
    raise DTypeError(f"a regularizer is a name, an L2 or None, got {identifier!r}")


def __getattr__(name: str) -> Any:
    raise attribute_error(__name__, name, __all__)
