"""Weights go from Keras 3 (on PyTorch) to fastnn and back by `set_weights(get_weights())`, for any wiring.

All kernels have one shape, so that weights in a wrong order are not refused but predict something else.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn

# Keras hands its variables to NumPy in a way that NumPy 2 warns about; that is not ours to fix.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

WIDTH = 4
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
N_RANDOM = 200


def dense(k: Any, name: str, trainable: bool = True) -> Any:
    return k.layers.Dense(WIDTH, activation="tanh", name=name, trainable=trainable)


def branch(k: Any, x: Any, *names: str) -> Any:
    for name in names:
        x = dense(k, name)(x)
    return x


# -- branches


def branches_crossed(k: Any) -> Any:
    x = k.Input((WIDTH,))
    a, b, c = (dense(k, name)(x) for name in "abc")
    return k.Model(x, k.layers.Concatenate()([c, a, b]))


def branches_of_several_lengths(k: Any) -> Any:
    x = k.Input((WIDTH,))
    short, long, middle = branch(k, x, "s"), branch(k, x, "l0", "l1", "l2"), branch(k, x, "m0", "m1")
    return k.Model(x, dense(k, "end")(k.layers.Concatenate()([short, middle, long])))


def layers_made_in_another_order(k: Any) -> Any:
    x = k.Input((WIDTH,))
    last, third, second, first = (dense(k, f"d{i}") for i in range(4))
    h = first(x)
    return k.Model(x, last(k.layers.Add()([third(h), second(h)])))


def weightless_layers_count(k: Any) -> Any:
    x = k.Input((WIDTH,))
    a = k.layers.ReLU()(k.layers.Activation("sigmoid")(dense(k, "a")(x)))
    b = k.layers.Softmax()(dense(k, "b")(x))
    c = branch(k, x, "c0", "c1")
    return k.Model(x, k.layers.Maximum()([b, c, k.layers.Average()([a, x])]))


def operators(k: Any) -> Any:
    x = k.Input((WIDTH,))
    t = dense(k, "t")(x)
    h = branch(k, x, "h0", "h1")
    u = dense(k, "u")(x)
    y = (1 - t) * x + t * h - (0.5 * (2 - u) + -u)
    return k.Model(x, y)


def number_minus_tensor_is_one_step(k: Any) -> Any:
    x = k.Input((WIDTH,))
    a, b = branch(k, x, "a0", "a1"), dense(k, "b")(x)
    return k.Model(x, k.layers.Concatenate()([a, 1 - b, 2 - (1 - dense(k, "c")(x))]))


def frozen_layers(k: Any) -> Any:
    x = k.Input((WIDTH,))
    a, b = dense(k, "a", trainable=False)(x), dense(k, "b")(x)
    inner = k.Input((WIDTH,))
    block = k.Model(inner, k.layers.Add()([branch(k, inner, "p", "q"), dense(k, "r")(inner)]), name="block")
    c = dense(k, "c")(block(x))
    model = k.Model(x, k.layers.Concatenate()([c, b, a]))
    block.trainable = False
    model.get_layer("b").trainable = False
    return model


# -- shared layers


def shared_at_two_depths(k: Any) -> Any:
    x = k.Input((WIDTH,))
    shared = dense(k, "shared")
    late = shared(x)
    early = dense(k, "c")(shared(dense(k, "b")(dense(k, "a")(x))))
    return k.Model(x, k.layers.Add()([late, early]))


def shared_by_branches(k: Any) -> Any:
    x, y = k.Input((WIDTH,)), k.Input((WIDTH,))
    one, other = dense(k, "one"), dense(k, "other")
    left, right = one(other(x)), other(one(y))
    return k.Model([y, x], k.layers.Subtract()([right, dense(k, "after")(left)]))


def shared_in_a_loop(k: Any) -> Any:
    x = k.Input((WIDTH,))
    shared, h = dense(k, "shared"), x
    for step in range(3):
        h = k.layers.Add()([shared(h), dense(k, f"d{step}")(h)])
    return k.Model(x, k.layers.Multiply()([h, dense(k, "gate")(x)]))


# -- models as layers


def block_with_branches(k: Any, name: str) -> Any:
    x = k.Input((WIDTH,))
    a, b, c = dense(k, f"{name}a")(x), branch(k, x, f"{name}b", f"{name}c"), dense(k, f"{name}d")(x)
    return k.Model(x, k.layers.Add()([c, b, a]), name=name)


def nested_is_one_layer(k: Any) -> Any:
    x = k.Input((WIDTH,))
    first = dense(k, "first")(x)
    block = block_with_branches(k, "block")
    long = branch(k, x, "l0", "l1")
    return k.Model(x, dense(k, "end")(k.layers.Concatenate()([long, block(x), first])))


def nested_used_twice(k: Any) -> Any:
    x = k.Input((WIDTH,))
    block = block_with_branches(k, "block")
    late = block(x)
    early = block(branch(k, x, "a", "b"))
    return k.Model(x, k.layers.Add()([late, dense(k, "c")(early)]))


def nested_in_nested(k: Any) -> Any:
    x = k.Input((WIDTH,))
    inner = block_with_branches(k, "inner")
    y = k.Input((WIDTH,))
    outer = k.Model(y, k.layers.Add()([dense(k, "p")(y), inner(dense(k, "q")(y)), inner(y)]), name="outer")
    return k.Model(x, k.layers.Add()([outer(dense(k, "a")(x)), inner(dense(k, "b")(x)), dense(k, "c")(x)]))


def nested_chains(k: Any) -> Any:
    x = k.Input((WIDTH,))
    block = block_with_branches(k, "block")
    inner = k.Sequential([k.Input((WIDTH,)), dense(k, "s0"), block, dense(k, "s1")], name="inner")
    chain = k.Sequential([k.Input((WIDTH,)), inner, dense(k, "t")], name="chain")
    return k.Model(x, k.layers.Add()([dense(k, "a")(x), chain(dense(k, "b")(x)), block(x)]))


def a_chain_of_models(k: Any) -> Any:
    block, again = block_with_branches(k, "block"), dense(k, "again")
    other = block_with_branches(k, "other")
    return k.Sequential([k.Input((WIDTH,)), again, block, dense(k, "d"), again, other, block])


def a_layer_inside_and_outside(k: Any) -> Any:
    x = k.Input((WIDTH,))
    shared = dense(k, "shared")
    y = k.Input((WIDTH,))
    block = k.Model(y, k.layers.Add()([dense(k, "p")(y), shared(dense(k, "q")(y))]), name="block")
    return k.Model(x, k.layers.Concatenate()([block(dense(k, "a")(x)), shared(x), dense(k, "b")(x)]))


def a_layer_outside_and_inside(k: Any) -> Any:
    x = k.Input((WIDTH,))
    y = k.Input((WIDTH,))
    shared = dense(k, "shared")
    block = k.Model(y, k.layers.Add()([dense(k, "p")(y), shared(dense(k, "q")(y))]), name="block")
    long = branch(k, shared(x), "a", "b")
    return k.Model(x, k.layers.Concatenate()([dense(k, "c")(x), block(x), long]))


def a_layer_of_two_models(k: Any) -> Any:
    x = k.Input((WIDTH,))
    shared, blocks = dense(k, "shared"), []
    for name in "uvw":
        y = k.Input((WIDTH,))
        before, after = dense(k, f"{name}0"), dense(k, f"{name}1")
        blocks.append(k.Model(y, k.layers.Add()([after(shared(y)), before(y)]), name=name))
    u, v, w = blocks
    return k.Model(x, k.layers.Add()([v(x), u(w(x))]))


# -- several inputs and outputs


def inputs_crossed(k: Any) -> Any:
    a, b, c = (k.Input((WIDTH,), name=name) for name in "abc")
    da, db, dc = dense(k, "da")(a), dense(k, "db")(b), dense(k, "dc")(c)
    return k.Model([c, a, b], k.layers.Concatenate()([db, dc, da]))


def outputs_crossed(k: Any) -> Any:
    x = k.Input((WIDTH,))
    h = dense(k, "h")(x)
    a, b, c = dense(k, "a")(h), branch(k, h, "b0", "b1"), dense(k, "c")(h)
    return k.Model(x, [c, b, a, h])


def nested_with_several_ends(k: Any) -> Any:
    p, q = k.Input((WIDTH,)), k.Input((WIDTH,))
    dp, dq = dense(k, "dp")(p), dense(k, "dq")(q)
    block = k.Model([q, p], [dense(k, "e")(k.layers.Add()([dq, dp])), dp], name="block")
    x = k.Input((WIDTH,))
    a, b = dense(k, "a")(x), branch(k, x, "b0", "b1")
    one, other = block([b, a])
    return k.Model(x, [k.layers.Add()([dense(k, "c")(other), one]), dense(k, "d")(x)])


def one_output_needs_all_inputs(k: Any) -> Any:
    """The first output is made of the first input alone; Keras counts the whole call."""
    p, q = k.Input((WIDTH,)), k.Input((WIDTH,))
    block = k.Model([p, q], [dense(k, "dp")(p), dense(k, "dq")(q)], name="block")
    x = k.Input((WIDTH,))
    a, b = dense(k, "a")(x), branch(k, x, "b0", "b1")
    one, other = block([a, b])
    return k.Model(x, k.layers.Concatenate()([other, dense(k, "c")(dense(k, "d")(one))]))


def an_output_nobody_reads(k: Any) -> Any:
    p = k.Input((WIDTH,))
    h = dense(k, "h")(p)
    block = k.Model(p, [dense(k, "first")(h), branch(k, h, "second", "third")], name="block")
    x = k.Input((WIDTH,))
    _, used = block(dense(k, "a")(x))
    return k.Model(x, k.layers.Add()([dense(k, "b")(x), used]))


def what_leads_to_an_output_nobody_reads(k: Any) -> Any:
    p, q = k.Input((WIDTH,)), k.Input((WIDTH,))
    block = k.Model([p, q], [k.layers.ReLU()(p), dense(k, "dq")(q)], name="block")
    x = k.Input((WIDTH,))
    inner = block_with_branches(k, "inner")
    a, idle = dense(k, "a")(x), inner(dense(k, "idle")(x))
    return k.Model(x, k.layers.Concatenate()([dense(k, "b")(x), block([a, idle])[0]]))


def an_input_handed_through(k: Any) -> Any:
    p = k.Input((WIDTH,))
    block = k.Model(p, [p, dense(k, "d")(p)], name="block")
    x = k.Input((WIDTH,))
    same, made = block(x)
    return k.Model(x, k.layers.Concatenate()([branch(k, x, "a", "b"), branch(k, same, "c", "e"), made]))


def an_input_only_handed_through(k: Any) -> Any:
    p = k.Input((WIDTH,))
    block = k.Model(p, [p, dense(k, "d")(p)], name="block")
    q = k.Input((WIDTH,))
    outer = k.Model(q, [block(q)[0], dense(k, "e")(q)], name="outer")
    x = k.Input((WIDTH,))
    same, _ = outer(dense(k, "a")(x))
    return k.Model(x, [same, dense(k, "b")(x)])


# -- parts of models


def a_part_of_a_model(k: Any) -> Any:
    x = k.Input((WIDTH,))
    h = dense(k, "before")(x)
    a, b = dense(k, "a")(h), branch(k, h, "b0", "b1")
    y = k.layers.Add()([b, a])
    k.Model(x, y)
    return k.Model(h, [y, a])


def a_model_over_a_model(k: Any) -> Any:
    base = nested_with_several_ends(k)
    h = base.outputs[1]
    return k.Model(base.input, k.layers.Add()([dense(k, "new")(h), base.outputs[0], dense(k, "newer")(h)]))


WIRINGS: list[Callable[[Any], Any]] = [
    branches_crossed,
    branches_of_several_lengths,
    layers_made_in_another_order,
    weightless_layers_count,
    operators,
    number_minus_tensor_is_one_step,
    frozen_layers,
    shared_at_two_depths,
    shared_by_branches,
    shared_in_a_loop,
    nested_is_one_layer,
    nested_used_twice,
    nested_in_nested,
    nested_chains,
    a_chain_of_models,
    a_layer_inside_and_outside,
    a_layer_outside_and_inside,
    a_layer_of_two_models,
    inputs_crossed,
    outputs_crossed,
    nested_with_several_ends,
    one_output_needs_all_inputs,
    an_output_nobody_reads,
    what_leads_to_an_output_nobody_reads,
    an_input_handed_through,
    an_input_only_handed_through,
    a_part_of_a_model,
    a_model_over_a_model,
]


# -- random wirings


class Drawer:
    """Draws the same random graph with either library: layers and models are used again, in any order."""

    def __init__(self, k: Any, seed: int) -> None:
        self.k, self.draw = k, random.Random(seed)
        self.layers: list[Any] = []
        self.models: list[tuple[Any, int]] = []  # with their numbers of inputs
        self.count = 0

    def name(self, kind: str) -> str:
        self.count += 1
        return f"{kind}_{self.count}"

    def dense(self, x: Any) -> Any:
        if not self.layers or self.draw.random() < 0.7:
            self.layers.append(dense(self.k, self.name("d"), self.draw.random() < 0.8))
            return self.layers[-1](x)
        return self.draw.choice(self.layers)(x)

    def merge(self, tensors: list[Any]) -> Any:
        kind = self.draw.choice(["Add", "Average", "Maximum", "Minimum"])
        return getattr(self.k.layers, kind)()(tensors)

    def step(self, tensors: list[Any], nesting: int) -> list[Any]:
        """Return what a random layer, operator or model makes of some of the tensors."""
        draw, x = self.draw, self.draw.choice(tensors)
        match draw.choice("ddddddmmoaNNR" if nesting else "ddddddmmoaR"):
            case "d":
                return [self.dense(x)]
            case "m" if len(tensors) > 1:
                return [self.merge(draw.sample(tensors, draw.randint(2, min(3, len(tensors)))))]
            case "o":
                return [draw.choice([lambda: 1 - x, lambda: 0.5 * x, lambda: x - draw.choice(tensors)])()]
            case "a":
                return [self.k.layers.Activation("tanh")(x)]
            case "N" if nesting:
                self.models.append(self.model(nesting - 1))
            case _ if not self.models:
                return [self.dense(x)]
        model, n_inputs = draw.choice(self.models)
        given = [draw.choice(tensors) for _ in range(n_inputs)]
        made = model(given if n_inputs > 1 else given[0])
        made = made if isinstance(made, list) else [made]
        return draw.sample(made, draw.randint(1, len(made)))

    def model(self, nesting: int, top: bool = False) -> tuple[Any, int]:
        k, draw = self.k, self.draw
        name = self.name("model")
        if not top and draw.random() < 0.25:
            chain = [dense(k, self.name("d")) for _ in range(draw.randint(1, 3))]
            alone = [model for model, n_inputs in self.models if n_inputs == 1 and len(model.outputs) == 1]
            chain += draw.sample(alone, min(len(alone), draw.randint(0, 2)))
            return k.Sequential([k.Input((WIDTH,)), *draw.sample(chain, len(chain))], name=name), 1
        inputs = [k.Input((WIDTH,)) for _ in range(draw.randint(1, 2))]
        tensors = list(inputs)
        for _ in range(draw.randint(3, 10) if top else draw.randint(1, 5)):
            tensors += self.step(tensors, nesting)
        made = tensors[len(inputs) :]
        draw.shuffle(made)
        # What nobody reads may be left out, but every input leads somewhere.
        parts = made[: draw.randint(1, len(made))] + inputs
        draw.shuffle(parts)
        outputs = [self.merge(parts)]
        for tensor in draw.sample(made, min(len(made), draw.randint(0, 2))):
            outputs.append(k.layers.Activation("tanh")(tensor))
        if not top and draw.random() < 0.2:
            outputs.append(inputs[0])
        draw.shuffle(outputs)
        model = k.Model(
            inputs if len(inputs) > 1 else inputs[0], outputs if len(outputs) > 1 else outputs[0], name=name
        )
        return model, len(inputs)


def random_model(k: Any, seed: int) -> Any:
    return Drawer(k, seed).model(2, top=True)[0]


# -- comparisons


def named(model: Any) -> dict[str, Any]:
    """Return the layers of a model, and of models inside, that have weights, by their names."""
    found: dict[str, Any] = {}
    for layer in model.layers:
        if hasattr(layer, "layers"):
            found |= named(layer)
        elif hasattr(layer, "kernel"):
            found[layer.name] = layer
    return found


def outline(model: Any) -> list[Any]:
    """Return the names of layers with weights, the classes of others, those of models inside as lists."""
    return [
        [layer.name, *outline(layer)]
        if hasattr(layer, "layers")
        else layer.name
        if hasattr(layer, "units")
        else type(layer).__name__
        for layer in model.layers
    ]


def outputs_of(keras: Any, model: Any, x: list[np.ndarray]) -> list[np.ndarray]:
    given: Any = x if len(x) > 1 else x[0]
    made = model(given) if isinstance(model, fastnn.Model) else model(given, training=False)
    return [keras.ops.convert_to_numpy(y) for y in (made if isinstance(made, list) else [made])]


def assert_weights_go_across(keras: Any, build: Callable[[Any], Any]) -> None:
    theirs, ours = build(keras), build(fastnn)
    assert outline(ours) == outline(theirs)
    assert ours.count_params() == theirs.count_params()
    draw = np.random.default_rng(3)
    x = [draw.standard_normal((5, WIDTH)).astype(np.float32) for _ in ours.inputs]
    for source, target in ((theirs, ours), (ours, theirs)):
        source.set_weights([draw.normal(0, 0.7, w.shape).astype(np.float32) for w in source.get_weights()])
        target.set_weights(source.get_weights())
        layers = named(ours)
        for name, layer in named(theirs).items():
            for a, b in zip(layer.get_weights(), layers[name].get_weights(), strict=True):
                np.testing.assert_array_equal(a, b, err_msg=name)
        for a, b in zip(outputs_of(keras, theirs, x), outputs_of(keras, ours, x), strict=True):
            np.testing.assert_allclose(b, a, **CLOSE)


@pytest.mark.parametrize("build", WIRINGS, ids=lambda build: build.__name__)
def test_weights_go_across(keras: Any, build: Callable[[Any], Any]) -> None:
    assert_weights_go_across(keras, build)


@pytest.mark.parametrize("seed", range(N_RANDOM))
def test_weights_go_across_whatever_the_wiring(keras: Any, seed: int) -> None:
    assert_weights_go_across(keras, lambda k: random_model(k, seed))


def test_the_random_wirings_are_of_every_kind() -> None:
    models = [random_model(fastnn, seed) for seed in range(N_RANDOM)]
    drawings = [model._now.drawing for model in models]
    drawn = [dict.fromkeys(node.layer for node in d.graph.nodes) for d in drawings]
    assert sum(list(names) != list(d.layers) for names, d in zip(drawn, drawings, strict=True)) >= 100
    assert sum(any(isinstance(layer, fastnn.Model) for layer in model.layers) for model in models) >= 80
    assert sum(len(names) < len(d.graph.nodes) for names, d in zip(drawn, drawings, strict=True)) >= 80
    assert sum(any(t.layer is None and t.call is not None for t in d.order) for d in drawings) >= 10
    assert sum(bool(d.idle) for d in drawings) >= 5
    assert sum(len(model.inputs) > 1 for model in models) >= 50
    assert sum(len(model.outputs) > 1 for model in models) >= 50
    assert sum(not model.trainable for model in models) >= 50
