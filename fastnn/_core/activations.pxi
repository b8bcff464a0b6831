# Activation functions, forward and backward, on contiguous rows, (m, n), and their table.
#
# Each `<name>_forward(y, x, c, m, n)` may run in place (y == x); each `<name>_backward(dx, dy, y, ...)` takes
# the forward's output y, or, where `needs_input` says so, its input x, and may run in place on dy (dx == dy).
# No other overlap.  `c` are the numbers of those that have some, such as a slope.

cdef void enter_activation(
    int activation, FloatForward float_forward, DoubleForward double_forward, FloatBackward float_backward,
    DoubleBackward double_backward
) noexcept nogil:
    """Say what computes an activation and its derivative."""
    TABLE.float_forward[activation] = float_forward
    TABLE.double_forward[activation] = double_forward
    TABLE.float_backward[activation] = float_backward
    TABLE.double_backward[activation] = double_backward


cdef void copy_elements(real* y, const real* x, Py_ssize_t size) noexcept nogil:
    if y != x:
        memcpy(y, x, size * sizeof(real))


cdef void linear_forward(real* y, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n) noexcept nogil:
    copy_elements(y, x, m * n)


cdef void linear_backward(
    real* dx, const real* dy, const real* y, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    copy_elements(dx, dy, m * n)


enter_activation(
    ActivationCode.LINEAR, linear_forward[float], linear_forward[double],
    linear_backward[float], linear_backward[double]
)


cdef void sigmoid_forward(real* y, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i, begin = 0, size = m * n
    if real is float:
        begin = sigmoid_vectors(y, x, size)
    for i in range(begin, size):
        y[i] = sigmoid_of(x[i])


cdef void sigmoid_backward(
    real* dx, const real* dy, const real* y, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    for i in range(size):
        dx[i] = dy[i] * (y[i] * (<real>1.0 - y[i]))


enter_activation(
    ActivationCode.SIGMOID, sigmoid_forward[float], sigmoid_forward[double],
    sigmoid_backward[float], sigmoid_backward[double]
)


cdef void tanh_forward(real* y, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i, begin = 0, size = m * n
    if real is float:
        begin = tanh_vectors(y, x, size)
    for i in range(begin, size):
        y[i] = tanh_of(x[i])


cdef void tanh_backward(
    real* dx, const real* dy, const real* y, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    for i in range(size):
        dx[i] = dy[i] * (<real>1.0 - y[i] * y[i])


enter_activation(
    ActivationCode.TANH, tanh_forward[float], tanh_forward[double],
    tanh_backward[float], tanh_backward[double]
)


cdef void relu_forward(real* y, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    cdef real z
    for i in range(size):
        z = x[i]
        y[i] = <real>0.0 if z <= 0 else z           # NaN stays NaN


cdef void relu_backward(
    real* dx, const real* dy, const real* y, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    cdef real upstream
    for i in range(size):
        upstream = dy[i]    # loaded in any case: a load behind a condition is not vectorised
        dx[i] = <real>0.0 if y[i] <= 0 else upstream


enter_activation(
    ActivationCode.RELU, relu_forward[float], relu_forward[double],
    relu_backward[float], relu_backward[double]
)


cdef void leaky_relu_forward(
    real* y, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    cdef real z, alpha = <real>c[0]
    for i in range(size):
        z = x[i]
        y[i] = alpha * z if z <= 0 else z


cdef void leaky_relu_backward(
    real* dx, const real* dy, const real* y, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    cdef real upstream, alpha = <real>c[0]
    for i in range(size):
        upstream = dy[i]
        dx[i] = alpha * upstream if y[i] <= 0 else upstream


enter_activation(
    ActivationCode.LEAKY_RELU, leaky_relu_forward[float], leaky_relu_forward[double],
    leaky_relu_backward[float], leaky_relu_backward[double]
)


cdef void elu_forward(real* y, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    cdef real z, below, alpha = <real>c[0]
    for i in range(size):
        z = x[i]
        below = alpha * expm1_of(<real>0.0 if z > 0 else z)
        y[i] = z if z > 0 else below


cdef void elu_backward(
    real* dx, const real* dy, const real* y, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    cdef real upstream, below, alpha = <real>c[0]
    for i in range(size):
        upstream = dy[i]
        below = upstream * (y[i] + alpha)
        dx[i] = upstream if y[i] > 0 else below


enter_activation(
    ActivationCode.ELU, elu_forward[float], elu_forward[double],
    elu_backward[float], elu_backward[double]
)


cdef void exponential_forward(
    real* y, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    for i in range(size):
        y[i] = exp_anywhere(x[i])


cdef void exponential_backward(
    real* dx, const real* dy, const real* y, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    multiply(dx, dy, y, m * n)


enter_activation(
    ActivationCode.EXPONENTIAL, exponential_forward[float], exponential_forward[double],
    exponential_backward[float], exponential_backward[double]
)


cdef void reciprocal_forward(
    real* y, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    for i in range(size):
        y[i] = <real>1.0 / x[i]


cdef void reciprocal_backward(
    real* dx, const real* dy, const real* y, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    for i in range(size):
        dx[i] = -dy[i] * (y[i] * y[i])


enter_activation(
    ActivationCode.RECIPROCAL, reciprocal_forward[float], reciprocal_forward[double],
    reciprocal_backward[float], reciprocal_backward[double]
)


cdef void log_forward(real* y, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n) noexcept nogil:
    """The C library's logarithm."""
    cdef Py_ssize_t i, size = m * n
    for i in range(size):
        if real is float:
            y[i] = logf(x[i])
        else:
            y[i] = log(x[i])


cdef void log_backward(
    real* dx, const real* dy, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    for i in range(size):
        dx[i] = dy[i] / x[i]


enter_activation(
    ActivationCode.LOG, log_forward[float], log_forward[double],
    log_backward[float], log_backward[double]
)


cdef void softplus_forward(
    real* y, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    for i in range(size):
        y[i] = softplus_of(x[i])


cdef void softplus_backward(
    real* dx, const real* dy, const real* y, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    for i in range(size):
        dx[i] = -dy[i] * expm1_of(-y[i])


enter_activation(
    ActivationCode.SOFTPLUS, softplus_forward[float], softplus_forward[double],
    softplus_backward[float], softplus_backward[double]
)


cdef void softsign_forward(
    real* y, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    for i in range(size):
        y[i] = x[i] / (<real>1.0 + magnitude(x[i]))


cdef void softsign_backward(
    real* dx, const real* dy, const real* y, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    cdef real rest
    for i in range(size):
        rest = <real>1.0 - magnitude(y[i])
        dx[i] = dy[i] * rest * rest


enter_activation(
    ActivationCode.SOFTSIGN, softsign_forward[float], softsign_forward[double],
    softsign_backward[float], softsign_backward[double]
)


cdef void softmax_forward(real* y, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n) noexcept nogil:
    """OUT y = exp(x - max) / sum, row by row."""
    cdef Py_ssize_t i, r
    cdef real largest, factor
    for r in range(m):
        largest = maximum_of(x + r * n, n)
        for i in range(r * n, (r + 1) * n):
            y[i] = x[i] - largest
    # One pass over all rows: short rows alone would leave vectors half empty.
    for i in range(m * n):
        y[i] = exp_of(y[i])
    for r in range(m):
        factor = <real>1.0 / sum_of(y + r * n, n)
        for i in range(r * n, (r + 1) * n):
            y[i] = y[i] * factor


cdef void softmax_backward(
    real* dx, const real* dy, const real* y, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """OUT dx = y * (dy - sum(dy * y)), row by row."""
    cdef Py_ssize_t i, r
    cdef real inner
    for r in range(m):
        if sizeof(real) == 4 and n > CHAIN:
            inner = inner_product_of_many(dy + r * n, y + r * n, n)
        else:
            inner = 0.0
            for i in range(r * n, (r + 1) * n):
                inner = inner + dy[i] * y[i]
        for i in range(r * n, (r + 1) * n):
            dx[i] = y[i] * (dy[i] - inner)


enter_activation(
    ActivationCode.SOFTMAX, softmax_forward[float], softmax_forward[double],
    softmax_backward[float], softmax_backward[double]
)


cdef Status activation_forward(
    int activation, const double* c, real* y, const real* x, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """OUT y = activation(x), both (m, n); y may be x."""
    if not 0 <= activation < MAX_ACTIVATIONS:
        return Status.UNKNOWN_OP
    if real is float:
        if TABLE.float_forward[activation] == NULL:
            return Status.UNKNOWN_OP
        TABLE.float_forward[activation](y, x, c, m, n)
    else:
        if TABLE.double_forward[activation] == NULL:
            return Status.UNKNOWN_OP
        TABLE.double_forward[activation](y, x, c, m, n)
    return Status.OK


cdef Status activation_backward(
    int activation, const double* c, real* dx, const real* dy, const real* y, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """OUT dx = dy * activation'(x), given y = activation(x), or x, all (m, n); dx may be dy."""
    if not 0 <= activation < MAX_ACTIVATIONS:
        return Status.UNKNOWN_OP
    if real is float:
        if TABLE.float_backward[activation] == NULL:
            return Status.UNKNOWN_OP
        TABLE.float_backward[activation](dx, dy, y, c, m, n)
    else:
        if TABLE.double_backward[activation] == NULL:
            return Status.UNKNOWN_OP
        TABLE.double_backward[activation](dx, dy, y, c, m, n)
    return Status.OK


cdef Status activation_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    return activation_forward(
        bound.op.activation, constants_of(bound), at[0], at[1], rows_of(bound), columns_of(bound, 0)
    )


enter(PathCode.BLAS, OpCode.ACTIVATION, activation_op[float], activation_op[double])


cdef Status activation_backward_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    return activation_backward(
        bound.op.activation, constants_of(bound), at[0], at[1], at[2], rows_of(bound), columns_of(bound, 0)
    )


enter(
    PathCode.BLAS, OpCode.ACTIVATION_BACKWARD, activation_backward_op[float], activation_backward_op[double]
)
