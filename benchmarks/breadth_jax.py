"""JAX's side of `breadth.py`: the same nets, losses and optimizers, an epoch and more as one compiled loop.

Optimizers are those of optax.  Import JAX after the process was confined to one processor: its pool of
threads has as many as there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

Array = jax.Array
EPSILON = 1e-3
SELU_LEAST = -1.7580993408473766


def _moments(x: Array, axis: int) -> tuple[Array, Array]:
    return x.mean(axis, keepdims=True), x.var(axis, keepdims=True)


def _batch_normalization(x: Array, p: Any, key: Array) -> Array:
    mean, variance = _moments(x, 0)
    return (x - mean) * jax.lax.rsqrt(variance + EPSILON) * p[0] + p[1]


def _layer_normalization(x: Array, p: Any, key: Array) -> Array:
    mean, variance = _moments(x, 1)
    return (x - mean) * jax.lax.rsqrt(variance + EPSILON) * p[0] + p[1]


def _alpha_dropout(x: Array, p: Any, key: Array) -> Array:
    scale = ((1 - 0.2) * (1 + 0.2 * SELU_LEAST**2)) ** -0.5
    kept = jax.random.bernoulli(key, 0.8, x.shape)
    return scale * jnp.where(kept, x, SELU_LEAST) - scale * SELU_LEAST * 0.2


# Of x, parameters (2, features) that begin with ones and zeros, and a key.
BEHIND: dict[str, Callable[[Array, Any, Array], Array]] = {
    "dropout": lambda x, p, key: jnp.where(jax.random.bernoulli(key, 0.8, x.shape), x / 0.8, 0.0),
    "alpha dropout": _alpha_dropout,
    "gaussian noise": lambda x, p, key: x + 0.1 * jax.random.normal(key, x.shape),
    "gaussian dropout": lambda x, p, key: x * (1 + 0.5 * jax.random.normal(key, x.shape)),
    "batch normalization": _batch_normalization,
    "layer normalization": _layer_normalization,
    "rms normalization": lambda x, p, key: x * jax.lax.rsqrt((x * x).mean(1, keepdims=True) + 1e-6) * p[0],
    "unit normalization": lambda x, p, key: x * jax.lax.rsqrt((x * x).sum(1, keepdims=True) + 1e-12),
    "prelu": lambda x, p, key: jnp.where(x > 0, x, p[1] * x),
}
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "elu": jax.nn.elu,
    "selu": jax.nn.selu,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "silu": jax.nn.silu,
    "mish": jax.nn.mish,
    "softplus": jax.nn.softplus,
    "softsign": jax.nn.soft_sign,
    "hard_sigmoid": jax.nn.hard_sigmoid,
    "hard_silu": jax.nn.hard_silu,
    "relu6": jax.nn.relu6,
    "log_sigmoid": jax.nn.log_sigmoid,
    "tanh_shrink": lambda x: x - jnp.tanh(x),
}


def _huber(y: Array, t: Array) -> Array:
    error = jnp.abs(y - t)
    return jnp.where(error <= 1, error**2 / 2, error - 0.5).mean()


def _kl(y: Array, t: Array) -> Array:
    y, t = jnp.clip(y, 1e-7, 1), jnp.clip(t, 1e-7, 1)
    return (t * jnp.log(t / y)).sum(1).mean()


def _cosine(y: Array, t: Array) -> Array:
    return -((y * t).sum(1) / jnp.linalg.norm(y, axis=1) / jnp.linalg.norm(t, axis=1)).mean()


# Of outputs and targets.
LOSSES: dict[str, Callable[[Array, Array], Array]] = {
    "mse": lambda y, t: ((y - t) ** 2).mean(),
    "mae": lambda y, t: jnp.abs(y - t).mean(),
    "mape": lambda y, t: 100 * (jnp.abs(y - t) / t).mean(),
    "msle": lambda y, t: ((jnp.log1p(y) - jnp.log1p(t)) ** 2).mean(),
    "huber": _huber,
    "poisson": lambda y, t: (y - t * jnp.log(y + 1e-7)).mean(),
    "log-cosh": lambda y, t: (y - t + jax.nn.softplus(-2 * (y - t)) - np.log(2)).mean(),
    "quantile": lambda y, t: jnp.maximum(0.3 * (t - y), -0.7 * (t - y)).mean(),
    "gamma": lambda y, t: 2 * (jnp.log(y / t) + t / y - 1).mean(),
    "kl divergence": _kl,
    "cosine": _cosine,
}
OPTIMIZERS: dict[str, Callable[[float], Any]] = {
    "adam": lambda rate: optax.adam(rate, eps=1e-7),
    "sgd": optax.sgd,
    "nesterov": lambda rate: optax.sgd(rate, 0.9, nesterov=True),
    "rmsprop": lambda rate: optax.rmsprop(rate, 0.9, 1e-7),
    "adagrad": lambda rate: optax.adagrad(rate, 0.1, 1e-7),
    "adadelta": lambda rate: optax.adadelta(rate, 0.95, 1e-7),
    "amsgrad": lambda rate: optax.amsgrad(rate, eps=1e-7),
    "adamw": lambda rate: optax.adamw(rate, eps=1e-7, weight_decay=0.004),
    "nadam": lambda rate: optax.nadam(rate, eps=1e-7),
    "adamax": lambda rate: optax.adamax(rate, eps=1e-7),
    "lion": lambda rate: optax.lion(rate),
    "lamb": lambda rate: optax.lamb(rate, eps=1e-7),
    "muon": lambda rate: optax.contrib.muon(rate),
}


def trainer(
    weights: Sequence[np.ndarray],
    x: np.ndarray,
    y: np.ndarray,
    batch: int,
    rate: float,
    hidden: str = "relu",
    behind: str | None = None,
    loss: str | None = None,
    optimizer: str = "adam",
) -> Callable[[int], float]:
    """Return what trains for some epochs, and returns the mean loss of the last one.

    Parameters
    ----------
    weights : sequence of ndarray
        Kernel and bias of each dense layer, in turns.
    x, y : ndarray
        Whole batches; labels if there is no loss, which then is the cross-entropy.
    batch : int
        Rows.
    rate : float
        The learning rate.
    hidden, behind, loss, optimizer : str
        Names in the tables of this file.
    """
    function, extra = ACTIVATIONS[hidden], BEHIND.get(behind or "")
    dense = [jnp.array(w) for w in weights]
    more = [jnp.stack([jnp.ones(len(b)), jnp.zeros(len(b))]) for b in weights[1:-2:2]] if extra else []
    rule = OPTIMIZERS[optimizer](rate)

    def value(state: Any, x: Array, t: Array, key: Array) -> Array:
        dense, more = state
        for number, (kernel, bias) in enumerate(zip(dense[0::2], dense[1::2], strict=True)):
            x = x @ kernel + bias
            if number < len(dense) // 2 - 1:
                x = function(x)
                if extra is not None:
                    x = extra(x, more[number], jax.random.fold_in(key, number))
        if loss is not None:
            return LOSSES[loss](jax.nn.softplus(x), t)
        return (jax.nn.logsumexp(x, axis=1) - jnp.take_along_axis(x, t[:, None], axis=1)[:, 0]).mean()

    def step(carried: Any, given: Any) -> Any:
        state, kept, key = carried
        key, used = jax.random.split(key)
        found, gradients = jax.value_and_grad(value)(state, *given, used)
        changes, kept = rule.update(gradients, kept, state)
        return (optax.apply_updates(state, changes), kept, key), found

    def epochs(carried: Any, data: Any, count: Any) -> Any:
        def one(_: Any, both: Any) -> Any:
            carried, losses = jax.lax.scan(step, both[0], data)
            return carried, losses.mean()

        return jax.lax.fori_loop(0, count, one, (carried, jnp.zeros(())))

    run = jax.jit(epochs, donate_argnums=0)
    state = (dense, more)
    carried = [(state, rule.init(state), jax.random.key(0))]
    y = y.astype(np.int32) if loss is None else y
    data = tuple(jnp.array(a).reshape(len(a) // batch, batch, *a.shape[1:]) for a in (x, y))

    def train(count: int) -> float:
        carried[0], found = run(carried[0], data, count)
        return float(found)

    return train
