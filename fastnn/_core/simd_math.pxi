# Elementary functions as inline scalar code that compilers vectorise: no calls, no branches,
# no tables.  Accuracy over the whole range, every SIMD level (tests/core/test_accuracy.py):
# exp 1.0 ULP, tanh 1.5, sigmoid 2.5, NaN and infinities as in C.
#
# exp(x) = 2^n * (1 + p(r)) with n = round(x / ln 2), r = x - n ln 2 in two parts, and
# p(r) = r + r^2 q(r), where q is the Chebyshev fit of (exp(r) - 1 - r) / r^2 on
# |r| <= 1.01 ln(2) / 2 (mpmath.chebyfit, 40 digits): 6 coefficients leave 1.8e-10 of exp,
# 11 leave 1.9e-19.  tanh(x) = x + x^3 t(x^2) for |x| < 0.75, with t fitted likewise: 6
# coefficients leave 6.6e-9, 13 leave 6.3e-18.

cdef union FloatBits:
    float value
    unsigned int bits

cdef union DoubleBits:
    double value
    unsigned long long bits


cdef inline real exp_reduced(real x, real* expm1_r) noexcept nogil:
    """Return n + 1.5 * 2^(digits - 1), whose low bits are n, and set expm1_r to exp(r) - 1."""
    cdef real shifted, n, r, q
    if real is float:
        shifted = x * <float>1.44269504088896340736 + <float>12582912.0
        n = shifted - <float>12582912.0
        r = x - n * <float>0.693145751953125
        r = r - n * <float>1.42860682031e-6
        q = <float>0.00019891981313977690212
        q = q * r + <float>0.0013934541928270264477
        q = q * r + <float>0.0083333100242252924299
        q = q * r + <float>0.041666456809677876034
        q = q * r + <float>0.16666666682534356071
        q = q * r + <float>0.50000000142862234172
    else:
        shifted = x * 1.44269504088896340736 + 6755399441055744.0
        n = shifted - 6755399441055744.0
        r = x - n * 0.6931471803691238
        r = r - n * 1.9082149292705878161e-10
        q = 2.0915442297780115216e-9
        q = q * r + 2.5106274733573294687e-8
        q = q * r + 2.7557271810219799569e-7
        q = q * r + 2.7557252833516909748e-6
        q = q * r + 0.000024801587327007186731
        q = q * r + 0.00019841269876864354929
        q = q * r + 0.0013888888888883326674
        q = q * r + 0.0083333333333255446996
        q = q * r + 0.041666666666666670074
        q = q * r + 0.16666666666666671438
        q = q * r + 0.5
    expm1_r[0] = r + r * r * q
    return shifted


cdef inline real scale_by_power(real x, real shifted) noexcept nogil:
    """Return x * 2^n in two steps, so that results below the normal range come out right."""
    cdef FloatBits f, g
    cdef DoubleBits d, e
    cdef unsigned int u, half
    cdef unsigned long long v, half_v
    if real is float:
        f.value = shifted
        u = f.bits - <unsigned int>(0x4B400000 - 256)
        half = u >> 1
        f.bits = (half - 1) << 23
        g.bits = (u - half - 1) << 23
        return x * f.value * g.value
    else:
        d.value = shifted
        v = d.bits - <unsigned long long>(0x4338000000000000 - 2048)
        half_v = v >> 1
        d.bits = (half_v - 1) << 52
        e.bits = (v - half_v - 1) << 52
        return x * d.value * e.value


cdef inline real power_of_two(real shifted) noexcept nogil:
    """Return 2^n for n within the normal range."""
    cdef FloatBits f
    cdef DoubleBits d
    if real is float:
        f.value = shifted
        f.bits = (f.bits - <unsigned int>(0x4B400000 - 127)) << 23
        return f.value
    else:
        d.value = shifted
        d.bits = (d.bits - <unsigned long long>(0x4338000000000000 - 1023)) << 52
        return d.value


cdef inline real exp_of(real x) noexcept nogil:
    cdef real low, high, clamped, shifted, p, y
    if real is float:
        low, high = -104.0, 89.0
    else:
        low, high = -746.0, 710.0
    clamped = x if x > low else low     # NaN takes the safe branch
    clamped = clamped if clamped < high else high
    shifted = exp_reduced(clamped, &p)
    y = scale_by_power(<real>1.0 + p, shifted)
    return y if x == x else x


cdef inline real sigmoid_of(real x) noexcept nogil:
    # exp of -|x| never overflows; small results keep their relative accuracy.
    cdef real z, numerator
    z = exp_of(-x if x > 0 else x)
    numerator = <real>1.0 if x > 0 else z
    return numerator / (<real>1.0 + z)


cdef inline real tanh_of(real x) noexcept nogil:
    # Near 0 a polynomial; beyond, 1 - 2 / (exp(2|x|) + 1), in which exp's error has shrunk.
    cdef real limit, a, z, near, far, shifted, p
    if real is float:
        limit = 10.0
    else:
        limit = 20.0
    a = x if x > 0 else -x
    a = a if a < limit else limit       # NaN takes the safe branch
    shifted = exp_reduced(a + a, &p)
    z = power_of_two(shifted)
    far = <real>1.0 - <real>2.0 / ((z + z * p) + <real>1.0)
    far = far if x > 0 else -far
    z = a * a
    if real is float:
        near = <float>0.0019095024520666552373
        near = near * z + <float>-0.007933807623248753219
        near = near * z + <float>0.02161531889813857323
        near = near * z + <float>-0.053935853550589755223
        near = near * z + <float>0.13333179635256998753
        near = near * z + <float>-0.33333332136357082163
    else:
        near = -1.6408599646831444073e-6
        near = near * z + 0.000010048053928129498683
        near = near * z + -0.000034494724699982169173
        near = near * z + 0.000094247629764935803356
        near = near * z + -0.00023809406936979282388
        near = near * z + 0.00058974699869533278377
        near = near * z + -0.0014557818253310692292
        near = near * z + 0.0035921213885060419569
        near = near * z + -0.0088632349874391012253
        near = near * z + 0.021869488509711037305
        near = near * z + -0.053968253967582075464
        near = near * z + 0.13333333333332660726
        near = near * z + -0.33333333333333332215
    near = x + x * (z * near)
    near = near if z < <real>0.5625 else far
    return near if x * x > 0 else x     # keeps -0.0 and NaN; x * x underflows only where tanh x = x


cdef inline real lane_sum(const real* lanes) noexcept nogil:
    """Sum 16 lanes in one fixed order."""
    cdef real s8[8]
    cdef Py_ssize_t j
    for j in range(8):
        s8[j] = lanes[j] + lanes[j + 8]
    return ((s8[0] + s8[4]) + (s8[2] + s8[6])) + ((s8[1] + s8[5]) + (s8[3] + s8[7]))


cdef inline real sum_of(const real* x, Py_ssize_t size) noexcept nogil:
    """Sum in 16 lanes, the same bits at every SIMD level."""
    cdef real lanes[16]
    cdef Py_ssize_t i, j, whole = size - size % 16
    for j in range(16):
        lanes[j] = 0.0
    for i in range(0, whole, 16):
        for j in range(16):
            lanes[j] = lanes[j] + x[i + j]
    for i in range(whole, size):
        lanes[i - whole] = lanes[i - whole] + x[i]
    return lane_sum(lanes)


cdef inline double sum_of_squares(const real* x, Py_ssize_t size) noexcept nogil:
    """Sum of squares in 16 lanes of float64."""
    cdef double lanes[16]
    cdef Py_ssize_t i, j, whole = size - size % 16
    for j in range(16):
        lanes[j] = 0.0
    for i in range(0, whole, 16):
        for j in range(16):
            lanes[j] = lanes[j] + <double>x[i + j] * <double>x[i + j]
    for i in range(whole, size):
        lanes[i - whole] = lanes[i - whole] + <double>x[i] * <double>x[i]
    return lane_sum(lanes)


cdef inline real maximum_of(const real* x, Py_ssize_t size) noexcept nogil:
    """Largest of size >= 1 numbers; NaN is passed over, and met again by what uses the result."""
    cdef real lanes[16]
    cdef real best
    cdef Py_ssize_t i, j, whole = size - size % 16
    for j in range(16):
        lanes[j] = x[0]
    for i in range(0, whole, 16):
        for j in range(16):
            lanes[j] = x[i + j] if x[i + j] > lanes[j] else lanes[j]
    for i in range(whole, size):
        lanes[i - whole] = x[i] if x[i] > lanes[i - whole] else lanes[i - whole]
    best = lanes[0]
    for j in range(1, 16):
        best = lanes[j] if lanes[j] > best else best
    return best
