"""Graphs and profiles, as classes."""

from __future__ import annotations

from typing import Any

import pytest
from drawn import POINTS, SIDES, THIRDS, Figure, classifier, sigmoid, texts

import fastnn
from fastnn import layers
from fastnn.errors import DTypeError
from fastnn.plotting import GraphDisplay, ProfileDisplay, plot_graph


def test_graphs_of_models_and_estimators(ax: Any) -> None:
    model = sigmoid()
    made = GraphDisplay.from_estimator(model, ax=ax)
    other = plot_graph(model, Figure().subplots())
    assert [text.get_text() for text in made.text_] == [text.get_text() for text in other.texts]
    of_net = GraphDisplay.from_estimator(classifier(THIRDS))
    assert [text.get_text().splitlines()[1:] for text in of_net.text_] == [
        ["Input 2"],
        ["Dense 8", "relu"],
        ["Dense 3", "softmax"],
    ]


def test_bars_of_a_profile_are_the_times_of_its_ops(ax: Any) -> None:
    model = fastnn.Sequential(
        [fastnn.Input((2,)), *[layers.Dense(4, "relu") for _ in range(6)], layers.Dense(1)], seed=0
    )
    model.compile("adam", "mse")
    profile = model.profile(POINTS, SIDES)
    made = ProfileDisplay(profile).plot(ax, max_ops=100)
    assert [bar.get_width() for bar in made.bars_] == [time for _, time, _ in profile.rows]
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert (names[0].split()[0], len(names)) == ("gather", len(profile.rows))
    assert texts(ax.get_legend()) == ["rows: forward, backward, loss", "weights: gradients, updates"]
    colours = {name.split()[0]: bar.get_facecolor() for name, bar in zip(names, made.bars_, strict=True)}
    assert colours["adam"] == colours["weight_gradient"] != colours["dense"] == colours["dense_backward"]
    rows, weights = (handle.get_facecolor() for handle in ax.get_legend().legend_handles)
    assert (colours["dense"], colours["adam"]) == (rows, weights)
    few = ProfileDisplay(profile).plot(max_ops=5)
    assert len(few.bars_) == 5
    assert sum(bar.get_width() for bar in few.bars_) == pytest.approx(profile.microseconds)
    labels = [label.get_text() for label in few.ax_.get_yticklabels()]
    assert labels[-1] == f"{len(profile.rows) - 4} other ops"
    kept = sorted((time for _, time, _ in profile.rows), reverse=True)[:4]
    assert sorted((bar.get_width() for bar in few.bars_[:4]), reverse=True) == kept


def test_what_is_no_profile_is_refused() -> None:
    with pytest.raises(DTypeError, match="profile must be what model"):
        ProfileDisplay("fast")  # type: ignore[arg-type]
    with pytest.raises(DTypeError, match="ProfileDisplay needs a compiled model"):
        ProfileDisplay.from_estimator(classifier(SIDES), POINTS, SIDES)
