"""What an optimizer at work has, one by one, as Keras shows it: counts, learning rate, moments of parameters.

This file must not know epochs or batches.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from fastnn.border import data
from fastnn.checks import check_count
from fastnn.errors import ConfigurationError
from fastnn.layers._weight import Weight

__all__ = ["Rate", "variables_of"]

# As Keras calls them, and in its order: what is here comes for all parameters before what follows it.
_NAMES = {"accumulated_gradient": "gradient_accumulator"}
_NAMES_OF_SGD = _NAMES | {"velocity": "momentum"}
_FIRST = ("average", "accumulated_gradient")
_LAST = ("velocity_hat",)
_LAST_OF_RMSPROP = ("momentum", "average_gradient")


class Worker(Protocol):
    """An optimizer at work, as far as this file knows it."""

    description: Any
    progress: Any
    state: np.ndarray | None
    learning_rate: Any

    @property
    def schedule(self) -> Any:
        """What sets the learning rate, if anything does."""


class Rate(float):
    """A learning rate that is a number, and can be read and set as a variable of Keras.

    Examples
    --------
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
    >>> model.compile(fastnn.optimizers.SGD(0.5), "mse")
    >>> model.optimizer.learning_rate.assign(0.25)
    >>> model.optimizer.learning_rate, float(model.optimizer.learning_rate.numpy())
    (0.25, 0.25)
    """

    _worker: weakref.ref[Worker] | None

    def __new__(cls, value: float, worker: Worker) -> Rate:
        """Make the rate of an optimizer at work."""
        self = super().__new__(cls, value)
        self._worker = weakref.ref(worker)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return float, (float(self),)

    @property
    def value(self) -> np.float32:
        """The number in float32, as Keras has it."""
        return np.float32(self)

    def numpy(self) -> np.float32:
        """Return the same."""
        return np.float32(self)

    def assign(self, value: float) -> None:
        """Set the learning rate of the optimizer that it was read from; this one stays what it is."""
        worker = None if self._worker is None else self._worker()
        if worker is None:
            raise ConfigurationError("the optimizer of this learning rate is gone")
        worker.learning_rate = value


class _Owner:
    """What a `Weight` asks for its values: an optimizer at work on the parameters of a model."""

    def __init__(self, worker: Worker, model: Any) -> None:
        self.name = worker.description.name
        self._worker, self._model = worker, model

    def roles(self) -> Iterator[str]:
        """Yield what there is, counts first, as in Keras."""
        yield "iteration"
        if self._worker.schedule is None:
            yield "learning_rate"
        if self._model._now.drawing is not None:
            yield from self._places()

    def _places(self) -> dict[str, tuple[int, Any]]:
        """Return the number of the array, and the place in it, of what belongs to trained parameters."""
        now = self._model._now
        states = self._worker.description.states
        trained = {parameter.name for parameter in now.graph.parameters if parameter.is_trained}
        names = [name for name in now.weights() if name in trained]
        last = _LAST_OF_RMSPROP if self.name == "rmsprop" else _LAST
        own = [state for state in states if state not in (*_FIRST, *last)]
        pairs = [(name, state) for state in _FIRST if state in states for name in names]
        pairs += [(name, state) for name in names for state in own]
        pairs += [(name, state) for state in last if state in states for name in names]
        called = _NAMES_OF_SGD if self.name == "sgd" else _NAMES
        return {
            f"{name.replace('/', '_')}_{called.get(state, state)}": (states.index(state), now.places[name])
            for name, state in pairs
        }

    def _array(self, role: str) -> Any:
        """Return a view of what belongs to a parameter; nobody else may train meanwhile."""
        worker, current = self._worker, self._model._now.optimizer
        if current is not worker or worker.state is None:
            raise ConfigurationError("the model was compiled anew; ask model.optimizer for its variables")
        number, place = self._places()[role]
        return place.view(worker.state.reshape(len(worker.description.states), -1)[number])

    def _weight(self, role: str) -> np.ndarray:
        if role == "iteration":
            return np.asarray(self._worker.progress.steps)
        if role == "learning_rate":
            return np.asarray(float(self._worker.learning_rate))
        found: np.ndarray = self._model._binder.exclusively(lambda: self._array(role).copy())
        return found

    def _set_weight(self, role: str, value: Any) -> None:
        if role == "iteration":
            self._worker.progress.steps = check_count(int(np.asarray(value)), "iteration", 0, 2**62)
        elif role == "learning_rate":
            self._worker.learning_rate = float(np.asarray(value))
        else:

            def replace() -> None:
                array = self._array(role)
                array[...] = data.as_weights(value, array.shape, array.dtype, f"{self.name}/{role}")

            self._model._binder.exclusively(replace)


def variables_of(worker: Worker, model: Any) -> list[Weight]:
    """Return the variables of an optimizer at work on a model.

    Parameters
    ----------
    worker : OptimizerState
    model : Model

    Returns
    -------
    list of Weight
        The number of steps, the learning rate unless a schedule sets it, and, if the model is built, the
        arrays of the parameters that it trains; named and ordered as in Keras.
    """
    owner = _Owner(worker, model)
    return [Weight(owner, role) for role in owner.roles()]
