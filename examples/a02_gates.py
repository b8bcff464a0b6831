"""Lecture A.2: one sigmoid neuron is a logic gate.

``sigma(20 x1 + 20 x2 - 30)`` is near 1 only where both inputs are 1: AND.  With a bias of -10 one input is
enough: OR.  The weights are large, so that the sigmoid is all but a step.
"""

import argparse

import numpy as np

import fastnn

INPUTS = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
GATES = {"AND": (-30.0, [0, 0, 0, 1]), "OR": (-10.0, [0, 1, 1, 1])}


def gate(bias: float) -> fastnn.Sequential:
    """Return the neuron ``sigma(20 x1 + 20 x2 + bias)``."""
    model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1, "sigmoid")], dtype="float64")
    model.set_weights([[[20.0], [20.0]], [bias]])
    return model


def main() -> None:
    """Print the truth table of each gate."""
    for name, (bias, truth) in GATES.items():
        print(f"{name}: sigma(20 x1 + 20 x2 - {-bias:.0f})")
        print("  x1  x2  lecture  ours")
        for (x1, x2), wanted, output in zip(INPUTS, truth, gate(bias).predict(INPUTS)[:, 0], strict=True):
            print(f"  {x1:2.0f}  {x2:2.0f}  {wanted:7d}  {output:.6f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="changes nothing: nothing here takes long")
    parser.parse_args()
    main()
