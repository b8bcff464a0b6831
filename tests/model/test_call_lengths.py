"""How much of training goes into one call of the executor, and who is heard between two calls."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers, optimizers
from fastnn.errors import NonFiniteWarning
from fastnn.model import call_lengths, fit
from fastnn.run.program import Program

RNG = np.random.default_rng(11)
X = RNG.standard_normal((256, 64)).astype(np.float32)
Y = X[:, :1] * 0.5


def net(*units: int, columns: int = 64, optimizer: Any = "sgd", **options: Any) -> fastnn.Sequential:
    chain = [*(layers.Dense(n, "tanh") for n in units), layers.Dense(1)]
    model = fastnn.Sequential([fastnn.Input((columns,)), *chain], seed=1)
    model.compile(optimizer, "mse", **options)
    return model


def bits(model: fastnn.Model) -> list[bytes]:
    return [w.tobytes() for w in model.get_weights()]


class Calls:
    """Notes calls of the executor; a clock of our own goes on by what `cost` says a step takes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cost: float = 0.0, then: Any = None) -> None:
        self.epochs: list[int] = []
        self.rows: list[int] = []
        self.now = 0.0
        run = Program.run

        def noted(program: Program, externals: Any, rows: int, batch: int, **options: Any) -> Any:
            if program.plan.purpose == "train":
                self.epochs.append(options["epochs"])
                self.rows.append(rows)
            result = run(program, externals, rows, batch, **options)
            self.now += result.steps * cost
            if then is not None:
                then()
            return result

        monkeypatch.setattr(Program, "run", noted)
        if cost:
            monkeypatch.setattr(fit, "time", SimpleNamespace(perf_counter=lambda: self.now))


# -- who is heard


def test_another_thread_may_stop_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens and nothing is shown: all these epochs were one call once."""
    model = net(64)
    began, stopped = threading.Event(), threading.Event()

    def stop() -> None:
        began.wait()
        model.stop_training = True
        stopped.set()

    def after_a_call() -> None:
        began.set()
        stopped.wait()

    calls = Calls(monkeypatch, then=after_a_call)
    thread = threading.Thread(target=stop)
    thread.start()
    try:
        history = model.fit(X, Y, batch_size=256, epochs=60_000, verbose=0)
    finally:
        began.set()
        thread.join()
    assert len(calls.epochs) == 1
    assert history.epoch == list(range(calls.epochs[0]))
    assert len(history.epoch) < 10_000
    assert model.optimizer.iterations == len(history.epoch)


@pytest.mark.parametrize("verbose", [0, 1])
@pytest.mark.parametrize("reference", [False, True])
def test_it_need_not_know_when(reference: bool, verbose: int) -> None:
    model = net(8, reference=reference)

    def stop() -> None:
        while not model.optimizer.iterations:
            time.sleep(0.001)
        model.stop_training = True

    thread = threading.Thread(target=stop)
    thread.start()
    # A failing test takes minutes, or its memory.
    history = model.fit(X, Y, batch_size=64, epochs=3_000_000, verbose=verbose)
    thread.join()
    assert 0 < len(history.epoch) < 3_000_000
    assert len(history.history["loss"]) == len(history.epoch)


def test_an_epoch_that_takes_long_is_not_made_to_its_end() -> None:
    """It is recorded as far as it went, as in Keras."""
    x = np.zeros((200_000, 64), np.float32)
    model = net(512, 512)
    kept: list[int] = []

    def stop() -> None:
        while not model.optimizer.iterations:
            time.sleep(0.001)
        model.stop_training = True

    thread = threading.Thread(target=stop)
    thread.start()
    history = model.fit(x, x[:, :1], batch_size=128, epochs=3, verbose=0)
    thread.join()
    kept.append(model.optimizer.iterations)
    assert history.epoch == [0]
    assert history.history["loss"] == [0.0]
    assert 0 < kept[0] < -(-len(x) // 128)


# -- what it costs


def test_epochs_of_a_tiny_net_are_few_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls(monkeypatch, cost=1e-7)
    net(2, columns=2).fit([[0, 0], [0, 1], [1, 0], [1, 1]], [1, 0, 0, 1], 4, 200_000, 0)
    assert calls.epochs == [65536, 65536, 65536, 200_000 - 3 * 65536]


@pytest.mark.parametrize("verbose", [0, 1])
def test_calls_take_a_tenth_of_a_second(verbose: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls(monkeypatch, cost=1e-4)
    net(8).fit(X, Y, 32, 4000, verbose)
    assert 1000 < calls.epochs[0] < 3000  # by the number of operations
    assert set(calls.epochs[1:-1]) == {124}  # of 8 steps of 0.1 ms
    assert sum(calls.epochs) == 4000


@pytest.mark.parametrize(
    ("cost", "batch_size", "expected"),
    [
        (1e-3, 256, 96),  # of one step: snapshots are taken every 16
        (1e-3, 64, 24),  # 4 steps, 0.1 s being 25
        (1e-2, 64, 4),  # 16 steps at the least
        (1e-3, 8, 3),  # 32 steps
        (1.0, 8, 1),
    ],
)
def test_calls_begin_where_snapshots_are_taken(
    cost: float, batch_size: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(monkeypatch, cost=cost)
    net(8).fit(X, Y, batch_size, 4000, 0)
    assert sum(calls.epochs) == 4000
    assert set(calls.epochs[1:-1]) == {expected}


@pytest.mark.parametrize("batch_size", [256, 64, 48])
def test_the_clock_decides_nothing_else(batch_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which weights are restored does not depend on it either."""
    monkeypatch.setattr(call_lengths, "CALL_FLOPS", 20_000_000)
    x, y = np.full((256, 64), 0.125, np.float32), np.ones((256, 1), np.float32)
    rate = 2.1 / (2 * (64 * 0.125**2 + 1))  # each step multiplies the error by -1.1
    found = []
    for cost in (1e-9, 2.1e-3, 1.0):
        with monkeypatch.context() as patch:
            calls = Calls(patch, cost=cost)
            model = net(optimizer=optimizers.SGD(rate))
            with pytest.warns(NonFiniteWarning) as caught:
                history = model.fit(x, y, batch_size, 5000, 0)
            found.append((bits(model), str(caught[0].message), history.epoch, len(calls.epochs)))
    assert found[0][:3] == found[1][:3] == found[2][:3]
    assert len(found[0][2]) > 50
    assert found[0][3] < found[1][3] < found[2][3]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_an_epoch_in_parts_is_the_same_epoch(
    optimizer: str, shuffle: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for flops in (call_lengths.CALL_FLOPS, 300_000):
        with monkeypatch.context() as patch:
            patch.setattr(call_lengths, "CALL_FLOPS", flops)
            calls = Calls(patch)
            model = net(8, optimizer=optimizer)
            history = model.fit(X, Y, 24, 3, 0, shuffle=shuffle, validation_split=0.1)
        found.append((bits(model), history.history, calls.rows))
    whole, parts = found
    assert whole[2] == [230] * 3
    assert parts[2] == [72, 72, 72, 14] * 3
    assert parts[0] == whole[0]
    for name, values in whole[1].items():
        assert parts[1][name] == pytest.approx(values, rel=1e-12)


def test_parts_of_an_epoch_copy_the_weights_as_rarely_as_a_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy to come back to is made where an epoch begins, and then every 16 steps."""
    monkeypatch.setattr(call_lengths, "CALL_FLOPS", 1)
    made: list[int] = []
    run = Program.run

    def noted(program: Program, *arguments: Any, **options: Any) -> Any:
        result = run(program, *arguments, **options)
        made.append(program.executor.snapshot_step)
        return result

    monkeypatch.setattr(Program, "run", noted)
    model = net(8)
    model.fit(X[:240], Y[:240], 8, 2, 0, shuffle=False)
    assert len(made) == 60
    assert sorted(set(made)) == [1, 17, 31, 47]


@pytest.mark.parametrize("cost", [1, 10**6, 10**15])
@pytest.mark.parametrize("steps", [1, 7, 10**9])
def test_there_is_always_something_to_do(cost: int, steps: int) -> None:
    kept = call_lengths.CallLengths(cost, steps)
    assert kept.batches >= 1
    for epochs in (1, kept.epochs):
        for seconds in (0.0, 1e-12, 0.1, 1e9):
            assert 1 <= kept.epochs <= call_lengths.MOST_EPOCHS
            kept.learn(epochs, seconds)
    assert 1 <= kept.epochs <= call_lengths.MOST_EPOCHS


def test_estimates_are_those_of_plans() -> None:
    """Within a factor of two, where products weigh."""
    for model in (net(512, 512), net(64, 64, 64, 64), net(1024)):
        flops = model.plan(128).flops(128)
        assert flops / 2 < call_lengths.cost_of_step(model.graph, 128) < 2 * flops
    shared = layers.Dense(64)
    x = fastnn.Input((64,))
    y = x
    for _ in range(5):
        y = shared(y)
    cost = call_lengths.cost_of_step(fastnn.Model(x, y).graph, 32)
    assert cost == 5 * call_lengths.cost_of_step(fastnn.Model(x, shared(x)).graph, 32)
