"""Arrays as they come: odd sizes, in every layout, amid memory that must be neither read nor written.

What `test_data.py` shows on one small array of every kind holds here for sizes at which vectors,
tiles and blocks have an incomplete last part.  The arrays lie amid NaN, so that one number read
from outside would spoil the result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import kernels, layers, losses
from fastnn.compiler.plan import Path
from fastnn.errors import ConfigurationError, DataError, DTypeError
from fastnn.run import runtime

Array = np.ndarray
SIZES = (1, 3, 17, 1023)
DTYPES = ("float32", "float64")


def amid_nan(array: Array, begin: int, rows: int = 1, columns: int = 1) -> Array:
    """Return an equal array in a memory of NaN, with gaps of `rows` - 1 rows and `columns` - 1 columns."""
    height, width = array.shape[0] * rows, array.shape[1] * columns
    memory = np.full(height * width + 64, np.nan, array.dtype)
    view: Array = memory[begin : begin + height * width].reshape(height, width)[::rows, ::columns]
    view[...] = array
    return view


def unaligned(array: Array) -> Array:
    raw = np.full(array.nbytes + 1, 0xFF, np.uint8)
    view: Array = raw[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    assert array.dtype.itemsize == 1 or not view.flags.aligned
    return view


def read_only(array: Array) -> Array:
    view = amid_nan(array, 5)
    view.flags.writeable = False
    return view


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "off the cache line": lambda a: amid_nan(a, 1),
    "slice of rows": lambda a: amid_nan(a, 3, rows=2),
    "slice of columns": lambda a: amid_nan(a, 3, columns=3),
    "slice of both": lambda a: amid_nan(a, 2, 3, 2),
    "Fortran": lambda a: amid_nan(a.T, 1).T,
    "reversed": lambda a: amid_nan(a[::-1, ::-1], 1)[::-1, ::-1],
    "read-only": read_only,
    "unaligned": unaligned,
}


def data(rows: int, columns: int, dtype: str) -> tuple[Array, Array]:
    """Return features and as many targets."""
    rng = np.random.default_rng(rows * 10_000 + columns)
    x = rng.standard_normal((rows, columns)).astype(dtype)
    return x, rng.standard_normal((rows, columns)).astype(dtype)


def net(columns: int, dtype: str, *, reference: bool = False) -> fastnn.Sequential:
    """Return columns-5-columns: with few columns one that trains with the batch as the fast axis."""
    chained = [layers.Dense(5, "tanh"), layers.Dense(columns)]
    model = fastnn.Sequential([fastnn.Input((columns,)), *chained], dtype=dtype, seed=1)
    model.compile("sgd", "mse", reference=reference)
    return model


def bits(model: fastnn.Model) -> bytes:
    return b"".join(w.tobytes() for w in model.get_weights())


# --- fit, evaluate, predict, model(x) --------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", SIZES)
@pytest.mark.parametrize("rows", SIZES)
def test_odd_sizes_train_as_the_reference_does(
    rows: int, columns: int, dtype: str, tolerances: dict[str, float]
) -> None:
    x, y = data(rows, columns, dtype)
    model, oracle = net(columns, dtype), net(columns, dtype, reference=True)
    paths = {op.path for op in model.plan(32).ops}
    assert (Path.COLUMNS in paths) == (columns <= 16)
    close: dict[str, Any] = {"rtol": tolerances[f"trained {dtype}"], "atol": tolerances[f"trained {dtype}"]}
    options: dict[str, Any] = {"batch_size": 48, "epochs": 2, "verbose": 0}
    found, wanted = model.fit(x, y, **options).history, oracle.fit(x, y, **options).history
    np.testing.assert_allclose(found["loss"], wanted["loss"], **close)
    for ours, theirs in zip(model.get_weights(), oracle.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, **close)
    k1, b1, k2, b2 = (w.astype(np.float64) for w in model.get_weights())
    outputs = np.tanh(x.astype(np.float64) @ k1 + b1) @ k2 + b2
    np.testing.assert_allclose(model.predict(x), outputs, **close)
    np.testing.assert_allclose(model.evaluate(x, y, verbose=0), np.mean((outputs - y) ** 2), **close)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 17), (3, 1), (17, 3), (17, 1023), (1023, 17)])
def test_no_layout_changes_a_bit_at_odd_sizes(rows: int, columns: int, dtype: str, layout: str) -> None:
    x, y = data(rows, columns, dtype)
    change = LAYOUTS[layout]
    changed_x, changed_y, weight = change(x), change(y), change(np.abs(x[:, :1]))
    plain, other = net(columns, dtype), net(columns, dtype)
    options: dict[str, Any] = {"batch_size": 48, "epochs": 2, "verbose": 0, "shuffle": rows > 3}
    wanted = plain.fit(x, y, sample_weight=np.abs(x[:, 0]), **options).history
    assert other.fit(changed_x, changed_y, sample_weight=weight, **options).history == wanted
    assert bits(other) == bits(plain)
    assert np.isfinite(wanted["loss"]).all()
    assert other.predict(changed_x).tobytes() == plain.predict(x).tobytes()
    assert other(changed_x).tobytes() == plain(x).tobytes()
    score = plain.evaluate(x, y, sample_weight=np.abs(x[:, 0]), verbose=0)
    assert other.evaluate(changed_x, changed_y, sample_weight=weight, verbose=0) == score
    assert other.train_on_batch(changed_x, changed_y) == plain.train_on_batch(x, y)
    assert bits(other) == bits(plain)
    np.testing.assert_array_equal(changed_x, x)
    np.testing.assert_array_equal(changed_y, y)


@pytest.mark.parametrize("rows", SIZES)
def test_labels_of_odd_sizes_in_a_slice(rows: int) -> None:
    rng = np.random.default_rng(rows)
    x, labels = rng.standard_normal((rows, 3)), rng.integers(0, 17, rows)
    among_others = np.full(2 * rows, -1)[::2]
    among_others[...] = labels
    models = []
    for y in (labels, among_others, unaligned(labels[:, None]), read_only(labels[:, None].astype(float))):
        model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(17, "softmax")], seed=0)
        model.compile("adam", losses.SparseCategoricalCrossentropy(), metrics=["accuracy"])
        model.fit(x, y, batch_size=10, epochs=2, verbose=0)
        models.append(bits(model))
    assert models == models[:1] * 4


# --- no rows ---------------------------------------------------------------------------------------------


def test_predictions_of_no_rows_are_no_rows_whether_or_not_the_width_was_known() -> None:
    for x in (np.zeros((0, 3)), np.zeros((4, 3))[4:], np.zeros((3, 0)).T, np.zeros((0, 3), np.uint8)):
        for first in ([fastnn.Input((3,))], []):
            model = fastnn.Sequential([*first, layers.Dense(2)], dtype="float64", seed=0)
            for outputs in (model.predict(x), model(x), model.predict(x, n_threads=1)):
                assert (outputs.shape, outputs.dtype) == ((0, 2), np.float64)
            assert model.input_gradients(x).shape == (0, 3)


def test_training_on_no_rows_names_what_is_missing_and_leaves_the_width_open(refused: Any) -> None:
    model = fastnn.Sequential([layers.Dense(2)], seed=0)
    model.compile("sgd", "mse")
    x, y = np.zeros((0, 3)), np.zeros((0, 2))
    for call in (
        lambda: model.fit(x, y, verbose=0),
        lambda: model.train_on_batch(x, y),
        lambda: model.evaluate(x, y, verbose=0),
        lambda: model.loss_and_gradients(x, y),
    ):
        with refused(model, DataError, match="x has no rows; give at least one"):
            call()
    assert not model.built


# --- numbers of threads and batch sizes ------------------------------------------------------------------


@pytest.mark.parametrize("built", [False, True])
def test_bad_options_change_nothing(built: bool, refused: Any) -> None:
    x, y = data(17, 3, "float32")
    model = fastnn.Sequential([layers.Dense(3)], seed=0)
    model.compile("adam", "mse")
    if built:
        model.fit(x, y, verbose=0)
    for options, error, message in (
        ({"n_threads": 0}, ConfigurationError, "n_threads must be at least 1, got 0"),
        ({"n_threads": -1}, ConfigurationError, "n_threads must be at least 1, got -1"),
        ({"n_threads": "many"}, DTypeError, "n_threads must be an integer, got 'many'"),
        ({"batch_size": 0}, ConfigurationError, "batch_size must be at least 1, got 0"),
        ({"batch_size": 2.5}, DTypeError, "batch_size must be an integer, got 2.5"),
    ):
        for call in (
            lambda options=options: model.fit(x, y, verbose=0, **options),
            lambda options=options: model.evaluate(x, y, verbose=0, **options),
            lambda options=options: model.predict(x, **options),
        ):
            with refused(model, error, match=message):
                call()
    with refused(model, ConfigurationError, match="batch_size must be at least 1, got 0"):
        model.profile(x, y, batch_size=0)
    with refused(model, ConfigurationError, match="n_threads must be at least 1"), fastnn.threads(0):
        raise AssertionError("the block was entered")


def test_ten_thousand_threads_are_as_many_as_there_are_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "available_cpus", lambda: 4)
    x, y = data(17, 3, "float32")
    results = []
    for many in (1, 10_000, np.int32(10_000)):
        model = net(3, "float32")
        model.fit(x, y, verbose=0, n_threads=many)
        results.append((bits(model), model.evaluate(x, y, verbose=0, n_threads=many)))
        results[-1] += (model.predict(x, n_threads=many).tobytes(),)
        with fastnn.threads(many):
            assert runtime.default_threads() == min(many, 4)
            assert model.predict(x).tobytes() == results[-1][2]
    assert results[1:] == results[:1] * 2


# --- single kernels --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", SIZES)
@pytest.mark.parametrize("rows", SIZES)
def test_kernels_take_odd_sizes_in_every_layout(rows: int, columns: int, dtype: str, simd_level: str) -> None:
    x, dy = data(rows, columns, dtype)
    w, b = (
        a.astype(dtype) for a in (np.cos(np.arange(columns * 17.0)).reshape(columns, 17), np.arange(17.0))
    )
    upstream = np.sin(np.arange(rows * 17.0)).reshape(rows, 17).astype(dtype)
    y = kernels.dense_forward(x, w, b, "tanh")
    gradients = kernels.dense_backward(upstream, x, w, y, "tanh")
    outputs = {
        name: getattr(kernels, f"{name}_forward")(x) for name in ("relu", "sigmoid", "tanh", "softmax")
    }
    slopes = {name: getattr(kernels, f"{name}_backward")(dy, output) for name, output in outputs.items()}
    for change in LAYOUTS.values():
        assert kernels.dense_forward(change(x), change(w), change(b[:, None])[:, 0], "tanh").tobytes() == (
            y.tobytes()
        )
        found = kernels.dense_backward(change(upstream), change(x), change(w), change(y), "tanh")
        assert [a.tobytes() for a in found] == [a.tobytes() for a in gradients]
        for name, output in outputs.items():
            assert getattr(kernels, f"{name}_forward")(change(x)).tobytes() == output.tobytes()
            back = getattr(kernels, f"{name}_backward")
            assert back(change(dy), change(output)).tobytes() == slopes[name].tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(0, 3, 5), (4, 0, 5), (4, 3, 0), (0, 0, 0)])
def test_dense_kernels_of_size_zero_give_what_numpy_gives(shape: tuple[int, int, int], dtype: str) -> None:
    m, k, n = shape
    x, w, b, dy = (
        np.ones((m, k), dtype),
        np.ones((k, n), dtype),
        np.full(n, 2.0, dtype),
        np.ones((m, n), dtype),
    )
    np.testing.assert_array_equal(kernels.dense_forward(x, w, b, "relu"), x @ w + b)
    dx, dw, db = kernels.dense_backward(dy, x, w)
    np.testing.assert_array_equal(dx, dy @ w.T)
    np.testing.assert_array_equal(dw, x.T @ dy)
    np.testing.assert_array_equal(db, dy.sum(axis=0))
