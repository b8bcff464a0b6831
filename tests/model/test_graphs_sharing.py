"""Models that share layers: what one trains the other sees; stores that move; copies and pickles."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import Input, Model, Sequential, layers
from fastnn.callbacks import LambdaCallback
from fastnn.errors import BusyError

RNG = np.random.default_rng(18)
X = RNG.standard_normal((20, 3))
Z = RNG.standard_normal((20, 2))
U = RNG.standard_normal((20, 4))
DUPLICATES = [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))]


def weights_of(model: Model) -> bytes:
    return b"".join(w.tobytes() for w in model.get_weights())


# -- sharing


def test_a_feature_extractor_sees_the_model_train() -> None:
    model = Sequential([Input((3,)), layers.Dense(6, "tanh", name="h"), layers.Dense(2)], seed=0)
    before = Model(model.inputs, model.get_layer("h").output)
    model.compile("adam", "mse")
    model.fit(X, Z, epochs=2, verbose=0)
    after = Model(model.inputs, model.get_layer("h").output)
    kernel, bias = model.get_weights()[:2]
    for extractor in (before, after):
        np.testing.assert_allclose(extractor.predict(X), np.tanh(X @ kernel + bias), rtol=1e-5, atol=1e-6)
        assert extractor.get_layer("h") is model.layers[0]
    before.compile("sgd", "mse")
    before.fit(X, RNG.standard_normal((20, 6)), verbose=0)
    assert model.get_weights()[0].tobytes() == after.get_weights()[0].tobytes() != kernel.tobytes()
    middle = Model(model.get_layer("h").output, model.outputs[0])  # begins in the midst of the other
    np.testing.assert_allclose(middle.predict(after.predict(X)), model.predict(X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["adam", fastnn.optimizers.SGD(0.05, momentum=0.9), "rmsprop"])
def test_moving_to_another_store_changes_no_bit_of_the_training(optimizer: Any) -> None:
    def start() -> tuple[Sequential, Sequential]:
        one = Sequential([Input((3,)), layers.Dense(5, "tanh"), layers.Dense(2)], seed=0)
        other = Sequential([Input((4,)), layers.Dense(5, "tanh"), layers.Dense(2)], seed=1)
        for model, x in ((one, X), (other, U)):
            model.compile(optimizer, "mse")
            model.fit(x, Z, epochs=2, verbose=0)
        return one, other

    alone, moved = start(), start()
    # A third model over layers of both, in another order, and larger: both must move.
    x = Input((5,))
    joined = Model(
        x, [moved[1].layers[1](layers.Dense(5)(x)), moved[0].layers[1](layers.Dense(5, name="wide")(x))]
    )
    assert moved[0]._now.store is moved[1]._now.store is joined._now.store
    assert [weights_of(m) for m in moved] == [weights_of(m) for m in alone]
    for ours, theirs, x in zip(moved, alone, (X, U), strict=True):
        found = [m.fit(x, Z, epochs=3, batch_size=6, verbose=0).history for m in (ours, theirs)]
        assert found[0] == found[1]
    assert [weights_of(m) for m in moved] == [weights_of(m) for m in alone]
    assert joined.get_weights()[4].tobytes() == moved[1].get_weights()[2].tobytes()
    for dense in (moved[0].layers[0], moved[1].layers[1], joined.get_layer("wide")):
        assert dense._store is joined._now.store


def test_two_models_that_share_layers_train_in_turn() -> None:
    def pair(reference: bool) -> tuple[list[float], list[np.ndarray]]:
        x = Input((3,))
        h = layers.Dense(5, "tanh", name="base")(x)
        first = Model(x, layers.Dense(2)(h), dtype="float64", seed=0)
        first.compile("adam", "mse", reference=reference)
        losses = [first.fit(X, Z, verbose=0, shuffle=False).history["loss"][0]]
        second = Model(x, layers.Dense(4)(h), dtype="float64", seed=1)  # the first one moves
        second.compile("adam", "mse", reference=reference)
        for _ in range(3):
            losses += second.fit(X, U, verbose=0, shuffle=False, batch_size=7).history["loss"]
            losses += [first.train_on_batch(X, Z)]  # type: ignore[list-item]
        assert first.get_weights()[0].tobytes() == second.get_weights()[0].tobytes()
        assert first.optimizer.iterations == 4
        return losses, first.get_weights() + second.get_weights()

    (losses, weights), (expected, exact_weights) = pair(False), pair(True)
    np.testing.assert_allclose(losses, expected, rtol=1e-9)
    for ours, theirs in zip(weights, exact_weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-9)


def test_layers_that_nobody_has_any_more_leave_no_weights_behind() -> None:
    base = Sequential([Input((3,)), layers.Dense(5, name="base")], seed=0)
    sizes = []
    for _ in range(5):
        head = Model(base.inputs, layers.Dense(1000)(base.get_layer("base").output))
        sizes.append(head._now.store.array.size)
        gone = weakref.ref(head.layers[-1])
        del head
        gc.collect()
        assert gone() is None
    assert len(set(sizes)) == 1
    kept = layers.Dense(1000, name="kept")
    Model(base.inputs, kept(base.get_layer("base").output))
    weights = [w.tobytes() for w in kept.get_weights()]
    gc.collect()
    again = Model(base.inputs, [layers.Dense(7)(base.get_layer("base").output), kept.output])
    assert [w.tobytes() for w in again.get_layer("kept").get_weights()] == weights


def test_a_model_is_not_moved_while_it_trains() -> None:
    model = Sequential([Input((3,)), layers.Dense(5, name="base"), layers.Dense(2)], seed=0)
    model.compile("sgd", "mse")
    made: list[Model] = []

    def look(epoch: int, logs: Any) -> None:
        made.append(Model(model.inputs, model.get_layer("base").output))  # needs no other store
        with pytest.raises(BusyError, match="make the new model before or after"):
            Model(model.inputs, layers.Dense(1)(model.get_layer("base").output))
        model.set_weights(model.get_weights())

    model.fit(X, Z, epochs=2, verbose=0, callbacks=[LambdaCallback(on_epoch_end=look)])
    assert len(made) == 2
    assert made[0].get_weights()[0].tobytes() == model.get_weights()[0].tobytes()
    Model(model.inputs, layers.Dense(1)(model.get_layer("base").output))


def test_freezing_layers_and_models() -> None:
    base = Sequential([Input((3,)), layers.Dense(4, "tanh"), Sequential([Input((4,)), layers.Dense(4)])])
    x = Input((3,))
    model = Model(x, layers.Dense(2, name="head")(base(x)), seed=0)
    assert base.trainable
    assert model.trainable
    base.trainable = False
    assert not model.trainable
    assert [layer.trainable for layer in base.layers] == [False, False]
    model.compile("adam", "mse")
    before = model.get_weights()
    assert set(model.loss_and_gradients(X, Z)[1]) == {"head/kernel", "head/bias"}
    model.fit(X, Z, epochs=2, verbose=0)
    same = [a.tobytes() == b.tobytes() for a, b in zip(before, model.get_weights(), strict=True)]
    assert same == [True, True, True, True, False, False]
    base.trainable = True
    model.fit(X, Z, verbose=0)  # counts from the next compile
    assert model.get_weights()[0].tobytes() == before[0].tobytes()
    model.compile("adam", "mse")
    model.fit(X, Z, verbose=0)
    assert model.get_weights()[0].tobytes() != before[0].tobytes()


# -- copies


@pytest.mark.parametrize("duplicate", DUPLICATES)
def test_copies_of_models_that_share_share_with_each_other_only(duplicate: Callable[[Any], Any]) -> None:
    x = Input((3,))
    h = layers.Dense(5, "tanh", name="base")(x)
    first, second = (Model(x, layers.Dense(2)(h), dtype="float64", seed=seed) for seed in (0, 1))
    for model in (first, second):
        model.compile("adam", "mse")
        model.fit(X, Z, verbose=0)
    weights, other = weights_of(first), weights_of(second)
    alone = duplicate(first)
    pair = duplicate([first, second])
    assert pair[0].get_layer("base") is pair[1].get_layer("base") is not first.get_layer("base")
    assert pair[0]._now.store is pair[1]._now.store is not alone._now.store
    assert [weights_of(m) for m in (alone, *pair)] == [weights, weights, other]
    expected = first.fit(X, Z, epochs=2, verbose=0).history
    assert alone.fit(X, Z, epochs=2, verbose=0).history == expected
    assert weights_of(pair[0]) == weights
    assert pair[0].fit(X, Z, epochs=2, verbose=0).history == expected
    assert weights_of(alone) == weights_of(pair[0]) == weights_of(first)
    assert pair[1].get_weights()[0].tobytes() == first.get_weights()[0].tobytes()
    extractor = Model(pair[0].inputs, pair[0].get_layer("base").output, dtype="float64")
    wider = Model(pair[0].inputs, layers.Dense(9)(pair[1].get_layer("base").output), dtype="float64")
    np.testing.assert_allclose(np.tanh(X @ extractor.get_weights()[0] + extractor.get_weights()[1]),
                               extractor.predict(X), rtol=1e-12)  # fmt: skip
    assert wider.get_weights()[0].tobytes() == pair[1].get_weights()[0].tobytes()
    assert duplicate(first.get_layer("base")).get_weights()[0].tobytes() == first.get_weights()[0].tobytes()


@pytest.mark.parametrize("duplicate", DUPLICATES)
def test_copies_of_nested_models_and_of_parts_of_deep_ones(duplicate: Callable[[Any], Any]) -> None:
    inner = Sequential([Input((3,)), layers.Dense(3, "tanh", name="d")], name="inner", seed=0)
    x = Input((3,))
    model = Model(x, inner(inner(x)), seed=0)
    twin = duplicate(model)
    assert twin.predict(X).tobytes() == model.predict(X).tobytes()
    twin.get_layer("inner").set_weights([np.zeros((3, 3)), np.zeros(3)])
    assert not twin.predict(X).any()
    assert model.predict(X).any()
    # The second half of a deep net, first built as a model of its own.
    middle = x = Input((2,))
    for number in range(500):
        middle = layers.Dense(2, name=f"a{number}")(middle)
    y = middle
    for number in range(500):
        y = layers.Dense(2, name=f"b{number}")(y)
    half, whole = Model(middle, y, seed=1), Model(x, y, seed=1)
    half, whole = duplicate((half, whole))
    half, whole = duplicate(half), duplicate(whole)
    assert half.predict(Z).shape == whole.predict(Z).shape == (20, 2)
