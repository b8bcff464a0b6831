"""``fastnn benchmark`` and ``fastnn info``: how fast, and on what.

It must not know how anything is measured.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from fastnn.command_line.arguments import Command, Rate, Words, json_option, option, refuse
from fastnn.command_line.output import print_json, print_rows

__all__ = ["benchmark", "info"]

_INFO_LABELS = {
    "version": "fastnn",
    "simd": "SIMD",
    "blas": "BLAS",
    "cpus": "CPUs",
    "python": "Python",
    "numpy": "NumPy",
    "scipy": "SciPy",
}


@click.command(cls=Command, short_help="time fastnn against NumPy, or against every rival that is installed")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@option("--quick", is_flag=True, help="fewer rounds: a rough answer, sooner")
@option("--all", "every", is_flag=True, help="every installed rival, and all parts")
@option(
    "--parts",
    metavar="PART,...",
    type=Words(),
    help="of training, inference, kernels, busy, memory, startup, map (default: training)",
)
@option(
    "--rivals",
    metavar="NAME,...",
    type=Words(),
    help="of numpy, sklearn, torch, torch-compile, jax, jax-step, onnxruntime (default: numpy)",
)
@option("--report", metavar="DIR", help="write results.json, report.md and plots into that folder")
@option("--render", metavar="DIR", help="only make report.md and plots from results.json")
@option("--minutes", metavar="M", type=Rate(), help="begin nothing new after that time")
@option("--data", metavar="FOLDER", help="folder with the MNIST files, for the time to 97 %")
@json_option
def benchmark(
    names: tuple[str, ...],
    quick: bool,
    every: bool,
    parts: list[str] | None,
    rivals: list[str] | None,
    report: str | None,
    render: str | None,
    minutes: float | None,
    data: str | None,
    as_json: bool,
) -> int:
    """Time fastnn side by side with its rivals.

    That is training steps of fixed workloads, those that are named or all, against NumPy, or with --all
    everything against everyone that is installed.
    """
    from fastnn.benchmark import runner, suite

    if render is not None:
        if as_json:
            raise refuse("--render makes a report of results that are JSON already: leave --json out")
        return suite.render(render)
    options: dict[str, Any] = {
        "every": every,
        "parts": parts,
        "rivals": rivals,
        "folder": report,
        "minutes": minutes,
        "data": data,
    }
    chosen = {name: value for name, value in options.items() if value}
    if as_json:
        return _as_json(list(names), quick, chosen)
    if chosen:
        return suite.main(list(names), quick, **chosen)
    return int(runner.main(list(names), quick=quick))


def _as_json(names: list[str], quick: bool, chosen: dict[str, Any]) -> int:
    """Measure, with the tables on standard error, and print the results as a report has them."""
    from fastnn.benchmark import suite

    with tempfile.TemporaryDirectory() as folder:
        place = chosen.setdefault("folder", folder)
        code = suite.main(names, quick, stream=sys.stderr, **chosen)
        results = Path(place) / "results.json"
        if code != 2:
            print_json(json.loads(results.read_text(encoding="utf-8")))
    return code


@click.command(cls=Command, short_help="show versions, SIMD level, BLAS and threads")
@json_option
def info(as_json: bool) -> int:
    """Show versions, SIMD level, BLAS and threads."""
    from fastnn.run import runtime

    found = runtime.build_info()
    if as_json:
        print_json(found)
    else:
        print_rows([(_INFO_LABELS.get(key, key), value) for key, value in found.items()])
    return 0
