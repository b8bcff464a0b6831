"""The README: its code runs and prints what it says, its links lead somewhere, and it stays short."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)


def test_the_code_prints_what_stands_below_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(blocks("python"))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "\n".join(blocks("text"))
    assert os.listdir(tmp_path) == ["digits.safetensors"]


def test_it_can_be_read_in_three_minutes() -> None:
    assert len(TEXT.split()) <= 700
    tables = re.findall(r"(?:^\|.*\n)+", TEXT, flags=re.MULTILINE)
    assert [table.count("\n") - 2 for table in tables] == [6]


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)\)", TEXT))))
def test_links_lead_somewhere(link: str) -> None:
    path = ROOT / link
    if not path.exists() and not (ROOT / "CONTRIBUTING.md").exists():
        pytest.skip("not all of the clone is here")
    assert path.exists()


def test_two_commands_set_everything_up() -> None:
    (commands,) = blocks("sh")
    train, test = (line.split("#")[0].rstrip() for line in commands.splitlines())
    assert train.startswith("python3 -m venv .venv && .venv/bin/pip install -e . && ")
    assert test.endswith("&& .venv/bin/pytest")
