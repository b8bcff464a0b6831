"""The map part: widths by batches, every layer equally wide, depth and optimizer spread over the cells.

A cell is a workload like any other and raced by the same referee, with fewer rounds. A cell
too heavy for its depth gets fewer layers; one that is too heavy with a single layer is left out by name.
This file must not know any contender's library.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Literal

from fastnn.benchmark.parts import Item, LeftOut, Row, Settings
from fastnn.benchmark.race import Effort
from fastnn.benchmark.rivals import Rival
from fastnn.benchmark.training import measure_row
from fastnn.benchmark.workloads import Workload

__all__ = ["BATCHES", "MAX_FLOPS", "RIVALS", "WIDTHS", "cell", "items"]

WIDTHS = (1, 4, 16, 64, 256, 1024, 2048)
BATCHES = (1, 4, 16, 64, 256, 1024, 4096)
_QUICK_WIDTHS, _QUICK_BATCHES = (4, 64), (1, 64)
_MAX_DEPTH = 6

MAX_FLOPS = 10**11
"""Floating-point operations of a step above which a cell is not measured: half a second at 200 GFLOP/s."""

RIVALS = ("NumPy", "PyTorch", "JAX scan", "fastnn")
"""Who is raced on the map, if installed: the others do not come near, or compile for too long."""

_ROUNDS, _LIMIT = 7, 25.0


def items(settings: Settings) -> list[Item]:
    """Return the cells, batch by batch.

    Parameters
    ----------
    settings : Settings
        Contenders, of which those in `RIVALS` take part, effort and cores.

    Returns
    -------
    list of Item
        Their rows are those of the training part, with ``width``, ``batch`` and ``depth``.
    """
    widths, batches = (_QUICK_WIDTHS, _QUICK_BATCHES) if settings.quick else (WIDTHS, BATCHES)
    effort = dataclasses.replace(
        settings.effort,
        rounds=min(settings.effort.rounds, _ROUNDS),
        limit=min(settings.effort.limit, _LIMIT),
    )
    rivals = tuple(rival for rival in settings.rivals if rival.name in RIVALS)
    return [
        Item(
            f"width {width}, batch {batch}",
            functools.partial(_measure, rivals, effort, settings.n_cores, width, batch),
        )
        for batch in batches
        for width in widths
    ]


def cell(width: int, batch: int) -> Workload | None:
    """Return what is trained in a cell, or None if it is too heavy even with one layer.

    ReLU, squared error, as many inputs and outputs as hidden units. Over the table the depth runs from 1
    to 6 and the optimizer alternates, so that every combination is met in every region.

    Parameters
    ----------
    width : int
        Inputs, units of every hidden layer, outputs.
    batch : int
        Rows per step.

    Returns
    -------
    Workload or None

    Examples
    --------
    >>> print(cell(64, 16).net, cell(64, 16).optimizer)
    64-64-64-64-64-64-64 adam
    >>> cell(2048, 2**15) is None
    True
    """
    row, column = width.bit_length() // 2, batch.bit_length() // 2
    # Both directions pass through all depths, and neighbours with the same depth differ in the optimizer.
    depth = 1 + (5 * row + column) % _MAX_DEPTH
    optimizer: Literal["sgd", "adam"] = ("sgd", "adam")[(row // 2 + column) % 2]
    for layers in range(depth, 0, -1):
        workload = Workload(
            name=f"{width}x{batch}",
            widths=(width,) * (layers + 1),
            activation="relu",
            output_activation="linear",
            loss="mse",
            batch=batch,
            optimizer=optimizer,
            learning_rate=1e-4,
            description="a cell of the map",
        )
        if workload.flops_per_step <= MAX_FLOPS:
            return workload
    return None


def _measure(rivals: tuple[type[Rival], ...], effort: Effort, n_cores: int, width: int, batch: int) -> Row:
    workload = cell(width, batch)
    if workload is None:
        raise LeftOut(f"one step takes more than {MAX_FLOPS / 1e9:.0f} GFLOP even with a single layer")
    row = measure_row(workload, rivals, effort, n_cores)
    return {**row, "width": width, "batch": batch, "depth": len(workload.widths) - 1}
