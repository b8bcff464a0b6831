"""Kernels for x86-64-v3: AVX2 and FMA."""

cdef const char* LEVEL = "v3"

include "kernels.pxi"
