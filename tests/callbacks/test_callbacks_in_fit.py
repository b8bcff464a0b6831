"""Callbacks inside `fit`: what they hear, what they change, limits of time, and signals."""

from __future__ import annotations

import itertools
import math
import warnings
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import callbacks, layers, optimizers
from fastnn.callbacks import (
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ReduceLROnPlateau,
    TimeLimit,
)
from fastnn.errors import ConfigurationError, NonFiniteWarning
from fastnn.model import call_lengths
from fastnn.run.program import Program

RNG = np.random.default_rng(3)
X = RNG.standard_normal((40, 3))
Y = X @ [[1.0], [-2.0], [0.5]] + 0.25
LABELS = RNG.integers(0, 3, 40)
NAN, INF = math.nan, math.inf


def linear(rate: float = 0.05, **options: Any) -> fastnn.Sequential:
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(1)], seed=1)
    model.compile(optimizers.SGD(rate), **{"loss": "mse", **options})
    return model


def classifier() -> fastnn.Sequential:
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(3, "softmax")], seed=1)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


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
