"""Normal numbers: how near to the quantiles of their bits, everywhere; and whether they are normal.

Zeros with noise are what is drawn.  The bits that they are made of are those of `reference/draws.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers, optimizers
from fastnn.run.reference import draws

SEED = 5
DTYPES = ["float32", "float64"]
Array = np.ndarray


def net(layer: layers.Layer, columns: int, dtype: str, **options: Any) -> fastnn.Sequential:
    model = fastnn.Sequential([fastnn.Input((columns,)), layer], dtype=dtype, seed=SEED)
    model.compile("sgd", "mse", **options)
    return model


def normals(rows: int, columns: int, dtype: str, calls: int = 1) -> Array:
    """Return what some calls draw, (calls, rows, columns)."""
    model = net(layers.GaussianNoise(1.0), columns, dtype)
    zeros = np.zeros((rows, columns), dtype)
    return np.stack([model(zeros, training=True) for _ in range(calls)])


def errors(given: Array, exact: Array) -> Array:
    """Return relative errors in units of the dtype's precision."""
    found: Array = np.abs(given.astype(np.float64) / exact - 1.0) / np.finfo(given.dtype).eps
    return found


@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_are_the_quantiles_of_their_bits(
    dtype: str, simd_level: str, tolerances: dict[str, float]
) -> None:
    given = normals(1000, 1000, dtype)[0]
    zeros = np.zeros(given.shape)
    exact = net(layers.GaussianNoise(1.0), 1000, "float64", reference=True)(zeros, training=True)
    assert given.dtype == dtype
    assert errors(given, exact).max() <= tolerances[f"normal {dtype}"]


def undone(x: Array) -> Array:
    """Return the numbers that `scrambled` makes x of."""
    for shift, factor in ((16, 0x846CA68B), (15, 0x7FEB352D)):
        x = unshifted(x, shift) * np.uint32(pow(factor, -1, 2**32))
    return unshifted(x, 16)


def unshifted(x: Array, shift: int) -> Array:
    """Return y of which x is ``y ^ (y >> shift)``."""
    return x ^ (x >> np.uint32(shift)) ^ ((x >> np.uint32(shift)) >> np.uint32(shift))


def mixed(x: Array) -> Array:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def places(bits: int, number: int, columns: int) -> tuple[int, int]:
    """Return a step whose first row has these bits in one of its columns, and which column that is."""
    golden = 0x9E3779B97F4A7C15
    steps = np.arange(1, 3_000_000, dtype=np.uint64)
    key = mixed(np.uint64(draws.stream(SEED, 1)) + (steps + np.uint64(1)) * np.uint64(golden))
    for count in (number + 1, 1):
        key = mixed(key + np.uint64(count * golden % 2**64))
    low, high = key.astype(np.uint32), (key >> np.uint64(32)).astype(np.uint32)
    place = undone(undone(np.full(steps.shape, bits, np.uint32)) ^ high) - low
    column = place * np.uint32(pow(golden >> 32, -1, 2**32))
    found = int((column < columns).argmax())
    assert column[found] < columns
    return int(steps[found]), int(column[found])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bits", [0, 1, 2**31 - 1, 2**31, 2**32 - 1])
def test_the_ends_and_the_middle(
    bits: int, dtype: str, simd_level: str, tolerances: dict[str, float]
) -> None:
    """The largest and the smallest numbers that there can be are finite, right, and have the right sign."""
    columns = 8192
    model = fastnn.Sequential(
        [
            fastnn.Input((columns,)),
            layers.GaussianNoise(1.0),
            layers.Dense(1, use_bias=False, kernel_initializer="zeros"),
        ],
        dtype=dtype,
        seed=SEED,
    )
    model.compile(optimizers.SGD(0.1), fastnn.losses.SquaredError("half_sum", reduction="sum"))
    (number,) = {
        op.constants[1] for op in model.plan(purpose="train").ops if op.code.name == "GAUSSIAN_NOISE"
    }
    step, column = places(bits, int(number), columns)
    # What is drawn is the gradient of weights of 0, where the output should have been -1.
    # The argument counts steps made before.
    _, gradients = model.loss_and_gradients(np.zeros((1, columns)), -np.ones((1, 1)), step=step - 1)
    row = gradients["dense/kernel"].ravel()
    key = draws.stream(draws.key_of_step(SEED, step), int(number))
    drawn = draws.bits_of(key, 1, columns)[0]
    assert drawn[column] == bits
    exact = draws.normals_of(drawn)
    assert np.isfinite(row).all()
    assert errors(row, exact).max() <= tolerances[f"normal {dtype}"]
    if bits in (0, 2**32 - 1):
        assert abs(row[column]) == pytest.approx(6.3379577545537, rel=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [1, 3, 15, 16, 17, 54, 511, 512, 513, 1030])
@pytest.mark.parametrize(
    "layer",
    [layers.GaussianNoise(0.5), layers.GaussianDropout(0.3), layers.Dropout(0.3), layers.AlphaDropout(0.3)],
)
def test_shapes_that_fill_no_block(layer: layers.Layer, columns: int, dtype: str, simd_level: str) -> None:
    rng = np.random.default_rng(3)
    config = {key: value for key, value in layer.get_config().items() if key not in ("name", "trainable")}
    for rows in (1, 2, 37):
        x = rng.normal(0, 1, (rows, columns)).astype(dtype)
        given, exact = (
            net(type(layer)(**config), columns, dtype, reference=reference)(x, training=True)
            for reference in (False, True)
        )
        tolerance = 4e-6 if dtype == "float32" else 1e-13
        np.testing.assert_allclose(given, exact, rtol=tolerance, atol=tolerance)


def test_nothing_of_nothing(simd_level: str) -> None:
    model = net(layers.GaussianNoise(1.0), 5, "float32")
    assert model(np.zeros((0, 5), np.float32), training=True).shape == (0, 5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_they_are_normal(dtype: str) -> None:
    """Each number that is measured stays within five of its own standard deviations."""
    stats = pytest.importorskip("scipy.stats")
    z = normals(500, 500, dtype, calls=4).astype(np.float64)
    share = 1 / np.sqrt(z.size)
    assert stats.kstest(z.ravel(), "norm").pvalue > 1e-4
    for power, moment, spread in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10170)):
        assert abs((z**power).mean() - moment) < 5 * np.sqrt(spread) * share
    for limit in (1.0, 3.0, 4.0):
        expected = stats.norm.sf(limit)
        for found in ((z > limit).sum(), (z < -limit).sum()):
            assert abs(found - expected * z.size) < 5 * np.sqrt(expected * z.size)
    # Neighbours in a row, in a column, and from one step to the next; of numbers, and of their squares.
    for one, other in (
        (z[..., :-1], z[..., 1:]),
        (z[:, :-1], z[:, 1:]),
        (z[:-1], z[1:]),
        (z[..., :-16], z[..., 16:]),
    ):
        assert abs((one * other).mean()) < 5 / np.sqrt(one.size)
        assert abs(((one**2 - 1) * (other**2 - 1)).mean()) < 5 * 2 / np.sqrt(one.size)
