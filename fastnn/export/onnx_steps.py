"""What a fitted transformer of scikit-learn becomes in ONNX.

One rule for each class, by its name.  A scaler computes in float64 and rounds after each step, as
scikit-learn does with rows of float32.  Categories become their numbers first; one that was not seen has the
number after the last.  This file must not know networks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.errors import ConfigurationError
from fastnn.export.estimators import check_text, shown_step
from fastnn.export.onnx import ML, Writer
from fastnn.export.onnx_table import Piece, Table
from fastnn.export.scalers import SCALERS, is_of, standard_mean

__all__ = ["STEPS", "write_step"]

MISSING = ""  # stands for a text that is missing, which ONNX has not


def write_step(w: Writer, name: str, step: Any, table: Table) -> Table:
    """Append what a transformer does.

    Parameters
    ----------
    w : Writer
    name : str
        Of the step, for messages.
    step : transformer
    table : Table

    Returns
    -------
    Table

    Raises
    ------
    ConfigurationError
        If it has no counterpart, or is not fitted.
    """
    kind, shown = type(step).__name__, shown_step(name, step)
    if not is_of("sklearn", step, *STEPS):
        why = "runs code of Python" if kind == "FunctionTransformer" else "has no counterpart here"
        raise _unsupported(shown, why)
    if not getattr(step, "__sklearn_is_fitted__", lambda: _looks_fitted(step))():
        raise ConfigurationError(f"the step {shown} is not fitted; fit the Pipeline, then export it")
    return STEPS[kind](w, shown, step, table)


def _looks_fitted(step: Any) -> bool:
    return any(key.endswith("_") and not key.startswith("_") for key in vars(step))


def _refused(shown: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"the step {shown} {why}")


def _unsupported(shown: str, why: str) -> ConfigurationError:
    return _refused(
        shown,
        f"{why}; there is one for {', '.join(sorted(STEPS))}: do the rest before, on the rows",
    )


def _numbers(w: Writer, value: str, width: int) -> Table:
    return Table(w, [Piece(value, width, "numbers")])


# -- numbers


def _exactly(w: Writer, kind: str, x: str, values: Any) -> str:
    """Return the operator of x and a row of float64, computed in float64 and rounded."""
    from onnx import TensorProto

    row = np.asarray(values, np.float64).reshape(1, -1)
    wide = x if w.dtype == np.float64 else w.node("Cast", x, to=TensorProto.DOUBLE)
    y = w.node(kind, wide, w.fresh(row))
    return y if w.dtype == np.float64 else w.node("Cast", y, to=w.real)


def _clipped(w: Writer, step: Any, x: str, limits: Sequence[float]) -> str:
    if not getattr(step, "clip", False):
        return x
    return w.node("Min", w.node("Max", x, float(limits[0])), float(limits[1]))


def _standard(w: Writer, shown: str, step: Any, table: Table) -> Table:
    x = table.numbers()
    x = _exactly(w, "Sub", x, standard_mean(step, w.dtype)) if step.with_mean else x
    return _numbers(w, _exactly(w, "Div", x, step.scale_) if step.with_std else x, table.width)


def _min_max(w: Writer, shown: str, step: Any, table: Table) -> Table:
    x = _exactly(w, "Add", _exactly(w, "Mul", table.numbers(), step.scale_), step.min_)
    return _numbers(w, _clipped(w, step, x, step.feature_range), table.width)


def _max_abs(w: Writer, shown: str, step: Any, table: Table) -> Table:
    x = _exactly(w, "Div", table.numbers(), step.scale_)
    return _numbers(w, _clipped(w, step, x, (-1.0, 1.0)), table.width)


def _robust(w: Writer, shown: str, step: Any, table: Table) -> Table:
    x = table.numbers()
    x = _exactly(w, "Sub", x, step.center_) if step.with_centering else x
    return _numbers(w, _exactly(w, "Div", x, step.scale_) if step.with_scaling else x, table.width)


def _polynomial(w: Writer, shown: str, step: Any, table: Table) -> Table:
    """Of each result the factors, padded with a column of ones."""
    x, width = table.numbers(), table.width
    padded = w.node("Pad", x, w.whole(0, 0, 0, 1), 1.0)
    factors = [np.repeat(np.arange(width), powers) for powers in step.powers_]
    most = max(map(len, factors))
    places = np.full((len(factors), max(most, 1)), width, np.int64)
    for place, row in zip(places, factors, strict=True):
        place[: len(row)] = row
    product = w.node("Gather", padded, w.fresh(places[:, 0]), axis=1)
    for column in places.T[1:]:
        product = w.node("Mul", product, w.node("Gather", padded, w.fresh(column), axis=1))
    return _numbers(w, product, len(factors))


# -- what is missing


def _is_missing(value: Any) -> bool:
    """Return whether a value is what tables have where there is none: None, NaN or pandas.NA."""
    return (
        value is None or type(value).__name__ == "NAType" or (isinstance(value, Real) and math.isnan(value))
    )


def _imputer(w: Writer, shown: str, step: Any, table: Table) -> Table:
    if step.add_indicator:
        raise _refused(shown, "has add_indicator=True, which has no counterpart here; fit it without")
    values = list(step.statistics_)
    there = range(len(values))
    if step.strategy != "constant" and not step.keep_empty_features:
        there = [n for n in there if not _is_missing(values[n])]  # type: ignore[assignment]  # columns of nothing go
    table = table.select(there)
    values = [values[n] for n in there]
    if not any(isinstance(value, str) for value in values):
        x, fill = table.numbers(), w.fresh(np.array(values, w.dtype).reshape(1, -1))
        nan = _is_missing(step.missing_values)
        missing = w.node("IsNaN", x) if nan else w.node("Equal", x, float(step.missing_values))
        return _numbers(w, w.among(missing, fill, x), table.width)
    pieces = []
    for value, column in zip(values, table.columns(), strict=True):
        if not isinstance(value, str):
            raise _refused(shown, "fills texts and numbers at once; have one SimpleImputer for each")
        marked = MISSING if _is_missing(step.missing_values) else str(step.missing_values)
        x = column.texts()
        found = _looked_up(w, x, [check_text(marked, "the missing value", "ONNX")], [1], 0)
        fill = w.fresh(np.array([[check_text(value, "the fill value", "ONNX")]], object))
        pieces.append(
            Piece(w.among(w.node("Equal", found, w.whole(1)), fill, x), 1, "texts", filled=marked == MISSING)
        )
    return Table(w, pieces)


# -- categories


def _looked_up(w: Writer, x: str, keys: list[str], values: list[int], other: int) -> str:
    """Return the number of each text."""
    return w.node("LabelEncoder", x, domain=ML, keys_strings=keys, values_int64s=values, default_int64=other)


def _codes(w: Writer, shown: str, column: Table, categories: NDArray[Any]) -> str:
    """Return the number of each row's category, (rows, 1), that of unknown ones being after the last."""
    from onnx import TensorProto

    values = [_plain(value) for value in categories.tolist()]
    count = len(values)
    known = [value for value in values if value is not None]
    if len(known) < count - 1 or (None in values and MISSING in known):
        raise _refused(
            shown, "has two categories for what is missing, and ONNX one, the empty text; have one"
        )
    if known and all(isinstance(value, str) for value in known):
        if column.pieces[0].filled and (None in values or MISSING in known):
            raise _refused(
                shown,
                "has a category of None or of the empty text, which the SimpleImputer before it leaves, and "
                "ONNX fills as what is missing; give that one the missing_values that the rows have",
            )
        keys = [MISSING if value is None else check_text(value, "the category", "ONNX") for value in values]
        return _looked_up(w, column.texts(), keys, list(range(count)), count)
    if not all(isinstance(value, Real) for value in known):
        kinds = ", ".join(sorted({type(value).__name__ for value in known}))
        raise _refused(
            shown, f"has categories of {kinds}, and ONNX has texts or numbers; make them one of these"
        )
    x = column.numbers()
    row = np.array([np.nan if value is None else value for value in values], w.dtype).reshape(1, -1)
    if len(np.unique(row)) < count:
        raise _refused(shown, f"has categories that are the same in {w.dtype}; fit the Pipeline on float64")
    same = w.node("Equal", x, w.fresh(row))
    if None in values:  # NaN does not equal itself
        nan = w.node("Equal", w.node("Cast", w.node("IsNaN", x), to=TensorProto.INT64), w.whole(1))
        place = w.node("Equal", w.whole(*range(count)), w.whole(values.index(None)))
        same = w.node("Or", same, w.node("And", nan, place))
    ones = w.node("Cast", same, to=TensorProto.FLOAT)
    first = w.node("ArgMax", ones, axis=1, keepdims=1)
    any_of = w.node("Cast", w.node("ReduceMax", ones, axes=[1], keepdims=1), to=TensorProto.BOOL)
    return w.among(any_of, first, w.whole(count))


def _plain(value: Any) -> Any:
    return None if _is_missing(value) else value


def _groups(step: Any, number: int, count: int) -> tuple[list[int], list[int]]:
    """Return which categories have a place of their own, and which share one."""
    rare = getattr(step, "infrequent_categories_", None)
    rare = None if rare is None else rare[number]
    if rare is None:
        return list(range(count)), []
    places = {_plain(value): place for place, value in enumerate(step.categories_[number].tolist())}
    shared = sorted(places[_plain(value)] for value in rare.tolist())
    return [place for place in range(count) if place not in set(shared)], shared


def _one_hot(w: Writer, shown: str, step: Any, table: Table) -> Table:
    pieces = []
    for number, (column, categories) in enumerate(zip(table.columns(), step.categories_, strict=True)):
        count = len(categories)
        codes = _codes(w, shown, column, categories)
        own, shared = _groups(step, number, count)
        if step.handle_unknown == "error":  # so does this, as a place that is not there is looked up
            codes = w.node("Gather", w.whole(*range(count)), codes)
        elif step.handle_unknown != "ignore" and shared:
            shared = [*shared, count]
        dropped = None if step.drop_idx_ is None else step.drop_idx_[number]
        if dropped in shared:
            shared = []
        elif dropped is not None:
            own = [place for place in own if place != dropped]
        found = []
        if own:
            found.append(w.node("Cast", w.node("Equal", codes, w.whole(*own)), to=w.real))
        if shared:
            any_of = w.node("Cast", w.node("Equal", codes, w.whole(*shared)), to=w.real)
            found.append(w.node("ReduceMax", any_of, axes=[1], keepdims=1))
        pieces += [Piece(found[0], len(own) or 1, "numbers")] if found else []
        pieces += [Piece(one, 1, "numbers") for one in found[1:]]
    return Table(w, pieces)


def _ordinal(w: Writer, shown: str, step: Any, table: Table) -> Table:
    pieces = []
    for number, (column, categories) in enumerate(zip(table.columns(), step.categories_, strict=True)):
        count = len(categories)
        own, shared = _groups(step, number, count)
        values = np.empty(count, w.dtype)
        values[own], values[shared] = np.arange(len(own)), len(own)
        last = categories.tolist()[-1]
        if isinstance(last, Real) and math.isnan(last):
            if shared:
                raise _refused(
                    shown,
                    "groups rare categories and has missing ones, and both have no counterpart here; "
                    "have a SimpleImputer before it",
                )
            values[-1] = step.encoded_missing_value
        if step.handle_unknown == "use_encoded_value":
            values = np.append(values, w.dtype.type(step.unknown_value))
        codes = _codes(w, shown, column, categories)
        pieces.append(Piece(w.node("Gather", w.fresh(values), codes), 1, "numbers"))
    return Table(w, pieces)


# -- steps of steps


def _function(w: Writer, shown: str, step: Any, table: Table) -> Table:
    if step.func is not None:
        raise _unsupported(shown, "runs code of Python")
    return table


def _pipeline(w: Writer, shown: str, step: Any, table: Table) -> Table:
    for name, one in step.steps:
        if one is not None and one != "passthrough":
            table = write_step(w, name, one, table)
    return table


def _column_transformer(w: Writer, shown: str, step: Any, table: Table) -> Table:
    pieces: list[Piece] = []
    weights = step.transformer_weights or {}
    for name, one, _ in step.transformers_:
        columns = step._transformer_to_input_indices[name]
        if (isinstance(one, str) and one == "drop") or not len(columns):
            continue
        part = table.select([int(column) for column in columns])
        if not isinstance(one, str):  # else "passthrough"
            part = write_step(w, name, one, part)
        if name in weights:
            part = _numbers(w, w.node("Mul", part.numbers(), float(weights[name])), part.width)
        pieces += part.pieces
    return Table(w, pieces)


# FunctionTransformer without a function is what ColumnTransformer makes of "passthrough".
STEPS: dict[str, Callable[[Writer, str, Any, Table], Table]] = {
    **dict(zip(SCALERS, (_standard, _min_max, _max_abs, _robust), strict=True)),
    "PolynomialFeatures": _polynomial,
    "SimpleImputer": _imputer,
    "OneHotEncoder": _one_hot,
    "OrdinalEncoder": _ordinal,
    "FunctionTransformer": _function,
    "Pipeline": _pipeline,
    "ColumnTransformer": _column_transformer,
}
