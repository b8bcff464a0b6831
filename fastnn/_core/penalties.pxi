# What outputs of layers pay: penalties on tensors of the batch, which make a part of their gradients.
# Sums are float64, in lanes; those of tiles are added up in their order.

cdef double activity_penalty(
    real* dy, const real* y, double l1, double l2, double share, Py_ssize_t size
) noexcept nogil:
    """Return l1 sum |y| + l2 sum y^2; OUT dy = share (l1 sign(y) + 2 l2 y).  dy may be NULL."""
    cdef double sizes[16]
    cdef double squares[16]
    cdef double x
    cdef Py_ssize_t i, j, count
    cdef real first = <real>(share * l1), second = <real>(2.0 * share * l2)
    for j in range(16):
        sizes[j] = squares[j] = 0.0
    for i in range(0, size - size % 16, 16):
        for j in range(16):
            x = y[i + j]
            sizes[j] = sizes[j] + fabs(x)
            squares[j] = squares[j] + x * x
    count = size % 16
    for j in range(count):
        x = y[size - count + j]
        sizes[j] = sizes[j] + fabs(x)
        squares[j] = squares[j] + x * x
    if dy != NULL:
        for i in range(size):   # the sign of 0 is 0, that of NaN is NaN
            dy[i] = second * y[i] + first * (
                <real>1.0 if y[i] > 0 else (<real>-1.0 if y[i] < 0 else y[i])
            )
    return (l1 * lane_sum(sizes) if l1 != 0 else 0.0) + (l2 * lane_sum(squares) if l2 != 0 else 0.0)


cdef Status activity_penalty_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    cdef const double* c = constants_of(bound)
    return add_total(bound, frame, activity_penalty(
        at[0], at[1], c[0], c[1], 1.0 / <double>frame.rows, rows_of(bound) * columns_of(bound, 1)
    ))


enter(PathCode.BLAS, OpCode.ACTIVITY_PENALTY, activity_penalty_op[float], activity_penalty_op[double])
