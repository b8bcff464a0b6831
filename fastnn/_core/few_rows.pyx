"""Predictions of few rows at the least cost: one call from arrays to arrays, which keeps the GIL.

The GIL takes the place of a lock: neither another thread nor a signal handler comes in between.  Workers
take part if there are several tiles and calls follow each other.  A run of the same executor may be under
way; it has tiles and scratch memory of its own.
"""

import numpy as np

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from fastnn._core.executor cimport Executor
from fastnn._core.guards cimport let_forks_pass
from fastnn._core.pool cimport Workers, hire, note_work, wanted_workers
from fastnn._core.run cimport LOCAL_SLOT, MAX_SLOTS, PARAMETER_SLOT, tile_for
from fastnn._core.table cimport kernel_table
from fastnn._core.tiles cimport Tiles, check_status, share_tiles
from fastnn._core.tuning cimport FLOPS_PER_NANOSECOND, MOST_THREADS, ROWS_WORK, WIDE_COLUMNS, WIDE_KERNEL
from fastnn._core.types cimport Frame, KernelTable, Op, OpCode, PathCode, is_row_wise

cdef enum:
    MOST_ENDS = 8           # inputs and outputs together

APPLY_THREADS = MOST_THREADS
APPLY_ENDS = MOST_ENDS

cdef object _ndarray = np.ndarray
cdef object _empty = np.empty


cdef bint has_wide_kernel(const Op* op, Py_ssize_t rows) noexcept nogil:
    """Return whether few rows are best shared along the columns of what the op writes.

    Only if it has the same bits then: BLAS multiplies in another order for another number of columns.
    """
    cdef Py_ssize_t columns = op.operands[0].columns
    if op.code != OpCode.DENSE or is_row_wise(op.activation):
        return False
    if op.path != PathCode.DIRECT and (rows > 1 or op.path != PathCode.BLAS):
        return False
    return columns >= WIDE_COLUMNS and columns * op.operands[1].columns >= WIDE_KERNEL


cdef int apply_tiles(Tiles* tiles, int n_workers) except -1:
    """Run tiles with workers, or alone, and keep the GIL."""
    cdef Workers hired
    hire(&hired, n_workers, True)
    check_status(share_tiles(tiles, &hired, True))
    return 0


cdef void* converted(const Py_buffer* view, bint double) noexcept:
    """Return a copy of numbers in the other of the two dtypes, for `free`; NULL if there is no memory."""
    cdef Py_ssize_t i, size = view.len // view.itemsize
    cdef void* copied = malloc(max(size, 1) * (8 if double else 4))
    if copied != NULL:
        if double:
            for i in range(size):
                (<double*>copied)[i] = (<const float*>view.buf)[i]
        else:
            for i in range(size):
                (<float*>copied)[i] = <float>(<const double*>view.buf)[i]
    return copied


cdef class FewRows:
    """The short way through a plan for any number of rows.

    Parameters
    ----------
    executor : Executor
        Of a plan of one phase, with its parameters.
    inputs, outputs : sequence of (str, int, int)
        Names, slots and elements per row, in the model's order; at most `APPLY_ENDS` together.
    most_rows : int
        Rows up to which this does the work.
    row_flops : int
        Floating-point operations of a row.
    scratch : array of uint8, (APPLY_THREADS, bytes)
        Memory of the local slot for each thread, 64-byte aligned, for nobody else.
    count_threads : callable
        Returns how many threads may be used.

    Attributes
    ----------
    most_rows : int
    """

    cdef Executor executor
    cdef int n_inputs, n_outputs, n_slots
    cdef int slots[MOST_ENDS]           # of the inputs, then of the outputs
    cdef Py_ssize_t columns[MOST_ENDS]
    cdef tuple names                    # of the inputs
    cdef object dtype
    cdef readonly Py_ssize_t most_rows
    cdef double row_work                # nanoseconds
    cdef bint is_wide                   # whether an op has a wide kernel
    cdef object count_threads
    cdef object scratch
    cdef char* local[MOST_THREADS]

    def __init__(
        self, Executor executor, inputs, outputs, Py_ssize_t most_rows, double row_flops, scratch,
        count_threads
    ):
        cdef unsigned char[:, ::1] rows = scratch
        cdef int i
        ends = [*inputs, *outputs]
        if rows.shape[0] != MOST_THREADS or len(ends) > MOST_ENDS or executor.n_phases != 1:
            raise ValueError("few rows take one phase, scratch for each thread, and few inputs and outputs")
        for i in range(MOST_THREADS):
            self.local[i] = <char*>&rows[i, 0]
        self.n_slots = LOCAL_SLOT + 1
        for i, (_, slot, columns) in enumerate(ends):
            self.slots[i], self.columns[i] = slot, columns
            self.n_slots = max(self.n_slots, self.slots[i] + 1)
        self.executor, self.n_inputs, self.n_outputs = executor, len(inputs), len(outputs)
        self.names = tuple([name for name, _, _ in inputs])
        self.dtype = np.dtype(np.float64 if executor.double else np.float32)
        self.most_rows, self.row_work = most_rows, row_flops / FLOPS_PER_NANOSECOND
        self.scratch, self.count_threads = scratch, count_threads
        self.is_wide = False
        for i in range(executor.n_ops):
            self.is_wide = self.is_wide or has_wide_kernel(executor.ops + i, 1)

    def predict(self, x):
        """Return the outputs for few rows, if they need no explanation.

        Parameters
        ----------
        x : numpy.ndarray, (rows, columns), or a list, tuple or dict of them
            C-contiguous float32 or float64.

        Returns
        -------
        numpy.ndarray, list of numpy.ndarray, or None
            None if `x` must pass the border first (other dtypes or layouts, too many rows, not finite); then
            nothing was done.
        """
        cdef tuple arrays
        cdef Py_ssize_t rows
        cdef int i
        cdef list outs
        if type(x) is _ndarray:
            arrays = (x,)
        elif type(x) is list or type(x) is tuple:
            arrays = tuple(x)
        elif type(x) is dict and len(x) == self.n_inputs:
            arrays = tuple([(<dict>x).get(name) for name in self.names])
        else:
            return None
        if len(arrays) != self.n_inputs:
            return None
        for array in arrays:
            if type(array) is not _ndarray or array.ndim != 2:
                return None
        rows = len(arrays[0])
        if not 1 <= rows <= self.most_rows:
            return None
        outs = []
        for i in range(self.n_outputs):
            outs.append(_empty((rows, self.columns[self.n_inputs + i]), self.dtype))
        if not self.apply(arrays, outs, rows):
            return None
        return outs[0] if self.n_outputs == 1 else outs

    cdef bint apply(self, tuple arrays, list outs, Py_ssize_t rows) except *:
        """OUT outs: the outputs for `rows` rows; return False if an array is not as it must be."""
        cdef Py_buffer views[MOST_ENDS]
        cdef void* copies[MOST_ENDS]
        cdef char* base[MAX_SLOTS]
        cdef Py_buffer* view
        cdef int i, opened = 0, n_ends = self.n_inputs + self.n_outputs
        cdef bint double = self.executor.double
        cdef char kind = c"d" if double else c"f"
        cdef const KernelTable* table = kernel_table()
        memset(copies, 0, sizeof(copies))
        try:
            for i in range(n_ends):
                view = &views[i]
                if i >= self.n_inputs:
                    PyObject_GetBuffer(outs[i - self.n_inputs], view, PyBUF_WRITABLE)
                    opened += 1
                    base[self.slots[i]] = <char*>view.buf
                    continue
                PyObject_GetBuffer(arrays[i], view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
                opened += 1
                if (
                    view.ndim != 2 or view.shape[0] != rows or view.shape[1] != self.columns[i]
                    or (view.format[0] != c"f" and view.format[0] != c"d") or view.format[1] != 0
                    or <size_t>view.buf % view.itemsize
                ):
                    return False
                base[self.slots[i]] = <char*>view.buf
                if view.format[0] != kind:
                    copies[i] = converted(view, double)
                    if copies[i] == NULL:
                        raise MemoryError("no memory for the rows in the model's dtype")
                    base[self.slots[i]] = <char*>copies[i]
                if table.nonfinite(double, base[self.slots[i]], rows * self.columns[i]):
                    return False
            self.run(base, rows)
        except (BufferError, ValueError):
            return False
        finally:
            for i in range(opened):
                PyBuffer_Release(&views[i])
            for i in range(n_ends):
                free(copies[i])
        return True

    cdef int run(self, char** base, Py_ssize_t rows) except -1:
        """Run the plan, with workers if that pays; `base` has the inputs and outputs."""
        cdef Executor executor = self.executor
        cdef Frame frame
        cdef Tiles tiles
        cdef bint wide, shared
        cdef int i, n_workers = 0
        cdef Py_ssize_t work
        cdef const KernelTable* table = kernel_table()
        let_forks_pass()
        memset(&frame, 0, sizeof(Frame))
        frame.base, frame.rows = base, rows
        tiles.run_ops = table.of[executor.double].run
        tiles.frame, tiles.n_slots = &frame, self.n_slots
        tiles.size, tiles.step = rows, tile_for(executor.most_tile_rows, executor.single_rows, rows)
        wide = tiles.step == rows and self.is_wide
        work = <Py_ssize_t>(rows * self.row_work)
        shared = wide or tiles.step < rows and work >= ROWS_WORK
        if shared:
            n_workers = wanted_workers(work, 0, MOST_THREADS, self.count_threads)
        for i in range(LOCAL_SLOT):
            base[i] = <char*>executor.views[i].buf if executor.viewed[i] else NULL
        # Where workers are started, Python may run; so this array must not go when another takes its place.
        parameters = None
        if executor.parameters is not None:
            parameters = executor.parameters.array
            base[PARAMETER_SLOT] = <char*>executor.parameters.view.buf
        base[LOCAL_SLOT] = self.local[0]
        if wide and n_workers:
            self.run_wide(&tiles, n_workers)
        else:
            tiles.ops, tiles.n_ops, tiles.local = executor.ops, executor.n_ops, self.local
            tiles.along_columns = False
            apply_tiles(&tiles, n_workers)
        if shared:
            note_work(work)
        return 0

    cdef int run_wide(self, Tiles* tiles, int n_workers) except -1:
        """Run the plan op by op on few rows, along columns where a kernel is large.

        Such an op waits for its kernel, of which each core has a part in its caches from the call before.
        """
        cdef Executor executor = self.executor
        cdef Frame frame
        cdef Py_ssize_t columns, rows = tiles.size
        cdef int i
        memcpy(&frame, tiles.frame, sizeof(Frame))
        frame.end = rows
        tiles.frame, tiles.n_ops, tiles.local = &frame, 1, NULL
        for i in range(executor.n_ops):
            tiles.ops, columns = executor.ops + i, executor.ops[i].operands[0].columns
            tiles.along_columns = has_wide_kernel(tiles.ops, rows)
            tiles.size = columns if tiles.along_columns else rows
            tiles.step = (columns // (1 + n_workers) // 32 + 1) * 32 if tiles.along_columns else rows
            apply_tiles(tiles, n_workers if tiles.along_columns else 0)
        return 0
