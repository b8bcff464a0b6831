"""Loads the kernels of one SIMD level and hands out their function table.

A level's module is imported only when it is chosen: its code may use instructions that other
machines lack.  What the machine has is asked of the processor (cpuid) and of the operating
system (xgetbv: whether it saves the wide registers).
"""

import importlib.util
import os

from fastnn._core import guards
from fastnn._core import types as _types

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.math cimport fabs, fmax
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from fastnn._core.tuning cimport FEW_NUMBERS
from fastnn._core.types cimport MAX_ACTIVATIONS, MAX_OPCODES, N_PATHS, KernelTable

cdef extern from *:
    """
    #if defined(__x86_64__)
    #include <cpuid.h>
    static unsigned long long fastnn_xgetbv(void) {
        unsigned int low, high;
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        return ((unsigned long long)high << 32) | low;
    }
    /* 0: baseline, 3: AVX2 + FMA + BMI, 4: AVX-512 F, CD, BW, DQ, VL as well */
    static int fastnn_x86_level(void) {
        unsigned int a, b, c, d, c1;
        unsigned long long saved;
        if (!__get_cpuid(1, &a, &b, &c1, &d)) return 0;
        if (!((c1 >> 27) & 1) || !((c1 >> 28) & 1) || !((c1 >> 12) & 1)) return 0;  /* OSXSAVE, AVX, FMA */
        saved = fastnn_xgetbv();
        if ((saved & 0x6) != 0x6) return 0;
        if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
        if (!((b >> 5) & 1) || !((b >> 3) & 1) || !((b >> 8) & 1)) return 0;        /* AVX2, BMI, BMI2 */
        if ((saved & 0xE0) != 0xE0) return 3;
        a = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31;
        return (b & a) == a ? 4 : 3;
    }
    #else
    static int fastnn_x86_level(void) { return 0; }
    #endif
    """
    int x86_level "fastnn_x86_level"()

# Best first; what this machine can run, and this build contains.
LEVELS = tuple(
    name
    for name, needed in (("v4", 4), ("v3", 3), ("base", 0))
    if x86_level() >= needed and (needed == 0 or importlib.util.find_spec(f"fastnn._core._kernels_{name}"))
)

cdef const KernelTable* TABLE = NULL
_chosen = None
_module = None
_expected = None    # the cells that have kernels, as numbers of paths and opcodes


cdef const KernelTable* kernel_table() noexcept nogil:
    """Return the table of the level in use; `need_table` must have been called."""
    return TABLE


cdef int need_table() except -1:
    """Load the kernels if they are not.

    Not when this module is imported: they need SciPy's BLAS, and importing that takes longer than all else.
    """
    if TABLE == NULL:
        load(_chosen)
    return 0


def choose(level=None):
    """Return the name of the level that is to be used.

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
        If the level is unknown, or this machine or this build lacks it.
    """
    if level is None:
        level = os.environ.get("FASTNN_SIMD") or LEVELS[0]
        source = "FASTNN_SIMD"
    else:
        source = "level"
    if level not in LEVELS:
        known = "this machine or this build lacks it" if level in ("base", "v3", "v4") else "no such level"
        raise ValueError(f"{source}={level!r}: {known}; here there are {', '.join(LEVELS)}")
    return level


def expect(cells):
    """Say which paths have kernels for which ops, as kernels that differ are not to be used.

    Parameters
    ----------
    cells : iterable of (int, int)
        Numbers of paths and opcodes.
    """
    global _expected
    _expected = frozenset(cells)


cdef dict cells_of(const KernelTable* table, bint double):
    """Return the addresses of kernels by path and opcode."""
    cdef int path, code
    cdef size_t kernel
    cells = {}
    for path in range(N_PATHS):
        for code in range(MAX_OPCODES):
            kernel = <size_t>table.of[double].cells[path][code].of_float
            if kernel:
                cells[path, code] = kernel
    return cells


cdef bint has_activations(const KernelTable* table):
    """Return whether there are all activations with their derivatives, and no others."""
    cdef int code
    codes = set(_types.ActivationCode.__members__.values())
    for code in range(MAX_ACTIVATIONS):
        known = code in codes
        if (
            (table.float_forward[code] != NULL) != known or (table.double_forward[code] != NULL) != known
            or (table.float_backward[code] != NULL) != known
            or (table.double_backward[code] != NULL) != known
        ):
            return False
    return True


def cells(bint double=False):
    """Return which paths have kernels for which ops: their addresses by path and opcode.

    Parameters
    ----------
    double : bool
        Those for float64 instead of float32.

    Returns
    -------
    dict of (int, int) to int
    """
    need_table()
    return cells_of(TABLE, double)


def load(level=None):
    """Load the kernels of a level, as `choose` understands it, and return its name."""
    global TABLE, _chosen, _module
    cdef const KernelTable* table
    chosen = choose(level)
    module = guards.load(f"fastnn._core._kernels_{chosen}")
    table = <const KernelTable*>PyCapsule_GetPointer(module.table, "fastnn.kernel_table")
    if not has_activations(table):
        raise ImportError("fastnn's kernels lack an activation, or have one more; build them again")
    known = _expected if _expected is not None else cells_of(table, False).keys()
    if cells_of(table, False).keys() != known or cells_of(table, True).keys() != known:
        raise ImportError("fastnn's compiled core does not match its Python part; build it again")
    TABLE, _chosen, _module = table, chosen, module
    return TABLE.name.decode("ascii")


def count_nonfinite(array):
    """Return how many elements of a contiguous float32 or float64 array are NaN or infinite."""
    cdef Py_buffer view
    cdef bint is_double = array.dtype.itemsize == 8
    cdef Py_ssize_t count = 0
    if not array.size:
        return 0
    need_table()
    PyObject_GetBuffer(array.reshape(-1), &view, PyBUF_SIMPLE)
    if array.size <= FEW_NUMBERS:
        count = TABLE.nonfinite(is_double, view.buf, view.len // (8 if is_double else 4))
    else:
        with nogil:
            count = TABLE.nonfinite(is_double, view.buf, view.len // (8 if is_double else 4))
    PyBuffer_Release(&view)
    return count


cdef Py_ssize_t still_narrow(
    const float* low, const float* high, Py_ssize_t* columns, Py_ssize_t n_columns, double share
) noexcept nogil:
    """Keep the columns that may be narrow when all rows are seen, and return how many these are.

    With a spread S at the end no magnitude is more than S above the largest m so far: S < share (m + S).
    """
    cdef Py_ssize_t i, kept = 0, column
    cdef double spread
    for i in range(n_columns):
        column = columns[i]
        spread = <double>high[column] - low[column]
        if (1 - share) * spread < share * fmax(fabs(low[column]), fabs(high[column])):
            columns[kept] = column
            kept += 1
    return kept


cdef Py_ssize_t find_narrow(
    const float[:, ::1] array, Py_ssize_t step, double share, float* low, float* high, Py_ssize_t* columns
) noexcept nogil:
    """Find the narrow columns, with their ends, and return how many there are.

    Most columns show within a few rows that they are not narrow, and are looked at no longer.
    """
    cdef Py_ssize_t row = 0, i, column, seen = 0, asked = 4, n_columns = array.shape[1]
    cdef float value
    for column in range(n_columns):
        low[column] = array[0, column]
        high[column] = array[0, column]
        columns[column] = column
    while row < array.shape[0] and n_columns:
        for i in range(n_columns):
            column = columns[i]
            value = array[row, column]
            low[column] = value if value < low[column] else low[column]
            high[column] = value if value > high[column] else high[column]
        row += step
        seen += 1
        if seen == asked:
            n_columns = still_narrow(low, high, columns, n_columns, share)
            asked *= 2
    return n_columns


def narrow_columns(const float[:, ::1] array, Py_ssize_t step, double share):
    """Return the columns whose values differ by less than a share of the largest magnitude among them.

    Parameters
    ----------
    array : numpy.ndarray of float32, (rows, columns)
        With one row at least.
    step : int
        Every row of this many is looked at.
    share : float

    Returns
    -------
    list of int
    """
    cdef Py_ssize_t i, n_found, n_columns = array.shape[1]
    cdef Py_ssize_t* columns = <Py_ssize_t*>malloc(n_columns * (sizeof(Py_ssize_t) + 2 * sizeof(float)))
    cdef float* low = <float*>(columns + n_columns)
    cdef float* high = low + n_columns
    cdef double magnitude
    cdef list found = []
    if columns == NULL:
        raise MemoryError("no memory for a row")
    if array.shape[0] // step * n_columns <= FEW_NUMBERS:
        n_found = find_narrow(array, step, share, low, high, columns)
    else:
        with nogil:
            n_found = find_narrow(array, step, share, low, high, columns)
    for i in range(n_found):
        magnitude = fmax(fabs(low[columns[i]]), fabs(high[columns[i]]))
        if <double>high[columns[i]] - low[columns[i]] < share * magnitude:
            found.append(columns[i])
    free(columns)
    return found


def address(array):
    """Return where the memory of an object with a writable buffer begins."""
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_WRITABLE)
    cdef size_t begin = <size_t>view.buf
    PyBuffer_Release(&view)
    return begin


def cleared(array):
    """Fill an array with zeros, and return where its memory begins.

    NumPy lets other threads of Python in while it does that, which costs them and the caller more.
    """
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_WRITABLE)
    memset(view.buf, 0, view.len)
    cdef size_t begin = <size_t>view.buf
    PyBuffer_Release(&view)
    return begin


def level():
    """Return the name of the level in use."""
    return _chosen


_chosen = choose()
