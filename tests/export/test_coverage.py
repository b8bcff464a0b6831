"""Nothing that predicts is missing in the tests of export, and no rule there is for what never comes."""

from __future__ import annotations

from typing import Any

import pytest
from exported_cases import MODELS

from fastnn import layers
from fastnn.compiler.plan import Op
from fastnn.export import c, onnx
from fastnn.export.forward import forward_of
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
