"""Optimizers once a model was compiled with them: learning rate, counts, variables, gradients."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import callbacks, layers, optimizers
from fastnn.errors import BusyError, ConfigurationError, DTypeError, ShapeError
from fastnn.optimizers import schedules

X = np.linspace(-1.0, 1.0, 24).reshape(8, 3)
Y = X.sum(axis=1, keepdims=True)


def compiled(optimizer: Any, dtype: str = "float64") -> fastnn.Sequential:
    made = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(1)], dtype, seed=1)
    made.compile(optimizer, "mse")
    return made


def trained(optimizer: Any, epochs: int = 2, **options: Any) -> np.ndarray:
    model = compiled(optimizer)
    model.fit(X, Y, batch_size=4, epochs=epochs, verbose=0, **options)
    return model.get_flat_weights()


# --- the learning rate ---------------------------------------------------------------------------------


def test_a_learning_rate_can_be_set_before_and_after_compile() -> None:
    rule = optimizers.SGD(0.5)
    rule.learning_rate = 0.25
    assert rule == optimizers.SGD(0.25)
    model = compiled(rule)
    assert model.optimizer.learning_rate == 0.25
    rule.learning_rate = 0.125
    assert model.optimizer.learning_rate == rule.learning_rate == 0.125
    model.optimizer.learning_rate = 1.0
    assert rule.learning_rate == 1.0
    model.optimizer.learning_rate.assign(2.0)  # type: ignore[attr-defined]
    assert model.optimizer.learning_rate == rule.learning_rate == 2.0
    for bad in (-1.0, "a", None):
        with pytest.raises((ConfigurationError, DTypeError), match="learning_rate must be"):
            rule.learning_rate = bad  # type: ignore[assignment]
    assert model.optimizer.learning_rate == rule.learning_rate == 2.0
    with pytest.raises(AttributeError, match="cannot assign to field 'momentum'"):
        rule.momentum = 0.5


def test_what_is_set_trains() -> None:
    rule = optimizers.Adam(0.5)
    model = compiled(rule)
    rule.learning_rate = 0.01
    model.fit(X, Y, batch_size=4, epochs=2, verbose=0)
    np.testing.assert_array_equal(model.get_flat_weights(), trained(optimizers.Adam(0.01)))


def test_a_callback_sets_the_rate_of_the_optimizer_that_was_given() -> None:
    rule = optimizers.SGD(0.5)
    halve = callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    history = compiled(rule).fit(X, Y, epochs=2, callbacks=[halve], verbose=0)
    assert rule.learning_rate == 0.125
    assert json.dumps(history.history["learning_rate"]) == "[0.25, 0.125]"
    assert {type(rate) for rate in history.history["learning_rate"]} == {float}


def test_a_rate_is_a_number() -> None:
    model = compiled(optimizers.SGD(0.5))
    rate: Any = model.optimizer.learning_rate
    assert rate == 0.5
    assert rate.value == float(rate.numpy()) == 0.5
    assert (repr(rate), f"{rate:g}", rate * 2) == ("0.5", "0.5", 1.0)
    again = pickle.loads(pickle.dumps(rate))
    assert type(again) is float
    del model
    gc.collect()
    with pytest.raises(ConfigurationError, match="the optimizer of this learning rate is gone"):
        rate.assign(1.0)


def test_a_schedule_can_take_the_place_of_a_number() -> None:
    falls = schedules.ExponentialDecay(0.1, 2, 0.5)
    model = compiled(optimizers.SGD(9.0))
    model.optimizer.learning_rate = falls  # type: ignore[assignment]
    model.fit(X, Y, batch_size=4, epochs=2, verbose=0)
    np.testing.assert_array_equal(model.get_flat_weights(), trained(optimizers.SGD(falls)))
    with pytest.raises(ConfigurationError, match="follows ExponentialDecay and cannot be set"):
        model.optimizer.learning_rate = 0.5
    assert (
        optimizers.serialize(model.optimizer)["config"]["learning_rate"]["class_name"] == "ExponentialDecay"
    )


def test_a_function_is_asked_for_each_step() -> None:
    rates = [0.1, 0.05, 0.02, 0.01]

    def by_step(step: int) -> float:
        return rates[step]

    class Listed(schedules.LearningRateSchedule):
        def __call__(self, step: int) -> float:
            return by_step(step)

    left = iter(rates)
    np.testing.assert_array_equal(
        trained(optimizers.SGD(lambda: next(left))),  # type: ignore[arg-type]
        trained(optimizers.SGD(Listed())),
    )


def test_a_function_sees_what_callbacks_do_between_epochs() -> None:
    now = {"rate": 0.1}

    def slow(epoch: int, logs: Any) -> None:
        now["rate"] = 0.1 / (epoch + 1)

    watch = callbacks.LambdaCallback(on_epoch_begin=slow)
    set_by_epoch = callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))
    np.testing.assert_array_equal(
        trained(optimizers.SGD(lambda: now["rate"]), 3, callbacks=[watch]),  # type: ignore[arg-type]
        trained(optimizers.SGD(7.0), 3, callbacks=[set_by_epoch]),
    )


@pytest.mark.parametrize("bad", [lambda: -0.1, lambda: float("nan"), lambda: "a"])
def test_functions_that_return_no_rate(bad: Any) -> None:
    model = compiled(optimizers.SGD(bad))
    before = model.get_flat_weights()
    with pytest.raises(ValueError, match=r"OfFunction gives the learning rate|could not convert"):
        model.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(model.get_flat_weights(), before)


def test_a_rate_that_is_a_function_is_given_again_to_a_file(tmp_path: Path) -> None:
    def rate() -> float:
        return 0.125

    model = compiled(optimizers.SGD(rate))  # type: ignore[arg-type]
    model.save(tmp_path / "model")
    with pytest.raises(ValueError, match=r"custom_objects=\{'rate': \.\.\.\}"):
        fastnn.load_model(tmp_path / "model")
    again = fastnn.load_model(tmp_path / "model", custom_objects={"rate": rate})
    assert again.optimizer.learning_rate == 0.125


class Linear(schedules.LearningRateSchedule):
    def __init__(self, first: float) -> None:
        self.first = first

    def __call__(self, step: Any) -> float:
        return self.first / (step + 1)

    def get_config(self) -> dict[str, Any]:
        return {"first": self.first}


def test_a_schedule_of_ones_own_is_written_and_read(tmp_path: Path) -> None:
    model = compiled(optimizers.Adam(Linear(0.5)))
    model.save(tmp_path / "model")
    with pytest.raises(ValueError, match="unknown learning rate schedule 'Linear'"):
        fastnn.load_model(tmp_path / "model")
    again = fastnn.load_model(tmp_path / "model", custom_objects={"Linear": Linear})
    for one in (model, again):
        one.fit(X, Y, batch_size=4, verbose=0)
    np.testing.assert_array_equal(again.get_flat_weights(), model.get_flat_weights())
    assert schedules.deserialize(schedules.serialize(Linear(0.5)), {"Linear": Linear})(1) == 0.25

    class Silent(schedules.LearningRateSchedule):
        def __call__(self, step: Any) -> float:
            return 0.1

    with pytest.raises(ConfigurationError, match=r"Silent does not say what made it; define get_config"):
        compiled(optimizers.SGD(Silent())).save(tmp_path / "other")
    assert not (tmp_path / "other").exists()


# --- counts, configurations, another model -------------------------------------------------------------


def test_how_far_the_work_is() -> None:
    rule = optimizers.Adam()
    assert rule.iterations == 0
    model = compiled(rule)
    model.fit(X, Y, batch_size=4, verbose=0)
    assert rule.iterations == model.optimizer.iterations == 2
    other = compiled(rule)
    assert rule.iterations == 0
    other.train_on_batch(X, Y)
    assert (rule.iterations, model.optimizer.iterations) == (1, 2)


def test_an_optimizer_keeps_no_model_alive() -> None:
    rule = optimizers.Adam()
    model = compiled(rule)
    gone = weakref.ref(model.optimizer)
    del model
    gc.collect()
    assert gone() is None
    assert rule.iterations == 0
    with pytest.raises(ConfigurationError, match="no model was compiled with this Adam"):
        rule.apply_gradients([])


def test_copies_are_not_at_work() -> None:
    rule = optimizers.SGD(0.5)
    model = compiled(rule)
    for other in (copy.copy(rule), copy.deepcopy(rule), pickle.loads(pickle.dumps(rule))):
        assert other == rule
        other.learning_rate = 9.0
    assert model.optimizer.learning_rate == rule.learning_rate == 0.5


def test_what_an_optimizer_of_a_model_was_made_with() -> None:
    model = compiled(optimizers.Adam(0.5, beta_1=0.75, clipnorm=2.0))
    model.optimizer.learning_rate = 0.25
    optimizer: Any = model.optimizer
    assert (optimizer.name, optimizer.beta_1, optimizer.clipnorm) == ("adam", 0.75, 2.0)
    wanted = optimizers.Adam(0.25, beta_1=0.75, clipnorm=2.0)
    assert optimizer.get_config() == wanted.get_config()
    assert optimizers.serialize(optimizer) == optimizers.serialize(wanted)
    assert optimizers.deserialize(optimizers.serialize(optimizer)) == wanted
    with pytest.raises(AttributeError, match="has no attribute 'momentum'"):
        _ = optimizer.momentum
    with pytest.raises(AttributeError, match="cannot assign"):
        optimizers.Adam().beta_1 = 0.5
    copied = pickle.loads(pickle.dumps(model))
    assert copied.optimizer.beta_1 == 0.75


def test_a_model_is_compiled_with_the_optimizer_of_one() -> None:
    model = compiled(optimizers.SGD(0.5, momentum=0.5))
    model.optimizer.learning_rate = 0.125
    model.train_on_batch(X, Y)
    model.compile(model.optimizer, "mae")
    optimizer: Any = model.optimizer
    assert (optimizer.iterations, optimizer.learning_rate, optimizer.momentum) == (0, 0.125, 0.5)


def test_nothing_is_at_work_where_compile_fails() -> None:
    rule = optimizers.SGD(0.5)
    model = compiled("sgd")

    def again(epoch: int, logs: Any) -> None:
        with pytest.raises(BusyError):
            model.compile(rule, "mse")

    model.fit(X, Y, callbacks=[callbacks.LambdaCallback(on_epoch_begin=again)], verbose=0)
    with pytest.raises(ConfigurationError, match="no model was compiled with this SGD"):
        _ = rule.variables


@pytest.mark.parametrize("given", [None])
def test_a_model_needs_an_optimizer(given: Any) -> None:
    assert optimizers.get(given) is None
    with pytest.raises(DTypeError, match="an optimizer is a name or an Optimizer, got None"):
        compiled(given)


# --- gradients -----------------------------------------------------------------------------------------


def test_gradients_are_applied_by_the_optimizer_that_was_given() -> None:
    rule = optimizers.Adam(0.1)
    model, other = compiled(rule), compiled(optimizers.Adam(0.1))
    ways = [
        lambda listed: rule.apply(listed, model.trainable_variables),
        lambda listed: rule.apply(listed),
        lambda listed: rule.apply_gradients(zip(listed, model.trainable_weights, strict=True)),
    ]
    for step, apply in enumerate(ways):
        grads = model.loss_and_gradients(X, Y)[1]
        listed = [grads[weight.path] for weight in model.trainable_weights]
        assert apply(listed) == step + 1
        other.train_on_batch(X, Y)
    np.testing.assert_allclose(model.get_flat_weights(), other.get_flat_weights(), rtol=1e-12)
    with pytest.raises(ShapeError, match="there are 1 gradients and 4 weights"):
        rule.apply(listed[:1], model.trainable_weights)


# --- variables -----------------------------------------------------------------------------------------


def test_variables_are_named_and_ordered_as_in_keras() -> None:
    model = compiled(optimizers.Adam(use_ema=True))
    paths = [variable.path for variable in model.optimizer.variables]
    weights = ("dense_kernel", "dense_bias", "dense_1_kernel", "dense_1_bias")
    assert paths == [
        "adam/iteration",
        "adam/learning_rate",
        *(f"adam/{name}_average" for name in weights),
        *(f"adam/{name}_{state}" for name in weights for state in ("momentum", "velocity")),
    ]
    assert [v.shape for v in model.optimizer.variables][-2:] == [(1,), (1,)]
    falls = compiled(optimizers.SGD(schedules.ExponentialDecay(0.1, 2, 0.5)))
    assert [variable.path for variable in falls.optimizer.variables] == ["sgd/iteration"]
    assert len(compiled(optimizers.SGD(gradient_accumulation_steps=2)).optimizer.variables) == 6


def test_variables_are_what_the_steps_left() -> None:
    model = compiled(optimizers.SGD(0.5, momentum=0.5))
    grads = model.loss_and_gradients(X, Y)[1]
    model.train_on_batch(X, Y)
    found = {variable.path: variable.numpy() for variable in model.optimizer.variables}
    assert found["sgd/iteration"] == 1
    assert found["sgd/learning_rate"] == 0.5
    np.testing.assert_allclose(found["sgd/dense_kernel_momentum"], -0.5 * grads["dense/kernel"], rtol=1e-12)


def test_an_optimizer_takes_the_variables_of_another() -> None:
    one, other = compiled(optimizers.Adam(0.01)), compiled(optimizers.Adam(0.5))
    one.fit(X, Y, batch_size=4, epochs=2, verbose=0)
    other.set_weights(one.get_weights())
    other.optimizer.set_weights(one.optimizer.variables)
    assert (other.optimizer.iterations, other.optimizer.learning_rate) == (4, 0.01)
    for model in (one, other):
        model.train_on_batch(X, Y)
    np.testing.assert_array_equal(one.get_flat_weights(), other.get_flat_weights())


def test_variables_that_are_set_begin_anew() -> None:
    rule = optimizers.Adam(0.01)
    model = compiled(rule)
    weights = model.get_weights()
    first = model.fit(X, Y, batch_size=4, verbose=0, shuffle=False).history
    for variable in rule.variables:
        if not variable.path.endswith("learning_rate"):
            variable.assign(np.zeros(variable.shape))
    model.set_weights(weights)
    assert model.fit(X, Y, batch_size=4, verbose=0, shuffle=False).history == first


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda values: values[:-1], ShapeError),
        (lambda values: [*values[:-1], np.zeros(3)], ShapeError),
        (lambda values: [*values[:-1], [np.nan]], ValueError),
        (lambda values: [*values[:-1], "a"], TypeError),
    ],
)
def test_variables_that_do_not_fit(change: Any, error: type[Exception]) -> None:
    model = compiled(optimizers.Adam())
    model.train_on_batch(X, Y)
    before = [variable.numpy() for variable in model.optimizer.variables]
    with pytest.raises(error):
        model.optimizer.set_weights(change([value + 1 for value in before]))
    for variable, value in zip(model.optimizer.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_variables_of_a_model_that_was_compiled_anew() -> None:
    model = compiled(optimizers.Adam())
    *_, last = model.optimizer.variables
    model.compile("sgd", "mse")
    with pytest.raises(ConfigurationError, match="was compiled anew"):
        last.numpy()
