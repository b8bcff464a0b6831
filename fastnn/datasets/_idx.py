"""Reader of one idx file of bytes, unpacked or gzip, whose shape and checksum are known beforehand.

The file is not trusted: nothing larger than the expected content is read into memory. This
module must not know where files come from (folder, cache, network) nor what their numbers mean.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastnn.errors import DataError

_GZIP_MAGIC = b"\x1f\x8b"
_UNSIGNED_BYTE = 0x08


@dataclass(frozen=True)
class IdxFile:
    """What is known of an idx file before it is read.

    Attributes
    ----------
    name : str
        Name of the unpacked file.
    shape : tuple of int
        Shape of the array of bytes in it.
    sha256 : str
        Checksum, in hexadecimal, of the unpacked file.
    """

    name: str
    shape: tuple[int, ...]
    sha256: str

    @property
    def header(self) -> bytes:
        """The header of the unpacked file: type, number of dimensions, and the big-endian dimensions."""
        n_dimensions = len(self.shape)
        return struct.pack(f">HBB{n_dimensions}I", 0, _UNSIGNED_BYTE, n_dimensions, *self.shape)

    @property
    def n_bytes(self) -> int:
        """The size of the unpacked file."""
        return len(self.header) + math.prod(self.shape)


def read_idx(stream: io.BufferedIOBase, expected: IdxFile) -> NDArray[np.uint8]:
    """Return the array in an idx file after checking its header, size and checksum.

    Parameters
    ----------
    stream : binary file
        The file, unpacked or gzip (told apart by the content, not by the name), at its start and
        seekable.
    expected : IdxFile
        What the file must be.

    Returns
    -------
    ndarray of uint8, read-only
        Array of shape ``expected.shape``.

    Raises
    ------
    DataError
        If the file is anything else; the message says what was expected and what was found, but not
        the name of the file, which only the caller knows.
    """
    is_gzip = stream.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
    stream.seek(0)
    if not is_gzip:
        return _read_unpacked(stream, expected)
    try:
        with gzip.GzipFile(fileobj=stream, mode="rb") as unpacked:
            return _read_unpacked(unpacked, expected)
    except EOFError as error:
        raise DataError("the gzip data end too early, so the file is truncated") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"the gzip data are corrupt ({error})") from error


def _read_unpacked(stream: io.BufferedIOBase, expected: IdxFile) -> NDArray[np.uint8]:
    header = stream.read(len(expected.header))
    _check_header(header, expected)
    n_values = math.prod(expected.shape)
    values = stream.read(n_values + 1)
    if len(values) < n_values:
        raise DataError(
            f"the file is truncated: its unpacked content ends after {len(header) + len(values)} bytes, "
            f"expected {expected.n_bytes}"
        )
    if len(values) > n_values:
        raise DataError(f"the unpacked content goes on after the expected {expected.n_bytes} bytes")
    checksum = hashlib.sha256(header)
    checksum.update(values)
    if checksum.hexdigest() != expected.sha256:
        raise DataError(
            f"the sha256 checksum of the unpacked content is {checksum.hexdigest()}, "
            f"expected {expected.sha256}"
        )
    return np.frombuffer(values, dtype=np.uint8).reshape(expected.shape)


def _check_header(header: bytes, expected: IdxFile) -> None:
    if header[:4] != expected.header[:4]:
        raise DataError(
            f"the first four bytes are {header[:4].hex() or 'missing'}, expected {expected.header[:4].hex()} "
            f"(idx, unsigned bytes, {len(expected.shape)} dimensions)"
        )
    if len(header) < len(expected.header):
        raise DataError(f"the file is truncated: it ends in the header, after {len(header)} bytes")
    shape = struct.unpack(f">{len(expected.shape)}I", header[4:])
    if shape[0] != expected.shape[0]:
        raise DataError(f"the header announces {shape[0]} items, expected {expected.shape[0]}")
    if shape != expected.shape:
        raise DataError(f"the header announces items of shape {shape[1:]}, expected {expected.shape[1:]}")
