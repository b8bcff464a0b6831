/* Nets so small that registers hold them, float32, in the intrinsics of AVX-512: whole steps in one function.
 *
 * Up to three dense layers of one or two features, up to 16 rows, squared error, plain SGD or Adam.  A step of
 * such a net is one chain of operations, each waiting for the one before; written op by op, as in lanes.h, a
 * third of that time goes to memory and back between ops, and a fourth to finding out what comes next.  Here a
 * weight is a vector of 16 copies for as long as the steps last, a feature of a batch a vector of its rows.
 * Every number is computed as lanes.h computes it, so results have the same bits.  2-2-1 with 4 rows took 79 ns
 * a step before, 1-1 with one row 38.
 */
#ifndef FASTNN_TINY_H
#define FASTNN_TINY_H

#include <Python.h>

#define FASTNN_TINY_DEPTH 3
#define FASTNN_TINY_WIDTH 2

/* A kernel or a bias with what updates it. */
typedef struct {
    float *w, *m, *v;   /* `m` and `v` are Adam's state */
    float keep;         /* SGD: 1 - 2 rate l2 */
    float decay;        /* Adam: 2 l2 */
} fastnn_tiny_weight;

typedef struct {
    int depth, adam;
    int widths[FASTNN_TINY_DEPTH + 1];
    int kinds[FASTNN_TINY_DEPTH];       /* of the activations, see thin.h */
    fastnn_tiny_weight kernels[FASTNN_TINY_DEPTH];
    fastnn_tiny_weight biases[FASTNN_TINY_DEPTH]; /* `w` is NULL where there is none */
    const float *x, *t;         /* inputs and targets of the epoch */
    const int* rows;            /* their order, or NULL */
    Py_ssize_t m;               /* rows of a step */
    float error_step;           /* the gradient of the loss by the error, over the error */
    double factor, times;       /* of a step's loss; of that, in the epoch's sum */
    float alpha;                /* SGD: -rate */
    float a, b, epsilon;        /* Adam: 1 - beta_1, 1 - beta_2 */
    double rate, beta_1, beta_2;
} fastnn_tiny;

#include "fastnn/_core/lanes.h"

#if FASTNN_HAS_LANES
#include <float.h>
#include <math.h>

#define FASTNN_HAS_TINY 1

typedef struct {
    __m512 w, m, v;
} fastnn_tiny_value;

/* Return 16 copies of a number of a weight, whose state comes along. */
FASTNN_INLINE fastnn_tiny_value fastnn_tiny_read(const fastnn_tiny_weight* weight, int q, int adam) {
    fastnn_tiny_value value;
    value.w = _mm512_set1_ps(weight->w[q]);
    if (adam) {
        value.m = _mm512_set1_ps(weight->m[q]);
        value.v = _mm512_set1_ps(weight->v[q]);
    }
    return value;
}

FASTNN_INLINE void fastnn_tiny_write(const fastnn_tiny_weight* weight, int q, fastnn_tiny_value value, int adam) {
    weight->w[q] = _mm512_cvtss_f32(value.w);
    if (adam) {
        weight->m[q] = _mm512_cvtss_f32(value.m);
        weight->v[q] = _mm512_cvtss_f32(value.v);
    }
}

/* Return the sum of the first `lanes`, 1, 4 or 16, of x in as many lanes, in the order of `lane_sum`. */
FASTNN_INLINE __m512 fastnn_tiny_sum(__m512 x, int lanes) {
    if (lanes > 4) {
        x = _mm512_add_ps(x, _mm512_shuffle_f32x4(x, x, 0x4E));
        x = _mm512_add_ps(x, _mm512_shuffle_f32x4(x, x, 0xB1));
    }
    if (lanes > 1) {
        x = _mm512_add_ps(x, _mm512_permute_ps(x, 0x4E));
        x = _mm512_add_ps(x, _mm512_permute_ps(x, 0xB1));
    }
    return x;
}

/* INOUT value: an update with a gradient's sum; see updates.pxi. */
FASTNN_INLINE void fastnn_tiny_update(
    fastnn_tiny_value* value, __m512 sum, const fastnn_tiny* net, const fastnn_tiny_weight* weight, float rate,
    int adam
) {
    if (!adam) {
        value->w = _mm512_fmadd_ps(
            _mm512_set1_ps(weight->keep), value->w, _mm512_mul_ps(sum, _mm512_set1_ps(net->alpha)));
        return;
    }
    sum = _mm512_fmadd_ps(_mm512_set1_ps(weight->decay), value->w, sum);
    value->m = fastnn_flushed(
        _mm512_fmadd_ps(_mm512_set1_ps(net->a), _mm512_sub_ps(sum, value->m), value->m));
    value->v = fastnn_flushed(
        _mm512_fmadd_ps(_mm512_set1_ps(net->b), _mm512_fmsub_ps(sum, sum, value->v), value->v));
    value->w = _mm512_sub_ps(
        value->w, _mm512_div_ps(
                      _mm512_mul_ps(_mm512_set1_ps(rate), value->m),
                      _mm512_add_ps(_mm512_sqrt_ps(value->v), _mm512_set1_ps(net->epsilon))));
}

/* OUT columns (width): the m rows, `n` numbers each, of a batch that begins at row `origin`; `lanes` being 1, the
 * only row in all lanes.  Columns past n are zeros. */
FASTNN_INLINE void fastnn_tiny_take(
    __m512* columns, const float* x, const int* rows, Py_ssize_t origin, Py_ssize_t m, int n, int width, int lanes
) {
    const __mmask16 there = fastnn_lanes(0, m);
    const __m512 zero = _mm512_setzero_ps();
    int j;
    if (lanes == 1) {
        x += (rows ? rows[origin] : origin) * n;
        FASTNN_EACH(j, width)
            columns[j] = j < n ? _mm512_set1_ps(x[j]) : zero;
    } else if (rows && lanes == 4) { /* gathers of so few numbers take longer than one after the other */
        const float* from[4];
        __m128 column;
        int r;
        rows += origin;
        FASTNN_EACH(r, 4)
            from[r] = x + (r < m ? rows[r] : rows[0]) * n;
        FASTNN_EACH(j, width) {
            columns[j] = zero;
            if (j < n) {
                column = _mm_setr_ps(from[0][j], from[1][j], from[2][j], from[3][j]);
                columns[j] = _mm512_maskz_mov_ps(there, _mm512_castps128_ps512(column));
            }
        }
    } else if (rows) {
        const __m512i place = _mm512_maskz_loadu_epi32(there, rows + origin);
        if (n == 1) {
            columns[0] = _mm512_mask_i32gather_ps(zero, there, place, x, 4);
            FASTNN_EACH(j, width - 1)
                columns[j + 1] = zero;
        } else
            FASTNN_EACH(j, width)
                columns[j] = _mm512_mask_i32gather_ps(zero, there, place, x + j, 8);
    } else if (n == 1) {
        columns[0] = _mm512_maskz_loadu_ps(there, x + origin);
        FASTNN_EACH(j, width - 1)
            columns[j + 1] = zero;
    } else {
        __m512i place = _mm512_slli_epi32(FASTNN_NUMBERS, 1);
        const __m512 low = _mm512_maskz_loadu_ps(fastnn_lanes(0, 2 * m), x + 2 * origin);
        const __m512 high =
            lanes > 4 && m > 8 ? _mm512_maskz_loadu_ps(fastnn_lanes(16, 2 * m), x + 2 * origin + 16) : zero;
        FASTNN_EACH(j, width) {
            columns[j] = _mm512_permutex2var_ps(low, place, high);
            place = _mm512_add_epi32(place, _mm512_set1_epi32(1));
        }
    }
}

FASTNN_INLINE __m512 fastnn_tiny_activated(__m512 z, int kind) {
    if (kind == FASTNN_OF_TANH) {
        __m512 low[7], high[7];
        int c;
        FASTNN_EACH(c, 7) {
            low[c] = _mm512_loadu_ps(FASTNN_TANH[c]);
            high[c] = _mm512_loadu_ps(FASTNN_TANH[c] + 16);
        }
        return fastnn_tanh_vector(z, low, high);
    }
    return fastnn_lanes_activated(z, kind);
}

/* Return the sum of squares over the first `lanes` of all errors, in the order of `fastnn_lanes_errors`. */
FASTNN_INLINE double fastnn_tiny_squares(const __m512* errors, int width, int lanes) {
    int j;
    if (lanes <= 4) {
        __m256d total = _mm256_setzero_pd();
        __m128d sum;
        FASTNN_EACH(j, width) {
            const __m256d error = _mm256_cvtps_pd(_mm512_castps512_ps128(errors[j]));
            total = _mm256_add_pd(total, _mm256_mul_pd(error, error));
        }
        if (lanes == 1)
            return _mm256_cvtsd_f64(total);
        sum = _mm_add_pd(_mm256_castpd256_pd128(total), _mm256_extractf128_pd(total, 1));
        return _mm_cvtsd_f64(_mm_add_sd(sum, _mm_unpackhi_pd(sum, sum)));
    } else {
        __m512d total = _mm512_setzero_pd();
        FASTNN_EACH(j, width) {
            const __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(errors[j]));
            const __m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(errors[j], 1));
            total = _mm512_add_pd(total, _mm512_fmadd_pd(low, low, _mm512_mul_pd(high, high)));
        }
        return _mm512_reduce_add_pd(total);
    }
}

/* Make up to `count` steps, of batches from row `origin` on; INOUT sum: the epoch's loss, powers (2,): of Adam's
 * decays at the step at hand.  Returns how many steps were made: fewer if the loss of the next one is not finite.
 * The last four arguments are constants. */
FASTNN_INLINE Py_ssize_t fastnn_tiny_run(
    const fastnn_tiny* net, Py_ssize_t origin, Py_ssize_t count, double* sum, double* powers, const int depth,
    const int width, const int lanes, const int adam
) {
    enum { D = FASTNN_TINY_DEPTH, W = FASTNN_TINY_WIDTH };
    fastnn_tiny_value w[D][W][W], b[D][W];
    __m512 y[D + 1][W], t[W], d[D][W], errors[W];
    __mmask16 live[D][W];
    const __m512 zero = _mm512_setzero_ps();
    const __mmask16 there = lanes == 1 ? (__mmask16)0xFFFF : fastnn_lanes(0, net->m);
    const int* widths = net->widths;
    double power_1 = powers[0], power_2 = powers[1], total = *sum;
    Py_ssize_t step;
    int i, j, l;
    /* What a net of fewer features lacks is zeros, and stays so: such features and their errors are 0. */
    FASTNN_EACH(l, depth)
        FASTNN_EACH(j, width) {
            const fastnn_tiny_value nothing = {zero, zero, zero};
            live[l][j] = j < widths[l + 1] ? (__mmask16)0xFFFF : (__mmask16)0;
            b[l][j] = net->biases[l].w && live[l][j] ? fastnn_tiny_read(&net->biases[l], j, adam) : nothing;
            FASTNN_EACH(i, width)
                w[l][i][j] = i < widths[l] && live[l][j]
                    ? fastnn_tiny_read(&net->kernels[l], i * widths[l + 1] + j, adam) : nothing;
        }
    for (step = 0; step < count; step++) {
        float rate = 0;
        double loss;
        if (adam) {
            if (step) {
                power_1 *= net->beta_1;
                power_2 *= net->beta_2;
            }
            rate = (float)(net->rate * (sqrt(1.0 - power_2) / (1.0 - power_1)));
        }
        fastnn_tiny_take(y[0], net->x, net->rows, origin, net->m, widths[0], width, lanes);
        fastnn_tiny_take(t, net->t, net->rows, origin, net->m, widths[depth], width, lanes);
        origin += net->m;
        FASTNN_EACH(l, depth)
            FASTNN_EACH(j, width) {
                __m512 z = b[l][j].w;
                FASTNN_EACH(i, width)
                    z = _mm512_fmadd_ps(w[l][i][j].w, y[l][i], z);
                z = fastnn_tiny_activated(z, net->kinds[l]);
                y[l + 1][j] = width == 1 ? z : _mm512_maskz_mov_ps(live[l][j], z);
            }
        FASTNN_EACH(j, width) {
            errors[j] = _mm512_maskz_sub_ps(there, y[depth][j], t[j]);
            d[depth - 1][j] = _mm512_mul_ps(_mm512_set1_ps(net->error_step), errors[j]);
            if (net->kinds[depth - 1] != FASTNN_ONE)
                d[depth - 1][j] = fastnn_lanes_derived(d[depth - 1][j], y[depth][j], net->kinds[depth - 1]);
        }
        loss = net->factor * fastnn_tiny_squares(errors, width, lanes);
        if (!(fabs(loss) <= FLT_MAX))
            break;
        loss *= net->times;
        __asm__("" : "+x"(loss)); /* else compilers fuse it into the sum, whose bits then differ from other paths' */
        total += loss;
        FASTNN_EACH(l, depth - 1) {
            const int layer = depth - 1 - l;
            FASTNN_EACH(i, width) {
                __m512 back = zero;
                FASTNN_EACH(j, width)
                    back = _mm512_fmadd_ps(w[layer][i][j].w, d[layer][j], back);
                d[layer - 1][i] = fastnn_lanes_derived(back, y[layer][i], net->kinds[layer - 1]);
            }
        }
        FASTNN_EACH(l, depth)
            FASTNN_EACH(j, width) {
                FASTNN_EACH(i, width)
                    fastnn_tiny_update(
                        &w[l][i][j], fastnn_tiny_sum(_mm512_mul_ps(d[l][j], y[l][i]), lanes), net,
                        &net->kernels[l], rate, adam);
                if (net->biases[l].w)
                    fastnn_tiny_update(
                        &b[l][j], fastnn_tiny_sum(d[l][j], lanes), net, &net->biases[l], rate, adam);
            }
    }
    FASTNN_EACH(l, depth)
        FASTNN_EACH(j, width)
            if (live[l][j]) {
                if (net->biases[l].w)
                    fastnn_tiny_write(&net->biases[l], j, b[l][j], adam);
                FASTNN_EACH(i, width)
                    if (i < widths[l])
                        fastnn_tiny_write(&net->kernels[l], i * widths[l + 1] + j, w[l][i][j], adam);
            }
    powers[0] = power_1;
    powers[1] = power_2;
    *sum = total;
    return step;
}

#define FASTNN_TINY_LANES(name, depth, width, adam)                                                          \
    static Py_ssize_t name(                                                                                  \
        const fastnn_tiny* net, Py_ssize_t origin, Py_ssize_t count, double* sum, double* powers             \
    ) {                                                                                                      \
        if (net->m == 1)                                                                                     \
            return fastnn_tiny_run(net, origin, count, sum, powers, depth, width, 1, adam);                  \
        if (net->m <= 4)                                                                                     \
            return fastnn_tiny_run(net, origin, count, sum, powers, depth, width, 4, adam);                  \
        return fastnn_tiny_run(net, origin, count, sum, powers, depth, width, 16, adam);                     \
    }
#define FASTNN_TINY_WIDTHS(name, depth)                                                                      \
    FASTNN_TINY_LANES(name##_narrow, depth, 1, 0)                                                            \
    FASTNN_TINY_LANES(name##_narrow_adam, depth, 1, 1)                                                       \
    FASTNN_TINY_LANES(name##_pair, depth, 2, 0)                                                              \
    FASTNN_TINY_LANES(name##_pair_adam, depth, 2, 1)

FASTNN_TINY_WIDTHS(fastnn_tiny_1, 1)
FASTNN_TINY_WIDTHS(fastnn_tiny_2, 2)
FASTNN_TINY_WIDTHS(fastnn_tiny_3, 3)

/* The same for any net. */
static Py_ssize_t fastnn_tiny_steps(
    const fastnn_tiny* net, Py_ssize_t origin, Py_ssize_t count, double* sum, double* powers
) {
    static Py_ssize_t (*const STEPS[FASTNN_TINY_DEPTH][FASTNN_TINY_WIDTH][2])(
        const fastnn_tiny*, Py_ssize_t, Py_ssize_t, double*, double*
    ) = {
        {{fastnn_tiny_1_narrow, fastnn_tiny_1_narrow_adam}, {fastnn_tiny_1_pair, fastnn_tiny_1_pair_adam}},
        {{fastnn_tiny_2_narrow, fastnn_tiny_2_narrow_adam}, {fastnn_tiny_2_pair, fastnn_tiny_2_pair_adam}},
        {{fastnn_tiny_3_narrow, fastnn_tiny_3_narrow_adam}, {fastnn_tiny_3_pair, fastnn_tiny_3_pair_adam}},
    };
    int l, widest = 1;
    for (l = 0; l <= net->depth; l++)
        widest = net->widths[l] > widest ? net->widths[l] : widest;
    return STEPS[net->depth - 1][widest - 1][net->adam](net, origin, count, sum, powers);
}

#else
#define FASTNN_HAS_TINY 0
#define fastnn_tiny_steps(net, origin, count, sum, powers) ((Py_ssize_t)0)
#endif

#endif
