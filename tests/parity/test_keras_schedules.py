"""Schedules of the learning rate and decay of weights: the same as Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers, optimizers
from fastnn.regularizers import L2

# Keras hands its variables to NumPy in a way that NumPy 2 warns about; that is not ours to fix.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture
def keras(peer: Any) -> Any:
    return peer("keras")


ARGUMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "exponential": ("ExponentialDecay", {"decay_steps": 7, "decay_rate": 0.5}),
    "exponential stairs": ("ExponentialDecay", {"decay_steps": 7, "decay_rate": 0.5, "staircase": True}),
    "inverse": ("InverseTimeDecay", {"decay_steps": 5, "decay_rate": 0.7}),
    "inverse stairs": ("InverseTimeDecay", {"decay_steps": 5, "decay_rate": 0.7, "staircase": True}),
    "polynomial": ("PolynomialDecay", {"decay_steps": 12, "end_learning_rate": 0.01, "power": 2.0}),
    "polynomial again": ("PolynomialDecay", {"decay_steps": 6, "cycle": True}),
    "restarts": ("CosineDecayRestarts", {"first_decay_steps": 7, "alpha": 0.1, "m_mul": 0.5}),
    "restarts alike": ("CosineDecayRestarts", {"first_decay_steps": 9, "t_mul": 1.0, "m_mul": 0.9}),
    "restarts slower": ("CosineDecayRestarts", {"first_decay_steps": 6, "t_mul": 1.3}),
    "cosine": ("CosineDecay", {"decay_steps": 15, "alpha": 0.1}),
    "cosine warm": ("CosineDecay", {"decay_steps": 15, "warmup_target": 0.12, "warmup_steps": 6}),
}
OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {"weight_decay": 0.1}),
    "momentum": ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    "adam": ("Adam", {"weight_decay": 0.05, "epsilon": 1e-3}),
    "adamw": ("AdamW", {"epsilon": 1e-3}),
    "adamw much": ("AdamW", {"weight_decay": 0.5, "epsilon": 1e-3}),
    "adagrad": ("Adagrad", {"weight_decay": 0.1}),
    "adagrad late": ("Adagrad", {"initial_accumulator_value": 2.0}),
    "rmsprop": ("RMSprop", {"weight_decay": 0.1, "epsilon": 1e-3}),
}


def both(keras: Any, name: str) -> tuple[Any, Any]:
    cls, arguments = ARGUMENTS[name]
    return (
        getattr(optimizers.schedules, cls)(0.1, **arguments),
        getattr(keras.optimizers.schedules, cls)(0.1, **arguments),
    )


@pytest.mark.parametrize("name", ARGUMENTS)
def test_rates(keras: Any, name: str) -> None:
    ours, theirs = both(keras, name)
    exact = [float(theirs(step)) for step in range(40)]
    # Keras computes in float32, where the place in a long wave is rounded.
    tolerance = 2e-5 if "restarts" in name else 2e-6
    np.testing.assert_allclose(ours.rates(0, 40), exact, rtol=tolerance, atol=1e-8)


@pytest.mark.parametrize("linear", [False, True])
def test_one_cycle_is_that_of_torch(peer: Any, linear: bool) -> None:
    torch = peer("torch")
    stepper = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)
    strategy = "linear" if linear else "cos"
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        stepper, 0.2, 30, pct_start=0.25, anneal_strategy=strategy, div_factor=10.0, final_div_factor=100.0
    )
    exact = []
    for step in range(30):
        exact.append(stepper.param_groups[0]["lr"])
        stepper.step()
        if step < 29:
            theirs.step()
    ours = optimizers.schedules.OneCycle(0.2, 30, 0.25, 10.0, 100.0, linear)
    np.testing.assert_allclose(ours.rates(0, 30), exact, rtol=1e-12)
    assert ours(40) == ours(29)


def test_pieces(keras: Any) -> None:
    boundaries, values = [3, 9], [0.1, 0.05, 0.02]
    ours = optimizers.schedules.PiecewiseConstantDecay(boundaries, values)
    theirs = keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, values)
    np.testing.assert_allclose(ours.rates(0, 15), [float(theirs(step)) for step in range(15)], rtol=1e-6)


@pytest.mark.parametrize("schedule", ["exponential", "cosine warm", None])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_fifty_steps(keras: Any, name: str, schedule: str | None) -> None:
    """A net with a regulariser, 50 steps in epochs with a short batch, both in float64."""
    cls, arguments = OPTIMIZERS[name]
    ours_rate, their_rate = both(keras, schedule) if schedule else (0.05, 0.05)
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (34, 3))
    y = np.sin(x.sum(1, keepdims=True))
    ours = fastnn.Sequential(
        [
            fastnn.Input((3,)),
            layers.Dense(5, "tanh", kernel_regularizer=L2(0.02)),
            layers.Dense(1),
        ],
        dtype="float64",
        seed=0,
    )
    ours.compile(getattr(optimizers, cls)(ours_rate, **arguments), "mse")
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        theirs = keras.Sequential(
            [
                keras.Input((3,)),
                keras.layers.Dense(5, "tanh", kernel_regularizer=keras.regularizers.L2(0.02)),
                keras.layers.Dense(1),
            ]
        )
        theirs.set_weights(ours.get_weights())
        theirs.compile(getattr(keras.optimizers, cls)(their_rate, **arguments), "mse")
        found = ours.fit(x, y, batch_size=8, epochs=10, shuffle=False, verbose=0)
        exact = theirs.fit(x, y, batch_size=8, epochs=10, shuffle=False, verbose=0)
    finally:
        keras.config.set_dtype_policy(policy)
    np.testing.assert_allclose(found.history["loss"], exact.history["loss"], rtol=1e-6)
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)
