"""The executor against the reference interpreter: every op, loss, optimiser and activation.

Both run the same plan from the same numbers; float64 must agree to the last few digits, float32
to what its rounding leaves.  Threads and signals are in `test_executor_team.py`.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from cases import (
    ACTIVATIONS,
    DTYPES,
    LOSSES,
    MORE_ACTIVATIONS,
    NETS,
    OPTIMIZERS,
    WHOLE,
    Array,
    Case,
    agree,
    pairwise,
    same_bits,
)

from fastnn.compiler import pipeline as compiler
from fastnn.compiler import schedule
from fastnn.compiler.plan import Axis, OpCode, Path, Slot
from fastnn.errors import PlanError
from fastnn.run import program
from fastnn.run.program import Program
from fastnn.run.reference import OPS, ReferenceProgram
from fastnn.run.reference.draws import permutation_of
from fastnn.update_ops import UPDATES

EVERY_OPCODE = [
    Case("mse", "adam", net="gates", fused=False),
    Case("hinge", "adam", net="shared"),
    Case("mse", "momentum", net="normalized"),
    Case("mse", "momentum", net="scaled rows"),
    Case("categorical", "sgd", weighted=True),
    Case("absolute", "sgd"),
    Case("binary curve", "sgd", weighted=True),
    Case("categorical plain", "rmsprop"),
    Case("binary", "momentum"),
    Case("binary", "sgd", fused=False),
    Case("mse", "sgd", widths=(2, 3, 1), batch=12, gather=False),  # the batch is the fast axis
    Case("mse", "sgd decay", net="noise"),
    Case("mse", "adagrad"),
    Case("mse", "clipped"),
    Case("mse", "clipped numbers"),
    Case("mse", "adam", net="embedded"),
    Case("mse", "adam", net="paid"),
    *(
        Case(loss, "sgd")
        for loss in ("cosine", "exact", "top", "hits", "moments", "correlation", "confusion")
    ),
    Case("mse", "adam", rows=150, batch=64, widths=(300, 400, 260), simd="v4"),
]


def test_every_opcode_agrees_with_the_reference(tolerances: dict[str, float]) -> None:
    found: set[OpCode] = set()
    for case in EVERY_OPCODE:
        plan = case.plan
        found.update(op.code for op in plan.ops)
        exact = case.run(ReferenceProgram, plan)[1]
        agree(case.run(Program, plan)[1], exact, 100 * tolerances["trained float64"])
    found |= {OpCode[name] for name in UPDATES}  # see test_updates.py
    assert found == set(OpCode) == set(OPS)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(
    "purpose",
    ["train", "gradients", "evaluate", "predict", "training_outputs", "input_gradients", "backward"],
)
@pytest.mark.parametrize("loss", ["mse", "half squares", "hinge", "categorical logits"])
@pytest.mark.parametrize("net", NETS)
def test_graphs_agree_with_the_reference(
    net: str, loss: str, purpose: str, fused: bool, dtype: str, tolerances: dict[str, float]
) -> None:
    case = Case(loss, "adam", dtype=dtype, purpose=purpose, net=net, fused=fused, gather=purpose == "train")
    tolerance = 100 * tolerances["trained float64"] if dtype == "float64" else tolerances["trained float32"]
    agree(case.run(Program)[1], case.run(ReferenceProgram)[1], tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("purpose", ["train", "backward"])
@pytest.mark.parametrize("net", NETS)
def test_graphs_agree_at_every_simd_level(
    net: str, purpose: str, dtype: str, simd_level: str, tolerances: dict[str, float]
) -> None:
    case = Case("hinge", "sgd", dtype=dtype, purpose=purpose, net=net, gather=purpose == "train")
    tolerance = 100 * tolerances["trained float64"] if dtype == "float64" else tolerances["trained float32"]
    agree(case.run(Program)[1], case.run(ReferenceProgram)[1], tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("optimizer", "activation"),
    [*((o, "tanh") for o in OPTIMIZERS), *(("adam", a) for a in ACTIVATIONS if a != "tanh")],
)
@pytest.mark.parametrize("loss", LOSSES)
def test_training_agrees_with_the_reference(
    loss: str, optimizer: str, activation: str, dtype: str, tolerances: dict[str, float]
) -> None:
    case = Case(loss, optimizer, activation, dtype)
    result, given = case.run(Program)
    wanted, exact = case.run(ReferenceProgram)
    assert (result.steps, result.epochs) == (wanted.steps, wanted.epochs) == (8, 2)
    start = np.random.default_rng(3).normal(0, 0.5, exact["parameters"].size)
    assert np.abs(exact["parameters"] - start).max() > 1e-3
    agree(given, exact, tolerances[f"trained {dtype}"])


@pytest.mark.parametrize(
    ("name", "dtype", "fused", "widths", "batch"),
    pairwise(MORE_ACTIVATIONS, DTYPES, [True, False], [(5, 9, 4), (2, 3, 1), (17, 33, 2)], [7, 23]),
)
def test_other_activations_agree_with_the_reference(
    name: str, dtype: str, fused: bool, widths: tuple[int, ...], batch: int, tolerances: dict[str, float]
) -> None:
    if name in ("exponential", "reciprocal", "log"):  # of positive numbers: in the net "gates"
        return
    case = Case("mse", "adam", MORE_ACTIVATIONS[name], dtype, batch=batch, fused=fused, widths=widths)
    agree(case.run(Program)[1], case.run(ReferenceProgram)[1], 10 * tolerances[f"trained {dtype}"])
    case = replace(case, purpose="predict", gather=False)
    agree(case.run(Program)[1], case.run(ReferenceProgram)[1], tolerances[f"trained {dtype}"])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_threads", [1, 2, 4])
def test_updates_inside_of_products_agree_with_the_reference(
    n_threads: int, dtype: str, simd_level: str, tolerances: dict[str, float]
) -> None:
    case = Case("mse", "adam", "tanh", dtype, rows=150, batch=64, widths=(300, 400, 260), simd="v4")
    assert sum(op.code is OpCode.ADAM_DENSE for op in case.plan.ops) == 2
    given = case.run(Program, n_threads=n_threads)[1]
    agree(given, case.run(ReferenceProgram)[1], 100 * tolerances[f"trained {dtype}"])
    same_bits(given, case.run(Program, n_threads=1)[1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", ["mse", "sparse", "binary plain"])
def test_fused_unfused_and_reference_agree(loss: str, dtype: str, tolerances: dict[str, float]) -> None:
    for optimizer, gather, weighted in pairwise(OPTIMIZERS, [False, True], [False, True]):
        case = Case(loss, optimizer, dtype=dtype, gather=gather, weighted=weighted, widths=(5, 6, 9, 4))
        _, fused = case.run(Program)
        unfused_case = replace(case, fused=False)
        _, unfused = unfused_case.run(Program)
        _, exact = unfused_case.run(ReferenceProgram)
        assert len(unfused_case.plan.ops) > len(case.plan.ops)
        agree(unfused, exact, tolerances[f"trained {dtype}"])
        agree(fused, exact, tolerances[f"trained {dtype}"])
        _, exact = case.run(ReferenceProgram)
        agree(fused, exact, tolerances[f"trained {dtype}"])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("purpose", ["gradients", "evaluate", "predict", "input_gradients"])
@pytest.mark.parametrize("loss", LOSSES)
def test_other_purposes_agree_with_the_reference(
    loss: str, purpose: str, dtype: str, tolerances: dict[str, float]
) -> None:
    if purpose == "input_gradients" and LOSSES[loss][1] is not None:
        loss = "mse"  # a model that ends in an activation: see test_memory.py
    for activation in ACTIVATIONS:
        for weighted in (False, True) if purpose in ("gradients", "evaluate") else (False,):
            case = Case(
                loss, activation=activation, dtype=dtype, gather=False, weighted=weighted, purpose=purpose
            )
            case.batch = case.rows
            _, given = case.run(Program)
            _, exact = case.run(ReferenceProgram)
            kind = "gradient" if purpose.endswith("gradients") else "forward"
            agree(given, exact, tolerances["trained float64" if dtype == "float64" else f"{kind} float32"])


def test_rows_without_capacity_run_through_in_tiles(tolerances: dict[str, float]) -> None:
    case = Case(purpose="predict", gather=False, rows=3000)
    assert case.plan.phases[0].tile_rows < 3000
    _, given = case.run(Program)
    _, exact = case.run(ReferenceProgram)
    agree(given, exact, tolerances["trained float64"])


def make_tiles_small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in vars(schedule):
        if name.startswith(("MINIMUM_", "PREFERRED_")):
            monkeypatch.setattr(schedule, name, 1)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("loss", ["mse", "sparse", "binary"])
def test_small_tiles_change_nothing_but_rounding(
    loss: str, optimizer: str, monkeypatch: pytest.MonkeyPatch, tolerances: dict[str, float]
) -> None:
    make_tiles_small(monkeypatch)
    case = Case(loss, optimizer, weighted=True, rows=45, batch=18, widths=(30, 20, 4))
    plan = case.plan
    assert plan.phases[0].tile_rows < 18
    assert len(plan.phases[1].tasks) > 8
    agree(case.run(Program)[1], case.run(ReferenceProgram)[1], tolerances["trained float64"])


@pytest.mark.parametrize(
    ("dtype", "path", "activation", "batch"),
    pairwise(DTYPES, list(Path)[:2], [a for a in ACTIVATIONS if a != "softmax"], [1, 3, 6, 23]),
)
def test_a_cut_along_features_changes_nothing_but_rounding(
    batch: int,
    activation: str,
    path: Path,
    dtype: str,
    monkeypatch: pytest.MonkeyPatch,
    tolerances: dict[str, float],
    simd_level: str,
) -> None:
    made = compiler.choose_paths
    monkeypatch.setattr(
        compiler,
        "choose_paths",
        lambda *given: tuple(
            replace(op, path=path) if path in op.signature.paths else op for op in made(*given)
        ),
    )
    case = Case(
        activation=activation, optimizer="adam", dtype=dtype, batch=batch, epochs=1, widths=(19, 43, 70, 33)
    )
    assert all(phase.axis is not Axis.FEATURES for phase in case.plan.phases)
    for name in ("LARGE_KERNEL", "MINIMUM_COLUMNS", "PREFERRED_COLUMNS", "MINIMUM_TILE_FLOPS"):
        monkeypatch.setattr(schedule, name, 1)
    monkeypatch.setattr(schedule, "BLOCK_COLUMNS", 8)
    cut = [phase for phase in case.plan.phases if phase.axis is Axis.FEATURES]
    assert [len(phase.tasks) for phase in cut] == [6, 9, 5, 9, 6]  # forward three times, backward twice
    agree(case.run(Program)[1], case.run(ReferenceProgram)[1], tolerances[f"trained {dtype}"])


@pytest.mark.parametrize("rows", [1, 2, 4, 5, 16, 17])
def test_few_rows_of_large_kernels_cut_along_features(
    rows: int, tolerances: dict[str, float], simd_level: str
) -> None:
    case = Case(dtype="float32", rows=rows, batch=rows, epochs=1, widths=(20, 1001, 850, 3))
    assert sum(phase.axis is Axis.FEATURES for phase in case.plan.phases) == 2
    agree(case.run(Program)[1], case.run(ReferenceProgram)[1], tolerances["trained float32"])


THIN = [
    ("mse", (1, 1), True),
    ("mse sum", (2, 2, 1), True),
    ("mse", (6, 5, 4, 3), False),
    ("mse", (16, 16, 7), False),
    ("binary", (3, 16, 1), True),
    ("binary plain", (5, 4, 1), False),
    ("binary logits", (4, 3, 1), True),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("loss", "widths", "measured"), THIN)
def test_thin_nets_have_the_batch_as_fast_axis(
    loss: str,
    widths: tuple[int, ...],
    measured: bool,
    dtype: str,
    simd_level: str,
    monkeypatch: pytest.MonkeyPatch,
    tolerances: dict[str, float],
) -> None:
    monkeypatch.setattr(compiler, "batch_is_fast_axis", lambda *_: True)  # whether it pays or not
    if loss == "binary plain":  # softmax over one feature: not in this layout
        loss = "binary"
    # Updates go along parameters, whatever the layout: every rule once will do.
    optimizers = OPTIMIZERS if WHOLE or len(widths) == 2 else ["sgd", "momentum", "adam"]
    for optimizer, batch, gather in pairwise(optimizers, [1, 4, 15, 16, 17, 39], [False, True]):
        case = Case(loss, optimizer, "sigmoid", dtype, 39, batch, gather=gather, widths=widths)
        case.measured, case.weighted = measured, batch > 4
        assert {op.path for op in case.plan.ops if op.reads_batch()} == {Path.COLUMNS}
        agree(case.run(Program)[1], case.run(ReferenceProgram)[1], tolerances[f"trained {dtype}"])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gather", [False, True])
@pytest.mark.parametrize(("widths", "batch"), [((2, 3, 1), 12), ((6, 5, 3), 38), ((20, 30, 4), 7)])
def test_small_steps_are_the_same_bits_whether_each_op_is_timed_or_not(
    widths: tuple[int, ...], batch: int, gather: bool, dtype: str, simd_level: str
) -> None:
    # Untimed, a thread on its own walks with operands that are found once; timed, tile by tile.
    for optimizer in OPTIMIZERS:
        case = Case("mse", optimizer, "relu", dtype, 41, batch, 3, gather, widths=widths, measured=False)
        assert (case.plan.ops[0].path is Path.COLUMNS) == (max(widths) <= 6)
        nanoseconds = np.zeros(len(case.plan.ops), np.int64)
        timed = case.run(Program, nanoseconds=nanoseconds)[1]
        assert (nanoseconds > 0).any()
        same_bits(case.run(Program)[1], timed)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("byte", [0x00, 0xFF])
def test_thin_nets_in_many_tiles(
    byte: int, dtype: str, simd_level: str, monkeypatch: pytest.MonkeyPatch, tolerances: dict[str, float]
) -> None:
    make_tiles_small(monkeypatch)
    monkeypatch.setattr(compiler, "batch_is_fast_axis", lambda *_: True)
    real = program.aligned_array

    def allocate(size: int, kind: np.dtype) -> Array:
        array = real(size, kind)
        array.view(np.uint8)[...] = byte
        return array

    for rows, batch, gather in ((100, 100, False), (95, 50, False), (200, 130, False), (200, 130, True)):
        case = Case("mse", "sgd", "tanh", dtype, rows, batch, gather=gather, widths=(6, 7, 3))
        case.measured = False
        plan = case.plan
        assert plan.phases[0].tile_rows < batch
        exact = case.run(ReferenceProgram)[1]
        with monkeypatch.context() as patched:
            patched.setattr(program, "aligned_array", allocate)
            given = case.run(Program)[1]
        agree(given, exact, tolerances[f"trained {dtype}"])


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 16, 22, 23])
def test_batches_of_any_size_and_a_short_last_one(batch: int, tolerances: dict[str, float]) -> None:
    for gather in (False, True):
        case = Case("sparse", "adam", batch=batch, gather=gather, epochs=3)
        result, given = case.run(Program)
        assert result.steps == 3 * -(-23 // batch)
        agree(given, case.run(ReferenceProgram)[1], tolerances["trained float64"])


@pytest.mark.parametrize("purpose", ["train", "gradients"])
def test_fewer_rows_than_capacity(purpose: str, tolerances: dict[str, float]) -> None:
    plan = Case("sparse", "momentum", purpose=purpose, batch=64, gather=False).plan
    for rows in (1, 2, 31, 63, 64):
        case = Case("sparse", "momentum", purpose=purpose, rows=rows, batch=rows, gather=False)
        _, given = case.run(Program, plan)
        agree(given, case.run(ReferenceProgram, plan)[1], tolerances["trained float64"])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("purpose", ["train", "gradients", "evaluate", "predict"])
def test_what_memory_held_before_does_not_matter(
    purpose: str, fused: bool, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tiles_small(monkeypatch)
    case = Case("sparse", "adam", purpose=purpose, fused=fused, dtype=dtype, gather=purpose == "train")
    case.batch = 7 if purpose == "train" else 23
    real, results, filled, byte = program.aligned_array, [], [], [0x00]

    def allocate(size: int, kind: np.dtype) -> Array:
        array = real(size, kind)
        array.view(np.uint8)[...] = byte[0]
        filled.append(array.nbytes)
        return array

    monkeypatch.setattr(program, "aligned_array", allocate)
    for byte[0] in (0x00, 0xFF):
        results.append(case.run(Program)[1])
    assert sum(filled) > 0
    same_bits(*results)


def test_nothing_is_written_between_or_behind_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    make_tiles_small(monkeypatch)
    guarded: list[tuple[Array, int]] = []

    def allocate(size: int, dtype: np.dtype) -> Array:
        raw = np.full(size * dtype.itemsize + 256, 0xA5, np.uint8)
        skip = 64 + -raw.ctypes.data % 64
        guarded.append((raw, skip))
        guarded.append((raw[skip:], size * dtype.itemsize))
        return raw[skip : skip + size * dtype.itemsize].view(dtype)

    monkeypatch.setattr(program, "aligned_array", allocate)
    for purpose, fused in itertools.product(["train", "gradients", "evaluate", "predict"], [False, True]):
        case = Case("categorical", "adam", purpose=purpose, fused=fused, gather=False, widths=(5, 7, 3))
        case.batch = case.rows
        plan = case.plan
        _, written = case.run(Program)
        # The gaps between parameters, whose sizes are rounded up, are as they were.
        gaps = np.ones(plan.sizes[Slot.PARAMETERS], bool)
        for op in plan.ops:
            for o in op.operands:
                if o is not None and o.slot == Slot.PARAMETERS:
                    gaps[o.offset : o.offset + o.rows * o.columns] = False
        assert gaps.any()
        before = np.random.default_rng(3).normal(0, 0.5, gaps.size)
        np.testing.assert_array_equal(written["parameters"][gaps], before[gaps])
        if purpose == "train":
            assert not written["state"].reshape(2, -1)[:, gaps].any()
            assert written["state"].reshape(2, -1)[:, ~gaps].any()
    assert len(guarded) > 8
    for raw, begin in guarded[::2]:
        assert (raw[:begin] == 0xA5).all(), "written before a buffer"
    for rest, size in guarded[1::2]:
        assert (rest[size:] == 0xA5).all(), "written behind a buffer"


def test_each_epoch_has_its_order_and_its_sums() -> None:
    order = np.arange(23, dtype=np.int32)
    Case(epochs=3).run(Program, permutation=order, first_epoch=4)
    np.testing.assert_array_equal(order, permutation_of(23, 5, 6))
    case = Case("sparse", epochs=4)
    together = case.run(Program)[0].sums
    assert together.shape == (4, case.plan.n_sums)
    for epochs in (1, 2, 3):
        np.testing.assert_array_equal(replace(case, epochs=epochs).run(Program)[0].sums, together[:epochs])


def test_programs_refuse_what_does_not_fit() -> None:
    case = Case()
    with pytest.raises(PlanError, match="a batch of 8 rows exceeds the plan's capacity 7"):
        replace(case, batch=8).run(Program, case.plan)
    with pytest.raises(PlanError, match="needs a permutation of all of them"):
        case.run(Program, permutation=np.arange(22, dtype=np.int32))
    plan, arrays = case.plan, case.data()
    parameters = np.zeros(plan.sizes[Slot.PARAMETERS])
    order = np.arange(23, dtype=np.int32)
    with pytest.raises(PlanError, match=r"slot PARAMETERS needs \d+ elements of float64"):
        Program(plan, np.dtype(np.float64), parameters[1:])
    with pytest.raises(PlanError, match="slot PARAMETERS needs"):
        Program(plan, np.dtype(np.float64), parameters.astype(np.float32))
    made = Program(plan, np.dtype(np.float64), parameters)
    for bad in (arrays["x"][:, :4], arrays["x"].astype(np.float32), np.asfortranarray(arrays["x"])):
        with pytest.raises(PlanError, match=r"external 'x' must be float64 \(23, 5\) in C order"):
            made.run({**arrays, "x": bad}, 23, 7, permutation=order, scalars=lambda *_: np.ones((1, 1)))
    predict = Program(replace(case, purpose="predict").plan, np.dtype(np.float64), parameters)
    arrays["output"].flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        predict.run({"x": arrays["x"], "output": arrays["output"]}, 23, 23)
