"""D.2: empirical risk plus regulariser, stochastic gradient descent one example at a time.

The risk is the mean loss over the examples, plus lambda times the sum of the squared weights: weight decay,
on weights only, not on biases.  Stochastic gradient descent draws one example and steps against the gradient
of its loss.  The L-layer algorithm is a forward loop and a backward loop; it stands below in NumPy, beside
fastnn with batches of one.  Weights start as Glorot and Bengio (2010) propose, uniform in
+- sqrt(6 / (inputs + outputs)).
"""

import argparse

import numpy as np

import fastnn
from fastnn.layers import Dense

RATE, DECAY = 0.05, 1e-4


def descend(x: np.ndarray, labels: np.ndarray, weights: list[np.ndarray]) -> None:
    """Pass once over the examples in their order; tanh layers, softmax on top; weights change in place."""
    kernels, biases = weights[::2], weights[1::2]
    for row, label in zip(x, labels, strict=True):
        outputs = [row]
        for kernel, bias in zip(kernels[:-1], biases[:-1], strict=True):
            outputs.append(np.tanh(outputs[-1] @ kernel + bias))
        scores = outputs[-1] @ kernels[-1] + biases[-1]
        y = np.exp(scores - scores.max())
        dv = y / y.sum()
        dv[label] -= 1  # softmax and cross-entropy together: y - d
        for layer in reversed(range(len(kernels))):
            below = (kernels[layer] @ dv) * (1 - outputs[layer] ** 2)  # with the weights before the step
            kernels[layer] -= RATE * (np.outer(outputs[layer], dv) + 2 * DECAY * kernels[layer])
            biases[layer] -= RATE * dv
            dv = below


def main(quick: bool) -> None:
    """Compare one pass with NumPy's, then train on the embedded digits."""
    (x, labels), (x_test, labels_test) = fastnn.datasets.load_digits()
    decay = fastnn.regularizers.L2(DECAY)  # for kernels; biases have an argument of their own
    shape = [(32, "tanh"), (32, "tanh"), (10, "softmax")]
    layers = [Dense(units, activation, kernel_regularizer=decay) for units, activation in shape]
    model = fastnn.Sequential([fastnn.Input((64,)), *layers], dtype="float64", seed=0)
    model.compile(fastnn.optimizers.SGD(RATE), "sparse_categorical_crossentropy", metrics=["accuracy"])

    weights = model.get_weights()
    print("Glorot's bounds, and the largest weight drawn")
    for kernel in weights[::2]:
        print(f"  {kernel.shape!s:9} {np.sqrt(6 / sum(kernel.shape)):.3f} {np.abs(kernel).max():.3f}")

    n = 100 if quick else 500
    descend(x[:n].astype(float), labels[:n], weights)
    model.fit(x[:n], labels[:n], batch_size=1, shuffle=False, verbose=0)
    differences = [np.abs(a - b).max() for a, b in zip(model.get_weights(), weights, strict=True)]
    print(f"after {n} single examples NumPy's weights and ours differ by at most {max(differences):.0e}")
    assert max(differences) < 1e-10

    epochs = 2 if quick else 20
    history = model.fit(x, labels, batch_size=1, epochs=epochs, verbose=0).history
    found = model.evaluate(x_test, labels_test, return_dict=True)
    risk = history["loss"]
    print(f"risk with regulariser: {risk[0]:.3f} in the first epoch, {risk[-1]:.3f} in epoch {epochs}")
    print(f"accuracy on {len(labels_test)} test digits: {found['accuracy']:.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2 epochs instead of 20")
    main(parser.parse_args().quick)
