/* What compilers do not find by themselves: kernels of float32 in the intrinsics of AVX-512.
 *
 * Each returns how much it has done: all, or whole vectors, and 0 where there is no AVX-512.
 * The Cython kernels that call them do the rest.
 */
#ifndef FASTNN_AVX512_H
#define FASTNN_AVX512_H

#include <Python.h>

#if defined(__AVX512F__) && defined(__AVX512DQ__) && (defined(__GNUC__) || defined(__clang__))
#include <immintrin.h>

/* The lanes of a vector that begins at element i of `size`. */
static inline __mmask16 fastnn_lanes(Py_ssize_t i, Py_ssize_t size) {
    return size - i >= 16 ? (__mmask16)0xFFFF : (__mmask16)((1u << (size - i)) - 1);
}

/* tanh(x) for 16 intervals of |x|, bounded by 0, 1/16, 3/32, 1/8, 3/16, ..., 6, 8, 10: the exponent of |x|
 * and the first bit of its mantissa, counted modulo 16 as the permutation does, are the number of its
 * interval.  First each interval's center c, then the coefficients of a polynomial in |x| - c: fits of degree
 * 6 with the least largest relative error (Lawson's weights at 200 Chebyshev nodes), 1.3e-8 or less but for
 * 4.3e-8 from 4 to 6.  Each center was moved a little, to where tanh(c) is almost a float. */
static const float FASTNN_TANH[8][16] = {
    {2.49994802f, 3.49998045f, 5.00009823f, 6.9982543f, 8.99618626f, 0.0f, 0.078115955f, 0.109376319f,
     0.15624246f, 0.218745515f, 0.312504888f, 0.437508523f, 0.624986112f, 0.874995232f, 1.25000322f,
     1.74999332f},
    {0.986612916f, 0.998177826f, 0.999909222f, 0.999998331f, 0.99999994f, 0.0f, 0.0779574513f,
     0.108942233f, 0.154983371f, 0.215322062f, 0.302714169f, 0.411577135f, 0.554590106f, 0.703903198f,
     0.848284543f, 0.941374779f},
    {0.0265950467f, 0.00364109478f, 0.000181801108f, 3.34230594e-06f, 6.122972e-08f, 1.0f, 0.993922651f,
     0.988131583f, 0.975980163f, 0.953636408f, 0.908364117f, 0.830604255f, 0.692429841f, 0.504520297f,
     0.28041321f, 0.113813475f},
    {-0.0262387246f, -0.00363443582f, -0.000181724623f, -3.34084598e-06f, 4.49692266e-07f,
     -1.25669564e-09f, -0.0774834678f, -0.10764952f, -0.151260599f, -0.20533897f, -0.274974614f,
     -0.341857731f, -0.384014755f, -0.355133474f, -0.237870306f, -0.107141107f},
    {0.017019311f, 0.00241185958f, 0.000118875636f, 2.18625564e-06f, 4.31752696e-08f, -0.333333045f,
     -0.325265318f, -0.317651212f, -0.301883399f, -0.273664802f, -0.219549164f, -0.136167556f,
     -0.017845178f, 0.0818038881f, 0.108325861f, 0.062928699f},
    {-0.00805249065f, -0.00119738514f, -5.95455313e-05f, -1.09640109e-06f, -1.3722057e-06f,
     -2.10286744e-05f, 0.0490403846f, 0.0731583387f, 0.0969567001f, 0.127393901f, 0.158074036f,
     0.169995964f, 0.137905031f, 0.0608002469f, -0.0125859631f, -0.0235252418f},
    {0.00288706482f, 0.000490280217f, 2.84215403e-05f, 5.23361564e-07f, 5.19897592e-09f, 0.134010181f,
     0.117377527f, 0.128212959f, 0.106686197f, 0.0849958509f, 0.0454595014f, -0.00596620096f,
     -0.0543475039f, -0.0585531965f, -0.019689383f, 0.00348400138f},
    {-0.000696317933f, -0.000157677976f, -9.3794406e-06f, -1.72347015e-07f, 8.93002323e-07f,
     -0.00989817828f, 5.44117975f, -6.97766542f, 0.107709408f, -0.0790821314f, -0.0652809069f,
     -0.0616874918f, -0.0243153758f, 0.0128353173f, 0.0151024219f, 0.00210485235f}
};

/* OUT y = tanh(x); y may be x.  No divider and no branches: 10 cycles for 16 numbers, where exp and a quotient
 * take 20.  1.3 ULP; NaN and -0.0 come through. */
static inline Py_ssize_t fastnn_tanh(float* y, const float* x, Py_ssize_t size) {
    const __m512i sign = _mm512_set1_epi32((int)0x80000000u), lowest = _mm512_set1_epi32(245);
    __m512 table[8];
    Py_ssize_t i;
    int c;
    for (c = 0; c < 8; c++)
        table[c] = _mm512_loadu_ps(FASTNN_TANH[c]);
    for (i = 0; i < size; i += 16) {
        const __mmask16 lanes = fastnn_lanes(i, size);
        const __m512 value = _mm512_maskz_loadu_ps(lanes, x + i);
        const __m512i bits = _mm512_castps_si512(value);
        /* min returns its second argument if one is NaN */
        const __m512 a = _mm512_min_ps(
            _mm512_set1_ps(10.0f), _mm512_castsi512_ps(_mm512_andnot_si512(sign, bits)));
        const __m512i interval = _mm512_max_epi32(lowest, _mm512_srli_epi32(_mm512_castps_si512(a), 22));
        const __m512 t = _mm512_sub_ps(a, _mm512_permutexvar_ps(interval, table[0]));
        __m512 result = _mm512_permutexvar_ps(interval, table[7]);
        for (c = 6; c > 0; c--)
            result = _mm512_fmadd_ps(result, t, _mm512_permutexvar_ps(interval, table[c]));
        /* result | (bits & sign) */
        result = _mm512_castsi512_ps(
            _mm512_ternarylogic_epi32(_mm512_castps_si512(result), bits, sign, 0xF8));
        _mm512_mask_storeu_ps(y + i, lanes, result);
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

/* OUT y = sigmoid(x); y may be x.  With z = exp(-|x|) it is 1 / (1 + z), or z / (1 + z) below 0, so that small
 * results keep their relative accuracy; z = 2^n 2^(k / 16) exp(r) with |r| <= ln(2) / 32. */
static inline Py_ssize_t fastnn_sigmoid(float* y, const float* x, Py_ssize_t size) {
    const __m512i sign = _mm512_set1_epi32((int)0x80000000u);
    const __m512 powers = _mm512_loadu_ps(FASTNN_POWERS[0]), rests = _mm512_loadu_ps(FASTNN_POWERS[1]);
    const __m512 one = _mm512_set1_ps(1.0f);
    const __m512 rounding = _mm512_set1_ps(786432.0f); /* 1.5 * 2^19: floats there are 1 / 16 apart */
    Py_ssize_t i;
    for (i = 0; i < size; i += 16) {
        const __mmask16 lanes = fastnn_lanes(i, size);
        const __m512 value = _mm512_maskz_loadu_ps(lanes, x + i);
        /* max returns its second argument if one is NaN */
        const __m512 a = _mm512_max_ps(
            _mm512_set1_ps(-104.0f), _mm512_castsi512_ps(_mm512_or_si512(sign, _mm512_castps_si512(value))));
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
        numerator = _mm512_mask_mov_ps(
            z, _mm512_cmp_ps_mask(value, _mm512_setzero_ps(), _CMP_GT_OQ), one);
        _mm512_mask_storeu_ps(y + i, lanes, _mm512_div_ps(numerator, _mm512_add_ps(z, one)));
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

/* OUT y (n, m rounded up to vectors) = the rows of x (., n) that `rows` (m,) names, or the first m if that is NULL;
 * zeros past the last one.  n is at most 8.  Returns m. */
static inline Py_ssize_t fastnn_transpose(
    float* y, const float* x, const int* rows, Py_ssize_t m, Py_ssize_t n
) {
    const Py_ssize_t padded = (m + 15) / 16 * 16;
    const __mmask8 lanes = (__mmask8)((1u << n) - 1);
    Py_ssize_t i, j, r;
    int h;
    if (n == 1) {
        for (i = 0; i < m; i++)
            y[i] = x[rows ? rows[i] : i];
        for (; i < padded; i++)
            y[i] = 0;
        return m;
    }
    for (i = 0; i < m; i += 16) {
        __m512 block[4], half[2][4];
        const int* named = rows ? rows + i : NULL;
        int last[16];
        if (rows && m - i < 16) {   /* rows past the end: any, and their lanes are cleared below */
            for (r = 0; r < 16; r++)
                last[r] = rows[i + r < m ? i + r : i];
            named = last;
        }
#define FASTNN_ROW(r) (x + (named ? named[r] : i + (r) < m ? i + (r) : i) * n)
        if (n <= 4) {
            for (r = 0; r < 4; r++) {
                block[r] = _mm512_castps128_ps512(_mm_maskz_loadu_ps(lanes, FASTNN_ROW(r)));
                block[r] = _mm512_insertf32x4(block[r], _mm_maskz_loadu_ps(lanes, FASTNN_ROW(r + 4)), 1);
                block[r] = _mm512_insertf32x4(block[r], _mm_maskz_loadu_ps(lanes, FASTNN_ROW(r + 8)), 2);
                block[r] = _mm512_insertf32x4(block[r], _mm_maskz_loadu_ps(lanes, FASTNN_ROW(r + 12)), 3);
            }
            fastnn_turn(half[0], block);
            for (j = 0; j < n; j++)
                _mm512_storeu_ps(y + j * padded + i, _mm512_maskz_mov_ps(fastnn_lanes(i, m), half[0][j]));
            continue;
        }
        /* The two parts of a row lie side by side: first rows 0 to 7, then the others. */
        for (h = 0; h < 2; h++) {
            for (r = 0; r < 4; r++)
                block[r] = _mm512_insertf32x8(
                    _mm512_castps256_ps512(_mm256_maskz_loadu_ps(lanes, FASTNN_ROW(8 * h + r))),
                    _mm256_maskz_loadu_ps(lanes, FASTNN_ROW(8 * h + r + 4)), 1);
            fastnn_turn(half[h], block);
        }
        for (j = 0; j < 4; j++) {
            _mm512_storeu_ps(
                y + j * padded + i,
                _mm512_maskz_shuffle_f32x4(fastnn_lanes(i, m), half[0][j], half[1][j], 0x88));
            if (j + 4 < n)
                _mm512_storeu_ps(
                    y + (j + 4) * padded + i,
                    _mm512_maskz_shuffle_f32x4(fastnn_lanes(i, m), half[0][j], half[1][j], 0xDD));
        }
#undef FASTNN_ROW
    }
    return m;
}

/* OUT 16 columns of `lines` (depth, line) = the transpose of b (16, depth).  Parts of 4 rows are put side by side
 * as they are loaded, so that half of the shuffles are left: 0.11 ns an element in the caches, where what
 * compilers make of loops takes 0.22. */
static inline Py_ssize_t fastnn_interleave(
    float* lines, Py_ssize_t line, const float* b, Py_ssize_t ldb, Py_ssize_t depth
) {
    Py_ssize_t q, r, whole = depth - depth % 4;
    for (q = 0; q < whole; q += 4) {
        const float* from = b + q;
        float* to = lines + q * line;
        __m512 rows[4], columns[4];
        if (q % 16 == 0)
            for (r = 16; r < 32; r++) /* the same part of the next 16 rows */
                __builtin_prefetch(from + r * ldb);
        for (r = 0; r < 4; r++) {
            rows[r] = _mm512_castps128_ps512(_mm_loadu_ps(from + r * ldb));
            rows[r] = _mm512_insertf32x4(rows[r], _mm_loadu_ps(from + (r + 4) * ldb), 1);
            rows[r] = _mm512_insertf32x4(rows[r], _mm_loadu_ps(from + (r + 8) * ldb), 2);
            rows[r] = _mm512_insertf32x4(rows[r], _mm_loadu_ps(from + (r + 12) * ldb), 3);
        }
        fastnn_turn(columns, rows);
        for (r = 0; r < 4; r++)
            _mm512_storeu_ps(to + r * line, columns[r]);
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

/* INOUT Adam on whole vectors; see `adam` in updates.pxi.  The root is an estimate of 14 bits and a step of
 * Newton's, within 1 ULP, so that the divider, which takes 10 cycles for 16 numbers, has only the quotient to
 * do: 0.22 ns an element, with its root 0.38.  What the estimate cannot do (0, below the normal range,
 * infinity, NaN) goes there. */
static inline Py_ssize_t fastnn_adam(
    float* w, float* m, float* v, const float* dw, float step, float decay, float a, float b, float epsilon,
    Py_ssize_t size
) {
    const __m512 half = _mm512_set1_ps(0.5f);
    Py_ssize_t i, whole = size - size % 16;
    for (i = 0; i < whole; i += 16) {
        __m512 weight = _mm512_loadu_ps(w + i), mean = _mm512_loadu_ps(m + i);
        __m512 square = _mm512_loadu_ps(v + i), estimate, root, error;
        __m512 g = _mm512_fmadd_ps(_mm512_set1_ps(decay), weight, _mm512_loadu_ps(dw + i));
        mean = _mm512_fmadd_ps(_mm512_set1_ps(a), _mm512_sub_ps(g, mean), mean);
        square = _mm512_fmadd_ps(_mm512_set1_ps(b), _mm512_fmsub_ps(g, g, square), square);
        if (_mm512_fpclass_ps_mask(square, FASTNN_NOT_NORMAL) == 0) {
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
#define fastnn_tanh(y, x, size) ((Py_ssize_t)0)
#define fastnn_sigmoid(y, x, size) ((Py_ssize_t)0)
#define fastnn_transpose(y, x, rows, m, n) ((Py_ssize_t)0)
#define fastnn_interleave(lines, line, b, ldb, depth) ((Py_ssize_t)0)
#define fastnn_finish(c, ldc, sums, bias, alpha, beta, relu, height, width) ((Py_ssize_t)0)
#define fastnn_fill_panel(panel, b, ldb, depth, width) ((Py_ssize_t)0)
#define fastnn_adam(w, m, v, dw, step, decay, a, b, epsilon, size) ((Py_ssize_t)0)
#endif

#endif
