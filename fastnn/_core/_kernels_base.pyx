"""Kernels for the compiler's baseline of the platform: SSE2 on x86-64, NEON on ARM."""

cdef const char* LEVEL = "base"

include "kernels.pxi"
