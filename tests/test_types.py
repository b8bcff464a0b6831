"""Type checkers find nothing in the scripts of users: that of the README, and one that goes further."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import fastnn

TESTS = Path(__file__).resolve().parent
README = TESTS.parent / "README.md"
PACKAGES = Path(fastnn.__file__).parents[1]


@pytest.fixture(scope="module")
def mypy(peer: Callable[[str], ModuleType], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Return a function that checks a script in mypy's strict mode, and returns what mypy says."""
    peer("mypy")
    folder = tmp_path_factory.mktemp("mypy")
    # An installed package is found as it is, and may not be named.
    found = {} if PACKAGES.name == "site-packages" else {"MYPYPATH": str(PACKAGES)}

    def check(script: str) -> str:
        (folder / "script.py").write_text(script, encoding="utf-8")
        options = ["--strict", "--config-file=", "--follow-imports=silent", f"--cache-dir={folder}/cache"]
        done = subprocess.run(
            [sys.executable, "-m", "mypy", *options, "script.py"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
            env=os.environ | found,
        )
        assert not done.stderr
        return done.stdout

    return check


def test_a_script_with_what_types_can_know(mypy: Callable[[str], str]) -> None:
    script = (TESTS / "typed_script.py").read_text(encoding="utf-8")
    assert mypy(script).startswith("Success")
    assert 'incompatible type "str"' in mypy(script + 'model.fit(x_train, y_train, epochs="two")\n')


@pytest.mark.skipif(not README.exists(), reason="README.md is not beside the tests")
def test_the_scripts_of_the_readme(mypy: Callable[[str], str]) -> None:
    script = "\n".join(re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL))
    assert "fastnn" in script
    assert mypy(script).startswith("Success")


def test_the_script_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(TESTS / "typed_script.py")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("test accuracy 0.")
