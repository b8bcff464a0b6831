"""Lecture A.7: a two-layer network, ReLU and softmax, whose loss is the data's plus a price on large weights.

``s = max(0, x W1 + b1) W2 + b2``, then ``L = mean of the softmax losses + lambda R(W1) + lambda R(W2)`` with
``R(W) = sum of the squares of W``.  Biases cost nothing.
"""

import argparse

import numpy as np

import fastnn
from fastnn import layers


def two_layer_net(inputs: int, hidden: int, classes: int, lam: float, **options: object) -> fastnn.Sequential:
    """Return the lecture's network; each kernel brings its own term of the loss."""
    penalty = fastnn.regularizers.L2(lam)
    return fastnn.Sequential(
        [
            fastnn.Input((inputs,)),
            layers.Dense(hidden, "relu", kernel_regularizer=penalty),
            layers.Dense(classes, "softmax", kernel_regularizer=penalty),
        ],
        **options,
    )


def by_hand(weights: list[np.ndarray], x: np.ndarray, labels: np.ndarray, lam: float) -> float:
    """Return the lecture's loss, in NumPy."""
    w1, b1, w2, b2 = weights
    scores = np.maximum(0, x @ w1 + b1) @ w2 + b2
    log_p = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return -log_p[np.arange(len(x)), labels].mean() + lam * (w1**2).sum() + lam * (w2**2).sum()


def main(epochs: int = 100) -> None:
    """Print the loss beside the formula, then train on digits with several prices."""
    (x, labels), (x_test, labels_test) = fastnn.datasets.load_digits()
    model = two_layer_net(64, 50, 10, lam=1e-3, dtype="float64", seed=0)
    model.compile("sgd", "sparse_categorical_crossentropy")
    loss, _ = model.loss_and_gradients(x, labels)
    print(f"loss of the untrained net, by the formula: {by_hand(model.get_weights(), x, labels, 1e-3):.12f}")
    print(f"                                     ours: {loss:.12f}")
    print(f"{epochs} epochs:  lambda   R(W1) + R(W2)   accuracy, training   test")
    for lam in (0.0, 1e-4, 1e-3, 1e-2):
        model = two_layer_net(64, 50, 10, lam, seed=0)
        model.compile(fastnn.optimizers.SGD(0.2), "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(x, labels, batch_size=32, epochs=epochs, verbose=0)
        size = sum((w.astype(float) ** 2).sum() for w in model.get_weights()[::2])
        right = [model.evaluate(*pair)[1] for pair in ((x, labels), (x_test, labels_test))]
        print(f"{lam:19g}{size:16.1f}{right[0]:21.3f}{right[1]:7.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="5 epochs instead of 100")
    main(epochs=5 if parser.parse_args().quick else 100)
