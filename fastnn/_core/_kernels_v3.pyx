"""Kernels for x86-64-v3: AVX2 and FMA."""

cdef const char* LEVEL = "v3"

cdef enum:
    # What of a product fits the registers, see matmul.pxi.
    BLOCK_ROWS = 6
    BLOCK_BYTES = 64

include "kernels.pxi"
