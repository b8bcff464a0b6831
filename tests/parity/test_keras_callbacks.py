"""The same logs for Keras's callbacks and for ours: the same decisions; and the same scripts in `fit`."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastnn

# Keras hands its variables to NumPy in a way that NumPy 2 warns about; that is not ours to fix.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CLOSE = {"rtol": 1e-4, "atol": 1e-5}
RNG = np.random.default_rng(17)
X = RNG.standard_normal((60, 4)).astype(np.float32)
ONE_HOT = np.eye(3, dtype=np.float32)[np.argmax(X @ RNG.standard_normal((4, 3)), axis=1)]


# -- made-up logs

# Keras compares in float32.  Multiples of 1/8, and their differences, are exact in both.
EIGHTHS = st.integers(0, 16).map(lambda number: number / 8)
# None: the epoch's logs lack the monitored number.
VALUES = st.lists(
    st.one_of(EIGHTHS, EIGHTHS, EIGHTHS, st.sampled_from([None, math.nan, math.inf, -math.inf])), max_size=14
)
MONITORS = st.sampled_from(["loss", "val_loss"])
MANY = settings(max_examples=200, deadline=None, derandomize=True)


class Stub:
    """A model that only counts: its weights are the epoch's number."""

    def __init__(self, optimizer: Any) -> None:
        self.optimizer, self.stop_training, self.weights = optimizer, False, -1
        self.rates: list[float] = []

    def get_weights(self) -> int:
        return self.weights

    def set_weights(self, weights: int) -> None:
        self.weights = weights


def stubs(keras: Any, rate: float = 0.1) -> tuple[Stub, Stub]:
    ours = SimpleNamespace(learning_rate=rate, metrics=())
    return Stub(keras.optimizers.SGD(rate)), Stub(ours)


def decisions(
    callback: Any, model: Stub, name: str, runs: list[list[float | None]], first: int
) -> list[tuple[int, ...]]:
    """Run a callback as `fit` does; return what it did in each epoch; `model.rates` are the rates."""
    done: list[tuple[int, ...]] = []
    callback.set_model(model)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for values in runs:
            model.stop_training = False
            callback.on_train_begin({})
            for epoch, value in enumerate(values, first):
                callback.on_epoch_begin(epoch, {})
                model.weights = epoch
                logs = {"other": 1.0} if value is None else {"other": 1.0, name: value}
                callback.on_epoch_end(epoch, logs)
                model.rates += [
                    logs.get("learning_rate", 0.0),
                    float(np.asarray(model.optimizer.learning_rate)),
                ]
                done.append((epoch, callback.wait, len(logs), model.stop_training))
                if model.stop_training:
                    break
            callback.on_train_end({})
            done.append((model.weights,))
    done.append((sum(warning.category is UserWarning for warning in caught),))
    return done


def assert_same_value(found: float | None, expected: float | None) -> None:
    assert (found is None) == (expected is None)
    if found is not None:
        np.testing.assert_equal(found, expected)  # NaN is NaN


@MANY
@given(
    runs=st.lists(VALUES, min_size=1, max_size=2),
    monitor=MONITORS,
    first=st.sampled_from([0, 0, 3]),
    options=st.fixed_dictionaries(
        {},
        optional={
            "mode": st.sampled_from(["min", "max", "auto"]),
            "patience": st.integers(0, 4),
            "min_delta": st.sampled_from([0, 0.125, 0.5, -0.25]),
            "baseline": st.one_of(st.none(), EIGHTHS),
            "restore_best_weights": st.booleans(),
            "start_from_epoch": st.integers(0, 5),
        },
    ),
)
def test_early_stopping_on_the_same_logs(
    keras: Any, runs: list[list[float | None]], monitor: str, first: int, options: dict[str, Any]
) -> None:
    theirs, ours = (k.callbacks.EarlyStopping(monitor, **options) for k in (keras, fastnn))
    their_model, our_model = stubs(keras)
    expected = decisions(theirs, their_model, monitor, runs, first)
    assert decisions(ours, our_model, monitor, runs, first) == expected
    assert ours.stopped_epoch == theirs.stopped_epoch
    assert ours.best_epoch == theirs.best_epoch
    assert ours.best_weights == theirs.best_weights
    assert_same_value(ours.best, theirs.best)


@MANY
@given(
    runs=st.lists(VALUES, min_size=1, max_size=2),
    monitor=MONITORS,
    first=st.sampled_from([0, 0, 3]),
    rate=st.sampled_from([0.1, 0.5, 0.01]),
    options=st.fixed_dictionaries(
        {"patience": st.integers(0, 3)},
        optional={
            "mode": st.sampled_from(["min", "max", "auto"]),
            "factor": st.sampled_from([0.0, 0.1, 0.3, 0.5]),
            "min_delta": st.sampled_from([0, 0.125, 0.5, -0.25]),
            "cooldown": st.integers(0, 3),
            "min_lr": st.sampled_from([0.0, 0.001, 0.01, 0.05, 0.1]),
        },
    ),
)
def test_plateaus_on_the_same_logs(
    keras: Any,
    runs: list[list[float | None]],
    monitor: str,
    first: int,
    rate: float,
    options: dict[str, Any],
) -> None:
    theirs, ours = (k.callbacks.ReduceLROnPlateau(monitor, **options) for k in (keras, fastnn))
    their_model, our_model = stubs(keras, rate)
    expected = decisions(theirs, their_model, monitor, runs, first)
    assert decisions(ours, our_model, monitor, runs, first) == expected
    np.testing.assert_allclose(our_model.rates, their_model.rates, rtol=1e-6)
    assert ours.cooldown_counter == theirs.cooldown_counter
    assert_same_value(ours.best, theirs.best)


SCHEDULES: dict[str, Callable[..., Any]] = {
    "of the epoch": lambda epoch: 0.1 / (1 + epoch),
    "of both": lambda epoch, lr: lr * 0.9 if epoch % 2 else lr,
    "of both, one with a default": lambda epoch, lr=7.0: lr / 2,
    "float32": lambda epoch, lr: np.float32(0.25),
    "float64": lambda epoch, lr: np.float64(0.3) ** epoch,
    "zero": lambda epoch: 0.0,
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_set_the_same_rates(keras: Any, name: str) -> None:
    rates = []
    for k, model in zip((keras, fastnn), stubs(keras), strict=True):
        callback = k.callbacks.LearningRateScheduler(SCHEDULES[name])
        callback.set_model(model)
        rates.append([])
        for epoch in range(6):
            callback.on_epoch_begin(epoch, {})
            logs = {"loss": 1.0}
            callback.on_epoch_end(epoch, logs)
            assert list(logs) == ["loss", "learning_rate"]
            rates[-1] += [logs["learning_rate"], float(np.asarray(model.optimizer.learning_rate))]
    np.testing.assert_allclose(rates[1], rates[0], rtol=1e-6)


@pytest.mark.parametrize("result", [1, None, "0.1", True, [0.1]], ids=repr)
def test_what_is_no_float_is_refused_by_both(keras: Any, result: Any) -> None:
    for k, model in zip((keras, fastnn), stubs(keras), strict=True):
        callback = k.callbacks.LearningRateScheduler(lambda epoch, lr: result)
        callback.set_model(model)
        with pytest.raises((ValueError, TypeError), match="float"):
            callback.on_epoch_begin(0, {})


# -- the same script in both libraries


def models(keras: Any, rate: float = 0.05) -> tuple[Any, Any]:
    """Return the two models, compiled, with the same weights."""
    made = []
    for k in (keras, fastnn):
        model = k.Sequential(
            [k.Input((4,)), k.layers.Dense(6, activation="tanh"), k.layers.Dense(3, activation="softmax")]
        )
        draw = np.random.default_rng(5)
        model.set_weights([draw.normal(0, 0.5, w.shape).astype(np.float32) for w in model.get_weights()])
        model.compile(k.optimizers.Adam(rate), "categorical_crossentropy", metrics=["accuracy", "mse"])
        made.append(model)
    return made[0], made[1]


def fit_both(
    theirs: Any, ours: Any, keras: Any, script: Callable[[Any], list[Any]], **options: Any
) -> list[int]:
    """Assert equal histories, weights and rates; return the epochs."""
    options = {"batch_size": 16, "epochs": 8, "shuffle": False, "verbose": 0, **options}
    expected = theirs.fit(X, ONE_HOT, callbacks=script(keras), **options)
    found = ours.fit(X, ONE_HOT, callbacks=script(fastnn), **options)
    assert found.epoch == expected.epoch
    assert set(found.history) == set(expected.history)
    for name, values in expected.history.items():
        np.testing.assert_allclose(found.history[name], values, err_msg=name, **CLOSE)
    for a, b in zip(theirs.get_weights(), ours.get_weights(), strict=True):
        np.testing.assert_allclose(b, a, **CLOSE)
    assert ours.stop_training == theirs.stop_training
    rates = [float(np.asarray(model.optimizer.learning_rate)) for model in (ours, theirs)]
    assert rates[0] == pytest.approx(rates[1], rel=1e-6)
    return found.epoch


def spoiling(epoch: int) -> float:
    return 0.05 if epoch < 4 else 2.0


SCRIPTS: dict[str, tuple[Callable[[Any], list[Any]], dict[str, Any], int]] = {
    "stop when the loss rises": (
        lambda k: [k.callbacks.LearningRateScheduler(spoiling), k.callbacks.EarlyStopping(monitor="loss")],
        {},
        5,
    ),
    "best weights by val_loss": (
        lambda k: [
            k.callbacks.LearningRateScheduler(spoiling),
            k.callbacks.EarlyStopping(patience=1, restore_best_weights=True),
        ],
        {"validation_split": 0.2},
        5,
    ),
    "accuracy is to rise": (
        lambda k: [k.callbacks.EarlyStopping("val_accuracy", min_delta=0.5, patience=3)],
        {"validation_split": 0.2},
        4,
    ),
    "an error is to fall": (
        lambda k: [k.callbacks.EarlyStopping("mse", min_delta=100.0, patience=2, baseline=0)],
        {"initial_epoch": 3},
        2,
    ),
    "plateaus by a metric": (
        lambda k: [k.callbacks.ReduceLROnPlateau("accuracy", 0.5, 2, min_delta=0.9, cooldown=1)],
        {},
        8,
    ),
    "both, and a schedule": (
        lambda k: [
            k.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=10.0),
            k.callbacks.LearningRateScheduler(lambda epoch, lr: lr * 0.9),
            k.callbacks.EarlyStopping("loss", patience=4, min_delta=10.0, restore_best_weights=True),
        ],
        {"initial_epoch": 1},
        5,
    ),
    "not a number": (lambda k: [k.callbacks.TerminateOnNaN()], {}, 8),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts(keras: Any, name: str) -> None:
    script, options, length = SCRIPTS[name]
    assert len(fit_both(*models(keras), keras, script, **options)) == length


def test_one_callback_in_several_fits(keras: Any) -> None:
    theirs, ours = models(keras)
    kept: dict[str, list[Any]] = {
        k.__name__: [
            k.callbacks.EarlyStopping("loss", patience=3, min_delta=10.0, restore_best_weights=True),
            k.callbacks.ReduceLROnPlateau("loss", patience=2, min_delta=10.0, factor=0.5),
        ]
        for k in (keras, fastnn)
    }
    for first in (0, 0, 5):
        epochs = fit_both(
            theirs, ours, keras, lambda k: kept[k.__name__], initial_epoch=first, epochs=first + 9
        )
        assert epochs == [first, first + 1, first + 2, first + 3]


def test_lambdas_are_told_the_same(keras: Any) -> None:
    told: dict[str, list[tuple[Any, ...]]] = {"keras": [], "fastnn": []}

    def script(k: Any) -> list[Any]:
        calls = told[k.__name__]

        def add(epoch: int, logs: dict[str, float]) -> None:
            calls.append(("epoch end", epoch, sorted(logs)))
            logs["mine"] = 1.0

        return [
            k.callbacks.LearningRateScheduler(lambda epoch: 0.01),
            k.callbacks.LambdaCallback(
                on_epoch_begin=lambda epoch, logs: calls.append(("epoch begin", epoch, sorted(logs))),
                on_epoch_end=add,
                on_train_begin=lambda logs: calls.append(("train begin", sorted(logs))),
                on_train_end=lambda logs: calls.append(("train end", sorted(logs))),
                on_train_batch_begin=lambda batch, logs: calls.append(("begin", batch, sorted(logs))),
                on_train_batch_end=lambda batch, logs: calls.append(("end", batch, sorted(logs))),
            ),
            k.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs: calls.append(("after", epoch, sorted(logs)))
            ),
        ]

    fit_both(*models(keras), keras, script, epochs=2, validation_split=0.2)
    assert told["fastnn"] == told["keras"]
    assert len(told["fastnn"]) == 2 + 2 * (3 + 2 * 3)


# -- which hooks are called, when, and with what

KINDS = ("train", "test", "predict")
PLAIN = ["on_epoch_begin", "on_epoch_end", "on_batch_begin", "on_batch_end"]
HOOKS = PLAIN + [
    f"on_{kind}_{part}{end}" for kind in KINDS for part in ("", "batch_") for end in ("begin", "end")
]
Call = tuple[str, list[Any], dict[str, Any]]


def recorder(k: Any, calls: list[Call], names: list[str] = HOOKS, acts: Any = None) -> Any:
    """Return a callback that writes down its calls: the hook, what is by position, what by name."""

    def make(name: str) -> Any:
        def hook(self: Any, *by_position: Any, **by_name: Any) -> None:
            calls.append((name, list(by_position), by_name))
            if acts is not None:
                acts(self.model, name, len(calls))

        return hook

    return type("Recorder", (k.callbacks.Callback,), {name: make(name) for name in names})()


def named(calls: list[Call]) -> list[Any]:
    """Return calls without the values in their logs."""
    return [
        (name, [sorted(a) if isinstance(a, dict) else a for a in positions], sorted(names))
        for name, positions, names in calls
    ]


def assert_same_calls(found: list[Call], expected: list[Call]) -> None:
    """Assert the same hooks with the same indices, the same keys in logs, and close values."""
    assert named(found) == named(expected)
    for (name, positions, names), (_, others, others_named) in zip(found, expected, strict=True):
        for a, b in zip([*positions, *names.values()], [*others, *others_named.values()], strict=True):
            if isinstance(a, dict):
                assert sorted(a) == sorted(b), name
                for key, value in b.items():
                    np.testing.assert_allclose(a[key], np.asarray(value), err_msg=f"{name}: {key}", **CLOSE)


CALLS: dict[str, tuple[str, dict[str, Any], int]] = {
    "fit": ("fit", {}, 2 + 2 * (2 + 2 * 4)),
    "fit with a validation split": ("fit", {"validation_split": 0.3}, 2 + 2 * (2 + 2 * 3 + 2 + 2 * 2)),
    "fit with validation data": (
        "fit",
        {"validation_data": (X[:33], ONE_HOT[:33])},
        2 + 2 * (2 + 2 * 4 + 2 + 2 * 3),
    ),
    "fit from a later epoch": ("fit", {"initial_epoch": 5, "epochs": 6}, 2 + 2 + 2 * 4),
    "fit with nothing to do": ("fit", {"initial_epoch": 5, "epochs": 5}, 2),
    "fit in one batch": ("fit", {"batch_size": 99, "validation_split": 0.5}, 2 + 2 * (2 + 2 + 2 + 2)),
    "evaluate": ("evaluate", {}, 2 + 2 * 4),
    "evaluate in batches of 32": ("evaluate", {"batch_size": None}, 2 + 2 * 2),
    "evaluate with weights": ("evaluate", {"sample_weight": np.arange(60, dtype=np.float32)}, 2 + 2 * 4),
    "predict": ("predict", {}, 2 + 2 * 4),
    "predict in batches of 32": ("predict", {"batch_size": None}, 2 + 2 * 2),
}


def call_both(keras: Any, method: str, options: dict[str, Any], make: Callable[..., Any]) -> list[Any]:
    """Run a method of both models, with the callbacks that `make` makes; return what each returned."""
    options = {"batch_size": 16, "verbose": 0, **options}
    if method == "fit":
        options = {"epochs": 2, "shuffle": False, **options}
    data = (X,) if method == "predict" else (X, ONE_HOT)
    found = []
    for k, model in zip((keras, fastnn), models(keras), strict=True):
        found.append(getattr(model, method)(*data, callbacks=make(k), **options))
    return found


@pytest.mark.parametrize("name", CALLS)
def test_hooks_are_called_in_the_same_order_with_the_same_logs(keras: Any, name: str) -> None:
    method, options, length = CALLS[name]
    calls: dict[str, list[Call]] = {"keras": [], "fastnn": []}
    kept: list[Any] = []

    def make(k: Any) -> list[Any]:
        kept.append([recorder(k, calls[k.__name__]), recorder(k, calls[k.__name__], ["on_test_begin"])])
        return kept[-1]

    theirs, ours = call_both(keras, method, options, make)
    assert_same_calls(calls["fastnn"], calls["keras"])
    once = [call for call in calls["fastnn"] if call[0] != "on_test_begin"]
    assert len(once) + sum(call[0] == "on_test_begin" for call in calls["fastnn"]) / 2 == length
    for a, b in zip(*kept, strict=True):
        assert b.params == a.params
    if method != "fit":
        np.testing.assert_allclose(ours, theirs, **CLOSE)


@pytest.mark.parametrize("name", ["fit", "fit with a validation split"])
def test_the_short_names_of_the_hooks_around_training_batches(keras: Any, name: str) -> None:
    method, options, _ = CALLS[name]
    for names in (["on_batch_begin"], ["on_batch_end"], PLAIN):
        calls: dict[str, list[Call]] = {"keras": [], "fastnn": []}
        call_both(keras, method, options, lambda k, n=names, c=calls: [recorder(k, c[k.__name__], n)])
        assert_same_calls(calls["fastnn"], calls["keras"])
        assert {call[0] for call in calls["fastnn"]} == set(names)


@pytest.mark.parametrize("method", ["evaluate", "predict"])
@pytest.mark.parametrize("at", [1, 2, 3, 6])
def test_evaluation_and_prediction_stop_at_the_same_batch(keras: Any, method: str, at: int) -> None:
    calls: dict[str, list[Call]] = {"keras": [], "fastnn": []}
    flag = "stop_evaluating" if method == "evaluate" else "stop_predicting"

    def stop(model: Any, name: str, count: int) -> None:
        if count == at:
            setattr(model, flag, True)

    # A model that was stopped before is not any longer.
    for names in (HOOKS, [f"on_{kind}_begin" for kind in KINDS]):
        for mine in calls.values():
            mine.clear()
        theirs, ours = call_both(
            keras, method, {}, lambda k, n=names: [recorder(k, calls[k.__name__], n, stop)]
        )
        assert_same_calls(calls["fastnn"], calls["keras"])
        np.testing.assert_allclose(ours, theirs, **CLOSE)


# In which hook, and at which of its calls, `stop_training` is set: the steps and epochs of a fit that
# would make three epochs of four steps.
STOPS = {
    ("on_train_begin", 1): (1, 1),
    ("on_epoch_begin", 1): (1, 1),
    ("on_epoch_begin", 2): (5, 2),
    ("on_train_batch_begin", 1): (1, 1),
    ("on_train_batch_begin", 6): (6, 2),
    ("on_train_batch_end", 3): (3, 1),
    ("on_train_batch_end", 4): (4, 1),
    ("on_batch_end", 5): (5, 2),
    ("on_test_begin", 2): (8, 2),
    ("on_test_batch_begin", 1): (4, 1),
    ("on_test_batch_end", 2): (4, 1),
    ("on_test_end", 1): (4, 1),
    ("on_epoch_end", 1): (4, 1),
    ("on_epoch_end", 3): (12, 3),
}


@pytest.mark.parametrize("everywhere", [False, True], ids=["alone", "everywhere"])
@pytest.mark.parametrize(("hook", "at"), STOPS)
def test_training_stops_at_the_same_step(keras: Any, hook: str, at: int, everywhere: bool) -> None:
    """Whoever sets it, `stop_training` is looked at after each batch: one is always trained."""
    calls: dict[str, list[Call]] = {"keras": [], "fastnn": []}

    def stop_in(mine: list[Call]) -> Any:
        def stop(model: Any, name: str, count: int) -> None:
            if name == hook and sum(call[0] == hook for call in mine) == at:
                model.stop_training = True

        return stop

    def make(k: Any) -> list[Any]:
        mine = calls[k.__name__]
        # Of the two names of a hook the older one is called if the other is not overridden.
        names = [name for name in HOOKS if hook != "on_batch_end" or "train_batch" not in name]
        return [recorder(k, mine, names if everywhere else [hook], stop_in(mine))]

    steps, epochs = STOPS[hook, at]
    theirs, ours = models(keras)
    options = {"epochs": 3, "validation_data": (X[:20], ONE_HOT[:20])}
    assert fit_both(theirs, ours, keras, make, **options) == list(range(epochs))
    assert_same_calls(calls["fastnn"], calls["keras"])
    assert int(theirs.optimizer.iterations) == ours.optimizer.iterations == steps
    assert ours.stop_training


def test_who_changes_its_mind_in_time_trains_on(keras: Any) -> None:
    def change(model: Any, name: str, count: int) -> None:
        model.stop_training = name == "on_train_begin"

    names = ["on_train_begin", "on_epoch_begin"]
    assert fit_both(*models(keras), keras, lambda k: [recorder(k, [], names, change)], epochs=3) == [0, 1, 2]


@pytest.mark.parametrize(("batch_size", "epochs"), [(16, 1), (48, 3)])
def test_of_a_loss_that_is_not_finite_both_tell_the_same(keras: Any, batch_size: int, epochs: int) -> None:
    """Both stop at that batch, Keras because of `TerminateOnNaN`; only the weights are not the same."""
    calls: dict[str, list[Call]] = {"keras": [], "fastnn": []}
    histories, stopped = [], []
    for k in (keras, fastnn):
        model = k.Sequential([k.Input((4,)), k.layers.Dense(3)])
        model.set_weights([np.ones((4, 3), np.float32), np.zeros(3, np.float32)])
        model.compile(k.optimizers.SGD(1e15), "mse", metrics=["mse"])
        told = [k.callbacks.TerminateOnNaN(), recorder(k, calls[k.__name__]), k.callbacks.ReduceLROnPlateau()]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", fastnn.errors.NonFiniteWarning)
            options = {"validation_split": 0.2, "shuffle": False, "verbose": 0, "callbacks": told}
            histories.append(model.fit(X, ONE_HOT, batch_size=batch_size, epochs=9, **options))
        stopped.append(model.stop_training)
    theirs, ours = histories
    # `TerminateOnNaN` listens to batches in Keras only, and stops in all cases.
    assert named(calls["fastnn"]) == named(calls["keras"])
    assert ours.epoch == theirs.epoch == list(range(epochs))
    assert set(ours.history) == set(theirs.history)
    for name in ("loss", "mse"):
        assert np.isfinite(ours.history[name]).tolist() == np.isfinite(theirs.history[name]).tolist()
        assert not np.isfinite(ours.history[name][-1])
    assert stopped == [True, True]


def test_lambdas_for_any_hook(keras: Any) -> None:
    for method in ("fit", "evaluate", "predict"):
        told: dict[str, list[tuple[Any, ...]]] = {"keras": [], "fastnn": []}

        def make(k: Any, calls: dict[str, list[tuple[Any, ...]]] = told) -> Any:
            mine = calls[k.__name__]
            return [
                k.callbacks.LambdaCallback(
                    **{
                        name: (lambda *given, _name=name, **named: mine.append((_name, len(given), *named)))
                        for name in [*HOOKS, "set_params"]
                    }
                )
            ]

        call_both(keras, method, {"validation_split": 0.2} if method == "fit" else {}, make)
        assert told["fastnn"] == told["keras"]
        assert len(told["fastnn"]) > 8


def test_methods_take_callbacks_where_keras_does(keras: Any) -> None:
    theirs, ours = models(keras)
    for method, data in (("evaluate", (X, ONE_HOT)), ("predict", (X,))):
        named = [list(inspect.signature(getattr(model, method)).parameters) for model in (theirs, ours)]
        assert named[1] == [*(name for name in named[0] if name != "kwargs"), "n_threads"]
        calls: list[Call] = []
        weights = () if method == "predict" else (None,)
        getattr(ours, method)(*data, 16, 0, *weights, None, [recorder(fastnn, calls)])
        assert len(calls) == 2 + 2 * 4


def test_a_number_that_is_missing_is_named_in_both_warnings(keras: Any) -> None:
    for name, available in (("EarlyStopping", "loss"), ("ReduceLROnPlateau", "learning_rate")):
        for k, model in zip((keras, fastnn), models(keras), strict=True):
            with pytest.warns(UserWarning, match=f"val_loss.*not available.*{available}") as caught:
                model.fit(X, ONE_HOT, epochs=2, verbose=0, callbacks=[getattr(k.callbacks, name)()])
            assert len([w for w in caught if "val_loss" in str(w.message)]) == 2


def test_neither_guesses_which_way_is_better(keras: Any) -> None:
    for k, model in zip((keras, fastnn), models(keras), strict=True):
        with pytest.raises(ValueError, match=r"mode='min'"):
            model.fit(X, ONE_HOT, verbose=0, callbacks=[k.callbacks.EarlyStopping("val_f1")])


def test_arguments_and_defaults(keras: Any) -> None:
    for name in ("EarlyStopping", "LearningRateScheduler", "ReduceLROnPlateau", "LambdaCallback"):
        theirs, ours = (
            {
                parameter.name: parameter.default
                for parameter in inspect.signature(getattr(k.callbacks, name)).parameters.values()
                if parameter.kind is not parameter.VAR_KEYWORD
            }
            for k in (keras, fastnn)
        )
        assert list(ours.items()) == list(theirs.items())
