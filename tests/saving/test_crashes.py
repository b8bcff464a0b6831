"""Saving that is cut short: the old file or the new one, whole."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import fastnn
from fastnn import layers
from fastnn.saving import container

KILLED = """
import os, random, signal, sys, time
import numpy as np
import fastnn

path, values = sys.argv[1], []
shapes = [w.shape for w in fastnn.load_model(path).get_weights()]


def save(write):
    model, number = fastnn.load_model(path), 0
    while True:
        number += 1
        model.set_weights([np.full(shape, number) for shape in shapes])
        model.save(path)
        if number == 1:
            os.write(write, b"x")


random.seed(0)
for _ in range(30):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            save(write)
        finally:
            os._exit(1)
    os.close(write)
    assert os.read(read, 1) == b"x", "the child ended by itself"
    time.sleep(random.uniform(0, 0.02))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(read)
    found = {float(value) for w in fastnn.load_model(path).get_weights() for value in np.unique(w)}
    assert len(found) == 1, "parts of two saves"
    values += found
print(min(values), len(values))
"""


def big() -> fastnn.Sequential:
    model = fastnn.Sequential([fastnn.Input((200,)), layers.Dense(300), layers.Dense(10)], seed=0)
    model.compile("adam", "mse")
    return model


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_kill_in_the_midst_of_saving(tmp_path: Path) -> None:
    """Thirty processes save again and again, and are killed at some moment of it."""
    path = tmp_path / "model"
    big().save(path)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(path)], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    least, count = done.stdout.split()
    assert (float(least) >= 1, count) == (True, "30")


@pytest.mark.parametrize("step", ["open", "chmod", "_header", "_little_endian", "fsync", "replace"])
def test_a_step_that_fails_leaves_the_old_file_alone(step: str, tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "model"
    model = big()
    model.save(path)
    before = path.read_bytes()
    model.set_weights([w + 1 for w in model.get_weights()])

    def fails(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    owner: Any = os if step in ("chmod", "fsync", "replace") else container
    with monkeypatch.context() as patch:
        patch.setattr(owner, step, fails, raising=False)
        if step == "chmod":  # what cannot be given the old one's mode is written all the same
            model.save(path)
            assert path.read_bytes() != before
            return
        with pytest.raises(OSError, match="No space left"):
            model.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full disk")
def test_a_limit_on_the_size_of_files(tmp_path: Path) -> None:
    """A real failure in the midst of writing: the system refuses to make the file any longer."""
    script = (
        "import resource, signal, sys, fastnn\n"
        "model = fastnn.load_model(sys.argv[1])\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n    model.save(sys.argv[1])\nexcept OSError as error:\n    print('refused:', error)\n"
    )
    path = tmp_path / "model"
    big().save(path)
    before = path.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.startswith("refused:")
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        big().save(tmp_path / "nothing" / "model")
    (tmp_path / "folder").mkdir()
    with pytest.raises(fastnn.errors.ConfigurationError, match="is a folder"):
        big().save(tmp_path / "folder")


@pytest.mark.skipif(os.name != "posix", reason="modes and links are those of POSIX")
def test_a_file_keeps_its_mode_and_a_link_stays_one(tmp_path: Path) -> None:
    path, link = tmp_path / "model", tmp_path / "link"
    model = big()
    model.save(path)
    os.chmod(path, 0o640)
    link.symlink_to(path)
    before = path.read_bytes()
    model.set_weights([w + 1 for w in model.get_weights()])
    model.save(link)
    assert link.is_symlink()
    assert path.read_bytes() != before
    assert path.stat().st_mode & 0o777 == 0o640
    umask = os.umask(0o027)
    try:
        model.save(tmp_path / "fresh")
    finally:
        os.umask(umask)
    assert (tmp_path / "fresh").stat().st_mode & 0o777 == 0o640


def test_the_file_is_synced_before_it_takes_its_name(tmp_path: Path, monkeypatch: Any) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        assert os.fstat(descriptor).st_size > 100_000  # nothing waits in a buffer
        done.append("synced")
        fsync(descriptor)

    def replaced(*names: str) -> None:
        done.append("replaced")
        replace(*names)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    big().save(tmp_path / "model")
    assert done == ["synced", "replaced"]
    assert (tmp_path / "model").stat().st_size > 100_000
