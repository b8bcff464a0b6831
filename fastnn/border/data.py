"""The input border: what users bring becomes checked C-order arrays of the model's dtype.

Everything that can be wrong with data is found here, before anything changes.  Data that are
right already are not copied.  This file must not know models, plans or kernels beyond the
scan for values that are not finite.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from fastnn._core.table import count_nonfinite, narrow_columns
from fastnn.border.numeric import as_numbers
from fastnn.checks import MAXIMUM_SIZE
from fastnn.errors import DataError, DTypeError, ShapeError, TrainingWarning, warn
from fastnn.graph.nests import is_sorted, matched
from fastnn.losses import Loss
from fastnn.ops import REAL, Kind, Numbers

__all__ = [
    "all_finite",
    "as_any_targets",
    "as_features",
    "as_sample_weight",
    "as_targets",
    "as_weights",
    "by_name",
    "kept_rows",
    "narrow_columns",
    "split_validation",
    "width_of",
]


def all_finite(array: np.ndarray) -> bool:
    """Return whether a contiguous float32 or float64 array holds neither NaN nor infinity."""
    return count_nonfinite(array) == 0


def _finite(array: np.ndarray, source: np.ndarray, name: str) -> np.ndarray:
    bad = count_nonfinite(array)
    if bad:
        if source.dtype.kind != "f" or np.isfinite(source).all():
            raise DataError(
                f"{name} has {bad} values too large for {array.dtype}; scale them, or use dtype='float64'"
            )
        where = np.argwhere(~np.isfinite(array))[0]
        raise DataError(
            f"{name} has {bad} values that are NaN or infinite, the first at index "
            f"{tuple(int(i) for i in where)}; remove or replace them first"
        )
    return array


def _converted(array: np.ndarray, dtype: np.dtype, name: str) -> np.ndarray:
    """Return aligned C-order data of `dtype`, all finite; a view where nothing has to change."""
    if array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned:
        return _finite(array, array, name)
    with np.errstate(over="ignore"):
        return _finite(np.require(array, dtype=dtype, requirements=["C", "A"]), array, name)


def _matrix(value: object, columns: int, name: str, what: str) -> np.ndarray:
    array = as_numbers(value, name)
    if array.ndim == 1 and columns == 1:
        array = array.reshape(-1, 1)
    if array.ndim != 2 or array.shape[1] != columns:
        hint = (
            f"; reshape it to (rows, {columns})"
            if array.ndim != 2 and array.size and array.size % columns == 0
            else ""
        )
        if array.ndim == 1 and array.shape[0] == columns:
            hint = f"; a single row is {name}.reshape(1, -1)"
        raise ShapeError(f"{name} must have shape (rows, {columns}) to match {what}, got {array.shape}{hint}")
    if array.shape[0] > MAXIMUM_SIZE:
        raise ShapeError(f"{name} has {array.shape[0]} rows; the most is {MAXIMUM_SIZE}")
    return array


def width_of(value: object, dtype: np.dtype, name: str = "x") -> int:
    """Return the number of columns of data that a model without a width is given, checked.

    Parameters
    ----------
    value : array_like, (rows, columns)
        Zero rows are allowed; who needs rows says so afterwards.
    dtype : numpy.dtype
        The model's dtype.
    name : str
        For messages.

    Returns
    -------
    int

    Raises
    ------
    ShapeError, DataError, DTypeError
        As the message says.

    Examples
    --------
    >>> import numpy as np
    >>> width_of([[1, 2]], np.dtype("float32"))
    2
    """
    array = as_numbers(value, name)
    if array.ndim != 2 or not array.shape[1]:
        raise ShapeError(f"{name} must have shape (rows, features), got {array.shape}")
    as_features(array, array.shape[1], dtype, name=name, empty=True)
    return array.shape[1]


_ENDS = {"x": "input", "y": "output"}


def by_name(value: object, names: list[str], what: str, nest: object = None) -> list[object]:
    """Return what belongs to each input or output of a model.

    Parameters
    ----------
    value : object
        For one name the thing itself, or a list or a dict of it; for several a list, a tuple or a dict.
    names : list of str
    what : str
        For messages, such as ``"x"``.
    nest : object, optional
        How the model has them in lists, tuples and dicts, if they are nested; so they may be given.

    Returns
    -------
    list, one for each name

    Raises
    ------
    ShapeError
        If there are too few or too many, or unknown names.

    Examples
    --------
    >>> by_name({"b": 2, "a": 1}, ["a", "b"], "x")
    [1, 2]
    """
    if isinstance(value, dict):
        if what == "x" and set(value) > set(names):
            others = sorted(map(str, set(value) - set(names)))
            warn(f"x has keys that no input has, which are left out: {', '.join(others)}", TrainingWarning)
        elif set(value) != set(names):
            if isinstance(nest, dict) and _is_deep(value.values()):
                return matched(value, nest, what)
            raise ShapeError(f"{what} must have the keys {names}, got {list(value)}")
        return [value[name] for name in names]
    if isinstance(nest, list | tuple) and isinstance(value, list | tuple) and _is_deep(nest):
        if len(value) != len(names) or _is_deep(value):
            return matched(value, nest, what)
    elif isinstance(nest, dict) and len(names) > 1 and not is_sorted(nest):
        raise ShapeError(
            f"{what} must be a dict with the keys {list(nest)}, as the model was made with one, got "
            f"{type(value).__name__}"
        )
    if len(names) == 1:
        if what in ("x", "y") and isinstance(value, list | tuple) and value:
            if value[0] is None:
                raise ShapeError(f"{what} holds None, and needs an array, (rows, features)")
            if len(value) > 1 and all(getattr(one, "ndim", 0) == 2 for one in value):
                raise ShapeError(
                    f"{what} holds {len(value)} arrays, and the model has one {_ENDS[what]}, {names[0]!r}; "
                    "give one, or np.concatenate them"
                )
        listed = isinstance(value, list | tuple) and len(value) == 1
        # A list of one thing, not the only row of a matrix.
        if listed and (what in ("loss", "loss_weights") or getattr(value[0], "ndim", 0) == 2):  # type: ignore[index]
            return list(value)  # type: ignore[call-overload]
        return [value]
    if not isinstance(value, list | tuple) or len(value) != len(names):
        given = f"{len(value)}" if isinstance(value, list | tuple) else type(value).__name__
        raise ShapeError(
            f"{what} must be a list with one entry for each of {', '.join(names)}, or a dict; got {given}"
        )
    return list(value)


def _is_deep(nest: Iterable[object]) -> bool:
    """Return whether there are lists, tuples or dicts within one."""
    return any(isinstance(part, list | tuple | dict) for part in nest)


def as_features(
    value: object,
    columns: int,
    dtype: np.dtype,
    *,
    name: str = "x",
    empty: bool = False,
    kind: Kind = REAL,
    reader: str = "",
) -> np.ndarray:
    """Return input rows, checked.

    Parameters
    ----------
    value : array_like, (rows, columns)
        Any real dtype and layout; ``(rows,)`` if there is one column.
    columns : int
        The model's input width.
    dtype : numpy.dtype
        The model's dtype.
    name : str
        For messages.
    empty : bool
        Whether zero rows are allowed.
    kind : Kind
        What the input holds.
    reader : str
        For messages, the layer that takes no real numbers, such as ``"Embedding 'e'"``.

    Returns
    -------
    numpy.ndarray, (rows, columns)
        C order; `value` itself if it has real numbers, and nothing had to change.

    Raises
    ------
    ShapeError, DataError, DTypeError
        As the message says.

    Examples
    --------
    >>> import numpy as np
    >>> as_features([[1, 2]], 2, np.dtype("float32"))
    array([[1., 2.]], dtype=float32)
    """
    array = as_numbers(value, name, target=kind.is_whole)
    array = _matrix(array, columns, name, "the model's input")
    if not empty and not array.shape[0]:
        raise DataError(f"{name} has no rows; give at least one")
    return _of_kind(array, kind, dtype, name, reader)


def as_targets(
    value: object, rows: int, outputs: int, loss: Loss, dtype: np.dtype, *, name: str = "y"
) -> np.ndarray:
    """Return targets as the loss takes them, checked.

    Parameters
    ----------
    value : array_like
        ``(rows,)`` or ``(rows, 1)`` integer labels for a sparse loss, else ``(rows, outputs)``,
        or ``(rows,)`` for one output.
    rows : int
        Rows of the features.
    outputs : int
        The model's output width.
    loss : Loss
    dtype : numpy.dtype
        The model's dtype.
    name : str
        For messages.

    Returns
    -------
    numpy.ndarray, (rows, 1) or (rows, outputs)
        C order; labels are a copy, and have the model's dtype, too, in which they are exact.

    Raises
    ------
    ShapeError, DataError, DTypeError
        As the message says.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.losses import SparseCategoricalCrossentropy
    >>> as_targets([2], 1, 3, SparseCategoricalCrossentropy(), np.dtype("float32"))
    array([[2.]], dtype=float32)
    """
    kind = loss.kind(outputs)
    if (unknown := loss.unknown_label(outputs)) is not None:  # what is ignored counts as 0, times 0
        value = _labels(value, outputs, name)
        value = np.where(value == unknown, 0, value)
    array = _labels(value, outputs, name) if kind.is_whole else _outputs(value, rows, outputs, loss, name)
    if array.shape[0] != rows:
        raise ShapeError(f"{name} has {array.shape[0]} rows but x has {rows}; they must agree")
    array = _of_kind(array, kind, dtype, name)
    if array.size:
        _check_range(array, loss, name)
    return array


def as_any_targets(value: object, rows: int, dtype: np.dtype, name: str = "y") -> np.ndarray:
    """Return targets of which only metrics, or a loss in Python, know what they are, checked.

    Parameters
    ----------
    value : array_like, (rows,) or (rows, columns)
    rows : int
        Rows of the features.
    dtype : numpy.dtype
        The model's dtype.
    name : str
        For messages.

    Returns
    -------
    numpy.ndarray, (rows, columns)
        C order.

    Raises
    ------
    ShapeError, DataError, DTypeError
        As the message says.

    Examples
    --------
    >>> as_any_targets([1, 2], 2, np.dtype("float32"))
    array([[1.],
           [2.]], dtype=float32)
    """
    array = as_numbers(value, name, target=True)
    if array.ndim == 1:
        array = array.reshape(-1, 1)
    if array.ndim != 2 or not array.shape[1]:
        raise ShapeError(f"{name} must have shape (rows,) or (rows, columns), got {array.shape}")
    if array.shape[0] != rows:
        raise ShapeError(f"{name} has {array.shape[0]} rows but x has {rows}; they must agree")
    return _converted(array, dtype, name)


def kept_rows(value: object, ignored: int, dtype: np.dtype) -> np.ndarray:
    """Return 1 for each row whose label is not the one that is ignored, else 0.

    Parameters
    ----------
    value : array_like, (rows,) or (rows, 1)
        Labels that `as_targets` has taken.
    ignored : int
    dtype : numpy.dtype

    Returns
    -------
    numpy.ndarray, (rows, 1)

    Examples
    --------
    >>> kept_rows([0, -1, 2], -1, np.dtype("float32")).ravel()
    array([1., 0., 1.], dtype=float32)
    """
    return (as_numbers(value, "y", target=True).reshape(-1, 1) != ignored).astype(dtype)


def _check_range(array: np.ndarray, loss: Loss, name: str) -> None:
    """Raise for targets of which the loss makes no number that means anything."""
    above, least = loss.above, loss.least
    if (above is not None and not array.min() > above) or (least is not None and not array.min() >= least):
        wanted = f"above {above:g}" if above is not None else f"at least {least:g}"
        raise DataError(f"{name} must be {wanted} for {loss.name}, got {array.min():g}")
    if loss.signs and (array == 0).any() and not ((array == 0) | (array == 1)).all():
        raise DataError(
            f"{name} must be -1 and 1, or 0 and 1, for {loss.name}, which takes a 0 for -1; it has 0 beside "
            f"{array[(array != 0) & (array != 1)][0]:g}"
        )


def _outputs(value: object, rows: int, outputs: int, loss: Loss, name: str) -> np.ndarray:
    """Return targets that have a number for each output; what they are is not looked at."""
    array = as_numbers(value, name, target=True)
    one_a_row = array.shape in ((rows,), (rows, 1))
    if loss.repeats and one_a_row:
        return np.repeat(_matrix(array, 1, name, "one target a row"), outputs, axis=1)
    if (loss.classes or loss.fuses is not None) and outputs > 1 and one_a_row:
        raise ShapeError(
            f"{name} has shape {array.shape}, but {loss.name} with {outputs} outputs takes one-hot rows "
            f"(rows, {outputs}); for integer labels use sparse_categorical_crossentropy"
        )
    heads = loss.traits.heads
    what = "the model's output" if heads == 1 else f"one for {heads} outputs of the model"
    return _matrix(array, outputs // heads, name, what)


_SUBTRACT = "; labels begin at 0, so subtract 1: {0} - 1"


def _label_hint(array: np.ndarray, classes: int, name: str) -> str:
    """Return what would bring labels into 0 to `classes` - 1."""
    if array.min() >= 1 and array.max() == classes:
        return _SUBTRACT.format(name)
    n_found = len(np.unique(array))
    if n_found > classes:
        return f"; the last layer needs one output for each class, here {n_found}"
    return f"; number the classes from 0, as by np.unique({name}, return_inverse=True)[1]"


def _of_kind(array: np.ndarray, kind: Kind, dtype: np.dtype, name: str, reader: str = "") -> np.ndarray:
    """Return an array of a kind in the model's dtype, checked.

    Kernels find places in memory by whole numbers, so these are a copy, which nobody may change any more.
    """
    if not kind.is_whole:
        return _converted(array, dtype, name)
    indices = kind.numbers is Numbers.INDEX
    if indices and array.dtype.kind == "b":
        raise DTypeError(f"{name} has dtype bool, but {reader} takes integers: {name}.astype(int)")
    array = array.astype(np.float64 if array.dtype == np.float16 else array.dtype)
    fit = (array >= 0) & (array < kind.limit)
    if array.dtype.kind == "f":
        fit &= np.floor(array) == array
    if not fit.all():
        if indices:
            raise _unfit_index(array, fit, kind.limit, name, reader)
        raise _unfit_labels(array, kind.limit, name)
    if kind.limit > 2 ** np.finfo(dtype).nmant:
        what = "indices" if indices else "classes"
        raise DataError(f"{dtype} cannot count {kind.limit} {what} exactly; use dtype='float64'")
    return _converted(array, dtype, name)


def _unfit_index(array: np.ndarray, fit: np.ndarray, limit: int, name: str, reader: str) -> DataError:
    """Return the error for an array with elements that are no indices: the first of them, and what to do."""
    row, column = (int(i) for i in np.unravel_index(int(fit.argmin()), fit.shape))
    value = array[row, column]
    hint = f"; number the categories from 0, as by np.unique({name}, return_inverse=True)[1]"
    if not np.isfinite(value):
        hint = "; give what is missing an index of its own, or leave such rows out"
    elif value != np.floor(value):
        hint = f"; whole numbers that were computed are so again after np.rint({name})"
    elif array.min() >= 1 and array.max() == limit:
        hint = f"; indices begin at 0, so subtract 1: {name} - 1"
    return DataError(
        f"row {row}, column {column} of {name} is {value}, but {reader} has input_dim {limit}: indices run "
        f"from 0 to {limit - 1}{hint}"
    )


def _unfit_labels(array: np.ndarray, classes: int, name: str) -> DataError:
    if not np.isfinite(array).all():
        return DataError(f"{name} has labels that are NaN or infinite")
    if (array != np.floor(array)).any():
        return DataError(f"{name} has labels that are not integers, such as {array[array % 1 != 0][0]!r}")
    return DataError(
        f"labels in {name} must lie in 0 to {classes - 1} for {classes} outputs, "
        f"got {int(array.min())} to {int(array.max())}{_label_hint(array, classes, name)}"
    )


def _labels(value: object, classes: int, name: str) -> np.ndarray:
    """Return labels as a column; what they are is not looked at."""
    array = as_numbers(value, name, target=True)
    if array.ndim == 1:
        array = array.reshape(-1, 1)
    if array.ndim != 2 or array.shape[1] != 1:
        hint = ""
        if array.ndim == 2 and array.shape[1] == classes:
            hint = "; for one-hot targets use categorical_crossentropy"
        raise ShapeError(f"{name} must hold one label a row, shape (rows,), got {array.shape}{hint}")
    return array


def as_sample_weight(value: object, rows: int, dtype: np.dtype) -> np.ndarray:
    """Return sample weights as a column, checked.

    Parameters
    ----------
    value : array_like, (rows,) or (rows, 1)
        Rows with negative ones are led away from their targets.
    rows : int
        Rows of the features.
    dtype : numpy.dtype
        The model's dtype.

    Returns
    -------
    numpy.ndarray, (rows, 1)

    Raises
    ------
    ShapeError, DataError, DTypeError
        As the message says.

    Examples
    --------
    >>> import numpy as np
    >>> as_sample_weight([1, 2], 2, np.dtype("float64"))
    array([[1.],
           [2.]])
    """
    array = _matrix(value, 1, "sample_weight", "one weight a row")
    if array.shape[0] != rows:
        raise ShapeError(f"sample_weight has {array.shape[0]} rows but x has {rows}; they must agree")
    return _converted(array, dtype, "sample_weight")


def as_weights(value: object, shape: tuple[int, ...], dtype: np.dtype, name: str) -> np.ndarray:
    """Return a parameter's new value, checked.

    Parameters
    ----------
    value : array_like of shape `shape`
    shape : tuple of int
    dtype : numpy.dtype
        The model's dtype.
    name : str
        The parameter's name, for messages.

    Returns
    -------
    numpy.ndarray

    Raises
    ------
    ShapeError, DataError, DTypeError
        As the message says.

    Examples
    --------
    >>> import numpy as np
    >>> as_weights([0.0], (1,), np.dtype("float32"), "dense/bias")
    array([0.], dtype=float32)
    """
    array = as_numbers(value, name)
    if array.shape != shape:
        raise ShapeError(f"{name} must have shape {shape}, got {array.shape}")
    return _converted(array, dtype, name)


def split_validation(
    arrays: Mapping[str, np.ndarray], rows: int, fraction: float
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Split off the last rows for validation, before any shuffling, as Keras does.

    Parameters
    ----------
    arrays : mapping of str to numpy.ndarray
        With `rows` rows each.
    rows : int
    fraction : float
        In (0, 1).

    Returns
    -------
    training, validation : dict of str to numpy.ndarray
        Views.

    Raises
    ------
    DataError
        If one of the parts would be empty.

    Examples
    --------
    >>> import numpy as np
    >>> [len(part["x"]) for part in split_validation({"x": np.zeros(10)}, 10, 0.2)]
    [8, 2]
    """
    first = int(rows * (1.0 - fraction))
    if first == 0 or first == rows:
        raise DataError(f"validation_split={fraction:g} of {rows} rows leaves one part empty")
    return (
        {name: array[:first] for name, array in arrays.items()},
        {name: array[first:] for name, array in arrays.items()},
    )
