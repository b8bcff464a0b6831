"""Predictions of few rows, which go a short way past the border: same results, same errors."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn._core import pool
from fastnn._core.executor import Executor
from fastnn.compiler.plan import OpCode
from fastnn.compiler.tuning import BLAS_THREADS_FROM
from fastnn.errors import DataError, ShapeError
from fastnn.model.programs import Key
from fastnn.run import runtime

Soon = Callable[..., bool]
SECONDS = 300.0  # after which something hangs


def model(dtype: str = "float32", widths: tuple[int, ...] = (4, 33, 17, 3)) -> fastnn.Sequential:
    chained = [layers.Dense(units, "tanh") for units in widths[1:-1]]
    last = layers.Dense(widths[-1], "softmax")
    return fastnn.Sequential([fastnn.Input((widths[0],)), *chained, last], dtype=dtype, seed=0)


def taken(net: fastnn.Model, x: object) -> bool:
    """Return whether the short way takes `x`."""
    short = net._now.need_programs().few_rows
    return short is not None and short.predict(x) is not None


@pytest.mark.parametrize("rows", [1, 2, 7, 8, 9, 64])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_short_way_gives_the_same_bits(rows: int, dtype: str, simd_level: str) -> None:
    net = model(dtype)
    x = np.random.default_rng(rows).normal(0, 1, (rows, 4)).astype(dtype)
    expected = net.predict(x)
    assert taken(net, x)
    np.testing.assert_array_equal(net(x), expected)
    reference = net.predict(x.astype(np.float64)[:, :]) if dtype == "float64" else expected
    np.testing.assert_array_equal(net(x), reference)


@pytest.mark.parametrize("rows", [1023, 1024, 1025, 5000])
def test_the_short_way_takes_tile_after_tile(rows: int) -> None:
    net = model(widths=(2, 3, 3))  # few flops a row, so many rows are few
    x = np.random.default_rng(rows).normal(0, 1, (rows, 2)).astype(np.float32)
    expected = net.predict(x)
    assert taken(net, x)
    np.testing.assert_array_equal(net(x), expected)


def test_tiles_of_a_plan_for_any_rows_follow_the_rows() -> None:
    op = (int(OpCode.ACTIVATION), 0, 0, -1, [None, None], (), ())
    executor = Executor([op], [(0, 256, [(0, 1, 0, 0)])], [], False, 0, 32)
    heights = {rows: executor.tile_rows(rows) for rows in (1, 32, 33, 64, 65, 130, 511, 512, 513, 10_000)}
    assert heights == {
        **{1: 1, 32: 32, 33: 24, 64: 32, 65: 40, 130: 72},
        **{511: 256, 512: 256, 513: 256, 10_000: 256},
    }
    halved = Executor([op], [(0, 256, [(0, 1, 0, 0)])], [], False, 0, 16)
    heights = {rows: halved.tile_rows(rows) for rows in (16, 17, 24, 25, 32, 33, 64)}
    assert heights == {16: 16, 17: 12, 24: 12, 25: 16, 32: 16, 33: 24, 64: 32}
    fixed = Executor([op], [(0, 256, [(0, 1, 0, 0)])], [], False, 0)
    assert fixed.tile_rows(33) == 256


def test_rows_for_which_blas_would_start_threads_go_the_long_way() -> None:
    net = fastnn.Sequential([fastnn.Input((512,)), layers.Dense(5)], seed=0)  # too thin for our blocks
    x = np.random.default_rng(3).normal(0, 1, (400, 512)).astype(np.float32)
    expected = net.predict(x)
    made = net._now.need_programs().program(Key("predict"))
    most = made.few_rows.most_rows  # type: ignore[union-attr]
    flops = [2 * made.executor.tile_rows(rows) * 512 * 5 for rows in (most, most + 1)]  # type: ignore[union-attr]
    assert flops[0] < BLAS_THREADS_FROM <= flops[1]
    assert taken(net, x[:most])
    assert not taken(net, x[: most + 1])
    for rows in (most, most + 1):
        np.testing.assert_allclose(net(x[:rows]), expected[:rows], rtol=1e-4, atol=1e-5)


def test_what_must_pass_the_border_passes_it() -> None:
    net = model()
    x = np.random.default_rng(1).normal(0, 1, (6, 8)).astype(np.float16).astype(np.float32)
    expected = net.predict(np.ascontiguousarray(x[:, ::2]))
    unaligned = np.frombuffer(b"\0" + np.ascontiguousarray(x[:, ::2]).tobytes(), np.uint8)[1:]
    for given in (
        x[:, ::2],
        np.asfortranarray(x[:, ::2]),
        x[:, ::2].astype(np.float16),
        x[:, ::2].astype(">f4"),
        unaligned.view(np.float32).reshape(6, 4),
        x[:, ::2].tolist(),
    ):
        if isinstance(given, np.ndarray):
            assert not taken(net, given)
        np.testing.assert_allclose(net(given), expected, rtol=1e-6)
    frozen = np.ascontiguousarray(x[:, ::2])
    frozen.flags.writeable = False
    np.testing.assert_array_equal(net(frozen), expected)


@pytest.mark.parametrize(("dtype", "other"), [("float32", "float64"), ("float64", "float32")])
def test_the_other_dtype_goes_the_short_way_too(dtype: str, other: str) -> None:
    net = model(dtype)
    x = np.random.default_rng(2).normal(0, 1, (9, 4)).astype(other)
    expected = net.predict(x)
    assert taken(net, x)
    np.testing.assert_array_equal(net(x), expected)
    assert not taken(net, x[:, ::-1])
    bad = x.copy()
    bad[3, 2] = np.inf if other == "float32" else 1e300  # too large for float32
    assert not taken(net, bad)
    with pytest.raises(DataError, match="too large for float32" if other == "float64" else "NaN or infinite"):
        net(bad)


def test_several_inputs_and_outputs_go_the_short_way_too() -> None:
    a, b = fastnn.Input((3,), name="a"), fastnn.Input((2,), name="b")
    joined = layers.Concatenate()([layers.Dense(5, "tanh")(a), b])
    net = fastnn.Model([a, b], [layers.Dense(4, name="p")(joined), layers.Dense(1, name="q")(a)], seed=0)
    rng = np.random.default_rng(4)
    for rows in (1, 2, 33):
        x = [rng.normal(size=(rows, 3)), rng.normal(size=(rows, 2)).astype(np.float32)]
        expected = net.predict(x)
        for given in (x, tuple(x), {"b": x[1], "a": x[0]}):
            assert taken(net, given)
            for found, output in zip(net(given), expected, strict=True):
                np.testing.assert_array_equal(found, output)
    for bad in (x[:1], [x[0], x[1][1:]], [x[1], x[0]], {"a": x[0], "c": x[1]}, [x[0], x[1].tolist()]):
        assert not taken(net, bad)
    with pytest.raises(ShapeError, match="has 32 rows but the inputs before it have 33"):
        net([x[0], x[1][1:]])


def test_errors_are_those_of_predict() -> None:
    net = model()
    net(np.zeros((1, 4), np.float32))
    with pytest.raises(ShapeError, match="must have shape"):
        net(np.zeros((1, 5), np.float32))
    with pytest.raises(ShapeError, match="a single row is"):
        net(np.zeros(4, np.float32))
    for bad in (np.nan, np.inf):
        with pytest.raises(DataError, match="x"):
            net(np.full((1, 4), bad, np.float32))
    assert net(np.zeros((0, 4), np.float32)).shape == (0, 3)


def test_new_weights_are_seen_at_once() -> None:
    net = model()
    x = np.ones((1, 4), np.float32)
    before = net(x)
    net.set_weights([w + 0.5 for w in net.get_weights()])
    assert not np.array_equal(net(x), before)
    np.testing.assert_array_equal(net(x), net.predict(x))


def test_many_rows_and_several_threads_of_python() -> None:
    net = model(widths=(4, 300, 300, 3))
    x = np.random.default_rng(2).normal(0, 1, (5000, 4)).astype(np.float32)
    one = np.ascontiguousarray(x[:1])
    expected, single = net.predict(x), net(one)
    wrong: list[str] = []

    def few() -> None:
        wrong.extend("few" for _ in range(300) if not np.array_equal(net(one), single))

    def many() -> None:
        wrong.extend("many" for _ in range(5) if not np.array_equal(net(x), expected))

    threads = [threading.Thread(target=work, daemon=True) for work in (few, many, few, many)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive()
    assert not wrong


@pytest.mark.parametrize("rows", [17, 20, 31, 32, 33, 60])
def test_helpers_that_wait_take_tiles_of_the_short_way(
    rows: int, monkeypatch: pytest.MonkeyPatch, soon: Soon
) -> None:
    monkeypatch.setattr(runtime, "available_cpus", lambda: 3)
    net = model(widths=(300, 400, 300))
    x = np.random.default_rng(rows).normal(0, 1, (rows, 300)).astype(np.float32)
    expected = net.predict(x, n_threads=1)
    if net._now.need_programs().few_rows.most_rows < rows:  # type: ignore[union-attr]
        pytest.skip("BLAS multiplies here, and would start threads")
    jobs = pool.count_jobs()

    def several_calls() -> None:
        for found in [net(x) for _ in range(20)]:  # one soon after the other, and compared only then
            np.testing.assert_array_equal(found, expected)

    assert soon(lambda: pool.count_jobs() >= jobs + 20, several_calls)
    jobs = pool.count_jobs()
    with fastnn.threads(1):
        for _ in range(20):
            np.testing.assert_array_equal(net(x), expected)
    assert pool.count_jobs() == jobs


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 8, 13, 16])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_helpers_share_a_large_kernel_by_its_columns(
    rows: int, dtype: str, simd_level: str, monkeypatch: pytest.MonkeyPatch, soon: Soon
) -> None:
    monkeypatch.setattr(runtime, "available_cpus", lambda: 3)
    # Kernels that are shared, one for a vector's rim and one that feeds the next, and two that are not.
    widths = [(701, "relu"), (500, "sigmoid"), (12, "tanh"), (3, "softmax")]
    chained = [layers.Dense(units, activation) for units, activation in widths]
    net = fastnn.Sequential([fastnn.Input((300,)), *chained], dtype=dtype, seed=0)
    x = np.random.default_rng(rows).normal(0, 1, (rows, 300)).astype(dtype)
    expected = net.predict(x, n_threads=1)
    shared = taken(net, x) and (rows == 1 or simd_level == "v4")
    jobs = pool.count_jobs()

    def several_calls() -> None:
        for found in [net(x) for _ in range(100)]:  # one soon after the other, and compared only then
            np.testing.assert_array_equal(found, expected)

    several_calls()
    assert not shared or soon(lambda: pool.count_jobs() >= jobs + 5, several_calls)
