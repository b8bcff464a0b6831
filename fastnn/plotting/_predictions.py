"""Predicted numbers: against true ones, and over time.

This file must not know kernels or plans.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.errors import ConfigurationError, DataError, DTypeError, ShapeError, unknown_name
from fastnn.plotting import _asking
from fastnn.plotting._style import (
    COLOURS,
    MARKERS,
    axes,
    colour_bar,
    column,
    finish,
    flat,
    ink,
    need_matplotlib,
    palette,
    short,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PredictionErrorDisplay", "plot_predictions"]

_KINDS = ("actual_vs_predicted", "residual_vs_predicted")
_FEW_POINTS, _MANY_POINTS = 300, 3000  # up to here points are large; from here on they are counted


class PredictionErrorDisplay:
    """True numbers, or what is missing to them, against predicted ones.

    scikit-learn's class of this name draws some of the points, of estimators with one output.  This one draws
    all of them, as counts where they are many, of several outputs too, with R squared and the mean absolute
    error; it takes models, and needs no scikit-learn.

    Parameters
    ----------
    y_true, y_pred : numpy.ndarray, (rows, outputs)
    output_names : sequence of str, optional

    Attributes
    ----------
    ax_, figure_ : matplotlib.axes.Axes, matplotlib.figure.Figure
        Where it was drawn.
    points_ : list of matplotlib.collections.Collection
        One for each output.
    line_ : matplotlib.lines.Line2D
        Where predictions are right.
    r2 : numpy.ndarray, (outputs,)
        R squared; NaN where all true values are equal.
    mean_absolute_error : numpy.ndarray, (outputs,)

    See Also
    --------
    sklearn.metrics.PredictionErrorDisplay
        A sample of the points, of estimators.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> made = PredictionErrorDisplay.from_predictions([1, 2, 3], [1.0, 2.5, 3.0], ax=Figure().subplots())
    >>> float(made.r2[0])
    0.875
    """

    ax_: Axes
    figure_: Any
    points_: list[Any]
    line_: Any

    def __init__(
        self, *, y_true: np.ndarray, y_pred: np.ndarray, output_names: Sequence[str] | None = None
    ) -> None:
        self.y_true, self.y_pred = y_true, y_pred
        count = y_true.shape[1]
        self.output_names = (
            [f"output {k}" for k in range(count)] if output_names is None else list(output_names)
        )
        errors = y_true - y_pred
        spread = ((y_true - y_true.mean(axis=0)) ** 2).sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            self.r2 = np.where(spread > 0, 1 - (errors**2).sum(axis=0) / spread, np.nan)
        self.mean_absolute_error = np.abs(errors).mean(axis=0)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        kind: str = "actual_vs_predicted",
        output_names: Sequence[str] | None = None,
        ax: Axes | None = None,
    ) -> PredictionErrorDisplay:
        """Draw what a model or an estimator predicts.

        Parameters
        ----------
        estimator : Model or estimator
            A built model with one output tensor, or a fitted regressor.
        X : array_like or DataFrame, (rows, features)
            As for its `predict`.
        y : array_like, (rows,) or (rows, outputs)
        kind, output_names, ax
            As for `from_predictions`.

        Returns
        -------
        PredictionErrorDisplay

        Raises
        ------
        ConfigurationError
            If it predicts classes.
        ShapeError, DataError, DTypeError, ImportError
            As for `from_predictions`.
        """
        need_matplotlib()
        predicted = _asking.numbers_of(estimator, X, "PredictionErrorDisplay")
        return cls.from_predictions(y, predicted, kind=kind, output_names=output_names, ax=ax)

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        *,
        kind: str = "actual_vs_predicted",
        output_names: Sequence[str] | None = None,
        ax: Axes | None = None,
    ) -> PredictionErrorDisplay:
        """Draw predictions.

        Parameters
        ----------
        y_true, y_pred : array_like, (rows,) or (rows, outputs)
            Finite numbers.
        kind : {"actual_vs_predicted", "residual_vs_predicted"}
            What the vertical axis is: true values, or those minus the predicted ones.
        output_names : sequence of str, optional
            One for each output, with its unit.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default on a new figure.

        Returns
        -------
        PredictionErrorDisplay

        Raises
        ------
        ShapeError
            If the two differ in shape.
        DataError
            If there are no rows, or numbers that are not finite.
        ConfigurationError
            For an unknown kind, or names that are too few or too many.
        DTypeError
            If an argument has a wrong type.
        ImportError
            Without matplotlib.
        """
        need_matplotlib()
        true, predicted = _table(y_true, "y_true"), _table(y_pred, "y_pred")
        if true.shape != predicted.shape:
            raise ShapeError(f"y_pred has shape {predicted.shape} but y_true {true.shape}; they must agree")
        if output_names is not None and (isinstance(output_names, str) or len(output_names) != true.shape[1]):
            raise ConfigurationError(
                f"output_names must be {true.shape[1]}, one for each output, got {output_names!r}"
            )
        made = cls(y_true=true, y_pred=predicted, output_names=output_names)
        return made.plot(ax, kind=kind)

    def plot(self, ax: Axes | None = None, *, kind: str = "actual_vs_predicted") -> PredictionErrorDisplay:
        """Draw it once more.

        Parameters
        ----------
        ax, kind
            As for `from_predictions`.

        Returns
        -------
        PredictionErrorDisplay
            This one.
        """
        if kind not in _KINDS:
            raise unknown_name("kind", kind, _KINDS)
        need_matplotlib()
        residuals = kind == "residual_vs_predicted"
        self.ax_ = ax = axes(ax, (5.4, 4.8) if self.y_true.shape[1] == 1 else (6.4, 4.8))
        self.figure_ = ax.figure
        heights = self.y_true - self.y_pred if residuals else self.y_true
        rows, count = self.y_true.shape
        self.points_ = []
        low, high = _range(self.y_pred) if residuals else _range(np.stack([self.y_true, self.y_pred]))
        bottom, top = _range(heights) if residuals else (low, high)
        if rows > _MANY_POINTS and count == 1:
            self._count(ax, heights[:, 0], (low, high, bottom, top))
        else:
            size = 30 if rows <= _FEW_POINTS else 12 if rows <= _MANY_POINTS else 5
            for k, colour in enumerate(palette(count)):
                self.points_.append(
                    ax.scatter(
                        self.y_pred[:, k],
                        heights[:, k],
                        s=size,
                        color=colour,
                        marker=MARKERS[k % len(MARKERS)],
                        alpha=0.8 if rows <= _FEW_POINTS else 0.5,
                        linewidths=0,
                        label=f"{short(self.output_names[k], own=True)} ({self._scores(k)})",
                        zorder=3,
                        rasterized=rows > _MANY_POINTS,
                    )
                )
        right = (0.0, 0.0) if residuals else (low, high)
        (self.line_,) = ax.plot((low, high), right, "--", color=ink(ax), linewidth=1.2, zorder=4)
        ax.set_xlim(low, high)
        ax.set_ylim(bottom, top)
        if not residuals:
            ax.set_aspect("equal")
        what = (
            "value"
            if count > 1 or self.output_names == ["output 0"]
            else short(self.output_names[0], 40, own=True)
        )
        ax.set_xlabel(f"predicted {what}")
        ax.set_ylabel(f"true {what} - predicted" if residuals else f"true {what}")
        if count == 1 and not ax.get_title():
            ax.set_title(self._scores(0))
        finish(ax, legend=count > 1)
        return self

    def _count(self, ax: Axes, heights: np.ndarray, extent: tuple[float, float, float, float]) -> None:
        """Draw counts of points that are too many to be told apart."""
        cells = ax.hexbin(
            self.y_pred[:, 0],
            heights,
            gridsize=40,
            extent=extent,
            bins="log",
            mincnt=1,
            cmap="viridis_r",
            linewidths=0.1,
        )
        self.points_.append(cells)
        colour_bar(ax, cells, "rows")

    def _scores(self, output: int) -> str:
        error = f"MAE {self.mean_absolute_error[output]:.3g}"
        return error if np.isnan(self.r2[output]) else f"R\u00b2 {self.r2[output]:.3f}, {error}"


def plot_predictions(
    true: object,
    predicted: object,
    time: object = None,
    ax: Axes | None = None,
    *,
    labels: Sequence[str] = ("true", "predicted"),
    x_label: str | None = None,
    y_label: str = "value",
) -> Axes:
    """Draw predicted values against true ones over time.

    Parameters
    ----------
    true, predicted : array_like, (rows,) or (rows, 1)
        Real numbers; where they are not finite, the line has a gap.
    time : array_like, (rows,), optional
        Numbers, dates or ``datetime64``, in the order of the rows; by default the rows are counted
        from 0.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default on a new figure.
    labels : sequence of 2 str
        Names of the two lines.
    x_label : str, optional
        Default ``"time"``, or ``"row"`` where no `time` is given.
    y_label : str
        What the values are, with their unit.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the new one.

    Raises
    ------
    ShapeError
        If the three differ in length, or have several columns.
    DataError
        If there are no rows.
    ConfigurationError
        If `labels` are not two.
    DTypeError
        If an argument has a wrong type.
    ImportError
        Without matplotlib.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = plot_predictions([1, 2, 3], [1.1, 2.0, 2.8], ax=Figure().subplots(), y_label="bikes")
    >>> [line.get_label() for line in ax.lines]
    ['true', 'predicted']
    """
    need_matplotlib()
    from matplotlib import dates

    values = column(true, "true"), column(predicted, "predicted")
    rows = len(values[0])
    if not rows:
        raise DataError("true has no rows; give at least one")
    moments = np.arange(rows) if time is None else flat(np.asarray(time), "time")
    for name, array in (("predicted", values[1]), ("time", moments)):
        if len(array) != rows:
            raise ShapeError(f"{name} has {len(array)} rows but true has {rows}; they must agree")
    if isinstance(labels, str) or len(labels) != 2:
        raise ConfigurationError(f"labels must be 2, of the true and the predicted line, got {labels!r}")

    ax = axes(ax, figsize=(9.0, 4.0))
    marker = "o" if rows == 1 else ""
    styles = ((ink(ax), 2.4), (COLOURS[1], 1.2))  # the upper line is thin, so that the lower one is seen
    for value, label, (colour, width) in zip(values, labels, styles, strict=True):
        ax.plot(moments, value, color=colour, linewidth=width, marker=marker, label=label)
    locator = ax.xaxis.get_major_locator()
    if isinstance(locator, dates.AutoDateLocator):
        concise: Any = dates.ConciseDateFormatter  # full dates would overlap
        ax.xaxis.set_major_formatter(concise(locator))
    ax.margins(x=0.01)
    ax.set_xlabel(x_label if x_label is not None else "row" if time is None else "time")
    ax.set_ylabel(y_label)
    finish(ax)
    return ax


def _table(value: object, name: str) -> np.ndarray:
    """Return finite numbers, (rows, outputs)."""
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "fiubO":
            raise TypeError
        array = array.astype(np.float64)
    except (TypeError, ValueError):
        raise DTypeError(f"{name} must hold real numbers, got {value!r}") from None
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or not array.shape[1]:
        raise ShapeError(f"{name} must have shape (rows,) or (rows, outputs), got {array.shape}")
    if not len(array):
        raise DataError(f"{name} has no rows; give at least one")
    wrong = int((~np.isfinite(array)).sum())
    if wrong:
        raise DataError(f"{name} has {wrong} values that are NaN or infinite; leave such rows out")
    return array


def _range(values: np.ndarray) -> tuple[float, float]:
    """Return limits a twentieth beyond values; around a constant, as much as it is large."""
    low, high = float(values.min()), float(values.max())
    room = 0.05 * (high - low) if high > low else max(abs(low), 1.0) * 0.5
    return low - room, high + room
