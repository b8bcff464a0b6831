"""An optimizer at work: what `compile` was given, learning rate, steps, and the state of parameters.

This file must not know epochs or batches.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakMethod

import numpy as np

from fastnn._core.guards import Progress
from fastnn.border import advice, data
from fastnn.border.feeds import Passage
from fastnn.cache import Latest
from fastnn.checks import check_flag, check_number
from fastnn.errors import ConfigurationError, ShapeError, TrainingWarning, warn
from fastnn.graph.graph import Graph
from fastnn.layers._weight import Weight
from fastnn.model.objective import Objective, check_names, settle
from fastnn.model.optimizer_variables import Rate, variables_of
from fastnn.model.parameters import Place
from fastnn.optimizers import Optimizer
from fastnn.optimizers._at_work import pairs
from fastnn.optimizers.schedules import LearningRateSchedule
from fastnn.run.program import aligned_array, aligned_copy

__all__ = ["OptimizerState"]

# Optimizers to what plans see of them.
_rules: Latest[Optimizer] = Latest(100, lambda rule: 1)


class OptimizerState:
    """An optimizer at work, and what else `compile` was given.

    Attributes
    ----------
    description : Optimizer
    rule : Optimizer
        The same without the learning rate, on which no plan depends.
    reference : bool
        Whether the reference interpreter runs the plans.
    progress : Progress
        Steps made, and epochs begun, which number the orders of rows.
    passage : Passage or None
        Where training stands in the rows, if its last epochs were parts of a pass through them.
    asked : tuple
        Loss, loss weights, metrics and weighted metrics, as they were given.
    state : numpy.ndarray or None
        What the optimizer keeps for each parameter, once the model is built.
    """

    passage: Passage | None = None
    _update: WeakMethod[Callable[[object], int]] | None = None  # what its model offers

    def __init__(
        self,
        optimizer: Optimizer,
        loss: object,
        loss_weights: object,
        metrics: object,
        weighted_metrics: object,
        reference: bool,
    ) -> None:
        check_names(loss, loss_weights, metrics, weighted_metrics)
        # A copy, as `exclude_from_weight_decay` may change the caller's.
        self.description = optimizer = copy.copy(optimizer)
        self.rule = _rules.get(optimizer, lambda: replace(optimizer, learning_rate=0.0))
        self.reference = check_flag(reference, "reference")
        self.progress = Progress()
        self.state: np.ndarray | None = None
        # What holds where no schedule does.
        self._learning_rate = 0.0 if self.schedule is not None else cast(float, optimizer.learning_rate)
        self.asked = (loss, loss_weights, metrics, weighted_metrics)
        self._given: weakref.ref[Optimizer] | None = None

    def works_for(self, given: Optimizer) -> None:
        """Let what `compile` was given show how the work goes, and change its learning rate."""
        self._given = weakref.ref(given)
        given.put_to_work(self)

    def __repr__(self) -> str:
        progress = f"{self.iterations} steps, learning rate {self.learning_rate:g}"
        return f"<OptimizerState {self.description!r}: {progress}>"

    def __getstate__(self) -> dict[str, Any]:
        counts = self.progress.steps, self.progress.epochs
        return self.__dict__ | {"progress": counts, "_update": None, "_given": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.progress = Progress()
        self.progress.steps, self.progress.epochs = state["progress"]
        if self.state is not None:
            self.state = aligned_copy(self.state)

    if not TYPE_CHECKING:  # an attribute that nobody has is a mistake

        def __getattr__(self, name: str) -> Any:
            """Return what the optimizer was made with, as ``beta_1`` or ``clipnorm``, or its name."""
            description = vars(self).get("description")
            if description is not None and name in {"name", *(one.name for one in fields(description))}:
                return getattr(description, name)
            message = f"the optimizer of a model has no attribute {name!r}"
            raise AttributeError(message, name=name, obj=self)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make such an optimizer, with the learning rate as it is now.

        Examples
        --------
        >>> import fastnn
        >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> model.optimizer.learning_rate = 0.5
        >>> model.optimizer.get_config()["learning_rate"]
        0.5
        """
        return self.now().get_config()

    def now(self) -> Optimizer:
        """Return a description of the optimizer with the learning rate as it is now."""
        if self.schedule is not None:
            return copy.copy(self.description)
        return replace(self.description, learning_rate=self._learning_rate)

    @property
    def learning_rate(self) -> float:
        """Step size of the next step; it may be set, to a number unless a schedule sets it, or to a schedule.

        As in Keras it can be read by ``.numpy()`` and set by ``.assign(...)`` as well.
        """
        rate = self._learning_rate if self.schedule is None else float(self.schedule(self.progress.steps))
        return Rate(rate, self)

    @learning_rate.setter
    def learning_rate(self, value: float | LearningRateSchedule | Callable[[], float]) -> None:
        if callable(value):  # a schedule or a function
            self.description = replace(self.description, learning_rate=cast(LearningRateSchedule, value))
        elif self.schedule is not None:
            raise ConfigurationError(
                f"the learning rate follows {type(self.schedule).__name__} and cannot be set; to set it, "
                "compile with an optimizer whose learning_rate is a number"
            )
        else:
            self._learning_rate = check_number(value, "learning_rate", 0.0)
        given = None if self._given is None else self._given()
        if given is not None:
            given.show_rate(self.description.learning_rate if self.schedule else self._learning_rate)

    @property
    def variables(self) -> list[Weight]:
        """Counts, learning rate and moments, one by one, to be read and replaced; see `variables_of`."""
        return variables_of(self, self._model())

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Replace all `variables`, as by those of another optimizer; all or none.

        Parameters
        ----------
        weights : sequence of array_like or Weight
            In the order of `variables`, and of their shapes.

        Raises
        ------
        ConfigurationError, ShapeError, DataError, DTypeError
            If their number, shapes or values are wrong.
        """
        own, given = self.variables, [np.asarray(one) for one in weights]
        if len(given) != len(own):
            raise ShapeError(
                f"the optimizer has {len(own)} variables ({', '.join(one.path for one in own)}), got "
                f"{len(given)} arrays"
            )
        for variable, value in zip(own, given, strict=True):
            data.as_weights(value, variable.shape, np.dtype(np.float64), variable.path)
        for variable, value in zip(own, given, strict=True):
            variable.assign(value)

    def build(self, variables: object = None) -> None:
        """Do nothing, for Keras's sake: `compile` and the model make all that an optimizer has."""

    @property
    def iterations(self) -> int:
        """Updates made: steps, or, where gradients of several make one update, a part of them."""
        return self.progress.steps // (self.description.gradient_accumulation_steps or 1)

    @property
    def has_loss(self) -> bool:
        """Whether `compile` was given one."""
        loss = self.asked[0]
        several = (
            loss.values() if isinstance(loss, dict) else loss if isinstance(loss, list | tuple) else [loss]
        )
        return any(one is not None for one in several)

    @property
    def schedule(self) -> LearningRateSchedule | None:
        """What sets the learning rate of each step, if anything does."""
        rate = self.description.learning_rate
        return rate if isinstance(rate, LearningRateSchedule) else None

    def with_update(self, update: Callable[[object], int]) -> OptimizerState:
        """Return itself, told how its model makes an update with given gradients."""
        if self._update is None or self._update() != update:
            self._update = WeakMethod(update)
        return self

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
            As `Model.apply_gradients` does, or if the model is gone.

        Examples
        --------
        >>> import fastnn
        >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> model.optimizer.apply_gradients(zip([[[1.0], [2.0]], [3.0]], model.trainable_weights))
        1
        """
        return int(self._model().apply_gradients(grads_and_vars))

    def apply(self, grads: Iterable[object], trainable_variables: Iterable[Weight] | None = None) -> int:
        """Make one update of the model, as `apply_gradients` does, with gradients and weights apart.

        Parameters
        ----------
        grads : sequence of array_like
        trainable_variables : sequence of Weight, optional
            The weights that they belong to; by default ``model.trainable_weights``.

        Returns
        -------
        int
            Calls and steps so far.

        Raises
        ------
        ConfigurationError, ShapeError, DataError, DTypeError, BusyError
            As `apply_gradients` does, or if there are not as many gradients as weights.
        """
        if trainable_variables is None:
            return self.apply_gradients(grads)
        return self.apply_gradients(pairs(grads, trainable_variables))

    def _model(self) -> Any:
        update = None if self._update is None else self._update()
        if update is None:
            raise ConfigurationError(
                "the model of this optimizer is gone; use model.optimizer of one that is"
            )
        return update.__self__  # type: ignore[attr-defined]

    def scalars(self, first: int, count: int) -> np.ndarray:
        """Return the scalars of `count` steps after `first` others, as programs want them."""
        return self.description.scalars(self._learning_rate, first, count)

    def objective(self, graph: Graph) -> Objective:
        """Return the objective of a graph, which has all that the optimizer names."""
        self.description.check_names([parameter.name for parameter in graph.parameters])
        return settle(graph, *self.asked)

    def judge(self, graph: Graph, objective: Objective) -> None:
        """Warn of outputs that do not suit their losses."""
        for sentence in advice.on_outputs(graph, objective.losses):
            warn(sentence, TrainingWarning)

    def new_state(self, size: int, dtype: np.dtype) -> np.ndarray:
        """Return the state before the first step, for parameters that take `size` elements."""
        state = aligned_array(size * len(self.description.states), dtype)
        return self._begun(state) if any(self.description.first_states) else state

    def _begun(self, state: np.ndarray) -> np.ndarray:
        """Fill a state with what it begins with, and return it."""
        values = self.description.first_states
        for part, value in zip(state.reshape(len(values), -1) if values else (), values, strict=True):
            part.fill(value)
        return state

    def moved_state(
        self, before: Mapping[str, Place], old_size: int, after: Mapping[str, Place], weights: np.ndarray
    ) -> np.ndarray:
        """Return the state for parameters that lie elsewhere; what is new begins as ever, or as `weights`."""
        assert self.state is not None
        size = weights.size
        moved = self.new_state(size, self.state.dtype)
        if self.description.use_ema:
            position = self.description.states.index("average")
            moved[position * size : (position + 1) * size] = weights
        for position in range(len(self.description.states)):
            source = self.state[position * old_size : (position + 1) * old_size]
            target = moved[position * size : (position + 1) * size]
            for name, place in before.items():
                if name in after and after[name].shape == place.shape:
                    after[name].view(target)[...] = place.view(source)
        return moved

    def averages(self, places: Mapping[str, Place], graph: Graph) -> dict[str, np.ndarray]:
        """Return the moving averages of trained parameters by their names, if there are any by now."""
        if not self.description.use_ema or self.state is None or not self.progress.steps:
            return {}
        states = self.state.reshape(len(self.description.states), -1)
        flat = states[self.description.states.index("average")]
        trained = [parameter.name for parameter in graph.parameters if parameter.is_trained]
        return {name: places[name].view(flat) for name in trained}

    def forget(self) -> None:
        """Let the optimizer begin anew."""
        if self.state is not None:
            self._begun(self.state)
        self.progress.steps = 0
