"""What `summary()` prints: inputs, layers, activations, connections and numbers, in columns that hold."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.model.summaries import summary


def cells(text: str) -> list[list[str]]:
    """Return the rows of the table, cut where the columns of its title begin."""
    _, title, rule, *rows = text.splitlines()
    assert set(rule) == {"-"}
    begins = [0] + [i for i in range(2, len(title)) if title[i - 2 : i] == "  " and title[i] != " "]
    ends = [*begins[1:], None]
    return [[row[a:b].strip() for a, b in zip(begins, ends, strict=True)] for row in rows]


def columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def test_a_chain_shows_its_input_and_its_activations() -> None:
    model = fastnn.Sequential(
        [
            fastnn.Input((784,), name="pixels"),
            layers.Dense(500, "relu", name="hidden", trainable=False),
            layers.Dense(10, layers.LeakyReLU(0.1)),
            layers.Maxout(4),
            layers.Dense(3),
            layers.Softmax(),
        ],
        name="digits",
    )
    text = summary(model)
    assert text.splitlines()[0] == "model 'digits', float32"
    assert text.splitlines()[1].split() == ["layer", "kind", "activation", "output", "shape", "parameters"]
    assert cells(text)[:-1] == [
        ["pixels", "Input", "", "(None, 784)", "0"],
        ["hidden", "Dense", "relu", "(None, 500)", "392,500"],
        ["dense", "Dense", "leaky_relu(0.1)", "(None, 10)", "5,010"],
        ["maxout", "Maxout", "", "(None, 4)", "88"],
        ["dense_1", "Dense", "linear", "(None, 3)", "15"],
        ["softmax", "Softmax", "softmax", "(None, 3)", "0"],
    ]
    assert text.splitlines()[-1] == "parameters: 397,613, trainable: 5,113, non-trainable: 392,500"


def test_connections_are_shown_where_the_row_above_is_not_what_a_layer_reads() -> None:
    x, z = fastnn.Input((4,), name="x"), fastnn.Input((4,), name="z")
    h = layers.Dense(4, "tanh", name="h")(x)
    out = layers.Dense(1, name="out")(layers.Add(name="sum")([z, h]))
    rows = cells(summary(fastnn.Model([x, z], out)))
    assert [[row[0], row[-1]] for row in rows[:-1]] == [
        ["x", ""],
        ["z", ""],
        ["h", "x"],
        ["sum", "z, h"],
        ["out", ""],
    ]


def test_a_model_without_a_width_shows_what_is_known() -> None:
    text = summary(fastnn.Sequential([layers.Dense(3, "relu"), layers.ReLU()]))
    assert cells(text) == [["-", "Dense", "relu", "?", "?"], ["-", "ReLU", "relu", "?", "?"]]


def test_many_connections_go_on_below() -> None:
    inputs = [fastnn.Input((2,), name=f"station_{number}") for number in range(12)]
    model = fastnn.Model(inputs, layers.Concatenate(name="all")(inputs))
    rows = cells(summary(model))[12:-1]
    assert len(rows) > 1
    assert [row[:-1] for row in rows[1:]] == [[""] * 5] * (len(rows) - 1)
    assert ", ".join(row[-1].rstrip(",") for row in rows) == ", ".join(f"station_{n}" for n in range(12))
    assert max(map(len, summary(model).splitlines())) < 120


@pytest.mark.parametrize("name", ["a" * 300, "\u5c64" * 9])
def test_wide_names_keep_the_columns(name: str) -> None:
    x = fastnn.Input((4,), name="x")
    h = layers.Dense(4, name=name)(x)
    model = fastnn.Model(x, layers.Add(name="sum")([x, h]))
    lines = [line for line in summary(model).splitlines() if "(None, 4)" in line]
    assert len({columns(line[: line.index("(None, 4)")]) for line in lines}) == 1
    assert max(map(columns, lines)) < 140
    assert name[:10] in summary(model)


def test_layers_that_are_shared_count_once() -> None:
    x, z = fastnn.Input((2,), name="x"), fastnn.Input((2,), name="z")
    shared = layers.Dense(2, name="d")
    model = fastnn.Model([x, z], layers.Add()([shared(x), shared(z)]))
    assert [row[4] for row in cells(summary(model))[:-1]] == ["0", "0", "6", "shared", "0"]
    assert sum(int(np.prod(w.shape)) for w in model.get_weights()) == 6
