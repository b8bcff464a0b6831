"""Predicted and true numbers, against scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from drawn import POINTS, SIDES, classifier, pyplot, regressor, texts

from fastnn.errors import ConfigurationError, DataError, DTypeError, ShapeError
from fastnn.plotting import PredictionErrorDisplay


def test_points_line_and_scores_of_predictions(ax: Any) -> None:
    rng = np.random.default_rng(0)
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    true = rng.normal(size=(40, 2))
    found = true + 0.1 * rng.normal(size=(40, 2))
    made = PredictionErrorDisplay.from_predictions(true, found, output_names=["a", "b"], ax=ax)
    for k, points in enumerate(made.points_):
        np.testing.assert_allclose(points.get_offsets(), np.stack([found[:, k], true[:, k]], 1))
    np.testing.assert_allclose(made.r2, metrics.r2_score(true, found, multioutput="raw_values"))
    expected = metrics.mean_absolute_error(true, found, multioutput="raw_values")
    np.testing.assert_allclose(made.mean_absolute_error, expected)
    x, y = made.line_.get_data()
    assert list(x) == list(y)
    assert ax.get_xlim() == ax.get_ylim()
    shown = [f"{n} (R\u00b2 {made.r2[k]:.3f}, MAE {expected[k]:.3g})" for k, n in enumerate("ab")]
    assert texts(ax.get_legend()) == shown


def test_residuals_are_true_minus_predicted(ax: Any) -> None:
    net = regressor()
    y = POINTS[:, 0] * 2 + 1
    made = PredictionErrorDisplay.from_estimator(net, POINTS, y, kind="residual_vs_predicted", ax=ax)
    found = net.predict(POINTS)
    np.testing.assert_allclose(made.points_[0].get_offsets(), np.stack([found, y - found], 1))
    assert list(made.line_.get_ydata()) == [0, 0]
    assert ax.get_ylabel() == "true value - predicted"
    assert ax.get_legend() is None
    assert ax.get_title() == f"R\u00b2 {made.r2[0]:.3f}, MAE {made.mean_absolute_error[0]:.3g}"


def test_many_points_are_counted_and_none_is_lost(ax: Any) -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=10_000)
    made = PredictionErrorDisplay.from_predictions(true, true + 0.3 * rng.normal(size=10_000), ax=ax)
    (cells,) = made.points_
    assert type(cells).__name__ == "PolyCollection"
    assert cells.get_array().sum() == 10_000
    assert [bar.get_ylabel() for bar in ax.child_axes] == ["rows"]


def test_constants_have_room_and_no_score_that_is_not_defined(ax: Any) -> None:
    made = PredictionErrorDisplay.from_predictions([5e6] * 4, [5e6] * 4, ax=ax)
    assert np.isnan(made.r2[0])
    assert ax.get_title() == "MAE 0"
    low, high = ax.get_xlim()
    assert low < 5e6 < high


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (([1, 2], [1]), {}, ShapeError, r"y_pred has shape \(1, 1\) but y_true \(2, 1\)"),
        (([], []), {}, DataError, "y_true has no rows"),
        (([1, np.inf], [1, 2]), {}, DataError, "y_true has 1 values that are NaN or infinite"),
        ((["a"], [1]), {}, DTypeError, "y_true must hold real numbers"),
        (([1], [1]), {"kind": "both"}, ConfigurationError, "unknown kind 'both'"),
        (([1], [1]), {"output_names": ["a", "b"]}, ConfigurationError, "output_names must be 1"),
    ],
)
def test_predictions_that_cannot_be_drawn(
    arguments: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        PredictionErrorDisplay.from_predictions(*arguments, **options)
    assert pyplot.get_fignums() == []


def test_classifiers_predict_no_numbers() -> None:
    with pytest.raises(ConfigurationError, match="MLPClassifier predicts classes; use Confusion"):
        PredictionErrorDisplay.from_estimator(classifier(SIDES), POINTS, SIDES)
