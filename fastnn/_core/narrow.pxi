# Nets of few features, with the batch as the fast axis: ops on the path COLUMNS.
#
# A tensor of m rows and n features lies feature by feature: n columns of `lanes_of(m)` elements, so
# that every loop runs over whole vectors and no loop over features is too short for one.  Elements
# past the last row are 0 in inputs and in gradients of the loss, finite everywhere else, and add
# nothing to sums.  A tile of the batch is such a block of its own; what sums over the whole batch
# goes from tile to tile.  `fastnn/compiler/paths.py` chooses this layout for a whole net.  Most ops run
# one after another in a single function: of a step of few rows, 0.15 us at AVX-512, calls from op to op
# were a third.

cdef extern from "fastnn/_core/reals.h":
    int ONE_BLOCK "FASTNN_ONE_BLOCK"        # rows that no sum of float32 needs to be cut for
    bint HAS_SIGMOID "FASTNN_HAS_SIGMOID"   # whether that of float32 is inside of the forward pass
    # Of float or double, as the first argument says.
    void narrow_turn "fastnn_narrow_turn"(
        void* y, const void* x, const int* rows, Py_ssize_t m, Py_ssize_t n, Py_ssize_t lanes
    ) noexcept nogil
    void narrow_forward "fastnn_narrow_forward"(
        void* y, const void* x, const void* w, const void* b, int kind, Py_ssize_t n, Py_ssize_t k,
        Py_ssize_t lanes
    ) noexcept nogil
    void narrow_derive "fastnn_narrow_derive"(
        void* dx, const void* dy, const void* y, int kind, Py_ssize_t size
    ) noexcept nogil
    void narrow_backward "fastnn_narrow_backward"(
        void* dx, const void* dy, const void* w, const void* y, int kind, Py_ssize_t n, Py_ssize_t k,
        Py_ssize_t lanes
    ) noexcept nogil
    void narrow_gradient "fastnn_narrow_gradient"(
        void* dw, const void* x, const void* dy, double alpha, double beta, Py_ssize_t m,
        Py_ssize_t tile_rows, Py_ssize_t n, Py_ssize_t k, Py_ssize_t first, Py_ssize_t width,
        Py_ssize_t lanes
    ) noexcept nogil
    double narrow_errors "fastnn_narrow_errors"(
        void* dy, const void* y, const void* t, double step, Py_ssize_t m, Py_ssize_t n, Py_ssize_t lanes
    ) noexcept nogil

ctypedef char OneVector
ctypedef short AnyNumber

# The rows of a batch: what is compiled for one vector of them has no loops over vectors.
ctypedef fused batch:
    OneVector
    AnyNumber

cdef enum:
    LANES = 16


cdef enum LaneCode:
    ELSEWHERE = 0
    TURN = 1
    FORWARD = 2
    BACKWARD = 3
    ACTIVATE = 4
    DERIVE = 5
    GRADIENT = 6
    ERRORS = 7


cdef inline Py_ssize_t lanes_of(Py_ssize_t m) noexcept nogil:
    """Return m rounded up to whole vectors."""
    return (m + LANES - 1) & -LANES


cdef void prepare_lane(Bound* bound, const Frame* frame, bint single) noexcept nogil:
    """OUT bound.lane: what would else be found out in every step, which took half of the smallest ones."""
    cdef const Op* op = bound.op
    cdef const double* c = <const double*>op.constants
    cdef Lane* lane = &bound.lane
    cdef Py_ssize_t m = bound.end - bound.begin
    cdef bint one_block = frame.rows <= frame.tile_rows and frame.rows <= ONE_BLOCK
    lane.code = LaneCode.ELSEWHERE
    if op.path != PathCode.COLUMNS:
        return
    lane.m, lane.n, lane.k = m, op.operands[0].columns, op.operands[1].columns
    lane.lanes = lanes_of(m)
    lane.kind = kind_of(op.activation)
    lane.another = lane.kind == OF_NOTHING and op.activation != ActivationCode.LINEAR
    lane.update = op.code == OpCode.SGD_DENSE or op.code == OpCode.SGD_BIAS
    lane.alpha, lane.beta = 1.0, 0.0
    if op.code == OpCode.GATHER or op.code == OpCode.TRANSPOSE:
        lane.code = LaneCode.TURN
    elif op.code == OpCode.DENSE:
        lane.code = LaneCode.FORWARD
        lane.another = lane.another or lane.kind == OF_TANH
        lane.another = lane.another or (lane.kind == OF_SIGMOID and not (HAS_SIGMOID and single))
    elif op.code == OpCode.DENSE_BACKWARD:
        lane.code = LaneCode.BACKWARD
        lane.another = lane.another and bound.operands[3] != NULL
    elif op.code == OpCode.ACTIVATION:
        lane.code = LaneCode.ACTIVATE
    elif op.code == OpCode.ACTIVATION_BACKWARD:
        lane.code = LaneCode.DERIVE
    elif lane.update or op.code == OpCode.WEIGHT_GRADIENT or op.code == OpCode.BIAS_GRADIENT:
        lane.code, lane.lanes = LaneCode.GRADIENT, lanes_of(frame.rows) if one_block else 0
    elif op.code == OpCode.SQUARED_ERROR and bound.operands[0] != NULL and bound.operands[3] == NULL:
        lane.code, lane.factor = LaneCode.ERRORS, c[2]
        lane.alpha = 2.0 * (c[1] / <double>frame.rows if c[0] != 0 else c[1]) * c[2]


cdef Py_ssize_t run_narrow(
    const real* tag, const batch* rows_tag, const Bound* bound, Py_ssize_t count, const Frame* frame
) noexcept nogil:
    """Run ops on the path COLUMNS up to the first that is not done here; return how many."""
    cdef const Op* op
    cdef const Lane* lane
    cdef const double* numbers
    cdef real* a
    cdef real* b
    cdef real* c
    cdef real* d
    cdef const int* rows
    cdef Py_ssize_t i, n, k, lanes = LANES
    cdef int code
    cdef double alpha, beta, total
    for i in range(count):
        op, lane, numbers = bound[i].op, &bound[i].lane, constants_of(bound + i)
        a, b = <real*>bound[i].operands[0], <real*>bound[i].operands[1]
        c, d = <real*>bound[i].operands[2], <real*>bound[i].operands[3]
        n, k, code = lane.n, lane.k, lane.code
        if batch is AnyNumber:
            lanes = lane.lanes
        if code == LaneCode.TURN:
            rows = frame.permutation + frame.origin + bound[i].begin if op.code == OpCode.GATHER else NULL
            narrow_turn(a, b, rows, lane.m, n, lanes)
        elif code == LaneCode.FORWARD:
            narrow_forward(a, b, c, d, lane.kind, n, k, lanes)
            if lane.another and activation_forward(op.activation, numbers, a, a, n, lanes) != Status.OK:
                return i
        elif code == LaneCode.BACKWARD:
            narrow_backward(a, b, c, d, lane.kind, k, n, lanes)
            if lane.another and activation_backward(op.activation, numbers, a, a, d, n, lanes) != Status.OK:
                return i
        elif code == LaneCode.ACTIVATE:
            if activation_forward(op.activation, numbers, a, b, n, lanes) != Status.OK:
                return i
        elif code == LaneCode.DERIVE:
            if lane.another:
                if activation_backward(op.activation, numbers, a, b, c, n, lanes) != Status.OK:
                    return i
            else:
                narrow_derive(a, b, c, lane.kind, n * lanes)
        elif code == LaneCode.GRADIENT:
            alpha, beta = lane.alpha, lane.beta
            if lane.update:
                alpha = -rate_of(bound + i, frame)
                beta = 1.0 + 2.0 * alpha * op.constants[0]
            if c == NULL:       # of a bias
                b, c, k = NULL, b, 1
            else:
                k = lane.m
            narrow_gradient(
                a, b, c, <real>alpha, <real>beta, frame.rows, frame.tile_rows, n, k, bound[i].begin, lane.k,
                lanes
            )
        elif code == LaneCode.ERRORS:
            total = narrow_errors(a, b, c, <real>lane.alpha, lane.m, n, lanes)
            add_to(frame.sums + op.accumulator, lane.factor * total)
        else:
            return i
    return count


cdef inline Py_ssize_t run_columns(
    const real* tag, const Bound* bound, Py_ssize_t count, const Frame* frame
) noexcept nogil:
    """Run ops up to the first that `run_narrow` does not do; return how many."""
    if count == 0 or bound.lane.code == LaneCode.ELSEWHERE:
        return 0
    if frame.rows <= LANES:
        return run_narrow(tag, <const OneVector*>NULL, bound, count, frame)
    return run_narrow(tag, <const AnyNumber*>NULL, bound, count, frame)


cdef Status narrow_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    """Run one op, or say that `run_narrow` does not know it, or its activation."""
    return Status.OK if run_columns(<const real*>NULL, bound, 1, frame) else Status.UNKNOWN_OP


enter(PathCode.COLUMNS, OpCode.GATHER, narrow_op[float], narrow_op[double])
enter(PathCode.COLUMNS, OpCode.TRANSPOSE, narrow_op[float], narrow_op[double])
enter(PathCode.COLUMNS, OpCode.ACTIVATION, narrow_op[float], narrow_op[double])
enter(PathCode.COLUMNS, OpCode.ACTIVATION_BACKWARD, narrow_op[float], narrow_op[double])
enter(PathCode.COLUMNS, OpCode.DENSE, narrow_op[float], narrow_op[double])
enter(PathCode.COLUMNS, OpCode.DENSE_BACKWARD, narrow_op[float], narrow_op[double])
enter(PathCode.COLUMNS, OpCode.WEIGHT_GRADIENT, narrow_op[float], narrow_op[double])
enter(PathCode.COLUMNS, OpCode.SGD_DENSE, narrow_op[float], narrow_op[double])
enter(PathCode.COLUMNS, OpCode.BIAS_GRADIENT, narrow_op[float], narrow_op[double])
enter(PathCode.COLUMNS, OpCode.SGD_BIAS, narrow_op[float], narrow_op[double])


cdef double squared_error_columns(
    real* dy, const real* y, const real* t, const real* weight, double factor, double scale,
    Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """Sum over rows of weight * scale * sum((y - t)^2); OUT dy = 2 weight factor scale (y - t), (n, lanes).

    t lies like y, or, with one feature, may be an array of m elements.
    """
    cdef Py_ssize_t i, j, lanes = lanes_of(m)
    cdef double total = 0.0
    for j in range(n):
        total += squared_errors(dy + j * lanes, y + j * lanes, t + j * lanes, weight, factor * scale, m)
        for i in range(m, lanes):
            dy[j * lanes + i] = 0.0
    return scale * total


cdef inline void zero_past(real* x, Py_ssize_t m) noexcept nogil:
    """Set the lanes past the last row of a tensor with one feature to 0."""
    cdef Py_ssize_t i
    if x != NULL:
        for i in range(m, lanes_of(m)):
            x[i] = 0.0


cdef Status squared_error_columns_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    """Without a gradient there is one feature, which lies the same in both layouts."""
    if at[0] == NULL:
        return squared_error_op(at, bound, frame)
    return add_total(bound, frame, squared_error_columns(
        at[0], at[1], at[2], at[3], factor_of(bound, frame), constants_of(bound)[2], rows_of(bound),
        columns_of(bound, 0)
    ))


enter(
    PathCode.COLUMNS, OpCode.SQUARED_ERROR, squared_error_columns_op[float], squared_error_columns_op[double]
)


# What follows works on one feature.

cdef Status binary_crossentropy_columns_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    zero_past(at[0], rows_of(bound))
    return binary_crossentropy_op(at, bound, frame)


enter(
    PathCode.COLUMNS, OpCode.BINARY_CROSSENTROPY,
    binary_crossentropy_columns_op[float], binary_crossentropy_columns_op[double]
)


cdef Status pointwise_loss_columns_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    zero_past(at[0], rows_of(bound))
    return pointwise_loss_op(at, bound, frame)


enter(
    PathCode.COLUMNS, OpCode.POINTWISE_LOSS,
    pointwise_loss_columns_op[float], pointwise_loss_columns_op[double]
)


cdef Status sigmoid_crossentropy_columns_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    zero_past(at[1], rows_of(bound))
    return sigmoid_crossentropy_op(at, bound, frame)


enter(
    PathCode.COLUMNS, OpCode.SIGMOID_CROSSENTROPY,
    sigmoid_crossentropy_columns_op[float], sigmoid_crossentropy_columns_op[double]
)


enter(
    PathCode.COLUMNS, OpCode.CATEGORICAL_ACCURACY,
    categorical_accuracy_op[float], categorical_accuracy_op[double]
)
enter(PathCode.COLUMNS, OpCode.BINARY_ACCURACY, binary_accuracy_op[float], binary_accuracy_op[double])
enter(PathCode.COLUMNS, OpCode.WEIGHT_TOTAL, weight_total_op[float], weight_total_op[double])
enter(PathCode.COLUMNS, OpCode.THRESHOLD_COUNTS, threshold_counts_op[float], threshold_counts_op[double])
enter(PathCode.COLUMNS, OpCode.ADAM_DENSE, adam_dense_op[float], adam_dense_op[double])
