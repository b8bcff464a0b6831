"""Many small nets, one after the other and in two threads: what one costs, and which part of it is training.

    python benchmarks/many_nets.py [--repeats 1000]

Minima of each part, in microseconds, as other work on the machine only adds to them.  To compare two versions
run this with each of them (PYTHONPATH) in turns.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable

import numpy as np

import fastnn
from fastnn.layers import Dense

EPOCHS = 20
NETS = 20  # of a loop in a thread
RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 4)).astype(np.float32)
Y = X[:, :1].copy()


def timed(function: Callable[[], object]) -> float:
    """Return microseconds."""
    began = time.perf_counter()
    function()
    return (time.perf_counter() - began) * 1e6


def build(seed: int) -> fastnn.Sequential:
    return fastnn.Sequential([fastnn.Input((4,)), Dense(16, "relu"), Dense(1)], seed=seed)


def fit(model: fastnn.Model, epochs: int) -> None:
    model.fit(X, Y, epochs=epochs, verbose=0, n_threads=1)


def net(seed: int) -> dict[str, float]:
    """Return what the parts of a net cost."""
    model = build(seed)
    return {
        "make": timed(lambda: build(seed)),
        "compile": timed(lambda: model.compile("adam", "mse")),
        f"fit, {EPOCHS} epochs": timed(lambda: fit(model, EPOCHS)),
        "fit again": timed(lambda: fit(model, EPOCHS)),
        "fit again, 1 epoch": timed(lambda: fit(model, 1)),
    }


def loop() -> None:
    for seed in range(NETS):
        model = build(seed)
        model.compile("adam", "mse")
        fit(model, EPOCHS)


def in_two_threads() -> None:
    threads = [threading.Thread(target=loop) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description="Time many small nets, 4-16-1, 200 rows, 20 epochs.")
    parser.add_argument("--repeats", type=int, default=1000)
    repeats = parser.parse_args().repeats
    found = [net(seed) for seed in range(repeats)]
    best = {part: min(one[part] for one in found) for part in found[0]}
    training = (best["fit again"] - best["fit again, 1 epoch"]) * EPOCHS / (EPOCHS - 1)
    for part, microseconds in best.items():
        print(f"{part:20} {microseconds:7.0f} us")
    whole = best["make"] + best["compile"] + best[f"fit, {EPOCHS} epochs"]
    print(f"{'a net':20} {whole:7.0f} us, of which training {training:.0f}")
    one, two = (min(timed(way) for _ in range(max(repeats // 20, 1))) for way in (loop, in_two_threads))
    print(f"{'in a loop':20} {one / NETS:7.0f} us a net; two threads make {2 * one / two:.2f} times as many")


if __name__ == "__main__":
    main()
