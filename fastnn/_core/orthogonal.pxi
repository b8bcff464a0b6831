# The penalty on rows or columns of a whole parameter that are not orthogonal to each other.

cdef inline double inverse_length(double squares) noexcept nogil:
    """Return what makes a vector one of length 1; as in Keras no more than 1e7."""
    cdef double inverse = 1.0 / sqrt(squares)
    return 1e7 if inverse > 1e7 else inverse


cdef void normalize_vectors(
    real* x, const real* w, bint by_columns, Py_ssize_t height, Py_ssize_t width
) noexcept nogil:
    """OUT x (height, width) = w, its rows or columns of length 1."""
    cdef double sums[32]
    cdef Py_ssize_t i, j, first, n
    cdef real factor
    if not by_columns:
        for i in range(height):
            factor = <real>inverse_length(sum_of_squares(w + i * width, width))
            for j in range(width):
                x[i * width + j] = factor * w[i * width + j]
        return
    for first in range(0, width, 32):
        n = min(<Py_ssize_t>32, width - first)
        for j in range(n):
            sums[j] = 0.0
        for i in range(height):
            for j in range(n):
                sums[j] = sums[j] + <double>w[i * width + first + j] * <double>w[i * width + first + j]
        for j in range(n):
            sums[j] = inverse_length(sums[j])
        for i in range(height):
            for j in range(n):
                x[i * width + first + j] = <real>(sums[j] * w[i * width + first + j])


cdef void add_through_lengths(
    real* dw, const real* dx, const real* x, const real* w, Py_ssize_t step, Py_ssize_t size
) noexcept nogil:
    """INOUT dw += the gradient of a vector w, whose numbers lie `step` apart, from dx of x = w / |w|."""
    cdef double squares = 0.0, along = 0.0, inverse
    cdef Py_ssize_t i, at
    for i in range(size):
        at = i * step
        squares = squares + <double>w[at] * <double>w[at]
        along = along + <double>dx[at] * <double>x[at]
    inverse = inverse_length(squares)
    if inverse == 1e7:      # it does not depend on the length
        along = 0.0
    for i in range(size):
        at = i * step
        dw[at] = dw[at] + <real>(inverse * (<double>dx[at] - along * <double>x[at]))


cdef double orthogonal_penalty(
    real* dw, const real* w, real* s, double factor, bint by_columns, Py_ssize_t height, Py_ssize_t width
) noexcept nogil:
    """Return factor times the mean of |x_i . x_j| over pairs of rows, or columns, of w, at length 1.

    INOUT dw += its gradient, or NULL; OUT s: memory for x, the products and, if need be, the gradient of x.
    """
    cdef real* x = s
    cdef real* p = s + height * width
    cdef Py_ssize_t i, j, n = width if by_columns else height
    cdef real* dx = p + n * n
    cdef real one = <real>1.0, none = <real>0.0, share
    cdef double total = 0.0, pairs = 0.5 * <double>n * (<double>n - 1.0)
    normalize_vectors(x, w, by_columns, height, width)
    deep_product(
        BY_BLAS, p, n, x, width, by_columns, x, width, not by_columns, one, none, n, n,
        height if by_columns else width
    )
    for i in range(n):
        for j in range(i + 1, n):
            total = total + fabs(<double>p[i * n + j])
    if dw == NULL:
        return factor * total / pairs
    for i in range(n):
        p[i * n + i] = none
        for j in range(i + 1, n):
            if p[i * n + j] > 0:
                p[i * n + j] = one
            elif p[i * n + j] < 0:
                p[i * n + j] = -one
            p[j * n + i] = p[i * n + j]     # 0 and NaN stay
    share = <real>(factor / pairs)
    if by_columns:
        deep_product(BY_BLAS, dx, width, x, width, False, p, n, False, share, none, height, width, n)
        for j in range(width):
            add_through_lengths(dw + j, dx + j, x + j, w + j, width, height)
    else:
        deep_product(BY_BLAS, dx, width, p, n, False, x, width, False, share, none, height, width, n)
        for i in range(height):
            j = i * width
            add_through_lengths(dw + j, dx + j, x + j, w + j, 1, width)
    return factor * total / pairs


cdef Status orthogonal_penalty_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    cdef const double* c = constants_of(bound)
    return add_total(bound, frame, orthogonal_penalty(
        at[0], at[1], at[2], c[0], c[1] != 0, rows_of(bound), columns_of(bound, 1)
    ))


enter(PathCode.BLAS, OpCode.ORTHOGONAL_PENALTY, orthogonal_penalty_op[float], orthogonal_penalty_op[double])
