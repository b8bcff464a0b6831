/* Vectors of REAL, see reals.h. */

typedef REAL VECTOR __attribute__((vector_size(FASTNN_VECTOR_BYTES)));
typedef REAL OF(anywhere) __attribute__((vector_size(FASTNN_VECTOR_BYTES), aligned(sizeof(REAL)), may_alias));
typedef INTEGER OF(integers) __attribute__((vector_size(FASTNN_VECTOR_BYTES)));

FASTNN_ALWAYS VECTOR OF(load)(const REAL* x) {
    return *(const OF(anywhere)*)x;
}

FASTNN_ALWAYS void OF(store)(REAL* y, VECTOR x) {
    *(OF(anywhere)*)y = x;
}

FASTNN_ALWAYS VECTOR OF(fill)(REAL x) {
    return x - (VECTOR){0};
}

/* Return the first `count` numbers from x on, then zeros; no others are read. */
FASTNN_ALWAYS VECTOR OF(load_first)(const REAL* x, Py_ssize_t count) {
#if FASTNN_VECTOR_BYTES == 64
    const unsigned int first = (1u << count) - 1;
    return sizeof(REAL) == 4 ? (VECTOR)_mm512_maskz_loadu_ps((__mmask16)first, x)
                             : (VECTOR)_mm512_maskz_loadu_pd((__mmask8)first, x);
#elif FASTNN_VECTOR_BYTES == 32
#define FASTNN_PLACE(i) i
    const OF(integers) first = (OF(integers)){FASTNN_LIST(V, FASTNN_PLACE)} < (INTEGER)count;
#undef FASTNN_PLACE
    return sizeof(REAL) == 4 ? (VECTOR)_mm256_maskload_ps((const float*)x, (__m256i)first)
                             : (VECTOR)_mm256_maskload_pd((const double*)x, (__m256i)first);
#else
    VECTOR part = {0};
    Py_ssize_t i;
    for (i = 0; i < count; i++)
        part[i] = x[i];
    return part;
#endif
}

/* The numbers of a vector as float64: FASTNN_WIDES vectors, each from its own part of what was stored. */
#define FASTNN_WIDES (8 / (int)sizeof(REAL))
typedef double OF(wide) __attribute__((vector_size(FASTNN_VECTOR_BYTES)));
typedef REAL OF(part) __attribute__((vector_size(FASTNN_VECTOR_BYTES / FASTNN_WIDES), aligned(sizeof(REAL)), may_alias));

FASTNN_ALWAYS OF(wide) OF(widen)(const REAL* x) {
#if V == 16 /* gcc 12 makes eight numbers of two times four */
    return (OF(wide))_mm512_cvtps_pd((__m256)*(const OF(part)*)x);
#else
    return __builtin_convertvector(*(const OF(part)*)x, OF(wide));
#endif
}

/* Return x where y is above 0, or NaN, else 0. */
FASTNN_ALWAYS VECTOR OF(above)(VECTOR y, VECTOR x) {
    return (VECTOR)((OF(integers))x & ~(OF(integers))(y <= (VECTOR){0}));
}

/* Even and odd numbers of two vectors, within each 16 bytes; and even and odd 16 bytes. */
#define FASTNN_PART (16 / (int)sizeof(REAL))
#define FASTNN_PAIRS (V > FASTNN_PART ? V / FASTNN_PART / 2 : 1)
#define FASTNN_EVEN(i)                                                                                       \
    ((i) % FASTNN_PART / (FASTNN_PART / 2) * V + (i) / FASTNN_PART * FASTNN_PART + 2 * ((i) % (FASTNN_PART / 2)))
#define FASTNN_ODD(i) (FASTNN_EVEN(i) + 1)
#define FASTNN_EVEN_PART(i)                                                                                  \
    ((i) / FASTNN_PART / FASTNN_PAIRS * V + 2 * ((i) / FASTNN_PART % FASTNN_PAIRS) * FASTNN_PART +           \
     (i) % FASTNN_PART)
#define FASTNN_ODD_PART(i) ((FASTNN_EVEN_PART(i) + FASTNN_PART) % (2 * V))
#if defined(__clang__)
#define FASTNN_PICK(a, b, index) __builtin_shufflevector(a, b, FASTNN_LIST(V, index))
#else
#define FASTNN_PICK(a, b, index) __builtin_shuffle(a, b, (OF(integers)){FASTNN_LIST(V, index)})
#endif

/* Return sums of neighbours in two vectors of sums of `width` numbers each. */
FASTNN_ALWAYS VECTOR OF(joined)(VECTOR a, VECTOR b, int width) {
    return width < FASTNN_PART ? FASTNN_PICK(a, b, FASTNN_EVEN) + FASTNN_PICK(a, b, FASTNN_ODD)
                               : FASTNN_PICK(a, b, FASTNN_EVEN_PART) + FASTNN_PICK(a, b, FASTNN_ODD_PART);
}

/* INOUT kept: `count` vectors of sums of `width` numbers become half as many of twice that; return how many. */
FASTNN_ALWAYS int OF(halved)(VECTOR* kept, int count, int width) {
    const int second = count > 1, left = second ? count / 2 : 1;
    int i;
    FASTNN_EACH(i, left) kept[i] = OF(joined)(kept[2 * i], kept[2 * i + second], width);
    return left;
}

/* INOUT kept: the sum of each of `count` vectors, a power of two, one after the other.  It is always added up in the
 * same order.  In a loop over widths, compilers would take the vectors to memory. */
FASTNN_ALWAYS void OF(sums)(VECTOR* kept, int count) {
    count = OF(halved)(kept, count, 1);
    if (V > 2)
        count = OF(halved)(kept, count, 2);
    if (V > 4)
        count = OF(halved)(kept, count, 4);
    if (V > 8)
        count = OF(halved)(kept, count, 8);
}

/* OUT to (4,): the same of four vectors; without a loop, for which compilers would take them to memory. */
FASTNN_ALWAYS void OF(four_sums)(REAL* to, const VECTOR* kept) {
    VECTOR first = OF(joined)(kept[0], kept[1], 1);
    const VECTOR second = OF(joined)(kept[2], kept[3], 1);
    if (V > 2)
        first = OF(joined)(first, second, 2);
    if (V > 4)
        first = OF(joined)(first, first, 4);
    if (V > 8)
        first = OF(joined)(first, first, 8);
    OF(store)(to, first);
    if (V == 2)
        OF(store)(to + 2, second);
}
#undef FASTNN_PART
#undef FASTNN_PAIRS
#undef FASTNN_EVEN
#undef FASTNN_ODD
#undef FASTNN_EVEN_PART
#undef FASTNN_ODD_PART
#undef FASTNN_PICK

/* Return dy * the derivative of an activation, from its output y. */
FASTNN_ALWAYS VECTOR OF(derived)(VECTOR dy, VECTOR y, int kind) {
    return kind == FASTNN_OF_SIGMOID ? dy * (y * ((REAL)1 - y))
        : kind == FASTNN_OF_TANH ? dy * ((REAL)1 - y * y)
        : kind == FASTNN_OF_RELU ? OF(above)(y, dy)
        : dy;
}
