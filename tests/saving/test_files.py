"""Files that cannot be loaded: each is refused with a clear error, and takes no memory of the size it claims."""

from __future__ import annotations

import json
import os
import resource
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.errors import ConfigurationError, DTypeError, FileFormatError

Header = dict[str, Any]


def saved(path: Path) -> bytes:
    x = fastnn.Input((4,))
    h = layers.Dense(6, "relu")(x)
    model = fastnn.Model(x, layers.Dense(3)(layers.Add()([h, layers.Dense(6)(h)])), seed=0)
    model.compile("adam", "mse", metrics=["mse"])
    model.fit(np.ones((5, 4)), np.ones((5, 3)), verbose=0)
    model.save(path)
    return path.read_bytes()


def parts(content: bytes) -> tuple[Header, bytes]:
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def joined(header: Header | bytes, data: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def described(content: bytes, change: Callable[[dict[str, Any]], Any]) -> bytes:
    """Return a file with a changed description; what `change` returns takes its place, unless it is None."""
    header, data = parts(content)
    description = json.loads(header["__metadata__"]["fastnn"])
    changed = change(description)
    header["__metadata__"]["fastnn"] = json.dumps(description if changed is None else changed)
    return joined(header, data)


def arrayed(content: bytes, change: Callable[[Header], None], data: bytes | None = None) -> bytes:
    header, old = parts(content)
    change(header)
    return joined(header, old if data is None else data)


def renamed(header: Header, old: str, new: str) -> None:
    header[new] = header.pop(old)


def _part(description: dict[str, Any], number: int) -> Any:
    return description["model"]["parts"][number]


def _set(thing: Any, key: Any, value: Any) -> None:
    thing[key] = value


def with_nan(content: bytes, name: str, value: float) -> bytes:
    header, data = parts(content)
    begin = header[name]["data_offsets"][0]
    return joined(header, data[:begin] + struct.pack("<f", value) + data[begin + 4 :])


def doubled(content: bytes) -> bytes:
    header, data = parts(content)
    description = json.loads(header["__metadata__"]["fastnn"])
    del description["compiled"]
    description["weights"] = [*list(header)[1:], "dense/bias"]
    header["__metadata__"]["fastnn"] = json.dumps(description)
    again = json.dumps({"dense/bias": header["dense/bias"]}).encode()
    return joined(json.dumps(header).encode()[:-1] + b"," + again[1:], data)


def bloated(content: bytes, announced: bool) -> bytes:
    """Return a file with a header of 100 000 arrays more."""
    header, data = parts(content)
    if announced:
        description = json.loads(header["__metadata__"]["fastnn"])
        description["weights"] += [f"x{i}" for i in range(100_000)]
        header["__metadata__"]["fastnn"] = json.dumps(description)
    end = len(data)
    for i in range(100_000):
        header[f"x{i}"] = {"dtype": "F32", "shape": [0], "data_offsets": [end, end]}
    return joined(header, data)


def of_units(content: bytes, units: object) -> bytes:
    return described(content, lambda d: _set(_part(d, -2)["config"], "units", units))


def config(number: int, key: str, value: Any) -> Callable[[bytes], bytes]:
    return lambda content: described(content, lambda d: _set(_part(d, number)["config"], key, value))


def top(key: str, value: Any) -> Callable[[bytes], bytes]:
    return lambda content: described(content, lambda d: _set(d, key, value))


def compiled(key: str, value: Any) -> Callable[[bytes], bytes]:
    return lambda content: described(content, lambda d: _set(d["compiled"], key, value))


def step(number: int, value: Any) -> Callable[[bytes], bytes]:
    return lambda content: described(content, lambda d: _set(_part(d, -1)["config"]["steps"], number, value))


SGD = {"class_name": "SGD", "config": {"learning_rate": 0.1}}
# One line a kind.
# ruff: noqa: E501
KINDS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    # no such file
    "empty": (lambda c: b"", "no safetensors file"),
    "seven bytes": (lambda c: c[:7], "no safetensors file"),
    "eight bytes": (lambda c: c[:8], "no safetensors file"),
    "cut in the header": (lambda c: c[:100], "no safetensors file, or was cut off"),
    "cut in the data": (lambda c: c[:-1], "is damaged"),
    "bytes after the data": (lambda c: c + b"\0", "is damaged"),
    "a header longer than the file": (lambda c: struct.pack("<Q", 2**40) + c[8:], "no safetensors file"),
    "a header of 2**64 - 1 bytes": (lambda c: b"\xff" * 8 + c[8:], "no safetensors file"),
    "text": (lambda c: b"weights of my model\n" * 20, "no safetensors file"),
    "zeros": (lambda c: bytes(1000), "not a file that fastnn wrote"),
    "noise": (lambda c: np.random.default_rng(0).bytes(5000), "no safetensors file"),
    "a zip archive": (lambda c: b"PK\3\4" + c, "zip archive, such as Keras"),
    "an HDF5 file": (lambda c: b"\x89HDF\r\n\x1a\n" + c, "HDF5 file"),
    "a pickle": (lambda c: b"\x80\x04\x95" + c[3:], "no safetensors file"),
    # no such header
    "a header that is no JSON": (lambda c: joined(b"{" + b"x" * 99, b""), "not a file that fastnn wrote"),
    "a header that is a list": (lambda c: joined(b"[1, 2]", b""), "not a file that fastnn wrote"),
    "a header that is not UTF-8": (lambda c: joined(b'{"__metadata__":{"fastnn":"\xff"}}', b""), "not a file"),
    "of another program": (lambda c: arrayed(c, lambda h: h.pop("__metadata__")), "not a file that fastnn wrote"),
    "metadata without ours": (lambda c: arrayed(c, lambda h: h["__metadata__"].clear()), "not a file that fastnn"),
    "metadata that is a number": (lambda c: arrayed(c, lambda h: _set(h, "__metadata__", 5)), "not a file"),
    "ours is a number": (lambda c: arrayed(c, lambda h: _set(h["__metadata__"], "fastnn", 5)), "not a file"),
    "a name twice": (doubled, "stands twice"),
    "100 000 arrays": (lambda c: bloated(c, False), "should hold 18 arrays, and its header speaks of 100018"),
    "100 000 arrays, as announced": (lambda c: bloated(c, True), "should hold 300018 arrays"),
    "sizes that overflow": (lambda c: arrayed(c, lambda h: _set(h["dense/kernel"], "shape", [2**40, 2**40])), "damaged"),
    "a negative size": (lambda c: arrayed(c, lambda h: _set(h["dense/kernel"], "shape", [-4, 6])), "is damaged"),
    "a size that is a fraction": (lambda c: arrayed(c, lambda h: _set(h["dense/kernel"], "shape", [4.5, 6])), "damaged"),
    "offsets backwards": (lambda c: arrayed(c, lambda h: h["dense/kernel"]["data_offsets"].reverse()), "damaged"),
    "offsets beyond the end": (lambda c: arrayed(c, lambda h: _set(h["dense/kernel"], "data_offsets", [10**6, 10**6 + 96])), "damaged"),
    "arrays that overlap": (lambda c: arrayed(c, lambda h: _set(h["dense/kernel"], "data_offsets", [0, 96])), "damaged"),
    "another dtype": (lambda c: arrayed(c, lambda h: _set(h["dense/kernel"], "dtype", "I32")), "needs to be F32 or F64"),
    "no dtype": (lambda c: arrayed(c, lambda h: h["dense/kernel"].pop("dtype")), "is damaged"),
    # not the model's arrays
    "a weight is missing": (lambda c: arrayed(c, lambda h: renamed(h, "dense/kernel", "kernel")), "names is missing"),
    "a state is missing": (lambda c: arrayed(c, lambda h: renamed(h, "optimizer/momentum/dense/bias", "b")), "is missing"),
    "a weight is transposed": (lambda c: arrayed(c, lambda h: _set(h["dense/kernel"], "shape", [6, 4])), r"shape \(6, 4\), needs \(4, 6\)"),
    "arrays of another optimizer": (compiled("optimizer", SGD), "should hold 6 arrays, and its header speaks of 18"),
    "an array of nothing": (lambda c: arrayed(c, lambda h: renamed(h, "optimizer/momentum/dense/bias", "b")), "is missing"),
    "weights of another dtype": (config(-1, "dtype", "float64"), "is of float32, and the model of float64"),
    "NaN in a weight": (lambda c: with_nan(c, "dense/kernel", np.nan), "holds NaN or infinite"),
    "infinity in a state": (lambda c: with_nan(c, "optimizer/velocity/dense/kernel", np.inf), "holds NaN or infinite"),
    "more units than weights": (lambda c: of_units(c, 7), "more weights than it holds"),
    "2**31 - 1 units": (lambda c: of_units(c, 2**31 - 1), "more weights than it holds"),
    "fewer units than weights": (lambda c: of_units(c, 2), r"has shape \(6, 3\), needs \(6, 2\)"),
    # not a description
    "a description that is a list": (lambda c: described(c, lambda d: [1]), "description is damaged"),
    "a description with NaN": (top("model", float("nan")), "NaN is not a number"),
    "nested without end": (lambda c: arrayed(c, lambda h: _set(h["__metadata__"], "fastnn", "[" * 10**6)), "description is damaged"),
    "no list of weights": (lambda c: described(c, lambda d: d.pop("weights") and None), "needs a list of weights"),
    "weights that are numbers": (top("weights", list(range(6))), "needs a list of weights"),
    "weights that are not there": (top("weights", list("abcdef")), "a weight that it names is missing"),
    "a later format": (top("format", 99), "in format 99, and this version reads up to 1; update"),
    "format 0": (top("format", 0), "its format is 0"),
    "a format that is text": (top("format", "1"), "its format is '1'"),
    "no model": (lambda c: described(c, lambda d: d.pop("model") and None), "holds weights only"),
    "a model that is text": (top("model", "Dense"), "cannot be loaded"),
    "no parts": (top("model", {"parts": []}), "last part of a structure must be a model"),
    "parts that are numbers": (top("model", {"parts": [1, 2]}), "a part must be a dict"),
    "a layer at the end": (lambda c: described(c, lambda d: d["model"]["parts"].pop() and None), "must be a model"),
    "a class that does not exist": (lambda c: described(c, lambda d: _set(_part(d, 0), "class_name", "Convolution")), "unknown layer 'Convolution'"),
    "a class of Python": (lambda c: described(c, lambda d: _set(_part(d, 0), "class_name", "os.system")), "unknown layer 'os.system'"),
    "a class that is a number": (lambda c: described(c, lambda d: _set(_part(d, 0), "class_name", 5)), "a layer is written as"),
    "an argument that does not exist": (config(0, "dilation", 2), "does not suit it"),
    "units that are text": (config(0, "units", "6"), "units must be an integer"),
    "no units": (lambda c: described(c, lambda d: _part(d, 0)["config"].pop("units") and None), "does not suit it"),
    "an unknown activation": (config(0, "activation", "rulu"), "unknown activation 'rulu'"),
    "an activation that is a list": (config(0, "activation", [1]), "an activation is"),
    "an unknown initializer": (config(0, "kernel_initializer", {"class_name": "Nice", "config": {}}), "unknown initializer 'Nice'"),
    "a negative penalty": (config(0, "kernel_regularizer", {"class_name": "L2", "config": {"l2": -1}}), "l2 must be"),
    "a name with a slash": (config(0, "name", "a/b"), "without '/'"),
    "two layers of one name": (lambda c: described(c, lambda d: [_set(p, "named", True) or _set(p["config"], "name", "one") for p in d["model"]["parts"][:2]] and None), "are named 'one'"),
    "a seed that is negative": (config(-1, "seed", -1), "seed must be at least 0"),
    "an unknown dtype": (config(-1, "dtype", "int8"), "dtype must be"),
    "steps that are text": (config(-1, "steps", "abc"), "needs a list 'steps'"),
    "a step to a part that is not there": (step(1, {"part": 50, "of": [0]}), "part 50 does not exist"),
    "a step to itself": (step(1, {"part": 0, "of": [1]}), "tensor 1 does not exist"),
    "a step to a negative tensor": (step(1, {"part": 0, "of": [-1]}), "tensor -1 does not exist"),
    "a step of nothing": (step(1, {"part": 0, "of": []}), "cannot be loaded"),
    "a step that is a number": (step(1, 7), "a step needs a int 'part'"),
    "an input of no width": (step(0, {"input": {"columns": 0, "name": None}}), "at least 1"),
    "an output that is not there": (config(-1, "outputs", [99]), "tensor 99 does not exist"),
    "no outputs": (config(-1, "outputs", []), "leads to no output"),
    # not a compilation
    "compiled is a number": (top("compiled", 5), "must be a dict with an optimizer"),
    "no loss": (lambda c: described(c, lambda d: d["compiled"].pop("loss") and None), "lacks loss"),
    "an unknown optimizer": (compiled("optimizer", {"class_name": "Sgdd", "config": {}}), "unknown optimizer 'Sgdd'"),
    "an unknown loss": (compiled("loss", "msse"), "unknown loss 'msse'"),
    "a loss of a metric's class": (compiled("loss", {"class_name": "BinaryAccuracy", "config": {}}), "unknown loss"),
    "a rate that is negative": (compiled("learning_rate", -1), "learning_rate must be"),
    "steps beyond numbers": (compiled("steps", 2**80), "steps must be at most"),
    "frozen layers that are not there": (compiled("frozen", ["conv"]), "frozen layers are"),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_cannot_be_loaded_is_refused(kind: str, tmp_path: Path) -> None:
    change, message = KINDS[kind]
    path = tmp_path / "model"
    path.write_bytes(change(saved(path)))
    with pytest.raises(FileFormatError, match=message) as caught:
        fastnn.load_model(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 1000


WEIGHTS = [
    "empty",
    "cut in the data",
    "100 000 arrays",
    "NaN in a weight",
    "a name twice",
    "a zip archive",
    "noise",
]


@pytest.mark.parametrize("kind", WEIGHTS)
def test_nor_do_weights_of_it_reach_a_model(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "model"
    content = saved(path)
    model = fastnn.load_model(path)
    before = model.get_weights()
    change, message = KINDS[kind]
    path.write_bytes(change(content))
    with pytest.raises(FileFormatError, match=message):
        model.load_weights(path)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_every_byte_that_is_missing_is_missed(tmp_path: Path) -> None:
    path = tmp_path / "model"
    content = saved(path)
    for end in range(0, len(content), 37):
        path.write_bytes(content[:end])
        with pytest.raises(FileFormatError):
            fastnn.load_model(path)


def test_every_byte_that_is_changed_does_no_harm(tmp_path: Path) -> None:
    """It is refused, or, in a name or a number, gives another model; nothing else is raised."""
    path = tmp_path / "model"
    content = saved(path)
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(600):
        changed = bytearray(content)
        for at in rng.integers(0, len(content), rng.integers(1, 4)):
            changed[at] = rng.integers(256)
        path.write_bytes(changed)
        try:
            fastnn.load_model(path)
        except FileFormatError:
            refused += 1
    assert refused > 200


def test_names_of_files(tmp_path: Path) -> None:
    model = fastnn.Sequential([fastnn.Input((2,)), layers.Dense(1)])
    for name in (5, None, b"model", "", "a\0b"):
        for call in (model.save, model.save_weights, model.load_weights, fastnn.load_model):
            with pytest.raises(DTypeError, match="a file's name must be"):
                call(name)
    with pytest.raises(FileFormatError, match="is a folder"):
        fastnn.load_model(tmp_path)
    with pytest.raises(FileNotFoundError):
        fastnn.load_model(tmp_path / "nothing")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(FileFormatError, match="not a regular file"):
            fastnn.load_model(tmp_path / "pipe")  # and nobody waits for a writer
        with pytest.raises(ConfigurationError, match="is a device or a pipe"):
            model.save(tmp_path / "pipe")
        assert not os.path.isfile(tmp_path / "pipe")


PEAK = """
import resource, sys
import fastnn
from fastnn.errors import FileFormatError
fastnn.load_model(sys.argv[1])  # all is imported now
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    fastnn.load_model(sys.argv[2])
except FileFormatError:
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
@pytest.mark.parametrize("kind", ["100 000 arrays", "2**31 - 1 units", "a header longer than the file"])
def test_what_a_bad_file_takes_of_memory(kind: str, tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    bad.write_bytes(KINDS[kind][0](saved(good)))
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(good), str(bad)],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert int(done.stdout) <= 2 * bad.stat().st_size + 2_000_000, resource.getpagesize()
