"""Accuracy of exp, sigmoid, tanh and softplus in units in the last place (ULP), over their whole range.

float32 is compared with float64 NumPy; float64 with the 64-bit mantissas of `numpy.longdouble`
where the platform has them, and with the standard library's `decimal` everywhere.
exp is measured through softmax: in a row (0, x) with x so small that 1 + exp(x) rounds to 1,
the second output is exp(x) times 1.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable

import numpy as np
import pytest
from formulas import ACTIVATIONS

from fastnn import Input, Model, kernels, layers

POINTS = 1 << 20
DTYPES = [np.float32, np.float64]
EXACT = {np.float32: np.float64, np.float64: np.longdouble}
needs_longdouble = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 63, reason="numpy.longdouble has no more digits than float64 here"
)
Array = np.ndarray


def exp_through_softmax(x: Array) -> Array:
    rows = np.stack([np.zeros_like(x), x], axis=1)
    return kernels.softmax_forward(rows)[:, 1]


FUNCTIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "sigmoid": (kernels.sigmoid_forward, ACTIVATIONS["sigmoid"]),
    "tanh": (kernels.tanh_forward, ACTIVATIONS["tanh"]),
    "exp": (exp_through_softmax, ACTIVATIONS["exponential"]),
    "softplus": (kernels.softplus_forward, ACTIVATIONS["softplus"]),
}


def ulp_errors(given: Array, exact: Array) -> Array:
    """Return |given - exact| in units of the last place that `given`'s dtype has at `exact`."""
    info = np.finfo(given.dtype)
    # frexp's mantissa is in [0.5, 1), so the last place is worth 2^(exponent - digits), but never
    # less than the smallest subnormal number.
    exponent = np.maximum(np.frexp(exact)[1] - (info.nmant + 1), info.minexp - info.nmant)
    return np.abs(given.astype(exact.dtype) - exact) / np.ldexp(exact.dtype.type(1), exponent)


def everywhere(dtype: type, rng: np.random.Generator) -> Array:
    """Return finite numbers whose bit patterns are spread evenly: all exponents, both signs."""
    bits = np.uint32 if dtype is np.float32 else np.uint64
    width = np.dtype(bits).itemsize * 8
    drawn = rng.integers(0, 2**width, POINTS + POINTS // 64, dtype=bits)
    values = drawn.view(dtype)
    return values[np.isfinite(values)][:POINTS]


def arguments(name: str, dtype: type, part: str) -> Array:
    rng = np.random.default_rng(20261121)
    single = dtype is np.float32
    if part == "subnormal":  # of which exp, and so sigmoid, is below the normal range
        low, high = (-103.9, -87.4) if single else (-745.1, -708.4)
        return rng.uniform(low, high, POINTS).astype(dtype)
    if name == "exp":
        low, high = (-87.3, -17.4) if single else (-708.3, -37.5)
        return rng.uniform(low, high, POINTS).astype(dtype)
    if part == "everywhere":
        return everywhere(dtype, rng)
    low, high = (-110, 100) if name in ("sigmoid", "softplus") and single else (-750, 750)
    low, high = (-12, 12) if name == "tanh" else (low, high)
    # Half of the points where the function bends.
    return np.concatenate(
        [rng.uniform(low, high, POINTS // 2), rng.uniform(-6, 6, POINTS // 2)], dtype=dtype, casting="unsafe"
    )


CASES = [
    ("sigmoid", "everywhere"),
    ("sigmoid", "bend"),
    ("sigmoid", "subnormal"),
    ("tanh", "everywhere"),
    ("tanh", "bend"),
    ("exp", "normal"),
    ("exp", "subnormal"),
    ("softplus", "everywhere"),
    ("softplus", "bend"),
    ("softplus", "subnormal"),
]


@pytest.mark.parametrize("dtype", [np.float32, pytest.param(np.float64, marks=needs_longdouble)])
@pytest.mark.parametrize(("name", "part"), CASES)
def test_errors_stay_within_their_marks(
    name: str, part: str, dtype: type, simd_level: str, tolerances: dict[str, float]
) -> None:
    function, exact = FUNCTIONS[name]
    x = arguments(name, dtype, part)
    assert x.size == POINTS
    given = function(x)
    assert given.dtype == dtype
    errors = ulp_errors(given, exact(x.astype(EXACT[dtype])))
    worst = int(errors.argmax())
    assert errors[worst] <= tolerances[f"{name} ulp"], f"{errors[worst]} ULP at {x[worst]!r}"
    if part == "subnormal":
        assert (given < np.finfo(dtype).smallest_normal).mean() > 0.99
        assert (given > 0).mean() > 0.9


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "exp", "softplus"])
def test_float64_agrees_with_decimal_arithmetic(
    name: str, simd_level: str, tolerances: dict[str, float]
) -> None:
    parts = [part for case, part in CASES if case == name]
    x = np.concatenate([arguments(name, np.float64, part)[:700] for part in parts])
    if name == "tanh":
        x = x[(np.abs(x) > 1e-8) & (np.abs(x) < 25)]
    if name in ("sigmoid", "softplus"):
        x = x[np.abs(x) < 740]
    assert x.size > 700
    given = FUNCTIONS[name][0](x)
    with decimal.localcontext(prec=60):
        for argument, value in zip(x.tolist(), given.tolist(), strict=True):
            e = decimal.Decimal(argument).exp()
            exact = {
                "exp": e,
                "sigmoid": e / (1 + e),
                "tanh": (e * e - 1) / (e * e + 1),
                "softplus": (1 + e).ln() if argument > -100 else e - e * e / 2,
            }[name]
            exponent = max(int(np.frexp(float(exact))[1]) - 53, -1074)
            error = abs(decimal.Decimal(value) - exact) / decimal.Decimal(2) ** exponent
            assert error <= tolerances[f"{name} ulp"], f"{error} ULP at {argument!r}"


@pytest.mark.parametrize("dtype", DTYPES)
def test_special_values(dtype: type, simd_level: str) -> None:
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], dtype)
    # At every place of a vector, and in the tail behind the last whole vector.
    for size in range(5, 70):
        x = np.resize(special, size)
        sigmoid = kernels.sigmoid_forward(x)
        np.testing.assert_array_equal(sigmoid, np.resize(np.array([np.nan, 1, 0, 0.5, 0.5], dtype), size))
        tanh = kernels.tanh_forward(x)
        np.testing.assert_array_equal(tanh, np.resize(np.array([np.nan, 1, -1, 0, 0], dtype), size))
        softplus = kernels.softplus_forward(x)
        exact = np.resize(np.array([np.nan, np.inf, 0, np.log(2), np.log(2)], dtype), size)
        np.testing.assert_allclose(softplus, exact, rtol=2 * np.finfo(dtype).eps)
        zeros = x == 0
        np.testing.assert_array_equal(np.signbit(tanh[zeros]), np.signbit(x[zeros]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_tanh_of_small_numbers_is_the_number(dtype: type, simd_level: str) -> None:
    info = np.finfo(dtype)
    smallest = info.smallest_subnormal
    x = np.array([smallest, 3 * smallest, info.smallest_normal, info.eps**2], dtype)
    x = np.concatenate([x, -x])
    np.testing.assert_array_equal(kernels.tanh_forward(x), x)


@pytest.mark.parametrize("dtype", DTYPES)
def test_functions_saturate(dtype: type, simd_level: str) -> None:
    largest = np.finfo(dtype).max
    x = np.array([largest, -largest], dtype)
    np.testing.assert_array_equal(kernels.sigmoid_forward(x), np.array([1, 0], dtype))
    np.testing.assert_array_equal(kernels.tanh_forward(x), np.array([1, -1], dtype))
    np.testing.assert_array_equal(exp_through_softmax(x[1:]), np.zeros(1, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_functions_do_not_leave_their_range(dtype: type, simd_level: str) -> None:
    x = np.linspace(-1000, 1000, POINTS // 4, dtype=dtype)
    sigmoid, tanh = kernels.sigmoid_forward(x), kernels.tanh_forward(x)
    assert sigmoid.min() >= 0
    assert sigmoid.max() <= 1
    assert np.abs(tanh).max() <= 1
    np.testing.assert_array_equal(kernels.tanh_forward(-x), -tanh)


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_treats_special_values_row_by_row(dtype: type, simd_level: str) -> None:
    inf, nan = np.inf, np.nan
    z = np.array([[0, 0, -inf], [-inf, 3, -inf], [0, nan, 0], [nan, 0, 0], [1, 2, inf], [-inf] * 3], dtype)
    y = kernels.softmax_forward(z)
    np.testing.assert_array_equal(y[:2], np.array([[0.5, 0.5, 0], [0, 1, 0]], dtype))
    assert np.isnan(y[2:4]).all()
    # inf - inf is NaN, as in C; nothing finite may stand where the row means nothing.
    assert np.isnan(y[4, 2])
    assert np.isnan(y[5]).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_is_shifted_and_sums_to_one(
    dtype: type, simd_level: str, tolerances: dict[str, float]
) -> None:
    rng = np.random.default_rng(5)
    eps = np.finfo(dtype).eps
    for columns in (1, 2, 10, 15, 16, 17, 1000):
        z = rng.normal(0, 20, (64, columns)).astype(dtype)
        y = kernels.softmax_forward(z)
        exact = z.astype(np.longdouble)
        exact = np.exp(exact - exact.max(1, keepdims=True))
        exact /= exact.sum(1, keepdims=True)
        # z - max(z) is rounded once, which exp multiplies by |z - max(z)|.
        spread = 1 + (z.max(1, keepdims=True) - z)
        allowed = tolerances["element"] * eps * spread * exact + 2 * np.finfo(dtype).smallest_subnormal
        assert (np.abs(y - exact) <= allowed).all()
        tolerance = tolerances["sum"] * eps * np.sqrt(columns)
        np.testing.assert_allclose(y.sum(1, dtype=np.float64), 1, rtol=0, atol=tolerance)
        # Large scores neither overflow nor change the result.
        shifted = np.round(z) + dtype(4096)
        np.testing.assert_array_equal(kernels.softmax_forward(shifted), kernels.softmax_forward(np.round(z)))


@needs_longdouble
@pytest.mark.parametrize("dtype", DTYPES)
def test_exponential_and_elu(dtype: type, simd_level: str, tolerances: dict[str, float]) -> None:
    rng = np.random.default_rng(20261121)
    x = Input((1024,))
    model = Model(x, layers.Exp()(x), dtype=np.dtype(dtype).name)
    low, high = (-103.9, 88.7) if dtype is np.float32 else (-745.1, 709.7)
    rows = rng.uniform(low, high, (1024, 1024)).astype(dtype)
    errors = ulp_errors(model.predict(rows), ACTIVATIONS["exponential"](rows.astype(EXACT[dtype])))
    assert errors.max() <= tolerances["exp ulp"]
    edges = np.array([[2000.0, -2000.0, 0.0, -0.0] * 256], dtype)
    np.testing.assert_array_equal(model.predict(edges)[0, :4], [np.inf, 0, 1, 1])
    rows = rng.uniform(-40, 5, (1024, 1024)).astype(dtype)
    rows[:512] *= dtype(1e-3)  # near 0, where exp(x) - 1 would lose its digits
    exact = ACTIVATIONS["elu"](rows.astype(EXACT[dtype]))
    assert ulp_errors(kernels.elu_forward(rows), exact).max() <= tolerances["elu ulp"]
    assert np.isnan(kernels.elu_forward(np.full((1, 40), np.nan, dtype))).all()


@needs_longdouble
@pytest.mark.parametrize("dtype", DTYPES)
def test_softplus_far_out_and_its_slope(dtype: type, simd_level: str, tolerances: dict[str, float]) -> None:
    x = np.array([1000, -1000, 3e4, -3e4, 60, -60] * 7, dtype)
    y = kernels.softplus_forward(x)
    exact = [1000, 0, 3e4, 0, 60, np.exp(np.longdouble(-60))] * 7
    assert ulp_errors(y, np.array(exact, np.longdouble)).max() <= tolerances["softplus ulp"]
    assert (kernels.softplus_backward(np.ones_like(x), y)[:4] == [1, 0, 1, 0]).all()
    y = kernels.softplus_forward(np.random.default_rng(3).uniform(-80, 80, POINTS).astype(dtype))
    slopes = kernels.softplus_backward(np.ones_like(y), y)
    assert ulp_errors(slopes, -np.expm1(-y.astype(np.longdouble))).max() <= tolerances["elu ulp"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_softplus_has_the_same_bits_wherever_a_number_stands(dtype: type, simd_level: str) -> None:
    x = np.random.default_rng(4).normal(0, 5, 400).astype(dtype)
    y = kernels.softplus_forward(x)
    slopes = kernels.softplus_backward(x, y)
    for begin in range(0, 40):
        for end in (begin + 1, begin + 7, begin + 17, 400):
            part = slice(begin, end)
            np.testing.assert_array_equal(kernels.softplus_forward(x[part].copy()), y[part])
            np.testing.assert_array_equal(
                kernels.softplus_backward(x[part].copy(), y[part].copy()), slopes[part]
            )


def share_below(x: float) -> decimal.Decimal:
    """Return the share of a standard normal distribution below x <= 0, by its series."""
    with decimal.localcontext(prec=720):
        a = decimal.Decimal(-x)
        term = total = a
        k = 1
        while term > total * decimal.Decimal(10) ** -710:
            k += 2
            term = term * a * a / k
            total += term
        pi = decimal.Decimal(0)
        for n, factor in ((5, 16), (239, -4)):  # Machin's formula
            power, i = 1 / decimal.Decimal(n), 0
            while power > decimal.Decimal(10) ** -715:
                pi += factor * power / (2 * i + 1) * (-1) ** i
                power /= n * n
                i += 1
        return decimal.Decimal("0.5") - (-a * a / 2).exp() / (2 * pi).sqrt() * total


def test_float64_gelu_agrees_with_decimal_arithmetic(simd_level: str, tolerances: dict[str, float]) -> None:
    x = np.concatenate([-np.geomspace(1e-3, 36.0, 25), [-0.0, 1e-9, 0.3, 2.0, 7.0]])
    y = kernels.gelu_forward(x)
    for argument, value in zip(x.tolist(), y.tolist(), strict=True):
        below = share_below(-abs(argument))
        exact = decimal.Decimal(argument) * (below if argument < 0 else 1 - below)
        error = abs(decimal.Decimal(value) - exact)
        assert error <= decimal.Decimal(tolerances["gelu ulp"] * np.spacing(abs(value))), f"at {argument!r}"


def test_errors_of_float32_stay_within_their_marks(simd_level: str, tolerances: dict[str, float]) -> None:
    """Over the whole range in which results are normal, those near to 0 and far below it included."""
    rng = np.random.default_rng(8)
    x = np.concatenate([rng.uniform(-12.5, 12.5, 20000), rng.normal(0, 0.01, 2000)]).astype(np.float32)
    for name in ("gelu", "silu", "mish", "selu", "celu", "log_sigmoid", "squareplus"):
        exact = ACTIVATIONS[name](x.astype(np.float64))
        if name == "mish":  # the formula's digits cancel less in this form
            e = np.exp(x.astype(np.float64))
            exact = x * (e * (e + 2) / (e * (e + 2) + 2))
        if name == "squareplus":
            wide = x.astype(np.float64)
            exact = np.where(wide > 0, exact, 2 / (np.sqrt(wide**2 + 4) - wide))
        errors = ulp_errors(getattr(kernels, f"{name}_forward")(x), exact)
        assert errors.max() <= tolerances["gelu ulp"], f"{name}: {errors.max()} at {x[errors.argmax()]!r}"
    wide = x.astype(np.float64)
    exact = np.where(np.abs(wide) < 1e-3, wide**3 / 3, wide - np.tanh(wide))
    errors = ulp_errors(kernels.tanh_shrink_forward(x), exact)
    assert errors.max() <= tolerances["tanh_shrink ulp"], f"{errors.max()} at {x[errors.argmax()]!r}"
