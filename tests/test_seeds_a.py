"""The lectures' part A, computer vision: what `test_seeds.py` has not, by formulas written out in NumPy.

Each test is named after its row.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import activations, datasets, layers, losses, optimizers, regularizers

EXACT = {"rtol": 1e-12, "atol": 1e-15}
POINTS = np.array([-30.0, -3, -1, -0.25, -1e-3, 1e-3, 0.25, 1, 3, 30]).reshape(-1, 1)


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-np.asarray(z, float)))


# --- A.1 activations -----------------------------------------------------------------------------------

CURVES: dict[str, tuple[Callable[[], layers.Layer], Callable[[Any], Any], Callable[[Any], Any]]] = {
    "linear": (lambda: layers.Activation("linear"), lambda x: x, np.ones_like),
    "sigmoid": (lambda: layers.Activation("sigmoid"), sigmoid, lambda x: sigmoid(x) * sigmoid(-x)),
    "tanh": (lambda: layers.Activation("tanh"), np.tanh, lambda x: 1 / np.cosh(x) ** 2),
    "relu": (layers.ReLU, lambda x: np.maximum(0, x), lambda x: (x > 0) * 1.0),
    "leaky": (
        lambda: layers.LeakyReLU(0.1),
        lambda x: np.maximum(0.1 * x, x),
        lambda x: np.where(x > 0, 1, 0.1),
    ),
    "elu": (
        layers.ELU,
        lambda x: np.where(x > 0, x, np.exp(x) - 1),
        lambda x: np.where(x > 0, 1, np.exp(x)),
    ),
    "elu, alpha 0.5": (
        lambda: layers.ELU(0.5),
        lambda x: np.where(x > 0, x, 0.5 * (np.exp(x) - 1)),
        lambda x: np.where(x > 0, 1, 0.5 * np.exp(x)),
    ),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CURVES)
def test_a1_activations_and_their_slopes(name: str, dtype: str) -> None:
    make, value, slope = CURVES[name]
    x = POINTS.astype(dtype)
    model = fastnn.Sequential([fastnn.Input((1,)), make()], dtype=dtype)
    # A slope is computed from the output: near saturation it has the rounding of 1 - y^2.
    single = dtype == "float32"
    bound = {"rtol": 1e-6, "atol": 1e-7} if single else {"rtol": 1e-13, "atol": 1e-16}
    np.testing.assert_allclose(model.predict(x), value(x.astype(float)), **bound)
    bound = {"rtol": 1e-5, "atol": 1e-6} if single else {"rtol": 1e-12, "atol": 1e-15}
    np.testing.assert_allclose(model.input_gradients(x), slope(x.astype(float)), **bound)


def test_a1_the_same_functions_on_arrays() -> None:
    for function, name in (
        (activations.linear, "linear"),
        (activations.sigmoid, "sigmoid"),
        (activations.tanh, "tanh"),
        (activations.relu, "relu"),
        (lambda x: activations.leaky_relu(x, 0.1), "leaky"),
        (activations.elu, "elu"),
    ):
        np.testing.assert_allclose(function(POINTS), CURVES[name][1](POINTS), rtol=1e-13, atol=1e-16)


def test_a1_maxout_is_the_larger_of_two_affine_functions() -> None:
    draw = np.random.default_rng(1)
    w1, b1, w2, b2 = (draw.standard_normal(shape) for shape in ((3, 5), 5, (3, 5), 5))
    x, upstream = draw.standard_normal((8, 3)), draw.standard_normal((8, 5))
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Maxout(5, pieces=2)], dtype="float64")
    model.set_weights([np.hstack([w1, w2]), np.hstack([b1, b2])])
    first, second = x @ w1 + b1, x @ w2 + b2
    assert 0 < (first > second).sum() < first.size
    np.testing.assert_allclose(model.forward(x), np.maximum(first, second), **EXACT)
    gradients = model.backward(upstream)
    d1, d2 = upstream * (first > second), upstream * (first <= second)
    np.testing.assert_allclose(gradients["maxout/kernel"], np.hstack([x.T @ d1, x.T @ d2]), **EXACT)
    np.testing.assert_allclose(gradients["maxout/bias"], np.hstack([d1.sum(0), d2.sum(0)]), **EXACT)
    np.testing.assert_allclose(gradients["input"], d1 @ w1.T + d2 @ w2.T, **EXACT)


# --- A.4 what no line separates ------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "make", [datasets.make_quadrants, datasets.make_ring, datasets.make_islands], ids=lambda f: f.__name__
)
def test_a4_a_small_net_separates_what_no_line_does(make: Callable[..., Any], seed: int) -> None:
    """Measured with seeds 0 to 11: the net 0.988 to 0.999, the linear model 0.39 to 0.64."""

    def accuracy(hidden: tuple[int, ...]) -> float:
        chain = [*(layers.Dense(units, "tanh") for units in hidden), layers.Dense(1, "sigmoid")]
        model = fastnn.Sequential([fastnn.Input((2,)), *chain], seed=seed)
        model.compile(optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
        slower = fastnn.callbacks.LearningRateScheduler(lambda epoch: 0.01 * 0.98**epoch)
        model.fit(*make(4000, seed), batch_size=64, epochs=200, verbose=0, callbacks=[slower])
        return model.evaluate(*make(5000, seed + 1000), return_dict=True)["accuracy"]

    assert accuracy((16, 16)) >= 0.97
    assert accuracy(()) <= 0.7


# --- A.7 the two-layer net -----------------------------------------------------------------------------


def softmax_net(
    w1: Any, b1: Any, w2: Any, b2: Any, x: Any, labels: Any, lam: float
) -> tuple[float, list[Any]]:
    """Return loss and gradients of ReLU, softmax and ``lam * R(W1) + lam * R(W2)``, in NumPy."""
    hidden = np.maximum(0, x @ w1 + b1)
    p = np.exp(hidden @ w2 + b2)
    p /= p.sum(1, keepdims=True)
    loss = -np.log(p[np.arange(len(x)), labels]).mean() + lam * (w1**2).sum() + lam * (w2**2).sum()
    d2 = (p - np.eye(p.shape[1])[labels]) / len(x)
    d1 = d2 @ w2.T * (hidden > 0)
    return loss, [x.T @ d1 + 2 * lam * w1, d1.sum(0), hidden.T @ d2 + 2 * lam * w2, d2.sum(0)]


def problem(seed: int, inputs: int = 4, hidden: int = 10, classes: int = 3, rows: int = 5) -> tuple[Any, ...]:
    """Return weights, rows and labels."""
    draw = np.random.default_rng(seed)
    shapes = ((inputs, hidden), (hidden,), (hidden, classes), (classes,))
    weights = [draw.normal(0, 0.5, shape) for shape in shapes]
    return weights, draw.standard_normal((rows, inputs)), draw.integers(0, classes, rows)


@pytest.mark.parametrize("rows", [1, 5, 64])
@pytest.mark.parametrize("lam", [0.0, 1e-3, 0.1])
def test_a7_two_layers_relu_softmax_and_a_penalty_for_each(lam: float, rows: int) -> None:
    weights, x, labels = problem(7, rows=rows)
    penalty = regularizers.L2(lam)
    model = fastnn.Sequential(
        [
            fastnn.Input((4,)),
            layers.Dense(10, "relu", kernel_regularizer=penalty),
            layers.Dense(3, "softmax", kernel_regularizer=penalty),
        ],
        dtype="float64",
    )
    model.set_weights(weights)
    model.compile("sgd", "sparse_categorical_crossentropy")
    expected_loss, expected = softmax_net(*weights, x, labels, lam)
    loss, gradients = model.loss_and_gradients(x, labels)
    assert loss == pytest.approx(expected_loss, rel=1e-12)
    for found, gradient in zip(gradients.values(), expected, strict=True):
        np.testing.assert_allclose(found, gradient, rtol=1e-11, atol=1e-15)


# --- A.8 the computational graph -----------------------------------------------------------------------


def scalars(*names: str) -> list[Any]:
    return [fastnn.Input((1,), name=name) for name in names]


@pytest.mark.parametrize(
    ("gate", "x", "y", "output", "upstream", "dx", "dy"),
    [
        (layers.Add, 3, 4, 7, 2, 2, 2),
        (layers.Multiply, 2, 3, 6, 5, 15, 10),
        (layers.Maximum, 4, 5, 5, 9, 0, 9),
        (layers.Maximum, 5, 4, 5, 9, 9, 0),
    ],
)
def test_a8_gates(gate: Any, x: int, y: int, output: int, upstream: int, dx: int, dy: int) -> None:
    inputs = scalars("x", "y")
    model = fastnn.Model(inputs, gate()(inputs), dtype="float64")
    assert model.forward([[[x]], [[y]]])[0, 0] == output
    gradients = model.backward([[upstream]])
    assert {name: g[0, 0] for name, g in gradients.items()} == {"x": dx, "y": dy}


def test_a8_a_copy_sums_the_gradients() -> None:
    (x,) = scalars("x")
    one, two = layers.Activation("linear", name="one")(x), layers.Activation("linear", name="two")(x)
    model = fastnn.Model(x, [one, two], dtype="float64")
    assert [float(output[0, 0]) for output in model.forward([[7.0]])] == [7, 7]
    assert model.backward([[[4.0]], [[2.0]]])["x"][0, 0] == 6
    product = fastnn.Model(x, layers.Multiply()([x, x]), dtype="float64")  # both inputs are one value
    assert product.forward([[7.0]])[0, 0] == 49
    assert product.backward()["x"][0, 0] == 14


@pytest.mark.parametrize("upstream", [1.0, -2.5])
@pytest.mark.parametrize("rows", [1, 6])
def test_a8_the_sigmoid_neuron(rows: int, upstream: float) -> None:
    values = {"w1": 2.0, "x1": -1.0, "w2": -3.0, "x2": -2.0, "b": -3.0}  # those of lecture B.2
    w1, x1, w2, x2, b = inputs = scalars(*values)
    products = [layers.Multiply(name="w1 x1")([w1, x1]), layers.Multiply(name="w2 x2")([w2, x2])]
    f = layers.Activation("sigmoid")(layers.Add(name="z")([*products, b]))
    model = fastnn.Model(inputs, f, dtype="float64")
    output = model.forward([np.full((rows, 1), value) for value in values.values()])
    assert output.shape == (rows, 1)
    np.testing.assert_allclose(output, sigmoid(1.0), **EXACT)
    assert round(float(output[0, 0]), 2) == 0.73
    gradients = model.backward(np.full((rows, 1), upstream), wrt=["z", "w1 x1"])
    slope = sigmoid(1.0) * sigmoid(-1.0)
    factors = {"w1": -1, "x1": 2, "w2": -2, "x2": -3, "b": 1, "z": 1, "w1 x1": 1}
    assert set(gradients) == set(factors)
    for name, factor in factors.items():
        np.testing.assert_allclose(gradients[name], np.full((rows, 1), upstream * factor * slope), **EXACT)


# --- A.9 the multiclass SVM ----------------------------------------------------------------------------


def svm(w: Any, lam: float) -> fastnn.Sequential:
    dense = layers.Dense(w.shape[1], use_bias=False, kernel_regularizer=regularizers.L2(lam))
    model = fastnn.Sequential([fastnn.Input((len(w),)), dense], dtype="float64")
    model.set_weights([w])
    model.compile(optimizers.SGD(0.1), losses.MulticlassHinge())
    return model


def test_a9_three_images() -> None:
    """Scores of the CS231n course, which has 2.9, 0 and 12.9, on average 5.27."""
    scores = np.array([[3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]])
    model = svm(np.eye(3), 0.0)
    each = [model.loss_and_gradients(scores[i : i + 1], [i])[0] for i in range(3)]
    np.testing.assert_allclose(each, [2.9, 0, 12.9], rtol=1e-12, atol=1e-15)
    loss, gradients = model.loss_and_gradients(scores, [0, 1, 2])
    assert loss == pytest.approx(15.8 / 3, rel=1e-12)
    upstream = np.array([[-1, 1, 0], [0, 0, 0], [1, 1, -2]]) / 3
    np.testing.assert_allclose(gradients["dense/kernel"], scores.T @ upstream, **EXACT)


@pytest.mark.parametrize("rows", [1, 33])
@pytest.mark.parametrize("lam", [0.0, 0.05])
def test_a9_hinge_loss_and_dw_by_loops(lam: float, rows: int) -> None:
    draw = np.random.default_rng(rows)
    x, w, labels = draw.standard_normal((rows, 7)), draw.standard_normal((7, 4)), draw.integers(0, 4, rows)
    loss, dw = lam * (w**2).sum(), 2 * lam * w
    for row, label in zip(x, labels, strict=True):
        s = row @ w
        for j in range(4):
            margin = s[j] - s[label] + 1
            if j != label and margin > 0:
                loss += margin / rows
                dw[:, j] += row / rows
                dw[:, label] -= row / rows
    model = svm(w, lam)
    found, gradients = model.loss_and_gradients(x, labels)
    assert found == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(gradients["dense/kernel"], dw, rtol=1e-11, atol=1e-14)
    model.train_on_batch(x, labels)
    np.testing.assert_allclose(model.get_weights()[0], w - 0.1 * dw, rtol=1e-11, atol=1e-14)


# --- A.10 no Jacobian ----------------------------------------------------------------------------------

STEP = """
import sys, tracemalloc
import numpy as np
import fastnn
x, y = np.ones((64, 3072), np.float32), np.zeros((64, 4096), np.float32)
small = fastnn.Sequential([fastnn.Input((8,)), fastnn.layers.Dense(8)], seed=0)
small.compile("sgd", "mse")
small.train_on_batch(x[:, :8], y[:, :8])  # imports and threads are not what is measured
tracemalloc.start()
# Zeros: random numbers are drawn in float64, twice the size of the weights.
dense = fastnn.layers.Dense(4096, kernel_initializer="zeros")
model = fastnn.Sequential([fastnn.Input((3072,)), dense])
model.compile("sgd", "mse")
tracemalloc.reset_peak()
before = resident()
model.train_on_batch(x, y)
gradients = tracemalloc.get_traced_memory()[1], resident() - before
print(model.count_params(), *gradients)
"""
RESIDENT = """
def resident():
    with open("/proc/self/status") as stream:
        return next(int(line.split()[1]) * 1024 for line in stream if line.startswith("VmHWM"))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the largest memory of a process is read from /proc")
def test_a10_a_wide_layer_needs_no_jacobian(tmp_path: Path) -> None:
    """Its Jacobian by W would take 206 GB for one row; weights, activations and gradients 103 MB."""
    run = subprocess.run(
        [sys.executable, "-c", RESIDENT + STEP],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        cwd=tmp_path,  # a folder fastnn/ in the working directory would shadow the installed one
    )
    n_weights, traced, grown = map(int, run.stdout.split())
    assert n_weights == 3072 * 4096 + 4096
    needed = 4 * (n_weights + 64 * (3072 + 4096))
    assert needed < 53e6
    assert traced <= 2 * needed
    # What the system counts: beside the weights, which were there, a gradient and buffers of BLAS, and a few
    # pages of what is imported meanwhile.
    assert grown <= 2 * needed + 2_000_000
