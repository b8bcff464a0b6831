"""Training: the epoch loop, validation, and the way back from a bad loss.

Everything that can be wrong is checked before the first step.  Epochs that nobody listens to
between run together in one call of the executor; how many, `pace.py` knows.  This file must not know
kernels or plans' insides.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from fastnn.border import advice, data
from fastnn.callbacks.base import Callback, History, Trained
from fastnn.callbacks.listeners import Listeners, checked
from fastnn.checks import check_count, check_flag, check_number
from fastnn.errors import DataError, DTypeError, NonFiniteWarning, ShapeError, TrainingWarning, warn
from fastnn.model import progress
from fastnn.model.batch import Batch, batch_of, measured, with_class_weights
from fastnn.model.network import Binding
from fastnn.model.objective import Objective
from fastnn.model.pace import Pace, cost_of_step
from fastnn.model.programs import Key, capacity_for
from fastnn.run.program import Result, order_of_rows
from fastnn.run.runtime import resolve_threads

__all__ = ["Trainable", "evaluate", "fit", "predict", "train_on_batch"]


class Trainable(Trained, Protocol):
    """A model, as far as training knows it."""

    @property
    def _now(self) -> Binding: ...

    seed: int
    history: History | None
    stop_evaluating: bool
    stop_predicting: bool

    @property
    def built(self) -> bool:
        """Whether the model has its parameters."""

    def _exclusively(self, function: Callable[..., Any], *arguments: Any) -> Any: ...

    def _ready(self, x: object, check: Callable[[Binding], Any]) -> Any: ...

    def _outputs(self, now: Binding, given: Batch, n_threads: int | None = None) -> Any: ...


def evaluate(
    model: Trainable, now: Binding, given: Batch, batch: int, n_threads: int, listeners: Listeners
) -> dict[str, float]:
    """Return the loss and the metrics on checked arrays; in one batch, unless somebody listens between."""
    objective, programs = now.need_objective(), now.need_programs()
    key = Key("evaluate", weighted=given.weighted)
    # A mean over rows does not depend on batches; a loss that is a sum per batch does, as in Keras.
    means = all(loss.mean for loss in objective.losses)
    sums: Any = 0.0
    values: dict[str, float] = {}
    model.stop_evaluating = False
    listeners.tell("on_test_begin", {})
    stride = batch if model.stop_evaluating or listeners.want_test_batches else given.rows
    for number, part in enumerate(given.parts(stride)):
        listeners.tell_of_batch("on_test_batch_begin", number, {})
        plan, result = programs.run(
            key, part.arrays, part.rows, batch=part.rows if means else batch, n_threads=n_threads
        )
        if result.exception is not None:
            raise result.exception
        sums = sums + result.sums[0]
        values = objective.values(plan, sums, min((number + 1) * stride, given.rows))
        listeners.tell_of_batch("on_test_batch_end", number, dict(values))
        if model.stop_evaluating:
            break
    listeners.tell("on_test_end", dict(values))
    return values


def predict(
    model: Trainable, now: Binding, given: Batch, batch: int, n_threads: int, listeners: Listeners
) -> Any:
    """Return the outputs for checked arrays; in one batch, unless somebody listens between."""
    found = []
    model.stop_predicting = False
    listeners.tell("on_predict_begin", {})
    stride = batch if model.stop_predicting or listeners.want_predict_batches else max(given.rows, 1)
    for number, part in enumerate(given.parts(stride)):
        listeners.tell_of_batch("on_predict_batch_begin", number, {})
        found.append(model._outputs(now, part, n_threads))
        listeners.tell_of_batch("on_predict_batch_end", number, {"outputs": found[-1]})
        if model.stop_predicting:
            break
    listeners.tell("on_predict_end", {})
    if len(found) == 1:
        return found[0]
    if not found:  # no rows
        return model._outputs(now, given, n_threads)
    several = isinstance(found[0], list)
    return [np.concatenate(parts) for parts in zip(*found, strict=True)] if several else np.concatenate(found)


def train_on_batch(
    model: Trainable,
    x: object,
    y: object,
    sample_weight: object,
    class_weight: Mapping[int, float] | None,
    return_dict: bool,
) -> float | list[float] | dict[str, float]:
    """Make one step; see `Model.train_on_batch`."""

    def check(now: Binding) -> Batch:
        return batch_of(now, x, y, sample_weight, class_weight)

    def step() -> tuple[Objective, dict[str, float], Batch | None]:
        now = model._now
        compiled, objective, given = now.need_compiled(), now.need_objective(), check(now)
        program = now.need_programs().program(Key("train", capacity_for(given.rows), weighted=given.weighted))
        result = program.run(
            given.arrays,
            given.rows,
            given.rows,
            scalars=compiled.scalars,
            seed=model.seed,
            progress=compiled.progress,
            restore=True,
        )
        if result.exception is not None:
            raise result.exception
        values = objective.values(program.plan, result.sums[0], given.rows)
        if not result.finite and compiled.state is not None and not data.all_finite(compiled.state):
            compiled.forget()  # the step was made, to infinity, and is taken back
        return objective, values, None if result.finite else given

    if not model.built:
        model._ready(x, check)
    objective, values, refused = model._exclusively(step)
    if refused is not None:
        scales = advice.on_scales(measured(model._now.graph, refused.arrays), objective.losses)
        hint = f"; {scales}" if scales else ""
        warn(f"the loss of this batch is not finite; the step was not made{hint}", NonFiniteWarning)
        values = dict.fromkeys(values, math.nan)
    return objective.shaped(values, return_dict)


def fit(
    model: Trainable,
    x: object,
    y: object,
    *,
    batch_size: int | None,
    epochs: int,
    verbose: str | int,
    callbacks: Sequence[Callback] | None,
    validation_split: float,
    validation_data: tuple[Any, ...] | None,
    shuffle: bool,
    class_weight: Mapping[int, float] | None,
    sample_weight: object,
    initial_epoch: int,
    n_threads: int | None,
) -> History:
    """Train for a number of epochs; see `Model.fit`."""
    batch = check_count(32 if batch_size is None else batch_size, "batch_size")
    last = check_count(epochs, "epochs", 0)
    first = check_count(initial_epoch, "initial_epoch", 0)
    fraction = check_number(validation_split, "validation_split", 0.0, 1.0, open_maximum=True)
    shown = progress.verbosity(verbose)
    count = resolve_threads(n_threads)
    told = checked(callbacks)
    shuffled = check_flag(shuffle, "shuffle")

    def check(now: Binding, judge: bool = False) -> tuple[Batch, Batch | None]:
        given = batch_of(now, x, y, sample_weight, judge=judge)
        held_out: Batch | None = None
        if validation_data is not None:
            if not isinstance(validation_data, tuple | list) or len(validation_data) not in (2, 3):
                raise DTypeError("validation_data must be (x, y) or (x, y, sample_weight)")
            apart = (*validation_data, None)[:3]
            try:
                held_out = batch_of(now, apart[0], apart[1], apart[2])
            except (ShapeError, DataError, DTypeError) as error:
                raise type(error)(f"in validation_data: {error}") from None
        elif fraction:
            train_part, test_part = data.split_validation(given.arrays, given.rows, fraction)
            given, held_out = _batch(train_part), _batch(test_part)
        if class_weight is not None:  # for training rows only
            given = with_class_weights(given, class_weight, now.need_objective(), judge)
        return given, held_out

    def train() -> History:
        given, held_out = check(model._now, judge=True)
        loop = _Loop(model, given, min(batch, given.rows), shuffled, count)
        return loop.run(first, last, shown, told, held_out, batch)

    if not model.built:
        model._ready(x, check)
    history: History = model._exclusively(train)
    return history


def _batch(arrays: dict[str, np.ndarray]) -> Batch:
    return Batch(arrays, len(next(iter(arrays.values()))))


class _Loop:
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
        self.model, self.compiled, self.objective = model, now.need_compiled(), now.need_objective()
        self.arrays = given.arrays
        self._measured = measured(now.graph, given.arrays)
        self.rows, self.batch, self.n_threads = given.rows, batch, n_threads
        # One batch of all rows is the same set in every order.
        self.shuffle = shuffle and batch < given.rows
        key = Key("train", batch, gather=self.shuffle, weighted=given.weighted)
        self.program = now.need_programs().program(key)
        self.permutation = np.empty(self.rows, np.int32) if self.shuffle else None
        self.steps = -(-given.rows // batch)
        cost = cost_of_step(now.graph, batch, self.compiled.reference)
        self.pace = Pace(cost, self.steps)
        frozen = not any(parameter.is_trained for parameter in now.graph.parameters)
        self.first_losses: list[float] | None = None if self.compiled.iterations or frozen else []
        self.restorable = False  # whether an earlier run of this loop left weights to come back to

    def run(
        self,
        first: int,
        last: int,
        verbose: int,
        callbacks: list[Callback],
        held_out: Batch | None,
        batch_size: int,
    ) -> History:
        model = self.model
        history = History()
        model.stop_training = False
        # The history last: it records what callbacks add to logs.
        listeners = Listeners([*callbacks, history], model, epochs=last, steps=self.steps, verbose=verbose)
        model.history = history
        listeners.tell("on_train_begin", {})
        watched = listeners.want_batches
        attended = bool(callbacks) or held_out is not None or verbose == 2
        bar = progress.bar(first, last) if verbose == 1 else None
        epoch = first
        final: dict[str, float] = {}
        try:
            while epoch < last:
                began = time.perf_counter()
                listeners.tell("on_epoch_begin", epoch, {})
                if watched or model.stop_training:  # one batch is trained even so, as in Keras
                    finite, columns = self._batches(listeners, 1)
                elif self.pace.batches < self.steps:
                    finite, columns = self._batches(listeners, self.pace.batches)
                else:
                    finite, columns = self._epochs(1 if attended else min(self.pace.epochs, last - epoch))
                n_done = len(columns["loss"])
                values = {name: column[-1] for name, column in columns.items()}
                if not attended:
                    history.extend(epoch, columns)
                    final = values
                else:  # a single epoch
                    if held_out is not None:
                        found = evaluate(model, model._now, held_out, batch_size, self.n_threads, listeners)
                        values.update({f"val_{name}": value for name, value in found.items()})
                    final = dict(values)
                    listeners.tell("on_epoch_end", epoch, values)
                    if verbose == 2:
                        progress.print_epoch(epoch, last, time.perf_counter() - began, values)
                epoch += n_done
                if bar is not None:
                    bar.update(n_done)
                    bar.set_postfix({name: f"{value:.4g}" for name, value in values.items()}, refresh=False)
                if not finite:
                    self._warn(epoch)
                    break
                if model.stop_training:
                    break
                if self.first_losses is not None:
                    self._judge(columns["loss"])
                self.pace.note(n_done, time.perf_counter() - began)
        finally:
            if bar is not None:
                bar.close()
        self._finish(epoch)
        listeners.tell("on_train_end", final)
        return history

    def _finish(self, epoch: int) -> None:
        """Give the model the averages of its weights, if the optimizer makes any."""
        now = self.model._now
        averages = self.compiled.averages(now.places, now.graph)
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

    def _batches(self, listeners: Listeners, at_once: int) -> tuple[bool, dict[str, list[float]]]:
        """Run one epoch, so many batches a call, until it is stopped; return what `_epochs` does."""
        done = self.compiled.progress
        if self.permutation is not None:
            order_of_rows(self.model.seed, done.epochs, self.permutation)
        done.epochs += 1
        sums = np.zeros(self.program.plan.n_sums)
        values: dict[str, float] = {}
        stride = at_once * self.batch
        for number, begin in enumerate(range(0, self.rows, stride)):
            end = min(begin + stride, self.rows)
            listeners.tell_of_batch("on_train_batch_begin", number, {})
            # Who listens to batches may come back to each; else the weights are copied less often.
            result = self._run(slice(begin, end), continued=number > 0 and not listeners.want_batches)
            if result.exception is not None:
                raise result.exception
            sums += result.sums[0]
            values = self.objective.values(self.program.plan, sums, end)
            if not result.finite:
                values = dict.fromkeys(values, math.nan)
            # What callbacks add to it is not the epoch's.
            listeners.tell_of_batch("on_train_batch_end", number, dict(values))
            if self.model.stop_training or not result.finite:
                break
        return result.finite, {name: [value] for name, value in values.items()}

    def _run(self, part: slice, n_epochs: int = 0, shuffle: bool = False, continued: bool = False) -> Result:
        """Run the program on a part of the rows, for whole epochs, or for a part of one."""
        compiled = self.compiled
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
            scalars=compiled.scalars,
            progress=compiled.progress,
            count_epochs=n_epochs > 0,
            restore=True,
            restorable=self.restorable,
            continued=continued,
        )
        self.restorable = True
        if not result.finite:
            compiled.forget()
        return result

    def _judge(self, losses: list[float]) -> None:
        """Warn of the losses of the first epochs, after them or, if that is due, at once."""
        assert self.first_losses is not None
        begun = self.first_losses = [*self.first_losses, *losses][: advice.FIRST_EPOCHS]
        said = advice.on_first_losses(begun, self._measured, self.objective.losses)
        if said and self.compiled.learning_rate:
            warn(said, TrainingWarning)
        if said or len(begun) == advice.FIRST_EPOCHS:
            self.first_losses = None

    def _warn(self, epoch: int) -> None:
        """Warn that an epoch, counted from 1, failed."""
        scales = advice.on_scales(self._measured, self.objective.losses)
        warn(
            f"the loss was not finite in epoch {epoch}; training stopped, the last finite weights that were "
            "kept, which may be several steps old, were restored, and the optimizer's state begins anew. "
            f"Lower the learning rate ({self.compiled.learning_rate:g})"
            + (f", or {scales}" if scales else ""),
            NonFiniteWarning,
        )
