"""Files of named arrays and one description: safetensors files, written whole and read with suspicion.

Whoever opens a file sees the old one or the new one, as the new one takes the old one's name when it is
complete.  Whoever reads one trusts nothing in it, not even that it stays as it is meanwhile: so nothing is
mapped into memory, and the header is checked here.  This file must not know models.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import secrets
import stat
import zlib
from collections.abc import Iterator, Mapping
from typing import IO, Any, Self, TypeAlias

import numpy as np

from fastnn.checks import shown
from fastnn.errors import ConfigurationError, DTypeError, FileFormatError

__all__ = ["Container", "Filename", "file_name", "write"]

Filename: TypeAlias = "str | os.PathLike[str]"

_KEY, _SUM = "fastnn", "crc32"  # of the description and its checksum, in the file's metadata
_LARGEST_HEADER = 100_000_000  # bytes, as in safetensors
_ROOM = 64_000_000  # bytes that what a header says may take, beside twice the file
_BYTES_A_VALUE = 100  # at most, of what JSON becomes in memory, besides texts
_DTYPES: dict[str, np.dtype] = {"F32": np.dtype(np.float32), "F64": np.dtype(np.float64)}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


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
    ConfigurationError
        If the name cannot be that of a file, or there is more to be described than `Container` would read.
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
    if not stat.S_ISDIR(os.stat(folder).st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder)
    # The order of safetensors.
    placed = sorted(arrays.items(), key=lambda item: (-item[1].itemsize, item[0]))
    header = _header(dict(placed), description)
    temporary = os.path.join(folder, f".{name[:100]}.{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            with contextlib.suppress(OSError):
                os.chmod(temporary, stat.S_IMODE(os.stat(target).st_mode))
            file.write(header)
            for _, array in placed:
                # What is longer than the buffer goes to the system from where it is.
                file.write(_little_endian(array))
            file.flush()
            # Before the file takes its name: else that could, after a crash, be the name of half a file.
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.filename == temporary:
            error.filename = target  # nobody asked for the other one
        raise


def _header(arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> bytes:
    """Return what stands before arrays that follow each other."""
    text = json.dumps(description, allow_nan=False, separators=(",", ":"))
    entries: dict[str, Any] = {"__metadata__": {_KEY: text, _SUM: _checksum(text)}}
    end = 0
    for name, array in arrays.items():
        begin, end = end, end + array.nbytes
        entries[name] = {
            "dtype": _NAMES[array.dtype],
            "shape": array.shape,
            "data_offsets": [begin, end],
        }
    header = json.dumps(entries, separators=(",", ":")).encode("ascii")
    header += b" " * (-len(header) % 8)  # so that arrays begin at multiples of their items' sizes
    if len(header) > _LARGEST_HEADER or _room(header) > _allowed(8 + len(header) + end):
        raise ConfigurationError(
            f"a model of {len(arrays)} arrays, described in {len(text)} characters, is too much for a file; "
            "save parts of it, or its weights by get_weights"
        )
    return len(header).to_bytes(8, "little") + header


def _little_endian(array: np.ndarray) -> memoryview:
    """Return the bytes of an array, as files have them; they are copied only where numbers are otherwise."""
    if not array.size:
        return memoryview(b"")
    return memoryview(array.astype(array.dtype.newbyteorder("<"), copy=False).reshape(-1)).cast("B")


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode('utf-8', 'surrogatepass')):08x}"


def _room(header: bytes) -> int:
    """Return how much memory what a header says can take at most; a text has up to four bytes a letter."""
    values = sum(map(header.count, (b",", b":", b"[", b"{")))
    return _BYTES_A_VALUE * values + (0 if header.isascii() else 16 * len(header))


def _allowed(size: int) -> int:
    return _ROOM + 2 * size


class Container:
    """A file of named arrays, opened for reading; a context manager.

    Nothing of the size that a file claims is allocated before it is known to be there.  What a header says
    takes at most twice the file's size and 64 MB.

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
        If the file was not written by `write`, or is damaged; at the end of the context, if it was changed
        meanwhile.
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

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and self._state() != self._opened:
                raise self.error("it was changed while it was read; load it again")
        finally:
            self._file.close()

    def _state(self) -> tuple[int, int]:
        """Return what changes when somebody writes into the file; another file of its name does not count."""
        status = os.fstat(self._file.fileno())
        return status.st_size, status.st_mtime_ns

    def error(self, what: str) -> FileFormatError:
        """Return the exception for a file that cannot be used."""
        return FileFormatError(f"{self.path!r} cannot be loaded: {what}")

    def _open(self) -> None:
        status = os.fstat(self._file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise self.error("it is not a regular file")
        self._opened = self._state()
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
        self._begin = 8 + length  # of the arrays
        if (room := _room(header)) > _allowed(self.size):
            raise self.error(
                f"what its header says may take {room} bytes of memory, more than {_allowed(self.size)}"
            )
        try:
            self._header = str(header, "utf-8")
        except UnicodeDecodeError:
            raise self.error("it is not a file that fastnn wrote") from None
        del header  # of all that is as large as the file, two are there at a time
        self._text = self._metadata(self._header)
        self.description = self._described(self._text)

    def index(self, arrays: int) -> None:
        """Find the arrays, so many of them, which the description speaks of.

        Raises
        ------
        FileFormatError
            If there are more or fewer, or the file is damaged.
        """
        # Read, a header of many arrays takes much more memory than the file: their number first.
        found = self._header.count('"data_offsets"')
        if found != arrays:
            raise self.error(f"it should hold {arrays} arrays, and its header speaks of {found}")
        entries = self._parsed(self._header)
        metadata = entries.pop("__metadata__", None)
        if not isinstance(metadata, dict) or metadata.get(_KEY) != self._text:
            raise self.error("it is damaged: it has two descriptions")
        for name, entry in entries.items():
            self._enter(name, entry)
        # Each byte behind the header belongs to one array.
        end = self._begin
        for name in sorted(self.shapes, key=lambda name: (self._offsets[name], self._bytes(name))):
            if self._offsets[name] != end:
                raise self.error(f"it is damaged: array {shown(name)} does not follow the one before it")
            end += self._bytes(name)
        if end != self.size:
            raise self.error(
                f"it is damaged, or was cut off: its arrays end after {end} bytes, and it after {self.size}"
            )

    def _enter(self, name: str, entry: object) -> None:
        """Note what the header says of an array."""
        told: dict[str, Any] = entry if isinstance(entry, dict) else {}
        dtype: Any = told.get("dtype")
        shape: Any = told.get("shape")
        offsets: Any = told.get("data_offsets")
        if not (isinstance(dtype, str) and _are_sizes(shape) and _are_sizes(offsets) and len(offsets) == 2):
            raise self.error(f"it is damaged: array {shown(name)} is described as {shown(entry)}")
        if dtype not in _DTYPES:
            raise self.error(f"array {shown(name)} is of type {shown(dtype)}, needs to be F32 or F64")
        self.shapes[name], self.dtypes[name] = tuple(shape), _DTYPES[dtype]
        self._offsets[name] = self._begin + offsets[0]
        if offsets[1] - offsets[0] != self._bytes(name):
            raise self.error(
                f"it is damaged: array {shown(name)} of shape {shown(shape)} takes {self._bytes(name)} "
                f"bytes, and lies from {offsets[0]} to {offsets[1]}"
            )

    def _bytes(self, name: str) -> int:
        return self.elements(name) * self.dtypes[name].itemsize

    def _metadata(self, header: str) -> str:
        """Return the description as text; the rest of the header is not read."""
        found = total = None
        with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
            begin = header.find("{", header.find('"__metadata__"'))
            metadata = json.JSONDecoder().raw_decode(header, begin)[0]
            found, total = metadata[_KEY], metadata.get(_SUM)
        if not isinstance(found, str):
            raise self.error("it is not a file that fastnn wrote")
        if total is not None and total != _checksum(found):  # the first versions wrote none
            raise self.error("its description is damaged: it does not have the checksum that is beside it")
        return found

    def _described(self, text: str) -> dict[str, Any]:
        try:
            found = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise self.error(f"its description is damaged: {error}") from error
        if not isinstance(found, dict):
            raise self.error("its description is damaged")
        return found

    def _parsed(self, header: str) -> dict[str, Any]:
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
        if not np.little_endian:
            out.byteswap(inplace=True)
        if not np.isfinite(out).all():
            raise self.error(f"array {shown(name)} holds NaN or infinite numbers")


def _are_sizes(value: Any) -> bool:
    """Return whether a value is a list of numbers of bytes, or of elements along axes."""
    return isinstance(value, list) and all(type(size) is int and 0 <= size < 2**63 for size in value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in its header")
    return found


def _no_number(name: str) -> Iterator[None]:
    raise ValueError(f"{name} is not a number")
