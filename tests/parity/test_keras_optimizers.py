"""Optimizers and what they all take, step by step the same as Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers

# Keras hands its variables to NumPy in a way that NumPy 2 warns about; that is not ours to fix.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RULES: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {"momentum": 0.9}),
    "rmsprop": ("RMSprop", {"epsilon": 1e-3}),
    "rmsprop moving": ("RMSprop", {"momentum": 0.8, "epsilon": 1e-3}),
    "rmsprop centred": ("RMSprop", {"rho": 0.8, "centered": True, "epsilon": 1e-3}),
    "rmsprop both": ("RMSprop", {"momentum": 0.5, "centered": True, "epsilon": 1e-2}),
    "adagrad": ("Adagrad", {}),
    "adadelta": ("Adadelta", {"learning_rate": 3.0}),
    "adam": ("Adam", {}),
    "amsgrad": ("Adam", {"amsgrad": True, "beta_2": 0.9}),
    "adamw amsgrad": ("AdamW", {"amsgrad": True, "beta_2": 0.8}),
    "nadam": ("Nadam", {}),
    "adamax": ("Adamax", {"beta_2": 0.9}),
    "ftrl": ("Ftrl", {"learning_rate": 0.5}),
    "ftrl all": (
        "Ftrl",
        {
            "learning_rate": 0.5,
            "learning_rate_power": -0.3,
            "l1_regularization_strength": 0.01,
            "l2_regularization_strength": 0.02,
            "l2_shrinkage_regularization_strength": 0.03,
            "beta": 0.1,
        },
    ),
    "lion": ("Lion", {"learning_rate": 0.01}),
    "lamb": ("Lamb", {}),
    "muon": ("Muon", {}),
    "muon plain": (
        "Muon",
        {
            "nesterov": False,
            "rms_rate": None,
            "ns_steps": 3,
            "momentum": 0.8,
            "weight_decay": None,
            "adam_weight_decay": 0.1,
            "adam_lr_ratio": 0.5,
            "adam_beta_1": 0.8,
            "adam_beta_2": 0.9,
            "epsilon": 1e-3,
        },
    ),
    "muon other": ("Muon", {"exclude_layers": ["out/k"], "muon_a": 2.0, "muon_b": -1.5, "muon_c": 0.5}),
}
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"clipvalue": 0.1, "gradient_accumulation_steps": 3, "schedule": True},
    {"use_ema": True, "ema_momentum": 0.9, "weight_decay": 0.1},
    {"global_clipnorm": 0.2, "use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 3},
    {"clipnorm": 0.2, "schedule": True, "weight_decay": 0.1, "gradient_accumulation_steps": 2},
    {"gradient_accumulation_steps": 3, "use_ema": True, "ema_overwrite_frequency": 2, "weight_decay": 0.05},
    {"schedule": True, "weight_decay": 0.1},
)
CASES = [
    (name, number, "float32" if (place + turn) % 2 else "float64")
    for place, name in enumerate(RULES)
    for turn, number in enumerate((place % len(OPTIONS), (3 * place + 1) % len(OPTIONS)))
]


PARTS: dict[str, tuple[dict[str, tuple[Any, ...]], dict[str, tuple[Any, ...]]]] = {
    "l1": ({"kernel_regularizer": ("L1", 0.03)}, {}),
    "both": ({"kernel_regularizer": ("L1L2", 0.02, 0.01), "bias_regularizer": ("L1", 0.1)}, {}),
    "orthogonal": ({"kernel_regularizer": ("OrthogonalRegularizer", 0.3)}, {}),
    "orthogonal columns": (
        {"kernel_regularizer": ("OrthogonalRegularizer", 0.3, "columns"), "bias_regularizer": ("L2", 0.1)},
        {"kernel_constraint": ("MaxNorm", 0.9)},
    ),
    "signs": ({}, {"kernel_constraint": ("NonNeg",), "bias_constraint": ("NonNeg",)}),
    "columns": ({"kernel_regularizer": ("L2", 0.01)}, {"kernel_constraint": ("MaxNorm", 0.7)}),
    "rows": ({}, {"kernel_constraint": ("MaxNorm", 0.5, 1), "bias_constraint": ("MaxNorm", 0.1)}),
    "slowly": ({}, {"kernel_constraint": ("MinMaxNorm", 0.4, 0.6, 0.3)}),
    "one": ({}, {"kernel_constraint": ("UnitNorm", -1), "bias_constraint": ("UnitNorm",)}),
    "all": ({}, {"kernel_constraint": ("UnitNorm", [0, 1])}),
}


@pytest.mark.parametrize("name", PARTS)
def test_penalties_and_constraints(keras: Any, name: str) -> None:
    summed = list(PARTS).index(name) % 2
    options: dict[str, Any] = {"gradient_accumulation_steps": 2, "use_ema": True} if summed else {}
    rng = np.random.default_rng(1)
    x = rng.normal(0, 1, (20, 3))
    y = np.sin(x.sum(1, keepdims=True))
    found: list[Any] = []
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        for library in (fastnn, keras):
            penalties, limits = PARTS[name]
            arguments = {
                key: getattr(library.regularizers, cls)(*given) for key, (cls, *given) in penalties.items()
            }
            arguments |= {
                key: getattr(library.constraints, cls)(*given) for key, (cls, *given) in limits.items()
            }
            dense = library.layers.Dense(5, "tanh", **arguments)
            kind = {"dtype": "float64"} if library is fastnn else {}
            model = library.Sequential([library.Input((3,)), dense, library.layers.Dense(1)], **kind)
            model.set_weights(found[0] if found else model.get_weights())
            found.append(model.get_weights())
            model.compile(library.optimizers.SGD(2**-4, momentum=0.5, **options), "mse")
            past = model.fit(x, y, batch_size=8, epochs=12, shuffle=False, verbose=0)
            found.append([*model.get_weights(), np.asarray(past.history["loss"])])
    finally:
        keras.config.set_dtype_policy(policy)
    for one, other in zip(found[1], found[3], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


def both(keras: Any, cls: str, arguments: dict[str, Any], dtype: str, decayed: str = "") -> tuple[Any, Any]:
    """Return weights and losses of 50 steps, batches of 8 and a last one of 2, here and there."""

    def normalized(library: Any) -> list[Any]:
        """Return a layer whose statistics move in steps without an update, too, where there are such."""
        return [library.layers.BatchNormalization()] if "gradient_accumulation_steps" in arguments else []

    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (34, 3)).astype(dtype)
    y = np.sin(x.sum(1, keepdims=True))
    ours = fastnn.Sequential(
        [fastnn.Input((3,)), layers.Dense(5, "tanh"), *normalized(fastnn), layers.Dense(1, name="out")],
        dtype=dtype,
        seed=0,
    )
    found = []
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        theirs = keras.Sequential(
            [
                keras.Input((3,)),
                keras.layers.Dense(5, "tanh"),
                *normalized(keras),
                keras.layers.Dense(1, name="out"),
            ]
        )
        theirs.set_weights(ours.get_weights())
        for library, model in ((fastnn, ours), (keras, theirs)):
            given = dict(arguments)
            if given.pop("schedule", None):
                decay = library.optimizers.schedules.ExponentialDecay
                given["learning_rate"] = decay(given["learning_rate"], 20, 0.5)
            optimizer = getattr(library.optimizers, cls)(**given)
            if decayed:
                optimizer.exclude_from_weight_decay(var_names=[decayed])
            model.compile(optimizer, "mse")
            for epochs in (7, 3):  # averages become weights in between
                past = model.fit(x, y, batch_size=8, epochs=epochs, shuffle=False, verbose=0)
            found.append([*model.get_weights(), np.asarray(past.history["loss"])])
    finally:
        keras.config.set_dtype_policy(policy)
    return found[0], found[1]


@pytest.mark.parametrize(("name", "options", "dtype"), CASES)
def test_fifty_steps(keras: Any, name: str, options: int, dtype: str) -> None:
    cls, arguments = RULES[name]
    given = {"learning_rate": 2**-6, **arguments, **OPTIONS[options]}
    ours, theirs = both(keras, cls, given, dtype, "bias|beta" if "weight_decay" in given else "")
    tolerance = 1e-6 if dtype == "float64" else 1e-5
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def test_ten_steps_of_muon_on_wide_and_tall_kernels(keras: Any) -> None:
    rng = np.random.default_rng(2)
    shapes = [(20, 70), (70, 30), (30, 30), (30, 1)]
    x, y = rng.normal(0, 1, (64, 20)).astype(np.float32), rng.normal(0, 1, (64, 1)).astype(np.float32)
    found: list[Any] = []
    for library in (fastnn, keras):
        dense = [library.layers.Dense(units, "tanh") for _, units in shapes]
        model = library.Sequential([library.Input((20,)), *dense])
        drawn = [rng.normal(0, 0.2, w.shape).astype(np.float32) for w in model.get_weights()]
        model.set_weights(found[0] if found else drawn)
        found.append(model.get_weights())
        model.compile(library.optimizers.Muon(0.01), "mse")
        model.fit(x, y, batch_size=32, epochs=5, shuffle=False, verbose=0)
        found.append(model.get_weights())
    assert [w.shape for w in found[0][::2]] == shapes
    for one, other, before in zip(found[1], found[3], found[0], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
        assert np.abs(one - before).max() > 1e-4


@pytest.mark.parametrize(
    "options",
    [
        {"global_clipnorm": 0.5, "weight_decay": 0.1},
        {"gradient_accumulation_steps": 2, "clipvalue": 0.1},
        {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2},
    ],
)
def test_gradients_of_a_loop_of_ones_own(keras: Any, options: dict[str, Any]) -> None:
    """In pairs, of all weights, and then of some."""
    rng = np.random.default_rng(4)
    ours = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(4), layers.Dense(2)], seed=0)
    theirs = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(2)])
    theirs.set_weights(ours.get_weights())
    for library, model in ((fastnn, ours), (keras, theirs)):
        model.compile(library.optimizers.Adam(0.01, epsilon=1e-3, **options), "mse")
    theirs.optimizer.build(theirs.trainable_variables)
    for step in range(6):
        given = [rng.normal(0, 1, w.shape).astype(np.float32) for w in ours.trainable_weights]
        chosen = slice(None) if step < 4 else slice(1, 3)
        made = ours.optimizer.apply_gradients(zip(given[chosen], ours.trainable_weights[chosen], strict=True))
        tensors = [keras.ops.convert_to_tensor(gradient) for gradient in given[chosen]]
        count = theirs.optimizer.apply_gradients(zip(tensors, theirs.trainable_weights[chosen], strict=True))
        for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6, err_msg=f"step {step}")
        assert made == int(keras.ops.convert_to_numpy(count)), step
