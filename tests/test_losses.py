"""Losses beside Keras's: several outputs for a target, deviances, weights of rows, bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers, losses, optimizers
from fastnn.errors import ConfigurationError, DataError, DTypeError, ShapeError, TrainingWarning
from fastnn.run.program import order_of_rows

RNG = np.random.default_rng(21)
X, AMOUNTS = RNG.normal(size=(20, 3)), RNG.uniform(0.1, 3, (20, 2))


def model(loss: Any, units: int = 2, activation: str | None = None, **options: Any) -> fastnn.Sequential:
    made = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(units, activation)], seed=1, dtype="float64")
    made.compile(optimizers.SGD(0.05), loss, **options)
    return made


@pytest.mark.parametrize("full", [False, True])
def test_gaussian_nll_is_that_of_torch(peer: Any, full: bool) -> None:
    torch = peer("torch")
    made = model(losses.GaussianNLL(full, eps=1e-3), 4)
    y = torch.tensor(made.predict(X), requires_grad=True)
    variance = torch.exp(y[:, 2:]) + 1e-3
    expected = torch.nn.GaussianNLLLoss(full=full, eps=1e-3)(y[:, :2], torch.tensor(AMOUNTS), variance)
    loss, gradients = made.loss_and_gradients(X, AMOUNTS)
    assert loss == pytest.approx(float(expected.detach()), rel=1e-12)
    (slope,) = torch.autograd.grad(expected, y)
    np.testing.assert_allclose(gradients["dense/bias"], slope.numpy().sum(0), rtol=1e-10)


def test_deviances_and_quantiles_are_those_of_scikit_learn(peer: Any) -> None:
    scores = peer("sklearn.metrics")
    for loss, name, options in (
        (losses.Gamma(), "mean_gamma_deviance", {}),
        (losses.Tweedie(1.3), "mean_tweedie_deviance", {"power": 1.3}),
        (losses.Quantile(0.8), "mean_pinball_loss", {"alpha": 0.8}),
    ):
        made = model(loss, 1, "exponential")
        y, t = made.predict(X)[:, 0], AMOUNTS[:, 0] * 1.0
        expected = getattr(scores, name)(t, y, **options)
        assert made.evaluate(X, t, verbose=0) == pytest.approx(expected, rel=1e-12)
    t[:3] = 0  # of no rain
    assert model(losses.Tweedie(), 1, "exponential").evaluate(X, t, verbose=0) > 0


def test_several_quantiles_have_an_output_each_and_one_target() -> None:
    levels = [0.1, 0.5, 0.9]
    several, t = model(losses.Quantile(levels), 3, metrics=["mae"]), AMOUNTS[:, 0]
    y = several.predict(X)
    e = t[:, None] - y
    loss, error = several.evaluate(X, t, verbose=0)  # type: ignore[misc]
    assert loss == pytest.approx(
        np.maximum(np.array(levels) * e, (np.array(levels) - 1) * e).mean(), rel=1e-12
    )
    assert error == pytest.approx(np.abs(e).mean())
    assert several.evaluate(X, np.stack([t, t, t], 1), verbose=0) == [loss, error]
    assert fastnn.gradcheck(several, X, t).largest < 1e-6
    history = several.fit(X, t, epochs=300, verbose=0).history["loss"]
    assert history[-1] < history[0] / 2
    assert (np.diff(several.predict(X), axis=1) > 0).mean() > 0.9


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: losses.Quantile(1.0), ConfigurationError, "a quantile must be"),
        (lambda: losses.Quantile([]), ConfigurationError, "quantiles must be 1 to 12, got 0"),
        (lambda: losses.Quantile([0.5] * 13), ConfigurationError, "quantiles must be 1 to 12, got 13"),
        (lambda: losses.Quantile("0.5"), DTypeError, "quantiles must be a number or a sequence"),
        (lambda: losses.Tweedie(2.0), ConfigurationError, "power must be"),
        (lambda: losses.GaussianNLL(eps=-1.0), ConfigurationError, "eps must be"),
        (lambda: losses.GaussianNLL("yes"), DTypeError, "full must be True or False"),
        (
            lambda: losses.BinaryFocalCrossentropy(1),
            DTypeError,
            "apply_class_balancing must be True or False",
        ),
        (lambda: losses.BinaryCrossentropy(label_smoothing=2), ConfigurationError, "label_smoothing must be"),
        (lambda: losses.SparseCategoricalCrossentropy(ignore_class=0.5), DTypeError, "ignore_class must be"),
        (lambda: losses.CosineSimilarity(0.5), DTypeError, "axis must be an integer"),
        (lambda: losses.Hinge(axis=0), DTypeError, "Hinge has no argument axis"),
        (lambda: losses.Hinge(dtype="float16"), ConfigurationError, "dtype must be 'float32' or 'float64'"),
        (lambda: losses.Dice(axis=(0, "a")), DTypeError, "axis must be an integer"),
        (lambda: losses.Tversky(alpha=-1.0), ConfigurationError, "alpha must be"),
        (lambda: losses.CategoricalGeneralizedCrossEntropy(1.0), ConfigurationError, "q must be"),
        (lambda: model(losses.Dice()), ConfigurationError, "dice has axis=None"),
        (lambda: model(losses.CosineSimilarity(axis=0)), ConfigurationError, "it must be -1 or 1"),
        (lambda: losses.MeanSquaredError(name=3), ConfigurationError, "a name must be"),
        (lambda: losses.Huber(detla=1.0), DTypeError, "did you mean delta"),
        (lambda: model(losses.Quantile([0.1, 0.9]), 3), ConfigurationError, "an output for each of its 2"),
        (lambda: model(losses.GaussianNLL(), 3), ConfigurationError, "2 outputs for each target"),
        (lambda: model("categorical_hinge", 1), ConfigurationError, "at least 2 outputs, one per class"),
        (
            lambda: model(losses.GaussianNLL(), 4, metrics=["mae"]),
            ConfigurationError,
            "has 2 outputs for each",
        ),
        (lambda: model(losses.Hinge(reduction=None)), ConfigurationError, "is one number a row"),
        (lambda: model(losses.GaussianNLL(), 4).evaluate(X, AMOUNTS[:, :1]), ShapeError, "for 2 outputs"),
        (
            lambda: model("gamma", 2, "softplus").fit(X, AMOUNTS * 0),
            DataError,
            "y must be above 0 for gamma, got 0",
        ),
        (
            lambda: model("tweedie", 2, "softplus").fit(X, -AMOUNTS),
            DataError,
            "y must be at least 0 for tweedie, got -",
        ),
        (lambda: model("hinge", 2).fit(X, np.arange(40).reshape(20, 2) % 3), DataError, "0 beside 2"),
        (lambda: model("mse").fit(X, AMOUNTS, class_weight="even"), DTypeError, "or 'balanced', got 'even'"),
        (lambda: model("mse", 1).fit(X, AMOUNTS[:, 0], class_weight="balanced"), DataError, "needs classes"),
    ],
)
def test_what_cannot_be_is_refused(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_arguments_of_keras_that_change_nothing_pass() -> None:
    assert losses.Poisson(dtype=None, name=None) == losses.Poisson()
    assert losses.BinaryCrossentropy(True, 0.1, axis=-1, name="b").label_smoothing == 0.1


def test_names_and_dtypes_are_kept() -> None:
    loss = losses.Poisson(name="counts", dtype="float64")
    assert (loss.name, loss.dtype) == ("counts", "float64")
    assert losses.deserialize(losses.serialize(loss)) == loss
    assert loss.get_config() == {"name": "counts", "dtype": "float64", "reduction": "sum_over_batch_size"}
    assert "dtype" not in losses.get("mse").get_config()
    rows = losses.MeanSquaredError(None, dtype="float64")([[0.1]], [[0.3]])
    assert (rows.dtype, rows[0]) == ("float64", (0.3 - 0.1) ** 2)
    assert losses.MeanSquaredError(None, dtype=np.float32)([[0.1]], np.array([[0.3]])).dtype == np.float32
    assert losses.serialize("mse") == losses.serialize(losses.mean_squared_error)
    assert losses.deserialize("huber") == losses.Huber()


def test_a_named_loss_trains_as_the_loss_does() -> None:
    one, other = model(losses.Huber(name="mine", dtype="float32")), model("huber")
    assert one.train_on_batch(X, AMOUNTS) == other.train_on_batch(X, AMOUNTS)


def test_balanced_class_weights_are_those_of_scikit_learn(peer: Any) -> None:
    weigh = peer("sklearn.utils.class_weight").compute_class_weight
    labels = np.array([0] * 11 + [2] * 6 + [1] * 3)
    weights = dict(enumerate(weigh("balanced", classes=np.arange(3), y=labels).tolist()))
    for loss, y in (
        ("sparse_categorical_crossentropy", labels),
        ("categorical_crossentropy", np.eye(3)[labels]),
        (losses.CategoricalHinge(), np.eye(3)[labels]),
    ):
        a, b = (model(loss, 3, "softmax") for _ in range(2))
        a.fit(X, y, class_weight="balanced", verbose=0)
        b.fit(X, y, class_weight=weights, verbose=0)
        np.testing.assert_array_equal(a.get_weights()[0], b.get_weights()[0])


@pytest.mark.parametrize("listening", [False, True])
def test_batches_of_a_shuffled_epoch_divide_by_their_own_weights(listening: bool) -> None:
    weights = RNG.uniform(0, 2, 20)
    loss = losses.MeanAbsoluteError("mean_with_sample_weight")
    fitted, stepped = model(loss), model("mae")
    callbacks = [fastnn.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)] * listening
    found = fitted.fit(
        X, AMOUNTS, batch_size=6, epochs=3, sample_weight=weights, callbacks=callbacks, verbose=0
    ).history["loss"]
    order, expected = np.empty(20, np.int32), []
    for epoch in range(3):
        order_of_rows(stepped.seed, epoch, order)
        total = 0.0
        for first in range(0, 20, 6):
            rows = order[first : first + 6]
            share = weights[rows] / weights[rows].mean()
            total += len(rows) * stepped.train_on_batch(X[rows], AMOUNTS[rows], share)  # type: ignore[operator]
        expected.append(total / 20)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(fitted.get_weights()[0], stepped.get_weights()[0], rtol=1e-12)
    value = fitted.evaluate(X, AMOUNTS, sample_weight=weights, batch_size=20, verbose=0)
    rows = np.abs(fitted.predict(X) - AMOUNTS).mean(1)
    assert value == pytest.approx((weights * rows).sum() / weights.sum(), rel=1e-12)
    assert fitted.loss_and_gradients(X, AMOUNTS, weights)[0] == pytest.approx(value, rel=1e-12)
    assert fastnn.gradcheck(fitted, X, AMOUNTS, weights).largest < 1e-6
    assert fitted.evaluate(X, AMOUNTS, sample_weight=weights * 0, verbose=0) == 0


def test_ignored_rows_are_as_if_they_were_not_there() -> None:
    labels = np.arange(20) % 3
    kept = labels != 1
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    ignoring, plain = model(loss, 3), model(losses.SparseCategoricalCrossentropy(from_logits=True), 3)
    holes = np.where(kept, labels, -1)
    value = ignoring.evaluate(X, holes, verbose=0)
    assert value == pytest.approx(plain.evaluate(X[kept], labels[kept], verbose=0), rel=1e-12)
    for made, rows, y in ((ignoring, slice(None), holes), (plain, kept, labels[kept])):
        made.train_on_batch(X[rows], y, class_weight="balanced")
    np.testing.assert_allclose(ignoring.get_weights()[0], plain.get_weights()[0], rtol=1e-12)
    with pytest.raises(DataError, match="labels in y must lie in 0 to 2"):
        ignoring.evaluate(X, holes - 1)


@pytest.mark.parametrize("loss", ["poisson", "gamma", "tweedie"])
def test_means_of_a_linear_layer_are_warned_of(loss: str) -> None:
    with pytest.warns(TrainingWarning, match=f"{loss} takes means above 0, but output 'dense' has no"):
        model(loss)
    model(loss, activation="softplus")


def test_both_means_are_one() -> None:
    weights = RNG.uniform(0, 2, 20)
    for name in ("mean", "sum_over_batch_size"):
        made = model(losses.LogCosh(name))
        assert made.evaluate(X, AMOUNTS, sample_weight=weights, batch_size=7, verbose=0) == pytest.approx(
            (weights * np.log(np.cosh(made.predict(X) - AMOUNTS)).mean(1)).mean(), rel=1e-12
        )


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
def test_zeros_stand_for_minus_one(loss: str) -> None:
    ones = np.resize([0.0, 1.0, 1.0], (20, 2))
    made = model(loss)
    assert made.evaluate(X, ones, verbose=0) == made.evaluate(X, 2 * ones - 1, verbose=0)


def test_several_outputs_weigh_their_rows_apart() -> None:
    x = fastnn.Input((3,))
    made = fastnn.Model(
        x, [layers.Dense(2, name="a")(x), layers.Dense(3, name="b")(x)], seed=0, dtype="float64"
    )
    ignoring = losses.SparseCategoricalCrossentropy(True, ignore_class=0)
    made.compile("sgd", [losses.MeanSquaredError("mean_with_sample_weight"), ignoring])
    labels, weights = np.arange(20) % 3, RNG.uniform(0, 2, 20)
    found = made.evaluate(
        X, [AMOUNTS, labels], sample_weight=weights, batch_size=32, return_dict=True, verbose=0
    )
    a, b = made.predict(X)
    assert found["a_loss"] == pytest.approx((weights * ((a - AMOUNTS) ** 2).mean(1)).sum() / weights.sum())
    rows = np.log(np.exp(b).sum(1)) - b[np.arange(20), labels]
    kept = labels != 0
    assert found["b_loss"] == pytest.approx((weights * rows)[kept].sum() / kept.sum())
    made.fit(X, [AMOUNTS, labels], sample_weight=weights, batch_size=7, verbose=0)
