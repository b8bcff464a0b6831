"""Equal plans are compiled once in a process; batches of many lengths share few."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import initializers, layers
from fastnn.cache import Latest
from fastnn.compiler import pipeline as compiler
from fastnn.compiler import shared_plans, tuning
from fastnn.compiler.plan import Axis, OpCode, Plan
from fastnn.model import programs
from fastnn.model.programs import capacity_for
from fastnn.run import encoding

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((200, 4)), RNG.standard_normal((200, 1))


def net(
    units: int = 16, activation: str = "tanh", optimizer: Any = "adam", **options: Any
) -> fastnn.Sequential:
    model = fastnn.Sequential(
        [fastnn.Input((4,)), layers.Dense(units, activation), layers.Dense(1)], **{"seed": 0, **options}
    )
    model.compile(optimizer, "mse")
    return model


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the purposes of the plans that are compiled from now on."""
    found: list[str] = []
    compile_plan = compiler.compile_plan

    def note(graph: Any, purpose: str, **options: Any) -> Any:
        found.append(purpose)
        return compile_plan(graph, purpose, **options)

    monkeypatch.setattr(shared_plans, "compile_plan", note)
    return found


def test_nets_of_one_shape_are_compiled_once(compiled: list[str]) -> None:
    for seed in range(5):
        model = net(seed=seed)
        model.fit(X, Y, verbose=0)
        model.predict(X)
    assert sorted(compiled) == ["predict", "train"]


@pytest.mark.parametrize(
    "other",
    [
        {"units": 17},
        {"activation": "relu"},
        {"optimizer": fastnn.optimizers.Adam(beta_1=0.8)},
        {"optimizer": "sgd"},
        {"dtype": "float64"},
    ],
    ids=str,
)
def test_what_differs_is_compiled_anew(other: dict[str, Any], compiled: list[str]) -> None:
    for options in ({}, other):
        net(**options).fit(X, Y, verbose=0)
    assert compiled == ["train", "train"]


def test_frozen_layers_penalties_and_weights_of_rows_count(compiled: list[str]) -> None:
    model = net()
    model.fit(X, Y, verbose=0)
    model.fit(X, Y, verbose=0, sample_weight=np.ones(200))
    model.layers[0].trainable = False
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    hidden = layers.Dense(16, "tanh", kernel_regularizer="l2")
    model = fastnn.Sequential([fastnn.Input((4,)), hidden, layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    assert compiled == ["train"] * 4


def test_a_net_gets_the_same_bits_with_a_plan_that_was_kept() -> None:
    first, second = net(), net()
    histories = [model.fit(X, Y, epochs=3, verbose=0).history for model in (first, second)]
    assert histories[0] == histories[1]
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_nets_with_one_plan_do_not_share_memory() -> None:
    one, two = net(seed=1), net(seed=2)
    wanted = [net(seed=seed).predict(X) for seed in (1, 2)]
    found: list[list[np.ndarray]] = [[], []]

    def predict(number: int, model: fastnn.Sequential) -> None:
        for _ in range(50):
            found[number].append(model.predict(X))

    threads = [threading.Thread(target=predict, args=pair) for pair in enumerate((one, two))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in (0, 1):
        assert len(found[number]) == 50
        for out in found[number]:
            np.testing.assert_array_equal(out, wanted[number])


class Odd(initializers.Initializer):
    """Not hashable, as a class of a user's may be."""

    __hash__ = None  # type: ignore[assignment]

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        return np.full(shape, 0.1)


def test_what_is_not_hashable_is_compiled_each_time(compiled: list[str]) -> None:
    for _ in range(2):
        model = fastnn.Sequential([fastnn.Input((4,)), layers.Dense(2, kernel_initializer=Odd())])
        model.predict(X)
    assert compiled == ["predict", "predict"]


def test_what_is_kept_is_bounded() -> None:
    latest: Latest[int] = Latest(100, lambda thing: thing)
    for thing in range(40):
        latest.get(thing, lambda thing=thing: thing)  # type: ignore[misc]
    assert len(latest) == 2  # 39 + 38
    assert latest.get("large", lambda: 101) == 101
    assert len(latest) == 2  # for what is too large nothing else goes
    sizes = sum(len(plan.ops) for plan in shared_plans._plans._kept.values())
    assert sizes <= shared_plans._KEPT_OPS
    assert len(encoding.encode(net().plan()).ops) == len(net().plan().ops)


# -- batches of many lengths


@pytest.mark.parametrize("rows", [*range(1, 70), 100, 1000, 1023, 1024, 1025, 4097, 2**20 + 1])
def test_room_for_a_batch(rows: int) -> None:
    capacity = capacity_for(rows)
    assert rows <= capacity < 2 * rows
    assert capacity_for(capacity) == capacity
    assert rows <= 1024 or capacity <= 1.13 * rows


def test_batches_of_random_lengths_share_few_plans(compiled: list[str]) -> None:
    model = net()
    for rows in RNG.integers(1, 129, 200):
        model.train_on_batch(X[:rows], Y[:rows])
        model.loss_and_gradients(X[:rows], Y[:rows])
        model.forward(X[:rows])
        model.backward()
    assert len(compiled) <= 3 * 8 + 1
    assert programs._KEPT_PLANS >= 8


def test_batches_of_new_lengths_cost_what_equal_ones_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is worked out anew for a length once its plan is there."""
    model = net()
    for rows in (1, 2, 4, 8, 16, 32, 64, 128):
        model.train_on_batch(X[:rows], Y[:rows])
    asked: list[int] = []
    monkeypatch.setattr(Plan, "flops", lambda plan, rows: asked.append(rows))
    monkeypatch.setattr(encoding, "Encoded", lambda plan: asked.append(-1))
    for rows in RNG.integers(1, 129, 50):
        model.train_on_batch(X[:rows], Y[:rows])
    assert asked == []


@pytest.mark.parametrize("purpose", ["train", "evaluate", "predict"])
def test_the_work_of_a_step_is_known_for_any_rows(purpose: str) -> None:
    plan = net(units=200).plan(64, purpose)
    code = encoding.encode(plan)
    for rows in (1, plan.capacity or 1000):
        assert code.flops(rows) == plan.flops(rows)
    on_parameters = sum(op.flops(1) for op in plan.ops if op.signature.axis is Axis.PARAMETER)
    for rows in range(1, 65):
        assert plan.flops(rows) <= code.flops(rows) <= plan.flops(rows) + on_parameters


def test_products_that_blas_would_share_are_known() -> None:
    deep = [fastnn.Input((100,)), layers.Dense(100), layers.Dense(3)]
    plan = fastnn.Sequential(deep, seed=0).plan(purpose="predict")
    first = encoding.encode(plan).first_guarded
    products = [op for op in plan.ops if op.code is OpCode.DENSE]

    def largest(rows: int) -> float:
        # Blocks of 16 columns are ours; BLAS has up to 12 that are left over.
        shares = {100: 4 / 100, 3: 1.0}
        return max(op.flops(rows) * shares[next(op.outputs()).columns] for op in products)

    assert largest(int(first) - 1) < tuning.BLAS_THREADS_FROM <= largest(int(first))


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
@pytest.mark.parametrize("rows", [1, 3, 20, 33, 65, 127])
def test_a_step_on_a_batch_of_any_length_is_that_of_fit(rows: int, optimizer: str) -> None:
    """To rounding: `fit` has a plan of its own for its batch size."""
    one, two = (net(dtype="float64", optimizer=optimizer) for _ in range(2))
    one.train_on_batch(X[:rows], Y[:rows])
    two.fit(X[:rows], Y[:rows], batch_size=rows, shuffle=False, verbose=0)
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)
