"""``fastnn export`` and ``fastnn plot``: models as files for other programs, and as pictures.

It must not know how either is made.
"""

from __future__ import annotations

import csv
import io
import os
import tempfile
from typing import Any

import click

import fastnn
from fastnn.checks import shown
from fastnn.command_line import tables
from fastnn.command_line.arguments import FILE, Command, json_option, option, refuse
from fastnn.command_line.models import anything_of, check_place
from fastnn.command_line.output import CommandError, print_json, print_rows, write_file
from fastnn.command_line.table_options import columns_of, format_of, table_options
from fastnn.errors import ConfigurationError

__all__ = ["export", "plot"]

PICTURES = ("png", "svg", "pdf")


@click.command(cls=Command, short_help="write a model as ONNX or C")
@click.argument("model", metavar="MODEL", type=FILE)
@click.argument("out", metavar="OUT", type=FILE)
@option("--int8", is_flag=True, help="of C: weights of eight bits, a quarter of the memory")
@json_option
def export(model: str, out: str, int8: bool, as_json: bool) -> int:
    """Write a saved MODEL for other programs: OUT.onnx for ONNX runtimes, OUT.c for microcontrollers.

    Beside OUT.c come a header and a program that checks the predictions; docs/export.md says more.
    """
    stem, ending = os.path.splitext(os.path.basename(out))
    if ending not in (".onnx", ".c"):
        raise refuse(f"argument OUT: expected a name that ends in .onnx or .c, got {out!r}")
    if int8 and ending != ".c":
        raise refuse("argument --int8: it is for C; ONNX is written in the model's own numbers")
    check_place(out, "OUT", model)
    found, is_estimator = anything_of(model)
    said: dict[str, Any] = {"command": "export", "model": model}
    try:
        made: Any = fastnn.export.to_onnx(found) if ending == ".onnx" else _as_c(found, out, stem, int8)
    except ConfigurationError as error:
        if not is_estimator:
            raise
        what = f"{shown(model)} holds a {type(found).__name__}, which cannot be written as {ending[1:]}"
        raise CommandError(f"{what}: {error}") from error
    if ending == ".onnx":
        content = made.SerializeToString()
        write_file(out, content)
        said |= {"files": [out], "bytes": len(content)}
        what = f"{out}: {len(content)} bytes"
    else:
        said |= made
        what = f"{out}: {said['flash']} bytes of weights (flash), {said['ram']} bytes of memory (RAM)"
    if as_json:
        print_json(said)
    else:
        print_rows([("written", what)])
    return 0


def _as_c(model: Any, out: str, name: str, int8: bool) -> dict[str, Any]:
    """Write C, all of its files or none, and return what was written."""
    folder = os.path.dirname(os.path.abspath(out))
    with tempfile.TemporaryDirectory() as place:
        made = fastnn.export.to_c(model, place, name=name, int8=int8, verbose=0)
        contents = [(path.name, path.read_bytes()) for path in (made.header, made.test, made.source)]
    for file, _ in contents:
        check_place(os.path.join(folder, file), "OUT")
    for file, content in contents:
        write_file(os.path.join(folder, file), content)
    files = [os.path.join(os.path.dirname(out), file) for file, _ in contents]
    return {"files": files, "flash": made.flash, "ram": made.ram}


@click.command(cls=Command, short_help="draw a model, its training, or its predictions of a table")
@click.argument("source", metavar="SOURCE", type=FILE)
@click.argument("table", metavar="[TABLE]", required=False, type=FILE)
@option("--out", metavar="FILE", type=FILE, default="plot.png", help="png, svg or pdf (default: plot.png)")
@option(
    "--target",
    metavar="NAME",
    shell_complete=columns_of,
    help="the column of TABLE with what should be predicted",
)
@option("--log-scale", is_flag=True, help="of losses")
@table_options
@json_option
def plot(
    source: str,
    table: str | None,
    out: str,
    target: str | None,
    log_scale: bool,
    separator: str | None,
    encoding: str,
    missing: tuple[str, ...],
    as_json: bool,
) -> int:
    """Draw what SOURCE has.

    Of a model that `fastnn train` has saved: the losses of its training, or, with a TABLE, what it predicts
    beside what is true. Of another model: the graph of its layers. Of a CSV that CSVLogger has written:
    losses and metrics.
    """
    ending = os.path.splitext(out)[1].removeprefix(".").lower()
    if ending not in PICTURES:
        raise refuse(f"argument --out: expected a name that ends in .{', .'.join(PICTURES)}, got {out!r}")
    if (table is None) != (target is None):
        raise refuse("TABLE and --target go together: what is predicted is drawn beside what is true")
    check_place(out, "--out", source, *([table] if table else []))
    axes, kind = _drawn(source, table, target, log_scale, format_of(separator, encoding, missing))
    picture = io.BytesIO()
    # The time of the day is nobody's business.
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(ending)
    axes.figure.savefig(picture, format=ending, metadata=metadata, bbox_inches="tight")
    write_file(out, picture.getvalue())
    if as_json:
        print_json({"command": "plot", "source": source, "table": table, "kind": kind, "out": out})
    else:
        print_rows([("drawn", kind), ("written", out)])
    return 0


def _drawn(source: str, table: str | None, target: str | None, log_scale: bool, form: Any) -> tuple[Any, str]:
    """Return axes with a picture, and what is on it."""
    if source.lower().endswith(".csv"):
        if table is not None:
            raise refuse("a TABLE is for a model; of a log, losses and metrics are drawn")
        return fastnn.plotting.plot_loss(_logged(source), _axes(), log_scale=log_scale), "losses and metrics"
    found, is_estimator = anything_of(source)
    if not is_estimator:
        if table is not None:
            raise CommandError(
                f"{shown(source)} holds a model without the names of columns; its graph can be drawn, "
                "without a table"
            )
        return fastnn.plotting.plot_graph(found), "graph"
    if table is not None and target is not None:
        return tables.drawn(found, table, target, form, _axes())
    curves = {"loss": found.loss_curve_}
    scores = getattr(found, "validation_scores_", None) or []
    if len(scores) == len(found.loss_curve_):
        curves["val_score"] = scores
    return fastnn.plotting.plot_loss(curves, _axes(), log_scale=log_scale), "losses"


def _axes() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plots need matplotlib: `pip install matplotlib`") from error
    return Figure(figsize=(6.4, 4.4), layout="constrained").subplots()


def _logged(path: str) -> dict[str, list[float]]:
    """Return what CSVLogger has written, by name."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        names = [name for name in rows[0] if name != "epoch"] if rows else []
        curves = {
            name: [float("nan") if row[name] == "NA" else float(row[name]) for row in rows] for name in names
        }
    except FileNotFoundError:
        raise CommandError(f"there is no file {shown(path)}") from None
    except (ValueError, TypeError, csv.Error):
        curves = {}
    if not curves or "epoch" not in rows[0]:
        raise CommandError(
            f"{shown(path)} is no log of a training: expected a column epoch and numbers beside it, as "
            "CSVLogger writes them"
        )
    return curves
