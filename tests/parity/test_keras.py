"""The same script with Keras 3 (on PyTorch) and with fastnn as `keras`: the same numbers.

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

CLOSE = {"rtol": 1e-4, "atol": 1e-5}
RNG = np.random.default_rng(31)
X = RNG.standard_normal((50, 4)).astype(np.float32)
LABELS = RNG.integers(0, 3, 50)
SCORES = X @ RNG.standard_normal((4, 3)).astype(np.float32)
ONE_HOT = np.eye(3, dtype=np.float32)[LABELS]
MANY = (SCORES > 0).astype(np.float32)
ONE = MANY[:, :1]
WEIGHTS = RNG.random(50).astype(np.float32) * 2
NEW = RNG.standard_normal((20, 4)).astype(np.float32)


# The part of the script that depends on the case: what the last layer is, loss, metrics, targets.
CASES: dict[str, tuple[int, str | None, Callable[[Any], Any], list[Any], np.ndarray]] = {
    "mse": (3, None, lambda k: "mse", ["mse", "mean_squared_error"], SCORES),
    "mse by class, sum": (3, None, lambda k: k.losses.MeanSquaredError(reduction="sum"), ["mse"], SCORES / 4),
    "mae": (3, None, lambda k: "mae", ["mse", "mae", "RootMeanSquaredError"], SCORES),
    "huber": (3, None, lambda k: "huber", ["mse"], SCORES),
    "huber, delta": (3, None, lambda k: k.losses.Huber(0.3, reduction="sum"), ["mse"], SCORES),
    "mae, sum": (3, None, lambda k: k.losses.MeanAbsoluteError(reduction="sum"), ["mse"], SCORES),
    "ce": (3, "softmax", lambda k: "categorical_crossentropy", ["accuracy"], ONE_HOT),
    "ce, logits": (
        3,
        None,
        lambda k: k.losses.CategoricalCrossentropy(from_logits=True),
        ["acc", "categorical_accuracy"],
        ONE_HOT,
    ),
    "ce after sigmoid": (3, "sigmoid", lambda k: "categorical_crossentropy", ["accuracy"], ONE_HOT),
    "sparse ce": (3, "softmax", lambda k: "sparse_categorical_crossentropy", ["accuracy"], LABELS),
    "sparse ce, logits": (
        3,
        None,
        lambda k: k.losses.SparseCategoricalCrossentropy(from_logits=True),
        ["sparse_categorical_accuracy"],
        LABELS,
    ),
    "bce": (1, "sigmoid", lambda k: "binary_crossentropy", ["accuracy", "binary_accuracy"], ONE),
    "bce of three": (3, "sigmoid", lambda k: "binary_crossentropy", ["accuracy", "binary_accuracy"], MANY),
    "bce, logits": (3, None, lambda k: k.losses.BinaryCrossentropy(from_logits=True), ["mse"], MANY),
    "bce after softmax": (3, "softmax", lambda k: "binary_crossentropy", ["binary_accuracy"], ONE_HOT),
}

OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "sgd by name": lambda k: "sgd",
    "SGD": lambda k: k.optimizers.SGD(learning_rate=0.1),
    "momentum": lambda k: k.optimizers.SGD(learning_rate=0.05, momentum=0.9),
    "Nesterov": lambda k: k.optimizers.SGD(learning_rate=0.05, momentum=0.9, nesterov=True),
    "adam by name": lambda k: "adam",
    "Adam": lambda k: k.optimizers.Adam(0.02),
    "Adam, all arguments": lambda k: k.optimizers.Adam(0.02, beta_1=0.8, beta_2=0.95, epsilon=1e-3),
    "rmsprop by name": lambda k: "rmsprop",
    "RMSprop": lambda k: k.optimizers.RMSprop(0.01, rho=0.8, epsilon=1e-4),
}


def build(k: Any, case: str, l2: float = 0.0, hidden: str = "tanh") -> Any:
    units, activation, *_ = CASES[case]
    penalty = k.regularizers.L2(l2) if l2 else None
    return k.Sequential(
        [
            k.Input((4,)),
            k.layers.Dense(8, activation=hidden, kernel_regularizer=penalty),
            k.layers.Dense(6),
            k.layers.Activation("sigmoid"),
            k.layers.Dense(
                units, activation=activation, kernel_regularizer=penalty, bias_regularizer=penalty
            ),
        ]
    )


def pair(keras: Any, case: str, optimizer: str = "Adam", **options: Any) -> tuple[Any, Any]:
    """Return the two models, compiled, with the same weights."""
    theirs, ours = (build(k, case, **options) for k in (keras, fastnn))
    draw = np.random.default_rng(5)
    weights = [draw.normal(0, 0.5, w.shape).astype(np.float32) for w in ours.get_weights()]
    for k, model in ((keras, theirs), (fastnn, ours)):
        model.set_weights(weights)
        _, _, loss, metrics, _ = CASES[case]
        model.compile(optimizer=OPTIMIZERS[optimizer](k), loss=loss(k), metrics=list(metrics))
    return theirs, ours


def assert_same(theirs: Any, ours: Any) -> None:
    """Assert equal weights and equal predictions on new rows."""
    for a, b in zip(theirs.get_weights(), ours.get_weights(), strict=True):
        np.testing.assert_allclose(b, a, **CLOSE)
    np.testing.assert_allclose(ours.predict(NEW, verbose=0), theirs.predict(NEW, verbose=0), **CLOSE)


def fit_both(theirs: Any, ours: Any, x: np.ndarray, y: np.ndarray, **options: Any) -> None:
    """Assert equal histories, and then equal models."""
    options = {"batch_size": 16, "epochs": 3, "shuffle": False, "verbose": 0, **options}
    expected, found = theirs.fit(x, y, **options), ours.fit(x, y, **options)
    assert found.epoch == expected.epoch
    assert set(found.history) == set(expected.history)
    for name, values in expected.history.items():
        np.testing.assert_allclose(found.history[name], values, err_msg=name, **CLOSE)
    assert_same(theirs, ours)


@pytest.mark.filterwarnings("ignore::fastnn.errors.TrainingWarning")  # combinations, whether sensible or not
@pytest.mark.parametrize("case", CASES)
def test_predict_evaluate_and_fit_on_every_loss(keras: Any, case: str) -> None:
    theirs, ours = pair(keras, case)
    y = CASES[case][4]
    assert_same(theirs, ours)
    for weights in (None, WEIGHTS):
        options = {"batch_size": 16, "verbose": 0, "sample_weight": weights}
        expected = theirs.evaluate(X, y, return_dict=True, **options)
        found = ours.evaluate(X, y, return_dict=True, **options)
        assert set(found) == set(expected)
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, err_msg=name, **CLOSE)
        in_order = ours.evaluate(X, y, **options)
        np.testing.assert_allclose(in_order, theirs.evaluate(X, y, **options), **CLOSE)
    fit_both(theirs, ours, X, y)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("case", ["mse", "ce", "sparse ce", "bce"])
def test_every_optimizer_with_a_penalty(keras: Any, case: str, optimizer: str) -> None:
    theirs, ours = pair(keras, case, optimizer, l2=0.02)
    fit_both(theirs, ours, X, CASES[case][4], epochs=4)


@pytest.mark.parametrize("hidden", ["linear", "sigmoid", "tanh", "relu", "softmax", "softplus", "softsign"])
def test_every_activation(keras: Any, hidden: str) -> None:
    fit_both(*pair(keras, "sparse ce", hidden=hidden), X, LABELS)


@pytest.mark.parametrize(
    "options",
    [
        {"validation_split": 0.3},
        {"validation_data": (NEW, LABELS[:20])},
        {"validation_data": (NEW, LABELS[:20], WEIGHTS[:20])},
        {"validation_split": 0.3, "sample_weight": WEIGHTS},
        {"class_weight": {0: 1.0, 1: 3.0, 2: 0.5}},
        {"class_weight": {0: 1.0, 1: 3.0, 2: 0.5}, "validation_data": (NEW, LABELS[:20])},
        {"class_weight": {0: 1.0, 1: 3.0, 2: 0.5}, "validation_split": 0.3},
        {"sample_weight": WEIGHTS},
        {"initial_epoch": 2, "epochs": 5},
        {"batch_size": 1},
        {"batch_size": 7},
        {"batch_size": 500},
        {"batch_size": None},
    ],
    ids=lambda options: ", ".join(options),
)
def test_every_option_of_fit(keras: Any, options: dict[str, Any]) -> None:
    fit_both(*pair(keras, "sparse ce", l2=0.01), X, LABELS, **options)


def test_class_weights_of_one_hot_rows_and_of_one_output(keras: Any) -> None:
    fit_both(*pair(keras, "ce"), X, ONE_HOT, class_weight={0: 1.0, 1: 3.0, 2: 0.5})
    fit_both(*pair(keras, "bce"), X, ONE, class_weight={0: 1.0, 1: 3.0})


def test_fits_one_after_the_other_go_on(keras: Any) -> None:
    theirs, ours = pair(keras, "ce")
    for _ in range(3):
        fit_both(theirs, ours, X, ONE_HOT, epochs=1)


@pytest.mark.parametrize("frozen", [[0], [1], [0, 1]], ids=str)
@pytest.mark.parametrize("l2", [0.0, 0.05])
def test_frozen_layers(keras: Any, frozen: list[int], l2: float) -> None:
    theirs, ours = pair(keras, "sparse ce", l2=l2)
    for k, model in ((keras, theirs), (fastnn, ours)):
        for index in frozen:
            model.layers[index].trainable = False
        model.compile(k.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"])
    fit_both(theirs, ours, X, LABELS)


def test_callbacks_see_the_same(keras: Any) -> None:
    """One class body for both libraries: what a user's own callback is told, and what it can do."""
    seen: dict[str, list[Any]] = {"keras": [], "fastnn": []}

    def callback(k: Any) -> Any:
        class Watch(k.callbacks.Callback):
            def on_train_begin(self, logs: Any = None) -> None:
                seen[k.__name__].append("begin")

            def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
                seen[k.__name__].append(epoch)

            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                seen[k.__name__].append((epoch, sorted(logs)))
                self.model.optimizer.learning_rate = 0.02 / (epoch + 2)
                if epoch == 3:
                    self.model.stop_training = True

            def on_train_end(self, logs: Any = None) -> None:
                seen[k.__name__].append("end")

        return Watch()

    theirs, ours = pair(keras, "sparse ce")
    options: dict[str, Any] = {"batch_size": 16, "epochs": 9, "shuffle": False, "verbose": 0}
    expected = theirs.fit(X, LABELS, validation_split=0.2, callbacks=[callback(keras)], **options)
    found = ours.fit(X, LABELS, validation_split=0.2, callbacks=[callback(fastnn)], **options)
    assert seen["fastnn"] == seen["keras"]
    assert found.epoch == expected.epoch == [0, 1, 2, 3]
    for name, values in expected.history.items():
        np.testing.assert_allclose(found.history[name], values, err_msg=name, **CLOSE)
    assert_same(theirs, ours)


@pytest.mark.parametrize("stop", [False, True])
def test_callbacks_between_batches_see_the_same(keras: Any, stop: bool) -> None:
    theirs, ours = pair(keras, "sparse ce", l2=0.02)
    seen: dict[str, list[tuple[str, int, dict[str, float]]]] = {"keras": [], "fastnn": []}
    histories = []
    for k, model in ((keras, theirs), (fastnn, ours)):
        calls = seen[k.__name__]

        class Watch(k.callbacks.Callback):
            def on_train_batch_begin(self, batch: int, logs: Any = None, calls: Any = calls) -> None:
                calls.append(("begin", batch, {}))

            def on_train_batch_end(self, batch: int, logs: Any = None, calls: Any = calls) -> None:
                calls.append(("end", batch, dict(logs)))
                if stop and len(calls) == 12:
                    self.model.stop_training = True

        options: dict[str, Any] = {"batch_size": 16, "epochs": 3, "shuffle": False, "verbose": 0}
        histories.append(model.fit(X, LABELS, callbacks=[Watch()], **options).history)
    assert [call[:2] for call in seen["fastnn"]] == [call[:2] for call in seen["keras"]]
    for (_, _, found), (_, _, expected) in zip(seen["fastnn"], seen["keras"], strict=True):
        assert set(found) == set(expected)
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, err_msg=name, **CLOSE)
    for name, values in histories[0].items():
        np.testing.assert_allclose(histories[1][name], values, err_msg=name, **CLOSE)
    assert_same(theirs, ours)


def test_names_shapes_and_counts_are_those_of_keras(keras: Any) -> None:
    theirs, ours = pair(keras, "sparse ce")
    assert ours.count_params() == theirs.count_params()
    assert [w.shape for w in ours.get_weights()] == [w.shape for w in theirs.get_weights()]
    assert len(ours.layers) == len(theirs.layers)
    for a, b in zip(theirs.layers, ours.layers, strict=True):
        assert [w.shape for w in b.get_weights()] == [w.shape for w in a.get_weights()]


# -- losses of outputs that no sigmoid or softmax made, at the bounds that they are clipped to

PROBABILITIES = (0.0, 1e-8, 1e-7, 0.5, 1 - 1e-7, 1.0)


def loss_and_slope(loss: str, p: np.ndarray, t: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the loss of outputs p (1, n), and its gradient by them, which is that of a bias."""
    units = p.shape[1]
    model = fastnn.Sequential([fastnn.Input((units,)), fastnn.layers.Dense(units)], dtype=p.dtype.name)
    model.set_weights([np.eye(units), np.zeros(units)])
    model.compile("sgd", loss)
    value, gradients = model.loss_and_gradients(p, t)
    return value, gradients["dense/bias"]


def keras_loss_and_slope(keras: Any, loss: str, p: np.ndarray, t: np.ndarray) -> tuple[float, np.ndarray]:
    y = keras.ops.convert_to_tensor(p).detach().requires_grad_()
    value = getattr(keras.losses, loss)(keras.ops.convert_to_tensor(t), y).mean()
    value.backward()
    return float(value.detach()), y.grad.numpy().reshape(-1)


@pytest.mark.filterwarnings("ignore::fastnn.errors.TrainingWarning")  # combinations, whether sensible or not
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("target", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("probability", PROBABILITIES)
def test_binary_crossentropy_is_clipped_as_in_keras(
    keras: Any, probability: float, target: float, dtype: str
) -> None:
    p, t = np.array([[probability]], dtype), np.array([[target]], dtype)
    expected = keras_loss_and_slope(keras, "binary_crossentropy", p, t)
    value, slope = loss_and_slope("binary_crossentropy", p, t)
    assert value == pytest.approx(expected[0], rel=1e-6)
    np.testing.assert_allclose(slope, expected[1], rtol=1e-5)


@pytest.mark.filterwarnings("ignore::fastnn.errors.TrainingWarning")  # combinations, whether sensible or not
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("label", [0, 1, 2, None])
@pytest.mark.parametrize("first", PROBABILITIES)
def test_crossentropy_is_clipped_as_in_keras(keras: Any, first: float, label: int | None, dtype: str) -> None:
    for p in ([first, 1 - first, 0.0], [first, 1e-8, 1e-7], [3 * first, 1.0, 2.0]):
        t = np.array([[0.5, 0.25, 0.25]]) if label is None else np.eye(3)[[label]]
        y = np.array([p], dtype)
        expected = keras_loss_and_slope(keras, "categorical_crossentropy", y, t.astype(dtype))
        value, slope = loss_and_slope("categorical_crossentropy", y, t)
        assert value == pytest.approx(expected[0], rel=1e-6), p
        np.testing.assert_allclose(slope, expected[1], rtol=1e-5, atol=1e-7, err_msg=str(p))
        if label is not None:
            again = loss_and_slope("sparse_categorical_crossentropy", y, np.array([label]))
            assert again[0] == value
            np.testing.assert_array_equal(again[1], slope)
