"""Kernels for x86-64-v3: AVX2 and FMA."""

cdef const char* LEVEL = "v3"

cdef enum:
    BLOCK_ROWS = 6      # rows of a product that fit the registers, see matmul.pxi

include "kernels.pxi"
