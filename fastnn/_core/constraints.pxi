# L1 penalties, and constraints: what keeps parameters within limits after an update.
# Norms are summed in float64, in an order that the sizes of a parameter alone decide.

cdef void l1_gradient(real* dw, const real* w, double l1, Py_ssize_t size) noexcept nogil:
    """INOUT dw += l1 sign(w)."""
    cdef Py_ssize_t i
    cdef real factor = <real>l1
    for i in range(size):
        dw[i] = dw[i] + factor * (<real>1.0 if w[i] > 0 else (<real>-1.0 if w[i] < 0 else w[i]))  # 0 or NaN


cdef double sum_of_sizes(const real* x, Py_ssize_t size) noexcept nogil:
    """Sum of absolute values in 16 lanes of float64."""
    cdef double lanes[16]
    cdef Py_ssize_t i, j, whole = size - size % 16
    for j in range(16):
        lanes[j] = 0.0
    for i in range(0, whole, 16):
        for j in range(16):
            lanes[j] = lanes[j] + fabs(<double>x[i + j])
    for i in range(whole, size):
        lanes[i - whole] = lanes[i - whole] + fabs(<double>x[i])
    return lane_sum(lanes)


cdef void constrain_signs(real* w, Py_ssize_t size) noexcept nogil:
    """INOUT w: 0 where it is below; NaN stays NaN."""
    cdef Py_ssize_t i
    for i in range(size):
        w[i] = <real>0.0 if w[i] < 0 else w[i]


cdef inline double factor_of_norm(double squares, const double* c) noexcept nogil:
    """Return what brings a norm between limits, or nearer to them; `c` are low, high, rate."""
    cdef double norm = sqrt(squares)
    cdef double wanted = c[0] if norm < c[0] else (c[1] if norm > c[1] else norm)
    return (c[2] * wanted + (1.0 - c[2]) * norm) / (1e-7 + norm)    # the epsilon is Keras's


cdef void constrain_norms(real* w, const double* c, Py_ssize_t height, Py_ssize_t width) noexcept nogil:
    """INOUT w (height, width): columns, rows or all of it by the norm; `c` are low, high, rate, axis.

    The axis along which is summed is 0, 1, or 2 for both.
    """
    cdef double sums[32]
    cdef Py_ssize_t i, j, first, n, rows = height
    cdef real factor
    if c[3] != 0:
        if c[3] == 2:
            rows, width = 1, height * width
        for i in range(rows):
            factor = <real>factor_of_norm(sum_of_squares(w + i * width, width), c)
            for j in range(width):
                w[i * width + j] = factor * w[i * width + j]
        return
    for first in range(0, width, 32):
        n = min(<Py_ssize_t>32, width - first)
        for j in range(n):
            sums[j] = 0.0
        for i in range(height):
            for j in range(n):
                sums[j] = sums[j] + <double>w[i * width + first + j] * <double>w[i * width + first + j]
        for j in range(n):
            sums[j] = factor_of_norm(sums[j], c)
        for i in range(height):
            for j in range(n):
                w[i * width + first + j] = <real>sums[j] * w[i * width + first + j]


cdef Status l1_penalty_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    return add_total(bound, frame, constants_of(bound)[0] * sum_of_sizes(at[0], size_of(bound)))


enter(PathCode.BLAS, OpCode.L1_PENALTY, l1_penalty_op[float], l1_penalty_op[double])


cdef Status l1_gradient_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    l1_gradient(at[0], at[1], constants_of(bound)[0], size_of(bound))
    return Status.OK


enter(PathCode.BLAS, OpCode.L1_GRADIENT, l1_gradient_op[float], l1_gradient_op[double])


cdef Status constrain_signs_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    constrain_signs(at[0], size_of(bound))
    return Status.OK


enter(PathCode.BLAS, OpCode.CONSTRAIN_SIGNS, constrain_signs_op[float], constrain_signs_op[double])


cdef Status constrain_norms_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    constrain_norms(at[0], constants_of(bound), rows_of(bound), columns_of(bound, 0))
    return Status.OK


enter(PathCode.BLAS, OpCode.CONSTRAIN_NORMS, constrain_norms_op[float], constrain_norms_op[double])
