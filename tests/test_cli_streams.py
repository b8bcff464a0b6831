"""Where the command line writes: terminals, pipes, closed streams, full disks, readers that left."""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fastnn import cli

Captured = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch

TRAIN = ["train", "--epochs", "2", "--hidden", "8", "--no-compare"]
COMMANDS = {
    "info": ["info"],
    "version": ["--version"],
    "help": ["--help"],
    "help of train": ["train", "--help"],
    "train": TRAIN,
    "benchmark": ["benchmark", "--quick", "xnor"],
}
NO_SPACE = "fastnn: error: No space left on device\n"


class Stream(io.StringIO):
    """A stream that says whether it is a terminal, and may fail as it writes or as it flushes."""

    def __init__(self, *, terminal: bool = False, error: OSError | None = None, late: bool = False) -> None:
        super().__init__()
        self.terminal, self.error, self.late = terminal, error, late

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str) -> int:
        if self.error is not None and not self.late:
            raise self.error
        return super().write(text)

    def flush(self) -> None:
        if self.error is not None and self.late:
            raise self.error


@pytest.fixture
def quick_benchmark(monkeypatch: Patch) -> None:
    """Let the benchmark print a line instead of measuring."""
    from fastnn.benchmark import runner

    def fake_main(names: list[str], *, quick: bool) -> int:
        print("a table")
        return 0

    monkeypatch.setattr(runner, "main", fake_main)


# --- the progress bar -------------------------------------------------------------------------------------


def test_the_bar_is_shown_on_a_terminal_only(monkeypatch: Patch, capsys: Captured) -> None:
    for terminal in (True, False):
        stream = Stream(terminal=terminal)
        monkeypatch.setattr(sys, "stderr", stream)
        assert cli.main(TRAIN) == 0
        assert bool(stream.getvalue()) == terminal
        assert ("epoch/s" in stream.getvalue()) == terminal
        assert "test accuracy" in capsys.readouterr().out


def test_quiet_is_quiet_on_a_terminal_too(monkeypatch: Patch) -> None:
    stream = Stream(terminal=True)
    monkeypatch.setattr(sys, "stderr", stream)
    assert cli.main([*TRAIN, "--quiet"]) == 0
    assert stream.getvalue() == ""


# --- colours ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terminal", "environment", "coloured"),
    [
        (True, {"TERM": "xterm"}, True),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {"TERM": "xterm"}, False),
        (False, {"TERM": "xterm", "FORCE_COLOR": "1"}, False),
    ],
)
def test_colours_are_for_terminals(
    terminal: bool, environment: dict[str, str], coloured: bool, monkeypatch: Patch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    out, err = Stream(terminal=terminal), Stream(terminal=terminal)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    assert cli.main(["info"]) == 0
    assert cli.main(["train", "--dataset", "mnist", "--data", "nowhere"]) == 1
    colour = re.compile(r"\x1b\[[0-9;]*3[0-7]m")
    assert bool(colour.search(out.getvalue())) == coloured
    assert bool(colour.search(err.getvalue())) == coloured
    plain = re.sub(r"\x1b\[[0-9;]*m", "", err.getvalue())
    assert plain.startswith("fastnn: error: MNIST was not found")
    assert "\x1b" not in json_of_info(monkeypatch)


def json_of_info(monkeypatch: Patch) -> str:
    out = Stream(terminal=True)
    monkeypatch.setattr(sys, "stdout", out)
    assert cli.main(["info", "--json"]) == 0
    return out.getvalue()


# --- streams that are closed, full, or that nobody reads --------------------------------------------------


@pytest.mark.usefixtures("quick_benchmark")
@pytest.mark.parametrize("name", COMMANDS)
def test_a_closed_standard_output_is_quiet(name: str, monkeypatch: Patch, capsys: Captured) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert cli.main(COMMANDS[name]) == 0
    assert sys.stdout is None
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("quick_benchmark")
@pytest.mark.parametrize("name", COMMANDS)
def test_a_closed_standard_error_leaves_the_results(name: str, monkeypatch: Patch, capsys: Captured) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert cli.main(COMMANDS[name]) == 0
    assert capsys.readouterr().out


def test_errors_do_not_go_to_standard_output_instead(monkeypatch: Patch, capsys: Captured) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert cli.main(["train", "--dataset", "mnist", "--data", "nowhere"]) == 1
    assert cli.main(["train", "--epochs", "0"]) == 2
    assert cli.main([]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("quick_benchmark")
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_one_line(name: str, late: bool, monkeypatch: Patch, capsys: Captured) -> None:
    monkeypatch.setattr(sys, "stdout", Stream(error=OSError(28, "No space left on device"), late=late))
    assert cli.main(COMMANDS[name]) == 1
    assert capsys.readouterr().err == NO_SPACE


@pytest.mark.usefixtures("quick_benchmark")
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_reader_that_left_is_no_noise(name: str, late: bool, monkeypatch: Patch, capsys: Captured) -> None:
    monkeypatch.setattr(sys, "stdout", Stream(error=BrokenPipeError(32, "Broken pipe"), late=late))
    assert cli.main(COMMANDS[name]) == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), BrokenPipeError(32, "Broken pipe")]
)
def test_a_standard_error_that_takes_nothing_changes_no_exit_code(
    error: OSError, late: bool, monkeypatch: Patch, capsys: Captured
) -> None:
    monkeypatch.setattr(sys, "stderr", Stream(error=error, late=late))
    assert cli.main(["info"]) == 0
    assert cli.main(TRAIN) == 0
    assert cli.main(["train", "--dataset", "mnist", "--data", "nowhere"]) == 1
    assert cli.main(["train", "--epochs", "0"]) == 2


# --- the same of whole processes --------------------------------------------------------------------------


def run(words: str, redirection: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command under a shell, buffered as users have it unless told otherwise."""
    usual = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        ["sh", "-c", f"exec {shlex.quote(sys.executable)} -m fastnn {words} {redirection}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=folder,  # where no source folder shadows the installed package
        env=usual | environment,
    )


on_posix = pytest.mark.skipif(sys.platform == "win32", reason="the shell of Windows cannot close a stream")
with_full_disk = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")


@on_posix
@pytest.mark.parametrize(
    ("words", "redirection", "code"),
    [
        ("info", ">&-", 0),
        ("--help", ">&-", 0),
        (" ".join(TRAIN), ">&-", 0),
        (" ".join(TRAIN), ">&- 2>&-", 0),
        ("train --dataset mnist --data nowhere", "2>&-", 1),
        ("--epochs", ">&- 2>&-", 2),
    ],
)
def test_closed_streams_of_a_process(words: str, redirection: str, code: int, tmp_path: Path) -> None:
    done = run(words, redirection, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


@with_full_disk
@pytest.mark.parametrize("words", ["info", "--help", " ".join(TRAIN), "benchmark --quick xnor"])
@pytest.mark.parametrize("environment", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["buffered", "unbuffered"])
def test_a_process_on_a_full_disk(words: str, environment: dict[str, str], tmp_path: Path) -> None:
    done = run(words, "> /dev/full", tmp_path, **environment)
    assert (done.returncode, done.stderr) == (1, NO_SPACE)


@with_full_disk
def test_a_process_whose_errors_find_no_space(tmp_path: Path) -> None:
    done = run("train --epochs 0", "2> /dev/full", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    done = run(" ".join(TRAIN), "2> /dev/full", tmp_path)
    assert done.returncode == 0
    assert "test accuracy" in done.stdout
    done = run("info", "2> /dev/full", tmp_path, FASTNN_SIMD="v9")
    assert (done.returncode, done.stdout) == (2, "")


@on_posix
def test_that_there_are_no_kernels_is_not_told_to_standard_output(tmp_path: Path) -> None:
    done = run("info", "2>&-", tmp_path, FASTNN_SIMD="v9")
    assert (done.returncode, done.stdout) == (2, "")


@on_posix
@pytest.mark.parametrize("words", ["info", "--help", " ".join(TRAIN)])
def test_a_process_whose_reader_left(words: str, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    usual = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    for environment in (usual, usual | {"PYTHONUNBUFFERED": "1"}):
        done = subprocess.run(
            [sys.executable, "-m", "fastnn", *words.split()],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=120,
            cwd=tmp_path,
            env=environment,
        )
        assert (done.returncode, done.stderr) == (1, "")
    os.close(writer)


@on_posix
def test_a_process_on_a_terminal_shows_the_bar(tmp_path: Path) -> None:
    pty: Any = pytest.importorskip("pty", reason="there are no pseudo-terminals here")
    termios: Any = pytest.importorskip("termios", reason="there are no pseudo-terminals here")
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    done = subprocess.run(
        [sys.executable, "-m", "fastnn", *TRAIN],
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        check=False,
        timeout=120,
        cwd=tmp_path,
    )
    shown = os.read(ours, 65536).decode()
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 0
    assert "epoch/s" in shown
    assert "epoch/s" not in done.stdout


@pytest.mark.parametrize("words", [TRAIN, [*TRAIN, "--quiet"]], ids=["usual", "quiet"])
def test_a_process_in_a_pipe_shows_results_only(words: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fastnn", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "test accuracy" in done.stdout
