"""C: two layers with binary cross-entropy, every gradient written out, every dimension checked.

Forward: v1 = W1 x + b1, y1 = sigma(v1), v2 = W2 y1 + b2, y2 = sigma(v2).  Backward: dv2 = y2 - d,
dW2 = dv2 y1^T, db2 = dv2, dv1 = W2^T dv2 * sigma'(v1), dW1 = dv1 x^T, db1 = dv1; a minibatch takes 1/m of the
sums.  As everywhere here samples are rows, so that the products below are the lecture's, transposed.
"""

import argparse

import numpy as np

import fastnn
from fastnn.layers import Dense


def sigmoid(v: np.ndarray) -> np.ndarray:
    """Return the logistic function."""
    return 1 / (1 + np.exp(-v))


def main(quick: bool) -> None:
    """Compare one step with the formulas, then train a net on what one layer cannot learn."""
    m, inputs, hidden = 5, 2, 8
    x, d = fastnn.datasets.make_quadrants(m, seed=0)
    x, d = x.astype(float), np.reshape(d, (-1, 1)).astype(float)
    model = fastnn.Sequential(
        [fastnn.Input((inputs,)), Dense(hidden, "sigmoid"), Dense(1, "sigmoid")], dtype="float64", seed=0
    )
    rate = 0.5
    model.compile(fastnn.optimizers.SGD(rate), "binary_crossentropy")
    w1, b1, w2, b2 = model.get_weights()

    y1 = sigmoid(x @ w1 + b1)
    y2 = sigmoid(y1 @ w2 + b2)
    dv2 = y2 - d
    dv1 = dv2 @ w2.T * y1 * (1 - y1)
    by_formula = [x.T @ dv1 / m, dv1.sum(0) / m, y1.T @ dv2 / m, dv2.sum(0) / m]
    _, gradients = model.loss_and_gradients(x, d)
    print(f"{m} examples, {inputs}-{hidden}-1; largest difference from the lecture's formulas:")
    for (name, ours), formula, weight in zip(gradients.items(), by_formula, (w1, b1, w2, b2), strict=True):
        print(f"  {name:15} shape {ours.shape!s:7} = shape of the weight, {np.abs(ours - formula).max():.0e}")
        assert ours.shape == formula.shape == weight.shape
        np.testing.assert_allclose(ours, formula, rtol=1e-10, atol=1e-14)

    model.train_on_batch(x, d)
    for after, before, gradient in zip(model.get_weights(), (w1, b1, w2, b2), by_formula, strict=True):
        np.testing.assert_allclose(after, before - rate * gradient, rtol=1e-10, atol=1e-14)
    print("  one step changed every weight by -rate * gradient")

    epochs = 5 if quick else 200
    model.compile(fastnn.optimizers.SGD(rate, momentum=0.9), "binary_crossentropy", metrics=["accuracy"])
    line = fastnn.Sequential([fastnn.Input((inputs,)), Dense(1, "sigmoid")], seed=0)
    line.compile(fastnn.optimizers.SGD(rate), "binary_crossentropy", metrics=["accuracy"])
    train, fresh = (fastnn.datasets.make_quadrants(1000, seed=seed) for seed in (1, 2))
    print(f"\nthe sign of x1 x2, {epochs} epochs in batches of 50: accuracy on 1000 fresh points")
    for name, net in (("one layer", line), ("two layers", model)):
        net.fit(*train, batch_size=50, epochs=epochs, verbose=0)
        print(f"  {name:10} {net.evaluate(*fresh, return_dict=True)['accuracy']:.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="5 epochs instead of 200")
    main(parser.parse_args().quick)
