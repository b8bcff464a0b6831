"""Callbacks that write: tables, also compared in `parity/test_keras_logs.py`, and for TensorBoard."""

from __future__ import annotations

import csv
import re
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.callbacks import CSVLogger, LambdaCallback, TensorBoard
from fastnn.errors import ConfigurationError, DTypeError

X = np.random.default_rng(5).standard_normal((40, 3))
Y = np.sin(X[:, :1])


def net() -> fastnn.Sequential:
    chain = [layers.Dense(4, "tanh", name="hidden"), layers.Dense(1, name="out")]
    model = fastnn.Sequential([fastnn.Input((3,)), *chain], seed=3)
    model.compile("sgd", "mse")
    return model


# -- tables


def test_a_table_of_a_training(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    seen: list[int] = []
    watch = LambdaCallback(on_epoch_begin=lambda epoch, logs: seen.append(len(path.read_text().splitlines())))
    history = net().fit(X, Y, 8, 3, 0, [CSVLogger(path), watch], validation_split=0.2)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [0, 1, 2]
    for name in ("loss", "val_loss"):
        assert [float(row[name]) for row in rows] == history.history[name]
    assert seen == [0, 2, 3]  # each row is there when its epoch has ended
    with pytest.raises(FileNotFoundError):
        net().fit(X, Y, verbose=0, callbacks=[CSVLogger(tmp_path / "no" / "log.csv")])


# -- TensorBoard


@pytest.fixture
def events(peer: Callable[[str], ModuleType]) -> Callable[[Path], list[Any]]:
    """Return a function that reads the values of all files of events in a folder: (name, step, value)."""
    peer("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    def read(folder: Path) -> list[Any]:
        found = []
        for path in sorted(folder.iterdir()):
            content, place = path.read_bytes(), 0
            while place < len(content):
                (length,) = struct.unpack_from("<Q", content, place)
                event = Event.FromString(content[place + 12 : place + 12 + length])
                place += 16 + length
                for value in event.summary.value:
                    kind = value.WhichOneof("value")
                    found.append((value.tag, event.step, getattr(value, kind)))
        return found

    return read


def test_what_is_written_for_tensorboard(tmp_path: Path, events: Any) -> None:
    model = net()
    board = TensorBoard(tmp_path, histogram_freq=2, write_steps_per_second=True)
    assert not board.wants_batches
    history = model.fit(X, Y, 8, 3, 0, [board], validation_split=0.2)
    train, validation = events(tmp_path / "train"), events(tmp_path / "validation")
    assert train[0][0].startswith("model")
    assert model.to_json() in train[0][2].string_val[0].decode()
    for folder, name, values in (
        (train, "epoch_loss", history.history["loss"]),
        (train, "epoch_learning_rate", [model.optimizer.learning_rate] * 3),
        (validation, "epoch_loss", history.history["val_loss"]),
    ):
        found = [(step, value) for tag, step, value in folder if tag == name]
        assert found == [(epoch, np.float32(value)) for epoch, value in enumerate(values)]
    assert [step for tag, step, _ in validation if tag == "evaluation_loss_vs_iterations"] == [4, 8, 12]
    rates = [value for tag, _, value in train if tag == "epoch_steps_per_second"]
    assert len(rates) == 3
    assert min(rates) > 0
    names = ("hidden/kernel", "hidden/bias", "out/kernel", "out/bias")
    for name, last in zip(names, model.get_weights(), strict=True):
        histograms = [(step, value) for tag, step, value in train if tag == f"{name}/histogram"]
        assert [step for step, _ in histograms] == [0, 2]
        assert histograms[-1][1].num == last.size
        assert histograms[-1][1].sum == pytest.approx(float(last.sum()), rel=1e-5)
    assert {tag.split("/")[0] for tag, *_ in train[1:]} == {
        "epoch_loss", "epoch_learning_rate", "epoch_steps_per_second", "hidden", "out",
    }  # fmt: skip


@pytest.mark.parametrize(("freq", "steps"), [("batch", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), (3, [3, 6, 9])])
def test_batches_for_tensorboard(freq: Any, steps: list[int], tmp_path: Path, events: Any) -> None:
    seen: list[float] = []
    watch = LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs["loss"]))
    board = TensorBoard(tmp_path, update_freq=freq, write_graph=False, write_steps_per_second=True)
    for _ in range(2):  # it begins anew
        seen.clear()
        net().fit(X, Y, 8, 2, 0, [board, watch])
    found = [(step, value) for tag, step, value in events(tmp_path / "train") if tag == "batch_loss"]
    assert [step for step, _ in found] == 2 * steps
    assert found[len(steps) :] == [(step, np.float32(seen[step - 1])) for step in steps]
    assert not any(tag.startswith("model") for tag, *_ in events(tmp_path / "train"))


def test_an_evaluation_for_tensorboard(tmp_path: Path, events: Any) -> None:
    model = net()
    loss = model.evaluate(X, Y, callbacks=[TensorBoard(tmp_path)])
    assert events(tmp_path / "validation") == [("evaluation_loss_vs_iterations", 0, np.float32(loss))]


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, peer: Callable[[str], ModuleType]) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "tensorboardX", None)
        with pytest.raises(ImportError, match="needs tensorboardX: pip install tensorboardX"):
            TensorBoard()
    for options, error, message in (
        ({"log_dir": 3}, DTypeError, "log_dir must be a string or a path, got 3"),
        ({"histogram_freq": -1}, ConfigurationError, "histogram_freq must be at least 0"),
        ({"update_freq": "step"}, ConfigurationError, "update_freq must be 'epoch', 'batch' or a number"),
        ({"update_freq": 0}, ConfigurationError, "update_freq must be at least 1"),
        ({"write_images": True}, ConfigurationError, "write_images is not there, got True; histogram_freq"),
        ({"profile_batch": 2}, ConfigurationError, r"got 2; model.profile\(x, y\) times every op"),
        ({"embeddings_freq": 1}, ConfigurationError, "embeddings_freq is not there"),
        ({"write_graph": 1}, DTypeError, "write_graph must be True or False"),
    ):
        with pytest.raises(error, match=re.compile(message)):
            TensorBoard(**options)  # type: ignore[arg-type]
