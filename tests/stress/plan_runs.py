"""Running a plan between guard words and pages that nobody may touch, on random data and sizes."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import random
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np

from fastnn._core import table
from fastnn.compiler.plan import ROWS, OpCode, Plan, Slot
from fastnn.run import program

MOST_ELEMENTS = 2_000_000  # of all memory of a plan that is run


class Fence:
    """Memory with guard words on both sides and, where the system can, forbidden pages around them."""

    PAGE = mmap.PAGESIZE
    WORD = 0xA5

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.made: list[tuple[str, np.ndarray, int, int]] = []
        try:
            self.protect = ctypes.CDLL(None).mprotect
        except (AttributeError, OSError, TypeError):  # Windows
            self.protect = None

    def array(self, name: str, size: int, dtype: Any, alignment: int = 64) -> np.ndarray:
        """Return an array that begins or ends where a forbidden page does, as far as alignment allows."""
        dtype = np.dtype(dtype)
        nbytes = size * dtype.itemsize
        pages = max(-(-nbytes // self.PAGE), 1)
        memory = mmap.mmap(-1, (pages + 2) * self.PAGE)
        whole = np.frombuffer(memory, np.uint8)
        if self.protect is not None:
            for page in (0, pages + 1):
                if self.protect(ctypes.c_void_p(whole.ctypes.data + page * self.PAGE), self.PAGE, 0):
                    raise OSError("mprotect failed")
        inner = whole[self.PAGE : (pages + 1) * self.PAGE]
        inner[:] = self.WORD
        begin = 0 if self.rng.random() < 0.3 else (inner.size - nbytes) // alignment * alignment
        self.made.append((name, inner, begin, begin + nbytes))
        array = inner[begin : begin + nbytes].view(dtype)
        array[:] = 0
        return array

    def check(self) -> None:
        """Assert that no guard word has changed."""
        for name, inner, begin, end in self.made:
            for part in (inner[:begin], inner[end:]):
                assert (part == self.WORD).all(), f"memory beside {name} was written"


def uncovered(plan: Plan, slot: Slot) -> np.ndarray:
    """Return a mask of the elements of a slot in which no operand lies."""
    mask = np.ones(plan.sizes[slot], bool)
    for op in plan.ops:
        for operand in op.operands:
            if operand is not None and operand.slot == slot:
                rows = plan.padded_capacity if operand.rows == ROWS else operand.rows
                mask[operand.offset : operand.offset + rows * operand.columns] = False
    return mask


def run_plan(plan: Plan, rng: random.Random) -> bool:
    """Run a plan on random data and sizes; return False if it needs too much memory."""
    dtype = np.dtype(rng.choice((np.float32, np.float64)))
    table.load(rng.choice(table.LEVELS))
    numbers = np.random.default_rng(rng.randrange(2**32))
    for batch, rows in sizes_for(plan, rng):
        fence = Fence(rng)
        gathers = any(op.code is OpCode.GATHER for op in plan.ops)
        there = rows + (rng.choice((0, 5)) if gathers else 0)
        if sum(plan.sizes) + there * sum(e.columns for e in plan.externals) > MOST_ELEMENTS:
            return False

        def aligned(size: int, dtype: Any, fence: Fence = fence) -> np.ndarray:
            return fence.array("memory of a tile", size, dtype)

        memory = {}
        for slot in (Slot.PARAMETERS, Slot.GRADIENTS, Slot.STATE, Slot.WORKSPACE):
            memory[slot] = fence.array(slot.name, plan.sizes[slot], dtype)
            memory[slot][:] = np.abs(numbers.normal(0, 0.3, memory[slot].size))  # of state, some are squares
        before = {slot: array[uncovered(plan, slot)] for slot, array in memory.items()}
        with mock.patch.object(program, "aligned_array", aligned):
            flat = [memory[slot] for slot in (Slot.PARAMETERS, Slot.GRADIENTS, Slot.STATE)]
            made = program.Program(plan, dtype, *flat)
            made.executor.bind(Slot.WORKSPACE, memory[Slot.WORKSPACE], True)
            arrays = data_for(plan, dtype, there, numbers, fence)
            run_program(made, arrays, batch, rows, there, numbers, fence, rng)
        fence.check()
        for slot, array in memory.items():
            kept = np.array_equal(array[uncovered(plan, slot)], before[slot])
            assert kept, f"elements of {slot.name} that are no operand's were written"
    return True


def sizes_for(plan: Plan, rng: random.Random) -> list[tuple[int, int]]:
    """Return sizes of batches, and rows of an epoch."""
    if plan.capacity == 0:
        sizes = rng.sample((1, 2, 31, 32, 33, 40, 70, 200, 1030), 2)
        return [(rows, rows) for rows in sizes]
    most = min(plan.capacity, 100)
    some = rng.randint(1, most)
    return [(most, most + rng.randrange(2 * most)), (some, rng.randint(1, 3 * some))][rng.randrange(2) :]


def data_for(
    plan: Plan, dtype: np.dtype, rows: int, numbers: np.random.Generator, fence: Fence
) -> dict[str, np.ndarray]:
    """Return arrays for the externals, of their kinds."""
    arrays = {}
    for external in plan.externals:
        array = fence.array(external.name, rows * external.columns, dtype, alignment=dtype.itemsize)
        if external.kind.is_whole:
            array[:] = numbers.integers(0, external.kind.limit, array.size)
        else:
            array[:] = numbers.normal(0, 1, array.size)
        arrays[external.name] = array.reshape(rows, external.columns)
    return arrays


@contextlib.contextmanager
def teams() -> Iterator[None]:
    """Let runs of any size use a second thread."""
    with mock.patch.object(program.pool, "run_pays", return_value=True):
        yield


def run_program(
    made: program.Program,
    arrays: dict[str, np.ndarray],
    batch: int,
    rows: int,
    there: int,
    numbers: np.random.Generator,
    fence: Fence,
    rng: random.Random,
) -> None:
    plan, size = made.plan, made.dtype.itemsize
    arguments: dict[str, Any] = {"epochs": rng.choice((1, 2)), "n_threads": 1}
    if rng.random() < 0.7:
        arguments["scalars"] = lambda _, count: np.full((count, len(plan.scalars)), 0.01)
    else:
        arguments["scalars"] = lambda *_: np.full((1, len(plan.scalars)), 0.01)
    if rng.random() < 0.3:
        arguments["nanoseconds"] = np.zeros(len(plan.ops), np.int64)
    if rng.random() < 0.3:
        arguments["restore"] = True
    if there != rows or any(op.code is OpCode.GATHER for op in plan.ops):
        order = fence.array("permutation", rows, np.int32, alignment=4)
        order[:] = numbers.integers(0, there, rows)
        arguments["permutation"] = order
        arguments["shuffle"] = rng.random() < 0.3
    # What `Program` allots is a little larger than what the plan asks for; each thread's begins at a line.
    made._local_bytes = -(-plan.sizes[Slot.LOCAL] * size // 64) * 64
    tiles = max(made._code.parameter_tiles, made._batch_tiles(min(batch, rows)))
    made._partial = fence.array("partial sums", (tiles + 1) * plan.n_sums + 1, np.float64)
    if rng.random() < 0.1 and "nanoseconds" not in arguments:
        with teams():
            made.run(arrays, rows, batch, **arguments | {"n_threads": 2})
    else:
        made.run(arrays, rows, batch, **arguments)
    few = 0 if made.few_rows is None else min(rows, made.few_rows.most_rows)
    if made.few_rows is not None and few > 0:
        inputs = [external.name for external in plan.externals if not external.written]
        given = {name.partition(":")[2] or name: arrays[name][:few] for name in inputs}
        assert made.few_rows.predict(given) is not None, "the short way refused its input"
