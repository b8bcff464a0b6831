"""Tests of the command line: results, exit codes, usage errors, and an honest comparison."""

from __future__ import annotations

import gzip
import io
import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import cli, datasets, layers
from fastnn._core import table
from fastnn.benchmark.rivals import fastnn_, numpy_
from fastnn.command_line import digits
from fastnn.run import runtime

Captured = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch

SHORT = ["train", "--epochs", "2", "--hidden", "16"]


def value_of(label: str, output: str) -> str:
    """Return what a result line says after its label."""
    found = re.search(rf"^{label} +(.*)$", output, re.MULTILINE)
    assert found, f"no line {label!r} in:\n{output}"
    return found[1]


# --- train ----------------------------------------------------------------------------------------


def test_train_without_arguments_learns_the_digits(capsys: Captured, monkeypatch: Patch) -> None:
    monkeypatch.setattr(digits, "_COMPARISON_SECONDS", math.inf)  # all rounds, however busy the machine
    assert cli.main(["train"]) == 0
    output = capsys.readouterr().out
    assert float(value_of("test accuracy", output)) >= 0.95
    assert "1438 training and 359 test images" in value_of("data", output)
    assert value_of("network", output) == "64-500-10, 37510 parameters"
    assert "(900 steps" in value_of("training time", output)
    comparison = value_of("pure NumPy", output)
    assert re.match(r"takes \d+\.\d\d times as long for the same 440 steps \(median of 5 round", comparison)


def test_train_writes_its_results_in_two_columns(capsys: Captured) -> None:
    assert cli.main([*SHORT, "--no-compare"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""  # it is no terminal
    labels = [line.split("  ")[0] for line in captured.out.splitlines()]
    assert labels == ["data", "network", "test accuracy", "training time"]


@pytest.mark.parametrize("hidden", [["--hidden", "24", "12"], ["--hidden", "24", "--hidden", "12"]])
def test_train_takes_several_hidden_layers(capsys: Captured, hidden: list[str]) -> None:
    assert cli.main(["train", *hidden, "--epochs", "1", "--no-compare", "--quiet"]) == 0
    assert value_of("network", capsys.readouterr().out) == "64-24-12-10, 1990 parameters"


def test_values_of_an_option_end_where_another_begins(capsys: Captured) -> None:
    for words in (["--hidden=24", "--epochs", "1"], ["--epochs", "1", "--hid", "24"]):
        assert cli.main(["train", *words, "--no-compare"]) == 0
        assert value_of("network", capsys.readouterr().out) == "64-24-10, 1810 parameters"
    assert cli.main(["train", "--hidden", "24", "--no-compare", "12"]) == 2
    assert "argument --hidden: it is for the handwritten digits" in capsys.readouterr().err


def test_train_as_json_is_one_object(capsys: Captured) -> None:
    assert cli.main([*SHORT, "--no-compare", "--json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert captured.out.count("\n") == 1
    assert captured.err == ""
    assert (found["data"], found["network"], found["parameters"]) == ("digits", [64, 16, 10], 1210)
    assert (found["training_rows"], found["test_rows"], found["steps"]) == (1438, 359, 90)
    assert 0.1 < found["test_accuracy"] < 1
    assert found["numpy"] is None


def test_train_is_repeatable(capsys: Captured) -> None:
    def accuracy(seed: str) -> str:
        assert cli.main([*SHORT, "--no-compare", "--quiet", "--seed", seed]) == 0
        return value_of("test accuracy", capsys.readouterr().out)

    assert accuracy("5") == accuracy("5")
    assert len({accuracy(seed) for seed in "567"}) > 1


def test_train_with_a_batch_larger_than_the_data(capsys: Captured) -> None:
    assert cli.main([*SHORT, "--quiet", "--batch-size", "100000"]) == 0
    output = capsys.readouterr().out
    assert "(2 steps" in value_of("training time", output)
    assert "the same 2 steps" in value_of("pure NumPy", output)


def test_train_on_mnist(capsys: Captured, mnist_folder: Path) -> None:
    arguments = ["--dataset", "mnist", "--data", str(mnist_folder), "--epochs", "1", "--hidden", "32"]
    assert cli.main(["train", *arguments, "--no-compare", "--quiet"]) == 0
    output = capsys.readouterr().out
    assert value_of("network", output) == "784-32-10, 25450 parameters"
    assert float(value_of("test accuracy", output)) >= 0.85


def test_train_that_diverges_is_a_failure(capsys: Captured) -> None:
    assert cli.main([*SHORT, "--quiet", "--learning-rate", "1e30"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("fastnn: error: the loss stopped being finite in epoch ")
    assert captured.err.endswith(" of 2; try a --learning-rate smaller than 1e+30\n")
    assert captured.err.count("\n") == 1


def test_train_names_a_damaged_file_in_one_line(capsys: Captured, tmp_path: Path) -> None:
    from fastnn.datasets._mnist import FILES

    for file in FILES:
        (tmp_path / f"{file.name}.gz").write_bytes(gzip.compress(b"no images"))
    assert cli.main(["train", "--dataset", "mnist", "--data", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"fastnn: error: {tmp_path}")
    assert captured.err.count("\n") == 1


def test_train_without_the_files_says_where_to_put_them(capsys: Captured, tmp_path: Path) -> None:
    assert cli.main(["train", "--dataset", "mnist", "--data", str(tmp_path / "nowhere")]) == 1
    message = capsys.readouterr().err
    assert message.startswith("fastnn: error: MNIST was not found")
    assert "into one folder, and give it with --data or set the environment variable FASTNN_DATA" in message
    assert "folder=" not in message
    assert message.count("\n") == 1


def test_train_that_cannot_keep_what_it_downloads_names_the_option(
    capsys: Captured, monkeypatch: Patch, tmp_path: Path
) -> None:
    from fastnn.datasets import _mnist

    def download(path: Path, content: bytes) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.delenv("FASTNN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(_mnist, "read_idx", lambda *_: None)
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: io.BytesIO(b""))
    monkeypatch.setattr(Path, "mkdir", lambda path, **_: download(path, b""))
    assert cli.main(["train", "--dataset", "mnist"]) == 1
    message = capsys.readouterr().err
    assert message.startswith("fastnn: error: cannot keep the downloaded file")
    assert "Or give a folder that holds the files with --data" in message
    assert "cache=" not in message


# --- the comparison -------------------------------------------------------------------------------


@pytest.fixture
def rivals(monkeypatch: Patch) -> Iterator[list[Any]]:
    """Replace the NumPy rival by one that keeps what it got and is always at loss 1000."""
    made: list[Any] = []

    class FakeRival(numpy_.NumpyRival):
        def __init__(self, workload: Any, weights: Any, x: np.ndarray, y: np.ndarray) -> None:
            super().__init__(workload, weights, x, y)
            self.workload, self.weights, self.x, self.y = workload, weights, x, y
            self.runs: list[int] = []
            made.append(self)

        def run_epochs(self, n_epochs: int) -> float:
            self.runs.append(n_epochs)
            return 1000.0

    monkeypatch.setattr(numpy_, "NumpyRival", FakeRival)
    yield made
    assert made


def test_comparison_gives_no_ratio_when_the_losses_differ(capsys: Captured, rivals: list[Any]) -> None:
    assert cli.main([*SHORT, "--quiet"]) == 0
    comparison = value_of("pure NumPy", capsys.readouterr().out)
    assert comparison.startswith("no ratio: after the same 88 steps the losses differ, fastnn ")
    assert " and NumPy 1000 " in comparison
    assert "times" not in comparison


def test_comparison_of_a_rival_twice_as_fast_says_so(capsys: Captured, monkeypatch: Patch) -> None:
    # The clock of the command line ticks by what a run reports: 1 s for fastnn, half a second for NumPy.
    clock = [0.0]

    def tick(rival: Any, seconds: float) -> None:
        train = rival.run_epochs

        def run_epochs(self: Any, n_epochs: int) -> float:
            clock[0] += seconds
            return float(train(self, n_epochs))

        monkeypatch.setattr(rival, "run_epochs", run_epochs)

    tick(fastnn_.FastnnRival, 1.0)
    tick(numpy_.NumpyRival, 0.5)
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    settings = digits.Settings("digits", None, (16,), 2, 32, 0.1, 0, compare=True, quiet=True, as_json=False)
    comparison = digits.compare_with_numpy(settings, datasets.load_digits()[0])
    assert comparison.startswith("takes 0.50 times as long for the same 88 steps (median of 5 rounds")


def test_comparison_gives_the_rival_the_same_work(capsys: Captured, rivals: list[Any]) -> None:
    arguments = ["--hidden", "16", "8", "--batch-size", "50", "--learning-rate", "0.25", "--epochs", "3"]
    assert cli.main(["train", *arguments, "--quiet", "--seed", "9"]) == 0
    rival = rivals[-1]
    assert rival.workload.widths == (64, 16, 8, 10)
    assert (rival.workload.batch, rival.workload.learning_rate) == (50, 0.25)
    assert (rival.workload.activation, rival.workload.output_activation) == ("relu", "softmax")
    assert (rival.workload.optimizer, rival.workload.loss) == ("sgd", "sparse_categorical_crossentropy")
    assert all(rival.runs == [3] for rival in rivals)
    x, y = datasets.load_digits(seed=9)[0]
    np.testing.assert_array_equal(rival.x, x[: 28 * 50])
    np.testing.assert_array_equal(rival.y, y[: 28 * 50])
    hidden = [layers.Dense(16, activation="relu"), layers.Dense(8, activation="relu")]
    output = layers.Dense(10, activation="softmax")
    model = fastnn.Sequential([fastnn.Input((64,)), *hidden, output], seed=9)
    for given, wanted in zip(rival.weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(given, wanted)


# --- benchmark and info ---------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1])
def test_benchmark_hands_over_to_the_runner(monkeypatch: Patch, code: int) -> None:
    from fastnn.benchmark import runner

    calls: list[Any] = []

    def fake_main(names: list[str], *, quick: bool) -> int:
        calls.append((names, quick))
        return code

    monkeypatch.setattr(runner, "main", fake_main)
    assert cli.main(["benchmark"]) == code
    assert cli.main(["benchmark", "mnist", "xnor", "--quick"]) == code
    assert calls == [([], False), (["mnist", "xnor"], True)]


def test_benchmark_as_json_has_tables_elsewhere(capsys: Captured, tmp_path: Path) -> None:
    assert cli.main(["benchmark", "xnor", "--quick", "--json", "--report", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert "xnor" in captured.err
    assert cli.main(["benchmark", "xnorr", "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "xnorr" in captured.err


def test_info_as_json(capsys: Captured) -> None:
    assert cli.main(["info", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == fastnn.build_info()


def test_info_aligns_what_the_build_says(capsys: Captured) -> None:
    assert cli.main(["info"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["fastnn", "SIMD", "BLAS", "threads"]
    assert [line.split()[0] for line in lines[-3:]] == ["Python", "NumPy", "SciPy"]
    output = "\n".join(lines)
    assert value_of("fastnn", output) == fastnn.__version__
    assert value_of("NumPy", output) == np.__version__
    width = lines[0].index(fastnn.__version__)
    assert all(line[width - 1] == " " and line[width] != " " for line in lines)


# --- usage and exit codes -------------------------------------------------------------------------


def test_no_command_is_a_usage_error(capsys: Captured) -> None:
    assert cli.main([]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("usage: fastnn")


def test_an_unknown_command_is_a_usage_error(capsys: Captured) -> None:
    assert cli.main(["trian"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith(
        "fastnn: error: argument COMMAND: invalid choice: 'trian' (did you mean train?)\n"
    )


def test_version(capsys: Captured) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"fastnn {fastnn.__version__}\n"


@pytest.mark.parametrize("command", [[], ["train"], ["benchmark"], ["info"]])
def test_help(capsys: Captured, command: list[str]) -> None:
    assert cli.main([*command, "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: fastnn")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "0"], "argument --epochs: expected a whole number from 1 to 2147483647, got '0'"),
        (["--epochs", "2.5"], "--epochs: expected a whole number"),
        (["--batch-size", "-1"], "--batch-size: expected a whole number"),
        (["--hidden", "64", "0"], "--hidden: expected a whole number"),
        (["--hidden", "9" * 30], "--hidden: expected a whole number"),
        (["--hidden", "9" * 5000], "--hidden: expected a whole number"),
        (["--hidden"], "--hidden: expected at least one argument"),
        (["--seed", "-1"], "--seed: expected a whole number from 0 to 4294967295"),
        (["--learning-rate", "0"], "--learning-rate: expected a finite number above 0, got '0'"),
        (["--learning-rate", "-0.1"], "--learning-rate: expected a finite number above 0"),
        (["--learning-rate", "nan"], "--learning-rate: expected a finite number above 0"),
        (["--learning-rate", "inf"], "--learning-rate: expected a finite number above 0"),
        (["--learning-rate", "fast"], "--learning-rate: expected a finite number above 0"),
        (["--dataset", "cifar"], "--dataset: invalid choice: 'cifar'"),
        (["--data", "folder"], "--data is the folder of the MNIST files: add --dataset mnist"),
        (["--epochs"], "argument --epochs: expected one argument"),
        (["--quiet=yes"], "argument --quiet: expected no value"),
        (["--epoch", "0"], "argument --epochs: expected a whole number"),  # the beginning of a name is enough
        (["--seeds", "1"], "unrecognized arguments: --seeds (did you mean --seed?)"),
        (["digits"], "there is no file 'digits'; for the handwritten digits, type --dataset digits"),
    ],
)
def test_train_refuses_impossible_values(capsys: Captured, arguments: list[str], message: str) -> None:
    assert cli.main(["train", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("two\n  lines"), "two lines"),
        (MemoryError(), "not enough memory"),
        (PermissionError(13, "Permission denied", "/data"), "Permission denied: /data"),
        (ImportError("No module named 'torch'"), "No module named 'torch'"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_a_failure_is_one_line_and_exit_code_1(
    monkeypatch: Patch, capsys: Captured, error: Exception, line: str
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(runtime, "build_info", fail)
    assert cli.main(["info"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"fastnn: error: {line}\n"


def test_an_interrupt_is_exit_code_130(monkeypatch: Patch, capsys: Captured) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runtime, "build_info", interrupt)
    assert cli.main(["info"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_python_m_fastnn(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fastnn", "info"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("fastnn ")


def run_with_level(words: list[str], level: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "FASTNN_SIMD": level},
    )


# One that nobody has, and those that this machine or this build lacks.
@pytest.mark.parametrize("level", ["v9", *sorted({"v3", "v4"} - set(table.LEVELS))])
@pytest.mark.parametrize("words", [["-m", "fastnn", "info"], ["-mfastnn", "--help"], ["-m", "fastnn", "-m"]])
def test_a_simd_level_that_is_not_here_is_one_line(level: str, words: list[str], tmp_path: Path) -> None:
    done = run_with_level(words, level, tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"fastnn: error: FASTNN_SIMD='{level}': .*; here there are .*base\n", done.stderr)


@pytest.mark.parametrize("name", ["fastnn", "fastnn-script.py"])
def test_the_installed_command_says_it_too(name: str, tmp_path: Path) -> None:
    script = tmp_path / "bin" / name
    script.parent.mkdir()
    script.write_text("import sys\nfrom fastnn.cli import main\nsys.exit(main())\n", encoding="utf-8")
    done = run_with_level([str(script), "info"], "v9", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("fastnn: error: FASTNN_SIMD='v9': no such level; here there are ")
    assert done.stderr.count("\n") == 1
    assert run_with_level([str(script), "info"], "base", tmp_path).returncode == 0


def test_in_python_it_is_an_exception(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("import fastnn\n", encoding="utf-8")
    package = tmp_path / "package"
    package.mkdir()
    for name in ("__init__", "__main__"):
        (package / f"{name}.py").write_text("import fastnn\n", encoding="utf-8")
    for words in (["-c", "import fastnn"], ["other.py"], ["-m", "other"], ["-m", "package", "fastnn"]):
        done = run_with_level(words, "v9", tmp_path)
        assert done.returncode == 1
        assert "ValueError: FASTNN_SIMD='v9': no such level" in done.stderr
