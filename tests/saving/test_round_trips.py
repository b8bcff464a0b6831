"""A model that was saved and loaded is the model, for everything that can be done with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import fastnn
from fastnn import callbacks, initializers, layers, losses, metrics, optimizers, regularizers
from fastnn.errors import BusyError, ConfigurationError, FileFormatError

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((70, 4)), RNG.standard_normal((70, 3))
LABELS = RNG.integers(0, 3, 70)


def chain(**options: Any) -> fastnn.Sequential:
    return fastnn.Sequential(
        [fastnn.Input((4,)), layers.Dense(8, "tanh"), layers.Dense(3)], **{"seed": 3, **options}
    )


def residual(**options: Any) -> fastnn.Model:
    x = fastnn.Input((4,), name="x")
    h = layers.Dense(6, layers.LeakyReLU(0.05), name="first")(x)
    for _ in range(2):
        h = layers.Add()([h, layers.Dense(6, "elu")(h)])
    return fastnn.Model(x, layers.Dense(3)(h), **{"seed": 4, **options})


def of_every_layer(**options: Any) -> fastnn.Model:
    x = fastnn.Input((4,))
    h = [
        layers.Maxout(5, 3, kernel_regularizer=regularizers.L2(1e-3))(x),
        layers.Dense(5, layers.ELU(0.5), use_bias=False, kernel_initializer=initializers.HeNormal(seed=5))(x),
        layers.Activation("sigmoid")(layers.Dense(5, kernel_initializer="lecun_uniform")(x)),
        layers.ReLU(2.0, 0.1)(layers.Dense(5, bias_initializer=initializers.Constant(0.5))(x)),
        layers.Square()(layers.ELU()(layers.Dense(5)(x))),
        layers.Exp()(layers.Scale(0.1)(layers.Softmax()(layers.Dense(5)(x)))),
        layers.Reciprocal()(layers.Shift(3.0)(layers.LeakyReLU()(layers.Dense(5)(x)))),
        layers.Negate()(layers.Log()(layers.Shift(2.0)(layers.ReLU()(layers.Dense(5)(x))))),
    ]
    gates = [layers.Add, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum, layers.WeightedSum]
    merged = [gate()(h) for gate in gates] + [layers.Subtract()(h[:2])]
    merged.append(layers.BatchNormalization(momentum=0.75, gamma_initializer="he_normal")(h[2]))
    both = layers.Concatenate()([*merged, layers.Sum()(h[0])])
    return fastnn.Model(x, layers.Dense(3)(both), **{"seed": 6, **options})


def nested(**options: Any) -> fastnn.Model:
    """Models as layers, used twice, with several outputs, layers shared among levels, an operator."""
    dtype = options.get("dtype", "float32")
    shared = layers.Dense(4, "relu", name="shared")
    a = fastnn.Input((4,))
    inner = fastnn.Model(a, [shared(a), a, layers.Dense(4, name="own")(a)], dtype, seed=8, name="inner")
    x, y = fastnn.Input((4,)), fastnn.Input((4,))
    first, through, third = inner(x)
    tower = fastnn.Sequential(
        [fastnn.Input((4,)), layers.Dense(4), layers.Dense(4)], dtype, seed=9, name="tower"
    )
    again = inner(tower(third))
    h = layers.Add()([first, through, again[0], shared(y), 1.0 - again[2]])
    return fastnn.Model([x, y], [layers.Dense(3)(h), tower(h)], **{"seed": 7, **options})


MODELS = {"chain": chain, "residual": residual, "every layer": of_every_layer, "nested": nested}
OPTIMIZERS = [
    optimizers.SGD(0.01),
    optimizers.SGD(0.01, momentum=0.9, nesterov=True),
    optimizers.Adam(0.003, beta_1=0.8),
    optimizers.RMSprop(0.002, rho=0.95),
]


def data_of(model: fastnn.Model) -> tuple[Any, Any]:
    x = [X[:, ::-1] if i else X for i in range(len(model.inputs))]
    y = [Y if tensor.columns == 3 else X for tensor in model.outputs]
    return (x, y) if len(x) > 1 else (x[0], y[0])


def assert_equal(one: fastnn.Model, other: fastnn.Model) -> None:
    assert [la.name for la in one.layers] == [la.name for la in other.layers]
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize("name", MODELS)
def test_training_goes_on_as_if_it_had_not_been_interrupted(
    name: str, optimizer: Any, dtype: str, tmp_path: Path
) -> None:
    model = MODELS[name](dtype=dtype)
    x, y = data_of(model)
    model.compile(optimizer, "mse", metrics=None if len(model.outputs) > 1 else ["mse"])
    model.fit(x, y, batch_size=16, epochs=3, verbose=0)
    model.optimizer.learning_rate = 0.0017
    model.save(tmp_path / "model")
    again = fastnn.load_model(tmp_path / "model")
    assert type(again) is type(model)
    assert (again.name, again.dtype, again.seed) == (model.name, model.dtype, model.seed)
    assert (again.optimizer.iterations, again.optimizer.learning_rate) == (model.optimizer.iterations, 0.0017)
    assert_equal(model, again)
    options: dict[str, Any] = {"batch_size": 16, "epochs": 5, "initial_epoch": 3, "verbose": 0}
    assert model.fit(x, y, **options).history == again.fit(x, y, **options).history
    assert_equal(model, again)
    assert model.evaluate(x, y) == again.evaluate(x, y)


@pytest.mark.parametrize("loss", ["mse", losses.SquaredError("half_sum", reduction="sum")], ids=str)
def test_what_compile_was_given(loss: Any, tmp_path: Path) -> None:
    model = chain()
    model.compile(
        "sgd", loss, metrics=[metrics.MeanSquaredError("error"), metrics.MeanSquaredError], loss_weights=[2.0]
    )
    model.save(tmp_path / "model")
    again = fastnn.load_model(tmp_path / "model")
    assert again._now.objective == model._now.objective
    assert again.optimizer.description == model.optimizer.description


def test_losses_and_metrics_of_several_outputs_by_name(tmp_path: Path) -> None:
    x = fastnn.Input((4,))
    h = layers.Dense(5, "relu")(x)
    outputs = [layers.Dense(3, "softmax", name="which")(h), layers.Dense(1, "sigmoid", name="whether")(h)]
    model = fastnn.Model(x, outputs, seed=0)
    model.compile(
        "adam",
        {"which": "sparse_categorical_crossentropy", "whether": losses.BinaryCrossentropy()},
        metrics={"which": ["accuracy"], "whether": metrics.BinaryAccuracy(threshold=0.3)},
        loss_weights={"which": np.float64(0.5), "whether": 2},
    )
    y = {"which": LABELS, "whether": (LABELS > 1)[:, None]}
    model.fit(X, y, verbose=0)
    model.save(tmp_path / "model")
    assert fastnn.load_model(tmp_path / "model").evaluate(X, y, return_dict=True) == model.evaluate(
        X, y, return_dict=True
    )


def test_frozen_layers_stay_as_they_were_compiled(tmp_path: Path) -> None:
    """A flag counts from the next compile, also if the model is saved in between."""
    model = chain()
    model.layers[0].trainable = False
    model.compile("sgd", "mse")
    model.layers[0].trainable = True
    model.layers[1].trainable = False
    model.save(tmp_path / "model")
    again = fastnn.load_model(tmp_path / "model")
    assert [la.trainable for la in again.layers] == [True, False]
    before = again.get_weights()
    again.fit(X, Y, verbose=0)
    changed = [bool((a != b).any()) for a, b in zip(before, again.get_weights(), strict=True)]
    assert changed == [False, False, True, True]


def test_not_compiled_and_compile_false(tmp_path: Path) -> None:
    model = chain()
    model.save(tmp_path / "bare")
    bare = fastnn.load_model(tmp_path / "bare")
    assert_equal(model, bare)
    with pytest.raises(ConfigurationError, match="not compiled"):
        bare.fit(X, Y)
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "compiled")
    loaded = fastnn.load_model(tmp_path / "compiled", compile=False)
    assert_equal(model, loaded)
    with pytest.raises(ConfigurationError, match="not compiled"):
        loaded.fit(X, Y)


def test_shared_weights_stay_shared(tmp_path: Path) -> None:
    model = nested()
    model.save(tmp_path / "model")
    again = fastnn.load_model(tmp_path / "model")
    inner = again.get_layer("inner")
    shared = inner.get_layer("shared")
    assert any(la is shared for la in again.layers)
    shared.set_weights([w + 1 for w in shared.get_weights()])
    assert (again.predict(data_of(again)[0])[0] != model.predict(data_of(model)[0])[0]).any()
    assert again.count_params() == model.count_params()


def test_names_that_nobody_chose_may_meet_again(tmp_path: Path) -> None:
    """Layers of two models are both called dense; in a model over both, one has another name."""
    one = fastnn.Sequential([fastnn.Input((4,)), layers.Dense(4)], seed=0)
    two = fastnn.Sequential([fastnn.Input((4,)), layers.Dense(4)], seed=1)
    x = fastnn.Input((4,))
    model = fastnn.Model(x, two.layers[0](one.layers[0](x)))
    model.save(tmp_path / "model")
    assert_equal(model, fastnn.load_model(tmp_path / "model"))


def test_a_part_of_a_model(tmp_path: Path) -> None:
    model = residual()
    part = fastnn.Model(model.get_layer("first").output, model.output)
    part.save(tmp_path / "part")
    h = RNG.standard_normal((5, 6))
    np.testing.assert_array_equal(fastnn.load_model(tmp_path / "part").predict(h), part.predict(h))


def test_a_chain_that_was_built_from_its_data(tmp_path: Path) -> None:
    model = fastnn.Sequential([layers.Dense(5, "relu"), layers.Dense(3)], seed=1)
    with pytest.raises(ConfigurationError, match="input width is not known"):
        model.save(tmp_path / "model")
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model")
    assert_equal(model, fastnn.load_model(tmp_path / "model"))


def test_a_model_changed_after_its_use_is_refused(tmp_path: Path) -> None:
    inner = fastnn.Sequential([fastnn.Input((4,)), layers.Dense(4)])
    x = fastnn.Input((4,))
    model = fastnn.Model(x, inner(x))
    inner.add(layers.Dense(2))
    with pytest.raises(ConfigurationError, match="changed after it was used"):
        model.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


class Halves(initializers.Initializer):
    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        return np.full(shape, 0.5)


def test_an_initializer_of_ones_own(tmp_path: Path) -> None:
    model = fastnn.Sequential([fastnn.Input((4,)), layers.Dense(2, kernel_initializer=Halves())])
    model.save(tmp_path / "model")
    with pytest.raises(FileFormatError, match="unknown initializer 'Halves'"):
        fastnn.load_model(tmp_path / "model")
    again = fastnn.load_model(tmp_path / "model", custom_objects={"Halves": Halves})
    assert_equal(model, again)


class Once(initializers.Initializer):
    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        raise AssertionError("drawn again")


def test_nothing_is_drawn_for_a_model_that_is_loaded(tmp_path: Path) -> None:
    model = fastnn.Sequential([fastnn.Input((4,)), layers.Dense(2, kernel_initializer=Halves())])
    model.save(tmp_path / "model")
    again = fastnn.load_model(tmp_path / "model", custom_objects={"Halves": Once})
    assert_equal(model, again)
    with pytest.raises(AssertionError, match="drawn again"):
        fastnn.Sequential.from_config(again.get_config(), custom_objects={"Once": Once})


def test_a_number_minus_a_tensor_counts_as_one_operation(tmp_path: Path) -> None:
    """As in Keras, on which the order of weights depends: else `one` would be deeper than `other`."""
    x = fastnn.Input((4,))
    one, other = layers.Dense(4, name="one"), layers.Dense(4, name="other")
    model = fastnn.Model(x, layers.ReLU()(other(x)) + (2 - one(x)), seed=0)
    assert [la.name for la in model.layers][1:3] == ["other", "one"]
    model.save(tmp_path / "model")
    assert_equal(model, fastnn.load_model(tmp_path / "model"))


def test_a_layer_of_ones_own_is_refused_when_it_is_saved(tmp_path: Path) -> None:
    class Wide(layers.Dense):
        pass

    model = fastnn.Sequential([fastnn.Input((4,)), Wide(2, name="wide")])
    with pytest.raises(ConfigurationError, match="'wide' is of the class Wide"):
        model.save(tmp_path / "model")


def test_weights_alone(tmp_path: Path) -> None:
    model, other = chain(seed=1), chain(seed=2)
    model.save_weights(tmp_path / "weights")
    other.load_weights(tmp_path / "weights")
    assert_equal(model, other)
    with pytest.raises(FileFormatError, match="weights only"):
        fastnn.load_model(tmp_path / "weights")
    third = chain(seed=3)
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model")
    third.load_weights(tmp_path / "model")
    assert_equal(model, third)
    wide = chain(dtype="float64")
    wide.load_weights(tmp_path / "weights")
    np.testing.assert_array_equal(wide.get_weights()[0], other.get_weights()[0])


def test_weights_of_another_model_change_nothing(tmp_path: Path) -> None:
    residual().save_weights(tmp_path / "weights")
    model = chain()
    before = model.get_weights()
    with pytest.raises(FileFormatError, match="holds 8 weights, and the model has 4"):
        model.load_weights(tmp_path / "weights")
    fastnn.Sequential([fastnn.Input((4,)), layers.Dense(9), layers.Dense(3)]).save_weights(tmp_path / "other")
    with pytest.raises(FileFormatError, match=r"'dense/kernel' in it has shape \(4, 9\), and 'dense/kernel'"):
        model.load_weights(tmp_path / "other")
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_overwrite(tmp_path: Path) -> None:
    model, path = chain(), tmp_path / "model"
    model.save(path, overwrite=False)
    written = path.read_bytes()
    for save in (model.save, model.save_weights):
        with pytest.raises(ConfigurationError, match="exists, and overwrite is False"):
            save(path, overwrite=False)
    assert path.read_bytes() == written


def test_the_same_model_gives_the_same_file(tmp_path: Path) -> None:
    model = nested()
    for name in ("a", "b"):
        model.save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    fastnn.load_model(tmp_path / "a").save(tmp_path / "c")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "c").read_bytes()


def test_names_of_any_letters(tmp_path: Path) -> None:
    names = ["größe", "大きさ", "\U0001f600", 'a"b\\c', "tab\tand\x7f"]
    made = [layers.Dense(2, name=name) for name in names]
    model = fastnn.Sequential([fastnn.Input((4,), name="числа"), *made], seed=0)
    model.save(tmp_path / "model")
    assert_equal(model, fastnn.load_model(tmp_path / "model"))
    theirs = load_file(tmp_path / "model")
    assert set(theirs) == {f"{name}/{role}" for name in names for role in ("kernel", "bias")}
    # The library, which wrote files before, does so without escapes.
    with safe_open(tmp_path / "model", "np") as file:
        save_file(theirs, tmp_path / "raw", {"fastnn": file.metadata()["fastnn"]})
    assert "größe".encode() in (tmp_path / "raw").read_bytes()
    assert_equal(model, fastnn.load_model(tmp_path / "raw"))


def test_files_are_those_of_safetensors(tmp_path: Path) -> None:
    """Order, alignment and contents of arrays are what the library writes."""
    model = residual(dtype="float64")
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model")
    with safe_open(tmp_path / "model", "np") as file:
        metadata = file.metadata()
    save_file(load_file(tmp_path / "model"), tmp_path / "theirs", {"fastnn": metadata["fastnn"]})
    ours, theirs = ((tmp_path / name).read_bytes() for name in ("model", "theirs"))
    found = []
    for content in (ours, theirs):
        length = int.from_bytes(content[:8], "little")
        assert length % 8 == 0
        header = json.loads(content[8 : 8 + length])
        assert set(header.pop("__metadata__")) <= {"fastnn", "crc32"}
        found.append((list(header.items()), content[8 + length :]))
    assert found[0] == found[1]


def test_other_tools_read_the_arrays(tmp_path: Path) -> None:
    model = chain()
    model.compile("adam", "mse")
    model.save(tmp_path / "model.safetensors")
    arrays = load_file(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(arrays["dense/kernel"], model.layers[0].kernel)
    assert arrays["optimizer/velocity/dense_1/bias"].shape == (3,)


ELSEWHERE = """
import sys
import numpy as np
import fastnn
model = fastnn.load_model(sys.argv[1])
x, y = np.load(sys.argv[2]), np.load(sys.argv[3])
model.fit(x, y, batch_size=16, epochs=4, initial_epoch=2, verbose=0, n_threads=int(sys.argv[4]))
model.save(sys.argv[5])
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_training_goes_on_in_another_process(threads: int, tmp_path: Path) -> None:
    model = residual()
    model.compile("adam", "mse")
    model.fit(X, Y, batch_size=16, epochs=2, verbose=0)
    model.save(tmp_path / "model")
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    names = [str(tmp_path / name) for name in ("model", "x.npy", "y.npy")]
    subprocess.run(
        [sys.executable, "-c", ELSEWHERE, *names, str(threads), str(tmp_path / "later")],
        check=True,
        timeout=300,
    )
    model.fit(X, Y, batch_size=16, epochs=4, initial_epoch=2, verbose=0)
    assert_equal(model, fastnn.load_model(tmp_path / "later"))


def test_a_file_loads_at_another_simd_level(tmp_path: Path) -> None:
    model = of_every_layer()
    model.save(tmp_path / "model")
    script = (
        "import sys, fastnn, numpy\n"
        "numpy.save(sys.argv[2], fastnn.load_model(sys.argv[1]).predict(numpy.ones((3, 4))))"
    )
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "model"), str(tmp_path / "out.npy")],
        check=True,
        timeout=300,
        env={**os.environ, "FASTNN_SIMD": "base"},
    )
    np.testing.assert_allclose(
        np.load(tmp_path / "out.npy"), model.predict(np.ones((3, 4))), rtol=1e-5, atol=1e-6
    )


def test_saving_while_another_thread_trains_is_refused(tmp_path: Path) -> None:
    import threading

    model = chain()
    model.compile("sgd", "mse")
    inside, done = threading.Event(), threading.Event()

    class Wait(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            inside.set()
            done.wait(60)

    thread = threading.Thread(target=lambda: model.fit(X, Y, verbose=0, callbacks=[Wait()]))
    thread.start()
    try:
        assert inside.wait(60)
        with pytest.raises(BusyError):
            model.save(tmp_path / "model")
    finally:
        done.set()
        thread.join()
    model.save(tmp_path / "model")
    assert os.listdir(tmp_path) == ["model"]


def test_saving_in_the_midst_of_a_step_is_refused(interrupted: Any, tmp_path: Path) -> None:
    """By a signal handler: the weights are those of no step then."""
    model = chain()
    model.compile("adam", "mse")
    refused: list[str] = []

    def save() -> bool:
        if model._now.store.parameters.is_written:
            with pytest.raises(BusyError) as caught:
                model.save(tmp_path / "model")
            refused.append(str(caught.value))
        return bool(refused)

    interrupted(lambda: model.fit(X, Y, epochs=10**7, verbose=0), save)
    assert "in the midst of a training step" in refused[0]
    assert os.listdir(tmp_path) == []


def test_weighted_metrics_and_arguments_of_losses(tmp_path: Path) -> None:
    model = chain()
    model.compile(
        "sgd",
        losses.Huber(0.5),
        metrics=["mae"],
        weighted_metrics=["mae", metrics.RootMeanSquaredError(name="root")],
    )
    model.save(tmp_path / "model")
    again = fastnn.load_model(tmp_path / "model")
    assert again._now.objective == model._now.objective
    assert list(again._now.need_objective().measured) == ["mae", "weighted_mae", "root"]
