"""Plain values that everything takes: flags of Python and of NumPy, numbers of any size."""

from __future__ import annotations

import fractions
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import callbacks, checks, datasets, initializers, kernels, layers, losses, metrics, optimizers
from fastnn.errors import ConfigurationError, DTypeError

X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(6, 2)
Y = X[:, :1] > 0


def model(**options: Any) -> fastnn.Sequential:
    made = fastnn.Sequential([fastnn.Input((2,)), layers.Dense(3, "tanh"), layers.Dense(1)], seed=0)
    made.compile("sgd", "mse", metrics=["mse"], **options)
    return made


def trainable(thing: Any, value: Any) -> Any:
    """Return what a layer or a model says after its flag was set."""
    thing.trainable = value
    return thing.trainable


def plotted(**options: Any) -> Any:
    plotting = pytest.importorskip("fastnn.plotting", reason="matplotlib is not installed")
    figure = pytest.importorskip("matplotlib.figure", reason="matplotlib is not installed")
    ax = figure.Figure().subplots()
    if "labels" in options:
        return len(plotting.plot_graph(model(), ax, **options).texts)
    return plotting.plot_loss({"loss": [2.0, 1.0]}, ax, **options).get_yscale()


# Everything that takes True or False, by the name of the argument; what it returns may depend on it.
FLAGS: dict[str, Callable[[Any], Any]] = {
    "use_bias": lambda flag: layers.Dense(3, use_bias=flag).config,
    "use_bias of Maxout": lambda flag: layers.Maxout(3, use_bias=flag).config,
    "trainable": lambda flag: layers.Dense(3, trainable=flag).trainable,
    "trainable of WeightedSum": lambda flag: layers.WeightedSum(trainable=flag).trainable,
    "trainable as an attribute": lambda flag: trainable(layers.Dense(3), flag),
    "trainable of a model": lambda flag: trainable(model(), flag),
    "nesterov": lambda flag: optimizers.SGD(0.1, 0.9, flag),
    "from_logits": losses.BinaryCrossentropy,
    "from_logits of classes": losses.CategoricalCrossentropy,
    "from_logits of labels": losses.SparseCategoricalCrossentropy,
    "reference": lambda flag: model(reference=flag).optimizer.reference,
    "shuffle": lambda flag: model().fit(X, Y, batch_size=2, verbose=0, shuffle=flag).history,
    "return_dict": lambda flag: model().train_on_batch(X, Y, return_dict=flag),
    "return_dict of evaluate": lambda flag: model().evaluate(X, Y, verbose=0, return_dict=flag),
    "restore_best_weights": lambda flag: (
        callbacks.EarlyStopping(restore_best_weights=flag).restore_best_weights
    ),
    "raw": lambda flag: type(datasets.load_admissions(raw=flag)),
    "raw of bike sharing": lambda flag: type(datasets.load_bike_sharing(raw=flag)),
    "need_dx": lambda flag: kernels.dense_backward(X, X, X[:2], need_dx=flag)[0] is None,
    "log_scale": lambda flag: plotted(log_scale=flag),
    "labels": lambda flag: plotted(labels=flag),
}


@pytest.mark.parametrize("case", FLAGS)
@pytest.mark.parametrize("value", [True, False])
def test_flags_of_numpy_are_flags(case: str, value: bool) -> None:
    expected, found = FLAGS[case](value), FLAGS[case](np.bool_(value))
    assert found == expected
    assert repr(found) == repr(expected)  # a description keeps a bool of Python


@pytest.mark.parametrize("case", FLAGS)
@pytest.mark.parametrize("bad", [1, 0.0, "no", np.int64(1), np.array([True, False])], ids=repr)
def test_what_is_no_flag_is_refused(case: str, bad: Any) -> None:
    with pytest.raises(DTypeError, match=f"{case.split()[0]} must be True or False, got "):
        FLAGS[case](bad)


def test_download_is_a_flag(tmp_path: Any) -> None:
    with pytest.raises(DTypeError, match="download must be True or False, got 'no'"):
        datasets.load_mnist(download="no", cache=tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", ["yes", 1, np.array([True, False])], ids=repr)
def test_flags_are_looked_at_before_a_step_is_made(bad: Any, refused: Any) -> None:
    made = model()
    for call in (
        lambda: made.train_on_batch(X, Y, return_dict=bad),
        lambda: made.evaluate(X, Y, verbose=0, return_dict=bad),
    ):
        with refused(made, DTypeError, match="return_dict must be True or False"):
            call()
    unbuilt = fastnn.Sequential([layers.Dense(1)], seed=0)
    unbuilt.compile("sgd", "mse")
    with refused(unbuilt, DTypeError, match="return_dict must be True or False"):
        unbuilt.train_on_batch(X, Y, return_dict=bad)


# --- numbers ---------------------------------------------------------------------------------------------

NUMBERS: dict[str, Callable[[Any], Any]] = {
    "learning_rate": optimizers.SGD,
    "learning_rate as an attribute": lambda value: setattr(model().optimizer, "learning_rate", value),
    "momentum": lambda value: optimizers.SGD(momentum=value),
    "epsilon": lambda value: optimizers.Adam(epsilon=value),
    "margin": losses.MulticlassHinge,
    "delta": losses.Huber,
    "threshold": lambda value: metrics.BinaryAccuracy(threshold=value),
    "value": initializers.Constant,
    "negative_slope": layers.LeakyReLU,
    "negative_slope of kernels": lambda value: kernels.leaky_relu_forward(X, negative_slope=value),
    "alpha": layers.ELU,
    "alpha of kernels": lambda value: kernels.elu_backward(X, X, alpha=value),
    "factor": layers.Scale,
    "factor of an operator": lambda value: fastnn.Input((2,)) * value,
    "amount of an operator": lambda value: fastnn.Input((2,)) + value,
    "min_delta": lambda value: callbacks.EarlyStopping(min_delta=value),
    "validation_split": lambda value: model().fit(X, Y, verbose=0, validation_split=value),
}


@pytest.mark.parametrize("case", NUMBERS)
@pytest.mark.parametrize(
    "value",
    [10**400, fractions.Fraction(10**400), 10**5000, fractions.Fraction(10**5000), math.inf, math.nan],
    ids=["integer", "fraction", "large integer", "large fraction", "infinity", "NaN"],
)
def test_numbers_beyond_float64_are_refused_with_their_range(case: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{case.split()[0]} must be a finite number"):
        NUMBERS[case](value)


@pytest.mark.parametrize("value", [-(10**5000), 10**5000], ids=["small", "large"])
def test_counts_of_any_size_are_refused_in_a_short_message(value: int) -> None:
    with pytest.raises(ConfigurationError, match=r"units must be at (least|most) \d+, got int of thousands"):
        layers.Dense(value)


def test_what_is_no_number_is_shown_in_one_short_line() -> None:
    with pytest.raises(DTypeError, match=r"^learning_rate must be a number, got array.{,100}\(ndarray\)$"):
        optimizers.SGD(np.zeros((40, 40)))  # type: ignore[arg-type]
    assert "\n" not in checks.shown(np.zeros((40, 40)))


# --- bases that are no things ----------------------------------------------------------------------------


class OwnLayer(layers.Layer):
    """What Keras's users would write."""

    def call(self, x: Any) -> Any:
        return x


class OwnLoss(losses.Loss):
    pass


class Called(losses.MeanSquaredError):
    def call(self, y_true: Any, y_pred: Any) -> Any:
        raise AssertionError


class OwnMetric(metrics.Metric):
    pass


class OwnOptimizer(optimizers.Optimizer):
    pass


BASES: dict[str, tuple[Callable[[], object], str]] = {
    "Layer": (lambda: layers.Layer(), "Layer is a base class; use one of its subclasses, such as Dense"),
    "a layer of one's own": (
        lambda: OwnLayer()(fastnn.Input((2,))),
        "OwnLayer cannot run: layers are those of fastnn.layers, .*Dense",
    ),
    "a layer of one's own in a chain": (
        lambda: fastnn.Sequential([fastnn.Input((2,)), OwnLayer()]),
        "OwnLayer cannot run",
    ),
    "a layer of one's own in a chain without a width": (
        lambda: fastnn.Sequential([OwnLayer()]),
        "OwnLayer cannot run",
    ),
    "Loss": (lambda: losses.Loss(), "Loss is a base class; use one of its subclasses"),
    "Metric": (lambda: metrics.Metric(), "Metric is a base class; use one of its subclasses"),
    "Optimizer": (
        lambda: optimizers.Optimizer(),
        "Optimizer is a base class; use one of those in fastnn.optimizers, such as SGD, Adam or RMSprop",
    ),
    "a loss of one's own": (
        lambda: model().compile("sgd", OwnLoss()),
        r"OwnLoss cannot run: losses are those of fastnn.losses, or have a method call\(",
    ),
    "a method that nothing calls": (
        lambda: model().compile("sgd", Called()),
        "Called has a method call, which a loss with a kernel does not use; derive it from Loss",
    ),
    "a metric of one's own": (
        lambda: model().compile("sgd", "mse", metrics=[OwnMetric()]),
        "OwnMetric cannot run: .* it lacks update_state, result, reset_state",
    ),
    "an optimizer of one's own": (
        lambda: model().compile(OwnOptimizer(), "mse"),
        "OwnOptimizer cannot run: use one of those in fastnn.optimizers",
    ),
}


@pytest.mark.parametrize("case", BASES)
def test_bases_and_classes_without_a_kernel_are_refused(case: str) -> None:
    call, message = BASES[case]
    with pytest.raises(ConfigurationError, match=message):
        call()


# --- what compile is given -------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [[], (), {}], ids=repr)
@pytest.mark.parametrize("given", [None, ["accuracy"], {}, []], ids=repr)
@pytest.mark.parametrize("built", [True, False])
def test_compile_with_no_loss_in_a_list_is_refused(loss: Any, given: Any, built: bool, refused: Any) -> None:
    made = fastnn.Sequential([fastnn.Input((2,))] * built + [layers.Dense(1)], seed=0)
    with refused(made, ConfigurationError, match="which is none; leave it out, or give loss='mse'"):
        made.compile("sgd", loss=loss, metrics=given)
