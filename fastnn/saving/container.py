"""Files of named arrays and one description: safetensors files, written whole and read with suspicion.

Whoever opens a file sees the old one or the new one, as the new one takes the old one's name when it is
complete.  Whoever reads one trusts nothing in it.  This file must not know models.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from typing import IO, Any, Self, TypeAlias

import numpy as np
import safetensors
from safetensors.numpy import save

from fastnn.checks import shown
from fastnn.errors import ConfigurationError, DTypeError, FileFormatError

__all__ = ["Container", "Filename", "file_name", "write"]

Filename: TypeAlias = "str | os.PathLike[str]"

_KEY = "fastnn"  # of the description, in the file's metadata
_LARGEST_HEADER = 100_000_000  # bytes, as in safetensors
_DTYPES: dict[str, np.dtype] = {"F32": np.dtype(np.float32), "F64": np.dtype(np.float64)}


def file_name(path: object) -> str:
    """Return a file's name after checking that it can be one."""
    try:
        name = os.fspath(path)  # type: ignore[call-overload]
    except TypeError:
        name = None
    if not isinstance(name, str) or not name or "\0" in name:
        raise DTypeError(f"a file's name must be a string or a path, got {shown(path)}")
    return name


def write(path: Filename, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> None:
    """Write a file: another process, or one after a crash, finds the old file or all of the new one.

    Parameters
    ----------
    path : str or path-like
    arrays : dict of str to numpy.ndarray
        Of float32 or float64, C-contiguous.
    description : dict
        Plain values, as JSON has them.

    Raises
    ------
    OSError
        If the file cannot be written.  Then what was there is there still.
    """
    # A link stays one: what it leads to is replaced.
    target = os.path.realpath(file_name(path))
    if os.path.isdir(target):
        raise ConfigurationError(f"{target!r} is a folder; name a file in it")
    if os.path.exists(target) and not os.path.isfile(target):
        raise ConfigurationError(f"{target!r} is a device or a pipe, which a file would replace; name a file")
    folder, name = os.path.split(target)
    if not os.path.isdir(folder):  # else the error would name a file that nobody asked for
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), folder)
    temporary = os.path.join(folder, f".{name[:100]}.{secrets.token_hex(8)}.tmp")
    metadata = {_KEY: json.dumps(description, allow_nan=False, separators=(",", ":"))}
    content = save(dict(arrays), metadata)
    try:
        with open(temporary, "xb") as file:
            with contextlib.suppress(OSError):
                os.chmod(temporary, stat.S_IMODE(os.stat(target).st_mode))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    """Make the new name of a file last, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some file systems do not
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Container:
    """A file of named arrays, opened for reading; a context manager.

    Nothing of the size that a file claims is allocated before it is known to be there.

    Parameters
    ----------
    path : str or path-like

    Attributes
    ----------
    description : dict
    shapes : dict of str to tuple of int
        Of the arrays, after `index`.
    dtypes : dict of str to numpy.dtype
    size : int
        Bytes of the file.

    Raises
    ------
    FileFormatError
        If the file was not written by `write`, or is damaged.
    OSError
        If it cannot be read.
    """

    def __init__(self, path: Filename) -> None:
        self.path = file_name(path)
        if os.path.isdir(self.path):
            raise FileFormatError(f"{self.path!r} is a folder, not a file written by fastnn")
        self.description: dict[str, Any] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.dtypes: dict[str, np.dtype] = {}
        self._offsets: dict[str, int] = {}
        # A pipe without a writer would else be waited for.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        self._file: IO[bytes] = os.fdopen(os.open(self.path, flags), "rb")
        try:
            self._open()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def error(self, what: str) -> FileFormatError:
        """Return the exception for a file that cannot be used."""
        return FileFormatError(f"{self.path!r} cannot be loaded: {what}")

    def _open(self) -> None:
        status = os.fstat(self._file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise self.error("it is not a regular file")
        self.size = status.st_size
        start = self._file.read(8)
        if start[:4] == b"PK\3\4":
            raise self.error(
                "it is a zip archive, such as Keras and PyTorch write; build the model here and pass the "
                "weights to set_weights"
            )
        if start == b"\x89HDF\r\n\x1a\n":
            raise self.error(
                "it is an HDF5 file, such as Keras writes; build the model here and pass the weights to "
                "set_weights"
            )
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > min(self.size - 8, _LARGEST_HEADER):
            raise self.error("it is no safetensors file, or was cut off")
        header = self._file.read(length)
        if len(header) < length:
            raise self.error("it was cut off while it was read")
        self._header, self._text = header, self._metadata(header)
        self.description = self._described(self._text)

    def index(self, arrays: int) -> None:
        """Find the arrays, so many of them, which the description speaks of.

        Raises
        ------
        FileFormatError
            If there are more or fewer, or the file is damaged.
        """
        # Read, a header of many arrays takes much more memory than the file: their number first.
        found = self._header.count(b'"data_offsets"')
        if found != arrays:
            raise self.error(f"it should hold {arrays} arrays, and its header speaks of {found}")
        try:
            with safetensors.safe_open(self.path, "np"):
                pass
        except (safetensors.SafetensorError, OSError, ValueError) as error:
            raise self.error(f"it is damaged: {error}") from error
        entries = self._parsed(self._header)
        if entries.pop("__metadata__")[_KEY] != self._text:
            raise self.error("it is damaged: it has two descriptions")
        for name, entry in entries.items():
            if entry["dtype"] not in _DTYPES:
                raise self.error(f"array {shown(name)} is of type {entry['dtype']}, needs to be F32 or F64")
            self.shapes[name] = tuple(entry["shape"])
            self.dtypes[name] = _DTYPES[entry["dtype"]]
            self._offsets[name] = 8 + len(self._header) + entry["data_offsets"][0]

    def _metadata(self, header: bytes) -> str:
        """Return the description as text; the rest of the header is not read."""
        begin = header.find(b"{", header.find(b'"__metadata__"'))
        try:
            text = str(memoryview(header)[begin:], "utf-8")
            found = json.JSONDecoder().raw_decode(text)[0][_KEY]
        except (ValueError, KeyError, TypeError, RecursionError):
            found = None
        if not isinstance(found, str):
            raise self.error("it is not a file that fastnn wrote")
        return found

    def _described(self, text: str) -> dict[str, Any]:
        try:
            found = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise self.error(f"its description is damaged: {error}") from error
        if not isinstance(found, dict):
            raise self.error("its description is damaged")
        return found

    def _parsed(self, header: bytes) -> dict[str, Any]:
        """Return the header of a well-formed file, in which no name may stand twice."""
        try:
            return dict(json.loads(header, object_pairs_hook=_unique))
        except (ValueError, RecursionError) as error:
            raise self.error(f"it is damaged: {error}") from error

    def elements(self, name: str) -> int:
        """Return the number of elements of an array."""
        return math.prod(self.shapes[name])

    def read(self, name: str, out: np.ndarray) -> None:
        """Read an array.

        Parameters
        ----------
        name : str
        out : numpy.ndarray
            OUT, of the array's shape and dtype, C-contiguous.

        Raises
        ------
        FileFormatError
            If the file ends before, or a number is not finite.
        """
        self._file.seek(self._offsets[name])
        view = memoryview(out.reshape(-1)).cast("B") if out.size else memoryview(b"")
        if out.size and self._file.readinto(view) != len(view):  # type: ignore[attr-defined]
            raise self.error("it was cut off while it was read")
        if not np.isfinite(out).all():
            raise self.error(f"array {shown(name)} holds NaN or infinite numbers")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in its header")
    return found


def _no_number(name: str) -> Iterator[None]:
    raise ValueError(f"{name} is not a number")
