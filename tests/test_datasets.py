"""Tests of MNIST: content, search order, downloads (never a real one) and damaged files."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import os
import struct
import sys
import tracemalloc
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastnn.datasets import _mnist, load_mnist
from fastnn.datasets._idx import IdxFile

Contents = dict[str, bytes]


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep every test away from the network and from the user's folders."""

    def refuse(url: str, **options: object) -> None:
        raise AssertionError(f"unexpected download of {url}")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.delenv("FASTNN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "platform", "linux")


# --- a small stand-in for MNIST -------------------------------------------------------------------


def idx(array: np.ndarray) -> bytes:
    """Return the idx file of an array of bytes, written independently of the reader."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Contents:
    """Replace MNIST by 6 training and 4 test images, and return the content of its four files."""
    random = np.random.default_rng(0)
    contents, files = {}, []
    for file, n_rows in zip(_mnist.FILES, (6, 6, 4, 4), strict=True):
        shape = (n_rows, *file.shape[1:])
        array = random.integers(0, 10 if len(shape) == 1 else 256, shape, dtype=np.uint8)
        array.flat[0] = 255 if array.ndim == 3 else 9
        contents[file.name] = idx(array)
        files.append(IdxFile(file.name, shape, hashlib.sha256(contents[file.name]).hexdigest()))
    monkeypatch.setattr(_mnist, "FILES", tuple(files))
    return contents


def write(folder: Path, contents: Contents, *, packed: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)


def assert_is_small(data: Any, contents: Contents) -> None:
    (x_train, y_train), (x_test, y_test) = data
    for x, y, part in ((x_train, y_train, "train"), (x_test, y_test, "t10k")):
        pixels = np.frombuffer(contents[f"{part}-images-idx3-ubyte"][16:], np.uint8).reshape(-1, 784)
        assert x.dtype == np.float32
        np.testing.assert_array_equal(x, pixels.astype(np.float32) / np.float32(255))
        assert x.max() == 1.0
        assert y.dtype == np.int64
        assert y.tolist() == list(contents[f"{part}-labels-idx1-ubyte"][8:])


class Server:
    """Stands in for the mirrors: answers with bytes or raises, and keeps the URLs it was asked for."""

    def __init__(self, answer: Callable[[str], bytes | Exception]) -> None:
        self.answer = answer
        self.urls: list[str] = []

    def __call__(self, url: str, *, timeout: float) -> io.BytesIO:
        """Answer in place of ``urllib.request.urlopen``."""
        assert 0 < timeout <= 60
        self.urls.append(url)
        answer = self.answer(url)
        if isinstance(answer, Exception):
            raise answer
        return io.BytesIO(answer)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, small: Contents) -> Server:
    """Install mirrors that both have the small files; a test may replace ``answer``."""
    server = Server(lambda url: gzip.compress(small[Path(url).stem]))
    monkeypatch.setattr("urllib.request.urlopen", server)
    return server


# --- where the files are looked for ---------------------------------------------------------------


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("inside", [".", "mnist"])
def test_mnist_in_a_given_folder(tmp_path: Path, small: Contents, inside: str, packed: bool) -> None:
    write(tmp_path / inside, small, packed=packed)
    assert_is_small(load_mnist(tmp_path), small)
    assert_is_small(load_mnist(str(tmp_path)), small)


def test_mnist_files_may_be_packed_or_not_whatever_their_names(tmp_path: Path, small: Contents) -> None:
    for i, (name, content) in enumerate(small.items()):
        unpacked_name = tmp_path / (name if i % 2 else f"{name}.gz")
        unpacked_name.write_bytes(content if i < 2 else gzip.compress(content))
    assert_is_small(load_mnist(tmp_path), small)


@pytest.mark.parametrize("inside", [".", "mnist"])
def test_mnist_in_the_folder_of_the_environment_variable(
    tmp_path: Path, small: Contents, monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    write(tmp_path / "named" / inside, small)
    write(tmp_path / "cache", dict.fromkeys(small, b"must not be read"))
    monkeypatch.setenv("FASTNN_DATA", str(tmp_path / "named"))
    assert_is_small(load_mnist(cache=tmp_path / "cache"), small)


def test_mnist_folder_goes_before_the_environment_variable(
    tmp_path: Path, small: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "given", small)
    write(tmp_path / "named", dict.fromkeys(small, b"must not be read"))
    monkeypatch.setenv("FASTNN_DATA", str(tmp_path / "named"))
    assert_is_small(load_mnist(tmp_path / "given"), small)


@pytest.mark.parametrize("named", ["", "named"])
def test_mnist_in_the_cache_if_the_variable_is_empty_or_its_folder_lacks_files(
    tmp_path: Path, small: Contents, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    write(tmp_path / "named", dict(list(small.items())[:3]))
    monkeypatch.setenv("FASTNN_DATA", named and str(tmp_path / named))
    write(tmp_path / "xdg" / "fastnn" / "mnist", small)
    assert_is_small(load_mnist(), small)


def test_mnist_folders_may_start_with_a_tilde(
    tmp_path: Path, small: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "home" / "data", small)
    assert_is_small(load_mnist("~/data"), small)
    assert_is_small(load_mnist(cache="~/data"), small)
    monkeypatch.setenv("FASTNN_DATA", "~/data")
    assert_is_small(load_mnist(download=False), small)


@pytest.mark.parametrize(
    ("platform", "variables", "wanted"),
    [
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/fastnn/mnist"),
        ("linux", {}, "{home}/.cache/fastnn/mnist"),
        ("darwin", {}, "{home}/Library/Caches/fastnn/mnist"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/fastnn/mnist"),
        ("win32", {}, "{home}/AppData/Local/fastnn/mnist"),
    ],
)
def test_mnist_cache_is_where_the_platform_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, variables: dict[str, str], wanted: str
) -> None:
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert _mnist._default_cache() == Path(wanted.format(home=tmp_path))


def assert_says_what_to_do(message: str) -> None:
    for file in _mnist.FILES:
        assert file.name in message
    assert "FASTNN_DATA" in message
    assert "folder=" in message


def test_mnist_given_folder_that_lacks_a_file_is_an_error(tmp_path: Path, small: Contents) -> None:
    name = "t10k-labels-idx1-ubyte"
    write(tmp_path, {key: content for key, content in small.items() if key != name})
    with pytest.raises(FileNotFoundError, match=f"missing there: {name}[.]") as caught:
        load_mnist(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert_says_what_to_do(str(caught.value))


def test_mnist_given_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder"):
        load_mnist(tmp_path / "nowhere")


def test_mnist_without_files_and_without_download(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="download=False") as caught:
        load_mnist(download=False, cache=tmp_path / "cache")
    assert str(tmp_path / "cache") in str(caught.value)
    assert_says_what_to_do(str(caught.value))


# --- downloads ------------------------------------------------------------------------------------


def test_mnist_is_downloaded_once(tmp_path: Path, small: Contents, server: Server) -> None:
    assert_is_small(load_mnist(), small)
    assert server.urls == [f"{_mnist.MIRRORS[0]}{name}.gz" for name in small]
    cache = tmp_path / "xdg" / "fastnn" / "mnist"
    assert sorted(path.name for path in cache.iterdir()) == sorted(f"{name}.gz" for name in small)
    assert_is_small(load_mnist(), small)
    assert len(server.urls) == 4


def test_mnist_download_fetches_only_what_is_missing(tmp_path: Path, small: Contents, server: Server) -> None:
    write(tmp_path, dict(list(small.items())[:3]), packed=False)
    assert_is_small(load_mnist(cache=tmp_path), small)
    assert [Path(url).stem for url in server.urls] == ["t10k-labels-idx1-ubyte"]


@pytest.mark.parametrize(
    "failure",
    [
        urllib.error.URLError("no route"),
        TimeoutError("timed out"),
        http.client.IncompleteRead(b"half"),
        b"<html>log in to this network</html>",
        gzip.compress(b"something else"),
        b"",
    ],
    ids=["no-route", "timeout", "incomplete", "html", "other-content", "empty"],
)
def test_mnist_comes_from_the_second_mirror_when_the_first_fails(
    tmp_path: Path, small: Contents, server: Server, failure: bytes | Exception
) -> None:
    good = server.answer
    server.answer = lambda url: failure if url.startswith(_mnist.MIRRORS[0]) else good(url)
    assert_is_small(load_mnist(cache=tmp_path), small)
    assert len(server.urls) == 8


def test_mnist_without_network_says_what_to_do(tmp_path: Path, server: Server) -> None:
    server.answer = lambda url: urllib.error.URLError("no route")
    with pytest.raises(FileNotFoundError, match="no route") as caught:
        load_mnist(cache=tmp_path / "cache")
    assert str(tmp_path / "cache") in str(caught.value)
    assert_says_what_to_do(str(caught.value))
    assert not (tmp_path / "cache").exists()


def test_mnist_download_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: Contents) -> None:
    class Endless(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            assert size is not None
            assert 0 < size < 100_000
            return bytes(size)

    monkeypatch.setattr("urllib.request.urlopen", lambda url, timeout: Endless())
    with pytest.raises(FileNotFoundError, match="first four bytes"):
        load_mnist(cache=tmp_path)


@pytest.mark.parametrize("interruption", [OSError("disk full"), KeyboardInterrupt()])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_mnist_interrupted_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server, call: str, interruption: BaseException
) -> None:
    def interrupt(*arguments: object) -> None:
        raise interruption

    with monkeypatch.context() as patch:
        patch.setattr(os, call, interrupt)
        with pytest.raises(type(interruption)):
            load_mnist(cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_mnist_cache_that_cannot_be_written(tmp_path: Path, server: Server) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match=r"cannot keep the downloaded file .* cache="):
        load_mnist(cache=tmp_path / "file" / "cache")


# --- damaged files --------------------------------------------------------------------------------


def flip(content: bytes, position: int) -> bytes:
    return content[:position] + bytes([content[position] ^ 0xFF]) + content[position + 1 :]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda raw: gzip.compress(raw)[:-20], "gzip data end too early"),
        (lambda raw: gzip.compress(raw)[:5], "gzip data end too early"),
        (lambda raw: flip(gzip.compress(raw), -6), "gzip data are corrupt"),
        (lambda raw: flip(gzip.compress(raw), 2), "gzip data are corrupt"),
        (lambda raw: flip(gzip.compress(raw), 14), "gzip data are corrupt"),
        (lambda raw: b"", "first four bytes are missing"),
        (lambda raw: b"<html></html>", "first four bytes are 3c68746d, expected 00000803"),
        (lambda raw: flip(raw, 2), "first four bytes are 0000f703"),
        (lambda raw: raw[:7], "ends in the header, after 7 bytes"),
        (lambda raw: raw[:4] + b"\0\0\0\7" + raw[8:], "announces 7 items, expected 6"),
        (lambda raw: raw[:4] + b"\xff" * 12 + raw[16:], "announces 4294967295 items"),
        (lambda raw: raw[:11] + b"\x0e" + raw[12:], r"shape \(14, 28\), expected \(28, 28\)"),
        (lambda raw: raw[:-1], "truncated: its unpacked content ends after 4719 bytes, expected 4720"),
        (lambda raw: gzip.compress(raw + b"\0"), "goes on after the expected 4720 bytes"),
        (lambda raw: gzip.compress(raw[:-1]), "ends after 4719 bytes"),
        (lambda raw: raw + b"\0", "goes on after the expected 4720 bytes"),
        (lambda raw: flip(raw, 100), "sha256 checksum"),
        (lambda raw: gzip.compress(flip(raw, 100)), "sha256 checksum"),
    ],
)
def test_mnist_damaged_file_is_named(
    tmp_path: Path, small: Contents, damage: Callable[[bytes], bytes], message: str
) -> None:
    write(tmp_path, small)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(damage(small["train-images-idx3-ubyte"]))
    with pytest.raises(ValueError, match=message) as caught:
        load_mnist(tmp_path)
    assert str(path) in str(caught.value)
    assert "Delete it" in str(caught.value)


def test_mnist_file_that_unpacks_to_too_much_is_not_unpacked(tmp_path: Path, small: Contents) -> None:
    write(tmp_path, small)
    name = "train-images-idx3-ubyte"
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(small[name] + bytes(2 * 10**7), 1))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="goes on after the expected 4720 bytes"):
            load_mnist(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 2 * 10**6
    finally:
        tracemalloc.stop()


def test_mnist_labels_that_do_not_belong_to_the_images(tmp_path: Path, small: Contents) -> None:
    small["train-labels-idx1-ubyte"] = small["t10k-labels-idx1-ubyte"]
    write(tmp_path, small)
    with pytest.raises(ValueError, match=r"train-labels.* announces 4 items, expected 6"):
        load_mnist(tmp_path)


# --- the real files -------------------------------------------------------------------------------


def test_mnist_content(mnist_folder: Path) -> None:
    (x_train, y_train), (x_test, y_test) = load_mnist(mnist_folder)
    assert x_train.shape == (60000, 784)
    assert x_test.shape == (10000, 784)
    assert y_train[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert y_test[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(y_train).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(y_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    # The mean and the standard deviation of the training pixels that the literature gives.
    assert x_train.mean(dtype=np.float64) == pytest.approx(0.1307, abs=5e-5)
    assert x_train.std(dtype=np.float64) == pytest.approx(0.3081, abs=5e-5)
    for x, y in ((x_train, y_train), (x_test, y_test)):
        assert x.dtype == np.float32
        assert x.flags.c_contiguous
        assert (x.min(), x.max()) == (0.0, 1.0)
        assert y.dtype == np.int64
