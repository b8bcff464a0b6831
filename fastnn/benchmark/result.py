"""What a race on one workload found out: losses and times of each contender.

This file must not know how anything is measured or printed.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from fastnn.benchmark.race import median_ratio, share_of
from fastnn.benchmark.workloads import Workload

__all__ = ["LOSS_TOLERANCE", "Result", "Timing"]

LOSS_TOLERANCE = 1e-4
"""Largest relative difference of two losses that counts as agreement."""


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
        One for each contender that took part.
    refusals : tuple of (str, str)
        Who did not, and why.
    product_speeds : tuple of float
        Floating-point operations per second of the yardstick, a large matrix product on all cores, in each
        round; empty if it did not run beside the contenders.
    """

    workload: Workload
    timings: tuple[Timing, ...]
    refusals: tuple[tuple[str, str], ...] = ()
    product_speeds: tuple[float, ...] = ()

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
        others = [timing.seconds_per_step for timing in self.timings[:-1]]
        return median_ratio(others, self.ours.seconds_per_step)

    @property
    def share(self) -> float | None:
        """Speed of the last contender as a part of the yardstick's: the median over the rounds, or None."""
        return share_of(self.workload.flops_per_step, self.ours.seconds_per_step, self.product_speeds)
