# Products of matrices without BLAS.
#
# For shapes of which BLAS spends more on preparing than on multiplying; fastnn/paths.py chooses.
# A block of BLOCK_ROWS x BLOCK_BYTES of results stays in registers while up to PANEL_DEPTH of the inner
# dimension pass by: per step two vectors of `b` are loaded and BLOCK_ROWS numbers of `a` are broadcast,
# which keeps two multipliers busy (mnist's forward product, one core with two of them: 129 GFLOP/s, with
# one vector 77).  Columns of `b` are first copied into panels, unless there are too few rows to pay for
# it; of a transposed `a`, blocks of rows are packed likewise.  Copies are on the stack.
#
# Arrays and loops have constant sizes so that compilers keep `kept` in registers (see setup.py);
# `fastnn benchmark tabular mnist` shows at once when one does not.

cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__)
    #define FASTNN_EXPECT_WRITE(address) __builtin_prefetch(address, 1)
    #define FASTNN_EXPECT_READ(address) __builtin_prefetch(address, 0)
    #else
    #define FASTNN_EXPECT_WRITE(address) ((void)0)
    #define FASTNN_EXPECT_READ(address) ((void)0)
    #endif
    """
    void expect_write "FASTNN_EXPECT_WRITE"(const void* address) noexcept nogil
    void expect_read "FASTNN_EXPECT_READ"(const void* address) noexcept nogil

cdef enum:
    LOW_BLOCK_ROWS = BLOCK_ROWS // 2
    BLOCK_COLUMNS = BLOCK_BYTES // 4    # of float32, half as many of float64
    NARROW_COLUMNS = BLOCK_BYTES // 8
    PANEL_DEPTH = 256
    PANELS = 4              # side by side, in the second-level cache: 128 KiB at level v4
    AHEAD = 8               # rows of `b` that are asked for early: a step of `wide` 110 -> 102 ms
    PACKED_ELEMENTS = 32768
    PACKED_BLOCKS = 128     # of BLOCK_ROWS rows of `a`, at the most
    COPY_ROWS = 32          # rows from which on copying `b` pays
    LONG_ROW = 1000         # the same for more than a block, as columns of long rows meet one cache set


cdef void block(
    real* sums, const real* const* rows, Py_ssize_t step, const real* b, Py_ssize_t ldb, Py_ssize_t depth
) noexcept nogil:
    """OUT sums (BLOCK_ROWS, block columns) = rows (BLOCK_ROWS, depth) @ b (depth, block columns).

    `rows` points at the first element of each row; elements of a row are `step` apart.
    """
    cdef real kept[BLOCK_ROWS][BLOCK_COLUMNS]
    cdef real value
    cdef Py_ssize_t i, j, p, columns = BLOCK_BYTES // sizeof(real)
    for i in range(BLOCK_ROWS):
        for j in range(columns):
            kept[i][j] = 0.0
    for p in range(depth):
        for i in range(BLOCK_ROWS):
            value = rows[i][p * step]
            for j in range(columns):
                kept[i][j] = kept[i][j] + value * b[p * ldb + j]
    for i in range(BLOCK_ROWS):
        for j in range(columns):
            sums[i * columns + j] = kept[i][j]


cdef void narrow_block(
    real* sums, const real* const* rows, Py_ssize_t step, const real* b, Py_ssize_t ldb, Py_ssize_t depth
) noexcept nogil:
    """As `block`, the first half of its columns."""
    cdef real kept[BLOCK_ROWS][NARROW_COLUMNS]
    cdef real value
    cdef Py_ssize_t i, j, p, columns = BLOCK_BYTES // 2 // sizeof(real)
    for i in range(BLOCK_ROWS):
        for j in range(columns):
            kept[i][j] = 0.0
    for p in range(depth):
        for i in range(BLOCK_ROWS):
            value = rows[i][p * step]
            for j in range(columns):
                kept[i][j] = kept[i][j] + value * b[p * ldb + j]
    for i in range(BLOCK_ROWS):
        for j in range(columns):
            sums[2 * i * columns + j] = kept[i][j]


cdef void low_block(
    real* sums, const real* const* rows, Py_ssize_t step, const real* b, Py_ssize_t ldb, Py_ssize_t depth
) noexcept nogil:
    """As `block`, the first half of its rows."""
    cdef real kept[LOW_BLOCK_ROWS][BLOCK_COLUMNS]
    cdef real value
    cdef Py_ssize_t i, j, p, columns = BLOCK_BYTES // sizeof(real)
    for i in range(LOW_BLOCK_ROWS):
        for j in range(columns):
            kept[i][j] = 0.0
    for p in range(depth):
        for i in range(LOW_BLOCK_ROWS):
            value = rows[i][p * step]
            for j in range(columns):
                kept[i][j] = kept[i][j] + value * b[p * ldb + j]
    for i in range(LOW_BLOCK_ROWS):
        for j in range(columns):
            sums[i * columns + j] = kept[i][j]


cdef inline void finish_line(
    real* c, const real* sums, const real* bias, real alpha, real beta, bint relu, Py_ssize_t n
) noexcept nogil:
    """INOUT c (n,) = alpha * sums + bias, or alpha * sums + beta * c if bias is NULL; then ReLU."""
    cdef Py_ssize_t j
    cdef real value
    if bias != NULL and relu:
        for j in range(n):
            value = alpha * sums[j] + bias[j]
            c[j] = <real>0.0 if value <= 0 else value
    elif bias != NULL:
        for j in range(n):
            c[j] = alpha * sums[j] + bias[j]
    elif beta != 0:
        for j in range(n):
            c[j] = alpha * sums[j] + beta * c[j]
        if relu:
            for j in range(n):
                c[j] = <real>0.0 if c[j] <= 0 else c[j]
    else:
        for j in range(n):
            value = alpha * sums[j]
            c[j] = <real>0.0 if relu and value <= 0 else value


cdef inline void finish_block(
    real* c, Py_ssize_t ldc, const real* sums, const real* bias, real alpha, real beta, bint relu,
    Py_ssize_t height, Py_ssize_t width
) noexcept nogil:
    """INOUT c (height, width): `finish_line` for each row; a full width is a constant, for compilers."""
    cdef Py_ssize_t r, columns = BLOCK_BYTES // sizeof(real)
    for r in range(height):
        if width == columns:
            finish_line(c + r * ldc, sums + r * columns, bias, alpha, beta, relu, columns)
        else:
            finish_line(c + r * ldc, sums + r * columns, bias, alpha, beta, relu, width)


cdef inline void interleave(
    real* lines, Py_ssize_t line, const real* b, Py_ssize_t ldb, Py_ssize_t depth
) noexcept nogil:
    """OUT 16 columns of `lines` (depth, line) = the transpose of b (16, depth).

    Written out, as compilers then turn 16 rows into vectors and interleave those.
    """
    cdef Py_ssize_t p, q, r, whole = depth - depth % 16
    cdef real* to
    cdef const real* source
    for q in range(0, whole, 16):
        source = b + q
        for p in range(16):     # the same part of the next 16 rows
            expect_read(source + (16 + p) * ldb)
        for p in range(16):
            to = lines + (q + p) * line
            to[0] = source[p]
            to[1] = source[ldb + p]
            to[2] = source[2 * ldb + p]
            to[3] = source[3 * ldb + p]
            to[4] = source[4 * ldb + p]
            to[5] = source[5 * ldb + p]
            to[6] = source[6 * ldb + p]
            to[7] = source[7 * ldb + p]
            to[8] = source[8 * ldb + p]
            to[9] = source[9 * ldb + p]
            to[10] = source[10 * ldb + p]
            to[11] = source[11 * ldb + p]
            to[12] = source[12 * ldb + p]
            to[13] = source[13 * ldb + p]
            to[14] = source[14 * ldb + p]
            to[15] = source[15 * ldb + p]
    for p in range(whole, depth):
        for r in range(16):
            lines[p * line + r] = b[r * ldb + p]


cdef void fill_panels(
    real* panels, const real* b, Py_ssize_t ldb, bint transposed, Py_ssize_t depth, Py_ssize_t width
) noexcept nogil:
    """OUT panels (PANELS, PANEL_DEPTH, block columns): `width` columns of b or, if transposed, rows of b.

    What is left of the last panel becomes zeros.  Rows of b are read one after the other: in wide layers
    they are pages apart, where no processor foresees them, so as much as possible is taken from each.
    """
    cdef Py_ssize_t j, p, s, columns = BLOCK_BYTES // sizeof(real), size = PANEL_DEPTH * columns
    cdef Py_ssize_t whole = width // columns, rest = width - whole * columns
    cdef real* to
    if transposed:
        j = 0
        while j < width:
            to = panels + j // columns * size + j % columns
            if columns >= 16 and j + 16 <= width:
                interleave(to, columns, b + j * ldb, ldb, depth)
                j += 16
            else:
                for p in range(depth):
                    to[p * columns] = b[j * ldb + p]
                j += 1
    else:
        for p in range(depth):
            if p + AHEAD < depth:
                for j in range(0, width, 16):
                    expect_read(b + (p + AHEAD) * ldb + j)
            for s in range(whole):
                to = panels + s * size + p * columns
                for j in range(columns):
                    to[j] = b[p * ldb + s * columns + j]
            to = panels + whole * size + p * columns
            for j in range(rest):
                to[j] = b[p * ldb + whole * columns + j]
    if rest:
        for p in range(depth):
            for j in range(rest, columns):
                panels[whole * size + p * columns + j] = 0.0


cdef void pack_rows(
    real* packed, Py_ssize_t distance, const real* a, Py_ssize_t lda, Py_ssize_t depth, Py_ssize_t m
) noexcept nogil:
    """OUT packed: columns of a (depth, m), BLOCK_ROWS side by side, such blocks `distance` apart."""
    cdef Py_ssize_t i, r, p, whole = m // BLOCK_ROWS
    cdef const real* line
    for p in range(depth):
        line = a + p * lda
        for i in range(whole):
            for r in range(BLOCK_ROWS):
                packed[i * distance + p * BLOCK_ROWS + r] = line[i * BLOCK_ROWS + r]
        for r in range(m - whole * BLOCK_ROWS):
            packed[whole * distance + p * BLOCK_ROWS + r] = line[whole * BLOCK_ROWS + r]


cdef void product(
    real* c, Py_ssize_t ldc, const real* a, Py_ssize_t lda, bint a_transposed,
    const real* b, Py_ssize_t ldb, bint b_transposed, const real* bias,
    real alpha, real beta, bint relu, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k
) noexcept nogil:
    """INOUT c (m, n) = alpha * op(a) (m, k) @ op(b) (k, n) + bias (n,) + beta * c, then ReLU if asked for.

    op(a) is a or, if transposed, a.T; likewise b.  `bias` may be NULL, else beta is 0 and alpha 1.  With
    beta = 0, `c` need not be initialised.  `c` overlaps nothing.
    """
    cdef real panels[PANELS * PANEL_DEPTH * BLOCK_COLUMNS]
    cdef real packed[PACKED_ELEMENTS + PACKED_BLOCKS * 16]
    cdef real sums[BLOCK_ROWS * BLOCK_COLUMNS]
    cdef const real* rows[BLOCK_ROWS]
    cdef const real* lines
    cdef const real* offset
    cdef real* corner
    cdef real scale
    cdef Py_ssize_t columns = BLOCK_BYTES // sizeof(real), size = PANEL_DEPTH * columns
    cdef bint copied = b_transposed or m > BLOCK_ROWS and ldb >= LONG_ROW or m >= COPY_ROWS and ldb > columns
    cdef bint packing = a_transposed and n > 2 * columns, finish
    cdef Py_ssize_t i, j, r, s, p = 0, top, first, tile, height, width, group, depth, line
    cdef Py_ssize_t step = BLOCK_ROWS if packing else lda if a_transposed else 1
    cdef Py_ssize_t stride = 1 if a_transposed else lda
    # The inner dimension is cut into equal parts: a short one costs as many passes over `c`.
    cdef Py_ssize_t n_parts = max((k + PANEL_DEPTH - 1) // PANEL_DEPTH, 1)
    cdef Py_ssize_t part = max((k + n_parts - 1) // n_parts, 1)
    # No power of two, so that blocks of packed rows lie in different cache sets.
    cdef Py_ssize_t distance = part * BLOCK_ROWS + 16
    cdef Py_ssize_t limit = m
    if packing:
        limit = BLOCK_ROWS * min(PACKED_ELEMENTS // max(part * BLOCK_ROWS, 1), <Py_ssize_t>PACKED_BLOCKS)
    while p == 0 or p < k:
        depth = min(part, k - p)
        scale = beta if p == 0 else <real>1.0
        finish = relu and p + depth >= k
        top = 0
        while top < m:
            tile = min(limit, m - top)
            if packing:
                pack_rows(packed, distance, a + p * lda + top, lda, depth, tile)
            first = 0
            while first < n:
                group = min(PANELS * columns, n - first)
                if copied:
                    fill_panels(
                        panels, b + first * ldb + p if b_transposed else b + p * ldb + first, ldb,
                        b_transposed, depth, group
                    )
                elif group % columns and 2 * (group % columns) != columns:  # the last, incomplete panel
                    s = group // columns
                    fill_panels(
                        panels + s * size, b + p * ldb + first + s * columns, ldb, False, depth,
                        group % columns
                    )
                s = 0
                while s * columns < group:
                    j = first + s * columns
                    width = min(columns, n - j)
                    offset = bias + j if bias != NULL and p == 0 else NULL
                    if not copied and (width == columns or 2 * width == columns):
                        lines, line = b + p * ldb + j, ldb
                    else:
                        lines, line = panels + s * size, columns
                    i = 0
                    while i < tile:
                        height = min(BLOCK_ROWS, tile - i)
                        for r in range(BLOCK_ROWS):     # rows past the end repeat the last one
                            if packing:
                                rows[r] = packed + i // BLOCK_ROWS * distance + min(r, height - 1)
                            else:
                                rows[r] = a + (top + i + min(r, height - 1)) * stride + p * step
                        corner = c + (top + i) * ldc + j
                        for r in range(height):
                            expect_write(corner + r * ldc)
                            expect_write(corner + r * ldc + width - 1)
                        if 2 * width <= columns:
                            narrow_block(sums, rows, step, lines, line, depth)
                        elif height <= LOW_BLOCK_ROWS:
                            low_block(sums, rows, step, lines, line, depth)
                        else:
                            block(sums, rows, step, lines, line, depth)
                        finish_block(corner, ldc, sums, offset, alpha, scale, finish, height, width)
                        i += BLOCK_ROWS
                    s += 1
                first += PANELS * columns
            top += tile
        p += part
