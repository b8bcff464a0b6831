"""Decision boundaries of models and estimators."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from drawn import POINTS, SIDES, THIRDS, Figure, classifier, pyplot, regressor, softmax, texts

from fastnn.errors import ConfigurationError, DataError, DTypeError, ShapeError
from fastnn.plotting import DecisionBoundaryDisplay, plot_decision_boundary


def test_the_function_and_the_class_draw_the_same(ax: Any) -> None:
    made = DecisionBoundaryDisplay.from_estimator(softmax(), POINTS, THIRDS, grid_resolution=15, ax=ax)
    other = plot_decision_boundary(softmax(), POINTS, THIRDS, Figure().subplots(), resolution=15)
    assert np.array_equal(made.surface_.get_array(), other.collections[0].get_array())
    assert texts(ax.get_legend()) == texts(other.get_legend()) == ["class 0", "class 1", "class 2"]
    for k, points in enumerate(made.points_):
        np.testing.assert_allclose(points.get_offsets(), POINTS[THIRDS == k], atol=1e-6)


@pytest.mark.parametrize("y", [SIDES, THIRDS])
def test_regions_of_an_estimator_are_what_it_predicts(y: np.ndarray, ax: Any) -> None:
    names = np.array(["no", "yes", "a name that is longer than any label"])
    net = classifier(names[y])
    made = DecisionBoundaryDisplay.from_estimator(net, POINTS, names[y], grid_resolution=21, ax=ax)
    grid = np.stack([a.ravel() for a in np.meshgrid(made.xx0, made.xx1)], 1)
    np.testing.assert_array_equal(net.classes_[made.regions.ravel()], net.predict(grid))
    assert len(set(made.regions.ravel())) == len(net.classes_)
    shown = [
        name if len(name) < 20 else "a name that\N{HORIZONTAL ELLIPSIS}n any label" for name in net.classes_
    ]
    assert texts(ax.get_legend()) == shown
    for code, points in enumerate(made.points_):
        np.testing.assert_array_equal(points.get_offsets(), POINTS[names[y] == net.classes_[code]])


def test_tables_give_their_names_and_an_estimator_without_probabilities_works(ax: Any) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    svm = pytest.importorskip("sklearn.svm", reason="scikit-learn is not installed")
    table = pandas.DataFrame(POINTS, columns=["width", "price $ in $"])
    net = svm.LinearSVC().fit(table, SIDES)
    made = DecisionBoundaryDisplay.from_estimator(net, table, grid_resolution=9, ax=ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("width", r"price \$ in \$")
    assert made.points_ == []
    grid = pandas.DataFrame(
        np.stack([a.ravel() for a in np.meshgrid(made.xx0, made.xx1)], 1), columns=table.columns
    )
    np.testing.assert_array_equal(made.regions.ravel(), net.predict(grid))
    assert texts(ax.get_legend()) == ["class 0", "class 1"]


def test_lines_part_classes_whichever_output_wins(ax: Any) -> None:
    made = DecisionBoundaryDisplay.from_estimator(softmax(), POINTS, grid_resolution=25, ax=ax)
    grid = np.stack([a.ravel() for a in np.meshgrid(made.xx0, made.xx1)], 1)
    outputs = softmax().predict(grid).astype(float)
    for code, margin in enumerate(made.margins):
        best = np.delete(outputs, code, axis=1).max(axis=1)
        np.testing.assert_allclose(margin.ravel(), outputs[:, code] - best, atol=1e-6)
        np.testing.assert_array_equal(margin > 0, made.regions == code)


def test_a_regressor_has_a_boundary_at_a_threshold(ax: Any) -> None:
    net = regressor()
    made = DecisionBoundaryDisplay.from_estimator(net, POINTS, POINTS[:, 0] * 2 + 1, threshold=1.0, ax=ax)
    np.testing.assert_allclose(made.points_[1].get_offsets(), POINTS[POINTS[:, 0] > 0])
    with pytest.raises(ConfigurationError, match=r"MLPRegressor has no classes_.*threshold=0.5"):
        DecisionBoundaryDisplay.from_estimator(net, POINTS)


def test_one_class_has_one_colour_and_no_line(ax: Any) -> None:
    made = DecisionBoundaryDisplay.from_estimator(classifier([5] * 60), POINTS, [5] * 60, ax=ax)
    assert set(made.regions.ravel()) == {0}
    assert made.margins.shape[0] == 0
    assert ax.get_legend() is None


def test_a_hundred_classes_have_a_bar_instead_of_a_legend(ax: Any) -> None:
    neighbors = pytest.importorskip("sklearn.neighbors", reason="scikit-learn is not installed")
    x = np.stack([np.arange(100) % 10, np.arange(100) // 10], 1).astype(float)
    net = neighbors.KNeighborsClassifier(1).fit(np.repeat(x, 2, axis=0), np.repeat(np.arange(100), 2))
    made = DecisionBoundaryDisplay.from_estimator(net, x, np.arange(100), grid_resolution=60, ax=ax)
    assert ax.get_legend() is None
    (bar,) = ax.child_axes
    assert bar.get_ylabel() == "class"
    assert [label.get_text() for label in bar.get_yticklabels()][:2] == ["class 0", "class 9"]
    assert set(made.regions.ravel()) == set(range(100))


@pytest.mark.parametrize(
    ("y", "options", "error", "message"),
    [
        (["maybe"] * 60, {}, DataError, "y has the label 'maybe' at row 0, which is none of 'no', 'yes'"),
        (["no"] * 59, {}, ShapeError, "y has 59 rows but X has 60"),
        (None, {"threshold": "0"}, DTypeError, "threshold must be a number"),
        (None, {"grid_resolution": 1}, ConfigurationError, "grid_resolution must be .*at least 2"),
        (None, {"feature_names": ["a"]}, ConfigurationError, "feature_names must be 2"),
        (None, {"class_names": ["a"]}, ConfigurationError, "class_names must be 2, one for each class"),
    ],
)
def test_boundaries_of_estimators_that_cannot_be_drawn(
    y: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    net = classifier(np.array(["no", "yes"])[SIDES])
    with pytest.raises(error, match=message):
        DecisionBoundaryDisplay.from_estimator(net, POINTS, y, **options)
    assert pyplot.get_fignums() == []


def test_estimators_of_other_widths_or_several_labels_have_no_boundary() -> None:
    x = np.hstack([POINTS, POINTS])
    with pytest.raises(ShapeError, match="estimators with 2 inputs, and this one has 4"):
        DecisionBoundaryDisplay.from_estimator(classifier(SIDES, x), x)
    several = classifier(np.stack([SIDES, 1 - SIDES, SIDES], 1))
    with pytest.raises(ShapeError, match="rows have several labels each; draw one label"):
        DecisionBoundaryDisplay.from_estimator(several, POINTS)
