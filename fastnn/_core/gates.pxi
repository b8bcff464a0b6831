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
