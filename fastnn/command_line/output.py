"""What commands write: two columns, JSON, complaints; coloured on a terminal, plain everywhere else.

Results go to standard output, errors, warnings and progress to standard error.  This file must not know what
is written.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import stat
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

from fastnn.errors import FastnnError

__all__ = [
    "CommandError",
    "as_lines",
    "complain",
    "on_terminal",
    "print_json",
    "print_rows",
    "warn",
    "write_file",
]

_LABEL, _ERROR, _WARNING = "bold cyan", "bold red", "bold yellow"


class CommandError(FastnnError, RuntimeError):
    """The work that a command was asked to do has failed."""


def on_terminal(stream: TextIO) -> bool:
    """Return whether somebody looks at what a stream gets."""
    try:
        return stream.isatty()
    except ValueError:  # it is closed
        return False


def print_rows(rows: Sequence[tuple[str, object]], width: int = 0) -> None:
    """Print labels and values in two columns, the first as wide as the longest label, or wider."""
    width = max(width, *(len(label) for label, _ in rows))
    for label, value in rows:
        _write(f"{label:<{width}}", f"  {value}\n", _LABEL, sys.stdout)


def print_json(values: Mapping[str, Any]) -> None:
    """Print one JSON object, in one line; numbers that JSON does not have become null."""
    print(json.dumps(_plain(values), ensure_ascii=False, allow_nan=False))


def complain(text: str, end: str = "\n") -> None:
    """Write to standard error, if it takes anything: there is no other place to say that it does not."""
    with contextlib.suppress(OSError):
        head, mark, tail = text.partition(" error: ")
        if mark:
            _write(head + mark.rstrip(), f" {tail}{end}", _ERROR, sys.stderr)
        else:
            print(text, end=end, file=sys.stderr)
        sys.stderr.flush()


def warn(text: str) -> None:
    """Write a line that does not end the command."""
    with contextlib.suppress(OSError):
        _write("fastnn: warning:", f" {' '.join(text.split())}\n", _WARNING, sys.stderr)


@contextlib.contextmanager
def as_lines() -> Iterator[None]:
    """Let warnings of Python be lines of the command, each once, without places in the source."""
    seen: set[str] = set()

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        if str(message) not in seen:
            seen.add(str(message))
            warn(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        for unasked in (DeprecationWarning, PendingDeprecationWarning, FutureWarning, ResourceWarning):
            warnings.simplefilter("ignore", unasked)
        warnings.showwarning = show
        yield


def write_file(path: str, content: str | bytes) -> None:
    """Write a text or bytes: whoever looks finds the old file or all of the new one, also after a crash."""
    data = content.encode() if isinstance(content, str) else content
    target = os.path.realpath(path)
    if os.path.exists(target) and not os.path.isfile(target) and not os.path.isdir(target):
        with open(target, "wb") as device:  # a pipe or a terminal
            device.write(data)
        return
    folder, name = os.path.split(target)
    temporary = ""
    try:
        with tempfile.NamedTemporaryFile(
            dir=folder, prefix=f".{name[:100]}.", suffix=".tmp", delete=False
        ) as file:
            temporary = file.name
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _mode_of(target))
        os.replace(temporary, target)
    except BaseException as error:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        if isinstance(error, OSError):
            error.filename, error.filename2 = path, None  # nobody asked for the other one
        raise


def _mode_of(target: str) -> int:
    """Return who may read a file: whoever may now, or, of a new one, whom the process lets."""
    with contextlib.suppress(OSError):
        return stat.S_IMODE(os.stat(target).st_mode)
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


def _write(styled: str, plain: str, style: str, stream: TextIO) -> None:
    """Write a text whose head has a style where somebody looks at it."""
    if on_terminal(stream):
        from rich.console import Console
        from rich.text import Text

        # Rich knows what the terminal and NO_COLOR allow. It writes into a string: what a stream that takes
        # nothing means is not for it to say.
        texts = io.StringIO()
        console = Console(file=texts, force_terminal=True, legacy_windows=False)
        console.print(Text.assemble((styled, style)), end="", soft_wrap=True)
        styled = texts.getvalue()
    stream.write(styled + plain)


def _plain(value: Any) -> Any:
    """Return what JSON has for a value."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if hasattr(value, "tolist"):  # of NumPy
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
