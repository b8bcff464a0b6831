"""What `import fastnn` and the command say where the compiled core is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import fastnn

PACKAGE = Path(fastnn.__file__).parent
BINARIES = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a source tree whose core is not built."""
    shutil.copytree(PACKAGE, tmp_path / "tree" / "fastnn", ignore=BINARIES)
    (tmp_path / "tree" / "setup.py").touch()
    return tmp_path / "tree"


def run(*words: str, tree: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(tree)},
    )


def message(tree: Path) -> str:
    """Return the last line that `import fastnn` leaves on standard error."""
    done = run("-c", "import fastnn", tree=tree)
    assert (done.returncode, done.stdout) == (1, "")
    assert "During handling" not in done.stderr
    return done.stderr.splitlines()[-1]


def test_a_tree_that_is_not_built_says_what_to_do(tree: Path) -> None:
    assert message(tree) == (
        f"ImportError: fastnn's compiled core is not built in {tree / 'fastnn'}; run `pip install -e .` in "
        f"{tree}, or leave that folder if fastnn is installed elsewhere"
    )


def test_a_core_for_another_python_is_named(tree: Path) -> None:
    for suffix in (".cpython-309-x86_64-linux-gnu.so", ".cp309-win_amd64.pyd"):
        (tree / "fastnn" / "_core" / f"table{suffix}").touch()
    found = message(tree)
    assert (
        f"is not built in {tree / 'fastnn'} for this Python ({sys.implementation.cache_tag}), only " in found
    )
    assert "table.cp309-win_amd64.pyd, table.cpython-309-x86_64-linux-gnu.so; run `pip install -e .`" in found


def test_where_nothing_can_be_built_it_says_so(tree: Path) -> None:
    (tree / "setup.py").unlink()
    assert message(tree).endswith(
        f"is not built in {tree / 'fastnn'}; install fastnn again, with this Python"
    )


def test_a_core_that_cannot_be_loaded_is_another_matter(tree: Path) -> None:
    (tree / "fastnn" / "_core" / f"table{EXTENSION_SUFFIXES[0]}").write_bytes(b"no library")
    assert "is not built" not in message(tree)


@pytest.mark.parametrize("words", [["-m", "fastnn", "info"], ["-m", "fastnn", "--help"]])
def test_the_command_says_it_in_one_line(words: list[str], tree: Path) -> None:
    done = run(*words, tree=tree)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        f"fastnn: error: fastnn's compiled core is not built in {tree / 'fastnn'}; "
    )
    assert done.stderr.count("\n") == 1


def test_the_command_line_says_what_it_needs(tmp_path: Path) -> None:
    code = "import sys; sys.modules['click'] = None; from fastnn.cli import main; sys.exit(main(['info']))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "fastnn: error: the command line needs click and rich: `pip install click rich`\n"


def test_importing_fastnn_imports_nothing_of_the_command_line(tmp_path: Path) -> None:
    code = "import sys, fastnn; print([m for m in ('click', 'rich', 'fastnn.cli') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    assert (done.returncode, done.stdout) == (0, "[]\n")
