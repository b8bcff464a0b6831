"""Nothing that predicts is missing in the tests of export, and no rule there is for what never comes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from exported_cases import MODELS
from exported_estimators import SETTINGS, fitted, rows

import fastnn
from fastnn import export, layers
from fastnn.compiler.plan import Op
from fastnn.errors import ConfigurationError
from fastnn.export import c, onnx
from fastnn.export.forward import forward_of
from fastnn.export.onnx_steps import STEPS
from fastnn.export.scalers import SCALERS
from fastnn.ops import Activation

MADE = {name: make("float32")[0] for name, make in MODELS.items()}
OPS: list[Op] = [op for model in MADE.values() for op in forward_of(model).ops]


def test_every_layer_is_exported() -> None:
    found = {type(layer).__name__ for model in MADE.values() for layer in model.layers}
    known = {name for name in layers.__all__ if isinstance(getattr(layers, name), type)}
    assert known - found == {"Layer"}


def test_every_activation_is_exported() -> None:
    assert {op.activation for op in OPS} == set(Activation)


@pytest.mark.parametrize("rules", [onnx._RULES, c._RULES], ids=["onnx", "c"])
def test_every_rule_is_needed(rules: dict[Any, Any]) -> None:
    assert {op.code for op in OPS} == set(rules)


def documented(column: int) -> set[str]:
    """Return the steps that the page says are there, in a column of its table."""
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|(.*)\|(.*)\|$", page, re.MULTILINE)
    return {row[0] for row in rows if row[column].strip() != "no"}


def test_the_page_names_the_steps_that_there_are(peer: Any) -> None:
    peer("sklearn")
    from fastnn import estimators

    everything = {name for name in estimators.__all__ if isinstance(getattr(estimators, name), type)}
    own = {name for name in everything if hasattr(getattr(estimators, name), "_exported")}
    assert everything - own == {"TabularClassifier", "TabularRegressor"}
    assert documented(1) == own | set(STEPS)
    assert documented(2) == documented(3) == own | {"Pipeline", *SCALERS}


@pytest.mark.parametrize("name", sorted(set(STEPS) - {"Pipeline", *SCALERS}))
def test_what_the_page_has_not_is_refused(peer: Any, tmp_path: Path, name: str) -> None:
    peer("sklearn")
    from sklearn import compose, impute, preprocessing
    from sklearn.pipeline import make_pipeline

    if name == "ColumnTransformer":
        step = compose.make_column_transformer((preprocessing.StandardScaler(), [0, 1]))
    else:
        step = getattr(impute if name == "SimpleImputer" else preprocessing, name)()
    X = rows().round()
    made = fitted(make_pipeline(step, fastnn.MLPRegressor(**SETTINGS)), X, X[:, 0])
    assert name not in documented(2) | documented(3)
    with pytest.raises(ConfigurationError, match=rf"\({name}\) has no counterpart here"):
        export.to_c(made, tmp_path)
    with pytest.raises(ConfigurationError, match=rf"\({name}\) has no counterpart here"):
        export.from_sklearn(made)


@pytest.mark.parametrize("name", ["TabularClassifier", "TabularRegressor"])
def test_estimators_that_the_page_has_not_are_refused(peer: Any, tmp_path: Path, name: str) -> None:
    peer("sklearn")
    X = rows().round()
    made = getattr(fastnn, name)(n_epochs=1).fit(X, X[:, 0] > 0)
    assert name not in documented(1) | documented(2) | documented(3)
    for export_it in (
        lambda: export.to_onnx(made, tmp_path / "net.onnx"),
        lambda: export.to_c(made, tmp_path),
        lambda: export.from_sklearn(made),
    ):
        with pytest.raises(ConfigurationError, match=name):
            export_it()
    assert not list(tmp_path.iterdir())
