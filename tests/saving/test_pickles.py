"""Models, and what they hold, pickle with every protocol, and can be copied."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import callbacks, initializers, layers, losses, metrics, optimizers, regularizers

X, Y = np.ones((8, 4)), np.zeros((8, 3))


def trained() -> fastnn.Model:
    x = fastnn.Input((4,))
    inner = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(3)])
    h = layers.Dense(3, "relu")(x)
    model = fastnn.Model(x, [inner(h), layers.Add()([h, layers.Dense(3)(h)])], seed=0)
    model.compile("adam", "mse")
    model.fit(X, [Y, Y], verbose=0)
    return model


MODEL = trained()
THINGS = {
    "model": MODEL,
    "model as a layer": MODEL.layers[1],
    "chain without a width": fastnn.Sequential([layers.Dense(2)]),
    "layer": MODEL.layers[0],
    "tensor": MODEL.outputs[0],
    "graph": MODEL.graph,
    "plan": MODEL.plan(8),
    "optimizer": MODEL.optimizer,
    "profile": MODEL.profile(X, [Y, Y]),
    "gradcheck": fastnn.gradcheck(MODEL, X, [Y, Y]),
    "history": MODEL.history,
    "early stopping": callbacks.EarlyStopping(),
    "checkpoint": callbacks.ModelCheckpoint("x"),
    "loss": losses.SquaredError("sum"),
    "metric": metrics.BinaryAccuracy(),
    "description": optimizers.Adam(),
    "initializer": initializers.HeNormal(seed=3),
    "regularizer": regularizers.L2(),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", THINGS)
def test_pickles(name: str, protocol: int) -> None:
    again = pickle.loads(pickle.dumps(THINGS[name], protocol))
    assert type(again) is type(THINGS[name])
    assert_same(name, again)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
@pytest.mark.parametrize("name", THINGS)
def test_copies(name: str, copied: Any) -> None:
    assert_same(name, copied(THINGS[name]))


def assert_same(name: str, again: Any) -> None:
    if name == "model":
        for a, b in zip(MODEL.predict(X), again.predict(X), strict=True):
            np.testing.assert_array_equal(a, b)
        assert again.optimizer.iterations == MODEL.optimizer.iterations
        again.fit(X, [Y, Y], verbose=0)
    elif name == "history":
        assert again.history == MODEL.history.history  # type: ignore[union-attr]
    elif name == "tensor":
        assert (again.columns, again.port) == (3, MODEL.outputs[0].port)
    elif name in ("plan", "loss", "metric", "description", "initializer", "regularizer", "graph"):
        assert again == THINGS[name]
