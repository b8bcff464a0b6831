"""An optimizer at work: what `compile` was given, learning rate, steps, and the state of parameters.

This file must not know epochs or batches.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast
from weakref import WeakMethod

import numpy as np

from fastnn._core.guards import Progress
from fastnn.border import advice
from fastnn.cache import Latest
from fastnn.checks import check_flag, check_number
from fastnn.errors import ConfigurationError, TrainingWarning, warn
from fastnn.graph.graph import Graph
from fastnn.model.objective import Objective, check_names, settle
from fastnn.model.parameters import Place
from fastnn.optimizers import Optimizer
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
    asked : tuple
        Loss, loss weights, metrics and weighted metrics, as they were given.
    state : numpy.ndarray or None
        What the optimizer keeps for each parameter, once the model is built.
    """

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

    def __repr__(self) -> str:
        progress = f"{self.iterations} steps, learning rate {self.learning_rate:g}"
        return f"<OptimizerState {self.description!r}: {progress}>"

    def __getstate__(self) -> dict[str, Any]:
        counts = self.progress.steps, self.progress.epochs
        return self.__dict__ | {"progress": counts, "_update": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.progress = Progress()
        self.progress.steps, self.progress.epochs = state["progress"]
        if self.state is not None:
            self.state = aligned_copy(self.state)

    @property
    def learning_rate(self) -> float:
        """Step size of the next step; it may be set, unless a schedule does that."""
        return self._learning_rate if self.schedule is None else float(self.schedule(self.progress.steps))

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        if self.schedule is not None:
            raise ConfigurationError(
                f"the learning rate follows {type(self.schedule).__name__} and cannot be set; to set it, "
                "compile with an optimizer whose learning_rate is a number"
            )
        self._learning_rate = check_number(value, "learning_rate", 0.0)

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
        update = None if self._update is None else self._update()
        if update is None:
            raise ConfigurationError(
                "the model of this optimizer is gone; use model.optimizer of one that is"
            )
        return update(grads_and_vars)

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
