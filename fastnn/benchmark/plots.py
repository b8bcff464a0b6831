"""From results to plots: ratios as bars, the map in colours, speeds against the ceiling.

Functions of the dictionary that the suite writes as JSON. matplotlib is imported when a plot is drawn.
This file must not know how anything is measured.
"""

from __future__ import annotations

import importlib.util
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastnn.benchmark.report import count_threads, ratio_of

__all__ = ["available", "draw"]

Results = dict[str, Any]


def available() -> bool:
    """Say whether matplotlib is installed.

    Returns
    -------
    bool
    """
    return importlib.util.find_spec("matplotlib") is not None


def draw(results: Results, folder: Path) -> list[str]:
    """Draw what there are results for, each plot into a PNG file.

    Parameters
    ----------
    results : dict
        What the suite has found out so far.
    folder : Path
        Where the files go.

    Returns
    -------
    list of str
        The files' names.
    """
    from fastnn.benchmark.rivals._library import quietly

    plots: dict[str, Callable[[Any, Results], bool]] = {
        "ratios.png": _ratios,
        "speed.png": _speed,
        "map.png": _map,
    }
    names = []
    with quietly():
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        for name, plot in plots.items():
            (folder / name).unlink(missing_ok=True)  # of an earlier run, with other parts
            figure = Figure(figsize=(8, 5), layout="constrained")
            FigureCanvasAgg(figure)
            if plot(figure.add_subplot(), results):
                figure.savefig(folder / name, dpi=120)
                names.append(name)
    return names


def _timed(results: Results, part: str) -> list[tuple[str, Any, float]]:
    """Return label, row and ratio of what was timed in a part."""
    items = results["parts"].get(part, {"rows": []})["rows"]
    rows = [(item["label"], item["row"], ratio_of(item["row"])) for item in items]
    return [(label, row, ratio) for label, row, ratio in rows if ratio is not None]


def _ratios(axes: Any, results: Results) -> bool:
    """Draw fastest other over fastnn for training and inference, on a logarithmic axis."""
    bars = [(label, ratio) for part in ("training", "inference") for label, _, ratio in _timed(results, part)]
    if not bars:
        return False
    bars.reverse()
    colours = ["tab:green" if ratio >= 1 else "tab:red" for _, ratio in bars]
    # A bar from 1 to the ratio: a lost race points to the left.
    axes.barh([label for label, _ in bars], [ratio - 1 for _, ratio in bars], left=1, color=colours)
    for place, (_, ratio) in enumerate(bars):
        axes.annotate(f" {ratio:.2f}", (max(ratio, 1), place), va="center", fontsize=8)
    axes.margins(x=0.1)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    for locate in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        locate("{x:g}")
    axes.tick_params(axis="x", which="both", labelsize=8, labelrotation=90)
    axes.set_xlabel("time of the fastest other contender / time of fastnn")
    return True


def _speed(axes: Any, results: Results) -> bool:
    """Draw the training speed of every contender against the ceiling."""
    rows = _timed(results, "training")
    if not rows:
        return False
    names = results["parts"]["training"]["contenders"]
    labels = [label for label, _, _ in rows]
    for name in names:
        points = [
            (place, row["flops"] / statistics.median(entry["seconds"]) / 1e9)
            for place, (_, row, _) in enumerate(rows)
            for entry in row["timings"]
            if entry["name"] == name
        ]
        style = {"marker": "D", "color": "black", "zorder": 3} if name == names[-1] else {"marker": "o"}
        axes.plot(*zip(*points, strict=True), linestyle="", label=name, **style)
    for n_threads, peak in results["ceiling"].items():
        axes.axhline(peak / 1e9, color="grey", linewidth=1)
        axes.annotate(f"sgemm, {count_threads(n_threads)}", (0, peak / 1e9), va="bottom", fontsize=8)
    axes.set_yscale("log")
    axes.set_xticks(range(len(labels)), labels, rotation=30)
    axes.set_ylabel("GFLOP/s, matrix products only")
    axes.legend(fontsize=8)
    return True


def _map(axes: Any, results: Results) -> bool:
    """Draw the ratio of every cell in colours, red where fastnn loses."""
    from matplotlib.colors import LogNorm

    rows = _timed(results, "map")
    if not rows:
        return False
    widths = sorted({row["width"] for _, row, _ in rows})
    batches = sorted({row["batch"] for _, row, _ in rows})
    ratios = {(row["width"], row["batch"]): (ratio, row) for _, row, ratio in rows}
    image = [[ratios.get((width, batch), (float("nan"),))[0] for batch in batches] for width in widths]
    shown = axes.imshow(image, cmap="RdYlGn", norm=LogNorm(0.25, 4), origin="lower", aspect="auto")
    for (width, batch), (ratio, row) in ratios.items():
        text = f"{ratio:.2f}\n{row['depth']} {row['optimizer']}"
        axes.text(batches.index(batch), widths.index(width), text, ha="center", va="center", fontsize=7)
    axes.set_xticks(range(len(batches)), batches)
    axes.set_yticks(range(len(widths)), widths)
    axes.set_xlabel("batch")
    axes.set_ylabel("width of all layers")
    axes.figure.colorbar(shown, label="time of the fastest other contender / time of fastnn")
    return True
