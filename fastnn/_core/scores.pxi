# What other metrics are made of: how often outputs are right, classes confused, hits and moments by column.
# All add to `sums` of a tile, which begin at 0; `weight` (m,) may be NULL.


cdef inline double weight_of(const real* weight, Py_ssize_t i) noexcept nogil:
    return <double>weight[i] if weight != NULL else 1.0


cdef inline Py_ssize_t first_largest(const real* y, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j, best = 0
    for j in range(1, n):
        if y[j] > y[best]:
            best = j
    return best


cdef double exact_accuracy(
    const real* y, const real* t, const real* weight, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """Sum over rows of weight * the share of outputs that equal their targets."""
    cdef Py_ssize_t i, j, hits
    cdef double total = 0.0
    for i in range(m):
        hits = 0
        for j in range(i * n, i * n + n):
            hits += y[j] == t[j]
        total += hits * weight_of(weight, i)
    return total / n


cdef Status exact_accuracy_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    return add_total(bound, frame, exact_accuracy(
        at[0], at[1], at[2], rows_of(bound), columns_of(bound, 0)
    ))


enter(PathCode.BLAS, OpCode.EXACT_ACCURACY, exact_accuracy_op[float], exact_accuracy_op[double])


cdef double top_k_accuracy(
    const real* y, const real* t, const real* weight, bint sparse, Py_ssize_t k, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """Sum of the weights of rows in which fewer than k outputs are larger than that of the target's class."""
    cdef Py_ssize_t i, j, label, larger
    cdef double total = 0.0
    for i in range(m):
        label = label_of(t, i) if sparse else first_largest(t + i * n, n)
        larger = 0
        for j in range(n):
            larger += not y[i * n + j] <= y[i * n + label]      # NaN is in no row's best
        if larger < k:
            total += weight_of(weight, i)
    return total


cdef Status top_k_accuracy_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    cdef const double* c = constants_of(bound)
    return add_total(bound, frame, top_k_accuracy(
        at[0], at[1], at[2], c[0] != 0, <Py_ssize_t>c[1], rows_of(bound), columns_of(bound, 0)
    ))


enter(PathCode.BLAS, OpCode.TOP_K_ACCURACY, top_k_accuracy_op[float], top_k_accuracy_op[double])


cdef void class_hits(
    double* sums, const real* y, const real* t, const real* weight, double threshold, bint largest,
    Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """INOUT sums (3, n), by column: weight * t of what is found, weight of what is found, weight * t of all.

    Found is an output above the threshold, or, if `largest`, one that none of its row exceeds, but for 0.
    """
    cdef Py_ssize_t i, j
    cdef double w, target
    cdef real most
    cdef bint found
    for i in range(m):
        w = weight_of(weight, i)
        most = y[i * n + first_largest(y + i * n, n)]
        for j in range(n):
            target = w * <double>t[i * n + j]
            if largest:
                found = y[i * n + j] >= most and fabs(<double>y[i * n + j]) > 1e-9      # as in Keras
            else:
                found = y[i * n + j] > <real>threshold
            if found:
                add_to(sums + j, target)
                add_to(sums + n + j, w)
            add_to(sums + 2 * n + j, target)


cdef Status class_hits_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    cdef const double* c = constants_of(bound)
    class_hits(
        frame.sums + bound.op.accumulator, at[0], at[1], at[2], c[0], c[1] != 0, rows_of(bound),
        columns_of(bound, 0)
    )
    return Status.OK


enter(PathCode.BLAS, OpCode.CLASS_HITS, class_hits_op[float], class_hits_op[double])


cdef void target_moments(
    double* sums, const real* y, const real* t, const real* weight, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """INOUT sums (4 n + 1), by column: weight * t, weight * t^2, weight * (t - y)^2, weight; numbers."""
    cdef Py_ssize_t i, j
    cdef double w, target, error
    for i in range(m):
        w = weight_of(weight, i)
        for j in range(n):
            target = <double>t[i * n + j]
            error = target - <double>y[i * n + j]
            add_to(sums + j, w * target)
            add_to(sums + n + j, w * target * target)
            add_to(sums + 2 * n + j, w * error * error)
            add_to(sums + 3 * n + j, w)
    add_to(sums + 4 * n, <double>(m * n))


cdef Status target_moments_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    target_moments(
        frame.sums + bound.op.accumulator, at[0], at[1], at[2], rows_of(bound), columns_of(bound, 0)
    )
    return Status.OK


enter(PathCode.BLAS, OpCode.TARGET_MOMENTS, target_moments_op[float], target_moments_op[double])


cdef void confusion(
    double* sums, const real* y, const real* t, const real* weight, bint sparse, double threshold,
    Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """INOUT sums (classes, classes): weights by the target's class, then by the one that is found.

    One output stands for two classes: the second one where it is above the threshold, or its target not 0.
    """
    cdef Py_ssize_t i, wanted, found, classes = n if n > 1 else 2
    for i in range(m):
        if n == 1:
            wanted, found = t[i] != 0, y[i] > <real>threshold
        else:
            found = first_largest(y + i * n, n)
            wanted = label_of(t, i) if sparse else first_largest(t + i * n, n)
        add_to(sums + wanted * classes + found, weight_of(weight, i))


cdef Status confusion_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    cdef const double* c = constants_of(bound)
    confusion(
        frame.sums + bound.op.accumulator, at[0], at[1], at[2], c[0] != 0, c[1], rows_of(bound),
        columns_of(bound, 0)
    )
    return Status.OK


enter(PathCode.BLAS, OpCode.CONFUSION, confusion_op[float], confusion_op[double])


cdef inline double correlation(const real* y, const real* t, bint concordance, Py_ssize_t n) noexcept nogil:
    """Pearson's coefficient of a row, NaN without a spread; or Lin's, which other means make less."""
    cdef Py_ssize_t j
    cdef double mean_y = 0.0, mean_t = 0.0, of_y = 0.0, of_t = 0.0, of_both = 0.0, dy, dt
    for j in range(n):
        mean_y += <double>y[j]
        mean_t += <double>t[j]
    mean_y, mean_t = mean_y / n, mean_t / n
    for j in range(n):
        dy, dt = <double>y[j] - mean_y, <double>t[j] - mean_t
        of_y += dy * dy
        of_t += dt * dt
        of_both += dy * dt
    if concordance:
        dy = mean_y - mean_t
        return 2.0 * (of_both / n) / ((of_y + of_t) / n + dy * dy + 1e-7)      # as in Keras
    return of_both / (sqrt(of_y) * sqrt(of_t))


cdef double row_correlation(
    const real* y, const real* t, const real* weight, bint concordance, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """Sum over rows of weight * the correlation of outputs and targets."""
    cdef Py_ssize_t i
    cdef double total = 0.0
    for i in range(m):
        total += weight_of(weight, i) * correlation(y + i * n, t + i * n, concordance, n)
    return total


cdef Status row_correlation_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    return add_total(bound, frame, row_correlation(
        at[0], at[1], at[2], constants_of(bound)[0] != 0, rows_of(bound), columns_of(bound, 0)
    ))


enter(PathCode.BLAS, OpCode.ROW_CORRELATION, row_correlation_op[float], row_correlation_op[double])
