"""Lecture A.5: fully connected networks of two, three and more layers, and the forward pass.

The input does not count as a layer.  A network is sized by its neurons or by its parameters: 3-4-2 has 4 + 2
neurons and 20 weights + 6 biases; 3-4-4-1 has 9 neurons and 32 weights + 9 biases.  The forward pass of the
latter is three lines of NumPy.  (Where a lecture has samples in columns, ours are rows: x W, not W x.)
"""

import argparse

import numpy as np

import fastnn
from fastnn import layers


def network(widths: tuple[int, ...], seed: int = 0) -> fastnn.Sequential:
    """Return a chain of sigmoid layers; ``widths`` begins with the number of inputs."""
    return fastnn.Sequential(
        [fastnn.Input((widths[0],)), *(layers.Dense(units, "sigmoid") for units in widths[1:])],
        dtype="float64",
        seed=seed,
    )


def sigmoid(z: np.ndarray) -> np.ndarray:
    """Return ``1 / (1 + exp(-z))``."""
    return 1 / (1 + np.exp(-z))


def main() -> None:
    """Print sizes of networks, and the 3-layer forward pass beside the lecture's three lines."""
    print("widths             layers  neurons  parameters")
    for widths in ((3, 4, 2), (3, 4, 4, 1), (3, *[8] * 9, 1)):
        name = "-".join(map(str, widths))
        print(f"{name:<21}{len(widths) - 1:4d}{sum(widths[1:]):9d}{network(widths).count_params():12d}")

    model = network((3, 4, 4, 1))
    w1, b1, w2, b2, w3, b3 = model.get_weights()
    x = np.random.default_rng(0).standard_normal((2, 3))  # two rows at once
    h1 = sigmoid(x @ w1 + b1)
    h2 = sigmoid(h1 @ w2 + b2)
    out = sigmoid(h2 @ w3 + b3)
    print("3-4-4-1 by hand:", out[:, 0])
    print("3-4-4-1, ours:  ", model.predict(x)[:, 0])
    model.summary()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="changes nothing: nothing here takes long")
    parser.parse_args()
    main()
