"""Optimizers that a model was compiled with, and `SwapEMAWeights`: the same scripts for both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import fastnn

# Keras hands its variables to NumPy in a way that NumPy 2 warns about; that is not ours to fix.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RNG = np.random.default_rng(17)
X = RNG.standard_normal((40, 4)).astype(np.float32)
Y = RNG.standard_normal((40, 3)).astype(np.float32)
WEIGHTS = [RNG.normal(0, 0.5, shape).astype(np.float32) for shape in ((4, 5), (5,), (5, 3), (3,))]
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def both(keras: Any) -> Iterator[tuple[Any, Any]]:
    for k in (keras, fastnn):
        model = k.Sequential([k.Input((4,)), k.layers.Dense(5, "tanh"), k.layers.Dense(3)])
        model.set_weights(WEIGHTS)
        yield k, model


def fit(model: Any, optimizer: Any, *told: Any, epochs: int = 3) -> dict[str, list[float]]:
    model.compile(optimizer, "mse")
    options = {"batch_size": 10, "epochs": epochs, "shuffle": False, "verbose": 0}
    found: dict[str, list[float]] = model.fit(
        X, Y, validation_data=(X[:7], Y[:7]), callbacks=list(told), **options
    ).history
    return found


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_models_are_measured_with_their_averages(keras: Any, swap_on_epoch: bool) -> None:
    histories, weights = [], []
    for k, model in both(keras):
        optimizer = k.optimizers.Adam(0.05, use_ema=True, ema_momentum=0.8)
        histories.append(fit(model, optimizer, k.callbacks.SwapEMAWeights(swap_on_epoch=swap_on_epoch)))
        weights.append(model.get_weights())
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose(histories[1][name], histories[0][name], **CLOSE)
    for ours, theirs in zip(weights[1], weights[0], strict=True):
        np.testing.assert_allclose(ours, theirs, **CLOSE)


@pytest.mark.parametrize(
    "make",
    [
        lambda k: k.optimizers.Adam(0.05, use_ema=True),
        lambda k: k.optimizers.Adam(0.05, amsgrad=True),
        lambda k: k.optimizers.Adamax(0.05),
        lambda k: k.optimizers.Adagrad(0.05),
        lambda k: k.optimizers.SGD(0.05, momentum=0.5),
        lambda k: k.optimizers.RMSprop(0.01, momentum=0.5, centered=True),
        lambda k: k.optimizers.Ftrl(0.05),
        lambda k: k.optimizers.Adam(k.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)),
    ],
)
def test_variables_have_the_same_values(keras: Any, make: Callable[[Any], Any]) -> None:
    found = []
    for k, model in both(keras):
        optimizer = make(k)
        fit(model, optimizer)
        found.append({v.path: np.asarray(v.numpy()) for v in optimizer.variables})
        assert int(optimizer.iterations) == 12
    theirs, ours = found
    for (name, one), (their_name, other) in zip(ours.items(), theirs.items(), strict=True):
        assert name.partition("/")[2].split("_")[-1] == their_name.split("_")[-1].split("/")[-1]
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, **CLOSE)


def test_rates_that_are_set_between_fits_and_functions(keras: Any) -> None:
    losses = []
    for k, model in both(keras):
        rates = {"now": 0.1}
        optimizer = k.optimizers.SGD(0.5)
        optimizer.learning_rate = 0.25
        found = fit(model, optimizer, epochs=1)["loss"]
        optimizer.learning_rate = 0.05
        found += model.fit(X, Y, batch_size=10, shuffle=False, verbose=0).history["loss"]
        optimizer.learning_rate.assign(0.01) if k is keras else model.optimizer.learning_rate.assign(0.01)
        found += model.fit(X, Y, batch_size=10, shuffle=False, verbose=0).history["loss"]
        set_rate = k.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs, rates=rates: rates.update(now=0.1 / (epoch + 1))
        )
        asked = k.optimizers.SGD(lambda rates=rates: rates["now"])
        found += fit(model, asked, set_rate)["loss"]
        losses.append(found)
    np.testing.assert_allclose(losses[1], losses[0], **CLOSE)
