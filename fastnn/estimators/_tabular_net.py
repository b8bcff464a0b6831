"""The net of RealMLP-TD-S and its training (Holzmüller, Grinsztajn and Steinwart 2024).

A layer of the authors' is ``y = x W / sqrt(n) + b``, with n inputs.  Here the factor is a part of the
kernel, ``K = W / sqrt(n)``: an update of W by Adam, whose gradient is ``g / sqrt(n)`` with g that of K,
changes K by ``rate / sqrt(n) * m / (sqrt(v) + epsilon * sqrt(n))``, with the moments m and v of g.  So the
rate of a kernel is divided by sqrt(n), and its epsilon multiplied by it.  This file must not know
scikit-learn or tables.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fastnn.estimators._epochs import Epochs, Rows
from fastnn.estimators._network import Network, Recipe
from fastnn.layers import Dense, FeatureScale, Input
from fastnn.model.sequential import Sequential
from fastnn.optimizers import Nadam
from fastnn.optimizers._base import Update
from fastnn.optimizers.schedules import LearningRateSchedule

__all__ = ["Course", "Cycles", "TabularRecipe", "initialize", "optimizer_of", "smoothed", "train"]

_CYCLES = 4
_SCALE_RATE, _BIAS_RATE = 6.0, 0.1
_BETAS, _EPSILON = (0.9, 0.95), 1e-8


@dataclass(frozen=True)
class TabularRecipe(Recipe):
    """A net whose first layer is a factor for each input."""

    def model(self, dtype: np.dtype, decay: float, seed: int) -> Sequential:
        """Return a model; there is no penalty."""
        parts: list[Any] = [Input((self.widths[0],)), FeatureScale(name="scale")]
        for number, (units, activation) in enumerate(zip(self.widths[1:-1], self.activations, strict=True)):
            parts.append(Dense(units, activation, kernel_initializer="zeros", name=f"dense_{number}"))
        last = f"dense_{len(self.widths) - 2}"
        parts.append(Dense(self.widths[-1], self.output, kernel_initializer="zeros", name=last))
        return Sequential(parts, dtype=dtype.name, seed=seed)


@dataclass(frozen=True)
class Cycles(LearningRateSchedule):
    """Cosines that become twice as long from one to the next.

    ``rate * (0.5 - 0.5 cos(2 pi log2(1 + 15 t)))``, with t from 0 to 1 in so many steps.

    Examples
    --------
    >>> Cycles(0.1, 30).rates(first=0, count=3).round(3)
    array([0.   , 0.093, 0.   ])
    """

    rate: float
    steps: int

    def __call__(self, step: int) -> float:
        """Return the rate of the step after `step` others."""
        return float(self.rates(step, 1)[0])

    def rates(self, first: int, count: int) -> np.ndarray:
        """Return the rates of `count` steps after `first` others."""
        t = np.minimum(np.arange(first, first + count) / self.steps, 1.0)
        found: np.ndarray = self.rate * (
            0.5 - 0.5 * np.cos(2.0 * np.pi * np.log2(1.0 + (2**_CYCLES - 1) * t))
        )
        return found


@dataclass(frozen=True, repr=False)
class _Adam(Nadam):
    """Adam of the paper, with epsilon inside of the bias correction, on kernels that have a factor in them.

    ``w <- w - rate * m / (1 - beta_1^t) / (sqrt(v / (1 - beta_2^t)) + epsilon)`` is what the op of Nadam does
    if the gradient itself has no part in its step.  Where the rate of a kernel has a factor, its epsilon has
    the inverse.
    """

    def step_numbers(self, name: str, first: int, count: int) -> np.ndarray:
        """Return a scalar for `count` updates after `first` others."""
        if name == "moment_rate":
            return super().step_numbers("moment_correction", first, count)
        if name == "gradient_rate":
            return np.zeros(count)
        return super().step_numbers(name, first, count)

    def update_of(self, parameter: str, axes: int) -> Update:
        """Return how a parameter is updated."""
        found = super().update_of(parameter, axes)
        if axes != 2:
            return found
        return found._replace(constants=(self.beta_1, self.beta_2, self.epsilon / self.multiplier(parameter)))


def optimizer_of(recipe: Recipe, rate: float, steps: int) -> Nadam:
    """Return the optimizer of a net that is trained for so many steps."""
    factors = {"scale": _SCALE_RATE}
    for number, fan_in in enumerate(recipe.widths[:-1]):
        factors[f"dense_{number}/kernel"] = 1.0 / math.sqrt(fan_in)
        factors[f"dense_{number}/bias"] = _BIAS_RATE
    return _Adam(Cycles(rate, steps), *_BETAS, _EPSILON, learning_rate_multipliers=factors)


def initialize(network: Network, random: np.random.RandomState) -> None:
    """Draw initial weights: ``W, b ~ N(0, 1)``; those of the last layer are 0."""
    for kernel, bias in zip(network.kernels[:-1], network.biases[:-1], strict=True):
        kernel[...] = random.standard_normal(kernel.shape) / math.sqrt(kernel.shape[0])
        bias[...] = random.standard_normal(bias.shape)


def smoothed(codes: np.ndarray, classes: int, part: float) -> np.ndarray:
    """Return targets of classes, (rows, classes), with a part of them spread over all.

    Examples
    --------
    >>> smoothed(np.array([1]), 2, 0.1)
    array([[0.05, 0.95]])
    """
    found = np.full((len(codes), classes), part / classes)
    found[np.arange(len(codes)), codes] += 1.0 - part
    return found


class Course(NamedTuple):
    """How training went.

    Attributes
    ----------
    losses : list of float
        Of each epoch, means over the rows.
    scores : list of float
        Of the validation rows; greater is better.
    best : int
        The epoch whose weights are kept, from 1 on; the last one without validation rows.
    """

    losses: list[float]
    scores: list[float]
    best: int


def train(
    network: Network,
    rows: Rows,
    batch: int,
    n_epochs: int,
    rate: float,
    random: np.random.RandomState,
    score: Callable[[], float] | None,
    after: Callable[[int, dict[str, float]], bool],
    n_threads: int | None,
) -> Course:
    """Train a net; of several epochs with the best score, the last one's weights are kept.

    Parameters
    ----------
    network : Network
    rows : Rows
    batch : int
        At most as many as there are rows; those of an incomplete last one are left out, others in each epoch.
    n_epochs : int
    rate : float
    random : numpy.random.RandomState
        Draws the order of the rows.
    score : callable, optional
    after : callable
        Is told of each epoch, and returns whether it is the last one.
    n_threads : int, optional

    Returns
    -------
    Course
        With fewer epochs than asked for, if a loss was not finite: the last loss then is NaN.
    """
    n = rows.n_rows
    used = n // batch * batch
    network.begin(optimizer_of(network.recipe, rate, n_epochs * (used // batch)))
    epochs = Epochs(network, rows, batch, 0.0, n_threads)
    course = Course([], [], 0)
    best, best_score, best_epoch = network.flat.copy(), -math.inf, 0
    for number in range(1, n_epochs + 1):
        order = random.permutation(n).astype(np.int32)[:used] if batch < n else None
        epoch = epochs.run(order)
        course.losses.append(epoch.data)
        if not epoch.finite:
            break
        logs = {"loss": epoch.data}
        if score is not None:
            found = score()
            course.scores.append(found)
            logs["val_score"] = found
            if found >= best_score:
                best[...] = network.flat
                best_score, best_epoch = found, number
        else:
            best_epoch = number
        if after(number, logs):
            break
    if score is not None and best_epoch:
        network.flat[...] = best
    return course._replace(best=best_epoch)
