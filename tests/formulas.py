"""What activations and losses compute, in float64 NumPy: one row each, for all tests that need it.

Nothing here calls fastnn; `test_formulas.py` compares slopes with finite differences.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import erfc, pi, sqrt
from typing import Any

import numpy as np

Array = np.ndarray
CLIP = 1e-7  # Keras keeps probabilities this far from 0 and 1


@dataclass(frozen=True)
class ActivationFormula:
    """An activation: `forward` of (z, alpha), `backward` of (dy, y, alpha), from the output y.

    Where `from_input` says so, `backward` takes z for y.  `domain` is where tests draw z from; `alpha` is the
    number that the name alone stands for, or all numbers if there are several.
    """

    forward: Callable[[Array, Any], Array]
    backward: Callable[[Array, Array, Any], Array]
    row_wise: bool = False
    domain: tuple[float, float] = (-4.0, 4.0)
    alpha: Any = 0.0
    from_input: bool = False

    def __call__(self, z: Array) -> Array:
        """Return the outputs for the default slope or scale."""
        return self.forward(z, self.alpha)

    def source(self, z: Array, y: Array) -> Array:
        """Return what the derivative is made of."""
        return z if self.from_input else y

    def pull(self, dy: Array, y: Array) -> Array:
        """Return the gradient of z from `source`, for the default slope or scale."""
        return self.backward(dy, y, self.alpha)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Return arguments of the domain."""
        return rng.uniform(*self.domain, shape)


def _sigmoid(z: Array, alpha: float = 0.0) -> Array:
    e = np.exp(-np.abs(z))
    return np.where(z > 0, 1, e) / (1 + e)


def _softmax(z: Array, alpha: float = 0.0) -> Array:
    e = np.exp(z - z.max(-1, keepdims=True)) if z.size else z
    return e / e.sum(-1, keepdims=True)


def _softplus(z: Array) -> Array:
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def _normal(z: Array) -> Array:
    """Return the share of a standard normal distribution below z."""
    return np.vectorize(erfc, otypes=[float])(-z / sqrt(2)) / 2


def _density(z: Array) -> Array:
    return np.exp(-(z**2) / 2) / sqrt(2 * pi)


def _near_normal(z: Array) -> Array:
    return (1 + np.tanh(sqrt(2 / pi) * (z + 0.044715 * z**3))) / 2


def _near_density(z: Array) -> Array:
    t = 2 * _near_normal(z) - 1
    return (1 - t**2) / 2 * sqrt(2 / pi) * (1 + 3 * 0.044715 * z**2)


def _log_softmax(z: Array, alpha: float = 0.0) -> Array:
    if not z.size:
        return z
    z = z - z.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def _mish_slope(z: Array) -> Array:
    t = np.tanh(_softplus(z))
    return t + z * (1 - t**2) * _sigmoid(z)


def _rectifier(z: Array, numbers: Any) -> Array:
    slope, top, least = numbers
    return np.where(z > least, np.minimum(z, top if top >= 0 else np.inf), slope * (z - least))


SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
POSITIVE = (0.25, 4.0)
ACTIVATIONS = {
    "linear": ActivationFormula(lambda z, a: z, lambda dy, y, a: dy),
    "sigmoid": ActivationFormula(_sigmoid, lambda dy, y, a: dy * y * (1 - y)),
    "tanh": ActivationFormula(lambda z, a: np.tanh(z), lambda dy, y, a: dy * (1 - y**2)),
    "relu": ActivationFormula(lambda z, a: np.maximum(z, 0), lambda dy, y, a: np.where(y > 0, dy, 0)),
    "softmax": ActivationFormula(
        _softmax, lambda dy, y, a: y * (dy - (dy * y).sum(-1, keepdims=True)), row_wise=True
    ),
    "leaky_relu": ActivationFormula(
        lambda z, a: np.where(z > 0, z, a * z), lambda dy, y, a: np.where(y > 0, dy, a * dy), alpha=0.2
    ),
    "elu": ActivationFormula(
        lambda z, a: np.where(z > 0, z, a * np.expm1(np.minimum(z, 0))),
        lambda dy, y, a: np.where(y > 0, dy, dy * (y + a)),
        alpha=1.0,
    ),
    "exponential": ActivationFormula(lambda z, a: np.exp(z), lambda dy, y, a: dy * y),
    "reciprocal": ActivationFormula(lambda z, a: 1 / z, lambda dy, y, a: -dy * y**2, domain=POSITIVE),
    "log": ActivationFormula(
        lambda z, a: np.log(z), lambda dy, z, a: dy / z, domain=POSITIVE, from_input=True
    ),
    "softplus": ActivationFormula(
        lambda z, a: np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))), lambda dy, y, a: -dy * np.expm1(-y)
    ),
    "softsign": ActivationFormula(
        lambda z, a: z / (1 + np.abs(z)), lambda dy, y, a: dy * (1 - np.abs(y)) ** 2
    ),
    "relu6": ActivationFormula(
        lambda z, a: np.clip(z, 0, 6), lambda dy, y, a: np.where((y > 0) & (y < 6), dy, 0), domain=(-4.0, 9.0)
    ),
    "selu": ActivationFormula(
        lambda z, a: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * np.expm1(np.minimum(z, 0))),
        lambda dy, y, a: SELU_SCALE * dy * np.where(y > 0, 1, y / SELU_SCALE + SELU_ALPHA),
    ),
    "gelu": ActivationFormula(
        lambda z, a: z * (_near_normal(z) if a else _normal(z)),
        lambda dy, z, a: dy * (_near_normal(z) + z * _near_density(z) if a else _normal(z) + z * _density(z)),
        from_input=True,
    ),
    "silu": ActivationFormula(
        lambda z, a: z * _sigmoid(z),
        lambda dy, z, a: dy * (_sigmoid(z) + z * _sigmoid(z) * _sigmoid(-z)),
        from_input=True,
    ),
    "mish": ActivationFormula(
        lambda z, a: z * np.tanh(_softplus(z)), lambda dy, z, a: dy * _mish_slope(z), from_input=True
    ),
    "celu": ActivationFormula(
        lambda z, a: np.where(z > 0, z, a * np.expm1(np.minimum(z, 0) / a)),
        lambda dy, y, a: dy * np.where(y > 0, 1, y / a + 1),
        alpha=1.0,
    ),
    "hard_sigmoid": ActivationFormula(
        lambda z, a: np.clip(z / 6 + 0.5, 0, 1), lambda dy, y, a: np.where((y > 0) & (y < 1), dy / 6, 0)
    ),
    "hard_silu": ActivationFormula(
        lambda z, a: z * np.clip(z / 6 + 0.5, 0, 1),
        lambda dy, z, a: dy * np.where(z > 3, 1, np.where(z < -3, 0, z / 3 + 0.5)),
        from_input=True,
    ),
    "hard_tanh": ActivationFormula(
        lambda z, a: np.clip(z, -1, 1), lambda dy, y, a: np.where(np.abs(y) < 1, dy, 0)
    ),
    "log_softmax": ActivationFormula(
        _log_softmax, lambda dy, y, a: dy - np.exp(y) * dy.sum(-1, keepdims=True), row_wise=True
    ),
    "log_sigmoid": ActivationFormula(lambda z, a: -_softplus(-z), lambda dy, y, a: -dy * np.expm1(y)),
    "squareplus": ActivationFormula(
        lambda z, a: (z + np.sqrt(z**2 + a)) / 2, lambda dy, y, a: dy / (1 + a / 4 / y**2), alpha=4.0
    ),
    "tanh_shrink": ActivationFormula(
        lambda z, a: z - np.tanh(z), lambda dy, z, a: dy * np.tanh(z) ** 2, from_input=True
    ),
    "soft_shrink": ActivationFormula(
        lambda z, a: np.sign(z) * np.maximum(np.abs(z) - a, 0),
        lambda dy, y, a: np.where(y == 0, 0, dy),
        alpha=0.5,
    ),
    "hard_shrink": ActivationFormula(
        lambda z, a: np.where(np.abs(z) > a, z, 0), lambda dy, y, a: np.where(y == 0, 0, dy), alpha=0.5
    ),
    "threshold": ActivationFormula(
        lambda z, a: np.where(z > a[0], z, a[1]),
        lambda dy, z, a: np.where(z > a[0], dy, 0),
        alpha=(1.0, 2.0),  # from y one could not tell the slope
        from_input=True,
    ),
    "rectifier": ActivationFormula(
        _rectifier,
        lambda dy, z, a: dy * np.where(z > a[2], np.where((a[1] >= 0) & (z > a[1]), 0, 1), a[0]),
        alpha=(0.25, 3.0, 0.5),
        from_input=True,
    ),
    "sparse_plus": ActivationFormula(
        lambda z, a: np.where(z > 1, z, np.where(z < -1, 0, (z + 1) ** 2 / 4)),
        lambda dy, y, a: dy * np.where(y > 1, 1, np.sqrt(y)),
    ),
    "sparse_sigmoid": ActivationFormula(
        lambda z, a: np.clip((z + 1) / 2, 0, 1), lambda dy, y, a: np.where((y > 0) & (y < 1), dy / 2, 0)
    ),
}
# Those that their name alone stands for.
NAMED = [name for name in ACTIVATIONS if name not in ("threshold", "rectifier")]


@dataclass(frozen=True)
class LossFormula:
    """A loss with its default arguments: `value` of (y, t), one number a row, and its `gradient` by y.

    `outputs` and `targets` draw y and t from (generator, rows, columns); `activation` makes such outputs.
    `arguments` are those that give each row a loss of its own.
    """

    value: Callable[[Array, Array], Array]
    gradient: Callable[[Array, Array], Array]
    outputs: Callable[[np.random.Generator, int, int], Array]
    targets: Callable[[np.random.Generator, int, int], Array]
    activation: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)


def _numbers(rng: np.random.Generator, rows: int, columns: int) -> Array:
    return rng.normal(size=(rows, columns))


def _probabilities(rng: np.random.Generator, rows: int, columns: int) -> Array:
    return rng.uniform(0.1, 0.9, (rows, columns))


def _shares(rng: np.random.Generator, rows: int, columns: int) -> Array:
    return rng.dirichlet(np.ones(columns), rows)


def _amounts(rng: np.random.Generator, rows: int, columns: int) -> Array:
    return rng.uniform(*POSITIVE, (rows, columns))


def _signs(rng: np.random.Generator, rows: int, columns: int) -> Array:
    return rng.choice([-1.0, 1.0], (rows, columns))


def _right_classes(rng: np.random.Generator, rows: int, columns: int) -> Array:
    return np.eye(columns)[_labels(rng, rows, columns)]


def _half(rng: np.random.Generator, rows: int, columns: int) -> Array:
    return _numbers(rng, rows, columns // 2)


def _labels(rng: np.random.Generator, rows: int, columns: int) -> Array:
    return rng.integers(0, columns, rows)


def _one_hot(t: Array, y: Array) -> Array:
    return np.eye(y.shape[1])[t]


def _crossentropy(y: Array, t: Array) -> Array:
    return -(t * np.log(np.clip(y / y.sum(1, keepdims=True), CLIP, 1 - CLIP))).sum(1)


def _crossentropy_gradient(y: Array, t: Array) -> Array:
    """Return the gradient where nothing is clipped."""
    return t.sum(1, keepdims=True) / y.sum(1, keepdims=True) - t / y


def _binary_crossentropy(y: Array, t: Array) -> Array:
    p = np.clip(y, CLIP, 1 - CLIP)
    return -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean(1)


def _hinge_terms(y: Array, t: Array) -> Array:
    right = _one_hot(t, y)
    return np.where(right == 1, 0.0, np.maximum(0.0, y - (y * right).sum(1, keepdims=True) + 1.0))


def _hinge_gradient(y: Array, t: Array) -> Array:
    active = (_hinge_terms(y, t) > 0).astype(float)
    return active - _one_hot(t, y) * active.sum(1, keepdims=True)


def _unit(a: Array) -> Array:
    return a / np.sqrt((a**2).sum(1, keepdims=True))


def _categorical_hinge(y: Array, t: Array) -> Array:
    return np.maximum(((1 - t) * y).max(1) - (t * y).sum(1) + 1, 0)


def _categorical_hinge_gradient(y: Array, t: Array) -> Array:
    wrong = (1 - t) * y
    slope = (wrong == wrong.max(1, keepdims=True)) * (1 - t) - t
    return np.where(_categorical_hinge(y, t)[:, None] > 0, slope, 0)


def _focal(y: Array, t: Array) -> Array:
    p = y / y.sum(1, keepdims=True)
    return -0.25 * (t * (1 - p) ** 2 * np.log(p)).sum(1)


def _focal_gradient(y: Array, t: Array) -> Array:
    total = y.sum(1, keepdims=True)
    p = y / total
    slope = 0.25 * t * (2 * (1 - p) * np.log(p) - (1 - p) ** 2 / p)
    return (slope - (slope * p).sum(1, keepdims=True)) / total


def _binary_focal_gradient(y: Array, t: Array) -> Array:
    entropy = -t * np.log(y) - (1 - t) * np.log(1 - y)
    missing = t * (1 - y) + (1 - t) * y
    slope = (1 - t) / (1 - y) - t / y
    return (2 * missing * (1 - 2 * t) * entropy + missing**2 * slope) / y.shape[1]


def _gaussian(y: Array, t: Array) -> Array:
    mean, v = y[:, : t.shape[1]], np.exp(y[:, t.shape[1] :]) + 1e-6
    return 0.5 * (np.log(v) + (mean - t) ** 2 / v).mean(1)


def _gaussian_gradient(y: Array, t: Array) -> Array:
    e = np.exp(y[:, t.shape[1] :])
    v, error = e + 1e-6, y[:, : t.shape[1]] - t
    return np.hstack([error / v, 0.5 * (e / v) * (1 - error**2 / v)]) / t.shape[1]


def _overlap_gradient(y: Array, t: Array, alpha: float, beta: float, epsilon: float) -> Array:
    both = (t * y).sum(1, keepdims=True)
    whole = (t * y + alpha * t * (1 - y) + beta * (1 - t) * y).sum(1, keepdims=True) + epsilon
    return (both * (t + beta * (1 - t) - alpha * t) / whole - t) / whole


def _hinged(y: Array, t: Array) -> Array:
    return np.maximum(1 - t * y, 0)


_SQUARED = LossFormula(
    lambda y, t: ((y - t) ** 2).mean(1), lambda y, t: 2 * (y - t) / y.shape[1], _numbers, _numbers
)
# By the names of the classes.
LOSSES = {
    "MeanSquaredError": _SQUARED,
    "SquaredError": _SQUARED,
    "CategoricalCrossentropy": LossFormula(_crossentropy, _crossentropy_gradient, _probabilities, _shares),
    "SparseCategoricalCrossentropy": LossFormula(
        lambda y, t: _crossentropy(y, _one_hot(t, y)),
        lambda y, t: _crossentropy_gradient(y, _one_hot(t, y)),
        _probabilities,
        _labels,
    ),
    "BinaryCrossentropy": LossFormula(
        _binary_crossentropy,
        lambda y, t: ((1 - t) / (1 - y) - t / y) / y.shape[1],
        _probabilities,
        _probabilities,
    ),
    "MeanAbsoluteError": LossFormula(
        lambda y, t: np.abs(y - t).mean(1), lambda y, t: np.sign(y - t) / y.shape[1], _numbers, _numbers
    ),
    "Huber": LossFormula(
        lambda y, t: np.where(np.abs(y - t) <= 1, (y - t) ** 2 / 2, np.abs(y - t) - 0.5).mean(1),
        lambda y, t: np.clip(y - t, -1, 1) / y.shape[1],
        _numbers,
        _numbers,
    ),
    "MeanAbsolutePercentageError": LossFormula(
        lambda y, t: 100 * (np.abs(y - t) / np.abs(t)).mean(1),
        lambda y, t: 100 * np.sign(y - t) / np.abs(t) / y.shape[1],
        _numbers,
        _amounts,
    ),
    "MeanSquaredLogarithmicError": LossFormula(
        lambda y, t: ((np.log(1 + y) - np.log(1 + t)) ** 2).mean(1),
        lambda y, t: 2 * (np.log(1 + y) - np.log(1 + t)) / (1 + y) / y.shape[1],
        _amounts,
        _amounts,
        "exponential",
    ),
    "LogCosh": LossFormula(
        lambda y, t: np.log(np.cosh(y - t)).mean(1),
        lambda y, t: np.tanh(y - t) / y.shape[1],
        _numbers,
        _numbers,
    ),
    "Poisson": LossFormula(
        lambda y, t: (y - t * np.log(y + CLIP)).mean(1),
        lambda y, t: (1 - t / (y + CLIP)) / y.shape[1],
        _amounts,
        _amounts,
        "exponential",
    ),
    "Hinge": LossFormula(
        lambda y, t: _hinged(y, t).mean(1),
        lambda y, t: -t * (_hinged(y, t) > 0) / y.shape[1],
        _numbers,
        _signs,
    ),
    "SquaredHinge": LossFormula(
        lambda y, t: (_hinged(y, t) ** 2).mean(1),
        lambda y, t: -2 * t * _hinged(y, t) / y.shape[1],
        _numbers,
        _signs,
    ),
    "Quantile": LossFormula(
        lambda y, t: (np.abs(y - t) / 2).mean(1),
        lambda y, t: np.sign(y - t) / 2 / y.shape[1],
        _numbers,
        _numbers,
    ),
    "Gamma": LossFormula(
        lambda y, t: 2 * (np.log(y / t) + t / y - 1).mean(1),
        lambda y, t: 2 * (y - t) / y**2 / y.shape[1],
        _amounts,
        _amounts,
        "exponential",
    ),
    "Tweedie": LossFormula(
        lambda y, t: 4 * (np.sqrt(y) - 2 * np.sqrt(t) + t / np.sqrt(y)).mean(1),
        lambda y, t: 2 * (y - t) / y**1.5 / y.shape[1],
        _amounts,
        _amounts,
        "exponential",
    ),
    "KLDivergence": LossFormula(
        lambda y, t: (t * np.log(t / y)).sum(1),
        lambda y, t: -t / y,
        _probabilities,
        _probabilities,
        "sigmoid",
    ),
    "BinaryFocalCrossentropy": LossFormula(
        lambda y, t: ((t + y - 2 * t * y) ** 2 * -(t * np.log(y) + (1 - t) * np.log(1 - y))).mean(1),
        _binary_focal_gradient,
        _probabilities,
        _probabilities,
        "sigmoid",
    ),
    "CategoricalFocalCrossentropy": LossFormula(_focal, _focal_gradient, _probabilities, _shares, "sigmoid"),
    "CosineSimilarity": LossFormula(
        lambda y, t: -(_unit(y) * _unit(t)).sum(1),
        lambda y, t: (
            ((_unit(y) * _unit(t)).sum(1, keepdims=True) * _unit(y) - _unit(t))
            / np.sqrt((y**2).sum(1, keepdims=True))
        ),
        _numbers,
        _numbers,
    ),
    "CategoricalHinge": LossFormula(
        _categorical_hinge, _categorical_hinge_gradient, _numbers, _right_classes
    ),
    "GaussianNLL": LossFormula(_gaussian, _gaussian_gradient, _numbers, _half),
    "CategoricalGeneralizedCrossEntropy": LossFormula(
        lambda y, t: 2 * (1 - np.sqrt((_one_hot(t, y) * y).sum(1))),
        lambda y, t: -_one_hot(t, y) / np.sqrt(y),
        _probabilities,
        _labels,
    ),
    "Dice": LossFormula(
        lambda y, t: 1 - 2 * (t * y).sum(1) / ((t + y).sum(1) + CLIP),
        lambda y, t: _overlap_gradient(y, t, 0.5, 0.5, CLIP / 2),
        _probabilities,
        _probabilities,
        arguments={"axis": -1},
    ),
    "Tversky": LossFormula(
        lambda y, t: 1 - (t * y).sum(1) / ((t * y + 0.2 * t * (1 - y) + 0.7 * (1 - t) * y).sum(1) + CLIP),
        lambda y, t: _overlap_gradient(y, t, 0.2, 0.7, CLIP),
        _probabilities,
        _probabilities,
        arguments={"axis": -1, "alpha": 0.2, "beta": 0.7},
    ),
    "MulticlassHinge": LossFormula(
        lambda y, t: _hinge_terms(y, t).sum(1), _hinge_gradient, _numbers, _labels
    ),
}


# Layers that scale a row by its own moments, without learned numbers: of (x, epsilon).
ROW_SCALINGS: dict[str, Callable[[Array, float], Array]] = {
    "LayerNormalization": lambda x, e: (
        (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + e)
    ),
    "RMSNormalization": lambda x, e: x / np.sqrt((x**2).mean(-1, keepdims=True) + e),
    "UnitNormalization": lambda x, e: x / np.maximum(np.sqrt((x**2).sum(-1, keepdims=True)), e),
}
