"""`BackupAndRestore`: processes are killed, and the run that goes on equals one that was left alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import callbacks, layers
from fastnn.callbacks import BackupAndRestore, Callback, EarlyStopping, LambdaCallback
from fastnn.errors import ConfigurationError, DTypeError, FileFormatError

X = np.random.default_rng(5).standard_normal((40, 3))
Y = np.sin(X[:, :1])

# Children train until they kill themselves, each from where the one before came; the last one ends by itself.
KILLED = """
import hashlib, json, os, signal, sys, traceback
import numpy as np
import fastnn
from fastnn import callbacks, layers

os.fsync = lambda descriptor: None  # processes are to die, not the machine
folder, save_freq, double = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
rng = np.random.default_rng(5)
x = rng.standard_normal((40, 3))
y = np.sin(x[:, :1])


class Mine(callbacks.Callback):
    def __init__(self, place):
        super().__init__()
        self.place, self.seen, self.losses = place, 0, np.array([np.nan])

    def on_train_batch_end(self, batch, logs=None):
        self.seen += 1

    def on_epoch_end(self, epoch, logs=None):
        self.losses = np.append(self.losses, logs["loss"])
        with open(f"{self.place}/logs", "a") as file:
            print(json.dumps([epoch, logs]), file=file)

    def get_state(self):
        return {"seen": self.seen, "losses": self.losses}

    def set_state(self, state):
        self.seen, self.losses = state["seen"], state["losses"]


def killer(hook, count):
    left = count

    def kill(*_, **__):
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    if hook in ("replace", "fsync"):
        real = getattr(os, hook)
        setattr(os, hook, lambda *given: (kill(), real(*given)))
        return callbacks.Callback()
    return callbacks.LambdaCallback(**{hook: kill})


def train(place, seed, *others):
    chain = [layers.Dense(8, "tanh"), layers.Dropout(0.2), layers.Dense(1)]
    model = fastnn.Sequential([fastnn.Input((3,)), *chain], seed=seed)
    model.compile("adam", "mse", metrics=["mae"])
    mine = Mine(place)
    stop = callbacks.EarlyStopping("loss", min_delta=0.1, patience=6, restore_best_weights=True)
    told = [
        callbacks.BackupAndRestore(f"{place}/backup", save_freq, double),
        callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9),
        stop,
        callbacks.ReduceLROnPlateau("val_loss", 0.5, patience=1, min_delta=1.0, cooldown=2),
        mine,
        callbacks.ModelCheckpoint(f"{place}/best", "loss", save_best_only=True),
        callbacks.CSVLogger(f"{place}/log.csv"),
        *others,
    ]
    model.fit(x, y, 8, 20, 0, told, validation_split=0.2)
    assert not os.path.exists(f"{place}/backup")
    state = model.optimizer
    arrays = [*model.get_weights(), state.state, mine.losses]
    logs = dict(map(json.loads, open(f"{place}/logs")))  # of an epoch that was made again, the last
    print(
        hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest(),
        [state.iterations, state.learning_rate, mine.seen, stop.best, stop.best_epoch, stop.stopped_epoch],
        hashlib.sha256(open(f"{place}/best", "rb").read()).hexdigest(),
        repr(open(f"{place}/log.csv").read()),
        sorted(logs.items()),
        flush=True,
    )


def child(place, seed, *death):
    process = os.fork()
    if process == 0:
        try:
            train(place, seed, *([killer(*death)] if death else []))
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


for place in ("whole", "killed"):
    os.mkdir(f"{folder}/{place}")
assert child(f"{folder}/whole", 7) == 0
deaths = [
    ("on_train_batch_end", 3), ("on_epoch_end", 2), ("on_test_batch_end", 1), ("on_epoch_begin", 2),
    ("on_train_batch_begin", 8), ("replace", 1), ("replace", 2), ("fsync", 3), ("on_epoch_end", 1),
]  # fmt: skip
for number, death in enumerate(deaths):
    # The seed is that of the backup.
    seed = 7 if not os.path.exists(f"{folder}/killed/backup") else number
    assert child(f"{folder}/killed", seed, *death) == -signal.SIGKILL, death
assert child(f"{folder}/killed", 7, "on_train_end", 1) == -signal.SIGKILL
assert child(f"{folder}/killed", 8) == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize(("save_freq", "double"), [("epoch", False), (3, True)])
def test_a_killed_run_equals_one_that_was_left_alone(save_freq: Any, double: bool, tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path), json.dumps(save_freq), json.dumps(double)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    whole, killed = done.stdout.splitlines()
    assert killed == whole
    assert whole.count("val_mae") == 1 + 8


def net(optimizer: Any = "adam", units: int = 4, dtype: str = "float32") -> fastnn.Sequential:
    chain = [layers.Dense(units, "tanh"), layers.Dense(1)]
    model = fastnn.Sequential([fastnn.Input((3,)), *chain], seed=3, dtype=dtype)
    model.compile(optimizer, "mse")
    return model


def cut_off(
    folder: Path, *others: Callback, at: int = 2, model: Any = None, batch: int = 8, **options: Any
) -> fastnn.Sequential:
    """Train until an error comes at some epoch, or at some batch if batches are saved; return the model."""

    def fail(number: int, logs: Any = None) -> None:
        if number == at:
            raise KeyError("cut off")

    model = model or net()
    hook = "on_train_batch_begin" if options.get("save_freq", "epoch") != "epoch" else "on_epoch_begin"
    told = [BackupAndRestore(folder, **options), *others, LambdaCallback(**{hook: fail})]
    with pytest.raises(KeyError):
        model.fit(X, Y, batch, 5, 0, told)
    return model


class Mine(Callback):
    """Remembers what it is given."""

    def __init__(self, state: Any) -> None:
        super().__init__()
        self.state = state
        self.given: Any = None

    def get_state(self) -> Any:
        return self.state

    def set_state(self, state: Any) -> None:
        self.given = state


def test_states_come_back_as_they_were(tmp_path: Path) -> None:
    first = {
        "none": None, "text": "a", "flag": True, "numbers": [1, 2.5, -np.inf, (3, [])], "dict": {"dict": {}},
        "array": np.arange(6, dtype=np.float32).reshape(2, 3), "double": np.array(0.1),
        "nan": np.array([[np.nan, 1.0]], np.float32), "whole": np.array([2**40, 1]),
        "flags": np.zeros(0, bool), "scalar": np.float32(0.1),
    }  # fmt: skip
    cut_off(tmp_path, Mine(first), Mine({"second": 1}), Mine({}))
    again = [Mine(None), Mine(None), Mine(None)]
    net().fit(X, Y, epochs=2, verbose=0, callbacks=[*again, BackupAndRestore(tmp_path)])
    found = again[0].given
    assert again[1].given == {"second": 1}
    assert again[2].given is None
    assert list(found) == list(first)
    for name, value in first.items():
        if isinstance(value, np.ndarray):
            assert found[name].dtype == value.dtype
            np.testing.assert_array_equal(found[name], value, strict=True)
        else:
            assert found[name] == ([1, 2.5, -np.inf, [3, []]] if name == "numbers" else value)
    for bad in ({1, 2}, object(), np.array(["a"]), {1: 2}):
        with pytest.raises(DTypeError, match=r"get_state of Mine must return numbers, strings, .* got "):
            net().fit(X, Y, verbose=0, callbacks=[BackupAndRestore(tmp_path / "new"), Mine({"a": bad})])


def test_the_history_begins_where_training_goes_on(tmp_path: Path) -> None:
    cut_off(tmp_path / "a" / "b", at=3)
    history = net().fit(X, Y, 8, 5, 0, [BackupAndRestore(tmp_path / "a" / "b")])
    assert history.epoch == [3, 4]
    assert os.listdir(tmp_path / "a") == []
    assert net().fit(X, Y, 8, 2, 0, [BackupAndRestore(tmp_path / "a" / "b")]).epoch == [0, 1]


def test_whole_epochs_stay_native(tmp_path: Path) -> None:
    assert not BackupAndRestore(tmp_path).wants_batches
    assert BackupAndRestore(tmp_path, 2).wants_batches


def test_a_backup_that_is_kept_ends_training_at_once_if_that_had_ended(tmp_path: Path) -> None:
    options: dict[str, Any] = {"epochs": 5, "verbose": 0}
    stop = EarlyStopping("loss", min_delta=9.0, patience=1)
    for expected in ([0, 1], []):
        told = [BackupAndRestore(tmp_path, delete_checkpoint=False), stop]
        assert net().fit(X, Y, callbacks=told, **options).epoch == expected
        assert stop.stopped_epoch == 1
    # A limit of time is that of a process: another one goes on.
    for expected in ([0], [1], [2]):
        told = [BackupAndRestore(tmp_path / "limit", delete_checkpoint=False), callbacks.TimeLimit(0.0)]
        assert net().fit(X, Y, callbacks=told, **options).epoch == expected


def test_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("x")
    net().fit(X, Y, epochs=2, verbose=0, callbacks=[BackupAndRestore(tmp_path, double_checkpoint=True)])
    assert os.listdir(tmp_path) == ["theirs"]


@pytest.mark.parametrize("double", [False, True])
def test_a_damaged_backup(double: bool, tmp_path: Path, refused: Any) -> None:
    cut_off(tmp_path, at=3, double_checkpoint=double)
    path = tmp_path / "training.backup"
    path.write_bytes(path.read_bytes()[:-1])
    model = net()
    if double:
        with pytest.warns(UserWarning, match="latest backup cannot be read, and the one before it is used"):
            assert model.fit(X, Y, 8, 5, 0, [BackupAndRestore(tmp_path)]).epoch == [2, 3, 4]
        return
    with refused(model, FileFormatError, match="cannot be loaded"):
        model.fit(X, Y, 8, 5, 0, [BackupAndRestore(tmp_path)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: net("sgd"), "it is of a training by 'Adam', which keeps .* compiled with SGD, which keeps"),
        (lambda: net(units=5), r"array 'dense(_\d+)?/kernel' has shape \(3, 4\), needs \(3, 5\)"),
        (lambda: net(dtype="float64"), "is of float32, and the model of float64"),
    ],
)
def test_a_backup_of_another_model(make: Any, message: str, tmp_path: Path, refused: Any) -> None:
    cut_off(tmp_path)
    model = make()
    with refused(model, FileFormatError, match=message):
        model.fit(X, Y, 8, 5, 0, [BackupAndRestore(tmp_path)])
    net().save(tmp_path / "training.backup")
    with refused(model, FileFormatError, match="it is no backup of a training"):
        model.fit(X, Y, 8, 5, 0, [BackupAndRestore(tmp_path)])


def test_the_midst_of_an_epoch_of_another_length(tmp_path: Path, refused: Any) -> None:
    cut_off(tmp_path, save_freq=1)
    model = net()
    message = "from the midst of an epoch of 5 batches, and this one has 10; use the same rows and batch_size"
    with refused(model, ConfigurationError, match=message):
        model.fit(X, Y, 4, 5, 0, [BackupAndRestore(tmp_path)])
    assert model.fit(X, Y, 8, 5, 0, [BackupAndRestore(tmp_path)]).epoch == [0, 1, 2, 3, 4]
    assert model.optimizer.iterations == 25
