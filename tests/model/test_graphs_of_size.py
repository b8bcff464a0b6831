"""Deep and wide graphs: what they need grows with them and no faster, and no limit of Python stops them."""

from __future__ import annotations

import gc
import pickle
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import Input, Model, layers
from fastnn.errors import ConfigurationError

RNG = np.random.default_rng(17)
X = RNG.standard_normal((20, 3))
Z = RNG.standard_normal((20, 2))
U = RNG.standard_normal((20, 4))


def weights_of(model: Model) -> bytes:
    return b"".join(w.tobytes() for w in model.get_weights())


def exact(model: Model, x: Any, y: Any, **options: Any) -> None:
    """Assert that back-propagation agrees with finite differences."""
    report = fastnn.gradcheck(model, x, y, **options)
    assert report.largest < 1e-6, report
    assert sum(report.checked.values()) > 0


def residual(blocks: int) -> Model:
    x = h = Input((4,))
    for _ in range(blocks):
        inside = layers.Dense(4, kernel_initializer="zeros")(layers.Dense(4, "relu")(h))
        h = layers.Add()([h, inside])
    return Model(x, layers.Dense(2)(h), seed=0)


def chain(depth: int) -> Model:
    x = h = Input((4,))
    for _ in range(depth - 1):
        h = layers.Dense(4)(h)
    return Model(x, layers.Dense(2)(h), seed=0)


def through_a_life(make: Callable[[int], Model], size: int) -> None:
    """Build a net, run, train, print and copy it."""
    model = make(size)
    model.compile("adam", "mse")
    assert np.isfinite(model.predict(U)).all()
    assert np.isfinite(model.train_on_batch(U, Z))
    assert len(str(model.plan(8, "predict"))) > 100 * size
    twin = pickle.loads(pickle.dumps(model))
    assert weights_of(twin) == weights_of(model)
    del model, twin
    gc.collect()


@pytest.mark.parametrize(("make", "size"), [(chain, 2000), (residual, 500)])
def test_deep_nets_build_train_and_are_copied(make: Callable[[int], Model], size: int) -> None:
    limit = sys.getrecursionlimit()
    through_a_life(make, size)
    assert sys.getrecursionlimit() == limit


@pytest.mark.parametrize(("make", "size"), [(chain, 200), (residual, 96)])
def test_what_there_is_to_do_grows_with_the_depth_and_not_with_its_square(
    make: Callable[[int], Model], size: int, lines_run: Callable[[Callable[[], object]], int]
) -> None:
    through_a_life(make, 1)  # what loads at first use
    shallow, deep = (lines_run(lambda n=n: through_a_life(make, n)) for n in (size // 8, size))
    assert deep < 9 * shallow


def test_wide_graphs() -> None:
    ends = [Input((1 + i % 3,), name=f"i{i}") for i in range(60)]
    columns = sum(tensor.columns for tensor in ends)
    outputs = [layers.Dense(2, name=f"o{i}")(layers.Concatenate()(ends[i : i + 31])) for i in range(30)]
    model = Model(ends, [*outputs, layers.Concatenate(name="all")(ends)], dtype="float64", seed=0)
    x = [RNG.standard_normal((5, tensor.columns)) for tensor in ends]
    found = model.predict(x)
    np.testing.assert_array_equal(found[-1], np.hstack(x))
    for i in (0, 7, 29):
        kernel, bias = model.get_layer(f"o{i}").get_weights()
        np.testing.assert_allclose(found[i], np.hstack(x[i : i + 31]) @ kernel + bias, rtol=1e-12)
    model.compile("adam", "mse")
    y = [RNG.standard_normal(part.shape) for part in found]
    assert len(model.train_on_batch(x, y)) == 32
    assert columns == found[-1].shape[1]
    with pytest.raises(ConfigurationError, match="needs 151 arrays, the most is 123"):
        model.input_gradients(x)
    fewer = Model(ends, model.outputs[-3:], dtype="float64")
    gradients = fewer.input_gradients(x)
    for i in (0, 31, 59):  # of a sum over the outputs: the kernels' rows added up
        expected = np.ones_like(x[i])
        for j in range(max(28, i - 30), min(29, i) + 1):
            first = sum(tensor.columns for tensor in ends[j:i])
            expected += model.get_layer(f"o{j}").kernel[first : first + x[i].shape[1]].sum(1)
        np.testing.assert_allclose(gradients[i], expected, rtol=1e-12)
    fewer.forward(x)
    assert fewer.backward()["i31"].tobytes() == gradients[31].tobytes()
    with pytest.raises(ConfigurationError, match="1 tensors in wrt needs 124 arrays, the most is 123; ask"):
        fewer.backward(wrt="o28")


def test_one_tensor_read_by_a_thousand_layers() -> None:
    x = Input((2,))
    h = layers.Dense(2, "tanh")(x)
    many = [layers.Scale(float(i))(h) for i in range(500)] + [h] * 500
    y = layers.Add()(many)
    model = Model(x, y, dtype="float64", seed=0)
    model.compile("sgd", "mse")
    inside = np.tanh(Z @ model.get_weights()[0])
    np.testing.assert_allclose(model.predict(Z), inside * (499 * 250 + 500), rtol=1e-12)
    exact(model, Z, Z)
    joined = Model(x, layers.Concatenate()([h] * 1000), dtype="float64")
    np.testing.assert_allclose(joined.predict(Z), np.tile(inside, 1000), rtol=1e-12)
    np.testing.assert_allclose(joined.input_gradients(Z), 1000 * (1 - inside**2) @ model.get_weights()[0].T)
