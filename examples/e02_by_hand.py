"""E.2: one step of back-propagation with a pocket calculator.

Two inputs, one sigmoid hidden unit, one sigmoid output, no biases; half the squared error, learning rate 0.5.
Error terms are those of the lecture, delta = -dE/dv: at the output (y - yhat) yhat (1 - yhat), at the hidden
unit delta_o w_ho a (1 - a).  A step is rate * delta * input.
"""

import argparse

import numpy as np

import fastnn
from fastnn.layers import Activation, Dense

X, Y, RATE = np.array([[0.1, 0.3]]), np.array([[1.0]]), 0.5
W_IH, W_HO = np.array([[0.4], [-0.2]]), np.array([[0.1]])


def main(quick: bool) -> None:
    """Print every number of the exercise beside the lecture's."""
    x = fastnn.Input((2,), name="x")
    h = Dense(1, use_bias=False, name="h")(x)
    a = Activation("sigmoid", name="a")(h)
    o = Dense(1, use_bias=False, name="o")(a)
    model = fastnn.Model(x, Activation("sigmoid", name="yhat")(o), dtype="float64")
    model.set_weights([W_IH, W_HO])
    hidden = fastnn.Model(x, [h, a], dtype="float64")  # the same layers, so the same weights
    model.compile(fastnn.optimizers.SGD(RATE), fastnn.losses.SquaredError("half_sum"))

    y_hat = model.forward(X)
    at_h, at_a = hidden.predict(X)
    error_terms = model.backward(upstream=Y - y_hat, wrt=["h", "o"])
    model.train_on_batch(X, Y)
    step_ih, step_ho = (
        after - before for after, before in zip(model.get_weights(), (W_IH, W_HO), strict=True)
    )

    rows = [
        ("h = w_ih x", "-0.02", at_h.item()),
        ("a = sigma(h)", "0.495", at_a.item()),
        ("yhat = sigma(w_ho a)", "0.512", y_hat.item()),
        ("output error term", "0.122", error_terms["o"].item()),
        ("hidden error term", "0.003", error_terms["h"].item()),
        ("step of w_ho", "0.0302", step_ho.item()),
        ("step of w_ih, first", "0.00015", step_ih[0].item()),
        ("step of w_ih, second", "0.00045", step_ih[1].item()),
    ]
    print(f"{'':22} {'lecture':>8} {'fastnn':>12}")
    for name, lecture, ours in rows:
        print(f"{name:22} {lecture:>8} {ours:12.8f}")
    print("The last two of the lecture come from the rounded 0.003.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="changes nothing: this takes no time")
    main(parser.parse_args().quick)
