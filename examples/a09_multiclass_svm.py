"""Lecture A.9: a linear classifier with the multiclass SVM (hinge) loss, and L2.

``L_i = sum over j != y of max(0, s_j - s_y + 1)``: every wrong class should score at least 1 less than the
right one.  The gradient on the scores counts: +1 for each class that comes too close, and minus their number
for the right one.
"""

import argparse

import numpy as np

import fastnn
from fastnn import layers

CLASSES = ("cat", "car", "frog")
SCORES = np.array([[3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]])  # CS231n's example


def classifier(inputs: int, classes: int, lam: float, **options: object) -> fastnn.Sequential:
    """Return a linear model with the hinge loss and ``lam * sum(W ** 2)``."""
    dense = layers.Dense(classes, use_bias=False, kernel_regularizer=fastnn.regularizers.L2(lam))
    model = fastnn.Sequential([fastnn.Input((inputs,)), dense], **options)
    model.compile(
        fastnn.optimizers.SGD(0.05), fastnn.losses.MulticlassHinge(), metrics=["sparse_categorical_accuracy"]
    )
    return model


def margins_and_dscores(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the margins, 0 for the right class, and the gradients of each row's loss on its scores."""
    rows = np.arange(len(scores))
    margins = np.maximum(0, scores - scores[rows, labels][:, None] + 1)
    margins[rows, labels] = 0
    dscores = (margins > 0).astype(float)
    dscores[rows, labels] -= dscores.sum(axis=1)
    return margins, dscores


def by_hand(w: np.ndarray, x: np.ndarray, labels: np.ndarray, lam: float) -> tuple[float, np.ndarray]:
    """Return the loss and dW, in NumPy."""
    margins, dscores = margins_and_dscores(x @ w, labels)
    return margins.sum(axis=1).mean() + lam * (w**2).sum(), x.T @ dscores / len(x) + 2 * lam * w


def main(epochs: int = 50) -> None:
    """Print margins, dscores and loss of three images, loss and dW beside NumPy's, and train on digits."""
    model = classifier(3, 3, lam=0.0, dtype="float64")
    model.set_weights([np.eye(3)])  # so that the inputs are the scores
    margins, dscores = margins_and_dscores(SCORES, np.arange(3))
    print("image   margins of cat, car, frog   dscores         loss   ours")
    for label, name in enumerate(CLASSES):
        (row_of_margins, row_of_dscores), row = (margins[label], dscores[label]), SCORES[label : label + 1]
        print(f"{name:<8}" + "".join(f"{margin:8.1f}" for margin in row_of_margins), end="")
        print("    " + "".join(f"{number:4.0f}" for number in row_of_dscores), end="")
        print(f"{row_of_margins.sum():9.1f}{model.loss_and_gradients(row, [label])[0]:7.1f}")

    (x, labels), test = fastnn.datasets.load_digits()
    model = classifier(64, 10, lam=1e-3, dtype="float64", seed=0)
    loss, gradients = model.loss_and_gradients(x, labels)
    known, dw = by_hand(model.get_weights()[0], x.astype(float), labels, 1e-3)
    (found,) = gradients.values()
    print(f"digits: loss {loss:.10f}, in NumPy {known:.10f}")
    largest, apart = np.abs(found).max(), np.abs(found - dw).max()
    print(f"        dW {found.shape}: largest {largest:.3f}, differs from NumPy's by at most {apart:.0e}")
    model.fit(x, labels, batch_size=32, epochs=epochs, verbose=0)
    loss, accuracy = model.evaluate(*test)
    print(f"        after {epochs} epochs: test loss {loss:.3f}, test accuracy {accuracy:.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="3 epochs instead of 50")
    main(epochs=3 if parser.parse_args().quick else 50)
