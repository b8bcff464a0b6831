# All kernels of one SIMD level, their table, and the function that runs ops with them.
#
# This text is compiled once per level, by _kernels_<level>.pyx, with that level's compiler flags.
# Beside its kernels each op has a function `<name>_op`, which takes their arguments from the addresses of its
# operands and from its constants, and is entered in the table for the paths that it serves.  `tag` is a
# null pointer that only carries the dtype.  Nothing here allocates, raises or takes the GIL.

from libc.math cimport (
    INFINITY, NAN, ceil, copysign, copysignf, exp, fabs, fabsf, log, log1p, logf, sqrt, sqrtf,
)
from libc.string cimport memcpy, memset

from cpython.pyport cimport PY_SSIZE_T_MAX
from cpython.pycapsule cimport PyCapsule_New

from fastnn._core.blas cimport gemm, gemv
from fastnn._core.tuning cimport (
    AHEAD, COPY_ELEMENTS, COPY_ROWS, DEEP, DRAWN_AT_ONCE, FEATURES_AT_ONCE, FEW_ROWS, FEW_ROWS_KERNEL,
    FEW_ROWS_MULTIPLICATIONS, FEW_ROWS_TRANSPOSED, FORESEEN_ELEMENTS, LARGEST_GEMV, LONG_ROW, PACK_COLUMNS,
    PACKED_BLOCKS, PACKED_DOUBLES, PANEL_DEPTH, PANELS, SMALL_GEMM, SUMS_AT_ONCE, SUMS_OF_ROW,
)
from fastnn._core.types cimport (
    MAX_ACTIVATIONS, MAX_OPCODES, MAX_OPERANDS, MOST_INPUTS, MOST_OUTPUTS, N_PATHS, ActivationCode, Bound,
    DoubleBackward, DoubleForward, DoubleKernel, FloatBackward, FloatForward, FloatKernel, Frame, Kernel,
    KernelTable, Lane, Op, OpCode, PathCode, PointwiseCode, RowwiseCode, RunBound, Status, bind, real,
)

cdef extern from *:
    """
    /* Add to a sum what has been rounded: with a fused multiply-add, a bit would depend on whether sums of
       tiles are added up apart, as by several threads, or not. */
    static inline void fastnn_add_to(double* sum, double value) {
    #if defined(__x86_64__)
        __asm__("" : "+x"(value)); /* compilers do not see what it is */
        *sum += value;
    #else
        volatile double rounded = value;
        *sum += rounded;
    #endif
    }
    """
    void add_to "fastnn_add_to"(double* sum, double value) noexcept nogil

cdef KernelTable TABLE


cdef void enter(int path, int code, FloatKernel of_float, DoubleKernel of_double) noexcept nogil:
    """Say what runs an op on a path; ops that have no choice are on the path BLAS."""
    TABLE.of[0].cells[path][code].of_float = of_float
    TABLE.of[1].cells[path][code].of_double = of_double


cdef void enter_product(int code, FloatKernel of_float, DoubleKernel of_double) noexcept nogil:
    """Say what runs a product of matrices on all paths of rows; the kernel looks at which it is."""
    enter(PathCode.BLAS, code, of_float, of_double)
    enter(PathCode.DIRECT, code, of_float, of_double)
    enter(PathCode.BLOCKS, code, of_float, of_double)


cdef inline Py_ssize_t rows_of(const Bound* bound) noexcept nogil:
    """Return the rows of the tile: of the batch, or of a parameter."""
    return bound.end - bound.begin


cdef inline Py_ssize_t columns_of(const Bound* bound, int operand) noexcept nogil:
    return bound.op.operands[operand].columns


cdef inline Py_ssize_t size_of(const Bound* bound) noexcept nogil:
    """Return the elements of the first operand's tile."""
    return rows_of(bound) * columns_of(bound, 0)


cdef inline const double* constants_of(const Bound* bound) noexcept nogil:
    return <const double*>bound.op.constants


cdef inline double rate_of(const Bound* bound, const Frame* frame) noexcept nogil:
    """Return the learning rate of an update in the step at hand."""
    return frame.scalars[bound.op.scalars[0]]


include "simd_math.pxi"
include "activations.pxi"
include "rectifiers.pxi"
include "smooth.pxi"
include "gates.pxi"
include "matmul.pxi"
include "long_sums.pxi"
include "dense.pxi"
include "few_outputs.pxi"
include "losses.pxi"
include "pointwise.pxi"
include "rowwise.pxi"
include "counts.pxi"
include "scores.pxi"
include "updates.pxi"
include "adaptive.pxi"
include "constraints.pxi"
include "penalties.pxi"
include "muon.pxi"
include "orthogonal.pxi"
include "clipping.pxi"
include "normalization.pxi"
include "row_normalization.pxi"
include "noise.pxi"
include "embedding.pxi"
include "categories.pxi"
include "narrow.pxi"


cdef Status unknown_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    return Status.UNKNOWN_OP


cdef void prepare(bint is_double, Bound* bound, Py_ssize_t count, const Frame* frame) noexcept nogil:
    cdef Py_ssize_t i
    cdef const Op* op
    cdef Kernel kernel
    for i in range(count):
        op, kernel.of_float = bound[i].op, NULL
        if 0 <= op.path < N_PATHS and 0 <= op.code < MAX_OPCODES:
            kernel = TABLE.of[is_double].cells[op.path][op.code]
        if kernel.of_float == NULL and is_double:
            kernel.of_double = unknown_op[double]
        elif kernel.of_float == NULL:
            kernel.of_float = unknown_op[float]
        bound[i].kernel = kernel
        prepare_lane(bound + i, frame, not is_double)


cdef Status run_others(
    const real* tag, const Bound* bound, Py_ssize_t count, const Frame* frame
) noexcept nogil:
    cdef Py_ssize_t i = 0
    cdef Status status
    while i < count:
        if real is float:
            status = bound[i].kernel.of_float(<float**>bound[i].operands, bound + i, frame)
        else:
            status = bound[i].kernel.of_double(<double**>bound[i].operands, bound + i, frame)
        if status != Status.OK:
            return status
        i += 1
        i += run_columns(tag, bound + i, count - i, frame)
    return Status.OK


cdef Status run_others_float(const Bound* bound, Py_ssize_t count, const Frame* frame) noexcept nogil:
    return run_others(<const float*>NULL, bound, count, frame)


cdef Status run_others_double(const Bound* bound, Py_ssize_t count, const Frame* frame) noexcept nogil:
    return run_others(<const double*>NULL, bound, count, frame)


# Called by their addresses, as they need more of the stack than steps of few features have time for.
cdef RunBound others_float = run_others_float
cdef RunBound others_double = run_others_double


cdef Status run_bound_float(const Bound* bound, Py_ssize_t count, const Frame* frame) noexcept nogil:
    cdef Py_ssize_t done = run_columns(<const float*>NULL, bound, count, frame)
    return Status.OK if done == count else others_float(bound + done, count - done, frame)


cdef Status run_bound_double(const Bound* bound, Py_ssize_t count, const Frame* frame) noexcept nogil:
    cdef Py_ssize_t done = run_columns(<const double*>NULL, bound, count, frame)
    return Status.OK if done == count else others_double(bound + done, count - done, frame)


cdef Status run_unbound(bint is_double, const Op* ops, Py_ssize_t count, const Frame* frame) noexcept nogil:
    """Run ops of which each is bound to the frame's tile, just before."""
    cdef Bound bound
    cdef Py_ssize_t i
    cdef Status status
    for i in range(count):
        bind(&bound, ops + i, frame, sizeof(double) if is_double else sizeof(float))
        prepare(is_double, &bound, 1, frame)
        status = run_bound_double(&bound, 1, frame) if is_double else run_bound_float(&bound, 1, frame)
        if status != Status.OK:
            return status
    return Status.OK


cdef Status run_float(const Op* ops, Py_ssize_t count, const Frame* frame) noexcept nogil:
    return run_unbound(False, ops, count, frame)


cdef Status run_double(const Op* ops, Py_ssize_t count, const Frame* frame) noexcept nogil:
    return run_unbound(True, ops, count, frame)


cdef Py_ssize_t nonfinite_of(const real* x, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i, count = 0
    for i in range(size):
        # x - x is 0 for every finite number, NaN otherwise.
        count += not (x[i] - x[i] == 0)
    return count


cdef Py_ssize_t nonfinite(bint is_double, const void* x, Py_ssize_t size) noexcept nogil:
    return nonfinite_of(<const double*>x, size) if is_double else nonfinite_of(<const float*>x, size)


TABLE.of[0].run, TABLE.of[0].run_bound = run_float, run_bound_float
TABLE.of[1].run, TABLE.of[1].run_bound = run_double, run_bound_double
TABLE.prepare = prepare
TABLE.nonfinite = nonfinite
TABLE.name = LEVEL

# Read by table.pyx, which loads only the module that this machine can run.
table = PyCapsule_New(&TABLE, "fastnn.kernel_table", NULL)
