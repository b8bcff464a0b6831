# Layers that draw: each element has a random number of its own (random.pxd), which is made again where the
# way back needs it, instead of being kept.

from fastnn._core.random cimport drawn, stream

cdef extern from "fastnn/_core/normal.h":
    double normal_of "fastnn_normal"(double u, double scale) noexcept nogil


cdef enum:
    HALF = 0x80000000       # of the numbers of 32 bits


cdef inline double normal_from(unsigned int h, double stddev) noexcept nogil:
    """Return a normal number with mean 0 that is made of 32 random bits."""
    cdef double z = normal_of((<double>(h if h < HALF else ~h) + 0.5) * 2.3283064365386963e-10, stddev)
    return z if h < HALF else -z


cdef inline unsigned long long key_of(const Bound* bound, const Frame* frame) noexcept nogil:
    """Return the key of what an op draws in the step at hand."""
    return stream(frame.key, <unsigned long long>constants_of(bound)[1])


cdef Status noise_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    """OUT y (m, n): x with noise, or, where a random number says so, 0, or a number instead; y may be x.

    Numbers of rows are those in the batch.
    """
    cdef const double* c = constants_of(bound)      # rate or stddev, the op's stream, then those of alpha
    cdef int code = bound.op.code
    cdef Py_ssize_t r, j, n = columns_of(bound, 0)
    cdef unsigned long long row, key = key_of(bound, frame)
    cdef unsigned int low, high, least = <unsigned int>(c[0] * 4294967296.0) if c[0] < 1.0 else 0xFFFFFFFF
    cdef real scale, shift = <real>0.0, dropped = <real>c[3]
    cdef real* y = at[0]
    cdef const real* x = at[1]
    if code == OpCode.ALPHA_DROPOUT:    # the mean stays if x has the mean 0
        scale = <real>c[2]
        if c[0] < 1.0:
            shift = <real>(-c[3] * c[0] / (1.0 - c[0]))
    elif c[0] < 1.0:
        scale = <real>(1.0 / (1.0 - c[0]))
    else:
        scale, least = <real>0.0, 0
    for r in range(bound.begin, bound.end):
        row = stream(key, r)
        low, high = <unsigned int>row, <unsigned int>(row >> 32)
        if code == OpCode.DROPOUT:
            for j in range(n):
                y[j] = scale * x[j] if drawn(low, high, <unsigned int>j) >= least else <real>0.0
        elif code == OpCode.ALPHA_DROPOUT:
            for j in range(n):
                y[j] = scale * x[j] + shift if drawn(low, high, <unsigned int>j) >= least else dropped
        elif code == OpCode.GAUSSIAN_NOISE:
            for j in range(n):
                y[j] = x[j] + <real>normal_from(drawn(low, high, <unsigned int>j), c[0])
        else:
            for j in range(n):
                y[j] = x[j] * <real>(1.0 + normal_from(drawn(low, high, <unsigned int>j), c[0]))
        y += n
        x += n
    return Status.OK


enter(PathCode.BLAS, OpCode.DROPOUT, noise_op[float], noise_op[double])
enter(PathCode.BLAS, OpCode.ALPHA_DROPOUT, noise_op[float], noise_op[double])
enter(PathCode.BLAS, OpCode.GAUSSIAN_NOISE, noise_op[float], noise_op[double])
enter(PathCode.BLAS, OpCode.GAUSSIAN_DROPOUT, noise_op[float], noise_op[double])
