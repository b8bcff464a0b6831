"""Tests of the NumPy contender against a plain network in double precision and finite differences.

The reference below shares nothing with the contender: no analytic gradient, no buffers, no scaling.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, get_args

import numpy as np
import pytest
from formulas import ACTIVATIONS
from numpy.typing import NDArray

from fastnn.benchmark.rivals.numpy_ import NumpyRival
from fastnn.benchmark.workloads import WORKLOADS, Workload, find_workloads, make_data, make_weights

Array = NDArray[np.float64]
Optimizer = Literal["sgd", "adam"]

# Central differences of order 4: offsets and weights.
STENCIL = ((-2, 1 / 12), (-1, -2 / 3), (1, 2 / 3), (2, -1 / 12))


def small(workload: Workload, optimizer: Optimizer) -> Workload:
    """Return a workload of the same form, small enough for finite differences of every weight."""
    return dataclasses.replace(
        workload,
        widths=tuple(min(width, limit) for width, limit in zip(workload.widths, (6, 5, 4, 3), strict=False)),
        batch=min(workload.batch, 10),
        optimizer=optimizer,
        learning_rate={"sgd": 0.2, "adam": 0.01}[optimizer],
    )


SMALL = [
    pytest.param(small(workload, optimizer), id=f"{workload.name}-{optimizer}")
    for workload in WORKLOADS
    for optimizer in get_args(Optimizer)
]
BOTH_LOSSES = [small(workload, workload.optimizer) for workload in find_workloads(["bike", "tabular"])]
by_loss = pytest.mark.parametrize("workload", BOTH_LOSSES, ids=lambda workload: workload.loss)


def reference_loss(workload: Workload, weights: list[Array], x: Array, y: Array) -> float:
    """Return the loss of one batch in double precision."""
    for kernel, bias, activation in zip(weights[0::2], weights[1::2], workload.activations, strict=True):
        x = ACTIVATIONS[activation](x @ kernel + bias)
    if workload.loss == "mse":
        return float(np.mean((x - y) ** 2))
    return float(np.mean(-np.log(x[np.arange(len(x)), y.astype(int)])))


def reference_gradients(workload: Workload, weights: list[Array], x: Array, y: Array) -> list[Array]:
    """Return the gradients of `reference_loss` by finite differences."""
    h = 1e-3
    gradients = [np.zeros_like(weight) for weight in weights]
    for weight, gradient in zip(weights, gradients, strict=True):
        for index in np.ndindex(weight.shape):
            kept = weight[index]
            for offset, factor in STENCIL:
                weight[index] = kept + offset * h
                gradient[index] += factor * reference_loss(workload, weights, x, y) / h
            weight[index] = kept
    return gradients


def reference_training(workload: Workload, weights: list[Array], x: Array, y: Array) -> list[float]:
    """Train for one epoch in place, by the formulas as Keras states them; return the batch losses."""
    beta_1, beta_2, epsilon = 0.9, 0.999, 1e-7
    ms, vs = ([np.zeros_like(weight) for weight in weights] for _ in range(2))
    losses = []
    for t, start in enumerate(range(0, len(x), workload.batch), start=1):
        batch = slice(start, start + workload.batch)
        losses.append(reference_loss(workload, weights, x[batch], y[batch]))
        gradients = reference_gradients(workload, weights, x[batch], y[batch])
        alpha = workload.learning_rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        for weight, gradient, m, v in zip(weights, gradients, ms, vs, strict=True):
            if workload.optimizer == "sgd":
                weight -= workload.learning_rate * gradient
            else:
                m += (gradient - m) * (1 - beta_1)
                v += (gradient**2 - v) * (1 - beta_2)
                weight -= alpha * m / (np.sqrt(v) + epsilon)
    return losses


def start(workload: Workload, n_batches: int) -> tuple[list[NDArray[np.float32]], NDArray[np.float32], Array]:
    """Return weights with biases that are not zero, and data."""
    weights = make_weights(workload, seed=5)
    rng = np.random.default_rng(6)
    for bias in weights[1::2]:
        bias += rng.uniform(0.05, 0.3, bias.shape).astype(np.float32)
    return weights, *make_data(workload, n_batches, seed=7)


@pytest.mark.parametrize("workload", SMALL)
@pytest.mark.parametrize("n_batches", [1, 4])
def test_training_equals_double_precision(workload: Workload, n_batches: int) -> None:
    """Weights and losses after one and after four steps are those of the plain formulas."""
    weights, x, y = start(workload, n_batches)
    expected = [weight.astype(np.float64) for weight in weights]
    losses = reference_training(workload, expected, x.astype(np.float64), y)

    rival = NumpyRival(workload, weights, x, y)
    assert rival.run_epochs(1) == pytest.approx(np.mean(losses), rel=2e-6)
    for before, after, target in zip(weights, rival.get_weights(), expected, strict=True):
        assert after.dtype == np.float32
        assert after.shape == before.shape
        # Rounding of the weights themselves, and of gradients that are small differences of large terms.
        np.testing.assert_allclose(after, target, rtol=0, atol=1e-6 + 2e-4 * np.abs(target - before).max())


@by_loss
def test_state_is_kept_between_calls(workload: Workload) -> None:
    """Three epochs in one call or in three give the same bits, and the loss of the last one."""
    weights, x, y = start(workload, n_batches=3)
    at_once, one_by_one = (NumpyRival(workload, weights, x, y) for _ in range(2))
    losses = [one_by_one.run_epochs(1) for _ in range(3)]
    assert at_once.run_epochs(3) == losses[-1]
    assert losses[0] > losses[1] > losses[2]
    for first, second in zip(at_once.get_weights(), one_by_one.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


@by_loss
def test_inputs_are_left_alone(workload: Workload) -> None:
    """Neither weights nor data given are written to, nor do results share memory with the state."""
    weights, x, y = start(workload, n_batches=2)
    given: list[NDArray[Any]] = [*weights, x, y]
    kept = [array.copy() for array in given]
    rival = NumpyRival(workload, weights, x, y)
    rival.get_weights()[0][:] = np.nan
    assert np.isfinite(rival.run_epochs(2))
    for array, copy in zip(given, kept, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_cross_entropy_of_large_scores_is_finite() -> None:
    """Scores of a thousand neither overflow nor make a loss of infinity."""
    (mnist,) = find_workloads(["mnist"])
    workload = dataclasses.replace(mnist, widths=(1, 3), batch=2, learning_rate=1e-3)
    weights = [np.array([[0, 0, 1000]], np.float32), np.zeros(3, np.float32)]
    x, y = np.ones((2, 1), np.float32), np.array([0, 2])
    rival = NumpyRival(workload, weights, x, y)
    assert rival.run_epochs(1) == pytest.approx(500)
    np.testing.assert_allclose(rival.get_weights()[1], [5e-4, 0, -5e-4], atol=1e-9)


def test_epsilon_is_outside_the_root() -> None:
    """A gradient as small as epsilon makes the step that Keras's formula gives, and not a full one."""
    (policy,) = find_workloads(["policy1"])
    workload = dataclasses.replace(policy, widths=(1, 1), batch=4, learning_rate=0.1)
    x, y = np.full((4, 1), 5e-8, np.float32), np.full((4, 1), -1, np.float32)
    rival = NumpyRival(workload, [np.zeros((1, 1), np.float32), np.zeros(1, np.float32)], x, y)
    rival.run_epochs(1)
    root = 1e-7 * 0.001**0.5  # of v, for a gradient of 2 * 5e-8
    kernel, bias = rival.get_weights()
    assert kernel.item() == pytest.approx(-0.1 * root / (root + 1e-7), rel=1e-5)
    assert bias.item() == pytest.approx(-0.1, rel=1e-5)


def test_losses_move_before_they_are_compared() -> None:
    """Every workload learns within the epochs after which the referee compares losses."""
    for workload in WORKLOADS:
        if workload.name in ("wide", "smallmlp"):  # seconds of work; the same code with other sizes
            continue
        rival = NumpyRival(workload, make_weights(workload), *make_data(workload, n_batches=16))
        first = rival.run_epochs(1)
        assert rival.run_epochs(2) < 0.99 * first, workload.name


def test_wrong_shapes_are_refused() -> None:
    """Short batches, another network's weights and no epochs raise."""
    workload = BOTH_LOSSES[0]
    weights, x, y = start(workload, n_batches=2)
    with pytest.raises(ValueError, match="whole batches"):
        NumpyRival(workload, weights, x[:-1], y[:-1])
    with pytest.raises(ValueError, match="needs weights of shapes"):
        NumpyRival(workload, weights[2:], x, y)
    with pytest.raises(ValueError, match="at least 1 epoch, got 0"):
        NumpyRival(workload, weights, x, y).run_epochs(0)


def test_threads_limits_blas() -> None:
    """Inside the context, BLAS has one thread; afterwards as many as before."""
    from threadpoolctl import threadpool_info

    def blas_threads() -> list[int]:
        return [info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas"]

    before = blas_threads()
    with NumpyRival.threads(1):
        assert set(blas_threads()) <= {1}
    assert blas_threads() == before
    assert NumpyRival.thread_counts(1) == (1,)
    assert NumpyRival.thread_counts(8) == (1, 8)
