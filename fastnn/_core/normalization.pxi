# Batch normalisation: moments of features over the rows of a batch, and what is made of them.
#
# Tensors of the batch are (m, n), their rows `ld` apart; what there is one of for each feature is (n,).  Sums
# over rows are float64, in the order of the rows: of each feature by itself, so that a cut along features
# changes no bit.


cdef inline real inverse_deviation(real variance, double epsilon) noexcept nogil:
    if real is float:
        return <float>1.0 / sqrtf(variance + <float>epsilon)
    else:
        return 1.0 / sqrt(variance + epsilon)


cdef void batch_moments(
    real* mean, real* variance, const real* x, Py_ssize_t m, Py_ssize_t n, Py_ssize_t ld
) noexcept nogil:
    """OUT mean, variance (n,) of x (m, n), m at least 1; the variance is that of the batch, divided by m."""
    cdef double sums[FEATURES_AT_ONCE]
    cdef double squares[FEATURES_AT_ONCE]
    cdef double difference
    cdef const real* row
    cdef Py_ssize_t i, j, first = 0, width
    while first < n:
        width = min(n - first, <Py_ssize_t>FEATURES_AT_ONCE)
        for j in range(width):
            sums[j] = squares[j] = 0.0
        for i in range(m):
            row = x + i * ld + first
            for j in range(width):
                sums[j] = sums[j] + row[j]
        for j in range(width):
            sums[j] = sums[j] / <double>m
        for i in range(m):
            row = x + i * ld + first
            for j in range(width):
                difference = row[j] - sums[j]
                squares[j] = squares[j] + difference * difference
        for j in range(width):
            mean[first + j] = <real>sums[j]
            variance[first + j] = <real>(squares[j] / <double>m)
        first += width


cdef void normalize(
    real* y, const real* x, const real* mean, const real* variance, const real* gamma, const real* beta,
    double epsilon, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """OUT y (m, n) = gamma (x - mean) / sqrt(variance + epsilon) + beta.

    gamma may be NULL for 1, beta for 0; y may be x.
    """
    cdef real scale[FEATURES_AT_ONCE]
    cdef real shift[FEATURES_AT_ONCE]
    cdef Py_ssize_t i, j, at, first = 0, width
    while first < n:
        width = min(n - first, <Py_ssize_t>FEATURES_AT_ONCE)
        for j in range(width):
            scale[j] = inverse_deviation(variance[first + j], epsilon)
            shift[j] = <real>0.0 if beta == NULL else beta[first + j]
        if gamma != NULL:
            for j in range(width):
                scale[j] = scale[j] * gamma[first + j]
        for i in range(m):
            at = i * n + first
            for j in range(width):
                y[at + j] = (x[at + j] - mean[first + j]) * scale[j] + shift[j]
        first += width


cdef void moment_gradients(
    real* dgamma, real* dbeta, const real* dy, const real* x, const real* mean, const real* variance,
    double epsilon, Py_ssize_t m, Py_ssize_t n, Py_ssize_t ld
) noexcept nogil:
    """OUT dbeta (n,) = sums of dy (m, n) over rows; dgamma of dy (x - mean) / sqrt(variance + epsilon)."""
    cdef double sums[FEATURES_AT_ONCE]
    cdef double products[FEATURES_AT_ONCE]
    cdef double upstream
    cdef const real* row
    cdef const real* slope
    cdef Py_ssize_t i, j, first = 0, width
    while first < n:
        width = min(n - first, <Py_ssize_t>FEATURES_AT_ONCE)
        for j in range(width):
            sums[j] = products[j] = 0.0
        for i in range(m):
            row, slope = x + i * ld + first, dy + i * ld + first
            for j in range(width):
                upstream = slope[j]
                sums[j] = sums[j] + upstream
                products[j] = products[j] + upstream * (<double>row[j] - <double>mean[first + j])
        for j in range(width):
            dbeta[first + j] = <real>sums[j]
            dgamma[first + j] = <real>(products[j] / sqrt(<double>variance[first + j] + epsilon))
        first += width


cdef void normalize_backward(
    real* dx, const real* dy, const real* x, const real* mean, const real* variance, const real* gamma,
    const real* dgamma, const real* dbeta, double epsilon, Py_ssize_t rows, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """OUT dx (m, n): for moments that are given, or, with dgamma and dbeta, for those of the batch of `rows`.

    With s = gamma / sqrt(variance + epsilon) it is s dy, or s (dy - dbeta / rows - z dgamma / rows), where z
    is x normalised.  gamma may be NULL for 1, dx may be dy.
    """
    cdef real scale[FEATURES_AT_ONCE]
    cdef real shift[FEATURES_AT_ONCE]
    cdef real slope[FEATURES_AT_ONCE]
    cdef Py_ssize_t i, j, at, first = 0, width
    cdef real share = <real>(1.0 / <double>rows)
    while first < n:
        width = min(n - first, <Py_ssize_t>FEATURES_AT_ONCE)
        for j in range(width):
            scale[j] = inverse_deviation(variance[first + j], epsilon)
        if dgamma != NULL:
            for j in range(width):
                shift[j] = dbeta[first + j] * share
                slope[j] = scale[j] * dgamma[first + j] * share
        if gamma != NULL:
            for j in range(width):
                scale[j] = scale[j] * gamma[first + j]
        for i in range(m):
            at = i * n + first
            if dgamma == NULL:
                for j in range(width):
                    dx[at + j] = scale[j] * dy[at + j]
            else:
                for j in range(width):
                    dx[at + j] = scale[j] * (dy[at + j] - shift[j] - (x[at + j] - mean[first + j]) * slope[j])
        first += width


cdef void standardize(
    real* y, const real* x, const real* mean, const real* variance, double epsilon, bint invert, Py_ssize_t m,
    Py_ssize_t n
) noexcept nogil:
    """OUT y (m, n) = (x - mean) / d with d = max(sqrt(variance), epsilon), or, if `invert`, x d + mean.

    mean may be NULL for 0; y may be x.
    """
    cdef real deviation[FEATURES_AT_ONCE]
    cdef real shift[FEATURES_AT_ONCE]
    cdef Py_ssize_t i, j, at, first = 0, width
    cdef real root
    while first < n:
        width = min(n - first, <Py_ssize_t>FEATURES_AT_ONCE)
        for j in range(width):
            root = <real>sqrt(<double>variance[first + j])
            deviation[j] = <real>epsilon if root < <real>epsilon else root
            shift[j] = <real>0.0 if mean == NULL else mean[first + j]
        for i in range(m):
            at = i * n + first
            if invert:
                for j in range(width):
                    y[at + j] = shift[j] + x[at + j] * deviation[j]
            else:
                for j in range(width):
                    y[at + j] = (x[at + j] - shift[j]) / deviation[j]
        first += width


cdef Status normalize_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    """Normalise rows of a tile, or add up columns of a part of the features, from `j` on."""
    cdef const double* c = constants_of(bound)
    cdef int code = bound.op.code
    cdef Py_ssize_t m = rows_of(bound), n = columns_of(bound, 0), j = bound.first_column
    if code == OpCode.STANDARDIZE:
        standardize(at[0], at[1], at[2], at[3], c[0], c[1] != 0, m, n)
    elif code == OpCode.BATCH_MOMENTS:
        batch_moments(at[0] + j, at[1] + j, at[2] + j, frame.rows, width_of(bound), n)
    elif code == OpCode.NORMALIZE:
        normalize(at[0], at[1], at[2], at[3], at[4], at[5], c[0], m, n)
    elif code == OpCode.MOMENT_GRADIENTS:
        moment_gradients(
            at[0] + j, at[1] + j, at[2] + j, at[3] + j, at[4] + j, at[5] + j, c[0], frame.rows,
            width_of(bound), n
        )
    elif code == OpCode.NORMALIZE_BACKWARD:
        normalize_backward(at[0], at[1], at[2], at[3], at[4], at[5], at[6], at[7], c[0], frame.rows, m, n)
    elif code == OpCode.MOVING_AVERAGE:
        add(at[0], at[0], at[1], <real>c[0], <real>(1.0 - c[0]), m * n)
    else:
        return Status.UNKNOWN_OP
    return Status.OK


enter(PathCode.BLAS, OpCode.STANDARDIZE, normalize_op[float], normalize_op[double])
enter(PathCode.BLAS, OpCode.BATCH_MOMENTS, normalize_op[float], normalize_op[double])
enter(PathCode.BLAS, OpCode.NORMALIZE, normalize_op[float], normalize_op[double])
enter(PathCode.BLAS, OpCode.MOMENT_GRADIENTS, normalize_op[float], normalize_op[double])
enter(PathCode.BLAS, OpCode.NORMALIZE_BACKWARD, normalize_op[float], normalize_op[double])
enter(PathCode.BLAS, OpCode.MOVING_AVERAGE, normalize_op[float], normalize_op[double])
