"""A model as a Keras user handles it: structure, weights, compile, evaluate, predict, looking inside."""

from __future__ import annotations

import copy
import pickle
import random
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import activations, layers, metrics
from fastnn.errors import ConfigurationError, DataError, DTypeError, ShapeError

RNG = np.random.default_rng(5)
X = RNG.standard_normal((20, 3))
Y = np.hstack([X.sum(1, keepdims=True), X[:, :1] - 1])
LABELS = (X[:, 0] > 0).astype(int)


def build(dtype: str = "float32", seed: int | None = 1, **options: Any) -> fastnn.Sequential:
    model = fastnn.Sequential(
        [fastnn.Input((3,)), layers.Dense(4, "tanh", name="hidden"), layers.Dense(2, name="out")],
        dtype=dtype,
        seed=seed,
    )
    model.compile(**{"optimizer": "sgd", "loss": "mse", **options})
    return model


def bits(model: fastnn.Model) -> list[bytes]:
    return [w.tobytes() for w in model.get_weights()]


# --- structure -----------------------------------------------------------------------------------------


def test_weights_have_the_shapes_order_and_start_of_keras() -> None:
    weights = build().get_weights()
    assert [w.shape for w in weights] == [(3, 4), (4,), (4, 2), (2,)]
    assert all(w.dtype == np.float32 for w in weights)
    assert build().count_params() == 3 * 4 + 4 + 4 * 2 + 2
    np.testing.assert_array_equal(weights[1], 0)
    limit = np.sqrt(6 / (3 + 4))
    assert 0 < np.abs(weights[0]).max() <= limit


def test_three_ways_to_give_the_width_make_the_same_model() -> None:
    by_input = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(4)], seed=2)
    by_layer = fastnn.Sequential([layers.Dense(4, input_dim=3)], seed=2)
    by_shape = fastnn.Sequential([layers.Dense(4, input_shape=(3,))], seed=2)
    by_build = fastnn.Sequential([layers.Dense(4)], seed=2)
    by_data = fastnn.Sequential([layers.Dense(4)], seed=2)
    assert not by_data.built
    by_build.build((None, 3))
    by_data.predict(X)
    for model in (by_layer, by_shape, by_build, by_data):
        assert model.built
        assert bits(model) == bits(by_input)


def test_layers_one_by_one_make_the_same_model() -> None:
    model = fastnn.Sequential(seed=1)
    for layer in build().layers:
        model.add(fastnn.Input((3,))) if not model.layers else None
        model.add(layers.Dense(layer.units, activations.name_of(layer.config.activation), name=layer.name))
    assert bits(model) == bits(build())


def test_adding_a_layer_keeps_the_weights_of_those_before() -> None:
    model = fastnn.Sequential([fastnn.Input((2,)), layers.Dense(2)], seed=0)
    model.set_weights([np.full((2, 2), 7.0), np.full(2, 8.0)])
    model.add(layers.Dense(1))
    np.testing.assert_array_equal(model.get_weights()[0], np.full((2, 2), 7.0))
    np.testing.assert_array_equal(model.get_weights()[1], np.full(2, 8.0))


def test_a_layer_added_after_a_prediction_counts() -> None:
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(2)], seed=0)
    before = model.predict(X)
    model.input_gradients(X)
    model.add(layers.Activation("relu"))
    np.testing.assert_array_equal(model.predict(X), np.maximum(before, 0))
    assert (before < 0).any()
    model.add(layers.Dense(5))
    assert model.predict(X).shape == (20, 5)
    assert model.input_gradients(X, np.ones((20, 5))).shape == (20, 3)


def test_names_are_made_from_classes_and_kept_apart() -> None:
    model = fastnn.Sequential(
        [fastnn.Input((3,)), layers.Dense(4), layers.Activation("relu"), layers.Dense(2), layers.Dense(2)]
    )
    assert [layer.name for layer in model.layers] == ["dense", "activation", "dense_1", "dense_2"]
    assert model.get_layer("dense_1") is model.layers[2]
    assert model.get_layer(index=-1) is model.layers[3]
    with pytest.raises(ConfigurationError, match=r"no layer is named 'dense_9'; there are \['dense'"):
        model.get_layer("dense_9")
    with pytest.raises(ConfigurationError, match="no layer 4; there are 4"):
        model.get_layer(index=4)


def test_the_list_of_layers_is_a_copy() -> None:
    model = build()
    model.layers.clear()
    assert len(model.layers) == 2


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: [layers.Dense(2), fastnn.Input((3,))], ConfigurationError, "Input must be the first"),
        (lambda: [fastnn.Input((3,)), fastnn.Input((3,))], ConfigurationError, "Input must be the first"),
        (lambda: [fastnn.Input((3,)), layers.Dense], DTypeError, r"a class; call it"),
        (lambda: [fastnn.Input((3,)), "dense"], DTypeError, "expected a layer such as"),
        (lambda: [layers.Dense(2, name="a"), layers.Dense(2, name="a")], ConfigurationError, "two layers"),
        (lambda: [fastnn.Input((3,)), layers.Dense(2, input_dim=4)], ConfigurationError, "3 features.*4"),
        (lambda: [fastnn.Input((3,)), *[layers.Dense(2)] * 2], ShapeError, r"widths \[3\] and \[2\], but"),
        (lambda: [fastnn.Input((3,)), layers.Add()], ConfigurationError, "Add joins several tensors"),
        (lambda: layers.Dense(2), DTypeError, "layers must be a list"),
    ],
)
def test_what_is_no_chain_is_refused(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fastnn.Sequential(make())


def test_a_layer_that_cannot_be_added_is_not_there_afterwards(refused: Any) -> None:
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(4, name="a")], seed=0)
    with refused(model, ConfigurationError, match="two layers are named 'a'"):
        model.add(layers.Dense(2, name="a"))
    with refused(model, DTypeError, match="expected a layer"):
        model.add(3)
    model = build()
    with refused(model, ConfigurationError, match="layers cannot be added after compile"):
        model.add(layers.Dense(1))


def test_a_layer_too_large_for_the_memory_is_not_there_afterwards(refused: Any) -> None:
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(2**20)], seed=0)
    with refused(model, (ValueError, MemoryError), match=r"(?i)maximum|allocate|too large"):
        model.add(layers.Dense(2**31 - 1))


@pytest.mark.parametrize("width", [2**31 - 1, 2**24])
def test_sizes_that_overflow_are_refused(width: int) -> None:
    with pytest.raises((ValueError, MemoryError), match=r"(?i)maximum|allocate|too large"):
        fastnn.Sequential([fastnn.Input((width,)), layers.Dense(2**31 - 1)])


def test_a_model_without_layers_or_width_says_what_is_missing() -> None:
    with pytest.raises(ConfigurationError, match="the model has no layers"):
        fastnn.Sequential([fastnn.Input((3,))]).predict(X)
    unbuilt = fastnn.Sequential([layers.Dense(2)])
    for ask in (unbuilt.get_weights, unbuilt.count_params, unbuilt.plan):
        with pytest.raises(ConfigurationError, match=r"input width is not known yet.*fastnn.Input"):
            ask()
    for bad, error in (((None, 0), ConfigurationError), ((3,), ShapeError), ((None, None), ShapeError)):
        with pytest.raises(error, match="features"):
            unbuilt.build(bad)
    assert not unbuilt.built


# --- weights -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_set_are_weights_got_and_used(dtype: str) -> None:
    model = build(dtype)
    weights = [RNG.standard_normal(w.shape).astype(dtype) for w in model.get_weights()]
    model.set_weights(weights)
    for given, found in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(given, found)
    w1, b1, w2, b2 = (w.astype(np.float64) for w in weights)
    expected = np.tanh(X @ w1 + b1) @ w2 + b2
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-5 if dtype == "float32" else 1e-13)
    assert model.predict(X).dtype == dtype


def test_weights_got_are_copies() -> None:
    model = build()
    before = bits(model)
    for weight in (*model.get_weights(), model.layers[0].kernel, *model.layers[1].get_weights()):
        weight.fill(9)
    assert bits(model) == before


def test_bad_weights_are_refused_as_a_whole(refused: Any) -> None:
    model = build()
    good = [w + 1 for w in model.get_weights()]
    for position, bad, error, message in (
        (0, np.zeros((4, 3)), ShapeError, r"hidden/kernel must have shape \(3, 4\), got \(4, 3\)"),
        (3, np.zeros((1, 2)), ShapeError, r"out/bias must have shape \(2,\)"),
        (3, [np.nan, 1], DataError, "out/bias has 1 values that are NaN"),
        (3, [np.inf, 1], DataError, "out/bias"),
        (3, [1e39, 1], DataError, "too large for float32"),
        (3, ["a", "b"], DTypeError, "out/bias has dtype"),
        (3, np.zeros(2, complex), DTypeError, "complex"),
        (2, None, DTypeError, "out/kernel is None"),
    ):
        with refused(model, error, match=message):
            model.set_weights([*good[:position], bad, *good[position + 1 :]])
    with refused(model, ShapeError, match=r"expected 4 arrays \(hidden/kernel, .*got 3"):
        model.set_weights(good[:3])
    with refused(model, TypeError, match="int"):
        model.set_weights(5)


# --- compile -------------------------------------------------------------------------------------------


def test_what_needs_compile_says_so() -> None:
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(2)], seed=0)
    for call in (
        lambda: model.fit(X, Y, verbose=0),
        lambda: model.train_on_batch(X, Y),
        lambda: model.evaluate(X, Y),
        lambda: model.loss_and_gradients(X, Y),
        lambda: model.profile(X, Y),
        lambda: model.plan(purpose="train"),
        lambda: model.optimizer,
        lambda: fastnn.gradcheck(model, X, Y),
    ):
        with pytest.raises(ConfigurationError, match=r"not compiled; call model.compile\("):
            call()
    assert model.predict(X).shape == (20, 2)  # which needs no loss


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"optimizer": "adm"}, ConfigurationError, "unknown optimizer 'adm'; did you mean 'adam'"),
        ({"optimizer": 3}, DTypeError, "an optimizer is a name or an Optimizer, got 3"),
        ({"loss": "mean_square_error"}, ConfigurationError, "did you mean 'mean_squared_error'"),
        ({"loss": 3}, DTypeError, "a loss is a name, a Loss or a function, got 3"),
        ({"loss": int}, DTypeError, "a loss is a name, a Loss or a function"),
        ({"metrics": ["acuracy"]}, ConfigurationError, "unknown metric 'acuracy'; did you mean 'accuracy'"),
        ({"metrics": [3]}, DTypeError, "a metric is a name, a Metric or a function, got 3"),
        ({"metrics": [metrics.MeanSquaredError("loss")]}, ConfigurationError, "named 'loss'"),
        ({"metrics": ["sparse_categorical_accuracy"]}, ConfigurationError, "does not suit mean_squared"),
        ({"loss": "sparse_categorical_crossentropy", "metrics": ["mse"]}, ConfigurationError, "does not"),
    ],
)
def test_bad_compile_leaves_the_model_compiled_as_it_was(
    options: dict[str, Any], error: type[Exception], message: str, refused: Any
) -> None:
    model = build(optimizer="adam", metrics=["mse"])
    model.fit(X, Y, verbose=0)
    with refused(model, error, match=message):
        model.compile(**{"optimizer": "sgd", "loss": "mse", **options})
    assert set(model.fit(X, Y, verbose=0).history) == {"loss", "mse"}


def test_crossentropy_needs_two_outputs(refused: Any) -> None:
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(1)], seed=0)
    model.compile("sgd", "mse")
    for loss in ("categorical_crossentropy", "sparse_categorical_crossentropy"):
        with refused(model, ConfigurationError, match="at least 2 outputs.*use binary_crossentropy"):
            model.compile("sgd", loss)
    assert np.isfinite(model.train_on_batch(X, Y[:, :1]))


def test_compiling_again_keeps_weights_and_begins_the_optimizer_anew() -> None:
    model = build(optimizer="adam")
    model.fit(X, Y, epochs=3, verbose=0)
    before = bits(model)
    model.compile("adam", "mse")
    assert bits(model) == before
    assert model.optimizer.iterations == 0
    twin = build(optimizer="adam")
    twin.set_weights(model.get_weights())
    assert model.train_on_batch(X, Y) == twin.train_on_batch(X, Y)
    assert bits(model) == bits(twin)


# --- dtype and seed ------------------------------------------------------------------------------------


def test_dtypes() -> None:
    assert build("float64").predict(X).dtype == np.float64
    assert fastnn.Sequential(dtype=np.float64).dtype == np.float64
    assert fastnn.Sequential().dtype == np.float32
    for bad in ("float16", "int32", "double precision", object(), complex):
        with pytest.raises(ConfigurationError, match="dtype must be 'float32' or 'float64'"):
            fastnn.Sequential(dtype=bad)


def test_no_dtype_means_the_default() -> None:
    """NumPy reads None as float64, and Keras's default is float32."""
    assert fastnn.Sequential(dtype=None).dtype == np.float32


def test_float64_differs_from_float32_by_rounding_only() -> None:
    single, double = build("float32"), build("float64")
    double.set_weights(single.get_weights())
    single.fit(X, Y, batch_size=5, epochs=3, verbose=0)
    double.fit(X, Y, batch_size=5, epochs=3, verbose=0)
    for a, b in zip(single.get_weights(), double.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
        assert (a != b).any()


def test_seeds_decide_initial_weights() -> None:
    assert bits(build(seed=1)) == bits(build(seed=1))
    assert bits(build(seed=1)) != bits(build(seed=2))
    assert bits(build(seed=None)) != bits(build(seed=None))
    for bad, error in ((-1, ConfigurationError), (2**63, ConfigurationError), (1.0, DTypeError)):
        with pytest.raises(error, match="seed must be"):
            build(seed=bad)


@pytest.fixture
def seedless(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the process be afterwards what it was before: without a seed, random numbers where they were."""
    monkeypatch.setattr(fastnn.utils, "_seeds", None)
    kept, kept_numpy = random.getstate(), np.random.get_state()
    yield
    random.setstate(kept)
    np.random.set_state(kept_numpy)


@pytest.mark.usefixtures("seedless")
def test_set_random_seed_makes_every_later_model_reproducible() -> None:
    fastnn.utils.set_random_seed(11)
    first, second = build(seed=None), build(seed=None)
    assert bits(first) != bits(second)
    fastnn.utils.set_random_seed(11)
    again = build(seed=None)
    for model in (first, again):
        model.fit(X, Y, batch_size=4, epochs=2, verbose=0)
    assert bits(first) == bits(again)
    assert bits(second) == bits(build(seed=None))
    for bad, error in ((-1, ConfigurationError), (2**32, ConfigurationError), ("1", DTypeError)):
        with pytest.raises(error, match="seed must be"):
            fastnn.utils.set_random_seed(bad)


@pytest.mark.usefixtures("seedless")
def test_set_random_seed_seeds_python_and_numpy_too() -> None:
    """As Keras's does: what a script shuffles or draws by itself is reproducible as well."""
    drawn = []
    for seed in (3, np.uint32(3), 2**32 - 1):
        fastnn.utils.set_random_seed(seed)
        drawn.append((random.random(), np.random.random()))
    with pytest.raises(ConfigurationError):
        fastnn.utils.set_random_seed(-1)  # and nothing is seeded
    assert (random.random(), np.random.random()) not in drawn
    assert drawn[0] == drawn[1] == (random.Random(3).random(), np.random.RandomState(3).random())
    assert drawn[0] != drawn[2]


@pytest.mark.usefixtures("seedless")
def test_a_seed_can_be_had_while_one_is_being_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a signal handler, another thread or a forked child: there is no lock, and no generator, to be in."""
    made, found = np.random.SeedSequence, []

    def interrupted(entropy: Any) -> np.random.SeedSequence:
        if not found:
            found.append(-1)
            found.append(fastnn.utils.next_seed())
        return made(entropy)

    fastnn.utils.set_random_seed(5)
    expected = [fastnn.utils.next_seed() for _ in range(2)]
    fastnn.utils.set_random_seed(5)
    monkeypatch.setattr(np.random, "SeedSequence", interrupted)
    # Whoever waits for itself does so for ever, but only a failing test waits.
    outer = threading.Thread(target=lambda: found.append(fastnn.utils.next_seed()), daemon=True)
    outer.start()
    outer.join(20)
    assert found == [-1, *expected[::-1]]


# --- evaluate, predict, train_on_batch: what they return -----------------------------------------------


def test_evaluate_and_train_on_batch_return_what_keras_returns() -> None:
    plain, measured = build(), build(metrics=["mse", metrics.MeanSquaredError("second")])
    for method in ("evaluate", "train_on_batch"):
        loss = getattr(plain, method)(X, Y)
        assert isinstance(loss, float)
        values = getattr(measured, method)(X, Y)
        assert isinstance(values, list)
        assert len(values) == 3
        assert values == pytest.approx([loss] * 3, rel=1e-6)
        named = getattr(measured, method)(X, Y, return_dict=True)
        assert list(named) == ["loss", "mse", "second"]


def test_evaluate_changes_nothing_and_is_the_mean_over_rows() -> None:
    model = build("float64")
    before = bits(model)
    values = [model.evaluate(X, Y, batch_size=size, verbose=0) for size in (1, 7, 20, 1000)]
    assert bits(model) == before
    assert values == pytest.approx([((model.predict(X) - Y) ** 2).mean()] * 4, rel=1e-12)


@pytest.mark.parametrize("rows", [0, 1, 2, 63, 64, 65, 1000, 3001])
def test_predict_takes_any_number_of_rows(rows: int) -> None:
    model = build()
    x = np.random.default_rng(0).standard_normal((rows, 3))
    output = model.predict(x, batch_size=7, verbose=0)
    assert output.shape == (rows, 2)
    (w1, b1, w2, b2) = model.get_weights()
    np.testing.assert_allclose(output, np.tanh(x @ w1 + b1) @ w2 + b2, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(output, model(x))


def test_input_gradients_chain_with_what_comes_from_above(refused: Any) -> None:
    model = build("float64")
    w1, b1, w2, _ = model.get_weights()
    upstream = RNG.standard_normal((20, 2))
    slope = 1 - np.tanh(X @ w1 + b1) ** 2
    np.testing.assert_allclose(
        model.input_gradients(X, upstream), (upstream @ w2.T * slope) @ w1.T, rtol=1e-10, atol=1e-13
    )
    np.testing.assert_array_equal(model.input_gradients(X), model.input_gradients(X, np.ones((20, 2))))
    with refused(model, ShapeError, match="upstream has 7 rows but x has 20"):
        model.input_gradients(X, upstream[:7])
    with refused(model, ShapeError, match=r"upstream must have shape \(rows, 2\)"):
        model.input_gradients(X, X)
    with refused(model, DataError, match="upstream has 1 values that are NaN"):
        model.input_gradients(X[:1], [[np.nan, 0]])


def test_loss_and_gradients_name_what_they_belong_to() -> None:
    model = build("float64")
    loss, gradients = model.loss_and_gradients(X, Y)
    assert loss == pytest.approx(model.evaluate(X, Y, verbose=0), rel=1e-12)
    assert list(gradients) == ["hidden/kernel", "hidden/bias", "out/kernel", "out/bias"]
    for gradient, weight in zip(gradients.values(), model.get_weights(), strict=True):
        assert gradient.shape == weight.shape
        assert gradient.dtype == weight.dtype
    kept = {name: g.copy() for name, g in gradients.items()}
    model.loss_and_gradients(X, -Y)
    for name, gradient in gradients.items():  # not views of memory that the next call writes
        np.testing.assert_array_equal(gradient, kept[name])


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_and_pickles_go_on_as_the_model_would(duplicate: Any) -> None:
    x = np.random.default_rng(0).normal(size=(20, 3))
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(1)], seed=2)
    model.compile("adam", "mse")
    model.fit(x, x[:, :1], epochs=2, verbose=0)
    twin = duplicate(model)
    model.fit(x, x[:, :1], epochs=2, verbose=0)
    before = [w.copy() for w in twin.get_weights()]
    twin.fit(x, x[:, :1], epochs=2, verbose=0)
    for ours, theirs, old in zip(twin.get_weights(), model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert (ours != old).any()
    assert twin.layers[0].get_weights()[0].tobytes() == twin.get_weights()[0].tobytes()


# --- chains that are built before they are whole ---------------------------------------------------------


def test_no_layer_is_lost_that_comes_after_the_first_data(refused: Any) -> None:
    """A chain that took its width from data would go on without the new layer."""
    model = fastnn.Sequential([layers.Dense(3)], seed=0)
    model.predict(np.zeros((2, 4)))
    with refused(
        model, ConfigurationError, match="the model was built from its first data; add layers before"
    ):
        model.add(layers.Dense(5))
    assert model.predict(np.zeros((2, 4))).shape == (2, 3)


def test_a_chain_that_was_built_by_its_width_grows() -> None:
    model = fastnn.Sequential([layers.Dense(3)], seed=0)
    model.build((None, 4))
    before = model.get_weights()
    model.add(layers.Dense(5))
    assert model.predict(np.zeros((2, 4))).shape == (2, 5)
    for kept, old in zip(model.get_weights(), before, strict=False):
        np.testing.assert_array_equal(kept, old)


def test_build_is_for_one_width(refused: Any) -> None:
    for first in ([fastnn.Input((4,))], []):
        model = fastnn.Sequential([*first, layers.Dense(3)], seed=0)
        model.build((None, 4))
        model.build([None, 4])
        with refused(model, ShapeError, match="the model has 4 features already, got 7"):
            model.build((None, 7))


@pytest.mark.parametrize(
    ("shape", "error", "message"),
    [
        (4, DTypeError, r"input_shape must be \(None, features\), got 4"),
        (None, DTypeError, r"input_shape must be \(None, features\), got None"),
        ("ab", DTypeError, r"input_shape must be \(None, features\), got 'ab'"),
        ((4,), ShapeError, r"input_shape must be \(None, features\), got \(4,\)"),
        ((None, None), ShapeError, r"input_shape must be \(None, features\), got \(None, None\)"),
        ((None, 0), ConfigurationError, "features must be at least 1, got 0"),
        ((None, 2.5), DTypeError, "features must be an integer, got 2.5"),
    ],
)
def test_build_refuses_what_is_no_shape(
    shape: Any, error: type[Exception], message: str, refused: Any
) -> None:
    model = fastnn.Sequential([layers.Dense(3)], seed=0)
    with refused(model, error, match=message):
        model.build(shape)


def test_an_empty_chain_stays_unbuilt(refused: Any) -> None:
    model = fastnn.Sequential(seed=0)
    with refused(model, ConfigurationError, match="the model has no layers; add some"):
        model.build((None, 4))
    model.add(layers.Dense(3))
    assert not model.built
