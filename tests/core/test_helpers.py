"""Threads that help: who starts, waits, ends, and what they do for the doors of `fastnn.kernels`.

Nothing here measures speed.  How long helpers wait is known, not how busy the machine is: what should
happen "soon" is waited for.
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
from fastnn import kernels, runtime
from fastnn._core import helpers

SECONDS = 60.0
LARGE = np.random.default_rng(0).normal(0, 2, (3, 1001, 701)).astype(np.float32)  # sizes that do not divide
SMALLER = LARGE[0, :500]  # shared out only if a helper may be waiting


def alive() -> set[int]:
    """Return the threads that Python knows, those without a `threading.Thread` included."""
    return set(sys._current_frames())


def soon(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.001)
    return condition()


@pytest.fixture
def others() -> set[int]:
    """Return the threads that are there before the test."""
    return alive()


@pytest.fixture(autouse=True)
def four_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let four threads work on any machine, and begin without a helper that waits."""
    monkeypatch.setattr(runtime, "available_cpus", lambda: 4)
    monkeypatch.delenv("FASTNN_NUM_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    helpers.retire()
    helpers.forget()  # that they should rest, as four threads were too many
    time.sleep(0.001)  # longer than calls are taken to follow each other


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
@pytest.mark.parametrize("name", ["sigmoid", "tanh", "relu", "leaky_relu", "elu", "softmax"])
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


def test_a_smaller_array_is_shared_out_only_after_another_call(started: list[int]) -> None:
    alone = sigmoid(SMALLER, 1)
    time.sleep(0.001)
    assert sigmoid(SMALLER, 2) == alone
    assert started == []
    for _ in range(1000):  # the next call should come soon enough, unless the machine is busy
        assert sigmoid(SMALLER, 2) == alone
        if started:
            break
    assert started
    assert sigmoid(SMALLER[:2], 2) == alone[: SMALLER[:2].nbytes]  # never worth it


# --- their lives -----------------------------------------------------------------------------------------


def test_helpers_wait_for_the_next_call_and_end_if_none_comes(started: list[int], others: set[int]) -> None:
    jobs, out = helpers.count_jobs(), np.empty_like(LARGE)
    with fastnn.threads(2):
        for _ in range(300):
            kernels.sigmoid_forward(LARGE, out=out)
    assert 1 <= len(started) < 150
    assert helpers.count_jobs() > jobs + 1
    assert soon(lambda: alive() <= others)


def test_helpers_that_wait_are_retired_at_once(others: set[int]) -> None:
    for _ in range(20):
        sigmoid(LARGE, 3)
        helpers.retire()
        assert soon(lambda: alive() <= others)


def test_no_thread_is_started_for_one() -> None:
    before, jobs = alive(), helpers.count_jobs()
    sigmoid(LARGE, 1)
    assert alive() <= before
    assert helpers.count_jobs() == jobs


def test_a_helper_that_never_begins_is_not_waited_for(
    others: set[int], monkeypatch: pytest.MonkeyPatch
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
    assert soon(lambda: alive() <= others)
    assert sigmoid(LARGE, 4) == alone


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), MemoryError("no memory")])
def test_a_system_that_refuses_threads(
    error: Exception, others: set[int], monkeypatch: pytest.MonkeyPatch
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
    assert soon(lambda: alive() <= others)
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
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive()
    assert wrong == []
    assert max(started) < 3


# --- processes -------------------------------------------------------------------------------------------

FORKS = """
import os, threading, time, warnings
import numpy as np
import fastnn
from fastnn import kernels, runtime
from fastnn._core import helpers

warnings.simplefilter("error")  # Python 3.12 warns of a fork beside other threads
runtime.available_cpus = lambda: 3
z = np.linspace(-3, 3, 2_100_000, dtype=np.float32)
wanted = kernels.tanh_forward(z).tobytes()
stop = threading.Event()


def fork_and_compare():
    child = os.fork()
    if child == 0:
        jobs, calls = helpers.count_jobs(), 0
        while calls < 5 or helpers.count_jobs() == jobs and calls < 1000:  # the child has helpers of its own
            if kernels.tanh_forward(z).tobytes() != wanted:
                os._exit(1)
            calls += 1
        os._exit(0 if helpers.count_jobs() > jobs else 2)
    assert os.waitpid(child, 0)[1] == 0


for _ in range(10):  # helpers wait
    assert kernels.tanh_forward(z).tobytes() == wanted
    fork_and_compare()
warnings.simplefilter("ignore")


def call():
    while not stop.is_set():
        assert kernels.tanh_forward(z).tobytes() == wanted


busy = [threading.Thread(target=call) for _ in range(2)]  # helpers work, for callers that the child lacks
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
from fastnn import kernels, runtime
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
