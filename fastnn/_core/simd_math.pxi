# Elementary functions as inline scalar code that compilers vectorise: no calls, no branches,
# no tables.  Accuracy over the whole range, every SIMD level (tests/core/test_accuracy.py):
# exp 1.0 ULP, tanh 1.5, sigmoid 2.5, softplus 2.5, GELU 4, NaN and infinities as in C.  With AVX-512,
# tables that fit a register do tanh and sigmoid of float32 in half the time (avx512.h).
#
# exp(x) = 2^n * (1 + p(r)) with n = round(x / ln 2), r = x - n ln 2 in two parts, and
# p(r) = r + r^2 q(r), where q is the Chebyshev fit of (exp(r) - 1 - r) / r^2 on
# |r| <= 1.01 ln(2) / 2 (mpmath.chebyfit, 40 digits): 6 coefficients leave 1.8e-10 of exp,
# 11 leave 1.9e-19.  tanh(x) = x + x^3 t(x^2) for |x| < 0.75, with t fitted likewise: 6
# coefficients leave 6.6e-9, 13 leave 6.3e-18.  log(1 + u) = u - s (u - s^2 q(s^2)) for 0 <= u <= 1, with
# s = u / (2 + u), where q is fitted likewise, to 2 (atanh(s) / s - 1) / s^2: 5 coefficients leave 3.9e-10,
# 10 leave 4.9e-18.  The normal distribution below 0 is exp(-x^2 / 2) g(t) / (|x| + c) with
# t = (|x| - c) / (|x| + c), where g is fitted likewise, up to |x| = 14.5 and 39: c = 3 and 11 coefficients
# leave 1.2e-9 of it, c = 5 and 23 leave 1.2e-17.

cdef extern from "fastnn/_core/avx512.h":
    # Each returns how much it has done, 0 where there is no AVX-512.
    Py_ssize_t tanh_vectors "fastnn_tanh"(float* y, const float* x, Py_ssize_t size) noexcept nogil
    Py_ssize_t sigmoid_vectors "fastnn_sigmoid"(float* y, const float* x, Py_ssize_t size) noexcept nogil
    Py_ssize_t interleave_vectors "fastnn_interleave"(
        float* lines, Py_ssize_t line, const float* b, Py_ssize_t ldb, Py_ssize_t depth
    ) noexcept nogil
    Py_ssize_t fill_panel_vectors "fastnn_fill_panel"(
        float* panel, const float* b, Py_ssize_t ldb, Py_ssize_t depth, Py_ssize_t width
    ) noexcept nogil
    Py_ssize_t pack_vectors "fastnn_pack"(
        float* packed, const float* rows, Py_ssize_t row, Py_ssize_t depth
    ) noexcept nogil
    Py_ssize_t finish_vectors "fastnn_finish"(
        float* c, Py_ssize_t ldc, const float* sums, const float* bias, float alpha, float beta, bint relu,
        Py_ssize_t height, Py_ssize_t width
    ) noexcept nogil
    Py_ssize_t adam_vectors "fastnn_adam"(
        float* w, float* m, float* v, Py_ssize_t ld, const float* dw, Py_ssize_t lddw, float step,
        float decay, float a, float b, float epsilon, Py_ssize_t height, Py_ssize_t width
    ) noexcept nogil

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


cdef inline real scale_down(real x, real shifted) noexcept nogil:
    """Return x * 2^n for n <= 0 in two steps, so that results below the normal range come out right."""
    cdef FloatBits f
    cdef DoubleBits d
    if real is float:
        f.value = shifted       # 2^(n + 64), then 2^-64
        f.bits = (f.bits - <unsigned int>(0x4B400000 - 127 - 64)) << 23
        return x * f.value * <float>5.42101086242752217e-20
    else:
        d.value = shifted       # 2^(n + 512), then 2^-512
        d.bits = (d.bits - <unsigned long long>(0x4338000000000000 - 1023 - 512)) << 52
        return x * d.value * 7.4583407312002067433e-155


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


cdef inline real magnitude(real x) noexcept nogil:
    if real is float:
        return fabsf(x)
    else:
        return fabs(x)


cdef inline real with_sign_of(real x, real y) noexcept nogil:
    if real is float:
        return copysignf(x, y)
    else:
        return copysign(x, y)


cdef inline real exp_of(real x) noexcept nogil:
    """Return exp(x) for x <= 0, or NaN, which takes its way through the polynomial."""
    cdef real low, clamped, shifted, p
    if real is float:
        low = -104.0
    else:
        low = -746.0
    clamped = low if x < low else x
    shifted = exp_reduced(clamped, &p)
    return scale_down(<real>1.0 + p, shifted)


cdef inline real exp_anywhere(real x) noexcept nogil:
    """Return exp(x) for any x: infinity beyond the range, NaN for NaN."""
    cdef real low, high, clamped, shifted, p, half
    cdef FloatBits f
    cdef DoubleBits d
    if real is float:
        low, high = -104.0, 100.0
    else:
        low, high = -746.0, 720.0
    clamped = low if x < low else x
    clamped = high if clamped > high else clamped
    shifted = exp_reduced(clamped, &p)
    if real is float:
        f.value = shifted       # 2^(n + 64) * 2^-64, or 2^(n - 64) * 2^64, so that both are normal
        half = <float>1.8446744073709552e19 if x > 0 else <float>5.421010862427522e-20
        f.bits = (f.bits - <unsigned int>(0x4B400000 - 127) + (
            <unsigned int>(-64) if x > 0 else <unsigned int>64)) << 23
        return (<real>1.0 + p) * f.value * half
    else:
        d.value = shifted
        half = 1.3407807929942597e154 if x > 0 else 7.458340731200207e-155
        d.bits = (d.bits - <unsigned long long>(0x4338000000000000 - 1023) + (
            <unsigned long long>(-512) if x > 0 else <unsigned long long>512)) << 52
        return (<real>1.0 + p) * d.value * half


cdef inline real expm1_of(real x) noexcept nogil:
    """Return exp(x) - 1 for x <= 0, or NaN; the other half of the axis is not asked for."""
    cdef real low, clamped, shifted, p, scale
    if real is float:
        low = -30.0
    else:
        low = -60.0
    clamped = low if x < low else x
    shifted = exp_reduced(clamped, &p)
    scale = power_of_two(shifted)
    return (scale - <real>1.0) + scale * p


cdef inline real sigmoid_of(real x) noexcept nogil:
    # exp of -|x| never overflows; small results keep their relative accuracy.
    cdef real z, numerator
    z = exp_of(-magnitude(x))
    numerator = <real>1.0 if x > 0 else z
    return numerator / (<real>1.0 + z)


cdef inline real log1p_of(real u) noexcept nogil:
    """Return log(1 + u) for -1/2 <= u <= 1, or NaN; small results keep their relative accuracy."""
    cdef real s, z, q
    s = u / (<real>2.0 + u)
    z = s * s
    if real is float:
        q = <float>0.23230255606896358432
        q = q * z + <float>0.21705427072838566374
        q = q * z + <float>0.28592426074668263155
        q = q * z + <float>0.39999705079008654409
        q = q * z + <float>0.66666667323975009361
    else:
        q = 0.16172973765164870654
        q = q * z + 0.087965270266740580494
        q = q * z + 0.12001897520703771287
        q = q * z + 0.13314057480122863295
        q = q * z + 0.15385575355515837975
        q = q * z + 0.18181789247591536337
        q = q * z + 0.22222222721178221415
        q = q * z + 0.28571428567071667749
        q = q * z + 0.40000000000014722625
        q = q * z + 0.66666666666666658475
    return u - s * (u - z * q)


cdef inline double log_anywhere(double x) noexcept nogil:
    """Return log(x) for any x: -infinity for 0, NaN below, infinity and NaN for themselves."""
    cdef DoubleBits d, e
    cdef double scaled, mantissa, exponent, result
    cdef unsigned long long high
    scaled = x * 18014398509481984.0 if x < 2.2250738585072014e-308 else x     # 2^54: normal
    d.value = scaled
    high = d.bits + <unsigned long long>(0x3FF0000000000000 - 0x3FE6A09E667F3BCD)
    e.bits = (high >> 52) | <unsigned long long>0x4330000000000000      # 2^52 + exponent + bias
    exponent = e.value - (4503599627370496.0 + 1023.0)
    d.bits = (high & <unsigned long long>0x000FFFFFFFFFFFFF) + <unsigned long long>0x3FE6A09E667F3BCD
    mantissa = d.value      # between the roots of 1/2 and of 2
    exponent = exponent - 54.0 if x < 2.2250738585072014e-308 else exponent
    result = exponent * 0.6931471803691238 + (
        log1p_of(mantissa - 1.0) + exponent * 1.9082149292705878161e-10
    )
    result = result if x <= 1.7976931348623157e308 else x      # infinity, NaN
    return result if x > 0 else (-INFINITY if x == 0 else NAN)


cdef inline real softplus_of(real x) noexcept nogil:
    # exp of -|x| never overflows; far below 0 it is the result.
    return (<real>0.0 if x <= 0 else x) + log1p_of(exp_of(-magnitude(x)))


cdef inline real tanh_rest(real z) noexcept nogil:
    """Return t of tanh(x) = x + x^3 t for z = x^2 up to 0.5625."""
    cdef real t
    if real is float:
        t = <float>0.0019095024520666552373
        t = t * z + <float>-0.007933807623248753219
        t = t * z + <float>0.02161531889813857323
        t = t * z + <float>-0.053935853550589755223
        t = t * z + <float>0.13333179635256998753
        t = t * z + <float>-0.33333332136357082163
    else:
        t = -1.6408599646831444073e-6
        t = t * z + 0.000010048053928129498683
        t = t * z + -0.000034494724699982169173
        t = t * z + 0.000094247629764935803356
        t = t * z + -0.00023809406936979282388
        t = t * z + 0.00058974699869533278377
        t = t * z + -0.0014557818253310692292
        t = t * z + 0.0035921213885060419569
        t = t * z + -0.0088632349874391012253
        t = t * z + 0.021869488509711037305
        t = t * z + -0.053968253967582075464
        t = t * z + 0.13333333333332660726
        t = t * z + -0.33333333333333332215
    return t


cdef inline real tanh_of(real x) noexcept nogil:
    # Near 0 a polynomial; beyond, 1 - 2 / (exp(2|x|) + 1), in which exp's error has shrunk.
    # NaN comes through both.
    cdef real limit, a, z, near, far, shifted, p
    if real is float:
        limit = 10.0
    else:
        limit = 20.0
    a = magnitude(x)
    a = limit if a > limit else a
    shifted = exp_reduced(a + a, &p)
    z = power_of_two(shifted)
    far = with_sign_of(<real>1.0 - <real>2.0 / ((z + z * p) + <real>1.0), x)
    z = a * a
    near = x * (tanh_rest(z) * z + <real>1.0)       # a product: keeps -0.0
    return far if z > <real>0.5625 else near


cdef inline real within(real x, real limit) noexcept nogil:
    """Return x, or if that is nearer to 0, the limit with its sign; NaN for NaN."""
    x = limit if x > limit else x
    return -limit if x < -limit else x


cdef inline real root_of(real x) noexcept nogil:
    if real is float:
        return sqrtf(x)
    else:
        return sqrt(x)


cdef inline real hard_sigmoid_of(real x) noexcept nogil:
    """Return x / 6 + 0.5, but at least 0 and at most 1."""
    cdef real z = x + <real>3.0
    z = <real>0.0 if z < 0 else z
    z = <real>6.0 if z > 6 else z
    return z / <real>6.0


cdef inline real gelu_score(real x) noexcept nogil:
    """Return 2 sqrt(2 / pi) (x + 0.044715 x^3), whose sigmoid is near to `share_below`."""
    return x * (<real>1.5957691216057308 + <real>0.07135481627260025 * (x * x))


cdef inline real share_below(real x, real* density) noexcept nogil:
    """Return the share of a standard normal distribution below x, and set its density there."""
    # exp(-x^2 / 2) times g(t) / (|x| + c) below 0, where no digits cancel; the square in two parts, as its
    # rounding would be multiplied by x^2.
    cdef FloatBits f
    cdef DoubleBits d
    cdef real a, high, large, small, h, e, c, t, g, tail
    a = magnitude(x)
    if real is float:
        a = <float>20.0 if a > 20 else a
        f.value = a
        f.bits = f.bits & <unsigned int>0xFFFFF000
        high, c = f.value, 3.0
    else:
        a = 40.0 if a > 40 else a
        d.value = a
        d.bits = d.bits & <unsigned long long>0xFFFFFFFFF8000000
        high, c = d.value, 5.0
    large = high * high * <real>0.5
    small = (a - high) * (a + high) * <real>0.5
    h = -(large + small)
    e = exp_of(h)
    e = e + e * ((-large - h) - small)
    density[0] = e * <real>0.39894228040143267794
    t = (a - c) / (a + c)
    if real is float:
        g = <float>5.5355966295437997518e-5
        g = g * t + <float>1.331259087505261264e-4
        g = g * t + <float>-2.4458266635030283877e-4
        g = g * t + <float>-0.0010342220593040599595
        g = g * t + <float>0.0010241357110211652075
        g = g * t + <float>0.0069698131313015088302
        g = g * t + <float>-0.010462293756020216735
        g = g * t + <float>-0.047262745275900215694
        g = g * t + <float>0.23001767766349003359
        g = g * t + <float>-0.50933198954028234501
        g = g * t + <float>0.72908369069624986858
    else:
        g = -1.5877468827473365378e-10
        g = g * t + 1.7530484014082319805e-9
        g = g * t + 7.6630718007600410458e-9
        g = g * t + -9.3135609943260591435e-9
        g = g * t + -6.5942216624772230429e-8
        g = g * t + 4.2274993740065348384e-8
        g = g * t + 4.3314103568625849535e-7
        g = g * t + -3.3661536810124711722e-7
        g = g * t + -2.7692670959974302454e-6
        g = g * t + 3.9809021578680411194e-6
        g = g * t + 1.6681213742042061453e-5
        g = g * t + -4.976281427058580517e-5
        g = g * t + -5.9375728009915863678e-5
        g = g * t + 5.4489906477312989385e-4
        g = g * t + -7.9786939846607010544e-4
        g = g * t + -0.0029933767705085424387
        g = g * t + 0.020795066799883179639
        g = g * t + -0.069118638706310163575
        g = g * t + 0.16502036617038471792
        g = g * t + -0.3135331566713045447
        g = g * t + 0.49530561596997641327
        g = g * t + -0.66538250289005670039
        g = g * t + 0.76919304975006295856
    tail = e * (g / (a + c))
    return tail if x < 0 else <real>1.0 - tail


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
    if real is float:
        if size > IN_LANES:
            return sum_of_many(x, size)
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
