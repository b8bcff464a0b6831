"""What users of Keras report and ask about dense nets, a few lines each, with the answer of both libraries.

A report returns plain values, which have to be alike; or both refuse, each in its words.  What fastnn answers
otherwise on purpose is in `REFUSED`, with what the message says, or in `TAKEN`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn.errors import FastnnError, NonFiniteWarning

RNG = np.random.default_rng(7)
X = RNG.standard_normal((40, 3)).astype("float32")
Y = (X @ np.array([[1.0], [-2.0], [0.5]]) + 0.1).astype("float32")
LABELS = (X[:, 0] > 0).astype("int32") + (X[:, 1] > 0).astype("int32")
ONE_HOT = np.eye(3, dtype="float32")[LABELS]
KERNEL = RNG.standard_normal((3, 3)).astype("float32")
Report = Callable[[Any], Any]


@pytest.fixture(scope="module")
def keras(peer: Callable[[str], Any]) -> Any:
    """Return Keras; the tests are skipped, with the reason, where it or its backend is missing."""
    peer("torch")
    return peer("keras")


def net(k: Any, units: int = 1, activation: Any = None, loss: Any = "mse", **options: Any) -> Any:
    model = k.Sequential([k.Input((3,)), k.layers.Dense(units, activation=activation, name="only")])
    model.set_weights([KERNEL[:, :units], np.zeros(units, "float32")])
    model.compile(options.pop("optimizer", k.optimizers.SGD(0.1)), loss, **options)
    return model


def two(k: Any, **options: Any) -> Any:
    x = k.Input((3,), name="x")
    ends = [k.layers.Dense(1, name=name)(x) for name in ("a", "b")]
    model = k.Model(x, ends)
    model.set_weights([KERNEL[:, :1], np.zeros(1), KERNEL[:, 1:2], np.zeros(1)])
    model.compile(k.optimizers.SGD(0.05), "mse", **options)
    return model


def told(model: Any, *more: Any, x: Any = X, y: Any = Y, **options: Any) -> dict[str, list[float]]:
    options = {"batch_size": 8, "shuffle": False, "verbose": 0} | options
    history: dict[str, list[float]] = model.fit(x, y, *more, **options).history
    return {name: [float(value) for value in values] for name, values in history.items()}


def weights(model: Any) -> list[Any]:
    return [np.asarray(w).tolist() for w in model.get_weights()]


REPORTS: dict[str, Report] = {}


def report(function: Report) -> Report:
    REPORTS[function.__name__] = function
    return function


# -- epochs and calls


@report
def initial_epoch_beyond_the_last(k: Any) -> Any:
    return told(net(k), epochs=2, initial_epoch=5)


@report
def two_calls_of_fit_go_on(k: Any) -> Any:
    model = net(k, optimizer=k.optimizers.Adam(0.1))
    return [told(model, epochs=2), told(model, epochs=2), weights(model)]


@report
def compiled_twice_begins_anew(k: Any) -> Any:
    model = net(k, optimizer=k.optimizers.Adam(0.1))
    told(model)
    model.compile(k.optimizers.Adam(0.1), "mae")
    return [told(model), int(model.optimizer.iterations)]


@report
def validation_split_takes_the_last_rows(k: Any) -> Any:
    return told(net(k), validation_split=0.25, shuffle=True, batch_size=64, epochs=2)


@report
def validation_freq_leaves_epochs_out(k: Any) -> Any:
    return told(net(k), epochs=5, validation_data=(X, Y), validation_freq=2)


@report
def evaluate_as_a_list_and_a_dict(k: Any) -> Any:
    model = net(k, metrics=["mae", "mse"])
    return [model.evaluate(X, Y, verbose=0), model.evaluate(X, Y, verbose=0, return_dict=True)]


@report
def train_on_batch_and_test_on_batch(k: Any) -> Any:
    model = net(k)
    return [float(model.train_on_batch(X, Y)), float(model.test_on_batch(X, Y))]


@report
def predict_on_integers_and_float64(k: Any) -> Any:
    model = net(k)
    return [np.asarray(model.predict(X.astype(kind), verbose=0)).dtype.name for kind in ("int64", "float64")]


# -- metrics and keys


@report
def keys_of_two_outputs(k: Any) -> Any:
    return sorted(told(two(k, metrics=[["mae"], ["mse", "mae"]]), y=[Y, -Y], validation_split=0.2))


@report
def a_metric_by_its_class(k: Any) -> Any:
    return told(net(k, metrics=[k.metrics.MeanAbsoluteError(), k.metrics.RootMeanSquaredError(name="rmse")]))


@report
def accuracy_of_one_hot_and_of_labels(k: Any) -> Any:
    one_hot = net(k, 3, "softmax", "categorical_crossentropy", metrics=["accuracy"])
    sparse = net(k, 3, "softmax", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return [told(one_hot, y=ONE_HOT), told(sparse, y=LABELS)]


@report
def accuracy_of_probabilities(k: Any) -> Any:
    return told(net(k, 1, "sigmoid", "binary_crossentropy", metrics=["accuracy"]), y=(Y > 0) * 1.0)


@report
def accuracy_of_logits_has_a_threshold(k: Any) -> Any:
    loss = k.losses.BinaryCrossentropy(from_logits=True)
    return told(net(k, loss=loss, metrics=[k.metrics.BinaryAccuracy(threshold=0.0)]), y=(Y > 0) * 1.0)


@report
def weighted_metrics_beside_others(k: Any) -> Any:
    model = net(k, metrics=["mae"], weighted_metrics=["mae"])
    return told(model, sample_weight=np.linspace(0.1, 2.0, 40))


# -- weights of rows and classes


@report
def sample_weights_of_zero(k: Any) -> Any:
    return told(net(k), sample_weight=np.array([1.0, 0.0] * 20))


@report
def sample_weights_from_a_generator(k: Any) -> Any:
    parts = [(X[i : i + 8], Y[i : i + 8], np.full(8, 0.5 + i)) for i in range(0, 40, 8)]
    return told(net(k), x=(part for part in parts), y=None, batch_size=None)


@report
def sample_weights_in_validation(k: Any) -> Any:
    return told(net(k), validation_data=(X, Y, np.linspace(0.0, 1.0, 40)))


@report
def class_weights(k: Any) -> Any:
    model = net(k, 3, "softmax", "sparse_categorical_crossentropy")
    return told(model, y=LABELS, class_weight={0: 1.0, 1: 3.0, 2: 0.5})


@report
def class_weights_of_several_outputs(k: Any) -> Any:
    return told(two(k), y=[Y, Y], class_weight={0: 1.0})


@report
def class_and_sample_weights_together(k: Any) -> Any:
    model = net(k, 1, "sigmoid", "binary_crossentropy")
    y = (Y > 0).astype("int32")
    return told(model, y=y, class_weight={0: 1.0, 1: 3.0}, sample_weight=np.linspace(0.1, 1.0, 40))


# -- callbacks


@report
def early_stopping_restores_the_best_weights(k: Any) -> Any:
    model = net(k, optimizer=k.optimizers.SGD(0.9))
    stop = k.callbacks.EarlyStopping("loss", patience=2, restore_best_weights=True, min_delta=100.0)
    return [told(model, epochs=9, callbacks=[stop]), weights(model), stop.stopped_epoch, stop.best_epoch]


@report
def early_stopping_restores_without_stopping(k: Any) -> Any:
    model = net(k, optimizer=k.optimizers.SGD(0.3))
    stop = k.callbacks.EarlyStopping("loss", mode="max", patience=9, restore_best_weights=True)
    return [told(model, epochs=3, callbacks=[stop]), weights(model), stop.stopped_epoch]


@report
def early_stopping_with_a_baseline(k: Any) -> Any:
    stop = k.callbacks.EarlyStopping("loss", baseline=1e-9, patience=2)
    return told(net(k), epochs=9, callbacks=[stop])


@report
def early_stopping_in_the_first_epoch(k: Any) -> Any:
    stop = k.callbacks.EarlyStopping("loss", baseline=1e-9, patience=0)
    return [told(net(k), epochs=9, callbacks=[stop]), stop.stopped_epoch]


@report
def the_rate_falls_on_a_plateau(k: Any) -> Any:
    fall = k.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=10.0, min_lr=0.02)
    return told(net(k), epochs=7, callbacks=[fall])["learning_rate"]


@report
def a_scheduler_writes_the_rate(k: Any) -> Any:
    return told(net(k), epochs=3, callbacks=[k.callbacks.LearningRateScheduler(lambda e, rate: rate * 0.5)])


@report
def a_scheduler_beside_a_schedule(k: Any) -> Any:
    schedule = k.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    model = net(k, optimizer=k.optimizers.SGD(schedule))
    return told(model, callbacks=[k.callbacks.LearningRateScheduler(lambda epoch: 0.5)])


@report
def the_rate_falls_beside_a_schedule(k: Any) -> Any:
    schedule = k.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    model = net(k, optimizer=k.optimizers.SGD(schedule))
    return told(model, epochs=4, callbacks=[k.callbacks.ReduceLROnPlateau("loss", patience=0, min_delta=9.0)])


@report
def a_callback_ends_training_in_an_epoch(k: Any) -> Any:
    class End(k.callbacks.Callback):  # type: ignore[misc,name-defined]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_training = batch == 1

    model = net(k)
    return [told(model, epochs=3, callbacks=[End()]), int(model.optimizer.iterations)]


# -- optimizers


@report
def the_rate_is_set_between_calls(k: Any) -> Any:
    model = net(k)
    told(model)
    model.optimizer.learning_rate = 0.01
    return [told(model), float(model.optimizer.learning_rate)]


@report
def gradients_clipped_in_each_way(k: Any) -> Any:
    clips = ({"clipnorm": 0.1}, {"clipvalue": 0.05}, {"global_clipnorm": 0.1})
    return [told(net(k, 2, optimizer=k.optimizers.SGD(0.1, **clip)), y=Y * [1.0, 2.0]) for clip in clips]


@report
def two_ways_of_clipping_at_once(k: Any) -> Any:
    return told(net(k, optimizer=k.optimizers.SGD(0.1, clipnorm=0.1, clipvalue=0.1)))


# -- layers


def normalized(k: Any, momentum: float = 0.9) -> Any:
    model = k.Sequential(
        [k.Input((3,)), k.layers.BatchNormalization(momentum=momentum, name="norm"), k.layers.Dense(1)]
    )
    model.set_weights([*model.get_weights()[:4], KERNEL[:, :1], np.zeros(1, "float32")])
    model.compile(k.optimizers.SGD(0.1), "mse")
    return model


@report
def moving_statistics_after_training(k: Any) -> Any:
    model = normalized(k)
    told(model, epochs=2)
    return [weights(model), model.predict(X[:3] + 5.0, verbose=0).tolist()]


@report
def batch_normalization_that_is_frozen(k: Any) -> Any:
    model = normalized(k)
    model.get_layer("norm").trainable = False
    model.compile(k.optimizers.SGD(0.1), "mse")
    return [told(model, epochs=2), weights(model)]


@report
def batch_normalization_of_one_row(k: Any) -> Any:
    model = normalized(k)
    return [told(model, x=X[:3], y=Y[:3], batch_size=1), weights(model)]


@report
def a_layer_frozen_after_compile(k: Any) -> Any:
    model = net(k)
    model.get_layer("only").trainable = False
    return len(model.trainable_weights)


@report
def an_index_beyond_an_embedding(k: Any) -> Any:
    model = k.Sequential([k.Input((2,), dtype="int32"), k.layers.Embedding(4, 2), k.layers.Flatten()])
    return model.predict(np.array([[0, 4]]), verbose=0).shape


@report
def configurations_make_the_same_model(k: Any) -> Any:
    model = normalized(k, 0.5)
    again = k.Sequential.from_config(model.get_config())
    again.set_weights(model.get_weights())
    return [
        again.predict(X[:4], verbose=0).tolist(),
        again.layers[0].momentum,
        [w.shape for w in again.weights],
    ]


# -- targets that do not suit


@report
def targets_without_their_column(k: Any) -> Any:
    return told(net(k), y=Y[:, 0])


@report
def one_hot_targets_for_labels(k: Any) -> Any:
    return told(net(k, 3, "softmax", "sparse_categorical_crossentropy"), y=ONE_HOT)


@report
def labels_for_one_hot_targets(k: Any) -> Any:
    return told(net(k, 3, "softmax", "categorical_crossentropy"), y=LABELS)


@report
def strings_as_labels(k: Any) -> Any:
    return told(net(k, 3, "softmax", "sparse_categorical_crossentropy"), y=np.array(["a", "b"] * 20))


@report
def rows_of_x_and_y_that_differ(k: Any) -> Any:
    return told(net(k), y=Y[:-1])


@report
def columns_that_the_model_does_not_have(k: Any) -> Any:
    return net(k).predict(X[:, :2], verbose=0)


@report
def a_name_that_no_loss_has(k: Any) -> Any:
    return told(net(k, loss="mean_square_error"))


@report
def fit_before_compile(k: Any) -> Any:
    return told(k.Sequential([k.Input((3,)), k.layers.Dense(1)]))


@report
def labels_that_begin_at_one(k: Any) -> Any:
    return told(net(k, 3, "softmax", "sparse_categorical_crossentropy"), y=LABELS + 1)


@report
def two_columns_of_targets_for_one_output(k: Any) -> Any:
    return told(net(k), y=np.hstack([Y, -Y]))


@report
def data_that_are_not_finite(k: Any) -> Any:
    x = X.copy()
    x[3, 1] = np.nan
    return told(net(k), x=x, epochs=2)


@report
def targets_of_several_outputs_too_few(k: Any) -> Any:
    return told(two(k), y=[Y])


@report
def a_validation_split_of_a_generator(k: Any) -> Any:
    return told(net(k), x=(part for part in [(X, Y)]), y=None, batch_size=None, validation_split=0.2)


@report
def a_validation_split_of_all(k: Any) -> Any:
    return told(net(k), validation_split=1.0)


@report
def no_epochs(k: Any) -> Any:
    return told(net(k), epochs=0)


@report
def one_metric_twice(k: Any) -> Any:
    return told(net(k, metrics=["mse", "mse"]))


@report
def predictions_of_two_inputs_in_a_dict(k: Any) -> Any:
    a, b = k.Input((3,), name="a"), k.Input((3,), name="b")
    model = k.Model([a, b], k.layers.Subtract()([a, b]))
    return [model.predict(x, verbose=0).tolist() for x in ({"b": X[:2], "a": X[2:4]}, [X[2:4], X[:2]])]


@report
def dropout_is_for_training_alone(k: Any) -> Any:
    model = k.Sequential([k.Input((3,)), k.layers.Dropout(0.5)])
    return [model.predict(X[:2], verbose=0).tolist(), np.asarray(model(X[:2])).tolist()]


@report
def what_is_trained_by_names(k: Any) -> Any:
    model = normalized(k)
    return [[w.name for w in found] for found in (model.trainable_weights, model.non_trainable_weights)]


@report
def a_log_of_epochs(k: Any) -> Any:
    told(net(k), epochs=2, callbacks=[k.callbacks.CSVLogger("log.csv")], validation_data=(X, Y))
    return Path("log.csv").read_text().splitlines()[0]


@report
def a_loss_weight_of_zero(k: Any) -> Any:
    model = two(k, loss_weights=[1.0, 0.0])
    return [told(model, y=[Y, Y]), weights(model)]


@report
def decay_of_weights_leaves_biases_alone(k: Any) -> Any:
    optimizer = k.optimizers.AdamW(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    model = net(k, optimizer=optimizer)
    return [told(model, epochs=2), weights(model)]


@report
def a_regularizer_is_in_the_loss(k: Any) -> Any:
    model = k.Sequential([k.Input((3,)), k.layers.Dense(1, kernel_regularizer=k.regularizers.L2(0.1))])
    model.set_weights([KERNEL[:, :1], np.zeros(1)])
    model.compile(k.optimizers.SGD(0.1), "mse", metrics=["mse"])
    return [told(model, epochs=2), model.evaluate(X, Y, verbose=0)]


@report
def an_output_of_a_layer_within(k: Any) -> Any:
    model = k.Sequential([k.Input((3,)), k.layers.Dense(2, name="h"), k.layers.Dense(1)])
    model.set_weights([KERNEL[:, :2], np.ones(2), KERNEL[:2, :1], np.zeros(1)])
    return k.Model(model.inputs, model.get_layer("h").output).predict(X[:2], verbose=0).tolist()


@report
def a_layer_that_is_popped(k: Any) -> Any:
    model = k.Sequential([k.Input((3,)), k.layers.Dense(2), k.layers.Dense(1)])
    model.pop()
    return [model.output_shape, len(model.layers)]


@report
def two_layers_of_one_name(k: Any) -> Any:
    k.Sequential([k.Input((3,)), k.layers.Dense(2, name="h"), k.layers.Dense(1, name="h")])


# -- files


@report
def a_checkpoint_that_names_what_is_not_logged(k: Any) -> Any:
    return told(
        net(k),
        callbacks=[k.callbacks.ModelCheckpoint("{epoch}-{val_loss:.2f}.weights.h5", save_weights_only=True)],
    )


@report
def checkpoints_by_epoch_and_loss(k: Any) -> Any:
    name = "{epoch:02d}-{loss:.3f}.weights.h5"
    told(net(k), epochs=3, callbacks=[k.callbacks.ModelCheckpoint(name, save_weights_only=True)])
    return sorted(path.name for path in Path().iterdir())


@report
def a_checkpoint_of_the_best_alone(k: Any) -> Any:
    kept = k.callbacks.ModelCheckpoint(
        "best.weights.h5", "val_loss", save_best_only=True, save_weights_only=True
    )
    model = net(k)
    told(model, epochs=3, callbacks=[kept], validation_data=(X, -Y))
    again = net(k)
    again.load_weights("best.weights.h5")
    return weights(again)


@report
def weights_of_another_architecture(k: Any) -> Any:
    net(k).save_weights("kept.weights.h5")
    net(k, 2).load_weights("kept.weights.h5")


def answer(made: Report, k: Any) -> Any:
    """Return what a library answers: plain values, or an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return made(k)
        except Exception as error:
            return error


def alike(ours: Any, theirs: Any) -> bool:
    if isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(alike(ours[key], theirs[key]) for key in theirs)
    if isinstance(theirs, list | tuple):
        return len(ours) == len(theirs) and all(map(alike, ours, theirs))
    if isinstance(theirs, float):
        return bool(np.isclose(ours, theirs, rtol=1e-4, atol=1e-5, equal_nan=True))
    return bool(ours == theirs)


# What fastnn refuses on purpose, as it would train on something else than was meant; and what it takes.
REFUSED = {
    "two_columns_of_targets_for_one_output": r"y must have shape \(rows, 1\) .* got \(40, 2\)",
    "data_that_are_not_finite": r"x has 1 values that are NaN or infinite, the first at index \(3, 1\)",
}
TAKEN = {
    "class_and_sample_weights_together",  # they are multiplied
    "a_loss_weight_of_zero",  # of one loss for all outputs
}


@pytest.mark.parametrize("name", [name for name in REPORTS if name not in {*REFUSED, *TAKEN}])
def test_the_answer_is_that_of_keras(name: str, keras: Any, tmp_path: Path, monkeypatch: Any) -> None:
    answers = []
    for k in (fastnn, keras):
        folder = tmp_path / k.__name__
        folder.mkdir()
        monkeypatch.chdir(folder)
        answers.append(answer(REPORTS[name], k))
    ours, theirs = answers
    if isinstance(theirs, Exception):
        assert isinstance(ours, FastnnError), ours
    else:
        assert not isinstance(ours, Exception), ours
        assert alike(ours, theirs)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str, keras: Any) -> None:
    with pytest.raises(FastnnError, match=REFUSED[name]):
        REPORTS[name](fastnn)
    assert not isinstance(answer(REPORTS[name], keras), Exception)


@pytest.mark.parametrize("name", sorted(TAKEN))
def test_what_is_taken(name: str, keras: Any) -> None:
    REPORTS[name](fastnn)
    assert isinstance(answer(REPORTS[name], keras), Exception)


def test_weights_of_classes_and_rows_are_multiplied() -> None:
    y, rows = (Y > 0).astype("int32"), np.linspace(0.1, 1.0, 40)
    both = rows * np.where(y[:, 0] == 1, 3.0, 1.0)
    model = net(fastnn, 1, "sigmoid", "binary_crossentropy")
    assert REPORTS["class_and_sample_weights_together"](fastnn) == told(model, y=y, sample_weight=both)


def test_a_loss_that_stops_being_finite_leaves_finite_weights() -> None:
    """Keras goes on with NaN in all weights."""
    model = net(fastnn, optimizer=fastnn.optimizers.SGD(1e30))
    with pytest.warns(NonFiniteWarning, match="the loss was not finite in epoch 1; training stopped"):
        found = told(model, epochs=5)
    assert len(found["loss"]) == 1
    assert np.isnan(found["loss"][0])
    assert np.isfinite(model.get_weights()[0]).all()
