"""Muon: the kernel against the reference, which parameters have which rule, files, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import DTYPES

import fastnn
from fastnn import layers, optimizers
from fastnn.compiler.plan import OpCode, Plan, Slot
from fastnn.compiler.verify import verify_plan
from fastnn.errors import ConfigurationError, DTypeError, PlanError
from fastnn.run.encoding import encode

RNG = np.random.default_rng(6)
SHAPES = [(1, 1), (1, 7), (7, 1), (5, 5), (3, 40), (40, 3), (65, 33), (20, 600), (600, 20)]


def one_kernel(shape: tuple[int, int], dtype: str, rule: Any, reference: bool = False) -> fastnn.Sequential:
    """Return a model that is a product, whose gradients are given by hand."""
    layer = layers.Dense(shape[1], use_bias=False)
    model = fastnn.Sequential([fastnn.Input(shape[:1]), layer], dtype=dtype, seed=0)
    model.compile(rule, "mse", reference=reference)
    return model


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"nesterov": False, "rms_rate": None},
        {"ns_steps": 0},
        {"ns_steps": 2, "muon_a": 1.5, "muon_b": -0.5},
    ],
    ids=["usual", "plain", "none", "other"],
)
def test_ten_steps_agree_with_the_reference(
    options: dict[str, Any], shape: tuple[int, int], dtype: str, simd_level: str
) -> None:
    rule = optimizers.Muon(0.01, **{"muon_c": 0.0} if "muon_a" in options else {}, **options)
    models = [one_kernel(shape, dtype, rule, reference) for reference in (False, True)]
    for _ in range(10):
        gradient = RNG.normal(0, 1, shape).astype(dtype)
        for model in models:
            model.apply_gradients([gradient])
    found, exact = (model.get_weights()[0] for model in models)
    assert np.abs(found - one_kernel(shape, dtype, rule).get_weights()[0]).max() > 1e-3
    near = 1e-10 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(found, exact, rtol=near, atol=near)


def test_singular_values_become_equal() -> None:
    """About 0.7 to 1.2; without momentum, scale and decay a step is the iteration itself."""
    rule = optimizers.Muon(1.0, momentum=0.0, weight_decay=None, rms_rate=None)
    for shape in ((30, 12), (12, 30)):
        model = one_kernel(shape, "float64", rule)
        before = model.get_weights()[0]
        gradient = RNG.normal(0, 1, shape) @ np.diag(np.linspace(0.2, 5.0, shape[1]))
        model.apply_gradients([gradient])
        step = before - model.get_weights()[0]
        values = np.linalg.svd(step, compute_uv=False)
        assert 0.6 < values.min() <= values.max() < 1.3
        left, _, right = np.linalg.svd(gradient, full_matrices=False)
        assert np.abs(step - left @ right).max() < 0.4


def test_a_gradient_of_zero_moves_nothing() -> None:
    model = one_kernel((4, 3), "float32", optimizers.Muon(0.1, weight_decay=None))
    before = model.get_weights()[0]
    model.apply_gradients([np.zeros((4, 3))])
    np.testing.assert_array_equal(model.get_weights()[0], before)


def rules_of(plan: Plan) -> dict[str, str]:
    updates = (OpCode.MUON, OpCode.ADAM, OpCode.ADAM_DENSE)
    return {op.layer: op.code.name for op in plan.ops if op.code in updates}


def mixed() -> list[Any]:
    hidden, out = layers.Dense(5, "tanh", name="hidden"), layers.Dense(2, name="out")
    return [
        fastnn.Input((3,), dtype="int32"),
        layers.Embedding(9, 4),
        layers.BatchNormalization(),
        hidden,
        out,
    ]


@pytest.mark.parametrize(
    ("options", "matrices"),
    [
        ({}, {"hidden/kernel", "out/kernel"}),
        ({"exclude_layers": ["out"]}, {"hidden/kernel"}),
        ({"exclude_layers": ["^o.t/k", "zzz"]}, {"hidden/kernel"}),
        ({"exclude_embeddings": False}, {"hidden/kernel", "out/kernel", "embedding/embeddings"}),
        ({"exclude_layers": [""]}, set()),
    ],
)
def test_matrices_have_one_rule_and_all_else_the_other(options: dict[str, Any], matrices: set[str]) -> None:
    model = fastnn.Sequential(mixed(), seed=0)
    model.compile(optimizers.Muon(**options), "mse")
    found = rules_of(model.plan(8))
    assert found.keys() == {p.name for p in model.graph.parameters if p.is_trained}
    assert {name for name, rule in found.items() if rule == "MUON"} == matrices
    x, y = RNG.integers(0, 9, (20, 3)), RNG.normal(0, 1, (20, 2))
    assert np.isfinite(model.fit(x, y, epochs=2, verbose=0).history["loss"]).all()


def test_without_matrices_it_is_adam() -> None:
    models = []
    for rule in (
        optimizers.Muon(0.01, exclude_layers=["dense"], adam_weight_decay=None),
        optimizers.Adam(0.01),
    ):
        models.append(fastnn.Sequential([fastnn.Input((3,)), layers.Dense(4), layers.Dense(1)], seed=1))
        models[-1].compile(rule, "mse")
        models[-1].fit(np.full((20, 3), 0.5), np.ones((20, 1)), epochs=2, verbose=0)
    for one, other in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
        assert one.tobytes() == other.tobytes()


def test_each_rule_has_a_decay_of_its_own() -> None:
    rule = optimizers.Muon(0.1, weight_decay=0.5, adam_weight_decay=0.25, exclude_layers=["out"])
    model = fastnn.Sequential(mixed(), seed=0)
    model.compile(rule, "mse")
    decays = {op.layer: op.constants[0] for op in model.plan(8).ops if op.code is OpCode.WEIGHT_DECAY}
    assert decays.pop("hidden/kernel") == 0.5
    assert set(decays.values()) == {0.25}
    rule.exclude_from_weight_decay(var_names=["kernel"])
    model.compile(rule, "mse")
    assert "hidden/kernel" not in {op.layer for op in model.plan(8).ops if op.code is OpCode.WEIGHT_DECAY}


@pytest.mark.parametrize("dtype", DTYPES)
def test_training_goes_on_from_a_file_bit_for_bit(tmp_path: Path, dtype: str) -> None:
    x, y = RNG.normal(0, 1, (50, 3)), RNG.normal(0, 1, (50, 2))
    rule = optimizers.Muon(0.01, exclude_layers=["out"], use_ema=True, clipnorm=1.0)

    def made() -> fastnn.Sequential:
        parts = [fastnn.Input((3,)), layers.Dense(6, "tanh"), layers.Dense(2, name="out")]
        model = fastnn.Sequential(parts, dtype=dtype, seed=4)
        model.compile(rule, "mse")
        return model

    whole, parts = made(), made()
    for model in (whole, parts):
        model.fit(x, y, epochs=3, batch_size=8, verbose=0, shuffle=False)
    parts.save(tmp_path / "a.safetensors")
    again = fastnn.load_model(tmp_path / "a.safetensors")
    assert again.optimizer.description == rule
    for model in (whole, again):
        model.fit(x, y, epochs=3, batch_size=8, verbose=0, shuffle=False)
    for one, other in zip(whole.get_weights(), again.get_weights(), strict=True):
        assert one.tobytes() == other.tobytes()


def test_large_products_keep_blas_to_one_thread() -> None:
    """However few the rows of a batch are."""
    small, large = (one_kernel((n, n), "float32", "muon").plan(1) for n in (8, 256))
    assert encode(large).first_guarded == 0
    assert encode(small).first_guarded > 1


def changed(plan: Plan, change: Callable[[Any], Any]) -> Plan:
    index = next(i for i, op in enumerate(plan.ops) if op.code is OpCode.MUON)
    return replace(plan, ops=(*plan.ops[:index], change(plan.ops[index]), *plan.ops[index + 1 :]))


def test_plans_with_impossible_numbers_or_memory_are_refused() -> None:
    plan = one_kernel((5, 7), "float32", "muon").plan(4)
    verify_plan(plan)
    for steps in (-1.0, 0.5, 101.0):
        with pytest.raises(PlanError, match=r"iterates .* times, needs 0 to 100"):
            verify_plan(
                changed(
                    plan, lambda op, n=steps: replace(op, constants=(*op.constants[:6], n, op.constants[7]))
                )
            )
    for field, value in (("columns", 16), ("rows", 4)):
        with pytest.raises(PlanError, match=r"needs|agree|cover"):
            verify_plan(
                changed(
                    plan,
                    lambda op, f=field, v=value: replace(
                        op, operands=(*op.operands[:3], replace(op.operands[3], **{f: v}))
                    ),
                )
            )
    memory = next(op for op in plan.ops if op.code is OpCode.MUON).need("s")
    with pytest.raises(PlanError, match="leaves its slot local"):
        verify_plan(replace(plan, sizes=(*plan.sizes[: Slot.LOCAL], memory.columns)))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"momentum": 1.0}, ConfigurationError, "momentum"),
        ({"adam_beta_1": -0.1}, ConfigurationError, "adam_beta_1"),
        ({"epsilon": 0.0}, ConfigurationError, "epsilon"),
        ({"ns_steps": -1}, ConfigurationError, "ns_steps"),
        ({"ns_steps": 101}, ConfigurationError, "ns_steps"),
        ({"ns_steps": 2.5}, DTypeError, "ns_steps"),
        ({"muon_a": float("nan")}, ConfigurationError, "muon_a"),
        ({"rms_rate": -1.0}, ConfigurationError, "rms_rate"),
        ({"adam_weight_decay": -1.0}, ConfigurationError, "adam_weight_decay"),
        ({"nesterov": 1}, DTypeError, "nesterov"),
        ({"exclude_layers": "dense"}, DTypeError, "exclude_layers must be a list of strings"),
        (
            {"exclude_layers": ["("]},
            ConfigurationError,
            "exclude_layers has '\\(', which is no regular expression",
        ),
        ({"adam_lr_ratio": "x"}, DTypeError, "adam_lr_ratio"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        optimizers.Muon(**options)


def test_it_shows_what_constructs_it() -> None:
    for rule in (
        optimizers.Muon(0.1, exclude_layers=["out"], rms_rate=None),
        optimizers.Muon(weight_decay=None, adam_weight_decay=None, nesterov=False),
        optimizers.Muon(),
        optimizers.AdamW(0.1),
    ):
        assert eval(repr(rule), vars(optimizers)) == rule
