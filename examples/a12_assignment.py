"""Lecture A.12: the assignment, a class for a two-layer network with loss, train and predict.

``loss(X)`` returns the scores, ``loss(X, y, reg)`` the loss and a dict of its gradients for W1, b1, W2 and
b2.  The regulariser is ``R(W) = sum of the squares of W``, without the factor 0.5 that some versions of the
assignment have; so its gradient is ``2 reg W``.  fastnn does the passes, the class keeps the assignment's
form.  Hyper-parameters are chosen by the accuracy on validation rows; the test rows are looked at once.
"""

import argparse
from itertools import product

import numpy as np

import fastnn
from fastnn import layers


class TwoLayerNet:
    """Input - fully connected - ReLU - fully connected - softmax loss."""

    NAMES = ("W1", "b1", "W2", "b2")

    def __init__(self, inputs: int, hidden: int, classes: int, dtype: str = "float32", seed: int = 0) -> None:
        x = fastnn.Input((inputs,))
        scores = layers.Dense(classes)(layers.Dense(hidden, "relu")(x))
        self.model = fastnn.Model(x, layers.Activation("softmax")(scores), dtype=dtype, seed=seed)
        self.scores = fastnn.Model(x, scores, dtype=dtype)  # the same layers, so the same weights
        self.model.compile("sgd", "sparse_categorical_crossentropy")
        self.params = dict(zip(self.NAMES, self.model.get_weights(), strict=True))

    def loss(
        self, X: np.ndarray, y: np.ndarray | None = None, reg: float = 0.0
    ) -> np.ndarray | tuple[float, dict[str, np.ndarray]]:
        """Return the scores if y is None, else the loss, penalty included, and its gradients by name."""
        self.model.set_weights(list(self.params.values()))
        if y is None:
            return self.scores.predict(X)
        loss, gradients = self.model.loss_and_gradients(X, y)
        grads = dict(zip(self.NAMES, gradients.values(), strict=True))
        for name in ("W1", "W2"):
            loss += reg * float((self.params[name] ** 2).sum())
            grads[name] += 2 * reg * self.params[name]
        return loss, grads

    def train(
        self,
        X: np.ndarray,
        y: np.ndarray,
        learning_rate: float = 0.2,
        reg: float = 1e-4,
        num_iters: int = 1000,
        batch_size: int = 100,
        seed: int = 0,
    ) -> list[float]:
        """Make steps of gradient descent on random minibatches; return the loss before each."""
        draw, history = np.random.default_rng(seed), []
        for _ in range(num_iters):
            rows = draw.integers(0, len(X), batch_size)
            loss, grads = self.loss(X[rows], y[rows], reg)
            for name, gradient in grads.items():
                self.params[name] -= learning_rate * gradient
            history.append(loss)
        return history

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the class with the highest score for every row."""
        return self.loss(X).argmax(axis=1)


def numeric_gradient(
    net: TwoLayerNet, name: str, X: np.ndarray, y: np.ndarray, reg: float, h: float = 1e-5
) -> np.ndarray:
    """Return the gradient for one parameter by central differences."""
    array, gradient = net.params[name], np.zeros_like(net.params[name])
    for entry in np.ndindex(array.shape):
        kept, losses = array[entry], []
        for value in (kept + h, kept - h):
            array[entry] = value
            losses.append(net.loss(X, y, reg)[0])
        array[entry], gradient[entry] = kept, (losses[0] - losses[1]) / (2 * h)
    return gradient


def choose(X: np.ndarray, y: np.ndarray, num_iters: int) -> TwoLayerNet:
    """Train with several hyper-parameters; return the net that is best on the last 300 rows, kept aside."""
    best, best_accuracy = None, 0.0
    print(f"digits, {num_iters} steps each")
    print("hidden  rate    reg  loss, first and last  accuracy on validation rows")
    for hidden, rate, reg in product((20, 100), (0.02, 0.2), (1e-4, 1e-2)):
        net = TwoLayerNet(64, hidden, 10)
        history = net.train(X[:-300], y[:-300], rate, reg, num_iters)
        accuracy = (net.predict(X[-300:]) == y[-300:]).mean()
        print(f"{hidden:6d}{rate:6g}{reg:7g}{history[0]:13.3f}{history[-1]:9.3f}{accuracy:23.3f}")
        if accuracy > best_accuracy:
            best, best_accuracy, chosen = net, accuracy, f"{hidden} hidden units, rate {rate}, reg {reg:g}"
    print(f"best: {chosen}")
    return best


def main(iterations: int = 1500) -> None:
    """Check the gradients of a toy net against numeric ones, then choose a net for digits."""
    draw = np.random.default_rng(0)
    X, y, reg = draw.standard_normal((5, 4)), np.array([0, 1, 2, 2, 1]), 0.05
    toy = TwoLayerNet(4, 10, 3, dtype="float64")
    loss, grads = toy.loss(X, y, reg)
    print(f"toy net 4-10-3: loss {loss:.6f}\nparameter  shape     largest error against the numeric gradient")
    for name, gradient in grads.items():
        error = np.abs(gradient - numeric_gradient(toy, name, X, y, reg)).max()
        print(f"{name:<9}  {gradient.shape!s:<8}  {error:.0e}")

    (X, y), (X_test, y_test) = fastnn.datasets.load_digits()
    net = choose(X, y, iterations)
    print(f"its accuracy on test rows: {(net.predict(X_test) == y_test).mean():.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="50 steps on the digits instead of 1500")
    main(iterations=50 if parser.parse_args().quick else 1500)
