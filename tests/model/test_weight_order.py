"""The order of layers and weights, which is Keras's whatever the order of drawing; what goes by the drawing.

Comparisons with Keras itself are in `parity/test_keras_weight_order.py`.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastnn import Input, Model, Sequential, layers
from fastnn.callbacks import EarlyStopping
from fastnn.errors import ConfigurationError, ShapeError
from fastnn.graph.graph import by_depth, walk
from fastnn.graph.symbolic import SymbolicTensor

RNG = np.random.default_rng(23)
X = RNG.standard_normal((20, 3)).astype(np.float32)
Z = RNG.standard_normal((20, 3)).astype(np.float32)
DUPLICATES = [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))]


def dense(name: str | None = None, **options: Any) -> layers.Dense:
    return layers.Dense(3, "tanh", name=name, **options)


def names_of(model: Model) -> list[str]:
    """Return the names of the layers in their order, those drawn by operators included, without inputs."""
    members = model._now.drawing.members  # type: ignore[union-attr]
    return [name for name, member in members.items() if not isinstance(member, SymbolicTensor)]


def stand(model: Model, names: str) -> bool:
    """Return whether the weights of a model are those of layers of these names, in their order."""
    everywhere: dict[str, Any] = {}

    def collect(inside: Any) -> None:
        for layer in inside.layers:
            collect(layer) if isinstance(layer, Model) else everywhere.setdefault(layer.name, layer)

    collect(model)
    expected = [w for name in names.split() for w in everywhere[name].get_weights()]
    found = model.get_weights()
    assert len(expected) == len(found)
    return all(a.tobytes() == b.tobytes() for a, b in zip(expected, found, strict=True))


# -- the order as such


def by_name(made_of: dict[str, str], ends: str, owners: dict[str, str] | None = None) -> str:
    known = owners or {}
    return "".join(by_depth(ends, lambda node: made_of.get(node, ""), lambda node: known.get(node, node)))


@pytest.mark.parametrize(
    ("made_of", "ends", "expected"),
    [
        ({"y": "ab", "a": "x", "b": "x"}, "y", "xaby"),  # of one depth: as they are read
        ({"y": "ba", "a": "x", "b": "x"}, "y", "xbay"),
        ({"y": "ac", "a": "x", "c": "b", "b": "x"}, "y", "xbacy"),  # the longest way counts
        ({"y": "ab", "b": "a", "a": "x"}, "y", "xaby"),
        ({"z": "x", "y": "a", "a": "x"}, "zy", "xazy"),  # several ends
        ({"z": "x", "y": "a", "a": "x"}, "yz", "xayz"),
        ({"y": "a", "a": "x"}, "ya", "xay"),  # an end on the way to another
        ({}, "ab", "ab"),
    ],
)
def test_owners_stand_by_depth_and_then_as_they_are_met(
    made_of: dict[str, str], ends: str, expected: str
) -> None:
    assert by_name(made_of, ends) == expected


def test_an_owner_of_several_nodes_stands_where_the_deepest_does() -> None:
    made_of = {"y": "1c", "c": "b", "b": "2", "1": "x", "2": "x"}
    assert by_name(made_of, "y", {"1": "s", "2": "s"}) == "xsbcy"
    # What a use is made of is at least as deep as that of the uses that are met after it, not before it.
    made_of = {"y": "1d", "d": "c", "c": "2", "2": "q", "1": "p"}
    assert by_name(made_of, "y", {"1": "s", "2": "s"}) == "pqscdy"
    made_of["y"] = "d1"
    assert by_name(made_of, "y", {"1": "s", "2": "s"}) == "qscpdy"
    nodes = by_depth("y", lambda node: made_of.get(node, ""), lambda node: "s" if node in "12" else node)
    assert nodes["s"] == ["2", "1"]


def test_a_step_may_be_longer_than_another() -> None:
    made_of = {"y": "ac", "a": "b", "b": "", "c": "d", "d": ""}
    steps = {"a": 0.5, "c": 1.0}
    found = by_depth("y", lambda node: made_of[node], str, lambda node: steps.get(node, 1.0))
    assert "".join(found) == "dbacy"


def test_deep_graphs_do_not_recurse() -> None:
    entered, left = walk([50_000], lambda node: [node - 1] if node else [])
    assert entered == left[::-1] == list(range(50_000, -1, -1))
    assert list(by_depth([50_000], lambda node: [node - 1] if node else [], int)) == left


# -- the order of models


def test_branches_stand_as_they_are_read_not_as_they_were_drawn() -> None:
    x = Input((3,))
    a, b, c = (dense(name)(x) for name in "abc")
    d = dense("d")(c)
    model = Model(x, dense("end")(layers.Add(name="sum")([b, d, a])), seed=0)
    assert names_of(model) == ["c", "b", "d", "a", "sum", "end"]
    assert stand(model, "c b d a end")
    assert [p.name for p in model.graph.parameters][::2] == [
        f"{n}/kernel" for n in ("a", "b", "c", "d", "end")
    ]


def test_a_shared_layer_stands_where_its_deepest_use_does() -> None:
    x = Input((3,))
    shared = dense("shared")
    late = shared(x)
    early = dense("c")(shared(dense("b")(dense("a")(x))))
    model = Model(x, layers.Add(name="sum")([late, early]), seed=0)
    assert names_of(model) == ["a", "b", "shared", "c", "sum"]
    assert stand(model, "a b shared c")
    assert [node.layer for node in model.graph.nodes] == ["shared", "a", "b", "shared", "c", "sum"]


def test_a_nested_model_is_one_layer_whose_weights_stand_together() -> None:
    y = Input((3,))
    p, q, r = dense("p")(y), dense("q")(y), dense("r")(y)
    block = Model(y, layers.Add()([dense("after")(r), q, p]), name="block", seed=1)
    assert stand(block, "r after q p")
    x = Input((3,))
    first = dense("first")(x)
    inside = block(dense("before")(x))
    model = Model(x, layers.Add(name="sum")([block.get_layer("r")(x), inside, first]), seed=0)
    assert names_of(model) == ["before", "r", "block", "first", "sum"]
    assert stand(model, "before r after q p first")  # r is a layer of both, and stands with the first
    assert names_of(model.get_layer("block"))[:2] == ["r", "after"]


def test_chains_stand_as_they_are() -> None:
    a, b, c = dense("a"), dense("b"), dense("c")
    model = Sequential([Input((3,)), b, a, b, Sequential([Input((3,)), c, a], name="inner")], seed=0)
    assert [layer.name for layer in model.layers] == ["b", "a", "b", "inner"]
    assert stand(model, "b a c")


def test_a_number_minus_a_tensor_is_one_step() -> None:
    x = Input((3,))
    a, b = dense("a1")(dense("a0")(x)), dense("b")(x)
    model = Model(x, layers.Add(name="sum")([a, 1 - b]), seed=0)
    assert names_of(model) == ["a0", "b", "scale", "a1", "shift", "sum"]


def test_weights_are_given_by_that_order() -> None:
    x = Input((3,))
    a, b = (dense(name)(x) for name in "ab")
    model = Model(x, layers.Add()([b, a]), seed=0)
    given = [np.full(w.shape, number, np.float32) for number, w in enumerate(model.get_weights())]
    model.set_weights(given)
    assert float(model.get_layer("b").kernel[0, 0]) == 0.0
    assert float(model.get_layer("a").kernel[0, 0]) == 2.0
    with pytest.raises(ShapeError, match=r"expected 4 arrays \(b/kernel, b/bias, a/kernel, a/bias\), got 3"):
        model.set_weights(given[:-1])


def test_a_summary_stands_in_that_order(capsys: pytest.CaptureFixture[str]) -> None:
    y = Input((3,))
    block = Model(y, [layers.Add()([dense("q")(y), y]), dense("other")(y)], name="block")
    x = Input((3,), name="x")
    a, b = dense("a")(x), dense("b")(x)
    model = Model(x, layers.Add(name="sum")([block(b)[0], a]))
    model.summary()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[3:9]] == ["x", "b", "block/q", "block/add", "a", "sum"]
    assert lines[9].split() == ["block/other", "Dense", "tanh", "not", "read", "12"]
    assert lines[10] == "parameters: 48, trainable: 36, non-trainable: 12"


# -- what does not go by it


def test_initial_values_and_gradients_go_by_the_drawing() -> None:
    def build(first: str, second: str) -> Model:
        x = Input((3,))
        made = {name: dense(name)(x) for name in "abc"}
        return Model(x, layers.Concatenate()([made[first], made[second], made["c"]]), dtype="float64", seed=5)

    one, other = build("a", "b"), build("b", "a")
    assert stand(one, "a b c")
    assert stand(other, "b a c")
    for name in "abc":
        assert one.get_layer(name).kernel.tobytes() == other.get_layer(name).kernel.tobytes()
    streams = np.random.SeedSequence(5).spawn(6)
    glorot = layers.Dense(1).config.kernel_initializer
    for name, stream in zip("abc", streams[::2], strict=True):
        expected = glorot.draw((3, 3), np.random.default_rng(stream))
        np.testing.assert_array_equal(other.get_layer(name).kernel, expected)
    other.compile("sgd", "mse")
    gradients = other.loss_and_gradients(X, np.zeros((20, 9)))[1]
    assert list(gradients) == [f"{name}/{role}" for name in "abc" for role in ("kernel", "bias")]


def test_the_state_of_an_optimizer_stays_with_its_layer() -> None:
    """Two drawings of one net train alike, though their weights are in different orders."""

    def build(turned: bool) -> Model:
        x = Input((3,))
        a, b = dense("a"), dense("b")
        made = {layer.name: layer(x) for layer in ((b, a) if turned else (a, b))}
        both = [made["a"], made["b"]]
        return Model(x, layers.Subtract()(both), dtype="float64", seed=0)

    one, other = build(False), build(True)
    other.set_weights(one.get_weights())
    for model in (one, other):
        model.compile("adam", "mse")
        model.fit(X, Z, epochs=2, verbose=0, shuffle=False)
    Model(other.inputs, dense("new")(other.outputs[0]), dtype="float64")  # the other moves
    for model in (one, other):
        model.fit(X, Z, epochs=2, verbose=0, shuffle=False)
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


# -- outputs of nested models that nobody reads


def backbone() -> Model:
    y = Input((3,))
    h = dense("h")(y)
    return Model(y, [dense("idle")(h), dense("used")(h)], name="backbone", seed=3)


def test_weights_behind_an_output_nobody_reads_are_kept_and_not_trained() -> None:
    base, x = backbone(), Input((3,))
    model = Model(x, dense("head")(base(x)[1]), seed=0)
    assert stand(model, "h idle used head")
    assert model.count_params() == sum(w.size for w in model.get_weights()) == 48
    assert [node.layer for node in model.graph.nodes] == ["backbone/h", "backbone/used", "head"]
    model.compile("adam", "mse")
    assert set(model.loss_and_gradients(X, Z)[1]) == {
        f"{name}/{role}" for name in ("backbone/h", "backbone/used", "head") for role in ("kernel", "bias")
    }
    before = model.get_weights()
    model.fit(X, Z, epochs=3, verbose=0, callbacks=[EarlyStopping("loss", restore_best_weights=True)])
    same = [a.tobytes() == b.tobytes() for a, b in zip(before, model.get_weights(), strict=True)]
    assert same == [False, False, True, True, False, False, False, False]
    model.set_weights([w + 1 for w in before])
    np.testing.assert_array_equal(base.get_layer("idle").kernel, before[2] + 1)
    with pytest.raises(ShapeError, match="backbone/idle/kernel"):
        model.set_weights(before[:-1])


@pytest.mark.parametrize("duplicate", DUPLICATES)
def test_copies_have_them_too(duplicate: Callable[[Any], Any]) -> None:
    x = Input((3,))
    base = backbone()
    model = Model(x, dense("head")(base(x)[1]), seed=0)
    twin = duplicate(model)
    assert [w.tobytes() for w in twin.get_weights()] == [w.tobytes() for w in model.get_weights()]
    twin.set_weights([w * 0 for w in twin.get_weights()])
    assert not any(w.any() for w in duplicate(twin).get_weights())
    assert base.get_layer("idle").kernel.any()


def test_what_only_leads_to_an_input_nobody_reads_has_weights() -> None:
    p, q = Input((3,)), Input((3,))
    block = Model([p, q], [layers.ReLU()(p), dense("dq")(q)], name="block")
    x = Input((3,))
    used, idle = dense()(x), layers.Dense(3, "tanh")(x)
    model = Model(x, layers.Add()([block([used, idle])[0], dense()(x)]), seed=0)
    assert names_of(model) == ["dense", "dense_2", "block", "dense_1", "add"]
    assert len(model.get_weights()) == 8
    model.compile("sgd", "mse")
    before = model.get_layer("dense_2").kernel
    model.fit(X, Z, verbose=0)
    assert model.get_layer("dense_2").kernel.tobytes() == before.tobytes()
    other = Model(x, block([used, dense("other")(Input((3,)))])[0])  # begins elsewhere: not of this model
    assert names_of(other) == ["dense", "block"]


def test_names_of_what_nobody_reads_do_not_clash() -> None:
    y = Input((3,))
    inner = Model(y, [layers.ReLU()(y), dense("same")(y)], name="inner", seed=1)
    z = Input((3,))
    outer = Model(z, [inner(z)[0], dense("same")(z)], name="outer", seed=2)
    x = Input((3,))
    model = Model(x, dense("same")(outer(x)[0]), seed=0)
    assert len(model.get_weights()) == 6
    weights = [w + number for number, w in enumerate(model.get_weights())]
    model.set_weights(weights)
    assert [w.tobytes() for w in model.get_weights()] == [w.tobytes() for w in weights]


# -- models that hand an input through


def handing_through() -> Model:
    y = Input((3,))
    return Model(y, [y, dense("made")(y)], name="skip", seed=4)


def test_an_input_that_a_model_hands_through_is_a_tensor_of_its_own() -> None:
    skip, x = handing_through(), Input((3,), name="x")
    same, made = skip(x)
    assert repr(same) == "<SymbolicTensor (None, 3), output of 'skip'>"
    model = Model(x, [layers.Add(name="sum")([same, made]), same], seed=0)
    assert names_of(model) == ["skip", "sum"]
    both, through = model.predict(X)
    np.testing.assert_array_equal(through, X)
    np.testing.assert_allclose(both, X + np.tanh(X @ skip.get_weights()[0]), rtol=1e-5, atol=1e-6)
    gradient = model.input_gradients(X, [np.zeros((20, 3)), np.ones((20, 3))])
    np.testing.assert_array_equal(gradient, np.ones((20, 3)))
    model.forward(X)
    assert set(model.backward(wrt=[same, made])) >= {"x", "skip/made"}
    chain = Sequential([Input((3,)), Model(skip.inputs, skip.inputs[0], name="nothing"), dense("d")], seed=0)
    assert [w.shape for w in chain.get_weights()] == [(3, 3), (3,)]
    again = Model(same, dense("e")(same), seed=0)  # it may be an input
    assert again.predict(X).shape == (20, 3)
    for outputs in ([x, same], [same, skip(x)[0]]):
        with pytest.raises(ConfigurationError, match=r"input 'x'> stands twice among the outputs"):
            Model(x, outputs)


@pytest.mark.parametrize("duplicate", DUPLICATES)
def test_copies_of_deep_graphs_before_a_model_that_hands_through(duplicate: Callable[[Any], Any]) -> None:
    p, q = Input((3,)), Input((3,))
    block = Model([p, q], [p, dense("dq")(q)], name="block", seed=0)
    x = h = Input((3,))
    for number in range(1000):
        h = dense(f"d{number}")(h)
    model = Model(x, dense("end")(block([x, h])[0]), seed=0)
    twin = duplicate(model)
    assert len(twin.layers) == len(model.layers) == 1003
    assert twin.predict(X).tobytes() == model.predict(X).tobytes()
    assert [w.tobytes() for w in twin.get_weights()] == [w.tobytes() for w in model.get_weights()]


def test_a_part_between_two_outputs_of_a_nested_model() -> None:
    y = Input((3,))
    h = dense("first")(y)
    base = Model(y, [h, dense("second")(h)], name="base", seed=0)
    early, late = base(Input((3,)))
    part = Model(early, late, seed=1)
    np.testing.assert_allclose(part.predict(base.predict(X)[0]), base.predict(X)[1], rtol=1e-5, atol=1e-6)
    assert names_of(part) == ["base"]
