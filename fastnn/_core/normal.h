/* Normal numbers of uniform ones, the same bits at every SIMD level: products and sums are not contracted.
 *
 * A number h of 32 bits stands for u = (h + 1/2) / 2^32, and becomes the z below which a standard normal variable is
 * with probability u.  With q = u - 1/2 and w = -log2(4 u (1 - u)), z / q is a smooth function of w, from 0 in the
 * middle to 31 at the ends, and nearly a polynomial in t = (w - 7) / (w + 13): one for all u, so that there are neither
 * branches nor tails, and loops are vectorised.  The logarithm is the exponent and a polynomial in the mantissa,
 * between sqrt(1/2) and sqrt(2), minus 1.
 *
 * float32: degree 13 with the least largest relative error (Lawson's weights), 2.2e-8, and a logarithm of degree 8,
 * 5.7e-8; float64: Chebyshev fits (mpmath, 34 digits) of degree 26, 2.8e-14, and 18, 6.1e-16.  Even and odd powers
 * are added up apart, as each sum waits for the one before. */
#ifndef FASTNN_NORMAL_H
#define FASTNN_NORMAL_H

#include "fastnn/_core/block.h"

#include <string.h>

#if defined(__clang__)
#define FASTNN_NO_CONTRACTION _Pragma("clang fp contract(off)")
#define FASTNN_AS_WRITTEN static __attribute__((noinline))
#elif defined(__GNUC__)
#define FASTNN_NO_CONTRACTION
#define FASTNN_AS_WRITTEN static __attribute__((noinline, optimize("fp-contract=off")))
#else
#define FASTNN_NO_CONTRACTION
#define FASTNN_AS_WRITTEN static
#endif

/* OUT z: `scale` times the normal numbers of `bits`, `count` of them and those up to a multiple of 16; both arrays
 * have room for that.  The largest relative error for all bits is 5.5e-7, 8.3 ULP. */
FASTNN_AS_WRITTEN void fastnn_normals_float(
    float* z, const unsigned int* bits, Py_ssize_t count, double scale
) {
    FASTNN_NO_CONTRACTION
    const float wide = (float)scale;
    const Py_ssize_t size = (count + 15) & ~(Py_ssize_t)15;
    Py_ssize_t i;
    for (i = 0; i < size; i++) {
        /* h - 2^31, whose sign is that of z, and how far it is from the middle, and from the end */
        const int from_middle = (int)(bits[i] ^ 0x80000000u);
        const int distance = from_middle ^ (from_middle >> 31), left = distance ^ 0x7FFFFFFF;
        const float q = ((float)distance + 0.5f) * 2.3283064365386963e-10f;
        const float product = ((float)left + 0.5f) * 9.3132257461547852e-10f * (q + 0.5f);
        float s, s2, t, t2, w, even, odd;
        int word, part;
        memcpy(&word, &product, sizeof word);
        word -= 0x3F3504F3; /* sqrt(1/2) */
        part = (word & 0x7FFFFF) + 0x3F3504F3;
        memcpy(&s, &part, sizeof s);
        s -= 1.0f;
        s2 = s * s;
        even = 0.13865119f;
        even = even * s2 + 0.25156397f;
        even = even * s2 + 0.3599665f;
        even = even * s2 + 0.72136134f;
        even = even * s2 - 4.150202e-08f;
        odd = -0.23439477f;
        odd = odd * s2 - 0.28712273f;
        odd = odd * s2 - 0.48091993f;
        odd = odd * s2 - 1.442695f;
        w = even + odd * s - (float)(word >> 23);
        t = (w - 7.0f) / (w + 13.0f);
        t2 = t * t;
        even = 13.617439f;
        even = even * t2 - 13.019755f;
        even = even * t2 + 12.680952f;
        even = even * t2 - 2.9556117f;
        even = even * t2 + 5.077535f;
        even = even * t2 + 4.487557f;
        even = even * t2 + 5.7927084f;
        odd = 13.0120535f;
        odd = odd * t2 - 12.0691595f;
        odd = odd * t2 + 11.720329f;
        odd = odd * t2 - 3.228436f;
        odd = odd * t2 + 5.9311523f;
        odd = odd * t2 + 1.2424507f;
        odd = odd * t2 + 8.463952f;
        w = q * (even + odd * t) * wide;
        memcpy(&word, &w, sizeof word);
        word ^= from_middle & (int)0x80000000u;
        memcpy(z + i, &word, sizeof word);
    }
}

/* The same; the largest relative error found is 2.9e-14. */
FASTNN_AS_WRITTEN void fastnn_normals_double(
    double* z, const unsigned int* bits, Py_ssize_t count, double scale
) {
    FASTNN_NO_CONTRACTION
    const Py_ssize_t size = (count + 15) & ~(Py_ssize_t)15;
    Py_ssize_t i;
    for (i = 0; i < size; i++) {
        const int from_middle = (int)(bits[i] ^ 0x80000000u);
        const int distance = from_middle ^ (from_middle >> 31), left = distance ^ 0x7FFFFFFF;
        const double q = ((double)distance + 0.5) * 2.3283064365386963e-10;
        const double product = ((double)left + 0.5) * 9.3132257461547852e-10 * (q + 0.5);
        double s, s2, t, t2, w, even, odd;
        unsigned long long word, part;
        memcpy(&word, &product, sizeof word);
        word += 0x4000000000000000u - 0x3FE6A09E667F3BCDu; /* 2^10 for the exponent, sqrt(1/2) */
        part = (word & 0xFFFFFFFFFFFFFu) + 0x3FE6A09E667F3BCDu;
        memcpy(&s, &part, sizeof s);
        part = (word >> 52) | 0x4330000000000000u; /* 2^52 and the exponent, as not all levels convert it */
        memcpy(&w, &part, sizeof w);
        w = 4503599627370496.0 + 1024.0 - w;
        s -= 1.0;
        s2 = s * s;
        even = 0.0455686340389568;
        even = even * s2 + 0.10854674998522845;
        even = even * s2 + 0.10011446481212104;
        even = even * s2 + 0.12045290915286531;
        even = even * s2 + 0.14426005656135932;
        even = even * s2 + 0.18033707974404953;
        even = even * s2 + 0.240449171782215;
        even = even * s2 + 0.3606737602208351;
        even = even * s2 + 0.7213475204445401;
        even = even * s2 - 5.815416987202739e-17;
        odd = -0.10078524520523385;
        odd = odd * s2 - 0.097543482105334;
        odd = odd * s2 - 0.11036166031944893;
        odd = odd * s2 - 0.13122213472629518;
        odd = odd * s2 - 0.1602957245921392;
        odd = odd * s2 - 0.20609940174112099;
        odd = odd * s2 - 0.28853900647994835;
        odd = odd * s2 - 0.48089834697467737;
        odd = odd * s2 - 1.4426950408889399;
        w = even + odd * s + w;
        t = (w - 7.0) / (w + 13.0);
        t2 = t * t;
        even = -112.7202270012015;
        even = even * t2 + 307.58675174045544;
        even = even * t2 - 391.80279321210577;
        even = even * t2 + 332.52901067656455;
        even = even * t2 - 211.1664579767681;
        even = even * t2 + 118.35183445890151;
        even = even * t2 - 60.9295794695424;
        even = even * t2 + 37.3187306464729;
        even = even * t2 - 18.96303238712434;
        even = even * t2 + 13.57129760162341;
        even = even * t2 - 3.030034385635571;
        even = even * t2 + 5.080615642374179;
        even = even * t2 + 4.48750842150427;
        even = even * t2 + 5.792708697743223;
        odd = 29.446656476458234;
        odd = odd * t2 - 55.93910393746418;
        odd = odd * t2 + 61.92061924292254;
        odd = odd * t2 - 46.58877637811061;
        odd = odd * t2 + 39.50645154588146;
        odd = odd * t2 - 31.412053296616683;
        odd = odd * t2 + 28.25974103858846;
        odd = odd * t2 - 16.19360597716099;
        odd = odd * t2 + 12.32614886096091;
        odd = odd * t2 - 3.2727436288898097;
        odd = odd * t2 + 5.932329772300505;
        odd = odd * t2 + 1.242460310124368;
        odd = odd * t2 + 8.463951863564198;
        z[i] = (from_middle < 0 ? -q : q) * (even + odd * t) * scale;
    }
}

#define fastnn_normals(z, ...) FASTNN_BY_REAL(normals, z)(z, __VA_ARGS__)

#endif
