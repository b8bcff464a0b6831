# Activation functions, forward and backward, on contiguous rows.
#
# Each `<name>_forward(y, x, ...)` may run in place (y == x); each `<name>_backward(dx, dy, y, ...)`
# takes the forward's output y and may run in place on dy (dx == dy).  No other overlap.

cdef void sigmoid_forward(real* y, const real* x, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i, begin = 0
    if real is float:
        begin = sigmoid_vectors(y, x, size)
    for i in range(begin, size):
        y[i] = sigmoid_of(x[i])


cdef void sigmoid_backward(real* dx, const real* dy, const real* y, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(size):
        dx[i] = dy[i] * (y[i] * (<real>1.0 - y[i]))


cdef void tanh_forward(real* y, const real* x, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i, begin = 0
    if real is float:
        begin = tanh_vectors(y, x, size)
    for i in range(begin, size):
        y[i] = tanh_of(x[i])


cdef void tanh_backward(real* dx, const real* dy, const real* y, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(size):
        dx[i] = dy[i] * (<real>1.0 - y[i] * y[i])


cdef void relu_forward(real* y, const real* x, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    cdef real z
    for i in range(size):
        z = x[i]
        y[i] = <real>0.0 if z <= 0 else z           # NaN stays NaN


cdef void relu_backward(real* dx, const real* dy, const real* y, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    cdef real upstream
    for i in range(size):
        upstream = dy[i]    # loaded in any case: a load behind a condition is not vectorised
        dx[i] = <real>0.0 if y[i] <= 0 else upstream


cdef void leaky_relu_forward(real* y, const real* x, real alpha, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    cdef real z
    for i in range(size):
        z = x[i]
        y[i] = alpha * z if z <= 0 else z


cdef void leaky_relu_backward(
    real* dx, const real* dy, const real* y, real alpha, Py_ssize_t size
) noexcept nogil:
    cdef Py_ssize_t i
    cdef real upstream
    for i in range(size):
        upstream = dy[i]
        dx[i] = alpha * upstream if y[i] <= 0 else upstream


cdef void elu_forward(real* y, const real* x, real alpha, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    cdef real z, below
    for i in range(size):
        z = x[i]
        below = alpha * expm1_of(<real>0.0 if z > 0 else z)
        y[i] = z if z > 0 else below


cdef void elu_backward(real* dx, const real* dy, const real* y, real alpha, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    cdef real upstream, below
    for i in range(size):
        upstream = dy[i]
        below = upstream * (y[i] + alpha)
        dx[i] = upstream if y[i] > 0 else below


cdef void exponential_forward(real* y, const real* x, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(size):
        y[i] = exp_anywhere(x[i])


cdef void exponential_backward(real* dx, const real* dy, const real* y, Py_ssize_t size) noexcept nogil:
    multiply(dx, dy, y, size)


cdef void reciprocal_forward(real* y, const real* x, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(size):
        y[i] = <real>1.0 / x[i]


cdef void reciprocal_backward(real* dx, const real* dy, const real* y, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(size):
        dx[i] = -dy[i] * (y[i] * y[i])


cdef void log_forward(real* y, const real* x, Py_ssize_t size) noexcept nogil:
    """The C library's logarithm; its derivative is another op, the reciprocal."""
    cdef Py_ssize_t i
    for i in range(size):
        if real is float:
            y[i] = logf(x[i])
        else:
            y[i] = log(x[i])


cdef void softplus_forward(real* y, const real* x, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(size):
        y[i] = softplus_of(x[i])


cdef void softplus_backward(real* dx, const real* dy, const real* y, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(size):
        dx[i] = -dy[i] * expm1_of(-y[i])


cdef void softmax_forward(real* y, const real* x, Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    """OUT y = exp(x - max) / sum, row by row."""
    cdef Py_ssize_t i, r
    cdef real largest, factor
    for r in range(rows):
        largest = maximum_of(x + r * columns, columns)
        for i in range(r * columns, (r + 1) * columns):
            y[i] = x[i] - largest
    # One pass over all rows: short rows alone would leave vectors half empty.
    for i in range(rows * columns):
        y[i] = exp_of(y[i])
    for r in range(rows):
        factor = <real>1.0 / sum_of(y + r * columns, columns)
        for i in range(r * columns, (r + 1) * columns):
            y[i] = y[i] * factor


cdef void softmax_backward(
    real* dx, const real* dy, const real* y, Py_ssize_t rows, Py_ssize_t columns
) noexcept nogil:
    """OUT dx = y * (dy - sum(dy * y)), row by row."""
    cdef Py_ssize_t i, r
    cdef real inner
    for r in range(rows):
        if sizeof(real) == 4 and columns > CHAIN:
            inner = inner_product_of_many(dy + r * columns, y + r * columns, columns)
        else:
            inner = 0.0
            for i in range(r * columns, (r + 1) * columns):
                inner = inner + dy[i] * y[i]
        for i in range(r * columns, (r + 1) * columns):
            dx[i] = y[i] * (dy[i] - inner)


cdef void copy_elements(real* y, const real* x, Py_ssize_t size) noexcept nogil:
    if y != x:
        memcpy(y, x, size * sizeof(real))


cdef Status activation_forward(
    int activation, double alpha, real* y, const real* x, Py_ssize_t rows, Py_ssize_t columns
) noexcept nogil:
    """OUT y = activation(x), both (rows, columns); y may be x.  `alpha` is its slope or scale."""
    if activation == ActivationCode.LINEAR:
        copy_elements(y, x, rows * columns)
    elif activation == ActivationCode.SIGMOID:
        sigmoid_forward(y, x, rows * columns)
    elif activation == ActivationCode.TANH:
        tanh_forward(y, x, rows * columns)
    elif activation == ActivationCode.RELU:
        relu_forward(y, x, rows * columns)
    elif activation == ActivationCode.SOFTMAX:
        softmax_forward(y, x, rows, columns)
    elif activation == ActivationCode.LEAKY_RELU:
        leaky_relu_forward(y, x, <real>alpha, rows * columns)
    elif activation == ActivationCode.ELU:
        elu_forward(y, x, <real>alpha, rows * columns)
    elif activation == ActivationCode.EXPONENTIAL:
        exponential_forward(y, x, rows * columns)
    elif activation == ActivationCode.RECIPROCAL:
        reciprocal_forward(y, x, rows * columns)
    elif activation == ActivationCode.LOG:
        log_forward(y, x, rows * columns)
    elif activation == ActivationCode.SOFTPLUS:
        softplus_forward(y, x, rows * columns)
    else:
        return Status.UNKNOWN_OP
    return Status.OK


cdef Status activation_backward(
    int activation, double alpha, real* dx, const real* dy, const real* y, Py_ssize_t rows, Py_ssize_t columns
) noexcept nogil:
    """OUT dx = dy * activation'(x), from y = activation(x), all (rows, columns); dx may be dy."""
    if activation == ActivationCode.LINEAR:
        copy_elements(dx, dy, rows * columns)
    elif activation == ActivationCode.SIGMOID:
        sigmoid_backward(dx, dy, y, rows * columns)
    elif activation == ActivationCode.TANH:
        tanh_backward(dx, dy, y, rows * columns)
    elif activation == ActivationCode.RELU:
        relu_backward(dx, dy, y, rows * columns)
    elif activation == ActivationCode.SOFTMAX:
        softmax_backward(dx, dy, y, rows, columns)
    elif activation == ActivationCode.LEAKY_RELU:
        leaky_relu_backward(dx, dy, y, <real>alpha, rows * columns)
    elif activation == ActivationCode.ELU:
        elu_backward(dx, dy, y, <real>alpha, rows * columns)
    elif activation == ActivationCode.EXPONENTIAL:
        exponential_backward(dx, dy, y, rows * columns)
    elif activation == ActivationCode.RECIPROCAL:
        reciprocal_backward(dx, dy, y, rows * columns)
    elif activation == ActivationCode.SOFTPLUS:
        softplus_backward(dx, dy, y, rows * columns)
    else:
        return Status.UNKNOWN_OP
    return Status.OK


cdef Status activation_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    return activation_forward(
        bound.op.activation, bound.op.alpha, at[0], at[1], rows_of(bound), columns_of(bound, 0)
    )


enter(PathCode.BLAS, OpCode.ACTIVATION, activation_op[float], activation_op[double])


cdef Status activation_backward_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    return activation_backward(
        bound.op.activation, bound.op.alpha, at[0], at[1], at[2], rows_of(bound), columns_of(bound, 0)
    )


enter(
    PathCode.BLAS, OpCode.ACTIVATION_BACKWARD, activation_backward_op[float], activation_backward_op[double]
)
