"""D.1: activations and their derivatives; linear and logistic regression as nets of one layer.

A layer is v = x W + b and an activation of v.  With a linear activation and squared error it is linear
regression, with a sigmoid and cross-entropy logistic regression.  Both risks are convex: gradient descent
arrives where the closed form, or any other solver, arrives.  A sigmoid is the softmax of two classes, one of
which has the score 0.  At 0 a ReLU has no derivative; the lecture takes 1 there, fastnn takes 0.
"""

import argparse

import numpy as np

import fastnn
from fastnn.layers import Activation, Dense

V = np.array([[-1.0, 0.5, 2.0]])
DERIVATIVES = {
    "linear": lambda v: np.ones_like(v),
    "sigmoid": lambda v: np.exp(-v) / (1 + np.exp(-v)) ** 2,
    "tanh": lambda v: 1 - np.tanh(v) ** 2,
    "relu": lambda v: (v > 0).astype(float),
    "softmax": lambda v: np.exp(v) / np.exp(v).sum() * (np.eye(3)[2] - np.exp(v)[0, 2] / np.exp(v).sum()),
}


def softmax_of_two(a: float) -> np.ndarray:
    """Return the softmax of the scores (0, a); its second number is the sigmoid of a."""
    model = fastnn.Sequential([fastnn.Input((2,)), Activation("softmax")], dtype="float64")
    return model.predict([[0.0, a]])[0]


def one_layer(
    activation: str, loss: str, x: np.ndarray, y: np.ndarray, rate: float, steps: int
) -> np.ndarray:
    """Train one layer on all rows at once; return its weights, the bias last."""
    model = fastnn.Sequential([fastnn.Input((x.shape[1],)), Dense(1, activation)], dtype="float64", seed=0)
    model.compile(fastnn.optimizers.SGD(rate), loss)
    model.fit(x, y, batch_size=len(x), epochs=steps, verbose=0)
    return np.concatenate([weights.ravel() for weights in model.get_weights()])


def linear_problem() -> tuple[np.ndarray, np.ndarray]:
    """Return year, holiday, temperature, humidity and wind of 15435 hours, and the bikes rented (scaled)."""
    (x, y), _, _ = fastnn.datasets.load_bike_sharing()
    return x[:, :5].astype(float), y.astype(float)


def logistic_problem() -> tuple[np.ndarray, np.ndarray]:
    """Return gre, gpa and ranks 1 to 3 (the fourth follows) of 360 applicants, and who was taken."""
    (x, y), _ = fastnn.datasets.load_admissions()
    return x[:, :5].astype(float), y.astype(float)


def fixed(numbers: np.ndarray) -> str:
    """Return numbers as text with four decimals."""
    return " ".join(f"{number:8.4f}" for number in numbers)


def main(quick: bool) -> None:
    """Print activations, then both regressions beside the closed form and scikit-learn."""
    print(f"activations at v = {V[0].tolist()}; for softmax the derivative of its last output")
    for name, derivative in DERIVATIVES.items():
        model = fastnn.Sequential([fastnn.Input((3,)), Activation(name)], dtype="float64")
        upstream = [[0, 0, 1]] if name == "softmax" else np.ones_like(V)
        value, slope = model.predict(V)[0], model.input_gradients(V, upstream)[0]
        np.testing.assert_allclose(slope, derivative(V)[0], rtol=1e-10, atol=1e-14)
        print(f"  {name:8} {fixed(value)}  derivative {fixed(slope)}")

    relu = fastnn.Sequential([fastnn.Input((1,)), Activation("relu")], dtype="float64")
    print(f"  ReLU'(0) is {relu.input_gradients([[0.0]]).item():g} here, and 1 in the lecture")
    print("\na sigmoid is the softmax of two classes\n      a    sigmoid(a)    softmax(0, a)")
    for a in (-1.0, 0.5, 2.0):
        print(f"{a:7.1f}  {1 / (1 + np.exp(-a)):12.8f}     {softmax_of_two(a)}")

    x, y = linear_problem()
    ours = one_layer("linear", "mse", x, y, rate=0.2, steps=200 if quick else 1000)
    closed = np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]), y, rcond=None)[0][:, 0]
    print("\nlinear regression: weights, bias last\n  fastnn      ", fixed(ours))
    print("  closed form ", fixed(closed), f" largest difference {np.abs(ours - closed).max():.0e}")

    x, y = logistic_problem()
    ours = one_layer("sigmoid", "binary_crossentropy", x, y, rate=2.0, steps=200 if quick else 2000)
    print("logistic regression\n  fastnn      ", fixed(ours))
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        print("  scikit-learn is not installed; with it, its weights would stand here")
        return
    peer = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10000).fit(x, y[:, 0])
    theirs = np.append(peer.coef_, peer.intercept_)
    print("  scikit-learn", fixed(theirs), f" largest difference {np.abs(ours - theirs).max():.0e}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="200 steps, which do not quite arrive")
    main(parser.parse_args().quick)
