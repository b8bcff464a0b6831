"""The page about tables: its code runs, and prints what stands below it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "tabular.md"


@pytest.mark.skipif(not PAGE.exists(), reason="docs are not beside the tests")
def test_the_code_prints_what_stands_below_it(peer: Any, tmp_path: Path) -> None:
    for library in ("sklearn", "narwhals", "pandas"):
        peer(library)
    text = PAGE.read_text(encoding="utf-8")
    code, said = (
        "".join(re.findall(rf"^```{kind}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL))
        for kind in ("python", "text")
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == said
