"""Kinds of arrays in plans: an op reads numbers of the kind that it takes, or the plan is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fastnn import Input, Model, Sequential, layers, losses, metrics, optimizers
from fastnn.compiler.pipeline import compile_metric, compile_plan
from fastnn.compiler.plan import OpCode, Plan, Slot
from fastnn.compiler.verify import verify_plan
from fastnn.errors import PlanError
from fastnn.ops import REAL, Kind, Numbers


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
    verify_plan(of_kind(labelled(), "y", Kind(Numbers.LABEL, 2)))


@pytest.mark.parametrize(
    "metric", [metrics.SparseTopKCategoricalAccuracy(2), metrics.ConfusionMatrix(labels=True)], ids=repr
)
def test_kinds_labels_that_metrics_read_are_below_the_outputs(metric: metrics.Metric) -> None:
    plan = compile_metric(metric, 3, weighted=False)
    assert kinds_of(plan) == {"x": REAL, "y": Kind(Numbers.LABEL, 3)}
    for kind in (REAL, Kind(Numbers.LABEL, 4)):
        with pytest.raises(PlanError, match="operand 't' takes labels below 3, but 'y' holds"):
            verify_plan(of_kind(plan, "y", kind))


def embedded(purpose: str = "train", gather: bool = False) -> Plan:
    """Return a plan that looks up integers in two tables, of 9 and 5 rows, and has numbers besides."""
    a, z = Input((2,), name="a"), Input((3,), name="z")
    h = layers.Concatenate()([layers.Embedding(9, 2)(a), layers.Embedding(5, 3)(a), z])
    return compile_plan(
        Model([a, z], layers.Dense(2)(h), seed=0).graph,
        purpose,
        capacity=8 if purpose == "train" else 0,
        losses=(losses.MeanSquaredError(),),
        optimizer=optimizers.SGD(),
        gather=gather,
    )


@pytest.mark.parametrize("purpose", ["train", "evaluate", "predict", "input_gradients"])
def test_kinds_indices_are_below_the_smallest_table(purpose: str) -> None:
    kinds = kinds_of(embedded(purpose))
    assert kinds.pop("x:a") == Kind(Numbers.INDEX, 5)
    assert set(kinds.values()) == {REAL}


def with_operand(plan: Plan, code: OpCode, name: str, **changes: Any) -> Plan:
    """Return the plan with one operand of the last op of a code changed."""
    index = max(i for i, op in enumerate(plan.ops) if op.code is code)
    op = plan.ops[index]
    place = op.signature.names.index(name)
    operands = (*op.operands[:place], replace(op.need(name), **changes), *op.operands[place + 1 :])
    return replace(plan, ops=(*plan.ops[:index], replace(op, operands=operands), *plan.ops[index + 1 :]))


def indices_of_the_net() -> Plan:
    """Indices are what another table holds, which are numbers of any kind."""
    first, second = (op for op in INDICES.ops if op.code is OpCode.EMBEDDING)
    y = first.need("y")
    wrong = replace(second, operands=(second.operands[0], y, *second.operands[2:]))
    ops = (wrong if op is second else op for op in INDICES.ops)
    plan = replace(INDICES, ops=tuple(ops))
    return with_operand(plan, OpCode.EMBEDDING, "y", columns=y.columns * 3)


def indices_computed_with() -> Plan:
    """What is put side by side are indices, not their vectors."""
    joins = next(op for op in INDICES.ops if op.code is OpCode.CONCATENATE)
    x = next(op.need("x") for op in INDICES.ops if op.code is OpCode.EMBEDDING)
    wrong = replace(joins, operands=(replace(joins.need("y"), columns=11), x, *joins.operands[2:]))
    return replace(INDICES, ops=tuple(wrong if op is joins else op for op in INDICES.ops))


LABELS, GATHERED = labelled(), labelled(gather=True)
INDICES, GATHERED_INDICES = embedded(), embedded(gather=True)
LOOKS_UP, ADDS_UP = OpCode.EMBEDDING, OpCode.EMBEDDING_GRADIENT
ENCODES, BINS = OpCode.ENCODE_CATEGORIES, OpCode.DISCRETIZE
CATEGORIES = compile_plan(
    Sequential([Input((2,)), layers.CategoryEncoding(5, "one_hot"), layers.Dense(1)]).graph, "predict"
)
BINNED = compile_plan(
    Sequential([Input((2,)), layers.Discretization([0.0, 1.0]), layers.Dense(1)]).graph, "predict"
)


def with_mode(plan: Plan, mode: float) -> Plan:
    """Return the plan with another mode of its first op."""
    return replace(plan, ops=(replace(plan.ops[0], constants=(mode,)), *plan.ops[1:]))


DEFECTS: dict[str, tuple[Callable[[], Plan], str]] = {
    "categories too many": (
        lambda: of_kind(CATEGORIES, "x", Kind(Numbers.INDEX, 6)),
        "ENCODE_CATEGORIES of .*, operand 'x' takes indices below 5, but 'x' holds indices below 6",
    ),
    "categories real": (lambda: of_kind(CATEGORIES, "x", REAL), "below 5, but 'x' holds real numbers"),
    "categories without a part each": (
        lambda: with_operand(CATEGORIES, ENCODES, "y", columns=11),
        "widths 1 and 0 that must agree",
    ),
    "categories in no mode": (lambda: with_mode(CATEGORIES, 0.0), "has the mode 0.0, which does not exist"),
    "bins in no mode": (lambda: with_mode(BINNED, 4.0), "has the mode 4.0, which does not exist"),
    "bins of another width": (lambda: with_mode(BINNED, 1.0), "widths 2 and 6 that must agree"),
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
    "indices too large": (
        lambda: of_kind(INDICES, "x:a", Kind(Numbers.INDEX, 6)),
        r"op \d+ \(EMBEDDING of 'embedding_1'\), operand 'x' takes indices below 5, but 'x:a' .* below 6",
    ),
    "indices too large, gathered": (
        lambda: of_kind(GATHERED_INDICES, "x:a", Kind(Numbers.INDEX, 6)),
        r"operand 'x' takes indices below 5, but 'x:a\[rows\]' holds indices below 6",
    ),
    "indices real": (
        lambda: of_kind(INDICES, "x:a", REAL),
        "EMBEDDING of 'embedding'.* takes indices below 9, but 'x:a' holds real numbers",
    ),
    "indices as labels": (
        lambda: of_kind(INDICES, "x:a", Kind(Numbers.LABEL, 5)),
        "takes indices below 9, but 'x:a' holds labels below 5",
    ),
    "indices of the net": (indices_of_the_net, "takes indices below 5, but 'embedding/y' holds real numbers"),
    "indices as numbers": (indices_computed_with, "takes real numbers, but 'x:a' holds indices below 5"),
    "numbers as indices": (lambda: of_kind(INDICES, "x:z", Kind(Numbers.INDEX, 5)), "takes real numbers"),
    "a table of fewer rows": (
        lambda: with_operand(INDICES, LOOKS_UP, "w", rows=4),
        "takes indices below 4, but 'x:a' holds indices below 5",
    ),
    "a gradient of fewer rows": (
        lambda: with_operand(
            of_kind(replace(INDICES, sizes=(999,) * 5), "x:a", Kind(Numbers.INDEX, 9)), LOOKS_UP, "w", rows=9
        ),
        "EMBEDDING_GRADIENT of 'embedding_1/embeddings'.* takes indices below 5, but .* below 9",
    ),
    "another width": (lambda: with_operand(INDICES, LOOKS_UP, "y", columns=7), "widths 7 and 6 that must"),
    "another width of gradients": (
        lambda: with_operand(INDICES, ADDS_UP, "lost", columns=7),
        "that must agree",
    ),
    "gradients of another height": (lambda: with_operand(INDICES, ADDS_UP, "lost", rows=4), "must agree"),
    "errors in shared memory": (
        lambda: with_operand(INDICES, ADDS_UP, "lost", slot=Slot.WORKSPACE),
        "operand 'lost' lies in slot workspace",
    ),
    "numbers unknown": (lambda: of_kind(LABELS, "y", Kind(3, 3)), "needs a Kind"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_kinds_that_do_not_fit_are_refused(defect: str) -> None:
    change, message = DEFECTS[defect]
    with pytest.raises(PlanError, match=message):
        verify_plan(change())


def test_kinds_what_is_written_is_real() -> None:
    graph = Sequential([Input((5,)), layers.Dense(3)], seed=0).graph
    plan = of_kind(compile_plan(graph, "predict"), "output", Kind(Numbers.LABEL, 3))
    with pytest.raises(PlanError, match=r"'output' holds .*, needs real numbers without a limit"):
        verify_plan(plan)
