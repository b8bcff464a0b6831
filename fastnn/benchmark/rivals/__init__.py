"""The contenders of the benchmarks: what one must offer, one file for each library.

To add one, write a file here with a class that satisfies `Rival` (it trains) or `Predictor` (it computes
outputs) and name it in `RIVALS` or `PREDICTORS`. A library
that may be absent is imported inside the constructor and `threads`, never at the top.
This file must not know how contenders are timed, and imports none of them before it is asked to.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from fastnn.benchmark.workloads import Workload
from fastnn.errors import unknown_name

__all__ = [
    "DEFAULT_RIVALS",
    "PREDICTORS",
    "RIVALS",
    "Contender",
    "Predictor",
    "Rival",
    "find_predictors",
    "find_rivals",
    "load_rivals",
]

RIVALS: dict[str, tuple[str, str]] = {
    "numpy": ("numpy_", "NumpyRival"),
    "sklearn": ("sklearn_", "SklearnRival"),
    "torch": ("torch_", "TorchRival"),
    "torch-compile": ("torch_", "TorchCompiledRival"),
    "jax": ("jax_", "JaxScanRival"),
    "jax-step": ("jax_", "JaxStepRival"),
    "fastnn": ("fastnn_", "FastnnRival"),
}
"""Module and class of every contender that trains, fastnn last: the others are compared with it."""

PREDICTORS: dict[str, tuple[str, str]] = {
    "numpy": ("numpy_inference", "NumpyPredictor"),
    "sklearn": ("sklearn_", "SklearnPredictor"),
    "torch": ("torch_", "TorchPredictor"),
    "onnxruntime": ("onnx_", "OnnxPredictor"),
    "fastnn": ("fastnn_", "FastnnPredictor"),
}
"""Module and class of every contender that computes outputs, fastnn last."""

DEFAULT_RIVALS = ("numpy", "fastnn")
"""Who races unless told otherwise: those whose libraries fastnn needs anyway."""


class Contender(Protocol):
    """Who competes: a name, a version, and control over its threads.

    `Rival` adds training to it, `Predictor` the outputs of a network.
    """

    name: ClassVar[str]
    """What the tables call it."""

    module: ClassVar[str]
    """What is imported first, for example ``"sklearn.neural_network"``."""

    requires: ClassVar[str]
    """What has to be installed for it, in words."""

    slow_start: ClassVar[bool]
    """Whether it compiles for many seconds before its first step: left out of quick runs."""

    @classmethod
    def available(cls) -> bool:
        """Say whether the library is installed."""
        ...

    @classmethod
    def version(cls) -> str:
        """Return the library's version."""
        ...

    @classmethod
    def refuses(cls, workload: Workload) -> str | None:
        """Return why it cannot compute a workload, or None: it can."""
        ...

    @classmethod
    def thread_counts(cls, n_cores: int) -> tuple[int, ...]:
        """Return the thread counts to try on a machine of `n_cores` cores; the best one is reported."""
        ...

    @classmethod
    def threads(cls, n_threads: int) -> AbstractContextManager[Any]:
        """Return a context in which the library computes with `n_threads` threads."""
        ...


class Rival(Contender, Protocol):
    """A contender that trains: built from a workload, initial weights and data, it keeps its own state.

    Rows are used in the order given, in whole batches, without shuffling. Weights are copied, so the
    caller's arrays never change; `x` and `y` may be used in place but are never written to.
    """

    def __init__(
        self,
        workload: Workload,
        weights: Sequence[NDArray[np.float32]],
        x: NDArray[np.float32],
        y: NDArray[Any],
    ) -> None: ...

    def run_epochs(self, n_epochs: int) -> float:
        """Train for `n_epochs` more epochs; return the mean of the batch losses of the last one.

        The loss of a batch is the one before its update, as in Keras's History.
        """
        ...

    def get_weights(self) -> list[NDArray[np.float32]]:
        """Return copies of the kernels and biases, in the order in which they were given."""
        ...


class Predictor(Contender, Protocol):
    """A contender that computes outputs: built from a workload and weights, which it copies."""

    def __init__(self, workload: Workload, weights: Sequence[NDArray[np.float32]]) -> None: ...

    def function(self, n_threads: int) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
        """Return the function from rows to outputs, both NumPy, to be called within `threads`."""
        ...


def _find(table: dict[str, tuple[str, str]], names: Iterable[str]) -> tuple[Any, ...]:
    names = {*names, "fastnn"}
    for name in sorted(names - RIVALS.keys() - PREDICTORS.keys()):
        raise unknown_name("rival", name, {**RIVALS, **PREDICTORS})
    chosen = (table[name] for name in table if name in names)
    return tuple(getattr(importlib.import_module(f"{__name__}.{module}"), name) for module, name in chosen)


def find_rivals(names: Iterable[str] = DEFAULT_RIVALS) -> tuple[type[Rival], ...]:
    """Import the contenders of the given names, whether their library is installed or not.

    Parameters
    ----------
    names : iterable of str
        Keys of `RIVALS`, or of `PREDICTORS`: who cannot train does not take part. fastnn does, named
        or not.

    Returns
    -------
    tuple of type
        Classes that satisfy `Rival`, in the order of `RIVALS`: fastnn last.

    Raises
    ------
    ValueError
        If a name is unknown; the message holds the nearest known one.

    Examples
    --------
    >>> [rival.name for rival in find_rivals(["jax"])]
    ['JAX scan', 'fastnn']
    """
    return _find(RIVALS, names)


def find_predictors(names: Iterable[str] = DEFAULT_RIVALS) -> tuple[type[Predictor], ...]:
    """Import the contenders of the given names that compute outputs, installed or not.

    Parameters
    ----------
    names : iterable of str
        Keys of `PREDICTORS`, or of `RIVALS`: who only trains does not take part.

    Returns
    -------
    tuple of type
        Classes that satisfy `Predictor`, in the order of `PREDICTORS`: fastnn last.

    Raises
    ------
    ValueError
        If a name is unknown; the message holds the nearest known one.
    """
    return _find(PREDICTORS, names)


def load_rivals(names: Iterable[str] = DEFAULT_RIVALS) -> tuple[type[Rival], ...]:
    """Import the contenders of the given names and return those whose library is installed.

    Parameters
    ----------
    names : iterable of str
        Keys of `RIVALS`.

    Returns
    -------
    tuple of type
        Classes that satisfy `Rival`, fastnn last.

    Raises
    ------
    ValueError
        If a name is unknown.
    """
    return tuple(rival for rival in find_rivals(names) if rival.available())
