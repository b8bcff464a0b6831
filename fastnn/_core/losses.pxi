# Losses and metrics over the rows of a tile.  Each returns a float64 sum over rows; those with a
# gradient write it when its pointer is not NULL.  `weight` (m,) may be NULL.  `factor` is what
# the reduction multiplies a row's gradient by: 1 / rows of the batch, or 1.


cdef inline double squared_errors(
    real* dy, const real* y, const real* t, const real* weight, double factor, Py_ssize_t size
) noexcept nogil:
    """Sum of weight * (y - t)^2; OUT dy = 2 weight factor (y - t).  dy and weight (size,) may be NULL."""
    cdef double lanes[16]
    cdef double difference, w
    cdef real step = <real>(2.0 * factor)
    cdef Py_ssize_t i, j, whole = size - size % 16
    for j in range(16):
        lanes[j] = 0.0
    if weight == NULL:
        for i in range(0, whole, 16):
            for j in range(16):
                difference = <double>y[i + j] - <double>t[i + j]
                lanes[j] = lanes[j] + difference * difference
        for i in range(whole, size):
            difference = <double>y[i] - <double>t[i]
            lanes[i - whole] = lanes[i - whole] + difference * difference
        if dy != NULL:
            for i in range(size):
                dy[i] = step * (y[i] - t[i])
    else:
        for i in range(size):
            difference, w = <double>y[i] - <double>t[i], weight[i]
            lanes[0] = lanes[0] + w * (difference * difference)
        if dy != NULL:
            for i in range(size):
                dy[i] = step * weight[i] * (y[i] - t[i])
    return lane_sum(lanes)


cdef double squared_error(
    real* dy, const real* y, const real* t, const real* weight, double factor, double scale,
    Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """Sum over rows of weight * scale * sum((y - t)^2); OUT dy = 2 weight factor scale (y - t)."""
    cdef Py_ssize_t i
    cdef double total = 0.0
    cdef double w
    if weight == NULL or n == 1:
        return scale * squared_errors(dy, y, t, weight, factor * scale, m * n)
    for i in range(m):
        w = weight[i]
        total += w * squared_errors(
            dy + i * n if dy != NULL else NULL, y + i * n, t + i * n, <const real*>NULL, w * factor * scale, n
        )
    return scale * total


cdef inline Py_ssize_t label_of(const real* t, Py_ssize_t i) noexcept nogil:
    return <Py_ssize_t>t[i]


cdef double softmax_crossentropy(
    real* y, real* dx, const real* x, const real* t, const real* weight, bint sparse, double factor,
    Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """Sum over rows of weight * -sum(t * log softmax(x)).

    OUT y = softmax(x), dx = weight factor (y sum(t) - t).

    y may be x; dx may not.  t is (m, n), or (m,) labels when sparse.
    """
    cdef Py_ssize_t i, j, label
    cdef double total = 0.0, row, mass
    cdef real largest, s, scale, w
    for i in range(m):
        # The chosen scores are read before y, which may be x, is written.
        largest = maximum_of(x + i * n, n)
        row = 0.0
        if sparse:
            row = <double>largest - <double>x[i * n + label_of(t, i)]
        else:
            for j in range(n):
                # 0 * inf must not poison a row that never chooses this class.
                if t[i * n + j] != 0:
                    row += <double>t[i * n + j] * (<double>largest - <double>x[i * n + j])
        total += row * (weight[i] if weight != NULL else <real>1.0)
        for j in range(n):
            y[i * n + j] = x[i * n + j] - largest
    # One pass over all rows: short rows alone would leave vectors half empty.
    for i in range(m * n):
        y[i] = exp_of(y[i])
    for i in range(m):
        w = weight[i] if weight != NULL else <real>1.0
        mass = 1.0
        if not sparse:
            mass = 0.0
            for j in range(n):
                mass += <double>t[i * n + j]
        s = sum_of(y + i * n, n)
        total += mass * log(<double>s) * w
        s = <real>1.0 / s
        for j in range(n):
            y[i * n + j] = y[i * n + j] * s
        if dx != NULL:
            scale = <real>factor * w
            if sparse:
                label = label_of(t, i)
                for j in range(n):
                    dx[i * n + j] = scale * y[i * n + j]
                dx[i * n + label] = scale * (y[i * n + label] - <real>1.0)
            else:
                for j in range(n):
                    dx[i * n + j] = scale * (y[i * n + j] * <real>mass - t[i * n + j])
    return total


cdef double crossentropy(
    real* dy, const real* y, const real* t, const real* weight, bint sparse, double factor,
    Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """Cross-entropy of outputs that no softmax made: divided by their sum and clipped, as in Keras.

    With p = y / sum(y), rounded, as what is a bound in its dtype is not clipped: dy_j = weight factor
    (mass - t_j / p_j) / sum(y), where a clipped p_j counts as a constant and mass is the sum of the
    unclipped t.
    """
    cdef Py_ssize_t i, j, label = 0
    cdef double total = 0.0, s, p, mass, target, row
    cdef double low = <real>1e-7, high = <real>(1.0 - 1e-7)      # as Keras, in their dtype
    cdef double w
    for i in range(m):
        w = weight[i] if weight != NULL else 1.0
        s = 0.0
        for j in range(n):
            s += <double>y[i * n + j]
        s = <double><real>s
        if sparse:
            label = label_of(t, i)
        row = 0.0
        mass = 0.0
        for j in range(n):
            target = (1.0 if j == label else 0.0) if sparse else <double>t[i * n + j]
            p = <double><real>(<double>y[i * n + j] / s)
            if p < low:
                row -= target * log(low)
            elif p > high:
                row -= target * log(high)
            else:
                row -= target * log(p)      # NaN comes here and shows
                mass += target
        total += row * w
        if dy != NULL:
            for j in range(n):
                target = (1.0 if j == label else 0.0) if sparse else <double>t[i * n + j]
                p = <double><real>(<double>y[i * n + j] / s)
                if p < low or p > high:
                    dy[i * n + j] = <real>(w * factor * mass / s)
                else:
                    dy[i * n + j] = <real>(w * factor * (mass - target / p) / s)
    return total


cdef double sigmoid_crossentropy(
    real* y, real* dx, const real* x, const real* t, const real* weight, double factor,
    Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """Sum over rows of weight * mean(max(x, 0) - x t + log(1 + exp(-|x|))).

    OUT y = sigmoid(x), dx = weight factor (y - t) / n.  y may be x; dx may not.
    """
    cdef Py_ssize_t i, j, at
    cdef double total = 0.0, row, value
    cdef real w, scale
    for i in range(m):
        row = 0.0
        for j in range(n):
            value = <double>x[i * n + j]
            row += (value if value > 0 else 0.0) - value * <double>t[i * n + j] + log1p(exp(-fabs(value)))
        total += row / n * (weight[i] if weight != NULL else <real>1.0)
    sigmoid_forward(y, x, NULL, m, n)
    if dx != NULL:
        for i in range(m):
            w = weight[i] if weight != NULL else <real>1.0
            scale = <real>(factor / n) * w
            for j in range(n):
                at = i * n + j
                dx[at] = scale * (y[at] - t[at])
    return total


cdef double binary_crossentropy(
    real* dy, const real* y, const real* t, const real* weight, double factor,
    Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """Binary cross-entropy of outputs that no sigmoid made, clipped as in Keras; no slope where clipped."""
    cdef Py_ssize_t i, j, at
    cdef double total = 0.0, row, p, target, w
    cdef double low = <real>1e-7, high = <real>(1.0 - 1e-7)      # as Keras, in their dtype
    cdef bint clipped
    for i in range(m):
        w = weight[i] if weight != NULL else 1.0
        row = 0.0
        for j in range(n):
            at = i * n + j
            p = <double>y[at]
            target = <double>t[at]
            clipped = p < low or p > high
            if p < low:
                p = low
            elif p > high:
                p = high
            row -= target * log(p) + (1.0 - target) * log1p(-p)
            if dy != NULL:
                dy[at] = <real>0.0 if clipped else <real>(
                    w * factor / n * ((1.0 - target) / (1.0 - p) - target / p)
                )
        total += row / n * w
    return total


cdef double multiclass_hinge(
    real* dy, const real* y, const real* t, const real* weight, double factor, double margin,
    Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """Sum over rows of weight * sum over j != label of max(0, y_j - y_label + margin), t (m,) labels.

    OUT dy_j = weight factor where a term is positive, dy_label = minus the sum of the others.
    """
    cdef Py_ssize_t i, j, label
    cdef double total = 0.0, row, term, w
    cdef real step
    cdef Py_ssize_t count
    for i in range(m):
        w = weight[i] if weight != NULL else 1.0
        label = label_of(t, i)
        step = <real>(w * factor)
        row, count = 0.0, 0
        for j in range(n):
            term = <double>y[i * n + j] - <double>y[i * n + label] + margin
            if j != label and not term <= 0:        # NaN counts, and shows
                row += term
                count += 1
            if dy != NULL:
                dy[i * n + j] = step if j != label and term > 0 else <real>0.0
        total += row * w
        if dy != NULL:
            dy[i * n + label] = -step * <real>count
    return total


cdef double categorical_accuracy(
    const real* y, const real* t, const real* weight, bint sparse, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """Sum of the weights of rows whose first largest output stands at the label, or first largest target."""
    cdef Py_ssize_t i, j, best, label
    cdef double total = 0.0
    for i in range(m):
        best = 0
        label = label_of(t, i) if sparse else 0
        for j in range(1, n):
            if y[i * n + j] > y[i * n + best]:
                best = j
        if not sparse:
            for j in range(1, n):
                if t[i * n + j] > t[i * n + label]:
                    label = j
        if best == label:
            total += weight[i] if weight != NULL else <real>1.0
    return total


cdef double binary_accuracy(
    const real* y, const real* t, const real* weight, double threshold, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """Sum over rows of weight * the share of outputs on the target's side of the threshold."""
    cdef Py_ssize_t i, j, at
    cdef double total = 0.0, hits
    for i in range(m):
        hits = 0.0
        for j in range(n):
            at = i * n + j
            hits += 1.0 if (1.0 if y[at] > <real>threshold else 0.0) == <double>t[at] else 0.0
        total += hits * (weight[i] if weight != NULL else <real>1.0)
    return total / n


cdef double weight_total(const real* weight, Py_ssize_t m) noexcept nogil:
    cdef Py_ssize_t i
    cdef double total = 0.0
    for i in range(m):
        total += weight[i]
    return total


cdef inline double factor_of(const Bound* bound, const Frame* frame) noexcept nogil:
    """Return the factor of a row's gradient: the reduction "mean" divides by the rows of the batch, in value
    and gradient; `share` is the factor of this loss in the sum of all, and counts in the gradient only.
    """
    cdef const double* c = constants_of(bound)
    return c[1] / <double>frame.rows if c[0] != 0 else c[1]


cdef inline Status add_total(const Bound* bound, const Frame* frame, double total) noexcept nogil:
    add_to(frame.sums + bound.op.accumulator, total)
    return Status.OK


cdef Status squared_error_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    return add_total(bound, frame, squared_error(
        at[0], at[1], at[2], at[3], factor_of(bound, frame), constants_of(bound)[2], rows_of(bound),
        columns_of(bound, 1)
    ))


enter(PathCode.BLAS, OpCode.SQUARED_ERROR, squared_error_op[float], squared_error_op[double])


cdef Status crossentropy_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    return add_total(bound, frame, crossentropy(
        at[0], at[1], at[2], at[3], constants_of(bound)[2] != 0, factor_of(bound, frame), rows_of(bound),
        columns_of(bound, 1)
    ))


enter(PathCode.BLAS, OpCode.CROSSENTROPY, crossentropy_op[float], crossentropy_op[double])


cdef Status softmax_crossentropy_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    return add_total(bound, frame, softmax_crossentropy(
        at[0], at[1], at[2], at[3], at[4], constants_of(bound)[2] != 0, factor_of(bound, frame),
        rows_of(bound), columns_of(bound, 0)
    ))


enter(
    PathCode.BLAS, OpCode.SOFTMAX_CROSSENTROPY,
    softmax_crossentropy_op[float], softmax_crossentropy_op[double]
)


cdef Status binary_crossentropy_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    return add_total(bound, frame, binary_crossentropy(
        at[0], at[1], at[2], at[3], factor_of(bound, frame), rows_of(bound), columns_of(bound, 1)
    ))


enter(
    PathCode.BLAS, OpCode.BINARY_CROSSENTROPY, binary_crossentropy_op[float], binary_crossentropy_op[double]
)


cdef Status sigmoid_crossentropy_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    return add_total(bound, frame, sigmoid_crossentropy(
        at[0], at[1], at[2], at[3], at[4], factor_of(bound, frame), rows_of(bound), columns_of(bound, 0)
    ))


enter(
    PathCode.BLAS, OpCode.SIGMOID_CROSSENTROPY,
    sigmoid_crossentropy_op[float], sigmoid_crossentropy_op[double]
)


cdef Status multiclass_hinge_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    return add_total(bound, frame, multiclass_hinge(
        at[0], at[1], at[2], at[3], factor_of(bound, frame), constants_of(bound)[2], rows_of(bound),
        columns_of(bound, 1)
    ))


enter(PathCode.BLAS, OpCode.MULTICLASS_HINGE, multiclass_hinge_op[float], multiclass_hinge_op[double])


cdef Status categorical_accuracy_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    return add_total(bound, frame, categorical_accuracy(
        at[0], at[1], at[2], constants_of(bound)[0] != 0, rows_of(bound), columns_of(bound, 0)
    ))


enter(
    PathCode.BLAS, OpCode.CATEGORICAL_ACCURACY,
    categorical_accuracy_op[float], categorical_accuracy_op[double]
)


cdef Status binary_accuracy_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    return add_total(bound, frame, binary_accuracy(
        at[0], at[1], at[2], constants_of(bound)[0], rows_of(bound), columns_of(bound, 0)
    ))


enter(PathCode.BLAS, OpCode.BINARY_ACCURACY, binary_accuracy_op[float], binary_accuracy_op[double])


cdef Status weight_total_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    return add_total(bound, frame, weight_total(at[0], rows_of(bound)))


enter(PathCode.BLAS, OpCode.WEIGHT_TOTAL, weight_total_op[float], weight_total_op[double])
