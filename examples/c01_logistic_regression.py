"""C: logistic regression is one sigmoid neuron with binary cross-entropy.

L(y, d) = -d log y - (1 - d) log(1 - y) with y = sigma(v), v = w x + b.  The derivative of the sigmoid cancels
what the logarithm brings in: dv = y - d, dW = dv x^T, db = dv, and for a minibatch 1/m of the sums.

The lecture has samples in columns, X of shape (inputs, m); here they are rows, (m, inputs), so that
V = X W + b, dW = X^T dV / m, and W is the transpose of the lecture's.

What is needed of matrix calculus is one line: the derivative of A x by x is A^T, in the layout in which rows
follow the variable, so that an upstream gradient goes back through A x as A^T times it.
"""

import argparse

import numpy as np

import fastnn
from fastnn.layers import Dense


def derivative_of_ax(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the derivative of ``A x`` by x: entry (i, j) is that of output j by input i."""
    outputs, inputs = a.shape
    layer = fastnn.Sequential([fastnn.Input((inputs,)), Dense(outputs, use_bias=False)], dtype="float64")
    layer.set_weights([a.T])  # x is a row here, so that the kernel stands on its right
    each_output = np.eye(outputs)
    return layer.input_gradients(np.tile(x, (outputs, 1)), each_output).T


def main(quick: bool) -> None:
    """Compare loss and gradients with the lecture's formulas, then train to separate two clouds."""
    a, point = np.array([[1.0, 2, 3], [4, 5, 6]]), np.array([0.5, -1, 2])
    derivative = derivative_of_ax(a, point)
    print("the derivative of A x by x is A^T: of", *a, "it is", *derivative, sep="\n    ")
    np.testing.assert_array_equal(derivative, a.T)

    draw = np.random.default_rng(0)
    m, inputs = 5000, 3
    d = draw.integers(0, 2, (m, 1)).astype(float)
    x = draw.standard_normal((m, inputs)) + (2 * d - 1) * [1.0, 0.5, 0.0]  # the last feature says nothing

    model = fastnn.Sequential([fastnn.Input((inputs,)), Dense(1, "sigmoid")], dtype="float64", seed=0)
    model.compile(fastnn.optimizers.SGD(1.0), "binary_crossentropy", metrics=["accuracy"])
    w, b = model.get_weights()

    v = x @ w + b
    y = 1 / (1 + np.exp(-v))
    dv = y - d
    by_formula = {
        "loss": np.mean(-d * np.log(y) - (1 - d) * np.log(1 - y)),
        "dense/kernel": x.T @ dv / m,
        "dense/bias": dv.sum(0) / m,
    }
    loss, gradients = model.loss_and_gradients(x, d)
    print("before training: loss and gradients by the lecture's formulas, and by fastnn")
    for name, ours in ({"loss": loss} | gradients).items():
        print(f"  {name:13} {np.ravel(by_formula[name]).round(6)}  {np.ravel(ours).round(6)}")
        np.testing.assert_allclose(ours, by_formula[name], rtol=1e-10, atol=1e-14)

    print("dimensions: v", v.shape, " dv", dv.shape, " W", w.shape, " dW", gradients["dense/kernel"].shape)
    assert dv.shape == v.shape
    assert gradients["dense/kernel"].shape == w.shape
    assert gradients["dense/bias"].shape == b.shape

    epochs = 20 if quick else 500
    history = model.fit(x, d, batch_size=m, epochs=epochs, verbose=0).history
    print(f"after {epochs} steps: loss {history['loss'][-1]:.4f}, accuracy {history['accuracy'][-1]:.3f}")
    print(
        "weights", model.get_weights()[0][:, 0].round(2), " the best possible: [2. 1. 0.], twice the centre"
    )
    assert history["loss"][-1] < history["loss"][0]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="20 steps instead of 500")
    main(parser.parse_args().quick)
