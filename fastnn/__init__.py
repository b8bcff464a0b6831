"""fastnn: multilayer perceptrons trained on a CPU, by typed Cython kernels over BLAS.

The public names, explicitly.  What is heavy or optional loads on first use.
"""

from typing import TYPE_CHECKING, Any

try:
    from fastnn._core import table as _table  # noqa: F401 - chooses the kernels
except ValueError as error:  # the environment's FASTNN_SIMD
    from fastnn.startup import exit_if_command

    exit_if_command(error)
    raise

from fastnn import (
    activations,
    callbacks,
    errors,
    initializers,
    kernels,
    layers,
    losses,
    metrics,
    optimizers,
    regularizers,
    utils,
)
from fastnn.layers import Input
from fastnn.model import Model
from fastnn.runtime import build_info, threads
from fastnn.sequential import Sequential

if TYPE_CHECKING:
    from fastnn import datasets, plotting
    from fastnn.inspection import gradcheck

__version__ = "0.1.0"

__all__ = [
    "Input",
    "Model",
    "Sequential",
    "__version__",
    "activations",
    "build_info",
    "callbacks",
    "datasets",
    "errors",
    "gradcheck",
    "initializers",
    "kernels",
    "layers",
    "losses",
    "metrics",
    "optimizers",
    "plotting",
    "regularizers",
    "threads",
    "utils",
]


def __getattr__(name: str) -> Any:
    if name == "datasets":
        import fastnn.datasets

        return fastnn.datasets
    if name == "plotting":
        import fastnn.plotting

        return fastnn.plotting
    if name == "gradcheck":
        from fastnn.inspection import gradcheck

        return gradcheck
    raise AttributeError(f"module 'fastnn' has no attribute {name!r}")
