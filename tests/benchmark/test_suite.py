"""Tests of the suite: what is chosen, what is left out by name, what is written when, exit codes."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastnn import cli
from fastnn.benchmark import busy, child, grid, plots, processes, suite, training
from fastnn.benchmark.parts import Item, LeftOut, Settings
from fastnn.benchmark.race import Effort
from fastnn.benchmark.rivals import find_predictors, find_rivals
from fastnn.benchmark.rivals._library import OptionalLibrary
from fastnn.benchmark.workloads import find_workloads

Patch = pytest.MonkeyPatch
Captured = pytest.CaptureFixture[str]
EFFORT = Effort(rounds=2, seconds=1e-4, peak_sizes=(16,))


def settings(*names: str, n_cores: int = 1) -> Settings:
    workloads = find_workloads(names) if names else ()
    return Settings(workloads, find_rivals(), find_predictors(), EFFORT, n_cores, quick=True)


@pytest.fixture
def calm(monkeypatch: Patch) -> None:
    """Make the suite quick: short efforts, a made-up ceiling, no plots."""
    monkeypatch.setattr(suite, "QUICK", EFFORT)
    monkeypatch.setattr(suite, "FULL", EFFORT)
    monkeypatch.setattr(suite, "sgemm_peak", lambda n, sizes: 1e11 * n)
    monkeypatch.setattr(plots, "available", lambda: False)
    monkeypatch.delenv("FASTNN_DATA", raising=False)


@pytest.fixture
def planned(monkeypatch: Patch, calm: None) -> dict[str, list[Item]]:
    """Replace the parts' items by those that a test puts into a dictionary."""
    plan: dict[str, list[Item]] = {}
    for part, (module, function) in suite.PARTS.items():
        owner = {"training": training, "busy": busy, "processes": processes, "grid": grid}.get(module)
        if owner is not None:
            monkeypatch.setattr(owner, function, lambda _, part=part: plan.get(part, []))
    return plan


def good() -> dict[str, Any]:
    """Return the row of a startup."""
    return {"contender": "fastnn", "import": 0.1, "first_step": 0.2}


def run(*arguments: Any, **options: Any) -> tuple[int, str]:
    stream = io.StringIO()
    return suite.main(*arguments, stream=stream, **options), stream.getvalue()


# --- choice ---------------------------------------------------------------------------------------


def test_training_alone_by_default(planned: dict[str, list[Item]]) -> None:
    code, text = run(rivals=["numpy"])
    assert code == 0
    assert [line for line in text.splitlines() if line.endswith("items")] == ["training: 0 items"]


def test_parts_in_their_own_order(planned: dict[str, list[Item]]) -> None:
    _, text = run(parts=["map", "startup", "busy"])
    parts = [line.partition(":")[0] for line in text.splitlines() if line.endswith("items")]
    assert parts == ["busy", "startup", "map"]


def test_all_parts_and_rivals(planned: dict[str, list[Item]], monkeypatch: Patch, tmp_path: Path) -> None:
    monkeypatch.setattr(OptionalLibrary, "available", classmethod(lambda cls: False))
    monkeypatch.setattr("fastnn.benchmark.inference.items", lambda _: [])
    monkeypatch.setattr("fastnn.benchmark.kernels.items", lambda _: [])
    code, text = run(every=True, folder=tmp_path)
    assert code == 0
    results = json.loads((tmp_path / "results.json").read_text("utf-8"))
    assert list(results["parts"]) == list(suite.PARTS)
    missing = {"scikit-learn", "PyTorch", "PyTorch compiled", "JAX scan", "JAX jit", "ONNX Runtime"}
    assert missing <= results["missing"].keys()
    for name in missing:
        assert f"{name} (needs " in text
    assert "PyTorch compiled (needs torch and a C++ compiler)" in (tmp_path / "report.md").read_text("utf-8")


def test_who_compiles_for_long_is_not_in_a_quick_run(
    planned: dict[str, list[Item]], monkeypatch: Patch
) -> None:
    monkeypatch.setattr(OptionalLibrary, "version", classmethod(lambda cls: "9"))
    for rival in find_rivals(["torch-compile"])[:-1]:
        monkeypatch.setattr(rival, "available", classmethod(lambda cls: True))
    sentence = "left out: PyTorch compiled: compiles for long"
    assert sentence in run(quick=True, every=True, parts=["training"])[1]
    assert sentence not in run(quick=True, rivals=["torch-compile"])[1]
    assert sentence not in run(every=True, parts=["training"])[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parts": ["trainig"]}, "unknown part 'trainig'; did you mean 'training'?"),
        ({"rivals": ["jaxx"]}, "unknown rival 'jaxx'; did you mean 'jax'?"),
        ({"names": ["mnit"]}, "unknown workload 'mnit'; did you mean 'mnist'?"),
        ({"data": "nowhere"}, "no MNIST files in nowhere"),
    ],
)
def test_unknown_names_are_refused_before_anything(
    options: dict[str, Any], message: str, capsys: Captured, monkeypatch: Patch, tmp_path: Path
) -> None:
    monkeypatch.setattr(suite, "sgemm_peak", None)  # would fail
    code, text = run(folder=tmp_path / "new", **options)
    captured = capsys.readouterr()
    assert (code, text) == (2, "")
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_made(capsys: Captured, monkeypatch: Patch, tmp_path: Path) -> None:
    monkeypatch.setattr(suite, "sgemm_peak", None)
    (tmp_path / "file").write_text("")
    assert run(folder=tmp_path / "file" / "report")[0] == 2
    assert capsys.readouterr().err.startswith("fastnn benchmark: Not a directory: ")


# --- items ----------------------------------------------------------------------------------------


def test_what_fails_or_is_left_out_does_not_end_the_run(
    planned: dict[str, list[Item]], tmp_path: Path
) -> None:
    def refuse() -> dict[str, Any]:
        raise LeftOut("not here")

    def fail() -> dict[str, Any]:
        raise ArithmeticError("two\nlines")

    planned["startup"] = [Item("A", refuse), Item("B", fail), Item("C", good)]
    code, text = run(parts=["startup"], folder=tmp_path)
    assert code == 1
    assert "A: left out: not here" in text.splitlines()
    assert "B: failed: ArithmeticError: two lines" in text.splitlines()
    content = json.loads((tmp_path / "results.json").read_text("utf-8"))["parts"]["startup"]
    assert [item["label"] for item in content["rows"]] == ["C"]
    assert [entry["label"] for entry in content["left_out"]] == ["A", "B"]
    planned["startup"] = planned["startup"][::2]
    assert run(parts=["startup"])[0] == 0


def test_results_are_kept_as_they_come(planned: dict[str, list[Item]], tmp_path: Path) -> None:
    def cut() -> dict[str, Any]:
        raise KeyboardInterrupt

    planned["busy"] = []
    planned["startup"] = [Item("A", good), Item("B", cut)]
    with pytest.raises(KeyboardInterrupt):
        run(parts=["busy", "startup"], folder=tmp_path)
    results = json.loads((tmp_path / "results.json").read_text("utf-8"))
    assert [item["label"] for item in results["parts"]["startup"]["rows"]] == ["A"]
    assert "Beside a busy process" in (tmp_path / "report.md").read_text("utf-8")


def test_nothing_is_begun_after_the_time(planned: dict[str, list[Item]], monkeypatch: Patch) -> None:
    now = iter(range(0, 1000, 50))
    monkeypatch.setattr(suite, "monotonic", lambda: next(now))
    planned["startup"] = [Item(name, good) for name in "ABC"]
    text = run(parts=["startup"], minutes=1.0)[1]
    assert "B: left out: no time left" in text
    assert "A: left out" not in text


def test_different_losses_are_an_exit_code(planned: dict[str, list[Item]]) -> None:
    timings = [{"name": name, "n_threads": 0, "seconds": [], "loss": 1.0} for name in ("NumPy", "fastnn")]
    row = {"workload": "x", "net": "1-1", "batch": 1, "flops": 4, "agree": False, "timings": timings}
    planned["training"] = [Item("x", lambda: row)]
    code, text = run()
    assert code == 1
    assert text.count("differs: 1") == 2


def test_a_real_run_of_two_parts(calm: None, tmp_path: Path) -> None:
    code, text = run(["xnor"], True, parts=["training", "map"], folder=tmp_path / "deep" / "er")
    assert code == 0
    results = json.loads((tmp_path / "deep" / "er" / "results.json").read_text("utf-8"))
    assert [len(part["rows"]) for part in results["parts"].values()] == [1, 4]
    for part in results["parts"].values():
        for item in part["rows"]:
            assert all(len(entry["seconds"]) == 2 for entry in item["row"]["timings"])
    assert "| xnor " in text


# --- the parts ------------------------------------------------------------------------------------


def test_map_covers_depths_and_optimizers() -> None:
    cells = [grid.cell(width, batch) for width in grid.WIDTHS for batch in grid.BATCHES]
    assert all(cells)
    forms = {(len(cell.widths) - 1, cell.optimizer) for cell in cells if cell is not None}
    assert forms == {(depth, optimizer) for depth in range(1, 7) for optimizer in ("sgd", "adam")}
    assert all(cell.flops_per_step <= grid.MAX_FLOPS for cell in cells if cell is not None)


def test_a_cell_that_is_too_heavy_is_left_out_by_name(monkeypatch: Patch) -> None:
    monkeypatch.setattr(grid, "MAX_FLOPS", 1)
    item = grid.items(settings())[0]
    assert item.label == "width 4, batch 1"
    with pytest.raises(LeftOut, match="even with a single layer"):
        item.measure()


def test_busy_needs_two_cores() -> None:
    (item,) = busy.items(settings("xnor", "twenty"))
    assert item.label == "twenty"
    with pytest.raises(LeftOut, match="a single core"):
        item.measure()


def test_busy_compares_one_thread_with_all(monkeypatch: Patch) -> None:
    seen: list[Any] = []

    def take_turns(entrants: Any, effort: Any, n_cores: int) -> Any:
        seen.extend(entrant.thread_counts(n_cores) for entrant in entrants)
        assert processes_spinning[-1].poll() is None
        return [training.Turns(n, (2.0 / n,) * 2) for (n,) in seen]

    processes_spinning: list[subprocess.Popen[str]] = []
    start = subprocess.Popen

    def remember(*arguments: Any, **options: Any) -> subprocess.Popen[str]:
        processes_spinning.append(start(*arguments, **options))
        return processes_spinning[-1]

    monkeypatch.setattr(busy, "take_turns", take_turns)
    monkeypatch.setattr(busy.subprocess, "Popen", remember)
    row = busy.items(settings("twenty", n_cores=3))[0].measure()
    assert seen == [(1,), (3,)]
    assert [entry["name"] for entry in row["timings"]] == ["1 thread", "3 threads"]
    assert processes_spinning[-1].poll() is not None


def test_the_busy_process_is_busy_and_always_ends(soon: Callable[..., bool]) -> None:
    with pytest.raises(KeyError), busy.busy_process() as process:  # noqa: PT012
        assert process.poll() is None
        if Path(f"/proc/{process.pid}/stat").exists():
            before = cpu_ticks(process.pid)
            assert soon(lambda: cpu_ticks(process.pid) - before >= 5)
        raise KeyError
    assert process.poll() is not None


def cpu_ticks(pid: int) -> int:
    """Return the user time of a process in clock ticks."""
    return int(Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[11])


def test_the_busy_process_ends_with_its_parent(tmp_path: Path) -> None:
    script = (
        "import os\nfrom fastnn.benchmark.busy import busy_process\n"
        "context = busy_process()\nprint(context.__enter__().pid, flush=True)\nos._exit(0)\n"
    )
    # The spinning process holds the other end of the error stream: this returns when both are gone.
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0


def test_startup_of_fastnn_and_numpy() -> None:
    items = processes.startup_items(settings())
    assert [item.label for item in items] == ["NumPy", "fastnn"]
    for item in items:
        row = item.measure()
        assert row["contender"] == item.label
        assert 0 < row["import"] < row["first_step"] < 600  # seconds
        assert "accuracy" not in row


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="no peak of memory on this system")
def test_memory_of_numpy_is_that_of_its_buffers(monkeypatch: Patch) -> None:
    item = processes.memory_items(settings("mnist", "xnor"))[0]
    assert item.label == "mnist, NumPy"
    row = item.measure()
    assert row["data"] > 1e7
    assert row["after_import"] > row["data"]
    # Weights and gradients, and no copy of the data.
    assert 2 * row["parameters"] < row["training"] < row["data"]


def test_memory_is_measured_around_the_training_alone(monkeypatch: Patch, tmp_path: Path) -> None:
    diary: list[str] = []

    class Quiet:
        def __init__(self, *_: Any) -> None:
            diary.append("build")

        def run_epochs(self, n_epochs: int) -> None:
            diary.append(f"{n_epochs} epochs")

    for name in ("resident", "forget_peak", "peak"):
        monkeypatch.setattr(child, name, lambda name=name: diary.append(name) or 7.0)
    for name in ("x.npy", "y.npy"):
        np.save(tmp_path / name, np.zeros(3, np.float32))
    answer = child._memory(Quiet, {"workload": "xnor", "data": str(tmp_path), "epochs": 2})
    assert diary == ["resident", "forget_peak", "build", "2 epochs", "peak"]
    assert answer == {"after import": 7.0, "data": 24.0, "peak": 7.0}


def test_time_to_accuracy_stops_at_the_goal(mnist_folder: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(processes, "GOAL", 0.8)
    item = processes.startup_items(
        Settings((), find_rivals(), (), EFFORT, n_cores=1, quick=False, data=mnist_folder)
    )[0]
    row = item.measure()
    assert row["epochs"] == 1
    assert 0.8 < row["accuracy"] < 0.95
    assert row["accuracy_seconds"] > 0


def test_a_process_that_fails_says_why(monkeypatch: Patch) -> None:
    monkeypatch.setattr(find_rivals()[0], "module", "no_such_module_anywhere")
    with pytest.raises(LeftOut, match=r"failed in its own process: ModuleNotFoundError: .*no_such_module"):
        processes.startup_items(settings())[0].measure()


def test_the_peak_of_memory_can_be_forgotten() -> None:
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("no peak of memory on this system")
    block = bytearray(50_000_000)
    assert child.peak() >= child.resident() > len(block)
    del block
    child.forget_peak()
    assert child.peak() < child.resident() + 20_000_000


# --- the command ----------------------------------------------------------------------------------


def test_the_command_hands_over_to_the_suite(monkeypatch: Patch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(suite, "main", lambda *arguments, **options: calls.append((arguments, options)) or 0)
    monkeypatch.setattr(suite, "render", lambda folder: calls.append(folder) or 2)
    words = "xnor --all --quick --report out --parts training,map --rivals numpy,jax --minutes 40"
    assert cli.main(["benchmark", *words.split()]) == 0
    assert cli.main(["benchmark", "--render", "out"]) == 2
    options = {
        "every": True,
        "parts": ["training", "map"],
        "rivals": ["numpy", "jax"],
        "folder": "out",
        "minutes": 40.0,
    }
    assert calls == [((["xnor"], True), options), "out"]


@pytest.mark.parametrize("words", [["--parts", "training,"], ["--minutes", "0"], ["--rivals", ""]])
def test_wrong_usage(words: list[str], capsys: Captured) -> None:
    assert cli.main(["benchmark", *words]) == 2
    assert "expected" in capsys.readouterr().err
