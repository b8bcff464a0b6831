"""E.5: a 3-4-1 net whose batch gradients are written out, and a 3-4-2-1 net on minibatches.

Hidden layers are sigmoid, the output is linear, the loss is the squared error / 2m.  For 3-4-1 that makes

    delta_o = (yhat - y) / m                     dW_ho = a^T delta_o     db_o = sum of the rows of delta_o
    delta_h = delta_o W_ho^T * a * (1 - a)       dW_ih = x^T delta_h     db_h = sum of the rows of delta_h

The shape of every gradient is the shape of its weight, whatever the number m of rows is: in dW_ih a (3, m)
matrix meets an (m, 4) one.
"""

import argparse

import numpy as np

import fastnn
from fastnn.layers import Dense


def network(widths: tuple[int, ...], seed: int) -> fastnn.Sequential:
    """Return sigmoid layers with a linear one on top; ``widths`` begins with the number of inputs."""
    hidden = [Dense(units, "sigmoid") for units in widths[1:-1]]
    chain = [fastnn.Input((widths[0],)), *hidden, Dense(widths[-1])]
    model = fastnn.Sequential(chain, dtype="float64", seed=seed)
    model.compile(fastnn.optimizers.SGD(0.2, momentum=0.9), fastnn.losses.SquaredError("half_mean"))
    return model


def by_hand(weights: list[np.ndarray], x: np.ndarray, y: np.ndarray) -> tuple[float, list[np.ndarray]]:
    """Return the loss of a 3-4-1 net, and the gradients of its weights in their order."""
    w_ih, b_h, w_ho, b_o = weights
    m = len(x)
    a = 1 / (1 + np.exp(-(x @ w_ih + b_h)))
    y_hat = a @ w_ho + b_o
    delta_o = (y_hat - y) / m
    delta_h = delta_o @ w_ho.T * a * (1 - a)
    loss = float(np.sum((y_hat - y) ** 2) / (2 * m))
    return loss, [x.T @ delta_h, delta_h.sum(axis=0), a.T @ delta_o, delta_o.sum(axis=0)]


def main(quick: bool) -> None:
    """Compare the gradients of batches of several sizes, then train on minibatches."""
    draw = np.random.default_rng(0)
    model = network((3, 4, 1), seed=0)
    print("3-4-1       weight   by hand  fastnn   largest difference of the gradients")
    for m in (1, 2, 10):
        x, y = draw.standard_normal((m, 3)), draw.standard_normal((m, 1))
        loss, written_out = by_hand(model.get_weights(), x, y)
        found, gradients = model.loss_and_gradients(x, y)
        print(f"m = {m:<2}      loss     {loss:<8.4f} {found:.4f}")
        for name, weight, hand, ours in zip(
            ("W_ih", "b_h", "W_ho", "b_o"), model.get_weights(), written_out, gradients.values(), strict=True
        ):
            assert weight.shape == hand.shape == ours.shape
            difference = np.abs(hand - ours).max()
            print(f"  {name:9} {weight.shape!s:8} {hand.shape!s:8} {ours.shape!s:8} {difference:.0e}")

    model = network((3, 4, 2, 1), seed=0)
    x = draw.standard_normal((100, 3))
    y = np.sin(x.sum(axis=1, keepdims=True))
    epochs = 20 if quick else 500
    loss = model.fit(x, y, batch_size=32, epochs=epochs, verbose=0).history["loss"]
    print("3-4-2-1 learns sin(x1 + x2 + x3) from 100 rows, in batches of 32, 32, 32 and 4")
    print(f"  {epochs} epochs: loss {loss[0]:.3f} -> {loss[-1]:.4f}")
    assert loss[-1] < loss[0]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="20 epochs instead of 500")
    main(parser.parse_args().quick)
