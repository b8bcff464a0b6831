"""What each layer, activation, loss and optimizer costs in a step, against PyTorch and JAX, in turns.

One net, 54-256-256-7, 256 rows a batch, relu, cross-entropy, Adam, as the workload ``tabular``; each row of
the table changes one thing in it.  All libraries train on the same batches, in the same order, from the
same weights, JAX in one compiled loop (`breadth_jax.py`); the last column says whether the losses of the
first epoch agree to 1 %, where nothing is drawn at random.  Medians of microseconds a step on one processor,
which the process is confined to where the system can do that, and their ratios; `share` is fastnn's time
over that of the net without the change.  Needs torch, jax and optax.

    python benchmarks/breadth.py [--rounds 7] [NAME ...]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

import fastnn
from fastnn import layers, losses, optimizers

if hasattr(os, "sched_setaffinity"):  # before JAX makes its threads
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import breadth_jax

INPUTS, WIDTH, CLASSES, BATCH, BATCHES = 54, 256, 7, 256, 16
RNG = np.random.default_rng(0)
X = RNG.standard_normal((BATCH * BATCHES, INPUTS)).astype(np.float32)
LABELS = RNG.integers(0, CLASSES, len(X))
NUMBERS = RNG.uniform(0.1, 2.0, (len(X), CLASSES)).astype(np.float32)
RATE = 1e-4

Torch = Callable[[], nn.Module]


class Function(nn.Module):
    """A function as a module of PyTorch."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.forward = function


# What stands behind each hidden dense layer: fastnn's layers, and PyTorch's.
LAYERS: dict[str, tuple[Callable[[], Any], Torch]] = {
    "dropout": (lambda: layers.Dropout(0.2), lambda: nn.Dropout(0.2)),
    "alpha dropout": (lambda: layers.AlphaDropout(0.2), lambda: nn.AlphaDropout(0.2)),
    "gaussian noise": (
        lambda: layers.GaussianNoise(0.1),
        lambda: Function(lambda x: x + 0.1 * torch.randn_like(x)),
    ),
    "gaussian dropout": (
        lambda: layers.GaussianDropout(0.2),
        lambda: Function(lambda x: x * (1 + 0.5 * torch.randn_like(x))),
    ),
    "batch normalization": (layers.BatchNormalization, lambda: nn.BatchNorm1d(WIDTH, eps=1e-3)),
    "layer normalization": (layers.LayerNormalization, lambda: nn.LayerNorm(WIDTH, eps=1e-3)),
    "rms normalization": (layers.RMSNormalization, lambda: nn.RMSNorm(WIDTH, eps=1e-6)),
    "unit normalization": (layers.UnitNormalization, lambda: Function(nn.functional.normalize)),
    "prelu": (layers.PReLU, lambda: nn.PReLU(WIDTH, init=0.0)),
}
ACTIVATIONS: dict[str, Torch] = {
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "softplus": nn.Softplus,
    "softsign": nn.Softsign,
    "hard_sigmoid": nn.Hardsigmoid,
    "hard_silu": nn.Hardswish,
    "relu6": nn.ReLU6,
    "log_sigmoid": nn.LogSigmoid,
    "tanh_shrink": nn.Tanhshrink,
}
# Losses of numbers, behind a softplus; PyTorch's as functions of (outputs, targets).
LOSSES: dict[str, tuple[Any, Callable[[Any, Any], Any]]] = {
    "mse": ("mse", nn.MSELoss()),
    "mae": ("mae", nn.L1Loss()),
    "mape": ("mape", lambda y, t: 100 * ((y - t).abs() / t).mean()),
    "msle": ("msle", lambda y, t: ((torch.log1p(y) - torch.log1p(t)) ** 2).mean()),
    "quantile": (losses.Quantile(0.3), lambda y, t: torch.maximum(0.3 * (t - y), -0.7 * (t - y)).mean()),
    "huber": ("huber", nn.HuberLoss()),
    "poisson": ("poisson", lambda y, t: (y - t * torch.log(y + 1e-7)).mean()),
    "log-cosh": ("log_cosh", lambda y, t: (y - t + nn.functional.softplus(-2 * (y - t)) - np.log(2)).mean()),
    "gamma": (losses.Gamma(), lambda y, t: 2 * (torch.log(y / t) + t / y - 1).mean()),
    "kl divergence": (
        "kl_divergence",
        lambda y, t: (t.clip(1e-7, 1) * torch.log(t.clip(1e-7, 1) / y.clip(1e-7, 1))).sum(1).mean(),
    ),
    "cosine": ("cosine_similarity", lambda y, t: -nn.functional.cosine_similarity(y, t).mean()),
}
OPTIMIZERS: dict[str, tuple[Any, Callable[[Any], Any] | None]] = {
    "adam": (optimizers.Adam(RATE), lambda p: torch.optim.Adam(p, RATE, eps=1e-7)),
    "sgd": (optimizers.SGD(RATE), lambda p: torch.optim.SGD(p, RATE)),
    "nesterov": (
        optimizers.SGD(RATE, momentum=0.9, nesterov=True),
        lambda p: torch.optim.SGD(p, RATE, momentum=0.9, nesterov=True),
    ),
    "rmsprop": (optimizers.RMSprop(RATE), lambda p: torch.optim.RMSprop(p, RATE, 0.9, 1e-7)),
    "adagrad": (optimizers.Adagrad(RATE), lambda p: torch.optim.Adagrad(p, RATE)),
    "adadelta": (optimizers.Adadelta(RATE), lambda p: torch.optim.Adadelta(p, RATE)),
    "amsgrad": (optimizers.Adam(RATE, amsgrad=True), lambda p: torch.optim.Adam(p, RATE, amsgrad=True)),
    "adamw": (optimizers.AdamW(RATE), lambda p: torch.optim.AdamW(p, RATE, weight_decay=0.004)),
    "nadam": (optimizers.Nadam(RATE), lambda p: torch.optim.NAdam(p, RATE)),
    "adamax": (optimizers.Adamax(RATE), lambda p: torch.optim.Adamax(p, RATE)),
    # What PyTorch does not have, or not for all weights of a net.
    "lion": (optimizers.Lion(RATE), None),
    "lamb": (optimizers.Lamb(RATE), None),
    "muon": (optimizers.Muon(RATE), None),
    "ftrl": (optimizers.Ftrl(RATE), None),
}
DRAWS = ("dropout", "alpha dropout", "gaussian noise", "gaussian dropout")


def contenders(
    hidden: str = "relu", behind: str | None = None, loss: str | None = None, optimizer: str = "adam"
) -> list[Callable[[int], float] | None]:
    """Return what trains for some epochs, and returns the last one's loss, of fastnn, PyTorch and JAX."""
    ours: list[Any] = [fastnn.Input((INPUTS,))]
    theirs: list[nn.Module] = []
    for inputs in (INPUTS, WIDTH):
        ours.append(layers.Dense(WIDTH, hidden))
        theirs += [nn.Linear(inputs, WIDTH), ACTIVATIONS[hidden]()]
        if behind is not None:
            ours.append(LAYERS[behind][0]())
            theirs.append(LAYERS[behind][1]())
    ours.append(layers.Dense(CLASSES, "softmax" if loss is None else "softplus"))
    theirs += [nn.Linear(WIDTH, CLASSES), *([] if loss is None else [nn.Softplus()])]
    model, net = fastnn.Sequential(ours, seed=0), nn.Sequential(*theirs)
    dense = [layer for layer in model.layers if isinstance(layer, layers.Dense)]
    for layer, linear in zip(dense, (m for m in net if isinstance(m, nn.Linear)), strict=True):
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(layer.kernel.T.copy()))
            linear.bias.copy_(torch.from_numpy(np.array(layer.bias)))
    targets = LABELS if loss is None else NUMBERS
    rule, make = OPTIMIZERS[optimizer]
    model.compile(rule, "sparse_categorical_crossentropy" if loss is None else LOSSES[loss][0])
    step = None if make is None else make(net.parameters())
    measure = nn.CrossEntropyLoss() if loss is None else LOSSES[loss][1]
    parts = [(torch.from_numpy(X[i : i + BATCH]), torch.from_numpy(targets[i : i + BATCH]))
             for i in range(0, len(X), BATCH)]  # fmt: skip

    def fit(epochs: int) -> float:
        history = model.fit(X, targets, BATCH, epochs, verbose=0, shuffle=False, n_threads=1)
        return float(history.history["loss"][-1])

    def train(epochs: int) -> float:
        for _ in range(epochs):
            total = 0.0
            for x, y in parts:
                step.zero_grad()
                value = measure(net(x), y)
                value.backward()
                step.step()
                total += float(value.detach())
        return total / len(parts)

    compiled = None
    if optimizer in breadth_jax.OPTIMIZERS:
        weights = [w for layer in dense for w in layer.get_weights()]
        compiled = breadth_jax.trainer(weights, X, targets, BATCH, RATE, hidden, behind, loss, optimizer)
    return [fit, None if step is None else train, compiled]


def rows() -> dict[str, dict[str, str]]:
    """Return what is changed in the net, by the name of a row."""
    found: dict[str, dict[str, str]] = {"as it is": {}}
    found |= {name: {"behind": name} for name in LAYERS}
    found |= {name: {"hidden": name} for name in ACTIVATIONS if name != "relu"}
    found |= {f"loss {name}": {"loss": name} for name in LOSSES}
    return found | {name: {"optimizer": name} for name in OPTIMIZERS if name != "adam"}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    usual = None
    print(f"{'':22} {'fastnn':>8} {'PyTorch':>8} {'ratio':>6} {'JAX':>8} {'ratio':>6} {'share':>6}  losses")
    for name, changed in rows().items():
        if arguments.names and name not in (*arguments.names, "as it is"):
            continue
        runs = contenders(**changed)
        first = [run(1) for run in runs if run is not None]
        same = np.allclose(first, first[0], rtol=0.01)
        agree = "drawn" if name in DRAWS else "agree" if same else f"differ: {np.round(first, 4)}"
        times: list[list[float]] = [[], [], []]
        for _ in range(arguments.rounds):
            for run, taken in zip(runs, times, strict=True):
                if run is not None:
                    began = time.perf_counter()
                    run(3)
                    taken.append((time.perf_counter() - began) / (3 * BATCHES) * 1e6)
        ours, *others = (statistics.median(taken) if taken else None for taken in times)
        usual = usual or ours
        shown = "".join(
            f"{'-':>9} {'-':>6}" if other is None else f" {other:8.0f} {other / ours:6.2f}"
            for other in others
        )
        print(f"{name:22} {ours:8.0f}{shown} {ours / usual:6.2f}  {agree}", flush=True)


if __name__ == "__main__":
    main()
