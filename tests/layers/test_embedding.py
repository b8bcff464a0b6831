"""Embedding: what it computes, its gradient, its place in graphs, and plans that look up rows of a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers, optimizers, plotting
from fastnn.compiler import schedule
from fastnn.compiler.plan import Axis, OpCode
from fastnn.errors import ConfigurationError, DTypeError, ShapeError
from fastnn.model.summaries import summary
from fastnn.ops import REAL, Kind, Numbers
from fastnn.run import program, runtime

RNG = np.random.default_rng(5)
Embedding, Dense = layers.Embedding, layers.Dense
X = RNG.integers(0, 7, (50, 3))
Z = RNG.standard_normal((50, 4))
Y = RNG.standard_normal((50, 2))
Array = np.ndarray


def chain(*chained: layers.Layer, columns: int = 3, dtype: str = "float64", **options: Any) -> Any:
    """Return a compiled chain."""
    model = fastnn.Sequential([fastnn.Input((columns,)), *chained], dtype=dtype, seed=2)
    model.compile(**{"optimizer": optimizers.SGD(0.05), "loss": "mse", **options})
    return model


def mixed(optimizer: Any = "sgd", dtype: str = "float64", **options: Any) -> fastnn.Model:
    """Return a net of categories, of which some have tables of their own, and numbers, side by side."""
    places, kinds, z = fastnn.Input((3,), "places"), fastnn.Input((1,), "kinds"), fastnn.Input((4,), "z")
    joined = layers.Concatenate()([Embedding(7, 2, name="place")(places), Embedding(4, 3)(kinds), z])
    model = fastnn.Model([places, kinds, z], Dense(2)(Dense(6, "tanh")(joined)), dtype=dtype, seed=3)
    model.compile(optimizer, "mse", **options)
    return model


MIXED = [X, RNG.integers(0, 4, (50, 1)), Z]


def shared() -> fastnn.Model:
    """Return a net of one table for two inputs, and a second table for one of them."""
    a, b = fastnn.Input((3,), "a"), fastnn.Input((2,), "b")
    table = Embedding(7, 2, embeddings_regularizer="l2")
    joined = layers.Concatenate()([table(a), table(b), Embedding(9, 1)(a)])
    model = fastnn.Model([a, b], Dense(2)(joined), dtype="float64", seed=4)
    model.compile("sgd", "mse")
    return model


def looked_up(table: Array, x: Array) -> Array:
    found: Array = table[x.astype(int)].reshape(len(x), -1)
    return found


def summed(x: Array, upstream: Array, rows: int) -> Array:
    """Return the gradient of a table."""
    columns = upstream.shape[1] // x.shape[1]
    gradient = np.zeros((rows, columns))
    np.add.at(gradient, x.ravel(), upstream.astype(np.float64).reshape(-1, columns))
    return gradient


# -- what it computes


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("columns", "output_dim"), [(1, 1), (1, 5), (3, 1), (3, 17)])
@pytest.mark.parametrize("rows", [1, 2, 50])
def test_rows_of_the_table_stand_side_by_side(
    rows: int, columns: int, output_dim: int, dtype: str, simd_level: str
) -> None:
    model = chain(Embedding(7, output_dim), columns=columns, dtype=dtype)
    x, (table,) = X[:rows, :columns], model.get_weights()
    assert table.shape == (7, output_dim)
    assert np.abs(table).max() <= 0.05
    assert table.std() > 0.01
    expected = looked_up(table, x)
    assert expected.dtype == dtype
    for found in (model.predict(x), model(x), model(x.astype(dtype)), model.forward(x)):
        np.testing.assert_array_equal(found, expected)
    assert model.evaluate(x, 0 * expected, verbose=0) == pytest.approx((expected**2).mean(), rel=1e-5)
    np.testing.assert_array_equal(model.layers[0].embeddings, table)


@pytest.mark.parametrize(
    "kind", ["int8", "uint8", "int16", "int64", "uint64", "float16", "float32", "object"]
)
def test_whole_numbers_of_every_dtype_are_the_same(kind: str) -> None:
    model = chain(Embedding(300, 2))
    x = X.astype(kind)
    np.testing.assert_array_equal(model.predict(x), model.predict(X))
    np.testing.assert_array_equal(model(x), model.predict(X))
    np.testing.assert_array_equal(model.predict(np.asfortranarray(x)), model.predict(X))
    np.testing.assert_array_equal(model.predict(x.tolist()), model.predict(X))


def test_one_column_may_be_a_row_of_numbers() -> None:
    model = chain(Embedding(7, 2), columns=1)
    np.testing.assert_array_equal(model.predict(X[:, 0]), model.predict(X[:, :1]))
    assert model.predict(np.zeros((0, 1))).shape == (0, 2)


def test_a_chain_without_an_input_takes_its_width_from_the_data() -> None:
    model = fastnn.Sequential([Embedding(7, 2), Dense(2)], seed=0)
    model.compile("sgd", "mse")
    with pytest.raises(fastnn.errors.DataError, match="row 0, column 1 of x is 7"):
        model.fit([[0, 7]], [[0.0, 0.0]], verbose=0)
    assert not model.built
    model.fit(X, Y, verbose=0)
    assert model.count_params() == 14 + 6 * 2 + 2


# -- gradients


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [1, 50, 3000])
def test_gradients_of_rows_add_up(
    rows: int, dtype: str, simd_level: str, tolerances: dict[str, float]
) -> None:
    x, upstream = RNG.integers(0, 7, (rows, 3)), RNG.standard_normal((rows, 15)).astype(dtype)
    model = chain(Embedding(7, 5), dtype=dtype)
    model.forward(x)
    found = model.backward(upstream)
    assert set(found) == {"embedding/embeddings"}
    total = summed(x, np.abs(upstream), 7)
    near = tolerances["long sum"] if dtype == "float32" else 1e-14
    error = np.abs(found["embedding/embeddings"] - summed(x, upstream, 7))
    assert (error <= near * total).all()


@pytest.mark.parametrize("rows", [513, 400_000])
def test_sums_of_one_index_in_all_rows_are_right(
    rows: int, simd_level: str, tolerances: dict[str, float]
) -> None:
    """In float32 so many equal numbers, one after the other, would add up to something else by percents."""
    model = chain(Embedding(3, 2), columns=1, dtype="float32")
    upstream = np.full((rows, 2), 0.1, np.float32) + np.float32([0.0, 1.0])
    model.forward(np.ones((rows, 1)))
    found = model.backward(upstream)["embedding/embeddings"]
    np.testing.assert_allclose(found[1], upstream.sum(0, dtype=np.float64), rtol=1e-6)
    np.testing.assert_array_equal(found[[0, 2]], 0.0)


NETS: dict[str, tuple[Callable[[], Any], Any]] = {
    "chain": (lambda: chain(Embedding(7, 2), Dense(2)), X),
    "penalty": (lambda: chain(Embedding(7, 2, embeddings_regularizer="l2"), Dense(5, "relu"), Dense(2)), X),
    "rows unused": (lambda: chain(Embedding(30, 2), Dense(2)), X),
    "one column": (lambda: chain(Embedding(7, 4), Dense(2), columns=1), X[:, :1]),
    "frozen": (lambda: chain(Embedding(7, 2, trainable=False), Dense(2)), X),
    "frozen behind": (lambda: chain(Embedding(7, 2), Dense(2, trainable=False)), X),
    "normalized": (lambda: chain(Embedding(7, 2), layers.BatchNormalization(), Dense(2)), X),
    "mixed": (mixed, MIXED),
    "shared": (shared, [X, X[:, 1:]]),
}


@pytest.mark.parametrize("net", NETS)
def test_gradients_agree_with_finite_differences(net: str, tolerances: dict[str, float]) -> None:
    make, x = NETS[net]
    model = make()
    report = fastnn.gradcheck(model, x, Y, RNG.uniform(0.5, 1.5, 50))
    assert report.largest < tolerances["finite difference"]
    assert any("embeddings" in name for name in report) == (net != "frozen")
    assert set(report) == set(model.loss_and_gradients(x, Y)[1])


@pytest.mark.parametrize("optimizer", ["sgd", optimizers.SGD(0.01, momentum=0.9), "adam", "rmsprop"])
@pytest.mark.parametrize("net", NETS)
def test_the_reference_trains_the_same_weights(
    net: str, optimizer: Any, tolerances: dict[str, float]
) -> None:
    found = []
    for reference in (False, True):
        make, x = NETS[net]
        model = make()
        model.compile(optimizer, "mse", reference=reference)
        history = model.fit(x, Y, batch_size=16, epochs=4, validation_split=0.2, verbose=0).history
        found.append((model.get_weights(), [history["loss"], history["val_loss"]]))
    for ours, theirs in zip(*(weights + losses for weights, losses in found), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerances["trained float64"], atol=1e-13)


def test_a_frozen_table_stays() -> None:
    model = chain(Embedding(7, 2, trainable=False), Dense(2))
    before = model.layers[0].embeddings
    model.fit(X, Y, epochs=3, verbose=0)
    np.testing.assert_array_equal(model.layers[0].embeddings, before)
    assert "trainable: 14, non-trainable: 14" in summary(model)


def test_rows_that_no_batch_names_stay_with_plain_sgd() -> None:
    model = chain(Embedding(30, 2), Dense(2))
    before = model.layers[0].embeddings
    model.fit(X, Y, epochs=3, verbose=0)
    moved = (model.layers[0].embeddings != before).any(axis=1)
    assert set(np.flatnonzero(moved)) == set(np.unique(X))


def test_integers_have_no_gradient() -> None:
    model = mixed()
    places, kinds, z = model.input_gradients(MIXED)
    assert places is kinds is None
    shift = 1e-6 * np.eye(4)[1]
    above, below = (model.predict([*MIXED[:2], Z + sign * shift]).sum(1) for sign in (1, -1))
    np.testing.assert_allclose(z[:, 1], (above - below) / 2e-6, rtol=1e-5, atol=1e-8)
    model.forward(MIXED)
    found = model.backward(wrt=["place"])
    assert set(found) == {"z", "place", *(p.name for p in model.graph.parameters)}
    np.testing.assert_allclose(found["place/embeddings"], summed(X, found["place"], 7), rtol=1e-12)
    with pytest.raises(ConfigurationError, match="input 'places' has integers, which have no gradient"):
        model.backward(wrt=["places"])
    with pytest.raises(ConfigurationError, match="inputs are integers, which have no gradient; ask for that"):
        chain(Embedding(7, 2)).input_gradients(X)


# -- its place in a graph


def test_what_inputs_hold_follows_from_their_readers() -> None:
    kinds = {tensor.name: tensor.kind for tensor in mixed().graph.inputs}
    assert kinds == {"places": Kind(Numbers.INDEX, 7), "kinds": Kind(Numbers.INDEX, 4), "z": REAL}
    assert [t.kind.limit for t in shared().graph.inputs] == [7, 7]
    plan = mixed().plan(8)
    assert {e.name: str(e.kind) for e in plan.externals} == {
        "x:places": "indices below 7",
        "x:kinds": "indices below 4",
        "x:z": "real numbers",
        "y": "real numbers",
    }


def test_inputs_of_integers_may_say_so() -> None:
    for dtype in ("int32", "int64", "uint8", np.int16, int):
        x = fastnn.Input((3,), dtype=dtype)
        model = fastnn.Model(x, Embedding(7, 2)(x), seed=2)
        np.testing.assert_array_equal(model.predict(X).shape, (50, 6))
    again = fastnn.Model.from_config(model.get_config())
    assert again.inputs[0].dtype == model.inputs[0].dtype == "int64"
    with pytest.raises(ConfigurationError, match=r"layer 'dense' takes real numbers, and input 'x' .* int32"):
        Dense(2)(fastnn.Input((3,), "x", dtype="int32"))
    x, inner = fastnn.Input((3,)), fastnn.Input((3,), "x", dtype="int32")
    with pytest.raises(ConfigurationError, match="layer 'dense' takes real numbers, and input 'x' has dtype"):
        fastnn.Model(inner, fastnn.Model(x, Dense(2)(x))(inner))
    for real in ("float32", "float64", float):  # as in scripts for Keras; the model has the dtype
        assert fastnn.Input((3,), dtype=real).dtype is None
    for bad in ("float16", "bool", "text", object):
        with pytest.raises(
            DTypeError, match=r"takes only that of integers, for an Embedding, and of float32 .* model has"
        ):
            fastnn.Input((3,), dtype=bad)


def test_it_stands_on_an_input() -> None:
    x = fastnn.Input((3,), name="x")
    with pytest.raises(ConfigurationError, match="layer 'embedding' takes integers, and 'first' makes real"):
        Embedding(7, 2)(Dense(3, name="first")(x))
    with pytest.raises(
        ConfigurationError, match=r"input 'x' leads to .* takes integers and to layer 'dense'"
    ):
        fastnn.Model(x, layers.Concatenate()([Embedding(7, 2)(x), Dense(2)(x)]))
    with pytest.raises(ConfigurationError, match=r"input 'x' leads to .* and to the model's outputs"):
        fastnn.Model(x, [x, Embedding(7, 2)(x)])
    with pytest.raises(ConfigurationError, match="only the input of a chain holds; let it come first"):
        fastnn.Sequential([Dense(2), Embedding(7, 2)])
    with pytest.raises(ShapeError, match="'embedding' takes 1 tensor, got 2"):
        Embedding(7, 2)([x, x])


def test_a_model_that_begins_with_it_is_a_layer_of_others() -> None:
    x = fastnn.Input((3,))
    tower = fastnn.Model(x, Dense(2)(Embedding(7, 2)(x)), seed=1)
    a, b = fastnn.Input((3,), name="a"), fastnn.Input((3,), name="b")
    both = fastnn.Model([a, b], layers.Add()([tower(a), tower(b)]), seed=1)
    np.testing.assert_allclose(both.predict([X, X]), 2 * tower.predict(X), rtol=1e-6)
    outer = fastnn.Sequential([fastnn.Input((3,)), tower, Dense(2)], seed=1)
    assert outer.graph.inputs[0].kind == Kind(Numbers.INDEX, 7)
    handed = fastnn.Input((3,), name="handed")
    through = fastnn.Model(x, [x, Dense(1)(x)], seed=1)(handed)[0]
    with pytest.raises(ConfigurationError, match="takes integers, and 'dense' makes real numbers"):
        fastnn.Model(handed, tower(Dense(3, name="dense")(handed)))
    assert fastnn.Model(handed, tower(through)).graph.inputs[0].kind.limit == 7


# -- plans


def test_a_large_table_is_cut_into_tiles() -> None:
    plan = chain(Embedding(5000, 64), Dense(2)).plan(32)
    (phase,) = (phase for phase in plan.phases if phase.axis is Axis.PARAMETER)
    tiles = [t for t in phase.tasks if plan.ops[t.first].code is OpCode.EMBEDDING_GRADIENT]
    assert len(tiles) == 6  # of the five the first is halved, so that threads are not in step
    assert max(t.end - t.begin for t in tiles) == 1024
    assert plan.sizes[4] <= 3 * 1024 * 64


def test_predictions_of_few_rows_are_checked(simd_level: str) -> None:
    model = chain(Embedding(7, 2), dtype="float32")
    for _ in range(3):
        with pytest.raises(fastnn.errors.DataError, match="row 0, column 0 of x is 1000000000"):
            model(np.full((1, 3), 1e9, np.float32))
        model(np.zeros((1, 3), np.float32))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_every_number_of_threads_trains_the_same_bits(
    shuffle: bool, dtype: str, team_sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = 1300  # sums are long in some batches
    x, y = np.minimum(RNG.geometric(0.2, (rows, 3)), 40), RNG.standard_normal((rows, 2))
    found, weights = [], []

    def train(n_threads: int) -> None:
        model = chain(Embedding(41, 8, embeddings_regularizer="l2"), Dense(40, "relu"), Dense(2), dtype=dtype)
        model.compile(optimizers.Adam(0.01), "mse")
        history = model.fit(x, y, batch_size=500, epochs=3, shuffle=shuffle, verbose=0, n_threads=n_threads)
        weights.append(model.get_weights())
        bits = [w.tobytes() for w in weights[-1]], model.predict(x, n_threads=n_threads).tobytes()
        found.append((history.history, bits))

    train(1)
    fastnn.compiler.shared_plans._plans.clear()
    monkeypatch.setattr(runtime, "available_cpus", lambda: 4)
    for name in vars(schedule):
        if name.startswith(("MINIMUM_", "PREFERRED_", "TABLE_")):
            monkeypatch.setattr(schedule, name, 2)
    monkeypatch.setattr(program.pool, "run_pays", lambda *_: True)
    for n_threads in (1, 2, 4):
        train(n_threads)
    assert found[1] == found[2] == found[3]
    assert max(team_sizes) == 4
    # Another cut changes products of other layers, whose blocks are others.
    for ours, theirs in zip(weights[0], weights[1], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_cut_of_the_table_changes_no_bit(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x, upstream = RNG.integers(0, 41, (900, 2)), RNG.standard_normal((900, 10))

    def gradient() -> bytes:
        model = chain(Embedding(41, 5), columns=2, dtype=dtype)
        model.forward(x)
        found: bytes = model.backward(upstream)["embedding/embeddings"].tobytes()
        return found

    whole = gradient()
    fastnn.compiler.shared_plans._plans.clear()
    monkeypatch.setattr(schedule, "TABLE_ELEMENTS", 15)
    monkeypatch.setattr(schedule, "MINIMUM_PARAMETER_ROWS", 2)
    assert gradient() == whole


# -- as a layer


@pytest.mark.parametrize("net", ["chain", "mixed", "shared"])
def test_it_is_saved(net: str, tmp_path: Path) -> None:
    make, x = NETS[net]
    model = make()
    model.fit(x, Y, epochs=2, verbose=0)
    model.save(tmp_path / "model")
    again = fastnn.load_model(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    assert again.graph == model.graph
    assert again.fit(x, Y, verbose=0).history == model.fit(x, Y, verbose=0).history


def test_pictures_and_summaries_show_it() -> None:
    text = summary(mixed())
    assert "place" in text
    assert "Embedding" in text
    assert "(None, 6)" in text
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    plotting.plot_graph(mixed())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"input_dim": 0}, ConfigurationError, "input_dim must be"),
        ({"input_dim": 2.5}, DTypeError, "input_dim must be"),
        ({"output_dim": True}, DTypeError, "output_dim must be"),
        ({"embeddings_initializer": "two"}, ConfigurationError, "unknown initializer 'two'"),
        ({"embeddings_regularizer": "l3"}, ConfigurationError, "l3"),
        ({"mask_zero": True}, DTypeError, "no argument mask_zero: there are no sequences here"),
        ({"input_length": 3}, DTypeError, r"no argument input_length: begin with fastnn.Input\(\(columns"),
        ({"embeddings_constraint": 2.0}, DTypeError, "a constraint is a name"),
        ({"weights": [1]}, DTypeError, "no argument weights: give them to layer.set_weights"),
        ({"lora_rank": 2}, DTypeError, "no argument lora_rank: layers train whole"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Embedding(**{"input_dim": 3, "output_dim": 2, **options})


def test_arguments_of_keras_that_change_nothing_pass() -> None:
    unchanged = {"mask_zero": False, "embeddings_constraint": None, "input_length": None, "dtype": None}
    assert Embedding(3, 2, **unchanged).config == Embedding(3, 2).config
    assert Embedding(3, 2, "random_uniform").config == Embedding(3, 2).config
