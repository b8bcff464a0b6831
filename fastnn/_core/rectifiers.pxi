# Activation functions of straight pieces, other than ReLU and leaky ReLU; what holds in activations.pxi holds
# here.  None has a part in a fused path: they run behind the product.

cdef void relu6_forward(real* y, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    cdef real z
    for i in range(size):
        z = x[i]
        z = <real>0.0 if z <= 0 else z      # NaN stays NaN
        y[i] = <real>6.0 if z > 6 else z


cdef void relu6_backward(
    real* dx, const real* dy, const real* y, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    cdef real upstream
    for i in range(size):
        upstream = <real>0.0 if y[i] <= 0 else dy[i]
        dx[i] = <real>0.0 if y[i] >= 6 else upstream


enter_activation(
    ActivationCode.RELU6, relu6_forward[float], relu6_forward[double],
    relu6_backward[float], relu6_backward[double]
)


cdef void rectifier_forward(
    real* y, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """OUT y = x above a threshold, up to a maximum unless that is negative; below, a slope times the rest."""
    cdef Py_ssize_t i, size = m * n
    cdef real slope = <real>c[0], top = <real>c[1], threshold = <real>c[2], z, below
    cdef bint limited = top >= 0, flat = slope == 0
    for i in range(size):
        z = x[i]
        below = slope * (z - threshold)
        below = <real>0.0 if flat else below        # for -infinity as well
        z = below if z <= threshold else z
        y[i] = top if limited and z > top else z


cdef void rectifier_backward(
    real* dx, const real* dy, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    cdef real slope = <real>c[0], top = <real>c[1], threshold = <real>c[2], z, factor
    cdef bint limited = top >= 0
    for i in range(size):
        z = x[i]
        factor = <real>0.0 if limited and z > top else <real>1.0
        factor = <real>0.0 if z == threshold else factor
        factor = slope if z < threshold else factor
        dx[i] = dy[i] * factor


enter_activation(
    ActivationCode.RECTIFIER, rectifier_forward[float], rectifier_forward[double],
    rectifier_backward[float], rectifier_backward[double]
)


cdef void threshold_forward(
    real* y, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    cdef real threshold = <real>c[0], other = <real>c[1], z
    for i in range(size):
        z = x[i]
        y[i] = other if z <= threshold else z


cdef void threshold_backward(
    real* dx, const real* dy, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    cdef real threshold = <real>c[0], upstream
    for i in range(size):
        upstream = dy[i]
        dx[i] = <real>0.0 if x[i] <= threshold else upstream


enter_activation(
    ActivationCode.THRESHOLD, threshold_forward[float], threshold_forward[double],
    threshold_backward[float], threshold_backward[double]
)


cdef void hard_sigmoid_forward(
    real* y, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    for i in range(size):
        y[i] = hard_sigmoid_of(x[i])


cdef void hard_sigmoid_backward(
    real* dx, const real* dy, const real* y, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    cdef real upstream
    for i in range(size):
        upstream = <real>0.0 if y[i] <= 0 else dy[i] / <real>6.0
        dx[i] = <real>0.0 if y[i] >= 1 else upstream


enter_activation(
    ActivationCode.HARD_SIGMOID, hard_sigmoid_forward[float], hard_sigmoid_forward[double],
    hard_sigmoid_backward[float], hard_sigmoid_backward[double]
)


cdef void hard_silu_forward(
    real* y, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    for i in range(size):
        y[i] = x[i] * hard_sigmoid_of(x[i])


cdef void hard_silu_backward(
    real* dx, const real* dy, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    cdef real z, factor
    for i in range(size):
        z = x[i]
        factor = z / <real>3.0 + <real>0.5
        factor = <real>1.0 if z >= 3 else factor
        factor = <real>0.0 if z <= -3 else factor
        dx[i] = dy[i] * factor


enter_activation(
    ActivationCode.HARD_SILU, hard_silu_forward[float], hard_silu_forward[double],
    hard_silu_backward[float], hard_silu_backward[double]
)


cdef void hard_tanh_forward(
    real* y, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    cdef real z
    for i in range(size):
        z = x[i]
        z = <real>-1.0 if z < -1 else z
        y[i] = <real>1.0 if z > 1 else z


cdef void hard_tanh_backward(
    real* dx, const real* dy, const real* y, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    cdef real upstream
    for i in range(size):
        upstream = dy[i]
        dx[i] = <real>0.0 if magnitude(y[i]) >= 1 else upstream


enter_activation(
    ActivationCode.HARD_TANH, hard_tanh_forward[float], hard_tanh_forward[double],
    hard_tanh_backward[float], hard_tanh_backward[double]
)


cdef void sparse_plus_forward(
    real* y, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    cdef real z, curve
    for i in range(size):
        z = x[i]
        curve = <real>0.0 if z < -1 else z + <real>1.0
        curve = curve * curve / <real>4.0
        y[i] = z if z >= 1 else curve


cdef void sparse_plus_backward(
    real* dx, const real* dy, const real* y, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    cdef real factor
    for i in range(size):
        factor = <real>1.0 if y[i] > 1 else y[i]
        dx[i] = dy[i] * root_of(factor)


enter_activation(
    ActivationCode.SPARSE_PLUS, sparse_plus_forward[float], sparse_plus_forward[double],
    sparse_plus_backward[float], sparse_plus_backward[double]
)


cdef void sparse_sigmoid_forward(
    real* y, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    cdef real z
    for i in range(size):
        z = x[i] + <real>1.0
        z = <real>0.0 if z < 0 else z
        z = <real>2.0 if z > 2 else z
        y[i] = z / <real>2.0


cdef void sparse_sigmoid_backward(
    real* dx, const real* dy, const real* y, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    cdef real upstream
    for i in range(size):
        upstream = <real>0.0 if y[i] <= 0 else dy[i] / <real>2.0
        dx[i] = <real>0.0 if y[i] >= 1 else upstream


enter_activation(
    ActivationCode.SPARSE_SIGMOID, sparse_sigmoid_forward[float], sparse_sigmoid_forward[double],
    sparse_sigmoid_backward[float], sparse_sigmoid_backward[double]
)


cdef void soft_shrink_forward(
    real* y, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    cdef real threshold = <real>c[0], z, rest
    for i in range(size):
        z = x[i]
        rest = magnitude(z) - threshold
        rest = <real>0.0 if rest <= 0 else rest
        y[i] = with_sign_of(rest, z)


cdef void shrink_backward(
    real* dx, const real* dy, const real* y, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """OUT dx = dy where the output of either shrinking is not 0."""
    cdef Py_ssize_t i, size = m * n
    cdef real upstream
    for i in range(size):
        upstream = dy[i]
        dx[i] = <real>0.0 if y[i] == 0 else upstream


enter_activation(
    ActivationCode.SOFT_SHRINK, soft_shrink_forward[float], soft_shrink_forward[double],
    shrink_backward[float], shrink_backward[double]
)


cdef void hard_shrink_forward(
    real* y, const real* x, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i, size = m * n
    cdef real threshold = <real>c[0], z
    for i in range(size):
        z = x[i]
        y[i] = <real>0.0 if magnitude(z) <= threshold else z


enter_activation(
    ActivationCode.HARD_SHRINK, hard_shrink_forward[float], hard_shrink_forward[double],
    shrink_backward[float], shrink_backward[double]
)
