"""Reliability diagrams, against scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from drawn import POINTS, SIDES, THIRDS, classifier, linear, pyplot, sigmoid, softmax, texts

from fastnn.errors import ConfigurationError, DataError, ShapeError
from fastnn.plotting import CalibrationDisplay


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
@pytest.mark.parametrize("n_bins", [1, 5, 10])
@pytest.mark.parametrize("digits", [1, 16])
def test_bins_are_those_of_scikit_learn(strategy: str, n_bins: int, digits: int, ax: Any) -> None:
    rng = np.random.default_rng(0)
    calibration = pytest.importorskip("sklearn.calibration", reason="scikit-learn is not installed")
    probability = rng.random(300).round(digits)  # of one digit: many are where bins meet
    y = (rng.random(300) < probability**2).astype(int)
    made = CalibrationDisplay.from_predictions(y, probability, n_bins=n_bins, strategy=strategy, ax=ax)
    true, mean = calibration.calibration_curve(y, probability, n_bins=n_bins, strategy=strategy)
    np.testing.assert_allclose(made.prob_true, true, atol=1e-12)
    np.testing.assert_allclose(made.prob_pred, mean, atol=1e-12)
    np.testing.assert_allclose(np.transpose(made.line_.get_data()), np.stack([mean, true], 1), atol=1e-12)
    assert [bar.get_height() for bar in made.bars_ if bar.get_height()] == made.counts.tolist()
    assert made.counts.sum() == 300
    error = np.average(np.abs(true - mean), weights=made.counts)
    assert made.expected_calibration_error == pytest.approx(error, abs=1e-12)
    assert texts(ax.get_legend()) == ["right", f"predicted (ECE {error:.3f})"]


def test_models_and_estimators_of_two_classes() -> None:
    model = sigmoid()
    made = CalibrationDisplay.from_estimator(model, POINTS, SIDES)
    given = CalibrationDisplay.from_predictions(SIDES, model.predict(POINTS))
    np.testing.assert_allclose(made.prob_true, given.prob_true)
    np.testing.assert_allclose(made.prob_pred, given.prob_pred)
    assert made.figure_.axes[1].get_xlabel() == "predicted probability of class 1"
    net = classifier(np.array(["no", "yes"])[SIDES])
    labels = np.array(["no", "yes"])[SIDES]
    no = CalibrationDisplay.from_estimator(net, POINTS, labels, pos_label="no")
    by_hand = CalibrationDisplay.from_predictions(labels, net.predict_proba(POINTS)[:, 0], pos_label="no")
    np.testing.assert_allclose(no.prob_pred, by_hand.prob_pred)
    np.testing.assert_allclose(no.prob_true, by_hand.prob_true)
    assert no.figure_.axes[1].get_xlabel() == "predicted probability of class no"


def test_of_several_classes_the_most_probable_one_is_judged(ax: Any) -> None:
    model = softmax()
    made = CalibrationDisplay.from_estimator(model, POINTS, THIRDS, n_bins=4, ax=ax)
    outputs = model.predict(POINTS).astype(float)
    right = (outputs.argmax(1) == THIRDS).astype(int)
    expected = CalibrationDisplay.from_predictions(right, outputs.max(1), n_bins=4)
    np.testing.assert_allclose(made.prob_true, expected.prob_true)
    np.testing.assert_allclose(made.prob_pred, expected.prob_pred)
    assert made.ax_.get_ylabel() == "share of rows that are right"


def test_two_curves_share_an_axis(ax: Any) -> None:
    rng = np.random.default_rng(0)
    p = rng.random(50)
    CalibrationDisplay.from_predictions(SIDES[:50], p, name="a", histogram=False, ax=ax)
    second = CalibrationDisplay.from_predictions(SIDES[:50], p**2, name="b", histogram=False, ax=ax)
    assert second.bars_ is None
    shown = texts(ax.get_legend())
    assert shown[0] == "right"
    assert [text[:2] for text in shown[1:]] == ["a ", "b "]
    assert len({line.get_color() for line in ax.lines}) == 3


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_a_constant_prediction_is_one_point(strategy: str, ax: Any) -> None:
    made = CalibrationDisplay.from_predictions([0, 1, 1, 1], [0.5] * 4, strategy=strategy, ax=ax)
    assert (made.prob_true.tolist(), made.prob_pred.tolist()) == ([0.75], [0.5])
    assert made.counts.tolist() == [4]


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (([0, 1], [0.5]), {}, ShapeError, "y_prob has 1 rows but y_true has 2"),
        (([], []), {}, DataError, "no rows"),
        (([0, 1], [0.5, 1.5]), {}, DataError, "no probabilities, from 0 to 1; apply sigmoid or softmax"),
        (([0, 1], [0.5, np.nan]), {}, DataError, "no probabilities"),
        (([0, 1], [[0.5, 0.1], [0.5, 0.5]]), {}, DataError, "do not add up to 1; apply softmax"),
        (
            (["a", "b"], [0.5, 0.5]),
            {},
            ConfigurationError,
            "'a', 'b' y_prob is of is not known; say pos_label",
        ),
        ((["a", "b"], [0.5, 0.5]), {"pos_label": "c"}, ConfigurationError, "unknown pos_label 'c'"),
        (([0, 1, 2], [0.5] * 3), {}, DataError, "3 labels and y_prob one column"),
        (([0, 1], [0.5, 0.5]), {"strategy": "even"}, ConfigurationError, "unknown strategy 'even'"),
        (([0, 1], [0.5, 0.5]), {"n_bins": 0}, ConfigurationError, "n_bins must be"),
    ],
)
def test_calibration_that_cannot_be_drawn(
    arguments: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        CalibrationDisplay.from_predictions(*arguments, **options)
    assert pyplot.get_fignums() == []


def test_outputs_that_are_no_probabilities_are_not_calibrated() -> None:
    with pytest.raises(ConfigurationError, match="last layer is no sigmoid"):
        CalibrationDisplay.from_estimator(linear(), POINTS, SIDES)
    with pytest.raises(ConfigurationError, match="there is one class only"):
        CalibrationDisplay.from_estimator(classifier([1] * 60), POINTS, [1] * 60)
    with pytest.raises(ConfigurationError, match="unknown pos_label 7"):
        CalibrationDisplay.from_estimator(classifier(SIDES), POINTS, SIDES, pos_label=7)
