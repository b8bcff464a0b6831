"""Functional models as users write them: several ends, shared layers, models as layers, copies.

Layers that models share are in `test_graphs_sharing.py`, deep and wide graphs in `test_graphs_of_size.py`,
graphs that cannot be in `test_graphs_bad_input.py`; whether the numbers are those of other libraries in
`parity/test_jax_graphs.py` and `parity/test_keras_graphs.py`.
"""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import Input, Model, Sequential, layers, metrics
from fastnn.compiler import schedule
from fastnn.errors import ConfigurationError
from fastnn.graph.symbolic import SymbolicTensor
from fastnn.run import program, runtime

RNG = np.random.default_rng(17)
X = RNG.standard_normal((20, 3))
Z = RNG.standard_normal((20, 2))
U = RNG.standard_normal((20, 4))
LABELS = RNG.integers(0, 3, 20)
DUPLICATES = [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))]


def two_by_two(dtype: str = "float64", seed: int = 1) -> Model:
    """Return a model with the inputs a (3) and b (2) and the outputs u (4, linear) and v (3, softmax)."""
    a, b = Input((3,), name="a"), Input((2,), name="b")
    h = layers.Dense(5, "tanh", name="h")(layers.Concatenate()([a, b]))
    u = layers.Dense(4, name="u")(h)
    v = layers.Dense(3, "softmax", name="v")(layers.Concatenate()([h, u]))
    return Model([a, b], [u, v], dtype=dtype, seed=seed)


LOSSES = ["mse", "sparse_categorical_crossentropy"]


def weights_of(model: Model) -> bytes:
    return b"".join(w.tobytes() for w in model.get_weights())


def exact(model: Model, x: Any, y: Any, **options: Any) -> None:
    """Assert that back-propagation agrees with finite differences."""
    report = fastnn.gradcheck(model, x, y, **options)
    assert report.largest < 1e-6, report
    assert sum(report.checked.values()) > 0


# -- several inputs and outputs


@pytest.mark.parametrize("x_form", ["list", "tuple", "dict", "dict in another order"])
@pytest.mark.parametrize("y_form", ["list", "dict"])
def test_lists_and_dicts_mean_the_same(x_form: str, y_form: str) -> None:
    x: Any = {"list": [X, Z], "tuple": (X, Z), "dict": {"a": X, "b": Z}}.get(x_form, {"b": Z, "a": X})
    y: Any = [U, LABELS] if y_form == "list" else {"v": LABELS, "u": U}
    loss: Any = LOSSES if y_form == "list" else dict(zip("vu", reversed(LOSSES), strict=True))
    shares: Any = [0.5, 2.0] if y_form == "list" else {"v": 2.0, "u": 0.5}
    measured: Any = ["mse", ["accuracy"]] if y_form == "list" else {"v": "accuracy", "u": ["mse"]}
    model, expected = two_by_two(), two_by_two()
    model.compile("adam", loss, measured, shares)
    expected.compile("adam", LOSSES, ["mse", "accuracy"], [0.5, 2.0])
    history = model.fit(x, y, batch_size=7, epochs=2, validation_split=0.2, verbose=0).history
    assert history == expected.fit([X, Z], [U, LABELS], 7, 2, validation_split=0.2, verbose=0).history
    assert weights_of(model) == weights_of(expected)
    names = ["loss", "u_loss", "v_loss", "u_mse", "v_accuracy"]
    assert list(history) == names + [f"val_{name}" for name in names]
    for prefix in ("", "val_"):
        parts = np.dot([0.5, 2.0], [history[f"{prefix}u_loss"], history[f"{prefix}v_loss"]])
        np.testing.assert_allclose(history[f"{prefix}loss"], parts, rtol=1e-12)
    np.testing.assert_allclose(history["u_loss"], history["u_mse"], rtol=1e-12)


def test_a_list_of_one_is_as_good_as_the_thing_itself() -> None:
    found = []
    for wrap in (lambda thing: thing, lambda thing: [thing]):
        x = Input((3,))
        model = Model(wrap(x), wrap(layers.Dense(2, name="y")(x)), seed=0)
        model.compile("sgd", wrap("mse"), loss_weights=[2.0])
        history = model.fit(wrap(X), wrap(Z), verbose=0, validation_data=(wrap(X), wrap(Z))).history
        model.forward(wrap(X))
        found.append((history, model.predict(wrap(X)).tobytes(), model.backward(wrap(Z))["y/bias"].tobytes()))
    assert found[0] == found[1]
    assert model.predict([[1.0, 2.0, 3.0]]).shape == (1, 2)  # a row


def test_what_comes_back_has_the_shapes_of_the_ends() -> None:
    model = two_by_two("float32")
    assert (model.input_names, model.output_names) == (["a", "b"], ["u", "v"])
    model.compile("sgd", LOSSES, metrics={"v": "accuracy"})
    for call in (model.predict, model, model.forward):
        u, v = call([X, Z])
        assert (u.shape, v.shape, u.dtype) == ((20, 4), (20, 3), np.float32)
    assert [part.shape for part in model.predict([X[:0], Z[:0]])] == [(0, 4), (0, 3)]
    values = model.evaluate([X, Z], [U, LABELS])
    as_dict = model.evaluate([X, Z], [U, LABELS], return_dict=True)
    assert list(as_dict) == ["loss", "u_loss", "v_loss", "v_accuracy"]
    assert values == list(as_dict.values())
    model.compile("sgd", LOSSES, metrics=[[metrics.BinaryAccuracy("z"), "mse"], "accuracy"])
    several = model.evaluate([X, Z], [U, LABELS], return_dict=True)
    assert list(several)[3:] == ["u_z", "u_mse", "v_accuracy"]
    assert model.evaluate([X, Z], [U, LABELS])[3:] == [several[n] for n in ("u_mse", "u_z", "v_accuracy")]
    model.compile("sgd", LOSSES, metrics={"v": "accuracy"})
    step = model.train_on_batch([X, Z], {"u": U, "v": LABELS}, return_dict=True)
    np.testing.assert_allclose([*step.values()], values, rtol=1e-5)
    assert [g.shape for g in model.input_gradients([X, Z])] == [(20, 3), (20, 2)]
    loss, gradients = model.loss_and_gradients([X, Z], [U, LABELS])
    assert loss < values[0]
    assert {name: g.shape for name, g in gradients.items()} == {
        p.name: p.shape for p in model.graph.parameters
    }


def test_shares_and_weights_of_rows_enter_the_gradient() -> None:
    model, weights = two_by_two(), RNG.random(20)
    for shares in (None, [3.0, 0.25], [0.0, 1.0], [0.0, 0.0]):
        model.compile("sgd", LOSSES, loss_weights=shares)
        found = model.loss_and_gradients([X, Z], [U, LABELS], weights)[1]
        assert all(not g.any() for g in found.values()) == (shares == [0.0, 0.0])
        if shares != [0.0, 0.0]:
            exact(model, [X, Z], [U, LABELS], sample_weight=weights)


def test_losses_that_are_sums_and_means_side_by_side() -> None:
    model = two_by_two()
    model.compile("sgd", [fastnn.losses.MeanSquaredError(reduction="sum"), LOSSES[1]])
    exact(model, [X, Z], [U, LABELS])
    u, v = model.predict([X, Z])
    found = model.evaluate([X, Z], [U, LABELS], batch_size=20, return_dict=True)
    np.testing.assert_allclose(found["u_loss"], np.sum((u - U) ** 2) / 4, rtol=1e-12)
    np.testing.assert_allclose(found["v_loss"], -np.log(v[np.arange(20), LABELS]).mean(), rtol=1e-9)


def test_an_input_may_be_an_output_and_an_output_may_be_read() -> None:
    x = Input((3,), name="x")
    p = layers.Dense(3, "softmax", name="p")(x)
    q = layers.Dense(2, name="q")(p)
    model = Model(x, [p, x, q], dtype="float64", seed=0)
    model.compile("adam", ["sparse_categorical_crossentropy", "mse", "mse"])
    exact(model, X, [LABELS, X + 1, Z])
    found = model.fit(X, [LABELS, X + 1, Z], epochs=2, verbose=0).history
    np.testing.assert_allclose(found["x_loss"], 1.0, rtol=1e-12)
    np.testing.assert_array_equal(model.predict(X)[1], X)
    upstream = [U[:, :3] * 0, U[:, :3], Z * 0]
    np.testing.assert_array_equal(model.input_gradients(X, upstream), U[:, :3])


def test_a_model_without_layers_predicts_and_trains() -> None:
    x = Input((3,))
    model = Model(x, x, dtype="float64")
    model.compile("adam", "mse", metrics=["mse"])
    np.testing.assert_array_equal(model.predict(X), X)
    np.testing.assert_allclose(model.train_on_batch(X, X + 2), [4.0, 4.0])
    np.testing.assert_array_equal(model.input_gradients(X), np.ones_like(X))
    assert model.get_weights() == []
    assert [*model.forward(X)[0]] == [*X[0]]
    assert list(model.backward()) == ["input"]


def test_one_tensor_several_times_in_a_merge() -> None:
    x = Input((3,))
    h = layers.Dense(3, "tanh")(x)
    merged = [
        layers.Add()([h, h]),
        layers.Multiply()([h, h, h]),
        layers.Subtract()([h, h]),
        layers.Average()([h, x, h]),
        layers.Maximum()([h, h]),
        layers.Minimum()([x, x]),
        layers.Concatenate()([h, h, x, x, h, h, h]),
        layers.Add()([x, x]),
    ]
    model = Model(x, layers.Concatenate()(merged), dtype="float64", seed=3)
    model.compile("sgd", "mse")
    y = model.predict(X)
    h = np.tanh(X @ model.get_weights()[0])
    parts = [h + h, h**3, 0 * h, (h + X + h) / 3, h, X, h, h, X, X, h, h, h, X + X]
    np.testing.assert_allclose(y, np.hstack(parts), rtol=1e-12, atol=1e-15)
    exact(model, X, RNG.standard_normal(y.shape))
    by_input = model.input_gradients(X)
    slope = (1 - h**2) @ np.diag(np.ones(3))
    through_h = (2 + 3 * h**2 + 0 + 2 / 3 + 1 + 5) * slope @ model.get_weights()[0].T
    np.testing.assert_allclose(by_input, through_h + 1 / 3 + 1 + 2 + 2, rtol=1e-10)


def test_the_first_of_the_largest_has_the_gradient() -> None:
    a, b, c = (Input((2,), name=name) for name in "abc")
    x = [[1.0, 2.0]], [[1.0, 3.0]], [[1.0, 3.0]]
    for merge, expected in (
        (layers.Maximum(), [[1, 0], [0, 1], [0, 0]]),
        (layers.Minimum(), [[1, 1], [0, 0], [0, 0]]),
    ):
        found = Model([a, b, c], merge([a, b, c])).input_gradients(list(x))
        np.testing.assert_array_equal(np.vstack(found), expected)
    chosen = layers.Maxout(1, pieces=3, use_bias=False)
    model = Model(a, chosen(a))
    chosen.set_weights([[[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]])
    np.testing.assert_array_equal(model.input_gradients([[2.0, 2.0]]), [[1.0, 0.0]])


# -- shared layers


def test_gradients_of_a_shared_layer_are_those_of_its_copies_added_up() -> None:
    layer = layers.Dense(3, "tanh", kernel_regularizer=fastnn.regularizers.L2(0.01), name="d")
    x = Input((3,))
    shared = Model(x, layer(layer(x)), dtype="float64", seed=4)
    first, second = layers.Dense(3, "tanh", name="first"), layers.Dense(3, "tanh", name="second")
    x = Input((3,))
    apart = Model(x, second(first(x)), dtype="float64")
    apart.set_weights(shared.get_weights() * 2)
    shared.compile("sgd", "mse")
    apart.compile("sgd", "mse")
    y = U[:, :3]
    loss, gradients = shared.loss_and_gradients(X, y)
    plain, parts = apart.loss_and_gradients(X, y)
    kernel = shared.get_weights()[0]
    np.testing.assert_allclose(loss, plain + 0.01 * np.sum(kernel**2), rtol=1e-12)
    for role, penalty in (("kernel", 2 * 0.01 * kernel), ("bias", 0.0)):
        total = parts[f"first/{role}"] + parts[f"second/{role}"] + penalty
        np.testing.assert_allclose(gradients[f"d/{role}"], total, rtol=1e-12)
    exact(shared, X, y)
    assert shared.output_names == ["d:1"]
    shared.fit(X, y, batch_size=20, shuffle=False, verbose=0)  # one step of SGD, by the fused ops
    np.testing.assert_allclose(shared.get_weights()[0], kernel - 0.01 * gradients["d/kernel"], rtol=1e-10)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", fastnn.optimizers.SGD(0.01, momentum=0.9), "rmsprop"])
def test_a_siamese_model_trains_as_its_reference_does(optimizer: Any) -> None:
    def siamese() -> Model:
        x = Input((3,))
        tower = Model(x, layers.Dense(4, "tanh")(layers.Dense(5, "relu")(x)), name="tower")
        left, right = Input((3,), name="left"), Input((3,), name="right")
        distance = layers.Square()(layers.Subtract()([tower(left), tower(right)]))
        return Model([left, right], layers.Dense(1)(layers.Sum()(distance)), dtype="float64", seed=5)

    with pytest.raises(ConfigurationError, match="one dtype for both"):
        siamese()  # the tower is of float32
    x = Input((3,))
    hidden = layers.Dense(5, "tanh")
    tower = Model(x, layers.Dense(4, "tanh")(hidden(x)), name="tower", dtype="float64", seed=5)
    left, right = Input((3,), name="left"), Input((3,), name="right")
    distance = layers.Square()(layers.Subtract()([tower(left), tower(right)]))
    model = Model([left, right], layers.Dense(1)(layers.Sum()(distance)), dtype="float64", seed=5)
    assert model.count_params() == tower.count_params() + 2
    data = [X, X[::-1]], Z[:, :1]
    model.compile(optimizer, "mse")
    exact(model, *data)
    twin = copy.deepcopy(model)
    twin.compile(optimizer, "mse", reference=True)
    found = [m.fit(*data, batch_size=6, epochs=3, shuffle=False, verbose=0).history for m in (model, twin)]
    np.testing.assert_allclose(found[0]["loss"], found[1]["loss"], rtol=1e-10)
    for ours, theirs in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(tower.predict(X), twin.get_layer("tower").predict(X), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(model.predict([X, X]), model.predict([Z @ np.ones((2, 3))] * 2), rtol=1e-12)


def test_a_layer_used_after_itself_three_thousand_times() -> None:
    layer, x = layers.Dense(2, "tanh", name="step"), Input((2,))
    h = x
    for _ in range(3000):
        h = layer(h)
    model = Model(x, h, dtype="float64", seed=0)
    assert model.count_params() == 6
    model.compile("adam", "mse")
    state = X[:, :2]
    kernel, bias = model.get_weights()
    for _ in range(3000):
        state = np.tanh(state @ kernel + bias)
    np.testing.assert_allclose(model.predict(X[:, :2]), state, rtol=1e-9, atol=1e-12)
    model.train_on_batch(X[:, :2], Z)
    for duplicate in DUPLICATES:
        assert duplicate(model).get_layer("step").output.shape == (None, 2)


# -- models as layers


def test_models_inside_models_twice() -> None:
    inner = Sequential([Input((3,)), layers.Dense(4, "tanh")], name="inner", seed=1, dtype="float64")
    middle = Sequential([Input((3,)), inner, layers.Dense(3, "relu")], name="middle", seed=2, dtype="float64")
    x = Input((3,))
    y = layers.Dense(2)(middle(layers.Add()([middle(x), x])))
    model = Model(x, y, seed=3, dtype="float64")
    assert [p.name for p in model.graph.parameters] == [
        "middle/inner/dense/kernel",
        "middle/inner/dense/bias",
        "middle/dense/kernel",
        "middle/dense/bias",
        "dense/kernel",
        "dense/bias",
    ]
    assert [layer.name for layer in model.layers] == ["input", "middle", "add", "dense"]
    assert model.get_layer("middle") is middle
    assert middle.get_layer("inner") is inner
    k1, b1, k2, b2, k3, b3 = model.get_weights()

    def block(x: np.ndarray) -> np.ndarray:
        return np.maximum(np.tanh(x @ k1 + b1) @ k2 + b2, 0)

    np.testing.assert_allclose(model.predict(X), block(block(X) + X) @ k3 + b3, rtol=1e-12)
    model.compile("adam", "mse")
    exact(model, X, Z)
    model.fit(X, Z, epochs=3, verbose=0)
    for one, parts in ((inner, 2), (middle, 4)):
        found = one.get_weights()
        assert [w.tobytes() for w in found] == [w.tobytes() for w in model.get_weights()[:parts]]
    inner.set_weights([w * 0 for w in inner.get_weights()])
    assert not model.get_weights()[0].any()
    assert model.get_weights()[2].any()


def test_a_model_with_several_ends_as_a_layer() -> None:
    inner = two_by_two()
    b, a = Input((2,), name="b"), Input((3,), name="a")
    u, v = inner([a, b])
    outer = Model([b, a], [v, layers.Scale(2.0, name="twice")(u)], dtype="float64")
    v, u = outer.predict([Z, X])
    for ours, theirs in zip((u / 2, v), inner.predict([X, Z]), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    assert outer.output_names == ["model/v", "twice"]
    outer.compile("adam", {"twice": "mse", "model/v": LOSSES[1]})
    history = outer.fit({"a": X, "b": Z}, {"model/v": LABELS, "twice": U}, epochs=2, verbose=0).history
    assert list(history) == ["loss", "model/v_loss", "twice_loss"]
    exact(outer, [Z, X], [LABELS, U])


def test_a_layer_that_is_reached_through_two_models_is_one_layer() -> None:
    base = Sequential([Input((3,)), layers.Dense(3, "tanh", name="d"), layers.Dense(3)], name="base")
    outer = Sequential([Input((3,)), base, layers.ReLU()], name="outer")
    x = Input((3,))
    model = Model(x, layers.Add()([outer(x), base(x), base.layers[0](x)]), seed=3)
    assert [p.name for p in model.graph.parameters] == [
        "d/kernel",
        "d/bias",
        "base/dense/kernel",
        "base/dense/bias",
    ]
    assert model.count_params() == base.count_params() == 24
    assert model.get_layer("d") is base.layers[0]
    assert model.get_layer("base") is base
    doubled = Model(x, model(x), dtype="float32")
    model.compile("adam", "mse", reference=True)
    doubled.compile("adam", "mse")
    twin = copy.deepcopy(doubled)
    for one in (model, twin):
        one.fit(X, U[:, :3], batch_size=7, epochs=2, shuffle=False, verbose=0)
    np.testing.assert_allclose(twin.predict(X), model.predict(X), rtol=1e-4, atol=1e-5)
    exact(twin, X, U[:, :3])


def test_sequential_inside_sequential() -> None:
    inner = Sequential([Input((3,)), layers.Dense(4, "relu"), layers.Dense(4)], seed=0)
    outer = Sequential(
        [Input((3,)), inner, layers.ReLU(), Sequential([Input((4,)), layers.Dense(2)])], seed=1
    )
    kernels = outer.get_weights()[::2]
    h = np.maximum(np.maximum(X @ kernels[0], 0) @ kernels[1], 0)
    np.testing.assert_allclose(outer.predict(X), h @ kernels[2], rtol=1e-4, atol=1e-5)
    outer.add(layers.Dense(1, name="last"))
    assert [w.tobytes() for w in outer.get_weights()[:6:2]] == [k.tobytes() for k in kernels]
    outer.compile("sgd", "mse")
    before = inner.predict(X)
    outer.fit(X, Z[:, :1], verbose=0)
    assert np.abs(inner.predict(X) - before).max() > 0


def test_a_layer_that_the_user_named_as_another_was_named() -> None:
    model = Sequential([Input((3,)), layers.Dense(4)], seed=0)
    first = model.layers[0]
    assert first.name == "dense"
    model.add(layers.Dense(3, name="dense"))
    assert model.get_layer("dense") is model.layers[1]
    assert model.get_layer("dense_1") is first
    model.forward(X)
    found = model.backward(wrt=[first, model.layers[1]])
    assert (found["dense_1"].shape, found["dense"].shape) == ((20, 4), (20, 3))
    model.compile("sgd", "mse")
    model.layers[0].name = "renamed"  # the graph keeps its own names
    model.compile("sgd", "mse")
    model.fit(X, U[:, :3], verbose=0)
    assert model.get_layer("dense_1") is first


# -- looking inside


def test_weights_of_a_graph_are_read_and_replaced() -> None:
    x = Input((3,))
    last = layers.Dense(2, name="last")
    h = layers.Dense(3, use_bias=False, name="first")(x)
    model = Model(x, layers.Add()([last(h), last(layers.Maxout(3, pieces=2, name="second")(h))]), seed=0)
    assert [w.shape for w in model.get_weights()] == [(3, 3), (3, 6), (6,), (3, 2), (2,)]
    assert [p.name for p in model.graph.parameters][::2] == ["first/kernel", "last/bias", "second/bias"]
    new = [RNG.standard_normal(w.shape).astype(np.float32) for w in model.get_weights()]
    model.set_weights(new)
    assert [w.tobytes() for w in model.get_weights()] == [w.tobytes() for w in new]
    assert last.get_weights()[0].tobytes() == new[3].tobytes()


def test_summaries_and_plans_show_the_graph(capsys: pytest.CaptureFixture[str]) -> None:
    x = Input((3,), name="x")
    inner = Sequential([Input((3,)), layers.Dense(3, name="d")], name="inner")
    model = Model(x, layers.Add(name="sum")([inner(x), inner(inner(x))]))
    model.summary()
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["x", "Input", "(None,", "3)", "0"] in lines
    assert ["inner/d", "Dense", "linear", "(None,", "3)", "12"] in lines
    assert ["inner/d:2", "Dense", "linear", "(None,", "3)", "shared"] in lines
    assert ["sum", "Add", "(None,", "3)", "0", "inner/d,", "inner/d:2"] in lines
    model.compile("adam", "mse")
    for purpose in ("train", "gradients", "evaluate", "outputs", "predict", "input_gradients", "backward"):
        text = str(model.plan(8, purpose))
        assert "inner/d" in text
        assert ("add_gradient" in text) == (purpose in ("train", "gradients", "backward"))
    assert "[2 tiles]" in str(wide().plan(256))


def wide() -> Model:
    x = Input((512,))
    model = Model(x, layers.Dense(512)(x))
    model.compile("sgd", "mse")
    return model


def test_gradients_of_tensors_within() -> None:
    x = Input((3,), name="x")
    layer = layers.Dense(3, "tanh", name="d")
    h = layer(x)
    model = Model(x, layers.Dense(2, name="o")(layer(h)), dtype="float64", seed=0)
    model.forward(X)
    every = model.backward(Z, wrt=[h, "d:1", "o", "x"])
    kernel, bias, last, _ = model.get_weights()
    one = np.tanh(X @ kernel + bias)
    two = np.tanh(one @ kernel + bias)
    np.testing.assert_allclose(every["o"], Z)
    np.testing.assert_allclose(every["d:1"], Z @ last.T)
    slope = (every["d:1"] * (1 - two**2)) @ kernel.T
    np.testing.assert_allclose(every["d"], slope)
    np.testing.assert_allclose(every["x"], (slope * (1 - one**2)) @ kernel.T)
    for wanted in ("d", layer, h):  # one of them needs no list
        assert model.backward(Z, wrt=wanted)["d"].tobytes() == every["d"].tobytes()


# -- threads


def wired(kind: str) -> tuple[Model, Any, Any]:
    rng, rows = np.random.default_rng(9), 150
    x = Input((23,), name="x")
    if kind == "shared":
        layer = layers.Dense(23, "tanh", kernel_regularizer="l2")
        merged: SymbolicTensor = layers.Multiply()([layer(x), layer(layer(x)), x])
        outputs = [layers.Dense(3, "softmax", name="o")(merged)]
    else:
        h = layers.Dense(40, "relu")(x)
        for _ in range(3):
            h = layers.Add()([h, layers.Dense(40)(layers.Maxout(17, pieces=3)(h))])
        small = layers.Concatenate()([layers.Maximum()([h, layers.Negate()(h)]), x, layers.Sum()(h)])
        outputs = [layers.Dense(3, "softmax", name="o")(small), layers.Dense(11, name="u")(h)]
    model = Model(x, outputs, seed=2)
    targets: list[Any] = [rng.integers(0, 3, rows), rng.standard_normal((rows, 11))]
    losses = ["sparse_categorical_crossentropy", "mse"]
    one = len(outputs) == 1
    return model, losses[0] if one else losses, targets[0] if one else targets


@pytest.mark.parametrize("wrap", [lambda one: [one], lambda one: (one,)])
def test_the_loss_of_an_output_may_stand_in_a_list_of_its_own(wrap: Any) -> None:
    found = []
    for losses in (LOSSES, [wrap(LOSSES[0]), LOSSES[1]], {"v": wrap(LOSSES[1]), "u": LOSSES[0]}):
        model = two_by_two()
        assert not model.compiled
        model.compile("sgd", losses)
        assert model.compiled
        found.append(model.evaluate([X, Z], [U, LABELS], verbose=0))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("kind", ["shared", "several outputs"])
def test_every_number_of_threads_trains_wired_graphs_to_the_same_bits(
    kind: str, optimizer: str, team_sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "available_cpus", lambda: 4)
    for name in vars(schedule):
        if name.startswith(("MINIMUM_", "PREFERRED_")):
            monkeypatch.setattr(schedule, name, 2)
    monkeypatch.setattr(program.pool, "run_pays", lambda *_: True)
    x = np.random.default_rng(8).standard_normal((150, 23))
    found = []
    for n_threads in (1, 2, 4):
        model, loss, y = wired(kind)
        model.compile(optimizer, loss, metrics={"o": "accuracy"})
        history = model.fit(x, y, 64, 3, verbose=0, n_threads=n_threads, sample_weight=np.abs(x[:, 0]))
        predictions = model.predict(x, n_threads=n_threads)
        parts = predictions if isinstance(predictions, list) else [predictions]
        score = model.evaluate(x, y, n_threads=n_threads)
        found.append((weights_of(model), history.history, [p.tobytes() for p in parts], score))
        assert max(team_sizes, default=1) == n_threads
    assert found[0] == found[1] == found[2]
