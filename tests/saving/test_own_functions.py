"""Models with losses and metrics of one's own, as files: they are given when the model is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers, losses
from fastnn.errors import ConfigurationError, DTypeError, TrainingWarning

RNG = np.random.default_rng(14)
X = RNG.normal(0, 1, (22, 3)).astype(np.float32)
Y = RNG.normal(0, 1, (22, 2)).astype(np.float32)


def mse(y_true: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    error = y_pred - y_true
    return (error**2).mean(axis=1), 2 * error / error.shape[1]


def mse_metric(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    return mse(y_true, y_pred)[0]


class Power(losses.Loss):
    def __init__(self, power: int = 2, **options: Any) -> None:
        super().__init__(**options)
        self.power = power

    def call(self, y_true: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        error = y_pred - y_true
        return (error**self.power).mean(axis=1), self.power * error ** (self.power - 1) / error.shape[1]

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"power": self.power}


class Largest(fastnn.metrics.Metric):
    value = 0.0

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.value = max(self.value, float(abs(y_true - y_pred).max()))

    def result(self, sums: Any = None) -> float:
        return self.value

    def reset_state(self) -> None:
        self.value = 0.0


def net(loss: Any, optimizer: Any = "sgd", **options: Any) -> fastnn.Sequential:
    parts = [layers.Dense(6, "tanh"), layers.Dropout(0.25), layers.Dense(2, name="out")]
    model = fastnn.Sequential([fastnn.Input((3,)), *parts], seed=2)
    model.compile(optimizer, loss, **options)
    return model


def test_it_is_saved_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "model"
    model = net({"out": mse}, "adam", metrics=["mae", mse_metric], weighted_metrics=[Largest()])
    model.fit(X, Y, epochs=2, verbose=0)
    model.save(path)
    with pytest.warns(
        TrainingWarning, match="not compiled: loss 'mse' is of the user's own.*custom_objects="
    ):
        bare = fastnn.load_model(path)
    assert not bare.compiled
    assert np.array_equal(bare.predict(X), model.predict(X))
    assert not fastnn.load_model(path, compile=False).compiled  # without a warning
    with pytest.warns(TrainingWarning, match="metric 'mse_metric' is of the user's own"):
        fastnn.load_model(path, custom_objects={"mse": mse})
    again = fastnn.load_model(path, {"mse": mse, "mse_metric": mse_metric, "Largest": Largest})
    found, wanted = (one.fit(X, Y, epochs=2, verbose=0).history for one in (again, model))
    assert found == wanted
    assert all(np.array_equal(a, b) for a, b in zip(again.get_weights(), model.get_weights(), strict=True))


def test_a_class_is_saved_with_its_configuration(tmp_path: Path, refused: Any) -> None:
    path = tmp_path / "model"
    model = net(Power(4))
    model.save(path)
    with pytest.warns(TrainingWarning, match="loss 'Power' is of the user's own"):
        fastnn.load_model(path)
    again = fastnn.load_model(path, {"Power": Power})
    assert again.evaluate(X, Y) == model.evaluate(X, Y)
    assert again.optimizer.asked[0].power == 4

    class Odd(Power):
        def get_config(self) -> dict[str, Any]:
            return {"power": object()}

    odd = net(Odd())
    with refused(odd, ConfigurationError, match="get_config of Odd must return numbers"):
        odd.save(path)
    with pytest.raises(DTypeError, match="custom_objects must be a dict of names and classes or functions"):
        fastnn.load_model(path, {"Power": 3})  # type: ignore[dict-item]
