/* Kernels that are one text for float32 and float64 and for every SIMD level: vectors.h, then what is made of it.
 *
 * REAL is the dtype, V the numbers of a vector, and OF a name of this dtype. */
#ifndef FASTNN_REALS_H
#define FASTNN_REALS_H

#include "fastnn/_core/avx512.h"
#include "fastnn/_core/block.h"

#define FASTNN_CHAIN 512    /* numbers of float32 that are added one after the other, see long_sums.pxi */
#define FASTNN_ONE_BLOCK (FASTNN_CHAIN * FASTNN_SINGLES)    /* rows of which no vector has more than that */
#define FASTNN_LANES 16     /* rows that make a whole vector where the batch is the fast axis */
#define FASTNN_FEW 4        /* outputs, see few_outputs.h */
#define FASTNN_LONG 1024    /* inputs of which copies fit the stack */

/* Derivatives of activations, from their output. */
enum { FASTNN_ONE, FASTNN_OF_SIGMOID, FASTNN_OF_TANH, FASTNN_OF_RELU };

#if FASTNN_VECTOR_BYTES > 16
#include <immintrin.h>
#endif
#if FASTNN_VECTOR_BYTES == 64
#define FASTNN_SINGLES 16
#define FASTNN_DOUBLES 8
#elif FASTNN_VECTOR_BYTES == 32
#define FASTNN_SINGLES 8
#define FASTNN_DOUBLES 4
#else
#define FASTNN_SINGLES 4
#define FASTNN_DOUBLES 2
#endif

/* The values of f for each number of a vector. */
#define FASTNN_JOINED(a, b) a##b
#define FASTNN_LIST(count, f) FASTNN_JOINED(FASTNN_LIST_, count)(f, 0)
#define FASTNN_LIST_2(f, i) f(i), f(i + 1)
#define FASTNN_LIST_4(f, i) FASTNN_LIST_2(f, i), FASTNN_LIST_2(f, i + 2)
#define FASTNN_LIST_8(f, i) FASTNN_LIST_4(f, i), FASTNN_LIST_4(f, i + 4)
#define FASTNN_LIST_16(f, i) FASTNN_LIST_8(f, i), FASTNN_LIST_8(f, i + 8)

/* Make a call with COUNT, a constant from 1 to 4, that is `count`. */
#define FASTNN_BY_COUNT(count, call)                                                                         \
    switch (count) {                                                                                         \
    case 1: { enum { COUNT = 1 }; call; break; }                                                             \
    case 2: { enum { COUNT = 2 }; call; break; }                                                             \
    case 3: { enum { COUNT = 3 }; call; break; }                                                             \
    default: { enum { COUNT = 4 }; call; }                                                                   \
    }

#define VECTOR OF(vector)

#define REAL float
#define INTEGER int
#define V FASTNN_SINGLES
#define OF(name) fastnn_##name##_float
#if FASTNN_HAS_SIGMOID
#define FASTNN_SIGMOID fastnn_sigmoid_vector
#define FASTNN_TURN fastnn_transpose
#endif
#include "fastnn/_core/vectors.h"
#include "fastnn/_core/few_outputs.h"
#include "fastnn/_core/narrow.h"
#undef REAL
#undef INTEGER
#undef V
#undef OF
#undef FASTNN_SIGMOID
#undef FASTNN_TURN

#define REAL double
#define INTEGER long long
#define V FASTNN_DOUBLES
#define OF(name) fastnn_##name##_double
#include "fastnn/_core/vectors.h"
#include "fastnn/_core/few_outputs.h"
#include "fastnn/_core/narrow.h"
#undef REAL
#undef INTEGER
#undef V
#undef OF
#undef VECTOR

#define fastnn_few_forward(y, ...) FASTNN_BY_REAL(few_forward, y)(y, __VA_ARGS__)
#define fastnn_few_backward(dx, ...) FASTNN_BY_REAL(few_backward, dx)(dx, __VA_ARGS__)
#define fastnn_few_gradient(dw, ...) FASTNN_BY_REAL(few_gradient, dw)(dw, __VA_ARGS__)
#define fastnn_narrow_turn(y, ...) FASTNN_BY_REAL(narrow_turn, y)(y, __VA_ARGS__)
#define fastnn_narrow_forward(y, ...) FASTNN_BY_REAL(narrow_forward, y)(y, __VA_ARGS__)
#define fastnn_narrow_derive(dx, ...) FASTNN_BY_REAL(narrow_derive, dx)(dx, __VA_ARGS__)
#define fastnn_narrow_backward(dx, ...) FASTNN_BY_REAL(narrow_backward, dx)(dx, __VA_ARGS__)
#define fastnn_narrow_gradient(dw, ...) FASTNN_BY_REAL(narrow_gradient, dw)(dw, __VA_ARGS__)
#define fastnn_narrow_errors(dy, ...) FASTNN_BY_REAL(narrow_errors, dy)(dy, __VA_ARGS__)

#endif
