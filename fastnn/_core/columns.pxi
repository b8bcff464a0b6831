# Dense layers of few features, with the batch as the fast axis.
#
# A tensor of m rows and n features lies feature by feature: n columns of `lanes_of(m)` elements, so
# that every loop runs over whole vectors and no loop over features is too short for one.  Elements
# past the last row are 0 in inputs and in gradients of the loss, finite everywhere else, and add
# nothing to sums.  A tile of the batch is such a block of its own; what sums over the whole batch
# goes from tile to tile.  `fastnn/compiler/paths.py` chooses this layout for a whole net.  (Steps of
# ranges are written as numbers, 16 for LANES and 4 for UNITS: Cython turns no other range into a loop of C.)

cdef enum:
    LANES = 16
    UNITS = 4       # features that are worked on together


cdef inline Py_ssize_t lanes_of(Py_ssize_t m) noexcept nogil:
    """Return m rounded up to whole vectors."""
    return (m + LANES - 1) & -LANES


cdef void transpose(
    real* y, const real* x, const int* rows, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """OUT y (n, lanes) = the rows of x (., n) that `rows` (m,) names, or the first m if that is NULL."""
    cdef real* line
    cdef const real* source
    cdef Py_ssize_t i, j, lanes = lanes_of(m), whole = m - m % LANES
    if real is float:
        if transpose_vectors(y, x, rows, m, n) == m:
            return
    for j in range(n):
        if rows == NULL:
            for i in range(0, whole, 16):
                # Written out, as compilers then gather the numbers in a vector: 0.5 us instead of 1.1
                # for 400 rows of 6.
                line, source = y + j * lanes + i, x + i * n + j
                line[0] = source[0]
                line[1] = source[n]
                line[2] = source[2 * n]
                line[3] = source[3 * n]
                line[4] = source[4 * n]
                line[5] = source[5 * n]
                line[6] = source[6 * n]
                line[7] = source[7 * n]
                line[8] = source[8 * n]
                line[9] = source[9 * n]
                line[10] = source[10 * n]
                line[11] = source[11 * n]
                line[12] = source[12 * n]
                line[13] = source[13 * n]
                line[14] = source[14 * n]
                line[15] = source[15 * n]
            for i in range(whole, m):
                y[j * lanes + i] = x[i * n + j]
        else:
            for i in range(m):
                y[j * lanes + i] = x[rows[i] * n + j]
    for j in range(n):
        for i in range(m, lanes):
            y[j * lanes + i] = 0.0


cdef inline void weighted_sums(
    real* c, const real* b, const real* w, Py_ssize_t stride, Py_ssize_t step, const real* bias,
    Py_ssize_t units, Py_ssize_t depth, Py_ssize_t lanes
) noexcept nogil:
    """OUT c (units, lanes) = w (units, depth) @ b (depth, lanes) + bias (units,), which may be NULL.

    Element (i, p) of `w` is w[i * stride + p * step].
    """
    cdef const real* v
    cdef real start, w0, w1, w2, w3
    cdef Py_ssize_t i, j, p, q, whole = depth - depth % UNITS
    for i in range(units):
        start = bias[i] if bias != NULL else <real>0.0
        if whole == 0:
            for q in range(0, lanes, 16):
                for j in range(LANES):
                    c[q + j] = start
        for p in range(0, whole, 4):
            v = b + p * lanes
            w0, w1 = w[p * step], w[(p + 1) * step]
            w2, w3 = w[(p + 2) * step], w[(p + 3) * step]
            if p == 0:
                for q in range(0, lanes, 16):
                    for j in range(LANES):
                        c[q + j] = start + w0 * v[q + j] + w1 * v[q + lanes + j] + (
                            w2 * v[q + 2 * lanes + j] + w3 * v[q + 3 * lanes + j]
                        )
            else:
                for q in range(0, lanes, 16):
                    for j in range(LANES):
                        c[q + j] = c[q + j] + w0 * v[q + j] + w1 * v[q + lanes + j] + (
                            w2 * v[q + 2 * lanes + j] + w3 * v[q + 3 * lanes + j]
                        )
        for p in range(whole, depth):
            v, w0 = b + p * lanes, w[p * step]
            for q in range(0, lanes, 16):
                for j in range(LANES):
                    c[q + j] = c[q + j] + w0 * v[q + j]
        c += lanes
        w += stride


cdef Status dense_forward_columns(
    real* y, const real* x, const real* w, const real* b, int activation, double alpha,
    Py_ssize_t m, Py_ssize_t n, Py_ssize_t k
) noexcept nogil:
    """OUT y (n, lanes) = activation(w.T @ x (k, lanes) + b); b may be NULL."""
    cdef Py_ssize_t lanes = lanes_of(m)
    weighted_sums(y, x, w, 1, n, b, n, k, lanes)
    return activation_forward(activation, alpha, y, y, n, lanes)


cdef Status dense_backward_columns(
    real* dx, const real* dy, const real* w, const real* y, int activation, double alpha,
    Py_ssize_t m, Py_ssize_t n, Py_ssize_t k
) noexcept nogil:
    """OUT dx (k, lanes) = (w @ dy (n, lanes)) * activation'(of the layer below, whose output is y)."""
    cdef Py_ssize_t lanes = lanes_of(m)
    weighted_sums(dx, dy, w, n, 1, <const real*>NULL, k, n, lanes)
    return Status.OK if y == NULL else activation_backward(activation, alpha, dx, dx, y, k, lanes)


cdef inline real inner_product(
    const real* a, Py_ssize_t a_feature, Py_ssize_t a_columns,
    const real* b, Py_ssize_t b_feature, Py_ssize_t b_columns, Py_ssize_t m, Py_ssize_t tile_rows
) noexcept nogil:
    """Return the sum over all rows of a feature of a times a feature of b, tensors cut into tiles."""
    cdef real kept[LANES]
    cdef const real* c
    cdef const real* d
    cdef Py_ssize_t j, v, lanes, begin = 0
    for j in range(LANES):
        kept[j] = 0.0
    while begin < m:
        lanes = lanes_of(min(tile_rows, m - begin))
        c = a + begin * a_columns + a_feature * lanes
        d = b + begin * b_columns + b_feature * lanes
        for v in range(0, lanes, 16):
            for j in range(LANES):
                kept[j] = kept[j] + c[v + j] * d[v + j]
        begin += tile_rows
    return lane_sum(kept)


cdef inline void inner_products(
    real* sums, const real* a, Py_ssize_t a_first, Py_ssize_t a_columns,
    const real* b, Py_ssize_t b_feature, Py_ssize_t b_columns, Py_ssize_t m, Py_ssize_t tile_rows
) noexcept nogil:
    """OUT sums (UNITS,): the same for UNITS features of a, from a_first on."""
    cdef real kept[UNITS][LANES]
    cdef const real* c
    cdef const real* d
    cdef Py_ssize_t j, r, v, lanes, begin = 0
    for r in range(UNITS):
        for j in range(LANES):
            kept[r][j] = 0.0
    while begin < m:
        lanes = lanes_of(min(tile_rows, m - begin))
        c = a + begin * a_columns + a_first * lanes
        d = b + begin * b_columns + b_feature * lanes
        for v in range(0, lanes, 16):
            for r in range(UNITS):
                for j in range(LANES):
                    kept[r][j] = kept[r][j] + c[r * lanes + v + j] * d[v + j]
        begin += tile_rows
    for r in range(UNITS):
        sums[r] = lane_sum(kept[r])


cdef void weight_gradient_columns(
    real* dw, const real* x, const real* dy, real alpha, real beta,
    Py_ssize_t m, Py_ssize_t tile_rows, Py_ssize_t n, Py_ssize_t k, Py_ssize_t begin, Py_ssize_t end
) noexcept nogil:
    """INOUT dw (end - begin, n) = alpha * x[begin:end] @ dy.T + beta * dw, of x (k, m) and dy (n, m)."""
    cdef real sums[UNITS]
    cdef Py_ssize_t i, j, r, inputs = begin, outputs = 0
    # Several features of whatever has more of them at once.
    if n < end - begin:
        inputs = end - (end - begin) % UNITS
        for i in range(begin, inputs, 4):
            for j in range(n):
                inner_products(sums, x, i, k, dy, j, n, m, tile_rows)
                for r in range(UNITS):
                    put_scaled(dw + (i + r - begin) * n + j, alpha, sums[r], beta)
    else:
        outputs = n - n % UNITS
    for i in range(inputs, end):
        for j in range(0, outputs, 4):
            inner_products(sums, dy, j, n, x, i, k, m, tile_rows)
            for r in range(UNITS):
                put_scaled(dw + (i - begin) * n + j + r, alpha, sums[r], beta)
        for j in range(outputs, n):
            put_scaled(dw + (i - begin) * n + j, alpha, inner_product(dy, j, n, x, i, k, m, tile_rows), beta)


cdef inline void put_scaled(real* y, real alpha, real x, real beta) noexcept nogil:
    """INOUT y = alpha x + beta y; where beta is 0, y may be anything before."""
    y[0] = alpha * x + beta * y[0] if beta != 0 else alpha * x


cdef void bias_gradient_columns(
    real* db, const real* dy, real alpha, real beta, Py_ssize_t m, Py_ssize_t tile_rows, Py_ssize_t n
) noexcept nogil:
    """INOUT db (n,) = alpha * sums of dy (n, m) + beta * db."""
    cdef real kept[LANES]
    cdef const real* line
    cdef Py_ssize_t i, j, v, lanes, begin
    for i in range(n):
        for j in range(LANES):
            kept[j] = 0.0
        begin = 0
        while begin < m:
            lanes = lanes_of(min(tile_rows, m - begin))
            line = dy + begin * n + i * lanes
            v = 0
            while v < lanes:
                for j in range(LANES):
                    kept[j] = kept[j] + line[v + j]
                v += LANES
            begin += tile_rows
        put_scaled(db + i, alpha, lane_sum(kept), beta)


cdef inline real long_inner_product(
    const real* a, Py_ssize_t a_feature, Py_ssize_t a_columns,
    const real* b, Py_ssize_t b_feature, Py_ssize_t b_columns, Py_ssize_t m, Py_ssize_t tile_rows
) noexcept nogil:
    """`inner_product` of many rows: sums of blocks of them are added in float64; see long_sums.pxi."""
    cdef real kept[LANES]
    cdef double total = 0.0
    cdef const real* c
    cdef const real* d
    cdef Py_ssize_t j, v, end, lanes, begin = 0, left = IN_LANES
    for j in range(LANES):
        kept[j] = 0.0
    while begin < m:
        lanes, end = lanes_of(min(tile_rows, m - begin)), 0
        c = a + begin * a_columns + a_feature * lanes
        d = b + begin * b_columns + b_feature * lanes
        while end < lanes:
            v, end = end, min(lanes, end + left)
            left -= end - v
            for v in range(v, end, 16):
                for j in range(LANES):
                    kept[j] = kept[j] + c[v + j] * d[v + j]
            if left == 0:
                total, left = total + lane_sum(kept), IN_LANES
                for j in range(LANES):
                    kept[j] = 0.0
        begin += tile_rows
    return <real>(total + lane_sum(kept))


cdef void long_weight_gradient_columns(
    real* dw, const real* x, const real* dy, real alpha, real beta,
    Py_ssize_t m, Py_ssize_t tile_rows, Py_ssize_t n, Py_ssize_t k, Py_ssize_t begin, Py_ssize_t end
) noexcept nogil:
    """`weight_gradient_columns` of any number of rows."""
    cdef Py_ssize_t i, j
    if sizeof(real) == 8 or m <= IN_LANES:
        weight_gradient_columns(dw, x, dy, alpha, beta, m, tile_rows, n, k, begin, end)
        return
    for i in range(begin, end):
        for j in range(n):
            put_scaled(
                dw + (i - begin) * n + j, alpha, long_inner_product(dy, j, n, x, i, k, m, tile_rows), beta
            )


cdef void long_bias_gradient_columns(
    real* db, const real* dy, real alpha, real beta, Py_ssize_t m, Py_ssize_t tile_rows, Py_ssize_t n
) noexcept nogil:
    """`bias_gradient_columns` of any number of rows."""
    cdef real kept[LANES]
    cdef double total
    cdef const real* line
    cdef Py_ssize_t i, j, v, end, lanes, begin, left
    if sizeof(real) == 8 or m <= IN_LANES:
        bias_gradient_columns(db, dy, alpha, beta, m, tile_rows, n)
        return
    for i in range(n):
        for j in range(LANES):
            kept[j] = 0.0
        begin, total, left = 0, 0.0, IN_LANES
        while begin < m:
            lanes, end = lanes_of(min(tile_rows, m - begin)), 0
            line = dy + begin * n + i * lanes
            while end < lanes:
                v, end = end, min(lanes, end + left)
                left -= end - v
                while v < end:
                    for j in range(LANES):
                        kept[j] = kept[j] + line[v + j]
                    v += LANES
                if left == 0:
                    total, left = total + lane_sum(kept), IN_LANES
                    for j in range(LANES):
                        kept[j] = 0.0
            begin += tile_rows
        put_scaled(db + i, alpha, <real>(total + lane_sum(kept)), beta)


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


cdef Status gather_columns_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    transpose(
        at[0], at[1], frame.permutation + frame.origin + bound.begin, rows_of(bound), columns_of(bound, 0)
    )
    return Status.OK


enter(PathCode.COLUMNS, OpCode.GATHER, gather_columns_op[float], gather_columns_op[double])


cdef Status transpose_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    transpose(at[0], at[1], NULL, rows_of(bound), columns_of(bound, 0))
    return Status.OK


enter(PathCode.COLUMNS, OpCode.TRANSPOSE, transpose_op[float], transpose_op[double])


cdef Status dense_columns_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    return dense_forward_columns(
        at[0], at[1], at[2], at[3], bound.op.activation, bound.op.alpha, rows_of(bound), columns_of(bound, 0),
        columns_of(bound, 1)
    )


enter(PathCode.COLUMNS, OpCode.DENSE, dense_columns_op[float], dense_columns_op[double])


cdef Status dense_backward_columns_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    return dense_backward_columns(
        at[0], at[1], at[2], at[3], bound.op.activation, bound.op.alpha, rows_of(bound), columns_of(bound, 1),
        columns_of(bound, 0)
    )


enter(
    PathCode.COLUMNS, OpCode.DENSE_BACKWARD,
    dense_backward_columns_op[float], dense_backward_columns_op[double]
)


cdef Status activation_columns_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    return activation_forward(
        bound.op.activation, bound.op.alpha, at[0], at[1], columns_of(bound, 0), lanes_of(rows_of(bound))
    )


enter(PathCode.COLUMNS, OpCode.ACTIVATION, activation_columns_op[float], activation_columns_op[double])


cdef Status activation_backward_columns_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    return activation_backward(
        bound.op.activation, bound.op.alpha, at[0], at[1], at[2], columns_of(bound, 0),
        lanes_of(rows_of(bound))
    )


enter(
    PathCode.COLUMNS, OpCode.ACTIVATION_BACKWARD,
    activation_backward_columns_op[float], activation_backward_columns_op[double]
)


cdef Status weight_gradient_columns_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    long_weight_gradient_columns(
        at[0], at[1], at[2], <real>1.0, <real>0.0, frame.rows, frame.tile_rows, columns_of(bound, 0),
        columns_of(bound, 1), bound.begin, bound.end
    )
    return Status.OK


enter(
    PathCode.COLUMNS, OpCode.WEIGHT_GRADIENT,
    weight_gradient_columns_op[float], weight_gradient_columns_op[double]
)


cdef Status sgd_dense_columns_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    cdef double rate = rate_of(bound, frame)
    long_weight_gradient_columns(
        at[0], at[1], at[2], <real>(-rate), <real>(1.0 - 2.0 * rate * constants_of(bound)[0]), frame.rows,
        frame.tile_rows, columns_of(bound, 0), columns_of(bound, 1), bound.begin, bound.end
    )
    return Status.OK


enter(PathCode.COLUMNS, OpCode.SGD_DENSE, sgd_dense_columns_op[float], sgd_dense_columns_op[double])


cdef Status bias_gradient_columns_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    long_bias_gradient_columns(
        at[0], at[1], <real>1.0, <real>0.0, frame.rows, frame.tile_rows, columns_of(bound, 0)
    )
    return Status.OK


enter(
    PathCode.COLUMNS, OpCode.BIAS_GRADIENT, bias_gradient_columns_op[float], bias_gradient_columns_op[double]
)


cdef Status sgd_bias_columns_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    cdef double rate = rate_of(bound, frame)
    long_bias_gradient_columns(
        at[0], at[1], <real>(-rate), <real>(1.0 - 2.0 * rate * constants_of(bound)[0]), frame.rows,
        frame.tile_rows, columns_of(bound, 0)
    )
    return Status.OK


enter(PathCode.COLUMNS, OpCode.SGD_BIAS, sgd_bias_columns_op[float], sgd_bias_columns_op[double])


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
