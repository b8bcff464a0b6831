"""Losses that are functions of Python: trained as the kernels' own, refused where they return nonsense."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import DTYPES

import fastnn
from fastnn import callbacks, layers, losses, optimizers
from fastnn.errors import (
    ConfigurationError,
    DataError,
    DTypeError,
    NonFiniteWarning,
    ShapeError,
    TrainingWarning,
)

RNG = np.random.default_rng(11)
X = RNG.normal(0, 1, (22, 3)).astype(np.float32)
Y = RNG.normal(0, 1, (22, 2)).astype(np.float32)
WEIGHTS = RNG.uniform(0, 2, 22)
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def mse(y_true: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    error = y_pred - y_true
    return (error**2).mean(axis=1), 2 * error / error.shape[1]


def mse_of_batch(y_true: np.ndarray, y_pred: np.ndarray) -> tuple[float, np.ndarray]:
    error = y_pred - y_true
    return float((error**2).mean()), 2 * error / error.size


class Power(losses.Loss):
    def __init__(self, power: int = 2, **options: Any) -> None:
        super().__init__(**options)
        self.power = power

    def call(self, y_true: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        error = y_pred - y_true
        return (error**self.power).mean(axis=1), self.power * error ** (self.power - 1) / error.shape[1]

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"power": self.power}


def net(loss: Any, optimizer: Any = "sgd", dtype: str = "float32", **options: Any) -> fastnn.Sequential:
    parts = [
        fastnn.Input((3,)),
        layers.Dense(6, "tanh", kernel_regularizer="l2"),
        layers.Dropout(0.25),
        layers.BatchNormalization(),
        layers.Dense(2, name="out"),
    ]
    model = fastnn.Sequential(parts, dtype=dtype, seed=2)
    model.compile(optimizer, loss, **options)
    return model


def assert_same(found: Any, wanted: Any, tolerance: float = 1e-5) -> None:
    assert list(found) == list(wanted)
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, rtol=tolerance, atol=tolerance, err_msg=name)


def assert_same_weights(found: Any, wanted: Any) -> None:
    for a, b in zip(found.get_weights(), wanted.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, **CLOSE)


OPTIMIZERS: dict[str, Any] = {
    "adam": lambda: optimizers.Adam(0.01, epsilon=1e-2),
    "clipped": lambda: optimizers.SGD(0.1, momentum=0.9, global_clipnorm=0.1, weight_decay=0.01),
    "sums": lambda: optimizers.Adam(0.01, epsilon=1e-2, gradient_accumulation_steps=2, clipvalue=0.05),
    "averages": lambda: optimizers.SGD(0.005, use_ema=True, ema_momentum=0.5),
    "schedule": lambda: optimizers.SGD(optimizers.schedules.ExponentialDecay(0.01, 3, 0.5)),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_it_is_trained_as_the_kernels_own(optimizer: str, reduction: str, weighted: bool) -> None:
    """Dropout, moments of the batch, penalties, a short last batch, validation: all as without Python."""
    found, wanted = [], []
    for loss, kept in ((Power(reduction=reduction), found), (losses.MeanSquaredError(reduction), wanted)):
        model = net(loss, OPTIMIZERS[optimizer](), metrics=["mae"], weighted_metrics=["mse"])
        weights = WEIGHTS if weighted else None
        kept += [model.fit(X, Y, 8, 3, 0, sample_weight=weights, validation_split=0.2).history, model]
    assert_same(found[0], wanted[0])
    assert_same_weights(found[1], wanted[1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("function", [mse, mse_of_batch])
def test_every_way_to_the_loss_agrees(function: Any, reference: bool, dtype: str) -> None:
    tolerance = 2e-6 if dtype == "float32" else 1e-12
    ours, theirs = net(function, dtype=dtype, reference=reference), net("mse", dtype=dtype)
    for call in (
        lambda model: {"loss": model.train_on_batch(X, Y)},
        lambda model: {"loss": model.test_on_batch(X, Y)},
        lambda model: {"loss": model.evaluate(X, Y, batch_size=5)},
        lambda model: {"loss": model.loss_and_gradients(X, Y)[0]},
        lambda model: model.loss_and_gradients(X[:3], Y[:3], step=4)[1],
        lambda model: model.fit(X, Y, 22, 2, 0).history,
    ):
        assert_same(call(ours), call(theirs), tolerance)
    assert ours.optimizer.iterations == theirs.optimizer.iterations == 3


def test_what_it_is_given() -> None:
    seen: list[Any] = []

    def loss(y_true: np.ndarray, y_pred: np.ndarray) -> Any:
        seen.append(
            (y_true.copy(), y_pred.dtype, y_true.dtype, y_true.flags.writeable, y_pred.flags.writeable)
        )
        return (y_pred[:, 0] - y_true[:, 0]) ** 2, np.stack(
            [2 * (y_pred[:, 0] - y_true[:, 0]), np.zeros(len(y_pred))], axis=1
        )

    model = net(loss)
    model.fit(X, np.arange(22), batch_size=8, shuffle=False, verbose=0)  # one target for two outputs
    assert [len(one[0]) for one in seen] == [8, 8, 6]
    assert np.concatenate([one[0] for one in seen]).ravel().tolist() == list(range(22))
    assert {one[1:] for one in seen} == {(np.dtype("float32"), np.dtype("float32"), False, False)}
    assert np.concatenate([one[0] for one in seen]).shape == (22, 1)


def test_the_order_of_rows_is_that_of_other_losses() -> None:
    orders: list[list[float]] = [[], []]

    class Rows(callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            orders[1].append(logs["loss"])

    def loss(y_true: np.ndarray, y_pred: np.ndarray) -> Any:
        orders[0].append(float(y_true.mean()))
        return y_true.mean(axis=1), np.zeros(y_pred.shape)

    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(2, kernel_initializer="zeros")], seed=4)
    model.compile(optimizers.SGD(0.0), "mae")
    model.fit(X, abs(Y), 1, 2, 0, callbacks=[Rows()])  # of one row: the loss is the mean of its targets
    model.compile(optimizers.SGD(0.0), loss)
    model.fit(X, abs(Y), 1, 2, 0)
    running = np.reshape(orders[1], (2, 22)) * np.arange(1, 23)
    rows = np.diff(running, axis=1, prepend=0.0)
    np.testing.assert_allclose(np.reshape(orders[0], (2, 22)), rows, atol=1e-5)
    assert not np.allclose(rows[0], rows[1])


def graph(loss: Any, **options: Any) -> fastnn.Model:
    x = fastnn.Input((3,), name="x")
    h = layers.Dense(5, "tanh")(x)
    ends = [layers.Dense(2, name="a")(h), layers.Dense(1, "sigmoid", name="b")(h)]
    model = fastnn.Model(x, ends, seed=3)
    model.compile(optimizers.SGD(0.1), loss, **options)
    return model


@pytest.mark.parametrize("shape", [list, dict])
def test_some_outputs_have_one_and_others_not(shape: Any) -> None:
    targets = [Y, (X[:, :1] > 0).astype(np.float32)]
    given = targets if shape is list else dict(zip("ab", targets, strict=True))
    found = []
    for loss in (mse, "mse"):
        one = [loss, "binary_crossentropy"] if shape is list else {"a": loss, "b": "binary_crossentropy"}
        model = graph(one, loss_weights=[0.5, 2.0], metrics=[["mae"], ["accuracy"]])
        history = model.fit(X, given, 8, 4, 0, validation_data=(X, given)).history
        found.append(
            (
                history,
                model.evaluate(X, given, return_dict=True),
                model.loss_and_gradients(X, given)[1],
                model,
            )
        )
    for ours, theirs in zip(found[0][:3], found[1][:3], strict=True):
        assert_same(ours, theirs)
    assert_same_weights(found[0][3], found[1][3])
    assert list(found[0][1]) == ["loss", "a_loss", "b_loss", "a_mae", "b_accuracy"]


def test_a_tensor_that_is_an_output_and_goes_on() -> None:
    def made(losses_: Any) -> fastnn.Model:
        x = fastnn.Input((3,))
        h = layers.Dense(2, name="a")(x)
        model = fastnn.Model(x, {"a": h, "same": h, "b": layers.Dense(2, name="b")(h)}, seed=1)
        model.compile("sgd", losses_)
        return model

    ours, theirs = made({"a": mse, "same": "mae", "b": mse}), made({"a": "mse", "same": "mae", "b": "mse"})
    given = {"a": Y, "same": Y, "b": Y}
    assert_same(ours.fit(X, given, 8, 3, 0).history, theirs.fit(X, given, 8, 3, 0).history)
    assert_same_weights(ours, theirs)
    assert fastnn.gradcheck(ours, X, given).largest < 1e-6


def test_class_weights_need_a_value_a_row(refused: Any) -> None:
    labels = (X[:, 0] > 0).astype(int)

    def hinge(y_true: np.ndarray, y_pred: np.ndarray) -> Any:
        signs = 2 * y_true - 1
        return np.maximum(0, 1 - signs * y_pred).sum(1), np.where(signs * y_pred < 1, -signs, 0)

    def made(loss: Any) -> fastnn.Sequential:
        model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(1)], seed=0)
        model.compile("sgd", loss)
        return model

    ours, theirs = made(hinge), made("hinge")
    for weights in ({0: 2.0, 1: 0.5}, "balanced"):
        histories = [model.fit(X, labels, 8, 2, 0, class_weight=weights).history for model in (ours, theirs)]
        assert_same(*histories)
    total = made(lambda t, y: (0.0, np.zeros(y.shape)))
    for options in ({"class_weight": {0: 2.0}}, {"sample_weight": np.ones(22)}):
        with refused(total, ConfigurationError, match="loss 'lambda' returned one number for all rows"):
            total.fit(X, labels, verbose=0, **options)


NAN = np.full((22, 2), np.nan)
BAD: dict[str, tuple[Callable[..., Any], type[Exception], str]] = {
    "values alone": (
        lambda t, y: ((y - t) ** 2).mean(axis=1),
        DTypeError,
        r"loss 'lambda' returned an array of shape .*return \(value, gradient\), as\n +def .*\n +return",
    ),
    "a number alone": (lambda t, y: 3.0, DTypeError, r"returned a number.*\(value, gradient\)"),
    "three": (lambda t, y: (1.0, y, y), DTypeError, "returned a tuple of 3"),
    "nothing": (lambda t, y: None, DTypeError, "returned NoneType"),
    "values": (
        lambda t, y: (y, y),
        ShapeError,
        r"value that loss 'lambda' returned has shape \(22, 2\); it must",
    ),
    "few values": (lambda t, y: (y[:3, 0], y), ShapeError, r"has shape \(3,\); it must .* 22 rows"),
    "one column": (lambda t, y: (y[:, 0], y[:, 0]), ShapeError, r"gradient .* has shape \(22,\).*\(22, 2\)"),
    "text": (lambda t, y: ("much", y), DTypeError, "value that loss 'lambda' returned"),
    "complex": (lambda t, y: (1.0, y * 1j), DTypeError, "gradient that loss 'lambda' returned"),
    "None": (lambda t, y: (1.0, None), DTypeError, "gradient that loss 'lambda' returned is None"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_value_and_gradient_is_refused(case: str, refused: Any) -> None:
    function, error, message = BAD[case]
    model = net(function, optimizers.Adam())
    for call in (
        lambda: model.fit(X, Y, batch_size=22, verbose=0),
        lambda: model.train_on_batch(X, Y),
        lambda: model.evaluate(X, Y, batch_size=22),
        lambda: model.loss_and_gradients(X, Y),
        lambda: fastnn.gradcheck(model, X, Y),
    ):
        with refused(model, error, match=message):
            call()


def test_what_it_raises_passes_with_its_name(refused: Any) -> None:
    def broken(y_true: np.ndarray, y_pred: np.ndarray) -> Any:
        return {}["missing"]

    def writes(y_true: np.ndarray, y_pred: np.ndarray) -> Any:
        y_pred -= y_true

    for function, error in ((broken, KeyError), (writes, ValueError), (lambda y: y, TypeError)):
        model = net(function)
        with refused(model, error, match="raised by loss '(broken|writes|lambda)', given y_true of shape"):
            model.fit(X, Y, verbose=0)


@pytest.mark.parametrize("where", ["value", "gradient"])
def test_what_is_not_finite_ends_training_as_ever(where: str) -> None:
    bad = 5

    def loss(y_true: np.ndarray, y_pred: np.ndarray) -> Any:
        nonlocal bad
        bad -= 1
        value, gradient = mse(y_true, y_pred)
        if bad < 0:
            (value if where == "value" else gradient)[1] = np.inf
        return value, gradient

    model = net(loss, "adam")
    after_an_epoch: list[Any] = []
    keep = callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: after_an_epoch.append(model.get_weights())
    )
    with pytest.warns(
        NonFiniteWarning, match=f"epoch 2 .of what loss 'loss' returned, the {where} is inf at"
    ):
        history = model.fit(X, Y, 8, 4, 0, callbacks=[keep]).history
    assert np.isfinite(history["loss"][0])
    assert np.isnan(history["loss"][1])
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), after_an_epoch[0], strict=True))
    assert model.optimizer.iterations == 0
    assert model.stop_training is False
    before = model.get_weights()
    with pytest.warns(NonFiniteWarning, match=f"the {where} is inf at index .*step was not made"):
        assert np.isnan(model.train_on_batch(X, Y))
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))


def test_outputs_that_overflow_do_not_reach_it() -> None:
    def loss(y_true: np.ndarray, y_pred: np.ndarray) -> Any:
        assert np.isfinite(y_pred).all()
        return mse(y_true, y_pred)

    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(2), layers.Square(), layers.Square()], seed=0)
    model.compile("sgd", loss)
    with pytest.warns(NonFiniteWarning, match="the outputs are not finite"):
        model.train_on_batch(X * 1e12, Y)


@pytest.mark.parametrize(
    ("value", "gradient", "cause"),
    [
        (1e308, 0.0, "the sum of what loss 'loss' returned is inf"),
        (0.0, 1e40, "the gradient of loss 'loss' is too large for float32"),
    ],
)
def test_what_is_too_large_is_not_finite(value: float, gradient: float, cause: str) -> None:
    def loss(y_true: Any, y_pred: Any) -> Any:
        return np.full(len(y_pred), value), np.full(y_pred.shape, gradient)

    model = net(loss)
    before = model.get_weights()
    with pytest.warns(NonFiniteWarning, match=f"loss of this batch is not finite .{cause}"):
        model.train_on_batch(X, Y)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))


def test_a_callable_and_a_partial_have_the_names_of_what_they_are() -> None:
    from functools import partial

    class OddLoss:
        def __call__(self, y_true: np.ndarray, y_pred: np.ndarray) -> Any:
            return mse(y_true, y_pred)

    for given, name in ((OddLoss(), "odd_loss"), (partial(mse), "mse"), (lambda t, y: mse(t, y), "lambda")):
        found = losses.get(given)
        assert found.name == name
        net(given).fit(X, Y, verbose=0)


def test_a_class_has_a_name_and_a_configuration() -> None:
    loss = Power(4, reduction="sum")
    assert (loss.name, Power(name="mine").name) == ("power", "mine")
    assert loss.get_config() == {"reduction": "sum", "power": 4}
    again = Power.from_config(Power(4, name="mine").get_config())
    assert (again.power, again.name) == (4, "mine")
    with pytest.raises(ConfigurationError, match="unknown reduction 'average'"):
        Power(reduction="average")
    with pytest.raises(ConfigurationError, match="power with reduction='none' is one number a row"):
        net(Power(reduction="none"))
    net(Power).fit(X, Y, verbose=0)  # the class itself


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight", None])
def test_a_class_can_be_called_on_arrays(reduction: Any) -> None:
    ours, theirs = Power(reduction=reduction), losses.MeanSquaredError(reduction)
    deep = Y.reshape(11, 2, 2), X[:, :2].reshape(11, 2, 2)
    for arguments in ((Y, X[:, :2]), (Y, X[:, :2], WEIGHTS), (Y[0], X[0, :2]), (Y[:, :1], X[:, 0]), deep):
        np.testing.assert_allclose(ours(*arguments), theirs(*arguments), rtol=1e-6)
    with pytest.raises(ShapeError, match="they must have the same rows"):
        ours(Y[:3], X[:, :2])


@pytest.mark.parametrize("loss", [mse, mse_of_batch, Power(3)])
def test_the_gradient_of_ones_own_is_checked(loss: Any) -> None:
    report = fastnn.gradcheck(net(loss), X, Y)
    assert report.largest < 1e-6
    name = losses.get(loss).name
    assert f"y_pred of loss {name!r}" in report
    assert report.checked[f"y_pred of loss {name!r}"] == 44


def test_a_wrong_gradient_is_named() -> None:
    cases: dict[str, Callable[..., Any]] = {
        "it is 0.0454545 times the right one everywhere, so leave out the division": lambda t, y: (
            mse(t, y)[0],
            mse(t, y)[1] / len(y),
        ),
        "it is -1 times the right one everywhere": lambda t, y: (mse(t, y)[0], -mse(t, y)[1]),
        r"at row 3, output 1 it is 7, and differences of np.sum\(value\) give": lambda t, y: (
            mse(t, y)[0],
            np.where((np.arange(44) == 7).reshape(22, 2), 7.0, mse(t, y)[1]),
        ),
    }
    for message, function in cases.items():
        with pytest.warns(
            TrainingWarning, match=f"the gradient that loss 'lambda' returned is wrong.*{message}"
        ):
            report = fastnn.gradcheck(net(function), X, Y)
        assert report["y_pred of loss 'lambda'"] > 0.5


def mse_metric(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    return mse(y_true, y_pred)[0]


def test_copies_have_it_too() -> None:
    model = net(mse)
    model.fit(X, Y, verbose=0)
    wanted = model.evaluate(X, Y)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.evaluate(X, Y) == wanted
        other.fit(X, Y, verbose=0)
    assert fastnn.models.clone_model(model).compiled


def test_an_interrupted_training_goes_on(tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def run(folder: Path, stop: int | None) -> fastnn.Sequential:
        model, seen = net(mse, "adam", metrics=[mse_metric]), 0

        def step(batch: int, logs: Any) -> None:
            nonlocal seen
            seen += 1
            if seen == stop:
                raise Killed

        hooks = [
            callbacks.BackupAndRestore(folder, save_freq=1),
            callbacks.LambdaCallback(on_train_batch_end=step),
        ]
        model.fit(X, Y, 8, 4, 0, callbacks=hooks)
        return model

    whole = run(tmp_path / "a", None)
    with pytest.raises(Killed):
        run(tmp_path / "b", 5)
    again = run(tmp_path / "b", None)
    assert all(np.array_equal(a, b) for a, b in zip(again.get_weights(), whole.get_weights(), strict=True))
    assert whole.history is not None
    assert again.history is not None
    assert again.history.history["mse_metric"] == whole.history.history["mse_metric"][1:]


def test_batches_one_by_one() -> None:
    def batches() -> Any:
        return ((X[i : i + 8], Y[i : i + 8]) for i in range(0, 22, 8))

    fed, whole = net(mse, metrics=[mse_metric]), net("mse", metrics=["mse"])
    for _ in range(2):
        found = fed.fit(batches(), verbose=0, validation_data=batches()).history
        wanted = whole.fit(X, Y, 8, 1, 0, shuffle=False, validation_data=(X, Y)).history
        np.testing.assert_allclose(list(found.values()), list(wanted.values()), **CLOSE)
    steps = [m.fit(X, Y, 4, 2, 0, steps_per_epoch=3).history["loss"] for m in (fed, whole)]
    np.testing.assert_allclose(*steps, **CLOSE)


def test_all_else_that_takes_a_loss() -> None:
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(2)], seed=0, dtype="float64")
    model.compile("sgd", mse)
    assert "out" not in str(model.plan(8))
    assert model.profile(X, Y, batch_size=8).steps > 0
    optimizers.minimize_lbfgs(model, X, Y)
    design = np.column_stack([X, np.ones(22)]).astype(np.float64)
    best = np.linalg.lstsq(design, Y.astype(np.float64), rcond=None)[0]
    np.testing.assert_allclose(model.get_weights()[0], best[:3], atol=1e-4)


def test_targets_are_checked_as_ever(refused: Any) -> None:
    model = net(mse)
    for y, error, message in (
        (Y[:5], ShapeError, "y has 5 rows but x has 22"),
        (np.where(Y > 0, np.nan, Y), DataError, "y has .* NaN"),
        (None, DTypeError, "y is None"),
        (Y[:, :, None], ShapeError, r"y must have shape \(rows,\) or \(rows, columns\)"),
    ):
        with refused(model, error, match=message):
            model.fit(X, y, verbose=0)
