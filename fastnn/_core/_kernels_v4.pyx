"""Kernels for x86-64-v4: AVX-512."""

cdef const char* LEVEL = "v4"

cdef enum:
    BLOCK_ROWS = 8      # rows of a product that fit the registers, see matmul.pxi

include "kernels.pxi"
