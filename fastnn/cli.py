"""The ``fastnn`` command: its streams and its exit codes; what it does is in `command_line/`.

Results go to standard output, errors and, on a terminal, progress to standard error. Exit codes: 0
done, 1 the work failed or its results could not be written, 2 wrong usage, 130 interrupted. A stream
that is closed gets nothing, and a reader that left is no noise. That there are no kernels to load shows
before this file runs; see `startup.py`.
"""
# It must not know click's words and what commands do; it imports them when it runs.

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import TextIO

from fastnn.command_line.output import complain
from fastnn.errors import FastnnError
from fastnn.startup import discard

__all__ = ["main"]

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The words after the program's name; by default those of the process.

    Returns
    -------
    int
        The exit code: 0 done, 1 the work failed, 2 wrong usage, 130 interrupted.

    Examples
    --------
    >>> from fastnn.cli import main
    >>> code = main(["--version"])  # doctest: +ELLIPSIS
    fastnn ...
    >>> code
    0
    """
    with contextlib.ExitStack() as stack:
        # Python has None for a closed stream: nobody can write there, and `print` turns to the other one.
        if sys.stdout is None:
            stack.enter_context(contextlib.redirect_stdout(_nowhere(stack)))
        if sys.stderr is None:
            stack.enter_context(contextlib.redirect_stderr(_nowhere(stack)))
        return _flushed(_caught(argv))


def _caught(argv: Sequence[str] | None) -> int:
    """Run the command line, and return the exit code; failures are said in a line."""
    try:
        return _run(argv)
    except KeyboardInterrupt:
        complain("\nfastnn: interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return EXIT_FAILED
    except (FastnnError, ImportError, MemoryError, OSError, RuntimeError, ValueError) as error:
        complain(f"fastnn: error: {_one_line(error)}")
        return EXIT_FAILED


def _run(argv: Sequence[str] | None) -> int:
    try:
        import click
        import rich  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise ImportError("the command line needs click and rich: `pip install click rich`") from error
    from fastnn.command_line.arguments import NoCommand, message_of
    from fastnn.command_line.completion import asked_to_complete
    from fastnn.command_line.program import program

    if argv is None and asked_to_complete(program):
        return EXIT_DONE

    words = [os.fspath(word) for word in (sys.argv[1:] if argv is None else argv)]
    try:
        with program.make_context("fastnn", words) as context:
            return int(program.invoke(context) or EXIT_DONE)
    except click.exceptions.Exit as stop:  # after --help and --version
        return stop.exit_code
    except NoCommand as error:
        complain(error.message)
    except click.UsageError as error:
        path, usage = "fastnn", ""
        if error.ctx is not None:
            path, usage = error.ctx.command_path, f"{error.ctx.get_usage()}\n"
        complain(f"{usage}{path}: error: {message_of(error)}")
    return EXIT_USAGE


def _flushed(code: int) -> int:
    """Write what is still buffered, and return the exit code: that of a failure if that fails."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            discard(stream)
            if stream is sys.stdout and code == EXIT_DONE:
                code = EXIT_FAILED
                if not isinstance(error, BrokenPipeError):
                    complain(f"fastnn: error: {_one_line(error)}")
    return code


def _one_line(error: BaseException) -> str:
    """Return an error's message without line breaks, or its type's name if it has none."""
    if isinstance(error, OSError) and error.strerror is not None:
        return error.strerror + (f": {error.filename}" if error.filename is not None else "")
    if isinstance(error, MemoryError) and not str(error):
        return "not enough memory"
    return " ".join(str(error).split()) or type(error).__name__


def _nowhere(stack: contextlib.ExitStack) -> TextIO:
    return stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
