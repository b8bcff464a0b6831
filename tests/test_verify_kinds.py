"""Kinds of arrays in plans: an op reads numbers of the kind that it takes, or the plan is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fastnn import Input, Sequential, layers, losses, metrics, optimizers
from fastnn.compiler import compile_plan
from fastnn.errors import PlanError
from fastnn.ops import REAL, Kind, Numbers
from fastnn.plan import Plan


def labelled(gather: bool = False, loss: losses.Loss | None = None) -> Plan:
    """Return a plan to train with labels of three classes."""
    return compile_plan(
        Sequential([Input((5,)), layers.Dense(3, "softmax")], seed=0).graph,
        "train",
        capacity=8,
        losses=(loss or losses.SparseCategoricalCrossentropy(),),
        metrics=((metrics.SparseCategoricalAccuracy(),),),
        optimizer=optimizers.SGD(),
        gather=gather,
        weighted=True,
    )


def of_kind(plan: Plan, name: str, kind: Any) -> Plan:
    """Return the plan with another kind of an array of the caller."""
    there = (replace(e, kind=kind) if e.name == name else e for e in plan.externals)
    return replace(plan, externals=tuple(there))


def kinds_of(plan: Plan) -> dict[str, Kind]:
    return {external.name: external.kind for external in plan.externals}


@pytest.mark.parametrize("gather", [False, True])
def test_kinds_targets_of_sparse_losses_are_labels(gather: bool) -> None:
    plan = labelled(gather)
    assert kinds_of(plan) == {"x": REAL, "y": Kind(Numbers.LABEL, 3), "sample_weight": REAL}
    assert kinds_of(labelled(gather, losses.MulticlassHinge())) == kinds_of(plan)


def test_kinds_fewer_labels_than_there_are_columns_do_no_harm() -> None:
    of_kind(labelled(), "y", Kind(Numbers.LABEL, 2)).verify()


LABELS, GATHERED = labelled(), labelled(gather=True)
DEFECTS: dict[str, tuple[Callable[[], Plan], str]] = {
    "too many": (
        lambda: of_kind(LABELS, "y", Kind(Numbers.LABEL, 4)),
        "CROSSENTROPY of .*, operand 't' takes labels below 3, but 'y' holds labels below 4",
    ),
    "too many, gathered": (
        lambda: of_kind(GATHERED, "y", Kind(Numbers.LABEL, 4)),
        r"operand 't' takes labels below 3, but 'y\[rows\]' holds labels below 4",
    ),
    "real": (lambda: of_kind(LABELS, "y", REAL), "takes labels below 3, but 'y' holds real numbers"),
    "real, gathered": (lambda: of_kind(GATHERED, "y", REAL), "takes labels .* holds real numbers"),
    "as numbers": (
        lambda: of_kind(LABELS, "x", Kind(Numbers.LABEL, 3)),
        "DENSE of 'dense'.*, operand 'x' takes real numbers, but 'x' holds labels below 3",
    ),
    "as weights": (lambda: of_kind(LABELS, "sample_weight", Kind(Numbers.LABEL, 3)), "takes real numbers"),
    "no limit": (lambda: of_kind(LABELS, "y", Kind(Numbers.LABEL)), "needs a limit of 1 to"),
    "a limit above": (lambda: of_kind(LABELS, "y", Kind(Numbers.LABEL, 2**31)), "needs a limit of 1 to"),
    "a limit of reals": (lambda: of_kind(LABELS, "x", Kind(limit=1)), "needs real numbers without a limit"),
    "a limit that is true": (lambda: of_kind(LABELS, "y", Kind(Numbers.LABEL, True)), "needs a Kind"),
    "another type": (lambda: of_kind(LABELS, "y", "labels"), "'y' holds 'labels', needs a Kind"),
    "nothing": (lambda: of_kind(LABELS, "y", None), "'y' holds None, needs a Kind"),
    "numbers unknown": (lambda: of_kind(LABELS, "y", Kind(3, 3)), "needs a Kind"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_kinds_that_do_not_fit_are_refused(defect: str) -> None:
    change, message = DEFECTS[defect]
    with pytest.raises(PlanError, match=message):
        change().verify()


def test_kinds_what_is_written_is_real() -> None:
    graph = Sequential([Input((5,)), layers.Dense(3)], seed=0).graph
    plan = of_kind(compile_plan(graph, "predict"), "output", Kind(Numbers.LABEL, 3))
    with pytest.raises(PlanError, match=r"'output' holds .*, needs real numbers without a limit"):
        plan.verify()
