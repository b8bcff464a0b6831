"""Files that cannot be loaded, by kinds: how each is made of a good one, and what is to be said of it."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

import fastnn
from fastnn import layers

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
    describe(header, description if changed is None else changed)
    return joined(header, data)


def describe(header: Header, description: Any) -> None:
    """Set the description, with the right checksum: what is bad is meant so."""
    text = description if isinstance(description, str) else json.dumps(description)
    header["__metadata__"] = {"fastnn": text, "crc32": f"{zlib.crc32(text.encode()):08x}"}


def arrayed(content: bytes, change: Callable[[Header], None], data: bytes | None = None) -> bytes:
    header, old = parts(content)
    change(header)
    return joined(header, old if data is None else data)


def parts_text(content: bytes) -> bytes:
    """Return a header as it is written."""
    return content[8 : 8 + struct.unpack("<Q", content[:8])[0]].rstrip(b" ")


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
    describe(header, description)
    again = json.dumps({"dense/bias": header["dense/bias"]}).encode()
    return joined(json.dumps(header).encode()[:-1] + b"," + again[1:], data)


def bloated(content: bytes, count: int, announced: bool = False) -> bytes:
    """Return a file whose header tells of so many empty arrays more."""
    header, data = parts(content)
    if announced:
        description = json.loads(header["__metadata__"]["fastnn"])
        description["weights"] += [f"x{i}" for i in range(count)]
        describe(header, description)
    end = len(data)
    for i in range(count):
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


def archived(*names: str) -> bytes:
    """Return a zip archive, such as other libraries write."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"{}" * 100)
    return file.getvalue()


def offsets(begin: object, end: object, name: str = "dense/kernel") -> Callable[[bytes], bytes]:
    return lambda content: arrayed(content, lambda h: _set(h[name], "data_offsets", [begin, end]))


def shaped(*shape: object) -> Callable[[bytes], bytes]:
    return lambda content: arrayed(content, lambda h: _set(h["dense/kernel"], "shape", list(shape)))


def entered(entry: object) -> Callable[[bytes], bytes]:
    return lambda content: arrayed(content, lambda h: _set(h, "dense/kernel", entry))


def text_of(change: Callable[[str], str]) -> Callable[[bytes], bytes]:
    """Return a file whose description is changed as text."""

    def changed(content: bytes) -> bytes:
        header, data = parts(content)
        describe(header, change(header["__metadata__"]["fastnn"]))
        return joined(header, data)

    return changed


def exchanged(content: bytes) -> bytes:
    """Return a file in which two arrays lie where the other one is said to be."""
    header, data = parts(content)
    one, other = header["dense/kernel"], header["dense_1/kernel"]
    one["data_offsets"], other["data_offsets"] = other["data_offsets"], one["data_offsets"]
    return joined(header, data)


def spread(content: bytes) -> bytes:
    """Return a file with eight bytes between two arrays that belong to none."""
    header, data = parts(content)
    middle = header["dense/kernel"]["data_offsets"][0]
    for name, entry in header.items():
        if name != "__metadata__" and entry["data_offsets"][0] >= middle:
            entry["data_offsets"] = [at + 8 for at in entry["data_offsets"]]
    return joined(header, data[:middle] + bytes(8) + data[middle:])


def summed(content: bytes, total: object) -> bytes:
    return arrayed(content, lambda h: _set(h["__metadata__"], "crc32", total))


def in_models(count: int) -> Callable[[bytes], bytes]:
    """Return a file of models that call the one before them twice: of two layers to the power of `count`."""

    def changed(description: dict[str, Any]) -> None:
        start = {"input": {"columns": 4, "name": None}}
        made: list[Any] = [{"class_name": "ReLU", "config": {}, "named": False}]
        for i in range(count):
            steps = [start, {"part": i, "of": [0]}, {"part": i, "of": [1]}]
            about = {"name": f"m{i}", "dtype": "float32", "seed": 0, "inputs": [0], "outputs": [2]}
            made.append({"class_name": "Model", "config": {**about, "steps": steps}})
        description["model"]["parts"] = made

    return lambda content: described(content, changed)


BOMB = "[" + "[]," * 3_000_000 + "[]]"
LAYER = {"class_name": "Dense", "config": {"units": 6}, "named": False}
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
    "a Keras file": (lambda c: archived("metadata.json", "config.json", "model.weights.h5"), "zip archive, such as Keras"),
    "a PyTorch file": (lambda c: archived("archive/data.pkl", "archive/data/0"), "zip archive, such as Keras and PyTorch"),
    "an old PyTorch file": (lambda c: b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.", "no safetensors file"),
    "a pickled model": (lambda c: pickle.dumps(fastnn.Sequential([fastnn.Input((2,)), layers.Dense(2)])), "no safetensors file"),
    "a NumPy file": (lambda c: b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "no safetensors file"),
    "a gzip file": (lambda c: b"\x1f\x8b\x08\x00" + c, "no safetensors file"),
    "a picture": (lambda c: b"\x89PNG\r\n\x1a\n" + c, "no safetensors file"),
    "JSON": (lambda c: b'{"class_name": "Sequential", "config": {}}' * 9, "no safetensors file"),
    "a TensorFlow graph": (lambda c: b"\x08\x01\x12" + c[3:], "no safetensors file|not a file"),
    "a program": (lambda c: b"\x7fELF\x02\x01\x01\x00" + c, "no safetensors file"),
    "one byte": (lambda c: b"\x08", "no safetensors file"),
    "a header of no bytes": (lambda c: joined(b"", b""), "not a file that fastnn wrote"),
    "an empty header": (lambda c: joined(b"{}", b""), "not a file that fastnn wrote"),
    "a header without its end": (lambda c: joined(c[8:-200], b""), "is damaged|not a file"),
    "the header alone": (lambda c: c[: 8 + struct.unpack("<Q", c[:8])[0]], "was cut off"),
    "without its first byte": (lambda c: c[1:], "no safetensors file"),
    "twice the same": (lambda c: c + c, "was cut off: its arrays end after"),
    # no such header
    "a header that is no JSON": (lambda c: joined(b"{" + b"x" * 99, b""), "not a file that fastnn wrote"),
    "a header that is a list": (lambda c: joined(b"[1, 2]", b""), "not a file that fastnn wrote"),
    "a header that is not UTF-8": (lambda c: joined(b'{"__metadata__":{"fastnn":"\xff"}}', b""), "not a file"),
    "of another program": (lambda c: arrayed(c, lambda h: h.pop("__metadata__")), "not a file that fastnn wrote"),
    "metadata without ours": (lambda c: arrayed(c, lambda h: h["__metadata__"].clear()), "not a file that fastnn"),
    "metadata that is a number": (lambda c: arrayed(c, lambda h: _set(h, "__metadata__", 5)), "not a file"),
    "ours is a number": (lambda c: arrayed(c, lambda h: _set(h["__metadata__"], "fastnn", 5)), "not a file"),
    "another program's arrays": (lambda c: safetensors.numpy.save({"dense/kernel": np.zeros((4, 6), np.float32)}), "not a file"),
    "another program's metadata": (lambda c: safetensors.numpy.save({"w": np.zeros(3)}, {"format": "pt"}), "not a file"),
    "a header nested without end": (lambda c: joined(b'{"__metadata__":' + b"[" * 10**5, b""), "not a file"),
    "an entry nested without end": (lambda c: joined(parts_text(c)[:-1] + b',"x":{"data_offsets":' + b"[" * 10**5, b""), "is damaged|should hold"),
    "a header that ends twice": (lambda c: joined(parts_text(c) + b"}", parts(c)[1]), "is damaged"),
    "two descriptions": (lambda c: joined(parts_text(c)[:-1] + b',"__metadata__":{"fastnn":"{}"}}', parts(c)[1]), "stands twice"),
    "a wrong checksum": (lambda c: summed(c, "00000000"), "does not have the checksum"),
    "a checksum that is a number": (lambda c: summed(c, 5), "does not have the checksum"),
    "a bomb for a description": (lambda c: arrayed(c, lambda h: describe(h, BOMB)), r"may take \d+ bytes of memory"),
    "a bomb beside it": (lambda c: arrayed(c, lambda h: _set(h["__metadata__"], "more", [[]] * 1_000_000)), "may take"),
    "a bomb for an array": (lambda c: joined(parts_text(c)[:-1] + b',"x":' + BOMB.encode() + b"}", parts(c)[1]), "may take"),
    "letters of four bytes": (lambda c: joined(parts_text(c)[:-1] + b',"x":"' + "\U0001f600".encode() * 10_000_000 + b'"}', parts(c)[1]), "may take"),
    "a name twice": (doubled, "stands twice"),
    "100 000 arrays": (lambda c: bloated(c, 100_000), r"may take \d+ bytes of memory"),
    "20 000 arrays": (lambda c: bloated(c, 20_000), "should hold 18 arrays, and its header speaks of 20018"),
    "20 000 arrays, as announced": (lambda c: bloated(c, 20_000, True), "should hold 60018 arrays"),
    "sizes that overflow": (lambda c: arrayed(c, lambda h: _set(h["dense/kernel"], "shape", [2**40, 2**40])), "damaged"),
    "a negative size": (lambda c: arrayed(c, lambda h: _set(h["dense/kernel"], "shape", [-4, 6])), "is damaged"),
    "a size that is a fraction": (lambda c: arrayed(c, lambda h: _set(h["dense/kernel"], "shape", [4.5, 6])), "damaged"),
    "offsets backwards": (lambda c: arrayed(c, lambda h: h["dense/kernel"]["data_offsets"].reverse()), "damaged"),
    "offsets beyond the end": (lambda c: arrayed(c, lambda h: _set(h["dense/kernel"], "data_offsets", [10**6, 10**6 + 96])), "damaged"),
    "arrays that overlap": (lambda c: arrayed(c, lambda h: _set(h["dense/kernel"], "data_offsets", [0, 96])), "damaged"),
    "negative offsets": (offsets(-96, 0), "is damaged"),
    "offsets of fractions": (offsets(0.0, 96.0), "is damaged"),
    "offsets that are text": (offsets("0", "96"), "is damaged"),
    "offsets that are flags": (offsets(False, True), "is damaged"),
    "offsets beyond numbers": (offsets(2**64, 2**64 + 96), "is damaged"),
    "three offsets": (lambda c: arrayed(c, lambda h: h["dense/kernel"]["data_offsets"].append(5)), "is damaged"),
    "no offsets": (lambda c: arrayed(c, lambda h: h["dense/kernel"].pop("data_offsets")), "should hold 18 arrays"),
    "offsets of another size": (lambda c: arrayed(c, lambda h: h["dense/kernel"]["data_offsets"].__setitem__(1, h["dense/kernel"]["data_offsets"][1] - 4)), "takes 96 bytes, and lies from"),
    "arrays exchanged": (exchanged, "is damaged: array .* takes"),
    "bytes between arrays": (spread, "does not follow the one before it"),
    "an array that begins the data a second time": (offsets(0, 96), "is damaged"),
    "a size of 2**62": (shaped(2**62, 2), "is damaged"),
    "sizes whose product is small again": (shaped(2**32, 2**32, 24), "is damaged"),
    "sizes of no elements": (shaped(0, 2**62), "is damaged"),
    "sizes that are flags": (shaped(True, 24), "is damaged"),
    "sizes that are text": (shaped("4", 6), "is damaged"),
    "a million axes": (shaped(*[1] * 200_000, 4, 6), "has shape|may take"),
    "a shape that is a number": (entered({"dtype": "F32", "shape": 24, "data_offsets": [0, 96]}), "is damaged"),
    "an array that is a list": (entered(["F32", [4, 6], [0, 96]]), "should hold 18 arrays"),
    "an array that is null": (entered({"data_offsets": None}), "is damaged"),
    "a dtype that is a list": (lambda c: arrayed(c, lambda h: _set(h["dense/kernel"], "dtype", ["F32"])), "is damaged"),
    "float64 of the size of float32": (lambda c: arrayed(c, lambda h: h["dense/kernel"].update(dtype="F64", shape=[2, 6])), "more weights than it holds"),
    "half numbers": (lambda c: arrayed(c, lambda h: h["dense/kernel"].update(dtype="F16", shape=[8, 6])), "needs to be F32 or F64"),
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
    "minus infinity in the last number": (lambda c: c[:-4] + struct.pack("<f", -np.inf), "holds NaN or infinite"),
    "states of another rule of as many": (compiled("optimizer", {"class_name": "Adamax", "config": {}}), "array 'optimizer/norm/dense/kernel' is missing"),
    # not a description
    "an empty description": (text_of(lambda t: ""), "description is damaged"),
    "half a description": (text_of(lambda t: t[: len(t) // 2]), "description is damaged"),
    "a description and a half": (text_of(lambda t: t + t[:50]), "description is damaged"),
    "a key twice": (text_of(lambda t: '{"format":1,' + t[1:]), "stands twice"),
    "Infinity": (text_of(lambda t: t.replace('"steps":1', '"steps":Infinity')), "Infinity is not a number"),
    "a number beyond float64": (text_of(lambda t: t.replace('"learning_rate":0.001', '"learning_rate":1e999')), "learning_rate must be"),
    "a number of 5000 digits": (text_of(lambda t: t.replace('"epochs":1', '"epochs":' + "9" * 5000)), "damaged"),
    "a description that is a list": (lambda c: described(c, lambda d: [1]), "description is damaged"),
    "a description with NaN": (top("model", float("nan")), "NaN is not a number"),
    "nested without end": (lambda c: arrayed(c, lambda h: describe(h, "[" * 10**5)), "description is damaged"),
    "no list of weights": (lambda c: described(c, lambda d: d.pop("weights") and None), "needs a list of weights"),
    "weights that are numbers": (top("weights", list(range(6))), "needs a list of weights"),
    "weights that are not there": (top("weights", list("abcdef")), "a weight that it names is missing"),
    "a later format": (top("format", 99), "in format 99, and this version reads up to 1; update"),
    "a format of 4000 digits": (top("format", 10**4000), "in format .*, and this version reads up to 1; update"),
    "a later version of a megabyte": (lambda c: described(c, lambda d: d.update(format=2, version="a" * 10**6)), "fastnn a{40} wrote it, in format 2"),
    "format 0": (top("format", 0), "its format is 0"),
    "a format that is text": (top("format", "1"), "its format is '1'"),
    "no model": (lambda c: described(c, lambda d: d.pop("model") and None), "holds weights only"),
    "a model that is text": (top("model", "Dense"), "cannot be loaded"),
    "no parts": (top("model", {"parts": []}), "last part of a structure must be a model"),
    "parts that are numbers": (top("model", {"parts": [1, 2]}), "a part must be a dict"),
    "a layer at the end": (lambda c: described(c, lambda d: d["model"]["parts"].pop() and None), "must be a model"),
    "models within models, 2**40 layers": (in_models(40), "more than 50000 layers"),
    "a million layers in one model": (lambda c: described(c, lambda d: d["model"].update(parts=[LAYER, *[{"class_name": "Sequential", "config": {"name": "s", "chain": [0] * 30_000}}] * 20])), "more than 50000 layers"),
    "a chain of itself": (lambda c: described(c, lambda d: d["model"]["parts"].append({"class_name": "Sequential", "config": {"name": "s", "chain": [len(d["model"]["parts"])]}})), r"part \d+ does not exist"),
    "a chain in a circle": (lambda c: described(c, lambda d: d["model"].update(parts=[{"class_name": "Sequential", "config": {"name": f"s{i}", "chain": [1 - i]}} for i in (0, 1)])), "part 1 does not exist"),
    "a step to a later tensor": (step(1, {"part": 0, "of": [3]}), "tensor 3 does not exist"),
    "a step to a flag": (step(1, {"part": False, "of": [0]}), "part False does not exist"),
    "a step to half a tensor": (step(1, {"part": 0, "of": [0.5]}), "tensor 0.5 does not exist"),
    "a depth that is negative": (step(1, {"part": 0, "of": [0], "depth": -1}), "depth must be"),
    "steps of no input": (lambda c: described(c, lambda d: _part(d, -1)["config"]["steps"].pop(0) and None), "does not exist"),
    "a class that does not exist": (lambda c: described(c, lambda d: _set(_part(d, 0), "class_name", "Convolution")), "unknown layer 'Convolution'"),
    "a class of Python": (lambda c: described(c, lambda d: _set(_part(d, 0), "class_name", "os.system")), "unknown layer 'os.system'"),
    "a class that is a number": (lambda c: described(c, lambda d: _set(_part(d, 0), "class_name", 5)), "a layer is written as"),
    "an argument that does not exist": (config(0, "dilation", 2), "does not suit it"),
    "units that are text": (config(0, "units", "6"), "units must be an integer"),
    "no units": (lambda c: described(c, lambda d: _part(d, 0)["config"].pop("units") and None), "does not suit it"),
    "an unknown activation": (config(0, "activation", "rulu"), "unknown activation 'rulu'"),
    "an activation that is a list": (config(0, "activation", [1]), "an activation is"),
    "an unknown initializer": (config(0, "kernel_initializer", {"class_name": "Nice", "config": {}}), "unknown initializer 'Nice'"),
    "a penalty of a loss's class": (config(0, "kernel_regularizer", {"class_name": "Huber", "config": {}}), "unknown regularizer 'Huber'"),
    "an initializer of a million seeds": (config(0, "kernel_initializer", {"class_name": "GlorotUniform", "config": {"seed": list(range(1000))}}), "seed must be|cannot be loaded"),
    "a name that is a number": (config(0, "name", 5), "name"),
    "a name of a megabyte": (config(0, "name", "a" * 10**6), "a name of 1000000 characters, 'aaa.* cannot be written down"),
    "an input's name of a megabyte": (step(0, {"input": {"columns": 4, "name": "a" * 10**6}}), "a name of 1000000 characters"),
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
    "no outputs": (config(-1, "outputs", []), "outputs must be at least one symbolic tensor"),
    # not a compilation
    "compiled is a number": (top("compiled", 5), "must be a dict with an optimizer"),
    "no loss": (lambda c: described(c, lambda d: d["compiled"].pop("loss") and None), "lacks loss"),
    "an unknown optimizer": (compiled("optimizer", {"class_name": "Sgdd", "config": {}}), "unknown optimizer 'Sgdd'"),
    "an unknown loss": (compiled("loss", "msse"), "unknown loss 'msse'"),
    "a loss of a metric's class": (compiled("loss", {"class_name": "BinaryAccuracy", "config": {}}), "unknown loss"),
    "a rate that is negative": (compiled("learning_rate", -1), "learning_rate must be"),
    "steps beyond numbers": (compiled("steps", 2**80), "steps must be at most"),
    "steps that are negative": (compiled("steps", -1), "steps must be at least 0"),
    "epochs that are a fraction": (compiled("epochs", 0.5), "epochs must be an integer"),
    "a rate that is text": (compiled("learning_rate", "fast"), "learning_rate must be"),
    "a reference that is text": (compiled("reference", "no"), "reference must be"),
    "a schedule that is unknown": (compiled("optimizer", {"class_name": "Adam", "config": {"learning_rate": {"class_name": "Up", "config": {}}}}), "unknown schedule 'Up'|unknown .* 'Up'"),
    "a schedule of no steps": (compiled("optimizer", {"class_name": "Adam", "config": {"learning_rate": {"class_name": "ExponentialDecay", "config": {"initial_learning_rate": 0.1, "decay_steps": 0, "decay_rate": 0.5}}}}), "decay_steps"),
    "factors of layers that are not there": (compiled("optimizer", {"class_name": "Adam", "config": {"learning_rate_multipliers": {"conv": 2.0}}}), "names 'conv'"),
    "a pattern that is none": (compiled("optimizer", {"class_name": "AdamW", "config": {"undecayed_patterns": ["("]}}), "regular expression"),
    "an optimizer that is text": (compiled("optimizer", "adam"), "must be a dict with an optimizer"),
    "an unknown metric": (compiled("metrics", [{"class_name": "Beauty", "config": {}}]), "unknown metric 'Beauty'"),
    "metrics that are a number": (compiled("metrics", 5), "metric"),
    "weights of the loss that are text": (compiled("loss_weights", "x"), "a loss weight must be a number"),
    "losses of two outputs": (compiled("loss", ["mse", "mse"]), "loss"),
    "frozen layers that are a dict": (compiled("frozen", {"dense": True}), "frozen layers are"),
    "frozen layers that are not there": (compiled("frozen", ["conv"]), "frozen layers are"),
}  # fmt: skip
