# Numbers become bins, and bins or categories columns: of 0 and 1, or of counts.
#
# Tensors of the batch are (m, ...) with adjacent rows.

cdef enum:
    AS_NUMBERS = 0
    ONE_HOT = 1         # for each number of a row a part of its own
    MULTI_HOT = 2       # one part, with 1 for each category that occurs
    COUNTED = 3         # one part, with how often it occurs


cdef inline void put_category(
    real* y, Py_ssize_t category, Py_ssize_t place, Py_ssize_t depth, int mode
) noexcept nogil:
    """INOUT y, one row: note the category of number `place` of the row."""
    if mode == AS_NUMBERS:
        y[place] = <real>category
    elif mode == ONE_HOT:
        y[place * depth + category] = <real>1.0
    elif mode == MULTI_HOT:
        y[category] = <real>1.0
    else:
        y[category] = y[category] + <real>1.0


cdef void discretize(
    real* y, const real* x, const real* w, int mode, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, Py_ssize_t bins
) noexcept nogil:
    """OUT y (m, n): of each number of x (m, k) how many of the sorted bounds w (bins,) it reaches.

    NaN reaches all of them.
    """
    cdef Py_ssize_t i, j, low, high, middle
    for i in range(m):
        memset(y + i * n, 0, n * sizeof(real))
        for j in range(k):
            low, high = 0, bins
            while low < high:
                middle = (low + high) // 2
                if x[i * k + j] < w[middle]:
                    high = middle
                else:
                    low = middle + 1
            put_category(y + i * n, low, j, bins + 1, mode)


cdef void encode_categories(
    real* y, const real* x, int mode, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k
) noexcept nogil:
    """OUT y (m, n): columns for the whole numbers x (m, k), which are below the columns of a part."""
    cdef Py_ssize_t i, j, depth = n // k if mode == ONE_HOT else n
    for i in range(m):
        memset(y + i * n, 0, n * sizeof(real))
        for j in range(k):
            put_category(y + i * n, <Py_ssize_t>x[i * k + j], j, depth, mode)


cdef Status category_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    cdef int mode = <int>constants_of(bound)[0]
    cdef Py_ssize_t m = rows_of(bound), n = columns_of(bound, 0), k = columns_of(bound, 1)
    if bound.op.code == OpCode.DISCRETIZE:
        discretize(at[0], at[1], at[2], mode, m, n, k, columns_of(bound, 2))
    else:
        encode_categories(at[0], at[1], mode, m, n, k)
    return Status.OK


enter(PathCode.BLAS, OpCode.DISCRETIZE, category_op[float], category_op[double])
enter(PathCode.BLAS, OpCode.ENCODE_CATEGORIES, category_op[float], category_op[double])
