"""What descriptions are written down as, in Keras's forms, and what else than descriptions may be given."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import activations, constraints, initializers, layers, regularizers
from fastnn.errors import ConfigurationError, DTypeError, FileFormatError, ShapeError


def kernel_of(initializer: Any, seed: int = 0) -> np.ndarray:
    layer = layers.Dense(3, kernel_initializer=initializer)
    kernel: np.ndarray = fastnn.Sequential([fastnn.Input((2,)), layer], seed=seed).get_weights()[0]
    return kernel


def ramp(shape: tuple[int, ...], dtype: Any = None) -> np.ndarray:
    return np.arange(float(np.prod(shape))).reshape(shape).astype(dtype)


class Scaled(initializers.Initializer):
    """As Keras's guides write one."""

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def __call__(self, shape: Any, dtype: Any = None, **options: Any) -> np.ndarray:
        return self.scale * ramp(tuple(shape), dtype)

    def get_config(self) -> dict[str, Any]:
        return {"scale": self.scale}


# --- activations ---------------------------------------------------------------------------------------


def test_an_activation_that_is_got_is_the_function() -> None:
    assert activations.get("relu") is activations.get(activations.relu) is activations.relu
    assert activations.get(None) is activations.linear
    assert activations.get("swish") is activations.silu
    steep = partial(activations.leaky_relu, negative_slope=0.5)
    assert activations.get(steep) is steep
    np.testing.assert_array_equal(activations.get(layers.LeakyReLU(0.5))(np.array([-2.0, 3.0])), [-1.0, 3.0])
    with pytest.raises(DTypeError, match="other Python functions cannot run inside the kernels"):
        activations.get(np.tanh)


@pytest.mark.parametrize("name", ["relu", "softmax", "leaky_relu", "gelu", "hard_silu"])
def test_activations_are_written_by_their_names(name: str) -> None:
    assert activations.serialize(getattr(activations, name)) == name
    assert activations.deserialize(name) is getattr(activations, name)
    assert activations.deserialize({"class_name": "function", "config": name}) is getattr(activations, name)


def test_activations_with_numbers_are_written_with_them() -> None:
    entry = activations.serialize(partial(activations.elu, alpha=0.25))
    again = activations.deserialize(entry)
    np.testing.assert_array_equal(again(np.array([-1.0])), activations.elu(np.array([-1.0]), 0.25))
    with pytest.raises(DTypeError, match="config must be a name or a dict"):
        activations.deserialize(3)  # type: ignore[arg-type]


# --- written down --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "thing"),
    [
        (initializers, initializers.GlorotUniform(seed=3)),
        (initializers, initializers.Constant([[1.0, 2.0]])),
        (initializers, initializers.VarianceScaling(2.0, input_axes=[0], output_axes=[1, 2])),
        (regularizers, regularizers.L1L2(0.5, 0.25)),
        (constraints, constraints.MinMaxNorm(0.5, axis=[0, 1])),
    ],
)
def test_written_and_read(module: Any, thing: Any) -> None:
    entry = module.serialize(thing)
    assert entry == {"class_name": type(thing).__name__, "config": thing.get_config()}
    as_keras = {"module": "keras.x", **entry, "registered_name": None}
    assert module.deserialize(entry) == module.deserialize(as_keras) == module.get(entry) == thing


@pytest.mark.parametrize(
    ("module", "name", "config"),
    [
        (initializers, "glorot_normal", {}),
        (initializers, "OrthogonalInitializer", {"gain": 2.0}),
        (regularizers, "l1_l2", {"l1": 0.5}),
        (constraints, "max_norm", {"max_value": 3.0}),
    ],
)
def test_names_in_small_letters_are_read_as_well(module: Any, name: str, config: dict[str, Any]) -> None:
    assert module.deserialize({"class_name": name, "config": config}) == type(module.get(name))(**config)
    assert module.deserialize(name) == module.get(name)


@pytest.mark.parametrize("module", [regularizers, constraints])
def test_none_is_not_written(module: Any) -> None:
    with pytest.raises(DTypeError, match="there is no "):
        module.serialize(None)
    with pytest.raises(DTypeError, match="config must be a dict or a name"):
        module.deserialize(None)


def test_constraints_of_ones_own_are_refused() -> None:
    class Positive(constraints.Constraint):
        def __call__(self, w: Any) -> Any:
            return np.abs(w)

    for given in (Positive(), Positive, np.abs):
        with pytest.raises(DTypeError, match=r"kernels know no others: .* layer\.set_weights"):
            layers.Dense(1, kernel_constraint=given)  # type: ignore[arg-type]


# --- initializers --------------------------------------------------------------------------------------


def test_an_instance_without_a_seed_repeats_itself() -> None:
    """As in Keras; another instance, made alike, draws other numbers."""
    one = initializers.RandomNormal()
    first = one((3, 4))
    np.testing.assert_array_equal(one((3, 4)), first)
    for other in (initializers.RandomNormal(), one.clone(), initializers.get("random_normal")):
        assert other == one
        assert (other((3, 4)) != first).any()
    fastnn.utils.set_random_seed(5)
    begun = initializers.RandomNormal()((3, 4))
    fastnn.utils.set_random_seed(5)
    np.testing.assert_array_equal(initializers.RandomNormal()((3, 4)), begun)


def test_models_draw_from_their_own_seed() -> None:
    one = initializers.GlorotUniform()
    one((2, 3))
    np.testing.assert_array_equal(kernel_of(one, 7), kernel_of("glorot_uniform", 7))
    assert (kernel_of(one, 7) != kernel_of(one, 8)).any()
    two = [layers.Dense(2, kernel_initializer=one) for _ in range(2)]
    first, second = fastnn.Sequential([fastnn.Input((2,)), *two], seed=7).get_weights()[::2]
    assert (first != second).any()


@pytest.mark.parametrize(
    "initializer", [ramp, Scaled(1.0), lambda shape, dtype=None: ramp(shape).tolist(), ramp((2, 3))]
)
def test_functions_classes_and_arrays_initialize(initializer: Any) -> None:
    np.testing.assert_array_equal(kernel_of(initializer), ramp((2, 3)))
    assert kernel_of(initializer).dtype == np.float32


def test_what_is_called_for_a_layer() -> None:
    seen: list[Any] = []

    def watch(shape: tuple[int, ...], dtype: Any = None) -> np.ndarray:
        seen.append((shape, dtype))
        return np.zeros(shape)

    fastnn.Sequential([fastnn.Input((2,)), layers.Dense(3, bias_initializer=watch)], dtype="float64")
    assert seen == [((3,), "float64")]


def test_two_of_one_class_are_not_taken_for_each_other() -> None:
    np.testing.assert_array_equal(kernel_of(Scaled(1.0)), ramp((2, 3)))
    np.testing.assert_array_equal(kernel_of(Scaled(5.0)), 5 * ramp((2, 3)))


def test_none_is_what_keras_makes_of_it() -> None:
    np.testing.assert_array_equal(kernel_of(None), kernel_of("glorot_uniform"))
    assert initializers.get(None) is None


@pytest.mark.parametrize(
    ("initializer", "error", "message"),
    [
        (
            lambda shape, dtype: np.zeros(3),
            ShapeError,
            r"'dense/kernel' must have shape \(2, 3\), got \(3,\)",
        ),
        (lambda shape, dtype: np.full(shape, np.nan), ValueError, "'dense/kernel'.*NaN"),
        (lambda shape, dtype: "many", TypeError, "'dense/kernel'"),
        (np.zeros((3, 2)), ConfigurationError, r"array of shape \(3, 2\).*\(2, 3\)"),
        (initializers.Constant([1.0, 2.0]), ConfigurationError, r"values of shape \(2,\).*\(2, 3\)"),
    ],
)
def test_what_does_not_fit_is_refused(initializer: Any, error: type[Exception], message: str) -> None:
    layer = layers.Dense(3, kernel_initializer=initializer, name="dense")
    with pytest.raises(error, match=message):
        fastnn.Sequential([fastnn.Input((2,)), layer])
    assert layer.weights == []


def test_an_error_of_the_function_says_where() -> None:
    def broken(shape: Any, dtype: Any) -> Any:
        raise ZeroDivisionError("oh")

    with pytest.raises(ZeroDivisionError, match="oh") as caught:
        kernel_of(broken)
    assert any("'dense/kernel'" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("bad", [len, lambda shape: shape, lambda: 1, 3, [1.0]])
def test_what_cannot_be_called_with_a_shape_and_a_dtype_is_refused(bad: Any) -> None:
    for taken in (initializers.get, lambda one: layers.Dense(1, kernel_initializer=one)):
        with pytest.raises(DTypeError, match="an initializer is a name, an Initializer, an array"):
            taken(bad)


@pytest.mark.parametrize("bad", ["a", None, [[1.0], [2.0, 3.0]], ["a"], [np.nan], np.inf, {}])
def test_constants_that_are_none(bad: Any) -> None:
    with pytest.raises((ConfigurationError, DTypeError), match="value"):
        initializers.Constant(bad)


def test_constants_of_arrays() -> None:
    table = np.arange(6.0).reshape(2, 3)
    one = initializers.Constant(table)
    table[:] = 9.0  # a copy was kept
    assert one == initializers.Constant([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    assert hash(one) == hash(initializers.Constant(np.arange(6.0).reshape(2, 3)))
    assert one != initializers.Constant(0.0)
    embedding = layers.Embedding(2, 3, embeddings_initializer=one)
    model = fastnn.Sequential([fastnn.Input((1,), dtype="int32"), embedding])
    np.testing.assert_array_equal(model.get_weights()[0], np.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize(
    ("shape", "fan_in", "fan_out"), [((), 1, 1), ((4,), 4, 4), ((5, 3), 5, 3), ((2, 5, 3), 10, 6)]
)
def test_fans_are_those_of_keras(shape: tuple[int, ...], fan_in: int, fan_out: int) -> None:
    for mode, fan in (("fan_in", fan_in), ("fan_out", fan_out), ("fan_avg", (fan_in + fan_out) / 2)):
        drawn = initializers.VarianceScaling(6.0, mode, "uniform", seed=0)(shape, "float64")
        limit = np.sqrt(3.0 * 6.0 / fan)
        np.testing.assert_allclose(drawn, np.random.default_rng(0).uniform(-limit, limit, shape))
    axes = initializers.VarianceScaling(6.0, "fan_out", "uniform", seed=0, output_axes=range(len(shape)))
    limit = np.sqrt(3.0 * 6.0 / np.prod(shape))
    np.testing.assert_allclose(axes(shape, "float64"), np.random.default_rng(0).uniform(-limit, limit, shape))


@pytest.mark.parametrize("axes", ["01", 0, [0.5], [True]])
def test_axes_that_are_none(axes: Any) -> None:
    with pytest.raises(DTypeError, match="input_axes"):
        initializers.VarianceScaling(input_axes=axes)
    with pytest.raises(ConfigurationError, match="has no axis 2"):
        initializers.VarianceScaling(input_axes=[2])((3, 4))


# --- files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("initializer", "name", "own"), [(ramp, "ramp", ramp), (Scaled(2.0), "Scaled", Scaled)]
)
def test_those_of_ones_own_are_given_again(
    initializer: Any, name: str, own: Callable[..., Any], tmp_path: Path
) -> None:
    layer = layers.Dense(3, kernel_initializer=initializer)
    model = fastnn.Sequential([fastnn.Input((2,)), layer])
    model.save(tmp_path / "model")
    with pytest.raises(FileFormatError, match=name):
        fastnn.load_model(tmp_path / "model")
    again = fastnn.load_model(tmp_path / "model", custom_objects={name: own})
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])
    assert again.get_config() == model.get_config()
    entry = initializers.serialize(initializer)
    read = initializers.deserialize(entry, {name: own})
    np.testing.assert_array_equal(read((2, 3)), initializer((2, 3)))


def test_arrays_are_in_the_file(tmp_path: Path) -> None:
    layer = layers.Dense(3, kernel_initializer=ramp((2, 3)))
    model = fastnn.Sequential([fastnn.Input((2,)), layer], seed=0)
    model.save(tmp_path / "model")
    again = fastnn.load_model(tmp_path / "model")
    np.testing.assert_array_equal(fastnn.models.clone_model(again).get_weights()[0], ramp((2, 3)))
