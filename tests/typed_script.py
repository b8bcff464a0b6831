"""A user's script, for type checkers: nothing in it needs a cast, and what is known is known by its type."""

from typing import Any, assert_type

import numpy as np

import fastnn

(x_train, y_train), (x_test, y_test) = fastnn.datasets.load_digits()
model = fastnn.Sequential(
    [
        fastnn.Input((64,)),
        fastnn.layers.Dense(100, activation="relu"),
        fastnn.layers.Dense(10, activation="softmax"),
    ],
    seed=0,
)
model.compile(fastnn.optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(x_train, y_train, batch_size=32, epochs=2, verbose=0)
assert_type(history.history["loss"][-1], float)

assert_type(model.evaluate(x_test, y_test, return_dict=True), dict[str, float])
assert_type(model.evaluate(x_test, y_test), float | list[float])
assert_type(model.train_on_batch(x_test, y_test, return_dict=True), dict[str, float])
assert_type(model.train_on_batch(x_test, y_test), float | list[float])
print("test accuracy", round(model.evaluate(x_test, y_test, return_dict=True)["accuracy"], 3))

# One output gives an array, several a list, which types cannot tell apart: both can be used without a cast.
labels = model.predict(x_test).argmax(axis=1)
assert_type(model.predict(x_test).shape, tuple[Any, ...] | Any)
assert_type(model.forward(x_test).shape, tuple[Any, ...] | Any)
first, second = model.predict(x_test)[:2]
print((labels == y_test).mean(), first.shape, model.forward(x_test).mean(), model(x_test).mean())
print(model.input_gradients(x_test).shape)

kernels: list[np.ndarray] = [layer.kernel for layer in model.layers]
assert_type(model.layers[0].kernel, np.ndarray | Any)
assert_type(model.get_layer("dense").bias, np.ndarray | None | Any)

x = fastnn.Input((8,))
block = fastnn.Model(x, fastnn.layers.Add()([x, fastnn.layers.Dense(8)(x)]), seed=0)
print(block.name, block.plan(purpose="predict"), model.optimizer.learning_rate)
