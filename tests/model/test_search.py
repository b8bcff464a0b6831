"""L-BFGS on all rows: the minimum that it finds, what it leaves alone, and how it ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.optimize

import fastnn
from fastnn import layers, losses
from fastnn.errors import ConfigurationError, DataError, DTypeError, NonFiniteWarning
from fastnn.model import search
from fastnn.model.batch import batch_of
from fastnn.model.search import Search
from fastnn.optimizers import minimize_lbfgs

RNG = np.random.default_rng(3)
X = RNG.normal(0, 1, (30, 4))
Y = X @ RNG.normal(0, 1, (4, 2)) + 0.3 + 0.1 * RNG.normal(0, 1, (30, 2))


def linear(dtype: str = "float64", **options: Any) -> fastnn.Sequential:
    model = fastnn.Sequential(
        [fastnn.Input((4,)), layers.Dense(2, kernel_regularizer="l2", **options)], dtype=dtype, seed=0
    )
    model.compile("adam", losses.SquaredError("half_sum"))
    return model


def test_a_ridge_regression_ends_where_algebra_does() -> None:
    """The penalty is 0.01 w², and the loss half the mean of squares."""
    model, weight = linear(), RNG.uniform(0.5, 2, len(X))
    found = minimize_lbfgs(model, X, Y, weight, gradient_tolerance=1e-9, loss_tolerance=0.0)
    design = np.column_stack([X, np.ones(len(X))])
    penalty = np.diag([0.02 * len(X)] * 4 + [0.0])
    exact = np.linalg.solve(design.T @ (weight[:, None] * design) + penalty, design.T @ (weight[:, None] * Y))
    np.testing.assert_allclose(np.vstack(model.get_weights()), exact, atol=1e-7)
    assert found.converged
    assert found.iterations <= found.evaluations
    np.testing.assert_allclose(found.loss, model.evaluate(X, Y, sample_weight=weight), rtol=1e-12)
    assert model.optimizer.iterations == 0


def test_a_net_does_as_well_as_by_scipy_itself_and_frozen_layers_stay() -> None:
    frozen = layers.Dense(3, name="frozen")
    frozen.trainable = False
    chained = [fastnn.Input((4,)), layers.Dense(5, "tanh"), frozen, layers.Dense(2)]
    model = fastnn.Sequential(chained, dtype="float64", seed=0)
    model.compile("adam", "mse")
    first, kept = model.get_weights(), frozen.kernel
    trained = model.trainable_weights
    found = minimize_lbfgs(model, X, Y, max_iterations=20)
    assert np.array_equal(frozen.kernel, kept)
    assert found.loss == model.loss_and_gradients(X, Y)[0]
    model.set_weights(first)

    def function(vector: np.ndarray) -> tuple[float, np.ndarray]:
        parts = np.split(vector, np.cumsum([w.size for w in trained]))
        for weight, part in zip(trained, parts, strict=False):
            weight.assign(part.reshape(weight.shape))
        loss, gradients = model.loss_and_gradients(X, Y)
        return loss, np.concatenate([gradients[w.path].ravel() for w in trained])

    begin = np.concatenate([np.ravel(w) for w in trained])
    options = {"maxiter": 20, "ftol": 1e-9}
    scipys = scipy.optimize.minimize(function, begin, jac=True, method="L-BFGS-B", options=options)
    np.testing.assert_allclose(found.loss, scipys.fun, rtol=1e-9)
    assert (found.iterations, found.evaluations, found.message) == (scipys.nit, scipys.nfev, scipys.message)


def test_a_search_that_is_cut_short_says_so() -> None:
    found = minimize_lbfgs(linear("float32"), X, Y, max_iterations=1, history_size=1)
    assert (found.iterations, found.converged) == (1, False)
    assert "LIMIT" in found.message


def test_an_interruption_leaves_the_best_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen, call = linear(), [], Search.__call__

    def interrupted(self: Search, vector: np.ndarray) -> tuple[float, np.ndarray]:
        if len(seen) == 3:
            call(self, vector + 100.0)
            raise KeyboardInterrupt
        seen.append(call(self, vector)[0])
        return call(self, vector)

    monkeypatch.setattr(Search, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        minimize_lbfgs(model, X, Y)
    assert model.loss_and_gradients(X, Y)[0] == min(seen) < seen[0]


def test_a_loss_that_is_not_finite_ends_it() -> None:
    model = fastnn.Sequential([fastnn.Input((4,)), layers.Dense(2)], seed=0)
    model.compile("adam", "mse")
    before = model.get_flat_weights()
    with pytest.warns(NonFiniteWarning, match="best weights"):
        found = minimize_lbfgs(model, X, Y * 1e30)
    assert not found.converged
    assert np.isnan(found.loss)
    assert np.array_equal(model.get_flat_weights(), before)
    function = Search(model._now, batch_of(model._now, X, Y, None), 0)
    assert function(function.first * 1e300)[0] == np.inf  # no weight for float32
    assert np.array_equal(model.get_flat_weights(), before)


def test_blas_has_one_thread_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[bool] = []

    class Guard:
        def __enter__(self) -> None:
            held.append(True)

        def __exit__(self, *details: object) -> None:
            held.append(False)

    monkeypatch.setattr(search, "blas_single_threaded", Guard)
    minimize_lbfgs(linear(), X, Y, max_iterations=1)
    assert held == [True, False]


def test_what_cannot_be_searched_is_refused() -> None:
    model = linear(kernel_constraint="non_neg")
    before = model.get_flat_weights()
    still = linear()
    still.trainable = False
    still.compile("adam", "mse")
    bare = fastnn.Sequential([fastnn.Input((4,)), layers.Dense(2)])
    for given, y, options, error, message in (
        (model, Y, {}, ConfigurationError, "has a constraint"),
        (still, Y, {}, ConfigurationError, "no weights that are trained"),
        (bare, Y, {}, ConfigurationError, "not compiled"),
        ("model", Y, {}, DTypeError, "model must be"),
        (linear(), Y * np.nan, {}, DataError, "y has"),
        (linear(), Y, {"max_iterations": 0}, ConfigurationError, "max_iterations"),
        (linear(), Y, {"loss_tolerance": -1.0}, ConfigurationError, "loss_tolerance"),
    ):
        with pytest.raises(error, match=message):
            minimize_lbfgs(given, X, y, **options)
    assert np.array_equal(model.get_flat_weights(), before)
