# Update rules and the L2 regulariser, in place on `size` elements of a parameter and its state.
# `l2` is the regulariser's factor: the gradient used is dw + 2 l2 w.

cdef void l2_gradient(real* dw, const real* w, double l2, Py_ssize_t size) noexcept nogil:
    """INOUT dw += 2 l2 w."""
    cdef Py_ssize_t i
    cdef real factor = <real>(2.0 * l2)
    for i in range(size):
        dw[i] = dw[i] + factor * w[i]


cdef void sgd(real* w, const real* dw, double rate, double l2, Py_ssize_t size) noexcept nogil:
    """INOUT w -= rate * (dw + 2 l2 w)."""
    cdef Py_ssize_t i
    cdef real step = <real>rate, keep = <real>(1.0 - 2.0 * rate * l2)
    for i in range(size):
        w[i] = keep * w[i] - step * dw[i]


cdef void momentum(
    real* w, real* v, const real* dw, double rate, double l2, double momentum_, bint nesterov, Py_ssize_t size
) noexcept nogil:
    """INOUT v = momentum v - rate g, w += v, or w += momentum v - rate g with Nesterov."""
    cdef Py_ssize_t i
    cdef real step = <real>rate, decay = <real>(2.0 * l2), mu = <real>momentum_, change
    if nesterov:
        for i in range(size):
            change = step * (dw[i] + decay * w[i])
            v[i] = mu * v[i] - change
            w[i] = w[i] + mu * v[i] - change
    else:
        for i in range(size):
            v[i] = mu * v[i] - step * (dw[i] + decay * w[i])
            w[i] = w[i] + v[i]


cdef extern from *:
    """
    #if defined(__AVX512F__) && (defined(__GNUC__) || defined(__clang__))
    #include <immintrin.h>
    /* Adam on whole vectors; returns how many elements that was.  The root is an estimate of 14 bits and a
       step of Newton's, within 1 ULP, so that the divider, which takes 10 cycles for 16 numbers, has only the
       quotient to do: 0.22 ns an element, with its root 0.38.  What the estimate cannot do (0, below the
       normal range, infinity, NaN) goes there. */
    static inline Py_ssize_t fastnn_adam_vectors(
        float* w, float* m, float* v, const float* dw, float step, float decay, float a, float b,
        float epsilon, Py_ssize_t size
    ) {
        const __m512 smallest = _mm512_set1_ps(1.17549435e-38f), largest = _mm512_set1_ps(3.40282347e+38f);
        const __m512 half = _mm512_set1_ps(0.5f);
        Py_ssize_t i, whole = size - size % 16;
        for (i = 0; i < whole; i += 16) {
            __m512 weight = _mm512_loadu_ps(w + i), mean = _mm512_loadu_ps(m + i);
            __m512 square = _mm512_loadu_ps(v + i), estimate, root, error;
            __m512 g = _mm512_fmadd_ps(_mm512_set1_ps(decay), weight, _mm512_loadu_ps(dw + i));
            __mmask16 normal;
            mean = _mm512_fmadd_ps(_mm512_set1_ps(a), _mm512_sub_ps(g, mean), mean);
            square = _mm512_fmadd_ps(_mm512_set1_ps(b), _mm512_fmsub_ps(g, g, square), square);
            normal = _mm512_mask_cmp_ps_mask(
                _mm512_cmp_ps_mask(square, smallest, _CMP_GE_OQ), square, largest, _CMP_LE_OQ);
            if (normal == 0xFFFF) {
                estimate = _mm512_rsqrt14_ps(square);
                root = _mm512_mul_ps(square, estimate);
                error = _mm512_fnmadd_ps(root, _mm512_mul_ps(estimate, half), half);
                root = _mm512_fmadd_ps(root, error, root);
            } else {
                root = _mm512_sqrt_ps(square);
            }
            root = _mm512_add_ps(root, _mm512_set1_ps(epsilon));
            weight = _mm512_sub_ps(weight, _mm512_div_ps(_mm512_mul_ps(_mm512_set1_ps(step), mean), root));
            _mm512_storeu_ps(m + i, mean);
            _mm512_storeu_ps(v + i, square);
            _mm512_storeu_ps(w + i, weight);
        }
        return whole;
    }
    #else
    #define fastnn_adam_vectors(w, m, v, dw, step, decay, a, b, epsilon, size) ((Py_ssize_t)0)
    #endif
    """
    Py_ssize_t adam_vectors "fastnn_adam_vectors"(
        float* w, float* m, float* v, const float* dw, float step, float decay, float a, float b,
        float epsilon, Py_ssize_t size
    ) noexcept nogil


cdef void adam(
    real* w, real* m, real* v, const real* dw, double rate, double l2,
    double beta_1, double beta_2, double epsilon_, Py_ssize_t size
) noexcept nogil:
    """INOUT Adam in Keras's form; `rate` includes the bias correction."""
    cdef Py_ssize_t i, begin = 0
    cdef real step = <real>rate, decay = <real>(2.0 * l2), epsilon = <real>epsilon_
    cdef real a = <real>(1.0 - beta_1), b = <real>(1.0 - beta_2), g
    if real is float:
        begin = adam_vectors(w, m, v, dw, step, decay, a, b, epsilon, size)
    for i in range(begin, size):
        g = dw[i] + decay * w[i]
        m[i] = m[i] + a * (g - m[i])
        v[i] = v[i] + b * (g * g - v[i])
        w[i] = w[i] - step * m[i] / (square_root(v[i]) + epsilon)


cdef void rmsprop(
    real* w, real* v, const real* dw, double rate, double l2, double rho, double epsilon_, Py_ssize_t size
) noexcept nogil:
    """INOUT v = rho v + (1 - rho) g^2, w -= rate g / sqrt(v + epsilon)."""
    cdef Py_ssize_t i
    cdef real step = <real>rate, decay = <real>(2.0 * l2), epsilon = <real>epsilon_
    cdef real keep = <real>rho, b = <real>(1.0 - rho), g
    for i in range(size):
        g = dw[i] + decay * w[i]
        v[i] = keep * v[i] + b * (g * g)
        w[i] = w[i] - step * g / square_root(v[i] + epsilon)


cdef inline real square_root(real x) noexcept nogil:
    if real is float:
        return sqrtf(x)
    else:
        return sqrt(x)
