"""Models that are copied and written down, and the small changes of arrays that scripts begin with."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers, models, utils
from fastnn.errors import ConfigurationError, DTypeError


def chain() -> fastnn.Sequential:
    return models.Sequential(
        [fastnn.Input((3,)), layers.Dense(4, "relu", name="first"), layers.Dense(2)], seed=1
    )


def branched() -> fastnn.Model:
    x = fastnn.Input((3,))
    return models.Model(x, layers.Add()([layers.Dense(3)(x), x]), seed=1)


@pytest.mark.parametrize("make", [chain, branched])
@pytest.mark.parametrize(
    "again", [models.clone_model, lambda model: models.model_from_json(model.to_json(indent=1))]
)
def test_copies_share_nothing_and_compute_the_same(
    make: Callable[[], Any], again: Callable[[Any], Any]
) -> None:
    model, x = make(), np.linspace(-1, 1, 12).reshape(4, 3)
    model.set_weights([weight + 1 for weight in model.get_weights()])
    copy = again(model)
    assert type(copy) is type(model)
    assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
    assert not np.array_equal(copy.predict(x), model.predict(x))
    copy.set_weights(model.get_weights())
    assert np.array_equal(copy.predict(x), model.predict(x))
    copy.set_weights([np.zeros_like(weight) for weight in copy.get_weights()])
    assert model.get_weights()[0].any()


@pytest.mark.parametrize("make", [chain, branched, lambda: fastnn.Sequential([layers.Dense(2)], seed=1)])
def test_a_clone_is_compiled_as_the_model_is(make: Callable[[], Any]) -> None:
    model, x = make(), np.linspace(-1, 1, 12).reshape(4, 3)
    assert not models.clone_model(model).compiled
    model.compile("adam", "mse", metrics=["mae"], weighted_metrics=["mae"])
    model.optimizer.learning_rate = 0.25
    copy = models.clone_model(model)
    y = model.predict(x, verbose=0) * 0.5
    first = model.fit(x, y, epochs=3, verbose=0).history
    assert copy.optimizer.learning_rate == 0.25
    assert copy.fit(x, y, epochs=3, verbose=0).history == first
    again = models.clone_model(model)
    assert again.optimizer.iterations == 0
    decayed = make()
    decayed.compile(fastnn.optimizers.SGD(fastnn.optimizers.schedules.CosineDecay(0.5, 9)), "mse")
    assert models.clone_model(decayed).optimizer.schedule is not None


def test_a_clone_of_a_class_of_ones_own_is_a_model_of_fastnn() -> None:
    class Mine(fastnn.Sequential):
        pass

    assert type(models.clone_model(Mine([fastnn.Input((2,)), layers.Dense(1)]))) is fastnn.Sequential


@pytest.mark.parametrize(
    "text", ["{", "[" * 100_000, "[]", '{"parts": []}', '{"parts": [{"class_name": "Dense"}]}']
)
def test_what_is_no_description_is_refused(text: str) -> None:
    with pytest.raises((ConfigurationError, DTypeError)):
        models.model_from_json(text)


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(DTypeError, match="clone_model needs a model"):
        models.clone_model(layers.Dense(1))
    with pytest.raises(DTypeError, match=r"model.to_json\(\)"):
        models.model_from_json({})
    assert json.loads(chain().to_json()) == chain().get_config()


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([0, 2, 1], None),
        ([[0], [1]], 3),
        ([[0, 1], [1, 1]], None),
        (np.array([1.0, 0.0]), 2),
        (3, None),
        ([], 2),
    ],
)
def test_categories_are_those_of_keras(labels: Any, classes: int | None, peer: Callable[[str], Any]) -> None:
    expected = peer("keras").utils.to_categorical(labels, classes)
    found = utils.to_categorical(labels, classes)
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        ([0, 3], 3, "from 0 to 3, and 3 classes"),
        ([-1, 0], None, "reach from -1"),
        ([0.5], None, "whole numbers"),
        ([np.nan], None, "whole numbers"),
        (["a"], None, "number them"),
    ],
)
def test_what_is_no_label_is_refused(labels: Any, classes: int | None, message: str) -> None:
    with pytest.raises((ConfigurationError, DTypeError), match=message):
        utils.to_categorical(labels, classes)


@pytest.mark.parametrize("order", [1, 2, np.inf])
@pytest.mark.parametrize("axis", [-1, 1])  # for 0 Keras divides columns by the norms of other ones
def test_normalized_vectors_are_those_of_keras(order: float, axis: int, peer: Callable[[str], Any]) -> None:
    x = np.array([[3.0, 4.0, 0.0], [0.0, 0.0, 0.0], [1.0, -2.0, 2.0]])
    assert np.allclose(
        utils.normalize(x, axis, order), peer("keras").utils.normalize(x, axis, order), 0, 1e-15
    )
