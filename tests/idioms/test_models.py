"""What scripts for Keras do with graphs, batches, files and frozen layers, with fastnn in its place.

As in `test_training.py` each function is a script; with FASTNN_WHOLE=1 each runs with Keras itself as well.
"""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np

RNG = np.random.default_rng(11)
X = RNG.normal(size=(96, 8)).astype("float32")
TAGS = RNG.integers(0, 2, size=(96, 5)).astype("float32")
NUMBERS = (X @ RNG.normal(size=(8, 1)) + 0.5).astype("float32")
CLASSES = (X[:, 0] > 0).astype("int32") + (X[:, 1] > 0).astype("int32")
YES = (X[:, :1] > 0).astype("float32")


def array(value: Any) -> np.ndarray:
    """Return what a library gives as an array of NumPy."""
    return value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)


# -- the functional API


def test_tickets_with_two_inputs_and_two_outputs(keras: Any) -> None:
    title, tags = keras.Input(shape=(8,), name="title"), keras.Input(shape=(5,), name="tags")
    x = keras.layers.concatenate([keras.layers.Dense(16, activation="relu")(title), tags])
    priority = keras.layers.Dense(1, name="priority")(x)
    department = keras.layers.Dense(3, name="department")(x)
    model = keras.Model(
        inputs=[title, tags], outputs={"priority": priority, "department": department}, name="tickets"
    )
    model.compile(
        optimizer=keras.optimizers.RMSprop(1e-3),
        loss={
            "priority": keras.losses.BinaryCrossentropy(from_logits=True),
            "department": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        },
        loss_weights={"priority": 1.0, "department": 0.2},
    )
    history = model.fit(
        {"title": X, "tags": TAGS},
        {"priority": YES, "department": CLASSES},
        epochs=2,
        batch_size=32,
        verbose=0,
    )
    assert set(history.history) == {"loss", "priority_loss", "department_loss"}
    found = model.predict({"title": X[:4], "tags": TAGS[:4]}, verbose=0)
    assert found["department"].shape == (4, 3)


def test_outputs_have_keys_of_their_own(keras: Any) -> None:
    x = keras.Input((8,), name="x")
    h = keras.layers.Dense(6, "tanh")(x)
    model = keras.Model(x, {"mean": keras.layers.Dense(1)(h), "spread": keras.layers.Dense(1, "softplus")(h)})
    model.compile("adam", {"mean": "mse", "spread": "mae"}, metrics={"mean": ["mae"]})
    history = model.fit(X, {"mean": NUMBERS, "spread": np.abs(NUMBERS)}, verbose=0).history
    assert {"mean_loss", "spread_loss", "mean_mae"} <= set(history)
    assert set(model.evaluate(X, {"mean": NUMBERS, "spread": NUMBERS}, verbose=0, return_dict=True)) >= {
        *("loss", "mean_loss")
    }
    assert set(model.predict(X, verbose=0)) == {"mean", "spread"}


def test_layers_by_their_places_in_a_graph(keras: Any) -> None:
    inputs = keras.Input(shape=(8,), name="img")
    x = keras.layers.Dense(6, activation="relu")(inputs)
    x = keras.layers.Dropout(0.1)(x)
    model = keras.Model(inputs, keras.layers.Dense(3)(x), name="net")
    assert len(model.layers) == 4
    assert model.layers[0].name == "img"
    assert tuple(model.layers[1].kernel.shape) == (8, 6)
    assert [w.shape for w in model.layers[-1].get_weights()] == [(6, 3), (3,)]
    assert model.layers[2].get_weights() == []
    middle = keras.Model(model.input, model.layers[1].output)
    assert middle.predict(X, verbose=0).shape == (96, 6)


def test_weights_are_copied_layer_by_layer(keras: Any) -> None:
    def net() -> Any:
        inputs = keras.Input((8,))
        x = keras.layers.Dense(6, activation="relu")(inputs)
        return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Activation("tanh")(x)))

    one, two = net(), net()
    for source, target in zip(one.layers, two.layers, strict=True):
        target.set_weights(source.get_weights())
    np.testing.assert_allclose(one.predict(X, verbose=0), two.predict(X, verbose=0), rtol=1e-6)


def test_an_autoencoder_of_two_chains(keras: Any) -> None:
    encoder = keras.Sequential([keras.layers.Dense(4, activation="relu"), keras.layers.Dense(2)])
    decoder = keras.Sequential([keras.layers.Dense(4, activation="relu"), keras.layers.Dense(8)])
    autoencoder = keras.Sequential([encoder, decoder])
    autoencoder.compile("adam", "mse")
    autoencoder.fit(X, X, epochs=1, verbose=0)
    codes = encoder.predict(X, verbose=0)
    assert codes.shape == (96, 2)
    np.testing.assert_allclose(
        decoder.predict(codes, verbose=0), autoencoder.predict(X, verbose=0), rtol=1e-4, atol=1e-5
    )


def test_an_ensemble_of_models(keras: Any) -> None:
    def member() -> Any:
        inputs = keras.Input((8,))
        return keras.Model(inputs, keras.layers.Dense(1)(inputs))

    inputs = keras.Input((8,))
    outputs = keras.layers.average([member()(inputs) for _ in range(3)])
    ensemble = keras.Model(inputs=inputs, outputs=outputs)
    assert ensemble.predict(X, verbose=0).shape == (96, 1)
    assert len(ensemble.trainable_weights) == 6


def test_a_net_that_compares_two_inputs(keras: Any) -> None:
    tower = keras.Sequential([keras.layers.Dense(6, "relu"), keras.layers.Dense(3)], name="tower")
    left, right = keras.Input((8,), name="left"), keras.Input((8,), name="right")
    same = keras.layers.Dot(axes=1, normalize=True)([tower(left), tower(right)])
    model = keras.Model([left, right], same)
    model.compile("adam", "mse")
    model.fit([X, X[::-1].copy()], YES, verbose=0)
    assert len(model.get_weights()) == 4


def test_batch_sizes_in_shapes(keras: Any) -> None:
    inputs = keras.Input(batch_shape=(32, 8))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    assert model.input_shape == (32, 8)
    assert model.output_shape == (32, 2)
    assert tuple(keras.Input(shape=(8,), batch_size=4).shape) == (4, 8)


def test_layers_are_called_on_arrays(keras: Any) -> None:
    layer = keras.layers.Dense(3, activation="relu")
    y = array(layer(X))
    kernel, bias = layer.get_weights()
    np.testing.assert_allclose(y, np.maximum(X @ kernel + bias, 0), rtol=1e-4, atol=1e-5)
    assert len(layer.trainable_weights) == 2
    norm = keras.layers.Normalization()
    norm.adapt(X)
    assert abs(array(norm(X)).mean()) < 1e-5
    both = array(keras.layers.Concatenate()([X, TAGS]))
    assert both.shape == (96, 13)
    assert tuple(keras.layers.Dense(4).compute_output_shape((None, 8))) == (None, 4)


# -- training and evaluation


def test_losses_metrics_and_weights_of_several_outputs(keras: Any) -> None:
    a, b = keras.Input((8,), name="a_input"), keras.Input((5,), name="b_input")
    x = keras.layers.concatenate([a, b])
    score = keras.layers.Dense(1, name="score_output")(x)
    label = keras.layers.Dense(3, activation="softmax", name="class_output")(x)
    model = keras.Model(inputs=[a, b], outputs=[score, label])
    model.compile(
        optimizer=keras.optimizers.RMSprop(1e-3),
        loss=[keras.losses.MeanSquaredError(), keras.losses.CategoricalCrossentropy()],
        metrics=[
            [keras.metrics.MeanAbsolutePercentageError(), keras.metrics.MeanAbsoluteError()],
            [keras.metrics.CategoricalAccuracy()],
        ],
        loss_weights=[2.0, 1.0],
    )
    targets = keras.utils.to_categorical(CLASSES, 3)
    model.fit([X, TAGS], [NUMBERS, targets], batch_size=32, epochs=1, verbose=0)
    model.fit({"a_input": X, "b_input": TAGS}, {"score_output": NUMBERS, "class_output": targets}, verbose=0)
    names = model.evaluate([X, TAGS], [NUMBERS, targets], verbose=0, return_dict=True)
    assert {"score_output_mean_absolute_error", "class_output_categorical_accuracy"} <= set(names)


def test_hold_out_rows_by_hand(keras: Any) -> None:
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=[keras.metrics.SparseCategoricalAccuracy(name="acc")])
    history = model.fit(X[:-16], CLASSES[:-16], validation_data=(X[-16:], CLASSES[-16:]), verbose=0)
    assert {"loss", "acc", "val_loss", "val_acc"} == set(history.history)
    probability = keras.Sequential([model, keras.layers.Softmax()])
    np.testing.assert_allclose(probability.predict(X, verbose=0).sum(axis=1), 1, rtol=1e-5)


def test_batches_with_metrics_that_begin_anew(keras: Any) -> None:
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    for _ in range(2):
        model.reset_metrics()
        for begin in range(0, 96, 32):
            rows = slice(begin, begin + 32)
            logs = model.train_on_batch(X[rows], NUMBERS[rows], return_dict=True)
        assert {"loss", "mae"} <= set(logs)
    assert len(model.metrics_names) == len(model.evaluate(X, NUMBERS, verbose=0))


# -- transfer learning


def test_a_new_head_on_a_frozen_base(keras: Any) -> None:
    inputs = keras.Input((8,))
    base = keras.Model(
        inputs, keras.layers.Dense(6, "relu")(keras.layers.Dense(6, "relu")(inputs)), name="base"
    )
    base.trainable = False
    before = base.get_weights()
    fresh = keras.Input((8,))
    outputs = keras.layers.Dense(1)(keras.layers.Dropout(0.2)(base(fresh, training=False)))
    model = keras.Model(fresh, outputs)
    model.compile(keras.optimizers.Adam(), keras.losses.BinaryCrossentropy(from_logits=True))
    model.fit(X, YES, epochs=1, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, base.get_weights(), strict=True))
    assert len(model.trainable_weights) == 2
    base.trainable = True
    model.compile(keras.optimizers.Adam(1e-5), keras.losses.BinaryCrossentropy(from_logits=True))
    model.fit(X, YES, epochs=1, verbose=0)
    assert not np.array_equal(before[0], base.get_weights()[0])


def test_all_but_the_last_layer_is_taken_over(keras: Any) -> None:
    old = keras.Sequential([keras.Input((8,)), keras.layers.Dense(6, "relu"), keras.layers.Dense(3)])
    extractor = keras.Model(old.inputs, old.layers[-2].output)
    new = keras.Sequential([keras.Input((8,)), *old.layers[:-1], keras.layers.Dense(1)])
    for layer in new.layers[:-1]:
        layer.trainable = False
    new.compile("sgd", "mse")
    new.fit(X, NUMBERS, verbose=0)
    assert new.layers[0] is old.layers[0]
    np.testing.assert_array_equal(new.get_weights()[0], old.get_weights()[0])
    features = extractor.predict(X, verbose=0)
    head = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
    head.compile("sgd", "mse")
    head.fit(features, NUMBERS, verbose=0)


def test_a_model_is_copied_with_other_layers(keras: Any) -> None:
    inputs = keras.Input((8,))
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Dense(6, "relu")(inputs)))

    def clone(layer: Any) -> Any:
        config = layer.get_config()
        if config.get("activation") == "relu":
            config["activation"] = "gelu"
        return layer.__class__.from_config(config)

    copy = keras.models.clone_model(model, clone_function=clone)
    copy.set_weights(model.get_weights())
    assert copy.predict(X, verbose=0).shape == (96, 3)
    assert (copy.predict(X, verbose=0) != model.predict(X, verbose=0)).any()


# -- callbacks


def test_a_callback_that_stops_at_the_smallest_loss(keras: Any) -> None:
    class StopAtMinimum(keras.callbacks.Callback):  # type: ignore[misc,name-defined]
        def __init__(self, patience: int = 0) -> None:
            super().__init__()
            self.patience = patience
            self.best_weights: Any = None

        def on_train_begin(self, logs: Any = None) -> None:
            self.wait, self.stopped_epoch, self.best = 0, 0, np.inf

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if np.less(logs["loss"], self.best):
                self.best, self.wait = logs["loss"], 0
                self.best_weights = self.model.get_weights()
                return
            self.wait += 1
            if self.wait >= self.patience:
                self.stopped_epoch = epoch
                self.model.stop_training = True
                self.model.set_weights(self.best_weights)

    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.9), "mse")
    stop = StopAtMinimum(patience=1)
    model.fit(X, NUMBERS, epochs=50, verbose=0, callbacks=[stop])
    assert np.isfinite(model.get_weights()[0]).all()


def test_a_callback_that_sets_the_learning_rate(keras: Any) -> None:
    seen = []

    class Scheduler(keras.callbacks.Callback):  # type: ignore[misc,name-defined]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if not hasattr(self.model.optimizer, "learning_rate"):
                raise ValueError('Optimizer must have a "learning_rate" attribute.')
            self.model.optimizer.learning_rate = 0.1 / (epoch + 1)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen.append((epoch, float(array(self.model.optimizer.learning_rate)), sorted(logs)))

    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1.0), "mse")
    model.fit(X, NUMBERS, epochs=3, verbose=0, callbacks=[Scheduler()])
    assert [round(rate, 4) for _, rate, _ in seen] == [0.1, 0.05, 0.0333]
    assert seen[0][2] == ["loss"]


# -- saving


def test_weights_and_shape_go_apart(keras: Any) -> None:
    inputs = keras.Input((8,), name="x")
    model = keras.Model(inputs, {"y": keras.layers.Dense(2, name="y")(inputs)}, name="m")
    text = model.to_json()
    assert isinstance(json.loads(text), dict)
    model.save_weights("m.weights.h5")
    again = keras.models.model_from_json(text)
    again.load_weights("m.weights.h5")
    np.testing.assert_array_equal(again.predict(X, verbose=0)["y"], model.predict(X, verbose=0)["y"])
    assert again.name == "m"
    config = keras.layers.serialize(model.get_layer("y"))
    assert keras.layers.deserialize(config).units == 2


def test_a_loaded_model_without_its_compilation(keras: Any) -> None:
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(X, NUMBERS, verbose=0)
    model.save("model.keras")
    bare = keras.models.load_model("model.keras", compile=False)
    assert not bare.compiled
    whole = keras.models.load_model("model.keras")
    whole.fit(X, NUMBERS, verbose=0)
    np.testing.assert_array_equal(bare.predict(X, verbose=0), model.predict(X, verbose=0))


def test_weights_of_a_model_with_another_head(keras: Any) -> None:
    def net(outputs: int) -> Any:
        return keras.Sequential(
            [keras.Input((8,)), keras.layers.Dense(4, name="base"), keras.layers.Dense(outputs, name="head")]
        )

    old, new = net(3), net(5)
    old.save_weights("old.weights.h5")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        new.load_weights("old.weights.h5", skip_mismatch=True)
    np.testing.assert_array_equal(new.get_weights()[0], old.get_weights()[0])
    assert new.get_weights()[2].shape == (4, 5)


# -- a table


def test_a_table_with_numbers_and_categories(keras: Any) -> None:
    table = {"age": X[:, 0], "height": X[:, 1], "kind": CLASSES}
    age, height = (keras.Input((1,), name=name) for name in ("age", "height"))
    kind = keras.Input((1,), name="kind", dtype="int32")
    norm = keras.layers.Normalization(axis=-1)
    norm.adapt(np.stack([table["age"], table["height"]], axis=1))
    numbers = norm(keras.layers.concatenate([age, height]))
    kinds = keras.layers.Flatten()(keras.layers.Embedding(3, 2)(kind))
    h = keras.layers.Dense(8, "relu")(keras.layers.concatenate([numbers, kinds]))
    model = keras.Model({"age": age, "height": height, "kind": kind}, keras.layers.Dense(1, "sigmoid")(h))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    columns = {name: values.reshape(-1, 1) for name, values in table.items()}
    model.fit(columns, YES, epochs=2, batch_size=16, validation_split=0.25, verbose=0)
    one = {"age": np.array([[0.5]]), "height": np.array([[-0.5]]), "kind": np.array([[2]])}
    assert 0 <= model.predict(one, verbose=0)[0, 0] <= 1
