"""Training whose loss stops being finite: what the history, the callbacks and the weights are then.

The executor's part, which weights come back, is tested in `test_executor_team.py` and `test_steps_alone.py`.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers, optimizers
from fastnn.callbacks import EarlyStopping, LambdaCallback, ReduceLROnPlateau, TerminateOnNaN
from fastnn.errors import NonFiniteWarning

RNG = np.random.default_rng(3)
X = RNG.standard_normal((40, 3))
Y = X @ [[1.0], [-2.0], [0.5]] + 0.25
# Losses of about 1, then 1e30, then more than float32 has: the third step fails.
HUGE = 1e15


def linear(rate: float = HUGE, dtype: str = "float32", **options: Any) -> fastnn.Sequential:
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(1)], seed=1, dtype=dtype)
    model.compile(optimizers.SGD(rate), **{"loss": "mse", "metrics": ["mse"], **options})
    return model


def nothing(*_: Any, **__: Any) -> None:
    """Listen, and do nothing."""


def diverged(model: fastnn.Sequential, at: int, **options: Any) -> fastnn.callbacks.History:
    """Fit; assert that training ends in epoch `at`, counted from 1, which the warning names."""
    first = options.get("initial_epoch", 0)
    told = (
        rf"not finite in epoch {first + at}; training stopped, the last finite weights .* several steps old"
    )
    with pytest.warns(NonFiniteWarning, match=told) as caught:
        history = model.fit(X, Y, **{"batch_size": 40, "epochs": first + 9, "verbose": 0, **options})
    assert [w.filename for w in caught if w.category is NonFiniteWarning] == [__file__]
    assert history.epoch == list(range(first, first + at))
    assert {len(values) for values in history.history.values()} == {at}
    for name in ("loss", "mse"):
        assert np.isfinite(history.history[name][:-1]).all()
        assert math.isnan(history.history[name][-1])
    assert all(np.isfinite(w).all() for w in model.get_weights())
    return history


WAYS: dict[str, dict[str, Any]] = {
    "alone": {},
    "bar": {"verbose": 1},
    "lines": {"verbose": 2},
    "epochs": {"callbacks": [LambdaCallback(on_epoch_end=nothing)]},
    "batches": {"callbacks": [LambdaCallback(on_train_batch_end=nothing)]},
    "validation": {"validation_data": (X, Y)},
    "later": {"initial_epoch": 5},
    "reference": {},
}


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(("batch_size", "at"), [(40, 3), (20, 2), (16, 1), (1, 1)])
@pytest.mark.parametrize("way", WAYS)
def test_the_epoch_that_failed_is_the_last_of_the_history(
    way: str, batch_size: int, at: int, shuffle: bool
) -> None:
    model = linear()
    if way == "reference":  # it computes in float64, and NumPy tells of each overflow
        model = linear(1e100, dtype="float64", reference=True)
    history = diverged(model, at, batch_size=batch_size, shuffle=shuffle, **WAYS[way])
    assert [name for name in history.history if not name.startswith("val_")] == ["loss", "mse"]


def test_validation_measures_the_weights_that_were_restored() -> None:
    model = linear()
    history = diverged(model, 3, validation_data=(X[:10], Y[:10]), epochs=4).history
    assert list(history) == ["loss", "mse", "val_loss", "val_mse"]
    now = model.evaluate(X[:10], Y[:10], return_dict=True)
    assert isinstance(now, dict)
    assert (history["val_loss"][-1], history["val_mse"][-1]) == (now["loss"], now["mse"])
    assert math.isfinite(now["loss"])


@pytest.mark.parametrize("way", ["alone", "epochs", "batches"])
def test_a_last_step_to_infinity_fails_its_epoch(way: str) -> None:
    """Every loss was finite, the weights after the last step are not: the step is taken back."""
    model = linear(1e38)
    with pytest.warns(NonFiniteWarning, match="not finite in epoch 1;"):
        history = model.fit(1e3 * X, Y, batch_size=40, epochs=1, verbose=0, **WAYS[way])
    assert history.epoch == [0]
    assert {name: [math.isnan(v) for v in values] for name, values in history.history.items()} == {
        "loss": [True],
        "mse": [True],
    }
    assert model.optimizer.progress.epochs == 1
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_every_hook_hears_of_it() -> None:
    calls: list[tuple[str, Any, list[bool]]] = []

    def noted(name: str) -> Any:
        return lambda *index, logs: calls.append((name, *index, [math.isnan(v) for v in logs.values()]))

    listener = LambdaCallback(
        on_epoch_end=lambda epoch, logs: noted("epoch")(epoch, logs=logs),
        on_train_end=lambda logs: noted("train")(logs=logs),
        on_train_batch_begin=noted("begin"),
        on_train_batch_end=noted("end"),
    )
    diverged(linear(), 1, batch_size=10, callbacks=[listener])
    good, bad = [False, False], [True, True]
    batches = [("begin", 0, []), ("end", 0, good), ("begin", 1, []), ("end", 1, good), ("begin", 2, [])]
    assert calls == [*batches, ("end", 2, bad), ("epoch", 0, bad), ("train", bad)]


def test_callbacks_that_steer_cope() -> None:
    kept: list[list[np.ndarray]] = []
    model = linear(0.05)
    steer = [
        fastnn.callbacks.LearningRateScheduler(lambda epoch: 0.05 if epoch < 4 else HUGE),
        EarlyStopping("loss", patience=9, restore_best_weights=True),
        EarlyStopping("val_loss", patience=9),
        ReduceLROnPlateau("loss", patience=1),
        TerminateOnNaN(),
        LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(model.get_weights())),
    ]
    history = diverged(model, 7, callbacks=steer, validation_split=0.5, batch_size=20)
    assert list(history.history) == ["loss", "mse", "val_loss", "val_mse", "learning_rate"]
    assert model.stop_training  # by TerminateOnNaN
    assert steer[1].best_epoch == 4
    for a, b in zip(model.get_weights(), kept[4], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("monitor", ["loss", "val_loss"])
def test_the_first_epoch_fails_and_its_weights_are_the_best(monitor: str) -> None:
    model = linear()
    best = EarlyStopping(monitor, restore_best_weights=True)
    history = diverged(model, 1, batch_size=8, callbacks=[best], validation_data=(X, Y))
    assert not model.stop_training
    assert history.history["val_loss"] == [model.evaluate(X, Y)[0]]


def test_who_takes_the_warning_for_an_error_has_the_history_all_the_same() -> None:
    model = linear()
    ends: list[float] = []
    watch = LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append(logs["loss"]))
    with warnings.catch_warnings():
        warnings.simplefilter("error", NonFiniteWarning)
        with pytest.raises(NonFiniteWarning, match="epoch 3"):
            model.fit(X, Y, 40, 9, 0, [watch])
    assert model.history is not None
    assert [math.isnan(loss) for loss in model.history.history["loss"]] == [False, False, True]
    assert len(ends) == 3
    model.optimizer.learning_rate = 1e-3
    assert np.isfinite(model.fit(X, Y, epochs=2, verbose=0).history["loss"]).all()
