"""Ops and activations by their codes: kernels run those of the table, and stop at any other."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn._core import table
from fastnn._core.executor import STATUSES, Executor
from fastnn._core.few_rows import APPLY_THREADS, FewRows
from fastnn.compiler.plan import SIGNATURES, OpCode, Path
from fastnn.ops import Activation

DTYPES = [np.float32, np.float64]
UNKNOWN = [-1, len(Activation), 999]
INPUTS, OUTPUTS = 24, 24
ROWS = {OpCode.DENSE: 4, OpCode.DENSE_BACKWARD: 4, OpCode.ACTIVATION: 2, OpCode.ACTIVATION_BACKWARD: 3}
# (op, path, rows): ways that a dense layer goes, see `_core/dense.pxi` and `narrow.pxi`.
WAYS = [
    (code, path, rows)
    for code in (OpCode.DENSE, OpCode.DENSE_BACKWARD, OpCode.ACTIVATION, OpCode.ACTIVATION_BACKWARD)
    for path in ((Path.BLAS, Path.DIRECT, Path.COLUMNS) if code in (OpCode.DENSE, OpCode.DENSE_BACKWARD)
                 else (Path.BLAS, Path.COLUMNS))
    for rows in (1, 3, 16)
]  # fmt: skip


def status_of(code: OpCode, path: Path, rows: int, activation: int, dtype: type) -> str:
    """Return how a run of one op ends; all its operands are parts of one array of ones."""
    size = 1024  # of each operand: at least rows, filled up to whole vectors, times columns
    widths = [INPUTS] * 4
    tiled = {OpCode.DENSE: (0, 1), OpCode.DENSE_BACKWARD: (0, 1, 3)}.get(code, (0, 1, 2))
    operands = [(0, int(place in tiled), place * size, widths[place]) for place in range(ROWS[code])]
    op = (int(code), activation, int(path), -1, operands, (0.5,), ())
    executor = Executor([op], [(0, 64, [(0, 1, 0, 0)])], [], dtype is np.float64, 0)
    memory = np.ones(4 * size + 16, dtype)
    memory = memory[-memory.ctypes.data % 64 // memory.itemsize :]
    executor.bind(0, memory, True)
    scratch = np.zeros(8), np.zeros(128, np.uint8)
    status, *_ = executor.run(rows, rows, 1, [], np.zeros((1, 0)), *scratch)
    return STATUSES[status]


def test_an_op_without_a_kernel_stops_the_run() -> None:
    op = (999, 0, 0, -1, [(0, 0, 0, 1), (0, 0, 0, 1)], (), ())
    executor = Executor([op], [(0, 64, [(0, 1, 0, 0)])], [], False, 0)
    executor.bind(0, np.zeros(64, np.float32), True)
    status, *_ = executor.run(4, 4, 1, [], np.zeros((1, 0)), np.zeros(8), np.zeros(128, np.uint8))
    assert STATUSES[status] == "UNKNOWN_OP"


def status_of_op(code: int, path: int, dtype: type) -> str:
    """Return how a run of one op without operands ends."""
    op = (int(code), 0, int(path), -1, (), (), ())
    executor = Executor([op], [(0, 64, [(0, 1, 0, 0)])], [], dtype is np.float64, 0)
    status, *_ = executor.run(4, 4, 1, [], np.zeros((1, 0)), np.zeros(8), np.zeros(128, np.uint8))
    return STATUSES[status]


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_op_on_a_path_without_a_kernel_stops_the_run(dtype: type, simd_level: str) -> None:
    """It runs nothing else: all of these have kernels on other paths."""
    empty = {(code, path) for code, signature in SIGNATURES.items() for path in set(Path) - signature.paths}
    assert (OpCode.SOFTMAX_CROSSENTROPY, Path.COLUMNS) in empty
    for code, path in [*sorted(empty), (OpCode.DENSE, -1), (OpCode.DENSE, len(Path)), (-1, Path.BLAS)]:
        assert status_of_op(code, path, dtype) == "UNKNOWN_OP", (code, path)


def test_kernels_are_those_that_signatures_say(simd_level: str) -> None:
    cells = {(path, code) for code, signature in SIGNATURES.items() for path in signature.paths}
    assert table.cells(False).keys() == table.cells(True).keys() == cells
    assert set(table.cells(False).values()).isdisjoint(table.cells(True).values())


def test_kernels_with_other_cells_are_not_loaded() -> None:
    cells = [(int(path), int(code)) for code, signature in SIGNATURES.items() for path in signature.paths]
    level = table.level()
    try:
        for others in (cells[1:], [*cells, (int(Path.DIRECT), int(OpCode.ADD))]):
            table.expect(others)
            with pytest.raises(ImportError, match="does not match its Python part"):
                table.load()
    finally:
        table.expect(cells)
    assert table.load(level) == level


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("code", "path", "rows"), WAYS)
def test_an_activation_without_a_kernel_stops_the_run(
    code: OpCode, path: Path, rows: int, dtype: type, simd_level: str
) -> None:
    for activation in UNKNOWN:
        assert status_of(code, path, rows, activation, dtype) == "UNKNOWN_OP"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("code", "path", "rows"), WAYS)
def test_those_of_the_table_have_one(
    code: OpCode, path: Path, rows: int, dtype: type, simd_level: str
) -> None:
    for activation in Activation:
        assert status_of(code, path, rows, activation, dtype) == "OK"


def test_nor_do_predictions_of_few_rows_go_on() -> None:
    op = (int(OpCode.ACTIVATION), 999, 0, -1, [(6, 2, 0, 3), (5, 2, 0, 3)], (), ())
    executor = Executor([op], [(0, 64, [(0, 1, 0, 0)])], [], False, 0)
    scratch = np.zeros((APPLY_THREADS, 128), np.uint8)
    few = FewRows(executor, [("x", 5, 3)], [("y", 6, 3)], 64, 1.0, scratch, lambda: 1)
    with pytest.raises(RuntimeError, match="the kernels stopped with status 3"):
        few.predict(np.ones((4, 3), np.float32))
