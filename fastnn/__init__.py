"""fastnn: multilayer perceptrons trained on a CPU, with the names of Keras.

>>> import fastnn
>>> (x, y), (x_test, y_test) = fastnn.datasets.load_digits()
>>> hidden, output = fastnn.layers.Dense(64, "relu"), fastnn.layers.Dense(10, "softmax")
>>> model = fastnn.Sequential([fastnn.Input((64,)), hidden, output], seed=0)
>>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
>>> history = model.fit(x, y, epochs=20, verbose=0)
>>> model.evaluate(x_test, y_test, return_dict=True)["accuracy"] > 0.95
True

Models are described in Python, and run by kernels compiled from Cython, in float32 or float64.  The same
seed gives the same bits, whatever the number of threads.

==============================  ==========================================================================
models                          `Sequential` is a chain of layers, `Model` any graph of them from `Input`
                                to outputs
what they are made of           `layers`, `activations`, `initializers`, `regularizers`, `constraints`
for scikit-learn                `MLPClassifier` and `MLPRegressor`, in the place of its own
for tables as they are          `TabularClassifier` and `TabularRegressor`
how they are trained            `losses`, `metrics`, `optimizers`, `callbacks`
data, pictures                  `datasets`, `plotting` (with matplotlib)
for loops of your own           ``model.loss_and_gradients``, ``model.forward`` and ``model.backward``;
                                `kernels`, NumPy functions with ``out=``
keeping                         ``model.save(path)``, `load_model`, `load_estimator`;
                                ``model.save_weights(path)``; `saving`, `models` for copies and JSON;
                                `export` to ONNX, C and PyTorch
looking inside                  ``model.summary()``, ``model.plan()``, ``model.profile(x, y)``, `gradcheck`
the process                     `threads`, `build_info`, `utils` for seeds, `errors`
==============================  ==========================================================================

Environment variables: ``FASTNN_NUM_THREADS``, or ``OMP_NUM_THREADS``, is the most threads to use, by default
as many as there are CPUs;
``FASTNN_SIMD``, one of ``base``, ``v3`` and ``v4``, chooses lesser kernels than the processor could run;
``FASTNN_DATA`` is the folder in which `datasets` looks for MNIST.

On the command line, ``fastnn --help``; in Python, ``help(fastnn.Model.fit)`` and the like.
"""
# The public names, explicitly.  What is heavy or optional loads on first use.

from typing import TYPE_CHECKING, Any

try:
    from fastnn._core import table as _table  # noqa: F401 - chooses the kernels
except (ImportError, ValueError) as error:  # a core that is not built, or the environment's FASTNN_SIMD
    from fastnn.startup import exit_if_command, explained

    reason = explained(error, __path__[0])
    if reason is None:
        raise
    exit_if_command(reason)
    raise reason from None

from fastnn import (
    activations,
    callbacks,
    constraints,
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
from fastnn._core import guards as _guards
from fastnn.absent import attribute_error
from fastnn.border.numeric import as_numbers as _as_numbers
from fastnn.described import hand_down as _hand_down
from fastnn.layers import Input
from fastnn.layers._base import equip as _equip_layers
from fastnn.metrics._base import equip as _equip_metrics
from fastnn.model import alone as _alone
from fastnn.model.model import Model
from fastnn.model.sequential import Sequential
from fastnn.model.serializable import equip as _equip
from fastnn.run.calling import constrained as _constrained
from fastnn.run.calling import loss_of as _loss_of
from fastnn.run.calling import penalty as _penalty
from fastnn.run.measuring import measure as _measure
from fastnn.run.runtime import build_info, threads
from fastnn.version import __version__

_equip(lambda: _guards.load("fastnn.saving"))
_equip_metrics(_measure)
_hand_down(as_numbers=_as_numbers)
_equip_layers(build=_alone.build, call=_alone.call, shape=_alone.shape_of)
_hand_down(loss_of=_loss_of, constrained=_constrained, penalty=_penalty, next_seed=utils.next_seed)

if TYPE_CHECKING:
    from fastnn import datasets, export, models, plotting, saving
    from fastnn.estimators import (
        MLPClassifier,
        MLPRegressor,
        TabularClassifier,
        TabularRegressor,
        load_estimator,
    )
    from fastnn.model.inspection import gradcheck
    from fastnn.saving import load_model

__all__ = [
    "Input",
    "MLPClassifier",
    "MLPRegressor",
    "Model",
    "Sequential",
    "TabularClassifier",
    "TabularRegressor",
    "__version__",
    "activations",
    "build_info",
    "callbacks",
    "constraints",
    "datasets",
    "errors",
    "export",
    "gradcheck",
    "initializers",
    "kernels",
    "layers",
    "load_estimator",
    "load_model",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "plotting",
    "regularizers",
    "saving",
    "threads",
    "utils",
]

_ESTIMATORS = {"MLPClassifier", "MLPRegressor", "TabularClassifier", "TabularRegressor", "load_estimator"}


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name in ("datasets", "export", "models", "plotting", "saving"):
        return _guards.load(f"fastnn.{name}")
    if name == "gradcheck":
        from fastnn.model.inspection import gradcheck

        return gradcheck
    if name in _ESTIMATORS:
        return getattr(_guards.load("fastnn.estimators"), name)
    if name == "load_model":
        from fastnn.saving import load_model

        return load_model
    raise attribute_error(__name__, name, __all__)
