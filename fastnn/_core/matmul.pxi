# Products of matrices without BLAS.
#
# For shapes of which BLAS spends more on preparing than on multiplying; fastnn/paths.py chooses.
# A block of BLOCK_ROWS x BLOCK_COLUMNS results stays in registers while up to BLOCK_DEPTH of the
# inner dimension pass by: per step one line of `b` is loaded, and BLOCK_ROWS numbers of `a` are
# broadcast.  Operands are read where they lie, except that lines of `b` are first copied into a
# panel on the stack where both operands would be read across their rows, or `b` is a transpose.
#
# Arrays and loops have constant sizes so that compilers keep `kept` in registers (see setup.py);
# `fastnn benchmark tabular mnist` shows at once when one does not.

cdef enum:
    BLOCK_COLUMNS = 16      # a cache line of float32
    HALF_BLOCK_ROWS = BLOCK_ROWS // 2
    BLOCK_DEPTH = 1024      # a panel of 64 KiB in float32


cdef inline void block(
    real* c, Py_ssize_t ldc, const real* const* rows, Py_ssize_t step, const real* b, Py_ssize_t ldb,
    Py_ssize_t depth, const real* bias, real alpha, real beta
) noexcept nogil:
    """INOUT c (BLOCK_ROWS, BLOCK_COLUMNS) = alpha * rows (BLOCK_ROWS, depth) @ b + bias + beta * c.

    `rows` points at the first element of each row; elements of a row are `step` apart.  `bias`
    (BLOCK_COLUMNS,) may be NULL, else beta counts as 0.
    """
    cdef real kept[BLOCK_ROWS][BLOCK_COLUMNS]
    cdef real value
    cdef Py_ssize_t i, j, p
    for i in range(BLOCK_ROWS):
        for j in range(BLOCK_COLUMNS):
            kept[i][j] = 0.0
    for p in range(depth):
        for i in range(BLOCK_ROWS):
            value = rows[i][p * step]
            for j in range(BLOCK_COLUMNS):
                kept[i][j] = kept[i][j] + value * b[p * ldb + j]
    if bias != NULL:
        for i in range(BLOCK_ROWS):
            for j in range(BLOCK_COLUMNS):
                c[i * ldc + j] = alpha * kept[i][j] + bias[j]
    elif beta == 0:
        for i in range(BLOCK_ROWS):
            for j in range(BLOCK_COLUMNS):
                c[i * ldc + j] = alpha * kept[i][j]
    else:
        for i in range(BLOCK_ROWS):
            for j in range(BLOCK_COLUMNS):
                c[i * ldc + j] = alpha * kept[i][j] + beta * c[i * ldc + j]


cdef inline void fill_panel(
    real* panel, const real* b, Py_ssize_t ldb, bint transposed, Py_ssize_t depth, Py_ssize_t width
) noexcept nogil:
    """OUT panel (depth, BLOCK_COLUMNS): `width` columns of b or, if transposed, rows of b; then zeros."""
    cdef Py_ssize_t j, p
    if transposed:
        for j in range(width):
            for p in range(depth):
                panel[p * BLOCK_COLUMNS + j] = b[j * ldb + p]
        for j in range(width, BLOCK_COLUMNS):
            for p in range(depth):
                panel[p * BLOCK_COLUMNS + j] = 0.0
    elif width == BLOCK_COLUMNS:
        for p in range(depth):
            for j in range(BLOCK_COLUMNS):
                panel[p * BLOCK_COLUMNS + j] = b[p * ldb + j]
    else:
        for p in range(depth):
            for j in range(BLOCK_COLUMNS):
                panel[p * BLOCK_COLUMNS + j] = 0.0
            for j in range(width):
                panel[p * BLOCK_COLUMNS + j] = b[p * ldb + j]


cdef void half_block(
    real* c, Py_ssize_t ldc, const real* a, Py_ssize_t stride, const real* b, Py_ssize_t ldb,
    Py_ssize_t depth, const real* bias
) noexcept nogil:
    """OUT c (HALF_BLOCK_ROWS, BLOCK_COLUMNS) = a (HALF_BLOCK_ROWS, depth) @ b + bias; bias may be NULL."""
    cdef real kept[HALF_BLOCK_ROWS][BLOCK_COLUMNS]
    cdef real value
    cdef Py_ssize_t i, j, p
    for i in range(HALF_BLOCK_ROWS):
        for j in range(BLOCK_COLUMNS):
            kept[i][j] = 0.0
    for p in range(depth):
        for i in range(HALF_BLOCK_ROWS):
            value = a[i * stride + p]
            for j in range(BLOCK_COLUMNS):
                kept[i][j] = kept[i][j] + value * b[p * ldb + j]
    for i in range(HALF_BLOCK_ROWS):
        for j in range(BLOCK_COLUMNS):
            c[i * ldc + j] = kept[i][j] + bias[j] if bias != NULL else kept[i][j]


cdef void product(
    real* c, Py_ssize_t ldc, const real* a, Py_ssize_t stride, Py_ssize_t step,
    const real* b, Py_ssize_t ldb, bint transposed, const real* bias, real alpha, real beta,
    Py_ssize_t m, Py_ssize_t n, Py_ssize_t k
) noexcept nogil:
    """INOUT c (m, n) = alpha * a (m, k) @ op(b) (k, n) + bias (n,) + beta * c.

    Element (i, p) of `a` is a[i * stride + p * step], so `a` may be a transpose; op(b) is b or, if
    transposed, b.T.  `bias` may be NULL, else beta is 0.  With beta = 0, `c` need not be
    initialised.  `c` overlaps nothing.
    """
    cdef real panel[BLOCK_DEPTH * BLOCK_COLUMNS]
    cdef real edge[BLOCK_ROWS * BLOCK_COLUMNS]
    cdef real edge_bias[BLOCK_COLUMNS]
    cdef const real* rows[BLOCK_ROWS]
    cdef const real* lines
    cdef const real* offset
    cdef real* corner
    cdef real scale
    cdef Py_ssize_t r, q, i, j, p = 0, width, depth, line, height
    cdef bint copied = transposed or step != 1
    while p == 0 or p < k:
        depth = min(BLOCK_DEPTH, k - p)
        scale = beta if p == 0 else <real>1.0
        j = 0
        while j < n:
            width = min(BLOCK_COLUMNS, n - j)
            offset = bias + j if bias != NULL and p == 0 else NULL
            if offset != NULL and width < BLOCK_COLUMNS:
                for q in range(width):
                    edge_bias[q] = offset[q]
                offset = edge_bias
            if copied or width < BLOCK_COLUMNS:
                fill_panel(
                    panel, b + j * ldb + p if transposed else b + p * ldb + j, ldb, transposed, depth, width
                )
                lines, line = panel, BLOCK_COLUMNS
            else:
                lines, line = b + p * ldb + j, ldb
            i = 0
            while i < m:
                corner = c + i * ldc + j
                height = min(BLOCK_ROWS, m - i)
                for r in range(BLOCK_ROWS):     # rows past the end repeat the last one
                    rows[r] = a + min(i + r, m - 1) * stride + p * step
                if height == HALF_BLOCK_ROWS and width == BLOCK_COLUMNS and not copied and scale == 0:
                    half_block(corner, ldc, a + i * stride + p, stride, lines, line, depth, offset)
                elif height == BLOCK_ROWS and width == BLOCK_COLUMNS:
                    block(corner, ldc, rows, step, lines, line, depth, offset, alpha, scale)
                else:
                    for r in range(height):
                        for q in range(width):
                            edge[r * BLOCK_COLUMNS + q] = corner[r * ldc + q] if scale != 0 else <real>0.0
                    block(edge, BLOCK_COLUMNS, rows, step, lines, line, depth, offset, alpha, scale)
                    for r in range(height):
                        for q in range(width):
                            corner[r * ldc + q] = edge[r * BLOCK_COLUMNS + q]
                i += BLOCK_ROWS
            j += BLOCK_COLUMNS
        p += BLOCK_DEPTH
