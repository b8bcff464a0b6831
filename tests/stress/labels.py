"""Labels that change while they are used: by a callback, and by another thread.

What `fit` was given is what it trains on: losses are those of labels that stay.  Labels that change as a
call takes them are refused, or were taken before they changed; what is checked is what is used.  A label is
an index into a row of outputs, so a wrong one reads, or writes, memory that is not ours; as are categories,
which an `Embedding` looks up in a table.

    python tests/stress/labels.py --seconds 60 --seed 0
"""

from __future__ import annotations

import functools
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import CLASSES, chain, data, frozen, switching, together
from harness import Part, Round

import fastnn
from fastnn import callbacks
from fastnn.errors import DataError

PART = Part(__file__)
main = PART.main
ROWS = 3000
BAD = (1e12, -1e9, 400.0, 50.0, float("nan"), -1.0, float(CLASSES))
KINDS = ("float32", "float64", "int64", "int32", "column", "strided", "memmap")
# A pass over labels that is not at once is long enough for another thread to change some.
MANY = 60_000


def _labels(kind: str, dtype: np.dtype, rows: int, folder: str) -> np.ndarray:
    """Return labels of a kind; those of the model's own dtype need no conversion."""
    y = data(rows, 5)[1]
    if kind in ("column", "strided"):
        wide = np.repeat(y.astype(dtype)[:, None], 2, axis=1)
        return wide[:, :1].copy() if kind == "column" else wide[:, 0]
    if kind == "memmap":
        mapped = np.memmap(Path(folder, "labels"), dtype, "w+", shape=(rows,))
        mapped[:] = y
        return mapped
    return y.astype(kind)


def _spoil(y: np.ndarray, value: float, rng: np.random.Generator) -> None:
    """Change some labels, or all."""
    if y.dtype.kind == "i":
        value = int(np.clip(value, -1e9, 1e9)) if np.isfinite(value) else 10**6
    places = rng.integers(0, len(y), 20)
    if rng.integers(2):
        y[places] = value
    else:
        y[...] = value


def _model(dtype: str) -> fastnn.Sequential:
    return chain((8,), dtype=dtype)


def _features(dtype: str, rows: int = ROWS) -> np.ndarray:
    return np.ascontiguousarray(data(rows, 5)[0], dtype)


@functools.cache
def _undisturbed(dtype: str, how: str) -> Any:
    model = _model(dtype)
    history = model.fit(_features(dtype), data(ROWS, 5)[1], **_arguments(how)).history
    return frozen(history), frozen(model.get_weights())


def _arguments(how: str) -> dict[str, Any]:
    arguments: dict[str, Any] = {"batch_size": 500, "epochs": 4, "verbose": 0}
    return arguments | {
        "plain": {},
        "in order": {"shuffle": False},
        "one batch": {"batch_size": ROWS},
        "validated": {"validation_split": 0.3},
        "weighted": {"class_weight": {0: 2.0, 1: 0.5}},
    }.get(how, {})


HOW = ("plain", "in order", "one batch", "validated", "weighted")


class Spoils(callbacks.Callback):
    """Changes labels at every occasion, or at some of them only."""

    def __init__(self, change: Callable[[], None], batches: bool) -> None:
        super().__init__()
        self.change, self.batches = change, batches

    @property
    def wants_batches(self) -> bool:
        return self.batches

    def on_train_begin(self, logs: Any = None) -> None:
        self.change()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.change()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.change()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.change()


def _compare(round_: Round, dtype: str, how: str, what: str, model: fastnn.Model, history: Any) -> None:
    wanted = _undisturbed(dtype, how)
    round_.did("fits")
    round_.expect(frozen(history) == wanted[0], f"{what}: other losses than of labels that stay")
    round_.expect(frozen(model.get_weights()) == wanted[1], f"{what}: other weights than of labels that stay")


@PART.scenario(short=2 * len(KINDS))
def by_a_callback(round_: Round) -> None:
    """A callback of `fit` changes the labels."""
    rng = round_.rng
    kind, dtype = KINDS[round_.index % len(KINDS)], str(rng.choice(["float32", "float64"]))
    how, value = str(rng.choice(HOW)), float(rng.choice(BAD))
    with tempfile.TemporaryDirectory() as folder:
        y = _labels(kind, np.dtype(dtype), ROWS, folder)
        model = _model(dtype)
        spoils = Spoils(lambda: _spoil(y, value, rng), bool(rng.integers(2)))
        history = model.fit(_features(dtype), y, callbacks=[spoils], **_arguments(how)).history
        _compare(round_, dtype, how, f"{kind} labels, {dtype}, {how}, {value:g}", model, history)


@PART.scenario(short=2 * len(KINDS))
def of_validation(round_: Round) -> None:
    """A callback changes the labels of `validation_data`."""
    rng = round_.rng
    kind, dtype = KINDS[round_.index % len(KINDS)], str(rng.choice(["float32", "float64"]))
    value = float(rng.choice(BAD))
    x, y = _features(dtype), data(ROWS, 5)[1]
    with tempfile.TemporaryDirectory() as folder:
        held = _labels(kind, np.dtype(dtype), ROWS, folder)
        results = []
        for change in (lambda: None, lambda: _spoil(held, value, rng)):
            model = _model(dtype)
            spoils = Spoils(change, False)
            history = model.fit(
                x, y, batch_size=500, epochs=3, verbose=0, validation_data=(x, held), callbacks=[spoils]
            )
            results.append(frozen(history.history))
            round_.did("fits")
        what = f"{kind} labels of validation_data, {dtype}, {value:g}"
        round_.expect(results[0] == results[1], f"{what}: other losses than of labels that stay")


@PART.scenario(short=len(KINDS))
def by_a_thread(round_: Round) -> None:
    """Another thread changes the labels from the first epoch on."""
    rng = round_.rng
    kind, dtype = KINDS[round_.index % len(KINDS)], str(rng.choice(["float32", "float64"]))
    how = str(rng.choice(HOW))
    begun, done = threading.Event(), threading.Event()
    with tempfile.TemporaryDirectory() as folder:
        y = _labels(kind, np.dtype(dtype), ROWS, folder)
        model = _model(dtype)

        def fit() -> None:
            try:
                begin = callbacks.LambdaCallback(on_train_begin=lambda logs: begun.set())
                history = model.fit(_features(dtype), y, callbacks=[begin], **_arguments(how)).history
            finally:
                begun.set()
                done.set()
            _compare(round_, dtype, how, f"{kind} labels, {dtype}, {how}, by a thread", model, history)

        def change() -> None:
            begun.wait(60)
            while not done.is_set():
                _spoil(y, float(rng.choice(BAD)), rng)

        with switching():
            together(round_, fit, change)


CALLS: dict[str, Callable[[fastnn.Model, np.ndarray, np.ndarray], Any]] = {
    "fit": lambda model, x, y: model.fit(x, y, batch_size=len(x) // 2, verbose=0).history,
    "train_on_batch": lambda model, x, y: model.train_on_batch(x, y),
    "evaluate": lambda model, x, y: model.evaluate(x, y, verbose=0),
    "loss_and_gradients": lambda model, x, y: model.loss_and_gradients(x, y),
}


def _looking_up(dtype: str) -> fastnn.Sequential:
    """Return a net that takes labels for categories."""
    layers = [fastnn.layers.Embedding(CLASSES, 3), fastnn.layers.Dense(CLASSES, "softmax")]
    model = fastnn.Sequential([fastnn.Input((1,)), *layers], dtype=dtype, seed=3)
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


LOOKED_UP: dict[str, Callable[[fastnn.Model, np.ndarray, np.ndarray], Any]] = {
    **{name: lambda model, x, y, call=call: call(model, y, x) for name, call in CALLS.items()},
    "predict": lambda model, x, y: model.predict(y),
    "call": lambda model, x, y: model(y),
}


@functools.cache
def _answers(dtype: str, looked_up: bool) -> dict[str, Any]:
    y = data(MANY, 5)[1]
    if looked_up:
        return {name: frozen(call(_looking_up(dtype), y, y)) for name, call in LOOKED_UP.items()}
    x = _features(dtype, MANY)
    return {name: frozen(call(_model(dtype), x, y)) for name, call in CALLS.items()}


@PART.scenario(short=4)
def as_they_are_taken(round_: Round) -> None:
    """Another thread spoils and repairs the labels all the time: calls refuse them, or took them whole."""
    _as_they_are_taken(round_, False)


@PART.scenario(short=6)
def as_they_are_looked_up(round_: Round) -> None:
    """The same of categories."""
    _as_they_are_taken(round_, True)


def _as_they_are_taken(round_: Round, looked_up: bool) -> None:
    rng = round_.rng
    kind, dtype = KINDS[round_.index % len(KINDS)], ("float32", "float64")[round_.index % 2]
    calls, make = (LOOKED_UP, _looking_up) if looked_up else (CALLS, _model)
    name = list(calls)[round_.index // 2 % len(calls)]
    good = data(MANY, 5)[1]
    x = good if looked_up else _features(dtype, MANY)
    wanted = _answers(dtype, looked_up)[name]
    done = threading.Event()
    with tempfile.TemporaryDirectory() as folder:
        y = _labels(kind, np.dtype(dtype), MANY, folder)

        def call() -> None:
            try:
                for _ in range(5):
                    model = make(dtype)
                    before = frozen(model.get_weights())
                    try:
                        found = frozen(calls[name](model, x, y))
                    except DataError:
                        round_.did("refused")
                        after = frozen(model.get_weights())
                        round_.expect(after == before, f"{name} was refused but trained")
                    else:
                        round_.did("accepted")
                        round_.expect(found == wanted, f"{name} took labels ({kind}, {dtype}) that are none")
            finally:
                done.set()

        def change() -> None:
            while not done.is_set():
                _spoil(y, float(rng.choice(BAD)), rng)
                y[...] = good if y.ndim == 1 else good[:, None]

        with switching():
            together(round_, call, change)


if __name__ == "__main__":
    PART.command_line()
