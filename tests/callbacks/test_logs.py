"""Callbacks that write: tables, also compared in `parity/test_keras_logs.py`."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.callbacks import CSVLogger, LambdaCallback

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
