"""Paths: a fast one that silently stopped being taken must show, in plans and in what runs."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn
from fastnn import layers, losses, optimizers
from fastnn._core import table
from fastnn.benchmark.workloads import WORKLOADS, Workload, find_workloads, make_data
from fastnn.compiler.pipeline import compile_plan
from fastnn.compiler.plan import PRODUCTS, WEIGHT_PRODUCTS, OpCode, Path, Plan, Slot
from fastnn.run.program import Program

LEVELS = ("base", "v3", "v4")
# The products of a training step, forward, backward, and of weights from the last to the first: by BLAS (B),
# our own kernels (D), those for few outputs (F), those with the batch as the fast axis (C), or together with
# Adam (J).
EXPECTED = {
    "xnor": ("CC C CC", "CC C CC", "CC C CC"),
    "admissions": ("CC C CC", "CC C CC", "CC C CC"),
    "bike": ("BF F BF", "BF F BF", "DF F DF"),
    "policy1": ("BBF FB FBB", "BBF FB FBB", "BBF FB FBB"),
    "policy64": ("BBF FB FBB", "DDF FD FDD", "DDF FD FBB"),
    "smallmlp": ("BBF FB FBB", "DDF FD FDD", "DDF FD FDD"),
    "twenty": ("BB B BB", "DB B DB", "DB D DB"),
    "tabular": ("BBB BB BBB", "DDB DD BDD", "DDB DD BDD"),
    "mnist": ("BB B BB", "BB D BB", "DB D DB"),
    "wide": ("BBB BB BBB", "BBB BB BBB", "DDD DD JJJ"),
}


def plan_of(workload: Workload, simd: str, itemsize: int, **clip: float) -> Plan:
    """Return the plan of a training step, which depends on no machine."""
    chain = [layers.Dense(*of) for of in zip(workload.widths[1:], workload.activations, strict=True)]
    return compile_plan(
        fastnn.Sequential([fastnn.Input((workload.widths[0],)), *chain], seed=0).graph,
        "train",
        capacity=workload.batch,
        losses=(losses.get(workload.loss),),
        optimizer=(optimizers.SGD if workload.optimizer == "sgd" else optimizers.Adam)(**clip),
        gather=True,
        simd=simd,
        itemsize=itemsize,
    )


def letters(plan: Plan, *codes: OpCode) -> str:
    ops = [op for op in plan.ops if op.code in codes]
    return "".join("J" if op.code is OpCode.ADAM_DENSE else op.path.name[0] for op in ops)


@pytest.mark.parametrize("itemsize", [4, 8])
@pytest.mark.parametrize("simd", LEVELS)
@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_workloads_take_their_paths(workload: Workload, simd: str, itemsize: int) -> None:
    plan = plan_of(workload, simd, itemsize)
    products = ((OpCode.DENSE,), (OpCode.DENSE_BACKWARD,), WEIGHT_PRODUCTS)
    taken = " ".join(letters(plan, *codes) for codes in products)
    assert taken == EXPECTED[workload.name][LEVELS.index(simd)]
    along_columns = "C" in taken
    for op in plan.ops:
        assert op.path in op.signature.paths
        assert (op.path is Path.COLUMNS) == (along_columns and op.reads_batch())


@pytest.mark.parametrize("simd", LEVELS)
@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_products_take_the_same_paths_where_updates_wait_for_all_gradients(
    workload: Workload, simd: str
) -> None:
    plan, free = plan_of(workload, simd, 4, global_clipnorm=1.0), plan_of(workload, simd, 4)
    taken, expected = (
        {(op.layer, op.code in WEIGHT_PRODUCTS): op.path for op in made.ops if op.code in PRODUCTS}
        for made in (plan, free)
    )
    assert taken == expected
    assert {op.code for op in plan.ops} & WEIGHT_PRODUCTS == {OpCode.WEIGHT_GRADIENT}


@pytest.mark.parametrize("name", ["xnor", "tabular"])
def test_printed_plans_say_which_kernel_an_op_got_and_why(name: str) -> None:
    (workload,) = find_workloads([name])
    plan = plan_of(workload, "v3", 4)
    lines = [line for line in str(plan).splitlines() if " flops " in line and " bytes " in line]
    assert len(lines) == len(plan.ops)
    chosen = 0
    for op, line in zip(plan.ops, lines, strict=True):
        assert (f"[{op.path.name.lower()}]" in line) == line.endswith(f"  because {op.because}")
        chosen += bool(op.because)
    assert chosen == sum(
        len(op.signature.paths) > 1 if name == "xnor" else op.signature.paths >= {Path.BLAS, Path.DIRECT}
        for op in plan.ops
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["xnor", "policy1", "policy64"])
def test_what_runs_is_what_the_plan_says(name: str, dtype: type, simd_level: str) -> None:
    (workload,) = find_workloads([name])
    double = dtype is np.float64
    plan = plan_of(workload, simd_level, np.dtype(dtype).itemsize)
    sizes = [np.zeros(plan.sizes[slot], dtype) for slot in (Slot.PARAMETERS, Slot.GRADIENTS, Slot.STATE)]
    program = Program(plan, np.dtype(dtype), *sizes)
    x, y = make_data(workload, 1)
    arrays = {"x": x.astype(dtype), "y": y.astype(dtype).reshape(len(y), -1)}
    order = np.arange(len(x), dtype=np.int32)
    rates = np.full((1, len(plan.scalars)), 0.1)
    program.run(arrays, len(x), workload.batch, permutation=order, n_threads=1, scalars=lambda *_: rates)
    ran = program.executor.bound_kernels()
    ops = [plan.ops[i] for phase in plan.phases for task in phase.tasks for i in range(task.first, task.last)]
    assert [(path, code) for path, code, _, _ in ran] == [(op.path, op.code) for op in ops]
    cells = table.cells(double)
    assert [kernel for _, _, kernel, _ in ran] == [cells[op.path, op.code] for op in ops]
    # Along columns, ops but for updates run one after another in one function.
    for op, (_, _, _, lane) in zip(ops, ran, strict=True):
        assert (lane != 0) == (op.path is Path.COLUMNS)
