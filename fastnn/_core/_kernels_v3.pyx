"""Kernels for x86-64-v3: AVX2 and FMA."""

from fastnn._core.tuning cimport V3_BLOCK_BYTES, V3_BLOCK_ROWS

cdef const char* LEVEL = "v3"

cdef enum:
    # What of a product fits the registers, see matmul.pxi.
    BLOCK_ROWS = V3_BLOCK_ROWS
    BLOCK_BYTES = V3_BLOCK_BYTES

include "kernels.pxi"
