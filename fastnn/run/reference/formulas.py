"""Activations and losses in float64 NumPy, with their slopes: what the reference is made of.

This file must not know plans or kernels.
"""

from __future__ import annotations

import math

import numpy as np

from fastnn.errors import PlanError
from fastnn.ops import Activation, Pointwise, Rowwise

__all__ = ["GELU", "SELU", "SELU_BELOW", "activate", "differentiate", "pointwise", "rowwise"]

CLIP = 1e-7  # how far Keras keeps numbers away from 0, and probabilities from 1

GELU = 2.0 * math.sqrt(2.0 / math.pi)  # see `_gelu_score`
SELU = 1.0507009873554804934193349852946  # its slope above 0, and its distance far below
SELU_BELOW = 1.7580993408473768599402175208123


def _sigmoid(x: np.ndarray) -> np.ndarray:
    small = np.exp(-np.abs(x))
    return np.where(x > 0, 1.0, small) / (1.0 + small)


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def _share_below(x: np.ndarray) -> np.ndarray:
    """Return the share of a standard normal distribution below x."""
    return np.vectorize(math.erfc, otypes=[float])(-x / math.sqrt(2.0)) / 2.0


def _gelu_score(x: np.ndarray) -> np.ndarray:
    """Return that of which a sigmoid is near to `_share_below`."""
    return GELU * (x + 0.044715 * x**3)


def _hard_sigmoid(x: np.ndarray) -> np.ndarray:
    return np.clip(x + 3.0, 0.0, 6.0) / 6.0


def activate(activation: Activation, x: np.ndarray, numbers: tuple[float, ...] = ()) -> np.ndarray:
    """Return an activation of x; `numbers` are those of its options."""
    match activation:
        case Activation.SIGMOID:
            return _sigmoid(x)
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
            return _softplus(x)
        case Activation.SOFTSIGN:
            return x / (1.0 + np.abs(x))
        case Activation.RELU6:
            return np.clip(x, 0.0, 6.0)
        case Activation.SELU:
            return np.where(x > 0, SELU * x, SELU_BELOW * np.expm1(np.minimum(x, 0.0)))
        case Activation.GELU:
            return x * (_sigmoid(_gelu_score(x)) if numbers[0] else _share_below(x))
        case Activation.SILU:
            return x * _sigmoid(x)
        case Activation.MISH:
            return x * np.tanh(_softplus(x))
        case Activation.CELU:
            (alpha,) = numbers
            return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0) / alpha))
        case Activation.HARD_SIGMOID:
            return _hard_sigmoid(x)
        case Activation.HARD_SILU:
            return x * _hard_sigmoid(x)
        case Activation.HARD_TANH:
            return np.clip(x, -1.0, 1.0)
        case Activation.SPARSE_PLUS:
            return np.where(x >= 1.0, x, np.square(np.maximum(x + 1.0, 0.0)) / 4.0)
        case Activation.SPARSE_SIGMOID:
            return np.clip(x + 1.0, 0.0, 2.0) / 2.0
        case Activation.LOG_SOFTMAX:
            z = x - x.max(1, keepdims=True)
            return z - np.log(np.exp(z).sum(1, keepdims=True))
        case Activation.LOG_SIGMOID:
            return -_softplus(-x)
        case Activation.SQUAREPLUS:
            (b,) = numbers
            return (x + np.sqrt(x**2 + b)) / 2.0
        case Activation.TANH_SHRINK:
            return x - np.tanh(x)
        case Activation.SOFT_SHRINK:
            (threshold,) = numbers
            return np.sign(x) * np.maximum(np.abs(x) - threshold, 0.0)
        case Activation.HARD_SHRINK:
            (threshold,) = numbers
            return np.where(np.abs(x) > threshold, x, 0.0)
        case Activation.THRESHOLD:
            threshold, value = numbers
            return np.where(x > threshold, x, value)
        case Activation.RECTIFIER:
            slope, top, threshold = numbers
            above = np.minimum(x, top) if top >= 0 else x
            return np.where(x > threshold, above, slope * (x - threshold))
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
        case Activation.RELU6:
            return np.where((y > 0) & (y < 6), dy, 0.0)
        case Activation.SELU:
            return dy * np.where(y > 0, SELU, y + SELU_BELOW)
        case Activation.GELU:
            if numbers[0]:
                s = _sigmoid(_gelu_score(y))
                return dy * (s + y * s * (1.0 - s) * GELU * (1.0 + 3.0 * 0.044715 * y**2))
            return dy * (_share_below(y) + y * np.exp(-(y**2) / 2.0) / math.sqrt(2.0 * math.pi))
        case Activation.SILU:
            s = _sigmoid(y)
            return dy * s * (1.0 + y * (1.0 - s))
        case Activation.MISH:
            t = np.tanh(_softplus(y))
            return dy * (t + y * (1.0 - t**2) * _sigmoid(y))
        case Activation.CELU:
            (alpha,) = numbers
            return dy * np.where(y > 0, 1.0, y / alpha + 1.0)
        case Activation.HARD_SIGMOID:
            return np.where((y > 0) & (y < 1), dy / 6.0, 0.0)
        case Activation.HARD_SILU:
            return dy * np.where(y <= -3, 0.0, np.where(y >= 3, 1.0, y / 3.0 + 0.5))
        case Activation.HARD_TANH:
            return np.where(np.abs(y) < 1, dy, 0.0)
        case Activation.SPARSE_PLUS:
            return dy * np.sqrt(np.minimum(y, 1.0))
        case Activation.SPARSE_SIGMOID:
            return np.where((y > 0) & (y < 1), dy / 2.0, 0.0)
        case Activation.LOG_SOFTMAX:
            return dy - np.exp(y) * dy.sum(1, keepdims=True)
        case Activation.LOG_SIGMOID:
            return -dy * np.expm1(y)
        case Activation.SQUAREPLUS:
            (b,) = numbers
            return np.where(y == 0, 0.0, dy * y**2 / np.where(y == 0, 1.0, y**2 + b / 4.0))
        case Activation.TANH_SHRINK:
            return dy * np.tanh(y) ** 2
        case Activation.SOFT_SHRINK | Activation.HARD_SHRINK:
            return np.where(y == 0, 0.0, dy)
        case Activation.THRESHOLD:
            return np.where(y > numbers[0], dy, 0.0)
        case Activation.RECTIFIER:
            slope, top, threshold = numbers
            above = (y > threshold) & ((y <= top) | (top < 0))
            return dy * np.where(y < threshold, slope, np.where(above, 1.0, 0.0))
    return dy


def pointwise(
    function: Pointwise, y: np.ndarray, t: np.ndarray, arguments: tuple[float, ...] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Return a point-wise loss of outputs and targets, and its slope by the outputs."""
    error = y - t
    match function:
        case Pointwise.ABSOLUTE_ERROR:
            return np.abs(error), np.sign(error)
        case Pointwise.HUBER:
            (delta,) = arguments
            near = np.abs(error) <= delta
            line = delta * np.abs(error) - delta**2 / 2
            return np.where(near, error**2 / 2, line), np.where(near, error, delta * np.sign(error))
        case Pointwise.PERCENTAGE_ERROR:
            scale = 100.0 / np.maximum(np.abs(t), CLIP)
            return scale * np.abs(error), scale * np.sign(error)
        case Pointwise.LOGARITHMIC_ERROR:
            error = np.log(np.maximum(y, CLIP) + 1.0) - np.log(np.maximum(t, CLIP) + 1.0)
            return error**2, np.where(y < CLIP, 0.0, 2.0 * error / (np.maximum(y, CLIP) + 1.0))
        case Pointwise.LOG_COSH:
            return np.logaddexp(error, -error) - np.log(2.0), np.tanh(error)
        case Pointwise.POISSON:
            return y - t * np.log(y + CLIP), 1.0 - t / (y + CLIP)
        case Pointwise.HINGE | Pointwise.SQUARED_HINGE:
            sign = np.where(t == 0, -1.0, t)
            margin = np.maximum(1.0 - sign * y, 0.0)
            if function is Pointwise.SQUARED_HINGE:
                return margin**2, -2.0 * sign * margin
            return margin, np.where(margin == 0, 0.0, margin * 0.0 - sign)
        case Pointwise.QUANTILE | Pointwise.QUANTILES:
            level = np.array(arguments)
            factor = np.where(error > 0, 1.0 - level, -level)
            return factor * error, factor * np.abs(np.sign(error))
        case Pointwise.GAMMA:
            return 2.0 * (np.log(y / t) - error / y), 2.0 * error / y**2
        case Pointwise.TWEEDIE:
            (p,) = arguments
            parts = t ** (2 - p) / ((1 - p) * (2 - p)), t * y ** (1 - p) / (1 - p), y ** (2 - p) / (2 - p)
            return 2.0 * (parts[0] - parts[1] + parts[2]), 2.0 * error * y**-p
        case Pointwise.KL_DIVERGENCE:
            target = np.clip(t, CLIP, 1.0)
            slope = np.where((y < CLIP) | (y > 1.0), 0.0, -target / np.clip(y, CLIP, 1.0))
            return target * np.log(target / np.clip(y, CLIP, 1.0)), slope
        case Pointwise.BINARY_FOCAL:
            gamma, alpha, balanced = arguments
            p, missing = np.clip(y, CLIP, 1.0 - CLIP), t * (1.0 - y) + (1.0 - t) * y
            crossentropy = -(t * np.log(p) + (1.0 - t) * np.log1p(-p))
            slope = np.where((y < CLIP) | (y > 1.0 - CLIP), 0.0, (1.0 - t) / (1.0 - p) - t / p)
            weight = t * alpha + (1.0 - t) * (1.0 - alpha) if balanced else 1.0
            factor, derived = _power(missing, gamma)
            slope = derived * (1.0 - 2.0 * t) * crossentropy + factor * slope
            return weight * factor * crossentropy, weight * slope
    raise PlanError(f"there is no point-wise loss {function!r}")


def _power(x: np.ndarray, gamma: float) -> tuple[np.ndarray, np.ndarray]:
    """Return ``x**gamma``, and its slope."""
    return x**gamma, gamma * x ** (gamma - 1.0) if gamma else np.zeros_like(x)


def rowwise(
    function: Rowwise, y: np.ndarray, t: np.ndarray, arguments: tuple[float, ...] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Return a row-wise loss as a column, and its gradient by the outputs."""
    match function:
        case Rowwise.COSINE_SIMILARITY:
            of_output, of_target = (
                1.0 / np.maximum(np.sqrt((a**2).sum(1, keepdims=True)), CLIP) for a in (y, t)
            )
            along = (y * t).sum(1, keepdims=True) * of_output * of_target
            turned = np.where(of_output < 1.0 / CLIP, along * of_output * y, 0.0)
            return -along, of_output * (turned - of_target * t)
        case Rowwise.CATEGORICAL_HINGE:
            wrong = (1.0 - t) * y
            best = np.eye(y.shape[1])[wrong.argmax(1)]
            margin = wrong.max(1, keepdims=True) - (t * y).sum(1, keepdims=True) + 1.0
            margin = np.maximum(margin, 0.0)
            return margin, np.where(margin == 0, 0.0, best * (1.0 - t) - t + margin * 0.0)
        case Rowwise.CATEGORICAL_FOCAL:
            gamma, alpha = arguments
            total = y.sum(1, keepdims=True)
            p = np.clip(y / total, CLIP, 1.0 - CLIP)
            factor, derived = _power(1.0 - p, gamma)
            slope = alpha * t * (derived * np.log(p) - factor / p)
            slope = np.where((y / total < CLIP) | (y / total > 1.0 - CLIP), 0.0, slope)
            value = -(alpha * t * factor * np.log(p)).sum(1, keepdims=True)
            return value, (slope - (slope * p).sum(1, keepdims=True)) / total
        case Rowwise.GAUSSIAN:
            epsilon, full = arguments
            mean, e = np.split(y, 2, axis=1)
            error, e = mean - t, np.exp(e)
            v = e + epsilon
            value = (np.log(v) + error**2 / v).mean(1, keepdims=True) / 2 + (full * np.log(2 * np.pi) / 2)
            return value, np.hstack([error / v, 0.5 * (1.0 - error**2 / v) * e / v]) / t.shape[1]
        case Rowwise.TVERSKY:
            alpha, beta, epsilon = arguments
            common, of_target, of_output = (part.sum(1, keepdims=True) for part in (t * y, t, y))
            whole = common + alpha * (of_target - common) + beta * (of_output - common) + epsilon
            slope = (common / whole * (t - alpha * t + beta * (1.0 - t)) - t) / whole
            return 1.0 - common / whole, slope
        case Rowwise.GENERALIZED_CROSSENTROPY:
            (q,) = arguments
            labelled = np.eye(y.shape[1])[t[:, 0].astype(int)]
            p = (y * labelled).sum(1, keepdims=True)
            return (1.0 - p**q) / q, -labelled * np.maximum(p, CLIP) ** (q - 1.0)
    raise PlanError(f"there is no row-wise loss {function!r}")
