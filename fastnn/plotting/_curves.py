"""Loss curves, decision boundaries, predictions over time.

This file must not know kernels: of a model it takes the graph and what `predict` returns, of `plan.py` the
enum of activations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.border import data
from fastnn.callbacks import History
from fastnn.checks import check_count, check_flag, check_number
from fastnn.errors import ConfigurationError, DataError, DTypeError, ShapeError, unknown_name
from fastnn.losses import MeanSquaredError, SparseCategoricalCrossentropy
from fastnn.ops import Activation
from fastnn.plotting._style import COLOURS, MARKERS, axes, finish, need_matplotlib, palette, whitened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fastnn.model.model import Model

__all__ = ["plot_decision_boundary", "plot_loss", "plot_predictions"]

_TINT = 0.72  # share of white in the colour of a region
_FEW_POINTS = 500  # up to here points are drawn large
_NOT_MEASURED = ("learning_rate", "lr")  # stand in some histories, and are neither loss nor metric


def plot_loss(
    history: History | Mapping[str, Sequence[float]],
    ax: Axes | None = None,
    *,
    names: str | Iterable[str] | None = None,
    log_scale: bool = False,
) -> Axes:
    """Draw loss and metrics over epochs, one colour each; validation is dashed.

    Losses are above, what is measured besides has an axis of its own below.

    Parameters
    ----------
    history : History or dict of str to sequence of float
        What `fit` returned, or its `history`: one number per epoch.  The epochs of a dict count from 1.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default on a new figure.  It is halved where a second axis is needed.
    names : str or iterable of str, optional
        What to draw, without ``val_``: ``"loss"``, or ``["loss", "accuracy"]``.  By default everything but
        the learning rate.
    log_scale : bool
        Whether vertical axes are logarithmic; values that are not positive are left out.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the new one; of two the upper one, ``ax.figure.axes`` has both.

    Raises
    ------
    DataError
        If there is no epoch.
    ShapeError
        If the curves differ in length.
    ConfigurationError
        If a name is not in the history, or none is left.
    DTypeError
        If an argument has a wrong type.
    ImportError
        Without matplotlib.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = plot_loss({"loss": [0.9, 0.5], "val_loss": [1.0, 0.7]}, Figure().subplots())
    >>> [line.get_label() for line in ax.lines]
    ['training loss', 'validation loss']
    """
    logarithmic = check_flag(log_scale, "log_scale")
    need_matplotlib()
    from matplotlib.ticker import MaxNLocator

    curves, epochs = _curves_of(history)
    known = list(dict.fromkeys(key.removeprefix("val_") for key in curves))
    if names is None:
        chosen = [name for name in known if name not in _NOT_MEASURED]
    else:
        chosen = [names] if isinstance(names, str) else list(names)
    for name in chosen:
        if name not in known:
            raise unknown_name("curve", name, known)
    if not chosen:
        raise ConfigurationError(f"no curve to draw; choose names of {', '.join(known)}")

    losses = [name for name in chosen if name == "loss" or name.endswith("_loss")]
    others = [name for name in chosen if name not in losses]
    ax = axes(ax, (6.4, 6.0) if losses and others else (6.4, 4.4))
    below = _halved(ax) if losses and others else ax
    marker = "o" if len(epochs) == 1 else ""
    for name, colour in zip(chosen, palette(len(chosen)), strict=True):
        for key, part, style in ((name, "training", "-"), (f"val_{name}", "validation", "--")):
            if key in curves:
                label = name if name in _NOT_MEASURED else f"{part} {name}"
                panel = ax if name in losses else below
                panel.plot(epochs, curves[key], style, color=colour, marker=marker, label=label)
    for panel, names_there in ((ax, losses or others), (below, others or losses)):
        if logarithmic:
            panel.set_yscale("log", nonpositive="mask")
        panel.set_ylabel(", ".join(names_there))
        finish(panel)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    below.set_xlabel("epoch")
    if not ax.get_title():
        model = getattr(history, "model", None)
        ax.set_title("Training" if model is None else f"Training of {model.name}")
    return ax


def _halved(ax: Axes) -> Axes:
    """Return a new axis that takes the lower half of another's place, and has its horizontal scale."""
    figure, spec = ax.figure, ax.get_subplotspec()
    if spec is None:  # it was put into the figure by hand
        left, low, wide, high = ax.get_position().bounds
        ax.set_position((left, low + 0.54 * high, wide, 0.46 * high))
        below = figure.add_axes((left, low, wide, 0.46 * high), sharex=ax)
    else:
        halves = spec.subgridspec(2, 1)
        ax.set_subplotspec(halves[0])
        below = figure.add_subplot(halves[1], sharex=ax)
    ax.tick_params(labelbottom=False)
    return below


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
    from matplotlib.colors import ListedColormap

    limit = _threshold_of(model, threshold)
    steps = check_count(resolution, "resolution", 2)
    points = data.as_features(x, 2, model.dtype)
    classes = _classes_of(y, len(points), model, limit)
    n_classes = max(model.graph.outputs[0].columns, 2)
    names = [f"class {k}" for k in range(n_classes)] if class_names is None else list(class_names)
    if len(names) != n_classes:
        raise ConfigurationError(f"class_names must be {n_classes}, one for each class, got {len(names)}")
    if isinstance(feature_names, str) or len(feature_names) != 2:
        raise ConfigurationError(f"feature_names must be 2, one for each input, got {feature_names!r}")

    across, up = _grid(points, steps)
    pairs = np.stack([axis.ravel() for axis in np.meshgrid(across, up)], axis=1)
    outputs = model.predict(pairs).astype(np.float64)
    regions = _decide(outputs, limit).reshape(steps, steps)
    margins = _margins(outputs, limit).reshape(-1, steps, steps)

    ax = axes(ax)
    colours = palette(n_classes)
    tints = ListedColormap([whitened(colour, _TINT) for colour in colours])
    # Rasterized, or a vector file would hold every cell of the grid.
    ax.pcolormesh(
        across, up, regions, cmap=tints, vmin=-0.5, vmax=n_classes - 0.5, shading="nearest", rasterized=True
    )
    for margin in margins:
        if margin.min() < 0 < margin.max():  # else there is no line, of which matplotlib would warn
            ax.contour(across, up, margin, levels=[0.0], colors="black", linewidths=1.2)
    size = 40 if len(points) <= _FEW_POINTS else 20
    for k, (name, colour) in enumerate(zip(names, colours, strict=True)):
        ax.scatter(
            points[classes == k, 0],
            points[classes == k, 1],
            s=size,
            color=colour,
            marker=MARKERS[k % len(MARKERS)],
            edgecolors="white",
            linewidths=0.5,
            label=name,
            zorder=3,
        )
    ax.set_xlim(across[0], across[-1])
    ax.set_ylim(up[0], up[-1])
    ax.set_xlabel(feature_names[0])
    ax.set_ylabel(feature_names[1])
    finish(ax, grid=False)
    return ax


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

    values = _column(true, "true"), _column(predicted, "predicted")
    rows = len(values[0])
    if not rows:
        raise DataError("true has no rows; give at least one")
    moments = np.arange(rows) if time is None else _flat(np.asarray(time), "time")
    for name, array in (("predicted", values[1]), ("time", moments)):
        if len(array) != rows:
            raise ShapeError(f"{name} has {len(array)} rows but true has {rows}; they must agree")
    if isinstance(labels, str) or len(labels) != 2:
        raise ConfigurationError(f"labels must be 2, of the true and the predicted line, got {labels!r}")

    ax = axes(ax, figsize=(9.0, 4.0))
    marker = "o" if rows == 1 else ""
    styles = (("black", 2.4), (COLOURS[1], 1.2))  # the upper line is thin, so that the lower one is seen
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


# -- what is drawn


def _curves_of(history: object) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the curves of a history, checked, and the epochs' numbers, from 1 on as `fit` prints them."""
    numbers = None
    if isinstance(history, History):
        numbers, history = history.epoch, history.history
    if not isinstance(history, Mapping):
        raise DTypeError(f"history must be what fit returns, or its dict of lists, got {history!r}")
    curves = {
        key: _column(values, f"history[{key!r}]")
        for key, values in history.items()
        # A metric that is an array is no curve.
        if numbers is None or not any(getattr(value, "ndim", 0) for value in values)
    }
    count = len(numbers) if numbers is not None else max(map(len, curves.values()), default=0)
    if not count or not curves:
        raise DataError("history has no epochs to draw; call fit first")
    for key, values in curves.items():
        if len(values) != count:
            raise ShapeError(f"history[{key!r}] has {len(values)} numbers for {count} epochs")
    return curves, np.arange(count) + 1 if numbers is None else np.asarray(numbers) + 1


def _threshold_of(model: Any, threshold: float | None) -> float | None:
    """Return where the classes of one output part, or None for several; refuse what cannot be drawn."""
    if not hasattr(type(model), "graph"):
        raise DTypeError(f"plot_decision_boundary needs a model, got {model!r}")
    graph = model.graph
    width, outputs = graph.inputs[0].columns, graph.outputs[0].columns
    if len(graph.inputs) > 1 or len(graph.outputs) > 1:
        raise ShapeError("a decision boundary is drawn for models with one input and one output tensor")
    if width != 2:
        raise ShapeError(
            f"a decision boundary is drawn for models with 2 inputs, and this one has {width}; "
            "train one on two of the features"
        )
    if outputs > 1:
        if threshold is not None:
            raise ConfigurationError(f"a threshold is for one output; of {outputs} the largest wins")
        return None
    if threshold is not None:
        return check_number(threshold, "threshold")
    maker = next(node for node in graph.nodes if node.output == graph.outputs[0])
    if getattr(maker.config, "activation", None) is not Activation.SIGMOID:
        raise ConfigurationError(
            "the model's one output is not a sigmoid; say where its classes part, for example threshold=0.5"
        )
    return 0.5


def _classes_of(y: Any, rows: int, model: Model, limit: float | None) -> np.ndarray:
    """Return the class of each point, from 0 on."""
    outputs = model.graph.outputs[0].columns
    labels = limit is None and np.shape(y)[1:] in ((), (1,))
    loss = SparseCategoricalCrossentropy() if labels else MeanSquaredError()
    targets = data.as_targets(y, rows, outputs, loss, model.dtype)
    if labels:
        return targets[:, 0].astype(int)
    if limit is None and ((targets == targets.max(axis=1, keepdims=True)).sum(axis=1) > 1).any():
        raise DataError("y has rows without one largest entry; give integer labels or one-hot rows")
    return _decide(targets, limit)


def _decide(outputs: np.ndarray, limit: float | None) -> np.ndarray:
    """Return the class of each row of outputs, as the accuracies count it."""
    if limit is None:
        return outputs.argmax(axis=1)
    return (outputs[:, 0] > limit).astype(int)


def _margins(outputs: np.ndarray, limit: float | None) -> np.ndarray:
    """Return surfaces, (n, rows), that are 0 where classes part.

    Of several outputs: how far each is ahead of the best other.  The last has no border of its own.
    """
    if limit is not None:
        return outputs.T - limit
    ahead = []
    for k in range(outputs.shape[1] - 1):
        ahead.append(outputs[:, k] - np.delete(outputs, k, axis=1).max(axis=1))
    return np.stack(ahead)


def _grid(points: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the grid's places in both directions, a tenth beyond the points at each side."""
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    rim = np.where(high > low, 0.1 * (high - low), 1.0)
    low, high = low - rim, high + rim
    return np.linspace(low[0], high[0], steps), np.linspace(low[1], high[1], steps)


def _column(value: object, name: str) -> np.ndarray:
    """Return real numbers, of which some may be missing, as a float64 vector."""
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "fiubO":
            raise TypeError
        array = array.astype(np.float64)
    except (TypeError, ValueError):
        raise DTypeError(f"{name} must hold real numbers, got {value!r}") from None
    return _flat(array, name)


def _flat(array: np.ndarray, name: str) -> np.ndarray:
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ShapeError(f"{name} must have shape (rows,) or (rows, 1), got {array.shape}; draw one column")
    return array
