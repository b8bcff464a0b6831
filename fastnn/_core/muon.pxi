# Muon: steps of matrices whose singular values are brought near 1, by products of whole parameters.

cdef void orthogonalize(
    real** x_, real** next_, real* p, real* q, double a_, double b_, double c_, Py_ssize_t steps,
    Py_ssize_t height, Py_ssize_t width
) noexcept nogil:
    """INOUT x (height, width) = a x + (b p + c p p) x with p = x x.T, `steps` times (Newton-Schulz).

    Of a tall x it is the transpose that this is done to.  `next` is as large, p and q are square, of the
    smaller side; all of these are destroyed.  x and `next` may have changed places at the end.
    """
    cdef real a = <real>a_, b = <real>b_, c = <real>c_, one = <real>1.0, none = <real>0.0
    cdef Py_ssize_t i, k = min(height, width), size = height * width
    cdef bint tall = height > width
    cdef real* x
    cdef real* other
    for i in range(steps):
        x, other = x_[0], next_[0]
        deep_product(
            BY_BLAS, p, k, x, width, tall, x, width, not tall, one, none, k, k, height if tall else width
        )
        memcpy(q, p, k * k * sizeof(real))
        deep_product(BY_BLAS, q, k, p, k, False, p, k, False, c, b, k, k, k)
        memcpy(other, x, size * sizeof(real))
        if tall:    # q is symmetric
            deep_product(BY_BLAS, other, width, x, width, False, q, k, False, one, a, height, width, k)
        else:
            deep_product(BY_BLAS, other, width, q, k, False, x, width, False, one, a, height, width, k)
        x_[0], next_[0] = other, x


cdef void muon(
    real* w, real* m, real* dw, real* s, const double* constants, double rate_, Py_ssize_t height,
    Py_ssize_t width
) noexcept nogil:
    """INOUT w, m (height, width) of a whole parameter, dw becomes the step; OUT s: memory for the products.

    `constants` are l2, momentum, nesterov, a, b, c, steps, rms_rate, which is negative where the step is not
    scaled by the larger side.
    """
    cdef const double* c = constants
    cdef Py_ssize_t i, k = min(height, width), size = height * width
    cdef real decay = <real>(2.0 * c[0]), mu = <real>c[1], factor, g
    cdef bint nesterov = c[2] != 0
    cdef real* x = dw
    cdef real* other = s
    for i in range(size):
        g = dw[i] + decay * w[i]
        m[i] = flushed(mu * m[i] + g)
        dw[i] = g + mu * m[i] if nesterov else m[i]
    factor = <real>(1.0 / (sqrt(sum_of_squares(x, size)) + 1e-7))   # the epsilon is Keras's
    for i in range(size):
        x[i] = factor * x[i]
    orthogonalize(
        &x, &other, s + size, s + size + k * k, c[3], c[4], c[5], <Py_ssize_t>c[6], height, width
    )
    factor = <real>(rate_ * (sqrt(<double>max(height, width)) * c[7] if c[7] >= 0 else 1.0))
    for i in range(size):
        w[i] = w[i] - factor * x[i]
    if x != dw:
        memcpy(dw, x, size * sizeof(real))


cdef Status muon_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    muon(
        at[0], at[1], at[2], at[3], constants_of(bound), rate_of(bound, frame), rows_of(bound),
        columns_of(bound, 0)
    )
    return Status.OK


enter(PathCode.BLAS, OpCode.MUON, muon_op[float], muon_op[double])
