"""Kernels for the compiler's baseline of the platform: SSE2 on x86-64, NEON on ARM."""

from fastnn._core.tuning cimport BASE_BLOCK_BYTES, BASE_BLOCK_ROWS

cdef const char* LEVEL = "base"

cdef enum:
    # What of a product fits the registers, see matmul.pxi.
    BLOCK_ROWS = BASE_BLOCK_ROWS
    BLOCK_BYTES = BASE_BLOCK_BYTES

include "kernels.pxi"
