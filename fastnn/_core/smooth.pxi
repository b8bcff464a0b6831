# Activation functions without kinks, or with one where they are an exponential; what holds in activations.pxi
# holds here.  None has a part in a fused path: they run behind the product.

cdef enum:
    SOME = 256      # of the exponentials of a row that `log_softmax_forward` holds at once

# Of SELU, as in Klambauer et al. (2017).
cdef double SELU_SCALE = 1.0507009873554804934193349852946
cdef double SELU_ALPHA = 1.7580993408473768599402175208123     # times that


cdef void selu_forward(real* y, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    cdef real scale = <real>SELU_SCALE, alpha = <real>SELU_ALPHA, z, below
    for i in range(size):
        z = x[i]
        below = alpha * expm1_of(<real>0.0 if z > 0 else z)
        y[i] = scale * z if z > 0 else below


cdef void selu_backward(
    real* dx, const real* dy, const real* y, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    cdef real scale = <real>SELU_SCALE, alpha = <real>SELU_ALPHA
    for i in range(size):
        dx[i] = dy[i] * (scale if y[i] > 0 else y[i] + alpha)


enter_activation(
    ActivationCode.SELU, selu_forward[float], selu_forward[double],
    selu_backward[float], selu_backward[double]
)


cdef void celu_forward(real* y, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    cdef real alpha = <real>c[0], z, below
    for i in range(size):
        z = x[i]
        below = alpha * expm1_of(<real>0.0 if z > 0 else z / alpha)
        y[i] = z if z > 0 else below


cdef void celu_backward(
    real* dx, const real* dy, const real* y, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    cdef real alpha = <real>c[0]
    for i in range(size):
        dx[i] = dy[i] * (<real>1.0 if y[i] > 0 else y[i] / alpha + <real>1.0)


enter_activation(
    ActivationCode.CELU, celu_forward[float], celu_forward[double],
    celu_backward[float], celu_backward[double]
)


cdef void gelu_forward(real* y, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n) noexcept nogil:
    """OUT y = x times the share of a normal distribution below x; near to that if c[0] is not 0."""
    cdef Py_ssize_t i, size = m * n
    cdef real density
    if c[0] != 0:
        for i in range(size):
            y[i] = x[i] * sigmoid_of(gelu_score(x[i]))
    else:
        for i in range(size):
            y[i] = x[i] * share_below(x[i], &density)


cdef void gelu_backward(
    real* dx, const real* dy, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    cdef real z, s, density
    if c[0] != 0:
        for i in range(size):
            z = within(x[i], <real>40.0)
            s = sigmoid_of(gelu_score(z))
            density = s * (<real>1.0 - s) * (<real>1.5957691216057308 + <real>0.21406444881780076 * (z * z))
            dx[i] = dy[i] * (s + z * density)
    else:
        for i in range(size):
            z = within(x[i], <real>40.0)
            s = share_below(z, &density)
            dx[i] = dy[i] * (s + z * density)


enter_activation(
    ActivationCode.GELU, gelu_forward[float], gelu_forward[double],
    gelu_backward[float], gelu_backward[double]
)


cdef void silu_forward(real* y, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    for i in range(size):
        y[i] = x[i] * sigmoid_of(x[i])


cdef void silu_backward(
    real* dx, const real* dy, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    cdef real z, s
    for i in range(size):
        z = within(x[i], <real>800.0)
        s = sigmoid_of(z)
        dx[i] = dy[i] * (s * (<real>1.0 + z * (<real>1.0 - s)))


enter_activation(
    ActivationCode.SILU, silu_forward[float], silu_forward[double],
    silu_backward[float], silu_backward[double]
)


cdef void mish_forward(real* y, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n) noexcept nogil:
    """OUT y = x tanh(softplus(x)), which of e = exp(-|x|) is a quotient whose terms do not cancel."""
    cdef Py_ssize_t i, size = m * n
    cdef real z, e, above, below
    for i in range(size):
        z = x[i]
        e = exp_of(-magnitude(z))
        above = <real>1.0 + <real>2.0 * e if z > 0 else e * (e + <real>2.0)
        below = above + (<real>2.0 * e * e if z > 0 else <real>2.0)
        y[i] = z * (above / below)


cdef void mish_backward(
    real* dx, const real* dy, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    cdef real z, e, above, between, below, s
    for i in range(size):
        z = within(x[i], <real>800.0)
        e = exp_of(-magnitude(z))
        above = <real>1.0 + <real>2.0 * e if z > 0 else e * (e + <real>2.0)
        between = <real>2.0 * e * e if z > 0 else <real>2.0
        below = above + between
        s = (<real>1.0 if z > 0 else e) / (<real>1.0 + e)
        dx[i] = dy[i] * (above / below + z * s * (between / below) * ((below + above) / below))


enter_activation(
    ActivationCode.MISH, mish_forward[float], mish_forward[double],
    mish_backward[float], mish_backward[double]
)


cdef void tanh_shrink_forward(
    real* y, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """OUT y = x - tanh(x), near 0 by the polynomial of tanh without its first term."""
    cdef Py_ssize_t i, size = m * n
    cdef real z, square, far
    for i in range(size):
        z = x[i]
        square = within(z, <real>1.0)
        square = square * square
        far = z - tanh_of(z)
        y[i] = far if square > <real>0.5625 else -(z * square) * tanh_rest(square)


cdef void tanh_shrink_backward(
    real* dx, const real* dy, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    cdef real t
    for i in range(size):
        t = tanh_of(x[i])
        dx[i] = dy[i] * (t * t)


enter_activation(
    ActivationCode.TANH_SHRINK, tanh_shrink_forward[float], tanh_shrink_forward[double],
    tanh_shrink_backward[float], tanh_shrink_backward[double]
)


cdef void squareplus_forward(
    real* y, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """OUT y = (x + sqrt(x^2 + b)) / 2, in a form whose terms do not cancel."""
    cdef Py_ssize_t i, size = m * n
    cdef real b = <real>c[0], half = <real>(c[0] / 2.0), z, rest
    for i in range(size):
        z = x[i]
        rest = magnitude(z) + root_of(z * z + b)
        rest = <real>0.0 if rest == 0 else half / rest
        y[i] = (<real>0.0 if z < 0 else z) + rest


cdef void squareplus_backward(
    real* dx, const real* dy, const real* y, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """OUT dx = dy y^2 / (y^2 + b / 4)."""
    cdef Py_ssize_t i, size = m * n
    cdef real quarter = <real>(c[0] / 4.0), square, slope
    for i in range(size):
        square = y[i] * y[i]
        slope = <real>1.0 / (<real>1.0 + quarter / square)
        dx[i] = dy[i] * (<real>0.0 if square == 0 else slope)


enter_activation(
    ActivationCode.SQUAREPLUS, squareplus_forward[float], squareplus_forward[double],
    squareplus_backward[float], squareplus_backward[double]
)


cdef void log_sigmoid_forward(
    real* y, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    for i in range(size):
        y[i] = -softplus_of(-x[i])


cdef void log_sigmoid_backward(
    real* dx, const real* dy, const real* y, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    for i in range(size):
        dx[i] = -dy[i] * expm1_of(y[i])


enter_activation(
    ActivationCode.LOG_SIGMOID, log_sigmoid_forward[float], log_sigmoid_forward[double],
    log_sigmoid_backward[float], log_sigmoid_backward[double]
)


cdef void log_softmax_forward(
    real* y, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """OUT y = x - max - log(sum(exp(x - max))), row by row."""
    cdef real exponentials[SOME]
    cdef Py_ssize_t r, first, i, count
    cdef const real* row
    cdef real largest, shift
    cdef double total
    for r in range(m):
        row, total = x + r * n, 0.0
        largest = maximum_of(row, n)
        first = 0
        while first < n:
            count = min(n - first, <Py_ssize_t>SOME)
            for i in range(count):
                exponentials[i] = exp_of(row[first + i] - largest)
            total += sum_of(<const real*>exponentials, count)
            first += count
        shift = <real>log(total)
        for i in range(n):
            y[r * n + i] = (row[i] - largest) - shift


cdef void log_softmax_backward(
    real* dx, const real* dy, const real* y, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """OUT dx = dy - exp(y) sum(dy), row by row."""
    cdef Py_ssize_t i, r
    cdef real total
    for r in range(m):
        total = sum_of(dy + r * n, n)
        for i in range(r * n, (r + 1) * n):
            dx[i] = dy[i] - exp_of(y[i]) * total


enter_activation(
    ActivationCode.LOG_SOFTMAX, log_softmax_forward[float], log_softmax_forward[double],
    log_softmax_backward[float], log_softmax_backward[double]
)
