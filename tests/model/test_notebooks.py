"""What notebooks show of models, histories and estimators: HTML, escaped, without colours of its own."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.callbacks import History
from fastnn.html import table

X, Y = np.linspace(-1, 1, 24, dtype=np.float32).reshape(8, 3), np.arange(8) % 2


class Reader(HTMLParser):
    """Reads tables, and sees that every tag is closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.outside = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data
        else:
            self.outside += data


def lines_of(model: fastnn.Model) -> list[str]:
    found: list[str] = []
    model.summary(print_fn=found.append)
    return found


def chain(*widths: int, **options: Any) -> fastnn.Sequential:
    inputs, *units = widths
    return fastnn.Sequential(
        [fastnn.Input((inputs,)), *(layers.Dense(width, "relu") for width in units)], seed=0, **options
    )


def graph() -> fastnn.Model:
    a, b = fastnn.Input((5,)), fastnn.Input((3,))
    h = layers.Concatenate()([a, b])
    return fastnn.Model([a, b], [layers.Dense(2)(h), layers.Dense(1)(h)], name="two")


@pytest.mark.parametrize(
    "model", [chain(64, 100, 10), graph(), fastnn.Sequential([layers.Dense(3, name="d")])]
)
def test_a_model_shows_its_summary(model: fastnn.Model) -> None:
    read = Reader(model._repr_html_())
    title, head, _, *rows = lines_of(model)
    foot = rows.pop() if rows[-1].startswith("parameters:") else ""
    assert read.outside == title + foot
    assert [re.sub(r"\s+", " ", " ".join(row)).strip() for row in read.rows] == [
        re.sub(r"\s+", " ", line).strip() for line in (head, *rows)
    ]


def test_names_are_escaped() -> None:
    layer = layers.Dense(2, name="a<b>&'c'")
    model = fastnn.Sequential([fastnn.Input((3,)), layer], name='<img src="x">')
    text = model._repr_html_()
    assert "<img" not in text
    read = Reader(text)
    assert read.tags == {"div", "table", "thead", "tbody", "tr", "th", "td"}
    assert read.rows[-1][0] == "a<b>&'c'"
    assert '<img src="x">' in read.outside


def test_the_middle_of_a_deep_model_is_left_out() -> None:
    model = chain(*[3] * 200)
    rows = Reader(model._repr_html_()).rows
    assert len(rows) == 62
    assert rows[31] == ["\N{HORIZONTAL ELLIPSIS} 140 more \N{HORIZONTAL ELLIPSIS}"]
    assert (rows[1][0], rows[-1][0]) == ("input", "dense_198")


def test_colours_are_those_of_the_page() -> None:
    for text in (chain(3, 1)._repr_html_(), table("a", ["b"], [["c"]])):
        assert set(re.findall(r"(?<!-)color: ([^;]+);", text)) == {"inherit"}
        assert set(re.findall(r"background: ([^;]+);", text)) == {"transparent"}
        assert "<style" not in text


def test_a_history_shows_its_numbers() -> None:
    history = History()
    history.extend(0, {"loss": [3.0, 1.0, float("nan"), 2.0], "a<b": [1, 1, 1, 1], "f1": [np.ones(2)] * 4})
    read = Reader(history._repr_html_())
    assert read.outside == "History of 4 epochs"
    assert read.rows == [
        ["", "first", "smallest", "largest", "last"],
        ["loss", "3", "1", "3", "2"],
        ["a<b", "1", "1", "1", "1"],
        ["f1", "", "", "", "array([1., 1.])"],
    ]


def test_a_history_without_numbers_shows_that() -> None:
    assert History()._repr_html_() == "History of 0 epochs"
    history = History()
    history.extend(0, {"loss": [float("nan")]})
    assert Reader(history._repr_html_()).rows[1] == ["loss", "nan", "nan", "nan", "nan"]


def test_what_fit_returns_is_shown() -> None:
    model = chain(3, 1)
    model.compile("sgd", "mse", metrics=["mae"])
    rows = Reader(model.fit(X, Y, epochs=2, verbose=0)._repr_html_()).rows
    assert [row[0] for row in rows] == ["", "loss", "mae"]


def test_estimators_have_the_diagram_of_scikit_learn() -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    net = fastnn.MLPClassifier((4,), alpha=0.125)
    text = net._repr_html_() if hasattr(net, "_repr_html_") else net._repr_mimebundle_()["text/html"]
    assert "MLPClassifier" in text
    assert "0.125" in text
    net.set_params(solver="lbfgs").fit(X, Y)
    fitted = net._repr_html_()
    assert "fitted" in fitted.lower()
