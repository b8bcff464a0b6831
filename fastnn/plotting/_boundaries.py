"""Decision boundaries: the classes of the plane, and the points on top.

This file must not know kernels or plans: what outputs mean is told by `_asking.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.border import data
from fastnn.checks import check_count
from fastnn.errors import ConfigurationError, DataError, ShapeError
from fastnn.losses import MeanSquaredError, SparseCategoricalCrossentropy
from fastnn.plotting import _asking
from fastnn.plotting._style import (
    MARKERS,
    axes,
    colour_bar,
    finish,
    need_matplotlib,
    palette,
    short,
    whitened,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fastnn.model.model import Model

__all__ = ["DecisionBoundaryDisplay", "plot_decision_boundary"]

_TINT = 0.72  # share of white in the colour of a region
_FEW_POINTS, _MANY_POINTS = 500, 3000  # up to here points are drawn large; from here on small
_MOST_NAMED = 20  # classes that a legend names; more have a bar of colours


class DecisionBoundaryDisplay:
    """The classes that are predicted in the plane of two features.

    scikit-learn's class of this name draws one response, such as a probability, as shades.  This one draws
    classes, the lines between them, and points; it takes models, and needs no scikit-learn.

    Parameters
    ----------
    xx0, xx1 : numpy.ndarray, (points,)
        The places of the grid along both features.
    regions : numpy.ndarray, (points, points)
        The number of the class at each, rows along the second feature.
    margins : numpy.ndarray, (lines, points, points)
        Surfaces that are 0 where classes part.
    class_names : sequence of str
    points : numpy.ndarray, (rows, 2), optional
    codes : numpy.ndarray, (rows,), optional
        The numbers of the points' classes.
    feature_names : sequence of 2 str

    Attributes
    ----------
    ax_, figure_ : matplotlib.axes.Axes, matplotlib.figure.Figure
        Where it was drawn.
    surface_ : matplotlib.collections.QuadMesh
    points_ : list of matplotlib.collections.PathCollection
        One for each class; empty without points.

    See Also
    --------
    sklearn.inspection.DecisionBoundaryDisplay : Probabilities of one class as shades, of estimators.

    Examples
    --------
    >>> import fastnn
    >>> from matplotlib.figure import Figure
    >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1, "sigmoid")], seed=0)
    >>> model.set_weights([[[1.0], [0.0]], [0.0]])
    >>> x = [[-1, 0], [-1, 1], [1, 0], [1, 1]]
    >>> made = DecisionBoundaryDisplay.from_estimator(
    ...     model, x, [0, 0, 1, 1], grid_resolution=3, ax=Figure().subplots()
    ... )
    >>> made.regions
    array([[0, 0, 1],
           [0, 0, 1],
           [0, 0, 1]])
    """

    ax_: Axes
    figure_: Any
    surface_: Any
    points_: list[Any]

    def __init__(
        self,
        *,
        xx0: np.ndarray,
        xx1: np.ndarray,
        regions: np.ndarray,
        margins: np.ndarray,
        class_names: Sequence[str],
        points: np.ndarray | None = None,
        codes: np.ndarray | None = None,
        feature_names: Sequence[str] = ("$x_1$", "$x_2$"),
    ) -> None:
        self.xx0, self.xx1, self.regions, self.margins = xx0, xx1, regions, margins
        self.class_names, self.feature_names = list(class_names), list(feature_names)
        self.points, self.codes = points, codes

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        grid_resolution: int = 200,
        threshold: float | None = None,
        feature_names: Sequence[str] | None = None,
        class_names: Sequence[str] | None = None,
        ax: Axes | None = None,
    ) -> DecisionBoundaryDisplay:
        """Draw what a model or an estimator predicts around points.

        Parameters
        ----------
        estimator : Model or estimator
            With two features: a built model, or a fitted classifier.
        X : array_like or DataFrame, (rows, 2)
            The points; the picture reaches a tenth of their range beyond them.
        y : array_like, (rows,), optional
            Their classes; without them only the plane is drawn.  Of models as in `plot_decision_boundary`.
        grid_resolution : int
            Points of the grid in each direction, at least 2.
        threshold : float, optional
            Where two classes part, default 0.5 of a probability.  Needed for outputs that are none, such as
            those of regressors.
        feature_names : sequence of 2 str, optional
            By default the names of columns, if there are any.
        class_names : sequence of str, optional
            One for each class; by default the labels.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default on a new figure.

        Returns
        -------
        DecisionBoundaryDisplay

        Raises
        ------
        ShapeError
            If there are not two features, or `y` does not fit `X`.
        DataError
            For points that are not finite, for none at all, or for labels that are not known.
        ConfigurationError
            If a threshold is missing or of no use, or names are too many or too few.
        DTypeError
            If an argument has a wrong type.
        ImportError
            Without matplotlib.
        """
        need_matplotlib()
        made = _computed(
            cls,
            "DecisionBoundaryDisplay",
            estimator,
            X,
            y,
            grid_resolution,
            threshold,
            feature_names,
            class_names,
        )
        return made.plot(ax)

    def plot(self, ax: Axes | None = None) -> DecisionBoundaryDisplay:
        """Draw it once more.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            By default on a new figure.

        Returns
        -------
        DecisionBoundaryDisplay
            This one.
        """
        need_matplotlib()
        from matplotlib.colors import ListedColormap

        self.ax_ = ax = axes(ax)
        self.figure_ = ax.figure
        n_classes = len(self.class_names)
        colours = palette(n_classes)
        tints = ListedColormap([whitened(colour, _TINT) for colour in colours])
        # Rasterized, or a vector file would hold every cell of the grid.
        self.surface_ = ax.pcolormesh(
            self.xx0,
            self.xx1,
            self.regions,
            cmap=tints,
            vmin=-0.5,
            vmax=n_classes - 0.5,
            shading="nearest",
            rasterized=True,
        )
        for margin in self.margins:
            if margin.min() < 0 < margin.max():  # else there is no line, of which matplotlib would warn
                ax.contour(self.xx0, self.xx1, margin, levels=[0.0], colors="black", linewidths=1.2)
        self.points_ = []
        if self.points is not None and self.codes is not None:
            self._scatter(ax, self.points, self.codes, colours)
        ax.set_xlim(self.xx0[0], self.xx0[-1])
        ax.set_ylim(self.xx1[0], self.xx1[-1])
        ax.set_xlabel(self.feature_names[0])
        ax.set_ylabel(self.feature_names[1])
        named = n_classes <= _MOST_NAMED
        several = n_classes > 1
        if named and not self.points_:  # regions are named by patches, as there is nothing else
            for name, colour in zip(self.class_names, colours, strict=True):
                ax.scatter([], [], color=[whitened(colour, _TINT)], marker="s", s=80, label=name)
        finish(ax, grid=False, legend=named and several)
        if not named:
            self._bar(colours)
        return self

    def _scatter(self, ax: Axes, points: np.ndarray, codes: np.ndarray, colours: Sequence[Any]) -> None:
        rows = len(points)
        size = 40 if rows <= _FEW_POINTS else 20 if rows <= _MANY_POINTS else 8
        for k, (name, colour) in enumerate(zip(self.class_names, colours, strict=True)):
            self.points_.append(
                ax.scatter(
                    points[codes == k, 0],
                    points[codes == k, 1],
                    s=size,
                    color=colour,
                    marker=MARKERS[k % len(MARKERS)],
                    edgecolors="white",
                    linewidths=0.5 if rows <= _MANY_POINTS else 0.2,
                    label=name,
                    zorder=3,
                    rasterized=rows > _MANY_POINTS,
                )
            )

    def _bar(self, colours: Sequence[Any]) -> None:
        """Put a bar of colours beside classes that are too many for a legend."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import BoundaryNorm, ListedColormap

        n_classes = len(colours)
        norm: Any = BoundaryNorm(np.arange(n_classes + 1) - 0.5, n_classes)
        shown = np.unique(np.linspace(0, n_classes - 1, 11).astype(int))
        bar = colour_bar(self.ax_, ScalarMappable(norm, ListedColormap(colours)), "class", ticks=shown)
        bar.ax.set_yticklabels([self.class_names[place] for place in shown])
        bar.ax.minorticks_off()


def plot_decision_boundary(
    model: Model,
    x: object,
    y: object,
    ax: Axes | None = None,
    resolution: int = 200,
    *,
    threshold: float | None = None,
    feature_names: Sequence[str] = ("$x_1$", "$x_2$"),
    class_names: Sequence[str] | None = None,
) -> Axes:
    """Draw the classes that a model with two inputs predicts in the plane, and the points on top.

    With one output the second class is where the output exceeds the threshold; with several, the
    largest output wins.  Black lines part the classes.

    Parameters
    ----------
    model : Model
        Built, with 2 inputs; it is not changed.
    x : array_like, (rows, 2)
        The points; the picture reaches a tenth of their range beyond them.
    y : array_like, (rows,), (rows, 1) or (rows, outputs)
        Their classes: for one output, the second class above the threshold; for several, integer labels
        or one-hot rows.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default on a new figure.
    resolution : int
        Points of the grid in each direction, at least 2.
    threshold : float, optional
        Where the classes of one output part, default 0.5 after a sigmoid; needed after anything else.
    feature_names : sequence of 2 str
        Labels of the axes.
    class_names : sequence of str, optional
        One for each class; default ``"class 0"``, ``"class 1"``, ...

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the new one.

    Raises
    ------
    ShapeError
        If the model has not 2 inputs (a ValueError, as those that follow), or `x` or `y` do not fit it.
    DataError
        For points that are not finite, for none at all, or for labels out of range.
    ConfigurationError
        If the model is not built, a threshold is missing or of no use, or names are too many or too few.
    DTypeError
        If an argument has a wrong type.
    ImportError
        Without matplotlib.

    Examples
    --------
    >>> import fastnn
    >>> from matplotlib.figure import Figure
    >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1, "sigmoid")], seed=0)
    >>> x = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> ax = plot_decision_boundary(model, x, [0, 0, 0, 1], Figure().subplots(), resolution=50)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['class 0', 'class 1']
    """
    need_matplotlib()
    if isinstance(feature_names, str) or len(feature_names) != 2:
        raise ConfigurationError(f"feature_names must be 2, one for each input, got {feature_names!r}")
    made = _computed(
        DecisionBoundaryDisplay,
        "plot_decision_boundary",
        model,
        x,
        y,
        resolution,
        threshold,
        feature_names,
        class_names,
    )
    return made.plot(ax).ax_


# -- what is drawn


def _computed(
    cls: type[DecisionBoundaryDisplay],
    picture: str,
    estimator: Any,
    x: Any,
    y: Any,
    resolution: int,
    threshold: float | None,
    feature_names: Sequence[str] | None,
    class_names: Sequence[str] | None,
) -> DecisionBoundaryDisplay:
    """Return a picture that is not drawn yet."""
    _asking.need_predictor(estimator, picture)
    of_model = _asking.is_model(estimator)
    _check_width(estimator, x)
    decision = _asking.decision_of(estimator, threshold, picture)
    steps = check_count(resolution, "resolution" if picture.startswith("plot") else "grid_resolution", 2)
    dtype = estimator.dtype if of_model else np.dtype(np.float64)
    points = data.as_features(x, 2, dtype, name="x" if of_model else "X")
    codes = None if y is None else _codes(y, len(points), decision)
    n_classes = len(decision.labels)
    names = (
        list(class_names)
        if class_names is not None
        else [
            short(label if isinstance(label, str) else f"class {label}") for label in decision.labels.tolist()
        ]
    )
    if len(names) != n_classes:
        raise ConfigurationError(f"class_names must be {n_classes}, one for each class, got {len(names)}")
    default = "$x_1$", "$x_2$"
    features = _asking.feature_names_of(estimator, x, 2, feature_names)
    if features == ["x0", "x1"]:
        features = list(default)
    across, up = _grid(points, steps)
    pairs = np.stack([axis.ravel() for axis in np.meshgrid(across, up)], axis=1)
    outputs = decision.outputs(pairs if of_model else _like(pairs, x))
    return cls(
        xx0=across,
        xx1=up,
        regions=decision.decide(outputs).reshape(steps, steps),
        margins=_margins(outputs, decision.limit).reshape(-1, steps, steps),
        class_names=names,
        points=points,
        codes=codes,
        feature_names=features,
    )


def _check_width(estimator: Any, x: Any) -> None:
    """Refuse what has not two features."""
    if _asking.is_model(estimator):
        inputs = estimator.graph.inputs
        if len(inputs) > 1 or len(estimator.graph.outputs) > 1:
            raise ShapeError("a decision boundary is drawn for models with one input and one output tensor")
        width, what = inputs[0].columns, "models"
    else:
        width, what = getattr(estimator, "n_features_in_", 2), "estimators"
    if width != 2:
        raise ShapeError(
            f"a decision boundary is drawn for {what} with 2 inputs, and this one has {width}; "
            "train one on two of the features"
        )


def _like(pairs: np.ndarray, x: Any) -> Any:
    """Return rows as a table like another one, so that an estimator that knows names finds them."""
    if hasattr(x, "iloc"):
        return type(x)(pairs, columns=x.columns)
    if hasattr(x, "columns"):
        return type(x)(pairs, schema=list(x.columns))
    return pairs


def _codes(y: Any, rows: int, decision: _asking.Decision) -> np.ndarray:
    """Return the number of the class of each point, from 0 on."""
    limit = decision.limit
    if not _asking.is_model(decision.estimator):
        if hasattr(decision.estimator, "classes_"):
            found = _asking.codes_of(y, decision.labels)
        else:
            found = decision.decide(np.asarray(y, np.float64).reshape(-1, 1))
        if len(found) != rows:
            raise ShapeError(f"y has {len(found)} rows but X has {rows}; they must agree")
        return found
    model = decision.estimator
    labels = limit is None and np.shape(y)[1:] in ((), (1,))
    loss = SparseCategoricalCrossentropy() if labels else MeanSquaredError()
    targets = data.as_targets(y, rows, model.graph.outputs[0].columns, loss, model.dtype)
    if labels:
        return targets[:, 0].astype(int)
    if limit is None and ((targets == targets.max(axis=1, keepdims=True)).sum(axis=1) > 1).any():
        raise DataError("y has rows without one largest entry; give integer labels or one-hot rows")
    return decision.decide(targets)


def _margins(outputs: np.ndarray, limit: float | None) -> np.ndarray:
    """Return surfaces, (n, rows), that are 0 where classes part.

    Of several outputs: how far each is ahead of the best other.  The last has no border of its own.
    """
    if limit is not None:
        return outputs.T - limit
    if outputs.shape[1] < 2:
        return np.zeros((0, len(outputs)))
    second, first = np.partition(outputs, -2, axis=1)[:, -2:].T
    return np.stack([np.where(out == first, out - second, out - first) for out in outputs.T[:-1]])


def _grid(points: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the grid's places in both directions, a tenth beyond the points at each side."""
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    rim = np.where(high > low, 0.1 * (high - low), 1.0)
    low, high = low - rim, high + rim
    return np.linspace(low[0], high[0], steps), np.linspace(low[1], high[1], steps)
