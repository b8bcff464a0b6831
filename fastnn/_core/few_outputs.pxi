# Ops on the path FEW_OUTPUTS: dense layers of up to four outputs and not too many inputs.

cdef extern from "fastnn/_core/reals.h":
    int OF_NOTHING "FASTNN_ONE"
    int OF_SIGMOID "FASTNN_OF_SIGMOID"
    int OF_TANH "FASTNN_OF_TANH"
    int OF_RELU "FASTNN_OF_RELU"
    # Of float or double, as the first argument says.
    void few_forward "fastnn_few_forward"(
        void* y, const void* x, const void* w, const void* b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k
    ) noexcept nogil
    void few_backward "fastnn_few_backward"(
        void* dx, const void* dy, const void* w, const void* y, int kind, Py_ssize_t m, Py_ssize_t n,
        Py_ssize_t k
    ) noexcept nogil
    void few_gradient "fastnn_few_gradient"(
        void* dw, const void* x, const void* dy, double alpha, double beta, Py_ssize_t m, Py_ssize_t n,
        Py_ssize_t k, Py_ssize_t ldx
    ) noexcept nogil


cdef inline int kind_of(int activation) noexcept nogil:
    """Return which of the derivatives in reals.h is that of an activation, or OF_NOTHING if none is."""
    if activation == ActivationCode.SIGMOID:
        return OF_SIGMOID
    if activation == ActivationCode.TANH:
        return OF_TANH
    return OF_RELU if activation == ActivationCode.RELU else OF_NOTHING


cdef Status few_forward_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    """OUT y (m, n) = activation(x (m, k) @ w (k, n) + b (n,)); b may be NULL."""
    cdef Py_ssize_t m = rows_of(bound), n = columns_of(bound, 0), k = columns_of(bound, 1)
    if not 0 < n <= MOST_OUTPUTS or k > MOST_INPUTS or bound.n_columns:
        return Status.UNKNOWN_OP
    few_forward(at[0], at[1], at[2], at[3], m, n, k)
    return activation_forward(bound.op.activation, constants_of(bound), at[0], at[0], m, n)


cdef Status few_backward_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    """OUT dx (m, k) = (dy (m, n) @ w.T) * activation'(of the layer below, whose output is y, or NULL)."""
    cdef const Op* op = bound.op
    cdef Py_ssize_t m = rows_of(bound), n = columns_of(bound, 1), k = columns_of(bound, 0)
    cdef int kind = kind_of(op.activation) if at[3] != NULL else OF_NOTHING
    if not 0 < n <= MOST_OUTPUTS or k > MOST_INPUTS or bound.n_columns:
        return Status.UNKNOWN_OP
    few_backward(at[0], at[1], at[2], at[3], kind, m, n, k)
    if at[3] == NULL or kind != OF_NOTHING:
        return Status.OK
    return activation_backward(op.activation, constants_of(bound), at[0], at[0], at[3], m, k)


cdef Status few_gradient_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    """INOUT dw (k, n) = alpha * x.T @ dy + beta * dw, over a part of the columns of x; SGD_DENSE updates."""
    cdef Py_ssize_t m = frame.rows, n = columns_of(bound, 0), k = rows_of(bound), ld = columns_of(bound, 1)
    cdef double alpha = 1.0, beta = 0.0
    if not 0 < n <= MOST_OUTPUTS:
        return Status.UNKNOWN_OP
    if bound.op.code == OpCode.SGD_DENSE:
        alpha = -rate_of(bound, frame)
        beta = 1.0 + 2.0 * alpha * constants_of(bound)[0]
    few_gradient(at[0], at[1] + bound.begin, at[2], <real>alpha, <real>beta, m, n, k, ld)
    return Status.OK


enter(PathCode.FEW_OUTPUTS, OpCode.DENSE, few_forward_op[float], few_forward_op[double])
enter(PathCode.FEW_OUTPUTS, OpCode.DENSE_BACKWARD, few_backward_op[float], few_backward_op[double])
enter(PathCode.FEW_OUTPUTS, OpCode.WEIGHT_GRADIENT, few_gradient_op[float], few_gradient_op[double])
enter(PathCode.FEW_OUTPUTS, OpCode.SGD_DENSE, few_gradient_op[float], few_gradient_op[double])
