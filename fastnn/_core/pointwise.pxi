# Losses of one output and its target each: a branch gives the values of a block of 16 numbers, and their
# slopes by the output, in float64; one loop does the rest for all functions.  `a` are the arguments of the
# op; of quantiles they are one for each number of the block.  The loops over a block have no calls, so that
# they are vectorised.

cdef enum:
    FIRST_ARGUMENT = 4      # among the constants of the op


cdef inline double tiny() noexcept nogil:
    """Return how far Keras keeps numbers away from 0."""
    return 1e-7


cdef inline void focal_factors(double* value, double* slope, const double* x, double gamma) noexcept nogil:
    """OUT value = x^gamma, slope = gamma x^(gamma - 1)."""
    cdef Py_ssize_t j
    cdef double logarithm
    if gamma == 2.0:
        for j in range(16):
            value[j] = x[j] * x[j]
            slope[j] = 2.0 * x[j]
    elif gamma == 0.0:
        for j in range(16):
            value[j], slope[j] = 1.0, 0.0
    else:
        for j in range(16):
            logarithm = log_anywhere(x[j])
            value[j] = exp_anywhere(gamma * logarithm)
            slope[j] = gamma * exp_anywhere((gamma - 1.0) * logarithm) if gamma != 1.0 else 1.0


cdef inline void binary_focal(
    double* value, double* slope, const double* y, const double* t, const double* a, double low, double high
) noexcept nogil:
    """OUT value = (1 - p)^gamma times the binary cross-entropy, where p is the probability of what is true.

    gamma, alpha and whether that weighs the classes are in a; what is clipped, as in Keras only in the
    cross-entropy, has no slope there.
    """
    cdef double missing[16]
    cdef double factors[16]
    cdef double derived[16]
    cdef double p, crossentropy, entropy_slope, weight
    cdef double of_one = a[1] if a[2] != 0 else 1.0, of_zero = 1.0 - a[1] if a[2] != 0 else 1.0
    cdef Py_ssize_t j
    for j in range(16):
        missing[j] = t[j] * (1.0 - y[j]) + (1.0 - t[j]) * y[j]
    focal_factors(factors, derived, missing, a[0])
    for j in range(16):
        p = low if y[j] < low else y[j]
        p = high if p > high else p
        crossentropy = -(t[j] * log_anywhere(p) + (1.0 - t[j]) * log_anywhere(1.0 - p))
        entropy_slope = (1.0 - t[j]) / (1.0 - p) - t[j] / p
        entropy_slope = 0.0 if y[j] < low else entropy_slope
        entropy_slope = 0.0 if y[j] > high else entropy_slope
        weight = t[j] * of_one + (1.0 - t[j]) * of_zero
        value[j] = weight * factors[j] * crossentropy
        slope[j] = weight * (
            derived[j] * (1.0 - 2.0 * t[j]) * crossentropy + factors[j] * entropy_slope
        )


cdef inline Status pointwise_block(
    int function, double* value, double* slope, const double* y, const double* t, const double* a,
    double low, double high
) noexcept nogil:
    """OUT value, slope: of a block."""
    cdef Py_ssize_t j
    cdef double error, output, target, power, p, q, u, v
    if function == PointwiseCode.ABSOLUTE_ERROR:        # |y - t|; the slope is its sign, 0 where it is 0
        for j in range(16):
            error = y[j] - t[j]
            value[j] = fabs(error)
            slope[j] = copysign(1.0, error) if fabs(error) > 0 else error     # NaN shows
    elif function == PointwiseCode.HUBER:       # (y - t)^2 / 2 up to an error of a, a line beyond
        p = a[0]
        for j in range(16):
            error = y[j] - t[j]
            if fabs(error) > p:
                value[j] = p * fabs(error) - 0.5 * p * p
                slope[j] = copysign(p, error)
            else:
                value[j] = 0.5 * error * error      # NaN comes here and shows
                slope[j] = error
    elif function == PointwiseCode.PERCENTAGE_ERROR:    # 100 |y - t| / max(|t|, 1e-7)
        for j in range(16):
            error = y[j] - t[j]
            target = fabs(t[j])
            target = 100.0 / (tiny() if target < tiny() else target)
            value[j] = fabs(error) * target
            slope[j] = copysign(target, error) if fabs(error) > 0 else error
    elif function == PointwiseCode.LOGARITHMIC_ERROR:
        # (log(1 + y) - log(1 + t))^2, y and t being at least 1e-7; below that there is no slope.
        for j in range(16):
            output = (tiny() if y[j] < tiny() else y[j]) + 1.0
            target = (tiny() if t[j] < tiny() else t[j]) + 1.0
            error = log_anywhere(output) - log_anywhere(target)
            value[j] = error * error
            slope[j] = 0.0 if y[j] < tiny() else 2.0 * error / output
    elif function == PointwiseCode.LOG_COSH:    # log(cosh(y - t)), whose slope is the tanh
        for j in range(16):
            error = y[j] - t[j]
            value[j] = fabs(error) + (log1p_of(exp_of(-2.0 * fabs(error))) - 0.693147180559945309)
            slope[j] = tanh_of(error)
    elif function == PointwiseCode.POISSON:     # y - t log(y + 1e-7)
        for j in range(16):
            output = y[j] + tiny()
            value[j] = y[j] - t[j] * log_anywhere(output)
            slope[j] = 1.0 - t[j] / output
    elif function == PointwiseCode.HINGE:       # max(0, 1 - t y), where a target of 0 stands for -1
        for j in range(16):
            target = -1.0 if t[j] == 0 else t[j]
            error = 1.0 - target * y[j]
            value[j] = 0.0 if error <= 0 else error
            slope[j] = 0.0 if error <= 0 else (error - error) - target     # NaN shows
    elif function == PointwiseCode.SQUARED_HINGE:       # its square
        for j in range(16):
            target = -1.0 if t[j] == 0 else t[j]
            error = 1.0 - target * y[j]
            error = 0.0 if error <= 0 else error
            value[j] = error * error
            slope[j] = -2.0 * error * target
    elif function == PointwiseCode.QUANTILE or function == PointwiseCode.QUANTILES:
        # a (t - y) where that is positive, else (1 - a) (y - t)
        for j in range(16):
            error = y[j] - t[j]
            p = 1.0 - a[j] if error > 0 else -a[j]
            value[j] = p * error
            slope[j] = p if fabs(error) > 0 else error
    elif function == PointwiseCode.GAMMA:       # 2 (log(y / t) + t / y - 1)
        for j in range(16):
            value[j] = 2.0 * (log_anywhere(y[j]) - log_anywhere(t[j]) + (t[j] - y[j]) / y[j])
            slope[j] = 2.0 * (y[j] - t[j]) / (y[j] * y[j])
    elif function == PointwiseCode.TWEEDIE:
        # 2 (t^(2 - a) / ((1 - a) (2 - a)) - t y^(1 - a) / (1 - a) + y^(2 - a) / (2 - a))
        power = a[0]
        p, q = 1.0 / (1.0 - power), 1.0 / (2.0 - power)
        for j in range(16):
            u = exp_anywhere(-power * log_anywhere(y[j]))        # y^-a
            v = exp_anywhere((2.0 - power) * log_anywhere(t[j]))
            value[j] = 2.0 * (v * p * q - t[j] * y[j] * u * p + y[j] * y[j] * u * q)
            slope[j] = 2.0 * (y[j] - t[j]) * u
    elif function == PointwiseCode.KL_DIVERGENCE:
        # t log(t / y), both kept within 1e-7 and 1; outside of that there is no slope.
        for j in range(16):
            output = tiny() if y[j] < tiny() else y[j]
            output = 1.0 if output > 1.0 else output
            target = tiny() if t[j] < tiny() else t[j]
            target = 1.0 if target > 1.0 else target
            value[j] = target * (log_anywhere(target) - log_anywhere(output))
            output = 0.0 if y[j] < tiny() else -target / output
            slope[j] = 0.0 if y[j] > 1.0 else output
    elif function == PointwiseCode.BINARY_FOCAL:
        binary_focal(value, slope, y, t, a, low, high)
    else:
        return Status.UNKNOWN_OP
    return Status.OK


cdef Status pointwise_loss(
    double* total, real* dy, const real* y, const real* t, const real* weight, int function,
    const double* arguments, double factor, double divisor, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """OUT total = sum over rows of weight * sum(value) / divisor, dy = weight factor slope / divisor.

    dy may be NULL.
    """
    cdef double lanes[16]
    cdef double outputs[16]
    cdef double targets[16]
    cdef double weights[16]
    cdef double values[16]
    cdef double slopes[16]
    cdef double by_output[16]
    cdef const double* a = arguments
    cdef double step = factor / divisor
    cdef double low = <real>1e-7, high = <real>(1.0 - 1e-7)
    cdef Py_ssize_t i, j, count, row = 0, column = 0, size = m * n
    cdef bint turning = function == PointwiseCode.QUANTILES
    cdef Status status
    for j in range(16):
        lanes[j] = 0.0
        outputs[j] = targets[j] = 0.5       # what is past the end, finite in every function
        weights[j] = 1.0
        by_output[j] = arguments[0]
    if turning or function == PointwiseCode.QUANTILE:
        a = by_output
    for i in range(0, size, 16):
        count = min(size - i, 16)
        for j in range(count):
            outputs[j], targets[j] = y[i + j], t[i + j]
        if weight != NULL or turning:
            for j in range(count):
                if weight != NULL:
                    weights[j] = weight[row]
                if turning:
                    by_output[j] = arguments[column]
                column += 1
                if column == n:
                    row, column = row + 1, 0
        status = pointwise_block(function, values, slopes, outputs, targets, a, low, high)
        if status != Status.OK:
            return status
        for j in range(count):
            lanes[j] = lanes[j] + weights[j] * values[j]
        if dy != NULL:
            for j in range(count):
                dy[i + j] = <real>(step * weights[j] * slopes[j])
    total[0] = lane_sum(lanes) / divisor
    return Status.OK


cdef Status pointwise_loss_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    cdef const double* c = constants_of(bound)
    cdef double total = 0.0
    cdef Status status = pointwise_loss(
        &total, at[0], at[1], at[2], at[3], <int>c[2], c + FIRST_ARGUMENT, factor_of(bound, frame), c[3],
        rows_of(bound), columns_of(bound, 1)
    )
    return add_total(bound, frame, total) if status == Status.OK else status


enter(PathCode.BLAS, OpCode.POINTWISE_LOSS, pointwise_loss_op[float], pointwise_loss_op[double])
