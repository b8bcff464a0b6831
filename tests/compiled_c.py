"""Exported files of C, compiled without any warning, and run."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
FLAGS = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O1")


def compiled(*sources: Path, to: Path) -> Path:
    """Compile without any warning."""
    command = [str(COMPILER), *FLAGS, *map(str, sources), "-lm", "-o", str(to)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return to


def checked(files: Any) -> tuple[int, float]:
    """Run the program that goes with a file; return its exit code and the largest error it found."""
    program = compiled(files.source, files.test, to=files.source.parent / "check")
    done = subprocess.run([str(program)], capture_output=True, text=True, check=False, timeout=60)
    found = re.search(r"largest error ([\d.e+-]+) of", done.stdout)
    assert found, done
    return done.returncode, float(found[1])
