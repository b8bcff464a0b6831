/* What compilers do not find by themselves: kernels of float32 in the intrinsics of AVX-512.
 *
 * Each returns how much it has done: all, or whole vectors, and 0 where there is no AVX-512.
 * The Cython kernels that call them do the rest.
 */
#ifndef FASTNN_AVX512_H
#define FASTNN_AVX512_H

#include "fastnn/_core/block.h"

#if defined(__AVX512F__) && defined(__AVX512DQ__)
#include <immintrin.h>

#define FASTNN_HAS_SIGMOID 1
#define FASTNN_NUMBERS _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)

/* The lanes of a vector that begins at element i of `size`. */
static inline __mmask16 fastnn_lanes(Py_ssize_t i, Py_ssize_t size) {
    return size - i >= 16 ? (__mmask16)0xFFFF : (__mmask16)((1u << (size - i)) - 1);
}

/* Return the first `lanes` of x; whole vectors without a mask, as a load with one starts no prefetching: 16 MB
 * through tanh took 2.2 ms on an EPYC (Zen 5), now 0.7. */
static inline __m512 fastnn_load_lanes(const float* x, __mmask16 lanes) {
    return lanes == 0xFFFF ? _mm512_loadu_ps(x) : _mm512_maskz_loadu_ps(lanes, x);
}

/* Store the first `lanes` of x; whole vectors without a mask, as what a masked store wrote is read again late. */
static inline void fastnn_store_lanes(float* y, __mmask16 lanes, __m512 x) {
    if (lanes == 0xFFFF)
        _mm512_storeu_ps(y, x);
    else
        _mm512_mask_storeu_ps(y, lanes, x);
}

/* tanh(x) for 30 intervals of |x|, bounded by 0, 1/16, 5/64, 6/64, ..., 8, 10, and for 10, where it is 1: the
 * exponent of |x| and the first two bits of its mantissa, counted modulo 32 as the permutation does, are the
 * number of its interval.  First each interval's center c, then the coefficients of a polynomial in |x| - c:
 * fits of degree 5 with the least largest relative error (Lawson's weights at 200 Chebyshev nodes), 7e-9 or less
 * but for 2.9e-8 beyond 4.  Each center was moved a little, to where tanh(c) is almost a float. */
static const float FASTNN_TANH[7][32] = {
    {2.24957728f, 2.74952292f, 3.24937725f, 3.75070643f, 4.50029421f, 5.49858046f, 6.49897194f, 7.50143051f,
     8.99713898f, 10.0f, 0.0f, 0.0f, 0.0703241304f, 0.0859252959f, 0.101560496f, 0.117191508f, 0.140598401f,
     0.171887636f, 0.203169137f, 0.234419286f, 0.281213075f, 0.34375155f, 0.406187683f, 0.468835801f,
     0.562405646f, 0.687473178f, 0.812374413f, 0.937449276f, 1.12532592f, 1.37474239f, 1.62527895f,
     1.87465668f},
    {0.978007734f, 0.991851985f, 0.996993899f, 0.998896003f, 0.999753356f, 0.999966502f, 0.99999547f,
     0.999999404f, 0.99999994f, 1.0f, 0.0f, 0.0f, 0.0702084303f, 0.085714452f, 0.101212747f, 0.116657943f,
     0.139679223f, 0.170214579f, 0.200419083f, 0.230217651f, 0.274027437f, 0.330822498f, 0.385230899f,
     0.437258184f, 0.509760141f, 0.596356273f, 0.67089802f, 0.734048128f, 0.809413493f, 0.879768491f,
     0.92538631f, 0.954014421f},
    {0.0435008705f, 0.0162296426f, 0.00600316655f, 0.00220677676f, 0.000493241823f, 6.69962246e-05f,
     9.06012883e-06f, 1.22011272e-06f, 6.12694393e-08f, 0.0f, 0.0f, 1.0f, 0.995070755f, 0.992653012f,
     0.989755988f, 0.986390948f, 0.980489731f, 0.971027017f, 0.959832191f, 0.946999848f, 0.924908936f,
     0.890556455f, 0.85159713f, 0.808805287f, 0.74014461f, 0.644359171f, 0.549895823f, 0.461173356f,
     0.344849795f, 0.226007402f, 0.143660173f, 0.089856483f},
    {-0.0425429754f, -0.0160964802f, -0.0059847096f, -0.00220417907f, -0.000492503692f, -6.69100264e-05f,
     -9.04871467e-06f, -1.66182531e-06f, 1.69488317e-07f, 0.0f, 0.0f, 0.0f, -0.0698623434f, -0.0850846097f,
     -0.10017582f, -0.115070246f, -0.136954069f, -0.16528295f, -0.192368656f, -0.218016088f, -0.253450394f,
     -0.294616073f, -0.328061521f, -0.353656709f, -0.377295971f, -0.384267569f, -0.368924081f,
     -0.338523537f, -0.279128015f, -0.198835343f, -0.132941589f, -0.0857244506f},
    {0.027108727f, 0.0105559845f, 0.00396586023f, 0.00146617997f, 0.000328141177f, 4.46062695e-05f,
     6.03253375e-06f, 8.07795516e-07f, 3.91310238e-08f, 0.0f, 0.0f, -0.333332986f, -0.326785088f,
     -0.323590249f, -0.319778591f, -0.315372348f, -0.307700455f, -0.295542121f, -0.281389594f,
     -0.265475571f, -0.238850743f, -0.199386641f, -0.157486364f, -0.114962578f, -0.054385256f,
     0.0143734794f, 0.0642115474f, 0.094768025f, 0.11098092f, 0.099593699f, 0.0751361698f, 0.0518304408f},
    {-0.0123938713f, -0.00515204016f, -0.00198025792f, -0.000738195784f, -0.000171849431f, -2.33823448e-05f,
     -3.16282558e-06f, 1.3423786e-06f, -2.53593129e-07f, 0.0f, 0.0f, 0.0f, 0.0459432788f, 0.0544871204f,
     0.0640749261f, 0.0737043992f, 0.0887186527f, 0.105380736f, 0.120397113f, 0.133849174f, 0.149839222f,
     0.164062321f, 0.169935003f, 0.168082118f, 0.153284356f, 0.119454727f, 0.0799355432f, 0.043370083f,
     0.0036172308f, -0.0211012941f, -0.0251262598f, -0.0208578538f},
    {0.00397671387f, 0.00191629538f, 0.00077123451f, 0.000292946963f, 6.85914201e-05f, 9.3189783e-06f,
     1.26185012e-06f, 2.09342161e-07f, 1.20039951e-08f, 0.0f, 0.0f, 0.133040324f, 0.123539597f, 0.10776256f,
     0.10572315f, 0.105727248f, 0.112654179f, 0.102182321f, 0.0904254392f, 0.0791495517f, 0.059183564f,
     0.0320511833f, 0.00600965135f, -0.0170980394f, -0.0433421656f, -0.0615242049f, -0.062667951f,
     -0.0530773923f, -0.0321120694f, -0.009551025f, 0.00138147688f, 0.00459709764f}
};

/* Return tanh(x) with the tables' first and second halves.  No divider and no branches: 9 cycles for 16 numbers,
 * where exp and a quotient take 20.  1 ULP; NaN and -0.0 come through. */
FASTNN_ALWAYS __m512 fastnn_tanh_vector(
    __m512 x, const __m512* low, const __m512* high
) {
    const __m512i sign = _mm512_set1_epi32((int)0x80000000u), lowest = _mm512_set1_epi32(491);
    const __m512i bits = _mm512_castps_si512(x);
    /* min returns its second argument if one is NaN */
    const __m512 a = _mm512_min_ps(_mm512_set1_ps(10.0f), _mm512_castsi512_ps(_mm512_andnot_si512(sign, bits)));
    const __m512i interval = _mm512_max_epi32(lowest, _mm512_srli_epi32(_mm512_castps_si512(a), 21));
    const __m512 t = _mm512_sub_ps(a, _mm512_permutex2var_ps(low[0], interval, high[0]));
    __m512 result = _mm512_permutex2var_ps(low[6], interval, high[6]);
    int c;
    for (c = 5; c > 0; c--)
        result = _mm512_fmadd_ps(result, t, _mm512_permutex2var_ps(low[c], interval, high[c]));
    /* result | (bits & sign) */
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(_mm512_castps_si512(result), bits, sign, 0xF8));
}

/* OUT y = tanh(x); y may be x. */
static inline Py_ssize_t fastnn_tanh(float* y, const float* x, Py_ssize_t size) {
    __m512 low[7], high[7];
    Py_ssize_t i;
    int c;
    for (c = 0; c < 7; c++) {
        low[c] = _mm512_loadu_ps(FASTNN_TANH[c]);
        high[c] = _mm512_loadu_ps(FASTNN_TANH[c] + 16);
    }
    for (i = 0; i < size; i += 16) {
        const __mmask16 lanes = fastnn_lanes(i, size);
        fastnn_store_lanes(y + i, lanes, fastnn_tanh_vector(fastnn_load_lanes(x + i, lanes), low, high));
    }
    return size;
}

/* 2^(k / 16), and what rounding took from it */
static const float FASTNN_POWERS[2][16] = {
    {1.0f, 1.04427373f, 1.09050775f, 1.13878858f, 1.18920708f, 1.24185777f, 1.29683959f, 1.35425556f,
     1.41421354f, 1.47682619f, 1.54221082f, 1.61049032f, 1.68179286f, 1.75625217f, 1.8340081f,
     1.91520655f},
    {0.0f, 4.83347016e-08f, -1.30775399e-08f, 5.38622231e-08f, 3.79763527e-08f, 4.4968381e-08f,
     -4.01899953e-08f, -1.01233493e-08f, 2.4203235e-08f, -4.50089885e-08f, 8.07090483e-09f,
     9.83621717e-09f, -2.47553267e-08f, -9.23577037e-09f, -1.1239278e-08f, 9.84532811e-09f}
};

/* Return sigmoid(x).  With z = exp(-|x|) it is 1 / (1 + z), or z / (1 + z) below 0, so that small results keep
 * their relative accuracy; z = 2^n 2^(k / 16) exp(r) with |r| <= ln(2) / 32. */
FASTNN_ALWAYS __m512 fastnn_sigmoid_vector(__m512 x) {
    const __m512i sign = _mm512_set1_epi32((int)0x80000000u);
    const __m512 powers = _mm512_loadu_ps(FASTNN_POWERS[0]), rests = _mm512_loadu_ps(FASTNN_POWERS[1]);
    const __m512 one = _mm512_set1_ps(1.0f);
    const __m512 rounding = _mm512_set1_ps(786432.0f); /* 1.5 * 2^19: floats there are 1 / 16 apart */
    /* max returns its second argument if one is NaN */
    const __m512 a = _mm512_max_ps(
        _mm512_set1_ps(-104.0f), _mm512_castsi512_ps(_mm512_or_si512(sign, _mm512_castps_si512(x))));
    const __m512 shifted = _mm512_fmadd_ps(a, _mm512_set1_ps(1.44269504f), rounding);
    const __m512 n = _mm512_sub_ps(shifted, rounding);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693145751953125f), a);
    __m512 half, power, z, numerator;
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(1.42860682031e-6f), r);
    half = _mm512_fmadd_ps(r, _mm512_set1_ps(0.166666667f), _mm512_set1_ps(0.5f));
    r = _mm512_fmadd_ps(_mm512_mul_ps(r, r), half, r);                          /* exp(r) - 1 */
    power = _mm512_permutexvar_ps(_mm512_castps_si512(shifted), powers);
    r = _mm512_fmadd_ps(power, r, _mm512_permutexvar_ps(_mm512_castps_si512(shifted), rests));
    z = _mm512_scalef_ps(_mm512_add_ps(power, r), n);                           /* times 2^floor(n) */
    numerator = _mm512_mask_mov_ps(z, _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GT_OQ), one);
    return _mm512_div_ps(numerator, _mm512_add_ps(z, one));
}

/* OUT y = sigmoid(x); y may be x. */
static inline Py_ssize_t fastnn_sigmoid(float* y, const float* x, Py_ssize_t size) {
    Py_ssize_t i;
    for (i = 0; i < size; i += 16) {
        const __mmask16 lanes = fastnn_lanes(i, size);
        fastnn_store_lanes(y + i, lanes, fastnn_sigmoid_vector(fastnn_load_lanes(x + i, lanes)));
    }
    return size;
}

/* OUT columns (4,) = the transpose of 4 x 4 numbers in each of the four parts of `rows` (4,). */
static inline void fastnn_turn(__m512* columns, const __m512* rows) {
    const __m512d first = _mm512_castps_pd(_mm512_unpacklo_ps(rows[0], rows[1]));
    const __m512d second = _mm512_castps_pd(_mm512_unpacklo_ps(rows[2], rows[3]));
    const __m512d third = _mm512_castps_pd(_mm512_unpackhi_ps(rows[0], rows[1]));
    const __m512d fourth = _mm512_castps_pd(_mm512_unpackhi_ps(rows[2], rows[3]));
    columns[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(first, second));
    columns[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(first, second));
    columns[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(third, fourth));
    columns[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(third, fourth));
}

/* OUT y (n, 16), columns `step` apart, = the 16 rows of n numbers from x on, of which m exist; else zeros. */
FASTNN_ALWAYS void fastnn_split(
    float* y, Py_ssize_t step, const float* x, Py_ssize_t m, Py_ssize_t n
) {
    const __mmask16 lanes = fastnn_lanes(0, m);
    const Py_ssize_t size = (m < 16 ? m : 16) * n;
    const __m512i next = _mm512_set1_epi32(1);
    __m512i place = _mm512_mullo_epi32(FASTNN_NUMBERS, _mm512_set1_epi32((int)n));
    Py_ssize_t j;
    if (size <= 16) {
        const __m512 part = _mm512_maskz_loadu_ps(fastnn_lanes(0, size), x);
        for (j = 0; j < n; j++) {
            _mm512_storeu_ps(y + j * step, _mm512_maskz_permutexvar_ps(lanes, place, part));
            place = _mm512_add_epi32(place, next);
        }
    } else {
        __m512 parts[8];
        int r;
        FASTNN_EACH(r, 8)
            parts[r] = 16 * r < size ? _mm512_maskz_loadu_ps(fastnn_lanes(16 * r, size), x + 16 * r)
                                     : _mm512_setzero_ps();
        for (j = 0; j < n; j++) {
            const __m512i pair = _mm512_srli_epi32(place, 5);       /* of parts that a number is in */
            __m512 column = _mm512_permutex2var_ps(parts[0], place, parts[1]);
            FASTNN_EACH(r, 3)
                if (32 * r + 32 < size)
                    column = _mm512_mask_mov_ps(
                        column, _mm512_cmpeq_epi32_mask(pair, _mm512_set1_epi32(r + 1)),
                        _mm512_permutex2var_ps(parts[2 * r + 2], place, parts[2 * r + 3]));
            _mm512_storeu_ps(y + j * step, _mm512_maskz_mov_ps(lanes, column));
            place = _mm512_add_epi32(place, next);
        }
    }
}

/* OUT y (n, 16), columns `step` apart, = the 16 rows of n numbers, 5 to 8, that begin at x + first (16,); zeros
 * in lanes that are not in `lanes`. */
FASTNN_ALWAYS void fastnn_turn_rows(
    float* y, Py_ssize_t step, const float* x, const long long* first, __mmask16 lanes, Py_ssize_t n
) {
    const __mmask8 numbers = (__mmask8)((1u << n) - 1);
    __m512 block[4], half[2][4];
    int h, j, r;
    /* The two parts of a row lie side by side: first rows 0 to 7, then the others. */
    FASTNN_EACH(h, 2) {
        FASTNN_EACH(r, 4)
            block[r] = _mm512_insertf32x8(
                _mm512_castps256_ps512(_mm256_maskz_loadu_ps(numbers, x + first[8 * h + r])),
                _mm256_maskz_loadu_ps(numbers, x + first[8 * h + r + 4]), 1);
        fastnn_turn(half[h], block);
    }
    FASTNN_EACH(j, 4) {
        _mm512_storeu_ps(y + j * step, _mm512_maskz_shuffle_f32x4(lanes, half[0][j], half[1][j], 0x88));
        if (j + 4 < n)
            _mm512_storeu_ps(
                y + (j + 4) * step, _mm512_maskz_shuffle_f32x4(lanes, half[0][j], half[1][j], 0xDD));
    }
}

/* OUT y (n, 16), columns `step` apart, = the rows of x (., n) that `rows` (m,) names, 16 at most; else zeros. */
FASTNN_ALWAYS void fastnn_collect(
    float* y, Py_ssize_t step, const float* x, const int* rows, Py_ssize_t m, Py_ssize_t n
) {
    const __mmask16 lanes = fastnn_lanes(0, m);
    const __m512i place = _mm512_maskz_loadu_epi32(lanes, rows);
    const __mmask8 numbers = (__mmask8)((1u << n) - 1);
    __m512 zero = _mm512_setzero_ps(), block[4], columns[4];
    const __m512i width = _mm512_set1_epi64(n);
    long long first[16] __attribute__((aligned(64)));
    int j, r;
    if (n == 1) {
        _mm512_storeu_ps(y, _mm512_mask_i32gather_ps(zero, lanes, place, x, 4));
        return;
    }
    if (n == 2) {
        _mm512_storeu_ps(y, _mm512_mask_i32gather_ps(zero, lanes, place, x, 8));
        _mm512_storeu_ps(y + step, _mm512_mask_i32gather_ps(zero, lanes, place, x + 1, 8));
        return;
    }
    /* Where rows begin; those that do not exist, at the first, and their lanes are cleared below. */
    _mm512_storeu_si512(
        first, _mm512_mul_epu32(_mm512_cvtepu32_epi64(_mm512_castsi512_si256(place)), width));
    _mm512_storeu_si512(
        first + 8, _mm512_mul_epu32(_mm512_cvtepu32_epi64(_mm512_extracti32x8_epi32(place, 1)), width));
    if (n <= 4) {
        FASTNN_EACH(r, 4) {
            block[r] = _mm512_castps128_ps512(_mm_maskz_loadu_ps(numbers, x + first[r]));
            block[r] = _mm512_insertf32x4(block[r], _mm_maskz_loadu_ps(numbers, x + first[r + 4]), 1);
            block[r] = _mm512_insertf32x4(block[r], _mm_maskz_loadu_ps(numbers, x + first[r + 8]), 2);
            block[r] = _mm512_insertf32x4(block[r], _mm_maskz_loadu_ps(numbers, x + first[r + 12]), 3);
        }
        fastnn_turn(columns, block);
        FASTNN_EACH(j, 4)
            if (j < n)
                _mm512_storeu_ps(y + j * step, _mm512_maskz_mov_ps(lanes, columns[j]));
        return;
    }
    fastnn_turn_rows(y, step, x, first, lanes, n);
}

/* OUT y (n, m rounded up to vectors) = the rows of x (., n) that `rows` (m,) names, or the first m if that is
 * NULL; zeros past the last one.  Returns m, or 0 if n is more than 8. */
FASTNN_ALWAYS Py_ssize_t fastnn_transpose(
    float* y, const float* x, const int* rows, Py_ssize_t m, Py_ssize_t n
) {
    const Py_ssize_t step = (m + 15) / 16 * 16;
    Py_ssize_t i = 0;
    if (n > 8)
        return 0;
    if (rows)
        for (; i < m; i += 16)
            fastnn_collect(y + i, step, x, rows + i, m - i, n);
    else if (n > 4) { /* 16 rows of 6 take 11 ns, of 8 take 12; with the numbers of each column picked 14 and 23 */
        long long first[16];
        int r;
        FASTNN_EACH(r, 16) first[r] = r * n;
        for (; i + 16 <= m; i += 16)
            fastnn_turn_rows(y + i, step, x + i * n, first, 0xFFFF, n);
    }
    for (; i < m; i += 16)
        fastnn_split(y + i, step, x + i * n, m - i, n);
    return m;
}

/* OUT columns (16,) = the transpose of 16 x 16 numbers, rows of `from` being `row` apart. */
FASTNN_ALWAYS void fastnn_transpose_square(__m512* columns, const float* from, Py_ssize_t row) {
    __m512 parts[4][4]; /* of four columns: row r and each fourth after it, side by side */
    int q, r;
    FASTNN_EACH(r, 4) {
        const __m512 first = _mm512_loadu_ps(from + r * row), second = _mm512_loadu_ps(from + (r + 4) * row);
        const __m512 third = _mm512_loadu_ps(from + (r + 8) * row), last = _mm512_loadu_ps(from + (r + 12) * row);
        const __m512 even = _mm512_shuffle_f32x4(first, second, 0x88), odd = _mm512_shuffle_f32x4(first, second, 0xDD);
        const __m512 even_below = _mm512_shuffle_f32x4(third, last, 0x88);
        const __m512 odd_below = _mm512_shuffle_f32x4(third, last, 0xDD);
        parts[0][r] = _mm512_shuffle_f32x4(even, even_below, 0x88);
        parts[2][r] = _mm512_shuffle_f32x4(even, even_below, 0xDD);
        parts[1][r] = _mm512_shuffle_f32x4(odd, odd_below, 0x88);
        parts[3][r] = _mm512_shuffle_f32x4(odd, odd_below, 0xDD);
    }
    FASTNN_EACH(q, 4)
        fastnn_turn(columns + 4 * q, parts[q]);
}

/* OUT 16 columns of `lines` (depth, line) = the transpose of b (16, depth).  A cache line is read whole: 16 rows
 * that are some pages apart would not stay in the first-level cache for a second time. */
static inline Py_ssize_t fastnn_interleave(
    float* lines, Py_ssize_t line, const float* b, Py_ssize_t ldb, Py_ssize_t depth
) {
    Py_ssize_t q, whole = depth - depth % 16;
    for (q = 0; q < whole; q += 16) {
        __m512 columns[16];
        int r;
        for (r = 16; r < 32; r++) /* the same part of the next 16 rows */
            __builtin_prefetch(b + q + r * ldb);
        fastnn_transpose_square(columns, b + q, ldb);
        FASTNN_EACH(r, 16)
            _mm512_storeu_ps(lines + (q + r) * line, columns[r]);
    }
    return whole;
}

/* OUT packed (depth, 8) = the transpose of 8 rows, `row` apart. */
static inline Py_ssize_t fastnn_pack(float* packed, const float* rows, Py_ssize_t row, Py_ssize_t depth) {
    const __m512i low = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    const __m512i high = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    Py_ssize_t q, whole = depth - depth % 16;
    for (q = 0; q < whole; q += 16) {
        __m512 parts[2][4], columns[4];
        float* to = packed + 8 * q;
        int h, r;
        FASTNN_EACH(r, 4) {
            const __m512d first = _mm512_castps_pd(_mm512_loadu_ps(rows + r * row + q));
            const __m512d second = _mm512_castps_pd(_mm512_loadu_ps(rows + (r + 4) * row + q));
            parts[0][r] = _mm512_castpd_ps(_mm512_permutex2var_pd(first, low, second));
            parts[1][r] = _mm512_castpd_ps(_mm512_permutex2var_pd(first, high, second));
        }
        FASTNN_EACH(h, 2) {
            fastnn_turn(columns, parts[h]); /* j: columns j and j + 4 of the eight */
            _mm512_storeu_ps(to + 64 * h, _mm512_shuffle_f32x4(columns[0], columns[1], 0x44));
            _mm512_storeu_ps(to + 64 * h + 16, _mm512_shuffle_f32x4(columns[2], columns[3], 0x44));
            _mm512_storeu_ps(to + 64 * h + 32, _mm512_shuffle_f32x4(columns[0], columns[1], 0xEE));
            _mm512_storeu_ps(to + 64 * h + 48, _mm512_shuffle_f32x4(columns[2], columns[3], 0xEE));
        }
    }
    return whole;
}

/* OUT panel (depth, 32) = b (depth, width), and zeros where width, at most 32, ends.  Returns `depth`. */
static inline Py_ssize_t fastnn_fill_panel(
    float* panel, const float* b, Py_ssize_t ldb, Py_ssize_t depth, Py_ssize_t width
) {
    const __mmask16 first = fastnn_lanes(0, width), second = width > 16 ? fastnn_lanes(16, width) : 0;
    Py_ssize_t p;
    for (p = 0; p < depth; p++) {
        _mm512_storeu_ps(panel + p * 32, _mm512_maskz_loadu_ps(first, b + p * ldb));
        _mm512_storeu_ps(panel + p * 32 + 16, _mm512_maskz_loadu_ps(second, b + p * ldb + 16));
    }
    return depth;
}

/* INOUT c (height, width) = relu(alpha * sums + (bias, or beta * c if that is NULL)): the rim of a product, with
 * parts of vectors; rows of `sums` are 32 apart.  Returns `height`. */
static inline Py_ssize_t fastnn_finish(
    float* c, Py_ssize_t ldc, const float* sums, const float* bias, float alpha, float beta, int relu,
    Py_ssize_t height, Py_ssize_t width
) {
    const __m512 zero = _mm512_setzero_ps();
    Py_ssize_t j, r;
    for (j = 0; j < width; j += 16) {
        const __mmask16 lanes = fastnn_lanes(j, width);
        const __m512 offset = bias ? _mm512_maskz_loadu_ps(lanes, bias + j) : zero;
        for (r = 0; r < height; r++) {
            __m512 added = offset, sum;
            if (!bias && beta != 0)
                added = _mm512_mul_ps(_mm512_set1_ps(beta), _mm512_maskz_loadu_ps(lanes, c + r * ldc + j));
            sum = _mm512_fmadd_ps(_mm512_set1_ps(alpha), _mm512_loadu_ps(sums + r * 32 + j), added);
            if (relu) /* NaN stays NaN */
                sum = _mm512_mask_mov_ps(sum, _mm512_cmp_ps_mask(sum, zero, _CMP_LE_OQ), zero);
            _mm512_mask_storeu_ps(c + r * ldc + j, lanes, sum);
        }
    }
    return height;
}

/* Classes of numbers: NaN, 0, -0, infinite, subnormal, negative. */
#define FASTNN_NOT_NORMAL 0xFF
#define FASTNN_SUBNORMAL 0x20

/* Return x with 0 for what is subnormal; see updates.pxi. */
static inline __m512 fastnn_flushed(__m512 x) {
    return _mm512_mask_mov_ps(x, _mm512_fpclass_ps_mask(x, FASTNN_SUBNORMAL), _mm512_setzero_ps());
}

/* INOUT Adam on whole vectors; see `adam` in updates.pxi.  The root is an estimate of 14 bits and a step of
 * Newton's, within 2 ULP, so that the divider, which takes 10 cycles for 16 numbers, has only the quotient to
 * do; then two multipliers are what it takes: 0.22 ns an element, with the divider's root 0.38.  What the
 * estimate cannot do (0, below the normal range, infinity, NaN) goes there. */
FASTNN_ALWAYS void fastnn_adam_vector(
    float* w, float* m, float* v, __m512 g, float step, float a, float b, float epsilon
) {
    __m512 mean = _mm512_loadu_ps(m), square = _mm512_loadu_ps(v), root;
    mean = _mm512_fmadd_ps(_mm512_set1_ps(a), _mm512_sub_ps(g, mean), mean);
    square = _mm512_fmadd_ps(_mm512_set1_ps(b), _mm512_fmsub_ps(g, g, square), square);
    if (_kortestz_mask16_u8(
            _mm512_fpclass_ps_mask(square, FASTNN_NOT_NORMAL), _mm512_fpclass_ps_mask(mean, FASTNN_SUBNORMAL))) {
        const __m512 estimate = _mm512_rsqrt14_ps(square);
        root = _mm512_mul_ps(square, estimate);
        root = _mm512_mul_ps(root, _mm512_fnmadd_ps(root, estimate, _mm512_set1_ps(3.0f))); /* twice of it */
        root = _mm512_fmadd_ps(root, _mm512_set1_ps(0.5f), _mm512_set1_ps(epsilon));
    } else {
        mean = fastnn_flushed(mean);
        square = fastnn_flushed(square);
        root = _mm512_add_ps(_mm512_sqrt_ps(square), _mm512_set1_ps(epsilon));
    }
    _mm512_storeu_ps(m, mean);
    _mm512_storeu_ps(v, square);
    _mm512_storeu_ps(
        w, _mm512_fnmadd_ps(_mm512_set1_ps(step), _mm512_div_ps(mean, root), _mm512_loadu_ps(w)));
}

/* INOUT Adam for the first `whole` numbers of `height` rows, ld and lddw apart. */
FASTNN_ALWAYS void fastnn_adam_rows(
    float* w, float* m, float* v, Py_ssize_t ld, const float* dw, Py_ssize_t lddw, float step, float decay,
    int decays, float a, float b, float epsilon, Py_ssize_t height, Py_ssize_t whole
) {
    Py_ssize_t i, r;
    for (r = 0; r < height; r++, w += ld, m += ld, v += ld, dw += lddw)
        for (i = 0; i < whole; i += 16) {
            __m512 g = _mm512_loadu_ps(dw + i);
            if (decays)
                g = _mm512_fmadd_ps(_mm512_set1_ps(decay), _mm512_loadu_ps(w + i), g);
            fastnn_adam_vector(w + i, m + i, v + i, g, step, a, b, epsilon);
        }
}

/* The same for whole vectors; returns how much of `width` these are. */
static inline Py_ssize_t fastnn_adam(
    float* w, float* m, float* v, Py_ssize_t ld, const float* dw, Py_ssize_t lddw, float step, float decay,
    float a, float b, float epsilon, Py_ssize_t height, Py_ssize_t width
) {
    const Py_ssize_t whole = width - width % 16;
    if (decay == 0)
        fastnn_adam_rows(w, m, v, ld, dw, lddw, step, decay, 0, a, b, epsilon, height, whole);
    else
        fastnn_adam_rows(w, m, v, ld, dw, lddw, step, decay, 1, a, b, epsilon, height, whole);
    return whole;
}

#else
#define FASTNN_HAS_SIGMOID 0
#define fastnn_tanh(y, x, size) ((Py_ssize_t)0)
#define fastnn_sigmoid(y, x, size) ((Py_ssize_t)0)
#define fastnn_transpose(y, x, rows, m, n) ((Py_ssize_t)0)
#define fastnn_interleave(lines, line, b, ldb, depth) ((Py_ssize_t)0)
#define fastnn_pack(packed, rows, row, depth) ((Py_ssize_t)0)
#define fastnn_finish(c, ldc, sums, bias, alpha, beta, relu, height, width) ((Py_ssize_t)0)
#define fastnn_fill_panel(panel, b, ldb, depth, width) ((Py_ssize_t)0)
#define fastnn_adam(w, m, v, ld, dw, lddw, step, decay, a, b, epsilon, height, width) ((Py_ssize_t)0)
#endif

#endif
