"""Stress tests of what fastnn promises beside threads, forks, signals and interrupts.

    python tests/stress --seconds 600 --seed 0
    python tests/stress --seconds 60 --parts threads,forks

runs the parts one after the other, each in a process of its own, and shares the seconds out among them.
Every part is a file here, and can be run alone: ``python tests/stress/forks.py --help``.  What fails says how
it can be replayed.  The exit code is 0 if nothing was wrong, crashed or hung.  For systems with fork and
signals.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from harness import Tally, row

FOLDER = Path(__file__).resolve().parent
PARTS = ("threads", "labels", "forks", "exits", "signals", "interrupts", "plans")
BAD = ("wrong", "crashes", "hangs")
SPARE = 900.0  # seconds that a part may take longer than it should: what hangs is found after some


def _run_here(name: str, seconds: float, seed: int, result: Path) -> None:
    """Run a part in this process, and write down its counts; what a process is started for."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # and end what it started
    message = ""
    try:
        counts = importlib.import_module(name).main(seconds, seed)
    except AssertionError as error:
        counts, message = getattr(error, "counts", {"wrong": 1}), str(error)
    except Exception:
        counts, message = {"wrong": 1}, traceback.format_exc()
    result.write_text(json.dumps({"counts": counts, "message": message}), encoding="utf-8")


def _run_part(name: str, seconds: float, seed: int) -> Tally:
    """Run a part in a process of its own; return what it counted."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result")
        options = ["--part", name, "--result", str(result), "--seconds", str(seconds), "--seed", str(seed)]
        process = subprocess.Popen([sys.executable, str(FOLDER), *options])
        tally = Tally()
        try:
            process.wait(2 * seconds + SPARE)
        except subprocess.TimeoutExpired:
            tally.hangs += 1
            tally.say(f"{name} hangs")
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()
        if result.exists():
            told = json.loads(result.read_text(encoding="utf-8"))
            counts = told["counts"]
            done = {what: times for what, times in counts.items() if what not in (*BAD, "rounds")}
            bad = {what: counts.get(what, 0) for what in BAD}
            tally.add(Tally(rounds=counts.get("rounds", 0), did=Counter(done), **bad))
            if told["message"]:
                tally.messages.append(told["message"])
        elif not tally.failures:
            tally.crashes += 1
            tally.say(f"{name} ended with status {process.returncode}")
    return tally


def main() -> int:
    """Run what the command line asks for; return the exit code."""
    there = [name for name in PARTS if (FOLDER / f"{name}.py").exists()]
    parser = argparse.ArgumentParser(
        "tests/stress", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=600.0, help="for all parts together")
    parser.add_argument("--parts", metavar="NAME,...", help=", ".join(there))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--result", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.part is not None:
        _run_here(asked.part, asked.seconds, asked.seed, asked.result)
        return 0
    names = asked.parts.split(",") if asked.parts else there
    if unknown := set(names) - set(there):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(there)}")
    rows, messages = [], []
    failures = 0
    for name in names:
        began = time.monotonic()
        tally = _run_part(name, asked.seconds / len(names), asked.seed)
        rows.append(row(name, tally, time.monotonic() - began))
        messages += [f"== {name}\n{message}" for message in tally.messages]
        failures += tally.failures
    print("", *rows, sep="\n", flush=True)
    if messages:
        print("", *messages, sep="\n\n", file=sys.stderr)
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
