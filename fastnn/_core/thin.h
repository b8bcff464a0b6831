/* Dense layers of few outputs, float32, in the intrinsics of AVX-512.
 *
 * A block of a product would be mostly padding, and BLAS takes as long for one output as for sixteen: 128 rows,
 * 25 -> 1, 0.6 us forward and 0.4 us for the weights.  Here vectors run along the inputs, which are adjacent.
 * Each function returns 1, or 0 where there is no AVX-512 or the shape is not for it; then nothing was done.
 */
#ifndef FASTNN_THIN_H
#define FASTNN_THIN_H

#include "fastnn/_core/avx512.h"

#define FASTNN_FEW 4        /* outputs */
#define FASTNN_LONG 1024    /* inputs of which copies fit the stack */

/* Derivatives of activations, from their output. */
enum { FASTNN_ONE, FASTNN_OF_SIGMOID, FASTNN_OF_TANH, FASTNN_OF_RELU };

#if defined(__AVX512F__) && defined(__AVX512DQ__) && (defined(__GNUC__) || defined(__clang__))

/* Make a call once for each COUNT from 1 to 4, a constant, and take the one of `count`. */
#define FASTNN_BY_COUNT(count, call)                                                                         \
    switch (count) {                                                                                         \
    case 1: { enum { COUNT = 1 }; call; break; }                                                             \
    case 2: { enum { COUNT = 2 }; call; break; }                                                             \
    case 3: { enum { COUNT = 3 }; call; break; }                                                             \
    default: { enum { COUNT = 4 }; call; }                                                                   \
    }

/* Return the quotients by n of the numbers from `first`, at most 48, on. */
static inline __m512i fastnn_lane(int first, int n) {
    static const int RECIPROCALS[FASTNN_FEW] = {128, 64, 43, 32}; /* 128 / n, rounded up */
    const __m512i place = _mm512_add_epi32(FASTNN_NUMBERS, _mm512_set1_epi32(first));
    return _mm512_srli_epi32(_mm512_mullo_epi32(place, _mm512_set1_epi32(RECIPROCALS[n - 1])), 7);
}

/* Return their remainders. */
static inline __m512i fastnn_column(int first, int n) {
    const __m512i place = _mm512_add_epi32(FASTNN_NUMBERS, _mm512_set1_epi32(first));
    return _mm512_sub_epi32(place, _mm512_mullo_epi32(fastnn_lane(first, n), _mm512_set1_epi32(n)));
}

/* OUT columns (n, 16) = n numbers of each of the first `count` lanes, side by side in `from`; else zeros. */
static inline void fastnn_take(__m512* columns, const float* from, int n, Py_ssize_t count) {
    const Py_ssize_t size = (count < 16 ? count : 16) * n;
    __m512 parts[FASTNN_FEW];
    int j, r;
    for (r = 0; r < FASTNN_FEW; r++)
        parts[r] = 16 * r < size ? _mm512_maskz_loadu_ps(fastnn_lanes(16 * r, size), from + 16 * r)
                                 : _mm512_setzero_ps();
    if (n == 1) {
        columns[0] = parts[0];
        return;
    }
    for (j = 0; j < n; j++) {
        const __m512i place =
            _mm512_add_epi32(_mm512_mullo_epi32(FASTNN_NUMBERS, _mm512_set1_epi32(n)), _mm512_set1_epi32(j));
        columns[j] = _mm512_mask_mov_ps(
            _mm512_permutex2var_ps(parts[0], place, parts[1]),
            _mm512_cmpge_epi32_mask(place, _mm512_set1_epi32(32)),
            _mm512_permutex2var_ps(parts[2], place, parts[3]));
    }
}

/* OUT columns (n, k rounded up to vectors) = w (k, n). */
static inline void fastnn_thin_weights(
    __m512 (*columns)[FASTNN_LONG / 16], const float* w, int n, Py_ssize_t k
) {
    __m512 taken[FASTNN_FEW];
    Py_ssize_t p;
    int j;
    for (p = 0; p < k; p += 16) {
        fastnn_take(taken, w + p * n, n, k - p);
        for (j = 0; j < n; j++)
            columns[j][p / 16] = taken[j];
    }
}

/* Return the sum of each of 16 vectors; all are added up in the same order. */
static inline __m512 fastnn_sums(const __m512* rows) {
    __m512 part[4], low, high;
    int i;
    FASTNN_EACH(i, 4) {
        __m512 columns[4];
        fastnn_turn(columns, rows + 4 * i);
        part[i] = _mm512_add_ps(_mm512_add_ps(columns[0], columns[1]), _mm512_add_ps(columns[2], columns[3]));
    }
    low = _mm512_add_ps(
        _mm512_shuffle_f32x4(part[0], part[1], 0x44), _mm512_shuffle_f32x4(part[0], part[1], 0xEE));
    high = _mm512_add_ps(
        _mm512_shuffle_f32x4(part[2], part[3], 0x44), _mm512_shuffle_f32x4(part[2], part[3], 0xEE));
    return _mm512_add_ps(_mm512_shuffle_f32x4(low, high, 0x88), _mm512_shuffle_f32x4(low, high, 0xDD));
}

/* INOUT to (count, n) = columns (n, 16) + beta * to: n numbers of each of the first `count` lanes. */
static inline void fastnn_put(float* to, const __m512* columns, int n, Py_ssize_t count, float beta) {
    int j, r;
    for (r = 0; r < n && 16 * r < count * n; r++) {
        const __mmask16 lanes = fastnn_lanes(16 * r, count * n);
        const __m512i lane = fastnn_lane(16 * r, n), column = fastnn_column(16 * r, n);
        __m512 sum = _mm512_permutexvar_ps(lane, columns[0]);
        for (j = 1; j < n; j++)
            sum = _mm512_mask_permutexvar_ps(
                sum, _mm512_cmpeq_epi32_mask(column, _mm512_set1_epi32(j)), lane, columns[j]);
        if (beta != 0)
            sum = _mm512_fmadd_ps(_mm512_set1_ps(beta), _mm512_maskz_loadu_ps(lanes, to + 16 * r), sum);
        _mm512_mask_storeu_ps(to + 16 * r, lanes, sum);
    }
}

/* OUT y (height, n) = x (height, k) @ w (k, n) + bias, its `height` * n numbers, at most 16. */
static inline __attribute__((always_inline)) void fastnn_thin_block(
    float* y, const float* x, __m512 (*w)[FASTNN_LONG / 16], __m512 bias, int height, int n, Py_ssize_t k
) {
    const Py_ssize_t whole = k / 16;
    const __mmask16 rest = (__mmask16)((1u << (k % 16)) - 1);
    __m512 kept[16];
    Py_ssize_t p;
    int i, j;
    FASTNN_EACH(i, 16) kept[i] = _mm512_setzero_ps();
    for (p = 0; p < whole; p++)
        FASTNN_EACH(i, height) {
            const __m512 part = _mm512_loadu_ps(x + i * k + 16 * p);
            FASTNN_EACH(j, n) kept[i * n + j] = _mm512_fmadd_ps(part, w[j][p], kept[i * n + j]);
        }
    if (rest)
        FASTNN_EACH(i, height) {
            const __m512 part = _mm512_maskz_loadu_ps(rest, x + i * k + 16 * whole);
            FASTNN_EACH(j, n) kept[i * n + j] = _mm512_fmadd_ps(part, w[j][whole], kept[i * n + j]);
        }
    _mm512_mask_storeu_ps(y, (__mmask16)((1u << (height * n)) - 1), _mm512_add_ps(fastnn_sums(kept), bias));
}

/* The same for m rows; `n` must be a constant. */
static inline __attribute__((always_inline)) void fastnn_thin_blocks(
    float* y, const float* x, __m512 (*w)[FASTNN_LONG / 16], __m512 bias, Py_ssize_t m, int n, Py_ssize_t k
) {
    const int height = 16 / n;
    Py_ssize_t i;
    if (m < height)
        for (i = 0; i < m; i++)
            fastnn_thin_block(y + i * n, x + i * k, w, bias, 1, n, k);
    else
        for (i = 0; i < m; i += height) { /* the last rows come with some before them */
            const Py_ssize_t first = i + height <= m ? i : m - height;
            fastnn_thin_block(y + first * n, x + first * k, w, bias, height, n, k);
        }
}

/* OUT y (m, n) = x (m, k) @ w (k, n) + b (n,), which may be NULL. */
static inline int fastnn_thin_forward(
    float* y, const float* x, const float* w, const float* b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k
) {
    __m512 weights[FASTNN_FEW][FASTNN_LONG / 16], bias = _mm512_setzero_ps();
    if (n > FASTNN_FEW || k > FASTNN_LONG)
        return 0;
    fastnn_thin_weights(weights, w, (int)n, k);
    if (b)
        bias = _mm512_permutexvar_ps(
            fastnn_column(0, (int)n), _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), b));
    FASTNN_BY_COUNT(n, fastnn_thin_blocks(y, x, weights, bias, m, COUNT, k))
    return 1;
}

/* OUT 16 numbers of dx, at most. */
static inline __attribute__((always_inline)) void fastnn_thin_spread(
    float* dx, const float* dy, __m512 (*w)[FASTNN_LONG / 16], const float* y, int kind, int n, Py_ssize_t p,
    __mmask16 lanes
) {
    __m512 sum = _mm512_mul_ps(_mm512_set1_ps(dy[0]), w[0][p]), output = _mm512_setzero_ps();
    int j;
    FASTNN_EACH(j, n - 1) sum = _mm512_fmadd_ps(_mm512_set1_ps(dy[j + 1]), w[j + 1][p], sum);
    if (kind != FASTNN_ONE)
        output = _mm512_maskz_loadu_ps(lanes, y + 16 * p);
    if (kind == FASTNN_OF_SIGMOID)
        sum = _mm512_mul_ps(sum, _mm512_fnmadd_ps(output, output, output));
    else if (kind == FASTNN_OF_TANH)
        sum = _mm512_mul_ps(sum, _mm512_fnmadd_ps(output, output, _mm512_set1_ps(1.0f)));
    else if (kind == FASTNN_OF_RELU) /* NaN counts as above 0 */
        sum = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(output, _mm512_setzero_ps(), _CMP_NLE_UQ), sum);
    _mm512_mask_storeu_ps(dx + 16 * p, lanes, sum);
}

/* The same as fastnn_thin_backward; `kind` and `n` must be constants. */
static inline __attribute__((always_inline)) void fastnn_thin_rows(
    float* dx, const float* dy, __m512 (*w)[FASTNN_LONG / 16], const float* y, int kind, Py_ssize_t m, int n,
    Py_ssize_t k
) {
    const Py_ssize_t whole = k / 16;
    const __mmask16 rest = (__mmask16)((1u << (k % 16)) - 1);
    Py_ssize_t i, p;
    for (i = 0; i < m; i++) {
        for (p = 0; p < whole; p++)
            fastnn_thin_spread(dx + i * k, dy + i * n, w, y + i * k, kind, n, p, 0xFFFF);
        if (rest)
            fastnn_thin_spread(dx + i * k, dy + i * n, w, y + i * k, kind, n, whole, rest);
    }
}

/* OUT dx (m, k) = (dy (m, n) @ w.T) * (the derivative of `kind`, at the output y (m, k)), w (k, n). */
static inline int fastnn_thin_backward(
    float* dx, const float* dy, const float* w, const float* y, int kind, Py_ssize_t m, Py_ssize_t n,
    Py_ssize_t k
) {
    __m512 weights[FASTNN_FEW][FASTNN_LONG / 16];
    if (n > FASTNN_FEW || k > FASTNN_LONG)
        return 0;
    fastnn_thin_weights(weights, w, (int)n, k);
#define FASTNN_ROWS(KIND) FASTNN_BY_COUNT(n, fastnn_thin_rows(dx, dy, weights, y, KIND, m, COUNT, k))
    switch (kind) {
    case FASTNN_ONE: FASTNN_ROWS(FASTNN_ONE) break;
    case FASTNN_OF_SIGMOID: FASTNN_ROWS(FASTNN_OF_SIGMOID) break;
    case FASTNN_OF_TANH: FASTNN_ROWS(FASTNN_OF_TANH) break;
    default: FASTNN_ROWS(FASTNN_OF_RELU)
    }
#undef FASTNN_ROWS
    return 1;
}

/* INOUT kept (vectors, n of 4) += one row of x times one of dy (n,). */
static inline __attribute__((always_inline)) void fastnn_thin_add(
    __m512 (*kept)[FASTNN_FEW], const float* x, const float* dy, const __mmask16* lanes, int vectors, int n
) {
    int j, v;
    FASTNN_EACH(v, vectors) {
        const __m512 part = _mm512_maskz_loadu_ps(lanes[v], x + 16 * v);
        FASTNN_EACH(j, n) kept[v][j] = _mm512_fmadd_ps(part, _mm512_set1_ps(dy[j]), kept[v][j]);
    }
}

/* The same as fastnn_thin_gradient for as many inputs k as `vectors`, at most 4, hold. */
static inline __attribute__((always_inline)) void fastnn_thin_sums(
    float* dw, const float* x, const float* dy, float alpha, float beta, Py_ssize_t m, int n, Py_ssize_t k,
    Py_ssize_t ldx, int vectors
) {
    /* even and odd rows, where one row alone would wait for the one before */
    const int parities = n <= 2 ? 2 : 1;
    __m512 kept[2][4][FASTNN_FEW];
    __mmask16 lanes[4];
    Py_ssize_t i;
    int h, j, v;
    FASTNN_EACH(v, vectors) {
        lanes[v] = fastnn_lanes(16 * v, k);
        FASTNN_EACH(j, n) kept[0][v][j] = kept[1][v][j] = _mm512_setzero_ps();
    }
    for (i = 0; i + parities <= m; i += parities)
        FASTNN_EACH(h, parities)
            fastnn_thin_add(kept[h], x + (i + h) * ldx, dy + (i + h) * n, lanes, vectors, n);
    if (i < m)
        fastnn_thin_add(kept[0], x + i * ldx, dy + i * n, lanes, vectors, n);
    FASTNN_EACH(v, vectors) {
        FASTNN_EACH(j, n)
            kept[0][v][j] = _mm512_mul_ps(_mm512_set1_ps(alpha), _mm512_add_ps(kept[0][v][j], kept[1][v][j]));
        fastnn_put(dw + 16 * v * n, kept[0][v], n, k - 16 * v < 16 ? k - 16 * v : 16, beta);
    }
}

/* INOUT dw (k, n) = alpha * x.T @ dy (m, n) + beta * dw, over k of the ldx columns of x (m, ldx). */
static inline int fastnn_thin_gradient(
    float* dw, const float* x, const float* dy, float alpha, float beta, Py_ssize_t m, Py_ssize_t n,
    Py_ssize_t k, Py_ssize_t ldx
) {
    Py_ssize_t p;
    if (n > FASTNN_FEW)
        return 0;
    for (p = 0; p < k; p += 64) {
        const Py_ssize_t part = k - p < 64 ? k - p : 64;
        float* to = dw + p * n;
#define FASTNN_SUMS(N)                                                                                       \
    FASTNN_BY_COUNT((part + 15) / 16, fastnn_thin_sums(to, x + p, dy, alpha, beta, m, N, part, ldx, COUNT))
        switch (n) {
        case 1: FASTNN_SUMS(1) break;
        case 2: FASTNN_SUMS(2) break;
        case 3: FASTNN_SUMS(3) break;
        default: FASTNN_SUMS(4)
        }
#undef FASTNN_SUMS
    }
    return 1;
}

#else
#define fastnn_thin_forward(y, x, w, b, m, n, k) 0
#define fastnn_thin_backward(dx, dy, w, y, kind, m, n, k) 0
#define fastnn_thin_gradient(dw, x, dy, alpha, beta, m, n, k, ldx) 0
#endif

#endif
