/* Nets of few features, with vectors along the rows of the batch; see reals.h.
 *
 * A tensor's features are `lanes` apart, its rows rounded up to FASTNN_LANES; where `lanes` is a constant, compilers
 * leave no loops over them.  Sums stay in registers: arrays, which is all that Cython has, take them to memory and
 * back for every input.
 */

/* Vectors that FASTNN_LANES rows fill, and that are worked on at once. */
#define FASTNN_LEAST (FASTNN_LANES / V)
#define FASTNN_MANY (FASTNN_LEAST > 4 ? FASTNN_LEAST : 4)

/* Make a call with COUNT, a constant, for each COUNT vectors of `lanes`; `v` is the first lane. */
#define FASTNN_BY_LANES(call)                                                                                \
    for (v = 0; v + FASTNN_MANY * V <= lanes; v += FASTNN_MANY * V) {                                        \
        enum { COUNT = FASTNN_MANY };                                                                        \
        call;                                                                                                \
    }                                                                                                        \
    for (; v < lanes; v += FASTNN_LANES) {                                                                   \
        enum { COUNT = FASTNN_LEAST };                                                                       \
        call;                                                                                                \
    }

/* OUT y (n, lanes) = the rows of x (., n) that `rows` (m,) names, or the first m if that is NULL; then zeros. */
FASTNN_ALWAYS void OF(narrow_turn)(
    REAL* y, const REAL* x, const int* rows, Py_ssize_t m, Py_ssize_t n, Py_ssize_t lanes
) {
    Py_ssize_t i, j;
    int r;
#ifdef FASTNN_TURN
    if (FASTNN_TURN(y, x, rows, m, n) == m)
        return;
#endif
    for (j = 0; j < n; j++, y += lanes, x++) {
        for (i = 0; i + FASTNN_LANES <= m; i += FASTNN_LANES)
            if (rows)
                FASTNN_EACH(r, FASTNN_LANES) y[i + r] = x[rows[i + r] * n];
            else
                FASTNN_EACH(r, FASTNN_LANES) y[i + r] = x[(i + r) * n];
        for (; i < m; i++)
            y[i] = x[(rows ? rows[i] : i) * n];
        for (; i < lanes; i++)
            y[i] = 0;
    }
}

/* OUT sums (count,) = start + the sum of w[p * step] * vectors of feature p of x, for p below `depth`. */
FASTNN_ALWAYS void OF(narrow_mix)(
    VECTOR* sums, REAL start, const REAL* w, Py_ssize_t step, const REAL* x, Py_ssize_t depth, Py_ssize_t lanes,
    int count
) {
    Py_ssize_t p;
    int r;
    FASTNN_EACH(r, count) sums[r] = OF(fill)(start);
    for (p = 0; p < depth; p++) {
        const REAL weight = w[p * step];
        FASTNN_EACH(r, count) sums[r] += weight * OF(load)(x + p * lanes + r * V);
    }
}

/* Return activation(z) for a ReLU, and for a sigmoid if FASTNN_SIGMOID does that; else z. */
FASTNN_ALWAYS VECTOR OF(narrow_activated)(VECTOR z, int kind) {
#ifdef FASTNN_SIGMOID
    if (kind == FASTNN_OF_SIGMOID)
        return FASTNN_SIGMOID(z);
#endif
    return kind == FASTNN_OF_RELU ? OF(above)(z, z) : z;
}

FASTNN_ALWAYS void OF(narrow_units)(
    REAL* y, const REAL* x, const REAL* w, const REAL* b, int kind, Py_ssize_t n, Py_ssize_t k, Py_ssize_t lanes,
    int count
) {
    VECTOR sums[FASTNN_MANY];
    Py_ssize_t j;
    int r;
    for (j = 0; j < n; j++) {
        OF(narrow_mix)(sums, b ? b[j] : 0, w + j, n, x, k, lanes, count);
        FASTNN_EACH(r, count) OF(store)(y + j * lanes + r * V, OF(narrow_activated)(sums[r], kind));
    }
}

/* OUT y (n, lanes) = w.T @ x (k, lanes) + b (n,), which may be NULL, through `narrow_activated`. */
FASTNN_ALWAYS void OF(narrow_forward)(
    REAL* y, const REAL* x, const REAL* w, const REAL* b, int kind, Py_ssize_t n, Py_ssize_t k, Py_ssize_t lanes
) {
    Py_ssize_t v;
    FASTNN_BY_LANES(OF(narrow_units)(y + v, x + v, w, b, kind, n, k, lanes, COUNT))
}

/* OUT dx (size,) = dy * the derivative of `kind`, from its output y; dx may be dy. */
FASTNN_ALWAYS void OF(narrow_derive)(REAL* dx, const REAL* dy, const REAL* y, int kind, Py_ssize_t size) {
    Py_ssize_t v;
    for (v = 0; v < size; v += V)
        OF(store)(dx + v, OF(derived)(OF(load)(dy + v), OF(load)(y + v), kind));
}

FASTNN_ALWAYS void OF(narrow_inputs)(
    REAL* dx, const REAL* dy, const REAL* w, const REAL* y, int kind, Py_ssize_t n, Py_ssize_t k, Py_ssize_t lanes,
    int count
) {
    VECTOR sums[FASTNN_MANY];
    Py_ssize_t i;
    int r;
    for (i = 0; i < k; i++) {
        OF(narrow_mix)(sums, 0, w + i * n, 1, dy, n, lanes, count);
        FASTNN_EACH(r, count)
            OF(store)(
                dx + i * lanes + r * V,
                y ? OF(derived)(sums[r], OF(load)(y + i * lanes + r * V), kind) : sums[r]);
    }
}

/* OUT dx (k, lanes) = (w @ dy (n, lanes)) * the derivative of `kind`, from the output y, which may be NULL. */
FASTNN_ALWAYS void OF(narrow_backward)(
    REAL* dx, const REAL* dy, const REAL* w, const REAL* y, int kind, Py_ssize_t n, Py_ssize_t k, Py_ssize_t lanes
) {
    Py_ssize_t v;
    FASTNN_BY_LANES(OF(narrow_inputs)(dx + v, dy + v, w, y ? y + v : NULL, kind, n, k, lanes, COUNT))
}

/* OUT to (4,) = the sums over `size` lanes of features i of x times features j of dy, or of the latter alone if x is
 * NULL, of the first `count` pairs (i, j), 2 or 4, and zeros. */
FASTNN_ALWAYS void OF(narrow_products)(
    REAL* to, const REAL* x, const REAL* dy, const Py_ssize_t* i, const Py_ssize_t* j, Py_ssize_t size,
    Py_ssize_t lanes, int count
) {
    const REAL *left[4], *right[4];
    VECTOR sums[4] = {OF(fill)(0), OF(fill)(0), OF(fill)(0), OF(fill)(0)};
    Py_ssize_t v;
    int r;
    FASTNN_EACH(r, count) {
        left[r] = x ? x + i[r] * lanes : NULL;
        right[r] = dy + j[r] * lanes;
        sums[r] = x ? OF(load)(left[r]) * OF(load)(right[r]) : OF(load)(right[r]);
    }
    for (v = V; v < size; v += V)
        FASTNN_EACH(r, count)
            sums[r] += x ? OF(load)(left[r] + v) * OF(load)(right[r] + v) : OF(load)(right[r] + v);
    OF(four_sums)(to, sums);
}

/* The same over m rows in tiles of `tile_rows`, x having `width` features and dy n: blocks of lanes are as long as
 * float32 allows, and are added in float64. */
FASTNN_ALWAYS void OF(narrow_blocks)(
    REAL* to, const REAL* x, const REAL* dy, const Py_ssize_t* i, const Py_ssize_t* j, Py_ssize_t m,
    Py_ssize_t tile_rows, Py_ssize_t n, Py_ssize_t width
) {
    double totals[4] = {0};
    Py_ssize_t tile, v;
    int r;
    for (tile = 0; tile < m; tile += tile_rows) {
        const Py_ssize_t rows = m - tile < tile_rows ? m - tile : tile_rows;
        const Py_ssize_t lanes = (rows + FASTNN_LANES - 1) & -FASTNN_LANES;
        for (v = 0; v < lanes; v += FASTNN_CHAIN * V) {
            const Py_ssize_t size = lanes - v < FASTNN_CHAIN * V ? lanes - v : FASTNN_CHAIN * V;
            OF(narrow_products)(
                to, x ? x + tile * width + v : NULL, dy + tile * n + v, i, j, size, lanes, 4);
            FASTNN_EACH(r, 4) totals[r] += to[r];
        }
    }
    FASTNN_EACH(r, 4) to[r] = (REAL)totals[r];
}

FASTNN_ALWAYS void OF(narrow_put)(REAL* dw, const REAL* sums, REAL alpha, REAL beta, int count) {
    int r;
    if (beta != 0)
        FASTNN_EACH(r, count) dw[r] = alpha * sums[r] + beta * dw[r];
    else
        FASTNN_EACH(r, count) dw[r] = alpha * sums[r];
}

/* INOUT dw (k, n) = alpha * (sums over m rows of features x (k), from `first` on, * dy (n)) + beta * dw; NULL for x
 * stands for a feature of ones.  Unless `lanes` is 0, one block holds all rows. */
FASTNN_ALWAYS void OF(narrow_gradient)(
    REAL* dw, const REAL* x, const REAL* dy, REAL alpha, REAL beta, Py_ssize_t m, Py_ssize_t tile_rows, Py_ssize_t n,
    Py_ssize_t k, Py_ssize_t first, Py_ssize_t width, Py_ssize_t lanes
) {
    Py_ssize_t pair, i[4], j[4], row = first, column = 0;
    REAL sums[4 + V];
    int r;
    for (pair = 0; pair < n * k; pair += 4) {
        const int count = n * k - pair < 4 ? (int)(n * k - pair) : 4;
        FASTNN_EACH(r, 4) { /* what is past the end is that of the last pair once more */
            i[r] = row;
            j[r] = column;
            if (r + 1 < count && ++column == n) {
                column = 0;
                row++;
            }
        }
        if (lanes > FASTNN_LANES && count <= 2)
            OF(narrow_products)(sums, x, dy, i, j, lanes, lanes, 2);
        else if (lanes)
            OF(narrow_products)(sums, x, dy, i, j, lanes, lanes, 4);
        else
            OF(narrow_blocks)(sums, x, dy, i, j, m, tile_rows, n, width);
        if (++column == n) {
            column = 0;
            row++;
        }
        FASTNN_BY_COUNT(count, OF(narrow_put)(dw + pair, sums, alpha, beta, COUNT))
    }
}

/* Return the sum of (y - t)^2 over m rows of n features; OUT dy = step * (y - t), and 0 past row m, where t is not
 * read. */
FASTNN_ALWAYS double OF(narrow_errors)(
    REAL* dy, const REAL* y, const REAL* t, REAL step, Py_ssize_t m, Py_ssize_t n, Py_ssize_t lanes
) {
    OF(wide) totals[FASTNN_WIDES] = {0};
    double numbers[V];
    Py_ssize_t j, v;
    int i, r;
    for (j = 0; j < n * lanes; j += lanes)
        for (v = 0; v < lanes; v += V) {
            const Py_ssize_t rows = m - v < 0 ? 0 : m - v;
            const VECTOR error = rows >= V ? OF(load)(y + j + v) - OF(load)(t + j + v)
                                           : OF(load_first)(y + j + v, rows) - OF(load_first)(t + j + v, rows);
            REAL errors[V];
            OF(store)(dy + j + v, step * error);
            OF(store)(errors, error);
            FASTNN_EACH(r, FASTNN_WIDES) {
                const OF(wide) part = OF(widen)(errors + r * (V / FASTNN_WIDES));
                totals[r] += part * part;
            }
        }
    memcpy(numbers, totals, sizeof numbers);
    _Pragma("GCC unroll 4") for (r = V / 2; r > 0; r /= 2) FASTNN_EACH(i, r) numbers[i] += numbers[i + r];
    return numbers[0];
}
#undef FASTNN_LEAST
#undef FASTNN_MANY
#undef FASTNN_BY_LANES
