"""The compiler: from a graph to a verified plan, by lowering, scheduling and memory planning.

This file must not know arrays or kernels; of a dtype it knows the size, of a machine the SIMD level.
"""

from __future__ import annotations

from dataclasses import replace

from fastnn.compiler.fusion import join_updates
from fastnn.compiler.lowering import Lowered, lower, lower_loss, lower_metric
from fastnn.compiler.memory import Layout, parameter_layout, place
from fastnn.compiler.paths import batch_is_fast_axis, choose_paths, update_joins
from fastnn.compiler.plan import LANES, MOST_EXTERNALS, UPDATING, Plan, whole_vectors
from fastnn.compiler.schedule import schedule
from fastnn.compiler.verify import verify_plan
from fastnn.errors import ConfigurationError
from fastnn.graph.graph import Graph
from fastnn.losses import Loss
from fastnn.metrics import Metric
from fastnn.optimizers import Optimizer

__all__ = ["compile_loss", "compile_metric", "compile_plan"]


def compile_plan(
    graph: Graph,
    purpose: str,
    *,
    capacity: int = 0,
    losses: tuple[Loss, ...] = (),
    metrics: tuple[tuple[Metric, ...], ...] = (),
    weighted_metrics: tuple[tuple[Metric, ...], ...] = (),
    optimizer: Optimizer | None = None,
    shares: tuple[float, ...] = (),
    wrt: tuple[str, ...] = (),
    layout: Layout | None = None,
    gather: bool = False,
    weighted: bool = False,
    fused: bool = True,
    simd: str = "base",
    itemsize: int = 4,
) -> Plan:
    """Return the verified plan that serves a purpose.

    Parameters
    ----------
    graph : Graph
    purpose : str
        One of `fastnn.compiler.plan.PURPOSES`.
    capacity : int
        Rows of a batch, for purposes in `fastnn.compiler.plan.STEPWISE`; the others take any number, but for
        ``"update"``, which has no rows, and counts as a step of one.
    losses, metrics, weighted_metrics, optimizer, shares, wrt, gather, weighted, fused
        As in `fastnn.compiler.lowering.lower`.
    layout : Layout, optional
        Where the parameters lie, if they share their array with those of other models.
    simd, itemsize
        As in `fastnn.compiler.paths.batch_is_fast_axis`.

    Returns
    -------
    Plan

    Raises
    ------
    ConfigurationError
        If it would need too many arrays of the caller.
    PlanError
        If the plan does not verify, which is a defect of fastnn.

    Examples
    --------
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
    >>> [op.code.name for op in compile_plan(model.graph, "predict").ops]
    ['DENSE']
    """
    if purpose == "update":
        capacity = 1
    measured = (*metrics, *weighted_metrics)
    columns = (
        purpose == "train"
        and fused
        and all(loss.planned for loss in losses)
        and batch_is_fast_axis(graph, losses, measured, capacity, simd, itemsize)
    )
    lowered = lower(
        graph,
        purpose,
        losses,
        metrics,
        optimizer,
        weighted_metrics=weighted_metrics,
        shares=shares,
        wrt=wrt,
        gather=gather,
        weighted=weighted,
        fused=fused,
        columns=columns,
    )
    if len(lowered.externals) > MOST_EXTERNALS:
        raise ConfigurationError(
            f"{purpose} with {len(graph.inputs)} inputs, {len(graph.outputs)} outputs and {len(wrt)} tensors "
            f"in wrt needs {len(lowered.externals)} arrays, the most is {MOST_EXTERNALS}; ask for fewer in "
            "wrt, or join inputs and outputs with Concatenate"
        )
    ops = lowered.ops
    if purpose == "train" and fused:
        ops = tuple(join_updates(ops, lambda kernel: update_joins(kernel, capacity, simd)))
    ops, phases = schedule(ops, capacity, LANES if columns else 1)
    ops = choose_paths(ops, capacity or phases[0].tile_rows, simd, columns)
    states: tuple[str, ...] = ()
    scalars: tuple[str, ...] = ()
    if optimizer is not None and purpose in UPDATING:
        states, scalars = optimizer.states, optimizer.scalar_names
    rows = whole_vectors(capacity) if columns else capacity
    ops, sizes = place(ops, phases, layout or parameter_layout(graph.parameters), states, rows)
    plan = Plan(
        ops,
        phases,
        sizes,
        lowered.externals,
        lowered.accumulators,
        capacity,
        purpose,
        scalars,
        lowered.clips,
    )
    verify_plan(plan)
    return plan


def compile_metric(metric: Metric, columns: int, weighted: bool) -> Plan:
    """Return the verified plan that measures given outputs, ``"x"``, against targets, ``"y"``.

    Parameters
    ----------
    metric : Metric
    columns : int
        Of the outputs.
    weighted : bool
        Whether there are sample weights.

    Returns
    -------
    Plan

    Raises
    ------
    PlanError
        If the plan does not verify, which is a defect of fastnn.

    Examples
    --------
    >>> from fastnn.metrics import Accuracy
    >>> [op.code.name for op in compile_metric(Accuracy(), 2, weighted=True).ops]
    ['WEIGHT_TOTAL', 'EXACT_ACCURACY']
    """
    return _of_arrays(lower_metric(metric, columns, weighted))


def compile_loss(loss: Loss, columns: int) -> Plan:
    """Return the verified plan of a loss of given outputs, ``"x"``, and targets, ``"y"``.

    Its tiles are single rows, so that what a tile adds up is the loss of a row.

    Parameters
    ----------
    loss : Loss
    columns : int
        Of the outputs.

    Returns
    -------
    Plan

    Raises
    ------
    PlanError
        If the plan does not verify, which is a defect of fastnn.

    Examples
    --------
    >>> from fastnn.losses import Huber
    >>> plan = compile_loss(Huber(), 2)
    >>> [op.code.name for op in plan.ops], plan.phases[0].tile_rows
    (['POINTWISE_LOSS'], 1)
    """
    return _of_arrays(lower_loss(loss, columns), by_row=True)


def _of_arrays(lowered: Lowered, by_row: bool = False) -> Plan:
    """Return the verified plan of what has no parameters."""
    ops, phases = schedule(lowered.ops, 0, 1)
    if by_row:
        phases = tuple(replace(phase, tile_rows=1) for phase in phases)
    ops, sizes = place(ops, phases, parameter_layout(()), (), 0)
    plan = Plan(ops, phases, sizes, lowered.externals, lowered.accumulators, 0, "evaluate")
    verify_plan(plan)
    return plan
