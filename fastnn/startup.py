"""The end of a process that cannot load its kernels: an exception in Python, one line as a command.

``fastnn`` and ``python -m fastnn`` import the package before the command line can catch
anything, so `__init__.py` asks here.  This file must not import anything of fastnn.
"""

from __future__ import annotations

import os
import sys

__all__ = ["exit_if_command"]

_EXIT_USAGE = 2


def exit_if_command(error: ValueError) -> None:
    """End the process with a line on standard error if it runs the command line; else do nothing.

    Parameters
    ----------
    error : ValueError
        Why the kernels cannot be loaded.
    """
    if _is_command():
        print(f"fastnn: error: {error}", file=sys.stderr)
        raise SystemExit(_EXIT_USAGE)


def _is_command() -> bool:
    program, *words = getattr(sys, "argv", None) or [""]
    if program == "-m":  # what runpy leaves there until it has found the module
        module = sys.orig_argv[-len(words) - 1]
        return module.removeprefix("-m") in ("fastnn", "fastnn.cli")
    return os.path.splitext(os.path.basename(program))[0] in ("fastnn", "fastnn-script")
