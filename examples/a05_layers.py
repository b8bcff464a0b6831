"""Lecture A.5: fully connected networks of two, three and more layers, and the forward pass.

The input does not count as a layer.  (Lecture D, which calls 784-500-10 a perceptron of 3 layers, counts it.)
A network is sized by its neurons or by its parameters: 3-4-2 has 4 + 2 neurons and 20 weights + 6 biases;
3-4-4-1 has 9 neurons and 32 weights + 9 biases.  The forward pass of the latter is three lines of NumPy: a
sigmoid after both hidden layers, none after the output.  (Where a lecture has samples in columns, ours are
rows: x W, not W x.)
"""

import argparse

import numpy as np

import fastnn
from fastnn import layers


def sigmoid(z: np.ndarray) -> np.ndarray:
    """Return ``1 / (1 + exp(-z))``."""
    return 1 / (1 + np.exp(-z))


class Neuron:
    """One neuron with weights of its own, as the lecture compares it to a nerve cell."""

    def __init__(self, weights: np.ndarray, bias: float) -> None:
        self.weights, self.bias = weights, bias

    def forward(self, inputs: np.ndarray) -> float:
        """Return the firing rate, ``sigma(sum(inputs * weights) + bias)``."""
        cell_body_sum = np.sum(inputs * self.weights) + self.bias
        return float(sigmoid(cell_body_sum))


def network(widths: tuple[int, ...], seed: int = 0) -> fastnn.Sequential:
    """Return sigmoid layers with a linear one on top; ``widths`` begins with the number of inputs."""
    hidden = [layers.Dense(units, "sigmoid") for units in widths[1:-1]]
    chain = [fastnn.Input((widths[0],)), *hidden, layers.Dense(widths[-1])]
    return fastnn.Sequential(chain, dtype="float64", seed=seed)


def without_biases(widths: tuple[int, ...], seed: int = 0) -> fastnn.Sequential:
    """Return the lecture's ``W2 max(0, W1 x)``, or ``W3 max(0, W2 max(0, W1 x))``, and so on."""
    hidden = [layers.Dense(units, "relu", use_bias=False) for units in widths[1:-1]]
    chain = [fastnn.Input((widths[0],)), *hidden, layers.Dense(widths[-1], use_bias=False)]
    return fastnn.Sequential(chain, dtype="float64", seed=seed)


def main() -> None:
    """Print sizes of networks, and forward passes beside the lecture's lines."""
    print("widths             layers  neurons  parameters  without biases")
    for widths in ((3, 4, 2), (3, 4, 4, 1), (3, *[8] * 9, 1)):
        biased, unbiased = network(widths).count_params(), without_biases(widths).count_params()
        name = "-".join(map(str, widths))
        print(f"{name:<21}{len(widths) - 1:4d}{sum(widths[1:]):9d}{biased:12d}{unbiased:16d}")

    model = network((3, 4, 4, 1))
    w1, b1, w2, b2, w3, b3 = model.get_weights()
    x = np.random.default_rng(0).standard_normal((2, 3))  # two rows at once
    h1 = sigmoid(x @ w1 + b1)
    h2 = sigmoid(h1 @ w2 + b2)
    out = h2 @ w3 + b3
    print("3-4-4-1 by hand:           ", out[:, 0])
    print("3-4-4-1, ours:             ", model.predict(x)[:, 0])

    model = without_biases((3, 4, 2))
    w1, w2 = model.get_weights()
    print("max(0, x W1) W2 by hand:   ", (np.maximum(0, x @ w1) @ w2)[0])
    print("max(0, x W1) W2, ours:     ", model.predict(x)[0])

    neuron = Neuron(np.array([1.0, -2.0, 0.5]), bias=0.25)
    layer = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(1, "sigmoid")], dtype="float64")
    layer.set_weights([neuron.weights[:, None], [neuron.bias]])
    print("a neuron, the class:       ", np.array([neuron.forward(row) for row in x]))
    print("a neuron, a layer of one:  ", layer.predict(x)[:, 0])
    print()
    network((3, 4, 4, 1)).summary()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="changes nothing: nothing here takes long")
    parser.parse_args()
    main()
