"""Activations and point-wise losses in float64 NumPy, with their slopes: what the reference is made of.

This file must not know plans or kernels.
"""

from __future__ import annotations

import numpy as np

from fastnn.errors import PlanError
from fastnn.ops import Activation, Pointwise

__all__ = ["activate", "differentiate", "pointwise"]


def activate(activation: Activation, x: np.ndarray, numbers: tuple[float, ...] = ()) -> np.ndarray:
    """Return an activation of x; `numbers` are those of its options."""
    match activation:
        case Activation.SIGMOID:
            small = np.exp(-np.abs(x))
            return np.where(x > 0, 1.0, small) / (1.0 + small)
        case Activation.TANH:
            return np.tanh(x)
        case Activation.RELU:
            return np.maximum(x, 0.0)
        case Activation.SOFTMAX:
            e = np.exp(x - x.max(1, keepdims=True))
            return e / e.sum(1, keepdims=True)
        case Activation.LEAKY_RELU:
            (alpha,) = numbers
            return np.where(x > 0, x, alpha * x)
        case Activation.ELU:
            (alpha,) = numbers
            return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0)))
        case Activation.EXPONENTIAL:
            return np.exp(x)
        case Activation.RECIPROCAL:
            return 1.0 / x
        case Activation.LOG:
            return np.log(x)
        case Activation.SOFTPLUS:
            return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))
        case Activation.SOFTSIGN:
            return x / (1.0 + np.abs(x))
    return x


def differentiate(
    activation: Activation, dy: np.ndarray, y: np.ndarray, numbers: tuple[float, ...] = ()
) -> np.ndarray:
    """Return dy * activation'(x) from y = activation(x), or y = x where the table says so."""
    match activation:
        case Activation.SIGMOID:
            return dy * y * (1.0 - y)
        case Activation.TANH:
            return dy * (1.0 - y**2)
        case Activation.RELU:
            return np.where(y > 0, dy, 0.0)
        case Activation.SOFTMAX:
            return y * (dy - (dy * y).sum(1, keepdims=True))
        case Activation.LEAKY_RELU:
            (alpha,) = numbers
            return np.where(y > 0, dy, alpha * dy)
        case Activation.ELU:
            (alpha,) = numbers
            return np.where(y > 0, dy, dy * (y + alpha))
        case Activation.EXPONENTIAL:
            return dy * y
        case Activation.RECIPROCAL:
            return -dy * y**2
        case Activation.LOG:
            return dy / y
        case Activation.SOFTPLUS:
            return -dy * np.expm1(-y)
        case Activation.SOFTSIGN:
            return dy * (1.0 - np.abs(y)) ** 2
    return dy


def pointwise(
    function: Pointwise, y: np.ndarray, t: np.ndarray, parameter: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return a point-wise loss of outputs and targets, and its slope by the outputs."""
    error = y - t
    match function:
        case Pointwise.ABSOLUTE_ERROR:
            return np.abs(error), np.sign(error)
        case Pointwise.HUBER:
            near = np.abs(error) <= parameter
            line = parameter * np.abs(error) - parameter**2 / 2
            return np.where(near, error**2 / 2, line), np.where(near, error, parameter * np.sign(error))
    raise PlanError(f"there is no point-wise loss {function!r}")
