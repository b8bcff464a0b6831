"""The lectures' numbers (shared/seeds.md): as printed there, rounded, and exactly, by NumPy written out.

Each test is named after its row.
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import fastnn
from fastnn import datasets, kernels, layers, losses, optimizers, regularizers

GATE_INPUTS = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
EXACT = {"rtol": 1e-12, "atol": 1e-15}
SUM = losses.MeanSquaredError(reduction="sum")


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-np.asarray(z, float)))


def network(
    weights: list[Any], activations: list[str | None], dtype: str = "float64", **options: Any
) -> fastnn.Sequential:
    """Return a chain with the given weights: kernel and bias of each layer, or a kernel only."""
    biased = len(weights) == 2 * len(activations)
    kernels_ = [np.asarray(w, float) for w in (weights[::2] if biased else weights)]
    chain = [
        layers.Dense(kernel.shape[1], activation, use_bias=biased, **options)
        for kernel, activation in zip(kernels_, activations, strict=True)
    ]
    model = fastnn.Sequential([fastnn.Input((len(kernels_[0]),)), *chain], dtype=dtype)
    model.set_weights(weights)
    return model


# --- A. networks and back-propagation ------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("bias", "truth"), [(-30, [0, 0, 0, 1]), (-10, [0, 1, 1, 1])], ids=["AND", "OR"])
def test_a2_one_neuron_is_a_gate(bias: int, truth: list[int], dtype: str) -> None:
    output = network([[[20], [20]], [bias]], ["sigmoid"], dtype).predict(GATE_INPUTS)[:, 0]
    np.testing.assert_array_equal(output.round(3), truth)
    exact = sigmoid(20 * GATE_INPUTS.sum(1) + bias)
    np.testing.assert_allclose(output, exact, rtol=1e-12 if dtype == "float64" else 1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a3_two_layers_make_xnor(dtype: str) -> None:
    model = network([[[20, -20], [20, -20]], [-30, 10], [[20], [20]], [-10]], ["sigmoid"] * 2, dtype)
    output = model.predict(GATE_INPUTS)[:, 0]
    np.testing.assert_array_equal(output.round(3), [1, 0, 0, 1])
    total = GATE_INPUTS.sum(1)
    exact = sigmoid(20 * sigmoid(20 * total - 30) + 20 * sigmoid(-20 * total + 10) - 10)
    np.testing.assert_allclose(output, exact, rtol=1e-12 if dtype == "float64" else 1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_a3_xnor_is_learned_from_random_weights(seed: int) -> None:
    model = fastnn.Sequential(
        [fastnn.Input((2,)), layers.Dense(8, "tanh"), layers.Dense(1, "sigmoid")], seed=seed
    )
    model.compile(optimizers.Adam(0.05), "binary_crossentropy", metrics=["accuracy"])
    truth = [1, 0, 0, 1]
    history = model.fit(GATE_INPUTS, truth, batch_size=4, epochs=500, verbose=0).history
    assert history["loss"][0] > 0.4
    assert history["loss"][-1] < 0.02
    assert history["accuracy"][-1] == 1
    np.testing.assert_array_equal(model.predict(GATE_INPUTS).round()[:, 0], truth)


@pytest.mark.parametrize("widths", [(3, 4, 2), (3, 4, 4, 1), (5, 7, 1, 6, 3, 2)], ids=str)
def test_a5_networks_of_two_three_and_more_layers(widths: tuple[int, ...]) -> None:
    draw = np.random.default_rng(len(widths))
    weights = []
    for inputs, units in itertools.pairwise(widths):
        weights += [draw.standard_normal((inputs, units)), draw.standard_normal(units)]
    x = draw.standard_normal((6, widths[0]))
    hidden = x
    for kernel, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        hidden = sigmoid(hidden @ kernel + bias)
    scores = hidden @ weights[-2] + weights[-1]
    n_layers = len(widths) - 1
    linear = network(weights, ["sigmoid"] * (n_layers - 1) + [None])
    np.testing.assert_allclose(linear.predict(x), scores, **EXACT)
    closed = network(weights, ["sigmoid"] * n_layers)
    np.testing.assert_allclose(closed.predict(x), sigmoid(scores), **EXACT)
    np.testing.assert_allclose(closed.predict(x[:1]), sigmoid(scores[:1]), **EXACT)
    by_kernels = x
    for kernel, bias in zip(weights[::2], weights[1::2], strict=True):
        by_kernels = kernels.dense_forward(by_kernels, kernel, bias, "sigmoid")
    np.testing.assert_allclose(by_kernels, sigmoid(scores), **EXACT)


A10_X = np.array([[2.0, 1, -3]])
A10_W = np.array([[1.0, 3, 2, 0], [2, -1, 1, 2], [3, 0, 1, 4]])
A10_UPSTREAM = np.array([[4.0, 1, 2, -1]])


def test_a10_matrix_back_propagation_through_the_kernels() -> None:
    y = kernels.dense_forward(A10_X, A10_W)
    np.testing.assert_array_equal(y, [[-5, 5, 2, -10]])
    out = kernels.sigmoid_forward(y)
    np.testing.assert_allclose(out, [[0.007, 0.99, 0.88, 0]], atol=5e-3)  # the lecture cuts 0.993 to 0.99
    dy = kernels.sigmoid_backward(A10_UPSTREAM, out)
    np.testing.assert_allclose(dy, A10_UPSTREAM * sigmoid(y) * (1 - sigmoid(y)), **EXACT)
    np.testing.assert_allclose(dy, [[0.028, 0.01, 0.22, 0]], atol=0.011)  # its sigma' are rounded first

    rounded = np.array([[0.028, 0.01, 0.22, 0]])
    dx, dw, db = kernels.dense_backward(rounded, A10_X, A10_W)
    np.testing.assert_array_equal(dx.round(2), [[0.50, 0.27, 0.30]])
    np.testing.assert_allclose(dx, [[0.498, 0.266, 0.304]], **EXACT)
    np.testing.assert_allclose(
        dw, [[0.056, 0.02, 0.44, 0], [0.028, 0.01, 0.22, 0], [-0.084, -0.03, -0.66, 0]], **EXACT
    )
    np.testing.assert_array_equal(db, rounded[0])

    fused = kernels.dense_backward(A10_UPSTREAM, A10_X, A10_W, out, "sigmoid")
    np.testing.assert_allclose(fused[0], dy @ A10_W.T, **EXACT)
    np.testing.assert_allclose(fused[1], A10_X.T @ dy, **EXACT)


def test_a10_through_the_gradients_of_a_model() -> None:
    model = network([A10_W], ["sigmoid"])
    out = model.predict(A10_X)
    dy = A10_UPSTREAM * out * (1 - out)
    # Squared error has the upstream gradient 2 (y - t) / 4 at four outputs.
    model.compile("sgd", "mse")
    _, gradients = model.loss_and_gradients(A10_X, out - 2 * A10_UPSTREAM)
    np.testing.assert_allclose(gradients["dense/kernel"], A10_X.T @ dy, **EXACT)
    dx = model.input_gradients(A10_X, A10_UPSTREAM)
    np.testing.assert_allclose(dx, dy @ A10_W.T, **EXACT)
    np.testing.assert_allclose(dx, [[0.4665, 0.2564, 0.2896]], atol=5e-5)
    np.testing.assert_allclose(dx, [[0.50, 0.27, 0.30]], atol=0.04)  # from rounded factors


def test_a10_the_linear_part_through_a_model() -> None:
    model = network([A10_W], [None])
    np.testing.assert_array_equal(model.predict(A10_X), [[-5, 5, 2, -10]])
    dx = model.input_gradients(A10_X, [[0.028, 0.01, 0.22, 0]])
    np.testing.assert_array_equal(dx.round(2), [[0.50, 0.27, 0.30]])
    np.testing.assert_allclose(dx, [[0.498, 0.266, 0.304]], **EXACT)


def test_a11_minibatch_with_biases_and_a_regularizer_on_every_layer() -> None:
    draw = np.random.default_rng(11)
    x, labels = draw.standard_normal((200, 5)), draw.integers(0, 3, 200)
    weights = [draw.normal(0, 0.5, s) for s in ((5, 6), (6,), (6, 4), (4,), (4, 3), (3,))]
    lam, rate, size = 0.02, 0.1, 32
    models = [
        network(weights, ["relu", "relu", "softmax"], kernel_regularizer=regularizers.L2(lam))
        for _ in range(2)
    ]
    for model in models:
        model.compile(optimizers.SGD(rate), "sparse_categorical_crossentropy")
    stepwise, whole = models
    w1, b1, w2, b2, w3, b3 = (w.copy() for w in weights)
    for begin in range(0, 200, size):
        rows, t = x[begin : begin + size], np.eye(3)[labels[begin : begin + size]]
        a1 = np.maximum(rows @ w1 + b1, 0)
        a2 = np.maximum(a1 @ w2 + b2, 0)
        scores = np.exp(a2 @ w3 + b3)
        p = scores / scores.sum(1, keepdims=True)
        penalty = lam * sum((w**2).sum() for w in (w1, w2, w3))
        loss = -(t * np.log(p)).sum(1).mean() + penalty
        d3 = (p - t) / len(rows)
        d2 = d3 @ w3.T * (a2 > 0)
        d1 = d2 @ w2.T * (a1 > 0)
        kernels_ = [a.T @ d + 2 * lam * w for a, d, w in ((rows, d1, w1), (a1, d2, w2), (a2, d3, w3))]
        expected = [g for kernel, d in zip(kernels_, (d1, d2, d3), strict=True) for g in (kernel, d.sum(0))]
        _, gradients = stepwise.loss_and_gradients(rows, labels[begin : begin + size])
        for a, b in zip(gradients.values(), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)
        assert stepwise.train_on_batch(rows, labels[begin : begin + size]) == pytest.approx(loss, rel=1e-12)
        for w, g in zip((w1, b1, w2, b2, w3, b3), expected, strict=True):
            w -= rate * g
    whole.fit(x, labels, batch_size=size, shuffle=False, verbose=0)
    for model in models:
        for a, b in zip(model.get_weights(), (w1, b1, w2, b2, w3, b3), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)


# --- B, C, D -------------------------------------------------------------------------------------------


def test_b6_the_twenty_line_network_follows_numpys_loss_curve() -> None:
    """All 2000 steps agree to 6e-15 (measured once); 200 are enough for every day."""
    n_steps, rate = 200, 1e-4
    draw = np.random.default_rng(6)
    x, y = draw.standard_normal((64, 1000)), draw.standard_normal((64, 10))
    start = [draw.standard_normal((1000, 100)), draw.standard_normal((100, 10))]
    w1, w2 = (w.copy() for w in start)
    curve = []
    with threadpool_limits(1):  # NumPy's BLAS threads wait for one another on a busy machine
        for _ in range(n_steps):
            h = sigmoid(x @ w1)
            y_pred = h @ w2
            curve.append(np.square(y_pred - y).sum())
            grad_y = 2.0 * (y_pred - y)
            grad_w2, grad_h = h.T @ grad_y, grad_y @ w2.T
            w1 -= rate * x.T @ (grad_h * h * (1 - h))
            w2 -= rate * grad_w2
    model = network(start, ["sigmoid", None])
    model.compile(optimizers.SGD(rate * 640), "mse")  # a mean over 64 rows and 10 outputs
    history = model.fit(x, y, batch_size=64, epochs=n_steps, verbose=0)
    np.testing.assert_allclose(np.array(history.history["loss"]) * 640, curve, rtol=1e-9)
    assert curve[-1] < 0.3 * curve[0]
    for a, b in zip(model.get_weights(), (w1, w2), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("m", [1, 2, 7])
@pytest.mark.parametrize("inputs", [1, 3])
@pytest.mark.parametrize("outputs", [1, 2])
def test_c_logistic_regression_in_one_layer(m: int, inputs: int, outputs: int) -> None:
    """The lecture has one output; ours with n of them is a mean over them, so 1 / n of its sums."""
    draw = np.random.default_rng(m)
    x, d = draw.standard_normal((m, inputs)), draw.integers(0, 2, (m, outputs)).astype(float)
    w, b = draw.standard_normal((inputs, outputs)), draw.standard_normal(outputs)
    model = network([w, b], ["sigmoid"])
    model.compile("sgd", "binary_crossentropy")
    y = sigmoid(x @ w + b)
    loss, gradients = model.loss_and_gradients(x, d)
    assert loss == pytest.approx((-d * np.log(y) - (1 - d) * np.log(1 - y)).mean(), rel=1e-12)
    dv = y - d
    assert gradients["dense/kernel"].shape == w.shape
    assert gradients["dense/bias"].shape == b.shape
    np.testing.assert_allclose(gradients["dense/kernel"], x.T @ dv / (m * outputs), rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose(gradients["dense/bias"], dv.sum(0) / (m * outputs), rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("m", [1, 5])
@pytest.mark.parametrize("inputs", [1, 4])
@pytest.mark.parametrize("hidden", [1, 3])
def test_c_two_layers_with_binary_crossentropy(m: int, inputs: int, hidden: int) -> None:
    draw = np.random.default_rng(m)
    x, d = draw.standard_normal((m, inputs)), draw.integers(0, 2, (m, 1)).astype(float)
    w1, b1 = draw.standard_normal((inputs, hidden)), draw.standard_normal(hidden)
    w2, b2 = draw.standard_normal((hidden, 1)), draw.standard_normal(1)
    model = network([w1, b1, w2, b2], ["sigmoid", "sigmoid"])
    model.compile(optimizers.SGD(0.5), "binary_crossentropy")
    y1 = sigmoid(x @ w1 + b1)
    y = sigmoid(y1 @ w2 + b2)
    dv2 = y - d
    dv1 = dv2 @ w2.T * y1 * (1 - y1)
    expected = [x.T @ dv1 / m, dv1.sum(0) / m, y1.T @ dv2 / m, dv2.sum(0) / m]
    loss, gradients = model.loss_and_gradients(x, d)
    assert loss == pytest.approx((-d * np.log(y) - (1 - d) * np.log(1 - y)).mean(), rel=1e-12)
    for found, gradient, weight in zip(gradients.values(), expected, model.get_weights(), strict=True):
        assert found.shape == gradient.shape == weight.shape
        np.testing.assert_allclose(found, gradient, rtol=1e-11, atol=1e-15)
    model.fit(x, d, batch_size=m, verbose=0)
    for after, before, gradient in zip(model.get_weights(), (w1, b1, w2, b2), expected, strict=True):
        np.testing.assert_allclose(after, before - 0.5 * gradient, rtol=1e-11, atol=1e-15)


def test_d3_mnist_in_three_epochs(mnist_folder: Path) -> None:
    """Measured with seeds 0 to 4: 0.9394 to 0.9419.  The 20 epochs of the lecture run elsewhere."""
    (x, y), (x_test, y_test) = datasets.load_mnist(mnist_folder)
    model = fastnn.Sequential(
        [fastnn.Input((784,)), layers.Dense(500, "relu"), layers.Dense(10, "softmax")], seed=0
    )
    model.compile(optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, batch_size=200, epochs=3, verbose=0).history
    assert model.optimizer.iterations == 3 * 300
    assert history["loss"] == sorted(history["loss"], reverse=True)
    accuracy = model.evaluate(x_test, y_test, verbose=0)[1]
    assert accuracy == (model.predict(x_test).argmax(1) == y_test).mean()
    assert accuracy >= 0.935


# --- E. for beginners ----------------------------------------------------------------------------------


def test_e1_gradient_descent_on_a_linear_neuron() -> None:
    draw = np.random.default_rng(1)
    x, w = draw.standard_normal((25, 3)), draw.standard_normal(3)
    y, rate = x @ [1.0, -2.0, 3.0], 0.1
    model = network([w[:, None]], [None])
    model.compile(optimizers.SGD(rate / 2), "mse")  # whose gradient is 2 (yhat - y) x
    for row, target in zip(x, y, strict=True):
        w = w - rate * (w @ row - target) * row
    model.fit(x, y, batch_size=1, shuffle=False, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0][:, 0], w, **EXACT)
    model.fit(x, y, batch_size=1, epochs=40, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0][:, 0], [1, -2, 3], rtol=1e-6)


def test_e2_one_step_by_hand() -> None:
    x, w_ih, w_ho, y, rate = np.array([[0.1, 0.3]]), np.array([[0.4], [-0.2]]), np.array([[0.1]]), 1.0, 0.5
    h = kernels.dense_forward(x, w_ih)
    a = kernels.sigmoid_forward(h)
    assert h[0, 0] == pytest.approx(-0.02, rel=1e-12)
    assert round(a[0, 0], 3) == 0.495
    model = network([w_ih, w_ho], ["sigmoid", "sigmoid"])
    y_hat = model.predict(x)[0, 0]
    assert round(y_hat, 3) == 0.512
    assert y_hat == pytest.approx(1 / (1 + math.exp(-0.1 / (1 + math.exp(0.02)))), rel=1e-14)

    output_term = (y - y_hat) * y_hat * (1 - y_hat)
    hidden_term = output_term * 0.1 * a[0, 0] * (1 - a[0, 0])
    assert round(output_term, 3) == 0.122
    assert round(hidden_term, 3) == 0.003
    model.compile(optimizers.SGD(rate / 2), "mse")  # (y - yhat)^2, not half of it
    _, gradients = model.loss_and_gradients(x, [[y]])
    np.testing.assert_allclose(gradients["dense_1/kernel"], [[-2 * output_term * a[0, 0]]], **EXACT)
    np.testing.assert_allclose(gradients["dense/kernel"], -2 * hidden_term * x.T, **EXACT)
    model.train_on_batch(x, [[y]])
    step_ih, step_ho = (
        after - before for after, before in zip(model.get_weights(), (w_ih, w_ho), strict=True)
    )
    assert round(step_ho[0, 0], 4) == 0.0302
    by_the_lecture = rate * round(hidden_term, 3) * x[0]  # which goes on with the rounded term
    assert by_the_lecture.round(5).tolist() == [0.00015, 0.00045]
    np.testing.assert_allclose(step_ih[:, 0], [0.00015, 0.00045], atol=1e-5)
    assert step_ho[0, 0] == pytest.approx(rate * output_term * a[0, 0], rel=1e-12)
    np.testing.assert_allclose(step_ih[:, 0], rate * hidden_term * x[0], rtol=1e-10)


@pytest.mark.parametrize("m", [1, 2, 10, 33])
def test_e5_shapes_of_gradients_are_those_of_weights(m: int) -> None:
    model = fastnn.Sequential(
        [fastnn.Input((3,)), *(layers.Dense(units, "sigmoid") for units in (4, 2, 1))], seed=5
    )
    model.compile(optimizers.SGD(0.1), SUM)
    draw = np.random.default_rng(m)
    x, y = draw.standard_normal((m, 3)), draw.random((m, 1))
    assert [w.shape for w in model.get_weights()] == [(3, 4), (4,), (4, 2), (2,), (2, 1), (1,)]
    _, gradients = model.loss_and_gradients(x, y)
    assert [g.shape for g in gradients.values()] == [w.shape for w in model.get_weights()]
    assert model.input_gradients(x).shape == x.shape
    before = model.get_weights()
    model.train_on_batch(x, y)
    for old, new, gradient in zip(before, model.get_weights(), gradients.values(), strict=True):
        np.testing.assert_allclose(new, old - 0.1 * gradient, rtol=1e-4, atol=1e-6)
        assert np.abs(gradient).max() > 0
