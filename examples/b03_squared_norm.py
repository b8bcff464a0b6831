"""B.3: f = ||W x||^2, where a gate takes vectors and its gradients are matrices.

With q = W x: df/dq = 2 q, df/dW = 2 q x^T, df/dx = 2 W^T q.  The gradient of anything has the shape of the
thing itself, which is the quickest check of a formula.

In the lecture x is a column and W stands on its left.  Here every row of a batch is one x, and a dense layer
computes x @ kernel: the kernel is W^T, and so is its gradient (df/dW)^T.
"""

import argparse

import numpy as np

import fastnn
from fastnn.layers import Dense, Square, Sum

W = np.array([[0.1, 0.5], [-0.3, 0.8]])
X = np.array([0.2, 0.4])
LECTURE = {
    "f": 0.116,
    "q": [0.22, 0.26],
    "df/dq": [0.44, 0.52],
    "df/dW": [[0.088, 0.176], [0.104, 0.208]],
    "df/dx": [-0.112, 0.636],
}


def squared_norm() -> fastnn.Model:
    """Return the model x -> W x -> squares -> their sum."""
    x = fastnn.Input((2,), name="x")
    q = Dense(2, use_bias=False, name="q")(x)
    model = fastnn.Model(x, Sum(name="f")(Square()(q)), dtype="float64")
    model.set_weights([W.T])
    return model


def main(quick: bool) -> None:
    """Print f and its gradients beside the lecture's, and check them by finite differences."""
    model = squared_norm()
    f = model.forward(X[None, :])
    gradients = model.backward(wrt=["q"])
    found = {
        "f": f.item(),
        "q": X @ model.get_layer("q").kernel,
        "df/dq": gradients["q"][0],
        "df/dW": gradients["q/kernel"].T,
        "df/dx": gradients["x"][0],
    }
    for name, lecture in LECTURE.items():
        ours = np.asarray(found[name])
        print(f"{name:6} lecture {lecture}\n       fastnn  {ours.round(12).tolist()}")
        np.testing.assert_allclose(ours, lecture, rtol=1e-12)

    step = 1e-5
    by_differences = [
        (np.sum((W @ (X + d)) ** 2) - np.sum((W @ (X - d)) ** 2)) / (2 * step) for d in step * np.eye(2)
    ]
    print(f"df/dx by finite differences: {np.round(by_differences, 9).tolist()}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="changes nothing: this takes no time")
    main(parser.parse_args().quick)
