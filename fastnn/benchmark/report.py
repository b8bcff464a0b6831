"""From results to text: the tables of the suite, row by row for a terminal and whole in Markdown.

Pure functions of the dictionary that the suite writes as JSON, so that a report can be made again from
it. Losing rows stay, and so does what was left out, with its reason. This file must not know how
anything is measured, and reads no clock, machine or library version.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fastnn.benchmark.race import median_ratio, share_of
from fastnn.benchmark.table import format_microseconds

__all__ = ["columns", "count_threads", "format_cells", "header", "markdown", "ratio_of", "row_cells"]

Row = dict[str, Any]
Results = dict[str, Any]

_TIMES = "median (minimum) in us, then the number of threads, the better of one and all"
_RATIO = "ratio: the fastest other's time over fastnn's, median over the rounds; above 1 fastnn is faster"
_DESCRIPTIONS = {
    "training": (
        "Training",
        f"Per step: {_TIMES}. {_RATIO}. GFLOP/s are fastnn's, matrix products only; ceiling: their share of "
        "the best sgemm of the run; sgemm: their share of one that takes turns with the contenders, median "
        "over the rounds.",
    ),
    "inference": ("Inference", f"From NumPy to NumPy, per call: {_TIMES}. {_RATIO}."),
    "kernels": ("Kernels", f"Per call: {_TIMES}. {_RATIO}. NumPy's element-wise functions have one thread."),
    "busy": (
        "Beside a busy process",
        "fastnn's own steps while a Python loop in another process keeps one core busy, nobody pinned: "
        "median (minimum) in us. ratio: one thread's time over all threads', both beside that process, in "
        "turns, median over the rounds.",
    ),
    "memory": (
        "Memory",
        "Each contender in a fresh process with all cores; MB of resident memory: after importing the "
        "library (and what describes the work) and loading the data, and the rise from there to the peak of "
        "two epochs.",
    ),
    "startup": (
        "Startup",
        "Each contender in a fresh process with all cores, seconds: to import the library into a bare "
        "interpreter; until the first step of mnist is done, import and compiling included; of training to "
        "97 % of MNIST's test images, from arrays in memory, judging apart, rows in fixed order.",
    ),
    "map": (
        "Map",
        "Width by batch, all layers equally wide, ReLU, squared error; in each cell the ratio, the number of "
        f"layers, and s for SGD or a for Adam. {_RATIO}.",
    ),
}


def ratio_of(row: Row, against: str | None = None) -> float | None:
    """Return a row's ratio: the fastest other's time, or a given one's, over the last one's.

    Parameters
    ----------
    row : dict
        A row with ``timings``.
    against : str, optional
        A contender's name; by default all but the last.

    Returns
    -------
    float or None
        None if there are no times.

    Examples
    --------
    >>> ratio_of({"timings": [{"name": "A", "seconds": [3.0]}, {"name": "B", "seconds": [2.0]}]})
    1.5
    """
    *others, ours = row["timings"]
    chosen = [entry["seconds"] for entry in others if against is None or entry["name"] == against]
    return median_ratio(chosen, ours["seconds"])


def count_threads(n_threads: int | str) -> str:
    """Return for example ``"1 thread"`` or ``"2 threads"``."""
    return f"{n_threads} thread{'' if int(n_threads) == 1 else 's'}"


def columns(part: str, contenders: Sequence[str]) -> list[str]:
    """Return the headings of a part's table.

    Parameters
    ----------
    part : str
        The part's name.
    contenders : sequence of str
        Its contenders.

    Returns
    -------
    list of str
    """
    if part == "memory":
        return ["workload", "contender", "imports and data", "data", "training", "parameters"]
    if part == "startup":
        return ["contender", "import s", "first step s", "MNIST 97 % s", "epochs", "accuracy"]
    left = {"training": ["workload", "net", "batch"], "map": ["cell", "layers", "optimizer"]}
    right = {"training": ["GFLOP/s", "ceiling", "sgemm"], "map": ["GFLOP/s", "ceiling"]}.get(part, [])
    return [*left.get(part, ["case"]), *contenders, "ratio", *right]


def row_cells(part: str, label: str, row: Row, contenders: Sequence[str], ceiling: float) -> list[str]:
    """Return the cells of a row under the headings of `columns`.

    Parameters
    ----------
    part : str
        The part's name.
    label : str
        The item's label.
    row : dict
        The item's result.
    contenders : sequence of str
        The part's contenders.
    ceiling : float
        The best matrix product, in floating-point operations per second.

    Returns
    -------
    list of str
    """
    if part == "memory":
        numbers = (row[key] / 1e6 for key in ("after_import", "data", "training", "parameters"))
        return [row["workload"], row["contender"], *(f"{number:.1f}" for number in numbers)]
    if part == "startup":
        cells = [row["contender"], f"{row['import']:.3f}", f"{row['first_step']:.3f}"]
        if "accuracy" not in row:
            return [*cells, "-", "-", "-"]
        reached = row["accuracy"] >= 0.97
        seconds = f"{row['accuracy_seconds']:.2f}" if reached else "not reached"
        return [*cells, seconds, str(row["epochs"]), f"{row['accuracy']:.4f}"]
    left = {
        "training": lambda: [row["workload"], row["net"], str(row["batch"])],
        "map": lambda: [label, str(row["depth"]), row["optimizer"]],
    }.get(part, lambda: [label])()
    times = {entry["name"]: entry for entry in row["timings"]}
    cells = [_time_cell(times.get(name), row["agree"]) for name in contenders]
    ratio = ratio_of(row)
    right: list[str] = []
    if part in ("training", "map"):
        seconds = row["timings"][-1]["seconds"]
        speed = row["flops"] / statistics.median(seconds) if seconds else None
        right = ["-", "-"] if speed is None else [f"{speed / 1e9:.2f}", f"{speed / ceiling:.1%}"]
    if part == "training":
        share = share_of(row["flops"], row["timings"][-1]["seconds"], row.get("product_speeds", ()))
        right.append("-" if share is None else f"{share:.1%}")
    return [*left, *cells, "-" if ratio is None else f"{ratio:.2f}", *right]


def _time_cell(entry: Row | None, agree: bool) -> str:
    if entry is None:
        return "-"
    if not agree:
        value = float(entry["loss"] if "loss" in entry else entry.get("difference", "nan"))
        return f"differs: {value:.7g}"
    seconds = entry["seconds"]
    best, middle = (format_microseconds(value) for value in (min(seconds), statistics.median(seconds)))
    return f"{middle} ({best}) x{entry['n_threads']}"


def format_cells(cells: Sequence[str], headings: Sequence[str]) -> str:
    """Return a row of a Markdown table, padded so that rows stand under each other in a terminal.

    Parameters
    ----------
    cells : sequence of str
        The texts.
    headings : sequence of str
        The table's headings, which decide on the widths.

    Returns
    -------
    str
    """
    known = {"ratio": 7, "batch": 7, "GFLOP/s": 7, "ceiling": 7, "sgemm": 7, "layers": 7}
    widths = [max(len(heading), known.get(heading, 18)) for heading in headings]
    return "| " + " | ".join(f"{c:<{w}}" for c, w in zip(cells, widths, strict=True)) + " |"


def header(results: Results) -> list[str]:
    """Return the lines on machine, versions and who is missing.

    Parameters
    ----------
    results : dict
        What the suite has found out so far.

    Returns
    -------
    list of str
    """
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    ceilings = ", ".join(
        f"{peak / 1e9:.0f} GFLOP/s with {count_threads(n)}" for n, peak in results["ceiling"].items()
    )
    effort = results["effort"]
    lines = [
        f"processor: {machine['processor']}, {machine['cores']} cores usable, {machine['system']}",
        f"software: {versions}",
        f"BLAS: {'; '.join(machine['blas'])}",
        f"ceiling: NumPy's sgemm, {ceilings}",
        f"effort: {effort['rounds']} rounds in turns, each time over {effort['seconds'] * 1e3:g} ms or more",
    ]
    missing = [f"{name} (needs {needs})" for name, needs in results["missing"].items()]
    if missing:
        lines.append(f"not installed: {', '.join(missing)}")
    lines += [f"left out: {name}: {reason}" for name, reason in results["not_raced"].items()]
    return lines


def markdown(results: Results, plots: Sequence[str] = ()) -> str:
    """Return the whole report.

    Parameters
    ----------
    results : dict
        What the suite has found out so far.
    plots : sequence of str
        Names of the files with plots, beside the report.

    Returns
    -------
    str
        Markdown.
    """
    blocks = ["# fastnn benchmark", "\n".join(f"- {line}" for line in header(results))]
    ceiling = max(results["ceiling"].values())
    for part, content in results["parts"].items():
        title, description = _DESCRIPTIONS[part]
        blocks += [f"## {title}", description]
        render: Callable[[Results, float], Iterator[str]] = _map if part == "map" else _table
        blocks += render({**content, "part": part}, ceiling)
        blocks += [_left_out(content)] if _left_out(content) else []
    blocks += [f"![{name.partition('.')[0]}]({name})" for name in plots]
    return "\n\n".join(blocks) + "\n"


def _table(content: Results, ceiling: float) -> Iterator[str]:
    if not content["rows"]:
        return
    part, contenders = content["part"], content["contenders"]
    headings = columns(part, contenders)
    lines = [format_cells(headings, headings), "|" + " --- |" * len(headings)]
    for item in content["rows"]:
        cells = row_cells(part, item["label"], item["row"], contenders, ceiling)
        lines.append(format_cells(cells, headings))
    yield "\n".join(lines)
    losing = [item["label"] for item in content["rows"] if _loses(item["row"])]
    if part in ("training", "inference", "kernels"):
        yield f"Lost (ratio below 1): {'; '.join(losing) or 'none'}."


def _loses(row: Row) -> bool:
    ratio = ratio_of(row) if "timings" in row else None
    return ratio is not None and ratio < 1


def _map(content: Results, ceiling: float) -> Iterator[str]:
    rows = [item["row"] for item in content["rows"]]
    if not rows:
        return
    cells = {(row["width"], row["batch"]): row for row in rows}
    batches = sorted({batch for _, batch in cells})
    lines = ["| width | " + " | ".join(f"batch {batch}" for batch in batches) + " |"]
    lines.append("|" + " --- |" * (len(batches) + 1))
    for width in sorted({width for width, _ in cells}):
        texts = [_map_cell(cells.get((width, batch))) for batch in batches]
        lines.append(f"| {width} | " + " | ".join(texts) + " |")
    yield "\n".join(lines)
    ratios = [ratio for row in rows if (ratio := ratio_of(row)) is not None]
    if ratios:
        lost = sum(ratio < 1 for ratio in ratios)
        yield (
            f"{len(ratios)} cells timed: median ratio {statistics.median(ratios):.2f}, smallest "
            f"{min(ratios):.2f}, {lost} lost."
        )
    small = [
        ratio
        for row in rows
        if row["parameters"] < 10_000 and row["batch"] <= 64
        if (ratio := ratio_of(row, "PyTorch")) is not None
    ]
    if small:
        yield (
            f"Against PyTorch under 10 000 parameters and up to 64 rows: {len(small)} cells, smallest "
            f"ratio {min(small):.1f}."
        )
    lost_items = [item for item in content["rows"] if _loses(item["row"]) or not item["row"]["agree"]]
    if lost_items:
        yield "Lost, or not timed because the losses differ:"
        yield from _table({**content, "rows": lost_items}, ceiling)


def _map_cell(row: Row | None) -> str:
    if row is None:
        return "-"
    ratio = ratio_of(row)
    return "differs" if ratio is None else f"{ratio:.2f} {row['depth']}{row['optimizer'][0]}"


def _left_out(content: Results) -> str:
    lines = [f"- {entry['label']}: {entry['reason']}" for entry in content["left_out"]]
    reasons: dict[str, dict[str, None]] = {}
    for item in content["rows"]:
        for name, reason in item["row"].get("refusals", {}).items():
            reasons.setdefault(f"{name}: {reason}", {})[item["label"]] = None
    lines += [f"- {reason} ({'; '.join(labels)})" for reason, labels in reasons.items()]
    return "\n".join(["Left out:", "", *lines]) if lines else ""
