"""Operators and functions on symbolic tensors are the layers of their names."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.errors import ConfigurationError, DTypeError, ShapeError

RNG = np.random.default_rng(0)
A, B = RNG.standard_normal((7, 3)), RNG.standard_normal((7, 3))


@pytest.mark.parametrize(
    ("draw", "compute"),
    [
        (lambda a, b: a + b, lambda a, b: a + b),
        (lambda a, b: a - b, lambda a, b: a - b),
        (lambda a, b: a * b, lambda a, b: a * b),
        (lambda a, b: -a + b * 2, lambda a, b: -a + b * 2),
        (lambda a, b: 1 - a + (b - 3), lambda a, b: 1 - a + (b - 3)),
        (lambda a, b: np.float32(2) * a + b, lambda a, b: 2 * a + b),
        (lambda a, b: 0.5 * a + (2 + b), lambda a, b: 0.5 * a + (2 + b)),
        (lambda a, b: layers.add([a, b, a]), lambda a, b: 2 * a + b),
        (lambda a, b: layers.subtract([a, b]), lambda a, b: a - b),
        (lambda a, b: layers.multiply([a, b, b]), lambda a, b: a * b * b),
        (lambda a, b: layers.average([a, b]), lambda a, b: (a + b) / 2),
        (lambda a, b: layers.maximum([a, b]), np.maximum),
        (lambda a, b: layers.minimum([a, b]), np.minimum),
        (lambda a, b: layers.concatenate([a, b], axis=1), lambda a, b: np.hstack([a, b])),
    ],
)
def test_operators_and_functions(draw, compute) -> None:  # type: ignore[no-untyped-def]
    a, b = fastnn.Input((3,)), fastnn.Input((3,))
    model = fastnn.Model([a, b], draw(a, b), dtype="float64")
    np.testing.assert_allclose(model.predict([A, B]), compute(A, B), rtol=1e-14, atol=1e-14)
    assert model.input == [a, b]
    assert model.output is model.outputs[0]


def test_what_an_operator_cannot_join_is_refused() -> None:
    x = fastnn.Input((3,))
    with pytest.raises(TypeError, match="unsupported operand"):
        x + "one"  # type: ignore[operator]
    with pytest.raises(ShapeError, match=r"layer 'add' merges tensors of one width, got widths \[3, 2\]"):
        x + fastnn.Input((2,))
    with pytest.raises(DTypeError, match="has no values"):
        np.asarray(x)
    with pytest.raises(ConfigurationError, match="axis must be -1 or 1"):
        layers.Concatenate(axis=0)
