"""Forks while other threads are in the midst of fastnn, in callbacks, and in signal handlers.

A child has only the thread that forked.  Whatever the others were at, the child predicts, trains and
evaluates the same model and new ones, with right numbers and within a bounded time; BLAS has the threads that
it has outside of fastnn's calls; and the parent goes on as if nothing had happened.

    python tests/stress/forks.py --seconds 60 --seed 0
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import common
import numpy as np
from children import LIMIT, Child, fork, leave
from common import LOSS, Outside, Subject, chain, data, frozen, teams
from harness import Finished, Part, Round

import fastnn
from fastnn import callbacks, kernels, layers
from fastnn.errors import BusyError

PART = Part(__file__)
main = PART.main
THREAD_LIMIT = 10.0  # that a thread of it may
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)


# -- what other threads are at


def _refusable(call: Callable[[], object]) -> None:
    with contextlib.suppress(BusyError):
        call()


def _fit(subject: Subject, epochs: int = 4, **arguments: Any) -> None:
    rows = subject.many, subject.labels
    _refusable(lambda: subject.model.fit(*rows, batch_size=512, epochs=epochs, verbose=0, **arguments))


def _steps(subject: Subject) -> None:
    _refusable(lambda: subject.model.fit(subject.x, subject.y, batch_size=8, epochs=300, verbose=0))


def _set_weights(subject: Subject) -> None:
    weights = subject.model.get_weights()
    _refusable(lambda: subject.model.set_weights([w.copy() for w in weights]))


_Z = np.linspace(-3, 3, 2_100_000, dtype=np.float32)


def _in_one_thread(subject: Subject) -> None:
    with fastnn.threads(1):
        subject.model.predict(subject.many)


BACKGROUNDS: dict[str, Callable[[Subject], object]] = {
    "predict": lambda s: s.model.predict(s.many),
    "model(x)": lambda s: s.model(s.x),
    "evaluate": lambda s: s.model.evaluate(s.many, s.labels, verbose=0),
    "loss_and_gradients": lambda s: s.model.loss_and_gradients(s.x, s.y),
    "fit": _fit,
    "fit with callbacks": lambda s: _fit(s, callbacks=[callbacks.LambdaCallback()], validation_split=0.5),
    "fit of many steps": _steps,
    "train_on_batch": lambda s: _refusable(lambda: s.model.train_on_batch(s.x, s.y)),
    "kernels": lambda s: (kernels.tanh_forward(_Z), kernels.softmax_forward(s.many)),
    "compile": lambda s: _refusable(s.compile),
    "set_weights": _set_weights,
    "new models": lambda s: _refusable(
        lambda: fastnn.Model(s.inputs, layers.Dense(2)(s.hidden)).predict(s.x)
    ),
    "threads": _in_one_thread,
}


@contextlib.contextmanager
def _busy(round_: Round, *calls: Callable[[], object]) -> Iterator[None]:
    """Let threads make calls, again and again, meanwhile."""
    stop = threading.Event()

    def run(call: Callable[[], object]) -> None:
        try:
            while not stop.is_set():
                call()
        except BaseException:
            round_.wrong(f"beside forks: {traceback.format_exc()}")

    threads = [threading.Thread(target=run, args=(call,), daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(LIMIT)
            if thread.is_alive():
                round_.hung(f"a thread beside forks\n{common.where_threads_are()}")
                round_.tainted = True


def _check(subject: Subject, outside: Outside) -> list[str]:
    return common.broken(subject, outside, THREAD_LIMIT)


def _fork_beside(round_: Round, name: str, team: bool, forks: int) -> None:
    """Fork while threads are at something; children and parent keep all promises."""
    subject = Subject(large=bool(round_.rng.integers(2)), optimizer="sgd")
    call = functools.partial(BACKGROUNDS[name], subject)
    with teams() if team else contextlib.nullcontext():
        outside = Outside()
        with _busy(round_, call, call):
            for _ in range(forks):
                time.sleep(round_.rng.uniform(0, 0.005))
                child = fork(functools.partial(_check, subject, outside))
                if not child.join(round_, f"beside {name}{' of a team' if team else ''}"):
                    break
        found = _check(subject, outside)
    if found:
        round_.wrong(f"in the parent of forks beside {name}:\n    " + "\n    ".join(found))
        round_.tainted = True


@PART.scenario(short=len(BACKGROUNDS), limit=150)
def beside_threads(round_: Round) -> None:
    """Forks while two threads use the model."""
    turn, number = divmod(round_.index, len(BACKGROUNDS))
    _fork_beside(round_, list(BACKGROUNDS)[number], False, min(1 + turn, 4))


TEAMS = ("fit", "predict", "fit of many steps", "kernels", "evaluate")


@PART.scenario(short=len(TEAMS), limit=150)
def beside_teams(round_: Round) -> None:
    """The same while teams of threads are at work."""
    turn, number = divmod(round_.index, len(TEAMS))
    _fork_beside(round_, TEAMS[number], True, min(1 + turn, 4))


@PART.scenario(short=1, limit=150)
def weights_of_children(round_: Round) -> None:
    """A child has all of the old weights, or all of the new ones, that another thread is setting."""
    model = chain((256, 256))
    two = [model.get_weights(), [w + 1 for w in model.get_weights()]]
    wanted = {frozen(weights) for weights in two}
    turn = iter(range(10**9))

    def check() -> list[str]:
        return (
            [] if frozen(model.get_weights()) in wanted else ["weights are neither the old nor the new ones"]
        )

    with _busy(round_, lambda: model.set_weights(two[next(turn) % 2])):
        for _ in range(40):
            time.sleep(round_.rng.uniform(0, 0.001))
            if not fork(check).join(round_, "beside set_weights"):
                break


@PART.scenario(short=1, limit=150)
def many_short(round_: Round) -> None:
    """Hundreds of short children, each of which predicts, beside threads with helpers."""
    model = chain((64,))
    x = data(40)[0]
    wanted = frozen(model.predict(x)), frozen(model(x[:3]))
    outside = Outside()

    def check() -> list[str]:
        found = outside.broken()
        if (frozen(model.predict(x)), frozen(model(x[:3]))) != wanted:
            found.append("wrong numbers")
        return found

    with _busy(round_, lambda: model.predict(x), lambda: kernels.tanh_forward(_Z)):
        for _ in range(75):
            children = [fork(check), fork(check)]
            ended = [child.join(round_, "beside predictions and kernels") for child in children]
            if not all(ended):
                break


@PART.scenario(short=1, limit=150)
def from_threads(round_: Round) -> None:
    """Several threads fork at once, each for itself, while others predict."""
    subject = Subject(optimizer="sgd")
    outside = Outside()

    def forks() -> None:
        for _ in range(3):
            child = fork(functools.partial(_check, subject, outside))
            if not child.join(round_, "by a thread that is not the main one"):
                break

    with _busy(round_, lambda: subject.model.predict(subject.many)):
        common.together(round_, forks, forks, limit=120)


@PART.scenario(short=1, limit=150)
def generations(round_: Round) -> None:
    """Children that have threads of their own, and fork."""
    subject = Subject(optimizer="sgd")
    outside = Outside()

    def again() -> list[str]:
        told = Round("", 0, 0, _Told())  # type: ignore[arg-type]
        with _busy(told, lambda: subject.model.predict(subject.many)):
            fork(lambda: _check(subject, outside)).join(told, "of a child")
        return told._tally.messages + _check(subject, outside)

    with _busy(round_, lambda: _fit(subject)):
        for _ in range(2):
            fork(again).join(round_, "beside fit, which forks itself", 2 * LIMIT)


class _Told:
    """What takes the place of a tally in a child."""

    def __init__(self) -> None:
        self.did: dict[str, int] = {"forks": 0}
        self.wrong = self.crashes = self.hangs = 0
        self.messages: list[str] = []

    def say(self, message: str) -> None:
        self.messages.append(message)


def _work(subject: Subject, outside: Outside, folder: str) -> None:
    found = _check(subject, outside)
    Path(folder, str(os.getpid())).write_text("\n".join(found), encoding="utf-8")


@PART.scenario(short=1, limit=150)
def processes(round_: Round) -> None:
    """`multiprocessing` with its start method fork, while another thread trains or predicts."""
    subject = Subject(large=True, optimizer="sgd")
    outside = Outside()
    name = ("fit", "predict", "compile", "evaluate")[round_.index % 4]
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder, _busy(round_, lambda: BACKGROUNDS[name](subject)):
        started = [context.Process(target=_work, args=(subject, outside, folder)) for _ in range(2)]
        for process in started:
            process.start()
        for process in started:
            process.join(LIMIT)
            round_.did("processes")
            if process.is_alive():
                process.kill()
                process.join()
                round_.hung(f"a process started beside {name}")
                continue
            told = Path(folder, str(process.pid))
            if round_.expect(process.exitcode == 0 and told.exists(), f"exit code {process.exitcode}"):
                found = told.read_text(encoding="utf-8")
                round_.expect(not found, f"in a process started beside {name}: {found}")


# -- before the kernels are loaded

FIRST_USE = """
import faulthandler, os, signal, sys, threading, time, traceback, warnings
import numpy as np
import fastnn
from fastnn import layers

warnings.simplefilter("ignore", DeprecationWarning)
rng = np.random.default_rng(int(sys.argv[1]))
x = rng.standard_normal((30, 20))


def predict():
    hidden = layers.Dense(9, "relu")
    model = fastnn.Sequential([fastnn.Input((20,)), hidden, layers.Dense(4)], dtype="float64")
    w = model.get_weights()
    wanted = np.maximum(x @ w[0] + w[1], 0) @ w[2] + w[3]
    return np.allclose(model.predict(x), wanted, rtol=1e-12)


def run(job, limit):
    # Returns the status of a child that did a job, and 3 if it hangs.
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            faulthandler.enable()
            status = job()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    end = time.monotonic() + limit
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            os.kill(pid, signal.SIGABRT)
            time.sleep(1)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return 3
        time.sleep(0.001)


def load():
    # The kernels are loaded by another thread, at its first call; meanwhile this one forks.
    assert "fastnn._core._kernels_base" not in sys.modules and "scipy.linalg" not in sys.modules
    thread = threading.Thread(target=predict)
    thread.start()
    forks = 0
    while thread.is_alive() or not forks:
        time.sleep(rng.uniform(0, 0.03))
        forks += 1
        if status := run(lambda: 0 if predict() else 2, 20):
            return status
    thread.join()
    return 0 if predict() else 2


for _ in range(int(sys.argv[2])):
    status = run(load, 60)
    print(status, flush=True)
    if status == 3:
        break
"""


@PART.scenario(short=1, limit=300)
def first_use(round_: Round) -> None:
    """Forks while another thread's first call loads the kernels, and SciPy's BLAS."""
    seed, times = int(round_.rng.integers(10**6)), 4
    with tempfile.TemporaryFile() as errors:
        done = subprocess.run(
            [sys.executable, "-c", FIRST_USE, str(seed), str(times)],
            stdout=subprocess.PIPE,
            stderr=errors,
            check=False,
        )
        errors.seek(0)
        told = errors.read().decode(errors="replace").partition("\nExtension modules:")[0]
    statuses = [int(line) for line in done.stdout.split()]
    round_.did("first uses", len(statuses))
    whole = len(statuses) == times or 3 in statuses
    round_.expect(done.returncode == 0 and whole, f"the script failed: {told}")
    for status in statuses:
        if status == 3:
            round_.hung(f"a child forked while another thread loads the kernels\n{told}")
        elif status < 0:
            round_.crashed(f"a child forked while another thread loads the kernels: {status}\n{told}")
        else:
            round_.expect(status == 0, f"a child forked while another thread loads the kernels: {told}")


# -- forks in the thread that trains


class Forker(callbacks.Callback):
    """Forks at the end of some batch or epoch; the child goes on, too."""

    def __init__(self, at: int, check: Callable[[fastnn.Model], list[str]]) -> None:
        super().__init__()
        self.at, self.check, self.calls = at, check, 0
        self.child: Child | None = None
        self.write = -1  # where the child tells what is wrong; not negative in the child only
        self.found: list[str] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.calls += 1
        if self.calls != self.at:
            return
        read, write = os.pipe()
        pid = os.fork()
        if pid:
            os.close(write)
            self.child = Child(pid, read)
        else:
            self.write = write
            self.found += self.check(self.model)  # type: ignore[arg-type]


@functools.cache
def _trained(large: bool) -> Any:
    subject = Subject(large)
    history = subject.model.fit(subject.many, subject.labels, batch_size=256, epochs=3, verbose=0).history
    return frozen(history), frozen(subject.model.get_weights())


@PART.scenario(short=4, limit=150)
def in_callbacks(round_: Round) -> None:
    """A callback forks, and both processes go on with the same training."""
    large = bool(round_.index % 2)
    wanted = _trained(large)
    outside = Outside()
    subject = Subject(large)

    def check(model: fastnn.Model) -> list[str]:
        found = outside.broken()
        twin = subject.twin()
        if frozen(model.predict(subject.x)) != frozen(twin.predict(subject.x)):
            found.append("predict in the callback gives wrong numbers")
        try:
            model.compile("sgd", LOSS)
            found.append("compile in the callback was not refused")
        except BusyError:
            pass
        return found

    forker = Forker(int(round_.rng.integers(1, 12)), check)

    def fit() -> list[str]:
        history = subject.model.fit(
            subject.many, subject.labels, batch_size=256, epochs=3, verbose=0, callbacks=[forker]
        )
        result = frozen(history.history), frozen(subject.model.get_weights())
        return forker.found + ([] if result == wanted else ["training went on otherwise"])

    try:
        found = fit()
    finally:
        if forker.write >= 0:
            leave(forker.write, lambda: found + _check(subject, outside))
    for message in found:
        round_.wrong(f"in the parent: {message}")
    assert forker.child is not None
    forker.child.join(round_, "in a callback")


# Long enough for the executor to look for signals, every 0.1 s.
LONG: dict[str, tuple[bool, bool, dict[str, Any]]] = {
    "a large model": (True, False, {"batch_size": 512, "epochs": 60}),
    "a small model": (False, False, {"batch_size": 32, "epochs": 3000}),
    "a team": (False, True, {"batch_size": 512, "epochs": 400, "n_threads": 3}),
    "a team's large model": (True, True, {"batch_size": 512, "epochs": 40, "n_threads": 2}),
}


@functools.cache
def _long(name: str) -> Any:
    large, team, arguments = LONG[name]
    subject = Subject(large)
    with teams() if team else contextlib.nullcontext():
        history = subject.model.fit(subject.many, subject.labels, verbose=0, **arguments).history
    return frozen(history), frozen(subject.model.get_weights())


@PART.scenario(short=len(LONG), limit=150)
def in_signal_handlers(round_: Round) -> None:
    """A handler forks in the midst of a run: the child goes on rightly, or is refused, or just ends."""
    name = list(LONG)[round_.index % len(LONG)]
    ends = (round_.index + round_.index // len(LONG)) % 2
    large, team, arguments = LONG[name]
    wanted = _long(name)
    subject = Subject(large)
    children: list[Child] = []
    mine: list[int] = []

    def handler(number: int, frame: object) -> None:
        if children or mine:
            return
        read, write = os.pipe()
        if pid := os.fork():
            os.close(write)
            children.append(Child(pid, read))
        elif ends:
            os._exit(0)
        else:
            mine.append(write)

    before = signal.signal(signal.SIGALRM, handler)
    with teams() if team else contextlib.nullcontext():
        outside = Outside()

        def fit() -> list[str]:
            try:
                history = subject.model.fit(subject.many, subject.labels, verbose=0, **arguments).history
            except BusyError:
                return [] if mine else ["the parent was refused"]
            result = frozen(history), frozen(subject.model.get_weights())
            return [] if result == wanted else [f"training of {name} went on otherwise"]

        signal.setitimer(signal.ITIMER_REAL, round_.rng.uniform(0.0001, 0.1))
        found = []
        try:
            found = fit()
        except BaseException:
            found = [traceback.format_exc()]
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            if mine:
                leave(mine[0], lambda: found + _check(subject, outside))
        found += outside.broken()
    signal.signal(signal.SIGALRM, before)
    for message in found:
        round_.wrong(f"in the parent: {message}")
    what = f"in a signal handler, training {name}, {'which ends' if ends else 'which goes on'}"
    for child in children:
        child.join(round_, what)
    if not children:
        round_.did("forks too late")


# -- warnings

WARNED = """
import os, warnings
import numpy as np
from common import Subject, teams
from fastnn import kernels

subject = Subject(large=True)
z = np.ones(2_100_000, np.float32)
counts = [0, 0]
with teams():
    for _ in range(50):
        for i, job in enumerate((
            lambda: subject.model.fit(subject.many, subject.labels, batch_size=512, n_threads=3, verbose=0),
            lambda: kernels.tanh_forward(z),
        )):
            job()
            with warnings.catch_warnings(record=True) as found:
                warnings.simplefilter("always")
                pid = os.fork()
                if pid == 0:
                    os._exit(0)
                os.waitpid(pid, 0)
            counts[i] += len(found)
print(*counts)
"""


@PART.scenario(short=1, limit=150)
def warned(round_: Round) -> None:
    """Python warns of forks of a process with threads: none of these is ours once a call has ended."""
    if sys.version_info < (3, 12):
        round_.did("skipped: Python 3.12 begins to warn")
        raise Finished
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # whose threads stay
    folder = str(Path(__file__).parent)
    environment["PYTHONPATH"] = os.pathsep.join([folder, environment.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", WARNED], capture_output=True, text=True, check=False, env=environment
    )
    round_.did("forks", 100)
    if round_.expect(done.returncode == 0, done.stderr):
        for what, count in zip(("fit", "kernels"), done.stdout.split(), strict=True):
            round_.expect(count == "0", f"{count} of 50 forks after {what} warned of threads")


if __name__ == "__main__":
    PART.command_line()
