"""Derivatives of all outputs by all inputs, against differences, and gradients one by one."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.errors import ConfigurationError, ShapeError
from fastnn.model import gradients

RNG = np.random.default_rng(1)
A, B = RNG.normal(0, 1, (7, 3)), RNG.normal(0, 1, (7, 2))


def net() -> fastnn.Model:
    a, b, c = fastnn.Input((3,), name="a"), fastnn.Input((2,), name="b"), fastnn.Input((1,), name="c")
    table = layers.Embedding(4, 2)(c)
    h = layers.Dense(5, "tanh")(layers.Concatenate()([a, b, layers.Flatten()(table)]))
    h = layers.Dropout(0.5)(layers.BatchNormalization()(h))
    outputs = [layers.Dense(4, "softmax", name="p")(h), layers.Multiply(name="q")([b, b])]
    return fastnn.Model([a, b, c], outputs, dtype="float64", seed=0)


@pytest.mark.parametrize("elements", [1, 700, 10**6])
def test_it_is_what_differences_say(elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In calls of one row, of a few, and of all."""
    monkeypatch.setattr(gradients, "_JACOBIAN_ELEMENTS", elements)
    model, whole = net(), RNG.integers(0, 4, (7, 1))
    found = model.jacobian({"a": A, "b": B, "c": whole})
    assert [[None if j is None else j.shape for j in several] for several in found] == [
        [(7, 4, 3), (7, 4, 2), None],
        [(7, 2, 3), (7, 2, 2), None],
    ]
    for k in range(2):
        given = [A, B][k]
        for j in range(given.shape[1]):
            step = 1e-6 * np.eye(given.shape[1])[j]
            up, down = ([A, B, whole] for _ in range(2))
            up[k], down[k] = given + step, given - step
            for output, (high, low) in enumerate(zip(model.predict(up), model.predict(down), strict=True)):
                np.testing.assert_allclose(found[output][k][:, :, j], (high - low) / 2e-6, atol=1e-8)


def test_a_row_of_it_is_a_gradient() -> None:
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(2)], seed=0)
    found = model.jacobian(A)
    assert (found.shape, found.dtype) == ((7, 2, 3), np.float32)
    for i in range(2):
        upstream = np.tile(np.eye(2)[i], (7, 1))
        np.testing.assert_allclose(found[:, i], model.input_gradients(A, upstream), rtol=1e-5, atol=1e-7)
    assert model.jacobian(A[:0]).shape == (0, 2, 3)
    with pytest.raises(ShapeError, match="x must have shape"):
        model.jacobian(B)
    labels = fastnn.Sequential([fastnn.Input((1,)), layers.Embedding(4, 2), layers.Dense(1)])
    with pytest.raises(ConfigurationError, match="inputs are integers"):
        labels.jacobian([[1]])


def test_second_derivatives_are_differences_of_first_ones() -> None:
    """The Hessian of a quadratic form is its matrix, twice."""
    model = fastnn.Sequential(
        [fastnn.Input((3,)), layers.Dense(2, use_bias=False), layers.Square(), layers.Sum()],
        dtype="float64",
        seed=0,
    )
    (kernel,) = model.get_weights()
    steps = 1e-5 * np.eye(3)
    hessian = np.stack([(model.jacobian(A + h) - model.jacobian(A - h)) / 2e-5 for h in steps], axis=-1)
    np.testing.assert_allclose(hessian[:, 0], np.broadcast_to(2 * kernel @ kernel.T, (7, 3, 3)), atol=1e-8)
