"""Graphs and data that cannot be: an error of fastnn that says where and what to do, and nothing changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import Input, Model, Sequential, layers
from fastnn.compiler.verify import verify_plan
from fastnn.errors import ConfigurationError, DTypeError, FastnnError, PlanError, ShapeError

RNG = np.random.default_rng(19)
X, Z, Y = RNG.standard_normal((8, 3)), RNG.standard_normal((8, 2)), RNG.standard_normal((8, 2))
a, b = Input((3,), name="a"), Input((2,), name="b")


def dense(name: str = "d", units: int = 2) -> layers.Dense:
    return layers.Dense(units, name=name)


def one() -> Model:
    return Model(a, dense()(a), seed=0)


def other_dtype() -> Model:
    model = one()
    return Model(a, model.get_layer("d")(a), dtype="float64")


def other_width() -> Model:
    model = one()
    return Model(b, model.get_layer("d")(b))


GRAPHS: dict[str, tuple[Callable[[], object], type[FastnnError], str]] = {
    "no outputs": (lambda: Model(a, []), DTypeError, "outputs must be at least one symbolic tensor"),
    "outputs forgotten": (lambda: Model(a), DTypeError, "outputs must be symbolic tensors.* got None"),
    "inputs forgotten": (
        lambda: Model(outputs=dense()(a)),
        DTypeError,
        "inputs must be symbolic tensors.* got None",
    ),
    "nothing": (lambda: Model(), ConfigurationError, "a Model needs inputs and outputs.* use Sequential"),
    "an array as input": (lambda: Model(X, dense()(a)), DTypeError, r"got an array of shape \(8, 3\)"),
    "unused input": (
        lambda: Model([a, b], dense()(a)),
        ConfigurationError,
        "input 'b' leads to no output; connect it",
    ),
    "unused input without a name": (
        lambda: Model([a, Input((1,))], dense()(a)),
        ConfigurationError,
        "input 1 leads to no output",
    ),
    "unknown input": (
        lambda: Model(b, dense()(layers.Concatenate()([a, b]))),
        ConfigurationError,
        "depends on the input 'a', which is not among the model's inputs; add it to inputs=",
    ),
    "an input twice": (
        lambda: Model([a, a], dense()(a)),
        ConfigurationError,
        "input 'a'> stands twice among the inputs",
    ),
    "an output twice": (
        lambda: Model(a, [h := dense()(a), h]),
        ConfigurationError,
        "'d'> stands twice among the outputs; name",
    ),
    "two layers of one name": (
        lambda: Model(a, dense()(dense()(a))),
        ConfigurationError,
        "two layers.* are named 'd'; give one",
    ),
    "a layer with an input's name": (
        lambda: Model(a, dense("a")(a)),
        ConfigurationError,
        "two layers, or an input and a layer, are named",
    ),
    "two inputs of one name": (
        lambda: Model([a, c := Input((3,), name="a")], layers.Add()([a, c])),
        ConfigurationError,
        "are named 'a'; give one another name=",
    ),
    "101 ends": (
        lambda: Model([many := [Input((1,)) for _ in range(101)]][0], layers.Add()(many)),
        ConfigurationError,
        "at most 100 inputs and outputs",
    ),
    "other widths": (
        lambda: layers.Add(name="sum")([a, b]),
        ShapeError,
        r"'sum' merges tensors.* \[3, 2\]; bring them",
    ),
    "a merge of one": (
        lambda: layers.Multiply()(a),
        ShapeError,
        "'multiply' takes at least 2 tensors, got 1",
    ),
    "a merge of none": (lambda: layers.Add(name="sum")([]), DTypeError, "layer 'sum' must be at least one"),
    "three to subtract": (lambda: layers.Subtract()([a] * 3), ShapeError, "'subtract' subtracts one.* got 3"),
    "two for a dense layer": (lambda: dense()([a, b]), ShapeError, "layer 'd' takes 1 tensor, got 2"),
    "an array for a layer": (
        lambda: dense()(X[None]),
        ShapeError,
        r"the input of layer 'd' must be \(rows, features\), got shape \(1, 8, 3\)",
    ),
    "an array among tensors": (lambda: layers.Add()([a, X]), DTypeError, r"got an array of shape \(8, 3\)"),
    "None for a layer": (lambda: dense()(None), DTypeError, "the inputs of layer 'd' must be.* got None"),
    "a dict for a layer": (lambda: dense()({"a": a}), DTypeError, "the inputs of layer 'd' must be"),
    "a width of nothing": (lambda: Input((0,)), ConfigurationError, "Input shape must be at least 1, got 0"),
    "an input of no shape": (lambda: Input(()), ShapeError, "must be one number of features"),
    "no units": (lambda: dense(units=0), ConfigurationError, "units must be at least 1, got 0"),
    "two widths in a model": (
        lambda: Model([a, b], layers.Add()([(d := dense())(a), d(b)])),
        ShapeError,
        r"layer 'd' is used on widths \[3\] and \[2\]",
    ),
    "two widths in two models": (
        other_width,
        ShapeError,
        r"layer 'd' has a kernel of shape \(3, 2\) from another model and needs \(2, 2\)",
    ),
    "two dtypes": (
        other_dtype,
        ConfigurationError,
        "layer 'd' belongs to a model of dtype float32, .* float64; use one",
    ),
    "a chain of a merge": (
        lambda: Sequential([a, layers.Add()]),
        ConfigurationError,
        "Add joins several tensors.* use fastnn.Model",
    ),
    "a chain of a model of two inputs": (
        lambda: Sequential([a, Model([a, b], layers.Concatenate()([a, b]), name="m")]),
        ShapeError,
        r"model 'm' takes tensors of widths \[3, 2\], got \[3\]",
    ),
    "a chain that begins in a graph": (
        lambda: Sequential([dense()(a)]),
        ConfigurationError,
        "a Sequential begins with an Input",
    ),
    "a model on other widths": (
        lambda: one()(b),
        ShapeError,
        r"'model' takes tensors of widths \[3\], got \[2\]",
    ),
    "a model on too many": (lambda: one()([a, a]), ShapeError, r"widths \[3\], got \[3, 3\]"),
    "a model on an array and a tensor": (
        lambda: Model([a, b], layers.Concatenate()([a, b]))([a, Z]),
        DTypeError,
        "got an array of shape",
    ),
    "a model without a width": (
        lambda: Sequential(name="s")(a),
        ConfigurationError,
        "the model has no layers; add some",
    ),
    "a name with a slash": (lambda: Model(a, dense()(a), name="m/n"), ConfigurationError, "without '/'"),
    "a name with a colon": (lambda: dense("d:1"), ConfigurationError, "without '/' and ':', got 'd:1'"),
    "a name that is none": (lambda: Sequential(name=5), ConfigurationError, "a name must be.* got 5"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("case", GRAPHS)
def test_graphs_that_cannot_be(case: str) -> None:
    make, error, message = GRAPHS[case]
    with pytest.raises(error, match=message):
        make()


def test_a_graph_that_cannot_be_leaves_the_models_of_its_layers_as_they_were() -> None:
    model = one()
    model.compile("adam", "mse")
    model.train_on_batch(X, Y)
    twin = one()
    twin.set_weights(model.get_weights())
    layer, store = model.get_layer("d"), model._now.store
    for make in (
        lambda: Model(b, layer(b)),
        lambda: Model(a, layer(a), dtype="float64"),
        lambda: Model(a, dense()(layers.Dense(3)(layer(a)))),
        lambda: Model([a, b], layer(a)),
        lambda: Sequential([b, layer]),
    ):
        with pytest.raises(FastnnError):
            make()
        assert model._now.store is layer._store is store
        assert layer.name == "d"
        assert model.predict(X).tobytes() == twin.predict(X).tobytes()
        assert layer.get_weights()[0].tobytes() == twin.get_weights()[0].tobytes()
    model.fit(X, Y, verbose=0)
    assert model.get_weights()[0].tobytes() == layer.kernel.tobytes()


def test_a_chain_that_cannot_be_built_gives_back_the_layers_of_others() -> None:
    model = one()
    layer, weights = model.get_layer("d"), model.get_weights()
    chain = Sequential([layer, layers.Dense(4)])
    chain.compile("sgd", "mse")
    with pytest.raises(ShapeError, match="y has 7 rows but x has 8"):
        chain.fit(X, np.zeros((7, 4)), verbose=0)
    assert not chain.built
    assert layer.get_weights()[0].tobytes() == weights[0].tobytes()
    chain.fit(X, np.zeros((8, 4)), verbose=0)
    assert model.get_weights()[0].tobytes() == layer.kernel.tobytes() != weights[0].tobytes()
    Model(a, layers.Dense(9)(layer(a)))  # all move again
    assert model.get_weights()[0].tobytes() == chain.get_weights()[0].tobytes() == layer.kernel.tobytes()


# -- data


@pytest.fixture
def model() -> Model:
    h = layers.Dense(4, "tanh", name="h")(layers.Concatenate()([a, b]))
    model = Model([a, b], [layers.Dense(2, name="u")(h), layers.Dense(2, name="v")(a)], seed=0)
    model.compile("adam", "mse", metrics={"u": "mse"})
    model.train_on_batch([X, Z], [Y, Y])
    model.forward([X, Z])
    return model


GOOD: Any = [X, Z], [Y, Y]
CALLS: dict[str, tuple[Callable[[Model], object], type[FastnnError], str]] = {
    "x for one": (
        lambda m: m.predict(X),
        ShapeError,
        "x must be a list with one entry for each of a, b, or a",
    ),
    "x of three": (lambda m: m.predict([X, Z, Z]), ShapeError, "for each of a, b, or a dict; got 3"),
    "x lacks a key": (
        lambda m: m.predict({"a": X}),
        ShapeError,
        r"x must have the keys \['a', 'b'\], got \['a'\]",
    ),
    "x has another key": (lambda m: m.fit({"a": X, "c": Z}, GOOD[1]), ShapeError, "got .'a', 'c'.$"),
    "rows of x": (
        lambda m: m.predict([X, Z[:4]]),
        ShapeError,
        r"x\['b'\] has 4 rows but the inputs .* have 8",
    ),
    "order of x": (lambda m: m.fit([Z, X], GOOD[1]), ShapeError, r"x\['a'\] must have shape \(rows, 3\)"),
    "x is one array": (lambda m: m.predict(np.zeros((2, 8, 3))), ShapeError, "or a dict; got ndarray"),
    "None": (lambda m: m.predict([X, None]), DTypeError, r"x\['b'\] is None; give an array"),
    "tensors to predict": (
        lambda m: m.predict([a, b]),
        DTypeError,
        r"x\['a'\].* a symbolic tensor has no values",
    ),
    "tensors to fit": (
        lambda m: m.fit(GOOD[0], m.outputs),
        DTypeError,
        r"y\['u'\].* a symbolic tensor has no",
    ),
    "a tensor to fit": (lambda m: m.fit(a, GOOD[1]), ShapeError, "or a dict; got SymbolicTensor"),
    "y for one": (
        lambda m: m.fit(GOOD[0], Y),
        ShapeError,
        "y must be a list with one entry for each of u, v",
    ),
    "y lacks a key": (lambda m: m.fit(GOOD[0], {"u": Y}), ShapeError, r"y must have the keys \['u', 'v'\]"),
    "rows of y": (lambda m: m.evaluate(GOOD[0], [Y, Y[:3]]), ShapeError, r"y\['v'\] has 3 rows but x has 8"),
    "width of y": (
        lambda m: m.train_on_batch(GOOD[0], [Y, X]),
        ShapeError,
        r"y\['v'\] must have shape \(rows, 2\)",
    ),
    "validation": (
        lambda m: m.fit(*GOOD, validation_data=([X, Z], [Y])),
        ShapeError,
        "in validation_data: y must be a list",
    ),
    "weights by output": (
        lambda m: m.fit(*GOOD, sample_weight={"u": Y}),
        DTypeError,
        "sample_weight is a dict; expected an array of numbers",
    ),
    "classes": (lambda m: m.fit(*GOOD, class_weight={0: 1.0}), ConfigurationError, "models with one output"),
    "losses too few": (
        lambda m: m.compile("sgd", ["mse"]),
        ShapeError,
        "loss must be a list with one entry for",
    ),
    "losses by other names": (
        lambda m: m.compile("sgd", {"u": "mse", "w": "mse"}),
        ShapeError,
        "got .'u', 'w'.",
    ),
    "a loss is none": (
        lambda m: m.compile("sgd", ["mse", 3]),
        DTypeError,
        "a loss is a name, a Loss or a function",
    ),
    "shares too few": (
        lambda m: m.compile("sgd", "mse", None, [1]),
        ShapeError,
        "loss_weights must be a list",
    ),
    "a share for all": (lambda m: m.compile("sgd", "mse", None, 2.0), ShapeError, "or a dict; got float"),
    "negative share": (
        lambda m: m.compile("sgd", "mse", None, [1, -1]),
        ConfigurationError,
        "a loss weight must",
    ),
    "metrics too few": (
        lambda m: m.compile("sgd", "mse", ["mse"]),
        ConfigurationError,
        r"of the outputs \['u', 'v'\]",
    ),
    "metrics by other names": (
        lambda m: m.compile("sgd", "mse", {"w": "mse"}),
        ConfigurationError,
        r"key 'w'; the outputs are \['u', 'v'\]",
    ),
    "unknown metric": (
        lambda m: m.compile("sgd", "mse", ["mse", "mze"]),
        ConfigurationError,
        "unknown metric 'mze'",
    ),
    "upstream for one": (
        lambda m: m.backward(Y),
        ShapeError,
        "upstream must be a list with one entry for each of u",
    ),
    "rows of upstream": (
        lambda m: m.backward([Y[:3], Y]),
        ShapeError,
        r"upstream\['u'\] has 3 rows but x has 8",
    ),
    "unknown tensor": (
        lambda m: m.backward(wrt=["hh"]),
        ConfigurationError,
        "unknown tensor 'hh'; did you mean 'h'",
    ),
    "another's layer": (lambda m: m.backward(wrt=dense("w")), ConfigurationError, "unknown tensor 'w'"),
    "weights too few": (
        lambda m: m.set_weights(m.get_weights()[:-1]),
        ShapeError,
        r"expected 6 arrays \(h/kernel",
    ),
    "weights of another shape": (
        lambda m: m.set_weights([w.T for w in m.get_weights()]),
        ShapeError,
        r"h/kernel must have shape \(5, 4\)",
    ),
    "trainable": (lambda m: setattr(m, "trainable", 1), DTypeError, "trainable must be True or False, got 1"),
    "no such layer": (lambda m: m.get_layer("w"), ConfigurationError, "no layer is named 'w'; there are"),
}


@pytest.mark.parametrize("case", CALLS)
def test_calls_that_cannot_be(case: str, model: Model, refused: Any) -> None:
    call, error, message = CALLS[case]
    with refused(model, error, match=message):
        call(model)
    assert len(model.train_on_batch(*GOOD)) == 4  # and goes on


def test_a_compile_that_fails_freezes_nothing(model: Model) -> None:
    model.get_layer("h").trainable = False
    with pytest.raises(ConfigurationError, match="key 'w'"):
        model.compile("sgd", "mse", metrics={"w": "mse"})
    assert "h/kernel" in model.loss_and_gradients(*GOOD)[1]
    model.compile("sgd", "mse")
    assert "h/kernel" not in model.loss_and_gradients(*GOOD)[1]


def test_plans_in_which_two_arrays_have_one_name_do_not_run() -> None:
    plan = fastnn.Sequential([a, dense()]).plan(4, "predict")
    twice = dataclasses.replace(plan, externals=(plan.externals[0], plan.externals[0]))
    with pytest.raises(PlanError, match="two arrays of the caller have one name"):
        verify_plan(twice)
