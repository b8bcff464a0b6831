"""What models, and what belongs to them, show of themselves: one line, or a short table."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import callbacks, layers
from fastnn.model.inspection import GradientReport, Profile

X, Y = np.linspace(-1, 1, 24, dtype=np.float32).reshape(8, 3), np.arange(8) % 2


def chain(*widths: int, **options: Any) -> fastnn.Sequential:
    inputs, *units = widths
    return fastnn.Sequential(
        [fastnn.Input((inputs,)), *(layers.Dense(width, "sigmoid") for width in units)], seed=0, **options
    )


# -- models


def test_a_chain_shows_its_widths() -> None:
    model = chain(64, 100, 10)
    assert repr(model) == "<Sequential 'sequential': 64-100-10, 7510 parameters, float32, not compiled>"
    model.compile("sgd", "mse")
    assert repr(model) == "<Sequential 'sequential': 64-100-10, 7510 parameters, float32, compiled>"
    double = chain(3, 1, dtype="float64", name="small")
    assert repr(double) == "<Sequential 'small': 3-1, 4 parameters, float64, not compiled>"
    assert repr(copy.deepcopy(model)) == repr(model)


def test_functions_of_every_element_add_no_width() -> None:
    first, second = layers.Dense(5), layers.Dense(5)
    model = fastnn.Sequential([fastnn.Input((3,)), first, layers.ReLU(), second, layers.Sum()])
    assert repr(model).startswith("<Sequential 'sequential': 3-5-5-1, 50 parameters")


def test_a_long_chain_is_cut() -> None:
    assert "': 1-2-3-4-...-29-30-31, " in repr(chain(*range(1, 32)))


def test_a_model_without_a_width_says_so() -> None:
    model = fastnn.Sequential([layers.Dense(3), layers.Dense(1)])
    assert repr(model) == "<Sequential 'sequential': 2 layers, not built, float32, not compiled>"
    assert repr(fastnn.Sequential()).startswith("<Sequential 'sequential': 0 layers, not built")


def test_a_graph_shows_inputs_outputs_and_how_many_layers() -> None:
    a, b = fastnn.Input((5,)), fastnn.Input((3,))
    h = layers.Concatenate()([a, b])
    model = fastnn.Model([a, b], [layers.Dense(2)(h), layers.Dense(1)(h)], name="two")
    assert repr(model) == "<Model 'two': 5+3 -> 2+1, 3 layers, 27 parameters, float32, not compiled>"


# -- layers


@pytest.mark.parametrize(
    "code",
    [
        "Dense(4)",
        "Dense(4, activation='relu', name='a')",
        "Dense(4, activation='leaky_relu')",
        "Dense(4, activation=LeakyReLU(0.1))",
        "Dense(4, activation=ELU(0.5), use_bias=False)",
        "Dense(4, kernel_initializer=HeNormal(seed=None), bias_initializer=Constant(value=0.1))",
        "Dense(4, kernel_regularizer=L2(l2=0.01), bias_regularizer=L2(l2=0.1), trainable=False)",
        "Dense(4, input_dim=3)",
        "Maxout(4, pieces=3, use_bias=False, name='m')",
        "Activation('tanh')",
        "Activation(LeakyReLU(0.1))",
        "ReLU()",
        "ReLU(negative_slope=0.1)",
        "ReLU(max_value=6.0, threshold=0.5)",
        "Dense(4, activation=ReLU(negative_slope=0.5, max_value=3.0))",
        "LeakyReLU(0.3)",
        "ELU(1.0, name='e')",
        "Softmax()",
        "Scale(2.0)",
        "Shift(-1.0)",
        "WeightedSum(name='w', trainable=False)",
        "BatchNormalization(momentum=0.5, scale=False, beta_regularizer=L2(l2=0.1), name='n')",
        "BatchNormalization(gamma_initializer=Constant(value=0.1), trainable=False)",
        "LayerNormalization(epsilon=0.5, scale=False, beta_regularizer=L2(l2=0.1), name='n')",
        "RMSNormalization(epsilon=0.5)",
        "Normalization(mean=[1.0, 2.0], variance=[0.5, 0.25], invert=True, name='n')",
        "Normalization(axis=None)",
        "Discretization([1.0, 2.5], output_mode='count')",
        "Discretization(num_bins=3)",
        "CategoryEncoding(3, output_mode='one_hot')",
        "PReLU(alpha_initializer=Constant(value=0.1), alpha_regularizer=L2(l2=0.1), trainable=False)",
        "FeatureScale(scale_initializer=Constant(value=0.1), scale_regularizer=L2(l2=0.1), trainable=False)",
        "AlphaDropout(0.5, seed=1)",
        "Dot(1, normalize=True)",
        "Reshape((3,))",
        "Rescaling(0.5, offset=-1.0)",
        "Embedding(7, 2)",
        "Embedding(7, 2, activity_regularizer=L1(l1=0.5))",
        "Dense(4, activity_regularizer=L1L2(l1=0.1, l2=0.2))",
        "Maxout(4, pieces=3, activity_regularizer=L2(l2=0.1))",
        "ActivityRegularization(l1=0.5, l2=0.1, name='a')",
        "ActivityRegularization(l2=0.1)",
        "Embedding(7, 2, embeddings_initializer=Zeros(), embeddings_regularizer=L2(l2=0.1), name='e')",
        *(f"{name}()" for name in ("Add", "Concatenate", "Exp", "Negate", "Square", "Sum")),
    ],
)
def test_a_layer_shows_what_constructs_it(code: str) -> None:
    known = vars(layers) | vars(fastnn.initializers) | vars(fastnn.regularizers)
    assert repr(eval(code, dict(known))) == code


def test_a_layer_shows_the_name_that_its_model_gave_it() -> None:
    assert [repr(layer) for layer in chain(2, 3, 1).layers] == [
        "Dense(3, activation='sigmoid', name='dense')",
        "Dense(1, activation='sigmoid', name='dense_1')",
    ]


# -- training


def test_an_optimizer_in_use_shows_its_steps_and_its_rate() -> None:
    model = chain(3, 1)
    model.compile(fastnn.optimizers.SGD(0.1, momentum=0.9), "mse")
    model.fit(X, Y, batch_size=4, epochs=3, verbose=0)
    model.optimizer.learning_rate = 0.05
    assert repr(model.optimizer) == (
        "<OptimizerState SGD(learning_rate=0.1, momentum=0.9, nesterov=False): 6 steps, learning rate 0.05>"
    )


def test_a_history_shows_its_last_epoch() -> None:
    history = callbacks.History()
    assert repr(history) == "<History: 0 epochs>"
    history.on_epoch_end(0, {"loss": 0.5})
    assert repr(history) == "<History: 1 epoch, loss 0.5>"
    history.on_epoch_end(1, {"loss": 1 / 3, "note": "odd"})
    assert repr(history) == "<History: 2 epochs, loss 0.3333, note 'odd'>"
    many = callbacks.History()
    many.on_epoch_end(0, {f"m{number}": float(number) for number in range(40)})
    assert repr(many).endswith("m5 5, and 34 more>")


class Own(callbacks.Callback):
    """A callback as users write them."""

    def __init__(self, every: int = 1, weights: object = None, kept: object = None) -> None:
        super().__init__()
        self.every, self.weights = every, weights


def halve(epoch: int, rate: float) -> float:
    return rate / 2


@pytest.mark.parametrize(
    ("callback", "expected"),
    [
        (callbacks.EarlyStopping(), "EarlyStopping()"),
        (callbacks.EarlyStopping("loss", patience=3), "EarlyStopping(monitor='loss', patience=3)"),
        (callbacks.ReduceLROnPlateau(min_lr=0.1), "ReduceLROnPlateau(min_lr=0.1)"),
        (callbacks.LearningRateScheduler(halve), "LearningRateScheduler(schedule=halve)"),
        (
            callbacks.LambdaCallback(on_train_end=print, on_test_begin=halve),
            "LambdaCallback(on_train_end=print, on_test_begin=halve)",
        ),
        (callbacks.TerminateOnNaN(), "TerminateOnNaN()"),
        (Own(), "Own()"),
        (Own(2, np.zeros(2)), "Own(every=2, weights=array([0., 0.]))"),
    ],
)
def test_a_callback_shows_how_it_differs_from_the_usual(callback: Any, expected: str) -> None:
    assert repr(callback) == expected


# -- looking inside


def test_a_plan_is_one_line_and_prints_as_a_table() -> None:
    model = chain(3, 4, 1)
    model.compile("sgd", "mse")
    plan = model.plan(16)
    assert repr(plan) == f"<Plan 'train': {len(plan.ops)} ops, {len(plan.phases)} phases, 16 rows>"
    assert "any number of rows" in repr(model.plan(purpose="predict"))
    assert str(plan).count("\n") > len(plan.ops)


def test_a_gradient_report_is_a_table_if_that_is_short() -> None:
    model = chain(3, 1)
    model.compile("sgd", "mse")
    report = fastnn.gradcheck(model, X, Y)
    assert repr(report) == str(report)
    assert "dense/kernel" in repr(report)
    long = GradientReport()
    for number in range(40):
        long[f"p{number}"], long.checked[f"p{number}"], long.skipped[f"p{number}"] = number * 1e-9, 1, 0
    assert repr(long) == "<GradientReport: 40 parameters, largest relative error 3.90e-08>"
    assert str(long).count("\n") == 40


def test_a_profile_is_a_table_if_that_is_short() -> None:
    short = Profile((("dense", 1.5, 100.0), ("sgd", 0.5, 0.0)), peak=100.0, steps=7)
    assert repr(short) == str(short)
    long = Profile(40 * (("dense", 1.5, 100.0),), peak=100.0, steps=7)
    assert repr(long) == "<Profile: 40 ops, 60.00 us a step>"
