# Update rules and the L2 regulariser, in place on `size` elements of a parameter and its state.
# `l2` is the regulariser's factor: the gradient used is dw + 2 l2 w.
#
# State decays where gradients are 0, as behind a ReLU that is never active, and would stay among the
# subnormal numbers, where rounding to the nearest keeps it: processors take 100 times as long there (16
# rows through six layers of 64: 55 us a step instead of 26, once the net had learned its data).  So it
# becomes 0.

from libc.float cimport DBL_MIN, FLT_MIN

cdef void l2_gradient(real* dw, const real* w, double l2, Py_ssize_t size) noexcept nogil:
    """INOUT dw += 2 l2 w."""
    cdef Py_ssize_t i
    cdef real factor = <real>(2.0 * l2)
    for i in range(size):
        dw[i] = dw[i] + factor * w[i]


cdef void weight_decay(real* w, double rate, double decay, Py_ssize_t size) noexcept nogil:
    """INOUT w -= rate * decay * w."""
    cdef Py_ssize_t i
    cdef real keep = <real>(1.0 - rate * decay)
    for i in range(size):
        w[i] = keep * w[i]


cdef void sgd(real* w, const real* dw, double rate, double l2, Py_ssize_t size) noexcept nogil:
    """INOUT w -= rate * (dw + 2 l2 w)."""
    cdef Py_ssize_t i
    cdef real step = <real>rate, keep = <real>(1.0 - 2.0 * rate * l2)
    for i in range(size):
        w[i] = keep * w[i] - step * dw[i]


cdef void momentum(
    real* w, real* v, const real* dw, double rate, double l2, double momentum_, bint nesterov, Py_ssize_t size
) noexcept nogil:
    """INOUT v = momentum v - rate g, w += v, or w += momentum v - rate g with Nesterov."""
    cdef Py_ssize_t i
    cdef real step = <real>rate, decay = <real>(2.0 * l2), mu = <real>momentum_, change
    if nesterov:
        for i in range(size):
            change = step * (dw[i] + decay * w[i])
            v[i] = flushed(mu * v[i] - change)
            w[i] = w[i] + mu * v[i] - change
    else:
        for i in range(size):
            v[i] = flushed(mu * v[i] - step * (dw[i] + decay * w[i]))
            w[i] = w[i] + v[i]


cdef void adam(
    real* w, real* m, real* v, Py_ssize_t ld, const real* dw, Py_ssize_t lddw, const double* constants,
    double rate_, Py_ssize_t height, Py_ssize_t width
) noexcept nogil:
    """INOUT w, m, v (height, width), rows ld apart: Adam in Keras's form, rows of dw lddw apart.

    `constants` are l2, beta_1, beta_2 and epsilon; `rate_` includes the bias correction.
    """
    cdef Py_ssize_t i, r, at, begin = 0
    cdef real rate = <real>rate_, decay = <real>(2.0 * constants[0]), epsilon = <real>constants[3]
    cdef real a = <real>(1.0 - constants[1]), b = <real>(1.0 - constants[2]), g
    if real is float:
        begin = adam_vectors(w, m, v, ld, dw, lddw, rate, decay, a, b, epsilon, height, width)
    for r in range(height if begin < width else 0):
        for i in range(begin, width):
            at = r * ld + i
            g = dw[r * lddw + i] + decay * w[at]
            m[at] = flushed(m[at] + a * (g - m[at]))
            v[at] = flushed(v[at] + b * (g * g - v[at]))
            w[at] = w[at] - rate * m[at] / (square_root(v[at]) + epsilon)


cdef void rmsprop(
    real* w, real* v, const real* dw, double rate, double l2, double rho, double epsilon_, Py_ssize_t size
) noexcept nogil:
    """INOUT v = rho v + (1 - rho) g^2, w -= rate g / sqrt(v + epsilon)."""
    cdef Py_ssize_t i
    cdef real step = <real>rate, decay = <real>(2.0 * l2), epsilon = <real>epsilon_
    cdef real keep = <real>rho, b = <real>(1.0 - rho), g
    for i in range(size):
        g = dw[i] + decay * w[i]
        v[i] = flushed(keep * v[i] + b * (g * g))
        w[i] = w[i] - step * g / square_root(v[i] + epsilon)


cdef void adagrad(
    real* w, real* v, const real* dw, double rate, double l2, double epsilon_, Py_ssize_t size
) noexcept nogil:
    """INOUT v += g^2, w -= rate g / sqrt(v + epsilon)."""
    cdef Py_ssize_t i
    cdef real step = <real>rate, decay = <real>(2.0 * l2), epsilon = <real>epsilon_, g
    for i in range(size):
        g = dw[i] + decay * w[i]
        v[i] = v[i] + g * g
        w[i] = w[i] - step * g / square_root(v[i] + epsilon)


cdef inline real flushed(real x) noexcept nogil:
    """Return x, or 0 if it is subnormal; NaN stays NaN."""
    if real is float:
        return <float>0.0 if fabsf(x) < FLT_MIN else x
    else:
        return 0.0 if fabs(x) < DBL_MIN else x


cdef inline real square_root(real x) noexcept nogil:
    if real is float:
        return sqrtf(x)
    else:
        return sqrt(x)


cdef Status l2_penalty_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    return add_total(bound, frame, constants_of(bound)[0] * sum_of_squares(at[0], size_of(bound)))


enter(PathCode.BLAS, OpCode.L2_PENALTY, l2_penalty_op[float], l2_penalty_op[double])


cdef Status l2_gradient_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    l2_gradient(at[0], at[1], constants_of(bound)[0], size_of(bound))
    return Status.OK


enter(PathCode.BLAS, OpCode.L2_GRADIENT, l2_gradient_op[float], l2_gradient_op[double])


cdef Status weight_decay_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    weight_decay(at[0], rate_of(bound, frame), constants_of(bound)[0], size_of(bound))
    return Status.OK


enter(PathCode.BLAS, OpCode.WEIGHT_DECAY, weight_decay_op[float], weight_decay_op[double])


cdef Status sgd_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    sgd(at[0], at[1], rate_of(bound, frame), constants_of(bound)[0], size_of(bound))
    return Status.OK


enter(PathCode.BLAS, OpCode.SGD, sgd_op[float], sgd_op[double])


cdef Status momentum_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    cdef const double* c = constants_of(bound)
    momentum(at[0], at[1], at[2], rate_of(bound, frame), c[0], c[1], c[2] != 0, size_of(bound))
    return Status.OK


enter(PathCode.BLAS, OpCode.MOMENTUM, momentum_op[float], momentum_op[double])


cdef Status adam_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    cdef Py_ssize_t size = size_of(bound)
    adam(
        at[0], at[1], at[2], size, at[3], size, constants_of(bound), rate_of(bound, frame),
        1, size
    )
    return Status.OK


enter(PathCode.BLAS, OpCode.ADAM, adam_op[float], adam_op[double])


cdef Status rmsprop_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    cdef const double* c = constants_of(bound)
    rmsprop(at[0], at[1], at[2], rate_of(bound, frame), c[0], c[1], c[2], size_of(bound))
    return Status.OK


enter(PathCode.BLAS, OpCode.RMSPROP, rmsprop_op[float], rmsprop_op[double])


cdef Status adagrad_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    cdef const double* c = constants_of(bound)
    adagrad(at[0], at[1], at[2], rate_of(bound, frame), c[0], c[1], size_of(bound))
    return Status.OK


enter(PathCode.BLAS, OpCode.ADAGRAD, adagrad_op[float], adagrad_op[double])
