"""A model's graph, drawn from left to right.

This file must not know plans or kernels: of a model it takes the graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn.checks import check_flag
from fastnn.errors import DTypeError
from fastnn.graph import DenseConfig, Graph
from fastnn.plotting._style import COLOURS, axes, need_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_graph"]

_LABELLED = 24  # tensors up to which each has its name
_SWEEPS = 24  # passes that pull neighbours together


def plot_graph(model: Any, ax: Axes | None = None, *, labels: bool | None = None) -> Axes:
    """Draw a model's layers and what each reads, inputs at the left and outputs at the right.

    A tensor stands as far to the right as the longest way to it is long.  Dense layers, other
    layers and inputs differ in colour.

    Parameters
    ----------
    model : Model
        Built.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default on a new figure.
    labels : bool, optional
        Whether names are written; by default up to 24 tensors.

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
    >>> [text.get_text() for text in ax.texts]
    ['input', 'dense', 'add']
    """
    graph = getattr(model, "graph", None)
    if not isinstance(graph, Graph):
        raise DTypeError(f"plot_graph needs a model, got {model!r}")
    labels = None if labels is None else check_flag(labels, "labels")
    need_matplotlib()
    from matplotlib.patches import FancyArrowPatch

    places = _places(graph)
    size = max(5.0, 1.1 * (1 + max(x for x, _ in places.values())))
    heights = [y for _, y in places.values()]
    ax = axes(ax, (min(size, 14.0), min(1.2 + 0.6 * (max(heights) - min(heights) + 1), 6.0)))
    written = len(places) <= _LABELLED if labels is None else labels
    dense = {node.output.name: isinstance(node.config, DenseConfig) for node in graph.nodes}
    for node in graph.nodes:
        end = places[node.output.name]
        for position, tensor in enumerate(node.inputs):
            begin = places[tensor.name]
            long = end[0] - begin[0] > 1 or tensor in node.inputs[:position]
            ax.add_patch(
                FancyArrowPatch(
                    begin,
                    end,
                    arrowstyle="-|>",
                    mutation_scale=9,
                    shrinkA=7,
                    shrinkB=7,
                    linewidth=0.8,
                    color="0.45",
                    connectionstyle=f"arc3,rad={0.18 if long else 0.0}",
                    zorder=1,
                )
            )
    kinds = {
        "input": [name for name in places if name not in dense],
        "dense layer": [name for name, is_dense in dense.items() if is_dense],
        "other layer": [name for name, is_dense in dense.items() if not is_dense],
    }
    for (kind, names), colour in zip(kinds.items(), (COLOURS[2], COLOURS[0], COLOURS[4]), strict=True):
        if names:
            xs, ys = zip(*(places[name] for name in names), strict=True)
            ax.scatter(xs, ys, s=70, color=colour, edgecolors="white", zorder=2, label=kind)
    if written:
        tensors = [*graph.inputs, *(node.output for node in graph.nodes)]
        for tensor in tensors:
            x, y = places[tensor.name]
            ax.annotate(
                tensor.label, (x, y), xytext=(0, 9), textcoords="offset points", ha="center", fontsize=8
            )
    ax.set_xlim(-0.6, max(x for x, _ in places.values()) + 0.6)
    ax.set_ylim(min(heights) - 0.8, max(heights) + 0.8)
    ax.set_axis_off()
    ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0.0, frameon=False)
    return ax


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
