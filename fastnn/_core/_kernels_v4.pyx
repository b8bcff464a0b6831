"""Kernels for x86-64-v4: AVX-512."""

cdef const char* LEVEL = "v4"

cdef enum:
    # What of a product fits the registers, see matmul.pxi.
    BLOCK_ROWS = 8
    BLOCK_BYTES = 128

include "kernels.pxi"
