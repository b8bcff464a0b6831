"""Update rules, sums of gradients and averages of weights against the float64 reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cases import DTYPES, Case, agree, pairwise, same_bits

import fastnn
from fastnn import layers, optimizers
from fastnn.compiler.plan import OpCode
from fastnn.compiler.verify import verify_plan
from fastnn.errors import ConfigurationError, DTypeError, NonFiniteWarning, PlanError
from fastnn.run.program import Program
from fastnn.run.reference import ReferenceProgram
from fastnn.update_ops import UPDATES

# Large epsilons: with small ones, rules make full steps of what is rounded where gradients are 0.
RULES: dict[str, optimizers.Optimizer] = {
    "sgd": optimizers.SGD(0.1),
    "amsgrad": optimizers.Adam(0.01, beta_2=0.8, epsilon=1e-2, amsgrad=True),
    "rmsprop moving": optimizers.RMSprop(0.01, momentum=0.8, epsilon=1e-2),
    "rmsprop centred": optimizers.RMSprop(0.01, epsilon=1e-2, centered=True),
    "rmsprop both": optimizers.RMSprop(0.01, momentum=0.8, epsilon=1e-2, centered=True),
    "adadelta": optimizers.Adadelta(1.0, epsilon=1e-2),
    "adamax": optimizers.Adamax(0.01, epsilon=1e-1),
    "nadam": optimizers.Nadam(0.01, epsilon=1e-2),
    "ftrl": optimizers.Ftrl(0.1, beta=1.0),
    "ftrl all": optimizers.Ftrl(
        0.1,
        learning_rate_power=-0.3,
        l1_regularization_strength=0.01,
        l2_regularization_strength=0.02,
        l2_shrinkage_regularization_strength=0.1,
        beta=1.0,
    ),
    "lion": optimizers.Lion(0.01),
    "lamb": optimizers.Lamb(0.01, epsilon=1e-2),
    "muon": optimizers.Muon(0.01, epsilon=1e-2, exclude_layers=["dense_1"]),
    "muon plain": optimizers.Muon(
        0.02, epsilon=1e-2, nesterov=False, rms_rate=None, ns_steps=2, weight_decay=None, adam_lr_ratio=0.5
    ),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "sums": {"gradient_accumulation_steps": 3},
    "clipped sums": {"gradient_accumulation_steps": 2, "global_clipnorm": 0.1, "weight_decay": 0.1},
    "clipped numbers": {"gradient_accumulation_steps": 3, "clipvalue": 0.01, "use_ema": True},
    "averages": {"use_ema": True, "ema_momentum": 0.7, "ema_overwrite_frequency": 3},
    "layers": {
        "weight_decay": 0.2,
        "learning_rate_multipliers": {"dense": 0.5, "dense_1/bias": 3.0, "dense_1": 0.0},
        "undecayed": ("dense_1",),
        "undecayed_patterns": ("bias",),
    },
}


@pytest.fixture
def case(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Case]:
    """Return what makes a case of a rule with options."""

    def make(rule: str, option: str = "plain", **options: Any) -> Case:
        chosen = replace(RULES[rule], **OPTIONS[option])
        monkeypatch.setitem(Case.run.__globals__["OPTIMIZERS"], "chosen", chosen)
        return Case("mse", "chosen", **options)

    return make


@pytest.mark.parametrize(
    ("rule", "option", "dtype", "net", "fused"),
    pairwise(RULES, OPTIONS, DTYPES, ["", "normalized", "limited"], [True, False]),
)
def test_training_agrees_with_the_reference(
    case: Callable[..., Case], rule: str, option: str, dtype: str, net: str, fused: bool, simd_level: str,
    tolerances: dict[str, float],
) -> None:  # fmt: skip
    if rule in ("lamb", "lion") and net == "normalized":
        net = ""  # a bias before a normalisation has no gradient, and steps for it are what is rounded
    chosen = case(rule, option, dtype=dtype, net=net, fused=fused, epochs=3)
    found, exact = chosen.run(Program)[1], chosen.run(ReferenceProgram)[1]
    agree(found, exact, 1e-11 if dtype == "float64" else 10 * tolerances["trained float32"])


def test_every_op_of_updates_is_among_them(case: Callable[..., Case]) -> None:
    options = [*((rule, "plain") for rule in RULES), *(("sgd", option) for option in OPTIONS)]
    found = {op.code.name for rule, option in options for op in case(rule, option, net="limited").plan.ops}
    assert found >= UPDATES.keys()


@pytest.mark.parametrize(
    ("rule", "option", "dtype"), pairwise(["sgd", "lamb", "muon", "nadam", "ftrl"], OPTIONS, DTYPES)
)
def test_every_number_of_threads_gives_the_same_bits(
    case: Callable[..., Case], rule: str, option: str, dtype: str
) -> None:
    chosen = case(rule, option, dtype=dtype, rows=150, batch=64, widths=(200, 300, 200, 4))
    plan = chosen.plan
    assert max(len(phase.tasks) for phase in plan.phases) > 4
    one = chosen.run(Program, plan, n_threads=1)[1]
    for n_threads in (2, 4):
        same_bits(chosen.run(Program, plan, n_threads=n_threads)[1], one)
    same_bits(chosen.run(Program, plan, nanoseconds=np.zeros(len(plan.ops), np.int64))[1], one)


# -- what all rules share


RNG = np.random.default_rng(0)
X = RNG.normal(0, 1, (24, 3))
Y = X.sum(1, keepdims=True)


def net(optimizer: optimizers.Optimizer, seed: int = 0) -> fastnn.Sequential:
    parts = [fastnn.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(1)]
    model = fastnn.Sequential(parts, dtype="float64", seed=seed)
    model.compile(optimizer, "mse")
    return model


def test_sums_of_gradients_are_larger_batches() -> None:
    whole, parts = (net(optimizers.Adam(0.01, gradient_accumulation_steps=n)) for n in (None, 3))
    whole.fit(X, Y, batch_size=24, epochs=4, verbose=0)
    parts.fit(X, Y, batch_size=8, epochs=4, shuffle=False, verbose=0)
    assert whole.optimizer.iterations == parts.optimizer.iterations == 4
    for one, other in zip(whole.get_weights(), parts.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


def test_between_updates_weights_stay() -> None:
    model = net(optimizers.SGD(0.1, gradient_accumulation_steps=3))
    before = model.get_weights()
    for step in range(1, 7):
        model.train_on_batch(X[:8], Y[:8])
        same = all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))
        assert same == (step < 3), step
        assert model.optimizer.iterations == step // 3


def test_fit_ends_with_averages_and_a_step_does_not() -> None:
    plain, averaged = (net(optimizers.SGD(0.1, use_ema=on, ema_momentum=0.5)) for on in (False, True))
    seen = []
    for _ in range(3):
        plain.train_on_batch(X, Y)
        averaged.train_on_batch(X, Y)
        seen.append(plain.get_weights())
        for one, other in zip(seen[-1], averaged.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
    averaged.fit(X, Y, batch_size=24, epochs=1, shuffle=False, verbose=0)
    plain.train_on_batch(X, Y)
    for i, found in enumerate(averaged.get_weights()):
        wanted = seen[0][i] / 8 + seen[1][i] / 8 + seen[2][i] / 4 + plain.get_weights()[i] / 2
        np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_a_loss_that_is_not_finite_leaves_weights_and_no_averages() -> None:
    model = net(optimizers.SGD(0.1, use_ema=True))
    model.fit(X, Y, epochs=2, verbose=0)
    before = model.get_weights()
    with pytest.warns(NonFiniteWarning):
        model.fit(X, Y * 1e200, epochs=2, verbose=0)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_multipliers_are_rates_of_layers() -> None:
    slow, usual = (
        net(optimizers.SGD(0.1, learning_rate_multipliers={"dense": 0.5, "dense_1": 0})),
        net(optimizers.SGD(0.05)),
    )
    for model in (slow, usual):
        model.train_on_batch(X, Y)
    kernel, bias, *rest = slow.get_weights()
    np.testing.assert_array_equal(kernel, usual.get_weights()[0])
    np.testing.assert_array_equal(bias, usual.get_weights()[1])
    for one, start in zip(rest, net("sgd").get_weights()[2:], strict=True):
        np.testing.assert_array_equal(one, start)


@pytest.mark.parametrize(
    "excluded",
    [lambda model: model.layers[-1:], lambda model: model.layers[-1].weights, lambda _: ["dense_1"]],
)
def test_what_is_excluded_does_not_decay(excluded: Callable[[fastnn.Model], list[Any]]) -> None:
    rule = optimizers.SGD(0.1, weight_decay=0.5)
    model = net(rule)
    rule.exclude_from_weight_decay(excluded(model), ["^bias$"])  # counts from the next compile on
    assert model.optimizer.description.decays("dense/bias")
    model.compile(rule, "mse")
    plain = net(optimizers.SGD(0.1))
    start = plain.get_weights()
    for one in (model, plain):
        one.train_on_batch(X, Y)
    found, wanted = model.get_weights(), plain.get_weights()
    np.testing.assert_allclose(found[0], wanted[0] - 0.05 * start[0], rtol=1e-12)
    for one, other in zip(found[1:], wanted[1:], strict=True):
        np.testing.assert_array_equal(one, other)
    assert optimizers.get("sgd") == optimizers.SGD()


@pytest.mark.parametrize(
    "options", [{"learning_rate_multipliers": {"dence": 2.0}}, {"undecayed": ["dense/kernal"]}]
)
def test_names_that_are_not_there_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="does not have; it has dense/kernel, dense/bias"):
        net(optimizers.SGD(weight_decay=0.1, **options))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"gradient_accumulation_steps": 1}, ConfigurationError, "gradient_accumulation_steps"),
        ({"gradient_accumulation_steps": 2.0}, DTypeError, "gradient_accumulation_steps"),
        ({"ema_momentum": 1.5}, ConfigurationError, "ema_momentum"),
        ({"use_ema": True, "ema_overwrite_frequency": 0}, ConfigurationError, "ema_overwrite_frequency"),
        ({"ema_overwrite_frequency": 3}, ConfigurationError, "use_ema=True"),
        ({"use_ema": 1}, DTypeError, "use_ema"),
        ({"learning_rate_multipliers": 3}, DTypeError, "a dict of names and numbers"),
        ({"learning_rate_multipliers": {"a": -1}}, ConfigurationError, "factor of 'a'"),
        ({"undecayed": "dense"}, DTypeError, "a list of strings"),
        ({"undecayed_patterns": ["("]}, ConfigurationError, "no regular expression"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        optimizers.SGD(**options)


def test_plans_that_leave_out_the_wrong_phase_or_cut_what_is_whole_are_refused(
    case: Callable[..., Case],
) -> None:
    plan = case("lamb", "sums", widths=(5, 130, 4)).plan
    place = plan.scalars.index("due")
    numbers = [number for number, phase in enumerate(plan.phases) if phase.due == place]
    assert len(numbers) == 1

    def changed(number: int, **fields: Any) -> Any:
        phases = list(plan.phases)
        phases[number] = replace(phases[number], **fields)
        return replace(plan, phases=tuple(phases))

    for number, due in ((0, place), (numbers[0], place + 9), (numbers[0], 0)):
        with pytest.raises(PlanError, match="is due by"):
            verify_plan(changed(number, due=due))
    tasks = plan.phases[numbers[0]].tasks
    whole = max(tasks, key=lambda task: task.end)
    assert any(op.code is OpCode.LAMB for op in plan.ops[whole.first : whole.last])
    halves = [replace(whole, end=2), replace(whole, begin=2)]
    with pytest.raises(PlanError, match="needs all of"):
        verify_plan(changed(numbers[0], tasks=(*(t for t in tasks if t is not whole), *halves)))
