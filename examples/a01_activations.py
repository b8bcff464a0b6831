"""Lecture A.1: the activation functions, their values and their slopes.

Without a nonlinear function between its layers a deep network is one linear map.  These are the
candidates: sigmoid and tanh saturate at both ends, where their slope is next to nothing; ReLU does not for
positive inputs; leaky ReLU and ELU keep a slope for negative ones; maxout learns its own shape as the larger
of two lines.
"""

import argparse

import numpy as np

import fastnn
from fastnn import layers


def formulas(x: np.ndarray) -> dict[str, tuple[layers.Layer, np.ndarray]]:
    """Return a layer for every activation, and what the lecture's formula gives."""
    return {
        "linear": (layers.Activation("linear"), x),
        "sigmoid": (layers.Activation("sigmoid"), 1 / (1 + np.exp(-x))),
        "tanh": (layers.Activation("tanh"), np.tanh(x)),
        "ReLU": (layers.ReLU(), np.maximum(0, x)),
        "leaky ReLU": (layers.LeakyReLU(0.1), np.maximum(0.1 * x, x)),  # Keras's default slope is 0.3
        "ELU": (layers.ELU(), np.where(x > 0, x, np.exp(x) - 1)),
        "maxout": (layers.Maxout(1, pieces=2), np.maximum(-0.5 * x + 1, 2 * x - 1)),
    }


def main(points: int = 1001) -> None:
    """Print values and slopes at a few points, and the largest distance from the formulas at many."""
    few = np.array([[-2.0], [-1.0], [0.5], [2.0]])
    many = np.linspace(-5, 5, points).reshape(-1, 1)
    heads = "".join(f"{x:8.1f}" for x in few[:, 0])
    print(f"{'':12}{'value at x =':>16}{'slope at x =':>32}{'largest distance':>36}")
    print(f"{'':12}{heads}{heads}{'from the formula':>20}")
    for name, (layer, expected) in formulas(many).items():
        model = fastnn.Sequential([fastnn.Input((1,)), layer], dtype="float64")
        if name == "maxout":
            model.set_weights([[[-0.5, 2.0]], [1.0, -1.0]])  # max(-0.5 x + 1, 2 x - 1)
        numbers = np.concatenate([model.predict(few)[:, 0], model.input_gradients(few)[:, 0]])
        distance = np.abs(model.predict(many) - expected).max()
        print(f"{name:<12}" + "".join(f"{number:8.3f}" for number in numbers) + f"{distance:20.0e}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="compare at 11 points instead of 1001")
    main(points=11 if parser.parse_args().quick else 1001)
