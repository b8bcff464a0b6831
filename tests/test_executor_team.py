"""The executor's teams of threads, its memory over many steps, signals, and losses that are not finite.

Small nets get many tiles and a team here, because the limits below which fastnn stays alone are
set to nothing.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import threadpoolctl

import fastnn
from fastnn import callbacks, layers, optimizers, pace, program, runtime, schedule
from fastnn._core import helpers
from fastnn.errors import NonFiniteWarning
from fastnn.programs import Key

Array = np.ndarray
X = np.random.default_rng(1).normal(0, 1, (150, 30))
Y = np.tanh(X[:, :4] - X[:, 4:8])


@pytest.fixture
def teams(team_sizes: list[int], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let small nets have teams of up to 4 on any machine; return the sizes of those that were wanted."""
    for name in vars(schedule):
        if name.startswith(("MINIMUM_", "PREFERRED_")):
            monkeypatch.setattr(schedule, name, 2)
    monkeypatch.setattr(program, "TEAM_STEP_FLOPS", 0)
    monkeypatch.setattr(program, "TEAM_TOTAL_FLOPS", 0)
    monkeypatch.setattr(program.helpers, "help_pays", lambda work: True)
    monkeypatch.setattr(program, "rests_for", lambda work: False)
    monkeypatch.setattr(runtime, "available_cpus", lambda: 4)
    return team_sizes


def net(
    optimizer: str | optimizers.Optimizer = "sgd", dtype: str = "float32", hidden: int = 24
) -> fastnn.Sequential:
    chained = [layers.Dense(hidden, "tanh", kernel_regularizer="l2"), layers.Dense(4)]
    model = fastnn.Sequential([fastnn.Input((30,)), *chained], dtype=dtype, seed=3)
    model.compile(optimizer, "mse", metrics=["mse"])
    return model


def bits(model: fastnn.Sequential) -> bytes:
    return b"".join(w.tobytes() for w in model.get_weights())


def fitted(
    model: fastnn.Sequential, n_threads: int, **arguments: Any
) -> tuple[bytes, dict[str, list[float]]]:
    options = {"batch_size": 64, "epochs": 3, "verbose": 0} | arguments
    history = model.fit(X, Y, n_threads=n_threads, **options)
    return bits(model), history.history


# -- teams


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_every_number_of_threads_gives_the_same_bits(
    optimizer: str, dtype: str, shuffle: bool, teams: list[int]
) -> None:
    alone = fitted(net(optimizer, dtype), 1, shuffle=shuffle, sample_weight=np.abs(X[:, 0]))
    assert teams == []
    for n_threads in (2, 3, 4):
        together = fitted(net(optimizer, dtype), n_threads, shuffle=shuffle, sample_weight=np.abs(X[:, 0]))
        assert together == alone
    assert teams == [2, 3, 4]


def test_teams_predict_and_evaluate_the_same_bits(teams: list[int]) -> None:
    model = net()
    many = np.tile(X, (20, 1))
    alone = model.predict(many, n_threads=1), model.evaluate(many, np.tile(Y, (20, 1)), n_threads=1)
    for n_threads in (2, 4):
        assert model.predict(many, n_threads=n_threads).tobytes() == alone[0].tobytes()
        assert model.evaluate(many, np.tile(Y, (20, 1)), n_threads=n_threads) == alone[1]
    assert max(teams) > 1


def test_a_real_team_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the limits as users have them."""
    monkeypatch.setattr(runtime, "available_cpus", lambda: 2)
    results = []
    for n_threads in (1, 2):
        model = net(hidden=700)
        made = model._now.need_programs().program(Key("train", 150))
        assert made.team_size(150, 150, 40, n_threads) == n_threads
        jobs = helpers.count_jobs()
        results.append(fitted(model, n_threads, batch_size=150, epochs=40))
        assert helpers.count_jobs() - jobs == n_threads - 1
    assert results[0] == results[1]


def test_a_smaller_team_does_the_same_work(teams: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = fitted(net(), 1)
    real, asked, allowed = _thread.start_new_thread, [0], [1]

    def start(function: Callable[..., object], args: tuple[int, int]) -> int:
        asked[0] += 1
        if asked[0] > allowed[0]:
            raise RuntimeError("can't start new thread")
        return real(function, args)

    monkeypatch.setattr(_thread, "start_new_thread", start)
    for allowed[0] in (1, 0):
        helpers.retire()  # else nobody need be started
        asked[0] = 0
        assert fitted(net(), 4) == wanted
        assert asked[0] == allowed[0] + 1


def test_calls_for_one_batch_use_the_helpers_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many threads as `fastnn.threads` says, with the limits as users have them; the same bits."""
    monkeypatch.setattr(program, "rests_for", lambda work: False)  # another test may have sent them to rest
    x = np.random.default_rng(5).normal(0, 1, (200, 300)).astype(np.float32)
    y = np.zeros((200, 4), np.float32)
    found = []
    for n_threads in (1, 2):
        model = fastnn.Sequential([fastnn.Input((300,)), layers.Dense(400, "relu"), layers.Dense(4)], seed=1)
        model.compile("adam", "mse")
        jobs = helpers.count_jobs()
        with fastnn.threads(n_threads):
            for _ in range(5):
                model.train_on_batch(x, y)
            steps = helpers.count_jobs()
            loss, gradients = model.loss_and_gradients(x, y)
            outputs = model.forward(x)
            slopes = model.backward(np.ones_like(outputs))
            dx = model.input_gradients(x)
        if n_threads == 1:
            assert helpers.count_jobs() == jobs
        elif runtime.available_cpus() > 1:
            assert steps - jobs >= 1
            assert helpers.count_jobs() - steps >= 1
        arrays = [*gradients.values(), outputs, *slopes.values(), dx]
        found.append((bits(model), loss, [array.tobytes() for array in arrays]))
    assert found[0] == found[1]


def cores_in_use(model: fastnn.Sequential, rows: int) -> float:
    """Return how many cores two threads have worked or spun on, in the best of three runs."""
    x = np.random.default_rng(2).normal(0, 1, (8 * rows, model.graph.inputs[0].columns)).astype(np.float32)
    y = np.zeros((8 * rows, model.graph.outputs[0].columns), np.float32)
    most = 0.0
    for _ in range(3):
        busy, begin = time.process_time(), time.perf_counter()
        model.fit(x, y, batch_size=rows, epochs=12, verbose=0, n_threads=2)
        most = max(most, (time.process_time() - busy) / (time.perf_counter() - begin))
    return most


def wide(units: int) -> fastnn.Sequential:
    model = fastnn.Sequential([fastnn.Input((1024,)), layers.Dense(units)], seed=0)
    model.compile(optimizers.Adam(1e-5), "mse")
    return model


@pytest.mark.skipif(runtime.available_cpus() < 2, reason="a team needs two CPUs")
def test_who_has_the_only_tile_of_a_phase_is_not_sent_to_rest() -> None:
    if cores_in_use(wide(512), 256) < 1.8:  # all phases have tiles for both
        pytest.skip("another process needs the second CPU")
    # 16 rows are one tile, and its products take about half of the step.
    assert cores_in_use(wide(4096), 16) > 1.8


def in_threads(works: list[Callable[[], Any]]) -> list[Any]:
    """Run functions at the same time and return what they return."""
    results: list[Any] = [None] * len(works)
    barrier = threading.Barrier(len(works))

    def run(number: int) -> None:
        barrier.wait(10)
        results[number] = works[number]()

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    return results


@pytest.mark.parametrize("n_threads", [1, 2])
def test_two_executors_run_at_once(n_threads: int, teams: list[int]) -> None:
    def work(optimizer: str) -> Callable[[], Any]:
        return lambda: fitted(net(optimizer), n_threads, epochs=200)

    alone = [work("sgd")(), work("adam")()]
    assert in_threads([work("sgd"), work("adam")]) == alone
    assert in_threads([work("adam")] * 3) == [alone[1]] * 3


# -- memory


needs_proc = pytest.mark.skipif(
    not os.path.exists("/proc/self/statm"), reason="resident memory is read from /proc"
)


def resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@needs_proc
@pytest.mark.parametrize("n_threads", [1, 2])
def test_steps_do_not_allocate(n_threads: int, teams: list[int], tolerances: dict[str, float]) -> None:
    model, many = net("adam"), np.tile(X, (67, 1))[:10_000].astype(np.float32)
    targets = np.tile(Y, (67, 1))[:10_000].astype(np.float32)

    def steps() -> None:  # 10 000 in one call
        model.fit(many, targets, batch_size=1, epochs=1, verbose=0, n_threads=n_threads, shuffle=False)

    steps()
    before = resident()
    tracemalloc.start()
    try:
        steps()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 64 * 1024  # what one call of fit takes, whatever its steps
    assert resident() - before < tolerances["growth"]


@needs_proc
def test_calls_do_not_leak(tolerances: dict[str, float]) -> None:
    model = net("adam")

    def calls(n: int) -> None:
        for _ in range(n):
            model.train_on_batch(X[:4], Y[:4])
            model.predict(X[:3])

    calls(1000)
    before = resident()
    calls(10_000)
    assert resident() - before < tolerances["growth"]


# -- signals


@contextlib.contextmanager
def alarm(after: float, handler: Callable[..., None]) -> Iterator[None]:
    """Call a handler once, `after` seconds from now, wherever the main thread is then."""
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, after)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def interrupt(*details: object) -> None:
    raise KeyboardInterrupt


def seconds_to_stop(work: Callable[[], object], tries: int = 3, enough: float = 0.3) -> float:
    """Return the shortest time from a signal to its exception."""
    best = np.inf
    for _ in range(tries):
        began = time.perf_counter()
        with pytest.raises(KeyboardInterrupt), alarm(0.1, interrupt):
            work()
        best = min(best, time.perf_counter() - began - 0.1)
        if best < enough:
            break
    return best


@pytest.fixture
def one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `fit` make all of its epochs in one call of the executor."""
    monkeypatch.setattr(pace, "CALL_FLOPS", 10**18)


def blas_threads() -> list[int]:
    return [lib["num_threads"] for lib in threadpoolctl.threadpool_info() if lib["user_api"] == "blas"]


needs_alarm = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there is no SIGALRM here")


@needs_alarm
@pytest.mark.parametrize("n_threads", [1, 4])
@pytest.mark.parametrize(("hidden", "batch"), [(1, 1), (24, 32), (300, 150)])
def test_an_interrupt_stops_training_soon(
    hidden: int, batch: int, n_threads: int, teams: list[int], tolerances: dict[str, float]
) -> None:
    model, before, threads = net("adam", hidden=hidden), blas_threads(), _thread._count()
    start = bits(model)
    delay = seconds_to_stop(lambda: fitted(model, n_threads, batch_size=batch, epochs=10**7))
    assert delay < tolerances["interrupt"]
    assert blas_threads() == before
    # A thread says that it has ended a moment before it has.
    deadline = time.monotonic() + 5
    while _thread._count() > threads and time.monotonic() < deadline:
        time.sleep(0.001)
    assert _thread._count() == threads
    assert bits(model) != start
    assert np.isfinite(model.predict(X, n_threads=n_threads)).all()
    assert np.isfinite(fitted(model, n_threads)[1]["loss"]).all()
    assert max(teams, default=1) == n_threads


@needs_alarm
def test_an_interrupted_run_counts_the_steps_that_it_made() -> None:
    """One batch an epoch, so a run of as many epochs must give the same bits."""
    model, twin = net("adam"), net("adam")
    with pytest.raises(KeyboardInterrupt), alarm(0.1, interrupt):
        fitted(model, 1, batch_size=150, epochs=10**7)
    assert model.optimizer.iterations > 100
    fitted(twin, 1, batch_size=150, epochs=model.optimizer.iterations)
    assert bits(model) == bits(twin)


@needs_alarm
@pytest.mark.usefixtures("one_call")
def test_a_handler_that_returns_does_not_stop_training_and_finds_blas_alone() -> None:
    square = [layers.Dense(500, "relu"), layers.Dense(500, "relu"), layers.Dense(4)]  # the last is for BLAS
    model = fastnn.Sequential([fastnn.Input((30,)), *square], seed=0)
    model.compile("sgd", "mse")
    fitted(model, 1)
    before, found = blas_threads(), []
    with alarm(0.05, lambda *details: found.append(blas_threads())):
        history = fitted(model, 1, batch_size=150, epochs=400)[1]
    assert len(history["loss"]) == 400
    assert found == [[1] * len(before)]
    assert blas_threads() == before


@needs_alarm
@pytest.mark.parametrize("method", ["predict", "evaluate", "loss_and_gradients"])
def test_an_interrupt_stops_one_long_batch_soon(method: str, tolerances: dict[str, float]) -> None:
    wide = [layers.Dense(1024, "relu"), layers.Dense(1024, "relu"), layers.Dense(1)]
    model = fastnn.Sequential([fastnn.Input((1,)), *wide], seed=0)
    model.compile("sgd", "mse")
    x = np.ones((60_000 if method != "loss_and_gradients" else 15_000, 1), np.float32)
    arguments = (x,) if method == "predict" else (x, x)
    delay = seconds_to_stop(lambda: getattr(model, method)(*arguments))
    assert delay < tolerances["interrupt"]


@needs_alarm
def test_an_interrupt_stops_long_steps_of_small_batches_soon(tolerances: dict[str, float]) -> None:
    wide = [layers.Dense(3000, "relu", kernel_initializer="zeros") for _ in range(3)]
    model = fastnn.Sequential([fastnn.Input((30,)), *wide, layers.Dense(4)], seed=0)
    model.compile("sgd", "mse")
    delay = seconds_to_stop(lambda: fitted(model, 1, batch_size=64, epochs=20))
    assert delay < tolerances["interrupt"]


@needs_alarm
def test_an_interrupt_stops_a_team_whose_helpers_are_faster(
    monkeypatch: pytest.MonkeyPatch, tolerances: dict[str, float]
) -> None:
    """Who runs a phase's only task opens the barrier, so it takes the next phase's task as well."""
    for name in vars(schedule):
        if name.startswith(("MINIMUM_", "PREFERRED_")):
            monkeypatch.setattr(schedule, name, 10**9)
    monkeypatch.setattr(program.Program, "team_size", lambda *_: 2)
    model = fastnn.Sequential([fastnn.Input((2000,)), layers.Dense(2000, use_bias=False)], seed=0)
    model.compile("sgd", "mse")
    x = np.zeros((300, 2000), np.float32)
    delay = seconds_to_stop(lambda: model.fit(x, x, batch_size=300, epochs=200, verbose=0, n_threads=2))
    assert delay < tolerances["interrupt"]


STOPPED_AT_THE_START = """
import os, _thread, time, numpy as np, fastnn
from fastnn import program, schedule
program.TEAM_STEP_FLOPS = program.TEAM_TOTAL_FLOPS = 0
program.helpers.help_pays = lambda work: True
program.rests_for = lambda work: False
for name in vars(schedule):
    if name.startswith(("MINIMUM_", "PREFERRED_")):
        setattr(schedule, name, 2)
fastnn.runtime.available_cpus = lambda: 2
real = _thread.start_new_thread
def start(*args):
    real(*args)
    raise KeyboardInterrupt  # as a signal does that arrives here
_thread.start_new_thread = start
model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(8), fastnn.layers.Dense(1)], seed=0)
model.compile("sgd", "mse")
try:
    model.fit(np.ones((64, 1)), np.ones((64, 1)), epochs=2, verbose=0, n_threads=2)
except KeyboardInterrupt:
    for _ in range(100):
        time.sleep(0.01)
        if _thread._count() == 0:
            os._exit(0)
os._exit(1)
"""


def test_an_interrupt_while_a_team_starts_leaves_no_thread_behind(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STOPPED_AT_THE_START],
        cwd=tmp_path,
        timeout=60,
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


CROWDED = """
import os, numpy as np, fastnn
from fastnn import program, schedule
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
program.TEAM_STEP_FLOPS = program.TEAM_TOTAL_FLOPS = 0
program.helpers.help_pays = lambda work: True
program.rests_for = lambda work: False
for name in vars(schedule):
    if name.startswith(("MINIMUM_", "PREFERRED_")):
        setattr(schedule, name, 2)
fastnn.runtime.available_cpus = lambda: 4
x = np.random.default_rng(0).normal(size=(256, 30))
found = []
for n_threads in (1, 2, 4):
    chain = [fastnn.Input((30,)), fastnn.layers.Dense(24, "tanh"), fastnn.layers.Dense(4)]
    model = fastnn.Sequential(chain, seed=0)
    model.compile("adam", "mse")
    for _ in range(3):  # what one run found out about resting, the next one begins with
        model.fit(x, x[:, :4], batch_size=64, epochs=300, verbose=0, n_threads=n_threads)
    found.append(b"".join(w.tobytes() for w in model.get_weights()))
assert found[0] == found[1] == found[2]
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_a_team_on_one_cpu_rests_rejoins_and_ends_with_the_same_bits(tmp_path: Path) -> None:
    """Every thread is late all the time: the team sends members to rest and calls them back."""
    done = subprocess.run(
        [sys.executable, "-c", CROWDED],
        cwd=tmp_path,
        timeout=120,
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


# -- losses that are not finite


class Faster(callbacks.Callback):
    """Raises the learning rate beyond reason after two epochs."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        assert self.model is not None
        if epoch == 1:
            self.model.optimizer.learning_rate = 1e200


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n_threads", [1, 4])
def test_a_loss_that_is_not_finite_restores_the_weights(n_threads: int, dtype: str, teams: list[int]) -> None:
    model, twin = net("adam", dtype), net("adam", dtype)
    wanted, _ = fitted(twin, n_threads, epochs=2)
    with pytest.warns(NonFiniteWarning, match="not finite in epoch 3; training stopped, the last finite"):
        given, history = fitted(model, n_threads, epochs=50, callbacks=[Faster()])
    assert given == wanted
    assert np.isfinite(history["loss"]).tolist() == [True, True, False]
    assert model.optimizer.iterations == 0
    assert model.optimizer.state is not None
    assert not model.optimizer.state.any()
    model.optimizer.learning_rate = 0.001
    assert np.isfinite(fitted(model, n_threads)[1]["loss"]).all()


def test_a_loss_that_grows_step_by_step_leaves_finite_weights() -> None:
    model = net(optimizers.SGD(30.0))
    with pytest.warns(NonFiniteWarning, match="Lower the learning rate"):
        fitted(model, 1, batch_size=5, epochs=100)
    assert all(np.isfinite(w).all() for w in model.get_weights())
    assert np.isfinite(model.predict(X)).all()


def test_a_batch_whose_loss_is_not_finite_is_not_learned() -> None:
    model = net("adam", "float64")
    model.train_on_batch(X, Y)
    before, state = bits(model), model.optimizer.state.tobytes()
    with pytest.warns(NonFiniteWarning, match="the step was not made"):
        loss = model.train_on_batch(X, Y * 1e200, return_dict=True)["loss"]
    assert not np.isfinite(loss)
    assert bits(model) == before
    assert model.optimizer.state.tobytes() == state
    assert model.optimizer.iterations == 1


@pytest.mark.parametrize("way", ["fit", "train_on_batch"])
def test_the_last_step_does_not_leave_weights_that_are_not_finite(way: str) -> None:
    # The loss is finite, the weights after the update are not.
    x, y, model = X * 1e10, Y * 1e10, net(optimizers.SGD(1e35))
    options: dict[str, Any] = {"batch_size": 150, "verbose": 0} if way == "fit" else {}
    with pytest.warns(NonFiniteWarning, match="finite"):
        getattr(model, way)(x, y, **options)
    assert all(np.isfinite(w).all() for w in model.get_weights())
