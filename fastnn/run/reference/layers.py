"""The reference's definitions of ops that serve one layer each: slopes, statistics, bins, random factors.

This file must not call kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.compiler.plan import Op, OpCode
from fastnn.run.reference.draws import normals_of

__all__ = ["OPS"]


def _standardize(m: Any, op: Op) -> None:
    epsilon, invert = op.constants
    x, mean = m(op, "x"), m.get(op, "mean")
    mean = 0.0 if mean is None else mean
    deviation = np.maximum(np.sqrt(m(op, "variance")), epsilon)
    m.put(op, "y", mean + x * deviation if invert else (x - mean) / deviation)


def _prelu(m: Any, op: Op) -> None:
    x, z = m(op, "x"), m.get(op, "z")
    z = x if z is None else z
    m.put(op, "y", x * np.where(z > 0, 1.0, np.where(z < 0, m(op, "w"), 0.0)))


def _prelu_gradient(m: Any, op: Op) -> None:
    x = m(op, "x")
    m.put(op, "dw", np.where(x < 0, x * m(op, "dy"), 0.0).sum(0, keepdims=True))


def _scale_features(m: Any, op: Op) -> None:
    m.put(op, "y", m(op, "x") * m(op, "w"))


def _scale_features_gradient(m: Any, op: Op) -> None:
    m.put(op, "dw", (m(op, "x") * m(op, "dy")).sum(0, keepdims=True))


def _gaussian_dropout(m: Any, op: Op) -> None:
    m.put(op, "y", m(op, "x") * (1.0 + op.constants[0] * normals_of(m.bits(op))))


def _alpha_dropout(m: Any, op: Op) -> None:
    rate, _, scale, dropped = op.constants
    kept = m.bits(op) >= int(rate * 2**32)
    m.put(op, "y", np.where(kept, scale * m(op, "x") - dropped * rate / (1.0 - rate), dropped))


def _put_categories(m: Any, op: Op, categories: np.ndarray, depth: int) -> None:
    """Write categories (rows, k) as numbers, one after the other as 0 and 1, as a set, or counted."""
    mode, parts = int(op.constants[0]), np.eye(depth)[categories]
    rows = len(categories)
    m.put(op, "y", (categories, parts.reshape(rows, -1), parts.max(1), parts.sum(1))[mode])


def _discretize(m: Any, op: Op) -> None:
    bounds = m(op, "w")[0]
    _put_categories(m, op, np.digitize(m(op, "x"), bounds), len(bounds) + 1)


def _encode_categories(m: Any, op: Op) -> None:
    x, depth = m(op, "x").astype(int), op.need("y").columns
    _put_categories(m, op, x, depth // x.shape[1] if op.constants[0] == 1 else depth)


OPS: dict[OpCode, Callable[[Any, Op], None]] = {
    OpCode.STANDARDIZE: _standardize,
    OpCode.DISCRETIZE: _discretize,
    OpCode.ENCODE_CATEGORIES: _encode_categories,
    OpCode.PRELU: _prelu,
    OpCode.PRELU_GRADIENT: _prelu_gradient,
    OpCode.SCALE_FEATURES: _scale_features,
    OpCode.SCALE_FEATURES_GRADIENT: _scale_features_gradient,
    OpCode.GAUSSIAN_DROPOUT: _gaussian_dropout,
    OpCode.ALPHA_DROPOUT: _alpha_dropout,
}
