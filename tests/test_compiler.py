"""The compiler as a whole: how long it takes."""

from __future__ import annotations

import time
from typing import Any

import pytest

import fastnn
from fastnn import layers, losses, optimizers
from fastnn.compiler import compile_plan

MSE = losses.MeanSquaredError()
OPTIONS: dict[str, dict[str, Any]] = {
    "train": {"capacity": 32, "losses": (MSE,), "optimizer": optimizers.Adam(), "gather": True},
    "gradients": {"capacity": 32, "losses": (MSE,)},
    "input_gradients": {},
}


@pytest.mark.parametrize("purpose", OPTIONS)
def test_a_net_eight_times_as_deep_takes_about_eight_times_as_long(purpose: str) -> None:
    """Quadratic passes once took 117 s for 3000 layers; this is the thread's own time."""

    def seconds(depth: int) -> float:
        chained = [layers.Dense(4, "relu", name=f"layer_{number}") for number in range(depth)]
        graph = fastnn.Sequential([fastnn.Input((4,)), *chained], seed=0).graph
        began = time.thread_time()
        compile_plan(graph, purpose, **OPTIONS[purpose])
        return time.thread_time() - began

    shallow = min(seconds(100) for _ in range(5))
    assert min(seconds(800) for _ in range(2)) < 24 * shallow
