"""The benchmark workloads: which networks are trained, with which data and initial weights.

Everything here is a value or a pure function of a seed, so every contender gets the same numbers.
This file must not know who competes, how time is measured, or how anything is trained.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastnn.errors import unknown_name

__all__ = ["WORKLOADS", "Workload", "find_workloads", "make_data", "make_weights"]

Float32Array = NDArray[np.float32]

# The hidden "teacher" that makes the targets learnable, and the noise that keeps the loss above zero.
_TEACHER_UNITS = 16
_NOISE = 0.3


@dataclass(frozen=True)
class Workload:
    """A multilayer perceptron, how it is trained, and why it is worth measuring.

    Parameters
    ----------
    name : str
        The name by which ``fastnn benchmark`` selects it.
    widths : tuple of int
        Number of inputs, units of each hidden layer, number of outputs.
    activation : {"sigmoid", "tanh", "relu"}
        Activation of the hidden layers.
    output_activation : {"linear", "sigmoid", "softmax"}
        Activation of the last layer; ``"softmax"`` goes with the cross-entropy.
    loss : {"mse", "sparse_categorical_crossentropy"}
        Squared error, mean over batch and outputs, or cross-entropy, mean over the batch (as in Keras).
    batch : int
        Rows per training step.
    optimizer : {"sgd", "adam"}
        Plain gradient descent without momentum, or Adam with Keras's defaults.
    learning_rate : float
        Step size.
    description : str
        One line on where such a network is met.

    Examples
    --------
    >>> gate = Workload("gate", (2, 2, 1), "sigmoid", "sigmoid", "mse", 4, "sgd", 0.5, "an example")
    >>> gate.net, gate.parameters, gate.flops_per_step
    ('2-2-1', 9, 112)
    """

    name: str
    widths: tuple[int, ...]
    activation: str
    output_activation: str
    loss: Literal["mse", "sparse_categorical_crossentropy"]
    batch: int
    optimizer: Literal["sgd", "adam"]
    learning_rate: float
    description: str

    @property
    def net(self) -> str:
        """The widths as people write them, for example ``"784-500-10"``."""
        return "-".join(map(str, self.widths))

    @property
    def activations(self) -> tuple[str, ...]:
        """The activation of every layer, the output layer last."""
        return (self.activation,) * (len(self.widths) - 2) + (self.output_activation,)

    @property
    def parameters(self) -> int:
        """Number of trainable numbers, kernels and biases."""
        return sum((inputs + 1) * units for inputs, units in pairwise(self.widths))

    @property
    def flops_per_step(self) -> int:
        """Floating-point operations of the matrix products of one training step.

        ``2 m k n`` for each layer's forward product, as much for its weight gradient, and as much for
        its input gradient, which the first layer does not need. Element-wise work is not counted.
        """
        products = [2 * self.batch * inputs * units for inputs, units in pairwise(self.widths)]
        return 3 * sum(products) - products[0]

    def steps_per_epoch(self, n_rows: int) -> int:
        """Return the number of training steps that a pass over `n_rows` rows takes.

        Parameters
        ----------
        n_rows : int
            Rows of the data, a positive multiple of the batch.

        Returns
        -------
        int
            ``n_rows / batch``.

        Raises
        ------
        ValueError
            If the rows cannot be cut into whole batches: a short last batch would make "time per
            step" mean two things.
        """
        if n_rows < self.batch or n_rows % self.batch:
            raise ValueError(
                f"workload {self.name!r} needs whole batches: expected a positive multiple of {self.batch} "
                f"rows, got {n_rows}; cut or extend the data"
            )
        return n_rows // self.batch


_CROSS_ENTROPY: Literal["sparse_categorical_crossentropy"] = "sparse_categorical_crossentropy"

# fmt: off
WORKLOADS: tuple[Workload, ...] = (
    Workload("xnor", (2, 2, 1), "sigmoid", "sigmoid", "mse", 4, "sgd", 0.5,
             "the smallest net that is not linear: pure overhead"),
    Workload("admissions", (6, 2, 1), "sigmoid", "sigmoid", "mse", 400, "sgd", 0.5,
             "a textbook exercise: a few hundred rows, full batch"),
    Workload("bike", (56, 25, 1), "sigmoid", "linear", "mse", 128, "sgd", 0.05,
             "a small regression on one-hot and scaled features"),
    Workload("policy1", (4, 64, 64, 2), "tanh", "linear", "mse", 1, "adam", 1e-4,
             "a reinforcement-learning policy, updated row by row"),
    Workload("policy64", (4, 64, 64, 2), "tanh", "linear", "mse", 64, "adam", 1e-3,
             "the same policy on minibatches"),
    Workload("smallmlp", (4, 32, 16, 4), "tanh", "linear", "mse", 10_000, "adam", 1e-3,
             "a surrogate model: few weights, many rows"),
    Workload("twenty", (1000, 100, 10), "sigmoid", "linear", "mse", 64, "sgd", 0.05,
             "the two-layer net that fits in twenty lines of NumPy"),
    Workload("tabular", (54, 256, 256, 7), "relu", "softmax", _CROSS_ENTROPY, 256, "adam", 2e-4,
             "a classifier of table rows"),
    Workload("mnist", (784, 500, 10), "relu", "softmax", _CROSS_ENTROPY, 200, "sgd", 0.1,
             "handwritten digits"),
    Workload("wide", (1024, 2048, 2048, 1000), "relu", "softmax", _CROSS_ENTROPY, 256, "adam", 1e-4,
             "bound by matrix products and by the optimizer's memory traffic"),
)
# fmt: on


def find_workloads(names: Iterable[str] = ()) -> tuple[Workload, ...]:
    """Return the workloads of the given names, or all of them.

    Parameters
    ----------
    names : iterable of str
        Names of workloads; none means all.

    Returns
    -------
    tuple of Workload
        In the order given.

    Raises
    ------
    ValueError
        If a name is unknown; the message holds the nearest known one.

    Examples
    --------
    >>> [workload.net for workload in find_workloads(["mnist", "xnor"])]
    ['784-500-10', '2-2-1']
    """
    by_name = {workload.name: workload for workload in WORKLOADS}
    names = tuple(names)
    for name in names:
        if name not in by_name:
            raise unknown_name("workload", name, by_name)
    return tuple(by_name[name] for name in names) or WORKLOADS


def make_data(workload: Workload, n_batches: int, seed: int = 0) -> tuple[Float32Array, NDArray[Any]]:
    """Make synthetic data of a workload's shape that its network can learn in part.

    The inputs are standard normal. The targets come from a fixed random two-layer network plus noise,
    scaled to unit variance for a linear output, cut at zero into {0, 1} for a sigmoid, and reduced to
    the index of the largest score for a softmax.

    Parameters
    ----------
    workload : Workload
        What the data are for.
    n_batches : int
        Number of whole batches to make, at least 1.
    seed : int
        Seed of the random numbers.

    Returns
    -------
    x : ndarray of float32, shape (n_batches * batch, inputs)
        Inputs.
    y : ndarray of float32, shape (n_batches * batch, outputs), or of int64, shape (n_batches * batch,)
        Targets, or the labels for the cross-entropy.

    Raises
    ------
    ValueError
        If `n_batches` is less than 1.

    Examples
    --------
    >>> x, y = make_data(WORKLOADS[0], n_batches=3)
    >>> x.shape, y.shape, x.dtype
    ((12, 2), (12, 1), dtype('float32'))
    """
    if n_batches < 1:
        raise ValueError(f"expected at least 1 batch, got {n_batches}")
    rng = np.random.default_rng(seed)
    n_rows, inputs, outputs = n_batches * workload.batch, workload.widths[0], workload.widths[-1]
    x = rng.standard_normal((n_rows, inputs), dtype=np.float32)
    features = np.tanh(x @ rng.standard_normal((inputs, _TEACHER_UNITS), dtype=np.float32) * inputs**-0.5)
    scores = features @ rng.standard_normal((_TEACHER_UNITS, outputs), dtype=np.float32)
    scores /= np.std(scores)
    scores += np.float32(_NOISE) * rng.standard_normal(scores.shape, dtype=np.float32)
    if workload.loss == "sparse_categorical_crossentropy":
        return x, scores.argmax(axis=1).astype(np.int64)
    if workload.output_activation == "sigmoid":
        return x, (scores > 0).astype(np.float32)
    return x, np.ascontiguousarray(scores, dtype=np.float32)


def make_weights(workload: Workload, seed: int = 0) -> list[Float32Array]:
    """Draw the initial weights that every contender starts from.

    Glorot uniform kernels, limit ``sqrt(6 / (fan_in + fan_out))``, and zero biases.

    Parameters
    ----------
    workload : Workload
        What the weights are for.
    seed : int
        Seed of the random numbers.

    Returns
    -------
    list of ndarray of float32
        ``[kernel, bias, kernel, bias, ...]``, kernels of shape (inputs, units), as ``get_weights()`` of a
        model returns them.

    References
    ----------
    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.

    Examples
    --------
    >>> [weight.shape for weight in make_weights(WORKLOADS[0])]
    [(2, 2), (2,), (2, 1), (1,)]
    """
    rng = np.random.default_rng(seed)
    weights: list[Float32Array] = []
    for inputs, units in pairwise(workload.widths):
        limit = (6 / (inputs + units)) ** 0.5
        weights.append(rng.uniform(-limit, limit, (inputs, units)).astype(np.float32))
        weights.append(np.zeros(units, np.float32))
    return weights


def check_weights(workload: Workload, weights: Sequence[NDArray[Any]]) -> None:
    """Raise unless `weights` are the kernels and biases of a workload's network, in order.

    Parameters
    ----------
    workload : Workload
        The network.
    weights : sequence of ndarray
        What was given.

    Raises
    ------
    ValueError
        If the number of arrays or a shape is wrong.
    """
    expected = [shape for pair in pairwise(workload.widths) for shape in (pair, pair[1:])]
    given = [np.shape(weight) for weight in weights]
    if given != expected:
        raise ValueError(f"workload {workload.name!r} needs weights of shapes {expected}, got {given}")
