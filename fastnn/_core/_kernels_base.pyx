"""Kernels for the compiler's baseline of the platform: SSE2 on x86-64, NEON on ARM."""

cdef const char* LEVEL = "base"

cdef enum:
    BLOCK_ROWS = 2      # rows of a product that fit the registers, see matmul.pxi

include "kernels.pxi"
