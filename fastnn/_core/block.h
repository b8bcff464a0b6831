/* A block of a product of matrices, in the vectors of gcc and clang, at every SIMD level.
 *
 * The sums stay in registers from the first step to the last; loops over arrays, which is all that Cython has,
 * take them there and back through memory, and need a pointer for each row of `a`: 10 % of a product.
 */
#ifndef FASTNN_BLOCK_H
#define FASTNN_BLOCK_H

#include <Python.h>

#define FASTNN_EXPECT_WRITE(address) __builtin_prefetch(address, 1)
#define FASTNN_EXPECT_READ(address) __builtin_prefetch(address, 0)
#define FASTNN_EXPECT_LATER(address) __builtin_prefetch(address, 0, 2) /* no nearer than the second-level cache */

#if defined(__AVX512F__)
#define FASTNN_VECTOR_BYTES 64
#elif defined(__AVX__)
#define FASTNN_VECTOR_BYTES 32
#else
#define FASTNN_VECTOR_BYTES 16
#endif

/* The function of float32 or of float64, by what its first argument points to; Cython has it with void pointers. */
#define FASTNN_BY_REAL(name, to) _Generic((to), float*: fastnn_##name##_float, double*: fastnn_##name##_double)

/* INOUT c (rows, bytes / sizeof(REAL)) = relu(alpha * a @ b + (bias, or beta * c if that is NULL)).
 *
 * Row i of `a` begins at a + i * row, its elements are `step` apart; rows of `b` and `c` are ldb and ldc apart.
 * Meanwhile as large blocks at the first n_next, at most 3, addresses of `next`, rows ldn apart, are asked for:
 * the first n_written to be written soon, the others to be read later.  These two numbers and `rows`, at most
 * 8, and `bytes`, at most 4 vectors, must be constants: callers inline this. */
#define FASTNN_ALL _Pragma("GCC unroll 8")
#define FASTNN_EACH(i, count) _Pragma("GCC unroll 16") for (i = 0; i < count; i++)
#define FASTNN_ALWAYS static inline __attribute__((always_inline))
#define FASTNN_BLOCK(NAME, REAL, INTEGER)                                                                    \
    FASTNN_ALWAYS void NAME(                                                                                 \
        REAL* c, Py_ssize_t ldc, const REAL* a, Py_ssize_t row, Py_ssize_t step, const REAL* b,              \
        Py_ssize_t ldb, Py_ssize_t depth, const REAL* bias, REAL alpha, REAL beta, int relu,                 \
        const REAL* const* next, const Py_ssize_t* ldn, int n_next, int n_written, int rows, int bytes       \
    ) {                                                                                                      \
        typedef REAL vector __attribute__((vector_size(FASTNN_VECTOR_BYTES)));                               \
        typedef REAL anywhere                                                                                \
            __attribute__((vector_size(FASTNN_VECTOR_BYTES), aligned(sizeof(REAL)), may_alias));             \
        typedef INTEGER integers __attribute__((vector_size(FASTNN_VECTOR_BYTES)));                          \
        const int lanes = FASTNN_VECTOR_BYTES / sizeof(REAL), vectors = bytes / FASTNN_VECTOR_BYTES;         \
        const REAL *a3 = a + 3 * row, *a6 = a + 6 * row; /* for one pointer a row there are no registers */  \
        vector kept[8][4], right[4];                                                                         \
        const vector zero = {0};                                                                             \
        Py_ssize_t p = 0;                                                                                    \
        int i, v, part;                                                                                      \
        FASTNN_ALL for (i = 0; i < rows; i++)                                                                \
            FASTNN_ALL for (v = 0; v < vectors; v++)                                                         \
                kept[i][v] = zero;                                                                           \
        for (part = 1; part <= (n_next ? rows : 1); part++) {                                                \
            const Py_ssize_t end = n_next ? depth * part / rows : depth;                                     \
            FASTNN_ALL for (i = 0; i < n_next; i++) /* rows that do not begin at a line end in one more */   \
                FASTNN_ALL for (v = 0; v < bytes + 64; v += 64) {                                            \
                    const char* line =                                                                       \
                        (const char*)(next[i] + (part - 1) * ldn[i]) + (v < bytes ? v : bytes - 1);          \
                    if (i < n_written)                                                                       \
                        FASTNN_EXPECT_WRITE(line);                                                           \
                    else                                                                                     \
                        FASTNN_EXPECT_LATER(line);                                                           \
                }                                                                                            \
            for (; p < end; p++) {                                                                           \
                FASTNN_ALL for (v = 0; v < vectors; v++)                                                     \
                    right[v] = *(const anywhere*)(b + v * lanes);                                            \
                FASTNN_ALL for (i = 0; i < rows; i++) {                                                      \
                    const REAL left = i < 3 ? a[i * row] : i < 6 ? a3[(i - 3) * row] : a6[(i - 6) * row];    \
                    FASTNN_ALL for (v = 0; v < vectors; v++)                                                 \
                        kept[i][v] += left * right[v];                                                       \
                }                                                                                            \
                a += step;                                                                                   \
                a3 += step;                                                                                  \
                a6 += step;                                                                                  \
                b += ldb;                                                                                    \
            }                                                                                                \
        }                                                                                                    \
        FASTNN_ALL for (i = 0; i < rows; i++)                                                                \
            FASTNN_ALL for (v = 0; v < vectors; v++) {                                                       \
                anywhere* to = (anywhere*)(c + i * ldc + v * lanes);                                         \
                vector sum = alpha * kept[i][v];                                                             \
                if (bias)                                                                                    \
                    sum = alpha * kept[i][v] + *(const anywhere*)(bias + v * lanes);                         \
                else if (beta != 0)                                                                          \
                    sum = alpha * kept[i][v] + beta * *to;                                                   \
                if (relu) /* NaN stays NaN */                                                                \
                    sum = (vector)((integers)sum & ~(integers)(sum <= zero));                                \
                *to = sum;                                                                                   \
            }                                                                                                \
    }

FASTNN_BLOCK(fastnn_block_float, float, int)
FASTNN_BLOCK(fastnn_block_double, double, long long)

/* The same of packed rows, side by side, or of rows or columns of a matrix: as `block` in matmul.pxi, but inlined
 * come what may.  Either `row` or `step` is 1, and compilers are told which, as they count pointers then. */
#define FASTNN_ANY_BLOCK(NAME, BLOCK, REAL)                                                                  \
    FASTNN_ALWAYS void NAME(                                                                                 \
        REAL* c, Py_ssize_t ldc, const REAL* a, Py_ssize_t row, Py_ssize_t step, const REAL* b,              \
        Py_ssize_t ldb, Py_ssize_t depth, const REAL* bias, REAL alpha, REAL beta, int relu, int rows,       \
        int bytes                                                                                            \
    ) {                                                                                                      \
        if (row == 1 && step == rows)                                                                        \
            BLOCK(c, ldc, a, 1, rows, b, ldb, depth, bias, alpha, beta, relu, 0, 0, 0, 0, rows, bytes);      \
        else if (step == 1)                                                                                  \
            BLOCK(c, ldc, a, row, 1, b, ldb, depth, bias, alpha, beta, relu, 0, 0, 0, 0, rows, bytes);       \
        else                                                                                                 \
            BLOCK(c, ldc, a, 1, step, b, ldb, depth, bias, alpha, beta, relu, 0, 0, 0, 0, rows, bytes);      \
    }

FASTNN_ANY_BLOCK(fastnn_any_block_float, fastnn_block_float, float)
FASTNN_ANY_BLOCK(fastnn_any_block_double, fastnn_block_double, double)

#define fastnn_block(c, ...) FASTNN_BY_REAL(block, c)(c, __VA_ARGS__)
#define fastnn_any_block(c, ...) FASTNN_BY_REAL(any_block, c)(c, __VA_ARGS__)

#endif
