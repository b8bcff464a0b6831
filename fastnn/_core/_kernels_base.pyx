"""Kernels for the compiler's baseline of the platform: SSE2 on x86-64, NEON on ARM."""

cdef const char* LEVEL = "base"

cdef enum:
    # What of a product fits the registers, see matmul.pxi.
    BLOCK_ROWS = 2
    BLOCK_BYTES = 64

include "kernels.pxi"
