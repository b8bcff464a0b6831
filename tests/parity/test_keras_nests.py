"""Losses, their weights and metrics in dicts, lists and tuples, against Keras's."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn.errors import ConfigurationError, DTypeError, ShapeError

RNG = np.random.default_rng(0)
X = RNG.standard_normal((8, 3)).astype("float32")
TARGETS = RNG.random((4, 8, 1)).astype("float32")
WEIGHTS = [RNG.standard_normal(shape).astype("float32") for shape in [(3, 1), (1,)] * 4]
DEEP = {"a": ("mse", "mae"), "b": {"c": "mse"}, "d": "mae"}


def ends(shape: str, o: Any) -> Any:
    """Return four things in a nest."""
    return {
        "deep": {"a": (o[0], o[1]), "b": {"c": o[2]}, "d": o[3]},
        "flat": [*o],
        "dict": {"p": o[0], "q": o[1], "r": o[2], "s": o[3]},
        "list": [o[0], [o[1], o[2], o[3]]],
        "tuple": ((o[0], o[1]), (o[2], o[3])),
    }[shape]


def net(k: Any, shape: str) -> Any:
    x = k.Input((3,), name="x")
    model = k.Model(x, ends(shape, [k.layers.Dense(1, name=f"d{i}")(x) for i in range(4)]))
    model.set_weights(WEIGHTS)
    return model


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "nested": ("deep", {"loss": DEEP}),
    "None within": ("deep", {"loss": {"a": ("mse", None), "b": {"c": "mse"}}}),
    "nested weights": ("deep", {"loss": DEEP, "loss_weights": {"a": (0.5, 0.2), "b": {"c": 0.3}, "d": 2.0}}),
    "weights in a row": ("deep", {"loss": DEEP, "loss_weights": [0.5, 0.2, 0.3, 2.0]}),
    "losses in a row": ("deep", {"loss": ["mse", "mae", "mse", "mae"]}),
    "lists of one": ("flat", {"loss": [["mse"], ["mae"]] * 2, "loss_weights": [[0.5], [0.1]] * 2}),
    "one loss": ("flat", {"loss": ["mse", None, None, None]}),
    "weights of None": (
        "flat",
        {"loss": ["mse", None, "mse", None], "loss_weights": [0.5, None, 0.1, None]},
    ),
    "one loss in a dict": ("dict", {"loss": {"q": "mse"}}),
    "one loss and weight": ("dict", {"loss": {"q": "mse"}, "loss_weights": {"q": 0.5}}),
    "lists in dicts": (
        "dict",
        {"loss": {"p": ["mae"], "q": ["mse"]}, "loss_weights": {"p": [0.2], "q": [0.5]}},
    ),
    "None in dicts": (
        "dict",
        {"loss": {"p": None, "q": "mse", "r": "mae"}, "loss_weights": {"p": None, "q": 0.5, "r": 2.0}},
    ),
    "metrics of one loss": (
        "dict",
        {"loss": {"q": ["mse"]}, "metrics": {"q": ["mse", "mae"]}, "weighted_metrics": {"q": ["mse"]}},
    ),
}
# In these Keras has the names of layers before those of metrics, or numbers of places.
NAMED_OTHERWISE: dict[str, tuple[str, dict[str, Any]]] = {
    "nested metrics": (
        "deep",
        {"loss": "mse", "metrics": {"a": (["mae"], ["mse"]), "b": {"c": ["mae"]}, "d": ["mae", "mse"]}},
    ),
    "metrics without lists": (
        "deep",
        {"loss": DEEP, "metrics": {"a": ("mae", None), "b": {"c": "mae"}, "d": None}},
    ),
    "weighted metrics": (
        "deep",
        {"loss": DEEP, "metrics": DEEP, "weighted_metrics": DEEP},
    ),
    "a list in a list": (
        "list",
        {
            "loss": ["mse", ["mae", "mse", "mae"]],
            "loss_weights": [1.0, [0.5, 0.1, 2.0]],
            "metrics": ["mae", ["mse", "mae", "mse"]],
        },
    ),
    "tuples": (
        "tuple",
        {
            "loss": (("mse", "mae"), ("mse", "mae")),
            "loss_weights": ((1.0, 0.5), (0.1, 2.0)),
            "metrics": (("mae", "mse"), ("mse", "mae")),
        },
    ),
}


def histories(keras: Any, shape: str, compiled: dict[str, Any]) -> list[dict[str, list[float]]]:
    found = []
    for k in (fastnn, keras):
        model = net(k, shape)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.compile("sgd", **compiled)
            options = {"epochs": 10, "batch_size": 4, "shuffle": False, "verbose": 0}
            found.append(model.fit(X, ends(shape, TARGETS), **options).history)
    return found


@pytest.mark.parametrize("case", CASES)
def test_nests_are_those_of_keras(case: str, keras: Any) -> None:
    ours, theirs = histories(keras, *CASES[case])
    assert ours.keys() == theirs.keys()
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", NAMED_OTHERWISE)
def test_nests_have_the_values_of_keras(case: str, keras: Any) -> None:
    ours, theirs = histories(keras, *NAMED_OTHERWISE[case])
    assert len(ours) == len(theirs)
    np.testing.assert_allclose(ours["loss"], theirs["loss"], rtol=1e-5)
    np.testing.assert_allclose(sorted(ours.values()), sorted(theirs.values()), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", [*CASES, *NAMED_OTHERWISE])
def test_a_file_has_them(case: str, tmp_path: Any) -> None:
    shape, compiled = (CASES | NAMED_OTHERWISE)[case]
    model = net(fastnn, shape)
    model.compile("sgd", **compiled)
    model.save(tmp_path / "model")
    again = fastnn.load_model(tmp_path / "model")
    y = ends(shape, TARGETS)
    assert again.evaluate(X, y, return_dict=True) == model.evaluate(X, y, return_dict=True)


@pytest.mark.parametrize(
    ("shape", "compiled", "error", "message"),
    [
        ("deep", {"loss": {"a": ("mse", "mae", "mse"), "d": "mse"}}, DTypeError, "a loss is a name"),
        ("deep", {"loss": {"e": "mse"}}, ShapeError, r"loss must have the keys \['a/d0', .*, got \['e'\]"),
        (
            "list",
            {"loss": ["mse", ["mae", "mse"]]},
            ShapeError,
            "loss must be a list with one entry for each",
        ),
        ("flat", {"loss": "mse", "loss_weights": [1.0, 2.0]}, ShapeError, "loss_weights must be a list"),
        (
            "flat",
            {"loss": "mse", "loss_weights": [[1.0, "x"], 2.0]},
            DTypeError,
            "a loss weight must be a num",
        ),
        (
            "dict",
            {"loss": {"p": "mse", "q": "mse"}, "loss_weights": {"p": 1.0}},
            ShapeError,
            "loss_weights must",
        ),
        ("deep", {"loss": "mse", "metrics": {"a": {"x": "mae"}}}, ConfigurationError, "metrics has the key"),
        ("list", {"loss": "mse", "metrics": ["mae", ["mse"]]}, ConfigurationError, "metrics must be a list"),
    ],
)
def test_nests_that_do_not_suit(
    shape: str, compiled: dict[str, Any], error: type[Exception], message: str
) -> None:
    model = net(fastnn, shape)
    with pytest.raises(error, match=message):
        model.compile("sgd", **compiled)
