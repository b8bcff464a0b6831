"""Activations of Keras that are ours: values, gradients, numbers, and what becomes of NaN and infinities."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from cases import DTYPES

import fastnn
from fastnn import activations, layers
from fastnn.errors import ConfigurationError, DTypeError

Array = np.ndarray
# By what is given to a layer, and to Keras's function of the same name.
CASES: dict[str, dict[str, Any]] = {
    **{name: {} for name in ("relu6", "selu", "gelu", "silu", "swish", "mish", "celu", "hard_sigmoid")},
    **{name: {} for name in ("hard_silu", "hard_swish", "hard_tanh", "log_softmax", "log_sigmoid")},
    **{name: {} for name in ("squareplus", "tanh_shrink", "soft_shrink", "hard_shrink")},
    **{name: {} for name in ("sparse_plus", "sparse_sigmoid")},
    "gelu near": {"approximate": True},
    "celu wide": {"alpha": 2.5},
    "squareplus sharp": {"b": 0.25},
    "soft_shrink less": {"threshold": 0.1},
    "hard_shrink more": {"threshold": 1.5},
    "threshold": {"threshold": 0.5, "default_value": -2.0},
    "leaky_relu": {"negative_slope": 0.4},
    "elu": {"alpha": 0.3},
    "relu": {"negative_slope": 0.1, "max_value": 6.0},
    "relu limited": {"max_value": 1.5},
    "relu from": {"negative_slope": 0.5, "threshold": 1.0},
    "relu of all": {"negative_slope": 0.5, "max_value": 2.0, "threshold": 1.0},
    "log_softmax along": {"axis": -1},
}


def theirs(keras: Any, case: str) -> Callable[[Any], Any]:
    return partial(getattr(keras.activations, case.split()[0]), **CASES[case])


def ours(case: str) -> Any:
    name = case.split()[0]
    return partial(getattr(activations, name), **CASES[case]) if CASES[case] else name


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_those_of_keras(case: str, dtype: str, peer: Callable[[str], Any]) -> None:
    keras, torch = peer("keras"), peer("torch")
    rng = np.random.default_rng(11)
    x = np.concatenate([rng.normal(0, 3, (40, 5)), rng.normal(0, 0.1, (8, 5))]).astype(dtype)
    dy = rng.normal(0, 1, x.shape).astype(dtype)
    z = torch.tensor(x, requires_grad=True)
    y = theirs(keras, case)(z)
    y.backward(torch.tensor(dy))
    close = {"rtol": 1e-9, "atol": 1e-13} if dtype == "float64" else {"rtol": 3e-5, "atol": 2e-6}
    model = fastnn.Sequential([fastnn.Input((5,)), layers.Activation(ours(case))], dtype=dtype)
    np.testing.assert_allclose(model.predict(x), y.detach().numpy(), **close)
    if case == "hard_sigmoid":  # PyTorch takes the float32 number next to 1 / 6
        close["rtol"] = 1e-7
    np.testing.assert_allclose(model.input_gradients(x, dy), z.grad.numpy(), **close)
    given = ours(case)
    function = getattr(activations, given) if isinstance(given, str) else given
    np.testing.assert_allclose(function(x), y.detach().numpy(), **close)
    dense = layers.Dense(5, ours(case), use_bias=False)
    again = fastnn.Sequential([fastnn.Input((5,)), dense], dtype=dtype)
    again.set_weights([np.eye(5, dtype=dtype)])
    np.testing.assert_allclose(again.predict(x), y.detach().numpy(), **close)
    copied = fastnn.Sequential.from_config(again.get_config())
    assert copied.layers[0].config == dense.config
    assert eval(repr(dense), vars(layers) | vars(activations) | {"partial": partial}).config == dense.config


# What Keras makes of an infinity where others than infinity times 0 are meant, by our limits.
LIMITS = {("gelu", np.inf): np.inf, ("gelu near", np.inf): np.inf, ("squareplus", -np.inf): 0.0}
LIMITS[("squareplus sharp", -np.inf)] = 0.0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", [case for case in CASES if not case.startswith("log_softmax")])
def test_nan_stays_and_infinities_are_those_of_keras(
    case: str, dtype: str, simd_level: str, peer: Callable[[str], Any]
) -> None:
    keras, torch = peer("keras"), peer("torch")
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], dtype)
    given = ours(case)
    function = getattr(activations, given) if isinstance(given, str) else given
    exact = theirs(keras, case)(torch.tensor(special)).numpy()
    for place, x in enumerate(special):
        exact[place] = LIMITS.get((case, float(x)), exact[place])
    for size in (5, 38):  # in the tail, and in whole vectors
        with np.errstate(invalid="ignore"):
            found = function(np.resize(special, size))
        np.testing.assert_allclose(found, np.resize(exact, size), rtol=1e-6)


def test_relu_has_all_arguments_of_keras(peer: Callable[[str], Any]) -> None:
    keras = peer("keras")
    x = np.linspace(-4, 9, 53, dtype=np.float32)[:, None]
    for options in ({}, {"max_value": 6}, {"negative_slope": 0.2}, {"max_value": 3, "threshold": 2}):
        model = fastnn.Sequential([fastnn.Input((1,)), layers.ReLU(**options)])
        np.testing.assert_allclose(model.predict(x), keras.layers.ReLU(**options)(x).numpy(), rtol=1e-6)
        config = keras.layers.ReLU(**options).get_config()
        known = ("max_value", "negative_slope", "threshold")
        assert {name: model.layers[0].get_config()[name] for name in known} == {n: config[n] for n in known}
    assert (
        layers.ReLU(2.0, 0.5, 0.25).config
        == layers.ReLU(threshold=0.25, max_value=2, negative_slope=0.5).config
    )
    for name in ("max_value", "negative_slope", "threshold"):
        with pytest.raises(ConfigurationError, match=f"{name} must be a finite number"):
            layers.ReLU(**{name: -1.0})
    for name in ("negative_slope", "threshold"):
        with pytest.raises(DTypeError, match=f"{name} must be a number"):
            layers.ReLU(**{name: None})


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("threshold", ConfigurationError, r"partial\(fastnn.activations.threshold, threshold=..., default_v"),
        (partial(activations.threshold, threshold=1.0), ConfigurationError, "needs default_value"),
        (partial(activations.gelu, approximate=1), DTypeError, "approximate must be True or False"),
        (partial(activations.celu, alpha=0.0), ConfigurationError, "alpha must be a finite number above 0"),
        (partial(activations.celu, beta=1.0), ConfigurationError, r"takes by name: alpha; got"),
        (partial(activations.celu, 1.0), ConfigurationError, "takes by name: alpha"),
        (partial(activations.silu, beta=1.0), ConfigurationError, "takes no arguments"),
        (partial(activations.softmax, axis=0), ConfigurationError, "axis must be -1"),
        (partial(np.tanh), DTypeError, "other Python functions cannot run"),
        ("glu", ConfigurationError, "not ours: "),
        ("sparsemax", ConfigurationError, "not ours: "),
    ],
)
def test_what_does_not_fit_is_refused(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        layers.Dense(2, given)


def test_softmax_takes_an_axis() -> None:
    x = np.random.default_rng(1).normal(size=(3, 4, 5))
    for function in (activations.softmax, activations.log_softmax):
        along = function(np.moveaxis(x, 1, -1))
        np.testing.assert_allclose(function(x, axis=1), np.moveaxis(along, -1, 1), rtol=1e-12)
        np.testing.assert_array_equal(function(x, axis=2), function(x))
        with pytest.raises(ConfigurationError, match="axis must be one of the 3 of x"):
            function(x, axis=3)
    assert layers.Softmax(1).config == layers.Softmax().config
    with pytest.raises(ConfigurationError, match="axis must be -1"):
        layers.Softmax(axis=0)
