/* Dense layers of up to FASTNN_FEW outputs, with vectors along the inputs, which are adjacent; see reals.h.
 *
 * A block of a product would be mostly padding, and BLAS takes as long for one output as for sixteen.  `n` and `kind`
 * must be constants where functions are inlined.
 */

/* Sums that are kept at once, and added up across their vectors together. */
#define FASTNN_GROUP (V == 16 ? 16 : 8)
/* Vectors of inputs whose gradients are kept at once. */
#define FASTNN_WIDE 4

/* OUT columns (n, k) = w (k, n), and zeros up to a whole vector. */
FASTNN_ALWAYS void OF(few_columns)(REAL (*columns)[FASTNN_LONG + V], const REAL* w, int n, Py_ssize_t k) {
    Py_ssize_t p;
    int j;
    for (p = 0; p < k; p++)
        FASTNN_EACH(j, n) columns[j][p] = w[p * n + j];
    FASTNN_EACH(j, n) OF(store)(columns[j] + k, OF(fill)(0));
}

/* OUT y (height, n) = x (height, k) @ w (k, n) + bias (FASTNN_GROUP,), of which y has the first numbers. */
FASTNN_ALWAYS void OF(few_block)(
    REAL* y, const REAL* x, REAL (*w)[FASTNN_LONG + V], const REAL* bias, int height, int n, Py_ssize_t k
) {
    VECTOR kept[FASTNN_GROUP];
    REAL sums[FASTNN_GROUP];
    Py_ssize_t p;
    int i, j;
    FASTNN_EACH(i, FASTNN_GROUP) kept[i] = OF(fill)(0);
    for (p = 0; p + V <= k; p += V)
        FASTNN_EACH(i, height) {
            const VECTOR part = OF(load)(x + i * k + p);
            FASTNN_EACH(j, n) kept[i * n + j] += part * OF(load)(w[j] + p);
        }
    if (p < k)
        FASTNN_EACH(i, height) {
            const VECTOR part = OF(load_first)(x + i * k + p, k - p);
            FASTNN_EACH(j, n) kept[i * n + j] += part * OF(load)(w[j] + p);
        }
    OF(sums)(kept, FASTNN_GROUP);
    FASTNN_EACH(i, FASTNN_GROUP / V) OF(store)(sums + i * V, kept[i] + OF(load)(bias + i * V));
    memcpy(y, sums, (size_t)(height * n) * sizeof(REAL));
}

FASTNN_ALWAYS void OF(few_blocks)(
    REAL* y, const REAL* x, const REAL* w, const REAL* b, Py_ssize_t m, int n, Py_ssize_t k
) {
    const int height = FASTNN_GROUP / n;
    REAL columns[FASTNN_FEW][FASTNN_LONG + V], bias[FASTNN_GROUP];
    Py_ssize_t i;
    int q;
    OF(few_columns)(columns, w, n, k);
    FASTNN_EACH(q, FASTNN_GROUP) bias[q] = b ? b[q % n] : 0;
    if (m < height)
        for (i = 0; i < m; i++)
            OF(few_block)(y + i * n, x + i * k, columns, bias, 1, n, k);
    else
        for (i = 0; i < m; i += height) { /* the last rows come with some before them */
            const Py_ssize_t first = i + height <= m ? i : m - height;
            OF(few_block)(y + first * n, x + first * k, columns, bias, height, n, k);
        }
}

/* OUT y (m, n) = x (m, k) @ w (k, n) + b (n,), which may be NULL; n is at most FASTNN_FEW, k FASTNN_LONG. */
static void OF(few_forward)(
    REAL* y, const REAL* x, const REAL* w, const REAL* b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k
) {
    FASTNN_BY_COUNT(n, OF(few_blocks)(y, x, w, b, m, COUNT, k))
}

/* OUT dx (V,) = dy (n,) @ w.T (n, V) * the derivative of `kind` at y (V,). */
FASTNN_ALWAYS void OF(few_spread)(
    REAL* dx, const REAL* dy, REAL (*w)[FASTNN_LONG + V], Py_ssize_t p, const REAL* y, int kind, int n
) {
    VECTOR sum = dy[0] * OF(load)(w[0] + p);
    int j;
    FASTNN_EACH(j, n - 1) sum += dy[j + 1] * OF(load)(w[j + 1] + p);
    OF(store)(dx, kind == FASTNN_ONE ? sum : OF(derived)(sum, OF(load)(y), kind));
}

FASTNN_ALWAYS void OF(few_rows)(
    REAL* dx, const REAL* dy, const REAL* w, const REAL* y, int kind, Py_ssize_t m, int n, Py_ssize_t k
) {
    REAL columns[FASTNN_FEW][FASTNN_LONG + V], last[V], last_y[V] = {0};
    Py_ssize_t i, p;
    OF(few_columns)(columns, w, n, k);
    for (i = 0; i < m; i++) {
        for (p = 0; p + V <= k; p += V)
            OF(few_spread)(dx + p, dy, columns, p, y + p, kind, n);
        if (p < k && k >= V) /* with some before it */
            OF(few_spread)(dx + k - V, dy, columns, k - V, y + k - V, kind, n);
        else if (p < k) {
            if (kind != FASTNN_ONE)
                memcpy(last_y, y, (size_t)k * sizeof(REAL));
            OF(few_spread)(last, dy, columns, 0, last_y, kind, n);
            memcpy(dx, last, (size_t)k * sizeof(REAL));
        }
        dx += k;
        dy += n;
        if (kind != FASTNN_ONE)
            y += k;
    }
}

/* OUT dx (m, k) = (dy (m, n) @ w.T) * (the derivative of `kind`, at the output y (m, k)), of w (k, n). */
static void OF(few_backward)(
    REAL* dx, const REAL* dy, const REAL* w, const REAL* y, int kind, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k
) {
#define FASTNN_ROWS(KIND) FASTNN_BY_COUNT(n, OF(few_rows)(dx, dy, w, y, KIND, m, COUNT, k))
    switch (kind) {
    case FASTNN_ONE: FASTNN_ROWS(FASTNN_ONE) break;
    case FASTNN_OF_SIGMOID: FASTNN_ROWS(FASTNN_OF_SIGMOID) break;
    case FASTNN_OF_TANH: FASTNN_ROWS(FASTNN_OF_TANH) break;
    default: FASTNN_ROWS(FASTNN_OF_RELU)
    }
#undef FASTNN_ROWS
}

/* INOUT kept (vectors, n) += a row of x, of which the last vector has `rest` numbers, times one of dy (n,). */
FASTNN_ALWAYS void OF(few_add)(
    VECTOR (*kept)[FASTNN_FEW], const REAL* x, const REAL* dy, Py_ssize_t rest, int vectors, int n
) {
    int j, v;
    FASTNN_EACH(v, vectors) {
        const VECTOR part = v < vectors - 1 || rest == V ? OF(load)(x + v * V) : OF(load_first)(x + v * V, rest);
        FASTNN_EACH(j, n) kept[v][j] += part * dy[j];
    }
}

/* OUT sums (n, FASTNN_WIDE * V) = dy.T (n, m) @ x (m, `vectors` and the rest of the last). */
FASTNN_ALWAYS void OF(few_sums)(
    REAL (*sums)[FASTNN_WIDE * V], const REAL* x, const REAL* dy, Py_ssize_t m, Py_ssize_t ldx, Py_ssize_t rest,
    int vectors, int n
) {
    /* even and odd rows, where one row alone would wait for the one before */
    const int parities = n * vectors <= 4 ? 2 : 1;
    VECTOR kept[2][FASTNN_WIDE][FASTNN_FEW];
    Py_ssize_t i;
    int h, j, v;
    FASTNN_EACH(v, vectors) FASTNN_EACH(j, n) kept[0][v][j] = kept[1][v][j] = OF(fill)(0);
    for (i = 0; i + parities <= m; i += parities)
        FASTNN_EACH(h, parities)
            OF(few_add)(kept[h], x + (i + h) * ldx, dy + (i + h) * n, rest, vectors, n);
    if (i < m)
        OF(few_add)(kept[0], x + i * ldx, dy + i * n, rest, vectors, n);
    FASTNN_EACH(v, vectors) FASTNN_EACH(j, n) OF(store)(sums[j] + v * V, kept[0][v][j] + kept[1][v][j]);
}

/* INOUT dw (k, n) = alpha * x.T @ dy (m, n) + beta * dw, for as many inputs k as some vectors hold. */
FASTNN_ALWAYS void OF(few_inputs)(
    REAL* dw, const REAL* x, const REAL* dy, REAL alpha, REAL beta, Py_ssize_t m, Py_ssize_t k, Py_ssize_t ldx,
    int vectors, int n
) {
    const Py_ssize_t rest = k - (vectors - 1) * V, most = sizeof(REAL) == 4 ? FASTNN_CHAIN : m;
    REAL sums[FASTNN_FEW][FASTNN_WIDE * V] = {{0}};
    Py_ssize_t i, p;
    int j;
    OF(few_sums)(sums, x, dy, m < most ? m : most, ldx, rest, vectors, n);
    if (m > most) {
        double totals[FASTNN_FEW][FASTNN_WIDE * V] = {{0}};
        for (i = most;; i += most) {
            FASTNN_EACH(j, n)
                for (p = 0; p < vectors * V; p++)
                    totals[j][p] += sums[j][p];
            if (i >= m)
                break;
            OF(few_sums)(
                sums, x + i * ldx, dy + i * n, m - i < most ? m - i : most, ldx, rest, vectors, n);
        }
        FASTNN_EACH(j, n)
            for (p = 0; p < vectors * V; p++)
                sums[j][p] = (REAL)totals[j][p];
    }
    if (beta != 0)
        for (p = 0; p < k; p++)
            FASTNN_EACH(j, n) dw[p * n + j] = alpha * sums[j][p] + beta * dw[p * n + j];
    else
        for (p = 0; p < k; p++)
            FASTNN_EACH(j, n) dw[p * n + j] = alpha * sums[j][p];
}

/* INOUT dw (k, n) = alpha * x.T @ dy (m, n) + beta * dw, over k of the ldx columns of x (m, ldx). */
static void OF(few_gradient)(
    REAL* dw, const REAL* x, const REAL* dy, REAL alpha, REAL beta, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k,
    Py_ssize_t ldx
) {
    const int vectors = n <= FASTNN_FEW / 2 ? FASTNN_WIDE : FASTNN_WIDE / 2; /* as many as registers hold */
    Py_ssize_t p;
    for (p = 0; p < k; p += vectors * V) {
        const Py_ssize_t part = k - p < vectors * V ? k - p : vectors * V;
        REAL* to = dw + p * n;
#define FASTNN_INPUTS(N)                                                                                     \
    FASTNN_BY_COUNT((part + V - 1) / V, OF(few_inputs)(to, x + p, dy, alpha, beta, m, part, ldx, COUNT, N))
        switch (n) {
        case 1: FASTNN_INPUTS(1) break;
        case 2: FASTNN_INPUTS(2) break;
        case 3: FASTNN_INPUTS(3) break;
        default: FASTNN_INPUTS(4)
        }
#undef FASTNN_INPUTS
    }
}
#undef FASTNN_GROUP
#undef FASTNN_WIDE
