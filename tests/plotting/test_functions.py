"""Pictures: what is drawn, what is refused before a figure opens, and that matplotlib stays optional."""

from __future__ import annotations

import datetime
import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers, plotting
from fastnn.callbacks import History
from fastnn.errors import ConfigurationError, DataError, DTypeError, ShapeError
from fastnn.plotting import plot_decision_boundary, plot_loss, plot_predictions

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib, the extra [plot], is not installed")
matplotlib.use("agg")
pyplot = pytest.importorskip("matplotlib.pyplot", reason="matplotlib, the extra [plot], is not installed")
Figure = pyplot.Figure

HISTORY = {"loss": [0.9, 0.5, 0.4], "mae": [0.8, 0.6, 0.5], "val_loss": [1.0, 0.7, 0.6]}
SQUARE = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=float)


@pytest.fixture
def ax() -> Any:
    """Return an axis that pyplot does not know."""
    return Figure(layout="constrained").add_subplot()


@pytest.fixture(autouse=True)
def _nothing_global() -> Iterator[None]:
    """Close the figures that a test opened, and see that no setting has changed."""
    before = dict(matplotlib.rcParams)
    yield
    pyplot.close("all")
    assert dict(matplotlib.rcParams) == before


def model_of(kernel: Any, bias: Any, activation: str) -> fastnn.Sequential:
    """Return a model of one layer with given weights."""
    kernel = np.array(kernel, dtype=float)
    model = fastnn.Sequential(
        [fastnn.Input((len(kernel),)), layers.Dense(kernel.shape[1], activation)], seed=0
    )
    model.set_weights([kernel, np.array(bias, dtype=float)])
    return model


def sigmoid_model() -> fastnn.Sequential:
    """Return a model whose classes part at x1 = 0.25."""
    return model_of([[8.0], [0.0]], [-2.0], "sigmoid")


def softmax_model() -> fastnn.Sequential:
    return model_of([[2.0, 0.0, -2.0], [0.0, 3.0, -1.0]], [-0.5, -1.0, 1.0], "softmax")


def lines_of(ax: Any) -> dict[str, tuple[list[float], list[float]]]:
    return {line.get_label(): tuple(np.asarray(d).tolist() for d in line.get_data()) for line in ax.lines}


def legend_of(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def contours(ax: Any) -> list[Any]:
    return [c for c in ax.collections if type(c).__name__ == "QuadContourSet"]


def scatters(ax: Any) -> list[Any]:
    return [c for c in ax.collections if type(c).__name__ == "PathCollection"]


def mesh(ax: Any) -> Any:
    (found,) = [c for c in ax.collections if type(c).__name__ == "QuadMesh"]
    return found


# -- the axis


DRAWN = {
    "loss": lambda **options: plot_loss(HISTORY, **options),
    "boundary": lambda **options: plot_decision_boundary(
        sigmoid_model(), SQUARE, [0, 0, 1, 1], resolution=20, **options
    ),
    "predictions": lambda **options: plot_predictions([1, 2], [1.5, 2.5], **options),
}


@pytest.mark.parametrize("kind", DRAWN)
def test_a_given_axis_is_drawn_on_and_returned(kind: str, ax: Any) -> None:
    before = pyplot.get_fignums()
    assert DRAWN[kind](ax=ax) is ax
    assert ax.lines or ax.collections
    assert ax.figure.axes[-1].get_xlabel()
    assert ax.get_ylabel()
    assert pyplot.get_fignums() == before


@pytest.mark.parametrize("kind", DRAWN)
def test_without_an_axis_there_is_one_new_figure(kind: str) -> None:
    other = pyplot.figure()
    made = DRAWN[kind]()
    assert len(pyplot.get_fignums()) == 2
    assert made.figure is not other
    assert made.figure.axes[0] is made
    assert len(made.figure.axes) == 1 + (kind == "loss")
    assert not other.axes


@pytest.mark.parametrize("kind", DRAWN)
def test_the_legend_stands_beside_the_data_and_inside_the_picture(kind: str) -> None:
    ax = DRAWN[kind]()
    ax.figure.canvas.draw()
    legend, picture = ax.get_legend().get_window_extent(), ax.figure.bbox
    assert legend.x0 >= ax.get_window_extent().x1
    assert legend.x1 <= picture.x1
    assert legend.y1 <= picture.y1
    ax.figure.savefig(file := io.BytesIO(), format="pdf")  # also as a vector file
    assert len(file.getvalue()) < 200_000


@pytest.mark.parametrize("kind", DRAWN)
def test_what_is_no_axis_is_refused(kind: str) -> None:
    axes = np.array([Figure().add_subplot()])
    with pytest.raises(DTypeError, match="ax must be one matplotlib axis, got array"):
        DRAWN[kind](ax=axes)
    assert pyplot.get_fignums() == []


# -- curves over epochs


def test_curves_are_those_of_the_history(ax: Any) -> None:
    plot_loss(HISTORY, ax)
    epochs = [1, 2, 3]
    below = ax.figure.axes[1]
    assert lines_of(ax) == {
        "training loss": (epochs, HISTORY["loss"]),
        "validation loss": (epochs, HISTORY["val_loss"]),
    }
    assert lines_of(below) == {"training mae": (epochs, HISTORY["mae"])}
    assert (legend_of(ax), legend_of(below)) == (list(lines_of(ax)), list(lines_of(below)))
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_yscale()) == ("", "loss", "linear")
    assert (below.get_xlabel(), below.get_ylabel(), below.get_yscale()) == ("epoch", "mae", "linear")
    loss, validation, mae = *ax.lines, *below.lines
    assert loss.get_color() == validation.get_color() != mae.get_color()
    assert [line.get_linestyle() for line in (loss, validation, mae)] == ["-", "--", "-"]


@pytest.mark.parametrize("by_hand", [False, True])
def test_losses_and_metrics_share_the_place_of_a_given_axis(by_hand: bool) -> None:
    figure = Figure()
    other, ax = figure.subplots(1, 2)
    if by_hand:
        ax.remove()
        ax = figure.add_axes((0.5, 0.1, 0.4, 0.8))
    before, beside = ax.get_position(), other.get_position().bounds
    assert plot_loss(HISTORY | {"out_loss": [3, 2, 1], "accuracy": [0, 0.5, 1]}, ax) is ax
    upper, lower = ax.get_position(), figure.axes[2].get_position()
    assert before.y0 == pytest.approx(lower.y0)
    assert lower.y1 < upper.y0
    assert upper.y1 == pytest.approx(before.y1)
    assert (ax.get_ylabel(), figure.axes[2].get_ylabel()) == ("loss, out_loss", "mae, accuracy")
    assert ax.get_shared_x_axes().joined(ax, figure.axes[2])
    assert other.get_position().bounds == beside


def test_a_picture_of_training_has_a_title(ax: Any) -> None:
    assert plot_loss(HISTORY).get_title() == "Training"
    model = fastnn.Sequential([fastnn.Input((2,)), layers.Dense(1)], seed=0, name="bikes")
    model.compile("sgd", "mse")
    assert plot_loss(model.fit(SQUARE, SQUARE[:, 0], verbose=0)).get_title() == "Training of bikes"
    ax.set_title("mine")
    assert plot_loss(HISTORY, ax).get_title() == "mine"


def test_a_history_of_fit_is_drawn_with_its_epochs(ax: Any) -> None:
    model = fastnn.Sequential([fastnn.Input((2,)), layers.Dense(1)], seed=0)
    model.compile("sgd", "mse")
    history = model.fit(SQUARE, SQUARE[:, 0], epochs=5, initial_epoch=2, verbose=0)
    plot_loss(history, ax)
    assert lines_of(ax) == {"training loss": ([3, 4, 5], history.history["loss"])}


def test_chosen_curves_only(ax: Any) -> None:
    plot_loss({**HISTORY, "learning_rate": [0.1, 0.1, 0.05]}, ax)
    assert [len(panel.lines) for panel in ax.figure.axes] == [2, 1]
    ax.clear()
    plot_loss(HISTORY, ax, names="mae", log_scale=True)
    assert list(lines_of(ax)) == ["training mae"]
    assert (ax.get_ylabel(), ax.get_yscale()) == ("mae", "log")
    ax.clear()
    plot_loss({"learning_rate": [0.1, 0.05]}, ax, names=["learning_rate"])
    assert list(lines_of(ax)) == ["learning_rate"]


def test_a_loss_of_zero_is_a_gap_on_a_log_scale(ax: Any) -> None:
    plot_loss({"loss": [1.0, 0.1, 0.0]}, ax, log_scale=True)
    assert np.isfinite(ax.yaxis.get_transform().transform([1.0, 0.1, 0.0])).tolist() == [True, True, False]
    ax.figure.canvas.draw()
    assert ax.get_ylim()[0] > 0.01


def test_one_epoch_is_a_point_and_epochs_are_whole(ax: Any) -> None:
    plot_loss({"loss": [0.5]}, ax)
    assert ax.lines[0].get_marker() == "o"
    assert [tick for tick in ax.get_xticks() if 0.9 < tick < 1.1] == [1]


def test_more_curves_than_safe_colours_have_colours_of_their_own(ax: Any) -> None:
    plot_loss({f"m{i}": [i, i + 1] for i in range(9)}, ax)
    assert len({str(line.get_color()) for line in ax.lines}) == 9


@pytest.mark.parametrize(
    ("history", "options", "error", "message"),
    [
        ([0.5, 0.4], {}, DTypeError, r"history must be what fit returns, or its dict of lists, got \[0.5"),
        (None, {}, DTypeError, "history must be what fit returns"),
        ({}, {}, DataError, "history has no epochs to draw; call fit first"),
        (History(), {}, DataError, "history has no epochs"),
        ({"loss": []}, {}, DataError, "history has no epochs"),
        ({"loss": [1, 2], "mae": [1]}, {}, ShapeError, r"history\['mae'\] has 1 numbers for 2 epochs"),
        ({"loss": ["low"]}, {}, DTypeError, r"history\['loss'\] must hold real numbers"),
        (HISTORY, {"names": "losss"}, ConfigurationError, "unknown curve 'losss'; did you mean 'loss'"),
        (HISTORY, {"names": []}, ConfigurationError, "no curve to draw; choose names of loss, mae"),
    ],
)
def test_histories_that_cannot_be_drawn(
    history: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        plot_loss(history, **options)
    assert pyplot.get_fignums() == []


# -- decision boundaries


def grid_of(ax: Any, resolution: int) -> np.ndarray:
    across, up = (np.linspace(*limits, resolution) for limits in (ax.get_xlim(), ax.get_ylim()))
    return np.stack([axis.ravel() for axis in np.meshgrid(across, up)], axis=1)


def test_regions_of_a_sigmoid_are_those_of_predict(ax: Any) -> None:
    model = sigmoid_model()
    before = [w.tobytes() for w in model.get_weights()]
    plot_decision_boundary(model, SQUARE, [[0], [1], [1], [1]], ax, resolution=31)
    assert [w.tobytes() for w in model.get_weights()] == before
    expected = model.predict(grid_of(ax, 31))[:, 0] > 0.5
    np.testing.assert_array_equal(np.ravel(mesh(ax).get_array()), expected)
    assert 0 < expected.sum() < expected.size
    np.testing.assert_allclose((*ax.get_xlim(), *ax.get_ylim()), (-0.1, 1.1, -0.1, 1.1))
    (line,) = contours(ax)
    np.testing.assert_allclose(line.get_paths()[0].vertices[:, 0], 0.25, atol=1e-3)
    first, second = scatters(ax)
    np.testing.assert_array_equal(first.get_offsets(), SQUARE[:1])
    np.testing.assert_array_equal(second.get_offsets(), SQUARE[1:])
    assert legend_of(ax) == ["class 0", "class 1"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$x_1$", "$x_2$")


def test_the_threshold_moves_the_boundary_and_parts_the_labels(ax: Any) -> None:
    model = model_of([[1.0], [0.0]], [0.0], "linear")
    plot_decision_boundary(
        model,
        SQUARE,
        [-1, 1, -1, 1],
        ax,
        resolution=30,
        threshold=0.0,
        feature_names=("grade", "rank"),
        class_names=["no", "yes"],
    )
    np.testing.assert_allclose(contours(ax)[0].get_paths()[0].vertices[:, 0], 0, atol=1e-6)
    np.testing.assert_array_equal(scatters(ax)[1].get_offsets(), SQUARE[[1, 3]])
    assert legend_of(ax) == ["no", "yes"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("grade", "rank")


@pytest.mark.parametrize("one_hot", [False, True])
def test_regions_of_a_softmax_are_its_largest_outputs(ax: Any, one_hot: bool) -> None:
    labels = np.array([2, 1, 0, 1])
    model = softmax_model()
    points = SQUARE * (2, 1)  # an oblong: the directions are not to be mixed up
    plot_decision_boundary(model, points, np.eye(3)[labels] if one_hot else labels, ax, resolution=40)
    assert mesh(ax).get_rasterized()
    expected = model.predict(grid_of(ax, 40)).argmax(axis=1)
    assert set(expected) == {0, 1, 2}
    np.testing.assert_array_equal(np.ravel(mesh(ax).get_array()), expected)
    assert [len(drawn.get_offsets()) for drawn in scatters(ax)] == [1, 2, 1]
    assert len(contours(ax)) == 2  # of class 0 and of class 1; they have the third between them
    assert legend_of(ax) == ["class 0", "class 1", "class 2"]


def test_points_have_the_full_colour_of_their_region(ax: Any) -> None:
    plot_decision_boundary(softmax_model(), SQUARE, [0, 1, 2, 0], ax, resolution=5)
    for number, points in enumerate(scatters(ax)):
        tint, full = mesh(ax).to_rgba(number)[:3], points.get_facecolor()[0][:3]
        np.testing.assert_allclose(tint, 0.72 + 0.28 * np.asarray(full), atol=5e-3)


def test_a_model_that_decides_alike_everywhere_has_no_line(ax: Any) -> None:
    plot_decision_boundary(model_of([[0.0], [0.0]], [3.0], "sigmoid"), SQUARE, [0, 1, 1, 1], ax, resolution=9)
    assert contours(ax) == []
    assert np.all(mesh(ax).get_array() == 1)


def test_one_point_has_room_around_it(ax: Any) -> None:
    plot_decision_boundary(sigmoid_model(), [[3.0, 4.0]], [1], ax, resolution=9)
    assert (*ax.get_xlim(), *ax.get_ylim()) == (2, 4, 3, 5)


def test_ten_classes_have_ten_colours(ax: Any) -> None:
    angles = np.arange(10) * np.pi / 5
    model = model_of([np.cos(angles), np.sin(angles)], np.zeros(10), "softmax")
    plot_decision_boundary(
        model, np.stack([np.cos(angles), np.sin(angles)], 1), np.arange(10), ax, resolution=60
    )
    assert len({tuple(points.get_facecolor()[0]) for points in scatters(ax)}) == 10
    assert set(np.ravel(mesh(ax).get_array())) == set(range(10))


LINEAR = model_of([[1.0], [0.0]], [0.0], "linear")
WIDE = model_of(np.zeros((3, 1)), [0.0], "sigmoid")


@pytest.mark.parametrize(
    ("model", "x", "y", "options", "error", "message"),
    [
        (WIDE, np.zeros((4, 3)), [0] * 4, {}, ShapeError, "models with 2 inputs, and this one has 3; train"),
        (sigmoid_model(), np.zeros((4, 3)), [0] * 4, {}, ShapeError, r"x must have shape \(rows, 2\)"),
        (sigmoid_model(), SQUARE, [0, 1], {}, ShapeError, "y has 2 rows but x has 4"),
        (sigmoid_model(), SQUARE * np.nan, [0] * 4, {}, DataError, "x has 8 values that are NaN"),
        (sigmoid_model(), np.zeros((0, 2)), [], {}, DataError, "x has no rows"),
        (softmax_model(), SQUARE, [0, 1, 2, 3], {}, DataError, "labels in y must lie in 0 to 2"),
        (softmax_model(), SQUARE, np.ones((4, 3)), {}, DataError, "rows without one largest entry"),
        (softmax_model(), SQUARE, np.ones((4, 2)), {}, ShapeError, r"y must have shape \(rows, 3\)"),
        (softmax_model(), SQUARE, [0] * 4, {"threshold": 0.5}, ConfigurationError, "of 3 the largest wins"),
        (LINEAR, SQUARE, [0] * 4, {}, ConfigurationError, "not a sigmoid; say where its classes part"),
        (LINEAR, SQUARE, [0] * 4, {"threshold": "0"}, DTypeError, "threshold must be a number"),
        (LINEAR, SQUARE, [0] * 4, {"threshold": 0, "resolution": 1}, ConfigurationError, "at least 2"),
        (sigmoid_model(), SQUARE, [0] * 4, {"class_names": ["a"]}, ConfigurationError, "must be 2, one for"),
        (sigmoid_model(), SQUARE, [0] * 4, {"feature_names": "ab"}, ConfigurationError, "must be 2, one for"),
        (fastnn.Sequential([layers.Dense(1)]), SQUARE, [0] * 4, {}, ConfigurationError, "not known yet"),
        (lambda x: x, SQUARE, [0] * 4, {}, DTypeError, "plot_decision_boundary needs a model"),
    ],
)
def test_boundaries_that_cannot_be_drawn(
    model: Any, x: Any, y: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        plot_decision_boundary(model, x, y, **options)
    assert pyplot.get_fignums() == []
    assert error is DTypeError or issubclass(error, ValueError)


# -- predictions over time


def test_predictions_are_drawn_on_top_of_the_truth(ax: Any) -> None:
    plot_predictions([[1], [2], [3]], np.array([1.5, np.nan, 2.5], np.float32), ax=ax, y_label="bikes")
    assert lines_of(ax)["true"] == ([0, 1, 2], [1, 2, 3])
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), [1.5, np.nan, 2.5])
    assert legend_of(ax) == ["true", "predicted"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("row", "bikes")
    assert len({line.get_color() for line in ax.lines}) == 2


def test_numbers_as_time_and_labels_of_ones_own(ax: Any) -> None:
    plot_predictions([1, 2], [3, 4], [10, 20], ax, labels=("measured", "net"), x_label="hours")
    assert lines_of(ax) == {"measured": ([10, 20], [1, 2]), "net": ([10, 20], [3, 4])}
    assert ax.get_xlabel() == "hours"


@pytest.mark.parametrize(
    "time",
    [
        np.datetime64("2012-12-30") + np.arange(3),
        [datetime.datetime(2012, 12, 30) + datetime.timedelta(days=i) for i in range(3)],
    ],
    ids=["datetime64", "datetime"],
)
def test_dates_become_short_labels(ax: Any, time: Any) -> None:
    plot_predictions([1, 2, 3], [1, 2, 2], time, ax)
    ax.figure.canvas.draw()
    assert type(ax.xaxis.get_major_formatter()).__name__ == "ConciseDateFormatter"
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert max(map(len, labels)) <= len("Dec-30")
    assert ax.get_xlabel() == "time"


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (([1, 2], [1]), {}, ShapeError, "predicted has 1 rows but true has 2; they must agree"),
        (([1, 2], [1, 2], [0]), {}, ShapeError, "time has 1 rows but true has 2; they must agree"),
        ((np.ones((3, 2)), np.ones((3, 2))), {}, ShapeError, r"true must have shape .* \(3, 2\); draw one"),
        (([], []), {}, DataError, "true has no rows"),
        ((["a"], [1]), {}, DTypeError, "true must hold real numbers"),
        (([1], None), {}, ShapeError, r"predicted must have shape \(rows,\)"),
        (([1j], [1]), {}, DTypeError, "true must hold real numbers"),
        (([1], [1]), {"labels": "ab"}, ConfigurationError, "labels must be 2"),
    ],
)
def test_predictions_that_cannot_be_drawn(
    arguments: tuple[Any, ...], options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        plot_predictions(*arguments, **options)
    assert pyplot.get_fignums() == []


# -- matplotlib stays optional


@pytest.mark.parametrize("kind", DRAWN)
def test_without_matplotlib_it_says_what_to_install(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # type: ignore[arg-type]
    with pytest.raises(ImportError, match=r"plots need matplotlib: pip install matplotlib$"):
        DRAWN[kind]()


SCRIPT = """
import sys
import fastnn
assert "fastnn.plotting" not in sys.modules
fastnn.plotting.plot_loss
assert "fastnn.plotting" in sys.modules
assert "matplotlib" not in sys.modules
try:
    fastnn.plotting.plot_loss([])
except TypeError:
    pass
fastnn.plotting.plot_loss({"loss": [1.0]}, __import__("matplotlib.figure").figure.Figure().add_subplot())
assert "matplotlib.pyplot" not in sys.modules
"""


def test_nothing_is_imported_before_something_is_drawn(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_graph_is_drawn_from_left_to_right() -> None:
    x = fastnn.Input((4,))
    h = fastnn.layers.Dense(4, "relu")(x)
    y = fastnn.layers.Add()([x, fastnn.layers.Dense(4)(h)])
    model = fastnn.Model(x, y, seed=0)
    ax = plotting.plot_graph(model, Figure().subplots())
    texts = ["input\nInput 4", "dense\nDense 4\nrelu", "dense_1\nDense 4", "add\nAdd 4"]
    assert [text.get_text() for text in ax.texts] == texts
    across = [text.get_position()[0] for text in ax.texts]
    assert sorted(set(across)) == across
    arrows, boxes = patches_of(ax, "FancyArrowPatch"), patches_of(ax, "FancyBboxPatch")
    assert len(arrows) == 4  # one for each tensor that a layer reads
    colours = [box.get_edgecolor() for box in boxes]
    assert colours[1] == colours[2]
    assert len({*colours}) == 3  # inputs, dense layers, others
    with pytest.raises(DTypeError, match="plot_graph needs a model"):
        plotting.plot_graph("model")
    with pytest.raises(ConfigurationError, match="input width is not known"):
        plotting.plot_graph(fastnn.Sequential([fastnn.layers.Dense(2)]))


def test_a_graph_without_text_has_a_legend(ax: Any) -> None:
    drawn = plotting.plot_graph(deep(2), ax, labels=False)
    assert not drawn.texts
    assert legend_of(drawn) == ["input", "dense layer", "other layer"]
    assert not plotting.plot_graph(deep(50)).texts
    size = ax.figure.get_size_inches()
    assert max(size) < 15


def patches_of(ax: Any, kind: str) -> list[Any]:
    return [patch for patch in ax.patches if type(patch).__name__ == kind]


def deep(n_layers: int) -> fastnn.Model:
    hidden = [layers.Dense(100, layers.LeakyReLU(0.1)) for _ in range(n_layers)]
    return fastnn.Sequential([fastnn.Input((784,)), *hidden], seed=0)


def residual(n_blocks: int) -> fastnn.Model:
    x = h = fastnn.Input((8,))
    for _ in range(n_blocks):
        h = layers.Add()([h, layers.Dense(8, "tanh")(layers.Dense(8, "relu")(h))])
    return fastnn.Model(x, h, seed=0)


def wired() -> fastnn.Model:
    x = h = fastnn.Input((64,))
    for _ in range(12):
        h = layers.WeightedSum()([x, layers.Dense(64, "relu")(h)])
    return fastnn.Model(x, h, seed=0)


def broad(n_branches: int) -> fastnn.Model:
    inputs = [fastnn.Input((4,), name=f"a_long_name_of_station_{number}") for number in range(n_branches)]
    return fastnn.Model(inputs, layers.Concatenate()([layers.Dense(8, "relu")(x) for x in inputs]), seed=0)


DRAWINGS = {"short": deep(5), "deep": deep(30), "residual": residual(10)}
DRAWINGS |= {"broad": broad(15), "wired": wired()}


@pytest.mark.parametrize("kind", DRAWINGS)
@pytest.mark.parametrize("given", [False, True])
def test_text_is_inside_of_its_node_and_nodes_are_apart(kind: str, given: bool) -> None:
    model = DRAWINGS[kind]
    ax = plotting.plot_graph(model, Figure(figsize=(30, 30)).subplots() if given else None)
    assert len(ax.texts) == len(model.graph.nodes) + len(model.graph.inputs)
    assert min(text.get_fontsize() for text in ax.texts) >= (7 if given else 9)
    ax.set_title("A title takes room")
    ax.figure.canvas.draw()
    boxes = [box.get_window_extent() for box in patches_of(ax, "FancyBboxPatch")]
    for text, box in zip(ax.texts, boxes, strict=True):
        words = text.get_window_extent()
        assert box.x0 <= words.x0 <= words.x1 <= box.x1
        assert box.y0 <= words.y0 <= words.y1 <= box.y1
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:number])
        assert ax.figure.bbox.x0 <= box.x0 <= box.x1 <= ax.figure.bbox.x1
        assert ax.figure.bbox.y0 <= box.y0 <= box.y1 <= ax.figure.bbox.y1


def test_deep_graphs_go_downwards() -> None:
    ax = plotting.plot_graph(deep(30))
    places = [text.get_position() for text in ax.texts]
    assert len({x for x, _ in places}) == 1
    assert [y for _, y in places] == sorted((y for _, y in places), reverse=True)
    wide, high = ax.figure.get_size_inches()
    assert wide < 5 < 15 < high


def test_a_name_with_dollars_is_no_formula(ax: Any) -> None:
    x = fastnn.Input((2,), name="price_$_in_$")
    plotting.plot_graph(fastnn.Model(x, layers.Dense(1)(x)), ax)
    ax.figure.canvas.draw()
    assert "price_" in ax.texts[0].get_text()
