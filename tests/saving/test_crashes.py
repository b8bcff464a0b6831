"""Saving that is cut short: the old file or the new one, whole."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import failing_saves
import numpy as np
import pytest

import fastnn
from fastnn import layers


def big() -> fastnn.Sequential:
    model = fastnn.Sequential([fastnn.Input((200,)), layers.Dense(300), layers.Dense(10)], seed=0)
    model.compile("adam", "mse")
    return model


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_kill_in_the_midst_of_saving(tmp_path: Path) -> None:
    """More than fifty processes save, each is killed at another moment, most of them between two writes."""
    path = tmp_path / "model"
    big().save(path)
    script = str(Path(failing_saves.__file__))
    done = subprocess.run(
        [sys.executable, script, str(path)], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found["killed"]) >= 50
    # Up to the renaming the old file is there, and behind it the new one.
    names = [moment for moment, _ in found["killed"]]
    assert names.count("write") > 40
    assert set(names) == {"open", "chmod", "write", "fsync", "close", "replace", "replaced"}
    assert all(is_new == (moment == "replaced") for moment, is_new in found["killed"])
    # What was killed leaves a file whose name begins with a point, and nothing else.
    left = [name for name in os.listdir(tmp_path) if name != "model"]
    assert all(name.startswith(".model.") and name.endswith(".tmp") for name in left)
    assert len(left) == len(names) - 2  # there is none yet, and no more


ERRORS = [
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EIO, "Input/output error"),
    KeyboardInterrupt("in the midst of it"),
    MemoryError("no memory"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__ + str(error)[:9])
def test_whatever_fails_the_old_file_is_whole_and_alone(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of the system's calls, one after the other, of all that a save makes."""
    path = tmp_path / "model"
    model = big()
    model.save(path)
    before = path.read_bytes()
    model.set_weights([w + 1 for w in model.get_weights()])
    moments: list[str] = []

    def count(moment: str) -> None:
        moments.append(moment)

    with monkeypatch.context() as patch:
        failing_saves.install(patch.setattr, count)
        model.save(path)
    after = path.read_bytes()
    path.write_bytes(before)
    failed = 0
    for number, expected in enumerate(list(moments)):
        moments.clear()

        def fail(moment: str, number: int = number) -> None:
            moments.append(moment)
            if len(moments) == number + 1:
                raise error

        with monkeypatch.context() as patch:
            failing_saves.install(patch.setattr, fail)
            # A file that cannot be given the old one's mode is written all the same.
            if expected in ("chmod", "replaced") and isinstance(error, OSError):
                with contextlib.suppress(OSError):
                    model.save(path)
                assert path.read_bytes() == after
                path.write_bytes(before)
                continue
            with pytest.raises(type(error), match=str(error).replace("[Errno", "").split("]")[-1].strip()):
                model.save(path)
        failed += 1
        assert path.read_bytes() == (after if expected == "replaced" else before), expected
        assert os.listdir(tmp_path) == ["model"]
        path.write_bytes(before)
    assert failed > 40
    model.save(path)
    assert path.read_bytes() == after


def test_writes_that_are_cut_short_are_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may take less than it is given, at any time."""
    model = big()
    model.save(tmp_path / "whole")
    pieces: list[str] = []
    failing_saves.install(monkeypatch.setattr, pieces.append, most=777)
    model.save(tmp_path / "pieces")
    assert (tmp_path / "pieces").read_bytes() == (tmp_path / "whole").read_bytes()
    assert pieces.count("write") > 900


def test_a_checkpoint_that_cannot_be_written_ends_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the error, the file of the epoch before, and a model that can be trained and saved."""
    path = tmp_path / "model"
    model, seen = big(), []

    def fail(moment: str) -> None:
        seen.append(moment)
        if seen.count("fsync") == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    x, y = np.ones((4, 200)), np.ones((4, 10))
    with monkeypatch.context() as patch:
        failing_saves.install(patch.setattr, fail)
        with pytest.raises(OSError, match="No space left"):
            model.fit(x, y, epochs=5, verbose=0, callbacks=[fastnn.callbacks.ModelCheckpoint(path)])
    assert os.listdir(tmp_path) == ["model"]
    assert fastnn.load_model(path).optimizer.iterations == 1
    assert model.optimizer.iterations == 2
    model.fit(x, y, verbose=0)
    model.save(path)
    assert fastnn.load_model(path).optimizer.iterations == 3


def test_a_folder_that_goes_while_it_is_saved_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    model = big()

    def remove(moment: str) -> None:
        if moment == "fsync":
            shutil.rmtree(folder)

    failing_saves.install(monkeypatch.setattr, remove)
    with pytest.raises(FileNotFoundError):
        model.save(folder / "model")
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="this system has no such users")
def test_a_folder_that_nobody_may_write_to(tmp_path: Path) -> None:
    script = (
        "import os, sys, fastnn\n"
        "model = fastnn.load_model(sys.argv[1])\n"
        "os.chdir(os.path.dirname(sys.argv[1]))\n"
        "if os.geteuid() == 0:\n    os.seteuid(65534)\n"
        "for name in ('model', 'other'):\n"
        "    try:\n        model.save(name)\n"
        "    except PermissionError as error:\n        print('refused:', error)\n"
    )
    path = tmp_path / "folder" / "model"
    path.parent.mkdir()
    big().save(path)
    before = path.read_bytes()
    os.chmod(path.parent, 0o555)
    try:
        done = subprocess.run(
            [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True, timeout=300
        )
    finally:
        os.chmod(path.parent, 0o755)
    said = done.stdout.splitlines()
    assert all(line.startswith("refused: [Errno 13]") and ".tmp" not in line for line in said)
    assert len(said) == 2
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["model"]


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
    if os.path.exists("/dev/full"):
        with pytest.raises(fastnn.errors.ConfigurationError, match="is a device or a pipe"):
            big().save("/dev/full")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        big().save(tmp_path / "file" / "model")
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
