"""A residual net: twelve blocks ``h + relu(dense(h))`` of one width, fastnn against JAX, in turns.

JAX runs whole epochs inside ``lax.scan``, compiling excluded.  Both start from the same weights and see the
same batches in the same order, squared error, plain SGD; times are printed once the losses agree.  Run it
as ``python benchmarks/residual.py [--width 128] [--batch 128] [--blocks 12]``.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

import fastnn
from fastnn.benchmark.machine import settle
from fastnn.layers import Add, Dense
from fastnn.run.runtime import available_cpus

RATE, N_BATCHES, EPOCHS, ROUNDS = 0.01, 16, 20, 15
Run = Callable[[int], float]


def fastnn_run(blocks: int, x: np.ndarray, y: np.ndarray, batch: int, n_threads: int) -> tuple[Run, list]:
    """Return a function that trains for some epochs and returns the last one's loss; and the weights."""
    width = x.shape[1]
    first = h = fastnn.Input((width,))
    for _ in range(blocks):
        h = Add()([h, Dense(width, "relu")(h)])
    model = fastnn.Model(first, h, seed=0)
    model.set_weights([0.3 * w for w in model.get_weights()])
    model.compile(fastnn.optimizers.SGD(RATE), "mse")
    weights = model.get_weights()

    def run(epochs: int) -> float:
        history = model.fit(
            x, y, batch_size=batch, epochs=epochs, shuffle=False, verbose=0, n_threads=n_threads
        )
        return float(history.history["loss"][-1])

    return run, weights


def jax_run(weights: list[np.ndarray], x: np.ndarray, y: np.ndarray, batch: int) -> Run:
    """Return the same for JAX."""
    import jax
    import jax.numpy as jnp

    def loss(state, rows, targets):  # type: ignore[no-untyped-def]
        h = rows
        for kernel, bias in zip(state[0::2], state[1::2], strict=True):
            h = h + jax.nn.relu(h @ kernel + bias)
        return jnp.mean((h - targets) ** 2)

    evaluate = jax.value_and_grad(loss)

    def step(state, part):  # type: ignore[no-untyped-def]
        value, gradients = evaluate(state, *part)
        return [w - RATE * g for w, g in zip(state, gradients, strict=True)], value

    def train(state, parts, epochs):  # type: ignore[no-untyped-def]
        def epoch(_, carried):  # type: ignore[no-untyped-def]
            state, losses = jax.lax.scan(step, carried[0], parts)
            return state, jnp.mean(losses)

        return jax.lax.fori_loop(0, epochs, epoch, (state, jnp.zeros((), jnp.float32)))

    compiled = jax.jit(train, donate_argnums=0)
    state = [jnp.array(w) for w in weights]
    parts = tuple(jnp.array(a).reshape(-1, batch, a.shape[1]) for a in (x, y))

    def run(epochs: int) -> float:
        nonlocal state
        state, value = compiled(state, parts, epochs)
        return float(value)

    return run


def main() -> None:
    """Race, and print medians, minima and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--blocks", type=int, default=12)
    chosen = parser.parse_args()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N_BATCHES * chosen.batch, chosen.width)).astype(np.float32)
    y = np.tanh(x[:, ::-1]).copy()
    runs: dict[str, Run] = {}
    for n_threads in sorted({1, available_cpus()}):
        runs[f"fastnn x{n_threads}"], weights = fastnn_run(chosen.blocks, x, y, chosen.batch, n_threads)
    runs["JAX scan"] = jax_run(weights, x, y, chosen.batch)
    losses = {name: run(3) for name, run in runs.items()}
    if max(losses.values()) - min(losses.values()) > 1e-4 * max(losses.values()):
        raise SystemExit(f"losses differ: {losses}")
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            settle()
            began = time.perf_counter()
            run(EPOCHS)
            times[name].append((time.perf_counter() - began) / EPOCHS / N_BATCHES * 1e6)
    for name, found in times.items():
        print(f"{name:10} {statistics.median(found):9.1f} us a step (minimum {min(found):.1f})")
    ours = min((name for name in runs if name != "JAX scan"), key=lambda n: statistics.median(times[n]))
    ratio = statistics.median(a / b for a, b in zip(times["JAX scan"], times[ours], strict=True))
    print(f"JAX scan / {ours}: {ratio:.2f} (median over {ROUNDS} rounds)")


if __name__ == "__main__":
    main()
