"""Confusion matrices: which classes are taken for which.

This file must not know kernels or plans.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.checks import check_flag
from fastnn.errors import ConfigurationError, DataError, ShapeError, unknown_name
from fastnn.plotting import _asking
from fastnn.plotting._style import axes, colour_bar, need_matplotlib, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ConfusionMatrixDisplay"]

_MOST_WRITTEN = 25  # classes up to which each cell has its number
_MOST_NAMED = 40  # classes up to which each has its name
_SHARES = {
    "true": "share of the true class",
    "pred": "share of the predicted class",
    "all": "share of all rows",
    None: "rows",
}


class ConfusionMatrixDisplay:
    """Rows by their true class, from above, and by the predicted one, from the left.

    scikit-learn's class of this name draws the same for estimators.  This one takes models, and outputs,
    needs no scikit-learn, and stays legible with many classes: their numbers are left out, and of their names
    some.

    Parameters
    ----------
    confusion_matrix : numpy.ndarray, (classes, classes)
    display_labels : sequence, optional
    normalize : {"true", "pred", "all"}, optional
        What shares the numbers are, for the bar of colours.

    Attributes
    ----------
    ax_, figure_ : matplotlib.axes.Axes, matplotlib.figure.Figure
        Where it was drawn.
    im_ : matplotlib.image.AxesImage
    text_ : numpy.ndarray of matplotlib.text.Text, (classes, classes), or None

    See Also
    --------
    sklearn.metrics.ConfusionMatrixDisplay : The same, of estimators alone.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> true, predicted = ["a", "b", "b"], ["a", "a", "b"]
    >>> made = ConfusionMatrixDisplay.from_predictions(true, predicted, ax=Figure().subplots())
    >>> made.confusion_matrix
    array([[1, 0],
           [1, 1]])
    """

    ax_: Axes
    figure_: Any
    im_: Any
    text_: np.ndarray | None

    def __init__(
        self,
        confusion_matrix: np.ndarray,
        *,
        display_labels: Sequence[Any] | None = None,
        normalize: str | None = None,
    ) -> None:
        self.confusion_matrix = np.asarray(confusion_matrix)
        if self.confusion_matrix.ndim != 2 or len(set(self.confusion_matrix.shape)) != 1:
            raise ShapeError(f"confusion_matrix must be a square, got {self.confusion_matrix.shape}")
        count = len(self.confusion_matrix)
        self.display_labels = list(range(count)) if display_labels is None else list(display_labels)
        if len(self.display_labels) != count:
            raise ConfigurationError(
                f"display_labels must be {count}, one for each class, got {len(self.display_labels)}"
            )
        self.normalize = normalize

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        labels: Sequence[Any] | None = None,
        sample_weight: Any = None,
        normalize: str | None = None,
        threshold: float | None = None,
        display_labels: Sequence[Any] | None = None,
        include_values: bool | None = None,
        values_format: str | None = None,
        cmap: Any = "Blues",
        colorbar: bool = True,
        ax: Axes | None = None,
    ) -> ConfusionMatrixDisplay:
        """Draw what a model or an estimator takes for what.

        Parameters
        ----------
        estimator : Model or estimator
            A built model with one output tensor, or a fitted classifier.
        X : array_like or DataFrame, (rows, features)
            As for its `predict`.
        y : array_like, (rows,), or one-hot, (rows, classes)
        threshold : float, optional
            Where two classes part, default 0.5 of a probability; needed where a model's one output is none.
        labels, sample_weight, normalize, display_labels, include_values, values_format, cmap, colorbar, ax
            As for `from_predictions`.

        Returns
        -------
        ConfusionMatrixDisplay

        Raises
        ------
        ConfigurationError
            If it does not predict classes, or a threshold is missing or of no use.
        DataError, ShapeError, DTypeError, ImportError
            As for `from_predictions`.
        """
        need_matplotlib()
        found = _asking.predicted_labels(estimator, X, threshold, "ConfusionMatrixDisplay")
        known = _asking.decision_of(estimator, threshold, "ConfusionMatrixDisplay").labels
        return cls.from_predictions(
            known[_asking.codes_of(y, known)] if np.ndim(y) == 2 else y,
            found,
            labels=known if labels is None and _asking.is_model(estimator) else labels,
            sample_weight=sample_weight,
            normalize=normalize,
            display_labels=display_labels,
            include_values=include_values,
            values_format=values_format,
            cmap=cmap,
            colorbar=colorbar,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        *,
        labels: Sequence[Any] | np.ndarray | None = None,
        sample_weight: Any = None,
        normalize: str | None = None,
        display_labels: Sequence[Any] | None = None,
        include_values: bool | None = None,
        values_format: str | None = None,
        cmap: Any = "Blues",
        colorbar: bool = True,
        ax: Axes | None = None,
    ) -> ConfusionMatrixDisplay:
        """Draw predicted labels by true ones.

        Parameters
        ----------
        y_true : array_like, (rows,), or one-hot, (rows, classes)
        y_pred : array_like, (rows,), or outputs, (rows, classes)
            Labels; or numbers of which the largest wins, for the labels 0, 1, ...
        labels : sequence, optional
            The classes to draw, in this order; rows of others are left out.  By default all, sorted.
        sample_weight : array_like, (rows,), optional
            What each row counts.
        normalize : {"true", "pred", "all"}, optional
            What numbers are shares of: of the row, of the column, of all.  By default they are counts.
        display_labels : sequence, optional
            Names of the classes.
        include_values : bool, optional
            Whether cells have their numbers; by default up to 25 classes.
        values_format : str, optional
            Format of these, such as ``".1%"``.
        cmap : str or matplotlib.colors.Colormap
        colorbar : bool
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default on a new figure.

        Returns
        -------
        ConfusionMatrixDisplay

        Raises
        ------
        ShapeError
            If lengths differ, or rows have several labels each.
        DataError
            If there are no rows, or none has one of the `labels`.
        ConfigurationError
            For an unknown `normalize`, or names that are too few or too many.
        ImportError
            Without matplotlib.
        """
        need_matplotlib()
        if normalize not in _SHARES:
            raise unknown_name("normalize", normalize, [name for name in _SHARES if name is not None])
        true, predicted = _labels(y_true, "y_true", exact=True), _labels(y_pred, "y_pred", exact=False)
        if len(true) != len(predicted):
            raise ShapeError(f"y_pred has {len(predicted)} rows but y_true has {len(true)}; they must agree")
        if not len(true):
            raise DataError("y_true has no rows; give at least one")
        known = _sorted([*true.tolist(), *predicted.tolist()]) if labels is None else list(labels)
        if isinstance(labels, np.ndarray):
            known = labels.tolist()
        weight = np.ones(len(true), int) if sample_weight is None else np.asarray(sample_weight, np.float64)
        if weight.shape != (len(true),):
            raise ShapeError(f"sample_weight must have shape ({len(true)},), got {weight.shape}")
        matrix = _counted(true, predicted, known, weight)
        if normalize is not None:
            axis = {"true": 1, "pred": 0, "all": None}[normalize]
            whole = matrix.sum(axis=axis, keepdims=True)
            matrix = np.divide(matrix, whole, out=np.zeros(matrix.shape), where=whole != 0)
        made = cls(
            matrix, display_labels=known if display_labels is None else display_labels, normalize=normalize
        )
        return made.plot(
            ax, include_values=include_values, values_format=values_format, cmap=cmap, colorbar=colorbar
        )

    def plot(
        self,
        ax: Axes | None = None,
        *,
        include_values: bool | None = None,
        values_format: str | None = None,
        cmap: Any = "Blues",
        colorbar: bool = True,
    ) -> ConfusionMatrixDisplay:
        """Draw it once more.

        Parameters
        ----------
        ax, include_values, values_format, cmap, colorbar
            As for `from_predictions`.

        Returns
        -------
        ConfusionMatrixDisplay
            This one.
        """
        with_bar = check_flag(colorbar, "colorbar")
        count = len(self.confusion_matrix)
        written = (
            count <= _MOST_WRITTEN if include_values is None else check_flag(include_values, "include_values")
        )
        need_matplotlib()
        side = min(max(4.4, 0.42 * count), 11.0) if count <= _MOST_WRITTEN else 7.0
        self.ax_ = ax = axes(ax, (side + 1.6, side), image=True)
        self.figure_ = ax.figure
        top = 1.0 if self.normalize in ("true", "pred") else max(float(self.confusion_matrix.max()), 1e-12)
        self.im_ = ax.imshow(self.confusion_matrix, cmap=cmap, vmin=0, vmax=top, interpolation="nearest")
        self.text_ = self._write(ax, values_format, top) if written else None
        self._name(ax)
        ax.set_xlabel("predicted class")
        ax.set_ylabel("true class")
        if with_bar:
            colour_bar(ax, self.im_, _SHARES[self.normalize])
        return self

    def _write(self, ax: Axes, values_format: str | None, top: float) -> np.ndarray:
        """Write each number into its cell, light on dark."""
        matrix = self.confusion_matrix
        count = len(matrix)
        whole = np.equal(np.mod(matrix, 1), 0).all() and self.normalize is None
        form = values_format or (".0f" if whole else ".2f" if self.normalize else ".3g")
        found = np.empty(matrix.shape, object)
        longest = max(len(format(value, form)) for value in matrix.flat)
        box = ax.get_window_extent()
        cell = min(box.width, box.height) / count * 72 / ax.figure.dpi  # points
        font = float(np.clip(1.3 * cell / max(longest, 2), 4.0, 11.0))
        for (row, col), value in np.ndenumerate(matrix):
            red, green, blue, _ = self.im_.cmap(self.im_.norm(value))
            light = 0.299 * red + 0.587 * green + 0.114 * blue
            found[row, col] = ax.text(
                col,
                row,
                format(value, form),
                ha="center",
                va="center",
                color="black" if light > 0.5 else "white",
                fontsize=font,
            )
        return found

    def _name(self, ax: Axes) -> None:
        """Name the classes at both axes, or some of them."""
        count = len(self.display_labels)
        places = (
            np.arange(count) if count <= _MOST_NAMED else np.unique(np.linspace(0, count - 1, 11).astype(int))
        )
        names = [short(self.display_labels[place], 20, own=True) for place in places]
        longest = max(map(len, names))
        size = "medium" if len(places) <= _MOST_WRITTEN else "x-small"
        ax.set_xticks(places, names, fontsize=size)
        ax.set_yticks(places, names, fontsize=size)
        if len(places) * longest > 60:  # they would overlap
            short_names = longest <= 3
            for label in ax.get_xticklabels():
                label.set(
                    rotation=90 if short_names else 45,
                    ha="right",
                    va="center" if short_names else "top",
                    rotation_mode="anchor",
                )


# -- counts


def _labels(value: Any, name: str, *, exact: bool) -> np.ndarray:
    """Return one label a row."""
    array = np.asarray(value)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2:
        if exact:
            return _asking.codes_of(array, np.arange(array.shape[1]), name)
        if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
            raise DataError(f"{name} has outputs that are no finite numbers")
        found: np.ndarray = array.argmax(axis=1)
        return found
    if array.ndim != 1:
        raise ShapeError(f"{name} must have shape (rows,) or (rows, classes), got {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise DataError(f"{name} has labels that are NaN or infinite")
    return array


def _sorted(labels: list[Any]) -> list[Any]:
    """Return the labels that there are, sorted if that can be."""
    there = list(dict.fromkeys(labels))
    try:
        return sorted(there)
    except TypeError:
        kinds = ", ".join(sorted({type(label).__name__ for label in there}))
        raise DataError(f"labels are of several types, {kinds}; bring them to one") from None


def _counted(true: np.ndarray, predicted: np.ndarray, known: list[Any], weight: np.ndarray) -> np.ndarray:
    """Return how often each label is taken for each."""
    codes = {label: code for code, label in enumerate(known)}
    if len(codes) != len(known):
        raise ConfigurationError(
            f"labels has {len(known) - len(codes)} labels more than once; name each once"
        )
    rows = np.array([codes.get(label, -1) for label in true.tolist()])
    columns = np.array([codes.get(label, -1) for label in predicted.tolist()])
    if not (rows >= 0).any():
        raise DataError(
            f"no row of y_true has one of the labels {known[:8]!r}; its first is {true.tolist()[0]!r}"
        )
    matrix = np.zeros((len(known), len(known)), weight.dtype)
    there = (rows >= 0) & (columns >= 0)
    np.add.at(matrix, (rows[there], columns[there]), weight[there])
    return matrix
