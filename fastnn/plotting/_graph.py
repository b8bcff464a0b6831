"""A model's graph, drawn from left to right.

This file must not know plans or kernels: of a model it takes the graph and its layers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fastnn.checks import check_flag
from fastnn.errors import DTypeError
from fastnn.graph.graph import DenseConfig, Graph
from fastnn.plotting import _asking
from fastnn.plotting._style import COLOURS, axes, need_matplotlib, whitened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["GraphDisplay", "plot_graph"]

_LABELLED = 40  # tensors up to which each has its name
_SWEEPS = 24  # passes that pull neighbours together
_WIDEST = 14.0  # inches; what would be wider goes downwards
_FONT = 9.0  # points
_CHARACTER, _LINE = 0.08, 0.15  # inches of a letter's width and a line's height at that size
_LONGEST_NAME = 16
_DOT = 0.2  # inches of a node without text


class GraphDisplay:
    """A model's layers and what each reads.

    Parameters
    ----------
    model : Model
        Built.

    Attributes
    ----------
    ax_, figure_ : matplotlib.axes.Axes, matplotlib.figure.Figure
        Where it was drawn.
    text_ : list of matplotlib.text.Text
        What stands in the nodes, inputs first.

    See Also
    --------
    plot_graph : The same as a function, which says how it is laid out.

    Examples
    --------
    >>> import fastnn
    >>> from matplotlib.figure import Figure
    >>> model = fastnn.Sequential([fastnn.Input((4,)), fastnn.layers.Dense(2, "tanh")], seed=0)
    >>> made = GraphDisplay.from_estimator(model, ax=Figure().subplots())
    >>> [text.get_text().splitlines() for text in made.text_]
    [['input', 'Input 4'], ['dense', 'Dense 2', 'tanh']]
    """

    ax_: Axes
    figure_: Any
    text_: list[Any]

    def __init__(self, model: Any) -> None:
        self.model = model

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, labels: bool | None = None, ax: Axes | None = None
    ) -> GraphDisplay:
        """Draw the graph of a model or an estimator.

        Parameters
        ----------
        estimator : Model or estimator
            A built model; or a perceptron, of fastnn or of scikit-learn, by itself or at the end of a
            Pipeline of scalers.
        labels : bool, optional
            Whether the nodes have text; by default up to 40 tensors.
        ax : matplotlib.axes.Axes, optional
            Where to draw, as large as there is room; by default on a new figure that is large enough.

        Returns
        -------
        GraphDisplay

        Raises
        ------
        DTypeError
            If an argument has a wrong type.
        ConfigurationError
            If the model is not built, or the estimator no fitted perceptron.
        ImportError
            Without matplotlib.
        """
        need_matplotlib()
        return cls(_asking.nets_of(estimator, "GraphDisplay")[0]).plot(ax, labels=labels)

    def plot(self, ax: Axes | None = None, *, labels: bool | None = None) -> GraphDisplay:
        """Draw it once more.

        Parameters
        ----------
        ax, labels
            As for `from_estimator`.

        Returns
        -------
        GraphDisplay
            This one.
        """
        _ = self.model.graph  # says what is missing, if it is not built
        wanted = None if labels is None else check_flag(labels, "labels")
        need_matplotlib()
        self.ax_ = _draw(self.model, ax, wanted)
        self.figure_ = self.ax_.figure
        self.text_ = list(self.ax_.texts)
        return self


def plot_graph(model: Any, ax: Axes | None = None, *, labels: bool | None = None) -> Axes:
    """Draw a model's layers and what each reads, inputs at the left and outputs at the right.

    A tensor stands as far to the right as the longest way to it is long, or, of deep graphs, as far down.
    In each stand its name, the layer's type, its width and its activation.  Dense layers, other layers and
    inputs differ in colour.

    Parameters
    ----------
    model : Model
        Built.
    ax : matplotlib.axes.Axes, optional
        Where to draw, as large as there is room; by default on a new figure that is large enough.
    labels : bool, optional
        Whether the nodes have text; by default up to 40 tensors.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the new one.

    Raises
    ------
    DTypeError
        If `model` is not a model, or `labels` not a boolean.
    ConfigurationError
        If it is not built.
    ImportError
        Without matplotlib.

    Examples
    --------
    >>> import fastnn
    >>> from matplotlib.figure import Figure
    >>> x = fastnn.Input((4,))
    >>> y = fastnn.layers.Add()([x, fastnn.layers.Dense(4, "relu")(x)])
    >>> ax = plot_graph(fastnn.Model(x, y, seed=0), Figure().subplots())
    >>> [text.get_text().splitlines() for text in ax.texts]
    [['input', 'Input 4'], ['dense', 'Dense 4', 'relu'], ['add', 'Add 4']]
    """
    if not _asking.is_model(model):
        raise DTypeError(f"plot_graph needs a model, got {model!r}")
    return GraphDisplay(model).plot(ax, labels=labels).ax_


def _draw(model: Any, ax: Axes | None, labels: bool | None) -> Axes:
    """Draw a graph, and return its axis."""
    graph = model.graph
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch

    texts = _texts(model)
    written = len(texts) <= _LABELLED if labels is None else labels
    drawn = _Drawn(graph, texts if written else {})
    wide, high = drawn.size
    fits = 1.0 if written else min(1.0, _WIDEST / max(wide, high))
    if ax is None:
        ax, scale = axes(None, (max(wide * fits, 3.0), high * fits)), fits
    else:
        room = axes(ax).get_window_extent()
        scale = min(room.width / wide, room.height / high) / ax.figure.dpi
    for node in graph.nodes:
        for position, tensor in enumerate(node.inputs):
            begin, end = drawn.ends(tensor.name, node.output.name)
            bent = drawn.is_long(tensor.name, node.output.name) or tensor in node.inputs[:position]
            ax.add_patch(
                FancyArrowPatch(
                    begin,
                    end,
                    arrowstyle="-|>",
                    mutation_scale=9 * min(scale, 1.0),
                    shrinkA=0,
                    shrinkB=0,
                    linewidth=0.8,
                    color="0.45",
                    connectionstyle=f"arc3,rad={drawn.bend(begin, end) if bent else 0.0}",
                    zorder=1,
                )
            )
    kinds = {"input": COLOURS[2], "dense layer": COLOURS[0], "other layer": COLOURS[4]}
    colours = {tensor.name: kinds["input"] for tensor in graph.inputs}
    for node in graph.nodes:
        is_dense = isinstance(node.config, DenseConfig)
        colours[node.output.name] = kinds["dense layer" if is_dense else "other layer"]
    for name, (x, y) in drawn.places.items():
        colour = colours[name]
        ax.add_patch(
            FancyBboxPatch(
                (x - drawn.box[0] / 2, y - drawn.box[1] / 2),
                *drawn.box,
                boxstyle="round,pad=0,rounding_size=0.06",
                facecolor=whitened(colour, 0.8 if written else 0.0),
                edgecolor=colour,
                linewidth=0.8,
                zorder=2,
            )
        )
        if written:
            size = _FONT * min(scale, 1.25)
            ax.text(x, y, texts[name], ha="center", va="center", fontsize=size, linespacing=1.1, zorder=3)
    if not written:
        handles = [Patch(color=colour, label=kind) for kind, colour in kinds.items()]
        ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.02, 1.0), frameon=False)
    ax.set_xlim(*drawn.limits(0))
    ax.set_ylim(*drawn.limits(1))
    ax.set_aspect("equal")
    ax.set_axis_off()
    return ax


def _texts(model: Any) -> dict[str, str]:
    """Return what is written into each tensor's node: name, type and width, activation."""
    drawing = model._now.need_drawing()
    texts = {tensor.name: [tensor.label, f"Input {tensor.columns}"] for tensor in drawing.graph.inputs}
    for node in drawing.graph.nodes:
        kind = type(drawing.layers[node.layer]).__name__
        texts[node.output.name] = [node.output.label, f"{kind} {node.output.columns}"]
        if node.config.function not in ("", "linear"):
            texts[node.output.name].append(node.config.function)
    return {name: "\n".join([_cut(label), *lines]) for name, (label, *lines) in texts.items()}


def _cut(label: str) -> str:
    """Return a name, its middle left out if it is long, without formulas of matplotlib."""
    half = _LONGEST_NAME // 2
    short = label if len(label) <= _LONGEST_NAME else f"{label[:half]}...{label[3 - half :]}"
    return short.replace("$", r"\$")


class _Drawn:
    """Where boxes and arrows go, in inches.

    Attributes
    ----------
    box : (float, float)
        Width and height of each node.
    places : dict of str to (float, float)
        Where the middle of each tensor's node is.
    """

    def __init__(self, graph: Graph, texts: dict[str, str]) -> None:
        lines = [text.split("\n") for text in texts.values()]
        longest = max((len(line) for text in lines for line in text), default=0)
        most = max(map(len, lines), default=0)
        self.box = (0.12 + _CHARACTER * longest, 0.12 + _LINE * most) if texts else (_DOT, _DOT)
        self.steps = _places(graph)
        n_columns = 1 + max(depth for depth, _ in self.steps.values())
        wide, high = self.box
        self.down = bool(texts) and n_columns * (wide + 0.4) > _WIDEST
        self.places = {
            name: (height * (wide + 0.3), -depth * (high + 0.35))
            if self.down
            else (depth * (wide + 0.4), height * (high + 0.3))
            for name, (depth, height) in self.steps.items()
        }

    def limits(self, axis: int) -> tuple[float, float]:
        """Return what is to be seen along an axis."""
        along = [place[axis] for place in self.places.values()]
        room = self.box[axis] / 2 + 0.3
        return min(along) - room, max(along) + room

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of all."""
        (left, right), (low, high) = self.limits(0), self.limits(1)
        return right - left, high - low

    def ends(self, first: str, second: str) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return where an arrow leaves one node, and where it reaches the other."""
        (x, y), (u, v) = self.places[first], self.places[second]
        if self.down:
            return (x, y - self.box[1] / 2), (u, v + self.box[1] / 2)
        return (x + self.box[0] / 2, y), (u - self.box[0] / 2, v)

    def is_long(self, first: str, second: str) -> bool:
        """Return whether other nodes may stand in the way of an arrow."""
        return self.steps[second][0] - self.steps[first][0] > 1

    def bend(self, begin: tuple[float, float], end: tuple[float, float]) -> float:
        """Return the curvature with which an arrow goes around a node."""
        across = self.box[0] if self.down else self.box[1]
        return 2 * (across / 2 + 0.12) / math.dist(begin, end)


def _places(graph: Graph) -> dict[str, tuple[float, float]]:
    """Return where each tensor stands: its depth, and a height near that of its neighbours."""
    depth = {tensor.name: 0 for tensor in graph.inputs}
    neighbours: dict[str, list[str]] = {tensor.name: [] for tensor in graph.inputs}
    for node in graph.nodes:
        depth[node.output.name] = 1 + max(depth[tensor.name] for tensor in node.inputs)
        neighbours[node.output.name] = []
        for tensor in node.inputs:
            neighbours[node.output.name].append(tensor.name)
            neighbours[tensor.name].append(node.output.name)
    columns: dict[int, list[str]] = {}
    for name, column in depth.items():
        columns.setdefault(column, []).append(name)
    height = {name: _spread(len(names))[i] for names in columns.values() for i, name in enumerate(names)}
    for _ in range(_SWEEPS):
        for names in columns.values():
            pull = {
                name: sum(height[other] for other in neighbours[name]) / max(len(neighbours[name]), 1)
                for name in names
            }
            for name, place in zip(sorted(names, key=pull.__getitem__), _spread(len(names)), strict=True):
                height[name] = place
    return {name: (float(depth[name]), height[name]) for name in depth}


def _spread(count: int) -> list[float]:
    """Return `count` heights, one apart, around 0."""
    return [position - (count - 1) / 2 for position in range(count)]
