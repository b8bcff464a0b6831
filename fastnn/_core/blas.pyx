"""The only file that touches BLAS: row-major products over SciPy's BLAS.

Sizes are checked before a plan runs (`fastnn.compiler.verify`), so narrowing them to BLAS integers
here cannot overflow.  A fork waits until no thread is in here (`guards.hold_products`).
"""

from scipy.linalg.cython_blas cimport dgemm, dgemv, sgemm, sgemv

from fastnn._core.guards cimport begin_product, end_product


cdef void gemm(
    bint transpose_a, bint transpose_b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k,
    real alpha, const real* a, Py_ssize_t lda, const real* b, Py_ssize_t ldb,
    real beta, real* c, Py_ssize_t ldc,
) noexcept nogil:
    """INOUT c (m, n) = alpha * op(a) @ op(b) + beta * c; op(a) is (m, k), op(b) is (k, n).

    BLAS is column-major: it sees the transposes, so it computes c.T = op(b).T @ op(a).T.
    `c` may overlap neither `a` nor `b`.  With beta = 0, `c` need not be initialised.
    """
    cdef char ta = c'T' if transpose_a else c'N'
    cdef char tb = c'T' if transpose_b else c'N'
    cdef int im = <int>m, in_ = <int>n, ik = <int>k
    # A leading dimension is at least 1, even of a matrix without columns.
    cdef int ia = <int>max(lda, 1), ib = <int>max(ldb, 1), ic = <int>max(ldc, 1)
    begin_product()
    if real is float:
        sgemm(&tb, &ta, &in_, &im, &ik, &alpha, <float*>b, &ib, <float*>a, &ia, &beta, c, &ic)
    else:
        dgemm(&tb, &ta, &in_, &im, &ik, &alpha, <double*>b, &ib, <double*>a, &ia, &beta, c, &ic)
    end_product()


cdef void gemv(
    Py_ssize_t m, Py_ssize_t k, const real* a, Py_ssize_t lda, const real* x, real* y
) noexcept nogil:
    """OUT y (m,) = a (m, k) @ x (k,), which do not overlap."""
    cdef char ta = c'T'
    cdef int im = <int>m, ik = <int>k, ia = <int>max(lda, 1), one = 1
    cdef real alpha = 1.0, beta = 0.0
    begin_product()
    if real is float:
        sgemv(&ta, &ik, &im, &alpha, <float*>a, &ia, <float*>x, &one, &beta, y, &one)
    else:
        dgemv(&ta, &ik, &im, &alpha, <double*>a, &ia, <double*>x, &one, &beta, y, &one)
    end_product()
