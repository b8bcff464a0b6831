"""Lecture A.10: back-propagation with matrices, and why nobody builds a Jacobian.

With rows as samples, ``y = x W`` goes back as ``dx = dy W^T`` and ``dW = x^T dy``: two products of the size
of the forward one.  Jacobians, the derivatives of every output by every input, would do the same with nearly
all of their numbers 0: that of a ReLU is diagonal, and its backward pass is a product of two vectors.  (Where
the lecture has 5G numbers for the Jacobian of W it means 5e10, 50G.)
"""

import argparse
import tracemalloc

import numpy as np

import fastnn
from fastnn import kernels, layers

X = np.array([[2.0, 1, -3]])
W = np.array([[1.0, 3, 2, 0], [2, -1, 1, 2], [3, 0, 1, 4]])
UPSTREAM = np.array([[4.0, 1, 2, -1]])


def small() -> None:
    """Print the lecture's example, from its rounded numbers and from exact ones."""
    model = fastnn.Sequential(
        [fastnn.Input((3,)), layers.Dense(4, use_bias=False, name="y"), layers.Activation("sigmoid")],
        dtype="float64",
    )
    model.set_weights([W])
    out = model.forward(X)
    gradients = model.backward(UPSTREAM, wrt=["y"])
    rounded = np.array([[0.028, 0.01, 0.22, 0]])  # upstream times sigma' = 0.007, 0.01, 0.11, 0
    dx, dw, _ = kernels.dense_backward(rounded, X, W)
    print("                lecture                     ours")
    print("y = x W         [-5, 5, 2, -10]            ", kernels.dense_forward(X, W)[0])
    print("sigma(y)        [0.007, 0.99, 0.88, 0]     ", out[0])
    print("dy              [0.028, 0.01, 0.22, 0]     ", gradients["y"][0])
    print("dx = dy W^T     [0.50, 0.27, 0.30]         ", gradients["input"][0])
    print("   from the lecture's dy, whose sigma' are rounded:", dx[0])
    print("dW = x^T dy     by the lecture's dy:", *dw + 0.0, "ours:", *gradients["y/kernel"], sep="\n    ")


def jacobians(inputs: int = 3072, units: int = 4096, rows: int = 100) -> None:
    """Print how large the Jacobians of a wide layer would be, and what is there instead."""
    x = np.array([[-1.0, 2.0, -3.0, 4.0]])
    relu = fastnn.Sequential([fastnn.Input((4,)), layers.ReLU()], dtype="float64")
    columns = [relu.input_gradients(x, one[None, :])[0] for one in np.eye(4)]
    print("the Jacobian of a ReLU at [-1, 2, -3, 4], which is diagonal:", *np.array(columns), sep="\n    ")
    print(f"Jacobians that nobody builds, of a ReLU of {units} and of a layer {inputs}-{units}")
    spaced = f"{rows * units:,}".replace(",", " ")
    print(f"    ReLU, one vector:             {units} x {units}, of which at most {units} are not 0")
    print(f"    ReLU, a minibatch of {rows}:     {spaced} x {spaced}")
    numbers = units * inputs * units
    print(f"    y by W, one row:              {units} x ({inputs} * {units})")
    print(f"                                  = {numbers:.1e} numbers, {4e-9 * numbers:.1f} GB")


def large(inputs: int, units: int, rows: int = 64) -> None:
    """Print what a training step of a wide layer needs."""
    x, y = np.ones((rows, inputs), np.float32), np.zeros((rows, units), np.float32)
    tracemalloc.start()
    model = fastnn.Sequential([fastnn.Input((inputs,)), layers.Dense(units)], seed=0)
    model.compile("sgd", "mse")
    tracemalloc.reset_peak()
    model.train_on_batch(x, y)
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    weights, activations = 4e-6 * model.count_params(), 4e-6 * rows * (inputs + units)
    print(f"{inputs}-{units} at batch {rows}: weights {weights:.1f} MB, activations {activations:.1f} MB")
    print(f"    peak of a training step, gradients included: {peak:.1f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a layer of 300-400 instead of 3072-4096")
    quick = parser.parse_args().quick
    np.set_printoptions(precision=5, suppress=True)
    small()
    jacobians()
    large(*(300, 400) if quick else (3072, 4096))
