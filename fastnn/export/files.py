"""Files that are there whole or not at all: each takes its name when all of them are written.

This file must not know what is in them.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Mapping

from fastnn.errors import ConfigurationError
from fastnn.saving.container import Filename, file_name

__all__ = ["write_files"]


def write_files(contents: Mapping[Filename, bytes]) -> None:
    """Write files; if one of them cannot be written, none is changed.

    Parameters
    ----------
    contents : dict of path-like to bytes

    Raises
    ------
    ConfigurationError
        If a name is that of a folder.
    OSError
        If a file cannot be written; it is named by the path that was asked for.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_files({os.path.join(folder, "a"): b"1", os.path.join(folder, "b"): b"2"})
    ...     sorted(os.listdir(folder))
    ['a', 'b']
    """
    targets = {os.path.realpath(file_name(path)): content for path, content in contents.items()}
    for target in targets:
        if os.path.isdir(target):
            raise ConfigurationError(f"{target!r} is a folder; name a file in it")
    written: dict[str, str] = {}
    try:
        for target, content in targets.items():
            folder, name = os.path.split(target)
            temporary = os.path.join(folder, f".{name[:100]}.{secrets.token_hex(8)}.tmp")
            try:
                with open(temporary, "xb") as file:
                    written[temporary] = target
                    file.write(content)
            except OSError as error:
                error.filename = target  # nobody asked for the other one
                raise
        for temporary, target in written.items():
            os.replace(temporary, target)
    except BaseException:
        for temporary in written:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        raise
