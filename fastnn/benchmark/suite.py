"""The whole suite: parts in turn, a line as soon as it is known, results kept as they come.

An item that fails or has no time left is left out by name with the reason; the others go on. With a
folder, ``results.json`` is written after every item, ``report.md`` and the plots after every part, so
that a run that is cut loses nothing that was measured. This file must not know how anything is measured.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, TextIO

from fastnn.benchmark import plots, report
from fastnn.benchmark.machine import blas_libraries, processor_name, sgemm_peak
from fastnn.benchmark.parts import Item, LeftOut, Settings
from fastnn.benchmark.race import FULL, QUICK
from fastnn.benchmark.rivals import DEFAULT_RIVALS, PREDICTORS, RIVALS, find_predictors, find_rivals
from fastnn.benchmark.runner import EXIT_DIFFERENT, EXIT_DONE, EXIT_USAGE
from fastnn.benchmark.workloads import find_workloads
from fastnn.errors import unknown_name
from fastnn.run.runtime import available_cpus

__all__ = ["PARTS", "main", "render"]

PARTS: dict[str, tuple[str, str]] = {
    "training": ("training", "items"),
    "inference": ("inference", "items"),
    "kernels": ("kernels", "items"),
    "busy": ("busy", "items"),
    "memory": ("processes", "memory_items"),
    "startup": ("processes", "startup_items"),
    "map": ("grid", "items"),
}
"""Module and function of every part, in the order in which they run: the map takes what time is left."""

_FORMAT = 1  # of the results; to be raised when a reader of older ones would go wrong
_RESULTS, _REPORT = "results.json", "report.md"

Results = dict[str, Any]


def main(
    names: Sequence[str] = (),
    quick: bool = False,
    *,
    every: bool = False,
    parts: Sequence[str] = (),
    rivals: Sequence[str] = (),
    folder: str | Path | None = None,
    minutes: float = math.inf,
    data: str | Path | None = None,
    stream: TextIO | None = None,
) -> int:
    """Run parts of the suite and print their tables; with a folder, keep a report there.

    Parameters
    ----------
    names : sequence of str
        Workloads for the parts that train; none means all.
    quick : bool
        Measure for a shorter time, leave out who compiles for long, and most of the map.
    every : bool
        Race every installed rival and run all parts unless `rivals` or `parts` say otherwise.
    parts : sequence of str
        Keys of `PARTS`; by default the training, or all with `every`.
    rivals : sequence of str
        Keys of the contenders; by default NumPy and fastnn, or all with `every`.
    folder : str or Path, optional
        Where ``results.json``, ``report.md`` and plots go; made if missing.
    minutes : float
        Time after which no further item is begun.
    data : str or Path, optional
        Folder with the MNIST files.
    stream : text file, optional
        Where the tables go; standard output by default.

    Returns
    -------
    int
        0 if all agreed, 1 if some losses or outputs differed or an item failed, 2 if a name is unknown or
        the folder cannot be written.
    """
    stream = sys.stdout if stream is None else stream
    try:
        for name in (part for part in parts if part not in PARTS):
            raise unknown_name("part", name, PARTS)
        chosen = [part for part in PARTS if part in parts or (not parts and (every or part == "training"))]
        keys = rivals or ((*RIVALS, *PREDICTORS) if every else DEFAULT_RIVALS)
        settings, absent = _settings(names, keys, quick, skip_slow=quick and not rivals, data=data)
        place = None if folder is None else _prepare(Path(folder))
    except (ValueError, OSError) as error:
        print(f"fastnn benchmark: {_one_line(error)}", file=sys.stderr)
        return EXIT_USAGE

    results = _start(settings, absent)
    _say(stream, *report.header(results))
    if place is not None and not plots.available():
        _say(stream, "no plots: matplotlib is not installed")
    deadline = monotonic() + 60 * minutes
    for part in chosen:
        for line in _run_part(part, settings, results, deadline):
            _say(stream, line)
            if place is not None:
                _write_json(results, place)
        if place is not None:
            _write_report(results, place)
    return EXIT_DIFFERENT if _went_wrong(results) else EXIT_DONE


def render(folder: str | Path) -> int:
    """Make the report and the plots of a folder again from its results.

    Parameters
    ----------
    folder : str or Path
        A folder with ``results.json``.

    Returns
    -------
    int
        0, or 2 if there are no results that can be read.
    """
    place = Path(folder)
    try:
        results = json.loads((place / _RESULTS).read_text(encoding="utf-8"))
        if not isinstance(results, dict) or results.get("format") != _FORMAT:
            raise ValueError(f"expected results of format {_FORMAT} in {place / _RESULTS}")
        _write_report(results, place)
    except (ValueError, OSError) as error:
        print(f"fastnn benchmark: {_one_line(error)}", file=sys.stderr)
        return EXIT_USAGE
    return EXIT_DONE


def _settings(
    names: Sequence[str], keys: Iterable[str], quick: bool, skip_slow: bool, data: str | Path | None
) -> tuple[Settings, dict[str, dict[str, str]]]:
    """Return what the parts are told, and who does not take part for which reason."""
    keys = tuple(keys)
    candidates = (*find_rivals(keys), *find_predictors(keys))
    missing = {c.name: c.requires for c in candidates if not c.available()}
    slow = {c.name for c in candidates if skip_slow and c.slow_start} - missing.keys()
    absent = missing.keys() | slow
    settings = Settings(
        workloads=find_workloads(names),
        rivals=tuple(c for c in find_rivals(keys) if c.name not in absent),
        predictors=tuple(c for c in find_predictors(keys) if c.name not in absent),
        effort=QUICK if quick else FULL,
        n_cores=available_cpus(),
        quick=quick,
        data=_mnist_folder(data),
    )
    reasons = dict.fromkeys(sorted(slow), "compiles for long, not in a quick run")
    return settings, {"missing": missing, "not_raced": reasons}


def _mnist_folder(data: str | Path | None) -> Path | None:
    """Return the folder of the MNIST files, given or named by the environment, or None; no download."""
    from fastnn.datasets._mnist import find_files

    named = data if data is not None else os.environ.get("FASTNN_DATA")
    if not named:
        return None
    paths = find_files(Path(named).expanduser())
    if paths is None and data is not None:
        raise ValueError(f"no MNIST files in {data}: expected the four idx files, gzipped or not")
    return None if paths is None else paths[0].parent


def _prepare(folder: Path) -> Path:
    """Make the folder and show that files can be written there."""
    folder.mkdir(parents=True, exist_ok=True)
    trial = folder / f"{_RESULTS}.new"
    trial.write_text("", encoding="utf-8")
    trial.unlink()
    return folder


def _start(settings: Settings, absent: dict[str, dict[str, str]]) -> Results:
    """Return results without parts: machine, versions and ceilings."""
    contenders = {rival.name: rival for rival in (*settings.predictors, *settings.rivals)}
    counts = sorted({1, settings.n_cores})
    return {
        "format": _FORMAT,
        "machine": {
            "processor": processor_name(),
            "cores": settings.n_cores,
            "system": platform.system(),
            "blas": blas_libraries(),
        },
        "versions": {
            "Python": platform.python_version(),
            **{name: rival.version() for name, rival in contenders.items()},
        },
        **absent,
        "effort": {"rounds": settings.effort.rounds, "seconds": settings.effort.seconds},
        "ceiling": {str(n): sgemm_peak(n, settings.effort.peak_sizes) for n in counts},
        "parts": {},
    }


def _run_part(part: str, settings: Settings, results: Results, deadline: float) -> Iterator[str]:
    """Measure a part's items and return a line for each, after those of the table's head."""
    module, function = PARTS[part]
    items: list[Item] = getattr(importlib.import_module(f"fastnn.benchmark.{module}"), function)(settings)
    contenders = _contenders(part, settings)
    content: Results = {"contenders": contenders, "rows": [], "left_out": []}
    results["parts"][part] = content
    headings = report.columns(part, contenders)
    yield ""
    yield f"{part}: {len(items)} items"
    yield report.format_cells(headings, headings)
    for item in items:
        try:
            if monotonic() > deadline:
                raise LeftOut("no time left")
            if part in ("training", "map"):
                _raise_ceiling(results, settings)
            row = item.measure()
        except LeftOut as reason:
            content["left_out"].append({"label": item.label, "reason": str(reason)})
            yield f"{item.label}: left out: {reason}"
        except Exception as error:  # one contender's failure must not end a long run
            reason_text = f"failed: {type(error).__name__}: {_one_line(error)}"
            content["left_out"].append({"label": item.label, "reason": reason_text})
            yield f"{item.label}: {reason_text}"
        else:
            content["rows"].append({"label": item.label, "row": row})
            ceiling = max(results["ceiling"].values())
            cells = report.row_cells(part, item.label, row, contenders, ceiling)
            yield report.format_cells(cells, headings)


def _contenders(part: str, settings: Settings) -> list[str]:
    """Return the names of a part's columns."""
    if part == "inference":
        return [predictor.name for predictor in settings.predictors]
    if part == "kernels":
        return ["NumPy", "fastnn"]
    if part == "busy":
        return [report.count_threads(n) for n in (1, settings.n_cores)]
    names = [rival.name for rival in settings.rivals]
    if part == "map":
        from fastnn.benchmark.grid import RIVALS as ON_THE_MAP

        return [name for name in names if name in ON_THE_MAP]
    return names


def _raise_ceiling(results: Results, settings: Settings) -> None:
    """Measure the best product again: a machine that was busy at the start would make a low ceiling."""
    ceiling, key = results["ceiling"], str(settings.n_cores)
    ceiling[key] = max(ceiling[key], sgemm_peak(settings.n_cores, QUICK.peak_sizes))


def _went_wrong(results: Results) -> bool:
    return any(
        any(not item["row"].get("agree", True) for item in content["rows"])
        or any(entry["reason"].startswith("failed") for entry in content["left_out"])
        for content in results["parts"].values()
    )


def _write_json(results: Results, folder: Path) -> None:
    """Write the results beside the old ones and then in their place: a cut never leaves half a file."""
    trial = folder / f"{_RESULTS}.new"
    text = json.dumps(_finite(results), indent=1, allow_nan=False)
    trial.write_text(text + "\n", encoding="utf-8")
    trial.replace(folder / _RESULTS)


def _finite(value: Any) -> Any:
    """Return a value in which NaN and infinity, which JSON does not have, are strings."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _write_report(results: Results, folder: Path) -> None:
    drawn = plots.draw(results, folder) if plots.available() else []
    text = report.markdown(results, drawn)
    if not plots.available():
        text += "\nNo plots: matplotlib is not installed.\n"
    (folder / _REPORT).write_text(text, encoding="utf-8")


def _say(stream: TextIO, *lines: str) -> None:
    for line in lines:
        print(line, file=stream, flush=True)


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.strerror}: {error.filename}"
    return " ".join(str(error).split()) or type(error).__name__
