"""Layers as handles: what they say of themselves, their weights, penalties, the flag `trainable`."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from formulas import ACTIVATIONS as FORMULAS
from formulas import NAMED

import fastnn
from fastnn import activations, layers, optimizers, regularizers
from fastnn.errors import ConfigurationError, DataError, DTypeError, ShapeError

RNG = np.random.default_rng(3)
X = RNG.standard_normal((30, 3))
Y = X @ [[1.0], [-2.0], [0.5]] + 0.25
LABELS = RNG.integers(0, 3, 30)


def classifier() -> fastnn.Sequential:
    model = fastnn.Sequential(
        [fastnn.Input((3,)), layers.Dense(5, "tanh"), layers.Dense(3, "softmax")], dtype="float64", seed=1
    )
    model.compile(optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    return model


# --- Input ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [3, (3,), [3], np.int64(3), (np.int32(3),)])
def test_input_takes_one_width(shape: Any) -> None:
    assert fastnn.Input(shape).columns == 3
    assert fastnn.Input(shape=shape, name="rows").name == "rows"


@pytest.mark.parametrize(
    ("shape", "error", "message"),
    [
        ((28, 28), ShapeError, r"one number of features.*got \(28, 28\); flatten images"),
        ((), ShapeError, r"got \(\)"),
        (0, ConfigurationError, "at least 1, got 0"),
        ((-3,), ConfigurationError, "at least 1, got -3"),
        (2**31, ConfigurationError, "at most 2147483647"),
        ((3.0,), DTypeError, "must be an integer, got 3.0"),
        ((None,), DTypeError, "must be an integer, got None"),
        (True, DTypeError, "must be an integer, got True"),
        ("3", DTypeError, "must be an integer, got '3'"),
    ],
)
def test_impossible_inputs_are_refused(shape: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fastnn.Input(shape)
    if shape != ():
        with pytest.raises(error, match=message):
            layers.Dense(1, input_dim=shape)


# --- Dense and Activation --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("units", "error", "message"),
    [
        (0, ConfigurationError, "units must be at least 1, got 0"),
        (-1, ConfigurationError, "units must be at least 1, got -1"),
        (2**40, ConfigurationError, "units must be at most 2147483647"),
        (3.0, DTypeError, r"units must be an integer, got 3.0 \(float\)"),
        (True, DTypeError, r"units must be an integer, got True \(bool\)"),
        ("3", DTypeError, r"units must be an integer, got '3' \(str\)"),
        (None, DTypeError, "units must be an integer, got None"),
        ((3,), DTypeError, "units must be an integer"),
    ],
)
def test_impossible_units_are_refused(units: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        layers.Dense(units)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"activation": "rellu"}, ConfigurationError, "unknown activation 'rellu'; did you mean 'relu'"),
        ({"activation": np.tanh}, DTypeError, "cannot run inside the kernels"),
        ({"activation": 3}, DTypeError, "an activation is a name"),
        ({"use_bias": "yes"}, DTypeError, "use_bias must be True or False"),
        ({"use_bias": 1}, DTypeError, "use_bias must be True or False"),
        ({"trainable": 0}, DTypeError, "trainable must be True or False"),
        ({"kernel_initializer": "glorot"}, ConfigurationError, "initializer 'glorot'; did you mean 'glorot_"),
        ({"kernel_initializer": 0.5}, DTypeError, "an initializer is a name"),
        ({"bias_initializer": "zeroes"}, ConfigurationError, "did you mean 'zeros'"),
        (
            {"kernel_regularizer": "orthogonal"},
            ConfigurationError,
            "unknown regularizer 'orthogonal': it is OrthogonalRegularizer",
        ),
        ({"bias_regularizer": 0.1}, DTypeError, "a regularizer is a name"),
        ({"name": "a/b"}, ConfigurationError, "a name must be a non-empty string without '/'"),
        ({"name": ""}, ConfigurationError, "a name must be a non-empty string"),
        ({"name": 3}, ConfigurationError, "a name must be a non-empty string"),
    ],
)
def test_bad_descriptions_are_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        layers.Dense(4, **options)


def test_what_a_layer_says_of_itself() -> None:
    assert layers.Dense(np.int64(4), "relu").units == 4
    assert repr(layers.Dense(4, "relu", name="a")) == "Dense(4, activation='relu', name='a')"
    assert repr(layers.Activation(activations.tanh)) == "Activation('tanh')"
    with pytest.raises(ConfigurationError, match="unknown activation 'tan'; did you mean 'tanh'"):
        layers.Activation("tan")


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_layer_computes_its_formula_however_the_activation_is_given(name: str, dtype: str) -> None:
    function = getattr(activations, name)
    inside = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(4, name)], dtype=dtype, seed=1)
    kernel, bias = RNG.standard_normal((3, 4)).astype(dtype), RNG.standard_normal(4).astype(dtype)
    x = X
    if FORMULAS[name].domain[0] > 0:
        x, kernel, bias = np.abs(X), np.abs(kernel) + 0.5, np.abs(bias) + 0.5
    inside.set_weights([kernel, bias])
    expected = FORMULAS[name](x.astype(dtype) @ kernel + bias)
    tolerance = 1e-5 if dtype == "float32" else 1e-13
    np.testing.assert_allclose(inside.predict(x), expected, rtol=tolerance, atol=tolerance)
    for parts in (
        [layers.Dense(4, function)],
        [layers.Dense(4), layers.Activation(name)],
        [layers.Dense(4), layers.Activation(function)],
        [layers.Dense(4), layers.Activation("linear"), layers.Activation(name)],
    ):
        model = fastnn.Sequential([fastnn.Input((3,)), *parts], dtype=dtype)
        model.set_weights([kernel, bias])
        np.testing.assert_array_equal(model.predict(x), inside.predict(x))
    x = np.abs(X) + 0.5
    np.testing.assert_allclose(function(x.astype(dtype)), FORMULAS[name](x), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", [name for name in NAMED if name != "linear"])
def test_an_activation_may_come_first(name: str) -> None:
    x = np.abs(X) + 0.5 if FORMULAS[name].domain[0] > 0 else X
    model = fastnn.Sequential(
        [fastnn.Input((3,)), layers.Activation(name), layers.Dense(2)], dtype="float64", seed=0
    )
    model.compile("sgd", "mse")
    expected = FORMULAS[name](x) @ model.layers[1].kernel
    np.testing.assert_allclose(model.predict(x), expected, rtol=1e-12, atol=1e-13)
    loss = ((expected - x[:, :2]) ** 2).mean()
    assert model.evaluate(x, x[:, :2], verbose=0) == pytest.approx(loss, rel=1e-12)
    assert model.train_on_batch(x, x[:, :2]) == pytest.approx(loss, rel=1e-12)
    assert model.input_gradients(x).shape == x.shape


def test_a_model_of_activations_only_has_nothing_to_train() -> None:
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Activation("tanh")], dtype="float64")
    model.compile("sgd", "mse")
    assert model.get_weights() == []
    np.testing.assert_allclose(model.predict(X), np.tanh(X), rtol=1e-13)
    np.testing.assert_allclose(model.input_gradients(X), 1 - np.tanh(X) ** 2, rtol=1e-12)
    history = model.fit(X, X, epochs=2, verbose=0, shuffle=False).history["loss"]
    assert history == pytest.approx([((np.tanh(X) - X) ** 2).mean()] * 2, rel=1e-12)


def test_without_a_bias_there_is_none() -> None:
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(2, use_bias=False)], seed=0)
    assert [w.shape for w in model.get_weights()] == [(3, 2)]
    assert model.layers[0].bias is None
    np.testing.assert_allclose(model.predict(X), X @ model.layers[0].kernel, rtol=1e-4, atol=1e-6)


# --- the weights of a layer ------------------------------------------------------------------------------


def test_a_layer_reads_and_writes_its_models_parameters(refused: Any) -> None:
    model = classifier()
    first, last = model.layers
    kernel, bias = np.full((3, 5), 0.5), np.arange(5.0)
    others = [w.tobytes() for w in last.get_weights()]
    first.set_weights([kernel, bias])
    np.testing.assert_array_equal(first.kernel, kernel)
    np.testing.assert_array_equal(first.bias, bias)
    np.testing.assert_array_equal(model.get_weights()[0], kernel)
    assert [w.tobytes() for w in last.get_weights()] == others
    for bad, error, message in (
        ([kernel], ShapeError, r"expected 2 arrays \(dense/kernel, dense/bias\), got 1"),
        ([kernel.T, bias], ShapeError, r"dense/kernel must have shape \(3, 5\), got \(5, 3\)"),
        ([kernel + 1, bias * np.nan], DataError, "dense/bias has 5 values that are NaN"),
    ):
        with refused(model, error, match=message):
            first.set_weights(bad)


def test_a_layer_outside_a_model_has_no_weights() -> None:
    for layer in (
        layers.Dense(3, name="alone"),
        fastnn.Sequential([layers.Dense(3, name="alone")]).layers[0],
    ):
        with pytest.raises(ConfigurationError, match=r"layer 'alone' has no weights yet.*known input width"):
            layer.get_weights()
        with pytest.raises(ConfigurationError, match="layer 'alone' has no weights yet"):
            layer.set_weights([])
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Activation("relu")])
    assert model.layers[0].get_weights() == []
    with pytest.raises(AttributeError, match="layer 'activation' has no kernel"):
        _ = model.layers[0].kernel


# --- penalties and frozen layers -------------------------------------------------------------------------


def penalized(l2_kernel: float, l2_bias: float) -> fastnn.Sequential:
    """Return 3-1 with squared error, two penalties and weights that are not small."""
    kernel = regularizers.L2(l2_kernel) if l2_kernel else None
    bias = regularizers.L2(l2_bias) if l2_bias else None
    layer = layers.Dense(1, kernel_regularizer=kernel, bias_regularizer=bias)
    model = fastnn.Sequential([fastnn.Input((3,)), layer], dtype="float64")
    model.set_weights([[[1.0], [2.0], [3.0]], [4.0]])
    model.compile("sgd", "mse")
    return model


def test_penalties_are_in_every_loss_and_gradient() -> None:
    model, plain = penalized(0.3, 0.2), penalized(0, 0)
    kernel, bias = model.get_weights()
    extra = 0.3 * 14 + 0.2 * 16
    loss, gradients = plain.loss_and_gradients(X, Y)
    found, found_gradients = model.loss_and_gradients(X, Y)
    np.testing.assert_allclose(found_gradients["dense/kernel"], gradients["dense/kernel"] + 0.6 * kernel)
    np.testing.assert_allclose(found_gradients["dense/bias"], gradients["dense/bias"] + 0.4 * bias)
    history = model.fit(X, Y, validation_data=(X, Y), verbose=0, batch_size=30).history
    assert [found, history["loss"][0]] == pytest.approx([loss + extra] * 2, rel=1e-12)
    assert history["val_loss"][0] == pytest.approx(model.evaluate(X, Y, verbose=0), rel=1e-12)
    np.testing.assert_allclose(model.layers[0].kernel, kernel - 0.01 * found_gradients["dense/kernel"])


def test_a_penalty_counts_once_a_step_whatever_the_batch() -> None:
    for size in (4, 30):
        model, plain = penalized(0.3, 0), penalized(0, 0)
        for m in (model, plain):
            m.optimizer.learning_rate = 0.0
        with_it, without = (
            m.fit(X, Y, batch_size=size, verbose=0).history["loss"][0] for m in (model, plain)
        )
        assert with_it - without == pytest.approx(0.3 * 14, rel=1e-12)
        weights = np.arange(30.0)
        with_it, without = (m.evaluate(X, Y, sample_weight=weights, verbose=0) for m in (model, plain))
        assert with_it - without == pytest.approx(0.3 * 14, rel=1e-12)


def test_a_frozen_layer_pays_no_penalty() -> None:
    """Keras sums penalties over the trainable weights only."""
    model, plain = penalized(0.3, 0.2), penalized(0, 0)
    model.layers[0].trainable = False
    model.compile("sgd", "mse")
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(plain.evaluate(X, Y, verbose=0), rel=1e-12)


@pytest.mark.parametrize("frozen", [(True, False), (False, True), (True, True)])
def test_a_frozen_layer_keeps_its_weights_from_the_next_compile_on(frozen: tuple[bool, bool]) -> None:
    model = classifier()
    for layer, flag in zip(model.layers, frozen, strict=True):
        layer.trainable = not flag
    model.compile(optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    before = model.get_weights()
    parameters = ["dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"]
    keeps = [frozen[0], frozen[0], frozen[1], frozen[1]]
    _, gradients = model.loss_and_gradients(X, LABELS)
    assert list(gradients) == [name for name, kept in zip(parameters, keeps, strict=True) if not kept]
    history = model.fit(X, LABELS, batch_size=8, epochs=3, verbose=0).history
    assert len(history["loss"]) == 3
    same = [np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert same == keeps
    for layer in model.layers:
        layer.trainable = True
    model.compile(optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(X, LABELS, verbose=0)
    assert not any(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_frozen_layers_pass_gradients_to_those_before() -> None:
    free, half = classifier(), classifier()
    half.layers[1].trainable = False
    half.compile(optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    _, expected = free.loss_and_gradients(X, LABELS)
    _, found = half.loss_and_gradients(X, LABELS)
    for name, gradient in found.items():
        np.testing.assert_array_equal(gradient, expected[name])


# --- attributes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", layers.__all__)
def test_what_a_layer_was_made_with_are_its_attributes(name: str) -> None:
    arguments: dict[str, Any] = {
        **{
            "Activation": {"activation": "relu"},
            "CategoryEncoding": {"num_tokens": 3},
            "Dense": {"units": 3},
            "InputLayer": {"batch_shape": (None, 3)},
        },
        **{
            "Discretization": {"bin_boundaries": [0.5]},
            "Dot": {"axes": 1},
            "Embedding": {"input_dim": 3, "output_dim": 2},
        },
        **{one: {"rate": 0.25} for one in ("AlphaDropout", "Dropout", "GaussianDropout")},
        **{
            "GaussianNoise": {"stddev": 0.5},
            "Maxout": {"units": 2, "pieces": 2},
            "Rescaling": {"scale": 2.0},
        },
        **{"Reshape": {"target_shape": [4]}, "Scale": {"factor": 2.0}, "Shift": {"amount": 2.0}},
    }
    kind = getattr(layers, name)
    if name in ("Lambda", "Layer", "Normalization", "WeightedSum") or not isinstance(kind, type):
        return
    layer = kind(**arguments.get(name, {}))
    assert all(hasattr(layer, one) for one in layer.get_config())
    for given, value in arguments.get(name, {}).items():
        assert getattr(layer, given) == (activations.relu if given == "activation" else value)
    assert not hasattr(layer, "recurrent_dropout")


def test_objects_and_functions_of_a_layer_are_its_attributes() -> None:
    dense = layers.Dense(2, "leaky_relu", kernel_regularizer=regularizers.L2(0.5))
    assert dense.kernel_regularizer == regularizers.L2(0.5)
    assert dense.activation is activations.leaky_relu
    assert layers.Dense(2).activation is activations.linear
    assert layers.ReLU(max_value=6.0).max_value == 6.0


@pytest.mark.parametrize("name", [name for name in NAMED if name not in activations.ALIASES])
def test_the_function_of_an_activation_is_that_of_its_name(name: str) -> None:
    assert activations.get(name) is getattr(activations, name)


def test_an_activation_with_numbers_is_a_function_with_them() -> None:
    function = layers.Dense(2, partial(activations.relu, threshold=0.5)).activation
    np.testing.assert_array_equal(function(np.array([0.25, 0.75])), [0.0, 0.75])
    assert activations.config_of(function) == activations.config_of(partial(activations.relu, threshold=0.5))
