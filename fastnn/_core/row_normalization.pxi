# Normalisation of each row by itself: its moments, what is made of them, and the way back.
#
# All tensors are (m, n) with adjacent rows; `moments` is (m, 2): of each row the mean that was taken off, and
# the number that it was multiplied by then.  Sums over a row are float64, in 16 lanes: of each row by itself,
# so that a cut along rows changes no bit.

cdef inline double sum_along(const real* x, Py_ssize_t size) noexcept nogil:
    """Sum in 16 lanes of float64."""
    cdef double lanes[16]
    cdef Py_ssize_t i, j, whole = size - size % 16
    for j in range(16):
        lanes[j] = 0.0
    for i in range(0, whole, 16):
        for j in range(16):
            lanes[j] = lanes[j] + <double>x[i + j]
    for i in range(whole, size):
        lanes[i - whole] = lanes[i - whole] + <double>x[i]
    return lane_sum(lanes)


cdef inline double squares_about(const real* x, double mean, Py_ssize_t size) noexcept nogil:
    """Sum squares of differences from the mean in 16 lanes of float64."""
    cdef double lanes[16]
    cdef double difference
    cdef Py_ssize_t i, j, whole = size - size % 16
    for j in range(16):
        lanes[j] = 0.0
    for i in range(0, whole, 16):
        for j in range(16):
            difference = <double>x[i + j] - mean
            lanes[j] = lanes[j] + difference * difference
    for i in range(whole, size):
        difference = <double>x[i] - mean
        lanes[i - whole] = lanes[i - whole] + difference * difference
    return lane_sum(lanes)


cdef inline double slope_sums(
    double* total, const real* dy, const real* x, const real* gamma, real mean, Py_ssize_t size
) noexcept nogil:
    """OUT total = the sum of gamma dy; return that of gamma dy (x - mean), both in 16 lanes of float64."""
    cdef double sums[16]
    cdef double products[16]
    cdef double slope
    cdef Py_ssize_t i, j, whole = size - size % 16
    for j in range(16):
        sums[j] = products[j] = 0.0
    for i in range(0, whole, 16):
        for j in range(16):
            slope = <double>dy[i + j]
            if gamma != NULL:
                slope = slope * <double>gamma[i + j]
            sums[j] = sums[j] + slope
            products[j] = products[j] + slope * (<double>x[i + j] - <double>mean)
    for i in range(whole, size):
        slope = <double>dy[i]
        if gamma != NULL:
            slope = slope * <double>gamma[i]
        sums[i - whole] = sums[i - whole] + slope
        products[i - whole] = products[i - whole] + slope * (<double>x[i] - <double>mean)
    total[0] = lane_sum(sums)
    return lane_sum(products)


cdef void row_normalize(
    real* y, real* moments, const real* x, const real* gamma, const real* beta, double epsilon, bint centered,
    bint averaged, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """OUT y (m, n) = gamma (x - mean) / deviation + beta, row by row; OUT moments (m, 2).

    The mean is that of the row, or 0 unless `centered`; the deviation sqrt(mean of squares + epsilon), or,
    unless `averaged`, the root of their sum, at least epsilon.  gamma may be NULL for 1, beta for 0; y may be
    x.
    """
    cdef Py_ssize_t i, j
    cdef double mean, squares
    cdef real shift, scale
    cdef real* to
    cdef const real* row
    for i in range(m):
        row, to = x + i * n, y + i * n
        mean = sum_along(row, n) / <double>n if centered else 0.0
        squares = squares_about(row, mean, n)
        if averaged:
            scale = <real>(1.0 / sqrt(squares / <double>n + epsilon))
        elif squares > epsilon * epsilon or squares != squares:
            scale = <real>(1.0 / sqrt(squares))
        else:
            scale = <real>(1.0 / epsilon)
        shift = <real>mean
        moments[2 * i], moments[2 * i + 1] = shift, scale
        if gamma == NULL and beta == NULL:
            for j in range(n):
                to[j] = (row[j] - shift) * scale
        elif beta == NULL:
            for j in range(n):
                to[j] = (row[j] - shift) * scale * gamma[j]
        elif gamma == NULL:
            for j in range(n):
                to[j] = (row[j] - shift) * scale + beta[j]
        else:
            for j in range(n):
                to[j] = (row[j] - shift) * scale * gamma[j] + beta[j]


cdef void row_normalize_backward(
    real* dx, const real* dy, const real* x, const real* moments, const real* gamma, double epsilon,
    bint centered, bint averaged, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """OUT dx (m, n), of what `row_normalize` has left in `moments` (m, 2).

    With g = gamma dy, and z for x normalised, it is (g - mean of g - z mean of g z) / deviation; unless
    `centered` without the second term, unless `averaged` with sums for means.  Where the deviation was
    epsilon it does not depend on x.  gamma may be NULL for 1, dx may be dy.
    """
    cdef Py_ssize_t i, j
    cdef double total = 0.0, product, share = 1.0 / <double>n if averaged else 1.0
    cdef real mean, scale, shift, slope, upstream
    cdef real* to
    cdef const real* row
    cdef const real* above
    for i in range(m):
        row, above, to = x + i * n, dy + i * n, dx + i * n
        mean, scale = moments[2 * i], moments[2 * i + 1]
        product = slope_sums(&total, above, row, gamma, mean, n)
        shift = <real>(total * share) if centered else <real>0.0
        slope = <real>(product * share * <double>scale * <double>scale)
        if not averaged and scale >= <real>(1.0 / epsilon):
            slope = <real>0.0
        for j in range(n):
            upstream = above[j] if gamma == NULL else above[j] * gamma[j]
            to[j] = scale * (upstream - shift - (row[j] - mean) * slope)


cdef void row_normalize_gradient(
    real* dw, const real* dy, const real* x, const real* moments, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """OUT dw (n,) = sums over rows of dy times x normalised, in float64, in the order of the rows."""
    cdef double sums[FEATURES_AT_ONCE]
    cdef double mean, scale
    cdef const real* row
    cdef const real* above
    cdef Py_ssize_t i, j, first = 0, width
    while first < n:
        width = min(n - first, <Py_ssize_t>FEATURES_AT_ONCE)
        for j in range(width):
            sums[j] = 0.0
        for i in range(m):
            row, above = x + i * n + first, dy + i * n + first
            mean, scale = <double>moments[2 * i], <double>moments[2 * i + 1]
            for j in range(width):
                sums[j] = sums[j] + <double>above[j] * ((<double>row[j] - mean) * scale)
        for j in range(width):
            dw[first + j] = <real>sums[j]
        first += width


cdef Status row_normalize_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    cdef const double* c = constants_of(bound)      # epsilon, whether centered, whether averaged
    cdef int code = bound.op.code
    cdef Py_ssize_t m = rows_of(bound), n = columns_of(bound, 0)
    if code == OpCode.ROW_NORMALIZE:
        row_normalize(at[0], at[1], at[2], at[3], at[4], c[0], c[1] != 0, c[2] != 0, m, n)
    elif code == OpCode.ROW_NORMALIZE_BACKWARD:
        row_normalize_backward(at[0], at[1], at[2], at[3], at[4], c[0], c[1] != 0, c[2] != 0, m, n)
    elif code == OpCode.ROW_NORMALIZE_GRADIENT:
        row_normalize_gradient(at[0], at[1], at[2], at[3], frame.rows, n)
    else:
        return Status.UNKNOWN_OP
    return Status.OK


enter(PathCode.BLAS, OpCode.ROW_NORMALIZE, row_normalize_op[float], row_normalize_op[double])
enter(PathCode.BLAS, OpCode.ROW_NORMALIZE_BACKWARD, row_normalize_op[float], row_normalize_op[double])
enter(PathCode.BLAS, OpCode.ROW_NORMALIZE_GRADIENT, row_normalize_op[float], row_normalize_op[double])
