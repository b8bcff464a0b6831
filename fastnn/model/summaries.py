"""What models show of themselves: a line, a table, the same in HTML.

This file must not know data, plans or kernels.
"""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fastnn.errors import ConfigurationError, unknown_name
from fastnn.graph.graph import Config, Graph, Tensor
from fastnn.html import table

if TYPE_CHECKING:
    from fastnn.model.structure import Structure

__all__ = ["headline", "in_html", "summary"]

_MOST_WIDTHS = 8  # that a model shows of itself
_LONGEST_CELL = 40  # characters of a name in a summary
_WRAPPED = 50  # characters of what a layer reads, in a line


class Shown(Protocol):
    """A model, as far as a summary knows it."""

    name: str
    dtype: np.dtype

    @property
    def _now(self) -> Structure: ...

    @property
    def layers(self) -> list[Any]:
        """The model's layers, and models used as layers."""

    def count_params(self) -> int:
        """Return the number of elements of all parameters."""


def headline(model: Shown) -> str:
    """Return what a model shows of itself in a line: its widths or layers, its parameters, its state."""
    now = model._now
    if now.drawing is None:
        size = f"{len(model.layers)} layers, not built"
    else:
        size = f"{_shape(now.graph)}, {model.count_params()} parameters"
    return f"{size}, {model.dtype}, {'not ' if now.optimizer is None else ''}compiled"


def _shape(graph: Graph) -> str:
    """Return the widths of a chain, where they change or a layer has weights, or the ends of a graph."""
    if not graph.is_chain:
        ends = ("+".join(_few([t.columns for t in tensors])) for tensors in (graph.inputs, graph.outputs))
        return f"{' -> '.join(ends)}, {len({node.layer for node in graph.nodes})} layers"
    widths = [graph.inputs[0].columns]
    for node in graph.nodes:
        if node.parameters or node.output.columns != widths[-1]:
            widths.append(node.output.columns)
    return "-".join(_few(widths))


def _few(widths: Sequence[int]) -> list[str]:
    """Return widths as text, the middle of many of them left out."""
    text = [str(width) for width in widths]
    half = _MOST_WIDTHS // 2
    return text if len(text) <= _MOST_WIDTHS else [*text[:half], "...", *text[1 - half :]]


def summary(model: Shown, show_trainable: bool = False, layer_range: Sequence[str] | None = None) -> str:
    """Return the table that `Model.summary` prints, in the order of `Model.layers`, or as a chain goes.

    What a layer reads is named unless that is the row above, and only that.
    """
    rows = _layer_rows(model, show_trainable, layer_range)
    total = _total(model)
    return "\n".join([_title(model), *_table(rows), *([total] if total else [])])


def in_html(model: Shown) -> str:
    """Return the same table for a notebook."""
    head, *rows = _layer_rows(model, False, None)
    width = len(head) if any(row[-1] for row in rows) else len(head) - 1  # without an empty last column
    cells = [[_cut(cell) if place < 2 else cell for place, cell in enumerate(row[:width])] for row in rows]
    return table(_title(model), head[:width], cells, _total(model), numbers=[4])


def _title(model: Shown) -> str:
    return f"model {model.name!r}, {model.dtype}"


def _total(model: Shown) -> str:
    """Return how many parameters there are; nothing before the model is built."""
    drawing = model._now.drawing
    if drawing is None:
        return ""
    total = model.count_params()
    trainable = sum(p.rows * p.columns for p in drawing.graph.parameters if p.is_trained)
    return f"parameters: {total:,}, trainable: {trainable:,}, non-trainable: {total - trainable:,}"


def _layer_rows(
    model: Shown, show_trainable: bool, layer_range: Sequence[str] | None
) -> list[tuple[str, ...]]:
    """Return the names of columns, and a row for each layer."""
    trained: dict[str, bool] = {}
    rows: list[tuple[str, ...]] = [("layer", "kind", "activation", "output shape", "parameters", "reads")]
    drawing = model._now.drawing
    if drawing is None:
        for layer in model.layers:
            config = getattr(layer, "config", Config())
            rows.append((layer.name or "-", type(layer).__name__, config.function, "?", "?", ""))
    else:
        nodes = drawing.graph.nodes
        rows += [(t.label, "Input", "", f"(None, {t.columns})", "0", "") for t in drawing.graph.inputs]
        above: tuple[Tensor, ...] = drawing.graph.inputs[-1:]
        if not drawing.graph.is_chain:
            places = {name: place for place, name in enumerate(drawing.layers)}
            nodes = tuple(sorted(nodes, key=lambda node: places[node.layer]))
        seen: set[str] = set()
        for node in nodes:
            count = sum(p.rows * p.columns for p in node.parameters)
            rows.append(
                (
                    node.output.label,
                    type(drawing.layers[node.layer]).__name__,
                    node.config.function,
                    f"(None, {node.output.columns})",
                    f"{count:,}" if node.layer not in seen else "shared",
                    "" if node.inputs == above else ", ".join(_cut(t.label) for t in node.inputs),
                )
            )
            above = (node.output,)
            seen.add(node.layer)
            if node.parameters:
                trained[node.output.label] = drawing.layers[node.layer].trainable
        for name, layer in drawing.layers.items():
            if name not in seen:
                count = sum(p.rows * p.columns for known, p in drawing.idle if known is layer)
                rows.append((name, type(layer).__name__, layer.config.function, "not read", f"{count:,}", ""))
    if layer_range is not None:
        rows = [rows[0], *_between(rows[1:], layer_range)]
    if show_trainable:
        cells = ["trained", *({True: "yes", False: "no", None: ""}[trained.get(row[0])] for row in rows[1:])]
        rows = [(*row[:-1], cell, row[-1]) for row, cell in zip(rows, cells, strict=True)]
    return rows


def _between(rows: list[tuple[str, ...]], layer_range: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the rows from the first layer to the last one, which names or patterns of names tell."""
    if not isinstance(layer_range, list | tuple) or len(layer_range) != 2:
        raise ConfigurationError(f"layer_range must be two names of layers, got {layer_range!r}")
    found = []
    for pattern in layer_range:
        places = [place for place, row in enumerate(rows) if re.fullmatch(str(pattern), row[0])]
        if not places:
            raise unknown_name("layer", str(pattern), [row[0] for row in rows])
        found.append(places)
    return rows[min(found[0]) : max(found[1]) + 1]


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    """Return rows as lines, a rule below the first; the last column is wrapped, or left out if empty."""
    wrapped: list[list[str]] = []
    for *cells, last in rows:
        first, *others = textwrap.wrap(last, _WRAPPED, break_long_words=False) or [""]
        wrapped.append([*map(_cut, cells), first])
        wrapped += [[""] * len(cells) + [other] for other in others]
    if not any(row[-1] for row in wrapped[1:]):
        wrapped = [row[:-1] for row in wrapped]
    widths = [max(_columns(row[i]) for row in wrapped) for i in range(len(wrapped[0]))]
    lines = []
    for row in wrapped:
        padded = (cell + " " * (width - _columns(cell)) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join(padded).rstrip())
    return [lines[0], "-" * (sum(widths) + 2 * len(widths) - 2), *lines[1:]]


def _cut(text: str) -> str:
    """Return text with its middle left out if it is long."""
    half = _LONGEST_CELL // 2
    return text if len(text) <= _LONGEST_CELL else f"{text[: half - 1]}...{text[2 - half :]}"


def _columns(text: str) -> int:
    """Return how many columns of a terminal text takes: two for each wide character."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
