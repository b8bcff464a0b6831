"""Runs that are interrupted in their midst, and go on in another process: ``python tests/resumed.py FOLDER``.

A case is a line of five words; see the tables.  Each has a folder of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np

import fastnn
from fastnn import callbacks, layers, optimizers
from fastnn.optimizers import schedules

EPOCHS, MIDDLE = 8, 3  # it is cut off when so many epochs are over, or in the midst of the next one
RNG = np.random.default_rng(5)
X = RNG.standard_normal((40, 4))
Y = np.sin(X[:, :2]) + 0.1 * RNG.standard_normal((40, 2))  # of 32 rows there are five batches

OPTIMIZERS: dict[str, tuple[type[optimizers.Optimizer], dict[str, Any]]] = {
    "sgd": (optimizers.SGD, {}),
    "momentum": (optimizers.SGD, {"momentum": 0.9, "nesterov": True}),
    "adam": (optimizers.Adam, {"amsgrad": True}),
    "adamw": (optimizers.AdamW, {"weight_decay": 0.1}),
    "rmsprop": (optimizers.RMSprop, {"centered": True, "momentum": 0.5}),
    "adagrad": (optimizers.Adagrad, {}),
    "adadelta": (optimizers.Adadelta, {}),
    "adamax": (optimizers.Adamax, {}),
    "nadam": (optimizers.Nadam, {}),
    "lamb": (optimizers.Lamb, {}),
    "lion": (optimizers.Lion, {}),
    "ftrl": (optimizers.Ftrl, {}),
    "muon": (optimizers.Muon, {}),
}
# What sets the learning rate, if it is not a number; the last two are callbacks.
RATES: dict[str, Any] = {
    "number": None,
    "exponential": schedules.ExponentialDecay(0.01, 7, 0.5),
    "inverse": schedules.InverseTimeDecay(0.01, 7, 0.5, staircase=True),
    "polynomial": schedules.PolynomialDecay(0.01, 9, 0.001, cycle=True),
    "piecewise": schedules.PiecewiseConstantDecay([6, 17, 30], [0.01, 0.005, 0.002, 0.001]),
    "cosine": schedules.CosineDecay(0.001, 25, warmup_target=0.01, warmup_steps=8),
    "restarts": schedules.CosineDecayRestarts(0.01, 6),
    "cycle": schedules.OneCycle(0.02, 35),
    "scheduler": None,
    "plateau": None,
}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {"global_clipnorm": 1.0},
    "ema": {"use_ema": True, "ema_momentum": 0.9},
    "overwritten": {"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 4},
    "accumulated": {"gradient_accumulation_steps": 2, "use_ema": True},  # 15 or 16 batches: within a sum
}
MEMORIES = ["none", "stopping", "restoring", "best", "batches", "log", "own"]
# A net, and what is kept in the midst.
WAYS = ["noise save", "normalized save", "noise batch", "normalized epoch"]


class CutOff(Exception):
    """The end of the first process, without the end of the process."""


class Own(callbacks.Callback):
    """Remembers numbers of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.losses = np.zeros(0)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.losses = np.append(self.losses, logs["loss"])

    def get_state(self) -> dict[str, Any]:
        return {"losses": self.losses}

    def set_state(self, state: dict[str, Any]) -> None:
        self.losses = state["losses"]


class Save(callbacks.Callback):
    """Saves the model, and what other callbacks remember, in the midst, and cuts the run off."""

    def __init__(self, folder: Path, others: list[Any]) -> None:
        super().__init__()
        self.folder, self.others = folder, others

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == MIDDLE - 1:
            self.model.save(self.folder / "model")
            (self.folder / "states").write_bytes(pickle.dumps([one.get_state() for one in self.others]))
            raise CutOff


class Recall(callbacks.Callback):
    """Gives callbacks back what they remembered."""

    def __init__(self, folder: Path, others: list[Any]) -> None:
        super().__init__()
        self.folder, self.others = folder, others

    def on_train_begin(self, logs: Any = None) -> None:
        for one, state in zip(self.others, pickle.loads((self.folder / "states").read_bytes()), strict=True):
            if state:
                one.set_state(state)


def model_of(case: str, first: bool) -> fastnn.Model:
    """Return the model of a case; in a second process it has another seed, and is not adapted."""
    optimizer, rate, _, options, net, _ = case.split()
    x = fastnn.Input((4,))
    if net == "noise":
        h = layers.Dropout(0.2)(layers.Dense(6, "tanh")(layers.GaussianNoise(0.1)(x)))
        outer: list[Any] = []
    else:
        outer = [layers.Normalization()]
        h = layers.BatchNormalization(momentum=0.7)(layers.Dense(6, "tanh")(outer[0](x)))
        h = layers.Dropout(0.1, seed=1)(h)
    model = fastnn.Model(x, layers.Dense(2)(h), seed=3 if first else 4)
    if first:
        for layer in outer:
            layer.adapt(X)
    rule, own = OPTIMIZERS[optimizer]
    made = rule(learning_rate=RATES[rate] or 0.01, **own, **OPTIONS[options])
    model.compile(made, "mse", metrics=["mae"])
    return model


def told(case: str, folder: Path) -> list[Any]:
    """Return the callbacks of a case that remember something."""
    _, rate, memory, *_ = case.split()
    found: dict[str, Any] = {
        # Nothing improves by so much: what they do follows from what they counted.
        "stopping": lambda: callbacks.EarlyStopping("val_loss", min_delta=10.0, patience=MIDDLE + 1),
        # The largest error is an early one.
        "restoring": lambda: callbacks.EarlyStopping(
            "val_mae", patience=99, mode="max", restore_best_weights=True
        ),
        "best": lambda: callbacks.ModelCheckpoint(folder / "best-{epoch}", save_best_only=True),
        "batches": lambda: callbacks.ModelCheckpoint(folder / "batch-{epoch}-{batch}", save_freq=7),
        "log": lambda: callbacks.CSVLogger(folder / "log.csv"),
        "own": Own,
        "scheduler": lambda: callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9),
        "plateau": lambda: callbacks.ReduceLROnPlateau("loss", 0.5, patience=2, min_delta=10.0, cooldown=2),
    }
    return [found[name]() for name in (rate, memory) if name in found]


def cut_off(epoch: int, batch: int) -> callbacks.Callback:
    """Return what ends a run at the beginning of an epoch, or of one of its later batches."""
    at = -1

    def begin(number: int, logs: Any = None) -> None:
        nonlocal at
        at = number
        if (epoch, batch) == (number, 0):
            raise CutOff

    def fail(number: int, logs: Any = None) -> None:
        if (epoch, batch) == (at, number):
            raise CutOff

    return callbacks.LambdaCallback(begin, on_train_batch_begin=fail if batch else None)


def fit(model: fastnn.Model, told: list[Any], **options: Any) -> callbacks.History:
    return model.fit(X, Y, 7, verbose=0, callbacks=told, validation_split=0.2, epochs=EPOCHS, **options)


def outcome(model: fastnn.Model, history: callbacks.History, told: list[Any], folder: Path) -> dict[str, Any]:
    """Return all that two runs are compared by, as JSON has it; numbers are written down exactly."""
    optimizer = model.optimizer
    late = [i for i, epoch in enumerate(history.epoch) if epoch >= MIDDLE]
    hidden = ("model", "params", "filepath", "filename", "schedule")
    seen = [{k: repr(v) for k, v in vars(one).items() if k.strip("_") not in hidden} for one in told]
    for one, entry in zip(told, seen, strict=True):
        if isinstance(one, callbacks.LearningRateScheduler | callbacks.CSVLogger):
            entry.clear()  # their memories are in the rate and in the file
        if getattr(one, "best_weights", None) is not None:
            entry["best_weights"] = _sum(*one.best_weights)
    return {
        "weights": _sum(*model.get_weights()),
        "state": _sum(optimizer.state),
        "rate": repr(optimizer.learning_rate),
        "counts": [optimizer.iterations, optimizer.progress.steps, optimizer.progress.epochs],
        "seed": model.seed,
        "epochs": [history.epoch[i] for i in late],
        "history": {name: [repr(values[i]) for i in late] for name, values in history.history.items()},
        "callbacks": seen,
        "files": {path.name: _sum(path.read_bytes()) for path in sorted(folder.iterdir()) if path.is_file()},
    }


def _sum(*parts: Any) -> str:
    whole = b"".join(part if isinstance(part, bytes) else part.tobytes() for part in parts)
    return hashlib.sha256(whole).hexdigest()


def uninterrupted(case: str, folder: Path) -> dict[str, Any]:
    """Return the outcome of a run that was left alone."""
    model, others = model_of(case, True), told(case, folder)
    # It hears of each batch as the other one does, or does not.
    way = [cut_off(-1, 1)] if case.endswith("batch") else []
    return outcome(model, fit(model, [*others, *way]), others, folder)


def begin(case: str, folder: Path) -> None:
    """Run to the midst."""
    model, others = model_of(case, True), told(case, folder)
    kept = folder / "kept"
    kept.mkdir()
    if case.endswith("save"):
        ways: list[Any] = [Save(kept, others)]
    elif case.endswith("epoch"):
        ways = [callbacks.BackupAndRestore(kept), cut_off(MIDDLE, 0)]
    else:
        ways = [callbacks.BackupAndRestore(kept, save_freq=4), cut_off(MIDDLE, 2)]
    try:
        fit(model, [*others, *ways])
    except CutOff:
        return
    raise AssertionError(f"{case}: it was not cut off")


def go_on(case: str, folder: Path) -> dict[str, Any]:
    """Return the outcome of a run from there on, in another process."""
    others, kept = told(case, folder), folder / "kept"
    if case.endswith("save"):
        model = fastnn.load_model(kept / "model")
        history = fit(model, [*others, Recall(kept, others)], initial_epoch=MIDDLE)
    else:
        model = model_of(case, False)
        freq: Any = "epoch" if case.endswith("epoch") else 4
        history = fit(model, [*others, callbacks.BackupAndRestore(kept, save_freq=freq)])
    return outcome(model, history, others, folder)


def main(folder: Path) -> None:
    """Let all cases go on, whose folders are there, and write their outcomes into a file."""
    os.fsync = lambda descriptor: None  # nobody pulls the plug
    cases = json.loads((folder / "cases.json").read_text())
    found = {case: go_on(case, folder / str(number)) for number, case in enumerate(cases)}
    (folder / "outcomes.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
