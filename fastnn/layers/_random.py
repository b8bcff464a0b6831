"""Layers that draw random numbers in training, and do nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastnn.checks import check_count, check_number, with_arguments_of_keras
from fastnn.errors import ConfigurationError
from fastnn.graph.graph import AlphaDropoutConfig, DropoutConfig, GaussianDropoutConfig, GaussianNoiseConfig
from fastnn.layers._base import Layer

__all__ = ["AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise"]

_LARGEST_SEED = 2**52 - 1


def _checked_seed(seed: object) -> int | None:
    return None if seed is None else check_count(seed, "seed", 0, _LARGEST_SEED)


class Dropout(Layer):
    """In training, each number becomes 0 with probability `rate`, the others times ``1 / (1 - rate)``.

    Srivastava et al. 2014.  `predict`, `evaluate` and calling the model leave numbers as they are.  What a
    step drops follows from the model's seed, the number of the step, and the place of the layer and of the
    number: it is the same for every number of threads, and a run that is resumed drops what it would have
    dropped.

    Parameters
    ----------
    rate : float
        In [0, 1].
    noise_shape : None
        As in Keras, where it can spare axes; here each number is dropped by itself.
    seed : int, optional
        From 0 to 2^52 - 1: the layer then draws of this number, not of its place among those that draw.
    name : str, optional

    Raises
    ------
    ConfigurationError
        If a number is out of range, or `noise_shape` is given.

    Examples
    --------
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((4,)), Dropout(0.5)])
    >>> model.predict([[1.0, 2.0, 3.0, 4.0]])
    array([[1., 2., 3., 4.]], dtype=float32)
    """

    config: DropoutConfig

    def __init__(
        self, rate: float, noise_shape: None = None, seed: int | None = None, *, name: str | None = None
    ) -> None:
        super().__init__(name)
        if noise_shape is not None:
            raise ConfigurationError(
                "Dropout drops each number by itself; leave noise_shape out, or multiply by your own mask"
            )
        self.config = DropoutConfig(_checked_seed(seed), check_number(rate, "rate", 0.0, 1.0))

    def _arguments(self) -> dict[str, Any]:
        return {"rate": self.config.rate, "seed": self.config.seed}

    def _code(self) -> Iterator[str]:
        yield str(self.config.rate)
        if self.config.seed is not None:
            yield f"seed={self.config.seed}"


class GaussianNoise(Layer):
    """In training, adds a normal number with mean 0 to each number.

    `predict`, `evaluate` and calling the model leave numbers as they are.  What is drawn is settled as for
    `Dropout`; normal numbers have 32 random bits, so none is above 6.4 standard deviations.

    Parameters
    ----------
    stddev : float
        The standard deviation, at least 0.
    seed : int, optional
        As for `Dropout`.
    name : str, optional

    Raises
    ------
    ConfigurationError
        If a number is out of range.

    Examples
    --------
    >>> GaussianNoise(0.1).config.stddev
    0.1
    """

    config: GaussianNoiseConfig

    def __init__(self, stddev: float, seed: int | None = None, *, name: str | None = None) -> None:
        super().__init__(name)
        self.config = GaussianNoiseConfig(_checked_seed(seed), check_number(stddev, "stddev", 0.0))

    def _arguments(self) -> dict[str, Any]:
        return {"stddev": self.config.stddev, "seed": self.config.seed}

    def _code(self) -> Iterator[str]:
        yield str(self.config.stddev)
        if self.config.seed is not None:
            yield f"seed={self.config.seed}"


class GaussianDropout(Layer):
    """In training, multiplies each number by a normal number with mean 1.

    Its variance is ``rate / (1 - rate)``, that of `Dropout` of the same rate (Srivastava et al. 2014).
    `predict`, `evaluate` and calling the model leave numbers as they are.  What is drawn is settled as for
    `Dropout`.

    Parameters
    ----------
    rate : float
        At least 0, below 1.
    seed : int, optional
        As for `Dropout`.
    name : str, optional

    Raises
    ------
    ConfigurationError
        If a number is out of range.

    Examples
    --------
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((2,)), GaussianDropout(0.5)])
    >>> model.predict([[1.0, 2.0]])
    array([[1., 2.]], dtype=float32)
    """

    config: GaussianDropoutConfig

    @with_arguments_of_keras("GaussianDropout", "Layer")
    def __init__(self, rate: float, seed: int | None = None, *, name: str | None = None) -> None:
        super().__init__(name)
        share = check_number(rate, "rate", 0.0, 1.0, open_maximum=True)
        self.config = GaussianDropoutConfig(_checked_seed(seed), share)

    def _arguments(self) -> dict[str, Any]:
        return {"rate": self.config.rate, "seed": self.config.seed}

    def _code(self) -> Iterator[str]:
        yield str(self.config.rate)
        if self.config.seed is not None:
            yield f"seed={self.config.seed}"


class AlphaDropout(Layer):
    """In training, each number becomes SELU's least value with probability `rate`.

    All numbers are then scaled and shifted so that a mean of 0 and a variance of 1 stay what they are
    (Klambauer et al. 2017).  `predict`, `evaluate` and calling the model leave numbers as they are.  What is
    drawn is settled as for `Dropout`.

    Parameters
    ----------
    rate : float
        At least 0, below 1.
    noise_shape : None
        As for `Dropout`.
    seed : int, optional
        As for `Dropout`.
    name : str, optional

    Raises
    ------
    ConfigurationError
        If a number is out of range, or `noise_shape` is given.

    Examples
    --------
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((2,)), AlphaDropout(0.5)])
    >>> model.predict([[1.0, 2.0]])
    array([[1., 2.]], dtype=float32)
    """

    config: AlphaDropoutConfig

    @with_arguments_of_keras("AlphaDropout", "Layer")
    def __init__(
        self, rate: float, noise_shape: None = None, seed: int | None = None, *, name: str | None = None
    ) -> None:
        super().__init__(name)
        if noise_shape is not None:
            raise ConfigurationError("AlphaDropout drops each number by itself; leave noise_shape out")
        share = check_number(rate, "rate", 0.0, 1.0, open_maximum=True)
        self.config = AlphaDropoutConfig(_checked_seed(seed), share)

    def _arguments(self) -> dict[str, Any]:
        return {"rate": self.config.rate, "seed": self.config.seed}

    def _code(self) -> Iterator[str]:
        yield str(self.config.rate)
        if self.config.seed is not None:
            yield f"seed={self.config.seed}"
