"""The table of formulas: it has everything, its slopes are those of its values, and fastnn computes them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from cases import MORE_ACTIVATIONS
from formulas import ACTIVATIONS, LOSSES, NAMED

import fastnn
from fastnn import activations, layers, losses
from fastnn.compiler.plan import Activation

STENCIL = ((-2, 1 / 12), (-1, -2 / 3), (1, 2 / 3), (2, -1 / 12))


def differences(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
    """Return the gradient of ``function(x).sum()`` by differences of order 4."""
    found = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        for offset, weight in STENCIL:
            moved = x.copy()
            moved[index] += 1e-3 * offset
            found[index] += weight * function(moved).sum() / 1e-3
    return found


def test_every_activation_and_every_loss_has_its_row() -> None:
    assert list(ACTIVATIONS) == [activation.name.lower() for activation in Activation]
    found = {name for name, value in vars(losses).items() if isinstance(value, type)}
    found = {name for name in found if issubclass(getattr(losses, name), losses.Loss)} - {
        "Loss",
        "FunctionLoss",
    }
    assert found == set(LOSSES)
    for name in NAMED:
        formula = ACTIVATIONS[name]
        assert (*activations.config_of(name).numbers, 0.0)[0] == formula.alpha


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_compute_their_rows(name: str) -> None:
    formula, rng = ACTIVATIONS[name], np.random.default_rng(4)
    z, dy = formula.draw(rng, (5, 3)), rng.normal(size=(5, 3))
    y = formula(z)
    exact = formula.pull(dy, formula.source(z, y))
    np.testing.assert_allclose(exact, differences(lambda z: dy * formula(z), z), rtol=1e-7, atol=1e-8)
    model = fastnn.Sequential(
        [fastnn.Input((3,)), layers.Activation(MORE_ACTIVATIONS.get(name, name))], dtype="float64"
    )
    np.testing.assert_allclose(model.predict(z), y, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(model.input_gradients(z, dy), exact, rtol=1e-12, atol=1e-14)
    turned = formula(z[:, [1, 2, 0]])[:, [2, 0, 1]]
    np.testing.assert_allclose(turned, y, rtol=1e-14)
    z[:, 0] = 1.0
    assert formula.row_wise == (not np.array_equal(formula(z)[:, 1:], y[:, 1:]))


@pytest.mark.filterwarnings("ignore::fastnn.errors.TrainingWarning")
@pytest.mark.parametrize("name", LOSSES)
def test_losses_compute_their_rows(name: str) -> None:
    formula, rng = LOSSES[name], np.random.default_rng(5)
    y, t = formula.outputs(rng, 6, 4), formula.targets(rng, 6, 4)
    gradient = formula.gradient(y, t)
    np.testing.assert_allclose(gradient, differences(lambda y: formula.value(y, t), y), rtol=1e-7, atol=1e-8)
    assert formula.value(y, t).shape == (6,)
    # The gradient by an identity's kernel is y' dy.
    model = fastnn.Sequential([fastnn.Input((4,)), layers.Dense(4, use_bias=False)], dtype="float64")
    model.compile("sgd", getattr(losses, name)(**formula.arguments))
    model.set_weights([np.eye(4)])
    loss, gradients = model.loss_and_gradients(y, t)
    assert loss == pytest.approx(formula.value(y, t).mean(), rel=1e-12)
    np.testing.assert_allclose(gradients["dense/kernel"], y.T @ gradient / 6, rtol=1e-11, atol=1e-13)
