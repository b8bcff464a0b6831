"""The reference's definitions of updates: rules, decay, sums of gradients, averages of weights.

This file must not call kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.compiler.plan import Op, OpCode

__all__ = ["OPS"]


def _gradient(m: Any, op: Op, dw: np.ndarray | None = None) -> np.ndarray:
    """Return dw, by default the operand, + 2 l2 w of an update op."""
    gradient: np.ndarray = (m(op, "dw") if dw is None else dw) + 2.0 * op.constants[0] * m(op, "w")
    return gradient


def _weight_decay(m: Any, op: Op) -> None:
    m(op, "w")[...] *= 1.0 - m.rate(op) * op.constants[0]


def _sgd(m: Any, op: Op) -> None:
    m(op, "w")[...] -= m.rate(op) * _gradient(m, op)


def _momentum(m: Any, op: Op) -> None:
    _, momentum, nesterov = op.constants
    step = m.rate(op) * _gradient(m, op)
    v = m(op, "v")
    v[...] = momentum * v - step
    m(op, "w")[...] += momentum * v - step if nesterov else v


def _adam(m: Any, op: Op, dw: np.ndarray | None = None) -> None:
    _, beta_1, beta_2, epsilon = op.constants
    gradient, mean, square = _gradient(m, op, dw), m(op, "m"), m(op, "v")
    mean += (1 - beta_1) * (gradient - mean)
    square += (1 - beta_2) * (gradient**2 - square)
    m(op, "w")[...] -= m.rate(op) * mean / (np.sqrt(square) + epsilon)


def _adam_dense(m: Any, op: Op) -> None:
    _adam(m, op, m(op, "x").T @ m(op, "dy"))


def _rmsprop(m: Any, op: Op) -> None:
    _, rho, epsilon = op.constants
    gradient, square = _gradient(m, op), m(op, "v")
    square[...] = rho * square + (1 - rho) * gradient**2
    m(op, "w")[...] -= m.rate(op) * gradient / np.sqrt(square + epsilon)


def _adagrad(m: Any, op: Op) -> None:
    gradient, total = _gradient(m, op), m(op, "v")
    total += gradient**2
    m(op, "w")[...] -= m.rate(op) * gradient / np.sqrt(total + op.constants[1])


def _sgd_dense(m: Any, op: Op) -> None:
    w = m(op, "w")
    w[...] = (1 - 2 * m.rate(op) * op.constants[0]) * w - m.rate(op) * (m(op, "x").T @ m(op, "dy"))


def _sgd_bias(m: Any, op: Op) -> None:
    b = m(op, "b")
    b[...] -= m.rate(op) * (m(op, "dy").sum(0, keepdims=True) + 2.0 * op.constants[0] * b)


def _amsgrad(m: Any, op: Op) -> None:
    _, beta_1, beta_2, epsilon = op.constants
    gradient, mean, square, largest = _gradient(m, op), m(op, "m"), m(op, "v"), m(op, "u")
    mean += (1 - beta_1) * (gradient - mean)
    square += (1 - beta_2) * (gradient**2 - square)
    largest[...] = np.maximum(largest, square)
    m(op, "w")[...] -= m.rate(op) * mean / (np.sqrt(largest) + epsilon)


def _rmsprop_with(m: Any, op: Op) -> None:
    _, rho, epsilon, momentum = op.constants
    gradient, square, mean, change = _gradient(m, op), m(op, "v"), m.get(op, "m"), m.get(op, "u")
    square[...] = rho * square + (1 - rho) * gradient**2
    variance = square
    if mean is not None:
        mean[...] = rho * mean + (1 - rho) * gradient
        variance = square - mean**2
    step = m.rate(op) * gradient / np.sqrt(variance + epsilon)
    if change is not None:
        change[...] = momentum * change + step
        step = change
    m(op, "w")[...] -= step


def _adadelta(m: Any, op: Op) -> None:
    _, rho, epsilon = op.constants
    gradient, square, steps = _gradient(m, op), m(op, "v"), m(op, "u")
    square[...] = rho * square + (1 - rho) * gradient**2
    step = gradient * np.sqrt(steps + epsilon) / np.sqrt(square + epsilon)
    steps[...] = rho * steps + (1 - rho) * step**2
    m(op, "w")[...] -= m.rate(op) * step


def _adamax(m: Any, op: Op) -> None:
    _, beta_1, beta_2, epsilon = op.constants
    gradient, mean, largest = _gradient(m, op), m(op, "m"), m(op, "u")
    mean += (1 - beta_1) * (gradient - mean)
    largest[...] = np.maximum(beta_2 * largest, np.abs(gradient))
    m(op, "w")[...] -= m.rate(op) * mean / (largest + epsilon)


def _nadam(m: Any, op: Op) -> None:
    _, beta_1, beta_2, epsilon = op.constants
    of_moment, of_gradient, correction = map(m.scalar, op.scalars)
    gradient, mean, square = _gradient(m, op), m(op, "m"), m(op, "v")
    mean += (1 - beta_1) * (gradient - mean)
    square += (1 - beta_2) * (gradient**2 - square)
    m(op, "w")[...] -= (of_moment * mean + of_gradient * gradient) / (np.sqrt(correction * square) + epsilon)


def _ftrl(m: Any, op: Op) -> None:
    _, power, l1, strength, shrinkage, beta = op.constants
    gradient, total, linear, w, rate = _gradient(m, op), m(op, "v"), m(op, "u"), m(op, "w"), m.rate(op)
    if rate == 0.0:
        return
    before = total.copy()
    total += gradient**2
    linear += gradient + 2 * shrinkage * w - (total**power - before**power) / rate * w
    w[...] = (np.clip(linear, -l1, l1) - linear) / (total**power / rate + 2 * strength + beta / rate)


def _lion(m: Any, op: Op) -> None:
    _, beta_1, beta_2 = op.constants
    gradient, mean = _gradient(m, op), m(op, "m")
    m(op, "w")[...] -= m.rate(op) * np.sign(beta_1 * mean + (1 - beta_1) * gradient)
    mean[...] = beta_2 * mean + (1 - beta_2) * gradient


def _lamb(m: Any, op: Op) -> None:
    _, beta_1, beta_2, epsilon = op.constants
    rate, of_moment, of_square = map(m.scalar, op.scalars)
    gradient, mean, square, w = _gradient(m, op), m(op, "m"), m(op, "v"), m(op, "w")
    mean += (1 - beta_1) * (gradient - mean)
    square += (1 - beta_2) * (gradient**2 - square)
    step = of_moment * mean / (np.sqrt(of_square * square) + epsilon)
    lengths = float(np.sqrt((w**2).sum())), float(np.sqrt((step**2).sum()))
    w[...] -= rate * (lengths[0] / lengths[1] if min(lengths) > 0 else 1.0) * step
    m.put(op, "dw", step)


def _muon(m: Any, op: Op) -> None:
    _, momentum, nesterov, a, b, c, steps, rms_rate = op.constants
    gradient, mean, w = _gradient(m, op), m(op, "m"), m(op, "w")
    mean[...] = momentum * mean + gradient
    x = gradient + momentum * mean if nesterov else mean
    x = x / (np.sqrt((x**2).sum()) + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(int(steps)):
        p = x @ x.T
        x = a * x + (b * p + c * p @ p) @ x
    x = x.T if tall else x
    w[...] -= m.rate(op) * (rms_rate * np.sqrt(max(w.shape)) if rms_rate >= 0 else 1.0) * x
    m.put(op, "dw", x)


def _add_accumulated(m: Any, op: Op) -> None:
    m.put(op, "dw", op.constants[0] * m(op, "dw") + m(op, "u"))


def _keep_accumulated(m: Any, op: Op) -> None:
    m.put(op, "u", np.zeros_like(m(op, "u")) if m.rate(op) else m(op, "dw"))


def _average_weights(m: Any, op: Op) -> None:
    momentum, overwrite = map(m.scalar, op.scalars)
    average, w = m(op, "u"), m(op, "w")
    average[...] = momentum * average + (1 - momentum) * w
    if overwrite:
        w[...] = average


def _l1_penalty(m: Any, op: Op) -> None:
    m.add(op, op.constants[0] * float(np.abs(m(op, "w")).sum()))


def _l1_gradient(m: Any, op: Op) -> None:
    m.put(op, "dw", m(op, "dw") + op.constants[0] * np.sign(m(op, "w")))


def _constrain_signs(m: Any, op: Op) -> None:
    m.put(op, "w", np.maximum(m(op, "w"), 0.0))


def _constrain_norms(m: Any, op: Op) -> None:
    low, high, rate, axis = op.constants
    w = m(op, "w")
    norm = np.sqrt((w**2).sum((0, 1) if axis == 2 else int(axis), keepdims=True))
    wanted = rate * np.clip(norm, low, high) + (1 - rate) * norm
    m.put(op, "w", w * wanted / (norm + 1e-7))


OPS: dict[OpCode, Callable[[Any, Op], None]] = {
    OpCode.SGD: _sgd,
    OpCode.WEIGHT_DECAY: _weight_decay,
    OpCode.MOMENTUM: _momentum,
    OpCode.ADAM: _adam,
    OpCode.ADAM_DENSE: _adam_dense,
    OpCode.RMSPROP: _rmsprop,
    OpCode.ADAGRAD: _adagrad,
    OpCode.SGD_DENSE: _sgd_dense,
    OpCode.SGD_BIAS: _sgd_bias,
    OpCode.AMSGRAD: _amsgrad,
    OpCode.RMSPROP_WITH: _rmsprop_with,
    OpCode.ADADELTA: _adadelta,
    OpCode.ADAMAX: _adamax,
    OpCode.NADAM: _nadam,
    OpCode.FTRL: _ftrl,
    OpCode.LION: _lion,
    OpCode.LAMB: _lamb,
    OpCode.MUON: _muon,
    OpCode.ADD_ACCUMULATED: _add_accumulated,
    OpCode.KEEP_ACCUMULATED: _keep_accumulated,
    OpCode.AVERAGE_WEIGHTS: _average_weights,
    OpCode.L1_PENALTY: _l1_penalty,
    OpCode.L1_GRADIENT: _l1_gradient,
    OpCode.CONSTRAIN_SIGNS: _constrain_signs,
    OpCode.CONSTRAIN_NORMS: _constrain_norms,
}
