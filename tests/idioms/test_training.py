"""What scripts for Keras do to make and train nets, as guides and users write it, with fastnn in its place.

Each function is a script; `keras` is fastnn.  With FASTNN_WHOLE=1 each runs with Keras itself as well, which
shows that it is one.
"""

from __future__ import annotations

import csv
from typing import Any

import numpy as np
import pytest

RNG = np.random.default_rng(0)
X = RNG.normal(size=(96, 8)).astype("float32")
W = RNG.normal(size=(8, 3))
LABELS = (X @ W).argmax(axis=1)
YES = (X[:, 0] > 0).astype("float32")
NUMBERS = (X @ W[:, :1] + 0.5).astype("float32")


def net(keras: Any, outputs: int = 3, last: str | None = "softmax") -> Any:
    layers = keras.layers
    return keras.Sequential(
        [keras.Input(shape=(8,)), layers.Dense(16, activation="relu"), layers.Dense(outputs, activation=last)]
    )


# -- the sequential model


def test_layers_are_added_one_by_one(keras: Any) -> None:
    model = keras.Sequential(name="my_model")
    model.add(
        keras.layers.InputLayer(shape=(8,)) if hasattr(keras.layers, "InputLayer") else keras.Input((8,))
    )
    model.add(keras.layers.Dense(4, activation="relu", name="first"))
    model.add(keras.layers.Dense(3))
    assert len(model.layers) == 2
    assert len(model.weights) == 4
    assert tuple(model.layers[0].kernel.shape) == (8, 4)


def test_the_first_layer_says_the_shape(keras: Any) -> None:
    model = keras.models.Sequential()
    model.add(keras.layers.Dense(12, input_shape=(8,), activation="relu"))
    model.add(keras.layers.Dense(8, activation="relu"))
    model.add(keras.layers.Dense(1, activation="sigmoid"))
    model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
    model.fit(X, YES, epochs=2, batch_size=10, verbose=0)
    _, accuracy = model.evaluate(X, YES, verbose=0)
    assert 0 <= accuracy <= 1
    predictions = (model.predict(X, verbose=0) > 0.5).astype(int)
    assert predictions.shape == (96, 1)


def test_input_dim(keras: Any) -> None:
    model = keras.Sequential(
        [keras.layers.Dense(4, input_dim=8, kernel_initializer="he_normal"), keras.layers.Dense(1)]
    )
    assert model.output_shape == (None, 1)


def test_a_layer_is_taken_away(keras: Any) -> None:
    model = net(keras)
    model.pop()
    assert len(model.layers) == 1
    model.add(keras.layers.Dense(2))
    assert model.predict(X, verbose=0).shape == (96, 2)


def test_weights_come_with_the_first_data(keras: Any) -> None:
    model = keras.Sequential([keras.layers.Dense(4, activation="relu"), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X, NUMBERS, verbose=0)
    assert model.built
    assert len(model.get_weights()) == 4


def test_summary(keras: Any, capsys: pytest.CaptureFixture[str]) -> None:
    net(keras).summary()
    text = capsys.readouterr().out
    assert "144" in text
    assert "195" in text
    lines: list[str] = []
    net(keras).summary(print_fn=lines.append)
    assert "195" in "\n".join(lines)


def test_features_of_every_layer(keras: Any) -> None:
    model = net(keras)
    extractor = keras.Model(inputs=model.inputs, outputs=[layer.output for layer in model.layers])
    features = extractor.predict(X, verbose=0)
    assert [part.shape for part in features] == [(96, 16), (96, 3)]


def test_features_of_one_layer(keras: Any) -> None:
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(5, name="middle"), keras.layers.Dense(2)])
    extractor = keras.Model(inputs=model.inputs, outputs=model.get_layer(name="middle").output)
    assert extractor.predict(X, verbose=0).shape == (96, 5)
    assert model.get_layer(index=1).units == 2


def test_layers_are_frozen(keras: Any) -> None:
    model = net(keras)
    for layer in model.layers[:-1]:
        layer.trainable = False
    before = model.get_weights()
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(X, LABELS, verbose=0)
    after = model.get_weights()
    assert np.array_equal(before[0], after[0])
    assert not np.array_equal(before[2], after[2])
    assert len(model.trainable_weights) == 2
    assert len(model.non_trainable_weights) == 2


# -- the functional API


def test_a_functional_model(keras: Any) -> None:
    inputs = keras.Input(shape=(8,), name="features")
    x = keras.layers.Dense(16, activation="relu", name="dense_1")(inputs)
    outputs = keras.layers.Dense(3, activation="softmax", name="predictions")(x)
    model = keras.Model(inputs=inputs, outputs=outputs, name="classifier")
    model.compile(
        optimizer=keras.optimizers.RMSprop(learning_rate=1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(),
        metrics=[keras.metrics.SparseCategoricalAccuracy()],
    )
    history = model.fit(X, LABELS, batch_size=32, epochs=2, validation_data=(X[:20], LABELS[:20]), verbose=0)
    assert set(history.history) == {
        "loss",
        "sparse_categorical_accuracy",
        "val_loss",
        "val_sparse_categorical_accuracy",
    }
    assert model.name == "classifier"
    assert inputs.shape == (None, 8)


def test_encoder_and_decoder_share_layers(keras: Any) -> None:
    data = keras.Input(shape=(8,))
    code = keras.layers.Dense(2, activation="tanh")(data)
    encoder = keras.Model(data, code, name="encoder")
    back = keras.Input(shape=(2,))
    decoder = keras.Model(back, keras.layers.Dense(8)(back), name="decoder")
    both = keras.Model(data, decoder(encoder(data)), name="autoencoder")
    both.compile("adam", "mse")
    both.fit(X, X, epochs=1, verbose=0)
    assert np.allclose(
        both.predict(X, verbose=0), decoder.predict(encoder.predict(X, verbose=0), verbose=0), atol=1e-6
    )


def test_models_are_averaged(keras: Any) -> None:
    parts = [net(keras, 1, None) for _ in range(3)]
    inputs = keras.Input(shape=(8,))
    whole = keras.Model(inputs, keras.layers.average([part(inputs) for part in parts]))
    expected = np.mean([part.predict(X, verbose=0) for part in parts], axis=0)
    assert np.allclose(whole.predict(X, verbose=0), expected, atol=1e-6)


def test_several_inputs_and_outputs(keras: Any) -> None:
    title, body = keras.Input(shape=(8,), name="title"), keras.Input(shape=(4,), name="body")
    joined = keras.layers.concatenate([keras.layers.Dense(4)(title), keras.layers.Dense(4)(body)])
    priority = keras.layers.Dense(1, name="priority")(joined)
    department = keras.layers.Dense(3, name="department")(joined)
    model = keras.Model(inputs=[title, body], outputs={"priority": priority, "department": department})
    model.compile(
        optimizer=keras.optimizers.RMSprop(1e-3),
        loss={
            "priority": keras.losses.BinaryCrossentropy(from_logits=True),
            "department": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        },
        loss_weights={"priority": 1.0, "department": 0.2},
    )
    given = {"title": X, "body": X[:, :4]}
    model.fit(given, {"priority": YES, "department": LABELS}, epochs=2, batch_size=32, verbose=0)
    assert model.predict(given, verbose=0)["department"].shape == (96, 3)


def test_a_residual_net(keras: Any) -> None:
    inputs = keras.Input((8,))
    x = keras.layers.Dense(8, activation="relu")(inputs)
    x = keras.layers.Add()([x, keras.layers.Dense(8, activation="relu")(x)])
    x = keras.layers.add([x, inputs])
    model = keras.Model(inputs, keras.layers.Dense(1)(x))
    model.compile("adam", "mse", metrics=["mae"])
    assert len(model.fit(X, NUMBERS, epochs=3, verbose=0).history["mae"]) == 3


def test_wide_and_deep(keras: Any) -> None:
    inputs = keras.layers.Input(shape=(8,))
    normalized = keras.layers.BatchNormalization()(inputs)
    deep = keras.layers.Dense(16, activation="relu")(normalized)
    deep = keras.layers.Dropout(0.3)(deep)
    merged = keras.layers.Concatenate()([inputs, deep])
    model = keras.models.Model(inputs=[inputs], outputs=[keras.layers.Dense(1)(merged)])
    model.compile(loss="mse", optimizer=keras.optimizers.SGD(learning_rate=1e-3, momentum=0.9, nesterov=True))
    model.fit(X, NUMBERS, epochs=1, validation_split=0.2, verbose=0)
    assert "val_loss" in model.history.history


# -- training


def test_losses_by_name_and_by_object(keras: Any) -> None:
    for loss in (
        "mse",
        "mae",
        "mean_squared_error",
        "huber",
        keras.losses.MeanSquaredError(),
        keras.losses.Huber(delta=2.0),
    ):
        model = net(keras, 1, None)
        model.compile(optimizer="adam", loss=loss)
        assert np.isfinite(model.fit(X, NUMBERS, verbose=0).history["loss"][0])


def test_optimizers_by_name_and_by_object(keras: Any) -> None:
    for optimizer in (
        *("sgd", "adam", "rmsprop", "adagrad", "adamw", "nadam", "adamax", "adadelta", "ftrl", "lion"),
        keras.optimizers.Adam(learning_rate=0.01, beta_1=0.9, beta_2=0.999, epsilon=1e-8),
        keras.optimizers.SGD(learning_rate=0.01, momentum=0.9, nesterov=True, clipnorm=1.0),
        keras.optimizers.RMSprop(0.001, rho=0.9, momentum=0.1, centered=True),
        keras.optimizers.AdamW(weight_decay=1e-4),
    ):
        model = net(keras)
        model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy")
        assert np.isfinite(model.fit(X, LABELS, verbose=0).history["loss"][0])


def test_one_hot_labels(keras: Any) -> None:
    model = net(keras)
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    y = keras.utils.to_categorical(LABELS, num_classes=3)
    loss, accuracy = model.evaluate(X, y, batch_size=32, verbose=0)
    assert loss > 0
    assert 0 <= accuracy <= 1
    assert np.argmax(model.predict(X, verbose=0), axis=-1).shape == (96,)


def test_class_weights(keras: Any) -> None:
    model = net(keras, 1, "sigmoid")
    model.compile(
        optimizer=keras.optimizers.Adam(1e-2),
        loss="binary_crossentropy",
        metrics=[
            keras.metrics.FalseNegatives(name="fn"),
            keras.metrics.FalsePositives(name="fp"),
            keras.metrics.TrueNegatives(name="tn"),
            keras.metrics.TruePositives(name="tp"),
            keras.metrics.Precision(name="precision"),
            keras.metrics.Recall(name="recall"),
            keras.metrics.AUC(name="auc"),
        ],
    )
    model.fit(X, YES, batch_size=32, epochs=2, class_weight={0: 0.1, 1: 0.9}, verbose=0)
    found = model.evaluate(X, YES, verbose=0, return_dict=True)
    assert found["fn"] + found["fp"] + found["tn"] + found["tp"] == 96


def test_sample_weights(keras: Any) -> None:
    model = net(keras)
    model.compile("adam", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    weights = np.ones(96)
    weights[LABELS == 1] = 2.0
    model.fit(X, LABELS, sample_weight=weights, epochs=1, verbose=0)
    assert len(model.evaluate(X, LABELS, sample_weight=weights, verbose=0)) == 2


def test_validation_split(keras: Any) -> None:
    model = net(keras)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(), metrics=["accuracy"])
    history = model.fit(X, LABELS, validation_split=0.25, epochs=3, shuffle=False, verbose=0)
    assert list(history.epoch) == [0, 1, 2]
    assert history.params["epochs"] == 3


def test_training_goes_on_at_an_epoch(keras: Any) -> None:
    model = net(keras)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(X, LABELS, epochs=2, verbose=0)
    assert model.fit(X, LABELS, initial_epoch=2, epochs=5, verbose=0).epoch == [2, 3, 4]


def test_the_learning_rate_is_read_and_set(keras: Any) -> None:
    model = net(keras)
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-3)
    model.optimizer.learning_rate = 1e-4
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-4)
    model.fit(X, LABELS, verbose=0)
    assert int(model.optimizer.iterations) == 3


def test_a_schedule_of_the_learning_rate(keras: Any) -> None:
    schedule = keras.optimizers.schedules.ExponentialDecay(
        0.1, decay_steps=100, decay_rate=0.96, staircase=True
    )
    model = net(keras)
    model.compile(keras.optimizers.SGD(learning_rate=schedule), "sparse_categorical_crossentropy")
    model.fit(X, LABELS, verbose=0)
    assert float(schedule(100)) == pytest.approx(0.096)


def test_early_stopping_and_checkpoints(keras: Any) -> None:
    callbacks = [
        keras.callbacks.EarlyStopping(monitor="val_loss", patience=2, restore_best_weights=True, verbose=0),
        keras.callbacks.ModelCheckpoint("best.keras", monitor="val_loss", save_best_only=True),
        keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=1, min_lr=1e-6),
        keras.callbacks.CSVLogger("log.csv"),
        keras.callbacks.TerminateOnNaN(),
    ]
    model = net(keras)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(X, LABELS, epochs=4, validation_split=0.2, callbacks=callbacks, verbose=0)
    best = keras.models.load_model("best.keras")
    assert best.predict(X, verbose=0).shape == (96, 3)
    with open("log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {"epoch", "loss", "val_loss"} <= set(rows[0])


def test_a_schedule_by_a_function(keras: Any) -> None:
    def schedule(epoch: int, rate: float) -> float:
        return rate if epoch < 2 else rate * 0.5

    model = net(keras)
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    history = model.fit(
        X, LABELS, epochs=4, callbacks=[keras.callbacks.LearningRateScheduler(schedule)], verbose=0
    )
    assert np.allclose(history.history["learning_rate"], [0.1, 0.1, 0.05, 0.025])


def test_a_callback_of_ones_own(keras: Any) -> None:
    class Losses(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            self.batches: list[float] = []

        def on_batch_end(self, batch: int, logs: Any = None) -> None:
            self.batches.append(logs["loss"])

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if logs["loss"] < 100:
                self.model.stop_training = True

    seen = Losses()
    model = net(keras)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(X, LABELS, epochs=5, batch_size=32, callbacks=[seen], verbose=0)
    assert len(seen.batches) == 3


def test_a_callback_of_functions(keras: Any) -> None:
    seen = []
    printer = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append((epoch, logs["loss"]))
    )
    model = net(keras)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(X, LABELS, epochs=2, callbacks=[printer], verbose=0)
    assert [epoch for epoch, _ in seen] == [0, 1]


def test_a_generator_of_batches(keras: Any) -> None:
    def batches() -> Any:
        while True:
            for i in range(0, 96, 32):
                yield X[i : i + 32], LABELS[i : i + 32]

    model = net(keras)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(
        batches(), steps_per_epoch=3, epochs=2, validation_data=batches(), validation_steps=2, verbose=0
    )
    assert len(history.history["val_loss"]) == 2
    assert len(model.evaluate(batches(), steps=3, verbose=0)) == 2


def test_a_sequence_of_batches(keras: Any) -> None:
    class Batches(keras.utils.PyDataset):
        def __len__(self) -> int:
            return 3

        def __getitem__(self, i: int) -> Any:
            return X[32 * i : 32 * i + 32], LABELS[32 * i : 32 * i + 32]

    model = net(keras)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(Batches(), epochs=2, verbose=0)
    assert int(model.optimizer.iterations) == 6


def test_batches_by_hand(keras: Any) -> None:
    model = net(keras)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    for i in range(0, 96, 32):
        logs = model.train_on_batch(X[i : i + 32], LABELS[i : i + 32], return_dict=True)
    assert set(logs) == {"loss", "accuracy"}
    assert set(model.test_on_batch(X[:10], LABELS[:10], return_dict=True)) == {"loss", "accuracy"}
    assert model.predict_on_batch(X[:10]).shape == (10, 3)


def test_a_loss_for_each_output_and_one_for_training(keras: Any) -> None:
    x = keras.Input((8,))
    model = keras.Model(x, [keras.layers.Dense(1, name="a")(x), keras.layers.Dense(2, name="b")(x)])
    model.compile("sgd", loss=["mse", "mae"], metrics=[["mae"], ["mse"]], loss_weights=[1.0, 0.5])
    history = model.fit(X, [NUMBERS, X[:, :2]], epochs=1, verbose=0).history
    assert {"loss", "a_loss", "b_loss", "a_mae", "b_mse"} <= set(history)


def test_k_fold_validation(keras: Any) -> None:
    scores = []
    for fold in range(3):
        keras.utils.set_random_seed(0)
        held = np.arange(96) % 3 == fold
        model = net(keras, 1, None)
        model.compile(optimizer="rmsprop", loss="mse", metrics=["mae"])
        model.fit(X[~held], NUMBERS[~held], epochs=2, batch_size=16, verbose=0)
        scores.append(model.evaluate(X[held], NUMBERS[held], verbose=0)[1])
    assert len(scores) == 3


def test_the_same_seed_twice(keras: Any) -> None:
    def train() -> Any:
        keras.utils.set_random_seed(812)
        model = net(keras)
        model.compile("adam", "sparse_categorical_crossentropy")
        return model.fit(X, LABELS, epochs=2, verbose=0).history["loss"]

    assert train() == train()
