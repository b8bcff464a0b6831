"""The end of a process that cannot load its kernels, or cannot write: quiet, as a command should be.

Without kernels there is an exception in Python, and one line if the process is the command.
``fastnn`` and ``python -m fastnn`` import the package before the command line can catch
anything, so `__init__.py` asks here.  This file must not import anything of fastnn.
"""

from __future__ import annotations

import contextlib
import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from typing import TextIO

__all__ = ["discard", "exit_if_command", "explained"]

_EXIT_USAGE = 2


def explained(error: Exception, package: str) -> Exception | None:
    """Return what tells users why the kernels cannot be loaded, None if `error` is not about that.

    Parameters
    ----------
    error : ImportError or ValueError
        What the import of the core raised.
    package : str
        The folder of fastnn.

    Returns
    -------
    Exception or None
    """
    if not isinstance(error, ImportError):
        return error
    files = os.listdir(os.path.join(package, "_core"))
    if any(f"table{suffix}" in files for suffix in EXTENSION_SUFFIXES):
        return None
    others = sorted(file for file in files if file.startswith("table.") and file.endswith((".so", ".pyd")))
    root = os.path.dirname(package)
    where = f"fastnn's compiled core is not built in {package}"
    if others:
        where += f" for this Python ({sys.implementation.cache_tag}), only {', '.join(others)}"
    if not os.path.exists(os.path.join(root, "setup.py")):
        return ImportError(f"{where}; install fastnn again, with this Python")
    return ImportError(
        f"{where}; run `pip install -e .` in {root}, or leave that folder if fastnn is installed elsewhere"
    )


def exit_if_command(error: Exception) -> None:
    """End the process with a line on standard error if it runs the command line; else do nothing.

    Parameters
    ----------
    error : Exception
        Why the kernels cannot be loaded.
    """
    if _is_command():
        if sys.stderr is not None:  # else `print` would turn to standard output
            try:
                print(f"fastnn: error: {error}", file=sys.stderr, flush=True)
            except OSError:
                discard(sys.stderr)
        raise SystemExit(_EXIT_USAGE)


def discard(stream: TextIO) -> None:
    """Let what is still to be written go nowhere, as it reaches nobody; else Python ends with code 120.

    Parameters
    ----------
    stream : text file
        Standard output or standard error.
    """
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def _is_command() -> bool:
    program, *words = getattr(sys, "argv", None) or [""]
    if program == "-m":  # what runpy leaves there until it has found the module
        module = sys.orig_argv[-len(words) - 1]
        return module.removeprefix("-m") in ("fastnn", "fastnn.cli")
    return os.path.splitext(os.path.basename(program))[0] in ("fastnn", "fastnn-script")
