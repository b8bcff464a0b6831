"""The page on pictures: its code runs, prints what it says, and names all classes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fastnn import plotting

PAGE = Path(__file__).parents[2] / "docs" / "pictures.md"


@pytest.fixture(scope="module")
def text() -> str:
    if not PAGE.exists():
        pytest.skip("not all of the clone is here")
    return PAGE.read_text(encoding="utf-8")


def test_the_code_runs_and_prints_what_stands_below_it(text: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(blocks)],
        cwd=tmp_path,
        env=os.environ | {"MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "".join(re.findall(r"^```text\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL))
    assert {path.name for path in tmp_path.iterdir()} == {"confusion.png", "two.png"}


def test_all_that_there_is_stands_in_it(text: str) -> None:
    for name in plotting.__all__:
        assert f"`{name}`" in text
