"""Weights that change from outside: by gradients of a loop of one's own, another model, a vector."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cases import DTYPES, OPTIMIZERS, pairwise

import fastnn
from fastnn import constraints, layers, optimizers
from fastnn.errors import (
    ConfigurationError,
    DataError,
    DTypeError,
    NonFiniteWarning,
    ShapeError,
    TrainingWarning,
)
from fastnn.run.program import Program

RNG = np.random.default_rng(7)
X = RNG.normal(0, 1, (12, 3)).astype(np.float32)
Y = RNG.normal(0, 1, (12, 2)).astype(np.float32)
MORE = OPTIMIZERS | {
    "lamb": optimizers.Lamb(0.01, weight_decay=0.1),
    "ema": optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=3),
    "sums": optimizers.Adam(0.01, epsilon=1e-2, gradient_accumulation_steps=2, clipvalue=0.05),
    "sums and norm": optimizers.SGD(0.1, gradient_accumulation_steps=2, global_clipnorm=0.05),
    "rates": optimizers.SGD(0.1, momentum=0.5, learning_rate_multipliers={"first": 0.5, "last/bias": 0.0}),
}
FORMS: dict[str, Callable[[Any, dict[str, np.ndarray]], Any]] = {
    "dict": lambda model, grads: grads,
    "list": lambda model, grads: [grads[w.path] for w in model.trainable_weights],
    "pairs": lambda model, grads: zip(
        [grads[w.path] for w in model.trainable_weights], model.trainable_weights, strict=True
    ),
}


def net(
    optimizer: Any = "sgd", dtype: str = "float32", reference: bool = False, width: int = 4
) -> fastnn.Model:
    x = fastnn.Input((3,), name="x")
    shared = layers.Dense(
        3, "tanh", kernel_regularizer="l2", kernel_constraint=constraints.MaxNorm(1.0), name="first"
    )
    h = layers.Dense(width, "relu", bias_constraint=constraints.NonNeg(), name="middle")(shared(shared(x)))
    frozen = layers.Dense(3, name="frozen")
    frozen.trainable = False
    model = fastnn.Model(x, layers.Dense(2, name="last")(frozen(h)), dtype=dtype, seed=0)
    model.compile(optimizer, "mse", reference=reference)
    return model


def assert_same(one: fastnn.Model, two: fastnn.Model, tolerance: float = 1e-6) -> None:
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(one.optimizer.state, two.optimizer.state, rtol=tolerance, atol=tolerance)
    assert one.optimizer.iterations == two.optimizer.iterations
    assert one.optimizer.progress.steps == two.optimizer.progress.steps


@pytest.mark.parametrize(
    ("optimizer", "form", "dtype"), pairwise(MORE, FORMS, DTYPES), ids=lambda value: str(value)
)
def test_an_update_is_that_of_a_step(optimizer: str, form: str, dtype: str) -> None:
    own, whole = (net(MORE[optimizer], dtype) for _ in range(2))
    for count in range(1, 6):
        _, grads = own.loss_and_gradients(X, Y)
        kept = {name: gradient.copy() for name, gradient in grads.items()}
        made = own.apply_gradients(FORMS[form](own, grads))
        assert all(np.array_equal(kept[name], gradient) for name, gradient in grads.items())
        whole.train_on_batch(X, Y)
        assert made == count
        assert own.optimizer.iterations == count // (2 if "sums" in optimizer else 1)
    assert_same(own, whole)


@pytest.mark.parametrize("optimizer", ["adam", "sums", "clipped", "lamb"])
def test_the_reference_makes_the_same_update(optimizer: str) -> None:
    own, reference = net(MORE[optimizer], "float64"), net(MORE[optimizer], "float64", reference=True)
    for _ in range(3):
        _, grads = own.loss_and_gradients(X, Y)
        own.apply_gradients(grads)
        reference.apply_gradients(grads)
    assert_same(own, reference, 1e-12)


def large(optimizer: optimizers.Optimizer) -> fastnn.Sequential:
    """Return a net whose updates are cut into tasks, and are worth several threads."""
    model = fastnn.Sequential(
        [fastnn.Input((3,)), layers.Dense(700), layers.Dense(700), layers.Dense(2)], seed=0
    )
    model.compile(optimizer, "mse")
    return model


@pytest.mark.parametrize("threads", [1, 2])
def test_large_parameters_are_updated_by_several_threads(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Program, "team_size", lambda *_: threads)
    own, whole = (large(optimizers.Adam(0.01)) for _ in range(2))
    assert len(own.plan(purpose="update").phases[0].tasks) > len(own.trainable_weights)
    for _ in range(2):
        own.apply_gradients(own.loss_and_gradients(X, Y)[1])
        whole.train_on_batch(X, Y)
    assert_same(own, whole)


def test_forward_backward_and_update_are_a_loop_like_fit() -> None:
    def chain() -> fastnn.Sequential:
        model = fastnn.Sequential(
            [fastnn.Input((3,)), layers.Dense(5, "tanh"), layers.Dense(2)], dtype="float64", seed=0
        )
        model.compile(optimizers.Adam(0.01), "mse")
        return model

    own, fitted = chain(), chain()
    for _ in range(5):
        for rows in (slice(0, 8), slice(8, 12)):
            error = own.forward(X[rows]) - Y[rows]
            grads = own.backward(2 * error / error.size, wrt=["dense"])
            assert {"input_layer", "dense"} & grads.keys()  # what is no parameter's is left aside
            own.optimizer.apply_gradients(grads)
    fitted.fit(X, Y, batch_size=8, epochs=5, shuffle=False, verbose=0)
    assert_same(own, fitted, 1e-12)


def test_pairs_may_leave_weights_out() -> None:
    model = net(optimizers.SGD(0.1, weight_decay=0.5, momentum=0.9))
    before = model.get_weights()
    bias = model.get_layer("last").weights[1]
    assert model.optimizer.apply_gradients([(np.array([1.0, 2.0]), bias)]) == 1
    changed = [w.path for w, old in zip(model.weights, before, strict=True) if not np.array_equal(w, old)]
    assert changed == ["last/bias"]
    np.testing.assert_allclose(bias, [-0.1, -0.2], rtol=1e-6)
    with pytest.warns(TrainingWarning, match="no gradient of last/kernel; not updated"):
        model.optimizer.apply_gradients([([0.0, 0.0], bias), (None, model.get_layer("last").weights[0])])
    assert np.array_equal(model.get_layer("last").kernel, before[-2])


def bad() -> dict[str, tuple[Callable[[Any, dict[str, Any]], Any], type[Exception], str]]:
    def changed(name: str, value: Any) -> Callable[[Any, dict[str, Any]], Any]:
        return lambda model, grads: grads | {name: value}

    return {
        "shape": (changed("last/bias", np.zeros(3)), ShapeError, r"gradient of 'last/bias' must have shape"),
        "nan": (changed("last/bias", [0.0, np.nan]), DataError, r"'last/bias' has 1 values that are NaN"),
        "nan of the dtype": (
            changed("last/bias", np.array([np.inf, 0], np.float32)),
            DataError,
            r"'last/bias' has 1 values that are NaN",
        ),
        "large": (changed("last/bias", [1e300, 0.0]), DataError, "too large for float32"),
        "text": (changed("last/bias", ["a", "b"]), DTypeError, "last/bias"),
        "unknown": (changed("lst/bias", [0.0]), ConfigurationError, "trained parameter.*lst/bias"),
        "frozen": (changed("frozen/bias", [0.0]), ConfigurationError, "frozen/bias"),
        "missing": (lambda m, g: {"last/bias": g["last/bias"]}, ConfigurationError, "no gradient of first/b"),
        "few": (lambda m, g: list(g.values())[1:], ShapeError, "has 5 arrays, needs 6: first/kernel"),
        "array": (lambda m, g: np.zeros(5), DTypeError, "grads must be a dict"),
        "number": (lambda m, g: 1.0, DTypeError, "grads must be a dict"),
        "none": (lambda m, g: dict.fromkeys(g), ConfigurationError, "no gradient of any parameter"),
        "frozen weight": (
            lambda m, g: [(np.zeros(3), m.get_layer("frozen").weights[1])],
            ConfigurationError,
            "'frozen/bias' of pair 0 is none that this model trains",
        ),
        "foreign weight": (
            lambda m, g: [(np.zeros(2), net().get_layer("last").weights[1])],
            ConfigurationError,
            "'last/bias' of pair 0 is none",
        ),
        "twice": (lambda m, g: [(g["last/bias"], m.weights[-1])] * 2, ConfigurationError, "two pairs have"),
        "half pairs": (
            lambda m, g: [(g["last/bias"], m.weights[-1]), g["last/bias"]],
            DTypeError,
            "number 1 is no pair",
        ),
    }


@pytest.mark.parametrize("case", bad())
def test_bad_gradients_are_named_and_change_nothing(case: str) -> None:
    make, error, message = bad()[case]
    model = net("adam")
    _, grads = model.loss_and_gradients(X, Y)
    model.apply_gradients(grads)
    before, state = model.get_flat_weights(), model.optimizer.state.copy()
    with pytest.raises(error, match=message):
        model.apply_gradients(make(model, grads))
    assert np.array_equal(model.get_flat_weights(), before)
    assert np.array_equal(model.optimizer.state, state)
    assert model.optimizer.iterations == 1


@pytest.mark.parametrize(("make", "threads"), [(net, 1), (large, 1), (large, 2)])
def test_an_update_to_infinity_is_taken_back(
    make: Callable[..., fastnn.Model], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Program, "team_size", lambda *_: threads)
    model = make(optimizers.SGD(1e30))
    before = model.get_flat_weights()
    grads = {w.path: np.full(w.shape, 1e10) for w in model.trainable_weights}
    with pytest.warns(NonFiniteWarning, match="it was not made"):
        assert model.apply_gradients(grads) == 0
    assert np.array_equal(model.get_flat_weights(), before)


def test_updates_need_a_model_that_is_compiled_and_there() -> None:
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(1)])
    with pytest.raises(ConfigurationError, match="not compiled"):
        model.apply_gradients({})
    one = net()
    optimizer = one.optimizer
    two = pickle.loads(pickle.dumps(one))
    two.optimizer.apply_gradients(two.loss_and_gradients(X, Y)[1])
    assert (two.optimizer.iterations, optimizer.iterations) == (1, 0)
    alone = copy.deepcopy(optimizer)
    with pytest.raises(ConfigurationError, match="is gone"):
        alone.apply_gradients([])


def test_a_target_follows() -> None:
    model, target = net(dtype="float64"), net()
    target.set_flat_weights(RNG.normal(0, 1, target.count_params()))
    expected = 0.25 * model.get_flat_weights() + 0.75 * target.get_flat_weights()
    target.polyak_from(model, 0.25)
    np.testing.assert_allclose(target.get_flat_weights(), expected, rtol=1e-6)
    before = target.get_flat_weights()
    target.polyak_from(model, 0.0)
    assert np.array_equal(target.get_flat_weights(), before)
    target.polyak_from(net(), 1.0)
    assert np.array_equal(target.get_flat_weights(), net().get_flat_weights())
    before = target.get_flat_weights()
    for other, tau, error, message in (
        (net(width=5), 0.5, ShapeError, "they must agree"),
        (net(), 1.5, ConfigurationError, "tau"),
        ("model", 0.5, DTypeError, "other must be a model"),
    ):
        with pytest.raises(error, match=message):
            target.polyak_from(other, tau)
    assert np.array_equal(target.get_flat_weights(), before)


def test_a_layer_of_several_models_moves_alone() -> None:
    """What else is in the store of a target stays as it is."""
    x = fastnn.Input((3,))
    layer = layers.Dense(2)
    small, large = fastnn.Model(x, layer(x)), fastnn.Model(x, layers.Dense(1, name="own")(layer(x)))
    kept = large.get_layer("own").kernel
    small.polyak_from(
        fastnn.Sequential([fastnn.Input((3,)), layers.Dense(2, kernel_initializer="ones")]), 1.0
    )
    assert (large.layers[1].kernel == 1).all()
    assert np.array_equal(large.get_layer("own").kernel, kept)


def test_weights_as_a_vector() -> None:
    model = net()
    vector = np.arange(model.count_params(), dtype=np.float64)
    model.set_flat_weights(vector)
    assert np.array_equal(model.get_flat_weights(), vector)
    assert np.array_equal(np.concatenate([w.ravel() for w in model.get_weights()]), vector)
    for wrong, error in ((vector[:-1], ShapeError), (vector * np.nan, DataError)):
        with pytest.raises(error, match="vector"):
            model.set_flat_weights(wrong)
    assert np.array_equal(model.get_flat_weights(), vector)
