"""Every loss of Keras against Keras's own on PyTorch: ten steps of a small net, with all that weighs rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases import pairwise

import fastnn
from fastnn import layers, losses

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::fastnn.errors.TrainingWarning"),  # targets outside of [0, 1], ...
]

RNG = np.random.default_rng(11)
ROWS, BATCH = 18, 4  # the last batch is short
X = RNG.normal(size=(ROWS, 3))
START = RNG.normal(size=(3, 4)) * 0.5
LABELS = np.arange(ROWS) % 4
NUMBERS, AMOUNTS = RNG.normal(size=(ROWS, 4)), RNG.uniform(0.2, 3, (ROWS, 4))
SHARES, BINARY = RNG.dirichlet(np.ones(4), ROWS), (RNG.random((ROWS, 4)) > 0.4).astype(float)
ONE_HOT = np.eye(4)[LABELS]
BEYOND = BINARY * 1.4 - 0.2  # targets outside of [0, 1]
HOLES = np.where(RNG.random(ROWS) < 0.3, -1, LABELS)

# Name of the class, arguments, activation of the outputs, targets.
CASES: dict[str, tuple[str, dict[str, Any], str, np.ndarray]] = {
    "mape": ("MeanAbsolutePercentageError", {}, "linear", AMOUNTS),
    "msle": ("MeanSquaredLogarithmicError", {}, "linear", AMOUNTS),
    "log cosh": ("LogCosh", {}, "linear", NUMBERS),
    "poisson": ("Poisson", {}, "exponential", AMOUNTS),
    "hinge": ("Hinge", {}, "linear", 2 * BINARY - 1),
    "hinge of 0 and 1": ("Hinge", {}, "tanh", BINARY),
    "squared hinge": ("SquaredHinge", {}, "linear", BINARY),
    "categorical hinge": ("CategoricalHinge", {}, "linear", ONE_HOT),
    "kld": ("KLDivergence", {}, "softmax", SHARES),
    "cosine": ("CosineSimilarity", {}, "linear", NUMBERS),
    "binary focal": ("BinaryFocalCrossentropy", {}, "sigmoid", BINARY),
    "binary focal, all": (
        "BinaryFocalCrossentropy",
        {"apply_class_balancing": True, "alpha": 0.3, "gamma": 1.5, "from_logits": True}
        | {"label_smoothing": 0.1},
        "linear",
        BINARY,
    ),
    "binary focal, 0": ("BinaryFocalCrossentropy", {"gamma": 0.0}, "sigmoid", BINARY),
    "focal": ("CategoricalFocalCrossentropy", {}, "softmax", ONE_HOT),
    "focal, all": (
        "CategoricalFocalCrossentropy",
        {"alpha": 0.5, "gamma": 3.0, "from_logits": True, "label_smoothing": 0.2},
        "linear",
        SHARES,
    ),
    "focal, 0": ("CategoricalFocalCrossentropy", {"gamma": 0.0}, "sigmoid", ONE_HOT),
    "generalized": ("CategoricalGeneralizedCrossEntropy", {"q": 0.3}, "softmax", LABELS),
    "dice": ("Dice", {"axis": -1}, "sigmoid", BINARY),
    "tversky": ("Tversky", {"alpha": 0.3, "beta": 0.6, "axis": -1}, "sigmoid", SHARES),
    "ce, smoothed": ("CategoricalCrossentropy", {"label_smoothing": 0.1}, "softmax", ONE_HOT),
    "ce of logits, smoothed": (
        "CategoricalCrossentropy", {"label_smoothing": 0.3, "from_logits": True}, "linear", ONE_HOT
    ),
    "ce beyond": ("CategoricalCrossentropy", {"from_logits": True}, "linear", BEYOND),
    "bce, smoothed": ("BinaryCrossentropy", {"label_smoothing": 0.1}, "sigmoid", BINARY),
    "bce, smoothed, plain": ("BinaryCrossentropy", {"label_smoothing": 1.0}, "softmax", BINARY),
    "bce beyond": ("BinaryCrossentropy", {"from_logits": True}, "linear", BEYOND),
    "ignored": ("SparseCategoricalCrossentropy", {"ignore_class": 2}, "softmax", LABELS),
    "ignored logits": (
        "SparseCategoricalCrossentropy", {"ignore_class": -1, "from_logits": True}, "linear", HOLES
    ),
    "ignored, plain": ("SparseCategoricalCrossentropy", {"ignore_class": -1}, "sigmoid", HOLES),
}  # fmt: skip
# A reduction, and sample weights.
WEIGHED: dict[str, tuple[str, np.ndarray | None]] = {
    "mean": ("sum_over_batch_size", None),
    "weighted mean": ("mean_with_sample_weight", RNG.uniform(0, 2, ROWS)),
    "sum": ("sum", RNG.normal(0.7, 1, ROWS)),
}


def theirs(
    keras: Any, case: str, dtype: str, reduction: str, weights: np.ndarray | None, rate: float
) -> tuple[list[float], np.ndarray]:
    """Return the losses of two epochs, and the weights then."""
    import torch

    name, arguments, activation, y = CASES[case]
    loss = getattr(keras.losses, name)(reduction=reduction, dtype=dtype, **arguments)
    x, t = torch.tensor(X.astype(dtype)), torch.tensor(y if y.ndim == 1 else y.astype(dtype))
    kernel = torch.tensor(START.astype(dtype), requires_grad=True)
    found = []
    for _ in range(2):
        total = 0.0
        for first in range(0, ROWS, BATCH):
            part = slice(first, first + BATCH)
            output = getattr(keras.activations, activation)(x[part] @ kernel)
            weight = None if weights is None else torch.tensor(weights[part].astype(dtype))
            value = loss(t[part], output, sample_weight=weight)
            (gradient,) = torch.autograd.grad(value, kernel)
            with torch.no_grad():
                kernel -= rate * gradient
            total += float(value.detach()) * len(output)
        found.append(total / ROWS)
    return found, kernel.detach().numpy()


@pytest.mark.parametrize(("case", "weighed", "dtype"), pairwise(CASES, WEIGHED, ["float32", "float64"]))
def test_ten_steps(keras: Any, case: str, weighed: str, dtype: str) -> None:
    reduction, weights = WEIGHED[weighed]
    name, arguments, activation, y = CASES[case]
    rate = 1e-4 if case == "mape" else 0.02
    expected, kernel = theirs(keras, case, dtype, reduction, weights, rate)
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(4, activation, use_bias=False)], dtype=dtype)
    model.compile(fastnn.optimizers.SGD(rate), getattr(losses, name)(reduction=reduction, **arguments))
    model.set_weights([START])
    history = model.fit(X, y, batch_size=BATCH, epochs=2, shuffle=False, sample_weight=weights, verbose=0)
    # With PyTorch, Keras's means of float64 are float32.
    value, weight = (1e-6, 1e-5) if dtype == "float32" else (1e-7, 1e-7)
    scale = max(1.0, *np.abs(expected))
    np.testing.assert_allclose(history.history["loss"], expected, rtol=value, atol=value * scale)
    np.testing.assert_allclose(model.get_weights()[0], kernel, rtol=weight, atol=weight)


REDUCTIONS = ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", None]
SHAPES: dict[str, tuple[int, ...]] = {"rows": (ROWS,), "rows of rows": (3, 6), "a row": ()}
WEIGHTS = ["none", "a row", "a column", "one"]


@pytest.mark.parametrize(
    ("case", "reduction", "shape", "weighed", "dtype"),
    pairwise(CASES, REDUCTIONS, SHAPES, WEIGHTS, ["float32", "float64"]),
)
def test_calls_on_arrays(
    keras: Any, case: str, reduction: str | None, shape: str, weighed: str, dtype: str
) -> None:
    name, arguments, activation, y = CASES[case]
    before = SHAPES[shape]
    rows = int(np.prod(before))
    output = np.asarray(getattr(keras.activations, activation)(keras.ops.convert_to_tensor(X @ START)))
    output = output[:rows].reshape(*before, 4).astype(dtype)
    t = y[:rows].reshape(before if y.ndim == 1 else (*before, 4))
    every = RNG.uniform(0, 2, before)
    weights = {"none": None, "a row": every, "a column": every[..., None], "one": np.asarray(0.7)}[weighed]
    if weighed == "one" and name.startswith("Sparse"):  # which Keras cannot join with what is ignored
        weights = np.full(before, 0.7)
    loss = getattr(keras.losses, name)(reduction=reduction, dtype=dtype, **arguments)
    expected = np.asarray(loss(t, output, sample_weight=weights))
    found = getattr(losses, name)(reduction=reduction, **arguments)(t, output, weights)
    assert (type(found) is float) == (reduction is not None)
    assert np.shape(found) == expected.shape
    limit = 2e-6 if dtype == "float32" else 1e-7  # with PyTorch, Keras's means of float64 are float32
    np.testing.assert_allclose(found, expected, rtol=limit, atol=limit)


@pytest.mark.parametrize("case", CASES)
def test_functions_of_arrays(keras: Any, case: str) -> None:
    name, arguments, activation, t = CASES[case]
    output = np.asarray(getattr(keras.activations, activation)(keras.ops.convert_to_tensor(X @ START)))
    function = getattr(losses, losses.get(name).name)
    expected = np.asarray(
        getattr(keras.losses, function.__name__)(
            t.astype("float64"), keras.ops.convert_to_tensor(output), **arguments
        )
    )
    found = function(t, output, **arguments)
    assert found.shape == expected.shape == (ROWS,)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    assert losses.get(function) == getattr(losses, name)()


def test_names_are_those_of_keras(keras: Any) -> None:
    from keras.src.losses import ALL_OBJECTS_DICT

    skipped = ("Loss", "LossFunctionWrapper", "CTC", "Circle")
    for name, thing in ALL_OBJECTS_DICT.items():
        if name not in (*skipped, *map(str.lower, skipped)):
            assert losses.get(name) == losses.get(thing.__name__)
    for name in ("log_cosh", "kl_divergence", "categorical_hinge", "binary_focal_crossentropy", "poisson"):
        assert losses.get(name).name == name
