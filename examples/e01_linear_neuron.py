"""E.1: gradient descent on a linear neuron, by hand: w_i <- w_i - a (yhat - y) x_i.

The neuron computes yhat = w x.  Half the squared error, (yhat - y)^2 / 2, has the derivative (yhat - y) x_i
for weight i, so each example pushes each weight against its error, in proportion to its input.
"""

import argparse

import numpy as np

import fastnn
from fastnn.layers import Dense

RATE = 0.1


def main(quick: bool) -> None:
    """Walk through the examples by hand and with fastnn, step by step."""
    draw = np.random.default_rng(0)
    n = 25
    x = draw.standard_normal((n, 3))
    y = x @ [1.0, -2.0, 3.0]  # what the neuron has to find
    w = np.zeros(3)

    neuron = fastnn.Sequential([fastnn.Input((3,)), Dense(1, use_bias=False)], dtype="float64")
    neuron.set_weights([w[:, None]])
    neuron.compile(fastnn.optimizers.SGD(RATE), fastnn.losses.SquaredError("half_sum"))

    print(f"{'step':>4} {'error':>8}  {'by hand':30} fastnn")
    for step in range(n):
        error = w @ x[step] - y[step]
        for i in range(3):
            w[i] = w[i] - RATE * error * x[step, i]
        neuron.train_on_batch(x[step : step + 1], y[step : step + 1])
        ours = neuron.get_weights()[0][:, 0]
        if step < 3 or step == n - 1:
            print(f"{step + 1:4} {error:8.4f}  {w.round(6)!s:30} {ours.round(6)}")
        np.testing.assert_allclose(ours, w, rtol=1e-12, atol=1e-15)

    epochs = 20 if quick else 100
    loss = neuron.fit(x, y, batch_size=1, epochs=epochs, verbose=0).history["loss"]
    ours = neuron.get_weights()[0][:, 0]
    print(f"after {epochs} more rounds: weights {ours.round(6)}, loss {loss[-1]:.0e}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="20 rounds instead of 100")
    main(parser.parse_args().quick)
