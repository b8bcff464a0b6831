"""The same functional scripts with Keras 3 (on PyTorch) and with fastnn as `keras`: the same numbers.

Both start from the same weights and see the rows in the same order, in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn

# Keras hands its variables to NumPy in a way that NumPy 2 warns about; that is not ours to fix.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CLOSE = {"rtol": 1e-5, "atol": 1e-6}
TRAINED = {"rtol": 1e-5, "atol": 1e-5}
RNG = np.random.default_rng(37)
A = RNG.standard_normal((48, 4)).astype(np.float32)
B = RNG.standard_normal((48, 3)).astype(np.float32)
SCORES = np.tanh(A @ RNG.standard_normal((4, 2)) + B[:, :1]).astype(np.float32)
LABELS = RNG.integers(0, 3, 48)
NEAR = (RNG.random((48, 1)) > 0.5).astype(np.float32)


def residual(k: Any) -> Any:
    x = k.Input((4,), name="x")
    h = k.layers.Dense(6, activation="tanh")(x)
    for _ in range(2):
        inside = k.layers.Dense(6)(k.layers.Dense(5, activation="relu")(h))
        h = k.layers.Activation("relu")(k.layers.Add()([h, inside]))
    return k.Model(x, k.layers.Dense(2, kernel_regularizer=k.regularizers.L2(0.01))(h))


def two_inputs(k: Any) -> Any:
    a, b = k.Input((4,), name="a"), k.Input((3,), name="b")
    joined = k.layers.Concatenate()([k.layers.Dense(5, activation="relu")(a), b, a])
    merged = k.layers.Multiply()([k.layers.Dense(4, activation="sigmoid")(joined), a])
    return k.Model([a, b], k.layers.Dense(2)(merged))


def two_outputs(k: Any) -> Any:
    a, b = k.Input((4,), name="a"), k.Input((3,), name="b")
    h = k.layers.Dense(6, activation="tanh", name="h")(k.layers.Concatenate()([a, b]))
    scores = k.layers.Dense(2, name="scores")(h)
    classes = k.layers.Dense(3, activation="softmax", name="classes")(k.layers.Concatenate()([h, scores]))
    return k.Model([a, b], [scores, classes])


def siamese(k: Any) -> Any:
    left, right = k.Input((4,), name="left"), k.Input((4,), name="right")
    hidden, last = k.layers.Dense(5, activation="tanh"), k.layers.Dense(3)
    one, other = (last(hidden(tensor)) for tensor in (left, right))
    far = k.layers.Subtract()([one, other])
    merged = k.layers.Concatenate()(
        [
            k.layers.Multiply()([far, far]),
            k.layers.Maximum()([one, other]),
            k.layers.Minimum()([one, other]),
            k.layers.Average()([one, other, far]),
        ]
    )
    return k.Model([left, right], k.layers.Dense(1, activation="sigmoid")(merged))


def nested(k: Any) -> Any:
    inner = k.Input((4,))
    block = k.Model(inner, k.layers.Dense(4, activation="tanh")(k.layers.Dense(7, activation="elu")(inner)))
    chain = k.Sequential([k.Input((4,)), block, k.layers.Dense(4)])
    x = k.Input((4,), name="x")
    return k.Model(x, k.layers.Dense(2)(k.layers.Add()([block(x), chain(x), x])))


CE = "sparse_categorical_crossentropy"
# The script, what compile takes, x and y.
SCRIPTS: dict[str, tuple[Callable[[Any], Any], dict[str, Any], Any, Any]] = {
    "residual": (residual, {"loss": "mse", "metrics": ["mse"]}, A, SCORES),
    "two inputs": (two_inputs, {"loss": "mse"}, [A, B], SCORES),
    "inputs by name": (two_inputs, {"loss": "mse"}, {"b": B, "a": A}, SCORES),
    "two outputs": (
        two_outputs,
        {"loss": ["mse", CE], "loss_weights": [0.5, 2.0], "metrics": [["mse"], ["accuracy"]]},
        [A, B],
        [SCORES, LABELS],
    ),
    "outputs by name": (
        two_outputs,
        {
            "loss": {"scores": "mse", "classes": CE},
            "loss_weights": {"scores": 0.5, "classes": 2.0},
            "metrics": {"classes": ["accuracy"]},
        },
        {"a": A, "b": B},
        {"scores": SCORES, "classes": LABELS},
    ),
    "no weights of losses": (two_outputs, {"loss": ["mse", CE]}, [A, B], [SCORES, LABELS]),
    "siamese": (siamese, {"loss": "binary_crossentropy", "metrics": ["accuracy"]}, [A, A[::-1].copy()], NEAR),
    "nested": (nested, {"loss": "mse"}, A, SCORES),
}
OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "SGD": lambda k: k.optimizers.SGD(0.05),
    "Adam": lambda k: k.optimizers.Adam(0.01, epsilon=1e-4),
}


def pair(keras: Any, script: str, optimizer: str) -> tuple[Any, Any]:
    """Return the two models, compiled, with the same weights."""
    build, options, *_ = SCRIPTS[script]
    theirs, ours = build(keras), build(fastnn)
    assert [w.shape for w in ours.get_weights()] == [w.shape for w in theirs.get_weights()]
    draw = np.random.default_rng(5)
    weights = [draw.normal(0, 0.4, w.shape).astype(np.float32) for w in ours.get_weights()]
    for k, model in ((keras, theirs), (fastnn, ours)):
        model.set_weights(weights)
        model.compile(optimizer=OPTIMIZERS[optimizer](k), **options)
    return theirs, ours


def assert_same_predictions(theirs: Any, ours: Any, x: Any, close: dict[str, float]) -> None:
    expected, found = theirs.predict(x, verbose=0), ours.predict(x, verbose=0)
    assert isinstance(found, list) == isinstance(expected, list)
    for y, t in zip(*((v if isinstance(v, list) else [v]) for v in (found, expected)), strict=True):
        np.testing.assert_allclose(y, t, **close)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("script", SCRIPTS)
def test_functional_scripts_train_as_in_keras(keras: Any, script: str, optimizer: str) -> None:
    *_, x, y = SCRIPTS[script]
    theirs, ours = pair(keras, script, optimizer)
    assert_same_predictions(theirs, ours, x, CLOSE)
    for as_dict in (True, False):
        expected = theirs.evaluate(x, y, batch_size=16, verbose=0, return_dict=as_dict)
        found = ours.evaluate(x, y, batch_size=16, verbose=0, return_dict=as_dict)
        if as_dict:
            assert set(found) == set(expected)
            found, expected = ([values[name] for name in expected] for values in (found, expected))
        np.testing.assert_allclose(found, expected, **CLOSE)
    options = {"batch_size": 16, "epochs": 4, "shuffle": False, "verbose": 0}
    data = {"validation_split": 0.25} if isinstance(x, np.ndarray) else {}
    expected, found = theirs.fit(x, y, **options, **data).history, ours.fit(x, y, **options, **data).history
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, err_msg=name, **TRAINED)
    for a, b in zip(theirs.get_weights(), ours.get_weights(), strict=True):
        np.testing.assert_allclose(b, a, **TRAINED)
    assert_same_predictions(theirs, ours, x, TRAINED)


def test_a_part_of_a_trained_model(keras: Any) -> None:
    found = []
    draw = np.random.default_rng(6)
    for k in (keras, fastnn):
        model = two_outputs(k)
        if not found:
            weights = [draw.normal(0, 0.4, w.shape).astype(np.float32) for w in model.get_weights()]
        model.set_weights(weights)
        part = k.Model(model.inputs, model.get_layer("h").output)
        before = part.predict([A, B], verbose=0)
        model.get_layer("scores").trainable = False
        model.compile(optimizer=k.optimizers.SGD(0.1), loss=["mse", CE])
        model.fit([A, B], [SCORES, LABELS], batch_size=16, epochs=2, shuffle=False, verbose=0)
        step = model.train_on_batch([A, B], [SCORES, LABELS])
        found.append([before, part.predict([A, B], verbose=0), model.get_layer("scores").get_weights()[0]])
        found[-1].append(np.atleast_1d(step)[0])
    assert np.abs(found[0][0] - found[0][1]).max() > 1e-3
    for theirs, ours in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, **TRAINED)


@pytest.mark.parametrize("merge", [False, True])
def test_a_layer_shows_what_its_first_call_made(keras: Any, merge: bool) -> None:
    for k in (keras, fastnn):
        a, b = k.Input((3,)), k.Input((3,))
        layer = k.layers.Add() if merge else k.layers.Dense(2)
        first = layer([a, b] if merge else a)
        layer([b, a] if merge else b)
        assert layer.output is first
        given = layer.input if merge else [layer.input]
        assert all(one is other for one, other in zip(given, [a, b], strict=False))
