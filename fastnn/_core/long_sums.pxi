# Sums of so many float32 numbers that rounding would show: over a long batch, or over very many columns.
#
# While a sum of equal numbers, added one after the other, keeps its exponent, each addition rounds the same
# way: n of them cost up to n 2^-26 of the sum, numbers at random about the root of that.  So no more than
# CHAIN follow each other, 8e-6, and the sums of such blocks are added in float64.  What is short enough is
# summed up in one go, as ever; blocks depend on sizes only.  float64 needs none of this.

cdef extern from "fastnn/_core/reals.h":
    int CHAIN "FASTNN_CHAIN"

cdef enum:
    IN_LANES = 8192         # CHAIN times the lanes of a sum

# Who multiplies a block.
cdef enum Multiplier:
    BY_BLAS = 0
    BY_BLOCKS = 1           # matmul.pxi
    BY_ROWS = 2             # few rows through a large matrix where it lies (dense.pxi)


cdef inline Py_ssize_t depth_of(int multiplier, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k) noexcept nogil:
    """Return how much of its depth k a product (m, n) adds up in one go, so that blocks are about equal."""
    cdef Py_ssize_t n_blocks = (k + DEEP - 1) // DEEP
    cdef Py_ssize_t depth = (k + n_blocks - 1) // n_blocks
    if multiplier == BY_ROWS:
        return min(depth, 4 * CHAIN)
    if multiplier == BY_BLAS and m * n * depth <= SMALL_GEMM:
        return min(depth, CHAIN)
    return depth


cdef void multiply_block(
    int multiplier, real* c, Py_ssize_t ldc, const real* a, Py_ssize_t lda, bint a_transposed,
    const real* b, Py_ssize_t ldb, bint b_transposed, real alpha, real beta, Py_ssize_t m, Py_ssize_t n,
    Py_ssize_t k
) noexcept nogil:
    """INOUT c (m, n) = alpha * op(a) (m, k) @ op(b) (k, n) + beta * c; by rows alpha is 1 and beta 0."""
    if multiplier == BY_BLOCKS:
        product(
            c, ldc, a, lda, a_transposed, b, ldb, b_transposed, <const real*>NULL, alpha, beta, False, m, n, k
        )
    elif multiplier == BY_BLAS:
        gemm(a_transposed, b_transposed, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
    elif multiplier == BY_ROWS and b_transposed and m == 1:
        row_product_transposed(c, a, b, ldb, k, n)
    elif multiplier == BY_ROWS and b_transposed:
        rows_product_transposed(c, ldc, a, lda, b, ldb, m, k, n)
    elif multiplier == BY_ROWS and m == 1:
        row_product(c, a, b, <const real*>NULL, n, k, ldb)
    else:
        rows_product(c, ldc, a, lda, b, ldb, m, n, k)


cdef void deep_product(
    int multiplier, real* c, Py_ssize_t ldc, const real* a, Py_ssize_t lda, bint a_transposed,
    const real* b, Py_ssize_t ldb, bint b_transposed, real alpha, real beta, Py_ssize_t m, Py_ssize_t n,
    Py_ssize_t k
) noexcept nogil:
    """`multiply_block` in as many blocks of the depth k as need be: part by part of c, added in float64."""
    cdef double sums[SUMS_AT_ONCE]
    cdef real part[SUMS_AT_ONCE]
    cdef real* corner
    cdef Py_ssize_t i = 0, j, p, q, r, height, width, depth = depth_of(multiplier, m, n, k)
    cdef Py_ssize_t widest = min(n, max(<Py_ssize_t>SUMS_OF_ROW, SUMS_AT_ONCE // m & -SUMS_OF_ROW))
    if depth >= k:
        multiply_block(multiplier, c, ldc, a, lda, a_transposed, b, ldb, b_transposed, alpha, beta, m, n, k)
        return
    while i < m:
        height, j = min(m - i, SUMS_AT_ONCE // widest), 0
        while j < n:
            width, p = min(n - j, widest), 0
            depth = depth_of(multiplier, height, width, k)     # the last part may be a small product
            for q in range(height * width):
                sums[q] = 0.0
            while p < k:
                multiply_block(
                    multiplier, part, width, a + (p * lda + i if a_transposed else i * lda + p), lda,
                    a_transposed, b + (j * ldb + p if b_transposed else p * ldb + j), ldb, b_transposed,
                    <real>1.0, <real>0.0, height, width, min(depth, k - p)
                )
                for q in range(height * width):
                    sums[q] = sums[q] + part[q]
                p += depth
            for r in range(height):
                corner = c + (i + r) * ldc + j
                for q in range(width):
                    put_scaled(corner + q, alpha, <real>sums[r * width + q], beta)
            j += width
        i += height


cdef bint deep_products(
    int path, real* c, Py_ssize_t ldc, const real* a, Py_ssize_t lda, bint a_transposed,
    const real* b, Py_ssize_t ldb, bint b_transposed, real alpha, real beta, Py_ssize_t m, Py_ssize_t n,
    Py_ssize_t k
) noexcept nogil:
    """The same on a path: by our blocks, by BLAS what they leave; return whether, not where one go does."""
    cdef Py_ssize_t whole = in_blocks(path, n) if path != PathCode.BLAS else 0
    cdef const real* rest = b + (whole * ldb if b_transposed else whole)
    if (
        depth_of(BY_BLOCKS, m, whole, k) >= k
        and (whole == n or depth_of(BY_BLAS, m, n - whole, k) >= k)
    ):
        return False
    if whole:
        deep_product(
            BY_BLOCKS, c, ldc, a, lda, a_transposed, b, ldb, b_transposed, alpha, beta, m, whole, k
        )
    if whole < n:
        deep_product(
            BY_BLAS, c + whole, ldc, a, lda, a_transposed, rest, ldb, b_transposed, alpha, beta, m, n - whole,
            k
        )
    return True


cdef inline void put_scaled(real* y, real alpha, real x, real beta) noexcept nogil:
    """INOUT y = alpha x + beta y; where beta is 0, y may be anything before."""
    y[0] = alpha * x + beta * y[0] if beta != 0 else alpha * x


cdef void many_row_sums(
    real* c, const real* x, real alpha, real beta, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """`row_sums` of more rows than it adds up in one go, of two columns or more."""
    cdef double sums[SUMS_AT_ONCE]
    cdef real part[SUMS_AT_ONCE]
    cdef Py_ssize_t i, j = 0, q, height, width, most = rows_in_one_go(n)
    while j < n:
        width, i = min(n - j, <Py_ssize_t>SUMS_AT_ONCE), 0
        for q in range(width):
            sums[q] = 0.0
        while i < m:
            height = min(most, m - i)
            if n >= LONG_ROW:
                long_row_sums(part, x + i * n + j, <real>1.0, <real>0.0, height, width, n)
            else:
                row_sums(part, x + i * n, <real>1.0, <real>0.0, height, n)
            for q in range(width):
                sums[q] = sums[q] + part[q]
            i += most
        for q in range(width):
            put_scaled(c + j + q, alpha, <real>sums[q], beta)
        j += width


cdef inline Py_ssize_t rows_in_one_go(Py_ssize_t n) noexcept nogil:
    """Return how many rows of n numbers `row_sums` adds up in one go; it takes short ones several at once."""
    return CHAIN * max(64 // max(n, 1), 1)


cdef real sum_of_many(const real* x, Py_ssize_t size) noexcept nogil:
    """`sum_of` of more numbers than it adds up in one go."""
    cdef double total = 0.0
    cdef Py_ssize_t begin = 0
    while begin < size:
        total += sum_of(x + begin, min(<Py_ssize_t>IN_LANES, size - begin))
        begin += IN_LANES
    return <real>total


cdef real inner_product_of_many(const real* a, const real* b, Py_ssize_t size) noexcept nogil:
    """Return the sum of a * b."""
    cdef double total = 0.0
    cdef Py_ssize_t begin = 0
    while begin < size:
        total += inner_product_of_rows(a + begin, b + begin, min(<Py_ssize_t>IN_LANES, size - begin))
        begin += IN_LANES
    return <real>total
