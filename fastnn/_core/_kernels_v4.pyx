"""Kernels for x86-64-v4: AVX-512."""

from fastnn._core.tuning cimport V4_BLOCK_BYTES, V4_BLOCK_ROWS

cdef const char* LEVEL = "v4"

cdef enum:
    # What of a product fits the registers, see matmul.pxi.
    BLOCK_ROWS = V4_BLOCK_ROWS
    BLOCK_BYTES = V4_BLOCK_BYTES

include "kernels.pxi"
