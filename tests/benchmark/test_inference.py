"""Tests of the inference part: contenders agree with double precision, and no time comes before that."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from formulas import ACTIVATIONS

from fastnn.benchmark import inference
from fastnn.benchmark.parts import Settings
from fastnn.benchmark.race import Effort
from fastnn.benchmark.rivals import PREDICTORS, find_predictors
from fastnn.benchmark.rivals.numpy_inference import NumpyPredictor
from fastnn.benchmark.workloads import Workload, find_workloads, make_weights

Peer = Callable[[str], ModuleType]
FORMS = [
    dataclasses.replace(
        workload,
        widths=tuple(min(width, limit) for width, limit in zip(workload.widths, (6, 5, 4, 3), strict=False)),
        batch=4,
    )
    for workload in find_workloads(["xnor", "policy64", "bike", "tabular"])
]


def expected_outputs(workload: Workload, weights: list[Any], x: Any) -> Any:
    """Return the outputs in double precision."""
    x = x.astype(np.float64)
    for kernel, bias, activation in zip(weights[0::2], weights[1::2], workload.activations, strict=True):
        x = ACTIVATIONS[activation](x @ kernel.astype(np.float64) + bias)
    return x


@pytest.mark.parametrize("n_rows", [1, 7])
@pytest.mark.parametrize("workload", FORMS, ids=lambda workload: workload.name)
@pytest.mark.parametrize("key", PREDICTORS)
def test_outputs_are_right(key: str, workload: Workload, n_rows: int, peer: Peer) -> None:
    predictor = find_predictors([key])[0]
    peer(predictor.module)
    if key == "onnxruntime":
        peer("onnx")
    if predictor.refuses(workload) is not None:
        assert (key, workload.name) == ("sklearn", "xnor")
        return
    weights = make_weights(workload)
    for weight in weights[1::2]:
        weight += np.float32(0.25)
    x = np.random.default_rng(1).standard_normal((n_rows, workload.widths[0]), dtype=np.float32)
    kept = x.copy()
    for n_threads in (1, 2):
        with predictor.threads(n_threads):
            y = predictor(workload, weights).function(n_threads)(x)
        assert y.dtype == np.float32
        np.testing.assert_allclose(y, expected_outputs(workload, weights, kept), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(x, kept)


def settings(*predictors: Any) -> Settings:
    return Settings((), (), predictors, Effort(rounds=2, seconds=1e-4), n_cores=1)


def test_six_cases() -> None:
    labels = [item.label for item in inference.items(settings(NumpyPredictor))]
    assert len(labels) == 6
    assert labels[:2] == ["784-500-10, 1 row", "784-500-10, 32 rows"]


def test_a_row_holds_times_of_each() -> None:
    case = inference.items(settings(*find_predictors()))[3]
    row = case.measure()
    assert case.label == "4-64-64-2, 1 row"
    assert row["agree"]
    assert [entry["name"] for entry in row["timings"]] == ["NumPy", "fastnn"]
    for entry in row["timings"]:
        assert len(entry["seconds"]) == 2
        assert all(1e-8 < seconds < 100 for seconds in entry["seconds"])
        assert entry["difference"] <= 1e-5


class Wrong(NumpyPredictor):
    """A contender that rounds."""

    name = "wrong"

    def function(self, n_threads: int) -> Any:
        right = super().function(n_threads)
        return lambda x: np.round(right(x), 2)


class Flat(Wrong):
    """A contender with outputs of another shape."""

    def function(self, n_threads: int) -> Any:
        right = NumpyPredictor.function(self, n_threads)
        return lambda x: right(x).reshape(-1)


@pytest.mark.parametrize("cheat", [Wrong, Flat])
def test_no_time_without_agreement(cheat: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "take_turns", None)  # would fail
    row = inference.items(settings(cheat, *find_predictors()))[3].measure()
    assert not row["agree"]
    assert [entry["seconds"] for entry in row["timings"]] == [[], [], []]
    assert row["timings"][0]["difference"] > inference.OUTPUT_TOLERANCE


def test_who_refuses_is_named() -> None:
    class Shy(NumpyPredictor):
        name = "shy"

        @classmethod
        def refuses(cls, workload: Workload) -> str | None:
            return "no such net"

    row = inference.items(settings(Shy, *find_predictors()))[3].measure()
    assert row["refusals"] == {"shy": "no such net"}
    assert [entry["name"] for entry in row["timings"]] == ["NumPy", "fastnn"]
