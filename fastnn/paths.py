"""Choosing who multiplies matrices in each op: BLAS, or our own kernel.  A pass over ops.

BLAS copies both operands before it multiplies, which pays where each copied element is used often
enough.  OpenBLAS leaves that out for products of up to about 100^3 and is then hard to beat.
In between, our kernel (`_core/matmul.pxi`) reads operands where they lie.  Measured on one core
of a Zen 4 at 105 GFLOP/s peak, own kernel against OpenBLAS 0.3.30: forward 512 -> 512 with 16
rows 106 to 55, with 64 rows 109 to 71; 784 -> 500 with 100 rows 105 to 93; 2048 -> 2048 with
128 rows 54 to 82, because rows of the kernel then collide in the caches.  This file must not
know arrays or kernels.
"""

from __future__ import annotations

from dataclasses import replace

from fastnn.plan import Op, OpCode, Path

__all__ = ["choose_paths"]

# Multiplications up to which BLAS does not copy.
SMALL_PRODUCT = 1_000_000
# Elements of the largest kernel for which reading in place is fast, by SIMD level.  At the
# baseline our kernel lacks fused multiply-add, which BLAS finds for itself.
LARGEST_KERNEL = {"v4": 1_100_000, "v3": 140_000, "base": 0}
# Copying a transposed kernel, or running down the columns of a batch, needs this many rows to pay.
MINIMUM_ROWS = 48
MINIMUM_COLUMNS = 16
MINIMUM_DEPTH = 32


def choose_paths(ops: tuple[Op, ...], rows: int, simd: str) -> tuple[Op, ...]:
    """Return the ops with their paths chosen.

    Parameters
    ----------
    ops : tuple of Op
    rows : int
        Rows that a tile of the batch has.
    simd : str
        SIMD level of the kernels that will run: ``"base"``, ``"v3"`` or ``"v4"``.

    Returns
    -------
    tuple of Op
    """
    largest = LARGEST_KERNEL.get(simd, 0)
    return tuple(replace(op, path=_path(op, rows, largest)) for op in ops)


def _path(op: Op, rows: int, largest: int) -> Path:
    match op.code:
        case OpCode.DENSE:
            kernel = op.need("w")
            columns, depth, enough = kernel.columns, kernel.rows, True
        case OpCode.DENSE_BACKWARD:
            kernel = op.need("w")
            columns, depth, enough = kernel.rows, kernel.columns, rows >= MINIMUM_ROWS
        case OpCode.WEIGHT_GRADIENT | OpCode.SGD_DENSE:
            kernel = op.need(op.signature.names[0])
            columns, depth, enough = kernel.columns, rows, rows >= MINIMUM_ROWS
        case _:
            return Path.BLAS
    direct = (
        enough
        and rows * kernel.rows * kernel.columns > SMALL_PRODUCT
        and kernel.rows * kernel.columns <= largest
        and columns >= MINIMUM_COLUMNS
        and depth >= MINIMUM_DEPTH
    )
    return Path.DIRECT if direct else Path.BLAS
