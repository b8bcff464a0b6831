"""Loads the kernels of one SIMD level and hands out their function table.

A level's module is imported only when it is chosen: its code may use instructions that other
machines lack.
"""

import importlib
import os

from cpython.pycapsule cimport PyCapsule_GetPointer

from fastnn._core.types cimport KernelTable

LEVELS = ("base",)     # best first

cdef const KernelTable* TABLE = NULL
_module = None


cdef const KernelTable* kernel_table() noexcept nogil:
    """Return the table of the level that `load` chose."""
    return TABLE


def load(level=None):
    """Load the kernels of a level and return its name.

    Parameters
    ----------
    level : str, optional
        One of `LEVELS`; by default the environment's ``FASTNN_SIMD``, else the best one.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If the level is unknown.
    """
    global TABLE, _module
    if level is None:
        level = os.environ.get("FASTNN_SIMD") or LEVELS[0]
    if level not in LEVELS:
        raise ValueError(f"unknown SIMD level {level!r} (from FASTNN_SIMD?); known: {', '.join(LEVELS)}")
    _module = importlib.import_module(f"fastnn._core._kernels_{level}")
    TABLE = <const KernelTable*>PyCapsule_GetPointer(_module.table, "fastnn.kernel_table")
    return TABLE.name.decode("ascii")


def level():
    """Return the name of the level in use."""
    return TABLE.name.decode("ascii")


load()
