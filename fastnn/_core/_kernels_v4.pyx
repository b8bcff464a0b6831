"""Kernels for x86-64-v4: AVX-512."""

cdef const char* LEVEL = "v4"

include "kernels.pxi"
