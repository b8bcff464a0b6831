"""`CSVLogger` writes what Keras's writes, byte for byte; arguments and defaults of callbacks that write."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn

LOGS: list[list[dict[str, Any]]] = [
    [{"loss": 0.5, "mae": 0.25}, {"loss": 0.125}, {"new": 1.0, "loss": np.float32(0.5)}],
    [{"val_loss": 2.0, "loss": 1.0}, {}],
    [{"loss": "text, with a comma", "list": [1, 2], "array": np.array([0.5, 1.5]), "zero": np.array(3)}],
    [],
]


@pytest.mark.parametrize("append", [False, True])
@pytest.mark.parametrize("separator", [",", ";"])
@pytest.mark.parametrize("before", [None, "", "old line\r\n"])
def test_tables_are_those_of_keras(
    before: str | None, separator: str, append: bool, tmp_path: Path, keras: Any
) -> None:
    texts = []
    for kind in (keras, fastnn):
        path = tmp_path / kind.__name__
        if before is not None:
            path.write_text(before, newline="")
        log = kind.callbacks.CSVLogger(path, separator, append)
        for run in LOGS:
            log.on_train_begin({})
            for epoch, logs in enumerate(run):
                log.on_epoch_end(epoch, dict(logs))
            log.on_train_end({})
            texts.append(path.read_bytes().decode())
    theirs, ours = texts[: len(LOGS)], texts[len(LOGS) :]
    assert ours == theirs
    assert [bool(text) for text in ours] == [True, True, True, append]


@pytest.mark.parametrize("name", ["BackupAndRestore", "CSVLogger", "CallbackList", "TensorBoard"])
def test_arguments_and_defaults(name: str, keras: Any) -> None:
    theirs, ours = (
        {
            parameter.name: parameter.default
            for parameter in inspect.signature(getattr(kind.callbacks, name)).parameters.values()
        }
        for kind in (keras, fastnn)
    )
    assert list(ours.items()) == list(theirs.items())
