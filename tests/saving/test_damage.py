"""Files that were damaged, or are changed while they are read, and how much memory bad ones may take."""

from __future__ import annotations

import copy
import json
import os
import resource
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
from bad_files import BOMB, KINDS, arrayed, describe, described, joined, parts, saved

import fastnn
from fastnn import layers
from fastnn.callbacks import BackupAndRestore, Callback, EarlyStopping, LambdaCallback
from fastnn.errors import ConfigurationError, FileFormatError
from fastnn.saving import container, structure

ROOM = 64_000_000  # bytes that a header's contents may take, as docs/saving.md says


def outline(model: fastnn.Model) -> Any:
    """Return all that a file says of a model and what it was compiled with, but for the numbers in arrays."""
    optimizer = model.optimizer
    return (
        model.get_config(),
        [w.shape for w in model.get_weights()],
        optimizer.description,
        optimizer.asked[0],
        (optimizer.learning_rate, optimizer.iterations, optimizer.progress.epochs),
    )


@pytest.mark.parametrize("seed", range(4))
def test_a_bit_that_is_turned_is_noticed_or_is_in_a_number_of_an_array(seed: int, tmp_path: Path) -> None:
    """Five hundred files each, of one bit: another model of what is described is never returned."""
    path = tmp_path / "model"
    content = saved(path)
    good = outline(fastnn.load_model(path))
    header = 8 + struct.unpack("<Q", content[:8])[0]
    rng = np.random.default_rng(seed)
    # Half of them where most can go wrong.
    places = [*rng.integers(0, header, 250), *rng.integers(0, len(content), 250)]
    refused = loaded = 0
    for place in places:
        changed = bytearray(content)
        changed[place] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        try:
            model = fastnn.load_model(path)
        except FileFormatError:
            refused += 1
            continue
        loaded += 1
        assert outline(model) == good, (place, content[place - 20 : place + 20])
    assert refused > 200
    assert loaded > 20


def test_several_bytes_that_are_changed_do_no_harm(tmp_path: Path) -> None:
    """They are refused, or in numbers; nothing else is raised."""
    path = tmp_path / "model"
    content = saved(path)
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(400):
        changed = bytearray(content)
        for at in rng.integers(0, len(content), rng.integers(1, 4)):
            changed[at] = rng.integers(256)
        path.write_bytes(changed)
        try:
            fastnn.load_model(path)
        except FileFormatError:
            refused += 1
    assert refused > 130


def boundaries(content: bytes) -> set[int]:
    """Return where something ends in a file: the length, entries of the header, arrays."""
    header, data = parts(content)
    begin = len(content) - len(data)
    text = content[8:begin]
    inside = {8 + i for i, byte in enumerate(text) if byte in b"{}[]"}
    arrays = {begin + end for entry in header.values() for end in entry.get("data_offsets", ())}
    return {0, 1, 7, 8, begin - 1, begin, *inside, *arrays} - {len(content)}


def test_a_file_that_is_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model"
    content = saved(path)
    places = boundaries(content) | set(range(0, len(content), 37))
    assert len(places) > 300
    model = fastnn.load_model(path)
    for place in places:
        path.write_bytes(content[:place])
        for load in (fastnn.load_model, model.load_weights):
            with pytest.raises(FileFormatError):
                load(path)


# -- descriptions that say something else


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths to all values in lists and dicts, and to these."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield from leaves(value[key], (*path, key))


OTHERS: list[Any] = [None, True, -1, 0, 3, 2**40, 2**70, 0.5, -1e308, "", "dense", [], [[]], {}, {"a": 1}]
DELETED = object()


@pytest.mark.parametrize("top", ["model", "compiled", "weights"])
def test_any_value_in_a_description_may_be_anything(top: str, tmp_path: Path) -> None:
    """It is refused, or another one is meant; nothing else is raised."""
    path = tmp_path / "model"
    content = saved(path)
    description = json.loads(parts(content)[0]["__metadata__"]["fastnn"])
    places = [place for place in leaves(description) if place[0] == top]
    refused = tried = 0
    rng = np.random.default_rng(0)
    for place in places:
        for chosen in {0, *rng.integers(0, len(OTHERS) + 1, 4)}:
            changed = copy.deepcopy(description)
            owner = changed
            for key in place[:-1]:
                owner = owner[key]
            if chosen == len(OTHERS):
                del owner[place[-1]]
            else:
                owner[place[-1]] = OTHERS[chosen]
            header, data = parts(content)
            describe(header, changed)
            path.write_bytes(joined(header, data))
            tried += 1
            try:
                fastnn.load_model(path)
            except FileFormatError as error:
                assert str(path) in str(error), place  # noqa: PT017
                refused += 1
    assert refused > tried / 3


def backup(path: Path) -> bytes:
    """Return a backup of a training that was cut off."""

    def fail(epoch: int, logs: Any = None) -> None:
        if epoch == 2:
            raise KeyError

    with pytest.raises(KeyError):
        go_on(path, LambdaCallback(on_epoch_begin=fail))
    return (path / "training.backup").read_bytes()


def go_on(path: Path, *others: Callback) -> fastnn.Model:
    model = fastnn.Sequential([fastnn.Input((4,)), layers.Dense(3)], seed=0)
    model.compile("adam", "mse")
    told = [BackupAndRestore(path), EarlyStopping("loss", patience=9), *others]
    model.fit(np.ones((5, 4)), np.ones((5, 3)), epochs=3, verbose=0, callbacks=told)
    return model


def test_any_value_in_a_backup_may_be_anything(tmp_path: Path) -> None:
    """It is refused, or training goes on; nothing else is raised."""
    content = backup(tmp_path)
    description = json.loads(parts(content)[0]["__metadata__"]["fastnn"])
    description["training"]["notes"] = json.loads(description["training"]["notes"])
    refused = tried = 0
    for place in leaves(description):
        if "callbacks" in place[:-1]:  # what callbacks remember is for them to judge
            continue
        for other in (DELETED, None, -1, 2**70, 0.5, "x", [], [[]], {}):
            changed = copy.deepcopy(description)
            owner = changed
            for key in place[:-1]:
                owner = owner[key]
            if other is DELETED:
                del owner[place[-1]]
            else:
                owner[place[-1]] = other
            training = changed.get("training")
            if isinstance(training, dict) and isinstance(training.get("notes"), dict | list):
                training["notes"] = json.dumps(training["notes"])
            header, data = parts(content)
            describe(header, changed)
            tmp_path.mkdir(exist_ok=True)
            (tmp_path / "training.backup").write_bytes(joined(header, data))
            tried += 1
            try:
                go_on(tmp_path)
            except FileFormatError:
                refused += 1
    assert refused > tried / 2


@pytest.mark.parametrize("kind", ["arrays", "words"])
def test_what_safetensors_refuses_is_refused(kind: str, tmp_path: Path) -> None:
    """Headers are checked here; the library has the last word on what is one."""
    path = tmp_path / "model"
    content = saved(path)
    rng = np.random.default_rng(1)
    theirs = 0
    for _ in range(300):
        header, data = parts(content)
        if kind == "arrays":
            name = list(header)[rng.integers(1, len(header))]
            entry = header[name]
            key = ["shape", "data_offsets", "dtype"][rng.integers(3)]
            other = [[], [0], [-1, 2], [1.0, 2], 5, None, "F32", "F64", [0, 8], [2**64, 1], [entry["shape"]]]
            entry[key] = other[rng.integers(len(other))]
            path.write_bytes(joined(header, data))
        else:
            changed = bytearray(content)
            changed[rng.integers(8, len(content) - len(data))] = rng.integers(32, 127)
            path.write_bytes(changed)
        try:
            safetensors.deserialize(path.read_bytes())
        except safetensors.SafetensorError:
            theirs += 1
            with pytest.raises(FileFormatError):
                fastnn.load_model(path)
    assert theirs > 50


# -- files that are changed while they are read


def meanwhile(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object], after: int) -> None:
    """Let something happen after so many arrays were read."""
    left, read = after, container.Container.read

    def reads(self: container.Container, name: str, out: np.ndarray) -> None:
        nonlocal left
        if left == 0:
            change()
        left -= 1
        read(self, name, out)

    monkeypatch.setattr(container.Container, "read", reads)


@pytest.mark.parametrize("load", ["model", "weights"])
@pytest.mark.parametrize("after", [0, 3])
@pytest.mark.parametrize("how", ["shrinks", "grows", "is written anew", "is emptied"])
def test_a_file_that_changes_while_it_is_read(
    how: str, after: int, load: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model"
    content = saved(path)
    os.utime(path, (10**9, 10**9))  # long ago: clocks of files are coarse
    model = fastnn.load_model(path)
    before = model.get_weights()

    def change() -> None:
        if how == "is written anew":
            path.write_bytes(content)
        else:
            os.truncate(path, {"shrinks": len(content) - 4096 // 2, "grows": 10**6, "is emptied": 0}[how])

    meanwhile(monkeypatch, change, after)
    with pytest.raises(FileFormatError, match=r"was changed while it was read|was cut off while it was read"):
        fastnn.load_model(path) if load == "model" else model.load_weights(path)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_file_that_is_replaced_while_it_is_read_is_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a second process that saves: whoever has the old file open reads all of it."""
    path = tmp_path / "model"
    saved(path)
    other = fastnn.load_model(path)
    before = other.get_weights()
    other.set_weights([w + 1 for w in before])
    meanwhile(monkeypatch, lambda: other.save(path), 3)
    for a, b in zip(before, fastnn.load_model(path).get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (fastnn.load_model(path).get_weights()[0] == before[0] + 1).all()


# -- memory


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_bad_file_takes_of_memory(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "model"
    content = KINDS[kind][0](saved(path))
    fastnn.load_model(path)  # all is imported now
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(FileFormatError) as caught:
            fastnn.load_model(path)
        del caught
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # Small models take more than their files.  Of what a header says, each value takes at most 100 bytes.
    values = sum(map(content.count, (b",", b":", b"[", b"{")))
    assert peak <= 2 * len(content) + 4_000_000 + min(100 * values, ROOM)


PEAK = """
import resource, sys
import fastnn
from fastnn.errors import FileFormatError
fastnn.load_model(sys.argv[1])  # all is imported now
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    fastnn.load_model(sys.argv[2])
except FileFormatError as error:
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def tight(content: bytes) -> bytes:
    """Return a file whose description takes almost all that one may."""
    return arrayed(content, lambda h: describe(h, "[" + "[]," * 320_000 + "[]]"))


def called(content: bytes) -> bytes:
    """Return a file of as many layers as may be, and of one weight too few."""
    chain = {"class_name": "Sequential", "config": {"name": "s", "input": {"columns": 4, "name": None}}}
    chain["config"]["chain"] = [0] * 20_000  # type: ignore[index]
    layer = {"class_name": "Dense", "config": {"units": 7}, "named": False}
    return described(content, lambda d: d["model"].update(parts=[layer, chain]))


LARGE: dict[str, Callable[[bytes], bytes]] = {
    "a header longer than the file": KINDS["a header longer than the file"][0],
    "2**31 - 1 units": KINDS["2**31 - 1 units"][0],
    "a bomb": KINDS["a bomb for a description"][0],
    "20 000 arrays": KINDS["20 000 arrays"][0],
    "as much as may be": tight,
    "as many layers as may be": called,
}


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
@pytest.mark.parametrize("kind", LARGE)
def test_what_a_process_takes_of_memory_for_a_bad_file(kind: str, tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    bad.write_bytes(LARGE[kind](saved(good)))
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(good), str(bad)],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    room = ROOM if kind.startswith("as m") else 2_000_000
    assert int(done.stdout) <= 2 * bad.stat().st_size + room, resource.getpagesize()


# -- what could not be loaded is not saved


def test_what_is_too_much_for_a_file_is_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = fastnn.Sequential([fastnn.Input((4,)), layers.Dense(3)], seed=0)
    monkeypatch.setattr(structure, "_MOST_DRAWN", 2)
    model.save(tmp_path / "model")
    fastnn.load_model(tmp_path / "model")
    outer = fastnn.Sequential([fastnn.Input((4,)), model, layers.Dense(3)], seed=0)
    with pytest.raises(ConfigurationError, match="more than 2 layers, counted wherever"):
        outer.save(tmp_path / "outer")
    monkeypatch.setattr(container, "_ROOM", -1_000)
    with pytest.raises(ConfigurationError, match=r"2 arrays, described in .* is too much for a file"):
        model.save(tmp_path / "outer")
    with pytest.raises(FileFormatError, match="may take"):
        fastnn.load_model(tmp_path / "model")
    assert os.listdir(tmp_path) == ["model"]
    assert len(BOMB) > 2**20
