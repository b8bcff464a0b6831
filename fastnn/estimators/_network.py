"""The net behind an estimator: a chain of layers, its weights as views, and the programs that train it.

scikit-learn divides its penalty by the rows of each batch, or by the sum of their weights.  So a net has a
plan for each such divisor, over the same weights.  This file must not know scikit-learn, estimators or
epochs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import is_
from typing import Any

import numpy as np

from fastnn.compiler.plan import Plan
from fastnn.graph.symbolic import SymbolicTensor
from fastnn.layers import Activation, BatchNormalization, Dense, Dropout, Input, Layer, LayerNormalization
from fastnn.losses import Loss
from fastnn.model.objective import Objective
from fastnn.model.optimizer_state import OptimizerState
from fastnn.model.programs import Key, Programs
from fastnn.model.sequential import Sequential
from fastnn.model.structure import Structure
from fastnn.optimizers import Optimizer
from fastnn.regularizers import L2
from fastnn.run.program import Program

__all__ = ["Network", "Recipe", "parts_of_loss"]

_KEPT_DECAYS = 8  # batches of so many lengths, or weights, have their plans at hand
_SPARSE_ROWS = 1024  # of a sparse matrix that become dense at a time, for predictions
_COPIED_ROWS = 1 << 15  # of an array that get another dtype or order at a time, for predictions
_NORMALIZATIONS: dict[str | None, Callable[[], Layer]] = {
    "batch": BatchNormalization,
    "layer": LayerNormalization,
}


@dataclass(frozen=True)
class Recipe:
    """What a net is made of; all of it but its weights.

    Attributes
    ----------
    widths : tuple of int
        Of the input, of the hidden layers and of the output.
    activations : tuple
        Of the hidden layers.
    output : str
        Activation of the last layer.
    loss : Loss
    share : float
        The factor of the loss in what is minimised.
    dropout : tuple of float
        The share that each hidden layer drops; empty if none does.
    normalization : {"batch", "layer"} or None
        What stands before the activations of hidden layers.
    """

    widths: tuple[int, ...]
    activations: tuple[Any, ...]
    output: Any
    loss: Loss
    share: float
    dropout: tuple[float, ...] = ()
    normalization: str | None = None

    def model(self, dtype: np.dtype, decay: float, seed: int) -> Sequential:
        """Return a model with the penalty ``decay * sum(w ** 2)`` on kernels."""
        penalty = L2(decay) if decay else None
        parts: list[Layer | SymbolicTensor] = [Input((self.widths[0],))]
        for number, (units, activation) in enumerate(zip(self.widths[1:-1], self.activations, strict=True)):
            parts += self._hidden(number, units, activation, penalty)
        # Initial weights are the estimator's business.
        output = Dense(self.widths[-1], self.output, kernel_initializer="zeros", kernel_regularizer=penalty)
        parts.append(output)
        return Sequential(parts, dtype=dtype.name, seed=seed)

    def _hidden(self, number: int, units: int, activation: Any, penalty: L2 | None) -> list[Layer]:
        """Return the layers of a hidden layer."""
        normal = _NORMALIZATIONS.get(self.normalization)
        dense = Dense(
            units,
            activation if normal is None else None,
            kernel_initializer="zeros",
            kernel_regularizer=penalty,
        )
        parts: list[Layer] = [dense]
        if normal is not None:
            parts += [normal(), Activation(activation)]
        if self.dropout and self.dropout[number]:
            parts.append(Dropout(self.dropout[number]))
        return parts


class Network:
    """A net with weights.

    Parameters
    ----------
    recipe : Recipe
    dtype : numpy.dtype
    seed : int
        For layers that draw random numbers.

    Attributes
    ----------
    kernels, biases : list of numpy.ndarray
        Views of the weights, in the order of the layers: who changes them changes the net.
    optimizer : OptimizerState or None
        What trains it, once that is known.
    """

    def __init__(self, recipe: Recipe, dtype: np.dtype, seed: int = 0) -> None:
        self.recipe, self.dtype, self.seed = recipe, dtype, seed
        self._model: Sequential = recipe.model(dtype, 0.0, seed)
        self.optimizer: OptimizerState | None = None
        self._bind()

    def __getstate__(self) -> dict[str, Any]:
        return {
            name: value
            for name, value in self.__dict__.items()
            if name not in ("kernels", "biases", "_programs")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._bind()

    def _bind(self) -> None:
        self._programs: dict[float, Programs] = {}
        store = self._now.store
        dense = [store.places[layer] for layer in self._model.layers if isinstance(layer, Dense)]
        self.kernels = [places["kernel"].view(store.array) for places in dense]
        self.biases = [places["bias"].view(store.array) for places in dense]

    @property
    def model(self) -> Sequential:
        """The model over these weights."""
        return self._model

    @property
    def _now(self) -> Structure:
        return self._model._now

    @property
    def flat(self) -> np.ndarray:
        """All weights, and what layers keep beside, as one array."""
        return self._now.store.array

    @property
    def has_statistics(self) -> bool:
        """Whether a layer follows the data by a rule of its own, such as a moving mean."""
        return any(parameter.statistic for parameter in self._now.graph.parameters)

    def exclusively(self, function: Callable[[], Any]) -> Any:
        """Return what `function` does, called while no other thread trains the net."""
        return self._model._binder.exclusively(function)

    def fits(self, kernels: Sequence[np.ndarray], biases: Sequence[np.ndarray]) -> bool:
        """Return whether weights have the shapes of this net's."""
        own, given = (*self.kernels, *self.biases), (*kernels, *biases)
        return len(own) == len(given) and all(a.shape == b.shape for a, b in zip(own, given, strict=True))

    def holds(self, kernels: Sequence[np.ndarray], biases: Sequence[np.ndarray]) -> bool:
        """Return whether weights are this net's own arrays."""
        return (
            len(kernels) == len(self.kernels)
            and len(biases) == len(self.biases)
            and all(map(is_, self.kernels, kernels))
            and all(map(is_, self.biases, biases))
        )

    def take(self, kernels: Sequence[np.ndarray], biases: Sequence[np.ndarray]) -> None:
        """Copy weights that are not the net's own, and are of the same shapes."""
        for own, given in zip(self.kernels, kernels, strict=True):
            if own is not given:
                own[...] = given
        for own, given in zip(self.biases, biases, strict=True):
            if own is not given:
                own[...] = given

    def succeed(self, before: Network) -> None:
        """Take over the optimizer of a net in whose place this one comes, if its weights are as many."""
        if before.optimizer is not None and before.flat.size == self.flat.size:
            self.optimizer = before.optimizer

    # -- predictions

    def few(self, x: np.ndarray) -> np.ndarray | None:
        """Return the outputs for few rows, by the short way; None where that does not lead."""
        programs = self._now.programs
        if programs is None or programs.few_rows is None:
            return None
        found: np.ndarray | None = programs.few_rows.predict(x)
        return found

    def outputs(self, x: Any, n_threads: int | None = None) -> np.ndarray:
        """Return the outputs for checked rows.

        Parameters
        ----------
        x : numpy.ndarray or sparse matrix, (rows, features)
        n_threads : int, optional

        Returns
        -------
        numpy.ndarray, (rows, outputs)
        """
        rows = x.shape[0]
        if self.dtype == np.float32 and x.dtype == np.float64 and rows:
            largest = max(abs(float(x.max())), abs(float(x.min())))
            if largest > float(np.finfo(np.float32).max):
                raise ValueError(
                    f"X has the value {largest:g}, too large for float32, in which this estimator was "
                    "trained; scale its columns, or fit on float64"
                )
        found = np.empty((rows, self.recipe.widths[-1]), self.dtype)
        for begin, end in self._parts_of(x):
            out = found[begin:end]
            part = x[begin:end] if isinstance(x, np.ndarray) else x[begin:end].toarray()
            part = np.ascontiguousarray(part, self.dtype)
            _, result = self._now.need_programs().run(
                Key("predict"), {"x": part, "output": out}, len(out), n_threads=n_threads
            )
            if result.exception is not None:
                raise result.exception
        return found

    def _parts_of(self, x: Any) -> list[tuple[int, int]]:
        """Return where the parts begin and end by which rows are predicted: whole, where none is copied."""
        rows = x.shape[0]
        step = _SPARSE_ROWS
        if isinstance(x, np.ndarray):
            step = rows if x.dtype == self.dtype and x.flags.c_contiguous else _COPIED_ROWS
        begins = range(0, rows, step) if rows else range(0)
        return [(begin, min(begin + step, rows)) for begin in begins]

    # -- training

    def begin(self, optimizer: Optimizer) -> None:
        """Be trained by an optimizer from now on, which begins anew."""
        recipe = self.recipe
        shares = None if recipe.share == 1.0 else [recipe.share]
        state = OptimizerState(optimizer, recipe.loss, shares, None, None, False)
        self._model._binder.compile(state)
        self.optimizer = state
        self._programs.clear()

    def finish(self) -> None:
        """Take the averages of the weights, if the optimizer makes any."""
        now = self._now
        for name, average in self.need_optimizer().averages(now.places, now.graph).items():
            now.places[name].view(self.flat)[...] = average

    def programs(self, decay: float) -> Programs:
        """Return the programs that train with the penalty ``decay * sum(w ** 2)``."""
        found = self._programs.get(decay)
        if found is None:
            state, now = self.need_optimizer(), self._now
            graph = self.recipe.model(self.dtype, decay, self.seed).graph if decay else now.graph
            objective: Objective = state.objective(graph)
            found = Programs(graph, now.places, now.store.parameters, self.dtype, objective, state)
            while len(self._programs) >= _KEPT_DECAYS:
                del self._programs[next(iter(self._programs))]
            self._programs[decay] = found
        return found

    def program(self, decay: float, key: Key) -> Program:
        """Return the program of a plan with that penalty."""
        found: Any = self.programs(decay).program(key)
        return found

    def need_optimizer(self) -> OptimizerState:
        """Return the optimizer at work."""
        assert self.optimizer is not None
        return self.optimizer

    def kernels_of(self, flat: np.ndarray) -> list[np.ndarray]:
        """Return the parts of an array that lies like the weights' which belong to kernels."""
        return self._parts(flat, "kernel")

    def biases_of(self, flat: np.ndarray) -> list[np.ndarray]:
        """Return the parts of such an array which belong to biases."""
        return self._parts(flat, "bias")

    def _parts(self, flat: np.ndarray, role: str) -> list[np.ndarray]:
        places = self._now.store.places
        return [places[layer][role].view(flat) for layer in self._model.layers if isinstance(layer, Dense)]


def parts_of_loss(plan: Plan, sums: np.ndarray) -> tuple[float, float]:
    """Return what the loss and the penalties add up to over the rows of a run.

    Parameters
    ----------
    plan : Plan
    sums : numpy.ndarray, (sums,)
    """
    data = penalty = 0.0
    first = 0
    for accumulator in plan.accumulators:
        total = float(sums[first])
        first += accumulator.width
        if accumulator.share is not None:
            if accumulator.name == "penalty":
                penalty += accumulator.share * total
            else:
                data += accumulator.share * total
    return data, penalty
