"""Embedding: what is no index never reaches a kernel, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import callbacks, layers
from fastnn.errors import DataError, DTypeError, ShapeError

RNG = np.random.default_rng(6)
X, Y = RNG.integers(0, 10, (20, 3)), RNG.standard_normal((20, 2))


def model(dtype: str = "float32") -> Any:
    made = fastnn.Sequential(
        [fastnn.Input((3,)), layers.Embedding(10, 4, name="words"), layers.Dense(2)], dtype=dtype, seed=0
    )
    made.compile("adam", "mse")
    made.fit(X, Y, verbose=0)
    return made


CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "fit": lambda m, x: m.fit(x, Y, verbose=0),
    "fit in order": lambda m, x: m.fit(x, Y, shuffle=False, verbose=0),
    "validation": lambda m, x: m.fit(X, Y, validation_data=(x, Y), verbose=0),
    "evaluate": lambda m, x: m.evaluate(x, Y, verbose=0),
    "predict": lambda m, x: m.predict(x),
    "train_on_batch": lambda m, x: m.train_on_batch(x, Y),
    "call": lambda m, x: m(x),
    "forward": lambda m, x: m.forward(x),
    "loss_and_gradients": lambda m, x: m.loss_and_gradients(x, Y),
    "gradcheck": lambda m, x: fastnn.gradcheck(m, x, Y),
    "profile": lambda m, x: m.profile(x, Y),
}


def with_one(value: Any, dtype: Any = None) -> np.ndarray:
    x = X.astype(dtype or np.asarray(value).dtype)
    x[7, 2] = value
    return x


BAD: dict[str, tuple[Any, type[Exception], str]] = {
    "above": (
        with_one(12),
        DataError,
        "row 7, column 2 of x is 12, but Embedding 'words' has input_dim 10: indices run from 0 to 9; number "
        "the categories from 0, as by np.unique",
    ),
    "the limit": (with_one(10), DataError, "row 7, column 2 of x is 10, but Embedding 'words'"),
    "from 1": (X + 1, DataError, "indices begin at 0, so subtract 1: x - 1"),
    "negative": (with_one(-1), DataError, "row 7, column 2 of x is -1, but Embedding 'words'"),
    "large": (with_one(2**62), DataError, f"row 7, column 2 of x is {2**62}, but"),
    "unsigned": (with_one(2**63, np.uint64), DataError, "row 7, column 2 of x is 9223372036854775808, but"),
    "small": (with_one(-128, np.int8), DataError, "row 7, column 2 of x is -128, but"),
    "half": (with_one(2.5), DataError, r"row 7, column 2 of x is 2.5, .* so again after np.rint\(x\)"),
    "half of float32": (with_one(9.5, np.float32), DataError, "row 7, column 2 of x is 9.5"),
    "NaN": (with_one(np.nan), DataError, "row 7, column 2 of x is nan, .* missing an index of its own"),
    "infinite": (with_one(np.inf), DataError, "row 7, column 2 of x is inf, .* an index of its own"),
    "infinite half": (with_one(np.inf, np.float16), DataError, "row 7, column 2 of x is inf"),
    "missing": (with_one(None, object), DataError, "row 7, column 2 of x is nan"),
    "bool": (X > 3, DTypeError, r"x has dtype bool, but Embedding 'words' takes integers: x.astype\(int\)"),
    "text": (
        X.astype(str),
        DTypeError,
        "x has dtype <U.*, text; .* encode categories as numbers first.*unique",
    ),
    "words": ([["a", "b", "c"]] * 20, DTypeError, "encode categories as numbers first"),
    "columns": (
        X[:, :2],
        ShapeError,
        r"x must have shape \(rows, 3\) to match the model's input, got \(20, 2\)",
    ),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("bad", BAD)
def test_what_is_no_index_is_refused(bad: str, call: str, refused: Any) -> None:
    made, (x, error, message) = model(), BAD[bad]
    before = made.history.history
    text = message.replace(" of x ", r" of x(?:\['words_input'\])? ")
    with refused(made, error, text):
        CALLS[call](made, x)
    assert made.history.history == before


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inputs_of_graphs_are_named(dtype: str, refused: Any) -> None:
    a, b = fastnn.Input((2,), "a"), fastnn.Input((1,), "b")
    joined = layers.Concatenate()([layers.Embedding(4, 2)(a), layers.Embedding(3, 2)(a), layers.Dense(2)(b)])
    made = fastnn.Model([a, b], layers.Dense(1)(joined), dtype=dtype, seed=0)
    made.compile("sgd", "mse")
    x = {"a": np.array([[0, 1], [2, 3]]), "b": np.ones((2, 1))}
    message = r"row 1, column 1 of x\['a'\] is 3, but Embedding 'embedding_1' has input_dim 3"
    with refused(made, DataError, message):
        made.fit(x, np.zeros((2, 1)), verbose=0)
    with refused(made, DataError, message):
        made(x)


def test_more_indices_than_float32_can_count(refused: Any) -> None:
    made = fastnn.Sequential([fastnn.Input((1,)), layers.Embedding(2**23 + 1, 1)], dtype="float32", seed=0)
    with refused(made, DataError, "float32 cannot count 8388609 indices exactly; use dtype='float64'"):
        made.predict([[1]])


class Spoil(callbacks.Callback):
    """Changes an array between the batches of a training."""

    def __init__(self, x: np.ndarray) -> None:
        super().__init__()
        self.x = x

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.x[...] = 10**6

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.x[...] = -(10**6)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32"])
def test_indices_that_change_during_training_do_not_count(dtype: str, shuffle: bool) -> None:
    found = []
    for spoiled in (np.zeros(1), X.astype(dtype)):
        made, x = model(), X if len(spoiled) == 1 else spoiled
        options = {"shuffle": shuffle, "validation_split": 0.2, "callbacks": [Spoil(spoiled)], "verbose": 0}
        history = made.fit(x, Y, batch_size=4, epochs=3, **options)
        found.append((history.history, [w.tobytes() for w in made.get_weights()]))
    assert found[0] == found[1]


def test_indices_that_change_after_forward_do_not_count() -> None:
    made, x = model(), X.astype(np.float32)
    made.forward(X)
    expected = made.backward()
    made.forward(x)
    x[...] = 1e9
    for name, gradient in made.backward().items():
        np.testing.assert_array_equal(gradient, expected[name])


def test_large_indices_are_no_reason_to_scale() -> None:
    """What is said of losses that do not move looks at amounts."""
    made = fastnn.Sequential([fastnn.Input((1,)), layers.Embedding(5000, 1)], seed=0)
    made.compile(fastnn.optimizers.SGD(1e-30), "mse")
    with pytest.warns(fastnn.errors.TrainingWarning, match="no gradient reaches the weights"):
        made.fit(np.full((8, 1), 4999), np.ones((8, 1)), epochs=4, verbose=0)
