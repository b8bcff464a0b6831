"""Tests of tables and plots, from results that are made up."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fastnn.benchmark import plots, report, suite

Captured = pytest.CaptureFixture[str]
NAMES = ["NumPy", "PyTorch", "fastnn"]


def times(*seconds: float, **more: Any) -> list[dict[str, Any]]:
    """Return the timings of contenders that took the same time in three rounds; 0 is not timed."""
    return [
        {"name": name, "n_threads": 2, "seconds": [value] * 3 if value else [], **more}
        for name, value in zip(NAMES, seconds, strict=True)
    ]


def race(label: str, *seconds: float, agree: bool = True, **more: Any) -> dict[str, Any]:
    """Return an item of the training part."""
    row = {
        "workload": label,
        "net": "2-2-1",
        "batch": 4,
        "optimizer": "sgd",
        "parameters": 9,
        "flops": 2e6,
        "agree": agree,
        "refusals": {},
        "timings": times(*seconds, loss=0.25),
        **more,
    }
    return {"label": label, "row": row}


def cell(width: int, batch: int, *seconds: float, **more: Any) -> dict[str, Any]:
    """Return a cell of the map."""
    sizes = {"width": width, "batch": batch, "depth": 3}
    return race(f"width {width}, batch {batch}", *seconds, **sizes, **more)


RESULTS: dict[str, Any] = {
    "format": 1,
    "machine": {"processor": "abacus", "cores": 2, "system": "Linux", "blas": ["openblas 1 (numpy.libs)"]},
    "versions": {"Python": "3.99", "NumPy": "2.0", "fastnn": "0.1"},
    "missing": {"JAX scan": "jax and jaxlib"},
    "not_raced": {"PyTorch compiled": "compiles for long, not in a quick run"},
    "effort": {"rounds": 3, "seconds": 0.02},
    "ceiling": {"1": 1e11, "2": 2e11},
    "parts": {
        "training": {
            "contenders": NAMES,
            "rows": [
                race("gate", 3e-5, 2e-4, 1e-5, product_speeds=[4e11, 5e11, 2.5e11]),
                race("lost", 3e-5, 2e-5, 4e-5),
                race("off", 0, 0, 0, agree=False, refusals={"scikit-learn": "no such thing"}),
            ],
            "left_out": [{"label": "wide", "reason": "no time left"}],
        },
        "inference": {
            "contenders": NAMES,
            "rows": [{"label": "2-2-1, 1 row", "row": {"agree": True, "timings": times(3e-6, 9e-6, 1e-6)}}],
            "left_out": [],
        },
        "busy": {
            "contenders": ["1 thread", "2 threads"],
            "rows": [
                {
                    "label": "mnist",
                    "row": {
                        "agree": True,
                        "timings": [
                            {"name": "1 thread", "n_threads": 1, "seconds": [9e-4]},
                            {"name": "2 threads", "n_threads": 2, "seconds": [1e-3]},
                        ],
                    },
                }
            ],
            "left_out": [],
        },
        "memory": {
            "contenders": NAMES,
            "rows": [
                {
                    "label": "wide, NumPy",
                    "row": {
                        "workload": "wide",
                        "contender": "NumPy",
                        "after_import": 5e7,
                        "data": 2e6,
                        "training": 1.23e8,
                        "parameters": 3e7,
                    },
                }
            ],
            "left_out": [],
        },
        "startup": {
            "contenders": NAMES,
            "rows": [
                {"label": "NumPy", "row": {"contender": "NumPy", "import": 0.05, "first_step": 0.06}},
                {
                    "label": "fastnn",
                    "row": {
                        "contender": "fastnn",
                        "import": 0.2,
                        "first_step": 0.25,
                        "accuracy_seconds": 3.5,
                        "epochs": 7,
                        "accuracy": 0.9712,
                    },
                },
                {
                    "label": "PyTorch",
                    "row": {
                        "contender": "PyTorch",
                        "import": 1.0,
                        "first_step": 2.0,
                        "accuracy_seconds": 9.5,
                        "epochs": 20,
                        "accuracy": 0.9612,
                    },
                },
            ],
            "left_out": [],
        },
        "map": {
            "contenders": NAMES,
            "rows": [
                cell(1, 4, 2e-5, 2e-4, 1e-5),
                cell(1, 16, 2e-5, 2e-4, 4e-5, optimizer="adam"),
                cell(64, 4, 6e-5, 2e-4, 1e-5, parameters=50_000),
            ],
            "left_out": [{"label": "width 64, batch 16", "reason": "one step takes more than 100 GFLOP"}],
        },
    },
}


def rows_of(text: str) -> list[list[str]]:
    """Return the cells of all Markdown tables."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_training_rows_hold_times_ratio_and_share() -> None:
    table = rows_of(report.markdown(RESULTS))
    assert table[0] == ["workload", "net", "batch", *NAMES, "ratio", "GFLOP/s", "ceiling", "sgemm"]
    gate = ["gate", "2-2-1", "4", "30.00 (30.00) x2", "200.0 (200.0) x2", "10.00 (10.00) x2"]
    assert table[2] == [*gate, "3.00", "200.00", "100.0%", "50.0%"]
    assert (table[3][6], table[3][-1]) == ("0.50", "-")  # results of before have no yardstick
    assert table[4][3:] == ["differs: 0.25"] * 3 + ["-"] * 4


def test_lost_and_left_out_stay_by_name() -> None:
    text = report.markdown(RESULTS)
    assert "Lost (ratio below 1): lost." in text
    assert "Lost (ratio below 1): none." in text  # inference
    for line in (
        "- wide: no time left",
        "- scikit-learn: no such thing (off)",
        "- width 64, batch 16: one step takes more than 100 GFLOP",
        "- not installed: JAX scan (needs jax and jaxlib)",
        "- left out: PyTorch compiled: compiles for long, not in a quick run",
    ):
        assert line in text.splitlines()


def test_map_is_a_matrix_with_its_losing_cells_below() -> None:
    text = report.markdown(RESULTS)
    table = rows_of(text[text.index("## Map") :])
    assert table[0] == ["width", "batch 4", "batch 16"]
    assert table[2:4] == [["1", "2.00 3s", "0.50 3a"], ["64", "6.00 3s", "-"]]
    assert table[6][:3] == ["width 1, batch 16", "3", "adam"]
    assert len(table) == 7
    assert "3 cells timed: median ratio 2.00, smallest 0.50, 1 lost." in text
    assert "2 cells, smallest ratio 5.0." in text


def test_other_parts() -> None:
    table = rows_of(report.markdown(RESULTS))
    assert ["mnist", "900.0 (900.0) x1", "1000 (1000) x2", "0.90"] in table
    assert ["wide", "NumPy", "50.0", "2.0", "123.0", "30.0"] in table
    assert ["NumPy", "0.050", "0.060", "-", "-", "-"] in table
    assert ["fastnn", "0.200", "0.250", "3.50", "7", "0.9712"] in table
    assert ["PyTorch", "1.000", "2.000", "not reached", "20", "0.9612"] in table


def test_all_rows_have_as_many_cells_as_headings() -> None:
    for block in report.markdown(RESULTS).split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.splitlines()}) == 1


def test_ratio_against_one() -> None:
    row = RESULTS["parts"]["training"]["rows"][0]["row"]
    assert report.ratio_of(row) == pytest.approx(3)
    assert report.ratio_of(row, "PyTorch") == pytest.approx(20)
    assert report.ratio_of(row, "nobody") is None


def test_a_part_without_rows() -> None:
    results = copy.deepcopy(RESULTS)
    for content in results["parts"].values():
        content["rows"] = []
    text = report.markdown(results)
    assert "## Map" in text
    assert "|" not in text
    assert "- wide: no time left" in text


def test_header_counts_threads() -> None:
    assert "ceiling: NumPy's sgemm, 100 GFLOP/s with 1 thread, 200 GFLOP/s with 2 threads" in report.header(
        RESULTS
    )


# --- JSON and plots -------------------------------------------------------------------------------


def test_a_report_can_be_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "available", lambda: False)
    suite._write_json(RESULTS, tmp_path)
    assert json.loads((tmp_path / "results.json").read_text("utf-8")) == RESULTS
    assert suite.render(tmp_path) == 0
    text = (tmp_path / "report.md").read_text("utf-8")
    assert text == report.markdown(RESULTS) + "\nNo plots: matplotlib is not installed.\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.md", "results.json"]


def test_json_has_no_infinities(tmp_path: Path) -> None:
    results = copy.deepcopy(RESULTS)
    for entry, loss in zip(
        results["parts"]["training"]["rows"][2]["row"]["timings"],
        (float("nan"), float("inf"), 0.5),
        strict=True,
    ):
        entry["loss"] = loss
    suite._write_json(results, tmp_path)
    text = (tmp_path / "results.json").read_text("utf-8")

    def refuse(name: str) -> None:
        raise AssertionError(name)

    again = json.loads(text, parse_constant=refuse)
    cells = rows_of(report.markdown(again))[4]
    assert cells[3:6] == ["differs: nan", "differs: inf", "differs: 0.5"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "No such file"), ("{", "Expecting"), ("[]", "format 1"), ('{"format": 99}', "format 1")],
)
def test_results_that_cannot_be_read(
    tmp_path: Path, content: str | None, message: str, capsys: Captured
) -> None:
    if content is not None:
        (tmp_path / "results.json").write_text(content, "utf-8")
    assert suite.render(tmp_path) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.startswith("fastnn benchmark: ")
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "report.md").exists()


def test_plots(tmp_path: Path, peer: Callable[[str], ModuleType]) -> None:
    peer("matplotlib")
    names = plots.draw(RESULTS, tmp_path)
    assert names == ["ratios.png", "speed.png", "map.png"]
    for name in names:
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert "![map](map.png)" in report.markdown(RESULTS, names)


def test_no_plot_without_times(tmp_path: Path, peer: Callable[[str], ModuleType]) -> None:
    """Nor does one of an earlier run stay."""
    peer("matplotlib")
    (tmp_path / "map.png").write_bytes(b"old")
    assert plots.draw({**RESULTS, "parts": {}}, tmp_path) == []
    assert list(tmp_path.iterdir()) == []
