"""Importance of features, against finite differences and scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from drawn import POINTS, SIDES, classifier, linear, model_of, pyplot, sigmoid

import fastnn
from fastnn import layers
from fastnn.errors import ConfigurationError, DataError, DTypeError, ShapeError
from fastnn.plotting import GradientImportanceDisplay, PermutationImportanceDisplay


def bars_of(made: Any) -> dict[str, float]:
    names = [label.get_text() for label in made.ax_.get_yticklabels()]
    return dict(zip(names, [bar.get_width() for bar in made.bars_], strict=True))


def test_gradients_are_those_of_finite_differences(ax: Any) -> None:
    rng = np.random.default_rng(0)
    model = fastnn.Sequential(
        [fastnn.Input((3,)), layers.Dense(5, "tanh"), layers.Dense(2, "softmax")], dtype="float64", seed=0
    )
    x = rng.normal(size=(7, 3))
    made = GradientImportanceDisplay.from_estimator(model, x, output=1, ax=ax)
    both = GradientImportanceDisplay.from_estimator(model, x, standardize=True)
    slopes = np.empty((7, 2, 3))
    for feature in range(3):
        step = np.zeros(3)
        step[feature] = 1e-5
        slopes[:, :, feature] = (model.predict(x + step) - model.predict(x - step)) / 2e-5
    expected = np.abs(slopes)
    np.testing.assert_allclose(made.importances_mean, expected[:, 1].mean(0), rtol=1e-6)
    np.testing.assert_allclose(both.importances_mean, expected.mean((0, 1)) * x.std(0), rtol=1e-6)
    order = np.argsort(-made.importances_mean)
    assert list(bars_of(made)) == [f"x{feature}" for feature in order]
    np.testing.assert_allclose(list(bars_of(made).values()), made.importances_mean[order])


@pytest.mark.parametrize("n_ensemble", [1, 3])
def test_gradients_of_an_estimator(n_ensemble: int, ax: Any) -> None:
    net = classifier(SIDES, n_ensemble=n_ensemble)
    made = GradientImportanceDisplay.from_estimator(net, POINTS, ax=ax)
    for feature in range(2):
        step = np.zeros(2)
        step[feature] = 1e-5
        slope = net.predict_proba(POINTS + step) - net.predict_proba(POINTS - step)
        expected = np.abs(slope[:, 1] / 2e-5).mean()
        assert made.importances_mean[feature] == pytest.approx(expected, rel=1e-4)


def test_gradients_of_a_pipeline_of_scikit_learn_are_by_its_inputs(ax: Any) -> None:
    network = pytest.importorskip("sklearn.neural_network", reason="scikit-learn is not installed")
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = POINTS * (1.0, 100.0)
    net = network.MLPRegressor(hidden_layer_sizes=(6,), solver="lbfgs", random_state=0, max_iter=500)
    pipeline = make_pipeline(StandardScaler(), net).fit(x, x[:, 0] + 0.01 * x[:, 1])
    made = GradientImportanceDisplay.from_estimator(pipeline, x, feature_names=["a", "b"], ax=ax)
    for feature, h in enumerate((1e-4, 1e-2)):
        step = np.zeros(2)
        step[feature] = h
        slope = (pipeline.predict(x + step) - pipeline.predict(x - step)) / (2 * h)
        assert made.importances_mean[feature] == pytest.approx(np.abs(slope).mean(), rel=1e-2)
    assert list(bars_of(made)) == ["a", "b"]


def test_pixels_are_an_image(ax: Any) -> None:
    kernel = np.arange(6.0).reshape(6, 1)
    model = model_of(kernel, [0.0], "linear")
    made = GradientImportanceDisplay.from_estimator(model, np.ones((3, 6)), image=(2, 3), ax=ax)
    assert made.im_.get_array().tolist() == [[0, 1, 2], [3, 4, 5]]
    assert made.bars_ is None
    assert [bar.get_ylabel() for bar in ax.child_axes] == ["mean |d output / d input|"]
    with pytest.raises(ShapeError, match="image is 2 x 2, 4 numbers, and there are 6 features"):
        made.plot(image=(2, 2))


def test_permutations_cost_a_model_what_its_loss_grows(ax: Any) -> None:
    model = linear()
    y = 2 * POINTS[:, 0] + 1  # what it predicts
    x = POINTS.copy()
    made = PermutationImportanceDisplay.from_estimator(model, x, y, n_repeats=50, ax=ax)
    np.testing.assert_array_equal(x, POINTS)
    # The mean of (2 a - 2 b)^2 over all pairs of rows.
    assert made.importances_mean[0] == pytest.approx(8 * POINTS[:, 0].var(), rel=0.1)
    assert made.importances[1].tolist() == [0.0] * 50
    assert ax.get_xlabel() == "growth of the loss"
    again = PermutationImportanceDisplay.from_estimator(model, x, y, n_repeats=50)
    np.testing.assert_array_equal(again.importances, made.importances)


def test_permutations_of_an_estimator_are_near_those_of_scikit_learn(ax: Any) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    inspection = pytest.importorskip("sklearn.inspection", reason="scikit-learn is not installed")
    table = pandas.DataFrame(POINTS, columns=["width", "height"])
    net = classifier(SIDES, table)
    kept = table.copy()
    made = PermutationImportanceDisplay.from_estimator(net, table, SIDES, n_repeats=60, ax=ax)
    pandas.testing.assert_frame_equal(table, kept)
    expected = inspection.permutation_importance(net, table, SIDES, n_repeats=60, random_state=0)
    np.testing.assert_allclose(made.importances_mean, expected.importances_mean, atol=0.03)
    assert list(bars_of(made)) == ["width", "height"]
    assert ax.get_xlabel() == "accuracy lost"


def test_a_score_of_ones_own_and_the_most_bars(ax: Any) -> None:
    def minus_mean(estimator: Any, x: Any, y: Any) -> float:
        return -float(np.asarray(x)[0, 2])

    x = np.arange(40.0).reshape(8, 5)
    model = model_of(np.ones((5, 1)), [0.0], "linear")
    made = PermutationImportanceDisplay.from_estimator(
        model, x, None, scoring=minus_mean, max_features=2, n_repeats=3, ax=ax
    )
    assert (made.importances[[0, 1, 3, 4]] == 0).all()
    assert (made.importances[2] >= 0).all()
    assert made.importances[2].max() > 0
    assert len(made.bars_) == 2
    assert ax.get_ylabel() == "feature (3 more left out)"
    assert next(iter(bars_of(made))) == "x2"


@pytest.mark.parametrize(
    ("model", "options", "error", "message"),
    [
        (sigmoid(), {}, ConfigurationError, "is not compiled; call compile with a loss, or give scoring"),
        (linear(), {"scoring": "r2"}, DTypeError, "scoring must be a function .*get_scorer makes one"),
        (linear(), {"scoring": lambda *_: np.nan}, DataError, "the score is nan"),
        (linear(), {"n_repeats": 0}, ConfigurationError, "n_repeats must be"),
        (linear(), {"X": POINTS[:1]}, DataError, "X has 1 rows, which cannot be dealt out"),
        (linear(), {"X": POINTS[0]}, ShapeError, r"X must have shape \(rows, features\)"),
        (linear(), {"X": [POINTS, POINTS]}, ShapeError, "several inputs are not dealt out"),
        (linear(), {"feature_names": "ab"}, ConfigurationError, "feature_names must be 2"),
    ],
)
def test_permutations_that_cannot_be_made(
    model: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    arguments = {"X": POINTS, "y": POINTS[:, 0]} | options
    with pytest.raises(error, match=message):
        PermutationImportanceDisplay.from_estimator(model, **arguments)
    assert pyplot.get_fignums() == []


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"output": 1}, ConfigurationError, "output must lie in 0 to 0, got 1"),
        ({"X": POINTS[:0]}, DataError, "X has no rows"),
        ({"X": [["a", "b"]]}, DTypeError, "X must hold real numbers"),
        ({"X": POINTS * np.nan}, DataError, "NaN"),
    ],
)
def test_gradients_that_cannot_be_made(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        GradientImportanceDisplay.from_estimator(sigmoid(), **({"X": POINTS} | options))
    assert pyplot.get_fignums() == []
