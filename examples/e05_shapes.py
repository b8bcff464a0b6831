"""E.5: a 3-4-2-1 net on minibatches, where the shape of every gradient is the shape of its weight.

Forward, a batch of m rows has the shapes (m, 3), (m, 4), (m, 2), (m, 1).  Backward, the gradients of
these have them too, and dW = (input of the layer)^T (error term of the layer): (3, m) (m, 4) is (3, 4),
whatever m is.
"""

import argparse

import numpy as np

import fastnn
from fastnn.layers import Dense

UNITS = (4, 2, 1)


def main(quick: bool) -> None:
    """Print the shapes for batches of several sizes, then train on batches that do not divide the rows."""
    model = fastnn.Sequential(
        [fastnn.Input((3,), name="x"), *(Dense(n, "sigmoid", name=f"layer{n}") for n in UNITS)],
        dtype="float64",
        seed=0,
    )
    model.compile(fastnn.optimizers.SGD(1.0, momentum=0.9), "mse")
    draw = np.random.default_rng(0)
    for m in (1, 2, 10):
        x, y = draw.standard_normal((m, 3)), draw.random((m, 1))
        model.forward(x)
        at_outputs = model.backward(wrt=[f"layer{n}" for n in UNITS])
        shapes = [at_outputs[f"layer{n}"].shape for n in UNITS]
        print(f"m = {m}: x {x.shape}, gradients of the layers' outputs {shapes}")
        assert shapes == [(m, n) for n in UNITS]
        _, gradients = model.loss_and_gradients(x, y)
        for (name, gradient), weight in zip(gradients.items(), model.get_weights(), strict=True):
            if m == 1:
                print(f"  {name:14} weight {weight.shape!s:7} gradient {gradient.shape}")
            assert gradient.shape == weight.shape

    x = draw.standard_normal((100, 3))
    y = (x.sum(1, keepdims=True) > 0).astype(float)
    epochs = 20 if quick else 200
    loss = model.fit(x, y, batch_size=32, epochs=epochs, verbose=0).history["loss"]
    print(f"100 rows in batches of 32, 32, 32 and 4, {epochs} epochs: loss {loss[0]:.3f} -> {loss[-1]:.4f}")
    assert loss[-1] < loss[0]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="20 epochs instead of 200")
    main(parser.parse_args().quick)
