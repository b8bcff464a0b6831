"""Training: the epoch loop over checked arrays, and the way back from a bad loss; evaluation and prediction.

What users give is checked in `feeding.py`, which adds batches that come one by one.  Epochs that nobody
listens to between run together in one call of the executor; how many, `call_lengths.py` knows.  This file
must not know kernels or plans' insides.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from fastnn.border import advice, data
from fastnn.callbacks import progress
from fastnn.callbacks.base import Callback, History, Position, Trained
from fastnn.callbacks.listeners import Listeners
from fastnn.errors import ConfigurationError, NonFiniteWarning, TrainingWarning, warn
from fastnn.model.batch import Batch, batch_of, measured
from fastnn.model.beside import Pass, needs_plan
from fastnn.model.call_lengths import CallLengths, cost_of_step
from fastnn.model.objective import Objective
from fastnn.model.outputs import outputs_of, prediction, training_outputs
from fastnn.model.programs import Key, capacity_for
from fastnn.model.row_weights import depend_on_batches, row_weights
from fastnn.model.structure import Binder, Structure
from fastnn.run.program import Result, order_of_rows

__all__ = ["Loop", "Trainable", "evaluate", "evaluate_parts", "predict", "predict_parts", "train_on_batch"]

# Measures after an epoch, counted from 0; empty where that is not to be.
Validate = Callable[[int, Listeners], dict[str, float]]


class Trainable(Trained, Protocol):
    """A model, as far as training knows it."""

    _binder: Binder
    seed: int
    history: History | None
    stop_evaluating: bool
    stop_predicting: bool

    @property
    def built(self) -> bool:
        """Whether the model has its parameters."""

    def _ready(self, x: object, check: Callable[[Structure], Any]) -> Any: ...


def evaluate(
    model: Trainable, now: Structure, given: Batch, batch: int, n_threads: int, listeners: Listeners
) -> dict[str, float]:
    """Return the loss and the metrics on checked arrays.

    In one batch, unless somebody listens between, or something is computed in Python.
    """
    objective = now.need_objective()
    # A mean over rows does not depend on batches; a loss that is a sum per batch does, as in Keras.
    by_batch = depend_on_batches(objective.losses, given.arrays)
    means = all(loss.mean for loss in objective.losses) and not by_batch
    if by_batch:
        outputs = now.graph.outputs
        given = Batch(given.arrays | row_weights(outputs, objective.losses, given.arrays, batch), given.rows)

    def parts() -> Iterator[Batch]:
        apart = objective.in_python or model.stop_evaluating or listeners.want_test_batches
        yield from given.parts(batch if apart else given.rows)

    return evaluate_parts(model, now, parts(), n_threads, listeners, None if means else batch)


def evaluate_parts(
    model: Trainable,
    now: Structure,
    parts: Iterable[Batch],
    n_threads: int,
    listeners: Listeners,
    batch: int | None = None,
) -> dict[str, float]:
    """Return the loss and the metrics on all rows of checked parts: batches, or several of so many rows.

    No part is asked for before ``on_test_begin``.
    """
    objective, programs = now.need_objective(), now.need_programs()
    if not objective.keys:
        raise ConfigurationError(
            "the model has no loss and no metrics, so there is nothing to evaluate; compile it with some"
        )
    beside = Pass(now) if objective.in_python else None
    planned = needs_plan(now)
    sums: Any = 0.0
    rows = 0
    values: dict[str, float] = {}
    model.stop_evaluating = False
    listeners.tell("on_test_begin", {})
    for number, part in enumerate(parts):
        listeners.tell_of_batch("on_test_batch_begin", number, {})
        rows += part.rows
        values = {}
        if planned:
            key = Key("evaluate", weighted=part.weighted)
            plan, result = programs.run(
                key, part.arrays, part.rows, batch=batch or part.rows, n_threads=n_threads
            )
            if result.exception is not None:
                raise result.exception
            sums = sums + result.sums[0]
            values = objective.values(plan, sums, rows)
        if beside is not None:
            beside.add(part, prediction(now, part, n_threads))
            values = beside.values(values, rows)
        listeners.tell_of_batch("on_test_batch_end", number, dict(values))
        if model.stop_evaluating:
            break
    listeners.tell("on_test_end", dict(values))
    return values


def predict(
    model: Trainable, now: Structure, given: Batch, batch: int, n_threads: int, listeners: Listeners
) -> Any:
    """Return the outputs for checked arrays; in one batch, unless somebody listens between."""

    def parts() -> Iterator[Batch]:
        apart = model.stop_predicting or listeners.want_predict_batches
        yield from given.parts(batch if apart else max(given.rows, 1))

    found = predict_parts(model, now, parts(), n_threads, listeners)
    return outputs_of(now, given, n_threads) if found is None else found  # no rows


def predict_parts(
    model: Trainable, now: Structure, parts: Iterable[Batch], n_threads: int, listeners: Listeners
) -> Any:
    """Return the outputs for checked parts, one after the other; None if there are none."""
    found = []
    model.stop_predicting = False
    listeners.tell("on_predict_begin", {})
    for number, part in enumerate(parts):
        listeners.tell_of_batch("on_predict_batch_begin", number, {})
        found.append(outputs_of(now, part, n_threads))
        listeners.tell_of_batch("on_predict_batch_end", number, {"outputs": found[-1]})
        if model.stop_predicting:
            break
    listeners.tell("on_predict_end", {})
    if len(found) < 2:
        return found[0] if found else None
    several = isinstance(found[0], list)
    return [np.concatenate(parts) for parts in zip(*found, strict=True)] if several else np.concatenate(found)


def train_on_batch(
    model: Trainable,
    x: object,
    y: object,
    sample_weight: object,
    class_weight: Mapping[int, float] | str | None,
    return_dict: bool,
) -> float | list[float] | dict[str, float]:
    """Make one step; see `Model.train_on_batch`."""
    because: list[str] = []

    def check(now: Structure) -> Batch:
        return batch_of(now, x, y, sample_weight, class_weight)

    def step() -> tuple[Objective, dict[str, float], Batch | None]:
        now = model._now
        optimizer, objective, given = now.need_loss(), now.need_objective(), check(now)
        beside = Pass(now) if objective.in_python else None
        brought: dict[str, np.ndarray] = {}
        if beside is not None:
            outputs = training_outputs(now, given, model.seed, optimizer.progress.steps)
            brought = beside.add(given, outputs, with_gradients=True)
            if beside.unfit:
                because.append(beside.unfit)
                return objective, dict.fromkeys(objective.keys, math.nan), given
        program = now.need_programs().program(Key("train", capacity_for(given.rows), weighted=given.weighted))
        result = program.run(
            given.arrays | brought,
            given.rows,
            given.rows,
            scalars=optimizer.scalars,
            seed=model.seed,
            progress=optimizer.progress,
            restore=True,
        )
        if result.exception is not None:
            raise result.exception
        values = objective.values(program.plan, result.sums[0], given.rows)
        if beside is not None:
            values = beside.values(values, given.rows)
        if not result.finite and optimizer.state is not None and not data.all_finite(optimizer.state):
            optimizer.forget()  # the step was made, to infinity, and is taken back
        return objective, values, None if result.finite else given

    if not model.built:
        model._ready(x, check)
    objective, values, refused = model._binder.exclusively(step)
    if refused is not None:
        scales = advice.on_scales(measured(model._now.graph, refused.arrays), objective.losses)
        hint = f"; {scales}" if scales else ""
        cause = f" ({because[0]})" if because else ""
        warn(f"the loss of this batch is not finite{cause}; the step was not made{hint}", NonFiniteWarning)
        values = dict.fromkeys(values, math.nan)
    return objective.shaped(values, return_dict)


class Loop:
    """One call of `fit`: the program, its arrays, and the epochs."""

    def __init__(
        self,
        model: Trainable,
        given: Batch,
        batch: int,
        shuffle: bool,
        n_threads: int,
    ) -> None:
        now = model._now
        self.model, self.optimizer, self.objective = model, now.need_loss(), now.need_objective()
        self.arrays = given.arrays
        self.by_batch = depend_on_batches(self.objective.losses, given.arrays)
        self._measured = measured(now.graph, given.arrays)
        self.rows, self.batch, self.n_threads = given.rows, batch, n_threads
        # One batch of all rows is the same set in every order.
        self.shuffle = shuffle and batch < given.rows
        key = Key("train", batch, gather=self.shuffle, weighted=given.weighted)
        self.program = now.need_programs().program(key)
        self.permutation = np.empty(self.rows, np.int32) if self.shuffle else None
        steps = -(-given.rows // batch)
        self.steps: int | None = steps
        cost = cost_of_step(now.graph, batch, self.optimizer.reference)
        self.lengths = CallLengths(cost, steps)
        self.takes_long = self.lengths.batches < steps
        frozen = not any(parameter.is_trained for parameter in now.graph.parameters)
        self.first_losses: list[float] | None = None if self.optimizer.iterations or frozen else []
        self.bar: progress.Bar | None = None
        self.restorable = False  # whether an earlier run of this loop left weights to come back to
        self.cause = ""  # of a loss that is not finite, where that is known

    def run(
        self,
        first: int,
        last: int,
        verbose: int,
        callbacks: list[Callback],
        validate: Validate | None,
    ) -> History:
        """Train from an epoch, counted from 0, to before the last one."""
        model = self.model
        history = History()
        model.stop_training = False
        # The history last: it records what callbacks add to logs.
        listeners = Listeners([*callbacks, history], model, epochs=last, steps=self.steps, verbose=verbose)
        model.history = history
        listeners.tell("on_train_begin", {})
        attended = bool(callbacks) or validate is not None or verbose == 2
        begun = listeners.take_up()
        if begun is None:
            begun = Position(first)
        else:  # the first losses were seen before
            self.first_losses = None
        epoch = begun.epoch
        if verbose == 1:
            self.bar = progress.Bar(epoch, last, self.steps if self.takes_long else None)
        final: dict[str, float] = {}
        try:
            while epoch < last and not begun.over and self._has_more(epoch):
                began = time.perf_counter()
                listeners.tell("on_epoch_begin", epoch, {})
                if self.bar is not None:
                    self.bar.begin(epoch, begun.batch)
                finite, columns = self._train(listeners, begun, 1 if attended else last - epoch)
                n_done = len(columns["loss"])
                values = {name: column[-1] for name, column in columns.items()}
                if not attended:
                    history.extend(epoch, columns)
                    final = values
                else:  # a single epoch
                    if validate is not None:
                        found = validate(epoch, listeners)
                        values.update({f"val_{name}": value for name, value in found.items()})
                    final = dict(values)
                    listeners.tell("on_epoch_end", epoch, values)
                    if verbose == 2:
                        progress.print_epoch(epoch, last, time.perf_counter() - began, values)
                epoch += n_done
                begun = Position(epoch)
                if finite:
                    listeners.keep(epoch)
                if self.bar is not None:
                    self.bar.end(n_done, values)
                if not finite:
                    self._warn(epoch)
                    break
                if model.stop_training:
                    break
                if self.first_losses is not None:
                    self._judge(columns["loss"])
                self.lengths.learn(n_done, time.perf_counter() - began)
        finally:
            if self.bar is not None:
                self.bar.close()
        self._finish(epoch)
        listeners.tell("on_train_end", final)
        return history

    def _has_more(self, epoch: int) -> bool:
        """Return whether there are data for one more epoch."""
        return True

    def _train(self, listeners: Listeners, begun: Position, most: int) -> tuple[bool, dict[str, list[float]]]:
        """Run an epoch, the rest of one, or up to so many; return what `_epochs` does."""
        # If it is to stop, one batch is trained even so, as in Keras.
        if listeners.want_batches or self.model.stop_training or begun.batch:
            return self._batches(listeners, 1, begun)
        if self.by_batch or self.takes_long:
            return self._batches(listeners, min(self.lengths.batches, -(-self.rows // self.batch)), begun)
        return self._epochs(min(self.lengths.epochs, most))

    def _finish(self, epoch: int) -> None:
        """Give the model the averages of its weights, if the optimizer makes any."""
        now = self.model._now
        averages = self.optimizer.averages(now.places, now.graph)
        if averages:
            now.store.assign({name: now.places[name] for name in averages}, list(averages.values()))

    def _epochs(self, n_epochs: int) -> tuple[bool, dict[str, list[float]]]:
        """Run epochs in one call; return whether all was finite, and lists of their losses and metrics.

        If not, the last epoch of the lists is the one that failed, with NaN.
        """
        result = self._run(slice(0, self.rows), n_epochs, self.shuffle)
        if result.exception is not None:
            raise result.exception
        # The last step of all may have been the one to infinity: then the last epoch failed.
        n_good = n_epochs if result.finite else min(result.epochs, n_epochs - 1)
        columns = self.objective.columns(self.program.plan, result.sums[:n_good], self.rows)
        if not result.finite:
            for column in columns.values():
                column.append(math.nan)
        return result.finite, columns

    def _batches(
        self, listeners: Listeners, at_once: int, begun: Position
    ) -> tuple[bool, dict[str, list[float]]]:
        """Run one epoch, or the rest of one, so many batches a call, until it is stopped.

        Return what `_epochs` does.
        """
        done = self.optimizer.progress
        if not begun.batch:
            done.epochs += 1
        if self.permutation is not None:
            order_of_rows(self.model.seed, done.epochs - 1, self.permutation)
        if self.by_batch:
            outputs, losses = self.model._now.graph.outputs, self.objective.losses
            self.arrays |= row_weights(outputs, losses, self.arrays, self.batch, self.permutation)
        sums = np.zeros(self.program.plan.n_sums)
        finite, values = True, {}
        first = begun.batch * self.batch
        if begun.batch:
            sums += begun.sums
            values = self.objective.values(self.program.plan, sums, min(first, self.rows))
        stride = at_once * self.batch
        for number, begin in enumerate(range(first, self.rows, stride), begun.batch):
            end = min(begin + stride, self.rows)
            listeners.tell_of_batch("on_train_batch_begin", number, {})
            # Who listens to batches may come back to each; else the weights are copied less often.
            result = self._run(
                slice(begin, end), continued=number > begun.batch and not listeners.want_batches
            )
            if result.exception is not None:
                raise result.exception
            sums += result.sums[0]
            values = self.objective.values(self.program.plan, sums, end)
            finite = result.finite
            if not finite:
                values = dict.fromkeys(values, math.nan)
            if self.bar is not None:
                self.bar.batches(-(-(end - begin) // self.batch), values)
            # What callbacks add to it is not the epoch's.
            listeners.tell_of_batch("on_train_batch_end", number, dict(values))
            if finite:
                listeners.keep(begun.epoch, number + 1, sums)
            if self.model.stop_training or not finite:
                break
        return finite, {name: [value] for name, value in values.items()}

    def _run(self, part: slice, n_epochs: int = 0, shuffle: bool = False, continued: bool = False) -> Result:
        """Run the program on a part of the rows, for whole epochs, or for a part of one."""
        optimizer = self.optimizer
        whole = self.permutation is not None  # then the order picks the rows
        rows = part.stop - part.start
        result = self.program.run(
            {name: a if whole else a[part] for name, a in self.arrays.items()},
            rows,
            self.batch,
            epochs=max(n_epochs, 1),
            n_threads=self.n_threads,
            permutation=None if self.permutation is None else self.permutation[part],
            shuffle=shuffle,
            seed=self.model.seed,
            scalars=optimizer.scalars,
            progress=optimizer.progress,
            count_epochs=n_epochs > 0,
            restore=True,
            restorable=self.restorable,
            continued=continued,
        )
        self.restorable = True
        if not result.finite:
            optimizer.forget()
        return result

    def _judge(self, losses: list[float]) -> None:
        """Warn of the losses of the first epochs, after them or, if that is due, at once."""
        assert self.first_losses is not None
        begun = self.first_losses = [*self.first_losses, *losses][: advice.FIRST_EPOCHS]
        said = advice.on_first_losses(begun, self._measured, self.objective.losses)
        if said and self.optimizer.learning_rate:
            warn(said, TrainingWarning)
        if said or len(begun) == advice.FIRST_EPOCHS:
            self.first_losses = None

    def _warn(self, epoch: int) -> None:
        """Warn that an epoch, counted from 1, failed."""
        scales = advice.on_scales(self._measured, self.objective.losses)
        cause = f" ({self.cause})" if self.cause else ""
        warn(
            f"the loss was not finite in epoch {epoch}{cause}; training stopped, the last finite weights "
            "that were kept, which may be several steps old, were restored, and the optimizer's state begins "
            f"anew. Lower the learning rate ({self.optimizer.learning_rate:g})"
            + (f", or {scales}" if scales else ""),
            NonFiniteWarning,
        )
