"""The memory and startup parts: each contender in a fresh process of its own.

Memory: bytes by which training raises the resident memory above what the interpreter, the imported
library and the data take. Startup: seconds to import the library into a bare interpreter, to build a
contender and make the first step (compiling included), and to train MNIST to 97 % of the test images.
This file must not know any contender's library, nor how the fresh process measures.
"""

from __future__ import annotations

import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from fastnn.benchmark import child
from fastnn.benchmark.parts import Item, LeftOut, Row, Settings
from fastnn.benchmark.rivals import RIVALS, Rival
from fastnn.benchmark.runner import batch_count
from fastnn.benchmark.workloads import Workload, make_data

__all__ = ["GOAL", "memory_items", "startup_items"]

GOAL = 0.97
"""Share of the test images that time to accuracy is about."""

_MEMORY_WORKLOADS = ("mnist", "wide")
_STARTUP_WORKLOAD = "mnist"
_MAX_EPOCHS = 20
_SECONDS = 300.0  # after which a fresh process is given up


def memory_items(settings: Settings) -> list[Item]:
    """Return the memory of every contender on `mnist` and `wide`, if they are among the workloads.

    Parameters
    ----------
    settings : Settings
        Workloads, contenders and cores.

    Returns
    -------
    list of Item
        Their rows hold ``workload``, ``contender`` and bytes: ``after_import``, ``data``, ``training``
        (the rise) and ``parameters``.
    """
    return [
        Item(f"{workload.name}, {rival.name}", functools.partial(_memory, settings, workload, rival))
        for workload in settings.workloads
        if workload.name in _MEMORY_WORKLOADS
        for rival in settings.rivals
    ]


def startup_items(settings: Settings) -> list[Item]:
    """Return the start of every contender.

    Parameters
    ----------
    settings : Settings
        Contenders, cores, and where the MNIST files may be.

    Returns
    -------
    list of Item
        Their rows hold ``contender`` and seconds: ``import``, ``first_step`` (import included) and, where
        the MNIST files are, ``accuracy_seconds`` (training only) with ``epochs`` and ``accuracy``.
    """
    return [Item(rival.name, functools.partial(_startup, settings, rival)) for rival in settings.rivals]


def _ask(rival: type[Rival], settings: Settings, task: str, workload: str, **more: Any) -> dict[str, float]:
    """Let a fresh process do a job and return its answer."""
    job = {
        "task": task,
        "rival": next(key for key, (_, name) in RIVALS.items() if name == rival.__name__),
        "module": rival.module,
        "workload": workload,
        "n_threads": max(rival.thread_counts(settings.n_cores)),
        **more,
    }
    # The same packages as here, also if they are not installed but only on the path.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(place for place in sys.path if place)}
    try:
        done = subprocess.run(
            [sys.executable, str(Path(child.__file__)), json.dumps(job)],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LeftOut(f"took longer than {_SECONDS:.0f} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise LeftOut(f"failed in its own process: {last}")
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _memory(settings: Settings, workload: Workload, rival: type[Rival]) -> Row:
    if not Path("/proc/self/clear_refs").exists():
        raise LeftOut("this system does not tell a process the peak of its memory")
    if (reason := rival.refuses(workload)) is not None:
        raise LeftOut(reason)
    with tempfile.TemporaryDirectory() as folder:
        for name, array in zip(("x.npy", "y.npy"), make_data(workload, batch_count(workload)), strict=True):
            np.save(Path(folder) / name, array)
        answer = _ask(rival, settings, "memory", workload.name, data=folder, epochs=2)
    return {
        "workload": workload.name,
        "contender": rival.name,
        "after_import": answer["after import"],
        "data": answer["data"],
        "training": max(0.0, answer["peak"] - answer["after import"]),
        "parameters": 4.0 * workload.parameters,
    }


def _startup(settings: Settings, rival: type[Rival]) -> Row:
    answers = [_ask(rival, settings, "step", _STARTUP_WORKLOAD) for _ in range(1 if settings.quick else 3)]
    imported = statistics.median(answer["import"] for answer in answers)
    row: Row = {
        "contender": rival.name,
        "import": imported,
        "first_step": imported + statistics.median(answer["first step"] for answer in answers),
    }
    if settings.data is not None and not settings.quick:
        data = str(settings.data)
        answer = _ask(rival, settings, "accuracy", "mnist", data=data, goal=GOAL, epochs=_MAX_EPOCHS)
        row |= {
            "accuracy_seconds": answer["training"],
            "epochs": int(answer["epochs"]),
            "accuracy": answer["accuracy"],
        }
    return row
