# Counts of outputs between thresholds, apart for targets that are true and those that are not: what
# precision, recall and areas under curves are made of.

cdef enum:
    LISTED = 6      # the first of the thresholds that a list gives, among the constants


cdef inline Py_ssize_t bucket_of(
    real y, real shift, real scale, double first, Py_ssize_t buckets
) noexcept nogil:
    """Return ceil((y - shift) * scale) - first, kept within the buckets; NaN is in the first one."""
    cdef double place = ceil(<double>((y - shift) * scale)) - first
    if not place > 0:
        return 0
    return <Py_ssize_t>place if place < buckets - 1 else buckets - 1


cdef inline Py_ssize_t bucket_in_list(real y, const double* c, Py_ssize_t buckets) noexcept nogil:
    """Return how many of the rising thresholds y is above."""
    cdef Py_ssize_t bucket = 0
    while bucket < buckets - 1 and y > <real>c[LISTED + bucket]:
        bucket += 1
    return bucket


cdef inline bint is_among_largest(const real* y, Py_ssize_t n, Py_ssize_t j, Py_ssize_t k) noexcept nogil:
    """Return whether y[j] is one of the k largest of a row; of equal ones the first are."""
    cdef Py_ssize_t i, before = 0
    for i in range(n):
        before += y[i] > y[j] or (y[i] == y[j] and i < j)
    return before < k


cdef void threshold_counts(
    double* sums, const real* y, const real* t, const real* weight, const double* c, Py_ssize_t m,
    Py_ssize_t n
) noexcept nogil:
    """INOUT sums (2, buckets): weights of outputs whose target is not 0, and of those whose target is.

    c: number of buckets, shift, scale (0: a list of thresholds follows), first, the only column that counts
    (-1: all do; -2: each for itself, in sums (n, 2, buckets)), how many of a row's largest outputs keep their
    value (0: all do), the list.
    """
    cdef Py_ssize_t i, j, bucket, buckets = <Py_ssize_t>c[0], column = <Py_ssize_t>c[4], k = <Py_ssize_t>c[5]
    cdef Py_ssize_t begin = column if column >= 0 else 0, end = column + 1 if column >= 0 else n
    cdef Py_ssize_t apart = 2 * buckets if column == -2 else 0
    cdef real shift = <real>c[1], scale = <real>c[2], value
    cdef double w
    for i in range(m):
        w = weight[i] if weight != NULL else 1.0
        for j in range(begin, end):
            value = y[i * n + j]
            if k > 0 and not is_among_largest(y + i * n, n, j, k):
                value = <real>-1e10     # below all thresholds, as in Keras
            if c[2] == 0:
                bucket = bucket_in_list(value, c, buckets)
            else:
                bucket = bucket_of(value, shift, scale, c[3], buckets)
            sums[j * apart + (bucket if t[i * n + j] != 0 else buckets + bucket)] += w


cdef Status threshold_counts_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    threshold_counts(
        frame.sums + bound.op.accumulator, at[0], at[1], at[2], constants_of(bound), rows_of(bound),
        columns_of(bound, 0)
    )
    return Status.OK


enter(PathCode.BLAS, OpCode.THRESHOLD_COUNTS, threshold_counts_op[float], threshold_counts_op[double])
