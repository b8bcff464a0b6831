"""Fifty random nets: one thread, two and four train the same bits.

Four kinds: nets of any shape whose work is cut into many small tiles, because the limits below
which fastnn stays alone are set to nothing; the same with every product cut along features; nets of
few features, which train with the batch as the fast axis, cut in the same way; and wide nets with the
limits as users have them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers, losses, optimizers
from fastnn.compiler import schedule
from fastnn.compiler.plan import OpCode, Path
from fastnn.run import program, runtime

ACTIVATIONS = (None, "relu", "sigmoid", "tanh")
OPTIMIZERS: dict[str, Callable[[], optimizers.Optimizer]] = {
    "sgd": lambda: optimizers.SGD(0.05),
    "momentum": lambda: optimizers.SGD(0.02, momentum=0.9),
    "nesterov": lambda: optimizers.SGD(0.02, momentum=0.9, nesterov=True),
    "adam": lambda: optimizers.Adam(0.003),
    "rmsprop": lambda: optimizers.RMSprop(0.003),
}
# A loss, and the activation of the output that it goes with.
OBJECTIVES: dict[str, tuple[losses.Loss, str | None]] = {
    "squared error": (losses.MeanSquaredError(), None),
    "summed squared error of tanh": (losses.MeanSquaredError(reduction="sum"), "tanh"),
    "absolute error": (losses.MeanAbsoluteError(), None),
    "softmax": (losses.CategoricalCrossentropy(), "softmax"),
    "scores": (losses.CategoricalCrossentropy(from_logits=True), None),
    "cross-entropy of sigmoids": (losses.CategoricalCrossentropy(), "sigmoid"),
    "labels": (losses.SparseCategoricalCrossentropy(), "softmax"),
    "binary": (losses.BinaryCrossentropy(), "sigmoid"),
    "binary scores": (losses.BinaryCrossentropy(from_logits=True), None),
}
THIN = ("squared error", "summed squared error of tanh")
KINDS = ("many tiles", "many tiles", "along features", "thin", "wide")


@dataclass(frozen=True)
class Case:
    """A net, its data and how it is trained, drawn from a seed."""

    kind: str
    widths: tuple[int, ...]
    activations: tuple[str | None, ...]
    objective: str
    optimizer: str
    rows: int
    options: dict[str, Any]
    weighted: bool
    penalized: bool
    dtype: str
    seed: int


def drawn(seed: int) -> Case:
    """Return the case of a seed."""
    rng = np.random.default_rng(seed)
    kind = KINDS[seed % len(KINDS)]
    depth = int(rng.integers(1, 5))
    if kind == "thin":
        # Every SIMD level trains up to 6 features along columns, the highest one up to 12.
        widths = rng.integers(1, 13 if seed // len(KINDS) % 3 == 0 else 7, depth + 1)
    elif kind == "wide":
        depth = max(depth, 3)
        widths = rng.integers(200, 301, depth + 1)
    else:  # as many narrow nets as wide ones
        widths = np.exp(rng.uniform(0, np.log(301), depth + 1)).astype(int)
    # The last batch is mostly a short one; a batch of one row cannot be cut.
    objective = str(rng.choice(THIN if kind == "thin" else list(OBJECTIVES)))
    if OBJECTIVES[objective][0].code is OpCode.CROSSENTROPY:
        widths[-1] = max(widths[-1], 2)  # classes
    rows = int(rng.integers(64, 200)) if kind != "wide" else int(rng.integers(400, 500))
    batch = {"thin": (1, 64, 128), "wide": (384, 400)}.get(kind, (1, 3, 32, 50, 64, 200))
    return Case(
        kind,
        tuple(int(width) for width in widths),
        tuple(ACTIVATIONS[i] for i in rng.integers(0, len(ACTIVATIONS), depth - 1)),
        objective,
        list(OPTIMIZERS)[seed // len(KINDS) % len(OPTIMIZERS)],
        rows,
        {
            "batch_size": int(rng.choice(batch)),
            "epochs": int(rng.integers(2, 4)),
            "shuffle": bool(seed // len(KINDS) % 2),
            "validation_split": float(rng.choice([0.0, 0.2])) if kind == "many tiles" else 0.0,
        },
        bool(rng.integers(2)),
        bool(rng.integers(2)),
        ("float32", "float64")[int(rng.integers(2))],
        seed,
    )


def trained(case: Case, n_threads: int) -> tuple[bytes, dict[str, list[float]], float, bytes]:
    """Return the weights, the history, a loss and predictions of the case's net after training."""
    rng = np.random.default_rng(case.seed + 1000)
    loss, last = OBJECTIVES[case.objective]
    outputs = case.widths[-1]
    x = rng.standard_normal((case.rows, case.widths[0]))
    if loss.sparse:
        y = rng.integers(0, outputs, case.rows)
    elif loss.probabilities:
        y = rng.dirichlet(np.ones(outputs), case.rows) if outputs > 1 else rng.random((case.rows, 1))
    else:
        y = rng.standard_normal((case.rows, outputs))
    chained = [
        layers.Dense(width, activation, kernel_regularizer="l2" if case.penalized else None)
        for width, activation in zip(case.widths[1:], (*case.activations, last), strict=True)
    ]
    model = fastnn.Sequential([fastnn.Input((case.widths[0],)), *chained], dtype=case.dtype, seed=case.seed)
    model.compile(OPTIMIZERS[case.optimizer](), loss)
    weight = rng.random(case.rows) if case.weighted else None
    history = model.fit(x, y, sample_weight=weight, verbose=0, n_threads=n_threads, **case.options).history
    score = model.evaluate(x, y, verbose=0, n_threads=n_threads)
    assert isinstance(score, float)
    weights = b"".join(w.tobytes() for w in model.get_weights())
    return weights, history, score, model.predict(x, n_threads=n_threads).tobytes()


def is_along_columns(case: Case) -> bool:
    """Return whether the case's net trains with the batch as the fast axis."""
    model = fastnn.Sequential([fastnn.Input((case.widths[0],))], dtype=case.dtype)
    for width in case.widths[1:]:
        model.add(layers.Dense(width))
    model.compile("sgd", OBJECTIVES[case.objective][0])
    return any(op.path is Path.COLUMNS for op in model.plan(case.options["batch_size"]).ops)


@pytest.mark.parametrize("seed", range(50))
def test_every_number_of_threads_trains_the_same_bits(
    seed: int, team_sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = drawn(seed)
    monkeypatch.setattr(runtime, "available_cpus", lambda: 4)
    if case.kind != "wide":
        for name in vars(schedule):
            if name.startswith(("MINIMUM_", "PREFERRED_")):
                monkeypatch.setattr(schedule, name, 2)
        if case.kind == "along features":
            monkeypatch.setattr(schedule, "LARGE_KERNEL", 2)
            monkeypatch.setattr(schedule, "BLOCK_COLUMNS", 8)
        monkeypatch.setattr(program.pool, "run_pays", lambda *_: True)
    alone = trained(case, 1)
    assert team_sizes == []
    assert np.isfinite(alone[1]["loss"]).all()
    for n_threads in (2, 4):
        weights, history, score, outputs = trained(case, n_threads)
        assert (history, score) == alone[1:3], case
        assert weights == alone[0], case
        assert outputs == alone[3], case
        if case.options["batch_size"] >= 32:
            assert max(team_sizes) == n_threads, case


def test_the_nets_are_of_every_kind() -> None:
    cases = [drawn(seed) for seed in range(50)]
    assert {case.objective for case in cases} == set(OBJECTIVES)
    assert {(case.optimizer, case.dtype) for case in cases} == {
        (name, dtype) for name in OPTIMIZERS for dtype in ("float32", "float64")
    }
    assert {activation for case in cases for activation in case.activations} == set(ACTIVATIONS)
    assert {len(case.widths) - 1 for case in cases} == {1, 2, 3, 4}
    assert min(min(case.widths) for case in cases) == 1
    assert max(max(case.widths) for case in cases) >= 290
    for kind in KINDS:
        some = [case for case in cases if case.kind == kind]
        assert len(some) >= 10
        assert {case.options["shuffle"] for case in some} == {case.weighted for case in some} == {False, True}
        assert sum(case.options["batch_size"] >= 32 for case in some) >= 5
    along = [case for case in cases if case.kind == "thin" and is_along_columns(case)]
    assert len(along) >= 5
    assert {case.dtype for case in along} == {"float32", "float64"}
