# Embeddings: rows of a table that whole numbers name, and the gradient of the table.
#
# x holds whole numbers, below the rows of the table, whose kind has been checked at the border; the row of a
# batch has several, and the tensor of their rows of the table is taken as one matrix, (size, n).

cdef void embedding_forward(
    real* y, const real* x, const real* w, Py_ssize_t size, Py_ssize_t n
) noexcept nogil:
    """OUT y (size, n) = the rows of w (., n) that x (size,) names."""
    cdef Py_ssize_t i
    for i in range(size):
        memcpy(y + i * n, w + <Py_ssize_t>x[i] * n, n * sizeof(real))


cdef inline void add_rows(
    real* dw, const real* x, const real* dy, Py_ssize_t size, Py_ssize_t n, Py_ssize_t begin, Py_ssize_t rows
) noexcept nogil:
    """INOUT dw (rows, n) += rows of dy (size, n), each to the row that x names, if the tile has it."""
    cdef Py_ssize_t i, j, row
    cdef real* total
    for i in range(size):
        row = <Py_ssize_t>x[i] - begin
        if 0 <= row < rows:
            total = dw + row * n
            for j in range(n):
                total[j] = total[j] + dy[i * n + j]


cdef inline void add_rows_exactly(
    real* dw, real* lost, const real* x, const real* dy, Py_ssize_t size, Py_ssize_t n, Py_ssize_t begin,
    Py_ssize_t rows
) noexcept nogil:
    """The same; INOUT lost (rows, n): what rounding has added too much, and the next addition takes away."""
    cdef Py_ssize_t i, j, row, at
    cdef real value, total
    for i in range(size):
        row = <Py_ssize_t>x[i] - begin
        if 0 <= row < rows:
            at = row * n
            for j in range(n):
                value = dy[i * n + j] - lost[at + j]
                total = dw[at + j] + value
                lost[at + j] = (total - dw[at + j]) - value
                dw[at + j] = total


cdef void embedding_gradient(
    real* dw, real* lost, const real* x, const real* dy, Py_ssize_t size, Py_ssize_t n, Py_ssize_t begin,
    Py_ssize_t rows
) noexcept nogil:
    """OUT dw (rows, n): for rows of a table from `begin` on, sums of the rows of dy (size, n) that name them.

    In the order of the batch, so a cut of the table changes no bit.  Long sums of float32 are compensated
    (Kahan 1965), for which lost (rows, n), OUT, is memory.
    """
    memset(dw, 0, rows * n * sizeof(real))
    if real is float:
        if size > CHAIN:
            memset(lost, 0, rows * n * sizeof(real))
            add_rows_exactly(dw, lost, x, dy, size, n, begin, rows)
            return
    add_rows(dw, x, dy, size, n, begin, rows)


cdef Status embedding_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    cdef Py_ssize_t rows = rows_of(bound)       # of the tile, or of the table
    if bound.op.code == OpCode.EMBEDDING:
        embedding_forward(at[0], at[1], at[2], rows * columns_of(bound, 1), columns_of(bound, 2))
    else:
        embedding_gradient(
            at[0], at[1], at[2], at[3], frame.rows * columns_of(bound, 2), columns_of(bound, 0), bound.begin,
            rows
        )
    return Status.OK


enter(PathCode.BLAS, OpCode.EMBEDDING, embedding_op[float], embedding_op[double])
enter(PathCode.BLAS, OpCode.EMBEDDING_GRADIENT, embedding_op[float], embedding_op[double])
