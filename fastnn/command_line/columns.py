"""What the columns of a table hold: numbers, classes or neither, and what a target asks for.

A data frame of narwhals comes in; what cannot be learned from is named with its column and row.  It must not
know files or models.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnn.checks import shown
from fastnn.command_line.output import CommandError
from fastnn.command_line.reading import is_boolean, listed

__all__ = ["Columns", "Target", "labels_like", "look_at", "numbers_of", "target_of"]

FEW = 10  # so many different whole numbers are classes
_TIME = r"\d{1,2}:\d{2}(:\d{2})?"
_DATE = re.compile(
    rf"(\d{{4}}-\d{{1,2}}-\d{{1,2}}|\d{{1,4}}[./]\d{{1,2}}[./]\d{{1,4}})([T ]{_TIME}.*)?|{_TIME}"
)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")


@dataclass
class Columns:
    """The columns that a model is to see.

    Attributes
    ----------
    numbers, categories : list of str
    left_out : dict of str to str
        Names, and why.
    missing : int
        Values that are not there.
    """

    numbers: list[str] = field(default_factory=list)
    categories: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    missing: int = 0

    @property
    def used(self) -> list[str]:
        """Names, in the order of the table."""
        return self._used

    _used: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Target:
    """What is to be predicted.

    Attributes
    ----------
    values : numpy.ndarray, (rows,)
        Labels or numbers.
    task : str
        "classification" or "regression".
    reason : str
        Why.
    """

    values: np.ndarray
    task: str
    reason: str

    @property
    def classes(self) -> dict[Any, int]:
        """Labels, and in how many rows they are."""
        labels, counts = np.unique(self.values, return_counts=True)
        return dict(zip(labels.tolist(), counts.tolist(), strict=True))


def look_at(frame: Any, names: Sequence[str], categorical: Sequence[str], identifiers: bool) -> Columns:
    """Return what the columns of a table hold.

    Parameters
    ----------
    frame : narwhals.DataFrame
    names : sequence of str
        Of the columns that are not left out.
    categorical : sequence of str
        Columns whose values are names, whatever they look like.
    identifiers : bool
        Whether columns of names that differ in every row are left out.

    Raises
    ------
    CommandError
        If there are dates, infinite values, or text among numbers.
    """
    found = Columns()
    for name in names:
        column = frame[name]
        found.missing += int(_missing(column).sum())
        if name in categorical:
            found.categories.append(name)
        elif column.dtype.is_numeric():
            _refuse_infinite(column, name)
            found.numbers.append(name)
        elif column.dtype.is_temporal():
            raise _dates(name, column.drop_nulls()[0])
        elif is_boolean(column):
            found.categories.append(name)
        else:
            texts = _texts(column, name)
            _refuse_numbers(texts, name)
            present = [text for text in texts if text is not None]
            if present and all(map(_DATE.fullmatch, present)):
                raise _dates(name, present[0])
            if identifiers and len(present) > FEW and len(set(present)) == len(present):
                found.left_out[name] = "a different name in every row"
                continue
            found.categories.append(name)
        found._used.append(name)
    return found


def target_of(frame: Any, name: str, task: str | None) -> Target:
    """Return the target of a table, and whether it is one of classes or of numbers.

    Text and truth values are classes, and so are whole numbers of which there are few; others are numbers.

    Parameters
    ----------
    frame : narwhals.DataFrame
    name : str
    task : str or None
        "classification" or "regression", where the user knows better.

    Raises
    ------
    CommandError
        If it is missing somewhere, or nothing that can be learned.
    """
    column = frame[name]
    if column.dtype.is_temporal():
        raise _target_of_dates(name)
    _refuse_missing(column, name)
    if column.dtype.is_numeric():
        _refuse_infinite(column, name, "the target")
        values, kind = _whole(column.to_numpy()), "numbers"
    elif is_boolean(column):
        values, kind = np.array(column.to_list(), dtype=bool), "truth values"
    else:
        texts = _texts(column, f"the target {name}")
        if task != "classification":
            _refuse_numbers(texts, name)
        if all(text is not None and _DATE.fullmatch(text) for text in texts):
            raise _target_of_dates(name)
        values, kind = np.array(texts, dtype=str), "text"
    different = len(np.unique(values))
    if different == 1:
        raise CommandError(
            f"the target {name!r} is {shown(values[0].item())} in every row: nothing to be learned"
        )
    if kind == "numbers" and task is None:
        whole = values.dtype.kind in "iu"
        steps = np.diff(values) if whole else np.zeros(0)
        if (
            whole
            and different == len(values) > FEW
            and bool((np.abs(steps) == 1).all())
            and len(set(steps)) == 1
        ):
            raise CommandError(
                f"the target {name!r} counts the rows, as an identifier does; name the column that is to be "
                "predicted, or add --task regression"
            )
    if kind != "numbers":
        if task == "regression":
            raise CommandError(f"the target {name!r} holds {kind}, and --task regression predicts numbers")
        chosen, reason = "classification", f"as it holds {kind}"
    elif values.dtype.kind in "iu" and different <= FEW:
        chosen, reason = "classification", f"as it has {different} different whole numbers"
    else:
        chosen, reason = "regression", "as it holds numbers"
    if task is not None:
        chosen, reason = task, "as --task says"
    everywhere = different == len(values)
    if chosen == "classification" and (everywhere or 2 * different > len(values) > 2 * FEW):
        where = "every row" if everywhere else "almost every row"
        raise CommandError(
            f"the target {name!r} is different in {where}, as an identifier is: there are no classes in it; "
            "name the column that is to be predicted" + ", or add --task regression" * (kind == "numbers")
        )
    if chosen == "regression":
        values = values.astype(np.float64)
    return Target(values, chosen, reason)


def labels_like(frame: Any, name: str, classes: np.ndarray) -> np.ndarray:
    """Return the labels of a column, which must be among those that a model knows."""
    column = frame[name]
    _refuse_missing(column, name)
    known = {str(label): label for label in classes.tolist()}
    values = column.to_list()
    if column.dtype.is_numeric() and classes.dtype.kind in "iu":
        values = _whole(column.to_numpy()).tolist()
    labels = []
    for row, value in enumerate(values):
        if str(value) not in known:
            raise CommandError(
                f"the target {name!r} is {shown(value)} in row {row + 1}, a class that the model has not "
                f"been trained on; it knows {listed(known)}"
            )
        labels.append(known[str(value)])
    return np.array(labels, dtype=classes.dtype)


def numbers_of(frame: Any, name: str) -> np.ndarray:
    """Return the numbers of a target."""
    column = frame[name]
    if not column.dtype.is_numeric():
        raise CommandError(f"the target {name!r} holds no numbers, and the model predicts numbers")
    _refuse_missing(column, name)
    _refuse_infinite(column, name, "the target")
    return np.asarray(column.to_numpy(), np.float64)


def _missing(column: Any) -> np.ndarray:
    found = np.asarray(column.is_null().to_numpy(), bool)
    if column.dtype.is_float():
        found = found | np.asarray(column.is_nan().fill_null(False).to_numpy(), bool)
    return found


def _refuse_missing(column: Any, name: str) -> None:
    missing = np.flatnonzero(_missing(column))
    if missing.size == len(column):
        raise CommandError(f"the target {name!r} is missing in all rows")
    if missing.size:
        where = f"in {missing.size} of {len(column)} rows, first in row {missing[0] + 1}"
        raise CommandError(f"the target {name!r} is missing {where}; leave these rows out")


def _refuse_infinite(column: Any, name: str, kind: str = "column") -> None:
    if column.dtype.is_float():
        infinite = np.flatnonzero(np.isinf(np.asarray(column.fill_null(0.0).to_numpy(), np.float64)))
        if infinite.size:
            raise CommandError(
                f"{kind} {name!r} is infinite in row {infinite[0] + 1}; give it a number, or leave it empty"
            )


def _refuse_numbers(texts: Sequence[str | None], name: str) -> None:
    """Raise if most of what is in a column of text is numbers."""
    present = [(row, text) for row, text in enumerate(texts) if text is not None]
    others = [(row, text) for row, text in present if not _is_number(text)]
    commas = [(row, text) for row, text in others if _DECIMAL_COMMA.fullmatch(text.strip())]
    if 2 * len(commas) > len(present):
        row, text = commas[0]
        raise CommandError(
            f"column {name!r} has commas in its numbers, {shown(text)} in row {row + 1}; write points instead"
        )
    if present and not others:
        raise CommandError(
            f"column {name!r} holds numbers as text; write them as numbers, or, if they are names, add "
            f"--categorical {shlex.quote(name)}"
        )
    if 2 * len(others) < len(present):
        row, text = others[0]
        missing, names = f"--missing {shlex.quote(text)}", f"--categorical {shlex.quote(name)}"
        raise CommandError(
            f"column {name!r} holds numbers, but {shown(text)} in row {row + 1}; mend it, or add {missing} "
            f"if that stands for a missing value, or {names} if all of them are names"
        )


def _dates(name: str, example: object) -> CommandError:
    return CommandError(
        f"column {name!r} holds dates or times, such as {example}; derive numbers from them, such as month, "
        f"weekday or days since another date, or leave the column out: --drop {shlex.quote(name)}"
    )


def _target_of_dates(name: str) -> CommandError:
    return CommandError(
        f"the target {name!r} holds dates or times; predict a number, such as days since a given day"
    )


def _texts(column: Any, name: str) -> list[str | None]:
    """Return the texts of a column."""
    values = column.to_list()
    for row, value in enumerate(values):
        if value is not None and not isinstance(value, str | bool | int | float):
            if value != value:  # NaN of a kind that is no float
                continue
            raise CommandError(
                f"column {name!r} holds {type(value).__name__} in row {row + 1}, neither numbers nor text"
            )
    return [None if value is None or value != value else str(value) for value in values]


def _whole(values: np.ndarray) -> np.ndarray:
    """Return numbers, as integers if all are whole."""
    if (
        values.dtype.kind == "f"
        and bool((values == np.trunc(values)).all())
        and bool((np.abs(values) < 2**53).all())
    ):
        return values.astype(np.int64)
    return values


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
