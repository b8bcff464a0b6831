"""Loss curves: of models and estimators, of one training and of several."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from drawn import POINTS, SIDES, Figure, classifier, linear, pyplot, texts

import fastnn
from fastnn import layers
from fastnn.errors import ConfigurationError, DataError, DTypeError
from fastnn.plotting import LossCurveDisplay, plot_loss


def fitted(name: str) -> fastnn.Sequential:
    model = fastnn.Sequential([fastnn.Input((2,)), layers.Dense(1)], seed=0, name=name)
    model.compile("sgd", "mse", metrics=["mae"])
    model.fit(POINTS, SIDES, epochs=3, validation_data=(POINTS, SIDES), verbose=0)
    return model


def test_one_training_is_drawn_as_the_function_draws_it(ax: Any) -> None:
    model = fitted("bikes")
    made = LossCurveDisplay.from_estimator(model, ax=ax)
    by_function = plot_loss(model.history, Figure().subplots())
    drawn = [[(line.get_label(), line.get_ydata().tolist()) for line in a.lines] for a in made.axes_]
    assert drawn == [
        [(line.get_label(), line.get_ydata().tolist()) for line in a.lines] for a in by_function.figure.axes
    ]
    assert drawn[0] == [
        ("training loss", model.history.history["loss"]),
        ("validation loss", model.history.history["val_loss"]),
    ]
    assert ax.get_title() == by_function.get_title() == "Training of bikes"


def test_several_trainings_have_a_colour_each_and_a_panel_for_each_name(ax: Any) -> None:
    runs = {"a": {"loss": [3, 2], "val_loss": [4, 3], "mae": [1, 1]}, "b": {"loss": [5, 4, 3]}}
    made = LossCurveDisplay.from_histories(runs, ax=ax)
    assert [panel.get_ylabel() for panel in made.axes_] == ["loss", "mae"]
    upper, lower = made.axes_
    assert [(line.get_label(), line.get_linestyle()) for line in upper.lines] == [
        ("a, training", "-"),
        ("a, validation", "--"),
        ("b, training", "-"),
    ]
    assert upper.lines[2].get_data()[0].tolist() == [1, 2, 3]
    assert upper.lines[0].get_color() == upper.lines[1].get_color() == lower.lines[0].get_color()
    assert upper.lines[0].get_color() != upper.lines[2].get_color()
    assert texts(upper.get_legend()) == ["a, training", "a, validation", "b, training"]
    assert lower.get_legend() is None


def test_a_list_is_numbered_and_names_are_chosen(ax: Any) -> None:
    model = fitted("bikes")
    made = LossCurveDisplay.from_histories([model.history, model], names="mae", log_scale=True, ax=ax)
    assert [line.get_label() for line in made.lines_] == [
        f"training {number}, {part}" for number in (1, 2) for part in ("training", "validation")
    ]
    assert (ax.get_ylabel(), ax.get_yscale()) == ("mae", "log")


def test_curves_of_an_estimator_and_of_a_pipeline() -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    net = fastnn.MLPClassifier((4,), early_stopping=True, max_iter=5, random_state=0, n_iter_no_change=20)
    pipeline = make_pipeline(StandardScaler(), net)
    with pytest.warns(UserWarning, match="Maximum iterations"):
        pipeline.fit(POINTS, SIDES)
    made = LossCurveDisplay.from_estimator(pipeline)
    assert [line.get_ydata().tolist() for line in made.lines_] == [net.loss_curve_, net.validation_scores_]
    assert [line.get_label() for line in made.lines_] == ["training loss", "validation score"]
    assert made.ax_.get_title() == "Training of MLPClassifier"


def test_a_curve_that_does_not_stay_finite_ends_with_a_cross(ax: Any) -> None:
    made = LossCurveDisplay.from_histories({"loss": [3, 2, np.nan, np.inf], "mae": [np.nan] * 4}, ax=ax)
    (cross,) = made.ax_.collections
    assert cross.get_offsets().tolist() == [[2, 2]]
    assert [text.get_text() for text in made.axes_[1].texts] == ["no finite number"]
    assert not LossCurveDisplay.from_histories({"loss": [np.nan, 2, 1]}).ax_.collections


def test_points_of_one_epoch_are_told_apart(ax: Any) -> None:
    made = LossCurveDisplay.from_histories({"loss": [1.0], "val_loss": [2.0]}, ax=ax)
    assert [line.get_marker() for line in made.lines_] == ["o", "o"]
    assert [line.get_markerfacecolor() == "none" for line in made.lines_] == [False, True]


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ([], DataError, "histories has none"),
        ({"a": {"loss": [1]}, "b": {"loss": []}}, DataError, r"histories\['b'\] has no epochs"),
        ([{"loss": [1]}, 3], DTypeError, r"histories\['training 2'\] must be what fit returns"),
        (linear(), ConfigurationError, "was not trained; call fit first"),
    ],
)
def test_curves_that_are_not_there(source: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        LossCurveDisplay.from_histories(source)
    assert pyplot.get_fignums() == []


def test_lbfgs_keeps_no_curve() -> None:
    with pytest.raises(ConfigurationError, match="no loss_curve_; its solver, 'lbfgs', keeps none"):
        LossCurveDisplay.from_estimator(classifier(SIDES))
