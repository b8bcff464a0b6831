"""B.6: the network in 20 lines of NumPy, and the same one in fastnn, from the same start.

64 examples, 1000 inputs, 100 sigmoid units, 10 outputs, no biases, the squared error summed over everything,
learning rate 1e-4, 2000 steps.  Both loss curves are one curve: the relative difference stays at rounding.
"""

import argparse
import time

import numpy as np

import fastnn
from fastnn.layers import Dense

RATE = 1e-4


def twenty_lines(x: np.ndarray, y: np.ndarray, w1: np.ndarray, w2: np.ndarray, steps: int) -> list[float]:
    """Return the loss of every step; the weights are changed in place.  The lecture's code."""
    losses = []
    for _ in range(steps):
        h = 1 / (1 + np.exp(-x.dot(w1)))
        y_pred = h.dot(w2)
        losses.append(np.square(y_pred - y).sum())

        grad_y_pred = 2.0 * (y_pred - y)
        grad_w2 = h.T.dot(grad_y_pred)
        grad_h = grad_y_pred.dot(w2.T)
        grad_w1 = x.T.dot(grad_h * h * (1 - h))

        w1 -= RATE * grad_w1
        w2 -= RATE * grad_w2
    return losses


def main(quick: bool) -> None:
    """Train both from one start and compare their curves."""
    steps = 100 if quick else 2000
    draw = np.random.default_rng(0)
    x, y = draw.standard_normal((64, 1000)), draw.standard_normal((64, 10))
    w1, w2 = draw.standard_normal((1000, 100)), draw.standard_normal((100, 10))

    model = fastnn.Sequential(
        [fastnn.Input((1000,)), Dense(100, "sigmoid", use_bias=False), Dense(10, use_bias=False)],
        dtype="float64",
    )
    model.set_weights([w1, w2])
    summed = fastnn.losses.SquaredError("sum", reduction="sum")  # over outputs, and over rows
    model.compile(fastnn.optimizers.SGD(RATE), summed)

    begin = time.perf_counter()
    ours = model.fit(x, y, batch_size=64, epochs=steps, verbose=0).history["loss"]
    middle = time.perf_counter()
    theirs = twenty_lines(x, y, w1, w2, steps)
    end = time.perf_counter()

    print(f"{'step':>5} {'NumPy':>22} {'fastnn':>22}")
    for step in [0, 1, 10, 99, 499, 999, 1999]:
        if step < steps:
            print(f"{step + 1:5} {theirs[step]:22.15g} {ours[step]:22.15g}")
    difference = np.max(np.abs(np.divide(ours, theirs) - 1))
    print(f"largest relative difference of {steps} losses: {difference:.1e}")
    print(f"NumPy {end - middle:.2f} s, fastnn {middle - begin:.2f} s (float64, one run, not a benchmark)")
    assert difference < 1e-9


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="100 steps instead of 2000")
    main(parser.parse_args().quick)
