"""docs/command-line.md: its commands run, and print what stands below them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from fastnn import cli
from fastnn.command_line.program import program

for library in ("sklearn", "narwhals"):
    pytest.importorskip(library, reason="tables need it")

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)


def pattern(printed: str) -> str:
    """Return what a line must look like: numbers with a point differ from machine to machine."""
    numbers = re.sub(r"\d+\\\.\d+(e-?\d+)?", r"[0-9.e-]+", re.escape(printed))
    return numbers.replace(re.escape("..."), r"[0-9.]+")


def test_the_commands_print_what_stands_below_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for code in blocks("python"):
        exec(code, {})
    ran = 0
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, wanted = part.partition("\n")
            assert wanted
            assert cli.main(shlex.split(command)[1:]) == 0
            printed = capsys.readouterr().out
            assert re.fullmatch(pattern(wanted.rstrip("\n")), printed.rstrip("\n")), printed
            ran += 1
    assert ran >= 4
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["bikes.csv", "bikes.safetensors", "predictions.csv"]


def test_the_page_has_every_command() -> None:
    for name in program.commands:
        assert f"fastnn {name}" in TEXT
    named = set(re.findall(r"`(--[a-z-]+)", TEXT)) - {"--help"}
    known = {name for command in program.commands.values() for param in command.params for name in param.opts}
    assert named
    assert named <= known
