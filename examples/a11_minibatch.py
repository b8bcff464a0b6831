"""Lecture A.11: minibatch back-propagation through several layers, with biases and a regulariser.

All rows of a batch go through the network at once.  Back again, layer by layer: ``dW = a^T d + 2 lambda W``,
``db = the sum of the rows of d``, and ``d W^T`` times the slope of the activation is the d of the layer
below.  The loop below is all of it; `fit` does the same.
"""

import argparse

import numpy as np

import fastnn
from fastnn import layers

LAM, RATE, BATCH = 1e-3, 0.1, 32


def network(widths: tuple[int, ...], seed: int) -> fastnn.Sequential:
    """Return ReLU layers, the last one softmax, each with a bias and an L2 penalty on its kernel."""
    functions = ["relu"] * (len(widths) - 2) + ["softmax"]
    chain = [
        layers.Dense(units, function, kernel_regularizer=fastnn.regularizers.L2(LAM))
        for units, function in zip(widths[1:], functions, strict=True)
    ]
    model = fastnn.Sequential([fastnn.Input((widths[0],)), *chain], dtype="float64", seed=seed)
    model.compile(fastnn.optimizers.SGD(RATE), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def step(weights: list[np.ndarray], x: np.ndarray, labels: np.ndarray) -> None:
    """Make one step of gradient descent in NumPy; the weights are kernel, bias, kernel, bias, ..."""
    outputs = [x]
    for kernel, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        outputs.append(np.maximum(0, outputs[-1] @ kernel + bias))
    p = np.exp(outputs[-1] @ weights[-2] + weights[-1])
    d = p / p.sum(axis=1, keepdims=True)
    d[np.arange(len(x)), labels] -= 1
    d /= len(x)
    for k in reversed(range(len(outputs))):
        kernel, bias = weights[2 * k], weights[2 * k + 1]
        dw, db = outputs[k].T @ d + 2 * LAM * kernel, d.sum(axis=0)
        d = d @ kernel.T * (outputs[k] > 0)  # before the kernel changes
        kernel -= RATE * dw
        bias -= RATE * db


def main(epochs: int = 20) -> None:
    """Train a 64-40-30-10 net on digits in NumPy and with fit, and print how far apart they end."""
    (x, labels), test = fastnn.datasets.load_digits()
    x = x.astype(float)
    model = network((64, 40, 30, 10), seed=0)
    print("back-propagation against finite differences:")
    print(fastnn.gradcheck(model, x[:BATCH], labels[:BATCH]))
    weights = model.get_weights()
    for _ in range(epochs):
        for begin in range(0, len(x), BATCH):
            step(weights, x[begin : begin + BATCH], labels[begin : begin + BATCH])
    history = model.fit(x, labels, batch_size=BATCH, epochs=epochs, shuffle=False, verbose=0).history
    apart = max(np.abs(a - b).max() for a, b in zip(weights, model.get_weights(), strict=True))
    first, *_, last = history["loss"]
    print(f"{epochs} epochs, batches of {BATCH}: loss from {first:.3f} to {last:.3f}")
    print(f"weights of the NumPy loop and of fit differ by at most {apart:.0e}")
    print(f"test accuracy {model.evaluate(*test)[1]:.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="2 epochs instead of 20")
    main(epochs=2 if parser.parse_args().quick else 20)
