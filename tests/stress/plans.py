"""Mutated plans: verification refuses each with a PlanError, or running it is harmless.

    python tests/stress/plans.py --seconds 60 --seed 0

compiles many small nets, changes their plans at random, and verifies what comes out.  Plans that pass are run
in a child process, between guard words and pages that nobody may touch, whatever numbers come out.  Mutant
number n of a seed is always the same: ``--seed 0 --replay n`` says what was changed, and runs it alone.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path

from plan_mutants import mutant
from plan_nets import valid_plans
from plan_runs import run_plan

import fastnn
from fastnn.compiler.verify import verify_plan
from fastnn.errors import PlanError

BATCH = 64  # accepted mutants that go to the child at once
PATIENCE = 600  # seconds after which a child that runs a batch is taken for one that hangs


def work(seed: int) -> None:
    """Run the mutants whose numbers come in, one line after another; say when each begins and ends."""
    for line in sys.stdin:
        for number in map(int, line.split()):
            print("began", number, flush=True)
            plan, _ = mutant(seed, number)
            try:
                answer = "ran" if run_plan(plan, random.Random(-number - 1)) else "skipped"
            except BaseException:
                answer = f"failed {json.dumps(traceback.format_exc())}"
            print("ended", number, answer, flush=True)


class Child:
    """A process that runs mutants; the next one takes its place if it dies."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> subprocess.Popen[str]:
        source = str(Path(fastnn.__file__).parents[1])
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([source, os.environ.get("PYTHONPATH", "")]),
        }
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        return subprocess.Popen(
            [sys.executable, "-X", "faulthandler", __file__, "--seed", str(self.seed), "--work"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )

    def run(self, numbers: list[int]) -> Iterator[tuple[int, str]]:
        """Yield a number and what became of it: ran, skipped, failed or crashed, with the reason."""
        todo = list(numbers)
        while todo:
            if self.process is None:
                self.process = self.start()
            process = self.process
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(" ".join(map(str, todo)) + "\n")
            process.stdin.flush()
            watch = threading.Timer(PATIENCE, process.kill)
            watch.start()
            try:
                while todo:
                    word, number, *rest = process.stdout.readline().strip().split(" ", 2) or [""]
                    if word == "ended":
                        todo.remove(int(number))
                        yield int(number), rest[0]
            except ValueError:  # the end of its output
                code = process.wait()
                self.errors.seek(0)
                yield todo.pop(0), f"crashed with code {code}:\n{self.errors.read()[-3000:]}"
                self.close()
            finally:
                watch.cancel()

    def close(self) -> None:
        if self.process is not None:
            assert self.process.stdin is not None
            assert self.process.stdout is not None
            self.process.stdin.close()
            self.process.wait()
            self.process.stdout.close()
            self.errors.close()
            self.process = None


def examine(numbers: Iterable[int], seed: int, faults: list[str] | None = None) -> dict[str, int]:
    """Verify mutants and run those that pass.

    Parameters
    ----------
    numbers : iterable of int
    seed : int
    faults : list of str, optional
        Faults are added here instead of raised.

    Returns
    -------
    dict of str to int
        How many mutants there were, were refused, were accepted, were run.

    Raises
    ------
    AssertionError
        If verification raised anything but PlanError, or a plan that passed is not harmless.
    """
    counts = Counter({"mutants": 0, "refused": 0, "accepted": 0, "run": 0})
    child = Child(seed)

    def fault(number: int, what: str) -> None:
        note = (
            f"mutant {number} of seed {seed} {what}\n  {mutant(seed, number)[1]}\n"
            f"  again: python {__file__} --seed {seed} --replay {number}"
        )
        if faults is None:
            raise AssertionError(note)
        faults.append(note)

    def run(accepted: list[int]) -> None:
        for number, answer in child.run(accepted):
            if answer == "ran":
                counts["run"] += 1
            elif answer != "skipped":
                word, _, reason = answer.partition(" ")
                fault(number, f"passes, but {word} {json.loads(reason) if word == 'failed' else reason}")

    accepted: list[int] = []
    try:
        for number in numbers:
            plan, _ = mutant(seed, number)
            counts["mutants"] += 1
            try:
                verify_plan(plan)
            except PlanError:
                counts["refused"] += 1
            except Exception:
                fault(number, f"is not refused with a PlanError: {traceback.format_exc()}")
            else:
                counts["accepted"] += 1
                accepted.append(number)
                if len(accepted) == BATCH:
                    run(accepted)
                    accepted = []
        run(accepted)
    finally:
        child.close()
    return dict(counts)


def until(end: float) -> Iterator[int]:
    """Yield 0, 1, 2, ... until the clock says so."""
    for number in itertools.count():
        if time.monotonic() >= end:
            return
        yield number


def main(seconds: float, seed: int) -> dict[str, int]:
    """Examine mutants for some time; see `examine`."""
    valid_plans()
    return examine(until(time.monotonic() + seconds), seed)


def show(seed: int, number: int) -> None:
    """Print a mutant, verify it, and run it in this process."""
    plan, notes = mutant(seed, number)
    print(notes.replace("; ", "\n"))
    for field in fields(plan):
        value = getattr(plan, field.name)
        lines = (
            value if field.name in ("ops", "phases", "externals") and isinstance(value, tuple) else [value]
        )
        print(field.name, *lines, sep="\n    ")
    verify_plan(plan)
    print("accepted", flush=True)
    print("ran" if run_plan(plan, random.Random(-number - 1)) else "needs too much memory")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Verify and run mutated plans.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mutants", type=int, help="how many, whatever the time")
    parser.add_argument("--replay", type=int, help="only the mutant with this number, in this process")
    parser.add_argument("--all", action="store_true", help="go on after a fault, and show all in the end")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(given.seed)
    elif given.replay is not None:
        show(given.seed, given.replay)
    else:
        found: list[str] | None = [] if given.all else None
        valid_plans()
        chosen = range(given.mutants) if given.mutants else until(time.monotonic() + given.seconds)
        print(examine(chosen, given.seed, found))
        if found:
            print(*found, f"{len(found)} faults", sep="\n")
            sys.exit(1)
