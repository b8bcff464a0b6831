"""Threads that help: who starts, waits, ends, and what they do for the doors of `fastnn.kernels`.

Nothing here measures speed, and a busy machine may take a core from anybody at any time: what should
happen is waited for, and what did happen is counted.
"""

from __future__ import annotations

import _thread
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import kernels
from fastnn._core import pool
from fastnn.run import runtime

Soon = Callable[..., bool]
SECONDS = 300.0  # after which something hangs
LARGE = np.random.default_rng(0).normal(0, 2, (3, 1001, 701)).astype(np.float32)  # sizes that do not divide
SMALLER = LARGE[0, :500]  # shared out only if a helper may be waiting


@pytest.fixture(autouse=True)
def four_cpus(monkeypatch: pytest.MonkeyPatch, dismiss_helpers: Callable[[], None]) -> None:
    """Let four threads work on any machine, and begin without a helper that waits."""
    monkeypatch.setattr(runtime, "available_cpus", lambda: 4)
    monkeypatch.delenv("FASTNN_NUM_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    dismiss_helpers()
    time.sleep(0.001)  # at least: longer than calls are taken to follow each other


@pytest.fixture
def others() -> int:
    """Return how many threads there are before the test; helpers have no `threading.Thread`."""
    return _thread._count()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by the seat of each helper that is started."""
    seats: list[int] = []
    real = _thread.start_new_thread

    def start(function: Callable[..., object], args: tuple[int, int]) -> int:
        seats.append(args[0])
        return real(function, args)

    monkeypatch.setattr(_thread, "start_new_thread", start)
    return seats


def sigmoid(z: np.ndarray, n_threads: int) -> bytes:
    with fastnn.threads(n_threads):
        return kernels.sigmoid_forward(z).tobytes()


# --- doors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["sigmoid", "tanh", "relu", "leaky_relu", "elu", "softmax", "softplus"])
def test_large_arrays_are_shared_out_without_changing_a_bit(
    name: str, dtype: str, started: list[int]
) -> None:
    forward, backward = (getattr(kernels, f"{name}_{way}") for way in ("forward", "backward"))
    z = LARGE.astype(dtype)  # of three dimensions
    results = []
    for n_threads in (1, 3):
        with fastnn.threads(n_threads):
            out = np.full_like(z, np.nan)
            y = forward(z, out=out)
            assert y is out
            upstream = z.copy()
            dz = backward(upstream, y, out=upstream)
            assert dz is upstream
            results.append((y.tobytes(), dz.tobytes()))
            if n_threads == 1:
                assert started == []
    assert results[0] == results[1]
    assert len(started) >= 2
    with fastnn.threads(3):
        assert forward(z.reshape(-1, 701)).tobytes() == results[0][0]
        assert forward(z.astype(z.dtype.newbyteorder())).tobytes() == results[0][0]  # copied first
        if name != "softmax":
            assert forward(z.reshape(-1)).tobytes() == results[0][0]
            assert forward(np.asfortranarray(z[0])).tobytes() == forward(z[0].copy()).tobytes()


@pytest.mark.parametrize("size", [2_000_000, 2_000_001, 8 * 262_144 - 1, 8 * 262_144 + 4095])
def test_the_parts_of_an_array_are_all_of_it(size: int) -> None:
    z = np.linspace(-3, 3, size, dtype=np.float32)
    guarded = np.full(size + 128, 7, np.float32)
    with fastnn.threads(2):
        kernels.tanh_forward(z, out=guarded[64:-64])
    with fastnn.threads(1):
        np.testing.assert_array_equal(guarded[64:-64], kernels.tanh_forward(z))
    assert (guarded[:64] == 7).all()
    assert (guarded[-64:] == 7).all()


def test_a_smaller_array_is_shared_out_only_after_another_call(started: list[int], soon: Soon) -> None:
    out = np.empty_like(SMALLER)

    def several_calls() -> None:
        with fastnn.threads(2):
            for _ in range(50):  # one soon after the other, unless another process takes the core
                kernels.sigmoid_forward(SMALLER, out=out)

    alone = sigmoid(SMALLER, 1)
    time.sleep(0.001)
    assert sigmoid(SMALLER, 2) == alone
    assert started == []
    assert soon(lambda: len(started) > 0, several_calls)
    assert out.tobytes() == alone
    assert sigmoid(SMALLER[:2], 2) == alone[: SMALLER[:2].nbytes]  # never worth it


# --- their lives -----------------------------------------------------------------------------------------


def test_helpers_wait_for_the_next_call_and_end_if_none_comes(
    started: list[int], others: int, soon: Soon, dismiss_helpers: Callable[[], None]
) -> None:
    out, before = np.empty_like(LARGE), [0]

    def several_calls() -> None:
        dismiss_helpers()  # so that all who do jobs are started here
        started.clear()
        before[0] = pool.count_jobs()
        with fastnn.threads(2):
            for _ in range(50):
                kernels.sigmoid_forward(LARGE, out=out)

    several_calls()
    # Who ends after a call does no second job, unless the next one comes in that very moment.
    assert soon(lambda: pool.count_jobs() - before[0] >= 5 + len(started), several_calls)
    assert soon(lambda: pool.count_workers() == 0)
    assert soon(lambda: _thread._count() <= others)


def test_helpers_that_wait_are_retired(others: int, soon: Soon) -> None:
    gone: list[bool] = []

    def call_and_retire() -> None:
        sigmoid(LARGE, 3)
        if pool.count_workers():  # else they have ended by themselves
            pool.retire()
            gone.append(pool.count_workers() == 0)

    assert soon(lambda: len(gone) == 20, call_and_retire)
    assert any(gone)  # not all: nobody waits for a helper that has no core for 10 ms
    assert soon(lambda: _thread._count() <= others)


def test_no_thread_is_started_for_one(started: list[int]) -> None:
    jobs = pool.count_jobs()
    sigmoid(LARGE, 1)
    assert started == []
    assert pool.count_workers() == 0
    assert pool.count_jobs() == jobs


def test_a_helper_that_never_begins_is_not_waited_for(
    others: int, soon: Soon, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = sigmoid(LARGE, 1)
    postponed: list[tuple[Callable[..., object], tuple[int, int]]] = []
    real = _thread.start_new_thread
    monkeypatch.setattr(_thread, "start_new_thread", lambda *start: postponed.append(start))
    for _ in range(3):
        assert sigmoid(LARGE, 4) == alone
    assert len(postponed) == 3  # their seats are taken: the next calls give the same ones jobs
    for start in postponed:  # at last they come, find nothing to do, and end
        real(*start)
    assert soon(lambda: _thread._count() <= others)
    assert sigmoid(LARGE, 4) == alone


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), MemoryError("no memory")])
def test_a_system_that_refuses_threads(
    error: Exception, others: int, soon: Soon, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, real, calls = sigmoid(LARGE, 1), _thread.start_new_thread, [0]

    def start(*arguments: object) -> int:
        calls[0] += 1
        if calls[0] > 1:
            raise error
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(_thread, "start_new_thread", start)
    if isinstance(error, RuntimeError):
        assert sigmoid(LARGE, 4) == alone
    else:
        with pytest.raises(MemoryError, match="no memory"):
            sigmoid(LARGE, 4)
    monkeypatch.undo()
    assert sigmoid(LARGE, 1) == alone
    assert soon(lambda: _thread._count() <= others)
    with fastnn.threads(runtime.available_cpus()):
        assert kernels.sigmoid_forward(LARGE).tobytes() == alone


def test_many_callers_at_once(started: list[int]) -> None:
    """Each result is its own, and all callers together have no more helpers than one of them may."""
    arrays = [LARGE * np.float32(factor) for factor in range(1, 7)]
    alone = [sigmoid(z, 1) for z in arrays]
    wrong: list[int] = []
    together = threading.Barrier(len(arrays))

    def call(number: int) -> None:
        together.wait(SECONDS)
        for _ in range(30):
            if sigmoid(arrays[number], 2 + number % 3) != alone[number]:
                wrong.append(number)

    threads = [threading.Thread(target=call, args=(i,), daemon=True) for i in range(len(arrays))]
    interval = sys.getswitchinterval()
    # Who hires keeps the GIL: `_thread.start_new_thread` does, but `started` puts a function of Python in
    # its place, within which another caller could come in and hire as well.
    sys.setswitchinterval(SECONDS)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS)
            assert not thread.is_alive()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []
    assert max(started) < 3


# --- processes -------------------------------------------------------------------------------------------

FORKS = """
import os, threading, time, warnings
import numpy as np
import fastnn
from fastnn import kernels
from fastnn.run import runtime
from fastnn._core import pool

warnings.simplefilter("error")  # Python 3.12 warns of a fork beside other threads
runtime.available_cpus = lambda: 3
z = np.linspace(-3, 3, 2_100_000, dtype=np.float32)
wanted = kernels.tanh_forward(z).tobytes()
stop = threading.Event()


def fork_and_compare():
    child = os.fork()
    if child == 0:
        jobs, calls, deadline = pool.count_jobs(), 0, time.monotonic() + 60
        while calls < 5 or pool.count_jobs() == jobs:  # the child has helpers of its own
            if kernels.tanh_forward(z).tobytes() != wanted:
                os._exit(1)
            if time.monotonic() > deadline:
                os._exit(2)
            calls += 1
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


for _ in range(10):  # helpers wait
    assert kernels.tanh_forward(z).tobytes() == wanted
    fork_and_compare()
warnings.simplefilter("ignore")


def call():
    while not stop.is_set():
        assert kernels.tanh_forward(z).tobytes() == wanted


# Helpers work, for callers that the child lacks.
busy = [threading.Thread(target=call, daemon=True) for _ in range(2)]
for thread in busy:
    thread.start()
for _ in range(20):
    fork_and_compare()
stop.set()
for thread in busy:
    thread.join()
print("equal")
"""

EXIT = """
import sys
import numpy as np
from fastnn import kernels
from fastnn.run import runtime
runtime.available_cpus = lambda: 3
kernels.tanh_forward(np.zeros(2_100_000, np.float32))
if sys.argv[1] == "raise":
    raise SystemExit(3)
"""


def run(script: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a folder without a fastnn/, which would be taken for the installed one."""
    package = str(Path(fastnn.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_forks_while_helpers_wait_and_while_they_work(tmp_path: Path) -> None:
    done = run(FORKS, tmp_path)
    assert (done.stdout.strip(), done.returncode) == ("equal", 0), done.stderr


@pytest.mark.parametrize(("way", "code"), [("return", 0), ("raise", 3)])
def test_a_process_ends_while_helpers_wait(way: str, code: int, tmp_path: Path) -> None:
    for _ in range(5):
        done = run(EXIT, tmp_path, way)
        assert (done.returncode, done.stderr) == (code, "")
