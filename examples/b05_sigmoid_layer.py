"""B.5: Caffe's sigmoid layer, and the gradient that nobody wants.

Caffe's layer keeps its output: forward is top = sigma(bottom), backward is bottom_diff = top_diff * top *
(1 - top).  The latter stands under an "if (propagate_down[0])": at the bottom of a net nobody wants the
gradient with respect to the data.  fastnn decides that when it compiles: the operation is not in the plan.
"""

import argparse

import numpy as np

import fastnn
from fastnn import kernels
from fastnn.layers import Activation, Dense


def main(quick: bool) -> None:
    """Show the layer as a kernel and as a model, then look for its backward in plans."""
    bottom = np.array([[-2.0, 0.0, 1.0, 4.0]])
    top_diff = np.array([[4.0, 1.0, 2.0, -1.0]])

    top = kernels.sigmoid_forward(bottom)
    bottom_diff = kernels.sigmoid_backward(top_diff, top)  # needs the output only, not the input
    layer = fastnn.Sequential(
        [fastnn.Input((4,), name="bottom"), Activation("sigmoid", name="top")], dtype="float64"
    )
    print("bottom     ", bottom[0])
    print("top        ", layer.forward(bottom)[0].round(6))
    print("bottom_diff", layer.backward(top_diff)["bottom"][0].round(6))
    expected = top_diff * top * (1 - top)
    for found in (bottom_diff, layer.backward(top_diff)["bottom"]):
        np.testing.assert_allclose(found, expected, rtol=1e-12)

    layers = [Activation("sigmoid"), Dense(3, "sigmoid"), Dense(1)]
    model = fastnn.Sequential([fastnn.Input((4,)), *layers], seed=0)
    model.compile("sgd", "mse")
    print("\nnet 4 - sigmoid - 3 sigmoid - 1: the operations that send a gradient downwards")
    for purpose in ("train", "backward"):
        print(f"{purpose:9}", downwards(model, purpose))

    hidden = model.get_layer("dense")
    hidden.trainable = False
    model.compile("sgd", "mse")  # from now on the flag counts
    print("\nthe hidden layer frozen: nothing below the last layer wants a gradient")
    print("train    ", downwards(model, "train"))
    assert downwards(model, "train") == []


def downwards(model: fastnn.Sequential, purpose: str) -> list[str]:
    """Return the operations of a plan that pass a gradient to the layer below, with their layers."""
    passing = ("DENSE_BACKWARD", "ACTIVATION_BACKWARD")
    return [f"{op.code.name} of {op.layer}" for op in model.plan(8, purpose).ops if op.code.name in passing]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="changes nothing: this takes no time")
    main(parser.parse_args().quick)
