"""Layers without arithmetic: they cost nothing in a plan, and every gradient stays what it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers, losses
from fastnn.errors import ConfigurationError, DTypeError, ShapeError

RNG = np.random.default_rng(3)
X, Y = RNG.standard_normal((20, 4)), RNG.standard_normal((20, 3))
SAME = {"identity": layers.Identity, "flatten": layers.Flatten, "reshape": lambda: layers.Reshape((-1,))}


def chain(same: Callable[[], Any] | None, *, dtype: str = "float64", width: int = 6) -> Any:
    """Return a compiled chain, with such a layer at all places, or nowhere."""
    parts: list[Any] = [fastnn.Input((4,))]
    for part in (None, layers.Dense(width, "tanh"), layers.Dense(3, "softmax")):
        parts += [] if part is None else [part]
        parts += [] if same is None else [same()]
    model = fastnn.Sequential(parts, dtype=dtype, seed=1)
    model.compile("adam", "categorical_crossentropy")
    return model


@pytest.mark.parametrize("purpose", ["train", "evaluate", "predict", "input_gradients", "gradients"])
@pytest.mark.parametrize("same", SAME)
def test_plans_are_the_same_without_them(same: str, purpose: str) -> None:
    for width, dtype in ((6, "float64"), (3, "float32")):  # the last one with the batch as the fast axis
        with_, without = (chain(kind, dtype=dtype, width=width) for kind in (SAME[same], None))
        assert str(with_.plan(16, purpose=purpose)) == str(without.plan(16, purpose=purpose))


def test_they_train_as_if_they_were_not_there() -> None:
    with_, without = (chain(same, dtype="float32") for same in (layers.Identity, None))
    for model in (with_, without):
        model.fit(X, np.eye(3)[Y.argmax(1)], batch_size=8, epochs=2, verbose=0)
    for found, expected in zip(with_.get_weights(), without.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(with_.predict(X), without.predict(X))


def several() -> Any:
    """Return a net with two outputs that are one tensor, and a third that is an input."""
    x = fastnn.Input((4,), name="x")
    h = layers.Dense(3, "softmax", name="h")(x)
    outputs = [h, layers.Identity(name="same")(h), layers.Flatten(name="given")(x)]
    model = fastnn.Model(x, outputs, dtype="float64", seed=1)
    model.compile("sgd", ["categorical_crossentropy", "mse", "mse"])
    return model


def test_outputs_that_are_one_tensor() -> None:
    model = several()
    h, same, given = model.predict(X)
    np.testing.assert_array_equal(h, same)
    np.testing.assert_array_equal(given, X)
    targets = [np.eye(3)[Y.argmax(1)], Y, X]
    assert fastnn.gradcheck(model, X, targets).largest < 1e-6
    _, gradients = model.loss_and_gradients(X, targets)
    separate = fastnn.Model(model.inputs[0], model.outputs[0], dtype="float64")
    parts = []
    for loss, target in ((losses.CategoricalCrossentropy(), targets[0]), (losses.MeanSquaredError(), Y)):
        separate.compile("sgd", loss)
        parts.append(separate.loss_and_gradients(X, target)[1]["h/kernel"])
    np.testing.assert_allclose(gradients["h/kernel"], parts[0] + parts[1], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("layer", [layers.Identity, lambda **o: layers.Dropout(0.5, **o)])
def test_a_gradient_that_is_asked_for_is_of_that_branch_only(layer: Callable[..., Any]) -> None:
    x = fastnn.Input((4,))
    h = layers.Dense(3)(x)
    branch = layer(name="branch")(h)
    model = fastnn.Model(x, layers.Add()([layers.Scale(2.0)(branch), h]), dtype="float64", seed=1)
    model.forward(X)
    np.testing.assert_array_equal(model.backward(np.ones((20, 3)), wrt="branch")["branch"], 2.0)


def test_behind_an_embedding() -> None:
    x = fastnn.Input((3,), dtype="int32")
    table = layers.Embedding(5, 2)
    model = fastnn.Model(x, [table(x), layers.Flatten()(table(x))], seed=1)
    one, other = model.predict(np.arange(6).reshape(2, 3) % 5)
    np.testing.assert_array_equal(one, other)


def test_rescaling() -> None:
    model = fastnn.Sequential([fastnn.Input((4,)), layers.Rescaling(0.5, offset=-1.0)], dtype="float64")
    np.testing.assert_array_equal(model.predict(X), 0.5 * X - 1.0)
    np.testing.assert_array_equal(model.input_gradients(X, np.ones((20, 4))), 0.5)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: layers.Reshape((2, 3)), ShapeError, r"one width, .* got \(2, 3\); leave the layer out"),
        (lambda: layers.Reshape(()), ShapeError, "target_shape must be one width"),
        (lambda: layers.Reshape(3), DTypeError, "target_shape must be a tuple of one int, got 3"),
        (lambda: layers.Reshape((0,)), ConfigurationError, "target_shape must be at least 1"),
        (lambda: layers.Reshape((3,))(fastnn.Input((4,))), ShapeError, r"3 numbers of rows of 4; .*\(4,\)"),
        (lambda: layers.Flatten("rows"), DTypeError, "data_format must be 'channels_last'"),
        (lambda: layers.Rescaling([1.0, 2.0]), DTypeError, "scale must be a number"),
        (lambda: layers.Identity(dtype="float32"), DTypeError, "Identity has no argument dtype: the model"),
    ],
)
def test_bad_arguments_are_refused(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
