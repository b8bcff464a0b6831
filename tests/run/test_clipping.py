"""Clipped gradients: numbers, norms of parameters, and the norm of all, which updates wait for."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import DTYPES, NETS, Case, agree, same_bits

import fastnn
from fastnn import layers, losses, optimizers, saving
from fastnn.compiler import paths, schedule
from fastnn.compiler.pipeline import compile_plan
from fastnn.compiler.plan import KEPT_SLOTS, Axis, Clip, Op, OpCode, Phase, Plan, Slot
from fastnn.compiler.verify import verify_plan
from fastnn.errors import ConfigurationError, DTypeError, PlanError
from fastnn.run.encoding import encode
from fastnn.run.program import Program
from fastnn.run.reference import ReferenceProgram

RULES: dict[str, optimizers.Optimizer] = {
    "sgd": optimizers.SGD(0.1),
    "momentum": optimizers.SGD(0.05, momentum=0.9),
    "nesterov": optimizers.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adam": optimizers.Adam(0.01, epsilon=1e-2),
    "adamw": optimizers.AdamW(0.01, 0.1, epsilon=1e-2),
    "rmsprop": optimizers.RMSprop(optimizers.schedules.ExponentialDecay(0.01, 3, 0.5), epsilon=1e-2),
    "adagrad": optimizers.Adagrad(0.05),
}
CLIPS = ({"global_clipnorm": 0.3}, {"clipnorm": 0.2}, {"clipvalue": 0.05})
SQUARES, SCALE, CLIP = OpCode.GRADIENT_SQUARES, OpCode.SCALE_GRADIENT, OpCode.CLIP_GRADIENT


@pytest.fixture
def case(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Case]:
    """Return what makes a case whose optimizer clips."""

    def make(rule: str, clip: dict[str, float], **options: Any) -> Case:
        monkeypatch.setitem(Case.run.__globals__["OPTIMIZERS"], "chosen", replace(RULES[rule], **clip))
        return Case(options.pop("loss", "mse"), "chosen", **options)

    return make


# -- what is computed


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: next(iter(clip)))
@pytest.mark.parametrize("rule", RULES)
def test_training_agrees_with_the_reference(
    case: Callable[..., Case], rule: str, clip: dict[str, float], dtype: str, simd_level: str,
    tolerances: dict[str, float],
) -> None:  # fmt: skip
    clipped = case(rule, clip, dtype=dtype, weighted=True)
    found, exact = clipped.run(Program)[1], clipped.run(ReferenceProgram)[1]
    agree(found, exact, 1e-12 if dtype == "float64" else tolerances["trained float32"])
    free = case(rule, {}, dtype=dtype, weighted=True)
    assert np.abs(free.run(Program)[1]["parameters"] - found["parameters"]).max() > 1e-3


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: next(iter(clip)))
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("net", NETS)
def test_graphs_agree_with_the_reference(
    case: Callable[..., Case], net: str, fused: bool, clip: dict[str, float]
) -> None:
    clipped = case("adam", clip, net=net, fused=fused)
    agree(clipped.run(Program)[1], clipped.run(ReferenceProgram)[1], 1e-12)


@pytest.mark.parametrize("widths", [(1, 1), (3, 2, 1), (6, 5, 3)])
@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: next(iter(clip)))
@pytest.mark.parametrize("dtype", DTYPES)
def test_nets_of_few_features_agree_with_the_reference(
    case: Callable[..., Case], dtype: str, clip: dict[str, float], widths: tuple[int, ...], simd_level: str,
    tolerances: dict[str, float],
) -> None:  # fmt: skip
    clipped = case("sgd", clip, dtype=dtype, widths=widths, rows=70, batch=64, simd=simd_level)
    agree(clipped.run(Program)[1], clipped.run(ReferenceProgram)[1], tolerances[f"trained {dtype}"])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: next(iter(clip)))
@pytest.mark.parametrize("rule", ["sgd", "adam"])
def test_every_number_of_threads_gives_the_same_bits(
    case: Callable[..., Case], rule: str, clip: dict[str, float], dtype: str, tolerances: dict[str, float]
) -> None:
    clipped = case(rule, clip, dtype=dtype, rows=150, batch=64, widths=(300, 400, 260))
    plan = clipped.plan
    assert max(len(phase.tasks) for phase in plan.phases) > 4
    one = clipped.run(Program, plan, n_threads=1)[1]
    for n_threads in (2, 4):
        same_bits(clipped.run(Program, plan, n_threads=n_threads)[1], one)
    same_bits(clipped.run(Program, plan, nanoseconds=np.zeros(len(plan.ops), np.int64))[1], one)
    agree(one, clipped.run(ReferenceProgram, plan)[1], 100 * tolerances[f"trained {dtype}"])


def two_outputs(**options: Any) -> fastnn.Model:
    """Return a net of two outputs that uses a layer twice and normalises."""
    x = fastnn.Input((4,))
    shared = layers.Dense(4, "tanh", kernel_regularizer="l2")
    h = shared(layers.BatchNormalization()(shared(x)))
    frozen = layers.Dense(3, trainable=False)(h)
    return fastnn.Model(x, [layers.Dense(2, name="a")(h), layers.Dense(1, name="b")(frozen)], **options)


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: next(iter(clip)))
def test_a_step_is_that_of_the_clipped_gradients(clip: dict[str, float]) -> None:
    model = two_outputs(seed=0, dtype="float64")
    model.compile(optimizers.SGD(0.5, **clip), ["mse", "mae"])
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, (12, 4)), [rng.normal(0, 1, (12, 2)), rng.normal(0, 1, (12, 1))]
    before = dict(zip(names(model), model.get_weights(), strict=True))
    _, gradients = model.loss_and_gradients(x, y)
    model.train_on_batch(x, y)
    after = dict(zip(names(model), model.get_weights(), strict=True))
    (name, limit), = clip.items()  # fmt: skip
    norm = math.sqrt(sum(float((g**2).sum()) for g in gradients.values()))
    assert norm > limit
    assert len(gradients) == 8
    for parameter, g in gradients.items():
        if name == "clipvalue":
            g = np.clip(g, -limit, limit)
        else:
            g = g * min(1.0, limit / (norm if name == "global_clipnorm" else float(np.linalg.norm(g))))
        np.testing.assert_allclose(after[parameter], before[parameter] - 0.5 * g, rtol=0, atol=1e-14)


def names(model: fastnn.Model) -> list[str]:
    return [p.name for p in model.graph.parameters]


@pytest.mark.parametrize("clip", [{"global_clipnorm": 1e9}, {"clipnorm": 1e9}, {"clipvalue": 1e9}])
@pytest.mark.parametrize("rule", RULES)
def test_a_limit_that_is_not_reached_changes_no_bit_but_of_fusion(
    case: Callable[..., Case], rule: str, clip: dict[str, float]
) -> None:
    far, free = (case(rule, c, fused=False).run(Program)[1] for c in (clip, {}))
    for name in ("parameters", "state"):
        np.testing.assert_array_equal(far[name], free[name])


def test_gradients_of_nothing_stay_nothing() -> None:
    model = fastnn.Sequential([fastnn.Input((2,)), layers.Dense(1)], seed=0)
    model.compile(optimizers.SGD(0.1, global_clipnorm=1.0), "mse")
    x = np.zeros((4, 2), np.float32)
    before = model.get_weights()
    model.fit(x, model.predict(x), epochs=3, verbose=0)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", [Program, ReferenceProgram])
@pytest.mark.parametrize("clip", [{"global_clipnorm": 1.0}, {"clipnorm": 1.0}])
def test_a_norm_that_is_not_finite_leaves_no_number(
    clip: dict[str, float], kind: type[Program] | type[ReferenceProgram]
) -> None:
    graph = fastnn.Sequential([fastnn.Input((2,)), layers.Dense(1, use_bias=False)], seed=0).graph
    plan = compile_plan(
        graph,
        "train",
        capacity=2,
        losses=(losses.MeanSquaredError(),),
        optimizer=optimizers.SGD(0.1, **clip),
    )
    parameters = np.zeros(plan.sizes[Slot.PARAMETERS])
    program = kind(plan, parameters.dtype, parameters)
    arrays = {"x": np.array([[1e200, 1.0], [0.0, 1.0]]), "y": np.ones((2, 1))}
    with np.errstate(over="ignore", invalid="ignore"):
        result = program.run(arrays, 2, 2, scalars=lambda *_: np.full((1, 1), 0.1))
    assert result.finite  # the loss was
    assert np.isnan(parameters[:2]).all()


def test_training_comes_back_from_a_norm_that_is_not_finite() -> None:
    model = fastnn.Sequential([fastnn.Input((1,)), layers.Dense(1)], seed=0, dtype="float64")
    model.compile(optimizers.SGD(0.1, global_clipnorm=1.0), "mse")
    model.set_weights([np.zeros((1, 1)), np.zeros(1)])
    with pytest.warns(fastnn.errors.NonFiniteWarning):
        model.fit(np.full((1, 1), 1e200), np.ones((1, 1)), epochs=2, verbose=0)
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_norms_are_no_metrics() -> None:
    model = two_outputs(seed=0)
    model.compile(optimizers.Adam(clipnorm=0.1), ["mse", "mse"], metrics=[["mae"], []])
    x, y = np.ones((6, 4), np.float32), [np.ones((6, 2), np.float32), np.ones((6, 1), np.float32)]
    history = model.fit(x, y, epochs=2, verbose=0).history
    assert set(history) == {"loss", "a_loss", "b_loss", "a_mae"}
    assert set(model.train_on_batch(x, y, return_dict=True)) == set(history)
    assert model.profile(x, y).steps > 0


# -- the plan


def plan_of(optimizer: optimizers.Optimizer, *, wide: bool = False, **options: Any) -> Plan:
    units = 512 if wide else 7
    chained = [
        fastnn.Input((units,)),
        layers.Dense(units, "tanh", kernel_regularizer="l2"),
        layers.BatchNormalization(),
        layers.Dense(3),
    ]
    options = {"capacity": 64, "losses": (losses.MeanSquaredError(),), "gather": True} | options
    return compile_plan(fastnn.Sequential(chained, seed=0).graph, "train", optimizer=optimizer, **options)


def ops_of(plan: Plan, phase: Phase) -> list[Op]:
    return [plan.ops[i] for i in sorted({i for t in phase.tasks for i in range(t.first, t.last)})]


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("clip", CLIPS[:2], ids=lambda clip: next(iter(clip)))
def test_updates_wait_for_all_gradients(clip: dict[str, float], wide: bool) -> None:
    plan = plan_of(optimizers.Adam(**clip), wide=wide, simd="v4")
    *_, gradients, updates = plan.phases
    assert (gradients.axis, updates.axis) == (Axis.PARAMETER, Axis.PARAMETER)
    assert [phase.updates for phase in plan.phases[-2:]] == [False, True]
    assert all(phase.axis is not Axis.PARAMETER for phase in plan.phases[:-2])
    before, after = ops_of(plan, gradients), ops_of(plan, updates)
    assert {op.code for op in after} == {SCALE, OpCode.ADAM, OpCode.MOVING_AVERAGE}
    assert sum(op.code is SQUARES for op in before) == sum(op.code is SCALE for op in after) == 6
    assert not {operand.slot for op in before for operand in op.outputs()} & KEPT_SLOTS
    assert encode(plan).first_update == len(plan.phases) - 1
    assert len(plan.clips) == (1 if "global_clipnorm" in clip else 6)
    # Large parameters are cut in both, each by what it costs there.
    tiles = [[t for t in p.tasks if plan.ops[t.first].layer == "dense/kernel"] for p in (gradients, updates)]
    assert all(len(cut) == (2 if wide else 1) for cut in tiles)


def test_what_is_printed_shows_the_place_between() -> None:
    lines = str(plan_of(optimizers.Adam(global_clipnorm=0.5))).splitlines()
    place = lines.index("then min(1, 0.5 / norm) of squares of gradients")
    assert lines[place + 1] == "phase along parameters, 8 tiles, updates"
    assert sum(line.startswith("phase along parameters") for line in lines) == 2
    assert not any("scale_gradient" in line for line in lines[:place])
    assert not any("gradient_squares" in line for line in lines[place:])
    assert not [line for line in str(plan_of(optimizers.Adam())).splitlines() if line.startswith("then")]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("wide", [False, True])
def test_who_does_not_clip_has_the_plan_as_ever(rule: str, wide: bool) -> None:
    """One phase of gradients and updates, with products and updates fused as they were."""
    plan = plan_of(RULES[rule], wide=wide, simd="v4")
    assert sum(phase.axis is Axis.PARAMETER for phase in plan.phases) == 1
    assert plan.clips == ()
    assert plan.sizes[Slot.GRADIENTS] == 0
    assert not {SQUARES, SCALE, CLIP} & {op.code for op in plan.ops}
    fused = {"sgd": OpCode.SGD_DENSE, "adam": OpCode.ADAM_DENSE if wide else OpCode.WEIGHT_GRADIENT}
    assert fused.get(rule, OpCode.WEIGHT_GRADIENT) in {op.code for op in plan.ops}
    # Where numbers are clipped, nothing waits, and what is added stands between gradient and update.
    clipped = plan_of(replace(RULES[rule], clipvalue=1.0), wide=wide, simd="v4", fused=False)
    free = plan_of(RULES[rule], wide=wide, simd="v4", fused=False)
    kept = tuple(op for op in clipped.ops if op.code is not CLIP)
    assert [(op.code, op.layer) for op in kept] == [(op.code, op.layer) for op in free.ops]
    assert (clipped.sizes, len(clipped.phases)) == (free.sizes, len(free.phases))


def test_joined_updates_are_left_to_those_who_do_not_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LEAST_JOINED_ROWS", "LEAST_JOINED_COLUMNS", "LEAST_JOINED_WEIGHTS"):
        monkeypatch.setattr(paths, name, 1)
    for clip in CLIPS:
        codes = {op.code for op in plan_of(optimizers.Adam(**clip), simd="v4").ops}
        assert {OpCode.WEIGHT_GRADIENT, OpCode.ADAM} <= codes
        assert OpCode.ADAM_DENSE not in codes


def test_sizes_alone_cut_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in vars(schedule):
        if name.startswith(("MINIMUM_", "PREFERRED_")):
            monkeypatch.setattr(schedule, name, 1)
    for units in (False, True):
        plan = plan_of(optimizers.Adam(global_clipnorm=0.5), wide=units)
        verify_plan(plan)
        assert len([t for t in plan.phases[-1].tasks if t.end - t.begin > 1 or t.begin]) > 3


P = plan_of(optimizers.Adam(global_clipnorm=0.5))


def find(code: OpCode) -> int:
    return next(i for i, op in enumerate(P.ops) if op.code is code)


def with_op(index: int, **changes: Any) -> Plan:
    return replace(P, ops=(*P.ops[:index], replace(P.ops[index], **changes), *P.ops[index + 1 :]))


def with_clip(**changes: Any) -> Plan:
    return replace(P, clips=(replace(P.clips[0], **changes),))


def with_updates(number: int, updates: bool) -> Plan:
    phases = list(P.phases)
    phases[number] = replace(phases[number], updates=updates)
    return replace(P, phases=tuple(phases))


def read_too_early() -> Plan:
    """The factor is applied to a gradient in the phase that adds up the squares."""
    squares, scale = P.ops[find(SQUARES)], P.ops[find(SCALE)]
    return with_op(
        find(SQUARES), code=SCALE, operands=squares.operands, accumulator=-1, scalars=scale.scalars
    )


def squares_in_updates() -> Plan:
    return with_op(find(SCALE), code=SQUARES, accumulator=P.clips[0].accumulator, scalars=())


def penalty_among_squares() -> Plan:
    return with_op(find(OpCode.L2_PENALTY), accumulator=P.clips[0].accumulator)


def no_squares() -> Plan:
    penalty = P.ops[find(OpCode.L2_PENALTY)].accumulator
    squares = tuple(replace(op, accumulator=penalty) if op.code is SQUARES else op for op in P.ops)
    return replace(P, ops=squares)


RATE = P.ops[find(OpCode.ADAM)].scalars[0]
DEFECTS: dict[str, tuple[Callable[[], Plan], str]] = {
    "factor before its norm": (
        read_too_early,
        r"op \d+ \(SCALE_GRADIENT of '(\S+)'\) reads the factor of 'd\(\1\)', scalar 1, in a phase that "
        "updates nothing, before that is made",
    ),
    "updates that update nothing": (
        lambda: with_updates(-1, False),
        r"(MOVING_AVERAGE|ADAM) of .* in a phase that updates nothing|reads the factor of",
    ),
    "gradients that update": (
        lambda: with_updates(-2, True),
        r"\(GRADIENT_SQUARES of '.*'\) is in a phase that updates",
    ),
    "squares among updates": (squares_in_updates, r"\(GRADIENT_SQUARES of '.*'\) is in a phase that updates"),
    "phases in turn": (
        lambda: replace(P, phases=(*P.phases[:-2], P.phases[-1], P.phases[-2])),
        "a phase that updates nothing comes after one that updates",
    ),
    "penalty among squares": (penalty_among_squares, "L2_PENALTY of .* adds to 'squares of gradients', of"),
    "no squares": (no_squares, "nothing adds to 'squares of gradients', of which a factor is made"),
    "rate for a factor": (
        lambda: with_op(find(SCALE), scalars=(RATE,)),
        r"\(SCALE_GRADIENT of .*\) reads scalar 0 as 'clip_factor'; the plan has \('corrected_rate', 'clip_f",
    ),
    "factor for a rate": (
        lambda: with_op(find(OpCode.ADAM), scalars=(1,)),
        r"\(ADAM of .*\) reads scalar 1 as 'corrected_rate'",
    ),
    "factor that nobody makes": (lambda: replace(P, clips=()), "reads scalar 1 as 'clip_factor'"),
    "factor beyond": (lambda: with_op(find(SCALE), scalars=(2,)), "reads scalar 2 as 'clip_factor'"),
    "clip of what": (lambda: with_clip(accumulator=9), "clip 0 is made of accumulator 9, which does not"),
    "clip of True": (lambda: with_clip(accumulator=True), "clip 0 is made of accumulator True"),
    "limit 0": (lambda: with_clip(limit=0.0), "clip 0 has the limit 0.0, needs a finite number above 0"),
    "limit NaN": (lambda: with_clip(limit=math.nan), "clip 0 has the limit nan, needs a finite number"),
    "limit None": (lambda: with_clip(limit=None), "clip 0 has the limit None, needs a finite number"),
    "no clips": (lambda: replace(P, clips=None), "the clips are None, need to be a tuple of Clip"),
    "clip None": (lambda: replace(P, clips=(None,)), "need to be a tuple of Clip"),
    "wide norm": (
        lambda: replace(P, accumulators=(*P.accumulators[:-1], replace(P.accumulators[-1], width=2))),
        "clip 0 is made of 2 sums, needs one|adds 1 sums to 2",
    ),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_plans_that_would_clip_by_something_else_are_refused(defect: str) -> None:
    verify_plan(P)
    corrupt, message = DEFECTS[defect]
    with pytest.raises(PlanError, match=message):
        verify_plan(corrupt())


def test_a_clip_is_a_value() -> None:
    assert P.clips == (Clip(len(P.accumulators) - 1, 0.5),)
    assert hash(P) == hash(plan_of(optimizers.Adam(global_clipnorm=0.5)))


# -- what users write


KINDS = (optimizers.SGD, optimizers.Adam, optimizers.AdamW, optimizers.RMSprop, optimizers.Adagrad)


@pytest.mark.parametrize("cls", KINDS)
@pytest.mark.parametrize("name", ["clipnorm", "clipvalue", "global_clipnorm"])
def test_limits_are_part_of_the_description(cls: type[optimizers.Optimizer], name: str) -> None:
    made = cls(**{name: 2})
    assert getattr(made, name) == 2.0
    assert f"{name}=2.0" in repr(made)
    assert made.get_config()[name] == 2.0
    assert cls.from_config(made.get_config()) == made != cls()
    assert name not in repr(cls())
    assert inspect.signature(cls).parameters[name].default is None
    for bad in (0, -1.0, math.nan, math.inf):
        with pytest.raises(ConfigurationError, match=rf"{name} must be a finite number above 0"):
            cls(**{name: bad})
    for bad in (True, "1", [1.0]):
        with pytest.raises(DTypeError, match=f"{name} must be a number"):
            cls(**{name: bad})


def test_there_is_one_way_to_clip() -> None:
    with pytest.raises(ConfigurationError, match="keep clipnorm, and drop global_clipnorm, or the other way"):
        optimizers.SGD(clipnorm=1.0, global_clipnorm=1.0)
    with pytest.raises(ValueError, match="keep clipnorm, and drop clipvalue and global_clipnorm"):
        optimizers.Adam(clipnorm=1.0, clipvalue=1.0, global_clipnorm=1.0)


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: next(iter(clip)))
def test_training_goes_on_from_a_file(clip: dict[str, float], tmp_path: Path) -> None:
    def net() -> fastnn.Sequential:
        made = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(1)], seed=0)
        made.compile(optimizers.Adam(0.01, **clip), "mse")
        return made

    x = np.random.default_rng(0).normal(0, 1, (24, 3))
    y = x.sum(1, keepdims=True)
    whole, first = net(), net()
    whole.fit(x, y, batch_size=7, epochs=4, verbose=0)
    first.fit(x, y, batch_size=7, epochs=2, verbose=0)
    first.save(tmp_path / "model.fastnn")
    again = saving.load_model(tmp_path / "model.fastnn")
    again.fit(x, y, batch_size=7, epochs=2, verbose=0)
    assert again.optimizer.description == first.optimizer.description
    for one, other in zip(whole.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
