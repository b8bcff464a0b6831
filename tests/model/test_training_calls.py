"""Models called as in training: what is drawn, which moments count, what moves, and who may call at once."""

from __future__ import annotations

import copy
import pickle
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.compiler.plan import OpCode
from fastnn.compiler.verify import verify_plan
from fastnn.errors import BusyError, ConfigurationError, DataError, NonFiniteWarning, PlanError

RNG = np.random.default_rng(8)
X = RNG.normal(1, 2, (40, 3))


def chain(*parts: Any, dtype: str = "float64", seed: int = 3, **options: Any) -> fastnn.Sequential:
    model = fastnn.Sequential([fastnn.Input((3,)), *parts], dtype=dtype, seed=seed)
    if options.get("compiled", True):
        model.compile("sgd", "mse", reference=options.get("reference", False))
    return model


@pytest.mark.parametrize("reference", [False, True])
def test_dropout_draws_anew_with_each_call(reference: bool) -> None:
    model = chain(layers.Dropout(0.5), reference=reference)
    calls = [model(X, training=True) for _ in range(40)]
    kept = np.stack(calls) != 0
    assert 0.45 < kept.mean() < 0.55
    assert not (kept[0] == kept[1]).all()
    np.testing.assert_allclose(np.stack(calls)[kept], np.broadcast_to(2 * X, kept.shape)[kept], rtol=1e-12)
    again = chain(layers.Dropout(0.5), reference=reference)
    for call in calls[:3]:  # by the seed and the number of the call
        np.testing.assert_array_equal(again(X, training=True), call)
    other = chain(layers.Dropout(0.5), seed=4)
    assert (other(X, training=True) != calls[0]).any()
    np.testing.assert_array_equal(model(X), X)


def test_what_calls_draw_is_not_what_training_draws() -> None:
    one, other = chain(layers.Dropout(0.5), layers.Dense(1)), chain(layers.Dropout(0.5), layers.Dense(1))
    for _ in range(3):
        one(X, training=True)
    for model in (one, other):
        model.fit(X, X[:, :1], epochs=2, verbose=0)
    for left, right in zip(one.get_weights(), other.get_weights(), strict=True):
        assert left.tobytes() == right.tobytes()


def test_all_layers_that_draw_do() -> None:
    for layer in (
        layers.GaussianNoise(0.5),
        layers.GaussianDropout(0.5),
        layers.AlphaDropout(0.5),
        layers.Dropout(0.5, seed=1),
    ):
        model = chain(layer)
        first, second = (model(X, training=True) for _ in range(2))
        assert (first != X).any()
        assert (first != second).any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("reference", [False, True])
def test_batch_normalisation_takes_the_moments_of_the_rows(dtype: str, reference: bool) -> None:
    model = chain(layers.BatchNormalization(momentum=0.75), dtype=dtype, reference=reference)
    found = model(X, training=True)
    assert found.dtype == dtype
    expected = (X - X.mean(0)) / np.sqrt(X.var(0) + 1e-3)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    *_, mean, variance = model.get_weights()
    np.testing.assert_allclose(mean, 0.25 * X.mean(0), rtol=1e-5)
    np.testing.assert_allclose(variance, 0.75 + 0.25 * X.var(0), rtol=1e-5)
    inference = (X - mean) / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(model(X), inference, rtol=1e-4, atol=1e-5)


def test_what_is_frozen_does_not_move() -> None:
    model = chain(layers.BatchNormalization(trainable=False))
    before = model.get_weights()
    np.testing.assert_array_equal(model(X, training=True), model(X))
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_models_need_not_be_compiled_nor_built() -> None:
    model = fastnn.Sequential([layers.Dropout(0.5), layers.BatchNormalization(), layers.Dense(2)], seed=0)
    assert model(X, training=True).shape == (40, 2)
    assert (model.layers[1].moving_mean != 0).all()
    assert model(np.zeros((0, 3)), training=True).shape == (0, 2)


def test_several_inputs_and_outputs() -> None:
    a, b = fastnn.Input((3,), name="a"), fastnn.Input((2,), name="b")
    first = layers.BatchNormalization(name="first")(layers.Concatenate()([a, b]))
    model = fastnn.Model([a, b], {"first": first, "second": layers.Dropout(0.5, name="second")(b)}, seed=0)
    found = model([X, X[:, :2]], training=True)
    assert found.keys() == {"first", "second"}
    np.testing.assert_allclose(found["first"].mean(0), 0, atol=1e-5)
    assert 0 < (found["second"] == 0).mean() < 1


def test_one_row_has_no_variance() -> None:
    model = chain(layers.BatchNormalization())
    np.testing.assert_array_equal(model(X[:1], training=True), np.zeros((1, 3)))


def test_plans_say_what_moves() -> None:
    model = chain(layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(2))
    plan = model.plan(8, "training_outputs")
    codes = [op.code for op in plan.ops]
    assert codes.count(OpCode.MOVING_AVERAGE) == 2
    assert {OpCode.BATCH_MOMENTS, OpCode.DROPOUT} < set(codes)

    with pytest.raises(PlanError, match="changes 'batch_normalization/moving_mean' in a plan for 'backward'"):
        verify_plan(replace(plan, purpose="backward"))
    trained = model.plan(4)
    with pytest.raises(PlanError, match="in a plan for 'training_outputs'"):
        verify_plan(replace(trained, purpose="training_outputs"))


def test_statistics_that_are_not_finite_do_not_move() -> None:
    model = chain(layers.BatchNormalization(), dtype="float32")
    before = model.get_weights()
    huge = np.array([[3e38, 0, 0], [-3e38, 0, 0]])
    with pytest.warns(NonFiniteWarning, match="a moving statistic would not be finite"):
        model(huge, training=True)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    model(X, training=True)
    assert (model.get_weights()[2] != before[2]).all()


def test_bad_input_changes_nothing() -> None:
    model = chain(layers.BatchNormalization(), layers.Dropout(0.5))
    before = model.get_weights()
    with pytest.raises(DataError):
        model(np.full((2, 3), np.nan), training=True)
    with pytest.raises(fastnn.errors.ShapeError):
        model(np.zeros((2, 4)), training=True)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_graphs_do_not_say_how_layers_run() -> None:
    model = chain(layers.Dropout(0.5), layers.Dense(2))
    with pytest.raises(
        ConfigurationError, match="a graph does not say that layer 'dropout' runs as in training"
    ):
        model(fastnn.Input((3,)), training=True)
    assert chain(layers.Dense(2))(fastnn.Input((3,)), training=True).columns == 2


def test_copies_count_anew(tmp_path: Path) -> None:
    model = chain(layers.Dropout(0.5), layers.Dense(2))
    first = model(X, training=True)
    model.save(tmp_path / "m.safetensors")
    for other in (
        copy.copy(model),
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
        fastnn.load_model(tmp_path / "m.safetensors"),
    ):
        np.testing.assert_array_equal(other(X, training=True), first)


def test_threads_that_call_at_once_draw_different_numbers() -> None:
    model, alone = chain(layers.Dropout(0.5)), chain(layers.Dropout(0.5))
    expected = {alone(X, training=True).tobytes() for _ in range(64)}
    found: list[bytes] = []
    begin = threading.Barrier(4)

    def call() -> None:
        begin.wait()
        for _ in range(16):
            found.append(model(X, training=True).tobytes())

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 64
    assert set(found) == expected


def test_statistics_move_by_one_call_after_another() -> None:
    """Of threads that call at once, some get an error, and then have moved nothing."""
    model, alone = (chain(layers.BatchNormalization(momentum=0.9)) for _ in range(2))
    done: list[bool] = []
    begin = threading.Barrier(4)

    def call() -> None:
        begin.wait()
        for _ in range(25):
            try:
                model(X, training=True)
                done.append(True)
            except BusyError:
                done.append(False)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 100
    for _ in range(sum(done)):
        alone(X, training=True)
    for one, other in zip(model.get_weights(), alone.get_weights(), strict=True):
        assert one.tobytes() == other.tobytes()


def test_while_a_model_is_trained_its_statistics_are_not_moved() -> None:
    model = chain(layers.BatchNormalization(), layers.Dense(1))
    errors: list[BaseException] = []

    class Calling(fastnn.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            def call() -> None:
                try:
                    model(X, training=True)
                except BusyError as error:
                    errors.append(error)

            thread = threading.Thread(target=call)
            thread.start()
            thread.join()

    model.fit(X, X[:, :1], epochs=1, verbose=0, callbacks=[Calling()])
    assert len(errors) == 1
    model(X, training=True)  # and now it can
