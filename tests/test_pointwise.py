"""Point-wise losses: values and slopes of every function, weights, threads, NaN, nets of one output."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from formulas import LOSSES

import fastnn
from fastnn import layers, losses
from fastnn._core.executor import STATUSES, Executor
from fastnn.compiler.plan import OpCode, Path
from fastnn.errors import ConfigurationError, NonFiniteWarning
from fastnn.ops import Pointwise

NAMES = [name for name in LOSSES if getattr(losses, name).code is OpCode.POINTWISE_LOSS]
RNG = np.random.default_rng(12)


def identity(columns: int, loss: Any, dtype: str = "float64") -> fastnn.Sequential:
    """Return a model whose outputs are its inputs; the gradient of its bias is the sum of dy."""
    model = fastnn.Sequential([fastnn.Input((columns,)), layers.Dense(columns)], dtype=dtype)
    model.compile("sgd", loss)
    model.set_weights([np.eye(columns), np.zeros(columns)])
    return model


def test_every_function_has_a_loss() -> None:
    several = {Pointwise.QUANTILES}  # the loss of one quantile, and of several
    assert {getattr(losses, name).function for name in NAMES} | several == set(Pointwise)


@pytest.mark.filterwarnings("ignore::fastnn.errors.TrainingWarning")  # probabilities that nothing makes such
@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_rows_are_weighted(name: str, dtype: str, reference: bool) -> None:
    formula = LOSSES[name]
    for rows, columns in ((1, 1), (5, 3), (16, 1), (37, 4), (3, 50)):
        y, t = formula.outputs(RNG, rows, columns), formula.targets(RNG, rows, columns)
        y, t = y.astype(dtype).astype(float), t.astype(dtype).astype(float)
        weights = RNG.uniform(0, 2, rows).astype(dtype)
        tolerance = 1e-12 if dtype == "float64" else 1e-5
        for reduction, factor in (("sum_over_batch_size", rows), ("sum", 1)):
            model = identity(columns, getattr(losses, name)(reduction=reduction), dtype)
            model.compile("sgd", getattr(losses, name)(reduction=reduction), reference=reference)
            loss, gradients = model.loss_and_gradients(y, t, weights)
            assert loss == pytest.approx((weights * formula.value(y, t)).sum() / factor, rel=tolerance)
            exact = (weights[:, None] * formula.gradient(y, t)).sum(0) / factor
            np.testing.assert_allclose(gradients["dense/bias"], exact, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_every_number_of_threads_gives_the_same_bits(name: str) -> None:
    formula, rng = LOSSES[name], np.random.default_rng(3)
    x, found = rng.normal(size=(700, 60)), []
    t = formula.targets(rng, 700, 5)
    for n_threads in (1, 2, 4):
        model = fastnn.Sequential(
            [
                fastnn.Input((60,)),
                layers.Dense(300, "tanh"),
                layers.Dense(5, formula.activation or "sigmoid"),
            ],
            seed=1,
        )
        model.compile("adam", getattr(losses, name)())
        history = model.fit(x, t, batch_size=350, epochs=3, verbose=0, n_threads=n_threads)
        found.append((history.history, [w.tobytes() for w in model.get_weights()]))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_nan_shows(name: str, dtype: str) -> None:
    y = np.full((20, 2), -1.0, dtype)
    model = fastnn.Sequential([fastnn.Input((2,)), layers.Dense(2), layers.Activation("log")], dtype=dtype)
    model.compile("sgd", getattr(losses, name)())
    model.set_weights([np.eye(2), np.zeros(2)])
    t = LOSSES[name].targets(np.random.default_rng(6), 20, 2)
    loss, gradients = model.loss_and_gradients(y, t)
    assert np.isnan(loss)
    assert np.isnan(gradients["dense/bias"]).all()
    with pytest.warns(NonFiniteWarning):
        assert np.isnan(model.train_on_batch(y, t))


@pytest.mark.parametrize("name", NAMES)
def test_nets_of_one_output_run_with_the_batch_as_fast_axis(name: str, simd_level: str) -> None:
    """Their last vector of rows is filled up, and adds nothing."""
    formula, rng = LOSSES[name], np.random.default_rng(8)
    x, t = rng.normal(size=(53, 2)), formula.targets(rng, 53, 1)
    weights = []
    for reference in (False, True):
        model = fastnn.Sequential(
            [fastnn.Input((2,)), layers.Dense(2, "tanh"), layers.Dense(1, formula.activation)], seed=4
        )
        model.compile("sgd", getattr(losses, name)(), metrics=["mse"], reference=reference)
        plan = model.plan(53)
        assert next(op for op in plan.ops if op.code is OpCode.POINTWISE_LOSS).path is Path.COLUMNS
        model.fit(x, t, batch_size=53, epochs=5, verbose=0)
        weights.append(np.concatenate([w.ravel() for w in model.get_weights()]))
    np.testing.assert_allclose(*weights, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore::fastnn.errors.TrainingWarning")
def test_where_the_error_is_0_there_is_no_slope() -> None:
    y = np.array([[0.25, 0.5, 1.0]])
    for name in set(NAMES) - {"Hinge", "SquaredHinge", "Poisson", "BinaryFocalCrossentropy", "KLDivergence"}:
        loss, gradients = identity(3, getattr(losses, name)()).loss_and_gradients(y, y)
        assert loss == pytest.approx(0, abs=1e-15)
        assert (gradients["dense/bias"] == 0).all()


@pytest.mark.parametrize("double", [False, True])
def test_an_unknown_function_stops_the_run(double: bool, simd_level: str) -> None:
    for function, status in [(int(known), "OK") for known in Pointwise] + [
        (-1, "UNKNOWN_OP"),
        (99, "UNKNOWN_OP"),
    ]:
        operands = [None, (0, 1, 0, 2), (0, 1, 64, 2), None]
        op = (
            int(OpCode.POINTWISE_LOSS),
            0,
            0,
            0,
            operands,
            (1.0, 1.0, float(function), 2.0, 1.0, 0.5, 0.0),
            (),
        )
        executor = Executor([op], [(0, 64, [(0, 1, 0, 0)])], [0], double, 0)
        executor.bind(0, np.ones(128, np.float64 if double else np.float32), True)
        found, *_ = executor.run(4, 4, 1, [], np.zeros((1, 1)), np.zeros(8), np.zeros(128, np.uint8))
        assert STATUSES[found] == status


@pytest.mark.parametrize("delta", [0, -1.0, float("inf"), float("nan")])
def test_deltas_of_huber_are_above_0(delta: float) -> None:
    with pytest.raises(ConfigurationError, match="delta must be a finite number above 0"):
        losses.Huber(delta)


def test_huber_is_half_the_square_up_to_delta_and_a_line_beyond() -> None:
    y, t = np.array([[0.5, -2.0, 3.0, 2.0]]), np.zeros((1, 4))
    loss, gradients = identity(4, losses.Huber(2, reduction="sum")).loss_and_gradients(y, t)
    assert loss == pytest.approx((0.125 + 2 + 4 + 2) / 4)
    np.testing.assert_allclose(gradients["dense/bias"], np.array([0.5, -2, 2, 2]) / 4)


@pytest.mark.filterwarnings("ignore::fastnn.errors.TrainingWarning")
def test_logarithms_of_the_whole_range(simd_level: str) -> None:
    """The deviance of a mean of 1 is ``2 (t - 1 - log(t))``, with numbers below the normal range, too."""
    t = np.array([[5e-324, 1e-310, 1e-300, 1e-10, 0.5, 0.7071, 0.7072, 1 - 1e-9, 1.0, 1 + 1e-9, 1.5, 3.0]])
    for i in range(t.size):
        model = identity(1, losses.Gamma())
        value, _ = model.loss_and_gradients(np.ones((1, 1)), t[:, i])
        assert value == pytest.approx(2 * (t[0, i] - 1 - np.log(t[0, i])), rel=1e-14, abs=1e-15), t[0, i]
