# Counts of outputs between thresholds, apart for targets that are true and those that are not: what
# precision, recall and areas under curves are made of.


cdef inline Py_ssize_t bucket_of(
    real y, real shift, real scale, double first, Py_ssize_t buckets
) noexcept nogil:
    """Return ceil((y - shift) * scale) - first, kept within the buckets; NaN is in the first one."""
    cdef double place = ceil(<double>((y - shift) * scale)) - first
    if not place > 0:
        return 0
    return <Py_ssize_t>place if place < buckets - 1 else buckets - 1


cdef void threshold_counts(
    double* sums, const real* y, const real* t, const real* weight, const double* c, Py_ssize_t m,
    Py_ssize_t n
) noexcept nogil:
    """INOUT sums (2, buckets): weights of outputs whose target is not 0, and of those whose target is.

    c: number of buckets, shift, scale, first.
    """
    cdef Py_ssize_t i, j, bucket, buckets = <Py_ssize_t>c[0]
    cdef real shift = <real>c[1], scale = <real>c[2]
    cdef double w
    for i in range(m):
        w = weight[i] if weight != NULL else 1.0
        for j in range(i * n, i * n + n):
            bucket = bucket_of(y[j], shift, scale, c[3], buckets)
            sums[bucket if t[j] != 0 else buckets + bucket] += w


cdef Status threshold_counts_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    threshold_counts(
        frame.sums + bound.op.accumulator, at[0], at[1], at[2], constants_of(bound), rows_of(bound),
        columns_of(bound, 0)
    )
    return Status.OK


enter(PathCode.BLAS, OpCode.THRESHOLD_COUNTS, threshold_counts_op[float], threshold_counts_op[double])
