"""The end of a process that cannot load its kernels, or cannot write: quiet, as a command should be.

Without kernels there is an exception in Python, and one line if the process is the command.
``fastnn`` and ``python -m fastnn`` import the package before the command line can catch
anything, so `__init__.py` asks here.  This file must not import anything of fastnn.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO

__all__ = ["discard", "exit_if_command"]

_EXIT_USAGE = 2


def exit_if_command(error: ValueError) -> None:
    """End the process with a line on standard error if it runs the command line; else do nothing.

    Parameters
    ----------
    error : ValueError
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
