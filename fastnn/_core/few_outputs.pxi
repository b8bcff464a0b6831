# Ops on the path FEW_OUTPUTS: dense layers of up to four outputs and not too many inputs.

cdef extern from "fastnn/_core/reals.h":
    int OF_NOTHING "FASTNN_ONE"
    int OF_SIGMOID "FASTNN_OF_SIGMOID"
    int OF_TANH "FASTNN_OF_TANH"
    int OF_RELU "FASTNN_OF_RELU"
    void few_forward_float "fastnn_few_forward_float"(
        float* y, const float* x, const float* w, const float* b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k
    ) noexcept nogil
    void few_forward_double "fastnn_few_forward_double"(
        double* y, const double* x, const double* w, const double* b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k
    ) noexcept nogil
    void few_backward_float "fastnn_few_backward_float"(
        float* dx, const float* dy, const float* w, const float* y, int kind, Py_ssize_t m, Py_ssize_t n,
        Py_ssize_t k
    ) noexcept nogil
    void few_backward_double "fastnn_few_backward_double"(
        double* dx, const double* dy, const double* w, const double* y, int kind, Py_ssize_t m, Py_ssize_t n,
        Py_ssize_t k
    ) noexcept nogil
    void few_gradient_float "fastnn_few_gradient_float"(
        float* dw, const float* x, const float* dy, float alpha, float beta, Py_ssize_t m, Py_ssize_t n,
        Py_ssize_t k, Py_ssize_t ldx
    ) noexcept nogil
    void few_gradient_double "fastnn_few_gradient_double"(
        double* dw, const double* x, const double* dy, double alpha, double beta, Py_ssize_t m, Py_ssize_t n,
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
    if real is float:
        few_forward_float(at[0], at[1], at[2], at[3], m, n, k)
    else:
        few_forward_double(at[0], at[1], at[2], at[3], m, n, k)
    return activation_forward(bound.op.activation, constants_of(bound), at[0], at[0], m, n)


enter(PathCode.FEW_OUTPUTS, OpCode.DENSE, few_forward_op[float], few_forward_op[double])


cdef Status few_backward_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    """OUT dx (m, k) = (dy (m, n) @ w.T) * activation'(of the layer below, whose output is y, or NULL)."""
    cdef const Op* op = bound.op
    cdef Py_ssize_t m = rows_of(bound), n = columns_of(bound, 1), k = columns_of(bound, 0)
    cdef int kind = kind_of(op.activation) if at[3] != NULL else OF_NOTHING
    if not 0 < n <= MOST_OUTPUTS or k > MOST_INPUTS or bound.n_columns:
        return Status.UNKNOWN_OP
    if real is float:
        few_backward_float(at[0], at[1], at[2], at[3], kind, m, n, k)
    else:
        few_backward_double(at[0], at[1], at[2], at[3], kind, m, n, k)
    if at[3] == NULL or kind != OF_NOTHING:
        return Status.OK
    return activation_backward(op.activation, constants_of(bound), at[0], at[0], at[3], m, k)


enter(PathCode.FEW_OUTPUTS, OpCode.DENSE_BACKWARD, few_backward_op[float], few_backward_op[double])


cdef Status few_gradient(
    real** at, const Bound* bound, const Frame* frame, double alpha, double beta
) noexcept nogil:
    """INOUT dw (k, n) = alpha * x.T @ dy + beta * dw, over a part of the columns of x."""
    cdef Py_ssize_t m = frame.rows, n = columns_of(bound, 0), k = rows_of(bound), ld = columns_of(bound, 1)
    if not 0 < n <= MOST_OUTPUTS:
        return Status.UNKNOWN_OP
    if real is float:
        few_gradient_float(at[0], at[1] + bound.begin, at[2], <float>alpha, <float>beta, m, n, k, ld)
    else:
        few_gradient_double(at[0], at[1] + bound.begin, at[2], alpha, beta, m, n, k, ld)
    return Status.OK


cdef Status few_gradient_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    return few_gradient(at, bound, frame, 1.0, 0.0)


enter(PathCode.FEW_OUTPUTS, OpCode.WEIGHT_GRADIENT, few_gradient_op[float], few_gradient_op[double])


cdef Status few_sgd_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    cdef double rate = rate_of(bound, frame)
    return few_gradient(at, bound, frame, -rate, 1.0 - 2.0 * rate * constants_of(bound)[0])


enter(PathCode.FEW_OUTPUTS, OpCode.SGD_DENSE, few_sgd_op[float], few_sgd_op[double])
