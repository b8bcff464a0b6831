"""Descriptions: losses, metrics, optimizers, initializers, regularizers, activations.

Each computes Keras's formula, written out here in NumPy; keeps its numbers; refuses what cannot be;
and is found by its names.
"""

from __future__ import annotations

import dataclasses
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from formulas import ACTIVATIONS, LOSSES

import fastnn
from fastnn import (
    activations,
    constraints,
    initializers,
    kernels,
    layers,
    losses,
    metrics,
    optimizers,
    regularizers,
)
from fastnn.errors import ConfigurationError, DTypeError, FastnnError

RNG = np.random.default_rng(9)
X = RNG.standard_normal((12, 3))
LABELS = np.arange(12) % 4
ONE_HOT = np.eye(4)[LABELS]
SOFT = RNG.dirichlet(np.ones(4), 12)
MANY = (RNG.random((12, 4)) > 0.5).astype(float)
WEIGHTS = np.linspace(0, 2, 12)

ALL = [
    thing
    for module in (losses, optimizers, initializers, metrics, regularizers, constraints)
    for name, thing in vars(module).items()
    if name in module.__all__
    and isinstance(thing, type)
    and name == thing.__name__  # not by another one
    and name not in ("Loss", "Optimizer", "Initializer", "Metric", "Regularizer", "Constraint")
]


def model(activation: str | None, loss: Any, optimizer: Any = "sgd", measured: Any = None) -> Any:
    made = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(4, activation)], dtype="float64", seed=2)
    made.compile(optimizer, loss, metrics=measured)
    return made


# --- all of them ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: f"{cls.__module__}.{cls.__name__}")
def test_descriptions_are_values(cls: Any) -> None:
    needed = [
        f.name for f in dataclasses.fields(cls) if f.default is f.default_factory is dataclasses.MISSING
    ]
    others = {"num_classes": 3, "target_class_ids": (0, 2), "fn": np.subtract}
    one, other = (cls(**{name: others.get(name, 0.5) for name in needed}) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert pickle.loads(pickle.dumps(one)) == one
    assert repr(one).startswith(cls.__name__)
    # The learning rate of an optimizer may be set, as in Keras.
    fields = [f.name for f in dataclasses.fields(cls) if f.name != "learning_rate"]
    field = next(iter(fields), "name")
    with pytest.raises((dataclasses.FrozenInstanceError, AttributeError), match="cannot assign"):
        setattr(one, field, 1)


@pytest.mark.parametrize(
    "module", [losses, optimizers, initializers, regularizers, constraints], ids=lambda m: m.__name__
)
def test_get_takes_names_classes_and_instances_and_nothing_else(module: Any) -> None:
    for cls in ALL:
        if cls.__module__ == module.__name__ and module is not regularizers:
            assert module.get(cls.name) == module.get(cls) == module.get(cls()) == cls()
            assert module.get(cls.__name__) == cls()
    callables = [len] if module is not losses else []
    for bad in (3, 0.5, object(), ["sgd"], int, b"zeros", *callables):
        with pytest.raises(DTypeError, match=r"an? \w+ is a name"):
            module.get(bad)
    with pytest.raises(ConfigurationError, match=r"unknown \w+ 'qqqq'\. Known: "):
        module.get("qqqq")


@pytest.mark.parametrize(
    ("find", "given", "nearest"),
    [
        (losses.get, "binary_crossentropi", "binary_crossentropy"),
        (losses.get, "sparse_categorical_entropy", "sparse_categorical_crossentropy"),
        (losses.get, "mean_squarred_error", "mean_squared_error"),
        (optimizers.get, "adamm", "adam"),
        (optimizers.get, "rmspropp", "rmsprop"),
        (initializers.get, "he_norm", "he_normal"),
        (regularizers.get, "l22", "l2"),
        (activations.get, "sigmoidd", "sigmoid"),
        (activations.get, "soft_max", "softmax"),
        (lambda name: metrics.get(name, losses.get("mse"), 2), "acuracy", "accuracy"),
        (lambda name: metrics.get(name, losses.get("mse"), 2), "binary_acc", "binary_accuracy"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(
    find: Callable[[str], object], given: str, nearest: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"unknown .*{given!r}; did you mean '({nearest})'"):
        find(given)


def test_short_names() -> None:
    assert losses.get("mse") == losses.get("MSE") == losses.MeanSquaredError()
    assert losses.get("mae") == losses.get("MAE") == losses.MeanAbsoluteError()
    assert regularizers.get(None) is None
    assert regularizers.get("l2") == regularizers.get("L2") == regularizers.L2(0.01)
    assert activations.get(None) is activations.get("linear") is activations.get(activations.linear)
    assert optimizers.get("Adam") == optimizers.get("ADAM") == optimizers.Adam()
    for base in (losses.Loss, optimizers.Optimizer):
        with pytest.raises(FastnnError, match="base class"):
            base().code  # noqa: B018


# --- losses --------------------------------------------------------------------------------------------


CE, SCE, BCE = (
    losses.CategoricalCrossentropy,
    losses.SparseCategoricalCrossentropy,
    losses.BinaryCrossentropy,
)
# The model's activation, the loss and its options, targets, and the activation that its formula is of.
ROW_LOSSES: list[tuple[str | None, Any, dict[str, bool], np.ndarray, str]] = [
    (None, losses.MeanSquaredError, {}, SOFT, "linear"),
    ("softmax", losses.MeanSquaredError, {}, SOFT, "softmax"),
    ("softmax", CE, {}, ONE_HOT, "softmax"),
    ("softmax", CE, {}, SOFT, "softmax"),
    ("sigmoid", CE, {}, SOFT, "sigmoid"),
    (None, CE, {"from_logits": True}, SOFT, "softmax"),
    ("tanh", CE, {"from_logits": True}, SOFT, "softmax"),
    ("softmax", SCE, {}, LABELS, "softmax"),
    ("sigmoid", SCE, {}, LABELS, "sigmoid"),
    (None, SCE, {"from_logits": True}, LABELS, "softmax"),
    ("sigmoid", BCE, {}, MANY, "sigmoid"),
    ("sigmoid", BCE, {}, SOFT, "sigmoid"),
    ("softmax", BCE, {}, MANY, "softmax"),
    ("relu", BCE, {}, MANY, "relu"),
    (None, BCE, {"from_logits": True}, MANY, "sigmoid"),
]


def test_the_two_slopes_of_leaky_relu_are_told_where_readers_meet_them() -> None:
    """Keras has two defaults as well; so there they stand, in every text about either."""
    assert (
        activations.config_of("leaky_relu").numbers == layers.Dense(1, "leaky_relu").config.numbers == (0.2,)
    )
    assert layers.Activation(activations.leaky_relu).config.numbers == (0.2,)
    assert layers.LeakyReLU().config.numbers == layers.Dense(1, layers.LeakyReLU()).config.numbers == (0.3,)
    for thing in (
        activations,
        activations.leaky_relu,
        layers.LeakyReLU,
        layers.Activation,
        layers.Dense,
        kernels.leaky_relu_forward,
        kernels.leaky_relu_backward,
        kernels.dense_forward,
        kernels.dense_backward,
    ):
        text = " ".join((thing.__doc__ or "").split())
        assert "0.2" in text, thing
        assert "`LeakyReLU`" in text or thing is layers.LeakyReLU, thing
        assert "0.3" in text, thing


@pytest.mark.filterwarnings("ignore::fastnn.errors.TrainingWarning")  # combinations, whether sensible or not
@pytest.mark.parametrize(("activation", "cls", "options", "targets", "last"), ROW_LOSSES)
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
def test_losses_compute_keras_formulas(
    activation: str | None, cls: Any, options: dict[str, bool], targets: Any, last: str, weights: Any
) -> None:
    made = model(activation, cls(**options))
    kernel, _ = made.get_weights()
    z = X @ kernel
    if options:  # of scores, which may have an activation of their own before
        z = ACTIVATIONS[activation or "linear"](z)
    rows = LOSSES[cls.__name__].value(ACTIVATIONS[last](z), targets) * (1 if weights is None else weights)
    assert made.evaluate(X, targets, sample_weight=weights, verbose=0) == pytest.approx(rows.mean(), rel=1e-9)
    assert made.train_on_batch(X, targets, weights) == pytest.approx(rows.mean(), rel=1e-9)
    total = model(activation, cls(reduction="sum", **options))
    assert total.train_on_batch(X, targets, weights) == pytest.approx(rows.sum(), rel=1e-9)


def test_a_sum_is_that_of_each_batch_as_in_keras() -> None:
    made = model(None, losses.MeanSquaredError(reduction="sum"))
    (kernel, _) = made.get_weights()
    rows = ((X @ kernel - SOFT) ** 2).mean(1)
    parts = (8 * rows[:8].sum() + 4 * rows[8:].sum()) / 12
    assert made.evaluate(X, SOFT, batch_size=8, verbose=0) == pytest.approx(parts, rel=1e-12)
    made.optimizer.learning_rate = 0.0
    history = made.fit(X, SOFT, batch_size=8, shuffle=False, verbose=0)
    assert history.history["loss"] == pytest.approx([parts], rel=1e-12)


@pytest.mark.parametrize("scale", [1e3, 1e30])
def test_crossentropies_are_stable_far_out(scale: float) -> None:
    """The right class far ahead costs nothing, far behind its distance; nothing overflows."""
    x = np.array([[1.0, 0, 0], [0, 1, 0]]) * scale
    for loss, activation in (
        ("sparse_categorical_crossentropy", "softmax"),
        ("binary_crossentropy", "sigmoid"),
    ):
        made = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(3, activation)], seed=0)
        made.set_weights([np.eye(3), np.zeros(3)])
        made.compile("sgd", loss)
        right, wrong = ([0, 1], [1, 0]) if "sparse" in loss else (x > 0, np.eye(3)[[1, 0]])
        assert made.evaluate(x, right, verbose=0) <= math.log(2)
        expected = scale if "sparse" in loss else scale / 3
        assert made.evaluate(x, wrong, verbose=0) == pytest.approx(expected, rel=1e-2)
        _, gradients = made.loss_and_gradients(x / scale, right)
        assert all(np.isfinite(g).all() for g in gradients.values())


@pytest.mark.filterwarnings("ignore::fastnn.errors.TrainingWarning")  # combinations, whether sensible or not
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities_are_clipped_in_the_dtype_of_the_model(dtype: type) -> None:
    """In float32 the largest probability is 0.99999988, so the largest loss of a 1 is 15.942, not 16.118."""
    low, high = dtype(1e-7), dtype(1 - 1e-7)
    for given, used in ((0, low), (1e-8, low), (low, low), (0.5, 0.5), (high, high), (1, high)):
        made = fastnn.Sequential([fastnn.Input((1,)), layers.Dense(1)], dtype=np.dtype(dtype).name)
        made.set_weights([[[1.0]], [0.0]])
        made.compile("sgd", BCE())
        p = np.float64(used)
        for t, value, slope in ((1, -np.log(p), -1 / p), (0, -np.log1p(-p), 1 / (1 - p))):
            loss, gradients = made.loss_and_gradients(np.array([[given]], dtype), np.array([[t]], dtype))
            assert loss == pytest.approx(value, rel=1e-9)
            expected = slope if low <= dtype(given) <= high else 0.0
            assert gradients["dense/bias"][0] == pytest.approx(expected, rel=1e-6)
        made = fastnn.Sequential([fastnn.Input((2,)), layers.Dense(2)], dtype=np.dtype(dtype).name)
        made.set_weights([np.eye(2), np.zeros(2)])
        made.compile("sgd", CE())
        rows = np.array([[given, 1 - given]], dtype)
        loss, _ = made.loss_and_gradients(rows, np.array([[1, 0]], dtype))
        assert loss == pytest.approx(-np.log(p), rel=1e-9)


def test_impossible_losses_are_refused() -> None:
    for cls in (losses.MeanSquaredError, CE, SCE, BCE):
        with pytest.raises(ConfigurationError, match="unknown reduction 'median'"):
            cls(reduction="median")
    for cls in (CE, SCE, BCE):
        with pytest.raises(DTypeError, match="from_logits must be True or False"):
            cls(from_logits="no")


# --- the order of arguments is that of Keras ------------------------------------------------------------


def test_positional_arguments_mean_what_they_mean_in_keras() -> None:
    assert (optimizers.SGD(0.1, 0.9, True).momentum, optimizers.SGD(0.1, 0.9, True).nesterov) == (0.9, True)
    adam = optimizers.Adam(0.1, 0.8, 0.95, 1e-4)
    assert (adam.beta_1, adam.beta_2, adam.epsilon) == (0.8, 0.95, 1e-4)
    rmsprop = optimizers.RMSprop(0.1, 0.8, 0.5, 1e-3, True)
    assert (rmsprop.rho, rmsprop.momentum, rmsprop.epsilon, rmsprop.centered) == (0.8, 0.5, 1e-3, True)
    assert initializers.RandomNormal(1.0, 2.0) == initializers.RandomNormal(mean=1.0, stddev=2.0)
    assert regularizers.L2(0.5).l2 == 0.5
    assert layers.Dense(3, "relu", False).config.use_bias is False
    for cls in (CE, SCE, BCE):
        assert cls(True).logits


# --- metrics -------------------------------------------------------------------------------------------


def test_metrics_compute_keras_formulas() -> None:
    made = model("sigmoid", "binary_crossentropy", measured=["accuracy", "acc", "binary_accuracy", "mse",
                 metrics.BinaryAccuracy("high", threshold=0.7), metrics.MeanSquaredError, "mae",
                 metrics.RootMeanSquaredError()])  # fmt: skip
    y = made.predict(X)
    expected = {
        "accuracy": (y.argmax(1) == MANY.argmax(1)).mean(),  # of several outputs, as Keras chooses
        "acc": (y.argmax(1) == MANY.argmax(1)).mean(),
        "binary_accuracy": ((y > 0.5) == MANY).mean(),
        "mse": ((y - MANY) ** 2).mean(),
        "high": ((y > 0.7) == MANY).mean(),
        "mean_squared_error": ((y - MANY) ** 2).mean(),
        "mae": np.abs(y - MANY).mean(),
        "root_mean_squared_error": ((y - MANY) ** 2).mean() ** 0.5,
    }
    found = made.evaluate(
        X, MANY, verbose=0, return_dict=True, sample_weight=WEIGHTS
    )  # which weigh no metric
    assert list(found) == ["loss", *expected]
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-9), name


@pytest.mark.parametrize(
    ("loss", "units", "cls"),
    [
        ("binary_crossentropy", 1, metrics.BinaryAccuracy),
        ("mse", 1, metrics.BinaryAccuracy),
        ("categorical_crossentropy", 4, metrics.CategoricalAccuracy),
        ("mse", 4, metrics.CategoricalAccuracy),
        ("sparse_categorical_crossentropy", 4, metrics.SparseCategoricalAccuracy),
    ],
)
def test_accuracy_is_the_one_that_suits_the_targets(loss: str, units: int, cls: Any) -> None:
    for name in ("accuracy", "acc"):
        assert metrics.get(name, losses.get(loss), units) == cls(name)
    with pytest.raises(DTypeError, match="a metric is a name, a Metric or a function, got 5"):
        metrics.get(5, losses.get(loss), units)


def test_sparse_accuracy_counts_labels_and_the_first_of_equals() -> None:
    made = model("softmax", "sparse_categorical_crossentropy", measured="accuracy")
    assert made.evaluate(X, LABELS, verbose=0)[1] == (made.predict(X).argmax(1) == LABELS).mean()
    made.set_weights([np.zeros((3, 4)), np.zeros(4)])  # all scores equal: class 0 wins
    assert made.evaluate(X, LABELS, verbose=0)[1] == pytest.approx(3 / 12)


# --- optimizers ----------------------------------------------------------------------------------------


def walk(
    optimizer: Any, gradient: Callable[[np.ndarray], np.ndarray], w: np.ndarray, steps: int
) -> np.ndarray:
    """Return w after some steps of Keras's rule, in NumPy."""
    rate, m, v = optimizer.learning_rate, np.zeros_like(w), np.zeros_like(w)
    for t in range(1, steps + 1):
        g = gradient(w)
        if isinstance(optimizer, optimizers.SGD):
            m = optimizer.momentum * m - rate * g
            w = w + (optimizer.momentum * m - rate * g if optimizer.nesterov else m)
        elif isinstance(optimizer, optimizers.RMSprop):
            v = optimizer.rho * v + (1 - optimizer.rho) * g**2
            w = w - rate * g / np.sqrt(v + optimizer.epsilon)
        else:
            m = m + (1 - optimizer.beta_1) * (g - m)
            v = v + (1 - optimizer.beta_2) * (g**2 - v)
            scale = math.sqrt(1 - optimizer.beta_2**t) / (1 - optimizer.beta_1**t)
            w = w - rate * scale * m / (np.sqrt(v) + optimizer.epsilon)
    return w


@pytest.mark.parametrize(
    "optimizer",
    [
        optimizers.SGD(0.1),
        optimizers.SGD(0.1, momentum=0.9),
        optimizers.SGD(0.1, momentum=0.9, nesterov=True),
        optimizers.SGD(0.1, nesterov=True),
        optimizers.Adam(0.05),
        optimizers.Adam(0.05, beta_1=0.0),
        optimizers.Adam(0.05, beta_2=0.0),
        optimizers.Adam(0.05, 0.5, 0.9, 1e-2),
        optimizers.RMSprop(0.05),
        optimizers.RMSprop(0.05, rho=0.0),
        optimizers.RMSprop(0.05, rho=0.5, epsilon=1e-2),
    ],
    ids=repr,
)
@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_optimizers_step_by_keras_formulas(optimizer: Any, l2: float) -> None:
    layer = layers.Dense(4, use_bias=False, kernel_regularizer=regularizers.L2(l2))
    made = fastnn.Sequential([fastnn.Input((3,)), layer], dtype="float64", seed=2)
    made.compile(optimizer, "mse")
    (start,) = made.get_weights()
    expected = walk(optimizer, lambda w: X.T @ (X @ w - SOFT) * 2 / SOFT.size + 2 * l2 * w, start, 12)
    for epochs in (5, 7):  # the step count and the state live on between calls
        made.fit(X, SOFT, batch_size=12, epochs=epochs, verbose=0)
    assert np.abs(expected - start).max() > 1e-2
    np.testing.assert_allclose(made.get_weights()[0], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("cls", "options", "error"),
    [
        (cls, {"learning_rate": bad}, ConfigurationError)
        for cls in (optimizers.SGD, optimizers.Adam, optimizers.RMSprop)
        for bad in (-0.1, math.nan, math.inf)
    ]
    + [
        (optimizers.SGD, {"learning_rate": "0.1"}, DTypeError),
        (optimizers.SGD, {"learning_rate": True}, DTypeError),
        (optimizers.SGD, {"momentum": -0.1}, ConfigurationError),
        (optimizers.SGD, {"momentum": 1.0}, ConfigurationError),
        (optimizers.SGD, {"nesterov": 1}, DTypeError),
        (optimizers.Adam, {"beta_1": 1.0}, ConfigurationError),
        (optimizers.Adam, {"beta_2": 1.5}, ConfigurationError),
        (optimizers.Adam, {"epsilon": 0.0}, ConfigurationError),
        (optimizers.RMSprop, {"rho": -1}, ConfigurationError),
        (optimizers.RMSprop, {"epsilon": -1e-7}, ConfigurationError),
        (regularizers.L2, {"l2": -0.1}, ConfigurationError),
        (regularizers.L2, {"l2": math.nan}, ConfigurationError),
        (regularizers.L2, {"l2": None}, DTypeError),
        (regularizers.L1, {"l1": -0.1}, ConfigurationError),
        (regularizers.L1L2, {"l2": -0.1}, ConfigurationError),
        (constraints.MaxNorm, {"max_value": -1}, ConfigurationError),
        (constraints.MinMaxNorm, {"min_value": 2.0}, ConfigurationError),
        (constraints.MinMaxNorm, {"rate": 1.5}, ConfigurationError),
        (constraints.UnitNorm, {"axis": 0.5}, DTypeError),
        (optimizers.RMSprop, {"momentum": 1.5}, ConfigurationError),
        (optimizers.RMSprop, {"centered": 1}, DTypeError),
        (optimizers.Adam, {"amsgrad": None}, DTypeError),
        (optimizers.Adadelta, {"rho": 1.0}, ConfigurationError),
        (optimizers.Nadam, {"beta_1": 1.0}, ConfigurationError),
        (optimizers.Lion, {"beta_1": 0.0}, ConfigurationError),
        (optimizers.Ftrl, {"learning_rate_power": 0.5}, ConfigurationError),
        (optimizers.Ftrl, {"beta": -1.0}, ConfigurationError),
        (initializers.Identity, {"gain": math.nan}, ConfigurationError),
        (initializers.Orthogonal, {"gain": math.inf}, ConfigurationError),
        (initializers.VarianceScaling, {"scale": 0.0}, ConfigurationError),
        (initializers.VarianceScaling, {"mode": "fan"}, ConfigurationError),
        (initializers.VarianceScaling, {"distribution": "cauchy"}, ConfigurationError),
        (initializers.RandomNormal, {"stddev": -1.0}, ConfigurationError),
        (initializers.RandomUniform, {"minval": 1.0, "maxval": 0.0}, ConfigurationError),
        (initializers.Constant, {"value": math.inf}, ConfigurationError),
        (metrics.BinaryAccuracy, {"threshold": "half"}, DTypeError),
    ],
)  # fmt: skip
def test_impossible_numbers_are_refused(cls: Any, options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=f"{list(options)[-1]} must be"):
        cls(**options)


# --- initializers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "deviation", "limit"),
    [
        ("glorot_uniform", math.sqrt(2 / 500), math.sqrt(6 / 500)),
        ("glorot_normal", math.sqrt(2 / 500), 2 * math.sqrt(2 / 500) / 0.87962566103423978),
        ("he_uniform", math.sqrt(2 / 300), math.sqrt(6 / 300)),
        ("he_normal", math.sqrt(2 / 300), 2 * math.sqrt(2 / 300) / 0.87962566103423978),
        ("lecun_uniform", math.sqrt(1 / 300), math.sqrt(3 / 300)),
        ("lecun_normal", math.sqrt(1 / 300), 2 * math.sqrt(1 / 300) / 0.87962566103423978),
        ("random_uniform", 0.1 / math.sqrt(12), 0.05),
        ("random_normal", 0.05, math.inf),
        ("truncated_normal", 0.05 * 0.87962566103423978, 0.1),
        ("variance_scaling", math.sqrt(1 / 300), 2 * math.sqrt(1 / 300) / 0.87962566103423978),
        (initializers.VarianceScaling(2.0, "fan_out", "uniform"), math.sqrt(2 / 200), math.sqrt(6 / 200)),
        (initializers.VarianceScaling(3.0, "fan_avg", "untruncated_normal"), math.sqrt(3 / 250), math.inf),
        (initializers.VarianceScaling(1.0, "fan_avg", "Normal"), math.sqrt(1 / 250),
         2 * math.sqrt(1 / 250) / 0.87962566103423978),
        (initializers.Orthogonal(2.0), 2 / math.sqrt(300), math.inf),
    ],
)  # fmt: skip
def test_initializers_draw_keras_distributions(name: Any, deviation: float, limit: float) -> None:
    values = initializers.get(name).draw((300, 200), np.random.default_rng(0))
    assert values.std() == pytest.approx(deviation, rel=0.01)
    assert abs(values.mean()) < 4 * deviation / math.sqrt(values.size)
    assert np.abs(values).max() <= limit
    if math.isfinite(limit):
        assert np.abs(values).max() > 0.98 * limit
    np.testing.assert_array_equal(values, initializers.get(name).draw((300, 200), np.random.default_rng(0)))


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4)])
def test_orthogonal_and_identity_matrices(shape: tuple[int, int]) -> None:
    q = initializers.Orthogonal(gain=3.0).draw(shape, np.random.default_rng(1))
    product = q.T @ q if shape[0] >= shape[1] else q @ q.T
    np.testing.assert_allclose(product, 9.0 * np.eye(min(shape)), atol=1e-12)
    np.testing.assert_array_equal(
        initializers.get("identity").draw(shape, np.random.default_rng(1)), np.eye(*shape)
    )
    for one in (initializers.Orthogonal(), initializers.Identity()):
        with pytest.raises(ConfigurationError, match="is for matrices"):
            one.draw((3,), np.random.default_rng(0))


def test_orthogonal_matrices_have_no_preferred_direction() -> None:
    """Without the signs of the other factor, QR gives matrices with a diagonal of one sign."""
    generator = np.random.default_rng(0)
    drawn = np.array([initializers.Orthogonal().draw((3, 3), generator) for _ in range(2000)])
    assert np.abs(drawn.mean(axis=0)).max() < 0.06  # 1 / sqrt(3 * 2000) is a deviation, 0.013


def test_constant_initializers_fill_kernels_and_biases() -> None:
    layer = layers.Dense(4, kernel_initializer="ones", bias_initializer=initializers.Constant(0.5))
    kernel, bias = fastnn.Sequential([fastnn.Input((3,)), layer]).get_weights()
    np.testing.assert_array_equal(kernel, np.ones((3, 4)))
    np.testing.assert_array_equal(bias, np.full(4, 0.5))


def test_a_seed_of_its_own_fixes_an_initializer() -> None:
    """As in Keras: the same seed gives the same kernel whatever the model's seed."""
    kernels = [
        fastnn.Sequential(
            [fastnn.Input((3,)), layers.Dense(4, kernel_initializer=initializers.GlorotUniform(seed=1))],
            seed=s,
        ).get_weights()[0]
        for s in (1, 2)
    ]
    np.testing.assert_array_equal(kernels[0], kernels[1])
