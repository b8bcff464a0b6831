/* Normal numbers of uniform ones, the same bits at every SIMD level: products and sums are not contracted. */
#ifndef FASTNN_NORMAL_H
#define FASTNN_NORMAL_H

#include <math.h>

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

/* Return `scale` times the number below which a standard normal variable is with probability u, in (0, 1/2].
 *
 * Wichura's algorithm AS 241, PPND16 (Applied Statistics 37, 1988), 16 digits, for u of at least 2^-34. */
FASTNN_AS_WRITTEN double fastnn_normal(double u, double scale) {
    FASTNN_NO_CONTRACTION
    const double q = u - 0.5;
    double r, z;
    if (q >= -0.425) {
        r = 0.180625 - q * q;
        z = (((((((2.5090809287301226727e3 * r + 3.3430575583588128105e4) * r + 6.7265770927008700853e4) * r +
                 4.5921953931549871457e4) * r + 1.3731693765509461125e4) * r + 1.9715909503065514427e3) * r +
              1.3314166789178437745e2) * r + 3.3871328727963666080e0) /
            (((((((5.2264952788528545610e3 * r + 2.8729085735721942674e4) * r + 3.9307895800092710610e4) * r +
                 2.1213794301586595867e4) * r + 5.3941960214247511077e3) * r + 6.8718700749205790830e2) * r +
              4.2313330701600911252e1) * r + 1.0);
        return scale * (q * z);
    }
    r = sqrt(-log(u)) - 1.6;
    z = (((((((7.74545014278341407640e-4 * r + 2.27238449892691845833e-2) * r + 2.41780725177450611770e-1) * r +
             1.27045825245236838258e0) * r + 3.64784832476320460504e0) * r + 5.76949722146069140550e0) * r +
          4.63033784615654529590e0) * r + 1.42343711074968357734e0) /
        (((((((1.05075007164441684324e-9 * r + 5.47593808499534494600e-4) * r + 1.51986665636164571966e-2) * r +
             1.48103976427480074590e-1) * r + 6.89767334985100004550e-1) * r + 1.67638483018380384940e0) * r +
          2.05319162663775882187e0) * r + 1.0);
    return -(scale * z);
}

#endif
