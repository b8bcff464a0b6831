from fastnn._core.types cimport real

cdef void gemm(
    bint transpose_a, bint transpose_b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k,
    real alpha, const real* a, Py_ssize_t lda, const real* b, Py_ssize_t ldb,
    real beta, real* c, Py_ssize_t ldc,
) noexcept nogil

cdef void gemv(
    Py_ssize_t m, Py_ssize_t k, const real* a, Py_ssize_t lda, const real* x, real* y
) noexcept nogil
