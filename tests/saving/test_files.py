"""Files that cannot be loaded: each is refused with a clear error, and takes little memory."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from bad_files import KINDS, saved

import fastnn
from fastnn import layers
from fastnn.errors import ConfigurationError, DTypeError, FileFormatError


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
