"""Dropout and GaussianNoise: what is drawn, when, and that it is the same wherever it is drawn."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers, optimizers, saving
from fastnn._core import table
from fastnn.errors import ConfigurationError, DTypeError
from fastnn.layers import Layer
from fastnn.run.reference import draws


def data(rows: int, columns: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (rows, columns))
    return x, np.tanh(x.sum(1, keepdims=True))


def net(*parts: Layer, columns: int = 3, **options: Any) -> fastnn.Sequential:
    options = {"dtype": "float64", "seed": 5} | options
    model = fastnn.Sequential([fastnn.Input((columns,)), *parts], **options)
    model.compile(optimizers.SGD(0.1), "mse")
    return model


def noisy(**options: Any) -> fastnn.Sequential:
    return net(
        layers.GaussianNoise(0.3), layers.Dense(9, "tanh"), layers.Dropout(0.4), layers.Dense(1), **options
    )


def same(one: Any, other: Any) -> None:
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def drawn(layer: Layer, rows: int, columns: int, dtype: str = "float64", step: int = 0) -> np.ndarray:
    """Return what a layer makes of ones in training: it is the gradient of a sum of weights of 0."""
    model = fastnn.Sequential(
        [
            fastnn.Input((columns,)),
            layer,
            layers.Dense(1, use_bias=False, kernel_initializer="zeros"),
        ],
        dtype=dtype,
        seed=5,
    )
    model.compile("sgd", fastnn.losses.SquaredError("half_sum", reduction="sum"))
    ones, found = np.ones((rows, columns)), []
    for row in range(rows):  # one row at a time has weight 1
        weight = np.zeros(rows)
        weight[row] = 1.0
        _, gradients = model.loss_and_gradients(ones, -np.ones((rows, 1)), weight, step=step)
        found.append(gradients["dense/kernel"].ravel())
    return np.asarray(found)


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_dropout_drops_its_share_and_scales_the_rest(rate: float) -> None:
    found = drawn(layers.Dropout(rate, name="drop"), 40, 50)
    kept = found != 0.0
    np.testing.assert_allclose(found[kept], 1.0 / (1.0 - rate) if rate < 1 else 0.0, rtol=1e-15)
    spread = np.sqrt(rate * (1 - rate) / found.size)
    assert abs(kept.mean() - (1 - rate)) <= 4 * spread


def test_noise_is_normal() -> None:
    stats = pytest.importorskip("scipy.stats")
    found = (drawn(layers.GaussianNoise(0.5), 60, 50) - 1.0) / 0.5
    assert stats.kstest(found.ravel(), "norm").pvalue > 1e-3
    assert abs(np.corrcoef(found[:-1].ravel(), found[1:].ravel())[0, 1]) < 4 / np.sqrt(found.size)
    assert abs(np.corrcoef(found[:, :-1].ravel(), found[:, 1:].ravel())[0, 1]) < 4 / np.sqrt(found.size)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5])
def test_factors_and_alpha_dropout_keep_mean_and_variance(rate: float) -> None:
    found = drawn(layers.GaussianDropout(rate), 60, 50)
    deviation = np.sqrt(rate / (1 - rate))
    assert abs(found.mean() - 1.0) <= 4 * deviation / np.sqrt(found.size)
    assert found.std() == pytest.approx(deviation, rel=0.1)
    found = drawn(layers.AlphaDropout(rate), 60, 50)  # of ones
    least = -1.0507009873554805 * 1.6732632423543772
    scale = ((1 - rate) * (1 + rate * least**2)) ** -0.5
    shift = -scale * least * rate
    values = {round(scale + shift, 12)} | ({round(scale * least + shift, 12)} if rate else set())
    assert set(found.round(12).ravel()) == values
    share = (found.round(12) == round(scale + shift, 12)).mean()
    assert abs(share - (1 - rate)) <= 4 * np.sqrt(rate * (1 - rate) / found.size)
    # Mean 0 and variance 1 stay: of kept numbers, and of those that were dropped.
    mean = (1 - rate) * shift + rate * (scale * least + shift)
    square = (1 - rate) * (scale**2 + shift**2) + rate * (scale * least + shift) ** 2
    assert (mean, square) == (pytest.approx(0.0, abs=1e-12), pytest.approx(1.0))


@pytest.mark.parametrize(
    "layer",
    [layers.Dropout(0.3), layers.GaussianNoise(0.2), layers.GaussianDropout(0.3), layers.AlphaDropout(0.3)],
)
def test_steps_layers_and_seeds_draw_differently(layer: Layer) -> None:
    config = layer.get_config()
    config = {key: value for key, value in config.items() if key not in ("name", "trainable")}
    cls: Any = type(layer)

    def again(seed: int | None = None, step: int = 0) -> np.ndarray:
        return drawn(cls(**(config | {"seed": seed})), 4, 30, step=step)

    first = again()
    np.testing.assert_array_equal(first, again())
    others = [again(step=1), again(seed=0), again(seed=1), again(seed=0, step=1)]
    np.testing.assert_array_equal(others[1], again(seed=0))
    for i, one in enumerate([first, *others]):
        for other in [first, *others][:i]:
            assert (one != other).any()
    rows = [tuple(row) for row in first]
    assert len(set(rows)) == len(rows)


def test_two_layers_of_a_net_draw_differently() -> None:
    plan = net(layers.Dropout(0.5), layers.Dropout(0.5), layers.Dense(1)).plan(purpose="train")
    numbers = [op.constants[1] for op in plan.ops if op.code.name == "DROPOUT"]
    assert len(set(numbers)) == 2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_reference_draws_the_same(dtype: str) -> None:
    x, y = data(40)
    one, other = noisy(dtype=dtype), noisy(dtype=dtype)
    other.compile(optimizers.SGD(0.1), "mse", reference=True)
    for model in (one, other):
        model.fit(x, y, epochs=4, batch_size=12, verbose=0)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_gradients_against_differences() -> None:
    x, y = data(20)
    assert fastnn.gradcheck(noisy(), x, y).largest < 1e-6
    inputs = fastnn.Input((3,))
    shared = layers.Dropout(0.3)
    branch = layers.Dense(4, "tanh")(shared(inputs))
    outputs = layers.Add()(
        [layers.Dense(1)(shared(branch)), layers.Dense(1)(layers.GaussianNoise(1.0)(branch))]
    )
    model = fastnn.Model(inputs, outputs, dtype="float64", seed=1)
    model.compile("sgd", "mse")
    report = fastnn.gradcheck(model, x, y)
    assert report.largest < 1e-6
    assert sum(report.checked.values()) > 20


@pytest.mark.parametrize("batch", [1, 7, 300])
def test_threads_change_no_bit(batch: int) -> None:
    x, y = data(300, 250)
    found = []
    for n_threads in (1, 2, 4):
        model = net(
            layers.GaussianNoise(0.1), layers.Dense(300, "relu"), layers.Dropout(0.5), layers.Dense(1),
            columns=250, dtype="float32",
        )  # fmt: skip
        model.compile(optimizers.Adam(0.001), "mse")
        model.fit(
            x[: 40 * batch], y[: 40 * batch], batch_size=batch, epochs=1, verbose=0, n_threads=n_threads
        )
        found.append(model)
    same(found[0], found[1])
    same(found[0], found[2])


@pytest.mark.parametrize(
    "layer",
    [layers.Dropout(0.4), layers.GaussianNoise(1.0), layers.GaussianDropout(0.3), layers.AlphaDropout(0.3)],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_simd_levels_change_no_bit(layer: Layer, dtype: str) -> None:
    before = table.level() or table.LEVELS[0]
    found = []
    try:
        for level in table.LEVELS:
            table.load(level)
            found.append(drawn(layer, 6, 67, dtype))
    finally:
        table.load(before)
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


def test_bits_are_spread_evenly() -> None:
    bits = draws.bits_of(draws.key_of_step(1, 1), 500, 400)
    for shift in range(32):
        share = ((bits >> np.uint32(shift)) & 1).mean()
        assert abs(share - 0.5) < 4 * 0.5 / np.sqrt(bits.size)
    assert len(np.unique(bits)) > 0.9999 * bits.size


def test_only_training_draws() -> None:
    x, y = data(30)
    model = noisy()
    plain = net(layers.Dense(9, "tanh"), layers.Dense(1))
    plain.set_weights(model.get_weights())
    np.testing.assert_array_equal(model.predict(x), plain.predict(x))
    np.testing.assert_array_equal(model(x), plain(x))
    assert model.evaluate(x, y, verbose=0) == plain.evaluate(x, y, verbose=0)
    np.testing.assert_array_equal(model.input_gradients(x), plain.input_gradients(x))
    assert model.loss_and_gradients(x, y)[0] != plain.loss_and_gradients(x, y)[0]
    history = model.fit(x, y, validation_data=(x, y), epochs=1, verbose=0).history
    assert history["val_loss"] == [model.evaluate(x, y, verbose=0)]


@pytest.mark.parametrize("parts", [[layers.Dropout(0.5)], [layers.Dense(3), layers.GaussianNoise(0.5)]])
def test_first_last_and_alone(parts: list[Layer]) -> None:
    x, _ = data(10)
    model = net(*parts)
    assert model.predict(x).shape == (10, 3)
    if len(parts) == 1:
        np.testing.assert_array_equal(model.predict(x), x)
    model.fit(x, x, epochs=2, verbose=0)


def test_a_resumed_run_draws_what_it_would_have_drawn(tmp_path: Path) -> None:
    x, y = data(30)
    whole, first = noisy(), noisy()
    whole.fit(x, y, batch_size=8, epochs=4, verbose=0)
    first.fit(x, y, batch_size=8, epochs=2, verbose=0)
    first.save(tmp_path / "model.fastnn")
    again = pickle.loads(pickle.dumps(saving.load_model(tmp_path / "model.fastnn")))
    again.fit(x, y, batch_size=8, epochs=2, verbose=0)
    same(whole, again)


def test_batches_one_by_one_are_an_epoch() -> None:
    x, y = data(30)
    one, other = noisy(), noisy()
    one.fit(x, y, batch_size=8, epochs=1, shuffle=False, verbose=0)
    for begin in range(0, 30, 8):
        other.train_on_batch(x[begin : begin + 8], y[begin : begin + 8])
    same(one, other)


def test_dropout_regularises() -> None:
    """A linear model with dropped inputs learns the smaller weights of the penalty that this is on average.

    Wager, Wang and Liang 2013: with rate p, the penalty is ``p / (1 - p) * sum(w_j^2 * mean(x_j^2))``.
    """
    rng = np.random.default_rng(3)
    x = rng.normal(0, 1, (4000, 4))
    y = x @ np.asarray([[1.0], [-2.0], [0.5], [0.0]])
    model = net(layers.Dropout(0.5), layers.Dense(1, use_bias=False), columns=4)
    model.compile(optimizers.SGD(0.02), "mse")
    model.fit(x, y, epochs=30, batch_size=40, verbose=0)
    penalty = np.diag((x**2).mean(0))
    exact = np.linalg.solve(x.T @ x / len(x) + penalty, x.T @ y / len(x))
    np.testing.assert_allclose(model.get_weights()[0], exact, atol=0.08)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: layers.Dropout(1.5), ConfigurationError, "rate"),
        (lambda: layers.Dropout(-0.1), ConfigurationError, "rate"),
        (lambda: layers.Dropout("half"), DTypeError, "rate"),
        (lambda: layers.Dropout(0.5, noise_shape=(1, 3)), ConfigurationError, "noise_shape"),
        (lambda: layers.Dropout(0.5, seed=-1), ConfigurationError, "seed"),
        (lambda: layers.Dropout(0.5, seed=2**52), ConfigurationError, "seed"),
        (lambda: layers.GaussianNoise(-1.0), ConfigurationError, "stddev"),
        (lambda: layers.GaussianNoise(float("nan")), ConfigurationError, "stddev"),
        (lambda: net().loss_and_gradients([[1, 2, 3]], [[1, 2, 3]], step=-1), ConfigurationError, "step"),
    ],
)  # fmt: skip
def test_bad_arguments(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()


def test_described_as_in_keras() -> None:
    for layer in (layers.Dropout(0.5, seed=3), layers.GaussianNoise(0.1)):
        again = type(layer).from_config(layer.get_config())
        assert again.config == layer.config  # type: ignore[attr-defined]
    assert repr(layers.Dropout(0.5)) == "Dropout(0.5)"
    assert layers.Dropout(0.25, seed=3).get_config().items() >= {"rate": 0.25, "seed": 3}.items()
