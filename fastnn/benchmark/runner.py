"""The benchmark's referee: checks that contenders train alike, then times them in turns.

The order of events for each workload: same data and weights for everyone; a few epochs, after which
the losses must agree or no time is printed; the better of one thread and all for each contender; then
rounds in which every contender runs once, after the threads of the one before have come to rest, so that
a disturbance of the machine meets all of them, and ratios of times of the same round. This file must not
know any contender's library.
"""

from __future__ import annotations

import math
import platform
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TextIO

from fastnn.benchmark.machine import blas_libraries, processor_name, settle, sgemm_peak
from fastnn.benchmark.rivals import Rival, load_rivals
from fastnn.benchmark.table import format_head, format_row
from fastnn.benchmark.workloads import Workload, find_workloads, make_data, make_weights
from fastnn.runtime import available_cpus

__all__ = ["LOSS_TOLERANCE", "Effort", "Result", "Timing", "batch_count", "main", "measure"]

LOSS_TOLERANCE = 1e-4
"""Largest relative difference of two losses that counts as agreement."""

_AGREEMENT_EPOCHS = 3

# The data are as large as those of a real task, but an epoch must stay short: bytes, flops and steps.
_MAX_DATA_BYTES = 2**24
_MAX_EPOCH_FLOPS = 10**10
_MAX_STEPS, _MIN_STEPS = 256, 2

EXIT_DONE, EXIT_DIFFERENT, EXIT_USAGE = 0, 1, 2


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Parameters
    ----------
    rounds : int
        How often every contender is timed.
    seconds : float
        Shortest time of one measurement; the number of epochs is chosen to reach it.
    peak_sizes : tuple of int
        Orders of the matrices with which the ceiling is measured.
    """

    rounds: int = 15
    seconds: float = 0.02
    peak_sizes: tuple[int, ...] = (1024, 1536, 2048)


FULL = Effort()
QUICK = Effort(rounds=5, seconds=0.005, peak_sizes=(1024,))


@dataclass(frozen=True)
class Timing:
    """What was found out about one contender on one workload.

    Parameters
    ----------
    name : str
        The contender.
    loss : float
        Mean loss of the last of the epochs after which losses are compared.
    n_threads : int
        Threads with which it was fastest; 0 if it was not timed.
    seconds_per_step : tuple of float
        One number for each round; empty if it was not timed.
    """

    name: str
    loss: float
    n_threads: int = 0
    seconds_per_step: tuple[float, ...] = ()

    @property
    def median(self) -> float:
        """Median time of a training step, in seconds."""
        return statistics.median(self.seconds_per_step)

    @property
    def minimum(self) -> float:
        """Shortest time of a training step, in seconds."""
        return min(self.seconds_per_step)


@dataclass(frozen=True)
class Result:
    """The timings of all contenders on one workload, the one that the others are compared with last.

    Parameters
    ----------
    workload : Workload
        What was trained.
    timings : tuple of Timing
        One for each contender.
    """

    workload: Workload
    timings: tuple[Timing, ...]

    @property
    def ours(self) -> Timing:
        """The last contender, fastnn."""
        return self.timings[-1]

    @property
    def losses_agree(self) -> bool:
        """Whether all losses are finite and equal to the last contender's up to `LOSS_TOLERANCE`."""
        reference = self.ours.loss
        return math.isfinite(reference) and all(
            math.isclose(timing.loss, reference, rel_tol=LOSS_TOLERANCE) for timing in self.timings
        )

    @property
    def ratio(self) -> float | None:
        """How many times longer the fastest of the others takes: the median over the rounds, or None."""
        others = [timing for timing in self.timings[:-1] if timing.seconds_per_step]
        if not others or not self.ours.seconds_per_step:
            return None
        fastest = min(others, key=lambda timing: timing.median)
        pairs = zip(fastest.seconds_per_step, self.ours.seconds_per_step, strict=True)
        return statistics.median(theirs / ours for theirs, ours in pairs)


def measure(
    workload: Workload,
    rivals: Sequence[type[Rival]],
    effort: Effort = FULL,
    n_cores: int | None = None,
    seed: int = 0,
) -> Result:
    """Race contenders on one workload.

    Parameters
    ----------
    workload : Workload
        What to train.
    rivals : sequence of type
        The contenders, the one that the others are compared with last.
    effort : Effort
        How long to measure.
    n_cores : int, optional
        Cores to use; by default all that this process may use.
    seed : int
        Seed of data and weights.

    Returns
    -------
    Result
        Losses and, if they agree, times.

    Raises
    ------
    ValueError
        If there is no contender.
    """
    if not rivals:
        raise ValueError("nothing to measure: expected at least one contender")
    n_cores = available_cpus() if n_cores is None else n_cores
    n_batches = batch_count(workload)
    x, y = make_data(workload, n_batches, seed)
    weights = make_weights(workload, seed)
    x.flags.writeable = y.flags.writeable = False
    contenders = [rival(workload, weights, x, y) for rival in rivals]

    losses = [contender.run_epochs(_AGREEMENT_EPOCHS) for contender in contenders]
    names = [rival.name for rival in rivals]
    untimed = Result(workload, tuple(Timing(name, loss) for name, loss in zip(names, losses, strict=True)))
    if not untimed.losses_agree:
        return untimed

    chosen = [_best_thread_count(contender, n_cores, effort.seconds) for contender in contenders]
    seconds: list[list[float]] = [[] for _ in contenders]
    for _ in range(effort.rounds):
        for contender, (n_threads, n_epochs), times in zip(contenders, chosen, seconds, strict=True):
            settle()
            with contender.threads(n_threads):
                contender.run_epochs(math.ceil(n_epochs / 4))  # wakes its threads and warms the caches
                times.append(_time(contender, n_epochs) / (n_epochs * n_batches))
    return Result(
        workload,
        tuple(
            Timing(timing.name, timing.loss, n_threads, tuple(times))
            for timing, (n_threads, _), times in zip(untimed.timings, chosen, seconds, strict=True)
        ),
    )


def batch_count(workload: Workload) -> int:
    """Return how many batches make an epoch long enough to be typical and short enough to be repeated.

    Parameters
    ----------
    workload : Workload
        What is trained.

    Returns
    -------
    int
        At least 2.
    """
    bytes_per_batch = 4 * workload.batch * workload.widths[0]
    by_size, by_work = _MAX_DATA_BYTES // bytes_per_batch, _MAX_EPOCH_FLOPS // workload.flops_per_step
    return max(_MIN_STEPS, min(_MAX_STEPS, by_size, by_work))


def _time(contender: Rival, n_epochs: int) -> float:
    begin = perf_counter()
    contender.run_epochs(n_epochs)
    return perf_counter() - begin


def _best_thread_count(contender: Rival, n_cores: int, seconds: float) -> tuple[int, int]:
    """Return the thread count with which a contender is fastest, and the epochs of one measurement."""
    trials = []
    for n_threads in contender.thread_counts(n_cores):
        settle()
        with contender.threads(n_threads):
            n_epochs = _calibrate(contender, seconds)
            trials.append((min(_time(contender, n_epochs) for _ in range(3)) / n_epochs, n_threads, n_epochs))
    _, n_threads, n_epochs = min(trials)
    return n_threads, n_epochs


def _calibrate(contender: Rival, seconds: float) -> int:
    """Return a number of epochs that takes at least about the given time."""
    n_epochs = 1
    while (elapsed := _time(contender, n_epochs)) < seconds:
        n_epochs = math.ceil(n_epochs * min(10.0, max(1.5, 1.1 * seconds / max(elapsed, 1e-9))))
    return n_epochs


def main(
    names: Sequence[str] = (),
    quick: bool = False,
    stream: TextIO | None = None,
    rivals: Sequence[type[Rival]] | None = None,
) -> int:
    """Measure workloads and print a table, one line as soon as it is known.

    Parameters
    ----------
    names : sequence of str
        Workloads to run; none means all.
    quick : bool
        Measure for a shorter time: a rough answer.
    stream : text file, optional
        Where the table goes; standard output by default.
    rivals : sequence of type, optional
        The contenders; by default NumPy and fastnn.

    Returns
    -------
    int
        0 if all losses agreed, 1 if some did not, 2 if a name is unknown.
    """
    stream = sys.stdout if stream is None else stream
    try:
        workloads = find_workloads(names)
    except ValueError as error:
        print(f"fastnn benchmark: {error}", file=sys.stderr)
        return EXIT_USAGE
    rivals = load_rivals() if rivals is None else rivals
    effort = QUICK if quick else FULL
    n_cores = available_cpus()
    peaks = {n_threads: sgemm_peak(n_threads, effort.peak_sizes) for n_threads in sorted({1, n_cores})}

    for line in _header(rivals, peaks, effort):
        print(line, file=stream)
    print("", *format_head([rival.name for rival in rivals]), sep="\n", file=stream, flush=True)
    all_agree, peak = True, max(peaks.values())
    with _Progress(len(workloads)) as progress:
        for workload in workloads:
            progress.begin(workload.name)
            # A machine that was busy at the start would make a low ceiling: the best so far counts.
            peak = max(peak, sgemm_peak(n_cores, QUICK.peak_sizes))
            result = measure(workload, rivals, effort, n_cores)
            all_agree &= result.losses_agree
            progress.done(format_row(result, peak), stream)
    if peak > 1.02 * max(peaks.values()):
        print(f"The ceiling rose to {peak / 1e9:.0f} GFLOP/s during the run.", file=stream)
    return EXIT_DONE if all_agree else EXIT_DIFFERENT


def _header(rivals: Sequence[type[Rival]], peaks: dict[int, float], effort: Effort) -> Iterator[str]:
    versions = ", ".join(f"{rival.name} {rival.version()}" for rival in rivals)
    ceilings = ", ".join(
        f"{peak / 1e9:.0f} GFLOP/s on {n} thread{'s' if n > 1 else ''}" for n, peak in peaks.items()
    )
    yield "Training steps in float32: same weights, same batches in the same order, losses compared first"
    yield f"processor  {processor_name()}, {max(peaks)} cores usable, {platform.system()}"
    yield f"software   Python {platform.python_version()}, {versions}"
    for library in blas_libraries():
        yield f"BLAS       {library}"
    yield f"ceiling    NumPy's sgemm: {ceilings}"
    ours, milliseconds = rivals[-1].name, effort.seconds * 1e3
    yield f"columns    {effort.rounds} rounds in turns, each time over {milliseconds:.0f} ms or more;"
    yield "           thr: number of threads, the better of 1 and all;"
    yield f"           ratio: fastest other / {ours}, median over the rounds;"
    yield f"           GFLOP/s and share of the ceiling: {ours}'s, matrix products only"


class _Progress:
    """A progress bar on standard error if that is a terminal, and lines that do not collide with it."""

    def __init__(self, total: int) -> None:
        from tqdm import tqdm

        hidden = not sys.stderr.isatty()
        self._bar = tqdm(total=total, file=sys.stderr, disable=hidden, leave=False, unit="workload")

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def begin(self, name: str) -> None:
        self._bar.set_description(name)

    def done(self, line: str, stream: TextIO) -> None:
        self._bar.clear()
        print(line, file=stream, flush=True)
        self._bar.update()
