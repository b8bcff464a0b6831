"""Training: the epoch loop, validation, and the way back from a bad loss.

Everything that can be wrong is checked before the first step.  Epochs that nobody listens to
between run in one call of the executor.  This file must not know kernels or plans' insides.
"""

from __future__ import annotations

import math
import sys
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import data
from fastnn.callbacks import Callback, History
from fastnn.checks import check_count, check_number
from fastnn.compiled import Compiled
from fastnn.errors import ConfigurationError, DataError, DTypeError, NonFiniteWarning, ShapeError
from fastnn.graph import array_name
from fastnn.program import Result, order_of_rows
from fastnn.runtime import resolve_threads

if TYPE_CHECKING:
    from fastnn.engine import Engine
    from fastnn.model import Model

__all__ = ["Batch", "batch_of", "evaluate", "features_of", "fit", "train_on_batch"]

_EPOCHS_PER_CALL = 65536
_BAR_SECONDS = 0.1  # between two updates of the progress bar


@dataclass(frozen=True)
class Batch:
    """Checked arrays by the names that plans know them by.

    Attributes
    ----------
    arrays : dict of str to numpy.ndarray
    rows : int
    """

    arrays: dict[str, np.ndarray]
    rows: int

    @property
    def weighted(self) -> bool:
        """Whether there are sample weights."""
        return "sample_weight" in self.arrays


def features_of(model: Engine, x: object, empty: bool = False) -> Batch:
    """Return features, checked at the border."""
    graph = model.graph
    arrays: dict[str, np.ndarray] = {}
    rows = -1
    for tensor, value in zip(graph.inputs, data.by_name(x, model.input_names, "x"), strict=True):
        one = len(graph.inputs) == 1
        name = array_name("x", tensor, graph.inputs)
        said = "x" if one else f"x[{tensor.label!r}]"
        arrays[name] = data.as_features(value, tensor.columns, model.dtype, name=said, empty=empty)
        if rows >= 0 and arrays[name].shape[0] != rows:
            raise ShapeError(f"{said} has {arrays[name].shape[0]} rows but the inputs before it have {rows}")
        rows = arrays[name].shape[0]
    return Batch(arrays, rows)


def batch_of(
    model: Engine,
    x: object,
    y: object,
    sample_weight: object,
    class_weight: Mapping[int, float] | None = None,
) -> Batch:
    """Return features, targets and weights, checked at the border."""
    compiled = model._need_compiled()
    graph = model.graph
    features = features_of(model, x)
    rows, arrays = features.rows, features.arrays
    given = data.by_name(y, model.output_names, "y")
    for tensor, loss, value in zip(graph.outputs, compiled.losses, given, strict=True):
        one = len(graph.outputs) == 1
        arrays[array_name("y", tensor, graph.outputs)] = data.as_targets(
            value, rows, tensor.columns, loss, model.dtype, name="y" if one else f"y[{tensor.label!r}]"
        )
    if sample_weight is not None:
        arrays["sample_weight"] = data.as_sample_weight(sample_weight, rows, model.dtype)
    batch = Batch(arrays, rows)
    return batch if class_weight is None else _with_class_weights(batch, class_weight, compiled)


def _with_class_weights(batch: Batch, class_weight: Mapping[int, float], compiled: Compiled) -> Batch:
    if not isinstance(class_weight, Mapping):
        raise DTypeError(f"class_weight must be a dict of label to weight, got {class_weight!r}")
    if len(compiled.losses) != 1:
        raise ConfigurationError("class_weight is for models with one output; use sample_weight")
    targets = batch.arrays["y"]
    labels = targets if compiled.losses[0].sparse or targets.shape[1] == 1 else targets.argmax(1)[:, None]
    weights = np.ones((batch.rows, 1), targets.dtype)
    for label, weight in class_weight.items():
        weights[labels == check_count(label, "a class_weight label", 0)] = check_number(
            weight, f"class_weight[{label}]", 0.0
        )
    if batch.weighted:
        weights = weights * batch.arrays["sample_weight"]
    return Batch(batch.arrays | {"sample_weight": weights}, batch.rows)


def evaluate(model: Model, given: Batch, batch: int, n_threads: int) -> dict[str, float]:
    """Return the loss and the metrics on checked arrays."""
    compiled = model._need_compiled()
    # A mean over rows does not depend on batches; a loss that is a sum per batch does, as in Keras.
    means = all(loss.mean for loss in compiled.losses)
    with model._running:
        program = model._program("evaluate", weighted=given.weighted)
        result = program.run(given.arrays, given.rows, given.rows if means else batch, n_threads=n_threads)
    if result.exception is not None:
        raise result.exception
    return compiled.values(program.plan, result.sums[0], given.rows)


def train_on_batch(
    model: Model,
    x: object,
    y: object,
    sample_weight: object,
    class_weight: Mapping[int, float] | None,
    return_dict: bool,
) -> float | list[float] | dict[str, float]:
    """Make one step; see `Model.train_on_batch`."""
    model._need_compiled()
    with model._built_for(x):
        compiled = model._need_compiled()
        given = batch_of(model, x, y, sample_weight, class_weight)
    rows = given.rows
    with model._exclusive():
        program = model._program("train", rows, weighted=given.weighted)
        result = program.run(
            given.arrays,
            rows,
            rows,
            learning_rate=compiled.learning_rate,
            betas=compiled.betas,
            step=compiled.iterations,
            restore=True,
        )
        if result.exception is not None:
            raise result.exception
        values = compiled.values(program.plan, result.sums[0], rows)
        if not result.finite:
            if compiled.state is not None and not data.all_finite(compiled.state):
                compiled.forget()  # the step was made, to infinity, and is taken back
            warnings.warn("the loss of this batch is not finite; the step was not made", NonFiniteWarning, 3)
            return compiled.shaped(dict.fromkeys(values, math.nan), return_dict)
        compiled.iterations += 1
    return compiled.shaped(values, return_dict)


def fit(
    model: Model,
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
    shown = _verbosity(verbose)
    count = resolve_threads(n_threads)
    listeners = _listeners(callbacks)
    if not isinstance(shuffle, bool | np.bool_):
        raise DTypeError(f"shuffle must be True or False, got {shuffle!r}")
    with model._built_for(x):
        compiled = model._need_compiled()
        given = batch_of(model, x, y, sample_weight)
        held_out: Batch | None = None
        if validation_data is not None:
            if not isinstance(validation_data, tuple | list) or len(validation_data) not in (2, 3):
                raise DTypeError("validation_data must be (x, y) or (x, y, sample_weight)")
            apart = (*validation_data, None)[:3]
            try:
                held_out = batch_of(model, apart[0], apart[1], apart[2])
            except (ShapeError, DataError, DTypeError) as error:
                raise type(error)(f"in validation_data: {error}") from None
        elif fraction:
            train_part, test_part = data.split_validation(given.arrays, given.rows, fraction)
            given, held_out = _batch(train_part), _batch(test_part)
        if class_weight is not None:  # for training rows only
            given = _with_class_weights(given, class_weight, compiled)

    with model._exclusive():
        loop = _Loop(model, compiled, given, min(batch, given.rows), bool(shuffle), count)
        return loop.run(first, last, shown, listeners, held_out, batch)


def _batch(arrays: dict[str, np.ndarray]) -> Batch:
    return Batch(arrays, len(next(iter(arrays.values()))))


def _verbosity(verbose: str | int) -> int:
    if verbose == "auto":
        return 1
    if verbose not in (0, 1, 2):
        raise ConfigurationError(f"verbose must be 'auto', 0, 1 or 2, got {verbose!r}")
    return int(verbose)


def _listeners(callbacks: Sequence[Callback] | None) -> list[Callback]:
    found = [] if callbacks is None else list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]
    for callback in found:
        if not isinstance(callback, Callback):
            raise DTypeError(f"callbacks must be instances of fastnn.callbacks.Callback, got {callback!r}")
    return found


class _Loop:
    """One call of `fit`: the program, its arrays, and the epochs."""

    def __init__(
        self,
        model: Model,
        compiled: Compiled,
        given: Batch,
        batch: int,
        shuffle: bool,
        n_threads: int,
    ) -> None:
        self.model, self.compiled = model, compiled
        self.arrays = given.arrays
        self.rows, self.batch, self.n_threads = given.rows, batch, n_threads
        # One batch of all rows is the same set in every order.
        self.shuffle = shuffle and batch < given.rows
        self.program = model._program("train", batch, gather=self.shuffle, weighted=given.weighted)
        self.permutation = np.empty(self.rows, np.int32) if self.shuffle else None
        self.restorable = False  # whether an earlier run of this loop left weights to come back to

    def run(
        self,
        first: int,
        last: int,
        verbose: int,
        listeners: list[Callback],
        held_out: Batch | None,
        batch_size: int,
    ) -> History:
        model = self.model
        history = History()
        model.history, model.stop_training = history, False
        everyone = [*listeners, history]  # the history last: it records what callbacks add to logs
        steps = -(-self.rows // self.batch)
        for callback in everyone:
            callback.set_model(model)
            callback.set_params({"epochs": last, "steps": steps, "verbose": verbose})
            callback.on_train_begin({})
        watchers = [callback for callback in listeners if callback.wants_batches]
        attended = bool(listeners) or held_out is not None or verbose == 2
        bar = _bar(first, last) if verbose == 1 else None
        per_call = 1 if attended or bar is not None else _EPOCHS_PER_CALL
        epoch = first
        final: dict[str, float] = {}
        try:
            while epoch < last and not model.stop_training:
                began = time.perf_counter()
                for callback in listeners:
                    callback.on_epoch_begin(epoch, {})
                if watchers:
                    finite, columns = self._batches(watchers)
                else:
                    finite, columns = self._epochs(min(per_call, last - epoch))
                n_done = len(columns["loss"])
                values = {name: column[-1] for name, column in columns.items() if n_done}
                if not attended:
                    history.extend(epoch, columns)
                    final = values or final
                elif n_done:  # a single epoch
                    if held_out is not None:
                        found = evaluate(model, held_out, batch_size, self.n_threads)
                        values.update({f"val_{name}": value for name, value in found.items()})
                    final = dict(values)
                    for callback in everyone:
                        callback.on_epoch_end(epoch, values)
                    if verbose == 2:
                        _print_epoch(epoch, last, time.perf_counter() - began, values)
                epoch += n_done
                if bar is not None:
                    bar.update(n_done)
                    if values:
                        bar.set_postfix(
                            {name: f"{value:.4g}" for name, value in values.items()}, refresh=False
                        )
                if not finite:
                    self._warn(epoch)
                    break
                if bar is not None and not attended:
                    seconds = max(time.perf_counter() - began, 1e-6) / max(n_done, 1)
                    per_call = max(1, min(_EPOCHS_PER_CALL, int(_BAR_SECONDS / seconds)))
        finally:
            if bar is not None:
                bar.close()
        for callback in everyone:
            callback.on_train_end(final)
        return history

    def _epochs(self, n_epochs: int) -> tuple[bool, dict[str, list[float]]]:
        """Run epochs in one call; return whether all was finite, and lists of their losses and metrics."""
        compiled = self.compiled
        result = self._run(slice(0, self.rows), n_epochs, self.shuffle)
        compiled.epochs += n_epochs if result.finite and result.exception is None else result.epochs + 1
        if result.exception is not None:
            raise result.exception
        return result.finite, compiled.columns(self.program.plan, result.sums[: result.epochs], self.rows)

    def _batches(self, watchers: list[Callback]) -> tuple[bool, dict[str, list[float]]]:
        """Run one epoch batch by batch, with callbacks in between; return what `_epochs` does."""
        compiled = self.compiled
        if self.permutation is not None:
            order_of_rows(self.model.seed, compiled.epochs, self.permutation)
        compiled.epochs += 1
        sums = np.zeros(len(self.program.plan.accumulators))
        values: dict[str, float] = {}
        for number, begin in enumerate(range(0, self.rows, self.batch)):
            end = min(begin + self.batch, self.rows)
            for callback in watchers:
                callback.on_train_batch_begin(number, logs={})
            result = self._run(slice(begin, end), 1, False)
            if result.exception is not None:
                raise result.exception
            if not result.finite:
                return False, {"loss": []}
            sums += result.sums[0]
            values = compiled.values(self.program.plan, sums, end)
            told = dict(values)  # what callbacks add to it is not the epoch's
            for callback in watchers:
                callback.on_train_batch_end(number, logs=told)
            if self.model.stop_training:
                break
        return True, {name: [value] for name, value in values.items()}

    def _run(self, part: slice, n_epochs: int, shuffle: bool) -> Result:
        """Run the program on a part of the rows, and keep count of its steps."""
        compiled = self.compiled
        whole = self.permutation is not None  # then the order picks the rows
        rows = part.stop - part.start
        result = self.program.run(
            {name: a if whole else a[part] for name, a in self.arrays.items()},
            rows,
            self.batch,
            epochs=n_epochs,
            n_threads=self.n_threads,
            permutation=None if self.permutation is None else self.permutation[part],
            shuffle=shuffle,
            seed=self.model.seed,
            first_epoch=compiled.epochs,
            learning_rate=compiled.learning_rate,
            betas=compiled.betas,
            step=compiled.iterations,
            restore=True,
            restorable=self.restorable,
        )
        self.restorable = True
        compiled.iterations += result.steps
        if not result.finite:
            compiled.forget()
        return result

    def _warn(self, epoch: int) -> None:
        warnings.warn(
            f"the loss was not finite in epoch {epoch + 1}; training stopped, the last finite weights were "
            "restored and the optimizer's state begins anew. Lower the learning rate "
            f"({self.compiled.learning_rate:g}), or scale the inputs",
            NonFiniteWarning,
            stacklevel=5,
        )


def _bar(first: int, last: int) -> Any:
    from tqdm import tqdm

    return tqdm(total=last, initial=first, unit="epoch", file=sys.stderr, mininterval=_BAR_SECONDS)


def _print_epoch(epoch: int, last: int, seconds: float, values: Mapping[str, float]) -> None:
    # A learning rate of 1e-5 is not 0.0000.
    numbers = " - ".join(
        f"{name}: {value:.4f}" if abs(value) > 1e-3 or not value else f"{name}: {value:.4e}"
        for name, value in values.items()
    )
    print(f"Epoch {epoch + 1}/{last} - {seconds:.2f}s - {numbers}")
