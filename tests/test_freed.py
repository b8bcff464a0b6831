"""Models that nobody has any more are freed at once, and their memory with them, without a collection."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers

X = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)


@pytest.fixture(autouse=True)
def _uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def chain() -> fastnn.Model:
    return fastnn.Sequential([fastnn.Input((4,)), layers.Dense(3, "relu"), layers.Dense(1)], seed=0)


def grown() -> fastnn.Model:
    model = fastnn.Sequential(seed=0)
    for layer in (layers.Dense(3, input_dim=4), layers.Dropout(0.1), layers.Dense(1)):
        model.add(layer)
    return model


def residual() -> fastnn.Model:
    x = fastnn.Input((4,))
    return fastnn.Model(x, layers.Dense(1)(layers.Add()([x, layers.Dense(4)(x)])), seed=0)


def used(model: fastnn.Model) -> None:
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(X, X[:, :1], verbose=0, validation_split=0.5)
    model.train_on_batch(X, X[:, :1])
    model.evaluate(X, X[:, :1])
    model.loss_and_gradients(X, X[:, :1])
    model(X[:1])


@pytest.mark.parametrize("build", [chain, grown, residual])
def test_a_model_is_freed_when_its_last_name_goes(build: Callable[[], fastnn.Model]) -> None:
    model = build()
    used(model)
    parts: list[Any] = [model, model._now.store, model._now.programs, *model.layers, *model.outputs]
    gone = [weakref.ref(part) for part in parts]
    del model, parts
    assert [reference() for reference in gone] == [None] * len(gone)


def test_a_history_keeps_its_model_and_the_model_its_numbers() -> None:
    history = chain_of_history()
    assert history.model is not None
    assert history.model.history is history
    model, wanted, params = history.model, history.history, history.params
    del history
    found = model.history
    assert found is model.history
    assert (found.history, found.epoch, found.params) == (wanted, [0, 1], params)  # type: ignore[union-attr]
    assert found.model is model  # type: ignore[union-attr]


def chain_of_history() -> fastnn.callbacks.History:
    model = chain()
    model.compile("adam", "mse")
    assert model.history is None
    return model.fit(X, X[:, :1], epochs=2, verbose=0)


def test_copies_have_histories_of_their_own() -> None:
    model = chain_of_history().model
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.history.history == model.history.history
        assert other.history.model is other
        other.history.history["loss"].append(0.0)
        assert len(model.history.history["loss"]) == 2


def test_the_output_of_a_layer_can_be_had_again() -> None:
    x = fastnn.Input((4,))
    layer = layers.Dense(3, "tanh")
    assert layer.output is None
    layer(x)  # which nobody keeps
    again = layer.output
    assert again is layer.output
    assert (again.columns, again.inputs, again.layer) == (3, (x,), layer)  # type: ignore[union-attr]
    model = fastnn.Model(x, layer.output, seed=0)
    assert model.output is layer.output
    number = model.output.number  # type: ignore[union-attr]
    del model, again
    assert layer.output.number == number  # type: ignore[union-attr]


def test_the_output_of_a_layer_used_twice_is_the_first() -> None:
    x, layer = fastnn.Input((3,)), layers.Dense(3)
    first = layer(x)
    second = layer(first)
    assert layer.output is first
    del first, second
    assert layer.output.inputs == (x,)  # type: ignore[union-attr]
