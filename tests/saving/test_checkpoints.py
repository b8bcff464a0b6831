"""`ModelCheckpoint`: when it saves, under which name, and what; as Keras does."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn.callbacks import Callback, LambdaCallback, ModelCheckpoint
from fastnn.errors import ConfigurationError, DTypeError

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((50, 3)), RNG.standard_normal((50, 2))


def model_of(kind: Any = fastnn) -> Any:
    model = kind.Sequential([kind.Input((3,)), kind.layers.Dense(4, "tanh"), kind.layers.Dense(2)])
    model.compile(kind.optimizers.SGD(0.1), "mse", metrics=["mse"])
    return model


def fit(checkpoint: ModelCheckpoint, *others: Callback, **options: Any) -> fastnn.Model:
    model: fastnn.Model = model_of()
    options = {"epochs": 3, "batch_size": 16, "verbose": 0, **options}
    model.fit(X, Y, callbacks=[*others, checkpoint], **options)
    return model


def test_every_epoch(tmp_path: Path) -> None:
    model = fit(ModelCheckpoint(tmp_path / "new" / "{epoch:02d}-{loss:.3f}"))
    names = sorted(os.listdir(tmp_path / "new"))
    assert [name[:3] for name in names] == ["01-", "02-", "03-"]
    assert model.history is not None
    assert float(names[-1][3:]) == pytest.approx(model.history.history["loss"][-1], abs=6e-4)
    last = fastnn.load_model(tmp_path / "new" / names[-1])
    np.testing.assert_array_equal(last.predict(X), model.predict(X))
    assert last.optimizer.iterations == 12


def test_training_goes_on_from_it(tmp_path: Path) -> None:
    model = fit(ModelCheckpoint(tmp_path / "{epoch}"), epochs=4)
    again = fastnn.load_model(tmp_path / "2")
    again.fit(X, Y, epochs=4, initial_epoch=2, batch_size=16, verbose=0)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


def test_weights_only(tmp_path: Path) -> None:
    model = fit(ModelCheckpoint(str(tmp_path / "w.weights.h5"), save_weights_only=True))
    other = model_of()
    other.load_weights(tmp_path / "w.weights.h5")
    np.testing.assert_array_equal(other.predict(X), model.predict(X))


def losses(*values: float) -> LambdaCallback:
    """Give the epochs a number to be monitored, in the place of a real one."""
    return LambdaCallback(on_epoch_end=lambda epoch, logs: logs.__setitem__("score", values[epoch]))


@pytest.mark.parametrize(
    ("mode", "threshold", "saved"),
    [("min", None, [1, 2, 5]), ("max", None, [1, 4]), ("min", 0.45, [5]), ("max", 0.55, [4])],
)
def test_only_the_best(mode: str, threshold: float | None, saved: list[int], tmp_path: Path) -> None:
    checkpoint = ModelCheckpoint(
        tmp_path / "{epoch}", "score", save_best_only=True, mode=mode, initial_value_threshold=threshold
    )
    fit(checkpoint, losses(0.55, 0.5, 0.5, 0.9, 0.4), epochs=5)
    assert sorted(map(int, os.listdir(tmp_path))) == saved


def test_the_best_is_remembered_from_fit_to_fit(tmp_path: Path) -> None:
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}-{score}", "score", save_best_only=True, mode="min")
    fit(checkpoint, losses(0.5), epochs=1)
    fit(checkpoint, losses(0.6), epochs=1)
    assert os.listdir(tmp_path) == ["1-0.5"]


@pytest.mark.parametrize("freq", [1, 3, 5])
def test_batches_are_counted_on_from_epoch_to_epoch_as_in_keras(freq: int, tmp_path: Path) -> None:
    fit(ModelCheckpoint(tmp_path / "{epoch}-{batch}", save_freq=freq), epochs=3)  # of 4 batches
    ours = sorted(os.listdir(tmp_path))
    total = [(1 + i // 4, 1 + i % 4) for i in range(12)]
    assert ours == sorted(f"{epoch}-{batch}" for epoch, batch in total[freq - 1 :: freq])


def test_epochs_stay_native() -> None:
    assert not ModelCheckpoint("x").wants_batches
    assert ModelCheckpoint("x", save_freq=2).wants_batches


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Keras itself, by NumPy
def test_decisions_of_keras(peer: Callable[[str], Any], tmp_path: Path) -> None:
    keras = peer("keras")
    numbers = [0.5, 0.4, 0.6, 0.4, 0.3, 0.35]
    (tmp_path / "k").mkdir()
    theirs = keras.callbacks.ModelCheckpoint(
        str(tmp_path / "k" / "{epoch}.weights.h5"),
        "score",
        0,
        True,
        True,
        "min",
        initial_value_threshold=0.45,
    )
    score = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(score=numbers[epoch]))
    model_of(keras).fit(X, Y, epochs=6, verbose=0, callbacks=[score, theirs])
    ours = ModelCheckpoint(
        tmp_path / "f" / "{epoch}.weights.h5", "score", 0, True, True, "min", "epoch", 0.45
    )
    fit(ours, losses(*numbers), epochs=6)
    assert sorted(os.listdir(tmp_path / "f")) == sorted(os.listdir(tmp_path / "k"))


def test_what_is_monitored_is_missing(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="saves whether it is better or not: 'val_loss' is not available"):
        fit(ModelCheckpoint(tmp_path / "m", save_best_only=True), epochs=1)
    assert os.listdir(tmp_path) == ["m"]


def test_verbose(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(ModelCheckpoint(tmp_path / "m", "score", 1, True, mode="min"), losses(0.5, 0.6), epochs=2)
    assert capsys.readouterr().out.splitlines() == [
        f"Epoch 1: saved as {tmp_path / 'm'}",
        "Epoch 2: score does not improve on 0.50000",
    ]


def test_bad_arguments(tmp_path: Path) -> None:
    for bad in (5, None, b"x"):
        with pytest.raises(DTypeError, match="filepath must be"):
            ModelCheckpoint(bad)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="save_freq must be 'epoch' or a number"):
        ModelCheckpoint("x", save_freq="batch")
    for freq in (0, -1):
        with pytest.raises(ConfigurationError, match="save_freq must be at least 1"):
            ModelCheckpoint("x", save_freq=freq)
    with pytest.raises(DTypeError, match="save_best_only must be True or False"):
        ModelCheckpoint("x", save_best_only=1)  # type: ignore[arg-type]
    with pytest.raises(
        ConfigurationError, match=r"cannot be filled in \('val_loss'\); there are epoch, loss, mse"
    ):
        fit(ModelCheckpoint(tmp_path / "{val_loss}"))
    with pytest.raises(ConfigurationError, match="cannot tell whether 'score'"):
        fit(ModelCheckpoint(tmp_path / "x", "score", save_best_only=True))
    assert os.listdir(tmp_path) == []
