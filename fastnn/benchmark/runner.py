"""The benchmark's referee: checks that contenders train alike, then times them in turns.

For each workload: same data and weights for everyone; a few epochs, after which the losses must agree or
no time is printed; then the race, as `race` runs it. This file must not know any contender's library.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Sequence
from typing import TextIO

from fastnn.benchmark.machine import SquareProduct, blas_libraries, processor_name, sgemm_peak
from fastnn.benchmark.race import FULL, QUICK, Effort, Entrant, take_turns
from fastnn.benchmark.result import LOSS_TOLERANCE, Result, Timing
from fastnn.benchmark.rivals import Rival, load_rivals
from fastnn.benchmark.table import format_head, format_row
from fastnn.benchmark.workloads import Workload, find_workloads, make_data, make_weights
from fastnn.run.runtime import available_cpus

__all__ = ["LOSS_TOLERANCE", "Effort", "Result", "Timing", "batch_count", "main", "measure"]

_AGREEMENT_EPOCHS = 3

# The data are as large as those of a real task, but an epoch must stay short: bytes, flops and steps.
_MAX_DATA_BYTES = 2**24
_MAX_EPOCH_FLOPS = 10**10
_MAX_STEPS, _MIN_STEPS = 256, 2

EXIT_DONE, EXIT_DIFFERENT, EXIT_USAGE = 0, 1, 2


def measure(
    workload: Workload,
    rivals: Sequence[type[Rival]],
    effort: Effort = FULL,
    n_cores: int | None = None,
    seed: int = 0,
    yardstick: bool = False,
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
    yardstick : bool
        Whether a large matrix product takes its turns too.

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
    reasons = [(rival.name, rival.refuses(workload)) for rival in rivals]
    refusals = tuple((name, reason) for name, reason in reasons if reason is not None)
    rivals = [rival for rival, (_, reason) in zip(rivals, reasons, strict=True) if reason is None]
    n_batches = batch_count(workload)
    x, y = make_data(workload, n_batches, seed)
    weights = make_weights(workload, seed)
    x.flags.writeable = y.flags.writeable = False
    contenders = [rival(workload, weights, x, y) for rival in rivals]

    losses = [contender.run_epochs(_AGREEMENT_EPOCHS) for contender in contenders]
    names = [rival.name for rival in rivals]
    pairs = zip(names, losses, strict=True)
    untimed = Result(workload, tuple(Timing(name, loss) for name, loss in pairs), refusals)
    if not untimed.losses_agree:
        return untimed

    entrants: list[Entrant] = [_Epochs(contender) for contender in contenders]
    products = [SquareProduct(max(effort.peak_sizes))] if yardstick else []
    turns = take_turns([*entrants, *products], effort, n_cores)
    timings = (
        Timing(timing.name, timing.loss, turn.n_threads, tuple(time / n_batches for time in turn.seconds))
        for timing, turn in zip(untimed.timings, turns, strict=False)
    )
    speeds = [product.flops / time for product in products for time in turns[-1].seconds]
    return Result(workload, tuple(timings), refusals, tuple(speeds))


class _Epochs:
    """A contender as an entrant of a race, an epoch a repeat."""

    def __init__(self, contender: Rival) -> None:
        self.run, self.threads = contender.run_epochs, contender.threads
        self.thread_counts = contender.thread_counts


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
    effort = (QUICK if quick else FULL).training
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
            result = measure(workload, rivals, effort, n_cores, yardstick=True)
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
    yield f"           GFLOP/s: {ours}'s, matrix products only; ceiling: its share of the best sgemm,"
    yield "           sgemm: of one that took turns with the contenders"


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
