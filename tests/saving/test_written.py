"""Files that earlier states of the format were written in: each is read, and says the same as then.

``written/`` holds files of that kind, none of which is ever made anew, and what their models answered:

=================== ======================================================================
first               the first files of format 1
weighted_metrics    from when `compile` could be given `weighted_metrics`
embedding           with clipped gradients, schedules, tables, noise and scaled features
backups             from when `BackupAndRestore` writes files, and models remember names of outputs
checksums           with a checksum of the description
passages            from when it is told where training stands in the rows, after parts of passes
=================== ======================================================================
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bad_files import described

import fastnn
from fastnn import layers
from fastnn.callbacks import BackupAndRestore, EarlyStopping
from fastnn.errors import FileFormatError
from fastnn.version import __version__

FOLDER = Path(__file__).parent / "written"
TOLD: dict[str, dict[str, Any]] = json.loads((FOLDER / "told.json").read_text())
MODELS = [name for name in TOLD if name.rpartition("_")[2] not in ("weights", "backup")]


def chain() -> fastnn.Sequential:
    return fastnn.Sequential([fastnn.Input((4,)), layers.Dense(5, "tanh"), layers.Dense(3)], seed=9)


def assert_answers(model: fastnn.Model, told: dict[str, Any]) -> None:
    x = [np.array(a) for a in told["x"]]
    found: Any = model.predict(x if len(x) > 1 else x[0])
    for a, b in zip(found if len(told["predictions"]) > 1 else [found], told["predictions"], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


def test_every_file_is_read() -> None:
    assert {path.stem for path in FOLDER.glob("*.safetensors")} == TOLD.keys()
    assert len({name.rpartition("_")[0] for name in TOLD}) == 6


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_an_earlier_version(name: str, tmp_path: Path) -> None:
    told, path = TOLD[name], FOLDER / f"{name}.safetensors"
    model = fastnn.load_model(path)
    assert_answers(model, told)
    found = [type(layer).__name__ for layer in model.layers]
    assert [name for name in found if name != "InputLayer"] == told["layers"]  # which are listed since then
    assert model.optimizer.iterations == told["iterations"]
    assert model.optimizer.learning_rate == told["learning_rate"]
    # It is written as files are now, and trains.
    model.save(tmp_path / "again")
    again = fastnn.load_model(tmp_path / "again")
    assert again.get_config() == model.get_config()
    assert again.optimizer.description == model.optimizer.description
    rng = np.random.default_rng(0)
    x: Any = [np.array(a) for a in told["x"]]
    y: Any = [rng.integers(0, 2, (3, 1 if "nested" in name else 3)) for _ in told["predictions"]]
    x, y = (x, y) if len(y) > 1 else (x[0], y[0])
    for trained in (model, again):
        assert np.isfinite(trained.fit(x, y, verbose=0).history["loss"]).all()
        assert trained.optimizer.iterations == told["iterations"] + 1
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", [name for name in TOLD if name.endswith("weights")])
def test_weights_of_an_earlier_version(name: str) -> None:
    model = chain()
    model.load_weights(FOLDER / f"{name}.safetensors")
    assert_answers(model, TOLD[name])


@pytest.mark.parametrize("name", [name for name in TOLD if name.endswith("backup")])
def test_a_backup_of_an_earlier_version(name: str, tmp_path: Path) -> None:
    shutil.copy(FOLDER / f"{name}.safetensors", tmp_path / "training.backup")
    model = chain()
    model.compile("adam", "mse")
    told = TOLD[name]
    stop = EarlyStopping("loss", patience=2, restore_best_weights=True)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 4)), rng.standard_normal((20, 3))
    # No epoch is left to be made: it ends with what is in the backup, the best weights.
    history = model.fit(x, y, 8, told["epoch"], 0, [BackupAndRestore(tmp_path), stop])
    assert history.epoch == []
    assert model.optimizer.iterations == told["iterations"]
    assert stop.best is not None
    assert_answers(model, told)


def test_a_file_of_a_later_version_says_so(tmp_path: Path) -> None:
    content = (FOLDER / "first_chain.safetensors").read_bytes()
    path = tmp_path / "model"

    def later(description: dict[str, Any], **changes: Any) -> None:
        description.update(version="7.1.0", **changes)

    path.write_bytes(described(content, lambda d: later(d, format=2)))
    with pytest.raises(FileFormatError, match=r"fastnn 7\.1\.0 wrote it, in format 2, and .* up to 1"):
        fastnn.load_model(path)
    # One of this format may have what is not known yet.
    path.write_bytes(described(content, lambda d: later(d)))
    assert_answers(fastnn.load_model(path), TOLD["first_chain"])

    def unknown(description: dict[str, Any]) -> None:
        later(description)
        description["model"]["parts"][0]["class_name"] = "Convolution"

    path.write_bytes(described(content, unknown))
    message = rf"unknown layer 'Convolution'.* \(fastnn 7\.1\.0 wrote it, and this is {__version__}\)"
    with pytest.raises(FileFormatError, match=message):
        fastnn.load_model(path)
