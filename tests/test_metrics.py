"""Metrics over several batches, with and without sample weights, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers, metrics
from fastnn.callbacks import LambdaCallback
from fastnn.errors import ConfigurationError

RNG = np.random.default_rng(6)
X = RNG.standard_normal((70, 3))
Y = RNG.standard_normal((70, 2))
WEIGHTS = RNG.uniform(0, 2, 70)


def net(
    loss: Any = "mse", units: int = 2, activation: str | None = None, **options: Any
) -> fastnn.Sequential:
    chain = [fastnn.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(units, activation)]
    model = fastnn.Sequential(chain, seed=3, dtype="float64")
    model.compile(fastnn.optimizers.SGD(0.0), loss, **options)
    return model


@pytest.mark.parametrize("reference", [False, True])
def test_a_root_is_taken_once_for_all_rows(reference: bool) -> None:
    metric = metrics.RootMeanSquaredError("root")
    model = net(metrics=[metric], weighted_metrics=[metric], reference=reference)
    error = (model.predict(X) - Y) ** 2
    expected = {
        "root": error.mean() ** 0.5,
        "weighted_root": ((WEIGHTS @ error.mean(1)) / WEIGHTS.sum()) ** 0.5,
    }
    history = model.fit(X, Y, sample_weight=WEIGHTS, batch_size=16, epochs=2, verbose=0).history
    seen: list[dict[str, float]] = []
    watch = LambdaCallback(on_test_batch_end=lambda batch, logs: seen.append(dict(logs)))
    found = model.evaluate(
        X, Y, sample_weight=WEIGHTS, batch_size=16, callbacks=[watch], verbose=0, return_dict=True
    )
    for name, value in expected.items():
        np.testing.assert_allclose(history[name], [value, value], rtol=1e-12)
        assert found[name] == seen[-1][name] == pytest.approx(value, rel=1e-12)
        assert type(found[name]) is float
    part = slice(0, 16)
    assert seen[0]["root"] == pytest.approx(error[part].mean() ** 0.5, rel=1e-12)
    assert len(seen) == 5


def test_weights_that_are_all_0_make_0() -> None:
    model = net(weighted_metrics=["mae"])
    assert model.evaluate(X, Y, sample_weight=np.zeros(70), verbose=0) == [0.0, 0.0]
    history = model.fit(X, Y, sample_weight=np.zeros(70), epochs=2, verbose=0).history
    assert history["mae"] == [0.0, 0.0]


def test_without_weights_all_rows_count_alike() -> None:
    one, other = net(metrics=["mae", "mse"]), net(weighted_metrics=["mae", "mse"])
    assert one.evaluate(X, Y, verbose=0) == other.evaluate(X, Y, verbose=0)


@pytest.mark.parametrize("n_threads", [2, 4])
def test_every_number_of_threads_gives_the_same_sums(n_threads: int) -> None:
    x, weights = RNG.standard_normal((900, 3)), RNG.uniform(0, 2, 900)
    wide = [fastnn.Input((3,)), layers.Dense(300, "tanh"), layers.Dense(2, "sigmoid")]
    model = fastnn.Sequential(wide, seed=3)
    names = ["mae", metrics.BinaryAccuracy(), metrics.RootMeanSquaredError()]
    model.compile("sgd", "mse", weighted_metrics=names)
    y = (x[:, :2] > 0).astype(float)
    one = model.evaluate(x, y, sample_weight=weights, verbose=0, n_threads=1)
    assert model.evaluate(x, y, sample_weight=weights, verbose=0, n_threads=n_threads) == one


def test_callbacks_know_weighted_metrics() -> None:
    model = net(metrics=["accuracy"], weighted_metrics=["accuracy"])
    assert model._now.need_objective().measured["weighted_accuracy"].larger_is_better


def test_weighted_metrics_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="unknown metric 'mea'"):
        net(weighted_metrics=["mea"])
    with pytest.raises(ConfigurationError, match="weighted_metrics has the key 'b'"):
        net(weighted_metrics={"b": ["mae"]})
    with pytest.raises(ConfigurationError, match="does not suit"):
        net(weighted_metrics=[metrics.SparseCategoricalAccuracy()])
    with pytest.raises(ConfigurationError, match="two metrics are named 'sample_weight'"):
        net(metrics=[metrics.MeanSquaredError("sample_weight")])
