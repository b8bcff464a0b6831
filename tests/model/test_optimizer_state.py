"""What an optimizer keeps for each parameter: what it begins with, wherever it begins."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import layers, optimizers, saving
from fastnn.errors import NonFiniteWarning

RNG = np.random.default_rng(0)
X = RNG.normal(0, 1, (24, 3)).astype(np.float32)
Y = X.sum(1, keepdims=True)


def net(rate: float = 0.1) -> fastnn.Sequential:
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(1)], seed=0)
    model.compile(optimizers.Adagrad(rate, initial_accumulator_value=0.5), "mse")
    return model


def state(model: fastnn.Sequential) -> np.ndarray:
    found: np.ndarray = model.optimizer.state
    return found


def test_it_begins_with_what_the_optimizer_says() -> None:
    model = net()
    assert set(state(model).tolist()) == {0.5}
    model.fit(X, Y, epochs=2, verbose=0)
    assert state(model).max() > 0.5
    model.compile(optimizers.Adagrad(0.1, initial_accumulator_value=0.25), "mse")
    assert set(state(model).tolist()) == {0.25}
    model.compile("adam", "mse")
    assert set(state(model).tolist()) == {0.0}


def test_a_loss_that_is_not_finite_lets_it_begin_anew() -> None:
    model, wild = net(), Y.copy()
    model.fit(X, Y, epochs=2, verbose=0)
    wild[5] = 3e38
    with pytest.warns(NonFiniteWarning):
        model.fit(X, wild, epochs=2, verbose=0)
    assert set(state(model).tolist()) == {0.5}


def test_parameters_that_come_later_begin_as_ever() -> None:
    """A layer that joins a trained chain has a state of its own; the others keep theirs."""
    x = fastnn.Input((3,))
    hidden = layers.Dense(4, "tanh")
    first = fastnn.Model(x, layers.Dense(1)(hidden(x)), seed=0)
    first.compile(optimizers.Adagrad(0.1, initial_accumulator_value=0.5), "mse")
    first.fit(X, Y, epochs=2, verbose=0)
    second = fastnn.Model(x, layers.Dense(1)(hidden(x)), seed=0)
    second.compile(optimizers.Adagrad(0.1, initial_accumulator_value=0.5), "mse")
    assert set(state(second).tolist()) == {0.5}


LIVES = [
    *(optimizers._BY_NAME[name]() for name in sorted(optimizers._BY_NAME)),
    optimizers.Adam(amsgrad=True, clipnorm=0.1),
    optimizers.RMSprop(momentum=0.5, centered=True),
    optimizers.SGD(0.1, gradient_accumulation_steps=3, use_ema=True, ema_overwrite_frequency=2),
    optimizers.Nadam(gradient_accumulation_steps=2, global_clipnorm=0.1),
]


@pytest.mark.parametrize("scheduled", [False, True])
@pytest.mark.parametrize("optimizer", LIVES, ids=repr)
def test_every_optimizer_goes_on_from_a_file(
    optimizer: optimizers.Optimizer, scheduled: bool, tmp_path: Path
) -> None:
    """As if there had been no file; averages become weights at the end of each `fit`."""
    rate = optimizers.schedules.ExponentialDecay(0.01, 5, 0.5) if scheduled else 0.01
    chosen = dataclasses.replace(optimizer, learning_rate=rate)
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(1)], seed=0)
    model.compile(chosen, "mse")
    model.fit(X, Y, batch_size=7, epochs=2, verbose=0)
    model.save(tmp_path / "model")
    again = saving.load_model(tmp_path / "model")
    assert again.optimizer.description == chosen
    for one in (model, again):
        one.fit(X, Y, batch_size=7, epochs=2, verbose=0)
    np.testing.assert_array_equal(state(model), state(again))
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_training_goes_on_from_a_file(tmp_path: Path) -> None:
    whole, first = net(), net()
    whole.fit(X, Y, batch_size=7, epochs=4, verbose=0)
    first.fit(X, Y, batch_size=7, epochs=2, verbose=0)
    first.save(tmp_path / "model.fastnn")
    again = saving.load_model(tmp_path / "model.fastnn")
    again.fit(X, Y, batch_size=7, epochs=2, verbose=0)
    for one, other in zip(whole.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
