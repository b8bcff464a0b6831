"""MNIST: finds the four files in a folder, or downloads them once into a cache; scales them.

What an idx file looks like inside is the business of ``_idx.py``. This module must not know models
or training, and writes nowhere but into the cache.
"""

from __future__ import annotations

import http.client
import io
import os
import secrets
import sys
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastnn.checks import check_flag
from fastnn.datasets._idx import IdxFile, read_idx
from fastnn.errors import DataError, FastnnError

ENVIRONMENT_VARIABLE = "FASTNN_DATA"

# In the order train images, train labels, test images, test labels. The checksums are of the
# unpacked content, which is the same however the file was compressed.
FILES = (
    IdxFile(
        "train-images-idx3-ubyte",
        (60000, 28, 28),
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    IdxFile(
        "train-labels-idx1-ubyte",
        (60000,),
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    IdxFile(
        "t10k-images-idx3-ubyte",
        (10000, 28, 28),
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    IdxFile(
        "t10k-labels-idx1-ubyte",
        (10000,),
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

_TIMEOUT_SECONDS = 30.0
_LARGEST_PACKING_OVERHEAD = 2**16  # bytes that gzip may add to data that it cannot compress
_LARGEST_PIXEL = 255


@dataclass(frozen=True)
class Spelling:
    """How whoever asks for MNIST names a folder; messages end with it."""

    folder: str
    cache: str


IN_PYTHON = Spelling("pass it as folder=", "Pass cache= a folder that can be written to")
ON_COMMAND_LINE = Spelling("give it with --data", "Or give a folder that holds the files with --data")


class DatasetNotFoundError(FastnnError, FileNotFoundError):
    """A data set is in none of the places for it, and could not or may not be downloaded."""


def load_mnist(
    folder: str | os.PathLike[str] | None = None,
    *,
    download: bool = True,
    cache: str | os.PathLike[str] | None = None,
) -> tuple[
    tuple[NDArray[np.float32], NDArray[np.int64]],
    tuple[NDArray[np.float32], NDArray[np.int64]],
]:
    """Return MNIST, 60000 training and 10000 test images of handwritten digits, 28 x 28 pixels.

    With `folder`, only that folder is looked at. Without it the files are looked for in the folder
    that the environment variable ``FASTNN_DATA`` names, then in the cache, and last they are
    downloaded into the cache. Each folder may hold the four files itself or in a sub-folder
    ``mnist``, unpacked or as ``.gz``. Every file is checked against the checksum of the original.

    Parameters
    ----------
    folder : path, optional
        Folder with the four files. Nothing is downloaded when it is given.
    download : bool, default True
        Whether to download files that are in none of the folders (11 MB).
    cache : path, optional
        Folder in which downloaded files are kept. By default ``fastnn/mnist`` in the user's cache:
        ``LOCALAPPDATA`` on Windows, elsewhere ``XDG_CACHE_HOME``, and where that is not set
        ``~/Library/Caches`` on macOS, else ``~/.cache``.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuple of tuple of ndarray
        Images as float32 of shape (rows, 784) from 0 to 1, labels as int64 of shape (rows,) from 0 to 9.

    Raises
    ------
    FileNotFoundError
        If the files are nowhere and cannot be downloaded, or are not in `folder`. The message says
        which files are wanted and where to put them.
    DTypeError
        If `download` is not a boolean.
    DataError
        If a file is damaged or is not the original. The message names it.
    OSError
        If a file cannot be read, or the cache cannot be written.

    References
    ----------
    Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied to document
    recognition", Proceedings of the IEEE 86 (11), 1998. The files are by Y. LeCun, C. Cortes and
    C. J. C. Burges, licence CC BY-SA 3.0.

    Examples
    --------
    >>> from fastnn.datasets import load_mnist
    >>> (x_train, y_train), (x_test, y_test) = load_mnist()  # doctest: +SKIP
    >>> x_train.shape, x_test.shape  # doctest: +SKIP
    ((60000, 784), (10000, 784))
    """
    return read_mnist(folder, check_flag(download, "download"), cache, IN_PYTHON)


def read_mnist(
    folder: str | os.PathLike[str] | None,
    download: bool,
    cache: str | os.PathLike[str] | None,
    spelling: Spelling,
) -> tuple[
    tuple[NDArray[np.float32], NDArray[np.int64]],
    tuple[NDArray[np.float32], NDArray[np.int64]],
]:
    """Do what `load_mnist` does, with messages for whoever asks."""
    paths = _locate(folder, download, cache, spelling)
    x_train, y_train, x_test, y_test = (_read(path, file) for path, file in zip(paths, FILES, strict=True))
    return (_scaled(x_train), y_train.astype(np.int64)), (_scaled(x_test), y_test.astype(np.int64))


def find_files(folder: Path) -> list[Path] | None:
    """Return the paths of the four files in a folder or its sub-folder ``mnist``, in the order of ``FILES``.

    Parameters
    ----------
    folder : Path
        Folder to look into; it need not exist.

    Returns
    -------
    list of Path or None
        None if neither place has all four files.
    """
    for place in (folder, folder / "mnist"):
        paths = [path for file in FILES if (path := _find_file(place, file)) is not None]
        if len(paths) == len(FILES):
            return paths
    return None


def _find_file(folder: Path, file: IdxFile) -> Path | None:
    for path in (folder / file.name, folder / f"{file.name}.gz"):
        if path.is_file():
            return path
    return None


def _locate(
    folder: str | os.PathLike[str] | None,
    download: bool,
    cache: str | os.PathLike[str] | None,
    spelling: Spelling,
) -> Sequence[Path]:
    """Return the paths of the four files, after a download if need be and allowed."""
    if folder is not None:
        given = Path(folder).expanduser()
        if (paths := find_files(given)) is None:
            raise DatasetNotFoundError(_how_to_provide([given], _describe_missing(given), spelling))
        return paths

    cache_folder = _default_cache() if cache is None else Path(cache).expanduser()
    places = [cache_folder]
    if named := os.environ.get(ENVIRONMENT_VARIABLE):
        places.insert(0, Path(named).expanduser())
    for place in places:
        if (paths := find_files(place)) is not None:
            return paths
    if not download:
        reason = "downloading is switched off (download=False)"
        raise DatasetNotFoundError(_how_to_provide(places, reason, spelling))
    return [
        _find_file(cache_folder, file) or _download(file, cache_folder, places, spelling) for file in FILES
    ]


def _default_cache() -> Path:
    """Return the folder for downloads that the conventions of the platform ask for."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "fastnn" / "mnist"


def _describe_missing(folder: Path) -> str:
    if not folder.is_dir():
        return "there is no such folder"
    present = [file.name for file in FILES if _find_file(folder, file) or _find_file(folder / "mnist", file)]
    missing = [file.name for file in FILES if file.name not in present]
    return f"missing there: {', '.join(missing)}" if missing else "the files are spread over two folders"


def _how_to_provide(places: Sequence[Path], reason: str, spelling: Spelling) -> str:
    """Return the message: where the files were looked for, which are wanted, where to put them."""
    return (
        f"MNIST was not found in {' or '.join(str(place) for place in places)} (or mnist inside); "
        f"{reason}. Put the four files {', '.join(file.name for file in FILES)} (unpacked, or with "
        f".gz appended) into one folder, and {spelling.folder} or set the environment variable "
        f"{ENVIRONMENT_VARIABLE} to it. The originals are at {' and '.join(MIRRORS)}"
    )


def _read(path: Path, file: IdxFile) -> NDArray[np.uint8]:
    """Return the array in one file, with an error that names the file and the way out."""
    with path.open("rb") as stream:
        try:
            return read_idx(stream, file)
        except DataError as error:
            raise DataError(
                f"{path} is not MNIST's {file.name}: {error}. Delete it, or replace it with the "
                f"original from {MIRRORS[0]}{file.name}.gz"
            ) from error


def _scaled(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return images as rows of float32 from 0 to 1."""
    return np.divide(images.reshape(len(images), -1), np.float32(_LARGEST_PIXEL), dtype=np.float32)


def _download(file: IdxFile, cache: Path, places: Sequence[Path], spelling: Spelling) -> Path:
    """Return the path in the cache of one file, fetched from the first mirror that delivers the original."""
    problems = []
    for mirror in MIRRORS:
        url = f"{mirror}{file.name}.gz"
        try:
            with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response:
                # A server that never ends is not to fill the memory. Packing may add a little.
                packed = response.read(file.n_bytes + _LARGEST_PACKING_OVERHEAD)
            read_idx(io.BytesIO(packed), file)
        except (OSError, http.client.HTTPException, DataError) as error:
            problems.append(f"{url} ({error})")
        else:
            return _write_atomically(cache / f"{file.name}.gz", packed, spelling)
    reason = f"downloading failed: {', '.join(problems)}"
    raise DatasetNotFoundError(_how_to_provide(places, reason, spelling))


def _write_atomically(path: Path, content: bytes, spelling: Spelling) -> Path:
    """Write a file so that other processes see either nothing or all of it, and return its path."""
    # Not `tempfile`, whose files nobody else may read: a cache can be shared.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(f"cannot keep the downloaded file {path}: {error}. {spelling.cache}") from error
    finally:
        if path.parent.is_dir():
            temporary.unlink(missing_ok=True)
    return path
