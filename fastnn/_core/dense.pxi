# Dense layers, forward and backward, over BLAS or our own products.
#
# Rows are adjacent; `m` rows, `k` inputs, `n` outputs.  On the path DIRECT, columns left over by blocks
# of 16 go to BLAS if they are few, instead of into a block that is mostly padding: a step of the
# benchmark "twenty" went from 295 to 260 us on one thread.
#
# The path says who multiplies full tiles (README.md lists the ways), and is chosen before rows are known.  So
# `forward_multiplier` and `backward_multiplier` say who multiplies the rows at hand: few go through a kernel
# where it lies, whatever the path.


cdef inline Multiplier forward_multiplier(
    int path, Py_ssize_t m, Py_ssize_t k, Py_ssize_t ld
) noexcept nogil:
    """Return who multiplies x (m, k) by w, k rows ld apart; BLAS and blocks are for several rows."""
    if m == 1 or m <= FEW_ROWS and ld * k >= FEW_ROWS_KERNEL:
        return BY_ROWS
    return BY_BLAS if path == PathCode.BLAS else BY_BLOCKS


cdef inline Multiplier backward_multiplier(
    int path, Py_ssize_t m, Py_ssize_t n, Py_ssize_t ld
) noexcept nogil:
    """Return who multiplies dy (m, n) by w.T, whose w has ld rows."""
    if m <= FEW_ROWS_TRANSPOSED and m * n * ld >= FEW_ROWS_MULTIPLICATIONS:
        return BY_ROWS
    if m < BLOCK_ROWS and path == PathCode.BLOCKS:      # 3 rows, 500 -> 500, `dense_backward` 71 us, now 38
        return BY_ROWS
    return BY_BLAS if path == PathCode.BLAS else BY_BLOCKS


cdef inline Py_ssize_t in_blocks(int path, Py_ssize_t columns) noexcept nogil:
    """Return how many of the columns of a product our own blocks take: all on the path BLOCKS.

    With masks for their rims (avx512.h) they take more: 128 rows, 56 -> 25 forward 4.4 us instead of 6.1.
    """
    cdef Py_ssize_t left = columns % 16
    if path == PathCode.BLOCKS or left > (4 if BLOCK_COLUMNS == 32 else 12):
        return columns
    return columns - left


cdef void add_bias(real* y, const real* x, const real* b, Py_ssize_t m, Py_ssize_t n) noexcept nogil:
    """OUT y = x + b for every row; y may be x."""
    cdef Py_ssize_t i, j
    for i in range(m):
        for j in range(n):
            y[i * n + j] = x[i * n + j] + b[j]


cdef Status finish_rows(
    real* y, const real* b, int activation, const double* c, Py_ssize_t m, Py_ssize_t n, Py_ssize_t ld
) noexcept nogil:
    """INOUT y (m, n), rows ld apart, = activation(y + b (n,)); b may be NULL.

    Short rows are taken several at once, with as many copies of b: at best whole vectors, and so many
    that beginning a loop does not count.
    """
    cdef real copies[64 * 16]
    cdef const real* offset = b
    cdef real* line
    cdef real z
    cdef Py_ssize_t i, at = 0, q, width = n, size = m * n if b != NULL else 0
    cdef Status status = Status.OK
    if ld != n:
        for i in range(m):
            status = finish_rows(y + i * ld, b, activation, c, 1, n, n)
        return status
    if n < 256 and size >= 2048:
        width = 0
        while width < 256 or (n < 64 and width % 16):
            memcpy(copies + width, b, n * sizeof(real))
            width += n
        offset = copies
    while at < size:
        line = y + at
        width = min(width, size - at)
        if activation == ActivationCode.RELU:
            for q in range(width):
                z = line[q] + offset[q]
                line[q] = <real>0.0 if z <= 0 else z    # NaN stays NaN
        else:
            for q in range(width):
                line[q] = line[q] + offset[q]
        at += width
    if activation != ActivationCode.LINEAR and (activation != ActivationCode.RELU or b == NULL):
        return activation_forward(activation, c, y, y, m, n)
    return Status.OK


cdef void outer_product(
    real* dx, const real* dy, const real* w, Py_ssize_t m, Py_ssize_t k, Py_ssize_t ld
) noexcept nogil:
    """OUT dx (m, k), rows ld apart, = dy (m,) times w (k,); k is at least 16."""
    cdef real scale
    cdef real* row = dx
    cdef Py_ssize_t i, j, p, whole = k - k % 16, last = k - 16
    for i in range(m):
        scale = dy[i]
        for p in range(0, whole, 16):
            for j in range(16):
                row[p + j] = scale * w[p + j]
        for j in range(16):
            row[last + j] = scale * w[last + j]
        row += ld


cdef void row_product(
    real* y, const real* x, const real* w, const real* b, Py_ssize_t n, Py_ssize_t k, Py_ssize_t ld
) noexcept nogil:
    """OUT y (n,) = x (k,) @ w (k, n) + b (n,), which may be NULL, four rows of w, ld apart, at a time."""
    cdef Py_ssize_t j, p, whole = k - k % 4
    cdef real x0, x1, x2, x3
    cdef const real* v
    if b != NULL:
        memcpy(y, b, n * sizeof(real))
    else:
        memset(y, 0, n * sizeof(real))
    for p in range(0, whole, 4):
        x0, x1, x2, x3 = x[p], x[p + 1], x[p + 2], x[p + 3]
        v = w + p * ld
        for j in range(n):
            y[j] = y[j] + ((x0 * v[j] + x1 * v[ld + j]) + (x2 * v[2 * ld + j] + x3 * v[3 * ld + j]))
    for p in range(whole, k):
        x0, v = x[p], w + p * ld
        for j in range(n):
            y[j] = y[j] + x0 * v[j]


cdef void rows_product(
    real* y, Py_ssize_t ldy, const real* x, Py_ssize_t ldx, const real* w, Py_ssize_t ldw, Py_ssize_t m,
    Py_ssize_t n, Py_ssize_t k
) noexcept nogil:
    """OUT y (m, n) = x (m, k) @ w (k, n): four rows of x by four of w at a time, w read from end to end."""
    cdef real factors[4][4]
    cdef const real* v[4]
    cdef real* to[4]
    cdef Py_ssize_t i, j, p, q, r, s
    for i in range(m):
        memset(y + i * ldy, 0, n * sizeof(real))
    for p in range(0, k, 4):
        for i in range(0, m, 4):
            for r in range(4):
                to[r] = y + min(i + r, m - 1) * ldy
                v[r] = w + min(p + r, k - 1) * ldw
                for s in range(4):      # what is past the end counts nothing
                    factors[r][s] = x[(i + r) * ldx + p + s] if i + r < m and p + s < k else <real>0.0
            for r in range(4):
                for j in range(n):
                    to[r][j] = to[r][j] + (
                        (factors[r][0] * v[0][j] + factors[r][1] * v[1][j])
                        + (factors[r][2] * v[2][j] + factors[r][3] * v[3][j])
                    )


cdef inline real inner_product_of_rows(const real* a, const real* b, Py_ssize_t n) noexcept nogil:
    """Return the sum of a (n,) * b (n,), in the order of `row_product_transposed`."""
    cdef real kept[16]
    cdef Py_ssize_t j, p, whole = n - n % 16
    for j in range(16):
        kept[j] = 0.0
    for p in range(0, whole, 16):
        for j in range(16):
            kept[j] = kept[j] + a[p + j] * b[p + j]
    for p in range(whole, n):
        kept[p - whole] = kept[p - whole] + a[p] * b[p]
    return lane_sum(kept)


cdef void row_product_transposed(
    real* dx, const real* dy, const real* w, Py_ssize_t ld, Py_ssize_t n, Py_ssize_t k
) noexcept nogil:
    """OUT dx (k,) = w (k, n) @ dy (n,), four rows of w, ld apart, at a time."""
    cdef real kept[4][16]
    cdef real value
    cdef const real* v
    cdef Py_ssize_t i, j, p, r, whole = n - n % 16
    for i in range(0, k, 4):
        if i + 4 <= k:
            v = w + i * ld
            for r in range(4):
                for j in range(16):
                    kept[r][j] = 0.0
            for p in range(0, whole, 16):
                for r in range(4):
                    for j in range(16):
                        kept[r][j] = kept[r][j] + v[r * ld + p + j] * dy[p + j]
            for p in range(whole, n):
                value = dy[p]
                for r in range(4):
                    kept[r][p - whole] = kept[r][p - whole] + v[r * ld + p] * value
            for r in range(4):
                dx[i + r] = lane_sum(kept[r])
        else:
            for r in range(i, k):
                dx[r] = inner_product_of_rows(w + r * ld, dy, n)


cdef void rows_product_transposed(
    real* dx, Py_ssize_t lddx, const real* dy, Py_ssize_t lddy, const real* w, Py_ssize_t ldw, Py_ssize_t m,
    Py_ssize_t n, Py_ssize_t k
) noexcept nogil:
    """OUT dx (m, k) = dy (m, n) @ w.T, w (k, n): four rows of dy by four of w at a time, in place."""
    cdef real kept[4][4][16]
    cdef const real* a[4]
    cdef const real* b[4]
    cdef real value
    cdef Py_ssize_t i, j, p, q, r, s, whole = n - n % 16
    for j in range(0, k, 4):
        for i in range(0, m, 4):
            for r in range(4):      # rows past the end repeat the last one
                a[r], b[r] = dy + min(i + r, m - 1) * lddy, w + min(j + r, k - 1) * ldw
                for s in range(4):
                    for q in range(16):
                        kept[r][s][q] = 0.0
            for p in range(0, whole, 16):
                for r in range(4):
                    for s in range(4):
                        for q in range(16):
                            kept[r][s][q] = kept[r][s][q] + a[r][p + q] * b[s][p + q]
            for r in range(min(4, m - i)):
                for s in range(min(4, k - j)):
                    value = lane_sum(kept[r][s])
                    for p in range(whole, n):
                        value = value + a[r][p] * b[s][p]
                    dx[(i + r) * lddx + j + s] = value


cdef bint deep_forward(
    int path, Multiplier multiplier, real* y, const real* x, const real* w, Py_ssize_t m, Py_ssize_t n,
    Py_ssize_t k, Py_ssize_t ld
) noexcept nogil:
    """OUT y (m, n) = x (m, k) @ w (k, n), rows of y and w ld apart, if that takes several blocks; return
    whether it does."""
    if multiplier == BY_ROWS:
        if depth_of(BY_ROWS, m, n, k) >= k:
            return False
        deep_product(BY_ROWS, y, ld, x, k, False, w, ld, False, <real>1.0, <real>0.0, m, n, k)
        return True
    if path == PathCode.BLAS and n == 1 and m * k <= LARGEST_GEMV:
        return False
    return deep_products(path, y, ld, x, k, False, w, ld, False, <real>1.0, <real>0.0, m, n, k)


cdef Status dense_forward(
    int path, real* y, const real* x, const real* w, const real* b, int activation, const double* c,
    Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, Py_ssize_t ld
) noexcept nogil:
    """OUT y (m, n) = activation(x (m, k) @ w (k, n) + b (n,)), rows of y and w ld apart; b may be NULL.

    Where ld is not n, n being a part of the layer's outputs, the activation is not row-wise.
    """
    cdef Py_ssize_t i, j, whole
    cdef bint relu = activation == ActivationCode.RELU
    cdef real z
    cdef Multiplier multiplier = forward_multiplier(path, m, k, ld)
    if real is float:
        if k > CHAIN and deep_forward(path, multiplier, y, x, w, m, n, k, ld):
            return finish_rows(y, b, activation, c, m, n, ld)
    if multiplier == BY_ROWS and m == 1:
        row_product(y, x, w, b, n, k, ld)
        return finish_rows(y, NULL, activation, c, 1, n, n)
    if multiplier == BY_ROWS:
        rows_product(y, ld, x, k, w, ld, m, n, k)
        return finish_rows(y, b, activation, c, m, n, ld)
    if multiplier == BY_BLOCKS:
        whole = in_blocks(path, n)
        product(y, ld, x, k, False, w, ld, False, b, <real>1.0, <real>0.0, relu, m, whole, k)
        if whole < n:
            gemm(False, False, m, n - whole, k, <real>1.0, x, k, w + whole, ld, <real>0.0, y + whole, ld)
            for i in range(m):
                for j in range(whole, n):
                    z = y[i * ld + j] + b[j] if b != NULL else y[i * ld + j]
                    y[i * ld + j] = <real>0.0 if relu and z <= 0 else z
        return Status.OK if relu else finish_rows(y, NULL, activation, c, m, n, ld)
    if n == 1 and ld == n and 0 < m * k <= LARGEST_GEMV:
        gemv(m, k, x, k, w, y)
    else:
        gemm(False, False, m, n, k, <real>1.0, x, k, w, ld, <real>0.0, y, ld)
    return finish_rows(y, b, activation, c, m, n, ld)


cdef Status dense_backward(
    int path, real* dx, const real* dy, const real* w, const real* y, int activation, const double* c,
    Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, Py_ssize_t ld
) noexcept nogil:
    """OUT dx (m, k) = (dy (m, n) @ w.T) * activation'(of the layer below, whose output is y (m, k)).

    Rows of dx and y are ld apart; y may be NULL.  Where ld is not k, the activation is not row-wise.
    """
    cdef Py_ssize_t i, whole
    cdef Status status = Status.OK
    cdef Multiplier multiplier = backward_multiplier(path, m, n, ld)
    if multiplier == BY_ROWS:
        if sizeof(real) == 4 and n > CHAIN and depth_of(BY_ROWS, m, k, n) < n:
            deep_product(BY_ROWS, dx, ld, dy, n, False, w, n, True, <real>1.0, <real>0.0, m, k, n)
        elif m == 1:
            row_product_transposed(dx, dy, w, n, n, k)
        else:
            rows_product_transposed(dx, ld, dy, n, w, n, m, n, k)
    elif (
        sizeof(real) == 4 and n > CHAIN
        and deep_products(path, dx, ld, dy, n, False, w, n, True, <real>1.0, <real>0.0, m, k, n)
    ):
        pass
    elif multiplier == BY_BLOCKS:
        whole = in_blocks(path, k)
        product(dx, ld, dy, n, False, w, n, True, <const real*>NULL, <real>1.0, <real>0.0, False, m, whole, n)
        if whole < k:
            gemm(
                False, True, m, k - whole, n, <real>1.0, dy, n, w + whole * n, n, <real>0.0, dx + whole, ld
            )
    elif n == 1 and k >= 16:
        outer_product(dx, dy, w, m, k, ld)
    else:
        gemm(False, True, m, k, n, <real>1.0, dy, n, w, n, <real>0.0, dx, ld)
    if y != NULL and ld == k:
        return activation_backward(activation, c, dx, dx, y, m, k)
    if y != NULL:
        for i in range(m):
            status = activation_backward(activation, c, dx + i * ld, dx + i * ld, y + i * ld, 1, k)
    return status


cdef void weight_gradient(
    int path, real* dw, const real* x, const real* dy, real alpha, real beta,
    Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, Py_ssize_t ldx
) noexcept nogil:
    """INOUT dw (k, n) = alpha * x.T @ dy + beta * dw, over k of the ldx columns of x (m, ldx)."""
    cdef Py_ssize_t i, j, whole = in_blocks(path, n)
    cdef real factor
    if real is float:
        if m > CHAIN and deep_products(path, dw, n, x, ldx, True, dy, n, False, alpha, beta, k, n, m):
            return
    if m == 1:
        for i in range(k):
            factor = alpha * x[i]
            if beta != 0:
                for j in range(n):
                    dw[i * n + j] = factor * dy[j] + beta * dw[i * n + j]
            else:
                for j in range(n):
                    dw[i * n + j] = factor * dy[j]
        return
    if path != PathCode.BLAS:
        product(dw, n, x, ldx, True, dy, n, False, <const real*>NULL, alpha, beta, False, k, whole, m)
        if whole < n:
            gemm(True, False, k, n - whole, m, alpha, x, ldx, dy + whole, n, beta, dw + whole, n)
    else:
        gemm(True, False, k, n, m, alpha, x, ldx, dy, n, beta, dw, n)


cdef void bias_gradient(real* db, const real* dy, Py_ssize_t m, Py_ssize_t n) noexcept nogil:
    """OUT db (n,) = sum of the rows of dy (m, n)."""
    row_sums(db, dy, <real>1.0, <real>0.0, m, n)


cdef void sgd_bias(
    real* b, const real* dy, double rate, double l2, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """INOUT b -= rate * (sum of the rows of dy (m, n) + 2 l2 b)."""
    row_sums(b, dy, <real>(-rate), <real>(1.0 - 2.0 * rate * l2), m, n)


cdef void long_row_sums(
    real* c, const real* x, real alpha, real beta, Py_ssize_t m, Py_ssize_t n, Py_ssize_t ld
) noexcept nogil:
    """`row_sums` of rows that are pages apart, ld elements: much is taken from each, while it is at hand."""
    cdef real kept[256]
    cdef Py_ssize_t i, j = 0, q, width
    while j < n:
        width = min(256, n - j)
        for q in range(256):
            kept[q] = 0.0
        for i in range(m):
            for q in range(256 if width == 256 else width):     # the first is a constant
                kept[q] = kept[q] + x[i * ld + j + q]
        for q in range(width):
            c[j + q] = alpha * kept[q] + beta * c[j + q] if beta != 0 else alpha * kept[q]
        j += 256


cdef inline void row_sums(
    real* c, const real* x, real alpha, real beta, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """INOUT c (n,) = alpha * sum of the rows of x (m, n) + beta * c, up to 64 columns at a time in registers.

    Short rows are taken several at once: then lane q of `kept` belongs to column q % n.  A full set of
    lanes is read wherever the array has it; what lies past the columns at hand is added up in vain.
    """
    cdef real kept[64]
    cdef real total
    cdef Py_ssize_t i, j = 0, q, width, size = m * n, at, rows, stride
    if n == 1:
        total = sum_of(x, m)
        c[0] = alpha * total + beta * c[0] if beta != 0 else alpha * total
        return
    if real is float:
        if m > CHAIN and m > rows_in_one_go(n):
            many_row_sums(c, x, alpha, beta, m, n)
            return
    if n >= LONG_ROW:
        long_row_sums(c, x, alpha, beta, m, n, n)
        return
    rows = max(64 // max(n, 1), 1)
    stride = rows * n
    while j < n:
        width = min(64, n - j) if rows == 1 else stride
        for q in range(64):
            kept[q] = 0.0
        at = j
        while at + 64 <= size:
            for q in range(64):
                kept[q] = kept[q] + x[at + q]
            at += stride
        while at < size:
            for q in range(min(width, size - at)):
                kept[q] = kept[q] + x[at + q]
            at += stride
        for q in range(min(width, n)):
            total = kept[q]
            for i in range(1, rows):
                total += kept[i * n + q]
            c[j + q] = alpha * total + beta * c[j + q] if beta != 0 else alpha * total
        j += 64


cdef Status add_bias_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    add_bias(at[0], at[1], at[2], rows_of(bound), columns_of(bound, 0))
    return Status.OK


enter(PathCode.BLAS, OpCode.ADD_BIAS, add_bias_op[float], add_bias_op[double])


cdef inline Py_ssize_t width_of(const Bound* bound) noexcept nogil:
    """Return the columns that a tile along features has, or all."""
    return bound.n_columns if bound.n_columns else columns_of(bound, 0)


cdef Status dense_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    cdef const Op* op = bound.op
    cdef Py_ssize_t j = bound.first_column
    return dense_forward(
        op.path, at[0] + j, at[1], at[2] + j, at[3] + j if at[3] != NULL else NULL, op.activation,
        constants_of(bound),
        rows_of(bound), width_of(bound), columns_of(bound, 1), columns_of(bound, 0)
    )


enter_product(OpCode.DENSE, dense_op[float], dense_op[double])


cdef Status dense_backward_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    cdef const Op* op = bound.op
    cdef Py_ssize_t j = bound.first_column, n = columns_of(bound, 1)
    return dense_backward(
        op.path, at[0] + j, at[1], at[2] + j * n, at[3] + j if at[3] != NULL else NULL, op.activation,
        constants_of(bound), rows_of(bound), n, width_of(bound), columns_of(bound, 0)
    )


enter_product(OpCode.DENSE_BACKWARD, dense_backward_op[float], dense_backward_op[double])


cdef Status weight_gradient_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    weight_gradient(
        bound.op.path, at[0], at[1] + bound.begin, at[2], <real>1.0, <real>0.0, frame.rows,
        columns_of(bound, 0), rows_of(bound), columns_of(bound, 1)
    )
    return Status.OK


enter_product(OpCode.WEIGHT_GRADIENT, weight_gradient_op[float], weight_gradient_op[double])


cdef Status sgd_dense_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    cdef double rate = rate_of(bound, frame)
    weight_gradient(
        bound.op.path, at[0], at[1] + bound.begin, at[2], <real>(-rate),
        <real>(1.0 - 2.0 * rate * constants_of(bound)[0]), frame.rows, columns_of(bound, 0), rows_of(bound),
        columns_of(bound, 1)
    )
    return Status.OK


enter_product(OpCode.SGD_DENSE, sgd_dense_op[float], sgd_dense_op[double])


cdef Status bias_gradient_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    bias_gradient(at[0], at[1], frame.rows, columns_of(bound, 0))
    return Status.OK


enter(PathCode.BLAS, OpCode.BIAS_GRADIENT, bias_gradient_op[float], bias_gradient_op[double])


cdef Status sgd_bias_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    sgd_bias(
        at[0], at[1], rate_of(bound, frame), constants_of(bound)[0], frame.rows, columns_of(bound, 0)
    )
    return Status.OK


enter(PathCode.BLAS, OpCode.SGD_BIAS, sgd_bias_op[float], sgd_bias_op[double])
