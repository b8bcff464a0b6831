"""What a fresh process measures for `processes`: imports, the first step, memory, an accuracy.

Run as ``python child.py JOB`` with a JSON object as JOB; prints a JSON object. The file is run by its
path, and nothing but the standard library is imported at its top, so that the first thing that the
process loads is the contender's library. This file must not know any contender but by its name.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

__all__ = ["main", "run"]


def run(job: dict[str, Any]) -> dict[str, float]:
    """Do one job.

    Parameters
    ----------
    job : dict
        ``task`` ("step", "memory" or "accuracy"), the contender's ``rival`` (key) and ``module``,
        ``workload``, ``n_threads``, ``n_batches`` and, for some tasks, ``data``, ``epochs`` or ``goal``.

    Returns
    -------
    dict
        Seconds or bytes by name.
    """
    begin = time.perf_counter()
    importlib.import_module(job["module"])
    answer = {"import": time.perf_counter() - begin}

    # From here on fastnn and NumPy are needed to describe the work, whoever does it; not timed.
    from fastnn.benchmark.rivals import find_rivals
    from fastnn.benchmark.rivals._library import quietly

    rival = find_rivals([job["rival"]])[0]
    task = {"step": _step, "memory": _memory, "accuracy": _accuracy}[job["task"]]
    with quietly(), rival.threads(job["n_threads"]):
        return {**answer, **task(rival, job)}


def _workload(job: dict[str, Any]) -> Any:
    from fastnn.benchmark.workloads import find_workloads

    return find_workloads([job["workload"]])[0]


def _step(rival: Any, job: dict[str, Any]) -> dict[str, float]:
    """Time building a contender and its first training step, compiling included."""
    from fastnn.benchmark.workloads import make_data, make_weights

    workload = _workload(job)
    weights, (x, y) = make_weights(workload), make_data(workload, 1)
    begin = time.perf_counter()
    rival(workload, weights, x, y).run_epochs(1)
    return {"first step": time.perf_counter() - begin}


def _memory(rival: Any, job: dict[str, Any]) -> dict[str, float]:
    """Measure how far the resident memory rises above what library and data take."""
    import numpy as np

    from fastnn.benchmark.workloads import make_weights

    workload = _workload(job)
    x, y = (np.load(Path(job["data"]) / name) for name in ("x.npy", "y.npy"))
    weights = make_weights(workload)
    before = resident()
    forget_peak()
    rival(workload, weights, x, y).run_epochs(job["epochs"])
    return {"after import": before, "data": float(x.nbytes + y.nbytes), "peak": peak()}


def _accuracy(rival: Any, job: dict[str, Any]) -> dict[str, float]:
    """Train on MNIST epoch by epoch until the test accuracy reaches the goal; judging is not timed."""
    import numpy as np

    from fastnn import datasets
    from fastnn.benchmark.machine import settle
    from fastnn.benchmark.rivals.numpy_inference import NumpyPredictor
    from fastnn.benchmark.workloads import make_weights

    workload = _workload(job)
    (x, y), (x_test, y_test) = datasets.load_mnist(job["data"])
    seconds, accuracy, n_epochs = 0.0, 0.0, 0
    begin = time.perf_counter()
    contender = rival(workload, make_weights(workload), np.ascontiguousarray(x), y.astype(np.int64))
    seconds += time.perf_counter() - begin
    while accuracy < job["goal"] and n_epochs < job["epochs"]:
        settle()  # the judge's threads
        begin = time.perf_counter()
        contender.run_epochs(1)
        seconds += time.perf_counter() - begin
        n_epochs += 1
        outputs = NumpyPredictor(workload, contender.get_weights()).function(1)(x_test)
        accuracy = float(np.mean(outputs.argmax(axis=1) == y_test))
    return {"training": seconds, "epochs": float(n_epochs), "accuracy": accuracy}


def resident() -> float:
    """Return the bytes of memory that this process has in use now."""
    return _status("VmRSS")


def peak() -> float:
    """Return the largest number of bytes that this process has had in use."""
    return _status("VmHWM")


def forget_peak() -> None:
    """Make `peak` start again from what is in use now."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _status(field: str) -> float:
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return 1024.0 * int(value.split()[0])
    raise OSError(f"/proc/self/status has no {field}")


def main() -> None:
    """Read the job, do it, print the answer."""
    # A file is run from its own folder, which would shadow modules of the same names.
    sys.path[:] = [place for place in sys.path if Path(place).resolve() != Path(__file__).resolve().parent]
    print(json.dumps(run(json.loads(sys.argv[1]))))


if __name__ == "__main__":
    main()
