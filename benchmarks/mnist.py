"""The main job, whole: MNIST to its test accuracy, fastnn against a NumPy loop, in turns.

784-500-10, ReLU, batches of 200 in a new order every epoch, rate 0.1, 20 epochs; wall time of the
training from arrays in memory to trained weights.  For every seed both start from the same
weights; each uses the better of one thread and all.  Run it as ``python benchmarks/mnist.py FOLDER``
with the folder of the four MNIST files.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

import fastnn
from fastnn.benchmark.machine import settle
from fastnn.run.runtime import available_cpus

BATCH, RATE, HIDDEN = 200, 0.1, 500
Weights = list[np.ndarray]
Data = tuple[np.ndarray, np.ndarray]


def train_numpy(weights: Weights, data: Data, epochs: int, seed: int, n_threads: int) -> Weights:
    """Train by a float32 NumPy loop: buffers allocated once, everything in place."""
    x, labels = data
    w1, b1, w2, b2 = (w.copy() for w in weights)
    generator = np.random.default_rng(seed)
    xb = np.empty((BATCH, x.shape[1]), np.float32)
    h, dh = np.empty((BATCH, HIDDEN), np.float32), np.empty((BATCH, HIDDEN), np.float32)
    p = np.empty((BATCH, 10), np.float32)
    dw1, dw2 = np.empty_like(w1), np.empty_like(w2)
    rows, step = np.arange(BATCH), np.float32(RATE / BATCH)
    with threadpool_limits(n_threads, user_api="blas"):
        for _ in range(epochs):
            order = generator.permutation(len(x))
            for begin in range(0, len(x), BATCH):
                chosen = order[begin : begin + BATCH]
                np.take(x, chosen, axis=0, out=xb)
                np.matmul(xb, w1, out=h)
                h += b1
                np.maximum(h, 0, out=h)
                np.matmul(h, w2, out=p)
                p += b2
                p -= p.max(axis=1, keepdims=True)
                np.exp(p, out=p)
                p /= p.sum(axis=1, keepdims=True)
                p[rows, labels[chosen]] -= 1
                p *= step  # the rate belongs to the smallest array
                np.matmul(p, w2.T, out=dh)
                dh *= h > 0
                np.matmul(h.T, p, out=dw2)
                np.matmul(xb.T, dh, out=dw1)
                w2 -= dw2
                b2 -= p.sum(axis=0)
                w1 -= dw1
                b1 -= dh.sum(axis=0)
    return [w1, b1, w2, b2]


def build(seed: int) -> fastnn.Sequential:
    """Return the net, compiled."""
    hidden = fastnn.layers.Dense(HIDDEN, activation="relu")
    output = fastnn.layers.Dense(10, activation="softmax")
    model = fastnn.Sequential([fastnn.Input((784,)), hidden, output], seed=seed)
    model.compile(fastnn.optimizers.SGD(RATE), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def train_fastnn(weights: Weights, data: Data, epochs: int, seed: int, n_threads: int) -> Weights:
    """Train by `Sequential.fit`."""
    model = build(seed)
    model.set_weights(weights)
    model.fit(*data, batch_size=BATCH, epochs=epochs, verbose=0, n_threads=n_threads)
    return model.get_weights()


def timed(train: Callable[..., Weights], *arguments: object) -> tuple[float, Weights]:
    """Return the seconds that a training takes, and its weights."""
    settle()
    began = time.perf_counter()
    weights = train(*arguments)
    return time.perf_counter() - began, weights


def main() -> None:
    """Run the comparison and print a line per seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    data, test = fastnn.datasets.load_mnist(options.folder)
    contenders = {"NumPy": train_numpy, "fastnn": train_fastnn}
    judge = build(0)
    threads = {}
    for name, train in contenders.items():
        start = judge.get_weights()
        counts = sorted({1, available_cpus()})
        trials = {n: min(timed(train, start, data, 1, 0, n)[0] for _ in range(3)) for n in counts}
        threads[name] = min(trials, key=lambda n: trials[n])
    print(f"threads: {threads}; seconds for {options.epochs} epochs, test accuracy")
    ratios = []
    for seed in range(options.seeds):
        start = build(seed).get_weights()
        cells, seconds = [], {}
        for name, train in contenders.items():
            seconds[name], weights = timed(train, start, data, options.epochs, seed, threads[name])
            judge.set_weights(weights)
            scores = judge.evaluate(*test, return_dict=True)
            assert isinstance(scores, dict)
            cells.append(f"{name} {seconds[name]:.2f} s {scores['accuracy']:.4f}")
        ratios.append(seconds["fastnn"] / seconds["NumPy"])
        print(f"seed {seed}: {', '.join(cells)}; time ratio {ratios[-1]:.3f}", flush=True)
    print(f"median time ratio fastnn / NumPy {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
