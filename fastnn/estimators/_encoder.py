"""What a net is given of a table: columns brought to one size, categories as zeros and ones.

The rules are those of RealMLP-TD-S (Holzmüller, Grinsztajn and Steinwart 2024).  What is fitted is plain
numbers, strings and lists, so that files can hold it.  This file must not know nets or estimators.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from fastnn.checks import shown
from fastnn.errors import ConfigurationError, DataError, ShapeError
from fastnn.estimators._tables import RawTable, Values, as_categories, as_numbers, kind_of, titled

__all__ = ["Category", "Encoder", "Number", "Typed", "weighted_quantiles"]

_SAME = 1e-9  # of a column's largest number: numbers that differ by less are the same but for rounding
_RARE_ROWS = 50  # from so many rows on, a value in one of them alone says nothing


@dataclass(frozen=True)
class Number:
    """A column of numbers: what is subtracted, and the factor of what is left.

    Attributes
    ----------
    name : str or int
    center, factor : float
    missing : tuple of float, or None
        The same of a second column, -1 where the number is missing, else 1; None if none was.
    """

    name: str | int
    center: float
    factor: float
    missing: tuple[float, float] | None

    @property
    def width(self) -> int:
        """How many columns it becomes."""
        return 1 if self.missing is None else 2

    def write(self, values: np.ndarray, out: np.ndarray) -> None:
        """Write what it becomes, (rows, width); a missing number counts as the median."""
        absent = np.isnan(values)
        if self.factor:
            with np.errstate(over="ignore"):
                found = _clipped((values - self.center) * self.factor)
            out[:, 0] = np.where(absent, 0.0, found)
        else:
            out[:, 0] = 0.0
        if self.missing is not None:
            center, factor = self.missing
            out[:, 1] = _clipped((np.where(absent, -1.0, 1.0) - center) * factor)


@dataclass(frozen=True)
class Category:
    """A column of categories.

    Attributes
    ----------
    name : str or int
    categories : list
        Those that are told apart.
    centers, factors : list of float
        One for each column that it becomes: one for two categories or one, else one for each.
    """

    name: str | int
    categories: list[Any]
    centers: list[float]
    factors: list[float]

    @property
    def width(self) -> int:
        """How many columns it becomes."""
        return _one_hot_width(len(self.categories))

    def codes(self, values: Sequence[Any]) -> np.ndarray:
        """Return the number of each value's category; -1 of those that are missing or unknown."""
        places = {category: code for code, category in enumerate(self.categories)}
        return np.fromiter((places.get(value, -1) for value in values), np.intp, len(values))

    def write(self, codes: np.ndarray, out: np.ndarray) -> None:
        """Write what it becomes, (rows, width)."""
        count = len(self.categories)
        centers, factors = np.array(self.centers), np.array(self.factors)
        if count <= 2:
            signs = _signs(count)
            out[:, 0] = _clipped((signs - centers[0]) * factors[0])[codes]
            return
        out[...] = _clipped(-centers * factors)
        rows = np.flatnonzero(codes >= 0)
        out[rows, codes[rows]] = _clipped((1.0 - centers) * factors)[codes[rows]]


def _one_hot_width(count: int) -> int:
    return 1 if count <= 2 else count


def _signs(count: int) -> np.ndarray:
    """Return what stands for the first category, the second, and a missing one: of one 1 and -1."""
    return np.array([1.0, -1.0, 0.0] if count == 2 else [1.0, -1.0])


def _clipped(x: Any) -> Any:
    """Return ``x / sqrt(1 + (x / 3)^2)``, which stays between -3 and 3."""
    x = np.clip(x, -1e100, 1e100)
    return x / np.sqrt(1.0 + np.square(x / 3.0))


@dataclass(frozen=True)
class Typed:
    """A table whose columns are numbers, float64, or categories.

    Attributes
    ----------
    columns : list
        Of categories lists; or, where an encoder knows them, arrays of their numbers.
    kinds : list of str
    n_rows : int
    """

    columns: list[Values]
    kinds: list[str]
    n_rows: int

    def part(self, rows: np.ndarray) -> Typed:
        """Return some of the rows."""
        picked = rows.tolist()
        columns = [
            column[rows] if isinstance(column, np.ndarray) else [column[row] for row in picked]
            for column in self.columns
        ]
        return Typed(columns, self.kinds, len(picked))


class Encoder:
    """What was learned of a table, and how another one of its columns becomes an array.

    Parameters
    ----------
    names : list of str, or None
    kinds : list of str
        Of all columns, those that were dropped included.
    fitted : list of Number or Category
        Of the columns that are used.
    places : list of int
        Which columns these are.

    Attributes
    ----------
    width : int
        How many columns the array has.
    """

    def __init__(
        self,
        names: list[str] | None,
        kinds: list[str],
        fitted: list[Number | Category],
        places: list[int],
    ) -> None:
        self.names, self.kinds, self.fitted, self.places = names, kinds, fitted, places
        self.width = sum(column.width for column in fitted)

    # -- fitting

    @staticmethod
    def typed(table: RawTable, cat_features: Any, notes: list[str]) -> Typed:
        """Return a table with its columns as what they are.

        Parameters
        ----------
        table : RawTable
        cat_features : sequence of str or int, or None
        notes : list of str
            Gets what users should know.
        """
        forced = table.forced | _chosen(cat_features, table)
        columns: list[Values] = []
        kinds = []
        for number, values in enumerate(table.columns):
            name = number if table.names is None else table.names[number]
            kind = "category" if number in forced else kind_of(values, name, notes)
            columns.append(as_categories(values, name) if kind == "category" else as_numbers(values, name))
            kinds.append(kind)
        return Typed(columns, kinds, table.n_rows)

    @classmethod
    def fit(
        cls,
        table: Typed,
        names: list[str] | None,
        weights: np.ndarray | None,
        max_categories: int,
        notes: list[str],
    ) -> Encoder:
        """Return the encoder of a table.

        Parameters
        ----------
        table : Typed
        names : list of str, or None
        weights : numpy.ndarray or None, (rows,)
            A row of weight w counts as w rows; weights that are no whole numbers by their ratio to the mean.
        max_categories : int
        notes : list of str
            Gets what is dropped, and why.

        Raises
        ------
        DataError
            If nothing is left.
        """
        fitted: list[Number | Category] = []
        places = []
        if weights is not None and np.any(weights != np.rint(weights)):
            weights = weights / weights.mean()
        for number, (values, kind) in enumerate(zip(table.columns, table.kinds, strict=True)):
            name = number if names is None else names[number]
            found: Number | Category | str
            if kind == "number":
                assert isinstance(values, np.ndarray)
                found = _fitted_numbers(values, name, weights)
            else:
                found = _fitted_categories(list(values), name, weights, max_categories, notes)
            if isinstance(found, str):
                notes.append(f"{titled(name)} is dropped: {found}")
            else:
                fitted.append(found)
                places.append(number)
        if not fitted:
            one = ", as n_samples = 1: one row shows nothing" if table.n_rows == 1 else ""
            raise DataError(f"no column of X can be used{one}; {'; '.join(notes)}")
        return cls(names, list(table.kinds), fitted, places)

    # -- use

    def matched(self, table: RawTable, estimator: str) -> Typed:
        """Return a table's columns in the order of those that were fitted, by their names if they have some.

        Raises
        ------
        ShapeError
            If one is missing.
        DataError, DTypeError
            If a column is not of the kind that it was.
        """
        count = len(self.kinds)
        if self.names is not None and table.names is not None:
            found = {name: number for number, name in enumerate(table.names)}
            missing = [name for name in self.names if name not in found]
            if missing:
                raise ShapeError(
                    f"X lacks {', '.join(titled(name) for name in missing[:5])}"
                    f"{f' and {len(missing) - 5} more' if len(missing) > 5 else ''}, there in fit; "
                    f"it has {', '.join(map(repr, table.names[:20]))}"
                )
            order = [found[name] for name in self.names]
        elif len(table.columns) != count:
            raise ShapeError(
                f"X has {len(table.columns)} features, but {estimator} is expecting {count} features as input"
            )
        else:
            order = list(range(count))
        columns: list[Values] = []
        used = dict(zip(self.places, self.fitted, strict=True))
        for number, place in enumerate(order):
            column = used.get(number)
            if column is None:
                columns.append([])
            elif isinstance(column, Number):
                columns.append(as_numbers(table.columns[place], column.name))
            else:
                values = as_categories(table.columns[place], column.name)
                codes = column.codes(values)
                if not (codes >= 0).any():
                    _check_group(column, values)
                columns.append(codes)
        return Typed(columns, self.kinds, table.n_rows)

    def array(self, table: Typed, dtype: np.dtype, rows: np.ndarray | slice | None = None) -> np.ndarray:
        """Return what the net is given, (rows, width).

        Parameters
        ----------
        table : Typed
        dtype : numpy.dtype
        rows : array of int or slice, optional
            Of the table.
        """
        parts: list[np.ndarray] = []
        for column, place in zip(self.fitted, self.places, strict=True):
            values = table.columns[place]
            if isinstance(column, Category) and not isinstance(values, np.ndarray):
                values = column.codes(values)
            assert isinstance(values, np.ndarray)
            parts.append(values if rows is None else values[rows])
        out = np.empty((len(parts[0]), self.width), dtype)
        first = 0
        for column, values in zip(self.fitted, parts, strict=True):
            column.write(values, out[:, first : first + column.width])
            first += column.width
        return out


def _check_group(column: Category, values: Sequence[Any]) -> None:
    """Raise if all values are texts, and no category is, or the other way round."""
    present = [value for value in values if value is not None]
    texts = {isinstance(value, str) for value in present}
    known = {isinstance(value, str) for value in column.categories}
    if len(texts) == 1 and len(known) == 1 and texts != known:
        raise DataError(
            f"{titled(column.name)} has no category that was there in fit: it has values such as "
            f"{present[0]!r}, and in fit had such as {column.categories[0]!r}; give values of the same type"
        )


def _chosen(cat_features: Any, table: RawTable) -> set[int]:
    """Return the columns that a user says are categories."""
    if cat_features is None:
        return set()
    if isinstance(cat_features, str) or not isinstance(cat_features, Iterable):
        raise ConfigurationError(
            f"cat_features must be a list of names or numbers of columns, got {shown(cat_features)}"
        )
    found = set()
    for one in cat_features:
        if isinstance(one, str) and table.names is not None and one in table.names:
            found.add(table.names.index(one))
        elif type(one) is not bool and isinstance(one, Integral) and 0 <= int(one) < len(table.columns):
            found.add(int(one))
        else:
            known = f"0 to {len(table.columns) - 1}" if table.names is None else ", ".join(table.names[:20])
            raise ConfigurationError(f"cat_features has {one!r}, which X has no column for; it has {known}")
    return found


def weighted_quantiles(x: np.ndarray, shares: Sequence[float], weights: np.ndarray | None) -> np.ndarray:
    """Return quantiles, linear between neighbours, as if each row were there as often as its weight says.

    Parameters
    ----------
    x : numpy.ndarray, (rows,)
    shares : sequence of float
        From 0 to 1.
    weights : numpy.ndarray or None, (rows,)
        Above 0, 1 at least in the mean.

    Examples
    --------
    >>> weighted_quantiles(np.array([1.0, 2.0]), [0.5], np.array([1.0, 3.0]))
    array([2.])
    """
    if weights is None:
        return np.quantile(x, shares)
    order = np.argsort(x, kind="stable")
    ends = np.cumsum(weights[order])
    at = np.maximum(np.asarray(shares) * (ends[-1] - 1.0), 0.0)
    below = np.floor(at)
    last = len(x) - 1
    low = x[order[np.minimum(np.searchsorted(ends, below, side="right"), last)]]
    high = x[order[np.minimum(np.searchsorted(ends, below + 1.0, side="right"), last)]]
    found: np.ndarray = low + (at - below) * (high - low)
    return found


def _scale(x: np.ndarray, weights: np.ndarray | None) -> tuple[float, float]:
    """Return the median, and 1 over the interquartile range, or half the range; 0 if that is 0 as well."""
    quarter, median, three = weighted_quantiles(x, (0.25, 0.5, 0.75), weights)
    spread = three - quarter or 0.5 * (x.max() - x.min())
    with np.errstate(over="ignore"):
        factor = 1.0 / spread if spread > 0.0 else 0.0
    return float(median), float(factor) if np.isfinite(factor) else 0.0


def _fitted_numbers(values: np.ndarray, name: str | int, weights: np.ndarray | None) -> Number | str:
    """Return what was learned of a column of numbers, or why it is dropped."""
    absent = np.isnan(values)
    if absent.all():
        return "all of it is missing"
    any_absent = bool(absent.any())
    present = values[~absent] if any_absent else values
    of_present = weights if weights is None or not any_absent else weights[~absent]
    low, high = float(present.min()), float(present.max())
    constant = high / 2 - low / 2 <= _SAME / 2 * max(abs(low), abs(high))
    if constant and not any_absent:
        return f"it is always {low:g}" + ("" if low == high else ", but for rounding")
    center, factor = _scale(present, of_present)
    counts = np.ones(len(values)) if weights is None else weights
    if not any_absent and _is_rare(float(counts[values != center].sum()), float(counts.sum())):
        return f"it is {center:g} in all rows but one"
    missing = _scale(np.where(absent, -1.0, 1.0), weights) if any_absent else None
    return Number(name, center, 0.0 if constant else factor, missing)


def _is_rare(others: float, total: float) -> bool:
    return others < 2.0 and total >= _RARE_ROWS


def _fitted_categories(
    values: list[Any], name: str | int, weights: np.ndarray | None, most: int, notes: list[str]
) -> Category | str:
    """Return what was learned of a column of categories, or why it is dropped."""
    places: dict[Any, int] = {}
    codes = np.fromiter((places.setdefault(value, len(places)) for value in values), np.intp, len(values))
    counts = np.bincount(codes, weights, len(places))
    any_absent = None in places
    found = [value for value in places if value is not None]
    if not found:
        return "all of it is missing"
    if len(places) == 1:
        return f"it is always {found[0]!r}"
    largest = list(places)[int(counts.argmax())]
    if _is_rare(float(counts.sum() - counts.max()), float(counts.sum())):
        return f"it is {largest!r} in all rows but one"
    n_present = int((codes != places[None]).sum()) if any_absent else len(codes)
    if len(found) > most and len(found) == n_present:
        return f"its {len(found)} values are all different, as those of an identifier"
    if len(found) > most:
        notes.append(
            f"{titled(name)} has {len(found)} categories; the {most} most frequent ones are told apart, and "
            "others count as missing; set max_categories for more"
        )
        found = sorted(found, key=lambda value: (-counts[places[value]], _sort_key(value)))[:most]
    found.sort(key=_sort_key)
    column = Category(name, found, [], [])
    total = float(counts.sum())
    if len(found) <= 2:
        scale = _scale(_signs(len(found))[column.codes(values)], weights)
        return Category(name, found, [scale[0]], [scale[1]])
    scales = [_scale_of_indicator(float(counts[places[value]]), total) for value in found]
    return Category(name, found, [one[0] for one in scales], [one[1] for one in scales])


def _scale_of_indicator(ones: float, total: float) -> tuple[float, float]:
    """Return what `_scale` does of a column that is 1 in some rows, else 0."""
    x, weights = np.array([0.0, 1.0]), np.array([total - ones, ones])
    if not weights[0]:
        return 1.0, 0.0
    return _scale(x, weights)


def _sort_key(value: Any) -> tuple[str, Any]:
    """Return what categories of several kinds are sorted by."""
    return ("", float(value)) if isinstance(value, bool | int | float) else (type(value).__name__, value)
