"""The compiler as a whole: how much it has to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import fastnn
from fastnn import layers, losses, optimizers
from fastnn.compiler.pipeline import compile_plan

MSE = losses.MeanSquaredError()
OPTIONS: dict[str, dict[str, Any]] = {
    "train": {"capacity": 32, "losses": (MSE,), "optimizer": optimizers.Adam(), "gather": True},
    "gradients": {"capacity": 32, "losses": (MSE,)},
    "input_gradients": {},
}


@pytest.mark.parametrize("purpose", OPTIONS)
def test_a_net_eight_times_as_deep_takes_eight_times_as_much(
    purpose: str, lines_run: Callable[[Callable[[], object]], int]
) -> None:
    """Quadratic passes once took 117 s for 3000 layers."""

    def lines(depth: int) -> int:
        chained = [layers.Dense(4, "relu", name=f"layer_{number}") for number in range(depth)]
        graph = fastnn.Sequential([fastnn.Input((4,)), *chained], seed=0).graph
        return lines_run(lambda: compile_plan(graph, purpose, **OPTIONS[purpose]))

    assert lines(200) < 9 * lines(25)
