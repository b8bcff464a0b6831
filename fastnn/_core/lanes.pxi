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


cdef enum LaneCode:
    ELSEWHERE = 0
    TURN = 1
    FORWARD = 2
    BACKWARD = 3
    DERIVE = 4
    GRADIENT = 5
    BIAS = 6
    ERRORS = 7


cdef void prepare_lane(Bound* bound, const Frame* frame) noexcept nogil:
    """OUT bound.lane: what would else be found out in every step, which took half of the smallest ones."""
    cdef const Op* op = bound.op
    cdef const double* c = <const double*>op.constants
    cdef Lane* lane = &bound.lane
    cdef Py_ssize_t begin = bound.begin, m = bound.end - begin
    cdef bint one_tile = frame.rows <= frame.tile_rows and frame.rows <= IN_LANES
    cdef bint update = op.code == OpCode.SGD_DENSE or op.code == OpCode.SGD_BIAS
    lane.code = LaneCode.ELSEWHERE
    if not HAS_LANES or op.path != PathCode.COLUMNS:
        return
    lane.m, lane.n, lane.k = m, op.operands[0].columns, op.operands[1].columns
    lane.lanes, lane.shift = lanes_of(m), 0
    lane.kind = kind_of(op.activation)
    lane.another = lane.kind == OF_NOTHING and op.activation != ActivationCode.LINEAR
    lane.update, lane.alpha, lane.beta = update, <float>1.0, <float>0.0
    if op.code == OpCode.GATHER or op.code == OpCode.TRANSPOSE:
        lane.code, lane.shift = LaneCode.TURN, begin
    elif op.code == OpCode.DENSE:
        lane.code = LaneCode.FORWARD
        lane.another = lane.another or lane.kind == OF_TANH
    elif op.code == OpCode.DENSE_BACKWARD:
        lane.code = LaneCode.BACKWARD
        lane.another = lane.another and bound.operands[3] != NULL
    elif op.code == OpCode.ACTIVATION_BACKWARD and not lane.another:
        lane.code = LaneCode.DERIVE
    elif one_tile and (op.code == OpCode.SGD_DENSE or op.code == OpCode.WEIGHT_GRADIENT):
        lane.code, lane.lanes = LaneCode.GRADIENT, lanes_of(frame.rows)
        lane.shift = begin * lane.lanes
    elif one_tile and (op.code == OpCode.SGD_BIAS or op.code == OpCode.BIAS_GRADIENT):
        lane.code, lane.lanes = LaneCode.BIAS, lanes_of(frame.rows)
    elif op.code == OpCode.SQUARED_ERROR and bound.operands[0] != NULL and bound.operands[3] == NULL:
        lane.code, lane.factor = LaneCode.ERRORS, c[2]
        lane.alpha = <float>(2.0 * (c[1] / <double>frame.rows if c[0] != 0 else c[1]) * c[2])


cdef Py_ssize_t run_lanes(
    const batch* tag, const Bound* bound, Py_ssize_t count, const Frame* frame
) noexcept nogil:
    """Run ops on the path COLUMNS up to the first that is not done here; return how many."""
    cdef const Op* op
    cdef const Lane* lane
    cdef float* a
    cdef float* b
    cdef float* c
    cdef float* d
    cdef const int* rows
    cdef Py_ssize_t i, n, k, lanes = LANES
    cdef int code
    cdef float alpha, beta
    cdef double rate
    for i in range(count):
        op, lane = bound[i].op, &bound[i].lane
        a, b = <float*>bound[i].operands[0], <float*>bound[i].operands[1]
        c, d = <float*>bound[i].operands[2], <float*>bound[i].operands[3]
        n, k, code = lane.n, lane.k, lane.code
        if batch is AnyNumber:
            lanes = lane.lanes
        if code == LaneCode.TURN:
            rows = frame.permutation + frame.origin + lane.shift if op.code == OpCode.GATHER else NULL
            # Not by `transpose` alone, as this is inlined.
            if transpose_vectors(a, b, rows, lane.m, n) < lane.m:
                transpose(a, b, rows, lane.m, n)
        elif code == LaneCode.FORWARD:
            lanes_dense(a, b, c, d, lane.kind, n, k, lanes)
            if lane.another and activation_forward(op.activation, op.alpha, a, a, n, lanes) != Status.OK:
                return i    # its kernel says why
        elif code == LaneCode.BACKWARD:
            lanes_dense_back(a, b, c, d, lane.kind, k, n, lanes)
            if lane.another and activation_backward(op.activation, op.alpha, a, a, d, n, lanes) != Status.OK:
                return i
        elif code == LaneCode.DERIVE:
            lanes_derive(a, b, c, lane.kind, n * lanes)
        elif code == LaneCode.GRADIENT or code == LaneCode.BIAS:
            alpha, beta = lane.alpha, lane.beta
            if lane.update:
                rate = rate_of(bound + i, frame)
                alpha, beta = <float>(-rate), <float>(1.0 - 2.0 * rate * op.constants[0])
            if code == LaneCode.GRADIENT:
                lanes_gradient(a, b + lane.shift, c, alpha, beta, n, lane.m, lanes)
            else:
                lanes_gradient(a, NULL, b, alpha, beta, n, 1, lanes)
        elif code == LaneCode.ERRORS:
            add_to(frame.sums + op.accumulator, lane.factor * lanes_errors(
                a, b, c, lane.alpha, lane.m, n, lanes
            ))
        else:
            return i
    return count
