# Layers that draw: each element has a random number of its own (random.pxd), which is made again where the
# way back needs it, instead of being kept.

from fastnn._core.random cimport drawn, stream

cdef extern from "fastnn/_core/normal.h":
    double normal_of "fastnn_normal"(double u, double scale) noexcept nogil


cdef enum:
    HALF = 0x80000000       # of the numbers of 32 bits


cdef void dropout(
    real* y, const real* x, unsigned long long key, double rate, Py_ssize_t first, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """OUT y (m, n) = x / (1 - rate) where a random number says so, else 0; y may be x.

    `first` is the number of the first row in its batch.
    """
    cdef Py_ssize_t i, j
    cdef unsigned long long row
    cdef unsigned int low, high, least = <unsigned int>(rate * 4294967296.0) if rate < 1.0 else 0
    cdef real scale = <real>(1.0 / (1.0 - rate)) if rate < 1.0 else <real>0.0
    for i in range(m):
        row = stream(key, first + i)
        low, high = <unsigned int>row, <unsigned int>(row >> 32)
        for j in range(n):
            y[i * n + j] = (
                scale * x[i * n + j] if drawn(low, high, <unsigned int>j) >= least else <real>0.0
            )


cdef void gaussian_noise(
    real* y, const real* x, unsigned long long key, double stddev, Py_ssize_t first, Py_ssize_t m,
    Py_ssize_t n
) noexcept nogil:
    """OUT y (m, n) = x + stddev * a standard normal number each; y may be x.  `first` as in `dropout`."""
    cdef Py_ssize_t i, j
    cdef unsigned long long row
    cdef unsigned int low, high, h
    cdef double z
    for i in range(m):
        row = stream(key, first + i)
        low, high = <unsigned int>row, <unsigned int>(row >> 32)
        for j in range(n):
            h = drawn(low, high, <unsigned int>j)
            z = normal_of((<double>(h if h < HALF else ~h) + 0.5) * 2.3283064365386963e-10, stddev)
            y[i * n + j] = x[i * n + j] + <real>(z if h < HALF else -z)


cdef void gaussian_dropout(
    real* y, const real* x, unsigned long long key, double stddev, Py_ssize_t first, Py_ssize_t m,
    Py_ssize_t n
) noexcept nogil:
    """OUT y (m, n) = x times a normal number with mean 1 each; y may be x.  `first` as in `dropout`."""
    cdef Py_ssize_t i, j
    cdef unsigned long long row
    cdef unsigned int low, high, h
    cdef double z
    for i in range(m):
        row = stream(key, first + i)
        low, high = <unsigned int>row, <unsigned int>(row >> 32)
        for j in range(n):
            h = drawn(low, high, <unsigned int>j)
            z = normal_of((<double>(h if h < HALF else ~h) + 0.5) * 2.3283064365386963e-10, stddev)
            y[i * n + j] = x[i * n + j] * <real>(1.0 + (z if h < HALF else -z))


cdef void alpha_dropout(
    real* y, const real* x, unsigned long long key, double rate, double scale_, double dropped_,
    Py_ssize_t first, Py_ssize_t m, Py_ssize_t n
) noexcept nogil:
    """OUT y (m, n) = `dropped` with probability `rate`, else scale x - dropped rate / (1 - rate); y may be x.

    The mean stays if x has the mean 0.  `first` as in `dropout`.
    """
    cdef Py_ssize_t i, j
    cdef unsigned long long row
    cdef unsigned int low, high, least = <unsigned int>(rate * 4294967296.0) if rate < 1.0 else 0xFFFFFFFF
    cdef real scale = <real>scale_, dropped = <real>dropped_, shift = <real>0.0
    if rate < 1.0:
        shift = <real>(-dropped_ * rate / (1.0 - rate))
    for i in range(m):
        row = stream(key, first + i)
        low, high = <unsigned int>row, <unsigned int>(row >> 32)
        for j in range(n):
            y[i * n + j] = (
                scale * x[i * n + j] + shift if drawn(low, high, <unsigned int>j) >= least else dropped
            )


cdef inline unsigned long long key_of(const Bound* bound, const Frame* frame) noexcept nogil:
    """Return the key of what an op draws in the step at hand."""
    return stream(frame.key, <unsigned long long>constants_of(bound)[1])


cdef Status dropout_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    dropout(
        at[0], at[1], key_of(bound, frame), constants_of(bound)[0], bound.begin, rows_of(bound),
        columns_of(bound, 0)
    )
    return Status.OK


enter(PathCode.BLAS, OpCode.DROPOUT, dropout_op[float], dropout_op[double])


cdef Status gaussian_noise_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    gaussian_noise(
        at[0], at[1], key_of(bound, frame), constants_of(bound)[0], bound.begin, rows_of(bound),
        columns_of(bound, 0)
    )
    return Status.OK


enter(PathCode.BLAS, OpCode.GAUSSIAN_NOISE, gaussian_noise_op[float], gaussian_noise_op[double])


cdef Status gaussian_dropout_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    gaussian_dropout(
        at[0], at[1], key_of(bound, frame), constants_of(bound)[0], bound.begin, rows_of(bound),
        columns_of(bound, 0)
    )
    return Status.OK


enter(PathCode.BLAS, OpCode.GAUSSIAN_DROPOUT, gaussian_dropout_op[float], gaussian_dropout_op[double])


cdef Status alpha_dropout_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    cdef const double* constants = constants_of(bound)
    alpha_dropout(
        at[0], at[1], key_of(bound, frame), constants[0], constants[2], constants[3], bound.begin,
        rows_of(bound), columns_of(bound, 0)
    )
    return Status.OK


enter(PathCode.BLAS, OpCode.ALPHA_DROPOUT, alpha_dropout_op[float], alpha_dropout_op[double])
