# Losses of one output and its target each: a function gives the values of a block of numbers, and their
# slopes by the output, in float64; one loop does the rest for all functions.

cdef inline void absolute_error(
    double* value, double* slope, const double* y, const double* t, double parameter
) noexcept nogil:
    """OUT value = |y - t|; slope is its sign, 0 where it is 0."""
    cdef Py_ssize_t j
    cdef double error
    for j in range(16):
        error = y[j] - t[j]
        value[j] = fabs(error)
        slope[j] = copysign(1.0, error) if error > 0 or error < 0 else error     # NaN shows


cdef inline void huber(
    double* value, double* slope, const double* y, const double* t, double delta
) noexcept nogil:
    """OUT value = (y - t)^2 / 2 up to an error of delta, a line beyond."""
    cdef Py_ssize_t j
    cdef double error
    for j in range(16):
        error = y[j] - t[j]
        if fabs(error) > delta:
            value[j] = delta * fabs(error) - 0.5 * delta * delta
            slope[j] = copysign(delta, error)
        else:
            value[j] = 0.5 * error * error      # NaN comes here and shows
            slope[j] = error


cdef inline Status pointwise_block(
    int function, double* value, double* slope, const double* y, const double* t, double parameter
) noexcept nogil:
    if function == PointwiseCode.ABSOLUTE_ERROR:
        absolute_error(value, slope, y, t, parameter)
    elif function == PointwiseCode.HUBER:
        huber(value, slope, y, t, parameter)
    else:
        return Status.UNKNOWN_OP
    return Status.OK


cdef Status pointwise_loss(
    double* total, real* dy, const real* y, const real* t, const real* weight, int function, double parameter,
    double factor, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """OUT total = sum over rows of weight * mean(value), dy = weight factor slope / n.  dy may be NULL."""
    cdef double lanes[16]
    cdef double outputs[16]
    cdef double targets[16]
    cdef double weights[16]
    cdef double values[16]
    cdef double slopes[16]
    cdef double step = factor / n
    cdef Py_ssize_t i, j, count, row = 0, column = 0, size = m * n
    cdef Status status
    for j in range(16):
        lanes[j] = outputs[j] = targets[j] = 0.0
        weights[j] = 1.0
    for i in range(0, size, 16):
        count = min(size - i, 16)
        for j in range(count):
            outputs[j], targets[j] = y[i + j], t[i + j]
        if weight != NULL:
            for j in range(count):
                weights[j] = weight[row]
                column += 1
                if column == n:
                    row, column = row + 1, 0
        status = pointwise_block(function, values, slopes, outputs, targets, parameter)
        if status != Status.OK:
            return status
        for j in range(count):
            lanes[j] = lanes[j] + weights[j] * values[j]
        if dy != NULL:
            for j in range(count):
                dy[i + j] = <real>(step * weights[j] * slopes[j])
    total[0] = lane_sum(lanes) / n
    return Status.OK


cdef Status pointwise_loss_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    cdef const double* c = constants_of(bound)
    cdef double total = 0.0
    cdef Status status = pointwise_loss(
        &total, at[0], at[1], at[2], at[3], <int>c[2], c[3], factor_of(bound, frame), rows_of(bound),
        columns_of(bound, 1)
    )
    return add_total(bound, frame, total) if status == Status.OK else status


enter(PathCode.BLAS, OpCode.POINTWISE_LOSS, pointwise_loss_op[float], pointwise_loss_op[double])
