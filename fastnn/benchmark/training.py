"""The training part: the workloads, raced by `runner`, as rows for the reports.

This file must not know any contender's library, nor how a race is run.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from fastnn.benchmark.parts import Item, Row, Settings, timing
from fastnn.benchmark.race import Effort, Turns
from fastnn.benchmark.rivals import Rival
from fastnn.benchmark.runner import measure
from fastnn.benchmark.workloads import Workload

__all__ = ["items", "measure_row"]


def items(settings: Settings) -> list[Item]:
    """Return the workloads.

    Parameters
    ----------
    settings : Settings
        Workloads, contenders, effort and cores.

    Returns
    -------
    list of Item
        Their rows are those of `measure_row`.
    """
    effort = settings.effort.training
    return [
        Item(
            workload.name,
            functools.partial(
                measure_row, workload, settings.rivals, effort, settings.n_cores, yardstick=True
            ),
        )
        for workload in settings.workloads
    ]


def measure_row(
    workload: Workload,
    rivals: Sequence[type[Rival]],
    effort: Effort,
    n_cores: int,
    yardstick: bool = False,
) -> Row:
    """Race contenders on a workload.

    Parameters
    ----------
    workload : Workload
        What to train.
    rivals : sequence of type
        The contenders, fastnn last.
    effort : Effort
        How long to measure.
    n_cores : int
        Cores to use.
    yardstick : bool
        Whether a large matrix product takes its turns too.

    Returns
    -------
    dict
        ``workload``, ``net``, ``batch``, ``optimizer``, ``parameters``, ``flops`` of a step, ``agree``,
        ``refusals``, ``timings`` per step with each contender's ``loss``, and ``product_speeds``, the
        yardstick's floating-point operations per second.
    """
    result = measure(workload, rivals, effort, n_cores, yardstick=yardstick)
    return {
        "workload": workload.name,
        "net": workload.net,
        "batch": workload.batch,
        "optimizer": workload.optimizer,
        "parameters": workload.parameters,
        "flops": workload.flops_per_step,
        "agree": result.losses_agree,
        "refusals": dict(result.refusals),
        "product_speeds": list(result.product_speeds),
        "timings": [
            timing(
                entry.name,
                Turns(entry.n_threads, entry.seconds_per_step) if entry.seconds_per_step else None,
                loss=entry.loss,
            )
            for entry in result.timings
        ],
    }
