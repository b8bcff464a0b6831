# Products of matrices without BLAS.
#
# For shapes of which BLAS spends more on preparing than on multiplying; fastnn/compiler/paths.py chooses.
# A block of BLOCK_ROWS x BLOCK_BYTES of results stays in registers (block.h) while up to PANEL_DEPTH of the
# inner dimension pass by: per step two vectors of `b` are loaded and BLOCK_ROWS numbers of `a` are broadcast,
# which keeps two multipliers busy.  Columns of `b` are first copied into panels, unless there are too few
# rows to pay for it; rows of `a` are packed in blocks where it is transposed or many columns read them.
# Copies are on the stack.

cdef extern from "fastnn/_core/block.h":
    void expect_write "FASTNN_EXPECT_WRITE"(const void* address) noexcept nogil
    void expect_read "FASTNN_EXPECT_READ"(const void* address) noexcept nogil
    # Of float or double, as the first argument says.
    void vector_block "fastnn_block"(
        void* c, Py_ssize_t ldc, const void* a, Py_ssize_t row, Py_ssize_t step, const void* b,
        Py_ssize_t ldb, Py_ssize_t depth, const void* bias, double alpha, double beta, bint relu,
        const void* next, const Py_ssize_t* ldn, int n_next, int n_written, int rows, int bytes
    ) noexcept nogil
    void any_block "fastnn_any_block"(
        void* c, Py_ssize_t ldc, const void* a, Py_ssize_t row, Py_ssize_t step, const void* b,
        Py_ssize_t ldb, Py_ssize_t depth, const void* bias, double alpha, double beta, bint relu, int rows,
        int bytes
    ) noexcept nogil

cdef enum:
    LOW_BLOCK_ROWS = BLOCK_ROWS // 2
    BLOCK_COLUMNS = BLOCK_BYTES // 4    # of float32, half as many of float64


cdef void block(
    real* c, Py_ssize_t ldc, const real* a, Py_ssize_t row, Py_ssize_t step, const real* b, Py_ssize_t ldb,
    Py_ssize_t depth, const real* bias, real alpha, real beta, bint relu
) noexcept nogil:
    """INOUT c (BLOCK_ROWS, block columns) = relu(alpha * a @ b + (bias, or beta * c if that is NULL)).

    `a` (BLOCK_ROWS, depth) has its rows `row` and its columns `step` apart.
    """
    # Each call is a copy of its own, for the constants in it.
    if row == 1 and step == BLOCK_ROWS:     # packed
        vector_block(
            c, ldc, a, 1, BLOCK_ROWS, b, ldb, depth, bias, alpha, beta, relu, NULL, NULL, 0, 0, BLOCK_ROWS,
            BLOCK_BYTES
        )
    else:
        vector_block(
            c, ldc, a, row, step, b, ldb, depth, bias, alpha, beta, relu, NULL, NULL, 0, 0, BLOCK_ROWS,
            BLOCK_BYTES
        )


cdef void edge_block(
    real* sums, const real* a, Py_ssize_t row, Py_ssize_t step, const real* b, Py_ssize_t ldb,
    Py_ssize_t depth, bint low, bint narrow
) noexcept nogil:
    """OUT sums (BLOCK_ROWS, block columns) = a @ b; if `low` half of the rows, if `narrow` of the columns."""
    cdef Py_ssize_t ldc = BLOCK_BYTES // sizeof(real)
    if narrow:
        vector_block(
            sums, ldc, a, row, step, b, ldb, depth, NULL, 1, 0, False, NULL, NULL, 0, 0, BLOCK_ROWS,
            BLOCK_BYTES // 2
        )
    elif low:
        vector_block(
            sums, ldc, a, row, step, b, ldb, depth, NULL, 1, 0, False, NULL, NULL, 0, 0, LOW_BLOCK_ROWS,
            BLOCK_BYTES
        )
    else:
        vector_block(
            sums, ldc, a, row, step, b, ldb, depth, NULL, 1, 0, False, NULL, NULL, 0, 0, BLOCK_ROWS,
            BLOCK_BYTES
        )


cdef void gradient_block(
    real* sums, const real* a, const real* b, Py_ssize_t depth, const real** next, const Py_ssize_t* ldn
) noexcept nogil:
    """OUT sums (BLOCK_ROWS, block columns) = a @ b, both packed; asks for the three blocks at `next`."""
    cdef Py_ssize_t ld = BLOCK_BYTES // sizeof(real)
    vector_block(
        sums, ld, a, 1, BLOCK_ROWS, b, ld, depth, NULL, 1, 0, False, next, ldn, 3, 3, BLOCK_ROWS, BLOCK_BYTES
    )


cdef inline void finish_block(
    real* c, Py_ssize_t ldc, const real* sums, const real* bias, real alpha, real beta, bint relu,
    Py_ssize_t height, Py_ssize_t width
) noexcept nogil:
    """INOUT c (height, width) = relu(alpha * sums + (bias, or beta * c if that is NULL)), for the rim."""
    cdef Py_ssize_t j, r, begin = 0, columns = BLOCK_BYTES // sizeof(real)
    cdef real value
    if real is float:
        begin = finish_vectors(c, ldc, sums, bias, alpha, beta, relu, height, width)
    for r in range(begin, height):
        for j in range(width):
            value = alpha * sums[r * columns + j]
            if bias != NULL:
                value = value + bias[j]
            elif beta != 0:
                value = value + beta * c[r * ldc + j]
            c[r * ldc + j] = <real>0.0 if relu and value <= 0 else value


cdef inline void interleave(
    real* lines, Py_ssize_t line, const real* b, Py_ssize_t ldb, Py_ssize_t depth
) noexcept nogil:
    """OUT 16 columns of `lines` (depth, line) = the transpose of b (16, depth)."""
    cdef Py_ssize_t p, r, begin = 0
    if real is float:
        begin = interleave_vectors(lines, line, b, ldb, depth)
    for p in range(begin, depth):
        for r in range(16):
            lines[p * line + r] = b[r * ldb + p]


cdef void fill_panels(
    real* panels, Py_ssize_t size, const real* b, Py_ssize_t ldb, bint transposed, Py_ssize_t depth,
    Py_ssize_t width
) noexcept nogil:
    """OUT panels (depth, block columns), `size` apart: `width` columns of b or, if transposed, rows of b.

    What is left of the last panel becomes zeros.  Rows of b are read one after the other: in wide layers
    they are pages apart, where no processor foresees them, so as much as possible is taken from each.
    """
    cdef Py_ssize_t j, p, s, begin = 0, columns = BLOCK_BYTES // sizeof(real)
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
        for p in range(depth if rest and 2 * rest != columns else 0):     # halves are read as halves
            for j in range(rest, columns):
                panels[whole * size + p * columns + j] = 0.0
        return
    for p in range(depth if whole else 0):
        if p + AHEAD < depth:
            for j in range(0, width, 16):
                expect_read(b + (p + AHEAD) * ldb + j)
        for s in range(whole):
            to = panels + s * size + p * columns
            for j in range(columns):
                to[j] = b[p * ldb + s * columns + j]
    if rest:
        to, b = panels + whole * size, b + whole * columns
        if real is float:
            begin = fill_panel_vectors(to, b, ldb, depth, rest)
        for p in range(begin, depth):
            for j in range(columns):
                to[p * columns + j] = b[p * ldb + j] if j < rest else <real>0.0


cdef void pack_rows(
    real* packed, Py_ssize_t distance, const real* a, Py_ssize_t row, Py_ssize_t step, Py_ssize_t depth,
    Py_ssize_t m
) noexcept nogil:
    """OUT packed: rows of `a` (m, depth), BLOCK_ROWS side by side, such blocks `distance` apart.

    Rows of `a` are `row`, its columns `step` apart, and one of the two is 1; the last block is filled up with
    zeros.
    """
    cdef Py_ssize_t i, r, p, height, begin, whole = m // BLOCK_ROWS
    cdef const real* line
    cdef real* to
    if step == 1:
        for i in range(whole):
            line, to, begin = a + i * BLOCK_ROWS * row, packed + i * distance, 0
            if real is float:
                begin = pack_vectors(to, line, row, depth) if BLOCK_ROWS == 8 else 0
            for p in range(begin, depth):
                for r in range(BLOCK_ROWS):
                    to[p * BLOCK_ROWS + r] = line[r * row + p]
    else:
        for p in range(depth):
            line = a + p * step
            for i in range(whole):
                for r in range(BLOCK_ROWS):
                    packed[i * distance + p * BLOCK_ROWS + r] = line[i * BLOCK_ROWS + r]
    height = m - whole * BLOCK_ROWS
    if height:
        to = packed + whole * distance
        for p in range(depth):
            line = a + whole * BLOCK_ROWS * row + p * step
            for r in range(BLOCK_ROWS):
                to[p * BLOCK_ROWS + r] = line[r * row] if r < height else <real>0.0


cdef void foreseeing_blocks(
    real* c, Py_ssize_t ldc, const real* packed, Py_ssize_t distance, const real* panels, Py_ssize_t size,
    Py_ssize_t depth, const real* bias, real alpha, real beta, bint relu, const real* later, Py_ssize_t ldb,
    bint transposed, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """A block for all blocks of c (m, n), which are whole, while what lies at `later` comes nearer.

    That is the part of `b` that panels are filled from next: as many of its rows, or columns if it is not
    transposed, as there are columns here.  Its lines and those of `c` are asked for between steps, a few at
    a time, as more would keep steps waiting.
    """
    cdef const real* next[2]
    cdef Py_ssize_t ldn[2]
    cdef const real* offset
    cdef Py_ssize_t i, s = 0, part, columns = BLOCK_BYTES // sizeof(real), area = BLOCK_ROWS * columns
    cdef Py_ssize_t parts = max((depth + area - 1) // area, 1)      # of a row of `b`
    while s < n:
        offset = bias + s if bias != NULL else NULL
        i = 0
        while i < m:
            part = i // BLOCK_ROWS
            next[0], ldn[0] = c + i * ldc + s, ldc
            next[1], ldn[1] = next[0], ldc
            if not transposed and i < depth:
                next[1], ldn[1] = later + i * ldb + s, ldb
            elif transposed and part < columns * parts:
                next[1], ldn[1] = later + (s + part // parts) * ldb + part % parts * area, columns
            vector_block(
                c + i * ldc + s, ldc, packed + part * distance, 1, BLOCK_ROWS, panels + s // columns * size,
                columns, depth, offset, alpha, beta, relu, next, ldn, 2, 1, BLOCK_ROWS, BLOCK_BYTES
            )
            i += BLOCK_ROWS
        s += columns


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
    cdef double room[PACKED_DOUBLES + PACKED_BLOCKS * 16]
    cdef real* packed = <real*>room
    cdef real sums[BLOCK_ROWS * BLOCK_COLUMNS]
    cdef const real* left
    cdef const real* lines
    cdef const real* offset
    cdef const real* later      # what the next panels are copied from
    cdef real* corner
    cdef real scale
    cdef Py_ssize_t columns = BLOCK_BYTES // sizeof(real), size = PANEL_DEPTH * columns
    cdef bint copied = b_transposed or m > BLOCK_ROWS and ldb >= LONG_ROW
    cdef bint finish, packing = n > 2 * columns
    cdef Py_ssize_t i, j, r, s, p = 0, top, first, tile, height, width, group, depth, line
    cdef Py_ssize_t across, along, skipped, done
    cdef Py_ssize_t row = 1 if a_transposed else lda, step = lda if a_transposed else 1
    # The inner dimension is cut into equal parts: a short one costs as many passes over `c`.
    cdef Py_ssize_t n_parts = max((k + PANEL_DEPTH - 1) // PANEL_DEPTH, 1)
    cdef Py_ssize_t part = max((k + n_parts - 1) // n_parts, 1)
    # No power of two, so that blocks of packed rows lie in different cache sets.
    cdef Py_ssize_t distance = part * BLOCK_ROWS + 16
    cdef Py_ssize_t limit = m
    if not a_transposed:
        packing = m > BLOCK_ROWS and n >= PACK_COLUMNS and lda >= LONG_ROW
    copied = copied or m >= COPY_ROWS and ldb > columns and k * n > COPY_ELEMENTS
    packing = packing or m < BLOCK_ROWS
    if packing:
        limit = BLOCK_ROWS * min(
            <Py_ssize_t>(PACKED_DOUBLES * 8 // sizeof(real)) // (part * BLOCK_ROWS), <Py_ssize_t>PACKED_BLOCKS
        )
    while p == 0 or p < k:
        depth = min(part, k - p)
        scale = beta if p == 0 else <real>1.0
        finish = relu and p + depth >= k
        top = 0
        while top < m:
            tile = min(limit, m - top)
            if packing:
                pack_rows(packed, distance, a + top * row + p * step, row, step, depth, tile)
            first = 0
            while first < n:
                group = min(PANELS * columns, n - first)
                if copied:
                    fill_panels(
                        panels, size, b + first * ldb + p if b_transposed else b + p * ldb + first, ldb,
                        b_transposed, depth, group
                    )
                elif group % columns and 2 * (group % columns) != columns:  # the last, incomplete panel
                    s = group // columns
                    fill_panels(
                        panels + s * size, size, b + p * ldb + first + s * columns, ldb, False, depth,
                        group % columns
                    )
                done = 0
                if copied and packing and k * n >= FORESEEN_ELEMENTS:
                    if first + PANELS * columns < n:
                        j, r = first + PANELS * columns, p
                    else:
                        j, r = 0, (p + part if p + part < k else 0)
                    later = b + j * ldb + r if b_transposed else b + r * ldb + j
                    done = tile - tile % BLOCK_ROWS
                    foreseeing_blocks(
                        c + top * ldc + first, ldc, packed, distance, panels, size, depth,
                        bias + first if bias != NULL and p == 0 else NULL, alpha, scale, finish, later, ldb,
                        b_transposed, done, group - group % columns
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
                    i = done if width == columns else 0
                    while i < tile:
                        height = min(BLOCK_ROWS, tile - i)
                        corner = c + (top + i) * ldc + j
                        for r in range(height):
                            expect_write(corner + r * ldc)
                            expect_write(corner + r * ldc + width - 1)
                        skipped = 0
                        if packing:
                            left, across, along = packed + i // BLOCK_ROWS * distance, 1, BLOCK_ROWS
                        else:   # the last rows, if fewer than a block, come with some before them
                            skipped = BLOCK_ROWS - height
                            left, across, along = a + (i - skipped) * row + p * step, row, step
                        if height == BLOCK_ROWS and width == columns:
                            # A block as large as those of AVX-512 is a function.  Of others, compilers would
                            # make one, too: 4 % more instructions in a step of small layers.
                            if BLOCK_COLUMNS == 32:
                                block(
                                    corner, ldc, left, across, along, lines, line, depth, offset, alpha,
                                    scale, finish
                                )
                            else:
                                any_block(
                                    corner, ldc, left, across, along, lines, line, depth, offset, alpha,
                                    scale, finish, BLOCK_ROWS, BLOCK_BYTES
                                )
                        else:
                            edge_block(
                                sums, left, across, along, lines, line, depth,
                                packing and height <= LOW_BLOCK_ROWS, 2 * width <= columns
                            )
                            finish_block(
                                corner, ldc, sums + skipped * columns, offset, alpha, scale, finish, height,
                                width
                            )
                        i += BLOCK_ROWS
                    s += 1
                first += PANELS * columns
            top += tile
        p += part


cdef void adam_dense(
    real* w, real* mean, real* square, const real* x, Py_ssize_t ldx, const real* dy, Py_ssize_t m,
    Py_ssize_t n, Py_ssize_t k, const double* constants, double rate
) noexcept nogil:
    """INOUT w, mean, square (k, n): Adam with the gradient x.T @ dy (m, n), over k of the ldx columns of x.

    `m` is at most CHAIN, half of what panels hold; `constants` and `rate` as in `adam`.  While a block of the
    gradient is computed, the next one's weights and state are on their way from memory, and the gradient
    stays in the first-level cache.  Blocks that are side by side follow each other, and fewer rows of the
    batch take more panels, so that memory is read in long pieces.  What it gives stands in
    fastnn/compiler/paths.py.
    """
    cdef real panels[PANELS * PANEL_DEPTH * BLOCK_COLUMNS]
    cdef double room[PACKED_DOUBLES + PACKED_BLOCKS * 16]
    cdef real* packed = <real*>room
    cdef real sums[BLOCK_ROWS * BLOCK_COLUMNS]
    cdef const real* next[3]
    cdef Py_ssize_t* ldn = [n, n, n]
    cdef const real* left
    cdef Py_ssize_t columns = BLOCK_BYTES // sizeof(real), size = m * columns
    cdef Py_ssize_t distance = m * BLOCK_ROWS + 16, most = PANELS * PANEL_DEPTH // m * columns
    cdef Py_ssize_t limit = BLOCK_ROWS * min(
        <Py_ssize_t>(PACKED_DOUBLES * 8 // sizeof(real)) // (m * BLOCK_ROWS), <Py_ssize_t>PACKED_BLOCKS
    )
    cdef Py_ssize_t i, s, top = 0, first, tile, group, height, width, at, ahead
    while top < k:
        tile = min(limit, k - top)
        pack_rows(packed, distance, x + top, 1, ldx, m, tile)
        first = 0
        while first < n:
            group = min(most, n - first)
            fill_panels(panels, size, dy + first, n, False, m, group)
            i = 0
            while i < tile:
                height, left = min(<Py_ssize_t>BLOCK_ROWS, tile - i), packed + i // BLOCK_ROWS * distance
                s = 0
                while s < group:
                    width, at = min(columns, group - s), (top + i) * n + first + s
                    if height < BLOCK_ROWS or width < columns:
                        edge_block(
                            sums, left, 1, BLOCK_ROWS, panels + s * m, columns, m, height <= LOW_BLOCK_ROWS,
                            2 * width <= columns
                        )
                    else:
                        # Where the blocks below begin, if none is at the right.
                        ahead = columns if s + columns < group else BLOCK_ROWS * n - s
                        ahead = at + (ahead if s + columns < group or i + BLOCK_ROWS < tile else 0)
                        next[0], next[1], next[2] = w + ahead, mean + ahead, square + ahead
                        gradient_block(sums, left, panels + s * m, m, next, ldn)
                    adam(w + at, mean + at, square + at, n, sums, columns, constants, rate, height, width)
                    s += columns
                i += BLOCK_ROWS
            first += most
        top += limit


cdef Status adam_dense_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    adam_dense(
        at[0], at[1], at[2], at[3] + bound.begin, columns_of(bound, 3), at[4], frame.rows,
        columns_of(bound, 0), rows_of(bound), constants_of(bound), rate_of(bound, frame)
    )
    return Status.OK


enter(PathCode.DIRECT, OpCode.ADAM_DENSE, adam_dense_op[float], adam_dense_op[double])
