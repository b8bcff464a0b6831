"""The executor's teams of threads, its memory over many steps, signals, and losses that are not finite.

Small nets get many tiles and a team here, because the limits below which fastnn stays alone are
set to nothing.  Nothing here measures speed: what should happen is waited for, and what did happen is
counted.
"""

from __future__ import annotations

import _thread
import os
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import threadpoolctl

import fastnn
from fastnn import callbacks, layers, optimizers
from fastnn._core import pool
from fastnn.compiler import plan, schedule
from fastnn.errors import NonFiniteWarning
from fastnn.model import call_lengths
from fastnn.model.programs import Key
from fastnn.run import program, runtime

Array = np.ndarray
Soon = Callable[..., bool]
Interrupt = Callable[..., program.Result]
SECONDS = 300.0  # after which something hangs
X = np.random.default_rng(1).normal(0, 1, (150, 30))
Y = np.tanh(X[:, :4] - X[:, 4:8])


@pytest.fixture
def teams(team_sizes: list[int], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let small nets have teams of up to 4 on any machine; return the sizes of those that were wanted."""
    for name in vars(schedule):
        if name.startswith(("MINIMUM_", "PREFERRED_")):
            monkeypatch.setattr(schedule, name, 2)
    monkeypatch.setattr(program.pool, "run_pays", lambda *_: True)
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


def test_a_real_team_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch, soon: Soon) -> None:
    """With the limits as users have them."""
    monkeypatch.setattr(runtime, "available_cpus", lambda: 2)

    def run(n_threads: int) -> tuple[bytes, dict[str, list[float]]]:
        model = net(hidden=700)
        made = model._now.need_programs().program(Key("train", 150))
        assert made.team_size(150, 150, 40, n_threads) == n_threads
        return fitted(model, n_threads, batch_size=150, epochs=40)

    jobs, found = pool.count_jobs(), [run(1)]
    assert pool.count_jobs() == jobs
    # On a busy machine a run may be over before the helper begins.
    assert soon(lambda: pool.count_jobs() > jobs, lambda: found.append(run(2)))
    assert pool.count_jobs() == jobs + 1
    assert all(result == found[0] for result in found)


def test_a_smaller_team_does_the_same_work(
    teams: list[int], monkeypatch: pytest.MonkeyPatch, dismiss_helpers: Callable[[], None]
) -> None:
    wanted = fitted(net(), 1)
    real, asked, allowed = _thread.start_new_thread, [0], [1]

    def start(function: Callable[..., object], args: tuple[int, int]) -> int:
        asked[0] += 1
        if asked[0] > allowed[0]:
            raise RuntimeError("can't start new thread")
        return real(function, args)

    monkeypatch.setattr(_thread, "start_new_thread", start)
    for allowed[0] in (1, 0):
        dismiss_helpers()  # else nobody need be started
        asked[0] = 0
        assert fitted(net(), 4) == wanted
        assert asked[0] == allowed[0] + 1


def test_calls_for_one_batch_use_helpers(monkeypatch: pytest.MonkeyPatch, soon: Soon) -> None:
    """As many threads as `fastnn.threads` says, with the limits as users have them; the same bits."""
    monkeypatch.setattr(runtime, "available_cpus", lambda: 2)
    pool.forget()  # other work may have sent them to rest
    x = np.random.default_rng(5).normal(0, 1, (200, 300)).astype(np.float32)
    y = np.zeros((200, 4), np.float32)
    found = []
    for n_threads in (1, 2):
        model = fastnn.Sequential([fastnn.Input((300,)), layers.Dense(400, "relu"), layers.Dense(4)], seed=1)
        model.compile("adam", "mse")
        jobs = pool.count_jobs()
        with fastnn.threads(n_threads):
            for _ in range(5):
                model.train_on_batch(x, y)
            loss, gradients = model.loss_and_gradients(x, y)
            outputs = model.forward(x)
            slopes = model.backward(np.ones_like(outputs))
            dx = model.input_gradients(x)
        if n_threads == 1:
            assert pool.count_jobs() == jobs
        arrays = [*gradients.values(), outputs, *slopes.values(), dx]
        found.append((bits(model), loss, [array.tobytes() for array in arrays]))
    assert found[0] == found[1]
    calls: dict[str, Callable[[], object]] = {
        "train_on_batch": lambda: model.train_on_batch(x, y),
        "loss_and_gradients": lambda: model.loss_and_gradients(x, y),
        "forward": lambda: model.forward(x),
        "backward": lambda: model.backward(np.ones_like(outputs)),
        "input_gradients": lambda: model.input_gradients(x),
    }
    with fastnn.threads(2):
        for name, call in calls.items():
            jobs = pool.count_jobs()
            # On a busy machine a call may be over before a helper begins.
            assert soon(lambda: pool.count_jobs() > jobs, call), name  # noqa: B023


def run_script(script: str, folder: Path) -> tuple[int, str]:
    """Run a script in a process of its own; return its exit code and what it wrote to standard error."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        timeout=SECONDS,
        check=False,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stderr


ONE_TILE = """
import time, numpy as np, fastnn
from fastnn.run import program
from fastnn.compiler import schedule
from fastnn._core import pool
for name in vars(schedule):
    if name.startswith(("MINIMUM_", "PREFERRED_")):
        setattr(schedule, name, 10**9)
program.Program.team_size = lambda *_: 2
model = fastnn.Sequential([fastnn.Input((1000,)), fastnn.layers.Dense(1000, use_bias=False)], seed=0)
model.compile("sgd", "mse")
x = np.zeros((64, 1000), np.float32)
deadline = time.monotonic() + 60
while pool.count_jobs() == 0:  # until a helper took part, and that for many a step
    model.fit(x, x, batch_size=64, epochs=300, verbose=0)
    assert time.monotonic() < deadline, "no helper came"
# Has a rest ever been to end later than the first nanosecond of the machine?
assert not pool.rests_for(1 - time.clock_gettime_ns(time.CLOCK_MONOTONIC)), "a thread was sent to rest"
"""


@pytest.mark.skipif(not hasattr(time, "clock_gettime_ns"), reason="the clock of helpers cannot be read here")
def test_who_has_the_only_tile_of_a_phase_is_not_sent_to_rest(tmp_path: Path) -> None:
    """Others wait for it all the time, but no core is lost, whatever else the machine does."""
    assert run_script(ONE_TILE, tmp_path) == (0, "")


def in_threads(works: list[Callable[[], Any]]) -> list[Any]:
    """Run functions at the same time and return what they return."""
    results: list[Any] = [None] * len(works)
    barrier = threading.Barrier(len(works))

    def run(number: int) -> None:
        barrier.wait(SECONDS)
        results[number] = works[number]()

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
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
@pytest.mark.parametrize(("optimizer", "a_step"), [("sgd", 0), ("adam", 40)])  # Adam's rates, made at once
def test_steps_do_not_allocate(
    optimizer: str, a_step: int, n_threads: int, teams: list[int], tolerances: dict[str, float]
) -> None:
    model, many = net(optimizer), np.tile(X, (67, 1))[:10_000].astype(np.float32)
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
    assert peak < 64 * 1024 + 10_000 * a_step  # what one call of fit takes, whatever its steps
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


MANY_EPOCHS = 300_000  # for seconds at least: a signal is heard after 0.1 s


def changes(model: fastnn.Sequential) -> Callable[[], bool]:
    """Return a function that tells whether training has changed a model's last array since."""
    before = model.layers[-1].get_weights()[-1]
    return lambda: not np.array_equal(model.layers[-1].get_weights()[-1], before)


@pytest.fixture(autouse=True)
def one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `fit` make all of its epochs in one call of the executor."""
    monkeypatch.setattr(call_lengths, "CALL_FLOPS", 10**18)


def blas_threads() -> list[int]:
    return [lib["num_threads"] for lib in threadpoolctl.threadpool_info() if lib["user_api"] == "blas"]


@pytest.mark.parametrize("n_threads", [1, 4])
@pytest.mark.parametrize(("hidden", "batch"), [(1, 1), (24, 32), (300, 150)])
def test_an_interrupt_stops_training(
    hidden: int, batch: int, n_threads: int, teams: list[int], interrupted: Interrupt, soon: Soon
) -> None:
    model, threads = net("adam", hidden=hidden), _thread._count()
    model.predict(X, n_threads=1)  # loads SciPy and its BLAS
    before, changed = blas_threads(), changes(model)
    result = interrupted(lambda: fitted(model, n_threads, batch_size=batch, epochs=MANY_EPOCHS), changed)
    assert result.epochs < MANY_EPOCHS
    assert changed()
    assert blas_threads() == before
    assert soon(lambda: _thread._count() <= threads)
    assert np.isfinite(model.predict(X, n_threads=n_threads)).all()
    assert np.isfinite(fitted(model, n_threads)[1]["loss"]).all()
    assert max(teams, default=1) == n_threads


def test_an_interrupted_run_counts_the_steps_that_it_made(interrupted: Interrupt) -> None:
    """One batch an epoch, so a run of as many epochs must give the same bits."""
    model, twin = net("adam"), net("adam")
    interrupted(lambda: fitted(model, 1, batch_size=150, epochs=MANY_EPOCHS), changes(model))
    assert 0 < model.optimizer.iterations < MANY_EPOCHS
    fitted(twin, 1, batch_size=150, epochs=model.optimizer.iterations)
    assert bits(model) == bits(twin)


def test_a_handler_that_returns_does_not_stop_training_and_finds_blas_alone(signals: Any) -> None:
    square = [layers.Dense(500, "relu"), layers.Dense(500, "relu"), layers.Dense(4)]  # the last is for BLAS
    model = fastnn.Sequential([fastnn.Input((30,)), *square], seed=0)
    model.compile("sgd", "mse")
    fitted(model, 1)
    before, changed = blas_threads(), changes(model)
    found: list[list[int]] = []

    def look() -> None:
        if not found and changed():
            found.append(blas_threads())

    with signals(look):
        history = fitted(model, 1, batch_size=150, epochs=400)[1]
    assert len(history["loss"]) == 400
    assert found == [[1] * len(before)]
    assert blas_threads() == before


@pytest.mark.parametrize("method", ["predict", "evaluate", "loss_and_gradients"])
def test_an_interrupt_stops_one_long_batch(
    method: str, interrupted: Interrupt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the midst of it: a part of what it writes is not written then."""
    wide = [layers.Dense(1024, "relu"), layers.Dense(1024, "relu"), layers.Dense(16)]  # no gaps in between
    model = fastnn.Sequential([fastnn.Input((1,)), *wide], seed=0)
    model.compile("sgd", "mse")
    real = program.Program.run
    nothing = np.empty(0)
    first = last = nothing  # where a run writes numbers at once, and where it writes some in the end

    def run(made: program.Program, externals: dict[str, Array], rows: int, *rest: Any, **options: Any) -> Any:
        nonlocal first, last
        tiles = made._batch_tiles(rows)
        made._partial = np.full(tiles + 2, np.nan)  # the losses of tiles, and of all
        at_once = externals["output"] if method == "predict" else made._partial[:tiles]
        given = options.get("gradients")
        in_the_end = at_once if given is None else given
        at_once.fill(np.nan)
        in_the_end.fill(np.nan)
        first, last = at_once, in_the_end
        return real(made, externals, rows, *rest, **options)

    def call(rows: int) -> None:
        x, y = np.ones((rows, 1), np.float32), np.ones((rows, 16), np.float32)
        with fastnn.threads(2):  # more would be through with it before a signal is heard
            getattr(model, method)(*((x,) if method == "predict" else (x, y)))

    monkeypatch.setattr(program.Program, "run", run)
    call(600)
    assert not np.isnan(last).any()
    first = nothing
    rows = 15_000 if method == "loss_and_gradients" else 60_000
    interrupted(lambda: call(rows), lambda: not np.isnan(first).all())
    assert np.isnan(last).any()


def test_an_interrupt_stops_long_steps_of_small_batches(interrupted: Interrupt) -> None:
    """Where steps are small, signals are looked for after every 16th."""
    wide = [layers.Dense(3000, "relu", kernel_initializer="zeros") for _ in range(3)]
    model = fastnn.Sequential([fastnn.Input((30,)), *wide, layers.Dense(4)], seed=0)
    model.compile("sgd", "mse")
    result = interrupted(lambda: fitted(model, 1, batch_size=64, epochs=20), changes(model))
    assert 0 < result.steps < 15


def test_an_interrupt_stops_a_team_whose_helpers_are_faster(
    monkeypatch: pytest.MonkeyPatch, interrupted: Interrupt
) -> None:
    """Who runs a phase's only task opens the barrier, so it takes the next phase's task as well."""
    for name in vars(schedule):
        if name.startswith(("MINIMUM_", "PREFERRED_")):
            monkeypatch.setattr(schedule, name, 10**9)
    monkeypatch.setattr(program.Program, "team_size", lambda *_: 2)
    model = fastnn.Sequential([fastnn.Input((2000,)), layers.Dense(2000, use_bias=False)], seed=0)
    model.compile("sgd", "mse")
    x = np.ones((300, 2000), np.float32)
    result = interrupted(
        lambda: model.fit(x, x, batch_size=300, epochs=200, verbose=0, n_threads=2), changes(model)
    )
    assert 0 < result.steps < 200


STOPPED_AT_THE_START = """
import os, _thread, time, numpy as np, fastnn
from fastnn.run import program
from fastnn.compiler import schedule
program.pool.run_pays = lambda *_: True
for name in vars(schedule):
    if name.startswith(("MINIMUM_", "PREFERRED_")):
        setattr(schedule, name, 2)
fastnn.run.runtime.available_cpus = lambda: 2
real, ended = _thread.start_new_thread, []
def help(function, args):
    function(*args)
    ended.append(True)
def start(*args):
    real(help, args)
    raise KeyboardInterrupt  # as a signal does that arrives here
_thread.start_new_thread = start
model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(8), fastnn.layers.Dense(1)], seed=0)
model.compile("sgd", "mse")
try:
    model.fit(np.ones((64, 1)), np.ones((64, 1)), epochs=2, verbose=0, n_threads=2)
except KeyboardInterrupt:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        time.sleep(0.01)
        if ended and _thread._count() == 0:
            os._exit(0)
os._exit(1)
"""


def test_an_interrupt_while_a_team_starts_leaves_no_thread_behind(tmp_path: Path) -> None:
    assert run_script(STOPPED_AT_THE_START, tmp_path) == (0, "")


CROWDED = """
import os, numpy as np, fastnn
from fastnn.run import program
from fastnn.compiler import schedule
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
program.pool.run_pays = lambda *_: True
for name in vars(schedule):
    if name.startswith(("MINIMUM_", "PREFERRED_")):
        setattr(schedule, name, 2)
fastnn.run.runtime.available_cpus = lambda: 4
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
    assert run_script(CROWDED, tmp_path) == (0, "")


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


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("rows", [3, 70])
def test_nan_within_a_thin_net_reaches_the_loss(activation: str, rows: int, simd_level: str) -> None:
    chained: list[Any] = [fastnn.Input((2,)), layers.Dense(2), layers.Dense(2, activation), layers.Dense(1)]
    for layer in chained[1:3]:
        layer.trainable = False  # else NaN would come out as a gradient too
    model = fastnn.Sequential(chained, seed=0)
    model.compile("sgd", "mse")
    assert model.plan(rows, "train").ops[1].path is plan.Path.COLUMNS
    weights = [np.full_like(w, 0.5) for w in model.get_weights()]
    # Infinity and its negative come out, of which the next layer takes the sum.
    weights[0][:] = [[3e38, -3e38], [0, 0]]
    model.set_weights(weights)
    with pytest.warns(NonFiniteWarning, match="the step was not made"):
        loss = model.train_on_batch(np.full((rows, 2), 10, np.float32), np.zeros((rows, 1)))
    assert np.isnan(loss)
