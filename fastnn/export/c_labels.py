"""The labels of a classifier in C, and the function that says which one it is.

This file must not know what a network computes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.errors import ConfigurationError

__all__ = ["Labels", "in_comment"]

_LONGEST = 4095  # characters of a string that every compiler of C99 takes
_PLAIN = set(map(chr, range(32, 127))) - set('"\\?')


def in_comment(text: str) -> str:
    """Return a text as it can stand in a comment.

    Examples
    --------
    >>> in_comment("net */ here")
    'net * / here'
    """
    plain = text.encode("ascii", "backslashreplace").decode("ascii")
    return "".join(c if c.isprintable() else " " for c in plain).replace("*/", "* /").replace("/*", "/ *")


class Labels:
    """Labels as a constant array, and functions that find them.

    Parameters
    ----------
    values : ndarray, (classes,)
        Booleans, int64, floats, or strings as objects.
    one_of_many : bool
        Whether a row has one label, that of the largest output; else each that is above a half.
    """

    def __init__(self, values: NDArray[Any], one_of_many: bool) -> None:
        self.values, self.one_of_many = values, one_of_many
        for value in values.tolist():
            if isinstance(value, str) and len(value.encode()) > _LONGEST:
                raise ConfigurationError(
                    f"a label has {len(value.encode())} bytes, and a string of C at most {_LONGEST}; "
                    "shorten it"
                )

    def function(self, name: str) -> str:
        """Return the name of the function that the labels are found by."""
        return f"{name}_class" if self.one_of_many else f"{name}_predict"

    @property
    def _type(self) -> str:
        kinds = {"O": "const char* const", "f": "const double"}
        return kinds.get(self.values.dtype.kind, "const int64_t")

    def declared(self, name: str, parameters: str) -> list[str]:
        """Return lines of the header."""
        count = f"#define {name.upper()}_CLASSES {len(self.values)}"
        array = f"extern {self._type} {name}_labels[{len(self.values)}];"
        if not self.one_of_many:
            return ["", "/* A row has the label i if y[i] > 0.5. */", count, array]
        return [
            "",
            "/* Predicts, and returns the number of the class, whose label is in the array. */",
            count,
            array,
            f"int {name}_class({parameters});",
        ]

    def defined(self, name: str, parameters: str) -> list[str]:
        """Return lines of the source."""
        texts = ",\n    ".join(map(literal, self.values.tolist()))
        lines = [f"{self._type} {name}_labels[{len(self.values)}] = {{\n    {texts}\n}};", ""]
        if not self.one_of_many:
            return lines
        return [
            *lines,
            f"int {name}_class({parameters}) {{",
            "    int i, best = 0;",
            f"    {name}_predict(x, y);",
            f"    for (i = 1; i < {len(self.values)}; i++)",
            "        if (y[i] > y[best])",
            "            best = i;",
            "    return best;",
            "}",
            "",
        ]


def literal(value: Any) -> str:
    r"""Return a label as a constant.

    Examples
    --------
    >>> print(literal('a"b\n'), literal(True), literal(-3), literal(0.5))
    "a\042b\012" 1 INT64_C(-3) 0.5
    """
    if isinstance(value, str):
        # Octal codes have at most three digits, so that none swallows what follows; there are no trigraphs.
        return '"' + "".join(c if c in _PLAIN else _octal(c) for c in value) + '"'
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int):
        return f"INT64_C({value})" if value > -(2**63) else f"(INT64_C({value + 1}) - 1)"
    if not np.isfinite(value):
        raise ConfigurationError(f"the label {value} is no number of C; fit with other labels")
    return f"{value!r}"


def _octal(character: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in character.encode())
