# All kernels of one SIMD level, and the function that runs ops with them.
#
# This text is compiled once per level, by _kernels_<level>.pyx, with that level's compiler flags.
# An op wrapper has the addresses of its operands and calls one kernel; `tag` is a null pointer
# that only carries the dtype.  Nothing here allocates, raises or takes the GIL.

from libc.math cimport copysign, copysignf, exp, fabs, fabsf, log, log1p, logf, sqrt, sqrtf
from libc.string cimport memcpy, memset

from cpython.pyport cimport PY_SSIZE_T_MAX
from cpython.pycapsule cimport PyCapsule_New

from fastnn._core.blas cimport gemm, gemv
from fastnn._core.types cimport (
    MAX_OPERANDS, TINY_DEPTH, TINY_WIDTH, ActivationCode, Bound, Frame, KernelTable, Lane, Op, OpCode,
    PathCode, RunBound, Status, Tiny, TinyWeight, bind, real,
)

cdef extern from *:
    """
    /* Add to a sum what has been rounded: with a fused multiply-add, a bit would depend on whether sums of
       tiles are added up apart, as by several threads, or not. */
    static inline void fastnn_add_to(double* sum, double value) {
    #if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
        __asm__("" : "+x"(value)); /* compilers do not see what it is */
        *sum += value;
    #else
        volatile double rounded = value;
        *sum += rounded;
    #endif
    }
    """
    void add_to "fastnn_add_to"(double* sum, double value) noexcept nogil

include "simd_math.pxi"
include "activations.pxi"
include "gates.pxi"
include "matmul.pxi"
include "long_sums.pxi"
include "dense.pxi"
include "losses.pxi"
include "updates.pxi"
include "normalization.pxi"
include "columns.pxi"
include "lanes.pxi"
include "tiny.pxi"


cdef inline void gather(real* y, const real* x, const int* rows, Py_ssize_t m, Py_ssize_t n) noexcept nogil:
    """OUT y (m, n) = the rows of x (., n) that `rows` (m,) names.

    No processor foresees where they are, so rows are asked for early: 128 of 56 numbers 1.3 to 0.9 us.
    """
    cdef Py_ssize_t i, j
    if n == 1:
        for i in range(m):
            y[i] = x[rows[i]]
    elif n * sizeof(real) == 16:      # one move instead of a call
        for i in range(m):
            memcpy(y + i * n, x + rows[i] * n, 16)
    else:
        for i in range(m):
            if i + 2 < m:
                for j in range(0, n, 16):
                    expect_read(x + rows[i + 2] * n + j)
            memcpy(y + i * n, x + rows[i] * n, n * sizeof(real))


cdef inline void concatenate(real** operands, const Op* op, Py_ssize_t m) noexcept nogil:
    cdef int i
    cdef Py_ssize_t first = 0
    for i in range(1, MAX_OPERANDS):
        if operands[i] != NULL:
            put_columns(operands[0], op.operands[0].columns, first, operands[i], op.operands[i].columns, m)
            first += op.operands[i].columns


cdef inline void zero_past(real* x, Py_ssize_t m) noexcept nogil:
    """Set the lanes past the last row of a tensor with one feature to 0."""
    cdef Py_ssize_t i
    if x != NULL:
        for i in range(m, lanes_of(m)):
            x[i] = 0.0


cdef Status run_op(const real* tag, const Bound* bound, const Frame* frame) noexcept nogil:
    cdef const Op* op = bound.op
    cdef real** operands = <real**>bound.operands
    cdef int code = op.code
    cdef Py_ssize_t begin = bound.begin, end = bound.end
    cdef Py_ssize_t m = end - begin     # rows of the tile: of the batch, or of a parameter
    cdef Py_ssize_t n = op.operands[0].columns
    cdef const double* c = <const double*>op.constants
    cdef double rate = frame.learning_rate, factor, total
    cdef real* a = operands[0]
    cdef real* b = operands[1]
    cdef Py_ssize_t j = bound.first_column, width = bound.n_columns if bound.n_columns else n

    if op.path == PathCode.COLUMNS:
        if code == OpCode.DENSE:
            return dense_forward_columns(
                a, b, operands[2], operands[3], op.activation, op.alpha, m, n,
                op.operands[1].columns
            )
        if code == OpCode.DENSE_BACKWARD:
            return dense_backward_columns(
                a, b, operands[2], operands[3], op.activation, op.alpha, m,
                op.operands[1].columns, n
            )
        if code == OpCode.SGD_DENSE:
            long_weight_gradient_columns(
                a, b, operands[2], <real>(-rate), <real>(1.0 - 2.0 * rate * c[0]),
                frame.rows, frame.tile_rows, n, op.operands[1].columns, begin, end
            )
            return Status.OK
        if code == OpCode.WEIGHT_GRADIENT:
            long_weight_gradient_columns(
                a, b, operands[2], <real>1.0, <real>0.0,
                frame.rows, frame.tile_rows, n, op.operands[1].columns, begin, end
            )
            return Status.OK
        if code == OpCode.SGD_BIAS:
            long_bias_gradient_columns(
                a, b, <real>(-rate), <real>(1.0 - 2.0 * rate * c[0]), frame.rows, frame.tile_rows, n
            )
            return Status.OK
        if code == OpCode.BIAS_GRADIENT:
            long_bias_gradient_columns(a, b, <real>1.0, <real>0.0, frame.rows, frame.tile_rows, n)
            return Status.OK
        if code == OpCode.GATHER:
            transpose(a, b, frame.permutation + frame.origin + begin, m, n)
            return Status.OK
        if code == OpCode.TRANSPOSE:
            transpose(a, b, NULL, m, n)
            return Status.OK
        if code == OpCode.ACTIVATION_BACKWARD:
            return activation_backward(op.activation, op.alpha, a, b, operands[2], n, lanes_of(m))
        if code == OpCode.ACTIVATION:
            return activation_forward(op.activation, op.alpha, a, b, n, lanes_of(m))
        if code == OpCode.SQUARED_ERROR and a != NULL:
            add_to(frame.sums + op.accumulator, squared_error_columns(
                a, b, operands[2], operands[3],
                c[1] / <double>frame.rows if c[0] != 0 else c[1], c[2], m, n
            ))
            return Status.OK
        # What is left works on one feature, which lies the same in both layouts.
        if code == OpCode.BINARY_CROSSENTROPY:
            zero_past(a, m)
        elif code == OpCode.SIGMOID_CROSSENTROPY:
            zero_past(b, m)

    if code == OpCode.DENSE:
        return dense_forward(
            op.path, a + j, b, operands[2] + j, operands[3] + j if operands[3] != NULL else NULL,
            op.activation, op.alpha, m, width, op.operands[1].columns, n
        )
    if code == OpCode.DENSE_BACKWARD:
        return dense_backward(
            op.path, a + j, b, operands[2] + j * op.operands[1].columns,
            operands[3] + j if operands[3] != NULL else NULL, op.activation, op.alpha, m,
            op.operands[1].columns, width, n
        )
    if code == OpCode.ACTIVATION:
        return activation_forward(op.activation, op.alpha, a, b, m, n)
    if code == OpCode.ACTIVATION_BACKWARD:
        return activation_backward(op.activation, op.alpha, a, b, operands[2], m, n)
    if code == OpCode.SGD_DENSE:
        weight_gradient(
            op.path, a, b + begin, operands[2], <real>(-rate),
            <real>(1.0 - 2.0 * rate * c[0]), frame.rows, n, m, op.operands[1].columns
        )
    elif code == OpCode.WEIGHT_GRADIENT:
        weight_gradient(
            op.path, a, b + begin, operands[2], <real>1.0, <real>0.0,
            frame.rows, n, m, op.operands[1].columns
        )
    elif code == OpCode.BIAS_GRADIENT:
        bias_gradient(a, b, frame.rows, n)
    elif code == OpCode.SGD_BIAS:
        sgd_bias(a, b, rate, c[0], frame.rows, n)
    elif code == OpCode.GATHER:
        gather(a, b, frame.permutation + frame.origin + begin, m, n)
    elif code == OpCode.ADD_BIAS:
        add_bias(a, b, operands[2], m, n)
    elif code == OpCode.SGD:
        sgd(a, b, rate, c[0], m * n)
    elif code == OpCode.MOMENTUM:
        momentum(a, b, operands[2], rate, c[0], c[1], c[2] != 0, m * n)
    elif code == OpCode.ADAM:
        adam(a, b, operands[2], m * n, operands[3], m * n, c, rate * frame.correction, 1, m * n)
    elif code == OpCode.ADAM_DENSE:
        adam_dense(
            a, b, operands[2], operands[3] + begin, op.operands[3].columns, operands[4], frame.rows, n, m,
            c, rate * frame.correction
        )
    elif code == OpCode.RMSPROP:
        rmsprop(a, b, operands[2], rate, c[0], c[1], c[2], m * n)
    elif code == OpCode.L2_GRADIENT:
        l2_gradient(a, b, c[0], m * n)
    elif code == OpCode.L2_PENALTY:
        add_to(frame.sums + op.accumulator, c[0] * sum_of_squares(a, m * n))
    elif code == OpCode.CATEGORICAL_ACCURACY:
        add_to(frame.sums + op.accumulator, categorical_accuracy(a, b, c[0] != 0, m, n))
    elif code == OpCode.BINARY_ACCURACY:
        add_to(frame.sums + op.accumulator, binary_accuracy(a, b, c[0], m, n))
    elif code == OpCode.SQUARED_ERROR_METRIC:
        add_to(frame.sums + op.accumulator, squared_error_metric(a, b, m, n))
    elif code == OpCode.ADD:
        add(a, b, operands[2], <real>c[0], <real>c[1], m * n)
    elif code == OpCode.MULTIPLY:
        multiply(a, b, operands[2], m * n)
    elif code == OpCode.MAXIMUM:
        maximum(a, b, operands[2], <real>c[0], m * n)
    elif code == OpCode.ROUTE:
        route(a, b, operands[2], operands[3], <real>c[0], c[1] != 0, m * n)
    elif code == OpCode.CONCATENATE:
        concatenate(operands, op, m)
    elif code == OpCode.SLICE:
        take_columns(a, n, b, op.operands[1].columns, <Py_ssize_t>c[0], m)
    elif code == OpCode.AFFINE:
        affine(a, b, <real>c[0], <real>c[1], m * n)
    elif code == OpCode.ROW_SUM:
        row_sum(a, b, m, op.operands[1].columns)
    elif code == OpCode.BROADCAST:
        broadcast(a, b, m, n)
    elif code == OpCode.MAXOUT:
        maxout(a, b, m, n, op.operands[1].columns // n)
    elif code == OpCode.MAXOUT_BACKWARD:
        maxout_backward(a, b, operands[2], m, op.operands[1].columns, n // op.operands[1].columns)
    elif code == OpCode.GATED_ADD:
        gated_add(a, b, operands[2], operands[3], m * n)
    elif code == OpCode.GATE_GRADIENT:
        gate_gradient(
            a, b, operands[2], operands[3], frame.rows * op.operands[1].columns
        )
    elif code == OpCode.ADD_GRADIENT:
        add(a, a, b, <real>1.0, <real>1.0, m * n)
    elif code == OpCode.BATCH_MOMENTS:
        batch_moments(a + j, b + j, operands[2] + j, frame.rows, width, n)
    elif code == OpCode.NORMALIZE:
        normalize(a, b, operands[2], operands[3], operands[4], operands[5], c[0], m, n)
    elif code == OpCode.MOMENT_GRADIENTS:
        moment_gradients(
            a + j, b + j, operands[2] + j, operands[3] + j, operands[4] + j, operands[5] + j, c[0],
            frame.rows, width, n
        )
    elif code == OpCode.NORMALIZE_BACKWARD:
        normalize_backward(
            a, b, operands[2], operands[3], operands[4], operands[5], operands[6], operands[7], c[0],
            frame.rows, m, n
        )
    elif code == OpCode.MOVING_AVERAGE:
        moving_average(a, b, c[0], m * n)
    else:
        # Losses.  The reduction "mean" divides by the rows of the batch, in value and gradient.
        # `share` is the factor of this loss in the sum of all, and counts in the gradient only.
        factor = c[1] / <double>frame.rows if c[0] != 0 else c[1]
        if code == OpCode.SQUARED_ERROR:
            total = squared_error(
                a, b, operands[2], operands[3], factor, c[2], m, op.operands[1].columns
            )
        elif code == OpCode.MULTICLASS_HINGE:
            total = multiclass_hinge(
                a, b, operands[2], operands[3], factor, c[2], m, op.operands[1].columns
            )
        elif code == OpCode.CROSSENTROPY:
            total = crossentropy(
                a, b, operands[2], operands[3], c[2] != 0, factor, m,
                op.operands[1].columns
            )
        elif code == OpCode.BINARY_CROSSENTROPY:
            total = binary_crossentropy(
                a, b, operands[2], operands[3], factor, m, op.operands[1].columns
            )
        elif code == OpCode.SOFTMAX_CROSSENTROPY:
            total = softmax_crossentropy(
                a, b, operands[2], operands[3], operands[4], c[2] != 0,
                factor, m, n
            )
        elif code == OpCode.SIGMOID_CROSSENTROPY:
            total = sigmoid_crossentropy(
                a, b, operands[2], operands[3], operands[4], factor, m, n
            )
        else:
            return Status.UNKNOWN_OP
        add_to(frame.sums + op.accumulator, total)
    return Status.OK


cdef inline Py_ssize_t run_columns(const Bound* bound, Py_ssize_t count, const Frame* frame) noexcept nogil:
    """Run ops up to the first that is not on the path COLUMNS, or not in lanes.pxi; return how many."""
    if not HAS_LANES or count == 0 or bound.lane.code == LaneCode.ELSEWHERE:
        return 0
    if frame.rows <= LANES:
        return run_lanes(<const OneVector*>NULL, bound, count, frame)
    return run_lanes(<const AnyNumber*>NULL, bound, count, frame)


cdef Status run_bound(
    const real* tag, const Bound* bound, Py_ssize_t count, const Frame* frame
) noexcept nogil:
    cdef Py_ssize_t i = 0
    cdef Status status
    while i < count:
        status = run_op(tag, bound + i, frame)
        if status != Status.OK:
            return status
        i += 1
        if real is float:
            if i < count:
                i += run_columns(bound + i, count - i, frame)
    return Status.OK


cdef void prepare_float(Bound* bound, Py_ssize_t count, const Frame* frame) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        prepare_lane(bound + i, frame)


cdef Status run_other_float(const Bound* bound, Py_ssize_t count, const Frame* frame) noexcept nogil:
    return run_bound(<const float*>NULL, bound, count, frame)


# Called by its address, as it needs more of the stack than steps of few features have time for.
cdef RunBound other_float = run_other_float


cdef Status run_bound_float(const Bound* bound, Py_ssize_t count, const Frame* frame) noexcept nogil:
    cdef Py_ssize_t done = run_columns(bound, count, frame)
    return Status.OK if done == count else other_float(bound + done, count - done, frame)


cdef Status run_bound_double(const Bound* bound, Py_ssize_t count, const Frame* frame) noexcept nogil:
    return run_bound(<const double*>NULL, bound, count, frame)


cdef Status run_float(const Op* ops, Py_ssize_t count, const Frame* frame) noexcept nogil:
    cdef Bound bound
    cdef Py_ssize_t i
    cdef Status status
    for i in range(count):
        bind(&bound, ops + i, frame, sizeof(float))
        prepare_lane(&bound, frame)
        status = run_bound_float(&bound, 1, frame)
        if status != Status.OK:
            return status
    return Status.OK


cdef Status run_double(const Op* ops, Py_ssize_t count, const Frame* frame) noexcept nogil:
    cdef Bound bound
    cdef Py_ssize_t i
    cdef Status status
    for i in range(count):
        bind(&bound, ops + i, frame, sizeof(double))
        status = run_bound_double(&bound, 1, frame)
        if status != Status.OK:
            return status
    return Status.OK


cdef Py_ssize_t nonfinite(const real* x, Py_ssize_t size) noexcept nogil:
    """Count the elements that are NaN or infinite."""
    cdef Py_ssize_t i, count = 0
    for i in range(size):
        # x - x is 0 for every finite number, NaN otherwise.
        count += not (x[i] - x[i] == 0)
    return count


cdef KernelTable TABLE
TABLE.run_float = run_float
TABLE.run_double = run_double
TABLE.prepare_float = prepare_float
TABLE.run_bound_float = run_bound_float
TABLE.run_bound_double = run_bound_double
TABLE.prepare_tiny = prepare_tiny
TABLE.run_tiny = run_tiny
TABLE.nonfinite_float = nonfinite[float]
TABLE.nonfinite_double = nonfinite[double]
TABLE.name = LEVEL

# Read by table.pyx, which loads only the module that this machine can run.
table = PyCapsule_New(&TABLE, "fastnn.kernel_table", NULL)
