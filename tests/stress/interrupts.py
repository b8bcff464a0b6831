"""Interrupts at every line: a KeyboardInterrupt is raised where Python could have noticed a signal.

Each scenario is a call that is traced once; then it is run again for every place that it came by, with an
exception there, and all promises are checked.  Places are the lines of fastnn's Python files, first each line
once, then every time that it was reached, also in a thread that is not the main one; and the exact points at
which the interpreter looks for signals: after a call of a C function, at the begin of a function, and at the
end of a loop's turn.

    python tests/stress/interrupts.py --seconds 300 --seed 0
    python tests/stress/interrupts.py --only fit --seed 0 --index 17
"""

from __future__ import annotations

import contextlib
import dis
import functools
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import acts
import common
import numpy as np
from acts import ACTS
from harness import Finished, Part, Round

import fastnn

PART = Part(__file__)
main = PART.main
PACKAGE = str(Path(fastnn.__file__).parent)
SHORT = 10
CALLS = frozenset(dis.opmap[name] for name in ("CALL", "CALL_FUNCTION_EX", "CALL_KW") if name in dis.opmap)
LOOKS = frozenset(dis.opmap[name] for name in ("RESUME", "JUMP_BACKWARD") if name in dis.opmap)


@dataclass(frozen=True)
class Place:
    """A place in the code, and how often it was reached before it counts."""

    file: str
    line: int
    offset: int  # of the instruction; -1 is the line
    time: int

    def __str__(self) -> str:
        at = "" if self.offset < 0 else f", instruction {self.offset}"
        return f"{Path(self.file).relative_to(PACKAGE)}:{self.line}{at}, time {self.time}"


@dataclass(frozen=True)
class Target:
    """A place, and the way to it."""

    place: Place
    warm: bool  # whether the same was done before: programs are compiled
    threaded: bool  # whether the main thread is another one


class Trace:
    """What `sys.settrace` takes: keeps the places that come by, and raises at one of them."""

    def __init__(self, target: Place | None, precise: bool) -> None:
        self.target, self.precise = target, precise
        self.places: list[Place] = []
        self.fired = False
        self._times = Counter[tuple[str, int, int]]()
        self._calls = 0

    def __call__(self, frame: FrameType, event: str, argument: object) -> Any:
        self._calls += 1
        if self.fired or not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if not self.precise:
            return self._line
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._instructions()

    def _line(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "line":
            self._reach(frame, -1)
        return self._line

    def _instructions(self) -> Any:
        """Return a function for one frame that stops where the interpreter looks for signals."""
        called, calls = False, 0

        def instruction(frame: FrameType, event: str, argument: object) -> Any:
            nonlocal called, calls
            if event == "opcode":
                code = frame.f_code.co_code[frame.f_lasti]
                # After the call of a Python function it does not look.
                if code in LOOKS or (called and calls == self._calls):
                    self._reach(frame, frame.f_lasti)
                called, calls = code in CALLS, self._calls
            return instruction

        return instruction

    def _reach(self, frame: FrameType, offset: int) -> None:
        if self.fired:
            return
        at = frame.f_code.co_filename, frame.f_lineno, offset
        self._times[at] += 1
        place = Place(*at, self._times[at])
        self.places.append(place)
        if place == self.target:
            self.fired = True
            raise KeyboardInterrupt(str(place))


def _run(name: str, trace: Trace, warm: bool, threaded: bool = False) -> tuple[common.Subject, Any, Any]:
    """Do an act under a trace; return its subject, what was prepared, and what the act raised."""
    act = ACTS[name]
    with act.around():
        subject = common.Subject(act.large)
        if warm:
            act.run(subject, act.prepare(subject))
        made = act.prepare(subject)
        raised: list[BaseException] = []

        def traced() -> None:
            sys.settrace(trace)
            try:
                act.run(subject, made)
            except BaseException as error:
                raised.append(error)
            finally:
                sys.settrace(None)

        if threaded:
            thread = threading.Thread(target=traced, daemon=True)
            thread.start()
            thread.join()
        else:
            traced()
    return subject, made, raised[0] if raised else None


class _Targets:
    """All there is to do for an act, found out as far as it is needed."""

    def __init__(self, name: str, seed: int) -> None:
        self.name, self.seed = name, seed
        self._found: list[Target] = []
        self._more = self._classes()
        _run(name, Trace(None, precise=False), warm=True)  # what is imported, and cached, at first use

    def __getitem__(self, index: int) -> Target:
        """Return a target; raise StopIteration behind the last."""
        while index >= len(self._found):
            targets = next(self._more)
            order = np.random.default_rng([self.seed, len(self._found)]).permutation(len(targets))
            self._found += [targets[i] for i in order]
        return self._found[index]

    def _classes(self) -> Iterator[list[Target]]:
        """Yield places that come by each time, those that come by at first, then every time of all."""
        known: set[Place] = set()
        often: list[Target] = []
        for warm in (True, False):
            places = [place for precise in (False, True) for place in self._trace(warm, precise)]
            often += [Target(place, warm, True) for place in places]
            yield [Target(place, warm, False) for place in places if place.time == 1 and place not in known]
            known.update(places)
        yield often

    def _trace(self, warm: bool, precise: bool) -> list[Place]:
        trace = Trace(None, precise)
        _run(self.name, trace, warm)
        return trace.places


_targets = functools.cache(_Targets)


@functools.cache
def _outside(team: bool) -> common.Outside:
    with common.teams() if team else contextlib.nullcontext():
        return common.Outside()


def interrupt(name: str, round_: Round) -> None:
    """Do an act with an exception at one place, and check all promises."""
    outside = _outside(ACTS[name].team)
    if ACTS[name].fit is not None:
        acts.steps_of(name)
    try:
        target = _targets(name, round_.seed)[round_.index]
    except StopIteration:
        raise Finished from None
    trace = Trace(target.place, target.place.offset >= 0)
    subject, made, raised = _run(name, trace, target.warm, target.threaded)
    if not trace.fired:
        round_.did("places not reached")
        return
    round_.did("interrupts")
    with ACTS[name].around():
        found = acts.broken(name, subject, made, outside)
    if raised is None:
        round_.did("interrupts swallowed")
    elif not isinstance(raised, KeyboardInterrupt):
        found.insert(0, f"raises {type(raised).__name__}: {raised}")
    if found:
        round_.wrong(f"interrupted at {target.place}\n    " + "\n    ".join(found))
        round_.tainted = True


for _name in ACTS:
    PART.scenario(short=SHORT, name=_name)(functools.partial(interrupt, _name))


if __name__ == "__main__":
    PART.command_line()
