"""Models that are compiled without a loss, and outputs that have none or are named by dicts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers, optimizers
from fastnn.errors import ConfigurationError, DTypeError, ShapeError

RNG = np.random.default_rng(13)
X = RNG.normal(0, 1, (12, 3)).astype(np.float32)
Y = RNG.normal(0, 1, (12, 2)).astype(np.float32)


def net(loss: Any = None, **options: Any) -> fastnn.Sequential:
    parts = [layers.Dense(4, "tanh", kernel_regularizer="l2"), layers.Dense(2)]
    model = fastnn.Sequential([fastnn.Input((3,)), *parts], seed=1)
    model.compile(optimizers.Adam(0.01, epsilon=1e-2), loss, **options)
    return model


@pytest.mark.parametrize("built", [True, False])
@pytest.mark.parametrize("loss", [None, [None], {"out": None}])
def test_what_needs_a_loss_says_so(loss: Any, built: bool, refused: Any) -> None:
    model = fastnn.Sequential([fastnn.Input((3,))] * built + [layers.Dense(2, name="out")], seed=0)
    model.compile("adam", loss)
    for call in (
        lambda: model.fit(X, Y),
        lambda: model.train_on_batch(X, Y),
        lambda: model.loss_and_gradients(X, Y),
        lambda: fastnn.gradcheck(model, X, Y),
        lambda: model.profile(X, Y),
        lambda: optimizers.minimize_lbfgs(model, X, Y),
    ):
        with refused(model, ConfigurationError, match="the model has no loss; compile it with one"):
            call()


def test_steps_are_made_by_gradients() -> None:
    ours, theirs = net(), net("mse")
    for _ in range(5):
        gradients = theirs.loss_and_gradients(X, Y)[1]
        ours.apply_gradients(gradients)
        theirs.apply_gradients(gradients)
        error = ours.forward(X) - Y
        ours.apply_gradients(ours.backward(error))
        theirs.forward(X)
        theirs.apply_gradients(theirs.backward(error))
    assert all(np.array_equal(a, b) for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True))
    assert ours.optimizer.iterations == 10
    with pytest.raises(ConfigurationError, match="the model has no loss, which 'train' needs"):
        ours.plan()


def test_metrics_alone_are_evaluated() -> None:
    ours, theirs = net(metrics=["mae", "mse"]), net("mse", metrics=["mae", "mse"])
    found, wanted = ours.evaluate(X, Y, return_dict=True), theirs.evaluate(X, Y, return_dict=True)
    assert list(found) == ["mae", "mse"]
    assert found["mae"] == pytest.approx(wanted["mae"])
    assert ours.evaluate(X, Y) == list(found.values())
    assert ours.test_on_batch(X, Y, return_dict=True) == pytest.approx(found)
    one = net(metrics=["mae"])
    assert one.evaluate(X, Y, batch_size=5) == pytest.approx(found["mae"])
    with pytest.raises(ConfigurationError, match="no loss and no metrics, so there is nothing to evaluate"):
        net().evaluate(X, Y)


def test_it_is_saved_so(tmp_path: Path) -> None:
    model = net(metrics=["mae"])
    model.apply_gradients([np.ones_like(w) for w in model.get_weights()])
    model.save(tmp_path / "model")
    again = fastnn.load_model(tmp_path / "model")
    assert again.optimizer.iterations == 1
    assert again.evaluate(X, Y) == model.evaluate(X, Y)
    again.compile("sgd", "mse")
    again.fit(X, Y, verbose=0)


def two(loss: Any, **options: Any) -> fastnn.Model:
    x = fastnn.Input((3,))
    ends = {"mean": layers.Dense(2, name="first")(x), "scale": layers.Dense(2, name="second")(x)}
    model = fastnn.Model(x, ends, seed=0)
    model.compile("sgd", loss, **options)
    return model


def test_an_output_may_have_none(refused: Any) -> None:
    model = two({"mean": "mse", "scale": None}, metrics={"scale": ["mae"]})
    before = model.get_layer("second").get_weights()
    history = model.fit(X, {"mean": Y, "scale": Y}, epochs=2, verbose=0).history
    assert list(history) == ["loss", "scale_mae"]  # the only loss has no other name, as in Keras
    assert all(
        np.array_equal(a, b) for a, b in zip(model.get_layer("second").get_weights(), before, strict=True)
    )
    model = two({"mean": "mse", "scale": None})
    model.fit(X, {"mean": Y, "scale": None}, verbose=0)  # nothing reads its targets
    model.fit(X, {"mean": Y}, verbose=0)
    model = two({"mean": "mse", "scale": None}, metrics={"scale": ["mae"]})
    with refused(model, (ShapeError, DTypeError), match=r"y\['scale'\]"):
        model.fit(X, {"mean": Y}, verbose=0)


def test_outputs_that_a_dict_of_losses_leaves_out_have_none() -> None:
    x = fastnn.Input((3,))
    model = fastnn.Model(x, {"a": layers.Dense(1)(x), "b": layers.Dense(1)(x)}, seed=0)
    model.compile("sgd", {"b": "mse"})
    rows, y = np.ones((8, 3)), np.ones((8, 1))
    before = model.get_weights()
    assert list(model.fit(rows, {"b": y}, verbose=0).history) == ["loss"]
    moved = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert moved == [False, False, True, True]
    assert model.evaluate(rows, {"a": y, "b": y}) == model.evaluate(rows, {"b": y})
    with pytest.raises(ShapeError, match=r"y must have the keys \['a', 'b'\], got \['a'\]"):
        model.fit(rows, {"a": y}, verbose=0)
    with pytest.raises(ShapeError, match=r"loss must have the keys \['a', 'b'\], got \['c'\]"):
        model.compile("sgd", {"c": "mse"})
