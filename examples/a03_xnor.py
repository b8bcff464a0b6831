"""Lecture A.3: two layers compute what one cannot.

XNOR is 1 where both inputs are equal; no straight line parts its classes.  The lecture builds it of gates:
a1 = AND, a2 = neither, and h = a1 OR a2.  Then a network finds weights of its own from random ones.
"""

import argparse

import numpy as np

import fastnn
from fastnn import layers

INPUTS = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
TRUTH = [1, 0, 0, 1]


def by_hand() -> fastnn.Sequential:
    """Return the lecture's network; column j of a kernel holds the weights of neuron j."""
    model = fastnn.Sequential(
        [fastnn.Input((2,)), layers.Dense(2, "sigmoid", name="a"), layers.Dense(1, "sigmoid", name="h")],
        dtype="float64",
    )
    model.set_weights([[[20, -20], [20, -20]], [-30, 10], [[20], [20]], [-10]])
    return model


def trained(epochs: int, seed: int = 0) -> tuple[fastnn.Sequential, list[float]]:
    """Return a network trained from random weights, and its loss after every epoch."""
    model = fastnn.Sequential(
        [fastnn.Input((2,)), layers.Dense(8, "tanh"), layers.Dense(1, "sigmoid")], seed=seed
    )
    model.compile(fastnn.optimizers.Adam(0.05), "binary_crossentropy")
    history = model.fit(INPUTS, TRUTH, batch_size=4, epochs=epochs, verbose=0)
    return model, history.history["loss"]


def main(epochs: int = 500) -> None:
    """Print the truth table with the lecture's weights, and with those that training finds."""
    lecture = by_hand()
    model, losses = trained(epochs)
    hidden = lecture.layers[0]
    a = fastnn.kernels.dense_forward(INPUTS, hidden.kernel, hidden.bias, "sigmoid")
    print("x1  x2    a1 (AND)  a2 (neither)  h, lecture  h, ours   trained")
    rows = zip(INPUTS, a, TRUTH, lecture.predict(INPUTS)[:, 0], model.predict(INPUTS)[:, 0], strict=True)
    for (x1, x2), (a1, a2), wanted, h, found in rows:
        print(f"{x1:2.0f}  {x2:2.0f}  {a1:10.5f}  {a2:12.5f}  {wanted:10d}  {h:.5f}  {found:8.5f}")
    print(f"training, {epochs} epochs of 4 points: loss from {losses[0]:.3f} to {losses[-1]:.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="50 epochs instead of 500")
    main(epochs=50 if parser.parse_args().quick else 500)
