"""Learning rates that follow the steps: formulas, steps of an epoch, what may be set, files, bad input."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers, optimizers, saving
from fastnn.errors import ConfigurationError, DTypeError, FileFormatError
from fastnn.optimizers import schedules
from fastnn.optimizers.schedules import LearningRateSchedule

SCHEDULES: dict[str, LearningRateSchedule] = {
    "exponential": schedules.ExponentialDecay(0.1, 7, 0.5),
    "exponential stairs": schedules.ExponentialDecay(0.1, 7, 0.5, staircase=True),
    "inverse time": schedules.InverseTimeDecay(0.1, 5, 0.7),
    "inverse time stairs": schedules.InverseTimeDecay(0.1, 5, 0.7, staircase=True),
    "polynomial": schedules.PolynomialDecay(0.1, 12, 0.01, power=2.0),
    "polynomial again": schedules.PolynomialDecay(0.1, 6, 0.01, cycle=True),
    "pieces": schedules.PiecewiseConstantDecay([3, 9], [0.1, 0.05, 0.02]),
    "cosine": schedules.CosineDecay(0.1, 15, alpha=0.1),
    "cosine warm": schedules.CosineDecay(0.0, 10, warmup_target=0.1, warmup_steps=4),
}


class Own(LearningRateSchedule):
    """Twice as slow every third step."""

    def __init__(self, start: float = 0.1) -> None:
        self.start = start

    def __call__(self, step: int) -> float:
        return self.start / (1 + step % 3)

    def get_config(self) -> dict[str, Any]:
        return {"start": self.start}


def data(rows: int = 20) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (rows, 3))
    return x, x.sum(1, keepdims=True)


def model_with(optimizer: Any, dtype: str = "float64", **options: Any) -> fastnn.Sequential:
    model = fastnn.Sequential(
        [fastnn.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(1)], seed=1, dtype=dtype
    )
    model.compile(optimizer, "mse", **options)
    return model


@pytest.mark.parametrize("name", SCHEDULES)
def test_one_by_one_or_all_at_once(name: str) -> None:
    schedule = SCHEDULES[name]
    assert schedule.rates(0, 30).tolist() == [schedule(step) for step in range(30)]
    assert schedule.rates(11, 4).tolist() == schedule.rates(0, 30)[11:15].tolist()


@pytest.mark.parametrize("batch", [3, 20])
@pytest.mark.parametrize("name", [*SCHEDULES, "own"])
@pytest.mark.parametrize("rule", [optimizers.SGD, optimizers.Adam, optimizers.AdamW])
def test_each_step_has_its_own_rate(rule: Any, name: str, batch: int) -> None:
    """`fit` makes the same steps as somebody who sets the rate before each."""
    schedule = Own() if name == "own" else SCHEDULES[name]
    x, y = data()
    one = model_with(rule(schedule))
    one.fit(x, y, batch_size=batch, epochs=3, shuffle=False, verbose=0)
    other = model_with(rule(0.5))
    for step in range(3 * math.ceil(len(x) / batch)):
        begin = step * batch % (math.ceil(len(x) / batch) * batch)
        other.optimizer.learning_rate = schedule(step)
        other.train_on_batch(x[begin : begin + batch], y[begin : begin + batch])
    assert one.optimizer.iterations == other.optimizer.iterations == step + 1
    assert one.optimizer.learning_rate == schedule(step + 1)
    for found, exact in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(found, exact)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_reference_follows_too(dtype: str) -> None:
    x, y = data()
    found = []
    for reference in (False, True):
        model = model_with(optimizers.AdamW(SCHEDULES["exponential"], 0.3), dtype=dtype, reference=reference)
        model.fit(x, y, batch_size=6, epochs=5, shuffle=True, verbose=0)
        found.append(model.get_weights())
    tolerance = 1e-4 if dtype == "float32" else 1e-12
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def test_threads_change_no_bit() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, (600, 300)).astype("f"), rng.normal(0, 1, (600, 200)).astype("f")
    found = []
    for n_threads in (1, 2, 4):
        model = fastnn.Sequential(
            [fastnn.Input((300,)), layers.Dense(256, "relu"), layers.Dense(200)], seed=1
        )
        model.compile(optimizers.AdamW(SCHEDULES["cosine warm"], 0.1), "mse")
        model.fit(x, y, batch_size=200, epochs=4, verbose=0, n_threads=n_threads)
        found.append(model.get_weights())
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_run_that_goes_on_makes_the_same_steps(tmp_path: Path) -> None:
    x, y = data()
    whole, first = (model_with(optimizers.Adam(SCHEDULES["polynomial again"])) for _ in range(2))
    whole.fit(x, y, batch_size=4, epochs=4, verbose=0)
    first.fit(x, y, batch_size=4, epochs=2, verbose=0)
    first.save(tmp_path / "model.fastnn")
    second = saving.load_model(tmp_path / "model.fastnn")
    assert second.optimizer.description == first.optimizer.description
    assert second.optimizer.learning_rate == first.optimizer.learning_rate
    third = pickle.loads(pickle.dumps(second))
    third.fit(x, y, batch_size=4, epochs=2, verbose=0)
    for found, exact in zip(third.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(found, exact)


def test_own_schedules_are_saved_with_their_class(tmp_path: Path) -> None:
    model = model_with(optimizers.SGD(Own(0.3)))
    model.save(tmp_path / "model.fastnn")
    again = saving.load_model(tmp_path / "model.fastnn", custom_objects={"Own": Own})
    assert again.optimizer.learning_rate == 0.3
    with pytest.raises(FileFormatError, match="learning rate schedule 'Own'"):
        saving.load_model(tmp_path / "model.fastnn")


def test_schedules_do_not_part_plans() -> None:
    """Which rate a step has is no part of a plan, so nets of all rates share one."""
    plans = [model_with(optimizers.Adam(rate)).optimizer for rate in (0.1, 0.2, SCHEDULES["pieces"])]
    assert len({compiled.rule for compiled in plans}) == 1


def test_a_rate_that_follows_a_schedule_cannot_be_set() -> None:
    model = model_with(optimizers.SGD(SCHEDULES["exponential"]))
    with pytest.raises(ConfigurationError, match="follows ExponentialDecay and cannot be set"):
        model.optimizer.learning_rate = 0.1
    halve = fastnn.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    x, y = data()
    with pytest.raises(ConfigurationError, match="cannot be set"):
        model.fit(x, y, callbacks=[halve], verbose=0)


def test_bad_schedules_change_nothing() -> None:
    class Wrong(LearningRateSchedule):
        def __call__(self, step: int) -> float:
            return 0.1 if step < 3 else -1.0

    x, y = data()
    model = model_with(optimizers.SGD(Wrong()))
    before = model.get_weights()
    with pytest.raises(ConfigurationError, match=r"Wrong gives the learning rate -1.0 for step 3"):
        model.fit(x, y, batch_size=5, verbose=0)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(NotImplementedError, match="must define __call__"):
        LearningRateSchedule()(0)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: schedules.ExponentialDecay(-1.0, 1, 0.5), ConfigurationError, "initial_learning_rate"),
        (lambda: schedules.ExponentialDecay(0.1, 0, 0.5), ConfigurationError, "decay_steps"),
        (lambda: schedules.ExponentialDecay("fast", 1, 0.5), DTypeError, "initial_learning_rate"),
        (lambda: schedules.InverseTimeDecay(0.1, 1, -0.5), ConfigurationError, "decay_rate"),
        (lambda: schedules.PolynomialDecay(0.1, 1, power=-1.0), ConfigurationError, "power"),
        (lambda: schedules.PiecewiseConstantDecay([2, 1], [1, 1, 1]), ConfigurationError, "ascend"),
        (lambda: schedules.PiecewiseConstantDecay([1], [0.1]), ConfigurationError, "one more"),
        (lambda: schedules.PiecewiseConstantDecay("12", [0.1]), DTypeError, "list of numbers"),
        (lambda: schedules.CosineDecay(0.1, 10, alpha=2.0), ConfigurationError, "alpha"),
        (lambda: optimizers.SGD([0.1]), DTypeError, "learning_rate"),
        (lambda: optimizers.SGD(lambda step: 0.1), DTypeError, "learning_rate.*LearningRateSchedule"),
        (lambda: optimizers.SGD(schedules.CosineDecay), DTypeError, "learning_rate.*function without"),
        (lambda: optimizers.SGD(weight_decay=-0.1), ConfigurationError, "weight_decay"),
        (lambda: optimizers.AdamW(weight_decay=math.nan), ConfigurationError, "weight_decay"),
        (lambda: optimizers.schedules.Exponential, AttributeError, "ExponentialDecay"),
    ],
)
def test_bad_arguments(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize("first", [0, 7])
@pytest.mark.parametrize("weight_decay", [None, 0.1])
@pytest.mark.parametrize("rate", [0.5, schedules.CosineDecay(0.1, 20)], ids=["constant", "schedule"])
@pytest.mark.parametrize("rule", [optimizers.SGD, optimizers.Adam, optimizers.RMSprop])
def test_scalars_are_columns_in_the_order_of_their_names(
    rule: Any, rate: Any, weight_decay: float | None, first: int
) -> None:
    optimizer = rule(rate, weight_decay=weight_decay)
    found = optimizer.scalars(0.5, first, 5)
    for _ in range(2):  # from now on what was kept
        np.testing.assert_array_equal(optimizer.scalars(0.5, first, 5), found)
    rates = np.array([0.5 if rate == 0.5 else rate(step) for step in range(first, first + 5)])
    t = first + np.arange(1.0, 6.0)
    columns = {"rate": rates, "corrected_rate": rates * (np.sqrt(1 - 0.999**t) / (1 - 0.9**t))}
    wanted = np.stack([columns[name] for name in optimizer.scalar_names], axis=1)
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(np.broadcast_to(found, wanted.shape), wanted)
