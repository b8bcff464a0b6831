"""Real signals at any time: handlers that raise, and handlers that use the very model that is at work.

Signals come from a timer after a random number of microseconds, or from another process.  What was
interrupted raises what the handler raised, or completes; what a handler calls answers rightly, or is refused;
and afterwards all promises hold.

    python tests/stress/signals.py --seconds 60 --seed 0
"""

from __future__ import annotations

import contextlib
import functools
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any

import acts
import common
import numpy as np
from acts import ACTS, steps_of
from common import READS, Outside, Subject, frozen
from harness import Part, Round

import fastnn
from fastnn import layers
from fastnn.errors import BusyError

PART = Part(__file__)
main = PART.main
LIMIT = 40.0
LEAST = 2e-6  # seconds; a timer of none is none


def _least(call: Callable[[], float], times: int = 3) -> float:
    """Return the least time of a few, as the machine may be busy, after a first one that compiles."""
    return min([call() for _ in range(1 + times)][1:])


@functools.cache
def _seconds(name: str) -> float:
    """Return how long an act takes on a subject that has done it before."""
    act = ACTS[name]
    subject = Subject(act.large)

    def timed() -> float:
        made = act.prepare(subject)
        since = time.perf_counter()
        act.run(subject, made)
        return time.perf_counter() - since

    with act.around():
        return _least(timed)


class Trap:
    """A signal that is caught by one call of a handler, while it is armed."""

    number = signal.SIGALRM

    def __init__(self, handler: Callable[[], object]) -> None:
        self.handler = handler
        self.armed, self.caught = False, False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.armed:
            self.armed, self.caught = False, True
            self.handler()

    def send(self, delay: float) -> None:
        """Have the signal come after some seconds."""
        signal.setitimer(signal.ITIMER_REAL, max(delay, LEAST))

    def settle(self) -> None:
        """Return when no signal can come any more."""
        signal.setitimer(signal.ITIMER_REAL, 0)

    def run(self, delay: float, call: Callable[[], Any]) -> tuple[Any, BaseException | None]:
        """Make a call that a signal may interrupt; return its result and what it raised."""
        result: Any = None
        raised: BaseException | None = None
        before = signal.signal(self.number, self)
        try:
            self.armed = True
            self.send(delay)
            result = call()
            self.armed = False
        except BaseException as error:
            raised = error
        self.armed = False
        self.settle()
        signal.signal(self.number, before)
        return result, raised


SNIPER = """
import os, signal, sys, time
for line in sys.stdin:
    time.sleep(float(line))
    os.kill(os.getppid(), signal.SIGINT)
    print(flush=True)
"""


class Sniped(Trap):
    """A signal from another process, which takes its time."""

    number = signal.SIGINT

    def send(self, delay: float) -> None:
        sniper = self._sniper()
        sniper.stdin.write(f"{delay}\n")
        sniper.stdin.flush()

    def settle(self) -> None:
        self._sniper().stdout.readline()

    @staticmethod
    @functools.cache
    def _sniper() -> Any:
        """Return a process that sends SIGINT when it is told to."""
        return subprocess.Popen(
            [sys.executable, "-c", SNIPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )


class Told(Exception):
    """What a handler raises that is no KeyboardInterrupt."""


def _interrupted(round_: Round, kind: type[BaseException], trap_of: type[Trap], before: str = "") -> None:
    """Have a handler raise in the midst of an act, and check all promises."""
    names = list(ACTS)
    name = names[round_.index % len(names)]
    act = ACTS[name]
    if act.fit is not None:
        steps_of(name)
    seconds = _seconds(name)
    found: list[str] = []
    with act.around():
        outside = Outside()
        for attempt in range(4):  # processes are late; then the signal is sent as soon as can be
            subject = Subject(act.large)
            if round_.rng.integers(2):
                act.run(subject, act.prepare(subject))  # programs are compiled
            made = act.prepare(subject)

            def handler(subject: Subject = subject) -> None:
                if before:
                    _called(subject, before)
                raise kind("of a handler")

            trap = trap_of(handler)
            delay = 0.0 if attempt else float(round_.rng.uniform(0, 1.1)) * seconds
            _, raised = trap.run(delay, functools.partial(act.run, subject, made))
            if trap.caught:
                break
        round_.did("interrupts" if trap.caught else "signals too late")
        if raised is not None and type(raised) is not kind:
            found.append(f"raised {type(raised).__name__}: {raised}")
        found += acts.broken(name, subject, made, outside)
    if found:
        round_.wrong(f"{name} interrupted by {kind.__name__}\n    " + "\n    ".join(found))
        round_.tainted = True


@PART.scenario(short=24, limit=LIMIT)
def interrupts_by_a_timer(round_: Round) -> None:
    """The handler raises KeyboardInterrupt."""
    _interrupted(round_, KeyboardInterrupt, Trap)


@PART.scenario(short=6, limit=LIMIT)
def interrupts_by_a_process(round_: Round) -> None:
    """The same, of SIGINT from another process."""
    _interrupted(round_, KeyboardInterrupt, Sniped)


@PART.scenario(short=8, limit=LIMIT)
def errors_in_handlers(round_: Round) -> None:
    """The handler raises an exception of its own, some of them after it has used the model."""
    before = "" if round_.rng.integers(2) else str(round_.rng.choice(list(READS)))
    _interrupted(round_, Told, Trap, before)


# -- handlers that use the model


def _called(subject: Subject, name: str) -> Any:
    """Read a model in a handler; return the answer, or None if it was refused."""
    try:
        return frozen(READS[name](subject.model, subject.x, subject.y))
    except BusyError:
        return None


def _new_model(subject: Subject) -> object:
    return fastnn.Model(subject.inputs, layers.Dense(2)(subject.hidden)).predict(subject.x)


# What a handler changes the model by.
CHANGES: dict[str, Callable[[Subject], object]] = {
    "fit": lambda s: s.model.fit(s.x, s.y, batch_size=16, verbose=0),
    "fit of many rows": lambda s: s.model.fit(s.many, s.labels, batch_size=512, verbose=0),
    "train_on_batch": lambda s: s.model.train_on_batch(s.x, s.y),
    "set_weights": lambda s: s.model.set_weights([0.5 - w for w in s.model.get_weights()]),
    "compile": lambda s: s.compile(),
    "new model": _new_model,
    "fit of the other model": lambda s: s.sibling.fit(s.x, s.three, verbose=0),
}
# Rows of calls in which the executor looks for signals, every 0.1 s.
LONG_ROWS = {"predict": 200_000, "evaluate": 200_000, "loss_and_gradients": 60_000}


@functools.cache
def _long_rows(name: str) -> tuple[np.ndarray, np.ndarray]:
    return common.data(LONG_ROWS[name], 9)


MAIN_READS: dict[str, Callable[[Subject], Any]] = {
    **{
        f"long {name}": lambda s, name=name: READS[name](s.model, *_long_rows(name))  # type: ignore[misc]
        for name in LONG_ROWS
    },
    **{name: lambda s, read=read: read(s.model, s.x, s.y) for name, read in READS.items()},  # type: ignore[misc]
}


@functools.cache
def _read_seconds(name: str) -> float:
    subject = Subject(large=True)

    def timed() -> float:
        since = time.perf_counter()
        MAIN_READS[name](subject)
        return time.perf_counter() - since

    return _least(timed, 1 if name.startswith("long") else 3)


@functools.cache
def _right(name: str) -> Any:
    return frozen(MAIN_READS[name](Subject(large=True)))


def _in_handler(round_: Round, what: str, call: Callable[[], Any]) -> Callable[[], None]:
    """Return a handler that makes a call, which may be refused."""

    def handler() -> None:
        try:
            call()
            round_.did("calls in handlers")
        except BusyError:
            round_.did("refused in handlers")
        except BaseException:
            round_.wrong(f"{what} in a handler: {traceback.format_exc()}")

    return handler


@PART.scenario(short=10, limit=LIMIT)
def reading_in_reading(round_: Round) -> None:
    """Handlers read the model, or change it, while it is read: answers are of the old weights or the new."""
    rng = round_.rng
    main_name = str(rng.choice(list(MAIN_READS)))
    changes = bool(rng.integers(2))
    name = str(rng.choice(list(CHANGES) if changes else list(READS)))
    subject = Subject(large=True)
    outside = Outside()
    if rng.integers(2):
        MAIN_READS[main_name](subject)
    twin = Subject(large=True)
    wanted = {_right(main_name)}
    what = f"{name} in a handler during {main_name}"

    def call() -> None:
        if changes:
            CHANGES[name](subject)
            return
        answer = frozen(READS[name](subject.model, subject.x, subject.y))
        right = frozen(READS[name](twin.model, twin.x, twin.y))
        round_.expect(answer == right, f"{what} gave a wrong answer")

    trap = Trap(_in_handler(round_, what, call))
    delay = float(rng.uniform(0, 1.1)) * _read_seconds(main_name)
    result, raised = trap.run(delay, lambda: MAIN_READS[main_name](subject))
    if not trap.caught:
        round_.did("signals too late")
    if raised is not None:
        round_.wrong(f"{what}: {main_name} raised {type(raised).__name__}: {raised}")
    else:
        if changes and frozen(result) not in wanted:
            twin.model.set_weights(subject.model.get_weights())
            wanted.add(frozen(MAIN_READS[main_name](twin)))
        round_.expect(frozen(result) in wanted, f"{what}: {main_name} gave a wrong answer")
    if found := common.broken(subject, outside):
        round_.wrong(f"after {what}\n    " + "\n    ".join(found))
        round_.tainted = True


FITS = [name for name, act in ACTS.items() if act.fit is not None]
# Long enough for the executor to look for signals.
LONG_FITS: dict[str, tuple[bool, bool, dict[str, Any]]] = {
    "large": (True, False, {"batch_size": 512, "epochs": 50}),
    "small": (False, False, {"batch_size": 64, "epochs": 4000}),
    "team": (False, True, {"batch_size": 512, "epochs": 300, "n_threads": 3}),
}


def _read_in_training(round_: Round, what: str, subject: Subject, name: str, team: bool) -> None:
    """Read a model in a handler: the answer is that of the weights of the moment, in the midst of a step."""
    before = subject.model.get_weights()
    answer = frozen(READS[name](subject.model, subject.x, subject.y))
    if frozen(subject.model.get_weights()) != frozen(before):  # the others of a team are in the same step
        round_.expect(team, f"{what}: weights change while the handler runs")
    else:
        twin = subject.twin()
        twin.set_weights(before)
        round_.expect(
            answer == frozen(READS[name](twin, subject.x, subject.y)), f"{what} gave a wrong answer"
        )


@functools.cache
def _long_fit(name: str) -> tuple[Any, Any]:
    large, team, arguments = LONG_FITS[name]
    subject = Subject(large)
    with common.teams() if team else contextlib.nullcontext():
        history = subject.model.fit(subject.many, subject.labels, verbose=0, **arguments).history
    return frozen(history), frozen(subject.model.get_weights())


@PART.scenario(short=3, limit=LIMIT)
def calls_in_long_fits(round_: Round) -> None:
    """Handlers read the model, or change it, in the midst of a run of many steps."""
    rng = round_.rng
    fitted = list(LONG_FITS)[round_.index % len(LONG_FITS)]
    large, team, arguments = LONG_FITS[fitted]
    changes = bool(rng.integers(2))
    name = str(rng.choice(list(CHANGES) if changes else list(READS)))
    what = f"{name} in a handler during a long fit ({fitted})"
    wanted = _long_fit(fitted)
    subject = Subject(large)
    changed = []

    def call() -> None:
        if changes:
            CHANGES[name](subject)
            changed.append(name)
        else:
            _read_in_training(round_, what, subject, name, team)

    with common.teams() if team else contextlib.nullcontext():
        outside = Outside()
        trap = Trap(_in_handler(round_, what, call))
        delay = float(rng.uniform(0, 0.1))
        result, raised = trap.run(
            delay,
            lambda: subject.model.fit(subject.many, subject.labels, verbose=0, **arguments).history,
        )
        if not trap.caught:
            round_.did("signals too late")
        if raised is not None:
            round_.wrong(f"{what}: fit raised {type(raised).__name__}: {raised}")
        elif not changed:
            round_.expect(frozen(result) == wanted[0], f"{what}: other losses than undisturbed")
            found = frozen(subject.model.get_weights())
            round_.expect(found == wanted[1], f"{what}: other weights than undisturbed")
        if broken := common.broken(subject, outside):
            round_.wrong(f"after {what}\n    " + "\n    ".join(broken))
            round_.tainted = True


@PART.scenario(short=14, limit=LIMIT)
def calls_in_fits(round_: Round) -> None:
    """The same at any time of short fits."""
    rng = round_.rng
    fitted = FITS[round_.index % len(FITS)]
    act, steps = ACTS[fitted], steps_of(fitted)
    changes = bool(rng.integers(2))
    name = str(rng.choice(list(CHANGES) if changes else list(READS)))
    what = f"{name} in a handler during {fitted}"
    changed = []
    with act.around():
        outside = Outside()
        subject = Subject(act.large)

        def call() -> None:
            if changes:
                CHANGES[name](subject)
                changed.append(name)
            else:
                _read_in_training(round_, what, subject, name, act.team)

        trap = Trap(_in_handler(round_, what, call))
        delay = float(rng.uniform(0, 1.1)) * _seconds(fitted)
        _, raised = trap.run(delay, lambda: act.run(subject, None))
        if not trap.caught:
            round_.did("signals too late")
        if raised is not None and not (changed and isinstance(raised, BusyError)):
            round_.wrong(f"{what}: fit raised {type(raised).__name__}: {raised}")
        found = []
        if not changed:
            number = len(steps.weights) // 2
            if frozen(subject.model.get_weights()) != steps.weights[number]:
                found.append("training went on otherwise")
            found += steps.broken(subject.model)
        found += common.broken(subject, outside)
    if found:
        round_.wrong(f"after {what}\n    " + "\n    ".join(found))
        round_.tainted = True


def _weights(subject: Subject) -> list[list[np.ndarray]]:
    return [subject.model.get_weights(), [w + 1 for w in subject.model.get_weights()]]


@PART.scenario(short=8, limit=LIMIT)
def calls_in_set_weights(round_: Round) -> None:
    """Handlers read or replace weights in the midst of `set_weights`: all are old, or all are new."""
    rng = round_.rng
    subject = Subject(large=bool(rng.integers(2)))
    outside = Outside()
    old, new = _weights(subject)
    names = ("get_weights", "predict", "call", "set_weights")
    name = names[round_.index % len(names)]
    wanted = set()
    twin = Subject(*subject.arguments)
    for weights in (old, new):
        twin.model.set_weights(weights)
        if name in READS:
            wanted.add(frozen(READS[name](twin.model, subject.x, subject.y)))
    what = f"{name} in a handler during set_weights"

    def call() -> None:
        if name == "set_weights":
            subject.model.set_weights(old)
        else:
            answer = frozen(READS[name](subject.model, subject.x, subject.y))
            round_.expect(answer in wanted, f"{what} gave what is neither old nor new")

    trap = Trap(_in_handler(round_, what, call))
    delay = float(rng.uniform(0, 1.5)) * _seconds("set_weights")
    _, raised = trap.run(delay, lambda: subject.model.set_weights(new))
    if not trap.caught:
        round_.did("signals too late")
    round_.expect(raised is None, f"{what}: set_weights raised {raised!r}")
    found = frozen(subject.model.get_weights())
    round_.expect(found in (frozen(old), frozen(new)), f"{what}: weights are neither old nor new")
    if broken := common.broken(subject, outside):
        round_.wrong(f"after {what}\n    " + "\n    ".join(broken))
        round_.tainted = True


if __name__ == "__main__":
    PART.command_line()
