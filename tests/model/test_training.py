"""Training as a Keras user knows it: history, validation, order, callbacks, weights, and the way back."""

from __future__ import annotations

import io
import math
import re
import sys
import warnings
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import callbacks, layers, losses, optimizers
from fastnn.callbacks import progress
from fastnn.compiler import schedule, shared_plans
from fastnn.compiler.plan import Axis
from fastnn.errors import ConfigurationError, DataError, DTypeError, NonFiniteWarning, ShapeError
from fastnn.model import call_lengths
from fastnn.run.reference.draws import permutation_of

RNG = np.random.default_rng(7)
X = RNG.standard_normal((30, 3))
Y = X @ [[1.0], [-2.0], [0.5]] + 0.25
LABELS = RNG.integers(0, 3, 30)
ADAM = optimizers.Adam(0.01)


def linear(
    optimizer: Any = "sgd", dtype: str = "float32", seed: int = 1, **options: Any
) -> fastnn.Sequential:
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(1)], dtype=dtype, seed=seed)
    model.compile(optimizer, **{"loss": "mse", **options})
    return model


def classifier(dtype: str = "float64", **options: Any) -> fastnn.Sequential:
    model = fastnn.Sequential(
        [fastnn.Input((3,)), layers.Dense(5, "tanh"), layers.Dense(3, "softmax")], dtype=dtype, seed=1
    )
    model.compile(**{"optimizer": ADAM, "loss": "sparse_categorical_crossentropy", **options})
    return model


def bits(model: fastnn.Model) -> list[bytes]:
    return [w.tobytes() for w in model.get_weights()]


def trained(model: fastnn.Sequential, x: Any = X, y: Any = Y, **options: Any) -> fastnn.Sequential:
    model.fit(x, y, **{"batch_size": 8, "epochs": 3, "verbose": 0, **options})
    return model


class Recorder(callbacks.Callback):
    """Writes down every call; does what `acts` says at the end of an epoch."""

    def __init__(self, acts: Any = None) -> None:
        super().__init__()
        self.calls: list[tuple[str, int | None]] = []
        self.logs: list[dict[str, float]] = []
        self.acts = acts

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        self.calls.append(("train begin", None))

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        self.calls.append(("train end", None))

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self.calls.append(("begin", epoch))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self.calls.append(("end", epoch))
        self.logs.append(dict(logs or {}))
        if self.acts is not None:
            self.acts(self.model, epoch)


def test_history_has_one_number_a_metric_and_epoch() -> None:
    model = classifier(metrics=["accuracy"])
    history = model.fit(X, LABELS, epochs=4, validation_split=0.2, verbose=0)
    assert isinstance(history, callbacks.History)
    assert list(history.history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    for values in history.history.values():
        assert len(values) == 4
        assert all(type(value) is float for value in values)
    assert history.epoch == [0, 1, 2, 3]
    assert model.history is history


def test_epochs_are_counted_from_initial_epoch() -> None:
    model = linear()
    history = model.fit(X, Y, epochs=5, initial_epoch=3, verbose=0)
    assert history.epoch == [3, 4]
    assert model.optimizer.iterations == 2
    for epochs, first in ((0, 0), (3, 3), (2, 7)):
        before = bits(model)
        history = model.fit(X, Y, epochs=epochs, initial_epoch=first, verbose=0)
        assert (history.epoch, history.history) == ([], {})
        assert bits(model) == before


def test_the_loss_of_an_epoch_is_the_mean_over_rows_before_each_step() -> None:
    still = linear(optimizers.SGD(0.0), dtype="float64")
    for size in (1, 7, 30, 64):  # 30 is no multiple of 7: the last batch counts by its rows
        history = still.fit(X, Y, batch_size=size, verbose=0)
        assert history.history["loss"][0] == pytest.approx(((still.predict(X) - Y) ** 2).mean(), rel=1e-12)
    moving, by_hand = linear(dtype="float64"), linear(dtype="float64")
    history = moving.fit(X, Y, batch_size=16, shuffle=False, verbose=0)
    parts = [by_hand.train_on_batch(X[:16], Y[:16]), by_hand.train_on_batch(X[16:], Y[16:])]
    assert history.history["loss"][0] == pytest.approx((16 * parts[0] + 14 * parts[1]) / 30, rel=1e-12)
    assert bits(moving) == bits(by_hand)


@pytest.mark.parametrize(("size", "steps"), [(None, 1), (1, 30), (7, 5), (29, 2), (30, 1), (10**6, 1)])
def test_batch_size_decides_the_number_of_steps(size: int | None, steps: int) -> None:
    model = linear(ADAM)
    model.fit(X, Y, batch_size=size, epochs=2, verbose=0)
    assert model.optimizer.iterations == 2 * steps


def test_fits_one_after_the_other_go_on() -> None:
    parts, whole = linear(ADAM), linear(ADAM)
    for _ in range(3):
        trained(parts, epochs=2)
    trained(whole, epochs=6)
    assert bits(parts) == bits(whole)


# --- validation ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.34])
def test_validation_split_takes_the_last_rows_before_shuffling(fraction: float) -> None:
    kept = int(30 * (1 - fraction))
    split, by_hand = classifier(metrics=["accuracy"]), classifier(metrics=["accuracy"])
    a = split.fit(X, LABELS, batch_size=4, epochs=3, validation_split=fraction, verbose=0)
    b = by_hand.fit(X[:kept], LABELS[:kept], 4, 3, verbose=0, validation_data=(X[kept:], LABELS[kept:]))
    assert a.history == b.history
    assert bits(split) == bits(by_hand) == bits(trained(classifier(), X[:kept], LABELS[:kept], batch_size=4))
    loss, accuracy = split.evaluate(X[kept:], LABELS[kept:], verbose=0)
    assert (a.history["val_loss"][-1], a.history["val_accuracy"][-1]) == (loss, accuracy)


def test_validation_data_override_the_split_and_may_have_weights() -> None:
    model = linear(dtype="float64")
    weights = np.arange(10.0)
    history = model.fit(
        X[:20], Y[:20], validation_split=0.5, validation_data=(X[20:], Y[20:], weights), verbose=0
    )
    assert bits(model) == bits(trained(linear(dtype="float64"), X[:20], Y[:20], batch_size=32, epochs=1))
    expected = (weights[:, None] * (model.predict(X[20:]) - Y[20:]) ** 2).sum() / 10
    assert history.history["val_loss"] == pytest.approx([expected], rel=1e-12)


def test_sample_weights_are_split_too() -> None:
    weights = np.arange(30.0)
    model = linear(optimizers.SGD(0.0), dtype="float64")
    history = model.fit(X, Y, sample_weight=weights, validation_split=0.2, verbose=0).history
    squares = weights * ((model.predict(X) - Y) ** 2)[:, 0]
    assert history["loss"][0] == pytest.approx(squares[:24].sum() / 24, rel=1e-12)
    assert history["val_loss"][0] == pytest.approx(squares[24:].sum() / 6, rel=1e-12)


def test_class_weights_are_for_training_only() -> None:
    """Keras weighs no validation rows by class, whether they were split off or given."""
    model = classifier()
    options = {"class_weight": {0: 5.0, 1: 0.5}, "epochs": 1, "verbose": 0}
    split = model.fit(X, LABELS, validation_split=0.2, **options).history["val_loss"][0]
    assert split == pytest.approx(model.evaluate(X[24:], LABELS[24:], verbose=0), rel=1e-12)


def test_an_error_in_validation_data_says_that_it_is_there(refused: Any) -> None:
    model = linear()
    for given, error in (
        ((X[:, :2], Y), ShapeError),
        ((X, Y[:3]), ShapeError),
        ((X, Y * np.nan), DataError),
        ((X.astype(str), Y), DTypeError),
        ((X,), DTypeError),
        ((X, Y, np.ones(30), 1), DTypeError),
        (X, DTypeError),
    ):
        with refused(model, error, match="validation_data"):
            model.fit(X, Y, validation_data=given, verbose=0)


def test_the_order_of_rows_is_that_of_the_reference() -> None:
    model, by_hand = linear(), linear()
    trained(model, batch_size=7, epochs=2)
    for epoch in range(2):
        order = permutation_of(30, model.seed, epoch)
        for begin in range(0, 30, 7):
            rows = order[begin : begin + 7]
            by_hand.train_on_batch(X[rows], Y[rows])
    assert bits(model) == bits(by_hand)
    assert (permutation_of(30, model.seed, 0) != permutation_of(30, model.seed, 1)).any()


def test_the_order_is_reproducible_by_seed() -> None:
    assert bits(trained(linear(ADAM, seed=4))) == bits(trained(linear(ADAM, seed=4)))
    start = linear().get_weights()
    ends = []
    for seed in (4, 5):
        model = linear(seed=seed)
        model.set_weights(start)
        ends.append(bits(trained(model)))
    assert ends[0] != ends[1]
    assert bits(trained(linear())) != bits(trained(linear(), shuffle=False))


def test_verbose(capsys: pytest.CaptureFixture[str]) -> None:
    model = classifier(metrics=["accuracy"])
    options: dict[str, Any] = {"epochs": 2, "validation_split": 0.2}
    model.fit(X, LABELS, verbose=0, **options)
    assert capsys.readouterr() == ("", "")
    model.fit(X, LABELS, verbose=2, **options)
    out, err = capsys.readouterr()
    assert err == ""
    names = ("loss", "accuracy", "val_loss", "val_accuracy")
    numbers = " - ".join(rf"{name}: \d+\.\d{{4}}" for name in names)
    assert re.fullmatch(rf"Epoch 1/2 - \d+\.\d\ds - {numbers}\nEpoch 2/2 - .*s - {numbers}\n", out), out
    model.fit(X, LABELS, verbose=1, **options)  # a bar is wanted, wherever it goes
    out, err = capsys.readouterr()
    assert (out, "2/2" in err, "epoch" in err) == ("", True, True)
    model.fit(X, LABELS, verbose="auto", **options)  # pytest's is no terminal
    assert capsys.readouterr() == ("", "")
    for bad in (3, "loud", -1, None):
        with pytest.raises(ConfigurationError, match="verbose must be 'auto', 0, 1 or 2"):
            model.fit(X, LABELS, verbose=bad)


def test_epochs_that_take_long_have_a_bar_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "BAR_SECONDS", 0.0)  # everything is shown
    monkeypatch.setattr(call_lengths, "CALL_FLOPS", 1)
    options: dict[str, Any] = {"epochs": 3, "initial_epoch": 1, "validation_split": 0.2, "batch_size": 8}
    classifier().fit(X, LABELS, verbose=1, **options)
    out, err = capsys.readouterr()
    assert out == ""
    steps = 3
    *lines, end = err.split("\n")
    assert end == ""
    for number, line in enumerate(lines, 2):
        shown = [part for part in line.split("\r") if part]
        assert {part.partition(":")[0] for part in shown} == {f"Epoch {number}/3"}
        counts = [int(re.search(rf"(\d+)/{steps} \[", part)[1]) for part in shown]  # type: ignore[index]
        assert counts == sorted(counts)
        assert set(counts) >= {1, steps}
        assert re.search(r"loss=\S+, val_loss=", shown[-1])
    assert len(lines) == 2


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Notebook(io.StringIO):
    """Text goes below the cell, though this is no terminal."""

    __module__ = "ipykernel.iostream"


class Colab(Notebook):
    __module__ = "elsewhere"


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (io.StringIO, False),
        (Terminal, True),
        (Notebook, True),
        (Colab, True),
        (closed, False),
        (lambda: None, False),  # pythonw, services
        (lambda: SimpleNamespace(write=print), False),  # all that print needs
    ],
    ids=["file", "terminal", "notebook", "colab", "closed", "none", "write only"],
)
def test_auto_shows_a_bar_to_who_looks_on(
    make: Callable[[], Any], shown: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = make()
    told = Recorder()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        linear().fit(X, Y, epochs=2)
        linear().fit(X, Y, epochs=2, callbacks=[told])
    assert capsys.readouterr() == ("", "")
    if isinstance(stream, io.StringIO) and not stream.closed:
        assert ("2/2" in stream.getvalue()) == shown == bool(stream.getvalue())
    assert told.params["verbose"] == int(shown)


def test_a_bar_that_is_wanted_needs_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert linear().fit(X, Y, epochs=2, verbose=1).epoch == [0, 1]


@pytest.mark.parametrize(
    "options",
    [{"verbose": 1}, {"verbose": 2}, {"callbacks": [callbacks.Callback()]}, {"validation_data": (X, Y)}],
    ids=["bar", "lines", "callback", "validation"],
)
def test_watching_changes_nothing(options: dict[str, Any]) -> None:
    assert bits(trained(linear(ADAM), **options)) == bits(trained(linear(ADAM)))


def test_callbacks_are_called_in_order() -> None:
    recorder = Recorder()
    model = linear()
    history = model.fit(X, Y, 8, 4, verbose=0, callbacks=[recorder], initial_epoch=2)
    assert recorder.calls == [
        ("train begin", None), ("begin", 2), ("end", 2), ("begin", 3), ("end", 3), ("train end", None)
    ]  # fmt: skip
    assert recorder.model is model
    assert recorder.params == {"epochs": 4, "steps": 4, "verbose": 0}
    assert [logs["loss"] for logs in recorder.logs] == history.history["loss"]


def test_stop_training_ends_after_the_epoch_and_the_next_fit_begins_anew() -> None:
    def stop(model: fastnn.Model, epoch: int) -> None:
        model.stop_training = epoch == 1

    model = linear()
    recorder = Recorder(stop)
    assert model.fit(X, Y, epochs=9, verbose=0, callbacks=recorder).epoch == [0, 1]
    assert recorder.calls[-1] == ("train end", None)
    assert model.fit(X, Y, epochs=3, verbose=0).epoch == [0, 1, 2]


@pytest.mark.parametrize("shuffle", [True, False])
def test_the_reference_trains_batch_by_batch_too(shuffle: bool) -> None:
    model, twin = linear(dtype="float64"), linear(dtype="float64")
    twin.compile("sgd", "mse", reference=True)
    listener = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)
    for one in (model, twin):
        trained(one, shuffle=shuffle, callbacks=[listener])
    for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_the_learning_rate_may_be_set_between_epochs() -> None:
    def halve(model: fastnn.Model, epoch: int) -> None:
        model.optimizer.learning_rate = model.optimizer.learning_rate / 2

    model, by_hand = linear(optimizers.SGD(0.1)), linear(optimizers.SGD(0.1))
    trained(model, callbacks=[Recorder(halve)])
    for rate in (0.1, 0.05, 0.025):
        by_hand.optimizer.learning_rate = rate
        trained(by_hand, epochs=1)
    assert bits(model) == bits(by_hand)
    for bad, error in ((-1, ConfigurationError), (math.nan, ConfigurationError), ("1", DTypeError)):
        with pytest.raises(error, match="learning_rate must be"):
            model.optimizer.learning_rate = bad
    assert model.optimizer.learning_rate == 0.0125


def test_what_a_callback_raises_comes_out_and_the_model_stays_usable() -> None:
    def fail(model: fastnn.Model, epoch: int) -> None:
        raise KeyError("mine")

    model = linear()
    with pytest.raises(KeyError, match="mine"):
        model.fit(X, Y, verbose=0, callbacks=[Recorder(fail)])
    assert len(model.fit(X, Y, epochs=2, verbose=0).epoch) == 2
    with pytest.raises(DTypeError, match=r"callbacks must be instances of fastnn.callbacks.Callback"):
        model.fit(X, Y, verbose=0, callbacks=[print])


def test_sample_weights_multiply_rows() -> None:
    total = losses.MeanSquaredError(reduction="sum")
    weighted, repeated = linear(dtype="float64", loss=total), linear(dtype="float64", loss=total)
    counts = np.arange(30) % 3
    weighted.train_on_batch(X, Y, sample_weight=counts)
    repeated.train_on_batch(np.repeat(X, counts, 0), np.repeat(Y, counts, 0))
    for a, b in zip(weighted.get_weights(), repeated.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_class_weights_are_sample_weights_by_class(refused: Any) -> None:
    by_class, by_row = classifier(), classifier()
    weights = np.array([1.0, 0.5, 3.0])  # class 0 is not named: it counts once
    a = by_class.fit(X, LABELS, class_weight={1: 0.5, 2: 3.0}, verbose=0, sample_weight=np.full(30, 2.0))
    b = by_row.fit(X, LABELS, sample_weight=2 * weights[LABELS], verbose=0)
    assert a.history == b.history
    assert bits(by_class) == bits(by_row)
    one_hot = classifier(loss="categorical_crossentropy")
    one_hot.fit(X, np.eye(3)[LABELS], sample_weight=2 * weights[LABELS], verbose=0)
    np.testing.assert_allclose(one_hot.predict(X), by_row.predict(X), rtol=1e-12)
    for bad, error in (([1, 2], DTypeError), ({"a": 1}, DTypeError), ("even", DTypeError),
                       ({-1: 1.0}, ConfigurationError), ({1: math.nan}, ConfigurationError)):  # fmt: skip
        with refused(by_class, error, match="class_weight"):
            by_class.fit(X, LABELS, class_weight=bad, verbose=0)


@pytest.mark.parametrize("name", ["batch_size", "epochs", "initial_epoch"])
@pytest.mark.parametrize("value", [-1, 2.0, True, "3", 2**31, [1]])
def test_counts_are_whole_numbers_in_range(name: str, value: Any, refused: Any) -> None:
    model = linear()
    with refused(model, (ConfigurationError, DTypeError), match=f"{name} must be"):
        model.fit(X, Y, verbose=0, **{name: value})


def test_other_bad_arguments_are_refused(refused: Any) -> None:
    model = linear()
    for options, error in (
        ({"batch_size": 0}, ConfigurationError),
        ({"validation_split": 1.0}, ConfigurationError),
        ({"validation_split": -0.1}, ConfigurationError),
        ({"validation_split": "half"}, DTypeError),
        ({"validation_split": 0.99}, DataError),
        ({"shuffle": "batch"}, DTypeError),
    ):
        with refused(model, error, match=next(iter(options))):
            model.fit(X, Y, verbose=0, **options)
    for call in (model.evaluate, model.profile):
        with refused(model, ConfigurationError, match="batch_size must be at least 1"):
            call(X, Y, batch_size=0)
    with refused(model, DTypeError, match="batch_size must be an integer"):
        model.predict(X, batch_size=2.5)


def assert_usable(model: fastnn.Model) -> None:
    assert all(np.isfinite(w).all() for w in model.get_weights())
    assert np.isfinite(model.predict(X)).all()
    model.optimizer.learning_rate = 1e-3
    assert np.isfinite(model.fit(X, Y, epochs=2, verbose=0).history["loss"]).all()


@pytest.mark.parametrize("batch_size", [8, 30])
@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("optimizer", ["SGD", "momentum"])
def test_a_loss_that_is_not_finite_ends_training_with_finite_weights(
    optimizer: str, watched: bool, batch_size: int
) -> None:
    model = linear(optimizers.SGD(1e10, momentum=0.9 if optimizer == "momentum" else 0.0))
    recorder = Recorder()
    with pytest.warns(NonFiniteWarning, match=r"not finite in epoch \d+.*last finite weights.*1e\+10"):
        history = model.fit(
            X, Y, batch_size=batch_size, epochs=50, verbose=0, callbacks=[recorder] if watched else None
        )
    assert len(history.epoch) < 50
    assert np.isfinite(history.history["loss"][:-1]).all()
    if watched:
        assert recorder.calls[-1] == ("train end", None)
    assert_usable(model)


TO_INFINITY = [optimizers.SGD(1e38), optimizers.SGD(1e38, momentum=0.9), optimizers.SGD(1e38, 0.9, True)]


@pytest.mark.parametrize("optimizer", TO_INFINITY, ids=repr)
def test_a_last_step_to_infinity_is_noticed(optimizer: optimizers.SGD) -> None:
    """The loss before the step is finite, the weights after it are not, and no step follows."""
    model = linear(optimizer)
    with pytest.warns(NonFiniteWarning, match="finite"):
        model.fit(1e3 * X, Y, batch_size=30, epochs=1, verbose=0)
    assert_usable(model)


@pytest.mark.parametrize("optimizer", TO_INFINITY, ids=repr)
def test_train_on_batch_leaves_finite_weights_and_a_state_to_go_on_from(optimizer: optimizers.SGD) -> None:
    model = linear(optimizer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NonFiniteWarning)
        for _ in range(3):
            model.train_on_batch(1e3 * X, Y)
    assert_usable(model)


def test_a_batch_whose_loss_is_not_finite_makes_no_step() -> None:
    model = linear(ADAM, metrics=["mse"])
    model.set_weights([np.full((3, 1), 3e38), np.zeros(1)])
    before = bits(model)
    with pytest.warns(NonFiniteWarning, match="the step was not made"):
        values = model.train_on_batch(1e3 * X, Y)
    assert np.isnan(values).all()
    assert len(values) == 2
    assert bits(model) == before
    assert model.optimizer.iterations == 0


def test_a_bad_loss_of_a_net_cut_along_features_ends_the_step_before_it_updates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = np.random.default_rng(0).normal(0, 1, (8, 600)).astype(np.float32)
    found = []
    for cut in (True, False):
        if not cut:
            monkeypatch.setattr(schedule, "LARGE_KERNEL", 10**9)
            shared_plans._plans.clear()
        model = fastnn.Sequential([fastnn.Input((600,)), layers.Dense(400, "relu"), layers.Dense(1)], seed=0)
        model.compile(optimizers.SGD(1e25), "mse")
        assert any(phase.axis is Axis.FEATURES for phase in model.plan(8).phases) == cut
        with pytest.warns(NonFiniteWarning):
            history = model.fit(x, x[:, :1], batch_size=8, epochs=5, verbose=0, shuffle=False).history
        found.append((len(history["loss"]), model.optimizer.iterations, model.get_weights()))
    (epochs, steps, weights), (other_epochs, other_steps, others) = found
    assert (epochs, steps) == (other_epochs, other_steps)
    for given, wanted in zip(weights, others, strict=True):
        np.testing.assert_allclose(given, wanted, rtol=1e-4, atol=1e-6)
