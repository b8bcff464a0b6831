# Products of matrices without BLAS.
#
# For shapes of which BLAS spends more on preparing than on multiplying; fastnn/paths.py chooses.
# A block of BLOCK_ROWS x BLOCK_COLUMNS results stays in registers while up to BLOCK_DEPTH of the
# inner dimension pass by: per step one line of `b` is loaded, and BLOCK_ROWS numbers of `a` are
# broadcast.  Operands are read where they lie, except that lines of `b` are first copied into
# panels on the stack where both operands would be read across their rows, `b` is a transpose, or
# its rows are so long that reading down a column meets the same cache set again and again.
#
# Arrays and loops have constant sizes so that compilers keep `kept` in registers (see setup.py);
# `fastnn benchmark tabular mnist` shows at once when one does not.

cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__)
    #define FASTNN_PREFETCH(address) __builtin_prefetch(address, 1)
    #else
    #define FASTNN_PREFETCH(address) ((void)0)
    #endif
    """
    void prefetch "FASTNN_PREFETCH"(const void* address) noexcept nogil

cdef enum:
    BLOCK_COLUMNS = 16      # a cache line of float32
    HALF_BLOCK_ROWS = BLOCK_ROWS // 2
    BLOCK_DEPTH = 1024      # where `b` is read in place
    PANEL_DEPTH = 256       # where it is copied: PANELS panels take 64 KiB in float32
    PANELS = 4
    LONG_ROW = 1000         # elements from which on rows of `b` are copied


cdef inline void block(
    real* c, Py_ssize_t ldc, const real* const* rows, Py_ssize_t step, const real* b, Py_ssize_t ldb,
    Py_ssize_t depth, const real* bias, real alpha, real beta, bint relu
) noexcept nogil:
    """INOUT c (BLOCK_ROWS, BLOCK_COLUMNS) = alpha * rows (BLOCK_ROWS, depth) @ b + bias + beta * c.

    `rows` points at the first element of each row; elements of a row are `step` apart.  `bias`
    (BLOCK_COLUMNS,) may be NULL, else beta counts as 0.  With `relu`, what is negative becomes 0.
    """
    cdef real kept[BLOCK_ROWS][BLOCK_COLUMNS]
    cdef real value
    cdef Py_ssize_t i, j, p
    for i in range(BLOCK_ROWS):
        if beta != 0:
            prefetch(c + i * ldc)   # mnist's weight gradient: 107 GFLOP/s, without it 105
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
                kept[i][j] = alpha * kept[i][j] + bias[j]
    elif beta == 0:
        for i in range(BLOCK_ROWS):
            for j in range(BLOCK_COLUMNS):
                kept[i][j] = alpha * kept[i][j]
    else:
        for i in range(BLOCK_ROWS):
            for j in range(BLOCK_COLUMNS):
                kept[i][j] = alpha * kept[i][j] + beta * c[i * ldc + j]
    if relu:
        for i in range(BLOCK_ROWS):
            for j in range(BLOCK_COLUMNS):
                kept[i][j] = <real>0.0 if kept[i][j] <= 0 else kept[i][j]
    for i in range(BLOCK_ROWS):
        for j in range(BLOCK_COLUMNS):
            c[i * ldc + j] = kept[i][j]


cdef inline void fill_panel(
    real* panel, const real* b, Py_ssize_t ldb, bint transposed, Py_ssize_t depth, Py_ssize_t width
) noexcept nogil:
    """OUT panel (depth, BLOCK_COLUMNS): `width` columns of b or, if transposed, rows of b; then zeros."""
    cdef Py_ssize_t j, p
    cdef real* line
    if width == BLOCK_COLUMNS and transposed:
        # Written out, as compilers then turn 16 lines into vectors and interleave those.
        for p in range(depth):
            line = panel + p * BLOCK_COLUMNS
            line[0] = b[p]
            line[1] = b[ldb + p]
            line[2] = b[2 * ldb + p]
            line[3] = b[3 * ldb + p]
            line[4] = b[4 * ldb + p]
            line[5] = b[5 * ldb + p]
            line[6] = b[6 * ldb + p]
            line[7] = b[7 * ldb + p]
            line[8] = b[8 * ldb + p]
            line[9] = b[9 * ldb + p]
            line[10] = b[10 * ldb + p]
            line[11] = b[11 * ldb + p]
            line[12] = b[12 * ldb + p]
            line[13] = b[13 * ldb + p]
            line[14] = b[14 * ldb + p]
            line[15] = b[15 * ldb + p]
    elif transposed:
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
    Py_ssize_t depth, const real* bias, bint relu
) noexcept nogil:
    """OUT c (HALF_BLOCK_ROWS, BLOCK_COLUMNS) = a @ b + bias, then ReLU, as `block` does."""
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
            value = kept[i][j] + bias[j] if bias != NULL else kept[i][j]
            c[i * ldc + j] = <real>0.0 if relu and value <= 0 else value


cdef void product(
    real* c, Py_ssize_t ldc, const real* a, Py_ssize_t stride, Py_ssize_t step,
    const real* b, Py_ssize_t ldb, bint transposed, const real* bias,
    real alpha, real beta, bint relu, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k
) noexcept nogil:
    """INOUT c (m, n) = alpha * a (m, k) @ op(b) (k, n) + bias (n,) + beta * c, then ReLU if asked for.

    Element (i, p) of `a` is a[i * stride + p * step], so `a` may be a transpose; op(b) is b or, if
    transposed, b.T.  `bias` may be NULL, else beta is 0.  With beta = 0, `c` need not be
    initialised.  `c` overlaps nothing.
    """
    cdef real panels[PANELS * PANEL_DEPTH * BLOCK_COLUMNS]
    cdef real edge[BLOCK_ROWS * BLOCK_COLUMNS]
    cdef real edge_bias[BLOCK_COLUMNS]
    cdef const real* rows[BLOCK_ROWS]
    cdef const real* lines
    cdef const real* offset
    cdef real* corner
    cdef real scale, value
    cdef bint finish
    cdef Py_ssize_t r, q, i, j, s, group, p = 0, width, depth, line, height
    cdef bint copied = transposed or step != 1 or ldb >= LONG_ROW
    cdef Py_ssize_t longest = PANEL_DEPTH if copied else BLOCK_DEPTH
    cdef Py_ssize_t wide = (PANELS if copied else 1) * BLOCK_COLUMNS
    while p == 0 or p < k:
        depth = min(longest, k - p)
        scale = beta if p == 0 else <real>1.0
        finish = relu and p + depth >= k
        j = 0
        while j < n:
            group = min(wide, n - j)
            if copied or group < BLOCK_COLUMNS:
                s = 0
                while s < group:
                    fill_panel(
                        panels + s * PANEL_DEPTH,
                        b + (j + s) * ldb + p if transposed else b + p * ldb + j + s,
                        ldb, transposed, depth, min(BLOCK_COLUMNS, group - s)
                    )
                    s += BLOCK_COLUMNS
            i = 0
            while i < m:
                height = min(BLOCK_ROWS, m - i)
                for r in range(BLOCK_ROWS):     # rows past the end repeat the last one
                    rows[r] = a + min(i + r, m - 1) * stride + p * step
                s = 0
                while s < group:
                    corner = c + i * ldc + j + s
                    width = min(BLOCK_COLUMNS, group - s)
                    if copied or width < BLOCK_COLUMNS:
                        lines, line = panels + s * PANEL_DEPTH, BLOCK_COLUMNS
                    else:
                        lines, line = b + p * ldb + j + s, ldb
                    offset = bias + j + s if bias != NULL and p == 0 else NULL
                    if height == HALF_BLOCK_ROWS and width == BLOCK_COLUMNS and not copied and scale == 0:
                        half_block(
                            corner, ldc, a + i * stride + p, stride, lines, line, depth, offset, finish
                        )
                    elif height == BLOCK_ROWS and width == BLOCK_COLUMNS:
                        block(corner, ldc, rows, step, lines, line, depth, offset, alpha, scale, finish)
                    else:
                        if offset != NULL and width < BLOCK_COLUMNS:
                            for q in range(width):
                                edge_bias[q] = offset[q]
                            offset = edge_bias
                        for r in range(height):
                            for q in range(width):
                                value = corner[r * ldc + q] if scale != 0 else <real>0.0
                                edge[r * BLOCK_COLUMNS + q] = value
                        block(
                            edge, BLOCK_COLUMNS, rows, step, lines, line, depth, offset, alpha, scale, finish
                        )
                        for r in range(height):
                            for q in range(width):
                                corner[r * ldc + q] = edge[r * BLOCK_COLUMNS + q]
                    s += BLOCK_COLUMNS
                i += BLOCK_ROWS
            j += wide
        p += longest
