# Further update rules, in place on `size` elements of a parameter and its state, and what comes before and
# after an update: sums of gradients over several batches, averages of weights.
# `l2` is the regulariser's factor, as in updates.pxi, where the usual rules stand.

from libc.math cimport pow, powf

cdef inline double scalar_of(const Bound* bound, const Frame* frame, int number) noexcept nogil:
    """Return one of the scalars that an op reads in the step at hand."""
    return frame.scalars[bound.op.scalars[number]]


cdef inline real power_of(real x, real exponent) noexcept nogil:
    if exponent == 0.5:
        return square_root(x)
    if real is float:
        return powf(x, exponent)
    else:
        return pow(x, exponent)


cdef void amsgrad(
    real* w, real* m, real* v, real* u, const real* dw, const double* c, double rate_, Py_ssize_t size
) noexcept nogil:
    """INOUT w, m, v, u: Adam, divided by the largest second moment; `c` are l2, beta_1, beta_2, epsilon."""
    cdef Py_ssize_t i
    cdef real rate = <real>rate_, decay = <real>(2.0 * c[0]), epsilon = <real>c[3]
    cdef real a = <real>(1.0 - c[1]), b = <real>(1.0 - c[2]), g
    for i in range(size):
        g = dw[i] + decay * w[i]
        m[i] = flushed(m[i] + a * (g - m[i]))
        v[i] = flushed(v[i] + b * (g * g - v[i]))
        u[i] = u[i] if u[i] > v[i] else v[i]
        w[i] = w[i] - rate * m[i] / (square_root(u[i]) + epsilon)


cdef void rmsprop_with(
    real* w, real* v, real* m, real* u, const real* dw, const double* c, double rate_, Py_ssize_t size
) noexcept nogil:
    """INOUT w, v, and, where they are not NULL, m and u: RMSprop, centred by m, and with momentum u.

    `c` are l2, rho, epsilon, momentum.
    """
    cdef Py_ssize_t i
    cdef real rate = <real>rate_, decay = <real>(2.0 * c[0]), epsilon = <real>c[2], mu = <real>c[3]
    cdef real keep = <real>c[1], b = <real>(1.0 - c[1]), g, square
    for i in range(size):
        g = dw[i] + decay * w[i]
        v[i] = flushed(keep * v[i] + b * (g * g))
        square = v[i] + epsilon
        if m != NULL:
            m[i] = flushed(keep * m[i] + b * g)
            square = v[i] - m[i] * m[i] + epsilon
        g = rate * g / square_root(square)
        if u != NULL:
            u[i] = flushed(mu * u[i] + g)
            g = u[i]
        w[i] = w[i] - g


cdef void adadelta(
    real* w, real* v, real* u, const real* dw, const double* c, double rate_, Py_ssize_t size
) noexcept nogil:
    """INOUT w, v, u: squares of gradients and of steps; `c` are l2, rho, epsilon."""
    cdef Py_ssize_t i
    cdef real rate = <real>rate_, decay = <real>(2.0 * c[0]), epsilon = <real>c[2]
    cdef real keep = <real>c[1], b = <real>(1.0 - c[1]), g
    for i in range(size):
        g = dw[i] + decay * w[i]
        v[i] = flushed(keep * v[i] + b * (g * g))
        g = g * square_root(u[i] + epsilon) / square_root(v[i] + epsilon)
        u[i] = flushed(keep * u[i] + b * (g * g))
        w[i] = w[i] - rate * g


cdef void adamax(
    real* w, real* m, real* u, const real* dw, const double* c, double rate_, Py_ssize_t size
) noexcept nogil:
    """INOUT w, m, u: the moment and the largest gradient; `c` are l2, beta_1, beta_2, epsilon."""
    cdef Py_ssize_t i
    cdef real rate = <real>rate_, decay = <real>(2.0 * c[0]), epsilon = <real>c[3]
    cdef real a = <real>(1.0 - c[1]), keep = <real>c[2], g, before
    for i in range(size):
        g = dw[i] + decay * w[i]
        m[i] = flushed(m[i] + a * (g - m[i]))
        g = g if g > 0 else -g
        before = keep * u[i]
        u[i] = flushed(before if before > g else g)
        w[i] = w[i] - rate * m[i] / (u[i] + epsilon)


cdef void nadam(
    real* w, real* m, real* v, const real* dw, const double* c, double moment_rate, double gradient_rate,
    double correction_, Py_ssize_t size
) noexcept nogil:
    """INOUT w, m, v: Adam with Nesterov's momentum; `c` are l2, beta_1, beta_2, epsilon."""
    cdef Py_ssize_t i
    cdef real of_moment = <real>moment_rate, of_gradient = <real>gradient_rate, epsilon = <real>c[3]
    cdef real decay = <real>(2.0 * c[0]), correction = <real>correction_
    cdef real a = <real>(1.0 - c[1]), b = <real>(1.0 - c[2]), g
    for i in range(size):
        g = dw[i] + decay * w[i]
        m[i] = flushed(m[i] + a * (g - m[i]))
        v[i] = flushed(v[i] + b * (g * g - v[i]))
        w[i] = w[i] - (of_moment * m[i] + of_gradient * g) / (square_root(correction * v[i]) + epsilon)


cdef void ftrl(
    real* w, real* v, real* u, const real* dw, const double* c, double rate_, Py_ssize_t size
) noexcept nogil:
    """INOUT w, v, u: sums of squares, linear term; `c` are l2, power, l1, strength, shrinkage, beta."""
    cdef Py_ssize_t i
    cdef real rate = <real>rate_, decay = <real>(2.0 * c[0]), exponent = <real>c[1], l1 = <real>c[2]
    cdef real ridge = <real>(2.0 * c[3] + c[5] / rate_), shrinkage = <real>(2.0 * c[4])
    cdef real g, grown, z
    if rate == 0:   # nothing changes, instead of dividing by it
        return
    for i in range(size):
        g = dw[i] + decay * w[i]
        z = v[i] + g * g
        grown = power_of(z, exponent)
        u[i] = u[i] + (g + shrinkage * w[i]) - (grown - power_of(v[i], exponent)) / rate * w[i]
        v[i] = z
        z = u[i]
        z = (l1 if z > l1 else (-l1 if z < -l1 else z)) - z
        w[i] = z / (grown / rate + ridge)


cdef void lion(
    real* w, real* m, const real* dw, const double* c, double rate_, Py_ssize_t size
) noexcept nogil:
    """INOUT w, m: steps by signs; `c` are l2, beta_1, beta_2."""
    cdef Py_ssize_t i
    cdef real rate = <real>rate_, decay = <real>(2.0 * c[0]), part = <real>c[1], rest = <real>(1.0 - c[1])
    cdef real keep = <real>c[2], b = <real>(1.0 - c[2]), g, x
    for i in range(size):
        g = dw[i] + decay * w[i]
        x = part * m[i] + rest * g
        w[i] = w[i] - rate * (<real>1.0 if x > 0 else (<real>-1.0 if x < 0 else x))  # 0 or NaN
        m[i] = flushed(keep * m[i] + b * g)


cdef void lamb(
    real* w, real* m, real* v, real* dw, const double* c, double rate_, double of_moment, double of_square,
    Py_ssize_t size
) noexcept nogil:
    """INOUT w, m, v of a whole parameter, dw destroyed: Adam's step, as long as w.

    `c` are l2, beta_1, beta_2, epsilon.
    """
    cdef Py_ssize_t i
    cdef real rate, decay = <real>(2.0 * c[0]), epsilon = <real>c[3]
    cdef real first = <real>of_moment, second = <real>of_square
    cdef real a = <real>(1.0 - c[1]), b = <real>(1.0 - c[2]), g
    cdef double length = sqrt(sum_of_squares(w, size)), step
    for i in range(size):
        g = dw[i] + decay * w[i]
        m[i] = flushed(m[i] + a * (g - m[i]))
        v[i] = flushed(v[i] + b * (g * g - v[i]))
        dw[i] = first * m[i] / (square_root(second * v[i]) + epsilon)
    step = sqrt(sum_of_squares(dw, size))
    rate = <real>(rate_ * (length / step if length > 0 and step > 0 else 1.0))
    for i in range(size):
        w[i] = w[i] - rate * dw[i]


cdef void average_weights(
    real* w, real* u, double momentum_, bint overwrite, Py_ssize_t size
) noexcept nogil:
    """INOUT u = momentum u + (1 - momentum) w, and then, if asked for, w = u."""
    cdef Py_ssize_t i
    cdef real keep = <real>momentum_, part = <real>(1.0 - momentum_)
    for i in range(size):
        u[i] = flushed(keep * u[i] + part * w[i])
    if overwrite:
        memcpy(w, u, size * sizeof(real))


cdef void add_accumulated(real* dw, const real* u, double share_, Py_ssize_t size) noexcept nogil:
    """INOUT dw = share dw + u."""
    cdef Py_ssize_t i
    cdef real share = <real>share_
    for i in range(size):
        dw[i] = share * dw[i] + u[i]


cdef Status amsgrad_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    amsgrad(at[0], at[1], at[2], at[3], at[4], constants_of(bound), rate_of(bound, frame), size_of(bound))
    return Status.OK


enter(PathCode.BLAS, OpCode.AMSGRAD, amsgrad_op[float], amsgrad_op[double])


cdef Status rmsprop_with_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    rmsprop_with(
        at[0], at[1], at[2], at[3], at[4], constants_of(bound), rate_of(bound, frame), size_of(bound)
    )
    return Status.OK


enter(PathCode.BLAS, OpCode.RMSPROP_WITH, rmsprop_with_op[float], rmsprop_with_op[double])


cdef Status adadelta_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    adadelta(at[0], at[1], at[2], at[3], constants_of(bound), rate_of(bound, frame), size_of(bound))
    return Status.OK


enter(PathCode.BLAS, OpCode.ADADELTA, adadelta_op[float], adadelta_op[double])


cdef Status adamax_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    adamax(at[0], at[1], at[2], at[3], constants_of(bound), rate_of(bound, frame), size_of(bound))
    return Status.OK


enter(PathCode.BLAS, OpCode.ADAMAX, adamax_op[float], adamax_op[double])


cdef Status nadam_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    nadam(
        at[0], at[1], at[2], at[3], constants_of(bound), scalar_of(bound, frame, 0),
        scalar_of(bound, frame, 1), scalar_of(bound, frame, 2), size_of(bound)
    )
    return Status.OK


enter(PathCode.BLAS, OpCode.NADAM, nadam_op[float], nadam_op[double])


cdef Status ftrl_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    ftrl(at[0], at[1], at[2], at[3], constants_of(bound), rate_of(bound, frame), size_of(bound))
    return Status.OK


enter(PathCode.BLAS, OpCode.FTRL, ftrl_op[float], ftrl_op[double])


cdef Status lion_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    lion(at[0], at[1], at[2], constants_of(bound), rate_of(bound, frame), size_of(bound))
    return Status.OK


enter(PathCode.BLAS, OpCode.LION, lion_op[float], lion_op[double])


cdef Status lamb_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    lamb(
        at[0], at[1], at[2], at[3], constants_of(bound), scalar_of(bound, frame, 0),
        scalar_of(bound, frame, 1), scalar_of(bound, frame, 2), size_of(bound)
    )
    return Status.OK


enter(PathCode.BLAS, OpCode.LAMB, lamb_op[float], lamb_op[double])


cdef Status average_weights_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    average_weights(
        at[0], at[1], scalar_of(bound, frame, 0), scalar_of(bound, frame, 1) != 0, size_of(bound)
    )
    return Status.OK


enter(PathCode.BLAS, OpCode.AVERAGE_WEIGHTS, average_weights_op[float], average_weights_op[double])


cdef Status add_accumulated_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    add_accumulated(at[0], at[1], constants_of(bound)[0], size_of(bound))
    return Status.OK


enter(PathCode.BLAS, OpCode.ADD_ACCUMULATED, add_accumulated_op[float], add_accumulated_op[double])


cdef Status keep_accumulated_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    """OUT u: dw, or 0 in a step that updates."""
    if scalar_of(bound, frame, 0) != 0:
        memset(at[0], 0, size_of(bound) * sizeof(real))
    else:
        memcpy(at[0], at[1], size_of(bound) * sizeof(real))
    return Status.OK


enter(PathCode.BLAS, OpCode.KEEP_ACCUMULATED, keep_accumulated_op[float], keep_accumulated_op[double])
