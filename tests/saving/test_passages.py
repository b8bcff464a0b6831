"""Epochs that are not all batches: training that goes on has the orders of rows of training left alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bad_files import described

import fastnn
from fastnn import layers
from fastnn.callbacks import BackupAndRestore, LambdaCallback, ModelCheckpoint
from fastnn.errors import FileFormatError

RNG = np.random.default_rng(3)
X = RNG.standard_normal((30, 4))
Y = RNG.standard_normal((30, 2))
LABELS = RNG.integers(0, 2, (30, 1))
EPOCHS, MIDDLE = 7, 3
# Of 30 rows there are 8 batches, the last one shorter: an epoch of 3 ends a pass in its midst; one of 5 too.
USUAL: dict[str, Any] = {"batch_size": 4, "steps_per_epoch": 3, "verbose": 0}


class CutOff(Exception):
    """The end of a process, without the end of the process."""


def plain(seed: int = 3) -> fastnn.Model:
    model = fastnn.Sequential([fastnn.Input((4,)), layers.Dense(5, "tanh"), layers.Dense(2)], seed=seed)
    model.compile(fastnn.optimizers.Adam(0.01), "mse")
    return model


def two_outputs(seed: int = 3) -> fastnn.Model:
    x = fastnn.Input((4,))
    h = layers.Dropout(0.2)(layers.Dense(5, "tanh")(x))
    model = fastnn.Model(x, [layers.Dense(2)(h), layers.Dense(1, "sigmoid")(h)], seed=seed)
    model.compile("adam", ["mse", "binary_crossentropy"], metrics=[["mae"], ["accuracy"]])
    return model


class Own(fastnn.losses.Loss):
    """A loss in Python."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        error = y_pred - y_true
        return (error**2).mean(axis=1), 2 * error / error.shape[1]


def classes(seed: int = 3) -> fastnn.Model:
    model = fastnn.Sequential(
        [fastnn.Input((4,)), layers.Dense(5, "tanh"), layers.Dense(1, "sigmoid")], seed=seed
    )
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    return model


WEIGHTS = RNG.uniform(0.5, 1.5, 30)
CASES: dict[str, tuple[Callable[..., fastnn.Model], tuple[Any, Any], dict[str, Any]]] = {
    "shuffled": (plain, (X, Y), {}),
    "in order": (plain, (X, Y), {"shuffle": False}),
    "longer epochs": (plain, (X, Y), {"steps_per_epoch": 5}),
    "one step": (plain, (X, Y), {"steps_per_epoch": 1}),
    "no batch_size": (plain, (X, Y), {"batch_size": None, "steps_per_epoch": 4}),
    "several outputs": (two_outputs, (X, [Y, LABELS]), {}),
    "sample weights": (plain, (X, Y), {"sample_weight": WEIGHTS}),
    "class weights": (classes, (X, LABELS), {"class_weight": {0: 0.5, 1: 2.0}}),
    "validated": (plain, (X, Y), {"validation_split": 0.2}),
}


def assert_same(one: fastnn.Model, other: fastnn.Model) -> None:
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(one.optimizer.state, other.optimizer.state)
    assert one.optimizer.iterations == other.optimizer.iterations


def fit(model: fastnn.Model, data: tuple[Any, Any], options: dict[str, Any], **more: Any) -> Any:
    return model.fit(*data, **(USUAL | {"epochs": EPOCHS} | options | more))


@pytest.mark.filterwarnings("ignore:x ran out of data:UserWarning")
@pytest.mark.parametrize("middle", [1, MIDDLE, 4])
@pytest.mark.parametrize("case", CASES)
def test_from_a_file(case: str, middle: int, tmp_path: Path) -> None:
    make, data, options = CASES[case]
    alone, kept, cut = make(), make(), make()
    whole = fit(alone, data, options)
    # Of a callback.
    fit(kept, data, options, callbacks=[ModelCheckpoint(tmp_path / "{epoch}")])
    assert_same(kept, alone)
    loaded = fastnn.load_model(tmp_path / f"{middle}")
    later = fit(loaded, data, options, initial_epoch=middle)
    assert_same(loaded, alone)
    assert later.history["loss"] == whole.history["loss"][middle:]
    # Between two calls of `fit`.
    fit(cut, data, options, epochs=middle)
    cut.save(tmp_path / "model")
    again = fastnn.load_model(tmp_path / "model")
    for model in (cut, again):
        fit(model, data, options, initial_epoch=middle)
        assert_same(model, alone)


@pytest.mark.filterwarnings("ignore:x ran out of data:UserWarning")
@pytest.mark.parametrize("save_freq", ["epoch", 1, 2, 4])
@pytest.mark.parametrize("case", CASES)
def test_from_a_backup(case: str, save_freq: Any, tmp_path: Path) -> None:
    make, data, options = CASES[case]
    alone = make()
    whole = fit(alone, data, options)
    for stop in [at for at in (2, 5, 8, 9, 11, 13) if at < alone.optimizer.iterations]:
        steps = itertools.count()

        def fail(*args: Any, stop: int = stop, steps: Any = steps, **more: Any) -> None:
            if next(steps) == stop:
                raise CutOff

        folder = tmp_path / f"{stop}"
        told = [BackupAndRestore(folder, save_freq), LambdaCallback(on_train_batch_begin=fail)]
        with pytest.raises(CutOff):
            fit(make(), data, options, callbacks=told)
        resumed = make()
        later = fit(resumed, data, options, callbacks=[BackupAndRestore(folder, save_freq)])
        assert_same(resumed, alone)
        assert later.history["loss"] == whole.history["loss"][later.epoch[0] :]


@pytest.mark.filterwarnings("ignore:x ran out of data:UserWarning")
def test_from_a_backup_of_another_seed(tmp_path: Path) -> None:
    """The orders of rows follow from the seed in the backup."""
    alone, resumed = plain(), plain(4)
    fit(alone, (X, Y), {})
    with pytest.raises(CutOff):
        fit(plain(), (X, Y), {}, callbacks=[BackupAndRestore(tmp_path), ending(MIDDLE)])
    fit(resumed, (X, Y), {}, callbacks=[BackupAndRestore(tmp_path)])
    assert_same(resumed, alone)


def ending(epoch: int) -> LambdaCallback:
    """Return what cuts a run off at the beginning of an epoch."""

    def end(number: int, logs: Any = None) -> None:
        if number == epoch:
            raise CutOff

    return LambdaCallback(on_epoch_begin=end)


@pytest.mark.filterwarnings("ignore:x ran out of data:UserWarning")
def test_a_loss_in_python() -> None:
    alone, cut = plain(), plain()
    for model in (alone, cut):
        model.compile("adam", Own())
    fit(alone, (X, Y), {})
    fit(cut, (X, Y), {}, epochs=MIDDLE)
    fit(cut, (X, Y), {}, initial_epoch=MIDDLE)
    assert_same(cut, alone)


def seen_by(model: fastnn.Model, rows: int = 8, **options: Any) -> list[int]:
    """Return what rows each epoch had, as bits; the loss is the mean of powers of 2."""
    options = {"batch_size": 2, "steps_per_epoch": 1, "verbose": 0} | options
    history = model.fit(np.zeros((rows, 1)), 2.0 ** np.arange(rows), **options).history["loss"]
    return [int(loss * options["batch_size"] * options["steps_per_epoch"]) for loss in history]


def still() -> fastnn.Model:
    model = fastnn.Sequential([fastnn.Input((1,)), layers.Dense(1)], seed=0)
    model.compile(fastnn.optimizers.SGD(0.0), "mae")
    model.set_weights([[[0.0]], [0.0]])
    return model


def test_only_a_call_with_an_initial_epoch_goes_on() -> None:
    """As in Keras each other call begins with the first rows."""
    model = still()
    parts = [0b11, 0b1100, 0b110000, 0b11000000]
    assert seen_by(model, shuffle=False, epochs=3) == parts[:3]
    assert seen_by(model, shuffle=False, epochs=1) == parts[:1]
    assert seen_by(model, shuffle=False, epochs=4, initial_epoch=1) == parts[1:]
    # The pass is over, and the next one begins.
    assert seen_by(model, shuffle=False, epochs=5, initial_epoch=4) == parts[:1]


def test_other_rows_or_batches_begin_anew() -> None:
    model = still()
    seen_by(model, shuffle=False, epochs=3)
    assert seen_by(model, shuffle=False, epochs=4, initial_epoch=3, rows=6) == [0b11]
    assert seen_by(model, shuffle=False, epochs=5, initial_epoch=4, rows=6, batch_size=1) == [0b1]
    assert seen_by(model, shuffle=False, epochs=5, initial_epoch=4, rows=6, batch_size=1) == [0b10]
    # So does what comes after epochs of all rows.
    model.fit(np.zeros((6, 1)), np.zeros(6), 1, 6, 0, initial_epoch=5)
    assert seen_by(model, shuffle=False, epochs=7, initial_epoch=6, rows=6, batch_size=1) == [0b1]
    # And after `compile`, which begins anew altogether.
    model.compile(fastnn.optimizers.SGD(0.0), "mae")
    assert seen_by(model, shuffle=False, epochs=7, initial_epoch=6, rows=6, batch_size=1) == [0b1]


def test_a_pass_that_goes_on_has_each_row_once() -> None:
    model = still()
    first = seen_by(model, epochs=3)
    (last,) = seen_by(model, epochs=4, initial_epoch=3)
    assert sum(first) + last == 255
    assert first[0] | first[1] | first[2] | last == 255


def test_a_step_that_was_saved_in_the_midst_of_an_epoch(tmp_path: Path) -> None:
    """The rows of the epoch that were trained are not trained again in this pass."""
    model = still()
    kept = ModelCheckpoint(tmp_path / "{epoch}-{batch}", save_freq=1)
    seen_by(model, shuffle=False, steps_per_epoch=2, callbacks=[kept])
    loaded = fastnn.load_model(tmp_path / "1-1")
    assert seen_by(loaded, shuffle=False, epochs=2, initial_epoch=1) == [0b1100]


@pytest.mark.parametrize("bad", [3, [1, 2, 3], [1, 2, 3, 0], [1, -1, 3, 4], [1, 9, 3, 4], ["a", 2, 3, 4]])
def test_a_damaged_position_is_refused(bad: Any, tmp_path: Path) -> None:
    path = tmp_path / "model"
    model = plain()
    fit(model, (X, Y), {}, epochs=1)
    model.save(path)
    content = path.read_bytes()

    def change(description: dict[str, Any]) -> None:
        assert description["compiled"]["passage"] == [0, 3, 4, 30]
        description["compiled"]["passage"] = bad

    path.write_bytes(described(content, change))
    with pytest.raises(FileFormatError, match="passage"):
        fastnn.load_model(path)


def test_files_of_whole_epochs_say_nothing_of_it(tmp_path: Path) -> None:
    model = plain()
    fit(model, (X, Y), {"steps_per_epoch": None}, epochs=1)
    model.save(tmp_path / "model")

    def look(description: dict[str, Any]) -> None:
        assert "passage" not in description["compiled"]

    described((tmp_path / "model").read_bytes(), look)
