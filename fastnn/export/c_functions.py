"""Functions of C that exported files are made of; each file holds those that it uses.

`real` is float or double, and F(name) the function of math.h for it.  This file must not know models.
"""

from __future__ import annotations

__all__ = ["ACTIVATIONS", "LOOPS"]

# Element-wise activations: text, and the helpers that it needs, by the name of the activation.
ACTIVATIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "sigmoid": (
        "static real sigmoid(real x) {\n    return 1 / (1 + F(exp)(-x));\n}\n",
        (),
    ),
    "tanh": ("static real tanh_(real x) {\n    return F(tanh)(x);\n}\n", ()),
    "relu": ("static real relu(real x) {\n    return x > 0 ? x : 0;\n}\n", ()),
    "relu6": ("static real relu6(real x) {\n    return x > 6 ? 6 : x > 0 ? x : 0;\n}\n", ()),
    "leaky_relu": (
        "static real leaky_relu(real x, real slope) {\n    return x > 0 ? x : slope * x;\n}\n",
        (),
    ),
    "elu": ("static real elu(real x, real alpha) {\n    return x > 0 ? x : alpha * F(expm1)(x);\n}\n", ()),
    "celu": (
        "static real celu(real x, real alpha) {\n    return x > 0 ? x : alpha * F(expm1)(x / alpha);\n}\n",
        (),
    ),
    "selu": (
        "static real selu(real x) {\n"
        "    return x > 0 ? (real)1.0507009873554805 * x : (real)1.7580993408473769 * F(expm1)(x);\n}\n",
        (),
    ),
    "exponential": ("static real exponential(real x) {\n    return F(exp)(x);\n}\n", ()),
    "reciprocal": ("static real reciprocal(real x) {\n    return 1 / x;\n}\n", ()),
    "log": ("static real log_(real x) {\n    return F(log)(x);\n}\n", ()),
    "softplus": (
        "static real softplus(real x) {\n    return (x > 0 ? x : 0) + F(log1p)(F(exp)(-F(fabs)(x)));\n}\n",
        (),
    ),
    "log_sigmoid": ("static real log_sigmoid(real x) {\n    return -softplus(-x);\n}\n", ("softplus",)),
    "softsign": ("static real softsign(real x) {\n    return x / (1 + F(fabs)(x));\n}\n", ()),
    "gelu": (
        "static real gelu(real x, int approximate) {\n"
        "    if (approximate)\n"
        "        return x * sigmoid((real)1.5957691216057308 * (x + (real)0.044715 * x * x * x));\n"
        "    return x * (real)0.5 * F(erfc)(-x * (real)0.7071067811865476);\n}\n",
        ("sigmoid",),
    ),
    "silu": ("static real silu(real x) {\n    return x * sigmoid(x);\n}\n", ("sigmoid",)),
    "mish": ("static real mish(real x) {\n    return x * F(tanh)(softplus(x));\n}\n", ("softplus",)),
    "hard_sigmoid": (
        "static real hard_sigmoid(real x) {\n    return x <= -3 ? 0 : x >= 3 ? 1 : (x + 3) / 6;\n}\n",
        (),
    ),
    "hard_silu": ("static real hard_silu(real x) {\n    return x * hard_sigmoid(x);\n}\n", ("hard_sigmoid",)),
    "hard_tanh": ("static real hard_tanh(real x) {\n    return x < -1 ? -1 : x > 1 ? 1 : x;\n}\n", ()),
    "squareplus": (
        "static real squareplus(real x, real b) {\n    return (x + F(sqrt)(x * x + b)) / 2;\n}\n",
        (),
    ),
    "tanh_shrink": ("static real tanh_shrink(real x) {\n    return x - F(tanh)(x);\n}\n", ()),
    "soft_shrink": (
        "static real soft_shrink(real x, real t) {\n    return x > t ? x - t : x < -t ? x + t : 0;\n}\n",
        (),
    ),
    "hard_shrink": (
        "static real hard_shrink(real x, real t) {\n    return x > t || x < -t ? x : 0;\n}\n",
        (),
    ),
    "threshold": (
        "static real threshold(real x, real t, real value) {\n    return x > t ? x : value;\n}\n",
        (),
    ),
    "sparse_plus": (
        "static real sparse_plus(real x) {\n"
        "    return x <= -1 ? 0 : x >= 1 ? x : (x + 1) * (x + 1) / 4;\n}\n",
        (),
    ),
    "sparse_sigmoid": (
        "static real sparse_sigmoid(real x) {\n    return x <= -1 ? 0 : x >= 1 ? 1 : (x + 1) / 2;\n}\n",
        (),
    ),
    "rectifier": (
        "static real rectifier(real x, real slope, real top, real threshold) {\n"
        "    if (x > threshold)\n"
        "        return top >= 0 && x > top ? top : x;\n"
        "    return slope * (x - threshold);\n}\n",
        (),
    ),
}

# What works on whole rows.
LOOPS: dict[str, str] = {
    "dense": """\
/* y (n) = x (k) @ w (k, n) + b (n), which may be missing. */
static void dense(real* y, const real* x, const real* w, const real* b, int k, int n) {
    int i, j;
    for (j = 0; j < n; j++)
        y[j] = b ? b[j] : 0;
    for (i = 0; i < k; i++)
        for (j = 0; j < n; j++)
            y[j] += x[i] * w[i * n + j];
}
""",
    "dense_int8": """\
/* The same with w (n, k) as whole numbers, each row with its scale; x becomes whole numbers q (k). */
static void dense_int8(
    real* y, const real* x, int8_t* q, const int8_t* w, const real* scale, const real* b, int k, int n
) {
    real most = 0, unit;
    int i, j;
    for (i = 0; i < k; i++)
        if (F(fabs)(x[i]) > most)
            most = F(fabs)(x[i]);
    unit = most > 0 ? most / 127 : 1;
    for (i = 0; i < k; i++)
        q[i] = (int8_t)F(rint)(x[i] / unit);
    for (j = 0; j < n; j++) {
        int32_t sum = 0;
        for (i = 0; i < k; i++)
            sum += (int32_t)q[i] * w[j * k + i];
        y[j] = (real)sum * (unit * scale[j]) + (b ? b[j] : 0);
    }
}
""",
    "softmax": """\
static void softmax(real* y, const real* x, int n) {
    real most = x[0], sum = 0;
    int i;
    for (i = 1; i < n; i++)
        if (x[i] > most)
            most = x[i];
    for (i = 0; i < n; i++)
        sum += y[i] = F(exp)(x[i] - most);
    for (i = 0; i < n; i++)
        y[i] /= sum;
}
""",
    "log_softmax": """\
static void log_softmax(real* y, const real* x, int n) {
    real most = x[0], sum = 0;
    int i;
    for (i = 1; i < n; i++)
        if (x[i] > most)
            most = x[i];
    for (i = 0; i < n; i++)
        sum += F(exp)(x[i] - most);
    sum = most + F(log)(sum);
    for (i = 0; i < n; i++)
        y[i] = x[i] - sum;
}
""",
    "normalize_row": """\
/* y = (x - mean) / deviation; `averaged`: of the mean square plus epsilon, else at least epsilon. */
static void normalize_row(real* y, const real* x, int n, real epsilon, int centered, int averaged) {
    real mean = 0, squares = 0, deviation;
    int i;
    if (centered) {
        for (i = 0; i < n; i++)
            mean += x[i];
        mean /= n;
    }
    for (i = 0; i < n; i++)
        squares += (x[i] - mean) * (x[i] - mean);
    deviation = averaged ? F(sqrt)(squares / n + epsilon) : F(sqrt)(squares);
    if (!averaged && deviation < epsilon)
        deviation = epsilon;
    for (i = 0; i < n; i++)
        y[i] = (x[i] - mean) / deviation;
}
""",
    "bin_of": """\
/* The number of bounds that are not above x. */
static int bin_of(real x, const real* bounds, int n) {
    int i = 0;
    while (i < n && x >= bounds[i])
        i++;
    return i;
}
""",
}
