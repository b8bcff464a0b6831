"""Callbacks: what each decides on made-up logs; `test_callbacks_in_fit.py` has what that does in training."""

from __future__ import annotations

import functools
import inspect
import io
import math
import re
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import callbacks, layers, metrics, optimizers
from fastnn.callbacks import (
    BackupAndRestore,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ReduceLROnPlateau,
    TimeLimit,
)
from fastnn.errors import ConfigurationError, DTypeError
from fastnn.model import call_lengths

RNG = np.random.default_rng(3)
X = RNG.standard_normal((40, 3))
Y = X @ [[1.0], [-2.0], [0.5]] + 0.25
LABELS = RNG.integers(0, 3, 40)
NAN, INF = math.nan, math.inf


class Stub:
    """A model that only counts: its weights are the epoch's number."""

    def __init__(self, rate: float = 1.0) -> None:
        accuracy = metrics.CategoricalAccuracy("accuracy")
        error = metrics.MeanSquaredError()
        measured = {metric.name: metric for metric in (accuracy, error)}
        self.optimizer = SimpleNamespace(learning_rate=rate)
        self._now = SimpleNamespace(need_objective=lambda: SimpleNamespace(measured=measured))
        self.stop_training = False
        self.weights = [-1]

    def get_weights(self) -> list[int]:
        return list(self.weights)

    def set_weights(self, weights: list[int]) -> None:
        self.weights = list(weights)


def run(callback: Any, values: list[float], name: str = "loss", rate: float = 1.0, first: int = 0) -> Any:
    """Run a callback as `fit` does; return the model, its rates before each epoch, and the last epoch."""
    model, epoch, rates = Stub(rate), first - 1, []
    callback.set_model(model)
    callback.on_train_begin({})
    for epoch, value in enumerate(values, first):
        callback.on_epoch_begin(epoch, {})
        model.weights = [epoch]
        rates.append(model.optimizer.learning_rate)
        callback.on_epoch_end(epoch, {name: value})
        if model.stop_training:
            break
    callback.on_train_end({})
    return model, rates, epoch


def linear(rate: float = 0.05, **options: Any) -> fastnn.Sequential:
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(1)], seed=1)
    model.compile(optimizers.SGD(rate), **{"loss": "mse", **options})
    return model


# -- early stopping


@pytest.mark.parametrize(
    ("options", "values", "stopped", "best"),
    [
        ({}, [4, 3, 2, 3, 1], 3, 2),
        ({}, [4, 3, 3, 1], 2, 1),  # to stay is not to fall
        ({"patience": 1}, [4, 3, 2, 3, 1], 3, 2),
        ({"patience": 2}, [4, 5, 3, 4, 3, 1], 4, 2),
        ({"patience": 2}, [4, 5, 3, 4, 2, 5, 5], 6, 4),
        ({"patience": 9}, [4, 5, 6], None, 0),
        ({"min_delta": 1}, [4, 3.5, 2], 1, 0),
        ({"min_delta": -1}, [4, 3.5, 2], 1, 0),
        ({"min_delta": 1, "patience": 2}, [4, 3.5, 2.5, 2, 1.75], 4, 2),
        ({"mode": "max"}, [1, 2, 3, 2], 3, 2),
        ({"mode": "max", "min_delta": 1}, [1, 2, 3], 1, 0),
        ({"baseline": 2, "patience": 2}, [5, 4, 3, 3, 1], 3, 2),  # better, but never good enough
        ({"baseline": 2, "patience": 2}, [5, 1, 2, 3], 3, 1),
        ({"start_from_epoch": 2}, [1, 2, 9, 8, 9], 4, 3),
        ({"patience": 2}, [4, NAN, 3, NAN, NAN, 1], 4, 2),
        ({"patience": 2}, [NAN, 3, 2, 1], 2, 0),  # nothing is less than NaN
        ({}, [INF, 3, INF], 2, 1),
    ],
    ids=str,
)
def test_when_training_stops_and_which_weights_are_best(
    options: dict[str, Any], values: list[float], stopped: int | None, best: int
) -> None:
    for restore in (False, True):
        stop = EarlyStopping("loss", restore_best_weights=restore, **options)
        model, _, last = run(stop, values)
        assert model.stop_training is (stopped is not None)
        assert stop.stopped_epoch == (stopped or 0)
        assert stop.best_epoch == best
        assert last == (len(values) - 1 if stopped is None else stopped)
        assert stop.best == values[best] or math.isnan(values[best])
        assert model.weights == [best if restore else last]
        assert stop.best_weights == ([best] if restore else None)


def test_a_used_callback_begins_anew() -> None:
    stop = EarlyStopping("loss", patience=2, restore_best_weights=True)
    slower = ReduceLROnPlateau("loss", 0.5, 2, cooldown=3)
    for values in ([1, 2, 3], [9, 8, 9, 9], [5, 5, 5], [6, 6, 6], [], [5, 4, 3]):
        fresh = EarlyStopping("loss", patience=2, restore_best_weights=True)
        found, expected = run(stop, values), run(fresh, values)
        assert found[1:] == expected[1:]
        assert found[0].weights == expected[0].weights
        assert {**vars(stop), "model": None} == {**vars(fresh), "model": None}
        found, expected = run(slower, values), run(ReduceLROnPlateau("loss", 0.5, 2, cooldown=3), values)
        assert found[0].optimizer.learning_rate == expected[0].optimizer.learning_rate


def test_start_from_epoch_counts_epochs_and_not_calls() -> None:
    stop = EarlyStopping("loss", start_from_epoch=5)
    assert run(stop, [1, 2, 3, 4], first=3)[2] == 6
    assert (stop.best_epoch, stop.stopped_epoch) == (5, 6)


@pytest.mark.parametrize("make", [EarlyStopping, functools.partial(ReduceLROnPlateau, patience=1)])
def test_auto_asks_the_metrics(make: Any) -> None:
    for name, larger in (
        ("loss", False), ("val_loss", False), ("accuracy", True), ("val_accuracy", True),
        ("mean_squared_error", False), ("val_mean_squared_error", False),
    ):  # fmt: skip
        callback = make(name)
        run(callback, [1, 2], name)
        assert callback.best == (2 if larger else 1)
    message = r"cannot tell whether 'f1' should fall or rise; pass mode='min' or .* loss, accuracy, mean_squ"
    with pytest.raises(ConfigurationError, match=message):
        run(make("f1"), [1, 2], "f1")
    for mode in ("min", "max"):
        callback = make("f1", mode=mode)
        run(callback, [1, 2], "f1")
        assert callback.best == (2 if mode == "max" else 1)


def test_messages_count_epochs_from_one(capsys: pytest.CaptureFixture[str]) -> None:
    run(EarlyStopping("loss", restore_best_weights=True, verbose=1), [2, 1, 3])
    assert re.findall(r"[Ee]poch (\d)", capsys.readouterr().out) == ["3", "2"]
    run(ReduceLROnPlateau("loss", 0.5, 1, verbose=True), [1, 1])
    assert capsys.readouterr().out == "Epoch 2: the learning rate is lowered to 0.5\n"
    run(LearningRateScheduler(lambda epoch: 0.25, verbose=1), [1])
    assert capsys.readouterr().out == "Epoch 1: the learning rate is set to 0.25\n"
    for quiet in (EarlyStopping("loss"), ReduceLROnPlateau("loss"), LearningRateScheduler(lambda _: 0.5)):
        run(quiet, [2, 1, 3])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("long", [False, True])
def test_messages_do_not_run_into_the_bar(long: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    if long:
        monkeypatch.setattr(call_lengths, "CALL_FLOPS", 1)
    terminal = io.StringIO()
    told = [
        LearningRateScheduler(lambda epoch: 0.1, verbose=1),
        callbacks.ModelCheckpoint(tmp_path / "m", verbose=1),
        EarlyStopping("loss", verbose=1, restore_best_weights=True),
    ]
    model = linear()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", terminal)
        patch.setattr(sys, "stderr", terminal)
        model.fit(X, Y, 8, 2, 1, told)
    text = terminal.getvalue()
    places = [found.start() for found in re.finditer(r"Epoch \d: (the|saved)|The weights", text)]
    assert len(places) == 5
    assert {text[place - 1] for place in places if place} <= {"\r", "\n"}
    ends = [text.index("\n", place) for place in places]
    assert all("|" not in text[place:end] for place, end in zip(places, ends, strict=True))


# -- learning rates


@pytest.mark.parametrize(
    ("options", "values", "rates"),
    [
        ({"patience": 1}, [3, 2, 2, 1, 1], [1, 1, 1, 0.5, 0.5, 0.25]),
        ({"patience": 2}, [3, 3, 3, 3, 3], [1, 1, 1, 0.5, 0.5, 0.25]),
        ({"patience": 0}, [3, 3, 3], [1, 1, 0.5, 0.25]),
        ({"patience": 1, "cooldown": 2}, [3, 3, 3, 3, 3], [1, 1, 0.5, 0.5, 0.25, 0.25]),
        ({"patience": 1, "min_lr": 0.3}, [3, 3, 3, 3], [1, 1, 0.5, 0.3, 0.3]),
        ({"patience": 1, "min_delta": 1}, [3, 2.5, 1], [1, 1, 0.5, 0.5]),
        ({"patience": 1, "min_delta": 0}, [3, 2.9999999], [1, 1, 1]),
        ({"patience": 1}, [3, 2.99995], [1, 1, 0.5]),  # the default of min_delta is 1e-4
        ({"patience": 1, "mode": "max"}, [3, 4, 4], [1, 1, 1, 0.5]),
        ({"patience": 1, "factor": 0, "min_lr": 0.125}, [3, 3, 3], [1, 1, 0.125, 0.125]),
        ({"patience": 1}, [3, NAN, 2], [1, 1, 0.5, 0.5]),
    ],
    ids=str,
)
def test_rates_on_a_plateau(options: dict[str, Any], values: list[float], rates: list[float]) -> None:
    model, found, _ = run(ReduceLROnPlateau("loss", **{"factor": 0.5, **options}), values)
    assert [*found, model.optimizer.learning_rate] == rates


def test_a_rate_a_hair_above_the_minimum_is_not_lowered_again() -> None:
    slower = ReduceLROnPlateau("loss", 0.1, 1, min_lr=0.01)
    model, _, _ = run(slower, [1, 1, 1, 1], rate=0.1)
    assert model.optimizer.learning_rate == pytest.approx(0.01, rel=1e-12)
    assert slower.wait == 2  # the third plateau lowered nothing


def test_schedules_take_one_or_two_arguments() -> None:
    class Halve:
        def __call__(self, epoch: int, rate: float) -> np.float32:
            return np.float32(rate / 2)

    def inner(epoch: int, rate: float) -> float:
        raise TypeError("inside")

    for schedule, rates in (
        (lambda epoch: 1 / (1 + epoch), [1, 1 / 2, 1 / 3]),
        (lambda epoch, rate: rate * 0.5, [4, 2, 1]),
        (Halve(), [4, 2, 1]),
        (lambda epoch, rate=3.0: rate, [8, 8, 8]),  # two if it takes two
        (lambda *arguments: float(len(arguments)), [2, 2, 2]),
        (lambda epoch, *, scale=1.0: scale, [1, 1, 1]),
        (functools.partial(max, 0.5), [8, 8, 8]),
    ):
        assert run(LearningRateScheduler(schedule), [0, 0, 0], rate=8.0)[1] == rates
    with pytest.raises(TypeError, match="inside"):  # what a schedule raises is not taken for its arity
        run(LearningRateScheduler(inner), [0])


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (1, DTypeError, r"the result of schedule\(0, 0.5\) must be a float, got 1 \(int\)"),
        (None, DTypeError, r"must be a float, got None \(NoneType\)"),
        ("0.1", DTypeError, r"must be a float, got '0.1' \(str\)"),
        (True, DTypeError, r"must be a float, got True \(bool\)"),
        (-0.5, ConfigurationError, r"the result of schedule\(0, 0.5\) must be a finite .* got -0.5"),
        (NAN, ConfigurationError, "must be a finite number .* got nan"),
        (INF, ConfigurationError, "must be a finite number .* got inf"),
    ],
    ids=str,
)
def test_what_a_schedule_returns_is_checked(
    result: Any, error: type[Exception], message: str, refused: Any
) -> None:
    model = linear(0.5)
    with refused(model, error, match=message):
        model.fit(X, Y, verbose=0, callbacks=[LearningRateScheduler(lambda epoch, rate: result)])


# -- bad arguments


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: EarlyStopping(3), DTypeError, "monitor must be a name such as 'val_loss', got 3"),
        (lambda: EarlyStopping(mode="up"), ConfigurationError, "mode must be 'auto', .* got 'up'"),
        (lambda: EarlyStopping(patience=-1), ConfigurationError, "patience must be at least 0, got -1"),
        (lambda: EarlyStopping(patience=1.5), DTypeError, "patience must be an integer, got 1.5"),
        (lambda: EarlyStopping(min_delta="1"), DTypeError, "min_delta must be a number"),
        (lambda: EarlyStopping(min_delta=NAN), ConfigurationError, "min_delta must be a finite number"),
        (lambda: EarlyStopping(baseline=INF), ConfigurationError, "baseline must be a finite number"),
        (lambda: EarlyStopping(start_from_epoch=-2), ConfigurationError, "start_from_epoch must be at least"),
        (lambda: EarlyStopping(restore_best_weights=1), DTypeError, "restore_best_weights must be True or"),
        (lambda: EarlyStopping(verbose="no"), DTypeError, "verbose must be an integer, got 'no'"),
        (lambda: ReduceLROnPlateau(factor=1.0), ConfigurationError, r"factor must .* in \[0, 1\), got 1.0"),
        (lambda: ReduceLROnPlateau(factor=-0.1), ConfigurationError, r"factor must be .* got -0.1"),
        (lambda: ReduceLROnPlateau(cooldown=-1), ConfigurationError, "cooldown must be at least 0"),
        (lambda: ReduceLROnPlateau(min_lr=-1.0), ConfigurationError, "min_lr must be a finite number"),
        (lambda: LearningRateScheduler(0.1), DTypeError, "schedule must be callable with .* got 0.1"),
        (lambda: LearningRateScheduler(lambda: 0.1), DTypeError, r"callable with .* got one with \(\)"),
        (lambda: LearningRateScheduler(lambda a, b, c: a), DTypeError, r"got one with \(a, b, c\)"),
        (lambda: TimeLimit(-1), ConfigurationError, "seconds must be a finite number .* got -1"),
        (lambda: TimeLimit("1 h"), DTypeError, "seconds must be a number"),
        (lambda: CSVLogger(3), DTypeError, "filename must be a string or a path, got 3"),
        (lambda: CSVLogger("x", "::"), ConfigurationError, "separator must be one character, got '::'"),
        (lambda: CSVLogger("x", append=1), DTypeError, "append must be True or False"),
        (lambda: BackupAndRestore(3), DTypeError, "backup_dir must be a string or a path, got 3"),
        (lambda: BackupAndRestore(""), ConfigurationError, "backup_dir is empty; name a folder"),
        (lambda: BackupAndRestore("x", "batch"), ConfigurationError, "save_freq must be 'epoch' or a number"),
        (lambda: BackupAndRestore("x", 0), ConfigurationError, "save_freq must be at least 1"),
        (lambda: BackupAndRestore("x", 1, 1), DTypeError, "double_checkpoint must be True or False"),
        (lambda: BackupAndRestore("x", 1, True, 0), DTypeError, "delete_checkpoint must be True or False"),
        (lambda: callbacks.CallbackList([3]), DTypeError, "callbacks must be instances of .* got 3"),
        (lambda: callbacks.CallbackList(add_progbar=1), DTypeError, "add_progbar must be True or False"),
        (lambda: callbacks.SwapEMAWeights(1), DTypeError, "swap_on_epoch must be True or False"),
        (lambda: LambdaCallback(on_epoch_end=3), DTypeError, "on_epoch_end must be a function, got 3"),
        (lambda: LambdaCallback(on_epoch_over=print), TypeError, "on_epoch_over"),
    ],
)  # fmt: skip
def test_bad_arguments(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_a_callback_without_a_model_says_so() -> None:
    with pytest.raises(ConfigurationError, match="LearningRateScheduler has no model; pass it to fit"):
        LearningRateScheduler(lambda epoch: 0.1).on_epoch_begin(0)


def test_defaults_are_those_that_are_documented() -> None:
    def signature(thing: Any) -> dict[str, Any]:
        return {name: p.default for name, p in inspect.signature(thing).parameters.items()}

    assert signature(EarlyStopping) == {
        "monitor": "val_loss", "min_delta": 0, "patience": 0, "verbose": 0, "mode": "auto", "baseline": None,
        "restore_best_weights": False, "start_from_epoch": 0,
    }  # fmt: skip
    assert signature(ReduceLROnPlateau) == {
        "monitor": "val_loss", "factor": 0.1, "patience": 10, "verbose": 0, "mode": "auto", "min_delta": 1e-4,
        "cooldown": 0, "min_lr": 0.0,
    }  # fmt: skip


# -- NaN in loops of one's own


def test_terminate_on_nan_stops_a_loop_of_one_s_own() -> None:
    for loss, stopped in ((1.0, False), (NAN, True), (INF, True)):
        assert run(callbacks.TerminateOnNaN(), [loss])[0].stop_training is stopped
    assert not run(callbacks.TerminateOnNaN(), [NAN], "val_loss")[0].stop_training


def test_terminate_on_nan_raises_if_that_is_asked_for(recwarn: Any) -> None:
    ends: list[object] = []
    told = [callbacks.TerminateOnNaN(raise_error=True), callbacks.LambdaCallback(on_train_end=ends.append)]
    with pytest.raises(RuntimeError, match=r"the loss was \S+ in epoch \d; lower the learning rate"):
        linear(1e30).fit(X, Y, 8, 9, 0, told)
    assert not ends
    with pytest.raises(TypeError, match="raise_error must be"):
        callbacks.TerminateOnNaN("yes")  # type: ignore[arg-type]
    assert not run(callbacks.TerminateOnNaN(True), [1.0])[0].stop_training
