"""Confusion matrices, against scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from drawn import POINTS, SIDES, THIRDS, classifier, model_of, pyplot, sigmoid, softmax

from fastnn.errors import ConfigurationError, DataError, ShapeError
from fastnn.plotting import ConfusionMatrixDisplay


@pytest.mark.parametrize("normalize", [None, "true", "pred", "all"])
@pytest.mark.parametrize("labels", [None, ["b", "a"]])
@pytest.mark.parametrize("weighted", [False, True])
def test_counts_are_those_of_scikit_learn(
    normalize: str | None, labels: Any, weighted: bool, ax: Any
) -> None:
    rng = np.random.default_rng(0)
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    names = np.array(["a", "b", "c"])
    true, found = names[rng.integers(0, 3, 50)], names[rng.integers(0, 2, 50)]
    weight = rng.random(50) if weighted else None
    options = {"labels": labels, "sample_weight": weight, "normalize": normalize}
    made = ConfusionMatrixDisplay.from_predictions(true, found, ax=ax, **options)
    expected = metrics.confusion_matrix(true, found, **options)
    np.testing.assert_allclose(made.confusion_matrix, expected, rtol=1e-12)
    np.testing.assert_allclose(made.im_.get_array(), expected, rtol=1e-12)
    assert [label.get_text() for label in ax.get_xticklabels()] == (labels or ["a", "b", "c"])
    assert [label.get_text() for label in ax.get_yticklabels()] == (labels or ["a", "b", "c"])


def test_cells_have_their_numbers_light_on_dark(ax: Any) -> None:
    made = ConfusionMatrixDisplay(np.array([[9, 1], [0, 9]]), display_labels=["spam", "ham"]).plot(ax)
    assert made.text_ is not None
    assert [text.get_text() for text in made.text_.ravel()] == ["9", "1", "0", "9"]
    assert [text.get_color() for text in made.text_.ravel()] == ["white", "black", "black", "white"]
    shares = ConfusionMatrixDisplay.from_predictions(
        [0, 0, 1], [0, 1, 1], normalize="true", values_format=".0%"
    )
    assert shares.text_ is not None
    assert [text.get_text() for text in shares.text_.ravel()] == ["50%", "50%", "0%", "100%"]
    assert ConfusionMatrixDisplay(np.eye(2)).plot(include_values=False).text_ is None


def test_a_model_an_estimator_and_outputs_agree(ax: Any) -> None:
    model = softmax()
    made = ConfusionMatrixDisplay.from_estimator(model, POINTS, np.eye(3)[THIRDS], ax=ax)
    outputs = model.predict(POINTS)
    expected = np.zeros((3, 3), int)
    np.add.at(expected, (THIRDS, outputs.argmax(1)), 1)
    np.testing.assert_array_equal(made.confusion_matrix, expected)
    again = ConfusionMatrixDisplay.from_predictions(THIRDS, outputs)
    np.testing.assert_array_equal(again.confusion_matrix, expected)
    net = classifier(THIRDS)
    by_estimator = ConfusionMatrixDisplay.from_estimator(net, POINTS, THIRDS)
    by_labels = ConfusionMatrixDisplay.from_predictions(THIRDS, net.predict(POINTS))
    np.testing.assert_array_equal(by_estimator.confusion_matrix, by_labels.confusion_matrix)


def test_classes_that_a_model_never_predicts_are_in_the_picture(ax: Any) -> None:
    model = model_of(np.zeros((2, 3)), [0.0, 1.0, 0.0], "softmax")
    made = ConfusionMatrixDisplay.from_estimator(model, POINTS, [1] * 60, ax=ax)
    assert made.confusion_matrix.tolist() == [[0, 0, 0], [0, 60, 0], [0, 0, 0]]


def test_the_threshold_moves_what_is_predicted() -> None:
    model = sigmoid()
    probabilities = model.predict(POINTS)[:, 0]
    made = ConfusionMatrixDisplay.from_estimator(model, POINTS, SIDES, threshold=0.9)
    assert made.confusion_matrix[:, 1].sum() == (probabilities > 0.9).sum() < (probabilities > 0.5).sum()
    net = classifier(SIDES)
    of_net = ConfusionMatrixDisplay.from_estimator(net, POINTS, SIDES, threshold=0.9)
    assert of_net.confusion_matrix[:, 1].sum() == (net.predict_proba(POINTS)[:, 1] > 0.9).sum()


def test_many_classes_are_drawn_without_numbers_and_with_some_names(ax: Any) -> None:
    made = ConfusionMatrixDisplay.from_predictions(np.arange(100), np.arange(100)[::-1], ax=ax)
    assert made.text_ is None
    assert [label.get_text() for label in ax.get_xticklabels()][:2] == ["0", "9"]
    assert len(ax.get_yticklabels()) == 11
    np.testing.assert_array_equal(made.im_.get_array(), np.eye(100)[::-1])


def test_long_names_are_cut_and_turned(ax: Any) -> None:
    names = [f"a class with a long name, {number}" for number in range(8)]
    ConfusionMatrixDisplay.from_predictions(names, names, ax=ax)
    labels = ax.get_xticklabels()
    assert max(len(label.get_text()) for label in labels) <= 20
    assert len({label.get_text() for label in labels}) == 8
    assert {label.get_rotation() for label in labels} == {45.0}


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (([1, 2], [1]), {}, ShapeError, "y_pred has 1 rows but y_true has 2"),
        (([], []), {}, DataError, "y_true has no rows"),
        (([1, 2], [1, 2]), {"normalize": "rows"}, ConfigurationError, "unknown normalize 'rows'"),
        (([1, 2], [1, 2]), {"labels": [3]}, DataError, r"no row of y_true has one of the labels \[3\]"),
        (([1, 2], [1, 2]), {"labels": [1, 1]}, ConfigurationError, "labels has 1 labels more than once"),
        (([1, 2], [1, 2]), {"display_labels": ["a"]}, ConfigurationError, "display_labels must be 2"),
        (([1, 2], [1, 2]), {"sample_weight": [1]}, ShapeError, r"sample_weight must have shape \(2,\)"),
        (([[1, 1], [1, 0]], [1, 0]), {}, DataError, "y_true has rows that are not one-hot"),
        (([0.0, np.nan], [0, 1]), {}, DataError, "y_true has labels that are NaN"),
        (([0, 1], [[np.nan, 1], [0, 1]]), {}, DataError, "y_pred has outputs that are no finite numbers"),
    ],
)
def test_confusion_that_cannot_be_drawn(
    arguments: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        ConfusionMatrixDisplay.from_predictions(*arguments, **options)
    assert pyplot.get_fignums() == []
