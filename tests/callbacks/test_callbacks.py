"""Callbacks: what each decides on made-up logs, and what that does inside `fit`."""

from __future__ import annotations

import functools
import inspect
import io
import itertools
import math
import re
import sys
import warnings
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
from fastnn.errors import ConfigurationError, DTypeError, NonFiniteWarning
from fastnn.model import call_lengths
from fastnn.run.program import Program

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


def classifier() -> fastnn.Sequential:
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(3, "softmax")], seed=1)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
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


# -- inside fit


def test_fit_stops_when_the_loss_rises_and_the_history_is_as_long() -> None:
    model = linear()

    def schedule(epoch: int, rate: float) -> float:
        return 10.0 if epoch == 4 else 0.05  # one step too far: the loss of epoch 5 rises

    stop = EarlyStopping("loss")
    history = model.fit(
        X, Y, 40, 50, 0, [LearningRateScheduler(schedule), stop], validation_split=0.2, shuffle=False
    )
    assert history.epoch == [0, 1, 2, 3, 4, 5]
    assert stop.stopped_epoch == 5
    assert list(history.history) == ["loss", "val_loss", "learning_rate"]
    assert {len(values) for values in history.history.values()} == {6}
    assert history.history["learning_rate"] == [0.05] * 4 + [10.0, 0.05]
    losses = history.history["loss"]
    assert [later < earlier for earlier, later in itertools.pairwise(losses)] == [True] * 4 + [False]


def test_the_best_weights_come_back() -> None:
    model = linear()
    seen = []
    watch = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(model.get_weights()))
    spoil = LearningRateScheduler(lambda epoch: 10.0 if epoch >= 4 else 0.05)
    best = EarlyStopping(patience=2, restore_best_weights=True)
    history = model.fit(X, Y, 40, 50, 0, [spoil, best, watch], validation_data=(X, Y))
    assert best.best_epoch == int(np.argmin(history.history["val_loss"])) == 3
    assert len(history.epoch) == 6
    for a, b in zip(model.get_weights(), seen[3], strict=True):
        np.testing.assert_array_equal(a, b)
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(history.history["val_loss"][3], rel=1e-6)


@pytest.mark.filterwarnings("ignore:the loss has not moved:fastnn.errors.TrainingWarning")
def test_initial_epoch_and_one_callback_in_several_fits() -> None:
    model = linear(0.0)  # nothing improves
    stop = EarlyStopping("loss", patience=2)
    for first in (0, 0, 7):
        history = model.fit(X, Y, epochs=20, initial_epoch=first, verbose=0, callbacks=stop, shuffle=False)
        assert history.epoch == [first, first + 1, first + 2]
        assert len(history.history["loss"]) == 3
        assert model.stop_training
    slower = ReduceLROnPlateau("loss", 0.5, 2)
    model = linear(0.0)
    model.optimizer.learning_rate = 1e-30  # too small to change anything
    rates = [
        model.fit(X, Y, epochs=3, verbose=0, callbacks=slower, shuffle=False).history["learning_rate"]
        for _ in range(2)
    ]
    assert rates == [[1e-30] * 3, [0.5e-30] * 3]  # the rate stays lowered, the waiting begins anew


def test_all_callbacks_hear_of_the_last_epoch_and_stopping_stays_stopped() -> None:
    calls: list[tuple[str, int]] = []
    names = ("first", "last")
    watchers = [
        LambdaCallback(
            on_epoch_end=lambda epoch, logs, name=name: calls.append((name, epoch)),
            on_train_end=lambda logs, name=name: calls.append((name, -1)),
        )
        for name in names
    ]
    model = linear(0.0)
    model.fit(X, Y, 8, 9, 0, [watchers[0], EarlyStopping("loss"), watchers[1]], shuffle=False)
    assert calls == [("first", 0), ("last", 0), ("first", 1), ("last", 1), ("first", -1), ("last", -1)]
    assert model.stop_training
    assert model.fit(X, Y, epochs=3, verbose=0).epoch == [0, 1, 2]


def test_logs_are_shared_and_recorded() -> None:
    ends: list[dict[str, float]] = []
    model = classifier()

    def add(epoch: int, logs: dict[str, float]) -> None:
        logs["mine"] = epoch + 0.5

    history = model.fit(
        X, LABELS, epochs=4, verbose=0, validation_split=0.25,
        callbacks=[
            LambdaCallback(on_epoch_end=add, on_train_end=ends.append),
            EarlyStopping("mine", mode="min", patience=2),
        ],
    )  # fmt: skip
    names = ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert list(history.history) == [*names, "mine"]
    assert history.history["mine"] == [0.5, 1.5, 2.5]
    assert ends == [{name: history.history[name][-1] for name in names}]  # without what was added


def test_what_is_added_between_batches_is_not_the_epoch_s() -> None:
    seen: list[dict[str, float]] = []

    def add(batch: int, logs: dict[str, float]) -> None:
        logs["mine"] = batch

    callback = LambdaCallback(
        on_train_batch_end=add, on_train_batch_begin=lambda batch, logs: seen.append(logs)
    )
    history = linear().fit(X, Y, 16, 2, 0, [callback])
    assert list(history.history) == ["loss"]
    assert seen == [{}] * 6


def test_lambdas_hear_all_hooks_with_logs() -> None:
    calls: list[tuple[Any, ...]] = []
    model = classifier()
    listener = LambdaCallback(
        on_epoch_begin=lambda epoch, logs: calls.append(("epoch begin", epoch, list(logs))),
        on_epoch_end=lambda epoch, logs: calls.append(("epoch end", epoch, list(logs))),
        on_train_begin=lambda logs: calls.append(("train begin", list(logs))),
        on_train_end=lambda logs: calls.append(("train end", list(logs))),
    )
    model.fit(X, LABELS, epochs=1, verbose=0, callbacks=[listener])
    names = ["loss", "accuracy"]
    assert calls == [
        ("train begin", []),
        ("epoch begin", 0, []),
        ("epoch end", 0, names),
        ("train end", names),
    ]


def test_only_hooks_for_batches_slow_training(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not LambdaCallback(on_epoch_end=print, on_epoch_begin=print).wants_batches
    for thing in (EarlyStopping(), ReduceLROnPlateau(), LearningRateScheduler(lambda epoch: 0.1)):
        assert not thing.wants_batches
    assert LambdaCallback(on_train_batch_begin=print).wants_batches
    assert LambdaCallback(on_train_batch_end=print).wants_batches
    plain = callbacks.Callback()
    plain.on_train_batch_end = lambda batch, logs=None: None  # type: ignore[method-assign]
    assert plain.wants_batches

    def forbidden(*arguments: Any) -> None:
        raise AssertionError("trained batch by batch")

    monkeypatch.setattr(fastnn.model.fit.Loop, "_batches", forbidden)
    linear().fit(X, Y, epochs=2, verbose=0, callbacks=[LambdaCallback(on_epoch_end=lambda epoch, logs: None)])
    with pytest.raises(AssertionError, match="batch by batch"):
        linear().fit(X, Y, verbose=0, callbacks=[LambdaCallback(on_train_batch_end=print)])


@pytest.mark.parametrize("make", [EarlyStopping, ReduceLROnPlateau])
def test_a_missing_number_is_warned_of_where_fit_was_called(make: Any) -> None:
    with pytest.warns(UserWarning, match=r"does nothing: 'val_loss' is not available; .*: loss") as caught:
        history = linear().fit(X, Y, epochs=3, verbose=0, callbacks=[make()])
    assert len(history.epoch) == 3
    assert {warning.filename for warning in caught} == {__file__}


def test_auto_is_settled_before_training(refused: Any) -> None:
    model = classifier()
    with refused(model, ConfigurationError, match="cannot tell whether 'val_acc' .* loss, accuracy, or"):
        model.fit(X, LABELS, verbose=0, callbacks=[EarlyStopping("val_acc")])
    stop = EarlyStopping("accuracy", patience=3)
    history = model.fit(X, LABELS, epochs=40, verbose=0, callbacks=[stop]).history["accuracy"]
    assert stop.best == max(history)


def test_a_loss_that_is_not_finite_ends_a_run_with_callbacks() -> None:
    for extra in ([], [callbacks.TerminateOnNaN()]):
        model = linear(1e30)
        stop = EarlyStopping("loss", patience=5)
        with pytest.warns(NonFiniteWarning):
            history = model.fit(X, Y, 8, 9, 0, [*extra, stop, ReduceLROnPlateau("loss")])
        assert len(history.epoch) < 9
        assert {len(values) for values in history.history.values()} == {len(history.epoch)}
        assert all(np.isfinite(w).all() for w in model.get_weights())


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


# -- a limit of time


class Clock:
    """Goes on by a second with each call of the executor."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        run = Program.run

        def noted(program: Program, *arguments: Any, **options: Any) -> Any:
            self.now += program.plan.purpose == "train"
            return run(program, *arguments, **options)

        monkeypatch.setattr(Program, "run", noted)
        monkeypatch.setattr(callbacks.stopping.time, "monotonic", lambda: self.now)


@pytest.mark.parametrize(
    ("parts", "epochs", "steps", "batches"),
    [(False, 3, 15, None), (True, 1, 3, None), (True, 1, 3, 1)],
    ids=["whole epochs", "parts of epochs", "with hooks for batches"],
)
def test_time_is_up_after_an_epoch_or_a_call_within(
    parts: bool, epochs: int, steps: int, batches: int | None, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Three seconds are three calls: epochs of five steps, or of one step each."""
    if parts and batches is None:
        monkeypatch.setattr(call_lengths, "CALL_FLOPS", 1)
    Clock(monkeypatch)
    model, limit = linear(), TimeLimit(2.5, verbose=1)
    best = EarlyStopping(patience=9, restore_best_weights=True)
    others = [] if batches is None else [LambdaCallback(on_train_batch_end=lambda batch, logs: None)]
    for _ in range(2):  # it begins anew
        before = model.optimizer.iterations
        history = model.fit(X, Y, 8, 9, 0, [limit, best, *others], validation_data=(X, Y))
        assert history.epoch == list(range(epochs))
        assert {len(values) for values in history.history.values()} == {epochs}
        assert model.optimizer.iterations - before == steps
        assert (limit.stopped_epoch, model.stop_training) == (epochs - 1, True)
        assert capsys.readouterr().out == f"Epoch {epochs}: stopped, 2.5 seconds are over\n"
        assert best.stopped_epoch == 0
        restored = zip(model.get_weights(), best.best_weights or [], strict=True)
        assert all((a == b).all() for a, b in restored)


def test_epochs_stay_whole_under_a_limit_that_is_not_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    limit, calls = TimeLimit(1e9), []
    run = Program.run
    monkeypatch.setattr(Program, "run", lambda *a, **k: (calls.append(k["epochs"]), run(*a, **k))[1])
    model = linear()
    assert len(model.fit(X, Y, 8, 4, 0, [limit]).epoch) == 4
    assert calls == [1] * 4
    assert (limit.stopped_epoch, model.stop_training) == (None, False)


def test_a_handler_of_signals_may_stop_training(signals: Any) -> None:
    model = linear()

    def stop() -> None:
        model.stop_training = model.optimizer.iterations > 0

    with signals(stop):  # a failing test takes its memory
        history = model.fit(X, Y, 8, 10_000_000, 0)
    assert 0 < len(history.epoch) < 10_000_000


def test_an_interrupt_leaves_the_best_weights_to_who_wants_them() -> None:
    """As in Keras: what raises skips `on_train_end`."""
    best = EarlyStopping("loss", restore_best_weights=True)
    ends: list[Any] = []

    def interrupt(epoch: int, logs: Any) -> None:
        if epoch == 3:
            raise KeyboardInterrupt

    told = [best, LambdaCallback(on_epoch_begin=interrupt, on_train_end=ends.append)]
    with pytest.raises(KeyboardInterrupt):
        linear().fit(X, Y, 8, 9, 0, told)
    assert (best.best_epoch, ends) == (2, [])
    assert best.best_weights is not None


def test_small_rates_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        linear().fit(X, Y, verbose=2, callbacks=[LearningRateScheduler(lambda epoch: 1e-5)])
    assert capsys.readouterr().out.strip().endswith("learning_rate: 1.0000e-05")
