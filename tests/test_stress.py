"""The short form of the stress tests: every part with a fixed number of rounds.

Longer, with other random numbers: ``python tests/stress --seconds 600 --seed 1``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastnn

FOLDER = Path(__file__).parent / "stress"
SECONDS = 600.0  # what hangs is ended by the part itself
PARTS = ("threads", "labels", "forks", "exits", "signals", "interrupts")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither fork nor interval timers")
@pytest.mark.parametrize("part", PARTS)
def test_promises_hold_beside_threads_forks_and_signals(part: str, tmp_path: Path) -> None:
    package = str(Path(fastnn.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, str(FOLDER / f"{part}.py"), "--short"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert " rounds " in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither fork nor interval timers")
def test_the_parts_run_together_and_tell_what_failed(tmp_path: Path) -> None:
    """A part that is wrong in its third round, and one that crashes in its second, in another folder."""
    for name in ("__main__.py", "harness.py"):
        (tmp_path / name).write_text((FOLDER / name).read_text(encoding="utf-8"), encoding="utf-8")
    begin = "import os\nfrom harness import Part\nPART = Part(__file__)\nmain = PART.main\n"
    end = "if __name__ == '__main__':\n    PART.command_line()\n"
    for name, body in {
        "threads": "round_.expect(round_.index != 2, 'the third one')",
        "labels": "os.abort() if round_.index == 1 else round_.did('things')",
    }.items():
        scenario = f"@PART.scenario(short=4)\ndef some(round_):\n    {body}\n"
        (tmp_path / f"{name}.py").write_text(begin + scenario + end, encoding="utf-8")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    wrong, crashed = (run(f"{name}.py", "--short") for name in ("threads", "labels"))
    assert (wrong.returncode, crashed.returncode) == (1, 1)
    assert "1 wrong    0 crashes    0 hangs" in wrong.stdout
    assert "--only some --seed 0 --index 2: the third one" in wrong.stderr
    assert "3 rounds      0 wrong    1 crashes    0 hangs" in crashed.stdout  # and the rest went on
    assert "--only some --seed 0 --index 1: crashes with status -6" in crashed.stderr
    assert run("threads.py", "--only", "some", "--index", "1").returncode == 0
    assert run("threads.py", "--only", "some", "--index", "2").returncode == 1
    everything = run(".", "--seconds", "0.01")  # the first round of each
    assert everything.returncode == 0, everything.stderr
    assert everything.stdout.count("0 wrong    0 crashes    0 hangs") == 4  # scenarios, and parts
