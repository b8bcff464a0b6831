"""Plans are values: equal ones are compiled once in a process, and kept for models to come.

What a plan depends on is hashable, descriptions through and through; where a user's class makes it not, plans
are compiled each time.  This file must not know models, arrays or programs.
"""

from __future__ import annotations

from typing import Any

from fastnn.cache import Latest
from fastnn.compiler.memory import Layout
from fastnn.compiler.pipeline import compile_plan
from fastnn.compiler.plan import Plan
from fastnn.graph.graph import Graph

__all__ = ["shared_plan"]

_KEPT_OPS = 10_000  # of all plans that are kept, which bounds their memory

_plans: Latest[Plan] = Latest(_KEPT_OPS, lambda plan: len(plan.ops))


def shared_plan(graph: Graph, purpose: str, layout: Layout, **options: Any) -> Plan:
    """Return what `compile_plan` returns for these arguments, perhaps for an earlier model.

    Parameters
    ----------
    graph : Graph
    purpose : str
    layout : Layout
    **options
        As for `compile_plan`.

    Examples
    --------
    >>> import fastnn
    >>> one, two = (fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)]) for _ in range(2))
    >>> one.plan() is two.plan()
    True
    """
    key = (graph, purpose, tuple(layout.offsets.items()), layout.size, tuple(options.items()))
    return _plans.get(key, lambda: compile_plan(graph, purpose, layout=layout, **options))
