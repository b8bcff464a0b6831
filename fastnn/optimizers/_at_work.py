"""What an optimizer shows of its work, once a model was compiled with it: of all rules.

A description knows no models.  It keeps a weak reference to what does the work, which has the same methods.
This file must not know single rules, layers or models.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

from fastnn.errors import ConfigurationError, ShapeError

__all__ = ["AtWork", "pairs"]


class AtWork:
    """Base of the optimizers: how the work goes on the model that was compiled with one, the latest of them.

    As in Keras, such an optimizer is that of the model: its learning rate can be set, and it takes
    gradients.

    Examples
    --------
    >>> import fastnn
    >>> optimizer = fastnn.optimizers.SGD(0.5)
    >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
    >>> model.compile(optimizer, "mse")
    >>> optimizer.apply_gradients(zip([[[1.0], [2.0]], [3.0]], model.trainable_weights))
    1
    >>> optimizer.learning_rate = 0.25
    >>> optimizer.iterations, model.optimizer.learning_rate
    (1, 0.25)
    """

    def put_to_work(self, worker: Any) -> None:
        """Show the work of an `OptimizerState` from now on."""
        vars(self)["_worker"] = weakref.ref(worker)

    def show_rate(self, rate: Any) -> None:
        """Show a learning rate, a number or a schedule, which was set where the work is done."""
        object.__setattr__(self, "learning_rate", rate)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_worker"}

    def _work(self) -> Any:
        """Return the `OptimizerState` of the model, or None."""
        reference = vars(self).get("_worker")
        return None if reference is None else reference()

    def _need_work(self) -> Any:
        worker = self._work()
        if worker is None:
            raise ConfigurationError(
                f"no model was compiled with this {type(self).__name__}; call model.compile(optimizer, loss) "
                "first: what an optimizer keeps belongs to the weights of a model"
            )
        return worker

    @property
    def iterations(self) -> int:
        """Updates made; 0 as long as there is no model."""
        worker = self._work()
        return 0 if worker is None else int(worker.iterations)

    @property
    def variables(self) -> list[Any]:
        """Counts, learning rate and moments; see ``model.optimizer.variables``."""
        found: list[Any] = self._need_work().variables
        return found

    def set_weights(self, weights: Any) -> None:
        """Replace all `variables`; see ``model.optimizer.set_weights``."""
        self._need_work().set_weights(weights)

    def build(self, variables: object = None) -> None:
        """Do nothing, for Keras's sake: `compile` and the model make all that an optimizer has."""

    def apply_gradients(self, grads_and_vars: object) -> int:
        """Make one update of the model with given gradients; see `Model.apply_gradients`.

        Parameters
        ----------
        grads_and_vars : iterable of (array_like, Weight), or what else `Model.apply_gradients` takes

        Returns
        -------
        int
            Calls and steps so far.

        Raises
        ------
        ConfigurationError, ShapeError, DataError, DTypeError, BusyError
            As `Model.apply_gradients` does, or if no model was compiled with this optimizer.
        """
        return int(self._need_work().apply_gradients(grads_and_vars))

    def apply(self, grads: Iterable[object], trainable_variables: Iterable[object] | None = None) -> int:
        """Make one update of the model, with gradients and weights apart; see ``model.optimizer.apply``."""
        return int(self._need_work().apply(grads, trainable_variables))


def pairs(grads: Iterable[object], variables: Iterable[object]) -> list[tuple[object, object]]:
    """Return gradients and what they belong to as pairs.

    Examples
    --------
    >>> pairs([1, 2], "ab")
    [(1, 'a'), (2, 'b')]
    """
    first, second = list(grads), list(variables)
    if len(first) != len(second):
        raise ShapeError(f"there are {len(first)} gradients and {len(second)} weights; give one for each")
    return list(zip(first, second, strict=True))
