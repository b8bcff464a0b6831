# Losses of a row of outputs and its targets: a function gives the value of a row in float64, and writes the
# gradient of its outputs times `step` where dy is not NULL; one loop does the rest for all functions.  `a`
# are the arguments of the op.

cdef inline double cosine_similarity(
    real* dy, const real* y, const real* t, double step, Py_ssize_t n
) noexcept nogil:
    """Minus the cosine between y and t; lengths of less than 1e-7 count as that."""
    cdef double square = sum_of_squares(y, n), along = 0.0, of_target, of_output
    cdef Py_ssize_t j
    cdef bint short = square < tiny() * tiny()
    of_target = 1.0 / sqrt(sum_of_squares(t, n))
    of_target = 1.0 / tiny() if of_target > 1.0 / tiny() else of_target
    of_output = 1.0 / tiny() if short else 1.0 / sqrt(square)
    for j in range(n):
        along += <double>y[j] * <double>t[j]
    along = along * of_output * of_target
    if dy != NULL:
        for j in range(n):
            dy[j] = <real>(step * of_output * (
                (0.0 if short else along * of_output * <double>y[j]) - of_target * <double>t[j]
            ))
    return -along


cdef inline double categorical_hinge(
    real* dy, const real* y, const real* t, double step, Py_ssize_t n
) noexcept nogil:
    """max(0, max((1 - t) y) - sum(t y) + 1); of several largest numbers the first has the slope."""
    cdef double right = 0.0, wrong, margin
    cdef double largest = -INFINITY
    cdef Py_ssize_t j, best = 0
    for j in range(n):
        right += <double>t[j] * <double>y[j]
        wrong = (1.0 - <double>t[j]) * <double>y[j]
        if not wrong <= largest:        # NaN counts, and shows in `right`
            largest, best = wrong, j
    margin = largest - right + 1.0
    if dy != NULL:
        for j in range(n):
            dy[j] = <real>0.0 if margin <= 0 else <real>((margin - margin) - step * <double>t[j])
        if not margin <= 0:
            dy[best] = dy[best] + <real>(step * (1.0 - <double>t[best]))
    return 0.0 if margin <= 0 else margin


cdef inline double focal_term(double* slope, double p, double target, const double* a) noexcept nogil:
    """alpha (1 - p)^gamma (-t log p); OUT slope by p."""
    cdef double logarithm = log_anywhere(p), rest = 1.0 - p, power, lower
    if a[0] == 2.0:
        power, lower = rest * rest, 2.0 * rest
    elif a[0] == 0.0:
        power, lower = 1.0, 0.0
    else:
        power = log_anywhere(rest)
        lower = a[0] * exp_anywhere((a[0] - 1.0) * power)
        power = exp_anywhere(a[0] * power)
    slope[0] = a[1] * target * (lower * logarithm - power / p)
    return -a[1] * target * power * logarithm


cdef inline double categorical_focal(
    real* dy, const real* y, const real* t, const double* a, double step, Py_ssize_t n
) noexcept nogil:
    """The sum of focal terms of y / sum(y), clipped as cross-entropy is; what is clipped has no slope."""
    cdef double low = <real>1e-7, high = <real>(1.0 - 1e-7)
    cdef double s = 0.0, value = 0.0, mean = 0.0, p, slope
    cdef Py_ssize_t j
    for j in range(n):
        s += <double>y[j]
    s = <double><real>s
    for j in range(n):
        p = <double><real>(<double>y[j] / s)
        value += focal_term(&slope, low if p < low else high if p > high else p, t[j], a)
        mean += 0.0 if p < low or p > high else slope * p
    if dy != NULL:
        for j in range(n):
            p = <double><real>(<double>y[j] / s)
            slope = 0.0
            if not (p < low or p > high):
                focal_term(&slope, p, t[j], a)
            dy[j] = <real>(step * (slope - mean) / s)
    return value


cdef inline double gaussian(
    real* dy, const real* y, const real* t, const double* a, double step, Py_ssize_t n
) noexcept nogil:
    """The mean of (log v + (y - t)^2 / v) / 2, v = eps + exp(s); y has n / 2 means, then as many s."""
    cdef Py_ssize_t j, k = n // 2
    cdef double value = 0.0, error, e, v
    step = step / k
    for j in range(k):
        error = <double>y[j] - <double>t[j]
        e = exp_anywhere(<double>y[k + j])
        v = e + a[0]
        value += 0.5 * (log_anywhere(v) + error * error / v)
        if dy != NULL:
            dy[j] = <real>(step * error / v)
            dy[k + j] = <real>(step * 0.5 * (1.0 - error * error / v) * (e / v))
    return value / k + (0.918938533204672742 if a[1] != 0 else 0.0)     # log(2 pi) / 2


cdef inline double tversky(
    real* dy, const real* y, const real* t, const double* a, double step, Py_ssize_t n
) noexcept nogil:
    """1 - c / (c + a0 (sum(t) - c) + a1 (sum(y) - c) + a2), c = sum(t y)."""
    cdef double common = 0.0, of_target = 0.0, of_output = 0.0, whole, share, target
    cdef Py_ssize_t j
    for j in range(n):
        common += <double>t[j] * <double>y[j]
        of_target += <double>t[j]
        of_output += <double>y[j]
    whole = common + a[0] * (of_target - common) + a[1] * (of_output - common) + a[2]
    share = common / whole
    if dy != NULL:
        for j in range(n):
            target = <double>t[j]
            dy[j] = <real>(step * (share * (target - a[0] * target + a[1] * (1.0 - target)) - target) / whole)
    return 1.0 - share


cdef inline double generalized_crossentropy(
    real* dy, const real* y, Py_ssize_t label, const double* a, double step, Py_ssize_t n
) noexcept nogil:
    """(1 - p^q) / q of the labelled output p; the slope of less than 1e-7 is that of 1e-7."""
    cdef double q = a[0], p = <double>y[label], low = tiny()
    cdef Py_ssize_t j
    if dy != NULL:
        for j in range(n):
            dy[j] = <real>0.0
        dy[label] = <real>(-step * exp_anywhere((q - 1.0) * log_anywhere(low if p < low else p)))
    return (1.0 - exp_anywhere(q * log_anywhere(p))) / q


cdef Status rowwise_loss(
    double* total, real* dy, const real* y, const real* t, const real* weight, int function,
    const double* a, double factor, Py_ssize_t m, Py_ssize_t n, Py_ssize_t n_targets
) noexcept nogil:
    """OUT total = sum over rows of weight * value, dy = weight factor slope.  dy may be NULL."""
    cdef Py_ssize_t i
    cdef double w, value
    cdef real* row
    total[0] = 0.0
    for i in range(m):
        w = weight[i] if weight != NULL else 1.0
        row = dy + i * n if dy != NULL else NULL
        if function == RowwiseCode.COSINE_SIMILARITY:
            value = cosine_similarity(row, y + i * n, t + i * n_targets, w * factor, n)
        elif function == RowwiseCode.CATEGORICAL_HINGE:
            value = categorical_hinge(row, y + i * n, t + i * n_targets, w * factor, n)
        elif function == RowwiseCode.CATEGORICAL_FOCAL:
            value = categorical_focal(row, y + i * n, t + i * n_targets, a, w * factor, n)
        elif function == RowwiseCode.GAUSSIAN:
            value = gaussian(row, y + i * n, t + i * n_targets, a, w * factor, n)
        elif function == RowwiseCode.TVERSKY:
            value = tversky(row, y + i * n, t + i * n_targets, a, w * factor, n)
        elif function == RowwiseCode.GENERALIZED_CROSSENTROPY:
            value = generalized_crossentropy(row, y + i * n, label_of(t, i), a, w * factor, n)
        else:
            return Status.UNKNOWN_OP
        total[0] += w * value
    return Status.OK


cdef Status rowwise_loss_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    cdef const double* c = constants_of(bound)
    cdef double total = 0.0
    cdef Status status = rowwise_loss(
        &total, at[0], at[1], at[2], at[3], <int>c[2], c + 3, factor_of(bound, frame), rows_of(bound),
        columns_of(bound, 1), columns_of(bound, 2)
    )
    return add_total(bound, frame, total) if status == Status.OK else status


enter(PathCode.BLAS, OpCode.ROWWISE_LOSS, rowwise_loss_op[float], rowwise_loss_op[double])
