"""Training epochs of the benchmark workloads, one group per workload, all contenders in it.

The losses are compared before anything is timed. pytest-benchmark times one contender after the
other: for ratios to rely on use ``fastnn benchmark``, which takes turns. This file is for histories
(``--benchmark-save``, ``--benchmark-compare``). It must not know any contender's library.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from fastnn.benchmark.machine import settle
from fastnn.benchmark.rivals import Rival, load_rivals
from fastnn.benchmark.runner import Result, Timing, batch_count
from fastnn.benchmark.workloads import WORKLOADS, Workload, make_data, make_weights
from fastnn.run.runtime import available_cpus

RIVALS = {rival.name: rival for rival in load_rivals()}


class Race(NamedTuple):
    """A workload and contenders that were shown to train alike."""

    workload: Workload
    n_steps: int
    contenders: dict[str, Rival]


@pytest.fixture(scope="module", params=WORKLOADS, ids=lambda workload: workload.name)
def race(request: pytest.FixtureRequest) -> Race:
    """Build all contenders on the same data and weights and compare their losses."""
    workload: Workload = request.param
    n_steps = batch_count(workload)
    x, y = make_data(workload, n_steps)
    contenders = {name: rival(workload, make_weights(workload), x, y) for name, rival in RIVALS.items()}
    losses = [Timing(name, contender.run_epochs(3)) for name, contender in contenders.items()]
    assert Result(workload, tuple(losses)).losses_agree, losses
    return Race(workload, n_steps, contenders)


@pytest.mark.parametrize("n_threads", sorted({1, available_cpus()}))
@pytest.mark.parametrize("name", RIVALS)
def test_epoch(benchmark: Any, race: Race, name: str, n_threads: int) -> None:
    """Time one epoch."""
    contender = race.contenders[name]
    benchmark.group = f"{race.workload.name} {race.workload.net}: {race.n_steps} steps"
    benchmark.extra_info.update(steps=race.n_steps, flops=race.n_steps * race.workload.flops_per_step)
    settle()
    with contender.threads(n_threads):
        benchmark(contender.run_epochs, 1)
