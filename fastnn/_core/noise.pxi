# Layers that draw: each element has a random number of its own (random.pxd), which is made again where the
# way back needs it, instead of being kept.

from fastnn._core.random cimport draw_along, stream

cdef extern from "fastnn/_core/normal.h":
    # Of float or double, as the first argument says.
    void normals "fastnn_normals"(
        void* z, const unsigned int* bits, Py_ssize_t count, double scale
    ) noexcept nogil


cdef inline unsigned long long key_of(const Bound* bound, const Frame* frame) noexcept nogil:
    """Return the key of what an op draws in the step at hand."""
    return stream(frame.key, <unsigned long long>constants_of(bound)[1])


cdef inline void draw(
    unsigned int* bits, unsigned long long key, Py_ssize_t row, Py_ssize_t column, Py_ssize_t n,
    Py_ssize_t count
) noexcept nogil:
    """OUT bits: the numbers of `count` elements that follow each other in rows of n, and up to 16 more."""
    cdef Py_ssize_t done = 0, size, j
    while done < count:
        size = min(n - column, count - done)
        draw_along(bits + done, stream(key, row), column, size)
        done += size
        row, column = row + 1, 0
    for j in range(16):
        bits[count + j] = 0


cdef Status noise_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    """OUT y (m, n): x with noise, or, where a random number says so, 0, or a number instead; y may be x.

    Numbers of rows are those in the batch.  x is copied, as loops are not vectorised where y is what they
    read.
    """
    cdef const double* c = constants_of(bound)      # rate or stddev, the op's stream, then those of alpha
    cdef int code = bound.op.code
    cdef Py_ssize_t n = columns_of(bound, 0), size = size_of(bound), first = 0, count, i
    cdef unsigned long long key = key_of(bound, frame)
    cdef unsigned int bits[DRAWN_AT_ONCE + 16]
    cdef real z[DRAWN_AT_ONCE]
    cdef real before[DRAWN_AT_ONCE]
    cdef unsigned int least = <unsigned int>(c[0] * 4294967296.0) if c[0] < 1.0 else 0xFFFFFFFF
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
    while first < size:
        count = min(size - first, <Py_ssize_t>DRAWN_AT_ONCE)
        draw(bits, key, bound.begin + first // n, first % n, n, count)
        memcpy(before, x + first, count * sizeof(real))
        if code == OpCode.DROPOUT:
            for i in range(count):
                y[first + i] = scale * before[i] if bits[i] >= least else <real>0.0
        elif code == OpCode.ALPHA_DROPOUT:
            for i in range(count):
                y[first + i] = scale * before[i] + shift if bits[i] >= least else dropped
        else:
            normals(&z[0], bits, count, c[0])
            if code == OpCode.GAUSSIAN_NOISE:
                for i in range(count):
                    y[first + i] = before[i] + z[i]
            else:
                for i in range(count):
                    y[first + i] = before[i] * (<real>1.0 + z[i])
        first += count
    return Status.OK


enter(PathCode.BLAS, OpCode.DROPOUT, noise_op[float], noise_op[double])
enter(PathCode.BLAS, OpCode.ALPHA_DROPOUT, noise_op[float], noise_op[double])
enter(PathCode.BLAS, OpCode.GAUSSIAN_NOISE, noise_op[float], noise_op[double])
enter(PathCode.BLAS, OpCode.GAUSSIAN_DROPOUT, noise_op[float], noise_op[double])
