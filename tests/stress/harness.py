"""Runs the scenarios of a part in rounds, and counts wrong numbers, crashes and hangs.

A scenario is a function of one `Round`, whose random numbers follow from the seed, the scenario's name and
the round's index: every round can be replayed alone.  Scenarios run in a process of their own, the worker,
which notes in a file where it is; the process that watches it finds out there whom a crash or a hang belongs
to, and starts another worker with the next round.  This file must not know fastnn.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

__all__ = ["Finished", "Part", "Round", "StressError", "Tally", "row"]

AGAIN = 75  # exit status of a worker whose process is no longer as it was: another one goes on
LIMIT = 60.0  # seconds after which a round hangs
LOOK = 0.02  # seconds between two looks at a worker
MESSAGES = 12  # kept of each scenario
CHARACTERS = 3000  # of each message
MOST_DEAD = {False: 40, True: 2}  # crashed and hung workers of a scenario; in the short form


class Finished(Exception):
    """A scenario has done all that there is to do."""


class StressError(AssertionError):
    """Something was wrong; `counts` says how often."""

    def __init__(self, message: str, counts: dict[str, int]) -> None:
        super().__init__(message)
        self.counts = counts


@dataclass
class Tally:
    """What was done, and what was wrong."""

    rounds: int = 0
    did: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    crashes: int = 0
    hangs: int = 0
    messages: list[str] = field(default_factory=list)

    def say(self, message: str) -> None:
        # What is found again elsewhere is counted, but told once.
        known = {told.partition(": ")[2] for told in self.messages}
        if len(self.messages) < MESSAGES and message[:CHARACTERS].partition(": ")[2] not in known:
            short = message if len(message) <= CHARACTERS else f"{message[:1000]}\n[...]\n{message[-2000:]}"
            self.messages.append(short)

    def add(self, other: Tally) -> None:
        self.rounds += other.rounds
        self.did.update(other.did)
        self.wrong += other.wrong
        self.crashes += other.crashes
        self.hangs += other.hangs
        for message in other.messages:
            self.say(message)

    @property
    def failures(self) -> int:
        return self.wrong + self.crashes + self.hangs

    def counts(self) -> dict[str, int]:
        bad = {"wrong": self.wrong, "crashes": self.crashes, "hangs": self.hangs}
        return {"rounds": self.rounds, **self.did, **bad}

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "did": dict(self.did)}

    @classmethod
    def of_json(cls, values: dict[str, Any]) -> Tally:
        return cls(**{**values, "did": Counter(values["did"])})


class Round:
    """One round of a scenario: its random numbers, and where it tells what it found.

    Attributes
    ----------
    rng : numpy.random.Generator
    index : int
    tainted : bool
        Whether the process is no longer as it was before, so that the next round needs another one.
    """

    def __init__(self, name: str, seed: int, index: int, tally: Tally) -> None:
        self.name, self.seed, self.index = name, seed, index
        self.rng = np.random.default_rng([seed, zlib.crc32(name.encode()), index])
        self.tainted = False
        self._tally = tally
        self._lock = threading.Lock()  # rounds have threads

    def did(self, what: str, times: int = 1) -> None:
        """Count what was done."""
        with self._lock:
            self._tally.did[what] += times

    def wrong(self, message: str) -> None:
        """Count a wrong number, or a broken promise."""
        with self._lock:
            self._tally.wrong += 1
            self._tally.say(f"{self}: {message}")

    def hung(self, message: str) -> None:
        """Count a hang."""
        with self._lock:
            self._tally.hangs += 1
            self._tally.say(f"{self}: hangs: {message}")

    def crashed(self, message: str) -> None:
        """Count the crash of a process that the round started."""
        with self._lock:
            self._tally.crashes += 1
            self._tally.say(f"{self}: {message}")

    def expect(self, condition: object, message: str) -> bool:
        """Count a broken promise unless the condition holds."""
        if not condition:
            self.wrong(message)
        return bool(condition)

    def __str__(self) -> str:
        return f"--only {self.name} --seed {self.seed} --index {self.index}"


@dataclass(frozen=True)
class Scenario:
    function: Callable[[Round], None]
    short: int
    limit: float


def row(name: str, tally: Tally, seconds: float) -> str:
    """Return a row of the table."""
    did = ", ".join(f"{times} {what}" for what, times in tally.did.items())
    bad = f"{tally.wrong:6d} wrong {tally.crashes:4d} crashes {tally.hangs:4d} hangs"
    return f"{name:32s} {tally.rounds:7d} rounds {bad} {seconds:7.1f} s   {did}"


class Part:
    """The scenarios of a file.

    Parameters
    ----------
    file : str
        Its ``__file__``.
    """

    def __init__(self, file: str) -> None:
        self.file = Path(file).resolve()
        self.scenarios: dict[str, Scenario] = {}

    def scenario(
        self, *, short: int, limit: float = LIMIT, name: str | None = None
    ) -> Callable[[Callable[[Round], None]], Callable[[Round], None]]:
        """Register a function as a scenario; `short` is how many rounds its short form has."""

        def register(function: Callable[[Round], None]) -> Callable[[Round], None]:
            called = name or function.__name__
            assert called not in self.scenarios, called
            self.scenarios[called] = Scenario(function, short, limit)
            return function

        return register

    def main(self, seconds: float, seed: int) -> dict[str, int]:
        """Run all scenarios for so many seconds together; return how often what was done.

        Raises
        ------
        StressError
            An AssertionError, if anything was wrong.
        """
        return self.run(list(self.scenarios), seconds, seed)

    def run(self, names: list[str], seconds: float | None, seed: int) -> dict[str, int]:
        """Run some scenarios, for some seconds or, without them, in the short form."""
        total = Tally()
        messages = []
        for name, tally, spent in _watched(self, names, seconds, seed):
            print(row(f"{self.file.stem}/{name}", tally, spent), flush=True)
            total.add(tally)
            messages += tally.messages
        if total.failures:
            raise StressError("\n\n".join(messages), total.counts())
        return total.counts()

    def command_line(self) -> NoReturn:
        """Run what the command line asks for."""
        parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
        parser.add_argument("--seconds", type=float, default=20.0, help="for all scenarios together")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--short", action="store_true", help="a fixed number of rounds instead")
        parser.add_argument("--only", metavar="NAME,...", help=", ".join(self.scenarios))
        parser.add_argument("--index", type=int, help="replay this round of the only scenario, here")
        for hidden in ("--worker", "--start", "--spent"):
            parser.add_argument(hidden, help=argparse.SUPPRESS)
        asked = parser.parse_args()
        names = asked.only.split(",") if asked.only else list(self.scenarios)
        if unknown := set(names) - set(self.scenarios):
            parser.error(f"no scenario {', '.join(sorted(unknown))}; there are {', '.join(self.scenarios)}")
        seconds = None if asked.short else asked.seconds
        if asked.worker is not None:
            _work(self, names, seconds, asked)
        if asked.index is not None:
            sys.exit(_replay(self, names[0], asked.seed, asked.index))
        # Whoever ends this process means the workers too.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        try:
            self.run(names, seconds, asked.seed)
        except StressError as error:
            print(f"\n{error}", file=sys.stderr)
            sys.exit(1)
        sys.exit(0)


def _one(scenario: Scenario, round_: Round, tally: Tally) -> bool:
    """Do a round; return whether there may be another."""
    try:
        scenario.function(round_)
    except Finished:
        return False
    except BaseException:
        round_.wrong(traceback.format_exc())
        round_.tainted = True
    tally.rounds += 1
    return True


def _replay(part: Part, name: str, seed: int, index: int) -> int:
    faulthandler.enable()
    tally = Tally()
    _one(part.scenarios[name], Round(name, seed, index, tally), tally)
    print(row(f"{part.file.stem}/{name}", tally, 0.0), *tally.messages, sep="\n")
    return int(tally.failures > 0)


def _work(part: Part, names: list[str], seconds: float | None, asked: argparse.Namespace) -> NoReturn:
    """Do rounds, and note where we are; what a worker is started for."""
    faulthandler.enable()
    progress = os.open(asked.worker, os.O_WRONLY)
    tallies: dict[str, dict[str, Any]] = {}

    def note(name: str, index: int, tally: Tally) -> None:
        tallies[name] = tally.as_json()
        told = json.dumps({"name": name, "index": index, "tallies": tallies})
        os.pwrite(progress, told.encode() + b"\n", 0)

    for position, name in enumerate(names):
        scenario, tally = part.scenarios[name], Tally()
        index = int(asked.start) if position == 0 else 0
        # Seconds of processes that died do not count: those that begin have the rest of the time.
        end = time.monotonic() + ((seconds or 0.0) - (float(asked.spent) if position == 0 else 0.0))
        while index < scenario.short if seconds is None else time.monotonic() < end or index == 0:
            note(name, index, tally)
            round_ = Round(name, asked.seed, index, tally)
            more = _one(scenario, round_, tally)
            index += 1
            note(name, index, tally)
            if not more or (seconds is None and tally.hangs):  # others would hang as long
                break
            if round_.tainted:
                os._exit(AGAIN)
    os._exit(0)  # how a process with threads ends is a matter of exits.py


@dataclass
class _Worker:
    """A worker, seen from outside."""

    process: subprocess.Popen[bytes]
    progress: Path
    log: Path

    def where(self) -> dict[str, Any]:
        with contextlib.suppress(ValueError):
            return dict(json.loads(self.progress.read_bytes().partition(b"\n")[0]))
        return {}

    def end(self) -> None:
        """End it, and what it started."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGABRT)  # faulthandler tells where it is
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def last_words(self) -> str:
        told = self.log.read_text(encoding="utf-8", errors="replace")
        return told.partition("\nExtension modules:")[0][-CHARACTERS:]  # of faulthandler


@contextlib.contextmanager
def _worker(part: Part, options: list[str]) -> Iterator[_Worker]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        progress, log = Path(folder, "progress"), Path(folder, "log")
        progress.touch()
        environment = {
            k: v for k, v in os.environ.items() if k not in ("FASTNN_NUM_THREADS", "OMP_NUM_THREADS")
        }
        # So that BLAS has other than one thread outside of fastnn, on any machine.
        environment["OPENBLAS_NUM_THREADS"] = "2"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, str(part.file), "--worker", str(progress), *options],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                cwd=folder,
                env=environment,
                start_new_session=True,
            )
        worker = _Worker(process, progress, log)
        try:
            yield worker
        finally:
            worker.end()


def _watched(
    part: Part, names: list[str], seconds: float | None, seed: int
) -> Iterator[tuple[str, Tally, float]]:
    """Run scenarios in workers; yield what each was, as soon as it is known, and its seconds."""
    each = None if seconds is None else seconds / len(names)
    # In the short form one worker does all of them: to start one takes half a second.
    for group in [names] if each is None else [[name] for name in names]:
        tallies = {name: Tally() for name in group}
        spent = dict.fromkeys(group, 0.0)
        dead = Counter[str]()
        position, start = 0, 0
        while position < len(group):
            options = ["--only", ",".join(group[position:]), "--seed", str(seed), "--start", str(start)]
            options += ["--short"] if each is None else ["--seconds", str(each)]
            options += ["--spent", str(spent[group[position]])]
            with _worker(part, options) as worker:
                hung = _watch(worker, part, group[position:], spent)
                where = worker.where()
                for name, values in where.get("tallies", {}).items():
                    tallies[name].add(Tally.of_json(values))
                status = worker.process.returncode
                name = where.get("name", group[position])
                position = group.index(name)
                start = where.get("index", start)
                if status == 0 and not hung:
                    break
                if status == AGAIN and not hung:
                    if each is not None and spent[name] >= each:
                        break
                    continue
                what = "hangs" if hung else f"crashes with status {status}"
                tallies[name].say(
                    f"--only {name} --seed {seed} --index {start}: {what}\n{worker.last_words()}"
                )
                tallies[name].hangs += hung
                tallies[name].crashes += not hung
            dead[name] += 1
            start += 1
            if (
                dead[name] >= MOST_DEAD[each is None]
                or (each is None and hung)
                or (each is not None and spent[name] >= each)
            ):
                position, start = position + 1, 0
        for name in group:
            yield name, tallies[name], spent[name]


def _watch(worker: _Worker, part: Part, names: list[str], spent: dict[str, float]) -> bool:
    """Wait until a worker has ended, and end it if it hangs; return whether it did."""
    name, index, since = names[0], -1, time.monotonic()
    before = since
    while worker.process.poll() is None:
        time.sleep(LOOK)
        now = time.monotonic()
        spent[name] += now - before
        before = now
        where = worker.where()
        if where and (where["name"], where["index"]) != (name, index):
            name, index, since = where["name"], where["index"], now
        elif now - since > part.scenarios[name].limit:
            worker.end()
            return True
    return False
