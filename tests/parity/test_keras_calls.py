"""Descriptions that are called on arrays against Keras's: regularizers, constraints, losses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastnn import constraints, losses, regularizers

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("shape", [(), (5,), (4, 3), (2, 3, 2)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_regularizers_and_constraints_are_those_of_keras(
    keras: Any, shape: tuple[int, ...], dtype: str
) -> None:
    w = RNG.normal(size=shape).astype(dtype)
    for name, arguments in (("L1", (0.3,)), ("L2", (0.2,)), ("L1L2", (0.1, 0.4)), ("L1L2", ())):
        found = getattr(regularizers, name)(*arguments)(w)
        assert type(found) is float
        assert found == pytest.approx(float(getattr(keras.regularizers, name)(*arguments)(w)), rel=1e-6)
    axes: list[Any] = [*range(len(shape)), -1, list(range(len(shape)))]
    chosen: list[tuple[str, dict[str, Any]]] = [("NonNeg", {})]
    for axis in axes if shape else ():
        chosen += [
            ("MaxNorm", {"max_value": 0.7, "axis": axis}),
            ("MinMaxNorm", {"min_value": 1.2, "max_value": 1.5, "rate": 0.3, "axis": axis}),
            ("UnitNorm", {"axis": axis}),
        ]
    for name, options in chosen:
        before = w.copy()
        found = getattr(constraints, name)(**options)(w)
        expected = np.asarray(getattr(keras.constraints, name)(**options)(w))
        assert (found.dtype, found.shape) == (dtype, shape)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)  # Keras computes in float32
        np.testing.assert_array_equal(w, before)


@pytest.mark.parametrize("mode", ["rows", "columns"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pairs_are_those_of_keras(keras: Any, mode: str, dtype: str) -> None:
    w = RNG.normal(size=(4, 3)).astype(dtype)
    w[2], w[:, 1] = 0.0, 1e-9 * w[:, 1]  # without a direction, and too short to have one
    found = regularizers.OrthogonalRegularizer(0.3, mode)(w)
    tensor = keras.ops.convert_to_tensor(w, dtype)
    assert found == pytest.approx(
        float(keras.regularizers.OrthogonalRegularizer(0.3, mode)(tensor)), rel=1e-5
    )


def test_losses_take_tensors(peer: Any) -> None:
    torch = peer("torch")
    y, t = RNG.normal(size=(2, 3, 2))
    found = losses.MeanSquaredError()(torch.tensor(t), torch.tensor(y), torch.ones(3))
    assert found == pytest.approx(((y - t) ** 2).mean(), rel=1e-12)
