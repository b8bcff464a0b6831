"""What all pictures by classes have in common: axes, figures, names, what is refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from drawn import POINTS, SIDES, linear, pyplot, sigmoid, texts

import fastnn
from fastnn.errors import DTypeError
from fastnn.plotting import (
    CalibrationDisplay,
    ConfusionMatrixDisplay,
    DecisionBoundaryDisplay,
    GradientImportanceDisplay,
    GraphDisplay,
    LossCurveDisplay,
    PermutationImportanceDisplay,
    PredictionErrorDisplay,
    ProfileDisplay,
    WeightImagesDisplay,
)

MADE: dict[str, Callable[..., Any]] = {
    "LossCurveDisplay": lambda **o: LossCurveDisplay.from_histories({"loss": [2.0, 1.0]}, **o),
    "DecisionBoundaryDisplay": lambda **o: DecisionBoundaryDisplay.from_estimator(
        sigmoid(), POINTS, SIDES, grid_resolution=20, **o
    ),
    "ConfusionMatrixDisplay": lambda **o: ConfusionMatrixDisplay.from_estimator(
        sigmoid(), POINTS, SIDES, **o
    ),
    "CalibrationDisplay": lambda **o: CalibrationDisplay.from_estimator(sigmoid(), POINTS, SIDES, **o),
    "PredictionErrorDisplay": lambda **o: PredictionErrorDisplay.from_estimator(
        linear(), POINTS, POINTS[:, 0], **o
    ),
    "WeightImagesDisplay": lambda **o: WeightImagesDisplay.from_estimator(sigmoid(), shape=(1, 2), **o),
    "PermutationImportanceDisplay": lambda **o: PermutationImportanceDisplay.from_estimator(
        linear(), POINTS, POINTS[:, 0], **o
    ),
    "GradientImportanceDisplay": lambda **o: GradientImportanceDisplay.from_estimator(sigmoid(), POINTS, **o),
    "GraphDisplay": lambda **o: GraphDisplay.from_estimator(sigmoid(), **o),
    "ProfileDisplay": lambda **o: ProfileDisplay.from_estimator(linear(), POINTS, POINTS[:, 0], **o),
}


def colours_of(made: Any) -> set[str]:
    return {str(line.get_color()) for panel in made.figure_.axes for line in panel.lines}


def test_lines_are_seen_in_a_dark_style_too() -> None:
    for kind in ("CalibrationDisplay", "PredictionErrorDisplay", "GradientImportanceDisplay"):
        assert "black" in colours_of(MADE[kind]())
        with pyplot.style.context("dark_background"):
            assert "black" not in colours_of(MADE[kind]())


def test_every_display_is_tried() -> None:
    assert {name for name in fastnn.plotting.__all__ if name.endswith("Display")} == MADE.keys()


@pytest.mark.parametrize("kind", MADE)
def test_a_given_axis_is_drawn_on_and_no_figure_made(kind: str, ax: Any) -> None:
    made = MADE[kind](ax=ax)
    assert made.ax_ is ax
    assert made.figure_ is ax.figure
    assert ax.lines or ax.collections or ax.images or ax.patches
    assert pyplot.get_fignums() == []


@pytest.mark.parametrize("kind", MADE)
def test_without_an_axis_there_is_one_new_figure_and_plot_makes_another(kind: str, ax: Any) -> None:
    made = MADE[kind]()
    assert len(pyplot.get_fignums()) == 1
    first = made.figure_
    assert made.ax_ is first.axes[0]
    assert made.plot(ax=ax) is made
    assert made.figure_ is ax.figure is not first
    assert len(pyplot.get_fignums()) == 1


@pytest.mark.parametrize("kind", sorted(MADE.keys() - {"GraphDisplay"}))
def test_axes_have_names_and_one_thing_has_no_legend(kind: str) -> None:
    made = MADE[kind]()
    lowest = next(panel for panel in reversed(made.figure_.axes) if panel.get_xlabel())
    assert lowest.get_xlabel()
    assert made.ax_.get_ylabel()
    several = kind in ("DecisionBoundaryDisplay", "CalibrationDisplay", "ProfileDisplay")
    assert (made.ax_.get_legend() is not None) == several
    assert not several or len(texts(made.ax_.get_legend())) > 1


@pytest.mark.parametrize("kind", MADE)
def test_all_that_is_drawn_is_inside_of_a_new_figure(kind: str) -> None:
    made = MADE[kind]()
    made.figure_.canvas.draw()
    box, picture = made.figure_.get_tightbbox(), made.figure_.get_size_inches()
    assert -0.02 <= box.x0 < box.x1 <= picture[0] + 0.02
    assert -0.02 <= box.y0 < box.y1 <= picture[1] + 0.02


@pytest.mark.parametrize("kind", MADE)
def test_what_is_no_axis_is_refused(kind: str) -> None:
    with pytest.raises(DTypeError, match="ax must be one matplotlib axis, got 3"):
        MADE[kind](ax=3)
    assert pyplot.get_fignums() == []


@pytest.mark.parametrize("kind", MADE)
def test_without_matplotlib_it_says_what_to_install(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # type: ignore[arg-type]
    with pytest.raises(ImportError, match=r"plots need matplotlib: pip install matplotlib$"):
        MADE[kind]()


@pytest.mark.parametrize("kind", sorted(MADE.keys() - {"LossCurveDisplay"}))
def test_what_predicts_nothing_is_refused(kind: str) -> None:
    arguments: list[Any] = [POINTS, SIDES]
    if kind in ("WeightImagesDisplay", "GraphDisplay"):
        arguments = []
    elif kind == "GradientImportanceDisplay":
        arguments = [POINTS]
    for thing in (3, fastnn.Sequential):
        with pytest.raises(DTypeError, match=f"{kind} needs a (compiled )?model"):
            getattr(fastnn.plotting, kind).from_estimator(thing, *arguments)
    assert pyplot.get_fignums() == []


SCRIPT = """
import sys
sys.modules["sklearn"] = None
import numpy as np
import fastnn
from matplotlib.figure import Figure
from fastnn import plotting
model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1, "sigmoid")], seed=0)
model.compile("sgd", "binary_crossentropy")
x, y = np.eye(2), [0, 1]
names = "DecisionBoundary ConfusionMatrix Calibration PredictionError PermutationImportance"
for name in names.split():
    getattr(plotting, name + "Display").from_estimator(model, x, y, ax=Figure().subplots())
model.fit(x, y, verbose=0)
plotting.LossCurveDisplay.from_estimator(model, ax=Figure().subplots())
assert "matplotlib.pyplot" not in sys.modules
"""


def test_models_are_drawn_without_scikit_learn(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
