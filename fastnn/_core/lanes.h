/* Nets of few features, float32, in the intrinsics of AVX-512: the kernels of columns.pxi.
 *
 * What compilers make of those loops takes sums to memory and back for every input, and three times as many
 * instructions: 6-2-1 with 400 rows took 1.5 us a step, now 1.1.  A step of up to 16 rows takes as long as results
 * need to reach the operation after the next, 0.1 us.  A tensor's features are `lanes` apart, its rows rounded up
 * to whole vectors; where `lanes` is a constant 16, compilers leave no loops over them.  Sums across vectors are
 * made four at a time; they add the lanes in the order of `lane_sum`.
 */
#ifndef FASTNN_LANES_H
#define FASTNN_LANES_H

#include "fastnn/_core/avx512.h"
#include "fastnn/_core/reals.h"

#if defined(__AVX512F__) && defined(__AVX512DQ__) && (defined(__GNUC__) || defined(__clang__))
#define FASTNN_HAS_LANES 1

/* Make a call once with COUNT 4 for each four vectors of `lanes`, then with COUNT 1 for each that is left; `v` is
 * the first lane. */
#define FASTNN_BY_FOUR(lanes, call)                                                                          \
    for (v = 0; v + 64 <= lanes; v += 64) {                                                                  \
        enum { COUNT = 4 };                                                                                  \
        call;                                                                                                \
    }                                                                                                        \
    for (; v < lanes; v += 16) {                                                                             \
        enum { COUNT = 1 };                                                                                  \
        call;                                                                                                \
    }

/* OUT sums (count,) = start + the sum of w[p * step] * vector p of x, for p below `depth`. */
FASTNN_INLINE void fastnn_lanes_mix(
    __m512* sums, float start, const float* w, Py_ssize_t step, const float* x, Py_ssize_t depth,
    Py_ssize_t lanes, int count
) {
    Py_ssize_t p;
    int r;
    FASTNN_EACH(r, count)
        sums[r] = _mm512_set1_ps(start);
    for (p = 0; p < depth; p++) {
        const __m512 weight = _mm512_set1_ps(w[p * step]);
        FASTNN_EACH(r, count)
            sums[r] = _mm512_fmadd_ps(weight, _mm512_load_ps(x + p * lanes + 16 * r), sums[r]);
    }
}

/* Return activation(z) for what has the derivatives of a sigmoid and a ReLU, else z. */
FASTNN_INLINE __m512 fastnn_lanes_activated(__m512 z, int kind) {
    if (kind == FASTNN_OF_SIGMOID)
        return fastnn_sigmoid_vector(z);
    if (kind == FASTNN_OF_RELU) /* NaN stays NaN */
        return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(z, _mm512_setzero_ps(), _CMP_NLE_UQ), z);
    return z;
}

/* OUT y (n) = activation(w.T @ x (k) + b), of w (k, n) and b (n), which may be NULL, for what has the derivatives
 * of a sigmoid and a ReLU; else y is what goes into the activation. */
FASTNN_INLINE void fastnn_lanes_dense_part(
    float* y, const float* x, const float* w, const float* b, int kind, Py_ssize_t n, Py_ssize_t k,
    Py_ssize_t lanes, int count
) {
    Py_ssize_t j;
    int r;
    for (j = 0; j < n; j++) {
        __m512 sums[4];
        fastnn_lanes_mix(sums, b ? b[j] : 0.0f, w + j, n, x, k, lanes, count);
        FASTNN_EACH(r, count)
            _mm512_store_ps(y + j * lanes + 16 * r, fastnn_lanes_activated(sums[r], kind));
    }
}

FASTNN_INLINE void fastnn_lanes_dense(
    float* y, const float* x, const float* w, const float* b, int kind, Py_ssize_t n, Py_ssize_t k,
    Py_ssize_t lanes
) {
    Py_ssize_t v;
    FASTNN_BY_FOUR(lanes, fastnn_lanes_dense_part(y + v, x + v, w, b, kind, n, k, lanes, COUNT));
}

/* Return dy * the derivative of an activation, from its output y. */
FASTNN_INLINE __m512 fastnn_lanes_derived(__m512 dy, __m512 y, int kind) {
    const __m512 one = _mm512_set1_ps(1.0f);
    if (kind == FASTNN_OF_SIGMOID)
        return _mm512_mul_ps(dy, _mm512_mul_ps(y, _mm512_sub_ps(one, y)));
    if (kind == FASTNN_OF_TANH)
        return _mm512_mul_ps(dy, _mm512_fnmadd_ps(y, y, one));
    if (kind == FASTNN_OF_RELU)
        return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(y, _mm512_setzero_ps(), _CMP_NLE_UQ), dy);
    return dy;
}

/* OUT dx (size) = dy * the derivative of an activation, from its output y; dx may be dy. */
FASTNN_INLINE void fastnn_lanes_derive(float* dx, const float* dy, const float* y, int kind, Py_ssize_t size) {
    Py_ssize_t v;
    for (v = 0; v < size; v += 16)
        _mm512_store_ps(dx + v, fastnn_lanes_derived(_mm512_load_ps(dy + v), _mm512_load_ps(y + v), kind));
}

/* OUT dx (k) = (w @ dy (n)) * the derivative of the activation below, from its output y, which may be NULL. */
FASTNN_INLINE void fastnn_lanes_dense_back_part(
    float* dx, const float* dy, const float* w, const float* y, int kind, Py_ssize_t n, Py_ssize_t k,
    Py_ssize_t lanes, int count
) {
    Py_ssize_t i;
    int r;
    for (i = 0; i < k; i++) {
        __m512 sums[4];
        fastnn_lanes_mix(sums, 0.0f, w + i * n, 1, dy, n, lanes, count);
        FASTNN_EACH(r, count)
            _mm512_store_ps(
                dx + i * lanes + 16 * r,
                y ? fastnn_lanes_derived(sums[r], _mm512_load_ps(y + i * lanes + 16 * r), kind) : sums[r]);
    }
}

FASTNN_INLINE void fastnn_lanes_dense_back(
    float* dx, const float* dy, const float* w, const float* y, int kind, Py_ssize_t n, Py_ssize_t k,
    Py_ssize_t lanes
) {
    Py_ssize_t v;
    FASTNN_BY_FOUR(
        lanes, fastnn_lanes_dense_back_part(dx + v, dy + v, w, y ? y + v : NULL, kind, n, k, lanes, COUNT));
}

/* Return the sums of lanes j, j + 4, j + 8 and j + 12. */
FASTNN_INLINE __m128 fastnn_lanes_quarter(__m512 x) {
    const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

/* OUT s (count,): quarters of the sums over all vectors of x (i) * dy (j), or of dy (j) if x is NULL, from the pair
 * (i, j) on; INOUT i, j. */
FASTNN_INLINE void fastnn_lanes_products(
    __m128* s, const float* x, const float* dy, Py_ssize_t* i, Py_ssize_t* j, Py_ssize_t n, Py_ssize_t lanes,
    int count
) {
    const float *left[4], *right[4];
    __m512 sums[4];
    Py_ssize_t v;
    int r;
    FASTNN_EACH(r, count) {
        right[r] = dy + *j * lanes;
        sums[r] = _mm512_load_ps(right[r]);
        if (x) {
            left[r] = x + *i * lanes;
            sums[r] = _mm512_mul_ps(sums[r], _mm512_load_ps(left[r]));
        }
        if (++*j == n) {
            *j = 0;
            ++*i;
        }
    }
    if (x)
        for (v = 16; v < lanes; v += 16)
            FASTNN_EACH(r, count)
                sums[r] = _mm512_fmadd_ps(_mm512_load_ps(right[r] + v), _mm512_load_ps(left[r] + v), sums[r]);
    else
        for (v = 16; v < lanes; v += 16)
            FASTNN_EACH(r, count)
                sums[r] = _mm512_add_ps(_mm512_load_ps(right[r] + v), sums[r]);
    FASTNN_EACH(r, count)
        s[r] = fastnn_lanes_quarter(sums[r]);
}

/* INOUT dw (k, n) = alpha * (sums over lanes of x (k) * dy (n)) + beta * dw; NULL for x stands for ones. */
FASTNN_INLINE void fastnn_lanes_gradient(
    float* dw, const float* x, const float* dy, float alpha, float beta, Py_ssize_t n, Py_ssize_t k,
    Py_ssize_t lanes
) {
    Py_ssize_t q, i = 0, j = 0;
    for (q = 0; q + 4 <= n * k; q += 4) {
        __m128 s[4], first, second;
        fastnn_lanes_products(s, x, dy, &i, &j, n, lanes, 4);
        first = _mm_add_ps(_mm_movelh_ps(s[0], s[1]), _mm_movehl_ps(s[1], s[0]));
        second = _mm_add_ps(_mm_movelh_ps(s[2], s[3]), _mm_movehl_ps(s[3], s[2]));
        first = _mm_add_ps(_mm_shuffle_ps(first, second, 0x88), _mm_shuffle_ps(first, second, 0xDD));
        first = _mm_mul_ps(first, _mm_set1_ps(alpha));
        if (beta != 0)
            first = _mm_fmadd_ps(_mm_set1_ps(beta), _mm_loadu_ps(dw + q), first);
        _mm_storeu_ps(dw + q, first);
    }
    for (; q < n * k; q++) {
        __m128 s;
        fastnn_lanes_products(&s, x, dy, &i, &j, n, lanes, 1);
        s = _mm_add_ps(s, _mm_movehl_ps(s, s));
        s = _mm_mul_ss(_mm_add_ss(s, _mm_movehdup_ps(s)), _mm_set_ss(alpha));
        dw[q] = beta != 0 ? beta * dw[q] + _mm_cvtss_f32(s) : _mm_cvtss_f32(s);
    }
}

/* Return the sum of (y - t)^2 over m rows of n features; OUT dy = step * (y - t), and 0 past row m, where t is not
 * read. */
FASTNN_INLINE double fastnn_lanes_errors(
    float* dy, const float* y, const float* t, float step, Py_ssize_t m, Py_ssize_t n, Py_ssize_t lanes
) {
    __m512d total = _mm512_setzero_pd();
    Py_ssize_t j, v;
    for (j = 0; j < n * lanes; j += lanes)
        for (v = 0; v < lanes; v += 16) {
            const __mmask16 there = fastnn_lanes(v, m);
            const __m512 error = _mm512_maskz_sub_ps(
                there, _mm512_load_ps(y + j + v), _mm512_maskz_loadu_ps(there, t + j + v));
            const __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(error));
            const __m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(error, 1));
            total = _mm512_add_pd(total, _mm512_fmadd_pd(low, low, _mm512_mul_pd(high, high)));
            _mm512_store_ps(dy + j + v, _mm512_mul_ps(_mm512_set1_ps(step), error));
        }
    return _mm512_reduce_add_pd(total);
}

#else
#define FASTNN_HAS_LANES 0
#define fastnn_lanes_dense(y, x, w, b, kind, n, k, lanes) ((void)0)
#define fastnn_lanes_derive(dx, dy, y, kind, size) ((void)0)
#define fastnn_lanes_dense_back(dx, dy, w, y, kind, n, k, lanes) ((void)0)
#define fastnn_lanes_gradient(dw, x, dy, alpha, beta, n, k, lanes) ((void)0)
#define fastnn_lanes_errors(dy, y, t, step, m, n, lanes) 0.0
#endif

#endif
