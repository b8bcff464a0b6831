# Ops on the path COLUMNS in float32 with AVX-512, one after another in a single function: of a step of few
# rows, 0.15 us, calls from op to op were a third.

cdef extern from "fastnn/_core/lanes.h":
    bint HAS_LANES "FASTNN_HAS_LANES"
    void lanes_dense "fastnn_lanes_dense"(
        float* y, const float* x, const float* w, const float* b, int kind, Py_ssize_t n, Py_ssize_t k,
        Py_ssize_t lanes
    ) noexcept nogil
    void lanes_derive "fastnn_lanes_derive"(
        float* dx, const float* dy, const float* y, int kind, Py_ssize_t size
    ) noexcept nogil
    void lanes_dense_back "fastnn_lanes_dense_back"(
        float* dx, const float* dy, const float* w, const float* y, int kind, Py_ssize_t n, Py_ssize_t k,
        Py_ssize_t lanes
    ) noexcept nogil
    void lanes_gradient "fastnn_lanes_gradient"(
        float* dw, const float* x, const float* dy, float alpha, float beta, Py_ssize_t n, Py_ssize_t k,
        Py_ssize_t lanes
    ) noexcept nogil
    double lanes_errors "fastnn_lanes_errors"(
        float* dy, const float* y, const float* t, float step, Py_ssize_t m, Py_ssize_t n,
        Py_ssize_t lanes
    ) noexcept nogil

ctypedef char OneVector
ctypedef short AnyNumber

# The rows of a batch: what is compiled for one vector of them has no loops over vectors.
ctypedef fused batch:
    OneVector
    AnyNumber


cdef Py_ssize_t run_lanes(
    const batch* tag, const Bound* bound, Py_ssize_t count, const Frame* frame
) noexcept nogil:
    """Run ops on the path COLUMNS up to the first that is not done here; return how many."""
    cdef const Op* op
    cdef float* a
    cdef float* b
    cdef float* c
    cdef float* d
    cdef const int* rows
    cdef const double* constants
    cdef double factor
    cdef int kind
    cdef bint another, update
    cdef float alpha, beta
    cdef Py_ssize_t i, begin, m, n, k, lanes = LANES, all_lanes = LANES
    cdef bint one_tile = True
    if batch is AnyNumber:
        all_lanes, one_tile = lanes_of(frame.rows), frame.rows <= frame.tile_rows
    for i in range(count):
        op = bound[i].op
        if op.path != PathCode.COLUMNS:
            return i
        a, b = <float*>bound[i].operands[0], <float*>bound[i].operands[1]
        c, d = <float*>bound[i].operands[2], <float*>bound[i].operands[3]
        n, k = op.operands[0].columns, op.operands[1].columns
        begin = bound[i].begin
        m = bound[i].end - begin
        if batch is AnyNumber:
            lanes = lanes_of(m)
        constants = <const double*>op.constants
        kind = kind_of(op.activation)
        another = kind == OF_NOTHING and op.activation != ActivationCode.LINEAR
        if op.code == OpCode.GATHER or op.code == OpCode.TRANSPOSE:
            rows = frame.permutation + frame.origin + begin if op.code == OpCode.GATHER else NULL
            # Not by `transpose` alone, as this is inlined.
            if transpose_vectors(a, b, rows, m, n) < m:
                transpose(a, b, rows, m, n)
        elif op.code == OpCode.DENSE:
            lanes_dense(a, b, c, d, kind, n, k, lanes)
            if kind == OF_TANH or another:
                activation_forward(op.activation, op.alpha, a, a, n, lanes)
        elif op.code == OpCode.DENSE_BACKWARD:
            lanes_dense_back(a, b, c, d, kind, k, n, lanes)
            if d != NULL and another:
                activation_backward(op.activation, op.alpha, a, a, d, n, lanes)
        elif op.code == OpCode.ACTIVATION_BACKWARD:
            if another:
                return i
            lanes_derive(a, b, c, kind, n * lanes)
        elif (
            op.code == OpCode.SGD_DENSE or op.code == OpCode.WEIGHT_GRADIENT
            or op.code == OpCode.SGD_BIAS or op.code == OpCode.BIAS_GRADIENT
        ):
            if not one_tile:
                return i
            update = op.code == OpCode.SGD_DENSE or op.code == OpCode.SGD_BIAS
            alpha = <float>(-frame.learning_rate) if update else <float>1.0
            beta = <float>(1.0 - 2.0 * frame.learning_rate * constants[0]) if update else <float>0.0
            if op.code == OpCode.SGD_DENSE or op.code == OpCode.WEIGHT_GRADIENT:
                lanes_gradient(a, b + begin * all_lanes, c, alpha, beta, n, m, all_lanes)
            else:
                lanes_gradient(a, NULL, b, alpha, beta, n, 1, all_lanes)
        elif op.code == OpCode.SQUARED_ERROR:
            if a == NULL or d != NULL:
                return i
            factor = constants[1] / <double>frame.rows if constants[0] != 0 else constants[1]
            add_to(frame.sums + op.accumulator, constants[2] * lanes_errors(
                a, b, c, <float>(2.0 * factor * constants[2]), m, n, lanes
            ))
        else:
            return i
    return count
