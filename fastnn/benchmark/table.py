"""Benchmark results as lines of an aligned table.

Pure functions from results to text. This file must not know how anything is measured, and reads no
clock, machine or library version.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastnn.benchmark.result import Result

__all__ = ["format_head", "format_microseconds", "format_row"]

_NAME_WIDTH, _NET_WIDTH, _BATCH_WIDTH = 10, 19, 6
_TIME_WIDTH, _THREADS_WIDTH = 8, 3
_GROUP_WIDTH = 2 * _TIME_WIDTH + _THREADS_WIDTH + 2


def format_microseconds(seconds: float) -> str:
    """Write a time in microseconds with three or more digits and never an exponent.

    Parameters
    ----------
    seconds : float
        The time in seconds.

    Returns
    -------
    str
        The number alone, without its unit.

    Examples
    --------
    >>> [format_microseconds(seconds) for seconds in (2.1e-7, 1.94e-5, 2.374e-3, 0.118)]
    ['0.210', '19.40', '2374', '118000']
    """
    microseconds = seconds * 1e6
    decimals = 3 if microseconds < 10 else 2 if microseconds < 100 else 1 if microseconds < 1000 else 0
    return f"{microseconds:.{decimals}f}"


def format_head(names: Sequence[str]) -> list[str]:
    """Return the two lines over the table, for contenders of the given names.

    Parameters
    ----------
    names : sequence of str
        The contenders in the order of their columns.

    Returns
    -------
    list of str
        The lines.
    """
    blank = " " * (_NAME_WIDTH + 1 + _NET_WIDTH + 1 + _BATCH_WIDTH)
    groups = "".join(f"  {name + ' us/step':>{_GROUP_WIDTH}}" for name in names)
    columns = f"  {'median':>{_TIME_WIDTH}} {'min':>{_TIME_WIDTH}} {'thr':>{_THREADS_WIDTH}}" * len(names)
    left = f"{'workload':<{_NAME_WIDTH}} {'net':<{_NET_WIDTH}} {'batch':>{_BATCH_WIDTH}}"
    return [blank + groups, left + columns + f"  {'ratio':>7} {'GFLOP/s':>8} {'ceiling':>8} {'sgemm':>7}"]


def format_row(result: Result, peak: float, names: Sequence[str] | None = None) -> str:
    """Return a workload's line: times, or the losses if they differ.

    Parameters
    ----------
    result : Result
        What was measured.
    peak : float
        The ceiling, in floating-point operations per second.
    names : sequence of str, optional
        The contenders of the columns; who did not take part has dashes. By default those of the result.

    Returns
    -------
    str
        The line.
    """
    workload = result.workload
    left = f"{workload.name:<{_NAME_WIDTH}} {workload.net:<{_NET_WIDTH}} {workload.batch:>{_BATCH_WIDTH}}"
    if not result.losses_agree:
        losses = ", ".join(f"{timing.name} {timing.loss:.7g}" for timing in result.timings)
        return f"{left}  losses differ: {losses}"
    times = ""
    by_name = {timing.name: timing for timing in result.timings}
    for name in by_name if names is None else names:
        if (timing := by_name.get(name)) is None:
            times += f"  {'-':>{_TIME_WIDTH}} {'-':>{_TIME_WIDTH}} {'-':>{_THREADS_WIDTH}}"
            continue
        for seconds, space in ((timing.median, "  "), (timing.minimum, " ")):
            times += f"{space}{format_microseconds(seconds):>{_TIME_WIDTH}}"
        times += f" {timing.n_threads:>{_THREADS_WIDTH}}"
    speed = workload.flops_per_step / result.ours.median
    ratio = "" if result.ratio is None else f"{result.ratio:.2f}"
    share = "-" if result.share is None else f"{result.share:.1%}"
    return f"{left}{times}  {ratio:>7} {speed / 1e9:>8.2f} {speed / peak:>8.1%} {share:>7}"
