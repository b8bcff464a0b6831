"""What `fit`, `evaluate` and `predict` are given, arrays or batches one by one, and the epochs of the latter.

Arguments are checked here; whole epochs of arrays are the business of `fit.py`, whose loop runs batches too.
Memory is that of a batch.  This file must not know kernels or plans' insides.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fastnn.border import data
from fastnn.border.feeds import Feed, Passage, is_feed, unpacked
from fastnn.callbacks import progress
from fastnn.callbacks.base import Callback, History, Position
from fastnn.callbacks.listeners import Listeners, checked
from fastnn.checks import check_count, check_flag, check_number, shown
from fastnn.errors import ConfigurationError, DataError, DTypeError, ShapeError, TrainingWarning, warn
from fastnn.model.batch import Batch, batch_of, features_of, with_class_weights
from fastnn.model.beside import Pass
from fastnn.model.fit import Loop, Trainable, evaluate_parts, predict_parts
from fastnn.model.fit import evaluate as evaluate_arrays
from fastnn.model.fit import predict as predict_arrays
from fastnn.model.outputs import outputs_of, training_outputs
from fastnn.model.programs import Key, capacity_for
from fastnn.model.row_weights import row_weights
from fastnn.model.structure import Structure
from fastnn.run.program import Result, order_of_rows
from fastnn.run.runtime import resolve_threads

__all__ = ["evaluate", "fit", "predict"]

_USUAL_ROWS = 32
ClassWeight = Mapping[int, float] | str | None


# -- batches


class _Rows:
    """Checked arrays as batches.

    Parameters
    ----------
    given : Batch
    batch : int
    shuffle : bool
    passage : callable
        Returns where the passage through all rows begins, and what its order is drawn from: the model's
        seed and a number.
    """

    def __init__(
        self, given: Batch, batch: int, shuffle: bool, passage: Callable[[], tuple[int, int, int]]
    ) -> None:
        self._given, self._batch, self._shuffle = given, batch, shuffle
        self._passage = passage

    def __len__(self) -> int:
        return -(-self._given.rows // self._batch)

    def __iter__(self) -> Iterator[Batch]:
        given = self._given
        done, seed, number = self._passage()
        if not self._shuffle:
            yield from itertools.islice(given.parts(self._batch), done, None)
            return
        order = _order(seed, number, given.rows)
        for begin in range(done * self._batch, given.rows, self._batch):
            rows = order[begin : begin + self._batch]
            yield Batch({name: array[rows] for name, array in given.arrays.items()}, len(rows))


def _order(seed: int, passage: int, count: int) -> np.ndarray:
    order = np.empty(count, np.int32)
    order_of_rows(seed, passage, order)
    return order


def _checked(
    now: Structure, batch: Any, number: int, name: str, class_weight: ClassWeight = None, judge: bool = False
) -> Batch:
    """Return a batch, counted from 1, checked; errors say which one it is."""
    if isinstance(batch, Batch):  # of arrays that were checked
        made = row_weights(now.graph.outputs, now.need_objective().losses, batch.arrays, batch.rows)
        return Batch(batch.arrays | made, batch.rows)
    where = f"batch {number} of {name}"
    x, y, weights = unpacked(batch, where)
    if y is None:
        raise DataError(f"{where} has no targets; batches are (x, y) or (x, y, sample_weight)")
    try:
        return batch_of(now, x, y, weights, class_weight, judge)
    except (ShapeError, DataError, DTypeError) as error:
        raise type(error)(f"in {where}: {error}") from None


def _parts(now: Structure, feed: Feed, class_weight: ClassWeight = None) -> Iterator[Batch]:
    """Yield the checked batches of an epoch; all have sample weights, or none has."""
    weighted: bool | None = None
    for number, batch in enumerate(feed.epoch(), 1):
        part = _checked(now, batch, number, feed.name, class_weight)
        del batch
        if weighted is None:
            weighted = part.weighted
        if part.weighted is not weighted:
            some, others = ("no", "some") if weighted else ("some", "none")
            raise DataError(
                f"batch {number} of {feed.name} has {some} sample weights and those before it have {others}; "
                "give every batch its weights, np.ones(rows) if they are all alike"
            )
        yield part


def _features(now: Structure, batch: Any, number: int, name: str) -> Batch:
    where = f"batch {number} of {name}"
    try:
        return features_of(now, unpacked(batch, where)[0])
    except (ShapeError, DataError, DTypeError) as error:
        raise type(error)(f"in {where}: {error}") from None


def _refuse(what: str, **given: object) -> None:
    """Raise if something is given that batches have themselves."""
    for name, value in given.items():
        if value is None or (isinstance(value, float) and not value):
            continue
        advice = {
            "y": "each batch is (x, y); if it gives rows, make an array of them, np.stack(list(x))",
            "sample_weight": "each batch is (x, y, sample_weight)",
            "validation_split": "give validation_data",
        }[name]
        raise ConfigurationError(f"{what} gives batches, so leave {name} out: {advice}")


def _some(value: int | None, name: str) -> int | None:
    return None if value is None else check_count(value, name)


def _rows_of_batch(batch_size: int | None, steps: int | None, rows: int) -> int:
    """Return the rows of a batch of arrays; without a `batch_size`, `steps` are all rows, as in Keras."""
    return batch_size or (max(math.ceil(rows / steps), 1) if steps else _USUAL_ROWS)


def _limited(given: Batch, batch: int, steps: int | None, name: str, what: str) -> Batch:
    """Return the rows of so many batches of arrays."""
    if steps is None or steps * batch == given.rows:
        return given
    there = -(-given.rows // batch)
    if steps > there:
        warn(f"{what} ran out of data after {there} of {steps} batches; make {name} smaller", TrainingWarning)
    return next(given.parts(steps * batch), given)


# -- training


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
    validation_data: Any,
    shuffle: bool,
    class_weight: ClassWeight,
    sample_weight: object,
    initial_epoch: int,
    steps_per_epoch: int | None,
    validation_steps: int | None,
    validation_batch_size: int | None,
    validation_freq: int | Sequence[int],
    n_threads: int | None,
) -> History:
    """Train for a number of epochs; see `Model.fit`."""
    batch = _some(batch_size, "batch_size")
    last = check_count(epochs, "epochs", 0)
    first = check_count(initial_epoch, "initial_epoch", 0)
    fraction = check_number(validation_split, "validation_split", 0.0, 1.0, open_maximum=True)
    shown_as = progress.verbosity(verbose)
    count = resolve_threads(n_threads)
    told = checked(callbacks)
    shuffled = check_flag(shuffle, "shuffle")
    steps, test_steps = _some(steps_per_epoch, "steps_per_epoch"), _some(validation_steps, "validation_steps")
    test_batch = _some(validation_batch_size, "validation_batch_size") or batch
    is_due = _validated(validation_freq)
    feed = test_feed = None
    if is_feed(x):
        _refuse("x", y=y, sample_weight=sample_weight, validation_split=fraction)
        if isinstance(class_weight, str):
            raise ConfigurationError(
                "class_weight='balanced' needs all labels, and x gives batches; give a dict of weights"
            )
        order = functools.partial(_order_of_batches, model) if shuffled else None
        feed = Feed(x, steps, "x", order, "steps_per_epoch")
        feed.reset()
    if is_feed(validation_data):
        test_feed = Feed(validation_data, test_steps, "validation_data", steps_name="validation_steps")

    def check(now: Structure, judge: bool = False) -> tuple[Batch, Batch | None]:
        held_out: Batch | None = None
        if feed is not None:
            given = _checked(now, feed.first(), 1, "x", class_weight, judge)
        else:
            given = batch_of(now, x, y, sample_weight, judge=judge)
        if test_feed is not None:
            if test_feed.once:
                _checked(now, test_feed.first(), 1, test_feed.name)
        elif validation_data is not None:
            held_out = _held_out(now, validation_data)
        elif fraction:
            train_part, test_part = data.split_validation(given.arrays, given.rows, fraction)
            given, held_out = _batch(train_part), _batch(test_part)
        if class_weight is not None and feed is None:  # for training rows only
            given = with_class_weights(given, class_weight, now.need_objective(), judge)
        return given, held_out

    def train() -> History:
        now = model._now
        given, held_out = check(now, judge=True)
        validate: Callable[[int, Listeners], dict[str, float]] | None = None
        if test_feed is not None:

            def validate(epoch: int, listeners: Listeners) -> dict[str, float]:
                return _tested(model, test_feed, count, listeners) if is_due(epoch) else {}

        elif held_out is not None:
            rows = _rows_of_batch(test_batch, test_steps, held_out.rows)
            limited = _limited(held_out, rows, test_steps, "validation_steps", "validation_data")

            def validate(epoch: int, listeners: Listeners) -> dict[str, float]:
                if not is_due(epoch):
                    return {}
                return evaluate_arrays(model, model._now, limited, rows, count, listeners)

        loop = _loop(model, given, feed, batch, steps, shuffled, count, class_weight, first > 0)
        return loop.run(first, last, shown_as, told, validate)

    if not model.built:
        model._ready(x if feed is None else unpacked(feed.first(), "batch 1 of x")[0], check)
    history: History = model._binder.exclusively(train)
    return history


def _loop(
    model: Trainable,
    given: Batch,
    feed: Feed | None,
    batch_size: int | None,
    steps: int | None,
    shuffle: bool,
    n_threads: int,
    class_weight: ClassWeight,
    goes_on: bool,
) -> Loop:
    """Return the loop over checked arrays, or over what comes after a checked first batch."""
    optimizer = model._now.need_optimizer()
    passage, optimizer.passage = optimizer.passage if goes_on else None, None
    if feed is not None:
        return _FedLoop(model, given, feed, n_threads, class_weight)
    batch = min(_rows_of_batch(batch_size, steps, given.rows), given.rows)
    whole = steps is None or steps == -(-given.rows // batch)
    if whole and not model._now.need_objective().in_python:
        return Loop(model, given, batch, shuffle, n_threads)

    def begun() -> tuple[int, int, int]:  # the seed may be that of a backup
        at = optimizer.passage
        return (0, model.seed, optimizer.progress.epochs) if at is None else (at.done, model.seed, at.number)

    rows = _Rows(given, batch, shuffle and batch < given.rows, begun)
    fed = Feed(rows, None if whole else steps, "x", steps_name="steps_per_epoch")
    first = next(given.parts(batch))
    if whole:
        return _FedLoop(model, first, fed, n_threads, None)
    optimizer.passage = passage
    return _PartLoop(model, first, fed, n_threads, Passage(0, 0, batch, given.rows))


def _order_of_batches(model: Trainable, batches: int) -> list[int]:
    """Return the order of a data set's batches in the epoch that begins, which is not yet counted."""
    numbers: list[int] = _order(model.seed, model._now.need_optimizer().progress.epochs, batches).tolist()
    return numbers


def _held_out(now: Structure, validation_data: Any) -> Batch:
    if not isinstance(validation_data, tuple | list) or len(validation_data) not in (2, 3):
        raise DTypeError("validation_data must be (x, y) or (x, y, sample_weight), or give such batches")
    x, y, weights = unpacked(validation_data, "validation_data")
    try:
        return batch_of(now, x, y, weights)
    except (ShapeError, DataError, DTypeError) as error:
        raise type(error)(f"in validation_data: {error}") from None


def _batch(arrays: dict[str, np.ndarray]) -> Batch:
    return Batch(arrays, len(next(iter(arrays.values()))))


def _validated(frequency: int | Sequence[int]) -> Callable[[int], bool]:
    """Return what says whether the model is validated after an epoch, which counts from 0 there."""
    if isinstance(frequency, list | tuple | set | frozenset | range):
        chosen = {check_count(epoch, "an epoch of validation_freq") for epoch in frequency}
        return lambda epoch: epoch + 1 in chosen
    if isinstance(frequency, str | float) or frequency is None:
        raise DTypeError(
            f"validation_freq must be a number of epochs, or a list of epochs from 1, got {shown(frequency)}"
        )
    every = check_count(frequency, "validation_freq")
    return lambda epoch: (epoch + 1) % every == 0


def _tested(model: Trainable, feed: Feed, n_threads: int, listeners: Listeners) -> dict[str, float]:
    """Return the loss and the metrics on an epoch of validation data; nothing if there are none left."""
    feed.reset()
    if feed.once and not feed.has_more():
        warn(
            "validation_data ran out of data: a generator gives each batch once; give one without an end and "
            "validation_steps, or a fastnn.utils.PyDataset",
            TrainingWarning,
        )
        return {}
    now = model._now
    return evaluate_parts(model, now, _parts(now, feed), n_threads, listeners)


class _FedLoop(Loop):
    """One call of `fit` on batches that come one by one."""

    def __init__(
        self, model: Trainable, first: Batch, feed: Feed, n_threads: int, class_weight: ClassWeight
    ) -> None:
        super().__init__(model, first, capacity_for(first.rows), False, n_threads)
        self._capacity = self.batch  # batches of many lengths share few programs
        self._feed, self._class_weight = feed, class_weight
        self._done = self.optimizer.progress.epochs  # others if a backup was taken up since
        self.steps = feed.steps
        self.takes_long = feed.steps is not None  # each epoch has its bar
        self._beside: Pass | None = None
        self._first_weights = np.empty(0)  # of the epoch

    def _has_more(self, epoch: int) -> bool:
        if not self._feed.once or self._feed.has_more():
            return True
        warn(
            f"x ran out of data after epoch {epoch}; training stopped. Give a generator without an end and "
            "steps_per_epoch, or what can be iterated again, such as a fastnn.utils.PyDataset",
            TrainingWarning,
        )
        return False

    def _train(self, listeners: Listeners, begun: Position, most: int) -> tuple[bool, dict[str, list[float]]]:
        done = self.optimizer.progress
        if begun.batch:  # an interrupted epoch, which was counted, goes on
            done.epochs -= 1
        self._begin(begun, done.epochs != self._done)
        self._feed.has_more()  # an order of batches is drawn before the epoch is counted
        done.epochs += 1
        self._done = done.epochs
        now = self.model._now
        sums, rows = np.zeros(self.program.plan.n_sums), 0
        if self.objective.in_python:
            self._beside, self._first_weights = Pass(now), now.store.array.copy()
        if begun.batch:
            sums += begun.sums[: len(sums)]
            if self._beside is not None:
                self._beside.sums += begun.sums[len(sums) :]
        heard = listeners.want_batches or self.bar is not None
        finite, values, steps = True, {}, done.steps
        for number, part in enumerate(_parts(self.model._now, self._feed, self._class_weight)):
            rows += part.rows
            if number < begun.batch:  # it was trained before an interruption
                self._made(number)
                continue
            listeners.tell_of_batch("on_train_batch_begin", number, {})
            try:
                result = self._step(part)
            except Exception:  # of a function of the user's own: an epoch without a step does not count
                if self._beside is not None and done.steps == steps and not begun.batch:
                    done.epochs -= 1
                raise
            if result.exception is not None:
                raise result.exception
            sums += result.sums[0]
            finite = result.finite
            self._made(number)
            if heard or not finite:
                values = self._values(sums, rows, finite)
                if self.bar is not None:
                    self.bar.batches(1, values)
            listeners.tell_of_batch("on_train_batch_end", number, dict(values))
            if finite:
                kept = sums if self._beside is None else np.concatenate([sums, self._beside.sums])
                listeners.keep(begun.epoch, number + 1, kept)
            if self.model.stop_training or not finite:
                break
        if not rows:
            raise DataError(f"x gives no batch in epoch {begun.epoch + 1}")
        values = self._values(sums, rows, finite)
        return finite, {name: [value] for name, value in values.items()}

    def _begin(self, begun: Position, elsewhere: bool) -> None:
        """Prepare an epoch, which may be elsewhere than behind the one before."""
        if elsewhere:
            self._feed.restart()

    def _made(self, number: int) -> None:
        """Note that a step of the epoch, counted from 0, was made, now or before an interruption."""

    def _step(self, part: Batch) -> Result:
        """Make one step on a batch, in a program that has room for it."""
        capacity = max(self._capacity, capacity_for(part.rows))
        if capacity > self._capacity:
            key = Key("train", capacity, weighted=part.weighted)
            self.program = self.model._now.need_programs().program(key)
            self._capacity, self.restorable = capacity, False
        brought: dict[str, np.ndarray] = {}
        if self._beside is not None:
            steps = self.optimizer.progress.steps
            outputs = training_outputs(self.model._now, part, self.model.seed, steps, self.n_threads)
            brought = self._beside.add(part, outputs, with_gradients=True)
            if self._beside.unfit:
                return self._back(self._beside.unfit)
        self.arrays, self.batch = part.arrays | brought, part.rows
        return self._run(slice(0, part.rows))

    def _back(self, cause: str) -> Result:
        """Return to the weights at the beginning of the epoch, instead of a step."""
        now, self.cause = self.model._now, cause
        places = now.weights()
        now.store.assign(places, [place.view(self._first_weights) for place in places.values()])
        self.optimizer.forget()
        return Result(np.zeros((1, self.program.plan.n_sums)), 0, 0, False, None)

    def _values(self, sums: np.ndarray, rows: int, finite: bool) -> dict[str, Any]:
        if not finite:
            return dict.fromkeys(self.objective.keys, math.nan)
        values = self.objective.values(self.program.plan, sums, rows)
        return values if self._beside is None else self._beside.values(values, rows)


class _PartLoop(_FedLoop):
    """One call of `fit` on rows, an epoch of which is a part of a pass; where it stands is state."""

    def __init__(self, model: Trainable, first: Batch, feed: Feed, n_threads: int, rows: Passage) -> None:
        super().__init__(model, first, feed, n_threads, None)
        self._rows = rows  # its number is not used
        self._before = 0  # batches of the pass that came before the epoch
        self._began = False

    def _begin(self, begun: Position, elsewhere: bool) -> None:
        at = self.optimizer.passage
        if at is None or at[2:] != self._rows[2:] or at.done < begun.batch:  # others, or nobody knows
            at = self._rows._replace(number=self.optimizer.progress.epochs)
        else:  # no epoch goes beyond a pass
            at = at._replace(done=at.done - begun.batch)
            if at.done == at.steps:
                at = at._replace(number=at.number + 1, done=0)
        self.optimizer.passage, self._before = at, at.done
        if elsewhere or not self._began:
            self._feed.begin_at(at.done)
        self._began = True

    def _made(self, number: int) -> None:
        at = self.optimizer.passage
        assert at is not None
        self.optimizer.passage = at._replace(done=self._before + number + 1)


# -- evaluation and prediction


def evaluate(
    model: Trainable,
    x: object,
    y: object,
    *,
    batch_size: int | None,
    sample_weight: object,
    steps: int | None,
    callbacks: Sequence[Callback] | None,
    verbose: str | int,
    n_threads: int | None,
) -> dict[str, float]:
    """Return the loss and the metrics; see `Model.evaluate`."""
    batch, wanted = _some(batch_size, "batch_size"), _some(steps, "steps")
    count, told = resolve_threads(n_threads), checked(callbacks)
    if is_feed(x):
        _refuse("x", y=y, sample_weight=sample_weight)
        feed = Feed(x, wanted)
        feed.reset()
        raw = unpacked(feed.first(), "batch 1 of x")[0]
        now, _ = model._ready(raw, lambda now: _checked(now, feed.first(), 1, "x"))
        del raw
        listeners = Listeners(told, model, epochs=1, steps=feed.steps, verbose=verbose)
        return evaluate_parts(model, now, _parts(now, feed), count, listeners)
    now, given = model._ready(x, lambda now: batch_of(now, x, y, sample_weight))
    rows = _rows_of_batch(batch, wanted, given.rows)
    listeners = Listeners(told, model, epochs=1, steps=wanted or -(-given.rows // rows), verbose=verbose)
    limited = _limited(given, rows, wanted, "steps", "x")
    return evaluate_arrays(model, now, limited, rows, count, listeners)


def predict(
    model: Trainable,
    x: object,
    *,
    batch_size: int | None,
    steps: int | None,
    callbacks: Sequence[Callback] | None,
    verbose: str | int,
    n_threads: int | None,
) -> Any:
    """Return the outputs; see `Model.predict`."""
    batch, wanted = _some(batch_size, "batch_size"), _some(steps, "steps")
    count, told = resolve_threads(n_threads), checked(callbacks)
    if is_feed(x):
        feed = Feed(x, wanted)
        feed.reset()
        raw = unpacked(feed.first(), "batch 1 of x")[0]
        now, _ = model._ready(raw, lambda now: _features(now, feed.first(), 1, "x"))
        del raw
        listeners = Listeners(told, model, epochs=1, steps=feed.steps, verbose=verbose)
        parts = (_features(now, part, number, "x") for number, part in enumerate(feed.epoch(), 1))
        return predict_parts(model, now, parts, count, listeners)
    now, given = model._ready(x, lambda now: features_of(now, x, empty=True))
    if not told and wanted is None:
        return outputs_of(now, given, count)
    rows = _rows_of_batch(batch, wanted, given.rows)
    listeners = Listeners(told, model, epochs=1, steps=wanted or -(-given.rows // rows), verbose=verbose)
    return predict_arrays(model, now, _limited(given, rows, wanted, "steps", "x"), rows, count, listeners)
