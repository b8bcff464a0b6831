"""Ends of the interpreter while daemon threads are in the midst of fastnn.

However a process ends, its exit code is the one that was asked for, at once, and without a word of ours: the
end of the script, `sys.exit`, an exception, a signal, `os._exit`.

    python tests/stress/exits.py --seconds 60 --seed 0
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import Part, Round

PART = Part(__file__)
main = PART.main
LIMIT = 30.0  # seconds after which a process hangs that has a second to live

SCRIPT = """
import ctypes, faulthandler, os, signal, sys, threading, time
import numpy as np
from common import Subject, chain, teams
from fastnn import kernels

faulthandler.enable()
work, n_threads, way, wait, late = sys.argv[1], int(sys.argv[2]), sys.argv[3], *map(float, sys.argv[4:])
subject = Subject(large=True)
others = [Subject(large=True, seed=seed) for seed in range(4)]
wide = [chain((512, 512), seed=seed) for seed in range(4)]  # BLAS has most of the work
z, square = np.ones(2_100_000, np.float32), np.ones((1500, 1500), np.float32)
begun = threading.Semaphore(0)


many, few = (subject.many, subject.labels), (subject.x, subject.y)
options = {"verbose": 0, "n_threads": n_threads}

calls = {
    "fit": lambda i: others[i].model.fit(*many, batch_size=512, epochs=1000, **options),
    "fit of small steps": lambda i: others[i].model.fit(*few, batch_size=4, epochs=10**6, **options),
    "fit in BLAS": lambda i: wide[i].fit(*many, batch_size=512, epochs=1000, **options),
    "predict in BLAS": lambda i: wide[0].predict(subject.many, n_threads=n_threads),
    "short fits": lambda i: others[i].model.fit(*few, **options),
    "predict": lambda i: subject.model.predict(subject.many, n_threads=n_threads),
    "model(x)": lambda i: subject.model(subject.x),
    "evaluate": lambda i: subject.model.evaluate(*many, **options),
    "kernels": lambda i: kernels.tanh_forward(z),
    "kernels in BLAS": lambda i: kernels.dense_forward(square, square),
    "compile": lambda i: others[i].compile(),
}


def run(i):
    while True:
        begun.release()
        calls[work](i)


if n_threads > 1:
    teams(n_threads).__enter__()
for i in range(4):
    threading.Thread(target=run, args=(i,), daemon=True).start()
for _ in range(4):
    begun.acquire()
if late:  # other libraries have things to do when Python is gone, while threads go on
    libc = ctypes.CDLL(None)
    libc.__cxa_atexit(ctypes.cast(libc.usleep, ctypes.c_void_p), ctypes.c_void_p(int(1e6 * late)), None)
time.sleep(wait)
if way == "sys.exit":
    sys.exit(3)
elif way == "exception":
    raise ValueError("the end")
elif way == "SIGTERM":
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
elif way == "os._exit":
    os._exit(7)
"""

WORKS = (
    "fit",
    "fit in BLAS",
    "fit of small steps",
    "short fits",
    "predict",
    "predict in BLAS",
    "model(x)",
    "evaluate",
    "kernels",
    "kernels in BLAS",
    "compile",
)
WAYS = {"end": 0, "sys.exit": 3, "exception": 1, "SIGTERM": -signal.SIGTERM, "os._exit": 7}


def _end(round_: Round, work: str, n_threads: int, way: str) -> None:
    """Start a process that ends in some way while it works, and look at how it did."""
    wait, late = round_.rng.uniform(0, 0.15), round_.rng.choice([0, 0.15]) if sys.platform == "linux" else 0
    environment = dict(os.environ)
    folder = str(Path(__file__).parent)
    environment["PYTHONPATH"] = os.pathsep.join([folder, environment.get("PYTHONPATH", "")])
    with tempfile.TemporaryDirectory() as apart:
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, work, str(n_threads), way, str(wait), str(late)],
            env=environment,
            cwd=apart,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        what = (
            f"{way} while daemon threads are in {work}, n_threads={n_threads}, {wait:.3f} s, {late} s later"
        )
        round_.did("exits")
        try:
            told = process.communicate(timeout=LIMIT)[0]
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            told = process.communicate()[0]
            round_.hung(f"{what}\n{told}")
            return
    told = told.partition("\nExtension modules:")[0]
    wanted = WAYS[way]
    if process.returncode == wanted:
        alone = told.count("Traceback") == 1 and told.rstrip().endswith("ValueError: the end")
        round_.expect(not told or (way == "exception" and alone), f"{what} says: {told}")
    elif process.returncode < 0:
        round_.crashed(f"{what}: died of signal {-process.returncode}\n{told}")
    else:
        round_.wrong(f"{what}: exit code {process.returncode}\n{told}")


@PART.scenario(short=6)
def at_the_end(round_: Round) -> None:
    """The script is through."""
    _end(round_, WORKS[round_.index % len(WORKS)], (1, 2, 4)[round_.index // len(WORKS) % 3], "end")


@PART.scenario(short=4)
def in_other_ways(round_: Round) -> None:
    """Each of the ways in turn."""
    ways = list(WAYS)
    work, n_threads = str(round_.rng.choice(WORKS)), int(round_.rng.choice([1, 2, 4]))
    _end(round_, work, n_threads, ways[round_.index % len(ways)])


if __name__ == "__main__":
    PART.command_line()
