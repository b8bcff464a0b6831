# Gates: ops that join, split, scale and sum tensors, forward and backward.
#
# All tensors are (m, n) with adjacent rows unless a comment says otherwise.  Where the comment says
# that an output may be an input, both must begin at the same element; nothing else may overlap.

cdef void add(
    real* y, const real* a, const real* b, real alpha, real beta, Py_ssize_t size
) noexcept nogil:
    """OUT y = alpha a + beta b; y may be a or b."""
    cdef Py_ssize_t i
    if alpha == 1 and beta == 1:
        for i in range(size):
            y[i] = a[i] + b[i]
    else:
        for i in range(size):
            y[i] = alpha * a[i] + beta * b[i]


cdef void multiply(real* y, const real* a, const real* b, Py_ssize_t size) noexcept nogil:
    """OUT y = a b, element by element; y may be a or b."""
    cdef Py_ssize_t i
    for i in range(size):
        y[i] = a[i] * b[i]


cdef void affine(real* y, const real* x, real scale, real shift, Py_ssize_t size) noexcept nogil:
    """OUT y = scale x + shift; y may be x.  With a scale of 0 x does not count, whatever it is."""
    cdef Py_ssize_t i
    if scale == 1 and shift == 0:
        copy_elements(y, x, size)
    elif scale == 0:
        for i in range(size):
            y[i] = shift
    else:
        for i in range(size):
            y[i] = scale * x[i] + shift


cdef void gated_add(
    real* y, const real* x, const real* w, const real* a, Py_ssize_t size
) noexcept nogil:
    """OUT y = sigmoid(w (1,)) x + a; a may be NULL, y may be x or a."""
    cdef Py_ssize_t i
    cdef real gate = sigmoid_of(w[0])
    if a == NULL:
        for i in range(size):
            y[i] = gate * x[i]
    else:
        for i in range(size):
            y[i] = gate * x[i] + a[i]


cdef void gate_gradient(
    real* dw, const real* x, const real* dy, const real* w, Py_ssize_t size
) noexcept nogil:
    """OUT dw (1,) = sigmoid'(w (1,)) times the sum of x dy, in float64."""
    cdef double lanes[16]
    cdef real gate = sigmoid_of(w[0])
    cdef Py_ssize_t i, j, whole = size - size % 16
    for j in range(16):
        lanes[j] = 0.0
    for i in range(0, whole, 16):
        for j in range(16):
            lanes[j] = lanes[j] + <double>x[i + j] * <double>dy[i + j]
    for i in range(whole, size):
        lanes[i - whole] = lanes[i - whole] + <double>x[i] * <double>dy[i]
    dw[0] = <real>(lane_sum(lanes) * gate * (<real>1.0 - gate))


cdef void maximum(real* y, const real* a, const real* b, real sign, Py_ssize_t size) noexcept nogil:
    """OUT y = the larger of a and b, or the smaller if sign is -1, NaN if one is; y may be a or b."""
    cdef Py_ssize_t i
    cdef real p, q
    for i in range(size):
        p, q = a[i], b[i]
        p = p if sign * p >= sign * q else q        # q also where one is NaN
        y[i] = a[i] + b[i] if a[i] != a[i] else p


cdef void route(
    real* dx, const real* dy, const real* a, const real* b, real sign, bint strict, Py_ssize_t size
) noexcept nogil:
    """OUT dx = dy where sign a >= sign b (> if strict), else 0; dx may be dy."""
    cdef Py_ssize_t i
    cdef real upstream
    if strict:
        for i in range(size):
            upstream = dy[i]
            dx[i] = upstream if sign * a[i] > sign * b[i] else <real>0.0
    else:
        for i in range(size):
            upstream = dy[i]
            dx[i] = upstream if sign * a[i] >= sign * b[i] else <real>0.0


cdef void put_columns(
    real* y, Py_ssize_t n, Py_ssize_t first, const real* x, Py_ssize_t k, Py_ssize_t m
) noexcept nogil:
    """OUT columns first to first + k - 1 of y (m, n) = x (m, k)."""
    cdef Py_ssize_t i
    for i in range(m):
        memcpy(y + i * n + first, x + i * k, k * sizeof(real))


cdef void take_columns(
    real* y, Py_ssize_t n, const real* x, Py_ssize_t k, Py_ssize_t first, Py_ssize_t m
) noexcept nogil:
    """OUT y (m, n) = columns first to first + n - 1 of x (m, k)."""
    cdef Py_ssize_t i
    for i in range(m):
        memcpy(y + i * n, x + i * k + first, n * sizeof(real))


cdef void row_sum(real* y, const real* x, Py_ssize_t m, Py_ssize_t n) noexcept nogil:
    """OUT y (m,) = sums of the rows of x."""
    cdef Py_ssize_t i
    for i in range(m):
        y[i] = sum_of(x + i * n, n)


cdef void broadcast(real* y, const real* x, Py_ssize_t m, Py_ssize_t n) noexcept nogil:
    """OUT y = x (m,) in every column."""
    cdef Py_ssize_t i, j
    for i in range(m):
        for j in range(n):
            y[i * n + j] = x[i]


cdef void maxout(real* y, const real* x, Py_ssize_t m, Py_ssize_t n, Py_ssize_t pieces) noexcept nogil:
    """OUT y = the largest over p of x[:, p * n + j], x (m, pieces * n); NaN if one is."""
    cdef Py_ssize_t i, p
    cdef const real* row = x
    for i in range(m):
        copy_elements(y + i * n, row, n)
        for p in range(1, pieces):
            maximum(y + i * n, y + i * n, row + p * n, <real>1.0, n)
        row += pieces * n


cdef void maxout_backward(
    real* dx, const real* dy, const real* x, Py_ssize_t m, Py_ssize_t n, Py_ssize_t pieces
) noexcept nogil:
    """OUT dx (m, pieces * n) = dy at the first largest piece of each unit, 0 elsewhere."""
    cdef Py_ssize_t i, j, p, best
    cdef const real* row = x
    cdef real* out = dx
    for i in range(m):
        for j in range(n):
            best = 0
            for p in range(1, pieces):
                if row[p * n + j] > row[best * n + j]:
                    best = p
            for p in range(pieces):
                out[p * n + j] = dy[i * n + j] if p == best else <real>0.0
        row += pieces * n
        out += pieces * n


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


cdef Status gather_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    gather(
        at[0], at[1], frame.permutation + frame.origin + bound.begin, rows_of(bound), columns_of(bound, 0)
    )
    return Status.OK


enter(PathCode.BLAS, OpCode.GATHER, gather_op[float], gather_op[double])


cdef Status add_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    cdef const double* c = constants_of(bound)
    add(at[0], at[1], at[2], <real>c[0], <real>c[1], size_of(bound))
    return Status.OK


enter(PathCode.BLAS, OpCode.ADD, add_op[float], add_op[double])


cdef Status add_gradient_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    add(at[0], at[0], at[1], <real>1.0, <real>1.0, size_of(bound))
    return Status.OK


enter(PathCode.BLAS, OpCode.ADD_GRADIENT, add_gradient_op[float], add_gradient_op[double])


cdef Status multiply_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    multiply(at[0], at[1], at[2], size_of(bound))
    return Status.OK


enter(PathCode.BLAS, OpCode.MULTIPLY, multiply_op[float], multiply_op[double])


cdef Status maximum_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    maximum(at[0], at[1], at[2], <real>constants_of(bound)[0], size_of(bound))
    return Status.OK


enter(PathCode.BLAS, OpCode.MAXIMUM, maximum_op[float], maximum_op[double])


cdef Status route_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    cdef const double* c = constants_of(bound)
    route(at[0], at[1], at[2], at[3], <real>c[0], c[1] != 0, size_of(bound))
    return Status.OK


enter(PathCode.BLAS, OpCode.ROUTE, route_op[float], route_op[double])


cdef Status concatenate_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    concatenate(at, bound.op, rows_of(bound))
    return Status.OK


enter(PathCode.BLAS, OpCode.CONCATENATE, concatenate_op[float], concatenate_op[double])


cdef Status slice_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    take_columns(
        at[0], columns_of(bound, 0), at[1], columns_of(bound, 1), <Py_ssize_t>constants_of(bound)[0],
        rows_of(bound)
    )
    return Status.OK


enter(PathCode.BLAS, OpCode.SLICE, slice_op[float], slice_op[double])


cdef Status affine_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    cdef const double* c = constants_of(bound)
    affine(at[0], at[1], <real>c[0], <real>c[1], size_of(bound))
    return Status.OK


enter(PathCode.BLAS, OpCode.AFFINE, affine_op[float], affine_op[double])


cdef Status row_sum_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    row_sum(at[0], at[1], rows_of(bound), columns_of(bound, 1))
    return Status.OK


enter(PathCode.BLAS, OpCode.ROW_SUM, row_sum_op[float], row_sum_op[double])


cdef Status broadcast_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    broadcast(at[0], at[1], rows_of(bound), columns_of(bound, 0))
    return Status.OK


enter(PathCode.BLAS, OpCode.BROADCAST, broadcast_op[float], broadcast_op[double])


cdef Status maxout_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    cdef Py_ssize_t n = columns_of(bound, 0)
    maxout(at[0], at[1], rows_of(bound), n, columns_of(bound, 1) // n)
    return Status.OK


enter(PathCode.BLAS, OpCode.MAXOUT, maxout_op[float], maxout_op[double])


cdef Status maxout_backward_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    cdef Py_ssize_t n = columns_of(bound, 1)
    maxout_backward(at[0], at[1], at[2], rows_of(bound), n, columns_of(bound, 0) // n)
    return Status.OK


enter(PathCode.BLAS, OpCode.MAXOUT_BACKWARD, maxout_backward_op[float], maxout_backward_op[double])


cdef Status gated_add_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    gated_add(at[0], at[1], at[2], at[3], size_of(bound))
    return Status.OK


enter(PathCode.BLAS, OpCode.GATED_ADD, gated_add_op[float], gated_add_op[double])


cdef Status gate_gradient_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    gate_gradient(at[0], at[1], at[2], at[3], frame.rows * columns_of(bound, 1))
    return Status.OK


enter(PathCode.BLAS, OpCode.GATE_GRADIENT, gate_gradient_op[float], gate_gradient_op[double])


cdef void prelu(
    real* y, const real* x, const real* w, const real* z, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """OUT y (m, n) = x where z > 0, w (n,) x where z < 0, 0 where it is 0; y may be x, z NULL for x."""
    cdef Py_ssize_t i, j
    cdef real place, factor
    for i in range(m):
        for j in range(n):
            place = x[i * n + j] if z == NULL else z[i * n + j]
            factor = <real>1.0 if place > 0 else w[j] if place < 0 else <real>0.0
            y[i * n + j] = x[i * n + j] * factor


cdef void prelu_gradient(
    real* dw, const real* x, const real* dy, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """OUT dw (n,) = sums over rows of x dy where x is negative, in float64, in the order of the rows."""
    cdef double sums[128]
    cdef Py_ssize_t i, j, at, first = 0, width
    while first < n:
        width = min(n - first, <Py_ssize_t>128)
        for j in range(width):
            sums[j] = 0.0
        for i in range(m):
            at = i * n + first
            for j in range(width):
                sums[j] = sums[j] + (<double>x[at + j] * <double>dy[at + j] if x[at + j] < 0 else 0.0)
        for j in range(width):
            dw[first + j] = <real>sums[j]
        first += width


cdef Status prelu_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    prelu(at[0], at[1], at[2], at[3], rows_of(bound), columns_of(bound, 0))
    return Status.OK


enter(PathCode.BLAS, OpCode.PRELU, prelu_op[float], prelu_op[double])


cdef Status prelu_gradient_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    prelu_gradient(at[0], at[1], at[2], frame.rows, columns_of(bound, 0))
    return Status.OK


enter(PathCode.BLAS, OpCode.PRELU_GRADIENT, prelu_gradient_op[float], prelu_gradient_op[double])


cdef void scale_features(real* y, const real* x, const real* w, Py_ssize_t m, Py_ssize_t n) noexcept nogil:
    """OUT y (m, n) = x times w (n,), row by row; y may be x."""
    cdef Py_ssize_t i, j
    for i in range(m):
        for j in range(n):
            y[i * n + j] = x[i * n + j] * w[j]


cdef void scale_features_gradient(
    real* dw, const real* x, const real* dy, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """OUT dw (n,) = sums over rows of x dy, in float64, in the order of the rows."""
    cdef double sums[128]
    cdef Py_ssize_t i, j, at, first = 0, width
    while first < n:
        width = min(n - first, <Py_ssize_t>128)
        for j in range(width):
            sums[j] = 0.0
        for i in range(m):
            at = i * n + first
            for j in range(width):
                sums[j] = sums[j] + <double>x[at + j] * <double>dy[at + j]
        for j in range(width):
            dw[first + j] = <real>sums[j]
        first += width


cdef Status scale_features_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    scale_features(at[0], at[1], at[2], rows_of(bound), columns_of(bound, 0))
    return Status.OK


enter(PathCode.BLAS, OpCode.SCALE_FEATURES, scale_features_op[float], scale_features_op[double])


cdef Status scale_features_gradient_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    scale_features_gradient(at[0], at[1], at[2], frame.rows, columns_of(bound, 0))
    return Status.OK


enter(
    PathCode.BLAS,
    OpCode.SCALE_FEATURES_GRADIENT,
    scale_features_gradient_op[float],
    scale_features_gradient_op[double],
)
